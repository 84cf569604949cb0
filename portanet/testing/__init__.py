"""Checks for those who write gradients or backends: on any backend, with fresh random inputs.

:func:`gradcheck` and :func:`gradgradcheck` hold derivatives against finite differences. :func:`check_backend` tries a
whole backend. Nothing here is loaded by ``import portanet``.
"""

from __future__ import annotations

from portanet.testing.conformance import ConformanceReport, Finding, check_backend
from portanet.testing.gradients import gradcheck, gradgradcheck

__all__ = ["ConformanceReport", "Finding", "check_backend", "gradcheck", "gradgradcheck"]
