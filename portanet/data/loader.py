"""DataLoader: batches of a dataset, in order or as a sampler has it, made here or by workers."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Set
from itertools import islice
from typing import TYPE_CHECKING, Any

from portanet.checks import check_number, whole_number
from portanet.data.batch_sampler import BatchSampler, repeatable
from portanet.data.batching import BatchMaker, StreamBatchMaker
from portanet.data.samplers import RandomSampler, SequentialSampler
from portanet.data.streams import Epoch, EpochStreams
from portanet.errors import DataError, OptionError
from portanet.random import Generator, checked_generator, default_generator, stand_in

if TYPE_CHECKING:
    from portanet.data.workers import Pool

__all__ = ["DataLoader"]

KINDS = ("threads", "processes")


class DataLoader:
    """Iterates over a dataset in batches; each ``for`` loop is one epoch of its own.

    Workers make batches ahead of the loop that takes them. Which batches come, in which order, and what the dataset
    draws from :mod:`portanet.random` while it makes them, depends on the seed alone: no workers, threads and
    processes give the same. An error in a worker is raised where its batch would have come. Leaving the loop early
    stops the workers; threads first finish the batch that they are at.

    Parameters
    ----------
    dataset
        Anything with ``__len__`` and ``__getitem__``. If it has ``batch(indices)``, too, as
        :class:`TensorDataset`, a batch is taken at once and not sample by sample. Or a stream, as
        :class:`IterableDataset`, whose samples come in its own order: the loop itself reads it, and workers have the
        rest of the work, ``collate_fn``, where what takes long belongs.
    batch_size : int, default 1
        Samples in a batch; the last one may be smaller.
    shuffle : bool, default False
        A new random order each epoch, the same on every backend for the same seed.
    sampler : iterable of int, optional
        Gives the numbers of the samples of each epoch, instead of ``shuffle``.
    batch_sampler : iterable of list of int, optional
        Gives the batches themselves, instead of ``batch_size``, ``shuffle``, ``sampler`` and ``drop_last``.
    drop_last : bool, default False
        Leave out a last batch that is smaller.
    collate_fn : callable, optional
        Makes a batch of a list of samples; default: stack them.
    num_workers : int, default 0
        How many workers make batches; 0: they are made when they are asked for.
    workers : {"threads", "processes"}, default "threads"
        Threads share the dataset and start at once; they help where samples come from files or from array operations,
        which let other threads run. Processes also run Python code side by side. They are started afresh (never
        forked), so the dataset must be one that :mod:`pickle` can send, and a script needs ``if __name__ ==
        "__main__":`` around what it does. Each has a copy of the dataset as it was when they were started: large
        arrays are better read from files, as :class:`MappedDataset` does. They make batches on NumPy, which become
        Tensors of the backend in use on arrival.
    prefetch_factor : int, default 2
        How many batches for each worker may be in the making or wait to be taken.
    timeout : float, default 0
        The longest time in seconds to wait for a batch from the workers; 0: as long as it takes.
    persistent_workers : bool, default False
        Keep the workers from one epoch to the next, until the loader is let go.
    generator : Generator, optional
        What shuffles, and what seeds the draws of samplers and datasets; default: the one that
        ``portanet.manual_seed`` seeds. An epoch takes one stream from it; an epoch in order over arrays draws
        nothing and takes none.

    Raises
    ------
    DataError
        If the dataset is empty.
    OptionError
        If an option is out of its domain or contradicts another one.

    Examples
    --------
    >>> loader = pn.data.DataLoader(pn.data.TensorDataset(pn.arange(5)), batch_size=2, num_workers=2)
    >>> [batch.tolist() for (batch,) in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        num_workers: int = 0,
        workers: str = "threads",
        prefetch_factor: int = 2,
        timeout: float = 0.0,
        persistent_workers: bool = False,
        generator: Generator | None = None,
    ) -> None:
        # A set could be gone through, too, but has no order of its own.
        by_number = hasattr(dataset, "__getitem__") or isinstance(dataset, Set)
        self.is_stream = hasattr(dataset, "__iter__") and not by_number
        if self.is_stream:
            _check_stream(dataset, shuffle, sampler, batch_sampler)
        else:
            _check_dataset(dataset)
        batch_size = whole_number("batch_size", batch_size, low=1)
        if collate_fn is not None and not callable(collate_fn):
            raise TypeError(f"collate_fn: expected a callable, got {type(collate_fn).__name__}.")
        _check_samplers(batch_size, shuffle, sampler, batch_sampler, drop_last)
        self.num_workers = whole_number("num_workers", num_workers, low=0)
        if workers not in KINDS:
            raise OptionError(f"workers: expected 'threads' or 'processes', got {workers!r}.")
        check_number("timeout", timeout, low=0.0, high=threading.TIMEOUT_MAX)
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.collate_fn = collate_fn
        self.generator = checked_generator(generator)
        self.workers = workers
        self.prefetch_factor = whole_number("prefetch_factor", prefetch_factor, low=1)
        self.timeout = timeout
        self.persistent_workers = persistent_workers
        if self.is_stream:
            sampler = dataset
        elif sampler is None:
            sampler = RandomSampler(dataset) if shuffle else SequentialSampler(dataset)
        self.sampler = sampler
        self.batch_sampler = (
            BatchSampler(sampler, batch_size, drop_last)
            if batch_sampler is None
            else repeatable("batch_sampler", batch_sampler)
        )
        self._pool: Pool | None = None
        self._stop_when_dropped: weakref.finalize[..., DataLoader] | None = None

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Any]:
        return self.iterate()

    def iterate(self, skip: int = 0) -> Iterator[Any]:
        """One epoch from batch number ``skip`` on.

        The order is drawn as for a whole epoch, and batches keep what they would have drawn there, so that a run
        that was interrupted goes on exactly. What comes before is not loaded.

        Parameters
        ----------
        skip : int, default 0
            How many batches to leave out.

        Examples
        --------
        >>> loader = pn.data.DataLoader(pn.data.TensorDataset(pn.arange(5)), batch_size=2)
        >>> [batch.tolist() for (batch,) in loader.iterate(skip=1)]
        [[2, 3], [4]]
        """
        skip = whole_number("skip", skip, low=0)
        make = (
            StreamBatchMaker(self.collate_fn) if self.is_stream else BatchMaker(self.dataset, self.collate_fn)
        )
        epoch = self._next_epoch(make)
        batches = enumerate(self._layout(epoch))
        for _ in islice(
            batches, skip
        ):  # now, and not when the first one is asked for: a sampler may draw there
            continue
        if self.num_workers == 0:
            return (make(indices, number, epoch) for number, indices in batches)
        from portanet.data.workers import Prefetch, prefetched

        settings = Prefetch(
            self.num_workers * self.prefetch_factor, self.timeout, not self.persistent_workers
        )
        return prefetched(lambda: self._workers(make), batches, epoch, settings)

    def _next_epoch(self, make: BatchMaker) -> Epoch | None:
        batches = self.batch_sampler
        in_order = type(batches) is BatchSampler and type(batches.sampler) is SequentialSampler
        if in_order and make.at_once and not getattr(self.dataset, "draws", True):
            return None
        return (self.generator or default_generator).next_stream()

    def _layout(self, epoch: Epoch | None) -> Iterator[Any]:
        """The numbers of each batch's samples; of a stream, the samples.

        What samplers and streams draw without a generator of their own comes from the epoch's streams.
        """
        if epoch is None:
            assert isinstance(self.batch_sampler, BatchSampler)
            return self.batch_sampler.batches()
        streams = EpochStreams(epoch)
        token = stand_in.set(streams)
        try:
            sampler = self.batch_sampler
            if isinstance(sampler, BatchSampler) and type(sampler).__iter__ is BatchSampler.__iter__:
                batches = sampler.batches()
                if sampler.lays_out_at_once:
                    return batches
            else:
                batches = iter(sampler)
        finally:
            stand_in.reset(token)
        return _drawing_from(streams, batches)

    def _workers(self, make: BatchMaker) -> Pool:
        from portanet.data.workers import PERSISTENT, Pool

        if not self.persistent_workers:
            return Pool(make, self.num_workers, self.workers)
        with PERSISTENT:
            if self._pool is None or not self._pool.usable:
                self._forget_workers()
                pool = self._pool = Pool(make, self.num_workers, self.workers)
                self._stop_when_dropped = weakref.finalize(self, pool.stop, wait=False)
                self._stop_when_dropped.atexit = False  # at exit the pool stops itself
                pool.start()
            return self._pool

    def close(self) -> None:
        """Stop persistent workers now and wait for their end; the next epoch starts new ones.

        Without persistent workers there is nothing to do: closing or dropping an epoch's iterator stops its workers.
        """
        if self._pool is not None:
            self._pool.stop()
            self._forget_workers()

    def _forget_workers(self) -> None:
        if self._stop_when_dropped is not None:
            self._stop_when_dropped.detach()
        self._pool = self._stop_when_dropped = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pool": None, "_stop_when_dropped": None}


def _drawing_from(streams: EpochStreams, batches: Iterator[Any]) -> Iterator[Any]:
    """The same batches, of a sampler that may draw on the way."""
    while True:
        token = stand_in.set(streams)
        try:
            batch = next(batches)
        except StopIteration:
            return
        finally:
            stand_in.reset(token)
        yield batch


def _check_dataset(dataset: Any) -> None:
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise TypeError(
            "dataset: expected something with __len__ and __getitem__, or a stream with __iter__, got "
            f"{type(dataset).__name__}. Wrap arrays in portanet.data.TensorDataset(...)."
        )
    if len(dataset) == 0:
        raise DataError("dataset: expected at least one sample, got an empty dataset.")


def _check_stream(stream: Any, shuffle: bool, sampler: Any, batch_sampler: Any) -> None:
    repeatable("dataset", stream)
    for name, given in (("shuffle", shuffle or None), ("sampler", sampler), ("batch_sampler", batch_sampler)):
        if given is not None:
            raise OptionError(
                f"{name}: a stream of samples ({type(stream).__name__}) comes in its own order. Leave it out, or give "
                "the dataset __len__ and __getitem__."
            )


def _check_samplers(
    batch_size: int, shuffle: bool, sampler: Any, batch_sampler: Any, drop_last: bool
) -> None:
    if sampler is not None and shuffle:
        raise OptionError("sampler: it decides the order, so leave out shuffle=True.")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise OptionError(
            "batch_sampler: it decides what a batch holds, so leave out batch_size, shuffle, sampler and drop_last."
        )
