"""The learning rate while weights are averaged."""

from __future__ import annotations

import math

from portanet.checks import whole_number
from portanet.errors import OptionError
from portanet.optim.lr_scheduler.scheduler import LRScheduler, per_group, require_optimizer
from portanet.optim.optimizer import Optimizer

__all__ = ["SWALR"]


class SWALR(LRScheduler):
    """From the learning rate that is set to a constant one, for :class:`~portanet.optim.averaging.AveragedModel`.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rate is set.
    swa_lr : float, or list of float
        The rate at the end; a list has one for each group.
    anneal_epochs : int, default 10
        Epochs of the way there.
    anneal_strategy : {"cos", "linear"}
        Along half a cosine or a straight line.
    last_epoch : int, default -1
        How many epochs are behind.

    Notes
    -----
    Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI 2018.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        require_optimizer(optimizer)
        if anneal_strategy not in ("cos", "linear"):
            raise OptionError(f"anneal_strategy: expected 'cos' or 'linear', got {anneal_strategy!r}.")
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = whole_number("anneal_epochs", anneal_epochs, low=0)
        for group, lr in zip(optimizer.param_groups, per_group("swa_lr", optimizer, swa_lr), strict=True):
            group["swa_lr"] = lr
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How much of the way is behind after a step."""
        done = max(0, min(1, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * done)) / 2 if self._anneal_strategy == "cos" else done

    def get_lr(self) -> list[float]:
        """The rates on the way, from the rates set now, which others may have changed."""
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            end = group["swa_lr"]
            start = end if before == 1 else (group["lr"] - before * end) / (1 - before)
            rates.append(end * now + start * (1 - now))
        return rates
