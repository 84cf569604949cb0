"""Schedules that go up and down, where momentum does the opposite."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from portanet.checks import check_number, whole_number
from portanet.errors import OptionError
from portanet.optim.lr_scheduler.scheduler import (
    LRScheduler,
    per_group,
    require_optimizer,
    state_of_callable,
)
from portanet.optim.optimizer import Optimizer

__all__ = ["CyclicLR", "OneCycleLR"]


def _uses_beta1(optimizer: Optimizer) -> bool:
    """Whether an optimizer's momentum is the first of its ``betas``.

    Raises
    ------
    OptionError
        If it has no momentum at all.
    """
    if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
        raise OptionError(
            f"cycle_momentum: {type(optimizer).__name__} has neither momentum nor betas; pass cycle_momentum=False."
        )
    return "betas" in optimizer.defaults


def _set_momentum(group: dict[str, Any], momentum: float, use_beta1: bool) -> None:
    if use_beta1:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


def _begin_momentum(optimizer: Optimizer, lowest: list[float], highest: list[float], use_beta1: bool) -> None:
    """Set momentum to its highest, and let the groups know between what it goes."""
    for group, low, high in zip(optimizer.param_groups, lowest, highest, strict=True):
        _set_momentum(group, high, use_beta1)
        group["max_momentum"], group["base_momentum"] = high, low


class CyclicLR(LRScheduler):
    """Up and down again between two learning rates; a step is usually a batch, not an epoch.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rate is set.
    base_lr, max_lr : float, or list of float
        The lowest rate and the highest; a list has one for each group.
    step_size_up : int, default 2000
        Steps of the way up.
    step_size_down : int, optional
        Steps of the way down; default: as many.
    mode : {"triangular", "triangular2", "exp_range"}
        The height of the cycles: always the same, halved each time, or times ``gamma`` each step.
    gamma : float, default 1
        For ``"exp_range"``.
    scale_fn : callable, optional
        The height of the cycles, relative to the first one, in place of ``mode``.
    scale_mode : {"cycle", "iterations"}
        What ``scale_fn`` is a function of: the number of the cycle, from 1 on, or of the step.
    cycle_momentum : bool, default True
        Let the momentum, or the first of the betas, go from ``max_momentum`` down and up again.
    base_momentum, max_momentum : float, or list of float, default 0.8 and 0.9
        Its lowest and highest value.
    last_epoch : int, default -1
        How many steps are behind.

    Notes
    -----
    Smith, "Cyclical learning rates for training neural networks", 2017.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        require_optimizer(optimizer)
        base_lrs = per_group("base_lr", optimizer, base_lr)
        self.max_lrs = per_group("max_lr", optimizer, max_lr)
        up = float(whole_number("step_size_up", step_size_up, low=1))
        down = up if step_size_down is None else float(whole_number("step_size_down", step_size_down, low=0))
        self.total_size = up + down
        self.step_ratio = up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise OptionError(
                f"mode: expected 'triangular', 'triangular2' or 'exp_range', got {mode!r}; or pass a scale_fn."
            )
        if scale_mode not in ("cycle", "iterations"):
            raise OptionError(f"scale_mode: expected 'cycle' or 'iterations', got {scale_mode!r}.")
        check_number("gamma", gamma)
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        if scale_fn is None:
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.scale_mode = scale_mode
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = _uses_beta1(optimizer)
            self.base_momentums = per_group("base_momentum", optimizer, base_momentum)
            self.max_momentums = per_group("max_momentum", optimizer, max_momentum)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs, strict=True):
                group["lr"] = lr
            if cycle_momentum:
                _begin_momentum(optimizer, self.base_momentums, self.max_momentums, self.use_beta1)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The height of the cycles, relative to the first one."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "exp_range":
            return self.gamma**x  # type: ignore[no-any-return]
        return 1 / 2.0 ** (x - 1) if self.mode == "triangular2" else 1.0

    def get_lr(self) -> list[float]:
        """The rates at this place of the cycle; sets momentum as well."""
        done = self.last_epoch / self.total_size
        cycle = math.floor(1 + done)
        x = 1.0 + done - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            bounds = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, bounds, strict=True):
                _set_momentum(group, high - (high - low) * height * scale, self.use_beta1)
        return [
            low + (high - low) * height * scale for low, high in zip(self.base_lrs, self.max_lrs, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and ``scale_fn``; the attributes of that, if it is an object that is called."""
        custom = self._scale_fn_custom
        return {
            **super().state_dict(),
            "_scale_fn_custom": None if custom is None else state_of_callable(custom),
        }

    def _take_state(self, state_dict: Mapping[str, Any]) -> None:
        custom = self._scale_fn_custom
        super()._take_state(state_dict)
        self._scale_fn_custom = custom
        saved = state_dict["_scale_fn_custom"]
        if saved is not None and custom is not None:
            vars(custom).update(saved)


class OneCycleLR(LRScheduler):
    """Up to a high learning rate and down to a very low one; a step is usually a batch, not an epoch.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rate is set.
    max_lr : float, or list of float
        The highest rate; a list has one for each group.
    total_steps : int, optional
        Steps of the whole cycle; or else:
    epochs, steps_per_epoch : int, optional
        Whose product that is.
    pct_start : float, default 0.3
        The share of the steps on which the rate goes up.
    anneal_strategy : {"cos", "linear"}
        Along half a cosine or a straight line.
    cycle_momentum : bool, default True
        Let the momentum, or the first of the betas, go from ``max_momentum`` down and up again.
    base_momentum, max_momentum : float, or list of float, default 0.85 and 0.95
        Its lowest and highest value.
    div_factor : float, default 25
        The first rate is ``max_lr / div_factor``.
    final_div_factor : float, default 1e4
        The last rate is the first one over this.
    three_phase : bool, default False
        Go down to the first rate as fast as it went up, and only then to the last one.
    last_epoch : int, default -1
        How many steps are behind.

    Notes
    -----
    Smith and Topin, "Super-convergence", 2019.

    Examples
    --------
    >>> optimizer = pn.optim.SGD([pn.Tensor([1.0], requires_grad=True)], lr=1.0, momentum=0.9)
    >>> schedule = pn.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10, div_factor=10)
    >>> for _ in range(2):
    ...     schedule.step()
    >>> schedule.get_last_lr(), optimizer.param_groups[0]["momentum"]
    ([1.0], 0.85)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        require_optimizer(optimizer)
        if total_steps is not None:
            self.total_steps = whole_number("total_steps", total_steps, low=1)
        elif epochs is not None and steps_per_epoch is not None:
            self.total_steps = whole_number("epochs", epochs, low=1) * whole_number(
                "steps_per_epoch", steps_per_epoch, low=1
            )
        else:
            raise OptionError("total_steps: pass it, or else both epochs and steps_per_epoch.")
        check_number("pct_start", pct_start, low=0.0, high=1.0)
        if anneal_strategy not in ("cos", "linear"):
            raise OptionError(f"anneal_strategy: expected 'cos' or 'linear', got {anneal_strategy!r}.")
        for name, factor in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
            check_number(name, factor, low=0.0)
            if factor == 0:
                raise OptionError(f"{name}: expected a number above 0, got {factor!r}.")
        self._schedule_phases = _phases(self.total_steps, float(pct_start), three_phase)
        self._anneal_func_type = anneal_strategy
        max_lrs = per_group("max_lr", optimizer, max_lr)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = _uses_beta1(optimizer)
            lowest = per_group("base_momentum", optimizer, base_momentum)
            highest = per_group("max_momentum", optimizer, max_momentum)
        if last_epoch == -1:
            for group, highest_rate in zip(optimizer.param_groups, max_lrs, strict=True):
                group["initial_lr"] = highest_rate / div_factor
                group["max_lr"] = highest_rate
                group["min_lr"] = group["initial_lr"] / final_div_factor
            if cycle_momentum:
                _begin_momentum(optimizer, lowest, highest, self.use_beta1)
        super().__init__(optimizer, last_epoch)

    def _between(self, start: float, end: float, share: float) -> float:
        if self._anneal_func_type == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)

    def get_lr(self) -> list[float]:
        """The rates at this place of the cycle; sets momentum as well.

        Raises
        ------
        OptionError
            After the last step.
        """
        step = self.last_epoch
        if step > self.total_steps:
            raise OptionError(
                f"total_steps: the cycle ends after {self.total_steps} steps, this is step {step}. Make it longer, or "
                "stop stepping it."
            )
        start, last = 0.0, self._schedule_phases[-1]
        for phase in self._schedule_phases:
            if step <= phase["end_step"] or phase is last:
                break
            start = phase["end_step"]
        length = phase["end_step"] - start
        share = (step - start) / length if length else 1.0
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], share))
            if self.cycle_momentum:
                momentum = self._between(group[phase["start_momentum"]], group[phase["end_momentum"]], share)
                _set_momentum(group, momentum, self.use_beta1)
        return rates


def _phases(total_steps: int, pct_start: float, three_phase: bool) -> list[dict[str, Any]]:
    """Where each part of the cycle ends, and between which numbers of a group it goes."""
    names = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")
    up = (pct_start * total_steps - 1, "initial_lr", "max_lr", "max_momentum", "base_momentum")
    if three_phase:
        down = (2 * pct_start * total_steps - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum")
        out = (total_steps - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum")
        return [dict(zip(names, phase, strict=True)) for phase in (up, down, out)]
    down = (total_steps - 1, "max_lr", "min_lr", "base_momentum", "max_momentum")
    return [dict(zip(names, phase, strict=True)) for phase in (up, down)]
