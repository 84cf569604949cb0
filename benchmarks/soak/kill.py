"""`python -m benchmarks.soak.kill --runs 200`: kill training runs at random moments, go on, and compare every bit.

A small run with shuffling, dropout, momentum, a schedule, accumulated gradients, a validation and workers saves a
checkpoint at each step of the optimizer, so that many of the kills hit a save. Each trial starts it in a process of its
own, kills that with SIGKILL at a random moment, looks at what lies in the folder, starts it again, and so on until it
ends. Its weights, its optimizer and its history must then be those of the run that was never killed.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import portanet as pn
from portanet import nn, optim, train
from portanet.data import DataLoader, TensorDataset
from portanet.io import load_checkpoint

__all__ = ["Tally", "main", "soak", "train_once"]

REPOSITORY = Path(__file__).resolve().parents[2]
EPOCHS, SAMPLES, BATCH_SIZE = 4, 120, 8
DONE = "done.txt"


def train_once(folder: Path) -> str:
    """Train, or go on where the folder's newest checkpoint is; return what the result's bits hash to."""
    pn.set_backend("numpy")
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(SAMPLES, 20)).astype(np.float32)
    targets = rng.integers(0, 5, SAMPLES)
    pn.manual_seed(1)
    model = nn.Sequential(
        nn.Linear(20, 150),
        nn.BatchNorm1d(150),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(150, 150),
        nn.Linear(150, 5),
    )
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    data = DataLoader(TensorDataset(inputs, targets), BATCH_SIZE, shuffle=True, num_workers=2)
    history = train.fit(
        model,
        nn.CrossEntropyLoss(),
        optimizer,
        data,
        epochs=EPOCHS,
        validation=DataLoader(TensorDataset(inputs, targets), 40, shuffle=True),
        callbacks=[
            Tell(),
            train.Checkpoints(folder, every_updates=1, every_epochs=2, best="validation_loss"),
        ],
        scheduler=optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.3),
        accumulate=2,
        clip=5.0,
        resume=folder,
    )
    result = hashlib.sha256(
        repr((history.rows, history.losses, pn.random.default_generator.get_state())).encode()
    )
    state = optimizer.state_dict()["state"]
    for tensor in (
        *model.state_dict().values(),
        *(state[number]["momentum_buffer"] for number in sorted(state)),
    ):
        result.update(tensor.numpy().tobytes())
    return result.hexdigest()


@dataclass
class Tally:
    """What came of the trials."""

    runs: int = 0
    alike: int = 0
    kills: int = 0
    during_a_save: int = 0
    """Kills that left an unfinished file behind."""
    before_the_first: int = 0
    """Kills before there was any checkpoint."""
    unsound: int = 0
    """Checkpoints under their own names that could not be read."""

    def __str__(self) -> str:
        return (
            f"{self.alike} of {self.runs} runs ended with the same bits; {self.kills} kills, {self.during_a_save} of "
            f"them during a save, {self.before_the_first} before the first checkpoint; "
            f"{self.unsound} unreadable checkpoints"
        )


class Tell(train.Callback):
    """Say on standard output which update was made, before it is saved."""

    def on_update(self, run: train.Run) -> None:
        print(run.updates, flush=True)


def start(folder: Path) -> subprocess.Popen[str]:
    """A process that trains."""
    command = [sys.executable, "-m", "benchmarks.soak.kill", "--train", str(folder)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def soak(runs: int, kills: int = 2, seed: int | None = None) -> Tally:
    """Try so many runs, each killed so many times, unless it comes to its end before the last of them."""
    moments = random.Random(seed)
    tally = Tally()
    with tempfile.TemporaryDirectory() as whole:
        wanted, updates, seconds = measure(Path(whole))
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for _ in range(kills):
                if not (folder / DONE).exists():
                    kill_once(folder, moments, updates, seconds, tally)
            if not (folder / DONE).exists() and finish(folder) != 0:
                print(f"a run could not go on in {folder}", file=sys.stderr)
            tally.runs += 1
            tally.alike += (folder / DONE).exists() and (folder / DONE).read_text() == wanted
    return tally


def finish(folder: Path) -> int:
    """Let a run come to its end."""
    process = start(folder)
    process.communicate()
    return process.returncode


def measure(folder: Path) -> tuple[str, int, float]:
    """Run once without a kill: the result, how many updates there were, and the seconds of one, its save included."""
    with start(folder) as process:
        assert process.stdout is not None
        moments = [time.perf_counter() for _ in process.stdout]
    return (folder / DONE).read_text(), len(moments), (moments[-1] - moments[0]) / (len(moments) - 1)


def kill_once(folder: Path, moments: random.Random, updates: int, seconds: float, tally: Tally) -> None:
    """Train until a random update, or rarely into the start; kill at a random moment after it; look what is there."""
    process = start(folder)
    assert process.stdout is not None
    if moments.random() > 0.05:
        first = process.stdout.readline()
        if first:
            last = moments.randint(int(first), updates)
            while first and int(first) < last:
                first = process.stdout.readline()
    try:
        process.wait(timeout=moments.uniform(0, 2 * seconds))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        tally.kills += 1
        tally.during_a_save += bool(list(folder.glob(".portanet-*.part")))
        found = list(folder.glob("*.safetensors"))
        tally.before_the_first += not found
        for path in found:
            try:
                load_checkpoint(path)
            except pn.errors.CheckpointError as error:
                print(error, file=sys.stderr)
                tally.unsound += 1
    finally:
        process.stdout.close()


def main() -> int:
    """Run the trials; 1 if one of them came out otherwise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak.kill", description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--kills", type=int, default=2, help="how often each run is killed (default 2)")
    parser.add_argument("--seed", type=int, help="of the moments")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train is not None:
        result = train_once(arguments.train)
        (arguments.train / DONE).write_text(result)
        return 0
    tally = soak(arguments.runs, arguments.kills, arguments.seed)
    print(tally)
    return 0 if tally.alike == tally.runs and not tally.unsound else 1


if __name__ == "__main__":
    sys.exit(main())
