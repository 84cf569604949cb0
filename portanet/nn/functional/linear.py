"""Linear maps."""

from __future__ import annotations

from portanet.ops import layers
from portanet.tensor import lift

__all__ = ["linear"]

linear = lift(layers.linear)
