"""Checks of a backend's kernels against the ops, or the update rules, that they replace.

The op runs on NumPy, whatever library the kernel is for, with fresh random inputs of every data type that the kernel
accepts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from portanet.backend import Backend, Implementation
from portanet.dtypes import DType, bfloat16, float32, float64
from portanet.errors import ConformanceError
from portanet.graph import unbroadcast
from portanet.optim.adam import adam
from portanet.optim.sgd import sgd
from portanet.testing.functions import is_float, require
from portanet.testing.samples import EVERY_SAMPLE, SAMPLES, WITHOUT_GRADIENT

__all__ = ["CASES", "OPS", "RULES", "check_kernel", "check_rule"]

OPS = {op.__name__: op for op in (*SAMPLES, *WITHOUT_GRADIENT)}
"""All ops by name."""

TOLERANCES = {"bfloat16": 2e-2, "float16": 4e-3, "float64": 1e-12, "complex128": 1e-12}

Case = tuple[tuple[Any, ...], dict[str, Any]]


def arrays(rng: Any, dtype: DType, *shape: int) -> Any:
    """Small random numbers, which every data type holds."""
    values = rng.integers(0, 9, shape)
    if dtype.kind == "bool":
        return values < 5
    if dtype.is_differentiable:
        values = rng.normal(size=shape)
    if dtype.kind == "complex floating":
        values = values + 1j * rng.normal(size=shape)
    return as_dtype(values, dtype)


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
"""What to try each kernel on, by the name of its op; others are tried on the samples of their op."""


def sampled_cases(op: Any, rng: Any, dtype: DType) -> Iterator[Case]:
    """For a kernel without cases of its own: the samples of the op, as far as the data type holds their operands."""
    for sample in EVERY_SAMPLE[op]:
        operands = sample.operands(rng)
        kinds = {operand.dtype.kind for operand in operands if is_float(operand)}
        if kinds == {"f"} and dtype.is_floating and "dtype" not in sample.options:
            yield tuple(as_dtype(x, dtype) if is_float(x) else x for x in operands), sample.options
        elif "c" in kinds and dtype.kind == "complex floating":
            yield tuple(as_dtype(x, dtype) if np.iscomplexobj(x) else x for x in operands), sample.options
        elif not kinds and dtype in (float32, float64):
            yield tuple(operands), sample.options


def as_dtype(values: Any, dtype: DType) -> Any:
    """A NumPy array of that type; of bfloat16, which NumPy has not, float32 with as few bits."""
    if dtype is bfloat16:
        return (np.asarray(values, np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)
    return np.asarray(values).astype(dtype.name)


def accepted_dtypes(record: Backend, name: str) -> list[DType]:
    """Data types that a kernel takes."""
    accepted = record.kernels[name].dtypes
    return [dtype for dtype in record.native_dtypes if accepted is None or dtype.name in accepted]


def on_backend(record: Backend, value: Any, dtype: DType) -> Any:
    """The value as the backend holds it; index arrays keep their own data type."""
    if isinstance(value, tuple):
        return tuple(on_backend(record, part, dtype) for part in value)
    if not isinstance(value, (np.ndarray, np.generic)):
        return value
    native = record.native_dtype(dtype) if value.dtype.name == "float32" else None
    return record.asarray(value, dtype=native, copy=True)


def _close(record: Backend, found: Any, expected: Any, dtype: DType) -> None:
    host, expected = record.to_host(found), np.asarray(expected)
    require(host.shape == expected.shape, f"a shape is {host.shape}, expected {expected.shape}")
    width = TOLERANCES.get(dtype.name, 1e-5)
    np.testing.assert_allclose(host, expected, rtol=width, atol=width * 8)


def check_kernel(record: Backend, name: str, rng: Any, limit: int | None = None) -> dict[DType, int]:
    """Compare a kernel with its op: on all cases in float32, in every other type on ``limit`` of them, drawn, or all.

    Returns
    -------
    dict of DType to int
        How many cases it took of each data type.

    Raises
    ------
    ConformanceError, AssertionError
        If they disagree, or the kernel takes no case at all.
    """
    op = OPS.get(name)
    if op is None:
        raise ConformanceError(f"portanet has no op {name!r} that this kernel could replace")
    implementation = Implementation(op, record)
    taken: dict[DType, int] = {}
    for dtype in accepted_dtypes(record, name):
        taken[dtype] = 0
        cases = list(CASES[name](rng, dtype) if name in CASES else sampled_cases(op, rng, dtype))
        if dtype is not float32:
            rng.shuffle(cases)
            cases = cases[:limit]
        for operands, options in cases:
            try:
                taken[dtype] += _check_case(record, implementation, operands, options, dtype, rng)
            except Exception as error:
                shapes = [np.shape(operand) for operand in operands]
                error.add_note(f"Kernel {name!r} of {dtype.name}: shapes {shapes}, options {options}.")
                raise
    require(any(taken.values()), f"kernel {name!r} takes none of the cases that are tried")
    return taken


def _check_case(
    record: Backend,
    implementation: Implementation,
    operands: tuple[Any, ...],
    options: dict[str, Any],
    dtype: DType,
    rng: Any,
) -> bool:
    """Compare on one case, and tell whether the kernel took it."""
    op = implementation.op
    native = [on_backend(record, operand, dtype) for operand in operands]
    native_options = {key: on_backend(record, value, dtype) for key, value in options.items()}
    if implementation.choose(native, native_options) is op:
        return False
    for array in [*operands, *native]:
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    with np.errstate(all="ignore"):
        results = _each_result(op, op(np, *operands, **options))
    found = _each_result(op, implementation.function(record.namespace, *native, **native_options))
    for (result, vjps), (expected, expected_vjps) in zip(found, results, strict=True):
        wanted = np.asarray(expected).dtype.name
        if dtype is bfloat16 and wanted == "float32":
            wanted = "bfloat16"
        have = record.dtype_of(result).name
        require(have == wanted, f"the result's data type is {have}, expected {wanted}")
        _close(record, result, expected, dtype)
        cotangent = arrays(rng, dtype, *np.shape(expected))
        native_cotangent = on_backend(record, cotangent, dtype)
        for operand, vjp, expected_vjp in zip(operands, vjps, expected_vjps, strict=True):
            if operand is None:
                continue
            require((vjp is None) == (expected_vjp is None), "kernel and op differ in what has a gradient")
            if vjp is not None and dtype.is_differentiable:
                # Either may leave it to the walk to sum over what was broadcast.
                shape = np.shape(operand)
                gradient = unbroadcast(record.namespace, vjp(native_cotangent), shape)
                _close(record, gradient, unbroadcast(np, expected_vjp(cotangent), shape), dtype)
    for operand, array in zip(operands, native, strict=True):
        if isinstance(operand, np.ndarray):
            host = record.to_host(array)
            np.testing.assert_array_equal(host, operand.astype(host.dtype), "an operand was written to")
    return True


def _each_result(op: Any, returned: Any) -> list[tuple[Any, Any]]:
    """The results of an op, each with its vjps."""
    results, vjps = returned
    if inspect.signature(op).return_annotation == "SeveralResults":
        return list(zip(results, vjps, strict=True))
    return [(results, vjps)]


# Update rules


def parameter_sets(rng: Any, dtype: DType) -> list[Any]:
    """Arrays of many shapes: some need cutting into pieces, some do not lie in one line of memory."""
    shapes = ((), (1,), (0, 3), (7, 5), (300, 400), (3, 50, 60), (70_000,))
    contiguous = [arrays(rng, dtype, *shape) for shape in shapes]
    return [*contiguous, arrays(rng, dtype, 5, 7).T, arrays(rng, dtype, 400, 600)[::2, 1::3]]


@dataclass(frozen=True)
class Rule:
    """An update rule, and options to try it with."""

    function: Callable[..., Any]
    options: tuple[dict[str, Any], ...]
    slots: Callable[[dict[str, Any]], int]
    """How many arrays of state each parameter has."""


ADAM = {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-6}
SGD = {"lr": 0.05}
RULES: dict[str, Rule] = {
    "adam": Rule(
        adam,
        (
            {
                **ADAM,
                "weight_decay": 0.0,
                "decoupled_weight_decay": False,
                "amsgrad": False,
                "maximize": False,
            },
            {**ADAM, "weight_decay": 0.1, "decoupled_weight_decay": False, "amsgrad": True, "maximize": True},
            {
                **ADAM,
                "weight_decay": 0.1,
                "decoupled_weight_decay": True,
                "amsgrad": False,
                "maximize": False,
            },
            {**ADAM, "weight_decay": 0.1, "decoupled_weight_decay": True, "amsgrad": True, "maximize": True},
        ),
        lambda options: 2 + options["amsgrad"],
    ),
    "sgd": Rule(
        sgd,
        (
            {
                **SGD,
                "momentum": 0.0,
                "dampening": 0.0,
                "weight_decay": 0.0,
                "nesterov": False,
                "maximize": False,
            },
            {
                **SGD,
                "momentum": 0.9,
                "dampening": 0.3,
                "weight_decay": 0.1,
                "nesterov": False,
                "maximize": True,
            },
            {
                **SGD,
                "momentum": 0.9,
                "dampening": 0.0,
                "weight_decay": 0.1,
                "nesterov": True,
                "maximize": False,
            },
        ),
        lambda options: int(options["momentum"] > 0),
    ),
}
"""Rules that a kernel may replace, by name."""


def check_rule(record: Backend, name: str, dtype: DType, rng: Any) -> None:
    """Compare the kernel of an update rule with the rule, over three steps from random gradients.

    Raises
    ------
    AssertionError
        If a parameter or its state differs, or a gradient was written to.
    """
    for options in RULES[name].options:
        try:
            _check_rule(record, name, options, dtype, rng)
        except Exception as error:
            error.add_note(f"Update rule {name!r} of {dtype.name}: options {options}.")
            raise


def _check_rule(record: Backend, name: str, options: dict[str, Any], dtype: DType, rng: Any) -> None:
    rule = RULES[name]
    slots = rule.slots(options)
    expected = parameter_sets(rng, dtype)
    found = record.own_copies([record.asarray(x) for x in expected])
    pieces = record.pieces(found)
    expected_states = [tuple(np.zeros_like(x) for _ in range(slots)) for x in expected]
    kept = [record.own_copies([record.asarray(state[i]) for state in expected_states]) for i in range(slots)]
    states = list(zip(*kept, strict=True)) if slots else [()] * len(found)
    columns = [record.pieces(slot) for slot in kept]
    piece_states = list(zip(*columns, strict=True)) if slots else [()] * len(pieces)
    for step in (1, 2, 3):
        gradients = [arrays(rng, dtype, *x.shape) for x in expected]
        native = [record.asarray(g, copy=True) for g in gradients]
        pairs = [
            rule.function(np, x, g, state, step=step, **options)
            for x, g, state in zip(expected, gradients, expected_states, strict=True)
        ]
        expected, expected_states = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        done = record.kernels[name].function(
            record.namespace, pieces, record.pieces(native), piece_states, step=step, **options
        )
        require(done is None, "the kernel of an update rule writes in place and returns None")
        for one, other in zip(native, gradients, strict=True):
            np.testing.assert_array_equal(record.to_host(one), other, "a gradient was written to")
    for x, y, state, expected_state in zip(found, expected, states, expected_states, strict=True):
        _close(record, x, y, dtype)
        for s, t in zip(state, expected_state, strict=True):
            _close(record, s, t, dtype)
