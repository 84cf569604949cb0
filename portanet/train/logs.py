"""Records of a run: a table, TensorBoard's files, and a picture that is drawn as it goes."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portanet.checks import whole_number
from portanet.io.atomic import atomic_file
from portanet.plot import loss_curve, save
from portanet.train.callbacks import Callback

if TYPE_CHECKING:
    from portanet.train.run import Run

__all__ = ["CSVLog", "LossPlot", "TensorBoard"]


class CSVLog(Callback):
    """Write the history's rows to a CSV file, one for each epoch; when a run goes on, it goes on from its rows.

    Parameters
    ----------
    path : str or path
        The file, which is replaced. Values that are no single numbers are written as JSON.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def on_begin(self, run: Run) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._write(run)

    def on_epoch_end(self, run: Run) -> None:
        self._write(run)

    def _write(self, run: Run) -> None:
        text = io.StringIO()
        table = csv.DictWriter(text, run.history.columns(), lineterminator="\n")
        table.writeheader()
        for row in run.history:
            table.writerow({k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()})
        with atomic_file(self.path) as file:
            file.write(text.getvalue().encode())


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
        What is drawn; default: the loss, and the validation's if there is one.
    every : int, default 1
        Draw after each so many epochs only; and at the end.
    ylabel : str, default "loss"
        What stands at the axis, with its unit if it has one.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: tuple[str, ...] = ("loss", "validation_loss"),
        *,
        every: int = 1,
        ylabel: str = "loss",
    ) -> None:
        self.path, self.columns, self.ylabel = Path(path), tuple(columns), ylabel
        self.every = whole_number("every", every, low=1)

    def on_epoch_end(self, run: Run) -> None:
        if run.epoch % self.every == 0:
            self._draw(run)

    def on_end(self, run: Run) -> None:
        if run.epoch % self.every:
            self._draw(run)

    def _draw(self, run: Run) -> None:
        drawn = [name for name in self.columns if name in run.history.columns()]
        if drawn:
            curves = {name.replace("_", " "): run.history[name] for name in drawn}
            save(loss_curve(curves, xlabel="epochs", ylabel=self.ylabel), self.path)
