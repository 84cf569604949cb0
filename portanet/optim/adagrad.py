"""Adagrad: steps that shrink with all the gradients so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from portanet.checks import check_number
from portanet.optim.optimizer import Optimizer
from portanet.protocols import Array, Namespace

__all__ = ["Adagrad", "adagrad"]


def adagrad(
    xp: Namespace,
    parameter: Array,
    gradient: Array,
    state: tuple[Array, ...],
    *,
    step: int,
    lr: float,
    lr_decay: float,
    weight_decay: float,
    eps: float,
    maximize: bool,
) -> tuple[Array, tuple[Array, ...]]:
    """One step of Adagrad: the new parameter and the new state ``(sum,)``.

    The gradient is divided by the root of the sum of all its squares so far (Duchi, Hazan and Singer, "Adaptive
    subgradient methods for online learning and stochastic optimization", JMLR 2011).
    """
    if maximize:
        gradient = -gradient
    if weight_decay:
        gradient = gradient + weight_decay * parameter
    total = state[0] + gradient * gradient
    rate = lr / (1 + (step - 1) * lr_decay)
    return parameter - rate * (gradient / (xp.sqrt(total) + eps)), (total,)


class Adagrad(Optimizer):
    """Adagrad.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to optimize.
    lr : float, default 1e-2
        Learning rate.
    lr_decay : float, default 0
        The learning rate of step ``t`` is ``lr / (1 + (t - 1) * lr_decay)``.
    weight_decay : float, default 0
        This times the parameter is added to the gradient.
    initial_accumulator_value : float, default 0
        What the sum of squares begins with, whatever a group says of it.
    eps : float, default 1e-10
        Added to the denominator.
    maximize : bool, default False
        Go up instead of down.

    Examples
    --------
    >>> x = pn.Tensor([1.0], requires_grad=True)
    >>> optimizer = pn.optim.Adagrad([x], lr=0.5)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x
    Tensor([0.5], requires_grad=True)
    """

    rule = staticmethod(adagrad)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "maximize": maximize,
            },
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if an option is outside its domain."""
        super().check_options(options)
        for name in ("lr_decay", "initial_accumulator_value", "eps"):
            check_number(name, options[name], low=0.0)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Optimize further parameters, with options of their own.

        As in PyTorch, each parameter has its state from now on, and not from its first step on.
        """
        super().add_param_group(group)
        added = self.param_groups[-1]
        for tensor in added["params"]:
            self._state_of(tensor, added)

    def state_slots(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The sum of squares."""
        return ("sum",)

    def first_value(self, slot: str, options: Mapping[str, Any]) -> float:
        """What the sum of squares begins with; as in PyTorch, the same in all groups."""
        return float(self.defaults["initial_accumulator_value"])

    def rule_options(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """The rule's keyword arguments for a group."""
        options = super().rule_options(group)
        del options["initial_accumulator_value"]
        return options
