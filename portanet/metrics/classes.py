"""Functions of predicted and true classes, which are read on the host at once."""

from __future__ import annotations

from typing import Any

from portanet.backend import backend_of
from portanet.checks import whole_number
from portanet.errors import DataError, DTypeError, ShapeError
from portanet.functions.inspection import to_host
from portanet.protocols import Array
from portanet.tensor import Tensor, asarray, unwrap

__all__ = ["accuracy", "confusion_matrix", "f1", "precision", "recall"]

_MOST_CLASSES = 10_000  # a label that is an identity number and no class would fill the memory


def _classes(predictions: Array, targets: Array) -> tuple[Any, Any]:
    """Both as host arrays of integers, after checks."""
    hosts = []
    for name, value in (("predictions", predictions), ("targets", targets)):
        if backend_of(unwrap(value)) is None and not isinstance(value, (list, tuple)):
            raise DTypeError(f"{name}: expected classes as an array of integers, got {type(value).__name__}.")
        tensor = value if isinstance(value, Tensor) else asarray(value)
        if tensor.dtype.is_differentiable:
            raise DTypeError(
                f"{name}: expected classes as integers or booleans, got {tensor.dtype.name}. Take them from logits "
                "with portanet.argmax(logits, axis=1), or logits > 0 for two classes."
            )
        hosts.append(to_host(tensor.astype(tensor.__array_namespace__().int64)))
    if hosts[0].shape != hosts[1].shape:
        raise ShapeError(
            f"targets: expected the shape of predictions, {hosts[0].shape}, got {hosts[1].shape}."
        )
    if hosts[0].size == 0:
        raise DataError("predictions: expected at least one, got none.")
    return hosts[0], hosts[1]


def accuracy(predictions: Array, targets: Array) -> float:
    """Share of predictions that are right.

    Parameters
    ----------
    predictions, targets : Array
        Classes, integers or booleans of one shape.

    Examples
    --------
    >>> pn.metrics.accuracy(pn.asarray([0, 1, 1, 0]), pn.asarray([0, 1, 0, 0]))
    0.75
    """
    p, t = _classes(predictions, targets)
    return float((p == t).mean())


def precision(predictions: Array, targets: Array, positive: int = 1) -> float:
    """Share of the predicted positives that are positive; NaN if none was predicted.

    Parameters
    ----------
    predictions, targets : Array
        Classes, integers or booleans of one shape.
    positive : int, default 1
        The class that counts as positive.

    Examples
    --------
    >>> pn.metrics.precision(pn.asarray([0, 1, 1, 0]), pn.asarray([0, 1, 0, 0]))
    0.5
    """
    hits, predicted, _ = _counts(predictions, targets, positive)
    return _ratio(hits, predicted)


def recall(predictions: Array, targets: Array, positive: int = 1) -> float:
    """Share of the positives that were predicted; NaN if there are none. Arguments as in :func:`precision`.

    Examples
    --------
    >>> pn.metrics.recall(pn.asarray([0, 1, 1, 0]), pn.asarray([0, 1, 0, 0]))
    1.0
    """
    hits, _, actual = _counts(predictions, targets, positive)
    return _ratio(hits, actual)


def f1(predictions: Array, targets: Array, positive: int = 1) -> float:
    """Harmonic mean of precision and recall; NaN if there are no positives and none was predicted.

    Arguments as in :func:`precision`.

    Examples
    --------
    >>> pn.metrics.f1(pn.asarray([0, 1, 1, 0]), pn.asarray([0, 1, 0, 0]))
    0.6666666666666666
    """
    hits, predicted, actual = _counts(predictions, targets, positive)
    return _ratio(2 * hits, predicted + actual)


def _counts(predictions: Array, targets: Array, positive: int) -> tuple[int, int, int]:
    """How often the positive class was both, was predicted, and was true."""
    p, t = (part == whole_number("positive", positive) for part in _classes(predictions, targets))
    return int((p & t).sum()), int(p.sum()), int(t.sum())


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def confusion_matrix(predictions: Array, targets: Array, num_classes: int | None = None) -> Tensor:
    """How often each class (rows) was predicted as each class (columns).

    Parameters
    ----------
    predictions, targets : Array
        Classes, integers or booleans of one shape.
    num_classes : int, optional
        Default: one more than the largest class that occurs.

    Returns
    -------
    Tensor
        Shape (num_classes, num_classes), int64.

    Raises
    ------
    DataError
        If a class is negative or not below ``num_classes``, or that was not given and a class is 10,000 or more.

    Examples
    --------
    >>> pn.metrics.confusion_matrix(pn.asarray([0, 1, 1, 0]), pn.asarray([0, 1, 0, 0])).tolist()
    [[2, 1], [0, 1]]
    """
    p, t = _classes(predictions, targets)
    highest, lowest = max(int(p.max()), int(t.max())), min(int(p.min()), int(t.min()))
    count = highest + 1 if num_classes is None else whole_number("num_classes", num_classes, low=1)
    if lowest < 0 or highest >= count:
        raise DataError(
            f"predictions, targets: classes must be from 0 to {count - 1}, got {lowest} to {highest}."
        )
    if num_classes is None and count > _MOST_CLASSES:
        raise DataError(
            f"predictions, targets: class {highest} occurs, so the matrix would have {count**2:,} cells. Number "
            "classes from 0 without gaps, or give num_classes."
        )
    xp = p.__array_namespace__()
    places = t.reshape(-1) * count + p.reshape(-1)
    return asarray(xp.bincount(places, minlength=count * count).reshape(count, count))
