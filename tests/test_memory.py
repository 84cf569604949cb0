"""Freed memory is kept (backends/portanet_numpy/memory.py): when, and what that saves."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from portanet_numpy.memory import KEPT, MAPPED_FROM, keep_freed_memory


class Library:
    """A C library that notes what it is told."""

    def __init__(self, answer: int = 1) -> None:
        self.told: list[tuple[int, int]] = []
        self.answer = answer

    def gnu_get_libc_version(self) -> str:
        return "2.36"

    def mallopt(self, which: int, value: int) -> int:
        self.told.append((which, value))
        return self.answer


@pytest.fixture(autouse=True)
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")


def test_both_thresholds_are_raised() -> None:
    library = Library()
    assert keep_freed_memory({}, library)
    assert sorted(library.told) == [(-3, MAPPED_FROM), (-1, KEPT)]
    assert not keep_freed_memory({}, Library(answer=0))


@pytest.mark.parametrize(
    "environment",
    [
        *({"PORTANET_KEEP_MEMORY": word} for word in ("0", "off", "No", "FALSE")),
        {"MALLOC_TRIM_THRESHOLD_": "131072"},
        {"MALLOC_MMAP_THRESHOLD_": "131072"},
        {"MALLOC_TOP_PAD_": "0"},
        {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=128"},
    ],
    ids=str,
)
def test_settings_of_the_user_stand(environment: dict[str, str]) -> None:
    library = Library()
    assert not keep_freed_memory(environment, library)
    assert not library.told


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    other: Any = SimpleNamespace(mallopt=lambda which, value: 1 / 0)
    assert not keep_freed_memory({}, other)
    monkeypatch.setattr(sys, "platform", "darwin")
    library = Library()
    assert not keep_freed_memory({}, library)
    assert not library.told


COUNT_FAULTS = """
import resource, numpy as np, portanet as pn
x = pn.asarray(np.ones((512, 1024), "float32")).requires_grad_()
def step():
    y = x
    for _ in range(20):
        y = pn.tanh(y)
    pn.sum(y).backward()
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="counts page faults as Linux does")
def test_a_step_gets_its_memory_back_without_asking_the_system() -> None:
    """20 arrays of 2 MiB and their gradients are 20,000 pages a step; kept, they are hardly any."""
    faults = {}
    for word in ("0", "1"):
        environment = dict(os.environ) | {"PORTANET_KEEP_MEMORY": word}
        done = subprocess.run(
            [sys.executable, "-c", COUNT_FAULTS], env=environment, capture_output=True, text=True, check=True
        )
        faults[word] = int(done.stdout)
    if not hasattr(__import__("ctypes").CDLL(None), "gnu_get_libc_version"):
        pytest.skip("this C library has no thresholds")
    assert faults["1"] < 2000
    assert faults["1"] < faults["0"] / 4
