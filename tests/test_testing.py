"""The gradient checker itself: what is right passes, and each planted mistake is found, whatever the random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import DTypeError, GradcheckError, OptionError
from portanet.ops import elementwise
from portanet.tensor import RECORDED_OPS, lift
from portanet.testing import gradcheck, gradgradcheck

Array = Any


@pytest.fixture
def plant() -> Iterator[Callable[..., Any]]:
    """Makes a Tensor function of an op, and forgets the op after the test."""
    planted = []

    def lifted(op: Any) -> Any:
        planted.append(op)
        return lift(op)

    yield lifted
    for op in planted:
        RECORDED_OPS.pop(op, None)


def draw(rng: Any, *shape: int) -> pn.Tensor:
    return pn.asarray(rng.normal(size=shape))


# Rules that are wrong at first order


def sine_with_wrong_sign(xp: Any, x: Array) -> Any:
    return xp.sin(x), (lambda g: -g * xp.cos(x),)


def square_with_wrong_factor(xp: Any, x: Array) -> Any:
    return x * x, (lambda g: g * x,)


def square_nearly_right(xp: Any, x: Array) -> Any:
    return x * x, (lambda g: g * x * 2.001,)


def product_with_swapped_operands(xp: Any, x: Array, y: Array) -> Any:
    return x * y, (lambda g: g * x, lambda g: g * y)


def square_matmul_not_transposed(xp: Any, x: Array, y: Array) -> Any:
    transpose = xp.matrix_transpose
    return x @ y, (lambda g: g @ y, lambda g: transpose(x) @ g)


def transpose_of_square_forgotten(xp: Any, x: Array) -> Any:
    return xp.matrix_transpose(x), (lambda g: g,)


def softmax_without_its_sum(xp: Any, x: Array) -> Any:
    """Its rule is wrong by a term whose sum over each line is zero: backpropagating ``.sum()`` would not see it."""
    weights = xp.exp(x)
    r = weights / xp.sum(weights, axis=-1, keepdims=True)
    return r, (lambda g: r * (g - xp.mean(g, axis=-1, keepdims=True)),)


def mean_without_its_count(xp: Any, x: Array) -> Any:
    shape = x.shape
    return xp.mean(x), (lambda g: xp.broadcast_to(xp.reshape(g, (1,) * len(shape)), shape),)


def constant_in_one_element(xp: Any, x: Array) -> Any:
    """Loses the gradient of the first element alone."""
    return x * 3.0, (lambda g: xp.concat([xp.zeros_like(g[:1, ...]), g[1:, ...] * 3.0]),)


def not_a_number(xp: Any, x: Array) -> Any:
    return x * 1.0, (lambda g: g * float("nan"),)


WRONG_OF_ONE = [
    sine_with_wrong_sign,
    square_with_wrong_factor,
    square_nearly_right,
    transpose_of_square_forgotten,
    softmax_without_its_sum,
    mean_without_its_count,
    constant_in_one_element,
    not_a_number,
]
WRONG_OF_TWO = [product_with_swapped_operands, square_matmul_not_transposed]


@pytest.mark.parametrize("op", WRONG_OF_ONE, ids=lambda op: op.__name__)
def test_a_wrong_rule_fails(op: Any, plant: Any, backend: str, rng: Any) -> None:
    function = plant(op)
    for _ in range(3):
        with pytest.raises(GradcheckError, match=op.__name__):
            gradcheck(function, draw(rng, 4, 4))


@pytest.mark.parametrize("op", WRONG_OF_TWO, ids=lambda op: op.__name__)
def test_a_wrong_rule_of_two_operands_fails(op: Any, plant: Any, backend: str, rng: Any) -> None:
    function = plant(op)
    for _ in range(3):
        with pytest.raises(GradcheckError, match=op.__name__):
            gradcheck(function, (draw(rng, 3, 3), draw(rng, 3, 3)))


def test_a_broadcast_that_is_not_undone_is_an_error(plant: Any, rng: Any) -> None:
    """A rule that sums its cotangent itself gives the engine a gradient of a shape that does not fit."""

    def summed_over_the_wrong_axis(xp: Any, x: Array, y: Array) -> Any:
        return x * y, (lambda g: g * y, lambda g: xp.sum(g * x, axis=1))

    function = plant(summed_over_the_wrong_axis)
    with pytest.raises(GradcheckError, match="summed_over_the_wrong_axis"):
        gradcheck(function, (draw(rng, 3, 3), draw(rng, 3)))


def test_a_missing_broadcast_fails(plant: Any, rng: Any) -> None:
    """The gradient of one repetition alone, of the right shape."""

    def gradient_of_the_first_row(xp: Any, x: Array, y: Array) -> Any:
        return x + y, (lambda g: g, lambda g: g[0, :])

    function = plant(gradient_of_the_first_row)
    with pytest.raises(GradcheckError, match="input 2 DISAGREES"):
        gradcheck(function, (draw(rng, 3, 4), draw(rng, 4)))


# Rules that are right at first order and wrong at second


def raw(x: Array) -> Array:
    """What hides an operand from a higher-order pass."""
    return x.detach() if isinstance(x, pn.Tensor) else x


def cube_that_hides_its_operand(xp: Any, x: Array) -> Any:
    return x * x * x, (lambda g: g * (3 * raw(x) * raw(x)),)


def exponential_that_hides_its_result(xp: Any, x: Array) -> Any:
    r = xp.exp(x)
    return r, (lambda g: g * raw(r),)


def square_that_hides_its_cotangent(xp: Any, x: Array) -> Any:
    return x * x, (lambda g: raw(g) * (2 * x),)


def product_that_hides_one_operand(xp: Any, x: Array) -> Any:
    return x * xp.sin(x), (lambda g: g * (xp.sin(x) + raw(x) * xp.cos(x)),)


HIDING = [
    cube_that_hides_its_operand,
    exponential_that_hides_its_result,
    square_that_hides_its_cotangent,
    product_that_hides_one_operand,
]


@pytest.mark.parametrize("op", HIDING, ids=lambda op: op.__name__)
def test_a_rule_that_is_wrong_at_second_order_only(op: Any, plant: Any, backend: str, rng: Any) -> None:
    function = plant(op)
    x = draw(rng, 5)
    assert gradcheck(function, x)
    with pytest.raises(GradcheckError, match=f"gradgradcheck.*{op.__name__}"):
        gradgradcheck(function, x)


def test_a_sigmoid_whose_formula_has_a_kink_is_wrong_at_second_order(plant: Any) -> None:
    """``sigmoid`` through ``abs``: differentiating the formula again gives 0 at 0 for the derivative of ``abs``."""

    def kinked(xp: Any, x: Array) -> Any:
        decay = xp.exp(-xp.abs(x))
        r = xp.where(x >= 0, xp.ones_like(decay), decay) / (1 + decay)
        return r, (lambda g: g * (r * (1 - r)),)

    function = plant(kinked)
    x = pn.zeros((2,), dtype=pn.float64)
    assert gradcheck(function, x)
    # The second derivative of the true sigmoid at 0 is 0 and so is the one found here, but the third is not:
    x = pn.Tensor(0.0, dtype=pn.float64, requires_grad=True)

    def third_derivative(sigmoid: Any) -> float:
        (first,) = pn.grad(sigmoid(x), x, create_graph=True)
        (second,) = pn.grad(first, x, create_graph=True)
        return float(pn.grad(second, x)[0])

    assert third_derivative(pn.nn.functional.sigmoid) == pytest.approx(-1 / 8)
    assert third_derivative(function) != pytest.approx(-1 / 8)


def test_a_recorded_gradient_that_is_another_one_than_the_ordinary_is_found(plant: Any, rng: Any) -> None:
    def two_faced(xp: Any, x: Array) -> Any:
        slope = 3.0 if xp is pn else 2.0
        return x * 2.0, (lambda g: g * slope,)

    function = plant(two_faced)
    assert gradcheck(function, draw(rng, 3))
    with pytest.raises(GradcheckError, match="when it is recorded"):
        gradgradcheck(function, draw(rng, 3))


# What is right


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_right_rules_pass(check: Any, backend: str, rng: Any) -> None:
    weight, bias, x = draw(rng, 3, 4), draw(rng, 3), draw(rng, 2, 4)
    assert check(pn.nn.functional.linear, (x, weight, bias))
    assert check(lambda x: pn.tanh(x) * pn.exp(-x), x)
    assert check(lambda x, y: (x * y, pn.sin(x)), (x, draw(rng, 1, 4)))


def test_several_outputs_are_all_checked(rng: Any, plant: Any) -> None:
    wrong = plant(square_with_wrong_factor)
    for function in (lambda x: (pn.sin(x), wrong(x)), lambda x: [wrong(x), pn.sin(x)]):
        with pytest.raises(GradcheckError):
            gradcheck(function, draw(rng, 3))


def test_an_input_that_is_not_used_has_no_derivative(rng: Any) -> None:
    assert gradcheck(lambda x, y: x * 2.0, (draw(rng, 3), draw(rng, 2)))
    assert gradgradcheck(lambda x, y: x * 2.0, (draw(rng, 3), draw(rng, 2)))


def test_an_input_whose_gradient_is_lost_is_found(rng: Any) -> None:
    with pytest.raises(GradcheckError, match="input 2 DISAGREES"):
        gradcheck(lambda x, y: x * y.detach(), (draw(rng, 3), draw(rng, 3)))


def test_an_output_whose_gradient_is_lost_is_found(rng: Any) -> None:
    with pytest.raises(GradcheckError, match="DISAGREES"):
        gradcheck(lambda x: (x * 2.0, x.detach() * 3.0), draw(rng, 3))


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_a_function_without_any_gradient_is_refused(check: Any, rng: Any) -> None:
    """A check of nothing would always pass."""
    with pytest.raises(GradcheckError, match=f"{check.__name__}: no output of floor requires a gradient"):
        check(pn.floor, draw(rng, 3))


def test_integers_numbers_and_options_go_through(rng: Any) -> None:
    def gather(x: Array, indices: Array, factor: float, axis: int | None) -> Array:
        assert isinstance(indices, pn.Tensor)
        return pn.sum(pn.take(x, indices, axis=0) * factor, axis=axis)

    indices = pn.asarray([0, 2, 2])
    assert gradcheck(gather, (draw(rng, 3, 2), indices, 2.5, None))
    assert gradgradcheck(gather, (draw(rng, 3, 2), indices, 2.5, 0))
    assert gradcheck(gather, (rng.normal(size=(3, 2)), np.asarray([1, 1]), 1, -1))  # arrays become Tensors


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_empty_inputs_are_allowed(check: Any) -> None:
    assert check(pn.sin, pn.zeros((0, 3), dtype=pn.float64))


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_the_inputs_stay_as_they_are(check: Any, rng: Any) -> None:
    values = rng.normal(size=(2, 3))
    before = values.copy()
    x = pn.Tensor(values, requires_grad=True)
    check(lambda x: x.exp() * x, x)
    check(lambda x: x.exp() * x, values)
    assert x.grad is None
    assert x.requires_grad
    np.testing.assert_array_equal(x.detach().numpy(), before)
    np.testing.assert_array_equal(values, before)


def test_a_function_that_differentiates_inside_can_be_checked(rng: Any) -> None:
    def slope(x: pn.Tensor) -> pn.Tensor:
        (first,) = pn.grad(pn.sum(x**3), x, create_graph=True)
        return first

    assert gradcheck(slope, draw(rng, 3))
    assert gradgradcheck(slope, draw(rng, 3))


# What it says


def test_a_failure_prints_what_one_needs_and_can_be_repeated(plant: Any, rng: Any) -> None:
    function = plant(product_with_swapped_operands)
    x, y = pn.asarray([1.5, -2.5]).to(pn.float64), pn.asarray([0.25, 4.75]).to(pn.float64)
    seed = int(rng.integers(2**31))
    messages = []
    for _ in range(2):
        with pytest.raises(GradcheckError) as failure:
            gradcheck(function, (x, y), generator=pn.random.Generator(seed))
        messages.append(str(failure.value))
    assert messages[0] == messages[1]
    for part in (
        "[ 1.5, -2.5]",
        "[0.25, 4.75]",
        "input 1 DISAGREES",
        "input 2 DISAGREES",
        f"Generator({seed})",
    ):
        assert part in messages[0]
    generator = pn.random.Generator(seed)
    cotangent = pn.random.normal((2,), dtype=pn.float64, generator=generator)
    direction = pn.random.normal((2,), dtype=pn.float64, generator=generator)
    assert f"cotangent of output 1: {cotangent!r}" in messages[0]
    assert f"direction: {direction!r}" in messages[0]
    wrong = float(pn.sum(cotangent * x * direction))
    right = float(pn.sum(cotangent * y * direction))
    by_rule, measured = (
        float(word)
        for line in messages[0].splitlines()
        if line.startswith("input 1")
        for word in (line.split(": ")[1].split(" ")[0], line.split("rule, ")[1].split(" ")[0])
    )
    # The two terms of each sum can cancel, so the error is measured beside the terms and not beside the sum.
    size = float(pn.sum(pn.abs(cotangent * direction) * (pn.abs(x) + pn.abs(y))))
    assert by_rule == pytest.approx(wrong, rel=0, abs=1e-12 * size)
    assert measured == pytest.approx(right, rel=0, abs=1e-8 * size)


def test_only_the_input_with_the_wrong_rule_is_accused(plant: Any, rng: Any) -> None:
    def divided(xp: Any, x: Array, y: Array) -> Any:
        return x / y, (lambda g: g / y, lambda g: g * x / (y * y))

    function = plant(divided)
    with pytest.raises(GradcheckError) as failure:
        gradcheck(function, (draw(rng, 3), draw(rng, 3).exp()))
    assert "input 1 agrees" in str(failure.value)
    assert "input 2 DISAGREES" in str(failure.value)


def test_the_state_of_a_used_generator_is_told(plant: Any, rng: Any) -> None:
    generator = pn.random.Generator(5)
    pn.random.normal((3,), generator=generator)
    with pytest.raises(GradcheckError, match=r"'seed': 5, 'draws': 1"):
        gradcheck(plant(square_with_wrong_factor), draw(rng, 3), generator=generator)


def test_the_error_is_an_assertion() -> None:
    assert issubclass(GradcheckError, AssertionError)
    assert issubclass(GradcheckError, pn.errors.PortanetError)


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_bad_arguments_are_refused(check: Any, rng: Any) -> None:
    x = draw(rng, 3)
    with pytest.raises(DTypeError, match=r"number 2 is float32.*float64"):
        check(pn.add, (x, x.to(pn.float32)))
    with pytest.raises(DTypeError, match="no floating-point"):
        check(lambda i: x * 2.0, pn.asarray([1, 2]))
    with pytest.raises(TypeError, match="return Tensors"):
        check(lambda x: 2.0, x)
    with pytest.raises(OptionError, match="projections"):
        check(pn.sin, x, projections=0)
    with pytest.raises(OptionError, match="eps"):
        check(pn.sin, x, eps=0.0)


def test_the_right_sine_is_not_the_planted_one(plant: Any) -> None:
    """The planting fixture leaves the real table as it was."""
    plant(sine_with_wrong_sign)
    assert RECORDED_OPS[elementwise.sin] is pn.sin
    assert RECORDED_OPS[sine_with_wrong_sign] is not pn.sin
