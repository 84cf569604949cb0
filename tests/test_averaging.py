"""Averages of weights: beside PyTorch's, on every backend, and what they refuse."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn
from portanet.errors import OptionError, ShapeError
from portanet.optim.averaging import (
    AveragedModel,
    get_ema_avg_fn,
    get_ema_multi_avg_fn,
    get_swa_avg_fn,
    get_swa_multi_avg_fn,
)
from tests.training import assert_equal, values


class Counting(nn.Module):
    """A layer with a buffer of fractions and one of whole numbers."""

    def __init__(self) -> None:
        self.layer = nn.Linear(3, 2)
        self.register_buffer("mean", pn.zeros(2))
        self.register_buffer("count", pn.zeros(1, dtype=pn.int64))

    def forward(self, x: Any) -> Any:
        return self.layer(x) + self.mean


def change(model: Any, rng: Any, steps: int) -> list[Any]:
    """Other values for the parameters and the buffers."""
    made = [rng.normal(size=parameter.shape).astype("float32") for parameter in model.parameters()]
    with pn.no_grad():
        for parameter, value in zip(model.parameters(), made, strict=True):
            parameter.data = value
        model.mean = pn.asarray(rng.normal(size=2).astype("float32"))
        model.count = pn.asarray([10 * steps + 3])
    return made


def test_the_mean_and_the_running_mean(backend: str, rng: Any) -> None:
    model = Counting()
    mean, running = AveragedModel(model), AveragedModel(model, avg_fn=get_ema_avg_fn(0.8))
    seen = []
    for step in range(5):
        seen.append(change(model, rng, step))
        mean.update_parameters(model)
        running.update_parameters(model)
    moving = seen[0]
    for made in seen[1:]:
        moving = [0.8 * old + 0.2 * new for old, new in zip(moving, made, strict=True)]
    for found, expected in (
        (mean, [np.mean(made, axis=0) for made in zip(*seen, strict=True)]),
        (running, moving),
    ):
        for parameter, value in zip(found.parameters(), expected, strict=True):
            np.testing.assert_allclose(parameter.tolist(), value, rtol=1e-4, atol=1e-6)
            assert parameter.dtype == pn.float32
        assert found.n_averaged.item() == 5
        assert found.module.mean.tolist() == model.mean.tolist()
        assert found.module.count.tolist() == [43]
    x = pn.ones((4, 3))
    np.testing.assert_allclose(mean(x).tolist(), mean.module(x).tolist())


KINDS = ["default", "swa", "ema", "multi-swa", "multi-ema", "own", "own-multi"]


@pytest.mark.parametrize(
    ("kind", "use_buffers"),
    # PyTorch has no mean of lists of whole numbers.
    [
        (kind, buffers)
        for kind in KINDS
        for buffers in (False, True)
        if (kind, buffers) != ("multi-swa", True)
    ],
)
def test_beside_pytorch(rng: Any, kind: str, use_buffers: bool) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    theirs = torch.optim.swa_utils

    def own(averaged: Any, current: Any, count: Any) -> Any:
        return averaged * 0.5 + current * 0.5 + 1.0 / (int(count) + 2)

    def mine_all(averaged: Any, current: Any, count: int) -> None:
        for old, new in zip(averaged, current, strict=True):
            old.data = (old + new * count).data

    def its_all(averaged: Any, current: Any, count: Any) -> None:
        for old, new in zip(averaged, current, strict=True):
            old.copy_(old + new * count)

    pairs: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "default": ({}, {}),
        "swa": ({"avg_fn": get_swa_avg_fn()}, {"avg_fn": theirs.get_swa_avg_fn()}),
        "ema": ({"avg_fn": get_ema_avg_fn(0.7)}, {"avg_fn": theirs.get_ema_avg_fn(0.7)}),
        "multi-swa": (
            {"multi_avg_fn": get_swa_multi_avg_fn()},
            {"multi_avg_fn": theirs.get_swa_multi_avg_fn()},
        ),
        "multi-ema": (
            {"multi_avg_fn": get_ema_multi_avg_fn(0.9)},
            {"multi_avg_fn": theirs.get_ema_multi_avg_fn(0.9)},
        ),
        "own": ({"avg_fn": own}, {"avg_fn": own}),
        "own-multi": ({"multi_avg_fn": mine_all}, {"multi_avg_fn": its_all}),
    }
    its = torch.nn.Module()
    its.layer = torch.nn.Linear(3, 2)
    its.register_buffer("mean", torch.zeros(2))
    its.register_buffer("count", torch.zeros(1, dtype=torch.int64))
    model = Counting()
    options, its_options = pairs[kind]
    average = AveragedModel(model, use_buffers=use_buffers, **options)
    its_average = theirs.AveragedModel(its, use_buffers=use_buffers, **its_options)
    for step in range(6):
        change(model, rng, step)
        its.load_state_dict({name: torch.tensor(value.numpy()) for name, value in model.state_dict().items()})
        average.update_parameters(model)
        with torch.no_grad():
            its_average.update_parameters(its)
        state, expected = average.state_dict(), its_average.state_dict()
        assert state.keys() == expected.keys()
        for name, value in expected.items():
            assert str(value.dtype) == f"torch.{state[name].dtype.name}"
            np.testing.assert_allclose(state[name].numpy(), value.numpy(), rtol=1e-5, atol=1e-6, err_msg=name)


def test_an_average_goes_on_from_a_state_dict(backend: str, rng: Any) -> None:
    model = Counting()
    average = AveragedModel(model)
    made = [change(model, rng, 0)]
    average.update_parameters(model)
    resumed, twin = AveragedModel(Counting()), copy.deepcopy(average)
    resumed.load_state_dict(average.state_dict())
    for step in range(1, 4):
        made.append(change(model, rng, step))
        for one in (average, resumed, twin):
            one.update_parameters(model)
    for one in (average, resumed, twin):
        assert one.n_averaged.item() == 4
        for parameter, value in zip(
            one.parameters(), map(np.mean, zip(*made, strict=True), [0, 0]), strict=True
        ):
            np.testing.assert_allclose(parameter.tolist(), value, rtol=1e-4, atol=1e-6)


def test_training_the_model_leaves_the_average_alone(backend: str) -> None:
    model = nn.Linear(3, 2)
    average = AveragedModel(model)
    optimizer = pn.optim.SGD(model.parameters(), lr=0.1)
    average.update_parameters(model)
    kept = values(average)
    assert_equal(kept, values(model))
    for _ in range(2):
        model(pn.ones((4, 3))).sum().backward()
        optimizer.step()
    assert_equal(values(average), kept)
    assert not np.array_equal(values(model)[0], kept[0])
    average.update_parameters(model)
    np.testing.assert_allclose(values(average)[0], (kept[0] + values(model)[0]) / 2, rtol=1e-5, atol=1e-6)


def test_an_average_in_another_place(rng: Any) -> None:
    if not any(report.name == "array-api-strict" and report.available for report in pn.available_backends()):
        pytest.skip("array-api-strict, which has several devices on any machine, is not installed")
    with pn.use_backend("array-api-strict"):
        model = nn.Linear(3, 2)
        average = AveragedModel(model, device="device1")
        for _ in range(2):
            average.update_parameters(model)
        assert {tensor.device.name for tensor in (*average.parameters(), average.n_averaged)} == {"device1"}
        np.testing.assert_allclose(
            average.module.weight.detach().to("numpy").numpy(),
            model.weight.detach().to("numpy").numpy(),
            rtol=1e-6,
        )


def test_what_it_refuses() -> None:
    model = nn.Linear(3, 2)
    with pytest.raises(TypeError, match="model: expected a Module, got list"):
        AveragedModel([model])  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="avg_fn: pass it or multi_avg_fn, not both"):
        AveragedModel(model, avg_fn=get_swa_avg_fn(), multi_avg_fn=get_swa_multi_avg_fn())
    for make in (get_ema_avg_fn, get_ema_multi_avg_fn):
        with pytest.raises(
            OptionError, match="decay: expected a finite number of at least 0 and at most 1, got 1.5"
        ):
            make(1.5)
    average = AveragedModel(model)
    with pytest.raises(ShapeError, match="model: its parameters or buffers are not those of the model"):
        average.update_parameters(nn.Linear(2, 3))
    assert average.n_averaged.item() == 0
