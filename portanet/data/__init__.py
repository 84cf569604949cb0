"""Datasets, samplers, readers, and the loader that makes batches.

What is asked for less often is loaded when it is first asked for, which keeps ``import portanet`` short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from portanet.data.batch_sampler import BatchSampler
from portanet.data.dataset import BatchedDataset, Dataset, IterableDataset, TensorDataset
from portanet.data.loader import DataLoader
from portanet.late import late_names

if TYPE_CHECKING:
    from portanet.data.readers import MNIST, CSVDataset, ImageFolder, MappedDataset, NPZDataset, read_idx
    from portanet.data.samplers import (
        DistributedSampler,
        RandomSampler,
        Sampler,
        SequentialSampler,
        StratifiedSampler,
        SubsetRandomSampler,
        WeightedRandomSampler,
    )
    from portanet.data.splits import ConcatDataset, Subset, random_split

__all__ = [
    "BatchSampler",
    "BatchedDataset",
    "CSVDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "ImageFolder",
    "IterableDataset",
    "MNIST",
    "MappedDataset",
    "NPZDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StratifiedSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "random_split",
    "read_idx",
]

__getattr__, __dir__ = late_names(__name__, ["samplers", "splits", "readers"])
