"""Derivatives of functions: value_and_grad, jacobian, hessian, jvp, hvp."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import portanet as pn
from portanet.errors import DTypeError, GradientError, ShapeError


class Pair(NamedTuple):
    left: Any
    right: Any


def numbers(rng: Any, *shape: int) -> pn.Tensor:
    return pn.asarray(np.asarray(rng.normal(size=shape)))


def close(found: pn.Tensor, expected: Any, tolerance: float = 1e-6) -> None:
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=tolerance, atol=tolerance)


def differences(function: Any, x: Any, step: float = 1e-6) -> Any:
    """The Jacobian of a function of one NumPy array by central differences."""
    columns = []
    out = function(pn.asarray(x)).shape
    for i in range(x.size):
        ends = []
        for sign in (1, -1):
            moved = x.copy().reshape(-1)
            moved[i] += sign * step
            ends.append(np.asarray(function(pn.asarray(moved.reshape(x.shape))).detach().numpy()))
        columns.append((ends[0] - ends[1]) / (2 * step))
    return np.stack(columns, axis=-1).reshape(out + x.shape) if columns else np.zeros(out + x.shape)


def bent(x: pn.Tensor) -> pn.Tensor:
    """Of any vector, two numbers that depend on all of it."""
    return pn.stack([pn.sum(pn.sin(x) * x), pn.sum(x) ** 3])


# value_and_grad


def test_value_and_gradient(backend: str, rng: Any) -> None:
    x = numbers(rng, 3)
    value, slope = pn.value_and_grad(lambda x: pn.sum(x**3))(x)
    close(value, np.sum(x.numpy() ** 3))
    close(slope, 3 * x.numpy() ** 2)
    assert x.grad is None
    assert not x.requires_grad
    assert not value.requires_grad
    assert not slope.requires_grad


def test_a_raw_array_may_be_the_argument(rng: Any) -> None:
    x = rng.normal(size=3)
    _, slope = pn.value_and_grad(lambda x: pn.sum(x * x))(x)
    close(slope, 2 * x)


def test_several_arguments_and_keywords(backend: str, rng: Any) -> None:
    x, y = numbers(rng, 3), numbers(rng, 3)

    def function(x: Any, label: str, y: Any, *, scale: float) -> Any:
        assert label == "as it is"
        return pn.sum(x * y * y) * scale

    _, (by_x, by_y) = pn.value_and_grad(function, argnums=(0, 2))(x, "as it is", y, scale=2.0)
    close(by_x, 2 * y.numpy() ** 2)
    close(by_y, 4 * x.numpy() * y.numpy())
    _, last = pn.value_and_grad(function, argnums=-1)(x, "as it is", y, scale=1.0)
    close(last, 2 * x.numpy() * y.numpy())


def test_trees_come_back_in_their_shape(rng: Any) -> None:
    tree = {"a": numbers(rng, 2), "b": [numbers(rng), (Pair(numbers(rng, 3), "text"), 7)]}

    def function(tree: Any) -> Any:
        pair, seven = tree["b"][1]
        assert (pair.right, seven) == ("text", 7)
        return pn.sum(tree["a"] ** 2) * tree["b"][0] + pn.sum(pair.left)

    _, slope = pn.value_and_grad(function)(tree)
    close(slope["a"], 2 * tree["a"].numpy() * tree["b"][0].numpy())
    close(slope["b"][0], np.sum(tree["a"].numpy() ** 2))
    close(slope["b"][1][0].left, np.ones(3))
    assert isinstance(slope["b"][1][0], Pair)
    assert slope["b"][1][1] == 7


def test_a_model_as_a_function_of_its_parameters(backend: str, rng: Any) -> None:
    model = pn.nn.Sequential(pn.nn.Linear(3, 4), pn.nn.Tanh(), pn.nn.Linear(4, 1))
    x = pn.asarray(rng.normal(size=(5, 3)).astype("float32"))
    parameters = dict(model.named_parameters())

    def loss(parameters: Any) -> Any:
        return pn.mean(pn.functional_call(model, parameters, x) ** 2)

    value, slopes = pn.value_and_grad(loss)(parameters)
    pn.mean(model(x) ** 2).backward()
    assert list(slopes) == list(parameters)
    for name, parameter in parameters.items():
        close(slopes[name], parameter.grad.numpy())
    assert not value.requires_grad


def test_aux_is_handed_through(rng: Any) -> None:
    x = numbers(rng, 3)
    (value, aux), slope = pn.value_and_grad(lambda x: (pn.sum(x), {"seen": 3}), has_aux=True)(x)
    assert aux == {"seen": 3}
    close(value, np.sum(x.numpy()))
    close(slope, np.ones(3))


def test_what_nothing_depends_on_has_gradient_zero(rng: Any) -> None:
    x, y = numbers(rng, 3), numbers(rng, 2)
    _, (by_x, by_y) = pn.value_and_grad(lambda x, y: pn.sum(x), argnums=(0, 1))(x, y)
    close(by_x, np.ones(3))
    close(by_y, np.zeros(2))
    _, flat = pn.value_and_grad(lambda x: pn.sum(pn.floor(x)))(x)
    close(flat, np.zeros(3))


def test_it_works_inside_no_grad_and_leaves_parameters_alone(rng: Any) -> None:
    weight = pn.Tensor(rng.normal(size=3), requires_grad=True)
    with pn.no_grad():
        _, slope = pn.value_and_grad(lambda x: pn.sum(x * x))(weight)
    close(slope, 2 * weight.detach().numpy())
    assert weight.grad is None


def test_a_gradient_penalty_reaches_the_parameters(backend: str, rng: Any) -> None:
    weight = pn.Tensor(rng.normal(size=3), requires_grad=True)
    x = numbers(rng, 3)
    _, slope = pn.value_and_grad(lambda x: pn.sum(pn.tanh(x * weight)), create_graph=True)(x)
    pn.sum(slope**2).backward()

    def penalty(weight: Any) -> Any:
        t = np.tanh(x.numpy() * weight)
        return np.sum((weight * (1 - t * t)) ** 2)

    w = weight.detach().numpy()
    expected = [(penalty(w + step) - penalty(w - step)) / 2e-6 for step in np.eye(3) * 1e-6]
    close(weight.grad, expected, 1e-5)


@pytest.mark.parametrize(
    ("function", "argument", "argnums", "error", "said"),
    [
        (lambda x: x, [1.0, 2.0], 0, ShapeError, "one number"),
        (lambda x: 3.0, [1.0], 0, TypeError, "float"),
        (lambda x: (pn.sum(x), 1), [1.0], 0, TypeError, "has_aux"),
        (lambda x: pn.sum(x), [1.0], 1, IndexError, "argnums"),
        (lambda x: pn.sum(x), [1], 0, DTypeError, "int64"),
        (lambda x: pn.sum(x) * pn.asarray(1j), [1.0], 0, DTypeError, "complex"),
    ],
)
def test_mistakes_are_told(
    function: Any, argument: Any, argnums: int, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        pn.value_and_grad(function, argnums)(pn.asarray(argument))


def test_a_python_number_cannot_be_differentiated_by() -> None:
    with pytest.raises(GradientError, match="asarray"):
        pn.value_and_grad(lambda x: x)(3.0)


# jacobian and hessian


@pytest.mark.parametrize("shape", [(3,), (2, 2), (), (0,)])
def test_jacobian(shape: tuple[int, ...], backend: str, rng: Any) -> None:
    x = rng.normal(size=shape)
    found = pn.jacobian(bent)(pn.asarray(np.asarray(x)))
    close(found, differences(bent, np.asarray(x)), 1e-7)


def test_jacobian_of_no_numbers_and_of_constants(rng: Any) -> None:
    x = numbers(rng, 3)
    assert pn.jacobian(lambda x: x[:0])(x).shape == (0, 3)
    close(pn.jacobian(lambda x: pn.floor(x[:2]))(x), np.zeros((2, 3)))


def test_jacobian_by_several_arguments(rng: Any) -> None:
    x, y = numbers(rng, 2), numbers(rng, 3)
    by_x, by_y = pn.jacobian(lambda x, y: x * pn.sum(y * y), argnums=(0, 1))(x, y)
    close(by_x, np.eye(2) * np.sum(y.numpy() ** 2))
    close(by_y, 2 * np.outer(x.numpy(), y.numpy()))


def test_hessian(backend: str, rng: Any) -> None:
    x = rng.normal(size=(2, 2))

    def function(x: Any) -> Any:
        return pn.sum(pn.sin(x)) * pn.sum(x**2)

    expected = differences(lambda x: pn.value_and_grad(function)(x)[1], x)
    close(pn.hessian(function)(pn.asarray(x)), expected, 1e-6)


def test_hessian_by_several_arguments(rng: Any) -> None:
    x, y = numbers(rng, 2), numbers(rng, 2)
    found = pn.hessian(lambda x, y: pn.sum(x * x * y), argnums=(0, 1))(x, y)
    close(found[0][0], np.diag(2 * y.numpy()))
    close(found[0][1], np.diag(2 * x.numpy()))
    close(found[1][0], np.diag(2 * x.numpy()))
    close(found[1][1], np.zeros((2, 2)))


def test_transforms_nest_to_any_depth(backend: str, rng: Any) -> None:
    x = numbers(rng)
    function: Any = lambda x: pn.sin(x)  # noqa: E731
    expected = [np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin]
    for derivative in expected:
        function = pn.jacobian(function)
        close(function(x), derivative(x.numpy()))


def test_an_inner_transform_sees_only_its_own_argument(rng: Any) -> None:
    """The outer variable is a constant to the inner derivative, though both are the same number."""
    x = numbers(rng)
    _, slope = pn.value_and_grad(lambda x: x * pn.value_and_grad(lambda y: x * y * y)(x)[1])(x)
    close(slope, 6 * x.numpy() ** 2)  # d/dx of x * (2 x x)


# jvp and hvp


def test_jvp_is_the_jacobian_times_the_direction(backend: str, rng: Any) -> None:
    x, v = numbers(rng, 3), numbers(rng, 3)
    value, change = pn.jvp(bent, x, v)
    close(value, bent(x).numpy())
    close(change, pn.jacobian(bent)(x).numpy() @ v.numpy())
    assert not change.requires_grad


def test_jvp_of_several_arguments_and_results(rng: Any) -> None:
    x, y, v, w = (numbers(rng, 2) for _ in range(4))
    values, changes = pn.jvp(lambda x, y: {"p": x * y, "q": [y, pn.ones_like(x)]}, (x, y), (v, w))
    close(values["p"], x.numpy() * y.numpy())
    close(changes["p"], v.numpy() * y.numpy() + x.numpy() * w.numpy())
    close(changes["q"][0], w.numpy())
    close(changes["q"][1], np.zeros(2))


def test_jvp_differentiates_again(rng: Any) -> None:
    x, v = numbers(rng, 3), numbers(rng, 3)
    _, slope = pn.value_and_grad(lambda x: pn.sum(pn.jvp(pn.sin, x, v)[1]))(x)
    close(slope, -np.sin(x.numpy()) * v.numpy())


def test_hvp_is_the_hessian_times_the_direction(backend: str, rng: Any) -> None:
    x, v = numbers(rng, 4), numbers(rng, 4)

    def function(x: Any) -> Any:
        return pn.sum(pn.exp(x * 0.3)) * pn.sum(x**3)

    value, product = pn.hvp(function, x, v)
    close(value, function(x).numpy())
    close(product, pn.hessian(function)(x).numpy() @ v.numpy(), 1e-9)


def test_hvp_of_a_linear_function_is_zero(rng: Any) -> None:
    x, y, v, w = (numbers(rng, 2) for _ in range(4))
    _, (by_x, by_y) = pn.hvp(lambda x, y: pn.sum(x) + pn.sum(y * y), (x, y), (v, w))
    close(by_x, np.zeros(2))
    close(by_y, 2 * w.numpy())
    _, product = pn.hvp(pn.sum, x, v)
    close(product, np.zeros(2))


def test_directions_of_another_shape_are_refused(rng: Any) -> None:
    with pytest.raises(ShapeError, match=r"tangents: .*\(3,\).*\(2,\)"):
        pn.jvp(pn.sin, numbers(rng, 3), numbers(rng, 2))
