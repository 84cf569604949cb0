"""Products of matrices and vectors, of Tensors and of raw arrays."""

from __future__ import annotations

from portanet.ops import linear_algebra as ops
from portanet.tensor import lift

__all__ = [
    "matmul",
    "tensordot",
    "vecdot",
]

matmul = lift(ops.matmul)
tensordot = lift(ops.tensordot)
vecdot = lift(ops.vecdot)
