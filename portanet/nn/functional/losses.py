"""Losses."""

from __future__ import annotations

from typing import Any

from portanet.backend import require_backend_of
from portanet.errors import DataError, DTypeError, OptionError, ShapeError
from portanet.functions.reductions import sum as sum_of
from portanet.nn.functional.loss_arguments import (
    admitted,
    check_class_weights,
    check_classes,
    like_input,
    same_shape,
    widened,
)
from portanet.nn.functional.reduction import check_reduction, quotient, reduce
from portanet.ops import losses
from portanet.protocols import Array
from portanet.tensor import lift, unwrap

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "check_reduction",
    "cross_entropy",
    "mse_loss",
]

_mse_loss = lift(losses.mse_loss)
_binary_cross_entropy = lift(losses.binary_cross_entropy)
_binary_cross_entropy_with_logits = lift(losses.binary_cross_entropy_with_logits)
_cross_entropy = lift(losses.cross_entropy)
_soft_cross_entropy = lift(losses.soft_cross_entropy)


def mse_loss(input: Array, target: Array, reduction: str = "mean", weight: Array | None = None) -> Any:
    """Squared error ``(input - target) ** 2``.

    Parameters
    ----------
    input, target : Array
        The same shape and floating-point type.
    reduction : str
        ``"none"``: each element's loss; ``"mean"`` or ``"sum"`` of them.
    weight : Array, optional
        A factor for each element, of the input's shape. The mean is then the weighted one, divided by their sum.

    Examples
    --------
    >>> pn.nn.functional.mse_loss(pn.asarray([1.0, 3.0]), pn.asarray([0.0, 0.0])).item()
    5.0
    """
    check_reduction(reduction)
    if weight is None:
        return _mse_loss(input, target, reduction=reduction)
    input, target, weight = admitted("mse_loss", input=input, target=target, weight=weight)
    same_shape("mse_loss", input, weight, "weight")
    like_input("mse_loss", input, weight, "weight")
    losses = _mse_loss(input, target, reduction="none") * weight
    return quotient(sum_of(losses), sum_of(weight)) if reduction == "mean" else reduce(losses, reduction)


def binary_cross_entropy(
    input: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean"
) -> Any:
    """``-(target * log(input) + (1 - target) * log(1 - input))``, each logarithm at least -100.

    Parameters
    ----------
    input : Array
        Probabilities. :func:`binary_cross_entropy_with_logits` is exact where they round to 0 or 1.
    target : Array
        Between 0 and 1, of the input's shape and type.
    weight : Array, optional
        A factor for each element, broadcast to the input.
    reduction : str
        ``"none"``, ``"mean"`` or ``"sum"``.
    """
    check_reduction(reduction)
    for argument, value in (("input", input), ("target", target)):
        array = unwrap(value)
        backend = require_backend_of(array, argument)
        if backend.readable(array):
            _check_probabilities(backend.namespace, array, argument)
    return _binary_cross_entropy(input, target, weight, reduction=reduction)


def _check_probabilities(xp: Any, array: Array, argument: str) -> None:
    if 0 in array.shape or not xp.isdtype(array.dtype, "real floating"):
        return
    lowest, highest = float(xp.min(array)), float(xp.max(array))
    if not (lowest >= 0 and highest <= 1):
        hint = " For logits use binary_cross_entropy_with_logits." if argument == "input" else ""
        raise DataError(
            f"{argument}: binary_cross_entropy expects numbers from 0 to 1, got "
            f"{lowest if not lowest >= 0 else highest}." + hint
        )


def binary_cross_entropy_with_logits(
    input: Array,
    target: Array,
    weight: Array | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Array | None = None,
) -> Any:
    """Cross entropy of ``sigmoid(input)`` and ``target``, exact for large inputs of either sign.

    Parameters
    ----------
    input : Array
        Logits.
    target : Array
        Between 0 and 1, of the input's shape and type.
    weight : Array, optional
        A factor for each element, broadcast to the input.
    reduction : str
        ``"none"``, ``"mean"`` or ``"sum"``.
    pos_weight : Array, optional
        A factor for the positive part of each element, broadcast to the input.
    """
    check_reduction(reduction)
    return _binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction=reduction)


def cross_entropy(
    input: Array,
    target: Array,
    weight: Array | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross entropy of ``softmax(input)`` and classes.

    Parameters
    ----------
    input : Array
        Logits of shape (classes,), (batch, classes) or (batch, classes, ...).
    target : Array
        Class indices: integers of the input's shape without the axis of classes. Or probabilities of the input's
        shape and type.
    weight : Array, optional
        A factor for each class, shape (classes,). With class indices the mean is the weighted one.
    ignore_index : int, default -100
        Targets of this value count for nothing (class indices only).
    reduction : str
        ``"none"``, ``"mean"`` or ``"sum"``.
    label_smoothing : float, default 0
        How much of each target is spread evenly over all classes, from 0 to 1.

    Raises
    ------
    ShapeError, DTypeError, OptionError
        If the arguments do not fit together.
    DataError
        If a class index is out of range (checked where reading the target costs nothing, on the host).

    Examples
    --------
    >>> logits = pn.asarray([[0.0, 0.0], [0.0, 0.0]])
    >>> round(pn.nn.functional.cross_entropy(logits, pn.asarray([0, 1])).item(), 4)
    0.6931
    """
    check_reduction(reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise OptionError(f"label_smoothing: expected a number from 0 to 1, got {label_smoothing!r}.")
    x, t = unwrap(input), unwrap(target)
    require_backend_of(x, "input")
    other = require_backend_of(t, "target")
    if not x.shape:
        raise ShapeError("input: cross_entropy expects an axis of classes, got a single number.")
    axis = 1 if len(x.shape) > 1 else 0
    classes = x.shape[axis]
    if weight is not None:
        check_class_weights(weight, x, classes)
    dtype = other.dtype_of(t)
    if dtype.is_floating and tuple(t.shape) == tuple(x.shape):
        return _soft_cross_entropy(
            input, target, weight, axis=axis, label_smoothing=label_smoothing, reduction=reduction
        )
    if not dtype.kind.endswith("integer"):
        raise DTypeError(
            f"target: cross_entropy expects class indices as integers, or probabilities of the input's shape "
            f"{tuple(x.shape)}; got {dtype.name} of shape {tuple(t.shape)}. Convert indices with "
            "portanet.astype(target, portanet.int64)."
        )
    expected = tuple(x.shape[:axis]) + tuple(x.shape[axis + 1 :])
    if tuple(t.shape) != expected:
        hint = ""
        if tuple(t.shape) == tuple(x.shape):
            hint = (
                " One-hot targets are probabilities: convert them with portanet.astype(target, input.dtype)."
            )
        raise ShapeError(
            f"target: for an input of shape {tuple(x.shape)} cross_entropy expects class indices of shape {expected}, "
            f"got {tuple(t.shape)}.{hint}"
        )
    target = widened(target)
    check_classes(target, classes, ignore_index)
    return _cross_entropy(
        input,
        target,
        weight,
        axis=axis,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )
