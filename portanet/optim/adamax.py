"""Adamax: Adam with the largest gradient in place of the mean square."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from portanet.checks import check_number
from portanet.optim.betas import check_betas
from portanet.optim.optimizer import Optimizer
from portanet.protocols import Array, Namespace

__all__ = ["Adamax", "adamax"]


def adamax(
    xp: Namespace,
    parameter: Array,
    gradient: Array,
    state: tuple[Array, ...],
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> tuple[Array, tuple[Array, ...]]:
    """One step of Adamax: the new parameter and the new state ``(exp_avg, exp_inf)``.

    ``exp_inf`` is the largest size of the gradient, where old ones shrink by ``beta2`` a step (Kingma and Ba,
    "Adam", ICLR 2015, section 7).
    """
    beta1, beta2 = betas
    if maximize:
        gradient = -gradient
    if weight_decay:
        gradient = gradient + weight_decay * parameter
    exp_avg = beta1 * state[0] + (1 - beta1) * gradient
    exp_inf = xp.maximum(beta2 * state[1], xp.abs(gradient) + eps)
    return parameter - (lr / (1 - beta1**step)) * (exp_avg / exp_inf), (exp_avg, exp_inf)


class Adamax(Optimizer):
    """Adamax.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to optimize.
    lr : float, default 2e-3
        Learning rate.
    betas : pair of float, default (0.9, 0.999)
        How much of the running mean of the gradient, and of its largest size, is kept.
    eps : float, default 1e-8
        Added to the size of each gradient.
    weight_decay : float, default 0
        This times the parameter is added to the gradient.
    maximize : bool, default False
        Go up instead of down.
    """

    rule = staticmethod(adamax)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize},
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if an option is outside its domain."""
        super().check_options(options)
        check_betas(options["betas"])
        check_number("eps", options["eps"], low=0.0)

    def state_slots(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The running mean and the largest size."""
        return ("exp_avg", "exp_inf")
