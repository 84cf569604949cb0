"""Losses against PyTorch's on fresh random inputs: value, and the gradient of every argument that has one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")

pytestmark = pytest.mark.parametrize("backend_name", ["numpy", "array-api-strict"])
REDUCTIONS = pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
SHAPES = pytest.mark.parametrize("shape", [(7,), (5, 3), (2, 3, 4)])


@pytest.fixture(autouse=True)
def _backend(backend_name: str) -> Any:
    if backend_name != "numpy":
        pytest.importorskip("array_api_strict", reason="proves the ops on the bare standard")
    with pn.use_backend(backend_name, strict=True):
        yield


def compare(
    rng: Any, name: str, options: dict[str, Any], arrays: list[Any], reduction: str, differentiable: int
) -> None:
    """Call both losses, options that are arrays included, and compare what comes out and what flows back."""
    mine = [pn.asarray(array) for array in arrays]
    its = [torch.tensor(array) for array in arrays]
    for tensors in (mine, its):
        for tensor in tensors[:differentiable]:
            tensor.requires_grad_()
    my_options = {k: pn.asarray(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    its_options = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    found = getattr(pn.nn, name)(**my_options, reduction=reduction)(*mine)
    expected = getattr(torch.nn, name)(**its_options, reduction=reduction)(*its)
    scale = (
        1.0 if arrays[0].size < 10 else 0.0
    )  # the size of the inputs; a few losses may all come out near 0
    assert_near(found, expected, "loss", scale=scale)
    cotangent = np.asarray(rng.normal(size=tuple(expected.shape)), arrays[0].dtype)
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))
    for place, (tensor, other) in enumerate(zip(mine[:differentiable], its, strict=False)):
        assert_near(tensor.grad, other.grad, f"gradient of argument {place}", scale=scale)


@DTYPES
@SHAPES
@REDUCTIONS
def test_mse_loss(rng: Any, reduction: str, shape: tuple[int, ...], dtype: str) -> None:
    arrays = [rng.normal(size=shape).astype(dtype) for _ in range(2)]
    compare(rng, "MSELoss", {}, arrays, reduction, 2)


@DTYPES
@SHAPES
@REDUCTIONS
@pytest.mark.parametrize("weighted", [False, True])
def test_bce_loss(rng: Any, weighted: bool, reduction: str, shape: tuple[int, ...], dtype: str) -> None:
    probabilities = rng.uniform(0.01, 0.99, size=shape).astype(dtype)
    targets = rng.random(shape).astype(dtype)
    options = {"weight": rng.uniform(0.5, 2, size=shape[-1:]).astype(dtype)} if weighted else {}
    compare(rng, "BCELoss", options, [probabilities, targets], reduction, 2)


@DTYPES
@SHAPES
@REDUCTIONS
@pytest.mark.parametrize("factors", [(), ("weight",), ("pos_weight",), ("weight", "pos_weight")], ids=str)
def test_bce_with_logits_loss(
    rng: Any, factors: tuple[str, ...], reduction: str, shape: tuple[int, ...], dtype: str
) -> None:
    logits, targets = 4 * rng.normal(size=shape), rng.random(shape)
    options = {name: rng.uniform(0.5, 2, size=shape[-1:]).astype(dtype) for name in factors}
    compare(rng, "BCEWithLogitsLoss", options, [logits.astype(dtype), targets.astype(dtype)], reduction, 2)


@DTYPES
@REDUCTIONS
@pytest.mark.parametrize("shape", [(4,), (6, 4), (2, 4, 3), (2, 4, 3, 2)])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_of_indices(
    rng: Any, weighted: bool, label_smoothing: float, shape: tuple[int, ...], reduction: str, dtype: str
) -> None:
    logits = 3 * rng.normal(size=shape).astype(dtype)
    targets = rng.integers(0, 4, (shape[0], *shape[2:]) if len(shape) > 1 else ())
    options: dict[str, Any] = {"label_smoothing": label_smoothing}
    if weighted:
        options["weight"] = rng.uniform(0.5, 2, 4).astype(dtype)
    if len(shape) > 1:
        targets.ravel()[:2] = 1, 3
        options["ignore_index"] = 3
    compare(rng, "CrossEntropyLoss", options, [logits, np.asarray(targets)], reduction, 1)


@DTYPES
@REDUCTIONS
@pytest.mark.parametrize("shape", [(4,), (6, 4), (2, 4, 3)])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_of_probabilities(
    rng: Any, weighted: bool, label_smoothing: float, shape: tuple[int, ...], reduction: str, dtype: str
) -> None:
    arrays = [3 * rng.normal(size=shape).astype(dtype), rng.random(shape).astype(dtype)]
    options: dict[str, Any] = {"label_smoothing": label_smoothing}
    if weighted:
        options["weight"] = rng.uniform(0.5, 2, 4).astype(dtype)
    compare(rng, "CrossEntropyLoss", options, arrays, reduction, 2)


@REDUCTIONS
def test_extreme_inputs(rng: Any, reduction: str) -> None:
    x = np.array([-1e4, -200.0, -20.0, 0.0, 20.0, 200.0, 1e4], "float32")
    for label in (0.0, 0.5, 1.0):
        compare(rng, "BCEWithLogitsLoss", {}, [x, np.full_like(x, label)], reduction, 1)
        compare(rng, "MSELoss", {}, [x, np.full_like(x, label)], reduction, 2)
        p = np.array([0.0, 1.0, 1e-30, 0.5], "float32")
        compare(rng, "BCELoss", {}, [p, np.full_like(p, label)], reduction, 1)
    rows = np.stack([x, -x, np.zeros_like(x), np.full_like(x, 1e4)])
    for smoothing in (0.0, 0.1):
        compare(
            rng,
            "CrossEntropyLoss",
            {"label_smoothing": smoothing},
            [rows, np.array([0, 6, 3, 2])],
            reduction,
            1,
        )
    forbidden = np.where(np.arange(7) % 2, -np.inf, rows).astype("float32")
    compare(rng, "CrossEntropyLoss", {}, [forbidden, np.array([0, 6, 4, 2])], reduction, 1)


def test_the_gradient_of_class_weights(rng: Any) -> None:
    """Where PyTorch has one: with probabilities as targets."""
    logits, targets = rng.normal(size=(2, 5, 4))
    weight = rng.uniform(0.5, 2, 4)
    for reduction in ("none", "mean", "sum"):
        mine = pn.asarray(weight).requires_grad_()
        its = torch.tensor(weight, requires_grad=True)
        found = pn.nn.functional.cross_entropy(
            pn.asarray(logits), pn.asarray(targets), mine, reduction=reduction
        )
        expected = torch.nn.functional.cross_entropy(
            torch.tensor(logits), torch.tensor(targets), its, reduction=reduction
        )
        found.sum().backward()
        expected.sum().backward()
        assert_near(mine.grad, its.grad)


@pytest.mark.parametrize("options", [{}, {"weight": [1.0, 2.0, 3.0]}, {"label_smoothing": 0.1}], ids=str)
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4)])
def test_where_every_target_is_ignored_the_mean_is_none_and_nothing_is_learnt(
    shape: tuple[int, ...], options: dict[str, Any], backend: str, rng: Any
) -> None:
    values = rng.normal(size=shape).astype(np.float32)
    target = np.full((shape[0], *shape[2:]), -100)
    mine, its = pn.Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    for library, x, asarray in ((pn, mine, pn.asarray), (torch, its, torch.tensor)):
        arguments = {k: asarray(v) if k == "weight" else v for k, v in options.items()}
        loss = library.nn.functional.cross_entropy(x, asarray(target), **arguments)
        assert np.isnan(loss.item())
        loss.backward()
    np.testing.assert_array_equal(mine.grad.numpy(), its.grad.numpy())
    np.testing.assert_array_equal(mine.grad.numpy(), np.zeros(shape))
