"""The error function without a library's: against Python's over its whole range, in both precisions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import LackingFunctionError
from portanet.nn.functional.gates import gelu
from portanet.ops import error_function
from portanet.tensor import RECORDED_OPS
from portanet.testing import gradcheck, gradgradcheck

erf, erfc = RECORDED_OPS[error_function.erf], RECORDED_OPS[error_function.erfc]


def of_python(function: Any, x: Any) -> Any:
    return np.asarray([function(float(value)) for value in x])


@pytest.fixture
def points(rng: Any) -> Any:
    """Near 0, around the seam at 1, up to where everything underflows, and far beyond."""
    return np.concatenate(
        [
            [0.0, -0.0, 1.0, -1.0, np.nextafter(1, 2), np.nextafter(1, 0), 28.0, 1e300, -1e300],
            rng.uniform(-1.5, 1.5, size=4000),
            rng.normal(size=4000) * 4,
            rng.uniform(-30, 30, size=2000),
            10.0 ** rng.uniform(-300, 300, size=500) * rng.choice([-1, 1], size=500),
        ]
    )


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """No array library has special functions, as NumPy without SciPy."""
    monkeypatch.setattr(error_function, "_function_of", lambda backend, name: None)


def test_erf_is_exact_to_the_last_digits(points: Any) -> None:
    expected = of_python(math.erf, points)
    found = error_function.polynomial_erf(np, points)
    assert found.dtype == np.float64
    assert np.all(np.abs(found - expected) <= 1e-15 * np.abs(expected))


def test_erf_in_single_precision(points: Any) -> None:
    x = points[np.abs(points) < 1e38].astype("float32")
    expected = of_python(math.erf, x)
    found = error_function.polynomial_erf(np, x)
    assert found.dtype == np.float32
    tiny = float(np.finfo("float32").tiny)
    assert np.all(np.abs(found - expected) <= 4e-7 * np.abs(expected) + tiny)


def test_erfc_is_exact_absolutely_and_nearly_so_where_it_vanishes(points: Any) -> None:
    expected = of_python(math.erfc, points)
    found = error_function.polynomial_erfc(np, points)
    assert np.all(np.abs(found - expected) <= 1e-15)
    seen = (points > -30) & (points < 26)  # beyond, the numbers have fewer digits
    size = np.maximum(points[seen] ** 2, 12)
    assert np.all(np.abs(found - expected)[seen] <= 2.5e-16 * size * expected[seen])


def test_erfc_in_single_precision(points: Any) -> None:
    x = points[np.abs(points) < 1e38].astype("float32")
    expected = of_python(math.erfc, x)
    found = error_function.polynomial_erfc(np, x)
    assert found.dtype == np.float32
    assert np.all(np.abs(found - expected) <= 4e-7)


def test_infinity_and_nan() -> None:
    x = np.asarray([np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(error_function.polynomial_erf(np, x), [1, -1, np.nan])
    np.testing.assert_array_equal(error_function.polynomial_erfc(np, x), [0, 2, np.nan])


def test_the_sign_of_zero_is_kept() -> None:
    assert np.signbit(error_function.polynomial_erf(np, np.asarray(-0.0)))


def test_erf_is_odd_and_erfc_is_its_complement(rng: Any) -> None:
    x = rng.normal(size=1000) * 3
    values = error_function.polynomial_erf(np, x)
    np.testing.assert_array_equal(error_function.polynomial_erf(np, -x), -values)
    np.testing.assert_allclose(error_function.polynomial_erfc(np, x), 1 - values, rtol=0, atol=5e-16)


def test_shapes_and_integers() -> None:
    for shape in ((), (0, 3), (2, 1, 3)):
        assert erf(pn.ones(shape)).shape == shape
    assert erfc(pn.asarray([0, 1])).dtype == pn.float32


@pytest.mark.usefixtures("no_library")
def test_without_a_library_it_is_the_same_on_the_bare_standard(rng: Any) -> None:
    pytest.importorskip("array_api_strict", reason="proves the op on the bare standard")
    x = rng.normal(size=(20, 30)) * 2
    results = []
    for name in ("numpy", "array-api-strict"):
        with pn.use_backend(name, strict=True):
            results.append([f(pn.asarray(x)).numpy() for f in (erf, erfc, gelu)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-15)


def test_a_library_without_them_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def lacking(name: str) -> Any:
        asked.append(name)
        raise LackingFunctionError(f"no {name} here")

    record = pn.get_backend()
    error_function._function_of.cache_clear()
    monkeypatch.setattr(type(record), "special_function", lambda self, name: lacking(name))
    try:
        for _ in range(3):
            assert gelu(pn.asarray([0.0, 3.0])).tolist() == pytest.approx([0, 3 * 0.99865010], abs=1e-6)
    finally:
        error_function._function_of.cache_clear()
    assert asked == ["erfc"]


def test_it_agrees_with_the_library_that_has_it(rng: Any, backend: str) -> None:
    x = rng.normal(size=200) * 3
    for function, by_python in ((erf, math.erf), (erfc, math.erfc)):
        found = function(pn.asarray(x))
        assert found.dtype == pn.float64
        np.testing.assert_allclose(found.numpy(), of_python(by_python, x), rtol=1e-12, atol=1e-15)


@pytest.mark.usefixtures("no_library")
@pytest.mark.parametrize("function", [erf, erfc, gelu], ids=lambda function: function.__name__)
def test_derivatives(rng: Any, function: Any) -> None:
    x = pn.asarray(rng.normal(size=(4, 5)))
    gradcheck(function, x)
    gradgradcheck(function, x)


@pytest.mark.usefixtures("no_library")
def test_derivatives_far_out_do_not_overflow() -> None:
    for values in ([-1e30, -100.0, 100.0, 1e30], [-1e19, -28.0, 28.0, 3e38]):
        x = pn.asarray(values).requires_grad_()
        r = gelu(x) + erf(x) * 0 + erfc(x) * 0
        assert r.tolist() == pn.maximum(x.detach(), 0.0).tolist()
        (slope,) = pn.grad(r.sum(), [x], create_graph=True)
        assert slope.tolist() == [0.0, 0.0, 1.0, 1.0]
        slope.sum().backward()
        assert x.grad.tolist() == [0.0] * 4


def test_gelu_keeps_its_digits_where_it_is_small() -> None:
    """``1 + erf(x)`` would be 0 there."""
    x = pn.asarray([-9.0, -20.0], dtype=pn.float64)
    expected = [value * math.erfc(-value / math.sqrt(2)) / 2 for value in x.tolist()]
    assert gelu(x).tolist() == pytest.approx(expected, rel=1e-12)
    assert max(expected) < 0
