"""Reading and replacing parts of a Tensor, with every kind of index; gradients of both."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.backend import backend_named
from portanet.errors import DTypeError, MixedBackendError
from portanet.testing import gradcheck, gradgradcheck

KEYS: dict[str, Any] = {
    "integer": (1, ...),
    "negative integer": (-1, ...),
    "last axis": (..., 1),
    "all integers": (1, 2, 0),
    "slice": (slice(1, 3), ...),
    "slice with a step": (slice(None), slice(0, 3, 2), ...),
    "backwards": (slice(None, None, -1), ...),
    "backwards by two": (slice(3, 0, -2), slice(None, None, -1), 1),
    "empty slice": (slice(2, 2), ...),
    "new axis": (None, ..., None),
    "new axis inside": (slice(None), None, 1, slice(None)),
    "ellipsis": ...,
    "everything": (1, None, slice(0, 2), ...),
}
ARRAY_KEYS: dict[str, Any] = {
    "integer array": np.asarray([2, 0]),
    "duplicates": np.asarray([1, 1, 3, 1]),
    "negative": np.asarray([-1, 0, -4]),
    "of two axes": np.asarray([[0, 1], [3, 3]]),
    "none at all": np.asarray([], dtype=np.int64),
    "pairs": (np.asarray([0, 3, 3]), np.asarray([2, 1, 1])),
    "pairs that broadcast": (np.asarray([[0], [3]]), np.asarray([2, 2, 0])),
    "pairs with a number": (np.asarray([0, 3, 3]), 1),
    "triples": (np.asarray([0, 3]), np.asarray([2, 2]), np.asarray([1, 1])),
    "mask": np.arange(24).reshape(4, 3, 2) % 5 == 0,
    "mask of none": np.zeros((4, 3, 2), dtype=bool),
    "mask of all": np.ones((4, 3, 2), dtype=bool),
}
EVERY_KEY = {**KEYS, **ARRAY_KEYS}


def lifted(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(lifted(part) for part in key)
    return pn.asarray(key) if isinstance(key, np.ndarray) else key


def native(key: Any, backend: str) -> Any:
    if isinstance(key, tuple):
        return tuple(native(part, backend) for part in key)
    return backend_named(backend).asarray(key) if isinstance(key, np.ndarray) else key


@pytest.mark.parametrize("name", EVERY_KEY)
def test_reading(name: str, backend: str, rng: Any) -> None:
    key, values = EVERY_KEY[name], rng.normal(size=(4, 3, 2))
    x = pn.Tensor(values, requires_grad=True)
    for index in (lifted(key), native(key, backend)):
        found = x[index]
        assert found.requires_grad
        np.testing.assert_array_equal(found.detach().numpy(), values[key])
    cotangent = rng.normal(size=values[key].shape)
    found.backward(pn.asarray(cotangent))
    expected = np.zeros_like(values)
    np.add.at(expected, key, cotangent)  # what is read twice gets both gradients
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("name", EVERY_KEY)
def test_reading_has_a_second_gradient(name: str, rng: Any) -> None:
    for backend in ("numpy", "array-api-strict"):
        with pn.use_backend(backend):
            key = lifted(EVERY_KEY[name])

            def function(x: pn.Tensor, key: Any = key) -> pn.Tensor:
                return x[key] ** 2

            assert gradcheck(function, rng.normal(size=(4, 3, 2)), projections=1)
            assert gradgradcheck(function, rng.normal(size=(4, 3, 2)), projections=1)


@pytest.mark.parametrize("name", EVERY_KEY)
def test_replacing(name: str, backend: str, rng: Any) -> None:
    """By an array, by one that broadcasts, and by a number; with the gradients of old and new."""
    key, values = EVERY_KEY[name], rng.normal(size=(4, 3, 2))
    arrays = key if isinstance(key, tuple) else (key,)
    if any(isinstance(part, np.ndarray) and part.dtype != bool for part in arrays):
        if backend == "array-api-strict":  # the standard has no assignment by integer arrays
            with pytest.raises(IndexError):
                pn.asarray(values)[lifted(key)] = 0.0
            return
        shape = values[key].shape
        if np.unique(np.arange(24).reshape(4, 3, 2)[key]).size < np.prod(shape):
            return  # which of two values written to one place stays is not defined
    if backend == "array-api-strict" and any(part is None for part in arrays):
        return  # nor has it new axes in assignment
    for shape in {values[key].shape, values[key].shape[-1:] if values[key].ndim else (), ()}:
        if isinstance(key, np.ndarray) and key.dtype == bool and shape not in ((), values[key].shape):
            continue
        new = rng.normal(size=shape)
        x, v = pn.Tensor(values, requires_grad=True), pn.Tensor(new, requires_grad=True)
        y = x * 1.0
        y[lifted(key)] = v
        expected = values.copy()
        expected[key] = new
        np.testing.assert_array_equal(y.detach().numpy(), expected)
        cotangent = rng.normal(size=values.shape)
        y.backward(pn.asarray(cotangent))
        of_x = cotangent.copy()
        of_x[key] = 0
        np.testing.assert_array_equal(x.grad.numpy(), of_x)
        spread = np.broadcast_to(new, values[key].shape)
        axes = tuple(range(spread.ndim - new.ndim)) + tuple(
            axis + spread.ndim - new.ndim
            for axis, size in enumerate(new.shape)
            if size == 1 and spread.shape[axis + spread.ndim - new.ndim] != 1
        )
        of_v = np.sum(cotangent[key], axis=axes, keepdims=True).reshape(new.shape)
        np.testing.assert_allclose(v.grad.numpy(), of_v, rtol=1e-13, atol=1e-13)
    z = pn.asarray(values)
    z[native(key, backend)] = 7.0
    expected[key] = 7.0
    np.testing.assert_array_equal(z.numpy()[key], expected[key])


def test_replacing_leaves_everyone_else_alone(backend: str, rng: Any) -> None:
    values = rng.normal(size=(4, 3))
    source = values.copy()
    x = pn.asarray(source)
    view, detached, alias = x[1:, :], x.detach(), x
    x[1, ...] = 0.0
    assert alias is x
    np.testing.assert_array_equal(x.numpy()[1], [0] * 3)
    for other in (view.numpy(), detached.numpy()[1:], source[1:]):
        np.testing.assert_array_equal(other, values[1:])
    view[0, ...] = 5.0
    np.testing.assert_array_equal(x.numpy()[1], [0] * 3)


def test_replacing_takes_lists_numbers_and_scalars(backend: str) -> None:
    x = pn.zeros((2, 3))
    x[0, ...] = [1, 2.5, 3]
    x[1, 0] = np.float64(4.5)
    x[1, 1] = 7
    x[1, 2] = True
    assert x.tolist() == [[1.0, 2.5, 3.0], [4.5, 7.0, 1.0]]
    assert x.dtype == pn.float32
    precise = pn.zeros((2,), dtype=pn.float64)
    precise[:] = [0.1, 0.2]
    assert precise.tolist() == [0.1, 0.2]
    flags = pn.asarray([True, False])
    flags[1] = True
    assert flags.tolist() == [True, True]


def test_replacing_never_loses_fractions(backend: str) -> None:
    x = pn.asarray([1, 2, 3])
    tracked = pn.Tensor([1.5], requires_grad=True)
    for value in (0.5, [0.5, 1.5], np.float64(0.5), pn.asarray(0.5), tracked[0], np.asarray(0.5)[()]):
        with pytest.raises(DTypeError, match=r"int64|does not fit"):
            x[:2] = value
    assert x.tolist() == [1, 2, 3]
    assert not x.requires_grad


def test_replacing_with_itself(backend: str, rng: Any) -> None:
    values = rng.normal(size=4)
    x = pn.Tensor(values, requires_grad=True)
    y = x * 1.0
    y[:] = y[::-1]
    np.testing.assert_array_equal(y.detach().numpy(), values[::-1])
    y[1:] = y[:-1]
    np.testing.assert_array_equal(y.detach().numpy(), values[::-1][[0, 0, 1, 2]])
    y.backward(pn.asarray([1.0, 10.0, 100.0, 1000.0], dtype=pn.float64))
    np.testing.assert_array_equal(x.grad.numpy(), [0.0, 1000.0, 100.0, 11.0])


def test_replacing_many_times_is_differentiable_twice(backend: str, rng: Any) -> None:
    def function(x: pn.Tensor, v: pn.Tensor) -> pn.Tensor:
        y = pn.zeros((3, 3), dtype=pn.float64)
        for i in range(3):
            y[i, i] = x[i] * v[i]
            y[i, ...] = y[i, ...] * y[i, i] + v
        y[y > 1e9] = 0.0
        return y

    assert gradcheck(function, (rng.normal(size=3), rng.normal(size=3)), projections=1)
    assert gradgradcheck(function, (rng.normal(size=3), rng.normal(size=3)), projections=1)


def test_a_part_can_be_changed_in_place(backend: str) -> None:
    x = pn.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 1.0
    y[0] += x[2]
    y[1:] *= 10.0
    assert y.tolist() == [4.0, 20.0, 30.0]
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 10.0, 11.0]


def test_an_infinite_gradient_stays_in_its_row() -> None:
    """On the backend that everyone starts with: infinity times the zeros of other rows would be NaN."""
    with pn.use_backend("numpy"):
        x = pn.Tensor(np.zeros((4, 2)), requires_grad=True)
        x[[0, 2, 0]].backward(pn.asarray([[np.inf, 1.0], [1.0, 1.0], [1.0, 1.0]], dtype=pn.float64))
        np.testing.assert_array_equal(x.grad.numpy(), [[np.inf, 2], [0, 0], [1, 1], [0, 0]])


def test_the_gradient_of_a_few_rows_of_a_long_table_takes_little_memory() -> None:
    """An embedding's gradient; a matrix of zeros and ones, a row for each place, would take 160 MB here."""
    with pn.use_backend("numpy"):
        table = pn.zeros((20_000, 2)).requires_grad_()
        rows = np.arange(2_000) * 7
        tracemalloc.start()
        try:
            table[pn.asarray(rows)].sum().backward()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 5e6
        assert table.grad.numpy().sum() == 4_000.0
        assert table.grad.numpy()[rows].min() == 1.0


def test_masked_replacement_cuts_the_gradient(backend: str) -> None:
    x = pn.Tensor([-1.0, 2.0, -3.0], requires_grad=True)
    y = x * 2.0
    y[y < 0] = 0.0
    y.sum().backward()
    assert y.tolist() == [0.0, 4.0, 0.0]
    assert x.grad.tolist() == [0.0, 2.0, 0.0]


# Kinds of index that are no arrays, and what is refused


def test_numbers_of_any_kind_are_indices(backend: str, rng: Any) -> None:
    values = rng.normal(size=5)
    x = pn.asarray(values)
    three = pn.asarray(3)
    for key in (3, np.int64(3), np.int8(3), three, three.data):
        assert x[key].shape == ()
        assert x[key].item() == values[3]
    start, stop = pn.asarray(1), np.int64(4)
    np.testing.assert_array_equal(x[start:stop].numpy(), values[1:4])
    np.testing.assert_array_equal(x[:: np.int32(2)].numpy(), values[::2])
    y = pn.asarray(values)
    y[np.int64(2)] = 0.0
    assert y.numpy()[2] == 0.0


def test_lists_are_indices(backend: str, rng: Any) -> None:
    values = rng.normal(size=(4, 3))
    x = pn.asarray(values)
    np.testing.assert_array_equal(x[[0, 2, 0]].numpy(), values[[0, 2, 0]])
    np.testing.assert_array_equal(x[[0, 2], [1, 1]].numpy(), values[[0, 2], [1, 1]])
    assert x[[]].shape == (0, 3)
    np.testing.assert_array_equal(x[:, 0][[True, False, True, False]].numpy(), values[[0, 2], 0])


def test_a_list_goes_where_the_tensor_is(rng: Any) -> None:
    """Not to the backend in use."""
    for report in pn.available_backends():
        if report.available and report.name not in ("numpy", "cupy"):
            x = pn.asarray(rng.normal(size=4), device=report.devices[0])
            assert x[[0, 2]].device == report.devices[0]


def test_an_index_of_another_library_is_refused(rng: Any) -> None:
    torch = pytest.importorskip("torch", reason="the other library is PyTorch")
    x = pn.asarray(rng.normal(size=4))
    for key in (torch.tensor([0, 1]), torch.tensor([True, False, True, False]), (torch.tensor([0, 1]),)):
        with pytest.raises(MixedBackendError, match=r"numpy.*torch"):
            x[key]


def test_arrays_mixed_with_slices_are_refused(backend: str, rng: Any) -> None:
    """The standard has no such index; libraries differ in where its axes go."""
    x = pn.asarray(rng.normal(size=(4, 3, 2)))
    index = pn.asarray([0, 1])
    for key in ((slice(None), index), (index, None), (index, ...), (index, slice(0, 2))):
        with pytest.raises(IndexError):
            x[key]


def test_floats_are_no_indices(backend: str, rng: Any) -> None:
    x = pn.asarray(rng.normal(size=4))
    for key in (1.0, pn.asarray([0.0, 1.0]), "a", slice(0.0, 2.0)):
        with pytest.raises((IndexError, TypeError)):
            x[key]


def test_too_many_indices(backend: str, rng: Any) -> None:
    x = pn.asarray(rng.normal(size=(4, 3)))
    for key in ((0, 0, 0), (0, 0, 0, ...), (pn.asarray([0]), pn.asarray([0]), pn.asarray([0]))):
        with pytest.raises(IndexError):
            x[key]


def test_a_mask_of_the_wrong_shape(backend: str, rng: Any) -> None:
    x = pn.asarray(rng.normal(size=(4, 3)))
    with pytest.raises((IndexError, TypeError)):
        x[pn.ones((2, 3), dtype=pn.bool)]


@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (0, 0)])
def test_a_mask_may_have_an_axis_of_length_zero(shape: tuple[int, ...], backend: str, rng: Any) -> None:
    """The standard lets it stand for one that is false everywhere."""
    values = rng.normal(size=(4, 3))
    x = pn.Tensor(values, requires_grad=True)
    nothing = pn.zeros(shape, dtype=pn.bool)
    found = x[nothing]
    assert found.shape == (0,)
    found.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.zeros((4, 3)))
    y = pn.asarray(values)
    y[nothing] = 7.0
    np.testing.assert_array_equal(y.numpy(), values)


# The functions


def test_index_add_of_raw_arrays_and_tensors(backend: str, rng: Any) -> None:
    x, v = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    indices = np.asarray([0, 3, 3, -1, 0])
    expected = x.copy()
    np.add.at(expected, indices, v)
    found = pn.index_add(pn.asarray(x), pn.asarray(indices), pn.asarray(v), axis=0)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14)


@pytest.mark.parametrize("index", [4, -5])
def test_an_index_beyond_the_axis_is_refused_by_index_add(index: int, rng: Any) -> None:
    """JAX, which does not read values, adds nothing there."""
    for backend in ("numpy", "array-api-strict"):
        with pn.use_backend(backend), pytest.raises(IndexError):
            pn.index_add(pn.zeros((4, 3)), pn.asarray([index]), pn.ones((1, 3)), axis=0)


def test_take_needs_an_axis_beyond_one_dimension(backend: str, rng: Any) -> None:
    x = pn.asarray(rng.normal(size=(4, 3)))
    with pytest.raises(ValueError, match="axis"):
        pn.take(x, pn.asarray([0]))
