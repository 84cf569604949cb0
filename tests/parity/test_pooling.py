"""Poolings, and what makes columns of windows, against PyTorch: output, indices and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")

LENGTHS = {1: (9,), 2: (8, 7), 3: (5, 6, 5)}
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "MaxPool": [
        {"kernel_size": 2},
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": 2, "stride": 3, "ceil_mode": True},
        {"kernel_size": 3, "stride": 1, "padding": 1, "dilation": 2, "return_indices": True},
        {"kernel_size": 2, "ceil_mode": True, "return_indices": True},
    ],
    "AvgPool": [
        {"kernel_size": 2},
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False, "ceil_mode": True},
        {"kernel_size": 2, "stride": 3, "ceil_mode": True},
    ],
    "LPPool": [
        {"norm_type": 2, "kernel_size": 2},
        {"norm_type": 4, "kernel_size": 3, "stride": 2},
        {"norm_type": 2, "kernel_size": 2, "stride": 3, "ceil_mode": True},
    ],
    "AdaptiveAvgPool": [{"output_size": 1}, {"output_size": 3}, {"output_size": 4}],
    "AdaptiveMaxPool": [{"output_size": 1}, {"output_size": 3}, {"output_size": 4, "return_indices": True}],
}
CASES = [
    pytest.param(f"{prefix}{dims}d", dims, options, id=f"{prefix}{dims}d, {options}")
    for prefix, settings in SETTINGS.items()
    for dims in (1, 2, 3)
    for options in settings
] + [
    pytest.param("AvgPool2d", 2, {"kernel_size": (3, 2), "divisor_override": 7}, id="AvgPool2d, divisor"),
    pytest.param("MaxPool2d", 2, {"kernel_size": (3, 2), "stride": (1, 2)}, id="MaxPool2d, uneven"),
    pytest.param("AdaptiveAvgPool2d", 2, {"output_size": (None, 3)}, id="AdaptiveAvgPool2d, uneven"),
    pytest.param("AdaptiveMaxPool3d", 3, {"output_size": (2, None, 5)}, id="AdaptiveMaxPool3d, uneven"),
    pytest.param("Unfold", 2, {"kernel_size": 3}, id="Unfold"),
    pytest.param("Unfold", 2, {"kernel_size": (2, 3), "stride": 2, "padding": 1}, id="Unfold, stride"),
    pytest.param("Unfold", 2, {"kernel_size": 2, "dilation": (2, 3)}, id="Unfold, dilation"),
]


def compare(rng: Any, name: str, options: dict[str, Any], shape: tuple[int, ...], dtype: str) -> None:
    mine, its = getattr(pn.nn, name)(**options), getattr(torch.nn, name)(**options)
    # All different, and of either sign, so that each window has one largest element.
    values = rng.permutation(int(np.prod(shape))).reshape(shape).astype(dtype) / 16 - 2.01
    x, its_x = pn.asarray(values).requires_grad_(), torch.tensor(values, requires_grad=True)
    found, expected = mine(x), its(its_x)
    if options.get("return_indices"):
        np.testing.assert_array_equal(found[1].numpy(), expected[1].numpy())
        assert not found[1].requires_grad
        found, expected = found[0], expected[0]
    assert_near(found, expected, "output")
    cotangent = rng.normal(size=tuple(expected.shape)).astype(dtype)
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))
    assert_near(x.grad, its_x.grad, "gradient")


@DTYPES
@pytest.mark.parametrize(("name", "dims", "options"), CASES)
def test_output_and_gradient(
    rng: Any, eager: str, name: str, dims: int, options: dict[str, Any], dtype: str
) -> None:
    for shape in ((2, 3, *LENGTHS[dims]), (3, *LENGTHS[dims])):
        compare(rng, name, options, shape, dtype)


@pytest.mark.parametrize("name", ["MaxPool2d", "AvgPool2d", "Unfold"])
def test_on_jax(rng: Any, name: str) -> None:
    pytest.importorskip("jax", reason="compares on JAX")
    with pn.use_backend("jax", strict=True):
        compare(rng, name, {"kernel_size": 3, "stride": 2, "padding": 1}, (2, 3, 8, 7), "float64")


def test_the_printed_form_is_pytorchs() -> None:
    for make in (
        lambda nn: nn.MaxPool2d(2, 1, return_indices=True),
        lambda nn: nn.AvgPool3d((1, 2, 3), padding=(0, 1, 1)),
        lambda nn: nn.LPPool1d(2, 3),
        lambda nn: nn.AdaptiveAvgPool2d((None, 3)),
        lambda nn: nn.AdaptiveMaxPool1d(3),
        lambda nn: nn.Unfold(3, stride=2),
        lambda nn: nn.Fold((8, 7), 3),
    ):
        assert repr(make(pn.nn)) == repr(make(torch.nn))


@DTYPES
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3},
        {"kernel_size": (2, 3), "stride": 2, "padding": 1},
        {"kernel_size": 2, "dilation": 3},
    ],
    ids=str,
)
def test_folding(rng: Any, eager: str, options: dict[str, Any], dtype: str) -> None:
    size = (8, 7)
    pictures = torch.tensor(rng.normal(size=(2, 3, *size)).astype(dtype))
    values = torch.nn.Unfold(**options)(pictures).numpy()
    mine, its = pn.nn.Fold(size, **options), torch.nn.Fold(size, **options)
    for columns in (values, values[0]):
        x, its_x = pn.asarray(columns).requires_grad_(), torch.tensor(columns, requires_grad=True)
        found, expected = mine(x), its(its_x)
        assert_near(found, expected, "output")
        cotangent = rng.normal(size=tuple(expected.shape)).astype(dtype)
        found.backward(pn.asarray(cotangent))
        expected.backward(torch.tensor(cotangent))
        assert_near(x.grad, its_x.grad, "gradient")


def test_of_equal_elements_the_first_has_the_gradient(eager: str) -> None:
    """As after a ReLU, where whole windows are 0."""
    x = pn.zeros((1, 1, 4, 4)).requires_grad_()
    its_x = torch.zeros((1, 1, 4, 4), requires_grad=True)
    for name in ("MaxPool2d", "AdaptiveMaxPool2d"):
        x.grad = its_x.grad = None
        getattr(pn.nn, name)(2)(x).sum().backward()
        getattr(torch.nn, name)(2)(its_x).sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), its_x.grad.numpy())


def test_the_gradient_of_a_window_goes_to_what_is_not_a_number(eager: str) -> None:
    """As PyTorch has it: NaN is the largest of all."""
    values = np.arange(16.0).reshape((1, 1, 4, 4))
    values[0, 0, 0, 1] = np.nan
    x, its_x = pn.asarray(values).requires_grad_(), torch.tensor(values, requires_grad=True)
    found, expected = pn.nn.MaxPool2d(2)(x), torch.nn.MaxPool2d(2)(its_x)
    np.testing.assert_array_equal(found.detach().numpy(), expected.detach().numpy())
    found.sum().backward()
    expected.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), its_x.grad.numpy())
