"""Give parameters new values, in place."""

from __future__ import annotations

from portanet.errors import GradientError
from portanet.graph import no_grad
from portanet.nn.module import overwrite
from portanet.random import normal, uniform
from portanet.tensor import Tensor, as_native

__all__ = ["constant_", "normal_", "ones_", "uniform_", "zeros_"]


def _check(tensor: Tensor) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"tensor: expected a Tensor, got {type(tensor).__name__}.")
    if not tensor.is_leaf:
        raise GradientError(
            "tensor: a Tensor that was computed from others cannot be filled; fill what it was computed from."
        )


def _fill(tensor: Tensor, values: Tensor) -> Tensor:
    overwrite(tensor, values._data)
    return tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Draw from the uniform distribution on ``[a, b)``."""
    _check(tensor)
    return _fill(tensor, uniform(tensor.shape, a, b, dtype=tensor.dtype, device=tensor.device))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Draw from the normal distribution."""
    _check(tensor)
    return _fill(tensor, normal(tensor.shape, mean, std, dtype=tensor.dtype, device=tensor.device))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Set every element to ``val``."""
    _check(tensor)
    with no_grad():
        xp_values = tensor.__array_namespace__().full_like(tensor.detach(), val)
    overwrite(tensor, as_native(xp_values, None, None, None))
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    """Set every element to 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Set every element to 1."""
    return constant_(tensor, 1.0)
