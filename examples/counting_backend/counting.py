"""An array library that counts: NumPy's arrays, and a tally of every function that is called on them.

It stands for a library that portanet knows nothing of. It has the functions, the array object and the data types of the
array API standard, and one thing of its own: ``counting.calls``.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import array_api_compat.numpy as numpy_namespace
import numpy

__version__ = "1.0"

calls: Counter[str] = Counter()
"""How often each function was called."""


class Array:
    """An array; its values are a NumPy array inside."""

    __slots__ = ("_values",)

    def __init__(self, values: Any) -> None:
        self._values = values

    def __repr__(self) -> str:
        return f"counting.Array({self._values!r})"

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return sys.modules[__name__]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return numpy.asarray(self._values, dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        return self._values.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._values.__dlpack_device__()

    def to_device(self, device: Any, /, *, stream: Any = None) -> Array:
        return Array(self._values.to_device(device, stream=stream))


def _unwrapped(value: Any) -> Any:
    if isinstance(value, Array):
        return value._values
    if isinstance(value, (list, tuple)):
        return type(value)(map(_unwrapped, value))
    return value


def _wrapped(value: Any) -> Any:
    if isinstance(value, (numpy.ndarray, numpy.generic)):
        return Array(numpy.asarray(value))
    if isinstance(value, tuple):  # eigh and its like return named tuples
        parts = map(_wrapped, value)
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


def _counted(name: str, function: Any) -> Any:
    """The function, for arrays of this library."""

    def called(*operands: Any, **options: Any) -> Any:
        calls[name] += 1
        options = {key: _unwrapped(value) for key, value in options.items()}
        return _wrapped(function(*_unwrapped(operands), **options))

    called.__name__ = name
    return called


def _method(name: str) -> Any:
    of_numpy = getattr(numpy.ndarray, name)

    def called(self: Array, *operands: Any) -> Any:
        calls[name] += 1
        result = of_numpy(self._values, *_unwrapped(operands))
        return self if result is self._values else _wrapped(result)

    called.__name__ = name
    return called


BINARY = (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
)
OTHERS = (
    *("neg", "pos", "abs", "invert", "eq", "ne", "lt", "le", "gt", "ge"),
    *("getitem", "setitem", "bool", "int", "float", "complex", "index"),
)
for name in [*OTHERS, *(prefix + name for name in BINARY for prefix in ("", "r", "i"))]:
    setattr(Array, f"__{name}__", _method(f"__{name}__"))
for name in ("dtype", "device", "shape", "ndim", "size", "T", "mT"):
    setattr(Array, name, property(lambda self, name=name: _wrapped(getattr(self._values, name))))


class _Namespace:
    """The functions of one of NumPy's namespaces, counted; data types and constants as they are."""

    def __init__(self, source: Any, prefix: str = "") -> None:
        self._source = source
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._source, name)
        if isinstance(found, type) or not callable(found) or name.startswith("__"):
            return found
        function = _counted(self._prefix + name, found)
        setattr(self, name, function)
        return function


_functions = _Namespace(numpy_namespace)
linalg = _Namespace(numpy_namespace.linalg, "linalg.")
fft = _Namespace(numpy_namespace.fft, "fft.")


def __getattr__(name: str) -> Any:
    return getattr(_functions, name)
