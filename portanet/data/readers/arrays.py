"""NumPy's own files: several arrays in an archive, and single ones that are mapped into memory."""

from __future__ import annotations

import lzma
import mmap
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portanet.data.dataset import Dataset
from portanet.data.readers.paths import ArraysOfFile, native_order, require_file
from portanet.errors import DataError, OptionError
from portanet.tensor import Tensor, asarray

__all__ = ["MappedDataset", "NPZDataset"]


class NPZDataset(ArraysOfFile):
    """Arrays of a ``.npz`` file, whose samples lie along the first axis.

    Parameters
    ----------
    path : str or path
        The file.
    names : sequence of str, optional
        Which arrays, in this order; default: all, in the file's order.

    Attributes
    ----------
    names : list of str
        What the arrays are called.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    DataError
        If it is damaged, lacks an array, or its arrays are of different length or hold Python objects.

    Examples
    --------
    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/data.npz", images=np.zeros((3, 4)), labels=np.arange(3))
    ...     dataset = pn.data.NPZDataset(f"{folder}/data.npz", ["images", "labels"])
    >>> len(dataset), dataset[2][1]
    (3, Tensor(2))
    """

    def __init__(self, path: str | os.PathLike[str], names: Sequence[str] | None = None) -> None:
        if isinstance(names, str):
            raise OptionError(f"names: expected a list of names, got the text {names!r}. Pass [{names!r}].")
        file = require_file(path)
        try:
            with file.open("rb") as content:
                archive = np.load(content, allow_pickle=False)
                if not isinstance(archive, np.lib.npyio.NpzFile):
                    raise DataError(
                        f"{file}: is one array and not an archive of several. Use MappedDataset for .npy files."
                    )
                with archive:
                    self.names = list(archive.files if names is None else names)
                    arrays = [_read(file, archive, name) for name in self.names]
        except DataError:
            raise
        except _DAMAGES as error:
            raise DataError(f"{file}: is damaged or is not a .npz file ({_said(error)}).") from None
        super().__init__(file, *arrays)


def _read(file: Path, archive: Any, name: str) -> Any:
    if name not in archive.files:
        have = ", ".join(repr(known) for known in archive.files) or "none"
        raise DataError(f"{file}: names: there is no array {name!r}; the file has {have}.")
    try:
        array = archive[name]
    except _DAMAGES as error:
        raise DataError(f"{file}: array {name!r} cannot be read ({_said(error)}).") from None
    return native_order(_numeric(file, array, f"array {name!r}"))


class MappedDataset(Dataset):
    """Arrays of ``.npy`` files, which may be larger than memory: a batch reads its own rows and no others.

    Parameters
    ----------
    *paths : str or path
        The files; samples lie along the first axis of each.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DataError
        If a file is damaged or shorter than its header says, holds Python objects, or the lengths differ.

    Notes
    -----
    A worker process opens the files itself. Rows in random order are read in the order in which they lie, and then
    put into theirs. The files must not be cut while they are in use.

    Examples
    --------
    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/x.npy", np.arange(6.0).reshape(3, 2))
    ...     pn.data.MappedDataset(f"{folder}/x.npy").batch(slice(1, 3))
    (Tensor([[2., 3.],
           [4., 5.]], dtype=float64),)
    """

    draws = False

    def __init__(self, *paths: str | os.PathLike[str]) -> None:
        if not paths:
            raise DataError("paths: expected at least one file, got none.")
        self.paths = [require_file(path).resolve() for path in paths]
        self._open()

    def _open(self) -> None:
        self._files = [_MappedArray(path) for path in self.paths]
        lengths = [len(file.array) for file in self._files]
        if len(set(lengths)) > 1:
            told = ", ".join(f"{path}: {length}" for path, length in zip(self.paths, lengths, strict=True))
            raise DataError(f"paths: expected the same number of samples in each file, got {told}.")
        self._length = lengths[0]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(asarray(native_order(np.array(file.array[index]))) for file in self._files)

    def batch(self, indices: Any) -> tuple[Tensor, ...]:
        """The samples at the given numbers, as Tensors of the backend in use."""
        if isinstance(indices, slice):
            return tuple(asarray(file.stretch(indices)) for file in self._files)
        ascending = np.argsort(indices, kind="stable")
        back = np.empty_like(ascending)
        back[ascending] = np.arange(len(ascending))
        in_file = np.asarray(indices)[ascending]
        return tuple(asarray(file.scattered(in_file)[back]) for file in self._files)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_files"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()


class _MappedArray:
    """An array over a file, and what the system is told of how it will be read."""

    def __init__(self, path: Path) -> None:
        try:
            header = np.load(path, mmap_mode="r", allow_pickle=False)
            if isinstance(header, np.lib.npyio.NpzFile):
                header.close()
                raise DataError(
                    f"{path}: is an archive of arrays, which cannot be mapped. Use NPZDataset, or save with "
                    "numpy.save."
                )
            with path.open("rb") as file:
                self.mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self.in_rows = bool(header.flags.c_contiguous)
            self.start = int(header.offset)
            self.array: Any = np.ndarray(
                header.shape,
                header.dtype,
                buffer=self.mapping,
                offset=self.start,
                order="C" if self.in_rows else "F",
            )
        except DataError:
            raise
        except _DAMAGES as error:
            raise DataError(f"{path}: is damaged or is not a .npy file ({_said(error)}).") from None
        if not self.array.ndim:
            raise DataError(f"{path}: is a single number; samples lie along the first axis.")
        _numeric(path, self.array, "the array")
        self.scatters = False

    def stretch(self, rows: slice) -> Any:
        """Rows that follow each other, copied."""
        self._expect_scatter(False)
        return native_order(np.array(self.array[rows]))

    def scattered(self, rows: Any) -> Any:
        """Rows of ascending numbers, copied.

        By itself the system would read far ahead of each, up to megabytes; it is told which rows to read, all at once.
        """
        if self.in_rows and hasattr(mmap, "MADV_WILLNEED"):
            self._expect_scatter(True)
            length = self.array.strides[0]
            for row in np.unique(rows[rows >= 0]).tolist():
                begin = self.start + row * length
                page = begin - begin % mmap.PAGESIZE
                if row < len(self.array):
                    self.mapping.madvise(mmap.MADV_WILLNEED, page, begin + length - page)
        return native_order(self.array[rows])

    def _expect_scatter(self, scatters: bool) -> None:
        if scatters != self.scatters and hasattr(mmap, "MADV_RANDOM"):
            self.mapping.madvise(mmap.MADV_RANDOM if scatters else mmap.MADV_NORMAL)
            self.scatters = scatters


# What numpy and zipfile raise on damaged files, down to headers that ask for more memory than there is.
_DAMAGES = (
    *(
        ValueError,
        TypeError,
        KeyError,
        EOFError,
        OSError,
        MemoryError,
        OverflowError,
        SyntaxError,
        RuntimeError,
    ),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, lzma.LZMAError),
)


def _said(error: BaseException) -> str:
    if "allow_pickle" in str(error):  # in either case numpy proposes to load it with pickle
        if "Object" in str(error):
            return "it holds Python objects, which are never loaded: they may run code"
        return "it begins like neither"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _numeric(file: Path, array: Any, what: str) -> Any:
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > 8 * (1 + (array.dtype.kind == "c")):
        raise DataError(f"{file}: {what} holds {array.dtype}, not numbers of a type that portanet has.")
    return array
