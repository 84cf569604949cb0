"""Activations that multiply the input by what lets it through, as modules."""

from __future__ import annotations

from typing import Any

from portanet.errors import OptionError
from portanet.nn.functional import gates as functional
from portanet.nn.module import Module
from portanet.protocols import Array

__all__ = ["GELU", "GLU", "Mish", "SiLU"]


class GELU(Module):
    """``x`` times the normal distribution's function, see :func:`portanet.nn.functional.gelu`.

    Parameters
    ----------
    approximate : str, default "none"
        ``"none"``: exactly; ``"tanh"``: through a hyperbolic tangent.

    Examples
    --------
    >>> round(pn.nn.GELU()(pn.asarray(1.0)).item(), 4)
    0.8413
    """

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise OptionError(f"approximate: GELU expects 'none' or 'tanh', got {approximate!r}.")
        self.approximate = approximate

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        """Which of the two."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """``x * sigmoid(x)``, also known as swish."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace  # kept for the signature's sake: arrays are never changed in place

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.silu(x)

    def extra_repr(self) -> str:
        """``inplace`` where it was asked for."""
        return "inplace=True" if self.inplace else ""


class Mish(SiLU):
    """``x * tanh(softplus(x))``."""

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.mish(x)


class GLU(Module):
    """The first half of an axis times the logistic function of the second.

    Parameters
    ----------
    dim : int, default -1
        The axis, whose length is even.
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Array) -> Any:
        """Any shape that has the axis; the output has it at half the length."""
        return functional.glu(x, self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"
