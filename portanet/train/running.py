"""The mean of losses that are read late, so that no step waits for the device."""

from __future__ import annotations

from typing import Any

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
        """Take the mean loss of a batch of so many samples."""
        self._waiting.append((unwrap(loss), samples))
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
        """The mean over all samples so far."""
        self.read()
        return self.total / self.samples
