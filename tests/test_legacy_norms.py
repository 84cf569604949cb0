"""Weight and spectral normalisation under the older names: classes, copies, removal, gradients, misuse."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn
from portanet.errors import AxisError, OptionError
from portanet.nn.utils import (
    parametrizations,
    parametrize,
    remove_spectral_norm,
    remove_weight_norm,
    spectral_norm,
    weight_norm,
)
from portanet.testing import gradcheck, gradgradcheck


def host(x: Any) -> Any:
    return x.detach().numpy()


def test_the_class_looks_as_before() -> None:
    layer = weight_norm(nn.Linear(3, 2))
    assert isinstance(layer, nn.Linear)
    assert repr(layer) == "Linear(in_features=3, out_features=2, bias=True)"
    assert remove_weight_norm(layer) is layer
    assert type(layer) is nn.Linear
    assert isinstance(layer.weight, nn.Parameter)
    assert list(layer.state_dict()) == ["bias", "weight"]


def test_both_kinds_on_one_module_go_one_by_one() -> None:
    layer = spectral_norm(weight_norm(nn.LSTM(2, 3), "weight_hh_l0"), "weight_ih_l0")
    x = pn.random.normal((4, 2, 2))
    layer.eval()
    before = host(layer(x)[0])
    remove_weight_norm(layer, "weight_hh_l0")
    np.testing.assert_allclose(host(layer(x)[0]), before, rtol=1e-5, atol=1e-6)
    remove_spectral_norm(layer, "weight_ih_l0")
    np.testing.assert_allclose(host(layer(x)[0]), before, rtol=1e-5, atol=1e-6)
    assert type(layer) is nn.LSTM
    assert not list(layer.named_buffers())
    layer(x)[0].sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


def test_copies_are_of_their_own(eager: str) -> None:
    layer = weight_norm(nn.Linear(3, 2))
    layer(pn.ones((1, 3))).sum().backward()
    twin = copy.deepcopy(layer)
    remove_weight_norm(twin)
    np.testing.assert_allclose(host(twin.weight), host(layer.weight))
    assert "weight_g" in layer.state_dict()


def test_functional_call_and_gradients(eager: str, rng: Any) -> None:
    for make in (weight_norm, spectral_norm):
        layer = make(nn.Linear(3, 2)).eval()
        x = pn.asarray(rng.normal(size=(4, 3)).astype("float32"))
        leaves = {name: value.clone().requires_grad_() for name, value in layer.state_dict().items()}
        found = pn.functional_call(layer, leaves, x)
        np.testing.assert_allclose(host(found), host(layer(x)), rtol=1e-5, atol=1e-6)
        found.sum().backward()
        layer(x).sum().backward()
        for name, parameter in layer.named_parameters():
            np.testing.assert_allclose(host(leaves[name].grad), host(parameter.grad), rtol=1e-4, atol=1e-5)


def test_second_gradients(rng: Any) -> None:
    for make, names in ((weight_norm, ("weight_g", "weight_v")), (spectral_norm, ("weight_orig",))):
        layer = make(nn.Linear(3, 2, dtype=pn.float64)).eval()

        def function(*arrays: Any, layer: Any = layer, names: Any = names) -> Any:
            return pn.functional_call(
                layer, dict(zip(names, arrays, strict=True)), pn.ones((1, 3), dtype=pn.float64)
            )

        values = [pn.asarray(rng.uniform(0.5, 1.5, size=layer.get_parameter(name).shape)) for name in names]
        gradcheck(function, values)
        gradgradcheck(function, values)


def test_a_frozen_weight_stays_frozen() -> None:
    layer = nn.Linear(3, 2)
    layer.weight.requires_grad_(False)
    weight_norm(layer)
    assert [name for name, p in layer.named_parameters() if p.requires_grad] == ["bias"]
    assert not remove_weight_norm(layer).weight.requires_grad


def test_misuse() -> None:
    for function in (weight_norm, spectral_norm):
        with pytest.raises(
            OptionError, match="name: Linear has no parameter named 'wait' with a shape; it has weight"
        ):
            function(nn.Linear(2, 2), "wait")
        with pytest.raises(OptionError, match="LazyLinear has no parameter named 'weight' with a shape"):
            function(nn.LazyLinear(2))
        with pytest.raises(TypeError, match=f"module: {function.__name__} expects a Module, got int"):
            function(3)
        with pytest.raises(
            OptionError, match=f"name: 'weight' is normalised already, by {function.__name__}"
        ):
            function(function(nn.Linear(2, 2)))
        with pytest.raises(OptionError, match="expects one without parametrizations"):
            function(parametrizations.orthogonal(nn.Linear(2, 2)), "bias")
        with pytest.raises(AxisError, match="dim"):
            function(nn.Linear(2, 2), dim=2)
    with pytest.raises(AxisError, match="two axes or more"):
        spectral_norm(nn.Linear(2, 2), "bias")
    with pytest.raises(OptionError, match="n_power_iterations"):
        spectral_norm(nn.Linear(2, 2), n_power_iterations=0)
    for remove, other in ((remove_weight_norm, spectral_norm), (remove_spectral_norm, weight_norm)):
        with pytest.raises(OptionError, match="name: there is no .*_norm of 'weight' in this Linear"):
            remove(nn.Linear(2, 2))
        with pytest.raises(OptionError, match="name: there is no .*_norm of 'weight' in this Linear"):
            remove(other(nn.Linear(2, 2)))
    layer = weight_norm(nn.Linear(2, 2))
    with pytest.raises(AttributeError):
        layer.weight = nn.Parameter(pn.eye(2))
    with pytest.raises(
        OptionError, match="no parameter or buffer named 'weight' of its own; it has bias, weight_g"
    ):
        parametrize.register_parametrization(layer, "weight", nn.Identity())
