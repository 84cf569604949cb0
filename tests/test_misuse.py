"""Misuse: mixed libraries, data types that are not taken and axes that are not there raise, and say what to do.

Every function of the namespace has a line in one of the tables here, or a reason why not; a test reads the namespace
and fails where one is missing. What the lines say was written from the standard's text.
"""

from __future__ import annotations

import inspect
import math
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import portanet as pn
from portanet.errors import AxisError, DTypeError, MixedBackendError, ShapeError
from portanet.testing import gradcheck, gradgradcheck
from tests.scipy_functions import skip_without_scipy

Run = Callable[..., Any]

VALUES: dict[str, Any] = {
    "matrix": [[2, 1], [1, 3]],
    "vector": [1, 2, 3],
    "number": 2,
    "index": [1, 0],
    "places": [[1, 0], [0, 1]],
    "counts": [1, 2, 1],
    "order": [0, 1, 2],
}
DTYPES = {"b": pn.bool, "i": pn.int32, "f": pn.float32, "c": pn.complex64}


class Call(NamedTuple):
    """How a function is called, and with what."""

    operands: tuple[tuple[str, str], ...]
    """For each: the values, and the data types that it takes, of booleans, integers, floats and complex numbers.

    Those in capitals are beyond the standard: array-api-strict may refuse them.
    """
    run: Run


def plain(f: Run, *operands: Any) -> Any:
    return f(*operands)


def table(*rows: tuple[str, str, Run]) -> dict[str, Call]:
    """Rows of the names of functions, what their operands are, and how they are called."""
    found = {}
    for names, operands, run in rows:
        for name in names.split():
            assert name not in found
            found[name] = Call(tuple(tuple(part.split(":")) for part in operands.split()), run)  # type: ignore[misc]
    return found


CALLS = table(
    # Elementwise
    ("acos acosh asin asinh atan atanh cos cosh exp expm1 log log10 log1p log2", "matrix:bifc", plain),
    ("reciprocal sin sinh sqrt tan tanh", "matrix:bifc", plain),
    ("abs conj negative positive sign", "matrix:ifc", plain),
    ("real square isfinite isinf isnan", "matrix:Bifc", plain),
    ("round", "matrix:Bifc", plain),
    ("ceil floor trunc", "matrix:Bif", plain),
    ("imag", "matrix:c", plain),
    ("signbit", "matrix:BIf", plain),
    ("bitwise_invert", "matrix:bi", plain),
    ("logical_not", "matrix:bIFC", plain),
    ("add multiply", "matrix:Bifc matrix:Bifc", plain),
    ("divide", "matrix:bifc matrix:bifc", plain),
    ("subtract pow", "matrix:ifc matrix:ifc", plain),
    ("floor_divide remainder", "matrix:if matrix:if", plain),
    ("atan2 copysign hypot logaddexp nextafter", "matrix:bif matrix:bif", plain),
    ("greater greater_equal less less_equal maximum minimum", "matrix:Bif matrix:Bif", plain),
    ("equal not_equal", "matrix:bifc matrix:bifc", plain),
    ("bitwise_and bitwise_or bitwise_xor", "matrix:bi matrix:bi", plain),
    ("bitwise_left_shift bitwise_right_shift", "matrix:i matrix:i", plain),
    ("logical_and logical_or logical_xor", "matrix:bIFC matrix:bIFC", plain),
    ("clip", "matrix:Bif matrix:Bif matrix:Bif", plain),
    ("where", "matrix:b matrix:bifc matrix:bifc", plain),
    # Reductions and running sums
    ("sum prod", "matrix:Bifc", plain),
    ("max min", "matrix:Bif", plain),
    ("mean", "matrix:bifc", plain),
    ("std var", "matrix:bifC", plain),
    ("any all count_nonzero", "matrix:bifc", plain),
    ("argmax argmin", "matrix:bif", plain),
    ("cumulative_sum cumulative_prod", "matrix:bifc", lambda f, x: f(x, axis=0)),
    ("diff", "matrix:ifc matrix:ifc matrix:ifc", plain),
    # Sorting, searching, sets
    ("sort argsort", "matrix:Bif", plain),
    ("nonzero unique_all unique_counts unique_inverse unique_values", "matrix:bifc", plain),
    ("searchsorted", "vector:if matrix:if order:i", plain),
    ("isin", "matrix:bifc matrix:bifc", plain),
    # Indexing
    ("take", "matrix:bifc index:i", lambda f, x, indices: f(x, indices, axis=0)),
    ("take_along_axis", "matrix:bifc places:i", plain),
    ("index_add", "matrix:ifc index:i matrix:ifc", lambda f, x, i, v: f(x, i, v, axis=0)),
    # Manipulation
    ("concat stack", "matrix:bifc matrix:bifc matrix:bifc", lambda f, *arrays: f(arrays)),
    ("broadcast_arrays", "matrix:bifc matrix:bifc", plain),
    ("meshgrid", "vector:bifc vector:bifc", plain),
    ("broadcast_to reshape", "matrix:bifc", lambda f, x: f(x, (2, 2))),
    ("expand_dims flip matrix_transpose tril triu unstack", "matrix:bifc", plain),
    ("moveaxis", "matrix:bifc", lambda f, x: f(x, 0, 1)),
    ("permute_dims tile", "matrix:bifc", lambda f, x: f(x, (1, 0))),
    ("repeat", "vector:bifc counts:i", plain),
    ("roll", "matrix:bifc", lambda f, x: f(x, 1)),
    ("squeeze", "matrix:bifc", lambda f, x: f(pn.reshape(x, (2, 1, 2)), 1)),
    # What looks at an array for another
    ("empty_like ones_like zeros_like", "matrix:bifc", plain),
    ("full_like", "matrix:bifc", lambda f, x: f(x, True)),
    ("astype", "matrix:bif", lambda f, x: f(x, pn.float32)),
    ("result_type", "matrix:bifc matrix:bifc", plain),
    ("can_cast", "matrix:bifc", lambda f, x: f(x, pn.float32)),
    ("finfo", "matrix:fc", plain),
    ("iinfo", "matrix:i", plain),
    ("to_host", "matrix:bifc", plain),
    # Products of matrices
    ("matmul tensordot vecdot", "matrix:ifc matrix:ifc", plain),
    ("linalg.cross", "vector:ifc vector:ifc", plain),
    ("linalg.outer", "vector:Bifc vector:Bifc", plain),
    # Linear algebra
    (
        "linalg.cholesky linalg.det linalg.eig linalg.eigh linalg.eigvals linalg.eigvalsh linalg.inv",
        "matrix:fc",
        plain,
    ),
    (
        "linalg.matrix_norm linalg.qr linalg.slogdet linalg.svd linalg.svdvals linalg.vector_norm",
        "matrix:fc",
        plain,
    ),
    ("linalg.matrix_power", "matrix:fc", lambda f, x: f(x, 2)),
    ("linalg.matrix_rank linalg.pinv", "matrix:fc number:f", lambda f, x, rtol: f(x, rtol=rtol)),
    ("linalg.solve", "matrix:fc matrix:fc", plain),
    ("linalg.diagonal", "matrix:bifc", plain),
    ("linalg.trace", "matrix:Bifc", plain),
    # Fourier transforms
    ("fft.fft fft.fftn fft.hfft fft.ifft fft.ifftn fft.irfft fft.irfftn", "matrix:bifc", plain),
    ("fft.fftshift fft.ifftshift", "matrix:bifc", plain),
    ("fft.ihfft fft.rfft fft.rfftn", "matrix:bif", plain),
    # Special functions
    (
        "special.digamma special.entr special.erf special.erfc special.erfcinv special.erfcx",
        "matrix:bif",
        plain,
    ),
    (
        "special.erfinv special.exp10 special.exp2 special.expit special.gamma special.gammaln",
        "matrix:bif",
        plain,
    ),
    ("special.gammasgn special.i0 special.i0e special.i1 special.i1e special.log_expit", "matrix:bif", plain),
    (
        "special.log_ndtr special.log_softmax special.logit special.ndtr special.ndtri special.psi",
        "matrix:bif",
        plain,
    ),
    ("special.sinc special.softmax", "matrix:bif", plain),
    ("special.multigammaln", "matrix:bif", lambda f, x: f(x, 2)),
    ("special.polygamma", "matrix:bif", lambda f, x: f(1, x)),
    ("special.logsumexp", "matrix:bif matrix:bif", lambda f, x, weights: f(x, b=weights)),
    ("special.beta special.betaln special.gammainc special.gammaincc", "matrix:bif matrix:bif", plain),
    (
        "special.kl_div special.rel_entr special.xlog1py special.xlogy special.zeta",
        "matrix:bif matrix:bif",
        plain,
    ),
)

WITHOUT_OPERANDS = {
    "arange eye full linspace ones zeros empty fft.fftfreq fft.rfftfreq": "makes arrays of numbers",
    "asarray from_dlpack": "takes arrays of every library, that is what it is for",
    "broadcast_shapes": "takes shapes",
    "isdtype": "takes data types",
    "linalg.matmul linalg.matrix_transpose linalg.tensordot linalg.vecdot": "the same function as without linalg",
    "special.expm1 special.log1p": "the same function as without special",
}

# What a user calls stands on a function that names itself in the message.
SPEAKS_FOR = {
    "linalg.eigvals": "eigvals|eig",
    "linalg.outer": "outer|multiply",
    "linalg.trace": "trace|sum|diagonal",
    "special.expit": "expit|sigmoid",
    "special.log_expit": "log_expit|softplus",
    "special.multigammaln": "multigammaln|gammaln",
    "special.polygamma": "polygamma|zeta",
    "special.psi": "digamma",
}

ADVICE = re.compile(r"portanet\.\w+|Compare first|[Pp]ass |Name each|Leave|Give |Take |Count ")


def function_named(name: str) -> Run:
    found = pn
    for part in name.split("."):
        found = getattr(found, part)
    return found  # type: ignore[return-value]


def spoken(name: str) -> str:
    """A pattern of the name by which a message calls a function."""
    return rf"\b({SPEAKS_FOR.get(name, name.rpartition('.')[2])})\b"


def operand(values: str, letter: str) -> pn.Tensor:
    """A Tensor of the backend in use, of numbers that all functions have values for, or nearly."""
    x = np.asarray(VALUES[values])
    if letter == "f":
        x = x / 4
    elif letter == "c":
        x = x / 4 + 0.25j
    elif letter == "b":
        x = x > 1
    return pn.astype(pn.asarray(x), DTYPES[letter])


def usual(takes: str) -> str:
    """The data type of a correct call."""
    return next(letter for letter in "fibc" if letter in takes)


def usual_operands(call: Call) -> list[Any]:
    return [operand(values, usual(takes)) for values, takes in call.operands]


@pytest.fixture(autouse=True)
def _numbers_beyond_the_domain_are_no_matter() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


def check_correct_call(name: str) -> None:
    call = CALLS[name]
    call.run(function_named(name), *usual_operands(call))


# Completeness


def public_functions() -> set[str]:
    """The functions of the namespace and its extensions that stand in the standard's chapters, and special ones."""
    found = set()
    for prefix, module in (("", pn), ("linalg.", pn.linalg), ("fft.", pn.fft), ("special.", pn.special)):
        for name in module.__all__:
            thing = getattr(module, name)
            home = getattr(thing, "__module__", "") or ""
            own = home.startswith(("portanet.functions", "portanet.ops")) or home == f"portanet.{prefix[:-1]}"
            if callable(thing) and not isinstance(thing, type) and (own or name == "asarray"):
                found.add(prefix + name)
    return found - {"__array_namespace_info__"}


def test_every_function_has_its_line() -> None:
    reasoned = {name for names in WITHOUT_OPERANDS for name in names.split()}
    assert not reasoned & CALLS.keys()
    assert reasoned | CALLS.keys() == public_functions()


def test_every_function_of_axes_has_its_line() -> None:
    named = set()
    for name in CALLS:
        parameters = inspect.signature(function_named(name)).parameters
        if parameters.keys() & {"axis", "axes", "source", "destination"}:
            named.add(name)
    assert named == AXES.keys()


# Mixed libraries

BINARY = [name for name, call in CALLS.items() if len(call.operands) > 1]


def available() -> list[str]:
    return [report.name for report in pn.available_backends() if report.available]


def other_backend(backend: str) -> str:
    """A backend whose arrays must not meet those of this one."""
    for name in ("numpy", "torch", "array-api-strict"):
        if name != backend and name in available():
            return name
    pytest.skip("there is one array library only")


def check_mixed(error: BaseException, name: str, *backends: str) -> None:
    message = str(error)
    assert isinstance(error, TypeError)
    assert re.search(name, message), message
    for backend in backends:
        assert f"{backend}:" in message, message
    assert "Bring them together first" in message, message
    assert "portanet.asarray(x).to(" in message, message


@pytest.mark.parametrize("name", BINARY)
def test_two_libraries_do_not_mix(name: str, backend: str) -> None:
    skip_without_scipy(name.removeprefix("special."))
    call, stranger = CALLS[name], other_backend(backend)
    function = function_named(name)
    good = usual_operands(call)
    with pn.use_backend(stranger):
        strange = usual_operands(call)
    for place in range(1, len(good)):
        for own_raw in (False, True):
            for other_raw in (False, True):
                mixed = [x.data if own_raw else x for x in good]
                mixed[place] = strange[place].data if other_raw else strange[place]
                with pytest.raises(MixedBackendError) as failure:
                    call.run(function, *mixed)
                check_mixed(failure.value, spoken(name), backend, stranger)
    check_correct_call(name)


OPERATORS: dict[str, tuple[Run, str]] = {
    "add": (operator.add, "Bifc"),
    "subtract": (operator.sub, "ifc"),
    "multiply": (operator.mul, "Bifc"),
    "divide": (operator.truediv, "bifc"),
    "pow": (operator.pow, "ifc"),
    "matmul": (operator.matmul, "ifc"),
    "remainder": (operator.mod, "if"),
    "floor_divide": (operator.floordiv, "if"),
    "bitwise_and": (operator.and_, "bi"),
    "bitwise_or": (operator.or_, "bi"),
    "bitwise_xor": (operator.xor, "bi"),
    "bitwise_left_shift": (operator.lshift, "i"),
    "bitwise_right_shift": (operator.rshift, "i"),
    "less": (operator.lt, "Bif"),
    "less_equal": (operator.le, "Bif"),
    "greater": (operator.gt, "Bif"),
    "greater_equal": (operator.ge, "Bif"),
    "equal": (operator.eq, "bifc"),
    "not_equal": (operator.ne, "bifc"),
}
IN_PLACE: dict[str, Run] = {
    "add": operator.iadd,
    "subtract": operator.isub,
    "multiply": operator.imul,
    "divide": operator.itruediv,
    "pow": operator.ipow,
    "matmul": operator.imatmul,
    "remainder": operator.imod,
    "floor_divide": operator.ifloordiv,
    "bitwise_and": operator.iand,
    "bitwise_or": operator.ior,
    "bitwise_xor": operator.ixor,
    "bitwise_left_shift": operator.ilshift,
    "bitwise_right_shift": operator.irshift,
}
MIRRORED = {
    "less": "greater",
    "less_equal": "greater_equal",
    "greater": "less",
    "greater_equal": "less_equal",
}


@pytest.mark.parametrize("stranger", ["numpy", "torch", "array-api-strict"])
@pytest.mark.parametrize("name", OPERATORS)
def test_two_libraries_do_not_mix_in_operators(name: str, stranger: str, backend: str) -> None:
    if stranger == backend or stranger not in available():
        pytest.skip("needs two libraries")
    run, takes = OPERATORS[name]
    x = operand("matrix", usual(takes))
    with pn.use_backend(stranger):
        y = operand("matrix", usual(takes))
    for one, other in ((x, y), (x, y.data)):
        with pytest.raises(MixedBackendError) as failure:
            run(one, other)
        check_mixed(failure.value, rf"\b{name}\b", backend, stranger)
        if name in IN_PLACE:
            with pytest.raises(MixedBackendError) as failure:
                IN_PLACE[name](x.clone(), other)
            check_mixed(failure.value, rf"\b{name}\b", backend, stranger)
    run(x, x)
    # Libraries leave it to the Tensor, which stands on the right; array-api-strict refuses all that is not its own.
    if stranger == "array-api-strict":
        with pytest.raises(TypeError):
            run(y.data, x)
    else:
        with pytest.raises(MixedBackendError) as failure:
            run(y.data, x)
        check_mixed(failure.value, rf"\b({name}|{MIRRORED.get(name, name)})\b", backend, stranger)
        run(y.data, y)


def test_two_libraries_do_not_mix_in_an_index(backend: str) -> None:
    x = operand("matrix", "f")
    with pn.use_backend(other_backend(backend)):
        strange = [operand("index", "i"), operand("matrix", "b"), operand("matrix", "f")]
    for index, mask, values in (strange, [y.data for y in strange]):
        for key in (index, mask, (0, index), (index, index)):
            with pytest.raises(MixedBackendError) as failure:
                x[key]
            check_mixed(failure.value, "getitem", backend)
            with pytest.raises(MixedBackendError) as failure:
                x[key] = 1.0
            check_mixed(failure.value, "getitem|setitem", backend)
        for key in (..., 0, operand("index", "i"), operand("matrix", "b")):
            with pytest.raises(MixedBackendError) as failure:
                x[key] = values
            check_mixed(failure.value, "setitem", backend)
    x[0] = operand("index", "f")
    assert x[0, 1].item() == 0.0


def test_two_libraries_do_not_mix_in_a_sequence(backend: str) -> None:
    """Wherever the stranger stands, and however many there are."""
    x = operand("matrix", "f")
    with pn.use_backend(other_backend(backend)):
        y = operand("matrix", "f")
    for function in (pn.concat, pn.stack):
        for arrays in ([x, x, y], [y, x, x], [x, y.data, x], (x.data, x.data, y.data)):
            with pytest.raises(MixedBackendError) as failure:
                function(arrays)
            check_mixed(failure.value, function.__name__, backend, y.device.backend)
    with pytest.raises(MixedBackendError):
        pn.asarray([x, y])
    with pytest.raises(MixedBackendError, match=r"operand 1 .* operand 3"):
        pn.clip(x, None, y)


# Data types


def check_dtype_error(error: BaseException, name: str, came: str) -> None:
    message = str(error)
    assert isinstance(error, TypeError)
    assert re.search(name, message), message
    assert re.search(rf"\b{came}\b", message), message
    assert re.search(r"expect|do not|does not|not supported|no integer type", message), message
    assert ADVICE.search(message), message


def tried_dtypes() -> list[tuple[str, int, str]]:
    """For each function, each set of operands that are alike, and each data type but those that all libraries take."""
    return [
        (name, place, letter)
        for name, call in CALLS.items()
        for place in sorted({first_like(call, place) for place in range(len(call.operands))})
        for letter in "bifc"
        if letter not in call.operands[place][1]
    ]


def first_like(call: Call, place: int) -> int:
    takes = [takes for _, takes in call.operands]
    return takes.index(takes[place])


@pytest.mark.parametrize(("name", "place", "letter"), tried_dtypes())
def test_data_types_that_are_not_taken(name: str, place: int, letter: str, backend: str) -> None:
    skip_without_scipy(name.removeprefix("special."))
    call = CALLS[name]
    takes = call.operands[place][1]
    operands = [
        operand(values, letter if takes == takes_here else usual(takes_here))
        for values, takes_here in call.operands
    ]
    if letter.upper() in takes and backend != "array-api-strict":
        call.run(function_named(name), *operands)
        return
    tensors = [operands, [x.data for x in operands]]
    for arrays in tensors:
        try:
            call.run(function_named(name), *arrays)
        except DTypeError as error:
            check_dtype_error(error, spoken(name), DTYPES[letter].name)
        else:
            assert letter.upper() in takes, "computed"
    check_correct_call(name)


@pytest.mark.parametrize("name", [*OPERATORS])
def test_data_types_that_operators_do_not_take(name: str, backend: str) -> None:
    run, takes = OPERATORS[name]
    assert takes == CALLS[name].operands[0][1]
    for letter in set("bifc") - set(takes.lower()):
        x = operand("matrix", letter)
        calls = [lambda x=x: run(x, x)]
        if name in IN_PLACE:
            calls.append(lambda x=x: IN_PLACE[name](x.clone(), x))
        for call in calls:
            with pytest.raises(DTypeError) as failure:
                call()
            check_dtype_error(failure.value, rf"\b{name}\b", DTYPES[letter].name)
    run(operand("matrix", usual(takes)), operand("matrix", usual(takes)))


def test_data_types_of_an_index(backend: str) -> None:
    x = operand("matrix", "f")
    for letter in "fc":
        index = operand("index", letter)
        for key in (index, (index, index), (0, index)):
            with pytest.raises(DTypeError) as failure:
                x[key]
            check_dtype_error(failure.value, "getitem", DTYPES[letter].name)
            with pytest.raises(DTypeError) as failure:
                x[key] = 0.0
            check_dtype_error(failure.value, "setitem", DTYPES[letter].name)
    assert x[operand("index", "i")].shape == (2, 2)


@pytest.mark.parametrize(
    "run",
    [
        pn.add,
        pn.multiply,
        pn.maximum,
        pn.less,
        pn.equal,
        pn.bitwise_and,
        pn.matmul,
        lambda x, y: pn.concat([x, y]),
    ],
)
def test_integers_that_no_type_holds_together(run: Run, backend: str) -> None:
    """Libraries would make floating-point numbers of them."""
    x = pn.astype(operand("matrix", "i"), pn.uint64)
    y = operand("matrix", "i")
    for pair in ((x, y), (y, x), (x.data, y.data)):
        with pytest.raises(
            DTypeError, match=r": no integer type holds both uint64 and int32.*portanet\.astype"
        ):
            run(*pair)
    run(y, y)


def test_booleans_and_integers_beside_floating_point_numbers_become_such(backend: str) -> None:
    """So they are taken wherever floating-point numbers are."""
    y = operand("matrix", "f")
    for letter in "bi":
        x = operand("matrix", letter)
        for run in (pn.matmul, pn.subtract, pn.pow, pn.remainder, pn.maximum, pn.less):
            for pair in ((x, y), (y, x), (x.data, y.data), (pn.abs(x) if letter == "i" else x, y)):
                run(*pair)
        with pytest.raises(Exception, match=r"(?i)shape|broadcast|size"):
            pn.subtract(x, pn.ones((3,)))
    for run in (pn.linalg.cross, pn.linalg.outer):
        run(operand("vector", "b"), operand("vector", "f"))


def test_complex_numbers_do_not_become_real_ones_without_a_word(backend: str) -> None:
    x = operand("matrix", "c")
    for dtype in (pn.float32, pn.int32):
        for convert in (pn.astype, lambda x, dtype: x.astype(dtype), lambda x, dtype: x.to(dtype)):
            with pytest.raises(DTypeError, match=rf"astype: dtype: complex64 .*{dtype.name}.*portanet\.real"):
                convert(x, dtype)
    if backend != "array-api-strict":
        assert pn.all(pn.astype(x, pn.bool))
    assert pn.astype(pn.real(x), pn.float32).dtype == pn.float32
    for function in (pn.sum, pn.prod, pn.cumulative_sum, pn.cumulative_prod, pn.linalg.trace):
        named = "sum" if function is pn.linalg.trace else function.__name__
        with pytest.raises(
            DTypeError, match=rf"{named}: dtype: complex64 does not become float32.*portanet\.real"
        ):
            call_along(function, x, pn.float32)
        call_along(function, x, pn.complex128)
        call_along(function, pn.real(x), pn.complex64)


def call_along(function: Run, x: pn.Tensor, dtype: pn.DType) -> None:
    axis = {"axis": 0} if "cumulative" in function.__name__ else {}
    function(x, dtype=dtype, **axis)


def test_data_types_of_what_is_made(backend: str) -> None:
    with pytest.raises(DTypeError, match=r"arange: dtype: expected numbers, got bool"):
        pn.arange(3, dtype=pn.bool)
    for dtype in (pn.int32, pn.bool):
        with pytest.raises(
            DTypeError, match=rf"linspace: dtype: expected a floating.*{dtype.name}.*portanet\.astype"
        ):
            pn.linspace(0, 1, 3, dtype=dtype)
    assert pn.linspace(0, 1, 3, dtype=pn.complex64).dtype == pn.complex64


def test_a_fill_value_of_another_library(backend: str) -> None:
    with pn.use_backend(other_backend(backend)):
        value = pn.asarray(2.0)
    for strange in (value, value.data):
        with pytest.raises(MixedBackendError) as failure:
            pn.full_like(pn.ones((2,)), strange)
        check_mixed(failure.value, "full_like", backend, value.device.backend)
    assert pn.full_like(pn.ones((2,)), np.float32(2.0))[0].item() == 2.0


@pytest.mark.parametrize("dtype", [pn.uint16, pn.uint32, pn.uint64])
def test_integers_that_a_library_only_stores(dtype: pn.DType, backend: str) -> None:
    """PyTorch has the wider unsigned integers and computes next to nothing with them."""
    x = pn.astype(operand("matrix", "i"), dtype)
    for function in (pn.add, pn.maximum, pn.less, pn.floor_divide, pn.matmul):
        try:
            function(x, x)
        except DTypeError as error:
            check_dtype_error(error, rf"\b{function.__name__}\b", dtype.name)
            assert backend == "torch"


def test_the_logistic_function_of_unsigned_integers(backend: str) -> None:
    """Not of what they become when their sign is turned."""
    x = pn.asarray([3], dtype=pn.uint8)
    assert pn.special.log_expit(x).item() == pytest.approx(-0.048587, abs=1e-5)


def test_the_gradient_of_a_variance_of_complex_numbers(eager: str) -> None:
    """Which the standard leaves out, and array-api-strict refuses."""
    x = pn.asarray(np.asarray([1 + 2j, 3 - 1j, 0.5 + 0.5j]))
    for function in (pn.var, pn.std):
        if eager == "array-api-strict":
            with pytest.raises(DTypeError, match=r"expected real numbers.*complex128.*portanet\.real"):
                function(x)
        else:
            gradcheck(function, x)
            gradgradcheck(function, x)


# Axes

Row = tuple[Run, tuple[Any, ...]]
ONE = (2, -3)
"""Axes that a matrix has not."""
SEVERAL = (2, -3, (0, 2), (-3, 1), (0, 0), (1, -1))
"""The same for functions that take several at once."""


def along(f: Run, x: Any, axis: Any) -> Any:
    return f(x, axis=axis)


def along_axes(f: Run, x: Any, axes: Any) -> Any:
    return f(x, axes=axes)


def axis_table(*rows: tuple[str, tuple[Any, ...], Run]) -> dict[str, Row]:
    return {name: (run, wrong) for names, wrong, run in rows for name in names.split()}


AXES = axis_table(
    (
        "sum prod max min mean std var any all count_nonzero linalg.vector_norm special.logsumexp",
        SEVERAL,
        along,
    ),
    ("argmax argmin cumulative_sum cumulative_prod diff sort argsort", ONE, along),
    ("flip", SEVERAL, along),
    ("roll", (2, -3, (0, 2)), lambda f, x, axis: f(x, 1 if isinstance(axis, int) else (1, 1), axis=axis)),
    (
        "unstack repeat take take_along_axis index_add concat",
        ONE,
        lambda f, x, a: SPECIAL[f.__name__](f, x, a),
    ),
    ("special.softmax special.log_softmax", SEVERAL, along),
    ("stack", (3, -4), lambda f, x, axis: f([x, x], axis=axis)),
    ("expand_dims", (3, -4, (0, 4), (0, 0), (1, -3)), along),
    ("squeeze", (2, -3, (0, 2), (0, 0), (0, -2)), lambda f, x, axis: f(x[:1, ...], axis)),
    ("permute_dims", ((0, 2), (-3, 0), (0, 0), (1, -1), (0,), (0, 1, 2), ()), lambda f, x, axes: f(x, axes)),
    (
        "moveaxis",
        (
            (2, 0),
            (-3, 0),
            (0, 2),
            (0, -3),
            ((0, 0), (0, 1)),
            ((0, 1), (0, 0)),
            ((0, 1), (0,)),
            ((0, 2), (0, 1)),
        ),
        lambda f, x, pair: f(x, *pair),
    ),
    (
        "tensordot",
        (
            3,
            -1,
            ((2,), (0,)),
            ((0,), (2,)),
            ((-3,), (0,)),
            ((0, 0), (0, 1)),
            ((0, 1), (0, 0)),
            ((0, 1), (0,)),
            (0, 0),
        ),
        lambda f, x, axes: f(x, x, axes=axes),
    ),
    ("vecdot", ONE, lambda f, x, axis: f(x, x, axis=axis)),
    ("linalg.cross", ONE, lambda f, x, axis: f(pn.ones((3, 3)), pn.ones((3, 3)), axis=axis)),
    ("fft.fft fft.ifft fft.rfft fft.irfft fft.hfft fft.ihfft", ONE, along),
    ("fft.fftn fft.ifftn fft.rfftn fft.irfftn", ((2,), (-3,), (0, 2), (0, 0), (1, -1)), along_axes),
    ("fft.fftshift fft.ifftshift", SEVERAL, along_axes),
)
SPECIAL: dict[str, Run] = {
    "unstack": along,
    "repeat": lambda f, x, axis: f(x, 2, axis=axis),
    "take": lambda f, x, axis: f(x, pn.asarray([0]), axis=axis),
    "take_along_axis": lambda f, x, axis: f(x, pn.zeros(x.shape, dtype=pn.int64), axis=axis),
    "index_add": lambda f, x, axis: f(x, pn.asarray([0]), x, axis=axis),
    "concat": lambda f, x, axis: f([x, x], axis=axis),
}
METHODS = ("sum", "mean", "prod", "max", "min", "var", "std", "any", "all", "argmax", "argmin")


def check_axis_error(error: BaseException, name: str, came: Any) -> None:
    message = str(error)
    assert isinstance(error, IndexError)
    assert isinstance(error, ValueError)
    assert re.search(name, message), message
    assert re.search(r"\b(axis|axes|source|destination)\b", message), message
    numbers = re.findall(r"-?\d+", str(came))
    assert not numbers or any(number in message for number in numbers), message
    assert ADVICE.search(message), message


@pytest.mark.parametrize("name", AXES)
def test_axes_that_are_not_there(name: str, backend: str) -> None:
    skip_without_scipy(name.removeprefix("special."))
    run, wrong = AXES[name]
    function = function_named(name)
    for axis in wrong:
        x = pn.ones((2, 2))
        with pytest.raises(AxisError) as failure:
            run(function, x, axis)
        check_axis_error(failure.value, spoken(name), axis)
    check_correct_call(name)


NUMBERS_TAKE_NONE = AXES.keys() - {"expand_dims", "stack", "linalg.cross", "tensordot"}
"""Functions of which a single number can have no axis."""


@pytest.mark.parametrize("name", sorted(NUMBERS_TAKE_NONE))
def test_a_single_number_has_no_axes(name: str, backend: str) -> None:
    """Some libraries take 0 and -1 all the same."""
    skip_without_scipy(name.removeprefix("special."))
    run, wrong = AXES[name]
    x = pn.asarray(1.0)
    for axis in (0, -1):
        call = {
            "moveaxis": lambda axis=axis: pn.moveaxis(x, axis, axis),
            "permute_dims": lambda axis=axis: pn.permute_dims(x, (axis,)),
            "squeeze": lambda axis=axis: pn.squeeze(x, axis),
        }.get(name)
        one = (axis,) if isinstance(wrong[0], tuple) else axis
        with pytest.raises(ShapeError) as failure:
            call() if call is not None else run(function_named(name), x, one)
        assert re.search(spoken(name), str(failure.value))


def test_axes_of_any_length_are_not_squeezed(backend: str) -> None:
    x = pn.ones((2, 1))
    for axis in (0, -2, (0, 1)):
        for squeeze in (pn.squeeze, pn.Tensor.squeeze):
            with pytest.raises(
                ShapeError, match=r"squeeze: axis: .*length 1, got -?\d, which has length 2.*Take one"
            ):
                squeeze(x, axis)
    assert pn.squeeze(x, 1).shape == (2,)


def test_axes_of_methods(backend: str) -> None:
    x = pn.ones((2, 2))
    for name in METHODS:
        with pytest.raises(AxisError) as failure:
            getattr(x, name)(axis=2)
        check_axis_error(failure.value, rf"\b{name}\b", 2)
        assert getattr(x, name)(axis=1).shape == (2,)
    for wrong in (lambda: x.permute(0, 2), lambda: x.permute(0, 0), lambda: x.permute((1,))):
        with pytest.raises(AxisError, match="permute_dims: axes"):
            wrong()
    with pytest.raises(
        AxisError, match=r"axis: 3 is out of range for 3 dimensions of the result.*pass -3 to 2"
    ):
        x.unsqueeze(3)
    assert x.permute(1, 0).shape == (2, 2)


def test_methods_are_the_functions() -> None:
    """So what is shown of functions holds for them."""
    lifted = {
        thing.__wrapped__.__name__
        for thing in vars(pn.Tensor).values()
        if callable(thing) and hasattr(thing, "__wrapped__")
    }
    assert lifted <= CALLS.keys()


def test_every_operator_has_its_line() -> None:
    binary = {
        name.strip("_")
        for name, thing in vars(pn.Tensor).items()
        if getattr(thing, "__qualname__", "").startswith("_binary.<locals>.forward")
    }
    assert binary == {run.__name__.strip("_") for run, _ in OPERATORS.values()}


def test_axes_may_be_numbers_of_numpy(backend: str) -> None:
    x, axis = pn.ones((2, 3)), np.int64(1)
    assert pn.moveaxis(x, axis, np.int64(0)).shape == (3, 2)
    assert pn.permute_dims(x, (axis, np.int64(0))).shape == (3, 2)
    assert pn.linalg.vector_norm(x, axis=axis).shape == (2,)
    assert pn.fft.fftshift(x, axes=axis).shape == (2, 3)


# As a user meets them

SAID: list[tuple[str, Run, type[Exception], str]] = [
    (
        "sum",
        lambda: pn.sum(pn.ones((2, 3)), axis=2),
        AxisError,
        "sum: axis: 2 is out of range for 2 dimensions, shape (2, 3). Axes are counted from 0, or from -1 at the end: "
        "pass -2 to 1.",
    ),
    (
        "conditions",
        lambda: pn.ones((2,)) & pn.ones((2,)),
        DTypeError,
        "bitwise_and: x: expected integers or booleans, got float32. Convert it first: portanet.astype(x, "
        "portanet.int64). Conditions need parentheses: (a > 0) & (b > 0).",
    ),
    (
        "masks",
        lambda: pn.asarray([True]) - pn.asarray([False]),
        DTypeError,
        "subtract: x: expected numbers, got bool. Convert it first: portanet.astype(x, portanet.int64). Of truth "
        "values, take portanet.logical_xor(x, y).",
    ),
    (
        "where",
        lambda: pn.where(pn.ones((2,)), 1.0, 2.0),
        DTypeError,
        "where: condition: expected booleans, got float32. Compare first, for example condition != 0.",
    ),
    (
        "order",
        lambda: pn.max(pn.astype(pn.ones((2,)), pn.complex64)),
        DTypeError,
        "max: x: expected real numbers, got complex64. Take portanet.real(x) or portanet.abs(x) first.",
    ),
    (
        "inv",
        lambda: pn.linalg.inv(pn.asarray([[1]])),
        DTypeError,
        "x: inv expects floating-point numbers, got int64. Convert them first: portanet.astype(x, portanet.float32).",
    ),
    (
        "take",
        lambda: pn.take(pn.ones((2,)), pn.ones((1,)), axis=0),
        DTypeError,
        "take: indices: expected integers, got float32. Convert it first: portanet.astype(indices, portanet.int64).",
    ),
    (
        "squeeze",
        lambda: pn.squeeze(pn.ones((2, 3)), 1),
        ShapeError,
        "squeeze: axis: expected axes of length 1, got 1, which has length 3 in shape (2, 3). Take one element of "
        "it, or leave it out of axis.",
    ),
]


@pytest.mark.parametrize(("run", "kind", "message"), [row[1:] for row in SAID], ids=[row[0] for row in SAID])
def test_what_is_said(run: Run, kind: type[Exception], message: str, backend: str) -> None:
    with pytest.raises(kind) as failure:
        run()
    assert str(failure.value) == message


def test_integers_beside_floats_are_no_misuse(backend: str) -> None:
    x = pn.asarray([[1, 2], [3, 4]], dtype=pn.int8)
    assert pn.matmul(x, pn.ones((2, 2))).dtype == pn.float32


def test_other_errors_stay_what_they_are(backend: str) -> None:
    """A call that fails for another reason is not said to fail for its axes or data types."""
    x = pn.ones((2, 3))
    with pytest.raises(Exception, match=r".") as failure:
        pn.add(x, pn.ones((2,)))
    assert not isinstance(failure.value, (AxisError, DTypeError))
    assert any("portanet.add" in note for note in failure.value.__notes__)
    with pytest.raises(Exception, match=r".") as failure:
        pn.reshape(x, (4,))
    assert not isinstance(failure.value, (AxisError, DTypeError))
    masks = pn.asarray([True, False]), pn.asarray([True, False, True])
    with pytest.raises(Exception, match=r".") as failure:  # which array-api-strict does not add at all
        pn.add(*masks)
    assert isinstance(failure.value, DTypeError) == (backend == "array-api-strict")
    with pytest.raises(TypeError, match="dim"):
        pn.sum(x, dim=1)
    assert math.isclose(pn.sum(x).item(), 6.0)
