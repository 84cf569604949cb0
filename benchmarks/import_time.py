"""What `import portanet` costs beyond `import numpy`, each in a fresh process, taking turns."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from statistics import median

__all__ = ["BUDGET", "ImportTimes", "measure_imports"]

BUDGET = 0.060
"""Seconds that `import portanet` may take beyond `import numpy`."""

COMMAND = "import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"


@dataclass(frozen=True)
class ImportTimes:
    """Seconds of each import, round by round."""

    numpy: list[float]
    portanet: list[float]

    def extra(self) -> list[float]:
        """Return how much longer portanet took than NumPy in each round."""
        return [ours - theirs for ours, theirs in zip(self.portanet, self.numpy, strict=True)]

    def as_text(self) -> str:
        """Return one line for the screen and for the page."""
        extra = self.extra()
        verdict = "kept" if median(extra) <= BUDGET else "missed"
        return (
            f"import numpy {1e3 * median(self.numpy):.1f} ms, import portanet {1e3 * median(self.portanet):.1f} ms: "
            f"{1e3 * median(extra):.1f} ms more ({1e3 * min(extra):.1f} to {1e3 * max(extra):.1f} ms in "
            f"{len(extra)} rounds); wanted: at most {1e3 * BUDGET:.0f} ms more: {verdict}"
        )


def seconds(module: str) -> float:
    """Time one import in a process of its own."""
    # Without PYTHONDONTWRITEBYTECODE, or every import would compile the sources anew.
    command = [sys.executable, "-c", COMMAND.format(module=module)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def measure_imports(rounds: int) -> ImportTimes:
    """Time both imports in turns, after one round that is not counted."""
    times = [(seconds("numpy"), seconds("portanet")) for _ in range(rounds + 1)][1:]
    return ImportTimes([numpy for numpy, _ in times], [portanet for _, portanet in times])
