"""Special functions of CuPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupyx.scipy.special

from portanet.protocols import Array

__all__ = ["FUNCTIONS"]

# fmt: off
NAMES = (
    "digamma", "erf", "erfc", "erfcx", "erfinv", "gamma", "gammainc", "gammaincc", "gammaln", "i0", "i0e", "i1", "i1e",
    "log_ndtr", "ndtri", "zeta",
)
# fmt: on


def _in_the_same_type(function: Any) -> Callable[..., Array]:
    """The function with its result in the data type of its operands, whatever it computes in."""

    def called(*operands: Array) -> Array:
        return function(*operands).astype(operands[0].dtype, copy=False)

    return called


FUNCTIONS: dict[str, Callable[..., Array]] = {
    name: _in_the_same_type(getattr(cupyx.scipy.special, name))
    for name in NAMES
    if hasattr(cupyx.scipy.special, name)
}
"""What this release of CuPy has of them."""
