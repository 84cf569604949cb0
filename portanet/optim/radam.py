"""RAdam: Adam that waits until it knows how much its steps vary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import sqrt
from typing import Any

from portanet.checks import check_number
from portanet.optim.betas import check_betas
from portanet.optim.optimizer import Optimizer
from portanet.protocols import Array, Namespace

__all__ = ["RAdam", "radam"]


def _rectification(step: int, beta2: float) -> float | None:
    """By how much the variance of a step's size asks for a smaller step; None as long as it cannot be told.

    It follows from the length of the simple moving average that ``beta2`` stands for after so many steps, and takes
    more than 5.
    """
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * step * beta2**step / (1 - beta2**step)
    if length <= 5:
        return None
    return sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))


def radam(
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
    decoupled_weight_decay: bool,
    maximize: bool,
) -> tuple[Array, tuple[Array, ...]]:
    """One step of RAdam: the new parameter and the new state ``(exp_avg, exp_avg_sq)``.

    The first steps go along the running mean as it is; later ones are Adam's, times a rectification that grows
    towards 1 (Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020).
    """
    beta1, beta2 = betas
    if maximize:
        gradient = -gradient
    if weight_decay:
        if decoupled_weight_decay:
            parameter = parameter * (1 - lr * weight_decay)
        else:
            gradient = gradient + weight_decay * parameter
    exp_avg = beta1 * state[0] + (1 - beta1) * gradient
    exp_avg_sq = beta2 * state[1] + (1 - beta2) * (gradient * gradient)
    rate, update = lr / (1 - beta1**step), exp_avg
    rectification = _rectification(step, beta2)
    if rectification is not None:
        rate = rate * rectification * sqrt(1 - beta2**step)
        update = exp_avg / (xp.sqrt(exp_avg_sq) + eps)
    return parameter - rate * update, (exp_avg, exp_avg_sq)


class RAdam(Optimizer):
    """RAdam.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to optimize.
    lr : float, default 1e-3
        Learning rate.
    betas : pair of float, default (0.9, 0.999)
        How much of the running means of the gradient and of its square is kept.
    eps : float, default 1e-8
        Added to the denominator.
    weight_decay : float, default 0
        This times the parameter is added to the gradient, or shrinks the parameter.
    decoupled_weight_decay : bool, default False
        Shrink the parameters as in :class:`~portanet.optim.AdamW`.
    maximize : bool, default False
        Go up instead of down.
    """

    rule = staticmethod(radam)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
            },
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if an option is outside its domain."""
        super().check_options(options)
        check_betas(options["betas"])
        check_number("eps", options["eps"], low=0.0)

    def state_slots(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The running means."""
        return ("exp_avg", "exp_avg_sq")
