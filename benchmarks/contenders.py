"""Who takes part. A contender's library is imported only in that contender's own process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.workloads import (
    Job,
    NetworkTraining,
    Update,
    Workload,
    make_network_problem,
    make_problem,
    make_update_problem,
)

__all__ = ["CONTENDERS", "YARDSTICK", "Contender"]

YARDSTICK = "handwritten"
"""The contender that all others are compared with in what they compute, and in most workloads in what it costs."""


@dataclass(frozen=True)
class Contender:
    """One way to do the job."""

    name: str
    description: str
    make: Callable[[Workload, int], Job]
    """Build the job for a workload and a number of threads."""
    modules: tuple[str, ...]
    """What is imported first: what a library itself takes of the memory is not counted."""
    by_default: frozenset[str]
    """The workloads in which it takes part when the user names no contenders."""


def make_handwritten(workload: Workload, threads: int) -> Job:
    """NumPy with every trick that NumPy alone allows."""
    from benchmarks import handwritten, handwritten_cnn, handwritten_gpt

    if isinstance(workload, Update):
        return handwritten.UpdateJob(make_update_problem(workload), threads)
    if isinstance(workload, NetworkTraining):
        problem = make_network_problem(workload)
        if workload.heads:
            return handwritten_gpt.GPTJob(problem, workload.layers, workload.heads, threads)
        return handwritten_cnn.CNNJob(problem)
    return handwritten.MLPJob(make_problem(workload), workload.activation, threads)


def make_plain(workload: Workload, threads: int) -> Job:
    """NumPy with preallocated buffers and no other trick."""
    from benchmarks import handwritten_plain

    if isinstance(workload, (NetworkTraining, Update)) or workload.activation != "tanh":
        raise NotImplementedError(f"written for the small tanh network (W1) only, not for {workload.name}")
    return handwritten_plain.MLPJob(make_problem(workload))


def make_portanet(workload: Workload, threads: int) -> Job:
    """Portanet's public API on NumPy arrays."""
    from benchmarks import portanet_steps

    if isinstance(workload, Update):
        return portanet_steps.UpdateJob(make_update_problem(workload), threads)
    if isinstance(workload, NetworkTraining):
        return portanet_steps.NetworkJob(make_network_problem(workload), workload, threads, "numpy")
    return portanet_steps.MLPJob(make_problem(workload), workload.activation, threads)


def make_fit(workload: Workload, threads: int) -> Job:
    """The same by `portanet.train.fit`."""
    from benchmarks import portanet_steps

    if isinstance(workload, (NetworkTraining, Update)):
        raise NotImplementedError(f"written for the multilayer perceptrons only, not for {workload.name}")
    return portanet_steps.FitJob(make_problem(workload), workload.activation, threads)


def make_portanet_torch(workload: Workload, threads: int) -> Job:
    """The same on PyTorch's tensors."""
    import torch  # noqa: F401  so that its absence is known before anything is built

    from benchmarks import portanet_steps

    if not isinstance(workload, NetworkTraining):
        raise NotImplementedError(f"written for the larger networks only, not for {workload.name}")
    return portanet_steps.NetworkJob(make_network_problem(workload), workload, threads, "torch")


def make_torch(workload: Workload, threads: int, fused: bool = False) -> Job:
    """Eager PyTorch."""
    from benchmarks import torch_steps

    if isinstance(workload, Update):
        return torch_steps.UpdateJob(make_update_problem(workload), threads, fused)
    if isinstance(workload, NetworkTraining):
        return torch_steps.NetworkJob(make_network_problem(workload), workload, threads, fused)
    return torch_steps.MLPJob(make_problem(workload), workload.activation, threads, fused)


def make_torch_fused(workload: Workload, threads: int) -> Job:
    """Eager PyTorch with `AdamW(..., fused=True)`."""
    return make_torch(workload, threads, fused=True)


NETWORKS = frozenset({"W4", "W5"})
EVERYWHERE = frozenset({"W1", "W2", "W3", "W6"}) | NETWORKS

CONTENDERS: dict[str, Contender] = {
    contender.name: contender
    for contender in (
        Contender(
            YARDSTICK, "NumPy, hand-written, tuned", make_handwritten, ("benchmarks.handwritten",), EVERYWHERE
        ),
        Contender(
            "handwritten-again",
            "the same once more: what noise does",
            make_handwritten,
            ("benchmarks.handwritten",),
            EVERYWHERE,
        ),
        Contender(
            "handwritten-plain",
            "NumPy, buffers and out= only",
            make_plain,
            ("benchmarks.handwritten_plain",),
            frozenset({"W1"}),
        ),
        Contender("portanet", "portanet on NumPy", make_portanet, ("benchmarks.portanet_steps",), EVERYWHERE),
        Contender(
            "fit",
            "portanet.train.fit on NumPy",
            make_fit,
            ("benchmarks.portanet_steps",),
            frozenset({"W1", "W2"}),
        ),
        Contender(
            "portanet-torch",
            "portanet on PyTorch",
            make_portanet_torch,
            ("torch", "benchmarks.portanet_steps"),
            NETWORKS,
        ),
        Contender("torch", "PyTorch eager", make_torch, ("benchmarks.torch_steps",), EVERYWHERE),
        Contender(
            "torch-fused",
            "PyTorch eager, fused AdamW",
            make_torch_fused,
            ("benchmarks.torch_steps",),
            frozenset({"W6"}),
        ),
    )
}
