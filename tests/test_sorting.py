"""Sorting, searching and sets on every backend: what their samples do not say."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.backend import backend_named
from portanet.errors import DTypeError, MixedBackendError, OptionError, ShapeError
from portanet.ops import searching
from portanet.testing import gradcheck, gradgradcheck
from portanet.testing.samples.sorting import WITHOUT_GRADIENT

UNIQUE = {
    "unique_all": ("values", "indices", "inverse_indices", "counts"),
    "unique_counts": ("values", "counts"),
    "unique_inverse": ("values", "inverse_indices"),
}


def test_names_and_places_of_arguments_are_the_standards() -> None:
    for name, count, options in [
        ("sort", 1, {"axis": -1, "descending": False, "stable": True}),
        ("argsort", 1, {"axis": -1, "descending": False, "stable": True}),
        ("nonzero", 1, {}),
        ("count_nonzero", 1, {"axis": None, "keepdims": False}),
        ("searchsorted", 2, {"side": "left", "sorter": None}),
        ("isin", 2, {"invert": False}),
        ("unique_all", 1, {}),
        ("unique_counts", 1, {}),
        ("unique_inverse", 1, {}),
        ("unique_values", 1, {}),
    ]:
        parameters = inspect.signature(getattr(pn, name)).parameters.values()
        assert [p.kind for p in parameters][:count] == [inspect.Parameter.POSITIONAL_ONLY] * count, name
        assert {p.name: p.default for p in list(parameters)[count:]} == options, name


# Sorting


def test_not_a_number_stands_last_and_in_descending_order_first(backend: str) -> None:
    x = pn.asarray([2.0, pn.nan, -1.0, pn.inf])
    np.testing.assert_array_equal(pn.sort(x).numpy(), np.asarray([-1, 2, np.inf, np.nan], dtype="f4"))
    np.testing.assert_array_equal(
        pn.sort(x, descending=True).numpy(), np.asarray([np.nan, np.inf, 2, -1], dtype="f4")
    )
    assert pn.argsort(x).tolist() == [2, 0, 3, 1]
    assert pn.argsort(x, descending=True).tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("descending", [False, True])
def test_equal_elements_keep_their_order(descending: bool, backend: str, rng: Any) -> None:
    values = rng.integers(0, 5, size=(3, 200))
    order = pn.argsort(pn.asarray(values), axis=1, descending=descending)
    assert order.dtype == pn.int64
    np.testing.assert_array_equal(
        order.numpy(), np.argsort(-values if descending else values, axis=1, stable=True)
    )


@pytest.mark.parametrize("descending", [False, True])
def test_unstable_indices_sort_as_well(descending: bool, backend: str, rng: Any) -> None:
    x = pn.asarray(rng.integers(0, 5, size=(200,)))
    order = pn.argsort(x, descending=descending, stable=False)
    assert sorted(order.tolist()) == list(range(200))
    expected = pn.sort(x, descending=descending, stable=False)
    np.testing.assert_array_equal(x[order].numpy(), expected.numpy())
    np.testing.assert_array_equal(np.sort(x.numpy())[:: -1 if descending else 1], expected.numpy())


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "float32"])
def test_sorting_keeps_the_data_type(dtype: str, backend: str, rng: Any) -> None:
    values = rng.integers(0, 99, size=9).astype(dtype)
    found = pn.sort(pn.asarray(values), descending=True)
    assert found.dtype == getattr(pn, dtype)
    np.testing.assert_array_equal(found.numpy(), np.sort(values)[::-1])


def test_gradients_go_back_to_where_elements_stood(backend: str) -> None:
    weights = pn.asarray([1.0, 2.0, 4.0, 8.0])
    for values, descending, expected in [
        ([3.0, 1.0, 2.0, 0.0], False, [8, 2, 4, 1]),
        ([3.0, 1.0, 2.0, 0.0], True, [1, 4, 2, 8]),
        ([1.0, 1.0, 0.0, 1.0], False, [2, 4, 1, 8]),  # of equal elements the first stays the first
        ([1.0, 1.0, 0.0, 1.0], True, [1, 2, 8, 4]),
    ]:
        x = pn.Tensor(values, requires_grad=True)
        pn.sort(x, descending=descending).backward(weights)
        assert x.grad.tolist() == expected


def test_what_is_sorted_may_be_used_further(eager: str, rng: Any) -> None:
    """A median and a sum of powers of the sorted, to the third order."""
    x = rng.permutation(5) + rng.uniform(-0.2, 0.2, size=5)
    weights = pn.asarray(rng.normal(size=5))

    def function(x: Any) -> Any:
        ordered = pn.sort(x)
        return pn.sum(weights * ordered**3) * ordered[2]

    def slope(x: Any) -> Any:
        return pn.grad(function(x), x, create_graph=True)[0]

    assert gradcheck(function, x)
    assert gradgradcheck(function, x)
    assert gradgradcheck(slope, x)


@pytest.mark.parametrize("name", ["sort", "argsort"])
def test_a_single_number_cannot_be_sorted(name: str, backend: str) -> None:
    with pytest.raises(ShapeError, match=f"{name}: expected an array with at least one axis"):
        getattr(pn, name)(pn.asarray(1.0))
    with pytest.raises(IndexError, match="axis: 2 is out of range for 2 dimensions"):
        getattr(pn, name)(pn.ones((2, 3)), axis=2)


# Searching


def test_nonzero_gives_one_index_array_for_each_axis(backend: str, rng: Any) -> None:
    record = backend_named(backend)
    for values in (
        rng.integers(0, 2, size=7),
        rng.integers(0, 2, size=(2, 3, 4)).astype("float32"),
        rng.integers(0, 2, size=(4, 5)).astype(bool),
        np.asarray([0j, 1j, 2.0, 1 + 1j]),
        np.zeros((0, 3)),
        np.zeros((2, 2)),
    ):
        for x in (pn.asarray(values), record.asarray(values)):
            found = pn.nonzero(x)
            assert type(found) is tuple
            assert len(found) == values.ndim
            for indices, expected in zip(found, np.nonzero(values), strict=True):
                assert isinstance(indices, pn.Tensor) is isinstance(x, pn.Tensor)
                assert pn.asarray(indices).dtype == pn.int64
                np.testing.assert_array_equal(pn.to_host(indices), expected)
    x = pn.Tensor([0.0, 2.0], requires_grad=True)
    assert not pn.nonzero(x)[0].requires_grad
    with pytest.raises(ShapeError, match="nonzero: expected an array with at least one axis"):
        pn.nonzero(pn.asarray(1.0))


def test_nonzero_finds_what_indexing_reads(backend: str) -> None:
    x = pn.Tensor([[0.0, 2.0], [3.0, 0.0]], requires_grad=True)
    found = x[pn.nonzero(x)]
    assert found.tolist() == [2, 3]
    found.sum().backward()
    assert x.grad.tolist() == [[0, 1], [1, 0]]


def test_searching_agrees_with_sorting(backend: str, rng: Any) -> None:
    x = pn.sort(pn.asarray(np.round(rng.uniform(-2, 2, size=30), 1)))
    values = np.round(rng.uniform(-2, 2, size=(4, 5)), 1)
    for side in ("left", "right"):
        places = pn.searchsorted(x, pn.asarray(values), side=side)
        assert places.dtype == pn.int64
        np.testing.assert_array_equal(places.numpy(), np.searchsorted(x.numpy(), values, side))
        # A view with gaps, and one in the order of columns
        again = pn.searchsorted(x, pn.asarray(values)[:, ::2].T, side=side)
        np.testing.assert_array_equal(again.numpy(), places.numpy()[:, ::2].T)


def test_searching_beside_other_types(backend: str) -> None:
    x = pn.asarray([1.0, 2.5, 4.0])
    assert pn.searchsorted(x, pn.asarray([2, 3])).tolist() == [1, 2]
    assert pn.searchsorted(x, 3).tolist() == 2
    assert pn.searchsorted(pn.asarray([1, 2, 3]), pn.asarray([2.5])).tolist() == [2]
    assert pn.searchsorted(pn.asarray([1, 2], dtype=pn.int8), pn.asarray([200])).tolist() == [2]
    with pytest.raises(DTypeError, match=r"searchsorted: the Python number 2\.5 does not fit"):
        pn.searchsorted(pn.asarray([1, 2, 3]), 2.5)


def test_bad_arguments_of_searchsorted(backend: str) -> None:
    x = pn.asarray([1.0, 2.0])
    with pytest.raises(OptionError, match='side: expected "left" or "right", got \'middle\''):
        pn.searchsorted(x, x, side="middle")
    for wrong in (pn.ones((2, 2)), pn.asarray(1.0)):
        with pytest.raises(ShapeError, match="searchsorted: expected a sorted array of one axis"):
            pn.searchsorted(wrong, x)
    with pytest.raises(ShapeError, match="sorter: expected one index for each of 2 elements"):
        pn.searchsorted(x, x, sorter=pn.asarray([0]))
    with pytest.raises(DTypeError, match="searchsorted: x must be a Tensor"):
        pn.searchsorted([1.0, 2.0], x)


def test_numbers_among_elements(backend: str) -> None:
    x = pn.asarray([3, 1, 2])
    assert pn.isin(x, 2).tolist() == [False, False, True]
    assert pn.isin(2, x).tolist() is True
    assert pn.isin(7, x, invert=True).tolist() is True
    assert pn.isin(2, x).shape == ()
    assert pn.isin(pn.asarray([1.0, 2.5]), pn.asarray([1, 2])).tolist() == [True, False]
    with pytest.raises(DTypeError, match="isin: at least one operand must be a Tensor"):
        pn.isin(1, 2)
    with pytest.raises(DTypeError, match=r"isin: the Python number 2\.5 does not fit"):
        pn.isin(x, 2.5)


class WithoutIsin:
    """NumPy, as it would be without ``isin``."""

    def __getattr__(self, name: str) -> Any:
        if name == "isin":
            raise AttributeError(name)
        return getattr(np, name)


def test_a_library_need_not_know_sets(rng: Any) -> None:
    for sample in WITHOUT_GRADIENT[searching.isin]:
        operands = sample.operands(rng)
        found = searching.isin(WithoutIsin(), *operands, **sample.options)[0]
        np.testing.assert_array_equal(found, sample.expected(operands))


# Types that PyTorch hardly computes with


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_unsigned_integers_are_sorted(dtype: str, backend: str, rng: Any) -> None:
    values = rng.integers(0, 5, size=(2, 6)).astype(dtype)
    x = pn.asarray(values)
    for descending in (False, True):
        found = pn.sort(x, descending=descending).numpy()
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, np.sort(values)[:, :: -1 if descending else 1])
        order = pn.argsort(x, descending=descending).numpy()
        expected = np.argsort(-values.astype("int64") if descending else values, axis=-1, stable=True)
        np.testing.assert_array_equal(order, expected)


# Sets


@pytest.mark.parametrize("name", UNIQUE)
def test_distinct_elements(name: str, backend: str, rng: Any) -> None:
    record = backend_named(backend)
    for values in (
        rng.integers(0, 5, size=(2, 3, 4)),
        np.round(rng.normal(size=20), 1),
        rng.integers(0, 2, size=6).astype(bool),
        rng.integers(0, 5, size=9).astype("uint8"),
        np.asarray([1 + 1j, 1 - 1j, 0j, 1 + 1j, 1 - 1j]),
        np.asarray(3.0),
        np.zeros((0, 2)),
    ):
        expected = dict(
            zip(
                ("values", "indices", "inverse_indices", "counts"),
                np.unique(values, return_index=True, return_inverse=True, return_counts=True),
                strict=True,
            )
        )
        expected["inverse_indices"] = expected["inverse_indices"].reshape(values.shape)
        for x in (pn.asarray(values), record.asarray(values)):
            found = getattr(pn, name)(x)
            assert found._fields == UNIQUE[name]
            for field, part in found._asdict().items():
                assert isinstance(part, pn.Tensor) is isinstance(x, pn.Tensor)
                host = pn.to_host(part)
                assert host.dtype == (values.dtype if field == "values" else np.int64), field
                assert host.shape == expected[field].shape, field
                np.testing.assert_array_equal(host, expected[field], err_msg=field)


def test_each_not_a_number_is_one_of_its_own_and_zeros_are_equal(backend: str) -> None:
    x = pn.asarray([0.0, pn.nan, 1.0, -0.0, pn.nan])
    values, indices, inverse, counts = pn.unique_all(x)
    np.testing.assert_array_equal(values.numpy(), np.asarray([0, 1, np.nan, np.nan], dtype="f4"))
    assert indices.tolist() == [0, 2, 1, 4]
    assert inverse.tolist() == [0, 2, 1, 0, 3]
    assert counts.tolist() == [2, 1, 1, 1]
    assert pn.unique_counts(x).counts.tolist() == [2, 1, 1, 1]
    z = pn.asarray([complex(1, np.nan), 1 + 1j, complex(1, np.nan), complex(np.nan, 0), 1 + 1j])
    assert sorted(pn.unique_counts(z).counts.tolist()) == [1, 1, 1, 2]
    assert pn.unique_values(z)[0].item() == 1 + 1j


def test_sets_have_no_gradient(backend: str) -> None:
    x = pn.Tensor([2.0, 1.0, 2.0], requires_grad=True)
    assert not pn.unique_values(x).requires_grad
    for name in UNIQUE:
        assert not any(part.requires_grad for part in getattr(pn, name)(x))


def test_two_libraries_do_not_meet(backend: str) -> None:
    other = "array-api-strict" if backend == "numpy" else "numpy"
    if not any(report.name == other and report.available for report in pn.available_backends()):
        pytest.skip("there is one library only")
    here = pn.asarray([1.0, 2.0])
    there = pn.asarray([1.0, 2.0], device=other)
    for function in (pn.searchsorted, pn.isin, pn.broadcast_arrays, pn.meshgrid):
        with pytest.raises(MixedBackendError, match=function.__name__):
            function(here, there)
    with pytest.raises(MixedBackendError, match="repeat"):
        pn.repeat(here, pn.asarray([1, 2], device=other))
    with pytest.raises(MixedBackendError, match="diff"):
        pn.diff(here, append=there)
