"""What all schedules share."""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import Any

from portanet.checks import check_number
from portanet.errors import OptionError, StateDictError
from portanet.optim.optimizer import Optimizer

__all__ = ["LRScheduler", "per_group", "require_optimizer", "state_of_callable"]

_COUNTERS = ("_step_count", "_is_initial", "_last_lr")


def require_optimizer(optimizer: Any) -> None:
    """Raise unless it is an optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer: expected an Optimizer, got {type(optimizer).__name__}.")


def per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One number for each of the optimizer's groups, from one for all or from a list of them.

    Raises
    ------
    OptionError
        If there are more or fewer, or one is no number.
    """
    count = len(optimizer.param_groups)
    values = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(values) != count:
        raise OptionError(
            f"{name}: expected one number, or one for each of the optimizer's {count} groups, got {len(values)}."
        )
    for number in values:
        check_number(name, number)
    return values


def state_of_callable(function: Any) -> dict[str, Any] | None:
    """What is saved of a user's function: the attributes of an object that can be called, nothing of a function."""
    return None if isinstance(function, FunctionType) else dict(getattr(function, "__dict__", {}))


class LRScheduler:
    """The base class: a subclass defines :meth:`get_lr`.

    It may go by ``last_epoch``, by ``base_lrs``, the learning rates at first, and by ``self.optimizer.param_groups``,
    the rates set now; ``_is_initial`` is True while the schedule is being made.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``"lr"`` is set.
    last_epoch : int, default -1
        How many epochs are behind; -1: none.
    """

    _step_count: int = 0
    _is_initial: bool = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        require_optimizer(optimizer)
        self.optimizer = optimizer
        self.last_epoch = last_epoch
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise OptionError(
                    "last_epoch: going on from an epoch needs 'initial_lr' in the optimizer's groups; "
                    "load the optimizer's state dict first."
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the learning rates of the first epoch."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[float]:
        """The learning rate of each group at epoch ``last_epoch``."""
        raise NotImplementedError(f"{type(self).__name__} must define get_lr().")

    def closed_form(self) -> list[float]:
        """The same from the learning rates at first alone, where there is a formula for it."""
        return self.get_lr()

    def get_last_lr(self) -> list[float]:
        """The learning rates that are set now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:
        """Go to the next epoch; call it after the epoch's optimizer steps."""
        self._step_count += 1
        self.last_epoch += 1
        self._set(self.get_lr())

    def restart(self) -> None:
        """Go to epoch 0, as :class:`SequentialLR` has it when a schedule's turn comes."""
        self.last_epoch = 0
        self._set(self.closed_form())

    def _set(self, rates: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
        self._last_lr = self.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, and but functions; under PyTorch's names."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave.

        Raises
        ------
        StateDictError
            If it is the state of something else.
        """
        self._check_state(state_dict)
        self._take_state(state_dict)

    def _check_state(self, state_dict: Any) -> None:
        """Raise unless this is a state of such a schedule."""
        known = [name for name in self.state_dict() if name not in _COUNTERS]
        if not isinstance(state_dict, Mapping) or not set(known) <= state_dict.keys():
            name = type(self).__name__
            raise StateDictError(
                f"state_dict: expected what {name}.state_dict() gives, with {', '.join(known)}. Nothing was changed."
            )

    def _take_state(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a state that was checked."""
        vars(self).update({name: state_dict[name] for name in self.state_dict() if name in state_dict})
