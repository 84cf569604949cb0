"""How numbers of other kinds enter an op.

Functions that need floating-point numbers take integers in the default type, float32; beside a floating-point array
integers take its type. Array libraries differ here (NumPy would give float64, PyTorch float32, the standard nothing at
all), and no result of portanet depends on the library.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portanet.errors import DTypeError
from portanet.protocols import Array, Namespace, NativeDType
from portanet.requirements import UnnamedError, name_of_dtype

__all__ = [
    "alike",
    "all_alike",
    "check_keeps_imaginary",
    "constant_like",
    "device_of",
    "floating",
    "is_complex",
    "is_integer",
    "promoted",
]

_is_complex: dict[tuple[Namespace, NativeDType], bool] = {}
_is_integer: dict[tuple[Namespace, NativeDType], bool] = {}


def floating(xp: Namespace, x: Any) -> Array:
    """``x`` in float32 if it is an array of integers or booleans, else as it is."""
    dtype = getattr(x, "dtype", None)
    return xp.astype(x, xp.float32) if dtype is not None and is_integer(xp, dtype) else x


def alike(xp: Namespace, x: Any, y: Any) -> tuple[Array, Array]:
    """Two operands, integers or booleans beside floating-point numbers in the type of these.

    Of two types of one kind the library takes the wider one, but for an array without axes, whose type some ignore.
    """
    if type(x) is not type(y) or x.dtype is y.dtype:
        return x, y
    integers = is_integer(xp, x.dtype)
    if integers == is_integer(xp, y.dtype):
        if integers:
            _check_integers(xp, x.dtype, y.dtype)
        if (x.ndim and y.ndim) or x.dtype == y.dtype:
            return x, y
        dtype = xp.result_type(x.dtype, y.dtype)
        return xp.astype(x, dtype, copy=False), xp.astype(y, dtype, copy=False)
    return (xp.astype(x, y.dtype), y) if integers else (x, xp.astype(y, x.dtype))


def promoted(xp: Namespace, x: Array, y: Array) -> tuple[Array, Array]:
    """Two arrays in one data type, the wider one, for functions that some libraries have for equal types only."""
    x, y = alike(xp, x, y)
    if x.dtype is y.dtype or x.dtype == y.dtype:
        return x, y
    dtype = xp.result_type(x, y)
    return xp.astype(x, dtype, copy=False), xp.astype(y, dtype, copy=False)


def all_alike(xp: Namespace, arrays: Sequence[Array]) -> list[Array]:
    """Like :func:`alike`, for any number of arrays: integers in the type of the first floating-point array."""
    floats = [x.dtype for x in arrays if not is_integer(xp, x.dtype)]
    if not floats:
        for x in arrays[1:]:
            _check_integers(xp, arrays[0].dtype, x.dtype)
    if not floats or len(floats) == len(arrays):
        return list(arrays)
    return [xp.astype(x, floats[0]) if is_integer(xp, x.dtype) else x for x in arrays]


def _check_integers(xp: Namespace, one: NativeDType, other: NativeDType) -> None:
    """Raise for uint64 beside a signed integer: no integer type holds both, and libraries would make floats of them."""
    if one is other or one == other or (xp, one, other) in _go_together:
        return
    for wide, signed in ((one, other), (other, one)):
        if wide == xp.uint64 and xp.isdtype(signed, "signed integer"):
            name = name_of_dtype(signed)
            raise UnnamedError(
                f"no integer type holds both uint64 and {name}, in which the operands are. Convert one of them first: "
                f"portanet.astype(x, portanet.{name})."
            )
    _go_together.add((xp, one, other))


_go_together: set[tuple[Namespace, NativeDType, NativeDType]] = set()


def is_integer(xp: Namespace, dtype: NativeDType) -> bool:
    """Whether a data type is one of integers or booleans."""
    # Data types of two libraries must not be compared, so the namespace goes first.
    integer = _is_integer.get((xp, dtype))
    if integer is None:
        integer = _is_integer[xp, dtype] = bool(xp.isdtype(dtype, ("integral", "bool")))
    return integer


def is_complex(xp: Namespace, dtype: NativeDType) -> bool:
    """Whether a data type is one of complex numbers."""
    found = _is_complex.get((xp, dtype))
    if found is None:
        found = _is_complex[xp, dtype] = bool(xp.isdtype(dtype, "complex floating"))
    return found


def check_keeps_imaginary(xp: Namespace, name: str, x: Array, dtype: NativeDType) -> None:
    """Raise if complex numbers are to become real ones, for libraries would drop their imaginary parts.

    Raises
    ------
    DTypeError
        If they are. To booleans they may be converted.
    """
    # In a higher-order pass the data type is the library's, and was looked at in the first one.
    if not is_complex(xp, x.dtype) or hasattr(xp, "__recorded_ops__"):
        return
    if not xp.isdtype(dtype, ("complex floating", "bool")):
        raise DTypeError(
            f"{name}: dtype: {name_of_dtype(x.dtype)} does not become {name_of_dtype(dtype)}, which would lose "
            "imaginary parts. Take portanet.real(x), portanet.imag(x) or portanet.abs(x) first."
        )


def device_of(x: Array) -> Any:
    """Where to put an array beside ``x``; None, the default place, while JAX traces and ``x`` has no place yet."""
    return getattr(x, "device", None)


def constant_like(xp: Namespace, number: Any, x: Array) -> Array:
    """A Python number as an array without axes, of the data type and in the place of ``x``; an array as it is."""
    if hasattr(number, "dtype"):
        return number
    return xp.asarray(number, dtype=x.dtype, device=device_of(x))
