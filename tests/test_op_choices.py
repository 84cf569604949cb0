"""Gradients that are a choice, such as those of ties, and values at the ends of a range: exact numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn

F = pn.nn.functional


# Where a gradient is a choice: exact values


def exact(function: Any, values: Any, expected: Any, cotangent: Any = None) -> None:
    x = pn.Tensor(values, dtype=pn.float64, requires_grad=True)
    y = function(x)
    y.backward(pn.ones_like(y) if cotangent is None else pn.asarray(cotangent, dtype=pn.float64))
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), np.asarray(expected, dtype="f8"))


def exact_second(function: Any, values: Any, expected: Any) -> None:
    """The second derivative of an elementwise function."""
    x = pn.Tensor(values, dtype=pn.float64, requires_grad=True)
    (first,) = pn.grad(pn.sum(function(x)), x, create_graph=True)
    if first.requires_grad:
        (second,) = pn.grad(pn.sum(first), x, allow_unused=True)
    else:
        second = None
    np.testing.assert_array_equal(0.0 if second is None else second.numpy(), np.asarray(expected, dtype="f8"))


def test_abs_at_zero(backend: str) -> None:
    exact(pn.abs, [-2.0, 0.0, 3.0], [-1, 0, 1])
    exact_second(pn.abs, [-2.0, 0.0, 3.0], 0)


def test_relu_at_zero(backend: str) -> None:
    exact(F.relu, [-2.0, 0.0, 3.0], [0, 0, 1])
    exact_second(F.relu, [-2.0, 0.0, 3.0], 0)


def test_sigmoid_at_zero_and_far_away(backend: str) -> None:
    far = [0.0, 1000.0, -1000.0]
    np.testing.assert_array_equal(F.sigmoid(pn.asarray(far)).numpy(), np.asarray([0.5, 1, 0], dtype="f4"))
    exact(F.sigmoid, far, [0.25, 0, 0])
    exact_second(F.sigmoid, far, [0, 0, 0])
    x = pn.Tensor(0.0, dtype=pn.float64, requires_grad=True)
    (first,) = pn.grad(F.sigmoid(x), x, create_graph=True)
    (second,) = pn.grad(first, x, create_graph=True)
    (third,) = pn.grad(second, x)
    assert third.item() == -0.125


def test_softplus_at_zero_and_far_away(backend: str) -> None:
    far = [0.0, 1000.0, -1000.0]
    values = F.softplus(pn.asarray(far, dtype=pn.float64)).numpy()
    np.testing.assert_allclose(values, [np.log(2), 1000, 0], rtol=1e-15)
    exact(F.softplus, far, [0.5, 1, 0])
    exact_second(F.softplus, far, [0.25, 0, 0])


def test_softmax_far_away(backend: str) -> None:
    x = pn.Tensor([[1000.0, 0.0, -1000.0]], dtype=pn.float64, requires_grad=True)
    np.testing.assert_array_equal(F.softmax(x, dim=1).detach().numpy(), [[1, 0, 0]])
    log_p = F.log_softmax(x, dim=1)
    np.testing.assert_array_equal(log_p.detach().numpy(), [[0, -1000, -2000]])
    log_p.backward(pn.asarray([[0.0, 1.0, 0.0]], dtype=pn.float64))
    np.testing.assert_array_equal(x.grad.numpy(), [[-1, 1, 0]])


@pytest.mark.parametrize(("function", "winner"), [(pn.maximum, 1.0), (pn.minimum, 0.0)])
def test_maximum_and_minimum_share_a_tie(function: Any, winner: float, backend: str) -> None:
    y = pn.asarray([1.0, 2.0, 3.0], dtype=pn.float64)
    exact(lambda x: function(x, y), [2.0, 2.0, 2.0], [winner, 0.5, 1 - winner])
    exact(lambda x: function(y, x), [2.0, 2.0, 2.0], [winner, 0.5, 1 - winner])
    exact(lambda x: function(x, x), [2.0, -1.0], [1, 1])
    exact(lambda x: function(x, 2.0), [1.0, 2.0, 3.0], [1 - winner, 0.5, winner])
    exact_second(lambda x: function(x, 2.0), [1.0, 2.0, 3.0], 0)


@pytest.mark.parametrize(("function", "sign"), [(pn.max, 1.0), (pn.min, -1.0)])
def test_max_and_min_share_ties(function: Any, sign: float, backend: str) -> None:
    values = sign * np.asarray([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [1.0, 3.0, 2.0]])
    rows = [[0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3], [0, 1, 0]]
    exact(lambda x: function(x, axis=1), values, rows)
    exact(lambda x: function(x, axis=-1, keepdims=True), values, rows)
    exact(lambda x: function(x), values, [[0, 1 / 3, 1 / 3], [0, 0, 0], [0, 1 / 3, 0]])
    exact(lambda x: function(x, axis=(0, 1)), values, [[0, 1 / 3, 1 / 3], [0, 0, 0], [0, 1 / 3, 0]])


def test_clip_passes_the_gradient_at_its_bounds(backend: str) -> None:
    values = [-2.0, -1.0, 0.0, 1.0, 2.0]
    exact(lambda x: pn.clip(x, -1, 1), values, [0, 1, 1, 1, 0])
    exact(lambda x: pn.clip(x, min=-1.0), values, [0, 1, 1, 1, 1])
    exact(lambda x: pn.clip(x, max=1.0), values, [1, 1, 1, 1, 0])
    bound = pn.zeros((5,), dtype=pn.float64)
    exact(lambda low: pn.clip(pn.asarray(values, dtype=pn.float64), min=low), bound, [1, 1, 0, 0, 0])
    exact(lambda high: pn.clip(pn.asarray(values, dtype=pn.float64), max=high), bound, [0, 0, 0, 1, 1])


def test_powers_of_zero(backend: str) -> None:
    zeros = [0.0, 0.0]
    exact(lambda x: x**2, zeros, [0, 0])
    exact(lambda x: x**1, zeros, [1, 1])
    exact(lambda x: x**0, zeros, [0, 0])
    exact_second(lambda x: x**2, zeros, [2, 2])
    exact_second(lambda x: x**1, zeros, [0, 0])
    exact_second(lambda x: x**3, zeros, [0, 0])
    powers = pn.asarray([0.0, 1.0], dtype=pn.float64)
    exact(lambda x: x**powers, zeros, [0, 1])
    # with respect to the exponent: 0 ** y is 0 for every y > 0
    exact(lambda y: pn.zeros((2,), dtype=pn.float64) ** y, [1.0, 2.0], [0, 0])
    exact(lambda y: 0.0**y, [1.0, 2.0], [0, 0])


def test_negative_bases_have_a_gradient_if_the_exponent_wants_none(backend: str) -> None:
    exact(lambda x: x**3, [-2.0], [12])
    exact(lambda x: x ** pn.asarray([3.0], dtype=pn.float64), [-2.0], [12])


def test_a_product_with_zeros(backend: str) -> None:
    exact(pn.prod, [0.0, 2.0, 3.0], [6, 0, 0])
    exact(pn.prod, [0.0, 0.0, 3.0], [0, 0, 0])
    exact(pn.prod, [0.0], [1])


def test_standard_deviation_of_equal_values(backend: str) -> None:
    """Its gradient has no limit there; 0 does no harm where infinity times 0 would spread NaN."""
    exact(pn.std, [2.0, 2.0, 2.0], [0, 0, 0])
    exact(lambda x: pn.std(x, axis=1), [[1.0, 1.0], [0.0, 4.0]], [[0, 0], [-0.5, 0.5]])
    exact(lambda x: pn.var(x, correction=1.0), [2.0, 2.0], [0, 0])


def test_remainder_follows_the_divisor(backend: str) -> None:
    y = pn.asarray(3.0, dtype=pn.float64)
    assert (pn.asarray([-7.0, 7.0], dtype=pn.float64) % y).tolist() == [2.0, 1.0]
    exact(lambda y: pn.asarray([-7.0, 7.0], dtype=pn.float64) % y, [3.0, 3.0], [3, -2])


# Selections do not spread what they leave out


def test_where_does_not_spread_infinity(backend: str) -> None:
    x = pn.Tensor([0.0, 4.0], dtype=pn.float64, requires_grad=True)
    safe = pn.where(x > 0, x, pn.ones_like(x))
    y = pn.where(x > 0, pn.log(safe), pn.zeros_like(x))
    y.backward(pn.ones_like(y))
    np.testing.assert_array_equal(x.grad.numpy(), [0, 0.25])


@pytest.mark.parametrize("number", [0, 0.0, -1.5, True])
def test_where_takes_numbers(number: Any, backend: str) -> None:
    x = pn.asarray([1.0, 2.0])
    condition = pn.asarray([True, False])
    if number is True:
        assert pn.where(condition, condition, number).tolist() == [True, True]
        return
    for found, expected in [
        (pn.where(condition, x, number), [1.0, number]),
        (pn.where(condition, number, x), [number, 2.0]),
    ]:
        assert found.dtype == pn.float32
        assert found.tolist() == expected


def test_a_masked_class_costs_nothing(backend: str) -> None:
    """A logit of minus infinity forbids a class; a target that is another one has a finite loss and gradient."""
    x = pn.Tensor([[-np.inf, 0.0, 0.0]], dtype=pn.float64, requires_grad=True)
    loss = F.cross_entropy(x, pn.asarray([1]))
    assert loss.item() == pytest.approx(np.log(2), rel=1e-15)
    loss.backward()
    np.testing.assert_allclose(x.grad.numpy(), [[0, -0.5, 0.5]], atol=1e-15)


def test_certain_probabilities(backend: str) -> None:
    """Binary cross entropy at exactly 0 and 1: the logarithm stops at -100."""
    x = pn.asarray([0.0, 1.0, 0.0, 1.0], dtype=pn.float64)
    target = pn.asarray([0.0, 1.0, 1.0, 0.0], dtype=pn.float64)
    found = F.binary_cross_entropy(x, target, reduction="none").numpy()
    np.testing.assert_array_equal(found, [0, 0, 100, 100])
