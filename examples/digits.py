"""Teach a network to read handwritten digits: the 1797 pictures of 8 × 8 pixels that come with scikit-learn.

    python examples/digits.py
    python examples/digits.py --backend jax --seed 3

A fifth of the pictures is held out: the network never trains on them, and its accuracy is counted on them. Pictures of
the loss, of digits that it misread, and of what it took them for go to the output folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import read_options
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import portanet as pn
from portanet import metrics, nn, optim, plot
from portanet.data import DataLoader, TensorDataset
from portanet.train import ProgressBar, fit


def load() -> list[np.ndarray]:
    """Return training images, held-out images (each of 64 numbers from 0 to 1), training labels, held-out labels."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)  # a pixel is a whole number from 0 to 16
    # The same split in every run, so that accuracies can be compared; each digit has its share in both parts.
    return train_test_split(images, labels, test_size=0.2, random_state=0, stratify=labels)


def train(model: nn.Module, batches: DataLoader, epochs: int) -> list[float]:
    """Train the model; return the loss of every batch."""
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    schedule = optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.3)
    history = fit(
        model,
        nn.CrossEntropyLoss(),
        optimizer,
        batches,
        epochs=epochs,
        scheduler=schedule,
        callbacks=[ProgressBar()],
    )
    return history.losses


def draw_misread(images: np.ndarray, labels: np.ndarray, predicted: np.ndarray, folder: Path) -> None:
    """Draw up to twelve held-out digits that the network took for another."""
    wrong = np.flatnonzero(predicted != labels)
    if not len(wrong):
        print("no held-out digit is misread, so there is no picture of any")
        return
    figure = plot.images(
        images[wrong[:12]].reshape(-1, 8, 8),
        [f"a {labels[k]}, read as {predicted[k]}" for k in wrong[:12]],
        columns=4,
        ink=True,
        title=f"Misread: {len(wrong)} of {len(labels)} held-out digits",
    )
    print(f"picture: {plot.save(figure, folder / 'misread.png')}")


def draw_confusion(confusion: pn.Tensor, folder: Path) -> None:
    """Draw how often each digit was read as each digit."""
    ax = plot.confusion_matrix(
        confusion, xlabel="read as", ylabel="true digit", unit="pictures", title="Held-out digits"
    )
    print(f"picture: {plot.save(ax, folder / 'confusion.png')}")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Train and test; return the losses, the accuracy on the held-out part and its confusion matrix."""
    options = read_options(
        arguments,
        "Teach a network to read handwritten digits.",
        epochs=40,
        epochs_help="how often the training pictures are gone through",
        output="pictures/digits",
    )
    train_images, test_images, train_labels, test_labels = load()
    print(f"{len(train_images)} pictures to train on, {len(test_images)} held out")

    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
    print(model)
    batches = DataLoader(TensorDataset(train_images, train_labels), batch_size=64, shuffle=True)
    losses = train(model, batches, options.epochs)

    with pn.no_grad():
        logits = model(pn.asarray(test_images))
    predicted = pn.argmax(logits, axis=1)
    accuracy = metrics.accuracy(predicted, test_labels)
    confusion = metrics.confusion_matrix(predicted, test_labels, num_classes=10)
    print(f"accuracy on the held-out pictures after {options.epochs} epochs: {accuracy:.4f}")

    curve = plot.loss_curve(
        losses, average=len(batches), ylabel="cross entropy (nats)", title="Training loss"
    )
    curve.set_yscale("log")
    print(f"picture: {plot.save(curve, options.output / 'loss.png')}")
    draw_misread(test_images, test_labels, predicted.numpy(), options.output)
    draw_confusion(confusion, options.output)
    return {"losses": losses, "accuracy": accuracy, "confusion": confusion.tolist()}


if __name__ == "__main__":
    main()
