"""Questions about data types and places."""

from __future__ import annotations

from math import pi
from typing import Any

from portanet.conversion import require_known
from portanet.dtypes import DType
from portanet.errors import DTypeError
from portanet.protocols import Array
from portanet.tensor import Tensor

__all__ = ["e", "finfo", "iinfo", "inf", "isdtype", "nan", "newaxis", "pi", "to_host"]

e = 2.718281828459045
inf = float("inf")
nan = float("nan")
newaxis = None

_GROUPS = {
    "bool": ("bool",),
    "signed integer": ("signed integer",),
    "unsigned integer": ("unsigned integer",),
    "integral": ("signed integer", "unsigned integer"),
    "real floating": ("real floating",),
    "complex floating": ("complex floating",),
    "numeric": ("signed integer", "unsigned integer", "real floating", "complex floating"),
}


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


def finfo(dtype: DType | Array, /) -> Any:
    """Limits of a floating-point data type, as the backend in use gives them."""
    from portanet.backend import get_backend

    backend = get_backend()
    wanted = dtype if isinstance(dtype, DType) else dtype.dtype
    return backend.namespace.finfo(backend.native_dtype(wanted))


def iinfo(dtype: DType | Array, /) -> Any:
    """Limits of an integer data type, as the backend in use gives them."""
    from portanet.backend import get_backend

    backend = get_backend()
    wanted = dtype if isinstance(dtype, DType) else dtype.dtype
    return backend.namespace.iinfo(backend.native_dtype(wanted))


def to_host(x: Array) -> Any:
    """A NumPy array with the values of a Tensor or of an array of any library; the gradient's history stays behind."""
    array = x._data if isinstance(x, Tensor) else x
    return require_known(array).to_host(array)
