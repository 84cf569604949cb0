"""The standard's searching and set functions, of Tensors and of raw arrays."""

from __future__ import annotations

from typing import NamedTuple

from portanet.lifting import lift_several
from portanet.ops import searching as ops
from portanet.protocols import Array
from portanet.tensor import lift

__all__ = [
    "count_nonzero",
    "isin",
    "nonzero",
    "searchsorted",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
]


class UniqueAll(NamedTuple):
    """What :func:`unique_all` returns."""

    values: Array
    indices: Array
    inverse_indices: Array
    counts: Array


class UniqueCounts(NamedTuple):
    """What :func:`unique_counts` returns."""

    values: Array
    counts: Array


class UniqueInverse(NamedTuple):
    """What :func:`unique_inverse` returns."""

    values: Array
    inverse_indices: Array


count_nonzero = lift(ops.count_nonzero)
isin = lift(ops.isin)
nonzero = lift_several(ops.nonzero)
searchsorted = lift(ops.searchsorted)
unique_all = lift_several(ops.unique_all, UniqueAll._make)
unique_counts = lift_several(ops.unique_counts, UniqueCounts._make)
unique_inverse = lift_several(ops.unique_inverse, UniqueInverse._make)
unique_values = lift(ops.unique_values)
