"""Weighted sums of a few elements along one axis, which is what interpolation at known places comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

from portanet.ops.composition import apply
from portanet.ops.promotion import device_of
from portanet.protocols import Array, Namespace, OpResult

__all__ = ["Taps", "resample"]

FEW = 8
"""So many elements in each sum are taken one after the other; of more a matrix is made."""
SMALL = 2**16
"""So many elements that matrix may have: it is made on the host."""


@dataclass(frozen=True, eq=False)
class Taps:
    """Which elements of an axis go into each element of a new one: a sparse matrix that the host knows.

    Parameters
    ----------
    length : int
        Of the old axis.
    places, weights : tuple of tuples
        One tuple for each element of a sum, with a number for each element of the new axis: ``new[i]`` is the sum
        over ``k`` of ``weights[k][i] * old[places[k][i]]``.
    """

    length: int
    places: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[float, ...], ...]

    @staticmethod
    def of_rows(rows: Sequence[dict[int, float]], length: int) -> Taps:
        """From the weight of each place, for each element of the new axis; missing ones weigh nothing."""
        count = max(1, *map(len, rows))
        lines = []
        near = 0
        for row in rows:
            near = next(iter(row), near)
            # An element of weight 0 is one that is in the sum anyway, for the sake of infinities far away.
            lines.append([*row.items(), *[(near, 0.0)] * (count - len(row))])
        columns = list(zip(*lines, strict=True))
        return Taps(
            length,
            tuple(tuple(place for place, _ in column) for column in columns),
            tuple(tuple(weight for _, weight in column) for column in columns),
        )

    @property
    def out_length(self) -> int:
        """The length of the new axis."""
        return len(self.places[0])

    @cached_property
    def plain(self) -> tuple[bool, ...]:
        """Whether all weights are 1, for each element of a sum."""
        return tuple(all(weight == 1 for weight in weights) for weights in self.weights)

    @cached_property
    def rows(self) -> tuple[tuple[float, ...], ...]:
        """The matrix, of shape (out_length, length)."""
        matrix = [[0.0] * self.length for _ in range(self.out_length)]
        for places, weights in zip(self.places, self.weights, strict=True):
            for row, place, weight in zip(matrix, places, weights, strict=True):
                row[place] += weight
        return tuple(map(tuple, matrix))

    @cached_property
    def transposed(self) -> Taps:
        """From the new axis to the old one: the adjoint."""
        rows: list[dict[int, float]] = [{} for _ in range(self.length)]
        for places, weights in zip(self.places, self.weights, strict=True):
            for i, (place, weight) in enumerate(zip(places, weights, strict=True)):
                if weight:
                    rows[place][i] = rows[place].get(i, 0.0) + weight
        return Taps.of_rows(rows, self.out_length)


def resample(xp: Namespace, x: Array, /, *, taps: Taps, axis: int) -> OpResult:
    """Put weighted sums in place of the elements along one axis; the gradient is of the same kind.

    Parameters
    ----------
    x : Array
        Shape (..., taps.length, ...), that length at ``axis``.
    taps : Taps
        What goes into each sum.
    axis : int
        Counted from the front.

    Returns
    -------
    Array
        Shape (..., taps.out_length, ...).
    """
    few = len(taps.places) <= FEW or taps.length * taps.out_length > SMALL
    r = (_summed if few else _multiplied)(xp, x, taps, axis)
    return r, (lambda g: apply(xp, resample, g, taps=taps.transposed, axis=axis),)


def _summed(xp: Namespace, x: Array, taps: Taps, axis: int) -> Array:
    line = (taps.out_length, *(1,) * (x.ndim - axis - 1))
    device = device_of(x)
    total = None
    for places, weights, plain in zip(taps.places, taps.weights, taps.plain, strict=True):
        part = xp.take(x, xp.asarray(places, dtype=xp.int64, device=device), axis=axis)
        if not plain:
            part = part * xp.reshape(xp.asarray(weights, dtype=x.dtype, device=device), line)
        total = part if total is None else total + part
    return total


def _multiplied(xp: Namespace, x: Array, taps: Taps, axis: int) -> Array:
    matrix = xp.asarray(taps.rows, dtype=x.dtype, device=device_of(x))
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    if not after:  # one product for all
        rows = xp.reshape(x, (prod(before), taps.length))
        r = rows @ xp.matrix_transpose(matrix)  # (before, length) @ (length, out)
    else:
        r = matrix @ xp.reshape(
            x, (prod(before), taps.length, prod(after))
        )  # (out, length) @ (b, length, after)
    return xp.reshape(r, (*before, taps.out_length, *after))
