"""Kill a training run in the middle of an epoch, let it go on, and compare every bit with a run that was never stopped.

    python examples/resume.py
    python examples/resume.py --kill-after 333 --seed 2

A network learns to read handwritten digits, with shuffled batches, dropout, momentum and a falling learning rate, and
saves a checkpoint every five updates. A second process does the same and is killed without warning (SIGKILL, as when a
machine runs out of memory). Then the run goes on from what lies in its folder. A picture of the loss goes to the output
folder.

Press Ctrl-C in a run of your own: `fit` finishes the step, saves, and says what to type to go on.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import read_options
from sklearn.datasets import load_digits

import portanet as pn
from portanet import nn, optim, plot, train
from portanet.data import DataLoader, TensorDataset

SAVE_EVERY = 5


class KilledAfter(train.Callback):
    """Kill the process, without a chance to tidy up, after so many updates."""

    def __init__(self, updates: int) -> None:
        self.updates = updates

    def on_update(self, run: train.Run) -> None:
        if run.updates == self.updates:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def learn(seed: int, epochs: int, folder: Path | None = None, kill_after: int | None = None) -> Any:
    """Train; with a folder, save checkpoints there, and go on from the newest one if there is one."""
    pn.manual_seed(seed)
    images, labels = load_digits(return_X_y=True)
    data = DataLoader(TensorDataset((images / 16).astype(np.float32), labels), batch_size=64, shuffle=True)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10))
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    callbacks: list[train.Callback] = [train.ProgressBar()]
    if folder is not None:
        callbacks.append(train.Checkpoints(folder, every_updates=SAVE_EVERY))
    if kill_after is not None:
        callbacks.append(KilledAfter(kill_after))
    history = train.fit(
        model,
        nn.CrossEntropyLoss(),
        optimizer,
        data,
        epochs=epochs,
        callbacks=callbacks,
        scheduler=optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5),
        resume=folder,
    )
    return model, history


def kill_one(options: argparse.Namespace, folder: Path, kill_after: int) -> int:
    """Run this script in a process of its own, which is killed; return what the system says of its end."""
    command = [sys.executable, __file__, "--backend", pn.get_backend().name, "--seed", str(options.seed)]
    command += ["--epochs", str(options.epochs), "--folder", str(folder), "--kill-after", str(kill_after)]
    return subprocess.run(command, check=False).returncode


def more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kill-after", type=int, help="updates after which the second run is killed (default: half)"
    )
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run all three; return the losses, and whether every bit is the same."""
    options = read_options(
        arguments,
        "Kill a training run, let it go on, and compare every bit with a run that was never stopped.",
        epochs=6,
        epochs_help="how often the pictures are gone through",
        output="pictures/resume",
        more=more,
    )
    if options.folder is not None:
        learn(options.seed, options.epochs, options.folder, options.kill_after)
        return {}

    model, whole = learn(options.seed, options.epochs)
    updates = len(whole.losses)
    kill_after = options.kill_after or min(updates // 2 + 14, updates)
    if not 1 <= kill_after <= updates:
        raise SystemExit(
            f"--kill-after: expected 1 to {updates}, the updates of a whole run, got {kill_after}"
        )
    print(f"never stopped: {updates} updates, loss {whole['loss'][-1]:.6f}")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ended = kill_one(options, folder, kill_after)
        left = pn.io.latest_checkpoint(folder)
        saved = pn.io.load_checkpoint(left)["progress"] if left else {"updates": 0, "epoch": 0, "batch": 0}
        print(f"killed after update {kill_after}: the process ended with {ended}")
        print(
            f"its newest checkpoint: update {saved['updates']}, epoch {saved['epoch'] + 1}, batch {saved['batch']}"
        )
        # Another seed than before: what counts is in the checkpoint.
        resumed, history = learn(options.seed + (left is not None), options.epochs, folder)

    alike = history.losses == whole.losses and history.rows == whole.rows
    for name, tensor in model.state_dict().items():
        alike = alike and tensor.numpy().tobytes() == resumed.state_dict()[name].numpy().tobytes()
    print(f"gone on: {len(history.losses)} updates, loss {history['loss'][-1]:.6f}")
    print(f"weights, losses and history are the same to the last bit: {alike}")

    average = updates // options.epochs
    curve = plot.loss_curve(
        history.losses,
        average=average,
        ylabel="cross entropy (nats)",
        title="A run that was killed and went on",
    )
    colour = plot.COLOURS[5]
    curve.axvline(
        saved["updates"], color=colour, linestyle="--", label=f"goes on from update {saved['updates']}"
    )
    curve.axvline(kill_after, color=colour, label=f"killed after update {kill_after}")
    curve.legend(frameon=False)
    print(f"picture: {plot.save(curve, options.output / 'loss.png')}")
    return {"losses": history.losses, "alike": alike, "ended": ended, "saved": saved["updates"]}


if __name__ == "__main__":
    main()
