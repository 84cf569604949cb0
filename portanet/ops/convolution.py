"""Convolutions over any number of spatial axes: one product of three arrays, input, weight and output, in three ops.

Each is the gradient of the other two. ``stride`` and ``dilation`` have one number for each spatial axis, ``padding``
one pair, what is put before and after; ``groups`` cuts the channels into parts that do not see each other.
"""

from __future__ import annotations

from math import prod
from typing import Any

from portanet.ops.composition import apply, recorded
from portanet.ops.promotion import promoted
from portanet.ops.windows import fold, windows
from portanet.protocols import Array, Namespace, OpResult

__all__ = ["convolution", "convolution_input", "convolution_weight"]

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


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
    """Cross-correlation of an input with a kernel.

    Parameters
    ----------
    x : Array
        Shape (N, C, *lengths).
    weight : Array
        Shape (O, C / groups, *kernel).
    bias : Array, optional
        Shape (O,).

    Returns
    -------
    Array
        Shape (N, O, *out).
    """
    x, weight = promoted(xp, x, weight)
    how: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    lengths, kernel = tuple(x.shape[2:]), tuple(weight.shape[2:])
    function = recorded(xp, convolution)
    if function is not None:
        r = function(x, weight, None, **how)
    else:
        columns = windows(xp, x, kernel=kernel, stride=stride, dilation=dilation, padding=padding)[0]
        out = columns.shape[3:]
        size = x.shape[1] // groups * prod(kernel)
        columns = xp.reshape(columns, (x.shape[0], groups, size, prod(out)))
        r = _grouped(xp, weight, groups) @ columns
        r = xp.reshape(r, (x.shape[0], weight.shape[0], *out))
    if bias is not None:
        r = r + xp.reshape(bias, (-1, *(1,) * len(kernel)))
    axes = (0, *range(2, 2 + len(kernel)))
    return r, (
        lambda g: apply(xp, convolution_input, g, weight, lengths=lengths, **how),
        lambda g: apply(xp, convolution_weight, x, g, kernel=kernel, **how),
        None if bias is None else lambda g: xp.sum(g, axis=axes),
    )


def _grouped(xp: Namespace, weight: Array, groups: int) -> Array:
    """The kernel as one matrix for each group: (groups, O / groups, C / groups * prod(kernel))."""
    return xp.reshape(weight, (groups, weight.shape[0] // groups, prod(weight.shape[1:])))


def convolution_input(
    xp: Namespace,
    g: Array,
    weight: Array,
    /,
    *,
    lengths: Ints,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
) -> OpResult:
    """The gradient of a convolution by its input, which is also called a transposed convolution.

    Parameters
    ----------
    g : Array
        Shape (N, O, *out).
    weight : Array
        Shape (O, C / groups, *kernel).
    lengths : tuple of int
        Of the result's spatial axes.

    Returns
    -------
    Array
        Shape (N, C, *lengths).
    """
    g, weight = promoted(xp, g, weight)
    how: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    kernel = tuple(weight.shape[2:])
    function = recorded(xp, convolution_input)
    if function is not None:
        r = function(g, weight, lengths=lengths, **how)
    else:
        out = tuple(g.shape[2:])
        rows = xp.reshape(g, (g.shape[0], groups, g.shape[1] // groups, prod(out)))
        columns = xp.matrix_transpose(_grouped(xp, weight, groups)) @ rows
        columns = xp.reshape(columns, (g.shape[0], groups * weight.shape[1], prod(kernel), *out))
        options: dict[str, Any] = {"stride": stride, "dilation": dilation, "padding": padding}
        r = fold(xp, columns, lengths=lengths, kernel=kernel, **options)[0]
    return r, (
        lambda c: apply(xp, convolution, c, weight, None, **how),
        lambda c: apply(xp, convolution_weight, c, g, kernel=kernel, **how),
    )


def convolution_weight(
    xp: Namespace,
    x: Array,
    g: Array,
    /,
    *,
    kernel: Ints,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
) -> OpResult:
    """The gradient of a convolution by its kernel.

    Parameters
    ----------
    x : Array
        Shape (N, C, *lengths).
    g : Array
        Shape (N, O, *out).
    kernel : tuple of int
        The spatial shape of the result.

    Returns
    -------
    Array
        Shape (O, C / groups, *kernel).
    """
    x, g = promoted(xp, x, g)
    how: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    lengths = tuple(x.shape[2:])
    function = recorded(xp, convolution_weight)
    if function is not None:
        r = function(x, g, kernel=kernel, **how)
    else:
        options: dict[str, Any] = {"stride": stride, "dilation": dilation, "padding": padding}
        columns = windows(xp, x, kernel=kernel, **options)[0]
        count, places = g.shape[0], prod(g.shape[2:])
        size = x.shape[1] // groups * prod(kernel)
        columns = xp.reshape(columns, (count, groups, size, places))
        rows = xp.reshape(g, (count, groups, g.shape[1] // groups, places))
        r = xp.sum(rows @ xp.matrix_transpose(columns), axis=0)
        r = xp.reshape(r, (g.shape[1], x.shape[1] // groups, *kernel))
    return r, (
        lambda c: apply(xp, convolution_input, g, c, lengths=lengths, **how),
        lambda c: apply(xp, convolution, x, c, None, **how),
    )
