"""The CuPy backend: NVIDIA GPUs.

CuPy imports without a GPU, and lists GPUs that cannot compute, because its plain wheel brings neither the compiler
(NVRTC) nor cuBLAS. So a GPU counts as there only once it has run one small elementwise kernel and one small matmul;
each thing that can be wrong has a name and a remedy.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from portanet.backend import Backend, Kernel, LazyKernels, MemoryFigures, Unavailability, first_line
from portanet.dtypes import Device
from portanet.protocols import Array, Namespace, NativeDType

__all__ = ["CuPyBackend", "backend"]

ERROR_NO_DEVICE = 100
ERROR_INSUFFICIENT_DRIVER = 35
WHEELS = {12: "cupy-cuda12x", 13: "cupy-cuda13x"}
"""CuPy's wheel for each major version of CUDA. Any driver of that major version runs it."""


@dataclass(eq=False, repr=False)
class CuPyBackend(Backend):
    """CuPy arrays on an NVIDIA GPU."""

    name: str = "cupy"
    library: str = "cupy"
    kernels: Mapping[str, Kernel] = field(default_factory=lambda: LazyKernels("portanet_cupy.kernels"))

    auto_priority: ClassVar[int | None] = 0

    def import_namespace(self) -> Namespace:
        """Import CuPy in its array API form."""
        return import_module("array_api_compat.cupy")

    def array_types(self) -> tuple[type, ...]:
        """``cupy.ndarray``."""
        return (sys.modules["cupy"].ndarray,)

    def unavailability(self) -> Unavailability | None:
        """Not installed, fails on import, no GPU, driver too old, or a GPU that fails a small kernel or matmul."""
        missing = self.missing_library()
        if missing is not None:
            return missing._replace(remedy=install_command(nvidia_driver_version()))
        damaged = self.damaged_library()
        if damaged is not None:
            return damaged._replace(remedy=f"pip install --force-reinstall '{installed_wheel()}[ctk]'")
        return self.probe("GPU", self._ask_gpu)

    def _ask_gpu(self) -> Unavailability | None:
        cupy = _cupy()
        return missing_gpu(cupy) or broken_stack(cupy)

    def devices(self) -> tuple[Device, ...]:
        """``cuda:0``, ``cuda:1``, ..."""
        names: tuple[str, ...] = self.probe("devices", self._device_names)
        return tuple(Device(self.name, name) for name in names)

    def _device_names(self) -> tuple[str, ...]:
        return tuple(f"cuda:{index}" for index in range(_cupy().cuda.runtime.getDeviceCount()))

    def native_device(self, device: Device) -> Any:
        """A ``cupy.cuda.Device``."""
        return _cupy().cuda.Device(_index(device))

    def device_of(self, array: Array) -> Device:
        """The GPU that holds an array."""
        return Device(self.name, f"cuda:{array.device.id}")

    def readable(self, array: Array) -> bool:
        """Never: reading waits for the GPU and copies."""
        return False

    def asarray(
        self, value: Any, *, dtype: NativeDType = None, device: Any = None, copy: bool | None = None
    ) -> Array:
        """A CuPy array on the given GPU, or where ``value`` is already, or on the current one.

        Raises
        ------
        ValueError
            If ``copy`` is False and ``value`` lies in the host's memory, on another GPU, or has another data type.
        """
        cupy = _cupy()
        on_gpu = isinstance(value, cupy.ndarray)
        if on_gpu and (device is None or value.device.id == device.id):
            with value.device:
                return self.namespace.asarray(value, dtype=dtype, copy=copy)
        if copy is False:
            home = f"cuda:{value.device.id}" if on_gpu else "the host"
            raise ValueError(
                f"copy: values on {home} cannot be used on a GPU without a copy. Leave copy=None."
            )
        with cupy.cuda.Device() if device is None else device:
            if on_gpu:
                return cupy.array(value, dtype=dtype)
            host = np.asarray(value, dtype=dtype)
            return cupy.asarray(host.astype(host.dtype.newbyteorder("="), copy=False))

    def to_host(self, array: Array) -> Any:
        """A NumPy array in memory of its own."""
        return array.get()

    def synchronize(self, device: Device | None = None) -> None:
        """Wait for one GPU, or for all."""
        for place in self.devices() if device is None else (device,):
            self.native_device(place).synchronize()

    def memory(self, device: Device | None = None) -> MemoryFigures:
        """What CuPy's memory pool has given out, and the GPU's total; the pool keeps no record of the peak."""
        cupy = _cupy()
        with self.native_device(device or self.devices()[0]):
            in_use = cupy.get_default_memory_pool().used_bytes()
            return MemoryFigures(in_use, None, cupy.cuda.runtime.memGetInfo()[1])

    @cached_property
    def special_functions(self) -> Mapping[str, Callable[..., Array]]:
        """Those of ``cupyx.scipy.special``."""
        from portanet_cupy.special import FUNCTIONS

        return FUNCTIONS


def _cupy() -> Any:
    import cupy

    return cupy


def _index(device: Device) -> int:
    return int(device.name.partition(":")[2] or 0)


def missing_gpu(cupy: Any) -> Unavailability | None:
    """Why CUDA reaches no GPU, or None if it lists at least one."""
    runtime = cupy.cuda.runtime
    driver = runtime.driverGetVersion()
    if driver == 0:
        return Unavailability(
            "no GPU",
            "No NVIDIA driver answers on this machine.",
            "use a machine with an NVIDIA GPU and its driver (in a container, start it with --gpus all), "
            "or choose another backend.",
        )
    try:
        count = runtime.getDeviceCount()
    except Exception as error:
        status = getattr(error, "status", None)
        if status == ERROR_INSUFFICIENT_DRIVER:
            return _driver_too_old(driver, runtime.runtimeGetVersion())
        if status == ERROR_NO_DEVICE:
            return _no_device(driver)
        return _broken("counting the GPUs", error)
    return None if count else _no_device(driver)


def _driver_too_old(driver: int, runtime: int) -> Unavailability:
    needed = runtime // 1000
    wheel = WHEELS.get(driver // 1000)
    update = f"update the NVIDIA driver to one for CUDA {needed}"
    if wheel is None:
        remedy = f"{update}."
    else:
        remedy = f"pip uninstall -y {installed_wheel()} && pip install '{wheel}[ctk]', or {update}."
    return Unavailability(
        "driver too old",
        f"The NVIDIA driver supports CUDA {_version(driver)} at most, and this CuPy is built for "
        f"CUDA {_version(runtime)}.",
        remedy,
    )


def _no_device(driver: int) -> Unavailability:
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        return Unavailability(
            "no GPU",
            f"The NVIDIA driver (CUDA {_version(driver)}) shows no GPU, and CUDA_VISIBLE_DEVICES is {hidden!r}.",
            "unset CUDA_VISIBLE_DEVICES.",
        )
    return Unavailability(
        "no GPU",
        f"The NVIDIA driver (CUDA {_version(driver)}) is there and lists no GPU.",
        "nvidia-smi should list one; in a container, start it with --gpus all.",
    )


def broken_stack(cupy: Any) -> Unavailability | None:
    """Why the GPU cannot compute, or None if a small elementwise kernel and a small matmul gave the right numbers."""
    for what, answer in (("an elementwise kernel", answer_of_kernel), ("a matmul", answer_of_matmul)):
        try:
            answer(cupy)
        except Exception as error:
            if "OutOfMemory" in type(error).__name__:
                return Unavailability(
                    "GPU memory full",
                    f"There was no memory for {what} of a few numbers: {first_line(error)}.",
                    "nvidia-smi shows the processes that hold it.",
                )
            return _broken(what, error)
    return None


def answer_of_kernel(cupy: Any) -> None:
    """Compile and run one small elementwise kernel, which needs NVRTC.

    Raises
    ------
    RuntimeError
        If the GPU fails, or answers with wrong numbers.
    """
    found = (cupy.arange(4, dtype="float32") * 2 + 1).get().tolist()
    if found != [1.0, 3.0, 5.0, 7.0]:
        raise RuntimeError(f"it gave {found} where [1.0, 3.0, 5.0, 7.0] was expected")


def answer_of_matmul(cupy: Any) -> None:
    """Run one small matmul, which needs cuBLAS.

    Raises
    ------
    RuntimeError
        If the GPU fails, or answers with wrong numbers.
    """
    ones = cupy.ones((2, 2), dtype="float32")
    found = (ones @ ones).get().tolist()
    if found != [[2.0, 2.0], [2.0, 2.0]]:
        raise RuntimeError(f"it gave {found} where [[2.0, 2.0], [2.0, 2.0]] was expected")


def _broken(what: str, error: Exception) -> Unavailability:
    said = first_line(error)
    lowered = said.lower()
    if any(library in lowered for library in ("nvrtc", "cublas", "shared object", "headers", "no such file")):
        remedy = f"pip install '{installed_wheel()}[ctk]'"
    else:
        remedy = (
            "nvidia-smi shows whether the GPU is healthy; if it is, "
            f"pip install --force-reinstall '{installed_wheel()}[ctk]'"
        )
    return Unavailability("broken GPU stack", f"A GPU is listed, but {what} failed with {said}.", remedy)


def _version(number: int) -> str:
    """CUDA's number for a version, such as 12040, as people write it."""
    return f"{number // 1000}.{number % 1000 // 10}"


def installed_wheel() -> str:
    """The name under which CuPy was installed."""
    from importlib.metadata import PackageNotFoundError, version

    for wheel in (*WHEELS.values(), "cupy"):
        try:
            version(wheel)
        except PackageNotFoundError:
            continue
        return wheel
    return WHEELS[max(WHEELS)]


def install_command(driver: int | None) -> str:
    """How to install CuPy for the driver of this machine, whose version is None where there is no driver."""
    newest = max(WHEELS)
    if driver is None:
        others = " or ".join(f"'portanet[cuda{major}]'" for major in sorted(WHEELS) if major != newest)
        return f"pip install 'portanet[cuda{newest}]' on a machine with an NVIDIA GPU ({others} for its older drivers)."
    major = min(driver // 1000, newest)
    if major not in WHEELS:
        update = f"update the NVIDIA driver, which supports CUDA {_version(driver)} at most"
        return f"{update}, then pip install 'portanet[cuda{newest}]'."
    return f"pip install 'portanet[cuda{major}]'"


def nvidia_driver_version() -> int | None:
    """The newest CUDA that this machine's NVIDIA driver supports, as CUDA writes it (12040); None without a driver."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    number = ctypes.c_int(0)
    try:
        status = ctypes.CDLL(name).cuDriverGetVersion(ctypes.byref(number))
    except (OSError, AttributeError):
        return None
    return number.value if status == 0 and number.value else None


backend = CuPyBackend()
