"""What losses take: checks of their arguments, and the forms in which the losses use them."""

from __future__ import annotations

from typing import Any

from portanet.backend import require_backend_of
from portanet.dtypes import DType, int64
from portanet.errors import DataError, DTypeError, ShapeError
from portanet.functions.manipulation import astype, together
from portanet.ops.promotion import device_of
from portanet.protocols import Array
from portanet.tensor import Tensor, unwrap, wrap

__all__ = [
    "admitted",
    "check_class_weights",
    "check_classes",
    "check_floating",
    "class_indices",
    "dtype_of",
    "like_input",
    "numbers_beside",
    "same_shape",
    "widened",
]


def admitted(name: str, **arguments: Array | None) -> tuple[Any, ...]:
    """The arguments, all of them as Tensors if one is; None stays None.

    Raises
    ------
    DTypeError, MixedBackendError, DeviceError
        If one is no array, or they are in different places.
    """
    given = [argument for argument, value in arguments.items() if value is not None]
    for argument in given:
        require_backend_of(unwrap(arguments[argument]), argument)
    found = dict(zip(given, together(name, tuple(arguments[argument] for argument in given)), strict=True))
    return tuple(found.get(argument) for argument in arguments)


def dtype_of(x: Array, argument: str = "input") -> DType:
    """Portanet's data type of a Tensor or of an array of any library."""
    array = unwrap(x)
    return require_backend_of(array, argument).dtype_of(array)


def check_floating(name: str, x: Array, argument: str = "input") -> None:
    """Raise unless an argument is floating-point."""
    dtype = dtype_of(x, argument)
    if not dtype.is_floating:
        raise DTypeError(
            f"{argument}: {name} expects a floating-point type, got {dtype.name}. "
            f"Convert it with portanet.astype({argument}, portanet.float32)."
        )


def like_input(
    name: str,
    x: Array,
    other: Array,
    argument: str = "target",
    *,
    beside: str = "input",
    integers: bool = False,
) -> Any:
    """An argument that must have the input's data type; integers become it where they are allowed.

    Raises
    ------
    DTypeError
        If it has another one.
    """
    wanted, found = dtype_of(x, beside), dtype_of(other, argument)
    if found == wanted:
        return other
    if integers and (found.kind.endswith("integer") or found.kind == "bool"):
        return astype(other, wanted)
    also = ", or integers" if integers else ""
    raise DTypeError(
        f"{argument}: {name} expects the data type of {beside}, {wanted.name}{also}; got {found.name}. "
        f"Convert it with portanet.astype({argument}, {beside}.dtype)."
    )


def same_shape(name: str, x: Array, other: Array, argument: str = "target", *, beside: str = "input") -> None:
    """Raise unless an argument has the input's shape."""
    if tuple(other.shape) != tuple(x.shape):
        raise ShapeError(
            f"{argument}: {name} expects the shape of {beside}, {tuple(x.shape)}, got {tuple(other.shape)}. "
            f"Reshape one of them, for example with portanet.reshape({argument}, {beside}.shape)."
        )


def class_indices(
    name: str, target: Array, shape: tuple[int, ...], classes: int, ignore_index: int | None = None
) -> Any:
    """Class indices as int32 or int64, of the shape that the input asks for.

    Raises
    ------
    DTypeError, ShapeError
        If they are no integers, or have another shape.
    DataError
        If one is out of range (checked where reading them costs nothing, on the host).
    """
    dtype = dtype_of(target, "target")
    if not dtype.kind.endswith("integer"):
        raise DTypeError(
            f"target: {name} expects class indices as integers, got {dtype.name}. "
            "Convert them with portanet.astype(target, portanet.int64)."
        )
    if tuple(target.shape) != shape:
        raise ShapeError(
            f"target: {name} expects class indices of shape {shape}, one for each example of the input, got "
            f"{tuple(target.shape)}."
        )
    target = widened(target)
    check_classes(target, classes, ignore_index)
    return target


def widened(integers: Array) -> Any:
    """Integers as int32 or int64: narrower types cannot count many classes, unsigned ones not below 0."""
    return integers if dtype_of(integers).name in ("int32", "int64") else astype(integers, int64)


def numbers_beside(integers: Array, count: int) -> Any:
    """0, 1, ... up to ``count``, in the place and the data type of some integers, and a Tensor if these are one."""
    array = unwrap(integers)
    xp = require_backend_of(array, "target").namespace
    numbers = xp.arange(count, dtype=array.dtype, device=device_of(array))
    return wrap(numbers) if isinstance(integers, Tensor) else numbers


def check_classes(target: Array, classes: int, ignore_index: int | None) -> None:
    """Raise if a class index is out of range; what costs a copy or a wait to read is not looked at."""
    array = unwrap(target)
    backend = require_backend_of(array, "target")
    if 0 in array.shape or not backend.readable(array):
        return
    xp = backend.namespace
    lowest, highest = int(xp.min(array)), int(xp.max(array))
    if lowest >= 0 and highest < classes:
        return
    wrong = (array < 0) | (array >= classes)
    if ignore_index is not None:
        wrong = wrong & (array != ignore_index)
    if bool(xp.any(wrong)):
        found = array[wrong]
        ignored = "" if ignore_index is None else f" ignore_index is {ignore_index}."
        raise DataError(
            f"target: class indices must be from 0 to {classes - 1}, as the input has {classes} classes; "
            f"got {int(found[0])} ({int(found.shape[0])} out of range).{ignored}"
        )


def check_class_weights(weight: Array, x: Array, classes: int) -> None:
    """Raise unless there is one factor for each class, of the input's data type."""
    array, like = unwrap(weight), unwrap(x)
    backend = require_backend_of(array, "weight")
    if tuple(array.shape) != (classes,):
        raise ShapeError(
            f"weight: expected one factor per class, shape ({classes},), got {tuple(array.shape)}."
        )
    if backend is require_backend_of(like, "input") and array.dtype != like.dtype:
        raise DTypeError(
            f"weight: expected the input's data type {like.dtype}, got {array.dtype}. "
            "Convert it with portanet.astype(weight, input.dtype)."
        )
