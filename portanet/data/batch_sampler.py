"""Batches of what a sampler gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from portanet.checks import whole_number
from portanet.data.orders import plain_numbers, stepped
from portanet.data.samplers import Sampler

__all__ = ["BatchSampler", "repeatable"]


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
        self.sampler = repeatable("sampler", sampler)
        self.batch_size = whole_number("batch_size", batch_size, low=1)
        self.drop_last = drop_last

    def __len__(self) -> int:
        whole, rest = divmod(len(self.sampler), self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        return map(plain_numbers, self.batches())

    def batches(self) -> Iterator[Any]:
        """The batches as a dataset's ``batch`` takes them best: slices where samples come in order, or host arrays.

        Of a sampler without ``order()`` they are lists.
        """
        if self.lays_out_at_once:
            return self._sliced(self.sampler.order())
        return self._gathered(iter(self.sampler))

    @property
    def lays_out_at_once(self) -> bool:
        """Whether the sampler draws all that it draws before the first batch."""
        return isinstance(self.sampler, Sampler) and type(self.sampler).__iter__ is Sampler.__iter__

    def _sliced(self, order: Any) -> Iterator[Any]:
        count, size = len(order), self.batch_size
        in_order = isinstance(order, range) and order == range(count)
        if isinstance(order, range) and not in_order:
            order = stepped(order)
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


def repeatable(name: str, given: Any) -> Any:
    """A sampler that gives its numbers in each epoch, and not in the first one alone.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if not hasattr(given, "__iter__"):
        raise TypeError(f"{name}: expected something to iterate over, got {type(given).__name__}.")
    if isinstance(given, Iterator):
        raise TypeError(
            f"{name}: expected something that can be iterated over in each epoch, got {type(given).__name__}, which "
            "is used up after one. Make it a list, or a class with __iter__."
        )
    return given
