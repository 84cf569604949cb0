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
    "SGD",
    "WORKLOADS",
    "Budget",
    "Job",
    "NetworkProblem",
    "NetworkTraining",
    "Problem",
    "Training",
    "TrainingJob",
    "Update",
    "UpdateProblem",
    "UpdatingJob",
    "Workload",
    "make_network_problem",
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


@dataclass(frozen=True)
class SGDSettings:
    """The arguments of SGD, the same for everyone."""

    lr: float = 0.01
    momentum: float = 0.9


ADAMW = AdamWSettings()
SGD = SGDSettings()


@dataclass(frozen=True)
class Budget:
    """What a contender may cost at most, as a multiple of another one."""

    contender: str
    ratio: float
    yardstick: str


def on_numpy(ratio: float, yardstick: str = "handwritten") -> tuple[Budget, ...]:
    """Return the budget of portanet on NumPy alone."""
    return (Budget("portanet", ratio, yardstick),)


def with_fit(ratio: float) -> Budget:
    """Return the budget of `fit` beside the same loop written out."""
    return Budget("fit", ratio, "portanet")


def on_both(ratio: float) -> tuple[Budget, ...]:
    """Return the budget on NumPy, and that on PyTorch's arrays beside PyTorch itself."""
    return (*on_numpy(ratio), Budget("portanet-torch", 1.15, "torch"))


@dataclass(frozen=True)
class Training:
    """A whole training step of a multilayer perceptron on one fixed batch: forward, loss, backward, AdamW."""

    name: str
    title: str
    sizes: tuple[int, ...]
    activation: str
    loss: str
    batch: int
    budgets: tuple[Budget, ...]
    """The first is that of portanet on NumPy; its yardstick is what all ratios in the table refer to."""
    compared_steps: int
    """How many first steps must show the same losses."""
    unit: str


@dataclass(frozen=True)
class NetworkTraining:
    """A whole training step of a larger network on one fixed batch: forward, loss, backward, optimizer.

    The models themselves are in `benchmarks/networks.py`, written once for PyTorch and portanet.
    """

    name: str
    title: str
    batch: int
    inputs: tuple[int, ...]
    """Shape of one input; of token numbers where there is a vocabulary."""
    outputs: int
    """Classes, or the vocabulary."""
    shapes: dict[str, tuple[int, ...]]
    """The parameters by their names in the state_dict."""
    budgets: tuple[Budget, ...]
    compared_steps: int
    unit: str
    memory_budget: Budget | None = None
    """What the peak memory of a step may be at most."""
    layers: int = 0
    heads: int = 0
    """Of a Transformer; 0 for the convolutional network."""


@dataclass(frozen=True)
class Update:
    """AdamW alone: the gradients are given, nothing else runs."""

    name: str
    title: str
    shapes: tuple[tuple[int, ...], ...]
    budgets: tuple[Budget, ...]
    unit: str


Workload = Training | NetworkTraining | Update


def gpt_shapes(vocabulary: int, layers: int, width: int, context: int) -> dict[str, tuple[int, ...]]:
    """Return the parameters of a decoder-only Transformer."""
    shapes: dict[str, tuple[int, ...]] = {
        "token.weight": (vocabulary, width),
        "position.weight": (context, width),
    }

    def norm(name: str) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)

    def linear(name: str, in_features: int, out_features: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (out_features, in_features), (out_features,)

    for i in range(layers):
        norm(f"blocks.{i}.norm1")
        linear(f"blocks.{i}.qkv", width, 3 * width)
        linear(f"blocks.{i}.projection", width, width)
        norm(f"blocks.{i}.norm2")
        linear(f"blocks.{i}.up", width, 4 * width)
        linear(f"blocks.{i}.down", 4 * width, width)
    norm("norm")
    linear("head", width, vocabulary)
    return shapes


WORKLOADS: dict[str, Workload] = {
    "W1": Training(
        name="W1",
        title="dots MLP 2-5-3-1, tanh, BCE with logits, batch 50, AdamW",
        sizes=(2, 5, 3, 1),
        activation="tanh",
        loss="bce_with_logits",
        batch=50,
        budgets=(*on_numpy(1.8, "handwritten-plain"), with_fit(1.25)),
        compared_steps=200,
        unit="us",
    ),
    "W2": Training(
        name="W2",
        title="MLP 784-256-10, ReLU, cross entropy, batch 64, AdamW",
        sizes=(784, 256, 10),
        activation="relu",
        loss="cross_entropy",
        batch=64,
        budgets=(*on_numpy(1.2), with_fit(1.05)),
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
        budgets=on_numpy(1.1),
        compared_steps=4,
        unit="ms",
    ),
    "W4": NetworkTraining(
        name="W4",
        title="CNN on 1x28x28: Conv 32, Conv 64, 3x3, two max-pools, Linear; batch 32, SGD with momentum",
        batch=32,
        inputs=(1, 28, 28),
        outputs=10,
        shapes={
            "0.weight": (32, 1, 3, 3),
            "0.bias": (32,),
            "3.weight": (64, 32, 3, 3),
            "3.bias": (64,),
            "7.weight": (10, 1600),
            "7.bias": (10,),
        },
        budgets=on_both(1.4),
        compared_steps=10,
        unit="ms",
    ),
    "W5": NetworkTraining(
        name="W5",
        title="GPT: vocabulary 65, 4 layers, width 128, 4 heads, context 128, batch 16, AdamW",
        batch=16,
        inputs=(128,),
        outputs=65,
        shapes=gpt_shapes(vocabulary=65, layers=4, width=128, context=128),
        budgets=on_both(1.25),
        compared_steps=10,
        unit="ms",
        memory_budget=Budget("portanet", 1.3, "torch"),
        layers=4,
        heads=4,
    ),
    "W6": Update(
        name="W6",
        title="AdamW alone, 10 million float32 parameters in 50 tensors",
        shapes=((400, 500),) * 50,
        budgets=on_numpy(1.05),
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
class NetworkProblem:
    """The arrays of a `NetworkTraining` workload: parameters by name, in the order of the state_dict.

    Images are float32 of shape (batch, channels, height, width) with int64 class indices of shape (batch,); tokens and
    the tokens that follow them are int64 of shape (batch, context).
    """

    parameters: dict[str, Floats]
    inputs: NDArray[np.float32] | NDArray[np.int64]
    targets: NDArray[np.int64]


@dataclass(frozen=True)
class UpdateProblem:
    """The arrays of an `Update` workload: one gradient for each parameter."""

    parameters: list[Floats]
    gradients: list[Floats]


class Job(Protocol):
    """What a contender must be able to do. `step` is what is timed; the rest proves that it does the same job.

    One that runs many steps by itself has a method `run(steps)` as well, which is timed instead.
    """

    def restart(self) -> None:
        """Go back to the first weights, with a fresh optimizer, so that each burst times the same steps."""

    def step(self) -> None:
        """One training step, or one update; what a user's loop would run, and nothing read back."""

    def parameters(self) -> list[Floats]:
        """The parameters as they are now, as NumPy arrays."""


class TrainingJob(Job, Protocol):
    """A job for a `Training` or a `NetworkTraining` workload."""

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


def make_network_problem(workload: NetworkTraining, seed: int = 0) -> NetworkProblem:
    """Draw parameters and one batch for `workload`."""
    rng = np.random.default_rng(seed)
    parameters: dict[str, Floats] = {}
    for name, shape in workload.shapes.items():
        if "norm" in name:
            centre = 1.0 if name.endswith("weight") else 0.0
            values = centre + 0.1 * rng.standard_normal(shape)
        else:
            embedding = name in ("token.weight", "position.weight")
            bound = 0.05 if embedding or len(shape) == 1 else float(np.prod(shape[1:])) ** -0.5
            values = rng.uniform(-bound, bound, shape)
        parameters[name] = values.astype(np.float32)
    shape = (workload.batch, *workload.inputs)
    if workload.heads:
        tokens = rng.integers(0, workload.outputs, shape)
        return NetworkProblem(parameters, tokens, rng.integers(0, workload.outputs, shape))
    images = rng.standard_normal(shape, dtype=np.float32)
    return NetworkProblem(parameters, images, rng.integers(0, workload.outputs, workload.batch))


def make_update_problem(workload: Update, seed: int = 0) -> UpdateProblem:
    """Draw small parameters and gradients of all sizes for `workload`."""
    rng = np.random.default_rng(seed)
    parameters: list[Floats] = []
    gradients: list[Floats] = []
    for shape in workload.shapes:
        parameters.append(rng.standard_normal(shape, dtype=np.float32) * np.float32(0.02))
        gradients.append(rng.standard_normal(shape, dtype=np.float32))
    return UpdateProblem(parameters, gradients)
