"""Train one small network three times, each time leaving more of the work to Portanet.

    python examples/two_layer_net.py
    python examples/two_layer_net.py --backend torch --epochs 200

The network takes 1000 numbers through 100 hidden ones to 10, and learns 64 random examples by heart. All of them are in
every step, so a step is an epoch. The three ways are

1. by hand: forward and backward written out with matrix products, no gradients recorded;
2. autograd: the forward pass written out, the gradients from ``backward``;
3. nn and optim: layers, a loss and an optimizer.

They start from the same weights and compute the same thing, so their losses are the same up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from common import read_options
from tqdm import tqdm

import portanet as pn
from portanet import nn, optim, plot

EXAMPLES, INPUTS, HIDDEN, OUTPUTS = 64, 1000, 100, 10
LEARNING_RATE = 0.02
TOLERANCE = 1e-5  # float32 rounds each number to one part in ten million, and a loss is made of many


def train_by_hand(x: pn.Tensor, y: pn.Tensor, w1: pn.Tensor, w2: pn.Tensor, steps: int) -> list[float]:
    """Write the gradients out, from the loss back to the first weights."""
    w1, w2 = w1.clone(), w2.clone()
    losses = []
    for _ in tqdm(range(steps), desc="by hand", unit="step"):
        hidden = x.mm(w1)  # (64, 100)
        active = hidden.clamp(min=0)  # the rectifier: negative numbers become 0
        predicted = active.mm(w2)  # (64, 10)
        error = predicted - y
        losses.append(error.square().mean())

        # The derivative of a mean of squares is twice the error, divided by how many there are.
        grad_predicted = error * (2 / error.size)
        grad_w2 = active.t().mm(grad_predicted)  # (100, 10)
        grad_hidden = grad_predicted.mm(w2.t())  # (64, 100)
        grad_hidden[hidden < 0] = 0.0  # where the rectifier gave 0, the loss does not feel a small change
        grad_w1 = x.t().mm(grad_hidden)  # (1000, 100)

        w1 -= LEARNING_RATE * grad_w1
        w2 -= LEARNING_RATE * grad_w2
    return [loss.item() for loss in losses]


def train_with_autograd(x: pn.Tensor, y: pn.Tensor, w1: pn.Tensor, w2: pn.Tensor, steps: int) -> list[float]:
    """Write the forward pass only: operations on Tensors that require a gradient are recorded."""
    w1, w2 = w1.clone().requires_grad_(), w2.clone().requires_grad_()
    losses = []
    for _ in tqdm(range(steps), desc="autograd", unit="step"):
        predicted = x.mm(w1).clamp(min=0).mm(w2)
        loss = (predicted - y).square().mean()
        losses.append(loss.detach())

        loss.backward()
        # The update is no part of the network, so it is not recorded.
        with pn.no_grad():
            w1 -= LEARNING_RATE * w1.grad
            w2 -= LEARNING_RATE * w2.grad
        w1.grad = w2.grad = None  # the next backward would add to them
    return [loss.item() for loss in losses]


def train_with_nn(x: pn.Tensor, y: pn.Tensor, w1: pn.Tensor, w2: pn.Tensor, steps: int) -> list[float]:
    """Put ready-made parts together; this is how a network is written when there is nothing to show."""
    model = nn.Sequential(
        nn.Linear(INPUTS, HIDDEN, bias=False),
        nn.ReLU(),
        nn.Linear(HIDDEN, OUTPUTS, bias=False),
    )
    # A Linear layer keeps its weights as (outputs, inputs).
    model.load_state_dict({"0.weight": w1.t(), "2.weight": w2.t()})
    loss_fn = nn.MSELoss()
    optimizer = optim.SGD(model.parameters(), lr=LEARNING_RATE)
    losses = []
    for _ in tqdm(range(steps), desc="nn and optim", unit="step"):
        loss = loss_fn(model(x), y)
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [loss.item() for loss in losses]


def print_losses(losses: dict[str, list[float]]) -> None:
    """Print about ten steps of the three runs side by side."""
    steps = len(losses["by hand"])
    print(f"{'step':>6}" + "".join(f"{name:>16}" for name in losses))
    for step in range(0, steps, math.ceil(steps / 10)):
        print(f"{step:>6}" + "".join(f"{row[step]:>16.5f}" for row in losses.values()))


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Train three times; return the losses of each way by its name."""
    options = read_options(
        arguments,
        "Train a network of two layers by hand, with autograd, and with nn and optim.",
        epochs=500,
        epochs_help="steps of gradient descent; each sees all examples",
        output="pictures/two_layer_net",
    )
    x = pn.random.normal((EXAMPLES, INPUTS))
    y = pn.random.normal((EXAMPLES, OUTPUTS))
    # Divided by the root of the number of inputs, so that every layer's numbers are of the size of 1.
    w1 = pn.random.normal((INPUTS, HIDDEN), std=INPUTS**-0.5)
    w2 = pn.random.normal((HIDDEN, OUTPUTS), std=HIDDEN**-0.5)

    losses = {
        "by hand": train_by_hand(x, y, w1, w2, options.epochs),
        "autograd": train_with_autograd(x, y, w1, w2, options.epochs),
        "nn and optim": train_with_nn(x, y, w1, w2, options.epochs),
    }
    print_losses(losses)
    differences = [
        abs(a - b) for name in losses for a, b in zip(losses[name], losses["by hand"], strict=True)
    ]
    assert max(differences) < TOLERANCE, f"the losses differ by {max(differences)}"
    print(f"the three ways differ by at most {max(differences):.1e}")

    ax = plot.loss_curve(
        losses, xlabel="steps", ylabel="mean squared error", title="Three ways, the same losses"
    )
    ax.set_yscale("log")
    print(f"picture: {plot.save(ax, options.output / 'losses.png')}")
    return losses


if __name__ == "__main__":
    main()
