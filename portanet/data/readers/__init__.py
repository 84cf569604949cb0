"""Datasets that read files: tables, arrays, digits and pictures.

What is wrong with a file is a :class:`portanet.errors.DataError` that names it and, where there is one, the row.
Nothing that is read is ever executed: arrays of Python objects are refused.
"""

from __future__ import annotations

from portanet.data.readers.arrays import MappedDataset, NPZDataset
from portanet.data.readers.idx import MNIST, read_idx
from portanet.data.readers.images import ImageFolder
from portanet.data.readers.table import CSVDataset

__all__ = ["MNIST", "CSVDataset", "ImageFolder", "MappedDataset", "NPZDataset", "read_idx"]
