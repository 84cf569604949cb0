"""Samplers: in which order, and how often, the samples of a dataset are taken.

Each draws what it needs at the moment it is iterated over, once for the whole epoch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from portanet.checks import whole_number
from portanet.data.orders import (
    classes_and_counts,
    host_array,
    plain_numbers,
    shuffled,
    spread_by_class,
    stepped,
    weighted,
    whole_numbers,
)
from portanet.errors import DataError, OptionError
from portanet.philox import random_doubles, random_keys
from portanet.random import Generator, checked_generator, checked_seed, default_generator, permutation_on_host

__all__ = [
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
        """The numbers of the samples of one epoch, as a ``range``, a list or an array of integers, shape (len,)."""
        raise NotImplementedError(f"{type(self).__name__} must define order() or __iter__().")

    def __iter__(self) -> Iterator[int]:
        return iter(plain_numbers(self.order()))


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
        self.generator = checked_generator(generator)

    def __len__(self) -> int:
        return self.num_samples or len(self.data_source)

    def order(self) -> Any:
        """A new random order."""
        count, wanted = len(self.data_source), len(self)
        if not self.replacement:
            return shuffled(count, wanted, self.generator)
        seed, stream = (self.generator or default_generator).next_stream()
        return (random_doubles(seed, stream, wanted) * count).astype("int64")


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
        self.generator = checked_generator(generator)

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
        host = host_array("weights", weights)
        if host.ndim != 1 or not host.size or host.dtype.kind not in "biuf":
            raise OptionError(
                f"weights: expected one number for each sample, got an array of shape {host.shape} and type "
                f"{host.dtype.name}."
            )
        self.weights = host.astype("float64")
        wrong = (~(self.weights >= 0) | (self.weights == math.inf)).nonzero()[0]
        if wrong.size:
            raise OptionError(
                f"weights[{wrong[0]}]: expected a finite number of at least 0, got {host[wrong[0]]}."
            )
        self.num_samples = whole_number("num_samples", num_samples, low=1)
        possible = int((self.weights > 0).sum())
        if not possible:
            raise OptionError("weights: expected one above zero at least, got zeros alone.")
        if not replacement and self.num_samples > possible:
            raise OptionError(
                f"num_samples: {self.num_samples} cannot be drawn without replacement where {possible} weights are "
                "above zero. Pass replacement=True or fewer."
            )
        self.replacement = replacement
        self.generator = checked_generator(generator)

    def __len__(self) -> int:
        return self.num_samples

    def order(self) -> Any:
        """New draws."""
        seed, stream = (self.generator or default_generator).next_stream()
        return weighted(self.weights, self.num_samples, self.replacement, seed, stream)


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
        host = host_array("labels", labels)
        if host.dtype.kind == "O":  # text as pandas holds it
            host = host_array("labels", host.tolist())
        if host.ndim != 1 or not host.size or host.dtype.kind not in "biuUS":
            raise DataError(
                "labels: expected one class for each sample, as integers or text, got an array of shape "
                f"{host.shape} and type {host.dtype.name}."
            )
        self.labels, self.counts = classes_and_counts(host)
        self.generator = checked_generator(generator)

    def __len__(self) -> int:
        return len(self.labels)

    def order(self) -> Any:
        """A new random order."""
        seed, stream = (self.generator or default_generator).next_stream()
        return spread_by_class(self.labels, self.counts, seed, stream)


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
        self.seed = checked_seed(seed)
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
        share = stepped(range(self.rank, len(self) * self.num_replicas, self.num_replicas)) % count
        if not self.shuffle:
            return share
        return random_keys(self.seed, self.epoch, count).argsort(kind="stable")[share]
