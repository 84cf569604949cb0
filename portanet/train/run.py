"""A run as it stands: how far it is, all that it needs to go on, and how it goes on."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import islice
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from portanet.checks import whole_number
from portanet.errors import CheckpointError, DataError, StateDictError
from portanet.io.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from portanet.nn.module import Module
from portanet.optim.lr_scheduler.plateau import ReduceLROnPlateau
from portanet.optim.lr_scheduler.scheduler import LRScheduler
from portanet.optim.optimizer import Optimizer
from portanet.random import Generator, default_generator
from portanet.tensor import Tensor
from portanet.train.callbacks import Callback
from portanet.train.checkpoints import Checkpoints
from portanet.train.evaluation import check_metrics, metric_values
from portanet.train.history import History
from portanet.train.running import RunningMean

__all__ = ["Run"]

_KIND = "portanet.train.1"
_SEARCHED, _LONGEST = 10_000, 64
"""Objects that are searched for generators at most, and the longest list among them."""


class Run:
    """What callbacks are given: the parts of a run, and how far it is.

    Attributes
    ----------
    model, loss, optimizer, data, scheduler, metrics, callbacks
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
    stopped : str or None
        Why the run ends early, if it does.
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[[Any, Any], Any],
        optimizer: Optimizer,
        data: Iterable[Any],
        *,
        epochs: int,
        scheduler: LRScheduler | None = None,
        metrics: Iterable[Any] = (),
        callbacks: Iterable[Callback] = (),
    ) -> None:
        _check_kinds(model, loss, optimizer, data, scheduler)
        self.model, self.loss, self.optimizer, self.data = model, loss, optimizer, data
        self.scheduler, self.metrics = scheduler, check_metrics(metrics)
        self.validation_metrics = deepcopy(self.metrics)  # so that a validation can be broken off
        self.callbacks = _in_their_order(callbacks)
        self.epochs = whole_number("epochs", epochs, low=0)
        self.history = History()
        self.epoch = self.batch = self.updates = 0
        self.batches = _length(data)
        self.stopped: str | None = None
        self.running = RunningMean(self.history.losses)
        self._generators = _named_generators(model=model, loss=loss, data=data)
        self._at_epoch_start = self.random_states()
        self._goes_on = False

    def stop(self, reason: str) -> None:
        """End the run after this epoch."""
        self.stopped = reason

    def latest_loss(self) -> float:
        """The loss of the latest batch; reading it makes the device finish what it was given."""
        self.running.read()
        return self.history.losses[-1]

    # An epoch

    def open_epoch(self) -> Iterator[Any]:
        """The batches of the current epoch that are not done.

        In the middle of one they are those that the saved run had before it, in the order that was drawn at its start.
        """
        if not self._goes_on:
            self.batch, self.running = 0, RunningMean(self.history.losses)
            for metric in self.metrics:
                metric.reset()
            self._at_epoch_start = self.random_states()
            return _iterate(self.data, 0)
        self._goes_on = False
        now = self.random_states()
        self.set_random_states(self._at_epoch_start)
        batches = _iterate(self.data, self.batch)
        self.set_random_states(now)
        return batches

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
                "stopped": self.stopped,
            },
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "random": {"now": self.random_states(), "at_epoch_start": self._at_epoch_start},
            "running": {"total": self.running.total, "samples": self.running.samples},
            "metrics": [_state_of(metric) for metric in self.metrics] if self.batch else [],
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
            if set(random["now"]) != set(self._generators):
                raise StateDictError(
                    f"it was saved with the generators {', '.join(random['now'])}, and now there are "
                    f"{', '.join(self._generators)}"
                )
            self.model.load_state_dict(state_dict["model"])
            self.optimizer.load_state_dict(state_dict["optimizer"])
            if self.scheduler is not None:
                self.scheduler.load_state_dict(state_dict["scheduler"])
            self.history.load_state_dict(state_dict["history"])
            for metric, state in zip(self.metrics, state_dict["metrics"]):
                metric.load_state_dict(state)
            for name, callback in self._named_callbacks():
                if name in remembered:
                    callback.load_state_dict(remembered[name])
            self.set_random_states(random["now"])
            self._at_epoch_start = random["at_epoch_start"]
            self.running = RunningMean(self.history.losses)
            self.running.total, self.running.samples = float(running["total"]), int(running["samples"])
            self.epoch, self.batch, self.updates = epoch, batch, updates
            self.stopped = progress["stopped"]
        except (KeyError, TypeError) as error:
            raise StateDictError(f"something is missing or is of another kind: {error!r}") from error
        self._goes_on = batch > 0

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Go on from a checkpoint, or from the newest sound one in a folder; an empty folder begins a new run.

        Raises
        ------
        CheckpointError
            If the file is damaged, or is of another run; or if no file in the folder is sound.
        FileNotFoundError
            If there is no such file.
        """
        source: Path | None = Path(path)
        if source is not None and (source.is_dir() or (not source.suffix and not source.exists())):
            files = sorted(found.name for found in source.glob("*.safetensors"))
            source = latest_checkpoint(source)
            if source is None and files:
                raise CheckpointError(
                    f"resume: {os.fspath(path)} has no sound checkpoint: {', '.join(files)} are damaged, or "
                    "hold weights only. Remove them to begin anew."
                )
        if source is None:
            return
        try:
            self.load_state_dict(load_checkpoint(source))
        except StateDictError as error:
            raise CheckpointError(f"resume: {source} does not fit this run: {error}.") from error

    def save_interrupted(self) -> str:
        """Save the run where its checkpoints are, or in the current folder; how to go on, in words."""
        folders = [callback.last for callback in self.callbacks if isinstance(callback, Checkpoints)]
        path = folders[0] if folders else _unused("interrupted")
        self.save(path)
        return (
            f"Training was interrupted after {self.updates} updates, in epoch {self.epoch + 1} of {self.epochs}. "
            f"Everything is saved: go on with fit(..., resume={os.fspath(path)!r})."
        )

    def _named_callbacks(self) -> Iterator[tuple[str, Callback]]:
        """Each with a name that is the same in the next run: its class, and its number among those of the class."""
        counts: dict[str, int] = {}
        for callback in self.callbacks:
            kind = type(callback).__name__
            counts[kind] = counts.get(kind, 0) + 1
            yield f"{kind} {counts[kind]}", callback


def _length(data: Any) -> int | None:
    try:
        return len(data)
    except TypeError:  # it has none, or what it is made of has none
        return None


def _iterate(data: Any, skip: int) -> Iterator[Any]:
    """One epoch of data from batch ``skip`` on; data that cannot begin there are gone through up to there."""
    if hasattr(data, "iterate"):
        return data.iterate(skip)  # type: ignore[no-any-return]
    batches = iter(data)
    for _ in islice(batches, skip):
        continue
    return batches  # type: ignore[no-any-return]


def _state_of(metric: Any) -> Any:
    if not hasattr(metric, "state_dict"):
        raise TypeError(
            f"metrics: {metric.name} has no state_dict(), which a checkpoint in the middle of an epoch needs. Derive "
            "it from portanet.metrics.Metric, or save at the end of epochs only."
        )
    return metric.state_dict()


def _unused(name: str) -> Path:
    path, number = Path(f"{name}.safetensors"), 2
    while path.exists():
        path, number = Path(f"{name}-{number}.safetensors"), number + 1
    return path


def _in_their_order(callbacks: Iterable[Callback]) -> Sequence[Callback]:
    """Those that save come last, so that they save what the others remember."""
    listed = list(callbacks)
    for callback in listed:
        if not isinstance(callback, Callback):
            kind = (
                callback.__name__ + ", not called" if isinstance(callback, type) else type(callback).__name__
            )
            raise TypeError(f"callbacks: expected portanet.train.Callback objects, got {kind}.")
    return sorted(listed, key=lambda callback: isinstance(callback, Checkpoints))


def _named_generators(**places: Any) -> dict[str, Generator]:
    """Every generator that is an attribute of these or of what they are made of, and the one for all; each once.

    The nearest come first, so that a generator with two names has the same one in the next run.
    """
    found: dict[str, Generator] = {"default": default_generator}
    known = {id(default_generator)}
    waiting = deque(places.items())
    while waiting and len(known) < _SEARCHED:
        place, value = waiting.popleft()
        if id(value) in known:
            continue
        known.add(id(value))
        if isinstance(value, Generator):
            found[place] = value
        elif isinstance(value, (list, tuple)) and len(value) <= _LONGEST:
            waiting.extend((f"{place}[{number}]", part) for number, part in enumerate(value))
        elif isinstance(value, dict) and len(value) <= _LONGEST:
            waiting.extend((f"{place}[{name!r}]", part) for name, part in value.items())
        elif not isinstance(value, (Tensor, type, ModuleType, FunctionType)):
            waiting.extend((f"{place}.{name}", part) for name, part in getattr(value, "__dict__", {}).items())
    return found


def _check_kinds(model: Any, loss: Any, optimizer: Any, data: Any, scheduler: Any) -> None:
    for name, value, kind, instead in (
        ("model", model, Module, "a portanet.nn.Module"),
        ("optimizer", optimizer, Optimizer, "a portanet.optim.Optimizer"),
        ("data", data, Iterable, "an iterable of batches, such as a DataLoader"),
        ("scheduler", scheduler, (LRScheduler, type(None)), "a schedule of portanet.optim.lr_scheduler"),
    ):
        if not isinstance(value, kind):
            raise TypeError(f"{name}: expected {instead}, got {type(value).__name__}.")
    if not callable(loss) or isinstance(loss, type):
        raise TypeError(f"loss: expected a callable such as nn.CrossEntropyLoss(), got {loss!r}.")
    trained = {id(tensor) for group in optimizer.param_groups for tensor in group["params"]}
    if not any(id(parameter) in trained for parameter in model.parameters()):
        raise DataError(
            "optimizer: it has none of the model's parameters. Make it with optim.AdamW(model.parameters(), ...)."
        )
