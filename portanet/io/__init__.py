"""Files: weights as safetensors."""

from __future__ import annotations

from portanet.io.weights import load, save

__all__ = ["load", "save"]
