"""Maps from any matrices to orthogonal ones, and back; of Tensors and of raw arrays, differentiable to any order."""

from __future__ import annotations

from math import factorial
from typing import Any

from portanet.functions.elementwise import abs as absolute
from portanet.functions.elementwise import conj, hypot, sign, where
from portanet.functions.linear_algebra import matmul
from portanet.functions.manipulation import (
    astype,
    concat,
    expand_dims,
    matrix_transpose,
    stack,
    tril,
    triu,
)
from portanet.functions.reductions import max as largest
from portanet.functions.reductions import sum as sum_of
from portanet.graph import no_grad
from portanet.linalg import diagonal, qr, solve, vector_norm
from portanet.nn.functional.beside import full_beside
from portanet.protocols import Array
from portanet.tensor import unwrap

__all__ = [
    "cayley",
    "identity_beside",
    "matrix_exp",
    "orthonormalized",
    "product_of_reflections",
    "reflections_of",
    "skew",
]

SQUARINGS = 10
"""How often the exponential may be squared: it is exact to rounding for norms up to two to this power."""


def identity_beside(x: Array, rows: int, columns: int | None = None) -> Any:
    """The identity matrix, of the library and data type of ``x``."""
    shape = (rows, rows if columns is None else columns)
    return triu(tril(full_beside(x, shape, 1.0)))


def skew(x: Array) -> Any:
    """``X - X^H`` for the lower triangle ``X`` of a tall matrix, with columns of zeros to make it square."""
    shape = tuple(unwrap(x).shape)
    n, k = shape[-2:]
    lower = tril(x)
    if n > k:
        lower = concat([lower, full_beside(x, (*shape[:-2], n, n - k), 0.0)], axis=-1)
    return lower - conj(matrix_transpose(lower))


def cayley(a: Array) -> Any:
    """``(I - A / 2)^-1 (I + A / 2)``."""
    identity = identity_beside(a, unwrap(a).shape[-1])
    half = a * 0.5
    return solve(identity - half, identity + half)


def matrix_exp(a: Array) -> Any:
    """The exponential: a Taylor polynomial of degree 19 of ``A / 2^s``, squared ``s`` times.

    Each matrix has its own ``s``, with which the norm of ``A / 2^s`` is at most 1. What is done does not depend on
    values: it is squared as often as it ever may be, and each matrix keeps the power that is its own.
    """
    identity = identity_beside(a, unwrap(a).shape[-1])
    with no_grad():
        norm = largest(sum_of(absolute(a), axis=-2, keepdims=True), axis=-1, keepdims=True)
        more = [norm > float(2**step) for step in range(SQUARINGS)]
        halvings = sum((astype(step, norm.dtype) for step in more[1:]), astype(more[0], norm.dtype))
        scale = 0.5**halvings
    a = a * scale
    powers = [identity, a, matmul(a, a)]
    powers.append(matmul(powers[2], a))
    fourth = matmul(powers[2], powers[2])
    result: Any = None
    for block in reversed(
        range(5)
    ):  # Paterson and Stockmeyer: a polynomial in A^4 with four terms in each coefficient
        terms = sum(
            (powers[j] * (1 / factorial(4 * block + j)) for j in (1, 2, 3)),
            powers[0] * (1 / factorial(4 * block)),
        )
        result = terms if result is None else matmul(result, fourth) + terms
    for step in more:
        result = where(step, matmul(result, result), result)
    return result


def product_of_reflections(x: Array) -> Any:
    """The first columns of ``H_1 H_2 ... H_k``, times the signs on the diagonal of the tall matrix ``x``.

    ``H_j`` is the reflection along column j below the diagonal of ``x``, with 1 on the diagonal. The product is
    ``I - V T V^T`` with an upper triangular ``T``, whose inverse is the upper triangle of ``V^T V`` with half its
    diagonal (Joffrain et al., "Accumulating Householder transformations, revisited", 2006).
    """
    n, k = unwrap(x).shape[-2:]
    identity = identity_beside(x, n, k)
    v = tril(x, k=-1) + identity
    gram = matmul(matrix_transpose(v), v)
    inverse = (triu(gram) + triu(gram, k=1)) * 0.5
    q = identity - matmul(v, solve(inverse, matrix_transpose(v[..., :k, :])))
    return q * expand_dims(sign(diagonal(x)), axis=-2)


def reflections_of(q: Array) -> Any:
    """The matrix of which :func:`product_of_reflections` makes the orthogonal factor of a tall matrix ``q``.

    As LAPACK's ``geqrf`` leaves it: normal vectors below the diagonal, and above it the triangular factor, of whose
    diagonal only the signs are kept; where nothing is reflected the sign is the opposite one, for the map reflects
    anyway.
    """
    n, k = unwrap(q).shape[-2:]
    rest, columns = q, []
    for j in range(k):
        head, tail = rest[..., j, j], rest[..., j + 1 :, j]
        size = vector_norm(tail, axis=-1) if j + 1 < n else absolute(head) * 0.0
        idle = size == 0
        length = hypot(head, size)
        beta = where(idle, head, where(head >= 0, -length, length))
        one = size * 0.0 + 1.0
        tail = tail / expand_dims(where(idle, one, head - beta), axis=-1)
        factor = where(idle, size * 0.0, (beta - head) / where(idle, one, beta))
        normal = concat([rest[..., :j, j] * 0.0, expand_dims(one, axis=-1), tail], axis=-1)
        row = matmul(expand_dims(normal, axis=-2), rest)
        rest = rest - expand_dims(factor, axis=(-2, -1)) * matmul(expand_dims(normal, axis=-1), row)
        corner = expand_dims(where(idle, -sign(beta), sign(beta)), axis=-1)
        columns.append(concat([rest[..., :j, j], corner, tail], axis=-1))
    return stack(columns, axis=-1)


def orthonormalized(x: Array) -> Any:
    """The orthogonal factor of the QR decomposition in which the diagonal of ``R`` is positive."""
    q, r = qr(x)
    return q * expand_dims(sign(diagonal(r)), axis=-2)
