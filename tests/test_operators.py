"""Operators of Tensors: with arrays and numbers, which never change a type, and in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.backend import backend_named
from portanet.errors import DTypeError, GradientError, ShapeError
from portanet.tensor import Tensor


def values_of(x: Tensor) -> Any:
    return x.detach().numpy()


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
    if backend == "array-api-strict":  # whose arrays refuse what they do not know
        with pytest.raises(TypeError):
            operate(native(left), y)
    else:
        cases.append((operate(native(left), y), operate(left, right)))
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


def test_an_array_without_axes_has_its_say_in_the_data_type(backend: str) -> None:
    """Some libraries leave it out; the standard does not."""
    many, one = pn.asarray([1, 2], dtype=pn.int16), pn.asarray(70_000, dtype=pn.int64)
    for function in (
        pn.add,
        pn.subtract,
        pn.multiply,
        pn.maximum,
        pn.bitwise_xor,
        pn.floor_divide,
        pn.remainder,
    ):
        assert function(many, one).dtype == pn.int64, function.__name__
        assert function(one, many).dtype == pn.int64, function.__name__
    assert (pn.asarray(1.0, dtype=pn.float64) / pn.asarray([3.0])).dtype == pn.float64
    assert (many < one).numpy().tolist() == [True, True]
    assert (one >= many).numpy().tolist() == [True, True]
    assert (many == one).numpy().tolist() == [False, False]
    x = pn.Tensor([1.0, 2.0], requires_grad=True)
    y = pn.Tensor(3.0, dtype=pn.float64, requires_grad=True)
    pn.sum(x * y).backward()
    assert (x.grad.dtype, y.grad.dtype) == (pn.float32, pn.float64)
