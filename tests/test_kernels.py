"""Every kernel against the op that it replaces, on fresh random inputs, for every data type that it accepts.

The op runs on NumPy, whatever library the kernel is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import ops
from portanet.backend import Backend, Implementation, backend_named
from portanet.dtypes import DType
from portanet.optim.adam import adam
from portanet.optim.sgd import sgd

TOLERANCES = {"bfloat16": 2e-2, "float16": 4e-3, "float64": 1e-12, "complex128": 1e-12}

Case = tuple[tuple[Any, ...], dict[str, Any]]


def op_named(name: str) -> Any:
    found = [getattr(module, name) for module in map(ops.__dict__.get, ops.__all__) if hasattr(module, name)]
    assert len(found) == 1, f"{len(found)} ops are called {name!r}"
    return found[0]


def arrays(rng: Any, dtype: DType, *shape: int) -> Any:
    """Small random numbers, which every data type holds."""
    values = rng.integers(0, 9, shape)
    if dtype.kind == "bool":
        return values < 5
    if dtype.is_differentiable:
        values = rng.normal(size=shape)
    if dtype.kind == "complex floating":
        values = values + 1j * rng.normal(size=shape)
    if dtype is pn.bfloat16:  # NumPy has none: float32 with as few bits
        return (np.asarray(values, np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)
    return np.asarray(values).astype(dtype.name)


def getitem_cases(rng: Any, dtype: DType) -> Iterator[Case]:
    x = arrays(rng, dtype, 4, 3, 5)
    mask = rng.random((4, 3, 5)) < 0.5
    keys = [
        (1, ...),
        (..., -1),
        (slice(1, 3), ...),
        (slice(None, None, -1), slice(None), slice(4, 0, -2)),
        (slice(3, 0, -1), None, ..., slice(None, None, -3)),
        (None, ..., 0, slice(1, 1)),
        (slice(0, 2, -1), ...),
        mask,
        rng.integers(-4, 4, 7),
        rng.integers(0, 4, (2, 2)),
        np.asarray(rng.integers(0, 4)),
        rng.integers(0, 4, 6).astype("uint8"),
        (rng.integers(-4, 4, 7), rng.integers(0, 3, 7)),
        (rng.integers(0, 4, (2, 1)), -1, rng.integers(0, 5, 3).astype("int32")),
    ]
    for key in keys:
        yield (x,), {"key": key}


def setitem_cases(rng: Any, dtype: DType) -> Iterator[Case]:
    for (x,), options in getitem_cases(rng, dtype):
        # Where an index is repeated, which of several values stays is nobody's promise: one value for all then.
        part = np.zeros(x.shape)[options["key"]].shape
        repeated = any(isinstance(k, np.ndarray) and k.dtype != bool for k in _parts(options["key"]))
        yield (x, arrays(rng, dtype)), options
        if not repeated:
            yield (x, arrays(rng, dtype, *part)), options
            yield (x, arrays(rng, dtype, *part[-1:])), options


def _parts(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def take_cases(rng: Any, dtype: DType) -> Iterator[Case]:
    x = arrays(rng, dtype, 4, 3, 5)
    for axis in (0, 1, -1):
        length = x.shape[axis]
        yield (x, rng.integers(0, length, 6)), {"axis": axis}
        yield (x, rng.integers(-length, length, 6).astype("int32")), {"axis": axis}
    yield (arrays(rng, dtype, 4), rng.integers(0, 4, 9)), {}


def index_add_cases(rng: Any, dtype: DType) -> Iterator[Case]:
    if dtype.kind == "bool":
        return
    yield (arrays(rng, dtype, 4, 3), rng.integers(-4, 4, 9), arrays(rng, dtype, 9, 3)), {}
    yield (arrays(rng, dtype, 2, 4, 3), rng.integers(0, 4, 9), arrays(rng, dtype, 2, 9, 3)), {"axis": 1}
    yield (arrays(rng, dtype, 2, 4), rng.integers(-4, 0, 3), arrays(rng, dtype, 2, 3)), {"axis": -1}


def take_along_axis_cases(rng: Any, dtype: DType) -> Iterator[Case]:
    x = arrays(rng, dtype, 4, 3, 5)
    yield (x, rng.integers(0, 5, (4, 3, 2))), {}
    yield (x, rng.integers(-4, 4, (6, 3, 5))), {"axis": 0}
    yield (x, rng.integers(0, 3, (4, 2, 5)).astype("int32")), {"axis": -2}


def linear_cases(rng: Any, dtype: DType) -> Iterator[Case]:
    if dtype.kind == "bool":
        return
    weight, bias = arrays(rng, dtype, 4, 3), arrays(rng, dtype, 4)
    for leading in ((5,), (), (2, 5), (0,), (0, 2)):
        yield (arrays(rng, dtype, *leading, 3), weight, bias), {}
    yield (arrays(rng, dtype, 5, 3), weight, None), {}
    yield (arrays(rng, dtype, 3, 5).T, arrays(rng, dtype, 3, 4).T, arrays(rng, dtype, 8)[::2]), {}


def elementwise_cases(rng: Any, dtype: DType) -> Iterator[Case]:
    for shape in ((5, 3), (), (0,)):
        yield (arrays(rng, dtype, *shape),), {}
    yield (arrays(rng, dtype, 5, 3).T * (1000 if dtype.is_differentiable else 1),), {}


def bce_cases(rng: Any, dtype: DType) -> Iterator[Case]:
    for shape in ((5, 3), (1,), ()):
        x, target = arrays(rng, dtype, *shape) * 50, rng.random(shape).astype(dtype.name)
        for reduction in ("none", "sum", "mean"):
            for weight in (None, rng.random(shape).astype(dtype.name)):
                yield (x, np.asarray(target), weight, None), {"reduction": reduction}
                yield (
                    (x, np.asarray(target), weight, arrays(rng, dtype, *shape[-1:])),
                    {"reduction": reduction},
                )


def cross_entropy_cases(rng: Any, dtype: DType) -> Iterator[Case]:
    for shape in ((6, 3), (1, 1)):
        target = rng.integers(0, shape[1], shape[0])
        ignoring = np.where(np.arange(shape[0]) == 1, -100, target)
        for labels in (target, ignoring, target.astype("int32")):
            for reduction in ("none", "sum", "mean"):
                for smoothing in (0.0, 0.1):
                    options = {
                        "axis": 1,
                        "ignore_index": -100,
                        "label_smoothing": smoothing,
                        "reduction": reduction,
                    }
                    yield (arrays(rng, dtype, *shape) * 50, labels, None), options
                    yield (
                        (arrays(rng, dtype, *shape), labels, rng.random(shape[1]).astype(dtype.name)),
                        options,
                    )


CASES: dict[str, Callable[[Any, DType], Iterator[Case]]] = {
    "binary_cross_entropy_with_logits": bce_cases,
    "cross_entropy": cross_entropy_cases,
    "getitem": getitem_cases,
    "index_add": index_add_cases,
    "linear": linear_cases,
    "relu": elementwise_cases,
    "setitem": setitem_cases,
    "sigmoid": elementwise_cases,
    "take": take_cases,
    "take_along_axis": take_along_axis_cases,
    "tanh": elementwise_cases,
}
RULES = {"adam": adam, "sgd": sgd}


def dtypes_of(backend: Backend, name: str) -> list[DType]:
    accepted = backend.kernels[name].dtypes
    return [dtype for dtype in backend.native_dtypes if accepted is None or dtype.name in accepted]


def on_backend(backend: Backend, value: Any, dtype: DType) -> Any:
    """The value as the backend holds it; index arrays keep their own data type."""
    if isinstance(value, tuple):
        return tuple(on_backend(backend, part, dtype) for part in value)
    if not isinstance(value, (np.ndarray, np.generic)):
        return value
    native = backend.native_dtype(dtype) if value.dtype.name == "float32" else None
    return backend.asarray(value, dtype=native, copy=True)


def close(backend: Backend, found: Any, expected: Any, dtype: DType, told: str) -> None:
    host = backend.to_host(found)
    assert host.shape == expected.shape, told
    width = TOLERANCES.get(dtype.name, 1e-5)
    np.testing.assert_allclose(host, expected, rtol=width, atol=width * 8, err_msg=told)


def test_kernels_agree_with_their_ops(backend: str, rng: Any) -> None:
    taken = check_kernels(backend_named(backend), rng)
    if backend in ("torch", "jax"):
        # The scatter takes every type that its library computes with.
        stored_only = {"uint16", "uint32", "uint64"} if backend == "torch" else set()
        for (name, dtype), ran in taken.items():
            nothing = dtype.name in stored_only or (name == "index_add" and dtype.kind == "bool")
            assert (ran == 0) == nothing, f"{name} {dtype.name}"


def check_kernels(record: Backend, rng: Any) -> dict[tuple[str, DType], int]:
    """Compare, and tell how many cases each kernel took for each data type."""
    backend = record.name
    taken: dict[tuple[str, DType], int] = {}
    for name in set(record.kernels) - set(RULES):
        assert name in CASES, f"kernel {name!r} of {backend!r} has no cases here"
        op = op_named(name)
        implementation = Implementation(op, record)
        for dtype in dtypes_of(record, name):
            ran = 0
            cases = list(CASES[name](rng, dtype))
            if dtype is not pn.float32:
                # All would take JAX a minute to compile: every type gets some, and over the runs all get all.
                rng.shuffle(cases)
                cases = cases[:2]
            for operands, options in cases:
                told = f"{backend} {name} {dtype.name} {options} {[np.shape(x) for x in operands]}"
                native = [on_backend(record, operand, dtype) for operand in operands]
                native_options = {key: on_backend(record, value, dtype) for key, value in options.items()}
                if implementation.choose(native, native_options) is op:
                    continue
                ran += 1
                for array in [*operands, *native]:
                    if isinstance(array, np.ndarray):
                        array.flags.writeable = False
                with np.errstate(all="ignore"):
                    expected, expected_vjps = op(np, *operands, **options)
                found, vjps = implementation.function(record.namespace, *native, **native_options)
                expected = np.asarray(expected)
                wanted = "bfloat16" if dtype is pn.bfloat16 else expected.dtype.name
                assert record.dtype_of(found).name == wanted, told
                close(record, found, expected, dtype, told)
                for operand, vjp, expected_vjp in zip(operands, vjps, expected_vjps, strict=True):
                    assert operand is None or (vjp is None) == (expected_vjp is None), told
                if dtype.is_differentiable:
                    cotangent = arrays(rng, dtype, *expected.shape)
                    native_cotangent = on_backend(record, cotangent, dtype)
                    for operand, vjp, expected_vjp in zip(operands, vjps, expected_vjps, strict=True):
                        if operand is not None and vjp is not None:
                            close(
                                record,
                                vjp(native_cotangent),
                                np.asarray(expected_vjp(cotangent)),
                                dtype,
                                told,
                            )
                for operand, array in zip(operands, native, strict=True):
                    if operand is None:
                        continue
                    np.testing.assert_array_equal(
                        record.to_host(array), operand.astype(record.to_host(array).dtype), err_msg=told
                    )
            taken[name, dtype] = ran
        assert sum(ran for (kernel, _), ran in taken.items() if kernel == name), (
            f"{backend} {name} was never run"
        )
    return taken


def test_a_wrong_kernel_is_caught(monkeypatch: pytest.MonkeyPatch, rng: Any) -> None:
    """The test above, run on a kernel that loses duplicates, must fail."""
    from portanet.backend import Kernel

    def wrong(xp: Any, x: Any, indices: Any, values: Any, *, axis: int = 0) -> Any:
        r = np.array(x)
        r[indices] += values
        return r, (lambda g: g, None, lambda g: xp.take(g, indices, axis=axis))

    record = backend_named("numpy")
    monkeypatch.setattr(
        record, "kernels", {"index_add": Kernel(wrong, accepts=lambda x, i, v, *, axis=0: axis == 0)}
    )
    with pytest.raises(AssertionError, match="numpy index_add"):
        check_kernels(record, rng)


def parameter_sets(rng: Any, dtype: DType) -> list[Any]:
    """Arrays of many shapes: some need cutting into pieces, some do not lie in one line of memory."""
    shapes = ((), (1,), (0, 3), (7, 5), (300, 400), (3, 50, 60), (70_000,))
    contiguous = [arrays(rng, dtype, *shape) for shape in shapes]
    return [*contiguous, arrays(rng, dtype, 5, 7).T, arrays(rng, dtype, 400, 600)[::2, 1::3]]


ADAM_OPTIONS = [
    {"weight_decay": 0.0, "decoupled": False, "amsgrad": False, "maximize": False},
    {"weight_decay": 0.1, "decoupled": False, "amsgrad": True, "maximize": True},
    {"weight_decay": 0.1, "decoupled": True, "amsgrad": False, "maximize": False},
    {"weight_decay": 0.1, "decoupled": True, "amsgrad": True, "maximize": True},
]
SGD_OPTIONS = [
    {"momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False, "maximize": False},
    {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1, "nesterov": False, "maximize": True},
    {"momentum": 0.9, "dampening": 0.0, "weight_decay": 0.1, "nesterov": True, "maximize": False},
]


@pytest.mark.parametrize("dtype", [pn.float32, pn.float64], ids=str)
def test_optimizer_kernels_agree_with_their_rules(backend: str, rng: Any, dtype: DType) -> None:
    record = backend_named(backend)
    for name, rule in RULES.items():
        if name not in record.kernels:
            continue
        for options in ADAM_OPTIONS if name == "adam" else SGD_OPTIONS:
            slots = (2 + options["amsgrad"]) if name == "adam" else int(options["momentum"] > 0)
            common = {"lr": 0.05} | ({"betas": (0.8, 0.95), "eps": 1e-6} if name == "adam" else {}) | options
            expected = parameter_sets(rng, dtype)
            found = record.own_copies([record.asarray(x) for x in expected])
            pieces = record.pieces(found)
            expected_states = [tuple(np.zeros_like(x) for _ in range(slots)) for x in expected]
            kept = [
                record.own_copies([record.asarray(state[i]) for state in expected_states])
                for i in range(slots)
            ]
            states = list(zip(*kept, strict=True)) if slots else [()] * len(found)
            columns = [record.pieces(slot) for slot in kept]
            piece_states = list(zip(*columns, strict=True)) if slots else [()] * len(pieces)
            for step in (1, 2, 3):
                gradients = [arrays(rng, dtype, *x.shape) for x in expected]
                native = [record.asarray(g, copy=True) for g in gradients]
                pairs = [
                    rule(np, x, g, state, step=step, **common)
                    for x, g, state in zip(expected, gradients, expected_states, strict=True)
                ]
                expected, expected_states = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
                done = record.kernels[name].function(
                    record.namespace, pieces, record.pieces(native), piece_states, step=step, **common
                )
                assert done is None
                for one, other in zip(native, gradients, strict=True):
                    np.testing.assert_array_equal(record.to_host(one), other)
            for x, y, state, expected_state in zip(found, expected, states, expected_states, strict=True):
                told = f"{backend} {name} {options} {np.shape(y)}"
                close(record, x, np.asarray(y), dtype, told)
                for s, t in zip(state, expected_state, strict=True):
                    close(record, s, np.asarray(t), dtype, told)
