"""Tables of numbers as CSV files."""

from __future__ import annotations

import codecs
import csv
import math
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from portanet.checks import whole_number
from portanet.data.readers.paths import ArraysOfFile, require_file
from portanet.dtypes import DType, float16, float32, float64
from portanet.errors import DataError, DTypeError, OptionError

__all__ = ["CSVDataset"]

Column = str | int
FLOATING = (float16, float32, float64)
EXACT = 2**53
"""Below it each whole number is a float64, as which cells are read."""


class CSVDataset(ArraysOfFile):
    r"""The rows of a CSV file: features as one array, and the target if there is one. Empty lines are passed over.

    Parameters
    ----------
    path : str or path
        The file.
    columns : sequence of str or int, optional
        Which columns are features, by name or by number from 0; default: all but the target.
    target : str or int, optional
        Which column is to be predicted.
    classes : bool or sequence of str, default False
        Whether the target is text that names classes, which become integers: True for the distinct texts that occur,
        whole numbers in their order and text in alphabetical order; or the names themselves, in this order.
    header : bool, default True
        Whether the first row names the columns.
    missing : float, optional
        What an empty cell of a feature becomes, or one that says ``nan``; default: such a cell is an error.
    dtype : DType, default float32
        Of the features.
    target_dtype : DType, default float32
        Of a target that is no class; an integer type takes whole numbers only, below 2**53.
    delimiter : str, default ","
        What stands between cells.
    encoding : str, default "utf-8-sig"
        Of the file; this one is UTF-8 with or without a mark of byte order.

    Attributes
    ----------
    feature_names : list of str
        Names of the columns of the first array.
    target_name : str or None
        Name of the target.
    classes : list of str or None
        Class ``i`` is ``classes[i]``.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    DataError
        If a column does not exist, a row has too many or too few cells, a cell is no number, or a class is not among
        those given; names the file and the line.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "flowers.csv")
    ...     _ = path.write_text("length,width,kind\n5.1,3.5,rose\n4.9,3.0,lily\n")
    ...     flowers = pn.data.CSVDataset(path, target="kind", classes=True)
    >>> flowers.feature_names, flowers.classes, flowers[1]
    (['length', 'width'], ['lily', 'rose'], (Tensor([4.9, 3. ]), Tensor(0)))
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        columns: Sequence[Column] | None = None,
        target: Column | None = None,
        classes: bool | Sequence[str] = False,
        header: bool = True,
        missing: float | None = None,
        dtype: DType = float32,
        target_dtype: DType = float32,
        delimiter: str = ",",
        encoding: str = "utf-8-sig",
    ) -> None:
        file = require_file(path)
        wanted = None if columns is None else _columns("columns", columns)
        wanted_target = None if target is None else _columns("target", [target])[0]
        names: bool | list[str] = _checked_classes(classes, target)
        _check_format(delimiter, encoding)
        _check_types(dtype, target_dtype)
        if missing is not None and (not isinstance(missing, Real) or isinstance(missing, bool)):
            raise OptionError(f"missing: expected a number, got {missing!r}.")
        table = _Table(file, wanted, wanted_target, header, names is not False)
        table.read(delimiter, encoding)
        self.feature_names = [table.names[place] for place in table.places]
        self.target_name = None if table.target is None else table.names[table.target]
        self.classes: list[str] | None = None
        features = table.features(missing, dtype)
        if table.target is None:
            super().__init__(file, features)
            return
        if names is not False:
            self.classes, targets = table.numbered(None if names is True else names)
        else:
            targets = table.target_numbers(target_dtype)
        super().__init__(file, features, targets)


class _Table:
    """The cells of a file that are wanted, and on which line each row stands."""

    def __init__(
        self, file: Path, columns: list[Column] | None, target: Column | None, header: bool, texts: bool
    ) -> None:
        self.file = file
        self.wanted = columns
        self.wanted_target = target
        self.header = header
        self.texts = texts
        self.names: list[str] = []
        self.places: list[int] = []
        self.target: int | None = None
        self.values = array("d")
        self.target_values = array("d")
        self.target_texts: list[str] = []
        self.lines = array("q")

    def read(self, delimiter: str, encoding: str) -> None:
        try:
            with self.file.open(encoding=encoding, newline="") as lines:
                reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
                self._read_rows(reader)
        except UnicodeError as error:
            raise DataError(f"{_undecodable(self.file, encoding, error)} Pass encoding=.") from None
        except csv.Error as error:
            raise DataError(
                f"{self.file}, line {reader.line_num}: is not a row of a CSV file ({error})."
            ) from None
        if not self.lines:
            raise DataError(f"{self.file}: expected rows of data, found none.")

    def _read_rows(self, reader: Any) -> None:
        rows: Iterator[list[str]] = (row for row in reader if row)
        first = next(rows, None)
        if first is None:
            raise DataError(f"{self.file}: is empty.")
        self.names = [name.strip() for name in first] if self.header else [str(i) for i in range(len(first))]
        self._choose()
        width, target = len(self.names), self.target
        for row in rows if self.header else chain([first], rows):
            line = reader.line_num
            if len(row) != width:
                raise DataError(
                    f"{self.file}, line {line}: expected {width} cells, got {len(row)}. A cell that "
                    "contains the delimiter must stand in quotes."
                )
            self.values.extend(self._features([row[place] for place in self.places], line))
            if target is not None:
                if self.texts:
                    self.target_texts.append(row[target].strip())
                else:
                    self.target_values.append(self._label(row[target], target, line))
            self.lines.append(line)

    def _choose(self) -> None:
        if self.wanted_target is not None:
            self.target = self._place(self.wanted_target, "target")
        if self.wanted is None:
            self.places = [place for place in range(len(self.names)) if place != self.target]
        else:
            self.places = [self._place(column, "columns") for column in self.wanted]
        if not self.places:
            raise DataError(f"{self.file}: expected at least one column of features, got none.")

    def _place(self, column: Column, argument: str) -> int:
        count = len(self.names)
        if isinstance(column, int):
            if -count <= column < count:
                return column % count
            raise DataError(f"{self.file}: {argument}: there are {count} columns, and no number {column}.")
        times = self.names.count(column) if self.header else 0
        if times == 1:
            return self.names.index(column)
        if times:
            raise DataError(
                f"{self.file}: {argument}: {times} columns are called {column!r}. Choose by number."
            )
        from difflib import get_close_matches

        close = get_close_matches(column, self.names, 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        have = ", ".join(repr(name) for name in self.names[:20]) + (", ..." if count > 20 else "")
        raise DataError(
            f"{self.file}: {argument}: there is no column {column!r}; the file has {have}.{hint}"
            if self.header
            else f"{self.file}: {argument}: columns have numbers where header=False, got {column!r}."
        )

    def _where(self, line: int, place: int) -> str:
        return f"{self.file}, line {line}, column {self.names[place]!r}"

    def _features(self, cells: list[str], line: int) -> list[float]:
        if "_" not in "".join(cells):
            with suppress(ValueError):  # the cell that is no number is looked for below
                return [float(cell) for cell in cells]
        return [self._feature(cell, place, line) for cell, place in zip(cells, self.places, strict=True)]

    def _feature(self, cell: str, place: int, line: int) -> float:
        value = _number(cell) if cell.strip() else math.nan
        if value is None:
            raise DataError(
                f"{self._where(line, place)}: expected a number, got {_shortened(cell)}. Choose other columns= or "
                "mend the cell."
            )
        return value

    def _label(self, cell: str, place: int, line: int) -> float:
        value = _number(cell)
        if value is None or not math.isfinite(value):
            raise DataError(
                f"{self._where(line, place)}: expected a label that is a number, got {_shortened(cell)}. Pass "
                "classes=True if labels are names."
            )
        return value

    def features(self, missing: float | None, dtype: DType) -> Any:
        values = np.array(self.values).reshape(len(self.lines), len(self.places))
        gaps = np.isnan(values)
        if missing is not None:
            values[gaps] = missing
        converted = _converted(values, dtype)
        wrong = ~np.isfinite(converted)
        if missing is not None:
            wrong &= ~gaps
        if wrong.any():
            row, column = np.argwhere(wrong)[0].tolist()
            where = self._where(self.lines[row], self.places[column])
            if gaps[row, column]:
                raise DataError(
                    f"{where}: expected a number, found none. Pass missing= with what it stands for."
                )
            value = values[row, column]
            expected = "a finite number" if np.isinf(value) else f"a number that {dtype.name} holds"
            raise DataError(f"{where}: expected {expected}, got {value}.")
        return converted

    def target_numbers(self, dtype: DType) -> Any:
        values = np.array(self.target_values)
        converted = _converted(values, dtype)
        if dtype.is_floating:
            wrong, kind = np.isinf(converted), "number"
        else:
            wrong, kind = (converted != values) | (np.abs(values) >= EXACT), "whole number below 2**53"
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            assert self.target is not None
            raise DataError(
                f"{self._where(self.lines[row], self.target)}: expected a {kind} that {dtype.name} holds, got "
                f"{values[row]:.17g}."
            )
        return converted

    def numbered(self, names: list[str] | None) -> tuple[list[str], Any]:
        assert self.target is not None
        if "" in self.target_texts:
            line = self.lines[self.target_texts.index("")]
            raise DataError(f"{self._where(line, self.target)}: expected the name of a class, found none.")
        if names is None:
            names = sorted(set(self.target_texts), key=_rank)
        numbers = {name: number for number, name in enumerate(names)}
        try:
            return names, np.array([numbers[text] for text in self.target_texts], dtype="int64")
        except KeyError as error:
            line = self.lines[self.target_texts.index(error.args[0])]
            raise DataError(
                f"{self._where(line, self.target)}: expected one of the classes {', '.join(names[:20])}, got "
                f"{_shortened(error.args[0])}."
            ) from None


def _number(cell: str) -> float | None:
    """What a cell says, if it is a number; 1_000 is one in Python's source, and a name or a code in a table."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _converted(values: Any, dtype: DType) -> Any:
    """Values in a data type; those that it does not hold become others, which the caller looks for."""
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(dtype.name)


def _rank(text: str) -> tuple[bool, int, str]:
    """Whole numbers come first, in their order."""
    try:
        return (False, int(text), text)
    except ValueError:
        return (True, 0, text)


def _shortened(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else cell[:37] + "...")


def _undecodable(file: Path, encoding: str, error: UnicodeError) -> str:
    """What is said of a file that is no text, with the line; the error itself counts from a piece of the file."""
    try:
        file.read_bytes().decode(encoding)
    except UnicodeDecodeError as whole:
        line = whole.object[: whole.start].count(b"\n") + 1
        return f"{file}, line {line}: is not text in {encoding} ({whole.reason})."
    except UnicodeError as whole:
        error = whole
    return f"{file}: is not text in {encoding} ({error})."


def _columns(argument: str, columns: Any) -> list[Column]:
    if isinstance(columns, str):
        raise OptionError(
            f"columns: expected a list of columns, got the text {columns!r}. Pass [{columns!r}]."
        )
    try:
        return [column if isinstance(column, str) else whole_number("", column) for column in columns]
    except (TypeError, OptionError):
        raise OptionError(f"{argument}: expected names or numbers of columns, got {columns!r}.") from None


def _checked_classes(classes: Any, target: Any) -> Any:
    if classes is not False and target is None:
        raise OptionError("classes: they belong to a target; say which column with target=.")
    if isinstance(classes, bool):
        return classes
    names = [] if isinstance(classes, str) or not isinstance(classes, Iterable) else list(classes)
    if not names or len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
        raise OptionError(f"classes: expected True or a list of distinct names, got {classes!r}.")
    return names


def _check_format(delimiter: Any, encoding: str) -> None:
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        raise OptionError(
            f"delimiter: expected one character, no quote and no end of line, got {delimiter!r}."
        )
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise OptionError(f"encoding: expected the name of an encoding, got {encoding!r}.") from None


def _check_types(dtype: Any, target_dtype: Any) -> None:
    if dtype not in FLOATING:
        raise DTypeError(f"dtype: expected portanet.float16, float32 or float64 for features, got {dtype!r}.")
    if target_dtype not in FLOATING and getattr(target_dtype, "kind", "").split()[-1:] not in (
        ["integer"],
        ["bool"],
    ):
        raise DTypeError(
            f"target_dtype: expected a type of real numbers, integers or bool, got {target_dtype!r}."
        )
