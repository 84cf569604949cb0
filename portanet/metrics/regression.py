"""Streaming metrics of regression: mean squared and absolute error, and R²."""

from __future__ import annotations

from math import nan
from typing import ClassVar

from portanet.errors import ShapeError, StateDictError
from portanet.functions.creation import zeros
from portanet.functions.manipulation import stack
from portanet.metrics.metric import Metric
from portanet.metrics.reading import alike, read_batch, widest_float
from portanet.protocols import Array, Namespace, OpResult
from portanet.tensor import Tensor, lift

__all__ = ["MeanAbsoluteError", "MeanSquaredError", "R2"]


class _MeanError(Metric):
    state_names: ClassVar[tuple[str, ...]] = ("total", "count")
    default_name: ClassVar[str]
    power: ClassVar[int]

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
        outputs, targets = _matching(outputs, targets)
        if self.total is None:
            self.total = zeros((), dtype=widest_float(targets), device=targets.device)
        self.total = _add_errors(self.total, outputs, targets, power=self.power)
        self.count += targets.size

    def compute(self) -> float:
        self._require_batches(self.count)
        assert self.total is not None
        return float(self.total.item()) / self.count  # type: ignore[arg-type]


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
    power = 2


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
    power = 1


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

    state_names: ClassVar[tuple[str, ...]] = ("origin", "moments", "count")

    def __init__(self, *, name: str = "r2") -> None:
        self.name = name
        self.reset()

    def reset(self) -> None:
        self.origin: Tensor | None = None
        self.moments: Tensor | None = None
        self.count = 0

    def update(self, outputs: Array, targets: Array) -> None:
        """Take a batch, as :meth:`MeanSquaredError.update` does; samples lie along the first axis."""
        outputs, targets = _matching(outputs, targets)
        samples = targets.shape[0] if targets.shape else 1
        if self.origin is None or self.moments is None:
            dtype = widest_float(targets)
            self.origin = targets.detach().reshape(samples, -1)[0].astype(dtype)
            self.moments = zeros((3, *self.origin.shape), dtype=dtype, device=targets.device)
        if targets.size != samples * self.origin.size:
            raise ShapeError(
                f"targets: expected {self.origin.size} numbers in each sample, as before, got shape {targets.shape}."
            )
        self.moments = _join_moments(self.moments, self.origin, outputs, targets, count=self.count)
        self.count += samples

    def _join(self, other: R2) -> None:
        mine, its = self.moments, other.moments
        assert mine is not None
        assert its is not None
        assert self.origin is not None
        assert other.origin is not None
        if mine.shape != its.shape:
            raise StateDictError(
                f"state_dict does not fit R2: it has {its.shape[1]} outputs, expected {mine.shape[1]}. Nothing was "
                "changed."
            )
        count = self.count + other.count
        shift = (other.origin - self.origin) + (
            its[0, :] - mine[0, :]
        )  # each mean counts from its own origin
        between = shift * shift * (self.count * other.count / count)
        mean = mine[0, :] + shift * (other.count / count)
        self.moments = stack([mean, mine[1, :] + its[1, :] + between, mine[2, :] + its[2, :]])
        self.count = count

    def compute(self) -> float:
        self._require_batches(self.count)
        assert self.moments is not None
        if self.count < 2:
            return nan
        _, deviations, residuals = self.moments.tolist()
        values = [
            1 - residual / deviation if deviation else float(residual == 0)
            for deviation, residual in zip(deviations, residuals, strict=True)
        ]
        return sum(values) / len(values)


def _matching(outputs: Array, targets: Array) -> tuple[Tensor, Tensor]:
    outputs, targets = read_batch(outputs, targets)
    if not alike(outputs.shape, targets.shape):
        raise ShapeError(f"outputs: expected the shape of targets, {targets.shape}, got {outputs.shape}.")
    return outputs, targets


# Ops, which run on the arrays inside the Tensors; neither has a gradient.


@lift
def _add_errors(xp: Namespace, total: Array, outputs: Array, targets: Array, /, *, power: int) -> OpResult:
    """``total`` and the sum of the absolute (power 1) or squared (power 2) differences, in the type of ``total``."""
    outputs = outputs if outputs.shape == targets.shape else xp.reshape(outputs, targets.shape)
    difference = xp.astype(outputs, total.dtype) - xp.astype(targets, total.dtype)
    error = xp.abs(difference) if power == 1 else difference * difference
    return total + xp.sum(error), (None, None, None)


@lift
def _join_moments(
    xp: Namespace, moments: Array, origin: Array, outputs: Array, targets: Array, /, *, count: int
) -> OpResult:
    """The mean and the summed squares of deviations and residuals, (3, outputs), with those of one more batch.

    Targets count from ``origin`` on: then targets that are all the same have a deviation of exactly zero.
    """
    samples = targets.shape[0] if targets.ndim else 1
    outputs, targets = (
        xp.astype(xp.reshape(part, (samples, -1)), origin.dtype) - origin for part in (outputs, targets)
    )
    mean = xp.mean(targets, axis=0)
    deviation = xp.sum((targets - mean) ** 2, axis=0)
    residual = xp.sum((targets - outputs) ** 2, axis=0)
    share = samples / (count + samples)  # 1 for the first batch, whose mean is taken as it is
    shift = mean - moments[0, :]
    joined = [
        moments[0, :] + shift * share,
        moments[1, :] + deviation + shift * shift * (count * share),
        moments[2, :] + residual,
    ]
    return xp.stack(joined), (None, None, None, None)
