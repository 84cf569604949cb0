"""Samples of the losses that are not among the first ones: the likelihood of sequences."""

from __future__ import annotations

from itertools import groupby, product
from typing import Any

import numpy as np

from portanet.ops import ctc
from portanet.testing.samples.drawing import Sample, Table, given, integers, normal

__all__ = ["SAMPLES"]


def every_path(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, *, blank: int, zero_infinity: bool
) -> Any:
    """The likelihood by its definition: a sum over all paths that read as the labels."""
    _, batch, classes = log_probs.shape
    losses = np.zeros(batch)
    for example in range(batch):
        labels = list(targets[example, : target_lengths[example]])
        steps = int(input_lengths[example])
        likelihood = 0.0
        for path in product(range(classes), repeat=steps):
            if [label for label, _ in groupby(path) if label != blank] == labels:
                likelihood += np.exp(log_probs[np.arange(steps), example, list(path)].sum())
        losses[example] = -np.log(likelihood) if likelihood else 0.0 if zero_infinity else np.inf
    return losses


def label_scores(log_probs: Any, labels: Any) -> Any:
    return np.stack([np.take_along_axis(rows, labels, axis=1) for rows in log_probs])


def lengths(*numbers: int) -> Any:
    return given(np.asarray(numbers, dtype=np.int64))


def labelled(*rows: list[int]) -> Any:
    return given(np.asarray(rows, dtype=np.int64).reshape(len(rows), len(rows[0])))


def sequences(log_probs: Any, targets: Any, steps: Any, labels: Any, **options: Any) -> Sample:
    return Sample((log_probs, targets, steps, labels), options, every_path)


SAMPLES: Table = {
    ctc.ctc_loss: [
        # Repeated labels, a padded row, no labels at all, fewer steps
        sequences(
            normal(5, 4, 3),
            labelled([1, 2, 1], [2, 2, 7], [-1, 9, 9], [1, 1, 2]),
            lengths(5, 4, 3, 5),
            lengths(3, 2, 0, 3),
            blank=0,
            zero_infinity=False,
        ),
        # Labels that do not fit into the steps
        sequences(
            normal(3, 3, 4),
            labelled([1, 1, 3], [3, 1, 0], [0, 0, 0]),
            lengths(3, 3, 0),
            lengths(3, 2, 0),
            blank=2,
            zero_infinity=True,
        ),
        sequences(
            normal(3, 2, 2), labelled([], []), lengths(3, 1), lengths(0, 0), blank=1, zero_infinity=False
        ),
        sequences(normal(1, 1, 3), labelled([2]), lengths(1), lengths(1), blank=0, zero_infinity=False),
    ],
    ctc.label_scores: [
        Sample((normal(4, 2, 3), integers(0, 3, 2, 5)), {}, label_scores),
        Sample((normal(1, 3, 2), integers(0, 2, 3, 1)), {}, label_scores),
    ],
}
"""Ops with a gradient."""
