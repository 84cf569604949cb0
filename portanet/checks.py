"""Checks of plain arguments that several rooms share."""

from __future__ import annotations

from operator import index
from typing import Any

from portanet.errors import OptionError

__all__ = ["whole_number"]


def whole_number(name: str, value: Any, *, low: int, below: int | None = None) -> int:
    """``value`` as an ``int``, be it Python's or an array library's.

    Raises
    ------
    OptionError
        If it is no whole number of at least ``low`` and less than ``below``.

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
    if number is None or number < low or (below is not None and number >= below):
        limit = "" if below is None else f" and less than {below}"
        raise OptionError(f"{name}: expected a whole number of at least {low}{limit}, got {value!r}.")
    return number
