"""Points in the plane by their class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portanet.errors import DataError, ShapeError
from portanet.plot.figure import COLOURS, MARKERS, host_numbers, new_axes, place_legend
from portanet.protocols import Array

__all__ = [
    "MANY",
    "ClassNames",
    "check_lengths",
    "class_numbers",
    "draw_points",
    "finish_points",
    "marker_size",
    "name_classes",
    "plane_points",
    "points",
    "stroke",
]

ClassNames = Sequence[str] | Mapping[int, str]

MANY = 5000  # points that lie over each other


def points(
    x: Array,
    y: Array,
    ax: Any = None,
    *,
    class_names: ClassNames | None = None,
    xlabel: str = "x1",
    ylabel: str = "x2",
    title: str | None = None,
    size: float | None = None,
) -> Any:
    """Draw points in the plane, with a colour and a marker for each class.

    Parameters
    ----------
    x : array
        The points, shape (n, 2).
    y : array
        Their classes as whole numbers of any data type, shape (n,) or (n, 1).
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: new axes in a figure of their own.
    class_names : sequence or mapping of str, optional
        The name of class k is ``class_names[k]``; default "class k".
    xlabel, ylabel, title : str, optional
        What stands at the axes, and above them. Name the units where there are some, as in ``"width (cm)"``.
    size : float, optional
        Area of a marker in square points; default 30, and the less the more there are beyond 1,000 points.

    Returns
    -------
    matplotlib.axes.Axes
        Its ``figure`` is the whole picture; :func:`portanet.plot.save` writes it.

    Raises
    ------
    ShapeError
        If x is not of shape (n, 2) or y has not one class for each point.
    DataError
        If there are no points, one is not finite, a class is no whole number, or has no name in ``class_names``.

    Examples
    --------
    >>> axes = pn.plot.points([[0.0, 1.0], [1.0, 0.0]], [0, 1], class_names=["cat", "dog"])
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['cat', 'dog']
    """
    places, classes = plane_points(x), class_numbers(y)
    check_lengths(places, classes)
    names = name_classes(sorted(set(classes.tolist())), class_names)
    own = ax is None
    if own:
        ax = new_axes()
    size = size or marker_size(len(places))
    draw_points(ax, places, classes, names, size)
    finish_points(ax, own, xlabel, ylabel, title, size)
    return ax


def plane_points(x: Array) -> Any:
    """The points as a host array of shape (n, 2)."""
    places = host_numbers("x", x)
    if places.ndim != 2 or places.shape[1] != 2:
        raise ShapeError(
            f"x: expected points in the plane, shape (n, 2), got shape {places.shape}. Choose two columns."
        )
    if places.shape[0] == 0:
        raise DataError("x: expected at least one point, got none.")
    if not places.__array_namespace__().isfinite(places).all():
        raise DataError(
            "x: a coordinate is NaN or infinite, and has no place in a picture. Leave such points out."
        )
    return places


def class_numbers(y: Array, name: str = "y") -> Any:
    """Classes as a host array of integers, shape (n,)."""
    classes = host_numbers(name, y)
    if classes.ndim == 2 and classes.shape[1] == 1:
        classes = classes[:, 0]
    if classes.ndim != 1:
        raise ShapeError(
            f"{name}: expected one class for each point, shape (n,) or (n, 1), got shape {classes.shape}. "
            "For scores or one-hot rows take portanet.argmax(y, axis=1)."
        )
    xp = classes.__array_namespace__()
    whole = xp.isfinite(classes) & (classes == xp.floor(classes))
    if not whole.all():
        raise DataError(f"{name}: expected whole numbers as classes, got {classes[~whole][0]}.")
    return classes.astype("int64")


def check_lengths(places: Any, classes: Any) -> None:
    """Raise unless there is a class for each point."""
    if len(places) != len(classes):
        raise ShapeError(
            f"y: expected one class for each of the {len(places)} points of x, got {len(classes)}."
        )


def name_classes(classes: Sequence[int], given: ClassNames | None) -> dict[int, str]:
    """The name of each class."""
    if given is None:
        return {k: f"class {k}" for k in classes}
    known = given if isinstance(given, Mapping) else dict(enumerate(given))
    for k in classes:
        if k not in known:
            raise DataError(
                f"class_names: class {k} occurs and has no name; names are given for {sorted(known)}."
            )
    return {k: str(known[k]) for k in classes}


def draw_points(ax: Any, places: Any, classes: Any, names: Mapping[int, str], size: float) -> None:
    """Draw the points of each class, with its label."""
    rounds = 1 if len(places) <= MANY else 20  # of many points no class may hide the others: they take turns
    for turn in range(rounds):
        for k, name in names.items():
            members = places[classes == k][turn::rounds]
            if not len(members):
                continue
            ax.scatter(
                members[:, 0],
                members[:, 1],
                s=size,
                color=COLOURS[k % len(COLOURS)],
                marker=MARKERS[k % len(MARKERS)],
                edgecolors="black",
                linewidths=0.5 * stroke(size),
                label=None if turn else name,
                zorder=3,
            )


def marker_size(count: int, usual: float = 30.0) -> float:
    """The area of a marker in square points, among so many."""
    size: float = usual / max(1.0, count / 1000) ** 0.5
    return size


def stroke(size: float) -> float:
    """How wide lines are around markers, as a share of the usual: small ones would be all line."""
    return min(1.0, size / 20)


def finish_points(ax: Any, own: bool, xlabel: str, ylabel: str, title: str | None, size: float) -> None:
    """Name the axes and place the legend: beside a picture of our own, inside somebody else's."""
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if title:
        ax.set_title(title)
    place_legend(ax, beside=own, spare=1.2, marker_scale=max(1.0, 30 / size) ** 0.5)
