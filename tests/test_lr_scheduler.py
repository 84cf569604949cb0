"""Schedules of the learning rate: what they set, how they are resumed, and what they refuse."""

from __future__ import annotations

import pytest

from portanet import nn, optim
from portanet.errors import OptionError, StateDictError
from portanet.optim.lr_scheduler import LRScheduler, StepLR
from tests.training import leaf


def test_step_lr_multiplies_every_step_size_epochs() -> None:
    optimizer = optim.SGD([{"params": [leaf(1.0)]}, {"params": [leaf(1.0)], "lr": 0.5}], lr=1.0)
    schedule = StepLR(optimizer, step_size=3, gamma=0.5)
    rates = []
    for _ in range(7):
        rates.append(schedule.get_last_lr())
        optimizer.step()
        schedule.step()
    assert rates == [[1.0, 0.5]] * 3 + [[0.5, 0.25]] * 3 + [[0.25, 0.125]]
    assert [group["initial_lr"] for group in optimizer.param_groups] == [1.0, 0.5]


def test_a_schedule_resumes_from_state_dicts() -> None:
    def run(optimizer: optim.Optimizer, schedule: LRScheduler, epochs: int) -> list[float]:
        rates = []
        for _ in range(epochs):
            optimizer.step()
            schedule.step()
            rates += schedule.get_last_lr()
        return rates

    first = optim.Adam([leaf(1.0)], lr=1.0)
    schedule = StepLR(first, 4, 0.1)
    run(first, schedule, 6)
    states = first.state_dict(), schedule.state_dict()
    expected = run(first, schedule, 6)
    by_state = optim.Adam([leaf(1.0)], lr=7.0)
    its_schedule = StepLR(by_state, 9, 0.9)
    by_state.load_state_dict(states[0])
    its_schedule.load_state_dict(states[1])
    assert run(by_state, its_schedule, 6) == expected
    by_epoch = optim.Adam([leaf(1.0)], lr=7.0)
    by_epoch.load_state_dict(states[0])
    assert by_epoch.param_groups[0]["initial_lr"] == 1.0
    assert run(by_epoch, StepLR(by_epoch, 4, 0.1, last_epoch=5), 6) == expected


def test_a_schedule_says_what_it_needs() -> None:
    optimizer = optim.SGD([leaf(1.0)], lr=0.1)
    for step_size in (0, -1, 2.5, "3", True):
        with pytest.raises(OptionError, match="step_size: expected a whole number of at least 1, got"):
            StepLR(optimizer, step_size)  # type: ignore[arg-type]
    for gamma in (float("nan"), -0.1, "0.1"):
        with pytest.raises(OptionError, match="gamma: expected a finite number of at least 0, got"):
            StepLR(optimizer, 1, gamma)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="optimizer: expected an Optimizer, got Linear"):
        StepLR(nn.Linear(1, 1), 1)  # type: ignore[arg-type]
    with pytest.raises(
        OptionError, match="last_epoch: .*'initial_lr'.*load the optimizer's state dict first"
    ):
        StepLR(optimizer, 1, last_epoch=3)
    assert optimizer.param_groups[0]["lr"] == 0.1
    schedule = StepLR(optimizer, 2)
    for spoiled in ({"weights": 1}, [1], optim.SGD([leaf(1.0)], lr=0.1).state_dict()):
        with pytest.raises(StateDictError, match=r"state_dict: .*StepLR\.state_dict\(\)"):
            schedule.load_state_dict(spoiled)  # type: ignore[arg-type]
    assert schedule.last_epoch == 0


def test_a_schedule_of_ones_own() -> None:
    class Halving(LRScheduler):
        def get_lr(self) -> list[float]:
            return [base / 2**self.last_epoch for base in self.base_lrs]

    schedule = Halving(optim.SGD([leaf(1.0)], lr=1.0))
    schedule.step()
    schedule.step()
    assert schedule.get_last_lr() == [0.25]
    with pytest.raises(NotImplementedError, match="LRScheduler must define get_lr"):
        LRScheduler(optim.SGD([leaf(1.0)], lr=1.0))
