"""One contender's process: it waits on its input, and does what the parent asks, one JSON line at a time.

`python -m benchmarks.worker handwritten W1 2` builds the job, answers with a line, then reads commands:
`{"do": "memory"}`, which must come first, answers how many bytes a few steps took at their peak;
`{"do": "evidence"}` runs the first steps and answers what they computed;
`{"do": "burst", "steps": 100, "warm_up": 10}` times that many steps.
It leaves when its input ends. Between commands it sleeps, so it does not disturb the others.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.contenders import CONTENDERS
from benchmarks.workloads import WORKLOADS, Job, TrainingJob, Update, UpdatingJob, Workload

__all__ = ["burst", "evidence", "main"]

GRADIENT_FACTORS = (1.0, -0.5, 2.0, 0.25)
"""An update's gradients change from step to step here: with constant ones, wrong moments could cancel."""

SAMPLE_EVERY = 9_973

MEMORY_STEPS = 3


def evidence(job: Job, workload: Workload) -> list[float]:
    """Run the first steps, and return what shows that they were the right ones.

    For a training step these are the losses. For an update it is how far a sample of the parameters moved in all: near
    0.001 a step, while the weight decay moves one by 1e-7, so that leaving it out shows too.
    """
    job.restart()
    if not isinstance(workload, Update):
        training = cast(TrainingJob, job)
        losses = []
        for _ in range(workload.compared_steps):
            training.step()
            losses.append(training.loss())
        return losses
    updating = cast(UpdatingJob, job)
    before = [np.array(parameter, np.float64) for parameter in job.parameters()]
    for factor in GRADIENT_FACTORS:
        updating.scale_gradients(factor)
        updating.step()
    moved = [np.asarray(after, np.float64) - b for after, b in zip(job.parameters(), before, strict=True)]
    return [float(value) for value in np.concatenate([m.reshape(-1) for m in moved])[::SAMPLE_EVERY]]


STATUS = Path("/proc/self/status")


def memory(job: Job, before: int | None) -> int | None:
    """Run a few steps, and return how many bytes the process took at its peak beyond what it had before the job."""
    for _ in range(MEMORY_STEPS):
        job.step()
    peak = resident("VmHWM")
    return None if before is None or peak is None else peak - before


def resident(line: str) -> int | None:
    """Return the bytes of a line of Linux's table, or None elsewhere."""
    if not STATUS.exists():
        return None
    found = next(text for text in STATUS.read_text().splitlines() if text.startswith(f"{line}:"))
    return int(found.split()[1]) * 1024


def forget_peak() -> None:
    """Let the peak begin anew, so that what an import took for a moment does not count."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def busy_seconds() -> float | None:
    """Return the processor time that all processes together have used, or None where Linux's table is missing."""
    table = Path("/proc/stat")
    if not table.exists():
        return None
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(
        int, table.read_text().split("\n", 1)[0].split()[1:9]
    )
    ticks = user + nice + system + interrupts + soft_interrupts + stolen
    return ticks / os.sysconf("SC_CLK_TCK")


def repeat_steps(job: Job, steps: int) -> None:
    """Run so many steps, one after the other."""
    for _ in range(steps):
        job.step()


def burst(job: Job, steps: int, warm_up: int) -> dict[str, float | None]:
    """Time `steps` steps from the first weights on.

    Returns
    -------
    dict
        `seconds` a step, and `others`: how many cores' worth of work other processes did meanwhile, None if unknown.
    """
    job.restart()
    run = getattr(job, "run", None) or partial(repeat_steps, job)
    run(warm_up)
    busy, mine = busy_seconds(), time.process_time()
    start = time.perf_counter()
    run(steps)
    seconds = time.perf_counter() - start
    mine = time.process_time() - mine
    busy_after = busy_seconds()
    others = None if busy is None or busy_after is None else max(0.0, busy_after - busy - mine) / seconds
    return {"seconds": seconds / steps, "others": others}


def main() -> None:
    """Serve the parent until it closes our input."""
    # What a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")

    name, workload_name, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    workload = WORKLOADS[workload_name]
    try:
        for module in CONTENDERS[name].modules:
            import_module(module)
        forget_peak()
        before = resident("VmRSS")
        job = CONTENDERS[name].make(workload, threads)
    except (ImportError, NotImplementedError) as error:
        answer({"unavailable": f"{type(error).__name__}: {error}"})
        return
    except Exception:
        answer({"error": traceback.format_exc()})
        return
    answer({"ready": True})
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if command["do"] == "memory":
                answer({"memory": memory(job, before)})
            elif command["do"] == "evidence":
                answer({"evidence": evidence(job, workload)})
            else:
                answer(dict(burst(job, command["steps"], command["warm_up"])))
        except Exception:
            answer({"error": traceback.format_exc()})
            return


if __name__ == "__main__":
    main()
