"""Putting the elements of an array into the places that a pooling took them from."""

from __future__ import annotations

from math import prod

from portanet.ops.composition import apply
from portanet.ops.indexing import take_along_axis
from portanet.ops.promotion import device_of
from portanet.protocols import Array, Namespace, OpResult

__all__ = ["unpool"]


def unpool(xp: Namespace, x: Array, places: Array, /, *, length: int) -> OpResult:
    """Zeros along the last axis, but for the elements of ``x`` in their places; of several for one place the last.

    The rule of the gradient is PyTorch's: each element takes what stands in its place, also where several have the
    same one. In what a pooling returns these are one element, seen by several windows.

    Parameters
    ----------
    x : Array
        Shape (..., n).
    places : Array
        Shape (..., n), int64 from 0 on, below ``length``.
    length : int
        Of the result's last axis.

    Returns
    -------
    Array
        Shape (..., length).
    """
    lines = prod(x.shape[:-1])
    if not lines * length or not x.shape[-1]:
        r = xp.zeros((*x.shape[:-1], length), dtype=x.dtype, device=device_of(x))
    else:
        # The standard has no scatter: each place looks up what is meant for it among all places in order.
        starts = xp.arange(lines, dtype=xp.int64, device=device_of(x)) * length
        wanted = xp.reshape(xp.reshape(places, (lines, -1)) + xp.expand_dims(starts, axis=1), (-1,))
        order = xp.argsort(wanted, stable=True)
        wanted = xp.take(wanted, order, axis=0)
        all_places = xp.arange(lines * length, dtype=xp.int64, device=device_of(x))
        found = xp.searchsorted(wanted, all_places, side="right") - 1
        found = xp.where(found < 0, xp.zeros_like(found), found)
        values = xp.take(xp.reshape(x, (-1,)), xp.take(order, found, axis=0), axis=0)
        hits = xp.take(wanted, found, axis=0) == all_places
        r = xp.reshape(xp.where(hits, values, xp.zeros_like(values)), (*x.shape[:-1], length))
    return r, (lambda g: apply(xp, take_along_axis, g, places, axis=-1), None)
