"""Optimizers on every backend: the loop, its options, what it writes to, and what it refuses."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn, optim
from portanet.errors import OptionError, OverwrittenError, ShapeError
from portanet.optim import optimizer as optimizer_module
from tests.training import SETTINGS, Net, assert_equal, batches, leaf, train, values

every_setting = pytest.mark.parametrize("setting", SETTINGS)
MAKERS = [optim.SGD, optim.Adam, optim.AdamW]
every_maker = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)


# The loop


@every_setting
def test_every_backend_trains_like_numpy(backend: str, rng: Any, setting: str) -> None:
    data, seed = batches(rng, 6), int(rng.integers(2**32))

    def run() -> list[float]:
        pn.manual_seed(seed)
        model = Net()
        return train(model, SETTINGS[setting](model.parameters()), data)

    losses = run()
    with pn.use_backend("numpy"):
        reference = run()
    np.testing.assert_allclose(losses, reference, rtol=1e-5, atol=1e-5)
    assert len(set(losses)) > 1


@every_setting
def test_flat_buffers_change_no_result(
    backend: str, rng: Any, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = batches(rng, 4)
    models = [Net() for _ in range(3)]
    for twin in models[1:]:
        twin.load_state_dict(models[0].state_dict())
    for model, bound in zip(models, (2**20, 40, 0), strict=True):
        monkeypatch.setattr(optimizer_module, "SMALL", bound)
        train(model, SETTINGS[setting](model.parameters()), data)
    for other in models[1:]:
        for mine, its in zip(values(models[0]), values(other), strict=True):
            np.testing.assert_allclose(mine, its, rtol=1e-6, atol=1e-7)


@every_setting
def test_a_parameter_that_has_no_gradient_is_left_alone(backend: str, setting: str) -> None:
    used, unused = leaf(1.0, 2.0), leaf(3.0)
    optimizer = SETTINGS[setting]([used, unused])
    (used * used).sum().backward()
    optimizer.step()
    assert unused.tolist() == [3.0]
    assert used.tolist() != [1.0, 2.0]
    assert list(optimizer.state_dict()["state"]) == [0]
    optimizer.zero_grad()
    before = used.tolist()
    optimizer.step()
    assert used.tolist() == before


def test_each_parameter_counts_its_own_steps(backend: str) -> None:
    first, second = leaf(1.0), leaf(1.0)
    together = optim.Adam([first, second], lr=0.1)
    alone = leaf(1.0)
    separate = optim.Adam([alone], lr=0.1)
    for step in range(4):
        together.zero_grad()
        separate.zero_grad()
        (first**2).sum().backward()
        if step in (1, 3):
            (second**2).sum().backward()
            (alone**2).sum().backward()
        together.step()
        separate.step()
    state = together.state_dict()["state"]
    assert [state[0]["step"], state[1]["step"]] == [4, 2]
    np.testing.assert_allclose(second.tolist(), alone.tolist(), rtol=1e-6)


@every_setting
def test_groups_have_options_of_their_own(backend: str, setting: str) -> None:
    slow, fast, apart = leaf(1.0, -2.0), leaf(1.0, -2.0), leaf(1.0, -2.0)
    grouped = SETTINGS[setting]([{"params": [slow], "lr": 0.001}, {"params": fast}])
    single = SETTINGS[setting]([apart])
    assert [group["lr"] for group in grouped.param_groups] == [0.001, single.param_groups[0]["lr"]]
    for _ in range(3):
        for optimizer, tensors in ((grouped, (slow, fast)), (single, (apart,))):
            optimizer.zero_grad()
            for tensor in tensors:
                (tensor**2).sum().backward()
            optimizer.step()
    np.testing.assert_allclose(fast.tolist(), apart.tolist(), rtol=1e-6)
    moved = np.abs(np.array(slow.tolist()) - [1.0, -2.0]).max()
    assert 0 < moved < np.abs(np.array(fast.tolist()) - [1.0, -2.0]).max()


def test_a_group_can_be_added_later(backend: str) -> None:
    first, second = leaf(1.0), leaf(1.0)
    optimizer = optim.SGD([first], lr=1.0, momentum=0.5)
    for _ in range(2):
        optimizer.zero_grad()
        (first * 1.0).sum().backward()
        optimizer.step()
    optimizer.add_param_group({"params": [second], "lr": 0.5})
    optimizer.zero_grad()
    (first + second).sum().backward()
    optimizer.step()
    assert first.tolist() == [1.0 - 1.0 - 1.5 - 1.75]
    assert second.tolist() == [0.5]


@every_setting
def test_an_option_may_change_between_steps(backend: str, setting: str) -> None:
    tensor = leaf(1.0, -2.0)
    optimizer = SETTINGS[setting]([tensor])
    (tensor**2).sum().backward()
    optimizer.step()
    before = tensor.tolist()
    optimizer.param_groups[0]["lr"] = 0.0
    optimizer.step()
    assert tensor.tolist() == before
    optimizer.param_groups[0]["lr"] = 0.1
    optimizer.step()
    assert tensor.tolist() != before


def test_momentum_and_amsgrad_may_be_turned_on_between_steps(backend: str) -> None:
    tensor = leaf(1.0)
    optimizer: optim.Optimizer = optim.SGD([tensor], lr=1.0)
    for momentum in (0.0, 0.5, 0.5):
        optimizer.param_groups[0]["momentum"] = momentum
        optimizer.zero_grad()
        tensor.sum().backward()
        optimizer.step()
    assert tensor.tolist() == [1.0 - 1.0 - 1.0 - 1.5]
    optimizer = optim.Adam([tensor], lr=0.1)
    for amsgrad in (False, True, True):
        optimizer.param_groups[0]["amsgrad"] = amsgrad
        optimizer.step()
    assert "max_exp_avg_sq" in optimizer.state_dict()["state"][0]


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, int])
def test_a_learning_rate_from_an_array_does_not_change_the_data_type(backend: str, kind: type) -> None:
    for make in MAKERS:
        tensor = leaf(1.0, 2.0)
        optimizer = make([tensor], lr=kind(1), weight_decay=kind(0))
        (tensor**2).sum().backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] = kind(2)
        optimizer.step()
        assert tensor.dtype == pn.float32
        for entry in optimizer.state_dict()["state"].values():
            assert all(value.dtype == pn.float32 for name, value in entry.items() if name != "step")


@every_setting
def test_float64_parameters_stay_float64_beside_float32(backend: str, setting: str) -> None:
    wide = pn.Tensor([1.0, 2.0], dtype=pn.float64, requires_grad=True)
    narrow = leaf(1.0, 2.0)
    optimizer = SETTINGS[setting]([wide, narrow])
    for _ in range(2):
        optimizer.zero_grad()
        ((wide**2).sum() + (narrow**2).sum().to(pn.float64)).backward()
        optimizer.step()
    assert wide.dtype == pn.float64
    assert narrow.dtype == pn.float32
    np.testing.assert_allclose(wide.tolist(), narrow.tolist(), rtol=1e-5)


@every_setting
def test_a_single_number_and_nothing_are_parameters_too(backend: str, setting: str) -> None:
    number, nothing, row = pn.Tensor(2.0, requires_grad=True), pn.zeros((0, 3)).requires_grad_(), leaf(2.0)
    optimizer = SETTINGS[setting]([number, nothing, row])
    (number**2 + nothing.sum() + (row**2).sum()).backward()
    optimizer.step()
    assert number.shape == ()
    assert nothing.shape == (0, 3)
    np.testing.assert_allclose(number.item(), row.tolist()[0], rtol=1e-6)
    assert number.item() != 2.0


def test_zero_grad_forgets_or_fills_with_zeros(backend: str) -> None:
    tensor, untouched = leaf(1.0, 2.0), leaf(1.0)
    optimizer = optim.SGD([tensor, untouched], lr=0.1)
    (tensor**2).sum().backward()
    kept = tensor.grad
    optimizer.zero_grad(set_to_none=False)
    assert tensor.grad.tolist() == [0.0, 0.0]
    assert kept.tolist() == [2.0, 4.0]
    assert untouched.grad is None
    optimizer.zero_grad()
    assert tensor.grad is None


def test_a_closure_is_called_once_and_its_result_returned(backend: str) -> None:
    tensor = leaf(1.0)
    optimizer = optim.SGD([tensor], lr=0.5)

    def closure() -> pn.Tensor:
        optimizer.zero_grad()
        loss = (tensor**2).sum()
        loss.backward()
        return loss

    with pn.no_grad():
        assert optimizer.step(closure).item() == 1.0
    assert tensor.tolist() == [0.0]
    assert optimizer.step(closure).item() == 0.0
    assert optimizer.step() is None


def test_gradients_are_not_written_to(backend: str) -> None:
    for setting in SETTINGS.values():
        tensor, other = leaf(1.0, 2.0), leaf(3.0)
        optimizer = setting([tensor, other])
        ((tensor**2).sum() + other.sum()).backward()
        for _ in range(3):
            optimizer.step()
            assert tensor.grad.tolist() == [2.0, 4.0]
            assert other.grad.tolist() == [1.0]


# Writes


@pytest.mark.parametrize("number", [1, 3])
def test_a_step_between_forward_and_backward_is_noticed(backend: str, number: int) -> None:
    tensors = [leaf(1.0, 2.0) for _ in range(number)]
    optimizer = optim.SGD(tensors, lr=0.1)
    for _ in range(2):  # the first step gathers the parameters, later ones write into what it gathered
        for tensor in tensors:
            (tensor**2).sum().backward()
        late = (tensors[0] ** 3).sum()
        optimizer.step()
        with pytest.raises(OverwrittenError, match="optimizer step"):
            late.backward()


def test_a_step_writes_into_nobody_elses_arrays(backend: str) -> None:
    source = np.ones((2, 2), "float32")
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    state = dict.fromkeys(("0.weight", "1.weight"), source)
    model.load_state_dict(state, strict=False)
    shared = pn.asarray(source).requires_grad_()
    view = model[0].weight.detach().reshape(-1)
    saved = {name: value.clone().tolist() for name, value in model.state_dict().items()}
    snapshot = {name: value.clone() for name, value in model.state_dict().items()}
    twin = copy.deepcopy(model)
    optimizer = optim.SGD([*model.parameters(), shared], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        (model(pn.ones((1, 2))).sum() + shared.sum()).backward()
        optimizer.step()
    assert source.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert view.tolist() == [1.0] * 4
    assert {name: value.tolist() for name, value in snapshot.items()} == saved
    assert {name: value.tolist() for name, value in twin.state_dict().items()} == saved
    assert model[0].weight.tolist() != saved["0.weight"]
    assert shared.tolist() != [[1.0, 1.0], [1.0, 1.0]]


def test_parameters_given_other_values_between_steps(backend: str, rng: Any) -> None:
    data = batches(rng, 6)
    model = Net()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    first = train(model, optimizer, data)
    model.load_state_dict(start)
    optimizer.load_state_dict(optim.Adam(model.parameters(), lr=0.05).state_dict())
    assert train(model, optimizer, data) == pytest.approx(first, rel=1e-6)
    # Loading weights alone keeps the optimizer's state, and the next step starts from what was loaded.
    model.load_state_dict(start)
    optimizer.param_groups[0]["lr"] = 0.0
    train(model, optimizer, data[:1])
    assert_equal(values(model), [value.numpy() for value in start.values()])
    with pn.no_grad():
        model.layers[0].bias += 1.0
    train(model, optimizer, data[:1])
    np.testing.assert_allclose(
        model.layers[0].bias.tolist(), (start["layers.0.bias"] + 1.0).tolist(), rtol=1e-6
    )


def test_a_model_moved_between_steps_takes_its_state_along(backend: str, rng: Any) -> None:
    data = batches(rng, 8)
    with pn.use_backend("numpy"):
        model, twin = Net(), Net()
        twin.load_state_dict(model.state_dict())
        optimizers = [optim.AdamW(m.parameters(), lr=0.05) for m in (model, twin)]
        train(model, optimizers[0], data[:4])
        train(twin, optimizers[1], data[:4])
        expected = train(twin, optimizers[1], data[4:])
    model.to(backend)
    assert train(model, optimizers[0], data[4:6]) == pytest.approx(expected[:2], rel=1e-4)
    model.to(pn.float64)
    found = train(model.to(pn.float32), optimizers[0], data[6:])
    assert found == pytest.approx(expected[2:], rel=1e-4)
    assert {entry["exp_avg"].device.backend for entry in optimizers[0].state_dict()["state"].values()} == {
        backend
    }


def test_a_parameter_of_a_group_may_be_exchanged(backend: str) -> None:
    """As in growing a model: the group's list is changed, and the old parameter goes."""
    group = [leaf(1.0), leaf(1.0)]
    optimizer = optim.SGD(group, lr=1.0, momentum=0.5)
    for _ in range(2):
        optimizer.zero_grad()
        sum((tensor * 1.0).sum() for tensor in group).backward()
        optimizer.step()
    old = optimizer.param_groups[0]["params"][0]
    group[0] = optimizer.param_groups[0]["params"][0] = leaf(1.0, 1.0)
    left = old.tolist()
    optimizer.zero_grad()
    sum((tensor * 1.0).sum() for tensor in group).backward()
    optimizer.step()
    assert group[0].tolist() == [0.0, 0.0]
    assert group[1].tolist() == [1.0 - 1.0 - 1.5 - 1.75]
    assert old.tolist() == left
    del old
    for _ in range(20):  # the memory of a parameter that is gone may be given to the next one
        group[0] = optimizer.param_groups[0]["params"][0] = leaf(1.0)
        optimizer.zero_grad()
        (group[0] * 1.0).sum().backward()
        optimizer.step()
        assert group[0].tolist() == [0.0]


def test_parameters_on_two_devices() -> None:
    if not any(report.name == "array-api-strict" and report.available for report in pn.available_backends()):
        pytest.skip("array-api-strict, which has several devices on any machine, is not installed")
    with pn.use_backend("array-api-strict"):
        near, far = leaf(1.0, 2.0), pn.Tensor([1.0, 2.0], device="device1", requires_grad=True)
        for setting in SETTINGS.values():
            optimizer = setting([near, far])
            for _ in range(2):
                optimizer.zero_grad()
                (near**2).sum().backward()
                (far**2).sum().backward()
                optimizer.step()
            assert far.device.name == "device1"
            assert near.tolist() == far.tolist()


def test_two_optimizers_over_the_same_parameters(backend: str) -> None:
    shared, own = leaf(1.0, 1.0), leaf(1.0)
    first = optim.SGD([shared, own], lr=0.1, momentum=0.5)
    second = optim.SGD([shared, leaf(0.0)], lr=0.01, momentum=0.5)
    expected, velocities = 1.0, [0.0, 0.0]
    for step in range(6):
        which = step % 2
        for optimizer in (first, second):
            optimizer.zero_grad()
        (shared.sum() + own.sum()).backward()
        (first, second)[which].step()
        velocities[which] = 0.5 * velocities[which] + 1
        expected -= (0.1, 0.01)[which] * velocities[which]
    np.testing.assert_allclose(shared.tolist(), [expected, expected], rtol=1e-6)
    np.testing.assert_allclose(own.tolist(), [1 - 0.1 * (1 + 1.5 + 1.75)], rtol=1e-6)


def test_a_copied_model_takes_a_new_optimizer(backend: str, rng: Any) -> None:
    data = batches(rng, 6)
    model = Net()
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    train(model, optimizer, data[:3])
    twin = copy.deepcopy(model)
    fresh = optim.Adam(twin.parameters(), lr=0.05)
    fresh.load_state_dict(optimizer.state_dict())
    before = values(model)
    found = train(twin, fresh, data[3:])
    assert_equal(values(model), before)
    assert found == pytest.approx(train(model, optimizer, data[3:]), rel=1e-6)


def test_model_and_optimizer_copied_together_go_on_together(backend: str, rng: Any) -> None:
    data = batches(rng, 6)
    model = Net()
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    train(model, optimizer, data[:3])
    twin, its_optimizer = copy.deepcopy((model, optimizer))
    assert its_optimizer.param_groups[0]["params"][0] is next(twin.parameters())
    before = values(model)
    found = train(twin, its_optimizer, data[3:])
    assert_equal(values(model), before)
    assert found == pytest.approx(train(model, optimizer, data[3:]), rel=1e-6)


def test_a_frozen_parameter_stays(backend: str) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    model[0].requires_grad_(False)
    before = values(model[0])
    optimizer = optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(pn.ones((1, 2))).sum().backward()
        optimizer.step()
    assert_equal(values(model[0]), before)


# What it refuses


@every_maker
@pytest.mark.parametrize("lr", [float("nan"), -0.1, float("inf"), "0.1", None, True, 1j, [0.1]], ids=repr)
def test_the_learning_rate_is_a_finite_number(make: Any, lr: Any) -> None:
    tensor = leaf(1.0)
    with pytest.raises(OptionError, match="lr: expected a finite number of at least 0, got"):
        make([tensor], lr=lr)
    with pytest.raises(OptionError, match="lr: expected a finite number of at least 0, got"):
        make([{"params": [tensor], "lr": lr}])


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (optim.SGD, {"momentum": -1}, "momentum: expected a finite number of at least 0, got -1"),
        (optim.SGD, {"momentum": "0.9"}, "momentum: expected a finite number"),
        (optim.SGD, {"weight_decay": -1}, "weight_decay: expected"),
        (optim.SGD, {"dampening": float("nan")}, "dampening: expected"),
        (optim.SGD, {"nesterov": True}, "nesterov: needs momentum above 0 and no dampening"),
        (optim.SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov: needs momentum"),
        (
            optim.Adam,
            {"betas": (0.9, 1.0)},
            r"betas\[1\]: expected a finite number of at least 0 and below 1",
        ),
        (optim.Adam, {"betas": (-0.1, 0.9)}, r"betas\[0\]: expected"),
        (optim.Adam, {"betas": 0.9}, "betas: expected a pair of numbers, got 0.9"),
        (optim.Adam, {"betas": (0.9,)}, "betas: expected a pair of numbers"),
        (optim.AdamW, {"eps": -1e-8}, "eps: expected"),
        (optim.AdamW, {"weight_decay": float("inf")}, "weight_decay: expected"),
    ],
)
def test_options_lie_in_their_domains(make: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make([leaf(1.0)], **options)
    with pytest.raises(OptionError, match=message):
        make([{"params": [leaf(1.0)], **options}])


@every_maker
def test_parameters_must_be_worth_optimizing(make: Any) -> None:
    tensor = leaf(1.0)
    with pytest.raises(
        OptionError, match=r"params: there is nothing to optimize; pass model\.parameters\(\)"
    ):
        make(nn.ReLU().parameters())
    with pytest.raises(
        TypeError, match=r"params: expected an iterable of Tensors, got one Tensor. Pass \[tensor\]"
    ):
        make(tensor)
    with pytest.raises(TypeError, match=r"params: .*Linear.*Pass model\.parameters\(\)"):
        make(nn.Linear(2, 2))
    with pytest.raises(TypeError, match=r"params: expected Tensors, got tuple. Pass model\.parameters\(\)"):
        make(nn.Linear(2, 2).named_parameters())
    with pytest.raises(TypeError, match="params: expected Tensors, got ndarray"):
        make([np.ones(2)])
    with pytest.raises(OptionError, match="params: .*computed from others cannot be optimized"):
        make([tensor * 2])
    with pytest.raises(OptionError, match="params: a Tensor appears twice"):
        make([tensor, tensor])
    with pytest.raises(OptionError, match="params: a Tensor appears twice"):
        make([{"params": [tensor]}, {"params": [leaf(2.0), tensor]}])
    with pytest.raises(ShapeError, match="params: a lazy module's parameter has no shape yet. Run one batch"):
        make(nn.LazyLinear(2).parameters())
    with pytest.raises(OptionError, match=r"has no option learning_rate; it has lr"):
        make([{"params": [tensor], "learning_rate": 0.1}])
    with pytest.raises(OptionError, match="params: a group needs the key 'params'"):
        make([{"lr": 0.1}])


def test_a_refused_group_changes_nothing() -> None:
    optimizer = optim.SGD([leaf(1.0)], lr=0.1)
    for group in ({"params": leaf(2.0), "lr": -1}, {"params": [leaf(2.0), leaf(2.0) * 2]}, {"lr": 1}):
        with pytest.raises(OptionError):
            optimizer.add_param_group(group)
    assert len(optimizer.param_groups) == 1


def test_repr_shows_the_options_of_each_group() -> None:
    optimizer = optim.SGD([{"params": [leaf(1.0)]}, {"params": [leaf(1.0)], "lr": 0.5}], lr=0.1)
    assert repr(optimizer).startswith("SGD (\nParameter Group 0\n    dampening: 0.0\n    lr: 0.1\n")
    assert "Parameter Group 1\n" in repr(optimizer)
    assert "    lr: 0.5\n" in repr(optimizer)


def test_complex_parameters_are_for_rules_that_are_right_for_them(backend: str) -> None:
    z = pn.Tensor([1 + 2j, -1j], requires_grad=True)
    for optimizer in (pn.optim.Adam, pn.optim.AdamW):
        with pytest.raises(pn.errors.DTypeError, match="complex64"):
            optimizer([z])
    with pytest.raises(pn.errors.DTypeError, match="int64"):
        pn.optim.SGD([pn.asarray([1, 2])])
    pn.sum(pn.abs(z) ** 2).backward()
    pn.optim.SGD([z], lr=0.25, momentum=0.9).step()
    np.testing.assert_allclose(z.detach().numpy(), [0.5 + 1j, -0.5j], rtol=1e-6)
