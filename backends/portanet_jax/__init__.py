"""The JAX backend: its GPUs and TPUs where they answer, and the processor everywhere.

Two of JAX's settings are changed when this backend first loads JAX's namespace, because portanet cannot keep its
promises without:

- ``jax_enable_x64`` is switched on. Without it JAX turns every float64 and int64 into 32 bits, with a warning at
  most. Portanet's own default stays float32, and Python numbers stay weakly typed in JAX, so nothing becomes wider
  unless it is asked to. JAX code of your own in the same process sees 64-bit types too.
- ``XLA_PYTHON_CLIENT_PREALLOCATE=false`` is set in the environment if it is not set already and JAX is not imported
  yet, so that asking which backends there are does not take three quarters of the GPU's memory away from the one
  that is used.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from portanet.backend import (
    Backend,
    Kernel,
    LazyKernels,
    MemoryFigures,
    Unavailability,
    default_device,
    first_line,
    get_backend,
)
from portanet.dtypes import ALL_DTYPES, Device, DType
from portanet.protocols import Array, Namespace, NativeDType

__all__ = ["JAXBackend", "backend"]

INSTALL = "pip install 'portanet[jax]'"
REINSTALL = "pip install --force-reinstall jax jaxlib"
MATCH_DRIVER = "pip install --upgrade 'jax[cuda13]', or 'jax[cuda12]' for a CUDA 12 driver."


@dataclass(eq=False, repr=False)
class JAXBackend(Backend):
    """JAX arrays, which never change, and the tracers that stand for them under ``jax.jit``."""

    name: str = "jax"
    library: str = "jax"
    kernels: Mapping[str, Kernel] = field(default_factory=lambda: LazyKernels("portanet_jax.kernels"))

    writable: ClassVar[bool] = False
    auto_priority: ClassVar[int | None] = 2

    def import_namespace(self) -> Namespace:
        """Import JAX, with 64-bit types switched on."""
        if "jax" not in sys.modules:
            os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        import jax
        import jax.numpy

        jax.config.update("jax_enable_x64", True)
        return jax.numpy

    def array_types(self) -> tuple[type, ...]:
        """Arrays and tracers."""
        return (sys.modules["jax"].Array,)

    def unavailability(self) -> Unavailability | None:
        """Not installed, fails on import, or finds no device, not even the processor."""
        return (
            self.missing_library(INSTALL)
            or self.damaged_library(REINSTALL)
            or self.probe("nothing answers", self._nothing_answers)
        )

    def _nothing_answers(self) -> Unavailability | None:
        if self.devices():
            return None
        listed, error = _listed_devices()
        detail = f"Asking JAX for its devices failed with {error}." if error else f"None of {listed} answers."
        wanted = os.environ.get("JAX_PLATFORMS")
        if wanted:
            return Unavailability(
                "no device",
                f"{detail} JAX_PLATFORMS is {wanted!r}.",
                "unset JAX_PLATFORMS, or JAX_PLATFORMS=cpu.",
            )
        return Unavailability("no device", detail, REINSTALL)

    def limitation(self) -> Unavailability | None:
        """A GPU that JAX lists and that does not answer."""
        return self.probe("places", self._ask_devices)[1]

    def devices(self) -> tuple[Device, ...]:
        """The accelerators that answer, and the processor."""
        return tuple(self._places())

    def _places(self) -> dict[Device, Any]:
        return self.probe("places", self._ask_devices)[0]

    def _ask_devices(self) -> tuple[dict[Device, Any], Unavailability | None]:
        """JAX's device for each of portanet's, accelerators from the first that answers, and why none does."""
        import jax

        _ = self.namespace
        listed, _error = _listed_devices()
        several = sum(native.platform == "cpu" for native in listed) > 1
        places = {}
        limitation = None
        answered = False
        for native in listed:
            if native.platform != "cpu" and not answered:
                try:
                    answer_of_device(native)
                except Exception as error:
                    limitation = _fault(native, error)
                    continue
                answered = True
            places[Device(self.name, _short_name(native, several))] = native
        if limitation is not None:
            # Without this, constants that ops make on the way would still go to the accelerator that does not answer.
            jax.config.update("jax_default_device", next(iter(places.values()), None))
        return places, None if answered else limitation

    def native_device(self, device: Device) -> Any:
        """A ``jax.Device``."""
        return self._places()[device]

    def device_of(self, array: Array) -> Device:
        """Where an array lives. A tracer lives nowhere yet: it is said to be where new arrays are made."""
        if self.is_traced(array):
            return default_device() if get_backend() is self else self.devices()[0]
        known = self.probe("names", lambda: {native: device for device, native in self._places().items()})
        homes = [known.get(native) or Device(self.name, str(native)) for native in array.devices()]
        if len(homes) == 1:
            return homes[0]
        return Device(self.name, ",".join(sorted(home.name for home in homes)))

    def readable(self, array: Array) -> bool:
        """On the processor, and no tracer."""
        return not self.is_traced(array) and all(d.platform == "cpu" for d in array.devices())

    def is_traced(self, array: Array) -> bool:
        """A tracer, such as ``jax.jit`` hands to a function."""
        import jax

        return isinstance(array, jax.core.Tracer)

    @cached_property
    def native_dtypes(self) -> dict[DType, NativeDType]:
        """NumPy's data type objects, which is what JAX arrays carry."""
        xp = self.namespace
        return {dtype: np.dtype(getattr(xp, dtype.name)) for dtype in ALL_DTYPES if hasattr(xp, dtype.name)}

    def asarray(
        self, value: Any, *, dtype: NativeDType = None, device: Any = None, copy: bool | None = None
    ) -> Array:
        """A JAX array; NumPy arrays are always copied first.

        JAX reads a NumPy array while the program runs on, even with ``copy=True``: what is written into the array
        meanwhile would show in the result.

        Raises
        ------
        ValueError
            If ``copy`` is False and ``value`` is no JAX array already of this data type and on this device.
        """
        import jax

        xp = self.namespace
        if isinstance(value, jax.core.Tracer):
            return xp.asarray(value, dtype=dtype, copy=copy)
        if isinstance(value, jax.Array):
            r = xp.asarray(value, dtype=dtype, device=device, copy=copy)
            if copy is False and (r.dtype != value.dtype or r.devices() != value.devices()):
                raise ValueError("copy: the data type or the device differs. Leave copy=None.")
            return r
        if copy is False:
            raise ValueError(
                f"copy: JAX cannot share the memory of a {type(value).__name__}, since its arrays never change. "
                "Leave copy=None."
            )
        if not isinstance(value, (bool, int, float, complex, list, tuple)):
            value = np.array(value, dtype=dtype, copy=True, order="C")
            value = value.astype(value.dtype.newbyteorder("="), copy=False)
        return xp.asarray(value, dtype=dtype, device=device)

    def to_host(self, array: Array) -> Any:
        """A read-only NumPy array."""
        return np.asarray(array)

    def synchronize(self, device: Device | None = None) -> None:
        """Wait for every array that still exists on the device, or on all devices."""
        import jax

        wanted = None if device is None else self.native_device(device)
        for array in jax.live_arrays():
            if wanted is None or wanted in array.devices():
                array.block_until_ready()

    def memory(self, device: Device | None = None) -> MemoryFigures:
        """What JAX's allocator holds on a device; unknown for the processor."""
        native = self.native_device(device or self.devices()[0])
        figures = native.memory_stats() or {}
        return MemoryFigures(
            figures.get("bytes_in_use"), figures.get("peak_bytes_in_use"), figures.get("bytes_limit")
        )

    @cached_property
    def special_functions(self) -> Mapping[str, Callable[..., Array]]:
        """Those of ``jax.scipy.special``."""
        from portanet_jax.special import FUNCTIONS

        return FUNCTIONS


def _listed_devices() -> tuple[list[Any], str | None]:
    """All devices that JAX lists, its default ones first, and what went wrong while it was asked."""
    import jax

    listed: list[Any] = []
    problem = None
    for platform in (None, "cpu"):
        try:
            listed += [native for native in jax.local_devices(backend=platform) if native not in listed]
        except Exception as error:
            problem = problem or first_line(error)
    return listed, problem


def answer_of_device(native: Any) -> None:
    """Run one elementwise kernel and one matmul on a device.

    Raises
    ------
    RuntimeError
        If the device fails, or answers with wrong numbers.
    """
    import jax

    ones = jax.device_put(np.ones((2, 2), dtype=np.float32), native)
    found = float(np.asarray((ones + ones) @ ones).sum())
    if found != 16.0:
        raise RuntimeError(f"a matmul on {native} gave {found} where 16.0 was expected")


def _fault(native: Any, error: Exception) -> Unavailability:
    said = first_line(error)
    if "RESOURCE_EXHAUSTED" in said:
        return Unavailability(
            "GPU memory full",
            f"{native} has no memory left: {said}.",
            "nvidia-smi shows the processes that hold it.",
        )
    return Unavailability(
        "broken GPU stack",
        f"JAX lists {native}, but a small matmul there failed with {said}.",
        MATCH_DRIVER,
    )


def _short_name(native: Any, several_processors: bool) -> str:
    """``"cpu"`` where there is one, ``"cuda:0"``, ``"tpu:3"``."""
    if native.platform == "cpu":
        return f"cpu:{native.id}" if several_processors else "cpu"
    own = str(native)
    return own if re.fullmatch(r"[a-z]+:\d+", own) else f"{native.platform}:{native.id}"


backend = JAXBackend()
