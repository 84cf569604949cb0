"""Normalisation on NumPy arrays: sums of products without the products, and results written into arrays at hand."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from portanet.backend import Kernel
from portanet.protocols import Array, Namespace, OpResult, SeveralResults

__all__ = ["KERNELS"]


def _sums_of_products(x: Array, y: Array, axes: tuple[int, ...]) -> Array:
    """``sum(x * y)`` over the axes, which stay as length 1."""
    letters = list(range(x.ndim))
    kept = [axis for axis in letters if axis not in axes]
    sums = np.einsum(x, letters, y, letters, kept)
    return sums.reshape([1 if axis in axes else length for axis, length in enumerate(x.shape)])


def _normalized(
    x: Array, weight: Array | None, bias: Array | None, axes: tuple[int, ...], eps: float, centered: bool
) -> tuple[Array, Array | None, Array, tuple[Any, ...]]:
    """The result, the mean, the variance, and the vjps of the result."""
    share = x.dtype.type(1 / prod(x.shape[axis] for axis in axes))
    mean = np.add.reduce(x, axes, keepdims=True) * share if centered else None
    plain = x.copy() if mean is None else x - mean
    variance = _sums_of_products(plain, plain, axes)
    variance *= share
    scale = variance + x.dtype.type(eps)
    np.sqrt(scale, out=scale)
    np.reciprocal(scale, out=scale)
    plain *= scale
    r = plain.copy() if weight is None else plain * weight
    if bias is not None:
        r += bias

    def wrt_x(g: Array) -> Array:
        slope = g.copy() if weight is None else g * weight
        along = _sums_of_products(slope, plain, axes)
        along *= share
        if centered:
            slope -= np.add.reduce(slope, axes, keepdims=True) * share
        slope -= plain * along
        slope *= scale
        return slope

    def wrt_weight(g: Array) -> Array:
        over = tuple(axis for axis in range(x.ndim) if _length(weight, axis, x.ndim) == 1)
        return _sums_of_products(g, plain, over).reshape(weight.shape)  # type: ignore[union-attr]

    return r, mean, variance, (wrt_x, wrt_weight, lambda g: g)


def normalize(
    xp: Namespace,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    axes: tuple[int, ...],
    eps: float,
    centered: bool = True,
) -> OpResult:
    """``(x - mean) / sqrt(variance + eps) * weight + bias``."""
    axes = tuple(axis % x.ndim for axis in axes)
    r, _, _, vjps = _normalized(x, weight, bias, axes, eps, centered)
    return r, vjps


def normalize_with_statistics(
    xp: Namespace,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    axes: tuple[int, ...],
    eps: float,
) -> SeveralResults:
    """The same, with the mean and the variance."""
    axes = tuple(axis % x.ndim for axis in axes)
    r, mean, variance, vjps = _normalized(x, weight, bias, axes, eps, True)
    share = x.dtype.type(1 / prod(x.shape[axis] for axis in axes))
    of_mean = (lambda g: np.broadcast_to(g * share, x.shape), None, None)
    of_variance = (lambda g: (x - mean) * (g * (2 * share)), None, None)
    return (r, mean, variance), (vjps, of_mean, of_variance)


def _length(x: Any, axis: int, ndim: int) -> int:
    """The length of an axis once ``x`` is broadcast to so many axes from the front."""
    place = axis - (ndim - x.ndim)
    return 1 if place < 0 else int(x.shape[place])


def _accepts(x: Array, weight: Array | None, bias: Array | None, **options: Any) -> bool:
    """A scale and a shift that broadcast to the input, whose result is the input's shape."""
    return x.size > 0 and all(part is None or part.ndim <= x.ndim for part in (weight, bias))


FLOATS = frozenset({"float32", "float64"})
KERNELS: Mapping[str, Kernel] = {
    "normalize": Kernel(normalize, FLOATS, _accepts),
    "normalize_with_statistics": Kernel(normalize_with_statistics, FLOATS, _accepts),
}
