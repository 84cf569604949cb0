"""The standard's sorting functions, of Tensors and of raw arrays."""

from __future__ import annotations

from portanet.ops import sorting as ops
from portanet.tensor import lift

__all__ = ["argsort", "sort"]

argsort = lift(ops.argsort)
sort = lift(ops.sort)
