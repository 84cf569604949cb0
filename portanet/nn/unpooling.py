"""What undoes a pooling, as modules, over one, two or three axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from portanet.nn.functional import unpooling as functional
from portanet.nn.functional.spatial import each_axis
from portanet.nn.module import Module
from portanet.protocols import Array

__all__ = ["MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"]

Ints = int | tuple[int, ...]


class _MaxUnpool(Module):
    dims: ClassVar[int]

    def __init__(self, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0) -> None:
        name = type(self).__name__
        self.kernel_size = each_axis(name, "kernel_size", kernel_size, self.dims, low=1)
        given = kernel_size if stride is None else stride
        self.stride = each_axis(name, "stride", given, self.dims, low=1)
        self.padding = each_axis(name, "padding", padding, self.dims, low=0)

    def forward(self, input: Array, indices: Array, output_size: Sequence[int] | None = None) -> Any:
        """Values and indices of a pooling of shape (N, C, *lengths), or without N; the shape of what was pooled."""
        unpool = getattr(functional, f"max_unpool{self.dims}d")
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        """The window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Undo a :class:`MaxPool1d`, see :func:`portanet.nn.functional.max_unpool1d`.

    Examples
    --------
    >>> pool, unpool = pn.nn.MaxPool1d(2, return_indices=True), pn.nn.MaxUnpool1d(2)
    >>> x = pn.asarray([[3.0, 1.0, 2.0, 4.0, 5.0]])
    >>> unpool(*pool(x), output_size=(5,))
    Tensor([[3., 0., 0., 4., 0.]])
    """

    dims = 1


class MaxUnpool2d(_MaxUnpool):
    """Undo a :class:`MaxPool2d`, see :func:`portanet.nn.functional.max_unpool2d`."""

    dims = 2


class MaxUnpool3d(_MaxUnpool):
    """Undo a :class:`MaxPool3d`, see :func:`portanet.nn.functional.max_unpool3d`."""

    dims = 3
