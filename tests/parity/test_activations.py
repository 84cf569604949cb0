"""Activations against PyTorch's: values, gradients, kinks, the printed form; then on other backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import DTypeError, OptionError, PortanetError, ShapeError
from portanet.nn import activation, gates, rectifiers
from portanet.nn.functional import activation as smooth
from portanet.nn.functional import gates as gate_functions
from portanet.nn.functional import rectifiers as rectifier_functions
from portanet.testing import gradcheck, gradgradcheck
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")


class Here:
    """The modules under the names that PyTorch's package has for them."""

    def __getattr__(self, name: str) -> Any:
        for module in (activation, gates, rectifiers):
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(name)


HERE = Here()

# What makes the layer, and the places of its kinks, from which inputs are drawn away.
Make = Callable[[Any], Any]
CASES: dict[str, tuple[Make, tuple[float, ...]]] = {
    "relu": (lambda nn: nn.ReLU(), (0.0,)),
    "relu-inplace": (lambda nn: nn.ReLU(inplace=True), (0.0,)),
    "relu6": (lambda nn: nn.ReLU6(), (0.0, 6.0)),
    "relu6-inplace": (lambda nn: nn.ReLU6(True), (0.0, 6.0)),
    "leaky": (lambda nn: nn.LeakyReLU(), (0.0,)),
    "leaky-steep": (lambda nn: nn.LeakyReLU(0.3), (0.0,)),
    "leaky-falling": (lambda nn: nn.LeakyReLU(-0.5), (0.0,)),
    "elu": (lambda nn: nn.ELU(), (0.0,)),
    "elu-2": (lambda nn: nn.ELU(2.0), (0.0,)),
    "elu-small": (lambda nn: nn.ELU(alpha=0.3), (0.0,)),
    "selu": (lambda nn: nn.SELU(), (0.0,)),
    "selu-inplace": (lambda nn: nn.SELU(inplace=True), (0.0,)),
    "celu": (lambda nn: nn.CELU(), (0.0,)),
    "celu-2": (lambda nn: nn.CELU(2.0), (0.0,)),
    "celu-small": (lambda nn: nn.CELU(alpha=0.3), (0.0,)),
    "gelu": (lambda nn: nn.GELU(), ()),
    "gelu-named": (lambda nn: nn.GELU(approximate="none"), ()),
    "gelu-tanh": (lambda nn: nn.GELU(approximate="tanh"), ()),
    "silu": (lambda nn: nn.SiLU(), ()),
    "silu-inplace": (lambda nn: nn.SiLU(inplace=True), ()),
    "mish": (lambda nn: nn.Mish(), ()),
    "softplus": (lambda nn: nn.Softplus(), ()),
    "softplus-sharp": (lambda nn: nn.Softplus(beta=3.0), ()),
    "softplus-soft": (lambda nn: nn.Softplus(beta=0.5, threshold=2.0), (4.0,)),
    "softsign": (lambda nn: nn.Softsign(), ()),
    "softshrink": (lambda nn: nn.Softshrink(), (-0.5, 0.5)),
    "softshrink-1.5": (lambda nn: nn.Softshrink(1.5), (-1.5, 1.5)),
    "softshrink-0": (lambda nn: nn.Softshrink(0.0), (0.0,)),
    "hardshrink": (lambda nn: nn.Hardshrink(), (-0.5, 0.5)),
    "hardshrink-1.5": (lambda nn: nn.Hardshrink(1.5), (-1.5, 1.5)),
    "hardshrink-0": (lambda nn: nn.Hardshrink(lambd=0.0), (0.0,)),
    "tanhshrink": (lambda nn: nn.Tanhshrink(), ()),
    "threshold": (lambda nn: nn.Threshold(0.1, 20.0), (0.1,)),
    "threshold-below": (lambda nn: nn.Threshold(-1.0, -7.0), (-1.0,)),
    "threshold-relu": (lambda nn: nn.Threshold(0, 0, inplace=True), (0.0,)),
    "hardtanh": (lambda nn: nn.Hardtanh(), (-1.0, 1.0)),
    "hardtanh-uneven": (lambda nn: nn.Hardtanh(-2.0, 0.5), (-2.0, 0.5)),
    "hardtanh-inplace": (lambda nn: nn.Hardtanh(0, 3, inplace=True), (0.0, 3.0)),
    "hardsigmoid": (lambda nn: nn.Hardsigmoid(), (-3.0, 3.0)),
    "hardswish": (lambda nn: nn.Hardswish(), (-3.0, 3.0)),
    "logsigmoid": (lambda nn: nn.LogSigmoid(), ()),
    "prelu": (lambda nn: nn.PReLU(), (0.0,)),
    "prelu-init": (lambda nn: nn.PReLU(init=-0.5), (0.0,)),
    "prelu-channels": (lambda nn: nn.PReLU(4, init=0.1), (0.0,)),
    "rrelu-eval": (lambda nn: nn.RReLU().eval(), (0.0,)),
    "rrelu-eval-wide": (lambda nn: nn.RReLU(0.1, 0.9).eval(), (0.0,)),
    "rrelu-one-slope": (lambda nn: nn.RReLU(0.25, 0.25), (0.0,)),
    "glu": (lambda nn: nn.GLU(), ()),
    "glu-1": (lambda nn: nn.GLU(dim=1), ()),
    "glu-first": (lambda nn: nn.GLU(0), ()),
    "softmin": (lambda nn: nn.Softmin(dim=1), ()),
    "softmin-last": (lambda nn: nn.Softmin(dim=-1), ()),
    "softmin-first": (lambda nn: nn.Softmin(dim=0), ()),
    "logsoftmax": (lambda nn: nn.LogSoftmax(dim=1), ()),
    "logsoftmax-last": (lambda nn: nn.LogSoftmax(dim=-1), ()),
    "logsoftmax-first": (lambda nn: nn.LogSoftmax(0), ()),
    "softmax2d": (lambda nn: nn.Softmax2d(), ()),
}
SHAPE = (2, 4, 3, 6)

SINGLE_INSIDE = {"hardsigmoid", "celu-small"}
"""Where PyTorch's gradient is off by 3e-8 in float64: it takes 1/6 and 1/alpha in float32."""


def away_from(kinks: tuple[float, ...], values: Any) -> Any:
    """Values none of which is nearer than 0.01 to a kink."""
    for kink in kinks:
        near = np.abs(values - kink) < 0.01
        values = np.where(near, kink + np.where(values < kink, -0.02, 0.02), values)
    return values


def compare(case: str, values: Any, dtype: str, rng: Any) -> None:
    make, _ = CASES[case]
    reference = make(torch.nn).to(getattr(torch, dtype))
    layer = make(HERE).to(getattr(pn, dtype))
    assert not layer.load_state_dict(reference.state_dict()).missing_keys
    x = pn.asarray(values.astype(dtype)).requires_grad_()
    its_x = torch.tensor(values.astype(dtype), requires_grad=True)
    # A copy, for PyTorch refuses to change a leaf in place.
    found, expected = layer(x), reference(its_x.clone())
    assert_near(found, expected, "output")
    cotangent = rng.normal(size=tuple(expected.shape)).astype(dtype)
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))
    if case in SINGLE_INSIDE and dtype == "float64":
        np.testing.assert_allclose(x.grad.numpy(), its_x.grad.numpy(), rtol=1e-6, atol=1e-12)
    else:
        # Of a saturated softmax it is the difference of cotangents that are nearly equal.
        assert_near(x.grad, its_x.grad, "gradient of the input", scale=float(np.abs(cotangent).max()))
    assert [name for name, _ in layer.named_parameters()] == [n for n, _ in reference.named_parameters()]
    for name, parameter in reference.named_parameters():
        # Sums of numbers of either sign.
        scale = float(np.abs(values * cotangent).sum()) / 10
        assert_near(layer.get_parameter(name).grad, parameter.grad, name, scale=scale)


@DTYPES
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(rng: Any, case: str, dtype: str) -> None:
    _, kinks = CASES[case]
    compare(case, away_from(kinks, 2.5 * rng.normal(size=SHAPE)), dtype, rng)


@DTYPES
@pytest.mark.parametrize("case", CASES)
def test_large_inputs_of_either_sign(rng: Any, case: str, dtype: str) -> None:
    """As far as 1e30, where a careless formula overflows; warnings are errors."""
    _, kinks = CASES[case]
    largest = (
        10 if case == "gelu-tanh" else 30
    )  # whose cube overflows in PyTorch, where the gradient is then NaN
    sizes = 10.0 ** rng.uniform(-1, largest, size=SHAPE) * rng.choice([-1.0, 1.0], size=SHAPE)
    compare(case, away_from(kinks, sizes), dtype, rng)


def test_the_cube_inside_gelu_does_not_overflow() -> None:
    x = pn.asarray([-3e38, -1e30, 1e30, 3e38]).requires_grad_()
    r = gate_functions.gelu(x, "tanh")
    r.sum().backward()
    assert r.tolist() == pn.maximum(x.detach(), 0.0).tolist()
    assert x.grad.tolist() == [0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize("case", [case for case, (_, kinks) in CASES.items() if kinks])
def test_the_gradient_at_a_kink_is_pytorchs(case: str) -> None:
    make, kinks = CASES[case]
    values = np.asarray(kinks, dtype="float64").reshape(1, 1, -1) * np.ones((1, 4, 1))
    layer, reference = make(HERE).to(pn.float64), make(torch.nn).double()
    x = pn.asarray(values).requires_grad_()
    its_x = torch.tensor(values, requires_grad=True)
    found, expected = layer(x), reference(its_x.clone())
    found.sum().backward()
    expected.sum().backward()
    assert_near(found, expected)
    bound = 1e-6 if case in SINGLE_INSIDE else 1e-12
    np.testing.assert_allclose(x.grad.numpy(), its_x.grad.numpy(), rtol=bound)


@pytest.mark.parametrize("case", CASES)
def test_the_printed_form(case: str) -> None:
    make, _ = CASES[case]
    assert repr(make(HERE)) == repr(make(torch.nn))


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_on_the_bare_standard(rng: Any, case: str) -> None:
    pytest.importorskip("array_api_strict", reason="proves the layers on the bare standard")
    make, kinks = CASES[case]
    values = away_from(kinks, 2.5 * rng.normal(size=SHAPE))
    results = {}
    for backend in ("numpy", "array-api-strict"):
        with pn.use_backend(backend, strict=True):
            x = pn.asarray(values).requires_grad_()
            layer = make(HERE).to(pn.float64)
            r = layer(x)
            assert r.dtype == pn.float64
            (r * r).sum().backward()
            results[backend] = [
                t.detach().numpy() for t in (r, x.grad, *(p.grad for p in layer.parameters()))
            ]
    for mine, its in zip(*results.values(), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "case",
    [
        "relu6",
        "leaky",
        "elu",
        "gelu",
        "gelu-tanh",
        "silu",
        "mish",
        "softplus",
        "softshrink",
        "hardswish",
        "prelu",
        "glu",
    ],
)
def test_values_and_gradients_on_jax(rng: Any, case: str) -> None:
    pytest.importorskip("jax", reason="compares with JAX")
    make, kinks = CASES[case]
    values = away_from(kinks, 2.5 * rng.normal(size=(1, 4, 2))).astype("float32")
    results = []
    for backend in ("numpy", "jax"):
        with pn.use_backend(backend, strict=True):
            x = pn.asarray(values).requires_grad_()
            r = make(HERE)(x)
            r.sum().backward()
            results.append((r.detach().numpy(), x.grad.numpy()))
    for mine, its in zip(*results, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_first_and_second_derivatives(rng: Any, case: str) -> None:
    make, kinks = CASES[case]
    layer = make(HERE).to(pn.float64)
    values = away_from(kinks, 1.5 * rng.normal(size=(2, 4, 3, 2)))
    inputs = [pn.asarray(values), *(p.detach() for p in layer.parameters())]
    names = [name for name, _ in layer.named_parameters()]

    def function(x: Any, *parameters: Any) -> Any:
        return pn.functional_call(layer, dict(zip(names, parameters, strict=True)), x)

    gradcheck(function, inputs)
    gradgradcheck(function, inputs)


def test_raw_arrays_come_back_raw(rng: Any) -> None:
    x = rng.normal(size=(2, 4)).astype("float32")
    for function in (
        smooth.relu,
        smooth.softplus,
        smooth.tanhshrink,
        smooth.logsigmoid,
        smooth.gumbel_softmax,
        gate_functions.gelu,
        gate_functions.glu,
        rectifier_functions.selu,
        rectifier_functions.hardswish,
        lambda raw: smooth.softplus(raw, beta=2.0),
        lambda raw: smooth.softmin(raw, 1),
        lambda raw: smooth.gumbel_softmax(raw, hard=True),
        lambda raw: rectifier_functions.rrelu(raw, training=True),
        lambda raw: rectifier_functions.prelu(raw, np.asarray([0.1, 0.2, 0.3, 0.4], dtype="float32")),
    ):
        r = function(x)
        assert type(r) is np.ndarray
        assert r.dtype == np.float32


FUNCTIONS = {
    "relu": ({}, {"inplace": True}),
    "relu6": ({}, {"inplace": True}),
    "leaky_relu": ({}, {"negative_slope": 0.2, "inplace": True}),
    "elu": ({}, {"alpha": 2.0}),
    "selu": ({}, {"inplace": True}),
    "celu": ({}, {"alpha": 2.0}),
    "gelu": ({}, {"approximate": "tanh"}),
    "silu": ({}, {"inplace": True}),
    "mish": ({}, {"inplace": True}),
    "softplus": ({}, {"beta": 2.0, "threshold": 5.0}),
    "softsign": ({},),
    "softshrink": ({}, {"lambd": 1.0}),
    "hardshrink": ({}, {"lambd": 1.0}),
    "tanhshrink": ({},),
    "threshold": ({"threshold": 0.3, "value": 2.0},),
    "hardtanh": ({}, {"min_val": -0.3, "max_val": 2.0}),
    "hardsigmoid": ({}, {"inplace": True}),
    "hardswish": ({}, {"inplace": True}),
    "logsigmoid": ({},),
    "rrelu": ({}, {"lower": 0.1, "upper": 0.2}),
    "glu": ({}, {"dim": 0}),
    "softmin": ({"dim": 1},),
    "softmax": ({"dim": 1},),
    "log_softmax": ({"dim": 1},),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_pytorchs_names_options_and_defaults(rng: Any, name: str) -> None:
    owner = next(m for m in (smooth, gate_functions, rectifier_functions) if hasattr(m, name))
    values = rng.normal(size=(4, 6))
    for options in FUNCTIONS[name]:
        expected = getattr(torch.nn.functional, name)(torch.tensor(values), **options)
        assert_near(getattr(owner, name)(pn.asarray(values), **options), expected, f"{options}")


@pytest.mark.parametrize("name", ["softmax", "softmin", "log_softmax"])
def test_a_data_type_for_the_softmax_family(rng: Any, name: str) -> None:
    values = rng.normal(size=(4, 6)).astype("float32")
    r = getattr(smooth, name)(pn.asarray(values), dim=1, dtype=pn.float64)
    assert r.dtype == pn.float64
    assert_near(r, getattr(torch.nn.functional, name)(torch.tensor(values), dim=1, dtype=torch.float64))


def test_prelu_of_few_axes(rng: Any) -> None:
    for shape in ((), (3,), (5, 2)):
        values = rng.normal(size=shape)
        expected = torch.nn.functional.prelu(torch.tensor(values), torch.tensor([0.3], dtype=torch.float64))
        assert_near(
            rectifier_functions.prelu(pn.asarray(values), pn.asarray([0.3], dtype=pn.float64)), expected
        )


# Random ones


def test_rrelu_draws_slopes_in_training(rng: Any, backend: str) -> None:
    values = away_from((0.0,), rng.normal(size=(50, 40))).astype("float32")
    layer = rectifiers.RReLU(0.1, 0.4, generator=pn.random.Generator(3))
    x = pn.asarray(values).requires_grad_()
    r = layer(x)
    slopes = r.detach().numpy() / values
    below = values < 0
    np.testing.assert_array_equal(slopes[~below], 1)
    drawn = slopes[below]
    assert 0.1 - 1e-6 <= drawn.min() < 0.11
    assert 0.39 < drawn.max() < 0.4 + 1e-6
    assert abs(drawn.mean() - 0.25) < 5 * 0.3 / np.sqrt(12 * drawn.size)
    r.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), slopes, rtol=1e-5)
    again = rectifiers.RReLU(0.1, 0.4, generator=pn.random.Generator(3))
    np.testing.assert_array_equal(again(x).detach().numpy(), r.detach().numpy())
    assert np.any(again(x).detach().numpy() != r.detach().numpy())
    layer.eval()
    np.testing.assert_allclose(layer(x).detach().numpy(), np.where(below, values * 0.25, values), rtol=1e-6)


def test_gumbel_softmax_chooses_by_the_probabilities(rng: Any) -> None:
    probabilities = np.asarray([0.5, 0.3, 0.15, 0.05])
    count = 20000
    logits = pn.asarray(np.log(probabilities) * np.ones((count, 1)))
    for tau, hard in ((1.0, True), (0.5, False), (3.0, True)):
        sample = smooth.gumbel_softmax(logits, tau=tau, hard=hard, generator=pn.random.Generator(int(tau)))
        values = sample.numpy()
        assert sample.dtype == pn.float64
        np.testing.assert_allclose(values.sum(axis=1), 1, rtol=1e-12)
        if hard:
            assert set(np.unique(values)) == {0.0, 1.0}
        shares = np.bincount(values.argmax(axis=1), minlength=4) / count
        deviation = np.sqrt(probabilities * (1 - probabilities) / count)
        assert np.all(np.abs(shares - probabilities) < 6 * deviation)


def test_a_hard_choice_has_the_gradient_of_the_soft_sample(rng: Any, eager: str) -> None:
    values, weights = rng.normal(size=(5, 3, 2)), rng.normal(size=(5, 3, 2))
    gradients = []
    for hard in (False, True):
        x = pn.asarray(values).requires_grad_()
        r = smooth.gumbel_softmax(x, tau=0.7, hard=hard, dim=1, generator=pn.random.Generator(5))
        (r * pn.asarray(weights)).sum().backward()
        gradients.append(x.grad.numpy())
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-12, atol=1e-15)
    assert np.abs(gradients[0]).max() > 1e-3


def test_gumbel_softmax_at_a_temperature_is_a_softmax(rng: Any) -> None:
    """The noise cancels from ratios: log(p_i / p_j) * tau = l_i - l_j + n_i - n_j, whatever the logits are."""
    one, other = rng.normal(size=(2, 6, 4))

    def logarithms(logits: Any) -> Any:
        sample = smooth.gumbel_softmax(pn.asarray(logits), tau=2.5, generator=pn.random.Generator(9))
        shifted = 2.5 * np.log(sample.numpy()) - logits
        return shifted - shifted[:, :1]

    np.testing.assert_allclose(logarithms(one), logarithms(other), rtol=1e-9, atol=1e-9)


# Bad input


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gates.GELU("erf"), OptionError, "approximate: GELU expects 'none' or 'tanh', got 'erf'"),
        (lambda: gate_functions.gelu(pn.ones((2,)), "sigmoid"), OptionError, "approximate: gelu expects"),
        (
            lambda: rectifiers.Hardtanh(1.0, -1.0),
            OptionError,
            "max_val: Hardtanh expects more than min_val=1.0",
        ),
        (
            lambda: rectifier_functions.hardtanh(pn.ones((2,)), 1.0, 0.0),
            OptionError,
            "max_val: hardtanh expects at least min_val=1.0",
        ),
        (lambda: rectifiers.CELU(0.0), OptionError, "alpha: CELU divides by it"),
        (lambda: rectifier_functions.celu(pn.ones((2,)), 0.0), OptionError, "alpha: celu divides by it"),
        (lambda: rectifiers.Softshrink(-1.0), OptionError, "lambd: expected a finite number of at least 0"),
        (lambda: rectifiers.RReLU(0.5, 0.1), OptionError, "upper: RReLU expects at least lower=0.5, got 0.1"),
        (
            lambda: rectifier_functions.rrelu(pn.ones((2,)), 0.5, 0.1),
            OptionError,
            "upper: rrelu expects at least lower=0.5",
        ),
        (
            lambda: rectifier_functions.rrelu(pn.asarray([1, 2]), training=True),
            DTypeError,
            "input: rrelu expects a floating-point type, got int64",
        ),
        (lambda: rectifiers.PReLU(0), OptionError, "num_parameters: expected a whole number of at least 1"),
        (
            lambda: rectifiers.PReLU(3)(pn.ones((2, 4))),
            ShapeError,
            r"weight: prelu expects one slope, or one for each of the 4 channels .* got shape \(3,\)",
        ),
        (
            lambda: rectifiers.PReLU()(pn.ones((2, 4), dtype=pn.float64)),
            DTypeError,
            "weight: prelu expects the input's data type float64, got float32",
        ),
        (
            lambda: gates.GLU()(pn.ones((2, 3))),
            ShapeError,
            r"input: glu halves axis -1, so its length must be even",
        ),
        (lambda: gates.GLU(2)(pn.ones((2, 4))), PortanetError, "dim: 2 is out of range for 2 dimensions"),
        (
            lambda: activation.Softmax2d()(pn.ones((2, 3))),
            ShapeError,
            r"input: Softmax2d expects .* got \(2, 3\)",
        ),
        (lambda: activation.LogSoftmax(None), TypeError, r"Use LogSoftmax\(dim=1\)"),
        (lambda: activation.Softmin("1"), TypeError, r"dim: expected the number of an axis, got '1'"),
        (lambda: activation.Softmin(3)(pn.ones((2, 3))), ShapeError, "dim: softmin got axis 3"),
        (lambda: smooth.gumbel_softmax(pn.ones((2,)), dim=1), ShapeError, "dim: gumbel_softmax got axis 1"),
        (lambda: activation.Softplus(beta="1"), OptionError, "beta: expected a finite number, got '1'"),
        (
            lambda: gate_functions.silu([1.0]),
            DTypeError,
            "must be a Tensor, an array or a Python number, got list",
        ),
    ],
)
def test_bad_input(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
