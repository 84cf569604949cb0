"""Layers that only change the shape, or move elements between axes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from portanet.checks import whole_number
from portanet.errors import OptionError, ShapeError
from portanet.functions.manipulation import reshape
from portanet.nn.functional.shape import channel_shuffle, pixel_shuffle, pixel_unshuffle
from portanet.nn.module import Module
from portanet.protocols import Array
from portanet.requirements import place_of_axis
from portanet.tensor import unwrap

__all__ = ["ChannelShuffle", "Flatten", "PixelShuffle", "PixelUnshuffle", "Unflatten"]


class Flatten(Module):
    """Make one axis of several adjacent ones.

    Parameters
    ----------
    start_dim, end_dim : int
        The first and the last axis to join; by default all but the batch axis.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Array) -> Any:
        """Join the axes of ``x``."""
        ndim = len(x.shape)
        start = self.start_dim + ndim if self.start_dim < 0 else self.start_dim
        end = self.end_dim + ndim if self.end_dim < 0 else self.end_dim
        if not 0 <= start <= end < ndim:
            raise ShapeError(
                f"Flatten: start_dim={self.start_dim} and end_dim={self.end_dim} do not fit an input of shape "
                f"{tuple(x.shape)}. For input without a batch axis use Flatten(0)."
            )
        joined = prod(x.shape[start : end + 1])
        return reshape(x, (*x.shape[:start], joined, *x.shape[end + 1 :]))

    def extra_repr(self) -> str:
        """The axes."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Make several axes of one.

    Parameters
    ----------
    dim : int
        The axis.
    unflattened_size : sequence of int
        The lengths of what it becomes; one may be -1 and is then worked out.

    Examples
    --------
    >>> pn.nn.Unflatten(1, (2, -1))(pn.zeros((4, 6))).shape
    (4, 2, 3)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        if isinstance(dim, bool) or not isinstance(dim, int):
            raise TypeError(f"dim: Unflatten expects the number of an axis, got {dim!r}.")
        if not isinstance(unflattened_size, Sequence) or isinstance(unflattened_size, str):
            raise TypeError(f"unflattened_size: Unflatten expects a tuple of int, got {unflattened_size!r}.")
        lengths = tuple(whole_number("unflattened_size", length, low=-1) for length in unflattened_size)
        if not lengths or lengths.count(-1) > 1:
            raise OptionError(
                f"unflattened_size: Unflatten expects at least one length, and -1 once at most, got {lengths}."
            )
        self.dim = dim
        self.unflattened_size = lengths

    def forward(self, x: Array) -> Any:
        """Any shape that has the axis."""
        shape = tuple(unwrap(x).shape)
        axis = place_of_axis("Unflatten", self.dim, len(shape), "dim")
        known = prod(length for length in self.unflattened_size if length >= 0)
        open_length = -1 in self.unflattened_size
        if (known == 0 or shape[axis] % known) if open_length else known != shape[axis]:
            raise ShapeError(
                f"input: Unflatten cannot make {self.unflattened_size} of axis {self.dim}, of length {shape[axis]}, of "
                f"an input of shape {shape}."
            )
        # Worked out here: a library cannot, where another axis has length 0.
        lengths = tuple(shape[axis] // known if length < 0 else length for length in self.unflattened_size)
        return reshape(x, (*shape[:axis], *lengths, *shape[axis + 1 :]))

    def extra_repr(self) -> str:
        """The axis and the lengths."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class PixelShuffle(Module):
    """Make pixels of channels, see :func:`portanet.nn.functional.pixel_shuffle`.

    Parameters
    ----------
    upscale_factor : int
        How many pixels become of one along each axis.
    """

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = whole_number("upscale_factor", upscale_factor, low=1)

    def forward(self, x: Array) -> Any:
        """From (..., channels * r**2, height, width) to (..., channels, height * r, width * r)."""
        return pixel_shuffle(x, self.upscale_factor)

    def extra_repr(self) -> str:
        """The factor."""
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Make channels of pixels, see :func:`portanet.nn.functional.pixel_unshuffle`.

    Parameters
    ----------
    downscale_factor : int
        How many pixels become one along each axis.
    """

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = whole_number("downscale_factor", downscale_factor, low=1)

    def forward(self, x: Array) -> Any:
        """From (..., channels, height * r, width * r) to (..., channels * r**2, height, width)."""
        return pixel_unshuffle(x, self.downscale_factor)

    def extra_repr(self) -> str:
        """The factor."""
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Deal the channels of each group out over all, see :func:`portanet.nn.functional.channel_shuffle`.

    Parameters
    ----------
    groups : int
        A divisor of the channels.
    """

    def __init__(self, groups: int) -> None:
        self.groups = whole_number("groups", groups, low=1)

    def forward(self, x: Array) -> Any:
        """Shape (batch, channels, ...); the output has the same."""
        return channel_shuffle(x, self.groups)

    def extra_repr(self) -> str:
        """The groups."""
        return f"groups={self.groups}"
