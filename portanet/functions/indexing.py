"""Functions that read parts of an array, of Tensors and of raw arrays."""

from __future__ import annotations

from portanet.ops import indexing as ops
from portanet.tensor import lift

__all__ = ["index_add", "take", "take_along_axis"]

index_add = lift(ops.index_add)
take = lift(ops.take)
take_along_axis = lift(ops.take_along_axis)
lift(ops.getitem, aliases=True)
lift(ops.setitem)
