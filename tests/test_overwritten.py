"""Arrays that are overwritten between forward and backward: an error, or the right gradient, never a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn, optim
from portanet.errors import OverwrittenError, ShapeError


def leaf(rng: Any, *shape: int) -> pn.Tensor:
    return pn.Tensor(rng.normal(size=shape), requires_grad=True)


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


def test_data_can_be_assigned_and_backward_then_raises(backend: str) -> None:
    weight = pn.Tensor([1.0, 2.0], requires_grad=True)
    loss = (weight * weight).sum()
    weight.data = pn.asarray([3.0, 4.0])
    assert weight.tolist() == [3.0, 4.0]
    assert weight.requires_grad
    assert weight.numel() == 2
    with pytest.raises(OverwrittenError):
        loss.backward()
    with pytest.raises(ShapeError, match=r"data: expected shape \(2,\), got \(3,\)"):
        weight.data = pn.zeros((3,))
    assert weight.tolist() == [3.0, 4.0]
