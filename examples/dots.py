"""Train a small network to tell two kinds of points in the plane apart.

    python examples/dots.py
    python examples/dots.py --backend torch --seed 7
    python examples/dots.py --points my_points.csv --output pictures/mine

There are 175 training points of two classes. Ten of them are outliers, deep among the other class, so that a sensible
boundary gets 165 of the 175 right; ``dots_points.py`` tells how the points were made. Pictures of the loss, the points
and the regions that the network has learnt go to the output folder.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from dots_files import Dots, load_points

import portanet as pn
from portanet import metrics, nn, optim, plot
from portanet.data import DataLoader, TensorDataset
from portanet.errors import PortanetError
from portanet.train import Callback, ProgressBar, Run, fit

STORED_POINTS = Path(__file__).parent / "data" / "dots.csv"


class Net(nn.Module):
    """Two coordinates in, one logit out: above zero means class 1."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2, 5),
            nn.Tanh(),
            nn.Linear(5, 3),
            nn.Tanh(),
            nn.Linear(3, 1),
        )

    def forward(self, points: pn.Tensor) -> pn.Tensor:
        return self.layers(points)


class StopWhenSettled(Callback):
    """Stop once the mean loss of an epoch differs by less than 1e-5 from that of the epoch before."""

    def on_epoch_end(self, run: Run) -> None:
        means = run.history["loss"][-2:]
        if len(means) == 2 and abs(means[1] - means[0]) < 1e-5:
            run.stop("the mean loss has settled")


def train(model: nn.Module, batches: Iterable[tuple[pn.Tensor, pn.Tensor]], epochs: int = 200) -> list[float]:
    """Train the model and return the loss of every batch, each taken before the batch's update."""
    history = fit(
        model,
        nn.BCEWithLogitsLoss(),
        optim.AdamW(model.parameters(), lr=0.001, weight_decay=0.01),
        batches,
        epochs=epochs,
        callbacks=[StopWhenSettled(), ProgressBar(whole_run=True)],
    )
    return history.losses


def report(name: str, model: nn.Module, points: np.ndarray, labels: np.ndarray) -> None:
    """Print how well the model tells the points apart."""
    with pn.no_grad():
        predicted = model(pn.asarray(points)) > 0
    actual = pn.asarray(labels) > 0
    accuracy = metrics.accuracy(predicted, actual)
    print(
        f"{name}: precision {metrics.precision(predicted, actual):.6f}, "
        f"recall {metrics.recall(predicted, actual):.6f}, "
        f"accuracy {accuracy:.6f} ({round(accuracy * len(points))} of {len(points)} right)"
    )


def draw(model: nn.Module, losses: Sequence[float], updates_per_epoch: int, dots: Dots, folder: Path) -> None:
    """Save pictures of the loss, the points, and the regions that the model has learnt."""
    training = pn.asarray(dots.points)
    pictures = {
        "loss.png": plot.loss_curve(
            losses,
            average=updates_per_epoch,
            ylabel="binary cross entropy (nats)",
            title="Loss of the training batches",
        ),
        "points.png": plot.points(training, dots.labels, title="The training points", xlabel="x", ylabel="y"),
        "regions.png": plot.decision_regions(
            model,
            training,
            dots.labels,
            threshold=0.0,
            title="Learnt regions, training points",
            xlabel="x",
            ylabel="y",
        ),
    }
    if len(dots.test_points):
        pictures["regions-test.png"] = plot.decision_regions(
            model,
            pn.asarray(dots.test_points),
            dots.test_labels,
            threshold=0.0,
            title="Learnt regions, test points",
            xlabel="x",
            ylabel="y",
        )
    for name, picture in pictures.items():
        print(f"picture: {plot.save(picture, folder / name)}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train a small network on points in the plane.")
    parser.add_argument("--backend", help="numpy, cupy, torch, jax, array-api-strict or auto")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the initial weights and the shuffles (default 0)"
    )
    parser.add_argument("--epochs", type=int, default=200, help="at most this many (default 200)")
    parser.add_argument(
        "--points", type=Path, default=STORED_POINTS, help="a .csv, .npz or .pkl file of points"
    )
    parser.add_argument("--initial-weights", type=Path, help="a .safetensors file to start from")
    parser.add_argument("--output", type=Path, default=Path("pictures/dots"), help="folder for the pictures")
    options = parser.parse_args(arguments)
    if options.epochs < 1:
        parser.error(f"--epochs must be at least 1, got {options.epochs}")
    return options


def run(options: argparse.Namespace) -> None:
    """Do the whole job: read, train, report, draw."""
    if options.backend is not None:
        pn.set_backend(options.backend)
    pn.manual_seed(options.seed)
    dots = load_points(options.points)
    model = Net()
    if options.initial_weights is not None:
        model.load_state_dict(pn.load(options.initial_weights))
    print(model)

    batches = DataLoader(TensorDataset(dots.points, dots.labels), batch_size=50, shuffle=True)
    start = time.perf_counter()
    losses = train(model, batches, options.epochs)
    seconds = time.perf_counter() - start
    print(f"{len(losses)} updates on {pn.get_backend().name} in {seconds:.1f} s")
    with pn.no_grad():
        final_loss = nn.BCEWithLogitsLoss()(model(pn.asarray(dots.points)), pn.asarray(dots.labels)).item()
    print(f"final loss {final_loss:.4f}, the mean over all training points")
    report("training points", model, dots.points, dots.labels)
    if len(dots.test_points):
        report("test points", model, dots.test_points, dots.test_labels)
    draw(model, losses, len(batches), dots, options.output)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example; a mistake in the options or the files ends it with one line that says what to do."""
    options = parse(arguments)
    try:
        run(options)
    except (PortanetError, ImportError, OSError) as error:
        print(f"dots.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
