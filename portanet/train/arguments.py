"""What ``fit`` and its parts are given: checked before anything is done, so that no epoch is lost to a slip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from portanet.errors import DataError, OptionError
from portanet.nn.module import Module
from portanet.optim.lr_scheduler.scheduler import LRScheduler
from portanet.optim.optimizer import Optimizer
from portanet.train.callbacks import Callback
from portanet.train.checkpoints import Checkpoints

__all__ = ["check_batches", "check_metrics", "check_parts", "ordered_callbacks"]

_TAKEN = ("epoch", "updates", "lr", "loss", "validation_loss")
"""Columns of a history that are no metrics."""


def check_parts(model: Any, loss: Any, optimizer: Any, scheduler: Any) -> None:
    """Raise unless they are what ``fit`` says, and belong together.

    Raises
    ------
    TypeError
        If one of them is of another kind.
    DataError, OptionError
        If the optimizer has none of the model's parameters or wants a closure, or the schedule is another
        optimizer's.
    """
    for name, value, kind, instead in (
        ("model", model, Module, "a portanet.nn.Module"),
        ("optimizer", optimizer, Optimizer, "a portanet.optim.Optimizer"),
        ("scheduler", scheduler, (LRScheduler, type(None)), "a schedule of portanet.optim.lr_scheduler"),
    ):
        if not isinstance(value, kind):
            raise TypeError(f"{name}: expected {instead}, got {type(value).__name__}.")
    if optimizer.needs_closure:
        raise OptionError(
            f"optimizer: {type(optimizer).__name__} asks for the loss several times a step, which fit computes once. "
            "Write the loop yourself, with optimizer.step(closure), or choose another one."
        )
    if not callable(loss) or isinstance(loss, type):
        raise TypeError(f"loss: expected a callable such as nn.CrossEntropyLoss(), got {loss!r}.")
    trained = {id(tensor) for group in optimizer.param_groups for tensor in group["params"]}
    if not any(id(parameter) in trained for parameter in model.parameters()):
        raise DataError(
            "optimizer: it has none of the model's parameters. Make it with optim.AdamW(model.parameters(), ...)."
        )
    if scheduler is not None and scheduler.optimizer is not optimizer:
        raise OptionError(
            "scheduler: it was made for another optimizer. Make it with the one that is passed."
        )


def check_batches(name: str, data: Any, passes: int = 1) -> None:
    """Raise unless data can be gone through, so many times.

    Raises
    ------
    TypeError
        If they cannot, or are an iterator, which is used up after one pass, for several.
    """
    if not isinstance(data, Iterable):  # a dataset has __getitem__ alone, which gives samples
        raise TypeError(
            f"{name}: expected an iterable of batches, such as a DataLoader, got {type(data).__name__}."
        )
    if passes > 1 and isinstance(data, Iterator):
        raise TypeError(
            f"{name}: expected something that gives its batches in each epoch, got {type(data).__name__}, which is "
            "used up after one. Pass a DataLoader, a list, or a class with __iter__."
        )


def check_metrics(metrics: Iterable[Any]) -> list[Any]:
    """The metrics as a list.

    Raises
    ------
    TypeError
        If one of them is not a metric, or two of them have the same name, or one that a history has without it.
    """
    if not isinstance(metrics, Iterable):
        raise TypeError(f"metrics: expected a list of metrics, got {metrics!r}. Pass [metric].")
    listed = list(metrics)
    for metric in listed:
        lacking = [name for name in ("name", "reset", "update", "compute") if not hasattr(metric, name)]
        if lacking or isinstance(metric, type):
            raise TypeError(
                f"metrics: expected objects such as portanet.metrics.Accuracy(), got {metric!r}, which lacks "
                f"{', '.join(lacking) or 'an instance: call it'}."
            )
    names = [metric.name for metric in listed]
    if len({*names, *_TAKEN}) != len(names) + len(_TAKEN):
        raise TypeError(
            f"metrics: expected different names, and none of {', '.join(_TAKEN)}, got {names}. Set the attribute name "
            "of one of them."
        )
    return listed


def ordered_callbacks(callbacks: Iterable[Callback]) -> list[Callback]:
    """The callbacks as a list in which those that save come last, so that they save what the others remember.

    Raises
    ------
    TypeError
        If one of them is no callback, or waits for an event that there is not.
    """
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks: expected a list of callbacks, got {callbacks!r}. Pass [callback].")
    listed = list(callbacks)
    for callback in listed:
        if not isinstance(callback, Callback):
            kind = (
                callback.__name__ + ", not called" if isinstance(callback, type) else type(callback).__name__
            )
            raise TypeError(f"callbacks: expected portanet.train.Callback objects, got {kind}.")
        unheard = [name for name in dir(callback) if name.startswith("on_") and not hasattr(Callback, name)]
        if unheard:
            events = ", ".join(name for name in vars(Callback) if name.startswith("on_"))
            raise TypeError(
                f"callbacks: {type(callback).__name__} has {', '.join(unheard)}, which nobody calls; there are "
                f"{events}."
            )
    return sorted(listed, key=lambda callback: isinstance(callback, Checkpoints))
