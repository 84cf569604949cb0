"""Subset, ConcatDataset and random_split."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset, random_split
from portanet.data.dataset import rows_of
from portanet.errors import DataError, OptionError
from portanet.random import Generator


class Items(Dataset):
    """Samples made one by one."""

    def __init__(self, samples: list[Any]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        return self.samples[index]


def test_a_subset_has_its_samples_in_its_order(backend: str, rng: Any) -> None:
    x = rng.normal(size=(9, 2)).astype("float32")
    indices = [4, -1, 4, 0]
    for dataset in (TensorDataset(x), TensorDataset(pn.asarray(x)), Items([(row,) for row in x])):
        for given in (indices, np.array(indices), pn.asarray(indices)):
            part = Subset(dataset, given)  # type: ignore[arg-type]
            assert len(part) == 4
            assert [np.asarray(part[i][0].tolist()).tolist() for i in range(4)] == x[indices].tolist()
            for key in (slice(1, 3), np.array([3, 0, 0])):
                np.testing.assert_array_equal(part.batch(key)[0].numpy(), x[indices][key])
            nested = Subset(part, [2, 3])
            for batch in DataLoader(nested, batch_size=2):
                np.testing.assert_array_equal(batch[0].numpy(), x[[4, 0]])


def test_datasets_one_after_the_other(backend: str, rng: Any) -> None:
    pair = namedtuple("pair", "x name")
    x = rng.normal(size=(11, 3)).astype("float32")
    samples = [{"pair": pair(row, f"n{i}"), "i": i} for i, row in enumerate(x)]
    both = ConcatDataset(
        [Items(samples[:4]), Items([]), Subset(Items(samples), range(4, 9)), Items(samples[9:])]
    )
    assert len(both) == 11
    assert [both[i]["i"] for i in range(-11, 11)] == [*range(11), *range(11)]
    for key in (slice(0, 11), slice(2, 5), slice(5, 6), np.array([10, 0, 4, 4, 3, 9]), np.array([7])):
        batch = both.batch(key)
        np.testing.assert_array_equal(batch["pair"].x.numpy(), x[key])
        assert batch["i"].tolist() == np.arange(11)[key].tolist()
        assert batch["pair"].name == [f"n{i}" for i in np.arange(11)[key]]
        assert batch["i"].device.backend == backend
    shuffled = list(DataLoader(both, 4, True, generator=Generator(3)))
    plain = list(DataLoader(Items(samples), 4, True, generator=Generator(3)))
    assert [batch["pair"].name for batch in shuffled] == [batch["pair"].name for batch in plain]


def test_batches_of_whole_arrays_are_joined(backend: str) -> None:
    """Arrays stay those of their library, Tensors Tensors, whether a batch is of one dataset or of two."""

    class Whole(Items):
        def __len__(self) -> int:
            return 2

        def batch(self, indices: Any) -> Any:
            return rows_of(self.samples, indices)  # type: ignore[arg-type]

    for convert in (np.asarray, pn.asarray, lambda numbers: pn.asarray(numbers)._data):
        parts = [convert([0.0, 1.0]), convert([2.0, 3.0])]
        both = ConcatDataset([Whole(part) for part in parts])
        batches = list(DataLoader(both, 3))
        assert [pn.asarray(batch).tolist() for batch in batches] == [[0, 1, 2], [3]]
        assert {type(batch) for batch in batches} == {type(parts[0])}
        assert tuple(both.batch(slice(2, 2)).shape) == (0,)


def test_the_cost_of_a_batch_does_not_grow_with_the_datasets() -> None:
    class Long(Dataset):
        def __len__(self) -> int:
            return 10**12

        def __getitem__(self, index: int) -> int:
            return index

    both = ConcatDataset([Long(), Long()])
    assert both.batch(np.array([10**12 + 5, 7])).tolist() == [5, 7]
    assert both.batch(slice(10**12 - 1, 10**12 + 1)).tolist() == [10**12 - 1, 0]


def test_arrays_are_sliced_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a sample was asked for")

    monkeypatch.setattr(TensorDataset, "__getitem__", refuse)
    whole = TensorDataset(np.arange(20))
    both = ConcatDataset(random_split(whole, [0.5, 0.5]))
    came = [number for batch in DataLoader(both, 6, True) for number in batch[0].tolist()]
    assert sorted(came) == list(range(20))
    with pytest.raises(AssertionError, match="a sample was asked for"):
        both[0]


def test_arrays_in_order_draw_nothing() -> None:
    pn.manual_seed(1)
    arrays = TensorDataset(np.arange(6))
    for dataset in (arrays, Subset(arrays, [1, 2]), ConcatDataset([arrays, arrays])):
        list(DataLoader(dataset, 2))
    assert pn.random.default_generator.get_state()["draws"] == 0

    class Jitter(TensorDataset):
        def batch(self, indices: Any) -> Any:
            return super().batch(indices)[0] + pn.random.uniform(1)

    class Part(Subset):
        def __getitem__(self, index: int) -> Any:
            return super().__getitem__(index)

    assert (
        len(
            {
                batch.item()
                for workers in (0, 2)
                for batch in DataLoader(Jitter(np.zeros(3)), num_workers=workers, generator=Generator(9))
            }
        )
        == 3
    )
    assert Part(arrays, [1]).draws
    assert pn.random.default_generator.get_state()["draws"] == 0
    for dataset in (Items([1, 2]), Subset(Items([1, 2]), [1]), ConcatDataset([arrays, Items([(1,)])])):
        list(DataLoader(dataset, 2))
    assert pn.random.default_generator.get_state()["draws"] == 3


@pytest.mark.parametrize(
    ("count", "lengths", "sizes"),
    [
        (10, [7, 3], [7, 3]),
        (10, [0.75, 0.25], [8, 2]),
        (10, [0.7, 0.3], [7, 3]),
        (100, [0.29, 0.71], [29, 71]),
        (10, [0.33, 0.33, 0.34], [4, 3, 3]),
        (7, [1.0], [7]),
        (5, [0, 5], [0, 5]),
        (3, [0.1] * 10, [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_random_split(count: int, lengths: Any, sizes: list[int]) -> None:
    dataset = TensorDataset(np.arange(count))
    parts = random_split(dataset, lengths, Generator(2))
    assert [len(part) for part in parts] == sizes
    members = [[sample[0].item() for sample in (part[i] for i in range(len(part)))] for part in parts]
    assert sorted(number for part in members for number in part) == list(range(count))
    again = random_split(dataset, lengths, Generator(2))
    assert [part.indices.tolist() for part in again] == members


def test_fractions_that_add_up_to_a_little_more_than_one() -> None:
    parts = random_split(range(2_100_000), [0.50000049, 0.50000049])
    assert [len(part) for part in parts] == [1_050_000, 1_050_000]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: random_split(d, [3, 3]), r"lengths: expected whole numbers that add up to 5.*\[3, 3\]"),
        (lambda d: random_split(d, [0.5, 0.4]), "lengths: .* fractions that add up to 1"),
        (lambda d: random_split(d, []), "lengths: expected whole numbers"),
        (lambda d: random_split(d, 0.8), "lengths: expected the length of each part, got 0.8"),  # type: ignore[arg-type]
        (
            lambda d: random_split(d, [0.5, 0.5], 3),
            "generator: expected a portanet.random.Generator, got int",
        ),  # type: ignore[arg-type]
        (
            lambda d: random_split(d, [-1, 6]),
            r"lengths\[0\]: expected a number of samples or a fraction, got -1",
        ),
        (lambda d: random_split(d, [float("nan"), 1.0]), r"lengths\[0\]: .* got nan"),
        (lambda d: Subset(d, [0, 5]), r"indices\[1\]: expected the number of one of 5 samples, got 5"),
        (lambda d: Subset(d, [-6]), r"indices\[0\]: .* got -6"),
        (lambda d: Subset(d, [1.5]), "indices: expected whole numbers"),
        (lambda d: Subset(d, np.array([2**64 - 1], "uint64")), "indices: expected numbers of samples"),  # type: ignore[arg-type]
        (lambda d: Subset(d, [1, 2])[0:1], r"index: expected a whole number, got slice"),
        (lambda d: ConcatDataset([]), "datasets: expected at least one, got none"),
        (lambda d: ConcatDataset([d, Items([(1, 2)])]).batch(slice(0, 6)), "different numbers of parts"),
        (
            lambda d: ConcatDataset([Items([{"a": 1}]), Items([{"b": 1}])]).batch(slice(0, 2)),
            "different keys",
        ),
        (
            lambda d: ConcatDataset([Items([np.zeros(2)]), Items([np.zeros(3)])]).batch(slice(0, 2)),
            r"datasets: their samples have different shapes, \[\(2,\), \(3,\)\]",
        ),
    ],
)
def test_splits_that_make_no_sense(make: Any, message: str) -> None:
    with pytest.raises((DataError, OptionError, TypeError), match=message):
        make(TensorDataset(np.arange(5)))
    with pytest.raises(IndexError, match="expected the number of one of 5 samples, got 5"):
        ConcatDataset([TensorDataset(np.arange(5))])[5]
    for wrong in (5, -6):
        with pytest.raises(
            IndexError, match=rf"indices\[1\]: expected the number of one of 5 samples, got {wrong}"
        ):
            ConcatDataset([TensorDataset(np.arange(5))]).batch(np.array([0, wrong]))
