"""Sorting along an axis.

Descending order is ascending order read backwards, so NaNs stand first there; in ascending order they stand last.
"""

from __future__ import annotations

from portanet.errors import ShapeError
from portanet.ops.composition import apply
from portanet.ops.promotion import is_integer
from portanet.protocols import Array, Namespace, OpResult
from portanet.requirements import place_of_axis

__all__ = ["argsort", "sort"]


def sort(
    xp: Namespace, x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> OpResult:
    """A sorted copy along one axis.

    The gradient goes back to where each element stood; of equal elements the first in the result is the first in ``x``,
    whether ``stable`` or not. At ties the sorted values have a kink, and this is one of their one-sided derivatives.
    """
    axis = _axis_of("sort", x, axis)
    r = xp.sort(x, axis=axis, stable=stable)
    if descending:
        r = xp.flip(r, axis=axis)
    if is_integer(xp, x.dtype):
        return r, (None,)

    def vjp(g: Array) -> Array:
        order = apply(xp, argsort, x, axis=axis, descending=descending)
        ranks = apply(xp, argsort, order, axis=axis)  # the inverse permutation
        return xp.take_along_axis(g, ranks, axis=axis)

    return r, (vjp,)


def argsort(
    xp: Namespace, x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> OpResult:
    """The indices, int64, that sort along one axis; where ``stable``, equal elements keep their order."""
    axis = _axis_of("argsort", x, axis)
    if not descending:
        r = xp.argsort(x, axis=axis, stable=stable)
    else:  # sorted from the end, and counted from the end, so that equal elements keep their order
        backwards = xp.argsort(xp.flip(x, axis=axis), axis=axis, stable=stable)
        r = (x.shape[axis] - 1) - xp.flip(backwards, axis=axis)
    return xp.astype(r, xp.int64, copy=False), (None,)


def _axis_of(name: str, x: Array, axis: int) -> int:
    if not x.ndim:
        raise ShapeError(f"{name}: expected an array with at least one axis, got a single number.")
    return place_of_axis(name, axis, x.ndim)
