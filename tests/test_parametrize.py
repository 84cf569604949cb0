"""Parametrizations: computed parameters, their classes, copies, gradients, removal and misuse; on every backend."""

from __future__ import annotations

import copy
import gc
import weakref
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn
from portanet.backend import get_backend
from portanet.errors import AxisError, DTypeError, OptionError, ShapeError
from portanet.nn.utils import parametrizations, parametrize
from portanet.nn.utils.parametrize import (
    ParametrizationList,
    is_parametrized,
    register_parametrization,
    remove_parametrizations,
    transfer_parametrizations_and_params,
    type_before_parametrizations,
)
from portanet.testing import gradcheck, gradgradcheck


class Symmetric(nn.Module):
    def forward(self, x: Any) -> Any:
        return pn.triu(x) + pn.matrix_transpose(pn.triu(x, k=1))

    def right_inverse(self, value: Any) -> Any:
        return pn.triu(value)


class Exponential(nn.Module):
    """Positive values."""

    def forward(self, x: Any) -> Any:
        return pn.exp(x)

    def right_inverse(self, value: Any) -> Any:
        return pn.log(value)


class Twice(nn.Module):
    """Without a way back; counts how often it is asked."""

    calls = 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        return x * 2.0


class RankOne(nn.Module):
    def forward(self, x: Any, y: Any) -> Any:
        return pn.expand_dims(x, axis=-1) * y

    def right_inverse(self, value: Any) -> Any:
        return value[:, 0], pn.ones_like(value[0, :])


class Mixed(nn.Module):
    """A parametrization with a parameter of its own."""

    def __init__(self) -> None:
        self.scale = nn.Parameter(pn.asarray(3.0))

    def forward(self, x: Any) -> Any:
        return x * self.scale


def host(x: Any) -> Any:
    return x.detach().numpy()


def test_value_and_gradient_come_from_the_original(backend: str, rng: Any) -> None:
    layer = nn.Linear(3, 3)
    weight, values = layer.weight, host(layer.weight).copy()
    assert register_parametrization(layer, "weight", Symmetric()) is layer
    assert layer.parametrizations.weight.original is weight
    expected = np.triu(values) + np.triu(values, 1).T
    np.testing.assert_allclose(host(layer.weight), expected, rtol=1e-6, atol=1e-7)
    x = pn.asarray(rng.normal(size=(4, 3)).astype("float32"))
    np.testing.assert_allclose(host(layer(x)), host(x) @ expected.T + host(layer.bias), rtol=1e-4, atol=1e-5)
    layer(x).sum().backward()
    full = np.broadcast_to(host(x).sum(axis=0), (3, 3))
    np.testing.assert_allclose(host(weight.grad), np.triu(full) + np.triu(full.T, 1), rtol=1e-4, atol=1e-5)
    # It is computed anew each time.
    with pn.no_grad():
        weight.data = (weight * 2.0).data
    np.testing.assert_allclose(host(layer.weight), 2 * expected, rtol=1e-6, atol=1e-7)


def test_class_names_and_printed_form() -> None:
    layer = nn.Linear(3, 3)
    register_parametrization(layer, "weight", Symmetric())
    register_parametrization(layer, "bias", Twice())
    assert type(layer).__name__ == "ParametrizedLinear"
    assert isinstance(layer, nn.Linear)
    assert type_before_parametrizations(layer) is nn.Linear
    assert [base.__name__ for base in type(layer).__mro__[:3]] == ["ParametrizedLinear", "Linear", "Module"]
    assert is_parametrized(layer)
    assert is_parametrized(layer, "weight")
    assert not is_parametrized(layer, "other")
    assert not is_parametrized(nn.Linear(2, 2))
    assert repr(layer) == (
        "ParametrizedLinear(\n  in_features=3, out_features=3, bias=True\n  (parametrizations): ModuleDict(\n"
        "    (weight): ParametrizationList(\n      (0): Symmetric()\n    )\n"
        "    (bias): ParametrizationList(\n      (0): Twice()\n    )\n  )\n)"
    )
    assert [name for name, _ in layer.named_parameters()] == [
        "parametrizations.weight.original",
        "parametrizations.bias.original",
    ]
    with pytest.raises(AttributeError, match="no parameter named 'weight'"):
        layer.get_parameter("weight")
    # Other instances, and the class, are as they were.
    assert isinstance(nn.Linear(3, 3).weight, nn.Parameter)


def test_classes_are_not_kept() -> None:
    layer = register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    made = weakref.ref(type(layer))
    remove_parametrizations(layer, "weight")
    gc.collect()
    assert made() is None


def test_right_inverse_sets_the_original_and_takes_assignments() -> None:
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(pn.asarray([[1.0, 2.0], [3.0, 4.0]]))
    weight = layer.weight
    register_parametrization(layer, "weight", Exponential())
    np.testing.assert_allclose(host(layer.weight), [[1.0, 2.0], [3.0, 4.0]], rtol=1e-6)
    np.testing.assert_allclose(host(weight), np.log([[1.0, 2.0], [3.0, 4.0]]), rtol=1e-6)
    given = pn.asarray([[5.0, 6.0], [7.0, 8.0]])
    layer.weight = given
    assert layer.parametrizations.weight.original is weight
    np.testing.assert_allclose(host(layer.weight), host(given), rtol=1e-6)
    layer.parametrizations.weight.right_inverse(pn.ones((2, 2)))
    np.testing.assert_allclose(host(weight), np.zeros((2, 2)))
    assert weight.requires_grad
    assert weight.is_leaf


def test_an_assigned_tensor_is_copied() -> None:
    layer = register_parametrization(nn.Linear(2, 2), "weight", parametrizations._SpectralNorm(pn.eye(2)))
    given = pn.eye(2)
    layer.weight = given
    assert layer.parametrizations.weight.original._data is not given._data


def test_several_originals() -> None:
    layer = nn.Linear(3, 2)
    layer.weight = nn.Parameter(pn.asarray([[2.0, 2.0, 2.0], [5.0, 5.0, 5.0]]))
    register_parametrization(layer, "weight", RankOne())
    assert list(layer.state_dict()) == [
        "bias",
        "parametrizations.weight.original0",
        "parametrizations.weight.original1",
    ]
    np.testing.assert_allclose(host(layer.weight), [[2.0] * 3, [5.0] * 3])
    layer.weight = pn.ones((2, 3)) * 4.0
    np.testing.assert_allclose(host(layer.weight), [[4.0] * 3, [4.0] * 3])
    layer.weight.sum().backward()
    np.testing.assert_allclose(host(layer.parametrizations.weight.original0.grad), [3.0, 3.0])
    np.testing.assert_allclose(host(layer.parametrizations.weight.original1.grad), [8.0] * 3)


def test_a_frozen_parameter_stays_frozen() -> None:
    layer = nn.Linear(3, 2)
    layer.weight.requires_grad_(False)
    register_parametrization(layer, "weight", RankOne())
    assert [p.requires_grad for p in layer.parametrizations.weight.parameters()] == [False, False]
    remove_parametrizations(layer, "weight")
    assert isinstance(layer.weight, nn.Parameter)
    assert not layer.weight.requires_grad


def test_stacked_parametrizations_run_in_order_and_back() -> None:
    layer = nn.Linear(2, 2)
    register_parametrization(layer, "weight", Symmetric())
    register_parametrization(layer, "weight", Exponential())
    assert len(layer.parametrizations.weight) == 2
    original = host(layer.parametrizations.weight.original)
    np.testing.assert_allclose(
        host(layer.weight), np.exp(np.triu(original) + np.triu(original, 1).T), rtol=1e-5
    )
    value = pn.asarray([[1.0, 2.0], [2.0, 4.0]])
    layer.weight = value
    np.testing.assert_allclose(host(layer.weight), host(value), rtol=1e-6)
    np.testing.assert_allclose(
        host(layer.parametrizations.weight.original), np.triu(np.log(host(value))), rtol=1e-5, atol=1e-6
    )
    both = parametrizations.spectral_norm(parametrizations.weight_norm(nn.Linear(3, 2)))
    assert list(both.state_dict()) == [
        "bias",
        "parametrizations.weight.original0",
        "parametrizations.weight.original1",
        "parametrizations.weight.1._u",
        "parametrizations.weight.1._v",
    ]
    both(pn.ones((4, 3))).sum().backward()
    assert all(parameter.grad is not None for parameter in both.parameters())


def test_a_parametrization_may_have_parameters_of_its_own() -> None:
    layer = register_parametrization(nn.Linear(2, 2), "weight", Mixed())
    assert [name for name, _ in layer.named_parameters()] == [
        "bias",
        "parametrizations.weight.original",
        "parametrizations.weight.0.scale",
    ]
    layer.weight.sum().backward()
    scale = layer.parametrizations.weight[0].scale
    np.testing.assert_allclose(
        host(scale.grad), host(layer.parametrizations.weight.original).sum(), rtol=1e-5, atol=1e-6
    )


def test_buffers_can_be_parametrized() -> None:
    layer = nn.BatchNorm1d(3)
    buffer = layer.running_var
    register_parametrization(layer, "running_var", Exponential())
    assert list(layer.state_dict()) == [
        "weight",
        "bias",
        "running_mean",
        "num_batches_tracked",
        "parametrizations.running_var.original",
    ]
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    np.testing.assert_allclose(host(buffer), [0.0] * 3)
    np.testing.assert_allclose(host(layer.running_var), [1.0] * 3)
    remove_parametrizations(layer, "running_var")
    assert layer.running_var is buffer
    assert type(layer) is nn.BatchNorm1d
    assert "running_var" in layer.state_dict()
    np.testing.assert_allclose(host(layer.running_var), [1.0] * 3)


@pytest.mark.parametrize("leave", [True, False])
def test_removal(leave: bool) -> None:
    layer = nn.Linear(2, 2)
    weight = layer.weight
    register_parametrization(layer, "weight", Twice())
    register_parametrization(layer, "bias", Twice())
    before, value = host(weight).copy(), host(layer.weight).copy()
    assert remove_parametrizations(layer, "weight", leave_parametrized=leave) is layer
    assert layer.weight is weight  # so optimizers go on with it
    np.testing.assert_allclose(host(layer.weight), value if leave else before)
    assert type(layer).__name__ == "ParametrizedLinear"
    assert not is_parametrized(layer, "weight")
    assert is_parametrized(layer, "bias")
    remove_parametrizations(layer, "bias", leave)
    assert type(layer) is nn.Linear
    assert not hasattr(layer, "parametrizations")
    assert list(layer.state_dict()) == ["weight", "bias"]
    layer(pn.ones((1, 2))).sum().backward()
    assert weight.grad is not None


def test_removal_of_several_originals_makes_a_new_parameter() -> None:
    layer = parametrizations.weight_norm(nn.Linear(3, 2))
    value = host(layer.weight).copy()
    with pytest.raises(OptionError, match="leave_parametrized: 'weight' is computed from 2 tensors"):
        remove_parametrizations(layer, "weight", leave_parametrized=False)
    remove_parametrizations(layer, "weight")
    assert isinstance(layer.weight, nn.Parameter)
    assert layer.weight.is_leaf
    assert layer.weight.requires_grad
    np.testing.assert_array_equal(host(layer.weight), value)


def test_copies_are_of_their_own(eager: str) -> None:
    model = nn.Sequential(
        parametrizations.spectral_norm(nn.Linear(3, 3)),
        register_parametrization(nn.Linear(3, 2), "bias", Twice()),
    ).eval()
    x = pn.ones((2, 3))
    model(x).sum().backward()
    twin = copy.deepcopy(model)
    np.testing.assert_allclose(host(twin(x)), host(model(x)))
    assert repr(twin) == repr(model)
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert one is not other
    # What is done to the copy leaves the model alone, its class included.
    remove_parametrizations(twin[0], "weight")
    remove_parametrizations(twin[1], "bias", leave_parametrized=False)
    assert type(twin[0]) is nn.Linear
    before = host(model(x)).copy()
    twin.requires_grad_(False)
    for parameter in twin.parameters():
        parameter.data = (parameter * 0.0).data
    np.testing.assert_allclose(host(model(x)), before)
    assert is_parametrized(model[0], "weight")
    assert is_parametrized(model[1], "bias")


def test_an_average_of_parametrized_models() -> None:
    from portanet.optim.averaging import AveragedModel

    model = parametrizations.weight_norm(nn.Linear(3, 2))
    average = AveragedModel(model)
    average.update_parameters(model)
    np.testing.assert_allclose(host(average(pn.ones((1, 3)))), host(model(pn.ones((1, 3)))), rtol=1e-6)


@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm", "matrix_exp", "cayley", "householder"])
def test_functional_call(eager: str, rng: Any, kind: str) -> None:
    plain = nn.Linear(4, 3)
    layer = (
        getattr(parametrizations, kind)(plain)
        if kind.endswith("norm")
        else parametrizations.orthogonal(plain, orthogonal_map=kind)
    ).eval()
    x = pn.asarray(rng.normal(size=(2, 4)).astype("float32"))
    state = dict(layer.state_dict())
    raw = pn.functional_call(layer, {name: value._data for name, value in state.items()}, x._data)
    assert isinstance(raw, get_backend().array_types()[0])
    np.testing.assert_allclose(get_backend().to_host(raw), host(layer(x)), rtol=1e-5, atol=1e-6)
    leaves = {name: value.clone().requires_grad_() for name, value in state.items()}
    pn.functional_call(layer, leaves, x).sum().backward()
    layer(x).sum().backward()
    for name, parameter in layer.named_parameters():
        np.testing.assert_allclose(host(leaves[name].grad), host(parameter.grad), rtol=1e-5, atol=1e-6)


def with_vectors_far_off() -> Any:
    """A spectrally normalised layer whose power iterations are not at their end."""
    layer = parametrizations.spectral_norm(nn.Linear(4, 3))
    state = {name: value.numpy() for name, value in layer.state_dict().items()}
    state["parametrizations.weight.0._u"] = np.asarray([1.0, 0.0, 0.0], dtype="float32")
    state["parametrizations.weight.0._v"] = np.asarray([0.0, 0.0, 0.6, 0.8], dtype="float32")
    layer.load_state_dict(state)
    return layer


def test_raw_buffers_stay_as_they_are_in_training(eager: str) -> None:
    layer = with_vectors_far_off()
    before = host(layer.parametrizations.weight[0]._u).copy()
    arrays = {name: value._data for name, value in layer.state_dict().items()}
    pn.functional_call(layer, arrays, pn.ones((2, 4))._data)
    np.testing.assert_array_equal(host(layer.parametrizations.weight[0]._u), before)
    layer(pn.ones((2, 4)))
    assert not np.array_equal(host(layer.parametrizations.weight[0]._u), before)


def test_evaluation_mode_freezes_power_iterations() -> None:
    layer = with_vectors_far_off().eval()
    u = layer.parametrizations.weight[0]._u
    before = host(u).copy()
    for _ in range(3):
        layer(pn.ones((2, 4)))
    np.testing.assert_array_equal(host(u), before)
    layer.train()
    layer(pn.ones((2, 4)))
    assert layer.parametrizations.weight[0]._u is u
    assert not np.array_equal(host(u), before)
    frozen = parametrizations.spectral_norm(nn.Linear(4, 3).eval())
    assert not frozen.parametrizations.weight[0].training


def test_two_passes_before_one_backward() -> None:
    """The second power iteration takes nothing away from what the first pass recorded."""
    layer = parametrizations.spectral_norm(nn.Linear(4, 3))
    first = layer(pn.ones((2, 4))).sum()
    second = layer(pn.ones((2, 4)) * 2.0).sum()
    (first - second).backward()
    assert layer.parametrizations.weight.original.grad is not None


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_optimizers_train_the_originals(optimizer: str, rng: Any) -> None:
    model = nn.Linear(3, 3)
    made_before = getattr(pn.optim, optimizer)(model.parameters(), lr=0.05)
    register_parametrization(model, "weight", Symmetric())
    x = pn.asarray(rng.normal(size=(20, 3)).astype("float32"))
    target = x @ pn.asarray([[1.0, 2.0, 0.0], [2.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    losses = []
    for _ in range(200):
        loss = ((model(x) - target) ** 2).mean()
        made_before.zero_grad()
        loss.backward()
        made_before.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    np.testing.assert_allclose(host(model.weight), host(model.weight).T)
    remove_parametrizations(model, "weight")
    value = host(model.weight).copy()
    np.testing.assert_allclose(host(((model(x) - target) ** 2).mean()), losses[-1], rtol=0.5)
    ((model(x) - target) ** 2).mean().backward()
    made_before.step()
    assert not np.array_equal(host(model.weight), value)


def test_tied_parameters_share_the_original() -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    register_parametrization(model[0], "weight", Twice())
    assert model[0].parametrizations.weight.original is model[1].weight
    assert len(list(model.parameters())) == 1
    np.testing.assert_allclose(host(model[0].weight), 2 * host(model[1].weight))
    model(pn.ones((1, 3))).sum().backward()
    assert model[1].weight.grad is not None
    # Both parametrized, by one list: one set of originals, and one assignment changes both.
    register_parametrization(model[1], "weight", Twice())
    model[1].parametrizations.weight = model[0].parametrizations.weight
    np.testing.assert_array_equal(host(model[0].weight), host(model[1].weight))
    assert len(list(model.parameters())) == 1
    x = pn.ones((1, 3))
    called = pn.functional_call(model, {"0.parametrizations.weight.original": pn.eye(3)}, x)
    np.testing.assert_allclose(host(called), 4 * host(x))


def test_cached_values_are_computed_once(eager: str) -> None:
    layer = nn.Linear(2, 2)
    twice = Twice()
    register_parametrization(layer, "weight", twice)
    twice.calls = 0
    assert layer.weight is not layer.weight
    assert twice.calls == 2
    with parametrize.cached():
        first = layer.weight
        with parametrize.cached():
            assert layer.weight is first
        assert layer.weight is first
        assert twice.calls == 3
        layer(pn.ones((1, 2))).sum().backward()
        assert layer.parametrizations.weight.original.grad is not None
        # Other originals, or ones that were written to, are not mistaken for them.
        other = pn.functional_call(
            layer, {"parametrizations.weight.original": pn.eye(2), "bias": pn.zeros((2,))}, pn.ones((1, 2))
        )
        np.testing.assert_allclose(host(other), [[2.0, 2.0]])
        pn.optim.SGD(layer.parameters(), lr=1.0).step()
        np.testing.assert_allclose(host(layer.weight), 2 * host(layer.parametrizations.weight.original))
        with pn.no_grad():
            assert not layer.weight.requires_grad
        assert layer.weight.requires_grad
    assert layer.weight is not layer.weight


def test_transfer_shares_parametrizations_and_originals() -> None:
    source = parametrizations.weight_norm(nn.Linear(3, 2))
    register_parametrization(source, "bias", Twice())
    target = nn.Linear(3, 2)
    assert transfer_parametrizations_and_params(source, target, "weight") is target
    assert not is_parametrized(target, "bias")
    assert target.parametrizations.weight.original0 is source.parametrizations.weight.original0
    np.testing.assert_array_equal(host(target.weight), host(source.weight))
    empty = transfer_parametrizations_and_params(source, nn.Identity())
    np.testing.assert_array_equal(host(empty.weight), host(source.weight))
    np.testing.assert_array_equal(host(empty.bias), host(source.bias))
    plain = nn.Linear(2, 2)
    assert type(transfer_parametrizations_and_params(nn.Linear(2, 2), plain)) is nn.Linear


def test_moving_to_another_data_type() -> None:
    model = nn.Sequential(
        parametrizations.spectral_norm(nn.Linear(3, 3)), parametrizations.orthogonal(nn.Linear(3, 2))
    ).double()
    assert {value.dtype for value in model.state_dict().values()} == {pn.float64}
    assert model[0].weight.dtype == model[1].weight.dtype == pn.float64


BUILDS: dict[str, Any] = {
    "weight_norm": lambda: parametrizations.weight_norm(nn.Linear(4, 3, dtype=pn.float64)),
    "weight_norm_all": lambda: parametrizations.weight_norm(nn.Conv1d(2, 3, 2, dtype=pn.float64), dim=None),
    "spectral_norm": lambda: parametrizations.spectral_norm(nn.Linear(4, 3, dtype=pn.float64)),
    "spectral_norm_bias": lambda: parametrizations.spectral_norm(nn.Linear(4, 3, dtype=pn.float64), "bias"),
    "matrix_exp": lambda: parametrizations.orthogonal(nn.Linear(3, 3, dtype=pn.float64)),
    "cayley": lambda: parametrizations.orthogonal(nn.Linear(4, 3, dtype=pn.float64), orthogonal_map="cayley"),
    "householder": lambda: parametrizations.orthogonal(nn.Linear(3, 4, dtype=pn.float64)),
}


@pytest.mark.parametrize("build", BUILDS)
def test_first_and_second_gradients(build: str, rng: Any) -> None:
    layer = BUILDS[build]().eval()
    name = "bias" if build.endswith("bias") else "weight"
    parts = layer.parametrizations[name]
    values = []
    for original in parts._originals():
        moved = rng.uniform(0.2, 0.8, size=original.shape)
        if original.ndim == 2 and not build.startswith(("weight", "spectral")):
            # In a householder matrix the diagonal holds signs, and has no gradient; the others have none of the rest
            moved = np.tril(moved, k=-1)
        values.append(pn.asarray(host(original) + moved))
    if build == "householder":
        below = pn.asarray(np.tril(np.ones(values[0].shape), k=-1))
        fixed = values[0] * (1.0 - below)

        def function(x: Any) -> Any:
            return parts[0](x * below + fixed)

    else:
        function = parts[0]
    gradcheck(function, values)
    gradgradcheck(function, values)


@pytest.mark.parametrize("build", BUILDS)
def test_every_backend_gives_what_numpy_gives(eager: str, build: str, rng: Any) -> None:
    layer = BUILDS[build]()
    name = "bias" if build.endswith("bias") else "weight"
    state = {key: value.numpy() for key, value in layer.state_dict().items()}
    with pn.use_backend("numpy"):
        plain = BUILDS[build]()
        plain.load_state_dict(state)
        getattr(plain, name)  # power iterations go on from one look to the next
        expected = getattr(plain, name)
        cotangent = rng.normal(size=expected.shape)
        expected.backward(pn.asarray(cotangent))
        gradients = [host(parameter.grad) for parameter in plain.parametrizations[name].parameters()]
    getattr(layer, name)
    found = getattr(layer, name)
    assert found.device.backend == get_backend().name
    np.testing.assert_allclose(host(found), host(expected), rtol=1e-9, atol=1e-10)
    found.backward(pn.asarray(cotangent))
    for parameter, gradient in zip(layer.parametrizations[name].parameters(), gradients, strict=True):
        np.testing.assert_allclose(host(parameter.grad), gradient, rtol=1e-8, atol=1e-9)


# Misuse


class Wider(nn.Module):
    def forward(self, x: Any) -> Any:
        return pn.concat([x, x])


class Doubled(nn.Module):
    def forward(self, x: Any) -> Any:
        return pn.astype(x, pn.float64)


class Text(nn.Module):
    def forward(self, x: Any) -> Any:
        return "weight"


class TextBack(Symmetric):
    def right_inverse(self, value: Any) -> Any:
        return "weight"


class DoubledBack(Symmetric):
    def right_inverse(self, value: Any) -> Any:
        return pn.astype(value, pn.float64)


@pytest.mark.parametrize(
    ("parametrization", "error", "message"),
    [
        (
            Wider,
            ShapeError,
            r"a parametrization must keep the shape \(3, 3\), got \(6, 3\). Pass unsafe=True",
        ),
        (
            Doubled,
            DTypeError,
            "a parametrization must keep the data type float32, got float64. Pass unsafe=True",
        ),
        (Text, TypeError, "a parametrization must return a Tensor, got str"),
        (TextBack, TypeError, "right_inverse: expected a Tensor or a sequence of Tensors, got str"),
        (DoubledBack, DTypeError, "right_inverse: a single tensor must keep the data type float32"),
    ],
)
def test_what_does_not_keep_the_tensor_is_refused_and_nothing_is_changed(
    parametrization: Any, error: type, message: str
) -> None:
    layer = nn.Linear(3, 3)
    before = host(layer.weight).copy()
    with pytest.raises(error, match=message):
        register_parametrization(layer, "weight", parametrization())
    assert type(layer) is nn.Linear
    assert not is_parametrized(layer)
    np.testing.assert_array_equal(host(layer.weight), before)
    register_parametrization(layer, "weight", Symmetric())
    if parametrization in (Wider, Doubled, Text):
        with pytest.raises(error, match=message):
            register_parametrization(layer, "weight", parametrization())
        assert len(layer.parametrizations.weight) == 1


def test_unsafe_allows_another_shape() -> None:
    layer = register_parametrization(nn.Linear(3, 3), "weight", Wider(), unsafe=True)
    assert layer.weight.shape == (6, 3)
    assert layer.parametrizations.weight.unsafe
    remove_parametrizations(layer, "weight")
    assert layer.weight.shape == (6, 3)


def test_misuse() -> None:
    layer = nn.Linear(3, 2)
    with pytest.raises(
        OptionError, match="tensor_name: Linear has no parameter or buffer named 'wait'.*weight, bias"
    ):
        register_parametrization(layer, "wait", Symmetric())
    with pytest.raises(OptionError, match="in_features"):
        register_parametrization(layer, "in_features", Symmetric())
    with pytest.raises(TypeError, match="parametrization: expected a Module, got function"):
        register_parametrization(layer, "weight", lambda x: x)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="module: expected a Module, got int"):
        register_parametrization(3, "weight", Symmetric())  # type: ignore[type-var]
    with pytest.raises(TypeError, match="module: a ParameterList holds plain parameters"):
        register_parametrization(nn.ParameterList([pn.zeros((2, 2))]), "0", Symmetric())
    with pytest.raises(ShapeError, match="'weight' has no shape yet. Run one batch"):
        register_parametrization(nn.LazyLinear(2), "weight", Symmetric())
    with pytest.raises(OptionError, match="Linear has no parametrized 'weight'; parametrized are: none"):
        remove_parametrizations(layer, "weight")
    register_parametrization(layer, "bias", Twice())
    with pytest.raises(OptionError, match="no parametrized 'weight'; parametrized are: bias"):
        remove_parametrizations(layer, "weight")
    with pytest.raises(RuntimeError, match="Twice has no right_inverse"):
        layer.bias = pn.zeros((2,))
    with pytest.raises(TypeError, match="value: a parametrized tensor takes a Tensor, got list"):
        layer.bias = [0.0, 0.0]
    with pytest.raises(OptionError, match="at least one parametrization, got none"):
        ParametrizationList([], pn.zeros((2,)))
    square = register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    with pytest.raises(ShapeError, match=r"originals have shape \(3, 3\), and of a Tensor of shape \(2, 2\)"):
        square.weight = pn.zeros((2, 2))
    with pytest.raises(DTypeError, match="originals are float32, and of a float64 Tensor"):
        square.weight = pn.zeros((3, 3), dtype=pn.float64)
    with pytest.raises(pn.errors.GradientError, match="computed from others"):
        square.reset_parameters()


def test_misuse_of_the_three() -> None:
    for function in (
        parametrizations.weight_norm,
        parametrizations.spectral_norm,
        parametrizations.orthogonal,
    ):
        with pytest.raises(OptionError, match="name: Linear has no parameter or buffer named 'wait'"):
            function(nn.Linear(2, 2), "wait")
    with pytest.raises(
        AxisError, match="dim: weight_norm expects an axis of the weight, which has 2, or None, got 2"
    ):
        parametrizations.weight_norm(nn.Linear(2, 2), dim=2)
    with pytest.raises(OptionError, match="dim"):
        parametrizations.weight_norm(nn.Linear(2, 2), dim="0")  # type: ignore[arg-type]
    with pytest.raises(
        AxisError, match="dim: spectral_norm expects an axis of the weight, which has 2, got -3"
    ):
        parametrizations.spectral_norm(nn.Linear(2, 2), dim=-3)
    with pytest.raises(OptionError, match="n_power_iterations"):
        parametrizations.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)
    with pytest.raises(OptionError, match="eps"):
        parametrizations.spectral_norm(nn.Linear(2, 2), eps=-1.0)
    with pytest.raises(
        ShapeError, match=r"name: orthogonal expects a matrix or several, got 'bias' of shape \(2,\)"
    ):
        parametrizations.orthogonal(nn.Linear(2, 2), "bias")
    with pytest.raises(
        OptionError, match="orthogonal_map: expected 'matrix_exp' or 'cayley' or 'householder', got 'qr'"
    ):
        parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="qr")
    bare = parametrizations.orthogonal(nn.Linear(2, 2), use_trivialization=False)
    with pytest.raises(NotImplementedError, match="use_trivialization=False nothing can be assigned"):
        bare.weight = pn.eye(2)
    with pytest.raises(ShapeError, match=r"orthogonal expects shape \(2, 3\), got \(3, 2\)"):
        parametrizations.orthogonal(nn.Linear(3, 2)).weight = pn.zeros((3, 2))
    unitary = nn.Module()
    unitary.weight = nn.Parameter(pn.astype(pn.eye(2), pn.complex64))
    with pytest.raises(OptionError, match="'householder' is for real weights"):
        parametrizations.orthogonal(unitary, orthogonal_map="householder")


def test_householder_signs_survive_weight_decay() -> None:
    """Decay makes the signs on the diagonal smaller; signs they stay."""
    layer = parametrizations.orthogonal(nn.Linear(3, 5))
    optimizer = pn.optim.AdamW(layer.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        layer(pn.ones((2, 3))).sum().backward()
        optimizer.step()
    weight = host(layer.weight)
    np.testing.assert_allclose(weight.T @ weight, np.eye(3), atol=1e-5)


def test_jax_compiles_and_differentiates_normalised_layers(rng: Any) -> None:
    jax = pytest.importorskip("jax")

    def model() -> Any:
        return nn.Sequential(
            parametrizations.weight_norm(nn.Linear(3, 4)),
            parametrizations.spectral_norm(nn.Linear(4, 4)),
            parametrizations.orthogonal(nn.Linear(4, 4), orthogonal_map="cayley"),
        ).eval()

    plain = model()
    values = rng.normal(size=(2, 3)).astype("float32")
    expected = plain(pn.asarray(values))
    (expected**2).sum().backward()
    with pn.use_backend("jax", strict=True):
        other = model()
        other.load_state_dict({name: value.numpy() for name, value in plain.state_dict().items()})
        x = pn.asarray(values)
        arrays = {name: value._data for name, value in other.state_dict().items()}
        compiled = jax.jit(lambda arrays, x: pn.functional_call(other, arrays, x))
        np.testing.assert_allclose(
            np.asarray(compiled(arrays, x._data)), host(expected), rtol=1e-4, atol=1e-5
        )
        (other(x) ** 2).sum().backward()
        for one, two in zip(plain.parameters(), other.parameters(), strict=True):
            np.testing.assert_allclose(host(two.grad), host(one.grad), rtol=1e-4, atol=1e-4)
        layer = with_vectors_far_off()
        arrays = {name: value._data for name, value in layer.state_dict().items()}
        compiled = jax.jit(lambda arrays, x: pn.functional_call(layer, arrays, x))
        found = np.asarray(compiled(arrays, pn.ones((2, 4))._data))
        np.testing.assert_allclose(found, host(layer(pn.ones((2, 4)))), rtol=1e-5, atol=1e-5)


def test_names_that_are_loaded_late() -> None:
    for name in nn.utils.__all__:
        assert getattr(nn.utils, name) is not None
        assert name in dir(nn.utils)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nn.utils.nothing  # noqa: B018
