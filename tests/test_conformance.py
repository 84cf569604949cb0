"""The conformance kit: it passes what is right, names what is wrong, and a stranger's package gets through it."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.__main__ import main
from portanet.backend import Backend, Kernel, backend_named, known_backend_names, register_backend, registry
from portanet.dtypes import Device
from portanet.errors import BackendUnavailableError, ConformanceError, OptionError
from portanet.testing import check_backend

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "examples" / "counting_backend"

# PyTorch warns of this wherever the variance has no elements at all, right or not.
pytestmark = pytest.mark.filterwarnings("ignore:.*degrees of freedom is <= 0:UserWarning")


def test_the_backends_here_conform(backend: str) -> None:
    """All on NumPy. For the others tests/test_ops.py does the same; JAX would compile each function for each shape."""
    if backend == "jax":
        report = check_backend(backend, only=["matmul", "index_add"], samples=1)
    else:
        report = check_backend(backend, samples=None if backend == "numpy" else 1)
        assert report.tried > 500
    assert report.backend == backend
    assert not report.findings


# A library that portanet does not know, made afresh for each test


@pytest.fixture
def registers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
    monkeypatch.setattr(registry, "_by_type", dict(registry._by_type))


@pytest.fixture
def library(request: pytest.FixtureRequest, registers: None) -> Iterator[ModuleType]:
    """The counting library of examples/, under a name of its own: an array type is known by one backend for good."""
    name = "counting_" + re.sub(r"\W", "_", request.node.name)
    spec = importlib.util.spec_from_file_location(name, PACKAGE / "counting.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


def record_of(library: ModuleType, **members: Any) -> Backend:
    """A record for the library; ``members`` replace what is in the class."""
    kind = dataclass(eq=False, repr=False)(
        type(
            "Record",
            (Backend,),
            {
                "__annotations__": {"name": str, "library": str},
                "name": library.__name__,
                "library": library.__name__,
                "array_types": lambda self: (self.namespace.Array,),
                "to_host": lambda self, array: np.asarray(array),
                **members,
            },
        )
    )
    return kind()


def test_a_record_of_three_members_is_a_backend(library: ModuleType) -> None:
    report = check_backend(record_of(library), samples=3)
    assert not report.findings
    assert set(report.skipped) >= {"erf", "gammaln", "i0", "polygamma"}
    reason = "the backend has no such function" if has_scipy() else "scipy is not installed"
    assert set(report.skipped.values()) == {reason}
    assert f"functions were not tried, for {reason}: " in str(report)


def has_scipy() -> bool:
    return importlib.util.find_spec("scipy") is not None


def wrong_values(library: ModuleType) -> dict[str, Any]:
    library.tanh = library.sinh  # type: ignore[attr-defined]
    return {}


def double_precision(library: ModuleType) -> dict[str, Any]:
    right = library.tanh
    library.tanh = lambda x: right(library.astype(x, library.float64))  # type: ignore[attr-defined]
    return {}


def writes(library: ModuleType) -> dict[str, Any]:
    right = library.tanh

    def tanh(x: Any) -> Any:
        r = right(x)
        x[...] = r
        return r

    library.tanh = tanh  # type: ignore[attr-defined]
    return {}


def a_rounded_constant(library: ModuleType) -> dict[str, Any]:
    """What is right to single precision."""
    right = library.tanh
    library.tanh = lambda x: right(x) * (1 + 1e-9)  # type: ignore[attr-defined]
    return {}


def without_a_type(library: ModuleType) -> dict[str, Any]:
    return {"native_dtypes": property(lambda self: {pn.float64: np.float64, pn.float32: np.float32})}


def lost_axes(library: ModuleType) -> dict[str, Any]:
    return {"to_host": lambda self, array: np.ravel(np.asarray(array))}


def no_copy(library: ModuleType) -> dict[str, Any]:
    def asarray(self: Any, value: Any, *, dtype: Any = None, device: Any = None, copy: Any = None) -> Any:
        return library.asarray(value, dtype=dtype, device=device)

    return {"asarray": asarray}


def elsewhere(library: ModuleType) -> dict[str, Any]:
    return {"device_of": lambda self, array: Device("numpy", "cpu")}


def other_bits(library: ModuleType) -> dict[str, Any]:
    def random_bits(self: Any, seed: int, stream: int, count: int, *, device: Any = None) -> Any:
        bits = np.random.default_rng(seed).integers(0, 2**32, count)
        return library.asarray(bits.astype("uint32"))

    return {"random_bits": random_bits}


def not_writable(library: ModuleType) -> dict[str, Any]:
    return {"writable": False}


def no_version(library: ModuleType) -> dict[str, Any]:
    return {"version": lambda self: None}


FAULTS: list[tuple[Callable[[ModuleType], dict[str, Any]], str, str]] = [
    (wrong_values, "tanh", r"tanh, values: Sample 0: shapes \[\(2, 3\)\], options .*Mismatched elements"),
    (wrong_values, "tanh", "tanh, gradient: .*DISAGREES"),
    (double_precision, "tanh", "tanh, single precision: .*is float64"),
    (writes, "tanh", "tanh, .*written"),
    (a_rounded_constant, "tanh", "tanh, values: .*Mismatched elements"),
    (without_a_type, "", "has every data type, record: native_dtypes lacks .*int8"),
    (lost_axes, "", "gives back what it takes, record: "),
    (no_copy, "", "copies when asked, record: .*copy=True shares memory"),
    (elsewhere, "", "gives back what it takes, record: an array made on .* is on numpy:cpu"),
    (other_bits, "", "draws the same bits, record: "),
    (not_writable, "", "says whether it can be written to, record: writable is False"),
    (no_version, "", "is known by its name, record: version.. is None"),
]


@pytest.mark.parametrize(("fault", "only", "message"), FAULTS)
def test_a_fault_is_found_and_named(
    fault: Callable[[ModuleType], dict[str, Any]], only: str, message: str, library: ModuleType
) -> None:
    record = record_of(library, **fault(library))
    names = [only] if only else None
    with pn.use_backend("numpy"):
        report = check_backend(record, only=names, samples=1, gradients=bool(only), strict=False)
    assert any(re.search(message, str(finding)) for finding in report.findings), str(report)
    with pytest.raises(ConformanceError, match=f"backend '{record.name}': {report.tried} checks, "):
        check_backend(record, only=names, samples=1, gradients=bool(only), seed=report.seed)


def test_a_wrong_kernel_is_found(library: ModuleType) -> None:
    floats = frozenset({"float32", "float64"})
    right = Kernel(lambda xp, x: (xp.tanh(x), (lambda g: g * (1 - xp.tanh(x) ** 2),)), floats)
    half = Kernel(lambda xp, x: (xp.cosh(x), (lambda g: g * xp.sinh(x) / 2,)), floats)
    record = record_of(library)
    record.kernels = {"tanh": right, "cosh": half, "coshh": half}
    report = check_backend(record, only=["tanh", "cosh", "coshh"], strict=False)
    assert {(finding.subject, finding.check) for finding in report.findings} == {
        ("cosh", "gradient"),
        ("cosh", "second gradient"),
        ("cosh", "kernel"),
        ("coshh", "kernel"),
    }


def test_the_same_seed_draws_the_same_inputs(library: ModuleType) -> None:
    library.tanh = library.sinh  # type: ignore[attr-defined]
    record = record_of(library)
    reports = [str(check_backend(record, only=["tanh"], seed=seed, strict=False)) for seed in (3, 3, 4)]
    assert reports[0] == reports[1] != reports[2]


# What cannot be asked


def test_names_that_are_none() -> None:
    with pytest.raises(OptionError, match="only: there is no function or kernel 'conv'"):
        check_backend("numpy", only=["tanh", "conv"])
    with pytest.raises(BackendUnavailableError, match="Did you mean 'numpy'"):
        check_backend("nunpy")


def test_a_backend_whose_library_is_missing(registers: None) -> None:
    record = record_of(ModuleType("no_such_library_anywhere"))
    with pytest.raises(BackendUnavailableError, match="no_such_library_anywhere"):
        check_backend(record)


def test_a_name_is_registered_once(library: ModuleType) -> None:
    record = record_of(library)
    assert register_backend(record) is record
    assert register_backend(record) is record
    assert backend_named(record.name) is record
    assert record.name in known_backend_names()
    with pytest.raises(OptionError, match="there is a backend called .* already"):
        register_backend(record_of(library))
    numpy = record_of(library)
    numpy.name = "numpy"
    with pytest.raises(OptionError, match="there is a backend called 'numpy' already"):
        register_backend(numpy)
    with pn.use_backend(record.name):
        x = pn.Tensor([1.0, 2.0], requires_grad=True)
        (x * x).sum().backward()
        assert x.grad.tolist() == [2, 4]
        assert type(x.data) is library.Array


# The command line


def test_the_command_says_what_it_found(capsys: pytest.CaptureFixture[str], library: ModuleType) -> None:
    assert main(["check", "numpy", "--only", "tanh", "linear", "--samples", "2", "--seed", "7"]) == 0
    assert re.fullmatch(r"backend 'numpy': \d+ checks, 0 failed \(seed 7\)\n", capsys.readouterr().out)
    library.tanh = library.sinh  # type: ignore[attr-defined]
    record = register_backend(record_of(library))
    assert main(["check", record.name, "--only", "tanh", "--no-gradients"]) == 1
    assert f"backend '{record.name}': 2 checks, 2 failed" in capsys.readouterr().out
    assert main(["check", "nunpy"]) == 1
    told = capsys.readouterr()
    assert not told.out
    assert "Did you mean 'numpy'" in told.err


# The package of docs/backends.md


def run_python(*arguments: str, folder: Path) -> str:
    path = os.pathsep.join([str(folder), str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with what pip would leave of the package's entry point."""
    about = tmp_path / "portanet_counting-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: portanet-counting\nVersion: 1.0\n")
    lines = (PACKAGE / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    start = lines.index('[project.entry-points."portanet.backends"]') + 1
    (name, _, target) = lines[start].partition(" = ")
    (about / "entry_points.txt").write_text(f"[portanet.backends]\n{name} = {target.strip(chr(34))}\n")
    return tmp_path


def test_the_package_of_the_page_passes(installed: Path) -> None:
    told = run_python("-m", "portanet", "check", "counting", folder=installed)
    assert re.match(r"backend 'counting': \d+ checks, 0 failed", told)
    assert "counting" in run_python("-m", "portanet", "info", folder=installed)


def test_what_the_page_prints_is_what_it_says(installed: Path) -> None:
    """The last script of docs/backends.md, and the text under it."""
    page = (ROOT / "docs" / "backends.md").read_text(encoding="utf-8")
    part = page[page.index("## 4. Use it") :]
    script, printed = re.findall(r"```(?:python|text)\n(.*?)```", part, flags=re.DOTALL)[:2]
    assert run_python("-c", script, folder=installed) == printed
