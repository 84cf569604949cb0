"""What each function takes: the data types of its operands, and which of its options are axes.

Most of the time a library raises by itself, and only then are these tables read, to say what was wrong
(:func:`portanet.operands.explain`), so that correct calls pay nothing. Where a library would compute something that
nobody asked for, or where libraries disagree, the data types are looked at first, once for each combination that
comes (:meth:`portanet.backend.Implementation.choose`).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from operator import index
from typing import Any, NamedTuple

from portanet.dtypes import DType
from portanet.errors import AxisError, DTypeError, ShapeError
from portanet.protocols import NativeDType, Op

__all__ = [
    "Takes",
    "UnnamedError",
    "axis_fault",
    "check_dtypes",
    "dtype_fault",
    "dtypes_taken",
    "looks_first",
    "meet",
    "name_of_dtype",
    "operand_names",
    "place_of_axis",
    "places_not_taken",
    "places_of_axes",
]

# Data types

_BOOLEANS = frozenset({"bool"})
_INTEGERS = frozenset({"signed integer", "unsigned integer"})
_REALS = _INTEGERS | {"real floating"}
_FLOATS = frozenset({"real floating", "complex floating"})
_NUMBERS = _REALS | _FLOATS
_ALL = _NUMBERS | _BOOLEANS


class UnnamedError(DTypeError):
    """A fault found where nobody knows the function's name; :func:`portanet.operands.explain` adds it."""


class Takes(NamedTuple):
    """What an operand may hold."""

    text: str
    """In words."""
    kinds: frozenset[str]
    """The kinds of data types that the standard allows, and those that portanet converts on every backend."""
    more: frozenset[str] = frozenset()
    """Kinds that the standard leaves out and libraries compute, all of them alike; array-api-strict refuses them."""


ANYTHING = Takes("any data type", _ALL)
NUMBERS = Takes("numbers", _NUMBERS)
NUMBERS_TOO = Takes("numbers", _NUMBERS, _BOOLEANS)
REALS = Takes("real numbers", _REALS)
REALS_TOO = Takes("real numbers", _REALS, _BOOLEANS)
AS_REAL_FLOATS = Takes("real numbers", _REALS | _BOOLEANS)
VARIED = Takes("real numbers", _REALS | _BOOLEANS, frozenset({"complex floating"}))
REAL_FLOATS = Takes("real floating-point numbers", frozenset({"real floating"}))
SIGNED_BITS = Takes("real floating-point numbers", frozenset({"real floating"}), _INTEGERS | _BOOLEANS)
FLOATS = Takes("floating-point numbers", _FLOATS)
COMPLEX = Takes("complex numbers", frozenset({"complex floating"}))
INTEGERS = Takes("integers", _INTEGERS)
BITS = Takes("integers or booleans", _INTEGERS | _BOOLEANS)
BOOLEANS = Takes("booleans", _BOOLEANS)
TRUTHS = Takes("booleans", _BOOLEANS, _NUMBERS)


def _of(takes: tuple[Takes, ...], names: str) -> dict[str, tuple[Takes, ...]]:
    return dict.fromkeys(names.split(), takes)


# By the name of the op: what each operand holds; where there are more operands the last entry holds for the others.
# Functions that are not here take anything, integers and booleans often as float32.
_TAKES: Mapping[str, tuple[Takes, ...]] = {
    # elementwise
    **_of((NUMBERS_TOO,), "add multiply square real isfinite isinf isnan"),
    **_of((NUMBERS,), "abs conj negative positive sign subtract pow"),
    **_of((REALS,), "floor_divide remainder"),
    **_of((REALS_TOO,), "greater greater_equal less less_equal maximum minimum clip"),
    **_of((AS_REAL_FLOATS,), "atan2 copysign hypot logaddexp nextafter ceil floor trunc"),
    **_of((SIGNED_BITS,), "signbit"),
    **_of((COMPLEX,), "imag"),
    **_of((BITS,), "bitwise_and bitwise_invert bitwise_or bitwise_xor"),
    **_of((INTEGERS,), "bitwise_left_shift bitwise_right_shift"),
    **_of((TRUTHS,), "logical_and logical_not logical_or logical_xor"),
    "where": (BOOLEANS, ANYTHING),
    # reductions, running sums
    **_of((NUMBERS_TOO,), "sum prod"),
    **_of((REALS_TOO,), "max min sort argsort"),
    **_of((AS_REAL_FLOATS,), "argmax argmin"),
    **_of((VARIED,), "std var"),
    "diff": (NUMBERS,),
    # searching, indexing
    "searchsorted": (REALS, REALS, INTEGERS),
    **_of((ANYTHING, INTEGERS), "take take_along_axis"),
    "index_add": (NUMBERS, INTEGERS, NUMBERS),
    "getitem": (ANYTHING, BITS),
    "setitem": (ANYTHING, ANYTHING, BITS),
    # manipulation
    **_of((ANYTHING,), "concat stack equal not_equal isin"),
    # linear algebra
    **_of((NUMBERS,), "matmul tensordot vecdot cross"),
    "outer": (NUMBERS_TOO,),
    "trace": (NUMBERS_TOO,),
    **_of((FLOATS,), "cholesky det eig eigh eigvals eigvalsh inv matrix_norm matrix_power qr slogdet solve"),
    **_of((FLOATS,), "svd svdvals vector_norm"),
    **_of((FLOATS, REAL_FLOATS), "matrix_rank pinv"),
    # Fourier transforms
    **_of((AS_REAL_FLOATS,), "rfft rfftn ihfft"),
    # special functions and activations
    **_of(
        (AS_REAL_FLOATS,),
        "bessel_over_power beta betaln digamma entr erf erfc erfcinv erfcx erfinv exp10 exp2 gamma",
    ),
    **_of(
        (AS_REAL_FLOATS,), "gammainc gammaincc gammaln gammasgn i0 i0e i1 i1e kl_div log_expit log_ndtr logit"
    ),
    **_of((AS_REAL_FLOATS,), "logsumexp ndtr ndtri rel_entr sinc xlog1py xlogy zeta"),
    **_of((AS_REAL_FLOATS,), "log_softmax sigmoid softmax softplus"),
}


def dtypes_taken(name: str, place: int) -> Takes:
    """What the operand at a place holds, counted from 0."""
    takes = _TAKES.get(name, (ANYTHING,))
    return takes[min(place, len(takes) - 1)]


def meet(name: str, one: int, other: int) -> bool:
    """Whether two operands, by their places, are combined, so that their data types have to go together."""
    return name in _TAKES and dtypes_taken(name, one) is dtypes_taken(name, other)


# Where a library computes what nobody asked for, such as an order of complex numbers, or libraries disagree.
_LOOK_FIRST = frozenset(
    [
        *("abs", "conj", "imag", "positive", "pow", "sign", "atan2", "logaddexp"),
        *("floor_divide", "remainder", "bitwise_left_shift", "bitwise_right_shift"),
        *("greater", "greater_equal", "less", "less_equal", "maximum", "minimum", "clip", "where"),
        *("max", "min", "argmax", "argmin", "sort", "argsort", "searchsorted"),
        *("take", "take_along_axis", "index_add", "matmul", "tensordot", "vecdot"),
        *(name for name, takes in _TAKES.items() if takes == (AS_REAL_FLOATS,)),
    ]
)


def looks_first(name: str) -> bool:
    """Whether the data types of a function's operands are looked at before it runs."""
    return name in _LOOK_FIRST


def operand_names(op: Op) -> list[str]:
    """What an op calls its operands."""
    parameters = inspect.signature(op).parameters.values()
    return [p.name for p in parameters if str(p.annotation) in ("Array", "Array | None")]


def check_dtypes(name: str, arguments: Sequence[str], dtypes: Sequence[DType | None]) -> None:
    """Raise unless data types are what a function takes; None stands for a Python number, or for nothing.

    Raises
    ------
    DTypeError
        If one is not. It names the argument, what came, what is expected, and how to convert.
    """
    for place in places_not_taken(name, [None if dtype is None else dtype.kind for dtype in dtypes]):
        takes, dtype = dtypes_taken(name, place), dtypes[place]
        assert dtype is not None
        if dtype.kind not in takes.more:
            raise DTypeError(dtype_fault(name, arguments[place], takes, dtype.kind, dtype.name))


def places_not_taken(name: str, kinds: Sequence[str | None]) -> list[int]:
    """The operands, by their places, whose kinds of data types the standard does not take, nor portanet converts.

    Integers and booleans beside floating-point numbers become such (:func:`portanet.ops.promotion.alike`).
    """
    floats = [place for place, kind in enumerate(kinds) if kind in _FLOATS]
    return [
        place
        for place, kind in enumerate(kinds)
        if kind is not None
        and kind not in dtypes_taken(name, place).kinds
        and (place in floats or not any(meet(name, place, other) for other in floats))
    ]


def name_of_dtype(dtype: NativeDType) -> str:
    """The standard's name of a data type, whoever's it is."""
    return dtype.__name__ if isinstance(dtype, type) else str(dtype).rpartition(".")[2]


def dtype_fault(name: str, argument: str, takes: Takes, kind: str, came: str, where: str = "") -> str:
    """The message about an operand of a data type that a function does not take."""
    return f"{name}: {argument}: expected {takes.text}{where}, got {came}. {_remedy(name, argument, takes, kind)}"


def _remedy(name: str, argument: str, takes: Takes, kind: str) -> str:
    """What to do with values of a kind that is not taken."""
    if takes.kinds == _BOOLEANS:
        return f"Compare first, for example {argument} != 0."
    if kind == "complex floating":
        if takes.kinds & {"real floating"}:
            return f"Take portanet.real({argument}) or portanet.abs({argument}) first."
        return f"Take portanet.real({argument}) first, and convert it: portanet.astype(..., portanet.int64)."
    wanted = "int64" if takes.kinds <= _INTEGERS | _BOOLEANS or kind == "bool" else "float32"
    if takes.kinds == COMPLEX.kinds:
        wanted = "complex64"
    if takes.kinds == FLOATS.kinds or takes.kinds == {"real floating"}:
        wanted = "float32"
    remedy = f"Convert it first: portanet.astype({argument}, portanet.{wanted})."
    if kind == "bool" and name in ("subtract", "negative"):
        return f"{remedy} Of truth values, take portanet.{_TRUTH[name]}."
    if name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
        sign = {"and": "&", "or": "|", "xor": "^"}[name.removeprefix("bitwise_")]
        return f"{remedy} Conditions need parentheses: (a > 0) {sign} (b > 0)."
    return remedy


_TRUTH = {"subtract": "logical_xor(x, y)", "negative": "logical_not(x)"}

# Axes

_WITH_NEW_AXES = frozenset({"expand_dims", "stack"})


def place_of_axis(
    name: str, axis: int, ndim: int, argument: str = "axis", shape: tuple[int, ...] | None = None
) -> int:
    """An axis counted from the front.

    Raises
    ------
    AxisError
        If there is no such axis.
    """
    axis = index(axis)
    if not -ndim <= axis < ndim:
        raise AxisError(_no_such_axis(name, argument, axis, ndim, shape))
    return axis % ndim


def places_of_axes(name: str, axes: Any, ndim: int, argument: str = "axis") -> tuple[int, ...]:
    """One axis, or several different ones, or all for None, counted from the front.

    Raises
    ------
    AxisError
        If one is not there, or is named twice.
    """
    if axes is None:
        return tuple(range(ndim))
    given = tuple(axes) if hasattr(axes, "__iter__") else (axes,)
    places = tuple(place_of_axis(name, axis, ndim, argument) for axis in given)
    if len(set(places)) != len(places):
        raise AxisError(_named_twice(name, argument, axes, ndim))
    return places


def _no_such_axis(
    name: str, argument: str, axis: int, ndim: int, shape: tuple[int, ...] | None = None
) -> str:
    of = "" if shape is None else f", shape {tuple(shape)}"
    if shape is not None and len(shape) != ndim:
        of = f" of the result, given shape {tuple(shape)}"
    if not ndim:
        return (
            f"{name}: {argument}: {axis} is out of range for 0 dimensions: a single number has no axes. "
            "Give it one with portanet.reshape(x, (1,)), or name none."
        )
    return (
        f"{name}: {argument}: {axis} is out of range for {ndim} dimensions{of}. Axes are counted from 0, or from -1 "
        f"at the end: pass {-ndim} to {ndim - 1}."
    )


def _named_twice(name: str, argument: str, axes: Any, ndim: int) -> str:
    return (
        f"{name}: {argument}: expected different places, got {axes!r}, which names an axis of {ndim} twice. Name each "
        "axis once, counted from 0, or from -1 at the end."
    )


def axis_fault(
    name: str, shapes: list[tuple[int, ...]], options: Mapping[str, Any]
) -> ShapeError | AxisError | None:
    """What is wrong with the axes that a call names, if anything is.

    Parameters
    ----------
    name : str
        The function's.
    shapes : list of tuple
        Of its operands.
    options : mapping
        As it was called, defaults included.
    """
    if not shapes:
        return None
    shape = shapes[0]
    for argument in ("axis", "axes"):
        axes = _whole_numbers(options.get(argument))
        if axes is None:
            continue
        ndim = min(map(len, shapes)) if name == "vecdot" else len(shape)
        if name in _WITH_NEW_AXES:
            ndim += len(axes)
        for axis in axes:
            if not -ndim <= axis < ndim:
                return AxisError(_no_such_axis(name, argument, axis, ndim, shape))
        places = {axis % ndim for axis in axes}
        if len(places) != len(axes) and name != "roll":
            return AxisError(_named_twice(name, argument, options[argument], ndim))
        if name == "squeeze" and any(shape[axis] != 1 for axis in axes):
            axis = next(axis for axis in axes if shape[axis] != 1)
            return ShapeError(
                f"squeeze: axis: expected axes of length 1, got {axis}, which has length {shape[axis]} in shape "
                f"{tuple(shape)}. Take one element of it, or leave it out of axis."
            )
    return None


def _whole_numbers(axes: Any) -> tuple[int, ...] | None:
    """Axes as numbers; None if they are none, which the library has said."""
    try:
        return tuple(index(axis) for axis in (axes if hasattr(axes, "__iter__") else (axes,)))
    except TypeError:
        return None
