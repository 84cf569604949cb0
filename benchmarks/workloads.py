"""What is timed: shapes, seeded data, and what every contender must be able to do.

All contenders get the same NumPy arrays from here, so that their losses can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ADAMW",
    "WORKLOADS",
    "Job",
    "Problem",
    "Training",
    "TrainingJob",
    "Update",
    "UpdateProblem",
    "UpdatingJob",
    "make_problem",
    "make_update_problem",
]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class AdamWSettings:
    """The arguments of AdamW, the same for everyone."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01


ADAMW = AdamWSettings()


@dataclass(frozen=True)
class Training:
    """A whole training step of a multilayer perceptron on one fixed batch: forward, loss, backward, AdamW."""

    name: str
    title: str
    sizes: tuple[int, ...]
    activation: str
    loss: str
    batch: int
    budget: float
    """The ratio to hand-written NumPy that portanet may cost at most."""
    compared_steps: int
    """How many first steps must show the same losses."""
    unit: str
    yardstick: str = "handwritten"
    """The hand-written contender that the budget refers to."""


@dataclass(frozen=True)
class Update:
    """AdamW alone: the gradients are given, nothing else runs."""

    name: str
    title: str
    shapes: tuple[tuple[int, ...], ...]
    budget: float
    unit: str
    yardstick: str = "handwritten"


WORKLOADS: dict[str, Training | Update] = {
    "W1": Training(
        name="W1",
        title="dots MLP 2-5-3-1, tanh, BCE with logits, batch 50, AdamW",
        sizes=(2, 5, 3, 1),
        activation="tanh",
        loss="bce_with_logits",
        batch=50,
        budget=1.8,
        compared_steps=200,
        unit="us",
        yardstick="handwritten-plain",
    ),
    "W2": Training(
        name="W2",
        title="MLP 784-256-10, ReLU, cross entropy, batch 64, AdamW",
        sizes=(784, 256, 10),
        activation="relu",
        loss="cross_entropy",
        batch=64,
        budget=1.2,
        compared_steps=10,
        unit="ms",
    ),
    "W3": Training(
        name="W3",
        title="MLP 1024-2048-2048-1000, ReLU, cross entropy, batch 256, AdamW",
        sizes=(1024, 2048, 2048, 1000),
        activation="relu",
        loss="cross_entropy",
        batch=256,
        budget=1.1,
        compared_steps=4,
        unit="ms",
    ),
    "W6": Update(
        name="W6",
        title="AdamW alone, 10 million float32 parameters in 50 tensors",
        shapes=((400, 500),) * 50,
        budget=1.05,
        unit="ms",
    ),
}


@dataclass(frozen=True)
class Problem:
    """The arrays of a `Training` workload.

    Weights are (out_features, in_features) and biases (out_features,), as PyTorch and portanet keep them. Targets are
    float32 of shape (batch, 1) for the binary loss, and int64 class indices of shape (batch,) for cross entropy.
    """

    weights: list[Floats]
    biases: list[Floats]
    inputs: Floats
    targets: NDArray[np.float32] | NDArray[np.int64]


@dataclass(frozen=True)
class UpdateProblem:
    """The arrays of an `Update` workload: one gradient for each parameter."""

    parameters: list[Floats]
    gradients: list[Floats]


class Job(Protocol):
    """What a contender must be able to do. `step` is what is timed; the rest proves that it does the same job."""

    def restart(self) -> None:
        """Go back to the first weights, with a fresh optimizer, so that each burst times the same steps."""

    def step(self) -> None:
        """One training step, or one update; what a user's loop would run, and nothing read back."""

    def parameters(self) -> list[Floats]:
        """The parameters as they are now, as NumPy arrays."""


class TrainingJob(Job, Protocol):
    """A job for a `Training` workload."""

    def loss(self) -> float:
        """The loss of the latest step."""


class UpdatingJob(Job, Protocol):
    """A job for an `Update` workload."""

    def scale_gradients(self, factor: float) -> None:
        """Set the gradients to `factor` times the given ones."""


def make_problem(workload: Training, seed: int = 0) -> Problem:
    """Draw weights and one batch for `workload`; the same seed gives the same arrays everywhere."""
    rng = np.random.default_rng(seed)
    weights: list[Floats] = []
    biases: list[Floats] = []
    for in_features, out_features in zip(workload.sizes[:-1], workload.sizes[1:], strict=True):
        bound = in_features**-0.5
        weights.append(rng.uniform(-bound, bound, (out_features, in_features)).astype(np.float32))
        biases.append(rng.uniform(-bound, bound, out_features).astype(np.float32))
    if workload.loss == "bce_with_logits":
        labels = rng.integers(0, 2, workload.batch)
        centres = np.where(labels[:, None] == 1, 1.0, -1.0)
        points = centres + rng.normal(size=(workload.batch, workload.sizes[0]))
        return Problem(weights, biases, points.astype(np.float32), labels[:, None].astype(np.float32))
    inputs = rng.normal(size=(workload.batch, workload.sizes[0])).astype(np.float32)
    classes = rng.integers(0, workload.sizes[-1], workload.batch)
    return Problem(weights, biases, inputs, classes)


def make_update_problem(workload: Update, seed: int = 0) -> UpdateProblem:
    """Draw small parameters and gradients of all sizes for `workload`."""
    rng = np.random.default_rng(seed)
    parameters: list[Floats] = []
    gradients: list[Floats] = []
    for shape in workload.shapes:
        parameters.append(rng.standard_normal(shape, dtype=np.float32) * np.float32(0.02))
        gradients.append(rng.standard_normal(shape, dtype=np.float32))
    return UpdateProblem(parameters, gradients)
