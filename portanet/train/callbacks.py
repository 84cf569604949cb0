"""What a run tells others, and those who stop it, show it and set its learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from portanet.checks import check_number, whole_number
from portanet.errors import OptionError
from portanet.optim.lr_scheduler.plateau import ReduceLROnPlateau
from portanet.optim.lr_scheduler.scheduler import LRScheduler
from portanet.train.history import check_mode, is_better

if TYPE_CHECKING:
    from portanet.train.run import Run

__all__ = ["Callback", "EarlyStopping", "ProgressBar", "SchedulerEachUpdate", "watched_value"]


class Callback:
    """The base class: define those of its methods that are wanted.

    Each gets the :class:`Run`, which says how far it is (``run.epoch``, ``run.batch``, ``run.updates``), has the
    ``model``, the ``optimizer`` and the ``history``, and can be stopped with ``run.stop(reason)``. What they draw from
    ``portanet.random`` is part of the run, and comes again when it goes on.

    What a callback has to remember when a run goes on belongs into its state dict: numbers, texts, None, Tensors, and
    mappings and lists of them. It is found again by the name of the class, and by the place among the callbacks of
    that class.

    Examples
    --------
    A running mean of the weights, which is saved with the run:

    >>> from portanet.optim.averaging import AveragedModel, get_ema_avg_fn
    >>> class Average(pn.train.Callback):
    ...     def __init__(self, model):
    ...         self.average = AveragedModel(model, avg_fn=get_ema_avg_fn(0.99))
    ...
    ...     def on_update(self, run):
    ...         self.average.update_parameters(run.model)
    ...
    ...     def state_dict(self):
    ...         return self.average.state_dict()
    ...
    ...     def load_state_dict(self, state_dict):
    ...         self.average.load_state_dict(state_dict)
    """

    def on_begin(self, run: Run) -> None:
        """Before the first step, be it the first at all or the first after going on."""

    def on_epoch_begin(self, run: Run) -> None:
        """Before the first batch of an epoch, and again where a run goes on in the middle of one.

        What it sets should depend on ``run.epoch`` alone, which counts from 0.
        """

    def on_update(self, run: Run) -> None:
        """After each step of the optimizer."""

    def on_epoch_end(self, run: Run) -> None:
        """After the validation; ``run.history.rows[-1]`` is the epoch's row, and ``run.epoch`` counts it as ended."""

    def on_end(self, run: Run) -> None:
        """At the end, also when the run ends by an error or by Ctrl-C."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave; called before :meth:`on_begin`."""


def watched_value(run: Run, name: str | None, argument: str) -> float:
    """A value of the latest row: the named one, or the validation's loss, or else the loss.

    Raises
    ------
    OptionError
        If there is none of that name, or it is no number; it names the callback's argument.
    """
    row = run.history.rows[-1]
    if name is None:
        name = "validation_loss" if "validation_loss" in row else "loss"
    value = row.get(name)
    if not isinstance(value, (int, float)):
        raise OptionError(f"{argument}: expected one of {', '.join(row)} that is a number, got {name!r}.")
    return float(value)


class EarlyStopping(Callback):
    """Stop once a value has not become better for some epochs.

    Parameters
    ----------
    watch : str, optional
        A column of the history; default: ``"validation_loss"``, or ``"loss"`` where nothing is validated.
    patience : int, default 5
        How many epochs in a row may be no better.
    min_delta : float, default 0
        By how much more than this an epoch must be better to count.
    mode : {"min", "max"}
        Whether smaller is better, or larger.
    restore_best : bool, default False
        Give the model the weights of its best epoch, when stopping or after the last epoch. The checkpoint of the
        epoch in which this stops the run holds these, too; that of a last epoch holds the last weights, so that the
        run can be made longer.

    Raises
    ------
    OptionError
        If an option is out of its domain; from ``fit``, if there is no such column of numbers.

    Examples
    --------
    >>> stopper = pn.train.EarlyStopping("validation_accuracy", patience=3, mode="max")
    """

    def __init__(
        self,
        watch: str | None = None,
        *,
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str = "min",
        restore_best: bool = False,
    ) -> None:
        self.patience = whole_number("patience", patience, low=0)
        check_number("min_delta", min_delta, low=0.0)
        self.watch, self.min_delta, self.mode, self.restore_best = (
            watch,
            min_delta,
            check_mode(mode),
            restore_best,
        )
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = None
        self.waited = 0
        self._weights: dict[str, Any] | None = None

    def on_begin(self, run: Run) -> None:
        if not run.resumed:  # what an earlier run reached says nothing of this one
            self._forget()

    def on_epoch_end(self, run: Run) -> None:
        value = watched_value(run, self.watch, "watch")
        if is_better(value, self.best, self.mode, self.min_delta):
            self.best, self.waited = value, 0
            if self.restore_best:
                self._weights = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
            return
        self.waited += 1
        if self.waited > self.patience:
            progress = "been a number" if self.best is None else f"become better than {self.best}"
            run.stop(f"{self.watch or 'the loss'} has not {progress} for {self.waited} epochs")
            self._restore(run)

    def on_end(self, run: Run) -> None:
        if run.ended:
            self._restore(run)

    def _restore(self, run: Run) -> None:
        if self._weights is not None:
            run.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited, "weights": self._weights}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.best, self.waited = state_dict["best"], int(state_dict["waited"])
        self._weights = state_dict["weights"]


class SchedulerEachUpdate(Callback):
    """Step a schedule after each step of the optimizer, as ``OneCycleLR`` and warm-ups want, and not after each epoch.

    Parameters
    ----------
    scheduler : LRScheduler
        It is saved with the run; do not pass it to ``fit`` as well.

    Raises
    ------
    TypeError
        If it is none, or is a ``ReduceLROnPlateau``, which wants the loss of an epoch.

    Examples
    --------
    >>> optimizer = pn.optim.SGD(pn.nn.Linear(2, 1).parameters(), lr=0.1)
    >>> cycle = pn.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=100)
    >>> callback = pn.train.SchedulerEachUpdate(cycle)
    """

    def __init__(self, scheduler: LRScheduler) -> None:
        if not isinstance(scheduler, LRScheduler) or isinstance(scheduler, ReduceLROnPlateau):
            raise TypeError(
                "scheduler: expected an LRScheduler that can be stepped after each update, got "
                f"{type(scheduler).__name__}."
            )
        self.scheduler = scheduler

    def on_update(self, run: Run) -> None:
        self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        return {"scheduler": self.scheduler.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.scheduler.load_state_dict(state_dict["scheduler"])


class ProgressBar(Callback):
    """A bar for each epoch, by tqdm (``pip install 'portanet[train]'``).

    Parameters
    ----------
    whole_run : bool, default False
        One bar for the run, which counts its epochs: for runs of many short epochs.
    **options
        For ``tqdm.auto.tqdm``, such as ``leave=False`` or ``file=...``.
    """

    def __init__(self, *, whole_run: bool = False, **options: Any) -> None:
        self.whole_run, self.options = whole_run, options
        self._make: Any = None
        self._bar: Any = None

    def on_begin(self, run: Run) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError(
                f"ProgressBar needs tqdm, which cannot be imported here ({error}). Install it with: "
                "pip install 'portanet[train]'"
            ) from error
        self._make = tqdm
        if self.whole_run:
            options = {"total": run.epochs, "initial": run.epoch, "desc": "training", "unit": "epoch"}
            self._bar = tqdm(**{**options, **self.options})

    def on_update(self, run: Run) -> None:
        if self.whole_run:
            return
        if self._bar is None:
            title = f"epoch {run.epoch + 1} of {run.epochs}"
            options = {"total": run.batches, "desc": title, "unit": "batch", **self.options}
            self._bar = self._make(**options)
        if self._bar.update(run.batch - self._bar.n):  # a loss is read only when the bar is drawn
            self._bar.set_postfix(loss=f"{run.latest_loss():.4g}", refresh=False)

    def on_epoch_end(self, run: Run) -> None:
        if self._bar is None:
            return
        row = run.history.rows[-1]
        numbers = {k: f"{v:.4g}" for k, v in row.items() if isinstance(v, float) and math.isfinite(v)}
        self._bar.set_postfix(numbers, refresh=not self.whole_run)
        if self.whole_run:
            self._bar.update()
        else:
            self.on_end(run)

    def on_end(self, run: Run) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
