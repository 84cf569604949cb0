"""Normalisation: of the batch, of layers, groups, instances, and of neighbouring channels."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

from portanet.backend import require_backend_of
from portanet.checks import check_number, whole_number
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.functions.elementwise import add, divide, multiply, sqrt, subtract
from portanet.functions.elementwise import pow as power
from portanet.functions.manipulation import concat, reshape
from portanet.graph import Version
from portanet.lifting import lift_several
from portanet.ops import normalization
from portanet.ops.promotion import device_of
from portanet.protocols import Array
from portanet.tensor import Tensor, lift, unwrap

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "rebind",
    "rms_norm",
]

_normalize = lift(normalization.normalize)
_normalize_with_statistics = lift_several(normalization.normalize_with_statistics)


def batch_norm(
    input: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float | Array = 0.1,
    eps: float = 1e-5,
) -> Any:
    """``(input - mean) / sqrt(variance + eps) * weight + bias`` for each channel.

    Parameters
    ----------
    input : Array
        Shape (batch, channels, ...).
    running_mean, running_var : Array or None
        Shape (channels,). With ``training`` they move towards the batch's mean and unbiased variance: Tensors take on
        new values, without a graph; raw arrays stay as they are. Without ``training`` they are the statistics.
    weight, bias : Array, optional
        Shape (channels,).
    training : bool, default False
        Take mean and biased variance over the batch and all axes behind the channels.
    momentum : float, default 0.1
        How far the running statistics move; a raw array without axes does as well.
    eps : float, default 1e-5
        Added to the variance.

    Raises
    ------
    ShapeError, DTypeError, OptionError
        If the arguments do not fit together, or with ``training`` if a channel has a single value.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization", 2015 (arXiv 1502.03167).

    Examples
    --------
    >>> pn.nn.functional.batch_norm(pn.asarray([[1.0], [3.0]]), None, None, training=True, eps=0.0)
    Tensor([[-1.],
            [ 1.]])
    """
    x = _checked_input("batch_norm", input, 2, "(batch, channels, ...)", eps)
    shape = tuple(x.shape)
    channels = shape[1:2]
    given = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    _check_alike("batch_norm", x, channels, given)
    line = (*channels, *(1,) * (len(shape) - 2))
    weight, bias = _in_line(weight, line), _in_line(bias, line)
    if not training:
        return _with_running(
            "batch_norm", "training=True", input, running_mean, running_var, weight, bias, line, eps
        )
    count = shape[0] * prod(shape[2:])
    if count == 1:
        raise ShapeError(
            f"input: batch_norm with training=True expects more than one value for each channel, got shape {shape}. "
            "Use larger batches (DataLoader(..., drop_last=True)), or model.eval() to use the running statistics."
        )
    axes = (0, *range(2, len(shape)))
    r, mean, variance = _normalize_with_statistics(input, weight, bias, axes=axes, eps=eps)
    if count:
        _move(running_mean, mean, channels, momentum, 1.0)
        _move(running_var, variance, channels, momentum, count / (count - 1))
    return r


def instance_norm(
    input: Array,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    weight: Array | None = None,
    bias: Array | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Like :func:`batch_norm`, with a mean and a variance for each channel of each example.

    Parameters
    ----------
    input : Array
        Shape (batch, channels, ...), with one axis or more behind the channels.
    running_mean, running_var : Array, optional
        Shape (channels,). They move towards the mean over the batch of what the examples have.
    weight, bias : Array, optional
        Shape (channels,).
    use_input_stats : bool, default True
        False uses the running statistics.
    momentum : float, default 0.1
        How far the running statistics move.
    eps : float, default 1e-5
        Added to the variance.

    References
    ----------
    Ulyanov, Vedaldi and Lempitsky, "Instance normalization", 2016 (arXiv 1607.08022).
    """
    x = _checked_input("instance_norm", input, 2, "(batch, channels, ...)", eps)
    shape = tuple(x.shape)
    channels = shape[1:2]
    given = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    _check_alike("instance_norm", x, channels, given)
    line = (*channels, *(1,) * (len(shape) - 2))
    weight, bias = _in_line(weight, line), _in_line(bias, line)
    if not use_input_stats:
        return _with_running(
            "instance_norm", "use_input_stats=True", input, running_mean, running_var, weight, bias, line, eps
        )
    count = prod(shape[2:])
    if count == 1:
        raise ShapeError(
            "input: instance_norm expects more than one value for each channel of an example, got shape "
            f"{shape}. Use layer_norm or group_norm where there are no axes behind the channels."
        )
    axes = tuple(range(2, len(shape)))
    if running_mean is None and running_var is None:
        return _normalize(input, weight, bias, axes=axes, eps=eps)
    r, mean, variance = _normalize_with_statistics(input, weight, bias, axes=axes, eps=eps)
    if shape[0] * count:
        _move(running_mean, mean, shape[:2], momentum, 1.0)
        _move(running_var, variance, shape[:2], momentum, count / (count - 1))
    return r


def layer_norm(
    input: Array,
    normalized_shape: int | Iterable[int],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> Any:
    """``(input - mean) / sqrt(variance + eps) * weight + bias``, with the statistics of the last axes.

    Parameters
    ----------
    input : Array
        Shape (..., *normalized_shape).
    normalized_shape : int or tuple of int
        The shape of the last axes; a number means the last one.
    weight, bias : Array, optional
        Shape ``normalized_shape``.
    eps : float, default 1e-5
        Added to the variance.

    References
    ----------
    Ba, Kiros and Hinton, "Layer normalization", 2016 (arXiv 1607.06450).

    Examples
    --------
    >>> pn.nn.functional.layer_norm(pn.asarray([[1.0, 3.0]]), 2, eps=0.0)
    Tensor([[-1.,  1.]])
    """
    lengths = shape_of_layer(normalized_shape)
    x = _checked_input("layer_norm", input, 1, "(..., *normalized_shape)", eps)
    _check_last_axes("layer_norm", x, lengths)
    _check_alike("layer_norm", x, lengths, {"weight": weight, "bias": bias})
    return _normalize(input, weight, bias, axes=tuple(range(-len(lengths), 0)), eps=eps)


def rms_norm(
    input: Array,
    normalized_shape: int | Iterable[int],
    weight: Array | None = None,
    eps: float | None = None,
) -> Any:
    """``input / sqrt(mean(input ** 2) + eps) * weight``, with the mean over the last axes.

    Parameters
    ----------
    input : Array
        Shape (..., *normalized_shape).
    normalized_shape : int or tuple of int
        The shape of the last axes; a number means the last one.
    weight : Array, optional
        Shape ``normalized_shape``.
    eps : float, optional
        Default: the spacing of the input's data type at 1.

    References
    ----------
    Zhang and Sennrich, "Root mean square layer normalization", 2019 (arXiv 1910.07467).

    Examples
    --------
    >>> pn.nn.functional.rms_norm(pn.asarray([[3.0, 4.0, 0.0, 0.0]]), 4)
    Tensor([[1.2, 1.6, 0. , 0. ]])
    """
    lengths = shape_of_layer(normalized_shape)
    x = _checked_input("rms_norm", input, 1, "(..., *normalized_shape)", 0.0 if eps is None else eps)
    _check_last_axes("rms_norm", x, lengths)
    _check_alike("rms_norm", x, lengths, {"weight": weight})
    if eps is None:
        eps = float(require_backend_of(x, "input").namespace.finfo(x.dtype).eps)
    axes = tuple(range(-len(lengths), 0))
    return _normalize(input, weight, None, axes=axes, eps=eps, centered=False)


def group_norm(
    input: Array,
    num_groups: int,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> Any:
    """``(input - mean) / sqrt(variance + eps) * weight + bias``, with the statistics of groups of channels.

    Parameters
    ----------
    input : Array
        Shape (batch, channels, ...).
    num_groups : int
        How many groups of neighbouring channels; it divides their number.
    weight, bias : Array, optional
        Shape (channels,).
    eps : float, default 1e-5
        Added to the variance.

    References
    ----------
    Wu and He, "Group normalization", 2018 (arXiv 1803.08494).
    """
    num_groups = whole_number("num_groups", num_groups, low=1)
    x = _checked_input("group_norm", input, 2, "(batch, channels, ...)", eps)
    shape = tuple(x.shape)
    channels = shape[1]
    if channels % num_groups:
        raise ShapeError(
            f"input: group_norm expects a number of channels that num_groups={num_groups} divides, got {channels} in "
            f"shape {shape}."
        )
    _check_alike("group_norm", x, (channels,), {"weight": weight, "bias": bias})
    size, rest = channels // num_groups, prod(shape[2:])
    if shape[0] * size * rest == 1:
        raise ShapeError(
            f"input: group_norm expects more than one value for each group, got shape {shape} for {num_groups} groups."
        )
    line = (num_groups, size, 1)
    grouped = reshape(input, (shape[0], num_groups, size, rest))
    r = _normalize(grouped, _in_line(weight, line), _in_line(bias, line), axes=(2, 3), eps=eps)
    return reshape(r, shape)


def local_response_norm(
    input: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """``input / (k + alpha / size * sum) ** beta``, with the sum of the squares of ``size`` neighbouring channels.

    Parameters
    ----------
    input : Array
        Shape (batch, channels, ...), with one axis or more behind the channels.
    size : int
        How many channels, around each one, flow into the sum; those beyond the first and the last count as 0.
    alpha, beta, k : float
        As in the formula.

    References
    ----------
    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012,
    section 3.3.
    """
    size = whole_number("size", size, low=1)
    for name, value in (("alpha", alpha), ("beta", beta), ("k", k)):
        check_number(name, value)
    x = _checked_input("local_response_norm", input, 3, "(batch, channels, ...)", 0.0)
    if 0 in x.shape:
        return input
    channels = x.shape[1]
    before, after = size // 2, (size - 1) // 2
    squares = multiply(input, input)
    total = squares
    for step in range(-min(before, channels - 1), min(after, channels - 1) + 1):
        if step:
            total = add(total, _shifted(squares, x, step))
    return divide(input, power(add(multiply(total, alpha / size), k), beta))


def _shifted(squares: Array, x: Array, step: int) -> Array:
    """What stands ``step`` channels further on; 0 beyond the last one."""
    xp = require_backend_of(x, "input").namespace
    count = abs(step)
    nothing = xp.zeros((x.shape[0], count, *x.shape[2:]), dtype=x.dtype, device=device_of(x))
    if step > 0:
        return concat([squares[:, count:, ...], nothing], axis=1)
    return concat([nothing, squares[:, : x.shape[1] - count, ...]], axis=1)


def shape_of_layer(normalized_shape: int | Iterable[int]) -> tuple[int, ...]:
    """The shape of the last axes, given as a number or as several."""
    lengths = tuple(normalized_shape) if isinstance(normalized_shape, Iterable) else (normalized_shape,)
    if not lengths:
        raise OptionError("normalized_shape: expected the length of one axis or more, got ().")
    return tuple([whole_number("normalized_shape", length, low=0) for length in lengths])


def rebind(tensor: Tensor, array: Array) -> None:
    """Give a Tensor other values; graphs that were recorded with the old ones keep them and stay valid."""
    tensor._data = array
    if tensor._version is not None:
        tensor._version = Version()


def _checked_input(function: str, input: Array, ndim: int, form: str, eps: float) -> Array:
    """The raw input, if it has enough axes and a floating-point type, and ``eps`` is a number."""
    x = unwrap(input)
    backend = require_backend_of(x, "input")
    check_number("eps", eps, low=0.0)
    if len(x.shape) < ndim:
        raise ShapeError(f"input: {function} expects shape {form}, got {tuple(x.shape)}.")
    if not backend.dtype_of(x).is_floating:
        raise DTypeError(
            f"input: {function} expects a floating-point type, got {backend.dtype_of(x).name}. "
            "Convert it with portanet.astype(input, portanet.float32)."
        )
    return x


def _check_last_axes(function: str, x: Array, lengths: tuple[int, ...]) -> None:
    if tuple(x.shape[-len(lengths) :]) != lengths:
        raise ShapeError(
            f"input: {function} expects the last axes to have normalized_shape {lengths}, got an input of shape "
            f"{tuple(x.shape)}."
        )


def _check_alike(function: str, x: Array, shape: tuple[int, ...], arguments: dict[str, Array | None]) -> None:
    """Raise unless every argument that is given has this shape and the input's data type."""
    for name, argument in arguments.items():
        if argument is None:
            continue
        array = unwrap(argument)
        require_backend_of(array, name)
        if tuple(array.shape) != shape:
            raise ShapeError(
                f"{name}: {function} expects shape {shape} for an input of shape {tuple(x.shape)}, got "
                f"{tuple(array.shape)}."
            )
        if type(array) is type(x) and array.dtype != x.dtype:
            raise DTypeError(
                f"{name}: {function} expects the input's data type {x.dtype}, got {array.dtype}. Convert the input "
                "with portanet.astype(x, portanet.float32), or the model with model.to(portanet.float64)."
            )


def _in_line(parameter: Array | None, line: tuple[int, ...]) -> Any:
    """A parameter of the channels with an axis of length 1 for each axis behind them."""
    if parameter is None or len(line) == 1:
        return parameter
    return reshape(parameter, line)


def _with_running(
    function: str,
    remedy: str,
    input: Array,
    mean: Array | None,
    variance: Array | None,
    weight: Array | None,
    bias: Array | None,
    line: tuple[int, ...],
    eps: float,
) -> Any:
    """Normalise by statistics that are given."""
    if mean is None or variance is None:
        missing = "running_mean" if mean is None else "running_var"
        raise OptionError(
            f"{missing}: {function} needs it unless {remedy}, which takes the input's statistics."
        )
    scale = divide(1.0, sqrt(add(_in_line(variance, line), eps)))
    if weight is not None:
        scale = multiply(scale, weight)
    r = multiply(subtract(input, _in_line(mean, line)), scale)
    return r if bias is None else add(r, bias)


def _move(
    running: Array | None, statistic: Array, shape: tuple[int, ...], momentum: Any, factor: float
) -> None:
    """Move a running statistic towards one of the batch, of this shape; with two axes, towards its mean over the first.

    A raw array may be one that cannot be written to, so it stays.
    """
    if not isinstance(running, Tensor):
        return
    old, new = running._data, unwrap(statistic)
    xp = require_backend_of(new, "input").namespace
    new = xp.reshape(new, shape)
    if len(shape) > 1:
        new = xp.mean(new, axis=0)
    rebind(running, old * (1 - momentum) + new * factor * momentum)
