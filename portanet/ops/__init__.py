"""Ops: plain functions over arrays, each with its gradient beside it, written against the array API standard alone.

``op(xp, *operands, **options)`` takes the namespace of its operands and returns the result and one vjp per
array operand. Nothing here knows of Tensors; :func:`portanet.tensor.lift` makes a Tensor function of an op.
"""

from __future__ import annotations

from portanet.ops import elementwise, indexing, layers, linear_algebra, losses, manipulation, reductions

__all__ = [
    "elementwise",
    "indexing",
    "layers",
    "linear_algebra",
    "losses",
    "manipulation",
    "reductions",
]
