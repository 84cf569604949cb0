"""Losses with a margin, hard or soft: of classes, of labels 1 and -1, and of pairs that are to be ranked."""

from __future__ import annotations

from typing import Any

from portanet.checks import check_number
from portanet.errors import OptionError, ShapeError
from portanet.functions.cumulative import cumulative_sum
from portanet.functions.elementwise import clip, where
from portanet.functions.indexing import take, take_along_axis
from portanet.functions.manipulation import astype, expand_dims, reshape
from portanet.functions.reductions import any as any_of
from portanet.functions.reductions import sum as sum_of
from portanet.nn.functional.loss_arguments import (
    admitted,
    check_class_weights,
    check_classes,
    check_floating,
    class_indices,
    dtype_of,
    like_input,
    numbers_beside,
    same_shape,
    widened,
)
from portanet.nn.functional.reduction import check_reduction, reduce
from portanet.ops import layers
from portanet.ops.losses import check_factor
from portanet.protocols import Array
from portanet.tensor import lift, unwrap

__all__ = [
    "check_power",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
]

_relu = lift(layers.relu)  # whose gradient at 0 is 0, as that of PyTorch's hinges of classes
_softplus = lift(layers.softplus)


def soft_margin_loss(input: Array, target: Array, *, reduction: str = "mean") -> Any:
    """``log(1 + exp(-target * input))``, without overflow.

    Parameters
    ----------
    input : Array
        Floating-point, any shape.
    target : Array
        1 or -1: the input's shape, in its data type or as integers.
    reduction : str
        ``"none"``, ``"mean"`` or ``"sum"``.
    """
    check_reduction(reduction)
    input, target = _with_labels("soft_margin_loss", input, target)
    return reduce(_softplus(target * input * -1.0), reduction)


def hinge_embedding_loss(input: Array, target: Array, margin: float = 1.0, *, reduction: str = "mean") -> Any:
    """Of distances: the distance itself where the target is 1, ``max(0, margin - input)`` where it is -1.

    Parameters
    ----------
    input : Array
        Distances, floating-point, any shape.
    target : Array
        1 or -1: the input's shape, in its data type or as integers. Of any other value both parts add up.
    margin : float, default 1
        The distance from which on unlike pairs cost nothing.
    reduction : str
        ``"none"``, ``"mean"`` or ``"sum"``.
    """
    check_reduction(reduction)
    check_number("margin", margin)
    input, target = _with_labels("hinge_embedding_loss", input, target)
    unlike = where(target != 1, clip(margin - input, 0.0), 0.0)
    like = where(target != -1, input, 0.0)
    return reduce(unlike + like, reduction)


def margin_ranking_loss(
    input1: Array, input2: Array, target: Array, margin: float = 0.0, *, reduction: str = "mean"
) -> Any:
    """``max(0, margin - target * (input1 - input2))``: where the target is 1 the first input is to rank higher.

    Parameters
    ----------
    input1, input2 : Array
        One shape and floating-point type.
    target : Array
        1 or -1: the inputs' shape, in their data type or as integers.
    margin : float, default 0
        By how much the one is to be larger.
    reduction : str
        ``"none"``, ``"mean"`` or ``"sum"``.
    """
    check_reduction(reduction)
    check_number("margin", margin)
    name = "margin_ranking_loss"
    input1, input2, target = admitted(name, input1=input1, input2=input2, target=target)
    check_floating(name, input1, "input1")
    for argument, other in (("input2", input2), ("target", target)):
        same_shape(name, input1, other, argument, beside="input1")
    like_input(name, input1, input2, "input2", beside="input1")
    target = like_input(name, input1, target, beside="input1", integers=True)
    return reduce(clip(margin - target * (input1 - input2), 0.0), reduction)


def multi_margin_loss(
    input: Array,
    target: Array,
    p: int = 1,
    margin: float = 1.0,
    weight: Array | None = None,
    *,
    reduction: str = "mean",
) -> Any:
    """Hinge loss of several classes.

    ``sum(max(0, margin - input[target] + input[i]) ** p) / classes`` over all classes ``i`` but the target.

    Parameters
    ----------
    input : Array
        Scores of shape (classes,) or (batch, classes).
    target : Array
        Class indices, integers of shape () or (batch,).
    p : int, default 1
        1 or 2.
    margin : float, default 1
        By how much the target's score is to be the largest.
    weight : Array, optional
        A factor for each class, shape (classes,), which examples of that class take. The mean is over examples.
    reduction : str
        ``"none"``, ``"mean"`` or ``"sum"``.

    Raises
    ------
    DataError
        If a class index is out of range (checked where reading the target costs nothing, on the host).
    """
    check_reduction(reduction)
    check_power(p)
    check_number("margin", margin)
    input, target, weight = admitted("multi_margin_loss", input=input, target=target, weight=weight)
    classes = _check_scores("multi_margin_loss", input)
    if weight is not None:
        check_class_weights(weight, input, classes)
    if len(input.shape) == 1 and tuple(target.shape) == (1,):
        target = reshape(target, ())
    target = class_indices("multi_margin_loss", target, tuple(input.shape[:-1]), classes)
    labels = expand_dims(target, axis=-1)
    short = _relu(input + (margin - take_along_axis(input, labels, axis=-1)))
    costs = where(numbers_beside(target, classes) == labels, 0.0, short if p == 1 else short * short)
    if weight is not None:
        costs = costs * reshape(take(weight, reshape(target, (-1,)), axis=0), labels.shape)
    return reduce(sum_of(costs, axis=-1) / classes, reduction)


def multilabel_margin_loss(input: Array, target: Array, *, reduction: str = "mean") -> Any:
    """Hinge loss of examples that belong to several classes.

    ``sum(max(0, 1 - input[j] + input[i])) / classes`` over the example's classes ``j`` and all other classes ``i``.

    Parameters
    ----------
    input : Array
        Scores of shape (classes,) or (batch, classes).
    target : Array
        Integers of the input's shape: in each row the indices of the example's classes, and -1 after the last of
        them; what follows counts for nothing.
    reduction : str
        ``"none"``, ``"mean"`` or ``"sum"``.

    Notes
    -----
    It computes ``batch * classes ** 2`` differences at once.

    Raises
    ------
    DataError
        If a class index is out of range (checked where reading the target costs nothing, on the host).
    """
    check_reduction(reduction)
    name = "multilabel_margin_loss"
    input, target = admitted(name, input=input, target=target)
    classes = _check_scores(name, input)
    if not dtype_of(target, "target").kind.endswith("integer"):
        class_indices(name, target, tuple(input.shape), classes)
    same_shape(name, input, target)
    target = widened(target)
    belongs = cumulative_sum(astype(target < 0, dtype_of(target)), axis=-1) == 0
    labels = where(belongs, target, 0)
    check_classes(labels, classes, None)
    places = expand_dims(numbers_beside(target, classes), axis=-1)
    hits = (places == expand_dims(labels, axis=-2)) & expand_dims(belongs, axis=-2)  # (..., i, j)
    others = ~any_of(hits, axis=-1)  # (..., i)
    chosen = take_along_axis(input, labels, axis=-1)
    short = _relu(expand_dims(input, axis=-1) + (1.0 - expand_dims(chosen, axis=-2)))  # (..., i, j)
    counts = expand_dims(others, axis=-1) & expand_dims(belongs, axis=-2)
    return reduce(sum_of(where(counts, short, 0.0), axis=(-2, -1)) / classes, reduction)


def multilabel_soft_margin_loss(
    input: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean"
) -> Any:
    """Binary cross entropy of ``sigmoid(input)`` and labels, the mean over classes.

    Parameters
    ----------
    input : Array
        Logits of shape (classes,) or (..., classes).
    target : Array
        0 or 1: the input's shape, in its data type or as integers.
    weight : Array, optional
        A factor for each element, broadcast to the input.
    reduction : str
        ``"none"``, of the input's shape without its last axis; ``"mean"`` or ``"sum"`` of that.
    """
    check_reduction(reduction)
    name = "multilabel_soft_margin_loss"
    input, target, weight = admitted(name, input=input, target=target, weight=weight)
    check_floating(name, input)
    if not input.shape or not input.shape[-1]:
        raise ShapeError(f"input: {name} expects an axis of classes, got shape {tuple(input.shape)}.")
    same_shape(name, input, target)
    target = like_input(name, input, target, integers=True)
    losses = target * _softplus(input * -1.0) + (1.0 - target) * _softplus(input)
    if weight is not None:
        check_factor("weight", unwrap(weight), unwrap(input))
        losses = losses * weight
    return reduce(sum_of(losses, axis=-1) / input.shape[-1], reduction)


def check_power(p: int) -> None:
    """Raise unless the power of a hinge is 1 or 2."""
    if p not in (1, 2):
        raise OptionError(f"p: multi_margin_loss expects 1 or 2, got {p!r}.")


def _with_labels(name: str, input: Array, target: Array) -> tuple[Any, Any]:
    """Floating-point numbers and labels of their shape, in their data type."""
    input, target = admitted(name, input=input, target=target)
    check_floating(name, input)
    same_shape(name, input, target)
    return input, like_input(name, input, target, integers=True)


def _check_scores(name: str, input: Array) -> int:
    """The number of classes."""
    check_floating(name, input)
    shape = tuple(input.shape)
    if len(shape) not in (1, 2) or not shape[-1]:
        raise ShapeError(f"input: {name} expects shape (classes,) or (batch, classes), got {shape}.")
    return int(shape[-1])
