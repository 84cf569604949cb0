"""Layers and activations: values, shapes, gradients, second gradients and errors."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import portanet as pn
import portanet.nn.functional as F
from portanet import nn
from portanet.errors import DTypeError, MixedBackendError, OptionError, ShapeError
from portanet.testing import gradcheck, gradgradcheck

PROVEN = ["numpy", "array-api-strict"]
SHAPES = [(3,), (5, 3), (0, 3), (2, 4, 3), (2, 0, 3), (2, 1, 4, 3), (1, 3)]
ACTIVATIONS = {
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Tanh": np.tanh,
    "ReLU": lambda x: np.maximum(x, 0),
    "Identity": lambda x: x,
}


@pytest.fixture(params=PROVEN)
def proven(request: pytest.FixtureRequest) -> Any:
    """The two backends on which gradients are held against finite differences."""
    if request.param != "numpy":
        pytest.importorskip(request.param.replace("-", "_"), reason="proves the ops on the bare standard")
    with pn.use_backend(request.param, strict=True):
        yield request.param


def doubles(rng: Any, *shape: int) -> pn.Tensor:
    return pn.asarray(np.asarray(rng.normal(size=shape)))


# Linear


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_linear_maps_the_last_axis(backend: str, rng: Any, shape: tuple[int, ...], bias: bool) -> None:
    layer = nn.Linear(3, 2, bias=bias)
    x = rng.normal(size=shape).astype("float32")
    result = layer(pn.asarray(x))
    expected = x @ layer.weight.detach().numpy().T + (layer.bias.detach().numpy() if bias else 0)
    assert result.dtype == pn.float32
    assert result.shape == (*shape[:-1], 2)
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_linear_gradients(backend: str, rng: Any, shape: tuple[int, ...]) -> None:
    x = pn.asarray(rng.normal(size=shape).astype("float32")).requires_grad_()
    layer = nn.Linear(3, 2)
    cotangent = rng.normal(size=(*shape[:-1], 2)).astype("float32")
    layer(x).backward(pn.asarray(cotangent))
    rows, slopes = x.detach().numpy().reshape(-1, 3), cotangent.reshape(-1, 2)
    for found, expected in (
        (x.grad, cotangent @ layer.weight.detach().numpy()),
        (layer.weight.grad, slopes.T @ rows),
        (layer.bias.grad, slopes.sum(axis=0)),
    ):
        assert found.dtype == pn.float32
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 3, 3), (0, 3)])
def test_linear_against_finite_differences(proven: str, rng: Any, shape: tuple[int, ...]) -> None:
    inputs = [doubles(rng, *shape), doubles(rng, 2, 3), doubles(rng, 2)]
    gradcheck(F.linear, inputs)
    gradgradcheck(F.linear, inputs)
    gradcheck(F.linear, inputs[:2])
    gradgradcheck(F.linear, inputs[:2])


def test_linear_starts_with_pytorchs_distribution() -> None:
    pn.manual_seed(5)
    layer = nn.Linear(25, 4000)
    assert layer.weight.shape == (4000, 25)
    assert layer.bias.shape == (4000,)
    for parameter in layer.parameters():
        values = np.sort(parameter.detach().numpy().ravel()) * 5  # the bound is 1 / sqrt(25)
        assert -1 <= values[0] < -0.99
        assert 0.99 < values[-1] <= 1
        empirical = (np.arange(values.size) + 0.5) / values.size
        assert np.abs(empirical - (values + 1) / 2).max() < 2 / np.sqrt(values.size)
    first = layer.weight.detach().numpy().copy()
    layer.reset_parameters()
    assert not np.array_equal(layer.weight.detach().numpy(), first)


def test_initial_weights_are_the_same_everywhere(backend: str) -> None:
    pn.manual_seed(11)
    here = nn.Linear(7, 5)
    with pn.use_backend("numpy"):
        pn.manual_seed(11)
        reference = nn.Linear(7, 5)
    for mine, its in zip(here.parameters(), reference.parameters(), strict=True):
        assert mine.device.backend == backend
        assert mine.dtype == pn.float32
        np.testing.assert_array_equal(mine.detach().numpy(), its.detach().numpy())


def test_linear_of_no_features_and_to_no_features(backend: str) -> None:
    assert nn.Linear(0, 2)(pn.zeros((3, 0))).tolist() == [[0.0, 0.0]] * 3
    assert nn.Linear(2, 0)(pn.zeros((3, 2))).shape == (3, 0)


def test_linear_takes_a_data_type() -> None:
    layer = nn.Linear(3, 2, dtype=pn.float64)
    assert layer.weight.dtype == layer.bias.dtype == pn.float64
    assert layer(pn.zeros((1, 3), dtype=pn.float64)).dtype == pn.float64


@pytest.mark.parametrize("shape", [(), (2,), (5, 4), (0, 4), (0, 2, 4), (2, 3, 1), (3, 2)])
def test_linear_names_the_features_it_expects(backend: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ShapeError, match=r"input: linear expects 3 features on the last axis.*got an input of shape"
    ):
        nn.Linear(3, 2)(pn.zeros(shape))


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
def test_linear_never_changes_the_data_type(backend: str, dtype: str) -> None:
    x = pn.asarray(np.ones((2, 3), dtype))
    with pytest.raises(
        DTypeError, match=rf"input: linear expects the data type of weight, .*float32, got .*{dtype}"
    ):
        nn.Linear(3, 2)(x)


def test_linear_names_two_backends() -> None:
    pytest.importorskip("torch", reason="needs two libraries")
    layer = nn.Linear(3, 2)
    with pn.use_backend("torch"):
        x = pn.zeros((2, 3))
    with pytest.raises(
        MixedBackendError, match=r"linear: operand 1 is on torch:cpu.*operand 2 is on numpy:cpu"
    ):
        layer(x)


@pytest.mark.parametrize("value", [-1, 2.0, "3", True, None])
def test_feature_counts_are_whole_numbers(value: Any) -> None:
    with pytest.raises(OptionError, match="in_features: expected a whole number"):
        nn.Linear(value, 2)
    with pytest.raises(OptionError, match="out_features: expected a whole number"):
        nn.Linear(2, value)
    with pytest.raises(OptionError, match="out_features: expected a whole number"):
        nn.LazyLinear(value)


def test_feature_counts_may_come_from_an_array() -> None:
    labels = np.array([0, 3, 2])
    layer = nn.Linear(2, labels.max() + 1)
    assert layer.weight.shape == (4, 2)
    assert repr(layer) == "Linear(in_features=2, out_features=4, bias=True)"


# LazyLinear


def test_lazy_linear_learns_its_features_from_the_first_input(backend: str) -> None:
    model = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(1, bias=False))
    assert repr(model[0]) == "LazyLinear(in_features=?, out_features=4, bias=True)"
    assert isinstance(model[0].weight, nn.UninitializedParameter)
    assert model(pn.ones((5, 3))).shape == (5, 1)
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Linear(in_features=3, out_features=4, bias=True)\n"
        "  (1): ReLU()\n"
        "  (2): Linear(in_features=4, out_features=1, bias=False)\n"
        ")"
    )
    assert type(model[0]) is nn.Linear
    assert type(model[0].weight) is nn.Parameter
    model(pn.ones((5, 3))).sum().backward()
    assert model[0].weight.grad.shape == (4, 3)
    with pytest.raises(ShapeError, match="3 features"):
        model(pn.ones((5, 4)))


def test_lazy_linear_draws_what_linear_draws() -> None:
    pn.manual_seed(3)
    lazy = nn.LazyLinear(4)
    lazy(pn.ones((1, 3)))
    pn.manual_seed(3)
    layer = nn.Linear(3, 4)
    for mine, its in zip(lazy.parameters(), layer.parameters(), strict=True):
        np.testing.assert_array_equal(mine.detach().numpy(), its.detach().numpy())


def test_lazy_linear_can_be_moved_copied_and_frozen_before_its_first_input(backend: str) -> None:
    lazy = nn.LazyLinear(2).to(pn.float64).requires_grad_(False).train(False)
    lazy.zero_grad()
    twin = copy.deepcopy(nn.Sequential(lazy))[0]
    assert twin.weight is not lazy.weight
    for layer in (lazy, twin):
        assert layer(pn.ones((1, 3), dtype=pn.float64)).dtype == pn.float64
        assert not layer.weight.requires_grad
        assert layer.weight.shape == (2, 3)
    with pn.use_backend("numpy"):
        later = nn.LazyLinear(2).to(backend)
    assert later(pn.ones((1, 3))).device.backend == backend


def test_lazy_linear_takes_its_shape_from_a_state_dict(backend: str) -> None:
    source, lazy = nn.Linear(3, 2), nn.LazyLinear(2)
    lazy.load_state_dict(source.state_dict())
    assert lazy.weight.shape == (2, 3)
    x = pn.ones((4, 3))
    np.testing.assert_array_equal(lazy(x).detach().numpy(), source(x).detach().numpy())
    assert lazy.in_features == 3
    assert lazy.weight.requires_grad
    partly = nn.LazyLinear(2)
    partly.load_state_dict({"weight": pn.ones((2, 3), dtype=pn.float64)}, strict=False)
    assert partly(x).shape == (4, 2)
    assert partly.weight.dtype == pn.float32
    assert partly.weight.tolist() == [[1.0] * 3] * 2


def test_lazy_linear_refuses_a_state_dict_of_other_outputs() -> None:
    lazy = nn.LazyLinear(2)
    with pytest.raises(
        ValueError,
        match=r"weight \(expected \(2, any\), got \(5, 3\)\), bias \(expected \(2,\)",
    ):
        lazy.load_state_dict(nn.Linear(3, 5).state_dict())
    assert isinstance(lazy.weight, nn.UninitializedParameter)
    assert lazy(pn.ones((1, 7))).shape == (1, 2)


def test_a_lazy_layer_that_saw_a_bad_input_is_still_lazy() -> None:
    lazy = nn.LazyLinear(2)
    with pytest.raises(ShapeError, match="input: LazyLinear expects an axis of features"):
        lazy(pn.asarray(1.0))
    with pytest.raises(TypeError, match=r"input: .*str.*portanet\.asarray"):
        lazy("text")
    assert isinstance(lazy.weight, nn.UninitializedParameter)


# Activations


@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (2, 3, 4)])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(backend: str, rng: Any, name: str, shape: tuple[int, ...]) -> None:
    x = np.asarray(3 * rng.normal(size=shape), "float32")
    result = getattr(nn, name)()(pn.asarray(x))
    assert result.shape == shape
    assert result.dtype == pn.float32
    np.testing.assert_allclose(result.numpy(), ACTIVATIONS[name](x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_against_finite_differences(proven: str, rng: Any, name: str) -> None:
    layer = getattr(nn, name)()
    x = doubles(rng, 4, 3)
    x = pn.where(pn.abs(x) < 0.01, 0.5 * pn.ones_like(x), x)  # away from the kink of ReLU
    gradcheck(layer, x)
    if name not in ("ReLU", "Identity"):  # their gradients are constant
        gradgradcheck(layer, x)


@pytest.mark.parametrize("name", ["Sigmoid", "Tanh", "ReLU"])
def test_activations_of_extreme_inputs_are_finite(backend: str, name: str) -> None:
    x = pn.asarray([-1e4, -100.0, 0.0, 100.0, 1e4]).requires_grad_()
    result = getattr(nn, name)()(x)
    result.sum().backward()
    expected = {
        "Sigmoid": ([0, 3.783506e-44, 0.5, 1, 1], [0, 3.783506e-44, 0.25, 0, 0]),
        "Tanh": ([-1, -1, 0, 1, 1], [0, 0, 1, 0, 0]),
        "ReLU": ([0, 0, 0, 100, 1e4], [0, 0, 0, 1, 1]),
    }[name]
    np.testing.assert_allclose(result.detach().numpy(), expected[0], rtol=1e-6, atol=1e-40)
    np.testing.assert_allclose(x.grad.numpy(), expected[1], rtol=1e-6, atol=1e-40)


@pytest.mark.parametrize("second", [False, True])
def test_sigmoid_has_a_gradient_at_zero_of_either_order(backend: str, second: bool) -> None:
    x = pn.asarray([0.0]).requires_grad_()
    (slope,) = pn.grad(F.sigmoid(x).sum(), x, create_graph=second)
    assert slope.tolist() == [0.25]
    if second:
        (curvature,) = pn.grad(slope.sum(), x, create_graph=True)
        assert curvature.tolist() == [0.0]
        (third,) = pn.grad(curvature.sum(), x)
        np.testing.assert_allclose(third.numpy(), [-0.125], rtol=1e-6)


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
@pytest.mark.parametrize(
    ("shape", "dim"), [((3,), 0), ((4, 3), 1), ((4, 3), -1), ((2, 3, 4), 1), ((0, 3), 1)]
)
def test_softmax(backend: str, rng: Any, function: Any, shape: tuple[int, ...], dim: int) -> None:
    x = rng.normal(size=shape).astype("float32")
    result = function(pn.asarray(x), dim=dim).numpy()
    exact = np.exp(x.astype("float64"))
    exact /= exact.sum(axis=dim, keepdims=True)
    np.testing.assert_allclose(
        result, exact if function is F.softmax else np.log(exact), rtol=1e-5, atol=1e-6
    )
    layer = nn.Softmax(dim=dim)
    np.testing.assert_allclose(layer(pn.asarray(x)).numpy(), exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
@pytest.mark.parametrize(("shape", "dim"), [((3,), 0), ((4, 3), 1), ((4, 3), 0), ((2, 3, 2), -2)])
def test_softmax_against_finite_differences(
    proven: str, rng: Any, function: Any, shape: tuple[int, ...], dim: int
) -> None:
    # A random cotangent, for the sum of a softmax is constant and a wrong rule could pass.
    gradcheck(lambda x: function(x, dim=dim), doubles(rng, *shape))
    gradgradcheck(lambda x: function(x, dim=dim), doubles(rng, *shape))


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
def test_softmax_of_extreme_inputs(backend: str, function: Any) -> None:
    x = pn.asarray([[1e4, -1e4, 1e4], [-1e4, -1e4, -1e4], [0.0, 1e4, -1e4]]).requires_grad_()
    result = function(x, dim=1)
    result.backward(pn.asarray([[1.0, 2.0, 3.0]] * 3))
    exact = np.array([[0.5, 0, 0.5], [1 / 3] * 3, [0, 1, 0]])
    if function is F.softmax:
        np.testing.assert_allclose(result.detach().numpy(), exact, rtol=1e-6, atol=1e-30)
    else:
        logs = [[-np.log(2), -2e4 - np.log(2), -np.log(2)], [-np.log(3)] * 3, [-1e4, 0, -2e4]]
        np.testing.assert_allclose(result.detach().numpy(), logs, rtol=1e-6)
    assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("dim", [None, 1.0, "1", True])
def test_softmax_wants_the_number_of_an_axis(dim: Any) -> None:
    with pytest.raises(TypeError, match=r"dim: expected the number of an axis, got .*Softmax\(dim=1\)"):
        nn.Softmax(dim)


@pytest.mark.parametrize("dim", [2, -3])
def test_softmax_names_an_axis_that_is_not_there(backend: str, dim: int) -> None:
    with pytest.raises(ShapeError, match=rf"dim: softmax got axis {dim} for an input of shape \(2, 3\)"):
        nn.Softmax(dim)(pn.zeros((2, 3)))


# Flatten


@pytest.mark.parametrize(
    ("options", "shape", "expected"),
    [
        ((), (2, 3, 4), (2, 12)),
        ((), (2, 3), (2, 3)),
        ((), (0, 3, 4), (0, 12)),
        ((0,), (2, 3, 4), (24,)),
        ((0,), (5,), (5,)),
        ((1, 2), (2, 3, 4, 5), (2, 12, 5)),
        ((-2, -1), (2, 3, 4, 5), (2, 3, 20)),
        ((0, 0), (2, 3), (2, 3)),
    ],
)
def test_flatten_joins_axes(
    backend: str, rng: Any, options: tuple[int, ...], shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    values = rng.normal(size=shape).astype("float32")
    result = nn.Flatten(*options)(pn.asarray(values))
    assert result.shape == expected
    np.testing.assert_array_equal(result.numpy(), values.reshape(expected))


def test_flatten_against_finite_differences(proven: str, rng: Any) -> None:
    weight = doubles(rng, 12)
    gradcheck(lambda x: (nn.Flatten()(x) * weight) ** 2, doubles(rng, 2, 3, 4))
    gradgradcheck(lambda x: (nn.Flatten()(x) * weight) ** 2, doubles(rng, 2, 3, 4))


@pytest.mark.parametrize(
    ("options", "shape"), [((), (3,)), ((), ()), ((2, 1), (2, 3, 4)), ((0, 3), (2, 3)), ((-3,), (2, 3))]
)
def test_flatten_says_what_does_not_fit(options: tuple[int, ...], shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ShapeError, match=r"Flatten: start_dim=.* and end_dim=.* do not fit an input of shape"
    ):
        nn.Flatten(*options)(pn.zeros(shape))


# Raw arrays


@pytest.mark.parametrize(
    "layer", [nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.Softmax(-1), nn.Flatten(), nn.Identity()], ids=repr
)
def test_raw_arrays_stay_raw_and_unchanged(layer: nn.Module, rng: Any) -> None:
    x = rng.normal(size=(4, 3)).astype("float32")
    x.flags.writeable = False
    result = layer(x)
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, layer(pn.asarray(x)).numpy())
    assert result.dtype == np.float32


def test_identity_ignores_its_options() -> None:
    x = object()
    assert nn.Identity(54, unused=True)(x) is x


def test_relu_keeps_pytorchs_argument_and_never_writes() -> None:
    x = pn.asarray([-1.0, 1.0])
    assert nn.ReLU(inplace=True)(x).tolist() == [0.0, 1.0]
    assert x.tolist() == [-1.0, 1.0]
    assert repr(nn.ReLU(inplace=True)) == "ReLU(inplace=True)"
