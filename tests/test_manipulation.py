"""Functions that repeat, join and split arrays: what their samples do not say."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.backend import backend_named
from portanet.errors import DTypeError, OptionError, OverwrittenError, ShapeError
from portanet.testing import gradcheck


def test_names_and_places_of_arguments_are_the_standards() -> None:
    kinds = {
        name: [(p.name, p.kind.name) for p in inspect.signature(getattr(pn, name)).parameters.values()]
        for name in ("broadcast_arrays", "expand_dims", "repeat", "tile", "unstack")
    }
    assert kinds == {
        "broadcast_arrays": [("arrays", "VAR_POSITIONAL")],
        "expand_dims": [("x", "POSITIONAL_ONLY"), ("axis", "POSITIONAL_OR_KEYWORD")],
        "repeat": [("x", "POSITIONAL_ONLY"), ("repeats", "POSITIONAL_ONLY"), ("axis", "KEYWORD_ONLY")],
        "tile": [("x", "POSITIONAL_ONLY"), ("repetitions", "POSITIONAL_ONLY")],
        "unstack": [("x", "POSITIONAL_ONLY"), ("axis", "KEYWORD_ONLY")],
    }


# Repeating


@pytest.mark.parametrize("dtype", ["bool", "int64", "float32", "complex64"])
def test_any_data_type_can_be_repeated(dtype: str, backend: str) -> None:
    values = np.asarray([[1, 0], [1, 1]]).astype(dtype)
    x = pn.asarray(values)
    for found, expected in [
        (pn.repeat(x, 2), np.repeat(values, 2)),
        (pn.repeat(x, pn.asarray([2, 0]), axis=0), np.repeat(values, [2, 0], axis=0)),
        (pn.tile(x, (2, 1)), np.tile(values, (2, 1))),
        (pn.tile(x, 2), np.tile(values, 2)),
    ]:
        assert found.dtype == getattr(pn, dtype)
        np.testing.assert_array_equal(found.numpy(), expected)


def test_counts_may_be_any_integers(backend: str) -> None:
    x = pn.asarray([1.0, 2.0, 3.0])
    for repeats in (2, np.int64(2), np.uint8(2), pn.asarray(2), pn.asarray([2], dtype=pn.int8)):
        assert pn.repeat(x, repeats).tolist() == [1, 1, 2, 2, 3, 3]
    for dtype in (pn.uint8, pn.int32, pn.int64):
        assert pn.repeat(x, pn.asarray([0, 2, 1], dtype=dtype)).tolist() == [2, 2, 3]


def test_a_repeated_array_is_one_of_its_own(backend: str) -> None:
    """Of a raw array, which may be written to later; even where each element stands once."""
    record = backend_named(backend)
    if not record.writable:
        pytest.skip("these arrays never change")
    raw = record.asarray(np.ones((2, 2)), copy=True)
    for found in (
        pn.repeat(raw, 1, axis=0),
        pn.repeat(raw, pn.asarray([1, 1]).data, axis=0),
        pn.tile(raw, (1, 1)),
    ):
        raw[0, 0] = 7.0
        assert float(found[0, 0]) == 1.0
        raw[0, 0] = 1.0


def test_bad_arguments_of_repeat(backend: str) -> None:
    x = pn.ones((2, 3))
    for wrong in (-1, 1.5, "2", True, None):
        with pytest.raises(OptionError, match="repeats: expected a whole number of at least 0"):
            pn.repeat(x, wrong)
    with pytest.raises(OptionError, match="repeats: expected counts of at least 0, got a negative one"):
        pn.repeat(x, pn.asarray([1, -1]), axis=0)
    with pytest.raises(
        ShapeError, match=r"repeats: expected one count, or one for each of 2 elements, got .*\(3,\)"
    ):
        pn.repeat(x, pn.asarray([1, 1, 1]), axis=0)
    with pytest.raises(ShapeError, match="one for each of 6 elements"):
        pn.repeat(x, pn.asarray([[1, 1, 1], [1, 1, 1]]))
    with pytest.raises(DTypeError, match="repeats: expected integers, got"):
        pn.repeat(x, pn.asarray([1.0, 1.0]), axis=0)
    with pytest.raises(IndexError, match="axis: 2 is out of range for 2 dimensions"):
        pn.repeat(x, 2, axis=2)
    with pytest.raises(DTypeError, match="repeat: argument 1 must be a Tensor or an array, got list"):
        pn.repeat([1.0, 2.0], 2)


def test_bad_arguments_of_tile(backend: str) -> None:
    with pytest.raises(
        OptionError, match=r"repetitions: expected whole numbers of at least 0, got \(2, -1\)"
    ):
        pn.tile(pn.ones((2, 3)), (2, -1))


# Several axes of length 1


@pytest.mark.parametrize(
    ("axis", "message"), [((0, 4), "axis: 4"), ((-5,), "axis: -5"), ((1, -3), "different")]
)
def test_places_that_are_not_there_or_taken(axis: Any, message: str, backend: str) -> None:
    with pytest.raises(IndexError, match=message):
        pn.expand_dims(pn.ones((2, 3)), axis=axis)


def test_axes_by_position(backend: str) -> None:
    assert pn.expand_dims(pn.ones((2, 3)), 1).shape == (2, 1, 3)
    assert pn.expand_dims(pn.ones((2, 3)), (0, -1)).shape == (1, 2, 3, 1)


# Splitting


def test_joining_undoes_splitting(backend: str, rng: Any) -> None:
    values = rng.normal(size=(2, 3, 4))
    for axis in range(-3, 3):
        parts = pn.unstack(pn.asarray(values), axis=axis)
        assert type(parts) is tuple
        assert len(parts) == values.shape[axis]
        np.testing.assert_array_equal(pn.stack(parts, axis=axis).numpy(), values)


def test_gradients_of_the_parts_add_up(backend: str) -> None:
    x = pn.Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    first, second = pn.unstack(x, axis=1)
    (first * 10.0 + first * second).sum().backward()
    assert x.grad.tolist() == [[12, 1], [14, 3]]


@pytest.mark.parametrize(("length", "axis"), [(1, 0), (17, 0), (70, 1), (133, 0)])
def test_many_slices_are_cut_by_halves(length: int, axis: int, eager: str, rng: Any) -> None:
    shape = (length, 3) if axis == 0 else (3, length)
    values, factors = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
    x = pn.Tensor(values, requires_grad=True)
    parts = pn.unstack(x * 1, axis=axis)
    np.testing.assert_array_equal(np.stack([part.detach().numpy() for part in parts], axis=axis), values)
    weights = np.moveaxis(factors, axis, 0)
    loss = sum((part**2 * pn.asarray(weight)).sum() for part, weight in zip(parts, weights, strict=True))
    (slope,) = pn.grad(loss, x, create_graph=True)
    np.testing.assert_allclose(slope.detach().numpy(), 2 * values * factors, rtol=1e-6)
    (curvature,) = pn.grad(slope.sum(), x)
    np.testing.assert_allclose(curvature.numpy(), 2 * factors, rtol=1e-6)
    if axis == 0:
        (slope,) = pn.grad(sum((row**2).sum() for row in x), x)
        np.testing.assert_allclose(slope.numpy(), 2 * values, rtol=1e-6)


def test_what_many_slices_are_cut_from_is_not_as_often_the_whole() -> None:
    count = 512
    nodes = {part._node for part in pn.unstack(pn.Tensor(np.zeros(count), requires_grad=True))}
    cut, waiting = 0, set(nodes)
    while waiting:
        node = waiting.pop()
        cut += node.operands[0].size  # as large as the gradient that this cut makes
        waiting |= {parent for parent in node.parents if not parent.is_leaf and parent not in nodes}
        nodes |= waiting
    assert count < cut < 40 * count  # slice by slice it would be count * count


def test_bad_arguments_of_unstack(backend: str) -> None:
    with pytest.raises(ShapeError, match="unstack: expected an array with at least one axis"):
        pn.unstack(pn.asarray(1.0))
    with pytest.raises(IndexError, match="axis: -3 is out of range for 2 dimensions"):
        pn.unstack(pn.ones((2, 3)), axis=-3)
    with pytest.raises(DTypeError, match="unstack: argument 1 must be a Tensor or an array, got list"):
        pn.unstack([[1.0]])


# Broadcasting


def test_nothing_to_broadcast() -> None:
    assert pn.broadcast_arrays() == ()
    assert pn.meshgrid() == ()


def test_each_array_keeps_its_data_type(backend: str) -> None:
    x, y = pn.broadcast_arrays(pn.asarray([1, 2]), pn.ones((3, 1)))
    assert (x.dtype, y.dtype) == (pn.int64, pn.float32)
    assert x.shape == y.shape == (3, 2)


def test_raw_arrays_beside_a_tensor_become_tensors(backend: str) -> None:
    raw = backend_named(backend).asarray(np.ones(2))
    for found in (pn.broadcast_arrays(raw, pn.ones((3, 1))), pn.meshgrid(raw, pn.ones((3,)))):
        assert all(isinstance(part, pn.Tensor) for part in found)


def test_bad_arguments_of_broadcast_arrays(backend: str) -> None:
    with pytest.raises(ShapeError, match="do not broadcast"):
        pn.broadcast_arrays(pn.ones((2,)), pn.ones((3,)))
    with pytest.raises(
        DTypeError, match="broadcast_arrays: argument 2 must be a Tensor or an array, got float"
    ):
        pn.broadcast_arrays(pn.ones((2,)), 1.0)


SHARING: dict[str, Any] = {
    "unstack": lambda w: pn.unstack(w)[0],
    "broadcast_arrays": lambda w: pn.broadcast_arrays(w, w)[0],
    "meshgrid": lambda w: pn.meshgrid(w, w)[0],
    "expand_dims": lambda w: pn.expand_dims(w, (0, 1)),
}


@pytest.mark.parametrize("name", [*SHARING, "tile"])
def test_arrays_that_share_memory_share_their_version(name: str, backend: str) -> None:
    """So that a gradient through the values of an overwritten parameter is refused; a copy is no harm."""
    layer = pn.nn.Linear(1, 2)
    factor = SHARING.get(name, lambda w: pn.tile(w, (2,)))(layer.bias.detach())
    y = (pn.Tensor(1.0, requires_grad=True) * factor).sum()
    layer.load_state_dict(layer.state_dict())
    if name == "tile":
        y.backward()
        return
    with pytest.raises(OverwrittenError):
        y.backward()


# Triangles


@pytest.mark.parametrize("name", ["tril", "triu"])
def test_only_matrices_have_triangles(name: str, backend: str) -> None:
    for wrong in (pn.ones((3,)), pn.asarray(1.0)):
        with pytest.raises(ShapeError, match=f"{name}: expected a matrix or a stack of them"):
            getattr(pn, name)(wrong)


def test_a_grid_is_differentiable(backend: str, rng: Any) -> None:
    if backend == "jax":
        pytest.skip("it would compile each op")
    x, y = rng.normal(size=3), rng.normal(size=2)
    assert gradcheck(lambda x, y: pn.prod(pn.stack(pn.meshgrid(x, y)), axis=0), [x, y])
