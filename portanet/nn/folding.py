"""Windows of pictures as columns, and their sum, as modules."""

from __future__ import annotations

from typing import Any

from portanet.nn import functional
from portanet.nn.module import Module
from portanet.protocols import Array

__all__ = ["Fold", "Unfold"]

Ints = int | tuple[int, ...]


class Unfold(Module):
    """The windows of pictures as columns, see :func:`portanet.nn.functional.unfold`."""

    def __init__(self, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1) -> None:
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, x: Array) -> Any:
        """Shape (N, C, H, W), or without N."""
        return functional.unfold(x, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """The window."""
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """Columns added up into pictures, see :func:`portanet.nn.functional.fold`."""

    def __init__(
        self, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
    ) -> None:
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, x: Array) -> Any:
        """Shape (N, C * elements of the window, windows), or without N."""
        return functional.fold(
            x, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        """The size of the output, and the window."""
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )
