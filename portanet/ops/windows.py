"""Windows that slide over the last axes of an array, as convolutions and poolings see it, and what adds them up again.

Each function takes any number of spatial axes. ``kernel``, ``stride`` and ``dilation`` have one number for each;
``padding`` has one pair, what is put before and after. The second may be negative, where no window reaches the end.
"""

from __future__ import annotations

from itertools import product
from math import prod

from portanet.ops.composition import apply
from portanet.ops.promotion import device_of
from portanet.protocols import Array, Namespace, OpResult

__all__ = ["fold", "max_pool", "out_lengths", "pad_spatial", "sum_pool", "windows"]

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def out_lengths(lengths: Ints, kernel: Ints, stride: Ints, dilation: Ints, padding: Pairs) -> Ints:
    """How many windows there are along each axis."""
    return tuple(
        (length + low + high - d * (k - 1) - 1) // s + 1
        for length, k, s, d, (low, high) in zip(lengths, kernel, stride, dilation, padding, strict=True)
    )


def pad_spatial(xp: Namespace, x: Array, padding: Pairs, fill: float = 0.0) -> Array:
    """Put a constant around the spatial axes, those from the third on, or cut them where the padding is negative."""
    for axis, (low, high) in enumerate(padding, start=2):
        if low < 0 or high < 0:
            length = x.shape[axis]
            inside = slice(max(-low, 0), length - max(-high, 0))
            x = x[(*(slice(None),) * axis, inside, ...)]
        if low > 0 or high > 0:
            parts = [x]
            for where, width in ((0, low), (2, high)):
                if width > 0:
                    shape = (*x.shape[:axis], width, *x.shape[axis + 1 :])
                    border = xp.full(shape, fill, dtype=x.dtype, device=device_of(x))
                    parts.insert(0 if not where else len(parts), border)
            x = xp.concat(parts, axis=axis)
    return x


def _slices(
    xp: Namespace, x: Array, kernel: Ints, stride: Ints, dilation: Ints, padding: Pairs, fill: float
) -> list[Array]:
    """For each place in the kernel what it meets in all windows: arrays of shape (N, C, *out)."""
    out = out_lengths(x.shape[2:], kernel, stride, dilation, padding)
    x = pad_spatial(xp, x, padding, fill)
    every = slice(None)
    return [
        x[
            (
                every,
                every,
                *(
                    slice(k * d, k * d + s * (length - 1) + 1, s)
                    for k, s, d, length in zip(place, stride, dilation, out, strict=True)
                ),
            )
        ]
        for place in product(*map(range, kernel))
    ]


def windows(
    xp: Namespace,
    x: Array,
    /,
    *,
    kernel: Ints,
    stride: Ints,
    dilation: Ints,
    padding: Pairs,
    fill: float = 0.0,
) -> OpResult:
    """All windows, laid out for a matrix product.

    Parameters
    ----------
    x : Array
        Shape (N, C, *lengths).
    kernel, stride, dilation, padding, fill
        The windows, and what is around the array.

    Returns
    -------
    Array
        Shape (N, C, prod(kernel), *out).
    """
    lengths = tuple(x.shape[2:])
    r = xp.stack(_slices(xp, x, kernel, stride, dilation, padding, fill), axis=2)

    def vjp(g: Array) -> Array:
        return apply(
            xp,
            fold,
            g,
            lengths=lengths,
            kernel=kernel,
            stride=stride,
            dilation=dilation,
            padding=padding,
        )

    return r, (vjp,)


def fold(
    xp: Namespace,
    x: Array,
    /,
    *,
    lengths: Ints,
    kernel: Ints,
    stride: Ints,
    dilation: Ints,
    padding: Pairs,
) -> OpResult:
    """The transpose of :func:`windows`: each element is the sum of what stands in its place in all windows.

    Parameters
    ----------
    x : Array
        Shape (N, C, prod(kernel), *out).
    lengths : tuple of int
        Of the result's spatial axes.

    Returns
    -------
    Array
        Shape (N, C, *lengths).
    """
    out = tuple(x.shape[3:])
    r = xp.reshape(x, (*x.shape[:2], *kernel, *out))
    for axis in reversed(range(len(kernel))):  # the last one first: it loses its axis of the kernel
        low, high = padding[axis]
        whole = lengths[axis] + low + high
        r = _add_along(xp, r, axis, stride[axis], dilation[axis], whole)
    r = pad_spatial(xp, r, tuple((-low, -high) for low, high in padding))

    def vjp(g: Array) -> Array:
        return apply(xp, windows, g, kernel=kernel, stride=stride, dilation=dilation, padding=padding)

    return r, (vjp,)


def _add_along(xp: Namespace, x: Array, axis: int, stride: int, dilation: int, whole: int) -> Array:
    """Add up along one spatial axis: (N, C, ..., kernel, ..., out, ...) becomes (N, C, ..., ..., whole, ...)."""
    every = slice(None)
    at = 2 + 2 * axis  # where the axis is, once that of the kernel is gone
    total: Array | None = None
    for place in range(x.shape[2 + axis]):
        part = x[(*(every,) * (2 + axis), place, ...)]
        part = _spread(xp, part, at, stride)
        before = place * dilation
        part = _pad_axis(xp, part, at, before, whole - before - part.shape[at])
        total = part if total is None else total + part
    assert total is not None
    return total


def _spread(xp: Namespace, x: Array, axis: int, stride: int) -> Array:
    """Zeros between the elements along one axis."""
    length = x.shape[axis]
    if stride == 1 or length < 2:
        return x
    wide = xp.expand_dims(x, axis=axis + 1)
    gaps = xp.zeros(
        (*x.shape[: axis + 1], stride - 1, *x.shape[axis + 1 :]), dtype=x.dtype, device=device_of(x)
    )
    wide = xp.concat([wide, gaps], axis=axis + 1)
    wide = xp.reshape(wide, (*x.shape[:axis], length * stride, *x.shape[axis + 1 :]))
    return wide[(*(slice(None),) * axis, slice(0, stride * (length - 1) + 1), ...)]


def _pad_axis(xp: Namespace, x: Array, axis: int, before: int, after: int) -> Array:
    """Zeros before and after along one axis."""
    parts = [x]
    for width, place in ((before, 0), (after, 1)):
        if width:
            shape = (*x.shape[:axis], width, *x.shape[axis + 1 :])
            parts.insert(place * len(parts), xp.zeros(shape, dtype=x.dtype, device=device_of(x)))
    return xp.concat(parts, axis=axis) if len(parts) > 1 else x


def sum_pool(
    xp: Namespace, x: Array, /, *, kernel: Ints, stride: Ints, dilation: Ints, padding: Pairs
) -> OpResult:
    """The sum over each window; shape (N, C, *out)."""
    lengths = tuple(x.shape[2:])
    parts = _slices(xp, x, kernel, stride, dilation, padding, 0.0)
    r = parts[0]
    for part in parts[1:]:
        r = r + part

    def vjp(g: Array) -> Array:
        shares = xp.broadcast_to(xp.expand_dims(g, axis=2), (*g.shape[:2], prod(kernel), *g.shape[2:]))
        return apply(
            xp,
            fold,
            shares,
            lengths=lengths,
            kernel=kernel,
            stride=stride,
            dilation=dilation,
            padding=padding,
        )

    return r, (vjp,)


def max_pool(
    xp: Namespace, x: Array, /, *, kernel: Ints, stride: Ints, dilation: Ints, padding: Pairs
) -> OpResult:
    """The largest value in each window, shape (N, C, *out); the gradient goes to the first that is as large."""
    lengths = tuple(x.shape[2:])
    columns = xp.stack(_slices(xp, x, kernel, stride, dilation, padding, -float("inf")), axis=2)
    r = xp.max(columns, axis=2)

    def vjp(g: Array) -> Array:
        first = xp.expand_dims(xp.argmax(columns, axis=2), axis=2)
        places = xp.arange(prod(kernel), dtype=first.dtype, device=device_of(columns))
        hits = xp.reshape(places, (-1, *(1,) * len(kernel))) == first
        wide = xp.expand_dims(g, axis=2)
        return apply(
            xp,
            fold,
            xp.where(hits, wide, xp.zeros_like(wide)),
            lengths=lengths,
            kernel=kernel,
            stride=stride,
            dilation=dilation,
            padding=padding,
        )

    return r, (vjp,)
