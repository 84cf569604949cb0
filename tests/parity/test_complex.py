"""Gradients through complex numbers against PyTorch, whose convention they keep: the direction of steepest ascent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn

torch = pytest.importorskip("torch", reason="compares with PyTorch")

# Each makes a real number of two complex arrays of shape (3, 3) and a real one, with the functions of `m`.
CASES: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "abs": lambda m, z, w, x: m.sum(m.abs(z * w)),
    "real part of a product": lambda m, z, w, x: m.sum(m.real(m.conj(z) * w * x)),
    "imaginary part": lambda m, z, w, x: m.sum(m.imag(z / w)) + m.sum(m.imag(z * x) ** 2),
    "matmul": lambda m, z, w, x: m.sum(m.abs(m.matmul(z, w) + m.matmul(x * 1.0, x)) ** 2),
    "powers": lambda m, z, w, x: m.sum(m.real(z**3)) + m.sum(m.abs(z**w)) + m.sum(m.abs(w**2.5)),
    "exponentials": lambda m, z, w, x: m.sum(m.abs(m.exp(z) + m.log(w) + m.sqrt(z * x))),
    "trigonometry": lambda m, z, w, x: m.sum(m.abs(m.sin(z) * m.cosh(w) + m.tanh(z * 0.5) + m.cos(x * w))),
    "mean and prod": lambda m, z, w, x: m.abs(m.mean(z * w)) + m.abs(m.prod(w * x)),
    "where": lambda m, z, w, x: m.sum(m.abs(m.where(x > 0, z, w * w)) ** 3),
}


def inputs(rng: Any) -> list[Any]:
    z, w = (rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)) for _ in range(2))
    return [z, w, rng.uniform(0.5, 2.0, size=(3, 3)) * rng.choice([-1.0, 1.0], size=(3, 3))]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("double", [True, False], ids=["double", "single"])
def test_gradients_are_pytorchs(case: str, double: bool, backend: str, rng: Any) -> None:
    values = inputs(rng)
    if not double:
        values = [value.astype("c8" if np.iscomplexobj(value) else "f4") for value in values]
    theirs = [torch.tensor(value, requires_grad=True) for value in values]
    ours = [pn.Tensor(value, requires_grad=True) for value in values]
    expected, found = CASES[case](torch, *theirs), CASES[case](pn, *ours)
    kind = "float64" if double else "float32"
    bound = {"float64": 1e-10, "float32": 1e-5}[kind]
    wanted = torch.autograd.grad(expected, theirs, create_graph=True, allow_unused=True)
    first = pn.grad(found, ours, create_graph=True, allow_unused=True)
    assert [g is None for g in first] == [g is None for g in wanted]
    for mine, its in zip(first, wanted, strict=True):
        if its is not None:
            compare(mine, its, bound, case)
    if double:  # and once more, along the gradient
        seconds = (
            torch.autograd.grad(
                sum((g.abs() ** 2).sum() for g in wanted if g is not None), theirs, allow_unused=True
            ),
            pn.grad(
                sum(
                    (pn.sum(pn.abs(g) ** 2) for g in first if g is not None),
                    start=pn.asarray(0.0, dtype=pn.float64),
                ),
                ours,
                allow_unused=True,
            ),
        )
        for its, mine in zip(*seconds, strict=True):
            assert (mine is None) == (its is None)
            if its is not None:
                compare(mine, its, 1e-9, case)


def compare(mine: pn.Tensor, its: Any, bound: float, case: str) -> None:
    found, expected = mine.detach().numpy(), its.detach().resolve_conj().numpy()
    assert found.dtype == expected.dtype, case
    assert np.abs(found - expected).max() <= bound * np.abs(expected).max(), case


def test_a_complex_parameter_descends_as_in_pytorch(backend: str, rng: Any) -> None:
    """The gradient that ``.grad`` holds is the one to subtract."""
    start, goal = inputs(rng)[:2]
    z, t = pn.Tensor(start, requires_grad=True), torch.tensor(start, requires_grad=True)
    for _ in range(5):
        pn.sum(pn.abs(z * z - pn.asarray(goal)) ** 2).backward()
        (torch.abs(t * t - torch.tensor(goal)) ** 2).sum().backward()
        with pn.no_grad():
            z -= z.grad * 0.01
        with torch.no_grad():
            t -= t.grad * 0.01
        z.grad = t.grad = None
    np.testing.assert_allclose(z.detach().numpy(), t.detach().numpy(), rtol=1e-12)


def test_hooks_see_the_gradient_in_the_same_convention(backend: str, rng: Any) -> None:
    start, factor = inputs(rng)[:2]
    seen: dict[str, Any] = {}
    for name, m, z, w in (
        ("ours", pn, pn.Tensor(start, requires_grad=True), pn.asarray(factor)),
        ("theirs", torch, torch.tensor(start, requires_grad=True), torch.tensor(factor)),
    ):
        middle = z * w
        kept: list[Any] = []
        middle.register_hook(lambda g, kept=kept: kept.append(g) or g * 2.0)
        z.register_hook(kept.append)
        m.sum(m.real(middle * middle * middle)).backward()
        seen[name] = [np.asarray(g.detach()) for g in (*kept, z.grad)]
    for mine, its in zip(seen["ours"], seen["theirs"], strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-12)


def test_a_complex_result_wants_a_cotangent(backend: str, rng: Any) -> None:
    z = pn.Tensor(1 + 2j, requires_grad=True)
    with pytest.raises(pn.errors.GradientError, match="real"):
        (z * z).backward()
    (z * z).backward(pn.asarray(1j, dtype=z.dtype))
    t = torch.tensor(1 + 2j, requires_grad=True)
    (t * t).backward(torch.tensor(1j))
    np.testing.assert_allclose(z.grad.item(), t.grad.item())
