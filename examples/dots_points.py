"""The 175 labelled points of ``examples/dots.py``, made from a fixed recipe.

A gentle wave runs through the plane. Points above it are positive (label 1), points below it negative (label 0), and a
strip along the wave is left empty. Ten of the training points are outliers: five positive ones lie deep in the negative
region, five negative ones deep in the positive region. A network that learns the two regions gets every other point
right, so its best is 165 of 175 (accuracy 0.942857) with precision and recall 79/84. No test point is an outlier.

    python examples/dots_points.py            # counts the points, and says whether the stored ones are the same
    python examples/dots_points.py --write    # writes examples/data/dots.csv

The recipe reads the raw bits of PCG64, which NumPy keeps the same from version to version, so the points never change.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

CSV_FILE = Path(__file__).parent / "data" / "dots.csv"
SEED = 1

POSITIVES, NEGATIVES = 84, 91
OUTLIERS_PER_CLASS = 5
TEST_POINTS_PER_CLASS = 50

HALF_WIDTH = 1.0  # the points' x lies between -1 and 1
MIDDLE, WAVE = 1.0, 0.15  # the wave's height: MIDDLE + WAVE * sin(pi * x)
EMPTY_STRIP, REACH = 0.15, 0.75  # a clean point's nearest and farthest vertical distance from the wave
OUTLIER_DEPTH = 0.45  # an outlier's nearest distance: deep enough that the network cannot bend round it


class Point(NamedTuple):
    """One labelled point; ``split`` is "train" or "test"."""

    x: float
    y: float
    label: int
    split: str


class _Bits:
    """Uniform numbers in [0, 1) from the raw bits of PCG64."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def uniform(self, low: float, high: float, count: int) -> list[float]:
        numbers = [int(raw) >> 11 for raw in self._bits.random_raw(count)]
        return [low + (high - low) * (number / 2**53) for number in numbers]

    def shuffled(self, points: Sequence[Point]) -> list[Point]:
        keys = self._bits.random_raw(len(points))
        return [points[k] for k in np.argsort(keys, kind="stable")]


def wave(x: float) -> float:
    """Return the height of the true boundary at ``x``."""
    return MIDDLE + WAVE * math.sin(math.pi * x / HALF_WIDTH)


def _clean(bits: _Bits, label: int, count: int, split: str) -> list[Point]:
    """Points of one class on their own side of the wave."""
    side = 1 if label == 1 else -1
    across = bits.uniform(-HALF_WIDTH, HALF_WIDTH, count)
    distance = bits.uniform(EMPTY_STRIP, REACH, count)
    return [_point(x, wave(x) + side * d, label, split) for x, d in zip(across, distance, strict=True)]


def _outliers(bits: _Bits, label: int) -> list[Point]:
    """Points of one class on the wrong side, one in each fifth of the width so that they tilt no boundary."""
    side = -1 if label == 1 else 1
    step = 2 * HALF_WIDTH / OUTLIERS_PER_CLASS
    offset = bits.uniform(0, step, OUTLIERS_PER_CLASS)
    distance = bits.uniform(OUTLIER_DEPTH, REACH, OUTLIERS_PER_CLASS)
    across = [-HALF_WIDTH + k * step + o for k, o in enumerate(offset)]
    return [_point(x, wave(x) + side * d, label, "train") for x, d in zip(across, distance, strict=True)]


def _point(x: float, y: float, label: int, split: str) -> Point:
    return Point(round(x, 4), round(y, 4), label, split)


def make_points(seed: int = SEED) -> list[Point]:
    """Return the training points and, after them, the test points, each in a fixed random order.

    Parameters
    ----------
    seed
        Another seed gives other points by the same recipe; the stored ones have the default seed.

    Returns
    -------
    list of Point
        175 points with split "train" and 100 with split "test"; coordinates rounded to four decimals.
    """
    bits = _Bits(seed)
    train = _clean(bits, 1, POSITIVES - OUTLIERS_PER_CLASS, "train")
    train += _clean(bits, 0, NEGATIVES - OUTLIERS_PER_CLASS, "train")
    train += _outliers(bits, 1)
    train += _outliers(bits, 0)
    test = _clean(bits, 1, TEST_POINTS_PER_CLASS, "test") + _clean(bits, 0, TEST_POINTS_PER_CLASS, "test")
    return bits.shuffled(train) + bits.shuffled(test)


def as_csv(points: Sequence[Point]) -> str:
    """Return the points as CSV text with the header ``x,y,label,split``."""
    rows = [f"{p.x:.4f},{p.y:.4f},{p.label},{p.split}" for p in points]
    return "\n".join(["x,y,label,split", *rows]) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the stored points; return 0 when the stored ones are what the recipe gives."""
    parser = argparse.ArgumentParser(description="Make the points of examples/dots.py.")
    parser.add_argument("--write", action="store_true", help="write the points into examples/data/dots.csv")
    options = parser.parse_args(arguments)
    points = make_points()
    train = [p for p in points if p.split == "train"]
    positives = sum(p.label for p in train)
    print(f"{len(train)} training points: {positives} positive, {len(train) - positives} negative, ", end="")
    print(f"{2 * OUTLIERS_PER_CLASS} of them outliers; {len(points) - len(train)} clean test points")
    if options.write:
        CSV_FILE.parent.mkdir(parents=True, exist_ok=True)
        CSV_FILE.write_text(as_csv(points), encoding="utf-8", newline="\n")
        print(f"written to {CSV_FILE}")
        return 0
    same = CSV_FILE.is_file() and CSV_FILE.read_text(encoding="utf-8") == as_csv(points)
    print(f"{CSV_FILE} {'holds exactly these' if same else 'differs; --write writes it anew'}")
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
