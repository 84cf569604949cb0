"""Functions that move elements between axes."""

from __future__ import annotations

from typing import Any

from portanet.backend import require_backend_of
from portanet.checks import whole_number
from portanet.errors import ShapeError
from portanet.functions.manipulation import permute_dims, reshape
from portanet.protocols import Array
from portanet.tensor import unwrap

__all__ = ["channel_shuffle", "native_channel_shuffle", "pixel_shuffle", "pixel_unshuffle"]


def pixel_shuffle(input: Array, upscale_factor: int) -> Any:
    """Make pixels of channels (Shi et al., "Real-time single image and video super-resolution", 2016).

    Parameters
    ----------
    input : Array
        Shape (..., channels * r**2, height, width), with the factor r.
    upscale_factor : int
        How many pixels become of one along each axis.

    Returns
    -------
    Array
        Shape (..., channels, height * r, width * r).

    Examples
    --------
    >>> pn.nn.functional.pixel_shuffle(pn.reshape(pn.arange(4.0), (4, 1, 1)), 2)
    Tensor([[[0., 1.],
             [2., 3.]]])
    """
    r = whole_number("upscale_factor", upscale_factor, low=1)
    *rest, depth, height, width = _shape_of_images("pixel_shuffle", input)
    if depth % r**2:
        raise ShapeError(
            f"input: pixel_shuffle expects a multiple of {r}**2 = {r**2} channels on axis -3, got an input of shape "
            f"{(*rest, depth, height, width)}."
        )
    channels, k = depth // r**2, len(rest)
    apart = reshape(input, (*rest, channels, r, r, height, width))
    mixed = permute_dims(apart, (*range(k), k, k + 3, k + 1, k + 4, k + 2))
    return reshape(mixed, (*rest, channels, height * r, width * r))


def pixel_unshuffle(input: Array, downscale_factor: int) -> Any:
    """Make channels of pixels, the opposite of :func:`pixel_shuffle`.

    Parameters
    ----------
    input : Array
        Shape (..., channels, height * r, width * r), with the factor r.
    downscale_factor : int
        How many pixels become one along each axis.

    Returns
    -------
    Array
        Shape (..., channels * r**2, height, width).
    """
    r = whole_number("downscale_factor", downscale_factor, low=1)
    *rest, channels, height, width = _shape_of_images("pixel_unshuffle", input)
    if height % r or width % r:
        raise ShapeError(
            f"input: pixel_unshuffle expects a height and a width that are multiples of {r}, got an input of shape "
            f"{(*rest, channels, height, width)}."
        )
    k = len(rest)
    apart = reshape(input, (*rest, channels, height // r, r, width // r, r))
    mixed = permute_dims(apart, (*range(k), k, k + 2, k + 4, k + 1, k + 3))
    return reshape(mixed, (*rest, channels * r**2, height // r, width // r))


def channel_shuffle(input: Array, groups: int) -> Any:
    """Deal the channels of each group out over all (Zhang et al., "ShuffleNet", 2017).

    Parameters
    ----------
    input : Array
        Shape (batch, channels, ...).
    groups : int
        A divisor of the channels.

    Returns
    -------
    Array
        The input's shape.
    """
    groups = whole_number("groups", groups, low=1)
    array = unwrap(input)
    require_backend_of(array, "input")
    shape = tuple(array.shape)
    if len(shape) < 3:
        raise ShapeError(f"input: channel_shuffle expects shape (batch, channels, ...), got {shape}.")
    if shape[1] % groups:
        raise ShapeError(
            f"input: channel_shuffle expects a number of channels that {groups} groups divide, on axis 1; got an input "
            f"of shape {shape}."
        )
    apart = reshape(input, (shape[0], groups, shape[1] // groups, *shape[2:]))
    return reshape(permute_dims(apart, (0, 2, 1, *range(3, len(shape) + 1))), shape)


def _shape_of_images(function: str, input: Array) -> tuple[int, ...]:
    array = unwrap(input)
    require_backend_of(array, "input")
    shape = tuple(array.shape)
    if len(shape) < 3:
        raise ShapeError(f"input: {function} expects shape (..., channels, height, width), got {shape}.")
    return shape


native_channel_shuffle = channel_shuffle
"""PyTorch's second name of it."""
