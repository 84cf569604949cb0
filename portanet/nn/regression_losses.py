"""Losses of numbers as modules."""

from __future__ import annotations

from typing import Any

from portanet.checks import check_number
from portanet.nn.functional import regression_losses as functional
from portanet.nn.functional.reduction import check_reduction
from portanet.nn.losses import Loss
from portanet.nn.module import Module
from portanet.protocols import Array

__all__ = ["GaussianNLLLoss", "HuberLoss", "KLDivLoss", "L1Loss", "PoissonNLLLoss", "SmoothL1Loss"]


class L1Loss(Loss):
    """Absolute error, see :func:`portanet.nn.functional.l1_loss`.

    Parameters
    ----------
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Array, target: Array) -> Any:
        """``input`` and ``target`` of one shape."""
        return functional.l1_loss(input, target, self.reduction)


class SmoothL1Loss(Loss):
    """Squared error of small differences, absolute error of large ones.

    See :func:`portanet.nn.functional.smooth_l1_loss`.

    Parameters
    ----------
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    beta : float, default 1
        Where the two parts meet, not negative.
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        check_number("beta", beta, low=0)
        self.beta = beta

    def forward(self, input: Array, target: Array) -> Any:
        """``input`` and ``target`` of one shape."""
        return functional.smooth_l1_loss(input, target, self.reduction, self.beta)


class HuberLoss(Loss):
    """Huber's loss, see :func:`portanet.nn.functional.huber_loss`.

    Parameters
    ----------
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    delta : float, default 1
        Where the two parts meet, positive.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        functional.check_positive("delta", delta)
        self.delta = delta

    def forward(self, input: Array, target: Array) -> Any:
        """``input`` and ``target`` of one shape."""
        return functional.huber_loss(input, target, self.reduction, self.delta)


class PoissonNLLLoss(Loss):
    """Negative log likelihood of counts, see :func:`portanet.nn.functional.poisson_nll_loss`.

    Parameters
    ----------
    log_input : bool, default True
        Whether the input is the logarithm of the rate.
    full : bool, default False
        Whether to add Stirling's approximation of ``log(target!)``.
    eps : float, default 1e-8
        Keeps the logarithm of a rate of 0 finite.
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    """

    def __init__(
        self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        check_number("eps", eps, low=0)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, input: Array, target: Array) -> Any:
        """``input`` and counts ``target`` of one shape."""
        return functional.poisson_nll_loss(
            input, target, self.log_input, self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(Loss):
    """Negative log likelihood under a normal distribution, see :func:`portanet.nn.functional.gaussian_nll_loss`.

    Parameters
    ----------
    full : bool, default False
        Whether to add the constant ``0.5 * log(2 * pi)``.
    eps : float, default 1e-6
        The least variance.
    reduction : str, default "mean"
        ``"none"``, ``"mean"`` or ``"sum"``.
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        functional.check_positive("eps", eps)
        self.full = full
        self.eps = eps

    def forward(self, input: Array, target: Array, var: Array | float) -> Any:
        """``input`` and ``target`` of one shape, variances that broadcast to it."""
        return functional.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


class KLDivLoss(Module):
    """Kullback-Leibler divergence, see :func:`portanet.nn.functional.kl_div`.

    Parameters
    ----------
    reduction : str, default "mean"
        ``"batchmean"`` for the divergence as it is defined; ``"none"``, ``"mean"`` or ``"sum"``.
    log_target : bool, default False
        Whether the target holds logarithms.
    """

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        check_reduction(reduction, functional.KL_REDUCTIONS)
        self.reduction = reduction
        self.log_target = log_target

    def forward(self, input: Array, target: Array) -> Any:
        """Log probabilities and probabilities of one shape."""
        return functional.kl_div(input, target, self.reduction, self.log_target)
