"""Layers that only change the shape."""

from __future__ import annotations

from math import prod
from typing import Any

from portanet.errors import ShapeError
from portanet.functions.manipulation import reshape
from portanet.nn.module import Module
from portanet.protocols import Array

__all__ = ["Flatten"]


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
