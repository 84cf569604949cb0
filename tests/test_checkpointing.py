"""checkpoint: the gradients are those of the plain call, and the intermediate results are not kept."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import GradientError, OverwrittenError


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-12)


def leaf(rng: Any, *shape: int) -> pn.Tensor:
    return pn.Tensor(rng.normal(size=shape), requires_grad=True)


def test_gradients_of_arguments_and_of_what_the_function_closes_over(backend: str, rng: Any) -> None:
    x, w, unused = leaf(rng, 4, 3), leaf(rng, 3, 3), leaf(rng, 2)

    def block(x: Any) -> Any:
        return pn.tanh(pn.tanh(x @ w) @ w) * pn.sum(x)

    plain = pn.grad(pn.sum(block(x * 2.0) ** 2), [x, w])
    found = pn.grad(pn.sum(pn.checkpoint(block, x * 2.0) ** 2), [x, w, unused], allow_unused=True)
    for one, other in zip(found, plain, strict=False):
        close(one, other)
    assert found[2] is None


def test_backward_accumulates_once(backend: str, rng: Any) -> None:
    model = pn.nn.Sequential(pn.nn.Linear(3, 5), pn.nn.Tanh(), pn.nn.Linear(5, 1))
    x = pn.asarray(rng.normal(size=(4, 3)).astype("float32"))
    pn.sum(model(x) ** 2).backward()
    expected = [p.grad for p in model.parameters()]
    model.zero_grad()
    pn.sum(pn.checkpoint(model, x) ** 2).backward()
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), gradient.numpy(), rtol=1e-5, atol=1e-6)


def test_second_derivatives(backend: str, rng: Any) -> None:
    x, w = leaf(rng, 3), leaf(rng, 3)

    def second(call: Any) -> Any:
        y = pn.sum(call(lambda x: pn.sin(x * w) * x, x * 1.0) ** 2)
        first = pn.grad(y, [x, w], create_graph=True)
        return pn.grad(pn.sum(first[0] * first[1]), [x, w])

    for one, other in zip(second(pn.checkpoint), second(lambda f, *a: f(*a)), strict=True):
        close(one, other)


def test_checkpoints_nest_and_chain(backend: str, rng: Any) -> None:
    x = leaf(rng, 3)

    def inner(x: Any) -> Any:
        return pn.tanh(x) * x

    def outer(x: Any) -> Any:
        return pn.checkpoint(inner, pn.checkpoint(inner, x) + 1.0)

    y = x
    z = x
    for _ in range(3):
        y, z = pn.checkpoint(outer, y), inner(inner(z) + 1.0)
    close(pn.grad(pn.sum(y), x)[0], pn.grad(pn.sum(z), x)[0])


def test_a_border_upon_another_border(rng: Any) -> None:
    """An argument that is computed from another one: each path is counted once."""
    x = leaf(rng, 3)
    y = pn.sin(x)
    seen: list[pn.Tensor] = []
    y.register_hook(seen.append)
    found = pn.grad(pn.sum(pn.checkpoint(lambda a, b: a * b * b, x, y)), x, retain_graph=True)[0]
    assert len(seen) == 1
    close(found, pn.grad(pn.sum(x * pn.sin(x) ** 2), x)[0])


def test_trees_and_keywords_go_through(rng: Any) -> None:
    x, y = leaf(rng, 3), leaf(rng, 3)

    def function(parts: Any, *, scale: Any) -> Any:
        return parts["a"] * parts["b"][0] * scale

    pn.sum(pn.checkpoint(function, {"a": x, "b": [y]}, scale=2.0)).backward()
    close(x.grad, y * 2.0)


def test_random_numbers_are_the_same_in_both_calls(rng: Any) -> None:
    x = leaf(rng, 1000)
    pn.manual_seed(int(rng.integers(2**31)))

    def noisy(x: Any) -> Any:
        return x * pn.random.uniform((1000,), dtype=pn.float64)

    y = pn.checkpoint(noisy, x)
    after = pn.random.uniform((3,))
    state = pn.random.default_generator.get_state()
    pn.sum(y).backward()
    assert pn.random.default_generator.get_state() == state
    np.testing.assert_allclose(x.grad.numpy() * x.detach().numpy(), y.detach().numpy())
    assert after.shape == (3,)


def test_intermediate_results_are_not_kept(rng: Any) -> None:
    x = leaf(rng, 3)
    made: list[Any] = []

    def watched(x: Any) -> Any:
        middle = pn.exp(x)
        made.append(weakref.ref(middle.data))
        return pn.sum(middle * middle)

    y = pn.checkpoint(watched, x)
    gc.collect()
    assert made[0]() is None
    y.backward()
    assert len(made) == 2
    kept = watched(x)
    assert made[2]() is not None
    assert kept.requires_grad


def test_without_a_gradient_it_is_the_plain_call(rng: Any) -> None:
    x = pn.asarray(rng.normal(size=3))
    assert not pn.checkpoint(pn.sin, x).requires_grad
    w = leaf(rng, 3)
    with pn.no_grad():
        assert not pn.checkpoint(pn.sin, w).requires_grad
    same = pn.checkpoint(lambda x: x, w)
    close(pn.grad(pn.sum(same * same), w)[0], 2 * w)


def test_a_graph_may_be_walked_twice(rng: Any) -> None:
    x = leaf(rng, 3)
    y = pn.sum(pn.checkpoint(pn.exp, x))
    first = pn.grad(y, x, retain_graph=True)[0]
    close(pn.grad(y, x)[0], first)
    with pytest.raises(GradientError):
        pn.grad(y, x)


def test_a_parameter_overwritten_in_between_is_an_error(rng: Any) -> None:
    w = leaf(rng, 3)
    x = leaf(rng, 3)
    y = pn.sum(pn.checkpoint(lambda x: pn.tanh(x * w), x))
    optimizer = pn.optim.SGD([w], lr=0.1)
    w.grad = pn.ones_like(w)
    optimizer.step()
    with pytest.raises(OverwrittenError):
        y.backward()


def test_a_function_that_changes_its_mind_is_told(rng: Any) -> None:
    x, y = leaf(rng, 3), leaf(rng, 3)
    calls = iter((x, y))
    z = pn.sum(pn.checkpoint(lambda: pn.sin(next(calls))))
    with pytest.raises(GradientError, match="second call"):
        z.backward()


def test_several_results_are_refused(rng: Any) -> None:
    with pytest.raises(TypeError, match="one Tensor, got tuple"):
        pn.checkpoint(lambda x: (x, x), leaf(rng, 3))
