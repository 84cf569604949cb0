"""A run as it stands: how far it is, all that it needs to go on, and how it goes on."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any

from portanet.checks import whole_number
from portanet.errors import CheckpointError, StateDictError
from portanet.io.checkpoint import load_checkpoint, newest_sound, save_checkpoint
from portanet.nn.module import Module
from portanet.optim.lr_scheduler.plateau import ReduceLROnPlateau
from portanet.optim.lr_scheduler.scheduler import LRScheduler
from portanet.optim.optimizer import Optimizer
from portanet.train.arguments import check_batches, check_metrics, check_parts, ordered_callbacks
from portanet.train.callbacks import Callback
from portanet.train.checkpoints import Checkpoints
from portanet.train.evaluation import metric_values
from portanet.train.generators import named_generators
from portanet.train.history import History
from portanet.train.running import RunningMean

__all__ = ["Run"]

_KIND = "portanet.train.1"


class Run:
    """What callbacks are given: the parts of a run, and how far it is.

    Attributes
    ----------
    model, loss, optimizer, data, validation, scheduler, metrics, callbacks
        What ``fit`` was given; the validation has metrics of its own, ``validation_metrics``.
    history : History
        What the epochs reached that have ended.
    epochs : int
        How many epochs there shall be.
    epoch : int
        How many of them have ended.
    batch : int
        How many batches of the current epoch are done.
    batches : int or None
        How many there are in an epoch, if the data have a length.
    updates : int
        How many steps the optimizer has made.
    resumed : bool
        Whether the run goes on from a checkpoint.
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[[Any, Any], Any],
        optimizer: Optimizer,
        data: Iterable[Any],
        *,
        epochs: int,
        validation: Iterable[Any] | None = None,
        scheduler: LRScheduler | None = None,
        metrics: Iterable[Any] = (),
        callbacks: Iterable[Callback] = (),
    ) -> None:
        self.epochs = whole_number("epochs", epochs, low=0)
        check_parts(model, loss, optimizer, scheduler)
        check_batches("data", data, self.epochs)
        if validation is not None:
            check_batches("validation", validation, self.epochs)
        self.model, self.loss, self.optimizer, self.data = model, loss, optimizer, data
        self.validation, self.scheduler, self.metrics = validation, scheduler, check_metrics(metrics)
        self.validation_metrics = deepcopy(self.metrics)  # so that a validation can be broken off
        self.callbacks = ordered_callbacks(callbacks)
        self.history = History()
        self.epoch = self.batch = self.updates = 0
        self.batches = _length(data)
        self.running = RunningMean(self.history.losses)
        self._generators = named_generators(model=model, loss=loss, data=data, validation=validation)
        self._at_epoch_start = self.random_states()
        self.resumed = self._in_epoch = False

    @property
    def checkpoints(self) -> list[Checkpoints]:
        """Those of the callbacks that save."""
        return [callback for callback in self.callbacks if isinstance(callback, Checkpoints)]

    def stop(self, reason: str) -> None:
        """End the run after this epoch; the history says why."""
        self.history.stopped = reason

    @property
    def stopped(self) -> str | None:
        """Why the run ends early, if it does."""
        return self.history.stopped

    @property
    def ended(self) -> bool:
        """Whether all epochs are done, or the run was stopped."""
        return self.stopped is not None or self.epoch >= self.epochs

    def latest_loss(self) -> float:
        """The loss of the latest batch, NaN before the first; reading it makes the device finish what it was given."""
        self.running.read()
        return self.history.losses[-1] if self.history.losses else math.nan

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Tell the callbacks of the beginning, and of the end those that heard of it, whatever the others raise."""
        begun: list[Callback] = []
        now = self.random_states()
        try:
            for callback in self.callbacks:
                begun.append(callback)
                callback.on_begin(self)
            if self.resumed:  # the run that never stopped has drawn there once
                self.set_random_states(now)
            yield
        finally:
            with ExitStack() as ends:
                for callback in reversed(begun):
                    ends.callback(callback.on_end, self)

    # An epoch

    def open_epoch(self) -> Iterator[Any]:
        """The batches of the current epoch that are not done.

        In the middle of one they are those that the saved run had before it, in the order that was drawn at its start.
        """
        now = self.random_states()
        for owner in (self.data, getattr(self.data, "batch_sampler", None)):
            sampler: Any = getattr(owner, "sampler", None)
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(self.epoch)
        for callback in self.callbacks:
            callback.on_epoch_begin(self)
        if self._in_epoch:
            self._in_epoch = False
            self.set_random_states(self._at_epoch_start)
            batches = _iterate(self.data, self.batch)
            self.set_random_states(now)
            return batches
        self.batch, self.running = 0, RunningMean(self.history.losses)
        for metric in self.metrics:
            metric.reset()
        self._at_epoch_start = self.random_states()
        return _iterate(self.data, 0)

    def close_epoch(self, validated: Mapping[str, Any]) -> None:
        """Write the epoch's row, step the schedule, and tell the callbacks."""
        row = {
            "epoch": self.epoch + 1,
            "updates": self.updates,
            "lr": float(self.optimizer.param_groups[0]["lr"]),
            "loss": self.running.mean(),
            **metric_values(self.metrics),
            **{f"validation_{name}": value for name, value in validated.items()},
        }
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(row.get("validation_loss", row["loss"]))
        elif self.scheduler is not None:
            self.scheduler.step()
        self.history.rows.append(row)
        self.epoch, self.batch = self.epoch + 1, 0
        for callback in self.callbacks:
            callback.on_epoch_end(self)

    # Randomness

    def random_states(self) -> dict[str, Any]:
        """Where each generator is that takes part."""
        return {name: generator.get_state() for name, generator in self._generators.items()}

    def set_random_states(self, states: Mapping[str, Any]) -> None:
        """Put the generators where they were."""
        for name, generator in self._generators.items():
            if name in states:  # a validation may be new
                generator.set_state(states[name])

    # Saving and going on

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint, from which ``fit(..., resume=path)`` goes on."""
        save_checkpoint(self.state_dict(), path)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on; to be asked for between two steps of the optimizer."""
        self.running.read()
        return {
            "kind": _KIND,
            "progress": {
                "epoch": self.epoch,
                "batch": self.batch,
                "batches": self.batches,
                "updates": self.updates,
            },
            "model": self.model.state_dict(),
            "loss": self.loss.state_dict() if isinstance(self.loss, Module) else {},
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "random": {"now": self.random_states(), "at_epoch_start": self._at_epoch_start},
            "running": {"total": self.running.total, "samples": self.running.samples},
            "metrics": [_state_or_none(metric) for metric in self.metrics] if self.batch else [],
            "history": self.history.state_dict(),
            "callbacks": {name: callback.state_dict() for name, callback in self._named_callbacks()},
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave.

        Raises
        ------
        StateDictError
            If it is something else, or belongs to another model, optimizer, schedule, or to other data. Parts that
            were loaded before this was found stay loaded.
        """
        if state_dict.get("kind") != _KIND:
            raise StateDictError("it is not the state of a run of portanet.train.fit")
        try:
            progress, random, running = (state_dict[name] for name in ("progress", "random", "running"))
            remembered = state_dict["callbacks"]
            epoch, batch, updates = (
                whole_number(name, progress[name], low=0) for name in ("epoch", "batch", "updates")
            )
            if batch and progress["batches"] != self.batches:
                raise StateDictError(
                    f"it was saved in the middle of an epoch of {progress['batches']} batches, and now there are "
                    f"{self.batches}: pass the same data"
                )
            if (state_dict["scheduler"] is None) != (self.scheduler is None):
                raise StateDictError("one of the two runs has a scheduler and the other has not")
            if batch and len(state_dict["metrics"]) != len(self.metrics):
                raise StateDictError("it was saved in the middle of an epoch with other metrics")
            if not all(name.startswith("validation") for name in set(random["now"]) ^ set(self._generators)):
                raise StateDictError(
                    f"it was saved with the generators {', '.join(random['now'])}, and now there are "
                    f"{', '.join(self._generators)}"
                )
            self.model.load_state_dict(state_dict["model"])
            if isinstance(self.loss, Module):
                self.loss.load_state_dict(state_dict["loss"])
            self.optimizer.load_state_dict(state_dict["optimizer"])
            if self.scheduler is not None:
                self.scheduler.load_state_dict(state_dict["scheduler"])
            self.history.load_state_dict(state_dict["history"])
            for metric, state in zip(self.metrics, state_dict["metrics"]):
                if state is None:
                    metric.reset()
                    warnings.warn(
                        f"metrics: {metric.name} has no state_dict(), so its value for epoch {epoch + 1} will be that "
                        "of the batches from here on. Derive it from portanet.metrics.Metric.",
                        stacklevel=4,  # whoever called fit
                    )
                else:
                    metric.load_state_dict(state)
            for name, callback in self._named_callbacks():
                if name in remembered:
                    callback.load_state_dict(remembered[name])
            self.set_random_states(random["now"])
            self._at_epoch_start = random["at_epoch_start"]
            self.running = RunningMean(self.history.losses)
            self.running.total, self.running.samples = float(running["total"]), int(running["samples"])
            self.epoch, self.batch, self.updates = epoch, batch, updates
        except StateDictError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateDictError(f"something is missing or is of another kind: {error!r}") from error
        self.resumed, self._in_epoch = True, batch > 0

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Go on from a checkpoint, or from the newest sound one in a folder; an empty folder begins a new run.

        So does a folder that is not there, if its name has no ending or :class:`Checkpoints` save into it. If newer
        files in the folder are damaged, a warning names them.

        Raises
        ------
        CheckpointError
            If the file is damaged, or is of another run; or if no file in the folder is sound.
        FileNotFoundError
            If there is no such file.
        TypeError
            If it is no path.
        """
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"resume: expected the path of a checkpoint or of a folder, got {path!r}.")
        place = next(tensor.device for group in self.optimizer.param_groups for tensor in group["params"])
        if _is_folder(Path(path), self.checkpoints):
            source, state, refused = newest_sound(path, place)
            if source is None and (files := sorted(found.name for found in Path(path).glob("*.safetensors"))):
                reasons = " ".join(refused) or f"{', '.join(files)} hold weights only."
                raise CheckpointError(
                    f"resume: {os.fspath(path)} has no sound checkpoint: {reasons} Remove them to begin anew."
                )
            if source is None:
                return
            if refused:
                warnings.warn(
                    f"resume: going on from {source}, since what is newer cannot be read: {' '.join(refused)}",
                    stacklevel=3,  # whoever called fit
                )
        else:
            source, state = Path(path), load_checkpoint(path, device=place)
        try:
            self.load_state_dict(state)
        except StateDictError as error:
            raise CheckpointError(f"resume: {source} does not fit this run: {error}.") from error

    def save_interrupted(self) -> str:
        """Save the run where its checkpoints are, or in the current folder; how to go on, in words."""
        if self.checkpoints:
            path = self.checkpoints[0].save(self)
        else:
            path = _unused("interrupted")
            self.save(path)
        where = "at its end" if self.ended else f"in epoch {self.epoch + 1} of {self.epochs}"
        return (
            f"Training was interrupted after {self.updates} updates, {where}. "
            f"Everything is saved: go on with fit(..., resume={os.fspath(path)!r})."
        )

    def _named_callbacks(self) -> Iterator[tuple[str, Callback]]:
        """Each with a name that is the same in the next run: its class, and its number among those of the class."""
        counts: dict[str, int] = {}
        for callback in self.callbacks:
            kind = type(callback).__name__
            counts[kind] = counts.get(kind, 0) + 1
            yield f"{kind} {counts[kind]}", callback


def _is_folder(path: Path, checkpoints: Iterable[Checkpoints]) -> bool:
    """Whether it is a folder, or will be one."""
    if path.exists():
        return path.is_dir()
    return not path.suffix or any(saving.folder.resolve() == path.resolve() for saving in checkpoints)


def _length(data: Any) -> int | None:
    try:
        return len(data)
    except (TypeError, NotImplementedError):  # it has none, or what it is made of has none
        return None


def _iterate(data: Any, skip: int) -> Iterator[Any]:
    """One epoch of data from batch ``skip`` on; data that cannot begin there are gone through up to there."""
    if hasattr(data, "iterate"):
        return data.iterate(skip)  # type: ignore[no-any-return]
    batches = iter(data)
    for _ in islice(batches, skip):
        continue
    return batches  # type: ignore[no-any-return]


def _state_or_none(metric: Any) -> Any:
    """What a metric remembers; one without a state is no reason to lose the run when it is interrupted."""
    return metric.state_dict() if hasattr(metric, "state_dict") else None


def _unused(name: str) -> Path:
    path, number = Path(f"{name}.safetensors"), 2
    while path.exists():
        path, number = Path(f"{name}-{number}.safetensors"), number + 1
    return path
