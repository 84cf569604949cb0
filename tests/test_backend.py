"""The registry, the switch, and what is said when a backend cannot run."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import portanet as pn
from portanet.backend import (
    Backend,
    BackendFallbackWarning,
    Kernel,
    LazyKernels,
    MemoryFigures,
    Unavailability,
    backend_named,
    backend_of,
    find_device,
    first_line,
    known_backend_names,
    registry,
    switch,
)
from portanet.dtypes import Device
from portanet.errors import (
    BackendUnavailableError,
    DeviceError,
    DTypeError,
    MixedBackendError,
)

OURS = ["array-api-strict", "cupy", "jax", "numpy", "torch"]


@pytest.fixture(autouse=True)
def _fresh_switch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(switch, "_process_selection", None)
    monkeypatch.delenv("PORTANET_BACKEND", raising=False)
    token = switch._scoped_selection.set(None)
    yield
    switch._scoped_selection.reset(token)


@dataclass(eq=False, repr=False)
class MadeUp(Backend):
    """A backend whose state each test decides."""

    name: str = "made-up"
    library: str = "numpy"
    problem: Unavailability | None = None
    lacks: Unavailability | None = None
    device_names: tuple[str, ...] = ("cpu",)

    auto_priority: ClassVar[int | None] = -1

    def array_types(self) -> tuple[type, ...]:
        return (MadeUpArray,)

    def unavailability(self) -> Unavailability | None:
        return self.problem

    def limitation(self) -> Unavailability | None:
        return self.lacks

    def devices(self) -> tuple[Device, ...]:
        return tuple(Device(self.name, name) for name in self.device_names)


class MadeUpArray(np.ndarray[Any, Any]):
    pass


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    record = MadeUp()
    monkeypatch.setitem(registry._loaded, "made-up", record)
    return record


@pytest.fixture
def only_made_up(made_up: MadeUp, monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    """No other backend may answer "auto", whatever this machine has."""
    others = {name: backend_named(name) for name in ("cupy", "torch", "jax")}
    for name in others:
        record = MadeUp(name=name)
        record.problem = Unavailability("library not installed", "Planted.", "nothing.")
        monkeypatch.setitem(registry._loaded, name, record)
    return made_up


def run_python(source: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "PORTANET_BACKEND"}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        check=False,
        env=inherited | environment,
    )


# The registry


def test_our_backends_are_registered() -> None:
    assert set(OURS) <= set(known_backend_names())


def test_records_load_without_their_libraries() -> None:
    done = run_python("""
        import sys
        from portanet.backend import backend_named, backend_of, known_backend_names
        for name in known_backend_names():
            assert backend_named(name).name == name
        assert backend_of(object()) is None
        print([library for library in ("cupy", "torch", "jax", "array_api_strict") if library in sys.modules])
    """)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_name_with_a_typing_error_is_answered_with_the_right_one() -> None:
    with pytest.raises(BackendUnavailableError, match="'nunpy'.*Did you mean 'numpy'"):
        pn.set_backend("nunpy")


@pytest.mark.parametrize("name", [None, 3, np.zeros(2)])
def test_a_name_must_be_a_string(name: Any) -> None:
    with pytest.raises(TypeError, match="name: expected a backend's name"):
        pn.set_backend(name)


def test_a_failed_switch_changes_nothing() -> None:
    pn.set_backend("numpy")
    before = pn.get_backend()
    for name, error in (("nunpy", BackendUnavailableError), ("numpy:gpu", DeviceError)):
        with pytest.raises(error):
            pn.set_backend(name)
        assert pn.get_backend() is before


def stranger(folder: Path, source: str) -> None:
    """Write an installed package that offers a backend."""
    (folder / "stranger.py").write_text(textwrap.dedent(source))
    info = folder / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[portanet.backends]\nstranger = stranger:backend\n")


def test_a_package_of_a_stranger_is_found(tmp_path: Path) -> None:
    stranger(tmp_path, "from portanet_numpy import NumPyBackend; backend = NumPyBackend(name='stranger')")
    done = run_python(
        "import portanet as pn; print(pn.set_backend('stranger', strict=True).name)", PYTHONPATH=str(tmp_path)
    )
    assert done.stdout.strip() == "stranger", done.stderr


def test_a_damaged_package_of_a_stranger_harms_nobody_else(tmp_path: Path) -> None:
    stranger(tmp_path, "raise OSError('bad sector')")
    done = run_python(
        """
        import numpy as np, portanet as pn
        from portanet.backend import backend_of
        assert backend_of(object()) is None
        assert pn.set_backend("auto") and pn.set_backend("numpy").name == "numpy"
        assert (pn.asarray(np.ones(2)) + 1).device.backend == "numpy"
        (report,) = [report for report in pn.available_backends() if report.name == "stranger"]
        print(report.unavailability)
        pn.set_backend("stranger")
        """,
        PYTHONPATH=str(tmp_path),
    )
    told = "'stranger' cannot be loaded from 'stranger:backend': OSError: bad sector."
    assert done.stdout.startswith(f"damaged backend: Backend {told}"), done.stderr
    assert f"BackendUnavailableError: Backend {told}" in done.stderr


def test_a_backend_is_found_by_the_type_of_an_array(made_up: MadeUp) -> None:
    assert backend_of(np.zeros(2)) is backend_named("numpy")
    for nothing in (1, 1.0, True, None, "x", [1.0], (np.zeros(2),), object()):
        assert backend_of(nothing) is None


def test_available_backends_reports_each_with_devices_or_reason(made_up: MadeUp) -> None:
    made_up.problem = Unavailability("broken GPU stack", "A matmul failed.", "pip install it.")
    reports = {report.name: report for report in pn.available_backends()}
    assert set(OURS) | {"made-up"} <= set(reports)
    for report in reports.values():
        assert report.available == (report.unavailability is None) == bool(report.devices)
    assert reports["numpy"].version == np.__version__
    assert reports["numpy"].devices == (Device("numpy", "cpu"),)
    assert reports["made-up"].unavailability is made_up.problem
    assert reports["array-api-strict"].for_tests_only


# The switch


def test_numpy_is_the_default() -> None:
    assert pn.get_backend().name == "numpy"
    assert pn.default_device() == Device("numpy", "cpu")


def test_set_backend_returns_what_is_in_use(made_up: MadeUp) -> None:
    assert pn.set_backend("made-up") is made_up
    assert pn.get_backend() is made_up


def test_use_backend_is_scoped_and_nests(made_up: MadeUp) -> None:
    with pn.use_backend("made-up") as outer:
        assert pn.get_backend() is outer is made_up
        with pn.use_backend("numpy"):
            assert pn.get_backend().name == "numpy"
        assert pn.get_backend() is made_up
    assert pn.get_backend().name == "numpy"


def test_use_backend_takes_a_record(made_up: MadeUp) -> None:
    with pn.use_backend(made_up):
        assert pn.get_backend() is made_up


def test_use_backend_is_undone_by_an_error(made_up: MadeUp) -> None:
    with pytest.raises(ZeroDivisionError), pn.use_backend("made-up"):
        raise ZeroDivisionError
    assert pn.get_backend().name == "numpy"


def test_set_backend_inside_a_scope_lasts_but_does_not_break_in(made_up: MadeUp) -> None:
    with pn.use_backend("numpy"):
        pn.set_backend("made-up")
        assert pn.get_backend().name == "numpy"
    assert pn.get_backend() is made_up


def test_threads_do_not_see_each_others_scopes(made_up: MadeUp) -> None:
    both_inside = threading.Barrier(2, timeout=10)
    seen: dict[str, str] = {}

    def work(name: str) -> None:
        with pn.use_backend(name):
            both_inside.wait()
            seen[name] = pn.get_backend().name
            both_inside.wait()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("numpy", "made-up")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"numpy": "numpy", "made-up": "made-up"}


def test_a_new_thread_starts_with_the_choice_for_the_process(made_up: MadeUp) -> None:
    seen = []
    pn.set_backend("made-up")
    with pn.use_backend("numpy"):
        thread = threading.Thread(target=lambda: seen.append(pn.get_backend().name))
        thread.start()
        thread.join()
    assert seen == ["made-up"]


def test_tasks_do_not_see_each_others_scopes(made_up: MadeUp) -> None:
    async def work(name: str) -> list[str]:
        seen = []
        with pn.use_backend(name):
            for _ in range(3):
                await asyncio.sleep(0)
                seen.append(pn.get_backend().name)
        return seen

    async def both() -> list[list[str]]:
        return list(await asyncio.gather(work("numpy"), work("made-up")))

    assert asyncio.run(both()) == [["numpy"] * 3, ["made-up"] * 3]


def test_new_arrays_go_where_the_switch_says() -> None:
    with pn.use_backend("array-api-strict:device2"):
        assert pn.zeros((2,)).device == pn.asarray([1.0]).device == Device("array-api-strict", "device2")
        with pn.use_backend("array-api-strict"):
            assert pn.zeros((2,)).device == Device("array-api-strict", "cpu")


# Devices


def test_a_device_can_be_named_by_its_kind(made_up: MadeUp) -> None:
    made_up.device_names = ("cuda:0", "cuda:1", "cpu")
    assert find_device(made_up, "cuda").name == "cuda:0"
    assert find_device(made_up, "cuda:1").name == "cuda:1"
    pn.set_backend("made-up:cpu")
    assert pn.default_device() == Device("made-up", "cpu")
    pn.set_backend("made-up")
    assert pn.default_device() == Device("made-up", "cuda:0")


def test_a_missing_device_is_refused_with_those_that_exist(made_up: MadeUp) -> None:
    made_up.lacks = Unavailability("broken GPU stack", "A matmul failed.", "pip install it.")
    with pytest.raises(
        DeviceError, match=r"no device 'cuda:3'.*it has cpu\. broken GPU stack: A matmul failed\."
    ):
        pn.set_backend("made-up:cuda:3")


def test_two_devices_in_one_operation_are_refused() -> None:
    with pn.use_backend("array-api-strict"):
        here, there = pn.zeros((2,), device="cpu"), pn.zeros((2,), device="device1")
    with pytest.raises(DeviceError, match=r"add: operand 1 is on array-api-strict:cpu.*operand 2.*device1"):
        _ = here + there


def test_two_libraries_in_one_operation_are_refused() -> None:
    with pn.use_backend("array-api-strict"):
        there = pn.zeros((2,))
    for left, right in ((pn.zeros((2,)), there), (np.zeros(2, np.float32), there)):
        with pytest.raises(
            MixedBackendError, match=r"operand 1 is on numpy:cpu and operand 2 is on array-api-strict"
        ):
            pn.add(left, right)


# Fallback


FAULTS = {
    "library not installed": "pip install 'x[gpu]'",
    "driver too old": "update the NVIDIA driver.",
    "no GPU": "use a machine with one.",
    "broken GPU stack": "pip install 'x[ctk]'",
}


@pytest.mark.parametrize("cause", FAULTS)
def test_fallback_warns_once_with_cause_and_remedy(made_up: MadeUp, cause: str) -> None:
    made_up.problem = Unavailability(cause, "This was seen.", FAULTS[cause])
    with pytest.warns(BackendFallbackWarning) as caught:
        used = pn.set_backend("made-up")
    assert used.name == pn.get_backend().name == "numpy"
    (warning,) = caught
    for part in ("'made-up'", "'numpy' is used instead", cause, "This was seen.", FAULTS[cause]):
        assert part in str(warning.message)
    assert warning.filename == __file__


def test_use_backend_falls_back_too_and_blames_the_caller(made_up: MadeUp) -> None:
    made_up.problem = Unavailability("no GPU", "This was seen.", "buy one.")
    with pytest.warns(BackendFallbackWarning, match="no GPU") as caught, pn.use_backend("made-up"):
        assert pn.get_backend().name == "numpy"
    assert [warning.filename for warning in caught] == [__file__]


def test_strict_raises_with_cause_and_remedy_and_changes_nothing(made_up: MadeUp) -> None:
    made_up.problem = Unavailability("no GPU", "This was seen.", "buy one.")
    for choose in (pn.set_backend, lambda name, strict: pn.use_backend(name, strict).__enter__()):
        with pytest.raises(BackendUnavailableError, match=r"'made-up'.*no GPU: This was seen\..*buy one\."):
            choose("made-up", strict=True)
        assert pn.get_backend().name == "numpy"


def test_an_accelerator_that_does_not_answer_is_told(made_up: MadeUp) -> None:
    made_up.lacks = Unavailability("broken GPU stack", "A matmul failed.", "pip install it.")
    with pytest.warns(
        BackendFallbackWarning, match=r"so 'made-up:cpu' is used instead.*A matmul failed"
    ) as caught:
        assert pn.set_backend("made-up") is made_up
    assert len(caught) == 1
    with pytest.raises(BackendUnavailableError, match=r"A matmul failed.*set_backend\('made-up:cpu'\)"):
        pn.set_backend("made-up", strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pn.set_backend("made-up:cpu", strict=True) is made_up


# auto


def test_auto_takes_an_accelerator_that_answers(only_made_up: MadeUp) -> None:
    only_made_up.device_names = ("cuda:0", "cpu")
    assert pn.set_backend("auto") is only_made_up
    assert pn.default_device() == Device("made-up", "cuda:0")


def test_auto_is_silent_numpy_without_a_gpu(only_made_up: MadeUp) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pn.set_backend("auto").name == "numpy"


def test_auto_prefers_the_lower_rank(only_made_up: MadeUp, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(eq=False, repr=False)
    class Second(MadeUp):
        auto_priority: ClassVar[int | None] = 5

    second = Second(name="a-second", device_names=("cuda:0",))
    monkeypatch.setitem(registry._loaded, "a-second", second)
    assert pn.set_backend("auto") is second
    only_made_up.device_names = ("cuda:0",)
    assert pn.set_backend("auto") is only_made_up


def test_auto_tells_of_a_gpu_that_could_be_mended(only_made_up: MadeUp) -> None:
    only_made_up.problem = Unavailability("driver too old", "It is 11.8.", "update it.")
    with pytest.warns(BackendFallbackWarning, match=r"'made-up': driver too old: It is 11\.8\.") as caught:
        assert pn.set_backend("auto").name == "numpy"
    assert [warning.filename for warning in caught] == [__file__]


def test_our_ranks_put_cupy_before_torch_before_jax() -> None:
    ranks = {name: backend_named(name).auto_priority for name in OURS}
    assert ranks == {"cupy": 0, "torch": 1, "jax": 2, "numpy": None, "array-api-strict": None}


# The environment variable


WHERE = "import portanet as pn; print(pn.zeros((2,)).device)"


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("", "numpy:cpu"),
        ("  numpy ", "numpy:cpu"),
        ("array-api-strict:device1", "array-api-strict:device1"),
    ],
)
def test_the_environment_chooses(value: str, place: str) -> None:
    done = run_python(WHERE, PORTANET_BACKEND=value)
    assert done.stdout.strip() == place
    assert done.stderr == ""


def test_the_environment_with_an_unknown_name_raises_and_says_where_it_comes_from() -> None:
    done = run_python(WHERE, PORTANET_BACKEND="nunpy")
    assert done.returncode != 0
    assert "no backend is called 'nunpy'" in done.stderr
    assert "The name comes from the environment variable PORTANET_BACKEND." in done.stderr


def test_code_wins_over_the_environment() -> None:
    done = run_python(
        "import portanet as pn; pn.set_backend('numpy'); print(pn.get_backend().name)",
        PORTANET_BACKEND="array-api-strict",
    )
    assert done.stdout.strip() == "numpy"


def test_many_threads_at_first_use_warn_once(made_up: MadeUp, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up.problem = Unavailability("no GPU", "This was seen.", "buy one.")
    monkeypatch.setenv("PORTANET_BACKEND", "made-up")
    start = threading.Barrier(8, timeout=10)

    def work() -> None:
        start.wait()
        pn.get_backend()

    def run_all() -> None:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with pytest.warns(BackendFallbackWarning) as caught:
        run_all()
    assert len(caught) == 1


# What a record gets for nothing


def test_a_library_that_is_not_there() -> None:
    record = MadeUp(library="no_such_library_anywhere")
    problem = Backend.unavailability(record)
    assert problem is not None
    assert problem.cause == "library not installed"
    assert problem.remedy == "pip install no-such-library-anywhere"
    assert record.version() is None


def test_a_library_whose_import_is_blocked_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "blocked_library", None)
    problem = Backend.unavailability(MadeUp(library="blocked_library"))
    assert problem is not None
    assert problem.cause == "library not installed"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ImportError('libx.so: cannot open')", "ImportError: libx.so: cannot open"),
        ("raise OSError('bad ELF header')", "OSError: bad ELF header"),
        ("import no_such_part", "ModuleNotFoundError: No module named 'no_such_part'"),
    ],
)
def test_a_library_that_fails_on_import(
    body: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "damaged_library.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    record = MadeUp(library="damaged_library")
    problem = Backend.unavailability(record)
    assert problem is not None
    assert problem.cause == "damaged library"
    assert said in problem.detail
    assert problem.remedy == "pip install --force-reinstall damaged-library"
    assert record.version() is None


def test_a_probe_is_asked_once_until_it_is_forgotten() -> None:
    record = MadeUp()
    answers = iter(range(10))
    assert [record.probe("question", lambda: next(answers)) for _ in range(3)] == [0, 0, 0]
    record.forget_probes()
    assert record.probe("question", lambda: next(answers)) == 1


def test_first_line_takes_the_original_error_and_skips_decoration() -> None:
    framed = ImportError("\n=======\nFailed to import\n=======")
    framed.__cause__ = OSError("libnvrtc.so: cannot open\nsecond line")
    assert first_line(framed) == "OSError: libnvrtc.so: cannot open"
    assert first_line(ImportError("\n=====\n  Failed to import  \n")) == "ImportError: Failed to import"
    assert first_line(AssertionError()) == "AssertionError"


def test_a_kernel_table_is_loaded_when_first_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "late_kernels.py").write_text(
        "from portanet.backend import Kernel\nKERNELS = {'tanh': Kernel(print)}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    table = LazyKernels("late_kernels")
    assert "late_kernels" not in sys.modules
    assert table.get("exp") is None
    assert table["tanh"] == Kernel(print)
    assert list(table) == ["tanh"]
    assert len(table) == 1


def test_a_host_library_has_nothing_to_wait_for_and_tells_no_memory() -> None:
    record = backend_named("numpy")
    record.synchronize()
    assert record.memory() == MemoryFigures(None, None, None)


def test_a_data_type_that_a_library_lacks_is_refused() -> None:
    with pytest.raises(DTypeError, match=r"backend 'array-api-strict' has no float16; it has .*float32"):
        backend_named("array-api-strict").native_dtype(pn.float16)
