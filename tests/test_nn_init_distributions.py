"""Initialisers: the moments and bounds of the random ones, the values of the others, and PyTorch's gains."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import GradientError, OptionError, ShapeError
from portanet.nn import Linear, Parameter, init
from portanet.random import Generator

SIGMAS = 6.0
"""How far a mean may be off, in its standard deviations: once in 500 million."""


def filled(fill: Callable[..., Any], shape: tuple[int, ...], *arguments: Any, **options: Any) -> Any:
    """The values, from a fresh generator."""
    tensor = pn.zeros(shape, dtype=pn.float64)
    assert fill(tensor, *arguments, **options, generator=Generator()) is tensor
    return tensor.numpy()


def check_moments(values: Any, mean: float, deviation: float, kurtosis: float) -> None:
    """Mean and variance are as near as chance allows; the kurtosis says how much the variance may vary."""
    n = values.size
    assert abs(values.mean() - mean) < SIGMAS * deviation / math.sqrt(n)
    assert abs(values.var() / deviation**2 - 1) < SIGMAS * math.sqrt((kurtosis - 1) / n)


def check_uniform(values: Any, bound: float) -> None:
    assert np.abs(values).max() <= bound
    assert np.abs(values).max() > 0.98 * bound
    check_moments(values, 0.0, bound / math.sqrt(3), 1.8)


def check_normal(values: Any, deviation: float) -> None:
    check_moments(values, 0.0, deviation, 3.0)
    share = (np.abs(values) > 2 * deviation).mean()
    assert abs(share - 0.0455) < SIGMAS * math.sqrt(0.0455 / values.size)


FANS = [((60, 40), 40, 60), ((20, 10, 3, 3), 90, 180), ((8, 50, 4), 200, 32), ((6, 10, 3, 2, 2), 120, 72)]


@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), FANS)
def test_xavier(shape: tuple[int, ...], fan_in: int, fan_out: int) -> None:
    for gain in (1.0, 5 / 3):
        deviation = gain * math.sqrt(2 / (fan_in + fan_out))
        check_uniform(filled(init.xavier_uniform_, shape, gain), deviation * math.sqrt(3))
        check_normal(filled(init.xavier_normal_, shape, gain=gain), deviation)


@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), FANS)
@pytest.mark.parametrize(
    ("options", "gain"),
    [
        ({}, math.sqrt(2)),
        ({"a": 1.0}, 1.0),
        ({"nonlinearity": "relu"}, math.sqrt(2)),
        ({"a": 0.2, "mode": "fan_out"}, math.sqrt(2 / 1.04)),
        ({"mode": "fan_out", "nonlinearity": "tanh"}, 5 / 3),
    ],
)
def test_kaiming(
    shape: tuple[int, ...], fan_in: int, fan_out: int, options: dict[str, Any], gain: float
) -> None:
    deviation = gain / math.sqrt(fan_out if options.get("mode") == "fan_out" else fan_in)
    check_uniform(filled(init.kaiming_uniform_, shape, **options), deviation * math.sqrt(3))
    check_normal(filled(init.kaiming_normal_, shape, **options), deviation)


def phi(x: float) -> float:
    """Density of the standard normal distribution."""
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def cut_normal(low: float, high: float, count: int = 200001) -> tuple[float, float, float]:
    """Mean, deviation and kurtosis of the standard normal distribution between two numbers, by summing up."""
    low, high = max(low, -40.0), min(high, 40.0)
    if low > 5:
        high = min(high, low + 10)
    x = np.linspace(low, high, count)
    peak = min(max(low, 0.0), high)
    weights = np.exp((peak - x) * (peak + x) / 2)
    weights /= weights.sum()
    mean = float((weights * x).sum())
    variance = float((weights * (x - mean) ** 2).sum())
    return mean, math.sqrt(variance), float((weights * (x - mean) ** 4).sum()) / variance**2


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [
        (0.0, 1.0, -2.0, 2.0),
        (1.0, 0.5, 0.0, 3.0),
        (0.0, 0.02, -2.0, 2.0),  # which cuts nothing
        (0.0, 1.0, -0.1, 0.15),
        (0.0, 1.0, 1.5, 2.0),
        (0.0, 1.0, 6.0, 1e3),  # where one in a billion would be drawn
        (3.0, 0.5, -1.0, 0.5),
        (0.0, 1.0, -math.inf, 0.0),
    ],
)
def test_trunc_normal(mean: float, std: float, a: float, b: float) -> None:
    values = filled(init.trunc_normal_, (150, 200), mean, std, a, b)
    assert a <= values.min() < values.max() <= b
    its_mean, deviation, kurtosis = cut_normal((a - mean) / std, (b - mean) / std)
    check_moments(values, mean + std * its_mean, std * deviation, kurtosis)


def test_trunc_normal_keeps_its_bounds_in_single_precision() -> None:
    tensor = pn.zeros((3000,))
    init.trunc_normal_(tensor, 0.0, 100.0, -0.1, 0.1)
    assert np.abs(tensor.numpy()).max() <= np.float32(0.1)
    assert init.trunc_normal_(pn.zeros((3,)), 0.5, 0.0).tolist() == [0.5] * 3
    assert init.trunc_normal_(pn.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("shape", [(6, 6), (3, 8), (8, 3), (4, 2, 3, 3), (20, 2, 3), (1, 1), (5, 1)])
@pytest.mark.parametrize("gain", [1, 2.5])
def test_orthogonal(shape: tuple[int, ...], gain: float) -> None:
    values = filled(init.orthogonal_, shape, gain).reshape(shape[0], -1) / gain
    product = values @ values.T if values.shape[0] <= values.shape[1] else values.T @ values
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-12)


def test_orthogonal_matrices_are_equally_likely() -> None:
    """Of an even distribution each entry has mean 0 and variance 1/n, the diagonal too."""
    count, n = 1500, 3
    draws = np.stack([filled(init.orthogonal_, (n, n)) for _ in range(count)])
    assert np.all(np.abs(draws.mean(axis=0)) < SIGMAS / math.sqrt(n * count))
    np.testing.assert_allclose((draws**2).mean(axis=0), 1 / n, atol=SIGMAS * 0.3 / math.sqrt(count))
    assert abs(np.linalg.det(draws).mean()) < SIGMAS / math.sqrt(count)


@pytest.mark.parametrize(
    ("shape", "sparsity"), [((50, 200), 0.1), ((31, 40), 0.5), ((7, 3), 0.9), ((5, 4), 0.0)]
)
def test_sparse(shape: tuple[int, int], sparsity: float) -> None:
    values = filled(init.sparse_, shape, sparsity, std=0.3)
    zeros = math.ceil(sparsity * shape[0])
    np.testing.assert_array_equal((values == 0).sum(axis=0), zeros)
    if values.size > 1000:
        check_normal(values[values != 0], 0.3)
        rows = (values == 0).sum(axis=1)
        expected = zeros / shape[0] * shape[1]
        assert np.all(np.abs(rows - expected) < SIGMAS * math.sqrt(expected))


def test_eye() -> None:
    for shape in ((3, 3), (2, 4), (4, 2), (0, 3)):
        np.testing.assert_array_equal(init.eye_(pn.ones(shape)).numpy(), np.eye(*shape))


@pytest.mark.parametrize(
    ("shape", "groups"),
    [
        ((4, 4, 3), 1),
        ((6, 3, 3, 3), 2),
        ((3, 5, 2, 4), 1),
        ((4, 2, 3, 1, 2), 2),
        ((6, 2, 5), 3),
        ((2, 3, 4), 2),
    ],
)
def test_dirac(shape: tuple[int, ...], groups: int) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    expected = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
    assert expected.sum() > 0
    np.testing.assert_array_equal(init.dirac_(pn.ones(shape), groups).numpy(), expected)


def test_the_gains_are_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    for name in init.NONLINEARITIES:
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name), rel=1e-15)
    for slope in (0, 0.3, 1, -2.0):
        assert init.calculate_gain("leaky_relu", slope) == pytest.approx(
            torch.nn.init.calculate_gain("leaky_relu", slope), rel=1e-15
        )


def test_the_distributions_are_pytorchs() -> None:
    """The bounds and deviations above are ours to read from papers; here PyTorch's own draws have them too."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    for name, options in (
        ("xavier_uniform_", {"gain": 1.3}),
        ("xavier_normal_", {}),
        ("kaiming_uniform_", {"a": 0.4}),
        ("kaiming_uniform_", {"mode": "fan_out", "nonlinearity": "selu"}),
        ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "linear"}),
        ("trunc_normal_", {"mean": 0.5, "std": 0.7, "a": 0.0}),
        ("sparse_", {"sparsity": 0.3}),
        ("orthogonal_", {"gain": 0.5}),
    ):
        mine = filled(getattr(init, name), (120, 90), **options)
        its = getattr(torch.nn.init, name)(torch.empty(120, 90, dtype=torch.float64), **options).numpy()
        assert mine.std() == pytest.approx(its.std(), rel=0.08)
        assert mine.mean() == pytest.approx(its.mean(), abs=0.1 * its.std())
        assert np.abs(mine).max() == pytest.approx(np.abs(its).max(), rel=0.5)


RANDOM: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "uniform_": (init.uniform_, (-1.0, 2.0)),
    "normal_": (init.normal_, (1.0, 2.0)),
    "trunc_normal_": (init.trunc_normal_, (0.5, 1.0, -1.0, 1.0)),
    "xavier_uniform_": (init.xavier_uniform_, ()),
    "xavier_normal_": (init.xavier_normal_, ()),
    "kaiming_uniform_": (init.kaiming_uniform_, ()),
    "kaiming_normal_": (init.kaiming_normal_, ()),
    "orthogonal_": (init.orthogonal_, ()),
    "sparse_": (init.sparse_, (0.4,)),
}
EXACT: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "eye_": (init.eye_, ()),
    "zeros_": (init.zeros_, ()),
    "ones_": (init.ones_, ()),
    "constant_": (init.constant_, (0.25,)),
}


@pytest.mark.parametrize("name", [*RANDOM, *EXACT])
@pytest.mark.parametrize("dtype", [pn.float32, pn.float64], ids=repr)
def test_a_parameter_is_filled_and_stays_itself(backend: str, name: str, dtype: Any) -> None:
    fill, arguments = {**RANDOM, **EXACT}[name]
    layer = Linear(4, 6, dtype=dtype)
    weight = layer.weight
    assert fill(weight, *arguments) is weight
    assert isinstance(weight, Parameter)
    assert weight.requires_grad
    assert weight.is_leaf
    assert weight.dtype == dtype
    assert weight.shape == (6, 4)
    assert weight.device.backend == backend
    layer(pn.ones((1, 4), dtype=dtype)).sum().backward()
    assert weight.grad is not None


@pytest.mark.parametrize("name", RANDOM)
def test_the_same_seed_fills_with_the_same_numbers_everywhere(backend: str, name: str) -> None:
    fill, arguments = RANDOM[name]

    def draw(dtype: Any, generator: Generator | None) -> Any:
        return fill(pn.zeros((5, 4), dtype=dtype), *arguments, generator=generator).numpy()

    for dtype in (pn.float32, pn.float64):
        here = draw(dtype, Generator(8))
        pn.manual_seed(8)
        np.testing.assert_array_equal(draw(dtype, None), here)
        with pn.use_backend("numpy"):
            np.testing.assert_array_equal(draw(dtype, Generator(8)), here)
        assert np.any(draw(dtype, Generator(9)) != here)


def test_the_backend_in_use_stays(backend: str) -> None:
    for fill in (init.orthogonal_, init.eye_, init.trunc_normal_):
        fill(pn.zeros((3, 3)))
        assert pn.get_backend().name == backend


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x: init.xavier_uniform_(x[0]),
            ShapeError,
            r"xavier_uniform_ expects weights of shape .* zeros_",
        ),
        (lambda x: init.kaiming_normal_(x[0]), ShapeError, r"kaiming_normal_ expects weights .* got \(4,\)"),
        (
            lambda x: init.kaiming_uniform_(x, mode="fan"),
            OptionError,
            "mode: kaiming_uniform_ expects 'fan_in' or",
        ),
        (lambda x: init.kaiming_uniform_(x, nonlinearity="gelu"), OptionError, "nonlinearity: .* got 'gelu'"),
        (
            lambda x: init.calculate_gain("leaky_relu", "a"),
            OptionError,
            "param: expected a finite number, got 'a'",
        ),
        (
            lambda x: init.trunc_normal_(x, a=1.0, b=-1.0),
            OptionError,
            "b: trunc_normal_ expects more than a=1.0",
        ),
        (
            lambda x: init.trunc_normal_(x, std=-1.0),
            OptionError,
            "std: expected a finite number of at least 0",
        ),
        (
            lambda x: init.sparse_(x, 1.5),
            OptionError,
            "sparsity: expected a finite number of at least 0 and at most 1",
        ),
        (
            lambda x: init.sparse_(x[0], 0.5),
            ShapeError,
            r"sparse_ expects a matrix, two axes; got shape \(4,\)",
        ),
        (lambda x: init.eye_(x[0]), ShapeError, "eye_ expects a matrix"),
        (lambda x: init.dirac_(x), ShapeError, "dirac_ expects weights of a convolution"),
        (
            lambda x: init.dirac_(pn.ones((3, 2, 3)), 2),
            OptionError,
            "groups: dirac_ expects a divisor of the 3 outputs",
        ),
        (lambda x: init.orthogonal_(x[0]), ShapeError, "orthogonal_ expects at least two axes"),
        (lambda x: init.orthogonal_(Parameter(x) * 2), GradientError, "computed from others"),
        (lambda x: init.sparse_(x.numpy(), 0.5), TypeError, "tensor: expected a Tensor, got ndarray"),
    ],
)
def test_bad_input(call: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(pn.zeros((3, 4)))
