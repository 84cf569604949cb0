"""Freed memory is kept for the next array, where the C library gives it back too eagerly.

A training step makes and frees the same arrays again and again. The GNU C library returns large ones to the system at
once, or as soon as they add up to 64 MiB, and the system hands them out again page by page, each cleared first. Half
the time of a small convolutional network's step went into that (and a quarter of PyTorch's on a CPU). So the thresholds
from which memory is returned are raised, once, when NumPy's kernels are first used. What the process takes at its peak
stays what it is; afterwards it may keep up to ``KEPT`` bytes that it could have returned.

Who has set such thresholds in the environment is not overruled, and ``PORTANET_KEEP_MEMORY=0`` leaves everything alone.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["keep_freed_memory"]

ENVIRONMENT_VARIABLE = "PORTANET_KEEP_MEMORY"

KEPT = 512 * 2**20
"""Bytes at the end of the heap that may be free without being returned."""

MAPPED_FROM = 64 * 2**20
"""Arrays from this size on still get, and return, memory of their own."""

# From the C library's malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_")


def keep_freed_memory(environment: Mapping[str, str] = os.environ, library: Any = None) -> bool:
    """Raise the thresholds; return whether that was done.

    Parameters
    ----------
    environment
        Where settings are looked for.
    library
        The C library, the process's own unless another is given.
    """
    wanted = environment.get(ENVIRONMENT_VARIABLE, "1").strip().lower() not in {"0", "off", "no", "false"}
    settled = any(name in environment for name in _SETTINGS) or "malloc" in environment.get(
        "GLIBC_TUNABLES", ""
    )
    if not wanted or settled or not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None) if library is None else library
    if not hasattr(library, "gnu_get_libc_version"):  # musl, for one, has no such thresholds
        return False
    return bool(library.mallopt(_MMAP_THRESHOLD, MAPPED_FROM) and library.mallopt(_TRIM_THRESHOLD, KEPT))
