"""The standard's functions about data types, which do not look at values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from portanet.backend import Backend, backend_of, check_same_place, get_backend
from portanet.dtypes import ALL_DTYPES, DType, float32
from portanet.errors import DTypeError, ShapeError
from portanet.operands import SCALAR_KINDS, check_scalar
from portanet.protocols import Array
from portanet.tensor import unwrap

__all__ = ["broadcast_shapes", "can_cast", "finfo", "iinfo", "isdtype", "result_type"]

_GROUPS = {
    "bool": ("bool",),
    "signed integer": ("signed integer",),
    "unsigned integer": ("unsigned integer",),
    "integral": ("signed integer", "unsigned integer"),
    "real floating": ("real floating",),
    "complex floating": ("complex floating",),
    "numeric": ("signed integer", "unsigned integer", "real floating", "complex floating"),
}
_RANKS = {"bool": 0, "unsigned integer": 1, "signed integer": 1, "real floating": 2, "complex floating": 3}
_BY_KIND = {(dtype.kind, dtype.bits): dtype for dtype in reversed(ALL_DTYPES)}  # float16 rather than bfloat16


def isdtype(dtype: DType, kind: DType | str | tuple[DType | str, ...]) -> bool:
    """Whether a data type is of a kind, such as ``"real floating"`` or ``"integral"``, or one of several.

    Examples
    --------
    >>> pn.isdtype(pn.float32, "real floating")
    True
    """
    if not isinstance(dtype, DType):
        raise DTypeError(
            f"dtype: expected a portanet data type, such as the dtype of a Tensor, got {dtype!r}."
        )
    if isinstance(kind, tuple):
        return any(isdtype(dtype, part) for part in kind)
    if isinstance(kind, DType):
        return dtype == kind
    if kind not in _GROUPS:
        raise ValueError(f"kind: expected a DType or one of {', '.join(_GROUPS)}, got {kind!r}.")
    return dtype.kind in _GROUPS[kind]


def result_type(*arrays_and_dtypes: Array | DType | float) -> DType:
    """The data type of a result that is computed from such operands.

    Parameters
    ----------
    *arrays_and_dtypes
        Tensors, arrays, data types and Python numbers, at least one of them no number: a number has no say.

    Returns
    -------
    DType
        The smallest type that holds all of one kind; beside floating-point numbers integers take their type.

    Raises
    ------
    DTypeError
        If there is no such type (uint64 beside a signed integer), or a number does not fit the result.
    MixedBackendError
        If the arrays are of two libraries, which no function takes together.

    Examples
    --------
    >>> pn.result_type(pn.int8, pn.uint8), pn.result_type(pn.int64, pn.float32, 2)
    (portanet.int16, portanet.float32)
    """
    arrays = [unwrap(part) for part in arrays_and_dtypes]
    if len({owner for array in arrays if (owner := backend_of(array)) is not None}) > 1:
        check_same_place("result_type", arrays)
    numbers: list[Any] = [part for part in arrays_and_dtypes if type(part) in SCALAR_KINDS]
    dtypes = [_dtype_of(part) for part in arrays_and_dtypes if type(part) not in SCALAR_KINDS]
    if not dtypes:
        raise DTypeError("result_type: expected at least one array or data type, got only Python numbers.")
    result = reduce(_wider, dtypes)
    for number in numbers:
        check_scalar("result_type", number, result)
    return result


def _dtype_of(part: Any) -> DType:
    if isinstance(part, DType):
        return part
    array = unwrap(part)
    backend = backend_of(array)
    if backend is None:
        raise TypeError(f"expected a Tensor, an array or a portanet data type, got {type(part).__name__}.")
    return backend.dtype_of(array)


def _wider(one: DType, other: DType) -> DType:
    """The type that two operands become."""
    if one == other:
        return one
    low, high = sorted((one, other), key=lambda dtype: (_RANKS[dtype.kind], dtype.bits))
    if low.kind == high.kind:
        return high if low.bits < high.bits else float32  # float16 and bfloat16
    if _RANKS[low.kind] == _RANKS[high.kind]:  # a signed and an unsigned integer
        signed, unsigned = (low, high) if low.kind == "signed integer" else (high, low)
        bits = max(signed.bits, 2 * unsigned.bits)
        if bits > 64:
            raise DTypeError(
                f"result_type: no integer type holds both {one.name} and {other.name}. Convert one of them first."
            )
        return _BY_KIND["signed integer", bits]
    if high.kind == "complex floating" and low.kind == "real floating":
        return _BY_KIND["complex floating", max(high.bits, 2 * low.bits)]
    return high


def can_cast(from_: DType | Array, to: DType, /) -> bool:
    """Whether values of one type become another by the standard's promotion rules, which never change the kind.

    Examples
    --------
    >>> pn.can_cast(pn.int8, pn.int16), pn.can_cast(pn.int64, pn.float64)
    (True, False)
    """
    source = _dtype_of(from_)
    if source == to:
        return True
    integers = {source.kind, to.kind} == {"signed integer", "unsigned integer"}
    same_kind = source.kind == to.kind or integers
    if not same_kind and (source.kind, to.kind) != ("real floating", "complex floating"):
        return False
    try:
        return _wider(source, to) == to
    except DTypeError:
        return False


@dataclass(frozen=True, slots=True)
class FloatInfo:
    """Limits of a floating-point type, as Python numbers."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


@dataclass(frozen=True, slots=True)
class IntegerInfo:
    """Limits of an integer type."""

    bits: int
    max: int
    min: int
    dtype: DType


def _native_limits(type: DType | Array) -> tuple[DType, Backend]:
    if isinstance(type, DType):
        return type, get_backend()
    backend = backend_of(unwrap(type))
    if backend is None:
        raise TypeError(f"type: expected a portanet data type or an array, got {type!r}.")
    return _dtype_of(type), backend


def finfo(type: DType | Array, /) -> FloatInfo:
    """Limits of a floating-point data type, or of that of an array; of complex numbers those of their parts.

    Examples
    --------
    >>> pn.finfo(pn.float32).eps
    1.1920928955078125e-07
    """
    dtype, backend = _native_limits(type)
    if not dtype.is_differentiable:
        raise DTypeError(
            f"finfo: type: expected a floating-point data type, got {dtype.name}. Use portanet.iinfo for integers."
        )
    part = dtype if dtype.is_floating else _BY_KIND["real floating", dtype.bits // 2]
    limits = backend.namespace.finfo(backend.native_dtype(part))
    return FloatInfo(
        bits=part.bits,
        eps=float(limits.eps),
        max=float(limits.max),
        min=float(limits.min),
        smallest_normal=float(limits.smallest_normal),
        dtype=part,
    )


def iinfo(type: DType | Array, /) -> IntegerInfo:
    """Limits of an integer data type, or of that of an array."""
    dtype, _ = _native_limits(type)
    if "integer" not in dtype.kind:
        raise DTypeError(
            f"iinfo: type: expected an integer data type, got {dtype.name}. Use portanet.finfo for "
            "floating-point numbers."
        )
    signed = dtype.kind == "signed integer"
    least = -(2 ** (dtype.bits - 1)) if signed else 0
    return IntegerInfo(dtype.bits, 2 ** (dtype.bits - signed) - 1, least, dtype)


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that arrays of these shapes broadcast to.

    Raises
    ------
    ShapeError
        If two lengths of an axis differ and neither is 1.

    Examples
    --------
    >>> pn.broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    rank = max((len(shape) for shape in shapes), default=0)
    result = []
    for axis in range(-rank, 0):
        lengths = {shape[axis] for shape in shapes if len(shape) >= -axis} - {1}
        if len(lengths) > 1:
            raise ShapeError(
                f"shapes: {', '.join(map(str, shapes))} do not broadcast: axis {axis} has lengths "
                f"{sorted(lengths)}, and none of them is 1."
            )
        result.append(lengths.pop() if lengths else 1)
    return tuple(result)
