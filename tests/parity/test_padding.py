"""Padding, shuffling and bilinear layers against PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import DTypeError, OptionError, PortanetError, ShapeError
from portanet.nn import linear, padding, shape
from portanet.nn.functional import shape as shape_functions
from portanet.nn.functional.linear import bilinear
from portanet.nn.functional.padding import pad
from portanet.testing import gradcheck, gradgradcheck
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")


class Here:
    """The modules under the names that PyTorch's package has for them."""

    def __getattr__(self, name: str) -> Any:
        for module in (padding, shape, linear):
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(name)


HERE = Here()

LINES, IMAGES, VOLUMES = (2, 3, 6), (2, 3, 5, 6), (2, 2, 4, 5, 4)
SIX = (1, 2, 0, 3, 2, 1)
Case = tuple[Callable[[Any], Any], tuple[int, ...]]


def cases_of(
    name: str, shapes: tuple[int, ...], *paddings: Any, more: tuple[Any, ...] = ()
) -> dict[str, Case]:
    numbers = count()
    return {
        f"{name}-{next(numbers)}": (lambda nn, p=p: getattr(nn, name)(p, *more), chosen)
        for p in paddings
        for chosen in (shapes, shapes[1:])
    }


CASES: dict[str, Case] = {
    **cases_of("ConstantPad1d", LINES, 2, (3, 0), (-1, 2), more=(1.5,)),
    **cases_of("ConstantPad2d", IMAGES, 1, (1, 2, 0, 3), (-1, 2, 3, -2), more=(-2.0,)),
    **cases_of("ConstantPad3d", VOLUMES, 1, SIX, (-1, 1, 0, -2, -1, -1), more=(0.5,)),
    **cases_of("ZeroPad1d", LINES, 2, (3, 0), (-1, 2)),
    **cases_of("ZeroPad2d", IMAGES, 1, (1, 2, 0, 3), (-1, 2, 3, -2)),
    **cases_of("ZeroPad3d", VOLUMES, 1, SIX, (-1, 1, 0, -2, -1, -1)),
    **cases_of("ReflectionPad1d", LINES, 2, (5, 0), (-1, 2)),
    **cases_of("ReflectionPad2d", IMAGES, 1, (1, 2, 0, 3), (5, 5, 4, 4)),
    **cases_of("ReflectionPad3d", VOLUMES, 1, SIX, (3, 3, 4, 4, 3, 3)),
    **cases_of("ReplicationPad1d", LINES, 2, (9, 0), (-1, 2)),
    **cases_of("ReplicationPad2d", IMAGES, 1, (1, 2, 0, 3), (8, 7, 0, 0)),
    **cases_of("ReplicationPad3d", VOLUMES, 1, SIX, (5, 5, 6, 6, 5, 5)),
    **cases_of("CircularPad1d", LINES, 2, (6, 0), (-1, 2)),
    **cases_of("CircularPad2d", IMAGES, 1, (1, 2, 0, 3), (6, 6, 5, 5)),
    **cases_of("CircularPad3d", VOLUMES, 1, SIX, (4, 4, 5, 5, 4, 4)),
    "Unflatten-2": (lambda nn: nn.Unflatten(1, (2, 3)), (4, 6)),
    "Unflatten-open": (lambda nn: nn.Unflatten(-1, (3, -1, 2)), (2, 5, 12)),
    "Unflatten-first": (lambda nn: nn.Unflatten(dim=0, unflattened_size=(2, 2, 1)), (4, 3)),
    "PixelShuffle-1": (lambda nn: nn.PixelShuffle(1), (2, 3, 4, 5)),
    "PixelShuffle-2": (lambda nn: nn.PixelShuffle(2), (2, 8, 3, 4)),
    "PixelShuffle-3": (lambda nn: nn.PixelShuffle(3), (18, 2, 3)),
    "PixelShuffle-axes": (lambda nn: nn.PixelShuffle(2), (2, 3, 4, 3, 2)),
    "PixelUnshuffle-1": (lambda nn: nn.PixelUnshuffle(1), (2, 3, 4, 5)),
    "PixelUnshuffle-2": (lambda nn: nn.PixelUnshuffle(2), (2, 3, 4, 6)),
    "PixelUnshuffle-3": (lambda nn: nn.PixelUnshuffle(3), (2, 6, 3)),
    "PixelUnshuffle-axes": (lambda nn: nn.PixelUnshuffle(2), (2, 3, 1, 4, 2)),
    "ChannelShuffle-1": (lambda nn: nn.ChannelShuffle(1), (2, 4, 3)),
    "ChannelShuffle-2": (lambda nn: nn.ChannelShuffle(2), (2, 6, 3, 2)),
    "ChannelShuffle-3": (lambda nn: nn.ChannelShuffle(3), (1, 6, 2, 2, 2)),
}


@DTYPES
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(rng: Any, case: str, dtype: str) -> None:
    make, its_shape = CASES[case]
    values = rng.normal(size=its_shape).astype(dtype)
    x = pn.asarray(values).requires_grad_()
    its_x = torch.tensor(values, requires_grad=True)
    layer, reference = make(HERE), make(torch.nn)
    found, expected = layer(x), reference(its_x)
    assert_near(found, expected, "output")
    cotangent = rng.normal(size=tuple(expected.shape)).astype(dtype)
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))
    assert_near(x.grad, its_x.grad, "gradient")
    assert repr(layer) == repr(reference)


@pytest.mark.parametrize("case", CASES)
def test_derivatives(rng: Any, case: str) -> None:
    make, its_shape = CASES[case]
    layer = make(HERE)
    weight = pn.asarray(rng.normal(size=layer(pn.zeros(its_shape)).shape))
    x = pn.asarray(rng.normal(size=its_shape))
    gradcheck(lambda t: layer(t) * weight, x)
    gradgradcheck(lambda t: layer(t) ** 2 * weight, x)


@pytest.mark.parametrize("case", CASES)
def test_on_the_bare_standard(rng: Any, case: str) -> None:
    pytest.importorskip("array_api_strict", reason="proves the layers on the bare standard")
    make, its_shape = CASES[case]
    compare_backends(make(HERE), rng.normal(size=its_shape), "array-api-strict")


@pytest.mark.parametrize(
    "case",
    [
        "ConstantPad2d-4",
        "ReflectionPad2d-2",
        "ReplicationPad1d-4",
        "CircularPad2d-2",
        "PixelShuffle-2",
        "ChannelShuffle-2",
    ],
)
def test_on_jax(rng: Any, case: str) -> None:
    pytest.importorskip("jax", reason="compares with JAX")
    make, its_shape = CASES[case]
    compare_backends(make(HERE), rng.normal(size=its_shape).astype("float32"), "jax")


def compare_backends(layer: Any, values: Any, other: str) -> None:
    results = []
    for backend in ("numpy", other):
        with pn.use_backend(backend, strict=True):
            x = pn.asarray(values).requires_grad_()
            r = layer(x)
            (r * r).sum().backward()
            results.append((r.detach().numpy(), x.grad.numpy()))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-6)


PADS = [
    ((6,), (2, 1), {}),
    ((6,), (2, 1), {"value": 3.0}),
    ((3, 4), (0, 0), {}),
    ((3, 4), (), {}),
    ((3, 4), (1, 2, 3, 4), {"mode": "constant", "value": -1.5}),
    ((3, 4), (-4, 0), {}),
    ((3, 4), (-1, -1, 2, -3), {"value": 2.0}),
    ((2, 3, 4), (-2, 5, 0, 0, 1, 1), {}),
    ((0, 4), (1, 0, 2, 1), {"value": 5.0}),
    ((2, 6), (5, 4), {"mode": "reflect"}),
    ((2, 6), (-2, 5), {"mode": "reflect"}),
    ((2, 6), (5, -3), {"mode": "reflect"}),
    ((2, 3, 6), (-1, -2), {"mode": "reflect"}),
    ((2, 3, 6), (7, -2), {"mode": "replicate"}),
    ((2, 1, 6), (-2, 3, 2, 2), {"mode": "replicate"}),
    ((2, 3, 6), (-1, 2), {"mode": "circular"}),
    ((2, 3, 6), (2, -1), {"mode": "circular"}),
    ((2, 3, 6), (-1, -2), {"mode": "circular"}),
    ((2, 3, 4, 5), (1, 2, 3, 1), {"mode": "circular"}),
]


@pytest.mark.parametrize(("its_shape", "widths", "options"), PADS)
def test_the_function(rng: Any, its_shape: Any, widths: Any, options: Any) -> None:
    values = rng.normal(size=its_shape)
    x, its_x = pn.asarray(values).requires_grad_(), torch.tensor(values, requires_grad=True)
    found, expected = pad(x, widths, **options), torch.nn.functional.pad(its_x, widths, **options)
    assert_near(found, expected)
    found.sum().backward()
    expected.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), its_x.grad.numpy())
    assert type(pad(values, widths, **options)) is np.ndarray


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_any_number_of_axes(rng: Any, mode: str) -> None:
    """Also where PyTorch wants axes for a batch and for channels."""
    names = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    values = rng.normal(size=(3, 4))
    np.testing.assert_array_equal(
        pad(pn.asarray(values), (1, 2, 2, 0), mode=mode).numpy(),
        np.pad(values, ((2, 0), (1, 2)), mode=names[mode]),
    )


def test_integers_and_booleans_keep_their_type(backend: str) -> None:
    numbers, truths = pn.asarray([[1, 2]]), pn.asarray([[True, False]])
    assert pad(numbers, (1, 1)).tolist() == [[0, 1, 2, 0]]
    assert pad(numbers, (1, 0), value=7).dtype == pn.int64
    assert pad(numbers, (1, 1), mode="replicate").tolist() == [[1, 1, 2, 2]]
    assert pad(truths, (2, 0)).tolist() == [[False, False, True, False]]
    assert pad(truths, (2, 0), mode="circular").dtype == pn.bool


BILINEAR: list[tuple[Callable[[Any], Any], tuple[int, ...]]] = [
    (lambda nn: nn.Bilinear(4, 3, 5), (6,)),
    (lambda nn: nn.Bilinear(4, 3, 5, bias=False), (2, 6)),
    (lambda nn: nn.Bilinear(4, 3, 1), ()),
    (lambda nn: nn.Bilinear(1, 3, 2), (2, 3, 2)),
    (lambda nn: nn.Bilinear(4, 3, 5), (0,)),
]


@DTYPES
@pytest.mark.parametrize(("make", "leading"), BILINEAR)
@pytest.mark.parametrize("backend_name", ["numpy", "array-api-strict"])
def test_bilinear(rng: Any, make: Any, leading: Any, dtype: str, backend_name: str) -> None:
    if backend_name != "numpy":
        pytest.importorskip("array_api_strict", reason="proves the layer on the bare standard")
    reference = make(torch.nn).to(getattr(torch, dtype))
    values = [
        rng.normal(size=(*leading, features)).astype(dtype)
        for features in (reference.in1_features, reference.in2_features)
    ]
    with pn.use_backend(backend_name, strict=True):
        layer = make(HERE).to(getattr(pn, dtype))
        assert layer.load_state_dict(reference.state_dict()) == ([], [])
        inputs = [pn.asarray(v).requires_grad_() for v in values]
        its_inputs = [torch.tensor(v, requires_grad=True) for v in values]
        found, expected = layer(*inputs), reference(*its_inputs)
        assert_near(found, expected, "output", scale=0.1)
        cotangent = rng.normal(size=tuple(expected.shape)).astype(dtype)
        found.backward(pn.asarray(cotangent))
        expected.backward(torch.tensor(cotangent))
    for x, its_x in zip(inputs, its_inputs, strict=True):
        assert_near(x.grad, its_x.grad, "gradient of an input", scale=0.1)
    assert [n for n, _ in layer.named_parameters()] == [n for n, _ in reference.named_parameters()]
    for name, parameter in reference.named_parameters():
        assert_near(layer.get_parameter(name).grad, parameter.grad, name, scale=0.1)
    assert repr(layer) == repr(reference)


def test_bilinear_derivatives_and_first_weights(rng: Any) -> None:
    layer = linear.Bilinear(9, 30, 20)
    for parameter in layer.parameters():
        values = parameter.detach().numpy()
        assert np.abs(values).max() <= 1 / 3
        assert abs(values.mean()) < 6 * (1 / 3) / np.sqrt(3 * values.size)
    before = layer.weight.detach().clone()
    layer.reset_parameters()
    assert not np.array_equal(before.numpy(), layer.weight.detach().numpy())
    operands = [pn.asarray(rng.normal(size=s)) for s in ((5, 4), (5, 3), (2, 4, 3), (2,))]
    gradcheck(bilinear, operands)
    gradgradcheck(bilinear, operands)
    raw = [operand.numpy() for operand in operands]
    assert type(bilinear(*raw)) is np.ndarray


X = pn.ones((2, 3, 4))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: pad(X, (1, 1), mode="symmetric"),
            OptionError,
            "mode: pad expects 'constant', .* got 'symmetric'",
        ),
        (
            lambda: pad(X, (1, 1), mode="reflect", value=1.0),
            OptionError,
            "value: pad takes one in mode 'constant'",
        ),
        (lambda: pad(X, (1,)), OptionError, r"pad: expected two numbers for each .* at most 6 .* got \(1,\)"),
        (lambda: pad(X, (1,) * 8), OptionError, "pad: expected two numbers for each of the last axes"),
        (
            lambda: pad(X, 1),
            OptionError,
            r"pad: expected a sequence of whole numbers, got 1. Use pad=\(1, 1\)",
        ),
        (lambda: pad(X, (1, 0.5)), OptionError, "pad: expected a whole number, got 0.5"),
        (
            lambda: pad(X, (-3, -2)),
            ShapeError,
            "pad: widths -3 and -2 take more from axis 2 than its 4 elements",
        ),
        (lambda: pad(X, (-5, 5)), ShapeError, "pad: widths -5 and 5 take more from axis 2"),
        (
            lambda: pad(X, (4, 0), "reflect"),
            ShapeError,
            "mode 'reflect' can pad axis 2, of length 4, by 3 at each",
        ),
        (
            lambda: pad(X, (0, 5), "circular"),
            ShapeError,
            "mode 'circular' can pad axis 2, of length 4, by 4 at",
        ),
        (
            lambda: pad(pn.ones((2, 0)), (1, 0), "replicate"),
            ShapeError,
            "mode 'replicate' can pad axis 1, of length 0",
        ),
        (lambda: pad([1.0], (1, 1)), DTypeError, "input: expected a Tensor or an array"),
        (
            lambda: padding.ZeroPad2d((1, 2)),
            OptionError,
            r"padding: ZeroPad2d expects one number or 4, .* \(1, 2\)",
        ),
        (lambda: padding.ReflectionPad1d(1.5), OptionError, "padding: expected a whole number, got 1.5"),
        (
            lambda: padding.ReflectionPad2d(1)(pn.ones((4, 4))),
            ShapeError,
            "input: ReflectionPad2d expects 3 axes, or 4",
        ),
        (
            lambda: padding.CircularPad1d(1)(pn.ones((1, 2, 3, 4))),
            ShapeError,
            "input: CircularPad1d expects 2 axes",
        ),
        (
            lambda: shape.Unflatten(1, (2, 2))(X),
            ShapeError,
            r"Unflatten cannot make \(2, 2\) of axis 1, of length 3",
        ),
        (lambda: shape.Unflatten(1, (2, -1))(X), ShapeError, r"Unflatten cannot make \(2, -1\) of axis 1"),
        (lambda: shape.Unflatten(3, (2, -1))(X), PortanetError, "Unflatten: dim: 3 is out of range"),
        (lambda: shape.Unflatten(1, (-1, -1)), OptionError, "unflattened_size: .* -1 once at most"),
        (
            lambda: shape.Unflatten(1, 6),
            TypeError,
            "unflattened_size: Unflatten expects a tuple of int, got 6",
        ),
        (
            lambda: shape.Unflatten("a", (1, 2)),
            TypeError,
            "dim: Unflatten expects the number of an axis, got 'a'",
        ),
        (
            lambda: shape.PixelShuffle(0),
            OptionError,
            "upscale_factor: expected a whole number of at least 1, got 0",
        ),
        (
            lambda: shape.PixelShuffle(2)(X),
            ShapeError,
            r"input: pixel_shuffle expects a multiple of 2\*\*2 = 4 channels",
        ),
        (
            lambda: shape.PixelShuffle(2)(pn.ones((4, 4))),
            ShapeError,
            r"expects shape \(..., channels, height, width\)",
        ),
        (
            lambda: shape.PixelUnshuffle(2)(X),
            ShapeError,
            "input: pixel_unshuffle expects a height and a width",
        ),
        (
            lambda: shape.ChannelShuffle(2)(X),
            ShapeError,
            "input: channel_shuffle expects a number of channels that 2",
        ),
        (
            lambda: shape_functions.channel_shuffle(pn.ones((2, 2)), 1),
            ShapeError,
            r"input: channel_shuffle expects shape \(batch, channels, ...\), got \(2, 2\)",
        ),
        (
            lambda: linear.Bilinear(0, 2, 2),
            OptionError,
            "in1_features: expected a whole number of at least 1",
        ),
        (
            lambda: linear.Bilinear(3, 4, 2)(pn.ones((5, 3)), pn.ones((5, 3))),
            ShapeError,
            "input2: bilinear expects 4 features on the last axis",
        ),
        (
            lambda: linear.Bilinear(3, 4, 2)(pn.ones((5, 3)), pn.ones((4, 4))),
            ShapeError,
            r"input2: bilinear expects the leading axes of input1, \(5,\), got \(4,\)",
        ),
        (
            lambda: linear.Bilinear(3, 4, 2)(pn.ones((5, 3)), pn.ones((5, 4), dtype=pn.float64)),
            DTypeError,
            "input2: bilinear expects the data type of weight, float32, got float64",
        ),
        (lambda: bilinear(X, X, X[0]), ShapeError, r"weight: bilinear expects shape .* got \(3, 4\)"),
        (
            lambda: bilinear(X[0], X[0], pn.ones((2, 4, 4)), pn.ones((3,))),
            ShapeError,
            r"bias: bilinear expects shape \(2,\), .* got \(3,\)",
        ),
    ],
)
def test_bad_input(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
