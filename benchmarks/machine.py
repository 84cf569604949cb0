"""The facts about a machine without which a figure says nothing."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import numpy as np

__all__ = ["available_cores", "describe"]

REPOSITORY = Path(__file__).resolve().parent.parent


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe() -> dict[str, str]:
    """Collect date, commit, processor, memory and versions, in the order in which a person would read them."""
    facts = {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"),
        "commit": commit(),
        "processor": f"{processor()}, {available_cores()} of {os.cpu_count()} logical cores usable",
        "memory": memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": f"{np.__version__} with {blas()}",
    }
    for name in ("portanet", "torch"):
        try:
            facts[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            facts[name] = "not installed"
    return facts


def commit() -> str:
    """Return the commit of the working tree, marked where files differ from it."""
    head = git("rev-parse", "--short=12", "HEAD")
    if head is None:
        return "none"
    return f"{head} with uncommitted changes" if git("status", "--porcelain") else head


def git(*arguments: str) -> str | None:
    """Return what git prints, or None where it fails or is missing."""
    try:
        done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def processor() -> str:
    """Return the processor's name."""
    table = Path("/proc/cpuinfo")
    if table.exists():
        for line in table.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def memory() -> str:
    """Return the size of the memory."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return "unknown"
    return f"{size / 2**30:.0f} GiB"


def blas() -> str:
    """Return name and version of the library behind NumPy's products."""
    found = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{found.get('name', 'unknown BLAS')} {found.get('version', '')}".strip()
