"""Portanet on the library `counting`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy

from portanet.backend import Backend, backend_named


@dataclass(eq=False, repr=False)
class CountingBackend(Backend):
    """Arrays of `counting`."""

    name: str = "counting"
    library: str = "counting"

    def array_types(self) -> tuple[type, ...]:
        return (self.namespace.Array,)

    def to_host(self, array: Any) -> Any:
        return numpy.asarray(array)

    @cached_property
    def special_functions(self) -> Mapping[str, Callable[..., Any]]:
        """NumPy's: the library has none."""
        return {
            name: lambda *operands, function=function: self.asarray(function(*map(self.to_host, operands)))
            for name, function in backend_named("numpy").special_functions.items()
        }


backend = CountingBackend()
