"""What ops on matrices share: checks of what came, and forms of a matrix that the rules need. All take stacks, too."""

from __future__ import annotations

from portanet.errors import DTypeError, ShapeError
from portanet.ops.composition import conjugate
from portanet.ops.promotion import device_of, is_integer
from portanet.protocols import Array, Namespace, NativeDType
from portanet.requirements import name_of_dtype

__all__ = ["adjoint", "check_floating", "check_matrices", "hermitian", "identity", "scaled"]


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


def adjoint(xp: Namespace, x: Array) -> Array:
    """The conjugate transpose."""
    return conjugate(xp, xp.matrix_transpose(x))


def hermitian(xp: Namespace, x: Array) -> Array:
    """The Hermitian part; of real matrices the symmetric part."""
    return (x + adjoint(xp, x)) * 0.5


def identity(xp: Namespace, x: Array, dtype: NativeDType = None) -> Array:
    """The identity matrix with as many rows as ``x`` has columns, beside ``x``."""
    return xp.eye(x.shape[-1], dtype=x.dtype if dtype is None else dtype, device=device_of(x))


def scaled(columns: Array, factors: Array) -> Array:
    """A matrix whose columns are multiplied by one number each: ``columns @ diag(factors)``."""
    return columns * factors[..., None, :]
