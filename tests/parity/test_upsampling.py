"""Resampling and grids against PyTorch: output, and gradients of the input, the grid and the map."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.nn import upsampling
from portanet.nn.functional import grids
from portanet.nn.functional import upsampling as functions
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")

Options = dict[str, Any]
SHAPES = {1: (2, 3, 7), 2: (2, 3, 6, 5), 3: (2, 2, 4, 3, 5)}

# Lengths for each axis, longer, shorter and as they are; factors whose products with the lengths are rounded.
ANY: dict[int, list[Options]] = {
    1: [{"size": 17}, {"size": 3}, {"scale_factor": 2}, {"scale_factor": 1.7}, {"scale_factor": (0.6,)}],
    2: [
        {"size": 9},
        {"size": (13, 5)},
        {"size": (1, 12)},
        {"scale_factor": 3.0},
        {"scale_factor": (2.3, 0.7)},
        {"scale_factor": (0.51, 1.3), "recompute_scale_factor": True},
        {"scale_factor": (2.3, 1.9), "recompute_scale_factor": False},
    ],
    3: [{"size": (3, 5, 11)}, {"scale_factor": 2}, {"scale_factor": (1.4, 2.4, 0.7)}],
}
ALIGNED: dict[str, int] = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
CASES: list[tuple[str, int, Options]] = [
    *(
        (mode, dims, options)
        for mode in ("nearest", "nearest-exact", "area")
        for dims in ANY
        for options in ANY[dims]
    ),
    *(
        (mode, dims, {**options, "align_corners": align_corners})
        for mode, dims in ALIGNED.items()
        for options in ANY[dims]
        for align_corners in (None, True)
    ),
    *(
        (mode, 2, {**options, **more, "antialias": True})
        for mode, more in (
            ("bilinear", {}),
            ("bilinear", {"align_corners": True}),
            ("bicubic", {"align_corners": False}),
            ("lanczos", {}),
        )
        for options in ({"size": (4, 3)}, {"size": (11, 2)}, {"scale_factor": (0.4, 1.7)})
    ),
]


def inputs(values: Any) -> tuple[Any, Any]:
    return pn.asarray(values).requires_grad_(), torch.tensor(values, requires_grad=True)


def compare(
    rng: Any, found: Any, expected: Any, leaves: tuple[tuple[Any, Any], ...], scale: float = 0.0
) -> None:
    """The outputs, and the gradients of the leaves by one random cotangent."""
    assert_near(found, expected, "output", scale=scale)
    cotangent = rng.normal(size=tuple(expected.shape)).astype(str(expected.dtype).removeprefix("torch."))
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))
    for x, its_x in leaves:
        assert_near(x.grad, its_x.grad, "gradient", scale=scale)


@DTYPES
@pytest.mark.parametrize(("mode", "dims", "options"), CASES, ids=str)
def test_interpolation(rng: Any, eager: str, mode: str, dims: int, options: Options, dtype: str) -> None:
    x, its_x = inputs(rng.normal(size=SHAPES[dims]).astype(dtype))
    found = functions.interpolate(x, mode=mode, **options)
    expected = torch.nn.functional.interpolate(its_x, mode=mode, **options)
    compare(rng, found, expected, ((x, its_x),), scale=1.0)


@DTYPES
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_the_nearest_element_is_pytorchs(rng: Any, mode: str, dims: int, dtype: str) -> None:
    """For any lengths and factors: rounding decides wherever two elements are as near."""
    for _ in range(60):
        length, out = rng.integers(1, 90), rng.integers(1, 200)
        rest = (1,) * (dims - 1)
        factor = rng.uniform(0.2, 3.0)
        if rng.integers(2) and int(length * factor):
            options: Options = {"scale_factor": (*map(float, rest), float(factor))}
            step, out = 1 / factor, int(length * factor)
        else:
            options = {"size": (*rest, int(out))}
            step = length / out
        centres = (np.arange(out) + 0.5) * step
        if mode == "nearest-exact" and np.abs(centres - np.round(centres)).min() < 1e-4:
            continue  # how it is rounded there depends on the processor that PyTorch is built for
        values = np.arange(float(length)).astype(dtype).reshape((1, 1, *rest, length))
        found = functions.interpolate(pn.asarray(values), mode=mode, **options)
        expected = torch.nn.functional.interpolate(torch.tensor(values), mode=mode, **options)
        np.testing.assert_array_equal(found.numpy(), expected.numpy(), err_msg=f"{length}, {options}")


@DTYPES
@pytest.mark.parametrize("mode", ["linear", "bilinear", "bicubic"])
def test_any_lengths_and_factors(rng: Any, mode: str, dtype: str) -> None:
    """But none that leave one column, of which PyTorch's antialias resamples the rows wrongly (2.13)."""
    dims = ALIGNED[mode]
    for _ in range(25):
        lengths = rng.integers(4, 40, size=dims)
        if rng.integers(2):
            options: Options = {"size": tuple(map(int, rng.integers(2, 80, size=dims)))}
        else:
            options = {"scale_factor": tuple(map(float, rng.uniform(0.5, 2.5, size=dims)))}
        options["align_corners"] = bool(rng.integers(2))
        options["antialias"] = dims == 2 and bool(rng.integers(2))
        values = rng.normal(size=(1, 2, *lengths)).astype(dtype)
        found = functions.interpolate(pn.asarray(values), mode=mode, **options)
        expected = torch.nn.functional.interpolate(torch.tensor(values), mode=mode, **options)
        assert_near(found, expected, f"{lengths}, {options}", scale=1.0)


def test_other_data_types(rng: Any) -> None:
    values = rng.integers(0, 255, size=(1, 3, 6, 5)).astype(np.uint8)
    for mode in ("nearest", "nearest-exact"):
        found = functions.interpolate(pn.asarray(values), size=(4, 7), mode=mode)
        expected = torch.nn.functional.interpolate(torch.tensor(values), size=(4, 7), mode=mode)
        assert found.dtype == pn.uint8
        np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_long_axes(rng: Any) -> None:
    """Where a matrix of weights would not fit into memory."""
    x, its_x = inputs(rng.normal(size=(1, 1, 30_000)))
    for options in ({"scale_factor": 2.5}, {"size": 700}, {"size": 700, "align_corners": True}):
        found = functions.interpolate(x, mode="linear", **options)
        expected = torch.nn.functional.interpolate(its_x, mode="linear", **options)
        x.grad = its_x.grad = None
        compare(rng, found, expected, ((x, its_x),))


LAYERS = {
    "Upsample, factor": lambda nn: nn.Upsample(scale_factor=2, mode="bilinear"),
    "Upsample, factors": lambda nn: nn.Upsample(scale_factor=(2, 1.5), mode="bicubic", align_corners=True),
    "Upsample, recomputed": lambda nn: nn.Upsample(
        scale_factor=2.3, mode="bilinear", recompute_scale_factor=True
    ),
    "Upsample, size": lambda nn: nn.Upsample((3, 8)),
    "Nearest, factor": lambda nn: nn.UpsamplingNearest2d(scale_factor=3),
    "Nearest, size": lambda nn: nn.UpsamplingNearest2d(size=(7, 4)),
    "Nearest, uneven": lambda nn: nn.UpsamplingNearest2d(scale_factor=(1.5, 2.5)),
    "Bilinear, factor": lambda nn: nn.UpsamplingBilinear2d(scale_factor=2.0),
    "Bilinear, size": lambda nn: nn.UpsamplingBilinear2d(9),
    "Bilinear, uneven": lambda nn: nn.UpsamplingBilinear2d(scale_factor=(0.5, 2.5)),
}


@DTYPES
@pytest.mark.parametrize("layer", LAYERS)
def test_modules(rng: Any, eager: str, layer: str, dtype: str) -> None:
    mine, its = LAYERS[layer](upsampling), LAYERS[layer](torch.nn)
    assert repr(mine) == repr(its)
    x, its_x = inputs(rng.normal(size=(2, 3, 6, 5)).astype(dtype))
    compare(rng, mine(x), its(its_x), ((x, its_x),))
    mine.eval()
    with pn.no_grad():
        assert_near(mine(x), its.eval()(its_x), "output in evaluation")


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("upsample", {"scale_factor": 2, "mode": "bilinear", "align_corners": True}),
        ("upsample", {"size": (3, 9)}),
        ("upsample_nearest", {"scale_factor": 1.5}),
        ("upsample_bilinear", {"size": (8, 9)}),
    ],
)
def test_older_names(rng: Any, name: str, options: Options) -> None:
    x, its_x = inputs(rng.normal(size=(2, 3, 6, 5)))
    found = getattr(functions, name)(x, **options)
    compare(rng, found, getattr(torch.nn.functional, name)(its_x, **options), ((x, its_x),))


# Grids


def points_in(rng: Any, shape: tuple[int, ...], lengths: tuple[int, ...], align_corners: bool) -> Any:
    """A grid inside and outside; no point is on an element, halfway between two, or where -1 and 1 are."""
    places = rng.integers(-2 * max(lengths), 3 * max(lengths), size=shape) * 0.5 + rng.uniform(
        0.1, 0.4, size=shape
    )
    n = np.asarray(lengths[::-1], float)
    return places / (n - 1) * 2 - 1 if align_corners else (places * 2 + 1) / n - 1


GRIDS = [
    (mode, padding_mode, align_corners, dims)
    for mode in grids.MODES
    for padding_mode in grids.PADDING_MODES
    for align_corners in (None, True)
    for dims in (2, 3)
    if mode != "bicubic" or dims == 2
]


@DTYPES
@pytest.mark.parametrize(("mode", "padding_mode", "align_corners", "dims"), GRIDS)
def test_values_at_points(
    rng: Any, eager: str, mode: str, padding_mode: str, align_corners: bool | None, dims: int, dtype: str
) -> None:
    lengths, out = (5, 4, 3)[-dims:], (2, 3, 4)[-dims:]
    x, its_x = inputs(rng.normal(size=(2, 3, *lengths)).astype(dtype))
    points = points_in(rng, (2, *out, dims), lengths, bool(align_corners)).astype(dtype)
    grid, its_grid = inputs(points)
    found = grids.grid_sample(x, grid, mode, padding_mode, align_corners)
    expected = torch.nn.functional.grid_sample(its_x, its_grid, mode, padding_mode, bool(align_corners))
    leaves: tuple[Any, ...] = ((x, its_x), (grid, its_grid))
    if mode == "nearest":
        compare(rng, found, expected, leaves[:1], scale=1.0)
        assert grid.grad is None
        assert not its_grid.grad.numpy().any()
    else:
        compare(rng, found, expected, leaves, scale=1.0)


@DTYPES
@pytest.mark.filterwarnings("ignore:.*unit-size grids")
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(2, 1, 4, 5), (2, 3, 1, 6), (1, 2, 3, 4, 2)], ids=str)
def test_affine_grids(rng: Any, eager: str, size: tuple[int, ...], align_corners: bool, dtype: str) -> None:
    dims = len(size) - 2
    theta, its_theta = inputs(rng.normal(size=(size[0], dims, dims + 1)).astype(dtype))
    found = grids.affine_grid(theta, size, align_corners=align_corners)
    expected = torch.nn.functional.affine_grid(its_theta, list(size), align_corners=align_corners)
    compare(rng, found, expected, ((theta, its_theta),), scale=1.0)


def test_a_spatial_transformer(rng: Any, eager: str) -> None:
    """The gradient of the map through both functions."""
    x, its_x = inputs(rng.normal(size=(2, 3, 6, 5)))
    theta, its_theta = inputs(
        np.asarray([[0.9, 0.1, 0.02], [-0.1, 0.8, 0.03]]) + rng.normal(size=(2, 2, 3)) * 0.02
    )
    found = grids.grid_sample(x, grids.affine_grid(theta, (2, 3, 7, 4)))
    its_grid = torch.nn.functional.affine_grid(its_theta, [2, 3, 7, 4], align_corners=False)
    expected = torch.nn.functional.grid_sample(its_x, its_grid, align_corners=False)
    compare(rng, found, expected, ((x, its_x), (theta, its_theta)))
