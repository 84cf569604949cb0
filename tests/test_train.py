"""``fit`` beside a loop written by hand, and runs that stop and go on."""

from __future__ import annotations

import importlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn, optim, train
from portanet.data import DataLoader, TensorDataset
from portanet.errors import CheckpointError, DataError, OptionError, StateDictError
from portanet.io import load_checkpoint, save_checkpoint
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


# What it computes


def test_fit_does_what_the_loop_by_hand_does(eager: str, rng: Any) -> None:
    inputs, targets = numbers(rng)

    def parts() -> tuple[Any, Any, Any, Any]:
        pn.manual_seed(3)
        model = network()
        optimizer = optim.AdamW(model.parameters(), lr=0.01)
        data = DataLoader(TensorDataset(inputs, targets), 5, shuffle=True)
        return model, optimizer, lr_scheduler.StepLR(optimizer, 2, gamma=0.1), data

    model, optimizer, schedule, data = parts()
    history = train.fit(model, nn.MSELoss(), optimizer, data, epochs=3, scheduler=schedule)
    ours = bits(model, optimizer)
    model, optimizer, schedule, data = parts()
    losses, means, loss_fn = [], [], nn.MSELoss()
    for _ in range(3):
        total = 0.0
        for x, y in data:
            loss = loss_fn(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            total += loss.item() * len(x)
        means.append(total / len(inputs))
        schedule.step()
    assert ours == bits(model, optimizer)
    assert history.losses == losses
    assert history["loss"] == pytest.approx(means, rel=1e-12)
    assert history["lr"] == pytest.approx([0.01, 0.01, 0.001])
    assert history["epoch"] == [1, 2, 3]
    assert history["updates"] == [5, 10, 15]


def test_accumulated_gradients_are_those_of_the_larger_batch(eager: str, rng: Any) -> None:
    """Also of the last batches of an epoch, which are fewer."""
    inputs, targets = numbers(rng, 24)
    results = []
    for batch_size, accumulate in ((8, 1), (4, 2), (2, 4)):
        pn.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1))
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
        data = [
            (pn.asarray(inputs[k : k + batch_size]), pn.asarray(targets[k : k + batch_size]))
            for k in range(0, 20, batch_size)
        ]
        if batch_size == 8:
            data[-1] = (data[-1][0][:4], data[-1][1][:4])
        history = train.fit(model, nn.MSELoss(), optimizer, data, epochs=2, accumulate=accumulate)
        assert history["updates"] == [3, 6]
        results.append(np.concatenate([p.detach().numpy().ravel() for p in model.parameters()]))
    np.testing.assert_allclose(results[1], results[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(results[2], results[0], rtol=0, atol=1e-6)


def test_gradients_are_clipped(eager: str, rng: Any) -> None:
    inputs, targets = numbers(rng)
    model = nn.Linear(4, 1)
    before = [p.detach().numpy().copy() for p in model.parameters()]
    data = [(pn.asarray(inputs), pn.asarray(targets + 1000))]
    train.fit(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=1.0), data, epochs=1, clip=0.25)
    moved = [p.detach().numpy() - b for p, b in zip(model.parameters(), before, strict=True)]
    assert np.sqrt(sum((m.astype("float64") ** 2).sum() for m in moved)) == pytest.approx(0.25, rel=1e-4)


def test_several_inputs_go_to_the_model(rng: Any) -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            self.linear = nn.Linear(4, 1)

        def forward(self, a: Any, b: Any) -> Any:
            return self.linear(a + b)

    inputs, targets = numbers(rng)
    model = Sum()
    data = DataLoader(TensorDataset(inputs, inputs, targets), 8)
    assert len(train.fit(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.01), data, epochs=2)) == 2
    assert train.predict(model, data).shape == (23, 1)


def test_evaluation_is_a_mean_over_samples_without_dropout(eager: str, rng: Any) -> None:
    inputs, targets = numbers(rng)
    model = nn.Sequential(nn.Dropout(0.9), nn.Linear(4, 1))
    weight, bias = (p.detach().numpy().astype("float64") for p in model.parameters())
    outputs = inputs @ weight.T + bias
    data = DataLoader(TensorDataset(inputs, targets), 5)
    found = train.evaluate(model, data, nn.MSELoss(), [MeanOutput()])
    assert found["loss"] == pytest.approx(np.mean((outputs - targets) ** 2), rel=1e-5)
    assert found["mean_output"] == pytest.approx(outputs.mean(), rel=1e-4, abs=1e-6)
    assert list(train.evaluate(model, data, metrics=[MeanOutput("m")])) == ["m"]
    for given in (data, pn.asarray(inputs), inputs, [pn.asarray(inputs)], [(pn.asarray(inputs),)]):
        predicted = train.predict(model, given, batch_size=7)
        assert not predicted.requires_grad
        np.testing.assert_allclose(predicted.numpy(), outputs, rtol=0, atol=1e-5)


def test_evaluation_leaves_every_module_in_its_mode() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
    model[1].eval()
    seen = []
    model[0].register_forward_hook(
        lambda module, inputs, output: seen.append([m.training for m in model.modules()])
    )
    with pytest.raises(ZeroDivisionError):
        train.evaluate(model, [(pn.zeros((1, 2)), 1)], loss=lambda outputs, target: 1 / 0)
    assert seen == [[False] * 4]
    assert [m.training for m in (model, *model)] == [True, True, False, True]


def test_metrics_of_training_and_validation_are_apart(rng: Any) -> None:
    inputs, targets = numbers(rng)
    model = nn.Linear(4, 1)
    data = DataLoader(TensorDataset(inputs, targets), 6)
    other = DataLoader(TensorDataset(-inputs, targets), 9)
    optimizer = optim.SGD(
        model.parameters(), lr=1e-30
    )  # the weights stay, so both can be computed afterwards
    history = train.fit(
        model, nn.MSELoss(), optimizer, data, epochs=2, validation=other, metrics=[MeanOutput()]
    )
    columns = ["epoch", "updates", "lr", "loss", "mean_output", "validation_loss", "validation_mean_output"]
    assert history.columns() == columns
    for row in history:
        assert row["mean_output"] == pytest.approx(train.predict(model, inputs).numpy().mean(), abs=1e-5)
        assert row["validation_mean_output"] == pytest.approx(
            train.predict(model, -inputs).numpy().mean(), abs=1e-5
        )
        assert row["validation_loss"] == pytest.approx(
            train.evaluate(model, other, nn.MSELoss())["loss"], rel=1e-6
        )


def test_a_plateau_schedule_sees_the_loss_of_the_validation(rng: Any) -> None:
    inputs, targets = numbers(rng)
    model = nn.Linear(4, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=0.0)
    data = DataLoader(TensorDataset(inputs, targets), 6)
    wrong = DataLoader(TensorDataset(inputs, -targets * 100 - 100), 6)  # better here is worse there
    history = train.fit(model, nn.MSELoss(), optimizer, data, epochs=6, validation=wrong, scheduler=schedule)
    assert history["loss"][-1] < history["loss"][0]
    worse = np.diff(history["validation_loss"][:-1]) >= 0
    np.testing.assert_allclose(history["lr"][2:], 0.01 * 0.5 ** np.cumsum(worse))
    assert worse.any()


def test_a_schedule_can_step_after_each_update(rng: Any) -> None:
    inputs, targets = numbers(rng)
    model = nn.Linear(4, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    steps = train.SchedulerEachUpdate(lr_scheduler.ExponentialLR(optimizer, gamma=0.5))
    data = DataLoader(TensorDataset(inputs, targets), 6)
    assert train.fit(model, nn.MSELoss(), optimizer, data, epochs=2, callbacks=[steps])["lr"] == [
        0.01 / 16,
        0.01 / 256,
    ]


# Going on


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

    def __init__(self, rng: Any, kind: str) -> None:
        self.arrays = numbers(rng)
        self.kind = kind
        self.accumulate = int(rng.integers(1, 4))

    def fit(self, seed: int = 0, callbacks: Any = (), **options: Any) -> tuple[list[bytes], train.History]:
        pn.manual_seed(seed)
        model = network()
        optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
        set_ = TensorDataset(*self.arrays)
        validation = DataLoader(set_, 7, shuffle=True)
        data: Any = DataLoader(set_, 4, shuffle=True)
        if self.kind == "own generator":
            data = DataLoader(set_, 4, shuffle=True, generator=pn.random.Generator(seed + 5))
        elif self.kind == "list":
            data = list(DataLoader(set_, 4))
        elif self.kind == "user's own":
            data = Shuffled(self.arrays, seed)
        schedule: Any = lr_scheduler.SequentialLR(
            optimizer,
            [lr_scheduler.LinearLR(optimizer, 0.5, 1.0, 2), lr_scheduler.MultiStepLR(optimizer, [1])],
            [2],
        )
        if self.kind == "list":
            schedule = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
        history = train.fit(
            *(model, nn.MSELoss(), optimizer, data),
            epochs=self.epochs,
            validation=validation,
            metrics=[MeanOutput()],
            callbacks=[train.EarlyStopping(patience=30, restore_best=True), *callbacks],
            scheduler=schedule,
            accumulate=self.accumulate,
            clip=1.0,
            **options,
        )
        return bits(model, optimizer, schedule, history, pn.random.default_generator.get_state()), history


class Shuffled:
    """Batches as somebody might write them, with a generator of its own and without `iterate`."""

    def __init__(self, arrays: Any, seed: int) -> None:
        self.arrays, self.generator = arrays, pn.random.Generator(seed + 9)

    def __iter__(self) -> Iterator[Any]:
        order = pn.random.permutation(len(self.arrays[0]), generator=self.generator).numpy()
        for start in range(0, len(order), 4):
            yield tuple(pn.asarray(array[order[start : start + 4]]) for array in self.arrays)


@pytest.mark.parametrize("kind", ["loader", "own generator", "list", "user's own"])
def test_a_run_that_stops_anywhere_goes_on_to_the_last_bit(rng: Any, tmp_path: Path, kind: str) -> None:
    setting = Setting(rng, kind)
    wanted, history = setting.fit()
    last = history["updates"][-1]
    for update in sorted({2, *(int(k) for k in rng.integers(2, last + 1, 4)), last}):
        folder = tmp_path / str(update)
        every = int(rng.integers(1, min(update, 4)))
        saving = train.Checkpoints(folder, every_updates=every, best="validation_loss")
        with pytest.raises(CrashError):
            setting.fit(callbacks=[saving, Stop(update, crash)])
        again = train.Checkpoints(folder, every_updates=every, best="validation_loss")
        found, _ = setting.fit(seed=99, callbacks=[again], resume=folder)
        assert found == wanted, (update, every, setting.accumulate)


def test_a_run_goes_on_from_every_file_that_it_left(rng: Any, tmp_path: Path) -> None:
    setting = Setting(rng, "loader")
    wanted, _ = setting.fit(callbacks=[train.Checkpoints(tmp_path, every_epochs=1, best="loss")])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "last.safetensors",
        "best.safetensors",
        *(f"epoch-000{k}.safetensors" for k in (1, 2, 3, 4)),
    }
    for name in names:
        assert (
            setting.fit(
                seed=99, callbacks=[train.Checkpoints(tmp_path / "x", best="loss")], resume=tmp_path / name
            )[0]
            == wanted
        ), name


def test_an_empty_folder_begins_a_run_and_a_finished_one_stays(rng: Any, tmp_path: Path) -> None:
    setting = Setting(rng, "loader")
    wanted, _ = setting.fit()
    for folder in (tmp_path, tmp_path / "new", tmp_path / "new"):
        assert setting.fit(callbacks=[train.Checkpoints(tmp_path / "new")], resume=folder)[0] == wanted


def test_a_finished_run_can_be_made_longer(rng: Any, tmp_path: Path) -> None:
    setting = Setting(rng, "loader")
    wanted, _ = setting.fit()
    setting.epochs = 2
    setting.fit(callbacks=[train.Checkpoints(tmp_path)])
    setting.epochs = 4
    assert setting.fit(seed=99, resume=tmp_path)[0] == wanted


def test_generators_are_found_wherever_they_are(rng: Any) -> None:
    class Noise(nn.Module):
        def __init__(self) -> None:
            self.linear, self.draw = nn.Linear(4, 1), {"noise": pn.random.Generator(1)}

        def forward(self, x: Any) -> Any:
            return self.linear(x)

    class Set:
        def __init__(self) -> None:
            self.augment = [pn.random.Generator(2)]

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Any:
            return pn.zeros((4,)), pn.zeros((1,))

    model, data = Noise(), DataLoader(Set(), 2, shuffle=True, generator=pn.random.Generator(3))
    run = train.Run(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), data, epochs=1)
    state = run.state_dict()
    seeds = {name: found["seed"] for name, found in state["random"]["now"].items()}
    assert seeds.pop("default") == pn.random.default_generator.get_state()["seed"]
    assert seeds == {"model.draw['noise']": 1, "data.dataset.augment[0]": 2, "data.generator": 3}
    data.generator = None
    other = train.Run(model, nn.MSELoss(), run.optimizer, data, epochs=1)
    with pytest.raises(StateDictError, match=r"with the generators .*data\.generator.*, and now there are"):
        other.load_state_dict(state)


@pytest.mark.parametrize("moment", ["update", "validation"])
def test_ctrl_c_finishes_the_step_saves_and_says_how_to_go_on(
    rng: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.chdir(tmp_path)
    setting = Setting(rng, "loader")
    wanted, history = setting.fit()
    update = int(rng.integers(1, history["updates"][-1]))

    def interrupt() -> None:
        signal.raise_signal(signal.SIGINT)

    if moment == "update":
        callback: train.Callback = Stop(update, interrupt)
    else:

        class Interrupting(MeanOutput):
            pass

        calls = iter(range(100))

        def count(self: Any, outputs: Any, targets: Any) -> None:
            MeanOutput.update(self, outputs, targets)
            if self.name == "validated" and next(calls) == 4:
                interrupt()

        Interrupting.update = count  # type: ignore[method-assign]
        callback = train.Callback()
        monkeypatch.setattr(
            train.loop,
            "evaluate",
            lambda model, data, loss, metrics: train.evaluate(
                model, data, loss, [_renamed(Interrupting(), metrics)]
            ),
        )
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(
        KeyboardInterrupt, match=r"interrupted after \d+ updates, in epoch \d of 4.*resume='inter"
    ):
        setting.fit(callbacks=[callback])
    assert signal.getsignal(signal.SIGINT) is handler
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    saved = load_checkpoint("interrupted.safetensors")
    if moment == "update":
        assert saved["progress"]["updates"] == update
    found, _ = setting.fit(seed=99, resume="interrupted.safetensors")
    assert found == wanted
    with pytest.raises(KeyboardInterrupt, match=r"resume='interrupted-2\.safetensors'"):
        setting.fit(callbacks=[Stop(1, interrupt)])
    with pytest.raises(KeyboardInterrupt, match=r"resume='runs.last\.safetensors'"):
        setting.fit(callbacks=[Stop(1, interrupt), train.Checkpoints("runs")])


def _renamed(metric: Any, like: Any) -> Any:
    metric.name = "validated"
    return metric


def test_a_second_ctrl_c_stops_at_once(rng: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        Setting(rng, "loader").fit(callbacks=[Stop(2, twice)])
    assert not str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_programs_own_handler_of_ctrl_c_is_left_alone(rng: Any) -> None:
    heard = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        Setting(rng, "loader").fit(callbacks=[Stop(2, lambda: signal.raise_signal(signal.SIGINT))])
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]


def test_fit_runs_in_another_thread(rng: Any) -> None:
    done = []
    thread = threading.Thread(target=lambda: done.append(Setting(rng, "loader").fit()))
    thread.start()
    thread.join()
    assert len(done) == 1


def test_a_checkpoint_that_does_not_fit_is_refused_by_name(rng: Any, tmp_path: Path) -> None:
    inputs, targets = numbers(rng)
    data = [(pn.asarray(inputs), pn.asarray(targets))] * 3

    def attempt(path: Any, sizes: tuple[int, ...] = (4, 1), batches: int = 3, **options: Any) -> None:
        model = nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(sizes)))
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        if options.pop("schedule", False):
            options["scheduler"] = lr_scheduler.StepLR(optimizer, 1)
        train.fit(model, nn.MSELoss(), optimizer, data[:batches], epochs=2, resume=path, **options)

    with pytest.raises(CrashError):
        attempt(None, callbacks=[train.Checkpoints(tmp_path, every_updates=1), Stop(3, crash)])
    last = tmp_path / "last.safetensors"
    attempt(last)
    for wrong, message in (
        ({"sizes": (4, 2, 1)}, "0.weight|missing|unexpected"),
        ({"batches": 2}, "in the middle of an epoch of 3 batches, and now there are 2"),
        ({"schedule": True}, "scheduler"),
        ({"metrics": [MeanOutput()]}, "other metrics"),
    ):
        with pytest.raises(
            CheckpointError, match=rf"resume: .*last\.safetensors does not fit this run: .*({message})"
        ):
            attempt(last, **wrong)
    save_checkpoint({"epoch": 3}, tmp_path / "mine.safetensors")
    with pytest.raises(CheckpointError, match="not the state of a run"):
        attempt(tmp_path / "mine.safetensors")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "last.safetensors").write_bytes(last.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match=r"broken has no sound checkpoint: last\.safetensors"):
        attempt(broken)
    with pytest.raises(FileNotFoundError):
        attempt(tmp_path / "missing.safetensors")


@pytest.mark.parametrize("name", ["kind", "progress", "random", "history", "running", "callbacks", "model"])
def test_a_state_without_a_part_is_refused(rng: Any, name: str) -> None:
    model = nn.Linear(4, 1)
    run = train.Run(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), [], epochs=1)
    state = run.state_dict()
    run.load_state_dict(state)
    with pytest.raises(StateDictError):
        run.load_state_dict({key: value for key, value in state.items() if key != name})


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killed_runs_end_with_the_same_bits(rng: Any) -> None:
    kill = importlib.import_module("benchmarks.soak.kill")
    tally = kill.soak(1, kills=2, seed=int(rng.integers(2**32)))
    assert (tally.runs, tally.alike, tally.unsound) == (1, 1, 0)
    assert tally.kills >= 1


# Misuse


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": len}, TypeError, r"model: expected a portanet\.nn\.Module"),
        ({"loss": nn.MSELoss}, TypeError, r"loss: expected a callable such as nn.CrossEntropyLoss\(\)"),
        ({"optimizer": 0.1}, TypeError, "optimizer: expected"),
        ({"data": 5}, TypeError, "data: expected an iterable of batches"),
        ({"data": []}, DataError, "data: expected at least one batch, got none"),
        ({"data": [pn.zeros((2, 4))]}, DataError, r"expected batches of at least two parts, .*got a Tensor"),
        ({"data": [(pn.zeros((2, 4)),)]}, DataError, "got a tuple of 1"),
        ({"epochs": -1}, OptionError, "epochs: expected a whole number"),
        ({"accumulate": 0}, OptionError, "accumulate: expected a whole number of at least 1"),
        ({"clip": -1.0}, OptionError, "clip: expected a finite number of at least 0"),
        ({"scheduler": 1}, TypeError, "scheduler: expected a schedule"),
        ({"metrics": [len]}, TypeError, r"metrics: .*which lacks name, reset, update, compute"),
        ({"metrics": [MeanOutput]}, TypeError, "which lacks name|an instance: call it"),
        ({"metrics": [MeanOutput(), MeanOutput()]}, TypeError, "different names"),
        ({"callbacks": [train.ProgressBar]}, TypeError, "got ProgressBar, not called"),
        ({"callbacks": [print]}, TypeError, "callbacks: expected"),
        ({"validation": []}, DataError, "data: expected at least one batch, got none"),
    ],
)
def test_misuse_is_named(change: dict[str, Any], error: type[Exception], message: str) -> None:
    model = nn.Linear(4, 1)
    given: dict[str, Any] = {
        "model": model,
        "loss": nn.MSELoss(),
        "optimizer": optim.SGD(model.parameters(), lr=0.1),
        "data": [(pn.zeros((2, 4)), pn.zeros((2, 1)))],
        "epochs": 1,
    }
    with pytest.raises(error, match=message):
        train.fit(**{**given, **change})


def test_an_optimizer_of_another_model_is_noticed() -> None:
    other = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1)
    with pytest.raises(DataError, match="it has none of the model's parameters"):
        train.fit(nn.Linear(4, 1), nn.MSELoss(), other, [], epochs=1)
