"""Datasets: anything with a length whose samples can be asked for by number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Number
from typing import Any, Protocol, runtime_checkable

from portanet.backend import backend_of, require_backend_of
from portanet.data.orders import in_range, whole_numbers
from portanet.errors import DataError
from portanet.functions.indexing import take
from portanet.functions.manipulation import stack
from portanet.protocols import Array
from portanet.tensor import Tensor, asarray, unwrap, wrap

__all__ = ["BatchedDataset", "Dataset", "IterableDataset", "TensorDataset"]


class Dataset:
    """The base class of datasets: define ``__len__`` and ``__getitem__(index)``.

    Anything that has both will do; inheriting is optional. Draw random numbers, as for augmentation, from
    :mod:`portanet.random`, or from ``np.random.default_rng(pn.random.default_generator.next_stream())``: inside a
    :class:`DataLoader` they depend on the seed, the epoch and the batch, however many workers there are.
    """

    draws: bool = True
    """Whether making a sample may draw random numbers. Where False, an epoch in order draws none."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Take back the promise of a base class whose samples are made anew."""
        super().__init_subclass__(**options)
        own = vars(cls)
        if "draws" not in own and ("batch" in own or "__getitem__" in own):
            cls.draws = True

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__().")

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index).")


class IterableDataset:
    """The base class of datasets that come as a stream: define ``__iter__``, and ``__len__`` if it is known.

    Anything that has ``__iter__`` and no ``__getitem__`` will do, if it gives its samples in each epoch anew.

    Examples
    --------
    >>> class Lines(pn.data.IterableDataset):
    ...     def __iter__(self):
    ...         for number in range(5):
    ...             yield float(number), number % 2
    >>> [classes.tolist() for _, classes in pn.data.DataLoader(Lines(), batch_size=2)]
    [[0, 1], [0, 1], [0]]
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__().")


@runtime_checkable
class BatchedDataset(Protocol):
    """A dataset that can give many samples at once."""

    def __len__(self) -> int: ...

    def batch(self, indices: Any) -> Any:
        """The samples at the given numbers, stacked; ``indices`` is a slice or a host array of integers."""
        ...


class TensorDataset(Dataset):
    """Samples along the first axis of one or more arrays.

    Parameters
    ----------
    *arrays : Tensor, array or nested sequence
        All of the same length. NumPy arrays stay on the host until a batch is taken from them.

    Raises
    ------
    DataError
        If there is none, one has no axis, or their lengths differ.

    Examples
    --------
    >>> dataset = pn.data.TensorDataset(pn.zeros((3, 2)), pn.arange(3))
    >>> len(dataset), dataset[2]
    (3, (Tensor([0., 0.]), Tensor(2)))
    """

    draws = False

    def __init__(self, *arrays: Any) -> None:
        if not arrays:
            raise DataError("arrays: expected at least one array, got none.")
        self.arrays: tuple[Array, ...] = tuple(
            asarray(array) if isinstance(array, (list, tuple)) else array for array in arrays
        )
        for position, array in enumerate(self.arrays):
            if backend_of(unwrap(array)) is None:
                raise DataError(
                    f"arrays: number {position + 1} is a {type(array).__name__}, not an array. "
                    "Convert it with portanet.asarray(...)."
                )
            if not array.shape:
                raise DataError(
                    f"arrays: number {position + 1} is a single number; samples lie along the first axis."
                )
        lengths = [int(array.shape[0]) for array in self.arrays]
        if len(set(lengths)) > 1:
            raise DataError(f"arrays: expected the same number of samples in each, got {lengths}.")
        self._length = lengths[0]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int | slice) -> tuple[Any, ...]:
        return tuple(_part(array, index) for array in self.arrays)

    def batch(self, indices: Any) -> tuple[Tensor, ...]:
        """The samples at the given numbers, as Tensors of the backend in use (or where a Tensor was already)."""
        return tuple(_rows(array, indices) for array in self.arrays)


def _part(array: Array, key: int | slice) -> Tensor:
    """A sample or several, read as a Tensor reads: libraries differ in what they take as a key."""
    return array[key] if isinstance(array, Tensor) else asarray(unwrap(wrap(array)[key]))


def _rows(array: Array, indices: Any) -> Tensor:
    if isinstance(array, Tensor):
        array = array.detach()
    if isinstance(indices, slice):
        return _part(array, indices)
    if type(unwrap(array)) is not type(indices):
        # The host's own arrays look by themselves. Others may not: JAX would answer with NaN.
        indices = in_range(whole_numbers("indices", indices), int(array.shape[0]))
    return asarray(rows_of(array, indices))


def rows_of(array: Array, places: Any) -> Any:
    """The rows of a Tensor, or of an array of any library, at places that are numbered on the host."""
    data = unwrap(array)
    owner = require_backend_of(data, "array")
    return take(array, owner.asarray(places, device=owner.native_device(owner.device_of(data))), axis=0)


def has_batches(dataset: Any) -> bool:
    """Whether a dataset can give many samples at once; an attribute of that name may be something else."""
    return callable(getattr(dataset, "batch", None))


def batch_of(dataset: Any, numbers: Any) -> Any:
    """The samples of a host array of numbers, stacked; at once if the dataset can."""
    if has_batches(dataset):
        return dataset.batch(numbers)
    return stack_samples([dataset[number] for number in numbers.tolist()])


def stack_samples(samples: Sequence[Any]) -> Any:
    """Join samples into a batch along a new first axis.

    Tensors, arrays and numbers are stacked; tuples, lists and dicts part by part.

    Raises
    ------
    DataError
        If there are none, or they differ in shape or structure.
    """
    if not samples:
        raise DataError("collate: expected at least one sample in a batch, got none.")
    first = samples[0]
    if isinstance(first, (tuple, list)):
        if any(not isinstance(sample, (tuple, list)) or len(sample) != len(first) for sample in samples):
            raise DataError("collate: the samples of a batch have different numbers of parts.")
        parts = [stack_samples([sample[i] for sample in samples]) for i in range(len(first))]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    if isinstance(first, dict):
        if any(not isinstance(sample, dict) or set(sample) != set(first) for sample in samples):
            raise DataError("collate: the samples of a batch have different keys.")
        return {key: stack_samples([sample[key] for sample in samples]) for key in first}
    if all(isinstance(sample, (str, bytes)) for sample in samples):
        return list(samples)
    if all(isinstance(sample, Tensor) or backend_of(sample) is not None for sample in samples):
        return _stack_arrays(samples)
    if all(isinstance(sample, Number) for sample in samples):
        return asarray(list(samples))
    kinds = ", ".join(dict.fromkeys(type(sample).__name__ for sample in samples))
    raise DataError(
        f"collate: expected arrays, numbers or text, got samples of type {kinds}. Pass collate_fn, which makes a "
        "batch of a list of samples."
    )


def _stack_arrays(samples: Sequence[Any]) -> Tensor:
    shapes = {tuple(sample.shape) for sample in samples}
    if len(shapes) > 1:
        raise DataError(
            f"collate: the samples of a batch have different shapes, {sorted(shapes)}. Pad them, or pass collate_fn."
        )
    owners = {backend_of(sample) for sample in samples}
    owner = owners.pop()
    if owner is None or owners:  # Tensors, or arrays of several libraries
        return stack([asarray(sample) for sample in samples])  # type: ignore[no-any-return]
    return asarray(owner.namespace.stack([owner.namespace.asarray(sample) for sample in samples]))
