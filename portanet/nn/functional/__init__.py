"""Layers, activations and losses as functions: of Tensors, and of raw arrays, which record nothing."""

from __future__ import annotations

from portanet.nn.functional.activation import log_softmax, relu, sigmoid, softmax, softplus, tanh
from portanet.nn.functional.linear import linear
from portanet.nn.functional.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    mse_loss,
)

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "linear",
    "log_softmax",
    "mse_loss",
    "relu",
    "sigmoid",
    "softmax",
    "softplus",
    "tanh",
]
