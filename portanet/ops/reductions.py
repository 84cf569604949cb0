"""Reductions: sum, mean, extremes, variance, searches."""

from __future__ import annotations

from math import prod as product

from portanet.ops.composition import apply, conjugate
from portanet.ops.cumulative import cumulative_prod
from portanet.ops.promotion import check_keeps_imaginary, floating, is_integer
from portanet.protocols import Array, Namespace, NativeDType, OpResult
from portanet.requirements import places_of_axes

__all__ = ["Axes", "all", "any", "argmax", "argmin", "max", "mean", "min", "prod", "std", "sum", "var"]

Axes = int | tuple[int, ...] | None


def _restore(xp: Namespace, x: Array, reduced: Array, axis: Axes, keepdims: bool) -> Array:
    """Give a reduced array back the axes of length 1 that it lost."""
    if keepdims or (axis is None and reduced.ndim == x.ndim):
        return reduced
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    gone = {a % x.ndim for a in axes}
    shape = tuple(1 if a in gone else size for a, size in enumerate(x.shape))
    return xp.reshape(reduced, shape)


def _count(x: Array, axis: Axes) -> int:
    """How many elements flow into each result."""
    if axis is None:
        return product(x.shape)
    axes = (axis,) if isinstance(axis, int) else axis
    return product(x.shape[a] for a in axes)


def sum(
    xp: Namespace,
    x: Array,
    /,
    *,
    axis: Axes = None,
    dtype: NativeDType | None = None,
    keepdims: bool = False,
) -> OpResult:
    """Sum over the given axes.

    Floating-point arrays keep their data type; integers are summed in the library's default integer type.
    """
    if axis is not None and not x.ndim:
        places_of_axes("sum", axis, 0)
    if dtype is not None:
        check_keeps_imaginary(xp, "sum", x, dtype)
    elif not is_integer(xp, x.dtype):
        dtype = x.dtype
    r = xp.sum(x, axis=axis, dtype=dtype, keepdims=keepdims)
    if is_integer(xp, r.dtype):
        return r, (None,)
    shape = x.shape
    return r, (lambda g: xp.broadcast_to(_restore(xp, x, g, axis, keepdims), shape),)


def mean(xp: Namespace, x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> OpResult:
    """Arithmetic mean over the given axes."""
    if axis is not None and not x.ndim:
        places_of_axes("mean", axis, 0)
    x = floating(xp, x)
    r = xp.mean(x, axis=axis, keepdims=keepdims)
    count = _count(x, axis)
    return r, (lambda g: xp.broadcast_to(_restore(xp, x, g / count, axis, keepdims), x.shape),)


def prod(
    xp: Namespace,
    x: Array,
    /,
    *,
    axis: Axes = None,
    dtype: NativeDType | None = None,
    keepdims: bool = False,
) -> OpResult:
    """Product over the given axes; the gradient is right where elements are zero, too."""
    if axis is not None and not x.ndim:
        places_of_axes("prod", axis, 0)
    if dtype is not None:
        check_keeps_imaginary(xp, "prod", x, dtype)
    elif not is_integer(xp, x.dtype):
        dtype = x.dtype
    r = xp.prod(x, axis=axis, dtype=dtype, keepdims=keepdims)
    if is_integer(xp, r.dtype):
        return r, (None,)

    def vjp(g: Array) -> Array:
        # The product of all the others, without dividing: the product of what stands before times that of what stands
        # after, along one axis.
        axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else axis
        axes = tuple(a % x.ndim for a in axes)
        order = (*(a for a in range(x.ndim) if a not in axes), *axes)
        kept = tuple(x.shape[a] for a in order[: x.ndim - len(axes)])
        length = product(x.shape[a] for a in axes)
        rows = xp.astype(xp.reshape(xp.permute_dims(x, order), (*kept, length)), r.dtype, copy=False)

        def before(rows: Array) -> Array:
            return apply(xp, cumulative_prod, rows, axis=-1, include_initial=True)[..., :length]

        rest = before(rows) * xp.flip(before(xp.flip(rows, axis=-1)), axis=-1)
        rest = xp.reshape(rest, tuple(x.shape[a] for a in order))
        inverse = tuple(sorted(range(x.ndim), key=order.__getitem__))
        return _restore(xp, x, g, axis, keepdims) * xp.permute_dims(rest, inverse)

    return r, (vjp,)


def max(xp: Namespace, x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> OpResult:
    """Largest value; where several tie the gradient is shared evenly."""
    if axis is not None and not x.ndim:
        places_of_axes("max", axis, 0)
    return _extreme(xp, xp.max, x, axis, keepdims)


def min(xp: Namespace, x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> OpResult:
    """Smallest value; where several tie the gradient is shared evenly."""
    if axis is not None and not x.ndim:
        places_of_axes("min", axis, 0)
    return _extreme(xp, xp.min, x, axis, keepdims)


def _extreme(xp: Namespace, function: Array, x: Array, axis: Axes, keepdims: bool) -> OpResult:
    r = function(x, axis=axis, keepdims=keepdims)

    def vjp(g: Array) -> Array:
        hits = xp.astype(x == _restore(xp, x, r, axis, keepdims), x.dtype)
        shares = hits / xp.sum(hits, axis=axis, keepdims=True)
        return _restore(xp, x, g, axis, keepdims) * shares

    return r, (vjp,)


def var(
    xp: Namespace, x: Array, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False
) -> OpResult:
    """Variance over the given axes, divided by ``n - correction``."""
    if axis is not None and not x.ndim:
        places_of_axes("var", axis, 0)
    x = floating(xp, x)
    r = xp.var(x, axis=axis, correction=correction, keepdims=keepdims)

    def vjp(g: Array) -> Array:
        scale = _slope(2, x, axis, correction)
        away = conjugate(xp, x - xp.mean(x, axis=axis, keepdims=True))
        return _restore(xp, x, g, axis, keepdims) * away * scale

    return r, (vjp,)


def _slope(numerator: int, x: Array, axis: Axes, correction: float) -> float:
    freedom = _count(x, axis) - correction
    return numerator / freedom if freedom else float("nan")


def std(
    xp: Namespace, x: Array, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False
) -> OpResult:
    """Standard deviation over the given axes, the square root of :func:`var`; where it is 0 the gradient is 0."""
    if axis is not None and not x.ndim:
        places_of_axes("std", axis, 0)
    x = floating(xp, x)
    r = xp.sqrt(xp.var(x, axis=axis, correction=correction, keepdims=keepdims))  # some have no fractional std

    def vjp(g: Array) -> Array:
        scale = _slope(1, x, axis, correction)
        flat = r == 0
        weight = xp.where(flat, xp.zeros_like(g), g) / xp.where(flat, xp.ones_like(r), r)
        away = conjugate(xp, x - xp.mean(x, axis=axis, keepdims=True))
        return _restore(xp, x, weight, axis, keepdims) * away * scale

    return r, (vjp,)


def any(xp: Namespace, x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> OpResult:
    """Whether any element is true."""
    if axis is not None and not x.ndim:
        places_of_axes("any", axis, 0)
    return xp.any(x, axis=axis, keepdims=keepdims), (None,)


def all(xp: Namespace, x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> OpResult:
    """Whether all elements are true."""
    if axis is not None and not x.ndim:
        places_of_axes("all", axis, 0)
    return xp.all(x, axis=axis, keepdims=keepdims), (None,)


def argmax(xp: Namespace, x: Array, /, *, axis: int | None = None, keepdims: bool = False) -> OpResult:
    """Index of the largest value, the first one if several tie."""
    if axis is not None and not x.ndim:
        places_of_axes("argmax", axis, 0)
    return xp.argmax(_ordered(xp, x), axis=axis, keepdims=keepdims), (None,)


def _ordered(xp: Namespace, x: Array) -> Array:
    """Booleans as integers, for not every library has an order of them."""
    return xp.astype(x, xp.uint8) if is_integer(xp, x.dtype) and xp.isdtype(x.dtype, "bool") else x


def argmin(xp: Namespace, x: Array, /, *, axis: int | None = None, keepdims: bool = False) -> OpResult:
    """Index of the smallest value, the first one if several tie."""
    if axis is not None and not x.ndim:
        places_of_axes("argmin", axis, 0)
    return xp.argmin(_ordered(xp, x), axis=axis, keepdims=keepdims), (None,)
