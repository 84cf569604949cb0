"""The project's checks: `nox` runs them all, `nox -s NAME` runs one, and what follows `--` goes to pytest.

Each session makes its own environment with pip, so that it proves what an install of that kind can do.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.sessions = ["lint", "minimal", "oldest", "tests", "doctest", "examples", "cupy", "build"]

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml("pyproject.toml")
DEPENDENCIES: list[str] = PYPROJECT["project"]["dependencies"]
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]

# Two pytest workers share two cores: one thread each keeps their matrix products from fighting.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
# These two files have a session each.
SUITE = ["--ignore=tests/test_cupy_fallback.py", "--ignore=tests/test_examples.py"]


def group(*names: str) -> tuple[str, ...]:
    """What the named dependency groups of pyproject.toml install."""
    return nox.project.dependency_groups(PYPROJECT, *names)


def lowest(requirements: list[str]) -> list[str]:
    """The same requirements, each pinned to the release series of its lower bound."""
    return [requirement.replace(">=", "==") + ".*" for requirement in requirements]


def cuda_major() -> int | None:
    """Major version of CUDA that the driver of this machine offers, or None where no NVIDIA GPU answers."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
    count, version = ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return None
    if driver.cuDriverGetVersion(ctypes.byref(version)):
        return None
    return version.value // 1000


@nox.session
def lint(session: nox.Session) -> None:
    """Check rules, format and types."""
    session.install("-e", ".", *group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the whole suite on numpy, array-api-strict, torch and jax, with the comparisons with PyTorch."""
    session.install("-e", ".[examples,jax,special,tensorboard]", *group("test", "parity", "onnx"))
    session.run("pytest", "-n", "2", *SUITE, *session.posargs, env=ONE_THREAD)


@nox.session
def minimal(session: nox.Session) -> None:
    """Run what needs no more than the hard dependencies; `nox -P 3.13 -s minimal` takes another Python."""
    session.install("-e", ".", *group("test"))
    session.run("pytest", "-n", "2", *SUITE, *session.posargs, env=ONE_THREAD)


@nox.session
def oldest(session: nox.Session) -> None:
    """Run the suite on the oldest release of every dependency that pyproject.toml admits (but PyTorch's)."""
    extras = [
        requirement
        for extra in ("examples", "jax", "special", "tensorboard")
        for requirement in EXTRAS[extra]
    ]
    requirements = [*DEPENDENCIES, *extras, *group("onnx")]
    session.install("-e", ".", *lowest(requirements), *group("test"))
    session.run("pytest", "-n", "2", *SUITE, *session.posargs, env=ONE_THREAD)


@nox.session
def conformance(session: nox.Session) -> None:
    """Run the array API's public test suite from a checkout: `nox -s conformance -- PATH [BACKEND ...]`.

    PATH is a clone of data-apis/array-api-tests with its submodule. Failures that are known, each with its reason, are
    listed in tests/conformance/; any other fails the session. PyTorch is run twice: with all data types, where most
    functions fail for want of the wider unsigned integers, and without these, so that nothing else hides among them.
    """
    if not session.posargs:
        session.error("give the path of a clone of data-apis/array-api-tests: nox -s conformance -- PATH")
    checkout = Path(session.posargs[0]).resolve()
    backends = session.posargs[1:] or ["numpy", "array-api-strict", "torch", "jax"]
    session.install("-e", ".[jax]", *group("test", "parity"), "-r", str(checkout / "requirements.txt"))
    session.chdir(checkout)
    failed = []
    for backend in backends:
        runs = {backend: ""}
        if backend == "torch":
            runs["torch-without-unsigned"] = "uint16,uint32,uint64"
        for known, left_out in runs.items():
            command = [
                *("pytest", "array_api_tests", "-n", "2", "--disable-deadline", "-q"),
                *("--xfails-file", str(ROOT / "tests" / "conformance" / f"{known}.txt")),
            ]
            settings = {
                **ONE_THREAD,
                "ARRAY_API_TESTS_MODULE": "portanet",
                "ARRAY_API_TESTS_SKIP_DTYPES": left_out,
                # Hypothesis would shrink each of PyTorch's sixty failures of one cause for minutes.
                "ARRAY_API_TESTS_XFAIL_MARK": "skip" if known == "torch" else "xfail",
                "PORTANET_BACKEND": backend,
            }
            try:
                session.run(*command, env=settings)
            except CommandFailed:  # the other backends are worth a look all the same
                failed.append(known)
    if failed:
        session.error(f"failures that are not listed: {', '.join(failed)}")


@nox.session
def doctest(session: nox.Session) -> None:
    """Run the examples in the docstrings."""
    session.install("-e", ".[onnx,plot,sklearn,special]", *group("test"))
    session.run("pytest", "--doctest-modules", "portanet", *session.posargs)


@nox.session
def examples(session: nox.Session) -> None:
    """Run each script of examples/ for a few epochs on numpy, torch, jax and array-api-strict."""
    session.install("-e", ".[examples,jax]", *group("test", "parity"))
    session.run("pytest", "-n", "2", "tests/test_examples.py", *session.posargs, env=ONE_THREAD)


@nox.session
def cupy(session: nox.Session) -> None:
    """Run the whole suite on CuPy where a GPU answers; elsewhere, prove the fallback with the real wheel."""
    major = cuda_major()
    if major is None:
        wheel = [requirement.replace("[ctk]", "") for requirement in EXTRAS["cuda13"]]
        session.install("-e", ".", *wheel, *group("test"))
        session.run("pytest", "tests/test_cupy_fallback.py", *session.posargs)
    else:
        session.install("-e", f".[{'cuda13' if major >= 13 else 'cuda12'},examples]", *group("test"))
        session.run("pytest", "--backend", "cupy", "--ignore=tests/test_cupy_fallback.py", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel and use it, with a backend of a package of its own, where the sources cannot be seen."""
    folder = Path(session.create_tmp()).resolve()
    for stale in folder.glob("*.whl"):
        stale.unlink()
    session.run("python", "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), ".")
    (wheel,) = folder.glob("*.whl")
    session.install("--force-reinstall", str(wheel))
    with session.chdir(folder):
        session.run("python", "-m", "portanet", "info")
        session.install(str(ROOT / "examples" / "counting_backend"))
        session.run("python", "-m", "portanet", "check", "counting")
        session.install(*group("test"))
        session.run(
            "python",
            "-m",
            "pytest",
            *("-o", "pythonpath="),
            *("-p", "no:cacheprovider"),
            str(ROOT / "tests" / "test_packaging.py"),
            *session.posargs,
        )
