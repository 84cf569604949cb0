"""Dropout: which elements stay, what becomes of them, and that a seed decides it on every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.nn.dropout import (
    AlphaDropout,
    Dropout,
    Dropout1d,
    Dropout2d,
    Dropout3d,
    FeatureAlphaDropout,
)
from portanet.nn.functional.dropout import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
)
from portanet.testing import gradcheck, gradgradcheck

FUNCTIONS = {
    dropout: (6, 7),
    dropout1d: (4, 5, 3),
    dropout2d: (4, 5, 3, 2),
    dropout3d: (4, 5, 2, 2, 3),
    alpha_dropout: (6, 7),
    feature_alpha_dropout: (4, 5, 3),
}
MODULES = [Dropout, Dropout1d, Dropout2d, Dropout3d, AlphaDropout, FeatureAlphaDropout]
EVERY_FUNCTION = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
ALPHA = 1.6732632423543772 * 1.0507009873554805


def kept_by(function: Any, shape: tuple[int, ...], p: float, seed: int) -> Any:
    """Which elements stay, seen on ones: the larger of the two values."""
    found = function(pn.ones(shape), p, True, generator=pn.random.Generator(seed)).numpy()
    return found > 0 if function not in (alpha_dropout, feature_alpha_dropout) else found > found.min()


@pytest.mark.parametrize("p", [0.5, 0.25, 0.1, 1 / 3, 0.9, 0.001, 0.997])
def test_each_element_stays_with_its_probability(p: float, rng: Any) -> None:
    """Within five standard deviations; the elements are independent of their neighbours."""
    count = 200_000
    seed = int(rng.integers(2**40))
    stays = dropout(pn.ones((count,)), p, generator=pn.random.Generator(seed)).numpy() > 0
    deviation = np.sqrt(p * (1 - p) / count)
    assert abs(stays.mean() - (1 - p)) < 5 * deviation
    for step in (1, 2, 3, 4, 16):
        both = (stays[step:] & stays[:-step]).mean()
        chance = (1 - p) ** 2
        assert abs(both - chance) < 5 * np.sqrt(3 * chance / count) + 1e-9


@pytest.mark.parametrize("p", [0.5, 0.3, 0.002])
@EVERY_FUNCTION
def test_the_mask_is_the_same_on_every_backend(function: Any, p: float, backend: str, rng: Any) -> None:
    seed = int(rng.integers(2**40))
    shape = FUNCTIONS[function]
    found = function(pn.ones(shape), p, True, generator=pn.random.Generator(seed))
    assert found.dtype == pn.float32
    assert found.device.backend == backend
    with pn.use_backend("numpy"):
        expected = function(pn.ones(shape), p, True, generator=pn.random.Generator(seed)).numpy()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("p", [0.5, 0.3])
@EVERY_FUNCTION
def test_values_and_gradients_are_those_of_the_mask(function: Any, p: float, backend: str, rng: Any) -> None:
    seed = int(rng.integers(2**40))
    shape = FUNCTIONS[function]
    kept = kept_by(function, shape, p, seed)
    values, cotangent = rng.normal(size=(2, *shape))
    x = pn.asarray(values).requires_grad_()
    found = function(x, p, True, generator=pn.random.Generator(seed))
    if function in (alpha_dropout, feature_alpha_dropout):
        scale = 1 / np.sqrt((1 - p) * (1 + p * ALPHA**2))
        expected = scale * (np.where(kept, values, -ALPHA) + ALPHA * p)
    else:
        scale = 1 / (1 - p)
        expected = kept * values * scale
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-12, atol=1e-12)
    found.backward(pn.asarray(cotangent))
    np.testing.assert_allclose(x.grad.numpy(), kept * cotangent * scale, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("function", "shape", "kept"),
    [
        (dropout1d, (40, 30, 3), (40, 30, 1)),
        (dropout1d, (900, 3), (900, 1)),
        (dropout2d, (40, 30, 3, 2), (40, 30, 1, 1)),
        (dropout3d, (40, 30, 2, 2, 2), (40, 30, 1, 1, 1)),
        (dropout3d, (900, 2, 2, 2), (900, 1, 1, 1)),
        (feature_alpha_dropout, (40, 30, 4), (40, 30, 1)),
        (feature_alpha_dropout, (40, 30), (40, 30)),
    ],
)
def test_whole_channels_go(function: Any, shape: Any, kept: Any, rng: Any) -> None:
    stays = kept_by(function, shape, 0.4, int(rng.integers(2**40)))
    first = stays[tuple(slice(0, length) for length in kept)]
    np.testing.assert_array_equal(stays, np.broadcast_to(first, shape))
    assert abs(first.mean() - 0.6) < 5 * np.sqrt(0.24 / first.size)


@pytest.mark.filterwarnings("ignore:dropout[23]d expects")
@pytest.mark.parametrize("ndim", [2, 3, 5])
def test_other_numbers_of_axes_warn_as_in_pytorch(ndim: int) -> None:
    x = pn.ones((50, 4) + (2,) * (ndim - 2))
    stays = dropout2d(x, 0.5).numpy() > 0
    if ndim > 2:
        np.testing.assert_array_equal(
            stays, np.broadcast_to(stays[(..., *(slice(0, 1),) * (ndim - 2))], x.shape)
        )
    with pytest.warns(UserWarning, match="dropout2d expects 4 axes and got shape"):
        dropout2d(x)


@EVERY_FUNCTION
def test_probabilities_of_0_and_1_are_exact(function: Any, backend: str, rng: Any) -> None:
    x = pn.asarray(rng.normal(size=FUNCTIONS[function]).astype("float32")).requires_grad_()
    assert function(x, 0, True) is x
    assert function(x, 0.0, True) is x
    for p in (1, 1.0):
        nothing = function(x, p, True)
        assert not nothing.detach().numpy().any()
        assert nothing.dtype == pn.float32
        (gradient,) = pn.grad(nothing, [x], pn.ones_like(x.detach()))
        assert not gradient.numpy().any()


@pytest.mark.parametrize("module", MODULES)
def test_evaluation_is_the_identity(module: Any, rng: Any) -> None:
    layer = module(0.5)
    x = pn.asarray(rng.normal(size=(3, 4, 2, 2)[: 3 if module is Dropout1d else 4]))
    state = pn.random.default_generator.get_state()
    assert layer.eval()(x) is x
    assert pn.random.default_generator.get_state() == state
    assert layer.train()(x) is not x


@EVERY_FUNCTION
def test_a_seed_decides_and_each_call_differs(function: Any) -> None:
    shape = (30, *FUNCTIONS[function][1:])
    pn.manual_seed(3)
    first = [function(pn.ones(shape), 0.5, True).numpy() for _ in range(2)]
    pn.manual_seed(3)
    second = [function(pn.ones(shape), 0.5, True).numpy() for _ in range(2)]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize("module", MODULES)
def test_checkpoint_sees_the_same_mask_again(module: Any, rng: Any) -> None:
    layer = module(0.5)
    values = rng.normal(size=(3, 4, 2, 2)[: 3 if module is Dropout1d else 4])
    gradients = []
    for run in (lambda x: layer(x * x), lambda x: pn.checkpoint(lambda x: layer(x * x), x)):
        pn.manual_seed(11)
        x = pn.Tensor(values, requires_grad=True)
        result = run(x)
        result.backward(pn.ones_like(result.detach()))
        gradients.append((result.detach().numpy(), x.grad.numpy()))
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_array_equal(one, other)


@EVERY_FUNCTION
def test_gradients_of_both_orders(function: Any, rng: Any) -> None:
    """The second pass uses the mask of the first."""
    seed = int(rng.integers(2**40))

    def run(x: Any) -> Any:
        return function(x * x * x, 0.4, True, generator=pn.random.Generator(seed))

    x = pn.asarray(rng.normal(size=FUNCTIONS[function]))
    gradcheck(run, x)
    gradgradcheck(run, x)


def test_alpha_dropout_keeps_mean_and_variance(rng: Any) -> None:
    count = 200_000
    x = pn.asarray(rng.normal(size=count))
    for p in (0.1, 0.5):
        found = alpha_dropout(x, p, True).numpy()
        assert abs(found.mean()) < 5 * found.std() / np.sqrt(count)
        fourth = ((found - found.mean()) ** 4).mean()
        assert abs(found.var() - 1) < 5 * np.sqrt((fourth - 1) / count)


def test_raw_arrays_stay_raw(rng: Any) -> None:
    x = rng.normal(size=(4, 3))
    found = dropout(x, 0.5, generator=pn.random.Generator(1))
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(
        found, dropout(pn.asarray(x), 0.5, generator=pn.random.Generator(1)).numpy()
    )


def test_empty_inputs_come_back() -> None:
    assert dropout(pn.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), "half", None, True])
def test_what_is_no_probability(p: Any) -> None:
    for call in (lambda: dropout(pn.ones((3,)), p), lambda: Dropout(p), lambda: AlphaDropout(p)):
        with pytest.raises(OptionError, match="p: expected a finite number of at least 0 and at most 1"):
            call()


def test_what_is_no_input() -> None:
    with pytest.raises(DTypeError, match=r"input: dropout expects a floating-point type, got int64.*astype"):
        dropout(pn.asarray([1, 2]))
    with pytest.raises(
        ShapeError, match=r"input: dropout1d expects shape \(batch, channels, length\).*\(3,\)"
    ):
        dropout1d(pn.ones((3,)))
    with pytest.raises(ShapeError, match="input: feature_alpha_dropout expects axes of the batch and"):
        feature_alpha_dropout(pn.ones((3,)), training=True)


@pytest.mark.parametrize("module", MODULES)
def test_the_printed_form(module: Any) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    for options in ({}, {"p": 0.2}, {"p": 0.3, "inplace": True}):
        assert repr(module(**options)) == repr(getattr(torch.nn, module.__name__)(**options))
    assert module().state_dict() == {}
