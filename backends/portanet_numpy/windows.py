"""Convolutions and poolings on NumPy arrays: columns through one strided copy, sums written into place.

The columns of an input are kept from the forward pass to the gradient of the kernel, which spares making them again.
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

__all__ = ["KERNELS"]

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


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
    whole = (
        np.full((*x.shape[:2], *shape), fill, x.dtype) if fill else np.zeros((*x.shape[:2], *shape), x.dtype)
    )
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
    """The windows as matrices, (N, groups, C / groups * prod(kernel), prod(out))."""
    out = out_lengths(x.shape[2:], kernel, stride, dilation, padding)
    view = _view(_padded(x, padding), kernel, stride, dilation, out)
    return view.reshape((x.shape[0], groups, x.shape[1] // groups * prod(kernel), prod(out)))


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
    """The sum of windows (N, C, prod(kernel), *out), each in its place: (N, C, *lengths)."""
    out = columns.shape[3:]
    border = tuple((max(low, 0), max(high, 0)) for low, high in padding)
    reach = tuple(
        d * (k - 1) + s * (n - 1) + 1 for k, s, d, n in zip(kernel, stride, dilation, out, strict=True)
    )
    size = tuple(
        max(length + low + high, end) for length, (low, high), end in zip(lengths, border, reach, strict=True)
    )
    whole = np.zeros((*columns.shape[:2], *size), columns.dtype)
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
    """Cross-correlation, by a matrix product for each sample; the bias is added in place."""
    kernel, lengths = weight.shape[2:], x.shape[2:]
    count, out_channels = len(x), len(weight)
    out = out_lengths(lengths, kernel, stride, dilation, padding)
    columns = _columns(x, kernel, stride, dilation, padding, groups)
    r = np.matmul(_as_matrices(weight, groups), columns)
    r = r.reshape((count, out_channels, *out))
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
    rows = g.reshape((len(g), groups, g.shape[1] // groups, columns.shape[-1]))
    return np.add.reduce(np.matmul(rows, columns.swapaxes(-1, -2)), 0).reshape(shape)


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
    rows = g.reshape((len(g), groups, g.shape[1] // groups, prod(out)))
    columns = np.matmul(_as_matrices(weight, groups).swapaxes(-1, -2), rows)
    columns = columns.reshape((len(g), groups * weight.shape[1], prod(kernel), *out))
    r = _add_up(columns, lengths, kernel, stride, dilation, padding)

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
    r = whole[places[0]].copy()
    for place in places[1:]:
        np.maximum(r, whole[place], out=r)

    def vjp(g: Array) -> Array:
        gradient = np.zeros(whole.shape, g.dtype)
        left = np.ones(r.shape, bool)
        zero = g.dtype.type(0)
        broken = bool(np.isnan(r).any())
        for place in places:
            hit = whole[place] == r
            if broken:
                hit |= np.isnan(whole[place])
            hit &= left
            left ^= hit
            if apart:
                np.copyto(gradient[place], g, where=hit)
            else:
                gradient[place] += np.where(hit, g, zero)
        inside = tuple(
            slice(max(low, 0), max(low, 0) + n) for n, (low, _) in zip(lengths, padding, strict=True)
        )
        found = gradient[(slice(None), slice(None), *inside)]
        missing = [(0, n - m) for n, m in zip(lengths, found.shape[2:], strict=True)]
        return np.pad(found, [(0, 0), (0, 0), *missing]) if any(map(any, missing)) else found

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
