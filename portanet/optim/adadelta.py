"""Adadelta: steps in the unit of the parameter, measured by the steps before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from portanet.checks import check_number
from portanet.optim.optimizer import Optimizer
from portanet.protocols import Array, Namespace

__all__ = ["Adadelta", "adadelta"]


def adadelta(
    xp: Namespace,
    parameter: Array,
    gradient: Array,
    state: tuple[Array, ...],
    *,
    step: int,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> tuple[Array, tuple[Array, ...]]:
    """One step of Adadelta: the new parameter and the new state ``(square_avg, acc_delta)``.

    The gradient times the root mean square of past steps, over that of past gradients (Zeiler, "Adadelta: an
    adaptive learning rate method", 2012).
    """
    if maximize:
        gradient = -gradient
    if weight_decay:
        gradient = gradient + weight_decay * parameter
    square_avg = rho * state[0] + (1 - rho) * (gradient * gradient)
    delta = xp.sqrt(state[1] + eps) / xp.sqrt(square_avg + eps) * gradient
    acc_delta = rho * state[1] + (1 - rho) * (delta * delta)
    return parameter - lr * delta, (square_avg, acc_delta)


class Adadelta(Optimizer):
    """Adadelta.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to optimize.
    lr : float, default 1
        Factor of each step.
    rho : float, default 0.9
        How much of the running mean squares is kept.
    eps : float, default 1e-6
        Added under the roots.
    weight_decay : float, default 0
        This times the parameter is added to the gradient.
    maximize : bool, default False
        Go up instead of down.
    """

    rule = staticmethod(adadelta)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize},
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if an option is outside its domain."""
        super().check_options(options)
        check_number("rho", options["rho"], low=0.0, high=1.0)
        check_number("eps", options["eps"], low=0.0)

    def state_slots(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The mean squares of the gradient and of the steps."""
        return ("square_avg", "acc_delta")
