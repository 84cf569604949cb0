"""Convolutions and transposed convolutions over one, two or three axes, and their lazy forms."""

from __future__ import annotations

from math import prod, sqrt
from typing import Any, ClassVar

from portanet.checks import whole_number
from portanet.dtypes import Device, DType
from portanet.errors import OptionError
from portanet.nn import functional, init
from portanet.nn.functional.convolution import same_padding
from portanet.nn.functional.padding import pad
from portanet.nn.functional.spatial import check_input, each_axis
from portanet.nn.module import Module
from portanet.nn.parameter import Parameter, UninitializedParameter
from portanet.protocols import Array
from portanet.random import uniform

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
]

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")
Ints = int | tuple[int, ...]


class _Convolution(Module):
    """What convolutions and transposed convolutions share: their options, their parameters and how these begin."""

    dims: ClassVar[int]
    transposed: ClassVar[bool] = False
    weight: Parameter
    bias: Parameter | None

    def _take_options(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints,
        padding: Ints | str,
        dilation: Ints,
        groups: int,
        padding_mode: str,
        output_padding: Ints,
    ) -> None:
        name, dims = type(self).__name__, self.dims
        self.in_channels = whole_number(f"{name}: in_channels", in_channels, low=0)
        self.out_channels = whole_number(f"{name}: out_channels", out_channels, low=1)
        self.groups = whole_number(f"{name}: groups", groups, low=1)
        for argument, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise OptionError(
                    f"{name}: {argument}: expected a multiple of groups, {groups}, got {channels}."
                )
        self.kernel_size = each_axis(name, "kernel_size", kernel_size, dims, low=1)
        self.stride = each_axis(name, "stride", stride, dims, low=1)
        self.dilation = each_axis(name, "dilation", dilation, dims, low=1)
        self.output_padding = each_axis(name, "output_padding", output_padding, dims, low=0)
        self.padding: tuple[int, ...] | str
        if isinstance(padding, str):
            if padding not in ("same", "valid") or self.transposed:
                raise OptionError(f"{name}: padding: expected numbers, 'same' or 'valid', got {padding!r}.")
            if padding == "same" and set(self.stride) != {1}:
                raise OptionError(
                    f"{name}: padding: 'same' goes with a stride of 1 only, got a stride of {stride!r}."
                )
            self.padding = padding
        else:
            self.padding = each_axis(name, "padding", padding, dims, low=0)
        modes = ("zeros",) if self.transposed else PADDING_MODES
        if padding_mode not in modes:
            raise OptionError(
                f"{name}: padding_mode: expected {' or '.join(map(repr, modes))}, got {padding_mode!r}."
            )
        self.padding_mode = padding_mode

    def weight_shape(self) -> tuple[int, ...]:
        """(out_channels, in_channels / groups, *kernel_size), or with the channels exchanged where transposed."""
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        return (first, second // self.groups, *self.kernel_size)

    def _bound(self) -> float:
        fan_in = prod(self.weight_shape()[1:])
        return 1 / sqrt(fan_in) if fan_in else 0.0

    def _make_parameters(self, bias: bool, dtype: DType | None, device: Device | str | None) -> None:
        bound = self._bound()
        self.weight = Parameter(uniform(self.weight_shape(), -bound, bound, dtype=dtype, device=device))
        self.bias = (
            Parameter(uniform((self.out_channels,), -bound, bound, dtype=dtype, device=device))
            if bias
            else None
        )

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = self._bound()
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """As PyTorch prints it: what is not the default."""
        parts = [f"{self.in_channels or '?'}, {self.out_channels}, kernel_size={self.kernel_size}"]
        parts.append(f"stride={self.stride}")
        if self.padding != (0,) * self.dims:
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * self.dims:
            parts.append(f"dilation={self.dilation}")
        if self.output_padding != (0,) * self.dims:
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class _Conv(_Convolution):
    """A convolution.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the input and of the output.
    kernel_size, stride, dilation : int or tuple of int
        The window, the steps between windows, and between the elements of one.
    padding : int, tuple of int, "valid" or "same"
        What is put on both sides of each axis.
    groups : int, default 1
        Parts of the channels that do not see each other.
    bias : bool, default True
        Whether there is a bias.
    padding_mode : str, default "zeros"
        What is put there: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
    device, dtype
        Of the parameters.

    Attributes
    ----------
    weight : Parameter
        Shape (out_channels, in_channels / groups, *kernel_size), from the uniform distribution on ``±1 / sqrt(n)``,
        where ``n`` is the number of elements that each output sees.
    bias : Parameter or None
        Shape (out_channels,), from the same distribution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints | str = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        self._take_options(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode, 0
        )
        self._make_parameters(bias, dtype, device)

    def forward(self, x: Array) -> Any:
        """Shape (N, C, *lengths), or without N."""
        convolve = getattr(functional, f"conv{self.dims}d")
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            check_input(type(self).__name__, x, self.dims)
            x, padding = pad(x, self._border(), mode=self.padding_mode), 0
        return convolve(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _border(self) -> tuple[int, ...]:
        """What ``functional.pad`` takes: from the last axis to the first, before and after."""
        if self.padding == "same":
            pairs = same_padding(self.kernel_size, self.dilation)
        elif isinstance(self.padding, str):
            pairs = ((0, 0),) * self.dims
        else:
            pairs = tuple((p, p) for p in self.padding)
        return tuple(p for pair in reversed(pairs) for p in pair)


class _ConvTranspose(_Convolution):
    """The transpose of a convolution: the gradient of one by its input.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the input and of the output.
    kernel_size, stride, padding, dilation : int or tuple of int
        Of the convolution whose transpose it is.
    output_padding : int or tuple of int
        How much longer each axis becomes, for with a stride several lengths lead to the same input.
    groups : int, default 1
        Parts of the channels that do not see each other.
    bias : bool, default True
        Whether there is a bias.
    padding_mode : str
        ``"zeros"``, the only one.
    device, dtype
        Of the parameters.

    Attributes
    ----------
    weight : Parameter
        Shape (in_channels, out_channels / groups, *kernel_size), from the uniform distribution on ``±1 / sqrt(n)``,
        where ``n`` is ``out_channels / groups`` times the elements of the kernel.
    bias : Parameter or None
        Shape (out_channels,), from the same distribution.
    """

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        self._take_options(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            padding_mode,
            output_padding,
        )
        self._make_parameters(bias, dtype, device)

    def forward(self, x: Array, output_size: Any = None) -> Any:
        """Shape (N, C, *lengths), or without N. ``output_size``: the lengths that the result is to have."""
        convolve = getattr(functional, f"conv_transpose{self.dims}d")
        extra = self.output_padding if output_size is None else self._extra(x, tuple(output_size))
        return convolve(
            x, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )

    def _extra(self, x: Array, wanted: tuple[int, ...]) -> tuple[int, ...]:
        """The output padding with which the result has these lengths."""
        assert not isinstance(self.padding, str)
        check_input(type(self).__name__, x, self.dims)
        wanted = wanted[-self.dims :]
        shortest = tuple(
            (length - 1) * s - 2 * p + d * (k - 1) + 1
            for length, s, p, d, k in zip(
                x.shape[-self.dims :],
                self.stride,
                self.padding,
                self.dilation,
                self.kernel_size,
                strict=True,
            )
        )
        longest = tuple(length + s - 1 for length, s in zip(shortest, self.stride, strict=True))
        fits = len(wanted) == self.dims and all(
            low <= length <= high for low, length, high in zip(shortest, wanted, longest, strict=True)
        )
        if not fits:
            raise OptionError(
                f"{type(self).__name__}: output_size: expected lengths from {shortest} to {longest} for an input of "
                f"{tuple(x.shape[-self.dims :])}, got {wanted}."
            )
        return tuple(length - low for length, low in zip(wanted, shortest, strict=True))


class _Lazy(_Convolution):
    """Learns ``in_channels`` from the first input, and is the plain layer from then on."""

    plain: ClassVar[type[_Convolution]]

    def _wait(self, bias: bool, dtype: DType | None, device: Device | str | None) -> None:
        rest = self.weight_shape()[1:]
        shape = (None, *rest) if self.transposed else (self.out_channels, None, *self.kernel_size)
        self.weight = UninitializedParameter(dtype, device, shape)
        self.bias = UninitializedParameter(dtype, device, (self.out_channels,)) if bias else None

    def _begin(self, x: Array) -> None:
        if isinstance(self.weight, Parameter):  # functional_call puts other arrays in its place
            check_input(type(self).__name__, x, self.dims)
            self.materialize(x.shape[-self.dims - 1])

    def materialize(self, in_channels: int) -> None:
        """Make the parameters for inputs of so many channels; those that a state dict has brought already stay."""
        if not isinstance(self.weight, UninitializedParameter):
            in_channels = self.weight.shape[0] if self.transposed else self.weight.shape[1] * self.groups
        if in_channels % self.groups:
            raise OptionError(
                f"{type(self).__name__}: in_channels: expected a multiple of groups, {self.groups}, got {in_channels}."
            )
        self.in_channels = in_channels
        bound = self._bound()
        for parameter, shape in ((self.weight, self.weight_shape()), (self.bias, (self.out_channels,))):
            if isinstance(parameter, UninitializedParameter):
                dtype, device = parameter.wanted
                parameter.materialize(uniform(shape, -bound, bound, dtype=dtype, device=device))
        self.__class__ = self.plain  # type: ignore[assignment]


class _LazyConv(_Lazy, _Conv):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints | str = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        self._take_options(0, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode, 0)
        self._wait(bias, dtype, device)

    def forward(self, x: Array) -> Any:
        """Take on the channels of the first input, then convolve."""
        self._begin(x)
        return _Conv.forward(self, x)


class _LazyConvTranspose(_Lazy, _ConvTranspose):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        self._take_options(
            0, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode, output_padding
        )
        self._wait(bias, dtype, device)

    def forward(self, x: Array, output_size: Any = None) -> Any:
        """Take on the channels of the first input, then convolve."""
        self._begin(x)
        return _ConvTranspose.forward(self, x, output_size)


class Conv1d(_Conv):
    """Convolution over one axis: the cross-correlation of :func:`portanet.nn.functional.conv1d`, with parameters."""

    dims = 1


class Conv2d(_Conv):
    """Convolution over two axes: the cross-correlation of :func:`portanet.nn.functional.conv2d`, with parameters.

    Examples
    --------
    >>> layer = pn.nn.Conv2d(3, 8, kernel_size=3, padding=1)
    >>> layer(pn.zeros((1, 3, 28, 28))).shape
    (1, 8, 28, 28)
    """

    dims = 2


class Conv3d(_Conv):
    """Convolution over three axes: the cross-correlation of :func:`portanet.nn.functional.conv3d`, with parameters."""

    dims = 3


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution over one axis, see :func:`portanet.nn.functional.conv_transpose1d`."""

    dims = 1


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution over two axes, see :func:`portanet.nn.functional.conv_transpose2d`."""

    dims = 2


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution over three axes, see :func:`portanet.nn.functional.conv_transpose3d`."""

    dims = 3


class LazyConv1d(_LazyConv):
    """A :class:`Conv1d` that learns ``in_channels`` from its first input."""

    dims, plain = 1, Conv1d


class LazyConv2d(_LazyConv):
    """A :class:`Conv2d` that learns ``in_channels`` from its first input."""

    dims, plain = 2, Conv2d


class LazyConv3d(_LazyConv):
    """A :class:`Conv3d` that learns ``in_channels`` from its first input."""

    dims, plain = 3, Conv3d


class LazyConvTranspose1d(_LazyConvTranspose):
    """A :class:`ConvTranspose1d` that learns ``in_channels`` from its first input."""

    dims, plain = 1, ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose):
    """A :class:`ConvTranspose2d` that learns ``in_channels`` from its first input."""

    dims, plain = 2, ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTranspose):
    """A :class:`ConvTranspose3d` that learns ``in_channels`` from its first input."""

    dims, plain = 3, ConvTranspose3d
