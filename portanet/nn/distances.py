"""Distances and angles between vectors, as modules."""

from __future__ import annotations

from typing import Any

from portanet.nn.functional import distances as functional
from portanet.nn.module import Module
from portanet.protocols import Array

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class CosineSimilarity(Module):
    """Cosine of the angle between vectors, see :func:`portanet.nn.functional.cosine_similarity`.

    Parameters
    ----------
    dim : int, default 1
        The axis of the vectors.
    eps : float
        What each norm is at least.
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Array, x2: Array) -> Any:
        """Shapes that broadcast, and then have the axis; the output lacks it."""
        return functional.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """Norm of the difference, see :func:`portanet.nn.functional.pairwise_distance`.

    Parameters
    ----------
    p : float, default 2
        The order of the norm.
    eps : float
        Added to each difference.
    keepdim : bool, default False
        Whether the last axis stays, with length 1.
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Array, x2: Array) -> Any:
        """Shapes (..., features) that broadcast; the output has shape (...)."""
        return functional.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
