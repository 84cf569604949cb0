"""A table of a model's layers: shapes, parameters, memory, and how many operations a call takes."""

from __future__ import annotations

from portanet.model_summary.recording import summary
from portanet.model_summary.table import LayerSummary, Summary

__all__ = ["LayerSummary", "Summary", "summary"]
