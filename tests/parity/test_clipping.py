"""Gradient clipping and parameters as a vector, beside PyTorch's ``torch.nn.utils``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import GradientError, OptionError, ShapeError
from portanet.nn.utils import (
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
    parameters_to_vector,
    vector_to_parameters,
)
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")

SHAPES = [(), (5,), (7, 3), (2, 3, 4), (0, 3)]
ORDERS = [2.0, 1.0, math.inf, "inf", 0.5, 3, 0.0]


@pytest.fixture(params=["numpy", "array-api-strict"])
def backend_name(request: pytest.FixtureRequest) -> Any:
    if request.param != "numpy":
        pytest.importorskip("array_api_strict", reason="proves the functions on the bare standard")
    with pn.use_backend(request.param, strict=True):
        yield request.param


def parameters(rng: Any, dtype: str) -> tuple[list[Any], list[Any]]:
    """Parameters of several shapes with gradients, and one without."""
    mine, its = [], []
    for shape in SHAPES:
        value, gradient = (np.asarray(rng.normal(size=shape)).astype(dtype) for _ in range(2))
        mine.append(pn.Tensor(value, requires_grad=True))
        its.append(torch.tensor(value, requires_grad=True))
        mine[-1].grad, its[-1].grad = pn.asarray(gradient), torch.tensor(gradient)
    mine.append(pn.Tensor([1.0], requires_grad=True))
    its.append(torch.tensor([1.0], requires_grad=True))
    return mine, its


def compare(mine: list[Any], its: list[Any]) -> None:
    assert mine[-1].grad is None
    for tensor, other in zip(mine[:-1], its[:-1], strict=True):
        assert_near(tensor.grad, other.grad)
        assert_near(tensor, other)


@DTYPES
@pytest.mark.parametrize("max_norm", [0.5, 3, 1e3, 0.0, math.inf])
@pytest.mark.parametrize("order", ORDERS)
def test_clip_grad_norm(rng: Any, backend_name: str, order: Any, max_norm: float, dtype: str) -> None:
    mine, its = parameters(rng, dtype)
    if float(order) == math.inf:
        del mine[-2], its[-2]  # PyTorch has no largest element of none
    found = clip_grad_norm_(iter(mine), max_norm, norm_type=order)
    expected = torch.nn.utils.clip_grad_norm_(iter(its), max_norm, norm_type=order)
    assert_near(found, expected)
    assert not found.requires_grad
    compare(mine, its)


@DTYPES
@pytest.mark.parametrize("order", ORDERS)
def test_the_two_halves_of_it(rng: Any, backend_name: str, order: Any, dtype: str) -> None:
    mine, its = parameters(rng, dtype)
    if float(order) == math.inf:
        del mine[-2], its[-2]
    found = get_total_norm([tensor.grad for tensor in mine[:-1]], order)
    expected = torch.nn.utils.get_total_norm([tensor.grad for tensor in its[:-1]], order)
    assert_near(found, expected)
    clip_grads_with_norm_(mine, 0.7, found)
    torch.nn.utils.clip_grads_with_norm_(its, 0.7, expected)
    compare(mine, its)


@DTYPES
@pytest.mark.parametrize("bound", [0.3, 1, 1e3])
def test_clip_grad_value(rng: Any, backend_name: str, bound: float, dtype: str) -> None:
    mine, its = parameters(rng, dtype)
    clip_grad_value_(iter(mine), bound)
    torch.nn.utils.clip_grad_value_(iter(its), bound)
    compare(mine, its)


def test_one_tensor_and_none_at_all(rng: Any) -> None:
    mine, its = parameters(rng, "float32")
    found, expected = clip_grad_norm_(mine[1], 0.1), torch.nn.utils.clip_grad_norm_(its[1], 0.1)
    assert_near(found, expected)
    clip_grad_value_(mine[2], 0.1)
    torch.nn.utils.clip_grad_value_(its[2], 0.1)
    compare(mine, its)
    assert_near(get_total_norm(mine[1].grad), torch.nn.utils.get_total_norm(its[1].grad))
    assert get_total_norm([]).item() == 0.0
    assert clip_grad_norm_([mine[-1]], 1.0).item() == 0.0
    assert get_total_norm([pn.zeros((0, 2))]).item() == 0.0
    with pytest.warns(UserWarning, match="parameters: nothing is clipped, for this iterator is empty"):
        clip_grad_norm_(iter([]), 1.0)


def test_two_data_types(rng: Any) -> None:
    values = rng.normal(size=3).astype("float32"), rng.normal(size=4)
    mine = [pn.Tensor(value, requires_grad=True) for value in values]
    its = [torch.tensor(value, requires_grad=True) for value in values]
    for tensor, other, value in zip(mine, its, values, strict=True):
        tensor.grad, other.grad = pn.asarray(value * 3), torch.tensor(value * 3)
    found, expected = clip_grad_norm_(mine, 0.5), torch.nn.utils.clip_grad_norm_(its, 0.5)
    assert found.dtype == pn.float64
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    for tensor, other in zip(mine, its, strict=True):
        assert tensor.grad.dtype.name == str(other.grad.dtype).removeprefix("torch.")
        np.testing.assert_allclose(tensor.grad.tolist(), other.grad.tolist(), rtol=1e-5)


def test_complex_gradients(rng: Any) -> None:
    value, slope = (rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3)) for _ in range(2))
    mine, its = pn.Tensor(value, requires_grad=True), torch.tensor(value, requires_grad=True)
    mine.grad, its.grad = pn.asarray(slope), torch.tensor(slope)
    assert_near(clip_grad_norm_([mine], 0.5), torch.nn.utils.clip_grad_norm_([its], 0.5))
    np.testing.assert_allclose(np.asarray(mine.grad.numpy()), its.grad.numpy(), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("spoiled", [math.nan, math.inf])
def test_norms_that_are_not_finite(spoiled: float) -> None:
    mine, its = pn.Tensor([1.0, 2.0], requires_grad=True), torch.tensor([1.0, 2.0], requires_grad=True)
    mine.grad, its.grad = pn.asarray([spoiled, 1.0]), torch.tensor([spoiled, 1.0])
    with pytest.raises(GradientError, match="error_if_nonfinite: the norm of order 2 is"):
        clip_grad_norm_([mine], 1.0, error_if_nonfinite=True)
    assert mine.grad.tolist()[1] == 1.0
    clip_grad_norm_([mine], 1.0)
    torch.nn.utils.clip_grad_norm_([its], 1.0)
    np.testing.assert_array_equal(mine.grad.tolist(), its.grad.tolist())


@DTYPES
def test_parameters_as_a_vector(rng: Any, backend_name: str, dtype: str) -> None:
    mine, its = parameters(rng, dtype)
    mine, its = mine[:-1], its[:-1]
    found = parameters_to_vector(iter(mine))
    expected = torch.nn.utils.parameters_to_vector(iter(its))
    assert_near(found, expected)
    (found**2).sum().backward()
    (expected**2).sum().backward()
    for tensor, other in zip(mine, its, strict=True):
        assert_near(tensor.grad, other.grad)
    values = rng.normal(size=found.shape).astype(dtype)
    vector_to_parameters(pn.asarray(values), mine)
    torch.nn.utils.vector_to_parameters(torch.tensor(values), its)
    for tensor, other in zip(mine, its, strict=True):
        assert tensor.requires_grad
        assert_near(tensor, other)


def test_every_backend_clips(backend: str, rng: Any) -> None:
    gradients = [rng.normal(size=shape).astype("float32") for shape in ((3,), (2, 2))]
    tensors = [pn.zeros(gradient.shape).requires_grad_() for gradient in gradients]
    for tensor, gradient in zip(tensors, gradients, strict=True):
        tensor.grad = pn.asarray(gradient)
    norm = math.sqrt(sum((gradient**2).sum() for gradient in gradients))
    assert clip_grad_norm_(tensors, norm / 2).item() == pytest.approx(norm, rel=1e-5)
    for tensor, gradient in zip(tensors, gradients, strict=True):
        np.testing.assert_allclose(tensor.grad.tolist(), gradient / 2, rtol=1e-4)
    clip_grad_value_(tensors, 0.2)
    for tensor, gradient in zip(tensors, gradients, strict=True):
        np.testing.assert_allclose(tensor.grad.tolist(), np.clip(gradient / 2, -0.2, 0.2), rtol=1e-4)
    vector_to_parameters(parameters_to_vector(tensors) + 1.0, tensors)
    assert tensors[1].tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_a_vector_that_is_written_makes_an_older_graph_invalid() -> None:
    tensor = pn.Tensor([1.0, 2.0], requires_grad=True)
    loss = (tensor**2).sum()
    vector_to_parameters(pn.asarray([3.0, 4.0]), [tensor])
    with pytest.raises(pn.errors.OverwrittenError):
        loss.backward()


def test_what_it_refuses() -> None:
    tensor = pn.Tensor([1.0, 2.0], requires_grad=True)
    for bad in (-1.0, math.nan):
        with pytest.raises(OptionError, match="max_norm: expected a number of at least 0, got"):
            clip_grad_norm_([tensor], bad)
        with pytest.raises(OptionError, match="clip_value: expected a number of at least 0, got"):
            clip_grad_value_([tensor], bad)
    with pytest.raises(
        TypeError, match=r"parameters: expected Tensors, got float. Pass model.parameters\(\)"
    ):
        clip_grad_norm_([1.0], 1.0)  # type: ignore[list-item]
    with pytest.raises(ShapeError, match=r"vec: expected shape \(2,\), .*got \(3,\)"):
        vector_to_parameters(pn.zeros(3), [tensor])
    with pytest.raises(TypeError, match="vec: expected a Tensor, got list"):
        vector_to_parameters([1.0, 2.0], [tensor])  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="parameters: expected at least one Tensor"):
        parameters_to_vector([])
    assert tensor.tolist() == [1.0, 2.0]
