"""Points of many dimensions, seen in two."""

from __future__ import annotations

from statistics import median
from typing import Any

from portanet.dtypes import Device, float64
from portanet.errors import DataError, ShapeError
from portanet.functions.inspection import to_host
from portanet.linalg import svd
from portanet.plot.figure import host_numbers, matplotlib_module
from portanet.plot.plane import ClassNames, class_numbers, marker_size, name_classes, points
from portanet.protocols import Array
from portanet.tensor import asarray

__all__ = ["embedding"]


def embedding(
    x: Array,
    y: Array,
    ax: Any = None,
    *,
    class_names: ClassNames | None = None,
    labels: bool = True,
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
    size: float | None = None,
) -> Any:
    """Draw points by class, with each class's name where its middle is; more than two dimensions become two by PCA.

    Parameters
    ----------
    x : array
        The points, shape (n, dimensions) with at least two dimensions. Of more, the two principal components are
        drawn: the plane in which the points differ most.
    y : array
        Their classes as whole numbers, shape (n,) or (n, 1).
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: new axes in a figure of their own.
    class_names : sequence or mapping of str, optional
        The name of class k is ``class_names[k]``; default its number.
    labels : bool, default True
        Whether the name of a class stands at the median of its points, too.
    xlabel, ylabel : str, optional
        What stands at the axes; default the names of the coordinates or components, with their share of the variance.
    title : str, optional
        What stands above them.
    size : float, optional
        Area of a marker in square points; default 22, and the less the more there are beyond 1,000 points.

    Returns
    -------
    matplotlib.axes.Axes
        Its ``figure`` is the whole picture; :func:`portanet.plot.save` writes it.

    Raises
    ------
    ShapeError
        If x has fewer than two dimensions, or y not one class for each point.
    DataError
        If there are no points, or one is not finite.

    Examples
    --------
    >>> x, y = pn.random.normal((20, 5)), pn.asarray([0, 1] * 10)
    >>> axes = pn.plot.embedding(x, y, class_names=["cat", "dog"])
    >>> [text.get_text() for text in axes.texts]
    ['cat', 'dog']
    """
    places = host_numbers("x", x)
    if places.ndim != 2 or places.shape[1] < 2:
        raise ShapeError(
            f"x: expected shape (n, dimensions) with at least two dimensions, got {places.shape}. "
            "Flatten other axes with x.reshape(len(x), -1)."
        )
    if not len(places):
        raise DataError("x: expected at least one point, got none.")
    axis_names = ["first coordinate", "second coordinate"]
    if places.shape[1] > 2:
        xp = places.__array_namespace__()
        if not xp.isfinite(places).all():
            raise DataError(
                "x: a coordinate is NaN or infinite, and has no place in a picture. Leave such points out."
            )
        places, parts = _principal(places)
        axis_names = [
            f"{which} principal component ({part:.0%} of the variance)"
            for which, part in zip(("first", "second"), parts, strict=True)
        ]
    classes = class_numbers(y)
    names = class_names if class_names is not None else {k: str(k) for k in classes.tolist()}
    ax = points(
        places,
        classes,
        ax,
        class_names=names,
        xlabel=xlabel or axis_names[0],
        ylabel=ylabel or axis_names[1],
        title=title,
        size=size or marker_size(len(places), usual=22.0),
    )
    if labels:
        offset_copy = matplotlib_module("transforms").offset_copy
        box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "grey", "alpha": 0.85}
        for k, name in name_classes(sorted(set(classes.tolist())), names).items():
            of_class = places[classes == k]
            middle = [median(column) for column in of_class.T.tolist()]
            # A single point would be hidden.
            place = (
                ax.transData
                if len(of_class) > 1
                else offset_copy(ax.transData, ax.figure, y=12, units="points")
            )
            ax.text(
                *middle, name, transform=place, ha="center", va="center", weight="bold", bbox=box, zorder=5
            )
    return ax


def _principal(places: Any) -> tuple[Any, tuple[float, float]]:
    """The two principal components, shape (n, 2), and their shares of the variance.

    Of each direction its opposite would do as well; the one is taken whose largest entry is positive, so that the
    picture is the same on every machine.
    """
    centred = asarray(places - places.mean(axis=0), dtype=float64, device=Device("numpy", "cpu"))
    _, spreads, directions = (to_host(part) for part in svd(centred, full_matrices=False))
    xp = places.__array_namespace__()
    variances = spreads * spreads
    total = float(variances.sum()) or 1.0
    shares = [float(part) / total for part in variances[:2]] + [0.0, 0.0]
    chosen = directions[:2]
    largest = xp.take_along_axis(chosen, abs(chosen).argmax(axis=1)[:, None], axis=1)
    components = to_host(centred) @ (chosen * xp.where(largest < 0, -1.0, 1.0)).T
    if components.shape[1] < 2:  # a single point
        components = xp.concat([components, xp.zeros_like(components)], axis=1)
    return components, (shares[0], shares[1])
