"""Losses of classes and of sequences of labels as modules."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from portanet.checks import check_number, whole_number
from portanet.dtypes import Device, DType
from portanet.functions.manipulation import reshape
from portanet.nn.functional.classification_losses import check_options, linear_cross_entropy, nll_loss
from portanet.nn.functional.ctc import ctc_loss
from portanet.nn.linear import Linear
from portanet.nn.losses import Loss
from portanet.protocols import Array
from portanet.tensor import Tensor

__all__ = ["CTCLoss", "LinearCrossEntropyLoss", "NLLLoss"]


class NLLLoss(Loss):
    """Negative log likelihood of classes, see :func:`portanet.nn.functional.nll_loss`.

    Parameters
    ----------
    weight : Tensor, optional
        A factor for each class.
    ignore_index : int, default -100
        Targets of this value count for nothing.
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    """

    weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input: Array, target: Array) -> Any:
        """``input`` log probabilities of shape (batch, classes, ...), ``target`` indices (batch, ...)."""
        return nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class LinearCrossEntropyLoss(Loss):
    """A linear layer to logits and their cross entropy, see :func:`portanet.nn.functional.linear_cross_entropy`.

    Parameters
    ----------
    in_features : int
        Size of each input.
    num_classes : int
        Number of classes.
    out_features : tuple of int, optional
        The axes of the targets after the batch; default none.
    bias : bool, default False
        Whether the layer has a bias.
    device, dtype
        Where its parameters are, and of which type; default: the backend in use, float32.
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    weight : Tensor, optional
        A factor for each class.
    ignore_index : int, optional
        Targets of this value count for nothing; default -100.
    label_smoothing : float, default 0
        How much of each target is spread evenly over all classes.
    options : None
        PyTorch's ways to compute in chunks are not available.

    Examples
    --------
    >>> loss_fn = pn.nn.LinearCrossEntropyLoss(5, 10, out_features=(4, 3), reduction="none")
    >>> loss_fn(pn.zeros((2, 5)), pn.zeros((2, 4, 3), dtype=pn.int64)).shape
    (2, 4, 3)
    """

    weight: Tensor | None

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: Sequence[int] = (),
        bias: bool = False,
        device: Device | str | None = None,
        dtype: DType | None = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: None = None,
    ) -> None:
        super().__init__(reduction)
        check_options(options)
        check_number("label_smoothing", label_smoothing, low=0, high=1)
        self.in_features = whole_number("in_features", in_features, low=0)
        self.num_classes = whole_number("num_classes", num_classes, low=1)
        self.out_features = tuple(whole_number("out_features", size, low=0) for size in out_features)
        self.bias = bool(bias)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.options = options
        outputs = self.num_classes * prod(self.out_features)
        self.linear = Linear(self.in_features, outputs, bias=self.bias, device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        self.linear.reset_parameters()

    def forward(self, input: Array, target: Array) -> Any:
        """``input`` (batch, in_features), ``target`` indices (batch, ...) or probabilities (batch, classes, ...)."""
        weight, bias = self.linear.weight, self.linear.bias
        if self.out_features:
            outputs = (self.num_classes, *self.out_features)
            weight = reshape(weight, (*outputs, self.in_features))
            bias = None if bias is None else reshape(bias, outputs)
        return linear_cross_entropy(
            input,
            weight,
            target,
            linear_bias=bias,
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )

    def extra_repr(self) -> str:
        """Sizes and options."""
        names = ("in_features", "num_classes", "out_features", "bias", "reduction", "ignore_index")
        return ", ".join(f"{name}={getattr(self, name)}" for name in (*names, "label_smoothing", "options"))


class CTCLoss(Loss):
    """Connectionist temporal classification, see :func:`portanet.nn.functional.ctc_loss`.

    Parameters
    ----------
    blank : int, default 0
        The class that stands for no label.
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    zero_infinity : bool, default False
        Whether an example costs 0, not infinity, if its labels do not fit into its steps.

    Examples
    --------
    >>> loss_fn = pn.nn.CTCLoss()
    >>> log_probs = pn.nn.functional.log_softmax(pn.zeros((50, 16, 20)), dim=2)
    >>> labels = pn.ones((16, 30), dtype=pn.int64)
    >>> loss_fn(log_probs, labels, (50,) * 16, (12,) * 16).shape
    ()
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction)
        self.blank = whole_number("blank", blank, low=0)
        self.zero_infinity = zero_infinity

    def forward(
        self,
        log_probs: Array,
        targets: Array,
        input_lengths: Array | Sequence[int],
        target_lengths: Array | Sequence[int],
    ) -> Any:
        """Log probabilities (steps, batch, classes), labels (batch, labels), and how many of each count."""
        return ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
