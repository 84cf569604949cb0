"""The points of examples/dots.py, and the readers of its files, which trust none of them."""

from __future__ import annotations

import importlib
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import DataError

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("dots_points")


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("dots_files")


def some_points(rng: np.random.Generator, count: int = 6) -> tuple[np.ndarray, np.ndarray]:
    points = rng.normal(size=(count, 2)).astype(np.float32)
    return points, rng.integers(0, 2, size=count)


def pickled_pairs(points: np.ndarray, labels: np.ndarray) -> list[tuple[tuple[float, float], int]]:
    return [((x, y), label) for (x, y), label in zip(points.tolist(), labels.tolist(), strict=True)]


def test_stored_points_are_what_the_recipe_gives(recipe: ModuleType) -> None:
    assert recipe.CSV_FILE.read_text(encoding="utf-8") == recipe.as_csv(recipe.make_points())
    assert recipe.main([]) == 0


def test_write_option_writes_them_and_a_changed_file_is_noticed(
    recipe: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(recipe, "CSV_FILE", tmp_path / "data" / "dots.csv")
    assert recipe.main([]) == 1
    assert recipe.main(["--write"]) == 0
    assert recipe.main([]) == 0
    recipe.CSV_FILE.write_text(recipe.CSV_FILE.read_text().replace(",1,train", ",0,train", 1))
    assert recipe.main([]) == 1


@pytest.mark.parametrize("seed", [1, 2])
def test_recipe_makes_ten_outliers_and_clean_points_on_their_own_side(recipe: ModuleType, seed: int) -> None:
    points = recipe.make_points(seed)
    train = [p for p in points if p.split == "train"]
    test = [p for p in points if p.split == "test"]
    assert (len(train), sum(p.label for p in train)) == (175, 84)
    assert (len(test), sum(p.label for p in test)) == (100, 50)

    def height(p: Any) -> float:
        return float(p.y - recipe.wave(p.x))

    rounding = 1e-3
    outliers = [p for p in train if (height(p) > 0) != (p.label == 1)]
    assert sorted(p.label for p in outliers) == [0] * 5 + [1] * 5
    assert min(abs(height(p)) for p in outliers) > recipe.OUTLIER_DEPTH - rounding
    assert all((height(p) > 0) == (p.label == 1) for p in test)
    assert min(abs(height(p)) for p in points) > recipe.EMPTY_STRIP - rounding
    assert recipe.make_points(seed) == points
    assert recipe.make_points(seed + 1) != points


def test_csv_with_a_split_gives_both_parts(files: ModuleType, recipe: ModuleType) -> None:
    dots = files.load_points(recipe.CSV_FILE)
    expected = recipe.make_points()
    np.testing.assert_array_equal(dots.points, np.array([p[:2] for p in expected[:175]], np.float32))
    np.testing.assert_array_equal(dots.labels, np.array([[p.label] for p in expected[:175]], np.float32))
    np.testing.assert_array_equal(dots.test_points, np.array([p[:2] for p in expected[175:]], np.float32))
    np.testing.assert_array_equal(dots.test_labels, np.array([[p.label] for p in expected[175:]], np.float32))
    assert {a.dtype for a in dots} == {np.dtype(np.float32)}


def test_csv_npz_and_pkl_give_the_same_points(
    files: ModuleType, tmp_path: Path, rng: np.random.Generator
) -> None:
    points, labels = some_points(rng)
    rows = [f"{x!r},{y!r},{label}" for x, y, label in zip(*points.T.tolist(), labels.tolist(), strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["x,y,label", *rows, "", ""]))
    np.savez(tmp_path / "a.npz", points=points, labels=labels)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(pickled_pairs(points, labels)))
    for name in ("a.csv", "a.npz", "a.pkl"):
        dots = files.load_points(tmp_path / name)
        np.testing.assert_array_equal(dots.points, points, err_msg=name)
        np.testing.assert_array_equal(dots.labels, labels[:, None].astype(np.float32), err_msg=name)
        assert dots.test_points.shape == (0, 2)
        assert dots.test_labels.shape == (0, 1)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol_and_lists_in_place_of_tuples_are_read(
    files: ModuleType, tmp_path: Path, protocol: int, rng: np.random.Generator
) -> None:
    points, labels = some_points(rng)
    pairs = [[list(point), bool(label)] for point, label in pickled_pairs(points, labels)]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(pairs, protocol=protocol))
    dots = files.load_points(tmp_path / "a.pkl")
    np.testing.assert_array_equal(dots.points, points)
    np.testing.assert_array_equal(dots.labels[:, 0], labels)


def test_npz_may_hold_a_test_part(files: ModuleType, tmp_path: Path, rng: np.random.Generator) -> None:
    (points, labels), (test_points, test_labels) = some_points(rng, 5), some_points(rng, 3)
    np.savez(
        tmp_path / "a.npz", points=points, labels=labels, test_points=test_points, test_labels=test_labels
    )
    dots = files.load_points(str(tmp_path / "a.npz"))
    np.testing.assert_array_equal(dots.points, points)
    np.testing.assert_array_equal(dots.test_points, test_points)
    np.testing.assert_array_equal(dots.test_labels[:, 0], test_labels)


class Malicious:
    """Pickles as a call that leaves a trace in the file system."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_malicious_pickle_is_refused_and_nothing_is_executed(
    files: ModuleType, tmp_path: Path, protocol: int
) -> None:
    trace = tmp_path / "executed"
    content = pickle.dumps([((1.0, 2.0), 1), ((Malicious(trace), 2.0), 1)], protocol=protocol)
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(DataError, match=r"points: the pickle asks for .*mkdir.*only plain numbers"):
        files.load_points(tmp_path / "a.pkl")
    assert not trace.exists()
    pickle.loads(content)  # the same bytes do harm where they are trusted, so the test can fail
    assert trace.exists()


@pytest.mark.parametrize("instruction", [b"(S'x'\nios\nmkdir\n.", b"cbuiltins\neval\n."])
def test_old_ways_of_naming_a_function_are_refused(
    files: ModuleType, tmp_path: Path, instruction: bytes
) -> None:
    (tmp_path / "a.pkl").write_bytes(instruction)
    with pytest.raises(DataError, match="the pickle asks for"):
        files.load_points(tmp_path / "a.pkl")


def test_pickled_numpy_numbers_are_refused_with_the_way_out(files: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([((np.float64(1), 2.0), 1)]))
    with pytest.raises(DataError, match=r"asks for numpy.*plain Python numbers, or an \.npz file"):
        files.load_points(tmp_path / "a.pkl")


CSV_FAULTS = {
    "": r"first line of .* must be x,y,label or x,y,label,split, got ''",
    "a,b,c\n1,2,1\n": r"first line .* must be x,y,label.*got 'a,b,c'",
    "1,2,1\n": "first line",
    "x,y,label\n": "holds no training point",
    "x,y,label,split\n1,2,1,test\n": "holds no training point",
    "x,y,label\n1,2,1\n1,2\n": r"line 3: expected the 3 columns x,y,label, got \['1', '2'\]",
    "x,y,label\n1,2,1,train\n": "line 2: expected the 3 columns",
    "x,y,label,split\n1,2,1,valid\n": "line 2: split must be train or test, got 'valid'",
    "x,y,label\n1,2,2\n": "line 2: label must be 0 or 1.*got '2'",
    "x,y,label\n1,2,-1\n": "line 2: label must be 0 or 1.*got '-1'",
    "x,y,label\n1,2,0.5\n": "line 2: label must be 0 or 1.*got '0.5'",
    "x,y,label\n1,2,yes\n": "line 2: label must be a finite float32 number, got 'yes'",
    "x,y,label\n1,one,1\n": "line 2: y must be a finite float32 number, got 'one'",
    "x,y,label\nnan,2,1\n": "line 2: x must be a finite float32 number, got 'nan'",
    "x,y,label\n1,-inf,1\n": "line 2: y must be a finite float32 number, got '-inf'",
    "x,y,label\n1,1e39,1\n": "line 2: y must be a finite float32 number, got '1e39'",
    'x,y,label\n1,"2,1\n': "not CSV text",
}


@pytest.mark.parametrize("text", CSV_FAULTS)
def test_faulty_csv_is_refused_with_its_place(files: ModuleType, tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=CSV_FAULTS[text]):
        files.load_points(tmp_path / "a.csv")


def test_bytes_that_are_no_text_are_refused(files: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"x,y,label\n\xff\xfe,2,1\n")
    with pytest.raises(DataError, match="not CSV text"):
        files.load_points(tmp_path / "a.csv")


PICKLE_FAULTS: dict[str, tuple[Any, str]] = {
    "empty list": ([], "holds no training point"),
    "dict": ({"points": 1}, r"must hold a list of \(\(x, y\), label\), it holds a dict"),
    "not nested": ([(1.0, 2.0, 1)], r"item 0: expected \(\(x, y\), label\)"),
    "three coordinates": ([((1.0, 2.0), 1), ((1.0, 2.0, 3.0), 1)], r"item 1: expected \(\(x, y\), label\)"),
    "number": ([((1.0, 2.0), 1), 7], "item 1: expected"),
    "label outside": ([((1.0, 2.0), 3)], "item 0: label must be 0 or 1.*got 3"),
    "no label": ([((1.0, 2.0), None)], "item 0: label must be a finite float32 number, got None"),
    "nan": ([((float("nan"), 2.0), 1)], "item 0: x must be a finite float32 number, got nan"),
    "huge integer": ([((10**400, 2.0), 1)], "item 0: x must be a finite float32 number"),
    "list as a number": ([((1.0, [2.0]), 1)], r"item 0: y must be a finite float32 number, got \[2.0\]"),
}


@pytest.mark.parametrize("fault", PICKLE_FAULTS)
def test_faulty_pickle_is_refused_with_its_place(files: ModuleType, tmp_path: Path, fault: str) -> None:
    content, message = PICKLE_FAULTS[fault]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=message):
        files.load_points(tmp_path / "a.pkl")


NPZ_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "other names": ({"x": np.zeros(3)}, r"lacks 'points' and 'labels'; it holds \['x'\]"),
    "no labels": ({"points": np.zeros((3, 2))}, "lacks 'labels'"),
    "empty": ({"points": np.zeros((0, 2)), "labels": np.zeros(0)}, "holds no training point"),
    "three columns": (
        {"points": np.zeros((3, 3)), "labels": np.zeros(3)},
        r"expected 'points' of shape \(n, 2\) and 'labels' of shape \(n,\), got \(3, 3\) and \(3,\)",
    ),
    "lengths differ": ({"points": np.zeros((3, 2)), "labels": np.zeros(4)}, r"got \(3, 2\) and \(4,\)"),
    "label outside": (
        {"points": np.zeros((3, 2)), "labels": np.array([0, 1, 5])},
        r"points\[2\]: label must be 0 or 1.*got 5",
    ),
    "complex": (
        {"points": np.zeros((1, 2), complex), "labels": np.zeros(1)},
        r"points\[0\]: x must be a finite float32 number, got 0j",
    ),
    "infinite": (
        {"points": np.array([[0, np.inf]]), "labels": np.zeros(1)},
        r"points\[0\]: y must be a finite float32 number, got inf",
    ),
    "half a test part": (
        {"points": np.zeros((1, 2)), "labels": np.zeros(1), "test_points": np.zeros((1, 2))},
        "lacks 'test_labels'",
    ),
}


@pytest.mark.parametrize("fault", NPZ_FAULTS)
def test_faulty_npz_is_refused_with_its_place(files: ModuleType, tmp_path: Path, fault: str) -> None:
    arrays, message = NPZ_FAULTS[fault]
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        files.load_points(tmp_path / "a.npz")


def test_pickled_objects_inside_npz_are_refused_and_not_executed(files: ModuleType, tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    points = np.array([[Malicious(trace), 1.0]], dtype=object)
    np.savez(tmp_path / "a.npz", points=points, labels=np.zeros(1))
    with pytest.raises(DataError, match=r"cannot be read as \.npz"):
        files.load_points(tmp_path / "a.npz")
    assert not trace.exists()


@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
def test_damaged_files_are_refused(
    files: ModuleType, tmp_path: Path, suffix: str, rng: np.random.Generator
) -> None:
    points, labels = some_points(rng, 40)
    path = tmp_path / f"a{suffix}"
    if suffix == ".npz":
        np.savez(path, points=points, labels=labels)
    else:
        path.write_bytes(pickle.dumps(pickled_pairs(points, labels)))
    whole = path.read_bytes()
    contents = [b"", whole[: len(whole) // 2], whole[:-30], rng.bytes(200), b"\x80\x05\x95"]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"points: .*a\\{suffix}"):
            files.load_points(path)


def test_unknown_and_missing_files_are_refused(files: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x,y,label\n1,2,1\n")
    with pytest.raises(DataError, match=r"ends in \.csv, \.npz, \.pkl, got .*a\.txt"):
        files.load_points(tmp_path / "a.txt")
    with pytest.raises(DataError, match=r"there is no file .*b\.csv"):
        files.load_points(tmp_path / "b.csv")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(DataError, match=r"there is no file .*folder\.npz"):
        files.load_points(tmp_path / "folder.npz")


@pytest.fixture
def dots(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("tqdm", reason="the example shows its progress with tqdm")
    pytest.importorskip("matplotlib", reason="the example draws pictures")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("dots")


def test_mistakes_end_the_example_with_one_line_and_no_pictures(
    dots: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "executed"
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps([((Malicious(trace), 2.0), 1)]))
    (tmp_path / "bad.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0no json!")
    pn.save(pn.nn.Linear(3, 2).state_dict(), tmp_path / "other.safetensors")
    mistakes = (
        (["--points", str(tmp_path / "bad.pkl")], "the pickle asks for"),
        (["--points", str(tmp_path / "none.csv")], "there is no file"),
        (["--initial-weights", str(tmp_path / "bad.safetensors")], "bad.safetensors"),
        (["--initial-weights", str(tmp_path / "none.safetensors")], "none.safetensors"),
        (["--initial-weights", str(tmp_path / "other.safetensors")], "layers.0.weight"),
        (["--seed", "-1"], "seed: expected a whole number"),
        (["--backend", "abacus"], "abacus"),
    )
    for arguments, message in mistakes:
        assert dots.main([*arguments, "--output", str(tmp_path / "pictures")]) == 2, arguments
        printed = capsys.readouterr()
        assert printed.err.startswith("dots.py: ")
        assert message in printed.err
        assert "Traceback" not in printed.err
    assert not trace.exists()
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize("epochs", ["0", "-3", "two"])
def test_epochs_must_be_a_positive_number(dots: ModuleType, epochs: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        dots.main(["--epochs", epochs])


class LabelsByEpoch:
    """In each epoch a batch of 50 points and one of 25, with the given label in all points of each."""

    def __init__(self, *labels: tuple[float, float]) -> None:
        self.labels = iter(labels)

    def __iter__(self) -> Iterator[Any]:
        for count, label in zip((50, 25), next(self.labels), strict=True):
            yield pn.zeros((count, 2)), pn.full((count, 1), label)


@pytest.mark.parametrize(
    ("labels", "epochs"),
    [
        (
            [(0.2, 0.8), (0.4, 0.4), (0.3, 0.3)],
            2,
        ),  # the mean over the points stays, that over the batches moves
        ([(0.2, 0.8), (0.8, 0.2), (0.3, 0.3)], 3),  # the other way round
        ([(0.5, 0.5), (0.5, 0.4999), (0.3, 0.3)], 3),  # it moves by 3e-5
        ([(0.5, 0.5), (0.5, 0.49999), (0.3, 0.3)], 2),  # it moves by 3e-6
    ],
)
def test_training_stops_once_the_mean_loss_per_point_settles(
    dots: ModuleType, monkeypatch: pytest.MonkeyPatch, labels: list[tuple[float, float]], epochs: int
) -> None:
    # No update changes a weight, so that the labels alone choose every loss.
    monkeypatch.setattr(dots.optim, "AdamW", lambda parameters, **options: pn.optim.SGD(parameters, lr=0.0))
    model = dots.Net()
    weights = {name: pn.zeros_like(weight) for name, weight in model.state_dict().items()}
    weights["layers.4.bias"] = pn.ones(1)  # every logit is 1, so a point's loss is log(1 + e) - label
    model.load_state_dict(weights)
    losses = dots.train(model, LabelsByEpoch(*labels), epochs=3)
    expected = [np.log1p(np.e) - label for pair in labels[:epochs] for label in pair]
    assert losses == pytest.approx(expected, abs=1e-6)
