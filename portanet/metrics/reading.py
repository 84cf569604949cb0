"""How a batch is read: what belongs together, and the ops that take classes and numbers out of it.

A metric runs beside every step of the training, so an update is as few calls as it can be: shapes and data types are
looked at here, on the host, and one op does the arithmetic on the arrays themselves.
"""

from __future__ import annotations

from typing import NamedTuple

from portanet.backend import backend_of
from portanet.dtypes import DType, float32, float64
from portanet.errors import DataError, DTypeError, ShapeError
from portanet.functions.inspection import array_namespace_info
from portanet.protocols import Array, Namespace, OpResult
from portanet.tensor import Tensor, asarray, lift, unwrap

__all__ = ["Reading", "alike", "class_pairs", "count_hits", "read_batch", "read_classes", "widest_float"]


def read_batch(outputs: Array, targets: Array) -> tuple[Tensor, Tensor]:
    """Both as Tensors; an array or a list goes to where the other one is.

    Raises
    ------
    DTypeError
        If one of them is no array of real numbers.
    DataError
        If there are no samples.
    """
    for name, value in (("outputs", outputs), ("targets", targets)):
        if backend_of(unwrap(value)) is None and not isinstance(value, (list, tuple)):
            raise DTypeError(f"{name}: expected an array of numbers, got {type(value).__name__}.")
    if not isinstance(outputs, Tensor):
        outputs = asarray(outputs, device=targets.device if isinstance(targets, Tensor) else None)
    if not isinstance(targets, Tensor):
        targets = asarray(targets, device=outputs.device)
    for name, value in (("outputs", outputs), ("targets", targets)):
        if value.dtype.kind.startswith("complex"):
            raise DTypeError(
                f"{name}: expected real numbers, got {value.dtype.name}. Take their abs or real part."
            )
        if value.size == 0:
            raise DataError(f"{name}: expected at least one sample, got shape {value.shape}.")
    return outputs, targets


def alike(outputs: tuple[int, ...], targets: tuple[int, ...]) -> bool:
    """Whether there is one output for each target: the second or the last axis may be missing if its length is 1."""
    if outputs == targets:
        return True
    longer, shorter = (outputs, targets) if len(outputs) > len(targets) else (targets, outputs)
    return (*shorter, 1) == longer or (*shorter[:1], 1, *shorter[1:]) == longer


class Reading(NamedTuple):
    """How classes are read from outputs."""

    kind: str
    """``"logit"``: one for each target; ``"logits"``: along the second axis; ``"classes"``: they are classes."""
    threshold: float
    """A single logit above it means class 1."""
    classes: int | None
    """How many the outputs tell apart; None if they are classes already."""
    float_targets: bool
    """Targets above one half are class 1."""


def read_classes(outputs: Array, targets: Array, threshold: float) -> tuple[Tensor, Tensor, Reading]:
    """The outputs, the targets, and how to read classes from them.

    Parameters
    ----------
    outputs : array
        Logits of shape (n, classes, ...) with targets of shape (n, ...); or one logit for each target, positive above
        the threshold; or classes themselves, integers or booleans, whose number is then not known.
    targets : array
        Classes; beside single logits floating-point numbers, too, positive above one half.
    threshold : float
        For single logits.

    Raises
    ------
    ShapeError, DTypeError, DataError
        If they do not belong together, are no classes, or there are none.
    """
    outputs, targets = read_batch(outputs, targets)
    shape, expected = outputs.shape, targets.shape
    floating = outputs.dtype.is_floating
    if alike(shape, expected):
        kind, classes = ("logit", 2) if floating else ("classes", None)
    elif floating and len(shape) > 1 and shape[:1] + shape[2:] == expected:
        kind, classes = "logits", shape[1]
    else:
        raise ShapeError(
            "outputs: expected logits of shape (n, classes, ...) for targets of shape (n, ...), or the targets' own "
            f"shape {expected}, got {shape}."
        )
    float_targets = targets.dtype.is_floating
    if float_targets and kind != "logit":
        raise DTypeError(f"targets: expected classes as integers or booleans, got {targets.dtype.name}.")
    return outputs, targets, Reading(kind, threshold, classes, float_targets)


def widest_float(tensor: Tensor) -> DType:
    """float64, or float32 on a device that has no float64."""
    known = array_namespace_info().dtypes(device=tensor.device, kind="real floating")
    return float64 if "float64" in known else float32


# Ops, which run on the arrays inside the Tensors; none of them has a gradient.


def _predicted_and_actual(
    xp: Namespace, outputs: Array, targets: Array, reading: Reading
) -> tuple[Array, Array]:
    """Classes of the targets' shape, both as booleans or both as int64."""
    if reading.kind == "logits":
        predicted = xp.argmax(outputs, axis=1)
    else:
        predicted = outputs if outputs.shape == targets.shape else xp.reshape(outputs, targets.shape)
        if reading.kind == "logit":
            predicted = predicted > reading.threshold
            if reading.float_targets:
                return predicted, targets > 0.5
    return _integers(xp, predicted), _integers(xp, targets)


def _integers(xp: Namespace, classes: Array) -> Array:
    return classes if classes.dtype == xp.int64 else xp.astype(classes, xp.int64)


@lift
def count_hits(
    xp: Namespace, hits: Array, outputs: Array, targets: Array, /, *, reading: Reading
) -> OpResult:
    """``hits`` and how many predicted classes are the true ones."""
    predicted, actual = _predicted_and_actual(xp, outputs, targets, reading)
    return hits + xp.count_nonzero(predicted == actual), (None, None, None)


@lift
def class_pairs(xp: Namespace, outputs: Array, targets: Array, /, *, reading: Reading) -> OpResult:
    """The predicted and the true classes in an int64 array of shape (2, samples), which shares no memory with them."""
    pair = _predicted_and_actual(xp, outputs, targets, reading)
    return xp.stack([xp.reshape(_integers(xp, part), (-1,)) for part in pair]), (None, None)
