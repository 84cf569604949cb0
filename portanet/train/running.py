"""The mean of losses that are read late, so that no step waits for the device."""

from __future__ import annotations

import math
from typing import Any

from portanet.errors import DataError, ShapeError
from portanet.protocols import Array
from portanet.tensor import unwrap

__all__ = ["RunningMean"]

_AT_ONCE = 128
"""So many losses are kept unread at most: they hold memory on the device."""


class RunningMean:
    """The mean over samples of losses that are means over batches.

    Attributes
    ----------
    total : float
        The sum over the samples whose losses were read.
    samples : int
        How many these are.
    """

    def __init__(self, losses: list[float] | None = None) -> None:
        self.total, self.samples = 0.0, 0
        self._losses = losses
        self._waiting: list[tuple[Array, int]] = []

    def add(self, loss: Any, samples: int) -> None:
        """Take the mean loss of a batch of so many samples.

        Raises
        ------
        ShapeError
            If it is not one number.
        DataError
            If there are no samples: a mean over none is NaN, and so are its gradients.
        """
        if not samples:
            raise DataError(
                "batch: expected at least one sample, got none. Leave batches without samples out of the data."
            )
        array = unwrap(loss)
        if getattr(array, "ndim", 0):
            if math.prod(array.shape) != 1:
                raise ShapeError(
                    f"loss: expected one number for a batch, got shape {tuple(array.shape)}. Take the mean, for "
                    "example with reduction='mean'."
                )
            array = array[(0,) * array.ndim]
        self._waiting.append((array, samples))
        if len(self._waiting) == _AT_ONCE:
            self.read()

    def read(self) -> None:
        """Read the losses that wait, in their order, so that sums do not depend on when this is called."""
        for loss, samples in self._waiting:
            value = float(loss)
            self.total += value * samples
            self.samples += samples
            if self._losses is not None:
                self._losses.append(value)
        self._waiting.clear()

    def mean(self) -> float:
        """The mean over all samples so far; NaN if there are none."""
        self.read()
        return self.total / self.samples if self.samples else math.nan
