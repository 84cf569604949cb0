"""Padding of sequences, images and volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from portanet.checks import whole_number
from portanet.errors import OptionError, ShapeError
from portanet.nn.functional.padding import pad
from portanet.nn.module import Module
from portanet.protocols import Array
from portanet.tensor import unwrap

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    """Pads the last axes.

    Parameters
    ----------
    padding : int or sequence of int
        One number for every end; or two for each axis, the last axis first: ``(left, right, top, bottom)``.
    """

    axes: ClassVar[int]
    mode: ClassVar[str] = "constant"

    def __init__(self, padding: int | Sequence[int]) -> None:
        count = 2 * self.axes
        given = tuple(padding) if isinstance(padding, Sequence) else (padding,) * count
        if len(given) != count:
            raise OptionError(
                f"padding: {type(self).__name__} expects one number or {count}, two for each axis, got {padding!r}."
            )
        self.padding = tuple(whole_number("padding", width) for width in given)

    def forward(self, x: Array) -> Any:
        """Shape (channels, ...) or (batch, channels, ...), with as many more axes as are padded."""
        shape = tuple(unwrap(x).shape)
        if len(shape) not in (self.axes + 1, self.axes + 2):
            raise ShapeError(
                f"input: {type(self).__name__} expects {self.axes + 1} axes, or {self.axes + 2} with a batch, got an "
                f"input of shape {shape}. nn.functional.pad takes any."
            )
        return pad(x, self.padding, self.mode)

    def extra_repr(self) -> str:
        """The widths."""
        return str(self.padding)


class _ConstantPad(_Pad):
    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, x: Array) -> Any:
        """Any shape with at least as many axes as are padded."""
        return pad(x, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        """The widths and the value."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Pads the last axis with ``value``; negative widths take elements away.

    Parameters
    ----------
    padding : int or (left, right)
        The widths.
    value : float
        What the new elements are.
    """

    axes = 1


class ConstantPad2d(_ConstantPad):
    """Pads the last two axes with ``value``; negative widths take elements away.

    Parameters
    ----------
    padding : int or (left, right, top, bottom)
        The widths.
    value : float
        What the new elements are.

    Examples
    --------
    >>> pn.nn.ConstantPad2d((1, 0, 0, 1), 9.0)(pn.zeros((1, 1, 2)))
    Tensor([[[9., 0., 0.],
             [9., 9., 9.]]])
    """

    axes = 2


class ConstantPad3d(_ConstantPad):
    """Pads the last three axes with ``value``; negative widths take elements away.

    Parameters
    ----------
    padding : int or (left, right, top, bottom, front, back)
        The widths.
    value : float
        What the new elements are.
    """

    axes = 3


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """The widths."""
        return str(self.padding)


class ZeroPad1d(_ZeroPad):
    """Pads the last axis with zeros; ``padding``: int or (left, right)."""

    axes = 1


class ZeroPad2d(_ZeroPad):
    """Pads the last two axes with zeros; ``padding``: int or (left, right, top, bottom)."""

    axes = 2


class ZeroPad3d(_ZeroPad):
    """Pads the last three axes with zeros; ``padding``: int or (left, right, top, bottom, front, back)."""

    axes = 3


class ReflectionPad1d(_Pad):
    """Pads the last axis with its elements mirrored at the ends; ``padding``: int or (left, right)."""

    axes = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """Pads images with what is mirrored at their edges; ``padding``: int or (left, right, top, bottom)."""

    axes = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """Pads volumes with what is mirrored at their faces; ``padding``: int or six of them, the last axis first."""

    axes = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """Pads the last axis with its first and last element; ``padding``: int or (left, right)."""

    axes = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """Pads images with the elements at their edges; ``padding``: int or (left, right, top, bottom)."""

    axes = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """Pads volumes with the elements at their faces; ``padding``: int or six of them, the last axis first."""

    axes = 3
    mode = "replicate"


class CircularPad1d(_Pad):
    """Pads the last axis with the elements of the other end; ``padding``: int or (left, right)."""

    axes = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """Pads images with what is at the opposite edge; ``padding``: int or (left, right, top, bottom)."""

    axes = 2
    mode = "circular"


class CircularPad3d(_Pad):
    """Pads volumes with what is at the opposite face; ``padding``: int or six of them, the last axis first."""

    axes = 3
    mode = "circular"
