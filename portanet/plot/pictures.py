"""Images in a grid, and the filters of a convolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from portanet.checks import whole_number
from portanet.errors import DataError, OptionError, ShapeError
from portanet.plot.figure import host_numbers, new_figure, title_width, whole_ticks
from portanet.protocols import Array

__all__ = ["filters", "images"]

_CELL = 0.95  # inches
_LETTER = 0.085  # inches
_LONGEST = 28  # letters in a line of a caption
_LIMITS = (0.0, 1.0)


def images(
    pictures: Array | Mapping[str, Array],
    captions: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    limits: tuple[float, float] | None = None,
    ink: bool = False,
    title: str | None = None,
) -> Any:
    """Draw images in a grid, each with its caption; or several rows of images, each row with its name.

    Parameters
    ----------
    pictures : array, or mapping of str to array
        Shape (n, height, width) or (n, 1, height, width) in grey; (n, 3, height, width) as red, green and blue. A
        mapping draws one row for each entry, under each other.
    captions : sequence of str, optional
        One for each image, above it; for a mapping one for each column.
    columns : int, optional
        How many images are in a row; default: as many as make the grid a little wider than high. Not for a mapping.
    limits : pair of float, optional
        The values that are dark and bright; default: the lowest and the highest of all images, or 0 and 1 if all lie
        between.
    ink : bool, default False
        Whether in grey images high values are dark instead, as ink on paper.
    title : str, optional
        What stands above all.

    Returns
    -------
    matplotlib.figure.Figure
        With one Axes for each image; :func:`portanet.plot.save` writes it.

    Raises
    ------
    ShapeError
        If the images have another shape, or captions do not fit.
    DataError
        If there are none, or a value is not finite.
    OptionError
        If an option is outside its domain.

    Examples
    --------
    >>> figure = pn.plot.images(pn.random.uniform((6, 8, 8)), [f"picture {k}" for k in range(6)])
    >>> len(figure.axes)
    6
    """
    if isinstance(pictures, Mapping):
        rows = {name: _stack(f"pictures[{name!r}]", stack) for name, stack in pictures.items()}
        if not rows:
            raise DataError("pictures: expected at least one row of images, got an empty mapping.")
        lengths = {name: len(stack) for name, stack in rows.items()}
        if len(set(lengths.values())) > 1:
            raise ShapeError(f"pictures: expected as many images in each row, got {lengths}.")
        across, down = next(iter(lengths.values())), len(rows)
        cells = [picture for stack in rows.values() for picture in stack]
        expected = across
    else:
        rows = {}
        cells = list(_stack("pictures", pictures))
        across = _columns(len(cells), columns)
        down, expected = -(-len(cells) // across), len(cells)
    if captions is not None and len(captions) != expected:
        raise ShapeError(f"captions: expected one for each of {expected} images, got {len(captions)}.")
    low, high = _limits(cells) if limits is None else limits
    if not low < high:
        raise OptionError(f"limits: expected the lower value first, got {limits!r}.")

    texts = [_wrapped(str(caption)) for caption in (() if captions is None else captions)]
    longest = max((len(line) for text in texts for line in text.split("\n")), default=0)
    width = max(_CELL, _LETTER * longest)
    height = _CELL * cells[0].shape[-2] / cells[0].shape[-1]
    margin = 0.1 * max(map(len, rows), default=0)
    lines = max((1 + text.count("\n") for text in texts), default=0)
    figure = new_figure(
        (
            max(2.5, across * width + margin + 0.2, title_width(title)),
            max(
                2.1,
                down * (height + 0.06)
                + 0.2 * lines * (1 if rows else down)
                + 0.15
                + (0.35 if title else 0.0),
            ),
        )
    )
    for k, picture in enumerate(cells):
        ax = figure.add_subplot(down, across, k + 1)
        _show(ax, picture, low, high, ink)
        if k < len(texts):
            ax.set_title(texts[k], fontsize="small", pad=3)
        if rows and k % across == 0:
            ax.set_ylabel(list(rows)[k // across], rotation=0, ha="right", va="center")
    if title:
        figure.suptitle(title)
    return figure


def filters(weight: Any, *, columns: int | None = None, most: int = 64, title: str | None = None) -> Any:
    """Draw the filters of a convolution on one scale that has no colour at 0.

    Parameters
    ----------
    weight : Module or array
        A layer such as :class:`portanet.nn.Conv2d`, or its weight: shape (filters, channels, height, width), or
        (filters, channels, length) of a layer of one dimension, whose channels become rows.
    columns : int, optional
        How many filters are in a row; with several channels, a row is one filter and a column a channel.
    most : int, default 64
        How many filters, and how many channels, are drawn at most: the first ones.
    title : str, optional
        What stands above all.

    Returns
    -------
    matplotlib.figure.Figure
        :func:`portanet.plot.save` writes it.

    Raises
    ------
    ShapeError
        If the weight has another number of axes.
    DataError
        If it is empty or not finite.

    Examples
    --------
    >>> picture, colour_bar = pn.plot.filters(pn.nn.Conv2d(3, 6, kernel_size=3)).axes
    >>> picture.get_xlabel(), picture.get_ylabel(), colour_bar.get_ylabel()
    ('channel of the input', 'filter', 'weight')
    """
    values = host_numbers("weight", getattr(weight, "weight", weight))
    if values.ndim == 3:
        values = values[:, None]
    if values.ndim != 4:
        raise ShapeError(
            "weight: expected shape (filters, channels, height, width) or (filters, channels, length), got "
            f"{values.shape}. Linear layers have no filters."
        )
    _check_finite("weight", values)
    count, channels = (min(length, whole_number("most", most, low=1)) for length in values.shape[:2])
    across = _columns(count, columns) if channels == 1 else channels
    cells = values[:count, :channels].reshape(-1, *values.shape[2:])
    down = -(-len(cells) // across)
    ratio = cells.shape[1] / cells.shape[2]
    side = min(_CELL, 14.0 / max(across, down * ratio)) * 0.8
    figure = new_figure(
        (
            max(3.2, across * side + 1.6, title_width(title)),
            max(2.1, down * side * ratio + 0.5) + (0.4 if title else 0.0),
        )
    )
    ax = figure.add_subplot()
    largest = float(abs(values).max()) or 1.0
    image = ax.imshow(
        _mosaic(cells, down, across),
        cmap="PuOr",
        interpolation="nearest",
        vmin=-largest,
        vmax=largest,
        extent=(-0.5, across - 0.5, down - 0.5, -0.5),  # a filter has a length of 1 on both axes
        aspect=ratio,
    )
    image.set_cmap(image.get_cmap().with_extremes(bad="lightgrey"))
    ax.spines[:].set_visible(False)
    if channels == 1:
        ax.set(xticks=[], yticks=[])
    else:
        ax.set(xlabel="channel of the input", ylabel="filter")
        ax.tick_params(length=0)
        for axis in (ax.xaxis, ax.yaxis):
            whole_ticks(axis)
    figure.colorbar(image, ax=ax, label="weight", shrink=min(1.0, 3.5 / figure.get_figheight()))
    if title:
        figure.suptitle(title)
    return figure


def _mosaic(cells: Any, down: int, across: int) -> Any:
    """Pictures of shape (n, height, width) as one, in rows, with lines of NaN around them.

    An Axes for each would take minutes for the thousands of filters that a layer may have.
    """
    xp = cells.__array_namespace__()
    enlarged = max(1, round(24 / min(cells.shape[1:])))  # so that a line is thin beside a picture of 3 by 3
    cells = xp.repeat(xp.repeat(cells, enlarged, axis=1), enlarged, axis=2)
    line = max(1, min(cells.shape[1:]) // 8)
    height, width = (length + line for length in cells.shape[1:])
    whole = xp.full((down * height + line, across * width + line), xp.nan)
    for k, cell in enumerate(cells):
        top, left = (k // across) * height + line, (k % across) * width + line
        whole[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return whole


def _wrapped(caption: str) -> str:
    """The caption in lines that are no wider than its cell may be."""
    lines = [wrap(line, _LONGEST) or [""] for line in caption.split("\n")]
    return "\n".join(part for parts in lines for part in parts)


def _columns(count: int, wanted: int | None) -> int:
    """How many of so many pictures to put in a row: a grid wider than high, in which few places stay empty."""
    if wanted is not None:
        return min(count, whole_number("columns", wanted, low=1))
    best = (2.2 * count) ** 0.5
    choices = range(max(1, round((1.2 * count) ** 0.5)), min(count, round((4 * count) ** 0.5)) + 1)
    return min(choices, key=lambda columns: (-count % columns, abs(columns - best)))


def _stack(name: str, pictures: Any) -> Any:
    """Images as a host array of shape (n, height, width) or (n, 3, height, width)."""
    stack = host_numbers(name, pictures)
    if stack.ndim == 4 and stack.shape[1] == 1:
        stack = stack[:, 0]
    if stack.ndim != 3 and not (stack.ndim == 4 and stack.shape[1] == 3):
        hint = (
            " Put the channels first: portanet.moveaxis(x, -1, 1)."
            if stack.shape[-1:] in ((1,), (3,))
            else ""
        )
        raise ShapeError(
            f"{name}: expected shape (n, height, width), (n, 1, height, width) or (n, 3, height, width), got "
            f"{stack.shape}.{hint}"
        )
    _check_finite(name, stack)
    return stack


def _check_finite(name: str, values: Any) -> None:
    if not values.size:
        raise DataError(f"{name}: expected at least one image, got shape {values.shape}.")
    if not values.__array_namespace__().isfinite(values).all():
        raise DataError(f"{name}: a value is NaN or infinite, which has no colour.")


def _limits(cells: Sequence[Any]) -> tuple[float, float]:
    low, high = min(float(cell.min()) for cell in cells), max(float(cell.max()) for cell in cells)
    if _LIMITS[0] <= low and high <= _LIMITS[1]:
        return _LIMITS
    return (low, high) if high > low else (low, low + 1.0)


def _show(ax: Any, picture: Any, low: float, high: float, ink: bool) -> None:
    if picture.ndim == 2:
        ax.imshow(picture, cmap="gray_r" if ink else "gray", vmin=low, vmax=high)
    else:
        xp = picture.__array_namespace__()
        ax.imshow(xp.clip((xp.moveaxis(picture, 0, -1) - low) / (high - low), 0.0, 1.0))
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
