"""Primitives of neural-network layers: the affine map and the common activations."""

from __future__ import annotations

from math import prod

from portanet.errors import DTypeError, ShapeError
from portanet.ops.composition import apply, recorded
from portanet.ops.promotion import floating
from portanet.protocols import Array, Namespace, OpResult
from portanet.requirements import place_of_axis

__all__ = ["linear", "log_softmax", "relu", "sigmoid", "softmax", "softplus"]


def linear(xp: Namespace, input: Array, weight: Array, bias: Array | None = None) -> OpResult:
    """Affine map ``input @ weight.T + bias``.

    Parameters
    ----------
    input : Array
        Shape (..., in_features).
    weight : Array
        Shape (out_features, in_features).
    bias : Array, optional
        Shape (out_features,).

    Returns
    -------
    Array
        Shape (..., out_features).
    """
    check_linear(input, weight, bias)
    out_features, in_features = weight.shape
    leading = input.shape[:-1]
    rows = input if input.ndim == 2 else xp.reshape(input, (prod(leading), in_features))
    r = rows @ xp.matrix_transpose(weight)  # (rows, in) @ (in, out)
    if bias is not None:
        r = r + bias
    if input.ndim != 2:
        r = xp.reshape(r, (*leading, out_features))

    def as_rows(g: Array) -> Array:
        return g if input.ndim == 2 else xp.reshape(g, (prod(leading), out_features))

    return r, (
        lambda g: g @ weight,  # (..., out) @ (out, in)
        lambda g: xp.matrix_transpose(as_rows(g)) @ rows,  # (out, rows) @ (rows, in)
        lambda g: xp.sum(as_rows(g), axis=0),
    )


def check_linear(x: Array, weight: Array, bias: Array | None) -> None:
    """Raise unless the shapes and data types of an affine map go together."""
    dtype = weight.dtype
    if (
        x.shape[-1:] == weight.shape[1:]
        and x.dtype is dtype
        and (bias is None or (bias.shape == weight.shape[:1] and bias.dtype is dtype))
        and weight.ndim == 2
    ):
        return
    if weight.ndim != 2:
        raise ShapeError(
            f"weight: linear expects shape (out_features, in_features), got {tuple(weight.shape)}."
        )
    if not x.shape or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"input: linear expects {weight.shape[1]} features on the last axis, as weight has shape "
            f"{tuple(weight.shape)}; got an input of shape {tuple(x.shape)}."
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(
            f"bias: linear expects shape ({weight.shape[0]},), one for each output feature, got {tuple(bias.shape)}."
        )
    for name, operand in (("input", x), ("bias", bias)):
        if operand is not None and operand.dtype != dtype:
            raise DTypeError(
                f"{name}: linear expects the data type of weight, {dtype}, got {operand.dtype}. Convert the input "
                "with portanet.astype(x, portanet.float32), or the model with model.to(portanet.float64)."
            )


def relu(xp: Namespace, x: Array) -> OpResult:
    """Rectified linear unit ``max(x, 0)``; the gradient at 0 is 0."""
    r = xp.maximum(x, xp.zeros_like(x))
    return r, (lambda g: xp.where(x > 0, g, xp.zeros_like(g)),)


def sigmoid(xp: Namespace, input: Array) -> OpResult:
    """Logistic function ``1 / (1 + exp(-input))``, without overflow for any finite ``input``."""
    input = floating(xp, input)
    function = recorded(xp, sigmoid)
    # Two exponentials are cheaper than one and a choice by sign, which processors cannot foresee.
    r = (
        function(input)
        if function
        else xp.exp(xp.minimum(input, xp.zeros_like(input))) / (1 + xp.exp(-xp.abs(input)))
    )
    return r, (lambda g: g * (r * (1 - r)),)


def softplus(xp: Namespace, x: Array) -> OpResult:
    """``log(1 + exp(x))``, without overflow."""
    x = floating(xp, x)
    r = xp.maximum(x, xp.zeros_like(x)) + xp.log1p(xp.exp(-xp.abs(x)))
    return r, (lambda g: g * apply(xp, sigmoid, x),)


def softmax(xp: Namespace, x: Array, *, axis: int) -> OpResult:
    """``exp(x) / sum(exp(x))`` along one axis, without overflow."""
    if not x.ndim:
        place_of_axis("softmax", axis, 0)
    x = floating(xp, x)
    function = recorded(xp, softmax)
    if function is not None:
        r = function(x, axis=axis)
    else:
        weights = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
        r = weights / xp.sum(weights, axis=axis, keepdims=True)
    return r, (lambda g: r * (g - xp.sum(g * r, axis=axis, keepdims=True)),)


def log_softmax(xp: Namespace, x: Array, *, axis: int) -> OpResult:
    """Logarithm of :func:`softmax`, exact where a probability underflows."""
    if not x.ndim:
        place_of_axis("log_softmax", axis, 0)
    x = floating(xp, x)
    function = recorded(xp, log_softmax)
    if function is not None:
        r = function(x, axis=axis)
    else:
        shifted = x - xp.max(x, axis=axis, keepdims=True)
        r = shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))
    return r, (lambda g: g - xp.exp(r) * xp.sum(g, axis=axis, keepdims=True),)
