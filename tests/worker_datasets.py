"""Datasets for tests of worker processes, which import this file and not the tests."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from typing import Any

import numpy as np

import portanet as pn
from portanet.data import DataLoader, Dataset, MappedDataset
from portanet.errors import WorkerError


class Numbers(Dataset):
    """The numbers from 0 on; a sample of your choice does something else."""

    def __init__(self, length: int, strange: int = -1, deed: Any = None) -> None:
        self.length, self.strange, self.deed = length, strange, deed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.deed() if index == self.strange else index


class Noisy(Numbers):
    """Numbers that are drawn when a sample is asked for, in two ways that portanet seeds everywhere."""

    def __getitem__(self, index: int) -> Any:
        rng = np.random.default_rng(pn.random.default_generator.next_stream())
        return index, pn.random.normal(3), rng.uniform()


class GloballyNoisy(Numbers):
    """Numbers of the global generators, which are seeded in processes."""

    def __getitem__(self, index: int) -> Any:
        return random.random(), float(np.random.rand())


class Forms(Numbers):
    """Samples of many types."""

    def __getitem__(self, index: int) -> Any:
        return {
            "tensor": pn.full((2, 3), index),
            "array": np.full((4,), index, "float64"),
            "transposed": np.arange(6, dtype="int16").reshape(2, 3).T * index,
            "text": f"n{index}",
            "rest": [index / 2, (index > 1, b"x")],
            "large": np.full((300, 300), index, "float32"),
        }


class Scaled(MappedDataset):
    """A mapped array, each number so many times as large."""

    scale = 1.0

    def batch(self, indices: Any) -> Any:
        return super().batch(indices)[0] * self.scale


class Nested(Numbers):
    """Samples that a loader of their own makes, with a worker."""

    def __init__(self, length: int, workers: str) -> None:
        super().__init__(length)
        self.workers = workers

    def __getitem__(self, index: int) -> Any:
        return [batch.tolist() for batch in DataLoader(Numbers(4), 2, num_workers=1, workers=self.workers)]


class TwoArgumentsError(Exception):
    """An error that pickle sends and cannot make again."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class Unloadable(Numbers):
    """A dataset that fails where it arrives."""

    def __setstate__(self, state: Any) -> None:
        raise RuntimeError("not here")


def divide() -> None:
    1 / 0  # noqa: B018


def fail_with_two() -> None:
    raise TwoArgumentsError(1, 2)


def unsendable() -> Any:
    return threading.Lock()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave() -> None:
    sys.exit(3)


def hang() -> None:
    threading.Event().wait()


def process_number() -> int:
    return os.getpid()


def as_list(samples: list[Any]) -> list[Any]:
    return samples


def raw_array(samples: list[Any]) -> Any:
    return np.asarray(samples)


def go_on_in_a_fork(loader: Any, epoch: Any) -> None:
    """Fork, go on with an epoch and begin another one there, then go on here."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends it, should it wait for workers that it does not have
        try:
            next(epoch)
        except WorkerError as error:
            print(error)
        loader.close()
        print([batch.item() for batch in loader.iterate(46)], flush=True)
        loader.close()
        os._exit(0)
    print(os.waitpid(child, 0)[1], [batch.item() for batch in epoch][-1], flush=True)
    loader.close()


def doubled(samples: list[int]) -> list[int]:
    return [2 * sample for sample in samples]
