"""The scripts of examples/, run as a person runs them and on every backend."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

import portanet as pn
from portanet.errors import ShapeError

for library in ("matplotlib", "sklearn", "tqdm"):
    pytest.importorskip(library, reason="the extra `examples` is not installed")

from matplotlib.image import imread  # noqa: E402

EXAMPLES = Path(__file__).parents[1] / "examples"


class Example(NamedTuple):
    """One script: how many epochs keep its test short, and which pictures it promises."""

    epochs: int
    pictures: set[str]
    compared: int | None = None
    """How many of its first losses are held against NumPy's: all, unless rounding may decide what comes after."""
    options: tuple[str, ...] = ()
    """What else keeps its test short."""
    too_slow_on: tuple[str, ...] = ()
    """Backends on which even so it takes minutes."""
    files: tuple[str, ...] = ()
    """What else it writes beside the pictures."""


SCRIPTS = {
    "autoencoder": Example(1, {"loss.png", "digits.png", "codes.png", "plane.png"}),
    "autograd_tour": Example(40, {"derivatives.png", "walk.png"}),
    # JAX compiles anew for every length that the caches of keys and values have; losses drift apart by rounding.
    "char_gpt": Example(1, {"loss.png"}, compared=10, options=("--length", "2")),
    # Which of two nearly equal pixels a max-pool lets through is for rounding to say.
    "cnn_digits": Example(1, {"loss.png", "misread.png", "confusion.png", "kernels.png"}, compared=10),
    "digits": Example(3, {"loss.png", "misread.png", "confusion.png"}),
    "dots": Example(5, {"loss.png", "points.png", "regions.png", "regions-test.png"}),
    "network": Example(2, {"probabilities.png"}),
    "resume": Example(2, {"loss.png"}),
    # JAX compiles each step anew for every number of sequences that have not ended.
    "sequence_lstm": Example(1, {"loss.png", "answers.png", "sensitivity.png"}, too_slow_on=("jax",)),
    # JAX compiles each step anew for every network and every fold.
    "tabular": Example(
        12, {"loss.png", "roc.png", "importance.png"}, too_slow_on=("jax",), files=("tumours.csv",)
    ),
    "two_layer_net": Example(6, {"losses.png"}),
}


@pytest.fixture(autouse=True)
def _examples_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


@pytest.fixture(params=SCRIPTS)
def script(request: pytest.FixtureRequest) -> str:
    """The name of one example."""
    return request.param


def shortened(name: str) -> list[str]:
    """The options that keep a run short."""
    return ["--epochs", str(SCRIPTS[name].epochs), *SCRIPTS[name].options]


class Reference:
    """The losses on NumPy, each computed once, with a seed that is fresh for each run of the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seed = int(np.random.SeedSequence().entropy % 2**32)
        self.known: dict[str, list[float]] = {}

    def options(self, name: str, folder: Path) -> list[str]:
        return ["--seed", str(self.seed), *shortened(name), "--output", str(folder)]

    def losses(self, name: str) -> list[float]:
        if name not in self.known:
            with pn.use_backend("numpy"):
                self.known[name] = run_main(name, *self.options(name, self.folder))
        return self.known[name]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return Reference(tmp_path_factory.mktemp("numpy"))


def load(name: str) -> ModuleType:
    return importlib.import_module(name)


def run_main(name: str, *options: str) -> list[float]:
    """Run an example here, on the backend in use; return its losses, or whatever else it computes in many numbers."""
    module = load(name)
    if name != "dots":
        result = module.main(options)
        return {
            "autoencoder": lambda: result["losses"],
            "autograd_tour": lambda: result["losses"],
            "char_gpt": lambda: result["losses"],
            "cnn_digits": lambda: result["losses"],
            "digits": lambda: result["losses"],
            "network": lambda: np.ravel(result["batch"]).tolist(),
            "resume": lambda: result["losses"],
            "sequence_lstm": lambda: result["losses"],
            "tabular": lambda: result["losses"],
            "two_layer_net": lambda: np.ravel(list(result.values())).tolist(),
        }[name]()
    train, losses = module.train, []
    module.train = lambda *arguments: losses.extend(train(*arguments)) or losses
    try:
        assert module.main(options) == 0
    finally:
        module.train = train
    return losses


def run_script(name: str, *options: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run an example in a process of its own, without a screen."""
    unset = ("DISPLAY", "MPLBACKEND", "PORTANET_BACKEND")
    return subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *options],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in unset}
        | {"PYTHONIOENCODING": "utf-8"},
        check=False,
    )


def check_pictures(name: str, folder: Path, printed: str) -> None:
    """The promised pictures are there, told of, and show something."""
    assert {path.name for path in folder.iterdir()} == SCRIPTS[name].pictures | {*SCRIPTS[name].files}
    for picture in SCRIPTS[name].pictures:
        assert f"picture: {folder / picture}" in printed
        pixels = imread(folder / picture)[..., :3]
        assert min(pixels.shape[:2]) > 300
        drawn = (pixels < 0.9).any(axis=-1)
        assert 0.01 < drawn.mean() < 0.9, f"{picture} is blank"
        assert len(np.unique(pixels[drawn], axis=0)) > 20


# As a person runs them


def test_script_runs_without_options_and_names_its_pictures(script: str, tmp_path: Path) -> None:
    finished = run_script(script, *shortened(script), folder=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert "Warning" not in finished.stderr
    assert "100%" in finished.stderr, "the progress bar reaches its end"
    check_pictures(
        script, tmp_path / "pictures" / script, finished.stdout.replace("pictures/", f"{tmp_path}/pictures/")
    )


def test_backend_option_chooses_the_library(backend: str, tmp_path: Path) -> None:
    finished = run_script("network", "--epochs", "2", "--backend", backend, folder=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert f"pictures a second on {backend}\n" in finished.stdout


@pytest.mark.parametrize("name", ["digits", "dots"])
def test_cupy_without_a_gpu_warns_once_and_runs_on_numpy(name: str, tmp_path: Path) -> None:
    if any(report.available for report in pn.available_backends() if report.name == "cupy"):
        pytest.skip("a GPU answers here, so there is nothing to fall back from")
    finished = run_script(name, "--epochs", "1", "--backend", "cupy", "--output", "p", folder=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr.count("Warning") == 1
    assert "Backend 'cupy' cannot be used here, so 'numpy' is used instead" in finished.stderr
    assert {path.name for path in (tmp_path / "p").iterdir()} == SCRIPTS[name].pictures


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--backend", "abacus"),
            "no backend is called 'abacus'; known are array-api-strict, cupy, jax, numpy",
        ),
        (("--epochs", "0"), "--epochs must be at least 1, got 0"),
        (("--epochs", "-3"), "--epochs must be at least 1, got -3"),
        (("--epochs", "many"), "argument --epochs: invalid int value: 'many'"),
        (("--seed", "-1"), "seed: expected a whole number"),
    ],
)
def test_mistakes_end_with_a_message_and_no_pictures(
    script: str, options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = load(script).main([*options, "--output", str(tmp_path / "pictures")])
    except SystemExit as ending:
        status = ending.code
    printed = capsys.readouterr()
    assert status == 2
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert not (tmp_path / "pictures").exists()


# On every backend


@pytest.mark.filterwarnings(
    "ignore:portanet.plot.decision_regions"
)  # dots, hardly trained, may look like probabilities
def test_every_backend_gives_the_same_losses_and_pictures(
    script: str, backend: str, reference: Reference, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if backend in SCRIPTS[script].too_slow_on:
        pytest.skip(f"{script} takes minutes on {backend}")
    losses = run_main(script, *reference.options(script, tmp_path))
    check_pictures(script, tmp_path, capsys.readouterr().out)
    assert len(losses) > 10
    note = f"--seed {reference.seed}"
    compared = slice(SCRIPTS[script].compared)
    expected = reference.losses(script)[compared]
    np.testing.assert_allclose(losses[compared], expected, rtol=0, atol=1e-4, err_msg=note)


def test_the_seed_decides_the_losses(tmp_path: Path) -> None:
    runs = [
        run_main("digits", "--epochs", "1", "--seed", seed, "--output", str(tmp_path))
        for seed in ("1", "1", "2")
    ]
    assert runs[0] == runs[1] != runs[2]


# What each of them promises


def test_digits_are_read_as_promised(tmp_path: Path) -> None:
    result = load("digits").main(["--backend", "numpy", "--output", str(tmp_path)])
    assert result["accuracy"] >= 0.97
    confusion = np.array(result["confusion"])
    assert confusion.sum() == 360
    assert np.trace(confusion) / 360 == pytest.approx(result["accuracy"])
    assert (confusion.sum(axis=1) >= 34).all(), "each digit has its share of the held-out part"


def test_a_convolutional_network_reads_digits_as_promised(tmp_path: Path) -> None:
    result = load("cnn_digits").main(["--backend", "numpy", "--output", str(tmp_path)])
    assert result["accuracy"] >= 0.985


def test_a_gpt_learns_as_promised(tmp_path: Path) -> None:
    module = load("char_gpt")
    result = module.main(["--backend", "numpy", "--epochs", "16", "--output", str(tmp_path)])
    assert result["held out"] < module.PROMISE < result["by pair"] < result["by character"]
    before, after = result["samples"]
    assert (len(before), len(after)) == (320, 320)
    assert after.count(" ") > 2 * before.count(" "), "the commonest character of source code"


def test_a_gpt_says_the_same_with_and_without_caches(backend: str) -> None:
    module = load("char_gpt")
    model = module.GPT(11)
    text = pn.random.integers(0, 11, (2, 9))
    caches = [pn.nn.KeyValueCache() for _ in model.blocks]
    with pn.no_grad():
        parts = [model(text[:, start:end], caches) for start, end in ((0, 5), (5, 6), (6, 9))]
        whole = model(text)
    assert len(caches[0]) == 9
    np.testing.assert_allclose(pn.concat(parts, axis=1).numpy(), whole.numpy(), rtol=0, atol=1e-5)


def test_a_gpt_reads_a_text_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module, text = load("char_gpt"), tmp_path / "text.txt"
    text.write_text("übermäßig " * 80, encoding="utf-8")
    options = [
        "--epochs",
        "3",
        "--temperature",
        "0",
        "--length",
        "80",
        "--output",
        str(tmp_path / "pictures"),
    ]
    result = module.main(["--text", str(text), *options])
    assert result["held out"] < 0.1, "there is nothing to hesitate about"
    written = result["samples"][1]  # more than it sees at once
    assert len(written) == 80
    assert written[20:] in "übermäßig " * 9
    assert ", 10 different ones" in capsys.readouterr().out

    for wrong, message in (
        (["--text", str(tmp_path / "none.txt")], "none.txt"),
        (["--temperature", "-1"], "--temperature must be a finite number of at least 0, got -1.0"),
        (["--length", "0"], "--length must be at least 1, got 0"),
    ):
        with pytest.raises(SystemExit):
            module.main(wrong)
        assert message in capsys.readouterr().err
    text.write_text("too short", encoding="utf-8")
    with pytest.raises(SystemExit):
        module.main(["--text", str(text)])
    assert "--text: expected more than 640 characters, got 9" in capsys.readouterr().err


def test_a_killed_run_goes_on_as_promised(tmp_path: Path) -> None:
    updates = int(np.random.default_rng().integers(6, 50))
    options = ["--epochs", "2", "--kill-after", str(updates), "--output", str(tmp_path)]
    result = load("resume").main(["--backend", "numpy", *options])
    assert result["ended"] != 0, "the process was killed"
    saves = [update for update in range(updates) if update % 5 == 0 or update % 29 == 0]
    assert result["saved"] == saves[-1]  # the last one before the update after which it died
    assert result["alike"]


def test_an_lstm_remembers_as_promised(tmp_path: Path) -> None:
    module = load("sequence_lstm")
    result = module.main(["--backend", "numpy", "--output", str(tmp_path)])
    assert result["error"] * module.PROMISE < module.CONSTANT


def test_the_sequences_to_add_are_what_they_are_said_to_be() -> None:
    module = load("sequence_lstm")
    sequences, lengths, sums = module.draw_sequences(500)
    assert (lengths.min(), lengths.max()) == (20, 40)
    for sequence, length, total in zip(sequences, lengths, sums, strict=True):
        first, second = np.flatnonzero(sequence[:, 1])
        assert 0 <= first < length // 2 <= second < length
        assert total == sequence[first, 0] + sequence[second, 0]
    assert np.mean((sums - 1) ** 2) == pytest.approx(module.CONSTANT, rel=0.4)


def test_an_autoencoder_beats_pca_as_promised(tmp_path: Path) -> None:
    module = load("autoencoder")
    result = module.main(["--backend", "numpy", "--output", str(tmp_path)])
    assert result["error"] < module.PROMISE * result["pca error"]


def test_tumours_are_told_apart_as_promised(tmp_path: Path) -> None:
    result = load("tabular").main(["--backend", "numpy", "--output", str(tmp_path)])
    assert result["accuracy"] >= 0.93
    assert result["area"] >= 0.98


def test_a_table_of_ones_own(rng: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module, path = load("tabular"), tmp_path / "own.csv"
    numbers = rng.normal(size=(150, 3))
    kinds = np.array(["even", "large", "small"])[
        1 + np.sign(numbers[:, 0]).astype(int) * (abs(numbers[:, 0]) > 0.4)
    ]
    lines = [f"{a},{kind},{b},{c}" for (a, b, c), kind in zip(numbers.tolist(), kinds, strict=True)]
    path.write_text("\n".join(["size,kind,noise,more", *lines, ""]), encoding="utf-8")
    options = ["--data", str(path), "--output", str(tmp_path / "pictures")]
    result = module.main([*options, "--target", "kind"])
    assert result["accuracy"] > 0.7
    assert "150 rows, 3 columns, classes even, large, small" in capsys.readouterr().out

    for text, message in (
        ("size,kind\n1,a\n2\n", "own.csv, line 3: expected 2 cells, got 1"),
        ("size,kind\n1,a\nmany,b\n", "own.csv, line 3, column 'size': expected a number, got 'many'"),
        ("size,kind\n1,a\nnan,b\n", "own.csv, line 3, column 'size': expected a number, found none"),
        ("size,class\n1,a\n", "own.csv: target: there is no column 'kind'; the file has 'size', 'class'"),
        ("size,kind\n", "own.csv: expected rows of data, found none"),
        (
            "kind,size\n" + "1.5,1\n" * 30 + "2.5,1\n",
            "own.csv: expected at least 10 rows of each class in column 'kind', but '2.5' has 1",
        ),
        ("kind\na\n", "own.csv: expected at least one column of features, got none"),
        (None, "own.csv cannot be read"),
    ):
        path.unlink() if text is None else path.write_text(text, encoding="utf-8")
        with pytest.raises(SystemExit):
            module.main([*options, "--target", "kind"])
        assert message in capsys.readouterr().err


def test_digits_are_held_out() -> None:
    train_images, test_images, train_labels, test_labels = load("digits").load()
    assert (len(train_images), len(train_labels), len(test_images), len(test_labels)) == (
        1437,
        1437,
        360,
        360,
    )
    seen = {image.tobytes() for image in train_images}
    assert not [image for image in test_images if image.tobytes() in seen]


def test_the_tour_shows_the_numbers_that_it_names(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = load("autograd_tour").main(["--output", str(tmp_path)])
    assert result["cube"] == [75, 150, 75]
    assert result["reciprocal"] == -0.25
    assert result["second derivative"] == 30
    assert result["losses"][-1] == pytest.approx(2, abs=1e-4)
    printed = capsys.readouterr().out
    assert "the gradient is 75, after a second pass 150, after clearing it 75" in printed
    assert "the gradient is -0.25" in printed


def test_three_ways_train_alike_and_a_difference_is_noticed(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("two_layer_net")
    options = ["--epochs", "12", "--output", str(tmp_path)]
    by_hand, with_autograd, with_nn = module.main(options).values()
    assert by_hand[-1] < by_hand[0] / 2
    np.testing.assert_allclose(with_autograd, by_hand, rtol=0, atol=1e-5)
    np.testing.assert_allclose(with_nn, by_hand, rtol=0, atol=1e-5)

    class OtherOptimizer(pn.optim.SGD):
        def __init__(self, parameters: Any, lr: float) -> None:
            super().__init__(parameters, lr=1.01 * lr)

    monkeypatch.setattr(module.optim, "SGD", OtherOptimizer)
    with pytest.raises(AssertionError, match="the losses differ by"):
        module.main(options)


def test_a_single_picture_gets_the_same_answer_as_in_its_batch(backend: str, tmp_path: Path) -> None:
    network = load("network")
    result = network.main(["--epochs", "1", "--output", str(tmp_path)])
    batch = np.array(result["batch"])
    assert batch.shape == (64, 10)
    np.testing.assert_allclose(batch.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(result["single"], batch[0], atol=1e-6)
    with pytest.raises(
        ShapeError, match=r"dim: softmax got axis 1 .*\(10,\).*batch of one, x.reshape\(1, -1\)"
    ):
        network.Network()(network.load_pictures(1)[0])
