"""Special functions of PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import torch

from portanet.protocols import Array

__all__ = ["FUNCTIONS"]

# fmt: off
NAMES = (
    "digamma", "erf", "erfc", "erfcx", "erfinv", "gammainc", "gammaincc", "gammaln", "i0", "i0e", "i1", "i1e",
    "log_ndtr", "ndtri", "zeta",
)
# fmt: on


def gamma(x: Array) -> Array:
    """The gamma function, of which PyTorch has the logarithm only; of large numbers it has a few digits less."""
    below = torch.floor(x)
    size = torch.exp(torch.special.gammaln(x))
    signed = torch.where((x < 0) & (torch.remainder(below, 2) != 0), -size, size)
    signed = torch.where(x == 0, torch.copysign(size, x), signed)
    return torch.where((x < 0) & (below == x), torch.nan, signed)


FUNCTIONS: dict[str, Callable[..., Array]] = {
    **{name: getattr(torch.special, name) for name in NAMES},
    "gamma": gamma,
}
