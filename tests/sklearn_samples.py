"""What the tests of portanet.sklearn share: estimators that are quick, and what they learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import make_blobs
from sklearn.preprocessing import StandardScaler

from portanet import nn
from portanet.sklearn import NetClassifier, NetRegressor

BOTH = [NetClassifier, NetRegressor]


def three_groups(rng: Any) -> Any:
    """Features, classes called by name, and numbers, 120 of each."""
    centres = 8 * rng.permutation(np.eye(4))[:3] + rng.normal(size=4)  # far enough apart to be told apart
    X, y = make_blobs(120, centers=centres, random_state=int(rng.integers(2**31)))
    X = StandardScaler().fit_transform(X)
    return X, np.array(["red", "green", "blue"])[y], (X @ rng.normal(size=4)).round(3)


def made(kind: Any, **options: Any) -> Any:
    return kind((16,), **{"epochs": 30, "lr": 0.01, "batch_size": 32, "random_state": 0, **options})


def targets_of(kind: Any, data: Any) -> Any:
    return data[1] if kind is NetClassifier else data[2]


def small_network(features: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.LazyLinear(12), nn.Dropout(0.2), nn.Tanh(), nn.Linear(12, outputs))
