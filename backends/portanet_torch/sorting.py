"""Sorting by PyTorch's own functions, which sort in descending order as well, and types that it cannot flip."""

from __future__ import annotations

import torch

from portanet.backend import Kernel
from portanet.ops import sorting
from portanet.protocols import Array, Namespace, OpResult

__all__ = ["KERNELS"]


def sort(
    xp: Namespace, x: Array, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> OpResult:
    """A sorted copy; the gradient goes back to where each element stood."""
    if not -x.ndim <= axis < x.ndim:
        return sorting.sort(xp, x, axis=axis)  # which says what is wrong
    r, order = torch.sort(x, dim=axis, descending=descending, stable=True)
    if not x.dtype.is_floating_point:
        return r, (None,)
    return r, (lambda g: torch.zeros_like(g).scatter(axis, order, g),)


def argsort(
    xp: Namespace, x: Array, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> OpResult:
    """The indices that sort, equal elements in their order."""
    if not -x.ndim <= axis < x.ndim:
        return sorting.argsort(xp, x, axis=axis)
    return torch.sort(x, dim=axis, descending=descending, stable=True)[1], (None,)


KERNELS = {"sort": Kernel(sort), "argsort": Kernel(argsort)}
