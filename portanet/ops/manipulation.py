"""Functions that move values without changing them."""

from __future__ import annotations

from math import prod

from portanet.errors import AxisError, DTypeError, OptionError, ShapeError
from portanet.ops.promotion import all_alike, check_keeps_imaginary, device_of
from portanet.protocols import Array, Namespace, NativeDType, OpResult
from portanet.requirements import name_of_dtype, places_of_axes

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
    "tile",
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
    axes = tuple(axes)
    if sorted(axes) != list(range(x.ndim)):
        axes = places_of_axes("permute_dims", axes, x.ndim, "axes")
        if len(axes) != x.ndim:
            raise AxisError(
                f"permute_dims: axes: {axes!r} does not name each of {x.ndim} axes, shape {tuple(x.shape)}. Name each "
                "of them once; portanet.moveaxis moves some of them."
            )
    inverse = tuple(sorted(range(x.ndim), key=axes.__getitem__))
    return xp.permute_dims(x, axes), (lambda g: xp.permute_dims(g, inverse),)


def matrix_transpose(xp: Namespace, x: Array, /) -> OpResult:
    """Swap the last two axes."""
    return xp.matrix_transpose(x), (xp.matrix_transpose,)


def moveaxis(
    xp: Namespace, x: Array, /, source: int | tuple[int, ...], destination: int | tuple[int, ...]
) -> OpResult:
    """Move axes to other places; the others keep their order."""
    source = places_of_axes("moveaxis", source, x.ndim, "source")
    destination = places_of_axes("moveaxis", destination, x.ndim, "destination")
    if len(source) != len(destination):
        raise AxisError(
            f"moveaxis: source names {len(source)} axes and destination {len(destination)}. Give each axis that moves "
            "one place to go to."
        )
    return xp.moveaxis(x, source, destination), (lambda g: xp.moveaxis(g, destination, source),)


def expand_dims(xp: Namespace, x: Array, /, axis: int | tuple[int, ...] = 0) -> OpResult:
    """Insert an axis of length 1, or several: ``axis`` says where in the result they stand."""
    before = x.shape
    if isinstance(axis, int):
        r = xp.expand_dims(x, axis=axis)
    else:
        ndim = x.ndim + len(axis)
        new = set(places_of_axes("expand_dims", axis, ndim))
        lengths = iter(before)
        r = xp.reshape(x, tuple(1 if a in new else next(lengths) for a in range(ndim)))
    return r, (lambda g: xp.reshape(g, before),)


def squeeze(xp: Namespace, x: Array, /, axis: int | tuple[int, ...]) -> OpResult:
    """Remove axes of length 1."""
    if not x.ndim:
        places_of_axes("squeeze", axis, 0)
    before = x.shape
    return xp.squeeze(x, axis=axis), (lambda g: xp.reshape(g, before),)


def broadcast_to(xp: Namespace, x: Array, /, shape: tuple[int, ...]) -> OpResult:
    """Repeat along axes of length 1, and along new leading axes, without copying."""
    return xp.broadcast_to(x, tuple(shape)), (lambda g: g,)


def flip(xp: Namespace, x: Array, /, *, axis: int | tuple[int, ...] | None = None) -> OpResult:
    """Reverse the order along the given axes."""
    if axis is not None and not x.ndim:
        places_of_axes("flip", axis, 0)
    return xp.flip(x, axis=axis), (lambda g: xp.flip(g, axis=axis),)


def roll(
    xp: Namespace, x: Array, /, shift: int | tuple[int, ...], *, axis: int | tuple[int, ...] | None = None
) -> OpResult:
    """Shift values along an axis; those that leave at one end come in at the other."""
    back = -shift if isinstance(shift, int) else tuple(-s for s in shift)
    return xp.roll(x, shift, axis=axis), (lambda g: xp.roll(g, back, axis=axis),)


def tril(xp: Namespace, x: Array, /, *, k: int = 0) -> OpResult:
    """Keep the lower triangle of each matrix, up to diagonal ``k``."""
    _check_matrices("tril", x)
    return xp.tril(x, k=k), (lambda g: xp.tril(g, k=k),)


def triu(xp: Namespace, x: Array, /, *, k: int = 0) -> OpResult:
    """Keep the upper triangle of each matrix, from diagonal ``k`` on."""
    _check_matrices("triu", x)
    return xp.triu(x, k=k), (lambda g: xp.triu(g, k=k),)


def _check_matrices(name: str, x: Array) -> None:
    if x.ndim < 2:
        raise ShapeError(f"{name}: expected a matrix or a stack of them, got shape {tuple(x.shape)}.")


def astype(xp: Namespace, x: Array, /, dtype: NativeDType, *, copy: bool = True) -> OpResult:
    """Convert to another data type."""
    check_keeps_imaginary(xp, "astype", x, dtype)
    r = xp.astype(x, dtype, copy=copy)
    if not xp.isdtype(r.dtype, ("real floating", "complex floating")):
        return r, (None,)
    return r, (lambda g: g,)  # which the engine converts back


def concat(xp: Namespace, *arrays: Array, axis: int | None = 0) -> OpResult:
    """Join arrays along an existing axis; with ``axis=None`` flatten them first."""
    r = xp.concat(all_alike(xp, arrays), axis=axis)
    if axis is None:
        sizes = [prod(x.shape) for x in arrays]
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


def tile(xp: Namespace, x: Array, /, repetitions: tuple[int, ...]) -> OpResult:
    """The array so many times along each axis, one after another; missing axes stand in front, of length 1."""
    repetitions = (repetitions,) if isinstance(repetitions, int) else tuple(repetitions)
    if any(times < 0 for times in repetitions):
        raise OptionError(f"repetitions: expected whole numbers of at least 0, got {repetitions}.")
    before = x.shape
    times = (1,) * (x.ndim - len(repetitions)) + repetitions
    lengths = (1,) * (len(times) - x.ndim) + tuple(before)
    pairs = tuple(size for pair in zip(times, lengths, strict=True) for size in pair)

    def vjp(g: Array) -> Array:
        copies = tuple(range(0, len(pairs), 2))
        return xp.reshape(xp.sum(xp.reshape(g, pairs), axis=copies, dtype=g.dtype), before)

    return xp.tile(x, repetitions), (vjp,)


def repeated_places(xp: Namespace, counts: Array, length: int) -> Array:
    """The place of each element in turn, as often as it is repeated: 0, 0, 2 for the counts 2, 0, 1.

    How long that is depends on the values, so they are read on the host.

    Parameters
    ----------
    counts : Array
        Integers of shape (length,) or (1,).
    length : int
        How many elements there are.

    Raises
    ------
    DTypeError, ShapeError, OptionError
        If the counts are no integers, are not one for each element, or are negative.
    """
    if not xp.isdtype(counts.dtype, "integral"):
        raise DTypeError(
            f"repeat: repeats: expected integers, got {name_of_dtype(counts.dtype)}. Convert them with "
            "portanet.astype(repeats, portanet.int64)."
        )
    if tuple(counts.shape) not in ((), (1,), (length,)):
        shape = tuple(counts.shape)
        raise ShapeError(
            f"repeats: expected one count, or one for each of {length} elements, got shape {shape}."
        )
    counts = xp.broadcast_to(xp.astype(counts, xp.int64), (length,))
    if bool(xp.any(counts < 0)):
        raise OptionError("repeats: expected counts of at least 0, got a negative one.")
    ends = xp.cumulative_sum(counts, axis=0)
    places = xp.arange(int(ends[-1]) if length else 0, dtype=xp.int64, device=device_of(counts))
    return xp.searchsorted(ends, places, side="right")
