"""Functions that make Tensors, and questions about types: default types, places, and what raw arrays give."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.backend import backend_named
from portanet.errors import DTypeError
from portanet.testing import gradcheck

MAKERS: dict[str, tuple[Any, Any]] = {
    "zeros": (lambda **o: pn.zeros((2, 3), **o), np.zeros((2, 3))),
    "ones": (lambda **o: pn.ones((2, 3), **o), np.ones((2, 3))),
    "full": (lambda **o: pn.full((2, 3), 2.5, **o), np.full((2, 3), 2.5)),
    "eye": (lambda **o: pn.eye(3, **o), np.eye(3)),
    "eye with a diagonal": (lambda **o: pn.eye(2, 4, k=1, **o), np.eye(2, 4, k=1)),
    "linspace": (lambda **o: pn.linspace(0.0, 1.0, 5, **o), np.linspace(0, 1, 5)),
    "linspace without its end": (
        lambda **o: pn.linspace(0, 1, 4, endpoint=False, **o),
        np.linspace(0, 1, 4, False),
    ),
    "arange of floats": (lambda **o: pn.arange(0.0, 2.0, 0.5, **o), np.arange(0, 2, 0.5)),
}


@pytest.mark.parametrize("name", MAKERS)
def test_default_type_is_float32(name: str, backend: str) -> None:
    make, expected = MAKERS[name]
    x = make()
    assert x.dtype == pn.float32
    assert x.device == backend_named(backend).devices()[0]
    assert not x.requires_grad
    np.testing.assert_allclose(x.numpy(), expected.astype("float32"), rtol=1e-6)


@pytest.mark.parametrize("name", MAKERS)
def test_a_type_and_a_place_may_be_asked_for(name: str, backend: str) -> None:
    make, expected = MAKERS[name]
    double = make(dtype=pn.float64)
    assert double.dtype == pn.float64
    np.testing.assert_allclose(double.numpy(), expected, rtol=1e-15)
    place = backend_named(backend).devices()[0]
    with pn.use_backend("numpy"):
        for device in (place, str(place), backend):
            there = make(device=device)
            assert there.device == place
            assert there.dtype == pn.float32


def test_integers_give_int64(backend: str) -> None:
    for x, expected in [
        (pn.arange(3), [0, 1, 2]),
        (pn.arange(1, 7, 2), [1, 3, 5]),
        (pn.arange(3, 0, -1), [3, 2, 1]),
        (pn.arange(np.int64(3)), [0, 1, 2]),
        (pn.full((2,), 7), [7, 7]),
        (pn.full(2, np.int64(7)), [7, 7]),
    ]:
        assert x.dtype == pn.int64
        assert x.tolist() == expected
    assert pn.full((1,), True).dtype == pn.bool
    assert pn.full((1,), 1j).dtype == pn.complex64
    assert pn.full((1,), np.float64(0.5)).dtype == pn.float32
    assert pn.arange(3, dtype=pn.float32).dtype == pn.float32
    assert pn.arange(0).shape == (0,)


def test_shapes(backend: str) -> None:
    assert pn.zeros(3).shape == (3,)
    assert pn.zeros(()).shape == ()
    assert pn.zeros((2, 0)).shape == (2, 0)
    assert pn.zeros([2, 3]).shape == (2, 3)
    assert pn.empty((2, 3)).shape == (2, 3)
    assert pn.empty((2, 3)).dtype == pn.float32


@pytest.mark.parametrize("name", ["zeros_like", "ones_like", "empty_like", "full_like"])
def test_like(name: str, backend: str, rng: Any) -> None:
    record = backend_named(backend)
    values = (2.5,) if name == "full_like" else ()
    make = getattr(pn, name)
    raw = record.asarray(rng.normal(size=(2, 3)))
    with pn.use_backend("numpy"):
        for x in (pn.asarray(raw, device=record.devices()[0]).requires_grad_(), raw):
            made = make(x, *values)
            assert isinstance(made, pn.Tensor) is isinstance(x, pn.Tensor)
            array = made.data if isinstance(made, pn.Tensor) else made
            assert isinstance(array, record.array_types()[0])
            assert record.dtype_of(array) == pn.float64
            assert tuple(array.shape) == (2, 3)
            narrow = make(x, *values, dtype=pn.float32)
            array = narrow.data if isinstance(narrow, pn.Tensor) else narrow
            assert record.dtype_of(array) == pn.float32
            if name != "empty_like":
                expected = {"zeros_like": 0.0, "ones_like": 1.0, "full_like": 2.5}[name]
                np.testing.assert_array_equal(record.to_host(array), np.full((2, 3), expected))
        made = make(pn.asarray(raw, device=record.devices()[0]), *values, device="numpy", dtype=pn.float32)
        assert made.device == pn.Device("numpy", "cpu")
        assert made.dtype == pn.float32


def test_no_type_of_another_world(backend: str) -> None:
    for wrong in (float, "float32", int):
        with pytest.raises(DTypeError, match=r"portanet\.float32"):
            pn.zeros((2,), dtype=wrong)


# Questions about types


def test_isdtype() -> None:
    assert pn.isdtype(pn.float32, "real floating")
    assert pn.isdtype(pn.int8, "integral")
    assert pn.isdtype(pn.uint8, ("bool", "unsigned integer"))
    assert pn.isdtype(pn.float32, (pn.float64, pn.float32))
    assert pn.isdtype(pn.complex64, "numeric")
    assert not pn.isdtype(pn.bool, "numeric")
    assert not pn.isdtype(pn.float32, pn.float64)
    with pytest.raises(ValueError, match="kind"):
        pn.isdtype(pn.float32, "floating")
    for wrong in (np.dtype("float32"), np.float32, "float32", float):
        with pytest.raises(DTypeError, match="dtype"):
            pn.isdtype(wrong, "real floating")


def test_limits(backend: str) -> None:
    for wanted in (pn.float32, pn.ones((2,))):
        assert float(pn.finfo(wanted).eps) == float(np.finfo("float32").eps)
    assert int(pn.iinfo(pn.int32).max) == 2**31 - 1


def test_constants() -> None:
    assert (pn.pi, pn.e, pn.inf) == (math.pi, math.e, math.inf)
    assert math.isnan(pn.nan)
    assert pn.newaxis is None


def test_to_host_takes_tensors_and_arrays(backend: str, rng: Any) -> None:
    values = rng.normal(size=3)
    x = pn.Tensor(values, requires_grad=True)
    for given in (x, x * 1.0, x.data):
        host = pn.to_host(given)
        assert type(host) is np.ndarray
        np.testing.assert_array_equal(host, values)


def test_the_namespace_can_be_told_from_others(backend: str) -> None:
    """What array_api_compat finds for a Tensor is portanet itself."""
    compat = pytest.importorskip("array_api_compat", reason="it is what SciPy and scikit-learn ask")
    assert compat.array_namespace(pn.ones((2,))) is pn
    assert {pn: 1}[compat.array_namespace(pn.ones((2,)), pn.zeros((2,)))] == 1


def test_code_written_for_the_standard_is_differentiable(backend: str, rng: Any) -> None:
    """A stranger's function that knows nothing of portanet."""

    def standardise(x: Any) -> Any:
        xp = x.__array_namespace__()
        centred = x - xp.mean(x, axis=0, keepdims=True)
        scale = xp.sqrt(xp.mean(centred**2, axis=0, keepdims=True) + xp.asarray(1e-3, dtype=x.dtype))
        return xp.where(centred > 0, centred / scale, xp.zeros_like(centred))

    values = rng.normal(size=(5, 3))
    x = pn.Tensor(values, requires_grad=True)
    y = standardise(x)
    np.testing.assert_allclose(y.detach().numpy(), standardise(values), rtol=1e-12)
    assert gradcheck(standardise, values, projections=1)
