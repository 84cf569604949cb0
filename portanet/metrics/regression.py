"""Streaming metrics of regression: mean squared and absolute error, and R²."""

from __future__ import annotations

from math import nan
from typing import ClassVar

from portanet.errors import ShapeError
from portanet.functions.elementwise import abs as absolute
from portanet.metrics.metric import Metric, read_batch, same_shape, widest_float
from portanet.protocols import Array
from portanet.tensor import Tensor

__all__ = ["MeanAbsoluteError", "MeanSquaredError", "R2"]


class _MeanError(Metric):
    state_names: ClassVar[tuple[str, ...]] = ("total", "count")
    default_name: ClassVar[str]

    def __init__(self, *, name: str | None = None) -> None:
        self.name = self.default_name if name is None else name
        self.reset()

    def reset(self) -> None:
        self.total: Tensor | None = None
        self.count = 0

    def update(self, outputs: Array, targets: Array) -> None:
        """Take a batch of outputs and targets of one shape (an axis of length 1 may be more or less at the end).

        They are subtracted and added up in float64, or in float32 on a device that has no float64.

        Raises
        ------
        ShapeError, DTypeError, DataError
            If their shapes differ, they are no real numbers, or there are none.
        """
        outputs, targets = _wide_pair(outputs, targets)
        error = self._error(outputs - targets).sum()
        self.total = error if self.total is None else self.total + error
        self.count += targets.size

    def compute(self) -> float:
        self._require_batches(self.count)
        assert self.total is not None
        return float(self.total.item()) / self.count  # type: ignore[arg-type]

    def _error(self, difference: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define _error().")


class MeanSquaredError(_MeanError):
    """Mean of the squared differences, over all samples and outputs.

    Parameters
    ----------
    name : str, default "mse"
        What it is called.

    Examples
    --------
    >>> metric = pn.metrics.MeanSquaredError()
    >>> metric.update(pn.asarray([1.0, 2.0]), pn.asarray([1.0, 4.0]))
    >>> metric.compute()
    2.0
    """

    default_name = "mse"

    def _error(self, difference: Tensor) -> Tensor:
        squares: Tensor = difference * difference
        return squares


class MeanAbsoluteError(_MeanError):
    """Mean of the absolute differences, over all samples and outputs.

    Parameters
    ----------
    name : str, default "mae"
        What it is called.

    Examples
    --------
    >>> metric = pn.metrics.MeanAbsoluteError()
    >>> metric.update(pn.asarray([1.0, 2.0]), pn.asarray([1.0, 4.0]))
    >>> metric.compute()
    1.0
    """

    default_name = "mae"

    def _error(self, difference: Tensor) -> Tensor:
        absolutes: Tensor = absolute(difference)
        return absolutes


class R2(Metric):
    """Coefficient of determination: the share of the targets' variance that the outputs explain.

    Several outputs, along the axes after the first, are averaged with equal weight. As in scikit-learn, targets that
    are all the same give 1 if they are met exactly and else 0, and fewer than two samples give NaN.

    Parameters
    ----------
    name : str, default "r2"
        What it is called.

    Notes
    -----
    Means and squared deviations of batches are joined by the formulas of T. F. Chan, G. H. Golub and R. J. LeVeque,
    "Updating formulae and a pairwise algorithm for computing sample variances" (1979), so that a large mean
    does not cost the digits of a small variance.

    Examples
    --------
    >>> metric = pn.metrics.R2()
    >>> metric.update(pn.asarray([1.0, 2.0]), pn.asarray([1.0, 3.0]))
    >>> metric.update(pn.asarray([4.0]), pn.asarray([5.0]))
    >>> metric.compute()
    0.75
    """

    state_names: ClassVar[tuple[str, ...]] = ("origin", "mean", "deviation", "residual", "count")

    def __init__(self, *, name: str = "r2") -> None:
        self.name = name
        self.reset()

    def reset(self) -> None:
        self.origin: Tensor | None = None
        self.mean: Tensor | None = None
        self.deviation: Tensor | None = None
        self.residual: Tensor | None = None
        self.count = 0

    def update(self, outputs: Array, targets: Array) -> None:
        """Take a batch, as :meth:`MeanSquaredError.update` does; samples lie along the first axis."""
        outputs, targets = _wide_pair(outputs, targets)
        samples = targets.shape[0] if targets.shape else 1
        outputs, targets = outputs.reshape(samples, -1), targets.reshape(samples, -1)
        if self.origin is None:
            self.origin = targets[0]
        # From the first target on: then targets that are all the same have a deviation of exactly zero.
        targets, outputs = targets - self.origin, outputs - self.origin
        mean = targets.mean(axis=0)
        deviation = ((targets - mean) ** 2).sum(axis=0)
        residual = ((targets - outputs) ** 2).sum(axis=0)
        if self.mean is None or self.deviation is None or self.residual is None:
            self.mean, self.deviation, self.residual = mean, deviation, residual
        else:
            count = self.count + samples
            shift = mean - self.mean
            self.mean = self.mean + shift * (samples / count)
            self.deviation = self.deviation + deviation + shift * shift * (self.count * samples / count)
            self.residual = self.residual + residual
        self.count += samples

    def compute(self) -> float:
        self._require_batches(self.count)
        assert self.deviation is not None
        assert self.residual is not None
        if self.count < 2:
            return nan
        values = [
            1 - residual / deviation if deviation else float(residual == 0)
            for deviation, residual in zip(self.deviation.tolist(), self.residual.tolist(), strict=True)
        ]
        return sum(values) / len(values)


def _wide_pair(outputs: Array, targets: Array) -> tuple[Tensor, Tensor]:
    outputs, targets = read_batch(outputs, targets)
    alike = same_shape(outputs, targets)
    if alike is None:
        raise ShapeError(f"outputs: expected the shape of targets, {targets.shape}, got {outputs.shape}.")
    dtype = widest_float(targets)
    return alike.astype(dtype), targets.astype(dtype)
