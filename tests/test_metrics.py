"""Metrics against scikit-learn, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import metrics
from portanet.errors import DataError, DTypeError, OptionError, ShapeError

EVERY = [metrics.accuracy, metrics.precision, metrics.recall, metrics.confusion_matrix]


@pytest.fixture(scope="module")
def reference() -> Any:
    return pytest.importorskip("sklearn.metrics", reason="the reference values are scikit-learn's")


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_scikit_learn_gives_the_same_numbers(backend: str, rng: Any, reference: Any, dtype: str) -> None:
    classes = 2 if dtype == "bool" else 4
    targets = rng.integers(0, classes, 50)
    predictions = np.where(rng.random(50) < 0.6, targets, rng.integers(0, classes, 50)).astype(dtype)
    targets = targets.astype(dtype)
    for p, t in ((pn.asarray(predictions), pn.asarray(targets)), (predictions, pn.asarray(targets))):
        assert metrics.accuracy(p, t) == pytest.approx(
            reference.accuracy_score(targets, predictions), abs=1e-12
        )
        for positive in range(classes):
            options = {"labels": [positive], "average": "macro", "zero_division": np.nan}
            y, z = targets.astype(int), predictions.astype(int)
            assert metrics.precision(p, t, positive=positive) == pytest.approx(
                reference.precision_score(y, z, **options), abs=1e-12, nan_ok=True
            )
            assert metrics.recall(p, t, positive=positive) == pytest.approx(
                reference.recall_score(y, z, **options), abs=1e-12, nan_ok=True
            )
        found = metrics.confusion_matrix(p, t, num_classes=6)
        expected = reference.confusion_matrix(targets.astype(int), predictions.astype(int), labels=range(6))
        assert found.dtype == pn.int64
        assert found.device.backend == backend
        assert found.tolist() == expected.tolist()


def test_any_shape_counts_element_by_element(rng: Any, reference: Any) -> None:
    p, t = rng.integers(0, 3, (2, 4, 5, 2))
    assert metrics.accuracy(p, t) == pytest.approx(reference.accuracy_score(t.ravel(), p.ravel()))
    assert (
        metrics.confusion_matrix(p, t).tolist() == reference.confusion_matrix(t.ravel(), p.ravel()).tolist()
    )
    assert metrics.accuracy(pn.asarray(1), pn.asarray(1)) == 1.0


def test_lists_are_taken_too() -> None:
    assert metrics.accuracy([0, 1, 1], [0, 1, 0]) == pytest.approx(2 / 3)
    assert metrics.recall([True, False], [True, True]) == 0.5


def test_the_dots_job_has_these_best_values() -> None:
    """Ten outliers of 175 points, five on each side, and all others right."""
    targets = np.array([1] * 79 + [0] * 5 + [0] * 86 + [1] * 5)
    predictions = np.array([1] * 84 + [0] * 91)
    assert metrics.accuracy(predictions, targets) == 165 / 175
    assert metrics.precision(predictions, targets) == 79 / 84
    assert metrics.recall(predictions, targets) == 79 / 84
    assert metrics.confusion_matrix(predictions, targets).tolist() == [[86, 5], [5, 79]]


def test_nothing_predicted_or_nothing_there_is_not_a_number() -> None:
    zeros, ones = pn.asarray([0, 0]), pn.asarray([1, 1])
    assert math.isnan(metrics.precision(zeros, ones))
    assert metrics.recall(zeros, ones) == 0.0
    assert math.isnan(metrics.recall(ones, zeros))
    assert metrics.precision(ones, zeros) == 0.0


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.__name__)
def test_what_every_metric_refuses(backend: str, metric: Any) -> None:
    labels = pn.asarray([0, 1])
    with pytest.raises(
        DTypeError, match=r"predictions: expected classes .*float32.*argmax\(logits, axis=1\), or log"
    ):
        metric(pn.asarray([0.2, 0.8]), labels)
    with pytest.raises(DTypeError, match=r"targets: expected classes .*float64"):
        metric(labels, np.array([0.0, 1.0]))
    with pytest.raises(ShapeError, match=r"targets: expected the shape of predictions, \(2,\), got \(2, 1\)"):
        metric(labels, pn.asarray([[0], [1]]))
    empty = pn.zeros((0,), dtype=pn.int64)
    with pytest.raises(DataError, match="predictions: expected at least one, got none"):
        metric(empty, empty)
    with pytest.raises(DTypeError, match="targets: .*str"):
        metric(labels, "01")


def test_classes_outside_the_matrix() -> None:
    with pytest.raises(DataError, match="classes must be from 0 to 1, got 0 to 2"):
        metrics.confusion_matrix([0, 2], [1, 1], num_classes=2)
    with pytest.raises(DataError, match="classes must be from 0 to 2, got -1 to 2"):
        metrics.confusion_matrix([0, 2], [1, -1])
    with pytest.raises(
        DataError, match=r"class 123456789 occurs, so the matrix would have .* cells. Number classes"
    ):
        metrics.confusion_matrix([0, 123_456_789], [1, 1])  # an identity number, and no class
    for num_classes in (0, -1, 2.0, "2"):
        with pytest.raises(OptionError, match="num_classes: expected a whole number of at least 1"):
            metrics.confusion_matrix([0, 1], [1, 1], num_classes=num_classes)  # type: ignore[arg-type]


def test_the_positive_class_is_a_whole_number() -> None:
    for metric in (metrics.precision, metrics.recall, metrics.f1):
        with pytest.raises(OptionError, match="positive: expected a whole number, got 'spam'"):
            metric([0, 1], [0, 1], positive="spam")  # type: ignore[arg-type]


def test_many_points_do_not_take_long(rng: Any) -> None:
    p, t = rng.integers(0, 10, (2, 200_000))
    matrix = metrics.confusion_matrix(p, t).numpy()
    assert matrix.sum() == 200_000
    assert matrix.trace() / 200_000 == metrics.accuracy(p, t)
