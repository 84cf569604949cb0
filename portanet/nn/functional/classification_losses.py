"""Losses of classes beside :func:`cross_entropy`: of given logarithms of probabilities, and fused with a layer."""

from __future__ import annotations

from math import prod
from typing import Any

from portanet.errors import OptionError, ShapeError
from portanet.functions.elementwise import negative, where
from portanet.functions.indexing import take, take_along_axis
from portanet.functions.manipulation import astype, expand_dims, reshape, squeeze
from portanet.functions.reductions import sum as sum_of
from portanet.nn.functional.linear import linear
from portanet.nn.functional.loss_arguments import (
    admitted,
    check_class_weights,
    check_floating,
    class_indices,
    dtype_of,
)
from portanet.nn.functional.losses import cross_entropy
from portanet.nn.functional.reduction import check_reduction, quotient, reduce
from portanet.protocols import Array

__all__ = ["linear_cross_entropy", "nll_loss"]


def nll_loss(
    input: Array,
    target: Array,
    weight: Array | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    """Negative log likelihood ``-input[target]`` of classes; with ``log_softmax`` before it :func:`cross_entropy`.

    Parameters
    ----------
    input : Array
        Logarithms of probabilities, of shape (classes,), (batch, classes) or (batch, classes, ...).
    target : Array
        Class indices: integers of the input's shape without the axis of classes.
    weight : Array, optional
        A factor for each class, shape (classes,). The mean is then the weighted one.
    ignore_index : int, default -100
        Targets of this value count for nothing.
    reduction : str
        ``"none"``, ``"mean"`` (NaN if no target counts) or ``"sum"``.

    Raises
    ------
    ShapeError, DTypeError, OptionError
        If the arguments do not fit together.
    DataError
        If a class index is out of range (checked where reading the target costs nothing, on the host).

    Examples
    --------
    >>> scores = pn.asarray([[-0.5, -1.0], [-2.0, -0.1]])
    >>> pn.nn.functional.nll_loss(scores, pn.asarray([0, 0]), reduction="none")
    Tensor([0.5, 2. ])
    """
    check_reduction(reduction)
    input, target, weight = admitted("nll_loss", input=input, target=target, weight=weight)
    check_floating("nll_loss", input)
    shape = tuple(input.shape)
    if not shape:
        raise ShapeError("input: nll_loss expects an axis of classes, got a single number.")
    axis = 1 if len(shape) > 1 else 0
    classes = shape[axis]
    if weight is not None:
        check_class_weights(weight, input, classes)
    target = class_indices("nll_loss", target, shape[:axis] + shape[axis + 1 :], classes, ignore_index)
    kept = target != ignore_index
    labels = where(kept, target, 0)
    picked = squeeze(take_along_axis(input, expand_dims(labels, axis=axis), axis=axis), axis=axis)
    factors = astype(kept, dtype_of(input))
    if weight is not None:
        factors = factors * reshape(take(weight, reshape(labels, (-1,)), axis=0), labels.shape)
    losses = where(kept, negative(picked), 0.0) * factors
    if reduction == "mean":
        return quotient(sum_of(losses), sum_of(factors))
    return reduce(losses, reduction)


def linear_cross_entropy(
    input: Array,
    linear_weight: Array,
    target: Array,
    *,
    linear_bias: Array | None = None,
    weight: Array | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: None = None,
) -> Any:
    """An affine map to logits, and their :func:`cross_entropy` with classes.

    Parameters
    ----------
    input : Array
        Shape (in_features,) or (batch, in_features).
    linear_weight : Array
        Shape (classes, in_features), or (classes, ..., in_features) for targets with further axes.
    target : Array
        Class indices of shape (), (batch,) or (batch, ...); or probabilities of shape (classes,), (batch, classes) or
        (batch, classes, ...).
    linear_bias : Array, optional
        The shape of ``linear_weight`` without its last axis.
    weight : Array, optional
        A factor for each class, shape (classes,).
    reduction : str
        ``"none"``, ``"mean"`` or ``"sum"``.
    ignore_index : int, optional
        Targets of this value count for nothing; default -100. For class indices only.
    label_smoothing : float, default 0
        How much of each target is spread evenly over all classes.
    options : None
        PyTorch's ways to compute in chunks are not available.
    """
    check_options(options)
    input, linear_weight, linear_bias = admitted(
        "linear_cross_entropy", input=input, linear_weight=linear_weight, linear_bias=linear_bias
    )
    shape, sizes = tuple(input.shape), tuple(linear_weight.shape)
    if len(shape) not in (1, 2):
        raise ShapeError(
            "input: linear_cross_entropy expects shape (in_features,) or (batch, in_features), got "
            f"{shape}. Reshape it with portanet.reshape(input, (-1, input.shape[-1]))."
        )
    if len(sizes) < 2 or sizes[-1] != shape[-1]:
        raise ShapeError(
            f"linear_weight: linear_cross_entropy expects shape (classes, ..., {shape[-1]}), with the input's "
            f"in_features at the end, got {sizes}."
        )
    outputs = sizes[:-1]
    if len(outputs) > 1 and len(shape) == 1:
        raise ShapeError(
            f"input: for a linear_weight of shape {sizes} linear_cross_entropy expects a batch, shape "
            f"(batch, {sizes[-1]}), got {shape}. Give a batch of one, portanet.reshape(input, (1, -1))."
        )
    if linear_bias is not None and tuple(linear_bias.shape) != outputs:
        raise ShapeError(
            f"linear_bias: linear_cross_entropy expects shape {outputs}, one for each output, got "
            f"{tuple(linear_bias.shape)}."
        )
    if ignore_index is not None and dtype_of(target, "target").is_floating:
        raise OptionError(
            f"ignore_index: linear_cross_entropy takes one for class indices only, got {ignore_index!r} with "
            "probabilities as targets. Leave it out."
        )
    if len(outputs) > 1:
        linear_weight = reshape(linear_weight, (prod(outputs), sizes[-1]))
        linear_bias = None if linear_bias is None else reshape(linear_bias, (prod(outputs),))
    logits = linear(input, linear_weight, linear_bias)
    if len(outputs) > 1:
        logits = reshape(logits, (shape[0], *outputs))
    return cross_entropy(
        logits,
        target,
        weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def check_options(options: Any) -> None:
    """Raise for options that would compute in chunks."""
    if options is not None:
        raise OptionError(
            f"options: linear_cross_entropy computes all logits at once and takes None only, got {options!r}."
        )
