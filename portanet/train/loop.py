"""``fit``: the training loop."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from portanet.checks import check_number, whole_number
from portanet.graph import no_grad
from portanet.nn.module import Module
from portanet.nn.utils.gradients import clip_grad_norm_
from portanet.optim.lr_scheduler.scheduler import LRScheduler
from portanet.optim.optimizer import Optimizer
from portanet.tensor import Tensor
from portanet.train.callbacks import Callback
from portanet.train.evaluation import measure, no_batches, sample_count, split_batch
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
        first, or not there yet. What comes then is the same, bit for bit, as if the run had never stopped. A run that
        was stopped, by :class:`EarlyStopping` for example, stays so.
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
        go on. A second Ctrl-C stops at once. In other threads than the main one, and where the program handles Ctrl-C
        itself, ``fit`` hears nothing of it.

    Notes
    -----
    What is put back when a run goes on is the state of the model, of the loss if it is a module, of the optimizer, the
    schedule, the metrics and the callbacks; the generator for all that ``portanet.manual_seed`` seeds; and those that
    are attributes of the model, the loss, the data and the validation, or of what these are made of. Other sources of
    chance, such as Python's ``random`` or a global generator in a dataset, are not. Nor is what a sampler draws batch
    by batch from a generator of its own while workers are ahead of the loop.

    A sampler of the data that has ``set_epoch``, as ``DistributedSampler``, is told of each epoch.

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
        *(model, loss, optimizer, data),
        epochs=epochs,
        validation=validation,
        scheduler=scheduler,
        metrics=metrics,
        callbacks=callbacks,
    )
    accumulate = whole_number("accumulate", accumulate, low=1)
    if clip is not None:
        check_number("clip", clip, low=0.0)
    if resume is not None:
        run.resume(resume)
    model.train()
    optimizer.zero_grad()
    with deferred_interrupts() as interruption, run.under_way():
        try:
            while not run.ended:
                _train_epoch(run, accumulate, clip, interruption)
                run.close_epoch(_validate(run, interruption))
                _stop_if_asked(interruption)
        except InterruptionError:
            told = run.save_interrupted() if save_interrupted else "Training was interrupted, and not saved."
            raise KeyboardInterrupt(told) from None
    return run.history


def _train_epoch(run: Run, accumulate: int, clip: float | None, interruption: Interruption) -> None:
    """Go through the data once, or through what is left of them."""
    model, loss_function, metrics = run.model, run.loss, run.metrics
    told = [callback.on_update for callback in run.callbacks if _listens(callback)]
    batches = run.open_epoch()
    running = run.running
    waiting = 0  # batches whose gradients no step has used
    try:
        for batch in batches:
            inputs, target = split_batch(batch)
            outputs = model(*inputs)
            value = loss_function(outputs, target)
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"loss: expected a callable that returns a Tensor, got {type(value).__name__} from it."
                )
            value.backward()
            running.add(value, sample_count(inputs))
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
        raise no_batches("data")


def _listens(callback: Callback) -> bool:
    """Whether it has an ``on_update`` of its own: the others are not to cost a call in every step."""
    return getattr(callback.on_update, "__func__", None) is not Callback.on_update


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


def _validate(run: Run, interruption: Interruption) -> dict[str, Any]:
    """Evaluate the model on the validation's batches."""
    _stop_if_asked(interruption)
    if run.validation is None:
        return {}
    before = run.random_states()

    def watched(validation: Iterable[Any]) -> Iterator[Any]:
        for batch in validation:
            _stop_if_asked(interruption)
            yield batch

    try:
        return measure("validation", run.model, watched(run.validation), run.loss, run.validation_metrics)
    except InterruptionError:
        run.set_random_states(before)  # the validation begins anew when the run goes on
        raise


def _stop_if_asked(interruption: Interruption) -> None:
    if interruption.requested:
        raise InterruptionError
