"""Decompositions of matrices, their eigenvalues and singular values.

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

from typing import Literal

from portanet.errors import OptionError
from portanet.ops.composition import conjugate
from portanet.ops.matrices import adjoint, check_matrices, hermitian, identity, scaled
from portanet.ops.promotion import is_complex
from portanet.protocols import Array, Namespace, OpResult, SeveralResults

__all__ = ["cholesky", "eig", "eigh", "eigvals", "eigvalsh", "qr", "svd", "svdvals"]


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
    lower = xp.linalg.cholesky(hermitian(xp, x))

    def vjp(g: Array) -> Array:
        factor = conjugate(xp, lower)
        core = _lower_half(xp, adjoint(xp, factor) @ (adjoint(xp, g) if upper else g))
        inverse = xp.linalg.inv(factor)
        return hermitian(xp, adjoint(xp, inverse) @ core @ inverse)

    return (adjoint(xp, lower) if upper else lower), (vjp,)


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
        upper = xp.triu(core) - core * (identity(xp, core) * 0.5)
        g = g + conjugate(xp, q[..., :, :size]) @ (upper + adjoint(xp, upper))
        return adjoint(xp, xp.linalg.solve(triangle, adjoint(xp, g)))

    def wrt_q(g: Array) -> Array:
        columns = conjugate(xp, q)
        g = _without_complement(xp, g, columns, size)
        found = backwards(g, -(adjoint(xp, columns[..., :, :size]) @ g))
        if not wide:
            return found
        return xp.concat([found, xp.zeros_like(x[..., :, size:])], axis=-1)

    def wrt_r(g: Array) -> Array:
        columns = conjugate(xp, q[..., :, :size])
        g = g[..., :size, :]  # below are zeros
        core = g[..., :, :size] @ adjoint(xp, conjugate(xp, r[..., :size, :size]))
        if not wide:
            return backwards(xp.zeros_like(columns), core)
        beyond = g[..., :, size:]
        by_q = conjugate(xp, x[..., :, size:]) @ adjoint(xp, beyond)  # R's other columns are Q^H times x's
        found = backwards(by_q, core - adjoint(xp, columns) @ by_q)
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
    return g[..., :, :size] - others @ (adjoint(xp, g[..., :, size:]) @ first)


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
    w, v = xp.linalg.eigh(hermitian(xp, x))

    def wrt_v(g: Array) -> Array:
        rows = xp.matrix_transpose(v)
        return hermitian(xp, conjugate(xp, v) @ _divided(xp, rows @ g, _gaps(w)) @ rows)

    return (w, v), ((lambda g: _from_values(xp, conjugate(xp, v), g, xp.matrix_transpose(v)),), (wrt_v,))


def eigvalsh(xp: Namespace, x: Array, /) -> OpResult:
    """Eigenvalues of Hermitian matrices, shape (..., n), real; see :func:`eigh`."""
    check_matrices(xp, "eigvalsh", x, square=True)
    x = hermitian(xp, x)

    def vjp(g: Array) -> Array:
        v = xp.linalg.eigh(x)[1]
        return _from_values(xp, conjugate(xp, v), g, xp.matrix_transpose(v))

    return xp.linalg.eigvalsh(x), (vjp,)


def _from_values(xp: Namespace, left: Array, values: Array, right: Array) -> Array:
    """``left @ diag(values) @ right``."""
    return scaled(left, values) @ right


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
        along = scaled(rows @ xp.conj(v), xp.linalg.diagonal(core))  # eigenvectors keep their length
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
        core = adjoint(xp, first) @ g
        skew = core - adjoint(xp, core)
        gaps = _gaps(s) * (s[..., None, :] + s[..., :, None])
        return g - first @ core, skew, _divided(xp, skew, gaps)

    def wrt_u(g: Array) -> Array:
        columns, rows = conjugate(xp, u), conjugate(xp, vh[..., :size, :])
        rest, skew, turn = rotation(g, columns)
        core = scaled(turn, s)
        if is_complex(xp, x.dtype):  # the phase of a column, as seen from that of the row beside it
            core = core + scaled(identity(xp, skew) * skew * 0.5, 1 / s)
        found = columns[..., :, :size] @ core
        if columns.shape[-2] > size:
            found = found + scaled(rest, 1 / s)
        return found @ rows

    def wrt_vh(g: Array) -> Array:
        columns = xp.matrix_transpose(vh)
        rest, _, turn = rotation(adjoint(xp, g), columns)
        found = scaled(columns[..., :, :size] @ turn, s)  # a turn is Hermitian
        if columns.shape[-2] > size:
            found = found + scaled(rest, 1 / s)
        return conjugate(xp, u[..., :, :size]) @ adjoint(xp, found)

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


# Parts of the rules


def _lower_half(xp: Namespace, x: Array) -> Array:
    """The lower triangle with half the diagonal."""
    return xp.tril(x) - x * (identity(xp, x) * 0.5)


def _divided(xp: Namespace, x: Array, gaps: Array) -> Array:
    """The quotient off the diagonal, and 0 on it, where the gaps are 0."""
    diagonal_places = identity(xp, x, xp.bool)
    quotient = x / xp.where(diagonal_places, xp.ones_like(gaps), gaps)
    return xp.where(diagonal_places, xp.zeros_like(quotient), quotient)


def _gaps(values: Array) -> Array:
    """How much each of some values (columns) exceeds each (rows)."""
    return values[..., None, :] - values[..., :, None]
