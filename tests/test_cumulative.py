"""Running sums and products, differences, and the product of all: what their samples do not say."""

from __future__ import annotations

import inspect
from collections import Counter
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import OptionError, ShapeError
from portanet.ops import cumulative, reductions
from portanet.testing import gradcheck, gradgradcheck

ZEROS = [[2.0, 3.0, -1.5, 0.5, 4.0], [2.0, 0.0, 3.0, -1.0, 1.5], [0.0, 2.0, 0.0, 3.0, 0.5], [0.0] * 5]
"""Rows with no zero, one, two, and nothing else."""


def test_names_and_places_of_arguments_are_the_standards() -> None:
    for name, options in [
        ("cumulative_sum", {"axis": None, "dtype": None, "include_initial": False}),
        ("cumulative_prod", {"axis": None, "dtype": None, "include_initial": False}),
        ("diff", {"axis": -1, "n": 1, "prepend": None, "append": None}),
    ]:
        first, *others = inspect.signature(getattr(pn, name)).parameters.values()
        assert first.kind == first.POSITIONAL_ONLY
        assert {p.name: p.default for p in others} == options


# Zeros


@pytest.mark.parametrize("include_initial", [False, True])
def test_gradients_of_running_products_with_zeros(include_initial: bool, eager: str, rng: Any) -> None:
    """To the third order, of every row, against finite differences of polynomials."""
    for row in ZEROS:
        weights = pn.asarray(rng.normal(size=len(row) + include_initial))

        def function(x: Any, weights: Any = weights) -> Any:
            return pn.sum(weights * pn.cumulative_prod(x, include_initial=include_initial))

        def slope(x: Any, function: Any = function) -> Any:
            return pn.grad(function(x), x, create_graph=True)[0]

        x = pn.asarray(row, dtype=pn.float64)
        assert gradcheck(function, x)
        assert gradgradcheck(function, x)
        assert gradgradcheck(slope, x)


def test_gradients_of_the_product_with_zeros(eager: str) -> None:
    for row in ZEROS:

        def slope(x: Any) -> Any:
            return pn.grad(pn.prod(x), x, create_graph=True)[0]

        x = pn.asarray(row, dtype=pn.float64)
        assert gradcheck(pn.prod, x)
        assert gradgradcheck(pn.prod, x)
        assert gradgradcheck(slope, x)


def test_derivatives_of_the_product_are_products_of_the_others(backend: str) -> None:
    """Of the numbers 0, 2, 0, 3: the first derivative vanishes, and the only second one that does not is 2 * 3."""
    x = pn.Tensor([0.0, 2.0, 0.0, 3.0], requires_grad=True)
    (first,) = pn.grad(pn.prod(x), x, create_graph=True)
    assert first.tolist() == [0, 0, 0, 0]
    (second,) = pn.grad(first[0], x, create_graph=True)
    assert second.tolist() == [0, 0, 6, 0]
    (third,) = pn.grad(second[2], x)
    assert third.tolist() == [0, 3, 0, 2]


def test_derivatives_of_running_products_exactly(backend: str) -> None:
    x = pn.Tensor([2.0, 0.0, 3.0, 5.0], requires_grad=True)
    weights = pn.asarray([1.0, 10.0, 100.0, 1000.0])
    (first,) = pn.grad(pn.cumulative_prod(x), x, weights, create_graph=True)
    assert first.tolist() == [1, 2 * 10 + 6 * 100 + 30 * 1000, 0, 0]
    (second,) = pn.grad(first[1], x)
    assert second.tolist() == [10 + 3 * 100 + 15 * 1000, 0, 2 * 100 + 10 * 1000, 6 * 1000]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 8, 9, 31, 64, 100])
def test_gradients_of_running_products_of_any_length(length: int, rng: Any) -> None:
    """Against the sums written out, with a zero somewhere."""
    x = rng.uniform(0.5, 1.5, length) * rng.choice([-1.0, 1.0], length)
    x[rng.integers(length)] = 0.0
    g = rng.normal(size=length)
    expected = np.zeros(length)
    for j in range(length):
        others = x.copy()
        others[j] = 1.0
        expected[j] = np.sum((g * np.cumprod(others))[j:])
    t = pn.Tensor(x, requires_grad=True)
    pn.cumulative_prod(t).backward(pn.asarray(g))
    np.testing.assert_allclose(t.grad.numpy(), expected, rtol=1e-9, atol=1e-9 * np.max(np.abs(expected)))


class Counting:
    """NumPy, with a count of the calls of each function."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(np, name)


def test_long_axes_take_few_steps(rng: Any) -> None:
    """As many as the length has binary digits, and for the product of all always the same number."""
    xp = Counting()
    x = rng.uniform(0.9, 1.1, size=1000)
    _, (vjp,) = cumulative.cumulative_prod(xp, x)
    assert vjp(np.ones(1000)).shape == (1000,)
    assert xp.calls["concat"] <= 11
    counts = []
    for length in (3, 1000):
        xp = Counting()
        _, (vjp,) = reductions.prod(xp, x[:length])
        vjp(np.asarray(1.0))
        counts.append(xp.calls)
    assert counts[0] == counts[1]


# Data types


def test_integers_are_summed_in_64_bits(backend: str) -> None:
    for name, narrow, wide in [
        ("cumulative_sum", "int8", "int64"),
        ("cumulative_sum", "uint8", "uint64"),
        ("cumulative_sum", "int64", "int64"),
        ("cumulative_sum", "bool", "int64"),
        ("cumulative_prod", "int16", "int64"),
        ("cumulative_prod", "uint8", "uint64"),
    ]:
        values = np.asarray([1] * 3 if narrow == "bool" else [100, 101, 99], dtype=narrow)
        for include_initial in (False, True):
            found = getattr(pn, name)(pn.asarray(values), include_initial=include_initial)
            assert found.dtype == getattr(pn, wide)
            expected = getattr(np, name)(values.astype(wide), include_initial=include_initial)
            np.testing.assert_array_equal(found.numpy(), expected)


def test_a_data_type_may_be_asked_for(backend: str) -> None:
    x = pn.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    for name in ("cumulative_sum", "cumulative_prod"):
        function = getattr(pn, name)
        assert function(x).dtype == pn.float32
        wide = function(x, dtype=pn.float64)
        assert wide.dtype == pn.float64
        (gradient,) = pn.grad(wide, x, pn.ones_like(wide))
        assert gradient.dtype == pn.float32
        whole = function(x, dtype=pn.int64)
        assert whole.dtype == pn.int64
        assert not whole.requires_grad
        assert function(pn.asarray([1, 2]), dtype=pn.float64).dtype == pn.float64
    (gradient,) = pn.grad(pn.prod(x, dtype=pn.float64), x)
    assert gradient.dtype == pn.float32
    assert gradient.tolist() == [6, 3, 2]


# Differences


def test_differences_undo_running_sums(backend: str, rng: Any) -> None:
    values = rng.normal(size=(3, 4))
    x = pn.asarray(values)
    found = pn.diff(pn.cumulative_sum(x, axis=1, include_initial=True), axis=1)
    np.testing.assert_allclose(found.numpy(), values, rtol=1e-12, atol=1e-14)
    found = pn.cumulative_sum(pn.diff(x, axis=0, prepend=pn.zeros((1, 4), dtype=pn.float64)), axis=0)
    np.testing.assert_allclose(found.numpy(), values, rtol=1e-12, atol=1e-14)


def test_differences_of_integers(backend: str) -> None:
    x = pn.asarray([1, 4, 9, 16])
    found = pn.diff(x, n=2, append=pn.asarray([25]))
    assert found.dtype == pn.int64
    assert found.tolist() == [2, 2, 2]
    assert pn.diff(x, prepend=pn.asarray([0.5])).tolist() == [0.5, 3, 5, 7]


def test_the_gradient_reaches_what_is_put_before_and_after(backend: str) -> None:
    before, x, after = (pn.Tensor([value], requires_grad=True) for value in (1.0, 2.0, 4.0))
    pn.diff(x, prepend=before, append=after).backward(pn.asarray([1.0, 10.0]))
    assert [before.grad.tolist(), x.grad.tolist(), after.grad.tolist()] == [[-1], [-9], [10]]


# What is refused


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod", "diff"])
def test_bad_axes(name: str, backend: str) -> None:
    function = getattr(pn, name)
    with pytest.raises(ShapeError, match=f"{name}: expected an array with at least one axis"):
        function(pn.asarray(1.0))
    with pytest.raises(IndexError, match="axis: 2 is out of range for 2 dimensions"):
        function(pn.ones((2, 3)), axis=2)
    if name != "diff":
        with pytest.raises(ValueError, match="axis: must be given for an array of 2 dimensions"):
            function(pn.ones((2, 3)))


def test_bad_arguments_of_diff(backend: str) -> None:
    x = pn.ones((2, 3))
    for wrong in (-1, 1.5):
        with pytest.raises(OptionError, match="n: expected a whole number of at least 0"):
            pn.diff(x, n=wrong)
    with pytest.raises(ShapeError, match="prepend: expected an array of 2 axes, as x has, got shape"):
        pn.diff(x, prepend=pn.ones((2,)))
    with pytest.raises(ShapeError, match="append: expected an array of 2 axes"):
        pn.diff(x, append=0.0)
