"""Samples of the ops of :mod:`portanet.ops.normalization`."""

from __future__ import annotations

from typing import Any

import numpy as np

from portanet.ops import normalization as ops
from portanet.testing.samples.drawing import Sample, Table, away_from_zero, given, normal

__all__ = ["SAMPLES"]

NOTHING = given(None)


def normalize(
    x: Any, weight: Any, bias: Any, *, axes: tuple[int, ...], eps: float, centered: bool = True
) -> Any:
    mean = np.mean(x, axis=axes, keepdims=True) if centered else 0
    r = (x - mean) / np.sqrt(np.mean((x - mean) ** 2, axis=axes, keepdims=True) + eps)
    r = r if weight is None else r * weight
    return r if bias is None else r + bias


def normalize_with_statistics(x: Any, weight: Any, bias: Any, *, axes: tuple[int, ...], eps: float) -> Any:
    mean, variance = np.mean(x, axis=axes, keepdims=True), np.var(x, axis=axes, keepdims=True)
    return normalize(x, weight, bias, axes=axes, eps=eps), mean, variance


SAMPLES: Table = {
    ops.normalize: [
        Sample((normal(4, 5), away_from_zero(5), normal(5)), {"axes": (-1,), "eps": 1e-3}, normalize),
        Sample((normal(4, 5), NOTHING, NOTHING), {"axes": (0,), "eps": 0.1}, normalize),
        Sample(
            (normal(3, 2, 4), away_from_zero(2, 1), normal(2, 1)), {"axes": (0, 2), "eps": 1e-2}, normalize
        ),
        Sample((normal(2, 3, 4), away_from_zero(3, 4), NOTHING), {"axes": (-2, -1), "eps": 1e-2}, normalize),
        Sample((normal(2, 3, 4), NOTHING, normal(4)), {"axes": (2,), "eps": 1e-2}, normalize),
        Sample(
            (normal(4, 5), away_from_zero(5), NOTHING),
            {"axes": (-1,), "eps": 1e-3, "centered": False},
            normalize,
        ),
        Sample(
            (normal(2, 3, 4), NOTHING, normal(4)),
            {"axes": (1, 2), "eps": 0.1, "centered": False},
            normalize,
        ),
        Sample((normal(0, 3), normal(3), normal(3)), {"axes": (-1,), "eps": 0.1}, normalize),
    ],
    ops.normalize_with_statistics: [
        Sample(
            (normal(4, 5), away_from_zero(5), normal(5)),
            {"axes": (0,), "eps": 1e-2},
            normalize_with_statistics,
        ),
        Sample(
            (normal(3, 2, 4), away_from_zero(2, 1), normal(2, 1)),
            {"axes": (0, 2), "eps": 0.1},
            normalize_with_statistics,
        ),
        Sample((normal(4, 5), NOTHING, NOTHING), {"axes": (1,), "eps": 0.1}, normalize_with_statistics),
    ],
}
"""Ops with a gradient."""
