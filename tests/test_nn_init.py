"""Initialisers: what they fill a parameter with, and that they leave it a parameter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn
from portanet.errors import GradientError, OptionError, OverwrittenError, ShapeError

FILLS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "uniform_": (nn.init.uniform_, (-2.0, 3.0)),
    "normal_": (nn.init.normal_, (1.0, 0.5)),
    "constant_": (nn.init.constant_, (0.25,)),
    "zeros_": (nn.init.zeros_, ()),
    "ones_": (nn.init.ones_, ()),
}


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("dtype", [pn.float32, pn.float64], ids=repr)
def test_a_parameter_is_filled_and_stays_itself(backend: str, name: str, dtype: Any) -> None:
    fill, arguments = FILLS[name]
    layer = nn.Linear(40, 50, dtype=dtype)
    weight = layer.weight
    assert fill(weight, *arguments) is weight
    assert weight.requires_grad
    assert weight.is_leaf
    assert weight.dtype == dtype
    assert weight.shape == (50, 40)
    assert weight.device.backend == backend
    values = weight.detach().numpy()
    if name == "uniform_":
        assert -2 <= values.min() < -1.9 < 2.9 < values.max() < 3
    elif name == "normal_":
        assert abs(values.mean() - 1) < 0.06
        assert abs(values.std() - 0.5) < 0.05
    else:
        assert set(values.ravel()) == {{"constant_": 0.25, "zeros_": 0.0, "ones_": 1.0}[name]}
    layer(pn.ones((1, 40), dtype=dtype)).sum().backward()
    assert weight.grad is not None


def test_the_same_seed_fills_with_the_same_numbers_everywhere(backend: str) -> None:
    for name in ("uniform_", "normal_"):
        fill, arguments = FILLS[name]
        pn.manual_seed(8)
        here = fill(pn.zeros((3, 2)), *arguments)
        with pn.use_backend("numpy"):
            pn.manual_seed(8)
            reference = fill(pn.zeros((3, 2)), *arguments)
        np.testing.assert_array_equal(here.numpy(), reference.numpy())


def test_the_defaults() -> None:
    pn.manual_seed(1)
    uniform = nn.init.uniform_(pn.zeros((1000,))).numpy()
    assert 0 <= uniform.min() < 0.01
    assert 0.99 < uniform.max() < 1
    normal = nn.init.normal_(pn.zeros((1000,))).numpy()
    assert abs(normal.mean()) < 0.15
    assert abs(normal.std() - 1) < 0.1


def test_other_tensors_with_the_same_data_are_not_filled() -> None:
    layer = nn.Linear(2, 2)
    before = layer.weight.detach()
    expected = before.tolist()
    nn.init.zeros_(layer.weight)
    assert before.tolist() == expected


def test_filling_between_forward_and_backward_is_noticed(backend: str) -> None:
    layer = nn.Linear(2, 2)
    loss = (layer(pn.ones((1, 2))) ** 2).sum()
    nn.init.zeros_(layer.weight)
    with pytest.raises(OverwrittenError):
        loss.backward()


@pytest.mark.parametrize("name", FILLS)
def test_what_cannot_be_filled(name: str) -> None:
    fill, arguments = FILLS[name]
    for value in (None, np.zeros(3), [1.0]):
        with pytest.raises(TypeError, match=r"tensor: expected a Tensor, got (NoneType|ndarray|list)"):
            fill(value, *arguments)
    with pytest.raises(GradientError, match="tensor: .*computed from others"):
        fill(nn.Parameter([1.0]) * 2, *arguments)
    with pytest.raises(ShapeError, match="Run one batch through the model"):
        fill(nn.LazyLinear(2).weight, *arguments)


def test_ranges_that_are_none() -> None:
    with pytest.raises(OptionError, match="high: expected a finite number of at least low=1"):
        nn.init.uniform_(pn.zeros((2,)), 1, 0)
    with pytest.raises(OptionError, match="std: expected a finite number of at least 0"):
        nn.init.normal_(pn.zeros((2,)), 0, -1)
