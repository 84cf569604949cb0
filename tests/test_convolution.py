"""Convolutions and poolings: what is refused, and what users do with them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn
from portanet.errors import DTypeError, MixedBackendError, OptionError, ShapeError
from portanet.testing import gradcheck, gradgradcheck

F = nn.functional
x = pn.ones((2, 4, 8, 7))
w = pn.ones((6, 4, 3, 3))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: nn.Conv2d(3, 8, 3)(x),
            ShapeError,
            r"conv2d: input: expected 3 channels.*got 4 in shape \(2, 4, 8, 7\)",
        ),
        (
            lambda: nn.Conv2d(4, 8, 3)(x[0, 0, ...]),
            ShapeError,
            r"conv2d: input: expected the shape \(batch, channels, height, width\)",
        ),
        (
            lambda: nn.Conv1d(4, 8, 3)(x),
            ShapeError,
            r"conv1d: input: expected the shape \(batch, channels, length\)",
        ),
        (
            lambda: nn.Conv3d(4, 8, 3)(x[0, 0, 0, ...]),
            ShapeError,
            r"\(batch, channels, depth, height, width\)",
        ),
        (
            lambda: nn.Conv2d(4, 8, 9)(x),
            ShapeError,
            r"a kernel of shape \(9, 9\).*does not fit into the shape \(8, 7\)",
        ),
        (
            lambda: nn.Conv2d(4, 8, 3)(x.to(pn.float64)),
            DTypeError,
            "conv2d: input: expected the data type of the weight",
        ),
        (
            lambda: nn.Conv2d(4, 8, 3)(x.to(pn.int64)),
            DTypeError,
            "conv2d: input: expected floating-point numbers, got int64",
        ),
        (lambda: nn.Conv2d(4, 8, 3)([[1.0]]), DTypeError, "conv2d: input: .*list"),
        (
            lambda: nn.Conv2d(4, 9, 3, groups=2),
            OptionError,
            "Conv2d: out_channels: expected a multiple of groups, 2, got 9",
        ),
        (
            lambda: nn.Conv2d(4, 8, 3, groups=0),
            OptionError,
            "Conv2d: groups: expected a whole number of at least 1",
        ),
        (lambda: nn.Conv2d(4, 8, (3, 3, 3)), OptionError, "Conv2d: kernel_size: expected 2 numbers"),
        (
            lambda: nn.Conv2d(4, 8, 2.5),
            TypeError,
            "Conv2d: kernel_size: expected a whole number or 2 of them, got 2.5",
        ),
        (
            lambda: nn.Conv2d(4, 8, 3, stride=0),
            OptionError,
            "Conv2d: stride: expected numbers of at least 1, got 0",
        ),
        (
            lambda: nn.Conv2d(4, 8, 3, padding="full"),
            OptionError,
            "padding: expected numbers, 'same' or 'valid', got 'full'",
        ),
        (lambda: nn.Conv2d(4, 8, 3, 2, "same"), OptionError, "'same' goes with a stride of 1 only"),
        (
            lambda: nn.Conv2d(4, 8, 3, padding_mode="zero"),
            OptionError,
            "padding_mode: expected 'zeros' or 'reflect'",
        ),
        (
            lambda: nn.ConvTranspose2d(4, 8, 3, padding_mode="reflect"),
            OptionError,
            "padding_mode: expected 'zeros', got",
        ),
        (
            lambda: nn.ConvTranspose2d(4, 8, 3, output_padding=1)(x),
            OptionError,
            "output_padding: expected less than the stride",
        ),
        (lambda: nn.ConvTranspose2d(4, 8, 1, padding=5)(x), ShapeError, "nothing is left"),
        (
            lambda: nn.ConvTranspose2d(4, 8, 3, 2)(x, output_size=(30, 30)),
            OptionError,
            r"output_size: expected lengths from \(17, 15\) to \(18, 16\)",
        ),
        (lambda: F.conv2d(x, w, pn.ones((5,))), ShapeError, r"conv2d: bias: .*shape \(6,\), got \(5,\)"),
        (lambda: F.conv2d(x, w[0]), ShapeError, r"conv2d: weight: expected 4 axes.*got shape \(4, 3, 3\)"),
        (
            lambda: F.conv2d(x, w, groups=4),
            OptionError,
            "groups: expected a number of at least 1 that divides the 6 channels",
        ),
        (lambda: F.conv2d(x, w, stride=(1, 2, 3)), OptionError, "conv2d: stride: expected 2 numbers"),
        (
            lambda: nn.LazyConv2d(6, 3, groups=3)(x),
            OptionError,
            "in_channels: expected a multiple of groups, 3, got 4",
        ),
        (
            lambda: F.max_pool2d(x, 9),
            ShapeError,
            r"max_pool2d: input: a window of shape \(9, 9\) does not fit",
        ),
        (
            lambda: F.max_pool2d(x, 3, padding=2),
            OptionError,
            r"max_pool2d: padding: expected at most half of the window \(3, 3\)",
        ),
        (lambda: F.avg_pool2d(x, 0), OptionError, "avg_pool2d: kernel_size: expected numbers of at least 1"),
        (
            lambda: F.avg_pool2d(x, 2, divisor_override=0),
            OptionError,
            "divisor_override: expected a number other than 0",
        ),
        (lambda: nn.MaxPool2d((2, 2, 2)), OptionError, "MaxPool2d: kernel_size: expected 2 numbers"),
        (lambda: F.adaptive_avg_pool2d(x, (1, 2, 3)), OptionError, "output_size: expected 2 numbers"),
        (lambda: F.adaptive_max_pool2d(x, 0), OptionError, "output_size: expected numbers of at least 1"),
        (lambda: F.unfold(x[0, 0, ...], 2), ShapeError, "unfold: input: expected the shape"),
        (
            lambda: F.fold(pn.ones((2, 12, 5)), (4, 4), 2),
            ShapeError,
            r"fold: input: expected the shape \(batch, channels \* 4, 9\)",
        ),
    ],
)
def test_what_is_refused(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert re.search(message, str(caught.value), re.DOTALL), str(caught.value)


def test_arrays_of_two_libraries() -> None:
    pytest.importorskip("array_api_strict", reason="the second library")
    with pn.use_backend("array-api-strict"):
        other = pn.ones((2, 4, 8, 7))
    with pytest.raises(
        MixedBackendError, match="numpy:cpu.*array-api-strict:cpu|array-api-strict:cpu.*numpy:cpu"
    ):
        nn.Conv2d(4, 8, 3)(other)


def test_raw_arrays_give_raw_arrays(rng: Any) -> None:
    values, kernel = rng.normal(size=(2, 4, 8, 7)), rng.normal(size=(6, 4, 3, 3))
    found = F.conv2d(values, kernel, padding=1)
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, F.conv2d(pn.asarray(values), pn.asarray(kernel), padding=1).numpy())
    for pool in (F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, F.adaptive_max_pool2d, F.unfold):
        assert type(pool(values, 3)) is np.ndarray
    places = F.max_pool2d(values, 2, return_indices=True)[1]
    assert type(places) is np.ndarray
    assert places.dtype == np.int64


def test_a_batch_of_none(eager: str) -> None:
    """As the last part of a dataset may be."""
    layer = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.ConvTranspose2d(4, 2, 2))
    empty = pn.zeros((0, 3, 8, 8)).requires_grad_()
    found = layer(empty)
    assert found.shape == (0, 2, 4, 4)
    found.sum().backward()
    assert empty.grad.shape == empty.shape
    for parameter in layer.parameters():
        np.testing.assert_array_equal(parameter.grad.numpy(), np.zeros(parameter.shape))


@pytest.mark.parametrize(
    "layer",
    [
        lambda t: F.conv2d(t, kernel(3, 2, 2, 3), padding=1, stride=2),
        lambda t: F.conv_transpose2d(t, kernel(2, 3, 2, 3), stride=2, output_padding=1),
        lambda t: F.max_pool2d(t * t, 2, 1),
        lambda t: F.avg_pool2d(t * t, 3, 2, 1, count_include_pad=False),
        lambda t: F.adaptive_avg_pool2d(t * t, (2, 3)),
        lambda t: F.adaptive_max_pool2d(t * t, (2, 3)),
        lambda t: F.fold(F.unfold(t * t, 2), (4, 5), 2),
        lambda t: F.lp_pool2d(t, 2.0, 2),
    ],
    ids=["conv", "transposed", "max", "avg", "adaptive avg", "adaptive max", "fold", "lp"],
)
def test_first_and_second_gradients(layer: Callable[[Any], Any], eager: str, rng: Any) -> None:
    values = (rng.permutation(2 * 2 * 20).reshape((2, 2, 4, 5)) + 1.0) / 16
    assert gradcheck(layer, pn.asarray(values), projections=1)
    assert gradgradcheck(layer, pn.asarray(values), projections=1)


def kernel(*shape: int) -> Any:
    """The same numbers in each call, of either sign."""
    return pn.asarray(np.sin(np.arange(1.0, 1.0 + np.prod(shape))).reshape(shape))


def test_a_small_network_learns_where_a_line_runs() -> None:
    """Pictures of a row or of a column of ones: what no network without the positions of pixels could tell."""
    with pn.use_backend("numpy"):
        pn.manual_seed(3)
        pictures, labels = np.zeros((60, 1, 6, 6), "f4"), np.arange(60) % 2
        for picture, label, place in zip(pictures, labels, np.arange(60) // 2 % 6, strict=True):
            picture[0][(place, slice(None)) if label else (slice(None), place)] = 1.0
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(4, 2))
        optimizer = pn.optim.Adam(model.parameters(), lr=0.03)
        for _ in range(60):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(pn.asarray(pictures)), pn.asarray(labels))
            loss.backward()
            optimizer.step()
        assert loss.item() < 0.1
