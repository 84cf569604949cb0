"""What ops compute that NumPy has no function for, as formulas in NumPy: the plain ones, stable or not."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "astype",
    "bce_with_logits",
    "binary_cross_entropy",
    "clip",
    "cross_entropy",
    "getitem",
    "has_several",
    "index_add",
    "linear",
    "log_softmax",
    "mse_loss",
    "reduced",
    "relu",
    "setitem",
    "sigmoid",
    "soft_cross_entropy",
    "softmax",
    "softplus",
    "std",
    "var",
]


def astype(x: Any, *, dtype: str, copy: bool = True) -> Any:
    return np.astype(x, dtype, copy=copy)


def clip(x: Any, low: Any, high: Any) -> Any:
    return np.clip(x, low, high)


def getitem(x: Any, *, key: Any) -> Any:
    return x[key]


def setitem(x: Any, value: Any, *, key: Any) -> Any:
    r = x.copy()
    r[key] = value
    return r


def index_add(x: Any, indices: Any, values: Any, *, axis: int = 0) -> Any:
    r = np.moveaxis(x.copy(), axis, 0)
    np.add.at(r, indices, np.moveaxis(values, axis, 0))
    return np.moveaxis(r, 0, axis)


def var(x: Any, *, correction: float = 0.0, **options: Any) -> Any:
    return np.var(x, ddof=correction, **options)


def std(x: Any, *, correction: float = 0.0, **options: Any) -> Any:
    return np.std(x, ddof=correction, **options)


def has_several(sample: Any) -> bool:
    """Whether more than one element flows into each result: the standard deviation of one number has a kink."""
    x = sample.draws[0](np.random.default_rng(0))
    options = {name: value for name, value in sample.options.items() if name != "correction"}
    return bool(np.all(np.sum(np.ones_like(x), **options) > 1))


def linear(x: Any, weight: Any, bias: Any) -> Any:
    r = np.einsum("...i,oi->...o", x, weight)
    return r if bias is None else r + bias


def relu(x: Any) -> Any:
    return np.where(x > 0, x, 0.0)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def softplus(x: Any) -> Any:
    return np.log(1 + np.exp(x))


def softmax(x: Any, *, axis: int) -> Any:
    return np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)


def log_softmax(x: Any, *, axis: int) -> Any:
    return np.log(softmax(x, axis=axis))


def reduced(losses: Any, reduction: str) -> Any:
    return {"none": lambda: losses, "mean": lambda: np.mean(losses), "sum": lambda: np.sum(losses)}[
        reduction
    ]()


def mse_loss(x: Any, target: Any, *, reduction: str) -> Any:
    return reduced((x - target) ** 2, reduction)


def binary_cross_entropy(x: Any, target: Any, weight: Any, *, reduction: str) -> Any:
    losses = -(target * np.log(x) + (1 - target) * np.log(1 - x))
    return reduced(losses if weight is None else losses * weight, reduction)


def bce_with_logits(x: Any, target: Any, weight: Any, pos_weight: Any, *, reduction: str) -> Any:
    positive = 1 if pos_weight is None else pos_weight
    losses = -(positive * target * np.log(sigmoid(x)) + (1 - target) * np.log(1 - sigmoid(x)))
    return reduced(losses if weight is None else losses * weight, reduction)


def soft_cross_entropy(
    x: Any, target: Any, weight: Any, *, axis: int, label_smoothing: float, reduction: str
) -> Any:
    """Line by line, as one would write it on paper."""
    rows = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])
    goals = np.moveaxis(target, axis, -1).reshape(rows.shape)
    factors = np.ones(x.shape[axis]) if weight is None else weight
    losses = []
    for row, goal in zip(rows, goals, strict=True):
        smooth = goal * (1 - label_smoothing) + label_smoothing / len(row)
        losses.append(-np.sum(factors * smooth * log_softmax(row, axis=0)))
    shape = tuple(np.delete(x.shape, axis))
    return reduced(np.reshape(np.asarray(losses), shape), reduction)


def cross_entropy(
    x: Any,
    target: Any,
    weight: Any,
    *,
    axis: int,
    ignore_index: int,
    label_smoothing: float,
    reduction: str,
) -> Any:
    """Line by line, as one would write it on paper."""
    rows = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])
    factors = np.ones(x.shape[axis]) if weight is None else weight
    losses, total = [], 0.0
    for row, label in zip(rows, np.ravel(target), strict=True):
        if label == ignore_index:
            losses.append(0.0)
            continue
        log_p = log_softmax(row, axis=0)
        spread = np.sum(factors * log_p) / len(row)
        losses.append(-(1 - label_smoothing) * factors[label] * log_p[label] - label_smoothing * spread)
        total += factors[label]
    if reduction == "mean":
        return np.sum(losses) / total
    return reduced(np.reshape(np.asarray(losses), np.shape(target)), reduction)
