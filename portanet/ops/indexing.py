"""Reading and replacing parts of an array.

Arrays are never changed: :func:`setitem` returns a new one. Duplicate integer indices accumulate in every gradient.
"""

from __future__ import annotations

from math import prod
from typing import Any

from portanet.errors import AxisError
from portanet.ops.composition import apply
from portanet.ops.promotion import alike, device_of
from portanet.protocols import Array, Namespace, OpResult
from portanet.requirements import UnnamedError, name_of_dtype, place_of_axis

__all__ = ["getitem", "index_add", "setitem", "take", "take_along_axis"]


def _is_integer_array(part: Any) -> bool:
    return hasattr(part, "dtype") and hasattr(part, "shape") and "bool" not in str(part.dtype)


def _has_integer_arrays(key: Any) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    return any(_is_integer_array(part) for part in parts)


def _complete_key(key: Any, shape: tuple[int, ...]) -> Any:
    """The key as the standard wants it: every axis named, ``...`` at the end if need be, no slice beyond its axis.

    Parameters
    ----------
    key
        Of integers, slices, ``None`` and ``...``; one with arrays stays as it is.
    shape : tuple of int
        Of the array that it is for.
    """
    parts = key if isinstance(key, tuple) else (key,)
    if any(hasattr(part, "shape") for part in parts):
        return key
    named = sum(part is not None and part is not Ellipsis for part in parts)
    complete: list[Any] = []
    axis = 0
    for part in parts if Ellipsis in parts or named >= len(shape) else (*parts, ...):
        if isinstance(part, slice) and axis < len(shape):
            part = _within(part, shape[axis])
        complete.append(part)
        axis += len(shape) - named if part is Ellipsis else part is not None
    return tuple(complete)


def _within(part: slice, length: int) -> slice:
    """The same places of an axis, with both ends inside it."""
    start, stop, step = part.indices(length)
    if step > 0:
        return slice(min(start, length), max(start, stop), step)
    return slice(start, stop if stop >= 0 else None, step) if start >= 0 else slice(0, 0)


def _check_index(indices: Array) -> str:
    """The name of the data type of integer indices.

    Raises
    ------
    DTypeError
        If they are no integers.
    """
    name = name_of_dtype(indices.dtype)
    if "int" not in name:
        raise UnnamedError(
            f"indices: expected integers or booleans, got {name}. Convert them: "
            "portanet.astype(indices, portanet.int64)."
        )
    return name


def _forward(xp: Namespace, indices: Array, length: int) -> Array:
    """Indices counted from the front, in a type wide enough for every place; what is out of range stays so."""
    # By name, since an index may be a raw array where ``xp`` is portanet.
    name = _check_index(indices)
    if name not in ("int32", "int64"):
        indices = xp.astype(indices, xp.int64)
    return xp.where(indices < 0, indices + length, indices)


def getitem(xp: Namespace, x: Array, key: Any) -> OpResult:
    """A part of an array: integers, slices, ``None``, ``...``, a boolean mask, or integer arrays.

    Parameters
    ----------
    x : Array
        Any shape.
    key
        As the standard allows: integers, slices, ``None`` and ``...``; one boolean array; or one integer or
        integer array for each of the leading axes.
    """
    if _has_integer_arrays(key):
        return _gather(xp, x, key)
    key = _complete_key(key, x.shape)

    r = x[key]
    parts = key if isinstance(key, tuple) else (key,)
    place, shape = key, r.shape
    if any(part is None for part in parts):  # which the standard takes in reading only
        place = tuple(part for part in parts if part is not None) or ...
        shape = x[place].shape

    def vjp(g: Array) -> Array:
        whole = xp.zeros_like(x, dtype=g.dtype)
        return apply(xp, setitem, whole, xp.reshape(g, shape), place)

    return r, (vjp,)


def _gather(xp: Namespace, x: Array, key: Any) -> OpResult:
    """Index the leading axes by integers and integer arrays, through one flat axis."""
    parts = key if isinstance(key, tuple) else (key,)
    if any(not isinstance(part, int) and not _is_integer_array(part) for part in parts):
        raise IndexError(
            "key: integer arrays may be mixed with integers only, not with slices, None, ... or masks. "
            "Index in two steps, x[:, 1:][rows, columns]."
        )
    if len(parts) > x.ndim:
        raise IndexError(f"key: {len(parts)} indices are too many for an array of {x.ndim} axes.")
    lengths = x.shape[: len(parts)]
    rest = x.shape[len(parts) :]
    flat: Any = 0
    outside: Any = False
    for axis, (part, length) in enumerate(zip(parts, lengths, strict=True)):
        if isinstance(part, int):
            if not -length <= part < length:
                raise IndexError(f"key: index {part} is out of range for axis {axis} of length {length}.")
            index: Any = part % length
        else:
            index = _forward(xp, part, length)
            outside = outside | (index < 0) | (index >= length)
        flat = flat * length + index
    # A place beyond the end, for `take` to refuse: in the flat axis it could be the place of another element.
    flat = xp.where(outside, xp.full_like(flat, prod(lengths)), flat)
    rows = xp.reshape(x, (prod(lengths), *rest))
    r = xp.reshape(xp.take(rows, xp.reshape(flat, (-1,)), axis=0), (*flat.shape, *rest))

    def vjp(g: Array) -> Array:
        values = xp.reshape(g, (prod(flat.shape), *rest))
        whole = xp.zeros_like(rows, dtype=g.dtype)
        return xp.reshape(apply(xp, index_add, whole, xp.reshape(flat, (-1,)), values, axis=0), x.shape)

    return r, (vjp,)


def setitem(xp: Namespace, x: Array, value: Array, key: Any) -> OpResult:
    """A copy of ``x`` with the part at ``key`` replaced by ``value``, which may broadcast to it."""
    key = _complete_key(key, x.shape)
    for part in key if isinstance(key, tuple) else (key,):
        if _is_integer_array(part):
            _check_index(part)
    if hasattr(value, "dtype") and value.dtype != x.dtype:
        value = xp.astype(value, x.dtype)
    r = xp.asarray(x, copy=True)
    r[key] = value

    def wrt_x(g: Array) -> Array:
        return apply(xp, setitem, g, xp.zeros_like(g[key]), key)

    return r, (wrt_x, lambda g: g[key])


def take(xp: Namespace, x: Array, indices: Array, /, *, axis: int | None = None) -> OpResult:
    """Elements of ``x`` along one axis, at the given integer indices."""
    if axis is None:
        if x.ndim != 1:
            raise AxisError(f"take: axis: must be given for an array of {x.ndim} dimensions; pass axis=0.")
        axis = 0
    if not x.ndim:
        place_of_axis("take", axis, 0)
    r = xp.take(x, indices, axis=axis)

    def vjp(g: Array) -> Array:
        return apply(xp, index_add, xp.zeros_like(x, dtype=g.dtype), indices, g, axis=axis)

    return r, (vjp, None)


def index_add(xp: Namespace, x: Array, indices: Array, values: Array, *, axis: int = 0) -> OpResult:
    """``x`` with slices of ``values`` added at integer ``indices`` of one axis; duplicate indices add up.

    This definition multiplies by a matrix of zeros and ones, which every library can do; backends bring a scatter.

    Parameters
    ----------
    x : Array
        Shape (..., n, ...), ``n`` at ``axis``.
    indices : Array
        Integers of shape (k,).
    values : Array
        The shape of ``x`` with ``k`` instead of ``n``.
    """
    x, values = alike(xp, x, values)
    n = x.shape[axis]
    wrapped = _forward(xp, indices, n)
    places = xp.arange(n, dtype=wrapped.dtype, device=device_of(wrapped))
    outside = (wrapped < 0) | (wrapped >= n)
    wrapped = xp.take(places, xp.where(outside, xp.full_like(wrapped, n), wrapped), axis=0)  # raises for n
    hits = xp.expand_dims(places, axis=1) == xp.expand_dims(wrapped, axis=0)  # (n, k)
    one_hot = xp.astype(hits, values.dtype)
    moved = xp.moveaxis(values, axis, 0)  # (k, ...)
    rest = moved.shape[1:]
    sums = one_hot @ xp.reshape(moved, (moved.shape[0], prod(rest)))  # (n, k) @ (k, rest)
    r = x + xp.moveaxis(xp.reshape(sums, (n, *rest)), 0, axis)
    return r, (lambda g: g, None, lambda g: xp.take(g, indices, axis=axis))


def take_along_axis(xp: Namespace, x: Array, indices: Array, /, *, axis: int = -1) -> OpResult:
    """Elements of ``x`` at integer indices that differ from line to line along one axis.

    Parameters
    ----------
    x : Array
        Shape (..., n, ...), ``n`` at ``axis``.
    indices : Array
        Integers, of ``x``'s number of dimensions and compatible with it except along ``axis``.
    """
    n = x.shape[axis]

    def vjp(g: Array) -> Array:
        wrapped = _forward(xp, indices, n)
        places = xp.arange(n, dtype=wrapped.dtype, device=device_of(wrapped))
        hits = xp.expand_dims(xp.moveaxis(wrapped, axis, -1), axis=-1) == places  # (..., k, n)
        moved = xp.expand_dims(xp.moveaxis(g, axis, -1), axis=-1)  # (..., k, 1)
        return xp.moveaxis(xp.sum(xp.where(hits, moved, xp.zeros_like(moved)), axis=-2), -1, axis)

    return xp.take_along_axis(x, indices, axis=axis), (vjp, None)
