"""Convolutions and transposed convolutions against PyTorch: output, gradients of the input and of every parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")

LENGTHS = {1: (9,), 2: (8, 7), 3: (5, 6, 5)}
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"kernel_size": 3},
    "stride and padding": {"kernel_size": 3, "stride": 2, "padding": 1},
    "dilation, no bias": {"kernel_size": 2, "dilation": 2, "bias": False},
    "groups": {"kernel_size": 3, "groups": 2, "padding": 2},
    "depthwise": {"kernel_size": 3, "groups": 4, "padding": 1, "stride": 3},
    "same": {"kernel_size": 2, "padding": "same", "dilation": 3},
    "valid": {"kernel_size": 1, "padding": "valid"},
    "reflect": {"kernel_size": 3, "padding": 2, "padding_mode": "reflect"},
    "replicate, same": {"kernel_size": 4, "padding": "same", "padding_mode": "replicate"},
    "circular": {"kernel_size": 3, "padding": 1, "stride": 2, "padding_mode": "circular"},
}
TRANSPOSED: dict[str, dict[str, Any]] = {
    "plain": {"kernel_size": 3},
    "stride": {"kernel_size": 3, "stride": 2, "padding": 1},
    "output padding": {"kernel_size": 2, "stride": 3, "output_padding": 2, "bias": False},
    "output padding beyond the stride": {"kernel_size": 2, "dilation": 3, "stride": 2, "output_padding": 2},
    "groups": {"kernel_size": 3, "groups": 2, "padding": 2, "dilation": 2},
}


def each_axis(options: dict[str, Any], dims: int) -> dict[str, Any]:
    """The same with another number for each axis, where that is allowed."""
    uneven = dict(options)
    if not isinstance(options.get("padding", 0), str) and dims > 1:
        uneven["kernel_size"] = tuple(range(options["kernel_size"], options["kernel_size"] + dims))[::-1]
        uneven["stride"] = (
            (options.get("stride", 1), *(1,) * (dims - 1))
            if "output_padding" not in options
            else options["stride"]
        )
    return uneven


CASES = [
    pytest.param(f"{prefix}{dims}d", dims, change(options, dims), id=f"{prefix}{dims}d, {name}{suffix}")
    for prefix, table in (("Conv", SETTINGS), ("ConvTranspose", TRANSPOSED))
    for dims in (1, 2, 3)
    for name, options in table.items()
    for suffix, change in (("", lambda options, dims: options), (", uneven", each_axis))
    if not suffix or dims == 2
]


def compare(
    rng: Any, make: Callable[[Any], Any], shape: tuple[int, ...], dtype: str, train: bool = True
) -> None:
    """The layer that ``make`` makes of an nn package, portanet's or PyTorch's, with the same parameters."""
    reference = make(torch.nn).to(getattr(torch, dtype)).train(train)
    layer = make(pn.nn).to(getattr(pn, dtype)).train(train)
    assert repr(layer) == repr(reference)
    layer.load_state_dict(reference.state_dict())
    values = rng.normal(size=shape).astype(dtype)
    x, its_x = pn.asarray(values).requires_grad_(), torch.tensor(values, requires_grad=True)
    found, expected = layer(x), reference(its_x)
    assert_near(found, expected, "output")
    cotangent = rng.normal(size=tuple(expected.shape)).astype(dtype)
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))
    assert_near(x.grad, its_x.grad, "gradient of the input")
    for name, parameter in reference.named_parameters():
        assert_near(layer.get_parameter(name).grad, parameter.grad, name, scale=float(np.sqrt(x.size)))


@DTYPES
@pytest.mark.parametrize(("name", "dims", "options"), CASES)
def test_output_and_every_gradient(
    rng: Any, eager: str, name: str, dims: int, options: dict[str, Any], dtype: str
) -> None:
    for shape in ((2, 4, *LENGTHS[dims]), (4, *LENGTHS[dims])):
        compare(rng, lambda nn: getattr(nn, name)(4, 8, **options), shape, dtype)


@pytest.mark.parametrize("name", ["Conv2d", "ConvTranspose2d"])
def test_on_jax(rng: Any, name: str) -> None:
    pytest.importorskip("jax", reason="compares on JAX")
    with pn.use_backend("jax", strict=True):
        compare(rng, lambda nn: getattr(nn, name)(4, 8, 3, 2, 1), (2, 4, 8, 7), "float64")


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("prefix", ["LazyConv", "LazyConvTranspose"])
def test_lazy_layers_become_the_plain_ones(rng: Any, prefix: str, dims: int) -> None:
    layer = getattr(pn.nn, f"{prefix}{dims}d")(6, 3, groups=2)
    its = getattr(torch.nn, f"{prefix}{dims}d")(6, 3, groups=2)
    x = pn.asarray(rng.normal(size=(2, 4, *LENGTHS[dims])).astype("float32"))
    found = layer(x)
    its(torch.tensor(x.numpy()))
    assert type(layer) is getattr(pn.nn, f"{prefix}{dims}d".removeprefix("Lazy"))
    assert repr(layer) == repr(its)
    assert layer.weight.shape == tuple(its.weight.shape)
    its.load_state_dict({key: torch.tensor(value.numpy()) for key, value in layer.state_dict().items()})
    assert_near(found, its(torch.tensor(x.numpy())), "output")


@pytest.mark.parametrize("wanted", [(15, 13), (16, 14), (15, 14)])
def test_a_transposed_convolution_of_a_wanted_size(rng: Any, wanted: tuple[int, int]) -> None:
    mine, its = pn.nn.ConvTranspose2d(3, 2, 3, 2, 1), torch.nn.ConvTranspose2d(3, 2, 3, 2, 1)
    mine.load_state_dict(its.state_dict())
    values = rng.normal(size=(2, 3, 8, 7)).astype("float32")
    found = mine(pn.asarray(values), output_size=wanted)
    assert_near(found, its(torch.tensor(values), output_size=wanted), "output")
    assert found.shape[2:] == wanted


def test_the_first_parameters_are_drawn_as_pytorchs_are() -> None:
    """From the same interval, filled to its ends."""
    for make in (
        lambda nn: nn.Conv2d(8, 64, 5, groups=4),
        lambda nn: nn.ConvTranspose2d(8, 64, 5, groups=4),
        lambda nn: nn.Conv1d(3, 400, 7),
    ):
        mine, its = make(pn.nn), make(torch.nn)
        for name, parameter in its.named_parameters():
            bound = float(parameter.detach().abs().max())
            found = np.abs(mine.get_parameter(name).detach().numpy()).max()
            assert abs(found - bound) < 0.2 * bound, name
