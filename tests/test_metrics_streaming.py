"""Streaming metrics against scikit-learn, in batches of unequal sizes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import metrics
from portanet.anomaly import observe
from portanet.errors import DataError, DTypeError, OptionError, ShapeError, StateDictError
from portanet.metrics import (
    F1,
    R2,
    ROCAUC,
    Accuracy,
    ConfusionMatrix,
    MeanAbsoluteError,
    MeanSquaredError,
    Metric,
    Precision,
    Recall,
    TopKAccuracy,
)

EVERY = [
    *(Accuracy, ConfusionMatrix, F1, MeanAbsoluteError, MeanSquaredError),
    *(Precision, R2, ROCAUC, Recall, TopKAccuracy),
]
AVERAGES = ["macro", "micro", "weighted", None]


@pytest.fixture(scope="module")
def reference() -> Any:
    return pytest.importorskip("sklearn.metrics", reason="the reference values are scikit-learn's")


@pytest.fixture
def undefined() -> Iterator[None]:
    """scikit-learn warns where there is nothing to divide by; we give the same value without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def cut(length: int) -> list[slice]:
    """Batches of unequal sizes, one of a single sample among them, and always the same, since JAX compiles for each."""
    ends = sorted({0, 1, 1 + 2 * length // 5, length})
    return [slice(start, end) for start, end in pairwise(ends)]


def stream(metric: Metric, outputs: Any, targets: Any) -> Any:
    """The value over batches of Tensors; a second pass after a reset must give the same."""
    values = []
    for _ in range(2):
        metric.reset()
        for part in cut(len(targets)):
            metric.update(pn.asarray(outputs[part]), pn.asarray(targets[part]))
        value = metric.compute()
        values.append(value.numpy() if isinstance(value, pn.Tensor) else value)
    np.testing.assert_allclose(values[0], values[1], rtol=1e-9, equal_nan=True)
    return values[0]


def logits(rng: Any, targets: np.ndarray, classes: int) -> np.ndarray:
    """Logits that are right more often than not, with no two the same in a row."""
    return (rng.normal(size=(len(targets), classes)) + 1.5 * np.eye(classes)[targets]).astype(np.float32)


# Classes


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_accuracy_and_confusion_matrix(backend: str, rng: Any, reference: Any, classes: int) -> None:
    targets = rng.integers(0, classes, 50)
    outputs = logits(rng, targets, classes)
    predicted = outputs.argmax(axis=1)
    assert stream(Accuracy(), outputs, targets) == reference.accuracy_score(targets, predicted)
    expected = reference.confusion_matrix(targets, predicted, labels=range(classes))
    assert stream(ConfusionMatrix(), outputs, targets).tolist() == expected.tolist()
    given = stream(ConfusionMatrix(classes), predicted, targets)
    assert given.tolist() == expected.tolist()


@pytest.mark.parametrize("metric", [Precision, Recall, F1])
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("zero_division", [0.0, 1.0, math.nan])
def test_averages_with_classes_that_are_missing(
    eager: str, rng: Any, reference: Any, undefined: None, metric: Any, average: Any, zero_division: float
) -> None:
    score = {Precision: "precision_score", Recall: "recall_score", F1: "f1_score"}[metric]
    for classes, length in ((3, 50), (9, 6), (6, 3)):
        targets = rng.integers(0, classes, length)
        outputs = logits(rng, targets, classes)
        predicted = outputs.argmax(axis=1)
        options = {"average": average, "zero_division": zero_division}
        labels = range(classes) if average is None else None
        expected = getattr(reference, score)(targets, predicted, labels=labels, **options)
        found = stream(metric(**options), outputs, targets)
        np.testing.assert_allclose(found, expected, rtol=1e-6 if average is None else 1e-12, equal_nan=True)


@pytest.mark.parametrize("metric", [Precision, Recall, F1])
def test_averages_on_every_backend(
    backend: str, rng: Any, reference: Any, undefined: None, metric: Any
) -> None:
    score = {Precision: "precision_score", Recall: "recall_score", F1: "f1_score"}[metric]
    targets = rng.integers(0, 5, 50)
    predicted = np.where(rng.random(50) < 0.5, targets, rng.integers(0, 5, 50))
    for average in AVERAGES[:3]:
        expected = getattr(reference, score)(targets, predicted, average=average)
        found = stream(metric(average, num_classes=5), predicted, targets)
        assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("metric", [Precision, Recall, F1])
@pytest.mark.parametrize("positive", [0, 1])
def test_two_classes(
    backend: str, rng: Any, reference: Any, undefined: None, metric: Any, positive: int
) -> None:
    score = {Precision: "precision_score", Recall: "recall_score", F1: "f1_score"}[metric]
    targets = rng.integers(0, 2, 50)
    outputs = (rng.normal(size=50) + targets).astype(np.float32)
    predicted = (outputs > 0).astype(int)
    expected = getattr(reference, score)(targets, predicted, pos_label=positive)
    for shape in ((50,), (50, 1)):
        for dtype in (np.int64, np.float32, bool):
            found = stream(metric(positive=positive), outputs.reshape(shape), targets.astype(dtype))
            assert found == pytest.approx(expected, rel=1e-12)
    pair = np.stack([np.zeros_like(outputs), outputs], axis=1)
    assert stream(metric(positive=positive), pair, targets) == pytest.approx(expected, rel=1e-12)
    above = stream(metric(positive=positive, threshold=0.5), outputs, targets)
    at_half = getattr(reference, score)(targets, outputs > 0.5, pos_label=positive)
    assert above == pytest.approx(at_half, rel=1e-12)


@pytest.mark.parametrize("zero_division", [0.0, 1.0, math.nan])
@pytest.mark.parametrize("metric", [Precision, Recall, F1])
@pytest.mark.parametrize(("truth", "guess"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_one_class_only(
    reference: Any, undefined: None, metric: Any, zero_division: float, truth: int, guess: int
) -> None:
    score = {Precision: "precision_score", Recall: "recall_score", F1: "f1_score"}[metric]
    targets, predicted = np.full(4, truth), np.full(4, guess)
    found = metric(num_classes=2, zero_division=zero_division)
    found.update(predicted, targets)
    expected = getattr(reference, score)(targets, predicted, zero_division=zero_division)
    assert found.compute() == pytest.approx(expected, nan_ok=True)


def test_logits_with_more_axes_count_each_place(backend: str, rng: Any, reference: Any) -> None:
    targets = rng.integers(0, 4, (9, 5))
    outputs = rng.normal(size=(9, 4, 5)).astype(np.float32)
    predicted = outputs.argmax(axis=1)
    expected = reference.accuracy_score(targets.ravel(), predicted.ravel())
    assert stream(Accuracy(), outputs, targets) == expected
    flat = np.moveaxis(outputs, 1, 2).reshape(-1, 4)
    expected = reference.top_k_accuracy_score(targets.ravel(), flat, k=2, labels=range(4))
    assert stream(TopKAccuracy(2), outputs, targets) == pytest.approx(expected)


# Orders


def test_top_k(backend: str, rng: Any, reference: Any, undefined: None) -> None:
    targets = rng.integers(0, 6, 50)
    distinct, tied = (
        rng.normal(size=(50, 6)).astype(np.float32),
        rng.integers(0, 3, (50, 6)).astype("float32"),
    )
    for outputs, k in product((distinct, tied), (1, 2, 5, 6)):
        expected = reference.top_k_accuracy_score(targets, outputs, k=k, labels=range(6))
        assert stream(TopKAccuracy(k), outputs, targets) == pytest.approx(expected, rel=1e-12)
        assert metrics.top_k_accuracy(outputs, targets, k=k) == pytest.approx(expected, rel=1e-12)


def test_a_logit_that_is_no_number_is_no_answer() -> None:
    metric = TopKAccuracy(1)
    metric.update(pn.asarray([[0.0, math.nan], [0.0, 1.0]]), pn.asarray([1, 1]))
    metric.update(pn.asarray([[0.0, 1.0]]), pn.asarray([-1]))
    assert metric.compute() == pytest.approx(1 / 3)


@pytest.mark.parametrize("tied", [False, True])
def test_area_of_two_classes(backend: str, rng: Any, reference: Any, tied: bool) -> None:
    targets = np.concatenate([[0, 1], rng.integers(0, 2, 48)])
    scores = (rng.normal(size=50) + targets).astype(np.float32)
    if tied:
        scores = np.round(scores)
    expected = reference.roc_auc_score(targets, scores)
    assert stream(ROCAUC(), scores, targets) == pytest.approx(expected, rel=1e-12)
    assert stream(ROCAUC(), scores[:, None], targets.astype(np.float32)) == pytest.approx(expected)
    pair = np.stack([np.ones_like(scores), scores + 1], axis=1)
    expected = reference.roc_auc_score(targets, pair[:, 1].astype(float) - pair[:, 0])
    assert stream(ROCAUC(), pair, targets) == pytest.approx(expected, rel=1e-12)
    assert metrics.roc_auc(scores, targets) == pytest.approx(reference.roc_auc_score(targets, scores))


def test_area_counts_pairs(rng: Any) -> None:
    """Against its definition: the share of the pairs of a positive and a negative in the right order."""
    targets = np.concatenate([[0, 1], rng.integers(0, 2, 30)])
    scores = rng.integers(0, 5, 32).astype(np.float32)
    pairs = scores[targets == 1][:, None] - scores[targets == 0]
    exact = ((pairs > 0).sum() + (pairs == 0).sum() / 2) / pairs.size
    assert metrics.roc_auc(scores, targets) == exact


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_area_of_one_against_the_rest(backend: str, rng: Any, reference: Any, average: str) -> None:
    targets = np.concatenate([np.arange(4), rng.integers(0, 4, 46)])
    outputs = logits(rng, targets, 4)
    exponentials = np.exp(outputs.astype(float))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    expected = reference.roc_auc_score(targets, probabilities, multi_class="ovr", average=average)
    assert stream(ROCAUC(average), outputs, targets) == pytest.approx(expected, rel=1e-12)
    found = stream(ROCAUC(average, probabilities=True), probabilities, targets)
    assert found == pytest.approx(expected, rel=1e-12)
    each = metrics.roc_auc(probabilities, targets, average=None)
    assert isinstance(each, pn.Tensor)
    expected = reference.roc_auc_score(targets, probabilities, multi_class="ovr", average=None)
    np.testing.assert_allclose(each.numpy(), expected, rtol=1e-6)
    # Quarters add up to one exactly, and tie.
    quarters = rng.multinomial(4, np.full(4, 0.25), len(targets)) / 4
    expected = reference.roc_auc_score(targets, quarters, multi_class="ovr", average=average)
    assert metrics.roc_auc(quarters, targets, average=average) == pytest.approx(expected, rel=1e-12)


def test_area_of_one_class_only_is_not_a_number(backend: str, reference: Any, undefined: None) -> None:
    assert math.isnan(metrics.roc_auc([0.1, 0.2], [1, 1]))
    assert math.isnan(metrics.roc_auc([0.1, 0.2], [0, 0]))
    scores, targets = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.75, 0.0, 0.25]]), [0, 1, 0]
    for average in ("macro", "weighted"):
        expected = reference.roc_auc_score(
            targets, scores, multi_class="ovr", average=average, labels=[0, 1, 2]
        )
        assert metrics.roc_auc(scores, targets, average=average) == pytest.approx(expected, nan_ok=True)


def test_confident_logits_keep_their_order(backend: str) -> None:
    """As probabilities in float32 all of these would be 1, and the area a half."""
    margins = np.array([40.0, 50.0, 60.0, 70.0], np.float32)
    outputs = np.stack([np.zeros(4, np.float32), margins], axis=1)
    metric = ROCAUC()
    metric.update(pn.asarray(outputs), pn.asarray([0, 0, 1, 1]))
    assert metric.compute() == 1.0


# Numbers


@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 3)])
def test_regression(backend: str, rng: Any, reference: Any, shape: tuple[int, ...]) -> None:
    targets = (100 + rng.normal(size=shape)).astype(np.float32)
    outputs = (targets + 0.5 * rng.normal(size=shape)).astype(np.float32)
    wide = targets.astype(float), outputs.astype(float)
    for metric, expected in (
        (MeanSquaredError(), reference.mean_squared_error(*wide)),
        (MeanAbsoluteError(), reference.mean_absolute_error(*wide)),
        (R2(), reference.r2_score(*wide)),
    ):
        assert stream(metric, outputs, targets) == pytest.approx(expected, rel=1e-9)
        if shape[1:] == (1,):
            assert stream(metric, outputs, targets[:, 0]) == pytest.approx(expected, rel=1e-9)


def test_r2_of_a_small_variance_about_a_large_mean(rng: Any, reference: Any) -> None:
    targets = 1e8 + rng.normal(size=80)
    outputs = targets + 0.1 * rng.normal(size=80)
    assert stream(R2(), outputs, targets) == pytest.approx(reference.r2_score(targets, outputs), rel=1e-7)


def test_r2_where_it_is_not_defined(backend: str, reference: Any) -> None:
    for value, outputs in ((0.5, [0.5, 0.5, 0.5]), (0.5, [0.5, 0.5, 0.75]), (0.1, [0.1, 0.1, 0.2])):
        metric = R2()
        for output in outputs:
            metric.update([output], [value])
        assert metric.compute() == float(outputs[2] == value)
        if value == 0.5:  # a mean of tenths is rounded there, and the quotient is 1e31
            assert metric.compute() == reference.r2_score([value] * 3, outputs)
    alone = R2()
    alone.update([1.0], [1.0])
    assert math.isnan(alone.compute())


# What they share


def test_nothing_is_read_back_and_no_graph_is_held(
    backend: str, rng: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("a value was read back")

    batch = pn.asarray(rng.normal(size=(8, 3)).astype(np.float32))
    batch.requires_grad = True
    classes = pn.asarray(rng.permutation([0, 1, 2, 0, 1, 2, 0, 1]))  # each is there, so every area is defined
    numbers = pn.asarray(rng.normal(size=(8, 3)))
    made = [
        metric("macro")
        if metric in (Precision, Recall, F1)
        else TopKAccuracy(2)
        if metric is TopKAccuracy
        else metric()
        for metric in EVERY
    ]
    with monkeypatch.context() as patch:
        for reader in ("item", "tolist", "numpy", "__float__", "__int__", "__bool__", "__index__"):
            patch.setattr(pn.Tensor, reader, refuse)
        patch.setattr(type(pn.get_backend()), "to_host", refuse)
        for metric in made:
            regression = isinstance(metric, (MeanSquaredError, MeanAbsoluteError, R2))
            for _ in range(2):
                metric.update(batch * 2, numbers if regression else classes)
    for metric in made:
        state = [value for value in metric.state_dict().values() if isinstance(value, pn.Tensor)]
        assert state
        assert not any(value.requires_grad for value in state)
        assert np.isfinite(np.asarray(metric.compute())).all()


@pytest.mark.parametrize("metric", EVERY)
def test_the_state_goes_from_one_object_to_another(backend: str, rng: Any, metric: Any) -> None:
    options = (
        {"average": "macro"}
        if metric in (Precision, Recall, F1)
        else {"k": 2}
        if metric is TopKAccuracy
        else {}
    )
    first, second, whole = (metric(**options) for _ in range(3))
    assert first.state_dict() in ({}, {"count": 0}, {"total": 0})
    targets = rng.integers(0, 3, 20)
    outputs = logits(rng, targets, 3)
    if metric in (MeanAbsoluteError, MeanSquaredError, R2):
        targets = np.eye(3)[targets]
    first.update(outputs[:9], targets[:9])
    second.load_state_dict(first.state_dict())
    for one in (first, second):
        one.update(outputs[9:], targets[9:])
    whole.update(outputs, targets)
    values = [np.asarray(one.compute()) for one in (first, second, whole)]
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_allclose(values[0], values[2], rtol=1e-9)
    with pytest.raises(StateDictError, match="it has momentum, expected "):
        second.load_state_dict({"momentum": 1})
    np.testing.assert_array_equal(np.asarray(second.compute()), values[1])


@pytest.mark.parametrize("metric", EVERY)
def test_a_caller_may_use_its_arrays_again(metric: Any, rng: Any) -> None:
    options = {"k": 2} if metric is TopKAccuracy else {}
    reusing, keeping = metric(**options), metric(**options)
    outputs, targets = np.empty((6, 2)), np.empty(6, dtype=np.int64)
    if metric in (MeanAbsoluteError, MeanSquaredError, R2):
        outputs, targets = np.empty(6), np.empty(6)
    if metric is ROCAUC:
        outputs = np.empty(6)
    for _ in range(3):
        outputs[...] = rng.normal(size=outputs.shape)
        targets[...] = rng.integers(0, 2, 6)
        reusing.update(outputs, targets)
        keeping.update(outputs.copy(), targets.copy())
    outputs[...] = targets[...] = 0
    np.testing.assert_array_equal(np.asarray(reusing.compute()), np.asarray(keeping.compute()))


@pytest.mark.parametrize("metric", EVERY)
def test_what_every_metric_refuses(backend: str, metric: Any) -> None:
    made = metric()
    assert metric(name="mine").name == "mine"
    assert made.name in repr(made)
    with pytest.raises(
        DataError, match=rf"{metric.__name__}: there is nothing to compute, call update\(\) first"
    ):
        made.compute()
    with pytest.raises(DataError, match=r"outputs: expected at least one sample, got shape \(0,\)"):
        made.update(pn.zeros((0,)), pn.zeros((0,)))
    with pytest.raises(DTypeError, match="outputs: expected an array of numbers, got str"):
        made.update("01", pn.asarray([0, 1]))
    with pytest.raises(ShapeError, match=r"outputs: expected .*\(3, 4\)"):
        made.update(pn.zeros((3, 4)), pn.zeros((4, 3), dtype=pn.int64))


def test_what_single_metrics_refuse() -> None:
    for metric in (Precision, Recall, F1):
        with pytest.raises(OptionError, match="average: expected 'binary'.* got 'mean'"):
            metric("mean")
        with pytest.raises(OptionError, match="zero_division: expected 0, 1 or nan, got 0.5"):
            metric(zero_division=0.5)
        with pytest.raises(
            OptionError, match="average: 'binary' is for two classes, these outputs tell 3 apart"
        ):
            metric().update(pn.zeros((2, 3)), pn.asarray([0, 1]))
        with pytest.raises(OptionError, match="positive: with average='binary' expected 0 or 1, got 2"):
            metric(positive=2)
    for needing in (ConfusionMatrix(), Precision("macro")):
        with pytest.raises(OptionError, match="num_classes: predictions that are classes do not show"):
            needing.update([0, 1], [1, 1])
        needing.update(pn.zeros((2, 3)), [0, 1])
        with pytest.raises(OptionError, match="expected outputs of 3 classes, as given or before, got 4"):
            needing.update(pn.zeros((2, 4)), [0, 1])
        needing.update(pn.zeros((3, 3)), [0, 3, -1])
        with pytest.raises(DataError, match="targets: classes must be from 0 to 2; 2 of 5 are not"):
            needing.compute()
    with pytest.raises(DTypeError, match="targets: expected classes as integers or booleans, got float32"):
        Accuracy().update(pn.zeros((2, 3)), pn.zeros((2,)))
    with pytest.raises(DTypeError, match="outputs: expected real numbers, got complex64"):
        Accuracy().update(pn.zeros((2,), dtype=pn.complex64), [0, 1])
    with pytest.raises(OptionError, match="average: expected 'macro', 'weighted' or None, got 'micro'"):
        ROCAUC("micro")
    with pytest.raises(DataError, match=r"outputs: 1 scores are not a number \(NaN\), so they have no order"):
        metrics.roc_auc([0.5, math.nan], [0, 1])
    with pytest.raises(DataError, match="targets: classes must be from 0 to 1; 1 of 2 are not"):
        metrics.roc_auc([0.5, 0.7], [0, 2])
    area = ROCAUC()
    area.update(pn.zeros((2, 3)), [0, 1])
    with pytest.raises(
        ShapeError, match=r"as many classes as before, scores of shape \('n', 3\), got \('n',\)"
    ):
        area.update(pn.zeros((2,)), [0, 1])


def test_a_metric_of_ones_own() -> None:
    class Unfinished(Metric):
        name = "unfinished"

    for call in (Metric.reset, Metric.compute, lambda metric: metric.update([0], [0])):
        with pytest.raises(NotImplementedError, match="Unfinished must define"):
            call(Unfinished())
    assert Unfinished().state_dict() == {}
    Unfinished.reset = lambda self: None  # type: ignore[method-assign]
    with pytest.raises(NotImplementedError, match="Unfinished must name what is to be merged in state_names"):
        Unfinished().merge({})


def test_f1_of_classes(rng: Any, reference: Any) -> None:
    targets, predicted = rng.integers(0, 3, (2, 30))
    for positive in range(3):
        expected = reference.f1_score(targets == positive, predicted == positive)
        assert metrics.f1(predicted, targets, positive=positive) == pytest.approx(expected)
    assert math.isnan(metrics.f1([0], [0]))


@pytest.mark.parametrize("float_targets", [False, True])
def test_a_map_of_single_logits_may_keep_or_lack_its_axis_of_channels(
    backend: str, rng: Any, reference: Any, float_targets: bool
) -> None:
    """As a network for masks gives it, (n, 1, height, width); as one class of one it would be 0 everywhere."""
    masks = rng.integers(0, 2, (3, 4, 5))
    outputs = (rng.normal(size=(3, 1, 4, 5)) + masks[:, None]).astype(np.float32)
    truth, guess = masks.ravel(), outputs.ravel() > 0
    targets = masks.astype(np.float32) if float_targets else masks
    for given in ((outputs, targets), (outputs[:, 0], targets[:, None])):
        assert stream(Accuracy(), *given) == pytest.approx(reference.accuracy_score(truth, guess))
        assert stream(F1(), *given) == pytest.approx(reference.f1_score(truth, guess))
        assert stream(ROCAUC(), *given) == pytest.approx(reference.roc_auc_score(truth, outputs.ravel()))
        errors = (outputs[:, 0] - targets).astype(float)
        assert stream(MeanAbsoluteError(), *given) == pytest.approx(np.abs(errors).mean(), rel=1e-6)


@pytest.mark.parametrize("sizes", [[1] * 300, [70_000, 3, 70_000], [5, 65_531, 1]])
def test_batches_that_wait_to_be_counted_are_all_counted(rng: Any, reference: Any, sizes: list[int]) -> None:
    targets, predicted = rng.integers(0, 4, (2, sum(sizes)))
    matrix, macro, copied = ConfusionMatrix(4), Precision("macro", num_classes=4), ConfusionMatrix(4)
    start = 0
    for k, size in enumerate(sizes):
        part = slice(start, start + size)
        for metric in (matrix, macro, copied):
            metric.update(predicted[part], targets[part])
            assert sum(pairs.shape[1] for pairs in metric._waiting) < 65_536, "memory is bounded"
            assert len(metric._waiting) < 128
        if k % 7 == 0:  # a checkpoint in between changes nothing
            state, copied = copied.state_dict(), ConfusionMatrix(4)
            copied.load_state_dict(state)
        start += size
    expected = reference.confusion_matrix(targets, predicted)
    for metric in (matrix, copied):
        for _ in range(2):
            np.testing.assert_array_equal(metric.compute().numpy(), expected)
    expected = reference.precision_score(targets, predicted, average="macro")
    assert macro.compute() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("metric", [Accuracy, TopKAccuracy])
def test_hits_are_counted_where_float32_cannot_count_any_more(backend: str, metric: Any) -> None:
    made = metric(**({"k": 1} if metric is TopKAccuracy else {}))
    many = 2**53
    made.load_state_dict({"hits": pn.asarray(many), "count": many})
    for _ in range(3):
        made.update(pn.asarray([[0.0, 1.0]]), pn.asarray([1]))
    assert int(made.hits.item()) == many + 3 == made.count


@pytest.mark.parametrize("metric", [MeanSquaredError, MeanAbsoluteError])
def test_errors_add_up_where_float32_would_lose_them(backend: str, metric: Any) -> None:
    made, many = metric(), 2**24
    made.load_state_dict({"total": pn.asarray(float(many), dtype=pn.float64), "count": many})
    for _ in range(64):
        made.update(pn.asarray([1.0]), pn.asarray([0.0]))
    assert made.compute() == 1.0


def test_r2_of_many_small_batches_is_that_of_all(rng: Any, reference: Any) -> None:
    targets = 1e6 + rng.normal(size=(3000, 2)) * (1.0, 1e-3)
    outputs = targets + rng.normal(size=(3000, 2)) * (0.5, 1e-3)
    metric = R2()
    for start in range(0, 3000, 7):
        metric.update(outputs[start : start + 7], targets[start : start + 7])
    assert metric.compute() == pytest.approx(reference.r2_score(targets, outputs), rel=1e-6)
    with pytest.raises(
        ShapeError, match=r"targets: expected 2 numbers in each sample, as before, got .*\(4, 3\)"
    ):
        metric.update(outputs[:12].reshape(4, 6)[:, :3], targets[:12].reshape(4, 6)[:, :3])


@pytest.mark.parametrize("metric", [ConfusionMatrix, Precision, Recall, F1])
def test_counts_of_another_number_of_classes_are_refused(metric: Any) -> None:
    options = {} if metric is ConfusionMatrix else {"average": "macro"}
    five, three = metric(num_classes=5, **options), metric(num_classes=3, **options)
    five.update([0, 4], [0, 4])
    three.update([0, 2], [0, 2])
    before = np.asarray(three.compute())
    with pytest.raises(
        StateDictError, match="it has counted 5 classes, and num_classes is 3. Nothing was changed"
    ):
        three.load_state_dict(five.state_dict())
    np.testing.assert_array_equal(np.asarray(three.compute()), before)
    free = metric(**options)
    free.load_state_dict(five.state_dict())
    np.testing.assert_array_equal(np.asarray(free.compute()), np.asarray(five.compute()))


@pytest.mark.parametrize("metric", EVERY)
def test_a_metric_that_saw_nothing_hands_on_nothing(metric: Any) -> None:
    made, other = metric(), metric()
    if metric in (Accuracy, ConfusionMatrix, F1, Precision, Recall):
        made.update([1.0, -1.0], [1, 0])
    made.load_state_dict(other.state_dict())
    with pytest.raises(DataError, match="there is nothing to compute"):
        made.compute()


@pytest.mark.parametrize("metric", sorted(set(EVERY) - {ROCAUC}, key=lambda metric: metric.__name__))
def test_an_update_is_one_op(metric: Any, rng: Any) -> None:
    """Beside a step of a small network each op counts: with 25 of them precision took twice as long as the step."""
    outputs, targets = pn.asarray(rng.normal(size=(4, 2))), pn.asarray([0, 1, 1, 0])
    if metric in (MeanAbsoluteError, MeanSquaredError, R2):
        targets = outputs + 1.0
    made = metric()
    made.update(outputs, targets)
    ops: list[str] = []
    with observe(lambda op, *_: ops.append(op.__name__)):
        made.update(outputs, targets)
    assert len(ops) == 1, ops


def made_with_options(metric: Any) -> Metric:
    options = (
        {"average": "macro"}
        if metric in (Precision, Recall, F1)
        else {"k": 2}
        if metric is TopKAccuracy
        else {}
    )
    made: Metric = metric(**options)
    return made


@pytest.mark.parametrize("metric", EVERY)
def test_what_several_ranks_have_seen_is_merged(backend: str, rng: Any, metric: Any) -> None:
    targets = np.concatenate([np.arange(3), rng.integers(0, 3, 37)])
    outputs = logits(rng, targets, 3)
    if metric in (MeanAbsoluteError, MeanSquaredError, R2):
        targets = (1000 + rng.normal(size=(40, 3))).astype(np.float32)
        outputs = targets + outputs
    whole, *ranks = (made_with_options(metric) for _ in range(5))
    whole.update(outputs, targets)
    for rank, part in zip(ranks, (slice(0, 3), slice(3, 3), slice(3, 30), slice(30, 40)), strict=True):
        if part.start != part.stop:  # one rank has seen nothing
            rank.update(outputs[part], targets[part])
    together = made_with_options(metric)
    for rank in ranks:
        before = np.asarray(rank.compute()) if rank is not ranks[1] else None
        together.merge(rank.state_dict())
        if before is not None:
            np.testing.assert_array_equal(np.asarray(rank.compute()), before)
    np.testing.assert_allclose(np.asarray(together.compute()), np.asarray(whole.compute()), rtol=1e-9)
    with pytest.raises(StateDictError, match="it has momentum"):
        together.merge({"momentum": 1})


@pytest.mark.parametrize("metric", [ConfusionMatrix, F1, ROCAUC, R2])
def test_a_state_of_other_classes_or_outputs_is_not_merged(rng: Any, metric: Any) -> None:
    three, four = made_with_options(metric), made_with_options(metric)
    for made, classes in ((three, 3), (four, 4)):
        outputs = rng.normal(size=(8, classes))
        made.update(outputs, outputs + 1.0 if metric is R2 else np.arange(8) % classes)
    before = np.asarray(three.compute())
    with pytest.raises(StateDictError, match=r"4\b.* expected .*3\b.*Nothing was changed"):
        three.merge(four.state_dict())
    np.testing.assert_array_equal(np.asarray(three.compute()), before)
