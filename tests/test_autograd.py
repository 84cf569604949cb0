"""Gradients as values: ``portanet.grad``, higher orders, and gradients that cross from one library to another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import GradientError, GraphFreedError, ShapeError
from portanet.testing import gradcheck, gradgradcheck

F = pn.nn.functional


def leaf(rng: Any, *shape: int) -> pn.Tensor:
    return pn.Tensor(rng.normal(size=shape), requires_grad=True)


def number(value: float) -> pn.Tensor:
    return pn.Tensor(value, dtype=pn.float64, requires_grad=True)


# portanet.grad


def test_grad_gives_gradients_and_touches_nothing(backend: str, rng: Any) -> None:
    x, y = leaf(rng, 3), leaf(rng, 3)
    gradients = pn.grad((x * y).sum(), [x, y])
    assert isinstance(gradients, tuple)
    np.testing.assert_array_equal(gradients[0].numpy(), y.detach().numpy())
    np.testing.assert_array_equal(gradients[1].numpy(), x.detach().numpy())
    assert x.grad is None
    assert y.grad is None


def test_grad_of_one_input_is_a_tuple_too(rng: Any) -> None:
    x = leaf(rng)
    (gradient,) = pn.grad(x * 2.0, x)
    assert gradient.item() == 2.0


def test_grad_of_a_computed_tensor(rng: Any) -> None:
    x = leaf(rng, 3)
    y = x * 2.0
    z = (y**2).sum()
    of_y, of_x = pn.grad(z, (y, x))
    np.testing.assert_allclose(of_y.numpy(), 2 * y.detach().numpy())
    np.testing.assert_allclose(of_x.numpy(), 4 * y.detach().numpy())


def test_grad_of_an_output_with_respect_to_itself(rng: Any) -> None:
    x = leaf(rng)
    y = x * 2.0
    assert pn.grad(y, y)[0].item() == 1.0
    assert pn.grad(x, x)[0].item() == 1.0


def test_grad_of_several_outputs_adds_them_up(rng: Any) -> None:
    x = leaf(rng, 3)
    g, h = rng.normal(size=3), rng.normal(size=3)
    (gradient,) = pn.grad([x * 2.0, x * x], x, [pn.asarray(g), h])
    np.testing.assert_allclose(gradient.numpy(), 2 * g + 2 * x.detach().numpy() * h)
    y = (x * 3.0).sum()
    (gradient,) = pn.grad([y, y], x)
    np.testing.assert_allclose(gradient.numpy(), [6.0] * 3)


def test_the_same_input_twice_gives_two_tensors(rng: Any) -> None:
    for create_graph in (False, True):
        x = leaf(rng, 3)
        first, second = pn.grad((x * x).sum(), [x, x], create_graph=create_graph)
        first += 1.0
        np.testing.assert_allclose(second.detach().numpy(), 2 * x.detach().numpy())


def test_grad_of_an_unused_input(rng: Any) -> None:
    x, y = leaf(rng, 3), leaf(rng, 3)
    with pytest.raises(GradientError, match=r"number 2.*allow_unused"):
        pn.grad((x * 2.0).sum(), [x, y])
    used, unused = pn.grad((x * 2.0).sum(), [x, y], allow_unused=True)
    assert used is not None
    assert unused is None


def test_grad_wants_inputs_with_a_gradient(rng: Any) -> None:
    x = leaf(rng, 3)
    with pytest.raises(GradientError, match=r"number 2.*requires_grad"):
        pn.grad((x * 2.0).sum(), [x, pn.ones((3,))])


def test_grad_wants_as_many_cotangents_as_outputs(rng: Any) -> None:
    x = leaf(rng, 3)
    with pytest.raises(GradientError, match="grad_outputs: expected 2.*got 1"):
        pn.grad([x * 1.0, x * 2.0], x, pn.ones((3,)))
    with pytest.raises(ShapeError, match=r"\(3,\).*\(2,\)"):
        pn.grad(x * 1.0, x, pn.ones((2,)))


def test_grad_frees_the_graph_unless_told_not_to(rng: Any) -> None:
    x = leaf(rng, 3)
    y = (x * 2.0).exp().sum()
    pn.grad(y, x, retain_graph=True)
    pn.grad(y, x, create_graph=True)
    pn.grad(y, x)
    with pytest.raises(GraphFreedError):
        pn.grad(y, x)


def test_grad_goes_no_further_than_its_inputs(rng: Any) -> None:
    """What is older than every input stays as it was."""
    x = leaf(rng, 3)
    early = x.exp()
    late = (early * 2.0).sum()
    pn.grad(late, early)
    pn.grad(early.sum(), x)


def test_hooks_run_for_grad_too(rng: Any) -> None:
    x = leaf(rng, 3)
    y = x * 2.0
    y.register_hook(lambda g: g * 10.0)
    x.register_hook(lambda g: g + 1.0)
    assert [g.tolist() for g in pn.grad(y.sum(), [x, y])] == [[21.0] * 3, [10.0] * 3]


# Higher orders


def test_derivatives_of_a_polynomial_up_to_the_fifth(backend: str) -> None:
    x = number(1.5)
    y = x**4 + 2.0 * x**3
    expected = [4 * 1.5**3 + 6 * 1.5**2, 12 * 1.5**2 + 12 * 1.5, 24 * 1.5 + 12, 24.0]
    for value in expected:
        (y,) = pn.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(value, rel=1e-14)
    if y.requires_grad:
        assert pn.grad(y, x, allow_unused=True)[0] in (None, 0.0)


@pytest.mark.parametrize(
    ("function", "derivatives"),
    [
        (pn.exp, [math.exp(0.7)] * 4),
        (pn.sin, [math.cos(0.7), -math.sin(0.7), -math.cos(0.7), math.sin(0.7)]),
        (pn.log, [1 / 0.7, -1 / 0.7**2, 2 / 0.7**3, -6 / 0.7**4]),
        (lambda x: 1.0 / x, [-1 / 0.7**2, 2 / 0.7**3, -6 / 0.7**4, 24 / 0.7**5]),
        (pn.sqrt, [0.5 * 0.7**-0.5, -0.25 * 0.7**-1.5, 0.375 * 0.7**-2.5, -0.9375 * 0.7**-3.5]),
    ],
    ids=["exp", "sin", "log", "reciprocal", "sqrt"],
)
def test_four_derivatives(function: Any, derivatives: list[float], backend: str) -> None:
    x = number(0.7)
    y = function(x)
    for expected in derivatives:
        (y,) = pn.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(expected, rel=1e-12)


def test_third_derivatives_by_finite_differences(backend: str, rng: Any) -> None:
    """Of what has a rule of its own: the second gradient, itself checked twice."""

    def second(x: pn.Tensor) -> pn.Tensor:
        (first,) = pn.grad(pn.sum(F.sigmoid(x) * F.softmax(x, dim=0)), x, create_graph=True)
        (again,) = pn.grad(pn.sum(first * first), x, create_graph=True)
        return again

    x = rng.normal(size=3)
    assert gradcheck(second, x, projections=1)
    if backend == "numpy":
        assert gradgradcheck(second, x, projections=1)


def test_mixed_partials_agree(backend: str, rng: Any) -> None:
    x, y = leaf(rng, 3), leaf(rng, 3)
    z = (pn.sin(x) * pn.exp(y) * x).sum()
    of_x, of_y = pn.grad(z, [x, y], create_graph=True)
    (xy,) = pn.grad(of_x.sum(), y, retain_graph=True)
    (yx,) = pn.grad(of_y.sum(), x)
    a, b = x.detach().numpy(), y.detach().numpy()
    np.testing.assert_allclose(xy.numpy(), (np.cos(a) * a + np.sin(a)) * np.exp(b), rtol=1e-12)
    np.testing.assert_allclose(yx.numpy(), xy.numpy(), rtol=1e-12)


def test_a_hessian_is_the_matrix_of_a_quadratic_form(backend: str, rng: Any) -> None:
    matrix = rng.normal(size=(4, 4))
    x = leaf(rng, 4)
    y = x @ pn.asarray(matrix) @ x
    (first,) = pn.grad(y, x, create_graph=True)
    rows = [pn.grad(first[i], x, retain_graph=True)[0].numpy() for i in range(4)]
    np.testing.assert_allclose(np.stack(rows), matrix + matrix.T, rtol=1e-12)


def test_a_hessian_vector_product_in_two_ways(backend: str, rng: Any) -> None:
    """Backward over backward, and the derivative of the vjp by its cotangent twice over."""
    x, v = leaf(rng, 4), pn.asarray(rng.normal(size=4))

    def function(x: pn.Tensor) -> pn.Tensor:
        return pn.sum(pn.tanh(x) ** 2 * x[0])

    (first,) = pn.grad(function(x), x, create_graph=True)
    (product,) = pn.grad(pn.sum(first * v), x)

    cotangent = pn.ones((), dtype=pn.float64).requires_grad_()
    (vjp,) = pn.grad(function(x), x, cotangent, create_graph=True)
    (jvp,) = pn.grad(vjp, cotangent, v, retain_graph=True)
    (again,) = pn.grad(vjp, x, v)
    np.testing.assert_allclose(again.numpy(), product.numpy(), rtol=1e-12)
    (gradient,) = pn.grad(function(x), x)
    assert jvp.item() == pytest.approx(float(pn.sum(gradient * v)), rel=1e-12)


def test_a_penalty_on_the_gradient_trains_the_weights(backend: str, rng: Any) -> None:
    """The gradient of a function of a gradient, with respect to a weight, against finite differences."""
    x = pn.asarray(rng.normal(size=(5, 3)))

    def penalty(weight: pn.Tensor, bias: pn.Tensor) -> pn.Tensor:
        inputs = x.detach().clone().requires_grad_()
        out = pn.tanh(F.linear(inputs, weight, bias))
        (slope,) = pn.grad(out.sum(), inputs, create_graph=True)
        return pn.sum(slope**2)

    assert gradcheck(penalty, (rng.normal(size=(2, 3)), rng.normal(size=2)))


def test_create_graph_accumulates_in_grad(backend: str) -> None:
    x = number(3.0)
    (x**3).backward(create_graph=True)
    assert x.grad is not None
    assert x.grad.requires_grad
    (x**2).backward(create_graph=True)
    assert x.grad.item() == 27 + 6
    (second,) = pn.grad(x.grad, x)
    assert second.item() == 18 + 2


def test_an_ordinary_backward_adds_to_a_recorded_gradient(backend: str) -> None:
    x = number(3.0)
    (x**3).backward(create_graph=True)
    (x**2).backward()
    assert x.grad.item() == 27 + 6


def test_gradients_of_create_graph_are_tensors_of_their_own(backend: str, rng: Any) -> None:
    """The cotangent of a sum flows to both operands as it is; changing one gradient must not change the other."""
    x, y = leaf(rng, 3), leaf(rng, 3)
    (x + y).sum().backward(create_graph=True)
    x.grad += 5.0
    np.testing.assert_array_equal(y.grad.detach().numpy(), [1.0] * 3)
    of_x, of_y = pn.grad((x + y).sum(), [x, y], create_graph=True)
    of_x *= 7.0
    np.testing.assert_array_equal(of_y.detach().numpy(), [1.0] * 3)
    v = pn.asarray(rng.normal(size=3))
    before = v.numpy().copy()
    z = leaf(rng, 3)
    z.backward(v, create_graph=True)
    z.grad += 5.0
    np.testing.assert_array_equal(v.numpy(), before)


def test_create_graph_records_inside_no_grad(backend: str) -> None:
    """Asking for a graph is asking for it, as in PyTorch."""
    x = number(3.0)
    y = x**3
    with pn.no_grad():
        (first,) = pn.grad(y, x, create_graph=True)
        assert not (x * 2.0).requires_grad
    assert first.requires_grad
    assert pn.grad(first, x)[0].item() == 18.0


def test_an_ordinary_gradient_has_no_history(rng: Any) -> None:
    x = leaf(rng)
    y = x**3
    (first,) = pn.grad(y, x, retain_graph=True)
    assert not first.requires_grad
    with pytest.raises(GradientError):
        pn.grad(first, x)


def test_the_second_derivative_by_a_frozen_branch_is_not_there(rng: Any) -> None:
    x = leaf(rng)
    y = x * x.detach() ** 2
    (first,) = pn.grad(y, x, create_graph=True)
    assert not first.requires_grad


def test_a_graph_freed_by_create_graph_without_retaining(rng: Any) -> None:
    x = leaf(rng)
    y = (x**3).exp()
    (first,) = pn.grad(y, x, create_graph=True, retain_graph=False)
    with pytest.raises(GraphFreedError):
        pn.grad(first, x)


def test_reusing_an_operand_in_higher_orders(backend: str) -> None:
    x = number(2.0)
    y = x * x * x * x
    (first,) = pn.grad(y, x, create_graph=True)
    (second,) = pn.grad(first, x, create_graph=True)
    (third,) = pn.grad(second, x, create_graph=True)
    assert (first.item(), second.item(), third.item()) == (32.0, 48.0, 48.0)


def test_a_sum_in_another_type(backend: str, rng: Any) -> None:
    x = pn.Tensor(rng.normal(size=(2, 3)), dtype=pn.float32, requires_grad=True)
    for function in (pn.sum, pn.prod):
        x.grad = None
        y = function(x, dtype=pn.float64)
        assert y.dtype == pn.float64
        y.backward()
        assert x.grad.dtype == pn.float32
        assert not function(pn.abs(x), dtype=pn.int64).requires_grad


# From one library to another


def others(backend: str) -> list[str]:
    names = [report.name for report in pn.available_backends() if report.available and report.name != backend]
    return [name for name in names if name != "cupy"]


def test_gradients_cross_from_library_to_library(backend: str, rng: Any) -> None:
    for other in others(backend):
        x = leaf(rng, 3)
        home = x.device
        there = x.to(other)
        assert there.device.backend == other
        assert there.requires_grad
        y = (there**3).to(home)
        assert y.device == home
        y.sum().backward()
        assert x.grad.device == home
        np.testing.assert_allclose(x.grad.numpy(), 3 * x.detach().numpy() ** 2)


def test_second_gradients_cross_too(backend: str, rng: Any) -> None:
    for other in others(backend)[:2]:

        def there_and_back(x: pn.Tensor, other: str = other) -> pn.Tensor:
            home = x.device
            return (x.to(other) ** 3 * x.to(other)).to(home) * x

        assert gradcheck(there_and_back, rng.normal(size=3))
        assert gradgradcheck(there_and_back, rng.normal(size=3))


def test_devices_of_one_library(rng: Any) -> None:
    """array-api-strict has several make-believe devices."""
    pytest.importorskip("array_api_strict", reason="the library with several devices")
    with pn.use_backend("array-api-strict", strict=True) as strict:
        first, second = strict.devices()[:2]
        x = leaf(rng, 3)
        assert x.device == first
        moved = x.to(second)
        assert moved.device == second
        (moved * 2.0).sum().backward()
        assert x.grad.device == first
        np.testing.assert_allclose(x.grad.numpy(), [2.0] * 3)


def test_moving_nowhere_is_no_op(rng: Any) -> None:
    x = leaf(rng, 3)
    assert x.to(x.device) is x
    assert x.to(pn.float64) is x
    assert x.to(x.device, copy=True) is not x


def test_conversion_carries_gradients_back(backend: str, rng: Any) -> None:
    x = pn.Tensor(rng.normal(size=3), dtype=pn.float32, requires_grad=True)
    y = x.to(pn.float64)
    assert y.dtype == pn.float64
    (y * y).sum().backward()
    assert x.grad.dtype == pn.float32
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.detach().numpy(), rtol=1e-6)
    for dtype in (pn.int64, pn.bool):
        assert not x.to(dtype).requires_grad


def test_a_complex_number_beside_real_ones_makes_them_complex(backend: str, rng: Any) -> None:
    """The one case in which a Python number decides the data type: the standard has it so."""
    for dtype, wide in ((pn.float32, pn.complex64), (pn.float64, pn.complex128)):
        x = pn.Tensor(rng.normal(size=3), dtype=dtype, requires_grad=True)
        values = x.detach().numpy()
        for found, expected in (
            (x * 2j, values * 2j),
            (2j - x, 2j - values),
            (x / 2j, values / 2j),
            (x + (1 + 2j), values + (1 + 2j)),
        ):
            assert found.dtype == wide
            np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-6)
        pn.sum(pn.imag(x * x * 2j)).backward()
        assert x.grad.dtype == dtype
        np.testing.assert_allclose(x.grad.numpy(), 4 * values, rtol=1e-6)
    with pytest.raises(pn.errors.DTypeError, match="complex64"):
        _ = pn.asarray([1, 2]) * 1j
    y = pn.asarray([1.0, 2.0])
    with pytest.raises(pn.errors.DTypeError, match="cannot hold them"):
        y += 1j


# Inside a compiler


def test_a_whole_gradient_can_be_compiled_by_jax() -> None:
    """Nothing of the traced call may be left behind for the calls that follow."""
    jax = pytest.importorskip("jax", reason="the compiler is JAX's")
    with pn.use_backend("jax", strict=True):

        def slope(array: Any) -> Any:
            x = pn.asarray(array).requires_grad_()
            y = pn.sum(pn.tanh(x) ** 2)
            (gradient,) = pn.grad(y, x)
            return gradient.data

        def slope_by_backward(array: Any) -> Any:
            x = pn.asarray(array).requires_grad_()
            pn.sum(pn.tanh(x) ** 2).backward()
            return x.grad.data

        def curvature(array: Any) -> Any:
            x = pn.asarray(array).requires_grad_()
            (first,) = pn.grad(pn.sum(pn.tanh(x) ** 2), x, create_graph=True)
            (second,) = pn.grad(pn.sum(first), x)
            return second.data

        point = jax.numpy.asarray(np.linspace(-1, 1, 7))
        for function in (slope, slope_by_backward, curvature):
            with jax.checking_leaks():
                compiled = jax.jit(function)(point)
            np.testing.assert_allclose(np.asarray(compiled), np.asarray(function(point)), rtol=1e-12)
            other = jax.numpy.asarray(np.linspace(-2, 1, 5))
            np.testing.assert_allclose(
                np.asarray(jax.jit(function)(other)), np.asarray(function(other)), rtol=1e-12
            )
