"""Tensor: what it is, how values get in and out, its operators, and what it refuses."""

from __future__ import annotations

import copy
import gc
import inspect
import threading
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn
from portanet.backend import backend_named
from portanet.errors import DeviceError, DTypeError, GradientError, MixedBackendError, ShapeError
from portanet.tensor import Tensor

FLOATS = (pn.float32, pn.float64)


def values_of(x: Tensor) -> Any:
    return x.detach().numpy()


def other_backend(backend: str) -> str:
    if backend != "numpy":
        return "numpy"
    names = [report.name for report in pn.available_backends() if report.available and report.name != backend]
    return next(name for name in names if name != "cupy")


# Making one


def test_default_types(backend: str) -> None:
    for value, dtype in [
        (1.5, pn.float32),
        (1, pn.int64),
        (True, pn.bool),
        ([1.0, 2.0], pn.float32),
        ([[1, 2], [3, 4]], pn.int64),
        ([True, False], pn.bool),
        ((0.5, 1), pn.float32),
        ([], pn.float32),
        (1j, pn.complex64),
    ]:
        for made in (pn.asarray(value), Tensor(value)):
            assert made.dtype == dtype, value
            np.testing.assert_array_equal(made.numpy(), np.asarray(value).astype(dtype.name))


@pytest.mark.parametrize("name", ["float32", "float64", "int64", "int32", "uint8", "bool"])
def test_arrays_keep_their_type(name: str, backend: str) -> None:
    array = np.asarray([0, 1, 2]).astype(name)
    native = backend_named(backend).asarray(array)
    for given in (array, native, array[0]):
        assert pn.asarray(given).dtype == getattr(pn, name)
        assert Tensor(given).dtype == getattr(pn, name)


def test_a_type_may_be_asked_for(backend: str) -> None:
    assert pn.asarray([1, 2], dtype=pn.float64).dtype == pn.float64
    assert pn.asarray([0.1], dtype=pn.float64).numpy()[0] == 0.1  # not rounded to single precision on the way
    assert Tensor(np.asarray([1.5]), dtype=pn.float32).dtype == pn.float32
    for wrong in (float, "float32", "float"):
        with pytest.raises(DTypeError, match=r"dtype: expected.*portanet\.float32"):
            pn.zeros((2,), dtype=wrong)


def test_tensor_copies_and_asarray_shares(rng: Any) -> None:
    values = rng.normal(size=3)
    with pn.use_backend("numpy"):
        copied, shared = Tensor(values), pn.asarray(values)
        forced = pn.asarray(values, copy=True)
        before = values.copy()
        values[:] = 0
        np.testing.assert_array_equal(copied.numpy(), before)
        np.testing.assert_array_equal(forced.numpy(), before)
        np.testing.assert_array_equal(shared.numpy(), [0] * 3)


def test_a_copy_that_is_forbidden_is_refused(backend: str, rng: Any) -> None:
    with pytest.raises(ValueError, match="copy"):
        pn.asarray(rng.normal(size=3), dtype=pn.float32, copy=False)


def test_asarray_of_a_tensor(backend: str, rng: Any) -> None:
    x = Tensor(rng.normal(size=3), requires_grad=True)
    assert pn.asarray(x) is x
    same = pn.asarray(x, dtype=pn.float32)
    assert same.requires_grad
    (same * 2.0).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2.0] * 3)
    twin = pn.asarray(x, copy=True)
    assert twin is not x
    assert twin.requires_grad


def test_a_tensor_of_a_tensor_is_a_leaf_of_its_own(rng: Any) -> None:
    x = Tensor(rng.normal(size=3), requires_grad=True)
    y = Tensor(x)
    assert not y.requires_grad
    z = Tensor(x * 2.0, requires_grad=True)
    assert z.is_leaf
    z.sum().backward()
    assert x.grad is None


def test_what_torch_tracks_itself_comes_in_without_its_history() -> None:
    torch = pytest.importorskip("torch", reason="its tensors have a history of their own")
    with pn.use_backend("torch", strict=True):
        tracked = torch.ones(3, requires_grad=True)
        for x in (pn.asarray(tracked), Tensor(tracked), pn.asarray(tracked * 2.0)):
            assert not x.data.requires_grad
            assert not x.requires_grad
            (x * 2.0).numpy()


def test_a_sequence_of_tensors_is_sent_to_stack(backend: str) -> None:
    for parts in ([pn.ones((2,)), pn.ones((2,))], [[pn.ones(())]]):
        with pytest.raises(DTypeError, match=r"portanet\.stack"):
            pn.asarray(parts)


@pytest.mark.parametrize("nonsense", ["text", {"a": 1}, None, object(), [[1, 2], [3]]])
def test_nonsense_is_refused(nonsense: Any, backend: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        pn.asarray(nonsense)


# What it is


def test_attributes(backend: str, rng: Any) -> None:
    x = pn.asarray(rng.normal(size=(2, 3, 4)))
    assert x.shape == (2, 3, 4)
    assert type(x.shape) is tuple
    assert (x.ndim, x.size, len(x)) == (3, 24, 2)
    assert x.dtype == pn.float64
    assert x.device == backend_named(backend).devices()[0]
    assert isinstance(x.data, backend_named(backend).array_types()[0])
    assert pn.asarray(3.0).shape == ()
    assert pn.zeros((0, 3)).size == 0
    assert x.__array_namespace__() is pn
    assert x.__array_namespace__(api_version="2024.12") is pn
    assert not hasattr(x, "__dict__")


def test_transposes(backend: str, rng: Any) -> None:
    values = rng.normal(size=(2, 3, 4))
    x = pn.asarray(values)
    np.testing.assert_array_equal(x.mT.numpy(), values.mT)
    np.testing.assert_array_equal(x[0, ...].T.numpy(), values[0].T)
    np.testing.assert_array_equal(x[0, ...].t().numpy(), values[0].T)
    np.testing.assert_array_equal(x[0, 0, :].t().numpy(), values[0, 0])
    for wrong in (x, x[0, 0, :]):
        with pytest.raises(ShapeError, match="2 axes"):
            _ = wrong.T


def test_requires_grad_can_be_set_on_leaves_alone(backend: str) -> None:
    x = pn.ones((2,))
    assert not x.requires_grad
    assert x.requires_grad_() is x
    assert x.requires_grad
    assert x.is_leaf
    x.requires_grad = False
    assert not x.requires_grad
    x.requires_grad = True
    y = x * 2.0
    assert not y.is_leaf
    assert y.requires_grad_() is y
    with pytest.raises(GradientError, match="detach"):
        y.requires_grad_(False)
    for dtype in (pn.int64, pn.bool):
        with pytest.raises(DTypeError, match=dtype.name):
            pn.zeros((2,), dtype=dtype).requires_grad_()
        with pytest.raises(DTypeError, match=dtype.name):
            Tensor([1, 0], dtype=dtype, requires_grad=True)


def test_grad_can_be_set_to_what_fits(backend: str) -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    x.grad = pn.asarray([3.0, 4.0])
    (x * 1.0).sum().backward()
    assert x.grad.tolist() == [4.0, 5.0]
    x.grad = None
    assert x.grad is None
    for wrong in (pn.ones((3,)), pn.ones((2,), dtype=pn.float64)):
        with pytest.raises(ShapeError, match="grad: expected"):
            x.grad = wrong
    with pytest.raises(TypeError, match="grad"):
        x.grad = 2.0


# Copies


def test_detach_clone_and_deepcopy(backend: str, rng: Any) -> None:
    x = Tensor(rng.normal(size=3), requires_grad=True)
    (x * 3.0).sum().backward()
    detached = x.detach()
    assert not detached.requires_grad
    assert detached.grad is None
    np.testing.assert_array_equal(detached.numpy(), values_of(x))

    cloned = x.clone()
    assert cloned.requires_grad
    assert not cloned.is_leaf
    x.grad = None
    (cloned * 5.0).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [5.0] * 3)

    twin = copy.deepcopy(x)
    assert twin.is_leaf
    assert twin.requires_grad
    np.testing.assert_array_equal(twin.grad.numpy(), x.grad.numpy())
    (twin * 7.0).sum().backward()
    np.testing.assert_array_equal(twin.grad.numpy(), [12.0] * 3)
    np.testing.assert_array_equal(x.grad.numpy(), [5.0] * 3)
    with pytest.raises(GradientError, match="detach"):
        copy.deepcopy(x * 2.0)


def test_deepcopy_keeps_shared_tensors_shared(rng: Any) -> None:
    x = nn.Parameter(rng.normal(size=3))
    first, second = copy.deepcopy([x, x])
    assert first is second
    assert type(first) is nn.Parameter


def test_a_clone_does_not_share_memory(backend: str, rng: Any) -> None:
    values = rng.normal(size=3)
    before = values.copy()
    clone = pn.asarray(values).clone()
    deep = copy.deepcopy(pn.asarray(values))
    values[:] = 0
    np.testing.assert_array_equal(clone.numpy(), before)
    np.testing.assert_array_equal(deep.numpy(), before)


# Out of it


def test_item_and_tolist(backend: str) -> None:
    for value in (1.5, 3, True):
        assert pn.asarray(value).item() == value
        assert type(pn.asarray(value).item()) is type(value)
        assert pn.asarray([[value]]).item() == value
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert pn.asarray(2.5).tolist() == 2.5
    assert x.sum().item() == 10.0
    for wrong in (x, pn.zeros((0,))):
        with pytest.raises(ShapeError, match="single number"):
            wrong.item()


def test_conversion_to_python_numbers(backend: str) -> None:
    assert float(pn.asarray(2.5)) == 2.5
    assert int(pn.asarray(2.5)) == 2
    assert complex(pn.asarray(2.5)) == 2.5 + 0j
    assert bool(pn.asarray(1.0))
    assert not bool(pn.asarray([0]))
    assert [10, 20, 30][pn.asarray(1)] == 20
    assert list(range(pn.asarray(3))) == [0, 1, 2]
    assert f"{pn.asarray(1.23456):.2f}" == "1.23"
    assert f"{pn.asarray([1.0])}" == repr(pn.asarray([1.0]))
    with pytest.raises(TypeError):
        [10, 20][pn.asarray(1.0)]
    for convert in (float, int, bool, complex):
        with pytest.raises(ShapeError, match=r"single number.*\(2,\).*\.any\(\)"):
            convert(pn.asarray([1.0, 2.0]))
    with pytest.raises(ShapeError):
        f"{pn.asarray([1.0, 2.0]):.2f}"


def test_numpy_is_a_read_only_view(backend: str, rng: Any) -> None:
    x = pn.asarray(rng.normal(size=(2, 3)))
    host = x.numpy()
    assert type(host) is np.ndarray
    with pytest.raises(ValueError, match="read-only"):
        host[0, 0] = 1.0
    tracked = Tensor([1.0], requires_grad=True)
    for wrong in (tracked, tracked * 2.0):
        with pytest.raises(GradientError, match=r"detach\(\)\.numpy"):
            wrong.numpy()
    assert tracked.detach().numpy().tolist() == [1.0]


def test_numpy_of_the_users_array_leaves_it_writable(rng: Any) -> None:
    values = rng.normal(size=3)
    with pn.use_backend("numpy"):
        pn.asarray(values).numpy()
    values[0] = 1.0


def test_the_array_protocol(backend: str, rng: Any) -> None:
    x = pn.asarray(rng.normal(size=(2, 3)))
    np.testing.assert_array_equal(np.asarray(x), x.numpy())
    assert np.asarray(x, dtype="float32").dtype == np.float32
    copied = np.array(x)
    copied[0, 0] = 99.0
    assert x.numpy()[0, 0] != 99.0
    assert np.asarray(pn.asarray(1.5)).shape == ()
    with pytest.raises(ValueError, match="copy"):
        np.asarray(x, dtype="float32", copy=False)
    with pytest.raises(GradientError, match="detach"):
        np.asarray(Tensor([1.0], requires_grad=True))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8"])
def test_dlpack_into_numpy(dtype: str, backend: str) -> None:
    x = pn.asarray(np.asarray([[1, 2], [3, 4]]).astype(dtype))
    found = np.from_dlpack(x)
    np.testing.assert_array_equal(found, x.numpy())
    assert found.dtype.name == dtype
    assert x.__dlpack_device__()[0] == 1  # kDLCPU
    with pytest.raises(GradientError, match="detach"):
        np.from_dlpack(Tensor([1.0], requires_grad=True))


def test_dlpack_into_torch(backend: str, rng: Any) -> None:
    torch = pytest.importorskip("torch", reason="it is the receiver")
    x = pn.asarray(rng.normal(size=(2, 3)))
    found = torch.from_dlpack(x)
    np.testing.assert_array_equal(found.numpy(), x.numpy())


def test_dlpack_of_what_backward_leaves(backend: str, rng: Any) -> None:
    """A gradient may be a view that repeats one number; what receives it must get all of them."""
    x = Tensor(rng.normal(size=(2, 3)), requires_grad=True)
    x.sum().backward()
    np.testing.assert_array_equal(np.from_dlpack(x.grad), np.ones((2, 3)))
    torch = pytest.importorskip("torch", reason="it is the receiver")
    np.testing.assert_array_equal(torch.from_dlpack(x.grad).numpy(), np.ones((2, 3)))


# repr


def test_repr(backend: str) -> None:
    device = pn.asarray(0.0).device
    place = "" if backend == "numpy" else f", device='{device}'"
    x = Tensor([1.0, 2.5], requires_grad=True)
    for found, expected in [
        (pn.asarray([1.0, 2.5]), f"Tensor([1. , 2.5]{place})"),
        (pn.asarray([1, 2]), f"Tensor([1, 2]{place})"),
        (pn.asarray([True, False]), f"Tensor([ True, False]{place})"),
        (pn.asarray(1.5), f"Tensor(1.5{place})"),
        (pn.asarray([1.0], dtype=pn.float64), f"Tensor([1.], dtype=float64{place})"),
        (pn.asarray([1], dtype=pn.uint8), f"Tensor([1], dtype=uint8{place})"),
        (pn.zeros((0, 2)), f"Tensor([], shape=(0, 2), dtype=float32{place})"),
        (x, f"Tensor([1. , 2.5]{place}, requires_grad=True)"),
        (x * 2.0, f"Tensor([2., 5.]{place}, from=multiply)"),
        (nn.Parameter(pn.asarray([1.0, 2.5])), f"Parameter([1. , 2.5]{place})"),
    ]:
        assert repr(found) == expected
        assert str(found) == expected


def test_repr_lines_up_rows_and_shortens() -> None:
    with pn.use_backend("numpy"):
        assert repr(pn.asarray([[1.0, 2.0], [3.0, 4.0]])) == "Tensor([[1., 2.],\n        [3., 4.]])"
        assert len(repr(pn.zeros((1000, 1000)))) < 1000


# Operators

OPERATORS: dict[str, Any] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "**": lambda x, y: x**y,
    "%": lambda x, y: x % y,
    "//": lambda x, y: x // y,
    "<": lambda x, y: x < y,
    "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y,
    "==": lambda x, y: x == y,
    "!=": lambda x, y: x != y,
}


@pytest.mark.parametrize("symbol", OPERATORS)
def test_operators_with_tensors_arrays_and_numbers(symbol: str, backend: str, rng: Any) -> None:
    operate = OPERATORS[symbol]
    left = rng.uniform(0.5, 2.0, (2, 3)).astype("float32")
    right = rng.uniform(0.5, 2.0, 3).astype("float32")
    native = backend_named(backend).asarray
    x, y = pn.asarray(left), pn.asarray(right)
    cases = [
        (operate(x, y), operate(left, right)),
        (operate(x, native(right)), operate(left, right)),
        (operate(x, 2), operate(left, 2)),
        (operate(2, y), operate(2, right)),
        (operate(x, 1.5), operate(left, np.float32(1.5))),
        (operate(1.5, y), operate(np.float32(1.5), right)),
        (operate(x, np.float64(1.5)), operate(left, np.float32(1.5))),
        (operate(np.float64(1.5), y), operate(np.float32(1.5), right)),
        (operate(x, np.int64(2)), operate(left, np.float32(2))),
        (operate(np.float32(1.5), y), operate(np.float32(1.5), right)),
    ]
    if backend == "numpy":
        cases.append((operate(left, y), operate(left, right)))
    for found, expected in cases:
        assert isinstance(found, Tensor)
        assert found.dtype == getattr(pn, expected.dtype.name)  # no number makes it float64
        np.testing.assert_allclose(found.numpy(), expected, rtol=2e-6)


def test_operators_of_integers_and_booleans(backend: str) -> None:
    x, y = pn.asarray([6, 3]), pn.asarray([3, 5])
    assert (x & y).tolist() == [2, 1]
    assert (x | 1).tolist() == [7, 3]
    assert (1 ^ y).tolist() == [2, 4]
    assert (~x).tolist() == [-7, -4]
    a, b = pn.asarray([True, False]), pn.asarray([True, True])
    assert (a & b).tolist() == [True, False]
    assert (a | b).tolist() == [True, True]
    assert (a ^ b).tolist() == [False, True]
    assert (~a).tolist() == [False, True]
    assert (x // 2).dtype == pn.int64
    assert (x / 2).tolist() == [3.0, 1.5]
    assert (x / 2).dtype == pn.float32
    assert (6 / x).dtype == pn.float32
    assert (-x).tolist() == [-6, -3]
    assert (+x).tolist() == [6, 3]
    assert abs(-x).tolist() == [6, 3]


def test_matmul_operator(backend: str, rng: Any) -> None:
    left, right = rng.normal(size=(2, 3)), rng.normal(size=(3, 4))
    x, y = pn.asarray(left), pn.asarray(right)
    np.testing.assert_allclose((x @ y).numpy(), left @ right)
    np.testing.assert_allclose(x.mm(y).numpy(), left @ right)
    native = backend_named(backend).asarray
    np.testing.assert_allclose((x @ native(right)).numpy(), left @ right)
    if backend == "numpy":
        product = left @ y
        assert isinstance(product, Tensor)
        np.testing.assert_allclose(product.numpy(), left @ right)


def test_a_numpy_array_leaves_the_operator_to_the_tensor(rng: Any) -> None:
    """Not an object array, and not a result without a history."""
    with pn.use_backend("numpy"):
        x = Tensor(rng.normal(size=3), requires_grad=True)
        array = rng.normal(size=3)
        for result in (array * x, array + x, array / x, np.float64(2.0) * x, array[0] * x, array @ x):
            assert isinstance(result, Tensor)
            assert result.requires_grad
        assert isinstance(array == x, Tensor)
        assert isinstance(array < x, Tensor)
        with pytest.raises(TypeError):
            np.sin(x)
        with pytest.raises(TypeError):
            array += x


def test_foreign_operands_are_left_to_python(backend: str) -> None:
    x = pn.ones((2,))
    assert (x == None) is False  # noqa: E711
    assert (x != None) is True  # noqa: E711
    assert (x == "a") is False
    for operate in (
        lambda: x + "a",
        lambda: x * [1.0, 2.0],
        lambda: None - x,
        lambda: x @ None,
        lambda: x < "a",
    ):
        with pytest.raises(TypeError):
            operate()


def test_tensors_can_be_keys_and_members(backend: str) -> None:
    x, y = pn.asarray([1.0, 2.0]), pn.asarray([1.0, 2.0])
    assert {x: "x", y: "y"}[x] == "x"
    assert 2.0 in x
    assert 3.0 not in x


# Python numbers never change a type


@pytest.mark.parametrize("dtype", [pn.float32, pn.float64], ids=str)
def test_numbers_do_not_change_a_floating_type(dtype: pn.DType, backend: str) -> None:
    x = pn.ones((2,), dtype=dtype)
    for number in (
        2,
        2.0,
        np.float64(2.0),
        np.float32(2.0),
        np.int64(2),
        np.asarray(2.0)[()],
        True,
        np.bool_(True),
    ):
        for result in (x + number, number + x, x * number, number - x, x / number, number / x, x**number):
            assert isinstance(result, Tensor)
            assert result.dtype == dtype, (number, type(number))
    for result in (pn.maximum(x, 0.5), pn.clip(x, 0, 1.5), pn.where(x > 0, x, 0.0), pn.add(2, x)):
        assert result.dtype == dtype


def test_numbers_do_not_change_an_integer_type(backend: str) -> None:
    x = pn.asarray([1, 2], dtype=pn.int32)
    for result in (x + 2, 2 * x, x - True, x // 2, x % 2, x**2, x + np.int64(2)):
        assert result.dtype == pn.int32
    for operate in (
        lambda: x + 0.5,
        lambda: 0.5 * x,
        lambda: x**0.5,
        lambda: x > 1.5,
        lambda: pn.maximum(x, 0.5),
        lambda: x + np.float64(0.5),
        lambda: x + 1j,
    ):
        with pytest.raises(DTypeError, match=r"does not fit.*int32.*astype"):
            operate()
    flags = pn.asarray([True, False])
    with pytest.raises(DTypeError, match="bool"):
        flags + 1
    with pytest.raises(DTypeError, match="float32"):
        pn.ones((2,)) * 1j


def test_raw_arrays_follow_the_same_rule(backend: str) -> None:
    record = backend_named(backend)
    x = record.asarray(np.ones(2, dtype="float32"))
    assert record.dtype_of(pn.multiply(x, 2.0)) == pn.float32
    assert record.dtype_of(pn.multiply(2.0, x)) == pn.float32
    with pytest.raises(DTypeError):
        pn.add(record.asarray(np.asarray([1, 2])), 0.5)


def test_two_numbers_are_no_operands() -> None:
    with pytest.raises(DTypeError, match=r"Python numbers.*asarray"):
        pn.add(1.0, 2.0)
    with pytest.raises(DTypeError, match=r"sin: x must be.*str.*asarray"):
        pn.sin("a")
    with pytest.raises(DTypeError, match=r"add: y must be.*list.*asarray"):
        pn.add(pn.ones((2,)), [1.0, 2.0])


# Changing one in place


IN_PLACE: dict[str, Any] = {
    "+=": lambda x, y: x.__iadd__(y),
    "-=": lambda x, y: x.__isub__(y),
    "*=": lambda x, y: x.__imul__(y),
    "/=": lambda x, y: x.__itruediv__(y),
    "**=": lambda x, y: x.__ipow__(y),
    "%=": lambda x, y: x.__imod__(y),
    "//=": lambda x, y: x.__ifloordiv__(y),
}


@pytest.mark.parametrize("symbol", IN_PLACE)
def test_in_place_operators_rebind(symbol: str, backend: str, rng: Any) -> None:
    start, other = rng.uniform(1, 2, 3), rng.uniform(1, 2, 3)
    x = pn.asarray(start.copy())
    alias, view = x, x[:2]
    returned = IN_PLACE[symbol](x, pn.asarray(other))
    assert returned is x
    assert alias is x
    np.testing.assert_allclose(x.numpy(), OPERATORS[symbol[:-1]](start, other))
    np.testing.assert_array_equal(view.numpy(), start[:2])  # no other Tensor sees it


def test_in_place_leaves_the_users_array_alone(rng: Any) -> None:
    with pn.use_backend("numpy"):
        values = rng.normal(size=3)
        before = values.copy()
        x = pn.asarray(values)
        x += 1.0
        x[0] = 99.0
        np.testing.assert_array_equal(values, before)


def test_in_place_is_differentiable(backend: str, rng: Any) -> None:
    x = Tensor(rng.normal(size=3), requires_grad=True)
    y = x * 2.0
    y += x
    y *= y
    assert not y.is_leaf
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 18 * values_of(x))
    plain = pn.ones((3,), dtype=pn.float64)
    plain *= x
    assert plain.requires_grad
    plain.sum().backward()


def test_in_place_on_a_leaf_needs_no_grad(backend: str, rng: Any) -> None:
    x = Tensor(rng.normal(size=3), requires_grad=True)
    before = values_of(x).copy()
    for change in (lambda: x.__iadd__(1.0), lambda: x.__setitem__(0, 1.0)):
        with pytest.raises(GradientError, match="no_grad"):
            change()
    np.testing.assert_array_equal(values_of(x), before)
    with pn.no_grad():
        x -= 0.5 * pn.ones((3,), dtype=pn.float64)
        x[0] = 7.0
    assert x.is_leaf
    assert x.requires_grad
    np.testing.assert_array_equal(values_of(x), [7.0, *(before[1:] - 0.5)])
    (x * 2.0).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2.0] * 3)


def test_a_manual_step_between_forward_and_backward_uses_the_old_values(backend: str, rng: Any) -> None:
    """``w -= lr * g`` under no_grad rebinds, so a graph that was recorded before keeps the old array."""
    w, x = Tensor(rng.normal(size=3), requires_grad=True), Tensor(rng.normal(size=3), requires_grad=True)
    before = values_of(w).copy()
    loss = (w * x).sum()
    with pn.no_grad():
        w -= 1.0
    loss.backward()
    np.testing.assert_array_equal(x.grad.numpy(), before)
    np.testing.assert_array_equal(w.grad.numpy(), values_of(x))


def test_in_place_inside_no_grad_keeps_the_history_of_a_computed_tensor(backend: str) -> None:
    """As in PyTorch: the values change, the gradient is that of what was recorded."""
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x * 2.0
    with pn.no_grad():
        y *= 10.0
    assert y.tolist() == [20.0, 40.0]
    assert y.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_in_place_cannot_change_shape_or_kind(backend: str) -> None:
    x = pn.ones((3,))
    with pytest.raises(ShapeError, match=r"\(2, 3\).*\(3,\)"):
        x += pn.ones((2, 3))
    x += pn.ones((3,), dtype=pn.float64)
    assert x.dtype == pn.float32
    i = pn.asarray([1, 2, 3])
    for change in (lambda: i.__itruediv__(2), lambda: i.__iadd__(pn.ones((3,))), lambda: i.__imul__(x)):
        with pytest.raises(DTypeError, match=r"int64.*astype"):
            change()
    assert i.tolist() == [1, 2, 3]
    i += pn.asarray([1, 1, 1], dtype=pn.int32)
    assert i.dtype == pn.int64
    assert i.tolist() == [2, 3, 4]


def test_in_place_with_nonsense_is_left_to_python() -> None:
    x = pn.ones((2,))
    with pytest.raises(TypeError):
        x += "a"


# Places


def test_two_libraries_are_never_mixed(backend: str, rng: Any) -> None:
    other = other_backend(backend)
    x, y = pn.ones((3,)), pn.ones((3,), device=backend_named(other).devices()[0])
    raw = y.data
    tracked = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    index = pn.asarray([0, 1], device=backend_named(other).devices()[0])
    for operate in (
        lambda: x + y,
        lambda: y * x,
        lambda: x @ y,
        lambda: x + raw,
        lambda: tracked * raw,
        lambda: raw * tracked if other == "numpy" else tracked - raw,
        lambda: pn.where(x > 0, x, y),
        lambda: pn.concat([x, y]),
        lambda: pn.stack([x, raw]),
        lambda: x == y,
        lambda: pn.add(x.data, raw),
        lambda: x[index],
        lambda: x[index.data],
        lambda: pn.take(x, index, axis=0),
        lambda: x.__setitem__(0, y[0]),
        lambda: x.__iadd__(y),
    ):
        with pytest.raises(MixedBackendError) as failure:
            operate()
        message = str(failure.value)
        assert backend in message
        assert other in message
        assert ".to(" in message
    assert x.tolist() == [1.0] * 3


def test_two_devices_are_never_mixed() -> None:
    pytest.importorskip("array_api_strict", reason="it has several devices, make-believe ones")
    with pn.use_backend("array-api-strict", strict=True) as strict:
        first, second = strict.devices()[:2]
        x, y = pn.ones((3,)), pn.ones((3,), device=second)
        index = pn.asarray([0, 1], device=second)
        for operate in (
            lambda: x + y,
            lambda: pn.where(x > 0, x, y),
            lambda: pn.concat([x, y]),
            lambda: x[index],
            lambda: x.__setitem__(slice(0, 1), y[:1]),
            lambda: nn.functional.linear(x, pn.ones((2, 3)), pn.ones((2,), device=second)),
        ):
            with pytest.raises(DeviceError) as failure:
                operate()
            for place in (str(first), str(second)):
                assert place in str(failure.value)
        assert (y + 1.0).device == second
        assert pn.where(y > 0, y, 0.0).device == second
        assert pn.zeros_like(y).device == second
        assert (y * y).sum().device == second


def test_to_takes_names_places_and_types(backend: str) -> None:
    x = pn.ones((2,))
    other = other_backend(backend)
    place = backend_named(other).devices()[0]
    for there in (x.to(other), x.to(str(place)), x.to(place), x.to_device(place), x.to(device=place)):
        assert there.device == place
        assert there.tolist() == [1.0, 1.0]
    assert x.to(place, dtype=pn.float64).dtype == pn.float64
    assert x.to(pn.int64).dtype == pn.int64
    assert x.to(dtype=pn.float64).dtype == pn.float64
    assert x.float() is x
    assert x.to(pn.float64).float().dtype == pn.float32
    with pytest.raises((DeviceError, TypeError, ValueError), match="no-such-place"):
        x.to("no-such-place")
    with pytest.raises(TypeError, match="device"):
        x.to(3)


def test_cpu(backend: str) -> None:
    home = pn.ones((2,)).cpu()
    assert not home.device.is_accelerator


# Methods


def test_methods_are_the_functions(backend: str, rng: Any) -> None:
    values = rng.uniform(0.5, 2.0, (2, 3))
    x = pn.asarray(values)
    for name in (
        "abs",
        "exp",
        "log",
        "sqrt",
        "square",
        "sin",
        "cos",
        "tanh",
        "sum",
        "mean",
        "prod",
        "max",
        "min",
    ):
        np.testing.assert_array_equal(getattr(x, name)().numpy(), getattr(pn, name)(x).numpy())
    for name in ("sum", "mean", "prod", "max", "min", "var", "std", "argmax", "argmin"):
        by_keyword = getattr(x, name)(axis=1).numpy()
        np.testing.assert_array_equal(by_keyword, getattr(pn, name)(x, axis=1).numpy())
        np.testing.assert_array_equal(getattr(x, name)(1).numpy(), by_keyword)
    assert (x > 0).all().item() is True
    assert (x > 1e9).any().item() is False
    np.testing.assert_array_equal(x.clamp(min=1.0).numpy(), np.maximum(values, 1.0))
    np.testing.assert_array_equal(x.clamp(0.8, 1.2).numpy(), np.clip(values, 0.8, 1.2))
    np.testing.assert_allclose(x.pow(2).numpy(), values**2)
    for shaped in (x.reshape(3, 2), x.reshape((3, 2)), x.view(3, 2), x.view(-1, 2), x.reshape([3, 2])):
        np.testing.assert_array_equal(shaped.numpy(), values.reshape(3, 2))
    assert x.flatten().shape == (6,)
    assert x.reshape(-1).shape == (6,)
    assert x.unsqueeze(0).shape == (1, 2, 3)
    assert x.unsqueeze(-1).shape == (2, 3, 1)
    assert x.unsqueeze(0).squeeze(0).shape == (2, 3)
    np.testing.assert_array_equal(x.permute(1, 0).numpy(), values.T)
    np.testing.assert_array_equal(x.permute((1, 0)).numpy(), values.T)
    assert pn.zeros((1, 1)).reshape(()).shape == ()


def test_functions_take_operands_and_options_by_name(backend: str) -> None:
    x = pn.asarray([[1.0, 2.0]])
    assert pn.sum(x, axis=1).tolist() == [3.0]
    assert pn.clip(x, max=1.5).tolist() == [[1.0, 1.5]]
    assert pn.clip(x, None, 1.5).tolist() == [[1.0, 1.5]]
    assert pn.where(x > 1, x, y=0.0).tolist() == [[0.0, 2.0]]
    for wrong in (
        lambda: pn.add(x),
        lambda: pn.add(x, x, x),
        lambda: pn.sum(x, 0, axis=0),
        lambda: pn.sin(x, no=1),
    ):
        with pytest.raises(TypeError):
            wrong()


def test_an_error_of_the_library_says_what_was_called(backend: str) -> None:
    x, y = pn.ones((2, 3)), pn.ones((4, 5))
    with pytest.raises(Exception) as failure:  # noqa: PT011 - each library has its own
        pn.matmul(x, y)
    (note,) = [note for note in failure.value.__notes__ if "portanet" in note]
    for part in ("portanet.matmul", "(2, 3)", "(4, 5)", "float32", backend):
        assert part in note


def test_public_functions_have_signatures_and_docstrings() -> None:
    for name in ("sum", "where", "concat", "matmul", "clip", "astype"):
        function = getattr(pn, name)
        assert inspect.signature(function).parameters
        assert function.__doc__
        assert function.__name__ == name
    assert list(inspect.signature(pn.sum).parameters) == ["x", "axis", "dtype", "keepdims"]
    assert list(inspect.signature(pn.concat).parameters) == ["arrays", "axis"]


def test_astype(backend: str) -> None:
    x = pn.asarray([0.0, 1.5, -2.5])
    assert pn.astype(x, pn.int64).tolist() == [0, 1, -2]
    assert pn.astype(x, pn.bool).tolist() == [False, True, True]
    assert pn.astype(x, pn.float64).dtype == pn.float64
    assert x.astype(pn.float64).dtype == pn.float64
    with pytest.raises(DTypeError, match="dtype"):
        pn.astype(x, float)


# Sequences


def test_len_and_iteration(backend: str, rng: Any) -> None:
    values = rng.normal(size=(3, 2))
    x = Tensor(values, requires_grad=True)
    rows = list(x)
    assert len(rows) == len(x) == 3
    for row, expected in zip(rows, values, strict=True):
        np.testing.assert_array_equal(values_of(row), expected)
    (rows[0] * 2.0 + rows[2]).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[2, 2], [0, 0], [1, 1]])
    first, *_ = pn.asarray([1.0, 2.0])
    assert first.item() == 1.0
    assert list(pn.zeros((0, 3))) == []
    for wrong in (len, iter):
        with pytest.raises(TypeError):
            wrong(pn.asarray(1.0))


# Memory and threads


def test_tensors_go_away_without_the_garbage_collector(rng: Any) -> None:
    """A graph has no cycles: arrays are freed as soon as the last reference goes."""
    import weakref

    gc.collect()
    gc.disable()
    try:
        x = Tensor(rng.normal(size=3), requires_grad=True)
        y = (x * 2.0).exp()
        loss = y.sum()
        watched = [weakref.ref(x), weakref.ref(y), weakref.ref(loss)]
        loss.backward()
        gradient = weakref.ref(x.grad)
        del loss, y
        assert [ref() is None for ref in watched] == [False, True, True]
        del x
        assert watched[0]() is None
        assert gradient() is None
    finally:
        gc.enable()


def test_first_calls_from_several_threads(backend: str) -> None:
    """The tables that functions fill on their first call are filled by all at once."""
    results: list[Any] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        with pn.use_backend(backend):
            results.append(pn.log1p(pn.asarray([0.0, 1.0])).tolist())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(result == results[0] for result in results)
