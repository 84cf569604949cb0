"""Activations."""

from __future__ import annotations

from typing import Any

from portanet.errors import ShapeError
from portanet.functions.elementwise import tanh
from portanet.ops import layers
from portanet.protocols import Array
from portanet.tensor import lift, unwrap

__all__ = ["log_softmax", "relu", "sigmoid", "softmax", "softplus", "tanh"]

relu = lift(layers.relu)
sigmoid = lift(layers.sigmoid)
softplus = lift(layers.softplus)
_softmax = lift(layers.softmax)
_log_softmax = lift(layers.log_softmax)


def softmax(input: Array, dim: int) -> Any:
    """``exp(x) / sum(exp(x))`` along the axis ``dim``; any shape that has it.

    Examples
    --------
    >>> pn.nn.functional.softmax(pn.zeros((1, 2)), dim=1)
    Tensor([[0.5, 0.5]])
    """
    _check_axis("softmax", input, dim)
    return _softmax(input, axis=dim)


def log_softmax(input: Array, dim: int) -> Any:
    """Logarithm of :func:`softmax`, exact where a probability underflows."""
    _check_axis("log_softmax", input, dim)
    return _log_softmax(input, axis=dim)


def _check_axis(function: str, input: Array, dim: int) -> None:
    ndim = len(unwrap(input).shape)
    if not -ndim <= dim < ndim:
        raise ShapeError(
            f"dim: {function} got axis {dim} for an input of shape {tuple(input.shape)}. Give a single example as a "
            "batch of one, x.reshape(1, -1), or pass dim=-1 for the last axis."
        )
