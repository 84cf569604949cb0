"""Tables of numbers as CSV files."""

from __future__ import annotations

import csv
import math
import os
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portanet.data.readers.paths import ArraysOfFile, require_file
from portanet.dtypes import DType, float32
from portanet.errors import DataError, DTypeError, OptionError

__all__ = ["CSVDataset"]

Column = str | int


class CSVDataset(ArraysOfFile):
    r"""The rows of a CSV file: features as one array, and the target if there is one.

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
        Of a target that is no class; an integer type takes whole numbers only.
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
        _check_options(columns, target, classes, delimiter, dtype)
        table = _Table(file, columns, target, header, bool(classes))
        table.read(delimiter, encoding)
        self.feature_names = [table.names[place] for place in table.places]
        self.target_name = None if table.target is None else table.names[table.target]
        self.classes: list[str] | None = None
        features = table.features(missing).astype(dtype.name)
        if table.target is None:
            super().__init__(file, features)
            return
        if classes is not False:
            self.classes, targets = table.numbered(None if classes is True else list(classes))
        else:
            targets = table.target_numbers(target_dtype)
        super().__init__(file, features, targets)


class _Table:
    """The cells of a file that are wanted, and on which line each row stands."""

    def __init__(
        self, file: Path, columns: Sequence[Column] | None, target: Column | None, header: bool, texts: bool
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
        except UnicodeDecodeError as error:
            raise DataError(
                f"{self.file}: is not text in {encoding} ({error.reason} at byte {error.start}). Pass encoding=."
            ) from None
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
        width = len(self.names)
        places, target, texts = self.places, self.target, self.texts
        extend, add_line = self.values.extend, self.lines.append
        row: list[str] | None = next(rows, None) if self.header else first
        while row is not None:
            if len(row) != width:
                raise DataError(
                    f"{self.file}, line {reader.line_num}: expected {width} cells, got {len(row)}. A cell that "
                    "contains the delimiter must stand in quotes."
                )
            try:
                extend([float(row[place]) for place in places])
            except ValueError:
                del self.values[len(self.lines) * len(places) :]
                extend([self._feature(row[place], place, reader.line_num) for place in places])
            if target is not None:
                if texts:
                    self.target_texts.append(row[target].strip())
                else:
                    self.target_values.append(self._label(row[target], target, reader.line_num))
            add_line(reader.line_num)
            row = next(rows, None)

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

    def _feature(self, cell: str, place: int, line: int) -> float:
        if not cell.strip():
            return math.nan
        try:
            return float(cell)
        except ValueError:
            raise DataError(
                f"{self._where(line, place)}: expected a number, got {_shortened(cell)}. Choose other columns= or "
                "mend the cell."
            ) from None

    def _label(self, cell: str, place: int, line: int) -> float:
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            return value
        raise DataError(
            f"{self._where(line, place)}: expected a label that is a number, got {_shortened(cell)}. Pass "
            "classes=True if labels are names."
        )

    def features(self, missing: float | None) -> Any:
        values = np.array(self.values).reshape(len(self.lines), len(self.places))
        wrong = ~np.isfinite(values)
        if missing is not None:
            values[np.isnan(values)] = missing
            wrong = np.isinf(values) & ~np.isinf(missing)
        if wrong.any():
            row, column = np.argwhere(wrong)[0].tolist()
            where = self._where(self.lines[row], self.places[column])
            if np.isnan(values[row, column]):
                raise DataError(
                    f"{where}: expected a number, found none. Pass missing= with what it stands for."
                )
            raise DataError(f"{where}: expected a finite number, got {values[row, column]}.")
        return values

    def target_numbers(self, dtype: DType) -> Any:
        values = np.array(self.target_values)
        if dtype.kind.endswith("integer"):
            limits = np.iinfo(dtype.name)
            wrong = (values != np.floor(values)) | (values < limits.min) | (values > limits.max)
            if wrong.any():
                row = int(np.flatnonzero(wrong)[0])
                assert self.target is not None
                raise DataError(
                    f"{self._where(self.lines[row], self.target)}: expected a whole number that {dtype.name} holds, "
                    f"got {values[row]:g}."
                )
        return values.astype(dtype.name)

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


def _rank(text: str) -> tuple[bool, int, str]:
    """Whole numbers come first, in their order."""
    is_number = text.lstrip("+-").isascii() and text.lstrip("+-").isdigit()
    return (not is_number, int(text) if is_number else 0, text)


def _shortened(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else cell[:37] + "...")


def _check_options(columns: Any, target: Any, classes: Any, delimiter: Any, dtype: DType) -> None:
    if isinstance(columns, str):
        raise OptionError(
            f"columns: expected a list of columns, got the text {columns!r}. Pass [{columns!r}]."
        )
    for column in [*(columns or ()), *(() if target is None else (target,))]:
        if not isinstance(column, (str, int)) or isinstance(column, bool):
            raise OptionError(f"columns, target: expected names or numbers of columns, got {column!r}.")
    if classes is not False and target is None:
        raise OptionError("classes: they belong to a target; say which column with target=.")
    if isinstance(classes, str) or (not isinstance(classes, bool) and len(set(classes)) != len(classes)):
        raise OptionError(f"classes: expected True or a list of distinct names, got {classes!r}.")
    if not isinstance(delimiter, str) or len(delimiter) != 1:
        raise OptionError(f"delimiter: expected one character, got {delimiter!r}.")
    if not dtype.is_floating:
        raise DTypeError(f"dtype: expected a floating-point type for features, got {dtype.name}.")
