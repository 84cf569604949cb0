"""Functions that move values without changing them."""

from __future__ import annotations

from portanet.ops.promotion import all_alike
from portanet.protocols import Array, Namespace, NativeDType, OpResult

__all__ = [
    "astype",
    "broadcast_to",
    "concat",
    "expand_dims",
    "flip",
    "matrix_transpose",
    "moveaxis",
    "permute_dims",
    "reshape",
    "roll",
    "squeeze",
    "stack",
    "tril",
    "triu",
]


def reshape(xp: Namespace, x: Array, /, shape: tuple[int, ...], *, copy: bool | None = None) -> OpResult:
    """The same values in another shape; one size may be -1 and is then worked out."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    before = x.shape
    r = xp.reshape(x, shape) if copy is None else xp.reshape(x, shape, copy=copy)
    return r, (lambda g: xp.reshape(g, before),)


def permute_dims(xp: Namespace, x: Array, /, axes: tuple[int, ...]) -> OpResult:
    """Reorder the axes."""
    axes = tuple(axis % x.ndim for axis in axes)
    inverse = tuple(sorted(range(x.ndim), key=axes.__getitem__))
    return xp.permute_dims(x, axes), (lambda g: xp.permute_dims(g, inverse),)


def matrix_transpose(xp: Namespace, x: Array, /) -> OpResult:
    """Swap the last two axes."""
    return xp.matrix_transpose(x), (xp.matrix_transpose,)


def moveaxis(
    xp: Namespace, x: Array, /, source: int | tuple[int, ...], destination: int | tuple[int, ...]
) -> OpResult:
    """Move axes to other places; the others keep their order."""
    return xp.moveaxis(x, source, destination), (lambda g: xp.moveaxis(g, destination, source),)


def expand_dims(xp: Namespace, x: Array, /, *, axis: int = 0) -> OpResult:
    """Insert an axis of length 1."""
    before = x.shape
    return xp.expand_dims(x, axis=axis), (lambda g: xp.reshape(g, before),)


def squeeze(xp: Namespace, x: Array, /, axis: int | tuple[int, ...]) -> OpResult:
    """Remove axes of length 1."""
    before = x.shape
    return xp.squeeze(x, axis=axis), (lambda g: xp.reshape(g, before),)


def broadcast_to(xp: Namespace, x: Array, /, shape: tuple[int, ...]) -> OpResult:
    """Repeat along axes of length 1, and along new leading axes, without copying."""
    return xp.broadcast_to(x, tuple(shape)), (lambda g: g,)


def flip(xp: Namespace, x: Array, /, *, axis: int | tuple[int, ...] | None = None) -> OpResult:
    """Reverse the order along the given axes."""
    return xp.flip(x, axis=axis), (lambda g: xp.flip(g, axis=axis),)


def roll(
    xp: Namespace, x: Array, /, shift: int | tuple[int, ...], *, axis: int | tuple[int, ...] | None = None
) -> OpResult:
    """Shift values along an axis; those that leave at one end come in at the other."""
    back = -shift if isinstance(shift, int) else tuple(-s for s in shift)
    return xp.roll(x, shift, axis=axis), (lambda g: xp.roll(g, back, axis=axis),)


def tril(xp: Namespace, x: Array, /, *, k: int = 0) -> OpResult:
    """Keep the lower triangle of each matrix, up to diagonal ``k``."""
    return xp.tril(x, k=k), (lambda g: xp.tril(g, k=k),)


def triu(xp: Namespace, x: Array, /, *, k: int = 0) -> OpResult:
    """Keep the upper triangle of each matrix, from diagonal ``k`` on."""
    return xp.triu(x, k=k), (lambda g: xp.triu(g, k=k),)


def astype(xp: Namespace, x: Array, /, dtype: NativeDType, *, copy: bool = True) -> OpResult:
    """Convert to another data type."""
    r = xp.astype(x, dtype, copy=copy)
    if not xp.isdtype(r.dtype, ("real floating", "complex floating")):
        return r, (None,)
    return r, (lambda g: g,)  # which the engine converts back


def concat(xp: Namespace, *arrays: Array, axis: int | None = 0) -> OpResult:
    """Join arrays along an existing axis; with ``axis=None`` flatten them first."""
    r = xp.concat(all_alike(xp, arrays), axis=axis)
    if axis is None:
        sizes = [_size(x) for x in arrays]
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        return r, tuple(
            lambda g, start=start, size=size, shape=x.shape: xp.reshape(g[start : start + size], shape)
            for x, start, size in zip(arrays, starts, sizes, strict=True)
        )
    axis = axis % r.ndim
    lengths = [x.shape[axis] for x in arrays]
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    before = (slice(None),) * axis
    return r, tuple(
        lambda g, start=start, length=length: g[(*before, slice(start, start + length), ...)]
        for start, length in zip(starts, lengths, strict=True)
    )


def stack(xp: Namespace, *arrays: Array, axis: int = 0) -> OpResult:
    """Join arrays along a new axis."""
    r = xp.stack(all_alike(xp, arrays), axis=axis)
    before = (slice(None),) * (axis % r.ndim)
    return r, tuple(lambda g, i=i: g[(*before, i, ...)] for i in range(len(arrays)))


def _size(x: Array) -> int:
    size = 1
    for length in x.shape:
        size *= length
    return size
