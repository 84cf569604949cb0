"""Readers: what they make of good files, and what they say of bad ones."""

from __future__ import annotations

import copy
import csv
import gzip
import io
import os
import pickle
import struct
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.data import (
    MNIST,
    CSVDataset,
    DataLoader,
    ImageFolder,
    MappedDataset,
    NPZDataset,
    read_idx,
)
from portanet.errors import DataError, DTypeError, OptionError
from portanet.random import Generator
from tests.worker_datasets import Scaled


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding, newline="")
    return path


# CSV

FLOWERS = "length,width,kind\n5.1,3.5,rose\n4.9,3.0,lily\n\n4.7, 3.2 ,rose\n"


def test_csv_columns_and_classes(backend: str, tmp_path: Path) -> None:
    path = write(tmp_path / "flowers.csv", FLOWERS)
    data = CSVDataset(path, target="kind", classes=True)
    assert (data.feature_names, data.target_name, data.classes) == (
        ["length", "width"],
        "kind",
        ["lily", "rose"],
    )
    ((features, targets),) = DataLoader(data, 3)
    assert features.dtype == pn.float32
    assert targets.dtype == pn.int64
    assert features.device.backend == backend
    np.testing.assert_array_equal(features.numpy(), np.array([[5.1, 3.5], [4.9, 3.0], [4.7, 3.2]], "float32"))
    assert targets.tolist() == [1, 0, 1]
    assert CSVDataset(str(path), target=2, classes=iter(["rose", "oak", "lily"])).batch(slice(0, 3))[
        1
    ].tolist() == [0, 2, 0]
    (alone,) = CSVDataset(path, columns=["width"]).batch(slice(0, 3))
    np.testing.assert_array_equal(alone.numpy(), np.array([[3.5], [3.0], [3.2]], "float32"))
    features, target = CSVDataset(path, columns=[1, "length"], target="width", dtype=pn.float64).batch(
        slice(0, 2)
    )
    assert features.tolist() == [[3.5, 5.1], [3.0, 4.9]]
    assert target.dtype == pn.float32


def test_csv_values_are_those_of_the_standard_library(tmp_path: Path, rng: Any) -> None:
    values = rng.normal(size=(40, 5)) * 10.0 ** rng.integers(-30, 30, (40, 5))
    for delimiter, quoting in ((",", csv.QUOTE_MINIMAL), (";", csv.QUOTE_ALL), ("\t", csv.QUOTE_MINIMAL)):
        with (tmp_path / "values.csv").open("w", newline="") as file:
            csv.writer(file, delimiter=delimiter, quoting=quoting).writerows(values.tolist())
        data = CSVDataset(tmp_path / "values.csv", header=False, delimiter=delimiter, dtype=pn.float64)
        assert data.batch(slice(0, 40))[0].tolist() == values.tolist()
        assert data.feature_names == list("01234")


def test_csv_forms_of_text(tmp_path: Path) -> None:
    path = write(tmp_path / "marked.csv", 'å,"two\nlines"\r\n1,"2"\r\n', "utf-8-sig")
    data = CSVDataset(path)
    assert data.feature_names == ["å", "two\nlines"]
    assert data[0][0].tolist() == [1, 2]
    assert CSVDataset(write(path, "å\n1\n", "latin-1"), encoding="latin-1").feature_names == ["å"]
    numbers = CSVDataset(write(path, "x,y\n0,10\n0,9\n0,-1\n"), target="y", classes=True)
    assert numbers.classes == ["-1", "9", "10"]
    assert CSVDataset(path, target="y", target_dtype=pn.int32).batch(slice(0, 3))[1].dtype == pn.int32
    gaps = CSVDataset(write(path, "x,z\n,1\nNaN,2\n3, \n"), missing=-1.0)
    assert gaps.batch(slice(0, 3))[0].tolist() == [[-1, 1], [-1, 2], [3, -1]]
    assert np.isnan(CSVDataset(path, missing=float("nan"))[0][0].tolist()[0])
    odd = CSVDataset(write(path, f"x,y\n0,+-5\n0,{'9' * 5000}\n0,10\n0,9\n"), target="y", classes=True)
    assert odd.classes == ["9", "10", "+-5", "9" * 5000]  # what is too long for a number is text
    assert CSVDataset(path, columns=np.array([0]), target=np.int64(1), classes=odd.classes).feature_names == [
        "x"
    ]
    signs = CSVDataset(write(path, "x,y\n0,1\n0,0\n"), target="y", target_dtype=pn.bool)
    assert signs.batch(slice(0, 2))[1].tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (FLOWERS, {}, r"line 2, column 'kind': expected a number, got 'rose'"),
        (
            FLOWERS,
            {"target": "kind"},
            r"line 2, column 'kind': expected a label that is a number, got 'rose'\. Pass cla",
        ),
        (
            FLOWERS,
            {"target": "kins"},
            r"target: there is no column 'kins'; the file has 'length'.*mean 'kind'",
        ),
        (FLOWERS, {"columns": ["Length"]}, r"columns: there is no column 'Length'; .*mean 'length'"),
        (FLOWERS, {"columns": [3]}, r"columns: there are 3 columns, and no number 3"),
        (
            FLOWERS,
            {"target": "kind", "classes": ["lily"]},
            r"line 2, column 'kind': .*classes lily, got 'rose'",
        ),
        (FLOWERS, {"columns": ["kind"], "header": False}, r"columns have numbers where header=False"),
        ("a,b\n1,2\n3\n", {}, r"line 3: expected 2 cells, got 1"),
        ("a,b\n1,2\n3,4,5\n", {}, r"line 3: expected 2 cells, got 3.*quotes"),
        ('a,b\n1,"2\n3"\n\n4,x\n', {}, r"line 3, column 'b': expected a number, got '2\\n3'"),
        ("a,b\n1,2\n3,\n", {}, r"line 3, column 'b': expected a number, found none\. Pass missing="),
        ("a,b\n1,nan\n", {}, r"line 2, column 'b': expected a number, found none"),
        ("a,b\n1,-inf\n", {}, r"line 2, column 'b': expected a finite number, got -inf"),
        ("a,b\n1,-inf\n", {"missing": 0.0}, r"line 2, column 'b': expected a finite number, got -inf"),
        (
            "a,b\n1,2.5\n",
            {"target": "b", "target_dtype": pn.int64},
            r"line 2, column 'b': .*whole number.*got 2\.5",
        ),
        (
            "a,b\n1,300\n",
            {"target": "b", "target_dtype": pn.uint8},
            r"line 2, column 'b': .*uint8 holds, got 300",
        ),
        (
            "a,b\n1,nan\n",
            {"target": "b"},
            r"line 2, column 'b': expected a label that is a number, got 'nan'",
        ),
        ("a,b\n1,\n", {"target": "b", "classes": True}, r"line 2, column 'b': expected the name of a class"),
        ("a,a\n1,2\n", {"columns": ["a"]}, r"2 columns are called 'a'\. Choose by number"),
        ("", {}, r"is empty"),
        ("a,b\n\n", {}, r"expected rows of data, found none"),
        ("a\n1\n", {"target": "a"}, r"expected at least one column of features, got none"),
        ('a\n"1\n', {}, r"is not a row of a CSV file"),
        ("a\n" + "1" * 140000 + "\n", {}, r"line 2: is not a row of a CSV file \(field larger"),
        ("a\n\udcff\n", {}, r"line 2: is not text in utf-8-sig"),
        ("a\n" + "1\n" * 9000 + "\udcff\n", {}, r"line 9002: is not text in utf-8-sig"),
        ("a,b\n1,2\n", {"encoding": "utf-16"}, r"is not text in utf-16 .*Pass encoding="),
        ("a,b\n1,1_0\n", {}, r"line 2, column 'b': expected a number, got '1_0'"),
        (
            "a,b\n1,1_0\n",
            {"target": "b"},
            r"line 2, column 'b': expected a label that is a number, got '1_0'",
        ),
        ("a,b\n1,2\n1,1e300\n", {}, r"line 3, column 'b': expected a number that float32 holds, got 1e\+300"),
        ("a,b\n1,1e300\n", {"target": "b"}, r"line 2, column 'b': expected a number that float32 holds"),
        ("a,b\n1,inf\n", {"missing": float("inf")}, r"line 2, column 'b': expected a finite number, got inf"),
        (
            "a,b\n1,2\n",
            {"target": "b", "target_dtype": pn.bool},
            r"column 'b': .*whole number.* bool holds, got 2",
        ),
        (
            f"a,b\n1,{2**53 + 1}\n",
            {"target": "b", "target_dtype": pn.int64},
            r"column 'b': expected a whole number below 2\*\*53 that int64 holds",
        ),
        (
            f"a,b\n1,{2**63}\n",
            {"target": "b", "target_dtype": pn.int64},
            r"column 'b': expected a whole number below 2\*\*53 that int64 holds",
        ),
    ],
)
def test_csv_faults_are_told_with_file_and_line(
    tmp_path: Path, text: str, options: Any, message: str
) -> None:
    path = tmp_path / "some.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=message) as caught:
        CSVDataset(path, **options)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": "kind"}, "columns: expected a list of columns, got the text 'kind'"),
        ({"columns": [1.5]}, r"columns: expected names or numbers of columns, got \[1\.5\]"),
        ({"target": True}, r"target: expected names or numbers of columns, got \[True\]"),
        ({"classes": True}, "classes: they belong to a target"),
        ({"classes": ["a", "a"], "target": 0}, "classes: expected True or a list of distinct names"),
        ({"classes": [], "target": 0}, r"classes: expected True or a list of distinct names, got \[\]"),
        (
            {"classes": [0, 1], "target": 0},
            r"classes: expected True or a list of distinct names, got \[0, 1\]",
        ),
        ({"classes": None, "target": 0}, "classes: expected True or a list of distinct names, got None"),
        ({"delimiter": ", "}, "delimiter: expected one character, no quote and no end of line, got ', '"),
        ({"delimiter": '"'}, "delimiter: expected one character, no quote"),
        ({"delimiter": "\n"}, "delimiter: expected one character, no quote"),
        ({"encoding": "utf-99"}, "encoding: expected the name of an encoding, got 'utf-99'"),
        ({"missing": "mean"}, "missing: expected a number, got 'mean'"),
        (
            {"dtype": pn.int64},
            "dtype: expected portanet.float16, float32 or float64 for features, got portanet.int64",
        ),
        (
            {"dtype": "float64"},
            "dtype: expected portanet.float16, float32 or float64 for features, got 'float64'",
        ),
        (
            {"target": 0, "target_dtype": pn.complex64},
            "target_dtype: expected a type of real numbers, integers or bool",
        ),
    ],
)
def test_csv_options_that_make_no_sense(tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises((OptionError, DTypeError), match=message):
        CSVDataset(write(tmp_path / "flowers.csv", FLOWERS), **options)


# NPZ and NPY


def test_npz(backend: str, tmp_path: Path, rng: Any) -> None:
    x, y = rng.normal(size=(5, 2)), rng.integers(0, 9, 5).astype(">i4")
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "data.npz", images=x, labels=y, other=np.zeros(2))
        data = NPZDataset(tmp_path / "data.npz", ["labels", "images"])
        batch = data.batch(np.array([3, 1]))
        assert batch[0].tolist() == y[[3, 1]].tolist()
        np.testing.assert_array_equal(batch[1].numpy(), x[[3, 1]])
        assert batch[1].device.backend == backend
    np.savez(tmp_path / "data.npz", x, y)
    assert NPZDataset(tmp_path / "data.npz").names == ["arr_0", "arr_1"]


def test_npz_faults(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x=np.zeros(3), y=np.zeros(2), text=np.array(["a", "b"]))
    with pytest.raises(DataError, match=r"names: there is no array 'z'; the file has 'x', 'y', 'text'"):
        NPZDataset(path, ["x", "z"])
    with pytest.raises(DataError, match=r"data\.npz: arrays: expected the same number of samples.*\[3, 2\]"):
        NPZDataset(path, ["x", "y"])
    with pytest.raises(DataError, match=r"data\.npz: array 'text' holds <U1, not numbers"):
        NPZDataset(path)
    with pytest.raises(
        OptionError, match=r"names: expected a list of names, got the text 'x'\. Pass \['x'\]"
    ):
        NPZDataset(path, "x")
    if np.dtype("longdouble").itemsize > 8:
        np.savez(path, x=np.zeros(3, "longdouble"))
        with pytest.raises(
            DataError, match=r"data\.npz: array 'x' holds \w+, not numbers of a type that portanet"
        ):
            NPZDataset(path)
    np.savez(path, x=np.array([{}, None], dtype=object))
    with pytest.raises(DataError, match=r"data\.npz: array 'x' cannot be read \(it holds Python objects"):
        NPZDataset(path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"one\.npy: is one array and not an archive.*MappedDataset"):
        NPZDataset(tmp_path / "one.npy")
    path.write_bytes(b"no archive at all")
    with pytest.raises(
        DataError, match=r"data\.npz: is damaged or is not a \.npz file \(it begins like neither\)"
    ):
        NPZDataset(path)


def test_mapped_rows(backend: str, tmp_path: Path, rng: Any) -> None:
    x, y = rng.normal(size=(30, 3, 2)).astype("float32"), rng.integers(0, 99, 30)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y.astype(">i8"))
    np.save(tmp_path / "columns.npy", np.asfortranarray(x))
    data = MappedDataset(tmp_path / "x.npy", tmp_path / "y.npy", tmp_path / "columns.npy")
    assert len(data) == 30
    assert [part.tolist() for part in data[-1]] == [x[29].tolist(), y[29], x[29].tolist()]
    repeated = rng.integers(0, 30, 50)
    for key in (slice(3, 9), repeated, np.array([], "int64")):
        for part, whole in zip(data.batch(key), (x, y, x), strict=True):
            np.testing.assert_array_equal(part.numpy(), whole[key])
            assert part.device.backend == backend
    options = {"batch_size": 8, "shuffle": True, "num_workers": 1}
    loader = DataLoader(data, generator=Generator(4), workers="processes", **options)  # type: ignore[arg-type]
    order = pn.random.permutation(30, generator=Generator(4)).numpy()
    for number, batch in enumerate(loader):
        np.testing.assert_array_equal(batch[1].numpy(), y[order[8 * number : 8 * number + 8]])
    with pytest.raises(IndexError):
        data[30]


def test_a_mapped_dataset_of_ones_own_reaches_processes(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(6.0))
    data = Scaled(tmp_path / "x.npy")
    data.scale = 10.0
    for twin in (data, copy.copy(data), pickle.loads(pickle.dumps(data))):
        assert type(twin) is Scaled
        assert twin.batch(np.array([5, 1])).tolist() == [50, 10]
    loader = DataLoader(data, 3, num_workers=1, workers="processes")
    assert [batch.tolist() for batch in loader] == [[0, 10, 20], [30, 40, 50]]


@pytest.mark.skipif(sys.platform != "linux", reason="sizes are told by /proc")
def test_mapped_files_may_be_larger_than_memory(tmp_path: Path) -> None:
    """A sparse file of twice the memory of this machine, of which a few rows were written."""
    import resource

    memory = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    rows = 2 * memory // 4096
    path = tmp_path / "large.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (rows, 1024)}
        )
        start = file.tell()
        try:
            file.truncate(start + rows * 4096)
        except OSError:
            pytest.skip("the file system takes no files of this size")
        for row in (0, rows // 2, rows - 1):
            file.seek(start + row * 4096)
            file.write(np.full(1024, row % 1000 + 1, "<f4").tobytes())
    data = MappedDataset(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (batch,) = data.batch(np.array([rows - 1, 0, rows // 2, 5]))
    expected = [(rows - 1) % 1000 + 1, 1, rows // 2 % 1000 + 1, 0]
    assert batch.numpy()[:, 7].tolist() == expected
    assert data.batch(slice(rows - 2, rows))[0].numpy()[:, 0].tolist() == [0, expected[0]]
    parts = [batch[0].shape[0] for batch in DataLoader(data, 256, sampler=range(0, rows, rows // 500))]
    assert sum(parts) == len(range(0, rows, rows // 500))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kilobytes


def test_mapped_faults(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((6, 4)))
    np.save(tmp_path / "y.npy", np.zeros(5))
    with pytest.raises(DataError, match=r"paths: expected the same number.*x\.npy: 6, .*y\.npy: 5"):
        MappedDataset(tmp_path / "x.npy", tmp_path / "y.npy")
    content = (tmp_path / "x.npy").read_bytes()
    for cut in (0, 5, 60, len(content) - 1):
        (tmp_path / "x.npy").write_bytes(content[:cut])
        with pytest.raises(DataError, match=r"x\.npy: is damaged or is not a \.npy file"):
            MappedDataset(tmp_path / "x.npy")
    np.savez(tmp_path / "x.npz", np.zeros(3))
    with pytest.raises(DataError, match=r"x\.npz: is an archive of arrays.*NPZDataset"):
        MappedDataset(tmp_path / "x.npz")
    for array, message in (
        (np.array(3.0), "is a single number"),
        (np.array(["a"]), "holds <U1, not numbers"),
    ):
        np.save(tmp_path / "z.npy", array)
        with pytest.raises(DataError, match=rf"z\.npy: .*{message}"):
            MappedDataset(tmp_path / "z.npy")
    np.save(tmp_path / "z.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(
        DataError, match=r"z\.npy: is damaged .*(Python objects|Array can't be memory-mapped)"
    ):
        MappedDataset(tmp_path / "z.npy")
    with pytest.raises(DataError, match="paths: expected at least one file, got none"):
        MappedDataset()


# IDX


def idx_bytes(array: Any) -> bytes:
    code = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}[array.dtype.name]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
def test_idx_types(tmp_path: Path, rng: Any, dtype: str) -> None:
    values = (rng.normal(size=(3, 4, 2)) * 50).astype(dtype)
    for content in (idx_bytes(values), gzip.compress(idx_bytes(values))):
        (tmp_path / "values").write_bytes(content)
        read = read_idx(tmp_path / "values")
        assert read.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(read, values)


def test_mnist(backend: str, tmp_path: Path, rng: Any) -> None:
    images, labels = rng.integers(0, 256, (9, 28, 28)).astype("uint8"), rng.integers(0, 10, 9).astype("uint8")
    (tmp_path / "train-images.idx3-ubyte").write_bytes(idx_bytes(images))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels)))
    data = MNIST(tmp_path)
    assert len(data) == 9
    for key in (slice(2, 5), np.array([8, 0])):
        pixels, numbers = data.batch(key)
        assert (pixels.dtype, numbers.dtype) == (pn.float32, pn.int64)
        assert pixels.device.backend == backend
        np.testing.assert_array_equal(pixels.numpy(), images[key][:, None] / np.float32(255))
        assert numbers.tolist() == labels[key].tolist()
    pixels, number = data[3]
    np.testing.assert_array_equal(pixels.numpy(), images[3][None] / np.float32(255))
    assert number.item() == labels[3]
    with pytest.raises(FileNotFoundError, match="t10k-images-idx3-ubyte"):
        MNIST(tmp_path, train=False)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels[:4])))
    with pytest.raises(DataError, match="idx3-ubyte: holds 9 pictures, but .* 4 labels"):
        MNIST(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
    with pytest.raises(DataError, match=r"gz: expected bytes along 1 axes, got uint8 of shape \(9, 28, 28\)"):
        MNIST(tmp_path)


def test_idx_faults(tmp_path: Path) -> None:
    good = idx_bytes(np.arange(12, dtype="int16").reshape(3, 4))
    packed = gzip.compress(good)
    for content, message in (
        (b"", "is not an IDX file; it begins with nothing"),
        (b"PK\x03\x04" + good, "is not an IDX file; it begins with 50 4b 03 04"),
        (good[:2] + b"\x0a" + good[3:], "is not an IDX file"),
        (good[:9], "is cut off within its header"),
        (good[:-1], r"expected 24 bytes for the shape \(3, 4\), found only 23"),
        (good + b"x", r"expected 24 bytes for the shape \(3, 4\), found more"),
        (good[:4] + b"\xff" * 8 + good[12:], r"for the shape \(4294967295, 4294967295\), found only 24"),
        (packed[:-9], "compressed data are damaged or cut off"),
        (packed[:20] + bytes([packed[20] ^ 255]) + packed[21:], "compressed data are damaged or cut off"),
    ):
        (tmp_path / "values").write_bytes(content)
        with pytest.raises(DataError, match=message) as caught:
            read_idx(tmp_path / "values")
        assert str(tmp_path / "values") in str(caught.value)


# Pictures


def picture(path: Path, pixels: Any) -> None:
    Image = pytest.importorskip("PIL.Image")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_image_folder(backend: str, tmp_path: Path, rng: Any) -> None:
    colours = rng.integers(0, 256, (4, 6, 3)).astype("uint8")
    grey = rng.integers(0, 256, (4, 6)).astype("uint8")
    picture(tmp_path / "dog" / "1.png", colours)
    picture(tmp_path / "cat" / "deep" / "b.PNG", grey)
    picture(tmp_path / "cat" / "a.bmp", colours)
    (tmp_path / "cat" / "notes.txt").write_text("no picture")
    data = ImageFolder(tmp_path)
    assert data.classes == ["cat", "dog"]
    assert [(path.name, number) for path, number in data.samples] == [
        ("a.bmp", 0),
        ("b.PNG", 0),
        ("1.png", 1),
    ]
    ((pixels, labels),) = DataLoader(data, 3)
    assert pixels.shape == (3, 3, 4, 6)
    assert pixels.dtype == pn.float32
    assert pixels.device.backend == backend
    assert labels.tolist() == [0, 0, 1]
    expected = colours.transpose(2, 0, 1) / np.float32(255)
    np.testing.assert_array_equal(pixels.numpy()[0], expected)
    np.testing.assert_array_equal(pixels.numpy()[2], expected)
    np.testing.assert_array_equal(pixels.numpy()[1], np.stack([grey / np.float32(255)] * 3))
    alone = ImageFolder(tmp_path, mode="L", size=(2, 3), transform=lambda pixels: pixels * 2)
    assert alone[1][0].shape == (1, 2, 3)
    assert 0 <= alone[1][0].min() <= alone[1][0].max() <= 2
    assert ImageFolder(tmp_path, mode="RGBA")[0][0].shape == (4, 4, 6)
    assert [batch[1].tolist() for batch in DataLoader(data, num_workers=2)] == [[0], [0], [1]]


def test_pictures_of_16_bits_keep_their_greys(tmp_path: Path) -> None:
    greys = np.array([[0, 256, 40000, 65535]], "uint16")
    for name in ("1.png", "2.tiff"):
        picture(tmp_path / "a" / name, greys)
    (tmp_path / "a" / "3.pgm").write_bytes(b"P5 4 1 65535\n" + greys.astype(">u2").tobytes())
    for mode, channels in (("L", 1), ("RGB", 3)):
        for pixels, _ in (ImageFolder(tmp_path, mode=mode)[number] for number in (0, 1, 2)):
            np.testing.assert_array_equal(pixels, np.stack([(greys >> 8) / np.float32(255)] * channels))
    for name, numbers in (("1.tiff", greys.astype("int32")), ("2.tiff", greys.astype("float32"))):
        picture(tmp_path / "b" / name, numbers)
        with pytest.raises(DataError, match=rf"b/{name}: .*32 bits a pixel, of no known range"):
            ImageFolder(tmp_path)[int(name[0]) + 2]


def test_what_begins_with_a_dot_is_passed_over(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 3), "uint8")
    picture(tmp_path / "cat" / "1.png", pixels)
    picture(tmp_path / ".thumbnails" / "1.png", pixels)
    (tmp_path / "cat" / "._1.png").write_bytes(b"what another system knows of the file")
    (tmp_path / "cat" / "folder.png").mkdir()
    data = ImageFolder(tmp_path)
    assert data.classes == ["cat"]
    assert [path.name for path, _ in data.samples] == ["1.png"]


def test_a_damaged_picture_is_named(tmp_path: Path, rng: Any) -> None:
    picture(tmp_path / "a" / "1.png", rng.integers(0, 256, (40, 60, 3)).astype("uint8"))
    content = (tmp_path / "a" / "1.png").read_bytes()
    data = ImageFolder(tmp_path)
    for damaged in (
        content[: len(content) // 2],
        b"",
        b"GIF89a nothing",
        content[:60] + bytes(200) + content[260:],
    ):
        (tmp_path / "a" / "1.png").write_bytes(damaged)
        with pytest.raises(DataError, match=r"a/1\.png: the picture is damaged or cannot be read \("):
            data[0]
        with pytest.raises(DataError, match=r"a/1\.png: the picture is damaged"):
            list(DataLoader(data, num_workers=1))
    header = content[:16] + struct.pack(">II", 30000, 30000) + content[24:]
    crc = __import__("zlib").crc32(header[12:29])
    (tmp_path / "a" / "1.png").write_bytes(header[:29] + struct.pack(">I", crc) + header[33:])
    with pytest.raises(DataError, match=r"a/1\.png: .*DecompressionBomb"):
        data[0]
    (tmp_path / "a" / "1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1\.png"):
        data[0]


def test_image_folder_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("PIL.Image")
    with pytest.raises(DataError, match="expected a folder for each class, found none"):
        ImageFolder(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match=r"cat: expected pictures, found none that end in \.bmp"):
        ImageFolder(tmp_path)
    with pytest.raises(OptionError, match="mode: expected one of L, RGB, RGBA, got 'CMYK'"):
        ImageFolder(tmp_path, mode="CMYK")
    with pytest.raises(OptionError, match=r"size\[1\]: expected a whole number of at least 1, got 0"):
        ImageFolder(tmp_path, size=(2, 0))
    for size in (224, (1, 2, 3), "large"):
        with pytest.raises(OptionError, match="size: expected a height and a width, got"):
            ImageFolder(tmp_path, size=size)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pip install 'portanet\[images\]'"):
        ImageFolder(tmp_path)


# All of them


@pytest.mark.parametrize("reader", [CSVDataset, NPZDataset, MappedDataset, read_idx])
def test_files_that_cannot_be_opened(reader: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"path: no such file \(looked for in .*'missing\.file'"):
        reader("missing.file")
    with pytest.raises(IsADirectoryError, match="path: expected a file, got a folder"):
        reader(tmp_path)
    closed = tmp_path / "closed"
    closed.touch(mode=0)
    if not os.access(closed, os.R_OK):
        with pytest.raises(PermissionError, match="closed"):
            reader(closed)


@pytest.mark.parametrize("reader", [MNIST, ImageFolder])
def test_folders_that_are_not_there(reader: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"path: no such folder.*missing"):
        reader(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="path: expected a folder, got a file"):
        reader(tmp_path / "file")


def good_files(folder: Path, rng: Any) -> dict[str, Any]:
    """A small good file for each reader."""
    np.save(folder / "x.npy", rng.normal(size=(4, 3)))
    np.savez(folder / "x.npz", a=np.arange(4), b=rng.normal(size=4))
    np.savez_compressed(folder / "y.npz", a=np.arange(40))
    (folder / "x.idx").write_bytes(idx_bytes(np.arange(12, dtype="int16").reshape(3, 4)))
    (folder / "y.idx").write_bytes(gzip.compress((folder / "x.idx").read_bytes()))
    write(folder / "x.csv", "a,b\n1,2\n3,4\n")
    return {
        "x.npy": MappedDataset,
        "x.npz": NPZDataset,
        "y.npz": NPZDataset,
        "x.idx": read_idx,
        "y.idx": read_idx,
        "x.csv": CSVDataset,
    }


def mutated(content: bytes, rng: Any) -> bytes:
    changed = bytearray(content)
    kind = rng.integers(4)
    if kind == 0:
        return bytes(changed[: rng.integers(len(changed))])
    if kind == 1:
        start = int(rng.integers(len(changed)))
        return bytes(changed[:start] + rng.bytes(int(rng.integers(1, 9))) + changed[start:])
    for _ in range(int(rng.integers(1, 5))):
        place = int(rng.integers(len(changed)))
        changed[place] = int(rng.integers(256)) if kind == 2 else changed[place] ^ (1 << int(rng.integers(8)))
    return bytes(changed)


@pytest.mark.filterwarnings(
    "ignore:Reading `.npy` or `.npz` file required:UserWarning"
)  # (4L, 3): good, but old
def test_mutated_files_are_read_or_refused(tmp_path: Path, rng: Any) -> None:
    """No other error than the one that names the file, no warning of ours, and no array larger than the file."""
    refused = 0
    for name, reader in good_files(tmp_path, rng).items():
        content = (tmp_path / name).read_bytes()
        reader(tmp_path / name)
        for _ in range(250):
            (tmp_path / name).write_bytes(mutated(content, rng))
            try:
                data = reader(tmp_path / name)
            except DataError as error:
                refused += 1
                assert str(tmp_path / name) in str(error)  # noqa: PT017
            else:
                assert len(data) < 100_000
    assert refused > 500


def test_pictures_that_are_mutated(tmp_path: Path, rng: Any) -> None:
    Image = pytest.importorskip("PIL.Image")
    pixels = rng.integers(0, 256, (9, 8, 3)).astype("uint8")
    (tmp_path / "a").mkdir()
    for form in ("png", "jpeg", "gif", "bmp", "tiff", "webp"):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, form)
        path = tmp_path / "a" / f"1.{form}"
        path.write_bytes(stream.getvalue())
        data = ImageFolder(tmp_path)
        for _ in range(60):
            path.write_bytes(mutated(stream.getvalue(), rng))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow warns of odd metadata
                try:
                    assert data[0][0].shape[0] == 3
                except DataError as error:
                    assert str(path) in str(error)  # noqa: PT017
        path.unlink()
