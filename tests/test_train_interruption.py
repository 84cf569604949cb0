"""Ctrl-C while ``fit`` trains, validates and saves."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from portanet import train
from portanet.io import load_checkpoint
from tests.runs import Setting, Stop


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


class InterruptedAt:
    """Batches, of which one, counted over all epochs, brings a Ctrl-C with it."""

    def __init__(self, batches: Any, number: int) -> None:
        self.batches, self.left = batches, number

    def __iter__(self) -> Iterator[Any]:
        for batch in self.batches:
            self.left -= 1
            if not self.left:
                interrupt()
            yield batch


def test_ctrl_c_finishes_the_step_saves_and_says_how_to_go_on(
    rng: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    setting = Setting(rng, "loader")
    wanted, history = setting.fit()
    update = int(rng.integers(1, history["updates"][-1]))
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(
        KeyboardInterrupt, match=r"interrupted after \d+ updates, in epoch \d of 4.*resume='inter"
    ):
        setting.fit(callbacks=[Stop(update, interrupt)])
    assert signal.getsignal(signal.SIGINT) is handler
    assert load_checkpoint("interrupted.safetensors")["progress"]["updates"] == update
    found, _ = setting.fit(seed=99, resume="interrupted.safetensors")
    assert found == wanted
    with pytest.raises(KeyboardInterrupt, match=r"resume='interrupted-2\.safetensors'"):
        setting.fit(callbacks=[Stop(1, interrupt)])
    with pytest.raises(KeyboardInterrupt, match=r"resume='runs.last\.safetensors'"):
        setting.fit(callbacks=[Stop(1, interrupt), train.Checkpoints("runs")])


def test_ctrl_c_in_a_validation_does_it_again_later(
    rng: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    setting = Setting(rng, "own generators")
    wanted, history = setting.fit()
    setting.change_validation = lambda batches: InterruptedAt(batches, 6)  # four in each epoch
    with pytest.raises(KeyboardInterrupt, match="in epoch 2 of 4"):
        setting.fit()
    setting.change_validation = lambda batches: InterruptedAt(batches, 0)
    assert load_checkpoint("interrupted.safetensors")["progress"]["updates"] == history["updates"][1]
    found, _ = setting.fit(seed=99, resume="interrupted.safetensors")
    assert found == wanted


class InterruptedAtTheEnd(train.Callback):
    """Ctrl-C after the last epoch, or when everything is over."""

    def __init__(self, event: str) -> None:
        self.event = event

    def on_epoch_end(self, run: train.Run) -> None:
        if self.event == "on_epoch_end" and run.ended:
            interrupt()

    def on_end(self, run: train.Run) -> None:
        if self.event == "on_end":
            interrupt()


@pytest.mark.parametrize("event", ["on_epoch_end", "on_end"])
def test_ctrl_c_at_the_very_end_is_heard(
    rng: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    monkeypatch.chdir(tmp_path)
    setting = Setting(rng, "loader")
    wanted, _ = setting.fit()
    saving = train.Checkpoints("runs")
    with pytest.raises(KeyboardInterrupt) as caught:
        setting.fit(callbacks=[InterruptedAtTheEnd(event), saving])
    if event == "on_epoch_end":
        assert "updates, at its end. Everything is saved" in str(caught.value)
    assert setting.fit(seed=99, resume="runs")[0] == wanted
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_in_a_save_waits_for_its_end(
    rng: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = Setting(rng, "loader")
    wanted, _ = setting.fit()
    replace, calls = os.replace, iter(range(100))

    def interrupted(source: Any, target: Any) -> None:
        if next(calls) == 1:
            interrupt()
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt, match="Everything is saved"):
        setting.fit(callbacks=[train.Checkpoints(tmp_path, every_updates=1)])
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["last.safetensors"]
    assert load_checkpoint(tmp_path / "last.safetensors")["progress"]["updates"] == 2
    assert setting.fit(seed=99, resume=tmp_path)[0] == wanted


def test_a_second_ctrl_c_stops_at_once(rng: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        Setting(rng, "loader").fit(callbacks=[Stop(2, twice)])
    assert not str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_second_ctrl_c_breaks_off_the_save(
    rng: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving = train.Checkpoints(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda number: interrupt())
    with pytest.raises(KeyboardInterrupt) as caught:
        Setting(rng, "loader").fit(callbacks=[Stop(1, interrupt), saving])
    assert not str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_programs_own_handler_of_ctrl_c_is_left_alone(rng: Any) -> None:
    heard = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        Setting(rng, "loader").fit(callbacks=[Stop(2, lambda: signal.raise_signal(signal.SIGINT))])
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]


def test_fit_runs_in_another_thread(rng: Any) -> None:
    done = []
    thread = threading.Thread(target=lambda: done.append(Setting(rng, "loader").fit()))
    thread.start()
    thread.join()
    assert len(done) == 1
