"""DataLoader: batches of a dataset, in order or shuffled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from portanet.checks import whole_number
from portanet.data.dataset import BatchedDataset, stack_samples
from portanet.errors import DataError
from portanet.random import Generator, permutation_on_host

__all__ = ["DataLoader"]


class DataLoader:
    """Iterates over a dataset in batches; each ``for`` loop is one epoch of its own.

    Parameters
    ----------
    dataset
        Anything with ``__len__`` and ``__getitem__``. If it has ``batch(indices)``, too, as
        :class:`TensorDataset`, a batch is taken at once and not sample by sample.
    batch_size : int, default 1
        Samples in a batch; the last one may be smaller.
    shuffle : bool, default False
        A new random order each epoch, the same on every backend for the same seed.
    drop_last : bool, default False
        Leave out a last batch that is smaller.
    collate_fn : callable, optional
        Makes a batch of a list of samples; default: stack them.
    generator : Generator, optional
        What shuffles; default: the one that ``portanet.manual_seed`` seeds.

    Raises
    ------
    DataError
        If the dataset is empty.

    Examples
    --------
    >>> loader = pn.data.DataLoader(pn.data.TensorDataset(pn.arange(5)), batch_size=2)
    >>> [batch.tolist() for (batch,) in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        generator: Generator | None = None,
    ) -> None:
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise TypeError(
                "dataset: expected something with __len__ and __getitem__, got "
                f"{type(dataset).__name__}. Wrap arrays in "
                "portanet.data.TensorDataset(...)."
            )
        if len(dataset) == 0:
            raise DataError("dataset: expected at least one sample, got an empty dataset.")
        batch_size = whole_number("batch_size", batch_size, low=1)
        if collate_fn is not None and not callable(collate_fn):
            raise TypeError(f"collate_fn: expected a callable, got {type(collate_fn).__name__}.")
        if generator is not None and not isinstance(generator, Generator):
            raise TypeError(
                f"generator: expected a portanet.random.Generator, got {type(generator).__name__}."
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.collate_fn = collate_fn
        self.generator = generator

    def __len__(self) -> int:
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        count = len(self.dataset)
        order = permutation_on_host(count, self.generator) if self.shuffle else None
        return self._batches(count, order)

    def _batches(self, count: int, order: Any) -> Iterator[Any]:
        at_once = self.collate_fn is None and isinstance(self.dataset, BatchedDataset)
        for start in range(0, count, self.batch_size):
            end = min(start + self.batch_size, count)
            if self.drop_last and end - start < self.batch_size:
                return
            if at_once:
                yield self.dataset.batch(slice(start, end) if order is None else order[start:end])
                continue
            numbers = range(start, end) if order is None else order[start:end].tolist()
            samples = [self.dataset[number] for number in numbers]
            yield stack_samples(samples) if self.collate_fn is None else self.collate_fn(samples)
