"""Files: weights as safetensors, checkpoints of whole runs, models as ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portanet.atomic import remove_leftovers
from portanet.io.weights import load, save
from portanet.late import late_names

if TYPE_CHECKING:
    from portanet.io import onnx
    from portanet.io.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint

__all__ = [
    "latest_checkpoint",
    "load",
    "load_checkpoint",
    "onnx",
    "remove_leftovers",
    "save",
    "save_checkpoint",
]

__getattr__, __dir__ = late_names(__name__, ["checkpoint", "onnx"])
