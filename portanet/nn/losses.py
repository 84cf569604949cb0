"""Losses as modules."""

from __future__ import annotations

from typing import Any

from portanet.errors import OptionError
from portanet.nn import functional
from portanet.nn.functional.losses import check_reduction
from portanet.nn.module import Module
from portanet.protocols import Array
from portanet.tensor import Tensor

__all__ = ["BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "Loss", "MSELoss"]


class Loss(Module):
    """What all losses share: the name of a reduction.

    Parameters
    ----------
    reduction : str
        ``"none"``, ``"mean"`` or ``"sum"``.
    """

    reduction: str

    def __init__(self, reduction: str) -> None:
        check_reduction(reduction)
        self.reduction = reduction


class MSELoss(Loss):
    """Squared error, see :func:`portanet.nn.functional.mse_loss`.

    Parameters
    ----------
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Array, target: Array) -> Any:
        """``input`` and ``target`` of one shape."""
        return functional.mse_loss(input, target, self.reduction)


class BCELoss(Loss):
    """Cross entropy of probabilities, see :func:`portanet.nn.functional.binary_cross_entropy`.

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
        """``input`` and ``target`` of one shape, between 0 and 1."""
        return functional.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(Loss):
    """Cross entropy of logits, see :func:`portanet.nn.functional.binary_cross_entropy_with_logits`.

    Parameters
    ----------
    weight : Tensor, optional
        A factor for each element, broadcast to the input.
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    pos_weight : Tensor, optional
        A factor for the positive part of each element, broadcast to the input.
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, reduction: str = "mean", pos_weight: Tensor | None = None
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Array, target: Array) -> Any:
        """``input`` logits and ``target`` between 0 and 1, of one shape."""
        return functional.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class CrossEntropyLoss(Loss):
    """Cross entropy of logits and classes, see :func:`portanet.nn.functional.cross_entropy`.

    Parameters
    ----------
    weight : Tensor, optional
        A factor for each class.
    ignore_index : int, default -100
        Targets of this value count for nothing.
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    label_smoothing : float, default 0
        How much of each target is spread evenly over all classes.
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        if not 0.0 <= label_smoothing <= 1.0:
            raise OptionError(f"label_smoothing: expected a number from 0 to 1, got {label_smoothing!r}.")
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Array, target: Array) -> Any:
        """``input`` of shape (batch, classes, ...), ``target`` indices (batch, ...) or probabilities like ``input``."""
        return functional.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )
