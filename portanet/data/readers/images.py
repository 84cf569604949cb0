"""Folders of pictures, one folder for each class."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from portanet.checks import whole_number
from portanet.data.dataset import Dataset
from portanet.data.readers.paths import require_folder
from portanet.errors import DataError, OptionError

__all__ = ["ImageFolder"]

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}


class ImageFolder(Dataset):
    """Pictures of which each class has a folder of its own: ``root/cat/1.png``, ``root/dog/2.jpg``.

    Needs Pillow (``pip install 'portanet[images]'``). A picture is opened when it is asked for; one of 16 bits is
    cut to 8. Folders and files whose name begins with a dot are passed over.

    Parameters
    ----------
    root : str or path
        The folder of the classes' folders, whose names in alphabetical order become the classes.
    mode : {"RGB", "L", "RGBA"}, default "RGB"
        What pictures are converted to: colours, grey, or colours with opacity.
    size : (int, int), optional
        Height and width that each picture is scaled to; default: as it is.
    transform : callable, optional
        ``transform(pixels)`` makes of the host array what the sample is to hold.

    Attributes
    ----------
    classes : list of str
        Class ``i`` is ``classes[i]``.
    samples : list of (path, int)
        Each picture's file and class.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    DataError
        If it has no folders or no pictures in them; on access, if a picture is damaged.
    ImportError
        If Pillow is missing.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        mode: str = "RGB",
        size: tuple[int, int] | None = None,
        transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if mode not in CHANNELS:
            raise OptionError(f"mode: expected one of {', '.join(CHANNELS)}, got {mode!r}.")
        _pillow()
        self.root = require_folder(root)
        self.mode = mode
        if size is not None and (not isinstance(size, (tuple, list)) or len(size) != 2):
            raise OptionError(f"size: expected a height and a width, got {size!r}.")
        self.size = size and tuple(
            whole_number(f"size[{axis}]", length, low=1) for axis, length in enumerate(size)
        )
        self.transform = transform
        folders = sorted(entry for entry in self.root.iterdir() if entry.is_dir() and entry.name[0] != ".")
        if not folders:
            raise DataError(f"{self.root}: expected a folder for each class, found none.")
        self.classes = [folder.name for folder in folders]
        self.samples: list[tuple[Path, int]] = []
        for number, folder in enumerate(folders):
            files = sorted(
                Path(place, name)
                for place, _, names in os.walk(folder)
                for name in names
                if name.lower().endswith(EXTENSIONS) and name[0] != "."
            )
            if not files:
                raise DataError(
                    f"{folder}: expected pictures, found none that end in {', '.join(EXTENSIONS)}."
                )
            self.samples += [(file, number) for file in files]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """A picture, shape (channels, height, width), float32 from 0 to 1, as the transform made it; and its class."""
        path, number = self.samples[index]
        pixels = self._pixels(path)
        return (pixels if self.transform is None else self.transform(pixels)), number

    def _pixels(self, path: Path) -> Any:
        image_module = _pillow()
        try:
            with image_module.open(path) as image:
                converted = _eight_bits(image_module, image).convert(self.mode)
                if self.size is not None:
                    converted = converted.resize(self.size[::-1], image_module.Resampling.BILINEAR)
                values = np.asarray(converted, dtype="float32")
        except FileNotFoundError:
            raise
        except Exception as error:  # what a decoder raises on damaged data has no bounds
            raise DataError(
                f"{path}: the picture is damaged or cannot be read ({type(error).__name__}: {error})."
            ) from error
        values = values[None] if values.ndim == 2 else np.ascontiguousarray(values.transpose(2, 0, 1))
        return values / np.float32(255)


def _eight_bits(image_module: Any, image: Any) -> Any:
    """A picture of values from 0 to 255; left to itself Pillow would make all that is beyond white."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return image_module.fromarray((np.asarray(image) >> 8).astype("uint8"))
    if image.mode in ("I", "F"):
        raise ValueError("it holds 32 bits a pixel, of no known range; save it with 8 or 16")
    return image


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            f"ImageFolder reads pictures with Pillow, which cannot be imported here ({error}). Install it with: pip "
            "install 'portanet[images]'"
        ) from error
    return Image
