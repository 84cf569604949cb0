"""Fourier transforms against PyTorch: values, gradients, and gradients of gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import fft
from portanet.tensor import RECORDED_OPS
from portanet.testing.samples.fourier import SAMPLES
from tests.parity.comparison import BOUNDS, DTYPES, host

torch = pytest.importorskip("torch", reason="it is what these tests compare with")


def peer(name: str, x: Any, *, axis: Any = None, axes: Any = None, **options: Any) -> Any:
    """PyTorch's transform."""
    if name.endswith("n"):
        return getattr(torch.fft, name)(x, dim=axes, **options)
    return getattr(torch.fft, name)(x, dim=-1 if axis is None else axis, **options)


def values(x: Any) -> Any:
    return host(x.resolve_conj() if isinstance(x, torch.Tensor) else x)


def assert_near(found: Any, expected: Any, bound: float, terms: Any, note: str) -> None:
    """``terms`` are what was added up; their size counts as well, for a sum may come out near 0 by chance."""
    mine, its = values(found), values(expected)
    assert (mine.shape, mine.dtype) == (its.shape, its.dtype), note
    scale = max(np.abs(its).max(), np.abs(values(terms)).max())
    error = np.abs(mine - its).max() / scale
    assert error < bound, f"{note}: relative error {error:.1e}"


@DTYPES
@pytest.mark.parametrize("op", SAMPLES, ids=lambda op: op.__name__)
def test_value_and_gradients_are_pytorchs(op: Any, dtype: str, backend: str, rng: Any) -> None:
    bound = BOUNDS[dtype]
    for sample in SAMPLES[op][: 1 if backend == "jax" else None]:
        (x,) = sample.operands(rng)
        if not x.size:  # which PyTorch does not take
            continue
        note = f"shape {x.shape}, {x.dtype}, options {sample.options}"
        if dtype == "float32":
            x = x.astype("complex64" if np.iscomplexobj(x) else "float32")
        ours, theirs = pn.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        found = RECORDED_OPS[op](ours, **sample.options)
        expected = peer(op.__name__, theirs, **sample.options)
        assert_near(found, expected, bound, ours, note)

        weights = rng.normal(size=found.shape) + 1j * rng.normal(size=found.shape)
        kind = values(expected).dtype
        weights = weights.astype(kind) if kind.kind == "c" else weights.real.astype(kind)
        (gradient,) = pn.grad(found * found, ours, pn.asarray(weights), create_graph=True)
        (truth,) = torch.autograd.grad(expected * expected, theirs, torch.tensor(weights), create_graph=True)
        assert_near(
            gradient, truth, 10 * bound, 2 * found.detach() * pn.asarray(weights), f"{note}, gradient"
        )

        (second,) = pn.grad(pn.sum(pn.abs(gradient) ** 2), ours)
        (its_second,) = torch.autograd.grad(torch.sum(torch.abs(truth) ** 2), theirs)
        assert_near(second, its_second, 10 * bound, gradient, f"{note}, second gradient")


@pytest.mark.parametrize("name", ["fftshift", "ifftshift"])
def test_shifts_are_pytorchs(name: str, backend: str, rng: Any) -> None:
    x = rng.normal(size=(3, 4, 5))
    for axes in (None, 0, (0, 2)):
        found = getattr(fft, name)(pn.asarray(x), axes=axes)
        np.testing.assert_array_equal(
            found.numpy(), getattr(torch.fft, name)(torch.tensor(x), dim=axes).numpy()
        )


@pytest.mark.parametrize("n", [1, 4, 7])
def test_frequencies_are_pytorchs(n: int, backend: str) -> None:
    for name in ("fftfreq", "rfftfreq"):
        found = getattr(fft, name)(n, d=0.5)
        np.testing.assert_allclose(found.numpy(), getattr(torch.fft, name)(n, d=0.5).numpy(), rtol=1e-6)
