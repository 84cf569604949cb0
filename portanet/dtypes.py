"""Data types and devices: portanet's own small objects, equal on every backend.

Each backend maps them to what its library calls them, so ``x.dtype == portanet.float32`` holds whatever the array is.
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass

__all__ = [
    "ALL_DTYPES",
    "DType",
    "Device",
    "bfloat16",
    "bool",
    "complex128",
    "complex64",
    "float16",
    "float32",
    "float64",
    "int16",
    "int32",
    "int64",
    "int8",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
]


@dataclass(frozen=True, slots=True, eq=False)
class DType:
    """A data type: its name, its kind and its width.

    Parameters
    ----------
    name : str
        The standard's name, such as ``"float32"``.
    kind : str
        ``"bool"``, ``"signed integer"``, ``"unsigned integer"``, ``"real floating"`` or ``"complex floating"``.
    bits : int
        The width of one element.

    Examples
    --------
    >>> pn.float32
    portanet.float32
    >>> pn.zeros((2,)).dtype == pn.float32
    True
    """

    name: str
    kind: str
    bits: int

    def __repr__(self) -> str:
        return f"portanet.{self.name}"

    def __reduce__(self) -> str:
        return self.name

    @property
    def is_floating(self) -> builtins.bool:
        """Whether this is a real floating-point type."""
        return self.kind == "real floating"

    @property
    def is_differentiable(self) -> builtins.bool:
        """Whether an array of this type can carry a gradient."""
        return self.kind in ("real floating", "complex floating")


bool = DType("bool", "bool", 8)
int8 = DType("int8", "signed integer", 8)
int16 = DType("int16", "signed integer", 16)
int32 = DType("int32", "signed integer", 32)
int64 = DType("int64", "signed integer", 64)
uint8 = DType("uint8", "unsigned integer", 8)
uint16 = DType("uint16", "unsigned integer", 16)
uint32 = DType("uint32", "unsigned integer", 32)
uint64 = DType("uint64", "unsigned integer", 64)
float16 = DType("float16", "real floating", 16)
bfloat16 = DType("bfloat16", "real floating", 16)
float32 = DType("float32", "real floating", 32)
float64 = DType("float64", "real floating", 64)
complex64 = DType("complex64", "complex floating", 64)
complex128 = DType("complex128", "complex floating", 128)

ALL_DTYPES = (
    bool,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
    float16,
    bfloat16,
    float32,
    float64,
    complex64,
    complex128,
)


@dataclass(frozen=True, slots=True)
class Device:
    """A place where arrays live: a backend, and the name that its library gives to the device.

    Parameters
    ----------
    backend : str
        The backend's name, such as ``"cupy"``.
    name : str
        The device within it: ``"cpu"``, ``"cuda:0"``.

    Examples
    --------
    >>> pn.zeros((2,)).device
    Device('numpy', 'cpu')
    """

    backend: str
    name: str

    def __repr__(self) -> str:
        return f"Device({self.backend!r}, {self.name!r})"

    def __str__(self) -> str:
        return f"{self.backend}:{self.name}"

    @property
    def is_accelerator(self) -> builtins.bool:
        """Whether this is something other than the host's processor."""
        return not self.name.lower().startswith("cpu")
