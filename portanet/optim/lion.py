"""Lion: steps by the sign of a running mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from portanet.optim.betas import check_betas
from portanet.optim.optimizer import Optimizer
from portanet.protocols import Array, Namespace

__all__ = ["Lion", "lion"]


def lion(
    xp: Namespace,
    parameter: Array,
    gradient: Array,
    state: tuple[Array, ...],
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    weight_decay: float,
    maximize: bool,
) -> tuple[Array, tuple[Array, ...]]:
    """One step of Lion: the new parameter and the new state ``(exp_avg,)``.

    The step has the sign of ``beta1 * exp_avg + (1 - beta1) * gradient``, and the running mean is then renewed with
    ``beta2`` (Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023).
    """
    beta1, beta2 = betas
    (exp_avg,) = state
    if maximize:
        gradient = -gradient
    update = xp.sign(beta1 * exp_avg + (1 - beta1) * gradient)
    if weight_decay:
        parameter = parameter * (1 - lr * weight_decay)
    return parameter - lr * update, (beta2 * exp_avg + (1 - beta2) * gradient,)


class Lion(Optimizer):
    """Lion. Every element moves by the learning rate, so it wants one three to ten times smaller than AdamW's.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to optimize.
    lr : float, default 1e-4
        Learning rate.
    betas : pair of float, default (0.9, 0.99)
        How much of the running mean counts in the step, and how much of it is kept.
    weight_decay : float, default 0
        Share by which parameters shrink, times the learning rate.
    maximize : bool, default False
        Go up instead of down.

    Examples
    --------
    >>> x = pn.Tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = pn.optim.Lion([x], lr=0.5)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x
    Tensor([ 0.5, -1.5], requires_grad=True)
    """

    rule = staticmethod(lion)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if an option is outside its domain."""
        super().check_options(options)
        check_betas(options["betas"])

    def state_slots(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The running mean."""
        return ("exp_avg",)
