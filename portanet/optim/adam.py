"""Adam and AdamW: one rule, and what weight decay means in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import sqrt
from typing import Any

from portanet.checks import check_number
from portanet.errors import OptionError
from portanet.optim.optimizer import Optimizer
from portanet.protocols import Array, Namespace

__all__ = ["Adam", "AdamW", "adam"]


def adam(
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
    amsgrad: bool,
    maximize: bool,
) -> tuple[Array, tuple[Array, ...]]:
    """One step of Adam: the new parameter and the new state.

    The state is ``(exp_avg, exp_avg_sq)``, and for AMSGrad ``max_exp_avg_sq``, too.

    ``exp_avg`` and ``exp_avg_sq`` are running means of the gradient and of its square, both too small at
    first by the factors ``1 - beta ** step``, which the step size and the denominator make up for (Kingma and
    Ba, "Adam", ICLR 2015). Decoupled weight decay shrinks the parameter itself and does not pass through the
    means (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019). AMSGrad divides by the
    largest ``exp_avg_sq`` so far (Reddi et al., ICLR 2018).
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
    new_state: tuple[Array, ...] = (exp_avg, exp_avg_sq)
    spread = exp_avg_sq
    if amsgrad:
        spread = xp.maximum(state[2], exp_avg_sq)
        new_state = (exp_avg, exp_avg_sq, spread)
    denominator = xp.sqrt(spread) / sqrt(1 - beta2**step) + eps
    return parameter - (lr / (1 - beta1**step)) * (exp_avg / denominator), new_state


class Adam(Optimizer):
    """Adam, with weight decay as an L2 penalty; :class:`AdamW` is the one with decoupled decay.

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
        This times the parameter is added to the gradient.
    amsgrad : bool, default False
        Divide by the largest mean square so far.
    maximize : bool, default False
        Go up instead of down.
    decoupled_weight_decay : bool, default False
        Shrink the parameter instead, as :class:`AdamW` does.
    """

    rule = staticmethod(adam)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if an option is outside its domain."""
        super().check_options(options)
        betas = options["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise OptionError(f"betas: expected a pair of numbers, got {betas!r}.")
        for i, beta in enumerate(betas):
            check_number(f"betas[{i}]", beta, low=0.0, high=1.0, open_end=True)
        check_number("eps", options["eps"], low=0.0)

    def state_slots(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The running means."""
        return ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if options["amsgrad"] else ()))


class AdamW(Adam):
    """Adam with decoupled weight decay: each step shrinks the parameters by ``lr * weight_decay`` of themselves.

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
    weight_decay : float, default 1e-2
        Share by which parameters shrink, times the learning rate.
    amsgrad : bool, default False
        Divide by the largest mean square so far.
    maximize : bool, default False
        Go up instead of down.

    Examples
    --------
    >>> model = pn.nn.Linear(2, 1)
    >>> optimizer = pn.optim.AdamW(model.parameters(), lr=1e-3)
    >>> model(pn.ones((4, 2))).sum().backward()
    >>> optimizer.step()
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True
        )

    def rule_options(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """The rule's keyword arguments for a group; decay stays decoupled, whatever a state of Adam's says."""
        return {**super().rule_options(group), "decoupled_weight_decay": True}
