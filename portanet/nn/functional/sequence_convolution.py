"""Convolution along the first axis of a sequence, as speech and translation models lay it out."""

from __future__ import annotations

from typing import Any

from portanet.backend import require_backend_of
from portanet.errors import ShapeError
from portanet.functions.manipulation import permute_dims
from portanet.nn.functional.convolution import conv1d
from portanet.protocols import Array
from portanet.tensor import unwrap

__all__ = ["conv_tbc"]


def conv_tbc(input: Array, weight: Array, bias: Array, pad: int = 0) -> Any:
    """:func:`conv1d` for sequences of shape (time, batch, channels).

    Parameters
    ----------
    input : Array
        Shape (T, N, C).
    weight : Array
        Shape (k, C, O), of the input's data type.
    bias : Array
        Shape (O,).
    pad : int, default 0
        How many steps of zeros come before the first and after the last.

    Returns
    -------
    Array
        Shape (T + 2 * pad - k + 1, N, O).

    Raises
    ------
    ShapeError, DTypeError, OptionError
        If the arguments do not fit together.
    """
    for argument, x, axes in (("input", input, "time, batch"), ("weight", weight, "steps of the kernel, in")):
        require_backend_of(unwrap(x), f"conv_tbc: {argument}")
        if len(x.shape) != 3:
            last = "channels" if argument == "input" else "out channels"
            raise ShapeError(f"conv_tbc: {argument}: expected shape ({axes}, {last}), got {tuple(x.shape)}.")
    if input.shape[2] != weight.shape[1]:
        raise ShapeError(
            f"conv_tbc: input: expected {weight.shape[1]} channels on axis 2, as the weight of shape "
            f"{tuple(weight.shape)} has, got shape {tuple(input.shape)}."
        )
    r = conv1d(permute_dims(input, (1, 2, 0)), permute_dims(weight, (2, 1, 0)), bias, padding=pad)
    return permute_dims(r, (2, 0, 1))
