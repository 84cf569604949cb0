"""Fourier transforms on every backend: inverses, frequencies, transposes, and what is refused.

Plain values and gradients are checked in ``tests/test_ops.py``.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import fft
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.testing import gradcheck, gradgradcheck
from portanet.testing.samples.fourier import COMPOSED, SAMPLES

ONE_AXIS = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
SEVERAL_AXES = ["fftn", "ifftn", "rfftn", "irfftn"]
OF_REAL_NUMBERS = ["rfft", "ihfft", "rfftn"]
NORMS = ["backward", "ortho", "forward"]


def spectrum(rng: Any, *shape: int) -> Any:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def operand(name: str, rng: Any, *shape: int) -> Any:
    return rng.normal(size=shape) if name in OF_REAL_NUMBERS else spectrum(rng, *shape)


def test_every_function_of_the_standard_is_there() -> None:
    names = {*ONE_AXIS, *SEVERAL_AXES, "fftfreq", "rfftfreq", "fftshift", "ifftshift"}
    assert set(fft.__all__) == names
    assert {function.__name__ for function in {**SAMPLES, **COMPOSED}} == names - {"fftfreq", "rfftfreq"}
    for name in names:
        (first, *others) = inspect.signature(getattr(fft, name)).parameters.values()
        assert first.kind == first.POSITIONAL_ONLY
        assert all(other.kind == other.KEYWORD_ONLY for other in others)


# Values


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "ihfft", "hfft", "irfft"])
def test_integers_are_taken_in_single_precision(name: str, backend: str) -> None:
    found = getattr(fft, name)(pn.asarray([1, 2, 3]))
    assert found.dtype == (pn.float32 if name in ("hfft", "irfft") else pn.complex64)
    np.testing.assert_allclose(found.numpy(), getattr(np.fft, name)([1, 2, 3]), rtol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n", [7, 8])
def test_transforms_and_their_inverses(norm: str, n: int, backend: str, rng: Any) -> None:
    z, x = pn.asarray(spectrum(rng, 2, n)), pn.asarray(rng.normal(size=(2, n)))
    for there, back, start, options in [
        (fft.fft, fft.ifft, z, {}),
        (fft.fftn, fft.ifftn, z, {}),
        (fft.rfft, fft.irfft, x, {"n": n}),
        (fft.ihfft, fft.hfft, x, {"n": n}),
        (fft.rfftn, fft.irfftn, x, {"s": (2, n), "axes": (0, 1)}),
    ]:
        found = back(there(start, norm=norm), **options, norm=norm)
        np.testing.assert_allclose(found.numpy(), start.numpy(), rtol=1e-12, atol=1e-12)


def test_a_length_of_minus_one_is_the_axes_own(backend: str, rng: Any) -> None:
    x, z = pn.asarray(rng.normal(size=(3, 4))), pn.asarray(spectrum(rng, 3, 4))
    axes = (0, 1)
    for function, start, size in ((fft.fftn, z, 4), (fft.rfftn, x, 4), (fft.irfftn, z, 6)):
        found = function(start, s=(5, -1), axes=axes)
        expected = function(start, s=(5, size), axes=axes)
        np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_over_no_axes_a_transform_changes_nothing(backend: str, rng: Any) -> None:
    z = spectrum(rng, 2, 3)
    np.testing.assert_array_equal(fft.fftn(pn.asarray(z), axes=()).numpy(), z)
    np.testing.assert_array_equal(fft.ifftn(pn.asarray(z[0, 0])).numpy(), z[0, 0])


@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_frequencies(n: int, backend: str) -> None:
    for name in ("fftfreq", "rfftfreq"):
        for options in ({}, {"d": 0.3}, {"dtype": pn.float64, "d": 2.5}):
            found = getattr(fft, name)(n, **options)
            dtype = options.get("dtype", pn.float32)
            assert isinstance(found, pn.Tensor)
            assert (found.dtype, found.device) == (dtype, pn.default_device())
            expected = getattr(np.fft, name)(n, d=options.get("d", 1.0))
            np.testing.assert_allclose(
                found.numpy(), expected, rtol=1e-6 if dtype == pn.float32 else 1e-15, strict=False
            )


def test_frequencies_go_where_they_are_wanted(backend: str) -> None:
    with pn.use_backend("numpy"):
        found = fft.fftfreq(4, device=backend)
    assert found.device.backend == backend


# Gradients


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ONE_AXIS)
def test_the_gradient_is_the_transpose(name: str, norm: str, backend: str, rng: Any) -> None:
    """Column by column: the real part of what the transform does to each real and each imaginary unit."""
    length = 4
    for n in (3, 4, 6):
        function = getattr(fft, name)
        if backend == "jax" and n != 4:
            continue
        x = pn.Tensor(operand(name, rng, length), requires_grad=True)
        y = function(x, n=n, norm=norm)
        weights = spectrum(rng, *y.shape) if y.dtype == pn.complex128 else rng.normal(size=y.shape)
        y.backward(pn.asarray(weights))
        units = [1.0] if name in OF_REAL_NUMBERS else [1.0, 1j]
        expected = 0.0
        for unit in units:
            images = getattr(np.fft, name)(unit * np.eye(length), n=n, norm=norm)
            expected = expected + unit * np.sum((np.conj(weights) * images).real, axis=-1)
        np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n", [5, 6])
@pytest.mark.parametrize("name", ["irfft", "hfft"])
def test_imaginary_parts_that_count_for_nothing_have_no_gradient(
    name: str, n: int, backend: str, rng: Any
) -> None:
    function = getattr(fft, name)
    z = spectrum(rng, n // 2 + 1)
    unpaired = [0, n // 2] if n % 2 == 0 else [0]
    changed = z.copy()
    changed[unpaired] += 1j * rng.normal(size=len(unpaired))
    x = pn.Tensor(z, requires_grad=True)
    y = function(x, n=n)
    again = function(pn.asarray(changed), n=n)
    np.testing.assert_allclose(again.numpy(), y.detach().numpy(), rtol=1e-13, atol=1e-13)
    y.backward(pn.asarray(rng.normal(size=n)))
    gradient = x.grad.numpy()
    np.testing.assert_allclose(gradient[unpaired].imag, 0, atol=1e-15)
    paired = np.setdiff1d(np.arange(n // 2 + 1), unpaired)
    assert np.all(np.abs(gradient[paired].imag) > 0)


def test_a_filter_in_the_frequency_domain_is_a_convolution(eager: str, rng: Any) -> None:
    """A composition with Tensors on every side; its derivatives up to the third are those of a plain sum."""
    x, w = rng.normal(size=6), rng.normal(size=6)

    def filtered(x: Any, w: Any) -> Any:
        return fft.irfft(fft.rfft(x) * fft.rfft(w), n=6) ** 2

    found = filtered(pn.asarray(x), pn.asarray(w)).numpy()
    expected = np.asarray([sum(x[j] * w[k - j] for j in range(6)) for k in range(6)]) ** 2
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert gradcheck(filtered, [x, w])
    assert gradgradcheck(filtered, [x, w])

    def slope(x: Any, w: Any) -> Any:
        return pn.grad(filtered(x, w).sum(), x, create_graph=True)[0]

    x_, w_ = pn.asarray(x), pn.asarray(w)
    assert gradgradcheck(lambda x: slope(x, w_), x_)


# What is refused


@pytest.mark.parametrize("name", ONE_AXIS)
def test_bad_arguments_of_transforms_along_one_axis(name: str, backend: str, rng: Any) -> None:
    function, x = getattr(fft, name), pn.asarray(operand(name, rng, 2, 3))
    with pytest.raises(OptionError, match=f"{name}: norm: expected one of .*'backwards'"):
        function(x, norm="backwards")
    with pytest.raises(ShapeError, match=f"{name}: axis: 2 is out of range for 2 dimensions"):
        function(x, axis=2)
    with pytest.raises(ShapeError, match=f"{name}: n: expected a length of at least 1, got 0"):
        function(x, n=0)
    with pytest.raises(ShapeError, match=f"{name}: n: expected a length of at least 1, got"):
        function(pn.asarray(operand(name, rng, 2, 0)))
    with pytest.raises(ShapeError, match="axis: -1 is out of range for 0 dimensions"):
        function(pn.asarray(operand(name, rng)))


@pytest.mark.parametrize("name", SEVERAL_AXES)
def test_bad_arguments_of_transforms_over_axes(name: str, backend: str, rng: Any) -> None:
    function, x = getattr(fft, name), pn.asarray(operand(name, rng, 2, 3))
    with pytest.raises(OptionError, match=f"{name}: norm"):
        function(x, norm=None)
    with pytest.raises(ShapeError, match=f"{name}: axes: -3 is out of range"):
        function(x, axes=(0, -3))
    with pytest.raises(ShapeError, match="an axis is named twice"):
        function(x, axes=(1, -1))
    with pytest.raises(OptionError, match="axes has to be given as well"):
        function(x, s=(2, 3))
    with pytest.raises(ShapeError, match="s: expected one length for each"):
        function(x, s=(2,), axes=(0, 1))
    with pytest.raises(ShapeError, match="s: expected a length of at least 1"):
        function(x, s=(0, 2), axes=(0, 1))
    if name in ("rfftn", "irfftn"):
        with pytest.raises(ShapeError, match="expected at least one axis"):
            function(x, axes=())


@pytest.mark.parametrize("name", OF_REAL_NUMBERS)
def test_transforms_of_real_numbers_refuse_complex_ones(name: str, backend: str) -> None:
    with pytest.raises(DTypeError, match=f"{name}: x: expected real numbers, got .*complex64"):
        getattr(fft, name)(pn.asarray([1j, 2.0]))


@pytest.mark.parametrize("name", ["fftfreq", "rfftfreq"])
def test_bad_arguments_of_frequencies(name: str) -> None:
    with pytest.raises(OptionError, match=f"{name}: n: expected a length of at least 1, got 0"):
        getattr(fft, name)(0)
    with pytest.raises(DTypeError, match=f"{name}: dtype: expected a real floating-point type, got int32"):
        getattr(fft, name)(4, dtype=pn.int32)
