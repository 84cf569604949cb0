"""What every streaming metric is, and how it reads a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from portanet.backend import backend_of
from portanet.dtypes import DType, float32, float64, int64
from portanet.errors import DataError, DTypeError, ShapeError, StateDictError
from portanet.functions.inspection import array_namespace_info
from portanet.functions.reductions import argmax
from portanet.protocols import Array
from portanet.tensor import Tensor, asarray, unwrap

__all__ = ["Metric", "as_integers", "read_batch", "read_classes", "same_shape", "widest_float"]


class Metric:
    """The base class of streaming metrics: define ``reset``, ``update`` and ``compute``.

    Attributes
    ----------
    name : str
        What the metric is called in a history or a table.
    state_names : tuple of str
        The attributes that :meth:`state_dict` takes; a subclass that names its own can be saved in the middle of an
        epoch.
    """

    name: str
    state_names: ClassVar[tuple[str, ...]] = ()

    def reset(self) -> None:
        """Forget every batch."""
        raise NotImplementedError(f"{type(self).__name__} must define reset().")

    def update(self, outputs: Array, targets: Array) -> None:
        """Take a batch: what the model gave, and the true values."""
        raise NotImplementedError(f"{type(self).__name__} must define update(outputs, targets).")

    def compute(self) -> float | Tensor:
        """The value over all batches since :meth:`reset`."""
        raise NotImplementedError(f"{type(self).__name__} must define compute().")

    def state_dict(self) -> dict[str, Any]:
        """What was counted so far, as Tensors and numbers; empty before the first batch."""
        return {name: value for name in self.state_names if (value := getattr(self, name)) is not None}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave.

        Raises
        ------
        StateDictError
            If it has names that this metric has not; nothing is changed then.
        """
        unknown = sorted(set(state_dict) - set(self.state_names))
        if unknown:
            raise StateDictError(
                f"state_dict does not fit {type(self).__name__}: it has {', '.join(unknown)}, expected "
                f"{', '.join(self.state_names) or 'nothing'}. Nothing was changed."
            )
        self.reset()
        for name, value in state_dict.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"

    def _require_batches(self, seen: Any) -> None:
        if not seen:
            raise DataError(f"{type(self).__name__}: there is nothing to compute, call update() first.")


def read_batch(outputs: Array, targets: Array) -> tuple[Tensor, Tensor]:
    """Both as Tensors without a history; an array or a list goes to where the other one is.

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
    if outputs.requires_grad:
        outputs = outputs.detach()
    return outputs, targets.detach() if targets.requires_grad else targets


def same_shape(outputs: Tensor, targets: Tensor) -> Tensor | None:
    """The outputs in the shape of the targets, or None; only an axis of length 1 may be more or less at the end."""
    if outputs.shape == targets.shape:
        return outputs
    if outputs.shape == (*targets.shape, 1) or (*outputs.shape, 1) == targets.shape:
        return outputs.reshape(targets.shape)
    return None


def read_classes(outputs: Array, targets: Array, threshold: float = 0.0) -> tuple[Tensor, Tensor, int | None]:
    """The predicted and the true classes, of one shape, and how many classes the outputs tell apart.

    Both are booleans or both are integers. A step of a small network takes no longer than twenty calls here, so there
    is none that is not needed.

    Parameters
    ----------
    outputs : array
        Logits of shape (n, classes, ...) with targets of shape (n, ...); or one logit for each target, positive above
        the threshold; or classes themselves, integers or booleans, whose number is then not known.
    targets : array
        Classes; beside single logits floating-point numbers, too, positive above one half.
    threshold : float
        For single logits.
    """
    outputs, targets = read_batch(outputs, targets)
    classes: int | None = None
    predicted = same_shape(outputs, targets)
    if predicted is not None:
        if outputs.dtype.is_floating:
            predicted, classes = predicted > threshold, 2
            if targets.dtype.is_floating:
                return predicted, targets > 0.5, 2
    elif outputs.dtype.is_floating and outputs.shape[:1] + outputs.shape[2:] == targets.shape:
        predicted, classes = argmax(outputs, axis=1), outputs.shape[1]
    else:
        raise shape_error(outputs, targets)
    if targets.dtype.is_floating:
        raise DTypeError(f"targets: expected classes as integers or booleans, got {targets.dtype.name}.")
    return as_integers(predicted), as_integers(targets), classes


def as_integers(classes: Tensor) -> Tensor:
    """Classes as int64."""
    return classes if classes.dtype == int64 else classes.astype(int64)


def shape_error(outputs: Tensor, targets: Tensor) -> ShapeError:
    """The error of outputs and targets that do not belong together."""
    return ShapeError(
        f"outputs: expected logits of shape (n, classes, ...) for targets of shape (n, ...), or the targets' own shape "
        f"{targets.shape}, got {outputs.shape}."
    )


def widest_float(tensor: Tensor) -> DType:
    """float64, or float32 on a device that has no float64."""
    known = array_namespace_info().dtypes(device=tensor.device, kind="real floating")
    return float64 if "float64" in known else float32
