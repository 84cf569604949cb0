"""A schedule that waits until nothing gets better."""

from __future__ import annotations

import math
from typing import Any

from portanet.checks import check_number, whole_number
from portanet.errors import OptionError
from portanet.optim.lr_scheduler.scheduler import LRScheduler, per_group, require_optimizer
from portanet.optim.optimizer import Optimizer

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(LRScheduler):
    """Multiply the learning rate by ``factor`` once a metric has not become better for ``patience`` epochs.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rate is set.
    mode : {"min", "max"}
        Whether a smaller metric is better, or a larger one.
    factor : float, default 0.1
        The factor, below 1.
    patience : int, default 10
        How many epochs in a row may be no better.
    threshold : float, default 1e-4
        How much better an epoch must be to count.
    threshold_mode : {"rel", "abs"}
        Whether that is a share of the best metric so far, or a difference.
    cooldown : int, default 0
        For how many epochs after a reduction none is counted.
    min_lr : float, or list of float, default 0
        The lowest rate; a list has one for each group.
    eps : float, default 1e-8
        A smaller change of the rate is not made.

    Examples
    --------
    >>> optimizer = pn.optim.SGD([pn.Tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = pn.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (0.3, 0.2, 0.2, 0.2):
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        require_optimizer(optimizer)
        check_number("factor", factor, high=1.0, open_end=True)
        if mode not in ("min", "max"):
            raise OptionError(f"mode: expected 'min' or 'max', got {mode!r}.")
        if threshold_mode not in ("rel", "abs"):
            raise OptionError(f"threshold_mode: expected 'rel' or 'abs', got {threshold_mode!r}.")
        check_number("threshold", threshold)
        check_number("eps", eps)
        self.optimizer = optimizer
        self.factor = factor
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.min_lrs = per_group("min_lr", optimizer, min_lr)
        self.patience = whole_number("patience", patience, low=0)
        self.cooldown = whole_number("cooldown", cooldown, low=0)
        self.eps = eps
        self.last_epoch = 0
        self._last_lr = self.get_last_lr()
        self.mode = mode
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.best = self.mode_worse
        self.cooldown_counter = 0
        self.num_bad_epochs = 0

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Look at an epoch's metric.

        Parameters
        ----------
        metrics : float, or Tensor of one number
            It is read on the host.
        """
        metric = float(metrics)
        self.last_epoch += 1
        if self.is_better(metric):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self.get_last_lr()

    def is_better(self, metric: float) -> bool:
        """Whether a metric is better than the best one by more than the threshold."""
        sign = 1.0 if self.mode == "max" else -1.0
        if self.threshold_mode == "rel":
            bound = self.best * (1.0 + sign * self.threshold)
        else:
            bound = self.best + sign * self.threshold
        return metric > bound if self.mode == "max" else metric < bound

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise OptionError(
                    f"min_lr: there are {len(self.min_lrs)} for {len(groups)} groups. Set min_lrs when adding groups."
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, lowest in zip(groups, self.min_lrs, strict=True):
            rate = max(group["lr"] * self.factor, lowest)
            if group["lr"] - rate > self.eps:
                group["lr"] = rate
