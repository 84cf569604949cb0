"""Activations as single ops, so that forward and gradient are each one short chain.

At a kink the gradient is PyTorch's: that of the side to which its comparison gives the point. Nothing overflows on the
way to a finite result.
"""

from __future__ import annotations

from math import pi, sqrt

from portanet.errors import ShapeError
from portanet.ops.composition import apply
from portanet.ops.error_function import erfc, normal_density
from portanet.ops.layers import sigmoid, softplus
from portanet.ops.promotion import constant_like, floating
from portanet.protocols import Array, Namespace, OpResult
from portanet.requirements import place_of_axis

__all__ = [
    "elu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "silu",
    "softshrink",
    "softsign",
    "threshold",
]

CUBIC = 0.044715
STEEPNESS = sqrt(8 / pi)
UNDERFLOWS = 800.0
"""``exp(-x)`` is 0 from here on in every data type."""


def _cut(xp: Namespace, outside: Array, x: Array) -> Array:
    """``x``, but 0 where it is outside."""
    return xp.where(outside, xp.zeros_like(x), x)


# Piecewise linear


def leaky_relu(xp: Namespace, x: Array, *, negative_slope: float) -> OpResult:
    """``x`` if positive, else ``negative_slope * x``."""
    x = floating(xp, x)
    positive = x > 0
    return xp.where(positive, x, x * negative_slope), (lambda g: xp.where(positive, g, g * negative_slope),)


def prelu(xp: Namespace, x: Array, weight: Array) -> OpResult:
    """``x`` if positive, else ``weight * x``; the two broadcast."""
    x = floating(xp, x)
    positive = x > 0
    return xp.where(positive, x, x * weight), (
        lambda g: xp.where(positive, g, g * weight),
        lambda g: _cut(xp, positive, g * x),
    )


def hardtanh(xp: Namespace, x: Array, *, min_val: float, max_val: float) -> OpResult:
    """``x`` limited to the range from ``min_val`` to ``max_val``; the gradient at its ends is 0."""
    x = floating(xp, x)
    outside = (x <= min_val) | (x >= max_val)
    return xp.clip(x, min_val, max_val), (lambda g: _cut(xp, outside, g),)


def hardsigmoid(xp: Namespace, x: Array) -> OpResult:
    """``x / 6 + 1 / 2`` limited to the range from 0 to 1."""
    x = floating(xp, x)
    flat = ~((x > -3) & (x < 3))
    return xp.clip(x + 3, 0.0, 6.0) / 6, (lambda g: _cut(xp, flat, g) / 6,)


def hardswish(xp: Namespace, x: Array) -> OpResult:
    """``x`` times :func:`hardsigmoid` of it."""
    x = floating(xp, x)
    gate = xp.clip(x + 3, 0.0, 6.0) / 6
    bent = (x > -3) & (x < 3)
    return x * gate, (lambda g: g * xp.where(bent, x / 3 + 0.5, gate),)


def hardshrink(xp: Namespace, x: Array, *, lambd: float) -> OpResult:
    """``x``, but 0 from ``-lambd`` to ``lambd``."""
    x = floating(xp, x)
    inside = (x >= -lambd) & (x <= lambd)
    return _cut(xp, inside, x), (lambda g: _cut(xp, inside, g),)


def softshrink(xp: Namespace, x: Array, *, lambd: float) -> OpResult:
    """``x`` moved towards 0 by ``lambd``, and 0 where that would pass it."""
    x = floating(xp, x)
    inside = (x >= -lambd) & (x <= lambd)
    r = _cut(xp, inside, xp.where(x > 0, x - lambd, x + lambd))
    return r, (lambda g: _cut(xp, inside, g),)


def threshold(xp: Namespace, x: Array, *, threshold: float, value: float) -> OpResult:
    """``x`` above the threshold, ``value`` elsewhere."""
    x = floating(xp, x)
    below = x <= threshold
    return xp.where(below, constant_like(xp, value, x), x), (lambda g: _cut(xp, below, g),)


# Exponential


def elu(xp: Namespace, x: Array, *, alpha: float, scale: float, input_scale: float) -> OpResult:
    """``scale * x`` if positive, else ``scale * alpha * (exp(input_scale * x) - 1)``: ELU, SELU and CELU."""
    x = floating(xp, x)
    positive = x > 0
    power = xp.clip(x, -UNDERFLOWS / abs(input_scale), 0.0) * input_scale
    height = alpha * scale
    r = xp.where(positive, x * scale, xp.expm1(power) * height)
    slope = height * input_scale
    return r, (lambda g: xp.where(positive, g * scale, g * (xp.exp(power) * slope)),)


def logsigmoid(xp: Namespace, input: Array) -> OpResult:
    """Logarithm of the logistic function, exact where that vanishes."""
    input = floating(xp, input)
    return -apply(xp, softplus, -input), (lambda g: g * apply(xp, sigmoid, -input),)


def softsign(xp: Namespace, input: Array) -> OpResult:
    """``input / (1 + abs(input))``."""
    input = floating(xp, input)
    size = 1 + xp.abs(input)
    return input / size, (lambda g: g / size / size,)


# Gates: the input times what lets it through


def silu(xp: Namespace, x: Array) -> OpResult:
    """``x * sigmoid(x)``."""
    x = floating(xp, x)
    gate = apply(xp, sigmoid, x)
    return x * gate, (lambda g: g * (gate + x * gate * (1 - gate)),)


def mish(xp: Namespace, x: Array) -> OpResult:
    """``x * tanh(log(1 + exp(x)))``."""
    x = floating(xp, x)
    gate = xp.tanh(apply(xp, softplus, x))
    return x * gate, (lambda g: g * (gate + x * (1 - gate * gate) * apply(xp, sigmoid, x)),)


def gelu(xp: Namespace, x: Array, *, approximate: str) -> OpResult:
    """``x`` times the normal distribution's function, or that through a logistic one: "none" or "tanh"."""
    x = floating(xp, x)
    if approximate == "none":
        gate = apply(xp, erfc, x * -sqrt(0.5)) * 0.5
        return x * gate, (lambda g: g * (gate + x * normal_density(xp, x)),)
    # With (1 + tanh(u)) / 2 = sigmoid(2 * u). Beyond 30 the gate is 0 or 1, and the cube could overflow.
    bounded = xp.clip(x, -30.0, 30.0)
    square = bounded * bounded
    gate = apply(xp, sigmoid, bounded * (1 + square * CUBIC) * STEEPNESS)

    def vjp(g: Array) -> Array:
        slope = (1 + square * (3 * CUBIC)) * STEEPNESS
        return g * (gate + bounded * (gate * (1 - gate)) * slope)

    return x * gate, (vjp,)


def glu(xp: Namespace, x: Array, *, dim: int) -> OpResult:
    """The first half of an axis times the logistic function of the second."""
    x = floating(xp, x)
    axis = place_of_axis("glu", dim, x.ndim, "dim")
    half, odd = divmod(x.shape[axis], 2)
    if odd:
        raise ShapeError(
            f"input: glu halves axis {dim}, so its length must be even; got an input of shape {tuple(x.shape)}."
        )
    before = (slice(None),) * axis
    a = x[(*before, slice(0, half), ...)]
    gate = apply(xp, sigmoid, x[(*before, slice(half, 2 * half), ...)])

    def vjp(g: Array) -> Array:
        through = g * gate
        return xp.concat([through, through * a * (1 - gate)], axis=axis)

    return a * gate, (vjp,)
