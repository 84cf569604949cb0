"""Samples of the functions of matrices; what NumPy gives is the reference.

All matrices are well-conditioned, with eigenvalues and singular values apart from each other, so that derivatives are
smooth over the steps of finite differences and accurate in single precision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from portanet import linalg
from portanet.ops import decompositions, inverses, linear_algebra
from portanet.tensor import asarray
from portanet.testing.samples.drawing import Draw, Sample, Table, complex_normal, each, given, normal

__all__ = [
    "COMPOSED",
    "INVARIANT",
    "NOT_UNIQUE",
    "SAMPLES",
    "WITHOUT_GRADIENT",
    "adjoint",
    "hermitian",
    "regular",
    "unsymmetric",
]


def adjoint(x: Any) -> Any:
    return np.conj(np.swapaxes(x, -1, -2))


def orthonormal(rng: Any, shape: tuple[int, ...], is_complex: bool) -> Any:
    """Stacks of unitary matrices."""
    x = rng.normal(size=shape)
    return np.linalg.qr(x + 1j * rng.normal(size=shape) if is_complex else x)[0]


def spread(rng: Any, low: float, high: float, *shape: int) -> Any:
    """Numbers from low to high along the last axis, apart from each other by about an equal distance."""
    count = shape[-1]
    distance = (high - low) / max(count, 1)
    return low + distance * (np.arange(count) + 0.5 + rng.uniform(-0.2, 0.2, size=shape))


def regular(*shape: int, is_complex: bool = False) -> Draw:
    """Matrices with singular values between 0.6 and 1.8."""

    def draw(rng: Any) -> Any:
        *stack, m, n = shape
        k = min(m, n)
        left, right = (orthonormal(rng, (*stack, size, size), is_complex) for size in (m, n))
        s = spread(rng, 0.6, 1.8, *stack, k)
        return (left[..., :, :k] * s[..., None, :]) @ right[..., :k, :]

    return draw


def complex_regular(*shape: int) -> Draw:
    return regular(*shape, is_complex=True)


def hermitian(*shape: int, is_complex: bool = False, low: float = -1.5, high: float = 1.5) -> Draw:
    """Symmetric or Hermitian matrices with eigenvalues between the two."""

    def draw(rng: Any) -> Any:
        v = orthonormal(rng, shape, is_complex)
        x = (v * spread(rng, low, high, *shape[:-1])[..., None, :]) @ adjoint(v)
        return (x + adjoint(x)) / 2

    return draw


def complex_hermitian(*shape: int, **limits: float) -> Draw:
    return hermitian(*shape, is_complex=True, **limits)


def positive(*shape: int, is_complex: bool = False) -> Draw:
    """Positive definite matrices."""
    return hermitian(*shape, is_complex=is_complex, low=0.6, high=1.8)


def unsymmetric(*shape: int, is_complex: bool = False) -> Draw:
    """Matrices with eigenvalues apart, and eigenvectors far from parallel; of real ones two eigenvalues are complex."""

    def draw(rng: Any) -> Any:
        size = shape[-1]
        middle = np.eye(size) * spread(rng, -1.5, 1.5, *shape[:-1])[..., None, :]
        if size > 1:
            turn = rng.uniform(0.5, 1.0)
            middle[..., 0, 1], middle[..., 1, 0] = turn, -turn
            middle[..., 1, 1] = middle[..., 0, 0]
        vectors = regular(*shape, is_complex=is_complex)(rng)
        return vectors @ middle @ np.linalg.inv(vectors)

    return draw


def singular(*shape: int, rank: int, is_complex: bool = False) -> Draw:
    """Square matrices of less than full rank."""

    def draw(rng: Any) -> Any:
        left = regular(*shape[:-1], rank, is_complex=is_complex)(rng)
        return left @ regular(*shape[:-2], rank, shape[-1], is_complex=is_complex)(rng)

    return draw


def leading(*shape: int, is_complex: bool = False) -> Draw:
    """Matrices whose first columns, as many as there are rows at most, are far from dependent."""
    *stack, m, n = shape
    first = regular(*stack, m, min(m, n), is_complex=is_complex)
    others = regular(*stack, m, n - min(m, n), is_complex=is_complex)
    return lambda rng: np.concat([first(rng), others(rng)], axis=-1)


def lengths_apart(*shape: int, is_complex: bool = False) -> Draw:
    """Numbers whose absolute values are apart from each other and from zero."""

    def draw(rng: Any) -> Any:
        count = int(np.prod(shape))
        sizes = 0.4 + 0.3 * rng.permutation(count) + rng.uniform(-0.05, 0.05, size=count)
        turns = np.exp(1j * rng.uniform(0, 6, count)) if is_complex else rng.choice([-1.0, 1.0], count)
        return (sizes * turns).reshape(shape)

    return draw


def sums_apart(*shape: int, is_complex: bool = False) -> Draw:
    """Matrices whose rows, and whose columns, differ in the sum of absolute values."""

    def draw(rng: Any) -> Any:
        *_, m, n = shape
        sizes = rng.uniform(0.5, 0.6, shape) * (1 + 0.5 * np.arange(m))[:, None] * (1 + 0.5 * np.arange(n))
        turns = np.exp(1j * rng.uniform(0, 6, shape)) if is_complex else rng.choice([-1.0, 1.0], shape)
        return sizes * turns

    return draw


def vector_norm(x: Any, **options: Any) -> Any:
    """NumPy's, which before 2.3 refuses arrays without elements."""
    if x.size:
        return np.linalg.vector_norm(x, **options)
    return np.sum(np.abs(x), axis=options.get("axis"), keepdims=options.get("keepdims", False))


def matrix_rank(x: Any, **options: Any) -> Any:
    """NumPy's, which before 2.3 refuses arrays without elements."""
    return np.linalg.matrix_rank(x, **options) if x.size else np.zeros(x.shape[:-2], dtype=np.int64)


def one(draws: list[Draw], reference: Any, **options: Any) -> list[Sample]:
    return [Sample((draw,), options, reference) for draw in draws]


def several(draw: Callable[..., Draw], *shapes: tuple[int, ...], both: bool = True) -> list[Draw]:
    """Real ones of each shape, and complex ones."""
    kinds = (False, True) if both else (False,)
    return [draw(*shape, is_complex=is_complex) for is_complex in kinds for shape in shapes]


SQUARE = ((3, 3), (2, 4, 4), (1, 1), (0, 3, 3), (2, 0, 0), (0, 0))
RECTANGULAR = ((3, 3), (4, 2), (2, 4), (2, 3, 2), (2, 1, 3), (3, 1), (0, 2, 3), (2, 0), (0, 2))


SAMPLES: Table = {
    decompositions.cholesky: [
        *one(several(positive, *SQUARE), np.linalg.cholesky),
        *one(several(positive, (3, 3), (2, 2, 2)), np.linalg.cholesky, upper=True),
    ],
    inverses.det: one(
        [
            *several(regular, *SQUARE, (2, 2), (5, 5), (2, 1, 1)),
            singular(3, 3, rank=2),
            singular(2, 3, 3, rank=1),
            singular(4, 4, rank=3),
            singular(5, 5, rank=3, is_complex=True),
            given(np.zeros((2, 2))),
            given(np.zeros((4, 4))),
            given(np.eye(4)),
            given(np.diag([1.0, 1.0, 2.0, 2.0, 0.0, 0.0])),
        ],
        np.linalg.det,
    ),
    linear_algebra.diagonal: [
        Sample((draw,), {"offset": offset}, np.linalg.diagonal)
        for draw in (normal(3, 3), normal(2, 4, 3), complex_normal(2, 3), normal(0, 3), normal(2, 1, 0))
        for offset in (0, 1, -2, 9)
    ],
    decompositions.eigvalsh: one(several(hermitian, *SQUARE), np.linalg.eigvalsh),
    inverses.inv: one(several(regular, *SQUARE), np.linalg.inv),
    inverses.pinv: [
        *one(several(regular, *RECTANGULAR, (2, 0, 0)), np.linalg.pinv),
        *one(several(regular, (4, 2), both=False), np.linalg.pinv, rtol=0.1),
    ],
    inverses.slogdet: one(several(regular, *SQUARE), lambda x: tuple(np.linalg.slogdet(x))),
    inverses.solve: [
        Sample(draws, {}, np.linalg.solve)
        for draws in [
            (regular(3, 3), normal(3, 2)),
            (regular(3, 3), normal(3)),
            (regular(2, 3, 3), normal(3)),
            (regular(3, 3, 3), normal(3, 3)),
            (regular(3, 3), normal(2, 3, 1)),
            (regular(2, 1, 3, 3), normal(4, 3, 2)),
            (complex_regular(3, 3), complex_normal(3, 2)),
            (complex_regular(2, 2, 2), complex_normal(2)),
            (complex_regular(3, 3), normal(3, 2)),
            (regular(2, 3, 3), complex_normal(3)),
            (regular(0, 3, 3), normal(3, 2)),
            (regular(0, 3, 3), normal(3)),
            (regular(3, 3), normal(3, 0)),
            (regular(0, 0), normal(0, 2)),
            (regular(1, 1), normal(1)),
        ]
    ],
    decompositions.svdvals: one(several(regular, *RECTANGULAR), np.linalg.svdvals),
    linear_algebra.vector_norm: [
        *(
            sample
            for order in (2, 1, np.inf, -np.inf, 3, 2.5, 0.5, -1, -2)
            for sample in each(
                vector_norm,
                (lengths_apart(2, 3), {"ord": order}),
                (lengths_apart(2, 3, 2), {"ord": order, "axis": 1, "keepdims": True}),
                (lengths_apart(2, 3, 2, is_complex=True), {"ord": order, "axis": (-1, 0)}),
            )
        ),
        *each(
            vector_norm,
            (lengths_apart(), {}),
            (lengths_apart(3), {"axis": -1}),
            (lengths_apart(3, is_complex=True), {"keepdims": True}),
            (lengths_apart(2, 3), {"axis": (0, 1), "keepdims": True}),
            (normal(0, 3), {"axis": 1}),
            (normal(2, 0), {"axis": 1}),
            (normal(2, 0), {"ord": 3}),
            (normal(2, 0), {"axis": -1, "ord": np.inf}),
        ),
        *(
            Sample((lengths_apart(2, 3),), {"axis": (), "ord": order}, lambda x, **_: np.abs(x))
            for order in (2, 1, np.inf, 3, -1)
        ),
    ],
}

WITHOUT_GRADIENT: Table = {
    # In a larger matrix the order of eigenvalues is the library's choice.
    decompositions.eigvals: one(
        [
            *several(unsymmetric, (2, 1, 1), (0, 3, 3), (2, 0, 0)),
            *several(unsymmetric, (2, 2), (2, 2, 2), both=False),
        ],
        lambda x: np.linalg.eigvals(x).astype(complex),
    ),
    inverses.matrix_rank: [
        *one(several(regular, *RECTANGULAR), matrix_rank),
        *one([singular(4, 4, rank=2), singular(2, 3, 3, rank=1, is_complex=True)], matrix_rank),
        *one([given(np.diag([8.0, 4.0, 2.0, 1.0]))], matrix_rank, rtol=0.3),
        *one([given(np.zeros((2, 3)))], matrix_rank),
    ],
}


def cross(x: Any, y: Any, *, axis: int = -1) -> Any:
    """NumPy's does not broadcast before it takes the axis."""
    shape = np.broadcast_shapes(x.shape, y.shape)
    return np.cross(np.broadcast_to(x, shape), np.broadcast_to(y, shape), axis=axis)


COMPOSED: Table = {
    linalg.cross: [
        Sample(draws, options, cross)
        for draws, options in [
            ((normal(3), normal(3)), {}),
            ((normal(2, 3), normal(2, 3)), {}),
            ((normal(3), normal(4, 3)), {}),
            ((normal(2, 1, 3), normal(4, 3)), {}),
            ((normal(3, 2), normal(5, 3, 1)), {"axis": -2}),
            ((normal(3, 2), normal(3, 2)), {"axis": 0}),
            ((complex_normal(2, 3), complex_normal(2, 3)), {}),
            ((complex_normal(3), normal(2, 3)), {}),
            ((normal(0, 3), normal(3)), {}),
        ]
    ],
    linalg.eigvals: one(
        [
            *several(unsymmetric, (2, 1, 1), (0, 3, 3), (2, 0, 0)),
            *several(unsymmetric, (2, 2), (2, 2, 2), both=False),
        ],
        lambda x: np.linalg.eigvals(x).astype(complex),
    ),
    linalg.matrix_norm: [
        *(
            Sample((draw,), {"ord": order, "keepdims": keepdims}, np.linalg.matrix_norm)
            for order in ("fro", "nuc", 2, -2)
            for draw, keepdims in [
                (regular(3, 2), False),
                (regular(2, 2, 3), True),
                (complex_regular(2, 3, 3), False),
                (regular(0, 2, 2), False),
            ]
        ),
        *(
            Sample((draw,), {"ord": order, "keepdims": keepdims}, np.linalg.matrix_norm)
            for order in (1, -1, np.inf, -np.inf)
            for draw, keepdims in [
                (sums_apart(3, 2), False),
                (sums_apart(2, 2, 3), True),
                (sums_apart(2, 3, 3, is_complex=True), False),
                (regular(0, 2, 2), False),
            ]
        ),
        *one([regular(3, 3), normal(2, 0)], np.linalg.matrix_norm),
        *one([regular(3, 3)], lambda x, ord: np.linalg.matrix_norm(x), ord=None),
        *(
            Sample((normal(*shape),), {"ord": order}, lambda x, ord: np.zeros(x.shape[:-2]))
            for order in ("nuc", 1, 2, np.inf)
            for shape in ((2, 0), (2, 0, 3))
        ),
    ],
    linalg.matrix_power: [
        Sample((draw, given(times)), {}, np.linalg.matrix_power)
        for draw, times in [
            *((regular(3, 3), times) for times in (1, 2, 3, 6, 7, -1, -2, -3)),
            (complex_regular(2, 2, 2), 5),
            (complex_regular(2, 2, 2), -2),
            (regular(0, 3, 3), 2),
            (regular(2, 0, 0), -1),
        ]
    ],
    linalg.outer: [
        Sample(draws, {}, np.linalg.outer)
        for draws in [
            (normal(3), normal(4)),
            (complex_normal(3), complex_normal(2)),
            (normal(3), complex_normal(2)),
            (normal(0), normal(2)),
            (normal(2), normal(0)),
        ]
    ],
    linalg.trace: [
        *(
            Sample((draw,), {"offset": offset}, np.linalg.trace)
            for draw in (normal(3, 3), normal(2, 4, 3), complex_normal(2, 3), normal(0, 3), normal(2, 0, 0))
            for offset in (0, 1, -1, 7)
        ),
        Sample((normal(2, 3),), {"dtype": "float64"}, np.linalg.trace),
    ],
}

NOT_UNIQUE: Table = {
    decompositions.eig: one(several(unsymmetric, *SQUARE, (2, 2)), None),
    decompositions.eigh: one(several(hermitian, *SQUARE), None),
    decompositions.qr: [
        *one(several(leading, *RECTANGULAR, (2, 0, 0)), None),
        *one(several(leading, (4, 2), (2, 4), (2, 3, 2)), None, mode="complete"),
        *one(several(leading, (3, 3), (0, 3, 2), (2, 0), (0, 2), both=False), None, mode="complete"),
    ],
    decompositions.svd: [
        *one(several(regular, *RECTANGULAR, (2, 0, 0)), None),
        *one(several(regular, (4, 2), (2, 4), (2, 3, 2)), None, full_matrices=False),
        *one(several(regular, (3, 3), (0, 3, 2), (2, 0), (0, 2), both=False), None, full_matrices=False),
    ],
}
"""Ops whose results are the library's choice among many, so that there is no reference."""


# What a decomposition says whatever the library's choice. Each takes the namespace, so that NumPy gives the reference.


def of_columns(x: Any, factors: Any) -> Any:
    return x * factors[..., None, :]


def squares(xp: Any, x: Any) -> Any:
    """Squared absolute values, which are smooth at 0."""
    return xp.real(x * xp.conj(x))


def projector(xp: Any, x: Any) -> Any:
    """Onto the space that orthonormal columns span."""
    return x @ xp.conj(xp.matrix_transpose(x))


def of_eig(xp: Any, x: Any) -> list[Any]:
    """The order of eigenvalues is free, too, so everything is summed over them."""
    w, v = xp.linalg.eig(x)
    projected = of_columns(v, w * w) @ xp.linalg.inv(v)
    return [
        xp.sum(xp.exp(w), axis=-1),
        projected,
        xp.sum(of_columns(squares(xp, v), xp.real(w)), axis=-1),
    ]


def of_eigh(xp: Any, x: Any) -> list[Any]:
    w, v = xp.linalg.eigh(x)
    return [w, squares(xp, v), of_columns(v, xp.exp(w)) @ xp.conj(xp.matrix_transpose(v))]


def of_qr(xp: Any, x: Any, *, mode: str = "reduced") -> list[Any]:
    """The factors whose R has a positive diagonal, and the space of the other columns."""
    q, r = xp.linalg.qr(x, mode=mode)
    k = min(x.shape[-2:])
    signs = xp.sign(xp.real(xp.linalg.diagonal(r)))
    return [
        of_columns(q[..., :, :k], signs),
        r[..., :k, :] * signs[..., :, None],
        projector(xp, q[..., :, k:]),
    ]


def of_svd(xp: Any, x: Any, *, full_matrices: bool = True) -> list[Any]:
    u, s, vh = xp.linalg.svd(x, full_matrices=full_matrices)
    k = s.shape[-1]
    left, right = u[..., :, :k], vh[..., :k, :]
    below = xp.conj(xp.matrix_transpose(vh[..., k:, :]))
    return [
        s,
        squares(xp, left),
        squares(xp, right),
        of_columns(left, xp.exp(s)) @ right,
        projector(xp, u[..., :, k:]),
        projector(xp, below),
    ]


def invariant(formula: Callable[..., Any], samples: list[Sample]) -> tuple[Callable[..., Any], list[Sample]]:
    """A function of Tensors, and samples that have NumPy's result of the same formula for a reference."""

    def function(x: Any, /, **options: Any) -> Any:
        portanet = asarray(0.0).__array_namespace__()
        return formula(portanet, x, **options)

    def reference(x: Any, **options: Any) -> Any:
        # NumPy's eigenvalues of a real matrix are real where none is complex.
        return formula(np, x.astype("complex128") if formula is of_eig else x, **options)

    function.__name__ = formula.__name__
    return function, [Sample(sample.draws, sample.options, reference) for sample in samples]


INVARIANT: Table = dict(
    invariant(formula, NOT_UNIQUE[op])
    for formula, op in (
        (of_eig, decompositions.eig),
        (of_eigh, decompositions.eigh),
        (of_qr, decompositions.qr),
        (of_svd, decompositions.svd),
    )
)
"""Functions of the results of decompositions that do not depend on the library's choice."""
