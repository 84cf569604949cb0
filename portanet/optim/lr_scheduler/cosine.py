"""Schedules along a cosine."""

from __future__ import annotations

import math

from portanet.checks import check_number, whole_number
from portanet.optim.lr_scheduler.scheduler import LRScheduler
from portanet.optim.optimizer import Optimizer

__all__ = ["CosineAnnealingLR", "CosineAnnealingWarmRestarts"]


class CosineAnnealingLR(LRScheduler):
    """From the learning rate at first to ``eta_min`` in ``T_max`` epochs, along half a cosine, and back up after it.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rate is set.
    T_max : int
        Epochs of the way down.
    eta_min : float, default 0
        The lowest learning rate.
    last_epoch : int, default -1
        How many epochs are behind.

    Notes
    -----
    ``eta_min + (lr - eta_min) * (1 + cos(pi * epoch / T_max)) / 2`` (Loshchilov and Hutter, "SGDR", ICLR 2017). It is
    reached from the rate of the epoch before, so that schedules can be chained.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = whole_number("T_max", T_max, low=1)
        check_number("eta_min", eta_min)
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def _height(self, epoch: int) -> float:
        return 1 + math.cos(math.pi * epoch / self.T_max)

    def get_lr(self) -> list[float]:
        """The rates set now, as much further along the cosine as an epoch is long."""
        rates = self.get_last_lr()
        if self._is_initial:
            return rates
        if (self.last_epoch - 1 - self.T_max) % (
            2 * self.T_max
        ) == 0:  # from the lowest point there is no ratio
            rise = 1 - math.cos(math.pi / self.T_max)
            return [
                lr + (base - self.eta_min) * rise / 2 for lr, base in zip(rates, self.base_lrs, strict=True)
            ]
        ratio = self._height(self.last_epoch) / self._height(self.last_epoch - 1)
        return [ratio * (lr - self.eta_min) + self.eta_min for lr in rates]

    def closed_form(self) -> list[float]:
        """The rates at first, brought to the epoch's place on the cosine."""
        height = self._height(self.last_epoch)
        return [self.eta_min + (base - self.eta_min) * height / 2 for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """From the learning rate at first to ``eta_min`` along half a cosine, then at once from above again.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rate is set.
    T_0 : int
        Epochs until the first restart.
    T_mult : int, default 1
        By how much each way down is longer than the one before.
    eta_min : float, default 0
        The lowest learning rate.
    last_epoch : int, default -1
        How many epochs are behind.

    Notes
    -----
    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_0 = whole_number("T_0", T_0, low=1)
        self.T_i = self.T_0
        self.T_mult = whole_number("T_mult", T_mult, low=1)
        check_number("eta_min", eta_min)
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates at first, brought to the place on the cosine."""
        height = 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return [self.eta_min + (base - self.eta_min) * height / 2 for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go to the next epoch, or to a given one.

        Parameters
        ----------
        epoch : float, optional
            It may be a fraction, so that the rate can change within an epoch: ``step(epoch + batch / batches)``.
        """
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            check_number("epoch", epoch, low=0.0)
            self._go_to(epoch)
        self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())

    def _go_to(self, epoch: float) -> None:
        """Find the way down that an epoch lies in."""
        if epoch < self.T_0:
            self.T_i, self.T_cur = self.T_0, epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            restarts = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_cur = epoch - self.T_0 * (self.T_mult**restarts - 1) / (self.T_mult - 1)
            self.T_i = self.T_0 * self.T_mult**restarts
