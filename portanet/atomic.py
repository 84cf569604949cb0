"""Files that are at every moment either what they were or complete."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["atomic_file", "claim_folder", "remove_leftovers"]

_RENAMES_OPEN_FILES = os.name == "posix"
_FLUSHES_NO_FOLDERS = (errno.EINVAL, errno.ENOTSUP)
"""What some file systems answer that are mounted from elsewhere."""
_PREFIX, _SUFFIX = ".portanet-", ".part"


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file for writing that takes its name once it is complete and on disk.

    It is written under another name in the same folder, flushed to disk, and renamed. If the block raises, it is
    removed and ``path`` is what it was; if the process is killed, it stays behind for :func:`remove_leftovers`.

    Raises
    ------
    OSError
        If it cannot be written; the error names ``path``, not the file's name for the time being.
    """
    from pathlib import Path

    target = Path(path)
    temporary, file = _open_beside(target)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if _RENAMES_OPEN_FILES:
                os.replace(temporary, target)  # while it is locked
        if not _RENAMES_OPEN_FILES:
            os.replace(temporary, target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise _about(target, error) from error
        raise
    _flush_folder(target.parent)


def _open_beside(target: Path) -> tuple[Path, IO[bytes]]:
    """A new file in the folder of ``target``, locked for as long as it is open, and its name."""
    import secrets

    while True:
        temporary = target.with_name(f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}")
        try:
            file = temporary.open("xb")
        except OSError as error:
            raise _about(target, error) from error
        if _lock(file.fileno()) and os.fstat(file.fileno()).st_nlink:
            return temporary, file
        file.close()  # somebody who cleans up came between opening and locking


def _about(target: Path, error: OSError) -> OSError:
    """The same error with the name of the file that was asked for."""
    return OSError(
        error.errno, f"{error.strerror}; nothing was written, and what was there is unharmed", str(target)
    )


def _lock(number: int) -> bool:
    """Try to lock an open file or folder. The lock ends with the process, however that ends."""
    try:
        import fcntl
    except ImportError:  # Windows, where no open file can be removed
        return True
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: only cleaning up is less careful there
        return True
    return True


def _open_folder(folder: str | os.PathLike[str]) -> int | None:
    """The number of an open folder; None where the system opens none, or this one may be written to and not read."""
    if os.name != "posix":
        return None
    try:
        return os.open(folder, os.O_RDONLY)
    except PermissionError:
        return None


def claim_folder(folder: str | os.PathLike[str]) -> int | None:
    """Take a folder for oneself, where the system can, until :func:`os.close` of the number or the process's end.

    Raises
    ------
    BlockingIOError
        If somebody has it.
    """
    number = _open_folder(folder)
    if number is not None and not _lock(number):
        os.close(number)
        raise BlockingIOError(errno.EWOULDBLOCK, "somebody else has taken it", os.fspath(folder))
    return number


def _flush_folder(folder: Path) -> None:
    """Make a renaming last through a loss of power, where the system can."""
    number = _open_folder(folder)
    if number is None:
        return
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in _FLUSHES_NO_FOLDERS:
            raise
    finally:
        os.close(number)


def remove_leftovers(folder: str | os.PathLike[str]) -> list[Path]:
    """Remove the unfinished files that killed processes left in a folder.

    Files that a living process is writing are left alone.

    Parameters
    ----------
    folder : str or path
        Where weights or checkpoints are saved.

    Returns
    -------
    list of Path
        What was removed.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> pn.io.remove_leftovers(folder.name)
    []
    >>> folder.cleanup()
    """
    from pathlib import Path

    removed = []
    for leftover in sorted(Path(folder).glob(f"{_PREFIX}*{_SUFFIX}")):
        if _remove_if_abandoned(leftover):
            removed.append(leftover)
    return removed


def _remove_if_abandoned(leftover: Path) -> bool:
    try:
        with leftover.open("rb") as file:
            if not _lock(file.fileno()):
                return False
            if _RENAMES_OPEN_FILES:
                leftover.unlink()
                return True
        leftover.unlink()
    except (FileNotFoundError, PermissionError):  # another process finished or removed it, or has it open
        return False
    return True
