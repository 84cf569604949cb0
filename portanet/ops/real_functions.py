"""What the special functions of real numbers share: how operands come in, values out of the library, and choices."""

from __future__ import annotations

from math import inf, nan
from typing import Any

from portanet.backend import require_backend_of
from portanet.ops.composition import recorded
from portanet.ops.promotion import constant_like, floating, promoted
from portanet.protocols import Array, Namespace, Op

__all__ = ["of_library", "pick", "quiet_log", "quiet_log1p", "real_pair"]


def real_pair(xp: Namespace, x: Any, y: Any) -> tuple[Array, Array]:
    """Two arrays of real numbers in one data type; a Python number becomes an array."""
    if not hasattr(x, "dtype"):
        y = floating(xp, y)
        return constant_like(xp, x, y), y
    if not hasattr(y, "dtype"):
        x = floating(xp, x)
        return x, constant_like(xp, y, x)
    x, y = promoted(xp, x, y)
    return floating(xp, x), floating(xp, y)


def of_library(xp: Namespace, op: Op, *operands: Array) -> Array:
    """What the array library's own function gives; on Tensors (a higher-order pass) the op's, which is recorded."""
    function = recorded(xp, op)
    if function is None:
        function = require_backend_of(operands[0], op.__name__).special_function(op.__name__)
    return function(*operands)


def pick(xp: Namespace, condition: Array, x: Array, otherwise: float) -> Array:
    """``x`` where the condition holds, a number elsewhere."""
    return xp.where(condition, x, constant_like(xp, otherwise, x))


def quiet_log(xp: Namespace, x: Array) -> Array:
    """Natural logarithm, -inf at 0 and NaN below, of which no library warns."""
    positive = x > 0
    outside = pick(xp, x == 0, xp.full_like(x, -inf), nan)
    return xp.where(positive, xp.log(pick(xp, positive, x, 1.0)), outside)


def quiet_log1p(xp: Namespace, x: Array) -> Array:
    """``log(1 + x)``, -inf at -1 and NaN below, of which no library warns."""
    inside = x > -1
    outside = pick(xp, x == -1, xp.full_like(x, -inf), nan)
    return xp.where(inside, xp.log1p(pick(xp, inside, x, 0.0)), outside)
