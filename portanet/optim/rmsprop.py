"""RMSprop: steps measured by the running size of the gradient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from portanet.checks import check_number
from portanet.optim.optimizer import Optimizer
from portanet.protocols import Array, Namespace

__all__ = ["RMSprop", "rmsprop"]


def rmsprop(
    xp: Namespace,
    parameter: Array,
    gradient: Array,
    state: tuple[Array, ...],
    *,
    step: int,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
    maximize: bool,
) -> tuple[Array, tuple[Array, ...]]:
    """One step of RMSprop: the new parameter and the new state.

    The state is ``(square_avg,)``, with ``momentum_buffer`` after it if there is momentum, and ``grad_avg`` last
    if ``centered``. The gradient is divided by the root of its running mean square (Tieleman and Hinton, "Neural
    networks for machine learning", lecture 6.5, 2012), or by its running standard deviation (Graves, "Generating
    sequences with recurrent neural networks", 2013).
    """
    if maximize:
        gradient = -gradient
    if weight_decay:
        gradient = gradient + weight_decay * parameter
    square_avg = alpha * state[0] + (1 - alpha) * (gradient * gradient)
    new_state: tuple[Array, ...] = (square_avg,)
    spread = square_avg
    if centered:
        grad_avg = alpha * state[-1] + (1 - alpha) * gradient
        spread = square_avg - grad_avg * grad_avg
    update = gradient / (xp.sqrt(spread) + eps)
    if momentum:
        update = momentum * state[1] + update
        new_state = (*new_state, update)
    if centered:
        new_state = (*new_state, grad_avg)
    return parameter - lr * update, new_state


class RMSprop(Optimizer):
    """RMSprop, with momentum if wanted.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to optimize.
    lr : float, default 1e-2
        Learning rate.
    alpha : float, default 0.99
        How much of the running mean square is kept.
    eps : float, default 1e-8
        Added to the denominator.
    weight_decay : float, default 0
        This times the parameter is added to the gradient.
    momentum : float, default 0
        How much of the last step is kept.
    centered : bool, default False
        Divide by the standard deviation of the gradient instead of the root of its mean square.
    maximize : bool, default False
        Go up instead of down.

    Examples
    --------
    >>> x = pn.Tensor([1.0], requires_grad=True)
    >>> optimizer = pn.optim.RMSprop([x], lr=0.01)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    0.9
    """

    rule = staticmethod(rmsprop)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if an option is outside its domain."""
        super().check_options(options)
        for name in ("alpha", "eps", "momentum"):
            check_number(name, options[name], low=0.0)

    def state_slots(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The mean square, and what momentum and centering keep."""
        momentum = ("momentum_buffer",) if options["momentum"] else ()
        return ("square_avg", *momentum, *(("grad_avg",) if options["centered"] else ()))
