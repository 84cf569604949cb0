"""Schedules: how the learning rate changes from epoch to epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portanet.checks import check_number, whole_number
from portanet.errors import OptionError, StateDictError
from portanet.optim.optimizer import Optimizer

__all__ = ["LRScheduler", "StepLR"]


class LRScheduler:
    """The base class: a subclass defines :meth:`get_lr`.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``"lr"`` is set.
    last_epoch : int, default -1
        How many epochs are behind; -1: none.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer: expected an Optimizer, got {type(optimizer).__name__}.")
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
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.step()

    def get_lr(self) -> list[float]:
        """The learning rate of each group at epoch ``last_epoch``."""
        raise NotImplementedError(f"{type(self).__name__} must define get_lr().")

    def get_last_lr(self) -> list[float]:
        """The learning rates that are set now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:
        """Go to the next epoch; call it after the epoch's optimizer steps."""
        self.last_epoch += 1
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave.

        Raises
        ------
        StateDictError
            If it is the state of something else.
        """
        known = self.state_dict()
        if not isinstance(state_dict, Mapping) or not known.keys() <= state_dict.keys():
            name = type(self).__name__
            raise StateDictError(
                f"state_dict: expected what {name}.state_dict() gives, with {', '.join(known)}. Nothing was changed."
            )
        vars(self).update({key: state_dict[key] for key in known})


class StepLR(LRScheduler):
    """Multiply the learning rate by ``gamma`` every ``step_size`` epochs.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rate is set.
    step_size : int
        Epochs between changes.
    gamma : float, default 0.1
        The factor.
    last_epoch : int, default -1
        How many epochs are behind.

    Examples
    --------
    >>> optimizer = pn.optim.SGD([pn.Tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = pn.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for _ in range(2):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = whole_number("step_size", step_size, low=1)
        check_number("gamma", gamma, low=0.0)
        self.gamma = float(gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates set now, times ``gamma`` where a step ends."""
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return self.get_last_lr()
        return [lr * self.gamma for lr in self.get_last_lr()]
