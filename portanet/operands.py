"""What may enter an op together: arrays of one library and one device, and numbers that fit their data type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portanet.backend import Backend, Implementation, backend_of, check_same_place
from portanet.dtypes import DType, complex64, complex128
from portanet.dtypes import bool as bool_
from portanet.errors import DTypeError
from portanet.protocols import Array, Op, Scalar

__all__ = ["SCALAR_KINDS", "admit_operands", "any_vjp", "check_kind", "check_scalar", "describe_call"]

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
        check_same_place(op.__name__, [raw[i] for i in arrays])
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


def describe_call(error: Exception, op: Op, raw: Sequence[Any]) -> None:
    """Add to an array library's own error what portanet was asked to do."""
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
