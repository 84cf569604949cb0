"""Functions that make Tensors: arguments of the standard, grids, other libraries' memory, and what is refused."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.backend import backend_named
from portanet.errors import DTypeError, GradientError, OptionError, OverwrittenError, ShapeError

STANDARD = {
    "arange": ["start/", "stop", "step", "*dtype", "*device"],
    "empty": ["shape", "*dtype", "*device"],
    "empty_like": ["x/", "*dtype", "*device"],
    "eye": ["n_rows/", "n_cols/", "*k", "*dtype", "*device"],
    "from_dlpack": ["x/", "*device", "*copy"],
    "full": ["shape", "fill_value", "*dtype", "*device"],
    "full_like": ["x/", "fill_value", "*dtype", "*device"],
    "linspace": ["start/", "stop/", "num", "*dtype", "*device", "*endpoint"],
    "meshgrid": ["arrays...", "*indexing"],
    "ones": ["shape", "*dtype", "*device"],
    "ones_like": ["x/", "*dtype", "*device"],
    "tril": ["x/", "*k"],
    "triu": ["x/", "*k"],
    "zeros": ["shape", "*dtype", "*device"],
    "zeros_like": ["x/", "*dtype", "*device"],
}
"""Arguments by position only are marked with a slash, those by name only with a star."""


@pytest.mark.parametrize("name", STANDARD)
def test_names_and_places_of_arguments_are_the_standards(name: str) -> None:
    marks = {
        "POSITIONAL_ONLY": "{}/",
        "POSITIONAL_OR_KEYWORD": "{}",
        "VAR_POSITIONAL": "{}...",
        "KEYWORD_ONLY": "*{}",
    }
    parameters = inspect.signature(getattr(pn, name)).parameters.values()
    assert [marks[p.kind.name].format(p.name) for p in parameters] == STANDARD[name]


# Data types


def test_complex_ends_give_complex_numbers(backend: str) -> None:
    for start, stop in ((0.0, 1 + 1j), (1j, 2), (0j, 1.0)):
        x = pn.linspace(start, stop, 5)
        assert x.dtype == pn.complex64
        np.testing.assert_allclose(x.numpy(), np.linspace(start, stop, 5), rtol=1e-6)
    assert pn.linspace(0, 1j, 3, dtype=pn.complex128).dtype == pn.complex128
    assert pn.linspace(0, 1, 0).shape == (0,)
    assert pn.linspace(2, 1, 1).tolist() == [2]
    for wrong in (-1, 2.5):
        with pytest.raises(OptionError, match="num: expected a whole number of at least 0"):
            pn.linspace(0, 1, wrong)


def test_ones_of_every_type(backend: str) -> None:
    for dtype in (pn.bool, pn.int8, pn.uint8, pn.int64, pn.float64, pn.complex64):
        for x in (
            pn.ones((2,), dtype=dtype),
            pn.full((2,), True, dtype=dtype),
            pn.full_like(pn.zeros((2,), dtype=dtype), True),
            pn.eye(2, 1, dtype=dtype)[:, 0] + pn.eye(2, 1, k=-1, dtype=dtype)[:, 0]
            if dtype != pn.bool
            else pn.ones_like(pn.zeros((2,), dtype=dtype)),
        ):
            assert x.dtype == dtype
            assert x.tolist() == [1, 1]


def test_a_value_must_fit_its_type(backend: str) -> None:
    for value, dtype in ((0.5, pn.int64), (1j, pn.float32), (2, pn.bool)):
        with pytest.raises(
            DTypeError, match=f"full: the Python number .* does not fit the data type {dtype.name}"
        ):
            pn.full((2,), value, dtype=dtype)
        with pytest.raises(DTypeError, match="full_like: the Python number"):
            pn.full_like(pn.zeros((2,), dtype=dtype), value)
        with pytest.raises(DTypeError, match="full_like: the Python number"):
            pn.full_like(pn.ones((2,)), value, dtype=dtype)
    assert pn.full_like(pn.asarray([1, 2]), 0.5, dtype=pn.float32).tolist() == [0.5, 0.5]
    assert pn.full_like(pn.ones((2,)), np.float64(0.1)).dtype == pn.float32


def test_ranges(backend: str) -> None:
    for arguments in ((5,), (2, 5), (5, 2), (5, 2, -1), (0, 1, 0.25), (2.5,), (1, 6, 2), (0, 5, -1), (-2,)):
        x = pn.arange(*arguments)
        integers = all(isinstance(argument, int) for argument in arguments)
        assert x.dtype == (pn.int64 if integers else pn.float32)
        np.testing.assert_allclose(x.numpy(), np.arange(*arguments), rtol=1e-6)
    assert pn.arange(1, stop=4, step=2).tolist() == [1, 3]


def test_diagonals(backend: str) -> None:
    for rows, columns, k in ((3, None, 0), (2, 4, 1), (4, 2, -1), (2, 2, 5), (0, 3, 0), (3, 3, -2)):
        np.testing.assert_array_equal(
            pn.eye(rows, columns, k=k).numpy(), np.eye(rows, columns, k, dtype="f4")
        )


def test_triangles_of_wide_and_tall_matrices(backend: str, rng: Any) -> None:
    values = rng.normal(size=(2, 3, 4))
    for k in (-4, -1, 0, 2, 5):
        for name in ("tril", "triu"):
            for part in (values, np.swapaxes(values, 1, 2)):
                found = getattr(pn, name)(pn.asarray(part), k=k)
                np.testing.assert_array_equal(found.numpy(), getattr(np, name)(part, k))


# Grids


def test_a_grid_reads_as_pictures_do_or_as_matrices_do(backend: str) -> None:
    x, y = pn.asarray([1.0, 2.0, 3.0]), pn.asarray([10, 20])
    across, down = pn.meshgrid(x, y)
    assert across.tolist() == [[1, 2, 3], [1, 2, 3]]
    assert down.tolist() == [[10, 10, 10], [20, 20, 20]]
    assert (across.dtype, down.dtype) == (pn.float32, pn.int64)
    first, second = pn.meshgrid(x, y, indexing="ij")
    np.testing.assert_array_equal(first.numpy(), across.numpy().T)
    np.testing.assert_array_equal(second.numpy(), down.numpy().T)


def test_the_gradient_of_a_grid_is_the_sum_over_its_points(backend: str) -> None:
    x, y = pn.Tensor([1.0, 2.0], requires_grad=True), pn.Tensor([3.0, 4.0, 5.0], requires_grad=True)
    across, down = pn.meshgrid(x, y)
    (across * down).sum().backward()
    assert x.grad.tolist() == [12, 12]
    assert y.grad.tolist() == [3, 3, 3]


def test_bad_arguments_of_meshgrid(backend: str) -> None:
    with pytest.raises(OptionError, match='indexing: expected "xy" or "ij", got \'yx\''):
        pn.meshgrid(pn.ones((2,)), indexing="yx")
    for wrong in (pn.ones((2, 2)), pn.asarray(1.0)):
        with pytest.raises(ShapeError, match="meshgrid: expected arrays with one axis"):
            pn.meshgrid(pn.ones((2,)), wrong)
    with pytest.raises(DTypeError, match="meshgrid: argument 1 must be a Tensor or an array"):
        pn.meshgrid([1.0, 2.0])


# Memory of others


def test_arrays_of_other_libraries_come_to_the_backend_in_use(backend: str, rng: Any) -> None:
    if pn.default_device().is_accelerator:
        pytest.skip("the other libraries' arrays are on the host")
    values = rng.normal(size=(2, 3))
    for report in pn.available_backends():
        if not report.available or report.name == "cupy":
            continue
        array = backend_named(report.name).asarray(values)
        for copy in (None, True):
            x = pn.from_dlpack(array, copy=copy)
            assert isinstance(x, pn.Tensor)
            assert (x.device, x.dtype) == (pn.default_device(), pn.float64)
            np.testing.assert_array_equal(x.numpy(), values)


def test_memory_is_shared_where_that_is_possible(backend: str) -> None:
    record = backend_named(backend)
    if not record.writable:
        pytest.skip("these arrays never change")
    raw = record.asarray(np.zeros(3), copy=True)
    shared, copied = pn.from_dlpack(raw), pn.from_dlpack(raw, copy=True)
    # Old releases of array-api-strict cannot promise it.
    promised = shared if backend == "array-api-strict" else pn.from_dlpack(raw, copy=False)
    raw[0] = 7.0
    assert shared.tolist() == promised.tolist() == [7, 0, 0]
    assert copied.tolist() == [0, 0, 0]


def test_a_tensor_stays_with_its_backend(backend: str) -> None:
    x = pn.asarray([1.0, 2.0])
    with pn.use_backend("numpy"):
        assert pn.from_dlpack(x).device == x.device
        assert pn.from_dlpack(x, copy=True).device == x.device
        moved = pn.from_dlpack(x, device="numpy")
    assert moved.device == pn.Device("numpy", "cpu")
    assert moved.tolist() == [1, 2]
    assert pn.from_dlpack(moved, device=x.device).device == x.device


def test_a_tensor_from_a_tensor_shares_its_version(backend: str) -> None:
    for copy in (None, True):
        layer = pn.nn.Linear(1, 2)
        factor = pn.from_dlpack(layer.bias.detach(), copy=copy)
        y = (pn.Tensor(1.0, requires_grad=True) * factor).sum()
        layer.load_state_dict(layer.state_dict())
        if copy:
            y.backward()
        else:
            with pytest.raises(OverwrittenError):
                y.backward()


def test_bad_arguments_of_from_dlpack(backend: str) -> None:
    with pytest.raises(
        AttributeError, match=r"x: expected an object with __dlpack__, got list\. Use portanet"
    ):
        pn.from_dlpack([1.0, 2.0])
    for x in (pn.Tensor([1.0], requires_grad=True), pn.Tensor([1.0], requires_grad=True) * 2.0):
        with pytest.raises(GradientError, match="detach"):
            pn.from_dlpack(x)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (["a", "b"], DTypeError, r"obj\[0\] is 'a', of type str"),
        ([[1.0], ["x" * 90]], DTypeError, r"obj\[1\]\[0\] is 'x+ \.\.\., of type str"),
        (None, DTypeError, r"obj is None, of type NoneType"),
        ({1: 2}, DTypeError, r"obj is \{1: 2\}, of type dict"),
        ([1, [2, 3]], ShapeError, r"obj\[0\] is a number, obj\[1\] is a list of 2"),
        ([[1, 2], (3, 4), [5]], ShapeError, r"obj\[0\] is a list of 2, obj\[2\] is a list of 1"),
        ([2, 2**80], DTypeError, r"obj\[1\] is too large for 64 bits"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused_with_its_place(
    backend: str, value: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"obj: expected numbers, nested lists .*; {message}"):
        pn.asarray(value)
    with pytest.raises(error, match=message):
        pn.Tensor(value)


def test_arrays_of_strings_are_refused(backend: str) -> None:
    for array in (np.asarray(["a"]), np.asarray([None, 1.0], dtype=object)):
        with pytest.raises(TypeError):
            pn.asarray(array)
