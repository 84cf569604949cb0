"""Send pictures through a small network: a whole batch at once, and a single one.

    python examples/network.py
    python examples/network.py --backend torch

The network has 784 inputs, one for each pixel of a picture of 28 × 28, and 10 outputs, the probabilities of the digits
0 to 9. It is not trained, so it has no idea: it says much the same of every picture. A drawing of the first three with
their probabilities goes to the output folder.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import read_options
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from tqdm import tqdm

import portanet as pn
from portanet import nn, plot


class Network(nn.Module):
    """784 numbers in, 10 probabilities out."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, 256)
        self.sigmoid = nn.Sigmoid()
        self.output = nn.Linear(256, 10)
        # A batch has shape (pictures, 10). Softmax(dim=1) makes each picture's ten numbers sum to 1.
        self.softmax = nn.Softmax(dim=1)

    def forward(self, pictures: pn.Tensor) -> pn.Tensor:
        hidden = self.sigmoid(self.hidden(pictures))  # (pictures, 256)
        return self.softmax(self.output(hidden))  # (pictures, 10)


def load_pictures(count: int) -> pn.Tensor:
    """Return handwritten digits, shape (count, 784), each pixel from 0 to 1."""
    small = load_digits().images[:count] / 16  # 8 × 8 pixels
    large = small.repeat(3, axis=1).repeat(3, axis=2)  # 24 × 24
    framed = np.pad(large, ((0, 0), (2, 2), (2, 2)))  # 28 × 28
    return pn.asarray(framed.reshape(count, 784), dtype=pn.float32)


def draw(pictures: pn.Tensor, probabilities: pn.Tensor, folder: Path) -> None:
    """Draw a few digits, each beside what the network makes of it."""
    figure = Figure(figsize=(6.4, 2 * len(pictures)), layout="constrained")
    figure.suptitle("An untrained network says much the same, whatever it sees")
    rows = figure.subplots(len(pictures), 2, width_ratios=(1, 3), sharex="col", sharey="col")
    for (left, right), picture, row in zip(rows, pictures, probabilities, strict=True):
        left.imshow(picture.reshape(28, 28).numpy(), cmap="gray_r")
        left.set_axis_off()
        right.bar(range(10), row.numpy(), color=plot.COLOURS[0], edgecolor="black")
        right.axhline(0.1, color="black", linestyle="--", label="no idea: one in ten")
        right.set(ylabel="probability", xticks=range(10))
    rows[0, 1].legend(frameon=False, loc="upper right")
    rows[-1, 1].set_xlabel("digit")
    print(f"picture: {plot.save(figure, folder / 'probabilities.png')}")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Send pictures through the network; return the probabilities of the batch and of its first picture alone."""
    options = read_options(
        arguments,
        "Send pictures through an untrained network.",
        epochs=200,
        epochs_help="how often the batch goes through, to measure how long that takes",
        output="pictures/network",
    )
    model = Network()
    print(model)
    pictures = load_pictures(64)

    # Nothing is trained here, so nothing needs to be recorded for a backward pass.
    with pn.no_grad():
        batch = model(pictures)
        print(
            f"a batch: {pictures.shape} in, {batch.shape} out; each row sums to {batch.sum(axis=1).mean():.4f}"
        )

        # One picture has shape (784,), and what comes out of it (10,): there is no axis 1 that Softmax(dim=1) could
        # sum over. So make it a batch of one, and take the only row of the answer.
        single = model(pictures[0].reshape(1, 784))[0]
        print(
            f"a single picture: {pictures[0].shape} in, {single.shape} out; its numbers sum to {single.sum():.4f}"
        )
        print(f"the same numbers as in the batch: {bool(abs(single - batch[0]).max() < 1e-6)}")

        start = time.perf_counter()
        for _ in tqdm(range(options.epochs), desc="forward", unit="batch"):
            last = model(pictures)
        last.numpy()  # a GPU may still be at work until its result is asked for
        seconds = time.perf_counter() - start
    print(f"{options.epochs * len(pictures) / seconds:,.0f} pictures a second on {pn.get_backend().name}")

    draw(pictures[:3], batch[:3], options.output)
    return {"batch": batch.tolist(), "single": single.tolist()}


if __name__ == "__main__":
    main()
