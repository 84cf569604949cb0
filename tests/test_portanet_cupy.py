"""What the CuPy backend says about a GPU that cannot be used.

A stand-in for CuPy, made of NumPy, plays each fault, so that all can be tested without a GPU and on one. What the real
wheel does on a machine without a GPU is tested in test_cupy_fallback.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import portanet as pn
import portanet_cupy
from portanet.backend import BackendFallbackWarning, Unavailability, registry
from portanet.dtypes import Device
from portanet.errors import BackendUnavailableError
from portanet_cupy import CuPyBackend, install_command


class CUDARuntimeError(RuntimeError):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class StandIn(np.ndarray[Any, Any]):
    """A NumPy array that has what the backend asks of CuPy's."""

    device = SimpleNamespace(id=0)

    def get(self) -> Any:
        return np.array(self)


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


class StandInDevice:
    def __init__(self, index: int = 0) -> None:
        self.id = index

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: Any) -> None:
        pass

    def synchronize(self) -> None:
        pass


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in for CuPy on a machine with one healthy GPU; each test breaks what it is about."""
    module: Any = ModuleType("cupy")
    module.__version__ = "14.0.0"
    module.ndarray = StandIn
    module.arange = lambda *args, **kw: np.arange(*args, **kw).view(StandIn)
    module.ones = lambda *args, **kw: np.ones(*args, **kw).view(StandIn)
    module.asarray = lambda value, **kw: np.asarray(value, **kw).view(StandIn)
    module.array = lambda value, **kw: np.array(value, **kw).view(StandIn)
    module.cuda = SimpleNamespace(
        Device=StandInDevice,
        runtime=SimpleNamespace(
            driverGetVersion=lambda: 13000,
            runtimeGetVersion=lambda: 13020,
            getDeviceCount=lambda: 1,
            memGetInfo=lambda: (10, 80),
        ),
    )
    module.get_default_memory_pool = lambda: SimpleNamespace(used_bytes=lambda: 30)
    compat: Any = ModuleType("array_api_compat.cupy")
    compat.asarray = lambda value, dtype=None, copy=None: np.array(value, dtype=dtype, copy=copy).view(
        StandIn
    )
    monkeypatch.setitem(sys.modules, "cupy", module)
    monkeypatch.setitem(sys.modules, "array_api_compat.cupy", compat)
    monkeypatch.setattr(portanet_cupy, "installed_wheel", lambda: "cupy-cuda13x")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(StandIn, "device", StandInDevice())
    return module


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> CuPyBackend:
    """A backend that has asked nothing yet, in the registry in place of the real one."""
    fresh = CuPyBackend()
    monkeypatch.setitem(registry._loaded, "cupy", fresh)
    return fresh


def problem_of(record: CuPyBackend) -> Unavailability:
    record.forget_probes()
    problem = record.unavailability()
    assert problem is not None
    return problem


def test_a_gpu_that_answers_is_available(cupy: Any, record: CuPyBackend) -> None:
    cupy.cuda.runtime.getDeviceCount = lambda: 2
    assert record.unavailability() is None
    assert [device.name for device in record.devices()] == ["cuda:0", "cuda:1"]
    assert record.native_device(Device("cupy", "cuda:1")).id == 1
    assert record.memory() == (30, None, 80)
    record.synchronize()


def test_arrays_go_to_the_gpu_and_back(cupy: Any, record: CuPyBackend) -> None:
    values = np.random.default_rng().normal(size=(3, 2))
    array = record.asarray(values, dtype=np.dtype("float32"))
    assert type(array) is StandIn
    assert record.device_of(array) == Device("cupy", "cuda:0")
    assert not record.readable(array)
    host = record.to_host(array)
    assert type(host) is np.ndarray
    np.testing.assert_array_equal(host, values.astype("float32"))
    assert record.asarray(array, copy=False).base is not None
    with pytest.raises(ValueError, match="copy: values on the host cannot be used on a GPU without a copy"):
        record.asarray(values, copy=False)
    with pytest.raises(ValueError, match="copy: values on cuda:0"):
        record.asarray(array, copy=False, device=StandInDevice(1))


def test_no_driver(cupy: Any, record: CuPyBackend) -> None:
    """Without any driver CUDA's error is that of a driver too old; its version, 0, tells the two apart."""
    cupy.cuda.runtime.driverGetVersion = lambda: 0
    cupy.cuda.runtime.getDeviceCount = raising(CUDARuntimeError(35, "cudaErrorInsufficientDriver"))
    problem = problem_of(record)
    assert problem.cause == "no GPU"
    assert problem.detail == "No NVIDIA driver answers on this machine."
    assert "--gpus all" in problem.remedy


@pytest.mark.parametrize(
    "count", [lambda: 0, raising(CUDARuntimeError(100, "cudaErrorNoDevice: no CUDA-capable device"))]
)
def test_a_driver_without_a_gpu(
    cupy: Any, record: CuPyBackend, count: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cupy.cuda.runtime.getDeviceCount = count
    problem = problem_of(record)
    assert problem.cause == "no GPU"
    assert problem.detail == "The NVIDIA driver (CUDA 13.0) is there and lists no GPU."
    assert "nvidia-smi" in problem.remedy
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    problem = problem_of(record)
    assert problem.detail.endswith("CUDA_VISIBLE_DEVICES is '-1'.")
    assert problem.remedy == "unset CUDA_VISIBLE_DEVICES."


@pytest.mark.parametrize(
    ("driver", "told", "remedy"),
    [
        (
            12040,
            "12.4",
            "pip uninstall -y cupy-cuda13x && pip install 'cupy-cuda12x[ctk]', or update the NVIDIA",
        ),
        (11080, "11.8", "update the NVIDIA driver to one for CUDA 13."),
    ],
)
def test_a_driver_too_old(cupy: Any, record: CuPyBackend, driver: int, told: str, remedy: str) -> None:
    cupy.cuda.runtime.driverGetVersion = lambda: driver
    cupy.cuda.runtime.getDeviceCount = raising(CUDARuntimeError(35, "cudaErrorInsufficientDriver"))
    problem = problem_of(record)
    assert problem.cause == "driver too old"
    assert f"CUDA {told} at most" in problem.detail
    assert "built for CUDA 13.2" in problem.detail
    assert problem.remedy.startswith(remedy)


class DynamicLibNotFoundError(RuntimeError):
    pass


@pytest.mark.parametrize(
    ("function", "error", "told", "remedy"),
    [
        (
            "arange",
            DynamicLibNotFoundError('Failure finding "libnvrtc.so.13"\nmore'),
            'an elementwise kernel failed with DynamicLibNotFoundError: Failure finding "libnvrtc.so.13".',
            "pip install 'cupy-cuda13x[ctk]'",
        ),
        (
            "ones",
            ImportError("libcublas.so.13: cannot open shared object file: No such file or directory"),
            "a matmul failed with ImportError: libcublas.so.13: cannot open shared object file",
            "pip install 'cupy-cuda13x[ctk]'",
        ),
        (
            "arange",
            CUDARuntimeError(700, "cudaErrorIllegalAddress: an illegal memory access"),
            "an elementwise kernel failed with CUDARuntimeError: cudaErrorIllegalAddress",
            "nvidia-smi shows whether the GPU is healthy; if it is, pip install --force-reinstall 'cupy-cuda13x[ctk]'",
        ),
    ],
)
def test_a_broken_stack(
    cupy: Any, record: CuPyBackend, function: str, error: Exception, told: str, remedy: str
) -> None:
    setattr(cupy, function, raising(error))
    problem = problem_of(record)
    assert problem.cause == "broken GPU stack"
    assert told in problem.detail
    assert "more" not in problem.detail
    assert problem.remedy == remedy


@pytest.mark.parametrize("function", ["arange", "ones"])
def test_wrong_numbers_are_no_answer(cupy: Any, record: CuPyBackend, function: str) -> None:
    right = getattr(cupy, function)
    setattr(cupy, function, lambda *args, **kw: right(*args, **kw) + 1)
    problem = problem_of(record)
    assert problem.cause == "broken GPU stack"
    assert "RuntimeError: it gave [" in problem.detail


def test_a_gpu_that_cannot_be_counted(cupy: Any, record: CuPyBackend) -> None:
    cupy.cuda.runtime.getDeviceCount = raising(CUDARuntimeError(999, "cudaErrorUnknown: unknown error"))
    problem = problem_of(record)
    assert problem.cause == "broken GPU stack"
    assert "counting the GPUs failed with CUDARuntimeError: cudaErrorUnknown" in problem.detail


def test_a_full_gpu_is_not_a_broken_one(cupy: Any, record: CuPyBackend) -> None:
    class OutOfMemoryError(MemoryError):
        pass

    cupy.arange = raising(OutOfMemoryError("Out of memory allocating 512 bytes"))
    problem = problem_of(record)
    assert problem.cause == "GPU memory full"
    assert "nvidia-smi" in problem.remedy


def test_cupy_that_fails_on_import(record: CuPyBackend, cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    original = ImportError("libcudart.so.13: cannot open shared object file")
    framed = ImportError("\n=====\nFailed to import CuPy.\n=====")
    framed.__cause__ = original
    monkeypatch.setattr(CuPyBackend, "import_namespace", raising(framed))
    problem = problem_of(record)
    assert problem.cause == "damaged library"
    assert "libcudart.so.13: cannot open shared object file." in problem.detail
    assert problem.remedy == "pip install --force-reinstall 'cupy-cuda13x[ctk]'"


def test_cupy_that_is_not_installed(record: CuPyBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(portanet_cupy, "nvidia_driver_version", lambda: 12080)
    problem = problem_of(record)
    assert problem.cause == "library not installed"
    assert problem.remedy == "pip install 'portanet[cuda12]'"


@pytest.mark.parametrize(
    ("driver", "command"),
    [
        (13010, "pip install 'portanet[cuda13]'"),
        (12000, "pip install 'portanet[cuda12]'"),
        (14000, "pip install 'portanet[cuda13]'"),
        (
            11040,
            "update the NVIDIA driver, which supports CUDA 11.4 at most, then pip install 'portanet[cuda13]'.",
        ),
        (
            None,
            "pip install 'portanet[cuda13]' on a machine with an NVIDIA GPU "
            "('portanet[cuda12]' for its older drivers).",
        ),
    ],
)
def test_the_command_that_installs_fits_the_driver(driver: int | None, command: str) -> None:
    assert install_command(driver) == command


@pytest.mark.parametrize("version", [13000, 0])
def test_the_driver_is_asked_without_cupy(version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(pointer: Any) -> int:
        pointer._obj.value = version
        return 0

    monkeypatch.setattr("ctypes.CDLL", lambda name: SimpleNamespace(cuDriverGetVersion=answer))
    assert portanet_cupy.nvidia_driver_version() == (version or None)
    monkeypatch.setattr("ctypes.CDLL", raising(OSError("libcuda.so.1: cannot open")))
    assert portanet_cupy.nvidia_driver_version() is None


def test_the_whole_way_from_a_broken_gpu_to_numpy(cupy: Any, record: CuPyBackend) -> None:
    cupy.ones = raising(ImportError("libcublas.so.13: cannot open shared object file"))
    with pytest.warns(BackendFallbackWarning) as caught, pn.use_backend("cupy") as used:
        assert used.name == "numpy"
    (warning,) = caught
    assert "broken GPU stack" in str(warning.message)
    assert "pip install 'cupy-cuda13x[ctk]'" in str(warning.message)
    with pytest.raises(BackendUnavailableError, match="libcublas"):
        pn.set_backend("cupy", strict=True)


def test_a_gpu_is_asked_once(cupy: Any, record: CuPyBackend) -> None:
    asked = []
    cupy.cuda.runtime.getDeviceCount = lambda: asked.append(1) or 1
    for _ in range(3):
        assert record.unavailability() is None
    assert len(asked) == 1


def test_info_tells_of_a_broken_gpu(
    cupy: Any, record: CuPyBackend, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from portanet.__main__ import main

    cupy.cuda.runtime.driverGetVersion = lambda: 11080
    cupy.cuda.runtime.getDeviceCount = raising(CUDARuntimeError(35, "cudaErrorInsufficientDriver"))
    assert main(["info"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "not available driver too old. The NVIDIA driver supports CUDA 11.8 at most" in told
    assert "remedy update the NVIDIA driver to one for CUDA 13." in told


def test_the_scatter_falls_back_where_cupy_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """``cupyx.scatter_add`` is documented to equal ``numpy.add.at``, which stands in for it here."""
    cupyx: Any = ModuleType("cupyx")
    cupyx.scatter_add = np.add.at
    monkeypatch.setitem(sys.modules, "cupyx", cupyx)
    monkeypatch.delitem(sys.modules, "portanet_cupy.kernels", raising=False)
    from portanet.ops.indexing import index_add
    from portanet_cupy.kernels import KERNELS

    rng = np.random.default_rng()
    x, values = rng.normal(size=(4, 3)), rng.normal(size=(6, 3))
    indices = rng.integers(-4, 4, 6)
    kernel = KERNELS["index_add"]
    assert kernel.accepts is not None
    assert kernel.accepts(x, indices, values, axis=0)
    assert not kernel.accepts(x.astype(complex), indices, values, axis=0)
    before = x.copy()
    np.testing.assert_allclose(
        kernel.function(np, x, indices, values, axis=0)[0], index_add(np, x, indices, values, axis=0)[0]
    )
    np.testing.assert_array_equal(x, before)
    monkeypatch.delitem(sys.modules, "portanet_cupy.kernels")
