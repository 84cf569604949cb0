"""The standard's reductions and searches, of Tensors and of raw arrays."""

from __future__ import annotations

from portanet.ops import reductions as ops
from portanet.tensor import lift

__all__ = [
    "all",
    "any",
    "argmax",
    "argmin",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "var",
]

all = lift(ops.all)
any = lift(ops.any)
argmax = lift(ops.argmax)
argmin = lift(ops.argmin)
max = lift(ops.max)
mean = lift(ops.mean)
min = lift(ops.min)
prod = lift(ops.prod)
std = lift(ops.std)
sum = lift(ops.sum)
var = lift(ops.var)
