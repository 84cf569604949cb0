"""Checks of one function on the backend in use: values, types, and gradients of the first and second order.

Each check takes the function (a portanet function, or the op that it lifts), one sample of
:mod:`portanet.testing.samples`, the operands that were drawn for it, and a random generator. It raises
:class:`~portanet.errors.ConformanceError` or an ``AssertionError`` of NumPy's that says what differs.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from portanet.backend import Backend, get_backend, use_backend
from portanet.dtypes import complex64, complex128, float32, float64
from portanet.errors import ConformanceError, GradientError
from portanet.functions.elementwise import real
from portanet.functions.reductions import sum as sum_of
from portanet.nn import functional
from portanet.ops import elementwise, indexing
from portanet.random import Generator
from portanet.tensor import RECORDED_OPS, Tensor, asarray
from portanet.testing.gradients import gradcheck, gradgradcheck
from portanet.testing.samples import EVERY_SAMPLE, Sample

__all__ = [
    "as_function",
    "assert_close",
    "call",
    "check_gradient",
    "check_no_gradient",
    "check_raw_arrays",
    "check_second_gradient",
    "check_single_precision",
    "check_values",
    "is_float",
    "lifted",
    "missing_library",
    "native",
    "options_of",
    "parts",
    "require",
    "try_samples",
]

Check = Callable[[Any, Sample, list[Any], Any], None]


for _name in functional.__all__:
    getattr(functional, _name)  # loads it, and so makes the Tensor functions of all ops of networks


def try_samples(check: Check, function: Any, rng: Any, limit: int | None = None) -> None:
    """Run a check on samples of a function, the first ``limit`` or all, with freshly drawn operands."""
    for number, sample in enumerate(EVERY_SAMPLE[function][:limit]):
        operands = sample.operands(rng)
        try:
            check(function, sample, operands, rng)
        except Exception as error:
            shapes = [np.shape(operand) for operand in operands]
            error.add_note(f"Sample {number}: shapes {shapes}, options {sample.options}.")
            raise


def missing_library(function: Any) -> str | None:
    """The name of a library that a function's samples need and that is not installed, or None."""
    for sample in EVERY_SAMPLE[function]:
        if sample.needs is not None and importlib.util.find_spec(sample.needs) is None:
            return sample.needs
    return None


# Calling


def native(value: Any, record: Backend) -> Any:
    """The same with arrays of the backend's library for NumPy's."""
    if isinstance(value, tuple):
        return tuple(native(part, record) for part in value)
    return record.asarray(value, copy=True) if isinstance(value, np.ndarray) else value


def lifted(value: Any) -> Any:
    """The same with Tensors for NumPy's arrays."""
    if isinstance(value, tuple):
        return tuple(lifted(part) for part in value)
    return asarray(value) if isinstance(value, np.ndarray) else value


def is_float(value: Any) -> bool:
    """Whether an operand is one that may have a gradient: a NumPy array of real or complex floating-point numbers."""
    return isinstance(value, np.ndarray) and value.dtype.kind in "fc"


def options_of(sample: Sample) -> dict[str, Any]:
    """Options as portanet's functions take them."""
    known = {dtype.name: dtype for dtype in (float32, float64, complex64, complex128)}
    return {name: known[value] if name == "dtype" else value for name, value in sample.options.items()}


def call(function: Any, operands: Sequence[Any], options: dict[str, Any]) -> Any:
    """The Tensor function of an op. Reading and replacing go through the operators, as they do everywhere else."""
    if function is indexing.getitem:
        return operands[0][lifted(options["key"])]
    if function is indexing.setitem:
        changed = operands[0].clone()
        changed[lifted(options["key"])] = operands[1]
        return changed
    return RECORDED_OPS.get(function, function)(*operands, **options)


def parts(found: Any) -> tuple[Any, ...]:
    """All results of a call."""
    return tuple(found) if isinstance(found, (tuple, list)) else (found,)


# Comparing


def require(condition: bool, message: str) -> None:
    """Raise if something that a backend promises does not hold.

    Raises
    ------
    ConformanceError
        With the message.
    """
    if not condition:
        raise ConformanceError(message)


def assert_close(found: Any, expected: Any, tolerance: float = 1e-12) -> None:
    """Require the shape, the data type, and the values to within a tolerance."""
    expected = np.asarray(expected)
    require(tuple(found.shape) == expected.shape, f"its shape is {found.shape}, expected {expected.shape}")
    require(found.dtype == expected.dtype, f"its data type is {found.dtype}, expected {expected.dtype}")
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def _pairs(found: Any, expected: Any) -> Iterator[tuple[Any, Any]]:
    results, wanted = parts(found), parts(expected)
    require(len(results) == len(wanted), f"it has {len(results)} results, expected {len(wanted)}")
    return zip(results, wanted, strict=True)


# Values


def check_values(function: Any, sample: Sample, operands: list[Any], rng: Any) -> None:
    """Tensors have the values of the reference and hold arrays of the library, and the operands keep theirs."""
    kept = [np.copy(operand) for operand in operands]
    expected = sample.expected(operands)
    given = [lifted(operand) for operand in operands]
    found = call(function, given, options_of(sample))
    for part, wanted in _pairs(found, expected):
        require(isinstance(part, Tensor), f"its result is a {type(part).__name__} and no Tensor")
        inside = type(part.data).__name__
        require(isinstance(part.data, get_backend().array_types()), f"its result holds a {inside}")
        require(not part.requires_grad, "its result requires a gradient, which no operand does")
        assert_close(part.numpy(), wanted)
    for operand, value in zip(given, kept, strict=True):
        if isinstance(operand, Tensor):
            np.testing.assert_array_equal(operand.numpy(), value, err_msg="an operand was written to")


def check_raw_arrays(function: Any, sample: Sample, operands: list[Any], rng: Any) -> None:
    """Arrays of the library give arrays of the library, whatever backend is in use."""
    record = get_backend()
    arrays = [native(operand, record) for operand in operands]
    options = {name: native(value, record) for name, value in options_of(sample).items()}
    with use_backend("numpy"):  # the arrays decide
        found = RECORDED_OPS.get(function, function)(*arrays, **options)
    for part, wanted in _pairs(found, sample.expected(operands)):
        require(isinstance(part, record.array_types()), f"its result for arrays is a {type(part).__name__}")
        place = record.device_of(part)
        require(place == record.devices()[0], f"its result is on {place}, its operands on another device")
        assert_close(record.to_host(part), wanted)


def _narrow(value: Any) -> Any:
    return np.asarray(value).astype("complex64" if np.iscomplexobj(value) else "float32")


def check_single_precision(function: Any, sample: Sample, operands: list[Any], rng: Any) -> None:
    """Result and gradients stay in single precision, whatever Python numbers stand beside."""
    narrow = [_narrow(operand) if is_float(operand) else operand for operand in operands]
    tensors = [
        Tensor(asarray(operand), requires_grad=True) if is_float(operand) else lifted(operand)
        for operand in narrow
    ]
    options = options_of(sample)
    if "dtype" in options:
        options["dtype"] = float32
    found = parts(call(function, tensors, options))
    doubled = [
        one.astype(operand.dtype) if is_float(operand) else operand
        for one, operand in zip(narrow, operands, strict=True)
    ]
    for part, wanted in _pairs(found, sample.expected(doubled)):
        expected = np.asarray(wanted)
        if expected.dtype.kind not in "fc":
            continue
        single = complex64 if np.iscomplexobj(expected) else float32
        require(part.dtype == single, f"a result of single precision operands is {part.dtype.name}")
        scale = np.max(np.abs(expected), initial=1.0)
        np.testing.assert_allclose(part.detach().numpy(), expected, rtol=1e-5, atol=2e-6 * scale)
    if function is elementwise.pow:  # the logarithm of a negative base, where the exponent wants a gradient
        return
    total = sum(sum_of(real(part)) for part in found if part.requires_grad)
    require(isinstance(total, Tensor), "no result requires a gradient")
    total.backward(create_graph=True)
    for i, tensor in enumerate(tensors):
        if isinstance(tensor, Tensor) and tensor.requires_grad and i not in sample.constant:
            _check_gradient_type(tensor)


def _check_gradient_type(tensor: Tensor) -> None:
    gradient = tensor.grad
    require(gradient is not None, "an operand has no gradient")
    assert gradient is not None
    require(gradient.dtype == tensor.dtype, f"the gradient of a {tensor.dtype} operand is {gradient.dtype}")
    require(gradient.shape == tensor.shape, f"the gradient of a {tensor.shape} operand is {gradient.shape}")


# Gradients


def as_function(
    function: Any, sample: Sample, operands: list[Any]
) -> tuple[Callable[..., Any], list[Tensor]]:
    """The call of a sample as a function of the operands that have a gradient, and these operands."""
    wanted = [i for i, operand in enumerate(operands) if is_float(operand) and i not in sample.constant]
    rest = [lifted(operand) for operand in operands]

    def called(*given: Any) -> Any:
        every = list(rest)
        for i, operand in zip(wanted, given, strict=True):
            every[i] = operand
        return call(function, every, options_of(sample))

    called.__name__ = function.__name__
    return called, [rest[i] for i in wanted]


def check_gradient(function: Any, sample: Sample, operands: list[Any], rng: Any) -> None:
    """The gradient agrees with finite differences along a random projection."""
    generator = Generator(int(rng.integers(2**63)))
    gradcheck(*as_function(function, sample, operands), projections=1, generator=generator)


def check_second_gradient(function: Any, sample: Sample, operands: list[Any], rng: Any) -> None:
    """The gradient's gradient agrees with finite differences along a random projection."""
    generator = Generator(int(rng.integers(2**63)))
    gradgradcheck(*as_function(function, sample, operands), projections=1, generator=generator)


def check_no_gradient(function: Any, sample: Sample, operands: list[Any], rng: Any) -> None:
    """A function without a gradient records nothing, and says so when it is asked for one."""
    tensors = [lifted(operand) for operand in operands]
    for tensor, operand in zip(tensors, operands, strict=True):
        if is_float(operand):
            tensor.requires_grad_()
    for part in parts(call(function, tensors, options_of(sample))):
        require(part.is_leaf and not part.requires_grad, "its result requires a gradient")
        if any(is_float(operand) for operand in operands):
            _require_refusal(function, part)


def _require_refusal(function: Any, result: Tensor) -> None:
    try:
        result.backward()
    except GradientError as error:
        told = f"{function.__name__} has no gradient"
        require(told in str(error), f"asked for its gradient it says {str(error)!r}, and not {told!r}")
    else:
        raise ConformanceError("asked for its gradient it says nothing")
