"""What may enter an op together: arrays of one library and one device, and numbers that fit their data type."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

from portanet.backend import Backend, Implementation, backend_of, check_same_place
from portanet.dtypes import DType, complex64, complex128
from portanet.dtypes import bool as bool_
from portanet.errors import DTypeError, PortanetError
from portanet.protocols import Array, Op, Scalar
from portanet.requirements import (
    UnnamedError,
    axis_fault,
    dtype_fault,
    dtypes_taken,
    meet,
    places_not_taken,
)

__all__ = ["SCALAR_KINDS", "admit_operands", "any_vjp", "check_kind", "check_scalar", "explain"]

SCALAR_KINDS = {bool: 0, int: 1, float: 2, complex: 3}
"""The types of Python numbers, by how much they can hold."""

_DTYPE_KINDS = {
    "bool": 0,
    "signed integer": 1,
    "unsigned integer": 1,
    "real floating": 2,
    "complex floating": 3,
}
NOTE = "This happened in portanet"
"""How the notes begin that portanet adds to the errors of array libraries."""


def any_vjp(vjps: Sequence[Any], parents: Sequence[Any]) -> bool:
    """Whether a gradient flows to at least one operand that wants one."""
    for vjp, parent in zip(vjps, parents, strict=False):
        if vjp is not None and parent is not None:
            return True
    return False


def admit_operands(
    op: Op,
    names: Sequence[str],
    raw: list[Any],
    implementations: dict[type, Implementation],
    is_tensor: bool,
    converts: bool,
) -> Implementation:
    """Find how to run an op on operands that are not all arrays of one familiar type, and check that they go together.

    A scalar object of an array library that stands beside a Tensor becomes a Python number in ``raw``, so
    that it cannot change the data type either.

    Raises
    ------
    DTypeError
        If an operand is no array, or a number would change the data type.
    MixedBackendError, DeviceError
        If two operands are in different places.
    """
    if is_tensor and len(raw) == 2:
        found = _array_and_number(raw, implementations, op, converts)
        if found is not None:
            return found
    backends = [backend_of(operand) for operand in raw]
    arrays = [
        i for i, backend in enumerate(backends) if backend and isinstance(raw[i], backend.array_types()[0])
    ]
    if not arrays and not is_tensor:
        arrays = [i for i, backend in enumerate(backends) if backend]
    for i, operand in enumerate(raw):
        if operand is None or type(operand) in SCALAR_KINDS:
            continue
        if backends[i] is None:
            name = names[i] if i < len(names) else f"operand {i + 1}"
            raise DTypeError(
                f"{op.__name__}: {name} must be a Tensor, an array or a Python number, got {type(operand).__name__}. "
                "Convert it with portanet.asarray(...)."
            )
        if i not in arrays and is_tensor:
            raw[i] = operand.item()
    if not arrays:
        raise DTypeError(
            f"{op.__name__}: at least one operand must be a Tensor or an array, got only Python numbers. "
            "Convert one with portanet.asarray(...)."
        )
    first = raw[arrays[0]]
    backend = backends[arrays[0]]
    assert backend is not None
    if any(backends[i] is not backend for i in arrays):
        check_same_place(op.__name__, [raw[i] if i in arrays else None for i in range(len(raw))])
    numbers = [i for i, operand in enumerate(raw) if type(operand) in SCALAR_KINDS]
    if numbers:
        widest = max((backend.dtype_of(raw[i]) for i in arrays), key=lambda dtype: _DTYPE_KINDS[dtype.kind])
        for i in numbers:
            raw[i] = admit_number(op.__name__, raw[i], widest, converts, backend, first)
    if type(first) not in implementations:
        implementations[type(first)] = Implementation(op, backend)
    return implementations[type(first)]


def _array_and_number(
    raw: list[Any], implementations: dict[type, Implementation], op: Op, converts: bool
) -> Implementation | None:
    """The short way for ``x * 2``: an array of a familiar type beside a Python number."""
    place = 0 if type(raw[0]) in SCALAR_KINDS else 1
    number, array = raw[place], raw[1 - place]
    implementation = implementations.get(type(array))
    if implementation is None or type(number) not in SCALAR_KINDS:
        return None
    backend = implementation.backend
    raw[place] = admit_number(op.__name__, number, backend.dtype_of(array), converts, backend, array)
    return implementation


def admit_number(
    name: str, number: Scalar, dtype: DType, converts: bool, backend: Backend, beside: Array
) -> Scalar | Array:
    """A Python number as it enters an op beside an array of ``dtype``.

    True and False beside numbers are 1 and 0: the standard, and some libraries, do not mix them. A complex number
    beside real ones becomes an array of the complex type of the same precision, as the standard wants.
    """
    if type(number) is complex and dtype.is_floating:
        wide = complex128 if dtype.bits == 64 else complex64
        place = backend.native_device(backend.device_of(beside))
        return backend.asarray(number, dtype=backend.native_dtype(wide), device=place)
    if not converts or type(number) is complex:
        check_scalar(name, number, dtype)
    return int(number) if type(number) is bool and dtype is not bool_ else number


def check_scalar(name: str, number: Scalar, dtype: DType) -> None:
    """Raise if a Python number cannot be used beside ``dtype`` without changing it."""
    kind = SCALAR_KINDS[type(number)]
    if kind > _DTYPE_KINDS[dtype.kind]:
        wider = ("int64", "int64", "float32", "complex64")[kind]
        raise DTypeError(
            f"{name}: the Python number {number!r} does not fit the data type {dtype.name}, and a number never "
            f"changes it. Convert first: portanet.astype(x, portanet.{wider})."
        )


def check_kind(name: str, new: DType, old: DType) -> None:
    """Raise if values of the type ``new`` would lose what they are when written into an array of the type ``old``."""
    if _DTYPE_KINDS[new.kind] > _DTYPE_KINDS[old.kind]:
        raise DTypeError(
            f"{name}: the new values are {new.name} and this Tensor is {old.name}, which cannot hold them. Convert it "
            f"first: x = portanet.astype(x, portanet.{new.name})."
        )


def explain(
    error: Exception, op: Op, names: Sequence[str], raw: Sequence[Any], options: Mapping[str, Any]
) -> None:
    """Say what was wrong with a call in which an op failed: raise a better error, or add a note to the one there is.

    Nothing is checked before an op runs, for correct calls would pay for it.

    Raises
    ------
    AxisError, ShapeError
        If an axis that the call names is not there, or is named twice, or cannot be squeezed.
    DTypeError
        If the data type of an operand is none that the function takes, or none that the library has it for.
    """
    better = _better_error(error, op, names, raw, options)
    _describe_call(error if better is None else better, op, raw)
    if better is not None:
        raise better from (error.__cause__ if isinstance(error, UnnamedError) else error)


def _better_error(
    error: Exception, op: Op, names: Sequence[str], raw: Sequence[Any], options: Mapping[str, Any]
) -> PortanetError | None:
    """An error that tells the user more than the one that came, if one is known."""
    if isinstance(error, UnnamedError):
        return DTypeError(f"{op.__name__}: {error}")
    if isinstance(error, PortanetError):
        return None
    shapes = [tuple(operand.shape) for operand in raw if hasattr(operand, "shape")]
    return axis_fault(op.__name__, shapes, _with_defaults(op, options)) or _dtype_error(error, op, names, raw)


def _with_defaults(op: Op, options: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(op).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty} | dict(options)


def _dtype_error(error: Exception, op: Op, names: Sequence[str], raw: Sequence[Any]) -> DTypeError | None:
    """The error about operands of data types that are not taken; None if all are."""
    name = op.__name__
    backends = [backend_of(operand) for operand in raw]
    dtypes = [
        None if backend is None else backend.dtype_of(operand)
        for backend, operand in zip(backends, raw, strict=True)
    ]
    arguments = [_argument(names, place) for place in range(len(raw))]
    where = next((f" on backend {backend.name!r}" for backend in backends if backend is not None), "")
    said = str(error).lower()
    # What libraries raise for data types, mostly; but JAX has TypeError for shapes as well.
    refused = isinstance(error, (TypeError, NotImplementedError)) and "type" in said
    for place in places_not_taken(name, [None if dtype is None else dtype.kind for dtype in dtypes]):
        takes, dtype = dtypes_taken(name, place), dtypes[place]
        assert dtype is not None
        known = dtype.kind in takes.more
        if refused or not known:
            beyond = where if known else ""
            return DTypeError(dtype_fault(name, arguments[place], takes, dtype.kind, dtype.name, beyond))
    found = [(place, dtype) for place, dtype in enumerate(dtypes) if dtype is not None]
    if isinstance(error, NotImplementedError) or "not implemented" in said or "supported" in said:
        for place, dtype in found:
            if dtype.name in _RARE:
                wider = "float32" if dtype.is_floating else "int64"
                return DTypeError(
                    f"{name}: {arguments[place]}: {dtype.name} is not supported here{where}. Convert it first: "
                    f"portanet.astype({arguments[place]}, portanet.{wider})."
                )
    for (place, dtype), (other, wider_dtype) in permutations(found, 2) if refused else ():
        if _DTYPE_KINDS[dtype.kind] < _DTYPE_KINDS[wider_dtype.kind] and meet(name, place, other):
            return DTypeError(
                f"{name}: {arguments[place]}: got {dtype.name} beside {wider_dtype.name}, which do not mix{where}. "
                f"Convert it first: portanet.astype({arguments[place]}, portanet.{wider_dtype.name})."
            )
    return None


_RARE = frozenset({"uint16", "uint32", "uint64", "float16", "bfloat16"})
"""Data types that some libraries store and hardly compute with."""


def _argument(names: Sequence[str], place: int) -> str:
    """What an operand is called; those of a sequence by their places."""
    if names == ["arrays"]:
        return f"arrays[{place}]"
    return names[place] if place < len(names) else f"operand {place + 1}"


def _describe_call(error: Exception, op: Op, raw: Sequence[Any]) -> None:
    """Add to an error what portanet was asked to do."""
    if any(note.startswith(NOTE) for note in getattr(error, "__notes__", ())):
        return
    operands = []
    for operand in raw:
        backend = backend_of(operand)
        if backend is None:
            operands.append(repr(operand))
        else:
            operands.append(f"{tuple(operand.shape)} {operand.dtype} on {backend.name}")
    error.add_note(f"{NOTE}.{op.__name__} of: " + "; ".join(operands))
