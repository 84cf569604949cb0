"""Schedules made of schedules: one after another, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from portanet.checks import whole_number
from portanet.errors import OptionError, StateDictError
from portanet.optim.lr_scheduler.plateau import ReduceLROnPlateau
from portanet.optim.lr_scheduler.scheduler import LRScheduler, require_optimizer
from portanet.optim.optimizer import Optimizer

__all__ = ["ChainedScheduler", "SequentialLR"]


class _Composition(LRScheduler):
    """Schedules of one optimizer."""

    _schedulers: list[LRScheduler]

    def _take_parts(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler]) -> None:
        require_optimizer(optimizer)
        for place, schedule in enumerate(schedulers):
            if not isinstance(schedule, LRScheduler):
                raise TypeError(f"schedulers: expected schedules, got {type(schedule).__name__} at {place}.")
            if isinstance(schedule, ReduceLROnPlateau):
                raise OptionError(
                    f"schedulers: ReduceLROnPlateau, at {place}, wants a metric in each step; step it by itself."
                )
            if schedule.optimizer is not optimizer:
                raise OptionError(f"schedulers: the one at {place} belongs to another optimizer.")
        self.optimizer = optimizer
        self._schedulers = list(schedulers)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, and the state of each schedule."""
        return {**super().state_dict(), "_schedulers": [part.state_dict() for part in self._schedulers]}

    def _check_state(self, state_dict: Any) -> None:
        super()._check_state(state_dict)
        saved = state_dict["_schedulers"]
        if not isinstance(saved, (list, tuple)) or len(saved) != len(self._schedulers):
            raise StateDictError(
                f"state_dict: expected the state of {len(self._schedulers)} schedules. Nothing was changed."
            )
        for part, state in zip(self._schedulers, saved, strict=True):
            part._check_state(state)

    def _take_state(self, state_dict: Mapping[str, Any]) -> None:
        parts = self._schedulers
        super()._take_state(state_dict)
        self._schedulers = parts
        for part, state in zip(parts, state_dict["_schedulers"], strict=True):
            part._take_state(state)


class SequentialLR(_Composition):
    """One schedule after another, each from its own epoch 0 on.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rate is set.
    schedulers : list of LRScheduler
        Schedules of this optimizer.
    milestones : list of int
        The epochs at which the second and each further one begin.
    last_epoch : int, default -1
        How many epochs are behind.

    Examples
    --------
    >>> optimizer = pn.optim.SGD([pn.Tensor([1.0], requires_grad=True)], lr=1.0)
    >>> warmup = pn.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> decay = pn.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = pn.optim.lr_scheduler.SequentialLR(optimizer, [warmup, decay], milestones=[2])
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.5, 0.5, 1.0, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        self._take_parts(optimizer, schedulers)
        if not schedulers or len(milestones) != len(schedulers) - 1:
            raise OptionError(
                f"milestones: expected one fewer than schedulers, of which there are {len(schedulers)}, got "
                f"{len(milestones)}."
            )
        for part in schedulers[1:]:
            if isinstance(part, _Composition):
                raise OptionError(
                    f"schedulers: a {type(part).__name__} can only be the first, since it cannot begin anew."
                )
        self._milestones = [whole_number("milestones", epoch) for epoch in milestones]
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        _undo(self._schedulers)
        self._schedulers[bisect_right(self._milestones, 0)]._initial_step()
        self._last_lr = self.get_last_lr()

    def step(self) -> None:
        """Go to the next epoch of the schedule whose turn it is."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        if turn > 0 and self._milestones[turn - 1] == self.last_epoch:
            self._schedulers[turn].restart()
        else:
            self._schedulers[turn].step()
        self._last_lr = self.get_last_lr()


def _undo(schedulers: Sequence[LRScheduler]) -> None:
    """Take back the step that each schedule took when it was made."""
    for part in schedulers:
        if isinstance(part, _Composition):
            _undo(part._schedulers)
        else:
            part.last_epoch -= 1


class ChainedScheduler(_Composition):
    """Several schedules at once: each in turn changes the learning rate that the others left.

    Parameters
    ----------
    schedulers : sequence of LRScheduler
        Schedules of one optimizer, best such as multiply the rate that is set.
    optimizer : Optimizer, optional
        Default: the first schedule's.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        if not schedulers:
            raise OptionError("schedulers: expected at least one schedule.")
        self._take_parts(optimizer or getattr(schedulers[0], "optimizer", None), schedulers)  # type: ignore[arg-type]
        self._last_lr = self.get_last_lr()

    def step(self) -> None:
        """Step all schedules."""
        for part in self._schedulers:
            part.step()
        self._last_lr = self.get_last_lr()
