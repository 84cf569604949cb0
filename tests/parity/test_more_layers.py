"""Layers that the other files reach by a number of axes or through a wrapper, each under its own name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.testing import gradcheck, gradgradcheck
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")

A, B, C = (2, 3, 9), (2, 3, 8, 7), (2, 3, 5, 6, 5)
"""Shapes of inputs with one, two and three spatial axes."""

CONVOLUTION: list[dict[str, Any]] = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 2, "dilation": 2, "bias": False},
]
NORM: list[dict[str, Any]] = [{}, {"eps": 0.1, "momentum": 0.3}, {"affine": False}]
INSTANCE = [{"affine": True, **options} for options in ({}, {"eps": 0.1}, {"track_running_stats": True})]

# The arguments by position, settings of the others, and the shape of the input.
CASES: dict[str, tuple[tuple[Any, ...], list[dict[str, Any]], tuple[int, ...]]] = {
    "AdaptiveAvgPool1d": ((), [{"output_size": n} for n in (1, 4, 5)], A),
    "AdaptiveAvgPool3d": ((), [{"output_size": n} for n in (1, 4, (2, None, 3))], C),
    "AvgPool1d": (
        (),
        [{"kernel_size": 2}, {"kernel_size": 3, "padding": 1}, {"kernel_size": 2, "stride": 1}],
        A,
    ),
    "LPPool2d": ((), [{"norm_type": p, "kernel_size": k} for p, k in ((2, 2), (4, 3), (2, (1, 3)))], B),
    "LPPool3d": ((), [{"norm_type": p, "kernel_size": k} for p, k in ((2, 2), (4, 3), (2, (1, 3, 2)))], C),
    "MaxPool1d": (
        (),
        [{"kernel_size": 2}, {"kernel_size": 3, "padding": 1}, {"kernel_size": 2, "stride": 1}],
        A,
    ),
    "MaxPool3d": (
        (),
        [{"kernel_size": 2}, {"kernel_size": 3, "padding": 1}, {"kernel_size": 2, "stride": 1}],
        C,
    ),
    "Conv3d": ((3, 4), CONVOLUTION, C),
    "ConvTranspose1d": ((3, 4), CONVOLUTION, A),
    "ConvTranspose3d": ((3, 4), CONVOLUTION, (1, 3, 3, 4, 3)),
    "LazyConv1d": ((4,), CONVOLUTION, A),
    "LazyConv2d": ((4,), CONVOLUTION, B),
    "LazyConv3d": ((4,), CONVOLUTION, C),
    "LazyConvTranspose1d": ((4,), CONVOLUTION, A),
    "LazyConvTranspose2d": ((4,), CONVOLUTION, B),
    "LazyConvTranspose3d": ((4,), CONVOLUTION, (1, 3, 3, 4, 3)),
    "LazyBatchNorm2d": ((), NORM, B),
    "LazyBatchNorm3d": ((), NORM, C),
    "LazyInstanceNorm1d": ((), INSTANCE, A),
    "LazyInstanceNorm2d": ((), INSTANCE, B),
    "LazyInstanceNorm3d": ((), INSTANCE, C),
}


def arrays_of(module: Any) -> dict[str, Any]:
    return {name: value.numpy() for name, value in module.state_dict().items()}


def compare(rng: Any, mine: Any, its: Any, values: list[Any], dtype: str) -> None:
    """Output, the gradient of the inputs and those of the parameters; of two modules with the same state."""
    inputs = [pn.asarray(x).requires_grad_() for x in values]
    its_inputs = [torch.tensor(x, requires_grad=True) for x in values]
    found, expected = mine(*inputs), its(*its_inputs)
    assert_near(found, expected, "output", scale=1.0)
    cotangent = rng.normal(size=tuple(expected.shape)).astype(dtype)
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))
    # Gradients are sums of many products of either sign.
    size = float(np.sqrt(cotangent.size))
    for x, its_x in zip(inputs, its_inputs, strict=True):
        assert_near(x.grad, its_x.grad, "gradient of the input", scale=1.0)
    its_parameters = dict(its.named_parameters())
    for name, parameter in mine.named_parameters():
        assert_near(parameter.grad, its_parameters[name].grad, f"gradient of {name}", scale=size)


@DTYPES
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(
    ("name", "number"), [(name, n) for name, (_, settings, _) in CASES.items() for n in range(len(settings))]
)
def test_layers(rng: Any, name: str, number: int, train: bool, dtype: str) -> None:
    positional, settings, shape = CASES[name]
    options = settings[number]
    mine, its = getattr(pn.nn, name)(*positional, **options), getattr(torch.nn, name)(*positional, **options)
    count = int(np.prod(shape))
    values = (rng.permutation(count).reshape(shape) * (4.0 / count) - 2.01).astype(dtype)
    its.to(getattr(torch, dtype))
    if "Lazy" in name:
        its.eval()(torch.tensor(values))
    mine.to(getattr(pn, dtype)).load_state_dict(arrays_of(its))
    its.train(train)
    mine.train(train)
    compare(rng, mine, its, [values], dtype)
    assert repr(mine) == repr(its)
    for key, value in its.state_dict().items():  # the running statistics have moved alike
        np.testing.assert_allclose(mine.state_dict()[key].numpy(), value.numpy(), rtol=1e-5, atol=1e-6)


class Differentiated(torch.nn.Module):  # type: ignore[misc]
    """PyTorch's CrossMapLRN2d by its formula, for the gradient: its own backward looks at other channels."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Any) -> Any:
        layer, reach = self.layer, (self.layer.size + 1) // 2
        outputs = []
        for c in range(x.shape[1]):
            near = [k for k in range(x.shape[1]) if abs(k - c) < reach or k == 0]
            total = (x[:, near] ** 2).sum(dim=1)
            outputs.append(x[:, c] / (layer.k + layer.alpha / layer.size * total) ** layer.beta)
        return torch.stack(outputs, dim=1)


@DTYPES
@pytest.mark.parametrize(
    "options",
    [{"size": 3}, {"size": 5, "alpha": 0.5, "k": 2.0}, {"size": 4, "beta": 0.5}, {"size": 1, "alpha": 2.0}],
    ids=str,
)
def test_cross_map(rng: Any, eager: str, options: dict[str, Any], dtype: str) -> None:
    mine, its = pn.nn.CrossMapLRN2d(**options), torch.nn.CrossMapLRN2d(**options)
    assert repr(mine) == repr(its)
    values = rng.normal(size=(2, 8, 3, 4)).astype(dtype)
    expected = its(torch.tensor(values))
    assert_near(mine(pn.asarray(values)), expected)
    assert_near(pn.asarray(Differentiated(its)(torch.tensor(values)).numpy()), expected)
    compare(rng, mine, Differentiated(its), [values], dtype)
    if options["size"] > 1:
        compare(rng, mine, its, [values[:, :1]], dtype)


def test_the_derivatives_of_cross_map(rng: Any) -> None:
    layer = pn.nn.CrossMapLRN2d(3, alpha=0.5)
    x = pn.asarray(rng.normal(size=(1, 5, 2, 2)))
    gradcheck(layer, [x])
    gradgradcheck(layer, [x])
    for call, error, message in (
        (lambda: layer(x[0, ...]), ShapeError, r"CrossMapLRN2d expects shape \(batch, channels"),
        (
            lambda: layer(pn.ones((1, 2, 3, 4), dtype=pn.int64)),
            DTypeError,
            "floating-point numbers, got int64",
        ),
        (lambda: pn.nn.CrossMapLRN2d(0), OptionError, "size: expected a whole number of at least 1"),
        (lambda: pn.nn.CrossMapLRN2d(3, beta="a"), OptionError, "beta: expected a finite number"),
    ):
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
@pytest.mark.parametrize(
    ("name", "function", "shape"),
    [
        ("Dropout1d", "dropout1d", (8, 6, 5)),
        ("Dropout2d", "dropout2d", (8, 6, 5, 4)),
        ("Dropout3d", "dropout3d", (8, 6, 3, 2, 4)),
        ("AlphaDropout", "alpha_dropout", (8, 6)),
        ("FeatureAlphaDropout", "feature_alpha_dropout", (8, 6, 5)),
    ],
)
def test_dropout(rng: Any, name: str, function: str, shape: tuple[int, ...], p: float) -> None:
    mine, its = getattr(pn.nn, name)(p), getattr(torch.nn, name)(p)
    assert repr(mine) == repr(its)
    values = rng.uniform(0.5, 2.0, size=shape)
    x = pn.asarray(values)
    assert_near(mine.eval()(x), its.eval()(torch.tensor(values)))
    pn.manual_seed(7)
    found = mine.train()(x)
    pn.manual_seed(7)
    np.testing.assert_array_equal(found.numpy(), getattr(pn.nn.functional, function)(x, p, True).numpy())
    assert not np.array_equal(found.numpy(), values)


@DTYPES
@pytest.mark.parametrize(
    "options", [{}, {"norm_first": True}, {"activation": "gelu", "batch_first": True}], ids=str
)
def test_a_decoder(rng: Any, options: dict[str, Any], dtype: str) -> None:
    decoders = []
    for nn in (pn.nn, torch.nn):
        layer = nn.TransformerDecoderLayer(8, 2, 12, dropout=0.0, **options)
        decoders.append(nn.TransformerDecoder(layer, 2, norm=nn.LayerNorm(8)))
    mine, its = decoders
    its.to(getattr(torch, dtype))
    mine.to(getattr(pn, dtype)).load_state_dict(arrays_of(its))
    values = [rng.normal(size=shape).astype(dtype) for shape in ((3, 3, 8), (3, 3, 8))]
    compare(rng, mine, its, values, dtype)
