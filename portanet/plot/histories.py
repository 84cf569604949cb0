"""What a training recorded, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from portanet.errors import DataError, OptionError, ShapeError
from portanet.plot.curves import draw_levels, lone_places, one_row
from portanet.plot.figure import COLOURS, finish_lines, new_figure, title_width, whole_ticks

__all__ = ["history"]

_VALIDATION = ("validation_", "validation ", "valid_", "val_", "test_", "test ")
_COUNTERS = ("epoch", "updates")
_NAMES = {"lr": "learning rate"}
_ROLES = ("training", "validation")


def history(
    records: Mapping[str, Any] | Iterable[Mapping[str, Any]],
    quantities: Sequence[str] | None = None,
    *,
    levels: Mapping[str, Mapping[str, float]] | None = None,
    ylabels: Mapping[str, str] | None = None,
    xlabel: str = "epochs",
    title: str | None = None,
) -> Any:
    """Draw loss and metrics over the epochs, a panel for each, validation beside training.

    Parameters
    ----------
    records : mapping of str to sequence of numbers, or iterable of mappings
        One number for each epoch by the name of what was measured, or one mapping for each epoch, as in the history
        that ``portanet.train.fit`` returns. ``"validation_loss"`` or ``"val_loss"`` is drawn in the panel of
        ``"loss"``. NaN and None leave a gap. ``"epoch"`` and ``"updates"`` are not drawn, nor what is not one number
        for each epoch, such as confusion matrices.
    quantities : sequence of str, optional
        Which panels to draw, in which order; default: all.
    levels : mapping of str to mapping of str to number, optional
        Horizontal lines by panel and label: ``{"loss": {"guessing": 0.69}}``.
    ylabels : mapping of str to str, optional
        What stands at the axis of a panel instead of its name: ``{"loss": "cross entropy (nats)"}``.
    xlabel, title : str, optional
        What stands at the lower axes, and above all.

    Returns
    -------
    matplotlib.figure.Figure
        With one Axes for each panel; :func:`portanet.plot.save` writes it.

    Raises
    ------
    DataError
        If nothing was recorded.
    ShapeError
        If not all quantities have as many epochs.
    OptionError
        If a panel is named that there is not.

    Examples
    --------
    >>> figure = pn.plot.history({"loss": [0.7, 0.5, 0.4], "val_loss": [0.8, 0.6, 0.6], "accuracy": [0.5, 0.7, 0.8]})
    >>> [(axes.get_ylabel(), len(axes.lines)) for axes in figure.axes]
    [('loss', 2), ('accuracy', 1)]
    """
    panels = _panels(_columns(records))
    if quantities is not None:
        wanted = [quantities] if isinstance(quantities, str) else list(quantities)
        for name in wanted:
            if name not in panels:
                raise OptionError(f"quantities: expected some of {', '.join(panels)}, got {name!r}.")
        panels = {name: panels[name] for name in wanted}
    for option, given in (("levels", levels), ("ylabels", ylabels)):
        for name in given or {}:
            if name not in panels:
                raise OptionError(f"{option}: expected names among {', '.join(panels)}, got {name!r}.")
    if not panels:
        raise DataError("records: expected at least one quantity, got none.")
    columns = 1 if len(panels) == 1 else 2 if len(panels) in (2, 4) else 3
    rows = -(-len(panels) // columns)
    figure = new_figure((max(5.2, 4.3 * columns, title_width(title)), 3.4 * rows + (0.3 if title else 0.0)))
    for k, (name, curves) in enumerate(panels.items()):
        ax = figure.add_subplot(rows, columns, k + 1)
        for role, row in curves.items():
            _draw(ax, role, row, alone=len(curves) == 1)
        draw_levels(ax, (levels or {}).get(name), len(_ROLES))
        whole_ticks(ax.xaxis)
        finish_lines(
            ax, False, xlabel, (ylabels or {}).get(name, _NAMES.get(name, name.replace("_", " "))), None
        )
    if title:
        figure.suptitle(title)
    return figure


def _columns(records: Any) -> dict[str, Any]:
    """Host numbers of every quantity, all of one length."""
    if not isinstance(records, Mapping):
        rows: list[Any] = list(records) if isinstance(records, Iterable) else [records]
        if not all(isinstance(row, Mapping) for row in rows):
            raise DataError(
                "records: expected a mapping of names to one number for each epoch, or a mapping for each epoch, got "
                f"{type(records).__name__}."
            )
        names = dict.fromkeys(name for row in rows for name in row)
        records = {name: [row.get(name) for row in rows] for name in names}
    columns = {}
    for name, values in records.items():
        if isinstance(values, Sequence):
            values = [float("nan") if value is None else value for value in values]
            if any(isinstance(value, (Sequence, Mapping)) for value in values):
                continue
        if name not in _COUNTERS:
            columns[name] = one_row(f"records[{name!r}]", values, "epoch")
    lengths = {name: len(row) for name, row in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ShapeError(
            f"records: expected one number of each quantity for each epoch, got lengths {lengths}."
        )
    return columns


def _panels(columns: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The curves of each panel, by their role."""
    panels: dict[str, dict[str, Any]] = {}
    for name, row in columns.items():
        prefix = next((prefix for prefix in _VALIDATION if name.startswith(prefix)), "")
        role = _ROLES[bool(prefix)]
        panels.setdefault(name[len(prefix) :], {})[role] = row
    return {
        name: {role: curves[role] for role in _ROLES if role in curves} for name, curves in panels.items()
    }


def _draw(ax: Any, role: str, row: Any, *, alone: bool) -> None:
    k = _ROLES.index(role)
    # Few epochs are seen as the points they are, and the second marker is one more cue than colour.
    marked = list(range(len(row))) if len(row) <= 30 else lone_places(row)
    ax.plot(
        range(1, len(row) + 1),
        row,
        "-",
        color=COLOURS[k],
        linewidth=1.8 if len(row) <= 300 else 1.0,
        marker="o^"[k] if marked else None,
        markevery=marked or None,
        markersize=4,
        label=None if alone and role == _ROLES[0] else role,
    )
