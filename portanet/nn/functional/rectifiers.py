"""Rectifiers and other activations that are lines, at least on one side of zero.

``inplace`` is there for PyTorch's signatures: arrays are never changed in place.
"""

from __future__ import annotations

from typing import Any

from portanet.backend import require_backend_of
from portanet.checks import check_number
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.functions.manipulation import reshape
from portanet.nn.functional.drawing import uniform_like
from portanet.ops import activations
from portanet.protocols import Array
from portanet.random import Generator
from portanet.tensor import lift, unwrap

__all__ = [
    "celu",
    "elu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "prelu",
    "relu6",
    "rrelu",
    "selu",
    "softshrink",
    "threshold",
]

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946

_leaky_relu = lift(activations.leaky_relu)
_prelu = lift(activations.prelu)
_elu = lift(activations.elu)
_hardtanh = lift(activations.hardtanh)
_hardsigmoid = lift(activations.hardsigmoid)
_hardswish = lift(activations.hardswish)
_hardshrink = lift(activations.hardshrink)
_softshrink = lift(activations.softshrink)
_threshold = lift(activations.threshold)


def relu6(input: Array, inplace: bool = False) -> Any:
    """``min(max(x, 0), 6)``; the gradient at 0 and 6 is 0."""
    return _hardtanh(input, min_val=0.0, max_val=6.0)


def leaky_relu(input: Array, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """``x`` if positive, else ``negative_slope * x``."""
    check_number("negative_slope", negative_slope)
    return _leaky_relu(input, negative_slope=float(negative_slope))


def prelu(input: Array, weight: Array) -> Any:
    """``x`` if positive, else ``weight * x``, with a slope that is learnt (He et al., 2015).

    Parameters
    ----------
    input : Array
        Any shape; the channels are axis 1.
    weight : Array
        One slope, shape () or (1,); or one for each channel, shape (channels,).

    Examples
    --------
    >>> pn.nn.functional.prelu(pn.asarray([[-2.0, -2.0, 3.0]]), pn.asarray([0.5, 0.25, 0.0]))
    Tensor([[-1. , -0.5,  3. ]])
    """
    x, slopes = unwrap(input), unwrap(weight)
    one, other = require_backend_of(x, "input"), require_backend_of(slopes, "weight")
    if one is other and x.dtype != slopes.dtype:
        raise DTypeError(
            f"weight: prelu expects the input's data type {x.dtype}, got {slopes.dtype}. "
            "Convert the input with portanet.astype(input, weight.dtype)."
        )
    ndim = len(x.shape)
    channels = x.shape[1] if ndim > 1 else 1
    shape = tuple(slopes.shape)
    if shape not in ((), (1,), (channels,)):
        raise ShapeError(
            f"weight: prelu expects one slope, or one for each of the {channels} channels on axis 1 of an input of "
            f"shape {tuple(x.shape)}; got shape {shape}."
        )
    line = (1, -1) + (1,) * (ndim - 2) if ndim > 1 else (1,) * ndim
    return _prelu(input, reshape(weight, line))


def rrelu(
    input: Array,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """Leaky rectifier whose slope, for each element, is drawn from ``[lower, upper)`` in training.

    Without training the slope is the mean of the two (Xu et al., "Empirical evaluation of rectified activations in
    convolutional network", 2015).

    Parameters
    ----------
    input : Array
        Any shape.
    lower, upper : float
        The range of slopes.
    training : bool, default False
        Whether to draw.
    inplace : bool
        No effect.
    generator : Generator, optional
        Default: the one that :func:`portanet.manual_seed` seeds.
    """
    check_number("lower", lower)
    check_number("upper", upper)
    if lower > upper:
        raise OptionError(f"upper: rrelu expects at least lower={lower}, got {upper}.")
    if not training:
        return _leaky_relu(input, negative_slope=(lower + upper) / 2)
    return _prelu(input, uniform_like("rrelu", input, float(lower), float(upper), generator))


def elu(input: Array, alpha: float = 1.0, inplace: bool = False) -> Any:
    """``x`` if positive, else ``alpha * (exp(x) - 1)`` (Clevert, Unterthiner and Hochreiter, 2016)."""
    check_number("alpha", alpha)
    return _elu(input, alpha=float(alpha), scale=1.0, input_scale=1.0)


def selu(input: Array, inplace: bool = False) -> Any:
    """:func:`elu` with the two constants that keep mean and variance (Klambauer et al., 2017).

    Examples
    --------
    >>> pn.nn.functional.selu(pn.asarray([0.0, 1.0]))
    Tensor([0.      , 1.050701])
    """
    return _elu(input, alpha=SELU_ALPHA, scale=SELU_SCALE, input_scale=1.0)


def celu(input: Array, alpha: float = 1.0, inplace: bool = False) -> Any:
    """``x`` if positive, else ``alpha * (exp(x / alpha) - 1)``, smooth for every ``alpha`` (Barron, 2017)."""
    check_number("alpha", alpha)
    if alpha == 0:
        raise OptionError("alpha: celu divides by it, so it must not be 0. Use relu, which is the limit.")
    return _elu(input, alpha=float(alpha), scale=1.0, input_scale=1 / alpha)


def threshold(input: Array, threshold: float, value: float, inplace: bool = False) -> Any:
    """``x`` above the threshold, ``value`` elsewhere."""
    return _threshold(input, threshold=float(threshold), value=float(value))


def hardtanh(input: Array, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """``x`` limited to the range from ``min_val`` to ``max_val``; the gradient at its ends is 0."""
    if not min_val <= max_val:
        raise OptionError(f"max_val: hardtanh expects at least min_val={min_val}, got {max_val}.")
    return _hardtanh(input, min_val=float(min_val), max_val=float(max_val))


def hardsigmoid(input: Array, inplace: bool = False) -> Any:
    """``x / 6 + 1 / 2``, limited to the range from 0 to 1."""
    return _hardsigmoid(input)


def hardswish(input: Array, inplace: bool = False) -> Any:
    """``x * hardsigmoid(x)`` (Howard et al., "Searching for MobileNetV3", 2019)."""
    return _hardswish(input)


def hardshrink(input: Array, lambd: float = 0.5) -> Any:
    """``x``, but 0 from ``-lambd`` to ``lambd``."""
    return _hardshrink(input, lambd=float(lambd))


def softshrink(input: Array, lambd: float = 0.5) -> Any:
    """``x`` moved towards 0 by ``lambd``, and 0 where that would pass it.

    Examples
    --------
    >>> pn.nn.functional.softshrink(pn.asarray([-2.0, 0.25, 1.0]))
    Tensor([-1.5,  0. ,  0.5])
    """
    check_number("lambd", lambd, low=0.0)
    return _softshrink(input, lambd=float(lambd))
