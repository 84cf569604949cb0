"""Datasets and the loader that makes batches of them."""

from __future__ import annotations

from portanet.data.dataset import BatchedDataset, Dataset, TensorDataset
from portanet.data.loader import DataLoader

__all__ = ["BatchedDataset", "DataLoader", "Dataset", "TensorDataset"]
