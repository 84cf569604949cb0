"""Who takes part. A contender's library is imported only in that contender's own process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.workloads import Job, Training, Update, make_problem, make_update_problem

__all__ = ["CONTENDERS", "YARDSTICK", "Contender"]

YARDSTICK = "handwritten"
"""The contender that all others are compared with in what they compute, and in most workloads in what it costs."""


@dataclass(frozen=True)
class Contender:
    """One way to do the job."""

    name: str
    description: str
    make: Callable[[Training | Update, int], Job]
    """Build the job for a workload and a number of threads."""
    by_default: frozenset[str]
    """The workloads in which it takes part when the user names no contenders."""


def make_handwritten(workload: Training | Update, threads: int) -> Job:
    """NumPy with every trick that NumPy alone allows."""
    from benchmarks import handwritten

    if isinstance(workload, Update):
        return handwritten.UpdateJob(make_update_problem(workload), threads)
    return handwritten.MLPJob(make_problem(workload), workload.activation, threads)


def make_plain(workload: Training | Update, threads: int) -> Job:
    """NumPy with preallocated buffers and no other trick."""
    from benchmarks import handwritten_plain

    if isinstance(workload, Update) or workload.activation != "tanh":
        raise NotImplementedError(f"written for the small tanh network (W1) only, not for {workload.name}")
    return handwritten_plain.MLPJob(make_problem(workload))


def make_portanet(workload: Training | Update, threads: int) -> Job:
    """Portanet's public API on NumPy arrays."""
    from benchmarks import portanet_steps

    if isinstance(workload, Update):
        return portanet_steps.UpdateJob(make_update_problem(workload), threads)
    return portanet_steps.MLPJob(make_problem(workload), workload.activation, threads)


def make_torch(workload: Training | Update, threads: int, fused: bool = False) -> Job:
    """Eager PyTorch."""
    from benchmarks import torch_steps

    if isinstance(workload, Update):
        return torch_steps.UpdateJob(make_update_problem(workload), threads, fused)
    return torch_steps.MLPJob(make_problem(workload), workload.activation, threads, fused)


def make_torch_fused(workload: Training | Update, threads: int) -> Job:
    """Eager PyTorch with `AdamW(..., fused=True)`."""
    return make_torch(workload, threads, fused=True)


EVERYWHERE = frozenset({"W1", "W2", "W3", "W6"})

CONTENDERS: dict[str, Contender] = {
    contender.name: contender
    for contender in (
        Contender(YARDSTICK, "NumPy, hand-written, tuned", make_handwritten, EVERYWHERE),
        Contender("handwritten-again", "the same once more: what noise does", make_handwritten, EVERYWHERE),
        Contender("handwritten-plain", "NumPy, buffers and out= only", make_plain, frozenset({"W1"})),
        Contender("portanet", "portanet on NumPy", make_portanet, EVERYWHERE),
        Contender("torch", "PyTorch eager", make_torch, EVERYWHERE),
        Contender("torch-fused", "PyTorch eager, fused AdamW", make_torch_fused, frozenset({"W6"})),
    )
}
