"""The recorded graph: backward, accumulation, freeing, and graphs of any depth."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import optim
from portanet.backend import backend_named
from portanet.errors import (
    GradientError,
    GraphFreedError,
    MixedBackendError,
    ShapeError,
)


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
    for y in (pn.asarray(2.0), pn.asarray(2.0) * 3.0, leaf(rng).detach()):
        with pytest.raises(GradientError, match="no graph.*requires_grad"):
            y.backward()
    with pytest.raises(GradientError, match="floor has no gradient"):
        pn.floor(leaf(rng)).backward()


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


def test_writing_into_a_gradients_array_spoils_no_later_backward(backend: str, rng: Any) -> None:
    """One should not; but what one spoils must be one's own."""
    x, y = leaf(rng), leaf(rng)
    (x + y).backward()
    if backend_named(backend).writable:
        try:
            x.grad.data[...] = 5.0
        except ValueError:  # NumPy's way of saying that it is read-only
            assert backend == "numpy"
    z = leaf(rng)
    (z * 3.0).backward()
    equal(z.grad, 3.0)


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
