"""Checkpoints: what comes back bit for bit, what a failure leaves behind, and that damage is noticed."""

from __future__ import annotations

import errno
import importlib
import json
import math
import os
import stat
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn, optim
from portanet.errors import CheckpointError, DTypeError
from portanet.io import latest_checkpoint, load_checkpoint, remove_leftovers, save_checkpoint
from portanet.optim import lr_scheduler

ROOT = Path(__file__).parents[1]


def same(a: Any, b: Any) -> bool:
    """Equal to the last bit, with the same types all the way down."""
    if isinstance(a, pn.Tensor) or isinstance(b, pn.Tensor):
        return (
            isinstance(a, pn.Tensor)
            and isinstance(b, pn.Tensor)
            and (a.shape, a.dtype) == (b.shape, b.dtype)
            and a.detach().numpy().tobytes() == b.detach().numpy().tobytes()
        )
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return struct.pack("<d", a) == struct.pack("<d", b) if isinstance(a, float) else a == b


# What comes back


def test_a_tree_comes_back_to_the_last_bit(backend: str, rng: Any, tmp_path: Path) -> None:
    state = {
        "weights": {
            "0.weight": pn.asarray(rng.normal(size=(3, 4)).astype("float32")),
            "steps": pn.asarray(7),
        },
        "mT": pn.asarray(rng.normal(size=(3, 4)).astype("float32")).mT,
        "empty": pn.zeros((0, 2)),
        "floats": [float(x) for x in rng.normal(size=5)]
        + [math.inf, -math.inf, math.nan, -0.0, 5e-324, 1e308],
        "many": [float(x) for x in rng.normal(size=200) * 10.0 ** rng.integers(-300, 300, 200)]
        + [math.nan, -0.0],
        "numbers": [0, -1, 2**64 - 1, 10**40, True, False, None, 0.1],
        "many whole": [int(x) for x in rng.integers(-(2**63), 2**63 - 1, 70)] + [2**63 - 1, -(2**63)],
        "many larger": [2**63 + k for k in range(70)],
        "many truths": [True] * 70,
        "text": ["", "größe", "重み", '"\\', "$tensor", "a path that is no text: \udc80"],
        "tuple": (1, (2.5, [3]), ()),
        "by number": {0: {"step": 3}, 1: {}, (2, "x"): []},
        "marked": {"$tensor": "weights", "$x": 1},
        "counted": Counter({3: 2, 5: 1}),
        "nothing": {},
    }
    path = tmp_path / "run.safetensors"
    save_checkpoint(state, path)
    assert same(load_checkpoint(path), state)
    assert os.listdir(tmp_path) == [path.name]


def test_names_that_collide_stay_apart(tmp_path: Path) -> None:
    state = {"a/b": pn.asarray([1.0]), "a": {"b": pn.asarray([2.0])}, "__metadata__": pn.asarray([3.0])}
    save_checkpoint(state, tmp_path / "x")
    assert same(load_checkpoint(tmp_path / "x"), state)


def test_numbers_of_an_array_library_come_back_as_python_numbers(tmp_path: Path) -> None:
    save_checkpoint({"lr": np.float64(0.1), "small": np.float32(0.1), "n": np.int64(3)}, tmp_path / "x")
    assert same(load_checkpoint(tmp_path / "x"), {"lr": 0.1, "small": float(np.float32(0.1)), "n": 3})


def test_the_same_state_gives_the_same_file(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    for name in "ab":
        save_checkpoint({"model": model.state_dict(), "epoch": 1}, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_other_readers_find_the_arrays(rng: Any, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))
    save_checkpoint({"model": model.state_dict(), "epoch": 3}, tmp_path / "run.safetensors")
    pn.save(model.state_dict(), tmp_path / "weights.safetensors")
    run, weights = (load_file(tmp_path / f"{name}.safetensors") for name in ("run", "weights"))
    assert set(weights) == set(model.state_dict())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(weights[name], value.numpy())
        np.testing.assert_array_equal(run[f"model/{name}"], value.numpy())


def test_pytorchs_loader_reads_weights(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    ours, theirs = nn.Linear(4, 3), torch.nn.Linear(4, 3)
    pn.save(ours.state_dict(), tmp_path / "weights.safetensors")
    theirs.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    np.testing.assert_array_equal(theirs.weight.detach().numpy(), ours.weight.detach().numpy())


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01, amsgrad=True),
    **{
        name: lambda p, name=name: getattr(optim, name)(p)
        for name in (
            "Adadelta",
            "Adagrad",
            "Adamax",
            "NAdam",
            "RAdam",
            "RMSprop",
            "Rprop",
            "ASGD",
            "Lion",
            "Adafactor",
        )
    },
    "Muon": lambda p: optim.Muon([x for x in p if x.ndim == 2]),
}
SCHEDULES = {
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [2, 2, 5], gamma=0.5),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=20),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.9**epoch),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, 3, cycle_momentum=False),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.ConstantLR(o, 0.5, 2), lr_scheduler.MultiStepLR(o, [1, 3])], [4]
    ),
}


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [(name, "MultiStepLR") for name in OPTIMIZERS] + [("SGD", name) for name in SCHEDULES],
)
def test_optimizers_and_schedules_go_on_to_the_last_bit(
    rng: Any, tmp_path: Path, optimizer: str, schedule: str
) -> None:
    gradients = rng.normal(size=(12, 5, 4)).astype("float32")

    def parts(values: Any) -> tuple[Any, Any, Any]:
        weight = nn.Parameter(pn.asarray(values))
        update = OPTIMIZERS[optimizer]([weight])
        return weight, update, SCHEDULES[schedule](update)

    def steps(weight: Any, update: Any, rate: Any, which: range) -> None:
        for k in which:
            weight.grad = pn.asarray(gradients[k])
            update.step()
            rate.step(*([1.0] if schedule == "ReduceLROnPlateau" else []))

    first = rng.normal(size=(5, 4)).astype("float32")
    whole = parts(first)
    steps(*whole, range(12))
    half = parts(first)
    steps(*half, range(5))
    saved = {"weight": half[0].detach(), "optimizer": half[1].state_dict(), "schedule": half[2].state_dict()}
    save_checkpoint(saved, tmp_path / "x")
    state = load_checkpoint(tmp_path / "x")
    other = parts(state["weight"])
    other[1].load_state_dict(state["optimizer"])
    other[2].load_state_dict(state["schedule"])
    steps(*other, range(5, 12))
    assert same(other[0].detach(), whole[0].detach())
    assert same(other[1].state_dict(), whole[1].state_dict())
    assert other[2].get_last_lr() == whole[2].get_last_lr()


def nested(depth: int) -> Any:
    """A mapping in the form that needs most of a reader: none of its keys is a text."""
    state: Any = {}
    for number in range(depth):
        state = {number: state}
    return state


def test_a_state_as_deep_as_may_be_is_read(tmp_path: Path) -> None:
    save_checkpoint(nested(100), tmp_path / "x")
    assert load_checkpoint(tmp_path / "x") == nested(100)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([1], r"state: expected a mapping .*got list\. Pass, for example"),
        ({"model": nn.Linear(1, 1)}, r"'model' is a Linear\. Give it a state_dict"),
        ({"a": {"b": [1, {2, 3}]}}, "'a/b/1' is a set"),
        ({"z": 1j}, "'z' is a complex"),
        (nested(101), "nested more than 100 deep"),
    ],
)
def test_what_has_no_place_in_a_checkpoint_is_refused(tmp_path: Path, state: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        save_checkpoint(state, tmp_path / "x")
    assert os.listdir(tmp_path) == []


def test_complex_arrays_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DTypeError, match="'a/wave' is complex64"):
        save_checkpoint({"a": {"wave": np.ones(2, "complex64")}}, tmp_path / "x")


@pytest.mark.parametrize("state", [{"x": [[1, 2]] * 30}, {"x": "[{" * 30}, {str(k): {} for k in range(30)}])
def test_what_is_saved_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: Any) -> None:
    """Whatever the readers' limit is."""
    sealed = importlib.import_module("portanet.io.sealed")
    saved = []
    for limit in range(20, 100):
        monkeypatch.setattr(sealed, "MOST_PARTS", limit)
        try:
            save_checkpoint(state, tmp_path / "x")
        except CheckpointError:
            continue
        assert load_checkpoint(tmp_path / "x") == state
        saved.append(limit)
    assert 0 < len(saved) < 80


def test_names_that_need_too_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("portanet.io.sealed"), "LARGEST_HEADER", 1000)
    with pytest.raises(CheckpointError, match="names and plain values take .* more than 1,000 or"):
        save_checkpoint({"text": "a" * 2000}, tmp_path / "x")
    assert os.listdir(tmp_path) == []


# Damage


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    save_checkpoint({"model": nn.Linear(2, 2).state_dict(), "epoch": 1}, path)
    good = path.read_bytes()
    for place in range(len(good)):
        path.write_bytes(flipped(good, place))
        with pytest.raises(CheckpointError, match=r"path: .*run\.safetensors .*Nothing was loaded"):
            load_checkpoint(path)
    for length in range(len(good)):
        path.write_bytes(good[:length])
        with pytest.raises(CheckpointError):
            load_checkpoint(path)


def test_a_flipped_bit_among_saved_weights_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    pn.save({"x": pn.zeros((100,))}, path)
    good = path.read_bytes()
    start = 8 + int.from_bytes(good[:8], "little")
    for place in range(start, len(good)):
        path.write_bytes(flipped(good, place))
        with pytest.raises(CheckpointError, match="checksum"):
            pn.load(path)


def test_weights_of_other_libraries_need_no_checksum(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"x": np.ones(3, "float32")}, tmp_path / "x")
    assert pn.load(tmp_path / "x")["x"].tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(CheckpointError, match=r"damaged or is no checkpoint \(it has|carries no checksum"):
        load_checkpoint(tmp_path / "x")


def test_weights_are_no_checkpoint(tmp_path: Path) -> None:
    pn.save({"x": pn.zeros((1,))}, tmp_path / "x")
    with pytest.raises(CheckpointError, match=r"is no checkpoint; it may hold weights, for portanet\.load"):
        load_checkpoint(tmp_path / "x")


def test_a_forged_length_allocates_nothing(tmp_path: Path) -> None:
    """A file whose checksum is right and whose header claims to hold more than any machine has."""
    seal = importlib.import_module("benchmarks.soak.mutate").seal
    header = {
        "__metadata__": {"sha256": "0" * 64},
        "x": {"dtype": "F64", "shape": [2**57], "data_offsets": [0, 2**60]},
    }
    (tmp_path / "x").write_bytes(seal(json.dumps(header, separators=(",", ":")).encode(), bytes(100)))
    with pytest.raises(CheckpointError, match="'x' does not lie where it should"):
        load_checkpoint(tmp_path / "x")


def test_a_forged_shape_of_nothing_is_refused(tmp_path: Path) -> None:
    """No bytes are as many as it wants, and yet NumPy takes no such shape."""
    seal = importlib.import_module("benchmarks.soak.mutate").seal
    header = {
        "__metadata__": {
            "sha256": "0" * 64,
            "format": "portanet.checkpoint.1",
            "state": '{"x":{"$tensor":"x"}}',
        },
        "x": {"dtype": "F32", "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]},
    }
    (tmp_path / "x").write_bytes(seal(json.dumps(header, separators=(",", ":")).encode(), b""))
    with pytest.raises(CheckpointError, match="'x' has no sensible shape"):
        load_checkpoint(tmp_path / "x")
    with pytest.raises(CheckpointError, match="Nothing was loaded"):
        pn.load(tmp_path / "x")


@pytest.mark.parametrize("kind", ["$items", "$counter"])
def test_keys_that_collide_are_refused(tmp_path: Path, kind: str) -> None:
    """A table of half a million keys with one hash would take hours; as many honest ones are no matter."""
    seal = importlib.import_module("benchmarks.soak.mutate").seal

    def write(keys: Any) -> None:
        state = json.dumps({"x": {kind: [[key, 0] for key in keys]}})
        metadata = {"sha256": "0" * 64, "format": "portanet.checkpoint.1", "state": state}
        header = json.dumps({"__metadata__": metadata}, separators=(",", ":"))
        (tmp_path / "x").write_bytes(seal(header.encode(), b""))

    write(range(-50_000, 50_000))
    assert len(load_checkpoint(tmp_path / "x")["x"]) == 100_000
    write(k * sys.hash_info.modulus for k in range(100))
    with pytest.raises(CheckpointError, match="collide"):
        load_checkpoint(tmp_path / "x")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX pipes")
def test_a_pipe_among_checkpoints_is_passed_over(tmp_path: Path) -> None:
    save_checkpoint({"epoch": 1}, tmp_path / "run.safetensors")
    os.mkfifo(tmp_path / "waits.safetensors")
    assert latest_checkpoint(tmp_path) == tmp_path / "run.safetensors"


def test_a_damaged_file_is_refused_and_the_newest_sound_one_offered(tmp_path: Path) -> None:
    for number, name in enumerate(("first", "second", "third")):
        save_checkpoint({"number": number}, tmp_path / f"{name}.safetensors")
        os.utime(tmp_path / f"{name}.safetensors", ns=(number * 10**9, number * 10**9))
    pn.save({"x": pn.zeros((1,))}, tmp_path / "weights.safetensors")
    assert latest_checkpoint(tmp_path) == tmp_path / "third.safetensors"
    third = tmp_path / "third.safetensors"
    third.write_bytes(third.read_bytes()[:-1])
    assert latest_checkpoint(tmp_path) == tmp_path / "second.safetensors"
    with pytest.raises(
        CheckpointError, match=r"third\.safetensors .*newest sound .* is .*second\.safetensors"
    ):
        load_checkpoint(third)


def test_where_there_is_nothing_sound(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "missing") is None
    (tmp_path / "bad.safetensors").write_bytes(b"x")
    assert latest_checkpoint(tmp_path) is None
    with pytest.raises(CheckpointError, match="Nothing was loaded.$"):
        load_checkpoint(tmp_path / "bad.safetensors")
    with pytest.raises(FileNotFoundError, match="none.safetensors"):
        load_checkpoint(tmp_path / "none.safetensors")


def test_mutated_files_are_refused(rng: Any) -> None:
    mutate = importlib.import_module("benchmarks.soak.mutate")
    tally = mutate.soak(24 * len(mutate.MUTATIONS), seed=int(rng.integers(2**32)))
    assert not tally.wrong
    assert tally.refused.total() == 24 * len(mutate.MUTATIONS)


# Failures while writing


def test_a_full_disk_is_named_and_harms_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits the size of files")
    import signal

    path = tmp_path / "run.safetensors"
    save_checkpoint({"epoch": 1}, path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match=r"nothing was written.*run\.safetensors") as caught:
            save_checkpoint({"x": pn.zeros((100_000,))}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.errno == errno.EFBIG
    assert load_checkpoint(path) == {"epoch": 1}
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("moment", ["open", "fsync", "replace"])
def test_what_the_system_refuses_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, number: int
) -> None:
    path = tmp_path / "run.safetensors"
    save_checkpoint({"epoch": 1}, path)

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(Path if moment == "open" else os, moment, refuse)
        with pytest.raises(OSError, match=r"run\.safetensors") as caught:
            save_checkpoint({"epoch": 2}, path)
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    assert load_checkpoint(path) == {"epoch": 1}
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.skipif(os.name != "posix", reason="folders are flushed on POSIX systems")
@pytest.mark.parametrize(
    ("function", "number", "harmless"),
    [("open", errno.EACCES, True), ("fsync", errno.EINVAL, True), ("fsync", errno.EIO, False)],
)
def test_a_folder_that_cannot_be_flushed_is_no_failure_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, number: int, harmless: bool
) -> None:
    """One that may not be read, or lies on a file system that flushes no folders; a broken disk is another matter."""
    original = getattr(os, function)

    def refuse(given: Any, *arguments: Any) -> Any:
        if stat.S_ISDIR(os.stat(given).st_mode):
            raise OSError(number, os.strerror(number))
        return original(given, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(os, function, refuse)
        if harmless:
            save_checkpoint({"epoch": 1}, tmp_path / "x")
        else:
            with pytest.raises(OSError, match=os.strerror(number)):
                save_checkpoint({"epoch": 1}, tmp_path / "x")
    assert load_checkpoint(tmp_path / "x") == {"epoch": 1}


def test_a_read_only_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(
        path: Path, *arguments: Any
    ) -> None:  # as the system does, but the superuser may write anywhere
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError, match=r"run\.safetensors") as caught:
        save_checkpoint({"epoch": 1}, tmp_path / "run.safetensors")
    assert ".part" not in str(caught.value)


# What killed processes leave behind

WRITER = """
import sys
from portanet.atomic import atomic_file
with atomic_file(sys.argv[1]) as file:
    file.write(b"begun")
    file.flush()
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks")
def test_leftovers_of_killed_processes_are_removed_and_of_living_ones_not(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    save_checkpoint({"epoch": 1}, path)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        assert remove_leftovers(tmp_path) == []
        assert len(os.listdir(tmp_path)) == 2
        writer.kill()
    (leftover,) = set(os.listdir(tmp_path)) - {path.name}
    assert remove_leftovers(tmp_path) == [tmp_path / leftover]
    assert os.listdir(tmp_path) == [path.name]
    assert load_checkpoint(path) == {"epoch": 1}
