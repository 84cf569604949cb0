"""Inverses, solutions, ranks and determinants of matrices, or of stacks of them.

The sources of the rules, and what they have to do with conjugates, are said in :mod:`portanet.ops.decompositions`.
"""

from __future__ import annotations

from typing import Any, cast

from portanet.errors import ShapeError
from portanet.ops.composition import conjugate, recorded
from portanet.ops.matrices import adjoint, check_floating, check_matrices, identity, scaled
from portanet.ops.promotion import is_complex, promoted
from portanet.protocols import Array, Namespace, Op, OpResult, SeveralResults

__all__ = ["det", "inv", "matrix_rank", "pinv", "slogdet", "solve"]

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
        a, p, g_adjoint = conjugate(xp, x), conjugate(xp, r), adjoint(xp, g)  # (m, n), (n, m), (m, n)
        p_adjoint = adjoint(xp, p)
        pg, gp = p @ g_adjoint, g_adjoint @ p  # (n, n), (m, m)
        pgp = pg @ p
        return (gp - a @ pgp) @ p_adjoint + p_adjoint @ (pg - pgp @ a) - adjoint(xp, pgp)

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
            several = xp.where(identity(xp, x, xp.bool), xp.ones_like(several), several)
            left = scaled(conjugate(xp, u), xp.prod(several, axis=-1))
        else:
            u, s, vh = constant(x)
            left = conjugate(xp, u) @ _cofactors(xp, adjoint(xp, u) @ x @ adjoint(xp, vh), s)
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
        return moved(1, 1) * (identity(xp, x) * 2 - 1)
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
    instead = xp.astype(small, x.dtype)[..., None, :] * identity(xp, a)
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
