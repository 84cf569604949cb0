"""Products of matrices and vectors, diagonals, and norms of vectors."""

from __future__ import annotations

import math

from portanet.errors import AxisError, OptionError, ShapeError
from portanet.ops.composition import conjugate
from portanet.ops.matrices import check_floating, check_matrices
from portanet.ops.promotion import device_of, is_integer, promoted
from portanet.protocols import Array, Namespace, OpResult
from portanet.requirements import places_of_axes

__all__ = ["diagonal", "matmul", "tensordot", "vecdot", "vector_norm"]


def matmul(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """Matrix product.

    Parameters
    ----------
    x : Array
        Shape (..., m, k), or (k,).
    y : Array
        Shape (..., k, n), or (k,).

    Returns
    -------
    Array
        Shape (..., m, n), without ``m`` or ``n`` where that operand was a vector.
    """
    x, y = promoted(xp, x, y)
    x_vector, y_vector = x.ndim == 1, y.ndim == 1
    if not x.ndim or not y.ndim or x.shape[-1] != y.shape[-1 if y_vector else -2]:
        raise ShapeError(
            f"x, y: matmul expects shapes (..., m, k) and (..., k, n), or vectors of k elements; got "
            f"{tuple(x.shape)} and {tuple(y.shape)}. Perhaps one of them has to be transposed, with .mT."
        )

    def as_matrix(g: Array) -> Array:
        g = xp.expand_dims(g, axis=-1) if y_vector else g
        return xp.expand_dims(g, axis=-2) if x_vector else g

    def wrt_x(g: Array) -> Array:
        columns = xp.expand_dims(y, axis=-1) if y_vector else y
        r = as_matrix(g) @ xp.matrix_transpose(columns)  # (..., m, n) @ (..., n, k)
        return xp.squeeze(r, axis=-2) if x_vector else r

    def wrt_y(g: Array) -> Array:
        rows = xp.expand_dims(x, axis=-2) if x_vector else x
        r = xp.matrix_transpose(rows) @ as_matrix(g)  # (..., k, m) @ (..., m, n)
        return xp.squeeze(r, axis=-1) if y_vector else r

    return x @ y, (wrt_x, wrt_y)


def vecdot(xp: Namespace, x: Array, y: Array, /, *, axis: int = -1) -> OpResult:
    """Dot product of vectors along one axis; of complex ones the first is conjugated."""
    if 0 <= axis < x.ndim == y.ndim:  # the standard counts from the end only
        axis -= x.ndim
    x, y = promoted(xp, x, y)
    return xp.vecdot(x, y, axis=axis), (
        lambda g: conjugate(xp, xp.expand_dims(g, axis=axis) * y),
        lambda g: xp.expand_dims(g, axis=axis) * conjugate(xp, x),
    )


def tensordot(
    xp: Namespace, x: Array, y: Array, /, *, axes: int | tuple[tuple[int, ...], tuple[int, ...]] = 2
) -> OpResult:
    """Contract several axes at once.

    Parameters
    ----------
    axes : int or pair of tuples
        How many trailing axes of ``x`` meet how many leading axes of ``y``; or the axes of each, pairwise.
    """
    x, y = promoted(xp, x, y)
    if isinstance(axes, int):
        if not 0 <= axes <= min(x.ndim, y.ndim):
            raise AxisError(
                f"tensordot: axes: {axes} is out of range for operands of {x.ndim} and {y.ndim} dimensions. It says "
                f"how many last axes of x meet the first ones of y: pass 0 to {min(x.ndim, y.ndim)}."
            )
        left = tuple(range(x.ndim - axes, x.ndim))
        right = tuple(range(axes))
    else:
        if (
            len(axes) != 2
            or isinstance(axes[0], int)
            or isinstance(axes[1], int)
            or len(axes[0]) != len(axes[1])
        ):
            raise AxisError(
                f"tensordot: axes: expected as many axes of x as of y, got {axes!r}. Pass a pair of sequences, such as "
                "axes=((1, 2), (0, 1)): each axis of x with the one of y that it meets."
            )
        left = places_of_axes("tensordot", tuple(axes[0]), x.ndim, "axes[0]")
        right = places_of_axes("tensordot", tuple(axes[1]), y.ndim, "axes[1]")
    x_free = tuple(axis for axis in range(x.ndim) if axis not in left)
    y_free = tuple(axis for axis in range(y.ndim) if axis not in right)

    def restored(r: Array, free: tuple[int, ...], contracted: tuple[int, ...]) -> Array:
        order = free + contracted
        return xp.permute_dims(r, tuple(sorted(range(len(order)), key=order.__getitem__)))

    def wrt_x(g: Array) -> Array:
        # The axes left after contracting y's free axes are y's contracted ones in ascending order, so pair
        # them by position.
        ascending = tuple(sorted(range(len(right)), key=right.__getitem__))
        r = xp.tensordot(g, y, axes=(tuple(range(len(x_free), g.ndim)), y_free))
        return restored(r, x_free, tuple(left[i] for i in ascending))

    def wrt_y(g: Array) -> Array:
        ascending = tuple(sorted(range(len(left)), key=left.__getitem__))
        r = xp.tensordot(g, x, axes=(tuple(range(len(x_free))), x_free))
        return restored(r, y_free, tuple(right[i] for i in ascending))

    return xp.tensordot(x, y, axes=(left, right)), (wrt_x, wrt_y)


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
