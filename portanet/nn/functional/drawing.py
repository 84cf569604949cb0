"""Random numbers beside an input: of its shape, its data type and its place."""

from __future__ import annotations

from typing import Any

from portanet.backend import require_backend_of
from portanet.errors import DTypeError
from portanet.protocols import Array
from portanet.random import Generator, uniform
from portanet.tensor import Tensor, unwrap

__all__ = ["uniform_like"]


def uniform_like(function: str, input: Array, low: float, high: float, generator: Generator | None) -> Any:
    """Draw from the uniform distribution on ``[low, high)``; of a raw array a raw array, of a Tensor a Tensor."""
    array = unwrap(input)
    backend = require_backend_of(array, "input")
    dtype = backend.dtype_of(array)
    if not dtype.is_floating:
        raise DTypeError(
            f"input: {function} expects a floating-point type, got {dtype.name}. "
            "Convert it with portanet.astype(input, portanet.float32)."
        )
    drawn = uniform(
        tuple(array.shape), low, high, dtype=dtype, device=backend.device_of(array), generator=generator
    )
    return drawn if isinstance(input, Tensor) else unwrap(drawn)
