"""What every reader does first: find its file."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from portanet.data.dataset import TensorDataset
from portanet.errors import DataError

__all__ = ["ArraysOfFile", "native_order", "require_file", "require_folder"]


class ArraysOfFile(TensorDataset):
    """Arrays that were read from one file, which errors name."""

    def __init__(self, path: Path, *arrays: Any) -> None:
        self.path = path
        try:
            super().__init__(*arrays)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None


def require_file(path: str | os.PathLike[str]) -> Path:
    """The path of a file that is there.

    Raises
    ------
    FileNotFoundError
        If there is none.
    IsADirectoryError
        If it is a folder.
    PermissionError
        If it may not be read.
    """
    found = Path(path)
    if found.is_dir():
        raise IsADirectoryError(errno.EISDIR, "path: expected a file, got a folder", str(found))
    if not found.exists():
        raise FileNotFoundError(errno.ENOENT, f"path: no such file{_started_from(found)}", str(found))
    with found.open("rb"):  # one that may not be read says so here, and is not taken for damaged later
        return found


def require_folder(path: str | os.PathLike[str]) -> Path:
    """The path of a folder that is there.

    Raises
    ------
    FileNotFoundError
        If there is none.
    NotADirectoryError
        If it is a file.
    """
    found = Path(path)
    if not found.exists():
        raise FileNotFoundError(errno.ENOENT, f"path: no such folder{_started_from(found)}", str(found))
    if not found.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "path: expected a folder, got a file", str(found))
    return found


def _started_from(path: Path) -> str:
    return "" if path.is_absolute() else f" (looked for in {Path.cwd()})"


def native_order(array: Any) -> Any:
    """A host array in the byte order of this machine."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)
