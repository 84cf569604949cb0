"""Activations: elementwise functions as modules."""

from __future__ import annotations

from typing import Any

from portanet.nn import functional
from portanet.nn.module import Module
from portanet.protocols import Array

__all__ = ["ReLU", "Sigmoid", "Softmax", "Tanh"]


class Sigmoid(Module):
    """Logistic function ``1 / (1 + exp(-x))``."""

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.sigmoid(x)


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.tanh(x)


class ReLU(Module):
    """Rectified linear unit ``max(x, 0)``."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace  # kept for the signature's sake: arrays are never changed in place

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.relu(x)

    def extra_repr(self) -> str:
        """``inplace`` where it was asked for."""
        return "inplace=True" if self.inplace else ""


class Softmax(Module):
    """``exp(x) / sum(exp(x))`` along one axis.

    Parameters
    ----------
    dim : int
        The axis whose values sum to 1.
    """

    def __init__(self, dim: int) -> None:
        if not isinstance(dim, int) or isinstance(dim, bool):
            raise TypeError(
                f"dim: expected the number of an axis, got {dim!r}. Use Softmax(dim=1) for (batch, classes)."
            )
        self.dim = dim

    def forward(self, x: Array) -> Any:
        """Any shape that has the axis; the output has the same."""
        return functional.softmax(x, self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"
