"""The same training steps in eager PyTorch, as its documentation writes them."""

from __future__ import annotations

import torch
from torch import nn

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

__all__ = ["MLPJob", "NetworkJob", "UpdateJob"]


def adamw(parameters: list[nn.Parameter], fused: bool) -> torch.optim.AdamW:
    """Make the optimizer: PyTorch's default on a CPU is a loop over the tensors; `fused` is one C++ pass over each."""
    return torch.optim.AdamW(
        parameters,
        lr=ADAMW.lr,
        betas=ADAMW.betas,
        eps=ADAMW.eps,
        weight_decay=ADAMW.weight_decay,
        fused=True if fused else None,
    )


class MLPJob:
    """A `Sequential` of Linear and activation, a loss, and AdamW."""

    def __init__(self, problem: Problem, activation: str, threads: int, fused: bool) -> None:
        torch.set_num_threads(threads)
        self.problem, self.fused = problem, fused
        layers: list[nn.Module] = []
        for weight in problem.weights:
            out_features, in_features = weight.shape
            layers += [nn.Linear(in_features, out_features), nn.Tanh() if activation == "tanh" else nn.ReLU()]
        self.model = nn.Sequential(*layers[:-1])
        self.loss_fn = nn.BCEWithLogitsLoss() if activation == "tanh" else nn.CrossEntropyLoss()
        self.inputs, self.targets = torch.tensor(problem.inputs), torch.tensor(problem.targets)
        self.restart()

    def restart(self) -> None:
        """Go back to the first weights, with a fresh optimizer."""
        first = [
            array for pair in zip(self.problem.weights, self.problem.biases, strict=True) for array in pair
        ]
        names = self.model.state_dict()
        self.model.load_state_dict(
            {name: torch.tensor(array) for name, array in zip(names, first, strict=True)}
        )
        self.optimizer = adamw(list(self.model.parameters()), self.fused)

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


class NetworkJob:
    """A larger network, cross entropy, and its optimizer."""

    def __init__(self, problem: NetworkProblem, workload: NetworkTraining, threads: int, fused: bool) -> None:
        torch.set_num_threads(threads)
        self.problem, self.workload, self.fused = problem, workload, fused
        self.model = make_network(nn, workload)
        self.inputs, self.targets = torch.tensor(problem.inputs), torch.tensor(problem.targets.reshape(-1))
        self.restart()

    def restart(self) -> None:
        """Go back to the first weights, with a fresh optimizer."""
        self.model.load_state_dict(
            {name: torch.tensor(array) for name, array in self.problem.parameters.items()}
        )
        parameters = list(self.model.parameters())
        if self.workload.heads:
            self.optimizer: torch.optim.Optimizer = adamw(parameters, self.fused)
        else:
            self.optimizer = torch.optim.SGD(parameters, lr=SGD.lr, momentum=SGD.momentum)

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

    def __init__(self, problem: UpdateProblem, threads: int, fused: bool) -> None:
        torch.set_num_threads(threads)
        self.problem, self.fused = problem, fused
        self.restart()

    def restart(self) -> None:
        """Go back to the first parameters and gradients, with a fresh optimizer."""
        self.tensors = [nn.Parameter(torch.tensor(array)) for array in self.problem.parameters]
        self.scale_gradients(1.0)
        self.optimizer = adamw(self.tensors, self.fused)

    def scale_gradients(self, factor: float) -> None:
        """Set the gradients to `factor` times the given ones."""
        for tensor, gradient in zip(self.tensors, self.problem.gradients, strict=True):
            tensor.grad = torch.tensor(gradient) * factor

    def step(self) -> None:
        """One update."""
        self.optimizer.step()

    def parameters(self) -> list[Floats]:
        """Return the parameters."""
        return [tensor.detach().numpy() for tensor in self.tensors]
