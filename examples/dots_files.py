"""Read labelled points from .csv, .npz and .pkl files, trusting none of them."""

from __future__ import annotations

import csv
import math
import pickle
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from portanet.errors import DataError

_HEADERS = (["x", "y", "label"], ["x", "y", "label", "split"])
_LARGEST = float(np.finfo(np.float32).max)
_NPZ_ARRAYS = "an array 'points' of shape (n, 2) and an array 'labels' of shape (n,)"


class Dots(NamedTuple):
    """Labelled points; the test part is empty where the file has none.

    Attributes
    ----------
    points, test_points
        float32, shape (n, 2).
    labels, test_labels
        float32, shape (n, 1), each 0 or 1.
    """

    points: NDArray[np.float32]
    labels: NDArray[np.float32]
    test_points: NDArray[np.float32]
    test_labels: NDArray[np.float32]


def load_points(path: str | Path) -> Dots:
    """Read labelled points from a file.

    Parameters
    ----------
    path
        One of

        - ``.csv`` with the header ``x,y,label`` or ``x,y,label,split``, where split is ``train`` or ``test``;
        - ``.npz`` with ``points`` (n, 2) and ``labels`` (n,), and perhaps ``test_points`` and ``test_labels``;
        - ``.pkl``, a pickled list of ``((x, y), label)``. Nothing in it is executed: a pickle that names any function
          or class is refused.

    Raises
    ------
    DataError
        If the file is missing, damaged or empty, or holds anything but finite coordinates and labels 0 or 1.
    """
    path = Path(path)
    readers = {".csv": _read_csv, ".npz": _read_npz, ".pkl": _read_pkl}
    if path.suffix.lower() not in readers:
        raise DataError(f"points: expected a file that ends in {', '.join(readers)}, got {str(path)!r}")
    if not path.is_file():
        raise DataError(
            f"points: there is no file {str(path)!r}; give the path of a {', '.join(readers)} file"
        )
    dots = readers[path.suffix.lower()](path)
    if len(dots.points) == 0:
        raise DataError(f"points: {str(path)!r} holds no training point; give at least one")
    return dots


def _read_csv(path: Path) -> Dots:
    train: list[tuple[Any, ...]] = []
    test: list[tuple[Any, ...]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            rows = [(f"{str(path)!r}, line {lines.line_num}", row) for row in lines if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"points: {str(path)!r} is not CSV text ({error}); save it as UTF-8 CSV") from error
    header = rows[0][1] if rows else []
    if header not in _HEADERS:
        raise DataError(
            f"points: the first line of {str(path)!r} must be x,y,label or x,y,label,split, "
            f"got {reprlib.repr(','.join(header))}"
        )
    for where, row in rows[1:]:
        if len(row) != len(header):
            raise DataError(
                f"points: {where}: expected the {len(header)} columns {','.join(header)}, got {reprlib.repr(row)}"
            )
        split = row[3] if len(header) == 4 else "train"
        if split not in ("train", "test"):
            raise DataError(f"points: {where}: split must be train or test, got {reprlib.repr(split)}")
        (train if split == "train" else test).append((where, *row[:3]))
    return Dots(*_arrays(train), *_arrays(test))


def _read_npz(path: Path) -> Dots:
    try:
        # Without pickle, reading runs no code. The file is opened here because NumPy leaves a damaged one open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except (
        Exception
    ) as error:  # damaged bytes make the readers of zip files and of arrays raise nearly anything
        raise DataError(
            f"points: {str(path)!r} cannot be read as .npz ({error}); save {_NPZ_ARRAYS} with numpy.savez"
        ) from error
    parts: list[NDArray[np.float32]] = []
    for points_name, labels_name in (("points", "labels"), ("test_points", "test_labels")):
        if points_name == "test_points" and points_name not in arrays and labels_name not in arrays:
            parts += _arrays([])
            continue
        missing = [name for name in (points_name, labels_name) if name not in arrays]
        if missing:
            raise DataError(
                f"points: {str(path)!r} lacks {' and '.join(map(repr, missing))}; it holds {sorted(arrays)}; "
                f"save {_NPZ_ARRAYS}"
            )
        points, labels = arrays[points_name], arrays[labels_name]
        if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
            raise DataError(
                f"points: {str(path)!r}: expected {points_name!r} of shape (n, 2) and {labels_name!r} of shape (n,), "
                f"got {points.shape} and {labels.shape}"
            )
        rows = zip(points.tolist(), labels.tolist(), strict=True)
        parts += _arrays(
            (f"{str(path)!r}, {points_name}[{k}]", x, y, label) for k, ((x, y), label) in enumerate(rows)
        )
    return Dots(*parts)


class _PlainUnpickler(pickle.Unpickler):
    """Builds numbers, strings, tuples, lists and the like; refuses every function and class, known or not."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise DataError(
            f"points: the pickle asks for {module}.{name}, but only plain numbers, tuples and lists are read: anything "
            "else can run any code; save a list of ((x, y), label) of plain Python numbers, or an .npz file"
        )


def _read_pkl(path: Path) -> Dots:
    try:
        with path.open("rb") as file:
            content = _PlainUnpickler(file).load()
    except DataError as error:
        raise DataError(f"{error} (in {str(path)!r}; nothing was executed)") from None
    except Exception as error:  # damaged bytes make the unpickler raise nearly anything
        raise DataError(f"points: {str(path)!r} is not a whole pickle file ({error})") from error
    expected = "a list of ((x, y), label)"
    if not isinstance(content, list):
        raise DataError(f"points: {str(path)!r} must hold {expected}, it holds a {type(content).__name__}")
    rows = []
    for k, item in enumerate(content):
        where = f"{str(path)!r}, item {k}"
        try:
            point, label = item
            x, y = point
        except (TypeError, ValueError):
            raise DataError(f"points: {where}: expected ((x, y), label), got {reprlib.repr(item)}") from None
        rows.append((where, x, y, label))
    return Dots(*_arrays(rows), *_arrays([]))


def _arrays(rows: Iterable[tuple[Any, ...]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Check rows of (where, x, y, label) and return points (n, 2) and labels (n, 1)."""
    points, labels = [], []
    for where, x, y, label in rows:
        points.append([_number(value, name, where) for name, value in (("x", x), ("y", y))])
        number = _number(label, "label", where)
        if number not in (0, 1):
            raise DataError(
                f"points: {where}: label must be 0 or 1, the two classes, got {reprlib.repr(label)}"
            )
        labels.append([number])
    return np.array(points, np.float32).reshape(-1, 2), np.array(labels, np.float32).reshape(-1, 1)


def _number(value: Any, name: str, where: str) -> float:
    if isinstance(value, (str, int, float)):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if abs(number) <= _LARGEST:
            return number
    raise DataError(f"points: {where}: {name} must be a finite float32 number, got {reprlib.repr(value)}")
