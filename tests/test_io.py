"""Weights on disk: what comes back, what a failure leaves behind, and which files are refused."""

from __future__ import annotations

import json
import os
import pickle
import re
import stat
import struct
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn
from portanet.backend import get_backend
from portanet.errors import CheckpointError, DTypeError, PortanetError

HOST_DTYPES = [
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
]


def leftovers(folder: Path, *expected: str) -> list[str]:
    return sorted(set(os.listdir(folder)) - set(expected))


def forms(values: Any) -> dict[str, Any]:
    """The same numbers, lying in memory in every way that NumPy knows."""
    read_only = values.copy()
    read_only.flags.writeable = False
    wide = np.zeros((*values.shape, 2), values.dtype)
    wide[..., 0] = values
    return {
        "plain": values,
        "transposed": np.ascontiguousarray(values.T).T,
        "sliced": wide[..., 0],
        "reversed": np.ascontiguousarray(values[::-1, ::-1])[::-1, ::-1],
        "read-only": read_only,
        "big-endian": values.astype(values.dtype.newbyteorder(">")),
    }


# What comes back


@pytest.mark.parametrize("dtype", HOST_DTYPES)
def test_every_data_type_and_layout_comes_back(backend: str, rng: Any, tmp_path: Path, dtype: str) -> None:
    if getattr(pn, dtype, None) not in get_backend().native_dtypes:
        pytest.skip(f"{backend} has no {dtype}")
    path = tmp_path / "weights.safetensors"
    values = rng.integers(0, 2 if dtype == "bool" else 100, (3, 4)).astype(dtype)
    tensors: dict[str, Any] = {name: pn.asarray(array) for name, array in forms(values).items()}
    tensors["mT"] = pn.asarray(np.ascontiguousarray(values.T)).T
    tensors["part"] = pn.asarray(np.concatenate([values, values], axis=1))[:, 4:]
    tensors["broadcast"] = pn.broadcast_to(pn.asarray(values[:1]), (5, 4))
    tensors["number"] = pn.asarray(values[0, 0])
    tensors["empty"] = pn.asarray(values[:0])
    pn.save(tensors, path)
    loaded = pn.load(path)
    assert set(loaded) == set(tensors)
    for name, tensor in loaded.items():
        assert tensor.dtype.name == dtype
        assert tensor.device.backend == backend
        assert not tensor.requires_grad
        expected = values
        if name in ("broadcast", "number", "empty"):
            expected = {
                "broadcast": np.broadcast_to(values[:1], (5, 4)),
                "number": values[0, 0],
                "empty": values[:0],
            }[name]
        assert tensor.shape == expected.shape
        np.testing.assert_array_equal(tensor.numpy(), expected, err_msg=name)


def test_raw_arrays_and_host_arrays_are_saved_too(backend: str, rng: Any, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    values = rng.normal(size=(2, 3)).astype("float32")
    arrays = {**forms(values), "raw": pn.asarray(values)._data, "scalar": np.float32(2.5)}
    pn.save(arrays, path)
    loaded = pn.load(path)
    assert loaded.pop("scalar").item() == 2.5
    for name, tensor in loaded.items():
        np.testing.assert_array_equal(tensor.numpy(), values, err_msg=name)


def test_a_model_goes_to_disk_and_back_on_any_backend(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pn.use_backend("numpy"):
        source = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        pn.save(source.state_dict(), path)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    assert model.load_state_dict(pn.load(path)) == ([], [])
    pn.save(model.state_dict(), path)
    back = pn.load(path, device="numpy:cpu")
    for name, value in source.state_dict().items():
        assert back[name].device.backend == "numpy"
        np.testing.assert_array_equal(back[name].numpy(), value.numpy())


def test_what_was_loaded_can_be_trained(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    pn.save({"x": pn.asarray([1.0, 2.0]), "y": pn.asarray([3.0])}, path)
    loaded = pn.load(path)
    x, y = (loaded[name].requires_grad_() for name in "xy")
    optimizer = pn.optim.SGD([x, y], lr=0.5)
    ((x**2).sum() + (y**2).sum()).backward()
    optimizer.step()
    assert (x.tolist(), y.tolist()) == ([0.0, 0.0], [0.0])


def test_names_may_be_anything_that_is_text(tmp_path: Path) -> None:
    path = tmp_path / "gewichte-ß-重み.safetensors"
    names = ["", "0.weight", "größe", "重み", "a b\tc\n", '"quoted"', "\\", "🙂", "a" * 300]
    pn.save({name: pn.asarray(i) for i, name in enumerate(names)}, path)
    assert {name: tensor.item() for name, tensor in pn.load(path).items()} == {
        n: i for i, n in enumerate(names)
    }
    pn.save({}, str(path))
    assert pn.load(str(path)) == {}
    assert leftovers(tmp_path, path.name) == []


def test_tensors_that_require_gradients_are_saved_by_value(tmp_path: Path) -> None:
    layer = nn.Linear(2, 2)
    pn.save(dict(layer.named_parameters()), tmp_path / "w")
    np.testing.assert_array_equal(pn.load(tmp_path / "w")["weight"].numpy(), layer.weight.detach().numpy())


# Whole or not at all


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, error: BaseException
) -> None:
    path = tmp_path / "weights.safetensors"
    pn.save({"x": pn.asarray([1.0])}, path)
    before = path.read_bytes()

    def fail(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(os, moment, fail)
    with pytest.raises(type(error)):
        pn.save({"x": pn.asarray([2.0, 3.0])}, path)
    with pytest.raises(type(error)):
        pn.save({"x": pn.asarray([2.0, 3.0])}, tmp_path / "new.safetensors")
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert leftovers(tmp_path, path.name) == []


def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource", reason="limits the size of files")
    import signal

    path = tmp_path / "weights.safetensors"
    pn.save({"x": pn.asarray([1.0])}, path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            pn.save({"x": pn.zeros((100_000,))}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert leftovers(tmp_path, path.name) == []


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    pn.save({"x": pn.zeros((1000,))}, path)
    done = threading.Event()

    def write() -> None:
        for number in range(30):
            pn.save({"x": pn.full((1000,), float(number))}, path)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert len(set(pn.load(path)["x"].tolist())) == 1
    writer.join()
    assert leftovers(tmp_path, path.name) == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_file_has_the_usual_permissions(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    mask = os.umask(0o027)
    try:
        pn.save({"x": pn.asarray(1.0)}, path)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_saving_changes_no_setting_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mask of permissions belongs to all threads; even for a moment it must not be another."""

    def forbidden(mask: int) -> int:
        raise AssertionError("umask was set")

    monkeypatch.setattr(os, "umask", forbidden)
    pn.save({"x": pn.asarray(1.0)}, tmp_path / "x")


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pn.save({"x": pn.asarray(1.0)}, tmp_path / "missing" / "x.safetensors")
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match="folder"):
        pn.save({"x": pn.asarray(1.0)}, folder)
    assert leftovers(tmp_path, "folder") == []
    assert leftovers(folder) == []


def test_a_long_name_of_a_file_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / ("w" * 250)
    pn.save({"x": pn.asarray(1.0)}, path)
    assert pn.load(path)["x"].item() == 1.0


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (nn.Linear(2, 2), r"state_dict: expected a mapping .*got Linear\. Pass model\.state_dict\(\)"),
        ([1, 2], "state_dict: expected a mapping"),
        ({"x": 1.0}, r"'x': float\. Pass model\.state_dict"),
        ({"x": [1.0]}, "'x': list"),
        ({3: pn.zeros((1,))}, "3: Tensor"),
        ({"x": type("Shaped", (), {"shape": (2,)})()}, "'x': Shaped"),
        ({"state": {"x": pn.zeros((1,))}}, "'state': dict"),
    ],
)
def test_only_names_and_arrays_are_saved(tmp_path: Path, state: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        pn.save(state, tmp_path / "x")
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "array",
    [
        np.ones(2, "complex128"),
        np.array(["a", "b"]),  # as many bytes as uint32
        np.array([b"a"]),
        np.zeros(2, "datetime64[s]"),
        np.array([1, None], dtype=object),
        np.zeros(2, [("a", "f4")]),
        pytest.param(
            np.ones(2, "longdouble"),
            marks=pytest.mark.skipif(np.dtype("longdouble").itemsize == 8, reason="is float64 here"),
        ),
    ],
    ids=lambda array: array.dtype.name,
)
def test_a_data_type_without_a_place_in_the_format_is_refused_by_name(tmp_path: Path, array: Any) -> None:
    with pytest.raises(
        DTypeError, match=rf"'wave' is {re.escape(array.dtype.name)}, which a safetensors file cannot hold"
    ):
        pn.save({"wave": array}, tmp_path / "x")
    assert leftovers(tmp_path) == []


# Which files are refused


@pytest.fixture
def good(rng: Any, tmp_path: Path) -> bytes:
    path = tmp_path / "good"
    model = nn.Linear(3, 2)
    pn.save(model.state_dict(), path)
    return path.read_bytes()


def refuse(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"path: .*bad.* Nothing was loaded"):
        pn.load(path)
    assert path.read_bytes() == content


def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path, good: bytes) -> None:
    for length in range(len(good)):
        refuse(tmp_path / "bad", good[:length])


def test_a_file_with_something_after_its_end_is_refused(tmp_path: Path, good: bytes) -> None:
    refuse(tmp_path / "bad", good + b"\0")


def test_a_flipped_bit_in_the_header_is_refused_or_harmless(tmp_path: Path, good: bytes) -> None:
    """Where the header stays valid it describes other arrays; then loading them into the model is refused."""
    (length,) = struct.unpack("<Q", good[:8])
    path = tmp_path / "bad"
    expected = nn.Linear(3, 2)
    expected.load_state_dict(pn.load(tmp_path / "good"))
    for bit in range(8 * (8 + length)):
        content = bytearray(good)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        model = nn.Linear(3, 2)
        try:
            state = pn.load(path)
        except CheckpointError:
            continue
        before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
        try:
            model.load_state_dict(state)
        except PortanetError:
            for name, value in model.state_dict().items():
                np.testing.assert_array_equal(value.numpy(), before[name])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 8,
        b"\0" * 100,
        b"\xff" * 100,
        pickle.dumps({"weight": [1.0]}),
        b"PK\x03\x04" + b"\0" * 60,
        b"\x93NUMPY\x01\x00v\x00" + b" " * 118,
        b'{"weight": [1.0, 2.0]}',
        b"text\n" * 40,
    ],
    ids=["nothing", "zeros", "more zeros", "ones", "pickle", "zip", "npy", "json", "text"],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    refuse(tmp_path / "bad", content)


def file_of(header: Any, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "header",
    [
        [],
        {"x": []},
        {"x": {"dtype": "F32", "shape": [2]}},
        {"x": {"dtype": "F33", "shape": [2], "data_offsets": [0, 8]}},
        {"x": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}},
        {"x": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {"x": {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}},
        {"x": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 8]}},
        {"x": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}},
        {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**63]}},
        {"x": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}},
        {"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
        {n: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for n in "xy"},
    ],
    ids=str,
)
def test_a_header_that_does_not_describe_its_data_is_refused(tmp_path: Path, header: Any) -> None:
    refuse(tmp_path / "bad", file_of(header, b"\0" * 8))


def test_bfloat16_is_read_as_float32(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    header = {"x": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}
    path.write_bytes(file_of(header, b"\x80\x3f\x20\xc0\x80\x7f"))
    loaded = pn.load(path)["x"]
    assert loaded.dtype == pn.float32
    assert loaded.tolist() == [1.0, -2.5, float("inf")]


def test_a_data_type_that_nothing_here_holds_is_named(tmp_path: Path) -> None:
    path = tmp_path / "eighth.safetensors"
    path.write_bytes(file_of({"x": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}, b"12"))
    with pytest.raises(
        CheckpointError, match=r"holds numbers of type F8_E4M3, .*it reads BOOL.*Nothing was loaded"
    ):
        pn.load(path)


def test_a_refused_file_changes_no_model(tmp_path: Path, good: bytes) -> None:
    model = nn.Linear(3, 2)
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    path = tmp_path / "bad"
    path.write_bytes(good[:-1])
    with pytest.raises(CheckpointError):
        model.load_state_dict(pn.load(path))
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


def test_no_file_and_a_folder_are_errors_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        pn.load(tmp_path / "missing")
    with pytest.raises(OSError, match=tmp_path.name):
        pn.load(tmp_path)


def test_loading_runs_no_code(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    refuse(tmp_path / "bad", pickle.dumps({"weight": Trap()}))
    assert leftovers(tmp_path, "bad") == []
