"""Teach an autoencoder to squeeze the handwritten digits of digits.py, 64 pixels each, into two numbers.

    python examples/autoencoder.py
    python examples/autoencoder.py --backend torch --epochs 20

One network makes two numbers of a picture, its code; another makes the picture from these two again. Nobody tells them
which digit it is, and yet pictures of one digit come to lie together. Principal component analysis (PCA), the best that
can be done with straight lines, has two numbers for each picture as well, and stands beside it. Pictures of the loss,
of digits and what comes back, of the codes, and of what the second network makes of all codes go to the output folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import read_options
from digits import load
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

import portanet as pn
from portanet import nn, optim, plot
from portanet.data import DataLoader, TensorDataset
from portanet.train import ProgressBar, SchedulerEachUpdate, fit

CODE = 2
PROMISE = 0.75  # with the default options the error is less than this part of PCA's


class Autoencoder(nn.Module):
    """(batch, 64) to codes, (batch, 2), and back."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(64, 256),
            nn.SiLU(),
            nn.Linear(256, 64),
            nn.SiLU(),
            nn.Linear(64, CODE),
            nn.Tanh(),  # codes lie between -1 and 1
        )
        self.decoder = nn.Sequential(
            nn.Linear(CODE, 64),
            nn.SiLU(),
            nn.Linear(64, 256),
            nn.SiLU(),
            nn.Linear(256, 64),
            nn.Sigmoid(),  # as pixels lie between 0 and 1
        )

    def forward(self, images: pn.Tensor) -> pn.Tensor:
        return self.decoder(self.encoder(images))


def train(model: nn.Module, batches: DataLoader, epochs: int) -> list[float]:
    """Train the model to give back what it gets; return the loss of every batch."""
    optimizer = optim.AdamW(model.parameters(), lr=0.003)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.003, total_steps=epochs * len(batches))
    callbacks = [ProgressBar(whole_run=True), SchedulerEachUpdate(schedule)]
    return fit(model, nn.MSELoss(), optimizer, batches, epochs=epochs, callbacks=callbacks).losses


def draw_losses(losses: Sequence[float], updates: int, by_pca: float, folder: Path) -> None:
    """Draw the loss, and PCA's error beside it."""
    ax = plot.loss_curve(
        losses,
        average=updates,
        levels={f"PCA, {CODE} components, held out": by_pca},
        ylabel="mean squared error of a pixel",
        title="Training loss",
    )
    print(f"picture: {plot.save(ax, folder / 'loss.png')}")


def draw_digits(rows: dict[str, np.ndarray], labels: np.ndarray, folder: Path) -> None:
    """Draw the first picture of each digit and what was made of it, one above the other."""
    chosen = [int(np.flatnonzero(labels == digit)[0]) for digit in range(10)]
    figure = plot.images(
        {name: images[chosen].reshape(-1, 8, 8) for name, images in rows.items()},
        limits=(0, 1),
        ink=True,
        title="Held-out digits, each squeezed into two numbers",
    )
    print(f"picture: {plot.save(figure, folder / 'digits.png')}")


def draw_codes(codes: np.ndarray, labels: np.ndarray, folder: Path) -> None:
    """Draw the codes of the held-out pictures, coloured by the digit that the networks were never told."""
    ax = plot.embedding(
        codes,
        labels,
        title="The two numbers of each held-out digit",
        xlabel="first number",
        ylabel="second number",
    )
    print(f"picture: {plot.save(ax, folder / 'codes.png')}")


def draw_plane(decoder: nn.Module, folder: Path) -> None:
    """Draw what the second network makes of a grid of codes, from all over the square."""
    count = 15
    across = np.linspace(-0.98, 0.98, count, dtype=np.float32)
    first, second = np.meshgrid(across, across[::-1])
    with pn.no_grad():
        images = decoder(pn.asarray(np.stack([first.ravel(), second.ravel()], axis=1))).numpy()
    # A white pixel around each picture; then (row, column, 10, 10) becomes one picture of (10 * row, 10 * column).
    images = np.pad(images.reshape(count, count, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    whole = images.transpose(0, 2, 1, 3).reshape(10 * count, 10 * count)
    ax = Figure(figsize=(5.8, 5.8), layout="constrained").add_subplot()
    ax.imshow(whole, cmap="gray_r", vmin=0, vmax=1, extent=(-1.05, 1.05, -1.05, 1.05))
    ax.set(title="What the decoder makes of each code", xlabel="first number", ylabel="second number")
    print(f"picture: {plot.save(ax, folder / 'plane.png')}")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Train and test; return the losses, and the errors of the autoencoder and of PCA on the held-out part."""
    options = read_options(
        arguments,
        "Teach an autoencoder to squeeze handwritten digits into two numbers.",
        epochs=100,
        epochs_help="how often the training pictures are gone through",
        output="pictures/autoencoder",
    )
    train_images, test_images, _, test_labels = load()
    print(f"{len(train_images)} pictures to train on, {len(test_images)} held out")

    model = Autoencoder()
    print(model)
    pairs = TensorDataset(train_images, train_images)  # what goes in shall come out
    batches = DataLoader(pairs, batch_size=64, shuffle=True)
    losses = train(model, batches, options.epochs)

    with pn.no_grad():
        codes = model.encoder(pn.asarray(test_images))
        rebuilt = model.decoder(codes).numpy()
    codes = codes.numpy()
    pca = PCA(CODE).fit(train_images)
    by_pca = pca.inverse_transform(pca.transform(test_images))
    error, pca_error = (float(np.mean((images - test_images) ** 2)) for images in (rebuilt, by_pca))
    print("mean squared error of a held-out picture's pixels, which lie between 0 and 1:")
    print(f"  autoencoder, {CODE} numbers    {error:.4f}, {error / pca_error:.2f} of PCA's")
    print(f"  PCA, {CODE} components         {pca_error:.4f}")

    draw_losses(losses, len(batches), pca_error, options.output)
    draw_digits({"original": test_images, "autoencoder": rebuilt, "PCA": by_pca}, test_labels, options.output)
    draw_codes(codes, test_labels, options.output)
    draw_plane(model.decoder, options.output)
    return {"losses": losses, "error": error, "pca error": pca_error}


if __name__ == "__main__":
    main()
