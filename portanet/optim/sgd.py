"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from portanet.checks import check_number
from portanet.errors import OptionError
from portanet.optim.optimizer import Optimizer
from portanet.protocols import Array, Namespace

__all__ = ["SGD", "sgd"]


def sgd(
    xp: Namespace,
    parameter: Array,
    gradient: Array,
    state: tuple[Array, ...],
    *,
    step: int,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> tuple[Array, tuple[Array, ...]]:
    """One step of SGD: the new parameter and the new state ``(momentum_buffer,)``, empty without momentum.

    With Nesterov momentum it looks ahead by one step (Sutskever et al., "On the importance of initialization
    and momentum in deep learning", ICML 2013), in PyTorch's form.
    """
    if maximize:
        gradient = -gradient
    if weight_decay:
        gradient = gradient + weight_decay * parameter
    if momentum:
        (velocity,) = state
        velocity = gradient if step == 1 else momentum * velocity + (1 - dampening) * gradient
        state = (velocity,)
        gradient = gradient + momentum * velocity if nesterov else velocity
    return parameter - lr * gradient, state


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to optimize.
    lr : float, default 1e-3
        Learning rate.
    momentum : float, default 0
        How much of the last step is kept.
    dampening : float, default 0
        How much less than 1 the gradient counts in the momentum.
    weight_decay : float, default 0
        L2 penalty: this times the parameter is added to the gradient.
    nesterov : bool, default False
        Look ahead; needs momentum and no dampening.
    maximize : bool, default False
        Go up instead of down.

    Examples
    --------
    >>> x = pn.Tensor([1.0], requires_grad=True)
    >>> optimizer = pn.optim.SGD([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x
    Tensor([0.8], requires_grad=True)
    """

    takes_complex = True
    rule = staticmethod(sgd)
    # PyTorch's SGD saves no step count, and the rule asks no more than whether it is the first.
    step_if_not_saved = 1

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if an option is outside its domain."""
        super().check_options(options)
        check_number("momentum", options["momentum"], low=0.0)
        check_number("dampening", options["dampening"], low=0.0)
        if options["nesterov"] and (options["momentum"] <= 0 or options["dampening"] != 0):
            raise OptionError(
                f"nesterov: needs momentum above 0 and no dampening, got momentum={options['momentum']} and "
                f"dampening={options['dampening']}."
            )

    def state_slots(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The velocity, if there is momentum."""
        return ("momentum_buffer",) if options["momentum"] else ()
