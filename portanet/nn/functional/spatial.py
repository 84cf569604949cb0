"""What convolutions and poolings share: options with a number for each spatial axis, and inputs without a batch."""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import Any

from portanet.backend import require_backend_of
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.functions.manipulation import expand_dims, squeeze
from portanet.protocols import Array
from portanet.tensor import unwrap

__all__ = ["batched", "check_input", "each_axis"]


def each_axis(name: str, argument: str, value: Any, dims: int, *, low: int) -> tuple[int, ...]:
    """One whole number for each spatial axis, from a number for all or a sequence.

    Raises
    ------
    OptionError
        If there are not as many as axes, or one is too small.
    TypeError
        If they are no whole numbers.
    """
    try:
        numbers = (index(value),) * dims if not isinstance(value, (tuple, list)) else tuple(map(index, value))
    except TypeError:
        raise TypeError(
            f"{name}: {argument}: expected a whole number or {dims} of them, got {value!r}."
        ) from None
    if len(numbers) == 1:
        numbers *= dims
    if len(numbers) != dims:
        raise OptionError(f"{name}: {argument}: expected {dims} numbers, one for each axis, got {value!r}.")
    if min(numbers) < low:
        raise OptionError(f"{name}: {argument}: expected numbers of at least {low}, got {value!r}.")
    return numbers


def check_input(name: str, x: Array, dims: int) -> None:
    """Raise unless ``x`` has the shape (N, C, *lengths), or (C, *lengths), and holds floating-point numbers.

    Raises
    ------
    ShapeError, DTypeError
    """
    array = unwrap(x)
    backend = require_backend_of(array, f"{name}: input")
    if len(array.shape) not in (dims + 1, dims + 2):
        axes = ", ".join(["length", "height, width", "depth, height, width"][dims - 1 : dims])
        raise ShapeError(
            f"{name}: input: expected the shape (batch, channels, {axes}), or without batch, got {tuple(array.shape)}."
        )
    dtype = backend.dtype_of(array)
    if not dtype.is_differentiable:
        raise DTypeError(
            f"{name}: input: expected floating-point numbers, got {dtype.name}. Convert it with portanet.astype(x, "
            "portanet.float32)."
        )


def batched(function: Callable[[Array], Any], x: Array, dims: int) -> Any:
    """Call a function of (N, C, *lengths); for an input without a batch, with a batch of one."""
    if len(x.shape) == dims + 2:
        return function(x)
    found = function(expand_dims(x, axis=0))
    if isinstance(found, tuple):
        return tuple(squeeze(part, axis=0) for part in found)
    return squeeze(found, axis=0)
