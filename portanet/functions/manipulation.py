"""The standard's manipulation functions, of Tensors and of raw arrays."""

from __future__ import annotations

from typing import Any

from portanet.backend import backend_of, check_same_place
from portanet.checks import whole_number
from portanet.conversion import require_known
from portanet.dtypes import Device, DType
from portanet.errors import DTypeError, ShapeError
from portanet.functions.data_types import broadcast_shapes
from portanet.lifting import lift_sequence
from portanet.ops import indexing
from portanet.ops import manipulation as ops
from portanet.ops.manipulation import repeated_places
from portanet.protocols import Array
from portanet.requirements import place_of_axis
from portanet.tensor import Tensor, lift, slices_along, unwrap, wrap

__all__ = [
    "astype",
    "broadcast_arrays",
    "broadcast_to",
    "concat",
    "expand_dims",
    "flip",
    "matrix_transpose",
    "moveaxis",
    "permute_dims",
    "repeat",
    "reshape",
    "roll",
    "squeeze",
    "stack",
    "tile",
    "tril",
    "triu",
    "unstack",
]

_astype = lift(ops.astype, aliases=True, positional=True)
broadcast_to = lift(ops.broadcast_to, aliases=True)
concat = lift_sequence(ops.concat)
expand_dims = lift(ops.expand_dims, aliases=True)
flip = lift(ops.flip, aliases=True)
matrix_transpose = lift(ops.matrix_transpose, aliases=True)
moveaxis = lift(ops.moveaxis, aliases=True, positional=True)
permute_dims = lift(ops.permute_dims, aliases=True)
reshape = lift(ops.reshape, aliases=True)
roll = lift(ops.roll)
squeeze = lift(ops.squeeze, aliases=True)
stack = lift_sequence(ops.stack)
tile = lift(ops.tile, positional=True)
tril = lift(ops.tril)
triu = lift(ops.triu)


def astype(x: Array, dtype: DType, /, *, copy: bool = True, device: Device | str | None = None) -> Any:
    """Convert to another data type, and move to another device if one is given."""
    r = _astype(x, dtype, copy=copy)
    if device is None:
        return r
    if isinstance(r, Tensor):
        return r.to(device)
    return require_known(r).asarray(r, device=device)


_take = lift(indexing.take)


def together(name: str, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
    """Arrays that must be in one place, all of them as Tensors if one is; what is not an array raises."""
    for number, x in enumerate(arrays, start=1):
        if backend_of(unwrap(x)) is None:
            raise DTypeError(
                f"{name}: argument {number} must be a Tensor or an array, got {type(x).__name__}. "
                "Convert it with portanet.asarray(...)."
            )
    check_same_place(name, [unwrap(x) for x in arrays])
    if any(isinstance(x, Tensor) for x in arrays):
        return tuple(x if isinstance(x, Tensor) else wrap(x) for x in arrays)
    return arrays


def broadcast_arrays(*arrays: Array) -> tuple[Any, ...]:
    """The arrays, each repeated to the shape that all of them broadcast to, without copying.

    Examples
    --------
    >>> x, y = pn.broadcast_arrays(pn.ones((2, 1)), pn.ones((3,)))
    >>> x.shape, y.shape
    ((2, 3), (2, 3))
    """
    arrays = together("broadcast_arrays", arrays)
    shape = broadcast_shapes(*(tuple(x.shape) for x in arrays))
    return tuple(broadcast_to(x, shape) for x in arrays)


def repeat(x: Array, repeats: int | Array, /, *, axis: int | None = None) -> Any:
    """Each element so many times in a row, along one axis, or along that of the flattened array.

    Parameters
    ----------
    x : Array
        Any shape; at least one axis if ``axis`` is given.
    repeats : int or Array
        One count for all elements along the axis; or integers of shape (1,) or one for each element. The length of the
        result depends on such an array, so its values are read on the host, which waits for the device.
    axis : int, optional
        Default: of the flattened array.

    Examples
    --------
    >>> pn.repeat(pn.asarray([1.0, 2.0]), 2)
    Tensor([1., 1., 2., 2.])
    >>> pn.repeat(pn.asarray([1.0, 2.0]), pn.asarray([0, 3]))
    Tensor([2., 2., 2.])
    """
    (x,) = together("repeat", (x,))
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axis = place_of_axis("repeat", axis, x.ndim)
    counts = unwrap(repeats)
    owner = backend_of(counts)
    if owner is None or not isinstance(counts, owner.array_types()[0]):
        times = whole_number("repeats", counts, low=0)
        before, (length, *after) = tuple(x.shape[:axis]), x.shape[axis:]
        apart = broadcast_to(reshape(x, (*before, length, 1, *after)), (*before, length, times, *after))
        return reshape(apart, (*before, length * times, *after), copy=True if times == 1 else None)
    check_same_place("repeat", (unwrap(x), counts))
    places = repeated_places(require_known(counts).namespace, counts, x.shape[axis])
    return _take(x, places, axis=axis)


def unstack(x: Array, /, *, axis: int = 0) -> tuple[Any, ...]:
    """The slices along an axis, as many as it is long, without copying; :func:`stack` is the opposite.

    Examples
    --------
    >>> pn.unstack(pn.asarray([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    (Tensor([1., 3.]), Tensor([2., 4.]))
    """
    (x,) = together("unstack", (x,))
    if not x.shape:
        raise ShapeError("unstack: expected an array with at least one axis, got a single number.")
    return tuple(slices_along(x, place_of_axis("unstack", axis, x.ndim)))
