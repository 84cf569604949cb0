"""Checkpoints as a run goes: the last one, the best one, and every so many epochs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portanet.checks import whole_number
from portanet.errors import OptionError
from portanet.io.atomic import remove_leftovers
from portanet.train.callbacks import Callback, check_mode, watched_value
from portanet.train.history import is_better

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
        ``fit(..., resume=folder)``.
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

    @property
    def last(self) -> Path:
        """Where the newest checkpoint is."""
        return self.folder / _LAST

    def on_begin(self, run: Run) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.folder)

    def on_update(self, run: Run) -> None:
        if self.every_updates is not None and run.updates % self.every_updates == 0:
            run.save(self.last)

    def on_epoch_end(self, run: Run) -> None:
        if self.best is not None:
            value = watched_value(run, self.best)
            if is_better(value, self.best_value, self.mode):
                self.best_value = value
                run.save(self.folder / _BEST)
        if self.every_epochs is not None and run.epoch % self.every_epochs == 0:
            run.save(self.folder / f"epoch-{run.epoch:04d}.safetensors")
            self._forget_old()
        run.save(self.last)

    def _forget_old(self) -> None:
        if self.keep is not None:
            numbered = sorted(
                self.folder.glob("epoch-*.safetensors"), key=lambda path: (len(path.name), path.name)
            )
            for path in numbered[: -self.keep]:
                path.unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        return {"best_value": self.best_value}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.best_value = state_dict["best_value"]
