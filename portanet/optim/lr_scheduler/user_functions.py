"""Schedules by functions of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from portanet.errors import OptionError, StateDictError
from portanet.optim.lr_scheduler.scheduler import LRScheduler, require_optimizer, state_of_callable
from portanet.optim.optimizer import Optimizer

__all__ = ["LambdaLR", "MultiplicativeLR"]


class _ByFunctions(LRScheduler):
    """A schedule with a function for each group.

    Functions are not saved; of an object that can be called its attributes are.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        require_optimizer(optimizer)
        count = len(optimizer.param_groups)
        several = isinstance(lr_lambda, (list, tuple))
        self.lr_lambdas: list[Callable[[int], float]] = list(lr_lambda) if several else [lr_lambda] * count  # type: ignore[arg-type, list-item]
        if len(self.lr_lambdas) != count:
            raise OptionError(
                f"lr_lambda: expected a function, or one for each of the optimizer's {count} groups, got "
                f"{len(self.lr_lambdas)}."
            )
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(
                    f"lr_lambda: expected a function of the epoch, got {type(function).__name__}."
                )
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and functions; the attributes of objects that are called."""
        return {**super().state_dict(), "lr_lambdas": [state_of_callable(one) for one in self.lr_lambdas]}

    def _check_state(self, state_dict: Any) -> None:
        super()._check_state(state_dict)
        saved = state_dict["lr_lambdas"]
        if not isinstance(saved, (list, tuple)) or len(saved) != len(self.lr_lambdas):
            raise StateDictError(
                f"state_dict: lr_lambdas: expected the state of {len(self.lr_lambdas)} functions, got {saved!r}."
            )

    def _take_state(self, state_dict: Mapping[str, Any]) -> None:
        functions = self.lr_lambdas
        super()._take_state(state_dict)
        self.lr_lambdas = functions
        for function, saved in zip(functions, state_dict["lr_lambdas"], strict=True):
            if saved is not None:
                vars(function).update(saved)


class LambdaLR(_ByFunctions):
    """The learning rate at first, times a function of the epoch.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rate is set.
    lr_lambda : callable, or list of callable
        The factor at an epoch; a list has one function for each group. Functions are not saved in the state dict; of an
        object that can be called, the attributes are.
    last_epoch : int, default -1
        How many epochs are behind.

    Examples
    --------
    >>> optimizer = pn.optim.SGD([pn.Tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = pn.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def get_lr(self) -> list[float]:
        """The rates at first, times the function."""
        return [
            lr * factor(self.last_epoch) for lr, factor in zip(self.base_lrs, self.lr_lambdas, strict=True)
        ]


class MultiplicativeLR(_ByFunctions):
    """The learning rate of the epoch before, times a function of the epoch.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rate is set.
    lr_lambda : callable, or list of callable
        The factor at an epoch, as for :class:`LambdaLR`; not asked for the first one.
    last_epoch : int, default -1
        How many epochs are behind.
    """

    def get_lr(self) -> list[float]:
        """The rates set now, times the function."""
        rates = self.get_last_lr()
        if self._is_initial:
            return rates
        return [lr * factor(self.last_epoch) for lr, factor in zip(rates, self.lr_lambdas, strict=True)]
