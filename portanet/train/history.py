"""What a run has reached: one row for each epoch, one loss for each batch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from portanet.errors import OptionError, StateDictError

__all__ = ["History", "is_better"]


def is_better(value: Any, best: float | None, mode: str, by: float = 0.0) -> bool:
    """Whether a value is below (``"min"``) or above (``"max"``) the best so far by more than ``by``; NaN never is."""
    if not isinstance(value, (int, float)) or math.isnan(value):
        return False
    if best is None:
        return True
    return value < best - by if mode == "min" else value > best + by


class History:
    """The rows of a run, and the loss of every batch.

    Attributes
    ----------
    rows : list of dict
        One for each epoch that ended: ``"epoch"`` and ``"updates"``, counted from 1; ``"lr"``, the learning rate of the
        first group as the epoch left it, before the schedule's step; ``"loss"``, the mean over the samples; each metric
        under its name; and what the validation gave, as ``"validation_loss"`` and so on. Metrics that are no single
        numbers are nested lists.
    losses : list of float
        The loss of every batch, from the first on.

    Examples
    --------
    >>> history = pn.train.History()
    >>> history.rows += [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    >>> history["loss"], len(history), history.best("loss")["epoch"]
    ([0.5, 0.25], 2, 2)
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.losses: list[float] = []

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __getitem__(self, name: str) -> list[Any]:
        """One column: the values of all epochs, None where an epoch has none."""
        if not any(name in row for row in self.rows):
            known = ", ".join(self.columns()) or "nothing yet"
            raise KeyError(f"there is no column {name!r}; there are {known}")
        return [row.get(name) for row in self.rows]

    def columns(self) -> list[str]:
        """The names that occur in the rows, in the order of their first occurrence."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def best(self, name: str, mode: str = "min") -> dict[str, Any]:
        """The row whose value under ``name`` is the smallest (``"min"``) or the largest (``"max"``)."""
        if mode not in ("min", "max"):
            raise OptionError(f"mode: expected 'min' or 'max', got {mode!r}.")
        best: dict[str, Any] | None = None
        for row, value in zip(self.rows, self[name], strict=True):
            if is_better(value, None if best is None else best[name], mode):
                best = row
        if best is None:
            raise OptionError(f"name: {name!r} is never a number.")
        return best

    def state_dict(self) -> dict[str, Any]:
        """Rows and losses, for a checkpoint."""
        return {"rows": [dict(row) for row in self.rows], "losses": list(self.losses)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave.

        Raises
        ------
        StateDictError
            If it is something else; nothing is changed then.
        """
        rows, losses = state_dict.get("rows"), state_dict.get("losses")
        if (
            not isinstance(rows, list)
            or not isinstance(losses, list)
            or not all(isinstance(row, dict) for row in rows)
            or not all(isinstance(loss, float) for loss in losses)
        ):
            raise StateDictError("state_dict: expected the rows and losses that History.state_dict() gives.")
        self.rows, self.losses = [dict(row) for row in rows], list(losses)

    def __repr__(self) -> str:
        if not self.rows:
            return "History: no epoch has ended yet"
        last = ", ".join(f"{name} {_short(value)}" for name, value in self.rows[-1].items())
        return f"History of {len(self.rows)} epochs; the last: {last}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
