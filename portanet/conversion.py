"""From Python numbers and arrays of any library to an array of the backend that is wanted."""

from __future__ import annotations

from numbers import Number
from typing import Any

from portanet.backend import (
    Backend,
    backend_named,
    backend_of,
    default_device,
    find_device,
    get_backend,
    known_backend_names,
)
from portanet.dtypes import Device, DType, complex64, float32
from portanet.errors import DTypeError, ShapeError
from portanet.operands import NOTE
from portanet.protocols import Array, NativeDType

__all__ = ["native_array", "native_place", "require_known"]


def native_place(device: Device | str | None) -> tuple[Backend, Any, Device]:
    """The backend, its library's device and portanet's device that a ``device=`` argument means."""
    if device is None:
        place = default_device()
        backend = get_backend()
    elif isinstance(device, Device):
        place = device
        backend = backend_named(device.backend)
    elif isinstance(device, str):
        backend = get_backend()
        head, _, tail = device.partition(":")
        if head in known_backend_names() and head != backend.name:
            backend = backend_named(head)
            place = find_device(backend, tail) if tail else backend.devices()[0]
        else:
            known = device == backend.name
            place = (
                default_device() if known else find_device(backend, tail if head == backend.name else device)
            )
    else:
        raise TypeError(
            f"device: expected a portanet.Device or a name such as 'cpu', got {type(device).__name__}."
        )
    return backend, backend.native_device(place), place


def native_array(
    value: Any, dtype: DType | NativeDType | None, device: Device | str | None, copy: bool | None
) -> Array:
    """The array of the chosen backend that holds ``value``; Python floats become float32."""
    backend, native_device, place = native_place(device)
    native_dtype = None if dtype is None else backend.native_dtype(dtype)
    owner = backend_of(value)
    if owner is backend:
        if native_dtype is None and backend.device_of(value) == place and not copy:
            array = backend.asarray(value)
        else:
            array = backend.asarray(value, dtype=native_dtype, device=native_device, copy=copy)
        backend.dtype_of(array)  # raises for one that is unknown, such as strings
        return array
    if owner is not None:
        if copy is False:
            raise ValueError(
                f"copy: an array of {owner.name} cannot be shared with {backend.name}; leave copy=None."
            )
        return backend.asarray(owner.to_host(value), dtype=native_dtype, device=native_device, copy=copy)
    try:
        array = backend.asarray(value, dtype=native_dtype, device=native_device, copy=copy)
        name = backend.dtype_of(array).name
    except Exception as error:
        error.add_note(f"{NOTE}.asarray of a {type(value).__name__}.")
        fault = _fault(value)
        if fault is None and isinstance(error, (TypeError, ValueError, OverflowError)):
            raise
        kind, found = fault or (DTypeError, f"got {type(value).__name__}")
        raise kind(
            "obj: expected numbers, nested lists of them that are of equal lengths, or an array of numbers; "
            f"{found}."
        ) from error
    if native_dtype is None and name in ("float64", "complex128"):
        target = float32 if name == "float64" else complex64
        array = backend.namespace.astype(array, backend.native_dtype(target))
    return array


def _fault(value: Any, place: str = "obj") -> tuple[type[Exception], str] | None:
    """What in nested lists is no number or of another length than the rest; None if nothing is."""
    if isinstance(value, (list, tuple)):
        for number, part in enumerate(value):
            fault = _fault(part, f"{place}[{number}]")
            if fault is not None:
                return fault
        lengths = [len(part) if isinstance(part, (list, tuple)) else None for part in value]
        for number, length in enumerate(lengths):
            if length != lengths[0]:
                first, other = ("a number" if n is None else f"a list of {n}" for n in (lengths[0], length))
                return ShapeError, f"{place}[0] is {first}, {place}[{number}] is {other}"
        return None
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return DTypeError, f"{place} is too large for 64 bits"
    if isinstance(value, Number) or backend_of(value) is not None:
        return None
    shown = repr(value)
    shown = shown if len(shown) <= 40 else f"{shown[:36]} ..."
    return DTypeError, f"{place} is {shown}, of type {type(value).__name__}"


def require_known(array: Array) -> Backend:
    """The backend of an array that is known to have one."""
    backend = backend_of(array)
    assert backend is not None
    return backend
