"""Teach an LSTM to remember: add two marked numbers of a sequence, with many others between them.

    python examples/sequence_lstm.py
    python examples/sequence_lstm.py --backend torch --seed 1

This is the adding problem, on which Hochreiter and Schmidhuber tried the LSTM in 1997. Each sequence has 20 to 40
random numbers from 0 to 1. One in its first half and one in its second half are marked, and their sum is wanted at the
end. Whoever remembers nothing does best by always saying 1, with a mean squared error of 1/6. The sequences of a batch
are of unequal lengths, and are packed, so that the LSTM never reads beyond an end. Pictures of the loss, of the
answers, and of how much each number of one sequence counts go to the output folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import read_options
from matplotlib.figure import Figure
from tqdm import tqdm

import portanet as pn
from portanet import nn, optim, plot
from portanet.nn.utils.rnn import PackedSequence, pack_padded_sequence

SHORTEST, LONGEST = 20, 40
BATCH = 64
UPDATES = 25  # in one epoch
CONSTANT = 1 / 6  # mean squared error of the best constant: the variance of a sum of two such numbers
PROMISE = 50  # the error on fresh sequences is at least so many times smaller, with the default options


class Adder(nn.Module):
    """Packed sequences of (number, mark) to the sum of the marked numbers, (batch,)."""

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, hidden, batch_first=True)
        self.output = nn.Linear(hidden, 1)
        # A forget gate that begins open remembers. Gates lie one below another: input, forget, cell, output.
        with pn.no_grad():
            self.lstm.bias_ih_l0[hidden : 2 * hidden] = 1.0

    def forward(self, sequences: PackedSequence) -> pn.Tensor:
        _, (last, _) = self.lstm(sequences)
        return self.output(last[0, ...])[:, 0]


def draw_sequences(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return random sequences, (count, LONGEST, 2), of which only the first part counts; their lengths; the sums."""

    def places(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return low + (pn.random.uniform((count,)).numpy() * (high - low)).astype(int)

    lengths = pn.random.integers(SHORTEST, LONGEST + 1, (count,)).numpy()
    numbers = pn.random.uniform((count, LONGEST)).numpy()
    marks = np.zeros_like(numbers)
    for low, high in ((0 * lengths, lengths // 2), (lengths // 2, lengths)):
        marks[np.arange(count), places(low, high)] = 1
    return np.stack([numbers, marks], axis=-1), lengths, (numbers * marks).sum(axis=1)


def pack(sequences: np.ndarray | pn.Tensor, lengths: np.ndarray) -> PackedSequence:
    """Leave out what stands behind the end of each sequence."""
    return pack_padded_sequence(
        pn.asarray(sequences), lengths.tolist(), batch_first=True, enforce_sorted=False
    )


def train(model: Adder, epochs: int) -> list[float]:
    """Train the model on sequences that it has never seen; return the loss of every update."""
    loss_fn = nn.MSELoss()
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=epochs * UPDATES)
    losses: list[float] = []
    progress = tqdm(range(epochs), desc="training", unit="epoch")
    for _ in progress:
        epoch_losses = []
        for _ in range(UPDATES):
            sequences, lengths, sums = draw_sequences(BATCH)
            loss = loss_fn(model(pack(sequences, lengths)), pn.asarray(sums))
            optimizer.zero_grad()
            loss.backward()
            # Through many steps back a gradient can grow out of all proportion; one such update would undo many.
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            epoch_losses.append(loss.detach())
        losses += [loss.item() for loss in epoch_losses]
        progress.set_postfix(loss=f"{np.mean(losses[-UPDATES:]):.4f}", refresh=False)
    return losses


def draw_losses(losses: Sequence[float], folder: Path) -> None:
    """Draw the loss, and that of the best constant."""
    ax = plot.loss_curve(
        losses,
        average=UPDATES,
        levels={"always answering 1": CONSTANT},
        ylabel="mean squared error",
        title="Learning to remember",
    )
    ax.set_yscale("log")
    print(f"picture: {plot.save(ax, folder / 'loss.png')}")


def draw_answers(sums: np.ndarray, answers: np.ndarray, folder: Path) -> None:
    """Draw the answers over the right sums."""
    ax = Figure(figsize=(5, 4.8), layout="constrained").add_subplot()
    ax.plot([0, 2], [0, 2], color="black", linewidth=1, label="right")
    ax.axhline(1, color=plot.COLOURS[1], linestyle="--", label="always answering 1")
    ax.scatter(sums, answers, s=8, color=plot.COLOURS[0], alpha=0.5, label="the LSTM")
    ax.set(xlabel="sum of the two marked numbers", ylabel="answer", title=f"{len(sums)} fresh sequences")
    ax.legend(frameon=False)
    print(f"picture: {plot.save(ax, folder / 'answers.png')}")


def draw_sensitivity(model: Adder, sequence: np.ndarray, folder: Path) -> None:
    """Draw one sequence, and how much the answer changes with each of its numbers: 1 for a marked one, 0 else."""
    x = pn.asarray(sequence[None])
    x.requires_grad = True
    (slopes,) = pn.grad(model(pack(x, np.array([len(sequence)]))).sum(), x)

    numbers, marked = sequence[:, 0], sequence[:, 1] > 0
    steps = np.arange(1, len(numbers) + 1)
    colours = np.where(marked, plot.COLOURS[5], "darkgrey")
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.bar(steps, numbers, color=colours)
    upper.set(title="What the LSTM reads, with the two marked numbers in colour", ylabel="number")
    lower.bar(steps, slopes.numpy()[0, :, 0], color=colours)
    lower.set(title="What it heeds", xlabel="place in the sequence", ylabel="slope of the answer")
    for ax in (upper, lower):
        ax.spines[["top", "right"]].set_visible(False)
    print(f"picture: {plot.save(figure, folder / 'sensitivity.png')}")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Train and test; return the losses, and the mean squared error on fresh sequences."""
    options = read_options(
        arguments,
        "Teach an LSTM to add two marked numbers of a sequence.",
        epochs=40,
        epochs_help=f"of {UPDATES} updates each, all on fresh sequences",
        output="pictures/sequence_lstm",
    )
    model = Adder()
    print(model)
    losses = train(model, options.epochs)

    sequences, lengths, sums = draw_sequences(1000)
    with pn.no_grad():
        answers = model(pack(sequences, lengths)).numpy()
    error = float(np.mean((answers - sums) ** 2))
    print(
        f"mean squared error on {len(sums)} fresh sequences of {SHORTEST} to {LONGEST} numbers: {error:.5f}"
    )
    print(f"always answering 1: {CONSTANT:.5f}, {CONSTANT / error:.1f} times that")

    draw_losses(losses, options.output)
    draw_answers(sums, answers, options.output)
    longest = int(np.argmax(lengths))
    draw_sensitivity(model, sequences[longest, : lengths[longest]], options.output)
    return {"losses": losses, "error": error}


if __name__ == "__main__":
    main()
