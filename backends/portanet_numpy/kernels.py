"""Faster NumPy functions for single ops; each has the signature and the contract of the op that it replaces."""

from __future__ import annotations

from portanet.backend import Kernel

__all__ = ["KERNELS"]

KERNELS: dict[str, Kernel] = {}
