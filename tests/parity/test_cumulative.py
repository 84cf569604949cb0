"""Sorting, running sums and products, differences and repeats against PyTorch, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="it is what these tests compare with")

SHAPE = (4, 5, 3)


def with_zeros(x: Any) -> Any:
    """Every line along the second axis gets a zero, every second one two."""
    x = x.copy()
    x[:, 1] = 0.0
    x[::2, 3] = 0.0
    return x


def repeated(counts: list[int]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    return (
        lambda x: pn.repeat(x, pn.asarray(counts), axis=1),
        lambda x: torch.repeat_interleave(x, torch.tensor(counts), dim=1),
    )


CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "cumulative_sum": (lambda x: pn.cumulative_sum(x, axis=1), lambda x: torch.cumsum(x, 1)),
    "cumulative_prod": (lambda x: pn.cumulative_prod(x, axis=-2), lambda x: torch.cumprod(x, 1)),
    "prod": (lambda x: pn.prod(x, axis=1), lambda x: torch.prod(x, 1)),
    "prod keepdims": (
        lambda x: pn.prod(x, axis=1, keepdims=True),
        lambda x: torch.prod(x, 1, keepdim=True),
    ),
    "sort": (lambda x: pn.sort(x, axis=0), lambda x: torch.sort(x, dim=0, stable=True).values),
    "sort descending": (
        lambda x: pn.sort(x, descending=True),
        lambda x: torch.sort(x, descending=True, stable=True).values,
    ),
    "diff": (lambda x: pn.diff(x, axis=1, n=2), lambda x: torch.diff(x, n=2, dim=1)),
    "diff with ends": (
        lambda x: pn.diff(x, axis=0, prepend=x * x, append=x[:1, ...]),
        lambda x: torch.diff(x, dim=0, prepend=x * x, append=x[:1]),
    ),
    "repeat": (lambda x: pn.repeat(x, 3, axis=-1), lambda x: torch.repeat_interleave(x, 3, dim=-1)),
    "repeat flattened": (lambda x: pn.repeat(x, 2), lambda x: torch.repeat_interleave(x, 2)),
    "repeat by counts": repeated([2, 0, 1, 3, 1]),
    "tile": (lambda x: pn.tile(x, (2, 1, 3)), lambda x: torch.tile(x, (2, 1, 3))),
    "tile with more axes": (lambda x: pn.tile(x, (3, 1, 2, 1)), lambda x: torch.tile(x, (3, 1, 2, 1))),
    "unstack": (
        lambda x: pn.prod(pn.stack(pn.unstack(x, axis=1)[1:]), axis=0),
        lambda x: torch.prod(torch.stack(torch.unbind(x, 1)[1:]), 0),
    ),
    "meshgrid": (
        lambda x: pn.meshgrid(x[0, :, 0], x[1, :, 1])[0] * pn.meshgrid(x[0, :, 0], x[1, :, 1])[1],
        lambda x: torch.prod(torch.stack(torch.meshgrid(x[0, :, 0], x[1, :, 1], indexing="xy")), 0),
    ),
}


@DTYPES
@pytest.mark.parametrize("zeros", [False, True], ids=["", "zeros"])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_pytorchs(
    name: str, zeros: bool, dtype: str, backend: str, rng: Any
) -> None:
    """With zeros, too, where elements are multiplied; and ties, where they are sorted."""
    ours, theirs = CASES[name]
    if backend == "jax" and (dtype == "float64" or zeros):
        pytest.skip("JAX compiles each op for each type")
    values = rng.normal(size=SHAPE).astype(dtype)
    values = with_zeros(values) if zeros else values
    x, t = pn.Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    y, expected = ours(x), theirs(t)
    assert_near(y, expected, name, scale=1.0)
    cotangent = np.asarray(rng.normal(size=y.shape)).astype(dtype)
    (found,) = pn.grad(y, x, pn.asarray(cotangent))
    (true,) = torch.autograd.grad(expected, t, torch.from_numpy(cotangent))
    assert_near(found, true, name, scale=1.0)


@DTYPES
@pytest.mark.parametrize("zeros", [False, True], ids=["", "zeros"])
@pytest.mark.parametrize("name", ["cumulative_prod", "prod", "sort", "repeat", "tile", "diff with ends"])
def test_second_gradients_are_pytorchs(name: str, zeros: bool, dtype: str, backend: str, rng: Any) -> None:
    """Of ``sum(w * f(x) ** 2)``: the gradient of a random product with its gradient."""
    if backend == "jax":
        pytest.skip("JAX compiles each op for each shape")
    ours, theirs = CASES[name]
    values = rng.normal(size=SHAPE).astype(dtype)
    values = with_zeros(values) if zeros else values
    x, t = pn.Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    y, expected = ours(x), theirs(t)
    weights, direction = (np.asarray(rng.normal(size=s)).astype(dtype) for s in (y.shape, SHAPE))
    (first,) = pn.grad(pn.sum(pn.asarray(weights) * y * y), x, create_graph=True)
    (second,) = pn.grad(pn.sum(first * pn.asarray(direction)), x)
    (first_true,) = torch.autograd.grad((torch.from_numpy(weights) * expected**2).sum(), t, create_graph=True)
    (true,) = torch.autograd.grad((first_true * torch.from_numpy(direction)).sum(), t)
    assert_near(first, first_true, name, scale=1.0)
    assert_near(second, true, name, scale=1.0)


@DTYPES
@pytest.mark.parametrize("descending", [False, True])
def test_indices_are_pytorchs(descending: bool, dtype: str, backend: str, rng: Any) -> None:
    values = np.round(rng.normal(size=(3, 40)), 1).astype(dtype)
    found = pn.argsort(pn.asarray(values), descending=descending)
    expected = torch.argsort(torch.from_numpy(values), descending=descending, stable=True)
    np.testing.assert_array_equal(found.numpy(), expected.numpy())
    edges = np.sort(rng.normal(size=10)).astype(dtype)
    for right in (False, True):
        found = pn.searchsorted(pn.asarray(edges), pn.asarray(values), side="right" if right else "left")
        expected = torch.searchsorted(torch.from_numpy(edges), torch.from_numpy(values), right=right)
        np.testing.assert_array_equal(found.numpy(), expected.numpy())


@DTYPES
@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
def test_running_sums_and_products_over_a_long_axis(name: str, dtype: str, rng: Any) -> None:
    """Three hundred elements of size near 1, some of them 0."""
    values = (rng.uniform(0.95, 1.05, 300) * rng.choice([-1.0, 1.0], 300)).astype(dtype)
    values[rng.integers(0, 300, 2)] = 0.0
    cotangent = rng.normal(size=300).astype(dtype)
    x, t = pn.Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    y, expected = (
        getattr(pn, name)(x),
        {"cumulative_sum": torch.cumsum, "cumulative_prod": torch.cumprod}[name](t, 0),
    )
    assert_near(y, expected, scale=float(np.abs(values).sum()))
    (found,) = pn.grad(y, x, pn.asarray(cotangent))
    (true,) = torch.autograd.grad(expected, t, torch.from_numpy(cotangent))
    assert_near(found, true, scale=float(np.abs(cotangent).sum()))
