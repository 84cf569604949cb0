"""State dicts of optimizers: their layout, going on from one, and those that do not fit."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn, optim
from portanet.errors import OptionError, StateDictError
from tests.training import SETTINGS, Net, batches, leaf, train

every_setting = pytest.mark.parametrize("setting", SETTINGS)


@every_setting
def test_a_state_dict_goes_on_where_it_was_saved(backend: str, rng: Any, setting: str) -> None:
    data = batches(rng, 8)
    model, twin = Net(), Net()
    optimizer = SETTINGS[setting](model.parameters())
    train(model, optimizer, data[:4])
    twin.load_state_dict(model.state_dict())
    resumed = SETTINGS[setting](twin.parameters())
    saved = optimizer.state_dict()
    resumed.load_state_dict(saved)
    expected = train(model, optimizer, data[4:])
    assert train(twin, resumed, data[4:]) == pytest.approx(expected, rel=1e-6)
    # A state dict is a copy: neither run has changed it.
    steps = {entry["step"] for entry in saved["state"].values() if "step" in entry}
    assert steps <= {4}


def test_the_layout_of_a_state_dict() -> None:
    model = nn.Linear(3, 2)
    optimizer = optim.AdamW([{"params": [model.weight], "lr": 0.1}, {"params": [model.bias]}], amsgrad=True)
    model(pn.ones((1, 3))).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    assert list(state) == ["state", "param_groups"]
    assert [group["params"] for group in state["param_groups"]] == [[0], [1]]
    assert [group["lr"] for group in state["param_groups"]] == [0.1, 1e-3]
    assert list(state["state"][0]) == ["step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"]
    assert state["state"][0]["exp_avg"].shape == (2, 3)
    assert state["state"][1]["step"] == 1
    assert optimizer.state[model.weight]["step"] == 1


def test_a_state_dict_crosses_backends_and_files(backend: str, rng: Any) -> None:
    """Numbers as text, as JSON keys are, and arrays of another library."""
    data = batches(rng, 6)
    with pn.use_backend("numpy"):
        model = Net()
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        train(model, optimizer, data[:3])
        saved = optimizer.state_dict()
        weights = model.state_dict()
    here = Net()
    here.load_state_dict(weights)
    resumed = optim.Adam(here.parameters())
    resumed.load_state_dict({**saved, "state": {str(key): entry for key, entry in saved["state"].items()}})
    assert resumed.param_groups[0]["lr"] == 0.05
    with pn.use_backend("numpy"):
        expected = train(model, optimizer, data[3:])
    assert train(here, resumed, data[3:]) == pytest.approx(expected, rel=1e-4)


def _spoiled(good: dict[str, Any]) -> Iterator[tuple[Any, str]]:
    other_shape = copy.deepcopy(good)
    other_shape["state"][0]["exp_avg"] = pn.zeros((7, 7))
    no_slot = copy.deepcopy(good)
    del no_slot["state"][1]["exp_avg_sq"]
    no_array = copy.deepcopy(good)
    no_array["state"][1]["exp_avg"] = [1.0]
    no_step = copy.deepcopy(good)
    no_step["state"][0]["step"] = "four"
    bad_rate = copy.deepcopy(good)
    bad_rate["param_groups"][0]["lr"] = float("nan")
    two_groups = copy.deepcopy(good)
    two_groups["param_groups"] *= 2
    fewer = copy.deepcopy(good)
    fewer["param_groups"][0]["params"].pop()
    no_params = copy.deepcopy(good)
    del no_params["param_groups"][0]["params"]
    sgd = optim.SGD([leaf(1.0, 2.0), leaf(3.0)], lr=0.1).state_dict()
    yield other_shape, r"exp_avg of parameter 0 has shape \(7, 7\), expected \(2,\)"
    yield no_slot, "parameter 1 has no exp_avg_sq"
    yield no_array, "exp_avg of parameter 1: expected an array, got list"
    yield no_step, "step of parameter 0: expected a whole number, got 'four'"
    yield bad_rate, "lr: expected a finite number"
    yield two_groups, r"expected groups of \[2\] parameters, got groups of \[2, 2\]"
    yield fewer, r"expected groups of \[2\] parameters, got groups of \[1\]"
    yield no_params, "param_groups"
    yield {**good, "state": {0: good["state"][0], 1: sgd}}, "parameter 1 has no step, exp_avg, exp_avg_sq"
    yield {**good, "state": [1, 2]}, r"\['state'\]: expected a mapping"
    yield {**good, "param_groups": {"lr": 1}}, "param_groups"
    yield {"state": {}}, "expected the keys 'state' and 'param_groups'"
    yield [good], "expected the keys 'state' and 'param_groups'"
    yield None, "expected the keys 'state' and 'param_groups'"


def test_a_state_dict_that_does_not_fit_is_refused_and_changes_nothing() -> None:
    tensors = [leaf(1.0, 2.0), leaf(3.0)]
    optimizer = optim.Adam(tensors, lr=0.1)
    for tensor in tensors:
        (tensor**2).sum().backward()
    optimizer.step()
    good = optimizer.state_dict()
    for spoiled, message in _spoiled(good):
        with pytest.raises((StateDictError, OptionError), match=message):
            optimizer.load_state_dict(spoiled)
        now = optimizer.state_dict()
        assert now["param_groups"] == good["param_groups"]
        for number, entry in good["state"].items():
            assert now["state"][number]["step"] == entry["step"]
            for slot in ("exp_avg", "exp_avg_sq"):
                assert now["state"][number][slot].tolist() == entry[slot].tolist()


def test_decay_stays_decoupled_in_adamw_whatever_it_loads(rng: Any) -> None:
    start = rng.normal(size=4).astype(np.float32)
    mine, other, plain = (pn.Tensor(start, requires_grad=True) for _ in range(3))
    optimizer, untouched = (optim.AdamW([tensor], lr=0.1, weight_decay=0.3) for tensor in (mine, other))
    optimizer.load_state_dict(optim.Adam([plain], lr=0.1, weight_decay=0.3).state_dict())
    for tensor, its in ((mine, optimizer), (other, untouched)):
        tensor.grad = pn.ones(4)
        its.step()
    np.testing.assert_array_equal(mine.detach().numpy(), other.detach().numpy())
