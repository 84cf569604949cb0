"""Running sums, running products, and their opposite, differences."""

from __future__ import annotations

from typing import Any

from portanet.errors import AxisError, OptionError, ShapeError
from portanet.ops.composition import apply
from portanet.ops.promotion import all_alike, check_keeps_imaginary, is_integer
from portanet.protocols import Array, Namespace, NativeDType, OpResult
from portanet.requirements import place_of_axis

__all__ = ["cumulative_prod", "cumulative_sum", "diff"]


def cumulative_sum(
    xp: Namespace,
    x: Array,
    /,
    *,
    axis: int | None = None,
    dtype: NativeDType | None = None,
    include_initial: bool = False,
) -> OpResult:
    """Running sums along an axis, which need not be named where there is one only.

    With ``include_initial`` they begin with a zero, and there is one more of them than elements. Floating-point arrays
    keep their data type; sums of integers are int64, of unsigned ones uint64.
    """
    axis = _axis_of("cumulative_sum", x, axis)
    if dtype is not None:
        check_keeps_imaginary(xp, "cumulative_sum", x, dtype)
    r = _accumulated(xp, xp.cumulative_sum, x, axis, dtype, include_initial)
    if is_integer(xp, r.dtype):
        return r, (None,)

    def vjp(g: Array) -> Array:
        if include_initial:
            g = _part(g, axis, 1, x.shape[axis] + 1)
        return xp.flip(apply(xp, cumulative_sum, xp.flip(g, axis=axis), axis=axis), axis=axis)

    return r, (vjp,)


def cumulative_prod(
    xp: Namespace,
    x: Array,
    /,
    *,
    axis: int | None = None,
    dtype: NativeDType | None = None,
    include_initial: bool = False,
) -> OpResult:
    """Running products along an axis, which need not be named where there is one only.

    With ``include_initial`` they begin with a one, and there is one more of them than elements. Data types are those of
    :func:`cumulative_sum`. Nothing is divided, so gradients of any order are right where elements are zero, too.
    """
    axis = _axis_of("cumulative_prod", x, axis)
    if dtype is not None:
        check_keeps_imaginary(xp, "cumulative_prod", x, dtype)
    n = x.shape[axis]
    r = _accumulated(xp, xp.cumulative_prod, x, axis, dtype, include_initial)
    if is_integer(xp, r.dtype):
        return r, (None,)

    def vjp(g: Array) -> Array:
        if include_initial:
            before, g = _part(r, axis, 0, n), _part(g, axis, 1, n + 1)
        else:
            one = xp.ones_like(_part(r, axis, 0, min(n, 1)))
            before = xp.concat([one, _part(r, axis, 0, max(n - 1, 0))], axis=axis)
        return before * _products_after(xp, xp.astype(x, r.dtype, copy=False), g, axis)

    return r, (vjp,)


def _accumulated(
    xp: Namespace, function: Any, x: Array, axis: int, dtype: NativeDType | None, include_initial: bool
) -> Array:
    """The running sums or products by a library's function, in the standard's data type."""
    if dtype is None and not is_integer(xp, x.dtype):
        dtype = x.dtype
    if dtype is not None:
        return function(x, axis=axis, dtype=dtype, include_initial=include_initial)
    r = function(xp.astype(x, xp.int64), axis=axis, dtype=xp.int64, include_initial=include_initial)
    return xp.astype(r, xp.uint64) if xp.isdtype(x.dtype, "unsigned integer") else r


def _products_after(xp: Namespace, x: Array, g: Array, axis: int) -> Array:
    """For each ``j`` the sum over ``k >= j`` of ``g[k]`` times the product of the ``x[i]`` with ``j < i <= k``.

    These sums obey ``s[j] = g[j] + x[j + 1] * s[j + 1]``. They are found for all ``j`` at once, in as many steps as the
    length has binary digits: each step doubles how far the sums reach (Hillis & Steele, "Data parallel algorithms",
    1986).
    """
    n = x.shape[axis]
    sums = g
    factors = _part(
        x, axis, min(n, 1), n
    )  # over the next `reach` elements: one fewer of them than that leaves
    reach = 1
    while reach < n:
        joined = _part(sums, axis, 0, n - reach) + factors * _part(sums, axis, reach, n)
        sums = xp.concat([joined, _part(sums, axis, n - reach, n)], axis=axis)
        if 2 * reach < n:
            factors = _part(factors, axis, 0, n - 2 * reach) * _part(factors, axis, reach, n - reach)
        reach *= 2
    return sums


def diff(
    xp: Namespace,
    x: Array,
    /,
    prepend: Array | None = None,
    append: Array | None = None,
    *,
    axis: int = -1,
    n: int = 1,
) -> OpResult:
    """Differences of neighbours along an axis, ``x[i + 1] - x[i]``, taken ``n`` times over.

    Parameters
    ----------
    x : Array
        Shape (..., m, ...), ``m`` at ``axis``.
    prepend, append : Array, optional
        What to put before and after ``x`` first; the shape of ``x`` but along ``axis``.
    axis : int
        Along which axis.
    n : int
        How many times; each makes the axis one shorter, until nothing is left.
    """
    if not isinstance(n, int) or n < 0:
        raise OptionError(f"n: expected a whole number of at least 0, got {n!r}.")
    axis = _axis_of("diff", x, axis)
    parts = [part for part in (prepend, x, append) if part is not None]
    for name, part in (("prepend", prepend), ("append", append)):
        if part is not None and getattr(part, "ndim", 0) != x.ndim:
            shape = tuple(getattr(part, "shape", ()))
            raise ShapeError(f"{name}: expected an array of {x.ndim} axes, as x has, got shape {shape}.")
    joined = xp.concat(all_alike(xp, parts), axis=axis) if len(parts) > 1 else x
    length = joined.shape[axis]
    times = min(n, length)
    r = joined
    for size in range(length, length - times, -1):
        r = _part(r, axis, 1, size) - _part(r, axis, 0, size - 1)

    def vjp(g: Array, start: int, stop: int) -> Array:
        zero = xp.zeros_like(_part(joined, axis, 0, min(length, 1)), dtype=g.dtype)
        for _ in range(times):
            g = xp.concat([zero, g], axis=axis) - xp.concat([g, zero], axis=axis)
        return _part(g, axis, start, stop)

    start = 0 if prepend is None else prepend.shape[axis]
    stop = start + x.shape[axis]
    return r, (
        lambda g: vjp(g, start, stop),
        lambda g: vjp(g, 0, start),
        lambda g: vjp(g, stop, length),
    )


def _axis_of(name: str, x: Array, axis: int | None) -> int:
    """An axis counted from the front; the only one where none is named."""
    if not x.ndim:
        raise ShapeError(f"{name}: expected an array with at least one axis, got a single number.")
    if axis is None:
        if x.ndim != 1:
            raise AxisError(f"{name}: axis: must be given for an array of {x.ndim} dimensions; pass axis=0.")
        return 0
    return place_of_axis(name, axis, x.ndim)


def _part(x: Array, axis: int, start: int, stop: int) -> Array:
    """The elements from ``start`` to before ``stop`` along an axis."""
    return x[(*(slice(None),) * axis, slice(start, stop), ...)]
