"""Padding: more elements at the ends of axes."""

from __future__ import annotations

from portanet.errors import ShapeError
from portanet.ops.composition import apply
from portanet.ops.promotion import device_of
from portanet.protocols import Array, Namespace, OpResult

__all__ = ["pad"]

Widths = tuple[tuple[int, int], ...]


def pad(xp: Namespace, x: Array, *, widths: Widths, mode: str, value: float) -> OpResult:
    """``x`` with elements put before its first and after its last ones along each axis.

    Parameters
    ----------
    x : Array
        Any shape and data type.
    widths : tuple of pairs of int
        How many elements before and after, one pair for each axis. Negative ones take elements away, in mode
        ``"constant"`` only.
    mode : str
        What they are: ``"constant"``, ``value``; ``"reflect"``, mirrored at the first and last element, which are not
        repeated; ``"replicate"``, the first and last element; ``"circular"``, those of the other end.
    value : float
        For ``"constant"``.
    """
    check_widths(x, widths, mode)
    if mode == "constant":
        back = tuple((-before, -after) for before, after in widths)
        return _surrounded(xp, x, widths, value), (
            lambda g: apply(xp, pad, g, widths=back, mode="constant", value=0),
        )
    shape = x.shape
    r = x
    for axis, (before, after) in enumerate(widths):
        if before or after:
            r = _extended(xp, r, axis, before, after, mode)

    def vjp(g: Array) -> Array:
        for axis, (before, after) in reversed(list(enumerate(widths))):
            if before or after:
                g = _folded(xp, g, axis, shape[axis], before, after, mode)
        return g

    return r, (vjp,)


def check_widths(x: Array, widths: Widths, mode: str) -> None:
    """Raise unless an array is long enough for what is mirrored, repeated or taken away."""
    for axis, (length, (before, after)) in enumerate(zip(x.shape, widths, strict=True)):
        if length + before + after < 0 or length < max(-before, -after):
            raise ShapeError(
                f"pad: widths {before} and {after} take more from axis {axis} than its {length} elements, given an "
                f"input of shape {tuple(x.shape)}."
            )
        if mode == "constant" or not (before or after):
            continue
        most = {"reflect": length - 1, "circular": length}.get(mode, max(before, after) if length else 0)
        if max(before, after) > most:
            raise ShapeError(
                f"pad: mode {mode!r} can pad axis {axis}, of length {length}, by {max(most, 0)} at each end at "
                f"most, got {before} and {after}. Mode 'constant' can pad by any number."
            )


def _part(x: Array, axis: int, start: int, stop: int) -> Array:
    return x[(*(slice(None),) * axis, slice(start, stop), ...)]


def _surrounded(xp: Namespace, x: Array, widths: Widths, value: float) -> Array:
    kept = tuple(
        slice(max(-before, 0), length - max(-after, 0))
        for length, (before, after) in zip(x.shape, widths, strict=True)
    )
    if any(before < 0 or after < 0 for before, after in widths):
        x = x[kept]
    for axis, (before, after) in enumerate(widths):
        parts = [_filled(xp, x, axis, before, value), x, _filled(xp, x, axis, after, value)]
        parts = [part for part in parts if part is not None]
        if len(parts) > 1:
            x = xp.concat(parts, axis=axis)
    return x


def _filled(xp: Namespace, x: Array, axis: int, length: int, value: float) -> Array | None:
    """Elements to put at one end of an axis; None if there are to be none."""
    if length <= 0:
        return None
    shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
    if not value:  # also of booleans, which some libraries do not make of the number 0
        return xp.zeros(shape, dtype=x.dtype, device=device_of(x))
    return xp.full(shape, value, dtype=x.dtype, device=device_of(x))


def _extended(xp: Namespace, x: Array, axis: int, before: int, after: int, mode: str) -> Array:
    n = x.shape[axis]
    if mode == "reflect":
        first, last = _part(x, axis, 1, 1 + before), _part(x, axis, n - 1 - after, n - 1)
        first, last = xp.flip(first, axis=axis), xp.flip(last, axis=axis)
    elif mode == "circular":
        first, last = _part(x, axis, n - before, n), _part(x, axis, 0, after)
    else:
        shapes = [(*x.shape[:axis], width, *x.shape[axis + 1 :]) for width in (before, after)]
        first = xp.broadcast_to(_part(x, axis, 0, 1), shapes[0])
        last = xp.broadcast_to(_part(x, axis, n - 1, n), shapes[1])
    return xp.concat([first, x, last], axis=axis)


def _folded(xp: Namespace, g: Array, axis: int, n: int, before: int, after: int, mode: str) -> Array:
    """The adjoint of :func:`_extended`: what came from an element is added to it."""
    r = _part(g, axis, before, before + n)
    first, last = _part(g, axis, 0, before), _part(g, axis, before + n, before + n + after)
    if mode == "reflect":
        first, last = xp.flip(first, axis=axis), xp.flip(last, axis=axis)
        starts = 1, n - 1 - after
    elif mode == "circular":
        starts = n - before, 0
    else:
        first, last = xp.sum(first, axis=axis, keepdims=True), xp.sum(last, axis=axis, keepdims=True)
        starts = 0, n - 1
    for part, start, width in ((first, starts[0], before), (last, starts[1], after)):
        if width:
            r = _added_at(xp, r, part, axis, start)
    return r


def _added_at(xp: Namespace, x: Array, part: Array, axis: int, start: int) -> Array:
    """``x`` with ``part`` added from one place of an axis on."""
    stop = start + part.shape[axis]
    pieces = [_part(x, axis, start, stop) + part]
    if start:
        pieces.insert(0, _part(x, axis, 0, start))
    if stop < x.shape[axis]:
        pieces.append(_part(x, axis, stop, x.shape[axis]))
    return xp.concat(pieces, axis=axis)
