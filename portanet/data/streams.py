"""Random numbers of a loader: each batch has streams of its own, whoever makes it."""

from __future__ import annotations

from functools import lru_cache

from portanet.philox import random_keys

__all__ = ["BatchStreams", "Epoch", "EpochStreams"]

Epoch = tuple[int, int]
"""The one stream, as its seed and number, that an epoch draws from the loader's generator."""

BEYOND_COUNTING = 1 << 63
"""Streams from here on are reached by no generator, which counts from 0."""


@lru_cache(maxsize=16)
def _seed_of(epoch: Epoch) -> int:
    """A seed for what is drawn inside one epoch; worked out only if something is."""
    seed, stream = epoch
    return int(random_keys(seed, stream | BEYOND_COUNTING, 1)[0])


class EpochStreams:
    """What stands in for the default generator while a sampler lays out an epoch.

    The first draw is the epoch's own stream, so that a sampler that shuffles once gives the order which that stream
    pins.
    """

    __slots__ = ("_draws", "_epoch")

    def __init__(self, epoch: Epoch) -> None:
        self._epoch = epoch
        self._draws = 0

    def next_stream(self) -> Epoch:
        """The seed and the number of the next stream."""
        self._draws += 1
        return self._epoch if self._draws == 1 else (_seed_of(self._epoch), BEYOND_COUNTING + self._draws)


class BatchStreams:
    """What stands in for the default generator while one batch is made."""

    __slots__ = ("_epoch", "_stream")

    def __init__(self, epoch: Epoch, batch: int) -> None:
        self._epoch = epoch
        self._stream = batch << 32

    def next_stream(self) -> Epoch:
        """The seed and the number of the next stream."""
        self._stream += 1
        return _seed_of(self._epoch), self._stream

    def seed(self) -> int:
        """One number for generators that are not portanet's."""
        return int(random_keys(_seed_of(self._epoch), self._stream, 1)[0])
