"""A small model, data for it, a loop, and optimizers under settings that between them use every option."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import portanet as pn
from portanet import nn, optim

SETTINGS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": lambda parameters: optim.SGD(parameters, lr=0.1),
    "sgd-momentum": lambda parameters: optim.SGD(
        parameters, lr=0.1, momentum=0.9, dampening=0.5, weight_decay=0.01
    ),
    "sgd-nesterov": lambda parameters: optim.SGD(parameters, lr=0.05, momentum=0.8, nesterov=True),
    "sgd-maximize": lambda parameters: optim.SGD(parameters, lr=0.01, momentum=0.5, maximize=True),
    "adam": lambda parameters: optim.Adam(parameters, lr=0.05, weight_decay=0.1),
    "adam-amsgrad": lambda parameters: optim.Adam(parameters, lr=0.05, betas=(0.5, 0.6), amsgrad=True),
    "adamw": lambda parameters: optim.AdamW(parameters, lr=0.05, weight_decay=0.1, eps=1e-3),
    "adamw-maximize": lambda parameters: optim.AdamW(parameters, lr=0.01, amsgrad=True, maximize=True),
}


class Net(nn.Module):
    def __init__(self) -> None:
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))

    def forward(self, x: Any) -> Any:
        return self.layers(x)


def leaf(*values: float) -> pn.Tensor:
    return pn.Tensor(list(values), requires_grad=True)


def batches(rng: Any, count: int) -> list[tuple[Any, Any]]:
    return [(rng.normal(size=(5, 3)).astype("float32"), rng.integers(0, 2, 5)) for _ in range(count)]


def train(model: nn.Module, optimizer: optim.Optimizer, data: list[tuple[Any, Any]]) -> list[float]:
    losses = []
    for x, y in data:
        loss = nn.functional.cross_entropy(model(pn.asarray(x)), pn.asarray(y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def values(model: nn.Module) -> list[Any]:
    return [np.array(parameter.detach().numpy()) for parameter in model.parameters()]


def assert_equal(found: list[Any], expected: list[Any]) -> None:
    for mine, its in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, its)
