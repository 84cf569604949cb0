"""Functions that make Tensors. Default data type float32, default place the backend in use."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Literal

from portanet.backend import Backend, backend_of, check_same_place, get_backend
from portanet.checks import whole_number
from portanet.conversion import native_array, native_place, require_known
from portanet.dtypes import Device, DType, complex64, float32
from portanet.dtypes import bool as bool_
from portanet.dtypes import int64 as default_integer
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.functions.manipulation import broadcast_to, reshape, together
from portanet.operands import SCALAR_KINDS, check_scalar
from portanet.protocols import Array, Scalar
from portanet.tensor import Tensor, asarray, unwrap, wrap

__all__ = [
    "arange",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "full",
    "full_like",
    "linspace",
    "meshgrid",
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
    """A Tensor of one value; the data type follows the value: bool, int64, float32 or complex64.

    Raises
    ------
    DTypeError
        If the value does not fit the data type that is asked for, such as 0.5 in int64.
    """
    if dtype is None and not isinstance(fill_value, float):
        dtype = asarray(fill_value, device=device).dtype
    fill_value = _number("full", fill_value, dtype)
    backend, options = _where(dtype, device)
    return wrap(backend.namespace.full(shape, fill_value, **options))


def _number(name: str, value: Any, dtype: DType | None) -> Scalar:
    """A value as a Python number, if that fits the data type."""
    if hasattr(value, "item"):  # a scalar object of an array library
        value = value.item()
    if isinstance(dtype, DType) and type(value) in SCALAR_KINDS:
        check_scalar(name, value, dtype)
    return value  # type: ignore[no-any-return]


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
    elif dtype == bool_:
        raise DTypeError(
            "arange: dtype: expected numbers, got bool. Compare them: portanet.arange(...) != 0."
        )
    backend, options = _where(dtype, device)
    return wrap(backend.namespace.arange(start, stop, step, **options))


def linspace(
    start: complex,
    stop: complex,
    /,
    num: int,
    *,
    dtype: DType | None = None,
    device: Place = None,
    endpoint: bool = True,
) -> Tensor:
    """``num`` evenly spaced values from ``start`` to ``stop``; complex ends give complex64.

    With ``endpoint=False`` the last one is a step before ``stop``.
    """
    num = whole_number("num", num, low=0)
    if dtype is None and (isinstance(start, complex) or isinstance(stop, complex)):
        dtype = complex64
    elif isinstance(dtype, DType) and not dtype.is_differentiable:
        raise DTypeError(
            f"linspace: dtype: expected a floating-point type, got {dtype.name}. Convert the result: "
            f"portanet.astype(portanet.linspace(...), portanet.{dtype.name})."
        )
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
    """One value in the shape, data type and place of ``x``; it must fit the data type."""
    array, value = unwrap(x), unwrap(fill_value)
    owner = backend_of(value)
    if owner is not None and isinstance(value, owner.array_types()[0]):
        check_same_place("full_like", (array, value))
    fill_value = _number("full_like", fill_value, dtype or require_known(array).dtype_of(array))
    return _like("full_like", x, fill_value, dtype=dtype, device=device)


def meshgrid(*arrays: Array, indexing: Literal["xy", "ij"] = "xy") -> tuple[Any, ...]:
    """The coordinates of all points of a grid: one array of them for each array of places along an axis.

    Parameters
    ----------
    *arrays : Array
        Each of shape (n,).
    indexing : str
        ``"ij"``: the first array runs along the first axis of the results. ``"xy"``: along the second one, and the
        second array along the first, as in pictures.

    Returns
    -------
    tuple
        Arrays that share the memory of the given ones.

    Examples
    --------
    >>> x, y = pn.meshgrid(pn.asarray([1.0, 2.0]), pn.asarray([3.0, 4.0]))
    >>> x, y
    (Tensor([[1., 2.],
            [1., 2.]]), Tensor([[3., 3.],
            [4., 4.]]))
    """
    if indexing not in ("xy", "ij"):
        raise OptionError(f'indexing: expected "xy" or "ij", got {indexing!r}.')
    arrays = together("meshgrid", arrays)
    for x in arrays:
        if x.ndim != 1:
            raise ShapeError(f"meshgrid: expected arrays with one axis, got shape {tuple(x.shape)}.")
    axes = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        axes[:2] = 1, 0
    lengths = [arrays[a].shape[0] for a in axes]  # swapping two places is its own inverse
    spread = []
    for x, axis in zip(arrays, axes, strict=True):
        alone = (*(1,) * axis, x.shape[0], *(1,) * (len(arrays) - axis - 1))
        spread.append(broadcast_to(reshape(x, alone), tuple(lengths)))
    return tuple(spread)


def from_dlpack(x: Any, /, *, device: Place = None, copy: bool | None = None) -> Tensor:
    """A Tensor of the values of any object that speaks DLPack, without a copy where that is possible.

    Parameters
    ----------
    x : object
        Has ``__dlpack__`` and ``__dlpack_device__``: a Tensor, or an array of any library.
    device : Device or str, optional
        Default: where ``x`` is; a Tensor stays with its backend, anything else goes to the backend in use.
    copy : bool, optional
        True always copies, False never (and raises where it must), None where needed.

    Raises
    ------
    BufferError
        If the backend cannot read memory of that kind, such as a GPU's.
    GradientError
        If ``x`` is a Tensor that requires a gradient; use ``x.detach()``.
    """
    if not hasattr(x, "__dlpack__"):
        raise AttributeError(
            f"x: expected an object with __dlpack__, got {type(x).__name__}. Use portanet.asarray(...) for others."
        )
    if isinstance(x, Tensor) and x.requires_grad:
        x.__dlpack__()  # raises
    array = unwrap(x)
    owner = backend_of(array)
    backend, place = require_known(array) if isinstance(x, Tensor) else get_backend(), None
    if device is not None:
        backend, _, place = native_place(device)
        if owner is not None and owner.device_of(array).is_accelerator != place.is_accelerator:
            return wrap(native_array(array, None, place, copy))  # from one kind of memory to another
    try:
        tensor = wrap(backend.namespace.from_dlpack(array, **({"copy": False} if copy is False else {})))
    except BufferError:  # such as JAX's of what is read-only
        there = place or next((device for device in backend.devices() if not device.is_accelerator), None)
        if copy is False or owner is None or there is None or owner.device_of(array).is_accelerator:
            raise
        return wrap(native_array(array, None, there, copy))
    if place is not None and tensor.device != place:
        if copy is False:
            raise ValueError(f"copy: the values are on {tensor.device}, not on {place}; leave copy=None.")
        return tensor.to(place)
    if copy:
        return tensor.clone()
    if isinstance(x, Tensor):
        tensor._version = x._version
    return tensor
