"""NAdam: Adam that looks ahead, with Nesterov's momentum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import sqrt
from typing import Any

from portanet.checks import check_number
from portanet.optim.betas import check_betas
from portanet.optim.optimizer import Optimizer
from portanet.protocols import Array, Namespace

__all__ = ["NAdam", "nadam"]


def _momentum(step: int, beta1: float, momentum_decay: float) -> float:
    """The momentum of a step, which grows towards ``beta1``."""
    return beta1 * (1 - 0.5 * 0.96 ** (step * momentum_decay))  # type: ignore[no-any-return]


def nadam(
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
    momentum_decay: float,
    decoupled_weight_decay: bool,
    maximize: bool,
    mu_product: float,
) -> tuple[Array, tuple[Array, ...]]:
    """One step of NAdam: the new parameter and the new state ``(exp_avg, exp_avg_sq)``.

    Momentum of step ``t`` is ``mu_t = beta1 * (1 - 0.96 ** (t * momentum_decay) / 2)``, and ``mu_product`` is the
    product of those before this step (Dozat, "Incorporating Nesterov momentum into Adam", 2016).
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
    mu, mu_ahead = _momentum(step, beta1, momentum_decay), _momentum(step + 1, beta1, momentum_decay)
    product = mu_product * mu
    numerator = ((1 - mu) / (1 - product)) * gradient + (mu_ahead / (1 - product * mu_ahead)) * exp_avg
    denominator = xp.sqrt(exp_avg_sq) / sqrt(1 - beta2**step) + eps
    return parameter - lr * (numerator / denominator), (exp_avg, exp_avg_sq)


class NAdam(Optimizer):
    """NAdam.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to optimize.
    lr : float, default 2e-3
        Learning rate.
    betas : pair of float, default (0.9, 0.999)
        How much of the running means of the gradient and of its square is kept.
    eps : float, default 1e-8
        Added to the denominator.
    weight_decay : float, default 0
        This times the parameter is added to the gradient, or shrinks the parameter.
    momentum_decay : float, default 4e-3
        How fast the momentum grows towards its full size.
    decoupled_weight_decay : bool, default False
        Shrink the parameters as in :class:`~portanet.optim.AdamW`.
    maximize : bool, default False
        Go up instead of down.
    """

    rule = staticmethod(nadam)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
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
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
            },
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if an option is outside its domain."""
        super().check_options(options)
        check_betas(options["betas"])
        for name in ("eps", "momentum_decay"):
            check_number(name, options[name], low=0.0)

    def state_slots(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The running means."""
        return ("exp_avg", "exp_avg_sq")

    def state_numbers(self, options: Mapping[str, Any]) -> dict[str, float]:
        """The product of the momenta so far."""
        return {"mu_product": 1.0}

    def next_numbers(
        self, step: int, numbers: Mapping[str, float], options: Mapping[str, Any]
    ) -> dict[str, float]:
        """The product with this step's momentum."""
        mu = _momentum(step, options["betas"][0], options["momentum_decay"])
        return {"mu_product": numbers["mu_product"] * mu}
