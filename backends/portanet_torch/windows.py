"""Convolutions and poolings by PyTorch's own functions, and their gradients by PyTorch's own backward functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from portanet.backend import Kernel
from portanet.ops.windows import out_lengths
from portanet.protocols import Array, Namespace, OpResult

__all__ = ["KERNELS"]

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
aten = torch.ops.aten


def _convolve(
    x: Array, weight: Array, bias: Array | None, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Array:
    around = [low for low, _ in padding]
    none = [0] * len(stride)
    return aten.convolution(x, weight, bias, stride, around, dilation, False, none, groups)


def _gradient(
    g: Array,
    x: Array,
    weight: Array,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
    *,
    wanted: int,
) -> Array:
    """The gradient by the input (0) or by the kernel (1)."""
    around = [low for low, _ in padding]
    none = [0] * len(stride)
    mask = [wanted == 0, wanted == 1, False]
    found = aten.convolution_backward(g, x, weight, None, stride, around, dilation, False, none, groups, mask)
    return found[wanted]


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
    """Cross-correlation."""
    how: tuple[Any, ...] = (stride, padding, dilation, groups)
    axes = (0, *range(2, x.ndim))
    return _convolve(x, weight, bias, *how), (
        lambda g: _gradient(g, x, weight, *how, wanted=0),
        lambda g: _gradient(g, x, weight, *how, wanted=1),
        None if bias is None else lambda g: torch.sum(g, axes),
    )


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
    """The gradient of a convolution by its input."""
    how: tuple[Any, ...] = (stride, padding, dilation, groups)
    like = g.new_empty((g.shape[0], weight.shape[1] * groups, *lengths))
    return _gradient(g, like, weight, *how, wanted=0), (
        lambda c: _convolve(c, weight, None, *how),
        lambda c: _gradient(g, c, weight, *how, wanted=1),
    )


def convolution_weight(
    xp: Namespace,
    x: Array,
    g: Array,
    *,
    kernel: Ints,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
) -> OpResult:
    """The gradient of a convolution by its kernel."""
    how: tuple[Any, ...] = (stride, padding, dilation, groups)
    like = x.new_empty((g.shape[1], x.shape[1] // groups, *kernel))
    return _gradient(g, x, like, *how, wanted=1), (
        lambda c: _gradient(g, x, c, *how, wanted=0),
        lambda c: _convolve(x, c, None, *how),
    )


def max_pool(
    xp: Namespace, x: Array, *, kernel: Ints, stride: Ints, dilation: Ints, padding: Pairs
) -> OpResult:
    """The largest value in each window."""
    around = [low for low, _ in padding]
    options: tuple[Any, ...] = (list(kernel), list(stride), around, list(dilation))
    if len(kernel) == 3:
        r, places = aten.max_pool3d_with_indices(x, *options)
        return r, (
            lambda g: aten.max_pool3d_with_indices_backward(g.contiguous(), x, *options, False, places),
        )
    flat = len(kernel) == 1  # which PyTorch has no backward function for
    if flat:
        x = x.unsqueeze(2)
        options = ([1, *kernel], [1, *stride], [0, *around], [1, *dilation])
    r, places = aten.max_pool2d_with_indices(x, *options)

    def vjp(g: Array) -> Array:
        g = (g.unsqueeze(2) if flat else g).contiguous()
        found = aten.max_pool2d_with_indices_backward(g, x, *options, False, places)
        return found.squeeze(2) if flat else found

    return (r.squeeze(2) if flat else r), (vjp,)


def _even(lengths: Ints, kernel: Ints, stride: Ints, dilation: Ints, padding: Pairs) -> bool:
    """Whether PyTorch's padding, which is the same on both sides, gives the same windows."""
    if any(low < 0 for low, _ in padding):
        return False
    both = tuple((low, low) for low, _ in padding)
    return out_lengths(lengths, kernel, stride, dilation, padding) == out_lengths(
        lengths, kernel, stride, dilation, both
    )


def _known(lengths: Any, kernel: Any, stride: Ints, dilation: Ints, padding: Pairs, array: Array) -> bool:
    return (
        0 not in array.shape
        and len(stride) <= 3
        and _even(tuple(lengths), tuple(kernel), stride, dilation, padding)
    )


FLOATS = frozenset({"float32", "float64"})
KERNELS: Mapping[str, Kernel] = {
    "convolution": Kernel(
        convolution,
        FLOATS,
        lambda x, weight, bias=None, *, stride, padding, dilation, groups: _known(
            x.shape[2:], weight.shape[2:], stride, dilation, padding, x
        ),
    ),
    "convolution_input": Kernel(
        convolution_input,
        FLOATS,
        lambda g, weight, *, lengths, stride, padding, dilation, groups: _known(
            lengths, weight.shape[2:], stride, dilation, padding, g
        ),
    ),
    "convolution_weight": Kernel(
        convolution_weight,
        FLOATS,
        lambda x, g, *, kernel, stride, padding, dilation, groups: _known(
            x.shape[2:], kernel, stride, dilation, padding, x
        ),
    ),
    "max_pool": Kernel(
        max_pool,
        FLOATS,
        lambda x, *, kernel, stride, dilation, padding: (
            _known(x.shape[2:], kernel, stride, dilation, padding, x)
            and all(2 * low <= k for (low, _), k in zip(padding, kernel, strict=True))
        ),
    ),
}
