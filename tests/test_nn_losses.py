"""Losses: values, gradients, second gradients, reductions, options, extreme inputs and errors.

The values come from straightforward formulas in NumPy's longest floating-point type.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn
import portanet.nn.functional as F
from portanet import nn
from portanet.backend import get_backend
from portanet.errors import DataError, DTypeError, MixedBackendError, OptionError, ShapeError
from portanet.testing import gradcheck, gradgradcheck

PROVEN = ["numpy", "array-api-strict"]
REDUCTIONS = ["none", "mean", "sum"]


@pytest.fixture(params=PROVEN)
def proven(request: pytest.FixtureRequest) -> Any:
    """The two backends on which gradients are held against finite differences."""
    if request.param != "numpy":
        pytest.importorskip(request.param.replace("-", "_"), reason="proves the ops on the bare standard")
    with pn.use_backend(request.param, strict=True):
        yield request.param


def exact(values: Any) -> Any:
    return np.asarray(values, "longdouble")


def reduced(losses: Any, reduction: str) -> Any:
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def squared(x: Any, t: Any) -> Any:
    return (exact(x) - exact(t)) ** 2


def of_probabilities(x: Any, t: Any, weight: Any = 1) -> Any:
    x, t = exact(x), exact(t)
    with np.errstate(divide="ignore"):
        return -weight * (t * np.maximum(np.log(x), -100) + (1 - t) * np.maximum(np.log1p(-x), -100))


def of_logits(x: Any, t: Any, weight: Any = 1, pos_weight: Any = 1) -> Any:
    x, t = exact(x), exact(t)
    return weight * (pos_weight * t * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x))


def of_classes(
    x: Any,
    t: Any,
    reduction: str,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Any:
    """With classes along axis 1; ``t`` are indices, or probabilities like ``x``."""
    x = exact(x)
    classes = x.shape[1]
    largest = x.max(axis=1, keepdims=True)
    logs = x - largest - np.log(np.exp(x - largest).sum(axis=1, keepdims=True))
    weight = np.ones(classes) if weight is None else weight
    line = [1, classes] + [1] * (x.ndim - 2)
    if np.issubdtype(np.asarray(t).dtype, np.floating):
        share = (exact(t) * (1 - label_smoothing) + label_smoothing / classes) * weight.reshape(line)
        return reduced(-(share * logs).sum(axis=1), reduction)
    kept = t != ignore_index
    safe = np.where(kept, t, 0)
    each = -weight[safe] * np.take_along_axis(logs, np.expand_dims(safe, 1), axis=1).squeeze(1)
    even = -(logs * weight.reshape(line)).sum(axis=1) / classes
    losses = np.where(kept, (1 - label_smoothing) * each + label_smoothing * even, 0)
    return losses.sum() / (weight[safe] * kept).sum() if reduction == "mean" else reduced(losses, reduction)


def close(found: Any, expected: Any, dtype: str = "float32") -> None:
    values = found.detach()
    assert values.dtype.name == dtype
    tolerance = 2e-6 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(values.numpy(), expected, rtol=tolerance, atol=tolerance)


# Values


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(), (7,), (4, 3), (2, 3, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elementwise_losses(
    backend: str, rng: Any, dtype: str, shape: tuple[int, ...], reduction: str
) -> None:
    x, t = np.asarray(rng.normal(size=shape), dtype), np.asarray(rng.random(size=shape), dtype)
    p = np.asarray(rng.uniform(0.01, 0.99, size=shape), dtype)
    weight, pos_weight = (np.asarray(rng.uniform(0.5, 2, size=shape[-1:]), dtype) for _ in range(2))
    X, T, P, W, V = map(pn.asarray, (x, t, p, weight, pos_weight))
    close(nn.MSELoss(reduction=reduction)(X, T), reduced(squared(x, t), reduction), dtype)
    close(nn.BCELoss(reduction=reduction)(P, T), reduced(of_probabilities(p, t), reduction), dtype)
    close(nn.BCELoss(W, reduction=reduction)(P, T), reduced(of_probabilities(p, t, weight), reduction), dtype)
    for options, expected in (
        ({}, of_logits(x, t)),
        ({"weight": W}, of_logits(x, t, weight)),
        ({"pos_weight": V}, of_logits(x, t, 1, pos_weight)),
        ({"weight": W, "pos_weight": V}, of_logits(x, t, weight, pos_weight)),
    ):
        close(nn.BCEWithLogitsLoss(**options, reduction=reduction)(X, T), reduced(expected, reduction), dtype)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(6, 4), (2, 4, 3), (2, 4, 2, 3)])
def test_cross_entropy_of_indices(
    backend: str, rng: Any, shape: tuple[int, ...], weighted: bool, label_smoothing: float, reduction: str
) -> None:
    x = rng.normal(size=shape).astype("float32")
    t = rng.integers(0, 4, (shape[0], *shape[2:]))
    t.ravel()[[0, -1]] = 2, -7
    weight = rng.uniform(0.5, 2, 4).astype("float32") if weighted else None
    options: dict[str, Any] = {"ignore_index": -7, "label_smoothing": label_smoothing, "reduction": reduction}
    loss = nn.CrossEntropyLoss(weight=pn.asarray(weight) if weighted else None, **options)
    close(loss(pn.asarray(x), pn.asarray(t)), of_classes(x, t, weight=weight, **options))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(6, 4), (2, 4, 3)])
def test_cross_entropy_of_probabilities(
    backend: str, rng: Any, shape: tuple[int, ...], weighted: bool, label_smoothing: float, reduction: str
) -> None:
    x = rng.normal(size=shape).astype("float32")
    t = rng.random(size=shape).astype("float32")
    weight = rng.uniform(0.5, 2, 4).astype("float32") if weighted else None
    options: dict[str, Any] = {"label_smoothing": label_smoothing, "reduction": reduction}
    loss = nn.CrossEntropyLoss(weight=pn.asarray(weight) if weighted else None, **options)
    close(loss(pn.asarray(x), pn.asarray(t)), of_classes(x, t, weight=weight, **options))


def test_cross_entropy_without_a_batch(backend: str, rng: Any) -> None:
    x, p = rng.normal(size=(2, 4)).astype("float32")
    X = pn.asarray(x)
    close(F.cross_entropy(X, pn.asarray(2)), of_classes(x[None], np.array([2]), "mean"))
    close(F.cross_entropy(X, pn.asarray(2), reduction="none"), of_classes(x[None], np.array([2]), "sum"))
    close(F.cross_entropy(X, pn.asarray(p)), of_classes(x[None], p[None], "mean"))
    weight = np.array([1, 2, 3, 4], "float32")
    close(
        F.cross_entropy(X, pn.asarray(2), pn.asarray(weight), reduction="sum"),
        of_classes(x[None], np.array([2]), "sum", weight),
    )


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32", "int64"])
def test_class_indices_of_any_width(backend: str, rng: Any, dtype: str) -> None:
    if getattr(pn, dtype) not in get_backend().native_dtypes:
        pytest.skip(f"{backend} has no {dtype}")
    x = rng.normal(size=(5, 300)).astype("float32")  # more classes than 8 bits can count
    t = rng.integers(0, 120, 5).astype(dtype)
    close(F.cross_entropy(pn.asarray(x), pn.asarray(t)), of_classes(x, t.astype("int64"), "mean"))
    with pytest.raises(DataError, match="from 0 to 2, as the input has 3 classes; got 7"):
        F.cross_entropy(pn.asarray(x[:2, :3]), pn.asarray(np.array([1, 7], dtype)))


def test_the_reduction_of_a_loss_is_its_own(backend: str, rng: Any) -> None:
    """The gradient of each reduction, against that of the loss of each element."""
    x = pn.asarray(rng.normal(size=(4, 3)).astype("float32")).requires_grad_()
    t = pn.asarray(rng.integers(0, 3, 4))
    (each,) = pn.grad(F.cross_entropy(x, t, reduction="none"), x, pn.ones((4,)))
    (summed,) = pn.grad(F.cross_entropy(x, t, reduction="sum"), x)
    (averaged,) = pn.grad(F.cross_entropy(x, t), x)
    np.testing.assert_allclose(summed.numpy(), each.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(4 * averaged.numpy(), each.numpy(), rtol=1e-5, atol=1e-6)


# Gradients


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_elementwise_losses_against_finite_differences(proven: str, rng: Any, reduction: str) -> None:
    x, t, p = rng.normal(size=(4, 3)), rng.random((4, 3)), rng.uniform(0.1, 0.9, (4, 3))
    weight, pos_weight = rng.uniform(0.5, 2, 3), rng.uniform(0.5, 2, (4, 1))
    cases: list[tuple[Any, list[Any]]] = [
        (lambda x, t: F.mse_loss(x, t, reduction=reduction), [x, t]),
        (lambda p, t: F.binary_cross_entropy(p, t, reduction=reduction), [p, t]),
        (lambda p, t, w: F.binary_cross_entropy(p, t, w, reduction=reduction), [p, t, weight]),
        (lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction=reduction), [x, t]),
        (lambda x, t, w: F.binary_cross_entropy_with_logits(x, t, w, reduction=reduction), [x, t, weight]),
        (
            lambda x, t, v: F.binary_cross_entropy_with_logits(x, t, pos_weight=v, reduction=reduction),
            [x, t, pos_weight],
        ),
        (
            lambda x, t, w, v: F.binary_cross_entropy_with_logits(x, t, w, pos_weight=v, reduction=reduction),
            [x, t, weight, pos_weight],
        ),
    ]
    for function, inputs in cases:
        tensors = [pn.asarray(value) for value in inputs]
        gradcheck(function, tensors)
        gradgradcheck(function, tensors)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 2)])
def test_cross_entropy_against_finite_differences(
    proven: str, rng: Any, shape: tuple[int, ...], label_smoothing: float, reduction: str
) -> None:
    options: dict[str, Any] = {"label_smoothing": label_smoothing, "reduction": reduction}
    x, p, weight = rng.normal(size=shape), rng.random(shape), rng.uniform(0.5, 2, 3)
    t = rng.integers(0, 3, (shape[0], *shape[2:]))
    t[0] = 1
    t[-1] = -100
    x, p, weight, t = map(pn.asarray, (x, p, weight, t))
    cases: list[tuple[Any, list[Any]]] = [
        (lambda x: F.cross_entropy(x, t, **options), [x]),
        (lambda x, w: F.cross_entropy(x, t, w, **options), [x, weight]),
        (lambda x, p: F.cross_entropy(x, p, **options), [x, p]),
        (lambda x, p, w: F.cross_entropy(x, p, w, **options), [x, p, weight]),
    ]
    for function, inputs in cases:
        gradcheck(function, inputs)
        gradgradcheck(function, inputs)


def test_the_second_gradient_of_a_loss_through_a_model(proven: str, rng: Any) -> None:
    t = pn.asarray(rng.integers(0, 3, 5))

    def loss(x: Any, weight: Any, bias: Any) -> Any:
        return F.cross_entropy(F.linear(pn.tanh(x), weight, bias), t)

    inputs = [pn.asarray(rng.normal(size=shape)) for shape in ((5, 4), (3, 4), (3,))]
    gradcheck(loss, inputs)
    gradgradcheck(loss, inputs)


# Extremes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_losses_of_extreme_logits_are_finite_and_right(backend: str, dtype: str) -> None:
    x = np.array([-1e4, -100.0, -30.0, 0.0, 30.0, 100.0, 1e4], dtype)
    for label in (0.0, 1.0, 0.25):
        t = np.full_like(x, label)
        X = pn.asarray(x).requires_grad_()
        loss = F.binary_cross_entropy_with_logits(X, pn.asarray(t), reduction="none")
        loss.sum().backward()
        error = np.abs(loss.detach().numpy() - of_logits(x, t))
        assert (error <= 2 * np.finfo(dtype).eps * (1 + np.abs(x))).all()
        slope = np.exp(-np.logaddexp(0, -exact(x))) - label
        np.testing.assert_allclose(X.grad.numpy(), slope.astype("float64"), rtol=1e-6, atol=1e-7)
        twice = pn.asarray(np.array(2, dtype))
        mean = F.binary_cross_entropy_with_logits(pn.asarray(x), pn.asarray(t), pos_weight=twice)
        np.testing.assert_allclose(mean.numpy(), of_logits(x, t, 1, 2).mean().astype("float64"), rtol=1e-6)
    rows = np.array([[1e4, -1e4, 0], [-1e4, -1e4, 1e4], [1e4, 1e4, 1e4]], dtype)
    for labels in ([0, 0, 0], [1, 2, 1]):
        X, t = pn.asarray(rows).requires_grad_(), np.array(labels)
        for reduction in REDUCTIONS:
            loss = F.cross_entropy(X, pn.asarray(t), reduction=reduction)
            np.testing.assert_allclose(
                loss.detach().numpy(), of_classes(rows, t, reduction).astype("float64"), rtol=1e-6
            )
        loss.backward()
        p = np.exp(exact(rows) - exact(rows).max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(X.grad.numpy(), (p - np.eye(3)[t]).astype("float64"), rtol=1e-6, atol=1e-7)


def test_squares_of_extreme_inputs(backend: str) -> None:
    x = pn.asarray([1e4, -1e4, 3e18]).requires_grad_()
    loss = F.mse_loss(x, pn.asarray([-1e4, -1e4, 0.0]), reduction="none")
    loss.backward(pn.asarray([1.0, 1.0, 1e-18]))
    np.testing.assert_allclose(loss.detach().numpy(), [4e8, 0, 9e36], rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), [4e4, 0, 6], rtol=1e-6)


def test_probabilities_of_zero_and_one_cost_at_most_100(backend: str) -> None:
    p = pn.asarray([0.0, 1.0, 0.0, 1.0, 1e-45, 1e-30]).requires_grad_()
    t = pn.asarray([0.0, 1.0, 1.0, 0.0, 1.0, 1.0])
    loss = F.binary_cross_entropy(p, t, reduction="none")
    np.testing.assert_allclose(loss.detach().numpy(), [0, 0, 100, 100, 100, 69.07755], rtol=1e-6)
    loss.sum().backward()
    np.testing.assert_allclose(p.grad.numpy(), [0, 0, -1e12, 1e12, -1e12, -1e12], rtol=1e-6)


def test_a_masked_class_costs_nothing_where_it_is_not_the_label(backend: str) -> None:
    """A logit of minus infinity is how a class is ruled out."""
    x = pn.asarray([[0.0, -np.inf, 1.0], [2.0, -np.inf, -np.inf]]).requires_grad_()
    loss = F.cross_entropy(x, pn.asarray([2, 0]), reduction="none")
    np.testing.assert_allclose(loss.detach().numpy(), [np.log1p(np.exp(-1)), 0], rtol=1e-6, atol=1e-7)
    loss.sum().backward()
    share = 1 / (1 + np.e)
    np.testing.assert_allclose(x.grad.numpy(), [[share, 0, -share], [0, 0, 0]], rtol=1e-5, atol=1e-7)


def test_an_empty_batch(backend: str) -> None:
    none, no_rows = pn.zeros((0,)), pn.zeros((0, 3))
    labels = pn.zeros((0,), dtype=pn.int64)
    for loss, x, t in (
        (F.mse_loss, none, none),
        (F.binary_cross_entropy, none, none),
        (F.binary_cross_entropy_with_logits, none, none),
        (F.cross_entropy, no_rows, labels),
        (F.cross_entropy, no_rows, no_rows),
    ):
        assert loss(x, t, reduction="none").shape == (0,)
        assert loss(x, t, reduction="sum").item() == 0.0
        with np.errstate(invalid="ignore"):
            assert np.isnan(loss(x, t).item())


def test_nothing_but_ignored_targets(backend: str) -> None:
    x = pn.ones((2, 3)).requires_grad_()
    t = pn.asarray([-100, -100])
    assert F.cross_entropy(x, t, reduction="none").tolist() == [0.0, 0.0]
    loss = F.cross_entropy(x, t, reduction="sum")
    loss.backward()
    assert loss.item() == 0.0
    assert not x.grad.numpy().any()
    with np.errstate(invalid="ignore"):
        assert np.isnan(F.cross_entropy(x, t).item())


# Bad input


@pytest.mark.parametrize(
    "make",
    [nn.MSELoss, nn.BCELoss, nn.BCEWithLogitsLoss, nn.CrossEntropyLoss],
    ids=lambda make: make.__name__,
)
def test_reduction_is_one_of_three(make: Any) -> None:
    for reduction in ("average", None, True, 1):
        with pytest.raises(OptionError, match="reduction: expected 'none', 'mean' or 'sum', got"):
            make(reduction=reduction)


@pytest.mark.parametrize("function", [F.mse_loss, F.binary_cross_entropy, F.binary_cross_entropy_with_logits])
def test_elementwise_losses_refuse_unlike_arguments(backend: str, function: Any) -> None:
    x = pn.full((4, 1), 0.5)
    with pytest.raises(ShapeError, match=r"target: .*input's shape \(4, 1\), got \(4,\).*reshape"):
        function(x, pn.zeros((4,)))
    with pytest.raises(DTypeError, match=r"target: .*float32, got .*int64.*astype"):
        function(x, pn.zeros((4, 1), dtype=pn.int64))
    with pytest.raises(DTypeError, match=r"target: .*float32, got .*float64.*astype"):
        function(x, pn.zeros((4, 1), dtype=pn.float64))
    with pytest.raises(DTypeError, match=r"input: .* floating-point .*int64.*astype"):
        function(pn.ones((4,), dtype=pn.int64), pn.ones((4,), dtype=pn.int64))
    with pytest.raises(DTypeError, match=r"target.*list.*portanet\.asarray"):
        function(x, [[0.0]] * 4)


@pytest.mark.parametrize("name", ["weight", "pos_weight"])
def test_factors_have_the_inputs_type_and_a_fitting_shape(backend: str, name: str) -> None:
    x = pn.full((4, 3), 0.5)
    losses = [lambda w: F.binary_cross_entropy_with_logits(x, x, **{name: w})]
    if name == "weight":
        losses.append(lambda w: F.binary_cross_entropy(x, x, w))
    for loss in losses:
        for dtype in (pn.float64, pn.int64):
            with pytest.raises(DTypeError, match=rf"{name}: .*float32, got .*{dtype.name}.*astype"):
                loss(pn.ones((3,), dtype=dtype))
        for shape in ((4,), (2, 4, 3), (4, 2)):
            with pytest.raises(ShapeError, match=rf"{name}: .*\(4, 3\).*got \({shape[0]},"):
                loss(pn.ones(shape))
        assert loss(pn.ones((4, 1))).dtype == pn.float32
        assert loss(2.0).dtype == pn.float32


def test_probabilities_lie_between_zero_and_one(backend: str) -> None:
    t = pn.asarray([0.0, 1.0])
    for wrong in ([0.5, 1.5], [-0.1, 0.5], [float("nan"), 0.5]):
        with pytest.raises(DataError, match=r"input: .*from 0 to 1, got .*binary_cross_entropy_with_logits"):
            F.binary_cross_entropy(pn.asarray(wrong), t)
    with pytest.raises(DataError, match=r"target: .*from 0 to 1, got 2\.0"):
        F.binary_cross_entropy(pn.asarray([0.5, 0.5]), pn.asarray([1.0, 2.0]))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 3], r"from 0 to 2, as the input has 3 classes; got 3 \(1 out of range\)"),
        ([-1, 0], r"from 0 to 2, .*got -1 \(1 out of range\)"),
        ([5, -2], r"from 0 to 2, .*got 5 \(2 out of range\)\. ignore_index is -100"),
    ],
)
def test_a_label_outside_the_classes(backend: str, labels: list[int], message: str) -> None:
    with pytest.raises(DataError, match=f"target: class indices must be {message}"):
        F.cross_entropy(pn.zeros((2, 3)), pn.asarray(labels))


def test_the_ignored_index_may_lie_anywhere(backend: str, rng: Any) -> None:
    x = rng.normal(size=(3, 3)).astype("float32")
    for ignored in (-100, -1, 1, 99):
        t = np.array([0, ignored, 2])
        close(
            F.cross_entropy(pn.asarray(x), pn.asarray(t), ignore_index=ignored),
            of_classes(x, t, "mean", ignore_index=ignored),
        )


def test_cross_entropy_refuses_targets_that_do_not_fit(backend: str) -> None:
    x = pn.zeros((4, 3))
    for shape in ((4, 1), (3,), (4, 3), ()):
        with pytest.raises(
            ShapeError, match=r"target: .*input of shape \(4, 3\).*class indices of shape \(4,\), got"
        ):
            F.cross_entropy(x, pn.zeros(shape, dtype=pn.int64))
    with pytest.raises(ShapeError, match=r"One-hot.*astype"):
        F.cross_entropy(x, pn.zeros((4, 3), dtype=pn.int64))
    for dtype in (pn.float32, pn.bool):
        with pytest.raises(DTypeError, match=rf"target: .*integers, or prob.*\(4, 3\); got {dtype.name} of"):
            F.cross_entropy(x, pn.zeros((4,), dtype=dtype))
    with pytest.raises(DTypeError, match=r"target: .*float32, got .*float64"):
        F.cross_entropy(x, pn.zeros((4, 3), dtype=pn.float64))
    with pytest.raises(DTypeError, match=r"target: .*got list.*portanet\.asarray"):
        F.cross_entropy(x, [0, 1, 2, 0])
    with pytest.raises(ShapeError, match="input: cross_entropy expects an axis of classes"):
        F.cross_entropy(pn.asarray(1.0), pn.asarray(0))
    with pytest.raises(DTypeError, match=r"input: .* floating-point .*int64"):
        F.cross_entropy(pn.zeros((4, 3), dtype=pn.int64), pn.zeros((4,), dtype=pn.int64))


def test_class_weights_fit_the_classes(backend: str) -> None:
    x, t = pn.zeros((4, 3)), pn.zeros((4,), dtype=pn.int64)
    for target in (t, x):
        with pytest.raises(ShapeError, match=r"weight: .*shape \(3,\), got \(2,\)"):
            F.cross_entropy(x, target, pn.ones((2,)))
        for dtype in (pn.float64, pn.int64):
            with pytest.raises(DTypeError, match=rf"weight: .*float32, got .*{dtype.name}"):
                F.cross_entropy(x, target, pn.ones((3,), dtype=dtype))
    with pytest.raises(DTypeError, match=r"weight: .*got list.*portanet\.asarray"):
        F.cross_entropy(x, t, [1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match=r"tensor: expected a Tensor or None, got list.*portanet\.asarray"):
        nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0])


@pytest.mark.parametrize("label_smoothing", [-0.1, 1.1, float("nan")])
def test_label_smoothing_is_a_share(label_smoothing: float) -> None:
    with pytest.raises(OptionError, match="label_smoothing: expected a number from 0 to 1"):
        nn.CrossEntropyLoss(label_smoothing=label_smoothing)
    with pytest.raises(OptionError, match="label_smoothing: expected a number from 0 to 1"):
        F.cross_entropy(pn.zeros((1, 2)), pn.asarray([0]), label_smoothing=label_smoothing)


def test_losses_name_two_backends() -> None:
    pytest.importorskip("torch", reason="needs two libraries")
    with pn.use_backend("torch"):
        there, labels = pn.full((2, 2), 0.5), pn.asarray([0, 1])
    here = pn.full((2, 2), 0.5)
    for loss, target in (
        (F.mse_loss, there),
        (F.binary_cross_entropy, there),
        (F.binary_cross_entropy_with_logits, there),
        (F.cross_entropy, there),
        (F.cross_entropy, labels),
    ):
        with pytest.raises(MixedBackendError, match=r"numpy:cpu.*torch:cpu"):
            loss(here, target)


# As modules


def test_weights_of_a_loss_are_buffers_with_pytorchs_names(backend: str) -> None:
    loss = nn.BCEWithLogitsLoss(weight=pn.ones((3,)), pos_weight=pn.ones((3,)))
    assert list(loss.state_dict()) == ["weight", "pos_weight"]
    assert not list(loss.parameters())
    loss.to(pn.float64)
    assert loss.weight.dtype == loss.pos_weight.dtype == pn.float64
    assert list(nn.CrossEntropyLoss().state_dict()) == []
    assert [repr(m()) for m in (nn.MSELoss, nn.BCELoss, nn.BCEWithLogitsLoss, nn.CrossEntropyLoss)] == [
        "MSELoss()",
        "BCELoss()",
        "BCEWithLogitsLoss()",
        "CrossEntropyLoss()",
    ]


def test_raw_arrays_stay_raw_and_unchanged(rng: Any) -> None:
    x, t = rng.normal(size=(4, 3)).astype("float32"), rng.random((4, 3)).astype("float32")
    labels = rng.integers(0, 3, 4)
    for array in (x, t, labels):
        array.flags.writeable = False
    for loss, input, target in (
        (F.mse_loss, x, t),
        (F.binary_cross_entropy, t, t),
        (F.binary_cross_entropy_with_logits, x, t),
        (F.cross_entropy, x, t),
        (F.cross_entropy, x, labels),
        (F.cross_entropy, x, labels.astype("uint8")),
    ):
        found = loss(input, target, reduction="none")
        assert type(found) is np.ndarray
        assert found.dtype == np.float32
        np.testing.assert_allclose(
            found, loss(pn.asarray(input), pn.asarray(target), reduction="none").numpy(), rtol=1e-6
        )


def test_no_loss_warns_on_ordinary_input(rng: Any) -> None:
    """The suite makes errors of warnings; here the floating-point flags are watched too."""
    x = pn.asarray((50 * rng.normal(size=(8, 5))).astype("float32")).requires_grad_()
    t = pn.asarray(rng.random((8, 5)).astype("float32"))
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for loss, target in (
            (F.mse_loss, t),
            (F.binary_cross_entropy_with_logits, t),
            (F.cross_entropy, t),
            (F.cross_entropy, pn.asarray(rng.integers(0, 5, 8))),
        ):
            loss(x, target).backward()
    assert np.isfinite(x.grad.numpy()).all()
