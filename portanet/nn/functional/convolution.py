"""Convolutions over one, two or three axes, one definition for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portanet.backend import require_backend_of
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.functions.manipulation import reshape
from portanet.nn.functional.spatial import batched, check_input, each_axis
from portanet.ops import convolution as ops
from portanet.protocols import Array
from portanet.tensor import lift, unwrap

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "same_padding",
]

_convolution = lift(ops.convolution)
_convolution_input = lift(ops.convolution_input)
lift(ops.convolution_weight)

Ints = int | tuple[int, ...]


def same_padding(kernel: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """What ``padding="same"`` puts around: as much after as before, or one more."""
    return tuple(
        (d * (k - 1) // 2, d * (k - 1) - d * (k - 1) // 2) for k, d in zip(kernel, dilation, strict=True)
    )


def _check_operands(
    name: str, x: Array, weight: Array, bias: Array | None, channels: int, out_channels: int, dims: int
) -> None:
    """Raise unless the kernel and the bias fit the input. ``channels``: what the kernel takes in."""
    check_input(name, x, dims)
    shape = tuple(x.shape)
    if len(weight.shape) != dims + 2:
        raise ShapeError(
            f"{name}: weight: expected {dims + 2} axes, two of channels and {dims} of the kernel, got shape "
            f"{tuple(weight.shape)}."
        )
    if shape[-dims - 1] != channels:
        raise ShapeError(
            f"{name}: input: expected {channels} channels, as the weight of shape {tuple(weight.shape)} has, got "
            f"{shape[-dims - 1]} in shape {shape}. Channels stand before the spatial axes."
        )
    own, others = (
        require_backend_of(array, f"{name}: {argument}").dtype_of(array)
        for argument, array in (("weight", unwrap(weight)), ("input", unwrap(x)))
    )
    if own != others:
        raise DTypeError(
            f"{name}: input: expected the data type of the weight, {own.name}, got {others.name}. Convert it with "
            "portanet.astype(input, weight.dtype)."
        )
    if bias is not None and tuple(bias.shape) != (out_channels,):
        raise ShapeError(
            f"{name}: bias: expected one number for each output channel, shape ({out_channels},), got "
            f"{tuple(bias.shape)}."
        )


def _check_groups(name: str, groups: int, weight: Array) -> None:
    if groups < 1 or weight.shape[0] % groups:
        raise OptionError(
            f"{name}: groups: expected a number of at least 1 that divides the {weight.shape[0]} channels of the "
            f"weight, got {groups!r}."
        )


def _convolve(
    name: str,
    dims: int,
    input: Array,
    weight: Array,
    bias: Array | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    _check_groups(name, groups, weight)
    channels = weight.shape[1] * groups if len(weight.shape) > 1 else 0
    _check_operands(name, input, weight, bias, channels, weight.shape[0], dims)
    stride = each_axis(name, "stride", stride, dims, low=1)
    dilation = each_axis(name, "dilation", dilation, dims, low=1)
    kernel, lengths = tuple(weight.shape[2:]), tuple(input.shape[-dims:])
    if padding == "same":
        if set(stride) != {1}:
            raise OptionError(
                f"{name}: padding: 'same' goes with a stride of 1 only, got a stride of {stride}."
            )
        pairs = same_padding(kernel, dilation)
    elif padding == "valid":
        pairs = ((0, 0),) * dims
    elif isinstance(padding, str):
        raise OptionError(f"{name}: padding: expected numbers, 'same' or 'valid', got {padding!r}.")
    else:
        pairs = tuple((p, p) for p in each_axis(name, "padding", padding, dims, low=0))
    for length, k, d, pair in zip(lengths, kernel, dilation, pairs, strict=True):
        if length + sum(pair) < d * (k - 1) + 1:
            raise ShapeError(
                f"{name}: input: a kernel of shape {kernel} with a dilation of {dilation} does not fit into the shape "
                f"{lengths}, padded by {padding!r}. Give a larger input, or more padding."
            )
    return batched(
        lambda x: _convolution(
            x, weight, bias, stride=stride, padding=pairs, dilation=dilation, groups=groups
        ),
        input,
        dims,
    )


def _convolve_transposed(
    name: str,
    dims: int,
    input: Array,
    weight: Array,
    bias: Array | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    _check_groups(name, groups, weight)
    out_channels = weight.shape[1] * groups if len(weight.shape) > 1 else 0
    _check_operands(name, input, weight, bias, weight.shape[0], out_channels, dims)
    stride = each_axis(name, "stride", stride, dims, low=1)
    dilation = each_axis(name, "dilation", dilation, dims, low=1)
    padding = each_axis(name, "padding", padding, dims, low=0)
    extra = each_axis(name, "output_padding", output_padding, dims, low=0)
    kernel = tuple(weight.shape[2:])
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise OptionError(
            f"{name}: output_padding: expected less than the stride or the dilation, got {output_padding!r} with a "
            f"stride of {stride} and a dilation of {dilation}."
        )
    lengths = tuple(
        (length - 1) * s - 2 * p + d * (k - 1) + e + 1
        for length, s, p, d, k, e in zip(
            input.shape[-dims:], stride, padding, dilation, kernel, extra, strict=True
        )
    )
    if min(lengths) < 1:
        raise ShapeError(
            f"{name}: input: of a shape of {tuple(input.shape[-dims:])} nothing is left, for the result would have the "
            f"shape {lengths}. Give a larger input, or less padding."
        )
    # The convolution of which this is the transpose does not see the extra places.
    pairs = tuple((p, p - e) for p, e in zip(padding, extra, strict=True))

    def transposed(x: Array) -> Any:
        r = _convolution_input(
            x, weight, lengths=lengths, stride=stride, padding=pairs, dilation=dilation, groups=groups
        )
        return r if bias is None else r + reshape(bias, (-1, *(1,) * dims))

    return batched(transposed, input, dims)


def _of_dims(dims: int) -> Callable[..., Any]:
    name = f"conv{dims}d"

    def function(
        input: Array,
        weight: Array,
        bias: Array | None = None,
        stride: Ints = 1,
        padding: Ints | str = 0,
        dilation: Ints = 1,
        groups: int = 1,
    ) -> Any:
        return _convolve(name, dims, input, weight, bias, stride, padding, dilation, groups)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""Cross-correlation over {_AXES[dims]}, as PyTorch's function of the same name.

    Parameters
    ----------
    input : Array
        Shape (N, C, {_LENGTHS[dims]}), or without N.
    weight : Array
        Shape (O, C / groups, {_KERNEL[dims]}), of the input's data type.
    bias : Array, optional
        Shape (O,).
    stride, dilation : int or tuple of int
        Steps between windows, and between the elements of one.
    padding : int, tuple of int, "valid" or "same"
        Zeros on both sides of each axis; ``"same"`` keeps the shape, with a stride of 1.
    groups : int
        Parts of the channels that do not see each other.

    Returns
    -------
    Array
        Along each axis ``(length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1`` places.

    Raises
    ------
    ShapeError, DTypeError, OptionError
        If the arguments do not fit together.
    """
    return function


def _transposed_of_dims(dims: int) -> Callable[..., Any]:
    name = f"conv_transpose{dims}d"

    def function(
        input: Array,
        weight: Array,
        bias: Array | None = None,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        dilation: Ints = 1,
    ) -> Any:
        return _convolve_transposed(
            name, dims, input, weight, bias, stride, padding, output_padding, groups, dilation
        )

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""The transpose of a convolution over {_AXES[dims]}, as PyTorch's function of the same name.

    Parameters
    ----------
    input : Array
        Shape (N, C, {_LENGTHS[dims]}), or without N.
    weight : Array
        Shape (C, O / groups, {_KERNEL[dims]}), of the input's data type.
    bias : Array, optional
        Shape (O,).
    stride, padding, dilation, groups
        Of the convolution whose gradient this is.
    output_padding : int or tuple of int
        How much longer each axis is, for with a stride several lengths have the same gradient.

    Returns
    -------
    Array
        Along each axis ``(length - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1`` places.

    Raises
    ------
    ShapeError, DTypeError, OptionError
        If the arguments do not fit together.
    """
    return function


_AXES = {1: "one axis", 2: "two axes", 3: "three axes"}
_LENGTHS = {1: "L", 2: "H, W", 3: "D, H, W"}
_KERNEL = {1: "k", 2: "kH, kW", 3: "kD, kH, kW"}

conv1d, conv2d, conv3d = map(_of_dims, (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = map(_transposed_of_dims, (1, 2, 3))
