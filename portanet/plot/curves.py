"""Loss curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portanet.backend import backend_of
from portanet.checks import whole_number
from portanet.errors import DataError, ShapeError
from portanet.plot.figure import COLOURS, DASHES, finish_lines, host_numbers, new_axes, whole_ticks
from portanet.protocols import Array
from portanet.tensor import Tensor

__all__ = ["draw_levels", "lone_places", "loss_curve", "one_row"]


def loss_curve(
    losses: Array | Sequence[Any] | Mapping[str, Any],
    ax: Any = None,
    *,
    average: int = 1,
    levels: Mapping[str, float] | None = None,
    xlabel: str = "updates",
    ylabel: str = "loss",
    title: str | None = None,
) -> Any:
    """Draw how the loss fell: one curve, or several with their labels.

    Parameters
    ----------
    losses : array or sequence of numbers, or mapping of str to them
        One loss for each update, from the first on, shape (updates,): a list of floats or of Tensors with one element,
        or an array. A mapping draws one curve for each entry, with the key as its label. NaN leaves a gap.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: new axes in a figure of their own.
    average : int, default 1
        Draw the mean of each so many losses as a bold line over the single ones, which are drawn faintly. With the
        number of batches in an epoch this shows the mean of each epoch, where the single batches scatter.
    levels : mapping of str to number, optional
        Horizontal lines by their labels, such as the loss of a baseline.
    xlabel, ylabel, title : str, optional
        What stands at the axes, and above them. Name the unit of the loss if it has one: ``"cross entropy (nats)"``.

    Returns
    -------
    matplotlib.axes.Axes
        Its ``figure`` is the whole picture; :func:`portanet.plot.save` writes it.

    Raises
    ------
    ShapeError
        If losses are not one row of numbers.
    DataError
        If there are none, or a level is not finite.
    OptionError
        If ``average`` is not a whole number of at least 1.

    Examples
    --------
    >>> losses = {"AdamW": [0.7, 0.5, 0.4], "SGD": [0.7, 0.6, 0.5]}
    >>> axes = pn.plot.loss_curve(losses, levels={"guessing": 0.69})
    >>> [line.get_label() for line in axes.lines]
    ['AdamW', 'SGD', 'guessing']
    """
    average = whole_number("average", average, low=1)
    named = losses if isinstance(losses, Mapping) else {"": losses}
    if not named:
        raise DataError("losses: expected at least one curve, got an empty mapping.")
    curves = {
        label: one_row(f"losses[{label!r}]" if label else "losses", row) for label, row in named.items()
    }
    own = ax is None
    if own:
        ax = new_axes()
    for k, (label, row) in enumerate(curves.items()):
        colour, dashes = COLOURS[k % len(COLOURS)], DASHES[k % len(DASHES)]
        updates = range(1, len(row) + 1)
        if len(row) < 2 * average or average == 1:
            lone = lone_places(row)
            ax.plot(
                updates,
                row,
                dashes,
                color=colour,
                marker="o" if lone else None,
                markevery=lone or None,
                linewidth=1.8,
                label=label or None,
            )
            continue
        whole = len(row) // average
        means = row[: whole * average].reshape(whole, average).mean(axis=1)
        middles = [
            (part + 0.5) * average + 0.5 for part in range(whole)
        ]  # of the updates that it is the mean of
        ax.plot(
            updates, row, color=colour, alpha=0.35, linewidth=0.8, label=f"{label}, each update".strip(", ")
        )
        ax.plot(
            middles,
            means,
            dashes,
            color=colour,
            linewidth=2.2,
            label=f"{label}, mean of {average} updates".strip(", "),
        )
    draw_levels(ax, levels, len(curves))
    whole_ticks(ax.xaxis)
    finish_lines(ax, own, xlabel, ylabel, title)
    return ax


def lone_places(row: Any) -> list[int]:
    """Where a number stands between gaps, or alone: a line shows nothing there."""
    xp = row.__array_namespace__()
    there = xp.concat([xp.asarray([False]), xp.isfinite(row), xp.asarray([False])])
    lone: list[int] = xp.nonzero(there[1:-1] & ~there[:-2] & ~there[2:])[0].tolist()
    return lone


def draw_levels(ax: Any, levels: Mapping[str, float] | None, taken: int) -> None:
    """Draw horizontal lines with their labels, in the colours and dashes after those that are taken."""
    for k, (label, height) in enumerate((levels or {}).items(), start=taken):
        place = host_numbers(f"levels[{label!r}]", height)
        if place.shape != () or not place.__array_namespace__().isfinite(place):
            raise DataError(f"levels[{label!r}]: expected one finite number, got {height!r}.")
        dashes = DASHES[1 + k % (len(DASHES) - 1)]  # only curves are solid
        ax.axhline(
            float(place), color=COLOURS[k % len(COLOURS)], linestyle=dashes, linewidth=1.6, label=label
        )


def one_row(name: str, losses: Any, unit: str = "update") -> Any:
    """The numbers of one curve, one for each ``unit``, as a host array of shape (units,)."""
    if not isinstance(losses, Tensor) and backend_of(losses) is None and isinstance(losses, Sequence):
        losses = [loss.item() if getattr(loss, "size", None) == 1 else loss for loss in losses]
    row = host_numbers(name, losses)
    if row.ndim != 1:
        raise ShapeError(
            f"{name}: expected one number for each {unit}, shape ({unit}s,), got shape {row.shape}. For several curves "
            "pass a mapping such as {'training': losses, 'test': others}."
        )
    if row.shape[0] == 0:
        raise DataError(f"{name}: expected at least one number, got none.")
    return row
