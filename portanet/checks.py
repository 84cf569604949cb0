"""Checks of plain numbers among the arguments, which several rooms share."""

from __future__ import annotations

import math
from numbers import Real
from operator import index
from typing import Any

from portanet.errors import OptionError

__all__ = ["check_number", "whole_number"]


def whole_number(name: str, value: Any, *, low: int | None = None) -> int:
    """``value`` as an ``int``, be it Python's or an array library's.

    Raises
    ------
    OptionError
        If it is no whole number, or is below ``low``.

    Examples
    --------
    >>> from portanet.checks import whole_number
    >>> whole_number("batch_size", 2.5, low=1)
    Traceback (most recent call last):
    portanet.errors.OptionError: batch_size: expected a whole number of at least 1, got 2.5.
    """
    try:
        number = None if isinstance(value, bool) else index(value)
    except TypeError:
        number = None
    if number is None or (low is not None and number < low):
        limit = "" if low is None else f" of at least {low}"
        raise OptionError(f"{name}: expected a whole number{limit}, got {value!r}.")
    return number


def check_number(
    name: str, value: Any, *, low: float = -math.inf, high: float = math.inf, open_end: bool = False
) -> None:
    """Raise unless ``value`` is a number from ``low`` to ``high``, neither NaN nor infinite.

    Raises
    ------
    OptionError
        If it is not, or is ``high`` itself where ``open_end``.
    """
    good = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not low <= value <= high or (open_end and value == high):
        lower = "" if low == -math.inf else f" of at least {low:g}"
        upper = "" if high == math.inf else f" and {'below' if open_end else 'at most'} {high:g}"
        raise OptionError(f"{name}: expected a finite number{lower}{upper}, got {value!r}.")
