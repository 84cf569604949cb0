"""Special functions on every backend: extremes beside SciPy's, derivatives of high order, what is missing.

Plain values and gradients are checked in ``tests/test_ops.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import factorial, log, pi, sqrt
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest

import portanet as pn
from portanet import special
from portanet.backend import Backend, backend_named
from portanet.errors import BackendUnavailableError, DTypeError, GradientError, OptionError
from portanet.tensor import RECORDED_OPS
from portanet.testing.samples.special import (
    COMPOSED,
    COMPUTED_BY_SCIPY,
    SAMPLES,
    WITHOUT_GRADIENT,
    scipy,
)
from tests.scipy_functions import skip_without_scipy

ROOT = Path(__file__).parents[1]
EVERY = {**SAMPLES, **COMPOSED, **WITHOUT_GRADIENT}
INF, NAN = np.inf, np.nan
needs_scipy = pytest.mark.usefixtures("scipy_special")


@pytest.fixture
def scipy_special() -> Any:
    return pytest.importorskip("scipy.special", reason="SciPy, the extra `special`, is the reference")


def by_name(function: Any) -> str:
    return function.__name__


def called(function: Any, *operands: Any, **options: Any) -> Any:
    """The public function of an op, or a composed function."""
    return RECORDED_OPS.get(function, function)(*operands, **options)


# Values


# fmt: off
UNARY = [
    "digamma", "entr", "erf", "erfc", "erfcx", "exp10", "exp2", "expit", "gamma", "gammaln", "gammasgn", "i0", "i0e",
    "i1", "i1e", "log_expit", "log_ndtr", "ndtr", "sinc",
]
# fmt: on


@pytest.mark.parametrize("name", UNARY)
def test_integers_are_taken_in_single_precision(name: str, eager: str) -> None:
    skip_without_scipy(name)
    found = getattr(special, name)(pn.asarray([1, 2, 3]))
    expected = getattr(special, name)(pn.asarray([1.0, 2.0, 3.0]))
    assert found.dtype == pn.float32
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


@pytest.mark.parametrize("name", ["xlogy", "xlog1py", "rel_entr", "kl_div", "beta", "betaln"])
def test_integers_beside_floating_point_numbers(name: str, eager: str) -> None:
    skip_without_scipy(name)
    function, floats = getattr(special, name), pn.asarray([1.5, 2.5])
    for integers in (pn.asarray([1, 2]), pn.asarray([2, 3], dtype=pn.int8)):
        for left, right in ((floats, integers), (integers, floats), (integers, integers)):
            found = function(left, right)
            assert found.dtype == pn.float32
            expected = function(pn.astype(left, pn.float32), pn.astype(right, pn.float32))
            np.testing.assert_array_equal(found.numpy(), expected.numpy())
    wide = function(pn.astype(floats, pn.float64), floats)
    assert wide.dtype == pn.float64


def test_names_that_stand_for_the_same() -> None:
    assert special.psi is special.digamma
    assert special.expit is pn.nn.functional.sigmoid
    assert special.log1p is pn.log1p
    assert special.expm1 is pn.expm1


# Extremes: SciPy's values, without a warning

EXTREMES: dict[str, list[float]] = {
    "digamma": [-100.25, -2.5, -1e-10, 1e-300, 1e-5, 0.5, 1.46, 10, 1e10, INF, NAN],
    "entr": [-INF, -1, 0, 1e-300, 0.5, 1, 20, 1e300, INF, NAN],
    "erf": [-INF, -30, -1, -1e-300, 0, 1e-20, 0.5, 3, 30, INF, NAN],
    "erfc": [-INF, -30, -1, 0, 1e-20, 0.5, 3, 20, 26, 30, INF, NAN],
    "erfcinv": [-1, 0, 1e-300, 1e-20, 0.1, 0.5, 1, 1.9, 2, 3, NAN],
    "erfcx": [-INF, -27, -5, -1, 0, 1e-20, 0.5, 3, 20, 1e3, 1e8, 1e200, INF, NAN],
    "erfinv": [-1.5, -1, -1 + 1e-15, -0.5, -1e-300, 0, 1e-20, 0.5, 1 - 1e-12, 1, 2, NAN],
    "exp10": [-INF, -1e4, -2, 0, 0.5, 10, INF, NAN],
    "exp2": [-INF, -1e4, -2, 0, 0.5, 10, INF, NAN],
    "expit": [-INF, -1e3, -30, -1, 0, 1, 30, 1e3, INF, NAN],
    "gamma": [-170.5, -2.5, -1e-10, 1e-300, 0.5, 1, 4, 10, 150.3, 171, 172, INF, NAN],
    "gammaln": [-2.5, -2, -1e-300, 0, 1e-300, 1e-20, 0.5, 1, 2, 10, 1e10, 1e300, INF, NAN],
    "gammasgn": [-2.5, -1.5, -0.5, 1e-30, 3, INF, NAN],
    "i0": [-INF, -5, 0, 1e-20, 0.5, 10, 700, 800, INF, NAN],
    "i0e": [-INF, -5, 0, 1e-20, 0.5, 10, 700, 1e10, INF, NAN],
    "i1": [-INF, -5, 0, 1e-20, 0.5, 10, 700, 800, INF, NAN],
    "i1e": [-INF, -5, 0, 1e-20, 0.5, 10, 700, 1e10, INF, NAN],
    "log_expit": [-INF, -1e3, -30, -1, 0, 1, 30, 1e3, INF, NAN],
    "log_ndtr": [-INF, -1e10, -1e3, -30, -5, -1, 0, 1, 5, 30, INF, NAN],
    "logit": [-1, 0, 1e-300, 0.25, 0.3, 0.5, 0.74, 1 - 1e-16, 1, 2, NAN],
    "ndtr": [-INF, -37, -5, -1, 0, 0.5, 3, 8, INF, NAN],
    "ndtri": [-0.5, 0, 1e-300, 1e-20, 0.01, 0.5, 0.5 + 1e-12, 0.99, 1, 2, NAN],
    "sinc": [-3.7, -1e-8, 0, 1e-20, 0.3, 0.5, NAN],
}
# JAX's logarithm of the normal distribution cancels where it is small, and gamma is the exponential of a logarithm on
# PyTorch and JAX.
CROSSES_ZERO = ("digamma", "gammaln")
LOOSER = {("jax", "log_ndtr"): 1e-9, ("jax", "gamma"): 1e-11, ("torch", "gamma"): 1e-11}


@needs_scipy
@pytest.mark.parametrize("name", EXTREMES)
def test_extremes_are_scipys(name: str, backend: str) -> None:
    points = np.asarray(EXTREMES[name])
    expected = scipy(name)(points)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = getattr(special, name)(pn.asarray(points)).numpy()
    tolerance = LOOSER.get((backend, name), 1e-13)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=2e-15 if name in CROSSES_ZERO else 0)


@needs_scipy
@pytest.mark.parametrize("name", EXTREMES)
def test_extremes_in_single_precision(name: str, eager: str) -> None:
    with np.errstate(all="ignore"):
        points = np.asarray(EXTREMES[name]).astype("f4")
        expected = scipy(name)(points.astype("f8")).astype("f4")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = getattr(special, name)(pn.asarray(points)).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6 if name in CROSSES_ZERO else 1e-37)


@needs_scipy
@pytest.mark.parametrize("name", ["xlogy", "xlog1py", "rel_entr", "kl_div"])
def test_extremes_of_entropies_are_scipys(name: str, backend: str) -> None:
    points = [0.0, -0.0, 1e-300, 0.3, 1.0, 1.25, 2.5, 1e10, 1e200, NAN, -1.0, -2.5]
    x, y = (np.ravel(part) for part in np.meshgrid(points, points))
    if name in ("rel_entr", "kl_div"):  # SciPy's quotient may overflow or vanish
        usual = ~np.isin(x, [1e-300, 1e200]) & ~np.isin(y, [1e-300, 1e200])
        x, y = x[usual], y[usual]
    expected = scipy(name)(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = getattr(special, name)(pn.asarray(x), pn.asarray(y)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-300)


def test_entropies_do_not_overflow_on_the_way(backend: str) -> None:
    x, y = pn.asarray(np.asarray([1e200, 1e-300, 1e10])), pn.asarray(np.asarray([1e-200, 1e300, 1e-300]))
    logs = np.log(10) * np.asarray([400, -600, 310])
    expected = logs * np.asarray([1e200, 1e-300, 1e10])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(special.rel_entr(x, y).numpy(), expected, rtol=1e-13)
        expected += np.asarray([-1e200, 1e300, -1e10])
        np.testing.assert_allclose(special.kl_div(x, y).numpy(), expected, rtol=1e-13)


def test_infinite_operands_of_entropies(backend: str) -> None:
    for function, of_two, of_zero in (
        (special.xlogy, INF, 0),
        (special.xlog1py, INF, 0),
        (special.rel_entr, -INF, 0),
    ):
        assert function(pn.asarray(2.0), pn.asarray(INF)).item() == of_two
        assert function(pn.asarray(0.0), pn.asarray(INF)).item() == of_zero
    assert special.kl_div(pn.asarray(0.0), pn.asarray(INF)).item() == INF
    assert special.entr(pn.asarray(INF)).item() == -INF


def test_log_odds_of_nearly_even_chances(backend: str) -> None:
    gap = np.asarray([1e-12, -3e-9, 0.0])
    found = special.logit(pn.asarray(0.5 + gap)).numpy()
    np.testing.assert_allclose(found, 4 * ((0.5 + gap) - 0.5), rtol=1e-14)


@needs_scipy
def test_poles_of_the_gamma_function(backend: str) -> None:
    """Of what there is at a pole libraries, and releases of SciPy, think differently; a number it is not."""
    poles = pn.asarray([-3.0, -1.0, 0.0])
    for function in (special.gamma, special.gammaln):
        assert not np.isfinite(function(poles).numpy()).any()
    signs = special.gammasgn(pn.asarray([-INF, -1e20, -2.0, -0.0, 0.0])).numpy()
    np.testing.assert_array_equal(signs, [NAN, NAN, NAN, -1, 1])


def test_nearly_equal_numbers_have_a_relative_entropy(backend: str, rng: Any) -> None:
    """Where ``log(x / y)`` alone would lose all digits."""
    y = rng.uniform(0.5, 2.0, 5)
    gaps = rng.uniform(1.0, 2.0, 5) * 1e-9
    x = y * (1 + gaps)
    gaps = (x - y) / y
    expected = x * (gaps - gaps**2 / 2)
    found = special.rel_entr(pn.asarray(x), pn.asarray(y)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@needs_scipy
def test_the_beta_function_of_integers_is_exact(backend: str, rng: Any) -> None:
    """Small ones, large ones, and one of each, beside exact fractions."""
    lows, highs = rng.integers(1, 9, 6), rng.integers(10, 160, 6)
    a = np.concat([lows, lows, highs, highs])
    b = np.concat([rng.permutation(lows), highs, lows, rng.permutation(highs)])
    exact = [
        Fraction(factorial(int(i) - 1) * factorial(int(j) - 1), factorial(int(i + j) - 1))
        for i, j in zip(a, b, strict=True)
    ]
    logs = [log(fraction.numerator) - log(fraction.denominator) for fraction in exact]
    x, y = pn.asarray(a.astype("f8")), pn.asarray(b.astype("f8"))
    np.testing.assert_allclose(special.betaln(x, y).numpy(), logs, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(special.beta(x, y).numpy(), [float(f) for f in exact], rtol=1e-12)


@needs_scipy
def test_the_beta_function_of_huge_numbers(backend: str) -> None:
    """``B(x, 1) = 1 / x`` and ``B(x, 2) = 1 / (x * (x + 1))``, where logarithms of gamma would lose all digits."""
    x = np.asarray([1e4, 1e8, 1e15, 1e100])
    for y, expected in ((1.0, 1 / x), (2.0, 1 / x / (x + 1))):
        found = special.betaln(pn.asarray(x), y).numpy()
        np.testing.assert_allclose(found, np.log(expected), rtol=1e-13)
    assert special.betaln(pn.asarray([INF]), 3.0).item() == -INF


@needs_scipy
def test_the_sign_of_the_beta_function(backend: str, rng: Any) -> None:
    a, b = rng.uniform(-0.9, -0.1, 8) - rng.integers(0, 3, 8), rng.uniform(0.2, 4.0, 8)
    found = special.beta(pn.asarray(a), pn.asarray(b)).numpy()
    np.testing.assert_allclose(found, scipy("beta")(a, b), rtol=1e-10)
    assert special.beta(pn.asarray([0.5]), pn.asarray([-1.5])).item() == 0


@needs_scipy
def test_polygammas_far_out(backend: str, rng: Any) -> None:
    x = np.asarray([1e-10, 1e-3, 0.5, 30.0, 1e5, 1e10])
    for n in (1, 2, 5):
        found = special.polygamma(n, pn.asarray(x)).numpy()
        np.testing.assert_allclose(found, scipy("polygamma")(n, x), rtol=1e-12)
    assert special.polygamma(pn.asarray(1), pn.asarray(x)).shape == (6,)
    negative = rng.uniform(-0.9, -0.1, 4) - 2
    found = special.polygamma(1, pn.asarray(negative)).numpy()
    np.testing.assert_allclose(found, scipy("polygamma")(1, negative), rtol=1e-10)


@needs_scipy
def test_riemanns_zeta_function(backend: str) -> None:
    found = special.zeta(pn.asarray([2.0, 4.0]))
    np.testing.assert_allclose(found.numpy(), [pi**2 / 6, pi**4 / 90], rtol=1e-6)


@needs_scipy
def test_multivariate_gamma_is_nan_outside_its_domain(backend: str) -> None:
    found = special.multigammaln(pn.asarray([0.9, 1.0, 1.1]), 3)
    assert np.isnan(found.numpy()).tolist() == [True, True, False]


def test_logsumexp_does_not_overflow(backend: str) -> None:
    x = np.asarray([[1e4, 1e4 + 1], [-1e4, -1e4], [INF, 3], [-INF, -INF], [-INF, 5]])
    expected = [1e4 + 1 + np.log1p(np.exp(-1)), -1e4 + np.log(2), INF, -INF, 5]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = special.logsumexp(pn.asarray(x), 1).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_logsumexp_of_no_elements(backend: str) -> None:
    x = pn.ones((0, 3))
    np.testing.assert_array_equal(special.logsumexp(x, 0).numpy(), [-INF] * 3)
    assert special.logsumexp(x).item() == -INF
    assert special.logsumexp(x, 0, keepdims=True).shape == (1, 3)


def test_weights_of_logsumexp(backend: str) -> None:
    """A weight of 0 takes its element out, even an infinite one; a negative sum has no logarithm."""
    x, b = pn.asarray([1.0, 2.0, INF]), pn.asarray([2.0, -0.1, 0.0])
    found = special.logsumexp(x, b=b).item()
    assert found == pytest.approx(np.log(2 * np.e - 0.1 * np.exp(2)), rel=1e-6)
    assert np.isnan(special.logsumexp(x, b=pn.asarray([-1.0, 0.0, 0.0])).item())
    assert special.logsumexp(x, b=pn.asarray([0.0, 0.0, 0.0])).item() == -INF


# Gradients


def derivatives(function: Any, points: Any, order: int) -> list[Any]:
    """The function and its derivatives at some points."""
    x = pn.Tensor(np.asarray(points, dtype="f8"), requires_grad=True)
    values = [function(x)]
    for _ in range(order):
        values.append(pn.grad(values[-1].sum(), x, create_graph=True)[0])
    return [value.detach().numpy() for value in values]


@needs_scipy
def test_derivatives_at_zero(eager: str) -> None:
    """Where the rules divide by ``x``; the series of each function says what they are."""
    zero = [0.0]
    for function, expected in (
        (special.sinc, [1, 0, -(pi**2) / 3, 0, pi**4 / 5]),
        (special.i0, [1, 0, 1 / 2, 0, 3 / 8]),
        (special.i1, [0, 1 / 2, 0, 3 / 8, 0]),
        (special.erf, [0, 2 / sqrt(pi), 0, -4 / sqrt(pi), 0]),
        (special.erfcx, [1, -2 / sqrt(pi), 2, -8 / sqrt(pi), 12]),
    ):
        found = np.concat(derivatives(function, zero, 4))
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


@needs_scipy
@pytest.mark.parametrize("name", ["sinc", "i0", "i1", "i0e", "i1e", "erfcx", "digamma", "log_ndtr", "erfinv"])
def test_third_derivatives(name: str, eager: str, rng: Any) -> None:
    """The second one is differentiated by its rules, and by finite differences."""
    points = rng.uniform(0.15, 0.85, 4) if name == "erfinv" else np.asarray([0.3, 1.1, 2.7, 5.2, 9.4])
    points = points + rng.uniform(-0.02, 0.02, points.shape)
    step = 1e-4
    third = derivatives(getattr(special, name), points, 3)[3]
    above, below = (derivatives(getattr(special, name), points + s, 2)[2] for s in (step, -step))
    scale = np.abs(third) + np.abs(above)
    assert np.max(np.abs((above - below) / (2 * step) - third) / scale) < 1e-5


@needs_scipy
def test_bessel_derivatives_are_bessel_functions(eager: str, rng: Any, scipy_special: Any) -> None:
    """Near 0 and far away; the recurrences of the orders say what they are."""
    x = rng.uniform(0, 30, 12) * rng.choice([-1.0, 1.0], 12)
    iv = scipy_special.iv
    found = derivatives(special.i0, x, 4)
    expected = [
        iv(0, x),
        iv(1, x),
        (iv(0, x) + iv(2, x)) / 2,
        (3 * iv(1, x) + iv(3, x)) / 4,
        (3 * iv(0, x) + 4 * iv(2, x) + iv(4, x)) / 8,
    ]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11)


@needs_scipy
def test_derivatives_far_out_in_the_tail_of_the_normal_distribution(backend: str) -> None:
    """Their asymptotic series: what the rules subtract cancels there to all digits."""
    x = np.asarray([-50.0, -1e3, -1e5, -1e8])
    order = 1 if backend == "jax" else 2
    found = derivatives(special.log_ndtr, x, order)
    w = 1 / x**2
    np.testing.assert_allclose(found[1], -x * (1 + w - 2 * w**2 + 10 * w**3 - 74 * w**4), rtol=1e-10)
    if order == 2:
        np.testing.assert_allclose(found[2], -1 + w - 6 * w**2 + 50 * w**3, rtol=1e-8 + 1e-6)
    t = -x
    found = derivatives(special.erfcx, t, order)
    w = 1 / (2 * t**2)
    np.testing.assert_allclose(found[0] * sqrt(pi) * t, 1 - w + 3 * w**2 - 15 * w**3, rtol=1e-12)
    np.testing.assert_allclose(found[1] * sqrt(pi) * t**2, -(1 - 3 * w + 15 * w**2 - 105 * w**3), rtol=1e-11)
    if order == 2:
        expected = 2 * (1 - 6 * w + 45 * w**2 - 420 * w**3 + 4725 * w**4)
        np.testing.assert_allclose(found[2] * sqrt(pi) * t**3, expected, rtol=1e-8)


def test_gradients_of_entropies_at_their_edges(backend: str) -> None:
    def gradient(function: Any, *points: float) -> list[float]:
        operands = [pn.Tensor(point, requires_grad=True) for point in points]
        function(*operands).backward()
        return [operand.grad.item() for operand in operands]

    assert gradient(special.entr, 0.0) == [INF]
    assert gradient(special.xlogy, 0.0, 0.0) == [0, 0]
    assert gradient(special.xlogy, 0.0, 1.0) == [0, 0]
    assert gradient(special.xlog1py, 0.0, -1.0) == [0, 0]
    assert gradient(special.rel_entr, 0.0, 0.0) == [0, 0]
    assert gradient(special.rel_entr, 0.0, 2.0) == [-INF, 0]
    assert gradient(special.rel_entr, 1.0, 0.0) == [0, 0]
    assert gradient(special.kl_div, 0.0, 0.0) == [0, 0]
    assert gradient(special.kl_div, 0.0, 2.0) == [-INF, 1]
    assert gradient(special.kl_div, -1.0, 2.0) == [0, 0]
    (slope, _) = gradient(special.xlogy, 0.0, 2.0)
    assert slope == pytest.approx(log(2))


def test_logsumexp_of_nothing_but_minus_infinity_has_no_gradient(backend: str) -> None:
    x = pn.Tensor([[-INF, -INF], [-INF, 1.0]], requires_grad=True)
    special.logsumexp(x, axis=1).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[0, 0], [0, 1]])


@needs_scipy
@pytest.mark.parametrize("name", ["zeta", "gammainc", "gammaincc"])
def test_a_gradient_that_there_is_not_is_an_error(name: str, backend: str) -> None:
    first, second = (pn.Tensor([2.0, 3.0], requires_grad=True) for _ in range(2))
    y = getattr(special, name)(first, second).sum()
    with pytest.raises(GradientError, match=f"{name}: there is no gradient with respect to"):
        y.backward()
    getattr(special, name)(first.detach(), second).sum().backward()
    assert second.grad is not None


# What is refused, and what is missing


@pytest.mark.parametrize("function", [op for op in EVERY if op not in COMPOSED], ids=by_name)
def test_complex_numbers_are_refused(function: Any, backend: str) -> None:
    z = pn.asarray([1j, 2.0])
    operands = [z, z] if function.__name__ in TWO else [z]
    with pytest.raises(
        DTypeError, match=f"{function.__name__}: [xy]: expected real numbers, got .*complex64"
    ):
        called(function, *operands, **({"axis": 0} if function.__name__ == "logsumexp" else {}))


TWO = {"beta", "betaln", "gammainc", "gammaincc", "kl_div", "rel_entr", "xlog1py", "xlogy", "zeta"}


def test_orders_have_to_be_whole_numbers(backend: str) -> None:
    x = pn.asarray([1.0])
    with pytest.raises(OptionError, match="polygamma: n: expected an integer of at least 0, got -1"):
        special.polygamma(-1, x)
    with pytest.raises(OptionError, match="multigammaln: d: expected an integer of at least 1, got 0"):
        special.multigammaln(x, 0)
    with pytest.raises(TypeError):
        special.polygamma(1.5, x)  # type: ignore[arg-type]


@pytest.fixture
def without_scipy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where SciPy is not installed."""
    for name in [name for name in sys.modules if name == "scipy" or name.startswith("scipy.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "scipy", None)
    records = [backend_named("numpy"), backend_named("array-api-strict")]
    found = [record.__dict__.pop("special_functions", None) for record in records]
    yield
    for record, functions in zip(records, found, strict=True):
        record.__dict__.pop("special_functions", None)
        if functions is not None:
            record.__dict__["special_functions"] = functions


@pytest.mark.parametrize("name", ["numpy", "array-api-strict"])
def test_without_scipy_the_error_says_how_to_get_it(name: str, without_scipy: None, request: Any) -> None:
    if name not in [report.name for report in pn.available_backends() if report.available]:
        pytest.skip(f"{name} is not installed")
    with pn.use_backend(name):
        x = pn.asarray([0.5, 0.7])
        with pytest.raises(BackendUnavailableError, match=r"SciPy.*pip install 'portanet\[special\]'"):
            special.erf(x)
        for function in EVERY:
            if function not in COMPUTED_BY_SCIPY:
                called(function, *([x, x] if function.__name__ in TWO else [x]))


def test_a_backend_that_lacks_a_function_says_so() -> None:
    @dataclass(eq=False, repr=False)
    class Bare(Backend):
        name: str = "bare"
        library: str = "numpy"
        for_tests_only: ClassVar[bool] = True

    record = Bare()
    assert record.special_functions == {}
    with pytest.raises(BackendUnavailableError, match=r"special.erf: backend 'bare' has no such function"):
        record.special_function("erf")


def run_python(source: str, **environment: str) -> str:
    kept = {name: v for name, v in os.environ.items() if not name.startswith(("PYTHON", "PORTANET"))}
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**kept, **environment},
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_scipy_is_imported_on_first_use_only() -> None:
    lines = "import sys, portanet as pn; from portanet import special; x = pn.ones((2,)); special.expit(x); "
    assert run_python(lines + "print('scipy' in sys.modules)").strip() == "False"


def test_scipy_finds_the_functions_of_tensors() -> None:
    """With ``SCIPY_ARRAY_API=1``; gradients go through."""
    pytest.importorskip(
        "scipy", minversion="1.17", reason="older releases of SciPy ask the namespace for few functions"
    )
    source = """
import warnings
import portanet as pn
from portanet import special
from scipy import special as scipy_special
names = "entr erf erfc erfcx erfinv exp10 exp2 expit gamma gammaln i0 i0e i1 i1e".split()
names += "log_ndtr logit ndtr ndtri psi sinc".split()
pairs = "betaln kl_div rel_entr xlog1py xlogy".split()
for name in [*names, *pairs]:
    operands = [pn.Tensor([0.3, 0.6], requires_grad=True) for _ in range(1 + (name in pairs))]
    y = getattr(scipy_special, name)(*operands)
    y.sum().backward()
    assert all(operand.grad is not None for operand in operands), name
x = pn.Tensor([3.3, 4.6], requires_grad=True)
y = scipy_special.multigammaln(x, 2) + scipy_special.polygamma(2, x)
y.sum().backward()
print(name, x.grad is not None)
"""
    assert run_python(source, SCIPY_ARRAY_API="1").strip() == "xlogy True"


# What single backends do in their own way


@needs_scipy
def test_the_cupy_backend_takes_what_cupyx_has(monkeypatch: pytest.MonkeyPatch, scipy_special: Any) -> None:
    """SciPy plays CuPy's part."""
    stand_in: Any = ModuleType("cupyx.scipy.special")
    for name in ("erf", "zeta"):
        setattr(stand_in, name, getattr(scipy_special, name))
    for name in ("cupyx", "cupyx.scipy"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["cupyx"], "scipy", sys.modules["cupyx.scipy"], raising=False)
    monkeypatch.setattr(sys.modules["cupyx.scipy"], "special", stand_in, raising=False)
    monkeypatch.setitem(sys.modules, "cupyx.scipy.special", stand_in)
    monkeypatch.delitem(sys.modules, "portanet_cupy.special", raising=False)
    from portanet_cupy import CuPyBackend

    record = CuPyBackend()
    assert set(record.special_functions) == {"erf", "zeta"}
    x = np.asarray([0.5, 1.5], dtype="f4")
    found = record.special_function("zeta")(np.full_like(x, 2), x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, scipy_special.zeta(2.0, x), rtol=1e-6)
    monkeypatch.delitem(sys.modules, "portanet_cupy.special", raising=False)


@needs_scipy
def test_jax_before_it_had_erfcx(rng: Any, scipy_special: Any) -> None:
    pytest.importorskip("jax", reason="JAX is not installed")
    assert backend_named("jax").namespace is not None
    from portanet_jax.special import erfcx

    x = np.concat([rng.uniform(-20, 20, 50), [-INF, -30, 0, 4.999, 5, 1e3, 1e10, 1e200, INF, NAN]])
    found = backend_named("jax").to_host(erfcx(backend_named("jax").asarray(x)))
    np.testing.assert_allclose(found, scipy_special.erfcx(x), rtol=1e-13)


@needs_scipy
def test_on_a_make_believe_device(scipy_special: Any) -> None:
    pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    with pn.use_backend("array-api-strict"):
        place = backend_named("array-api-strict").devices()[-1]
        x = pn.ones((2,), device=place, dtype=pn.float32)
        assert special.erf(x).device == place
