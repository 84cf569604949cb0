"""Faster NumPy functions for single ops; each has the signature and the contract of the op that it replaces.

What makes them faster: fewer calls, results written into arrays that are at hand, ``a.dot(b)`` and
``ufunc.reduce`` instead of their slower fronts, and constants as arrays without dimensions, since a Python
number is converted in every call.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from portanet.backend import Kernel
from portanet.ops import activations, losses
from portanet.ops.layers import check_linear
from portanet.ops.promotion import floating
from portanet.ops.scatter import Scatter, scatter_kernels
from portanet.protocols import Array, Namespace, OpResult
from portanet_numpy import attention, normalization, windows
from portanet_numpy.choice import only
from portanet_numpy.memory import keep_freed_memory
from portanet_numpy.optimizers import adam, sgd

__all__ = ["KERNELS"]

keep_freed_memory()

FLOATS = frozenset({"float32", "float64"})

add, subtract, multiply, divide, maximum = np.add, np.subtract, np.multiply, np.divide, np.maximum
add_reduce, maximum_reduce = np.add.reduce, np.maximum.reduce

_ZERO = {dtype: np.array(0, dtype) for dtype in (np.dtype("float32"), np.dtype("float64"))}


@lru_cache(maxsize=64)
def _ones(count: int, dtype: np.dtype[Any]) -> Array:
    """A row of ones: its product with a matrix is the cheapest way to sum columns. Never written to."""
    ones = np.ones(count, dtype)
    ones.flags.writeable = False
    return ones


def linear(xp: Namespace, input: Array, weight: Array, bias: Array | None = None) -> OpResult:
    """Affine map; the bias is added in place, and its gradient is a product with a row of ones."""
    if input.ndim == 2:
        # The cheap half of the check; a wrong number of features makes the product itself fail.
        dtype = weight.dtype
        if input.dtype is not dtype or weight.ndim != 2:
            check_linear(input, weight, bias)
        if bias is not None and (bias.dtype is not dtype or bias.ndim != 1 or len(bias) != len(weight)):
            check_linear(input, weight, bias)
        try:
            r = input.dot(weight.T)
        except ValueError:
            check_linear(input, weight, bias)
            raise
        if bias is not None:
            add(r, bias.reshape(()) if len(bias) == 1 else bias, r)
        return r, (
            lambda g: g.dot(weight),
            lambda g: g.T.dot(input),
            lambda g: _ones(len(g), g.dtype).dot(g),
        )
    check_linear(input, weight, bias)
    out_features, in_features = weight.shape
    rows = input.reshape(prod(input.shape[:-1]), in_features)
    r = rows.dot(weight.T)
    if bias is not None:
        add(r, bias, r)

    def as_rows(g: Array) -> Array:
        return g.reshape(len(rows), out_features)

    return r.reshape(*input.shape[:-1], out_features), (
        lambda g: as_rows(g).dot(weight).reshape(input.shape),
        lambda g: as_rows(g).T.dot(rows),
        lambda g: _ones(len(rows), g.dtype).dot(as_rows(g)),
    )


def tanh(xp: Namespace, x: Array) -> OpResult:
    """Hyperbolic tangent; its gradient ``g * (1 - r * r)`` needs no constant when written ``g - g * r * r``."""
    r = np.tanh(x if x.dtype.kind == "f" else floating(xp, x))

    def vjp(g: Array) -> Array:
        if r.ndim == 0:
            return g * (1 - r * r)
        slope = multiply(g, r)
        multiply(slope, r, slope)
        return subtract(g, slope, slope)

    return r, (vjp,)


def relu(xp: Namespace, x: Array) -> OpResult:
    """Rectified linear unit; the gradient is the cotangent with the bits of all that was cut off cleared."""
    r = maximum(x, 0)

    def vjp(g: Array) -> Array:
        if r.ndim == 0:
            return g * (r > 0)
        return only(r > 0, g)

    return r, (vjp,)


def gelu(xp: Namespace, x: Array, *, approximate: str) -> OpResult:
    """The approximate form, in place: the gate is ``1 / (1 + exp(-2 * u))``, whose power may become infinite."""
    cubic, steepness = x.dtype.type(activations.CUBIC), x.dtype.type(activations.STEEPNESS)
    bounded = np.clip(x, -30.0, 30.0)  # beyond it the gate is 0 or 1, and the cube could overflow
    gate = multiply(bounded, bounded)
    multiply(gate, cubic, gate)
    add(gate, 1, gate)
    multiply(gate, bounded, gate)
    multiply(gate, -steepness, gate)
    with np.errstate(over="ignore"):
        np.exp(gate, gate)
    add(gate, 1, gate)
    np.reciprocal(gate, gate)

    def vjp(g: Array) -> Array:
        slope = np.clip(x, -30.0, 30.0)
        rest = 1 - gate
        multiply(rest, gate, rest)
        multiply(rest, slope, rest)
        multiply(slope, slope, slope)
        multiply(slope, 3 * cubic, slope)
        add(slope, 1, slope)
        multiply(slope, rest, slope)
        multiply(slope, steepness, slope)
        add(slope, gate, slope)
        return multiply(slope, g, slope)

    return multiply(x, gate), (vjp,)


def _approximate_gelu(x: Array, *, approximate: str) -> bool:
    return approximate == "tanh" and x.ndim > 0


def binary_cross_entropy_with_logits(
    xp: Namespace,
    x: Array,
    target: Array,
    weight: Array | None,
    pos_weight: Array | None,
    *,
    reduction: str,
) -> OpResult:
    """The mean or sum without weights, ``softplus(x) - x * target``."""
    losses.check_alike("binary_cross_entropy_with_logits", x, target)
    softplus = np.logaddexp(_ZERO[x.dtype], x)
    terms = multiply(x, target)
    subtract(softplus, terms, terms)
    factor = 1 / x.size if reduction == "mean" else 1.0
    few = x.size <= 1024  # of many terms NumPy's own sum keeps the rounding small, as it adds them in pairs
    total = _ones(x.size, x.dtype).dot(terms.reshape(-1)) if few else add_reduce(terms, axis=None)
    r = total * factor

    def wrt_x(g: Array) -> Array:
        slope = subtract(x, softplus)
        np.exp(slope, slope)
        subtract(slope, target, slope)
        return multiply(slope, np.array(factor * float(g), slope.dtype), slope)

    return r, (wrt_x, lambda g: multiply(x, g * -factor), None, None)


def _plain_bce(
    x: Array, target: Array, weight: Array | None, pos_weight: Array | None, *, reduction: str
) -> bool:
    return weight is None and pos_weight is None and reduction != "none" and x.ndim > 0 and x.size > 0


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
    """The mean or sum over a batch of logits (batch, classes) without weights or smoothing."""
    batch, classes = x.shape
    # In C order whatever x is in, so that rows can be reached through one flat axis without a copy.
    shifted = subtract(x, maximum_reduce(x, axis=1, keepdims=True), order="C")
    p = np.exp(shifted)
    sums = p.dot(_ones(classes, x.dtype))
    divide(p, sums.reshape(batch, 1), p)
    places = np.arange(0, batch * classes, classes) + target
    kept = target != ignore_index
    count = batch
    losses_of_batch = np.log(sums)
    if kept.all():
        subtract(losses_of_batch, shifted.take(places), losses_of_batch)
        kept = None
    else:
        places = places[kept]
        count = len(places)
        losses_of_batch = losses_of_batch[kept] - shifted.take(places)
    factor = 1 / count if reduction == "mean" and count else 1.0 if reduction == "sum" else float("nan")
    r = add_reduce(losses_of_batch) * x.dtype.type(factor)

    def wrt_x(g: Array) -> Array:
        slope = p * (g * x.dtype.type(factor))
        flat = slope.reshape(-1)
        flat[places] -= g * x.dtype.type(factor)
        if kept is not None:
            slope[~kept] = 0
        return slope

    return r, (wrt_x, None, None)


def _plain_cross_entropy(
    x: Array,
    target: Array,
    weight: Array | None,
    *,
    axis: int,
    ignore_index: int,
    label_smoothing: float,
    reduction: str,
) -> bool:
    plain = weight is None and not label_smoothing and reduction != "none"
    return plain and x.ndim == 2 and x.shape[1] > 0 and x.dtype in _ZERO


def _add_at(whole: Array, key: Any, values: Array) -> Array:
    parts = key if isinstance(key, tuple) else (key,)
    if not any(isinstance(part, np.ndarray) and part.dtype != np.bool_ for part in parts):
        whole[key] += values
    elif len(parts) == 1 and parts[0].ndim == 1 and whole.ndim > 1 and len(parts[0]):
        _add_rows(whole, parts[0], values)
    else:
        np.add.at(whole, key, values)  # the only one that counts duplicates
    return whole


def _add_rows(whole: Array, indices: Array, values: Array) -> None:
    """Add rows, those of one place summed up first: ``np.add.at`` goes element by element."""
    if indices.min() < -len(whole) or indices.max() >= len(whole):
        raise IndexError(f"an index is out of bounds for axis 0 with size {len(whole)}")
    places = indices.astype(np.int64) % len(whole)  # which a narrow type could not count
    order = places.argsort(kind="stable")
    ordered = places[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    whole[ordered[starts]] += np.add.reduceat(
        np.broadcast_to(values, (len(order), *whole.shape[1:]))[order], starts
    )


def _replace(xp: Namespace, x: Array, key: Any, value: Any) -> Array:
    changed = np.array(x)
    changed[key] = value
    return changed


KERNELS: dict[str, Kernel] = {
    **scatter_kernels(Scatter(add=_add_at, replace=_replace)),
    **attention.KERNELS,
    **normalization.KERNELS,
    **windows.KERNELS,
    "gelu": Kernel(gelu, dtypes=FLOATS, accepts=_approximate_gelu),
    "linear": Kernel(linear, exact=True),
    "tanh": Kernel(tanh, exact=True),
    "relu": Kernel(relu, dtypes=FLOATS),
    "cross_entropy": Kernel(cross_entropy, accepts=_plain_cross_entropy),
    "binary_cross_entropy_with_logits": Kernel(
        binary_cross_entropy_with_logits, dtypes=FLOATS, accepts=_plain_bce
    ),
    "adam": Kernel(adam),
    "sgd": Kernel(sgd),
}
