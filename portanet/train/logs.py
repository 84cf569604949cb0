"""Records of a run: a table, TensorBoard's files, and a picture that is drawn as it goes."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portanet.atomic import atomic_file
from portanet.checks import whole_number
from portanet.errors import OptionError
from portanet.plot import loss_curve, save
from portanet.plot.figure import matplotlib_module
from portanet.train.callbacks import Callback

if TYPE_CHECKING:
    from portanet.train.run import Run

__all__ = ["CSVLog", "LossPlot", "TensorBoard"]


class CSVLog(Callback):
    """Write the history's rows to a CSV file, one for each epoch; when a run goes on, it goes on from its rows.

    Parameters
    ----------
    path : str or path
        The file. It is replaced when the run begins, and a row is added to it after each epoch. Values that are no
        single numbers are written as JSON.

    Raises
    ------
    OSError
        From ``fit``, if it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._columns: list[str] = []

    def on_begin(self, run: Run) -> None:
        self._write(run)

    def on_epoch_end(self, run: Run) -> None:
        row = run.history.rows[-1]
        if not set(row) <= set(self._columns) or not self.path.exists():
            self._write(run)
            return
        try:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(self._lines([row]))
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def _write(self, run: Run) -> None:
        """All rows anew: at the beginning, and where there are new columns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._columns = run.history.columns()
        with atomic_file(self.path) as file:
            file.write(self._lines([dict(zip(self._columns, self._columns)), *run.history]).encode())

    def _lines(self, rows: Iterable[Mapping[str, Any]]) -> str:
        text = io.StringIO()
        table = csv.DictWriter(text, self._columns, lineterminator="\n")
        for row in rows:
            table.writerow({k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()})
        return text.getvalue()


class TensorBoard(Callback):
    """Write every number of the history for TensorBoard, by tensorboardX (``pip install 'portanet[tensorboard]'``).

    Parameters
    ----------
    folder : str or path
        What ``tensorboard --logdir`` is given. When a run goes on, what TensorBoard was told of later epochs is taken
        back.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._writer: Any = None

    def on_begin(self, run: Run) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ImportError(
                f"TensorBoard needs tensorboardX, which cannot be imported here ({error}). Install it with: "
                "pip install 'portanet[tensorboard]'"
            ) from error
        self._writer = SummaryWriter(str(self.folder), purge_step=run.epoch + 1 if run.epoch else None)

    def on_epoch_end(self, run: Run) -> None:
        row = run.history.rows[-1]
        for name, value in row.items():
            if name != "epoch" and isinstance(value, (int, float)):
                self._writer.add_scalar(name, value, row["epoch"])
        self._writer.flush()

    def on_end(self, run: Run) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class LossPlot(Callback):
    """Draw columns of the history against the epochs, again after every epoch (``pip install 'portanet[plot]'``).

    Parameters
    ----------
    path : str or path
        The picture, such as ``"runs/loss.png"``.
    columns : sequence of str, optional
        What is drawn; default: the loss, and the validation's if there is one. Epochs without a value leave a gap.
    every : int, default 1
        Draw after each so many epochs only; and at the end.
    ylabel : str, default "loss"
        What stands at the axis, with its unit if it has one.

    Raises
    ------
    OptionError
        From ``fit``, if there is no such column.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: Sequence[str] | None = None,
        *,
        every: int = 1,
        ylabel: str = "loss",
    ) -> None:
        self.path, self.ylabel = Path(path), ylabel
        self.columns = None if columns is None else tuple(columns)
        self.every = whole_number("every", every, low=1)

    def on_begin(self, run: Run) -> None:
        matplotlib_module("figure")  # if it is missing, say so before the first epoch and not after it

    def on_epoch_end(self, run: Run) -> None:
        if run.epoch % self.every == 0:
            self._draw(run)

    def on_end(self, run: Run) -> None:
        if run.epoch % self.every:
            self._draw(run)

    def _draw(self, run: Run) -> None:
        there = run.history.columns()
        drawn = self.columns or [name for name in ("loss", "validation_loss") if name in there]
        curves = {}
        for name in drawn if there else ():
            if name not in there:
                raise OptionError(f"columns: expected some of {', '.join(there)}, got {name!r}.")
            curves[name.replace("_", " ")] = [
                math.nan if value is None else value for value in run.history[name]
            ]
        if curves:
            save(loss_curve(curves, xlabel="epochs", ylabel=self.ylabel), self.path)
