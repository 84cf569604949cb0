"""How an op calls another op, and how its vjps share their work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from portanet.ops.promotion import is_complex
from portanet.protocols import Array, Namespace, Op

__all__ = ["apply", "conjugate", "once", "recorded"]

Result = TypeVar("Result")

_tables: dict[Namespace, Any] = {}


def recorded(xp: Namespace, op: Op) -> Callable[..., Any] | None:
    """The Tensor function of ``op`` where ``xp`` is the Tensor namespace (a higher-order pass); None on raw arrays.

    An op whose formula has a kink that its true derivative has not (``sigmoid`` through ``abs``) takes its
    own result from here, so that the result's derivative is the op's rule and not that of the formula.
    """
    try:
        table = _tables[xp]
    except KeyError:  # asking a module for what it has not takes NumPy 2 us, so each is asked once
        table = _tables[xp] = getattr(xp, "__recorded_ops__", None)
    return None if table is None else table[op]


def apply(xp: Namespace, op: Op, *operands: Any, **options: Any) -> Array:
    """The result of another op, whether ``xp`` holds raw arrays or Tensors."""
    function = recorded(xp, op)
    if function is not None:
        return function(*operands, **options)
    return op(xp, *operands, **options)[0]


def conjugate(xp: Namespace, x: Array) -> Array:
    """The conjugate of complex numbers; real ones as they are, without a copy."""
    return xp.conj(x) if is_complex(xp, x.dtype) else x


def once(function: Callable[[Array], Result]) -> Callable[[Array], Result]:
    """What several vjps need of a cotangent, worked out for the first of them and kept for the others."""
    last: tuple[Array, Result] | None = None

    def kept(g: Array) -> Result:
        nonlocal last
        if last is None or last[0] is not g:
            last = (g, function(g))
        return last[1]

    return kept
