"""Train on a table: a CSV file, and a network with scikit-learn's manners.

    python examples/tabular.py
    python examples/tabular.py --data measurements.csv --target quality

Without a file of yours it takes scikit-learn's breast cancer table: 569 tumours, benign or malignant, and 30
measurements of each. They are first written to the output folder as a CSV file, and then read like any other. A fifth
of the rows is held out. Cross-validation on the others chooses the hidden layers; the chosen network is then trained,
stops early, and is tested on the held-out rows. Pictures of the loss, of the ROC curve and of what the network looks at
go to the output folder.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import read_options
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer
from sklearn.inspection import permutation_importance
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

import portanet as pn
from portanet import metrics, plot
from portanet.data import CSVDataset
from portanet.errors import DataError
from portanet.sklearn import NetClassifier

CHOICES = [(16,), (64,), (32, 16)]
"""Sizes of the hidden layers to choose from."""
LEAST = 10
"""So that each class has rows in what is held out, in each fold, and in what stops the training."""


class Table(NamedTuple):
    """Measurements (rows, columns), the class of each row, and the columns' names."""

    measurements: np.ndarray
    classes: np.ndarray
    names: list[str]


def write_table(path: Path) -> None:
    """Write the breast cancer table as a CSV file whose last column is the class."""
    data = load_breast_cancer()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*data.feature_names, "tumour"])
        for row, number in zip(data.data.tolist(), data.target, strict=True):
            writer.writerow([*row, data.target_names[number]])


def read_table(path: Path, target: str | None) -> Table:
    """Read a CSV file with a header; all columns but the target, by default the last one, hold numbers."""
    try:
        rows = CSVDataset(path, target=-1 if target is None else target, classes=True, dtype=pn.float64)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    measurements, numbers = rows.arrays
    rarest = np.bincount(numbers).argmin()
    if (numbers == rarest).sum() < LEAST:
        raise DataError(
            f"{path}: expected at least {LEAST} rows of each class in column {rows.target_name!r}, but "
            f"{rows.classes[rarest]!r} has {(numbers == rarest).sum()}. Name the column of the classes with --target"
        )
    return Table(measurements, np.array(rows.classes)[numbers], rows.feature_names)


def choose(table: Table, seed: int, epochs: int) -> Pipeline:
    """The pipeline whose hidden layers do best in threefold cross-validation."""
    losses = {}
    for sizes in tqdm(CHOICES, desc="choosing", unit="network"):
        model = pipeline(sizes, seed, epochs)
        scores = cross_val_score(
            model, table.measurements, table.classes, cv=3, scoring="neg_log_loss", error_score="raise"
        )
        losses[sizes] = -scores.mean()
    for sizes, loss in losses.items():
        print(
            f"hidden layers {', '.join(map(str, sizes))}: cross entropy {loss:.4f} nats in cross-validation"
        )
    return pipeline(min(losses, key=losses.__getitem__), seed, epochs)


def pipeline(sizes: tuple[int, ...], seed: int, epochs: int) -> Pipeline:
    """A network for measurements of any scale."""
    net = NetClassifier(
        sizes, lr=0.003, batch_size=64, epochs=epochs, early_stopping=True, random_state=seed % 2**32
    )
    return make_pipeline(StandardScaler(), net)


def draw_importance(model: Pipeline, held_out: Table, folder: Path) -> None:
    """Draw how much the loss rises when one column is shuffled, for the ten columns where it rises most."""
    rises = permutation_importance(
        model, held_out.measurements, held_out.classes, scoring="neg_log_loss", n_repeats=5, random_state=0
    )
    most = np.argsort(rises.importances_mean)[-10:]
    figure = Figure(figsize=(6.8, 4.6), layout="constrained")
    ax = figure.add_subplot()
    ax.barh(
        [held_out.names[k] for k in most],
        rises.importances_mean[most],
        xerr=rises.importances_std[most],
        color=plot.COLOURS[0],
        ecolor="#444444",
    )
    ax.set(
        xlabel="rise of the cross entropy when the column is shuffled (nats)",
        title="What the network looks at",
    )
    ax.grid(axis="x", alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    print(f"picture: {plot.save(figure, folder / 'importance.png')}")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Train and test; return the losses, and accuracy and area under the ROC curve on the held-out rows."""

    def add_options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--data", type=Path, help="a CSV file with a header (default: breast cancer)")
        parser.add_argument("--target", help="the column with the classes (default: the last one)")

    def read(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
        if options.data is None:
            options.data = options.output / "tumours.csv"
            write_table(options.data)
        try:
            options.table = read_table(options.data, options.target)
        except OSError as error:
            parser.error(str(error))

    options = read_options(
        arguments,
        "Train on a table.",
        epochs=200,
        epochs_help="how often the rows are gone through, at most",
        output="pictures/tabular",
        more=add_options,
        check=read,
    )
    table = options.table
    classes = sorted(set(table.classes.tolist()))
    print(
        f"{options.data}: {len(table.classes)} rows, {len(table.names)} columns, classes {', '.join(classes)}"
    )
    # The same split in every run, so that accuracies can be compared; each class has its share in both parts.
    split = train_test_split(
        table.measurements, table.classes, test_size=0.2, random_state=0, stratify=table.classes
    )
    train, held_out = Table(split[0], split[2], table.names), Table(split[1], split[3], table.names)

    model = choose(train, options.seed, options.epochs).fit(train.measurements, train.classes)
    net = model[-1]
    print(net.module_)
    predicted = model.predict(held_out.measurements)
    truth = np.searchsorted(net.classes_, held_out.classes)
    accuracy = metrics.accuracy(np.searchsorted(net.classes_, predicted), truth)
    probabilities = model.predict_proba(held_out.measurements)
    area = metrics.roc_auc(probabilities, truth)
    print(
        f"after {net.n_iter_} epochs, on {len(truth)} held-out rows: accuracy {accuracy:.4f}, ROC AUC {area:.4f}"
    )

    curves = {"training": net.loss_curve_, "held out for stopping": net.validation_loss_curve_}
    loss = plot.loss_curve(curves, xlabel="epochs", ylabel="cross entropy (nats)", title="Loss")
    print(f"picture: {plot.save(loss, options.output / 'loss.png')}")
    two = len(classes) == 2
    ranking = plot.roc_curve(
        {"network": probabilities[:, 1]} if two else probabilities,
        truth,
        class_names=None if two else classes,
        xlabel=f"share of {classes[0]} called {classes[1]}" if two else "share of the others called so",
        ylabel=f"share of {classes[1]} found" if two else "share of the class found",
        title="ROC curve on the held-out rows",
    )
    print(f"picture: {plot.save(ranking, options.output / 'roc.png')}")
    draw_importance(model, held_out, options.output)
    return {"losses": net.loss_curve_, "accuracy": accuracy, "area": area}


if __name__ == "__main__":
    main()
