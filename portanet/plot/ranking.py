"""How well scores tell positives from negatives, whatever the threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portanet.errors import DataError, ShapeError
from portanet.plot.figure import COLOURS, DASHES, finish_lines, host_numbers, new_axes
from portanet.protocols import Array

__all__ = ["roc_curve"]


def roc_curve(
    scores: Array | Mapping[str, Array],
    targets: Array,
    ax: Any = None,
    *,
    class_names: Sequence[str] | None = None,
    xlabel: str = "false positive rate",
    ylabel: str = "true positive rate",
    title: str | None = None,
) -> Any:
    """Draw the receiver operating characteristic, with the area under each curve in the legend.

    Parameters
    ----------
    scores : array, or mapping of str to array
        Shape (n,) or (n, 1), higher for what is more likely positive, logits or probabilities alike; a mapping draws
        one curve for each model. Shape (n, classes) draws a curve for each class against all others.
    targets : array
        True classes: 0 and 1, or numbers of classes, shape (n,) or (n, 1).
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: new axes in a figure of their own.
    class_names : sequence of str, optional
        For scores of several classes; default "class k".
    xlabel, ylabel, title : str, optional
        What stands at the axes, and above them.

    Returns
    -------
    matplotlib.axes.Axes
        Its ``figure`` is the whole picture; :func:`portanet.plot.save` writes it.

    Raises
    ------
    ShapeError
        If scores and targets do not fit together.
    DataError
        If a score is NaN, a target is not one of the classes, or there are no positives or no negatives.

    Notes
    -----
    Examples with equal scores pass the threshold together, so that a tie is a slanted line. The area is the
    probability that a positive has a higher score than a negative, where a tie counts half.

    Examples
    --------
    >>> axes = pn.plot.roc_curve([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    >>> axes.lines[0].get_label()
    'area 0.750'
    """
    truth = _column("targets", targets)
    curves: dict[str, tuple[Any, Any]] = {}
    for label, given in (scores if isinstance(scores, Mapping) else {"": scores}).items():
        name = f"scores[{label!r}]" if label else "scores"
        rows = host_numbers(name, given)
        if rows.ndim == 2 and rows.shape[1] > 1:
            names = class_names or [f"class {k}" for k in range(rows.shape[1])]
            if len(names) != rows.shape[1]:
                raise ShapeError(
                    f"class_names: expected a name for each of {rows.shape[1]} classes, got {len(names)}."
                )
            _check_classes(truth, rows.shape[1])
            for k, one in enumerate(names):
                curves[f"{label}, {one}".removeprefix(", ")] = rows[:, k], truth == k
        else:
            _check_classes(truth, 2)
            curves[label] = _column(name, rows), truth == 1
    if not curves:
        raise DataError("scores: expected at least one curve, got an empty mapping.")
    rates = {label: _rates(label, *curve) for label, curve in curves.items()}
    own = ax is None
    if own:
        ax = new_axes((5.4, 5.2))
    for k, (label, (across, up, area)) in enumerate(rates.items()):
        ax.plot(
            across,
            up,
            DASHES[k % len(DASHES)],
            color=COLOURS[k % len(COLOURS)],
            linewidth=1.8,
            label=f"{label} (area {area:.3f})" if label else f"area {area:.3f}",
            zorder=3,
        )
    ax.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle=(0, (1, 2)), label="guessing (area 0.5)")
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", anchor="W")
    finish_lines(ax, own, xlabel, ylabel, title, most_over=2)  # curves of several models are everywhere
    return ax


def _column(name: str, values: Any) -> Any:
    row = host_numbers(name, values)
    if row.ndim == 2 and row.shape[1] == 1:
        row = row[:, 0]
    if row.ndim != 1:
        raise ShapeError(f"{name}: expected shape (n,) or (n, 1), got {row.shape}.")
    return row


def _check_classes(truth: Any, count: int) -> None:
    xp = truth.__array_namespace__()
    known = (truth >= 0) & (truth < count) & (truth == xp.floor(truth))
    if not known.all():
        raise DataError(f"targets: expected whole numbers from 0 to {count - 1}, got {truth[~known][0]:g}.")


def _rates(label: str, scores: Any, positive: Any) -> tuple[Any, Any, float]:
    """False and true positive rates as the threshold falls, and the area under them."""
    if scores.shape != positive.shape:
        raise ShapeError(f"targets: expected one for each of the {len(scores)} scores, got {len(positive)}.")
    xp = scores.__array_namespace__()
    if xp.isnan(scores).any():
        raise DataError("scores: a score is NaN, which is neither high nor low. Did the training diverge?")
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        missing = "negative" if positives else "positive"
        of = f" of {label}" if label else ""
        raise DataError(f"targets: expected positives and negatives, but there is no {missing} example{of}.")
    order = xp.argsort(-scores)
    ranked, hits = scores[order], positive[order].astype("int64").cumsum()
    last = xp.concat([ranked[1:] != ranked[:-1], xp.asarray([True])])  # of each group of equal scores
    true = hits[last]
    false = xp.arange(1, len(ranked) + 1)[last] - true
    zero = xp.asarray([0])
    true, false = xp.concat([zero, true]), xp.concat([zero, false])
    # Twice the area in whole numbers, so that it is exact.
    doubled = int(((true[1:] + true[:-1]) * (false[1:] - false[:-1])).sum())
    return false / negatives, true / positives, doubled / (2 * positives * negatives)
