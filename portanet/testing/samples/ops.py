"""Samples of elementwise functions, indexing, layers, losses, manipulation, products of matrices and reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from portanet.ops import elementwise, indexing, layers, linear_algebra, losses, manipulation, reductions
from portanet.testing.samples import references
from portanet.testing.samples.drawing import (
    PAIRS,
    Sample,
    Table,
    apart,
    away_from_zero,
    between,
    binary,
    booleans,
    complex_normal,
    given,
    integers,
    joined,
    keyed,
    lost,
    matrices,
    moved,
    normal,
    probabilities,
    reduced,
    replaced,
    shifted,
    unary,
    within,
)

__all__ = ["SAMPLES", "WITHOUT_GRADIENT"]

NO_WEIGHT = given(None)
E_ = Ellipsis

SAMPLES: Table = {
    # elementwise
    elementwise.abs: unary(np.abs, away_from_zero),
    elementwise.acos: unary(np.acos, within(-0.9, 0.9)),
    elementwise.acosh: unary(np.acosh, within(1.2, 4)),
    elementwise.add: binary(np.add, normal, normal, (2.5, 3, -1)),
    elementwise.asin: unary(np.asin, within(-0.9, 0.9)),
    elementwise.asinh: unary(np.asinh, normal),
    elementwise.atan: unary(np.atan, normal),
    elementwise.atan2: binary(np.atan2, away_from_zero, away_from_zero),
    elementwise.atanh: unary(np.atanh, within(-0.8, 0.8)),
    elementwise.clip: [
        Sample((draw, low, high), reference=references.clip)
        for draw, low, high in [
            # The draws lie within 0.05 of 0.2, 0.6, 1.0, ..., of either sign; the bounds lie between.
            (apart(3, 4), given(-0.8), given(0.8)),
            (apart(3, 4), given(None), given(0)),
            (apart(3, 4), given(-2), given(None)),
            (normal(3), given(None), given(None)),
            (apart(3, 4), shifted(4), given(None)),
            (apart(3, 4), given(None), shifted(3, 1)),
            (apart(3, 4), between(-0.85, -0.75, 3, 1), between(0.75, 0.85, 4)),
            # Where the lower bound is above the upper one, the upper one wins.
            (apart(2, 3), between(0.75, 0.85, 3), between(-0.85, -0.75, 2, 1)),
            (normal(0, 3), given(-0.5), given(0.5)),
            (normal(), given(-9.0), given(9.0)),
        ]
    ],
    elementwise.conj: [*unary(np.conj, normal), *unary(np.conj, complex_normal)],
    elementwise.copysign: [
        Sample((away_from_zero(*left), away_from_zero(*right)), reference=np.copysign, constant=(1,))
        for left, right in PAIRS
    ],
    elementwise.cos: unary(np.cos, normal),
    elementwise.cosh: unary(np.cosh, normal),
    elementwise.divide: binary(np.divide, normal, away_from_zero, (2.5, 2)),
    elementwise.exp: unary(np.exp, normal),
    elementwise.expm1: unary(np.expm1, normal),
    elementwise.hypot: binary(np.hypot, away_from_zero, away_from_zero),
    elementwise.imag: unary(np.imag, complex_normal),
    elementwise.log: unary(np.log, within(0.3, 3)),
    elementwise.log10: unary(np.log10, within(0.3, 3)),
    elementwise.log1p: unary(np.log1p, within(-0.7, 3)),
    elementwise.log2: unary(np.log2, within(0.3, 3)),
    elementwise.logaddexp: binary(np.logaddexp, normal, normal),
    elementwise.maximum: binary(np.maximum, apart, shifted, (0.0,)),
    elementwise.minimum: binary(np.minimum, apart, shifted, (0.0,)),
    elementwise.multiply: binary(np.multiply, normal, normal, (2.5, -3)),
    elementwise.negative: unary(np.negative, normal),
    elementwise.positive: unary(np.positive, normal),
    elementwise.pow: [
        *binary(np.pow, within(0.4, 2.5), normal, (2.5, 2)),
        *(
            Sample((away_from_zero(2, 3), given(power)), reference=np.pow)
            for power in (0, 1, 2, 3, -1, -2, 0.0, 3.0)
        ),
        *(Sample((given(base), normal(2, 3)), reference=np.pow) for base in (2, 0.5)),
        Sample((away_from_zero(2, 3), given(np.asarray([0.0, 1.0, 2.0]))), reference=np.pow, constant=(1,)),
        Sample((given(np.zeros(3)), given(np.asarray([1.0, 2.0, 3.0]))), reference=np.pow, constant=(1,)),
    ],
    elementwise.real: [*unary(np.real, normal), *unary(np.real, complex_normal)],
    elementwise.reciprocal: unary(np.reciprocal, away_from_zero),
    elementwise.remainder: binary(
        np.remainder,
        lambda *shape: lambda rng: rng.uniform(2.3, 2.6, shape) * rng.choice([-1.0, 1.0], shape),
        lambda *shape: lambda rng: rng.uniform(0.9, 1.1, shape) * rng.choice([-1.0, 1.0], shape),
        (0.7,),
    ),
    elementwise.sin: unary(np.sin, normal),
    elementwise.sinh: unary(np.sinh, normal),
    elementwise.sqrt: unary(np.sqrt, within(0.3, 3)),
    elementwise.square: unary(np.square, normal),
    elementwise.subtract: binary(np.subtract, normal, normal, (2.5, 3, -1)),
    elementwise.tan: unary(np.tan, within(-1.1, 1.1)),
    elementwise.tanh: unary(np.tanh, normal),
    elementwise.where: [
        Sample((booleans(2, 3), normal(2, 3), normal(2, 3)), reference=np.where),
        Sample((booleans(3), normal(2, 1), normal()), reference=np.where),
        Sample((booleans(2, 1, 3), normal(4, 1), normal(3)), reference=np.where),
        Sample((booleans(), normal(2), normal(2, 2)), reference=np.where),
        Sample((booleans(0, 3), normal(3), normal(1, 1)), reference=np.where),
        Sample((booleans(2, 3), normal(2, 3), given(0.0)), reference=np.where),
        Sample((booleans(2, 3), given(1), normal(3)), reference=np.where),
    ],
    # indexing
    indexing.getitem: [
        *keyed(
            (4, 3, 2), (0, E_), (-1, 2, 0), (slice(None), 1, E_), (slice(1, 3), E_, slice(None, None, -1))
        ),
        *keyed(
            (4, 3, 2), E_, (E_, 0), (None, E_), (slice(None), None, 1, slice(None)), (slice(3, 0, -2), E_)
        ),
        *keyed((4, 3, 2), (slice(1, 1), E_), (slice(-3, None, 2), slice(None), -1)),
        *keyed(
            (4, 3),
            np.asarray([0, 2, 2, -1, 0]),
            np.asarray([[1, 1], [3, -4]]),
            np.asarray([], dtype=np.int64),
        ),
        *keyed(
            (4, 3),
            (np.asarray([0, 0, 3]), np.asarray([2, 2, -1])),
            (np.asarray([[0], [3]]), np.asarray([1, 1])),
        ),
        *keyed((4, 3), (np.asarray([1, 1, -2]), 2), (-1, np.asarray([0, 0, 1])), np.asarray(2)),
        *keyed(
            (4, 3, 2), np.asarray([1, 1], dtype=np.int32), (np.asarray([1, -1, 1]), np.asarray([0, -1, 0]))
        ),
        *keyed((2, 3), np.asarray([[True, False, True], [False, False, True]]), np.zeros((2, 3), dtype=bool)),
        *keyed((0, 3), E_, (slice(None), 0), np.asarray([], dtype=np.int64)),
        *keyed((), E_, (), None),
    ],
    indexing.index_add: [
        Sample((normal(4, 3), given(np.asarray([0, 2, 2])), normal(3, 3)), {"axis": 0}, references.index_add),
        Sample(
            (normal(2, 4), given(np.asarray([3, -1, -4])), normal(2, 3)), {"axis": -1}, references.index_add
        ),
        Sample(
            (normal(2, 4, 3), given(np.asarray([1, 1])), normal(2, 2, 3)), {"axis": 1}, references.index_add
        ),
        Sample(
            (normal(4, 2), given(np.asarray([], dtype=np.int64)), normal(0, 2)),
            {"axis": 0},
            references.index_add,
        ),
        Sample((normal(4, 0), given(np.asarray([1, 1])), normal(2, 0)), {"axis": 0}, references.index_add),
        Sample(
            (normal(4), given(np.asarray([3, 0, 3], dtype=np.int32)), normal(3)), {}, references.index_add
        ),
    ],
    indexing.setitem: [
        replaced((4, 3), (0, E_), (3,)),
        replaced((4, 3), (slice(None), 1), (4,)),
        replaced((4, 3), (slice(1, 3), E_), ()),
        replaced((4, 3), (slice(None, None, -2), E_), (1, 3)),
        replaced((4, 3), (slice(None, None, -1), slice(None, None, -1)), (4, 3)),
        replaced((4, 3), (slice(None, None, -1), E_), (4, 1)),
        replaced((4, 3), E_, (4, 3)),
        replaced((4, 3), (2, 1), ()),
        replaced((4, 3), (-1, -1), ()),
        replaced((4, 3), (slice(2, 2), E_), (3,)),
        replaced((2, 3), np.asarray([[True, False, True], [False, False, True]]), ()),
        replaced((2, 3), np.asarray([[True, False, True], [False, False, True]]), (3,)),
        replaced((2, 3), np.zeros((2, 3), dtype=bool), ()),
        replaced((0, 3), (slice(None), 0), (0,)),
        replaced((3,), (), (3,)),
        # More axes of length 1 than the part that is replaced has axes
        replaced((4, 3), (0, E_), (1, 3)),
        replaced((4, 3), (slice(0, 2), 1), (1, 1, 2)),
    ],
    indexing.take: [
        Sample((normal(4, 3), given(np.asarray([0, 2, 2]))), {"axis": 0}, np.take),
        Sample((normal(4, 3), given(np.asarray([1, 1, 0]))), {"axis": -1}, np.take),
        Sample((normal(2, 4, 3), given(np.asarray([3, 3, 0], dtype=np.int32))), {"axis": 1}, np.take),
        Sample((normal(4), given(np.asarray([3, 0]))), {}, np.take),
        Sample((normal(4, 2), given(np.asarray([], dtype=np.int64))), {"axis": 0}, np.take),
        Sample((normal(4, 0), given(np.asarray([1, 1]))), {"axis": 0}, np.take),
    ],
    indexing.take_along_axis: [
        Sample((normal(4, 3), integers(0, 4, 6, 3)), {"axis": 0}, np.take_along_axis),
        Sample((normal(4, 3), integers(-3, 3, 4, 5)), {}, lambda x, i: np.take_along_axis(x, i, axis=-1)),
        Sample((normal(2, 4, 3), integers(0, 4, 2, 2, 3, dtype="int32")), {"axis": -2}, np.take_along_axis),
        Sample((normal(4), integers(0, 4, 7)), {"axis": 0}, np.take_along_axis),
        Sample((normal(2, 3), integers(0, 3, 2, 0)), {"axis": 1}, np.take_along_axis),
        Sample((normal(0, 3), integers(0, 3, 0, 2)), {"axis": 1}, np.take_along_axis),
        Sample((normal(1, 3), integers(0, 3, 4, 2)), {"axis": 1}, np.take_along_axis),
        Sample((normal(4, 3), integers(0, 3, 1, 2)), {"axis": 1}, np.take_along_axis),
    ],
    # layers
    layers.linear: [
        Sample((normal(4, 3), normal(2, 3), normal(2)), reference=references.linear),
        Sample((normal(4, 3), normal(2, 3), NO_WEIGHT), reference=references.linear),
        Sample((normal(3), normal(2, 3), normal(2)), reference=references.linear),
        Sample((normal(3), normal(2, 3), NO_WEIGHT), reference=references.linear),
        Sample((normal(2, 5, 3), normal(2, 3), normal(2)), reference=references.linear),
        Sample((normal(2, 1, 5, 3), normal(1, 3), normal(1)), reference=references.linear),
        Sample((normal(0, 3), normal(2, 3), normal(2)), reference=references.linear),
        Sample((normal(2, 0, 3), normal(2, 3), normal(2)), reference=references.linear),
        Sample((normal(4, 1), normal(1, 1), normal(1)), reference=references.linear),
    ],
    layers.log_softmax: [
        Sample((normal(*shape),), {"axis": axis}, references.log_softmax)
        for shape, axis in [((4, 3), 1), ((4, 3), 0), ((2, 4, 3), -2), ((3,), 0), ((0, 3), -1), ((2, 1), 1)]
    ],
    layers.relu: unary(references.relu, away_from_zero),
    layers.sigmoid: unary(references.sigmoid, normal),
    layers.softmax: [
        Sample((normal(*shape),), {"axis": axis}, references.softmax)
        for shape, axis in [((4, 3), 1), ((4, 3), 0), ((2, 4, 3), -2), ((3,), 0), ((0, 3), -1), ((2, 1), 1)]
    ],
    layers.softplus: unary(references.softplus, normal),
    # linear algebra
    linear_algebra.matmul: matrices(
        np.matmul,
        ((2, 3), (3, 4)),
        ((3,), (3,)),
        ((3,), (3, 4)),
        ((2, 3), (3,)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((3,), (5, 3, 4)),
        ((5, 2, 3), (3,)),
        ((5, 2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (4, 3, 2)),
        ((1, 2, 3), (5, 3, 1)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 3)),
        ((0, 2, 3), (3, 4)),
        ((0,), (0,)),
    ),
    linear_algebra.tensordot: [
        *matrices(np.tensordot, ((4, 2, 3), (2, 3, 5))),
        *matrices(np.tensordot, ((4, 2), (2, 5)), axes=1),
        *matrices(np.tensordot, ((2,), (3, 2)), axes=0),
        *matrices(np.tensordot, ((2, 3, 4), (4, 5, 2)), axes=((0, 2), (2, 0))),
        *matrices(np.tensordot, ((2, 3, 4, 5), (5, 3, 6, 4)), axes=((3, -2, 1), (0, -1, 1))),
        *matrices(np.tensordot, ((2, 3), (3, 2)), axes=((1, 0), (0, 1))),
        *matrices(np.tensordot, ((2, 0), (0, 3)), axes=1),
    ],
    linear_algebra.vecdot: [
        *matrices(
            np.vecdot, ((2, 3), (2, 3)), ((3,), (3,)), ((2, 3), (3,)), ((3,), (2, 3)), ((2, 1, 3), (4, 3))
        ),
        *matrices(np.vecdot, ((3, 2), (3, 2)), ((3, 1), (3, 4)), axis=-2),
        *matrices(np.vecdot, ((0, 3), (3,)), ((2, 0), (2, 0))),
    ],
    # losses
    losses.binary_cross_entropy: [
        *lost(references.binary_cross_entropy, (probabilities(4, 3), probabilities(4, 3), NO_WEIGHT)),
        *lost(
            references.binary_cross_entropy, (probabilities(4, 3), probabilities(4, 3), between(0.5, 2, 4, 1))
        ),
        *lost(references.binary_cross_entropy, (probabilities(3), probabilities(3), between(0.5, 2))),
        *lost(references.binary_cross_entropy, (probabilities(0, 3), probabilities(0, 3), NO_WEIGHT))[::2],
    ],
    losses.binary_cross_entropy_with_logits: [
        *lost(references.bce_with_logits, (normal(4, 3), probabilities(4, 3), NO_WEIGHT, NO_WEIGHT)),
        *lost(
            references.bce_with_logits,
            (normal(4, 3), probabilities(4, 3), between(0.5, 2, 4, 1), between(0.5, 3, 3)),
        ),
        *lost(references.bce_with_logits, (normal(3), probabilities(3), NO_WEIGHT, between(0.5, 3))),
        *lost(references.bce_with_logits, (normal(3), probabilities(3), between(0.5, 2, 3), NO_WEIGHT)),
        *lost(references.bce_with_logits, (normal(0, 3), probabilities(0, 3), NO_WEIGHT, NO_WEIGHT))[::2],
    ],
    losses.cross_entropy: [
        *lost(
            references.cross_entropy,
            (normal(5, 3), integers(0, 3, 5), NO_WEIGHT),
            axis=1,
            ignore_index=-100,
            label_smoothing=0.0,
        ),
        *lost(
            references.cross_entropy,
            (normal(5, 3), lambda rng: rng.permutation([0, 1, 2, 1, 0]), between(0.5, 2, 3)),
            axis=1,
            ignore_index=1,
            label_smoothing=0.1,
        ),
        *lost(
            references.cross_entropy,
            (normal(2, 3, 4), integers(0, 3, 2, 4, dtype="int32"), between(0.5, 2, 3)),
            axis=1,
            ignore_index=-100,
            label_smoothing=0.3,
        ),
        *lost(
            references.cross_entropy,
            (normal(3), integers(0, 3), NO_WEIGHT),
            axis=0,
            ignore_index=-100,
            label_smoothing=0.0,
        ),
        *lost(
            references.cross_entropy,
            (normal(0, 3), integers(0, 3, 0), NO_WEIGHT),
            axis=1,
            ignore_index=-100,
            label_smoothing=0.0,
        )[::2],
    ],
    losses.mse_loss: [
        *lost(references.mse_loss, (normal(4, 3), normal(4, 3))),
        *lost(references.mse_loss, (normal(), normal())),
        *lost(references.mse_loss, (normal(0, 3), normal(0, 3)))[::2],
    ],
    losses.soft_cross_entropy: [
        *lost(
            references.soft_cross_entropy,
            (normal(5, 3), probabilities(5, 3), NO_WEIGHT),
            axis=1,
            label_smoothing=0.0,
        ),
        *lost(
            references.soft_cross_entropy,
            (normal(2, 3, 4), probabilities(2, 3, 4), between(0.5, 2, 3)),
            axis=1,
            label_smoothing=0.3,
        ),
        *lost(
            references.soft_cross_entropy,
            (normal(3), probabilities(3), between(0.5, 2, 3)),
            axis=0,
            label_smoothing=0.2,
        ),
    ],
    # manipulation
    manipulation.astype: [
        Sample((normal(2, 3),), {"dtype": "float64"}, references.astype),
        Sample((normal(0, 3),), {"dtype": "float64", "copy": False}, references.astype),
    ],
    manipulation.broadcast_to: [
        *moved(np.broadcast_to, (3,), {"shape": (2, 3)}, {"shape": (3,)}, {"shape": (0, 3)}),
        *moved(
            np.broadcast_to, (2, 1, 3), {"shape": (2, 4, 3)}, {"shape": (5, 2, 4, 3)}, {"shape": (2, 0, 3)}
        ),
        *moved(np.broadcast_to, (), {"shape": (2, 2)}, {"shape": ()}),
    ],
    manipulation.concat: joined(
        lambda *arrays, axis: np.concat(arrays, axis=axis),
        (((2, 3), (1, 3), (4, 3)), 0),
        (((2, 3), (2, 1)), -1),
        (((2, 3, 1), (2, 2, 1)), 1),
        (((2, 3), (0, 3), (1, 3)), 0),
        (((2, 3), (4,), ()), None),
        (((3,),), 0),
        (((2, 0), (2, 0)), 1),
    ),
    manipulation.expand_dims: [
        *moved(np.expand_dims, (2, 3), {"axis": 0}, {"axis": 1}, {"axis": -1}, {"axis": -3}),
        *moved(np.expand_dims, (0, 2), {"axis": 1}),
        *moved(np.expand_dims, (), {"axis": 0}),
    ],
    manipulation.flip: [
        *moved(np.flip, (2, 3, 4), {}, {"axis": 0}, {"axis": -1}, {"axis": (0, -1)}),
        *moved(np.flip, (0, 3), {"axis": 1}),
    ],
    manipulation.matrix_transpose: [
        *moved(np.matrix_transpose, (2, 3), {}),
        *moved(np.matrix_transpose, (4, 2, 3), {}),
        *moved(np.matrix_transpose, (0, 3), {}),
    ],
    manipulation.moveaxis: [
        *moved(np.moveaxis, (2, 3, 4), {"source": 0, "destination": 2}, {"source": -1, "destination": 0}),
        *moved(np.moveaxis, (2, 3, 4), {"source": (0, 1), "destination": (-1, 0)}),
        *moved(np.moveaxis, (0, 3), {"source": 1, "destination": 0}),
    ],
    manipulation.permute_dims: [
        *moved(np.permute_dims, (2, 3, 4), {"axes": (2, 0, 1)}, {"axes": (0, 2, 1)}, {"axes": (-1, 0, -2)}),
        *moved(np.permute_dims, (0, 3), {"axes": (1, 0)}),
        *moved(np.permute_dims, (), {"axes": ()}),
    ],
    manipulation.reshape: [
        *moved(np.reshape, (2, 3), {"shape": (3, 2)}, {"shape": (-1,)}, {"shape": (1, -1, 3)}),
        *moved(np.reshape, (2, 3), {"shape": (6,), "copy": True}),
        *moved(np.reshape, (1, 1), {"shape": ()}),
        *moved(np.reshape, (0, 3), {"shape": (3, 0)}, {"shape": (0,)}),
        *moved(np.reshape, (), {"shape": (1, 1)}),
    ],
    manipulation.roll: [
        *moved(
            np.roll, (2, 3), {"shift": 1}, {"shift": -4}, {"shift": 2, "axis": 1}, {"shift": 1, "axis": -2}
        ),
        *moved(np.roll, (2, 3), {"shift": (1, -2), "axis": (0, 1)}, {"shift": (1, 1), "axis": (-1, -2)}),
        *moved(np.roll, (0, 3), {"shift": 1, "axis": 1}),
    ],
    manipulation.squeeze: [
        *moved(np.squeeze, (1, 3, 1), {"axis": 0}, {"axis": -1}, {"axis": (0, 2)}, {"axis": (-1, 0)}),
        *moved(np.squeeze, (1, 0), {"axis": 0}),
    ],
    manipulation.stack: joined(
        lambda *arrays, axis: np.stack(arrays, axis=axis),
        (((2, 3), (2, 3), (2, 3)), 0),
        (((2, 3), (2, 3)), -1),
        (((2, 3), (2, 3)), 1),
        (((2, 3), (2, 3)), -3),
        (((), ()), 0),
        (((0, 2), (0, 2)), 1),
        (((3,),), 0),
    ),
    manipulation.tril: [
        *moved(np.tril, (3, 4), {}, {"k": 1}, {"k": -1}),
        *moved(np.tril, (2, 3, 3), {"k": 0}),
        *moved(np.tril, (0, 3), {}),
    ],
    manipulation.triu: [
        *moved(np.triu, (3, 4), {}, {"k": 1}, {"k": -1}),
        *moved(np.triu, (2, 3, 3), {"k": 0}),
        *moved(np.triu, (0, 3), {}),
    ],
    # reductions
    reductions.max: reduced(np.max, apart, empty=False),
    reductions.mean: reduced(np.mean, empty=False),
    reductions.min: reduced(np.min, apart, empty=False),
    reductions.prod: [
        *reduced(np.prod),
        Sample((given(np.asarray([[0.0, 2.0, 3.0], [0.0, 0.0, 1.5]])),), {"axis": 1}, np.prod),
        Sample((given(np.asarray([[0.0, 2.0], [3.0, -1.0]])),), {}, np.prod),
    ],
    reductions.std: [
        *(s for s in reduced(references.std, apart, empty=False) if references.has_several(s)),
        *(
            s
            for s in reduced(references.std, apart, empty=False, correction=1.0)
            if references.has_several(s)
        ),
        Sample((apart(3, 4),), {"axis": 0, "correction": 0.5}, references.std),
    ],
    reductions.sum: reduced(np.sum),
    reductions.var: [
        *reduced(references.var, empty=False),
        *(s for s in reduced(references.var, empty=False, correction=1.0) if references.has_several(s)),
        Sample((normal(3, 4),), {"axis": -1, "correction": 1.5}, references.var),
    ],
}
"""Ops with a gradient."""


def compared(reference: Any) -> list[Sample]:
    ties = given(np.asarray([1.0, 2.0, -3.0]))
    return [
        Sample((normal(2, 3), normal(3)), reference=reference),
        Sample((ties, ties), reference=reference),
        Sample((normal(2, 3), given(0.5)), reference=reference),
        Sample((integers(0, 3, 2, 3), integers(0, 3, 3)), reference=reference),
        Sample((normal(0, 3), normal(3)), reference=reference),
    ]


def of_booleans(reference: Any) -> list[Sample]:
    return [Sample((booleans(2, 3), booleans(3)), reference=reference)]


def of_bits(reference: Any) -> list[Sample]:
    return [
        *of_booleans(reference),
        Sample((integers(0, 99, 2, 3), integers(0, 99, 3)), reference=reference),
        Sample((integers(0, 99, 2, 3), given(6)), reference=reference),
    ]


def shifted_bits(reference: Any) -> list[Sample]:
    return [
        Sample((integers(-99, 99, 2, 3), integers(0, 9, 3)), reference=reference),
        Sample((integers(0, 99, 2, 3), given(2)), reference=reference),
    ]


def rounded(reference: Any) -> list[Sample]:
    return [
        Sample((lambda rng: rng.normal(size=(2, 3)) * 3,), reference=reference),
        Sample((given(np.asarray([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])),), reference=reference),
        Sample((normal(0, 2),), reference=reference),
    ]


NOT_ALL_FINITE = given(np.asarray([1.0, np.nan, np.inf, -np.inf, 0.0]))


def searched(reference: Any) -> list[Sample]:
    return [
        Sample((apart(2, 3, 4),), options, reference)
        for options in ({}, {"axis": 1}, {"axis": -1, "keepdims": True}, {"keepdims": True})
    ] + [Sample((given(np.asarray([1.0, 3.0, 3.0, 1.0])),), {}, reference)]


def asked(reference: Any) -> list[Sample]:
    return [
        Sample((booleans(2, 3, 2),), options, reference)
        for options in ({}, {"axis": 1}, {"axis": (0, -1), "keepdims": True})
    ] + [Sample((booleans(0, 3),), {"axis": 0}, reference)]


WITHOUT_GRADIENT: Table = {
    elementwise.bitwise_and: of_bits(np.bitwise_and),
    elementwise.bitwise_invert: [
        Sample((booleans(2, 3),), reference=np.bitwise_invert),
        Sample((integers(0, 99, 4),), reference=np.bitwise_invert),
    ],
    elementwise.bitwise_left_shift: shifted_bits(np.bitwise_left_shift),
    elementwise.bitwise_or: of_bits(np.bitwise_or),
    elementwise.bitwise_right_shift: shifted_bits(np.bitwise_right_shift),
    elementwise.bitwise_xor: of_bits(np.bitwise_xor),
    elementwise.ceil: rounded(np.ceil),
    elementwise.equal: compared(np.equal),
    elementwise.floor: rounded(np.floor),
    elementwise.floor_divide: [
        Sample((normal(2, 3), away_from_zero(3)), reference=np.floor_divide),
        Sample((integers(-9, 9, 2, 3), integers(1, 4, 3)), reference=np.floor_divide),
        Sample((normal(2, 3), given(0.3)), reference=np.floor_divide),
    ],
    elementwise.greater: compared(np.greater),
    elementwise.greater_equal: compared(np.greater_equal),
    elementwise.isfinite: [Sample((NOT_ALL_FINITE,), reference=np.isfinite)],
    elementwise.isinf: [Sample((NOT_ALL_FINITE,), reference=np.isinf)],
    elementwise.isnan: [Sample((NOT_ALL_FINITE,), reference=np.isnan)],
    elementwise.less: compared(np.less),
    elementwise.less_equal: compared(np.less_equal),
    elementwise.logical_and: of_booleans(np.logical_and),
    elementwise.logical_not: [Sample((booleans(2, 3),), reference=np.logical_not)],
    elementwise.logical_or: of_booleans(np.logical_or),
    elementwise.logical_xor: of_booleans(np.logical_xor),
    elementwise.nextafter: [Sample((normal(2, 3), normal(3)), reference=np.nextafter)],
    elementwise.not_equal: compared(np.not_equal),
    elementwise.round: rounded(np.round),
    elementwise.sign: [Sample((given(np.asarray([-2.5, 0.0, 3.0])),), reference=np.sign), *rounded(np.sign)],
    elementwise.signbit: [Sample((given(np.asarray([-2.5, -0.0, 0.0, 3.0])),), reference=np.signbit)],
    elementwise.trunc: rounded(np.trunc),
    reductions.all: asked(np.all),
    reductions.any: asked(np.any),
    reductions.argmax: searched(np.argmax),
    reductions.argmin: searched(np.argmin),
}
"""Ops that are constant almost everywhere, or whose results are no floating-point numbers."""
