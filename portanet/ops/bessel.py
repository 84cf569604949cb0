"""Bessel functions, and ``sinc``, which is one of them.

The derivatives of each lead to a family of functions that is closed under differentiation and has a value at 0.
"""

from __future__ import annotations

from math import factorial, pi, prod

from portanet.ops.composition import apply, recorded
from portanet.ops.promotion import floating
from portanet.ops.real_functions import of_library, pick
from portanet.protocols import Array, Namespace, Op, OpResult

__all__ = ["i0", "i0e", "i1", "i1e", "sinc"]


def i0(xp: Namespace, x: Array, /) -> OpResult:
    """Modified Bessel function of order 0."""
    x = floating(xp, x)
    return of_library(xp, i0, x), (lambda g: g * apply(xp, i1, x),)


def i0e(xp: Namespace, x: Array, /) -> OpResult:
    """``exp(-abs(x)) * i0(x)``, which does not overflow; the gradient at 0 is 0."""
    x = floating(xp, x)
    r = of_library(xp, i0e, x)
    return r, (lambda g: g * (apply(xp, i1e, x) - xp.sign(x) * r),)


def i1(xp: Namespace, x: Array, /) -> OpResult:
    """Modified Bessel function of order 1."""
    x = floating(xp, x)
    r = of_library(xp, i1, x)
    return r, (lambda g: g * (apply(xp, i0, x) - apply(xp, bessel_over_power, x, order=1, scaled=False)),)


def i1e(xp: Namespace, x: Array, /) -> OpResult:
    """``exp(-abs(x)) * i1(x)``, which does not overflow."""
    x = floating(xp, x)
    r = of_library(xp, i1e, x)

    def vjp(g: Array) -> Array:
        return g * (
            apply(xp, i0e, x) - apply(xp, bessel_over_power, x, order=1, scaled=True) - xp.sign(x) * r
        )

    return r, (vjp,)


def bessel_over_power(xp: Namespace, x: Array, *, order: int, scaled: bool) -> OpResult:
    """``I_n(x) / x**n`` for the modified Bessel function of order ``n >= 1``; scaled: times ``exp(-abs(x))``.

    Its derivative is ``x`` times that of the next order (Abramowitz and Stegun, 9.6.28), so derivatives of all orders
    are right at 0. Near 0 it is the power series, elsewhere the recurrence from orders 0 and 1.
    """
    function = recorded(xp, bessel_over_power)
    if function is not None:
        r = function(x, order=order, scaled=scaled)
    else:
        r = _bessel_over_power(xp, x, order, i0e if scaled else i0, i1e if scaled else i1)

    def vjp(g: Array) -> Array:
        slope = x * apply(xp, bessel_over_power, x, order=order + 1, scaled=scaled)
        return g * (slope - xp.sign(x) * r if scaled else slope)

    return r, (vjp,)


def _bessel_over_power(xp: Namespace, x: Array, order: int, of_order_0: Op, of_order_1: Op) -> Array:
    if order == 1:
        zero = x == 0
        return pick(xp, ~zero, apply(xp, of_order_1, x) / pick(xp, ~zero, x, 1.0), 0.5)
    size = xp.abs(x)
    until = 2.0 * order + 4.0
    near = size < until
    quarter = pick(xp, near, x, 0.0)
    quarter = quarter * quarter * 0.25
    series = xp.ones_like(x)
    for k in range(20 + 4 * order, 0, -1):
        series = series * quarter / (k * (k + order)) + 1
    series = series * (0.5**order / factorial(order))
    if of_order_0 is i0e:
        series = series * xp.exp(-size)
    far = pick(xp, ~near, size, until)
    last, r = apply(xp, of_order_0, far), apply(xp, of_order_1, far) / far
    for n in range(1, order):
        last, r = r, (last - 2 * n * r) / far / far
    return xp.where(near, series, r)


def sinc(xp: Namespace, x: Array, /) -> OpResult:
    """``sin(pi * x) / (pi * x)``, 1 at 0."""
    x = floating(xp, x)
    t = x * pi
    zero = t == 0
    r = pick(xp, ~zero, xp.sin(t) / pick(xp, ~zero, t, 1.0), 1.0)
    return r, (lambda g: g * (-pi * t * apply(xp, spherical_bessel_over_power, t, order=1)),)


def spherical_bessel_over_power(xp: Namespace, x: Array, *, order: int) -> OpResult:
    """``j_n(x) / x**n`` for the spherical Bessel function of order ``n >= 1``.

    Its derivative is ``-x`` times that of the next order (Abramowitz and Stegun, 10.1.24), so derivatives of all orders
    are right at 0. Near 0 it is the power series, elsewhere the recurrence from ``cos(x)`` and ``sin(x) / x``.
    """
    function = recorded(xp, spherical_bessel_over_power)
    r = _spherical_over_power(xp, x, order) if function is None else function(x, order=order)

    def vjp(g: Array) -> Array:
        return g * (-x * apply(xp, spherical_bessel_over_power, x, order=order + 1))

    return r, (vjp,)


def _spherical_over_power(xp: Namespace, x: Array, order: int) -> Array:
    near = xp.abs(x) < order
    half = pick(xp, near, x, 0.0)
    half = half * half * 0.5
    series = xp.ones_like(x)
    for k in range(9 + 3 * order, 0, -1):
        series = 1 - series * half / (k * (2 * order + 2 * k + 1))
    series = series / prod(range(1, 2 * order + 2, 2))
    far = pick(xp, ~near, x, 1.0)
    last, r = xp.cos(far), xp.sin(far) / far
    for n in range(order):
        last, r = r, ((2 * n + 1) * r - last) / far / far
    return xp.where(near, series, r)
