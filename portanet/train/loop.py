"""``fit``: the training loop."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from portanet.checks import check_number, whole_number
from portanet.errors import DataError
from portanet.graph import no_grad
from portanet.nn.module import Module
from portanet.nn.utils.gradients import clip_grad_norm_
from portanet.optim.lr_scheduler.scheduler import LRScheduler
from portanet.optim.optimizer import Optimizer
from portanet.train.callbacks import Callback
from portanet.train.evaluation import evaluate, split_batch
from portanet.train.history import History
from portanet.train.interruption import Interruption, InterruptionError, deferred_interrupts
from portanet.train.run import Run

__all__ = ["fit"]


def fit(
    model: Module,
    loss: Callable[[Any, Any], Any],
    optimizer: Optimizer,
    data: Iterable[Any],
    *,
    epochs: int,
    validation: Iterable[Any] | None = None,
    metrics: Iterable[Any] = (),
    callbacks: Iterable[Callback] = (),
    scheduler: LRScheduler | None = None,
    accumulate: int = 1,
    clip: float | None = None,
    resume: str | os.PathLike[str] | None = None,
    save_interrupted: bool = True,
) -> History:
    """Train a model.

    Parameters
    ----------
    model : Module
        Called with all parts of a batch but the last. It is put into training mode once, at the start.
    loss : callable
        ``loss(outputs, target)``, a mean over the batch.
    optimizer : Optimizer
        Has the model's parameters.
    data : iterable
        Batches ``(inputs, target)``, gone through once an epoch; best a ``DataLoader``.
    epochs : int
        How often, those of a resumed run included.
    validation : iterable, optional
        Batches on which loss and metrics are computed after each epoch.
    metrics : iterable of Metric
        Computed while training, from the outputs as they were, and in the validation.
    callbacks : iterable of Callback
        Who is told of updates and epochs; see :mod:`portanet.train`.
    scheduler : LRScheduler, optional
        Stepped after each epoch; ``ReduceLROnPlateau`` with the loss, the validation's if there is one. For a step
        after each update wrap it in :class:`SchedulerEachUpdate`, as a callback.
    accumulate : int, default 1
        Step the optimizer after so many batches, with the mean of their gradients.
    clip : float, optional
        The largest norm that all gradients together may have.
    resume : str or path, optional
        A checkpoint to go on from; or a folder, of which the newest sound one is taken, and which may be empty at
        first. What comes then is the same, bit for bit, as if the run had never stopped.
    save_interrupted : bool, default True
        Whether a run that Ctrl-C stops is saved: where its checkpoints are, or else in the current folder.

    Returns
    -------
    History
        A row for each epoch, and the loss of each batch.

    Raises
    ------
    CheckpointError
        If what shall be resumed is damaged, or does not fit.
    DataError
        If there are no batches, or they are no such pairs.
    KeyboardInterrupt
        After Ctrl-C. The step is finished first and the run saved, if it shall be; the message says where, and how to
        go on. A second Ctrl-C stops at once.

    Notes
    -----
    What is put back when a run goes on is the generator for all that ``portanet.manual_seed`` seeds, and those that are
    attributes of the model, the loss and the data. Other sources of chance, such as Python's ``random`` in a dataset,
    are not.

    Examples
    --------
    >>> x = pn.asarray([[0.0], [1.0], [2.0]])
    >>> data = pn.data.DataLoader(pn.data.TensorDataset(x, 2 * x), batch_size=3)
    >>> model = pn.nn.Linear(1, 1)
    >>> optimizer = pn.optim.SGD(model.parameters(), lr=0.2, momentum=0.5)
    >>> history = pn.train.fit(model, pn.nn.MSELoss(), optimizer, data, epochs=100)
    >>> len(history), history["loss"][-1] < 1e-6
    (100, True)
    """
    run = Run(
        model, loss, optimizer, data, epochs=epochs, scheduler=scheduler, metrics=metrics, callbacks=callbacks
    )
    accumulate = whole_number("accumulate", accumulate, low=1)
    if clip is not None:
        check_number("clip", clip, low=0.0)
    if resume is not None:
        run.resume(resume)
    model.train()
    optimizer.zero_grad()
    with deferred_interrupts() as interruption:
        try:
            for callback in run.callbacks:
                callback.on_begin(run)
            while run.epoch < run.epochs and run.stopped is None:
                _train_epoch(run, accumulate, clip, interruption)
                run.close_epoch(_validate(run, validation, interruption))
                _stop_if_asked(interruption)
        except InterruptionError:
            told = run.save_interrupted() if save_interrupted else "Training was interrupted, and not saved."
            raise KeyboardInterrupt(told) from None
        finally:
            for callback in run.callbacks:
                callback.on_end(run)
    return run.history


def _train_epoch(run: Run, accumulate: int, clip: float | None, interruption: Interruption) -> None:
    """Go through the data once, or through what is left of them."""
    model, loss_function, metrics = run.model, run.loss, run.metrics
    told = [one.on_update for one in run.callbacks if type(one).on_update is not Callback.on_update]
    batches = run.open_epoch()
    running = run.running
    waiting = 0  # batches whose gradients no step has used
    try:
        for batch in batches:
            inputs, target = split_batch(batch)
            outputs = model(*inputs)
            value = loss_function(outputs, target)
            value.backward()
            running.add(value, len(inputs[0]))
            if metrics:
                with no_grad():
                    for metric in metrics:
                        metric.update(outputs, target)
            del outputs  # often the largest array of all: not to be kept through the next batch
            run.batch += 1
            waiting += 1
            if waiting == accumulate:
                _update(run, waiting, clip)
                waiting = 0
                for tell in told:
                    tell(run)
                if interruption.requested:
                    raise InterruptionError
        if waiting:
            _update(run, waiting, clip)
            for tell in told:
                tell(run)
    finally:
        if hasattr(batches, "close"):
            batches.close()  # workers end with the epoch, however it ends
    if not run.batch:
        raise DataError(
            "data: expected at least one batch, got none. An iterator is used up after one epoch."
        )


def _update(run: Run, waiting: int, clip: float | None) -> None:
    """Step the optimizer with the mean of the gradients of so many batches."""
    if waiting > 1 or clip is not None:
        parameters = [tensor for group in run.optimizer.param_groups for tensor in group["params"]]
        if waiting > 1:
            for tensor in parameters:
                if tensor.grad is not None:
                    tensor.grad = tensor.grad * (1.0 / waiting)
        if clip is not None:
            clip_grad_norm_(parameters, clip)
    run.optimizer.step()
    run.optimizer.zero_grad()
    run.updates += 1


def _validate(run: Run, validation: Iterable[Any] | None, interruption: Interruption) -> dict[str, Any]:
    """Evaluate the model on the validation's batches."""
    _stop_if_asked(interruption)
    if validation is None:
        return {}
    before = run.random_states()

    def watched() -> Iterator[Any]:
        for batch in validation:
            _stop_if_asked(interruption)
            yield batch

    try:
        return evaluate(run.model, watched(), run.loss, run.validation_metrics)
    except InterruptionError:
        run.set_random_states(before)  # the validation begins anew when the run goes on
        raise


def _stop_if_asked(interruption: Interruption) -> None:
    if interruption.requested:
        raise InterruptionError
