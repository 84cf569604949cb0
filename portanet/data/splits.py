"""Parts of datasets, and several datasets as one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import floor, fsum
from numbers import Integral, Real
from typing import Any

from portanet.backend import backend_of
from portanet.checks import whole_number
from portanet.data.dataset import Dataset, batch_of, rows_of
from portanet.data.orders import host_array, in_range, stepped, whole_numbers
from portanet.errors import DataError, OptionError
from portanet.functions.manipulation import concat
from portanet.random import Generator, checked_generator, permutation_on_host
from portanet.tensor import Tensor, asarray

__all__ = ["ConcatDataset", "Subset", "random_split"]


class Subset(Dataset):
    """Some samples of a dataset.

    Parameters
    ----------
    dataset
        Anything with ``__len__`` and ``__getitem__``.
    indices : sequence of int
        Which samples, in this order; repetitions are allowed.

    Raises
    ------
    DataError
        If there is no sample of such a number.

    Examples
    --------
    >>> part = pn.data.Subset(pn.data.TensorDataset(pn.arange(10)), [7, 1])
    >>> len(part), part[0], part.batch(slice(0, 2))
    (2, (Tensor(7),), (Tensor([7, 1]),))
    """

    draws = False

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = in_range(whole_numbers("indices", indices), len(dataset), DataError)
        self.draws = type(self).draws or getattr(dataset, "draws", True)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[whole_number("index", index)])]

    def batch(self, indices: Any) -> Any:
        """The samples at the given numbers, stacked; taken at once if the dataset can."""
        return batch_of(self.dataset, self.indices[indices])


class ConcatDataset(Dataset):
    """Several datasets one after the other.

    Parameters
    ----------
    datasets : iterable of datasets
        At least one; their samples must be alike.

    Raises
    ------
    DataError
        If there is none.

    Examples
    --------
    >>> both = pn.data.ConcatDataset([pn.data.TensorDataset(pn.arange(3)), pn.data.TensorDataset(pn.arange(5))])
    >>> len(both), both[4], both.batch(slice(2, 5))
    (8, (Tensor(1),), (Tensor([2, 0, 1]),))
    """

    draws = False

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise DataError("datasets: expected at least one, got none.")
        self.ends = list(accumulate(len(dataset) for dataset in self.datasets))
        self._borders = host_array("datasets", self.ends)
        self.draws = type(self).draws or any(getattr(dataset, "draws", True) for dataset in self.datasets)

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, index: int) -> Any:
        count, number = len(self), whole_number("index", index)
        if not -count <= number < count:
            raise IndexError(f"index: expected the number of one of {count} samples, got {index}.")
        number %= count
        part = bisect_right(self.ends, number)
        return self.datasets[part][number - self._start(part)]

    def _start(self, part: int) -> int:
        return self.ends[part - 1] if part else 0

    def batch(self, indices: Any) -> Any:
        """The samples at the given numbers, stacked; of each dataset at once if it can."""
        count = len(self)
        numbers = stepped(range(count)[indices]) if isinstance(indices, slice) else in_range(indices, count)
        parts = self._borders.searchsorted(numbers, side="right")
        occurring = sorted(set(parts.tolist())) or [0]
        batches = [
            batch_of(self.datasets[part], numbers[parts == part] - self._start(part)) for part in occurring
        ]
        if len(batches) == 1:
            return batches[0]
        return _joined(batches, parts.argsort(kind="stable").argsort(kind="stable"))


def random_split(dataset: Any, lengths: Sequence[float], generator: Generator | None = None) -> list[Subset]:
    """Split a dataset at random into parts that share no sample.

    Parameters
    ----------
    dataset
        Anything with ``__len__`` and ``__getitem__``.
    lengths : sequence of int, or of float
        Numbers of samples that add up to all of them; or fractions that add up to 1. What rounding down leaves over
        goes to the first parts, one sample each.
    generator : Generator, optional
        Default: the one that ``portanet.manual_seed`` seeds.

    Returns
    -------
    list of Subset

    Raises
    ------
    OptionError
        If the lengths do not add up.

    Examples
    --------
    >>> train, test = pn.data.random_split(pn.data.TensorDataset(pn.arange(10)), [0.8, 0.2])
    >>> len(train), len(test)
    (8, 2)
    """
    count = len(dataset)
    counts = _counts(lengths, count)
    order = permutation_on_host(count, checked_generator(generator))
    ends = list(accumulate(counts))
    return [Subset(dataset, order[end - size : end]) for size, end in zip(counts, ends, strict=True)]


def _counts(lengths: Sequence[float], count: int) -> list[int]:
    if not isinstance(lengths, Iterable):
        raise OptionError(f"lengths: expected the length of each part, got {lengths!r}.")
    given = list(lengths)
    for position, length in enumerate(given):
        if not isinstance(length, Real) or isinstance(length, bool) or not length >= 0:
            raise OptionError(
                f"lengths[{position}]: expected a number of samples or a fraction, got {length!r}."
            )
    if given and all(isinstance(length, Integral) for length in given):
        counts = [int(length) for length in given]
        if sum(counts) == count:
            return counts
    elif given and abs((total := fsum(given)) - 1) < 1e-6:
        # A product such as 0.29 * 100 may be a little less than the whole number that is meant.
        counts = [floor(round(length / total * count, 6)) for length in given]
        for position in range(count - sum(counts)):
            counts[position % len(counts)] += 1
        return counts
    raise OptionError(
        f"lengths: expected whole numbers that add up to {count}, the number of samples, or fractions that add up "
        f"to 1, got {given}."
    )


def _joined(batches: list[Any], places: Any) -> Any:
    """Batches one after the other, in which sample ``places[i]`` is to be number ``i``."""
    first = batches[0]
    if isinstance(first, Tensor):
        return _joined_arrays([asarray(batch) for batch in batches], places)
    if backend_of(first) is not None:
        return _joined_arrays(batches, places)
    if isinstance(first, dict):
        if any(not isinstance(batch, dict) or set(batch) != set(first) for batch in batches):
            raise DataError("datasets: their samples have different keys.")
        return {key: _joined([batch[key] for batch in batches], places) for key in first}
    if isinstance(first, tuple):
        if any(not isinstance(batch, tuple) or len(batch) != len(first) for batch in batches):
            raise DataError("datasets: their samples have different numbers of parts.")
        parts = [_joined([batch[i] for batch in batches], places) for i in range(len(first))]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    if isinstance(first, list):
        samples = [sample for batch in batches for sample in batch]
        return [samples[place] for place in places.tolist()]
    raise DataError(
        f"datasets: batches of type {type(first).__name__} cannot be joined; give the datasets samples that are "
        "arrays, numbers, text, or tuples, lists and dicts of them."
    )


def _joined_arrays(batches: list[Any], places: Any) -> Any:
    shapes = {tuple(batch.shape[1:]) for batch in batches}
    if len(shapes) > 1:
        raise DataError(f"datasets: their samples have different shapes, {sorted(shapes)}.")
    return rows_of(concat(batches, axis=0), places)
