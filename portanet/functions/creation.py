"""Functions that make Tensors. Default data type float32, default place the backend in use."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from portanet.backend import Backend
from portanet.conversion import native_place, require_known
from portanet.dtypes import Device, DType, float32
from portanet.dtypes import int64 as default_integer
from portanet.protocols import Array, Scalar
from portanet.tensor import Tensor, asarray, wrap

__all__ = [
    "arange",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "zeros",
    "zeros_like",
]

Shape = int | Sequence[int]
Place = Device | str | None


def _where(dtype: DType | None, device: Place) -> tuple[Backend, dict[str, Any]]:
    backend, native_device, _ = native_place(device)
    return backend, {
        "dtype": backend.native_dtype(float32 if dtype is None else dtype),
        "device": native_device,
    }


def zeros(shape: Shape, *, dtype: DType | None = None, device: Place = None) -> Tensor:
    """A Tensor of zeros.

    Examples
    --------
    >>> pn.zeros((2, 2))
    Tensor([[0., 0.],
            [0., 0.]])
    """
    backend, options = _where(dtype, device)
    return wrap(backend.namespace.zeros(shape, **options))


def ones(shape: Shape, *, dtype: DType | None = None, device: Place = None) -> Tensor:
    """A Tensor of ones."""
    backend, options = _where(dtype, device)
    return wrap(backend.namespace.ones(shape, **options))


def empty(shape: Shape, *, dtype: DType | None = None, device: Place = None) -> Tensor:
    """A Tensor whose values are not set."""
    backend, options = _where(dtype, device)
    return wrap(backend.namespace.empty(shape, **options))


def full(shape: Shape, fill_value: Scalar, *, dtype: DType | None = None, device: Place = None) -> Tensor:
    """A Tensor of one value; the data type follows the value: bool, int64, float32 or complex64."""
    if dtype is None and not isinstance(fill_value, float):
        dtype = asarray(fill_value, device=device).dtype
    if hasattr(fill_value, "item"):  # a scalar object of an array library
        fill_value = fill_value.item()
    backend, options = _where(dtype, device)
    return wrap(backend.namespace.full(shape, fill_value, **options))


def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: DType | None = None,
    device: Place = None,
) -> Tensor:
    """Evenly spaced values in ``[start, stop)``; integers give int64, anything else float32.

    Examples
    --------
    >>> pn.arange(3)
    Tensor([0, 1, 2])
    """
    if stop is None:
        start, stop = 0, start
    if dtype is None and all(isinstance(number, Integral) for number in (start, stop, step)):
        dtype = default_integer
    backend, options = _where(dtype, device)
    return wrap(backend.namespace.arange(start, stop, step, **options))


def linspace(
    start: float,
    stop: float,
    /,
    num: int,
    *,
    dtype: DType | None = None,
    device: Place = None,
    endpoint: bool = True,
) -> Tensor:
    """``num`` evenly spaced values from ``start`` to ``stop``."""
    backend, options = _where(dtype, device)
    return wrap(backend.namespace.linspace(start, stop, num, endpoint=endpoint, **options))


def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: DType | None = None,
    device: Place = None,
) -> Tensor:
    """Ones on diagonal ``k``, zeros elsewhere."""
    backend, options = _where(dtype, device)
    return wrap(backend.namespace.eye(n_rows, n_cols, k=k, **options))


def _like(name: str, x: Array, *values: Scalar, dtype: DType | None, device: Place) -> Any:
    array = x._data if isinstance(x, Tensor) else x
    backend = require_known(array)
    options: dict[str, Any] = {}
    if dtype is not None:
        options["dtype"] = backend.native_dtype(dtype)
    if device is not None and not isinstance(x, Tensor):
        options["device"] = device
    result = getattr(backend.namespace, name)(array, *values, **options)
    if not isinstance(x, Tensor):
        return result
    return wrap(result) if device is None else wrap(result).to(device)


def zeros_like(x: Array, /, *, dtype: DType | None = None, device: Place = None) -> Any:
    """Zeros of the shape, data type and place of ``x``."""
    return _like("zeros_like", x, dtype=dtype, device=device)


def ones_like(x: Array, /, *, dtype: DType | None = None, device: Place = None) -> Any:
    """Ones of the shape, data type and place of ``x``."""
    return _like("ones_like", x, dtype=dtype, device=device)


def empty_like(x: Array, /, *, dtype: DType | None = None, device: Place = None) -> Any:
    """Values that are not set, of the shape, data type and place of ``x``."""
    return _like("empty_like", x, dtype=dtype, device=device)


def full_like(x: Array, /, fill_value: Scalar, *, dtype: DType | None = None, device: Place = None) -> Any:
    """One value in the shape, data type and place of ``x``."""
    return _like("full_like", x, fill_value, dtype=dtype, device=device)
