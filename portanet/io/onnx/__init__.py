"""Models as ONNX files, which ONNX Runtime and others run without portanet."""

from __future__ import annotations

from portanet.io.onnx.exporting import export

__all__ = ["export"]
