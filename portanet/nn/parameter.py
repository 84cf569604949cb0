"""Parameters and buffers: the Tensors that a module owns, those that an optimizer changes and the others."""

from __future__ import annotations

from typing import Any, TypeVar

from portanet.dtypes import Device, DType, float32
from portanet.errors import ShapeError
from portanet.tensor import Tensor

__all__ = ["Buffer", "Parameter", "UninitializedParameter"]

Self = TypeVar("Self", bound="UninitializedParameter")


class Parameter(Tensor):
    """A Tensor that a :class:`Module` owns: it is listed by ``parameters()`` and requires a gradient.

    Parameters
    ----------
    data
        As for :class:`portanet.Tensor`; it is copied.
    requires_grad : bool, default True
        False freezes it.

    Examples
    --------
    >>> pn.nn.Parameter(pn.zeros((2,)))
    Parameter([0., 0.])
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data.detach() if isinstance(data, Tensor) else data)
        if requires_grad:
            self.requires_grad_()


class Buffer(Tensor):
    """A Tensor that becomes a buffer of the :class:`Module` to which it is assigned: saved and moved, but not trained.

    Parameters
    ----------
    data : optional
        As for :class:`portanet.Tensor`; it is copied. Default: no numbers, shape (0,).
    persistent : bool, default True
        Whether it belongs to the state dict.

    Examples
    --------
    >>> layer = pn.nn.Module()
    >>> layer.count = pn.nn.Buffer(pn.zeros((2,)))
    >>> layer.state_dict()
    {'count': Tensor([0., 0.])}
    """

    __slots__ = ("persistent",)

    persistent: bool

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        super().__init__([] if data is None else data.detach() if isinstance(data, Tensor) else data)
        self.persistent = persistent

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "persistent": self.persistent}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.persistent = state["persistent"]


class _Wishes:
    """What a parameter without data will be like."""

    __slots__ = ("device", "dtype", "requires_grad", "shape")

    def __init__(self, dtype: DType, device: Device | str | None, shape: tuple[int | None, ...]) -> None:
        self.dtype = dtype
        self.device = device
        self.shape = shape
        self.requires_grad = True


_storage = Tensor.__dict__["_data"]


class UninitializedParameter(Parameter):
    """A parameter whose shape is not known yet; the first input of its lazy module decides it.

    Parameters
    ----------
    dtype, device
        What it will have; the default data type is float32.
    shape : tuple of int or None
        What is known of the shape; None where a length is open.
    """

    __slots__ = ()

    def __init__(
        self,
        dtype: DType | None = None,
        device: Device | str | None = None,
        shape: tuple[int | None, ...] = (),
    ) -> None:
        self._node = self._grad = self._version = None
        _storage.__set__(self, _Wishes(dtype or float32, device, shape))

    @property
    def _data(self) -> Any:
        raise ShapeError(
            "This parameter has no shape yet: its lazy module has seen no input. Run one batch through the model first "
            "(before saving or optimizing it)."
        )

    @_data.setter
    def _data(self, value: Any) -> None:
        raise AttributeError("an UninitializedParameter takes on data by materialize() only")

    @property
    def wanted(self) -> tuple[DType, Device | str | None]:
        """The data type and the device that it will have."""
        wishes = _storage.__get__(self)
        return wishes.dtype, wishes.device

    def want(self, dtype: DType | None, device: Device | str | None) -> None:
        """Change the data type and the device that it will have; None keeps what was wanted before."""
        wishes = _storage.__get__(self)
        wishes.dtype, wishes.device = dtype or wishes.dtype, device or wishes.device

    @property
    def known_shape(self) -> str:
        """The shape as far as it is known, for messages: ``(3, any)``."""
        lengths = ["any" if length is None else str(length) for length in _storage.__get__(self).shape]
        return f"({', '.join(lengths)}{',' if len(lengths) == 1 else ''})"

    def admits(self, shape: Any) -> bool:
        """Whether an array of this shape could be its values."""
        known = _storage.__get__(self).shape
        return (
            isinstance(shape, tuple)
            and len(shape) == len(known)
            and all(length in (None, came) for length, came in zip(known, shape, strict=True))
        )

    @property
    def requires_grad(self) -> bool:
        """Whether gradients will flow to it."""
        return _storage.__get__(self).requires_grad  # type: ignore[no-any-return]

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Set whether gradients will flow to it."""
        _storage.__get__(self).requires_grad = requires_grad
        return self

    def materialize(self, data: Tensor) -> None:
        """Take on values, and with them a shape."""
        requires_grad = self.requires_grad
        self.__class__ = Parameter  # type: ignore[assignment]
        self._data = data.detach().clone()._data
        self.requires_grad_(requires_grad)

    def __getstate__(self) -> dict[str, Any]:
        return {"wishes": _storage.__get__(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._node = self._grad = self._version = None
        _storage.__set__(self, state["wishes"])

    def __repr__(self) -> str:
        return "UninitializedParameter()"
