"""Elementwise functions of the standard.

The vocabulary of every rule: ``x``, ``y`` operands, ``r`` the result, ``g`` the cotangent of the result.
Broadcasting is undone by the engine. An operand that is a Python scalar has no gradient, so its vjp is never
called. Holomorphic functions have the same rule for complex numbers as for real ones (:mod:`portanet.graph` says why).
"""

from __future__ import annotations

import math

from portanet.ops.composition import conjugate
from portanet.ops.promotion import alike, constant_like, floating, is_complex, is_integer
from portanet.protocols import Array, Namespace, OpResult

__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "ceil",
    "clip",
    "conj",
    "copysign",
    "cos",
    "cosh",
    "divide",
    "equal",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "greater",
    "greater_equal",
    "hypot",
    "imag",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "nextafter",
    "not_equal",
    "positive",
    "pow",
    "real",
    "reciprocal",
    "remainder",
    "round",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "subtract",
    "tan",
    "tanh",
    "trunc",
    "where",
]


def add(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """Sum ``x + y``, elementwise."""
    x, y = alike(xp, x, y)
    return x + y, (lambda g: g, lambda g: g)


def subtract(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """Difference ``x - y``, elementwise."""
    x, y = alike(xp, x, y)
    return x - y, (lambda g: g, lambda g: -g)


def multiply(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """Product ``x * y``, elementwise."""
    x, y = alike(xp, x, y)
    return x * y, (lambda g: g * y, lambda g: g * x)


def divide(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """Quotient ``x / y``, elementwise; integers are divided in the default floating-point type, float32."""
    x, y = alike(xp, x, y)
    x, y = floating(xp, x), floating(xp, y)
    return x / y, (lambda g: g / y, lambda g: -g * x / (y * y))


def pow(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """Power ``x ** y``, elementwise.

    The gradient with respect to ``x`` is ``y * x ** (y - 1)``, and 0 where ``y`` is 0; with respect to ``y``
    it is ``r * log(x)``, and 0 where ``x`` is 0 and ``y`` is not negative.
    """
    x, y = alike(xp, x, y)
    r = x**y

    def wrt_x(g: Array) -> Array:
        if not hasattr(y, "dtype"):
            return xp.zeros_like(g) if y == 0 else g * y * x ** (y - 1)
        zero = y == 0
        slope = y * x ** xp.where(zero, xp.ones_like(y), y - 1)
        return g * xp.where(zero, xp.zeros_like(slope), slope)

    def wrt_y(g: Array) -> Array:
        base = x if hasattr(x, "dtype") else xp.full_like(y, x)
        flat = (base == 0) & ((xp.real(y) if is_complex(xp, y.dtype) else y) >= 0)
        log = xp.log(xp.where(flat, xp.ones_like(base), base))
        return g * x**y * log

    return r, (wrt_x, wrt_y)


def negative(xp: Namespace, x: Array, /) -> OpResult:
    """Numerical negative ``-x``, elementwise."""
    return -x, (lambda g: -g,)


def positive(xp: Namespace, x: Array, /) -> OpResult:
    """The same values, ``+x``."""
    return xp.positive(x), (lambda g: g,)


def abs(xp: Namespace, x: Array, /) -> OpResult:
    """Absolute value; the gradient at 0 is 0."""
    return xp.abs(x), (lambda g: g * conjugate(xp, xp.sign(x)),)


def sign(xp: Namespace, x: Array, /) -> OpResult:
    """Sign: -1, 0 or 1, without a gradient; of a complex number ``x / abs(x)``, or 0, whose gradient at 0 is 0."""
    r = xp.sign(x)
    if not is_complex(xp, x.dtype):
        return r, (None,)

    def vjp(g: Array) -> Array:
        along = xp.astype(xp.real(g * r), x.dtype) * xp.conj(r)  # a change of the length alone does nothing
        size = xp.astype(xp.abs(x), x.dtype)
        zero = size == 0
        slope = (g - along) / xp.where(zero, xp.ones_like(size), size)
        return xp.where(zero, xp.zeros_like(slope), slope)

    return r, (vjp,)


def signbit(xp: Namespace, x: Array, /) -> OpResult:
    """Whether the sign bit is set, also of -0.0; no gradient."""
    return xp.signbit(x), (None,)


def copysign(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """The size of ``x`` with the sign of ``y``; the gradient by ``x`` is 1, -1, or 0 where ``x`` is 0."""
    x, y = _both_arrays(xp, x, y)
    x, y = floating(xp, x), floating(xp, y)
    r = xp.copysign(x, y)
    return r, (lambda g: g * (xp.sign(x) * xp.sign(r)), None)


def nextafter(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """The next floating-point number after ``x`` on the way to ``y``; no gradient."""
    x, y = _both_arrays(xp, x, y)
    return xp.nextafter(floating(xp, x), floating(xp, y)), (None, None)


def conj(xp: Namespace, x: Array, /) -> OpResult:
    """Complex conjugate; real numbers as they are."""
    return xp.conj(x), (lambda g: conjugate(xp, g),)


def real(xp: Namespace, x: Array, /) -> OpResult:
    """Real part."""
    return xp.real(x), (lambda g: g,)


def imag(xp: Namespace, x: Array, /) -> OpResult:
    """Imaginary part."""
    return xp.imag(x), (lambda g: xp.astype(g, x.dtype) * -1j,)


def square(xp: Namespace, x: Array, /) -> OpResult:
    """Square ``x * x``."""
    return x * x, (lambda g: g * (2 * x),)


def sqrt(xp: Namespace, x: Array, /) -> OpResult:
    """Non-negative square root."""
    x = floating(xp, x)
    r = xp.sqrt(x)
    return r, (lambda g: g / (2 * r),)


def reciprocal(xp: Namespace, x: Array, /) -> OpResult:
    """Reciprocal ``1 / x``."""
    x = floating(xp, x)
    r = 1 / x
    return r, (lambda g: -g * r * r,)


def exp(xp: Namespace, x: Array, /) -> OpResult:
    """Exponential, elementwise."""
    x = floating(xp, x)
    r = xp.exp(x)
    return r, (lambda g: g * r,)


def expm1(xp: Namespace, x: Array, /) -> OpResult:
    """``exp(x) - 1``, exact for small ``x``."""
    x = floating(xp, x)
    r = xp.expm1(x)
    return r, (lambda g: g * (r + 1),)


def log(xp: Namespace, x: Array, /) -> OpResult:
    """Natural logarithm."""
    x = floating(xp, x)
    return xp.log(x), (lambda g: g / x,)


def log1p(xp: Namespace, x: Array, /) -> OpResult:
    """``log(1 + x)``, exact for small ``x``."""
    x = floating(xp, x)
    return xp.log1p(x), (lambda g: g / (1 + x),)


def log2(xp: Namespace, x: Array, /) -> OpResult:
    """Logarithm to base 2."""
    x = floating(xp, x)
    return xp.log2(x), (lambda g: g / (x * math.log(2)),)


def log10(xp: Namespace, x: Array, /) -> OpResult:
    """Logarithm to base 10."""
    x = floating(xp, x)
    return xp.log10(x), (lambda g: g / (x * math.log(10)),)


def sin(xp: Namespace, x: Array, /) -> OpResult:
    """Sine of an angle in radians."""
    x = floating(xp, x)
    return xp.sin(x), (lambda g: g * xp.cos(x),)


def cos(xp: Namespace, x: Array, /) -> OpResult:
    """Cosine of an angle in radians."""
    x = floating(xp, x)
    return xp.cos(x), (lambda g: -g * xp.sin(x),)


def tan(xp: Namespace, x: Array, /) -> OpResult:
    """Tangent of an angle in radians."""
    x = floating(xp, x)
    r = xp.tan(x)
    return r, (lambda g: g * (1 + r * r),)


def asin(xp: Namespace, x: Array, /) -> OpResult:
    """Inverse sine, in radians."""
    x = floating(xp, x)
    return xp.asin(x), (lambda g: g / xp.sqrt(1 - x * x),)


def acos(xp: Namespace, x: Array, /) -> OpResult:
    """Inverse cosine, in radians."""
    x = floating(xp, x)
    return xp.acos(x), (lambda g: -g / xp.sqrt(1 - x * x),)


def atan(xp: Namespace, x: Array, /) -> OpResult:
    """Inverse tangent, in radians."""
    x = floating(xp, x)
    return xp.atan(x), (lambda g: g / (1 + x * x),)


def atan2(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """Angle in radians of the point whose ordinate is ``x`` and whose abscissa is ``y``."""
    x, y = alike(xp, x, y)
    x, y = floating(xp, x), floating(xp, y)
    r = xp.atan2(x, y)
    return r, (lambda g: g * y / (x * x + y * y), lambda g: -g * x / (x * x + y * y))


def hypot(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``sqrt(x * x + y * y)`` without overflow; where both are 0 the gradient is 0."""
    x, y = _both_arrays(xp, x, y)
    x, y = floating(xp, x), floating(xp, y)
    r = xp.hypot(x, y)

    def slope(g: Array, side: Array) -> Array:
        return g * side / xp.where(r == 0, xp.ones_like(r), r)

    return r, (lambda g: slope(g, x), lambda g: slope(g, y))


def logaddexp(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``log(exp(x) + exp(y))`` without overflow."""
    x, y = _both_arrays(xp, x, y)
    x, y = floating(xp, x), floating(xp, y)
    r = xp.logaddexp(x, y)
    return r, (lambda g: g * xp.exp(x - r), lambda g: g * xp.exp(y - r))


def sinh(xp: Namespace, x: Array, /) -> OpResult:
    """Hyperbolic sine."""
    x = floating(xp, x)
    return xp.sinh(x), (lambda g: g * xp.cosh(x),)


def cosh(xp: Namespace, x: Array, /) -> OpResult:
    """Hyperbolic cosine."""
    x = floating(xp, x)
    return xp.cosh(x), (lambda g: g * xp.sinh(x),)


def tanh(xp: Namespace, x: Array, /) -> OpResult:
    """Hyperbolic tangent, elementwise.

    Examples
    --------
    >>> x = pn.Tensor([0.0], requires_grad=True)
    >>> pn.tanh(x).backward(pn.ones((1,)))
    >>> x.grad.item()
    1.0
    """
    x = floating(xp, x)
    r = xp.tanh(x)
    return r, (lambda g: g * (1 - r * r),)


def asinh(xp: Namespace, x: Array, /) -> OpResult:
    """Inverse hyperbolic sine."""
    x = floating(xp, x)
    return xp.asinh(x), (lambda g: g / xp.sqrt(x * x + 1),)


def acosh(xp: Namespace, x: Array, /) -> OpResult:
    """Inverse hyperbolic cosine."""
    x = floating(xp, x)
    return xp.acosh(x), (lambda g: g / (xp.sqrt(x - 1) * xp.sqrt(x + 1)),)


def atanh(xp: Namespace, x: Array, /) -> OpResult:
    """Inverse hyperbolic tangent."""
    x = floating(xp, x)
    return xp.atanh(x), (lambda g: g / (1 - x * x),)


def maximum(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """The larger of two values; where they tie the gradient is shared evenly."""
    x, y = _both_arrays(xp, x, y)
    return xp.maximum(x, y), (lambda g: g * _share(xp, x, y), lambda g: g * _share(xp, y, x))


def minimum(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """The smaller of two values; where they tie the gradient is shared evenly."""
    x, y = _both_arrays(xp, x, y)
    return xp.minimum(x, y), (lambda g: g * _share(xp, y, x), lambda g: g * _share(xp, x, y))


def _share(xp: Namespace, larger: Array, smaller: Array) -> Array:
    """1 where the first is the larger, 1/2 where they tie, 0 elsewhere."""
    dtype = larger.dtype
    return (xp.astype(larger > smaller, dtype) + xp.astype(larger >= smaller, dtype)) * 0.5


def _both_arrays(xp: Namespace, x: Array, y: Array) -> tuple[Array, Array]:
    """Turn a Python number beside an array into an array of the array's own data type and device."""
    if not hasattr(x, "dtype"):
        x = constant_like(xp, x, y)
    elif not hasattr(y, "dtype"):
        y = constant_like(xp, y, x)
    return alike(xp, x, y)


def clip(xp: Namespace, x: Array, /, min: Array | None = None, max: Array | None = None) -> OpResult:
    """Limit values to the range from ``min`` to ``max``; the gradient passes inside it, bounds included."""
    inside = None
    r = x if min is not None or max is not None else xp.asarray(x, copy=True)
    if min is not None:
        x, low = alike(xp, x, constant_like(xp, min, x))
        inside = x >= low
        r = xp.maximum(x, low)
    if max is not None:
        r, high = alike(xp, r, constant_like(xp, max, x))
        inside = x <= high if inside is None else inside & (x <= high)
        r = xp.minimum(r, high)

    def wrt_x(g: Array) -> Array:
        return g if inside is None else xp.where(inside, g, xp.zeros_like(g))

    def wrt_min(g: Array) -> Array:
        below = x < low if max is None else (x < low) & (low < high)
        return xp.where(below, g, xp.zeros_like(g))

    def wrt_max(g: Array) -> Array:
        above = x > high if min is None else (x > high) | (low > high)
        return xp.where(above, g, xp.zeros_like(g))

    return r, (wrt_x, wrt_min, wrt_max)


def where(xp: Namespace, condition: Array, x: Array, y: Array, /) -> OpResult:
    """Choose from ``x`` where ``condition`` holds, from ``y`` elsewhere."""
    x, y = _both_arrays(xp, x, y)
    return xp.where(condition, x, y), (
        None,
        lambda g: xp.where(condition, g, xp.zeros_like(g)),
        lambda g: xp.where(condition, xp.zeros_like(g), g),
    )


def remainder(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """Remainder of division, with the sign of the divisor."""
    x, y = alike(xp, x, y)
    return x % y, (lambda g: g, lambda g: -g * xp.floor(x / y))


def floor_divide(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """Quotient rounded towards negative infinity; no gradient."""
    x, y = alike(xp, x, y)
    return x // y, (None, None)


def floor(xp: Namespace, x: Array, /) -> OpResult:
    """Round towards negative infinity; no gradient."""
    return x if is_integer(xp, x.dtype) else xp.floor(x), (None,)


def ceil(xp: Namespace, x: Array, /) -> OpResult:
    """Round towards positive infinity; no gradient."""
    return x if is_integer(xp, x.dtype) else xp.ceil(x), (None,)


def trunc(xp: Namespace, x: Array, /) -> OpResult:
    """Round towards zero; no gradient."""
    return x if is_integer(xp, x.dtype) else xp.trunc(x), (None,)


def round(xp: Namespace, x: Array, /) -> OpResult:
    """Round to the nearest integer, halves to even; no gradient."""
    return x if is_integer(xp, x.dtype) else xp.round(x), (None,)


def equal(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x == y``, elementwise."""
    x, y = alike(xp, x, y)
    return x == y, (None, None)


def not_equal(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x != y``, elementwise."""
    x, y = alike(xp, x, y)
    return x != y, (None, None)


def less(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x < y``, elementwise."""
    x, y = alike(xp, x, y)
    return x < y, (None, None)


def less_equal(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x <= y``, elementwise."""
    x, y = alike(xp, x, y)
    return x <= y, (None, None)


def greater(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x > y``, elementwise."""
    x, y = alike(xp, x, y)
    return x > y, (None, None)


def greater_equal(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x >= y``, elementwise."""
    x, y = alike(xp, x, y)
    return x >= y, (None, None)


def logical_and(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """Logical and of two boolean arrays."""
    return xp.logical_and(x, y), (None, None)


def logical_or(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """Logical or of two boolean arrays."""
    return xp.logical_or(x, y), (None, None)


def logical_xor(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """Logical exclusive or of two boolean arrays."""
    return xp.logical_xor(x, y), (None, None)


def logical_not(xp: Namespace, x: Array, /) -> OpResult:
    """Logical negation of a boolean array."""
    return xp.logical_not(x), (None,)


def bitwise_and(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x & y`` of integers or booleans."""
    x, y = alike(xp, x, y)
    return x & y, (None, None)


def bitwise_or(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x | y`` of integers or booleans."""
    x, y = alike(xp, x, y)
    return x | y, (None, None)


def bitwise_xor(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x ^ y`` of integers or booleans."""
    x, y = alike(xp, x, y)
    return x ^ y, (None, None)


def bitwise_left_shift(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x << y`` of integers."""
    x, y = alike(xp, x, y)
    return x << y, (None, None)


def bitwise_right_shift(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x >> y`` of integers; the sign stays."""
    x, y = alike(xp, x, y)
    return x >> y, (None, None)


def bitwise_invert(xp: Namespace, x: Array, /) -> OpResult:
    """``~x`` of integers or booleans."""
    return ~x, (None,)


def isnan(xp: Namespace, x: Array, /) -> OpResult:
    """Whether each value is not a number."""
    return xp.isnan(x), (None,)


def isinf(xp: Namespace, x: Array, /) -> OpResult:
    """Whether each value is infinite."""
    return xp.isinf(x), (None,)


def isfinite(xp: Namespace, x: Array, /) -> OpResult:
    """Whether each value is finite."""
    return xp.isfinite(x), (None,)
