"""State dicts of modules: what they hold, loading them whole or not at all, and copies of models."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn
from portanet.errors import OverwrittenError, StateDictError
from portanet.tensor import as_native
from tests.affine import Affine, assert_same, hosts


def test_state_dict_has_pytorchs_order_and_is_detached(backend: str) -> None:
    model = nn.Sequential(Affine(), nn.ReLU())
    state = model.state_dict()
    assert list(state) == ["0.scale", "0.mean", "0.count", "0.inner.weight", "0.inner.bias"]
    assert not any(value.requires_grad for value in state.values())
    assert {value.device.backend for value in state.values()} == {backend}


def test_load_state_dict_takes_arrays_of_any_library(backend: str, rng: Any) -> None:
    model = Affine()
    incoming = {
        name: np.asarray(rng.normal(size=value.shape)).astype(
            "int64" if name == "count" else rng.choice(["float32", "float64"])
        )
        for name, value in model.state_dict().items()
    }
    report = model.load_state_dict(incoming)
    assert report == ([], [])
    assert report.missing_keys == []
    assert_same(
        model.state_dict(),
        {name: value.astype("int64" if name == "count" else "float32") for name, value in incoming.items()},
    )
    assert {value.device.backend for value in model.state_dict().values()} == {backend}
    assert model.scale.dtype == pn.float32
    assert model.scale.requires_grad
    # What came in is copied, never shared: the next step must not write into the caller's arrays.
    before = {name: value.copy() for name, value in incoming.items()}
    model(pn.ones((1, 3))).sum().backward()
    pn.optim.SGD(model.parameters(), lr=1.0).step()
    for name, value in incoming.items():
        np.testing.assert_array_equal(value, before[name])


def test_load_state_dict_between_backends(backend: str) -> None:
    with pn.use_backend("numpy"):
        source = Affine()
    model = Affine()
    model.load_state_dict(source.state_dict())
    assert_same(model.state_dict(), hosts(source.state_dict()))
    assert {value.device.backend for value in model.state_dict().values()} == {backend}


def test_load_state_dict_names_every_misfit_in_one_message_and_changes_nothing(backend: str) -> None:
    model = nn.Sequential(Affine(), nn.Linear(2, 4))
    before = hosts(model.state_dict())
    state = {name: pn.zeros(value.shape) for name, value in model.state_dict().items()}
    del state["0.mean"], state["1.bias"]
    state["1.weight"] = pn.zeros((2, 4))
    state["0.scale"] = pn.zeros((1,))
    state["0.inner.weight"] = "text"
    state["other"] = state["1.other"] = pn.zeros((1,))
    with pytest.raises(StateDictError) as caught:
        model.load_state_dict(state)
    for part in (
        "Sequential",
        "missing: 0.mean, 1.bias",
        "unexpected: other, 1.other",
        "0.scale (expected (3,), got (1,))",
        "0.inner.weight (expected (2, 3), got str)",
        "1.weight (expected (4, 2), got (2, 4))",
        "Nothing was changed",
    ):
        assert part in str(caught.value)
    assert_same(model.state_dict(), before)


def test_load_state_dict_not_strict_loads_what_matches_and_reports_the_rest() -> None:
    model = nn.Linear(2, 2)
    bias = model.bias.detach().numpy().copy()
    report = model.load_state_dict({"weight": pn.ones((2, 2)), "extra": pn.ones((1,))}, strict=False)
    assert report == (["bias"], ["extra"])
    assert model.weight.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    np.testing.assert_array_equal(model.bias.detach().numpy(), bias)
    with pytest.raises(StateDictError, match=r"wrong shape: weight \(expected \(2, 2\), got \(3, 2\)\)"):
        model.load_state_dict({"weight": pn.ones((3, 2))}, strict=False)
    with pytest.raises(StateDictError, match="strict=False"):
        model.load_state_dict({"weight": pn.zeros((2, 2))})
    assert model.weight.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_load_state_dict_that_fails_on_the_last_value_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def convert(value: Any, *places: Any) -> Any:
        if value.shape == (2,):
            raise MemoryError("the device is full")
        return as_native(value, *places)

    model = nn.Linear(2, 2)
    before = hosts(model.state_dict())
    monkeypatch.setattr("portanet.nn.module.as_native", convert)
    with pytest.raises(MemoryError, match="the device is full"):
        model.load_state_dict({"weight": pn.ones((2, 2)), "bias": pn.ones((2,))})
    assert_same(model.state_dict(), before)


@pytest.mark.parametrize("state", ["weights.safetensors", None, [("weight", 1)]])
def test_load_state_dict_wants_a_mapping(state: Any) -> None:
    with pytest.raises(
        StateDictError, match="state_dict: expected a mapping of names to Tensors, got"
    ) as caught:
        nn.Linear(2, 2).load_state_dict(state)
    assert ("portanet.load(path)" in str(caught.value)) == isinstance(state, str)


def test_load_state_dict_between_forward_and_backward_is_noticed(backend: str) -> None:
    layer = nn.Linear(2, 2)
    loss = (layer(pn.ones((1, 2))) ** 2).sum()
    layer.load_state_dict({"weight": pn.ones((2, 2)), "bias": pn.zeros((2,))})
    with pytest.raises(OverwrittenError, match="linear"):
        loss.backward()
    assert layer.weight.grad is None


def test_a_state_dict_survives_its_own_loading(backend: str) -> None:
    model = nn.Linear(2, 2)
    expected = hosts(model.state_dict())
    model.load_state_dict(model.state_dict())
    assert_same(model.state_dict(), expected)


def test_deepcopy_is_independent_and_keeps_sharing(backend: str) -> None:
    model = nn.Sequential(Affine(), nn.Linear(2, 2), nn.Linear(2, 2))
    model[2].weight = model[1].weight
    model[0].scale.requires_grad_(False)
    model(pn.ones((1, 3))).sum().backward()
    twin = copy.deepcopy(model)
    assert_same(twin.state_dict(), hosts(model.state_dict()))
    assert twin[2].weight is twin[1].weight
    assert isinstance(twin[1].weight, nn.Parameter)
    assert [p.requires_grad for p in twin.parameters()] == [p.requires_grad for p in model.parameters()]
    np.testing.assert_array_equal(twin[1].weight.grad.numpy(), model[1].weight.grad.numpy())
    before = hosts(model.state_dict())
    twin(pn.ones((1, 3))).sum().backward()
    pn.optim.SGD([p for p in twin.parameters() if p.requires_grad], lr=1.0).step()
    assert_same(model.state_dict(), before)
    assert not np.array_equal(hosts(twin.state_dict())["1.weight"], before["1.weight"])
