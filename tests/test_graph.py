"""The recorded graph: backward, accumulation, freeing, overwritten arrays, hooks, and recording on and off."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn, optim
from portanet.errors import (
    DTypeError,
    GradientError,
    GraphFreedError,
    MixedBackendError,
    OverwrittenError,
    ShapeError,
)
from portanet.graph import enable_grad, is_grad_enabled, no_grad


def leaf(rng: Any, *shape: int) -> pn.Tensor:
    return pn.Tensor(rng.normal(size=shape), requires_grad=True)


def equal(found: pn.Tensor | None, expected: Any) -> None:
    assert found is not None
    np.testing.assert_array_equal(found.detach().numpy(), np.asarray(expected))


# backward and what it leaves behind


def test_backward_of_a_single_number(backend: str) -> None:
    x = pn.Tensor(5.0, requires_grad=True)
    y = x**3
    y.backward(retain_graph=True)
    equal(x.grad, np.float32(75))
    y.backward()
    equal(x.grad, np.float32(150))
    x.grad = None
    (x**3).backward()
    equal(x.grad, np.float32(75))
    assert x.grad.dtype == pn.float32
    assert not x.grad.requires_grad
    assert x.grad.is_leaf


def test_backward_with_a_cotangent(backend: str, rng: Any) -> None:
    x, g = leaf(rng, 2, 3), rng.normal(size=(2, 3))
    for given in (pn.asarray(g), g, g.tolist()):
        x.grad = None
        (x * 2.0).backward(given)
        np.testing.assert_allclose(x.grad.numpy(), 2 * g)
    x.grad = None
    (x * 2.0).backward(gradient=pn.asarray(g, dtype=pn.float32))
    assert x.grad.dtype == pn.float64
    np.testing.assert_allclose(x.grad.numpy(), 2 * g, rtol=1e-6)


def test_a_single_number_may_have_axes(rng: Any) -> None:
    x = leaf(rng, 1, 1)
    (x * 3.0).backward()
    equal(x.grad, [[3.0]])


def test_backward_wants_a_cotangent_of_the_right_kind(backend: str, rng: Any) -> None:
    x = leaf(rng, 2, 3)
    y = x * 2.0
    with pytest.raises(GradientError, match=r"gradient.*\(2, 3\).*sum"):
        y.backward()
    with pytest.raises(ShapeError, match=r"gradient: expected the output's shape \(2, 3\), got \(3,\)"):
        y.backward(pn.ones((3,)))
    with pytest.raises(ShapeError, match="gradient"):
        y.backward(1.0)
    assert x.grad is None
    y.backward(pn.ones((2, 3)))  # the failures have freed nothing
    assert x.grad is not None


def test_backward_refuses_a_cotangent_of_another_library(rng: Any) -> None:
    pytest.importorskip("torch", reason="the other library is PyTorch")
    x = leaf(rng, 3)
    y = x * 2.0
    with pytest.raises(MixedBackendError, match=r"numpy.*torch"):
        y.backward(pn.ones((3,), device="torch:cpu"))


def test_backward_without_a_graph_is_an_error(rng: Any) -> None:
    for y in (pn.asarray(2.0), pn.asarray(2.0) * 3.0, leaf(rng).detach(), pn.floor(leaf(rng))):
        with pytest.raises(GradientError, match="no graph.*requires_grad"):
            y.backward()


def test_backward_of_a_leaf_itself(rng: Any) -> None:
    x = leaf(rng)
    x.backward()
    x.backward()  # there is nothing to free
    equal(x.grad, 2.0)


def test_a_leaf_gradient_is_nobody_elses(rng: Any) -> None:
    """The cotangent of a scalar may be shared inside; what one does to a gradient must not reach another."""
    x, y = leaf(rng), leaf(rng)
    x.backward()
    y.backward()
    x.grad += 5.0
    z = leaf(rng)
    z.backward()
    equal(x.grad, 6.0)
    equal(y.grad, 1.0)
    equal(z.grad, 1.0)


def test_the_given_cotangent_stays_as_it_is_and_is_not_kept(rng: Any) -> None:
    """A user's buffer may be filled with other numbers once backward has returned."""
    x, w = leaf(rng, 3), leaf(rng, 3)
    buffer = np.ones(3)
    (x + w).backward(buffer)
    equal(x.grad, [1, 1, 1])
    buffer[:] = 7
    equal(x.grad, [1, 1, 1])
    equal(w.grad, [1, 1, 1])


def test_gradients_of_several_uses_add_up(backend: str, rng: Any) -> None:
    x = leaf(rng, 3)
    y = x * x + x + x * 4.0
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.detach().numpy() + 5)


def test_gradients_of_several_backwards_add_up(backend: str, rng: Any) -> None:
    x = leaf(rng, 3)
    handed_out = []
    for times in (1, 2, 3):
        (x * 2.0).sum().backward()
        equal(x.grad, [2.0 * times] * 3)
        handed_out.append(x.grad)
    equal(handed_out[0], [2.0] * 3)  # it does not change afterwards


def test_a_diamond_of_any_depth_is_walked_once_per_node(rng: Any) -> None:
    """Two paths at each of 60 levels: walking paths instead of nodes would take 2 ** 60 steps."""
    x = leaf(rng)
    y = x
    for _ in range(60):
        y = y * 0.5 + y * 0.5
    y.backward()
    assert x.grad.item() == pytest.approx(1.0)


def test_the_walk_goes_newest_first_whatever_the_shape_of_the_graph(rng: Any) -> None:
    """A long branch and a short one that meet again: the meeting point must wait for both."""
    x = leaf(rng)
    start = x * 2.0
    long = start
    for _ in range(20):
        long = long + 1.0
    late = start * 3.0
    (long + late + start).backward()
    equal(x.grad, 2.0 * (1 + 3 + 1))


def test_constants_get_no_gradient(rng: Any) -> None:
    x, c = leaf(rng, 3), pn.asarray(rng.normal(size=3))
    y = (x * c).sum()
    y.backward()
    assert c.grad is None
    assert not c.requires_grad
    np.testing.assert_allclose(x.grad.numpy(), c.numpy())


def test_nothing_is_recorded_without_need() -> None:
    y = (pn.ones((2,)) * 2.0).exp().sum()
    assert y.is_leaf
    assert y._node is None


def test_a_deleted_leaf_is_no_obstacle(rng: Any) -> None:
    x, other = leaf(rng), leaf(rng)
    y = x * 2.0 + other * 3.0
    del x
    gc.collect()
    y.backward()
    equal(other.grad, 3.0)


def test_gradients_have_the_type_and_shape_of_their_leaf(backend: str, rng: Any) -> None:
    """Mixed precision: float32 leaves beside float64 ones."""
    x = pn.Tensor(rng.normal(size=(3, 1)), dtype=pn.float32, requires_grad=True)
    y = leaf(rng, 2)
    z = x.to(pn.float64) * y
    z.sum().backward()
    assert (x.grad.dtype, x.grad.shape) == (pn.float32, (3, 1))
    assert (y.grad.dtype, y.grad.shape) == (pn.float64, (2,))


def test_optimizers_do_not_write_into_gradients(rng: Any) -> None:
    """Gradients of a sum share one piece of memory that cannot be written to."""
    for make in (
        lambda params: optim.SGD(params, lr=0.1, momentum=0.9, weight_decay=0.1),
        lambda params: optim.SGD(params, lr=0.1, maximize=True, nesterov=True, momentum=0.5),
        lambda params: optim.Adam(params, weight_decay=0.1),
        lambda params: optim.AdamW(params, amsgrad=True, maximize=True),
    ):
        x, y = leaf(rng, 4), leaf(rng, 4)
        optimizer = make([x, y])
        for _ in range(3):
            optimizer.zero_grad()
            (x + y).sum().backward()
            optimizer.step()
            equal(x.grad, [1.0] * 4)
            equal(y.grad, [1.0] * 4)


# Freeing


def test_a_second_backward_over_a_freed_graph_raises(backend: str, rng: Any) -> None:
    x = leaf(rng, 3)
    y = (x * 2.0).sum()
    y.backward()
    before = x.grad.numpy().copy()
    with pytest.raises(GraphFreedError, match="retain_graph=True"):
        y.backward()
    equal(x.grad, before)


def test_a_freed_part_is_found_from_another_output(rng: Any) -> None:
    x = leaf(rng, 3)
    shared = x * 2.0
    first, second = shared.exp().sum(), shared.sin().sum()
    first.backward()
    before = x.grad.numpy().copy()
    with pytest.raises(GraphFreedError, match="multiply"):
        second.backward()
    equal(x.grad, before)  # a pass that fails leaves no half-added gradients


def test_retain_graph_keeps_it(backend: str, rng: Any) -> None:
    x = leaf(rng, 3)
    y = (x * x).sum()
    for times in (1, 2, 3):
        y.backward(retain_graph=True)
        np.testing.assert_allclose(x.grad.numpy(), times * 2 * x.detach().numpy())
    y.backward()
    with pytest.raises(GraphFreedError):
        y.backward(retain_graph=True)


def test_a_freed_graph_lets_go_of_its_arrays(rng: Any) -> None:
    x = leaf(rng, 3)
    y = x * 2.0
    hidden = y.exp()
    z = (hidden * hidden).sum()
    array = weakref.ref(hidden.data)
    del hidden, y
    assert array() is not None
    z.backward()
    gc.collect()
    assert array() is None


def test_a_failing_rule_leaves_gradients_alone(rng: Any) -> None:
    x, y = leaf(rng, 3), leaf(rng, 3)
    z = x * 2.0
    z.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        (z + y).sum().backward()
    assert x.grad is None
    assert y.grad is None


# Depth


def test_a_chain_of_100_000_ops_goes_backward_and_away(rng: Any) -> None:
    x = leaf(rng)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    y.backward()
    equal(x.grad, 1.0)
    del y
    gc.collect()


def test_a_chain_of_100_000_ops_goes_away_without_backward(rng: Any) -> None:
    y = leaf(rng)
    for _ in range(100_000):
        y = y + 1.0
    del y
    gc.collect()


def test_a_deep_graph_of_a_higher_order_goes_away(rng: Any) -> None:
    x = leaf(rng)
    y = x
    for _ in range(3_000):
        y = y.sin()
    (first,) = pn.grad(y, x, create_graph=True)
    assert first.requires_grad
    del y, first
    gc.collect()


# Arrays that were overwritten


def overwritten_by_a_step(parameter: pn.Tensor) -> None:
    parameter.grad = pn.ones_like(parameter)
    optim.SGD([parameter], lr=0.5).step()
    parameter.grad = None


def trained(values: Any, frozen: bool = False) -> tuple[nn.Parameter, Callable[[], None]]:
    """A parameter that an optimizer has written to before, and what makes it write again, into the same memory."""
    parameter = nn.Parameter(values)
    parameter.requires_grad_(not frozen)
    optimizer = optim.SGD([parameter], lr=0.5)

    def step() -> None:
        parameter.grad = pn.ones_like(parameter)
        optimizer.step()
        parameter.grad = None

    step()
    return parameter, step


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_parameter_that_an_optimizer_wrote_to_raises(create_graph: bool, backend: str, rng: Any) -> None:
    (w, step), x = trained(rng.normal(size=3)), leaf(rng, 3)
    loss = (x * w).sum()
    step()
    with pytest.raises(OverwrittenError, match=r"multiply.*overwritten"):
        loss.backward(create_graph=create_graph)
    assert x.grad is None
    assert w.grad is None


def test_a_step_after_backward_is_no_harm(backend: str, rng: Any) -> None:
    (w, step), x = trained(rng.normal(size=3)), leaf(rng, 3)
    for _ in range(3):
        (x * w).sum().backward()
        step()


def test_a_parameter_that_load_state_dict_wrote_to_raises(backend: str, rng: Any) -> None:
    model = nn.Linear(3, 2)
    x = pn.Tensor(rng.normal(size=(4, 3)), dtype=pn.float32, requires_grad=True)
    state = {name: tensor.clone() * 2.0 for name, tensor in model.state_dict().items()}
    loss = model(x).sum()
    model.load_state_dict(state)
    with pytest.raises(OverwrittenError, match="linear"):
        loss.backward()


VIEWS: dict[str, Callable[[pn.Tensor], pn.Tensor]] = {
    "itself": lambda w: w,
    "detach": lambda w: w.detach(),
    "T": lambda w: w.T,
    "mT": lambda w: w.mT,
    "reshape": lambda w: w.reshape(-1, 2),
    "row": lambda w: w[0, ...],
    "slice": lambda w: w[:, 1:],
    "backwards": lambda w: w[::-1, ...],
    "permute_dims": lambda w: pn.permute_dims(w, (1, 0)),
    "moveaxis": lambda w: pn.moveaxis(w, 0, 1),
    "expand_dims": lambda w: pn.expand_dims(w, axis=0),
    "squeeze": lambda w: pn.squeeze(pn.expand_dims(w, axis=0), axis=0),
    "broadcast_to": lambda w: pn.broadcast_to(w, (2, *w.shape)),
    "flip": lambda w: pn.flip(w),
    "positive": lambda w: +w,
    "clip": lambda w: pn.clip(w),
    "astype": lambda w: pn.astype(w, w.dtype, copy=False),
    "to": lambda w: w.to(w.device).to(w.dtype),
    "asarray": lambda w: pn.asarray(w, dtype=w.dtype, device=w.device),
    "view of a view": lambda w: w.T.reshape(-1)[1:],
    "iteration": lambda w: next(iter(w)),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("frozen", [True, False])
def test_a_view_of_an_overwritten_parameter_raises_or_is_a_copy(
    view: str, frozen: bool, backend: str, rng: Any
) -> None:
    """Never a gradient computed from the new values: a view of a frozen weight has no node that could be asked."""
    w, step = trained(rng.normal(size=(2, 2)), frozen)
    seen = VIEWS[view](w)
    before = seen.detach().numpy().copy()
    x = leaf(rng, *seen.shape)
    loss = (x * seen).sum()
    step()
    try:
        loss.backward()
    except OverwrittenError:
        return
    np.testing.assert_array_equal(x.grad.numpy(), before)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_that_is_older_than_its_parameters_promise(view: str, backend: str, rng: Any) -> None:
    """A view of a plain Tensor, which becomes a parameter only afterwards."""
    w = pn.Tensor(rng.normal(size=(2, 2)))
    seen = VIEWS[view](w)
    before = seen.numpy().copy()
    w.requires_grad_()
    x = leaf(rng, *seen.shape)
    loss = (x * seen).sum()
    overwritten_by_a_step(w)
    try:
        loss.backward()
    except OverwrittenError:
        return
    np.testing.assert_array_equal(x.grad.numpy(), before)


def test_a_result_that_becomes_a_parameter(backend: str, rng: Any) -> None:
    """``exp`` keeps its result for its gradient; what is detached from it may be trained elsewhere."""
    x = leaf(rng, 3)
    y = x.exp()
    expected = y.detach().numpy().copy()
    trained = y.detach().requires_grad_()
    loss = y.sum()
    overwritten_by_a_step(trained)
    try:
        loss.backward()
    except OverwrittenError:
        return
    np.testing.assert_allclose(x.grad.numpy(), expected)


def test_training_a_tensor_leaves_the_users_array_alone(backend: str, rng: Any) -> None:
    """``asarray`` shares memory; an optimizer must not write into it behind the user's back."""
    values = rng.normal(size=3)
    before = values.copy()
    w = pn.asarray(values).requires_grad_()
    (w * 2.0).sum().backward()
    optim.SGD([w], lr=0.5).step()
    np.testing.assert_array_equal(values, before)
    np.testing.assert_allclose(w.detach().numpy(), before - 1.0)


def test_an_overwrite_between_first_and_second_order_raises(backend: str, rng: Any) -> None:
    w, step = trained(rng.normal(size=3))
    loss = (w**3).sum()
    (first,) = pn.grad(loss, w, create_graph=True)
    step()
    with pytest.raises(OverwrittenError):
        first.sum().backward()


def test_an_overwrite_of_a_constant_between_first_and_second_order_does_no_harm(
    backend: str, rng: Any
) -> None:
    (frozen, step), x = trained(rng.normal(size=3)), leaf(rng, 3)
    before = frozen.detach().numpy().copy()
    loss = (x**3 * frozen.detach()).sum()
    (first,) = pn.grad(loss, x, create_graph=True)
    step()
    try:
        (second,) = pn.grad(first.sum(), x)
    except OverwrittenError:
        return
    np.testing.assert_allclose(second.numpy(), 6 * x.detach().numpy() * before)


def test_an_array_on_another_library_may_share_memory_with_a_parameter(rng: Any) -> None:
    pytest.importorskip("torch", reason="the other library is PyTorch")
    w, step = trained(rng.normal(size=3))
    there = w.detach().to("torch:cpu")
    x = pn.Tensor(rng.normal(size=3), device="torch:cpu", requires_grad=True)
    before = there.detach().numpy().copy()
    loss = (x * there).sum()
    step()
    try:
        loss.backward()
    except OverwrittenError:
        return
    np.testing.assert_array_equal(x.grad.numpy(), before)


def test_rebinding_is_no_overwriting(backend: str, rng: Any) -> None:
    """``x[k] = v`` and ``x += y`` make new data, so what was recorded before keeps the old."""
    c, x = pn.asarray(rng.normal(size=3)), leaf(rng, 3)
    before = c.numpy().copy()
    loss = (x * c).sum()
    c += 1.0
    c[0] = 99.0
    loss.backward()
    np.testing.assert_array_equal(x.grad.numpy(), before)


# Hooks


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


# no_grad and enable_grad


def test_no_grad_records_nothing(backend: str, rng: Any) -> None:
    x = leaf(rng, 3)
    with no_grad():
        assert not is_grad_enabled()
        y = x * 2.0
        with enable_grad():
            assert is_grad_enabled()
            z = x * 3.0
        assert not is_grad_enabled()
    assert is_grad_enabled()
    assert not y.requires_grad
    assert z.requires_grad
    assert x.requires_grad


def test_no_grad_ends_with_an_exception() -> None:
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert is_grad_enabled()


def test_no_grad_and_enable_grad_decorate(rng: Any) -> None:
    x = leaf(rng)

    @no_grad()
    def without(x: pn.Tensor) -> pn.Tensor:
        """Its docstring."""
        return x * 2.0

    @enable_grad()
    def recorded(x: pn.Tensor) -> pn.Tensor:
        return x * 2.0

    for _ in range(2):
        assert not without(x).requires_grad
        assert recorded(x).requires_grad
        with no_grad():
            assert recorded(x).requires_grad
            assert not without(x).requires_grad
    assert without.__name__ == "without"
    assert without.__doc__ == "Its docstring."
    assert is_grad_enabled()


def test_no_grad_decorates_a_recursive_function(rng: Any) -> None:
    x = leaf(rng)

    @no_grad()
    def countdown(n: int) -> bool:
        return (x * 2.0).requires_grad or (n > 0 and countdown(n - 1)) or is_grad_enabled()

    assert not countdown(5)
    assert is_grad_enabled()


def test_backward_works_inside_no_grad(rng: Any) -> None:
    x = leaf(rng)
    y = x * 2.0
    with no_grad():
        y.backward()
    equal(x.grad, 2.0)


def test_each_thread_has_its_own_mode(rng: Any) -> None:
    x = leaf(rng)
    inside, done = threading.Event(), threading.Event()
    seen: dict[str, bool] = {}

    def hold() -> None:
        with no_grad():
            inside.set()
            done.wait(10)
            seen["holder"] = (x * 2.0).requires_grad

    holder = threading.Thread(target=hold)
    holder.start()
    assert inside.wait(10)
    seen["main"] = (x * 2.0).requires_grad

    def look() -> None:
        seen["other"] = (x * 2.0).requires_grad

    other = threading.Thread(target=look)
    other.start()
    other.join()
    done.set()
    holder.join()
    assert seen == {"holder": False, "main": True, "other": True}


def test_each_task_has_its_own_mode(rng: Any) -> None:
    x = leaf(rng)

    async def without() -> bool:
        with no_grad():
            await asyncio.sleep(0.001)
            return (x * 2.0).requires_grad

    async def recorded() -> bool:
        found = []
        for _ in range(5):
            found.append((x * 2.0).requires_grad)
            await asyncio.sleep(0.0005)
        return all(found)

    async def main() -> list[bool]:
        return list(await asyncio.gather(without(), recorded(), without()))

    assert asyncio.run(main()) == [False, True, False]


def test_threads_may_go_backward_at_once(rng: Any) -> None:
    """Each over its own graph, on shared constants."""
    c = pn.asarray(rng.normal(size=100))
    results: list[Any] = [None] * 8

    def work(i: int) -> None:
        x = pn.Tensor(np.full(100, float(i)), requires_grad=True)
        for _ in range(50):
            x.grad = None
            (x * c * x).sum().backward()
        results[i] = x.grad.numpy()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, found in enumerate(results):
        np.testing.assert_allclose(found, 2 * i * c.numpy())
