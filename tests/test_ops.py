"""Every op on every backend: value, gradient, second gradient and data type.

The operands come from ``tests/op_samples.py``. On JAX, which compiles each op for each shape, values of one sample are
tried here, and gradients in ``tests/parity/test_ops.py``.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import portanet as pn
import portanet.functions
from portanet.backend import backend_named
from portanet.errors import GradientError
from portanet.ops import elementwise, indexing, layers, losses, reductions
from portanet.protocols import Op
from portanet.tensor import RECORDED_OPS
from portanet.testing import gradcheck, gradgradcheck
from tests.op_samples import COMPOSED, SAMPLES, TESTED_APART, WITHOUT_GRADIENT, Sample, all_ops

# PyTorch warns of this wherever the variance has no elements at all, right or not.
pytestmark = pytest.mark.filterwarnings("ignore:.*degrees of freedom is <= 0:UserWarning")

F = pn.nn.functional
DIFFERENTIABLE: dict[Any, list[Sample]] = {**SAMPLES, **COMPOSED}
EVERY_SAMPLE: dict[Any, list[Sample]] = {**DIFFERENTIABLE, **WITHOUT_GRADIENT}


def by_name(op: Op) -> str:
    return op.__name__


def tried(op: Op, backend: str, rng: Any) -> Iterator[tuple[int, Sample, list[Any]]]:
    for number, sample in enumerate(EVERY_SAMPLE[op][: 1 if backend == "jax" else None]):
        yield number, sample, sample.operands(rng)


def described(number: int, sample: Sample, operands: list[Any]) -> str:
    shapes = [np.shape(operand) for operand in operands]
    return f"sample {number}: shapes {shapes}, options {sample.options}"


def native(value: Any, backend: str) -> Any:
    """The same with arrays of the backend's library for NumPy's."""
    if isinstance(value, tuple):
        return tuple(native(part, backend) for part in value)
    if isinstance(value, np.ndarray):
        return backend_named(backend).asarray(value, copy=True)
    return value


def lifted(value: Any) -> Any:
    """The same with Tensors for NumPy's arrays."""
    if isinstance(value, tuple):
        return tuple(lifted(part) for part in value)
    return pn.asarray(value) if isinstance(value, np.ndarray) else value


def options_of(sample: Sample) -> dict[str, Any]:
    """Options as portanet's functions take them."""
    options = dict(sample.options)
    if "dtype" in options:
        options["dtype"] = getattr(pn, options["dtype"])
    return options


def call(op: Op, operands: Any, options: dict[str, Any]) -> Any:
    """The Tensor function of an op. Reading and replacing go through the operators, as they do everywhere else."""
    if op is indexing.getitem:
        return operands[0][lifted(options["key"])]
    if op is indexing.setitem:
        r = operands[0].clone()
        r[lifted(options["key"])] = operands[1]
        return r
    return RECORDED_OPS.get(op, op)(*operands, **options)


def parts(found: Any) -> tuple[Any, ...]:
    """All results of a call."""
    return tuple(found) if isinstance(found, (tuple, list)) else (found,)


def is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fc"


def assert_close(found: Any, expected: Any, note: str, tolerance: float = 1e-12) -> None:
    expected = np.asarray(expected)
    assert found.shape == expected.shape, note
    assert found.dtype == expected.dtype, note
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=note)


# The table is complete


def test_every_op_has_samples() -> None:
    ops = all_ops()
    missing = {op.__name__ for op in ops} - {op.__name__ for op in EVERY_SAMPLE} - TESTED_APART
    assert not missing, f"add samples to tests/op_samples.py for {sorted(missing)}"
    assert not set(SAMPLES) & set(WITHOUT_GRADIENT)
    assert all(EVERY_SAMPLE.values())


def test_every_op_is_offered() -> None:
    """By the standard's name in ``portanet``, as a function of ``portanet.nn.functional``, or as an operator."""
    operators = {indexing.getitem: "__getitem__", indexing.setitem: "__setitem__"}
    for op, module in all_ops().items():
        assert op in RECORDED_OPS, f"{op.__name__} is not lifted"
        if op in operators:
            assert hasattr(pn.Tensor, operators[op])
        elif module in ("layers", "losses"):
            public = "cross_entropy" if op is losses.soft_cross_entropy else op.__name__
            assert hasattr(F, public)
        else:
            assert public_function(op.__name__) is not None, op.__name__


def public_function(name: str) -> Any:
    """A function of the namespace or of one of its extensions."""
    for module in (pn, pn.linalg, pn.fft, pn.special):
        if hasattr(module, name):
            return getattr(module, name)
    return None


STANDARD = [
    name
    for info in pkgutil.iter_modules(portanet.functions.__path__)
    for name in importlib.import_module(f"portanet.functions.{info.name}").__all__
]
NOT_COMPUTED = {
    *(
        "arange",
        "asarray",
        "can_cast",
        "empty",
        "empty_like",
        "eye",
        "fftfreq",
        "finfo",
        "from_dlpack",
        "full",
    ),
    *("full_like", "iinfo", "isdtype", "linspace", "ones", "ones_like", "result_type", "rfftfreq", "zeros"),
    *("zeros_like", "broadcast_shapes", "to_host", "array_namespace_info"),
}
"""Functions of the standard that compute nothing from values: tests/test_functions.py has their tests."""


def test_every_function_of_the_namespace_has_samples() -> None:
    """Those of the standard and of its extensions, and the special functions."""
    have = {op.__name__ for op in EVERY_SAMPLE} | TESTED_APART
    missing = []
    for module, names in (
        (pn, STANDARD),
        *((part, part.__all__) for part in (pn.linalg, pn.fft, pn.special)),
    ):
        for name in names:
            function = getattr(module, name, None)  # one has underscores around its name there
            if inspect.isfunction(function) and function.__name__ not in have | NOT_COMPUTED:
                missing.append(name)
    assert not missing, f"add samples for {missing}"


def test_the_samples_say_which_ops_have_gradients(rng: Any) -> None:
    """An op in the wrong list would not be checked."""
    for op, samples in SAMPLES.items():
        for sample in samples:
            operands = sample.operands(rng)
            _, vjps = op(np, *operands, **sample.options)
            floats = {i for i, operand in enumerate(operands) if is_float(operand)}
            assert floats - set(sample.constant), op.__name__
            if op is not elementwise.pow:  # whose operands are constant where the other one is special
                assert {i for i in floats if i < len(vjps) and vjps[i] is None} == set(sample.constant), (
                    op.__name__
                )
    for op, samples in WITHOUT_GRADIENT.items():
        for sample in samples:
            _, vjps = op(np, *sample.operands(rng), **sample.options)
            assert all(vjp is None for vjp in vjps), op.__name__


# Values


@pytest.mark.parametrize("op", EVERY_SAMPLE, ids=by_name)
def test_values_are_numpys(op: Op, backend: str, rng: Any) -> None:
    for number, sample, operands in tried(op, backend, rng):
        note = described(number, sample, operands)
        before = [np.copy(operand) for operand in operands]
        expected = sample.expected(operands)
        found = call(op, [lifted(operand) for operand in operands], options_of(sample))
        assert len(parts(found)) == len(parts(expected)), note
        for part, wanted in zip(parts(found), parts(expected), strict=True):
            assert isinstance(part, pn.Tensor)
            assert not part.requires_grad
            assert_close(part.numpy(), wanted, note)
        for operand, copy in zip(operands, before, strict=True):
            np.testing.assert_array_equal(operand, copy)


@pytest.mark.parametrize("op", EVERY_SAMPLE, ids=by_name)
def test_raw_arrays_give_raw_arrays_of_the_same_library(op: Op, backend: str, rng: Any) -> None:
    record = backend_named(backend)
    for number, sample, operands in tried(op, backend, rng):
        note = described(number, sample, operands)
        arrays = [native(operand, backend) for operand in operands]
        options = {name: native(value, backend) for name, value in options_of(sample).items()}
        with pn.use_backend("numpy"):  # the arrays decide, not the backend in use
            found = RECORDED_OPS.get(op, op)(*arrays, **options)
        for part, wanted in zip(parts(found), parts(sample.expected(operands)), strict=True):
            assert isinstance(part, record.array_types()[0]), note
            assert not isinstance(part, pn.Tensor), note
            assert record.device_of(part) == record.devices()[0], note
            assert_close(record.to_host(part), wanted, note)


def rounded(operand: Any) -> Any:
    """What is left of an operand in single precision."""
    single = "c8" if np.iscomplexobj(operand) else "f4"
    return operand.astype(single).astype(operand.dtype)


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=by_name)
def test_single_precision_stays_so(op: Op, eager: str, rng: Any) -> None:
    """Result and gradients, whatever Python numbers stand beside; nothing drifts to float64."""
    for number, sample, operands in tried(op, eager, rng):
        note = described(number, sample, operands)
        tensors: list[Any] = []
        for operand in operands:
            narrow = pn.complex64 if np.iscomplexobj(operand) else pn.float32
            tensors.append(
                pn.Tensor(operand, dtype=narrow, requires_grad=True) if is_float(operand) else lifted(operand)
            )
        options = options_of(sample)
        if "dtype" in options:
            options["dtype"] = pn.float32
        found = parts(call(op, tensors, options))
        expected = parts(sample.expected([rounded(o) if is_float(o) else o for o in operands]))
        for part, wanted in zip(found, map(np.asarray, expected), strict=True):
            if wanted.dtype.kind not in "fc":
                continue
            assert part.dtype == (pn.complex64 if np.iscomplexobj(wanted) else pn.float32), note
            scale = np.max(np.abs(wanted), initial=1.0)
            np.testing.assert_allclose(
                part.detach().numpy(), wanted, rtol=1e-5, atol=2e-6 * scale, err_msg=note
            )
        if op is elementwise.pow:  # the logarithm of a negative base, where the exponent wants a gradient
            continue
        total = sum(pn.sum(pn.real(part)) for part in found if part.requires_grad)
        total.backward(create_graph=True)
        for i, tensor in enumerate(tensors):
            if isinstance(tensor, pn.Tensor) and tensor.requires_grad and i not in sample.constant:
                assert tensor.grad is not None, note
                assert tensor.grad.dtype == tensor.dtype, note
                assert tensor.grad.shape == tensor.shape, note


# Gradients


def as_function(op: Op, sample: Sample, operands: list[Any]) -> tuple[Any, list[Any]]:
    """The op as a function of the operands that have a gradient, and these operands."""
    wanted = [i for i, operand in enumerate(operands) if is_float(operand) and i not in sample.constant]
    rest = [lifted(operand) for operand in operands]

    def function(*given: Any) -> Any:
        every = list(rest)
        for i, operand in zip(wanted, given, strict=True):
            every[i] = operand
        return call(op, every, options_of(sample))

    function.__name__ = op.__name__
    return function, [rest[i] for i in wanted]


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=by_name)
def test_gradient(op: Op, eager: str, rng: Any) -> None:
    generator = pn.random.Generator(int(rng.integers(2**63)))
    for number, sample, operands in tried(op, eager, rng):
        function, inputs = as_function(op, sample, operands)
        try:
            gradcheck(function, inputs, projections=1, generator=generator)
        except Exception as error:
            error.add_note(described(number, sample, operands))
            raise


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=by_name)
def test_second_gradient(op: Op, eager: str, rng: Any) -> None:
    generator = pn.random.Generator(int(rng.integers(2**63)))
    for number, sample, operands in tried(op, eager, rng):
        function, inputs = as_function(op, sample, operands)
        try:
            gradgradcheck(function, inputs, projections=1, generator=generator)
        except Exception as error:
            error.add_note(described(number, sample, operands))
            raise


# fmt: off
COMPLEX = [
    "abs", "acos", "acosh", "add", "asin", "asinh", "astype", "atan", "atanh", "broadcast_to", "concat", "conj", "cos",
    "cosh", "divide", "exp", "expand_dims", "expm1", "flip", "getitem", "imag", "index_add", "log", "log10", "log1p",
    "log2", "matmul", "matrix_transpose", "mean", "moveaxis", "multiply", "negative", "permute_dims", "positive", "pow",
    "prod", "real", "reciprocal", "reshape", "roll", "setitem", "sin", "sinh", "sqrt", "square", "squeeze",
    "stack", "subtract", "sum", "take", "take_along_axis", "tan", "tanh", "tensordot", "tril", "triu", "vecdot",
    "where",
]
# fmt: on
"""Ops that the standard defines for complex numbers, too."""


@pytest.mark.parametrize("name", COMPLEX)
def test_gradients_of_complex_numbers(name: str, eager: str, rng: Any) -> None:
    """First and second, with every operand complex, and with complex and real ones mixed."""
    op = next(op for op in EVERY_SAMPLE if op.__name__ == name)
    generator = pn.random.Generator(int(rng.integers(2**63)))
    for number, sample, operands in tried(op, eager, rng):
        if (
            "dtype" in sample.options or sample.constant
        ):  # which names a real type, or is about a special real value
            continue
        floats = [i for i, operand in enumerate(operands) if is_float(operand)]
        for chosen in (floats, floats[:1]):
            turned = [
                np.asarray(operand * np.exp(1j * rng.uniform(0.2, 1.2))) if i in chosen else operand
                for i, operand in enumerate(operands)
            ]
            function, inputs = as_function(op, sample, turned)
            try:
                gradcheck(function, inputs, projections=1, generator=generator)
                gradgradcheck(function, inputs, projections=1, generator=generator)
            except Exception as error:
                error.add_note(described(number, sample, turned))
                raise


def test_the_sign_of_complex_numbers_has_a_gradient(eager: str, rng: Any) -> None:
    z = rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3))
    assert gradcheck(pn.sign, z)
    assert gradgradcheck(pn.sign, z)
    zero = pn.Tensor([0j, 1j], requires_grad=True)
    pn.real(pn.sign(zero)).sum().backward()
    np.testing.assert_array_equal(zero.grad.numpy(), [0, 1])


@pytest.mark.parametrize("op", WITHOUT_GRADIENT, ids=by_name)
def test_ops_without_gradient_record_nothing(op: Op, backend: str, rng: Any) -> None:
    for number, sample, operands in tried(op, backend, rng):
        tensors = [
            pn.Tensor(operand, requires_grad=True) if is_float(operand) else lifted(operand)
            for operand in operands
        ]
        found = call(op, tensors, options_of(sample))
        for part in found if isinstance(found, tuple) else (found,):
            assert not part.requires_grad, described(number, sample, operands)
            assert part.is_leaf
            if any(isinstance(tensor, pn.Tensor) and tensor.requires_grad for tensor in tensors):
                with pytest.raises(GradientError, match=f"{op.__name__} has no gradient"):
                    part.backward()


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=by_name)
def test_nothing_writes_into_an_operand_or_a_cotangent(op: Op, rng: Any) -> None:
    """On NumPy arrays that cannot be written to; forward, backward, and both again for the second gradient."""

    def frozen(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            value = value.copy()
            value.flags.writeable = False
        return value

    with pn.use_backend("numpy"):
        for number, sample, operands in tried(op, "numpy", rng):
            note = described(number, sample, operands)
            wanted = [
                i for i, operand in enumerate(operands) if is_float(operand) and i not in sample.constant
            ]
            tensors = [lifted(frozen(operand)) for operand in operands]
            for i in wanted:
                assert not tensors[i].data.flags.writeable, note
                tensors[i].requires_grad_()
            inputs = [tensors[i] for i in wanted]
            for create_graph in (False, True):
                found = [part for part in parts(call(op, tensors, options_of(sample))) if part.requires_grad]
                if not found:
                    continue
                cotangents = [lifted(frozen(rng.normal(size=part.shape))) for part in found]
                first = pn.grad(found, inputs, cotangents, create_graph=create_graph, allow_unused=True)
                again = [gradient for gradient in first if gradient is not None and gradient.requires_grad]
                cotangents = [lifted(frozen(rng.normal(size=gradient.shape))) for gradient in again]
                if again:
                    pn.grad(again, inputs, cotangents, allow_unused=True)


def strided(value: Any) -> Any:
    """The same values with gaps between them, and in the order of columns."""
    if not isinstance(value, np.ndarray) or not value.ndim:
        return value
    wide = np.zeros((*(2 * length for length in value.shape[::-1]),), dtype=value.dtype).T
    part = wide[tuple(slice(None, None, 2) for _ in value.shape)]
    part[...] = value
    return part


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=by_name)
def test_the_layout_in_memory_does_not_matter(op: Op, rng: Any) -> None:
    for backend in ("numpy", "torch") if torch_is_here() else ("numpy",):
        with pn.use_backend(backend):
            for number, sample, operands in tried(op, backend, rng):
                note = f"{described(number, sample, operands)} on {backend}"
                wanted = [
                    i for i, operand in enumerate(operands) if is_float(operand) and i not in sample.constant
                ]
                results = []
                drawn: list[Any] = []
                for arrange in (lambda value: value, strided):
                    tensors = [lifted(arrange(operand)) for operand in operands]
                    for i in wanted:
                        tensors[i] = tensors[i].detach().requires_grad_()
                    found = [
                        part for part in parts(call(op, tensors, options_of(sample))) if part.requires_grad
                    ]
                    drawn = drawn or [np.asarray(rng.normal(size=part.shape)) for part in found]
                    inputs = [tensors[i] for i in wanted]
                    cotangents = [lifted(arrange(cotangent)) for cotangent in drawn]
                    gradients = pn.grad(found, inputs, cotangents, allow_unused=True)
                    results.append([*found, *gradients])
                for first, second in zip(*results, strict=True):
                    assert (first is None) == (second is None), note
                    if first is not None:
                        close = np.testing.assert_allclose
                        close(first.detach().numpy(), second.detach().numpy(), 1e-9, 1e-11, err_msg=note)


def torch_is_here() -> bool:
    return any(report.name == "torch" and report.available for report in pn.available_backends())


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=by_name)
def test_a_result_may_be_used_twice_and_an_operand_too(op: Op, eager: str, rng: Any) -> None:
    """Gradients of all uses add up, and no use sees what another did to the cotangent."""
    for number, sample, operands in tried(op, eager, rng):
        if number:
            break
        function, inputs = as_function(op, sample, operands)
        first = [pn.Tensor(x, requires_grad=True) for x in inputs]
        y = next(part for part in parts(function(*first)) if part.requires_grad)
        again = next(part for part in parts(function(*first)) if part.requires_grad)
        cotangent = pn.asarray(rng.normal(size=y.shape))
        once = pn.grad(y, first, cotangent, retain_graph=True, allow_unused=True)
        both = pn.grad(y * 2.0 + again - y, first, cotangent, allow_unused=True)
        for single, double in zip(once, both, strict=True):
            assert (single is None) == (double is None)
            if single is not None:
                np.testing.assert_allclose(double.numpy(), 2 * single.numpy(), rtol=1e-9, atol=1e-12)


# Indices that are out of range, or of a narrow type


@pytest.mark.parametrize(
    "key", [4, -5, (0, 3), (0, -4), (4, 0), ([4],), ([-5],), ([0], [3]), ([0, 1], [0, -4]), ([4], 0)]
)
def test_an_index_out_of_range_is_an_error(key: Any, backend: str) -> None:
    """Never the value of some other element."""
    x = pn.asarray(np.arange(12.0).reshape(4, 3))
    parts = key if isinstance(key, tuple) else (key,)
    key = tuple(pn.asarray(part) if isinstance(part, list) else part for part in parts)
    if any(isinstance(part, pn.Tensor) for part in key) and (backend == "jax" or x.device.is_accelerator):
        pytest.skip("JAX and GPUs do not read indices before they use them")
    with pytest.raises(IndexError):
        x[key if len(key) == 2 else (*key, ...) if isinstance(key[0], int) else key[0]]


def test_indices_of_eight_bits_reach_everywhere(backend: str, rng: Any) -> None:
    check_narrow_indices("int8", rng)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "uint16"])
def test_indices_of_a_narrow_type_reach_everywhere(dtype: str, eager: str, rng: Any) -> None:
    check_narrow_indices(dtype, rng)


def check_narrow_indices(dtype: str, rng: Any) -> None:
    """Read, take and take_along_axis along axes that are longer than the type of the indices can count."""
    values = rng.normal(size=(120, 30))
    rows, columns = np.asarray([100, 119, 100], dtype=dtype), np.asarray([29, 0, 29], dtype=dtype)
    x = pn.Tensor(values, requires_grad=True)
    y = x[pn.asarray(rows), pn.asarray(columns)]
    np.testing.assert_array_equal(y.detach().numpy(), values[rows, columns])
    cotangent = rng.normal(size=3)
    y.backward(pn.asarray(cotangent))
    expected = np.zeros_like(values)
    np.add.at(expected, (rows, columns), cotangent)
    np.testing.assert_allclose(x.grad.numpy(), expected)
    long = pn.Tensor(rng.normal(size=300), requires_grad=True)
    taken = pn.take(long, pn.asarray(np.asarray([100, 3, 100], dtype=dtype)), axis=0)
    taken.backward(pn.asarray(cotangent))
    np.testing.assert_allclose(long.grad.numpy()[[3, 100]], [cotangent[1], cotangent[0] + cotangent[2]])
    tall = pn.Tensor(rng.normal(size=(300, 4)), requires_grad=True)
    places = rng.integers(0, 4, (300, 2)).astype(dtype)
    beside = pn.take_along_axis(tall, pn.asarray(places), axis=1)
    np.testing.assert_array_equal(
        beside.detach().numpy(), np.take_along_axis(tall.detach().numpy(), places, 1)
    )
    weights = rng.normal(size=(300, 2))
    beside.backward(pn.asarray(weights))
    expected = np.zeros((300, 4))
    np.add.at(expected, (np.arange(300)[:, None], places), weights)
    np.testing.assert_allclose(tall.grad.numpy(), expected, rtol=1e-14, atol=1e-14)


# Python numbers beside arrays, and integers where a real number is needed


REAL_FUNCTIONS = [
    op
    for op in SAMPLES
    if op.__name__
    in {
        *("acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "sin", "sinh", "tan", "tanh"),
        *("exp", "expm1", "log", "log10", "log1p", "log2", "sqrt", "reciprocal"),
    }
] + [reductions.mean, reductions.var, reductions.std, layers.sigmoid, layers.softplus]


@pytest.mark.parametrize("op", REAL_FUNCTIONS, ids=by_name)
def test_integers_do_not_become_double_precision(op: Op, eager: str) -> None:
    """A real function of integers has the default type, as a quotient of integers has."""
    values = [2, 3, 2] if op is elementwise.acosh else [0, 0, 0] if op is elementwise.atanh else [1, 1, 1]
    found = RECORDED_OPS[op](pn.asarray(values))
    assert found.dtype == pn.float32
    expected = RECORDED_OPS[op](pn.asarray(values, dtype=pn.float32))
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


MIXED: dict[str, Any] = {
    "add": pn.add,
    "subtract": pn.subtract,
    "multiply": pn.multiply,
    "divide": pn.divide,
    "pow": pn.pow,
    "remainder": pn.remainder,
    "floor_divide": pn.floor_divide,
    "atan2": pn.atan2,
    "maximum": pn.maximum,
    "minimum": pn.minimum,
    "clip": pn.clip,
    "where": lambda x, y: pn.where(pn.asarray([True, False]), x, y),
    "matmul": pn.matmul,
    "vecdot": pn.vecdot,
    "tensordot": lambda x, y: pn.tensordot(x, y, axes=1),
    "concat": lambda x, y: pn.concat([x, y]),
    "stack": lambda x, y: pn.stack([x, y]),
}


@pytest.mark.parametrize("name", MIXED)
def test_integers_beside_single_precision_do_not_make_it_double(name: str, eager: str) -> None:
    """As in PyTorch and JAX, whatever the library would do."""
    function, x = MIXED[name], pn.asarray([1.5, 2.5])
    for i in (pn.asarray([1, 2]), pn.asarray([1, 2], dtype=pn.int32), pn.asarray([True, True])):
        for left, right in ((x, i), (i, x)):
            found = function(left, right)
            assert found.dtype == pn.float32
            expected = function(left.to(pn.float32), right.to(pn.float32))
            np.testing.assert_array_equal(found.numpy(), expected.numpy())
    y = pn.Tensor([1.5, 2.5], requires_grad=True)
    result = function(y, pn.asarray([1, 2]))
    if result.requires_grad:
        result.backward(pn.ones_like(result), create_graph=True)
        assert y.grad.dtype == pn.float32
