"""Windows of pictures as columns, and their sum."""

from __future__ import annotations

from math import prod
from typing import Any

from portanet.errors import ShapeError
from portanet.functions.manipulation import reshape
from portanet.nn.functional.spatial import batched, check_input, each_axis
from portanet.ops import windows as ops
from portanet.protocols import Array
from portanet.tensor import lift

__all__ = ["fold", "unfold"]

_windows, _fold = lift(ops.windows), lift(ops.fold)

Ints = int | tuple[int, ...]


def unfold(input: Array, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1) -> Any:
    """The windows of pictures as columns.

    Parameters
    ----------
    input : Array
        Shape (N, C, H, W), or without N.
    kernel_size, dilation, padding, stride : int or tuple of int
        The windows.

    Returns
    -------
    Array
        Shape (N, C * kernel height * kernel width, windows).
    """
    check_input("unfold", input, 2)
    how = _window_options("unfold", kernel_size, dilation, padding, stride)

    def unfolded(x: Array) -> Any:
        columns = _windows(x, **how)
        return reshape(columns, (columns.shape[0], columns.shape[1] * columns.shape[2], -1))

    return batched(unfolded, input, 2)


def fold(
    input: Array,
    output_size: Ints,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Ints = 0,
    stride: Ints = 1,
) -> Any:
    """Add columns up into pictures: the transpose of :func:`unfold`.

    Parameters
    ----------
    input : Array
        Shape (N, C * kernel height * kernel width, windows), or without N.
    output_size : int or tuple of int
        Height and width of the result.
    kernel_size, dilation, padding, stride : int or tuple of int
        The windows.

    Returns
    -------
    Array
        Shape (N, C, height, width).
    """
    how = _window_options("fold", kernel_size, dilation, padding, stride)
    lengths = each_axis("fold", "output_size", output_size, 2, low=1)
    out = ops.out_lengths(lengths, **how)
    size = prod(how["kernel"])
    if len(input.shape) not in (2, 3) or input.shape[-1] != prod(out) or input.shape[-2] % size:
        raise ShapeError(
            f"fold: input: expected the shape (batch, channels * {size}, {prod(out)}), or without batch, for these "
            f"options; got {tuple(input.shape)}."
        )

    def folded(x: Array) -> Any:
        columns = reshape(x, (x.shape[0], x.shape[1] // size, size, *out))
        return _fold(columns, lengths=lengths, **how)

    return batched(folded, input, 1)


def _window_options(name: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> dict[str, Any]:
    return {
        "kernel": each_axis(name, "kernel_size", kernel_size, 2, low=1),
        "stride": each_axis(name, "stride", stride, 2, low=1),
        "dilation": each_axis(name, "dilation", dilation, 2, low=1),
        "padding": tuple((p, p) for p in each_axis(name, "padding", padding, 2, low=0)),
    }
