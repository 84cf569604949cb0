"""Figures without a screen and without pyplot, and what all pictures share: colours, markers, host values."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from portanet.backend import backend_of
from portanet.dtypes import Device, float64
from portanet.errors import DTypeError
from portanet.functions.inspection import to_host
from portanet.protocols import Array
from portanet.tensor import Tensor, asarray

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["COLOURS", "MARKERS", "host_numbers", "matplotlib_module", "new_axes", "save"]

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
"""Okabe and Ito's colours, which colour-blind readers tell apart; neighbours differ in greyscale as well."""

MARKERS = ("o", "^", "s", "D", "v", "P", "X")
"""One more cue than colour; one marker fewer than there are colours, so that 56 classes get different pairs."""

FIGURE_SIZE = (6.4, 4.4)


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


def new_axes(size: tuple[float, float] = FIGURE_SIZE) -> Any:
    """Axes of a new figure that belongs to nobody else; the size is in inches."""
    figure = matplotlib_module("figure").Figure(figsize=size, layout="constrained")
    matplotlib_module("backends.backend_agg").FigureCanvasAgg(figure)
    return figure.add_subplot()


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
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=dpi)
    return target
