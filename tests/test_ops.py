"""Every op on every backend: value, gradient, second gradient and data type.

The operands come from ``portanet.testing.samples``, and the checks from ``portanet.testing.functions``. On JAX, which
compiles each op for each shape, values of one sample are tried here, and gradients in ``tests/parity/test_ops.py``.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

import numpy as np
import pytest

import portanet as pn
import portanet.functions
from portanet.ops import elementwise, indexing, layers, reductions
from portanet.protocols import Op
from portanet.tensor import RECORDED_OPS
from portanet.testing import gradcheck, gradgradcheck
from portanet.testing.functions import (
    Check,
    as_function,
    check_gradient,
    check_no_gradient,
    check_raw_arrays,
    check_second_gradient,
    check_single_precision,
    check_values,
    is_float,
    lifted,
    missing_library,
    parts,
    try_samples,
)
from portanet.testing.samples import DIFFERENTIABLE, EVERY_SAMPLE, SAMPLES, WITHOUT_GRADIENT, Sample

# PyTorch warns of this wherever the variance has no elements at all, right or not.
pytestmark = pytest.mark.filterwarnings("ignore:.*degrees of freedom is <= 0:UserWarning")

F = pn.nn.functional
INVARIANT_ONLY = {"eig", "eigh", "qr", "svd"}
"""Unique up to signs, so that functions of their results have samples: ``linear_algebra.INVARIANT``."""


def by_name(op: Any) -> str:
    return op.__name__


def try_here(check: Check, function: Any, rng: Any, limit: int | None = None) -> None:
    """Run a check on the backend in use."""
    library = missing_library(function)
    if library is not None:
        pytest.skip(f"{library} is not installed, with which {function.__name__} is computed or compared")
    try_samples(check, function, rng, limit)


RESULTS = ("OpResult", "SeveralResults")
"""What ops return, by their annotations."""


def all_ops() -> dict[Op, str]:
    """Every op that a module under ``portanet/ops`` offers, with the module's name: what returns one of ``RESULTS``."""
    found = {}
    for info in pkgutil.iter_modules(portanet.ops.__path__):
        module = importlib.import_module(f"portanet.ops.{info.name}")
        for name in module.__all__:
            op = getattr(module, name)
            if inspect.isfunction(op) and inspect.signature(op).return_annotation in RESULTS:
                found[op] = info.name
    return found


# The table is complete


def test_every_op_has_samples() -> None:
    ops = all_ops()
    missing = {op.__name__ for op in ops} - {op.__name__ for op in EVERY_SAMPLE} - INVARIANT_ONLY
    assert not missing, f"add samples to portanet/testing/samples for {sorted(missing)}"
    assert not set(SAMPLES) & set(WITHOUT_GRADIENT)
    assert all(EVERY_SAMPLE.values())


OF_NETWORKS = {
    *("activations", "attention", "convolution", "ctc", "layers", "losses", "normalization", "padding"),
    *("recurrent", "resampling", "unpooling", "windows"),
}
"""Chapters whose functions stand in ``portanet.nn.functional``."""
OFFERED_AS = {
    "attention": "scaled_dot_product_attention",
    "convolution": "conv2d",
    "convolution_input": "conv_transpose2d",
    "convolution_weight": "conv2d",  # its gradient
    "label_scores": "ctc_loss",
    "max_pool": "max_pool2d",
    "normalize": "layer_norm",
    "normalize_with_statistics": "batch_norm",
    "resample": "interpolate",
    "soft_cross_entropy": "cross_entropy",
    "sum_pool": "avg_pool2d",
    "unpool": "max_unpool2d",
    "windows": "unfold",
}
"""Ops that a function with another name runs."""


def test_every_op_is_offered() -> None:
    """By the standard's name in ``portanet``, as a function of ``portanet.nn.functional``, or as an operator."""
    operators = {indexing.getitem: "__getitem__", indexing.setitem: "__setitem__"}
    for op, module in all_ops().items():
        assert op in RECORDED_OPS, f"{op.__name__} is not lifted"
        if op in operators:
            assert hasattr(pn.Tensor, operators[op])
        elif module in OF_NETWORKS:
            assert hasattr(F, OFFERED_AS.get(op.__name__, op.__name__))
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
    have = {op.__name__ for op in EVERY_SAMPLE} | INVARIANT_ONLY
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
        for sample in samples if missing_library(op) is None else ():
            operands = sample.operands(rng)
            _, vjps = op(np, *operands, **sample.options)
            floats = {i for i, operand in enumerate(operands) if is_float(operand)}
            assert floats - set(sample.constant), op.__name__
            if op is not elementwise.pow:  # whose operands are constant where the other one is special
                assert {i for i in floats if i < len(vjps) and vjps[i] is None} == set(sample.constant), (
                    op.__name__
                )
    for op, samples in WITHOUT_GRADIENT.items():
        several = inspect.signature(op).return_annotation == "SeveralResults"
        for sample in samples if missing_library(op) is None else ():
            _, vjps = op(np, *sample.operands(rng), **sample.options)
            for of_one in vjps if several else (vjps,):
                assert all(vjp is None for vjp in of_one), op.__name__


# Values


@pytest.mark.parametrize("op", EVERY_SAMPLE, ids=by_name)
def test_values_are_numpys(op: Op, backend: str, rng: Any) -> None:
    try_here(check_values, op, rng, 1 if backend == "jax" else None)


@pytest.mark.parametrize("op", EVERY_SAMPLE, ids=by_name)
def test_raw_arrays_give_raw_arrays_of_the_same_library(op: Op, backend: str, rng: Any) -> None:
    try_here(check_raw_arrays, op, rng, 1 if backend == "jax" else None)


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=by_name)
def test_single_precision_stays_so(op: Op, eager: str, rng: Any) -> None:
    try_here(check_single_precision, op, rng)


# Gradients


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=by_name)
def test_gradient(op: Op, eager: str, rng: Any) -> None:
    try_here(check_gradient, op, rng)


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=by_name)
def test_second_gradient(op: Op, eager: str, rng: Any) -> None:
    try_here(check_second_gradient, op, rng)


@pytest.mark.parametrize("op", WITHOUT_GRADIENT, ids=by_name)
def test_ops_without_gradient_record_nothing(op: Op, backend: str, rng: Any) -> None:
    try_here(check_no_gradient, op, rng, 1 if backend == "jax" else None)


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
    try_samples(check_complex_gradients, op, rng)


def check_complex_gradients(op: Op, sample: Sample, operands: list[Any], rng: Any) -> None:
    if "dtype" in sample.options or sample.constant:  # it names a real type, or is about a special real value
        return
    floats = [i for i, operand in enumerate(operands) if is_float(operand)]
    for chosen in (floats, floats[:1]):
        turned = [
            np.asarray(operand * np.exp(1j * rng.uniform(0.2, 1.2))) if i in chosen else operand
            for i, operand in enumerate(operands)
        ]
        check_gradient(op, sample, turned, rng)
        check_second_gradient(op, sample, turned, rng)


def test_the_sign_of_complex_numbers_has_a_gradient(eager: str, rng: Any) -> None:
    z = rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3))
    assert gradcheck(pn.sign, z)
    assert gradgradcheck(pn.sign, z)
    zero = pn.Tensor([0j, 1j], requires_grad=True)
    pn.real(pn.sign(zero)).sum().backward()
    np.testing.assert_array_equal(zero.grad.numpy(), [0, 1])


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=by_name)
def test_nothing_writes_into_an_operand_or_a_cotangent(op: Op, rng: Any) -> None:
    """On NumPy arrays that cannot be written to; forward, backward, and both again for the second gradient."""
    with pn.use_backend("numpy"):
        try_here(check_nothing_is_written, op, rng)


def frozen(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = value.copy()
        value.flags.writeable = False
    return value


def check_nothing_is_written(op: Op, sample: Sample, operands: list[Any], rng: Any) -> None:
    function, inputs = as_function(op, sample, [frozen(operand) for operand in operands])
    for x in inputs:
        assert not x.data.flags.writeable
        x.requires_grad_()
    for create_graph in (False, True):
        found = [part for part in parts(function(*inputs)) if part.requires_grad]
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
            try_here(check_layouts, op, rng)


def check_layouts(op: Op, sample: Sample, operands: list[Any], rng: Any) -> None:
    results = []
    drawn: list[Any] = []
    for arrange in (lambda value: value, strided):
        function, inputs = as_function(op, sample, [arrange(operand) for operand in operands])
        inputs = [x.detach().requires_grad_() for x in inputs]
        found = [part for part in parts(function(*inputs)) if part.requires_grad]
        drawn = drawn or [np.asarray(rng.normal(size=part.shape)) for part in found]
        cotangents = [lifted(arrange(cotangent)) for cotangent in drawn]
        results.append([*found, *pn.grad(found, inputs, cotangents, allow_unused=True)])
    for first, second in zip(*results, strict=True):
        assert (first is None) == (second is None)
        if first is not None:
            np.testing.assert_allclose(first.detach().numpy(), second.detach().numpy(), 1e-9, 1e-11)


def torch_is_here() -> bool:
    return any(report.name == "torch" and report.available for report in pn.available_backends())


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=by_name)
def test_a_result_may_be_used_twice_and_an_operand_too(op: Op, eager: str, rng: Any) -> None:
    """Gradients of all uses add up, and no use sees what another did to the cotangent."""
    try_here(check_uses_add_up, op, rng, limit=1)


def check_uses_add_up(op: Op, sample: Sample, operands: list[Any], rng: Any) -> None:
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
    table = pn.Tensor(rng.normal(size=(300, 2)), requires_grad=True)
    rows_of_table = pn.take(table, pn.asarray(np.asarray([100, 3, 100], dtype=dtype)), axis=0)
    rows_of_table.backward(pn.asarray(np.stack([cotangent, cotangent], axis=1)))
    expected = np.asarray([cotangent[1], cotangent[0] + cotangent[2]])
    np.testing.assert_allclose(table.grad.numpy()[[3, 100]], np.stack([expected, expected], axis=1))
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
