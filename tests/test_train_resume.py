"""Runs that stop and go on: to the last bit, or not at all."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import portanet as pn
from portanet import nn, optim, train
from portanet.data import DataLoader, TensorDataset
from portanet.errors import CheckpointError, StateDictError
from portanet.io import save_checkpoint
from portanet.optim import lr_scheduler
from portanet.optim.averaging import AveragedModel, get_ema_avg_fn
from tests.runs import CrashError, MeanOutput, Setting, Stop, bits, crash, numbers

KINDS = ["loader", "own generators", "list", "user's own"]
KINDS += ["sampler that draws late", "samplers", "loss with parameters"]


@pytest.mark.parametrize("kind", KINDS)
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


def test_a_folder_that_is_not_there_yet_may_have_any_name(rng: Any, tmp_path: Path) -> None:
    setting = Setting(rng, "loader")
    wanted, _ = setting.fit()
    folder = tmp_path / "lr0.05"
    for _ in range(2):
        assert setting.fit(callbacks=[train.Checkpoints(folder)], resume=folder)[0] == wanted
    with pytest.raises(FileNotFoundError):
        setting.fit(callbacks=[train.Checkpoints(folder)], resume=folder / "lost.safetensors")


def test_going_on_past_a_damaged_file_is_said(rng: Any, tmp_path: Path) -> None:
    setting = Setting(rng, "loader")
    wanted, _ = setting.fit(callbacks=[train.Checkpoints(tmp_path, every_epochs=3)])
    last = tmp_path / "last.safetensors"
    last.write_bytes(last.read_bytes()[:-1])
    pn.save({"x": pn.zeros((1,))}, tmp_path / "weights.safetensors")  # no checkpoint, and no damage
    with pytest.warns(UserWarning, match=r"going on from .*epoch-0003\..* since .*last\.safetensors") as told:
        found, _ = setting.fit(seed=99, resume=tmp_path)
    assert found == wanted
    assert len(told) == 1
    assert "weights" not in str(told[0].message)


def test_a_metric_without_a_state_does_not_cost_the_run(rng: Any, tmp_path: Path) -> None:
    class Counting:
        name = "batches"

        def reset(self) -> None:
            self.count = 0

        def update(self, outputs: Any, targets: Any) -> None:
            self.count += 1

        def compute(self) -> int:
            return self.count

    setting = Setting(rng, "loader")
    setting.metrics = [Counting()]
    setting.accumulate = 1
    with pytest.raises(CrashError):
        setting.fit(callbacks=[train.Checkpoints(tmp_path, every_updates=1), Stop(4, crash)])
    with pytest.warns(UserWarning, match=r"metrics: batches has no state_dict\(\), so its value for epoch 1"):
        _, history = setting.fit(resume=tmp_path)
    assert history["batches"] == [3, 6, 6, 6]


def test_metrics_go_on_where_the_model_is(eager: str, rng: Any, tmp_path: Path) -> None:
    """Which may be on another backend than the one in use."""
    inputs, targets = numbers(rng)
    data = [(pn.asarray(inputs[k : k + 5]), pn.asarray(targets[k : k + 5])) for k in range(0, 20, 5)]
    values = [p.detach().numpy() for p in nn.Linear(4, 1).parameters()]

    def fit(*callbacks: Any, **options: Any) -> list[bytes]:
        model = nn.Linear(4, 1)
        model.load_state_dict(dict(zip(("weight", "bias"), values, strict=True)))
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        with pn.use_backend("numpy"):
            history = train.fit(
                *(model, nn.MSELoss(), optimizer, data),
                epochs=2,
                metrics=[pn.metrics.MeanSquaredError()],
                callbacks=callbacks,
                **options,
            )
        return bits(model, history.rows)

    wanted = fit()
    with pytest.raises(CrashError):
        fit(train.Checkpoints(tmp_path, every_updates=1), Stop(4, crash))
    assert fit(resume=tmp_path) == wanted


def test_averaged_weights_and_what_an_epoch_begins_with_go_on(rng: Any, tmp_path: Path) -> None:
    """A callback as somebody might write it: an average that is saved, and a setting that depends on the epoch."""

    class Average(train.Callback):
        def __init__(self) -> None:
            self.average: Any = None
            self.saved: Any = None

        def on_begin(self, run: train.Run) -> None:
            self.average = AveragedModel(run.model, avg_fn=get_ema_avg_fn(0.9))
            if self.saved is not None:
                self.average.load_state_dict(self.saved)

        def on_epoch_begin(self, run: train.Run) -> None:
            run.model[3].p = 0.1 * (run.epoch + 1)

        def on_update(self, run: train.Run) -> None:
            self.average.update_parameters(run.model)

        def state_dict(self) -> dict[str, Any]:
            return {"average": self.average.state_dict()}

        def load_state_dict(self, state_dict: Any) -> None:
            self.saved = state_dict["average"]

    setting = Setting(rng, "loader")
    one, other = Average(), Average()
    wanted, history = setting.fit(callbacks=[one])
    update = int(rng.integers(2, history["updates"][-1]))
    with pytest.raises(CrashError):
        setting.fit(callbacks=[Average(), train.Checkpoints(tmp_path, every_updates=1), Stop(update, crash)])
    found, _ = setting.fit(seed=99, callbacks=[other], resume=tmp_path)
    assert found == wanted
    assert bits(one.average) == bits(other.average)


def test_a_validation_may_be_new_when_a_run_goes_on(rng: Any, tmp_path: Path) -> None:
    setting = Setting(rng, "own generators")
    setting.epochs = 1
    setting.change_validation = lambda batches: None
    setting.fit(callbacks=[train.Checkpoints(tmp_path)])
    setting.epochs = 2
    setting.change_validation = lambda batches: batches
    _, history = setting.fit(resume=tmp_path)
    assert ["validation_loss" in row for row in history] == [False, True]


def test_a_large_model_hides_no_generator(rng: Any) -> None:
    """Its numbers, names and weights are no places to look at."""
    model = nn.Sequential(*(nn.Linear(1, 1) for _ in range(4000)))
    for number, layer in enumerate(model):
        layer.names, layer.scale = [f"{number}-{k}" for k in range(4)], 0.5 + number
    data: Any = TensorDataset(pn.zeros((2, 1)), pn.zeros((2, 1)))
    data.deep = [{"augment": {"noise": [pn.random.Generator(1)]}}]
    optimizer = optim.SGD(model[0].parameters(), lr=0.1)
    run = train.Run(model, nn.MSELoss(), optimizer, DataLoader(data), epochs=1)
    assert "data.dataset.deep[0]['augment']['noise'][0]" in run.random_states()


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

    def collate(samples: Any, generator: Any) -> Any:
        return samples

    def loss(outputs: Any, targets: Any) -> Any:
        return smooth, later

    smooth = pn.random.Generator(5)
    options: Any = {"collate_fn": partial(collate, generator=pn.random.Generator(4))}
    model, data = Noise(), DataLoader(Set(), 2, shuffle=True, generator=pn.random.Generator(3), **options)
    run = train.Run(model, loss, optim.SGD(model.parameters(), lr=0.1), data, epochs=1)
    later = 1
    state = run.state_dict()
    seeds = {name: found["seed"] for name, found in state["random"]["now"].items()}
    assert seeds.pop("default") == pn.random.default_generator.get_state()["seed"]
    assert seeds == {
        "model.draw['noise']": 1,
        "data.dataset.augment[0]": 2,
        "data.generator": 3,
        "data.collate_fn.keywords['generator']": 4,
        "loss.smooth": 5,
    }
    data.generator = None
    other = train.Run(model, loss, run.optimizer, data, epochs=1)
    with pytest.raises(StateDictError, match=r"with the generators .*data\.generator.*, and now there are"):
        other.load_state_dict(state)


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
    with pytest.raises(
        CheckpointError, match=r"broken has no sound checkpoint: .*last\.safetensors is damaged"
    ):
        attempt(broken)
    with pytest.raises(FileNotFoundError):
        attempt(tmp_path / "missing.safetensors")


@pytest.mark.parametrize(
    "name", ["kind", "progress", "random", "history", "running", "callbacks", "model", "loss"]
)
def test_a_state_without_a_part_is_refused(rng: Any, name: str) -> None:
    model = nn.Linear(4, 1)
    run = train.Run(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), [], epochs=1)
    state = run.state_dict()
    run.load_state_dict(state)
    with pytest.raises(StateDictError):
        run.load_state_dict({key: value for key, value in state.items() if key != name})


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("progress", "epoch", -1),
        ("progress", "batch", 0.5),
        ("running", "samples", "many"),
        ("random", "now", {"default": {"seed": -1, "draws": 0}}),
        ("random", "now", None),
        ("history", "columns", {"loss": [1.0], "lr": []}),
        ("history", "losses", ["x"]),
        ("optimizer", "param_groups", None),
    ],
)
def test_a_state_with_senseless_parts_is_refused(rng: Any, part: str, name: str, value: Any) -> None:
    model = nn.Linear(4, 1)
    run = train.Run(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), [], epochs=1)
    state = run.state_dict()
    with pytest.raises(StateDictError):
        run.load_state_dict({**state, part: {**state[part], name: value}})


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killed_runs_end_with_the_same_bits(rng: Any) -> None:
    kill = importlib.import_module("benchmarks.soak.kill")
    tally = kill.soak(1, kills=2, seed=int(rng.integers(2**32)))
    assert (tally.runs, tally.alike, tally.unsound) == (1, 1, 0)
    assert tally.kills >= 1
