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
from portanet.data import Dataset


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


class TwoArgumentsError(Exception):
    """An error that pickle sends and cannot make again."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class Unloadable(Numbers):
    """A dataset that fails where it arrives."""

    def __setstate__(self, state: Any) -> None:
        raise RuntimeError("cannot be made again here")


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
