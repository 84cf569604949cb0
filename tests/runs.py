"""Runs of ``fit`` with everything that has a state, and what stops them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import portanet as pn
from portanet import nn, optim, train
from portanet.data import DataLoader, StratifiedSampler, TensorDataset, WeightedRandomSampler
from portanet.optim import lr_scheduler


class MeanOutput:
    """A streaming metric: the mean of all outputs, and how often it was asked for."""

    def __init__(self, name: str = "mean_output") -> None:
        self.name = name
        self.reset()

    def reset(self) -> None:
        self.total, self.count = 0.0, 0

    def update(self, outputs: Any, targets: Any) -> None:
        assert outputs.shape == targets.shape
        self.total += float(outputs.detach().sum())
        self.count += outputs.size

    def compute(self) -> float:
        return self.total / self.count

    def state_dict(self) -> dict[str, Any]:
        return {"total": self.total, "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.total, self.count = state["total"], state["count"]


def numbers(rng: Any, samples: int = 23) -> tuple[Any, Any]:
    inputs = rng.normal(size=(samples, 4)).astype("float32")
    return inputs, (inputs[:, :1] - inputs[:, 1:2] ** 2).astype("float32")


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Dropout(0.2), nn.Linear(7, 1))


def bits(*things: Any) -> list[bytes]:
    """All arrays of modules, optimizers and dicts, as they lie in memory."""
    found = []
    for thing in things:
        if hasattr(thing, "state_dict"):
            thing = thing.state_dict()
        if isinstance(thing, pn.Tensor):
            found.append(thing.detach().numpy().tobytes())
        elif isinstance(thing, dict):
            found += bits(*thing.values())
        elif isinstance(thing, (list, tuple)):
            found += bits(*thing)
        else:
            found.append(repr(thing).encode())
    return found


class Stop(train.Callback):
    """Do something after one update, as if from outside."""

    def __init__(self, update: int, deed: Callable[[], Any]) -> None:
        self.update, self.deed = update, deed

    def on_update(self, run: train.Run) -> None:
        if run.updates == self.update:
            self.deed()


class CrashError(Exception):
    pass


def crash() -> None:
    raise CrashError


class Setting:
    """A run with everything that has a state, made anew for each attempt to go on."""

    epochs = 4
    change_validation: Callable[[Any], Any] = staticmethod(lambda batches: batches)

    def __init__(self, rng: Any, kind: str) -> None:
        self.arrays = numbers(rng)
        self.metrics: list[Any] = [MeanOutput()]
        self.kind = kind
        self.accumulate = int(rng.integers(1, 4))

    def fit(self, seed: int = 0, callbacks: Any = (), **options: Any) -> tuple[list[bytes], train.History]:
        pn.manual_seed(seed)
        model = network()
        optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
        set_ = TensorDataset(*self.arrays)
        own, other = pn.random.Generator(seed + 5), pn.random.Generator(seed + 6)
        validation = DataLoader(set_, 7, shuffle=True)
        data: Any = DataLoader(set_, 4, shuffle=True)
        loss: Any = nn.MSELoss()
        if self.kind == "own generators":
            data = DataLoader(set_, 4, shuffle=True, generator=own)
            validation = DataLoader(set_, 7, shuffle=True, generator=other)
        elif self.kind == "list":
            data = list(DataLoader(set_, 4))
        elif self.kind == "user's own":
            data = Shuffled(self.arrays, seed)
        elif self.kind == "sampler that draws late":
            data = DataLoader(set_, 4, sampler=DrawsLate(len(set_), own), num_workers=2)
        elif self.kind == "samplers":
            weights = [1.0 + number for number in range(len(set_))]
            sampler = WeightedRandomSampler(weights, len(set_), generator=own)
            data = DataLoader(set_, 4, sampler=sampler, num_workers=2, drop_last=True)
            validation = DataLoader(set_, 7, sampler=StratifiedSampler([0] * 9 + [1] * 14, generator=own))
        elif self.kind == "loss with parameters":
            loss = Shifted()
            optimizer.add_param_group({"params": loss.parameters(), "lr": 0.01})
        schedule: Any = lr_scheduler.SequentialLR(
            optimizer,
            [lr_scheduler.LinearLR(optimizer, 0.5, 1.0, 2), lr_scheduler.MultiStepLR(optimizer, [1])],
            [2],
        )
        if self.kind == "list":
            schedule = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
        history = train.fit(
            *(model, loss, optimizer, data),
            epochs=self.epochs,
            validation=self.change_validation(validation),
            metrics=self.metrics,
            callbacks=[train.EarlyStopping(patience=30, restore_best=True), Noise(), *callbacks],
            scheduler=schedule,
            accumulate=self.accumulate,
            clip=1.0,
            **options,
        )
        states = [history.rows, history.losses, pn.random.default_generator.get_state()]
        return bits(model, loss, optimizer, schedule, *states), history


class Noise(train.Callback):
    """Draws wherever it can, as a callback does that looks at samples."""

    def on_begin(self, run: train.Run) -> None:
        pn.random.uniform((2,))

    on_epoch_begin = on_update = on_epoch_end = on_begin


class Shifted(nn.Module):
    """A loss that learns something itself."""

    def __init__(self) -> None:
        self.shift = nn.Parameter(pn.random.normal((1,)))

    def forward(self, outputs: Any, targets: Any) -> Any:
        return ((outputs - targets + self.shift) ** 2).mean()


class DrawsLate:
    """A sampler as somebody might write it, whose order is drawn when the first number is asked for."""

    def __init__(self, count: int, generator: Any) -> None:
        self.count, self.generator = count, generator

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        yield from pn.random.permutation(self.count, generator=self.generator).tolist()


class Shuffled:
    """Batches as somebody might write them, with a generator of its own and without `iterate`."""

    def __init__(self, arrays: Any, seed: int) -> None:
        self.arrays, self.generator = arrays, pn.random.Generator(seed + 9)

    def __iter__(self) -> Iterator[Any]:
        order = pn.random.permutation(len(self.arrays[0]), generator=self.generator).numpy()
        for start in range(0, len(order), 4):
            yield tuple(pn.asarray(array[order[start : start + 4]]) for array in self.arrays)


class Script(nn.Module):
    """A model that can be trained and whose loss in each epoch is what a list says."""

    def __init__(self, losses: list[float]) -> None:
        self.weight = nn.Parameter(pn.asarray([0.0]))
        self.losses, self.calls = losses, 0

    def forward(self, x: Any) -> Any:
        self.calls += self.training
        return self.losses[self.calls - 1] + self.weight * 0 + self.calls


def play(
    losses: list[float], *callbacks: Any, model: Any = None, **options: Any
) -> tuple[Any, train.History]:
    """Train for as many epochs as there are losses; the weight grows by 1 in each."""
    model = model or Script(losses)
    optimizer = optim.SGD([model.weight], lr=1.0)

    def loss(outputs: Any, target: Any) -> Any:
        return outputs.sum() - model.calls - (model.weight - model.weight.detach()).sum()

    data = [(pn.zeros((1, 1)), pn.zeros((1, 1)))]
    return model, train.fit(model, loss, optimizer, data, epochs=len(losses), callbacks=callbacks, **options)
