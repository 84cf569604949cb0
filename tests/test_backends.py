"""What every backend promises (``portanet.testing.records``), on each that is here; then what is special about one."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import warnings
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.backend import (
    Backend,
    BackendFallbackWarning,
    MemoryFigures,
    backend_named,
    backend_of,
)
from portanet.dtypes import Device
from portanet.errors import BackendUnavailableError
from portanet.testing.records import PROMISES, Promise, full_devices


@pytest.fixture
def record(backend: str) -> Backend:
    return backend_named(backend)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_promises_are_kept(promise: Promise, record: Backend, rng: Any) -> None:
    promise(record, rng)


def test_arrays_of_a_processor_can_be_read_freely(record: Backend) -> None:
    for device in full_devices(record):
        array = record.asarray([0.0, 1.0], device=record.native_device(device))
        assert record.readable(array) == (record.for_tests_only or not device.is_accelerator)


def test_a_processor_has_no_memory_figures(record: Backend) -> None:
    for device in record.devices():
        if not device.is_accelerator:
            assert record.memory(device) == MemoryFigures(None, None, None)


def test_the_version_is_that_of_the_library(record: Backend) -> None:
    library = sys.modules[record.library]
    assert record.version() == library.__version__


# PyTorch


def torch_or_skip() -> Any:
    return pytest.importorskip("torch")


def test_torch_parameters_and_subclasses_are_torch_arrays() -> None:
    torch = torch_or_skip()
    for array in (torch.zeros(2), torch.nn.Parameter(torch.zeros(2))):
        found = backend_of(array)
        assert found is not None
        assert found.name == "torch"


def test_a_torch_tensor_leaves_its_own_graph_on_the_way_in() -> None:
    torch = torch_or_skip()
    weight = torch.nn.Parameter(torch.randn(3, dtype=torch.float64))
    record = backend_named("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = record.asarray(weight * 2)
        for options in ({}, {"copy": True}, {"dtype": torch.float32}):
            assert not record.asarray(weight, **options).requires_grad
    assert not plain.requires_grad
    assert plain.grad_fn is None
    assert weight.requires_grad
    np.testing.assert_array_equal(record.to_host(weight), weight.detach().numpy())


def test_torch_shares_memory_with_a_numpy_array_it_can_hold(rng: Any) -> None:
    torch_or_skip()
    values = rng.normal(size=3)
    array = backend_named("torch").asarray(values, copy=False)
    values[0] = 7
    assert array[0] == 7
    values.flags.writeable = False
    with pytest.raises(ValueError, match=r"copy: PyTorch cannot share.*Leave copy=None"):
        backend_named("torch").asarray(values, copy=False)


def test_torch_brings_lazy_and_short_types_to_the_host() -> None:
    torch = torch_or_skip()
    record = backend_named("torch")
    short = torch.randn(5).to(torch.bfloat16)
    host = record.to_host(short)
    assert host.dtype == np.float32
    np.testing.assert_array_equal(host, short.to(torch.float32).numpy())
    numbers = torch.randn(4, dtype=torch.complex128)
    np.testing.assert_array_equal(record.to_host(numbers.conj()), numbers.numpy().conj())
    np.testing.assert_array_equal(record.to_host(numbers.conj().imag), numbers.numpy().conj().imag)


def test_torch_takes_the_bfloat16_of_numpy(rng: Any) -> None:
    torch = torch_or_skip()
    short = pytest.importorskip("ml_dtypes").bfloat16
    values = rng.normal(size=5).astype(short)
    array = backend_named("torch").asarray(values)
    assert array.dtype == torch.bfloat16
    np.testing.assert_array_equal(array.float().numpy(), values.astype(np.float32))


class TestTorchWithoutAnswer:
    """A GPU that PyTorch lists, or says it would list, and that does not answer."""

    @pytest.fixture
    def record(self) -> Backend:
        return type(backend_named("torch"))()

    def test_a_listed_gpu_that_fails_leaves_the_processor(
        self, record: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        torch = torch_or_skip()
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

        def fail(torch: Any, device: str) -> None:
            raise RuntimeError(f"CUDA error: no kernel image is available for {device}\nmore")

        monkeypatch.setattr("portanet_torch.answer_of_device", fail)
        assert [device.name for device in record.devices()] == ["cpu"]
        problem = record.limitation()
        assert problem is not None
        assert problem.cause == "broken GPU stack"
        assert "RuntimeError: CUDA error: no kernel image is available for cuda:1." in problem.detail
        assert "pytorch.org" in problem.remedy
        monkeypatch.setitem(sys.modules["portanet.backend.registry"]._loaded, "torch", record)
        told = pytest.warns(BackendFallbackWarning, match="'torch:cpu' is used instead")
        with told as caught, pn.use_backend("torch"):
            assert pn.zeros((2,)).device == Device("torch", "cpu")
        assert len(caught) == 1
        with pytest.raises(BackendUnavailableError, match="no kernel image"):
            pn.set_backend("torch", strict=True)

    def test_one_gpu_of_two_that_answers_is_enough(
        self, record: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        torch = torch_or_skip()
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

        def fail(torch: Any, device: str) -> None:
            if device == "cuda:0":
                raise RuntimeError("broken")

        monkeypatch.setattr("portanet_torch.answer_of_device", fail)
        assert [device.name for device in record.devices()] == ["cuda:1", "cpu"]
        assert record.limitation() is None

    def test_a_driver_that_torch_finds_too_old(
        self, record: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        torch = torch_or_skip()

        def rejected() -> bool:
            warnings.warn(
                "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040).",
                stacklevel=1,
            )
            return False

        monkeypatch.setattr(torch.cuda, "is_available", rejected)
        problem = record.limitation()
        assert problem is not None
        assert problem.cause == "driver too old"
        assert "11040" in problem.detail
        assert [device.name for device in record.devices()] == ["cpu"]

    def test_no_gpu_at_all_is_nothing_to_warn_of(
        self, record: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        torch = torch_or_skip()
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert record.limitation() is None

    def test_wrong_numbers_are_no_answer(self) -> None:
        torch = torch_or_skip()
        from portanet_torch import answer_of_device

        answer_of_device(torch, "cpu")

        class Wrong:
            @staticmethod
            def ones(shape: Any, device: str) -> Any:
                return torch.full(shape, 1.5)

        with pytest.raises(RuntimeError, match=r"gave 36\.0 where 16\.0"):
            answer_of_device(Wrong, "cpu")


# JAX


def jax_or_skip() -> Any:
    return pytest.importorskip("jax")


def test_jax_takes_a_snapshot_of_a_numpy_array() -> None:
    """JAX itself reads a NumPy array later than it says, even when told to copy: fill the array at once, many times."""
    jax_or_skip()
    record = backend_named("jax")
    for options in ({}, {"copy": True}, {"device": record.native_device(record.devices()[0])}):
        for _ in range(10):
            values = np.zeros(1_000_000, np.float32)
            array = record.asarray(values, **options)
            values[:] = 1
            assert float(array.sum()) == 0


def test_jax_holds_64_bit_types_and_still_computes_in_float32() -> None:
    jax_or_skip()
    record = backend_named("jax")
    wide = record.asarray([1 / 3], dtype=record.native_dtype(pn.float64))
    assert record.to_host(wide)[0] == 1 / 3
    assert record.dtype_of(record.asarray([2**40])) is pn.int64
    narrow = record.asarray([1 / 3], dtype=record.native_dtype(pn.float32))
    assert record.dtype_of(narrow * 2.5 + 1) is pn.float32


def test_jax_cannot_share_memory() -> None:
    jax_or_skip()
    with pytest.raises(ValueError, match=r"copy: JAX cannot share the memory of a ndarray.*Leave copy=None"):
        backend_named("jax").asarray(np.zeros(3), copy=False)


def test_jax_tracers_are_jax_arrays_that_cannot_be_read() -> None:
    jax = jax_or_skip()
    record = backend_named("jax")
    seen = []

    def watched(x: Any) -> Any:
        seen.append((backend_of(x), record.readable(x), record.device_of(x), record.dtype_of(x)))
        device = record.native_device(record.devices()[0])
        return record.asarray(x, dtype=record.native_dtype(pn.float32), device=device)

    x = record.asarray([1.0, 2.0])
    doubled = jax.jit(lambda x: watched(x) * 2)(x)
    np.testing.assert_array_equal(record.to_host(doubled), [2, 4])
    jax.grad(lambda x: watched(x).sum())(x)
    assert seen == [(record, False, record.devices()[0], pn.float64)] * 2


def test_a_tensor_that_is_traced_can_be_printed() -> None:
    jax = jax_or_skip()
    shown: list[str] = []

    def watched(real: Any, whole: Any) -> Any:
        shown.extend(repr(tensor) for tensor in (pn.nn.Parameter(real), pn.asarray(whole)))
        return real

    with pn.use_backend("jax"):
        real, whole = pn.zeros((2, 3)), pn.zeros(4, dtype=pn.int16)
        jax.jit(watched)(real.data, whole.data)
    assert shown[0].startswith("Parameter(traced, shape=(2, 3), dtype=float32")
    assert shown[1].startswith("Tensor(traced, shape=(4,), dtype=int16")


def run_python(source: str, **environment: str) -> str:
    import os

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_several_processors_of_jax_are_several_devices() -> None:
    jax_or_skip()
    run_python(
        """
        import portanet as pn, jax, numpy as np
        from portanet.backend import backend_named
        record = backend_named("jax")
        names = [device.name for device in record.devices()]
        assert names == ["cpu:0", "cpu:1"], names
        with pn.use_backend("jax:cpu:1"):
            x = pn.ones((2,))
            assert x.device.name == "cpu:1" and (x * 2).device.name == "cpu:1"
            y = pn.ones((2,), device="cpu:0")
            try:
                x + y
            except pn.errors.DeviceError as error:
                assert "jax:cpu:1" in str(error) and "jax:cpu:0" in str(error)
            else:
                raise AssertionError("mixed devices")
        mesh = jax.sharding.Mesh(np.array(jax.devices()), ("x",))
        spread = jax.device_put(np.ones(2), jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x")))
        assert record.device_of(spread).name == "cpu:0,cpu:1"
        assert record.to_host(spread).tolist() == [1, 1]
        """,
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
        JAX_PLATFORMS="cpu",
    )


def test_jax_without_any_device_is_not_available() -> None:
    jax_or_skip()
    told = run_python(
        """
        from portanet.backend import backend_named
        print(backend_named("jax").unavailability())
        """,
        JAX_PLATFORMS="no_such_platform",
    )
    assert told.startswith("no device: Asking JAX for its devices failed with")
    assert "JAX_PLATFORMS is 'no_such_platform'. To mend it: unset JAX_PLATFORMS" in told


class TestJAXWithoutAnswer:
    @pytest.fixture
    def record(self) -> Backend:
        return type(backend_named("jax"))()

    def test_a_listed_gpu_that_fails_leaves_the_processor(
        self, record: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        jax = jax_or_skip()
        processor = jax.devices("cpu")[0]

        class GPU:
            platform = "gpu"
            id = 0

            def __repr__(self) -> str:
                return "cuda:0"

        changed: dict[str, Any] = {}
        monkeypatch.setattr("portanet_jax._listed_devices", lambda: ([GPU(), processor], None))
        monkeypatch.setattr(jax.config, "update", changed.__setitem__)

        def fail(native: Any) -> None:
            raise RuntimeError("INTERNAL: no ptxas")

        monkeypatch.setattr("portanet_jax.answer_of_device", fail)
        assert [device.name for device in record.devices()] == ["cpu"]
        assert changed["jax_default_device"] is processor
        problem = record.limitation()
        assert problem is not None
        assert problem.cause == "broken GPU stack"
        assert problem.detail.startswith(
            "JAX lists cuda:0, but a small matmul there failed with RuntimeError: INTERNAL"
        )

        monkeypatch.setattr("portanet_jax.answer_of_device", lambda native: None)
        record.forget_probes()
        assert [device.name for device in record.devices()] == ["cuda:0", "cpu"]
        assert record.limitation() is None

    def test_the_processor_answers(self) -> None:
        jax = jax_or_skip()
        from portanet_jax import answer_of_device

        answer_of_device(jax.devices("cpu")[0])


def test_jax_leaves_the_gpus_memory_to_others_unless_told() -> None:
    jax_or_skip()
    source = """
        import os
        from portanet.backend import backend_named
        assert backend_named("jax").namespace
        print(os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"])
    """
    assert run_python(source).strip() == "false"
    assert run_python(source, XLA_PYTHON_CLIENT_PREALLOCATE="true").strip() == "true"


# array-api-strict


def test_the_make_believe_devices_are_devices(rng: Any) -> None:
    record = backend_named("array-api-strict")
    assert [device.name for device in record.devices()][:3] == ["cpu", "device1", "device2"]
    there = record.asarray(rng.normal(size=3), device=record.native_device(Device(record.name, "device2")))
    assert record.device_of(there).name == "device2"
    assert type(record.to_host(there)) is np.ndarray
