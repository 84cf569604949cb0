"""From the losses of single examples to one number."""

from __future__ import annotations

from math import nan
from typing import Any

from portanet.errors import OptionError
from portanet.functions.elementwise import where
from portanet.functions.reductions import mean
from portanet.functions.reductions import sum as sum_of
from portanet.protocols import Array

__all__ = ["check_reduction", "quotient", "reduce"]

_REDUCTIONS = ("none", "mean", "sum")


def check_reduction(reduction: str, allowed: tuple[str, ...] = _REDUCTIONS) -> None:
    """Raise unless ``reduction`` is one of the names allowed: by default none, mean and sum."""
    if reduction not in allowed:
        names = ", ".join(map(repr, allowed[:-1]))
        raise OptionError(f"reduction: expected {names} or {allowed[-1]!r}, got {reduction!r}.")


def reduce(losses: Array, reduction: str) -> Any:
    """The losses themselves, their mean (NaN if there are none), or their sum."""
    if reduction == "none":
        return losses
    if reduction == "sum":
        return sum_of(losses)
    if 0 in losses.shape:  # the mean of nothing, without NumPy's warning
        return sum_of(losses) * nan
    return mean(losses)


def quotient(total: Array, count: Array) -> Any:
    """``total / count`` of two single numbers; NaN where the count is 0, without NumPy's warning."""
    some = count != 0
    return where(some, total / where(some, count, 1.0), nan)
