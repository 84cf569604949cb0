"""Samples of sorting, searching, sets, running sums and products, and of what repeats, joins and splits arrays."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from portanet.functions import creation
from portanet.functions import manipulation as functions
from portanet.ops import cumulative, manipulation, searching, sorting
from portanet.testing.samples.drawing import (
    Draw,
    Sample,
    Table,
    apart,
    between,
    booleans,
    complex_normal,
    each,
    given,
    integers,
    moved,
    normal,
)

__all__ = ["COMPOSED", "SAMPLES", "WITHOUT_GRADIENT"]

NOTHING = given(None)
ZEROS = given(np.asarray([[2.0, 0.0, 3.0, 0.0, 1.5], [1.0, 2.0, 0.0, 4.0, 5.0], [-1.0, 0.5, 2.0, -3.0, 0.0]]))
"""Rows with a zero, and with two of them."""


def sort(x: Any, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    r = np.sort(x, axis=axis)
    return np.flip(r, axis=axis) if descending else r


def argsort(x: Any, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Of what can be negated, in descending order."""
    return np.argsort(-x if descending else x, axis=axis, stable=True)


def diff(x: Any, prepend: Any, append: Any, *, axis: int = -1, n: int = 1) -> Any:
    """NumPy leaves out what is to be put before and after where ``n`` is 0; the standard does not."""
    parts = [part for part in (prepend, x, append) if part is not None]
    return np.diff(np.concat(parts, axis=axis), n, axis)


def searchsorted(x: Any, values: Any, sorter: Any, *, side: Literal["left", "right"] = "left") -> Any:
    return np.searchsorted(x, values, side, sorter)


def isin(x: Any, values: Any, *, invert: bool = False) -> Any:
    return np.isin(x, values, invert=invert)


def ascending(*shape: int) -> Draw:
    """Sorted numbers of one decimal, so that some are equal."""
    return lambda rng: np.sort(np.round(rng.uniform(-2, 2, size=shape), 1))


def tenths(*shape: int) -> Draw:
    """Numbers of one decimal, so that some are equal."""
    return lambda rng: np.asarray(np.round(rng.uniform(-2, 2, size=shape), 1))


SORTED: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((5,), {}),
    ((5,), {"descending": True}),
    ((2, 3, 4), {"axis": 1}),
    ((2, 3, 4), {"axis": -3, "descending": True, "stable": False}),
    ((2, 3, 4), {"axis": -1, "stable": False}),
    ((3, 1), {}),
    ((0, 3), {}),
    ((2, 0), {"descending": True}),
]
ACCUMULATED: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((5,), {}),
    ((6,), {"include_initial": True}),
    ((2, 3, 4), {"axis": 0}),
    ((2, 7, 3), {"axis": 1, "include_initial": True}),
    ((2, 3, 4), {"axis": -1}),
    ((3, 9), {"axis": -1, "dtype": "float64"}),
    ((3, 1), {"axis": 1}),
    ((3, 1), {"axis": -1, "include_initial": True}),
    ((0, 3), {"axis": 1}),
    ((0, 3), {"axis": 0}),
    ((3, 0), {"axis": -1, "include_initial": True}),
]


def accumulated(reference: Any) -> list[Sample]:
    return [
        *(Sample((normal(*shape),), options, reference) for shape, options in ACCUMULATED),
        Sample((ZEROS,), {"axis": 1}, reference),
        Sample((ZEROS,), {"axis": 0, "include_initial": True}, reference),
        Sample((given(np.zeros(4)),), {}, reference),
        Sample((complex_normal(2, 5),), {"axis": 1}, reference),
        Sample((complex_normal(4),), {"include_initial": True}, reference),
    ]


SAMPLES: Table = {
    # cumulative
    cumulative.cumulative_prod: accumulated(np.cumulative_prod),
    cumulative.cumulative_sum: accumulated(np.cumulative_sum),
    cumulative.diff: [
        Sample(draws, options, diff)
        for draws, options in [
            ((between(-1, 1, 5), NOTHING, NOTHING), {}),
            ((between(-1, 1, 2, 3, 4), NOTHING, NOTHING), {"axis": 1, "n": 2}),
            ((between(-1, 1, 2, 3, 4), NOTHING, NOTHING), {"axis": -3}),
            ((between(-1, 1, 6), NOTHING, NOTHING), {"n": 3}),
            ((between(-1, 1, 3, 2), between(-1, 1, 3, 1), NOTHING), {"n": 2}),
            ((between(-1, 1, 3, 2), NOTHING, between(-1, 1, 2, 2)), {"axis": 0}),
            ((between(-1, 1, 3, 2), between(-1, 1, 3, 2), between(-1, 1, 3, 1)), {"axis": -1, "n": 3}),
            ((between(-1, 1, 3, 2), between(-1, 1, 0, 2), between(-1, 1, 1, 2)), {"axis": 0, "n": 2}),
            ((between(-1, 1, 4), NOTHING, NOTHING), {"n": 0}),
            ((between(-1, 1, 3), between(-1, 1, 2), NOTHING), {"n": 0}),
            ((between(-1, 1, 3), NOTHING, NOTHING), {"n": 3}),
            ((between(-1, 1, 2), NOTHING, NOTHING), {"n": 5}),
            ((between(-1, 1, 0, 3), NOTHING, NOTHING), {"axis": 1}),
            ((between(-1, 1, 0), NOTHING, NOTHING), {}),
            ((complex_normal(4), complex_normal(1), NOTHING), {"n": 2}),
        ]
    ],
    # manipulation
    manipulation.tile: [
        *moved(lambda x, repetitions: np.tile(x, repetitions), (2, 3), {"repetitions": (2, 3)}),
        *moved(
            lambda x, repetitions: np.tile(x, repetitions),
            (2, 3),
            {"repetitions": (3,)},
            {"repetitions": (2, 1, 2)},
            {"repetitions": ()},
            {"repetitions": (1, 1)},
            {"repetitions": (0, 2)},
        ),
        *moved(
            lambda x, repetitions: np.tile(x, repetitions), (), {"repetitions": (2,)}, {"repetitions": ()}
        ),
        *moved(lambda x, repetitions: np.tile(x, repetitions), (0, 3), {"repetitions": (2, 2)}),
        Sample(
            (complex_normal(2, 2),), {"repetitions": (2, 2)}, lambda x, repetitions: np.tile(x, repetitions)
        ),
    ],
    # sorting
    sorting.sort: [Sample((apart(*shape),), options, sort) for shape, options in SORTED],
}
"""Ops with a gradient."""


def unique(x: Any) -> Any:
    """Values, first places, inverse and counts; each NaN is a value of its own."""
    values, indices, inverse, counts = np.unique(
        x, return_index=True, return_inverse=True, return_counts=True, equal_nan=False
    )
    return values, indices, np.reshape(inverse, np.shape(x)), counts


WITH_REPETITIONS = (
    integers(0, 4, 2, 3, 4),
    integers(0, 99, 7, dtype="uint8"),
    tenths(30),
    booleans(5),
    normal(),
    normal(0, 3),
    given(np.asarray([2.0, np.nan, 1.0, np.nan, np.inf, -np.inf, 2.0])),
    given(np.asarray([1 + 2j, 1 - 2j, 0j, 1 + 2j, 2.0])),
)

WITHOUT_GRADIENT: Table = {
    # searching
    searching.count_nonzero: each(
        lambda x, **options: np.asarray(np.count_nonzero(x, **options)),
        (integers(0, 2, 2, 3, 4), {}),
        (integers(0, 2, 2, 3, 4), {"axis": 1}),
        (integers(0, 2, 2, 3, 4), {"axis": (0, -1), "keepdims": True}),
        (integers(0, 2, 2, 3), {"keepdims": True}),
        (booleans(2, 3), {"axis": -1}),
        (ZEROS, {"axis": 0}),
        (given(np.asarray([0j, 1j, 2.0])), {}),
        (normal(), {}),
        (normal(0, 3), {"axis": 0}),
        (normal(0, 3), {}),
    ),
    searching.isin: [
        Sample(draws, options, isin)
        for draws, options in [
            ((integers(0, 9, 2, 3), integers(0, 9, 4)), {}),
            ((integers(0, 9, 2, 3), integers(0, 9, 2, 2)), {"invert": True}),
            ((integers(0, 3, 5), given(2)), {}),
            ((given(2), integers(0, 3, 5)), {}),
            ((integers(0, 3), given(2)), {"invert": True}),
            ((tenths(3, 4), tenths(5)), {}),
            ((tenths(3, 4), tenths(2, 5)), {"invert": True}),
            ((given(np.asarray([1.0, np.nan, -0.0, np.inf])), given(np.asarray([np.nan, 0.0, np.inf]))), {}),
            ((tenths(3), given(0.5)), {}),
            ((booleans(3), given(np.asarray([True]))), {}),
            ((given(np.asarray([1j, 2.0, 1.0])), given(np.asarray([1.0, 1j]))), {}),
            ((normal(3), normal(0)), {}),
            ((normal(0, 2), normal(3)), {}),
            ((integers(0, 3, 3), given(np.asarray([], dtype="int64"))), {"invert": True}),
        ]
    ],
    searching.searchsorted: [
        Sample(draws, options, searchsorted)
        for draws, options in [
            ((ascending(6), tenths(2, 3), NOTHING), {}),
            ((ascending(6), tenths(2, 3), NOTHING), {"side": "right"}),
            ((ascending(6), tenths(), NOTHING), {}),
            ((ascending(6), given(0.5), NOTHING), {"side": "right"}),
            ((given(np.asarray([3.0, 1.0, 2.0])), tenths(4), given(np.asarray([1, 2, 0]))), {}),
            (
                (
                    given(np.asarray([3, 1, 2])),
                    integers(0, 5, 4),
                    given(np.asarray([1, 2, 0], dtype="int32")),
                ),
                {"side": "right"},
            ),
            ((given(np.asarray([1, 2, 2, 5])), integers(0, 7, 3, 2), NOTHING), {}),
            ((given(np.asarray([1, 2, 2, 5])), given(2), NOTHING), {"side": "right"}),
            ((ascending(6), tenths(0, 2), NOTHING), {}),
            ((ascending(0), tenths(3), NOTHING), {}),
        ]
    ],
    searching.nonzero: [
        Sample((draw,), {}, np.nonzero)
        for draw in (integers(0, 2, 3, 4), booleans(9), ZEROS, normal(0, 3), integers(0, 1, 4))
    ],
    searching.unique_all: [Sample((draw,), {}, unique) for draw in WITH_REPETITIONS],
    searching.unique_counts: [Sample((draw,), {}, lambda x: unique(x)[::3]) for draw in WITH_REPETITIONS],
    searching.unique_inverse: [Sample((draw,), {}, lambda x: unique(x)[::2]) for draw in WITH_REPETITIONS],
    searching.unique_values: [Sample((draw,), {}, lambda x: unique(x)[0]) for draw in WITH_REPETITIONS],
    # sorting
    sorting.argsort: [
        *(Sample((apart(*shape),), options, argsort) for shape, options in SORTED),
        *(
            Sample((integers(0, 3, 4, 9),), options, argsort)
            for options in ({}, {"axis": 0}, {"descending": True}, {"axis": 0, "descending": True})
        ),
    ],
}
"""Ops whose results are indices, counts or sets."""


def together(reference: Any, *shapes: tuple[int, ...], **options: Any) -> Sample:
    return Sample(tuple(normal(*shape) for shape in shapes), options, reference)


def broadcast_arrays(*arrays: Any) -> Any:
    return tuple(np.broadcast_arrays(*arrays))


def meshgrid(*arrays: Any, indexing: Literal["xy", "ij"] = "xy") -> Any:
    return tuple(np.meshgrid(*arrays, indexing=indexing))


def expand_dims(x: Any, *, axis: Any) -> Any:
    return np.expand_dims(x, axis)


COMPOSED: Table = {
    creation.meshgrid: [
        together(meshgrid, (2,), (3,)),
        together(meshgrid, (2,), (3,), indexing="ij"),
        together(meshgrid, (2,), (3,), (4,)),
        together(meshgrid, (2,), (1,), (4,), (3,), indexing="ij"),
        together(meshgrid, (3,)),
        together(meshgrid, (0,), (2,)),
        Sample((complex_normal(2), normal(3)), {}, meshgrid),
    ],
    functions.broadcast_arrays: [
        together(broadcast_arrays, (2, 3), (3,)),
        together(broadcast_arrays, (2, 1), (), (4, 1, 3)),
        together(broadcast_arrays, (2, 3)),
        together(broadcast_arrays, (0, 3), (1, 1)),
        together(broadcast_arrays, (), ()),
        Sample((complex_normal(2, 1), normal(3)), {}, broadcast_arrays),
    ],
    functions.expand_dims: [
        *moved(expand_dims, (2, 3), {"axis": (0, 1)}, {"axis": (-1, 0)}, {"axis": (2, -3)}, {"axis": (1,)}),
        *moved(expand_dims, (), {"axis": (1, 0)}, {"axis": ()}),
        *moved(expand_dims, (0, 2), {"axis": (1, 3)}),
    ],
    functions.repeat: [
        Sample((draw, given(repeats)), options, np.repeat)
        for draw, repeats, options in [
            (normal(2, 3), 2, {}),
            (normal(2, 3), 3, {"axis": 0}),
            (normal(2, 3), 2, {"axis": -1}),
            (normal(2, 3), 1, {"axis": 1}),
            (normal(2, 3), 0, {"axis": 1}),
            (normal(), 3, {}),
            (normal(0, 3), 2, {"axis": 0}),
            (normal(2, 3), np.asarray([1, 0, 2, 1, 1, 3]), {}),
            (normal(2, 3), np.asarray([2, 0, 1]), {"axis": 1}),
            (normal(2, 3), np.asarray([0, 3], dtype="uint8"), {"axis": -2}),
            (normal(2, 3), np.asarray([2]), {"axis": 1}),
            (normal(2, 3), np.asarray([0, 0]), {"axis": 0}),
            (normal(3, 0), np.asarray([], dtype="int64"), {"axis": 1}),
            (complex_normal(2, 3), 2, {"axis": 0}),
            (complex_normal(3), np.asarray([2, 0, 1]), {}),
        ]
    ],
    functions.unstack: [
        Sample((draw,), options, lambda x, axis=0: np.unstack(x, axis=axis))
        for draw, options in [
            (normal(3), {}),
            (normal(2, 3), {}),
            (normal(2, 3, 4), {"axis": 1}),
            (normal(2, 3, 4), {"axis": -1}),
            (normal(2, 0), {"axis": 0}),
            (normal(1, 3), {"axis": 0}),
            (complex_normal(2, 2), {"axis": 1}),
        ]
    ],
}
"""Public functions that are made of others, and one that is new in what it takes."""
