"""JAX functions for single ops; each has the signature and the contract of the op that it replaces.

JAX arrays cannot be written into, so whatever replaces or adds at a key goes through ``.at[key]``, which returns a
new array.
"""

from __future__ import annotations

from typing import Any

from portanet.ops.scatter import Scatter, scatter_kernels
from portanet.protocols import Array, Namespace, Scalar
from portanet_jax import windows

__all__ = ["KERNELS"]


def _check_integers(x: Array, key: Any) -> None:
    """Raise for a Python integer beyond its axis, which JAX would move to the nearest end without a word.

    Raises
    ------
    IndexError
        If an integer in the key is out of bounds.
    """
    parts = key if isinstance(key, tuple) else (key,)
    sizes = [_axes_of(part) for part in parts]
    axis = 0
    for part, size in zip(parts, sizes, strict=True):
        if part is Ellipsis:
            axis += x.ndim - sum(sizes)
        elif isinstance(part, int) and axis < x.ndim and not -x.shape[axis] <= part < x.shape[axis]:
            raise IndexError(
                f"key: index {part} is out of bounds for axis {axis} of length {x.shape[axis]}; "
                f"it takes {-x.shape[axis]} to {x.shape[axis] - 1}."
            )
        axis += size


def _axes_of(part: Any) -> int:
    """How many axes of the array a part of a key uses up."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if hasattr(part, "dtype") and part.dtype == bool else 1


def _index(part: Any) -> Any:
    """An index in a type wide enough for every axis: JAX adds the length of the axis to it, which int8 may not hold."""
    if hasattr(part, "dtype") and part.dtype.kind in "iu" and part.dtype.itemsize < 4:
        return part.astype("int32")
    return part


def _wide(key: Any) -> Any:
    return tuple(_index(part) for part in key) if isinstance(key, tuple) else _index(key)


def _read(x: Array, key: Any) -> Array:
    _check_integers(x, key)
    return x[_wide(key)]


def _add(whole: Array, key: Any, values: Array) -> Array:
    return whole.at[_wide(key)].add(values)


def _replace(xp: Namespace, x: Array, key: Any, value: Array | Scalar) -> Array:
    value = xp.asarray(value, dtype=x.dtype)
    if getattr(key, "shape", None) == x.shape and key.dtype == xp.bool and value.ndim == 0:
        return xp.where(key, value, x)  # `.at[mask]` would compile anew for every other number of elements
    _check_integers(x, key)
    return x.at[_wide(key)].set(value)


def _places(xp: Namespace, length: int, like: Array) -> Array:
    """Without a device: under ``jax.jit`` an array has none."""
    return xp.arange(length, dtype=like.dtype)


KERNELS = {
    **scatter_kernels(Scatter(add=_add, replace=_replace, read=_read, places=_places, index=_index)),
    **windows.KERNELS,
}
