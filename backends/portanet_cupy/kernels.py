"""CuPy functions for single ops; each has the signature and the contract of the op that it replaces.

Only the scatter is here: the ops' own definition multiplies by a matrix of zeros and ones, whose size is that of the
axis times the number of indices, and which spreads an infinity in one row over all of them. CuPy adds floating-point
numbers in no fixed order, so results may differ in the last digits from run to run.
"""

from __future__ import annotations

from typing import Any

import cupyx

from portanet.ops.scatter import Scatter, scatter_kernels
from portanet.protocols import Array, Namespace, Scalar

__all__ = ["KERNELS"]

SCATTERED_DTYPES = frozenset(("int32", "uint32", "uint64", "float16", "float32", "float64"))
"""What ``cupyx.scatter_add`` takes."""


def _add(whole: Array, key: Any, values: Array) -> Array:
    parts = key if isinstance(key, tuple) else (key,)
    if any(hasattr(part, "dtype") and part.dtype != bool for part in parts):
        cupyx.scatter_add(whole, key, values)
    else:
        whole[key] += values
    return whole


def _replace(xp: Namespace, x: Array, key: Any, value: Array | Scalar) -> Array:
    r = x.copy()
    r[key] = value
    return r


def _can_scatter(x: Array) -> bool:
    return x.dtype.name in SCATTERED_DTYPES


KERNELS = dict(scatter_kernels(Scatter(add=_add, replace=_replace), accepts=_can_scatter))
