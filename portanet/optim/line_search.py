"""A line search for the strong Wolfe conditions, on the host."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

from portanet.protocols import Array

__all__ = ["Point", "strong_wolfe"]

ENOUGH_DECREASE = 1e-4
ENOUGH_FLATTENING = 0.9


class Point(NamedTuple):
    """What is known at one place along the line."""

    t: float
    """How far along the direction it is."""
    loss: float
    gradient: Array
    slope: float
    """The derivative along the direction."""


def _cubic_minimum(a: Point, b: Point, low: float, high: float) -> float:
    """Where the cubic through two points with their slopes is least, between ``low`` and ``high``.

    It is the middle of these where the cubic has no minimum (Nocedal and Wright, "Numerical optimization", (3.59)).
    """
    left, right = (a, b) if a.t <= b.t else (b, a)
    width = right.t - left.t
    bend = left.slope + right.slope - 3 * (left.loss - right.loss) / -width if width else float("nan")
    square = bend * bend - left.slope * right.slope
    if not square >= 0:
        return (low + high) / 2
    root = sqrt(square)
    denominator = right.slope - left.slope + 2 * root
    if denominator == 0:
        return (low + high) / 2
    return min(max(right.t - width * ((right.slope + root - bend) / denominator), low), high)


def strong_wolfe(
    evaluate: Callable[[float], Point],
    start: Point,
    t: float,
    longest: float,
    tolerance_change: float,
    steps: int,
) -> tuple[Point, int]:
    """Find a point where the loss has come down enough and its slope is flat enough.

    First it goes along the line until two points have such a one between them, then it narrows them down by
    minima of cubics (Nocedal and Wright, "Numerical optimization", algorithms 3.5 and 3.6; safeguards as in
    Schmidt's minFunc).

    Parameters
    ----------
    evaluate : callable
        The point at a distance along the direction.
    start : Point
        The point at distance 0.
    t : float
        Distance of the first trial.
    longest : float
        The largest element of the direction.
    tolerance_change : float
        Stop once no element can move by as much.
    steps : int
        Trials after the first one, at most.

    Returns
    -------
    tuple
        The best point, and the number of evaluations.
    """

    def too_high(point: Point) -> bool:
        return point.loss > start.loss + ENOUGH_DECREASE * point.t * start.slope

    def flat(point: Point) -> bool:
        return abs(point.slope) <= -ENOUGH_FLATTENING * start.slope

    previous, now, done = start, evaluate(t), 0
    while done < steps:
        if too_high(now) or (done > 1 and now.loss >= previous.loss):
            break
        if flat(now):
            return now, done + 1
        if now.slope >= 0:
            break
        t = _cubic_minimum(previous, now, now.t + 0.01 * (now.t - previous.t), 10 * now.t)
        previous, now, done = now, evaluate(t), done + 1
    else:
        previous = start

    ends = [previous, now]
    best = 0 if ends[0].loss <= ends[1].loss else 1
    stuck = False
    while done < steps:
        low, high = sorted((ends[0].t, ends[1].t))
        if (high - low) * longest < tolerance_change:
            break
        t = _cubic_minimum(ends[0], ends[1], low, high)
        margin = 0.1 * (high - low)
        near_an_end = min(high - t, t - low) < margin
        if near_an_end and (stuck or t >= high or t <= low):
            t = high - margin if abs(t - high) < abs(t - low) else low + margin
            near_an_end = False
        stuck = near_an_end
        now, done = evaluate(t), done + 1
        if too_high(now) or now.loss >= ends[best].loss:
            ends[1 - best] = now
            best = 0 if ends[0].loss <= ends[1].loss else 1
            continue
        if flat(now):
            return now, done + 1
        if now.slope * (ends[1 - best].t - ends[best].t) >= 0:
            ends[1 - best] = ends[best]
        ends[best] = now
    return ends[best], done + 1
