"""Hooks on gradients, and the gradients of computed Tensors that are kept."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import (
    DTypeError,
    GradientError,
    MixedBackendError,
    ShapeError,
)


def leaf(rng: Any, *shape: int) -> pn.Tensor:
    return pn.Tensor(rng.normal(size=shape), requires_grad=True)


def equal(found: pn.Tensor | None, expected: Any) -> None:
    assert found is not None
    np.testing.assert_array_equal(found.detach().numpy(), np.asarray(expected))


def test_a_hook_sees_the_whole_gradient_once(backend: str, rng: Any) -> None:
    x = leaf(rng, 3)
    y = x * 2.0
    seen: list[tuple[str, Any]] = []
    x.register_hook(lambda g: seen.append(("leaf", g)))
    y.register_hook(lambda g: seen.append(("computed", g)))
    (y * 3.0 + y).sum().backward()
    assert [name for name, _ in seen] == ["computed", "leaf"]
    for (_, gradient), expected in zip(seen, (4.0, 8.0), strict=True):
        assert isinstance(gradient, pn.Tensor)
        assert not gradient.requires_grad
        equal(gradient, [expected] * 3)
    equal(x.grad, [8.0] * 3)


@pytest.mark.parametrize("where", ["leaf", "computed"])
def test_a_hook_replaces_the_gradient(where: str, backend: str, rng: Any) -> None:
    x = leaf(rng, 3)
    y = x * 2.0
    (x if where == "leaf" else y).register_hook(lambda g: g * 10.0)
    y.sum().backward()
    equal(x.grad, [20.0] * 3)


def test_hooks_run_in_the_order_of_their_registration(rng: Any) -> None:
    x = leaf(rng)
    x.register_hook(lambda g: g + 1.0)
    x.register_hook(lambda g: g * 10.0)
    (x * 1.0).backward()
    equal(x.grad, 20.0)


def test_a_removed_hook_does_not_run(rng: Any) -> None:
    x = leaf(rng)
    first = x.register_hook(lambda g: g * 10.0)
    second = x.register_hook(lambda g: g + 1.0)
    first.remove()
    first.remove()
    (x * 1.0).backward()
    equal(x.grad, 2.0)
    second.remove()
    (x * 1.0).backward()
    equal(x.grad, 3.0)


def test_a_hook_may_remove_itself(rng: Any) -> None:
    x = leaf(rng)
    calls = []

    def once(g: pn.Tensor) -> None:
        calls.append(1)
        handle.remove()

    handle = x.register_hook(once)
    for _ in range(2):
        (x * 1.0).backward()
    assert calls == [1]


@pytest.mark.parametrize("create_graph", [False, True])
def test_what_a_hook_does_to_its_gradient_in_place_stays_there(create_graph: bool, rng: Any) -> None:
    """The hook's Tensor is its own; ``g *= 0`` without returning it changes nothing."""
    x, other = leaf(rng, 3), leaf(rng, 3)
    y = x + other

    def scribble(g: pn.Tensor) -> None:
        g *= 0.0

    x.register_hook(scribble)
    y.register_hook(scribble)
    (y * 2.0).sum().backward(create_graph=create_graph)
    equal(x.grad, [2.0] * 3)
    equal(other.grad, [2.0] * 3)


def test_a_hook_that_returns_nonsense_is_told_so(rng: Any) -> None:
    for wrong, error, words in (
        (lambda g: g[:1], ShapeError, r"hook.*shape \(3,\), got \(1,\)"),
        (lambda g: 2.0, TypeError, "hook.*Tensor or None.*float"),
        (lambda g: g.to(pn.float32), DTypeError, "hook.*float64.*float32"),
    ):
        x = leaf(rng, 3)
        x.register_hook(wrong)
        with pytest.raises(error, match=words):
            (x * 2.0).sum().backward()
        assert x.grad is None


def test_a_hook_that_changes_the_library_is_told_so(rng: Any) -> None:
    pytest.importorskip("torch", reason="the other library is PyTorch")
    x = leaf(rng, 3)
    x.register_hook(lambda g: g.to("torch:cpu"))
    with pytest.raises(MixedBackendError, match=r"numpy.*torch|torch.*numpy"):
        (x * 2.0).sum().backward()


def test_a_hook_needs_a_gradient(rng: Any) -> None:
    for x in (pn.ones((2,)), leaf(rng).detach()):
        with pytest.raises(GradientError, match="register_hook"):
            x.register_hook(lambda g: None)


def test_hooks_take_part_in_higher_orders(backend: str, rng: Any) -> None:
    x = leaf(rng)
    y = x**2
    y.register_hook(lambda g: g * x)
    y.backward(create_graph=True)
    np.testing.assert_allclose(x.grad.detach().numpy(), 2 * x.detach().numpy() ** 2)
    (second,) = pn.grad(x.grad, x)
    np.testing.assert_allclose(second.numpy(), 4 * x.detach().numpy())


# retain_grad


def test_retain_grad_keeps_the_gradient_of_a_computed_tensor(backend: str, rng: Any) -> None:
    x = leaf(rng, 3)
    y = x * 2.0
    y.retain_grad()
    (y * 3.0).sum().backward(retain_graph=True)
    equal(y.grad, [3.0] * 3)
    equal(x.grad, [6.0] * 3)
    (y * 3.0).sum().backward()
    equal(y.grad, [6.0] * 3)


def test_without_retain_grad_there_is_none(rng: Any) -> None:
    y = leaf(rng, 3) * 2.0
    y.sum().backward()
    assert y.grad is None


def test_retain_grad_twice_is_once(rng: Any) -> None:
    y = leaf(rng, 3) * 2.0
    y.retain_grad()
    y.retain_grad()
    y.sum().backward()
    equal(y.grad, [1.0] * 3)


def test_retain_grad_keeps_what_the_hooks_left(rng: Any) -> None:
    """As in PyTorch, whichever was registered first."""
    for retain_first in (True, False):
        y = leaf(rng, 3) * 2.0
        if retain_first:
            y.retain_grad()
        y.register_hook(lambda g: g * 10.0)
        if not retain_first:
            y.retain_grad()
        y.sum().backward()
        equal(y.grad, [10.0] * 3)


def test_retain_grad_follows_a_tensor_that_is_changed_in_place(rng: Any) -> None:
    x = leaf(rng, 3)
    y = x * 2.0
    y.retain_grad()
    y *= 5.0
    (y * 3.0).sum().backward()
    equal(y.grad, [3.0] * 3)  # the gradient of what y is now
    equal(x.grad, [30.0] * 3)


def test_retain_grad_of_a_leaf_is_nothing_new(rng: Any) -> None:
    x = leaf(rng)
    x.retain_grad()
    (x * 2.0).backward()
    equal(x.grad, 2.0)
    with pytest.raises(GradientError, match="retain_grad"):
        pn.ones((2,)).retain_grad()


def test_retain_grad_keeps_no_tensor_alive(rng: Any) -> None:
    gc.collect()
    gc.disable()
    try:
        y = leaf(rng, 3) * 2.0
        y.retain_grad()
        gone = weakref.ref(y)
        del y
        assert gone() is None
    finally:
        gc.enable()
