"""Losses as single ops, so that forward and gradient are each one short chain, stable for large inputs."""

from __future__ import annotations

from portanet.errors import DTypeError, ShapeError
from portanet.ops.composition import apply
from portanet.ops.layers import log_softmax, sigmoid, softplus
from portanet.ops.promotion import device_of
from portanet.protocols import Array, Namespace, OpResult

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "mse_loss",
    "soft_cross_entropy",
]

SMALLEST_LOG = -100.0
SMALLEST_VARIANCE = 1e-12


def reduce(xp: Namespace, losses: Array, reduction: str) -> tuple[Array, float]:
    """The reduced loss, and the factor that each element's gradient takes from it."""
    if reduction == "none":
        return losses, 1.0
    if reduction == "sum":
        return xp.sum(losses), 1.0
    count = 1
    for length in losses.shape:
        count *= length
    if not count:  # the mean of nothing, without NumPy's warning
        return xp.sum(losses) * float("nan"), float("nan")
    return xp.mean(losses), 1.0 / count


def check_alike(name: str, x: Array, target: Array) -> None:
    """Raise unless the target has the input's shape and data type."""
    if x.shape != target.shape:
        raise ShapeError(
            f"target: {name} expects the input's shape {tuple(x.shape)}, got {tuple(target.shape)}. "
            "Reshape one of them, for example with portanet.reshape(target, input.shape)."
        )
    if x.dtype != target.dtype:
        raise DTypeError(
            f"target: {name} expects the input's data type {x.dtype}, got {target.dtype}. "
            "Convert it with portanet.astype(target, input.dtype)."
        )


def check_floating(xp: Namespace, name: str, x: Array) -> None:
    """Raise unless the input is floating-point."""
    if not xp.isdtype(x.dtype, "real floating"):
        raise DTypeError(
            f"input: {name} expects a floating-point type, got {x.dtype}. "
            "Convert it with portanet.astype(input, portanet.float32)."
        )


def check_factor(argument: str, factor: Array, x: Array) -> None:
    """Raise unless a factor has the input's data type and can be broadcast to its shape."""
    if isinstance(factor, (int, float)):
        return
    if factor.dtype != x.dtype:
        raise DTypeError(
            f"{argument}: expected the input's data type {x.dtype}, got {factor.dtype}. "
            f"Convert it with portanet.astype({argument}, input.dtype)."
        )
    lengths = zip(reversed(factor.shape), reversed(x.shape), strict=False)
    if factor.ndim > x.ndim or any(mine not in (1, its) for mine, its in lengths):
        raise ShapeError(
            f"{argument}: expected a shape that can be broadcast to the input's {tuple(x.shape)}, "
            f"got {tuple(factor.shape)}."
        )


def mse_loss(xp: Namespace, x: Array, target: Array, *, reduction: str) -> OpResult:
    """Squared error ``(x - target) ** 2``."""
    check_floating(xp, "mse_loss", x)
    check_alike("mse_loss", x, target)
    difference = x - target
    r, factor = reduce(xp, difference * difference, reduction)
    return r, (lambda g: difference * (g * (2 * factor)), lambda g: difference * (g * (-2 * factor)))


def binary_cross_entropy(
    xp: Namespace, x: Array, target: Array, weight: Array | None, *, reduction: str
) -> OpResult:
    """``-(target * log(x) + (1 - target) * log(1 - x))``, each logarithm at least -100."""
    check_floating(xp, "binary_cross_entropy", x)
    check_alike("binary_cross_entropy", x, target)
    if weight is not None:
        check_factor("weight", weight, x)
    floor, zero, one = xp.full_like(x, SMALLEST_LOG), x == 0, x == 1
    log_x = xp.where(zero, floor, xp.maximum(xp.log(xp.where(zero, xp.ones_like(x), x)), floor))
    log_rest = xp.where(one, floor, xp.maximum(xp.log1p(xp.where(one, xp.zeros_like(x), -x)), floor))
    plain = -(target * log_x + (1 - target) * log_rest)
    r, factor = reduce(xp, plain if weight is None else plain * weight, reduction)

    def scaled(g: Array) -> Array:
        return g * factor if weight is None else g * factor * weight

    def wrt_x(g: Array) -> Array:
        variance = xp.maximum(x * (1 - x), xp.full_like(x, SMALLEST_VARIANCE))
        return scaled(g) * (x - target) / variance

    return r, (wrt_x, lambda g: scaled(g) * (log_rest - log_x), lambda g: g * factor * plain)


def binary_cross_entropy_with_logits(
    xp: Namespace,
    x: Array,
    target: Array,
    weight: Array | None,
    pos_weight: Array | None,
    *,
    reduction: str,
) -> OpResult:
    """Cross entropy of ``sigmoid(x)`` and ``target``, without overflow for any finite ``x``.

    With ``l = 1 + (pos_weight - 1) * target`` it is ``(1 - target) * x + l * log(1 + exp(-x))``.
    """
    check_floating(xp, "binary_cross_entropy_with_logits", x)
    check_alike("binary_cross_entropy_with_logits", x, target)
    if weight is not None:
        check_factor("weight", weight, x)
    if pos_weight is not None:
        check_factor("pos_weight", pos_weight, x)
    cost = apply(xp, softplus, -x)
    raised = None if pos_weight is None else 1 + (pos_weight - 1) * target
    plain = (1 - target) * x + (cost if raised is None else raised * cost)
    r, factor = reduce(xp, plain if weight is None else plain * weight, reduction)

    def scaled(g: Array) -> Array:
        return g * factor if weight is None else g * factor * weight

    def wrt_x(g: Array) -> Array:
        if raised is None:
            return scaled(g) * (apply(xp, sigmoid, x) - target)
        return scaled(g) * ((1 - target) - raised * apply(xp, sigmoid, -x))

    def wrt_target(g: Array) -> Array:
        return scaled(g) * (-x if pos_weight is None else (pos_weight - 1) * cost - x)

    return r, (
        wrt_x,
        wrt_target,
        lambda g: g * factor * plain,
        lambda g: scaled(g) * target * cost,
    )


def cross_entropy(
    xp: Namespace,
    x: Array,
    target: Array,
    weight: Array | None,
    *,
    axis: int,
    ignore_index: int,
    label_smoothing: float,
    reduction: str,
) -> OpResult:
    """Cross entropy of ``softmax(x)`` and class indices.

    Parameters
    ----------
    x : Array
        Logits with the classes along ``axis``.
    target : Array
        Integers: the shape of ``x`` without ``axis``.
    weight : Array, optional
        One factor for each class. The mean is then the weighted one.
    ignore_index : int
        Targets of this value count for nothing.
    label_smoothing : float
        How much of the target is spread evenly over all classes.
    """
    check_floating(xp, "cross_entropy", x)
    classes = x.shape[axis]
    log_p = apply(xp, log_softmax, x, axis=axis)
    line = [1] * x.ndim
    line[axis] = classes
    places = xp.reshape(xp.arange(classes, dtype=target.dtype, device=device_of(target)), tuple(line))
    labels = xp.expand_dims(target, axis=axis)
    kept = xp.astype(labels != ignore_index, x.dtype)
    hits = xp.astype(places == labels, x.dtype) * kept
    unweighted = hits
    if label_smoothing:
        unweighted = hits * (1 - label_smoothing) + kept * (label_smoothing / classes)
    share, total = unweighted, xp.sum(hits)
    if weight is not None:
        weights = xp.reshape(weight, tuple(line))
        share, total = unweighted * weights, xp.sum(hits * weights)
    # A class that a logit of minus infinity forbids has a log_p of minus infinity; unless it is the target it
    # costs nothing.
    cost = xp.where(unweighted == 0, xp.zeros_like(log_p), -log_p)
    losses = xp.sum(share * cost, axis=axis)
    r = losses if reduction == "none" else xp.sum(losses)
    if reduction == "mean":
        nothing = total == 0  # every target is ignored: the mean is NaN, its gradient 0, without a warning
        total = xp.where(nothing, xp.ones_like(total), total)
        r = xp.where(nothing, xp.full_like(total, float("nan")), r / total)

    def scale(g: Array) -> Array:
        return (
            xp.expand_dims(g, axis=axis) if reduction == "none" else g / total if reduction == "mean" else g
        )

    def wrt_x(g: Array) -> Array:
        return scale(g) * (xp.exp(log_p) * xp.sum(share, axis=axis, keepdims=True) - share)

    def wrt_weight(g: Array) -> Array:
        slope = unweighted * cost
        if reduction == "mean":
            slope = slope - hits * r
        return _sum_but(xp, scale(g) * slope, axis)

    return r, (wrt_x, None, wrt_weight)


def soft_cross_entropy(
    xp: Namespace,
    x: Array,
    target: Array,
    weight: Array | None,
    *,
    axis: int,
    label_smoothing: float,
    reduction: str,
) -> OpResult:
    """Cross entropy of ``softmax(x)`` and class probabilities of the same shape; the mean is over all but ``axis``."""
    check_floating(xp, "cross_entropy", x)
    check_alike("cross_entropy with probabilities", x, target)
    classes = x.shape[axis]
    log_p = apply(xp, log_softmax, x, axis=axis)
    line = [1] * x.ndim
    line[axis] = classes
    weights = None if weight is None else xp.reshape(weight, tuple(line))
    share = target
    if label_smoothing:
        share = share * (1 - label_smoothing) + label_smoothing / classes
    unweighted = share
    if weights is not None:
        share = share * weights
    losses = -xp.sum(share * log_p, axis=axis)
    r, factor = reduce(xp, losses, reduction)

    def expanded(g: Array) -> Array:
        return (xp.expand_dims(g, axis=axis) if reduction == "none" else g) * factor

    def wrt_x(g: Array) -> Array:
        return expanded(g) * (xp.exp(log_p) * xp.sum(share, axis=axis, keepdims=True) - share)

    def wrt_target(g: Array) -> Array:
        slope = -log_p * (1 - label_smoothing)
        return expanded(g) * (slope if weights is None else slope * weights)

    def wrt_weight(g: Array) -> Array:
        return _sum_but(xp, expanded(g) * -(unweighted * log_p), axis)

    return r, (wrt_x, wrt_target, wrt_weight)


def _sum_but(xp: Namespace, x: Array, axis: int) -> Array:
    """The sum over all axes but one."""
    others = tuple(other for other in range(x.ndim) if other != axis)
    return xp.sum(x, axis=others) if others else x
