"""Every kernel against the op, or the update rule, that it replaces: ``portanet.testing.kernels`` on each backend."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.backend import Kernel, backend_named
from portanet.dtypes import DType
from portanet.errors import ConformanceError
from portanet.testing.kernels import OPS, RULES, check_kernel, check_rule

SCATTER = {"getitem", "setitem", "take", "index_add", "take_along_axis"}


def test_kernels_agree_with_their_ops(backend: str, rng: Any) -> None:
    record = backend_named(backend)
    stored_only = {"uint16", "uint32", "uint64"} if backend == "torch" else set()
    for name in set(record.kernels) - set(RULES):
        # All cases of other types than float32 would take JAX a minute to compile: over the runs all get all.
        taken = check_kernel(record, name, rng, limit=2)
        if backend in ("torch", "jax") and name in SCATTER:
            # The scatter takes every type that its library computes with.
            for dtype, ran in taken.items():
                nothing = dtype.name in stored_only or (name == "index_add" and dtype.kind == "bool")
                assert (ran == 0) == nothing, f"{name} {dtype.name}"


@pytest.mark.parametrize("dtype", [pn.float32, pn.float64], ids=str)
@pytest.mark.parametrize("name", RULES)
def test_optimizer_kernels_agree_with_their_rules(name: str, backend: str, rng: Any, dtype: DType) -> None:
    record = backend_named(backend)
    if name in record.kernels:
        check_rule(record, name, dtype, rng)


def loses_duplicates(xp: Any, x: Any, indices: Any, values: Any, *, axis: int = 0) -> Any:
    r = np.array(x)
    r[indices] += values
    return r, (lambda g: g, None, lambda g: xp.take(g, indices, axis=axis))


def writes_into_its_operand(xp: Any, x: Any) -> Any:
    np.tanh(x, out=x)
    return x, (lambda g: g * (1 - x * x),)


def has_half_the_gradient(xp: Any, x: Any) -> Any:
    r = np.tanh(x)
    return r, (lambda g: g * (1 - r * r) / 2,)


def drifts(xp: Any, x: Any) -> Any:
    r = np.tanh(x.astype("f8"))
    return r, (lambda g: g * (1 - r * r),)


@pytest.mark.parametrize(
    ("name", "kernel", "message"),
    [
        (
            "index_add",
            Kernel(loses_duplicates, accepts=lambda x, i, v, *, axis=0: axis == 0),
            "Mismatched elements",
        ),
        ("tanh", Kernel(writes_into_its_operand, frozenset({"float32"})), "read-only"),
        ("tanh", Kernel(has_half_the_gradient, frozenset({"float32"})), "Mismatched elements"),
        ("tanh", Kernel(drifts, frozenset({"float32"})), "data type is float64, expected float32"),
        ("tanh", Kernel(np.tanh, accepts=lambda x: False), "takes none of the cases"),
        ("tanhh", Kernel(np.tanh), "no op 'tanhh'"),
        # These have no cases of their own, and are tried on the samples of their op.
        ("cosh", Kernel(lambda xp, x: (xp.cosh(x), (lambda g: g * xp.cosh(x),))), "Mismatched elements"),
        ("cosh", Kernel(lambda xp, x: (xp.cosh(x), (None,))), "differ in what has a gradient"),
    ],
    ids=["duplicates", "writes", "half", "drifts", "idle", "unknown", "sampled", "sampled, none"],
)
def test_a_wrong_kernel_is_caught(
    name: str, kernel: Kernel, message: str, monkeypatch: pytest.MonkeyPatch, rng: Any
) -> None:
    record = backend_named("numpy")
    monkeypatch.setattr(record, "kernels", {name: kernel})
    with pytest.raises((ConformanceError, AssertionError, ValueError), match=message):
        check_kernel(record, name, rng)


@pytest.mark.parametrize("name", ["cosh", "matmul", "unique_all", "argmax", "slogdet"])
def test_a_kernel_that_is_the_op_passes(name: str, monkeypatch: pytest.MonkeyPatch, rng: Any) -> None:
    """Of any op, with one result or several."""
    record = backend_named("numpy")
    floats = frozenset({"float32", "float64", "int64"})  # NumPy's linalg has no float16
    monkeypatch.setattr(record, "kernels", {name: Kernel(partial(OPS[name]), floats)})
    assert any(check_kernel(record, name, rng).values())


def test_a_wrong_update_rule_is_caught(monkeypatch: pytest.MonkeyPatch, rng: Any) -> None:
    record = backend_named("numpy")
    right = record.kernels["sgd"].function

    def too_far(xp: Any, *lists: Any, lr: float, **options: Any) -> None:
        right(xp, *lists, lr=lr * 1.001, **options)

    monkeypatch.setattr(record, "kernels", {"sgd": Kernel(too_far)})
    with pytest.raises(AssertionError, match="Mismatched elements"):
        check_rule(record, "sgd", pn.float64, rng)
