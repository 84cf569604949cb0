"""Dropout: elements or whole channels set to 0 at random."""

from __future__ import annotations

import warnings
from math import prod, sqrt
from typing import Any

from portanet.backend import require_backend_of
from portanet.checks import check_number
from portanet.errors import DTypeError, ShapeError
from portanet.functions.elementwise import add, multiply
from portanet.philox import random_words
from portanet.protocols import Array
from portanet.random import Generator, default_generator
from portanet.tensor import as_native, unwrap

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]

ALPHA = 1.7580993408473766
"""The product of SELU's two constants: minus what SELU tends to for large negative numbers."""


def dropout(
    input: Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """Set each element to 0 with probability ``p``, and scale the others by ``1 / (1 - p)``.

    For one seed the same elements are dropped on every backend. A ``p`` that is no multiple of 1 / 256 is rounded to
    one of 1 / 65536, nearer to 0 or 1 than 1 / 256 to one of 2 ** -32.

    Parameters
    ----------
    input : Array
        Any shape, floating-point.
    p : float, default 0.5
        From 0 to 1.
    training : bool, default True
        False returns the input.
    inplace : bool, default False
        For the signature's sake: arrays are never changed in place.
    generator : Generator, optional
        Default: the one that :func:`portanet.manual_seed` seeds.

    Raises
    ------
    OptionError, DTypeError
        If ``p`` is no probability, or the input is not floating-point.

    References
    ----------
    Srivastava and others, "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    Examples
    --------
    >>> x = pn.nn.functional.dropout(pn.ones((1000,)), 0.75)
    >>> sorted({*x.tolist()})
    [0.0, 4.0]
    """
    return _drop("dropout", input, p, training, tuple(unwrap(input).shape), generator)


def dropout1d(
    input: Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """Like :func:`dropout` for whole channels of an input of shape (batch, channels, length) or (channels, length)."""
    shape = tuple(unwrap(input).shape)
    if len(shape) not in (2, 3):
        raise ShapeError(
            f"input: dropout1d expects shape (batch, channels, length) or (channels, length), got {shape}."
        )
    return _drop("dropout1d", input, p, training, (*shape[:-1], 1), generator)


def dropout2d(
    input: Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """Like :func:`dropout` for whole channels of an input of shape (batch, channels, height, width).

    As in PyTorch an input with three axes is taken for (batch, channels, length), with a warning.

    References
    ----------
    Tompson and others, "Efficient object localization using convolutional networks", 2015 (arXiv 1411.4280).
    """
    shape = _shape_with_channels("dropout2d", input)
    if len(shape) != 4:
        warnings.warn(
            f"dropout2d expects 4 axes and got shape {shape}; its first two are taken for batch and channels. Use "
            "dropout1d or dropout3d.",
            stacklevel=2,
        )
    return _drop("dropout2d", input, p, training, _of_channels(shape), generator)


def dropout3d(
    input: Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """Like :func:`dropout` for whole channels of an input of shape (batch, channels, depth, height, width).

    An input with four axes is one example, (channels, depth, height, width).
    """
    shape = _shape_with_channels("dropout3d", input)
    if len(shape) not in (4, 5):
        warnings.warn(
            f"dropout3d expects 4 or 5 axes and got shape {shape}; its first two are taken for batch and channels. "
            "Use dropout1d or dropout2d.",
            stacklevel=2,
        )
    kept = (shape[0], 1, 1, 1) if len(shape) == 4 else _of_channels(shape)
    return _drop("dropout3d", input, p, training, kept, generator)


def alpha_dropout(
    input: Array,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """Dropout that keeps mean 0 and variance 1: elements become SELU's limit, then all are scaled and shifted.

    With ``a = 1 / sqrt((1 - p) * (1 + p * alpha ** 2))`` and ``alpha = 1.7581`` an element ``x`` becomes
    ``a * (x + alpha * p)`` or, if it is dropped, ``-a * alpha * (1 - p)``. With ``p`` of 1 all become 0.

    Parameters
    ----------
    input : Array
        Any shape, floating-point.
    p : float, default 0.5
        From 0 to 1.
    training : bool, default False
        False returns the input.
    inplace : bool, default False
        For the signature's sake: arrays are never changed in place.
    generator : Generator, optional
        Default: the one that :func:`portanet.manual_seed` seeds.

    References
    ----------
    Klambauer and others, "Self-normalizing neural networks", 2017 (arXiv 1706.02515).
    """
    return _drop("alpha_dropout", input, p, training, tuple(unwrap(input).shape), generator, alpha=ALPHA)


def feature_alpha_dropout(
    input: Array,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """Like :func:`alpha_dropout` for whole channels of an input of shape (batch, channels, ...)."""
    shape = _shape_with_channels("feature_alpha_dropout", input)
    return _drop("feature_alpha_dropout", input, p, training, _of_channels(shape), generator, alpha=ALPHA)


def _shape_with_channels(function: str, input: Array) -> tuple[int, ...]:
    shape = tuple(unwrap(input).shape)
    if len(shape) < 2:
        raise ShapeError(f"input: {function} expects axes of the batch and of channels, got shape {shape}.")
    return shape


def _of_channels(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[:2], *(1,) * (len(shape) - 2))


def _drop(
    function: str,
    input: Array,
    p: float,
    training: bool,
    shape: tuple[int, ...],
    generator: Generator | None,
    alpha: float = 0.0,
) -> Any:
    """Multiply by a mask of this shape, which broadcasts to the input's, and with ``alpha`` shift."""
    check_number("p", p, low=0.0, high=1.0)
    x = unwrap(input)
    backend = require_backend_of(x, "input")
    if not backend.dtype_of(x).is_floating:
        raise DTypeError(
            f"input: {function} expects a floating-point type, got {backend.dtype_of(x).name}. "
            "Convert it with portanet.astype(input, portanet.float32)."
        )
    if not training or p == 0 or 0 in x.shape:
        return input
    if p == 1:
        return multiply(input, 0.0)
    seed, stream = (generator or default_generator).next_stream()
    kept = as_native(_kept(seed, stream, shape, p), None, backend.device_of(x), None)
    kept = backend.namespace.astype(kept, x.dtype)
    if not alpha:
        return multiply(input, kept * (1 / (1 - p)))
    scale = 1 / sqrt((1 + alpha * alpha * p) * (1 - p))
    return add(multiply(input, kept * scale), (kept - 1) * (alpha * scale) + alpha * scale * p)


def _kept(seed: int, stream: int, shape: tuple[int, ...], p: float) -> Any:
    """Which elements stay, as a host array of booleans; of as few random bits each as tell ``p`` well enough."""
    coarse, near_an_end = (p * 2**8) % 1 == 0, min(p, 1 - p) < 2**-8
    bits = 8 if coarse else 32 if near_an_end else 16
    count = prod(shape)
    words = random_words(seed, stream, -(-count * bits // 32))
    numbers = words.astype("<u4", copy=False).view(f"<u{bits // 8}")[:count]
    return (numbers >= min(round(p * 2**bits), 2**bits - 1)).reshape(shape)
