"""Entropies and what they are made of: logarithms, powers and sums, in the standard's functions alone.

Where a function has a value by definition, such as -inf for ``entr`` of a negative number, no library warns of it.
"""

from __future__ import annotations

from math import inf, log, nan

from portanet.ops.composition import recorded
from portanet.ops.promotion import device_of, floating
from portanet.ops.real_functions import pick, quiet_log, quiet_log1p, real_pair
from portanet.protocols import Array, Namespace, OpResult
from portanet.requirements import places_of_axes

__all__ = [
    "entr",
    "exp10",
    "exp2",
    "kl_div",
    "logit",
    "logsumexp",
    "rel_entr",
    "xlog1py",
    "xlogy",
]


def xlogy(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x * log(y)``, and 0 where ``x`` is 0 and ``y`` is a number; the gradient by ``x`` is 0 where both are 0.

    Examples
    --------
    >>> pn.special.xlogy(pn.asarray([0.0, 2.0]), pn.asarray([0.0, 1.0]))
    Tensor([0., 0.])
    """
    x, y = real_pair(xp, x, y)
    zero = (x == 0) & ~xp.isnan(y)
    r = x * quiet_log(xp, pick(xp, ~zero, y, 1.0))
    kept = (x != 0) | (y > 0) | xp.isnan(y)

    def wrt_x(g: Array) -> Array:
        return g * quiet_log(xp, pick(xp, kept, y, 1.0))

    return r, (wrt_x, lambda g: g * (x / pick(xp, kept, y, 1.0)))


def xlog1py(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x * log1p(y)``, and 0 where ``x`` is 0 and ``y`` is a number; the gradient by ``x`` is 0 where ``y`` is -1."""
    x, y = real_pair(xp, x, y)
    zero = (x == 0) & ~xp.isnan(y)
    r = x * quiet_log1p(xp, pick(xp, ~zero, y, 0.0))
    kept = (x != 0) | (y > -1) | xp.isnan(y)

    def wrt_x(g: Array) -> Array:
        return g * quiet_log1p(xp, pick(xp, kept, y, 0.0))

    return r, (wrt_x, lambda g: g * (x / (1 + pick(xp, kept, y, 0.0))))


def entr(xp: Namespace, x: Array, /) -> OpResult:
    """``-x * log(x)``, 0 at 0 and -inf below; the gradient at 0 is inf."""
    x = floating(xp, x)
    positive = x > 0
    inside = pick(xp, positive, x, 1.0)
    outside = pick(xp, ~(x < 0), x, -inf)
    return xp.where(positive, -inside * xp.log(inside), outside), (lambda g: g * (-1 - quiet_log(xp, x)),)


def rel_entr(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x * log(x / y)`` of positive numbers, 0 where ``x`` is 0 and ``y`` is not negative, else inf.

    The gradient is 0 where the value is infinite and where both are 0; by ``x`` alone it is -inf at 0.
    """
    x, y = real_pair(xp, x, y)
    both = (x > 0) & (y > 0)
    u, ratio = pick(xp, both, x, 1.0), _log_ratio(xp, both, x, y)
    return xp.where(both, u * ratio, _entropy_outside(xp, x, y, xp.zeros_like(ratio))), (
        lambda g: g * xp.where(both, ratio + 1, _entropy_edge(xp, x, y)),
        lambda g: g * -_quotient(xp, x, y),
    )


def kl_div(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x * log(x / y) - x + y`` of positive numbers, ``y`` where ``x`` is 0 and ``y`` is not negative, else inf.

    The gradient is 0 where the value is infinite and where both are 0; by ``x`` alone it is -inf at 0.
    """
    x, y = real_pair(xp, x, y)
    both = (x > 0) & (y > 0)
    u, v, ratio = pick(xp, both, x, 1.0), pick(xp, both, y, 1.0), _log_ratio(xp, both, x, y)
    some = xp.astype((x >= 0) & (y > 0), x.dtype)
    return xp.where(both, u * ratio - u + v, _entropy_outside(xp, x, y, y)), (
        lambda g: g * xp.where(both, ratio, _entropy_edge(xp, x, y)),
        lambda g: g * (some - _quotient(xp, x, y)),
    )


def _log_ratio(xp: Namespace, both: Array, x: Array, y: Array) -> Array:
    """``log(x / y)`` where both are positive, without overflow, and exact where they are nearly equal."""
    u, v = pick(xp, both, x, 1.0), pick(xp, both, y, 1.0)
    near = (u * 0.5 < v) & (v * 0.5 < u)
    base = pick(xp, near, v, 1.0)
    close = xp.log1p((pick(xp, near, u, 1.0) - base) / base)
    return xp.where(near, close, xp.log(u) - xp.log(v))


def _entropy_outside(xp: Namespace, x: Array, y: Array, at_zero: Array) -> Array:
    """The value where not both are positive: ``at_zero`` where ``x`` is 0, else infinite; NaN of a NaN."""
    value = pick(xp, (x == 0) & (y >= 0), at_zero, inf)
    return pick(xp, ~(xp.isnan(x) | xp.isnan(y)), value, nan)


def _entropy_edge(xp: Namespace, x: Array, y: Array) -> Array:
    """The gradient by ``x`` where not both are positive."""
    return pick(xp, ~((x == 0) & (y > 0)), xp.zeros_like(x), -inf)


def _quotient(xp: Namespace, x: Array, y: Array) -> Array:
    """``x / y`` where that is defined and not negative, else 0."""
    inside = (x >= 0) & (y > 0)
    return pick(xp, inside, x, 0.0) / pick(xp, inside, y, 1.0)


def logit(xp: Namespace, x: Array, /) -> OpResult:
    """``log(x / (1 - x))``, the inverse of the logistic function: infinite at 0 and 1, NaN outside."""
    x = floating(xp, x)
    inside = (x > 0) & (x < 1)
    p = pick(xp, inside, x, 0.5)
    middle = (p > 0.25) & (p < 0.75)
    s = pick(xp, middle, p, 0.5) * 2 - 1
    r = xp.where(middle, xp.log1p(s) - xp.log1p(-s), xp.log(p) - xp.log1p(-p))
    outside = pick(xp, x == 0, xp.full_like(x, -inf), nan)
    outside = pick(xp, x != 1, outside, inf)
    return xp.where(inside, r, outside), (lambda g: g / (x * (1 - x)),)


def exp2(xp: Namespace, x: Array, /) -> OpResult:
    """Power of 2."""
    x = floating(xp, x)
    r = 2.0**x
    return r, (lambda g: g * (r * log(2)),)


def exp10(xp: Namespace, x: Array, /) -> OpResult:
    """Power of 10."""
    x = floating(xp, x)
    r = 10.0**x
    return r, (lambda g: g * (r * log(10)),)


def logsumexp(
    xp: Namespace,
    x: Array,
    b: Array | None = None,
    *,
    axis: int | tuple[int, ...] | None = None,
    keepdims: bool = False,
) -> OpResult:
    """``log(sum(b * exp(x)))`` over the given axes, without overflow; NaN where the sum is negative.

    Parameters
    ----------
    x : Array
        Any shape; of no elements the result is -inf.
    b : Array, optional
        Weights, which broadcast with ``x``; default 1. What has the weight 0 does not count, infinite or not.
    """
    if b is None:
        x = masked = floating(xp, x)
    else:
        x, b = real_pair(xp, x, b)
        masked = pick(xp, b != 0, x, -inf)
    reduced = set(places_of_axes("logsumexp", axis, masked.ndim))
    function = recorded(xp, logsumexp)
    if function is not None:
        r = function(x, b, axis=axis, keepdims=True)
    elif 0 in (masked.shape[a] for a in reduced):
        shape = tuple(1 if a in reduced else n for a, n in enumerate(masked.shape))
        r = xp.full(shape, -inf, dtype=x.dtype, device=device_of(x))
    else:
        top = xp.max(masked, axis=axis, keepdims=True)
        below = masked != top  # an infinite top must not be taken from itself
        weights = xp.exp(pick(xp, below, masked, 0.0) - pick(xp, below, top, 0.0))
        weights = weights if b is None else weights * b
        r = quiet_log(xp, xp.sum(weights, axis=axis, keepdims=True, dtype=x.dtype)) + top
    shape = r.shape if keepdims else tuple(n for a, n in enumerate(masked.shape) if a not in reduced)

    def shares(g: Array, x: Array) -> Array:
        return xp.reshape(g, r.shape) * xp.exp(x - pick(xp, r != -inf, r, 0.0))

    def wrt_x(g: Array) -> Array:
        return shares(g, masked) if b is None else shares(g, masked) * b

    def wrt_b(g: Array) -> Array:
        return shares(g, xp.broadcast_to(x, masked.shape))

    return xp.reshape(r, shape), (wrt_x, wrt_b)
