"""StepLR against PyTorch's over a hundred epochs, and what it does to the parameters."""

from __future__ import annotations

from typing import Any

import pytest

import portanet as pn
from tests.parity.comparison import assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")


def pair(rng: Any) -> tuple[Any, Any]:
    values = rng.normal(size=4)
    return pn.Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)


def epoch(tensor: Any, optimizer: Any, schedule: Any) -> list[float]:
    optimizer.zero_grad()
    (tensor**2).sum().backward()
    optimizer.step()
    schedule.step()
    return [group["lr"] for group in optimizer.param_groups]


@pytest.mark.parametrize("step_size", [1, 7, 30, 1000])
@pytest.mark.parametrize("gamma", [0.1, 0.9, 1.0, 1.01, 0.0])
def test_a_hundred_epochs(rng: Any, step_size: int, gamma: float) -> None:
    mine, its = pair(rng)
    optimizer, reference = pn.optim.SGD([mine], lr=0.1), torch.optim.SGD([its], lr=0.1)
    schedule = pn.optim.lr_scheduler.StepLR(optimizer, step_size, gamma)
    other = torch.optim.lr_scheduler.StepLR(reference, step_size, gamma)
    for _ in range(100):
        assert epoch(mine, optimizer, schedule) == epoch(its, reference, other)
        assert schedule.get_last_lr() == other.get_last_lr()
        assert schedule.last_epoch == other.last_epoch
    assert_near(mine, its)


def test_groups_and_a_rate_that_is_set_by_hand(rng: Any) -> None:
    mine, its = pair(rng)
    mine_too, its_too = pair(rng)
    optimizer = pn.optim.AdamW([{"params": [mine]}, {"params": [mine_too], "lr": 1.0}], lr=0.1)
    reference = torch.optim.AdamW([{"params": [its]}, {"params": [its_too], "lr": 1.0}], lr=0.1)
    schedule = pn.optim.lr_scheduler.StepLR(optimizer, 3)
    other = torch.optim.lr_scheduler.StepLR(reference, 3)
    for number in range(10):
        if number == 5:
            optimizer.param_groups[1]["lr"] = reference.param_groups[1]["lr"] = 0.7
        assert epoch(mine, optimizer, schedule) == epoch(its, reference, other)


def test_state_dicts_go_both_ways(rng: Any) -> None:
    mine, its = pair(rng)
    optimizer, reference = pn.optim.SGD([mine], lr=0.1), torch.optim.SGD([its], lr=0.1)
    schedule = pn.optim.lr_scheduler.StepLR(optimizer, 4, 0.5)
    other = torch.optim.lr_scheduler.StepLR(reference, 4, 0.5)
    for _ in range(6):
        epoch(mine, optimizer, schedule)
        epoch(its, reference, other)
    resumed = pn.optim.SGD([mine], lr=9.0)
    resumed.load_state_dict(reference.state_dict())
    its_schedule = pn.optim.lr_scheduler.StepLR(resumed, 99)
    its_schedule.load_state_dict(other.state_dict())
    assert resumed.param_groups[0]["initial_lr"] == 0.1
    for _ in range(6):
        assert epoch(mine, resumed, its_schedule) == epoch(its, reference, other)


@pytest.mark.parametrize("last_epoch", [0, 2, 3, 5])
def test_going_on_from_an_epoch(rng: Any, last_epoch: int) -> None:
    mine, its = pair(rng)
    group = {"lr": 0.05, "initial_lr": 0.1}
    optimizer = pn.optim.SGD([{"params": [mine], **group}])
    reference = torch.optim.SGD([{"params": [its], **group}])
    schedule = pn.optim.lr_scheduler.StepLR(optimizer, 4, 0.5, last_epoch=last_epoch)
    other = torch.optim.lr_scheduler.StepLR(reference, 4, 0.5, last_epoch=last_epoch)
    assert schedule.get_last_lr() == other.get_last_lr()
    for _ in range(9):
        assert epoch(mine, optimizer, schedule) == epoch(its, reference, other)
