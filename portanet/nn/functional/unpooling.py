"""What undoes a pooling: the largest values go back to where they were, and all else is 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from portanet.backend import require_backend_of
from portanet.dtypes import int64
from portanet.errors import DataError, DTypeError, OptionError, ShapeError
from portanet.functions.manipulation import astype, reshape
from portanet.nn.functional.spatial import check_input, each_axis
from portanet.ops import unpooling as ops
from portanet.protocols import Array
from portanet.tensor import lift, unwrap

__all__ = ["max_unpool1d", "max_unpool2d", "max_unpool3d"]

_unpool = lift(ops.unpool)

Ints = int | tuple[int, ...]
Numbers = tuple[int, ...]


def _lengths(
    name: str, given: Numbers, kernel: Numbers, stride: Numbers, padding: Numbers, output_size: Any
) -> Numbers:
    """The spatial axes of the result."""
    usual = tuple(
        (length - 1) * s + k - 2 * p for length, k, s, p in zip(given, kernel, stride, padding, strict=True)
    )
    if output_size is None:
        if min(usual) < 0:
            raise ShapeError(
                f"{name}: input: with these windows the shape {given} would become {usual}. Give output_size, or less "
                "padding."
            )
        return usual
    dims = len(given)
    sizes = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * dims
    sizes = sizes[2:] if len(sizes) == dims + 2 else sizes
    wanted = each_axis(name, "output_size", sizes, dims, low=0)
    for length, least, s in zip(wanted, usual, stride, strict=True):
        if not least - s < length < least + s:
            between = ", ".join(
                f"{max(n - step + 1, 0)} to {n + step - 1}" for n, step in zip(usual, stride, strict=True)
            )
            raise OptionError(
                f"{name}: output_size: of the input's shape {given} these windows can have been taken from lengths of "
                f"{between} only, got {output_size!r}. Give the shape of what was pooled."
            )
    return wanted


def _check_indices(name: str, input: Array, indices: Array, lengths: Numbers) -> None:
    array = unwrap(indices)
    backend = require_backend_of(array, f"{name}: indices")
    if tuple(array.shape) != tuple(input.shape):
        raise ShapeError(
            f"{name}: indices: expected the shape of the input, {tuple(input.shape)}, got {tuple(array.shape)}."
        )
    dtype = backend.dtype_of(array)
    if "integer" not in dtype.kind:
        raise DTypeError(
            f"{name}: indices: expected integers, as a pooling with return_indices=True gives them, got {dtype.name}."
        )
    if 0 in array.shape or not backend.readable(array):
        return
    xp = backend.namespace
    lowest, highest = int(xp.min(array)), int(xp.max(array))
    if lowest < 0 or highest >= prod(lengths):
        raise DataError(
            f"{name}: indices: expected places from 0 to {prod(lengths) - 1} in a result of shape {lengths}, got "
            f"{lowest if lowest < 0 else highest}. Give the indices and the windows of one pooling, and its input's "
            "shape as output_size."
        )


def _of_dims(dims: int) -> Callable[..., Any]:
    name = f"max_unpool{dims}d"

    def function(
        input: Array,
        indices: Array,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        output_size: Sequence[int] | int | None = None,
    ) -> Any:
        check_input(name, input, dims)
        kernel = each_axis(name, "kernel_size", kernel_size, dims, low=1)
        step = kernel if stride is None else each_axis(name, "stride", stride, dims, low=1)
        around = each_axis(name, "padding", padding, dims, low=0)
        lengths = _lengths(name, tuple(input.shape[-dims:]), kernel, step, around, output_size)
        _check_indices(name, input, indices, lengths)
        planes = tuple(input.shape[:-dims])
        count = prod(input.shape[-dims:])
        places = reshape(astype(indices, int64, copy=False), (*planes, count))
        r = _unpool(reshape(input, (*planes, count)), places, length=prod(lengths))
        return reshape(r, (*planes, *lengths))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""What :func:`max_pool{dims}d` took the largest values from, with 0 for all the others.

    Of several values for one place, which overlapping windows give, the last one stays; as in PyTorch each of them
    takes the whole gradient of the place.

    Parameters
    ----------
    input : Array
        Shape (N, C, {_LENGTHS[dims]}), or without N.
    indices : Array
        Integers of the same shape: where each value stood among the elements of its channel.
    kernel_size, stride, padding : int or tuple of int
        The windows of the pooling; ``stride`` is the size of the window by default.
    output_size : sequence of int, optional
        The shape of what was pooled, or its last {_COUNT[dims]}, for with a stride several lengths give the same
        number of windows. Default ``(length - 1) * stride - 2 * padding + kernel_size``.

    Raises
    ------
    ShapeError, DTypeError, OptionError
        If the arguments do not fit together.
    DataError
        If an index is out of range (checked where reading the indices costs nothing, on the host).
    """
    return function


_LENGTHS = {1: "L", 2: "H, W", 3: "D, H, W"}
_COUNT = {1: "length", 2: "two lengths", 3: "three lengths"}

max_unpool1d, max_unpool2d, max_unpool3d = map(_of_dims, (1, 2, 3))
