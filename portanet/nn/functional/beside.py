"""Arrays of one value, made beside another array: of its library, of its data type and in its place."""

from __future__ import annotations

from portanet.backend import require_backend_of
from portanet.ops.promotion import device_of
from portanet.protocols import Array
from portanet.tensor import Tensor, unwrap, wrap

__all__ = ["full_beside"]


def full_beside(x: Array, shape: tuple[int, ...], value: float) -> Array:
    """An array of one value, of the library, of the data type and in the place of ``x``; a Tensor for a Tensor."""
    array = unwrap(x)
    xp = require_backend_of(array, "input").namespace
    made = xp.full(shape, value, dtype=array.dtype, device=device_of(array))
    return wrap(made) if isinstance(x, Tensor) else made
