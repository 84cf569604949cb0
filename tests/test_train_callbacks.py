"""Callbacks: what they hear, stop and save, and that all of it goes on with a run."""

from __future__ import annotations

import math
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portanet import train
from portanet.errors import OptionError
from portanet.io import load_checkpoint
from tests.runs import Script, play


def test_training_stops_once_nothing_gets_better() -> None:
    losses = [5.0, 4.0, 4.5, 3.9, 3.95, math.nan, 4.0, 1.0]
    for options, epochs in (
        ({"patience": 2}, 7),
        ({"patience": 0}, 3),
        ({"patience": 3}, 8),
        ({"patience": 1, "min_delta": 0.5}, 4),
        ({"patience": 2, "mode": "max"}, 4),
        ({"patience": 2, "watch": "lr"}, 4),
    ):
        _, history = play(losses, train.EarlyStopping(**options))
        assert len(history) == epochs, options
        np.testing.assert_allclose(history["loss"], losses[:epochs], rtol=1e-6)


def test_a_loss_that_never_is_a_number_stops_a_run() -> None:
    _, history = play([math.nan] * 4, train.EarlyStopping(patience=1))
    assert history.stopped == "the loss has not been a number for 2 epochs"


def test_a_callback_serves_one_run_after_the_other() -> None:
    stopper = train.EarlyStopping(patience=0, restore_best=True)
    for losses in ([1.0, 2.0, 3.0], [5.0, 4.0, 4.5]):
        _, history = play(losses, stopper)
        assert len(history) == losses.index(min(losses)) + 2


def test_the_best_weights_come_back() -> None:
    model, _ = play([5.0, 4.0, 4.5, 4.6, 4.7, 0.0], train.EarlyStopping(patience=1, restore_best=True))
    assert model.weight.item() == 2.0
    model, _ = play([5.0, 4.0, 4.5, 4.6, 4.7, 0.0], train.EarlyStopping(patience=1))
    assert model.weight.item() == 4.0


def test_the_best_weights_come_back_after_the_last_epoch(tmp_path: Path) -> None:
    def stopper() -> train.EarlyStopping:
        return train.EarlyStopping(patience=9, restore_best=True)

    losses = [5.0, 4.0, 4.5, 4.6, 3.0, 3.5]
    model, _ = play(losses[:4], stopper(), train.Checkpoints(tmp_path))
    assert model.weight.item() == 2.0
    assert load_checkpoint(tmp_path / "last.safetensors")["model"]["weight"].item() == 4.0  # to go on from
    for epochs, best in ((4, 2.0), (6, 5.0)):
        model = Script(losses)
        model.calls = 4
        play(losses[:epochs], stopper(), train.Checkpoints(tmp_path), model=model, resume=tmp_path)
        assert model.weight.item() == best

    class Fail(train.Callback):
        def on_epoch_end(self, run: train.Run) -> None:
            if run.epoch == 4:
                raise ZeroDivisionError

    model = Script(losses)
    with pytest.raises(ZeroDivisionError):
        play(losses, stopper(), Fail(), model=model)
    assert model.weight.item() == 4.0  # such a run has not ended by itself


def test_the_patience_of_a_stopped_run_goes_on(tmp_path: Path) -> None:
    losses = [5.0, 4.0, 4.5, 4.6, 4.7, 4.8, 4.9]
    for stop in (2, 3, 4):
        folder = tmp_path / str(stop)
        play(losses[:stop], train.EarlyStopping(patience=2, restore_best=True), train.Checkpoints(folder))
        model = Script(losses)
        model.calls = stop
        _, history = play(
            losses,
            train.Checkpoints(folder),
            train.EarlyStopping(patience=2, restore_best=True),
            model=model,
            resume=folder,
        )
        assert (len(history), model.weight.item()) == (5, 2.0)
    model, history = play(losses, train.EarlyStopping(patience=2), resume=folder)  # it has stopped for good
    assert (len(history), model.calls) == (5, 0)


def test_checkpoints_keep_the_best_and_the_newest(tmp_path: Path) -> None:
    losses = [5.0, 4.0, 4.5, 3.0, 3.5, math.nan, 3.2]
    saving = train.Checkpoints(tmp_path, every_epochs=2, keep=2, best="loss")
    play(losses, saving)
    epochs = {path.name: load_checkpoint(path)["progress"]["epoch"] for path in tmp_path.iterdir()}
    assert epochs == {
        "last.safetensors": 7,
        "best.safetensors": 4,
        "epoch-0004.safetensors": 4,
        "epoch-0006.safetensors": 6,
    }
    assert saving.best_value == 3.0
    play(losses, train.Checkpoints(tmp_path / "max", best="loss", mode="max"))
    assert load_checkpoint(tmp_path / "max" / "best.safetensors")["progress"]["epoch"] == 1


def test_a_best_checkpoint_is_not_forgotten_when_a_run_goes_on(tmp_path: Path) -> None:
    play([1.0, 2.0], train.Checkpoints(tmp_path, best="loss"))
    model = Script([1.0, 2.0, 1.5])
    model.calls = 2
    play([1.0, 2.0, 1.5], train.Checkpoints(tmp_path, best="loss"), model=model, resume=tmp_path)
    assert load_checkpoint(tmp_path / "best.safetensors")["progress"]["epoch"] == 1
    assert load_checkpoint(tmp_path / "last.safetensors")["progress"]["epoch"] == 3


def test_two_callbacks_may_look_for_the_best_of_one_run(tmp_path: Path) -> None:
    """Also when the run goes on from what the first of them saved, before the second one had looked."""

    def saving() -> list[train.Callback]:
        return [train.Checkpoints(tmp_path / name, best="loss", mode=mode) for name, mode in names]

    names = [("low", "min"), ("high", "max")]
    losses = [1.0, 2.0, 1.5]
    play(losses[:2], *saving())
    model = Script(losses)
    model.calls = 2
    play(losses, *saving(), model=model, resume=tmp_path / "low")
    epochs = [load_checkpoint(tmp_path / name / "best.safetensors")["progress"]["epoch"] for name, _ in names]
    assert epochs == [1, 2]


def test_the_best_of_another_column_is_looked_for_anew(tmp_path: Path) -> None:
    play([1.0, 2.0], train.Checkpoints(tmp_path, best="loss"))
    model = Script([1.0, 2.0, 1.5])
    model.calls = 2
    again = train.Checkpoints(tmp_path, best="updates", mode="max")
    play([1.0, 2.0, 1.5], again, model=model, resume=tmp_path)
    assert load_checkpoint(tmp_path / "best.safetensors")["progress"]["epoch"] == 3
    play([1.0, 2.0], train.Checkpoints(tmp_path / "new", best="loss"), resume=tmp_path)
    assert not (tmp_path / "new" / "best.safetensors").exists()  # no epoch was trained


def test_a_run_that_goes_back_keeps_what_it_saves_then(tmp_path: Path) -> None:
    losses = [5.0, 4.0, 3.0, 2.0]
    play(losses, train.Checkpoints(tmp_path, every_epochs=1))
    for number in range(1, 5):
        os.utime(tmp_path / f"epoch-000{number}.safetensors", ns=(number, number))
    model = Script(losses)
    model.calls = 1
    saving = train.Checkpoints(tmp_path, every_epochs=1, keep=2)
    play(losses[:2], saving, model=model, resume=tmp_path / "epoch-0001.safetensors")
    assert {path.name for path in tmp_path.glob("epoch-*")} == {
        "epoch-0002.safetensors",
        "epoch-0004.safetensors",
    }


def test_a_read_only_folder_is_named_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    model = Script([1.0])
    with pytest.raises(PermissionError, match="read-only") as caught:
        play([1.0], train.Checkpoints(tmp_path), model=model)
    assert caught.value.filename == str(tmp_path)
    assert model.calls == 0


def test_a_folder_that_vanished_is_made_anew(tmp_path: Path) -> None:
    class Remove(train.Callback):
        def on_epoch_end(self, run: train.Run) -> None:
            shutil.rmtree(tmp_path / "run")

    play([1.0, 2.0], Remove(), train.Checkpoints(tmp_path / "run", best="loss"))
    assert load_checkpoint(tmp_path / "run" / "last.safetensors")["progress"]["epoch"] == 2


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks")
def test_two_runs_cannot_save_into_one_folder(tmp_path: Path) -> None:
    class Second(train.Callback):
        def on_epoch_end(self, run: train.Run) -> None:
            with pytest.raises(OptionError, match="folder: another run that has not ended saves into"):
                play([9.0], train.Checkpoints(tmp_path))

    together = [train.Checkpoints(tmp_path), train.Checkpoints(os.path.relpath(tmp_path), best="loss")]
    for _ in range(2):  # when the first one has ended the next one may
        for path in tmp_path.iterdir():
            path.unlink()
        play([1.0, 2.0], Second(), *together)
        assert load_checkpoint(tmp_path / "last.safetensors")["history"]["columns"]["loss"] == [1.0, 2.0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.safetensors", "last.safetensors"]


def test_a_run_that_begins_anew_says_whose_checkpoint_it_replaces(tmp_path: Path) -> None:
    play([1.0, 2.0], train.Checkpoints(tmp_path))
    with pytest.warns(UserWarning, match=r"last\.safetensors is of an earlier run.* Pass resume='") as told:
        play([3.0], train.Checkpoints(tmp_path))
    assert told[0].filename == play.__code__.co_filename  # which called fit
    assert load_checkpoint(tmp_path / "last.safetensors")["history"]["columns"]["loss"] == [3.0]


def test_a_full_disk_ends_the_run_and_what_was_saved_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    play([3.0, 2.0], train.Checkpoints(tmp_path))
    good = (tmp_path / "last.safetensors").read_bytes()

    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    model = Script([3.0, 2.0, 1.0])
    with pytest.raises(OSError, match=r"No space left .*last\.safetensors"):
        play([3.0, 2.0, 1.0], train.Checkpoints(tmp_path), model=model, resume=tmp_path)
    assert (tmp_path / "last.safetensors").read_bytes() == good
    assert [path.name for path in tmp_path.iterdir()] == ["last.safetensors"]


def test_unfinished_files_of_killed_runs_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".portanet-0123456789abcdef.part").write_bytes(b"half")
    play([1.0], train.Checkpoints(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["last.safetensors"]


def test_whoever_heard_the_beginning_hears_the_end_whatever_it_is() -> None:
    heard: list[str] = []

    class Ear(train.Callback):
        def __init__(self, name: str, fails: str = "") -> None:
            self.name, self.fails = name, fails

        def on_begin(self, run: train.Run) -> None:
            self.hear("begin")

        def on_epoch_end(self, run: train.Run) -> None:
            self.hear("epoch")

        def on_end(self, run: train.Run) -> None:
            self.hear("end")

        def hear(self, event: str) -> None:
            heard.append(f"{self.name} {event}")
            if event == self.fails:
                raise ZeroDivisionError(f"{self.name} {event}")

    with pytest.raises(ZeroDivisionError, match="b epoch"):
        play([1.0], Ear("a"), Ear("b", "epoch"), Ear("c"))
    assert heard == ["a begin", "b begin", "c begin", "a epoch", "b epoch", "a end", "b end", "c end"]
    heard.clear()
    with pytest.raises(ZeroDivisionError, match="a end"):
        play([1.0], Ear("a", "end"), Ear("b"))
    assert heard[-2:] == ["a end", "b end"]
    heard.clear()
    with pytest.raises(ZeroDivisionError, match="b begin"):
        play([1.0], Ear("a"), Ear("b", "begin"), Ear("c"))
    assert heard == ["a begin", "b begin", "a end", "b end"]


def test_a_callback_may_be_put_together_without_a_class() -> None:
    heard = []
    callback = train.Callback()
    callback.on_update = lambda run: heard.append(run.updates)  # type: ignore[method-assign]
    play([1.0, 2.0], callback)
    assert heard == [1, 2]


def test_the_latest_loss_is_known_from_the_first_batch_on() -> None:
    heard = []

    class Look(train.Callback):
        def on_begin(self, run: train.Run) -> None:
            heard.append(run.latest_loss())

        def on_update(self, run: train.Run) -> None:
            heard.append(run.latest_loss())

    play([1.0, 2.0], Look())
    assert math.isnan(heard[0])
    assert heard[1:] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: train.EarlyStopping(patience=-1), "patience: expected"),
        (lambda: train.EarlyStopping(mode="less"), "mode: expected 'min' or 'max'"),
        (lambda: train.EarlyStopping(min_delta=-1.0), "min_delta: expected"),
        (lambda: train.Checkpoints("x", every_updates=0), "every_updates: expected"),
        (lambda: train.Checkpoints("x", keep=3), "keep: expected every_epochs with it"),
        (lambda: train.LossPlot("x.png", every=0), "every: expected"),
        (
            lambda: play([1.0], train.EarlyStopping("accuracy")),
            "watch: expected one of epoch, updates, lr, loss",
        ),
        (
            lambda: play([1.0], train.Checkpoints(tempfile.mkdtemp(), best="loss ")),
            "best: expected one of epoch",
        ),
        (lambda: train.History().best("loss", "least"), "mode: expected"),
    ],
)
def test_misuse_of_callbacks_is_named(make: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()
