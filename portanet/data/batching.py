"""How one batch is made, here or in a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portanet.data.dataset import has_batches, stack_samples
from portanet.data.orders import plain_numbers, whole_numbers
from portanet.data.streams import BatchStreams, Epoch
from portanet.random import stand_in

__all__ = ["BatchMaker", "StreamBatchMaker"]


class BatchMaker:
    """Makes batches of a dataset; all that a worker needs to know of its loader.

    Parameters
    ----------
    dataset
        Anything with ``__getitem__``; with ``batch(indices)`` a batch is taken at once.
    collate_fn : callable or None
        Makes a batch of a list of samples.
    """

    def __init__(self, dataset: Any, collate_fn: Callable[[list[Any]], Any] | None) -> None:
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.at_once = collate_fn is None and has_batches(dataset)

    def __call__(self, indices: Any, number: int, epoch: Epoch | None) -> Any:
        """The batch of these samples, which is batch ``number`` of the epoch; what it draws depends on these alone."""
        if epoch is None:
            return self._make(indices)
        token = stand_in.set(BatchStreams(epoch, number))
        try:
            return self._make(indices)
        finally:
            stand_in.reset(token)

    def _make(self, indices: Any) -> Any:
        if self.at_once:
            if isinstance(indices, slice):  # which would be cut off silently
                self._check_end(indices.stop)
            else:
                indices = whole_numbers("sampler or batch_sampler", indices)
            return self.dataset.batch(indices)
        samples = [self.dataset[index] for index in plain_numbers(indices)]
        return stack_samples(samples) if self.collate_fn is None else self.collate_fn(samples)

    def _check_end(self, end: int) -> None:
        count = len(self.dataset)
        if end > count:
            raise IndexError(f"sampler: expected numbers of {count} samples, got {end - 1}.")


class StreamBatchMaker(BatchMaker):
    """Makes batches of samples that the loader has read from a stream; a worker is not sent the stream itself."""

    def __init__(self, collate_fn: Callable[[list[Any]], Any] | None) -> None:
        super().__init__(None, collate_fn)

    def _make(self, samples: list[Any]) -> Any:
        return stack_samples(samples) if self.collate_fn is None else self.collate_fn(samples)
