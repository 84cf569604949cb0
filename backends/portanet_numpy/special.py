"""Special functions of NumPy arrays. NumPy has none, so they are SciPy's, which is imported when one is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from portanet.backend import first_line
from portanet.errors import BackendUnavailableError
from portanet.protocols import Array

__all__ = ["functions_of_scipy"]

# fmt: off
NAMES = (
    "digamma", "erf", "erfc", "erfcx", "erfinv", "gamma", "gammainc", "gammaincc", "gammaln", "i0", "i0e", "i1", "i1e",
    "log_ndtr", "ndtri", "zeta",
)
# fmt: on


def functions_of_scipy() -> dict[str, Callable[..., Array]]:
    """SciPy's functions by name.

    Raises
    ------
    BackendUnavailableError
        If SciPy is not installed, or fails on import.
    """
    try:
        from scipy import special
    except Exception as error:
        raise BackendUnavailableError(
            "Special functions of NumPy arrays are computed by SciPy, which cannot be imported here: "
            f"{first_line(error)}. To mend it: pip install 'portanet[special]'"
        ) from error
    return {name: _of_arrays(getattr(special, name)) for name in NAMES}


def _of_arrays(function: Any) -> Callable[..., Array]:
    """An array for every array, never a scalar object, and in the data type of the operands."""

    def called(*operands: Array) -> Array:
        return np.asarray(function(*operands), dtype=operands[0].dtype)

    return called
