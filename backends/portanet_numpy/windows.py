"""Convolutions and poolings on NumPy arrays: columns through one strided copy, sums written into place.

A result of shape (N, C, ...) lies in memory as (C, N, ...), since then a convolution of the whole batch is one product
of two matrices, and so is each of its gradients. NumPy's elementwise functions keep that order, so it lasts from one
layer to the next; nothing depends on it but speed. The columns of an input are kept from the forward pass to the
gradient of the kernel, which spares making them again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from math import prod
from typing import Any

import numpy as np

from portanet.backend import Kernel
from portanet.ops.windows import out_lengths
from portanet.protocols import Array, Namespace, OpResult
from portanet_numpy.choice import only

__all__ = ["KERNELS"]

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def _channels_first(shape: Ints, dtype: Any, fill: float = 0.0) -> Array:
    """An array (N, C, ...) in the memory of one (C, N, ...)."""
    memory = (shape[1], shape[0], *shape[2:])
    return (np.full(memory, fill, dtype) if fill else np.zeros(memory, dtype)).swapaxes(0, 1)


def _padded(x: Array, padding: Pairs, fill: float = 0.0) -> Array:
    """The array with a border, or cut where the padding is negative."""
    if not any(map(any, padding)):
        return x
    inner = tuple(
        slice(max(-low, 0), length - max(-high, 0))
        for length, (low, high) in zip(x.shape[2:], padding, strict=True)
    )
    x = x[(slice(None), slice(None), *inner)]
    shape = tuple(
        length + max(low, 0) + max(high, 0) for length, (low, high) in zip(x.shape[2:], padding, strict=True)
    )
    whole = _channels_first((*x.shape[:2], *shape), x.dtype, fill)
    place = tuple(
        slice(max(low, 0), max(low, 0) + length)
        for length, (low, _) in zip(x.shape[2:], padding, strict=True)
    )
    whole[(slice(None), slice(None), *place)] = x
    return whole


def _view(x: Array, kernel: Ints, stride: Ints, dilation: Ints, out: Ints) -> Array:
    """All windows of a padded array as a view, (N, C, *kernel, *out). Only read."""
    steps = x.strides[2:]
    inner = tuple(step * d for step, d in zip(steps, dilation, strict=True))
    outer = tuple(step * s for step, s in zip(steps, stride, strict=True))
    return np.lib.stride_tricks.as_strided(
        x, (*x.shape[:2], *kernel, *out), (*x.strides[:2], *inner, *outer), writeable=False
    )


def _columns(x: Array, kernel: Ints, stride: Ints, dilation: Ints, padding: Pairs, groups: int = 1) -> Array:
    """The windows as matrices, (groups, C / groups * prod(kernel), N * prod(out))."""
    out = out_lengths(x.shape[2:], kernel, stride, dilation, padding)
    view = _view(_padded(x, padding), kernel, stride, dilation, out)
    end = 2 + len(kernel)
    view = view.transpose((1, *range(2, end), 0, *range(end, view.ndim)))
    return view.reshape((groups, x.shape[1] // groups * prod(kernel), len(x) * prod(out)))


def _rows(x: Array, groups: int) -> Array:
    """An array (N, C, ...) as matrices, (groups, C / groups, N * ...): no copy where channels come first in memory."""
    return x.swapaxes(0, 1).reshape((groups, x.shape[1] // groups, len(x) * prod(x.shape[2:])))


def _places(kernel: Ints, stride: Ints, dilation: Ints, out: Ints) -> list[tuple[slice, ...]]:
    """For each place in the kernel the elements of a padded array that it meets in all windows."""
    every = slice(None)
    return [
        (
            every,
            every,
            *(
                slice(k * d, k * d + s * (length - 1) + 1, s)
                for k, s, d, length in zip(place, stride, dilation, out, strict=True)
            ),
        )
        for place in product(*map(range, kernel))
    ]


def _add_up(
    columns: Array, lengths: Ints, kernel: Ints, stride: Ints, dilation: Ints, padding: Pairs
) -> Array:
    """The sum of windows (N, C, prod(kernel), *out), each in its place: (N, C, *lengths), channels first in memory."""
    out = columns.shape[3:]
    border = tuple((max(low, 0), max(high, 0)) for low, high in padding)
    reach = tuple(
        d * (k - 1) + s * (n - 1) + 1 for k, s, d, n in zip(kernel, stride, dilation, out, strict=True)
    )
    size = tuple(
        max(length + low + high, end) for length, (low, high), end in zip(lengths, border, reach, strict=True)
    )
    whole = _channels_first((*columns.shape[:2], *size), columns.dtype)
    for k, place in enumerate(_places(kernel, stride, dilation, out)):
        whole[place] += columns[:, :, k]
    inside = tuple(slice(low, low + length) for length, (low, _) in zip(lengths, border, strict=True))
    return whole[(slice(None), slice(None), *inside)]


def _as_matrices(weight: Array, groups: int) -> Array:
    return weight.reshape((groups, weight.shape[0] // groups, prod(weight.shape[1:])))


def convolution(
    xp: Namespace,
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
) -> OpResult:
    """Cross-correlation, by one matrix product for each group; the bias is added in place."""
    kernel, lengths = weight.shape[2:], x.shape[2:]
    count, out_channels = len(x), len(weight)
    out = out_lengths(lengths, kernel, stride, dilation, padding)
    columns = _columns(x, kernel, stride, dilation, padding, groups)
    r = np.matmul(
        _as_matrices(weight, groups), columns
    )  # (out / groups, in * kernel) @ (in * kernel, N * out)
    r = r.reshape((out_channels, count, *out)).swapaxes(0, 1)
    if bias is not None:
        r += bias.reshape((-1, *(1,) * len(kernel)))

    def wrt_x(g: Array) -> Array:
        return convolution_input(
            xp,
            g,
            weight,
            lengths=lengths,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
        )[0]

    def wrt_weight(g: Array) -> Array:
        return _weight_gradient(g, columns, weight.shape, groups)

    axes = (0, *range(2, 2 + len(kernel)))
    return r, (wrt_x, wrt_weight, None if bias is None else lambda g: np.add.reduce(g, axes))


def _weight_gradient(g: Array, columns: Array, shape: Ints, groups: int) -> Array:
    # (out / groups, N * out) @ (N * out, in * kernel)
    return np.matmul(_rows(g, groups), columns.swapaxes(-1, -2)).reshape(shape)


def convolution_input(
    xp: Namespace,
    g: Array,
    weight: Array,
    *,
    lengths: Ints,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
) -> OpResult:
    """The gradient of a convolution by its input; windows are added in place."""
    kernel, out = weight.shape[2:], g.shape[2:]
    # (in * kernel, out / groups) @ (out / groups, N * out)
    columns = np.matmul(_as_matrices(weight, groups).swapaxes(-1, -2), _rows(g, groups))
    columns = columns.reshape((groups * weight.shape[1], prod(kernel), len(g), *out))
    windows = np.moveaxis(columns, 2, 0)  # (N, in, kernel, *out)
    r = _add_up(windows, lengths, kernel, stride, dilation, padding)

    def wrt_g(c: Array) -> Array:
        return convolution(xp, c, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)[0]

    def wrt_weight(c: Array) -> Array:
        return _weight_gradient(
            g, _columns(c, kernel, stride, dilation, padding, groups), weight.shape, groups
        )

    return r, (wrt_g, wrt_weight)


def fold(
    xp: Namespace, x: Array, *, lengths: Ints, kernel: Ints, stride: Ints, dilation: Ints, padding: Pairs
) -> OpResult:
    """The sum of windows, each in its place."""
    out = x.shape[3:]

    def vjp(g: Array) -> Array:
        view = _view(_padded(g, padding), kernel, stride, dilation, out)
        return view.reshape((*g.shape[:2], prod(kernel), *out))

    return _add_up(x, lengths, kernel, stride, dilation, padding), (vjp,)


def max_pool(
    xp: Namespace, x: Array, *, kernel: Ints, stride: Ints, dilation: Ints, padding: Pairs
) -> OpResult:
    """The largest value in each window, one place of the kernel after the other."""
    lengths = x.shape[2:]
    out = out_lengths(lengths, kernel, stride, dilation, padding)
    whole = _padded(x, padding, -np.inf)
    places = _places(kernel, stride, dilation, out)
    apart = all(s > d * (k - 1) for s, d, k in zip(stride, dilation, kernel, strict=True))
    r = whole[places[0]].copy(order="K")
    for place in places[1:]:
        np.maximum(r, whole[place], out=r)

    def vjp(g: Array) -> Array:
        before = tuple([max(low, 0) for low, _ in padding])
        shape = [max(own, low + n) for own, low, n in zip(whole.shape[2:], before, lengths, strict=True)]
        gradient = _channels_first((*whole.shape[:2], *shape), g.dtype)
        left = np.ones_like(r, bool)
        broken = bool(np.isnan(r).any())
        for place in places:
            hit = whole[place] == r
            if broken:
                hit |= np.isnan(whole[place])
            hit &= left
            left ^= hit
            if apart:
                only(hit, g, out=gradient[place])
            else:
                gradient[place] += only(hit, g)
        inside = tuple([slice(low, low + n) for low, n in zip(before, lengths, strict=True)])
        return gradient[(slice(None), slice(None), *inside)]

    return r, (vjp,)


FLOATS = frozenset({"float32", "float64"})


def _low_border(*operands: Any, padding: Pairs, **options: Any) -> bool:
    """The border before is never negative in what :mod:`portanet.nn` asks for; these kernels rely on it."""
    return all(low >= 0 for low, _ in padding)


_FUNCTIONS: dict[str, Callable[..., OpResult]] = {
    "convolution": convolution,
    "convolution_input": convolution_input,
    "fold": fold,
    "max_pool": max_pool,
}
KERNELS: Mapping[str, Kernel] = {
    name: Kernel(function, FLOATS, _low_border) for name, function in _FUNCTIONS.items()
}
