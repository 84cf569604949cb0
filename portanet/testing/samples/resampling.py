"""Samples of weighted sums along an axis, with what NumPy says of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from portanet.ops import resampling as ops
from portanet.testing.samples.drawing import Sample, Table, normal

__all__ = ["SAMPLES"]


def resample(x: Any, *, taps: ops.Taps, axis: int) -> Any:
    """As a product with the whole matrix."""
    matrix = np.zeros((taps.out_length, taps.length))
    for places, weights in zip(taps.places, taps.weights, strict=True):
        np.add.at(matrix, (np.arange(taps.out_length), np.asarray(places)), weights)
    return np.moveaxis(np.tensordot(matrix, x, axes=(1, axis)), 0, axis)


ONE = ops.Taps.of_rows([{1: 1.0}, {1: 1.0}, {0: 1.0}, {3: 1.0}], 4)
TWO = ops.Taps.of_rows([{0: 1.0}, {0: 0.25, 1: 0.75}, {1: -0.5, 2: 1.5}], 3)
# Of many elements, with and without the matrix.
MANY = ops.Taps.of_rows([{j: (j - 4) / (i + 2) for j in range(i, 10 + i)} for i in range(3)], 12)
FAR = ops.Taps.of_rows([{j: (j - 4) / (i + 2) for j in range(i, 10 + i)} for i in range(3)], 2**15)

SAMPLES: Table = {
    ops.resample: [
        Sample((normal(*shape),), {"taps": taps, "axis": axis}, resample)
        for shape, taps, axis in (
            ((4,), ONE, 0),
            ((2, 4, 3), ONE, 1),
            ((2, 3), TWO, 1),
            ((3, 2, 2), TWO, 0),
            ((0, 3), TWO, 1),
            ((2, 12), MANY, 1),
            ((2, 12, 3), MANY, 1),
            ((1, 2**15), FAR, 1),
            ((2, 3), MANY.transposed, 1),
        )
    ],
}
"""Ops with a gradient."""
