"""The standard's functions, one file per chapter; ``portanet`` holds them all."""

from __future__ import annotations

__all__: list[str] = []
