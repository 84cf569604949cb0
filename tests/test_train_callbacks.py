"""Callbacks: what they stop, save, write and draw, and that all of it goes on with a run."""

from __future__ import annotations

import csv
import io
import json
import math
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn, optim, train
from portanet.errors import OptionError
from portanet.io import load_checkpoint, save_checkpoint


class Script(nn.Module):
    """A model that can be trained and whose loss in each epoch is what a list says."""

    def __init__(self, losses: list[float]) -> None:
        self.weight = nn.Parameter(pn.asarray([0.0]))
        self.losses, self.calls = losses, 0

    def forward(self, x: Any) -> Any:
        self.calls += self.training
        return self.losses[self.calls - 1] + self.weight * 0 + self.calls


def play(
    losses: list[float], *callbacks: Any, model: Any = None, **options: Any
) -> tuple[Any, train.History]:
    """Train for as many epochs as there are losses; the weight grows by 1 in each."""
    model = model or Script(losses)
    optimizer = optim.SGD([model.weight], lr=1.0)

    def loss(outputs: Any, target: Any) -> Any:
        return outputs.sum() - model.calls - (model.weight - model.weight.detach()).sum()

    data = [(pn.zeros((1, 1)), pn.zeros((1, 1)))]
    return model, train.fit(model, loss, optimizer, data, epochs=len(losses), callbacks=callbacks, **options)


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


def test_the_best_weights_come_back() -> None:
    model, _ = play([5.0, 4.0, 4.5, 4.6, 4.7, 0.0], train.EarlyStopping(patience=1, restore_best=True))
    assert model.weight.item() == 2.0
    model, _ = play([5.0, 4.0, 4.5, 4.6, 4.7, 0.0], train.EarlyStopping(patience=1))
    assert model.weight.item() == 4.0


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


def test_a_table_holds_every_row_once(tmp_path: Path) -> None:
    class Table:
        name = "table"

        def reset(self) -> None: ...

        def update(self, outputs: Any, targets: Any) -> None: ...

        def compute(self) -> Any:
            return pn.asarray([[1, 2], [3, 4]])

    path = tmp_path / "logs" / "run.csv"
    losses = [0.1, 0.25, math.nan]
    options = {"metrics": [Table()]}
    _, whole = play(losses, train.CSVLog(path), **options)
    wanted = path.read_text()
    rows = list(csv.DictReader(io.StringIO(wanted)))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert [float(row["loss"]) for row in rows[:2]] == whole["loss"][:2]
    assert json.loads(rows[0]["table"]) == [[1, 2], [3, 4]]

    folder = tmp_path / "run"
    play(losses[:2], train.CSVLog(path), train.Checkpoints(folder, every_epochs=1), **options)
    play(losses[:1], train.CSVLog(path), **options)  # somebody wrote to it meanwhile
    model = Script(losses)
    model.calls = 1
    resumed = folder / "epoch-0001.safetensors"  # the second row is written anew
    play(losses, train.CSVLog(path), model=model, resume=resumed, **options)
    assert path.read_text() == wanted


def test_a_progress_bar_shows_batches_and_results() -> None:
    pytest.importorskip("tqdm", reason="the extra `train` is not installed")
    shown = io.StringIO()
    play([0.5, 0.25], train.ProgressBar(file=shown, mininterval=0, ascii=True))
    text = shown.getvalue()
    assert "epoch 1 of 2" in text
    assert "epoch 2 of 2: 100%" in text
    assert "1/1" in text
    assert "loss=0.25" in text


def test_one_progress_bar_counts_the_epochs_of_a_whole_run(tmp_path: Path) -> None:
    pytest.importorskip("tqdm", reason="the extra `train` is not installed")
    shown = io.StringIO()
    play([0.5, 0.25], train.ProgressBar(whole_run=True, file=shown, mininterval=0, ascii=True))
    text = shown.getvalue()
    assert "0/2" in text
    assert "2/2" in text
    assert text.count("\n") == 1  # tqdm ends the line when a bar is done
    assert "loss=0.25" in text
    folder, resumed = tmp_path / "run", io.StringIO()
    play([0.5], train.Checkpoints(folder))
    model = Script([0.5, 0.25])
    model.calls = 1
    bar = train.ProgressBar(whole_run=True, file=resumed, mininterval=0, ascii=True)
    play([0.5, 0.25], train.Checkpoints(folder), bar, model=model, resume=folder)
    assert "0/2" not in resumed.getvalue()
    assert "1/2" in resumed.getvalue()


def scalars(folder: Path) -> list[tuple[str, int, float]]:
    """What TensorBoard would read: length, checksum, event, checksum, and so on."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = Event.FromString(content[12 : 12 + length])
            found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
            content = content[16 + length :]
    return found


def test_tensorboard_gets_every_number(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="the extra `tensorboard` is not installed")
    play([0.5, 0.25], train.TensorBoard(tmp_path))
    found = {(tag, step): value for tag, step, value in scalars(tmp_path)}
    assert found == {
        **{("loss", 1): 0.5, ("loss", 2): 0.25, ("lr", 1): 1.0, ("lr", 2): 1.0},
        **{("updates", 1): 1.0, ("updates", 2): 2.0},
    }


def test_a_picture_is_drawn_as_it_goes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    from matplotlib.image import imread

    path = tmp_path / "loss.png"
    seen = []

    class Look(train.Callback):
        def on_epoch_end(self, run: train.Run) -> None:
            seen.append(path.read_bytes() if path.exists() else None)

    play([3.0, 2.0, 1.0], train.LossPlot(path, every=2), Look())
    assert seen[0] is None
    assert seen[1] == seen[2] != path.read_bytes()
    assert imread(path).std() > 0


@pytest.mark.parametrize(
    ("callback", "module", "extra"),
    [(train.ProgressBar, "tqdm.auto", "train"), (train.TensorBoard, "tensorboardX", "tensorboard")],
)
def test_a_missing_library_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, callback: Any, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    made = callback(tmp_path) if callback is train.TensorBoard else callback()
    with pytest.raises(ImportError, match=rf"pip install 'portanet\[{extra}\]'"):
        play([1.0], made)


def test_every_callback_hears_the_end_whatever_it_is() -> None:
    heard = []

    class Ear(train.Callback):
        def on_begin(self, run: train.Run) -> None:
            heard.append("begin")

        def on_end(self, run: train.Run) -> None:
            heard.append("end")

    class Fail(train.Callback):
        def on_epoch_end(self, run: train.Run) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        play([1.0], Ear(), Fail())
    assert heard == ["begin", "end"]


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
        (lambda: train.History().best("loss", "least"), "mode: expected"),
    ],
)
def test_misuse_of_callbacks_is_named(make: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()


def test_a_history_says_what_it_has() -> None:
    _, history = play([3.0, math.nan, 2.0])
    assert history.best("loss")["epoch"] == 3
    assert history.best("loss", "max")["epoch"] == 1
    assert repr(train.History()) == "History: no epoch has ended yet"
    assert repr(history).startswith("History of 3 epochs; the last: epoch 3, updates 3, lr 1, loss 2")
    with pytest.raises(KeyError, match="no column 'accuracy'; there are epoch, updates, lr, loss"):
        history["accuracy"]


def test_a_history_goes_to_disk_and_back(rng: Any, tmp_path: Path) -> None:
    history = train.History()
    history.rows = [{"epoch": 1, "loss": math.inf, "confusion": [[1, 2], [3, 4]]}]
    history.losses = [float(x) for x in rng.normal(size=100)] + [math.nan]
    save_checkpoint(history.state_dict(), tmp_path / "x")
    other = train.History()
    other.load_state_dict(load_checkpoint(tmp_path / "x"))
    assert repr((other.rows, other.losses)) == repr((history.rows, history.losses))
