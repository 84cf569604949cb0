"""The standard's manipulation functions, of Tensors and of raw arrays."""

from __future__ import annotations

from portanet.lifting import lift_sequence
from portanet.ops import manipulation as ops
from portanet.tensor import lift

__all__ = [
    "astype",
    "broadcast_to",
    "concat",
    "expand_dims",
    "flip",
    "matrix_transpose",
    "moveaxis",
    "permute_dims",
    "reshape",
    "roll",
    "squeeze",
    "stack",
    "tril",
    "triu",
]

astype = lift(ops.astype, aliases=True, positional=True)
broadcast_to = lift(ops.broadcast_to, aliases=True)
concat = lift_sequence(ops.concat)
expand_dims = lift(ops.expand_dims, aliases=True)
flip = lift(ops.flip, aliases=True)
matrix_transpose = lift(ops.matrix_transpose, aliases=True)
moveaxis = lift(ops.moveaxis, aliases=True, positional=True)
permute_dims = lift(ops.permute_dims, aliases=True)
reshape = lift(ops.reshape, aliases=True)
roll = lift(ops.roll)
squeeze = lift(ops.squeeze, aliases=True)
stack = lift_sequence(ops.stack)
tril = lift(ops.tril)
triu = lift(ops.triu)
