"""The array-api-strict backend, for tests: it raises on anything outside the standard.

What runs here runs on every library that keeps the standard. It has several make-believe devices, two of which lack
data types, so that mixed devices can be tested on a machine without a GPU. It has no kernels: the ops' own definitions
are what it proves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from portanet.backend import Backend, Unavailability, backend_named
from portanet.dtypes import Device
from portanet.protocols import Array, NativeDType

__all__ = ["ArrayAPIStrictBackend", "backend"]

INSTALL = "pip install array-api-strict"


@dataclass(eq=False, repr=False)
class ArrayAPIStrictBackend(Backend):
    """Arrays of array-api-strict, on its processor or on one of its make-believe devices."""

    name: str = "array-api-strict"
    library: str = "array_api_strict"

    for_tests_only: ClassVar[bool] = True

    def array_types(self) -> tuple[type, ...]:
        """The one array type; the library exports it under no public name."""
        return (type(self.probe("array", lambda: self.namespace.asarray(0.0))),)

    def unavailability(self) -> Unavailability | None:
        """Not installed, or fails on import."""
        return self.missing_library(INSTALL) or self.damaged_library(f"{INSTALL} --force-reinstall")

    def devices(self) -> tuple[Device, ...]:
        """``cpu``, and the make-believe ones."""
        return tuple(self._places().values())

    def _places(self) -> dict[Any, Device]:
        return self.probe("devices", self._list_places)

    def _list_places(self) -> dict[Any, Device]:
        natives = self.namespace.__array_namespace_info__().devices()
        return {native: Device(self.name, _short_name(native)) for native in natives}

    def native_device(self, device: Device) -> Any:
        """The library's device object."""
        return next(native for native, known in self._places().items() if known == device)

    def device_of(self, array: Array) -> Device:
        """Where an array is said to live."""
        return self._places()[array.device]

    def asarray(
        self, value: Any, *, dtype: NativeDType = None, device: Any = None, copy: bool | None = None
    ) -> Array:
        """An array; NumPy arrays that are read-only or in foreign byte order are copied."""
        if isinstance(value, (np.ndarray, np.generic)) and copy is not False:
            value = value.astype(value.dtype.newbyteorder("="), copy=not value.flags.writeable)
        return self.namespace.asarray(value, dtype=dtype, device=device, copy=copy)

    def to_host(self, array: Array) -> Any:
        """A NumPy array; it may share memory with the array."""
        return np.asarray(array.to_device(self.native_device(self.devices()[0])))

    @cached_property
    def special_functions(self) -> Mapping[str, Callable[..., Array]]:
        """NumPy's, by way of the host: the standard has none."""
        functions = backend_named("numpy").special_functions
        return {name: self._through_the_host(function) for name, function in functions.items()}

    def _through_the_host(self, function: Callable[..., Any]) -> Callable[..., Array]:
        def called(*operands: Array) -> Array:
            return self.asarray(
                function(*(self.to_host(x) for x in operands)), device=operands[0].device, copy=True
            )

        return called


def _short_name(native: Any) -> str:
    name = re.sub(r".*'(.+)'.*", r"\1", repr(native))
    return "cpu" if name == "CPU_DEVICE" else name


backend = ArrayAPIStrictBackend()
