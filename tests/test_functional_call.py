"""functional_call: a module as a pure function of its arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn
from portanet.backend import get_backend
from portanet.errors import StateDictError


class Net(nn.Module):
    def __init__(self) -> None:
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        self.register_buffer("mean", pn.zeros((3,)))
        self.register_buffer("scratch", pn.zeros((1,)), persistent=False)

    def forward(self, x: Any, *, scale: Any = 1.0) -> Any:
        return self.layers(x - self.mean) * scale + self.scratch


def raw(tensors: Any) -> dict[str, Any]:
    return {name: value.detach()._data for name, value in tensors}


def test_raw_arrays_go_in_and_a_raw_array_comes_out(backend: str, rng: Any) -> None:
    model, other = Net(), Net()
    x = pn.asarray(rng.normal(size=(5, 3)).astype("float32"))
    arrays = {**raw(other.state_dict().items()), "scratch": pn.asarray([2.0])._data}
    found = pn.functional_call(model, arrays, x._data)
    assert isinstance(found, get_backend().array_types()[0])
    np.testing.assert_allclose(
        get_backend().to_host(found), other(x).detach().numpy() + 2.0, rtol=1e-6, atol=1e-6
    )


def test_names_left_out_keep_the_modules_own_and_nothing_is_changed() -> None:
    model = Net()
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    x = pn.random.normal((2, 3))
    plain = model(x).detach().numpy()
    np.testing.assert_array_equal(pn.functional_call(model, {}, x).detach().numpy(), plain)
    shifted = pn.functional_call(model, {"layers.2.bias": model.layers[2].bias + 1.0}, x, {"scale": 2.0})
    np.testing.assert_allclose(shifted.detach().numpy(), 2 * (plain + 1), rtol=1e-6, atol=1e-6)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    assert all(isinstance(parameter, nn.Parameter) for parameter in model.parameters())
    assert [name for name, _ in model.named_buffers()] == ["mean", "scratch"]


def test_gradients_flow_to_the_replacements_and_not_to_the_module(backend: str) -> None:
    model = Net()
    weight = pn.ones((2, 4), dtype=pn.float32).requires_grad_()
    pn.functional_call(model, {"layers.2.weight": weight}, (pn.ones((5, 3)),)).sum().backward()
    hidden = model.layers[1](model.layers[0](pn.ones((5, 3)))).sum(axis=0).detach().numpy()
    np.testing.assert_allclose(weight.grad.numpy(), np.stack([hidden, hidden]), rtol=1e-5, atol=1e-6)
    assert model.layers[2].weight.grad is None
    assert model.layers[0].weight.grad is not None


def test_shared_parameters_are_replaced_at_every_place() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    (names,) = [list(dict(model.named_parameters()))]
    assert names == ["0.weight"]
    x = pn.ones((1, 2))
    both = pn.functional_call(model, {"0.weight": 2 * pn.eye(2)}, x)
    assert both.tolist() == [[4.0, 4.0]]
    each = pn.functional_call(model, {"0.weight": 2 * pn.eye(2), "1.weight": 3 * pn.eye(2)}, x)
    assert each.tolist() == [[6.0, 6.0]]
    assert model[1].weight is model[0].weight


def test_a_shared_module_is_restored() -> None:
    shared = nn.Linear(2, 2)
    model = nn.Sequential(shared, shared)
    weight = shared.weight
    pn.functional_call(
        model, {name: value * 0 for name, value in model.state_dict().items()}, pn.ones((1, 2))
    )
    assert shared.weight is weight


def test_an_error_inside_restores_the_module() -> None:
    model = Net()
    weight = model.layers[0].weight
    with pytest.raises(ValueError, match="features"):
        pn.functional_call(model, {"layers.0.weight": pn.ones((4, 7))}, pn.ones((1, 3)))
    assert model.layers[0].weight is weight


def test_unknown_names_are_refused_and_known_ones_told() -> None:
    with pytest.raises(
        StateDictError,
        match=r"no .* named layers\.9\.weight, bias; it has mean, scratch, layers\.0",
    ):
        pn.functional_call(Net(), {"layers.9.weight": 1, "bias": 2}, pn.ones((1, 3)))


def test_a_lazy_module_stays_lazy() -> None:
    model = nn.Sequential(nn.LazyLinear(2))
    found = pn.functional_call(
        model, {"0.weight": pn.ones((2, 3)), "0.bias": pn.zeros((2,))}, pn.ones((1, 3))
    )
    assert found.tolist() == [[3.0, 3.0]]
    assert model(pn.ones((1, 5))).shape == (1, 2)
    assert model[0].in_features == 5


def test_hooks_run() -> None:
    layer = nn.Linear(2, 2)
    layer.register_forward_hook(lambda module, args, output: output * 0)
    assert pn.functional_call(layer, {"bias": pn.ones((2,))}, pn.ones((1, 2))).tolist() == [[0.0, 0.0]]


def test_a_model_compiles_under_jax(rng: Any) -> None:
    jax = pytest.importorskip("jax", reason="compiles with JAX")
    with pn.use_backend("jax"):
        model = Net()
        arrays = raw((*model.named_parameters(), *model.named_buffers()))
        x = pn.asarray(rng.normal(size=(5, 3)).astype("float32"))

        def loss(arrays: Any, x: Any) -> Any:
            return pn.functional_call(model, arrays, x).sum()

        value, slopes = jax.jit(jax.value_and_grad(loss))(arrays, x._data)
        expected = model(x).sum()
        expected.backward()
        np.testing.assert_allclose(value, expected.item(), rtol=1e-5, atol=1e-5)
        for name, parameter in model.named_parameters():
            np.testing.assert_allclose(slopes[name], parameter.grad.numpy(), rtol=1e-5, atol=1e-5)
