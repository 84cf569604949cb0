"""Which class was taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portanet.errors import DataError, ShapeError
from portanet.plot.figure import host_numbers, matplotlib_module, new_axes
from portanet.protocols import Array

__all__ = ["confusion_matrix"]

_MOST_NUMBERS = 20  # with more classes than these, cells have no room for their numbers
_GAMMA = 0.5  # few mistakes beside many hits can still be seen


def confusion_matrix(
    counts: Array,
    ax: Any = None,
    *,
    class_names: Sequence[str] | None = None,
    shares: bool = False,
    xlabel: str = "predicted class",
    ylabel: str = "true class",
    unit: str = "examples",
    title: str | None = None,
) -> Any:
    """Draw how often each class was taken for each class, as counted by :func:`portanet.metrics.confusion_matrix`.

    A cell is as dark as its share of the true class is large, on a scale of square roots, so that rare mistakes can be
    seen and large classes do not drown small ones. Up to 20 classes, its number stands in it.

    Parameters
    ----------
    counts : array
        Shape (classes, classes): true classes in rows, predicted ones in columns.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: new axes in a figure of their own.
    class_names : sequence of str, optional
        Default: the numbers from 0 on.
    shares : bool, default False
        Whether cells name the share of the true class in percent instead of the count.
    xlabel, ylabel, title : str, optional
        What stands at the axes, and above them.
    unit : str, default "examples"
        What was counted, for the colour bar.

    Returns
    -------
    matplotlib.axes.Axes
        Its ``figure`` is the whole picture; :func:`portanet.plot.save` writes it.

    Raises
    ------
    ShapeError
        If ``counts`` is not square, or has another number of classes than ``class_names``.
    DataError
        If a count is negative or not finite, or all are 0.

    Examples
    --------
    >>> axes = pn.plot.confusion_matrix([[5, 1], [0, 4]], class_names=["cat", "dog"])
    >>> [text.get_text() for text in axes.texts]
    ['5', '1', '4']
    """
    table = host_numbers("counts", counts)
    xp = table.__array_namespace__()
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not table.shape[0]:
        raise ShapeError(
            f"counts: expected shape (classes, classes), got {table.shape}. Count with "
            "portanet.metrics.confusion_matrix."
        )
    if not (xp.isfinite(table) & (table >= 0)).all() or not table.any():
        raise DataError("counts: expected finite numbers of at least 0, not all of them 0.")
    size = len(table)
    names = [str(k) for k in range(size)] if class_names is None else [str(name) for name in class_names]
    if len(names) != size:
        raise ShapeError(f"class_names: expected a name for each of {size} classes, got {len(names)}.")
    of_each = table.sum(axis=1, keepdims=True)
    share = xp.where(of_each > 0, table / xp.where(of_each > 0, of_each, 1.0), 0.0)

    side = min(max(4.4, 0.42 * size + 1.2), 12.0)
    room = 72 * (side - 1.2) / size  # points, for each cell
    if ax is None:
        longest = max(map(len, names))
        ax = new_axes((side + 1.3 + 0.05 * longest, side + (0.3 if title else 0.0)))
    else:
        given = ax.get_window_extent()
        room = (
            72 * 0.8 * min(given.width, given.height) / ax.figure.dpi / size
        )  # the colour bar takes its share
    norm = matplotlib_module("colors").PowerNorm(_GAMMA, vmin=0, vmax=1)
    image = ax.imshow(share, cmap="Blues", norm=norm)
    percent = matplotlib_module("ticker").PercentFormatter(1, decimals=0)
    ax.figure.colorbar(
        image,
        ax=ax,
        label=f"share of the true class's {unit}",
        format=percent,
        ticks=[0, 0.01, 0.05, 0.1, 0.25, 0.5, 1],
    )
    if size <= _MOST_NUMBERS:
        _write_numbers(ax, share if shares else table, share, shares, room)
    every = max(1, -(-size // 40))  # more names than these would run into each other
    places = range(0, size, every)
    turned = max(map(len, names)) > 4
    ax.set_xticks(places, names[::every], rotation=45 if turned else 0, ha="right" if turned else "center")
    ax.set_yticks(places, names[::every])
    if turned:
        for label in ax.get_xticklabels():
            label.set_rotation_mode("anchor")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if title:
        ax.set_title(title)
    return ax


def _write_numbers(ax: Any, shown: Any, share: Any, percent: bool, room: float) -> None:
    """Write what is not 0 into its cell, in white where the cell is dark."""
    size = len(shown)
    for row in range(size):
        for column in range(size):
            value = float(shown[row, column])
            if not value:
                continue
            whole = value == int(value)
            text = f"{value:.0%}" if percent else f"{value:.0f}" if whole else f"{value:.4g}"
            if percent and text == "0%":
                text = "<1%"
            ax.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                fontsize=min(
                    11.0, room / (0.75 * max(len(text), 2))
                ),  # points, for cells that are ``room`` wide
                color="white" if share[row, column] > 0.3 else "black",
            )
