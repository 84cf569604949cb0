"""Activations that multiply the input by what lets it through.

``inplace`` is there for PyTorch's signatures: arrays are never changed in place.
"""

from __future__ import annotations

from typing import Any

from portanet.errors import OptionError
from portanet.ops import activations, error_function
from portanet.protocols import Array
from portanet.tensor import lift

__all__ = ["gelu", "glu", "mish", "silu"]

_gelu = lift(activations.gelu)
_glu = lift(activations.glu)
_mish = lift(activations.mish)
_silu = lift(activations.silu)

# Part of gelu, which a higher-order pass looks up; and its counterpart.
lift(error_function.erfc)
lift(error_function.erf)


def gelu(input: Array, approximate: str = "none") -> Any:
    """``x`` times the probability that a standard normal variable is below it (Hendrycks and Gimpel, 2016).

    Parameters
    ----------
    input : Array
        Any shape.
    approximate : str, default "none"
        ``"none"``: ``x * (1 + erf(x / sqrt(2))) / 2``, computed without cancellation, so that it is exact where it is
        small, and needs no SciPy. ``"tanh"``: ``x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2``.

    Examples
    --------
    >>> round(pn.nn.functional.gelu(pn.asarray(1.0)).item(), 4)
    0.8413
    """
    if approximate not in ("none", "tanh"):
        raise OptionError(f"approximate: gelu expects 'none' or 'tanh', got {approximate!r}.")
    return _gelu(input, approximate=approximate)


def silu(input: Array, inplace: bool = False) -> Any:
    """``x * sigmoid(x)``, also known as swish (Elfwing, Uchibe and Doya, 2017)."""
    return _silu(input)


def mish(input: Array, inplace: bool = False) -> Any:
    """``x * tanh(softplus(x))`` (Misra, 2019)."""
    return _mish(input)


def glu(input: Array, dim: int = -1) -> Any:
    """The first half of an axis times the logistic function of the second (Dauphin et al., 2016).

    Parameters
    ----------
    input : Array
        Any shape with the axis, whose length is even.
    dim : int, default -1
        The axis, which the output has at half the length.

    Examples
    --------
    >>> pn.nn.functional.glu(pn.asarray([[2.0, 4.0, 0.0, 100.0]]))
    Tensor([[1., 4.]])
    """
    return _glu(input, dim=dim)
