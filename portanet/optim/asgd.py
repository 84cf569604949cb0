"""Averaged stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from portanet.checks import check_number
from portanet.optim.optimizer import Optimizer
from portanet.protocols import Array, Namespace

__all__ = ["ASGD", "asgd"]


def asgd(
    xp: Namespace,
    parameter: Array,
    gradient: Array,
    state: tuple[Array, ...],
    *,
    step: int,
    lr: float,
    lambd: float,
    alpha: float,
    t0: float,
    weight_decay: float,
    maximize: bool,
    eta: float,
    mu: float,
) -> tuple[Array, tuple[Array, ...]]:
    """One step of averaged SGD: the new parameter and the new state ``(ax,)``, the mean of the parameters.

    ``eta`` is the learning rate of this step and ``mu`` the weight of the newest parameters in the mean (Polyak and
    Juditsky, "Acceleration of stochastic approximation by averaging", 1992, with the rates of Bottou's SGD).
    """
    if maximize:
        gradient = -gradient
    if weight_decay:
        gradient = gradient + weight_decay * parameter
    parameter = parameter * (1 - lambd * eta) - eta * gradient
    mean = parameter if mu == 1 else state[0] + (parameter - state[0]) * mu
    return parameter, (mean,)


class ASGD(Optimizer):
    """Averaged stochastic gradient descent; the average is the state ``"ax"`` of each parameter.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to optimize.
    lr : float, default 1e-2
        Learning rate at first; after step ``t`` it is ``lr / (1 + lambd * lr * t) ** alpha``.
    lambd : float, default 1e-4
        Each step shrinks the parameter by this times the learning rate.
    alpha : float, default 0.75
        Power of the decay of the learning rate.
    t0 : float, default 1e6
        Step from which on parameters are averaged.
    weight_decay : float, default 0
        This times the parameter is added to the gradient.
    maximize : bool, default False
        Go up instead of down.
    """

    rule = staticmethod(asgd)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "lambd": lambd,
                "alpha": alpha,
                "t0": t0,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if an option is outside its domain."""
        super().check_options(options)
        for name in ("lambd", "alpha", "t0"):
            check_number(name, options[name])

    def state_slots(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The mean of the parameters."""
        return ("ax",)

    def state_numbers(self, options: Mapping[str, Any]) -> dict[str, float]:
        """The learning rate and the weight in the mean of the first step."""
        return {"eta": float(options["lr"]), "mu": 1.0}

    def next_numbers(
        self, step: int, numbers: Mapping[str, float], options: Mapping[str, Any]
    ) -> dict[str, float]:
        """The learning rate and the weight in the mean of the step after ``step``."""
        lr = options["lr"]
        return {
            "eta": lr / (1 + options["lambd"] * lr * step) ** options["alpha"],
            "mu": 1 / max(1, step - options["t0"]),
        }
