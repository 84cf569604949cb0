"""The check of ``betas``, which Adam's relatives share."""

from __future__ import annotations

from typing import Any

from portanet.checks import check_number
from portanet.errors import OptionError

__all__ = ["check_betas"]


def check_betas(betas: Any) -> None:
    """Raise unless ``betas`` is a pair of numbers from 0 to below 1.

    Raises
    ------
    OptionError
        If it is not.
    """
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise OptionError(f"betas: expected a pair of numbers, got {betas!r}.")
    for i, beta in enumerate(betas):
        check_number(f"betas[{i}]", beta, low=0.0, high=1.0, open_end=True)
