"""The PyTorch backend: its CUDA and ROCm devices where they answer, and the processor everywhere."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from portanet.backend import Backend, Kernel, LazyKernels, MemoryFigures, Unavailability, first_line
from portanet.dtypes import Device
from portanet.protocols import Array, Namespace, NativeDType

__all__ = ["TorchBackend", "backend"]

INSTALL = "pip install 'portanet[torch]'"
REINSTALL = "pip install --force-reinstall torch"
MATCH_DRIVER = "install the PyTorch build for this machine's driver: https://pytorch.org/get-started/locally/"


@dataclass(eq=False, repr=False)
class TorchBackend(Backend):
    """PyTorch tensors. What enters a portanet Tensor is detached from PyTorch's own graph."""

    name: str = "torch"
    library: str = "torch"
    kernels: Mapping[str, Kernel] = field(default_factory=lambda: LazyKernels("portanet_torch.kernels"))

    auto_priority: ClassVar[int | None] = 1

    def import_namespace(self) -> Namespace:
        """Import PyTorch in its array API form."""
        return import_module("array_api_compat.torch")

    def array_types(self) -> tuple[type, ...]:
        """Tensors, parameters included."""
        return (sys.modules["torch"].Tensor,)

    def unavailability(self) -> Unavailability | None:
        """Not installed, or fails on import; without a GPU it runs on the processor."""
        return self.missing_library(INSTALL) or self.damaged_library(REINSTALL)

    def limitation(self) -> Unavailability | None:
        """A GPU that PyTorch lists and that does not answer, or a driver that PyTorch rejects."""
        return self.probe("CUDA", self._ask_cuda)[1]

    def devices(self) -> tuple[Device, ...]:
        """CUDA (or ROCm) devices if one answers, then the processor, then what other accelerators there are."""
        names: tuple[str, ...] = self.probe("devices", self._device_names)
        return tuple(Device(self.name, name) for name in names)

    def _device_names(self) -> tuple[str, ...]:
        torch = _torch()
        others = []
        if torch.backends.mps.is_available():
            others.append("mps")
        if hasattr(torch, "xpu") and torch.xpu.is_available():
            others += [f"xpu:{index}" for index in range(torch.xpu.device_count())]
        return (*self.probe("CUDA", self._ask_cuda)[0], "cpu", *others)

    def _ask_cuda(self) -> tuple[tuple[str, ...], Unavailability | None]:
        """The CUDA devices from the first that answers, and why none does.

        Those after it are not asked: each question would take some of that device's memory for as long as the
        process runs.
        """
        torch = _torch()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            said = next((_text(warning) for warning in caught if "CUDA" in str(warning.message)), None)
            if said is None:
                return (), None
            cause = "driver too old" if "too old" in said else "broken GPU stack"
            return (), Unavailability(cause, f"PyTorch says: {said}", MATCH_DRIVER)
        names = [f"cuda:{index}" for index in range(count)]
        limitation = None
        for index, name in enumerate(names):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    answer_of_device(torch, name)
            except Exception as error:
                limitation = _fault(torch, name, error)
            else:
                return tuple(names[index:]), None
        return (), limitation

    def native_device(self, device: Device) -> Any:
        """A ``torch.device``."""
        return _torch().device(device.name)

    def device_of(self, array: Array) -> Device:
        """Where a tensor lives."""
        place = array.device
        found = _PLACES.get(place)
        if found is None:
            found = _PLACES[place] = Device(self.name, str(place))
        return found

    def readable(self, array: Array) -> bool:
        """On the processor."""
        return bool(array.device.type == "cpu")

    def asarray(
        self, value: Any, *, dtype: NativeDType = None, device: Any = None, copy: bool | None = None
    ) -> Array:
        """A tensor, detached from PyTorch's own graph.

        It shares memory with a NumPy array or tensor where PyTorch can, unless ``copy`` is True. PyTorch cannot hold
        a read-only array, a negative step, or foreign byte order, so such arrays are copied.
        """
        torch = _torch()
        if isinstance(value, torch.Tensor):
            return _moved(value.detach(), dtype, device, copy)
        if isinstance(value, (np.ndarray, np.generic)):
            host, copied = _tensor_of(np.asarray(value))
            if copied and copy is False:
                raise ValueError(
                    "copy: PyTorch cannot share this NumPy array, which is read-only, not in native byte order, or "
                    "has a negative step. Leave copy=None."
                )
            return _moved(host, dtype, device, None if copied else copy)
        if isinstance(value, (list, tuple)) and any(isinstance(part, np.ndarray) for part in value):
            return self.asarray(np.asarray(value), dtype=dtype, device=device)
        return self.namespace.asarray(value, dtype=dtype, device=device, copy=copy)

    def to_host(self, array: Array) -> Any:
        """A NumPy array, which shares memory with a tensor on the processor; bfloat16 comes as float32."""
        host = array.detach().cpu().resolve_conj().resolve_neg()
        if host.dtype == _torch().bfloat16:
            host = host.to(_torch().float32)
        return host.numpy()

    def synchronize(self, device: Device | None = None) -> None:
        """Wait for the device, or for all of them."""
        torch = _torch()
        for place in self.devices() if device is None else (device,):
            kind = place.name.partition(":")[0]
            if kind == "mps":
                torch.mps.synchronize()
            elif kind != "cpu":
                getattr(torch, kind).synchronize(place.name)

    def memory(self, device: Device | None = None) -> MemoryFigures:
        """What PyTorch's allocator holds on a CUDA device; unknown for others."""
        torch = _torch()
        place = device or self.devices()[0]
        if not place.name.startswith("cuda"):
            return MemoryFigures(None, None, None)
        return MemoryFigures(
            torch.cuda.memory_allocated(place.name),
            torch.cuda.max_memory_allocated(place.name),
            torch.cuda.mem_get_info(place.name)[1],
        )

    @cached_property
    def special_functions(self) -> Mapping[str, Callable[..., Array]]:
        """Those of ``torch.special``, and the gamma function."""
        from portanet_torch.special import FUNCTIONS

        return FUNCTIONS


_PLACES: dict[Any, Device] = {}


def _torch() -> Any:
    import torch

    return torch


def answer_of_device(torch: Any, device: str) -> None:
    """Run one elementwise kernel and one matmul on a device.

    Raises
    ------
    RuntimeError
        If the device fails, or answers with wrong numbers.
    """
    ones = torch.ones((2, 2), device=device)
    found = float(((ones + ones) @ ones).sum())
    if found != 16.0:
        raise RuntimeError(f"a matmul on {device} gave {found} where 16.0 was expected")


def _fault(torch: Any, device: str, error: Exception) -> Unavailability:
    if isinstance(error, torch.OutOfMemoryError):
        return Unavailability(
            "GPU memory full",
            f"{device} has no memory left: {first_line(error)}.",
            "nvidia-smi shows the processes that hold it.",
        )
    return Unavailability(
        "broken GPU stack",
        f"PyTorch lists {device}, but a small matmul there failed with {first_line(error)}.",
        MATCH_DRIVER,
    )


def _text(warning: warnings.WarningMessage) -> str:
    return str(warning.message).strip().partition("\n")[0]


def _tensor_of(array: Any) -> tuple[Any, bool]:
    """The tensor of a NumPy array, and whether it had to be copied."""
    torch = _torch()
    copied = False
    if array.dtype.name == "bfloat16":
        as_bits, copied = _tensor_of(array.view(np.uint16))
        return as_bits.view(torch.bfloat16), copied
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
        copied = True
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
        copied = True
    return torch.from_numpy(array), copied


def _moved(tensor: Any, dtype: NativeDType, device: Any, copy: bool | None) -> Any:
    """The tensor with another data type or on another device, copied if that is asked for."""
    moved = tensor.to(device=device, dtype=dtype, copy=bool(copy))
    if copy is False and moved is not tensor:
        raise ValueError(
            f"copy: {tensor.dtype} on {tensor.device} cannot become {moved.dtype} on {moved.device} without a copy. "
            "Leave copy=None."
        )
    return moved


backend = TorchBackend()
