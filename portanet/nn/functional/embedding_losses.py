"""Losses of embeddings: vectors that are to be near each other, or far apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portanet.checks import check_number
from portanet.errors import OptionError, ShapeError
from portanet.functions.data_types import broadcast_shapes
from portanet.functions.elementwise import clip, minimum, sqrt, where
from portanet.functions.reductions import sum as sum_of
from portanet.nn.functional.distances import pairwise_distance
from portanet.nn.functional.loss_arguments import admitted, check_floating, like_input
from portanet.nn.functional.reduction import check_reduction, reduce
from portanet.protocols import Array

__all__ = [
    "check_margin",
    "cosine_embedding_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]

SMALLEST_SQUARE = 1e-12


def cosine_embedding_loss(
    input1: Array, input2: Array, target: Array, margin: float = 0.0, *, reduction: str = "mean"
) -> Any:
    """``1 - cos`` of the angle between two vectors where the target is 1, ``max(0, cos - margin)`` where it is -1.

    Parameters
    ----------
    input1, input2 : Array
        Shape (batch, features), or (features,) both; of one floating-point type.
    target : Array
        1 or -1: shape (batch,), or () for single vectors, in the inputs' data type or as integers. Any other value
        costs nothing.
    margin : float, default 0
        The cosine below which unlike vectors cost nothing.
    reduction : str
        ``"none"``, ``"mean"`` or ``"sum"``.

    Examples
    --------
    >>> one, other = pn.asarray([[1.0, 0.0]]), pn.asarray([[0.0, 2.0]])
    >>> pn.nn.functional.cosine_embedding_loss(one, other, pn.asarray([1])).item()
    1.0
    """
    check_reduction(reduction)
    check_number("margin", margin)
    name = "cosine_embedding_loss"
    input1, input2, target = admitted(name, input1=input1, input2=input2, target=target)
    check_floating(name, input1, "input1")
    like_input(name, input1, input2, "input2", beside="input1")
    _check_axes(name, {"input1": input1, "input2": input2})
    shape = _common_shape(name, {"input1": input1, "input2": input2})[:-1]
    if len(shape) > 1:
        raise ShapeError(
            f"input1: {name} expects shape (batch, features) or (features,), got {tuple(input1.shape)}."
        )
    if tuple(target.shape) != shape:
        raise ShapeError(
            f"target: {name} expects one label for each pair of vectors, shape {shape}, got {tuple(target.shape)}."
        )
    target = like_input(name, input1, target, beside="input1", integers=True)
    squares = [sum_of(x * x, axis=-1) + SMALLEST_SQUARE for x in (input1, input2)]
    cosine = sum_of(input1 * input2, axis=-1) / sqrt(squares[0] * squares[1])
    like = where(target == 1, 1.0 - cosine, 0.0)
    unlike = where(target == -1, clip(cosine - margin, 0.0), 0.0)
    return reduce(like + unlike, reduction)


def triplet_margin_loss(
    anchor: Array,
    positive: Array,
    negative: Array,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Any:
    """``max(0, distance(anchor, positive) - distance(anchor, negative) + margin)`` with distances by the p-norm.

    Balntas, Riba, Ponsa and Mikolajczyk, Learning local feature descriptors with triplets, 2016.

    Parameters
    ----------
    anchor, positive, negative : Array
        Vectors along the last axis: shapes (..., features) with equally many axes, which broadcast.
    margin : float, default 1
        By how much farther the negative is to be; positive.
    p : float, default 2
        The order of the norm, see :func:`portanet.linalg.vector_norm`.
    eps : float, default 1e-6
        Added to each difference of two coordinates, which keeps away from the kink of the norm.
    swap : bool, default False
        Whether the distance of the negative from the positive counts instead where that is the smaller one.
    reduction : str
        ``"none"``, ``"mean"`` or ``"sum"``.
    """
    check_number("eps", eps)
    _check_order(p)

    def distance(one: Array, other: Array) -> Any:
        return pairwise_distance(one, other, p, eps)

    return _triplet(
        "triplet_margin_loss", anchor, positive, negative, distance, margin, swap, reduction, check=True
    )


def triplet_margin_with_distance_loss(
    anchor: Array,
    positive: Array,
    negative: Array,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """:func:`triplet_margin_loss` with a distance of one's own.

    Parameters
    ----------
    anchor, positive, negative : Array
        What the distance function takes; equally many axes.
    distance_function : callable, optional
        Of two of them; returns their distances, not negative. Default: the Euclidean one along the last axis.
    margin : float, default 1
        By how much farther the negative is to be; positive.
    swap : bool, default False
        Whether the distance of the negative from the positive counts instead where that is the smaller one.
    reduction : str
        ``"none"``, ``"mean"`` or ``"sum"``.
    """
    name = "triplet_margin_with_distance_loss"
    if distance_function is None:
        return triplet_margin_loss(anchor, positive, negative, margin=margin, swap=swap, reduction=reduction)
    if not callable(distance_function):
        raise OptionError(
            f"distance_function: {name} expects a function of two arrays, got {distance_function!r}."
        )
    return _triplet(name, anchor, positive, negative, distance_function, margin, swap, reduction)


def check_margin(name: str, margin: float) -> None:
    """Raise unless the margin of a triplet loss is positive."""
    check_number("margin", margin)
    if margin <= 0:
        raise OptionError(f"margin: {name} expects a number above 0, got {margin!r}.")


def _check_order(p: float) -> None:
    if not isinstance(p, (int, float)) or isinstance(p, bool) or p != p:
        raise OptionError(f"p: triplet_margin_loss expects the order of a norm, such as 2.0, got {p!r}.")


def _triplet(
    name: str,
    anchor: Array,
    positive: Array,
    negative: Array,
    distance: Callable[[Any, Any], Any],
    margin: float,
    swap: bool,
    reduction: str,
    *,
    check: bool = False,
) -> Any:
    check_reduction(reduction)
    check_margin(name, margin)
    anchor, positive, negative = admitted(name, anchor=anchor, positive=positive, negative=negative)
    arrays = {"anchor": anchor, "positive": positive, "negative": negative}
    _check_axes(name, arrays)
    if check:
        check_floating(name, anchor, "anchor")
        for argument in ("positive", "negative"):
            like_input(name, anchor, arrays[argument], argument, beside="anchor")
        _common_shape(name, arrays)
    far = distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduce(clip(distance(anchor, positive) - far + margin, 0.0), reduction)


def _check_axes(name: str, arrays: dict[str, Any]) -> None:
    """Raise unless all have equally many axes, at least one."""
    shapes = {argument: tuple(x.shape) for argument, x in arrays.items()}
    if len({len(shape) for shape in shapes.values()}) > 1 or () in shapes.values():
        found = ", ".join(f"{argument} {shape}" for argument, shape in shapes.items())
        raise ShapeError(
            f"{next(iter(arrays))}: {name} expects vectors along the last axis, and equally many axes of all; got the "
            f"shapes {found}."
        )


def _common_shape(name: str, arrays: dict[str, Any]) -> tuple[int, ...]:
    """The shape that all broadcast to."""
    shapes = {argument: tuple(x.shape) for argument, x in arrays.items()}
    try:
        return tuple(broadcast_shapes(*shapes.values()))
    except ValueError as error:
        found = ", ".join(f"{argument} {shape}" for argument, shape in shapes.items())
        raise ShapeError(
            f"{next(iter(arrays))}: {name} expects shapes that broadcast to one, got {found}."
        ) from error
