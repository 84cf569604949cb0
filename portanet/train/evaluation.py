"""Losses and metrics of a model on data, and its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from portanet.backend import backend_of
from portanet.checks import whole_number
from portanet.errors import DataError, ShapeError
from portanet.functions.manipulation import concat
from portanet.graph import no_grad
from portanet.nn.module import Module
from portanet.tensor import Tensor, asarray
from portanet.train.arguments import check_batches, check_metrics
from portanet.train.running import RunningMean

__all__ = [
    "evaluate",
    "in_evaluation_mode",
    "measure",
    "metric_values",
    "no_batches",
    "predict",
    "sample_count",
    "split_batch",
]


def split_batch(batch: Any, name: str = "data") -> tuple[Sequence[Any], Any]:
    """The inputs and the target of a batch: the last part is the target, what stands before it goes to the model.

    Raises
    ------
    DataError
        If it is no tuple or list of at least two parts.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        parts = f" of {len(batch)}" if isinstance(batch, (tuple, list)) else ""
        raise DataError(
            f"{name}: expected batches of at least two parts, (inputs, target), got a {type(batch).__name__}{parts}. "
            "Arrays make batches in DataLoader(TensorDataset(inputs, targets), batch_size)."
        )
    return batch[:-1], batch[-1]


def sample_count(inputs: Any) -> int:
    """How many samples a batch has: the length of its first array, be it in a dict, a list or a tuple."""
    while isinstance(inputs, (tuple, list, dict)) and inputs:
        inputs = next(iter(inputs.values())) if isinstance(inputs, dict) else inputs[0]
    return len(inputs)


def no_batches(name: str) -> DataError:
    """The error of data that have no batches."""
    return DataError(f"{name}: expected at least one batch, got none. An iterator is used up after one pass.")


def metric_values(metrics: Iterable[Any], prefix: str = "") -> dict[str, Any]:
    """What metrics give now, as Python numbers or nested lists of them."""
    found = {f"{prefix}{metric.name}": metric.compute() for metric in metrics}
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in found.items()}


@contextmanager
def in_evaluation_mode(model: Module) -> Iterator[None]:
    """Without dropout and without gradients; afterwards each module trains if it did before."""
    if not isinstance(model, Module):
        raise TypeError(f"model: expected a portanet.nn.Module, got {type(model).__name__}.")
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
    TypeError
        If data are no iterable of batches, or a metric is none.

    Examples
    --------
    >>> model = pn.nn.Identity()
    >>> data = [(pn.asarray([[1.0], [2.0]]), pn.asarray([[1.0], [4.0]])), (pn.asarray([[0.0]]), pn.asarray([[1.0]]))]
    >>> round(pn.train.evaluate(model, data, loss=pn.nn.MSELoss())["loss"], 6)  # (0 + 4 + 1) / 3
    1.666667
    """
    check_batches("data", data)
    return measure("data", model, data, loss, check_metrics(metrics))


def measure(
    name: str,
    model: Module,
    data: Iterable[Any],
    loss: Callable[[Any, Any], Tensor] | None,
    metrics: list[Any],
) -> dict[str, Any]:
    """What :func:`evaluate` gives, for data that an error calls by this name."""
    for metric in metrics:
        metric.reset()
    running, batches = RunningMean(), 0
    with in_evaluation_mode(model):
        for batch in data:
            inputs, target = split_batch(batch, name)
            outputs = model(*inputs)
            if loss is not None:
                running.add(loss(outputs, target), sample_count(inputs))
            for metric in metrics:
                metric.update(outputs, target)
            batches += 1
    if not batches:
        raise no_batches(name)
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
    ShapeError
        If an array is a single number.
    TypeError
        If data are neither an array nor an iterable of batches, or the model returns something else than a Tensor.

    Examples
    --------
    >>> pn.train.predict(pn.nn.ReLU(), pn.asarray([[-1.0], [2.0]])).tolist()
    [[0.0], [2.0]]
    """
    batch_size = whole_number("batch_size", batch_size, low=1)
    if isinstance(data, Tensor) or backend_of(data) is not None:
        whole = asarray(data)
        if not whole.ndim:
            raise ShapeError("data: expected an array of samples along its first axis, got a single number.")
        starts = range(0, max(1, whole.shape[0]), batch_size)  # no samples are one batch, which is empty
        data = [whole[start : start + batch_size] for start in starts]
    check_batches("data", data)
    outputs = []
    with in_evaluation_mode(model):
        for batch in data:
            inputs = batch if isinstance(batch, (tuple, list)) else (batch,)
            output = model(*inputs[:-1] if len(inputs) > 1 else inputs)
            if not isinstance(output, Tensor):
                raise TypeError(
                    f"model: expected one that returns a Tensor, got {type(output).__name__}. Call it on the batches "
                    "yourself, and join what you need."
                )
            outputs.append(output)
    if not outputs:
        raise no_batches("data")
    return concat(outputs, axis=0)  # type: ignore[no-any-return]
