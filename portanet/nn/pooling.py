"""Poolings as modules, over one, two or three axes."""

from __future__ import annotations

from typing import Any, ClassVar

from portanet.nn import functional
from portanet.nn.functional.spatial import each_axis
from portanet.nn.module import Module
from portanet.protocols import Array

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
]

Ints = int | tuple[int, ...]


class _Pool(Module):
    dims: ClassVar[int]
    kernel_size: Any
    stride: Any

    def _take_window(self, kernel_size: Ints, stride: Ints | None) -> None:
        name = type(self).__name__
        each_axis(name, "kernel_size", kernel_size, self.dims, low=1)
        if stride is not None:
            each_axis(name, "stride", stride, self.dims, low=1)
        self.kernel_size = kernel_size
        self.stride = stride


class _MaxPool(_Pool):
    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        dilation: Ints = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self._take_window(kernel_size, kernel_size if stride is None else stride)
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, x: Array) -> Any:
        """Shape (N, C, *lengths), or without N; with ``return_indices`` a pair."""
        pool = getattr(functional, f"max_pool{self.dims}d")
        return pool(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        """The window."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest value of each window, see :func:`portanet.nn.functional.max_pool1d`."""

    dims = 1


class MaxPool2d(_MaxPool):
    """The largest value of each window, see :func:`portanet.nn.functional.max_pool2d`.

    Examples
    --------
    >>> pn.nn.MaxPool2d(2)(pn.reshape(pn.arange(16.0), (1, 4, 4)))
    Tensor([[[ 5.,  7.],
             [13., 15.]]])
    """

    dims = 2


class MaxPool3d(_MaxPool):
    """The largest value of each window, see :func:`portanet.nn.functional.max_pool3d`."""

    dims = 3


class _AvgPool(_Pool):
    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self._take_window(kernel_size, kernel_size if stride is None else stride)
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, x: Array) -> Any:
        """Shape (N, C, *lengths), or without N."""
        pool = getattr(functional, f"avg_pool{self.dims}d")
        return pool(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        """The window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """The mean of each window, see :func:`portanet.nn.functional.avg_pool1d`."""

    dims = 1

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        # Of the poolings this one alone keeps and shows tuples, as PyTorch's does.
        self.kernel_size, self.stride, self.padding = (
            (value,) if isinstance(value, int) else tuple(value)
            for value in (self.kernel_size, self.stride, self.padding)
        )


class AvgPool2d(_AvgPool):
    """The mean of each window, see :func:`portanet.nn.functional.avg_pool2d`."""

    dims = 2


class AvgPool3d(_AvgPool):
    """The mean of each window, see :func:`portanet.nn.functional.avg_pool3d`."""

    dims = 3


class _LPPool(_Pool):
    def __init__(
        self, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
    ) -> None:
        self.norm_type = norm_type
        self._take_window(kernel_size, stride)
        self.ceil_mode = ceil_mode

    def forward(self, x: Array) -> Any:
        """Shape (N, C, *lengths), or without N."""
        pool = getattr(functional, f"lp_pool{self.dims}d")
        return pool(x, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        """The window and the norm."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """A norm of each window, see :func:`portanet.nn.functional.lp_pool1d`."""

    dims = 1


class LPPool2d(_LPPool):
    """A norm of each window, see :func:`portanet.nn.functional.lp_pool2d`."""

    dims = 2


class LPPool3d(_LPPool):
    """A norm of each window, see :func:`portanet.nn.functional.lp_pool3d`."""

    dims = 3


class _AdaptiveAvgPool(Module):
    dims: ClassVar[int]

    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size

    def forward(self, x: Array) -> Any:
        """Shape (N, C, *lengths), or without N."""
        return getattr(functional, f"adaptive_avg_pool{self.dims}d")(x, self.output_size)

    def extra_repr(self) -> str:
        """The size of the output."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means of as many windows as wanted, see :func:`portanet.nn.functional.adaptive_avg_pool1d`."""

    dims = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means of as many windows as wanted, see :func:`portanet.nn.functional.adaptive_avg_pool2d`."""

    dims = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Means of as many windows as wanted, see :func:`portanet.nn.functional.adaptive_avg_pool3d`."""

    dims = 3


class _AdaptiveMaxPool(Module):
    dims: ClassVar[int]

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, x: Array) -> Any:
        """Shape (N, C, *lengths), or without N; with ``return_indices`` a pair."""
        return getattr(functional, f"adaptive_max_pool{self.dims}d")(x, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        """The size of the output."""
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Largest values of as many windows as wanted, see :func:`portanet.nn.functional.adaptive_max_pool1d`."""

    dims = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Largest values of as many windows as wanted, see :func:`portanet.nn.functional.adaptive_max_pool2d`."""

    dims = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Largest values of as many windows as wanted, see :func:`portanet.nn.functional.adaptive_max_pool3d`."""

    dims = 3
