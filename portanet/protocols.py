"""The few types that everything else speaks of.

An *array* is whatever its library says it is: NumPy's, CuPy's, torch's, JAX's, or a :class:`portanet.Tensor`.
The standard describes what it can do; Python's type system cannot yet, so here it is an alias.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

__all__ = ["Array", "NativeDType", "Namespace", "Op", "OpResult", "Scalar", "SeveralResults", "Vjp"]

Array: TypeAlias = Any
"""An array of any library that follows the Python array API standard."""

Namespace: TypeAlias = Any
"""A module that holds the standard's functions for one kind of array."""

NativeDType: TypeAlias = Any
"""A data type object as an array library itself defines it."""

Scalar: TypeAlias = bool | int | float | complex
"""A Python number. It never decides the data type of a result."""

Vjp: TypeAlias = Callable[[Array], Array]
"""A vector-Jacobian product: takes the cotangent of a result to the cotangent of one operand."""

OpResult: TypeAlias = tuple[Array, tuple[Vjp | None, ...]]
"""What an op returns: its result, and one vjp for each array operand (None where no gradient exists)."""

SeveralResults: TypeAlias = tuple[tuple[Array, ...], tuple[tuple[Vjp | None, ...], ...]]
"""What an op with several results returns: the results, and for each of them one vjp for each array operand."""

Op: TypeAlias = Callable[..., OpResult]
"""``op(xp, *operands, **options)``: forward and gradient of one operation, in one place."""
