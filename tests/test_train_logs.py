"""What a run leaves to look at: its history, tables, TensorBoard's files, bars and pictures."""

from __future__ import annotations

import csv
import io
import json
import math
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

import portanet as pn
from portanet import train
from portanet.errors import OptionError
from portanet.io import load_checkpoint, save_checkpoint
from tests.runs import Script, play


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


def test_a_table_grows_and_takes_new_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.csv"
    written = []
    write = train.CSVLog._write
    monkeypatch.setattr(
        train.CSVLog, "_write", lambda self, run: written.append(run.epoch) or write(self, run)
    )

    class Meddle(train.Callback):
        def on_epoch_end(self, run: train.Run) -> None:
            if run.epoch == 3:
                path.unlink()
            if run.epoch == 5:
                run.history.rows[-1]["more"] = 7

    play([0.5] * 6, Meddle(), train.CSVLog(path))
    assert written == [0, 1, 3, 5]
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert [row["more"] for row in rows] == [""] * 4 + ["7", ""]


def test_a_table_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"

    class Replace(train.Callback):
        def on_epoch_end(self, run: train.Run) -> None:
            if run.epoch == 2:
                path.unlink()
                path.mkdir()

    with pytest.raises(OSError, match=r"run\.csv"):
        play([0.5] * 3, Replace(), train.CSVLog(path))


def test_a_progress_bar_takes_options_of_tqdm() -> None:
    pytest.importorskip("tqdm", reason="the extra `train` is not installed")
    shown = io.StringIO()
    play([0.5], train.ProgressBar(file=shown, desc="mine", unit="step", ascii=True))
    assert "mine: 100%" in shown.getvalue()


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
    bar = train.ProgressBar(whole_run=True, file=resumed, mininterval=0, ascii=True, desc="mine")
    play([0.5, 0.25], train.Checkpoints(folder), bar, model=model, resume=folder)
    assert "0/2" not in resumed.getvalue()
    assert "1/2" in resumed.getvalue()
    assert "mine" in resumed.getvalue()


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


def test_a_picture_has_gaps_and_columns_that_are_there(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")

    class More(train.Callback):
        def on_epoch_end(self, run: train.Run) -> None:
            if run.epoch == 2:  # as when a validation is new
                run.history.rows[-1]["validation_loss"] = 2.5

    path = tmp_path / "loss.png"
    play([3.0, 2.0], More(), train.LossPlot(path))
    assert path.exists()
    with pytest.raises(OptionError, match="columns: expected some of epoch, .*got 'accuracy'"):
        play([3.0, 2.0], train.LossPlot(path, ["loss", "accuracy"]))


@pytest.mark.parametrize(
    ("callback", "module", "extra"),
    [
        (train.ProgressBar, "tqdm.auto", "train"),
        (train.TensorBoard, "tensorboardX", "tensorboard"),
        (train.LossPlot, "matplotlib.figure", "plot"),
    ],
)
def test_a_missing_library_is_named_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, callback: Any, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    made = callback() if callback is train.ProgressBar else callback(tmp_path / "x.png")
    model = Script([1.0])
    with pytest.raises(ImportError, match=rf"pip install 'portanet\[{extra}\]'"):
        play([1.0], made, model=model)
    assert model.calls == 0


def test_a_history_says_what_it_has() -> None:
    _, history = play([3.0, math.nan, 2.0])
    assert "loss" in history
    assert "accuracy" not in history
    assert history.stopped is None
    assert history.best("loss")["epoch"] == 3
    assert history.best("loss", "max")["epoch"] == 1
    assert repr(train.History()) == "History: no epoch has ended yet"
    assert repr(history).startswith("History of 3 epochs; the last: epoch 3, updates 3, lr 1, loss 2")
    with pytest.raises(KeyError, match="no column 'accuracy'; there are epoch, updates, lr, loss"):
        history["accuracy"]


def test_a_history_says_why_a_run_stopped(tmp_path: Path) -> None:
    model, history = play([3.0, 2.0, 2.5, 1.0], train.EarlyStopping(patience=0), train.Checkpoints(tmp_path))
    assert history.stopped == "the loss has not become better than 2.0 for 1 epochs"
    assert repr(history).endswith("; stopped: the loss has not become better than 2.0 for 1 epochs")
    _, again = play([3.0, 2.0, 2.5, 1.0], train.EarlyStopping(patience=0), model=model, resume=tmp_path)
    assert (again.stopped, again.rows) == (history.stopped, history.rows)


@pytest.mark.parametrize("epochs", [0, 1, 2, 100])
def test_a_history_goes_to_disk_and_back(rng: Any, tmp_path: Path, epochs: int) -> None:
    history = train.History()
    history.rows = [
        {"epoch": k + 1, "loss": float(rng.normal()), "confusion": [[1, 2], [3, k]]} for k in range(epochs)
    ]
    for row in history.rows[1:]:  # as when a validation is new
        row["validation_loss"] = math.inf
    history.losses = [float(x) for x in rng.normal(size=100)] + [math.nan]
    history.stopped = "somebody said so"
    save_checkpoint(history.state_dict(), tmp_path / "x")
    other = train.History()
    other.load_state_dict(load_checkpoint(tmp_path / "x"))
    assert repr((other.rows, other.losses, other.stopped)) == repr(
        (history.rows, history.losses, history.stopped)
    )
