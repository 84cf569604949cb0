"""The regions of the plane that a model gives to each class."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from portanet.checks import check_number, whole_number
from portanet.dtypes import float32
from portanet.errors import DataError, OptionError, ShapeError
from portanet.functions.inspection import to_host
from portanet.graph import no_grad
from portanet.plot.figure import COLOURS, host_numbers, matplotlib_module, new_axes
from portanet.plot.plane import (
    MANY,
    ClassNames,
    check_lengths,
    class_numbers,
    draw_points,
    finish_points,
    marker_size,
    name_classes,
    plane_points,
    stroke,
)
from portanet.protocols import Array
from portanet.tensor import Tensor, asarray

__all__ = ["decision_regions"]

_ROWS_AT_ONCE = 16384  # so that a wide model does not need the whole grid's activations in memory
_TINT = 0.30  # how much of a class's colour is in its region


def decision_regions(
    predict: Callable[[Tensor], Array],
    x: Array,
    y: Array,
    ax: Any = None,
    *,
    resolution: int = 200,
    threshold: float | None = None,
    margin: float = 0.08,
    class_names: ClassNames | None = None,
    xlabel: str = "x1",
    ylabel: str = "x2",
    title: str | None = None,
    size: float | None = None,
) -> Any:
    """Draw which class a model gives to each place in the plane, the boundaries, and labelled points.

    Points to which the model gives another class than ``y`` are ringed.

    Parameters
    ----------
    predict : callable
        Takes a Tensor of points, shape (n, 2), of the data type and on the device of ``portanet.asarray(x)``; a model
        will do. It returns one of

        - classes: integers or booleans of shape (n,) or (n, 1);
        - the score of class 1 against class 0: floats of shape (n,) or (n, 1);
        - a score for each class: floats of shape (n, classes); the highest wins, be they logits or probabilities.
    x, y : array
        The points, shape (n, 2), and their true classes, shape (n,) or (n, 1), as in :func:`points`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: new axes in a figure of their own.
    resolution : int, default 200
        How many places are asked for along each axis.
    threshold : float, optional
        A single score above it means class 1: 0 for logits, which is the default, and 0.5 for probabilities.
    margin : float, default 0.08
        How far the picture reaches beyond the points, as a share of their range.
    class_names, xlabel, ylabel, title, size
        As in :func:`points`.

    Returns
    -------
    matplotlib.axes.Axes
        Its ``figure`` is the whole picture; :func:`portanet.plot.save` writes it.

    Raises
    ------
    ShapeError
        If x, y or what predict returns has another shape than those above.
    DataError
        If there are no points, a number is not finite, or a class cannot be one that ``predict`` gives.
    OptionError
        If an option is outside its domain.

    Warns
    -----
    UserWarning
        If no threshold is given and the scores look like probabilities: they lie between 0 and 1, and far more of the
        points come out right with a threshold of 0.5.

    Notes
    -----
    The model is called without recording a graph, and in the mode it is in: call ``model.eval()`` first if it matters.

    Examples
    --------
    >>> x = pn.asarray([[-1.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    >>> axes = pn.plot.decision_regions(lambda points: points[:, 0], x, [0, 1, 0], resolution=20)
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['class 0', 'class 1', 'boundary', 'wrong: 1 of 3']
    """
    resolution = whole_number("resolution", resolution, low=2)
    check_number("margin", margin, low=0)
    places, truth = plane_points(x), class_numbers(y)
    check_lengths(places, truth)
    across, up = _grid_lines(places, resolution, margin)
    xp = places.__array_namespace__()
    grid = xp.stack([part.reshape(-1) for part in xp.meshgrid(across, up)], axis=1)
    asked = asarray(x).detach()
    dtype = asked.dtype if asked.dtype.is_floating else float32
    everywhere = asarray(xp.concat([places, grid]), dtype=dtype, device=asked.device)
    classes, scores = _read_answers(_ask(predict, everywhere), truth, threshold)
    if scores is not None:
        _check_known(truth, scores.shape[1])

    predicted, regions = classes[: len(places)], classes[len(places) :].reshape(resolution, resolution)
    every_class = sorted({*truth.tolist(), *classes.tolist()})
    names = name_classes(every_class, class_names)
    own = ax is None
    if own:
        ax = new_axes()
    _fill(ax, across, up, regions, every_class)
    margins = _margins(regions, every_class) if scores is None else scores[len(places) :]
    size = size or marker_size(len(places))
    draw_points(ax, places, truth, names, size)
    _draw_boundaries(ax, across, up, margins.reshape(resolution, resolution, -1))
    wrong = predicted != truth
    if wrong.any():
        label = f"wrong: {int(wrong.sum())} of {len(truth)}"
        rings = places[wrong]
        # Among many points, rings around them would be one black spot: there the points themselves are darkened.
        crowded = len(places) > MANY
        ax.scatter(
            rings[:, 0],
            rings[:, 1],
            s=size if crowded else 4.5 * size,
            facecolors="none",
            edgecolors="black",
            linewidths=1.4 * stroke(size),
            alpha=0.3 if crowded else None,
            label=label,
            zorder=4,
        )
    ax.set(xlim=(across[0], across[-1]), ylim=(up[0], up[-1]))
    finish_points(ax, own, xlabel, ylabel, title, size)
    return ax


def _grid_lines(places: Any, resolution: int, margin: float) -> tuple[Any, Any]:
    """The coordinates along both axes of the places that the model is asked about."""
    xp = places.__array_namespace__()
    lowest, highest = places.min(axis=0), places.max(axis=0)
    extent = highest - lowest
    extent = xp.where(extent > 0, extent, xp.ones_like(extent))  # points on one line still need some room
    padding = xp.maximum(margin * extent, xp.where(highest > lowest, 0.0, 0.5))
    left, bottom = lowest - padding
    right, top = highest + padding
    return xp.linspace(left, right, resolution), xp.linspace(bottom, top, resolution)


def _ask(predict: Callable[[Tensor], Array], places: Tensor) -> Any:
    """What the model says of each place, as one host array."""
    answers = []
    with no_grad():
        for start in range(0, len(places), _ROWS_AT_ONCE):
            rows = places[start : min(start + _ROWS_AT_ONCE, len(places))]
            answer = to_host(asarray(predict(rows)))
            if answer.ndim not in (1, 2) or answer.shape[0] != len(rows):
                raise ShapeError(
                    f"predict: expected shape (n,), (n, 1) or (n, classes) for n = {len(rows)} points, "
                    f"got {answer.shape}."
                )
            answers.append(answer)
    return answers[0].__array_namespace__().concat(answers)


def _read_answers(answers: Any, truth: Any, threshold: float | None) -> tuple[Any, Any]:
    """The class of each place; and how far each class is ahead of the others, (n, classes), None for bare classes."""
    if answers.dtype.kind in "biu":
        if threshold is not None:
            raise OptionError(
                "threshold: predict returns classes, to which no threshold applies. Leave it out."
            )
        return class_numbers(answers, "predict"), None
    xp = answers.__array_namespace__()
    scores = host_numbers("predict", answers)
    if not xp.isfinite(scores).all():
        raise DataError("predict: a score is NaN or infinite. Did the training diverge?")
    if scores.ndim == 1 or scores.shape[1] == 1:
        scores = scores.reshape(-1)
        if threshold is None:
            threshold = 0.0
            _notice_probabilities(scores, truth)
        ahead = scores - threshold
        return (ahead > 0).astype("int64"), xp.stack([-ahead, ahead], axis=1)
    if threshold is not None:
        raise OptionError(
            "threshold: predict returns a score for each class, of which the highest wins. Leave it out."
        )
    return scores.argmax(axis=1), _ahead_of_the_others(scores)


def _notice_probabilities(scores: Any, truth: Any) -> None:
    """Warn if scores that are read as logits would fit the classes far better as probabilities."""
    if not 0 <= scores.min() < 0.5 < scores.max() <= 1:
        return
    of_points = scores[: len(truth)]
    as_logits, as_probabilities = (float(((of_points > turn) == truth).mean()) for turn in (0.0, 0.5))
    if as_probabilities > as_logits + 0.2:
        warnings.warn(
            "portanet.plot.decision_regions: what predict returns is read as logits but looks like probabilities: all "
            f"lies between 0 and 1, and {as_probabilities:.0%} of the points come out right with a threshold of 0.5, "
            f"{as_logits:.0%} with 0. Pass threshold=0.5 for probabilities, threshold=0.0 for logits.",
            stacklevel=4,
        )


def _ahead_of_the_others(scores: Any) -> Any:
    """For each class its score less the best of the others, (n, classes)."""
    xp = scores.__array_namespace__()
    ordered = xp.sort(scores, axis=1)
    best, second = ordered[:, -1:], ordered[:, -2:-1]
    return scores - xp.where(scores == best, second, best)


def _margins(regions: Any, classes: Sequence[int]) -> Any:
    """The same for bare classes: 1 where the class is, -1 elsewhere."""
    xp = regions.__array_namespace__()
    return xp.stack([xp.where(regions == k, 1.0, -1.0) for k in classes], axis=-1)


def _check_known(truth: Any, count: int) -> None:
    lowest, highest = int(truth.min()), int(truth.max())
    if lowest < 0 or highest >= count:
        raise DataError(
            f"y: predict tells the classes 0 to {count - 1} apart, but y has classes from {lowest} to {highest}. "
            "Number them from 0."
        )


def _fill(ax: Any, across: Any, up: Any, regions: Any, classes: Sequence[int]) -> None:
    """Tint each place by its class."""
    colors = matplotlib_module("colors")
    tints = []
    for k in classes:
        rgb = colors.to_rgb(COLOURS[k % len(COLOURS)])
        tints.append([_TINT * part + (1 - _TINT) for part in rgb])
    middles = [(low + high) / 2 for low, high in pairwise(classes)]
    edges = [classes[0] - 0.5, *middles, classes[-1] + 0.5]
    half_x, half_y = (across[1] - across[0]) / 2, (up[1] - up[0]) / 2
    ax.imshow(
        regions,
        cmap=colors.ListedColormap(tints),
        norm=colors.BoundaryNorm(edges, len(classes)),
        origin="lower",
        extent=(across[0] - half_x, across[-1] + half_x, up[0] - half_y, up[-1] + half_y),
        interpolation="nearest",
        aspect=ax.get_aspect(),
        zorder=0,
    )


def _draw_boundaries(ax: Any, across: Any, up: Any, margins: Any) -> None:
    """Draw the lines where a class begins to be ahead of all others; ``margins`` has shape (rows, columns, classes)."""
    # Of two classes one line is the other.
    drawn = False
    for k in range(1 if margins.shape[-1] == 2 else 0, margins.shape[-1]):
        ahead = margins[:, :, k]
        if ahead.min() < 0 < ahead.max():
            ax.contour(
                across, up, ahead, levels=[0.0], colors="black", linewidths=1.4, linestyles="solid", zorder=2
            )
            drawn = True
    if drawn:
        ax.plot([], [], color="black", linewidth=1.4, label="boundary")
