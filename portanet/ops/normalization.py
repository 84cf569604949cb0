"""Normalisation as one op: to mean 0 and variance 1 over chosen axes, then scaled and shifted."""

from __future__ import annotations

from math import prod

from portanet.ops.promotion import floating
from portanet.protocols import Array, Namespace, OpResult, SeveralResults, Vjp

__all__ = ["normalize", "normalize_with_statistics"]


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
    """``(x - mean) / sqrt(variance + eps) * weight + bias``, with mean and biased variance over ``axes``.

    Parameters
    ----------
    x : Array
        Any shape that has the axes.
    weight, bias : Array, optional
        Broadcast to ``x``.
    axes : tuple of int
        What the statistics are taken over.
    eps : float
        Added to the variance.
    centered : bool
        False subtracts no mean, so that ``x`` is divided by its root mean square.
    """
    r, _, _, vjps = _normalized(xp, floating(xp, x), weight, bias, axes, eps, centered)
    return r, vjps


def normalize_with_statistics(
    xp: Namespace,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    /,
    *,
    axes: tuple[int, ...],
    eps: float,
) -> SeveralResults:
    """:func:`normalize`, and beside its result the mean and the biased variance, with the axes kept as length 1."""
    x = floating(xp, x)
    r, mean, variance, vjps = _normalized(xp, x, weight, bias, axes, eps, True)
    share = 1 / _count(x, axes)

    def wrt_x_of_mean(g: Array) -> Array:
        return xp.broadcast_to(g * share, x.shape)

    def wrt_x_of_variance(g: Array) -> Array:
        return (x - mean) * (g * (2 * share))

    return (r, mean, variance), (vjps, (wrt_x_of_mean, None, None), (wrt_x_of_variance, None, None))


def _count(x: Array, axes: tuple[int, ...]) -> int:
    """How many elements flow into each mean; of none, 1, so that nothing is divided by 0."""
    return prod(x.shape[axis] for axis in axes) or 1


def _normalized(
    xp: Namespace,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    axes: tuple[int, ...],
    eps: float,
    centered: bool,
) -> tuple[Array, Array, Array, tuple[Vjp | None, ...]]:
    """The result, the mean, the variance, and the vjps of the result."""
    share = 1 / _count(x, axes)

    def average(values: Array) -> Array:
        return xp.sum(values, axis=axes, keepdims=True) * share

    mean = average(x) if centered else None
    away = x - mean if centered else x
    variance = average(away * away)
    scale = 1 / xp.sqrt(variance + eps)
    plain = away * scale
    r = plain if weight is None else plain * weight
    if bias is not None:
        r = r + bias

    def wrt_x(g: Array) -> Array:
        slope = g if weight is None else g * weight
        rest = slope - plain * average(slope * plain)
        return (rest - average(slope) if centered else rest) * scale

    return r, mean, variance, (wrt_x, lambda g: g * plain, lambda g: g)
