"""Decompositions of matrices, and what is computed with one: inverses, determinants, solutions, norms.

All act on the last two axes, so a stack of matrices is treated matrix by matrix. The rules are published ones: M. B.
Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation", 2008; Z.-Q. Wan
and S.-X. Zhang, "Automatic differentiation for complex valued SVD", 2019; D. A. O. Roberts and L. R. Roberts, "QR and
LQ decomposition matrix backpropagation algorithms for square, wide, and deep matrices", 2020. Such sources give the
gradient, which is the conjugate of a cotangent (:mod:`portanet.graph`). The conjugate of a formula is the same formula
of conjugate matrices, so the rules here conjugate what was computed and then read as in the sources.

Eigenvectors, singular vectors and the factors of some decompositions are not unique: a sign, for complex numbers a
phase, or a rotation within a subspace is the library's choice. The gradients are right for functions that do not
depend on that choice; no other function of them has a derivative.
"""

from __future__ import annotations

import math
from typing import Any, Literal, cast

from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.ops.composition import conjugate, recorded
from portanet.ops.promotion import device_of, is_complex, is_integer, promoted
from portanet.protocols import Array, Namespace, NativeDType, Op, OpResult, SeveralResults
from portanet.requirements import name_of_dtype, places_of_axes

__all__ = [
    "check_floating",
    "check_matrices",
    "cholesky",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "matrix_rank",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "vector_norm",
]

# What all of them share


def check_floating(xp: Namespace, name: str, x: Array, operand: str = "x") -> None:
    """Raise unless an array holds floating-point numbers, real or complex."""
    if not hasattr(x, "dtype"):
        raise DTypeError(f"{operand}: {name} expects an array, got {x!r}.")
    if is_integer(xp, x.dtype):
        raise DTypeError(
            f"{operand}: {name} expects floating-point numbers, got {name_of_dtype(x.dtype)}. Convert them first: "
            f"portanet.astype({operand}, portanet.float32)."
        )


def check_matrices(
    xp: Namespace, name: str, x: Array, operand: str = "x", *, square: bool = False, any_dtype: bool = False
) -> None:
    """Raise unless an array is a floating-point matrix or a stack of them, where ``square`` of square ones."""
    if not any_dtype:
        check_floating(xp, name, x, operand)
    shape = tuple(x.shape)
    if len(shape) < 2:
        raise ShapeError(
            f"{operand}: {name} expects a matrix, or a stack of matrices along leading axes, got shape {shape}. "
            "A vector becomes a matrix of one column with portanet.expand_dims(x, axis=-1)."
        )
    if square and shape[-1] != shape[-2]:
        raise ShapeError(f"{operand}: {name} expects square matrices, of shape (..., n, n), got {shape}.")


def _adjoint(xp: Namespace, x: Array) -> Array:
    """The conjugate transpose."""
    return conjugate(xp, xp.matrix_transpose(x))


def _hermitian(xp: Namespace, x: Array) -> Array:
    """The Hermitian part; of real matrices the symmetric part."""
    return (x + _adjoint(xp, x)) * 0.5


def _identity(xp: Namespace, x: Array, dtype: NativeDType = None) -> Array:
    """The identity matrix with as many rows as ``x`` has columns, beside ``x``."""
    return xp.eye(x.shape[-1], dtype=x.dtype if dtype is None else dtype, device=device_of(x))


def _lower_half(xp: Namespace, x: Array) -> Array:
    """The lower triangle with half the diagonal."""
    return xp.tril(x) - x * (_identity(xp, x) * 0.5)


def _scaled(columns: Array, factors: Array) -> Array:
    """A matrix whose columns are multiplied by one number each: ``columns @ diag(factors)``."""
    return columns * factors[..., None, :]


def _divided(xp: Namespace, x: Array, gaps: Array) -> Array:
    """The quotient off the diagonal, and 0 on it, where the gaps are 0."""
    diagonal_places = _identity(xp, x, xp.bool)
    quotient = x / xp.where(diagonal_places, xp.ones_like(gaps), gaps)
    return xp.where(diagonal_places, xp.zeros_like(quotient), quotient)


def _gaps(values: Array) -> Array:
    """How much each of some values (columns) exceeds each (rows)."""
    return values[..., None, :] - values[..., :, None]


# Inverses and solutions


def inv(xp: Namespace, x: Array, /) -> OpResult:
    """Inverse of square matrices.

    Parameters
    ----------
    x : Array
        Shape (..., n, n), floating-point. Libraries that look raise their own error for a singular matrix.

    Returns
    -------
    Array
        The shape and data type of ``x``.

    Examples
    --------
    >>> pn.linalg.inv(pn.asarray([[2.0, 0.0], [0.0, 4.0]]))
    Tensor([[0.5 , 0.  ],
            [0.  , 0.25]])
    """
    check_matrices(xp, "inv", x, square=True)
    r = xp.linalg.inv(x)

    def vjp(g: Array) -> Array:
        transposed = xp.matrix_transpose(r)
        return -(transposed @ g @ transposed)

    return r, (vjp,)


def solve(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """Solution ``r`` of the linear equations ``x @ r = y``.

    Parameters
    ----------
    x : Array
        Shape (..., n, n), the coefficients, invertible.
    y : Array
        Shape (n,), one right-hand side for every matrix in ``x``; or (..., n, k), matrices of k columns. Any array
        with more than one axis is taken as matrices. Leading axes broadcast with those of ``x``.

    Returns
    -------
    Array
        Shape (..., n) for a vector, else (..., n, k).
    """
    check_matrices(xp, "solve", x, "x1", square=True)
    check_floating(xp, "solve", y, "x2")
    vector = y.ndim == 1
    if not y.ndim or y.shape[-1 if vector else -2] != x.shape[-1]:
        raise ShapeError(
            f"x2: solve expects shape (n,) or (..., n, k) with n = {x.shape[-1]} for coefficients of shape "
            f"{tuple(x.shape)}, got {tuple(y.shape)}. A stack of vectors gets an axis of its own at the end: "
            "portanet.expand_dims(x2, axis=-1)."
        )
    x, y = promoted(xp, x, y)
    r = xp.linalg.solve(x, y)

    def columns(g: Array) -> Array:
        """The cotangent of the right-hand sides, as matrices."""
        return xp.linalg.solve(xp.matrix_transpose(x), g[..., None] if vector else g)

    def wrt_x(g: Array) -> Array:
        rows = r[..., None, :] if vector else xp.matrix_transpose(r)
        return -(columns(g) @ rows)  # (..., n, k) @ (..., k, n)

    def wrt_y(g: Array) -> Array:
        return columns(g)[..., 0] if vector else columns(g)

    return r, (wrt_x, wrt_y)


def default_rtol(xp: Namespace, x: Array) -> float:
    """The standard's tolerance for singular values, relative to the largest."""
    return float(max(x.shape[-2:]) * xp.finfo(x.dtype).eps)


def pinv(xp: Namespace, x: Array, /, *, rtol: Any = None) -> OpResult:
    """Moore-Penrose pseudo-inverse, shape (..., n, m); :func:`portanet.linalg.pinv` says what ``rtol`` does."""
    check_matrices(xp, "pinv", x)
    r = xp.linalg.pinv(x, rtol=default_rtol(xp, x) if rtol is None else rtol)

    def vjp(g: Array) -> Array:
        a, p, adjoint = conjugate(xp, x), conjugate(xp, r), _adjoint(xp, g)  # (m, n), (n, m), (m, n)
        p_adjoint = _adjoint(xp, p)
        pg, gp = p @ adjoint, adjoint @ p  # (n, n), (m, m)
        pgp = pg @ p
        return (gp - a @ pgp) @ p_adjoint + p_adjoint @ (pg - pgp @ a) - _adjoint(xp, pgp)

    return r, (vjp,)


def matrix_rank(xp: Namespace, x: Array, /, *, rtol: Any = None) -> OpResult:
    """How many singular values are larger than ``rtol`` times the largest, shape (...), int64; no gradient."""
    check_matrices(xp, "matrix_rank", x)
    s = xp.linalg.svdvals(x)
    tolerance: Any = default_rtol(xp, x) if rtol is None else rtol
    if hasattr(tolerance, "dtype"):
        tolerance = tolerance[..., None]
    large = s > s[..., : min(1, s.shape[-1])] * tolerance
    return xp.sum(xp.astype(large, xp.int64), axis=-1), (None,)


# Determinants


def det(xp: Namespace, x: Array, /) -> OpResult:
    """Determinant of square matrices.

    Parameters
    ----------
    x : Array
        Shape (..., n, n), floating-point.

    Returns
    -------
    Array
        Shape (...); 1 for matrices without elements.

    Notes
    -----
    The gradient is the matrix of cofactors, computed without dividing by the determinant: it is right for singular
    matrices, and so are derivatives up to the third; further ones where at most three singular values are 0. For
    matrices of more than 3 rows it takes a singular value decomposition. See :func:`slogdet` for large matrices.
    """
    check_matrices(xp, "det", x, square=True)

    def vjp(g: Array) -> Array:
        size = x.shape[-1]
        if size == 0:
            return xp.zeros_like(x)
        g = g[..., None, None]
        if size <= 3:
            return g * _few_cofactors(xp, x)
        constant = recorded(xp, cast(Op, singular_vectors))
        if constant is None:
            u, s, vh = xp.linalg.svd(x)
            several = s[..., None, :]
            several = xp.where(_identity(xp, x, xp.bool), xp.ones_like(several), several)
            left = _scaled(conjugate(xp, u), xp.prod(several, axis=-1))
        else:
            u, s, vh = constant(x)
            left = conjugate(xp, u) @ _cofactors(xp, _adjoint(xp, u) @ x @ _adjoint(xp, vh), s)
        phase = xp.linalg.det(u) * xp.linalg.det(vh)
        return g * phase[..., None, None] * (left @ conjugate(xp, vh))

    return xp.linalg.det(x), (vjp,)


def singular_vectors(xp: Namespace, x: Array, /) -> SeveralResults:
    """A singular value decomposition of square matrices whose parts are constants, without a gradient."""
    u, s, vh = xp.linalg.svd(x)
    return (u, s, vh), ((None,), (None,), (None,))


def _few_cofactors(xp: Namespace, x: Array) -> Array:
    """The derivative of the determinant by each element, for matrices of 1, 2 or 3 rows."""
    size = x.shape[-1]
    if size == 1:
        return xp.ones_like(x)

    def moved(down: int, right: int) -> Array:
        return xp.roll(x, (-down, -right), axis=(-2, -1))

    if size == 2:
        return moved(1, 1) * (_identity(xp, x) * 2 - 1)
    return moved(1, 1) * moved(2, 2) - moved(1, 2) * moved(2, 1)


def _cofactors(xp: Namespace, x: Array, s: Array) -> Array:
    """The same for more rows, of matrices that are diagonal but for rounding; ``s`` is the diagonal, in falling order.

    The determinant is that of all but the last three rows and columns times that of the last three's Schur complement.
    Only the first is divided by; where it is 0 the cofactors are, and their first two derivatives.
    """
    first = x.shape[-1] - 3
    a, b = x[..., :first, :first], x[..., :first, first:]
    c, d = x[..., first:, :first], x[..., first:, first:]
    small = s[..., :first] <= s[..., :1] * default_rtol(xp, x)
    instead = xp.astype(small, x.dtype)[..., None, :] * _identity(xp, a)
    inverse = xp.linalg.inv(a + instead)
    factor = xp.linalg.det(a + instead) * xp.astype(~small[..., -1], x.dtype)
    left, right = inverse @ b, c @ inverse  # (..., n - 3, 3), (..., 3, n - 3)
    schur = d - c @ left
    core = _few_cofactors(xp, schur)
    value = xp.sum(schur[..., 0, :] * core[..., 0, :], axis=-1)
    turned_left, turned_right = xp.matrix_transpose(left), xp.matrix_transpose(right)
    corner = turned_right @ core @ turned_left + value[..., None, None] * xp.matrix_transpose(inverse)
    rows = xp.concat([corner, -(turned_right @ core)], axis=-1)
    others = xp.concat([-(core @ turned_left), core], axis=-1)
    return factor[..., None, None] * xp.concat([rows, others], axis=-2)


def slogdet(xp: Namespace, x: Array, /) -> SeveralResults:
    """Sign of the determinant, and the logarithm of its absolute value, which neither overflows nor underflows.

    Parameters
    ----------
    x : Array
        Shape (..., n, n), floating-point.

    Returns
    -------
    SlogdetResult
        ``sign``, shape (...): 1, -1 or 0, for complex matrices a number of absolute value 1, or 0; and ``logabsdet``,
        shape (...), real. For a singular matrix 0 and minus infinity, where there is no gradient.
    """
    check_matrices(xp, "slogdet", x, square=True)
    sign, logabsdet = (xp.asarray(part) for part in xp.linalg.slogdet(x))

    def slope() -> Array:
        return xp.matrix_transpose(xp.linalg.inv(x))

    def wrt_sign(g: Array) -> Array:
        turn = xp.astype(xp.imag(g * sign), x.dtype) * 1j  # a sign turns, and never grows
        return turn[..., None, None] * slope()

    by_sign = wrt_sign if is_complex(xp, x.dtype) else None
    return (sign, logabsdet), ((by_sign,), (lambda g: g[..., None, None] * slope(),))


# Decompositions


def cholesky(xp: Namespace, x: Array, /, *, upper: bool = False) -> OpResult:
    """Cholesky factor of Hermitian positive definite matrices: ``x = r @ r^H``, or ``x = r^H @ r`` where ``upper``.

    Parameters
    ----------
    x : Array
        Shape (..., n, n), floating-point. Only the Hermitian part ``(x + x^H) / 2`` counts, on every backend.
    upper : bool, default False
        Whether the factor is upper triangular.

    Returns
    -------
    Array
        Triangular, with a positive diagonal.
    """
    check_matrices(xp, "cholesky", x, square=True)
    lower = xp.linalg.cholesky(_hermitian(xp, x))

    def vjp(g: Array) -> Array:
        factor = conjugate(xp, lower)
        core = _lower_half(xp, _adjoint(xp, factor) @ (_adjoint(xp, g) if upper else g))
        inverse = xp.linalg.inv(factor)
        return _hermitian(xp, _adjoint(xp, inverse) @ core @ inverse)

    return (_adjoint(xp, lower) if upper else lower), (vjp,)


def qr(xp: Namespace, x: Array, /, *, mode: Literal["reduced", "complete"] = "reduced") -> SeveralResults:
    """QR decomposition ``x = Q @ R``: orthonormal columns times an upper triangle with a real diagonal.

    Parameters
    ----------
    x : Array
        Shape (..., m, n), floating-point. With k = min(m, n):
    mode : {"reduced", "complete"}
        ``Q`` of shape (..., m, k) and ``R`` of shape (..., k, n); or (..., m, m) and (..., m, n).

    Returns
    -------
    QRResult
        ``Q`` and ``R``. The signs of R's diagonal are the library's choice.

    Notes
    -----
    Every shape and both modes have a gradient, where the first k columns of ``x`` are linearly independent. The last
    ``m - k`` columns of a complete ``Q`` are any basis of what the others leave: the gradient is right for functions of
    the space that they span, such as ``Q2 @ Q2^H``, and there is none for others.
    """
    check_matrices(xp, "qr", x)
    if mode not in ("reduced", "complete"):
        raise OptionError(f"mode: expected 'reduced' or 'complete', got {mode!r}.")
    q, r = xp.linalg.qr(x, mode=mode)
    size = min(x.shape[-2:])
    wide = x.shape[-1] > size

    def backwards(g: Array, core: Array) -> Array:
        """From the cotangents of Q and of the upper triangle of ``dR @ inv(R)`` to that of x's first columns."""
        triangle = conjugate(xp, r[..., :size, :size])
        upper = xp.triu(core) - core * (_identity(xp, core) * 0.5)
        g = g + conjugate(xp, q[..., :, :size]) @ (upper + _adjoint(xp, upper))
        return _adjoint(xp, xp.linalg.solve(triangle, _adjoint(xp, g)))

    def wrt_q(g: Array) -> Array:
        columns = conjugate(xp, q)
        g = _without_complement(xp, g, columns, size)
        found = backwards(g, -(_adjoint(xp, columns[..., :, :size]) @ g))
        if not wide:
            return found
        return xp.concat([found, xp.zeros_like(x[..., :, size:])], axis=-1)

    def wrt_r(g: Array) -> Array:
        columns = conjugate(xp, q[..., :, :size])
        g = g[..., :size, :]  # below are zeros
        core = g[..., :, :size] @ _adjoint(xp, conjugate(xp, r[..., :size, :size]))
        if not wide:
            return backwards(xp.zeros_like(columns), core)
        beyond = g[..., :, size:]
        by_q = conjugate(xp, x[..., :, size:]) @ _adjoint(xp, beyond)  # R's other columns are Q^H times x's
        found = backwards(by_q, core - _adjoint(xp, columns) @ by_q)
        return xp.concat([found, columns @ beyond], axis=-1)

    return (q, r), ((wrt_q,), (wrt_r,))


def _without_complement(xp: Namespace, g: Array, columns: Array, size: int) -> Array:
    """The cotangent of the first columns alone, when the others are a basis of what these leave.

    If the first columns ``a`` of a unitary matrix move by ``da``, the others ``b`` move by ``-a @ da^H @ b``, up to
    a rotation among themselves.
    """
    if columns.shape[-1] == size:
        return g
    first, others = columns[..., :, :size], columns[..., :, size:]
    return g[..., :, :size] - others @ (_adjoint(xp, g[..., :, size:]) @ first)


def eigh(xp: Namespace, x: Array, /) -> SeveralResults:
    """Eigenvalues and eigenvectors of Hermitian matrices: ``x = V @ diag(w) @ V^H``.

    Parameters
    ----------
    x : Array
        Shape (..., n, n), floating-point. Only the Hermitian part ``(x + x^H) / 2`` counts, on every backend.

    Returns
    -------
    EighResult
        ``eigenvalues``, shape (..., n), real; ``eigenvectors``, shape (..., n, n), one in each column.

    Notes
    -----
    The gradient through eigenvectors divides by the differences of eigenvalues: it is inaccurate where two are near
    each other, and infinite or NaN where they are equal, and so are second derivatives. The first derivative of
    eigenvalues alone is finite always.
    """
    check_matrices(xp, "eigh", x, square=True)
    w, v = xp.linalg.eigh(_hermitian(xp, x))

    def wrt_v(g: Array) -> Array:
        rows = xp.matrix_transpose(v)
        return _hermitian(xp, conjugate(xp, v) @ _divided(xp, rows @ g, _gaps(w)) @ rows)

    return (w, v), ((lambda g: _from_values(xp, conjugate(xp, v), g, xp.matrix_transpose(v)),), (wrt_v,))


def eigvalsh(xp: Namespace, x: Array, /) -> OpResult:
    """Eigenvalues of Hermitian matrices, shape (..., n), real; see :func:`eigh`."""
    check_matrices(xp, "eigvalsh", x, square=True)
    x = _hermitian(xp, x)

    def vjp(g: Array) -> Array:
        v = xp.linalg.eigh(x)[1]
        return _from_values(xp, conjugate(xp, v), g, xp.matrix_transpose(v))

    return xp.linalg.eigvalsh(x), (vjp,)


def _from_values(xp: Namespace, left: Array, values: Array, right: Array) -> Array:
    """``left @ diag(values) @ right``."""
    return _scaled(left, values) @ right


def eig(xp: Namespace, x: Array, /) -> SeveralResults:
    """Eigenvalues and eigenvectors of square matrices, always complex: ``x @ V = V @ diag(w)``.

    Parameters
    ----------
    x : Array
        Shape (..., n, n), floating-point, real or complex.

    Returns
    -------
    EigResult
        ``eigenvalues``, shape (..., n); ``eigenvectors``, shape (..., n, n), one of length 1 in each column. Their
        order is the library's choice.

    Notes
    -----
    There is a gradient where the eigenvalues differ from each other. The first derivative of eigenvalues alone is
    finite wherever the eigenvectors are linearly independent.
    """
    check_matrices(xp, "eig", x, square=True)
    dtype = xp.result_type(x.dtype, xp.complex64)  # NumPy gives real numbers where all eigenvalues are real
    w, v = (xp.astype(part, dtype, copy=False) for part in xp.linalg.eig(x))

    def backwards(core: Array) -> Array:
        rows = xp.matrix_transpose(v)
        return xp.linalg.solve(rows, core @ rows)

    def wrt_w(g: Array) -> Array:
        rows = xp.matrix_transpose(v)
        return xp.linalg.solve(rows, g[..., :, None] * rows)

    def wrt_v(g: Array) -> Array:
        rows = xp.matrix_transpose(v)
        core = rows @ g
        along = _scaled(rows @ xp.conj(v), xp.linalg.diagonal(core))  # eigenvectors keep their length
        return backwards(_divided(xp, core - along, _gaps(w)))

    return (w, v), ((wrt_w,), (wrt_v,))


def eigvals(xp: Namespace, x: Array, /) -> OpResult:
    """Eigenvalues of square matrices alone, shape (..., n), always complex; the gradient goes through :func:`eig`."""
    check_matrices(xp, "eigvals", x, square=True)
    return xp.astype(xp.linalg.eigvals(x), xp.result_type(x.dtype, xp.complex64), copy=False), (None,)


def svd(xp: Namespace, x: Array, /, *, full_matrices: bool = True) -> SeveralResults:
    """Singular value decomposition ``x = U @ diag(S) @ Vh``.

    Parameters
    ----------
    x : Array
        Shape (..., m, n), floating-point. With k = min(m, n):
    full_matrices : bool, default True
        ``U`` of shape (..., m, m) and ``Vh`` of shape (..., n, n); otherwise (..., m, k) and (..., k, n).

    Returns
    -------
    SVDResult
        ``U``; ``S``, shape (..., k), real, in descending order; and ``Vh``.

    Notes
    -----
    The gradient through ``U`` and ``Vh`` divides by the differences of singular values, and for matrices that are
    complex or not square by the singular values: it is inaccurate where these are small, and infinite or NaN where
    they are 0, and so are second derivatives. The first derivative of ``S`` alone is finite always. For complex
    matrices a function must not change when a column of ``U`` and the row of ``Vh`` beside it are turned by opposite
    phases. The columns of ``U`` and rows of ``Vh`` beyond k are any basis of what the others leave: the gradient is
    right for functions of the space that they span, and there is none for others.
    """
    check_matrices(xp, "svd", x)
    u, s, vh = xp.linalg.svd(x, full_matrices=full_matrices)
    size = s.shape[-1]

    def rotation(g: Array, columns: Array) -> tuple[Array, Array, Array]:
        """Parts of the cotangent of singular vectors: the rest, which leaves their space, and the turn within it."""
        g = _without_complement(xp, g, columns, size)
        first = columns[..., :, :size]
        core = _adjoint(xp, first) @ g
        skew = core - _adjoint(xp, core)
        gaps = _gaps(s) * (s[..., None, :] + s[..., :, None])
        return g - first @ core, skew, _divided(xp, skew, gaps)

    def wrt_u(g: Array) -> Array:
        columns, rows = conjugate(xp, u), conjugate(xp, vh[..., :size, :])
        rest, skew, turn = rotation(g, columns)
        core = _scaled(turn, s)
        if is_complex(xp, x.dtype):  # the phase of a column, as seen from that of the row beside it
            core = core + _scaled(_identity(xp, skew) * skew * 0.5, 1 / s)
        found = columns[..., :, :size] @ core
        if columns.shape[-2] > size:
            found = found + _scaled(rest, 1 / s)
        return found @ rows

    def wrt_vh(g: Array) -> Array:
        columns = xp.matrix_transpose(vh)
        rest, _, turn = rotation(_adjoint(xp, g), columns)
        found = _scaled(columns[..., :, :size] @ turn, s)  # a turn is Hermitian
        if columns.shape[-2] > size:
            found = found + _scaled(rest, 1 / s)
        return conjugate(xp, u[..., :, :size]) @ _adjoint(xp, found)

    def wrt_s(g: Array) -> Array:
        return _from_values(xp, conjugate(xp, u[..., :, :size]), g, conjugate(xp, vh[..., :size, :]))

    return (u, s, vh), ((wrt_u,), (wrt_s,), (wrt_vh,))


def svdvals(xp: Namespace, x: Array, /) -> OpResult:
    """Singular values, shape (..., min(m, n)), real, in descending order; see :func:`svd`."""
    check_matrices(xp, "svdvals", x)

    def vjp(g: Array) -> Array:
        u, _, vh = xp.linalg.svd(x, full_matrices=False)
        return _from_values(xp, conjugate(xp, u), g, conjugate(xp, vh))

    return xp.linalg.svdvals(x), (vjp,)


# Parts and norms


def diagonal(xp: Namespace, x: Array, /, *, offset: int = 0) -> OpResult:
    """Diagonals of matrices.

    Parameters
    ----------
    x : Array
        Shape (..., m, n), of any data type.
    offset : int, default 0
        Which diagonal: above 0 the main one's right neighbours, below 0 its left ones.

    Returns
    -------
    Array
        Shape (..., length of the diagonal).
    """
    check_matrices(xp, "diagonal", x, any_dtype=True)
    r = xp.linalg.diagonal(x, offset=offset)
    if is_integer(xp, x.dtype):
        return r, (None,)
    rows, columns = x.shape[-2:]

    def vjp(g: Array) -> Array:
        place = {"dtype": g.dtype, "device": device_of(g)}
        before = min(max(-offset, 0), rows)
        after = rows - before - g.shape[-1]
        parts = [xp.zeros((*g.shape[:-1], length), **place) for length in (before, after)]
        column = xp.concat([parts[0], g, parts[1]], axis=-1)[..., None]
        there = xp.eye(rows, columns, k=offset, dtype=xp.bool, device=device_of(g))
        return xp.where(there, column, xp.zeros_like(column))

    return r, (vjp,)


def vector_norm(
    xp: Namespace,
    x: Array,
    /,
    *,
    axis: int | tuple[int, ...] | None = None,
    keepdims: bool = False,
    ord: float = 2,
) -> OpResult:
    """Norm of vectors along one axis, or of all numbers along several.

    Parameters
    ----------
    x : Array
        Floating-point, real or complex.
    axis : int or tuple of int, optional
        Default: all.
    keepdims : bool, default False
        Whether those axes stay, with length 1.
    ord : int or float, default 2
        ``p`` for ``sum(abs(x) ** p) ** (1 / p)``, of either sign; ``inf`` and ``-inf`` for the largest and the smallest
        absolute value; 0 for the count of numbers other than 0, which has no gradient.

    Returns
    -------
    Array
        Real.

    Notes
    -----
    The gradient of a zero vector is 0, and so is that of elements that are 0 where the slope is infinite. Where several
    are the largest or smallest they share the gradient evenly.

    Examples
    --------
    >>> pn.linalg.vector_norm(pn.asarray([3.0, 4.0])).item()
    5.0
    """
    check_floating(xp, "vector_norm", x)
    if not isinstance(ord, (int, float)):
        raise OptionError(f"ord: vector_norm expects a number, inf or -inf, got {ord!r}.")
    axes = places_of_axes("vector_norm", axis, x.ndim)
    if not axes:  # which not every library has for every array, nor the norm of no numbers
        r = xp.abs(x) if ord else xp.astype(x != 0, xp.abs(x).dtype)
    elif ord == math.inf and 0 in (x.shape[place] for place in axes):
        r = xp.sum(xp.abs(x), axis=axes, keepdims=True)
    else:
        r = xp.linalg.vector_norm(x, axis=axes, keepdims=True, ord=ord)
    shape = r.shape
    kept = tuple(length for place, length in enumerate(shape) if place not in axes)
    result = r if keepdims else xp.reshape(r, kept)
    if ord == 0:
        return result, (None,)

    def vjp(g: Array) -> Array:
        g = xp.reshape(g, shape)
        zero = r == 0
        length = xp.where(zero, xp.ones_like(r), r)
        if ord == 2:
            return conjugate(xp, x) * xp.where(zero, xp.zeros_like(g), g / length)
        direction = conjugate(xp, xp.sign(x))
        size = xp.abs(x)
        if ord in (math.inf, -math.inf):
            hits = xp.astype(size == r, r.dtype)
            return direction * (g * hits / xp.sum(hits, axis=axes, keepdims=True))
        if ord == 1:
            return direction * g
        flat = zero | (size == 0)
        slope = xp.where(flat, xp.ones_like(size), size / length) ** (ord - 1)
        return direction * (g * xp.where(flat, xp.zeros_like(slope), slope))

    return result, (vjp,)
