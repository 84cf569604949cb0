"""A layer and the batch normalisation behind it made one layer, for inference; with PyTorch's names.

In evaluation mode batch normalisation is ``x * scale + shift`` for each channel, with
``scale = weight / sqrt(variance + eps)`` and ``shift = bias - mean * scale``: both go into weight and bias of the layer
before.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, TypeVar

from portanet.errors import OptionError, ShapeError
from portanet.functions.elementwise import sqrt
from portanet.functions.manipulation import repeat, reshape
from portanet.graph import no_grad
from portanet.nn.batch_normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d
from portanet.nn.convolution import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from portanet.nn.linear import Linear
from portanet.nn.module import Module
from portanet.nn.parameter import Parameter
from portanet.nn.utils.parametrize import is_parametrized
from portanet.tensor import Tensor

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]

C = TypeVar("C", Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)
BatchNorm = BatchNorm1d | BatchNorm2d | BatchNorm3d


def fuse_conv_bn_eval(conv: C, bn: BatchNorm, transpose: bool = False) -> C:
    """A copy of a convolution that does what it and the batch normalisation behind it do in evaluation mode.

    Parameters
    ----------
    conv : Conv1d, ..., ConvTranspose3d
        In evaluation mode. It stays as it is.
    bn : BatchNorm1d, BatchNorm2d or BatchNorm3d
        In evaluation mode, with running statistics.
    transpose : bool, default False
        Whether it is a transposed convolution.

    Raises
    ------
    OptionError
        If one is in training mode, or has no running statistics, or ``transpose`` does not fit.
    ShapeError
        If the number of channels differs.

    Examples
    --------
    >>> conv, bn = pn.nn.Conv2d(3, 4, 2, bias=False).eval(), pn.nn.BatchNorm2d(4).eval()
    >>> pn.nn.utils.fuse_conv_bn_eval(conv, bn).bias.shape
    (4,)
    """
    function = "fuse_conv_bn_eval"
    mean, variance = _checked(
        function,
        "conv",
        conv,
        bn,
        (Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d),
    )
    if bool(transpose) != conv.transposed:
        raise OptionError(
            f"transpose: {function} expects {conv.transposed} for a {type(conv).__name__}, got {transpose!r}."
        )
    if bn.num_features != conv.out_channels:
        raise ShapeError(
            f"bn: {function} expects num_features={conv.out_channels}, the channels that {type(conv).__name__} "
            f"returns, got {bn.num_features}."
        )
    fused = deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, mean, variance, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of the convolution that does what one and batch normalisation behind it do.

    Parameters
    ----------
    conv_w : Tensor
        Shape (out_channels, in_channels / groups, ...); transposed (in_channels, out_channels / groups, ...).
    conv_b : Tensor or None
        Shape (out_channels,); None counts as 0.
    bn_rm, bn_rv : Tensor
        Running mean and variance, shape (out_channels,).
    bn_eps : float
        Added to the variance.
    bn_w, bn_b : Tensor or None
        Shape (out_channels,); None counts as 1 and 0.
    transpose : bool, default False
        Whether it is a transposed convolution.

    Returns
    -------
    tuple of Parameter
        Of the data type of the convolution's.
    """
    scale, bias = _scale_and_bias(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)
    with no_grad():
        ones = (1,) * (conv_w.ndim - 2)
        if transpose:
            groups = scale.size // conv_w.shape[1]
            each = repeat(reshape(scale, (groups, -1)), conv_w.shape[0] // groups, axis=0)
            weight = conv_w * reshape(each, (*each.shape, *ones))
        else:
            weight = conv_w * reshape(scale, (-1, 1, *ones))
    return Parameter(weight, conv_w.requires_grad), bias


def fuse_linear_bn_eval(linear: Linear, bn: BatchNorm) -> Linear:
    """A copy of a Linear that does what it and the batch normalisation behind it do in evaluation mode.

    Parameters
    ----------
    linear : Linear
        In evaluation mode. It stays as it is.
    bn : BatchNorm1d, BatchNorm2d or BatchNorm3d
        In evaluation mode, with running statistics of as many features as the Linear returns, or of a single one.

    Raises
    ------
    OptionError
        If one is in training mode, or has no running statistics.
    ShapeError
        If the number of features differs.
    """
    function = "fuse_linear_bn_eval"
    mean, variance = _checked(function, "linear", linear, bn, (Linear,))
    if bn.num_features not in (1, linear.out_features):
        raise ShapeError(
            f"bn: {function} expects num_features={linear.out_features}, the features that Linear returns, or 1, got "
            f"{bn.num_features}."
        )
    fused = deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        linear.weight, linear.bias, mean, variance, bn.eps, bn.weight, bn.bias
    )
    return fused


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of the Linear that does what one and batch normalisation behind it do.

    Parameters
    ----------
    linear_w : Tensor
        Shape (out_features, in_features).
    linear_b : Tensor or None
        Shape (out_features,); None counts as 0.
    bn_rm, bn_rv, bn_eps, bn_w, bn_b
        As in :func:`fuse_conv_bn_weights`, of shape (out_features,) or (1,).

    Returns
    -------
    tuple of Parameter
        Of the data type of the Linear's.
    """
    scale, bias = _scale_and_bias(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)
    with no_grad():
        weight = linear_w * reshape(scale, (-1, 1))
        if bias.shape != (linear_w.shape[0],):  # one feature for all, and no bias before
            bias = Parameter(repeat(bias, linear_w.shape[0]), bias.requires_grad)
    return Parameter(weight, linear_w.requires_grad), bias


def _scale_and_bias(
    weight: Tensor,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    bn_weight: Tensor | None,
    bn_bias: Tensor | None,
) -> tuple[Tensor, Parameter]:
    """What the channels of the weight are multiplied by, in its data type, and the new bias."""
    with no_grad():
        scale: Any = 1.0 / sqrt(variance + eps)
        if bn_weight is not None:
            scale = scale * bn_weight
        shifted: Any = -mean * scale if bias is None else (bias.to(dtype=weight.dtype) - mean) * scale
        if bn_bias is not None:
            shifted = shifted + bn_bias
    trained = False if bias is None else bias.requires_grad
    return scale.to(dtype=weight.dtype), Parameter(shifted.to(dtype=weight.dtype), trained)


def _checked(function: str, role: str, layer: Module, bn: Module, kinds: tuple[type, ...]) -> tuple[Any, Any]:
    """The running statistics, if all is as it should be."""
    if not isinstance(layer, kinds):
        names = ", ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{role}: {function} expects a {names}, got {type(layer).__name__}.")
    if not isinstance(bn, (BatchNorm1d, BatchNorm2d, BatchNorm3d)):
        raise TypeError(
            f"bn: {function} expects a BatchNorm1d, BatchNorm2d or BatchNorm3d, got {type(bn).__name__}."
        )
    for name, module in ((role, layer), ("bn", bn)):
        if module.training:
            raise OptionError(
                f"{name}: {function} expects modules in evaluation mode. Call {name}.eval() first."
            )
    if is_parametrized(layer):
        raise OptionError(
            f"{role}: {function} expects a plain layer, and this one is parametrized. Call "
            "remove_parametrizations(layer, 'weight') first."
        )
    if bn.running_mean is None or bn.running_var is None:
        raise OptionError(
            f"bn: {function} expects running statistics, and there are none with track_running_stats=False."
        )
    return bn.running_mean, bn.running_var
