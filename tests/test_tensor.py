"""Tensor: what it is, how values get in and out of it, its methods, and what it refuses."""

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
from portanet.errors import DTypeError, GradientError, MixedBackendError, ShapeError
from portanet.tensor import Tensor


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


def test_a_sequence_of_tensors_is_stacked_with_its_gradients(backend: str, rng: Any) -> None:
    x, y = (pn.Tensor(rng.normal(size=2), requires_grad=True) for _ in range(2))
    z = pn.asarray([[x, y], [y, x * 2.0]])
    assert z.shape == (2, 2, 2)
    pn.sum(z).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3, 3])
    np.testing.assert_array_equal(y.grad.numpy(), [2, 2])
    assert pn.asarray([pn.asarray(1), pn.asarray(2)], dtype=pn.float32).dtype == pn.float32
    with pytest.raises(ValueError, match="copy"):
        pn.asarray([x, y], copy=False)
    with pytest.raises(DTypeError, match=r"portanet\.stack"):
        pn.Tensor([x, y])


def test_asarray_returns_what_is_already_so(backend: str, rng: Any) -> None:
    x = pn.asarray(rng.normal(size=2))
    assert pn.asarray(x) is x
    assert pn.asarray(x, dtype=pn.float64, device=x.device, copy=False) is x
    assert pn.asarray(x, copy=True) is not x
    assert pn.asarray(x, dtype=pn.float32).dtype == pn.float32


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
    with pytest.raises(MixedBackendError, match="grad"):
        x.grad = pn.ones((2,), device=backend_named(other_backend(backend)).devices()[0])


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
    x = on_the_host(pn.asarray(np.asarray([[1, 2], [3, 4]]).astype(dtype)))
    found = np.from_dlpack(x)
    np.testing.assert_array_equal(found, x.numpy())
    assert found.dtype.name == dtype
    assert x.__dlpack_device__()[0] == 1  # kDLCPU
    with pytest.raises(GradientError, match="detach"):
        np.from_dlpack(Tensor([1.0], requires_grad=True))


def on_the_host(x: Tensor) -> Tensor:
    if x.device.is_accelerator:
        pytest.skip("the receiver cannot read the memory of a GPU")
    return x


def test_dlpack_into_torch(backend: str, rng: Any) -> None:
    torch = pytest.importorskip("torch", reason="it is the receiver")
    x = on_the_host(pn.asarray(rng.normal(size=(2, 3))))
    found = torch.from_dlpack(x)
    np.testing.assert_array_equal(found.numpy(), x.numpy())


def test_dlpack_of_what_backward_leaves(backend: str, rng: Any) -> None:
    """A gradient may be a view that repeats one number; what receives it must get all of them."""
    x = on_the_host(Tensor(rng.normal(size=(2, 3)), requires_grad=True))
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
