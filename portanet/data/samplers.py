"""Samplers: in which order, and how often, the samples of a dataset are taken.

Each draws what it needs at the moment it is iterated over, once for the whole epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from portanet.backend import backend_of
from portanet.checks import whole_number
from portanet.errors import DataError, OptionError
from portanet.functions.inspection import to_host
from portanet.philox import random_doubles, random_keys
from portanet.random import Generator, default_generator, permutation_on_host
from portanet.tensor import unwrap

__all__ = [
    "BatchSampler",
    "DistributedSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StratifiedSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]


class Sampler:
    """The base class of samplers: define ``__len__`` and ``order()``, or ``__iter__``.

    Anything that can be iterated over again and again will do; inheriting is optional.
    """

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__().")

    def order(self) -> Any:
        """The numbers of the samples of one epoch, as a ``range`` or a host array of integers, shape (len,)."""
        raise NotImplementedError(f"{type(self).__name__} must define order() or __iter__().")

    def __iter__(self) -> Iterator[int]:
        order = self.order()
        return iter(order if isinstance(order, range) else order.tolist())


class SequentialSampler(Sampler):
    """Every sample once, in order.

    Parameters
    ----------
    data_source
        Anything with a length.

    Examples
    --------
    >>> list(pn.data.SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __len__(self) -> int:
        return len(self.data_source)

    def order(self) -> range:
        """The numbers from 0 on."""
        return range(len(self.data_source))


class RandomSampler(Sampler):
    """Every sample once in random order, or samples drawn with replacement.

    Parameters
    ----------
    data_source
        Anything with a length.
    replacement : bool, default False
        Draw each sample anew from all.
    num_samples : int, optional
        How many; default: as many as there are. More than there are, without replacement, means one order after
        another.
    generator : Generator, optional
        Default: the loader's, or outside a loader the one that ``portanet.manual_seed`` seeds.

    Raises
    ------
    DataError
        If there are no samples.
    """

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if len(data_source) == 0:
            raise DataError("data_source: expected at least one sample, got none.")
        self.data_source = data_source
        self.replacement = replacement
        self.num_samples = None if num_samples is None else whole_number("num_samples", num_samples, low=1)
        self.generator = _checked_generator(generator)

    def __len__(self) -> int:
        return self.num_samples or len(self.data_source)

    def order(self) -> Any:
        """A new random order."""
        count, wanted = len(self.data_source), len(self)
        if self.replacement:
            seed, stream = (self.generator or default_generator).next_stream()
            return (random_doubles(seed, stream, wanted) * count).astype("int64")
        orders = [permutation_on_host(count, self.generator) for _ in range(-(-wanted // count))]
        return orders[0][:wanted] if len(orders) == 1 else np.concatenate(orders)[:wanted]


class SubsetRandomSampler(Sampler):
    """The given samples once each, in random order.

    Parameters
    ----------
    indices : sequence of int
        Numbers of samples.
    generator : Generator, optional
        As in :class:`RandomSampler`.
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = whole_numbers("indices", indices)
        self.generator = _checked_generator(generator)

    def __len__(self) -> int:
        return len(self.indices)

    def order(self) -> Any:
        """A new random order."""
        return self.indices[permutation_on_host(len(self.indices), self.generator)]


class WeightedRandomSampler(Sampler):
    """Samples drawn with probabilities in proportion to weights.

    Without replacement each next one is drawn from those that are left (Efraimidis and Spirakis, "Weighted random
    sampling with a reservoir", 2006).

    Parameters
    ----------
    weights : sequence of float or array
        One for each sample, zero or more.
    num_samples : int
        How many to draw.
    replacement : bool, default True
        Whether a sample may come more than once.
    generator : Generator, optional
        As in :class:`RandomSampler`.

    Raises
    ------
    OptionError
        If a weight is negative or not finite, all are zero, or fewer are above zero than are to be drawn without
        replacement.

    Examples
    --------
    >>> list(pn.data.WeightedRandomSampler([0.0, 1.0, 0.0], num_samples=3))
    [1, 1, 1]
    """

    def __init__(
        self,
        weights: Any,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        host = np.asarray(_host(weights), dtype="float64")
        if host.ndim != 1 or not host.size:
            raise OptionError(f"weights: expected one number for each sample, got shape {host.shape}.")
        wrong = np.flatnonzero(~(np.isfinite(host) & (host >= 0)))
        if wrong.size:
            raise OptionError(
                f"weights[{wrong[0]}]: expected a finite number of at least 0, got {host[wrong[0]]}."
            )
        self.num_samples = whole_number("num_samples", num_samples, low=1)
        possible = int(np.count_nonzero(host))
        if not possible:
            raise OptionError("weights: expected one above zero at least, got zeros alone.")
        if not replacement and self.num_samples > possible:
            raise OptionError(
                f"num_samples: {self.num_samples} cannot be drawn without replacement where {possible} weights are "
                "above zero. Pass replacement=True or fewer."
            )
        self.weights = host
        self.replacement = replacement
        self.generator = _checked_generator(generator)

    def __len__(self) -> int:
        return self.num_samples

    def order(self) -> Any:
        """New draws."""
        seed, stream = (self.generator or default_generator).next_stream()
        if self.replacement:
            sums = np.cumsum(self.weights / self.weights.max())
            places = random_doubles(seed, stream, self.num_samples) * sums[-1]
            last = np.flatnonzero(self.weights)[-1]  # where rounding would lead past the end
            return np.minimum(np.searchsorted(sums, places, side="right"), last)
        uniforms = random_doubles(seed, stream, len(self.weights))
        with np.errstate(divide="ignore"):
            waits = -np.log1p(-uniforms) / self.weights
        waits[self.weights == 0] = np.inf
        return waits.argsort(kind="stable")[: self.num_samples]


class StratifiedSampler(Sampler):
    """Every sample once, in a random order that spreads each class evenly over the epoch.

    The samples of a class are shuffled and laid at equal distances, from a random start; so a batch of B samples out
    of N holds ``B * n / N`` of a class of n samples, but for rounding: at most ``1 + n * classes / N`` more or fewer.

    Parameters
    ----------
    labels : sequence or array
        The class of each sample: integers, booleans or text.
    generator : Generator, optional
        As in :class:`RandomSampler`.

    Examples
    --------
    >>> labels = [0, 0, 0, 0, 0, 0, 1, 1]
    >>> order = list(pn.data.StratifiedSampler(labels))
    >>> [sum(labels[number] for number in order[half : half + 4]) for half in (0, 4)]
    [1, 1]
    """

    def __init__(self, labels: Any, generator: Generator | None = None) -> None:
        host = np.asarray(_host(labels))
        if host.ndim != 1 or not host.size or host.dtype.kind not in "biuUS":
            raise DataError(
                "labels: expected one class for each sample, as integers or text, got an array of shape "
                f"{host.shape} and type {host.dtype.name}."
            )
        classes, self.labels = np.unique(host, return_inverse=True)
        self.counts = np.bincount(self.labels, minlength=len(classes))
        self.generator = _checked_generator(generator)

    def __len__(self) -> int:
        return len(self.labels)

    def order(self) -> Any:
        """A new random order."""
        seed, stream = (self.generator or default_generator).next_stream()
        count, classes = len(self.labels), len(self.counts)
        keys = random_keys(seed, stream, count + classes)
        by_class = np.lexsort((keys[:count], self.labels))
        starts = np.repeat(np.cumsum(self.counts) - self.counts, self.counts)
        offsets = (keys[count:] >> np.uint64(11)) * 2.0**-53
        ranks = np.arange(count) - starts
        places = (ranks + np.repeat(offsets, self.counts)) / np.repeat(self.counts, self.counts)
        return by_class[places.argsort(kind="stable")]


class DistributedSampler(Sampler):
    """The share of one process among several that train together: every process takes other samples.

    Each rank takes every ``num_replicas``-th sample of one order, which depends on the seed and the epoch alone. So
    that all take equally many, the order is filled up from its beginning, or cut with ``drop_last``.

    Parameters
    ----------
    data_source
        Anything with a length.
    num_replicas : int
        How many processes there are.
    rank : int
        Which of them this is, from 0.
    shuffle : bool, default True
        A new order for each epoch that :meth:`set_epoch` is told.
    seed : int, default 0
        The same in every process.
    drop_last : bool, default False
        Leave out what is over, instead of taking some samples twice.

    Examples
    --------
    >>> [list(pn.data.DistributedSampler("abcde", 2, rank, shuffle=False)) for rank in (0, 1)]
    [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(
        self,
        data_source: Any,
        num_replicas: int,
        rank: int,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.data_source = data_source
        self.num_replicas = whole_number("num_replicas", num_replicas, low=1)
        self.rank = whole_number("rank", rank, low=0)
        if self.rank >= self.num_replicas:
            raise OptionError(f"rank: expected less than num_replicas={num_replicas}, got {rank}.")
        self.shuffle = shuffle
        self.seed = Generator(seed).get_state()["seed"]
        self.drop_last = drop_last
        self.epoch = 0
        if len(self) == 0:
            raise DataError(
                f"data_source: {len(data_source)} samples leave none for each of {num_replicas} replicas."
            )

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next, the same in every process; without it each epoch has the first one's order."""
        self.epoch = whole_number("epoch", epoch, low=0)

    def __len__(self) -> int:
        count = len(self.data_source)
        return count // self.num_replicas if self.drop_last else -(-count // self.num_replicas)

    def order(self) -> Any:
        """This rank's share of the epoch's order."""
        count = len(self.data_source)
        if self.shuffle:
            everyone = random_keys(self.seed, self.epoch, count).argsort(kind="stable")
        else:
            everyone = np.arange(count)
        return np.resize(everyone, len(self) * self.num_replicas)[self.rank :: self.num_replicas]


class BatchSampler:
    """Batches of what a sampler gives.

    Parameters
    ----------
    sampler : iterable of int
        A sampler.
    batch_size : int
        Samples in a batch.
    drop_last : bool, default False
        Leave out a last batch that is smaller.

    Examples
    --------
    >>> list(pn.data.BatchSampler(pn.data.SequentialSampler(range(5)), batch_size=2))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool = False) -> None:
        self.sampler = sampler
        self.batch_size = whole_number("batch_size", batch_size, low=1)
        self.drop_last = drop_last

    def __len__(self) -> int:
        whole, rest = divmod(len(self.sampler), self.batch_size)  # type: ignore[arg-type]
        return whole + bool(rest and not self.drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        return (
            list(range(batch.start, batch.stop))
            if isinstance(batch, slice)
            else batch
            if isinstance(batch, list)
            else batch.tolist()
            for batch in self.batches()
        )

    def batches(self) -> Iterator[Any]:
        """The batches as a dataset's ``batch`` takes them best: slices where samples come in order, or host arrays.

        Of a sampler without ``order()`` they are lists.
        """
        if isinstance(self.sampler, Sampler) and self.lays_out_at_once:
            return self._sliced(self.sampler.order())
        return self._gathered(iter(self.sampler))

    @property
    def lays_out_at_once(self) -> bool:
        """Whether the sampler draws all that it draws before the first batch."""
        return isinstance(self.sampler, Sampler) and type(self.sampler).__iter__ is Sampler.__iter__

    def _sliced(self, order: Any) -> Iterator[Any]:
        count, size = len(order), self.batch_size
        in_order = order == range(count) if isinstance(order, range) else False
        if isinstance(order, range) and not in_order:
            order = np.asarray(order)
        for start in range(0, count - size + 1 if self.drop_last else count, size):
            end = min(start + size, count)
            yield slice(start, end) if in_order else order[start:end]

    def _gathered(self, numbers: Iterator[int]) -> Iterator[list[int]]:
        batch: list[int] = []
        for number in numbers:
            batch.append(number)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch


def whole_numbers(name: str, values: Any) -> Any:
    """Numbers of samples as a host array, int64.

    Raises
    ------
    OptionError
        If they are no whole numbers in one row.
    """
    host = np.asarray(_host(values))
    if host.ndim == 1 and host.size == 0:
        return host.astype("int64")
    if host.ndim != 1 or host.dtype.kind not in "iu":
        raise OptionError(
            f"{name}: expected whole numbers in one row, got an array of shape {host.shape} and type "
            f"{host.dtype.name}."
        )
    return host.astype("int64")


def _host(values: Any) -> Any:
    if backend_of(unwrap(values)) is not None:
        return to_host(values)
    return values if isinstance(values, (list, tuple)) else list(values)


def _checked_generator(generator: Generator | None) -> Generator | None:
    if generator is not None and not isinstance(generator, Generator):
        raise TypeError(f"generator: expected a portanet.random.Generator, got {type(generator).__name__}.")
    return generator
