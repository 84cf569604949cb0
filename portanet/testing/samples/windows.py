"""Samples of convolutions and poolings; the reference is a loop over all places of the output."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from portanet.ops import convolution as convolutions
from portanet.ops import windows as ops
from portanet.testing.samples.drawing import Sample, Table, apart, given, normal

__all__ = ["SAMPLES"]

NO_BIAS = given(None)


def padded(x: Any, padding: Any, fill: float = 0.0) -> Any:
    for axis, (low, high) in enumerate(padding, start=2):
        width = [(0, 0)] * x.ndim
        width[axis] = (low, max(high, 0))
        x = np.pad(x, width, constant_values=fill)
        if high < 0:
            x = np.take(x, range(x.shape[axis] + high), axis=axis)
    return x


def windows(x: Any, *, kernel: Any, stride: Any, dilation: Any, padding: Any, fill: float = 0.0) -> Any:
    x = padded(x, padding, fill)
    out = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    ]
    r: Any = np.zeros((*x.shape[:2], int(np.prod(kernel)), *out))
    for place in product(*map(range, out)):
        for number, offset in enumerate(product(*map(range, kernel))):
            at = tuple(p * s + o * d for p, s, o, d in zip(place, stride, offset, dilation, strict=True))
            r[(slice(None), slice(None), number, *place)] = x[(slice(None), slice(None), *at)]
    return r


def fold(x: Any, *, lengths: Any, kernel: Any, stride: Any, dilation: Any, padding: Any) -> Any:
    """By the definition of a transpose: the product with each unit array."""
    r: Any = np.zeros((*x.shape[:2], *lengths))
    for place in product(*map(range, lengths)):
        unit: Any = np.zeros((1, 1, *lengths))
        unit[(0, 0, *place)] = 1.0
        hits = windows(unit, kernel=kernel, stride=stride, dilation=dilation, padding=padding)
        r[(slice(None), slice(None), *place)] = np.sum(x * hits, axis=tuple(range(2, x.ndim)))
    return r


def convolution(x: Any, weight: Any, bias: Any, *, groups: int, **how: Any) -> Any:
    kernel = weight.shape[2:]
    columns = windows(x, kernel=kernel, **how)
    count, channels, _, *out = columns.shape
    size = int(np.prod(kernel))
    columns = columns.reshape((count, groups, channels // groups, size, *out))
    rows = weight.reshape((groups, len(weight) // groups, channels // groups, size))
    r = np.einsum("gock,ngck...->ngo...", rows, columns).reshape((count, len(weight), *out))
    return r if bias is None else r + bias.reshape((-1, *(1,) * len(kernel)))


def convolution_input(g: Any, weight: Any, *, lengths: Any, groups: int, **how: Any) -> Any:
    count, out = len(g), g.shape[2:]
    size = int(np.prod(weight.shape[2:]))
    rows = weight.reshape((groups, len(weight) // groups, weight.shape[1], size))
    parts = g.reshape((count, groups, len(weight) // groups, *out))
    columns = np.einsum("gock,ngo...->ngck...", rows, parts)
    columns = columns.reshape((count, groups * weight.shape[1], size, *out))
    return fold(columns, lengths=lengths, kernel=weight.shape[2:], **how)


def convolution_weight(x: Any, g: Any, *, kernel: Any, groups: int, **how: Any) -> Any:
    columns = windows(x, kernel=kernel, **how)
    count, channels, size, *out = columns.shape
    columns = columns.reshape((count, groups, channels // groups, size, int(np.prod(out))))
    rows = g.reshape((count, groups, g.shape[1] // groups, int(np.prod(out))))
    r = np.einsum("ngckl,ngol->gock", columns, rows)
    return r.reshape((g.shape[1], channels // groups, *kernel))


def sum_pool(x: Any, **how: Any) -> Any:
    return np.sum(windows(x, **how), axis=2)


def max_pool(x: Any, **how: Any) -> Any:
    return np.max(windows(x, **how, fill=-np.inf), axis=2)


def how(stride: Any, padding: Any, dilation: Any) -> dict[str, Any]:
    return {"stride": stride, "padding": padding, "dilation": dilation}


# Lengths, kernel, options: with one, two and three axes; the end cut or not reached; padding on one side only.
WINDOWS: tuple[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
    ((6, 5), (3, 2), how((1, 1), ((0, 0), (0, 0)), (1, 1))),
    ((7, 6), (3, 3), how((2, 1), ((1, 1), (0, 1)), (1, 2))),
    ((7,), (2,), how((2,), ((0, -1),), (1,))),
    ((8,), (3,), how((3,), ((2, 1),), (2,))),
    ((4, 3, 4), (2, 1, 2), how((1, 2, 2), ((0, 0), (0, 0), (1, 0)), (1, 1, 1))),
    ((5, 4), (1, 1), how((1, 1), ((0, 0), (0, 0)), (1, 1))),
)
CHANNELS = ((4, 2, 1), (3, 2, 1), (2, 4, 2), (3, 3, 3), (2, 2, 1), (1, 2, 1))
"""Of the input and the output, and groups."""


def out_shape(lengths: Any, kernel: Any, options: Any) -> tuple[int, ...]:
    return ops.out_lengths(lengths, kernel, options["stride"], options["dilation"], options["padding"])


def each_window(batch: int = 2) -> list[tuple[Any, ...]]:
    return [
        (batch, channels, lengths, kernel, options)
        for (lengths, kernel, options), channels in zip(WINDOWS, CHANNELS, strict=True)
    ] + [(0, CHANNELS[0], *WINDOWS[0])]


SAMPLES: Table = {
    convolutions.convolution: [
        Sample(
            (
                normal(n, c, *lengths),
                normal(o, c // groups, *kernel),
                normal(o) if number % 2 else NO_BIAS,
            ),
            {**options, "groups": groups},
            convolution,
        )
        for number, (n, (c, o, groups), lengths, kernel, options) in enumerate(each_window())
    ],
    convolutions.convolution_input: [
        Sample(
            (normal(n, o, *out_shape(lengths, kernel, options)), normal(o, c // groups, *kernel)),
            {**options, "groups": groups, "lengths": lengths},
            convolution_input,
        )
        for n, (c, o, groups), lengths, kernel, options in each_window()
    ],
    convolutions.convolution_weight: [
        Sample(
            (normal(n, c, *lengths), normal(n, o, *out_shape(lengths, kernel, options))),
            {**options, "groups": groups, "kernel": kernel},
            convolution_weight,
        )
        for n, (c, o, groups), lengths, kernel, options in each_window()
    ],
    ops.windows: [
        Sample((normal(n, c, *lengths),), {**options, "kernel": kernel}, windows)
        for n, (c, _, _), lengths, kernel, options in each_window()
    ],
    ops.fold: [
        Sample(
            (normal(n, c, int(np.prod(kernel)), *out_shape(lengths, kernel, options)),),
            {**options, "kernel": kernel, "lengths": lengths},
            fold,
        )
        for n, (c, _, _), lengths, kernel, options in each_window()
    ],
    ops.sum_pool: [
        Sample((normal(n, c, *lengths),), {**options, "kernel": kernel}, sum_pool)
        for n, (c, _, _), lengths, kernel, options in each_window()
    ],
    ops.max_pool: [
        Sample((apart(n, c, *lengths),), {**options, "kernel": kernel}, max_pool)
        for n, (c, _, _), lengths, kernel, options in each_window()
    ],
}
"""Ops with a gradient."""
