"""Losses with a margin as modules: of classes, labels, ranks and embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portanet.checks import check_number
from portanet.errors import OptionError, ShapeError
from portanet.nn.distances import PairwiseDistance
from portanet.nn.functional import embedding_losses, margin_losses
from portanet.nn.losses import Loss
from portanet.protocols import Array
from portanet.tensor import Tensor

__all__ = [
    "CosineEmbeddingLoss",
    "HingeEmbeddingLoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class SoftMarginLoss(Loss):
    """Logistic loss of labels 1 and -1, see :func:`portanet.nn.functional.soft_margin_loss`.

    Parameters
    ----------
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Array, target: Array) -> Any:
        """``input`` and labels ``target`` of one shape."""
        return margin_losses.soft_margin_loss(input, target, reduction=self.reduction)


class HingeEmbeddingLoss(Loss):
    """Distances of like and unlike pairs, see :func:`portanet.nn.functional.hinge_embedding_loss`.

    Parameters
    ----------
    margin : float, default 1
        The distance from which on unlike pairs cost nothing.
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    """

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        check_number("margin", margin)
        self.margin = margin

    def forward(self, input: Array, target: Array) -> Any:
        """Distances ``input`` and labels ``target`` of one shape."""
        return margin_losses.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class MarginRankingLoss(Loss):
    """Which of two scores is to be the larger one, see :func:`portanet.nn.functional.margin_ranking_loss`.

    Parameters
    ----------
    margin : float, default 0
        By how much.
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        check_number("margin", margin)
        self.margin = margin

    def forward(self, input1: Array, input2: Array, target: Array) -> Any:
        """Two scores and labels of one shape."""
        return margin_losses.margin_ranking_loss(
            input1, input2, target, self.margin, reduction=self.reduction
        )


class MultiMarginLoss(Loss):
    """Hinge loss of several classes, see :func:`portanet.nn.functional.multi_margin_loss`.

    Parameters
    ----------
    p : int, default 1
        The power, 1 or 2.
    margin : float, default 1
        By how much the target's score is to be the largest.
    weight : Tensor, optional
        A factor for each class.
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    """

    weight: Tensor | None

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        margin_losses.check_power(p)
        check_number("margin", margin)
        self.register_buffer("weight", weight)
        if weight is not None and len(weight.shape) != 1:
            raise ShapeError(
                f"weight: MultiMarginLoss expects one factor per class, shape (classes,), got {weight.shape}."
            )
        self.p = p
        self.margin = margin

    def forward(self, input: Array, target: Array) -> Any:
        """Scores of shape (batch, classes) and indices (batch,)."""
        return margin_losses.multi_margin_loss(
            input, target, self.p, self.margin, self.weight, reduction=self.reduction
        )


class MultiLabelMarginLoss(Loss):
    """Hinge loss of examples with several classes, see :func:`portanet.nn.functional.multilabel_margin_loss`.

    Parameters
    ----------
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Array, target: Array) -> Any:
        """Scores and classes, closed by -1, both of shape (batch, classes)."""
        return margin_losses.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(Loss):
    """Cross entropy of several labels, see :func:`portanet.nn.functional.multilabel_soft_margin_loss`.

    Parameters
    ----------
    weight : Tensor, optional
        A factor for each element, broadcast to the input.
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: Array, target: Array) -> Any:
        """Logits and labels 0 or 1, both of shape (batch, classes)."""
        return margin_losses.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class CosineEmbeddingLoss(Loss):
    """The angle between two vectors, see :func:`portanet.nn.functional.cosine_embedding_loss`.

    Parameters
    ----------
    margin : float, default 0
        The cosine below which unlike vectors cost nothing.
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        check_number("margin", margin)
        self.margin = margin

    def forward(self, input1: Array, input2: Array, target: Array) -> Any:
        """Vectors of shape (batch, features) and labels (batch,)."""
        return embedding_losses.cosine_embedding_loss(
            input1, input2, target, self.margin, reduction=self.reduction
        )


class TripletMarginLoss(Loss):
    """Distances from a like and an unlike vector, see :func:`portanet.nn.functional.triplet_margin_loss`.

    Parameters
    ----------
    margin : float, default 1
        By how much farther the unlike one is to be; positive.
    p : float, default 2
        The order of the norm.
    eps : float, default 1e-6
        Added to each difference of two coordinates.
    swap : bool, default False
        Whether the distance between those two counts instead where it is the smaller one.
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        embedding_losses.check_margin("TripletMarginLoss", margin)
        check_number("eps", eps)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Array, positive: Array, negative: Array) -> Any:
        """Three times vectors of shape (..., features)."""
        return embedding_losses.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, reduction=self.reduction
        )


class TripletMarginWithDistanceLoss(Loss):
    """:class:`TripletMarginLoss` with a distance of one's own.

    See :func:`portanet.nn.functional.triplet_margin_with_distance_loss`.

    Parameters
    ----------
    distance_function : callable, optional
        Of two arrays of vectors; default: ``PairwiseDistance()``. A module is trained along.
    margin : float, default 1
        By how much farther the unlike one is to be; positive.
    swap : bool, default False
        Whether the distance between those two counts instead where it is the smaller one.
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Any, Any], Any] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        embedding_losses.check_margin("TripletMarginWithDistanceLoss", margin)
        if distance_function is not None and not callable(distance_function):
            raise OptionError(
                f"distance_function: expected a function of two arrays, got {distance_function!r}."
            )
        self.distance_function = PairwiseDistance() if distance_function is None else distance_function
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Array, positive: Array, negative: Array) -> Any:
        """Three times what the distance function takes."""
        return embedding_losses.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
