"""The standard's running sums and products and differences, of Tensors and of raw arrays."""

from __future__ import annotations

from portanet.ops import cumulative as ops
from portanet.tensor import lift

__all__ = ["cumulative_prod", "cumulative_sum", "diff"]

cumulative_prod = lift(ops.cumulative_prod)
cumulative_sum = lift(ops.cumulative_sum)
diff = lift(ops.diff)
