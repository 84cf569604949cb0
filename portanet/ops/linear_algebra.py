"""Products of matrices and vectors."""

from __future__ import annotations

from portanet.errors import AxisError, ShapeError
from portanet.ops.composition import conjugate
from portanet.ops.promotion import promoted
from portanet.protocols import Array, Namespace, OpResult
from portanet.requirements import places_of_axes

__all__ = ["matmul", "tensordot", "vecdot"]


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
