"""The measurements behind docs/why-801.md: two AdamWs and two stopping tests, over many runs.

The network of ``examples/dots.py`` is trained from many initial weights at once, in plain NumPy (float64), with the
right AdamW and with wrong ones. Every rule sees the same weights and the same batches, so only the rule can make a
difference. The stopping tests are then applied to the losses on record: a test reads the losses and changes nothing,
so a run that goes all the way also shows where each test would have ended it.

    python docs/why_801.py                                  # 2,000 runs of each rule: a minute or two
    python docs/why_801.py --runs 50 --figure why-801.png   # a quick look
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LAYERS = ((2, 5), (5, 3), (3, 1))
BATCH, EPOCHS = 50, 200
LR, WEIGHT_DECAY, BETA1, BETA2, EPS = 0.001, 0.01, 0.9, 0.999, 1e-8
TOLERANCES = (1e-5, 1e-4, 1e-3)
REPORTED_STOP = 568  # updates of the program that the page is about
ROOT = Path(__file__).parent.parent
POINTS = ROOT / "examples" / "data" / "dots.csv"
FIGURE = ROOT / "docs" / "images" / "why-801.png"


class AdamWRule(NamedTuple):
    """An AdamW as somebody may have written it.

    Attributes
    ----------
    extra_step
        What is subtracted beside Adam's own step: a function of weight and gradient. Decoupled weight decay is
        ``lr * weight_decay * weight``.
    old_moments
        True where the step uses the moments as they were before this update's gradient entered them.
    """

    extra_step: Callable[[Array, Array], Array]
    old_moments: bool


def _weight_decay(weight: Array, gradient: Array) -> Array:
    return LR * WEIGHT_DECAY * weight


def _plain_gradient_step(weight: Array, gradient: Array) -> Array:
    return LR * gradient


def _tiny_gradient_step(weight: Array, gradient: Array) -> Array:
    return LR * WEIGHT_DECAY * gradient


RULES = {
    "right": AdamWRule(_weight_decay, old_moments=False),
    "wrong": AdamWRule(_plain_gradient_step, old_moments=True),
    "wrong, gradient step times weight decay": AdamWRule(_tiny_gradient_step, old_moments=True),
    "only the plain gradient step": AdamWRule(_plain_gradient_step, old_moments=False),
    "only the old moments": AdamWRule(_weight_decay, old_moments=True),
}


def training_points() -> tuple[Array, Array]:
    """Return the 175 points (175, 2) and their labels (175, 1)."""
    with POINTS.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    points = np.array([[float(row["x"]), float(row["y"])] for row in rows])
    labels = np.array([[float(row["label"])] for row in rows])
    return points, labels


def initial_weights(runs: int, generator: np.random.Generator) -> list[Array]:
    """Draw weights (runs, in, out) and biases (runs, 1, out) of each layer from U(-1/sqrt(in), 1/sqrt(in))."""
    parameters = []
    for inputs, outputs in LAYERS:
        bound = 1 / np.sqrt(inputs)
        parameters.append(generator.uniform(-bound, bound, (runs, inputs, outputs)))
        parameters.append(generator.uniform(-bound, bound, (runs, 1, outputs)))
    return parameters


def logits(parameters: Sequence[Array], points: Array) -> tuple[Array, Array, Array]:
    """Return both hidden layers' outputs and the logits, each (runs, batch, width)."""
    w1, b1, w2, b2, w3, b3 = parameters
    hidden1 = np.tanh(points @ w1 + b1)
    hidden2 = np.tanh(hidden1 @ w2 + b2)
    return hidden1, hidden2, hidden2 @ w3 + b3


def loss_and_gradients(
    parameters: Sequence[Array], points: Array, labels: Array
) -> tuple[Array, list[Array]]:
    """Return the mean binary cross entropy of each run (runs,) and its gradients, worked out by hand.

    ``points`` has the shape (runs, batch, 2) and ``labels`` (runs, batch, 1).
    """
    hidden1, hidden2, z = logits(parameters, points)
    losses = np.maximum(z, 0) - z * labels + np.log1p(np.exp(-np.abs(z)))
    g3 = (1 / (1 + np.exp(-z)) - labels) / labels.shape[1]
    g2 = (g3 @ parameters[4].mT) * (1 - hidden2 * hidden2)
    g1 = (g2 @ parameters[2].mT) * (1 - hidden1 * hidden1)
    gradients = []
    for inputs, g in ((points, g1), (hidden1, g2), (hidden2, g3)):
        gradients += [inputs.mT @ g, g.sum(axis=1, keepdims=True)]
    return losses.mean(axis=(1, 2)), gradients


class AdamW:
    """The optimizer of all runs at once, by the given rule."""

    def __init__(self, parameters: Sequence[Array], rule: AdamWRule) -> None:
        self.parameters, self.rule, self.updates = parameters, rule, 0
        self.first = [np.zeros_like(p) for p in parameters]
        self.second = [np.zeros_like(p) for p in parameters]

    def step(self, gradients: Sequence[Array]) -> None:
        """Make one update, in place."""
        self.updates += 1
        for weight, g, m, v in zip(self.parameters, gradients, self.first, self.second, strict=True):
            extra = self.rule.extra_step(weight, g)
            if self.rule.old_moments:
                step = self._adam_step(m, v)
                self._take_in(g, m, v)
            else:
                self._take_in(g, m, v)
                step = self._adam_step(m, v)
            weight -= extra + step

    def _adam_step(self, m: Array, v: Array) -> Array:
        corrected_m = m / (1 - BETA1**self.updates)
        corrected_v = v / (1 - BETA2**self.updates)
        return LR * corrected_m / (np.sqrt(corrected_v) + EPS)

    @staticmethod
    def _take_in(g: Array, m: Array, v: Array) -> None:
        m += (1 - BETA1) * (g - m)
        v += (1 - BETA2) * (g * g - v)


def batches(
    runs: int, count: int, shuffle: bool, generator: np.random.Generator
) -> Iterator[NDArray[np.intp]]:
    """Yield the point numbers (runs, batch) of each update; an epoch of 175 points has batches of 50, 50, 50 and 25."""
    order = generator.permuted(np.tile(np.arange(count), (runs, 1)), axis=1)
    for _ in range(EPOCHS):
        if shuffle:
            order = generator.permuted(order, axis=1)
        for start in range(0, count, BATCH):
            yield order[:, start : start + BATCH]


class Record(NamedTuple):
    """What is left of the runs of one rule."""

    losses: Array  # (updates, runs): the mean loss of each batch, before its update
    final_loss: Array  # (runs,): the mean loss over all points, after the last update
    best_possible: NDArray[np.bool_]  # (runs,): 79 true and 5 false positives, as good as the outliers allow


def train(
    rule: AdamWRule, points: Array, labels: Array, runs: int, seed: int, shuffle: bool = True
) -> Record:
    """Train ``runs`` networks for 200 epochs; the same seed gives every rule the same weights and batches."""
    generator = np.random.default_rng(seed)
    parameters = initial_weights(runs, generator)
    optimizer = AdamW(parameters, rule)
    losses = []
    for chosen in batches(runs, len(points), shuffle, generator):
        loss, gradients = loss_and_gradients(parameters, points[chosen], labels[chosen])
        optimizer.step(gradients)
        losses.append(loss)
    every_run = (runs, *points.shape)
    targets = np.broadcast_to(labels, (runs, *labels.shape))
    final_loss, _ = loss_and_gradients(parameters, np.broadcast_to(points, every_run), targets)
    positive = logits(parameters, points)[2] > 0
    true_positives = (positive & (labels == 1)).sum(axis=(1, 2))
    false_positives = (positive & (labels == 0)).sum(axis=(1, 2))
    return Record(np.array(losses), final_loss, (true_positives == 79) & (false_positives == 5))


def epoch_means(losses: Array, count: int) -> Array:
    """Return the mean loss per point of each epoch (epochs, runs): every point counts once."""
    sizes = np.array([min(BATCH, count - start) for start in range(0, count, BATCH)])
    by_epoch = losses.reshape(EPOCHS, len(sizes), -1)
    means: Array = (by_epoch * (sizes / count)[:, None]).sum(axis=1)
    return means


def epoch_differences(losses: Array, count: int) -> Array:
    """What a sound test reads: |mean loss of the epoch - mean loss of the one before| (epochs - 1, runs)."""
    means = epoch_means(losses, count)
    return np.abs(means[1:] - means[:-1])


def batch_differences(losses: Array) -> Array:
    """What the faulty test reads: |loss of the epoch's last batch - loss of the one before| (epochs, runs)."""
    by_epoch = losses.reshape(EPOCHS, -1, losses.shape[1])
    return np.abs(by_epoch[:, -1] - by_epoch[:, -2])


def print_losses(records: dict[str, Record], count: int) -> None:
    """Print each rule's mean loss on the way, and its lead over the right rule from the same weights and batches."""
    right = epoch_means(records["right"].losses, count)
    updates_per_epoch = len(records["right"].losses) // EPOCHS
    milestones = (200, 400, REPORTED_STOP, 800)
    for name, record in records.items():
        means = epoch_means(record.losses, count)
        runs = means.shape[1]
        print(f"AdamW: {name}, {runs} runs")
        for update in milestones:
            row = update // updates_per_epoch - 1
            line = f"  mean loss of the epoch up to update {update}: {means[row].mean():.4f}"
            if name != "right":
                lead = right[row] - means[row]
                error = lead.std(ddof=1) / np.sqrt(runs)
                line += f"; lower than the right rule's by {lead.mean():+.5f} (standard error {error:.5f}), "
                line += f"in {(lead > 0).mean():.1%} of the runs"
            print(line)
        print(f"  loss over all points after the last update: {record.final_loss.mean():.4f}, ", end="")
        print(f"standard deviation {record.final_loss.std(ddof=1):.4f}")
        print(f"  as good as the outliers allow: {int(record.best_possible.sum())} of {runs} runs")
    early = epoch_means(records["wrong"].losses, count)[REPORTED_STOP // updates_per_epoch - 1]
    excess = early - right[-1]
    print(
        f"the wrong rule's epoch mean at update {REPORTED_STOP}, less the right rule's at the end: ", end=""
    )
    print(f"{excess.mean():+.4f}; not above it in {(excess <= 0).mean():.1%} of the runs")


def print_stops(name: str, losses: Array, count: int) -> None:
    """Print how often and when each stopping test would have ended the runs of one rule."""
    runs = losses.shape[1]
    updates_per_epoch = len(losses) // EPOCHS
    print(f"stopping tests: {name}, {runs} runs")
    of_batches, of_epochs = batch_differences(losses), epoch_differences(losses, count)
    for test, differences in (("last two batches", of_batches), ("means of two epochs", of_epochs)):
        for tolerance in TOLERANCES:
            below = differences[:-1] < tolerance  # a stop after the last epoch is not early
            stopped = below.any(axis=0)
            epochs = below.argmax(axis=0)[stopped] + 1 + (EPOCHS - len(differences))
            updates = epochs * updates_per_epoch
            line = (
                f"  {test} within {tolerance:g}: {stopped.sum()} of {runs} stop early ({stopped.mean():.1%})"
            )
            if stopped.any():
                low, middle, high = np.percentile(updates, (25, 50, 75))
                line += f", quartiles of the update {low:.0f}, {middle:.0f}, {high:.0f}"
                line += f"; {(updates >= REPORTED_STOP).sum()} at update {REPORTED_STOP} or later"
            print(line)
    noise = losses[-1] - epoch_means(losses, count)[-1]
    print(f"  median difference of the last two batches: {np.median(of_batches):.4f}; ", end="")
    print(
        f"of two epochs' means, last 20 epochs: {np.median(of_epochs[-20:]):.5f}, least {of_epochs.min():.6f}"
    )
    print(
        f"  the very last batch's loss less the mean of its epoch: standard deviation {noise.std(ddof=1):.3f}"
    )


def draw(records: dict[str, Record], count: int, path: Path) -> None:
    """Draw both rules' loss curves, and what the two stopping tests read in one run."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    # Okabe and Ito's colours, which colour-blind readers tell apart; markers and dashes say the same again.
    blue, vermilion, green, purple, grey = "#0072B2", "#D55E00", "#009E73", "#AA4499", "#555555"
    updates = np.linspace(0, len(records["right"].losses), EPOCHS + 1)[1:]
    figure, (curves, tests) = plt.subplots(1, 2, figsize=(10, 3.9), layout="constrained")
    for name, colour, style in (("right", blue, "-"), ("wrong", vermilion, "--")):
        means = epoch_means(records[name].losses, count)
        low, middle, high = np.percentile(means, (25, 50, 75), axis=1)
        curves.fill_between(updates, low, high, color=colour, alpha=0.18, linewidth=0)
        curves.plot(updates, middle, style, color=colour, linewidth=2, label=f"{name} AdamW")
    curves.set(title="Two optimizers, the same weights and batches", ylabel="mean loss of the epoch")
    curves.legend(frameon=False, title=f"median and quartiles, {means.shape[1]:,} runs")

    losses = records["right"].losses[:, :1]
    tests.semilogy(
        updates, batch_differences(losses), "o", markersize=3, color=purple, label="last two batches"
    )
    means_differ = epoch_differences(losses, count)
    tests.semilogy(updates[1:], means_differ, "x", markersize=4, color=green, label="means of two epochs")
    tests.axhline(1e-5, color=grey, linestyle=":", label="stop below this line")
    tests.set(title="What the stopping tests read in one run", ylabel="difference of the losses")
    tests.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 0.06))
    for axes in (curves, tests):
        axes.set(xlabel="updates", xlim=(0, updates[-1]))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(f"figure: {path}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulations, print their figures and draw the picture."""
    parser = argparse.ArgumentParser(description="Measure what docs/why-801.md tells.")
    parser.add_argument("--runs", type=int, default=2000, help="initial weights to start from (default 2000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the weights and the batches (default 0)")
    parser.add_argument("--figure", type=Path, default=FIGURE, help="where the picture goes")
    options = parser.parse_args(arguments)
    if options.runs < 2:
        parser.error(f"--runs must be at least 2, got {options.runs}")

    points, labels = training_points()
    count, runs, seed = len(points), options.runs, options.seed
    records = {name: train(rule, points, labels, runs, seed) for name, rule in RULES.items()}
    print_losses(records, count)
    for name in ("right", "wrong"):
        print_stops(f"{name} AdamW, batches drawn anew in each epoch", records[name].losses, count)
        same_batches = train(RULES[name], points, labels, runs, seed, shuffle=False)
        print_stops(f"{name} AdamW, the same batches in every epoch", same_batches.losses, count)
    draw(records, count, options.figure)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
