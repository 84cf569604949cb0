"""Samples of recurrent layers, with references that take one row after another."""

from __future__ import annotations

from typing import Any

import numpy as np

from portanet.ops import recurrent
from portanet.testing.samples.drawing import Sample, Table, between, given, normal

__all__ = ["SAMPLES"]


def _scan(x: Any, states: list[Any], step: Any, batch_sizes: tuple[int, ...], reverse: bool) -> Any:
    """Each sequence by itself, step after step; the states of all rows, side by side."""
    starts = np.cumsum([0, *batch_sizes])
    rows = np.empty((x.shape[0], sum(state.shape[1] for state in states)), x.dtype)
    for sequence in range(batch_sizes[0]):
        own = [state[sequence] for state in states]
        length = sum(size > sequence for size in batch_sizes)
        for t in reversed(range(length)) if reverse else range(length):
            own = step(x[starts[t] + sequence], *own)
            rows[starts[t] + sequence] = np.concatenate(own)
    return rows


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def rnn_states(
    x: Any, h0: Any, weight: Any, batch_sizes: Any, reverse: bool = False, nonlinearity: str = "tanh"
) -> Any:
    def step(row: Any, h: Any) -> Any:
        z = row + weight @ h
        return [np.tanh(z) if nonlinearity == "tanh" else np.maximum(z, 0)]

    return _scan(x, [h0], step, batch_sizes, reverse)


def lstm_states(
    x: Any, h0: Any, c0: Any, weight: Any, projection: Any, batch_sizes: Any, reverse: bool = False
) -> Any:
    def step(row: Any, h: Any, c: Any) -> Any:
        i, f, g, o = np.split(row + weight @ h, 4)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c)
        return [h if projection is None else projection @ h, c]

    return _scan(x, [h0, c0], step, batch_sizes, reverse)


def gru_states(x: Any, h0: Any, weight: Any, bias: Any, batch_sizes: Any, reverse: bool = False) -> Any:
    def step(row: Any, h: Any) -> Any:
        (r, z, n), (r_h, z_h, n_h) = np.split(row, 3), np.split(weight @ h + (0 if bias is None else bias), 3)
        candidate = np.tanh(n + _sigmoid(r + r_h) * n_h)
        update = _sigmoid(z + z_h)
        return [(1 - update) * candidate + update * h]

    return _scan(x, [h0], step, batch_sizes, reverse)


COUNTS: tuple[tuple[int, ...], ...] = ((2,), (2, 2, 2), (3, 2, 2, 1))


def _samples(reference: Any, draws: Any, **options: Any) -> list[Sample]:
    """Of each count of rows, from both ends."""
    return [
        Sample(
            draws(sum(counts), counts[0]), {"batch_sizes": counts, "reverse": reverse, **options}, reference
        )
        for counts in COUNTS
        for reverse in (False, True)
    ]


SAMPLES: Table = {
    recurrent.rnn_states: [
        *_samples(rnn_states, lambda rows, batch: (normal(rows, 3), normal(batch, 3), normal(3, 3))),
        # All states are positive, so that none is at the kink.
        *_samples(
            rnn_states,
            lambda rows, batch: (
                between(0.5, 1, rows, 2),
                between(0.5, 1, batch, 2),
                between(0.1, 0.4, 2, 2),
            ),
            nonlinearity="relu",
        ),
    ],
    recurrent.lstm_states: [
        *_samples(
            lstm_states,
            lambda rows, batch: (
                normal(rows, 12),
                normal(batch, 3),
                normal(batch, 3),
                normal(12, 3),
                given(None),
            ),
        ),
        *_samples(
            lstm_states,
            lambda rows, batch: (
                normal(rows, 12),
                normal(batch, 2),
                normal(batch, 3),
                normal(12, 2),
                normal(2, 3),
            ),
        ),
    ],
    recurrent.gru_states: [
        *_samples(
            gru_states, lambda rows, batch: (normal(rows, 6), normal(batch, 2), normal(6, 2), normal(6))
        ),
        *_samples(
            gru_states, lambda rows, batch: (normal(rows, 6), normal(batch, 2), normal(6, 2), given(None))
        ),
    ],
}
