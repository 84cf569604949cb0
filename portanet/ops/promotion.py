"""How numbers of other kinds enter an op.

Functions that need floating-point numbers take integers in the default type, float32. Array libraries differ here (NumPy would
give float64, PyTorch float32, the standard nothing at all), and no result of portanet depends on the library.
"""

from __future__ import annotations

from typing import Any

from portanet.protocols import Array, NativeDType, Namespace

__all__ = ["constant_like", "device_of", "floating"]

_is_integer: dict[NativeDType, bool] = {}


def floating(xp: Namespace, x: Any) -> Array:
    """``x`` in float32 if it is an array of integers or booleans, else as it is."""
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        return x
    integer = _is_integer.get(dtype)
    if integer is None:
        integer = _is_integer[dtype] = bool(xp.isdtype(dtype, ("integral", "bool")))
    return xp.astype(x, xp.float32) if integer else x


def device_of(x: Array) -> Any:
    """Where to put an array beside ``x``; None, the default place, while JAX traces and ``x`` has no place yet."""
    return getattr(x, "device", None)


def constant_like(xp: Namespace, number: Any, x: Array) -> Array:
    """A Python number as an array without axes, of the data type and in the place of ``x``; an array as it is."""
    if hasattr(number, "dtype"):
        return number
    return xp.asarray(number, dtype=x.dtype, device=device_of(x))
