"""The NumPy backend: always there, and the one that others are measured against.

NumPy's main namespace follows the standard since version 2, so no compatibility layer is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from portanet.backend import Backend, Kernel
from portanet.dtypes import Device
from portanet.protocols import Array, NativeDType
from portanet_numpy.kernels import KERNELS
from portanet_numpy.optimizers import cut, side_by_side

__all__ = ["NumPyBackend", "backend"]


@dataclass(eq=False, repr=False)
class NumPyBackend(Backend):
    """NumPy arrays on the host."""

    name: str = "numpy"
    library: str = "numpy"
    kernels: Mapping[str, Kernel] = field(default_factory=lambda: KERNELS)

    def array_types(self) -> tuple[type, ...]:
        """NumPy's arrays, and the scalars that its reductions return."""
        xp = self.namespace
        return (xp.ndarray, xp.generic)

    def asarray(
        self, value: Any, *, dtype: NativeDType = None, device: Any = None, copy: bool | None = None
    ) -> Array:
        """An array in native byte order; a copy lies in C order, so that it is one line in memory."""
        order = "C" if copy else None
        array = self.namespace.asarray(value, dtype=dtype, device=device, copy=copy, order=order)
        if array.dtype.isnative:
            return array
        if copy is False:
            raise ValueError("copy: an array in foreign byte order has to be copied. Leave copy=None.")
        return array.astype(array.dtype.newbyteorder("="))

    def own_copies(self, arrays: Sequence[Array]) -> list[Array]:
        """Copies in C order, side by side in one piece of memory, each from the beginning of a cache line."""
        return side_by_side(arrays)

    def pieces(self, arrays: Sequence[Array]) -> list[Array]:
        """Vectors short enough that all that belongs to one of them stays in the cache."""
        return cut(arrays)

    def device_of(self, array: Array) -> Device:
        """Always the host."""
        return _HOST

    def to_host(self, array: Array) -> Any:
        """The array itself."""
        return array

    @cached_property
    def special_functions(self) -> Mapping[str, Callable[..., Array]]:
        """Those of SciPy, which is imported for them; raises BackendUnavailableError where it is missing."""
        from portanet_numpy.special import functions_of_scipy

        return functions_of_scipy()


_HOST = Device("numpy", "cpu")

backend = NumPyBackend()
