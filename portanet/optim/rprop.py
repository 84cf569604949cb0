"""Rprop: steps by the sign of the gradient alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from portanet.checks import check_number
from portanet.errors import OptionError
from portanet.optim.optimizer import Optimizer
from portanet.protocols import Array, Namespace

__all__ = ["Rprop", "rprop"]


def rprop(
    xp: Namespace,
    parameter: Array,
    gradient: Array,
    state: tuple[Array, ...],
    *,
    step: int,
    etas: tuple[float, float],
    step_sizes: tuple[float, float],
    maximize: bool,
) -> tuple[Array, tuple[Array, ...]]:
    """One step of Rprop: the new parameter and the new state ``(prev, step_size)``.

    Where the gradient keeps its sign the step grows, where it changes the step shrinks and waits for the next gradient
    (Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning", 1993, without going back).
    """
    shrink, grow = etas
    smallest, largest = step_sizes
    previous, size = state
    if maximize:
        gradient = -gradient
    agreement = previous * gradient
    turned = agreement < 0
    size = xp.where(turned, size * shrink, xp.where(agreement > 0, size * grow, size))
    size = xp.clip(size, min=smallest, max=largest)
    gradient = xp.where(turned, xp.zeros_like(gradient), gradient)
    return parameter - xp.sign(gradient) * size, (gradient, size)


class Rprop(Optimizer):
    """Resilient backpropagation, for gradients of the whole data, not of batches.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to optimize.
    lr : float, default 1e-2
        Size of each element's first step.
    etas : pair of float, default (0.5, 1.2)
        Factors by which steps shrink and grow.
    step_sizes : pair of float, default (1e-6, 50)
        The smallest and the largest step.
    maximize : bool, default False
        Go up instead of down.
    """

    rule = staticmethod(rprop)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize})

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if an option is outside its domain."""
        super().check_options(options)
        for name in ("etas", "step_sizes"):
            pair = options[name]
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise OptionError(f"{name}: expected a pair of numbers, got {pair!r}.")
            for i, number in enumerate(pair):
                check_number(f"{name}[{i}]", number, low=0.0)
        shrink, grow = options["etas"]
        if not 0 < shrink < 1 < grow:
            raise OptionError(
                f"etas: expected one number between 0 and 1 and one above 1, got {(shrink, grow)}."
            )

    def state_slots(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The last gradient and the size of each element's step."""
        return ("prev", "step_size")

    def first_value(self, slot: str, options: Mapping[str, Any]) -> float:
        """The size of the first step."""
        return float(options["lr"]) if slot == "step_size" else 0.0

    def rule_options(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """The rule's keyword arguments for a group."""
        options = super().rule_options(group)
        del options["lr"]  # it is the size of the first step, and asked for no more
        return options
