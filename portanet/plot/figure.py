"""Figures without a screen and without pyplot, and what all pictures share: colours, markers, host values."""

from __future__ import annotations

import importlib
import os
from functools import partial
from io import BytesIO
from math import ceil
from typing import TYPE_CHECKING, Any

from portanet.atomic import atomic_file
from portanet.backend import backend_of
from portanet.dtypes import Device, float64
from portanet.errors import DTypeError, OptionError
from portanet.functions.inspection import to_host
from portanet.protocols import Array
from portanet.tensor import Tensor, asarray

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "COLOURS",
    "DASHES",
    "MARKERS",
    "finish_lines",
    "host_numbers",
    "matplotlib_module",
    "new_axes",
    "new_figure",
    "place_legend",
    "save",
    "title_width",
    "whole_ticks",
]

COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000"),
    *("#8822EE", "#662200"),
)
"""Okabe and Ito's eight colours, a violet and a brown. Colour-blind readers tell all ten apart, and neighbours differ
in greyscale as well. The last two keep farthest from the eight in the simulations of Machado, Oliveira and Fernandes
(2009)."""

MARKERS = ("o", "^", "s", "D", "v", "P", "X")
"""One more cue than colour. Seven and ten have no common divisor, so that 70 classes get different pairs."""

DASHES = ("-", "--", "-.", ":")

FIGURE_SIZE = (6.4, 4.4)

_MOST_OVER_LINES = 3  # with more entries than these a legend hides what it names
_MOST_SOUGHT = 100_000  # among more numbers than these matplotlib takes seconds to find a free place


def matplotlib_module(name: str) -> Any:
    """Import a module of matplotlib.

    Raises
    ------
    ImportError
        If matplotlib is missing or does not import.
    """
    try:
        return importlib.import_module(f"matplotlib.{name}")
    except ImportError as error:
        raise ImportError(
            f"portanet.plot draws with matplotlib, which cannot be imported here ({error}). "
            "Install it with: pip install 'portanet[plot]'"
        ) from error


def new_figure(size: tuple[float, float] = FIGURE_SIZE) -> Any:
    """A figure that belongs to nobody else; the size is in inches.

    Notebooks ask what a cell ends with for its ``_repr_png_``. Of pyplot's figures pyplot tells them, but this is none.
    """
    figure = matplotlib_module("figure").Figure(figsize=size, layout="constrained")
    matplotlib_module("backends.backend_agg").FigureCanvasAgg(figure)
    figure._repr_png_ = partial(_png, figure)
    return figure


def _png(figure: Any) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def new_axes(size: tuple[float, float] = FIGURE_SIZE) -> Any:
    """Axes of a new figure, which a notebook shows as the figure."""
    figure = new_figure(size)
    axes = figure.add_subplot()
    axes._repr_png_ = figure._repr_png_
    return axes


def title_width(title: str | None) -> float:
    """How many inches wide a figure must be for its title."""
    return 0.3 + 0.105 * max(map(len, (title or "").split("\n")))


def whole_ticks(axis: Any) -> None:
    """Put ticks at whole numbers only, as there is no half an epoch."""
    locator = matplotlib_module("ticker").MaxNLocator
    axis.set_major_locator(locator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def finish_lines(
    ax: Any, own: bool, xlabel: str, ylabel: str, title: str | None, *, most_over: int = _MOST_OVER_LINES
) -> None:
    """Name the axes of a picture of lines, and give it a grid and, if a line has a label, a legend."""
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if title:
        ax.set_title(title)
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    labels = ax.get_legend_handles_labels()[1]
    if labels:
        place_legend(ax, beside=own and len(labels) > most_over)


def place_legend(ax: Any, *, beside: bool, spare: float = 0.0, marker_scale: float = 1.0) -> None:
    """Name what was drawn: where the picture is emptiest, or beside it.

    Then its figure grows in width, but for ``spare`` inches, which it has for this already.
    """
    if beside:
        labels = ax.get_legend_handles_labels()[1]
        figure = ax.figure
        columns = ceil(len(labels) / int((figure.get_figheight() - 0.9) / 0.23))  # 0.23 inches for each entry
        wide = columns * (0.7 + 0.08 * max(map(len, labels)))
        figure.set_figwidth(figure.get_figwidth() + max(0.0, wide - spare))
        place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "frameon": False, "borderaxespad": 0.0}
        legend = ax.legend(**place, ncols=columns, markerscale=marker_scale)
    else:
        crowded = sum(len(line.get_xdata()) for line in ax.lines) > _MOST_SOUGHT
        loc = "upper right" if crowded else "best"
        legend = ax.legend(loc=loc, framealpha=0.85, edgecolor="none", markerscale=marker_scale)
    if marker_scale > 1:  # small markers are faint as well
        for handle in legend.legend_handles:
            handle.set(alpha=1.0, linewidth=1.0)


def host_numbers(name: str, values: Array) -> Any:
    """Float64 host array of a Tensor, an array of any library, or nested sequences of numbers.

    Raises
    ------
    DTypeError
        If they are no real numbers.
    """
    try:
        if not isinstance(values, Tensor) and backend_of(values) is None:
            values = asarray(values, dtype=float64, device=Device("numpy", "cpu"))
        host = to_host(values)
        if host.dtype.kind not in "biuf":
            raise TypeError(f"its data type is {host.dtype}")
        return host.astype("float64")
    except (TypeError, ValueError) as error:
        raise DTypeError(
            f"{name}: expected a Tensor, an array or sequences of real numbers, got {type(values).__name__} ({error})."
        ) from error


def save(picture: Any, path: str | os.PathLike[str], *, dpi: float = 150) -> Path:
    """Write a figure to a file, in the format that the file's name ends in; missing folders are made.

    Parameters
    ----------
    picture : Axes or Figure
        What the functions of this module return, or its figure.
    path : str or path
        For example ``"pictures/loss.png"``; ``.svg`` and ``.pdf`` work as well.
    dpi : float, default 150
        Pixels per inch.

    Returns
    -------
    Path
        Where the picture is.

    Raises
    ------
    OptionError
        If the name ends in no known format.
    OSError
        If it cannot be written; a picture that was there before stays.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> pn.plot.save(pn.plot.loss_curve([0.9, 0.5, 0.4]), folder.name + "/loss.png").name
    'loss.png'
    >>> folder.cleanup()
    """
    figure = getattr(picture, "figure", picture)
    if not hasattr(figure, "savefig"):
        raise TypeError(
            f"picture: expected matplotlib Axes or a Figure, got {type(picture).__name__}. Pass what a plotting "
            "function returned."
        )
    from pathlib import Path

    target = Path(path)
    kind = target.suffix.removeprefix(".").lower()
    known = figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise OptionError(
            f"path: expected a name that ends in one of .{', .'.join(sorted(known))}, got {str(target)!r}."
        )
    file = BytesIO()
    figure.savefig(file, format=kind, dpi=dpi)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(target) as content:  # a full disk does not cost the picture that was there
        content.write(file.getvalue())
    return target
