"""Checkpoints as a run goes: the last one, the best one, and every so many epochs."""

from __future__ import annotations

import errno
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from portanet.atomic import claim_folder, remove_leftovers
from portanet.checks import whole_number
from portanet.errors import OptionError
from portanet.train.callbacks import Callback, watched_value
from portanet.train.history import check_mode, is_better

if TYPE_CHECKING:
    from portanet.train.run import Run

__all__ = ["Checkpoints"]

_LAST, _BEST = "last.safetensors", "best.safetensors"


class Checkpoints(Callback):
    """Save the run into a folder, each time so that it can go on from there, bit for bit.

    Files that killed runs left unfinished in the folder are removed when the run begins. Other callbacks hear of an
    event first, so that a checkpoint holds their newest state.

    Parameters
    ----------
    folder : str or path
        Made if it is not there. ``last.safetensors`` in it is always the newest checkpoint; pass the folder to
        ``fit(..., resume=folder)``. While a run goes on, no other run can save into it.
    every_updates : int, optional
        Save ``last.safetensors`` after each so many steps of the optimizer, too, and not at the end of epochs only.
    every_epochs : int, optional
        Keep a checkpoint of its own, ``epoch-0005.safetensors``, after each so many epochs.
    keep : int, optional
        Keep only so many of these, the newest.
    best : str, optional
        A column of the history, such as ``"validation_loss"``: ``best.safetensors`` is the epoch in which it was best.
    mode : {"min", "max"}
        Whether smaller is better, or larger.

    Raises
    ------
    OptionError
        If an option is out of its domain; from ``fit``, if another run saves into the folder, or if there is no such
        column of numbers.
    OSError
        From ``fit``, if a file cannot be written; the error names it, and checkpoints that are there are unharmed.

    Examples
    --------
    >>> callback = pn.train.Checkpoints("runs/digits", every_updates=500, best="validation_accuracy", mode="max")
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        every_updates: int | None = None,
        every_epochs: int | None = None,
        keep: int | None = None,
        best: str | None = None,
        mode: str = "min",
    ) -> None:
        for name, value in (("every_updates", every_updates), ("every_epochs", every_epochs), ("keep", keep)):
            if value is not None:
                whole_number(name, value, low=1)
        if keep is not None and every_epochs is None:
            raise OptionError(f"keep: expected every_epochs with it, got keep={keep} alone.")
        self.folder = Path(folder)
        self.every_updates, self.every_epochs, self.keep = every_updates, every_epochs, keep
        self.best, self.mode = best, check_mode(mode)
        self.best_value: float | None = None
        self._claim: int | None = None

    @property
    def last(self) -> Path:
        """Where the newest checkpoint is."""
        return self.folder / _LAST

    def on_begin(self, run: Run) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not os.access(self.folder, os.W_OK):  # rather now than after the first epoch
            raise PermissionError(errno.EACCES, "the folder for checkpoints is read-only", str(self.folder))
        mine = self.folder.resolve()
        if next(one for one in run.checkpoints if one.folder.resolve() == mine) is self:
            try:
                self._claim = claim_folder(self.folder)
            except BlockingIOError as error:
                raise OptionError(
                    f"folder: another run that has not ended saves into {self.folder}. Give each run a folder of its "
                    "own, or end that one."
                ) from error
        remove_leftovers(self.folder)
        if not run.resumed and self.last.exists():
            warnings.warn(
                f"folder: {self.last} is of an earlier run, and this one, which begins anew, will replace it. Pass "
                f"resume={os.fspath(self.folder)!r} to fit to go on from there, or choose another folder.",
                stacklevel=5,  # whoever called fit
            )
        self.best_value = None
        if self.best is not None and (self.folder / _BEST).exists():
            for row in run.history:
                if is_better(row.get(self.best), self.best_value, self.mode):
                    self.best_value = row[self.best]

    def on_update(self, run: Run) -> None:
        if self.every_updates is not None and run.updates % self.every_updates == 0:
            self.save(run)

    def on_epoch_end(self, run: Run) -> None:
        if self.best is not None:
            value = watched_value(run, self.best, "best")
            if is_better(value, self.best_value, self.mode):
                self.best_value = value
                self.save(run, _BEST)
        if self.every_epochs is not None and run.epoch % self.every_epochs == 0:
            self.save(run, f"epoch-{run.epoch:04d}.safetensors")
            self._forget_old()
        self.save(run)

    def on_end(self, run: Run) -> None:
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    def save(self, run: Run, name: str = _LAST) -> Path:
        """Save the run into the folder, which is made anew if somebody removed it; where the checkpoint is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        run.save(self.folder / name)
        return self.folder / name

    def _forget_old(self) -> None:
        """Remove all but the newest; a run that goes on from an earlier epoch leaves newer ones of higher numbers."""
        if self.keep is not None:
            found = self.folder.glob("epoch-*.safetensors")
            by_age = sorted((path.stat().st_mtime_ns, len(path.name), path.name) for path in found)
            for _, _, name in by_age[: -self.keep]:
                (self.folder / name).unlink(missing_ok=True)
