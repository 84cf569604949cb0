"""Constants, and what the namespace tells about itself and its devices."""

from __future__ import annotations

from math import pi
from typing import Any

from portanet.backend import default_device, get_backend
from portanet.conversion import native_place, require_known
from portanet.dtypes import Device, DType, complex64, float32, int64
from portanet.functions.data_types import isdtype
from portanet.protocols import Array
from portanet.tensor import Tensor

__all__ = ["array_namespace_info", "e", "inf", "nan", "newaxis", "pi", "to_host"]

e = 2.718281828459045
inf = float("inf")
nan = float("nan")
newaxis = None


class NamespaceInfo:
    """What the standard lets one ask of a namespace; the answers are those of the backend in use."""

    def capabilities(self) -> dict[str, Any]:
        """Which optional parts of the standard there are, and how many axes an array may have."""
        backend = get_backend()
        own = getattr(backend.namespace, "__array_namespace_info__", None)
        most = own().capabilities().get("max dimensions") if own is not None else None
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": most}

    def default_device(self) -> Device:
        """Where arrays are made when no place is given."""
        return default_device()

    def default_dtypes(self, *, device: Device | str | None = None) -> dict[str, DType]:
        """The types of numbers for which none is given; the same on every backend."""
        return {"real floating": float32, "complex floating": complex64, "integral": int64, "indexing": int64}

    def devices(self) -> tuple[Device, ...]:
        """The devices of the backend in use."""
        return get_backend().devices()

    def dtypes(
        self, *, device: Device | str | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, DType]:
        """The data types, of one kind or of all, that the backend has."""
        backend, native_device, _ = native_place(device)
        own = getattr(backend.namespace, "__array_namespace_info__", None)
        names = _STANDARD if own is None else _STANDARD & set(own().dtypes(device=native_device))
        return {
            dtype.name: dtype
            for dtype in backend.native_dtypes
            if dtype.name in names and (kind is None or isdtype(dtype, kind))
        }


# fmt: off
_STANDARD = {
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64", "complex64",
    "complex128",
}
# fmt: on


def array_namespace_info() -> NamespaceInfo:
    """What the namespace tells about itself: default types, devices and capabilities of the backend in use."""
    return NamespaceInfo()


def to_host(x: Array) -> Any:
    """A NumPy array with the values of a Tensor or of an array of any library; the gradient's history stays behind."""
    array = x._data if isinstance(x, Tensor) else x
    return require_known(array).to_host(array)
