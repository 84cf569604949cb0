"""Schedules for the first epochs: smaller rates, which then become the full ones."""

from __future__ import annotations

from portanet.checks import check_number, whole_number
from portanet.errors import OptionError
from portanet.optim.lr_scheduler.scheduler import LRScheduler
from portanet.optim.optimizer import Optimizer

__all__ = ["ConstantLR", "LinearLR"]


class ConstantLR(LRScheduler):
    """Multiply the learning rate by ``factor`` for the first ``total_iters`` epochs.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rate is set.
    factor : float, default 1/3
        The factor, above 0 and at most 1.
    total_iters : int, default 5
        Epochs until the learning rate is the full one.
    last_epoch : int, default -1
        How many epochs are behind.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        _check_share("factor", factor)
        self.factor = float(factor)
        self.total_iters = whole_number("total_iters", total_iters, low=0)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates set now, times ``factor`` at first and its inverse at the end."""
        if self.last_epoch == 0:
            return [lr * self.factor for lr in self.get_last_lr()]
        if self.last_epoch != self.total_iters:
            return self.get_last_lr()
        return [lr * (1.0 / self.factor) for lr in self.get_last_lr()]

    def closed_form(self) -> list[float]:
        """The rates at first, times ``factor`` until the end."""
        share = self.factor + (self.last_epoch >= self.total_iters) * (1 - self.factor)
        return [lr * share for lr in self.base_lrs]


class LinearLR(LRScheduler):
    """Multiply the learning rate by a factor that goes from one number to another, the same distance each epoch.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rate is set.
    start_factor : float, default 1/3
        The factor of the first epoch, above 0 and at most 1.
    end_factor : float, default 1
        The factor from epoch ``total_iters`` on, from 0 to 1.
    total_iters : int, default 5
        Epochs from the first to the last factor.
    last_epoch : int, default -1
        How many epochs are behind.

    Examples
    --------
    >>> optimizer = pn.optim.SGD([pn.Tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = pn.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.25, total_iters=3)
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.25, 0.5, 0.75, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        _check_share("start_factor", start_factor)
        check_number("end_factor", end_factor, low=0.0, high=1.0)
        self.start_factor = float(start_factor)
        self.end_factor = float(end_factor)
        self.total_iters = whole_number("total_iters", total_iters, low=1)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates set now, times how much the factor changed since the epoch before."""
        rates = self.get_last_lr()
        if self.last_epoch == 0:
            return [lr * self.start_factor for lr in rates]
        if self._is_initial or self.last_epoch > self.total_iters:
            return rates
        way = self.end_factor - self.start_factor
        change = 1.0 + way / (self.total_iters * self.start_factor + (self.last_epoch - 1) * way)
        return [lr * change for lr in rates]

    def closed_form(self) -> list[float]:
        """The rates at first, times the factor."""
        way = self.end_factor - self.start_factor
        done = min(self.total_iters, self.last_epoch)
        return [lr * (self.start_factor + way * done / self.total_iters) for lr in self.base_lrs]


def _check_share(name: str, factor: float) -> None:
    """Raise unless it is above 0, since the schedule divides by it, and at most 1."""
    check_number(name, factor, low=0.0, high=1.0)
    if factor == 0:
        raise OptionError(f"{name}: expected a number above 0 and at most 1, got {factor!r}.")
