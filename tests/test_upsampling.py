"""Resampling and grids: what is refused, other backends, and derivatives of both orders."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import DTypeError, MixedBackendError, OptionError, ShapeError
from portanet.nn.functional.grids import affine_grid, grid_sample
from portanet.nn.functional.upsampling import interpolate, upsample_bilinear
from portanet.nn.upsampling import Upsample, UpsamplingBilinear2d, UpsamplingNearest2d
from portanet.ops.resampling import FEW, Taps
from portanet.testing import gradcheck, gradgradcheck

line, picture, volume = pn.ones((2, 3, 6)), pn.ones((2, 3, 6, 5)), pn.ones((1, 2, 3, 4, 5))
theta = pn.ones((2, 2, 3))
grid = pn.zeros((2, 4, 4, 2))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: interpolate(picture),
            OptionError,
            r"size, scale_factor: interpolate expects one of them, got neither",
        ),
        (
            lambda: interpolate(picture, size=3, scale_factor=2),
            OptionError,
            r"expects one of them, got size=3 and scale_factor=2",
        ),
        (
            lambda: interpolate(picture, size=3, mode="cubic"),
            OptionError,
            r"mode: interpolate expects one of 'nearest', .*'bicubic'.*, got 'cubic'",
        ),
        (
            lambda: interpolate(picture, size=3, mode="linear"),
            ShapeError,
            r"mode 'linear' expects the shape \(batch, channels, length\), got \(2, 3, 6, 5\)\. Modes.*'bilinear'",
        ),
        (
            lambda: interpolate(line, size=3, mode="bicubic"),
            ShapeError,
            r"'bicubic' expects the shape \(batch, channels, height, width\), got \(2, 3, 6\)",
        ),
        (
            lambda: interpolate(picture, size=3, mode="trilinear"),
            ShapeError,
            r"\(batch, channels, depth, height, width\), got \(2, 3, 6, 5\)",
        ),
        (
            lambda: interpolate(pn.ones((6, 5)), size=3),
            ShapeError,
            r"in mode 'nearest' expects .* got \(6, 5\)\.$",
        ),
        (lambda: interpolate(pn.ones((1, 2, 0)), size=3), ShapeError, r"not empty, got shape \(1, 2, 0\)"),
        (
            lambda: interpolate(picture, size=3, align_corners=False),
            OptionError,
            r"align_corners: .*in the modes 'linear', .* only, got False in mode 'nearest'\. Leave it None",
        ),
        (
            lambda: interpolate(picture, size=3, mode="area", align_corners=True),
            OptionError,
            r"align_corners: .* got True in mode 'area'",
        ),
        (
            lambda: interpolate(picture, size=3, mode="lanczos", antialias=True, align_corners=True),
            OptionError,
            r"align_corners: .* got True in mode 'lanczos'",
        ),
        (
            lambda: interpolate(picture, size=3, antialias=True),
            OptionError,
            r"antialias: .*'bilinear', 'bicubic', 'lanczos' only, got mode 'nearest'",
        ),
        (
            lambda: interpolate(picture, size=3, mode="lanczos"),
            OptionError,
            r"antialias: .*'lanczos' expects True",
        ),
        (
            lambda: interpolate(picture, size=3, recompute_scale_factor=True),
            OptionError,
            r"recompute_scale_factor: .*scale_factor only, got size=3",
        ),
        (lambda: interpolate(picture, size=(3, 3, 3)), OptionError, r"size: expected 2 numbers"),
        (lambda: interpolate(picture, size=(3, 0)), OptionError, r"size: expected numbers of at least 1"),
        (
            lambda: interpolate(picture, size=2.5),
            TypeError,
            r"size: expected a whole number or 2 of them, got 2.5",
        ),
        (
            lambda: interpolate(picture, scale_factor=(2, 2, 2)),
            OptionError,
            r"scale_factor: .* one number, or 2 .*; got \(2, 2, 2\)",
        ),
        (lambda: interpolate(picture, scale_factor="2"), OptionError, r"scale_factor: .* got '2'"),
        (
            lambda: interpolate(picture, scale_factor=-1.0),
            OptionError,
            r"scale_factor: .* at least 0.*got -1.0",
        ),
        (
            lambda: interpolate(picture, scale_factor=0.1),
            OptionError,
            r"0.1 leaves nothing of the lengths \(6, 5\): they would become \(0, 0\)",
        ),
        (
            lambda: interpolate(picture.to(pn.int64), size=3, mode="bilinear"),
            DTypeError,
            r"'bilinear' expects floating-point numbers, got int64\. Convert.*mode='nearest'",
        ),
        (lambda: interpolate([[[1.0]]], size=3), DTypeError, r"interpolate: input: .*list"),
        (lambda: Upsample(mode="cubic"), OptionError, r"Upsample: mode: .* got 'cubic'"),
        (lambda: Upsample(scale_factor="2x"), OptionError, r"Upsample: scale_factor: .* got '2x'"),
        (lambda: UpsamplingNearest2d()(picture), OptionError, r"got neither"),
        (lambda: UpsamplingBilinear2d(3)(line), ShapeError, r"'bilinear' expects"),
        (
            lambda: affine_grid(theta, (1, 3, 4, 5)),
            ShapeError,
            r"theta: affine_grid expects the shape \(1, 2, 3\) for size .*, got \(2, 2, 3\)",
        ),
        (lambda: affine_grid(theta, (2, 3, 4, 5, 6)), ShapeError, r"expects the shape \(2, 3, 4\)"),
        (lambda: affine_grid(theta, (2, 4, 5)), OptionError, r"size: .*height, width\) or .*got \(2, 4, 5\)"),
        (lambda: affine_grid(theta, (2, 3, 0, 5)), OptionError, r"size: .*at least 1; got \(2, 3, 0, 5\)"),
        (lambda: affine_grid(theta, 4), TypeError, r"size: affine_grid expects a shape.* got 4"),
        (
            lambda: affine_grid(theta.to(pn.int64), (2, 3, 4, 5)),
            DTypeError,
            r"theta: affine_grid expects a floating-point type, got int64",
        ),
        (lambda: grid_sample(picture, grid, "linear"), OptionError, r"mode: .*'bilinear'.* got 'linear'"),
        (
            lambda: grid_sample(picture, grid, padding_mode="reflect"),
            OptionError,
            r"padding_mode: .*'reflection', got 'reflect'",
        ),
        (
            lambda: grid_sample(volume, pn.zeros((1, 2, 2, 2, 3)), "bicubic"),
            OptionError,
            r"'bicubic' for pictures only, got an input of shape \(1, 2, 3, 4, 5\)",
        ),
        (lambda: grid_sample(line, grid), ShapeError, r"input: grid_sample expects .* got \(2, 3, 6\)"),
        (lambda: grid_sample(picture[:, :, :0], grid), ShapeError, r"not empty; got \(2, 3, 0, 5\)"),
        (
            lambda: grid_sample(picture, grid[:1]),
            ShapeError,
            r"grid: .* \(2, height, width, 2\).*\(2, 3, 6, 5\); got \(1, 4, 4, 2\)",
        ),
        (lambda: grid_sample(picture, pn.zeros((2, 4, 4, 3))), ShapeError, r"got \(2, 4, 4, 3\)"),
        (
            lambda: grid_sample(volume, grid),
            ShapeError,
            r"\(1, depth, height, width, 3\).* got \(2, 4, 4, 2\)",
        ),
        (
            lambda: grid_sample(picture, grid.to(pn.float64)),
            DTypeError,
            r"grid: .*data type of input, float32, got float64\. Convert.*portanet.float32",
        ),
        (
            lambda: grid_sample(picture.to(pn.int64), grid.to(pn.int64)),
            DTypeError,
            r"input: grid_sample expects a floating-point type, got int64",
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
        other = pn.zeros((2, 4, 4, 2))
    with pytest.raises(MixedBackendError, match="array-api-strict"):
        grid_sample(picture, other)


Call = Callable[[Any], Any]

# Of pictures of height 5 and width 4: longer and shorter, with sums of many elements too.
RESIZED: dict[str, Call] = {
    "nearest": lambda x: interpolate(x, size=(7, 3)),
    "nearest-exact": lambda x: interpolate(x, scale_factor=(0.7, 2.6), mode="nearest-exact"),
    "bilinear": lambda x: interpolate(x, size=(3, 7), mode="bilinear"),
    "aligned": lambda x: upsample_bilinear(x, scale_factor=1.8),
    "bicubic": lambda x: interpolate(x, scale_factor=(2.1, 0.8), mode="bicubic"),
    "antialias": lambda x: interpolate(x, size=(2, 3), mode="bilinear", antialias=True),
    "lanczos": lambda x: interpolate(x, size=(2, 6), mode="lanczos", antialias=True),
    "area": lambda x: interpolate(x, size=(3, 6), mode="area"),
    "much": lambda x: interpolate(x, size=(60, 4), mode="bicubic", align_corners=True),
}
SAMPLED = [
    ("bilinear", "zeros"),
    ("bilinear", "border"),
    ("bilinear", "reflection"),
    ("bicubic", "zeros"),
    ("bicubic", "border"),
    ("bicubic", "reflection"),
    ("nearest", "reflection"),
]


def points(rng: Any, *out: int) -> Any:
    """For pictures of height 5 and width 4, inside and outside, away from elements and from halfway between two."""
    places = rng.integers(-6, 14, size=(2, *out, 2)) * 0.5 + rng.uniform(0.1, 0.4, size=(2, *out, 2))
    return (places * 2 + 1) / np.asarray([4.0, 5.0]) - 1


def compare_backends(call: Callable[..., Any], operands: tuple[Any, ...], name: str) -> None:
    """The values and gradients on a backend against those on NumPy."""
    results = []
    for backend in ("numpy", name):
        with pn.use_backend(backend, strict=True):
            leaves = [pn.asarray(operand).requires_grad_() for operand in operands]
            found = call(*leaves)
            (found * found).sum().backward()
            results.append(
                [found.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves if leaf.grad is not None)]
            )
    assert len(results[0]) == len(results[1]) > 1
    for mine, its in zip(*results, strict=True):
        np.testing.assert_allclose(its, mine, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", RESIZED)
def test_interpolation_on_the_bare_standard(rng: Any, name: str) -> None:
    pytest.importorskip("array_api_strict", reason="proves the functions on the bare standard")
    compare_backends(RESIZED[name], (rng.normal(size=(2, 3, 5, 4)),), "array-api-strict")


@pytest.mark.parametrize(("mode", "padding_mode"), SAMPLED)
def test_grids_on_the_bare_standard(rng: Any, mode: str, padding_mode: str) -> None:
    pytest.importorskip("array_api_strict", reason="proves the functions on the bare standard")
    operands = rng.normal(size=(2, 3, 5, 4)), points(rng, 2, 3)
    compare_backends(lambda x, g: grid_sample(x, g, mode, padding_mode), operands, "array-api-strict")


def test_affine_grids_on_the_bare_standard(rng: Any) -> None:
    pytest.importorskip("array_api_strict", reason="proves the functions on the bare standard")
    compare_backends(
        lambda t: affine_grid(t, (2, 1, 4, 3)), (rng.normal(size=(2, 2, 3)),), "array-api-strict"
    )


@pytest.mark.parametrize("name", ["bicubic", "much"])
def test_interpolation_on_jax(rng: Any, name: str) -> None:
    pytest.importorskip("jax", reason="compares on JAX")
    compare_backends(RESIZED[name], (rng.normal(size=(2, 3, 5, 4)),), "jax")


def test_grids_on_jax(rng: Any) -> None:
    pytest.importorskip("jax", reason="compares on JAX")
    operands = rng.normal(size=(2, 3, 5, 4)), points(rng, 2, 3)
    compare_backends(lambda x, g: grid_sample(x, g, "bilinear", "reflection"), operands, "jax")


def test_a_compiled_transformer(rng: Any) -> None:
    """Nothing is read on the host, so it can be traced."""
    jax = pytest.importorskip("jax", reason="traces with JAX")
    with pn.use_backend("jax", strict=True):
        x, map_ = pn.asarray(rng.normal(size=(2, 3, 5, 4))), pn.asarray(rng.normal(size=(2, 2, 3)))

        def transformed(image: Any, matrix: Any) -> Any:
            return interpolate(grid_sample(image, affine_grid(matrix, (2, 3, 4, 4))), size=7, mode="bilinear")

        found = jax.jit(transformed)(x._data, map_._data)
        np.testing.assert_allclose(np.asarray(found), transformed(x, map_).numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", RESIZED)
def test_derivatives_of_interpolation(rng: Any, name: str) -> None:
    function = RESIZED[name]
    x = pn.asarray(rng.normal(size=(1, 2, 5, 4)))
    weight = pn.asarray(rng.normal(size=function(x).shape))
    gradcheck(lambda t: function(t) * weight, x)
    gradgradcheck(lambda t: function(t) ** 2 * weight, x)


def test_derivatives_of_lines_and_volumes(rng: Any) -> None:
    for shape, mode in (((1, 2, 5), "linear"), ((1, 1, 3, 2, 4), "trilinear")):
        x = pn.asarray(rng.normal(size=shape))
        gradgradcheck(lambda t, mode=mode: interpolate(t, scale_factor=1.6, mode=mode) ** 3, x)


@pytest.mark.parametrize(("mode", "padding_mode"), SAMPLED)
def test_derivatives_at_points(rng: Any, mode: str, padding_mode: str) -> None:
    x, where = pn.asarray(rng.normal(size=(2, 2, 5, 4))), pn.asarray(points(rng, 1, 3))
    if mode == "nearest":
        gradcheck(lambda t: grid_sample(t, where, mode, padding_mode) ** 2, x)
        gradgradcheck(lambda t: grid_sample(t, where, mode, padding_mode) ** 2, x)
        return
    gradcheck(lambda t, g: grid_sample(t, g, mode, padding_mode) ** 2, (x, where))
    gradgradcheck(lambda t, g: grid_sample(t, g, mode, padding_mode) ** 2, (x, where))


def test_derivatives_of_the_map(rng: Any) -> None:
    t = pn.asarray(rng.normal(size=(2, 2, 3)))
    gradcheck(lambda m: affine_grid(m, (2, 1, 3, 4)) ** 2, t)
    gradgradcheck(lambda m: affine_grid(m, (2, 1, 3, 4)) ** 2, t)


def test_raw_arrays_give_raw_arrays(rng: Any) -> None:
    values, where = rng.normal(size=(2, 3, 5, 4)), points(rng, 2, 3)
    for function in RESIZED.values():
        found = function(values)
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, function(pn.asarray(values)).numpy())
    for mode, padding_mode in SAMPLED:
        found = grid_sample(values, where, mode, padding_mode)
        assert type(found) is np.ndarray
        its = grid_sample(pn.asarray(values), where, mode, padding_mode)
        np.testing.assert_array_equal(found, its.numpy())
    assert type(affine_grid(rng.normal(size=(2, 2, 3)), (2, 1, 4, 3))) is np.ndarray


@pytest.mark.parametrize("dtype", [pn.float32, pn.float64])
def test_data_types_stay(eager: str, dtype: Any) -> None:
    x = pn.ones((2, 2, 4, 4), dtype=dtype).requires_grad_()
    where = pn.zeros((2, 3, 3, 2), dtype=dtype).requires_grad_()
    for mode in ("nearest", "bilinear", "bicubic", "area"):
        assert interpolate(x, scale_factor=2, mode=mode).dtype == dtype
    found = grid_sample(x, where, "bicubic", "reflection")
    assert found.dtype == dtype
    found.sum().backward()
    assert x.grad.dtype == where.grad.dtype == dtype
    assert affine_grid(pn.ones((2, 2, 3), dtype=dtype), (2, 1, 2, 2)).dtype == dtype


def test_a_batch_of_none(eager: str) -> None:
    """As the last part of a dataset may be."""
    x = pn.zeros((0, 3, 4, 5)).requires_grad_()
    found = grid_sample(Upsample(scale_factor=2, mode="bicubic")(x), pn.zeros((0, 6, 7, 2)))
    assert found.shape == (0, 3, 6, 7)
    found.sum().backward()
    assert x.grad.shape == x.shape


def test_what_is_not_finite_stays_where_it_is() -> None:
    values = np.zeros((1, 1, 9))
    values[0, 0, 4] = np.nan
    for mode, reach in (("nearest", 2), ("linear", 4)):
        x = pn.asarray(values).requires_grad_()
        found = interpolate(x, scale_factor=2, mode=mode)
        assert int(np.isnan(found.detach().numpy()).sum()) == reach
    picture = np.arange(12.0).reshape((1, 1, 3, 4))
    outside = np.asarray([[[[np.inf, 0.0], [-np.inf, 0.1], [np.nan, 0.0], [0.0, np.nan], [0.1, 0.2]]]])
    found = grid_sample(picture, outside)[0, 0, 0]
    np.testing.assert_array_equal(found[:2], 0.0)
    np.testing.assert_array_equal(np.isnan(found), [False, False, True, True, False])
    found = grid_sample(picture, outside, padding_mode="border")[0, 0, 0]
    assert found[0] == picture[0, 0, 1, -1]
    np.testing.assert_array_equal(np.isnan(found), [False, False, True, True, False])
    for mode in ("bilinear", "bicubic", "nearest"):
        for padding_mode in ("zeros", "border", "reflection"):
            found = grid_sample(picture, outside[:, :, 2:], mode, padding_mode)[0, 0, 0]
            assert np.isfinite(found[2])
            assert mode == "nearest" or np.isnan(found[:2]).all()


def test_the_adjoint_has_no_more_elements_than_it_needs() -> None:
    taps = Taps.of_rows([{0: 1.0}, {0: 0.5, 2: 0.5}, {2: 0.0, 1: 2.0}], 4)
    matrix = np.asarray(taps.rows)
    np.testing.assert_array_equal(matrix, [[1, 0, 0, 0], [0.5, 0, 0.5, 0], [0, 2, 0, 0]])
    np.testing.assert_array_equal(np.asarray(taps.transposed.rows), matrix.T)
    assert len(taps.transposed.places) == 2
    assert taps.transposed.length == 3
    assert FEW >= 4  # bicubic interpolation needs no matrix
