"""The common activations and the softmax family as modules; rectifiers and gates have files of their own."""

from __future__ import annotations

from typing import Any

from portanet.checks import check_number
from portanet.errors import ShapeError
from portanet.functions.elementwise import tanh
from portanet.nn.functional import activation as functional
from portanet.nn.module import Module
from portanet.protocols import Array
from portanet.tensor import unwrap

__all__ = [
    "LogSigmoid",
    "LogSoftmax",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softsign",
    "Tanh",
    "Tanhshrink",
]


class Sigmoid(Module):
    """Logistic function ``1 / (1 + exp(-x))``."""

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.sigmoid(x)


class LogSigmoid(Module):
    """Logarithm of the logistic function, ``-log(1 + exp(-x))``, exact where that vanishes."""

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.logsigmoid(x)


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return tanh(x)


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


class Tanhshrink(Module):
    """``x - tanh(x)``."""

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.tanhshrink(x)


class Softsign(Module):
    """``x / (1 + abs(x))``."""

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.softsign(x)


class Softplus(Module):
    """``log(1 + exp(beta * x)) / beta``, and ``x`` itself where ``beta * x`` is above the threshold.

    Parameters
    ----------
    beta : float, default 1
        How sharp the bend is.
    threshold : float, default 20
        From where on it is a straight line.
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        check_number("beta", beta)
        self.beta = beta
        self.threshold = threshold

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """The options."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(Module):
    """``exp(x) / sum(exp(x))`` along one axis.

    Parameters
    ----------
    dim : int
        The axis whose values sum to 1.
    """

    def __init__(self, dim: int) -> None:
        if not isinstance(dim, int) or isinstance(dim, bool):
            name = type(self).__name__
            raise TypeError(
                f"dim: expected the number of an axis, got {dim!r}. Use {name}(dim=1) for (batch, classes)."
            )
        self.dim = dim

    def forward(self, x: Array) -> Any:
        """Any shape that has the axis; the output has the same."""
        return functional.softmax(x, self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class Softmin(Softmax):
    """:class:`Softmax` of ``-x``.

    Parameters
    ----------
    dim : int
        The axis whose values sum to 1.
    """

    def forward(self, x: Array) -> Any:
        """Any shape that has the axis; the output has the same."""
        return functional.softmin(x, self.dim)


class LogSoftmax(Softmax):
    """Logarithm of :class:`Softmax`, exact where a probability underflows.

    Parameters
    ----------
    dim : int
        The axis whose probabilities sum to 1.
    """

    def forward(self, x: Array) -> Any:
        """Any shape that has the axis; the output has the same."""
        return functional.log_softmax(x, self.dim)


class Softmax2d(Module):
    """:class:`Softmax` over the channels of images, at each pixel."""

    def forward(self, x: Array) -> Any:
        """Shape (batch, channels, height, width) or (channels, height, width); the output has the same."""
        shape = tuple(unwrap(x).shape)
        if len(shape) not in (3, 4):
            raise ShapeError(
                "input: Softmax2d expects shape (batch, channels, height, width) or (channels, height, width), "
                f"got {shape}."
            )
        return functional.softmax(x, -3)
