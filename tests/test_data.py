"""Datasets and the DataLoader: what a batch holds, in which order, and what is refused."""

from __future__ import annotations

import itertools
import threading
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.backend import get_backend
from portanet.data import DataLoader, Dataset, TensorDataset
from portanet.errors import DataError, OptionError
from portanet.random import Generator


class Squares(Dataset):
    """Samples made one by one, of the form that a test asks for."""

    def __init__(self, length: int, form: Any = lambda i: (i, i * i)) -> None:
        self.length = length
        self.form = form

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < self.length:
            raise IndexError(index)
        return self.form(index)


def numbers(loader: Any) -> list[list[int]]:
    return [batch[0].tolist() for batch in loader]


def joined(loader: Any) -> list[int]:
    return list(itertools.chain(*numbers(loader)))


# TensorDataset


def test_samples_lie_along_the_first_axis(backend: str, rng: Any) -> None:
    x, y = rng.normal(size=(5, 3)).astype("float32"), rng.integers(0, 9, 5)
    x.flags.writeable = False
    for dataset in (TensorDataset(x, y), TensorDataset(pn.asarray(x), pn.asarray(y))):
        assert len(dataset) == 5
        for index in (0, 4, -1):
            features, label = dataset[index]
            assert features.device.backend == label.device.backend == backend
            assert features.tolist() == x[index].tolist()
            assert label.item() == y[index]
        part = dataset[1:3]
        np.testing.assert_array_equal(part[0].numpy(), x[1:3])
        for indices in (slice(1, 4), np.array([4, 0, 2]), np.array([], "int64")):
            features, labels = dataset.batch(indices)
            assert features.dtype == pn.float32
            assert labels.dtype == pn.int64
            assert features.device.backend == backend
            np.testing.assert_array_equal(features.numpy(), x[indices])
            np.testing.assert_array_equal(labels.numpy(), y[indices])


def test_arrays_of_the_backends_own_library(backend: str, rng: Any) -> None:
    x = rng.normal(size=(6, 2)).astype("float32")
    raw = pn.asarray(x)._data
    assert isinstance(raw, get_backend().array_types()[0])
    dataset = TensorDataset(raw, list(range(6)))
    loader = DataLoader(dataset, batch_size=4, shuffle=True, generator=Generator(3))
    for features, label in loader:
        assert isinstance(features, pn.Tensor)
        np.testing.assert_array_equal(features.numpy(), x[label.numpy()])
    assert dataset[2][0].tolist() == x[2].tolist()


def test_host_arrays_become_tensors_of_the_backend_in_use(backend: str) -> None:
    dataset = TensorDataset(np.arange(4.0), np.arange(4))
    for batch in DataLoader(dataset, batch_size=3):
        assert {part.device.backend for part in batch} == {backend}
    with pn.use_backend("numpy"):
        assert dataset.batch(slice(0, 2))[0].device.backend == "numpy"


@pytest.mark.parametrize("dtype", [">f4", ">i8", ">i2", "<f8"])
def test_host_arrays_in_foreign_byte_order(backend: str, dtype: str) -> None:
    """As many scientific file formats hold them."""
    values = np.arange(6).reshape(3, 2).astype(dtype)
    for shuffle in (False, True):
        ((batch,),) = DataLoader(TensorDataset(values), batch_size=3, shuffle=shuffle)
        assert batch.dtype.name == np.dtype(dtype).name
        assert sorted(batch.tolist()) == [[0, 1], [2, 3], [4, 5]]
        assert sorted((batch + batch).tolist()) == [[0, 2], [4, 6], [8, 10]]


def test_a_batch_shares_no_gradient_and_no_memory_that_changes(backend: str) -> None:
    x = pn.ones((4, 2)).requires_grad_()
    (batch,) = next(iter(DataLoader(TensorDataset(x), batch_size=2)))
    assert not batch.requires_grad
    batch[0, 0] = 7.0
    assert x.tolist() == [[1.0, 1.0]] * 4


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((), "arrays: expected at least one array, got none"),
        ((np.zeros(3), np.zeros(4)), r"arrays: expected the same number of samples in each, got \[3, 4\]"),
        (
            (np.zeros(3), np.float32(1)),
            "arrays: number 2 is a single number; samples lie along the first axis",
        ),
        (
            (np.zeros(3), {1, 2, 3}),
            r"arrays: number 2 is a set, not an array\. Convert it with portanet\.asarray",
        ),
        ((range(3),), "arrays: number 1 is a range, not an array"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        TensorDataset(*arrays)


def test_an_index_out_of_range_is_an_index_error(backend: str) -> None:
    for array in (np.arange(3), pn.arange(3), pn.arange(3)._data):
        dataset = TensorDataset(array)
        with pytest.raises(IndexError):
            dataset[3]
        assert [sample[0].item() for sample in dataset] == [0, 1, 2]
        for wrong in (3, -4):
            with pytest.raises(IndexError):
                dataset.batch(np.array([0, wrong]))
            with pytest.raises(IndexError):
                list(DataLoader(dataset, 2, sampler=[0, wrong]))
        assert dataset.batch(np.array([-1, -3]))[0].tolist() == [2, 0]


# The order


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 6, 7])
def test_batches_in_order(batch_size: int, drop_last: bool) -> None:
    expected = [list(range(6))[start : start + batch_size] for start in range(0, 6, batch_size)]
    if drop_last:
        expected = [batch for batch in expected if len(batch) == batch_size]
    for dataset in (TensorDataset(np.arange(6)), Squares(6)):
        loader = DataLoader(dataset, batch_size=batch_size, drop_last=drop_last)
        assert numbers(loader) == expected
        assert len(loader) == len(expected)


def test_batch_size_is_one_by_default() -> None:
    loader = DataLoader(TensorDataset(np.arange(3)))
    assert numbers(loader) == [[0], [1], [2]]
    assert len(loader) == 3
    assert numbers(DataLoader(Squares(4), batch_size=np.int64(3))) == [[0, 1, 2], [3]]


def test_each_epoch_is_a_new_permutation(backend: str) -> None:
    loader = DataLoader(TensorDataset(np.arange(20)), batch_size=6, shuffle=True, generator=Generator(7))
    epochs = [joined(loader) for _ in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(20))
    assert epochs[0] != epochs[1] != epochs[2] != list(range(20))


def test_a_seed_gives_the_same_order_on_every_backend(backend: str) -> None:
    def order(generator: Generator | None) -> list[list[int]]:
        loaders = [
            DataLoader(dataset, batch_size=4, shuffle=True, generator=generator)
            for dataset in (TensorDataset(np.arange(10)), TensorDataset(pn.arange(10)), Squares(10))
        ]
        return [batch for loader in loaders for batch in numbers(loader)]

    here = order(Generator(11))
    pn.manual_seed(11)
    assert order(None) == here
    with pn.use_backend("numpy"):
        assert order(Generator(11)) == here
        assert order(Generator(12)) != here


def test_the_order_of_a_seed_is_pinned() -> None:
    """A model trained again from its seed sees its data in the same order, in every later version too."""
    loader = DataLoader(Squares(8), batch_size=8, shuffle=True, generator=Generator(2026))
    (first,) = numbers(loader)
    (second,) = numbers(loader)
    assert (first, second) == ([0, 3, 7, 4, 1, 6, 5, 2], [4, 6, 5, 7, 1, 0, 3, 2])


def test_a_loader_iterated_twice_at_once() -> None:
    ordered = DataLoader(TensorDataset(np.arange(4)), batch_size=2)
    assert [(a[0].tolist(), b[0].tolist()) for a in ordered for b in ordered] == [
        (a, b) for a in ([0, 1], [2, 3]) for b in ([0, 1], [2, 3])
    ]
    shuffled = DataLoader(TensorDataset(np.arange(30)), batch_size=7, shuffle=True)
    first, second = iter(shuffled), iter(shuffled)
    mixed: tuple[list[int], list[int]] = ([], [])
    for one, other in zip(first, second, strict=True):
        mixed[0].extend(one[0].tolist())
        mixed[1].extend(other[0].tolist())
    assert sorted(mixed[0]) == sorted(mixed[1]) == list(range(30))
    assert mixed[0] != mixed[1]


def test_an_epoch_that_was_left_early_disturbs_nothing() -> None:
    loader = DataLoader(Squares(6), batch_size=2, shuffle=True, generator=Generator(1))
    for _ in loader:
        break
    twin = Generator(1)
    numbers(DataLoader(Squares(6), shuffle=True, generator=twin))
    second = DataLoader(Squares(6), batch_size=2, shuffle=True, generator=twin)
    assert numbers(loader) == numbers(second)


def test_loaders_in_threads_of_one_generator_each_get_a_whole_epoch() -> None:
    loader = DataLoader(TensorDataset(np.arange(50)), batch_size=8, shuffle=True)
    epochs: list[list[int]] = []
    threads = [threading.Thread(target=lambda: epochs.append(joined(loader))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({tuple(epoch) for epoch in epochs}) == 8
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)


# What a batch is


def test_numbers_are_stacked_with_their_data_type(backend: str) -> None:
    for form, dtype, expected in (
        (lambda i: i, "int64", [0, 1, 2]),
        (lambda i: i / 2, "float32", [0.0, 0.5, 1.0]),
        (lambda i: i > 0, "bool", [False, True, True]),
        (lambda i: np.float64(i), "float64", [0.0, 1.0, 2.0]),
        (lambda i: np.uint8(i), "uint8", [0, 1, 2]),
        (lambda i: np.asarray(i, "int32"), "int32", [0, 1, 2]),
        (lambda i: pn.asarray(i, dtype=pn.float64), "float64", [0.0, 1.0, 2.0]),
        (lambda i: [i, 0.5][i % 2], "float32", [0.0, 0.5, 2.0]),
    ):
        (batch,) = DataLoader(Squares(3, form), batch_size=3)
        assert isinstance(batch, pn.Tensor)
        assert batch.device.backend == backend
        assert batch.dtype.name == dtype
        assert batch.tolist() == expected


def test_arrays_of_any_library_are_stacked(backend: str, rng: Any) -> None:
    x = rng.normal(size=(3, 2, 4)).astype("float32")
    for form in (
        lambda i: x[i],
        lambda i: pn.asarray(x[i]),
        lambda i: pn.asarray(x[i])._data,
        lambda i: np.ascontiguousarray(x[i, ::-1])[::-1],
        lambda i: np.asfortranarray(x[i]),
        lambda i: [x[i], pn.asarray(x[i]), pn.asarray(x[i])._data][i],
    ):
        (batch,) = DataLoader(Squares(3, form), batch_size=3)
        assert isinstance(batch, pn.Tensor)
        assert batch.device.backend == backend
        assert batch.dtype == pn.float32
        np.testing.assert_array_equal(batch.numpy(), x)


def test_tuples_lists_dicts_and_text(backend: str) -> None:
    pair = namedtuple("pair", "number name")
    (batch,) = DataLoader(
        Squares(
            2, lambda i: {"x": np.full(2, i, "float32"), "rest": [i, (f"n{i}", b"!")], "pair": pair(i, "a")}
        ),
        batch_size=2,
    )
    assert batch["x"].tolist() == [[0.0, 0.0], [1.0, 1.0]]
    assert batch["rest"][0].tolist() == [0, 1]
    assert batch["rest"][1] == (["n0", "n1"], [b"!", b"!"])
    assert batch["pair"].number.tolist() == [0, 1]
    assert batch["pair"].name == ["a", "a"]


def test_collate_fn_gets_the_samples_and_decides() -> None:
    seen = []

    def collate(samples: list[Any]) -> str:
        seen.append(samples)
        return f"{len(samples)} samples"

    assert list(DataLoader(Squares(3), batch_size=2, collate_fn=collate)) == ["2 samples", "1 samples"]
    assert seen == [[(0, 0), (1, 1)], [(2, 4)]]
    seen.clear()
    assert len(list(DataLoader(TensorDataset(np.arange(3)), collate_fn=collate))) == 3
    assert [type(part) for samples in seen for sample in samples for part in sample] == [pn.Tensor] * 3


def test_anything_with_a_length_and_items_is_a_dataset() -> None:
    assert [batch.tolist() for batch in DataLoader([1, 2, 3], batch_size=2)] == [[1, 2], [3]]
    assert [batch.tolist() for batch in DataLoader(np.arange(3.0), batch_size=2)] == [[0.0, 1.0], [2.0]]
    rows = [batch.tolist() for batch in DataLoader(pn.ones((3, 2)), batch_size=2)]
    assert rows == [[[1.0, 1.0], [1.0, 1.0]], [[1.0, 1.0]]]


def test_a_dataset_may_give_whole_batches() -> None:
    class Whole(Squares):
        def batch(self, indices: Any) -> list[int]:
            return list(range(10))[indices] if isinstance(indices, slice) else indices.tolist()

    assert list(DataLoader(Whole(5), batch_size=3)) == [[0, 1, 2], [3, 4]]
    shuffled = list(DataLoader(Whole(5), batch_size=3, shuffle=True))
    assert sorted(itertools.chain(*shuffled)) == list(range(5))


def test_an_attribute_may_be_called_batch() -> None:
    class Sized(Squares):
        batch = 16

    assert numbers(DataLoader(Sized(3), batch_size=2)) == [[0, 1], [2]]


# What is refused


def test_a_batch_without_samples_is_refused() -> None:
    with pytest.raises(DataError, match="collate: expected at least one sample in a batch, got none"):
        list(DataLoader(Squares(3), batch_sampler=[[0], []]))


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (
            lambda i: np.zeros(i + 1),
            r"collate: .*shapes, \[\(1,\), \(2,\), \(3,\)\]\. Pad them, or pass collate_fn",
        ),
        (lambda i: np.zeros((2,) * i), r"collate: .*different shapes, \[\(\), \(2,\), \(2, 2\)\]"),
        (lambda i: (0,) * (i + 1), "collate: the samples of a batch have different numbers of parts"),
        (lambda i: {str(i): 0}, "collate: the samples of a batch have different keys"),
        (lambda i: [(0, 1), 5, "x"][i], "collate: the samples of a batch have different numbers of parts"),
        (lambda i: None, r"collate: .*samples of type NoneType.*collate_fn"),
        (lambda i: object(), r"collate: .*samples of type object.*collate_fn"),
        (lambda i: [np.zeros(2), 1.0, None][i], r"collate: .*ndarray, float, NoneType"),
        (lambda i: [1.0, np.zeros(2), 2][i], r"collate: .*float, ndarray, int"),
        (lambda i: ["a", 1, 2][i], r"collate: .*str, int"),
    ],
)
def test_samples_that_cannot_be_stacked_are_told_apart(form: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(DataLoader(Squares(3, form), batch_size=3))


@pytest.mark.parametrize(
    "dataset",
    [TensorDataset(np.zeros((0, 3))), Squares(0), [], np.zeros((0,))],
    ids=lambda d: type(d).__name__,
)
def test_an_empty_dataset_is_refused(dataset: Any) -> None:
    with pytest.raises(DataError, match="dataset: expected at least one sample, got an empty dataset"):
        DataLoader(dataset)


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, "2", None, True, float("nan")], ids=repr)
def test_batch_size_is_a_whole_number(batch_size: Any) -> None:
    with pytest.raises(OptionError, match="batch_size: expected a whole number of at least 1, got"):
        DataLoader(Squares(3), batch_size=batch_size)


def test_what_is_no_dataset_or_generator_is_refused() -> None:
    for dataset in (7, None, {1, 2}):
        with pytest.raises(
            TypeError, match=r"dataset: expected something with __len__ and __getitem__, or a stream"
        ):
            DataLoader(dataset)
    for dataset in (iter([1, 2]), (i for i in range(3))):
        with pytest.raises(
            TypeError, match=r"dataset: expected something that can be iterated over in each epoch"
        ):
            DataLoader(dataset)
    with pytest.raises(TypeError, match=r"generator: expected a portanet\.random\.Generator, got int"):
        DataLoader(Squares(3), shuffle=True, generator=7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="collate_fn: expected a callable, got str"):
        DataLoader(Squares(3), collate_fn="stack")  # type: ignore[arg-type]


def test_an_error_in_a_dataset_reaches_the_user() -> None:
    loader = DataLoader(Squares(3, lambda i: 1 // (i - 1)), batch_size=2)
    with pytest.raises(ZeroDivisionError):
        list(loader)


def test_a_dataset_of_ones_own_must_define_both_methods() -> None:
    class Nothing(Dataset):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing must define __len__\(\)"):
        DataLoader(Nothing())
    with pytest.raises(NotImplementedError, match=r"Nothing must define __getitem__\(index\)"):
        Nothing()[0]
