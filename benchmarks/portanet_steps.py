"""The same training steps in portanet, as its documentation writes them."""

from __future__ import annotations

import numpy as np

import portanet as pn
from benchmarks.networks import make_network, mean_loss
from benchmarks.workloads import (
    ADAMW,
    SGD,
    Floats,
    NetworkProblem,
    NetworkTraining,
    Problem,
    UpdateProblem,
)
from portanet import nn, optim, train

__all__ = ["FitJob", "MLPJob", "NetworkJob", "UpdateJob"]

EPOCH = 100
"""Batches in an epoch of `fit`."""


def adamw(parameters: list[nn.Parameter]) -> optim.AdamW:
    """Make the optimizer."""
    return optim.AdamW(
        parameters, lr=ADAMW.lr, betas=ADAMW.betas, eps=ADAMW.eps, weight_decay=ADAMW.weight_decay
    )


def use_backend(name: str, threads: int) -> None:
    """Put portanet on an array library, and let it and portanet's own kernels use `threads` threads."""
    pn.set_backend(name, strict=True)
    pn.set_num_threads(threads)
    if name == "torch":
        import torch

        torch.set_num_threads(threads)


class MLPJob:
    """A `Sequential` of Linear and activation, a loss, and AdamW."""

    def __init__(self, problem: Problem, activation: str, threads: int) -> None:
        use_backend("numpy", threads)
        self.problem = problem
        layers: list[nn.Module] = []
        for weight in problem.weights:
            out_features, in_features = weight.shape
            layers += [nn.Linear(in_features, out_features), nn.Tanh() if activation == "tanh" else nn.ReLU()]
        self.model = nn.Sequential(*layers[:-1])
        self.loss_fn = nn.BCEWithLogitsLoss() if activation == "tanh" else nn.CrossEntropyLoss()
        self.inputs, self.targets = pn.Tensor(problem.inputs), pn.Tensor(problem.targets)
        self.restart()

    def restart(self) -> None:
        """Go back to the first weights, with a fresh optimizer."""
        first = [
            array for pair in zip(self.problem.weights, self.problem.biases, strict=True) for array in pair
        ]
        names = self.model.state_dict()
        self.model.load_state_dict({name: pn.Tensor(array) for name, array in zip(names, first, strict=True)})
        self.optimizer = adamw(list(self.model.parameters()))

    def step(self) -> None:
        """One training step."""
        self.latest = self.loss_fn(self.model(self.inputs), self.targets)
        self.optimizer.zero_grad()
        self.latest.backward()
        self.optimizer.step()

    def loss(self) -> float:
        """Return the loss of the latest step."""
        return float(self.latest.item())

    def parameters(self) -> list[Floats]:
        """Return the parameters: weight, bias, weight, bias, ..."""
        return [parameter.detach().numpy() for parameter in self.model.parameters()]


class FitJob(MLPJob):
    """The same training by `portanet.train.fit`, in epochs of 100 batches."""

    def step(self) -> None:
        """One training step."""
        self.run(1)

    def run(self, steps: int) -> None:
        """So many training steps."""
        for batches, epochs in ((EPOCH, steps // EPOCH), (steps % EPOCH, 1)):
            if batches and epochs:
                data = [(self.inputs, self.targets)] * batches
                history = train.fit(self.model, self.loss_fn, self.optimizer, data, epochs=epochs)
                self.latest_loss = history.losses[-1]

    def loss(self) -> float:
        """Return the loss of the latest step."""
        return self.latest_loss


class NetworkJob:
    """A larger network, cross entropy, and its optimizer, on the arrays of any library."""

    def __init__(
        self, problem: NetworkProblem, workload: NetworkTraining, threads: int, backend: str
    ) -> None:
        use_backend(backend, threads)
        self.problem, self.workload = problem, workload
        self.model = make_network(nn, workload)
        self.inputs, self.targets = pn.asarray(problem.inputs), pn.asarray(problem.targets.reshape(-1))
        self.restart()

    def restart(self) -> None:
        """Go back to the first weights, with a fresh optimizer."""
        self.model.load_state_dict(
            {name: pn.asarray(array, copy=True) for name, array in self.problem.parameters.items()}
        )
        parameters = list(self.model.parameters())
        if self.workload.heads:
            self.optimizer: optim.Optimizer = adamw(parameters)
        else:
            self.optimizer = optim.SGD(parameters, lr=SGD.lr, momentum=SGD.momentum)

    def step(self) -> None:
        """One training step."""
        self.latest = mean_loss(nn, self.model(self.inputs), self.targets)
        self.optimizer.zero_grad()
        self.latest.backward()
        self.optimizer.step()

    def loss(self) -> float:
        """Return the loss of the latest step."""
        return float(self.latest.item())

    def parameters(self) -> list[Floats]:
        """Return the parameters in the order of the state_dict."""
        return [parameter.detach().numpy() for parameter in self.model.parameters()]


class UpdateJob:
    """AdamW alone, over the parameters as separate tensors."""

    def __init__(self, problem: UpdateProblem, threads: int) -> None:
        use_backend("numpy", threads)
        self.problem = problem
        self.restart()

    def restart(self) -> None:
        """Go back to the first parameters and gradients, with a fresh optimizer."""
        self.tensors = [nn.Parameter(pn.Tensor(array)) for array in self.problem.parameters]
        self.scale_gradients(1.0)
        self.optimizer = adamw(self.tensors)

    def scale_gradients(self, factor: float) -> None:
        """Set the gradients to `factor` times the given ones."""
        for tensor, gradient in zip(self.tensors, self.problem.gradients, strict=True):
            tensor.grad = pn.Tensor(gradient * np.float32(factor))

    def step(self) -> None:
        """One update."""
        self.optimizer.step()

    def parameters(self) -> list[Floats]:
        """Return the parameters."""
        return [tensor.detach().numpy() for tensor in self.tensors]
