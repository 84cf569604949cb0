"""IDX files, the format of MNIST and its relatives.

Reference: LeCun, Cortes and Burges, "The MNIST database of handwritten digits", 1998, which describes the format.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from portanet.data.dataset import Dataset
from portanet.data.readers.paths import native_order, require_file, require_folder
from portanet.errors import DataError
from portanet.tensor import Tensor, asarray

__all__ = ["MNIST", "read_idx"]

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_START = b"\x1f\x8b"
PIECE = 1 << 20


def read_idx(path: str | os.PathLike[str]) -> Any:
    """Read an IDX file, compressed with gzip or not.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    host array
        Of the shape and the type that the file says.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    DataError
        If it is damaged, cut off, or is no IDX file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "labels").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]))
    ...     print(pn.data.read_idx(f"{folder}/labels"))
    [5 0 4]
    """
    file = require_file(path)
    with file.open("rb") as raw:
        packed = raw.read(2) == GZIP_START
    try:
        with gzip.open(file) if packed else file.open("rb") as content:
            return _parsed(file, content)  # type: ignore[arg-type]
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{file}: the compressed data are damaged or cut off ({type(error).__name__}: {error})."
        ) from None


def _parsed(file: Path, content: IO[bytes]) -> Any:
    start = content.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in TYPES or not start[3]:
        raise DataError(f"{file}: is not an IDX file; it begins with {start.hex(' ') or 'nothing'}.")
    sizes = content.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise DataError(f"{file}: is cut off within its header.")
    shape = np.frombuffer(sizes, ">u4").tolist()
    dtype = np.dtype(TYPES[start[2]])
    expected = math.prod(shape) * dtype.itemsize
    values = bytearray()
    # In pieces: a forged header must not make room for more than the file holds.
    while len(values) <= expected and (piece := content.read(min(PIECE, expected + 1 - len(values)))):
        values += piece
    if len(values) != expected:
        found = f"only {len(values)}" if len(values) < expected else "more"
        raise DataError(f"{file}: expected {expected} bytes for the shape {tuple(shape)}, found {found}.")
    return native_order(np.frombuffer(values, dtype).reshape(shape))


class MNIST(Dataset):
    """The pictures and labels of MNIST's four files, or of others of that form, such as Fashion-MNIST.

    They are kept as bytes, and made float32 from 0 to 1 batch by batch.

    Parameters
    ----------
    folder : str or path
        Where the files are: ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, and the same with ``t10k``;
        with a dot before ``idx`` or with ``.gz`` at the end, too.
    train : bool, default True
        The training set, or the test set.

    Attributes
    ----------
    images : host array
        Shape (N, 28, 28), uint8.
    labels : host array
        Shape (N,), uint8.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    DataError
        If a file is damaged, or the two do not fit together.
    """

    draws = False

    def __init__(self, folder: str | os.PathLike[str], train: bool = True) -> None:
        place = require_folder(folder)
        prefix = "train" if train else "t10k"
        images, labels = (_find(place, f"{prefix}-{kind}") for kind in ("images-idx3", "labels-idx1"))
        self.images, self.labels = read_idx(images), read_idx(labels)
        for file, array, axes in ((images, self.images, 3), (labels, self.labels, 1)):
            if array.ndim != axes or array.dtype != np.uint8:
                raise DataError(
                    f"{file}: expected bytes along {axes} axes, got {array.dtype} of shape {array.shape}."
                )
        if len(self.images) != len(self.labels):
            raise DataError(
                f"{images}: holds {len(self.images)} pictures, but {labels} {len(self.labels)} labels."
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """One picture, shape (1, 28, 28), float32 from 0 to 1, and its label, int64."""
        return self._converted(self.images[index][None], self.labels[index])

    def batch(self, indices: Any) -> tuple[Tensor, Tensor]:
        """Pictures, shape (B, 1, 28, 28), float32 from 0 to 1, and their labels, shape (B,), int64."""
        return self._converted(self.images[indices][:, None], self.labels[indices])

    def _converted(self, images: Any, labels: Any) -> tuple[Tensor, Tensor]:
        pixels = images.astype("float32")
        pixels /= np.float32(255)
        return asarray(pixels), asarray(labels.astype("int64"))


def _find(folder: Path, name: str) -> Path:
    spellings = [name + "-ubyte", name.replace("-idx", ".idx") + "-ubyte"]
    for spelling in [*spellings, *[f"{spelling}.gz" for spelling in spellings]]:
        if (folder / spelling).exists():
            return folder / spelling
    return require_file(folder / spellings[0])
