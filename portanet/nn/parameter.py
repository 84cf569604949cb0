"""Parameters: the Tensors that a module owns and an optimizer changes."""

from __future__ import annotations

from typing import Any

from portanet.dtypes import Device, DType
from portanet.errors import ShapeError
from portanet.tensor import Tensor

__all__ = ["Parameter", "UninitializedParameter"]


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


class _Pending:
    """What stands in for data that does not exist yet: any use of it says what to do."""

    __slots__ = ("wanted",)

    def __init__(self, dtype: DType | None, device: Device | str | None) -> None:
        self.wanted = (dtype, device)

    def __getattr__(self, name: str) -> Any:
        raise ShapeError(
            "This parameter has no shape yet: its lazy module has seen no input. Run one batch through the model first "
            "(before moving, saving or optimizing it)."
        )


class UninitializedParameter(Parameter):
    """A parameter whose shape is not known yet; the first input of its lazy module decides it."""

    __slots__ = ()

    def __init__(self, dtype: DType | None = None, device: Device | str | None = None) -> None:
        self._node = self._grad = self._version = None
        self._data = _Pending(dtype, device)

    @property
    def wanted(self) -> tuple[DType | None, Device | str | None]:
        """The data type and the device that it will have."""
        return self._data.wanted  # type: ignore[no-any-return]

    def materialize(self, data: Tensor) -> None:
        """Take on values, and with them a shape."""
        self._data = data.detach().clone()._data
        self.__class__ = Parameter  # type: ignore[assignment]
        self.requires_grad_()

    def __repr__(self) -> str:
        return "UninitializedParameter()"
