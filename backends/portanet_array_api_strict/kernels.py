"""No kernels: this backend proves the ops' own definitions."""

from __future__ import annotations

from portanet.backend import Kernel

__all__ = ["KERNELS"]

KERNELS: dict[str, Kernel] = {}
