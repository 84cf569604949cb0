"""More losses on every backend: the same values, raw arrays, gradients of both orders, extreme inputs, and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.backend import backend_of, get_backend
from portanet.errors import DataError, DTypeError, MixedBackendError, OptionError, ShapeError
from portanet.nn.adaptive_softmax import AdaptiveLogSoftmaxWithLoss
from portanet.nn.classification_losses import CTCLoss, LinearCrossEntropyLoss
from portanet.nn.functional.classification_losses import linear_cross_entropy, nll_loss
from portanet.nn.functional.ctc import ctc_loss
from portanet.nn.functional.embedding_losses import (
    cosine_embedding_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from portanet.nn.functional.losses import cross_entropy, mse_loss
from portanet.nn.functional.margin_losses import (
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    soft_margin_loss,
)
from portanet.nn.functional.regression_losses import (
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    poisson_nll_loss,
    smooth_l1_loss,
)
from portanet.nn.margin_losses import MultiMarginLoss, TripletMarginLoss, TripletMarginWithDistanceLoss
from portanet.nn.regression_losses import GaussianNLLLoss, HuberLoss, KLDivLoss, PoissonNLLLoss, SmoothL1Loss
from portanet.testing import gradcheck, gradgradcheck


def apart(rng: Any, *shape: int) -> Any:
    """Odd multiples of 0.1 in random order, each shaken by at most 0.03, so that even ones are not near."""
    count = int(np.prod(shape))
    places = rng.permutation(count) - count // 2
    return ((places * 0.2 + 0.1) + rng.uniform(-0.03, 0.03, count)).reshape(shape)


def signs(rng: Any, *shape: int) -> Any:
    return rng.choice([-1.0, 1.0], size=shape)


def positive(rng: Any, *shape: int) -> Any:
    return rng.uniform(0.2, 3, shape)


def far_triplet(rng: Any) -> list[Any]:
    """The negative near enough for every triplet to cost something, the distances different."""
    anchor = rng.normal(size=(3, 4))
    return [anchor, anchor + rng.uniform(0.7, 1, (3, 4)), anchor - rng.uniform(0.2, 0.5, (3, 4))]


Call = tuple[Callable[..., Any], Callable[[Any], list[Any]]]

# Each with operands away from kinks; the floating-point ones are differentiated.
CALLS: dict[str, Call] = {
    "mse-weighted": (
        lambda x, t, w: mse_loss(x, t, weight=w),
        lambda rng: [*rng.normal(size=(2, 3, 2)), positive(rng, 3, 2)],
    ),
    "l1": (l1_loss, lambda rng: [apart(rng, 3, 4), np.zeros((3, 4))]),
    "l1-weighted": (
        lambda x, t, w: l1_loss(x, t, weight=w),
        lambda rng: [apart(rng, 3, 2), np.zeros((3, 2)), positive(rng, 3, 2)],
    ),
    "smooth-l1": (
        lambda x, t: smooth_l1_loss(x, t, "sum", 0.4),
        lambda rng: [apart(rng, 3, 4), np.zeros((3, 4))],
    ),
    "huber": (
        lambda x, t: huber_loss(x, t, "none", 0.6),
        lambda rng: [apart(rng, 3, 4), np.zeros((3, 4))],
    ),
    "poisson": (
        lambda x, t: poisson_nll_loss(x, t, full=True),
        lambda rng: [rng.normal(size=(3, 2)), rng.uniform(1.2, 4, (3, 2))],
    ),
    "poisson-rate": (
        lambda x, t: poisson_nll_loss(x, t, False, reduction="none"),
        lambda rng: [positive(rng, 5), positive(rng, 5)],
    ),
    "gaussian": (
        lambda x, t, var: gaussian_nll_loss(x, t, var, True),
        lambda rng: [*rng.normal(size=(2, 3, 2)), positive(rng, 3)],
    ),
    "gaussian-number": (
        lambda x, t: gaussian_nll_loss(x, t, 0.7, reduction="none"),
        lambda rng: list(rng.normal(size=(2, 3, 2))),
    ),
    "kl": (
        lambda x, t: kl_div(x, t, "batchmean"),
        lambda rng: [rng.normal(size=(3, 2)), positive(rng, 3, 2)],
    ),
    "kl-logs": (lambda x, t: kl_div(x, t, "sum", True), lambda rng: list(rng.normal(size=(2, 3, 2)))),
    "nll": (
        lambda x, w, t: nll_loss(x, t, w, ignore_index=1),
        lambda rng: [rng.normal(size=(2, 3, 4)), positive(rng, 3), np.asarray([[0, 1, 2, 2], [1, 0, 0, 2]])],
    ),
    "linear-cross-entropy": (
        lambda x, w, b, t: linear_cross_entropy(x, w, t, linear_bias=b, label_smoothing=0.1),
        lambda rng: [
            rng.normal(size=(3, 4)),
            rng.normal(size=(5, 2, 4)),
            rng.normal(size=(5, 2)),
            rng.integers(0, 5, (3, 2)),
        ],
    ),
    "soft-margin": (soft_margin_loss, lambda rng: [rng.normal(size=(3, 2)), signs(rng, 3, 2).astype(int)]),
    "hinge": (
        lambda x, t: hinge_embedding_loss(x, t, 1.0, reduction="sum"),
        lambda rng: [apart(rng, 3, 4), signs(rng, 3, 4).astype(int)],
    ),
    "ranking": (
        lambda x, y, t: margin_ranking_loss(x, y, t, 0.4),
        lambda rng: [apart(rng, 3, 4), np.zeros((3, 4)), signs(rng, 3, 4).astype(int)],
    ),
    "multi-margin": (
        lambda x, w, t: multi_margin_loss(x, t, 2, 0.5, w),
        lambda rng: [0.3 * apart(rng, 2, 3), positive(rng, 3), np.asarray([2, 0])],
    ),
    "multilabel-margin": (
        lambda x, t: multilabel_margin_loss(x, t, reduction="none"),
        lambda rng: [0.2 * rng.random((3, 4)), np.asarray([[1, -1, 0, 0], [0, 3, 2, -1], [-1, 0, 0, 0]])],
    ),
    "multilabel-soft-margin": (
        multilabel_soft_margin_loss,
        lambda rng: [*rng.normal(size=(2, 3, 4)), positive(rng, 4)],
    ),
    "cosine": (
        lambda x, y, t: cosine_embedding_loss(x, y, t, -1.5, reduction="none"),
        lambda rng: [*rng.normal(size=(2, 4, 3)), np.asarray([1, -1, -1, 1])],
    ),
    "triplet": (lambda *xs: triplet_margin_loss(*xs, 0.5, reduction="none"), far_triplet),
    "triplet-swapped": (lambda *xs: triplet_margin_loss(*xs, 3.0, 3.0, swap=True), far_triplet),
    "triplet-own": (
        lambda *xs: triplet_margin_with_distance_loss(
            *xs, distance_function=lambda x, y: pn.sum(pn.square(x - y), axis=-1)
        ),
        far_triplet,
    ),
    "ctc": (
        lambda x, t: ctc_loss(x, t, (5, 3, 4, 2), (2, 2, 0, 2), reduction="none", zero_infinity=True),
        lambda rng: [rng.normal(size=(5, 4, 3)), np.asarray([[1, 2], [2, 2], [0, 0], [1, 1]])],
    ),
    "ctc-one": (
        lambda x, t: ctc_loss(x, t, (4,), (2,), 2),
        lambda rng: [rng.normal(size=(4, 3)), np.asarray([1, 1])],
    ),
}
VARIANTS = {"mse-weighted", "l1-weighted", "poisson-rate", "gaussian-number", "kl-logs", "triplet-swapped"}
VARIANTS |= {"triplet-own", "ctc-one"}
EACH = pytest.mark.parametrize("name", CALLS)


@EACH
def test_values_are_those_on_numpy(backend: str, rng: Any, name: str) -> None:
    if backend == "jax" and name in VARIANTS:
        pytest.skip("JAX compiles each shape anew; one setting of each loss is enough there")
    loss, draw = CALLS[name]
    arrays = draw(rng)
    with pn.use_backend("numpy"):
        leaves = [pn.asarray(array) for array in arrays]
        for leaf in leaves:
            leaf.requires_grad_(leaf.dtype.is_floating)
        expected = loss(*leaves)
        expected.backward(pn.ones_like(expected))
    others = [pn.asarray(array) for array in arrays]
    for other in others:
        other.requires_grad_(other.dtype.is_floating)
    found = loss(*others)
    found.backward(pn.ones_like(found))
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    for leaf, other in zip(leaves, others, strict=True):
        if leaf.requires_grad:
            np.testing.assert_allclose(other.grad.numpy(), leaf.grad.numpy(), rtol=1e-9, atol=1e-11)


@EACH
def test_raw_arrays_give_a_raw_array(eager: str, rng: Any, name: str) -> None:
    loss, draw = CALLS[name]
    arrays = [np.asarray(array) for array in draw(rng)]
    record = get_backend()
    found = loss(*(record.asarray(array, copy=True) for array in arrays))
    assert not isinstance(found, pn.Tensor)
    assert backend_of(found) is record
    expected = loss(*map(pn.asarray, arrays))
    np.testing.assert_allclose(record.to_host(found), expected.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "loss",
    [
        l1_loss,
        smooth_l1_loss,
        huber_loss,
        poisson_nll_loss,
        kl_div,
        soft_margin_loss,
        hinge_embedding_loss,
        lambda x, t: margin_ranking_loss(x, x * 2, t),
        lambda x, t: gaussian_nll_loss(x, t, 2.0),
    ],
)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_single_numbers(eager: str, loss: Any, reduction: str) -> None:
    x, t = np.asarray(0.3, "float32"), np.asarray(1.0, "float32")
    record = get_backend()
    expected = loss(pn.asarray(x), pn.asarray(t))
    assert expected.shape == ()
    assert expected.dtype == pn.float32
    found = record.to_host(loss(record.asarray(x, copy=True), record.asarray(t, copy=True)))
    assert found.dtype == np.float32
    assert found == pytest.approx(expected.item())


@EACH
def test_gradients(rng: Any, name: str) -> None:
    loss, draw = CALLS[name]
    operands = [pn.asarray(array) for array in draw(rng)]
    assert gradcheck(loss, operands)
    assert gradgradcheck(loss, operands)


@EACH
def test_single_precision_stays(rng: Any, name: str) -> None:
    loss, draw = CALLS[name]
    operands = [
        pn.asarray(array.astype("float32") if array.dtype.kind == "f" else array) for array in draw(rng)
    ]
    operands[0].requires_grad_()
    found = loss(*operands)
    assert found.dtype == pn.float32
    found.backward(pn.ones_like(found))
    assert operands[0].grad.dtype == pn.float32


def test_a_loss_that_does_not_exist_has_finite_derivatives(rng: Any) -> None:
    """Labels that do not fit cost infinity; neither their gradient nor the next is NaN."""
    x = pn.asarray(rng.normal(size=(2, 1, 3))).requires_grad_()
    loss = ctc_loss(pn.nn.functional.log_softmax(x, dim=2), pn.asarray([[1, 1]]), (2,), (2,))
    assert loss.item() == float("inf")
    (gradient,) = pn.grad(loss, [x], create_graph=True)
    assert not gradient.detach().numpy().any()
    (second,) = pn.grad(pn.sum(gradient * gradient + gradient), [x])
    assert not second.numpy().any()


def test_small_variances_keep_their_gradient() -> None:
    """They count as the least one, but are told to grow."""
    var = pn.asarray([1e-9, 0.5], dtype=pn.float64).requires_grad_()
    gaussian_nll_loss(
        pn.zeros((2,), dtype=pn.float64), pn.ones((2,), dtype=pn.float64), var, eps=1e-2
    ).backward()
    np.testing.assert_allclose(var.grad.numpy(), [0.25 * (100 - 1e4), 0.25 * (2 - 4)])


def test_extreme_inputs() -> None:
    large = pn.asarray([-1e30, -1e4, 1e4, 1e30]).requires_grad_()
    zeros = pn.zeros((4,))
    for loss in (smooth_l1_loss, huber_loss):
        large.grad = None
        loss(large, zeros, "sum").backward()
        assert large.grad.tolist() == [-1.0, -1.0, 1.0, 1.0]
    large.grad = None
    found = soft_margin_loss(large, pn.ones((4,)), reduction="none")
    assert found.tolist() == pytest.approx([1e30, 1e4, 0.0, 0.0])
    found.backward(pn.ones((4,)))
    assert large.grad.tolist() == [-1.0, -1.0, 0.0, 0.0]
    target = pn.asarray([0.0, 1.0]).requires_grad_()
    kl_div(pn.asarray([-1.0, -2.0]), target, "sum").backward()
    assert np.isfinite(target.grad.numpy()).all()
    # Like vectors whose difference is exactly -eps
    x = pn.zeros((1, 3)).requires_grad_()
    triplet_margin_loss(x, x, pn.ones((1, 3)), eps=0.0).backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_lengths_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, rng: Any) -> None:
    """As on a device that would have to be waited for."""
    log_probs = pn.asarray(rng.normal(size=(6, 3, 4)))
    targets, steps, labels = pn.asarray([1, 2, 2, 3]), pn.asarray([6, 4, 5]), pn.asarray([1, 3, 0])
    expected = ctc_loss(log_probs, targets, steps, labels, reduction="none")
    monkeypatch.setattr(type(get_backend()), "readable", lambda self, array: False)
    found = ctc_loss(log_probs, targets, steps, labels, reduction="none")
    np.testing.assert_allclose(found.numpy(), expected.numpy())


def test_an_adaptive_softmax_whose_targets_cannot_be_read(monkeypatch: pytest.MonkeyPatch, rng: Any) -> None:
    layer = AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7], dtype=pn.float64)
    x, target = pn.asarray(rng.normal(size=(6, 8))), pn.asarray(rng.integers(0, 12, 6))
    expected = layer(x, target)
    expected.loss.backward()
    gradients = [parameter.grad for parameter in layer.parameters()]
    layer.zero_grad()
    monkeypatch.setattr(type(get_backend()), "readable", lambda self, array: False)
    found = layer(x, target)
    found.loss.backward()
    others = [parameter.grad for parameter in layer.parameters()]
    np.testing.assert_allclose(found.output.detach().numpy(), expected.output.detach().numpy())
    for one, other in zip(gradients, others, strict=True):
        np.testing.assert_allclose(other.numpy(), 0 if one is None else one.numpy(), atol=1e-12)


def test_an_adaptive_softmax_everywhere(backend: str, rng: Any) -> None:
    layer = AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7], head_bias=True)
    x = pn.asarray(rng.normal(size=(5, 8)).astype("float32")).requires_grad_()
    target = pn.asarray([0, 4, 11, 6, 2])
    output, loss = layer(x, target)
    logs = layer.log_prob(x)
    np.testing.assert_allclose(pn.sum(pn.exp(logs), axis=1).detach().numpy(), np.ones(5), rtol=1e-5)
    rows = logs.detach().numpy()[np.arange(5), [0, 4, 11, 6, 2]]
    np.testing.assert_allclose(output.detach().numpy(), rows, rtol=1e-5)
    assert loss.item() == pytest.approx(-rows.mean(), rel=1e-5)
    assert layer.predict(x).tolist() == logs.detach().numpy().argmax(axis=1).tolist()
    loss.backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())
    before = layer.head.weight.tolist()
    layer.reset_parameters()
    assert layer.head.weight.tolist() != before


def test_gradients_of_the_adaptive_softmax(rng: Any) -> None:
    layer = AdaptiveLogSoftmaxWithLoss(6, 9, [2, 5], dtype=pn.float64)
    target = pn.asarray([0, 8, 3, 4])
    x = pn.asarray(rng.normal(size=(4, 6)))
    assert gradcheck(lambda x: tuple(layer(x, target)), [x])
    assert gradgradcheck(lambda x: tuple(layer(x, target)), [x])


X = pn.ones((2, 3))
T = pn.zeros((2, 3))
K = pn.asarray([0, 2])
LOGS = pn.zeros((4, 2, 3))
ROWS = pn.asarray([[1, 2], [2, 1]])

# What is called, the kind of error, and parts of its message
WRONG: list[tuple[Callable[[], Any], type[Exception], tuple[str, ...]]] = [
    (lambda: l1_loss(X, T[0]), ShapeError, ("target", "l1_loss", "(2, 3)", "(3,)", "portanet.reshape")),
    (
        lambda: l1_loss(X, pn.zeros((2, 3), dtype=pn.float64)),
        DTypeError,
        ("target", "float32", "float64", "portanet.astype"),
    ),
    (lambda: l1_loss(pn.asarray([1]), pn.asarray([1])), DTypeError, ("input", "floating", "int64")),
    (lambda: l1_loss(X, [[0.0]]), DTypeError, ("target", "list", "portanet.asarray")),
    (lambda: l1_loss(X, T, "median"), OptionError, ("reduction", "'median'")),
    (lambda: l1_loss(X, T, weight=T[0]), ShapeError, ("weight", "l1_loss", "(3,)")),
    (lambda: mse_loss(X, T, weight=T[0]), ShapeError, ("weight", "mse_loss", "(3,)")),
    (lambda: mse_loss(X, T, weight=pn.ones((2, 3), dtype=pn.float64)), DTypeError, ("weight", "float64")),
    (lambda: smooth_l1_loss(X, T, beta=-1.0), OptionError, ("beta", "-1.0")),
    (lambda: SmoothL1Loss(beta=-1.0), OptionError, ("beta", "-1.0")),
    (lambda: huber_loss(X, T, delta=0.0), OptionError, ("delta", "0.0")),
    (lambda: HuberLoss(delta="1"), OptionError, ("delta", "'1'")),
    (lambda: poisson_nll_loss(X, T, eps=-1.0), OptionError, ("eps", "-1.0")),
    (lambda: PoissonNLLLoss(eps=float("nan")), OptionError, ("eps", "nan")),
    (lambda: gaussian_nll_loss(X, T, pn.ones((2, 2))), ShapeError, ("var", "(2, 3)", "(2, 2)")),
    (lambda: gaussian_nll_loss(X, T, X * -1), DataError, ("var", "-1.0")),
    (lambda: gaussian_nll_loss(X, T, -0.5), OptionError, ("var", "-0.5")),
    (lambda: gaussian_nll_loss(X, T, pn.ones((2,), dtype=pn.float64)), DTypeError, ("var", "float64")),
    (lambda: GaussianNLLLoss(eps=0.0), OptionError, ("eps", "0.0")),
    (lambda: kl_div(X, T, "batch"), OptionError, ("reduction", "'batchmean'", "'batch'")),
    (lambda: KLDivLoss("batch"), OptionError, ("reduction", "'batchmean'", "'batch'")),
    (lambda: kl_div(X, pn.asarray([[0, 1, 0], [1, 0, 0]])), DTypeError, ("target", "kl_div", "int64")),
    (lambda: nll_loss(X, T), DTypeError, ("target", "nll_loss", "float32", "portanet.int64")),
    (lambda: nll_loss(X, pn.asarray([0, 1, 2])), ShapeError, ("target", "(2,)", "(3,)")),
    (lambda: nll_loss(X, pn.asarray([0, 3])), DataError, ("target", "0 to 2", "got 3", "ignore_index")),
    (lambda: nll_loss(X, K, pn.ones((2,))), ShapeError, ("weight", "(3,)", "(2,)")),
    (lambda: nll_loss(pn.ones(()), pn.asarray(0)), ShapeError, ("input", "axis of classes")),
    (lambda: soft_margin_loss(X, T[0]), ShapeError, ("target", "soft_margin_loss")),
    (lambda: hinge_embedding_loss(X, T, margin=None), OptionError, ("margin", "None")),
    (lambda: margin_ranking_loss(X, X, T[0]), ShapeError, ("target", "input1", "(3,)")),
    (lambda: margin_ranking_loss(X, X[:1], T), ShapeError, ("input2", "(1, 3)")),
    (lambda: multi_margin_loss(X, K, 3), OptionError, ("p:", "1 or 2", "3")),
    (lambda: MultiMarginLoss(p=3), OptionError, ("p:", "1 or 2", "3")),
    (lambda: MultiMarginLoss(weight=X), ShapeError, ("weight", "(2, 3)")),
    (lambda: multi_margin_loss(X, pn.asarray([0, -1])), DataError, ("target", "got -1")),
    (lambda: multi_margin_loss(pn.ones((1, 2, 3)), K), ShapeError, ("input", "(1, 2, 3)")),
    (lambda: multilabel_margin_loss(X, T), DTypeError, ("target", "multilabel_margin_loss", "float32")),
    (lambda: multilabel_margin_loss(X, K), ShapeError, ("target", "(2,)")),
    (lambda: multilabel_margin_loss(X, pn.full((2, 3), 3)), DataError, ("target", "got 3")),
    (lambda: multilabel_soft_margin_loss(X, T, pn.ones((2,))), ShapeError, ("weight", "(2,)")),
    (lambda: cosine_embedding_loss(X, X, X), ShapeError, ("target", "(2,)", "(2, 3)")),
    (lambda: cosine_embedding_loss(X, X[:, :2], K), ShapeError, ("input1", "(2, 3)", "(2, 2)")),
    (lambda: cosine_embedding_loss(X, X[0], K), ShapeError, ("input1", "equally many axes")),
    (lambda: triplet_margin_loss(X, X, X[0]), ShapeError, ("anchor", "negative (3,)")),
    (lambda: triplet_margin_loss(X, X, X, margin=0.0), OptionError, ("margin", "triplet_margin_loss", "0.0")),
    (lambda: triplet_margin_loss(X, X, X, p="2"), OptionError, ("p:", "'2'")),
    (lambda: triplet_margin_loss(X, X, pn.ones((3, 3))), ShapeError, ("anchor", "broadcast", "(3, 3)")),
    (lambda: TripletMarginLoss(margin=-1), OptionError, ("margin", "-1")),
    (lambda: TripletMarginWithDistanceLoss(distance_function=2), OptionError, ("distance_function", "2")),
    (lambda: linear_cross_entropy(LOGS, X, K), ShapeError, ("input", "(4, 2, 3)", "portanet.reshape")),
    (lambda: linear_cross_entropy(X, pn.ones((4, 2)), K), ShapeError, ("linear_weight", "(4, 2)")),
    (
        lambda: linear_cross_entropy(X, pn.ones((4, 3)), K, linear_bias=pn.ones((3,))),
        ShapeError,
        ("linear_bias", "(4,)", "(3,)"),
    ),
    (lambda: linear_cross_entropy(X[0], pn.ones((4, 2, 3)), K), ShapeError, ("input", "batch", "(3,)")),
    (lambda: linear_cross_entropy(X, pn.ones((3, 3)), T, ignore_index=1), OptionError, ("ignore_index", "1")),
    (lambda: LinearCrossEntropyLoss(3, 4, options="auto"), OptionError, ("options", "'auto'")),
    (lambda: LinearCrossEntropyLoss(3, 4, label_smoothing=2.0), OptionError, ("label_smoothing", "2.0")),
    (lambda: ctc_loss(X[0], K, (2,), (2,)), ShapeError, ("log_probs", "(3,)")),
    (lambda: ctc_loss(LOGS, T[:, :2], (4, 4), (2, 2)), DTypeError, ("targets", "float32", "portanet.int64")),
    (lambda: ctc_loss(LOGS, ROWS, (4,), (2, 2)), ShapeError, ("input_lengths", "(2,)", "(1,)")),
    (lambda: ctc_loss(LOGS, ROWS, (5, 4), (2, 2)), DataError, ("input_lengths", "0 to 4", "got 5")),
    (lambda: ctc_loss(LOGS, ROWS, (4, 4), (2, 3)), DataError, ("target_lengths", "0 to 2", "got 3")),
    (lambda: ctc_loss(LOGS, ROWS, (4, 4), pn.asarray([2, -1])), DataError, ("target_lengths", "got -1")),
    (lambda: ctc_loss(LOGS, ROWS, (4, 4), pn.ones((2,))), DTypeError, ("target_lengths", "float32")),
    (lambda: ctc_loss(LOGS, ROWS, (4.0, 4), (2, 2)), OptionError, ("input_lengths", "4.0")),
    (lambda: ctc_loss(LOGS, ROWS[:1], (4, 4), (2, 2)), ShapeError, ("targets", "(1, 2)")),
    (lambda: ctc_loss(LOGS, ROWS[0], (4, 4), (2, 2)), ShapeError, ("targets", "4", "got 2")),
    (lambda: ctc_loss(LOGS, ROWS + 1, (4, 4), (2, 2)), DataError, ("targets", "got 3", "(2 wrong)")),
    (lambda: ctc_loss(LOGS, ROWS, (4, 4), (2, 2), 1), DataError, ("targets", "blank", "got 1")),
    (lambda: ctc_loss(LOGS, ROWS, (4, 4), (2, 2), 3), OptionError, ("blank", "3 classes", "got 3")),
    (lambda: CTCLoss(blank=-1), OptionError, ("blank", "-1")),
    (lambda: AdaptiveLogSoftmaxWithLoss(4, 5, [3, 5]), OptionError, ("cutoffs", "n_classes - 1", "[3, 5]")),
    (lambda: AdaptiveLogSoftmaxWithLoss(4, 5, [3, 2]), OptionError, ("cutoffs", "[3, 2]")),
    (lambda: AdaptiveLogSoftmaxWithLoss(4, 5, []), OptionError, ("cutoffs", "[]")),
    (lambda: AdaptiveLogSoftmaxWithLoss(4, 5, [2], div_value=0), OptionError, ("div_value", "0")),
    (lambda: AdaptiveLogSoftmaxWithLoss(4, 5, [2])(X, K), ShapeError, ("input", "(batch, 4)", "(2, 3)")),
    (lambda: AdaptiveLogSoftmaxWithLoss(3, 5, [2])(X, K + 3), DataError, ("target", "0 to 4", "got 5")),
    (lambda: AdaptiveLogSoftmaxWithLoss(3, 5, [2]).log_prob(X[0]), ShapeError, ("log_prob", "(3,)")),
    (lambda: cross_entropy(X, pn.asarray([0, 3])), DataError, ("target", "got 3")),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_errors_name_the_argument_and_what_came(case: int) -> None:
    call, kind, parts = WRONG[case]
    with pytest.raises(kind) as caught:
        call()
    for part in parts:
        assert part in str(caught.value)


def test_arrays_of_two_libraries() -> None:
    pytest.importorskip("array_api_strict", reason="a second library")
    with pn.use_backend("array-api-strict"):
        other = pn.zeros((2, 3))
    with pytest.raises(MixedBackendError, match="l1_loss"):
        l1_loss(X, other)
    with pytest.raises(MixedBackendError, match="ctc_loss"):
        ctc_loss(LOGS, ROWS, pn.asarray(other[:, 0], dtype=pn.int64), (2, 2))
