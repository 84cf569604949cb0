"""The real CuPy wheel on a machine without a usable GPU: one true warning, and NumPy does the work.

The nox session `cupy` installs the wheel without its CUDA libraries and runs this file. Where a GPU answers, the
session runs the whole suite on it instead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import portanet as pn
from portanet import nn, optim
from portanet.backend import BackendFallbackWarning, Unavailability, backend_named, registry, switch
from portanet.errors import BackendUnavailableError


def reason_to_skip() -> str | None:
    problem = backend_named("cupy").unavailability()
    if problem is None:
        return (
            "a GPU answers here, so there is nothing to fall back from; run `pytest --backend cupy` instead"
        )
    if problem.cause == "library not installed":
        return "the cupy wheel is not installed; the nox session `cupy` installs it"
    return None


SKIPPED = reason_to_skip()
pytestmark = pytest.mark.skipif(SKIPPED is not None, reason=SKIPPED or "")


@pytest.fixture(autouse=True)
def _fresh_switch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(switch, "_process_selection", None)
    monkeypatch.delenv("PORTANET_BACKEND", raising=False)
    token = switch._scoped_selection.set(None)
    registry.forget_probes()
    yield
    switch._scoped_selection.reset(token)


@pytest.fixture
def problem() -> Unavailability:
    found = backend_named("cupy").unavailability()
    assert found is not None
    return found


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def flat(text: str) -> str:
    return " ".join(text.split())


def test_cupy_itself_imports_and_finds_no_gpu() -> None:
    """What these tests stand on: the wheel is whole, and what the machine lacks shows only in use."""
    import cupy

    with pytest.raises(Exception, match=r"(?i)cuda|nvrtc|cublas"):
        (cupy.ones((2, 2)) @ cupy.ones((2, 2))).get()


def test_the_cause_is_the_true_one(problem: Unavailability) -> None:
    """CUDA's own error is "driver too old" with no driver at all; the message must not repeat that."""
    import cupy

    if cupy.cuda.runtime.driverGetVersion() == 0:
        assert problem.cause == "no GPU"
        assert problem.detail == "No NVIDIA driver answers on this machine."
        assert "NVIDIA GPU" in problem.remedy
    else:
        assert problem.cause in ("no GPU", *registry.GPU_FAULTS)


def test_one_warning_then_numpy(problem: Unavailability) -> None:
    with pytest.warns(BackendFallbackWarning) as caught:
        used = pn.set_backend("cupy")
    (warning,) = caught
    assert used.name == pn.get_backend().name == "numpy"
    message = str(warning.message)
    assert message.startswith("Backend 'cupy' cannot be used here, so 'numpy' is used instead.")
    for part in problem:
        assert part in message
    assert warning.filename == __file__
    assert pn.zeros((2,)).device.backend == "numpy"


def test_a_model_trains_after_the_fallback() -> None:
    with pytest.warns(BackendFallbackWarning):
        pn.set_backend("cupy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pn.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
        optimizer = optim.AdamW(model.parameters(), lr=0.05)
        rng = np.random.default_rng()
        points = rng.normal(size=(64, 2)).astype("float32")
        x, y = pn.asarray(points), pn.asarray((points[:, :1] > 0).astype("float32"))
        losses = []
        for _ in range(60):
            loss = nn.BCEWithLogitsLoss()(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert isinstance(model[0].weight.detach().numpy(), np.ndarray)
    assert losses[-1] < losses[0] / 2


def test_strict_raises_with_cause_and_remedy(problem: Unavailability) -> None:
    with pytest.raises(BackendUnavailableError) as caught:
        pn.set_backend("cupy", strict=True)
    for part in problem:
        assert part in str(caught.value)
    assert pn.get_backend().name == "numpy"


def test_a_scope_falls_back_as_well() -> None:
    with pytest.warns(BackendFallbackWarning) as caught, pn.use_backend("cupy"):
        assert pn.get_backend().name == "numpy"
    assert len(caught) == 1


def test_auto_falls_back_without_a_word_where_there_is_no_gpu(problem: Unavailability) -> None:
    done = run_python("-c", "import portanet as pn; print(pn.zeros((2,)).device)", PORTANET_BACKEND="auto")
    if problem.cause == "no GPU":
        assert done.stderr == ""
    assert done.returncode == 0


def test_the_environment_variable_warns_once(problem: Unavailability) -> None:
    script = "import portanet as pn; pn.zeros((2,)); print((pn.ones((2,)) * 2).device); pn.Tensor([1.0])"
    done = run_python("-c", script, PORTANET_BACKEND="cupy")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "numpy:cpu"
    assert done.stderr.count("BackendFallbackWarning") == 1
    assert problem.detail in done.stderr


def test_info_tells_the_reason_and_the_remedy(problem: Unavailability) -> None:
    import cupy

    done = run_python("-m", "portanet", "info", PORTANET_BACKEND="cupy")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    told = flat(done.stdout)
    assert (
        f"cupy {cupy.__version__} not available {problem.cause}. {problem.detail} remedy {problem.remedy}"
        in told
    )
    assert "backend in use numpy on cpu, since cupy is not available" in told


def test_available_backends_tells_the_same(problem: Unavailability) -> None:
    (report,) = [report for report in pn.available_backends() if report.name == "cupy"]
    assert report.unavailability == problem
    assert not report.available
    assert report.devices == ()
    assert report.version is not None


STUB_DRIVER = """
#include <stdlib.h>
#include <string.h>
int cuDriverGetVersion(int *version) { *version = atoi(getenv("STUB_VERSION")); return 0; }
int cuInit(unsigned flags) { return 100; }
int cuGetExportTable(const void **table, const void *id) { *table = 0; return 500; }
int cuGetProcAddress_v2(const char *name, void **found, int version, unsigned long long flags, void *status) {
    *found = 0;
    if (!strcmp(name, "cuDriverGetVersion")) *found = (void *)cuDriverGetVersion;
    if (!strcmp(name, "cuInit")) *found = (void *)cuInit;
    return 0;
}
"""


@pytest.fixture(scope="module")
def stub_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an NVIDIA driver that has a version and no GPU, for CUDA's own runtime to find."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler on Linux, to build a stub of the driver")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "cuda.c").write_text(STUB_DRIVER)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(folder / "libcuda.so.1"), str(folder / "cuda.c")], check=True
    )
    return folder


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (
            9000,
            "driver too old: The NVIDIA driver supports CUDA 9.0 at most, and this CuPy is built for CUDA 1",
        ),
        (99000, "no GPU: The NVIDIA driver (CUDA 99.0) is there and lists no GPU."),
    ],
)
def test_the_real_wheel_with_a_driver_that_cannot_help(stub_driver: Path, version: int, told: str) -> None:
    script = """
import os
os.environ.pop("CUDA_VISIBLE_DEVICES", None)
import portanet
print(portanet.set_backend("cupy").name)
"""
    done = run_python("-c", script, LD_LIBRARY_PATH=str(stub_driver), STUB_VERSION=str(version))
    assert done.stdout.strip() == "numpy", done.stderr
    assert done.stderr.count("BackendFallbackWarning") == 1
    assert told in done.stderr
