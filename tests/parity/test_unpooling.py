"""What undoes a pooling, poolings with windows at random, and those that return indices, against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import DataError, DTypeError, OptionError, PortanetError, ShapeError
from portanet.nn import functional
from portanet.testing import gradcheck, gradgradcheck
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")

LENGTHS = {1: (9,), 2: (8, 7), 3: (5, 6, 5)}
UNPOOLS = {1: "MaxUnpool1d", 2: "MaxUnpool2d", 3: "MaxUnpool3d"}
WINDOWS: list[dict[str, Any]] = [
    {"kernel_size": 2},
    {"kernel_size": 2, "stride": 3},
    {"kernel_size": 3, "stride": 3, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1},  # windows overlap, and several values have one place
]
FRACTIONAL: list[dict[str, Any]] = [
    {"kernel_size": 2, "output_size": 3},
    {"kernel_size": 3, "output_ratio": 0.5},
    {"kernel_size": 2, "output_size": 1},
    {"kernel_size": 1, "output_ratio": 0.9, "return_indices": True},
    {"kernel_size": 2, "output_size": 4, "return_indices": True},
]


def different(rng: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """No two alike, so that each window has one largest element."""
    return rng.permutation(int(np.prod(shape))).reshape(shape).astype(dtype) / 16 - 2.01


def both(values: Any) -> tuple[Any, Any]:
    return pn.asarray(values).requires_grad_(), torch.tensor(values, requires_grad=True)


def compare_gradients(rng: Any, found: Any, expected: Any, x: Any, its_x: Any) -> None:
    assert_near(found, expected, "output")
    cotangent = rng.normal(size=tuple(expected.shape)).astype(found.dtype.name)
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))
    assert_near(x.grad, its_x.grad, "gradient")


@DTYPES
@pytest.mark.parametrize("with_size", [False, True])
@pytest.mark.parametrize("windows", WINDOWS, ids=str)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_unpooling(rng: Any, eager: str, dims: int, windows: Any, with_size: bool, dtype: str) -> None:
    for shape in ((2, 3, *LENGTHS[dims]), (3, *LENGTHS[dims])):
        values = different(rng, shape, dtype)
        pool = getattr(torch.nn, f"MaxPool{dims}d")(**windows, return_indices=True)
        pooled, indices = pool(torch.tensor(values))
        mine, its = getattr(pn.nn, UNPOOLS[dims])(**windows), getattr(torch.nn, UNPOOLS[dims])(**windows)
        assert repr(mine) == repr(its)
        # In each channel the same value comes with the same place, wherever windows overlap.
        x, its_x = both(pooled.numpy())
        size = shape[-dims:] if with_size else None
        lengths = [
            (n - 1) * s + k - 2 * p
            for n, k, s, p in zip(pooled.shape[-dims:], its.kernel_size, its.stride, its.padding, strict=True)
        ]
        if size is None and int(indices.max()) >= int(np.prod(lengths)):
            with pytest.raises(RuntimeError):
                its(its_x, indices)
            with pytest.raises(PortanetError, match=r"indices: expected places from 0 to"):
                mine(x, pn.asarray(indices.numpy()))
            continue
        found = mine(x, pn.asarray(indices.numpy()), output_size=size)
        compare_gradients(rng, found, its(its_x, indices, output_size=size), x, its_x)


def test_the_whole_shape_as_output_size(rng: Any) -> None:
    values = different(rng, (2, 3, 9, 7), "float32")
    pooled, indices = pn.nn.MaxPool2d(2, return_indices=True)(pn.asarray(values))
    whole = pn.nn.MaxUnpool2d(2)(pooled, indices, output_size=values.shape)
    its = torch.nn.MaxUnpool2d(2)(
        torch.tensor(pooled.numpy()), torch.tensor(indices.numpy()), output_size=values.shape
    )
    np.testing.assert_array_equal(whole.numpy(), its.numpy())
    assert whole.shape == values.shape
    # Every number is in its own place again.
    np.testing.assert_array_equal(whole.numpy()[whole.numpy() != 0], values[whole.numpy() != 0])


def test_of_two_values_for_one_place_the_last_one_stays() -> None:
    values, indices = np.asarray([[1.0, 2.0, 3.0]]), np.asarray([[4, 4, 0]])
    x, its_x = both(values)
    found = functional.max_unpool1d(x, pn.asarray(indices), 2)
    expected = torch.nn.functional.max_unpool1d(its_x, torch.tensor(indices), 2)
    np.testing.assert_array_equal(found.detach().numpy(), expected.detach().numpy())
    found.backward(pn.arange(1.0, 7.0, dtype=pn.float64)[None, :])
    expected.backward(torch.arange(1.0, 7.0, dtype=torch.float64)[None, :])
    np.testing.assert_array_equal(x.grad.numpy(), its_x.grad.numpy())


@DTYPES
@pytest.mark.parametrize("options", FRACTIONAL, ids=str)
@pytest.mark.parametrize("name", ["FractionalMaxPool2d", "FractionalMaxPool3d"])
def test_fractional_pooling(rng: Any, eager: str, name: str, options: dict[str, Any], dtype: str) -> None:
    dims = int(name[-2])
    for batch in ((2,), ()):
        shape = (*batch, 3, *((9, 7, 8)[:dims]))
        samples = rng.uniform(size=(*(batch or (1,)), 3, dims)).astype(dtype)
        mine = getattr(pn.nn, name)(**options, _random_samples=pn.asarray(samples))
        its = getattr(torch.nn, name)(**options, _random_samples=torch.tensor(samples))
        assert list(mine.state_dict()) == list(its.state_dict())
        x, its_x = both(different(rng, shape, dtype))
        found, expected = mine(x), its(its_x)
        if options.get("return_indices"):
            np.testing.assert_array_equal(found[1].numpy(), expected[1].numpy())
            found, expected = found[0], expected[0]
        compare_gradients(rng, found, expected, x, its_x)


def test_fractional_windows_are_drawn_anew(rng: Any) -> None:
    x = pn.asarray(different(rng, (4, 8, 20, 20), "float32"))
    pool = pn.nn.FractionalMaxPool2d(2, output_size=13)
    one, other = pool(x), pool(x)
    assert not np.array_equal(one.numpy(), other.numpy())
    pn.manual_seed(3)
    one = pool(x)
    pn.manual_seed(3)
    np.testing.assert_array_equal(one.numpy(), pool(x).numpy())
    generator = pn.random.Generator(5)
    one = functional.fractional_max_pool2d(x, 2, output_ratio=(0.5, 0.7), generator=generator)
    other = functional.fractional_max_pool2d(x, 2, output_ratio=(0.5, 0.7), generator=pn.random.Generator(5))
    np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert one.shape == (4, 8, 10, 14)


POOLS: dict[str, tuple[int, list[dict[str, Any]]]] = {
    "max_pool1d_with_indices": (1, WINDOWS),
    "max_pool2d_with_indices": (2, WINDOWS),
    "max_pool3d_with_indices": (3, WINDOWS),
    "adaptive_max_pool1d_with_indices": (1, [{"output_size": n} for n in (1, 3, 4)]),
    "adaptive_max_pool2d_with_indices": (2, [{"output_size": n} for n in (1, 3, (4, 2))]),
    "adaptive_max_pool3d_with_indices": (3, [{"output_size": n} for n in (1, 3, (4, 2, 5))]),
}


@DTYPES
@pytest.mark.parametrize(
    ("name", "options"),
    [(name, options) for name, (_, settings) in POOLS.items() for options in settings],
    ids=str,
)
def test_pools_with_indices(rng: Any, name: str, options: dict[str, Any], dtype: str) -> None:
    dims = POOLS[name][0]
    x, its_x = both(different(rng, (2, 3, *LENGTHS[dims]), dtype))
    found, places = getattr(functional, name)(x, **options)
    expected, its_places = getattr(torch.nn.functional, name)(its_x, **options)
    np.testing.assert_array_equal(places.numpy(), its_places.numpy())
    assert places.dtype == pn.int64
    compare_gradients(rng, found, expected, x, its_x)


@DTYPES
@pytest.mark.parametrize(
    "options", [{"output_size": 3}, {"output_size": 5}, {"output_ratio": (0.4, 0.6, 0.3)}]
)
@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("fractional_max_pool2d_with_indices", "fractional_max_pool2d"),
        ("fractional_max_pool3d_with_indices", "fractional_max_pool3d"),
    ],
)
def test_fractional_pools_with_indices(
    rng: Any, name: str, plain: str, options: dict[str, Any], dtype: str
) -> None:
    dims = 2 if "2d" in name else 3
    if "output_ratio" in options:
        options = {"output_ratio": options["output_ratio"][:dims]}
    samples = rng.uniform(size=(2, 3, dims)).astype(dtype)
    x, its_x = both(different(rng, (2, 3, *((10, 9, 11)[:dims])), dtype))
    mine = {**options, "_random_samples": pn.asarray(samples)}
    its = {**options, "_random_samples": torch.tensor(samples)}
    found, places = getattr(functional, name)(x, 2, **mine)
    expected, its_places = getattr(torch.nn.functional, name)(its_x, 2, **its)
    np.testing.assert_array_equal(places.numpy(), its_places.numpy())
    compare_gradients(rng, found, expected, x, its_x)
    alone = getattr(functional, plain)(x, 2, **mine)
    assert_near(alone, getattr(torch.nn.functional, plain)(its_x, 2, **its))


def test_on_other_backends(rng: Any, backend: str) -> None:
    values, samples = different(rng, (2, 3, 8, 7), "float64"), rng.uniform(size=(2, 3, 2))
    with pn.use_backend("numpy"):
        expected = functional.fractional_max_pool2d(
            pn.asarray(values), 2, (4, 3), return_indices=True, _random_samples=pn.asarray(samples)
        )
        back = functional.max_unpool2d(*expected, 2, output_size=(8, 7))
    x = pn.asarray(values).requires_grad_()
    found, places = functional.fractional_max_pool2d(
        x, 2, (4, 3), return_indices=True, _random_samples=pn.asarray(samples)
    )
    np.testing.assert_array_equal(pn.to_host(places), expected[1].numpy())
    whole = functional.max_unpool2d(found, places, 2, output_size=(8, 7))
    np.testing.assert_array_equal(pn.to_host(whole.detach()), back.numpy())
    whole.sum().backward()
    assert pn.to_host(x.grad).sum() == found.size
    if backend == "numpy":
        pooled = functional.max_pool2d_with_indices(values, 2)
        assert [type(part) for part in pooled] == [np.ndarray] * 2
        assert type(functional.max_unpool2d(*pooled, 2, output_size=(8, 7))) is np.ndarray
        assert type(functional.fractional_max_pool2d(values, 2, 3)) is np.ndarray


def test_derivatives(rng: Any) -> None:
    x = pn.asarray(different(rng, (1, 2, 6, 5), "float64"))
    samples = pn.asarray(rng.uniform(size=(1, 2, 2)))
    places = functional.max_pool2d_with_indices(x, 2)[1]
    for function, at in (
        (lambda a: functional.fractional_max_pool2d(a * a, 2, (3, 2), _random_samples=samples), x),
        (lambda a: functional.max_unpool2d(a * a, places, 2, output_size=(6, 5)), x[:, :, :3, :2]),
    ):
        gradcheck(function, [at])
        gradgradcheck(function, [at])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x, i: functional.max_unpool2d(x, i[:, :1, ...], 2),
            ShapeError,
            r"max_unpool2d: indices: expected the shape of the input, \(1, 2, 3, 3\), got \(1, 1, 3, 3\)",
        ),
        (
            lambda x, i: functional.max_unpool2d(x, x, 2),
            DTypeError,
            "indices: expected integers.*got float32",
        ),
        (lambda x, i: functional.max_unpool2d(x, i - 9, 2), DataError, "places from 0 to 35 .*got -"),
        (lambda x, i: functional.max_unpool2d(x, i + 90, 2), DataError, "places from 0 to 35"),
        (
            lambda x, i: functional.max_unpool2d(x, i, 2, output_size=(9, 6)),
            OptionError,
            r"output_size: .* lengths of 5 to 7, 5 to 7 only, got \(9, 6\)",
        ),
        (lambda x, i: functional.max_unpool2d(x, i, 2, output_size=(6, 6, 6)), OptionError, "expected 2"),
        (
            lambda x, i: functional.max_unpool3d(x[0, 0, ...], i[0, 0, ...], 2),
            ShapeError,
            "max_unpool3d: input",
        ),
        (lambda x, i: functional.max_unpool2d(x, i, 1, 1, 2), ShapeError, "would become"),
        (lambda x, i: pn.nn.MaxUnpool2d((2, 2, 2)), OptionError, "MaxUnpool2d: kernel_size: expected 2"),
        (lambda x, i: functional.fractional_max_pool2d(x, 2), OptionError, "got neither"),
        (lambda x, i: pn.nn.FractionalMaxPool2d(2), OptionError, "got neither"),
        (lambda x, i: pn.nn.FractionalMaxPool2d(2, 3, 0.5), OptionError, "got both"),
        (lambda x, i: pn.nn.FractionalMaxPool3d(2, output_ratio=1.5), OptionError, "between 0 and 1"),
        (lambda x, i: functional.fractional_max_pool2d(x, 2, 3), ShapeError, r"an output of shape \(3, 3\)"),
        (
            lambda x, i: functional.fractional_max_pool2d(x, 2, 2, _random_samples=pn.zeros((1, 2, 3))),
            ShapeError,
            r"_random_samples: expected the shape \(1, 2, 2\)",
        ),
        (
            lambda x, i: functional.fractional_max_pool2d(
                x, 2, 2, _random_samples=pn.zeros((1, 2, 2), dtype=pn.float64)
            ),
            DTypeError,
            "_random_samples: expected the data type of the input, float32, got float64",
        ),
    ],
)
def test_bad_input(call: Callable[[Any, Any], Any], error: type[Exception], message: str) -> None:
    x, i = functional.max_pool2d(pn.arange(72.0).reshape(1, 2, 6, 6), 2, return_indices=True)
    with pytest.raises(error, match=message):
        call(x, i)
