"""Losses and metrics of a model on data, and its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from portanet.backend import backend_of
from portanet.checks import whole_number
from portanet.errors import DataError
from portanet.functions.manipulation import concat
from portanet.graph import no_grad
from portanet.nn.module import Module
from portanet.tensor import Tensor, asarray
from portanet.train.running import RunningMean

__all__ = ["check_metrics", "evaluate", "in_evaluation_mode", "metric_values", "predict", "split_batch"]


def split_batch(batch: Any) -> tuple[Sequence[Any], Any]:
    """The inputs and the target of a batch: the last part is the target, what stands before it goes to the model.

    Raises
    ------
    DataError
        If it is no tuple or list of at least two parts.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        raise DataError(
            f"data: expected batches of at least two parts, (inputs, target), got {_kind(batch)}. Return both from the "
            "dataset, or pass a collate_fn that makes such batches."
        )
    return batch[:-1], batch[-1]


def _kind(batch: Any) -> str:
    if isinstance(batch, (tuple, list)):
        return f"a {type(batch).__name__} of {len(batch)}"
    return f"a {type(batch).__name__}"


def check_metrics(metrics: Iterable[Any]) -> list[Any]:
    """The metrics as a list.

    Raises
    ------
    TypeError
        If one of them is not a metric, or two of them have the same name.
    """
    listed = list(metrics)
    for metric in listed:
        lacking = [name for name in ("name", "reset", "update", "compute") if not hasattr(metric, name)]
        if lacking or isinstance(metric, type):
            raise TypeError(
                f"metrics: expected objects such as portanet.metrics.Accuracy(), got {metric!r}, which lacks "
                f"{', '.join(lacking) or 'an instance: call it'}."
            )
    names = [metric.name for metric in listed]
    if len(set(names)) != len(names):
        raise TypeError(
            f"metrics: expected different names, got {names}. Set the attribute name of one of them."
        )
    return listed


def metric_values(metrics: Iterable[Any], prefix: str = "") -> dict[str, Any]:
    """What metrics give now, as Python numbers or nested lists of them."""
    found = {f"{prefix}{metric.name}": metric.compute() for metric in metrics}
    return {name: value.tolist() if isinstance(value, Tensor) else value for name, value in found.items()}


@contextmanager
def in_evaluation_mode(model: Module) -> Iterator[None]:
    """Without dropout and without gradients; afterwards each module trains if it did before."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def evaluate(
    model: Module,
    data: Iterable[Any],
    loss: Callable[[Any, Any], Tensor] | None = None,
    metrics: Iterable[Any] = (),
) -> dict[str, Any]:
    """The loss and the metrics of a model on data, in evaluation mode and without gradients.

    Parameters
    ----------
    model : Module
        Called with all parts of a batch but the last.
    data : iterable
        Batches ``(inputs, target)``, such as a ``DataLoader`` gives.
    loss : callable, optional
        ``loss(outputs, target)``, a mean over the batch; its mean over all samples is returned as ``"loss"``.
    metrics : iterable of Metric
        Each is reset, updated with the outputs and target of each batch, and returned under its name.

    Returns
    -------
    dict of str to float
        Or to nested lists, for metrics that are no single numbers.

    Raises
    ------
    DataError
        If there are no batches, or they are no such pairs.

    Examples
    --------
    >>> model = pn.nn.Identity()
    >>> data = [(pn.asarray([[1.0], [2.0]]), pn.asarray([[1.0], [4.0]])), (pn.asarray([[0.0]]), pn.asarray([[1.0]]))]
    >>> round(pn.train.evaluate(model, data, loss=pn.nn.MSELoss())["loss"], 6)  # (0 + 4 + 1) / 3
    1.666667
    """
    metrics = check_metrics(metrics)
    for metric in metrics:
        metric.reset()
    running, batches = RunningMean(), 0
    with in_evaluation_mode(model):
        for batch in data:
            inputs, target = split_batch(batch)
            outputs = model(*inputs)
            if loss is not None:
                running.add(loss(outputs, target), len(inputs[0]))
            for metric in metrics:
                metric.update(outputs, target)
            batches += 1
    if not batches:
        raise DataError("data: expected at least one batch, got none. An iterator is used up after one pass.")
    found = {} if loss is None else {"loss": running.mean()}
    return {**found, **metric_values(metrics)}


def predict(model: Module, data: Any, *, batch_size: int = 256) -> Tensor:
    """The outputs of a model, in evaluation mode and without gradients.

    Parameters
    ----------
    model : Module
        What is called.
    data : Tensor or array, or iterable of batches
        An array is gone through in parts along its first axis. Of batches that are tuples of several parts the last
        one, the target, is left out; a batch that is one Tensor, or a tuple of one, is the input.
    batch_size : int, default 256
        Samples in a part of an array; batches are as they come.

    Returns
    -------
    Tensor
        The outputs of all batches, joined along the first axis.

    Raises
    ------
    DataError
        If there are no batches.

    Examples
    --------
    >>> pn.train.predict(pn.nn.ReLU(), pn.asarray([[-1.0], [2.0]])).tolist()
    [[0.0], [2.0]]
    """
    batch_size = whole_number("batch_size", batch_size, low=1)
    if isinstance(data, Tensor) or backend_of(data) is not None:
        whole = asarray(data)
        data = [whole[start : start + batch_size] for start in range(0, int(whole.shape[0]), batch_size)]
    outputs = []
    with in_evaluation_mode(model):
        for batch in data:
            inputs = batch if isinstance(batch, (tuple, list)) else (batch,)
            outputs.append(model(*inputs[:-1] if len(inputs) > 1 else inputs))
    if not outputs:
        raise DataError("data: expected at least one batch, got none. An iterator is used up after one pass.")
    return concat(outputs, axis=0)  # type: ignore[no-any-return]
