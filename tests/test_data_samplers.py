"""Samplers: which samples come, how often, in which order."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    StratifiedSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)
from portanet.errors import DataError, OptionError
from portanet.random import Generator


def test_shuffle_is_a_random_sampler(backend: str) -> None:
    data = TensorDataset(np.arange(13))
    orders = []
    for options in (
        {"shuffle": True, "generator": Generator(6)},
        {"sampler": RandomSampler(data), "generator": Generator(6)},
        {"sampler": RandomSampler(data, generator=Generator(6))},
        {"batch_sampler": BatchSampler(RandomSampler(data), 4), "generator": Generator(6)},
    ):
        if "batch_sampler" not in options:
            options["batch_size"] = 4
        orders.append([batch[0].tolist() for batch in DataLoader(data, **options)])  # type: ignore[arg-type]
    assert orders[0] == orders[1] == orders[2] == orders[3]
    sampler = RandomSampler(data)
    pn.manual_seed(6)
    assert list(sampler) == [number for batch in orders[0] for number in batch]
    assert list(sampler) != list(sampler)


def test_random_sampler_with_and_without_replacement() -> None:
    assert list(SequentialSampler(range(4))) == [0, 1, 2, 3]
    many = list(RandomSampler(range(5), num_samples=12, generator=Generator(1)))
    assert Counter(many[:5]) == Counter(many[5:10]) == Counter(range(5))
    assert len(set(many[10:])) == 2
    assert many[:5] != many[5:10]
    few = list(RandomSampler(range(50), num_samples=7))
    assert len(set(few)) == 7
    drawn = Counter(RandomSampler(range(8), replacement=True, num_samples=8000, generator=Generator(3)))
    assert set(drawn) == set(range(8))
    chi_squared = sum((count - 1000) ** 2 / 1000 for count in drawn.values())
    assert chi_squared < 40  # 7 degrees of freedom: beyond it once in 800,000, and the seed is fixed
    assert len(RandomSampler(range(8), True)) == 8


def test_subset_random_sampler(rng: Any) -> None:
    numbers = rng.integers(0, 100, 20)
    for given in (numbers, numbers.tolist(), pn.asarray(numbers), tuple(numbers)):
        order = list(SubsetRandomSampler(given))
        assert sorted(order) == sorted(numbers.tolist())
        assert all(type(number) is int for number in order)
    assert list(SubsetRandomSampler([])) == []


def test_weights_are_probabilities(rng: Any) -> None:
    weights = rng.uniform(0.2, 3, 6)
    weights[2] = 0
    share = weights / weights.sum()
    count = 60000
    drawn = Counter(WeightedRandomSampler(pn.asarray(weights), count))
    for number in range(6):
        spread = np.sqrt(count * share[number] * (1 - share[number]))
        assert abs(drawn[number] - count * share[number]) <= 6 * spread
    assert list(WeightedRandomSampler([0, 0, 2.5, 0], 3)) == [2, 2, 2]
    assert set(WeightedRandomSampler([1e300, 1e300, 1e-300], 50)) == {0, 1}


def test_weights_without_replacement(rng: Any) -> None:
    weights = rng.uniform(0.5, 2, 4)
    firsts: Counter[int] = Counter()
    seconds: Counter[tuple[int, int]] = Counter()
    sampler = WeightedRandomSampler(weights, 4, replacement=False)
    for _ in range(4000):
        order = list(sampler)
        assert sorted(order) == [0, 1, 2, 3]
        firsts[order[0]] += 1
        seconds[order[0], order[1]] += 1
    share = weights / weights.sum()
    for first in range(4):
        assert abs(firsts[first] - 4000 * share[first]) <= 6 * np.sqrt(4000 * share[first])
        for second in set(range(4)) - {first}:
            likely = 4000 * share[first] * weights[second] / (weights.sum() - weights[first])
            assert abs(seconds[first, second] - likely) <= 6 * np.sqrt(likely)
    assert 1 not in list(WeightedRandomSampler([1, 0, 1], 2, replacement=False))
    for _ in range(5):  # a weight so small that its inverse is infinite comes last, and before those of zero
        assert list(WeightedRandomSampler([0, 1, 1e-320], 2, replacement=False)) == [1, 2]


def test_weights_are_the_samplers_own() -> None:
    weights = np.array([0.0, 1.0])
    sampler = WeightedRandomSampler(weights, 4)
    weights[:] = np.nan
    assert list(sampler) == [1, 1, 1, 1]


@pytest.mark.parametrize("form", ["numbers", "text", "objects"])
def test_each_batch_holds_its_share_of_each_class(rng: Any, form: str) -> None:
    for _ in range(20):
        classes, count = int(rng.integers(1, 7)), int(rng.integers(10, 300))
        labels = rng.choice(classes, count, p=rng.dirichlet(np.ones(classes)))
        given: Any = labels if form == "numbers" else [f"class {label}" for label in labels]
        if form == "objects":  # as pandas holds text
            given = np.array(given, dtype=object)
        sampler = StratifiedSampler(given, generator=Generator(int(rng.integers(2**32))))
        order = list(sampler)
        assert sorted(order) == list(range(count))
        assert len(sampler) == count
        if count > 20:
            assert order != list(sampler)
        size = int(rng.integers(1, count))
        occurring = len(set(labels.tolist()))
        for start in range(0, count - size + 1, size):
            batch = labels[order[start : start + size]]
            for label in range(classes):
                of_class = int((labels == label).sum())
                bound = 1 + of_class * occurring / count
                assert abs((batch == label).sum() - size * of_class / count) <= bound + 1e-9


def test_ranks_share_an_epoch(rng: Any) -> None:
    for _ in range(20):
        count, ranks = int(rng.integers(1, 60)), int(rng.integers(1, 8))
        seed, drop = int(rng.integers(99)), bool(rng.integers(2)) and count >= ranks
        samplers = [
            DistributedSampler(range(count), ranks, rank, seed=seed, drop_last=drop) for rank in range(ranks)
        ]
        epochs = []
        for epoch in (0, 1):
            for sampler in samplers:
                sampler.set_epoch(epoch)
            shares = [list(sampler) for sampler in samplers]
            assert [len(share) for share in shares] == [len(sampler) for sampler in samplers]
            assert len({len(share) for share in shares}) == 1
            times = Counter(number for share in shares for number in share)
            if drop:
                assert set(times.values()) == {1}
                assert len(times) == count // ranks * ranks
            else:
                assert set(times) == set(range(count))
                assert times.total() - count < ranks
            epochs.append(shares)
        if count > 20:
            assert epochs[0] != epochs[1]
    shares = [list(DistributedSampler(range(2), 5, rank, shuffle=False)) for rank in range(5)]
    assert shares == [[0], [1], [0], [1], [0]]


@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_of_any_sampler(drop_last: bool, rng: Any) -> None:
    class Own(Sampler):
        def __len__(self) -> int:
            return 7

        def __iter__(self) -> Any:
            return iter([3, 1, 4, 1, 5, 9, 2])

    class Backwards(Sampler):
        def __len__(self) -> int:
            return 7

        def order(self) -> Any:
            return range(6, -1, -1)

    class Listed(Backwards):
        def order(self) -> Any:
            return [2, 7, 1, 8, 2, 8, 1]

    class AsTensor(Backwards):
        def order(self) -> Any:
            return pn.asarray([3, 1, 4, 1, 5, 9, 2])

    for sampler in (
        SequentialSampler(range(7)),
        Own(),
        Backwards(),
        Listed(),
        AsTensor(),
        [2, 7, 1, 8, 2, 8, 1],
    ):
        for size in (1, 2, 3, 7, 8):
            numbers = list(sampler)
            expected = [numbers[start : start + size] for start in range(0, 7, size)]
            expected = [batch for batch in expected if len(batch) == size or not drop_last]
            batches = BatchSampler(sampler, size, drop_last)
            assert list(batches) == list(batches) == expected
            assert len(batches) == len(expected)
            data = TensorDataset(np.arange(10) * 2)
            loader = DataLoader(data, size, sampler=sampler, drop_last=drop_last)
            assert [(batch[0] // 2).tolist() for batch in loader] == expected
            assert len(loader) == len(expected)
            loader = DataLoader(data, batch_sampler=batches)
            assert [(batch[0] // 2).tolist() for batch in loader] == expected
            assert len(loader) == len(expected)


def test_a_batch_sampler_of_ones_own_decides() -> None:
    class Twice(BatchSampler):
        def __iter__(self) -> Any:
            return (batch * 2 for batch in super().__iter__())

    loader = DataLoader(TensorDataset(np.arange(3)), batch_sampler=Twice(SequentialSampler(range(3)), 2))
    assert [batch.tolist() for (batch,) in loader] == [[0, 1, 0, 1], [2, 2]]


def test_a_sampler_of_another_dataset_is_noticed(backend: str) -> None:
    """Samples in order are sliced, and a slice past the end would give an empty batch."""
    for data in (TensorDataset(np.arange(3)), TensorDataset(pn.arange(3)), [0, 1, 2]):
        for sampler in (SequentialSampler(range(5)), RandomSampler(range(5))):
            with pytest.raises(IndexError):
                list(DataLoader(data, 2, sampler=sampler))


def test_batches_given_one_by_one(backend: str) -> None:
    batches: list[Any] = [[2, 0], [1], [0, 1, 2], [1, 2], [2, 1]]
    given = [(2, 0), [1], np.array([0, 1, 2]), range(1, 3), pn.asarray([2, 1])]
    for data in (TensorDataset(np.arange(3.0)), [0.0, 1.0, 2.0]):
        loader = DataLoader(data, batch_sampler=given)
        came = [batch[0] if isinstance(batch, tuple) else batch for batch in loader]
        assert [batch.tolist() for batch in came] == batches
        assert len(loader) == 5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomSampler([]), "data_source: expected at least one sample, got none"),
        (lambda: RandomSampler([1], num_samples=0), "num_samples: expected a whole number of at least 1"),
        (lambda: SubsetRandomSampler([0.5]), "indices: expected whole numbers in one row"),
        (lambda: SubsetRandomSampler([[1], [2]]), r"indices: .* shape \(2, 1\)"),
        (lambda: SubsetRandomSampler([[1], [2, 3]]), "indices: expected values in one row, got list"),  # type: ignore[list-item]
        (lambda: SubsetRandomSampler(5), "indices: expected values in one row, got int"),  # type: ignore[arg-type]
        (
            lambda: SubsetRandomSampler([2**63]),
            "indices: expected numbers of samples, got 9223372036854775808",
        ),
        (lambda: WeightedRandomSampler(["a", "b"], 1), "weights: expected one number for each sample"),
        (lambda: WeightedRandomSampler([1j], 1), "weights: expected one number .* type complex128"),
        (lambda: WeightedRandomSampler([np.inf, 2], 1), r"weights\[0\]: expected a finite number .* got inf"),
        (lambda: WeightedRandomSampler([1, -2], 1), r"weights\[1\]: expected a finite number .* got -2"),
        (lambda: WeightedRandomSampler([np.nan, 2], 1), r"weights\[0\]: expected a finite number"),
        (lambda: WeightedRandomSampler([0.0, 0.0], 1), "weights: expected one above zero at least"),
        (lambda: WeightedRandomSampler([[1.0]], 1), r"weights: expected one number .* shape \(1, 1\)"),
        (lambda: WeightedRandomSampler([1, 0, 1], 3, False), "num_samples: 3 cannot be drawn .* 2 weights"),
        (lambda: StratifiedSampler([0.5, 1]), "labels: expected one class for each sample"),
        (lambda: StratifiedSampler([]), "labels: expected one class for each sample"),
        (lambda: StratifiedSampler(["a", None]), "labels: expected one class for each sample"),
        (lambda: DistributedSampler([1], 1, 0, seed=None), "seed: expected a whole number"),  # type: ignore[arg-type]
        (lambda: DistributedSampler([1, 2], 2, 2), "rank: expected less than num_replicas=2, got 2"),
        (lambda: DistributedSampler([1], 2, 0, drop_last=True), "data_source: 1 samples leave none"),
        (lambda: DistributedSampler([1], 1, 0).set_epoch(-1), "epoch: expected a whole number"),
        (lambda: BatchSampler([1], 0), "batch_size: expected a whole number of at least 1"),
        (lambda: BatchSampler(iter([1]), 1), "sampler: .* got list_iterator, which is used up after one"),
        (lambda: BatchSampler(3, 1), "sampler: expected something to iterate over, got int"),  # type: ignore[arg-type]
    ],
)
def test_samplers_that_make_no_sense(make: Any, message: str) -> None:
    with pytest.raises((DataError, OptionError, TypeError), match=message):
        make()


def test_what_a_sampler_of_ones_own_must_define() -> None:
    class Nothing(Sampler):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing must define __len__\(\)"):
        len(Nothing())
    with pytest.raises(NotImplementedError, match=r"Nothing must define order\(\) or __iter__\(\)"):
        iter(Nothing())
    with pytest.raises(TypeError, match=r"generator: expected a portanet\.random\.Generator, got int"):
        RandomSampler([1], generator=3)  # type: ignore[arg-type]
