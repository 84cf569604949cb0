"""Schedules that only go down: in steps, by a factor, along a polynomial."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable

from portanet.checks import check_number, whole_number
from portanet.errors import OptionError
from portanet.optim.lr_scheduler.scheduler import LRScheduler
from portanet.optim.optimizer import Optimizer

__all__ = ["ExponentialLR", "MultiStepLR", "PolynomialLR", "StepLR"]


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

    def closed_form(self) -> list[float]:
        """The rates at first, times ``gamma`` for each step that has ended."""
        return [lr * self.gamma ** (self.last_epoch // self.step_size) for lr in self.base_lrs]


class MultiStepLR(LRScheduler):
    """Multiply the learning rate by ``gamma`` at given epochs.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rate is set.
    milestones : iterable of int
        The epochs; one that is named twice counts twice.
    gamma : float, default 0.1
        The factor.
    last_epoch : int, default -1
        How many epochs are behind.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(milestones, Iterable):
            raise OptionError(f"milestones: expected a list of epochs, got {milestones!r}.")
        self.milestones = Counter([whole_number("milestones", epoch) for epoch in milestones])
        check_number("gamma", gamma, low=0.0)
        self.gamma = float(gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates set now, times ``gamma`` at a milestone."""
        if self.last_epoch not in self.milestones:
            return self.get_last_lr()
        return [lr * self.gamma ** self.milestones[self.last_epoch] for lr in self.get_last_lr()]

    def closed_form(self) -> list[float]:
        """The rates at first, times ``gamma`` for each milestone passed."""
        passed = bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return [lr * self.gamma**passed for lr in self.base_lrs]


class ExponentialLR(LRScheduler):
    """Multiply the learning rate by ``gamma`` every epoch.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rate is set.
    gamma : float
        The factor.
    last_epoch : int, default -1
        How many epochs are behind.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        check_number("gamma", gamma, low=0.0)
        self.gamma = float(gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates set now, times ``gamma``."""
        if self._is_initial:
            return self.get_last_lr()
        return [lr * self.gamma for lr in self.get_last_lr()]

    def closed_form(self) -> list[float]:
        """The rates at first, times ``gamma`` for each epoch."""
        return [lr * self.gamma**self.last_epoch for lr in self.base_lrs]


class PolynomialLR(LRScheduler):
    """Bring the learning rate to 0 in ``total_iters`` epochs, as ``(1 - epoch / total_iters) ** power``.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rate is set.
    total_iters : int, default 5
        Epochs until it is 0.
    power : float, default 1
        The power of the polynomial.
    last_epoch : int, default -1
        How many epochs are behind.
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters = whole_number("total_iters", total_iters, low=1)
        check_number("power", power)
        self.power = float(power)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates set now, times how much the polynomial fell since the epoch before."""
        if self._is_initial or self.last_epoch > self.total_iters:
            return self.get_last_lr()
        left, before = (
            1.0 - self.last_epoch / self.total_iters,
            1.0 - (self.last_epoch - 1) / self.total_iters,
        )
        return [lr * (left / before) ** self.power for lr in self.get_last_lr()]

    def closed_form(self) -> list[float]:
        """The rates at first, times the polynomial."""
        left = 1.0 - min(self.total_iters, self.last_epoch) / self.total_iters
        return [lr * left**self.power for lr in self.base_lrs]
