"""Teach a small convolutional network to read the handwritten digits of digits.py, with a fifth of its mistakes.

    python examples/cnn_digits.py
    python examples/cnn_digits.py --backend torch --epochs 5

Three convolutions of 3 × 3 see which pixels are neighbours, which the network of digits.py cannot. The learning rate
rises and falls once over the whole training. Pictures of the loss, of digits that it misread, and of the first layer's
kernels go to the output folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from common import read_options
from digits import draw_confusion, draw_misread, load

import portanet as pn
from portanet import metrics, nn, optim, plot
from portanet.data import DataLoader, TensorDataset
from portanet.train import ProgressBar, SchedulerEachUpdate, fit


def network() -> nn.Module:
    """Return the network: (batch, 1, 8, 8) to (batch, 10)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),  # 4 x 4
        nn.Conv2d(32, 64, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


def train(model: nn.Module, batches: DataLoader, epochs: int) -> list[float]:
    """Train the model; return the loss of every batch."""
    loss = nn.CrossEntropyLoss(label_smoothing=0.05)
    optimizer = optim.AdamW(model.parameters(), lr=0.006, weight_decay=0.05)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.006, total_steps=epochs * len(batches))
    callbacks = [ProgressBar(), SchedulerEachUpdate(schedule)]
    return fit(model, loss, optimizer, batches, epochs=epochs, callbacks=callbacks).losses


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Train and test; return the losses, the accuracy on the held-out part and its confusion matrix."""
    options = read_options(
        arguments,
        "Teach a small convolutional network to read handwritten digits.",
        epochs=15,
        epochs_help="how often the training pictures are gone through",
        output="pictures/cnn_digits",
    )
    train_images, test_images, train_labels, test_labels = load()
    train_images, test_images = (images.reshape(-1, 1, 8, 8) for images in (train_images, test_images))
    print(f"{len(train_images)} pictures to train on, {len(test_images)} held out")

    model = network()
    print(pn.summary(model, pn.asarray(train_images[:1])))
    batches = DataLoader(TensorDataset(train_images, train_labels), batch_size=64, shuffle=True)
    losses = train(model, batches, options.epochs)

    with pn.no_grad():
        predicted = pn.argmax(model(pn.asarray(test_images)), axis=1)
    accuracy = metrics.accuracy(predicted, test_labels)
    confusion = metrics.confusion_matrix(predicted, test_labels, num_classes=10)
    print(f"accuracy on the held-out pictures after {options.epochs} epochs: {accuracy:.4f}")

    curve = plot.loss_curve(
        losses, average=len(batches), ylabel="cross entropy (nats)", title="Training loss"
    )
    print(f"picture: {plot.save(curve, options.output / 'loss.png')}")
    draw_misread(test_images, test_labels, predicted.numpy(), options.output)
    draw_confusion(confusion, options.output)
    kernels = plot.filters(
        model[0], columns=8, title="What the first layer looks for: its 16 kernels of 3 × 3"
    )
    print(f"picture: {plot.save(kernels, options.output / 'kernels.png')}")
    return {"losses": losses, "accuracy": accuracy, "confusion": confusion.tolist()}


if __name__ == "__main__":
    main()
