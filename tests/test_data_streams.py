"""Datasets that come as a stream: the same batches for any workers, and an end that closes what was opened."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn, optim, train
from portanet.data import DataLoader, IterableDataset
from portanet.errors import OptionError
from tests.runs import CrashError, Stop, bits, crash
from tests.worker_datasets import doubled

WORKERS = [(0, "threads"), (2, "threads"), (2, "processes")]
every_kind = pytest.mark.parametrize(("count", "kind"), WORKERS)


class Drawn(IterableDataset):
    """Samples with random numbers in them, read from what cannot be sent to a process; the end is remembered."""

    def __init__(self, length: int = 11, error: int = -1) -> None:
        self.length, self.error, self.closed = length, error, 0
        self.file = io.StringIO("no process is sent this")

    def __iter__(self) -> Iterator[Any]:
        try:
            for number in range(self.length):
                if number == self.error:
                    raise ZeroDivisionError(f"sample {number}")
                yield pn.random.uniform(3).numpy(), number
        finally:
            self.closed += 1


class Counted(Drawn):
    def __len__(self) -> int:
        return self.length


def listed(loader: Any) -> list[tuple[Any, Any]]:
    return [(values.tolist(), numbers.tolist()) for values, numbers in loader]


@every_kind
def test_the_same_batches_for_any_workers(backend: str, count: int, kind: str) -> None:
    def epochs(count: int, kind: str) -> list[Any]:
        pn.manual_seed(3)
        loader = DataLoader(Drawn(), batch_size=4, num_workers=count, workers=kind)
        found = [listed(loader), pn.random.uniform(2).tolist(), listed(loader)]
        pn.manual_seed(3)
        list(loader)
        return [*found, listed(loader.iterate(1))]

    first, between, second, skipped = epochs(count, kind)
    assert [numbers for _, numbers in first] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert first != second
    assert [first, between, second, skipped] == epochs(0, "threads")
    assert len({tuple(row) for values, _ in first + second for row in values}) == 22


def test_what_is_skipped_comes_again_elsewhere() -> None:
    loader = DataLoader(Drawn(), batch_size=4)
    pn.manual_seed(4)
    whole = listed(loader)
    pn.manual_seed(4)
    assert listed(loader.iterate(2)) == whole[2:]


@every_kind
def test_workers_make_batches_of_the_samples(count: int, kind: str) -> None:
    loader = DataLoader(range_stream(7), 3, collate_fn=doubled, num_workers=count, workers=kind)
    assert list(loader) == [[0, 2, 4], [6, 8, 10], [12]]


class range_stream(IterableDataset):  # noqa: N801 - reads like the range that it is
    def __init__(self, length: int) -> None:
        self.length = length

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.length))


def test_lengths() -> None:
    assert len(DataLoader(Counted(11), 4)) == 3
    assert len(DataLoader(Counted(11), 4, drop_last=True)) == 2
    assert len(list(DataLoader(Drawn(11), 4, drop_last=True))) == 2
    with pytest.raises(TypeError, match="Drawn"):
        len(DataLoader(Drawn(11), 4))
    assert list(DataLoader(Drawn(0), 4)) == []


@every_kind
def test_the_stream_is_closed_however_the_epoch_ends(count: int, kind: str) -> None:
    stream = Drawn(40)
    loader = DataLoader(stream, 2, num_workers=count, workers=kind)
    for _ in loader:
        break
    assert stream.closed == 1
    batches = iter(loader)
    next(batches)
    del batches
    assert stream.closed == 2
    list(loader)
    assert stream.closed == 3


@every_kind
def test_an_error_of_the_stream_comes_after_the_batches_before_it(count: int, kind: str) -> None:
    batches = iter(DataLoader(Drawn(error=7), 2, num_workers=count, workers=kind))
    assert [next(batches)[1].tolist() for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(ZeroDivisionError, match="sample 7"):
        next(batches)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shuffle": True}, "shuffle: a stream of samples .Drawn. comes in its own order"),
        ({"sampler": [1, 0]}, "sampler: a stream"),
        ({"batch_sampler": [[1, 0]]}, "batch_sampler: a stream"),
    ],
)
def test_a_stream_has_its_own_order(options: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        DataLoader(Drawn(), **options)


def test_what_gives_its_samples_once_is_refused() -> None:
    with pytest.raises(
        TypeError, match="dataset: expected something that can be iterated over in each epoch, got"
    ):
        DataLoader(number for number in range(3))
    with pytest.raises(NotImplementedError, match="IterableDataset must define __iter__"):
        list(DataLoader(IterableDataset()))


class Regression(IterableDataset):
    def __iter__(self) -> Iterator[Any]:
        for number in range(22):
            x = pn.random.normal(4).numpy()
            yield x, x[:1] * np.float32(number % 3)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_over_a_stream_goes_on_to_the_last_bit(tmp_path: Path, workers: int) -> None:
    def learn(*callbacks: train.Callback, resume: Any = None) -> list[bytes]:
        pn.manual_seed(8)
        model = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.3), nn.Linear(6, 1))
        history = train.fit(
            model,
            nn.MSELoss(),
            optim.Adam(model.parameters(), lr=0.05),
            DataLoader(Regression(), 5, num_workers=workers),
            epochs=3,
            callbacks=callbacks,
            resume=resume,
        )
        return bits(model, history.losses)

    whole = learn()
    for update in (1, 5, 8, 14):
        folder = tmp_path / str(update)
        with pytest.raises(CrashError):
            learn(train.Checkpoints(folder, every_updates=1), Stop(update, crash))
        assert learn(train.Checkpoints(folder, every_updates=1), resume=folder) == whole
