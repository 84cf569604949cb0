"""Normalisation layers against PyTorch's: outputs, gradients, running statistics and printed forms."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn as layers
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.nn.functional import normalization as functions
from portanet.testing import gradcheck, gradgradcheck
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")

# Each makes a layer from the module that it is given, portanet's or PyTorch's.
CASES: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "batch-1d": (lambda nn: nn.BatchNorm1d(4), (6, 4)),
    "batch-1d-length": (lambda nn: nn.BatchNorm1d(4, eps=0.1, momentum=0.3), (3, 4, 5)),
    "batch-1d-bare": (lambda nn: nn.BatchNorm1d(4, affine=False), (6, 4)),
    "batch-1d-no-bias": (lambda nn: nn.BatchNorm1d(4, bias=False), (6, 4)),
    "batch-1d-cumulative": (lambda nn: nn.BatchNorm1d(4, momentum=None), (6, 4)),
    "batch-1d-untracked": (lambda nn: nn.BatchNorm1d(4, track_running_stats=False), (6, 4)),
    "batch-2d": (lambda nn: nn.BatchNorm2d(3), (4, 3, 2, 5)),
    "batch-2d-bare": (lambda nn: nn.BatchNorm2d(3, affine=False, momentum=None), (4, 3, 2, 5)),
    "batch-2d-untracked": (
        lambda nn: nn.BatchNorm2d(3, affine=False, track_running_stats=False),
        (4, 3, 2, 5),
    ),
    "batch-3d": (lambda nn: nn.BatchNorm3d(3, momentum=0.5), (2, 3, 2, 2, 3)),
    "batch-3d-bare": (lambda nn: nn.BatchNorm3d(3, eps=0.01, affine=False), (2, 3, 2, 2, 3)),
    "batch-3d-untracked": (lambda nn: nn.BatchNorm3d(3, track_running_stats=False), (2, 3, 2, 2, 3)),
    "instance-1d": (lambda nn: nn.InstanceNorm1d(3), (4, 3, 6)),
    "instance-1d-affine": (lambda nn: nn.InstanceNorm1d(3, affine=True, eps=0.01), (4, 3, 6)),
    "instance-1d-tracked": (lambda nn: nn.InstanceNorm1d(3, track_running_stats=True), (4, 3, 6)),
    "instance-1d-single": (lambda nn: nn.InstanceNorm1d(3, affine=True), (3, 6)),
    "instance-2d": (lambda nn: nn.InstanceNorm2d(3), (4, 3, 6, 2)),
    "instance-2d-all": (
        lambda nn: nn.InstanceNorm2d(3, affine=True, track_running_stats=True, momentum=0.4),
        (4, 3, 6, 2),
    ),
    "instance-2d-single": (lambda nn: nn.InstanceNorm2d(3, affine=True), (3, 6, 2)),
    "instance-2d-no-momentum": (
        lambda nn: nn.InstanceNorm2d(3, track_running_stats=True, momentum=None),
        (4, 3, 6, 2),
    ),
    "instance-3d": (lambda nn: nn.InstanceNorm3d(3), (2, 3, 2, 3, 2)),
    "instance-3d-affine": (
        lambda nn: nn.InstanceNorm3d(3, affine=True, track_running_stats=True, bias=False),
        (2, 3, 2, 3, 2),
    ),
    "instance-3d-single": (lambda nn: nn.InstanceNorm3d(3), (3, 2, 3, 2)),
    "layer": (lambda nn: nn.LayerNorm(5), (4, 5)),
    "layer-two-axes": (lambda nn: nn.LayerNorm((3, 5), eps=0.01), (2, 4, 3, 5)),
    "layer-no-bias": (lambda nn: nn.LayerNorm(5, bias=False), (2, 4, 5)),
    "layer-bare": (lambda nn: nn.LayerNorm([5], elementwise_affine=False), (4, 5)),
    "layer-one-example": (lambda nn: nn.LayerNorm(5), (5,)),
    "layer-no-example": (lambda nn: nn.LayerNorm(5), (0, 5)),
    "group": (lambda nn: nn.GroupNorm(2, 6), (3, 6)),
    "group-image": (lambda nn: nn.GroupNorm(3, 6, eps=0.01), (3, 6, 2, 4)),
    "group-bare": (lambda nn: nn.GroupNorm(2, 4, affine=False), (3, 4, 5)),
    "group-of-one": (lambda nn: nn.GroupNorm(4, 4, bias=False), (3, 4, 5)),
    "group-of-all": (lambda nn: nn.GroupNorm(1, 4), (3, 4, 2, 2, 2)),
    "rms": (lambda nn: nn.RMSNorm(5), (4, 5)),
    "rms-two-axes": (lambda nn: nn.RMSNorm((3, 5), eps=0.01), (2, 4, 3, 5)),
    "rms-bare": (lambda nn: nn.RMSNorm(5, elementwise_affine=False), (4, 5)),
    "response": (lambda nn: nn.LocalResponseNorm(3), (2, 6, 3)),
    "response-even": (lambda nn: nn.LocalResponseNorm(4, alpha=0.5, beta=0.6, k=2.0), (2, 6, 3, 2)),
    "response-wide": (lambda nn: nn.LocalResponseNorm(9, alpha=1.0, beta=1.0), (2, 3, 2, 2, 2)),
    "response-one": (lambda nn: nn.LocalResponseNorm(1, alpha=0.7), (2, 3, 4)),
}
EVERY_CASE = pytest.mark.parametrize("case", CASES)
LAZY = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"]


def pair(rng: Any, case: str, dtype: str) -> tuple[Any, Any]:
    """The layer and PyTorch's, in training mode, with parameters away from 0 and 1."""
    make, _ = CASES[case]
    mine, its = make(layers), make(torch.nn).to(getattr(torch, dtype))
    for parameter in its.parameters():
        drawn = rng.uniform(0.5, 2.0, size=tuple(parameter.shape)) * rng.choice([-1, 1])
        parameter.data = torch.tensor(np.asarray(drawn), dtype=getattr(torch, dtype))
    mine = mine.to(getattr(pn, dtype))
    assert list(mine.state_dict()) == list(its.state_dict())
    mine.load_state_dict({name: np.asarray(value) for name, value in its.state_dict().items()})
    return mine, its


def spread(rng: Any, shape: tuple[int, ...]) -> Any:
    """Numbers no two of which are close: of three alike the deviation, which all is divided by, would be rounding."""
    count = int(np.prod(shape))
    values = rng.permutation(count) + rng.uniform(0, 0.5, count)
    return (values * (7 / max(count, 1)) - 3.5 + rng.normal()).reshape(shape)


def compare(rng: Any, mine: Any, its: Any, shape: tuple[int, ...], dtype: str) -> None:
    """Output, gradients, and all state after it."""
    values = spread(rng, shape).astype(dtype)
    x = pn.asarray(values).requires_grad_()
    its_x = torch.tensor(values, requires_grad=True)
    found, expected = mine(x), its(its_x)
    assert_near(found, expected, "output", scale=1.0)
    cotangent = rng.normal(size=tuple(expected.shape)).astype(dtype)
    mine.zero_grad()
    its.zero_grad()
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))
    assert_near(x.grad, its_x.grad, "gradient of the input", scale=1.0)
    for name, parameter in its.named_parameters():
        assert_near(
            mine.get_parameter(name).grad, parameter.grad, name, scale=float(np.abs(cotangent).sum() + 1)
        )
    state = mine.state_dict()
    for name, value in its.state_dict().items():
        assert_near(state[name], value, name, scale=1.0) if value.ndim else None
        assert np.shape(state[name]) == tuple(value.shape)
        if name == "num_batches_tracked":
            assert state[name].dtype == pn.int64
            assert int(state[name]) == int(value)


@DTYPES
@pytest.mark.parametrize("backend_name", ["numpy", "array-api-strict"])
@EVERY_CASE
def test_training_then_evaluation(rng: Any, case: str, backend_name: str, dtype: str) -> None:
    """Three batches move the running statistics, then one is normalised by them."""
    if backend_name != "numpy":
        pytest.importorskip("array_api_strict", reason="proves the ops on the bare standard")
    with pn.use_backend(backend_name, strict=True):
        mine, its = pair(rng, case, dtype)
        for _ in range(3):
            compare(rng, mine, its, CASES[case][1], dtype)
        compare(rng, mine.eval(), its.eval(), CASES[case][1], dtype)


@pytest.mark.parametrize(
    "case", ["batch-2d", "batch-1d-cumulative", "instance-1d", "layer", "group", "rms", "response"]
)
def test_every_other_backend_agrees_with_numpy(case: str, backend: str, rng: Any) -> None:
    make, shape = CASES[case]
    values = np.stack([spread(rng, shape), rng.normal(size=shape)]).astype("float32")
    results = []
    for name in ("numpy", backend):
        with pn.use_backend(name, strict=True):
            layer = make(layers)
            x = pn.asarray(values[0]).requires_grad_()
            r = layer(x)
            r.backward(pn.asarray(values[1]))
            parts = [r.detach(), x.grad, *(p.grad for p in layer.parameters()), *layer.buffers()]
            results.append([part.detach().numpy() for part in parts])
    for one, other in zip(*results, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
@EVERY_CASE
def test_gradients_of_both_orders(rng: Any, case: str, training: bool) -> None:
    make, shape = CASES[case]
    if 0 in shape:
        return
    with pn.use_backend("numpy"):
        layer = make(layers).double().train(training)
        names = [name for name, _ in layer.named_parameters()]
        drawn = [pn.asarray(np.asarray(rng.uniform(0.5, 2.0, size=p.shape))) for p in layer.parameters()]

        def function(x: Any, *parameters: Any) -> Any:
            return pn.functional_call(copy.deepcopy(layer), dict(zip(names, parameters, strict=True)), x)

        x = pn.asarray(rng.normal(size=shape))
        gradcheck(function, [x, *drawn])
        gradgradcheck(function, [x, *drawn])


@EVERY_CASE
def test_the_printed_form(case: str) -> None:
    make, _ = CASES[case]
    assert repr(make(layers)) == repr(make(torch.nn))


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
@pytest.mark.parametrize("options", [{}, {"affine": True, "track_running_stats": True}, {"affine": False}])
@pytest.mark.parametrize("name", LAZY)
def test_lazy_layers_become_plain_ones(name: str, options: dict[str, Any], rng: Any) -> None:
    shape = (3, 4, 2, 3, 2)[: 2 + int(name[-2])]
    mine, its = getattr(layers, f"Lazy{name}")(**options), getattr(torch.nn, f"Lazy{name}")(**options)
    assert repr(mine) == repr(its)
    mine.double()
    its.double()
    compare(rng, mine, its, shape, "float64")
    assert type(mine) is getattr(layers, name)
    assert repr(mine) == repr(its)
    assert [n for n, _ in mine.named_parameters()] == [n for n, _ in its.named_parameters()]
    assert [n for n, _ in mine.named_buffers()] == [n for n, _ in its.named_buffers()]
    compare(rng, mine.eval(), its.eval(), shape, "float64")
    compare(rng, mine.train(), its.train(), shape, "float64")


def test_a_lazy_layer_loads_a_state_dict_first(rng: Any) -> None:
    trained = layers.BatchNorm1d(4)
    trained(pn.asarray(rng.normal(size=(5, 4)).astype("float32")))
    lazy = layers.LazyBatchNorm1d()
    with pytest.raises(ShapeError, match="no shape yet"):
        lazy.state_dict()
    lazy.load_state_dict(trained.state_dict())
    x = pn.asarray(rng.normal(size=(5, 4)).astype("float32"))
    np.testing.assert_array_equal(lazy.eval()(x).detach().numpy(), trained.eval()(x).detach().numpy())
    assert repr(lazy) == repr(trained)


def test_lazy_layers_as_functions_of_their_arrays(rng: Any) -> None:
    lazy = layers.LazyBatchNorm1d()
    arrays = {
        "weight": np.ones(3),
        "bias": np.zeros(3),
        "running_mean": np.zeros(3),
        "running_var": np.ones(3),
    }
    found = pn.functional_call(lazy, arrays, rng.normal(size=(4, 3)))
    assert type(found) is np.ndarray
    assert isinstance(lazy, layers.LazyBatchNorm1d)


@pytest.mark.parametrize("training", [True, False])
@DTYPES
def test_functions_with_statistics_alone(rng: Any, dtype: str, training: bool) -> None:
    """The functions as such, with options that the layers do not reach."""
    x = rng.normal(size=(4, 3, 5)).astype(dtype)
    mean, var = rng.normal(size=3).astype(dtype), rng.uniform(0.5, 2, 3).astype(dtype)
    for mine, its, name in (
        (functions.batch_norm, torch.nn.functional.batch_norm, "training"),
        (functions.instance_norm, torch.nn.functional.instance_norm, "use_input_stats"),
    ):
        my_stats, its_stats = [pn.asarray(mean), pn.asarray(var)], [torch.tensor(mean), torch.tensor(var)]
        options = {name: training, "momentum": 0.25, "eps": 0.01}
        assert_near(mine(pn.asarray(x), *my_stats, **options), its(torch.tensor(x), *its_stats, **options))
        for one, other in zip(my_stats, its_stats, strict=True):
            assert_near(one, other, scale=1.0)


def test_a_constant_input_becomes_0() -> None:
    x = pn.asarray(np.full((2, 3, 5), 2.5, "float32"))
    assert not functions.batch_norm(x, None, None, training=True).numpy().any()
    assert not functions.instance_norm(x).numpy().any()


# Running statistics


def test_running_statistics_have_no_graph_and_spoil_none(rng: Any) -> None:
    """Those of an earlier pass in evaluation mode still serve its backward pass."""
    layer = layers.BatchNorm1d(3)
    x = pn.asarray(rng.normal(size=(4, 3)).astype("float32")).requires_grad_()
    before = layer.eval()(x)
    held = layer.running_mean
    layer.train()(x)
    assert layer.running_mean is held
    assert held.requires_grad is False
    before.backward(pn.ones_like(before.detach()))
    np.testing.assert_allclose(x.grad.numpy(), np.full((4, 3), 1 / np.sqrt(1 + 1e-5)), rtol=1e-6)


def test_an_empty_batch_changes_no_statistics() -> None:
    layer, its = layers.BatchNorm1d(3), torch.nn.BatchNorm1d(3)
    assert layer(pn.zeros((0, 3))).shape == (0, 3)
    its(torch.zeros(0, 3))
    for name, value in its.state_dict().items():
        np.testing.assert_array_equal(layer.state_dict()[name].numpy(), value.numpy())


def test_raw_arrays_stay_raw_and_unchanged(rng: Any) -> None:
    x, mean, var = rng.normal(size=(4, 3)), np.zeros(3), np.ones(3)
    found = functions.batch_norm(x, mean, var, training=True)
    assert type(found) is np.ndarray
    assert not mean.any()
    np.testing.assert_allclose(found, (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5))
    assert type(functions.local_response_norm(x[:, :, None], 3)) is np.ndarray
    assert type(functions.group_norm(x, 3, np.ones(3), np.zeros(3))) is np.ndarray


def test_reset(rng: Any) -> None:
    layer = layers.BatchNorm1d(3)
    first = {name: value.numpy().copy() for name, value in layer.state_dict().items()}
    layer(pn.asarray(rng.normal(size=(4, 3)).astype("float32")))
    layer.weight.data = np.full(3, 2.0, "float32")
    layer.reset_parameters()
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), first[name])


def test_a_layer_in_a_compiled_step() -> None:
    """JAX traces a step in training mode: no value is read, and no buffer is left with a tracer in it."""
    jax = pytest.importorskip("jax", reason="traces a step")
    with pn.use_backend("jax", strict=True):
        layer = layers.BatchNorm1d(3, momentum=None)
        x = jax.numpy.ones((4, 3), dtype="float32")
        arrays = {name: value.data for name, value in layer.state_dict().items()}
        found = jax.jit(lambda arrays, x: pn.functional_call(layer, arrays, x))(arrays, x)
        assert found.shape == (4, 3)
        assert int(layer.num_batches_tracked) == 0
        assert layer.running_mean.tolist() == [0.0] * 3


# Bad input


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: layers.BatchNorm1d(3)(pn.ones((3,))),
            ShapeError,
            r"BatchNorm1d expects 2 or 3 axes.*\(3,\)",
        ),
        (lambda: layers.BatchNorm2d(3)(pn.ones((2, 3))), ShapeError, r"BatchNorm2d expects 4 axes.*\(2, 3\)"),
        (
            lambda: layers.BatchNorm1d(3)(pn.ones((2, 4))),
            ShapeError,
            r"num_features=3 channels on axis 1.*\(2, 4\)",
        ),
        (
            lambda: layers.BatchNorm1d(3)(pn.ones((1, 3))),
            ShapeError,
            r"more than one value for each channel.*eval",
        ),
        (
            lambda: layers.InstanceNorm1d(3)(pn.ones((2, 3, 1))),
            ShapeError,
            "more than one value for each channel of",
        ),
        (
            lambda: layers.InstanceNorm1d(3, affine=True)(pn.ones((4, 5))),
            ShapeError,
            r"InstanceNorm1d expects num_features=3 channels on axis 0.*\(4, 5\)",
        ),
        (
            lambda: layers.LayerNorm(3)(pn.ones((2, 4))),
            ShapeError,
            r"layer_norm expects the last axes.*\(3,\)",
        ),
        (
            lambda: layers.RMSNorm((2, 3))(pn.ones((3,))),
            ShapeError,
            r"rms_norm expects the last axes.*\(2, 3\)",
        ),
        (
            lambda: layers.LayerNorm(()),
            OptionError,
            "normalized_shape: expected the length of one axis or more",
        ),
        (lambda: layers.LayerNorm(2.5), OptionError, "normalized_shape: expected a whole number"),
        (lambda: layers.GroupNorm(2, 5), OptionError, "num_groups=2 divides, got 5"),
        (lambda: layers.GroupNorm(2, 4)(pn.ones((2, 3))), ShapeError, "num_groups=2 divides, got 3"),
        (lambda: layers.GroupNorm(4, 4)(pn.ones((1, 4))), ShapeError, "more than one value for each group"),
        (
            lambda: layers.LocalResponseNorm(3)(pn.ones((2, 3))),
            ShapeError,
            "local_response_norm expects shape",
        ),
        (lambda: layers.LocalResponseNorm(0), OptionError, "size: expected a whole number of at least 1"),
        (lambda: layers.BatchNorm1d(-1), OptionError, "num_features: expected a whole number"),
        (lambda: layers.BatchNorm1d(3, eps=-1.0), OptionError, "eps: expected a finite number of at least 0"),
        (lambda: layers.BatchNorm1d(3, momentum="fast"), OptionError, "momentum: expected a finite number"),
        (
            lambda: functions.batch_norm(pn.ones((2, 3)), None, None),
            OptionError,
            "running_mean: batch_norm needs it unless training=True",
        ),
        (
            lambda: functions.instance_norm(pn.ones((2, 3, 4)), pn.ones((3,)), use_input_stats=False),
            OptionError,
            "running_var: instance_norm needs it unless use_input_stats=True",
        ),
        (
            lambda: functions.batch_norm(pn.ones((2, 3)), None, None, pn.ones((4,)), training=True),
            ShapeError,
            r"weight: batch_norm expects shape \(3,\) for an input of shape \(2, 3\), got \(4,\)",
        ),
        (
            lambda: layers.LayerNorm(3)(pn.ones((2, 3), dtype=pn.float64)),
            DTypeError,
            r"weight: layer_norm expects the input's data type .*float64, got .*float32.*model\.to",
        ),
        (
            lambda: layers.LayerNorm(3)(pn.ones((2, 3), dtype=pn.int64)),
            DTypeError,
            "input: layer_norm expects a floating-point type, got int64",
        ),
    ],
)
def test_bad_input(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_other_channels_without_parameters_warn_as_in_pytorch() -> None:
    with pytest.warns(UserWarning, match="num_features=3 channels"):
        assert layers.InstanceNorm1d(3)(pn.asarray(np.ones((2, 4, 5), "float32"))).shape == (2, 4, 5)
