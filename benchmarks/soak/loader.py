"""`python -m benchmarks.soak.loader --runs 1000`: epochs that end in every way, and what their workers leave behind.

Each run is one epoch over a shuffled dataset that draws random numbers. It goes through, or is left early, closed,
dropped for the garbage collector, struck by an error in a sample, interrupted by Ctrl-C while it waits, or loses a
worker to SIGKILL. The batches that came must be those of a loader without workers, the error must be the expected one,
and afterwards there must be as many child processes, threads, file descriptors and shared memory segments as before.
The one process and file that the first worker process leaves are Python's own resource tracker. Needs Linux, for it
counts in /proc.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import portanet as pn
from portanet.data import DataLoader, Dataset
from portanet.errors import WorkerError
from portanet.random import Generator

SAMPLES, BATCH = 96, 4
ENDS = ("whole", "break", "close", "collect", "error", "interrupt", "self-kill", "kill")
"""How an epoch may end; the last two need processes."""


class Trap(Dataset):
    """Samples with random numbers in them, one of which may do something bad when it is asked for."""

    def __init__(self, bad: int | None, deed: str, main: int) -> None:
        self.bad, self.deed, self.main = bad, deed, main

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> tuple[int, Any]:
        if index == self.bad:
            if self.deed == "error":
                raise ZeroDivisionError(f"sample {index}")
            if self.deed == "interrupt":
                os.kill(self.main, signal.SIGINT)
            if self.deed == "self-kill":
                os.kill(os.getpid(), signal.SIGKILL)
        return index, pn.random.uniform(8)


class Holdings(NamedTuple):
    """What a process has that could leak."""

    processes: int
    threads: int
    files: int
    shared_memory: int


def holdings() -> Holdings:
    """Count them."""
    children: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # the thread has just ended
            children += (task / "children").read_text().split()
    files = len(os.listdir("/proc/self/fd"))
    # What Python's multiprocessing makes; other libraries' segments belong to whoever else is at work on the machine.
    shared = sum(name.startswith(("psm_", "pym-", "sem.mp-")) for name in os.listdir("/dev/shm"))
    return Holdings(len(children), threading.active_count(), files, shared)


def leaks(before: Holdings, seconds: float = 60.0) -> dict[str, int]:
    """What there is more of than before, once no worker thread runs any more or time is up.

    An iterator that the garbage collector takes does not wait for its workers, so this does.
    """
    deadline = time.monotonic() + seconds
    for thread in threading.enumerate():
        if thread.name.startswith("portanet-loader"):
            thread.join(max(deadline - time.monotonic(), 0))
    more = {name: now - then for name, now, then in zip(Holdings._fields, holdings(), before)}
    return {name: count for name, count in more.items() if count > 0}


def batches_of(loader: Any) -> list[tuple[list[int], list[Any]]]:
    """A whole epoch as plain numbers."""
    return [plain(batch) for batch in loader]


def plain(batch: Any) -> tuple[list[int], list[Any]]:
    """One batch as plain numbers."""
    return batch[0].tolist(), batch[1].tolist()


def run_once(kind: str, workers: int, end: str, draw: random.Random) -> None:
    """One epoch (of persistent workers: two, the second of them whole); raises if anything is not as it must be."""
    seed, bad = draw.getrandbits(32), draw.randrange(SAMPLES)
    expected = batches_of(DataLoader(Trap(None, "", 0), BATCH, True, generator=Generator(seed)))
    persistent = draw.random() < 0.5 and kind == "processes"
    loader = DataLoader(
        Trap(bad if end in ("error", "interrupt", "self-kill") else None, end, os.getpid()),
        BATCH,
        True,
        num_workers=workers,
        workers=kind,
        prefetch_factor=draw.randint(1, 4),
        persistent_workers=persistent,
        generator=Generator(seed),
    )
    stop = draw.randrange(1, len(expected))
    others = {process.pid for process in multiprocessing.active_children()}
    came: list[Any] = []
    caught: BaseException | None = None
    epoch = iter(loader)
    try:
        for batch in epoch:
            came.append(plain(batch))
            if len(came) == stop:
                if end in ("break", "collect"):
                    break
                if end == "close":
                    epoch.close()  # type: ignore[attr-defined]
                if end == "kill":
                    ours = [p for p in multiprocessing.active_children() if p.pid not in others]
                    os.kill(draw.choice(ours).pid or 0, signal.SIGKILL)
        if end == "interrupt":
            raise AssertionError("the interrupt was lost")
    except (ZeroDivisionError, WorkerError, KeyboardInterrupt) as error:
        caught = error.with_traceback(None)
    if end == "collect":
        cycle: list[Any] = [epoch]
        cycle.append(cycle)
        del cycle
    del epoch
    gc.collect()
    check(end, came, expected, caught, stop, bad)
    if persistent:
        if end in ("whole", "break", "close", "collect"):
            again = batches_of(loader)
            second = Generator(seed)
            second.next_stream()
            assert again == batches_of(DataLoader(Trap(None, "", 0), BATCH, True, generator=second))
        loader.close()


def check(
    end: str, came: list[Any], expected: list[Any], caught: BaseException | None, stop: int, bad: int
) -> None:
    """Raise unless these batches and this error are what such an end must give."""
    assert came == expected[: len(came)], "other batches than without workers"
    place = next(number for number, (indices, _) in enumerate(expected) if bad in indices)
    if end == "whole":
        assert caught is None
        assert len(came) == len(expected)
    elif end in ("break", "close", "collect"):
        assert caught is None
        assert len(came) == stop
    elif end == "error":
        assert type(caught) is ZeroDivisionError, caught
        assert str(caught) == f"sample {bad}"
        assert len(came) == place
    elif end == "interrupt":
        assert type(caught) is KeyboardInterrupt, caught
    elif end == "self-kill":
        assert type(caught) is WorkerError, caught
        assert "SIGKILL" in str(caught)
        assert len(came) == place
    elif end == "kill":  # one that had done all its batches is not missed
        assert (type(caught) is WorkerError) if caught else len(came) == len(expected), caught


def soak(runs: int, workers: int, kinds: list[str], seed: int) -> Counter[str]:
    """Run so many epochs; how often each end came. Raises at the first thing that is not as it must be."""
    draw = random.Random(seed)
    counts: Counter[str] = Counter()
    for kind in kinds:  # the first process starts Python's resource tracker, which stays
        batches_of(DataLoader(Trap(None, "", 0), BATCH, num_workers=1, workers=kind))
    before = holdings()
    for number in range(runs):
        kind = draw.choice(kinds)
        end = draw.choice(ENDS if kind == "processes" else ENDS[:-2])
        run_once(kind, workers, end, draw)
        left = leaks(before)
        assert not left, f"run {number} ({kind}, {end}) left {left}"
        counts[f"{kind}: {end}"] += 1
        if (number + 1) % 100 == 0:
            print(f"{number + 1} runs", flush=True)
    return counts


def main() -> None:
    """Read the command line, run, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--runs", type=int, default=1000, help="epochs (default 1000)")
    parser.add_argument("--workers", type=int, default=4, help="workers of each loader (default 4)")
    parser.add_argument("--kind", choices=["threads", "processes", "both"], default="both")
    parser.add_argument("--seed", type=int, default=None, help="default: fresh")
    options = parser.parse_args()
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    kinds = ["threads", "processes"] if options.kind == "both" else [options.kind]
    started = time.monotonic()
    before = holdings()
    counts = soak(options.runs, options.workers, kinds, seed)
    for end, count in sorted(counts.items()):
        print(f"{count:6d}  {end}")
    print(f"{options.runs} epochs with {options.workers} workers in {time.monotonic() - started:.0f} s")
    print(f"before the first process: {before}")
    print(f"at the end:               {holdings()}")


if __name__ == "__main__":
    if sys.platform != "linux":
        sys.exit("The soak counts in /proc, which only Linux has.")
    main()
