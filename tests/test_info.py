"""``python -m portanet``: what it prints and how it exits."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

import portanet as pn
from portanet.__main__ import main
from portanet.backend import BackendReport, Unavailability, switch
from portanet.dtypes import Device


@pytest.fixture(autouse=True)
def _fresh_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switch, "_process_selection", None)
    monkeypatch.delenv("PORTANET_BACKEND", raising=False)


def told(capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["info"]) == 0
    return capsys.readouterr().out


def plant(monkeypatch: pytest.MonkeyPatch, *reports: BackendReport) -> None:
    monkeypatch.setattr("portanet.info.available_backends", lambda: list(reports))


def test_info_as_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "portanet", "info"],
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "PORTANET_BACKEND"},
    )
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    for line in (
        f"Python {platform.python_version()} ({platform.python_implementation()})",
        "PORTANET_BACKEND not set",
        "backend in use numpy on cpu",
        f"numpy {np.__version__}",
        "devices cpu",
    ):
        assert line in lines
    names = {line.split()[0] for line in lines if line}
    assert {"numpy", "cupy", "torch", "jax", "array-api-strict"} <= names


def test_no_command_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: python -m portanet")
    assert "info" in out


@pytest.mark.parametrize("arguments", [["inof"], ["info", "more"], ["--nothing"]])
def test_a_wrong_command_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_backend_that_is_not_available(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    story = "A matmul failed with " + "a long story " * 20 + "at the end."
    problem = Unavailability("broken GPU stack", story, "do this.")
    plant(monkeypatch, BackendReport("made-up", "1.2", (), problem, False))
    out = told(capsys)
    assert "made-up 1.2\n  not available    broken GPU stack. A matmul failed with a long story" in out
    assert "at the end.\n  remedy           do this.\n" in out
    assert max(len(line) for line in out.splitlines()[7:]) <= 100


def test_a_backend_that_lacks_its_accelerator(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = Unavailability("driver too old", "It is 11.8.", "update it.")
    plant(monkeypatch, BackendReport("made-up", None, (Device("made-up", "cpu"),), None, True, problem))
    assert told(capsys).endswith(
        "\nmade-up (for tests)\n"
        "  devices          cpu\n"
        "  no accelerator   driver too old. It is 11.8.\n"
        "  remedy           update it.\n"
    )


def test_the_choice_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(monkeypatch)
    monkeypatch.setenv("PORTANET_BACKEND", "array-api-strict:device1")
    out = told(capsys)
    assert "PORTANET_BACKEND   array-api-strict:device1\n" in out
    assert "backend in use     array-api-strict on device1\n" in out


def test_a_choice_that_does_not_exist_does_not_stop_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(monkeypatch)
    monkeypatch.setenv("PORTANET_BACKEND", "nunpy")
    assert "backend in use     none. name: no backend is called 'nunpy'" in told(capsys)


def test_thread_limits_are_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    plant(monkeypatch)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert f"threads            {pn.get_num_threads()}, OMP_NUM_THREADS=3\n" in told(capsys)
