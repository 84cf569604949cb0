"""What a run has reached: one row for each epoch, one loss for each batch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from portanet.errors import OptionError, StateDictError

__all__ = ["History", "check_mode", "is_better"]


def check_mode(mode: str) -> str:
    """``mode``, unless it is neither ``"min"`` nor ``"max"``."""
    if mode not in ("min", "max"):
        raise OptionError(f"mode: expected 'min' or 'max', got {mode!r}.")
    return mode


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
    stopped : str or None
        Why the run ended before its last epoch, if it did.

    Examples
    --------
    >>> history = pn.train.History()
    >>> history.rows += [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    >>> history["loss"], len(history), history.best("loss")["epoch"], "accuracy" in history
    ([0.5, 0.25], 2, 2, False)
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.losses: list[float] = []
        self.stopped: str | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __contains__(self, name: object) -> bool:
        """Whether there is a column of this name."""
        return any(name in row for row in self.rows)

    def __getitem__(self, name: str) -> list[Any]:
        """One column: the values of all epochs, None where an epoch has none."""
        if name not in self:
            known = ", ".join(self.columns()) or "nothing yet"
            raise KeyError(f"there is no column {name!r}; there are {known}")
        return [row.get(name) for row in self.rows]

    def columns(self) -> list[str]:
        """The names that occur in the rows, in the order of their first occurrence."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def best(self, name: str, mode: str = "min") -> dict[str, Any]:
        """The first row whose value under ``name`` is the smallest (``"min"``) or the largest (``"max"``) of all.

        Raises
        ------
        KeyError
            If there is no such column.
        OptionError
            If none of its values is a number.
        """
        check_mode(mode)
        best: dict[str, Any] | None = None
        for row, value in zip(self.rows, self[name], strict=True):
            if is_better(value, None if best is None else best[name], mode):
                best = row
        if best is None:
            raise OptionError(f"name: {name!r} is never a number.")
        return best

    def state_dict(self) -> dict[str, Any]:
        """Everything, for a checkpoint, which holds columns in less room and time than rows."""
        columns = {name: self[name] for name in self.columns()}
        return {"columns": columns, "losses": list(self.losses), "stopped": self.stopped}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave.

        Raises
        ------
        StateDictError
            If it is something else; nothing is changed then.
        """
        columns, losses, stopped = (state_dict.get(name) for name in ("columns", "losses", "stopped"))
        if (
            not isinstance(columns, dict)
            or not all(isinstance(values, list) for values in columns.values())
            or len({len(values) for values in columns.values()}) > 1
            or not isinstance(losses, list)
            or not all(isinstance(loss, float) for loss in losses)
            or not isinstance(stopped, (str, type(None)))
        ):
            raise StateDictError("state_dict: expected what History.state_dict() gives. Nothing was changed.")
        self.rows = [
            {name: value for name, value in zip(columns, values, strict=True) if value is not None}
            for values in zip(*columns.values(), strict=True)
        ]
        self.losses, self.stopped = list(losses), stopped

    def __repr__(self) -> str:
        if not self.rows:
            return "History: no epoch has ended yet"
        last = ", ".join(f"{name} {_short(value)}" for name, value in self.rows[-1].items())
        ended = f"; stopped: {self.stopped}" if self.stopped else ""
        return f"History of {len(self.rows)} epochs; the last: {last}{ended}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
