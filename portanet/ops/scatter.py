"""The index ops once more, for array libraries that can add at indices.

The standard has no scatter, so :mod:`portanet.ops.indexing` works without one. Most libraries have one, each under
its own name: a backend describes it as :class:`Scatter` and gets from :func:`scatter_kernels` the kernels that use
it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from portanet.backend import Kernel
from portanet.ops.promotion import device_of
from portanet.protocols import Array, Namespace, OpResult, Scalar
from portanet.requirements import place_of_axis

__all__ = ["Scatter", "is_portable_key", "scatter_kernels"]


def _same(indices: Array) -> Array:
    return indices


def _read(x: Array, key: Any) -> Array:
    return x[key]


def _places(xp: Namespace, length: int, like: Array) -> Array:
    # Not in the type of `like`, which may be too narrow.
    return xp.arange(length, dtype=xp.int64, device=device_of(like))


@dataclass(frozen=True)
class Scatter:
    """How one library reads, adds and replaces at a key.

    A key is what indexing takes: integers, slices, ``None`` and ``...``; one boolean array; or integers and integer
    arrays for the leading axes.

    Parameters
    ----------
    add : callable
        ``add(whole, key, values)``: ``whole`` with ``values`` added at ``key``, where duplicates add up. ``whole``
        belongs to the callee, which may write into it.
    replace : callable
        ``replace(xp, x, key, value)``: a copy of ``x`` with ``value``, an array or a number, at ``key``.
    read : callable, optional
        ``read(x, key)``. Default ``x[key]``.
    places : callable, optional
        ``places(xp, length, like)``: 0, 1, ... ``length - 1``, integers on the device of ``like``.
    index : callable, optional
        ``index(indices)``: integer indices in a data type that all of the library's functions take.
    """

    add: Callable[[Array, Any, Array], Array]
    replace: Callable[[Namespace, Array, Any, Array | Scalar], Array]
    read: Callable[[Array, Any], Array] = _read
    places: Callable[[Namespace, int, Array], Array] = _places
    index: Callable[[Array], Array] = _same


def is_portable_key(key: Any) -> bool:
    """Whether a key is one that the op itself takes, so that a kernel is no more generous than the definition."""
    parts = key if isinstance(key, tuple) else (key,)
    arrays = [part for part in parts if hasattr(part, "dtype") and hasattr(part, "shape")]
    names = [str(part.dtype) for part in arrays]
    if any("bool" in name for name in names):
        return len(parts) == 1
    if any("int" not in name for name in names):
        return False  # the op says why
    if arrays:
        return all(isinstance(part, int) or hasattr(part, "dtype") for part in parts)
    return True


def scatter_kernels(
    scatter: Scatter,
    accepts: Callable[[Array], bool] | None = None,
) -> Mapping[str, Kernel]:
    """Kernels for ``getitem``, ``setitem``, ``take``, ``index_add`` and ``take_along_axis``.

    Parameters
    ----------
    scatter : Scatter
        The library's own functions.
    accepts : callable, optional
        ``accepts(x) -> bool``: whether the library's functions take this array; where not, the op itself runs.
    """

    def add_along(xp: Namespace, whole: Array, indices: Array, values: Array, axis: int) -> Array:
        moved = scatter.add(xp.moveaxis(whole, axis, 0), (indices,), xp.moveaxis(values, axis, 0))
        return xp.moveaxis(moved, 0, axis)

    def getitem(xp: Namespace, x: Array, key: Any) -> OpResult:
        return scatter.read(x, key), (lambda g: scatter.add(xp.zeros_like(x, dtype=g.dtype), key, g),)

    def setitem(xp: Namespace, x: Array, value: Array, key: Any) -> OpResult:
        if hasattr(value, "dtype") and value.dtype != x.dtype:
            value = xp.astype(value, x.dtype)
        r = scatter.replace(xp, x, key, value)
        return r, (
            lambda g: scatter.replace(xp, g, key, 0),
            lambda g: scatter.read(g, key),
        )

    def take(xp: Namespace, x: Array, indices: Array, *, axis: int | None = None) -> OpResult:
        along = 0 if axis is None else axis
        if not x.ndim:
            place_of_axis("take", along, 0)
        r = xp.take(x, scatter.index(indices), axis=along)
        return r, (lambda g: add_along(xp, xp.zeros_like(x, dtype=g.dtype), indices, g, along), None)

    def index_add(xp: Namespace, x: Array, indices: Array, values: Array, *, axis: int = 0) -> OpResult:
        r = add_along(xp, xp.asarray(x, copy=True), indices, values, axis)
        return r, (lambda g: g, None, lambda g: xp.take(g, scatter.index(indices), axis=axis))

    def take_along_axis(xp: Namespace, x: Array, indices: Array, *, axis: int = -1) -> OpResult:
        along = place_of_axis("take_along_axis", axis, x.ndim)
        indices = scatter.index(indices)  # in a type that holds the places of every axis

        def vjp(g: Array) -> Array:
            key = []
            for position, length in enumerate(g.shape):
                line = tuple(length if other == position else 1 for other in range(g.ndim))
                places = scatter.places(xp, length, indices)
                key.append(indices if position == along else xp.reshape(places, line))
            shape = tuple(x.shape[along] if a == along else length for a, length in enumerate(g.shape))
            whole = xp.zeros_like(xp.broadcast_to(x, shape), dtype=g.dtype)
            return scatter.add(whole, tuple(key), g)

        return xp.take_along_axis(x, indices, axis=axis), (vjp, None)

    def takes(x: Array) -> bool:
        return accepts is None or accepts(x)

    return {
        "getitem": Kernel(getitem, accepts=lambda x, key: takes(x) and is_portable_key(key)),
        "setitem": Kernel(setitem, accepts=lambda x, value, key: takes(x) and is_portable_key(key)),
        "take": Kernel(
            take, accepts=lambda x, i, *, axis=None: takes(x) and (axis is not None or x.ndim == 1)
        ),
        "index_add": Kernel(
            index_add, accepts=lambda x, i, v, *, axis=0: takes(x) and takes(v) and x.dtype == v.dtype
        ),
        "take_along_axis": Kernel(take_along_axis, accepts=lambda x, i, *, axis=-1: takes(x)),
    }
