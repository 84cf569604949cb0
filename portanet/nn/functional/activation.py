"""The common activations, the softmax family and its random sample; rectifiers and gates have files of their own."""

from __future__ import annotations

from typing import Any

from portanet.backend import require_backend_of
from portanet.checks import check_number
from portanet.dtypes import DType
from portanet.errors import ShapeError
from portanet.functions.elementwise import log, negative, where
from portanet.functions.elementwise import tanh as _tanh
from portanet.functions.manipulation import astype
from portanet.nn.functional.drawing import uniform_like
from portanet.ops import activations, layers
from portanet.ops.promotion import device_of
from portanet.protocols import Array
from portanet.random import Generator
from portanet.tensor import lift, unwrap

__all__ = [
    "gumbel_softmax",
    "log_softmax",
    "logsigmoid",
    "relu",
    "sigmoid",
    "softmax",
    "softmin",
    "softplus",
    "softsign",
    "tanh",
    "tanhshrink",
]

logsigmoid = lift(activations.logsigmoid)
sigmoid = lift(layers.sigmoid)
softsign = lift(activations.softsign)
_relu = lift(layers.relu)
_softplus = lift(layers.softplus)
_softmax = lift(layers.softmax)
_log_softmax = lift(layers.log_softmax)


def relu(input: Array, inplace: bool = False) -> Any:
    """``max(x, 0)``; the gradient at 0 is 0. ``inplace`` has no effect: arrays are never changed in place."""
    return _relu(input)


def softplus(input: Array, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """``log(1 + exp(beta * x)) / beta``, and ``x`` itself where ``beta * x`` is above the threshold.

    Examples
    --------
    >>> pn.nn.functional.softplus(pn.asarray([0.0, 30.0]))
    Tensor([ 0.6931472, 30.       ])
    """
    check_number("beta", beta)
    if beta == 1:
        return where(input > threshold, input, _softplus(input))
    scaled = input * float(beta)
    return where(scaled > threshold, input, _softplus(scaled) / float(beta))


def tanh(input: Array) -> Any:
    """Hyperbolic tangent; as :func:`portanet.tanh`, with PyTorch's name for its argument."""
    return _tanh(input)


def tanhshrink(input: Array) -> Any:
    """``x - tanh(x)``."""
    return input - _tanh(input)


def softmax(input: Array, dim: int, *, dtype: DType | None = None) -> Any:
    """``exp(x) / sum(exp(x))`` along the axis ``dim``; any shape that has it.

    Parameters
    ----------
    input : Array
        Any shape that has the axis.
    dim : int
        The axis whose values sum to 1.
    dtype : DType, optional
        Convert the input to this type first.

    Examples
    --------
    >>> pn.nn.functional.softmax(pn.zeros((1, 2)), dim=1)
    Tensor([[0.5, 0.5]])
    """
    return _softmax(_prepared("softmax", input, dim, dtype), axis=dim)


def softmin(input: Array, dim: int, *, dtype: DType | None = None) -> Any:
    """:func:`softmax` of ``-x``."""
    return _softmax(negative(_prepared("softmin", input, dim, dtype)), axis=dim)


def log_softmax(input: Array, dim: int, *, dtype: DType | None = None) -> Any:
    """Logarithm of :func:`softmax`, exact where a probability underflows."""
    return _log_softmax(_prepared("log_softmax", input, dim, dtype), axis=dim)


def gumbel_softmax(
    logits: Array,
    tau: float = 1.0,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
    *,
    generator: Generator | None = None,
) -> Any:
    """Sample from the Gumbel-softmax distribution: a choice by ``logits`` that lets gradients through.

    It is ``softmax((logits + noise) / tau)``, where the noise has Gumbel's distribution (Jang, Gu and Poole,
    "Categorical reparameterization with Gumbel-softmax", 2017).

    Parameters
    ----------
    logits : Array
        Logarithms of probabilities, up to a constant.
    tau : float, default 1
        The temperature: the lower it is, the nearer the sample comes to a choice of one.
    hard : bool, default False
        Return the choice itself, 1 at one place and 0 elsewhere, with the gradient of the soft sample.
    eps : float
        For PyTorch's signature only; it has no effect, as there.
    dim : int, default -1
        The axis of choices.
    generator : Generator, optional
        Default: the one that :func:`portanet.manual_seed` seeds.

    Examples
    --------
    >>> pn.nn.functional.gumbel_softmax(pn.asarray([0.0, 100.0]), hard=True)
    Tensor([0., 1.])
    """
    check_number("tau", tau)
    _check_axis("gumbel_softmax", logits, dim)
    smallest = 2.0**-25  # half a step of the generator's, so that the logarithm is finite
    draws = uniform_like("gumbel_softmax", logits, smallest, 1.0, generator)
    noise = negative(log(negative(log(draws))))
    soft = _softmax((logits + noise) / float(tau), axis=dim)
    if not hard:
        return soft
    values = unwrap(soft)
    return (soft - values) + _one_at_the_largest(values, dim)  # where the difference is 0, but has a gradient


def _one_at_the_largest(x: Array, dim: int) -> Array:
    """1 at the first of the largest values along an axis, 0 elsewhere; of a raw array."""
    xp = require_backend_of(x, "logits").namespace
    best = xp.argmax(x, axis=dim, keepdims=True)
    line = [1] * x.ndim
    line[dim] = x.shape[dim]
    places = xp.reshape(xp.arange(x.shape[dim], dtype=best.dtype, device=device_of(best)), tuple(line))
    return xp.astype(places == best, x.dtype)


def _prepared(function: str, input: Array, dim: int, dtype: DType | None) -> Array:
    _check_axis(function, input, dim)
    return input if dtype is None else astype(input, dtype)


def _check_axis(function: str, input: Array, dim: int) -> None:
    ndim = len(unwrap(input).shape)
    if not -ndim <= dim < ndim:
        raise ShapeError(
            f"dim: {function} got axis {dim} for an input of shape {tuple(input.shape)}. Give a single example as a "
            "batch of one, x.reshape(1, -1), or pass dim=-1 for the last axis."
        )
