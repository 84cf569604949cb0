"""A process for each contender, taking turns; and what the bursts say.

Only one contender works at any time: the parent asks one for a burst, waits for the answer, lets the machine settle,
and asks the next. A round is one burst of each, so a slow minute of the machine slows all of them alike, and the ratio
within a round stays true.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.workloads import WORKLOADS, NetworkTraining, Update

__all__ = ["Burst", "Row", "Spread", "measure", "relative_difference"]

TOLERANCE = 1e-5
"""How far what a contender computes may be from what the yardstick computes, relative to it."""

QUIET = 0.15
"""Cores' worth of work by other processes, up to which a round counts as undisturbed."""

SETTLE_SECONDS = 0.05
"""Pause between bursts: thread pools spin for a while after their last job before they sleep."""

WARM_UP_SHARE = 10
"""One step in so many is run first, untimed: optimizers make their state in the first step, caches fill."""

STEPS_AT_LEAST, STEPS_AT_MOST = 3, 20_000

REPOSITORY = Path(__file__).resolve().parent.parent

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Burst:
    """One timed burst: seconds for a step, and how many cores other processes kept busy meanwhile."""

    seconds: float
    others: float | None


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of some values."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise `values`, which must not be empty."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass
class Row:
    """All that was found for one workload on one number of threads."""

    workload: str
    threads: int
    evidence: list[float] = field(default_factory=list)
    """What the first contender computed in the first steps: losses, or how far a sample of the parameters moved."""
    differences: dict[str, float] = field(default_factory=dict)
    """How far each contender's evidence is from the yardstick's, relative; the first contender's is 0."""
    memory: dict[str, int] = field(default_factory=dict)
    """Bytes that each contender's job took at its peak, beyond its library; the smallest over all sittings."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Contenders that were not timed, and why."""
    failures: list[str] = field(default_factory=list)
    """What must not happen: contenders that crashed, or that compute something else."""
    steps: dict[str, int] = field(default_factory=dict)
    """How many steps there are in a burst."""
    rounds: list[dict[str, Burst]] = field(default_factory=list)

    def disturbed(self) -> list[bool]:
        """Say for each round whether other processes took part of the machine."""
        return [any((burst.others or 0) > QUIET for burst in bursts.values()) for bursts in self.rounds]

    def counted_rounds(self) -> list[dict[str, Burst]]:
        """Return the undisturbed rounds; all of them where fewer than three are undisturbed."""
        quiet = [r for r, disturbed in zip(self.rounds, self.disturbed(), strict=True) if not disturbed]
        return quiet if len(quiet) >= 3 else self.rounds

    def reliable(self) -> bool:
        """Say whether only undisturbed rounds are counted."""
        return self.disturbed().count(False) == len(self.counted_rounds())

    def timed(self) -> list[str]:
        """Return the contenders that took part in every round."""
        return [name for name in self.steps if self.rounds and all(name in bursts for bursts in self.rounds)]

    def seconds(self, name: str) -> Spread:
        """Return the seconds a step took over the counted rounds."""
        return Spread.of([bursts[name].seconds for bursts in self.counted_rounds()])

    def ratios(self, name: str, yardstick: str) -> Spread:
        """Return the ratio of `name` to `yardstick`, taken within each counted round."""
        return Spread.of([b[name].seconds / b[yardstick].seconds for b in self.counted_rounds()])


class ContenderError(RuntimeError):
    """A contender crashed, answered with an error, or does another job than the others."""


class ContenderUnavailableError(ContenderError):
    """What the contender needs is not installed, or it does not know this workload."""


class Process:
    """The parent's end of one contender's process."""

    def __init__(self, name: str, workload: str, threads: int) -> None:
        self.name = name
        environment = dict(os.environ) | {variable: str(threads) for variable in THREAD_VARIABLES}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name, workload, str(threads)],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def read(self) -> dict[str, Any]:
        """Wait for the next answer."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise ContenderError(f"the process of {self.name!r} ended with code {self.process.wait()}")
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            raise ContenderError(f"{self.name!r} failed:\n{message['error']}")
        return message

    def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command, and wait for the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        return self.read()

    def burst(self, steps: int, warm_up: int) -> Burst:
        """Let it run a burst, then let the machine settle."""
        found = self.ask(do="burst", steps=steps, warm_up=warm_up)
        time.sleep(SETTLE_SECONDS)
        return Burst(found["seconds"], found["others"])

    def close(self) -> None:
        """End the process by closing its input."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def relative_difference(found: Sequence[float], wanted: Sequence[float], together: bool) -> float:
    """Return the largest relative difference; infinite for lengths that differ or values that are not finite.

    Losses are compared one by one. With `together` all differences are taken relative to the largest wanted value: a
    parameter that hardly moved has no digits to agree in.
    """
    if len(found) != len(wanted) or not all(map(math.isfinite, [*found, *wanted])):
        return math.inf
    largest = max(map(abs, wanted))
    scales = [largest if together else abs(value) for value in wanted]
    differences = [abs(f - w) / max(s, 1e-30) for f, w, s in zip(found, wanted, scales, strict=True)]
    return max(differences)


def measure(
    workload: str,
    contenders: Sequence[str],
    threads: int,
    rounds: int,
    sittings: int,
    burst_seconds: float,
    tell: Callable[[str], None],
) -> Row:
    """Check that all contenders compute the same, then time them in turns.

    Parameters
    ----------
    workload
        A key of `WORKLOADS`.
    contenders
        Keys of `CONTENDERS`. The first that works is the one whose results the others must reproduce.
    threads
        Threads for BLAS, PyTorch, and each contender's own kernels.
    rounds
        Undisturbed rounds wanted, over all sittings. At most twice as many are run.
    sittings
        How often all processes are started afresh. Where the system happens to place a process's memory can cost it
        a few percent for as long as it lives; so one sitting's median is not everybody's.
    burst_seconds
        About how long a burst lasts; it has at least three steps.
    tell
        Called with a line of progress.
    """
    row = Row(workload, threads)
    names = list(contenders)
    for sitting in range(sittings):
        share = rounds * (sitting + 1) // sittings - rounds * sitting // sittings
        if names and share:
            names = sit(
                row, names, share, burst_seconds, lambda text: tell(f"{workload}, {threads} threads: {text}")
            )
    return row


def sit(
    row: Row, names: list[str], rounds: int, burst_seconds: float, tell: Callable[[str], None]
) -> list[str]:
    """Start a process for each name, prepare them, run rounds, end them; return the names that took part."""
    processes = {name: Process(name, row.workload, row.threads) for name in names}
    try:
        for stage in (wait_until_ready, weigh, compare, plan):
            for name in names:
                if name not in processes:
                    continue
                tell(f"{stage.__name__.replace('_', ' ')}: {name}")
                try:
                    stage(row, processes[name], burst_seconds)
                except ContenderUnavailableError as reason:
                    row.left_out[name] = str(reason)
                except ContenderError as failure:
                    row.failures.append(str(failure))
                else:
                    continue
                processes.pop(name).close()
        if processes:
            take_turns(row, processes, rounds, tell)
        return list(processes)
    except ContenderError as failure:
        row.failures.append(str(failure))
        return []
    finally:
        for process in processes.values():
            process.close()


def wait_until_ready(row: Row, process: Process, burst_seconds: float) -> None:
    """Wait for the process to have built its job."""
    unavailable = process.read().get("unavailable")
    if unavailable:
        raise ContenderUnavailableError(unavailable)


def weigh(row: Row, process: Process, burst_seconds: float) -> None:
    """Ask how much memory the first steps took, where that says something."""
    if isinstance(WORKLOADS[row.workload], NetworkTraining):
        found = process.ask(do="memory")["memory"]
        if found is not None:
            row.memory[process.name] = min(found, row.memory.get(process.name, found))


def compare(row: Row, process: Process, burst_seconds: float) -> None:
    """Have the process run its first steps, and hold what they computed against the first contender's."""
    found = process.ask(do="evidence")["evidence"]
    if not row.evidence:
        row.evidence = found
    training = not isinstance(WORKLOADS[row.workload], Update)
    difference = relative_difference(found, row.evidence, together=not training)
    row.differences[process.name] = max(difference, row.differences.get(process.name, 0.0))
    if not difference <= TOLERANCE:
        what = "losses" if training else "updated parameters"
        raise ContenderError(
            f"{process.name!r} does another job than {next(iter(row.differences))!r} in {row.workload}: its {what} "
            f"differ by {difference:.1e} relative, where at most {TOLERANCE:.0e} is rounding. Not timed."
        )


def plan(row: Row, process: Process, burst_seconds: float) -> None:
    """Try a few steps, then choose how many make a burst; once, for all sittings."""
    if process.name in row.steps:
        return
    process.burst(steps=STEPS_AT_LEAST, warm_up=1)
    once = process.burst(steps=STEPS_AT_LEAST, warm_up=1).seconds
    row.steps[process.name] = min(max(STEPS_AT_LEAST, round(burst_seconds / once)), STEPS_AT_MOST)


def take_turns(row: Row, processes: dict[str, Process], rounds: int, tell: Callable[[str], None]) -> None:
    """Run rounds until enough of them were undisturbed, or twice as many have been run."""
    names = list(processes)
    quiet = 0
    for _ in range(2 * rounds):
        tell(f"round {len(row.rounds) + 1}")
        first = len(row.rounds) % len(names)  # so that nobody always follows the same neighbour
        bursts: dict[str, Burst] = {}
        for name in names[first:] + names[:first]:
            steps = row.steps[name]
            bursts[name] = processes[name].burst(steps, warm_up=max(1, steps // WARM_UP_SHARE))
        row.rounds.append({name: bursts[name] for name in names})
        quiet += not row.disturbed()[-1]
        if quiet == rounds:
            return
