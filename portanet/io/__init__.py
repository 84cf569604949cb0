"""Files: weights as safetensors, models as ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portanet.io.weights import load, save
from portanet.late import late_names

if TYPE_CHECKING:
    from portanet.io import onnx

__all__ = ["load", "onnx", "save"]

__getattr__, __dir__ = late_names(__name__, ["onnx"])
