"""Adafactor: the mean square of a matrix's gradient, kept as one number a row and one a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from portanet.checks import check_number
from portanet.errors import OptionError
from portanet.optim.optimizer import Optimizer
from portanet.protocols import Array, Namespace

__all__ = ["Adafactor", "adafactor"]


def _root_mean_square(xp: Namespace, x: Array) -> Array:
    return xp.sqrt(xp.mean(x * x))


def adafactor(
    xp: Namespace,
    parameter: Array,
    gradient: Array,
    state: tuple[Array, ...],
    *,
    step: int,
    lr: float,
    beta2_decay: float,
    eps: tuple[float | None, float],
    d: float,
    weight_decay: float,
    maximize: bool,
) -> tuple[Array, tuple[Array, ...]]:
    """One step of Adafactor: the new parameter and the new state.

    The state of a parameter with two axes or more is ``(row_var, col_var)``, the running mean squares of the
    gradient over the last axis and over the one before; their product over their mean stands for the mean square
    of each element. With fewer axes it is ``(variance,)``. Steps are relative to the size of the parameter, and
    clipped to ``d`` times that in the root mean square (Shazeer and Stern, "Adafactor: adaptive learning rates
    with sublinear memory cost", ICML 2018).
    """
    if 0 in parameter.shape:
        return parameter, state
    smallest_square, smallest_size = eps
    if smallest_square is None:
        smallest_square = float(xp.finfo(parameter.dtype).eps)
    if maximize:
        gradient = -gradient
    renewed = step**beta2_decay
    size = xp.clip(_root_mean_square(xp, parameter), min=smallest_size)
    rate = min(lr, step**-0.5) * size
    if weight_decay:
        parameter = parameter * (1 - lr * weight_decay)
    square = gradient * gradient
    if gradient.ndim > 1:
        row_var = (1 - renewed) * state[0] + renewed * xp.mean(square, axis=-1, keepdims=True)
        col_var = (1 - renewed) * state[1] + renewed * xp.mean(square, axis=-2, keepdims=True)
        state = (row_var, col_var)
        mean = xp.clip(xp.mean(row_var, axis=-2, keepdims=True), min=smallest_square)
        spread = row_var * col_var / mean  # (..., rows, 1) * (..., 1, columns)
    else:
        spread = (1 - renewed) * state[0] + renewed * square
        state = (spread,)
    update = gradient / xp.sqrt(xp.clip(spread, min=smallest_square * smallest_square))
    excess = xp.clip(_root_mean_square(xp, update) / d, min=1.0)
    return parameter - (rate / excess) * update, state


class Adafactor(Optimizer):
    """Adafactor.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to optimize.
    lr : float, default 1e-2
        Largest step relative to the size of the parameter; in step ``t`` it is at most ``1 / sqrt(t)``.
    beta2_decay : float, default -0.8
        In step ``t`` the share ``t ** beta2_decay`` of the mean squares is renewed.
    eps : pair of float, default (None, 1e-3)
        Lower bounds of the mean square, None for the data type's machine epsilon, and of the size of a parameter.
    d : float, default 1
        Steps with a root mean square above this are scaled down to it.
    weight_decay : float, default 0
        Each step shrinks the parameter by ``lr * weight_decay`` of itself.
    maximize : bool, default False
        Go up instead of down.

    Examples
    --------
    >>> model = pn.nn.Linear(3, 2)
    >>> optimizer = pn.optim.Adafactor(model.parameters())
    >>> model(pn.ones((4, 3))).sum().backward()
    >>> optimizer.step()
    >>> {name: value.shape for name, value in optimizer.state[model.weight].items() if name != "step"}
    {'row_var': (2, 1), 'col_var': (1, 3)}
    """

    rule = staticmethod(adafactor)
    elementwise = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "beta2_decay": beta2_decay,
                "eps": eps,
                "d": d,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if an option is outside its domain."""
        super().check_options(options)
        check_number("beta2_decay", options["beta2_decay"], high=0.0)
        eps = options["eps"]
        if not isinstance(eps, (tuple, list)) or len(eps) != 2:
            raise OptionError(f"eps: expected a pair, such as (None, 1e-3), got {eps!r}.")
        if eps[0] is not None:
            check_number("eps[0]", eps[0], low=0.0)
        check_number("eps[1]", eps[1], low=0.0)
        check_number("d", options["d"], low=1.0)

    def state_slots(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The mean squares of rows and columns, or of each element."""
        return ("row_var", "col_var", "variance")

    def state_shape(self, slot: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """One number a row and one a column, if there are any."""
        if len(shape) < 2:
            return shape if slot == "variance" else None
        return {"row_var": (*shape[:-1], 1), "col_var": (*shape[:-2], 1, shape[-1])}.get(slot)
