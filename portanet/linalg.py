"""The standard's linear algebra, of Tensors and of raw arrays: decompositions, inverses, determinants, norms.

Every function acts on the last two axes, so a stack of matrices is treated matrix by matrix. All are differentiable to
any order, for real and complex numbers, wherever there is a derivative.
"""

from __future__ import annotations

import math
from operator import index
from typing import Any, Literal, NamedTuple

from portanet.backend import Backend, backend_of, check_same_place
from portanet.dtypes import DType
from portanet.errors import AxisError, DTypeError, OptionError, ShapeError
from portanet.functions.elementwise import abs as absolute
from portanet.functions.elementwise import multiply, subtract
from portanet.functions.linear_algebra import matmul, tensordot, vecdot
from portanet.functions.manipulation import expand_dims, matrix_transpose, reshape, roll, together
from portanet.functions.reductions import max as largest
from portanet.functions.reductions import min as smallest
from portanet.functions.reductions import sum as sum_of
from portanet.graph import is_grad_enabled
from portanet.lifting import lift_several
from portanet.ops import decompositions, inverses, linear_algebra
from portanet.ops.matrices import check_matrices
from portanet.ops.promotion import device_of
from portanet.protocols import Array
from portanet.requirements import check_dtypes, place_of_axis
from portanet.tensor import Tensor, lift, unwrap, wrap

__all__ = [
    "EigResult",
    "EighResult",
    "QRResult",
    "SVDResult",
    "SlogdetResult",
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]


class EigResult(NamedTuple):
    """What :func:`eig` returns."""

    eigenvalues: Any
    eigenvectors: Any


class EighResult(NamedTuple):
    """What :func:`eigh` returns."""

    eigenvalues: Any
    eigenvectors: Any


class QRResult(NamedTuple):
    """What :func:`qr` returns."""

    Q: Any
    R: Any


class SlogdetResult(NamedTuple):
    """What :func:`slogdet` returns."""

    sign: Any
    logabsdet: Any


class SVDResult(NamedTuple):
    """What :func:`svd` returns."""

    U: Any
    S: Any
    Vh: Any


cholesky = lift(decompositions.cholesky)
det = lift(inverses.det)
diagonal = lift(linear_algebra.diagonal, aliases=True)
eig = lift_several(decompositions.eig, EigResult._make)
eigh = lift_several(decompositions.eigh, EighResult._make)
eigvalsh = lift(decompositions.eigvalsh)
inv = lift(inverses.inv)
qr = lift_several(decompositions.qr, QRResult._make)
slogdet = lift_several(inverses.slogdet, SlogdetResult._make)
solve = lift(inverses.solve)
svd = lift_several(decompositions.svd, SVDResult._make)
svdvals = lift(decompositions.svdvals)
vector_norm = lift(linear_algebra.vector_norm)
lift_several(inverses.singular_vectors)

_eigvals, _matrix_rank, _pinv = lift(decompositions.eigvals), lift(inverses.matrix_rank), lift(inverses.pinv)


def eigvals(x: Array, /) -> Any:
    """Eigenvalues of square matrices, shape (..., n), always complex; see :func:`eig`.

    Where no gradient is wanted the eigenvectors are not computed.
    """
    if isinstance(x, Tensor) and x.requires_grad and is_grad_enabled():
        return eig(x).eigenvalues
    return _eigvals(x)


def pinv(x: Array, /, *, rtol: float | Array | None = None) -> Any:
    """Moore-Penrose pseudo-inverse, by singular values.

    Parameters
    ----------
    x : Array
        Shape (..., m, n), floating-point.
    rtol : float or Array, optional
        Singular values up to ``rtol`` times the largest count as zero. An array has the shape of the stack, or
        broadcasts to it; it has no gradient. Default: ``max(m, n)`` times the data type's epsilon.

    Returns
    -------
    Array
        Shape (..., n, m).

    Notes
    -----
    The gradient is that of Golub and Pereyra (1973) for matrices of constant rank. Where a change of ``x`` changes the
    rank there is none. What ``rtol`` cuts off is taken as zero in the gradient, too: with a coarse ``rtol`` it is
    accurate to about ``rtol``, not to rounding.
    """
    return _pinv(x, rtol=_tolerance("pinv", x, rtol))


def matrix_rank(x: Array, /, *, rtol: float | Array | None = None) -> Any:
    """How many singular values are larger than ``rtol`` times the largest, as int64; no gradient.

    Parameters
    ----------
    x : Array
        Shape (..., m, n), floating-point.
    rtol : float or Array, optional
        As in :func:`pinv`.

    Returns
    -------
    Array
        Shape (...).
    """
    return _matrix_rank(x, rtol=_tolerance("matrix_rank", x, rtol))


def _tolerance(name: str, x: Array, rtol: Any) -> Any:
    """A tolerance as an op takes it: the array inside a Tensor, in the place of ``x``."""
    rtol = unwrap(rtol)
    if hasattr(rtol, "dtype"):
        check_same_place(name, (unwrap(x), rtol))
        check_dtypes(name, ("x", "rtol"), (None, _backend(name, rtol, "rtol").dtype_of(rtol)))
    return rtol


def trace(x: Array, /, *, offset: int = 0, dtype: DType | None = None) -> Any:
    """Sum of a diagonal of matrices.

    Parameters
    ----------
    x : Array
        Shape (..., m, n), of any numeric data type.
    offset : int, default 0
        Which diagonal, as in :func:`diagonal`.
    dtype : DType, optional
        The data type to add up in, and of the result. Default: as in :func:`portanet.sum`.

    Returns
    -------
    Array
        Shape (...).
    """
    return sum_of(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def outer(x1: Array, x2: Array, /) -> Any:
    """Products of each element of one vector with each of another: shapes (n,) and (m,) give (n, m)."""
    x1, x2 = _alike("outer", x1, x2)
    column, row = expand_dims(x1, axis=-1), expand_dims(x2, axis=0)
    if column.ndim != 2 or row.ndim != 2:
        raise ShapeError(
            f"x1, x2: outer expects two vectors, got shapes {column.shape[:-1]} and {row.shape[1:]}. Flatten them "
            "first, with portanet.reshape(x, (-1,))."
        )
    return multiply(column, row)


def cross(x1: Array, x2: Array, /, *, axis: int = -1) -> Any:
    """Cross product of vectors of 3 elements.

    Parameters
    ----------
    x1, x2 : Array
        3 elements along ``axis``; the other axes broadcast.
    axis : int, default -1
        Counted from the end, below 0; for arrays of equally many axes it may be counted from the start.

    Returns
    -------
    Array
        The broadcast shape.
    """
    x1, x2 = _alike("cross", x1, x2)
    shapes = tuple(x1.shape), tuple(x2.shape)
    for shape in shapes:
        place_of_axis("cross", axis, len(shape), shape=shape)
    if axis >= 0 and len(shapes[0]) == len(shapes[1]):
        axis -= len(shapes[0])
    if axis >= 0:
        raise AxisError(
            f"cross: axis: {axis} means another axis of shape {shapes[0]} than of {shapes[1]}. Count from the end: "
            f"pass {-min(map(len, shapes))} to -1."
        )
    if any(shape[axis] != 3 for shape in shapes):
        raise ShapeError(
            f"x1, x2: cross expects 3 elements along axis {axis}, which counts from the end, got shapes {shapes[0]} "
            f"and {shapes[1]}."
        )

    def product(first: int, second: int) -> Any:
        return multiply(roll(x1, first, axis=axis), roll(x2, second, axis=axis))

    return subtract(product(-1, -2), product(-2, -1))


def matrix_power(x: Array, n: int, /) -> Any:
    """A square matrix multiplied by itself ``n`` times, by repeated squaring.

    Parameters
    ----------
    x : Array
        Shape (..., m, m), floating-point; invertible where ``n`` is negative.
    n : int
        For 0 the result is the identity matrix, whatever ``x`` is; below 0 the inverse takes the place of ``x``.

    Returns
    -------
    Array
        The shape and data type of ``x``.
    """
    xp = _backend("matrix_power", x).namespace
    check_matrices(xp, "matrix_power", unwrap(x), square=True)
    try:
        times = index(n)
    except TypeError:
        raise OptionError(f"n: matrix_power expects a whole number, got {n!r}.") from None
    if times == 0:
        raw = unwrap(x)
        identity = xp.eye(raw.shape[-1], dtype=raw.dtype, device=device_of(raw)) + xp.zeros_like(raw)
        return wrap(identity) if isinstance(x, Tensor) else identity
    square, result = (inv(x) if times < 0 else x), None
    times = max(times, -times)
    while True:
        if times % 2:
            result = square if result is None else matmul(result, square)
        times //= 2
        if not times:
            return result
        square = matmul(square, square)


Order = float | Literal["fro", "nuc"] | None


def matrix_norm(x: Array, /, *, keepdims: bool = False, ord: Order = "fro") -> Any:
    """Norm of matrices.

    Parameters
    ----------
    x : Array
        Shape (..., m, n), floating-point.
    keepdims : bool, default False
        Whether the last two axes stay, with length 1.
    ord : {"fro", "nuc", 1, -1, 2, -2, inf, -inf}, default "fro"
        ``"fro"``, or None: the square root of the sum of all squares. ``"nuc"``: the sum of singular values; 2 and -2:
        the largest and the smallest one. 1 and -1: the largest and the smallest sum of absolute values of a column;
        ``inf`` and ``-inf``: of a row.

    Returns
    -------
    Array
        Shape (...), real.

    Notes
    -----
    The Frobenius norm of a zero matrix has the gradient 0. Where several values are the largest or the smallest they
    share the gradient evenly.
    """
    check_matrices(_backend("matrix_norm", x).namespace, "matrix_norm", unwrap(x))
    if ord is None or ord == "fro":
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord not in ("nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise OptionError(f"ord: matrix_norm expects 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got {ord!r}.")
    if 0 in x.shape[-2:]:
        if ord in (-1, -2, -math.inf):
            raise ShapeError(
                f"x: matrix_norm of order {ord} is the smallest of some numbers, and for shape {tuple(x.shape)} there "
                "are none."
            )
        result = sum_of(absolute(x), axis=(-2, -1))
    elif ord == "nuc":
        result = sum_of(svdvals(x), axis=-1)
    else:
        extreme = largest if ord > 0 else smallest
        if ord in (2, -2):
            result = extreme(svdvals(x), axis=-1)
        else:
            result = extreme(sum_of(absolute(x), axis=-2 if ord in (1, -1) else -1), axis=-1)
    return reshape(result, (*result.shape, 1, 1)) if keepdims else result


def _alike(name: str, x1: Any, x2: Any) -> tuple[Array, Array]:
    """Two arrays in one place, of data types that a function takes."""
    dtypes = [_backend(name, x, operand).dtype_of(unwrap(x)) for operand, x in (("x1", x1), ("x2", x2))]
    x1, x2 = together(name, (x1, x2))
    check_dtypes(name, ("x1", "x2"), dtypes)
    return x1, x2


def _backend(name: str, x: Any, operand: str = "x") -> Backend:
    """The backend of a Tensor or an array."""
    backend = backend_of(unwrap(x))
    if backend is None:
        raise DTypeError(
            f"{operand}: {name} expects a Tensor or an array, got {type(x).__name__}. Convert it with "
            "portanet.asarray(...)."
        )
    return backend
