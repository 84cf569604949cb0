"""Pictures: what is drawn is what was given, on every backend, and nothing else changes."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import plot
from portanet.errors import DataError, DTypeError, OptionError, ShapeError

matplotlib = pytest.importorskip("matplotlib", reason="draws with matplotlib, the extra `plot`")

from matplotlib.collections import PathCollection  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402
from matplotlib.contour import ContourSet  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.image import imread  # noqa: E402


def scattered(axes: Any) -> dict[str, np.ndarray]:
    """The points of each scatter in the picture, by label."""
    drawn = [artist for artist in axes.collections if isinstance(artist, PathCollection)]
    return {artist.get_label(): np.asarray(artist.get_offsets()) for artist in drawn}


def legend(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def pixel_centres(axes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels of the regions lie, each of the image's shape."""
    (image,) = axes.images
    left, right, bottom, top = image.get_extent()
    rows, columns = image.get_array().shape
    across = left + (np.arange(columns) + 0.5) * (right - left) / columns
    up = bottom + (np.arange(rows) + 0.5) * (top - bottom) / rows
    return np.meshgrid(across, up)


def some_points(rng: np.random.Generator, classes: int = 2, count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, count - classes)])
    return rng.normal(size=(count, 2)).astype(np.float32), labels


# Loss curves


def test_a_loss_curve_holds_the_losses_that_were_given(backend: str, rng: np.random.Generator) -> None:
    losses = rng.uniform(size=17).astype(np.float32)
    weight = pn.Tensor(losses, requires_grad=True)
    forms = (
        losses,
        losses.tolist(),
        pn.asarray(losses),
        weight * 1.0,
        list(pn.asarray(losses)),
        [*(weight * 1.0)],
    )
    for form in forms:
        (line,) = plot.loss_curve(form).lines
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 18))
        np.testing.assert_array_equal(line.get_ydata(), losses)


def test_several_curves_carry_their_labels_and_differ_in_colour_and_dashes(rng: np.random.Generator) -> None:
    given = {"first": rng.uniform(size=5), "second": rng.uniform(size=9), "third": rng.uniform(size=2)}
    axes = plot.loss_curve(given)
    assert legend(axes) == list(given)
    for line, row in zip(axes.lines, given.values(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), row)
    assert len({line.get_color() for line in axes.lines}) == 3
    assert len({line.get_linestyle() for line in axes.lines}) == 3


def test_average_draws_the_means_over_the_single_losses(rng: np.random.Generator) -> None:
    losses = rng.uniform(size=14)
    axes = plot.loss_curve(losses, average=4)
    single, means = axes.lines
    np.testing.assert_array_equal(single.get_ydata(), losses)
    np.testing.assert_allclose(means.get_ydata(), [losses[i : i + 4].mean() for i in (0, 4, 8)])
    np.testing.assert_array_equal(
        means.get_xdata(), [2.5, 6.5, 10.5]
    )  # the middles of what they are means of
    assert means.get_linewidth() > single.get_linewidth()
    assert legend(axes) == ["each update", "mean of 4 updates"]


def test_losses_too_few_to_average_and_a_single_one_are_drawn_and_nan_leaves_a_gap() -> None:
    (line,) = plot.loss_curve([0.5, 0.4], average=2).lines
    assert line.get_ydata().tolist() == [0.5, 0.4]
    (line,) = plot.loss_curve([0.5]).lines
    assert line.get_marker() == "o"
    (line,) = plot.loss_curve([0.5, 0.4, float("nan"), 0.3, float("nan"), 0.2, 0.1]).lines
    np.testing.assert_array_equal(line.get_ydata(), [0.5, 0.4, np.nan, 0.3, np.nan, 0.2, 0.1])
    assert (line.get_marker(), line.get_markevery()) == ("o", [3]), "between two gaps a line shows nothing"
    assert plot.loss_curve([0.5, 0.4]).lines[0].get_marker() == "None"


def test_a_loss_curve_names_its_axes() -> None:
    axes = plot.loss_curve([1.0, 0.5], xlabel="epochs", ylabel="cross entropy (nats)", title="Digits")
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == (
        "epochs",
        "cross entropy (nats)",
        "Digits",
    )


@pytest.mark.parametrize(
    ("losses", "error", "message"),
    [
        ([], DataError, "losses: expected at least one number, got none"),
        ({}, DataError, "losses: expected at least one curve"),
        ({"training": [0.5], "test": []}, DataError, r"losses\['test'\]: expected at least one number"),
        (np.zeros((3, 2)), ShapeError, r"shape \(updates,\), got shape \(3, 2\).*pass a mapping"),
        (0.5, ShapeError, r"got shape \(\)"),
        ([[0.5, 0.4], [0.3, 0.2]], ShapeError, r"got shape \(2, 2\)"),
        (["much"], DTypeError, "losses: expected a Tensor, an array or sequences of real numbers, got list"),
        (np.ones(2, complex), DTypeError, "complex128"),
    ],
)
def test_losses_that_are_no_curve_are_refused(losses: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot.loss_curve(losses)


@pytest.mark.parametrize("average", [0, -1, 2.0, True])
def test_average_must_be_a_positive_number(average: Any) -> None:
    with pytest.raises(OptionError, match="average: expected a whole number of at least 1"):
        plot.loss_curve([0.5, 0.4], average=average)


# Points


def test_points_are_drawn_by_class_wherever_they_lie(backend: str, rng: np.random.Generator) -> None:
    x, y = some_points(rng, classes=3)
    column = y[:, None].astype(np.float32)
    forms = (
        (x, y),
        (x.tolist(), y.tolist()),
        (pn.asarray(x), pn.asarray(y)),
        (pn.asarray(x), pn.asarray(column)),
    )
    for places, labels in forms:
        axes = plot.points(places, labels)
        drawn = scattered(axes)
        assert list(drawn) == legend(axes) == ["class 0", "class 1", "class 2"]
        for k in range(3):
            np.testing.assert_array_equal(drawn[f"class {k}"], x[y == k])


def test_classes_differ_in_colour_brightness_and_marker(rng: np.random.Generator) -> None:
    axes = plot.points(*some_points(rng, classes=5))
    assert len({tuple(artist.get_facecolor()[0]) for artist in axes.collections}) == 5
    assert len({artist.get_paths()[0].vertices.tobytes() for artist in axes.collections}) == 5


def test_seventy_classes_get_different_pairs_of_colour_and_marker() -> None:
    pairs = {(k % len(plot.COLOURS), k % len(plot.MARKERS)) for k in range(70)}
    assert len(pairs) == 70
    assert len(plot.COLOURS) >= 10


# Machado, Oliveira and Fernandes (2009), full severity, on linear RGB.
COLOUR_VISION = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def as_lab(linear: np.ndarray) -> np.ndarray:
    """Linear RGB, shape (..., 3), in CIELAB, where a distance of 2.3 can just be seen."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = np.clip(linear, 0, 1) @ to_xyz.T / to_xyz.sum(axis=1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@pytest.mark.parametrize("eyes", COLOUR_VISION)
def test_all_colours_differ_for_colour_blind_readers_and_neighbours_in_greyscale(eyes: str) -> None:
    rgb = np.array([to_rgb(colour) for colour in plot.COLOURS])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = as_lab(linear @ COLOUR_VISION[eyes].T)
    distances = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + 1000 * np.eye(len(seen))
    assert distances.min() > 15
    brightness = rgb @ (0.2126, 0.7152, 0.0722)
    assert np.abs(np.diff(brightness)).min() > 0.05


def test_a_class_keeps_its_colour_whatever_other_classes_there_are(rng: np.random.Generator) -> None:
    x, y = some_points(rng, classes=3)
    every, some = plot.points(x, y), plot.points(x[y > 0], y[y > 0])
    for label in ("class 1", "class 2"):
        colours = [
            artist.get_facecolor()[0]
            for axes in (every, some)
            for artist in axes.collections
            if artist.get_label() == label
        ]
        np.testing.assert_array_equal(*colours)


def test_names_and_labels_are_the_callers(rng: np.random.Generator) -> None:
    x, y = some_points(rng)
    axes = plot.points(
        x, y, class_names={0: "cat", 1: "dog"}, xlabel="length (cm)", ylabel="mass (kg)", title="Pets"
    )
    assert legend(axes) == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("length (cm)", "mass (kg)", "Pets")


def test_many_points_are_small_and_take_turns_so_that_no_class_hides_the_others(
    rng: np.random.Generator,
) -> None:
    x, y = some_points(rng, classes=3, count=20_000)
    axes = plot.points(x, y)
    drawn = [artist for artist in axes.collections if isinstance(artist, PathCollection)]
    assert sum(len(artist.get_offsets()) for artist in drawn) == 20_000
    last = [tuple(artist.get_facecolor()[0][:3]) for artist in drawn[-3:]]
    assert last == [to_rgb(colour) for colour in plot.COLOURS[:3]], "each class is on top somewhere"
    for k in range(3):
        members = [artist.get_offsets() for artist in drawn[k::3]]
        found, expected = np.concatenate(members), x[y == k]
        np.testing.assert_array_equal(np.sort(found[:, 0]), np.sort(expected[:, 0]))
        assert len(members[-1]) < len(expected) / 10
    assert legend(axes) == ["class 0", "class 1", "class 2"]
    few = plot.points(*some_points(rng)).collections[0]
    assert drawn[0].get_sizes()[0] < few.get_sizes()[0] / 3
    assert plot.points(x, y, size=30).collections[0].get_sizes() == [30]
    regions = plot.decision_regions(lambda points: points, x, y % 2, resolution=4)
    (rings,) = (artist for artist in regions.collections if str(artist.get_label()).startswith("wrong"))
    assert rings.get_sizes()[0] == regions.collections[0].get_sizes()[0], "rings would be one black spot"


def boxes(axes: Any) -> tuple[Any, Any, Any]:
    """Where legend, axes and figure lie, in pixels."""
    axes.figure.canvas.draw()
    return axes.get_legend().get_window_extent(), axes.get_window_extent(), axes.figure.bbox


def draw_twenty(rng: np.random.Generator) -> dict[str, Any]:
    x, y = some_points(rng, classes=20, count=60)
    weight = rng.normal(size=(2, 20)).astype(np.float32)
    return {
        "points": plot.points(x, y),
        "regions": plot.decision_regions(lambda points: points @ pn.asarray(weight), x, y, resolution=9),
        "embedding": plot.embedding(np.tile(x, 2), y, class_names=[f"kind number {k}" for k in range(20)]),
        "roc": plot.roc_curve(rng.normal(size=(60, 20)), y),
        "losses": plot.loss_curve({f"learning rate 1e-{k}": rng.uniform(size=9) for k in range(20)}),
        "few losses": plot.loss_curve({f"model {k}": rng.uniform(size=9) for k in range(4)}),
    }


def test_many_names_stand_beside_the_picture_and_inside_the_figure(rng: np.random.Generator) -> None:
    for name, axes in draw_twenty(rng).items():
        entries, drawn, figure = boxes(axes)
        assert entries.x0 >= drawn.x1, name
        assert entries.x1 <= figure.x1, name
        assert entries.y0 >= figure.y0, name
        assert drawn.height > 0.7 * figure.height, f"{name}: the legend has not squeezed the picture"


BAD_POINTS: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "three columns": (np.zeros((4, 3)), np.zeros(4), ShapeError, r"x: .*shape \(n, 2\), got shape \(4, 3\)"),
    "a single point": (np.zeros(2), np.zeros(1), ShapeError, r"x: .*got shape \(2,\)"),
    "none": (np.zeros((0, 2)), np.zeros(0), DataError, "x: expected at least one point"),
    "nan": (np.array([[0, np.nan]]), [0], DataError, "x: a coordinate is NaN or infinite"),
    "strings": ([["a", "b"]], [0], DTypeError, "x: expected a Tensor"),
    "too few classes": (np.zeros((4, 2)), np.zeros(3), ShapeError, "y: .*each of the 4 points of x, got 3"),
    "one-hot": (np.zeros((4, 2)), np.eye(4), ShapeError, r"y: .*shape \(n,\) or \(n, 1\), got shape \(4, 4\).*argmax"),
    "half a class": (np.zeros((2, 2)), [0.5, 1.0], DataError, "y: expected whole numbers as classes, got 0.5"),
    "nan class": (np.zeros((2, 2)), [np.nan, 1.0], DataError, "y: expected whole numbers as classes, got nan"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD_POINTS)
def test_points_that_cannot_be_drawn_are_refused(fault: str) -> None:
    x, y, error, message = BAD_POINTS[fault]
    with pytest.raises(error, match=message):
        plot.points(x, y)
    with pytest.raises(error, match=message):
        plot.decision_regions(lambda points: points[:, 0], x, y)


def test_a_class_without_a_name_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(DataError, match=r"class 2 occurs and has no name; names are given for \[0, 1\]"):
        plot.points(*some_points(rng, classes=3), class_names=["cat", "dog"])


# Decision regions


def test_regions_boundary_and_rings_show_what_a_model_says(backend: str, rng: np.random.Generator) -> None:
    x, y = some_points(rng, count=60)
    weight = rng.normal(size=2).astype(np.float32)
    offset = -np.mean(x, axis=0) @ weight  # so that the boundary goes through the middle of the points
    axes = plot.decision_regions(
        lambda points: points @ pn.asarray(weight) + float(offset),
        pn.asarray(x),
        pn.asarray(y),
        resolution=30,
        threshold=0,
    )

    def score(*place: np.ndarray) -> np.ndarray:
        return place[0] * float(weight[0]) + place[1] * float(weight[1]) + float(offset)

    (image,) = axes.images
    scores = score(*pixel_centres(axes))
    clear = np.abs(scores) > 1e-4  # on the line itself float32 may say either
    np.testing.assert_array_equal(np.asarray(image.get_array())[clear], (scores > 0)[clear])
    assert image.get_array().shape == (30, 30)

    (contour,) = [artist for artist in axes.collections if isinstance(artist, ContourSet)]
    vertices = np.concatenate([path.vertices for path in contour.get_paths()])
    assert len(vertices) > 1
    np.testing.assert_allclose(score(*vertices.T), 0, atol=1e-4)

    wrong = (score(*x.T) > 0) != y
    drawn = scattered(axes)
    np.testing.assert_array_equal(drawn[f"wrong: {wrong.sum()} of 60"], x[wrong])
    for k in range(2):
        np.testing.assert_array_equal(drawn[f"class {k}"], x[y == k])
    assert legend(axes) == ["class 0", "class 1", "boundary", f"wrong: {wrong.sum()} of 60"]


@pytest.mark.parametrize("answer", ["logits", "probabilities", "classes", "column of classes"])
def test_several_classes_by_any_kind_of_answer(answer: str, rng: np.random.Generator) -> None:
    x, y = some_points(rng, classes=4)
    weight = rng.normal(size=(2, 4)).astype(np.float32)

    def predict(points: pn.Tensor) -> Any:
        logits = points @ pn.asarray(weight)
        if answer == "logits":
            return logits
        if answer == "probabilities":
            return pn.nn.functional.softmax(logits, dim=1)
        classes = logits.argmax(axis=1)
        return classes if answer == "classes" else classes.reshape(-1, 1)

    axes = plot.decision_regions(predict, x, y, resolution=25)
    across, up = pixel_centres(axes)
    scores = np.stack([across, up], axis=-1) @ weight.astype(float)
    ordered = np.sort(scores, axis=-1)
    clear = ordered[..., -1] - ordered[..., -2] > 1e-4
    regions = np.asarray(axes.images[0].get_array())
    np.testing.assert_array_equal(regions[clear], scores.argmax(axis=-1)[clear])

    wrong = (x.astype(float) @ weight).argmax(axis=1) != y
    np.testing.assert_array_equal(scattered(axes)[f"wrong: {wrong.sum()} of 40"], x[wrong])
    if answer == "logits":
        contours = [artist for artist in axes.collections if isinstance(artist, ContourSet)]
        vertices = np.concatenate([path.vertices for artist in contours for path in artist.get_paths()])
        best = np.sort(vertices @ weight.astype(float), axis=1)
        # Between grid lines a boundary is interpolated, and where three regions meet its corner is cut.
        assert np.median(best[:, -1] - best[:, -2]) < 1e-3


def test_colours_of_regions_are_tints_of_their_points(rng: np.random.Generator) -> None:
    x, y = some_points(rng)
    axes = plot.decision_regions(lambda points: points[:, 0], x, y, resolution=4)
    (image,) = axes.images
    tints = image.to_rgba(np.array([[0, 1]]))[0, :, :3]
    for tint, colour in zip(tints, plot.COLOURS, strict=False):
        np.testing.assert_allclose((1 - tint) / (1 - np.array(to_rgb(colour))), 0.3, atol=0.01)


def test_predict_gets_points_like_x_and_records_nothing(backend: str, rng: np.random.Generator) -> None:
    x, y = some_points(rng)
    weight = pn.Tensor(rng.normal(size=2), dtype=pn.float32, requires_grad=True)
    seen = []

    def predict(points: pn.Tensor) -> Any:
        seen.append((points.dtype, points.device, len(points)))
        result = points @ weight
        assert not result.requires_grad
        return result

    given = pn.asarray(x)
    plot.decision_regions(predict, given, y, resolution=150, threshold=0.0)
    assert {place[:2] for place in seen} == {(pn.float32, given.device)}
    assert sum(place[2] for place in seen) == 150 * 150 + len(x)
    assert max(place[2] for place in seen) < 20_000
    assert pn.is_grad_enabled()


def test_whole_number_points_become_floats() -> None:
    seen = []
    plot.decision_regions(
        lambda points: seen.append(points.dtype) or points[:, 0], [[-1, 0], [1, 2]], [0, 1], resolution=3
    )
    assert seen == [pn.float32]


def test_a_model_that_sees_one_class_everywhere_has_no_boundary(rng: np.random.Generator) -> None:
    x, y = some_points(rng)
    for predict in (
        lambda points: points[:, 0] * 0 - 1.0,
        lambda points: pn.zeros((len(points),), dtype=pn.int64),
    ):
        axes = plot.decision_regions(predict, x, y, resolution=5)
        assert legend(axes) == ["class 0", "class 1", f"wrong: {y.sum()} of 40"]
        assert not np.asarray(axes.images[0].get_array()).any()


def test_a_model_that_is_right_everywhere_rings_no_point() -> None:
    axes = plot.decision_regions(
        lambda points: points[:, :1], [[-1.0, 0.0], [1.0, 0.0]], [[0], [1]], resolution=5
    )
    assert legend(axes) == ["class 0", "class 1", "boundary"]


def test_threshold_is_where_a_single_score_turns_and_probabilities_without_one_are_noticed(
    rng: np.random.Generator,
) -> None:
    x, y = some_points(rng)
    y = (x[:, 0] > 0).astype(int)

    def probability(points: pn.Tensor) -> pn.Tensor:
        return pn.nn.functional.sigmoid(3 * points[:, :1])

    axes = plot.decision_regions(probability, x, y, resolution=9, threshold=0.5)
    across, _ = pixel_centres(axes)
    clear = np.abs(across) > 1e-5
    np.testing.assert_array_equal(np.asarray(axes.images[0].get_array())[clear], (across > 0)[clear])
    with pytest.warns(UserWarning, match=r"looks like probabilities.*Pass threshold=0.5 for probabilities"):
        axes = plot.decision_regions(probability, x, y, resolution=9)
    assert np.asarray(axes.images[0].get_array()).all()


@pytest.mark.parametrize(
    ("labels", "scores"),
    [
        ([0, 0, 0, 1], [0.1, 0.1, 0.1, 0.1]),  # one class for all, whichever way they are read
        ([0, 1, 0, 1], [0.4, 0.6, 0.6, 0.4]),  # both ways half of the points come out right
    ],
)
def test_logits_of_a_model_that_has_learnt_nothing_are_not_taken_for_probabilities(
    labels: list[int], scores: list[float]
) -> None:
    def predict(points: pn.Tensor) -> pn.Tensor:
        return pn.concat(
            [pn.asarray(scores), pn.full((len(points) - 4,), scores[0])]
        )  # the points come first

    axes = plot.decision_regions(predict, np.eye(4)[:, :2], labels, resolution=5)
    assert np.asarray(axes.images[0].get_array()).all()


BAD_PREDICTORS: dict[str, tuple[Callable[[pn.Tensor], Any], dict[str, Any], type[Exception], str]] = {
    "a single number": (lambda p: p.sum(), {}, ShapeError, r"predict: expected shape \(n,\).*got \(\)"),
    "one row": (lambda p: p[:1], {}, ShapeError, r"predict: expected .* for n = 29 points, got \(1, 2\)"),
    "nan": (lambda p: p[:, 0] * pn.nan, {}, DataError, "predict: a score is NaN or infinite"),
    "classes and a threshold": (
        lambda p: p[:, 0] > 0, {"threshold": 0.5}, OptionError, "threshold: predict returns classes",
    ),
    "scores and a threshold": (
        lambda p: p, {"threshold": 0.5}, OptionError, "threshold: predict returns a score for each class",
    ),
    "resolution": (lambda p: p[:, 0], {"resolution": 1}, OptionError, "resolution: .*at least 2, got 1"),
    "margin": (lambda p: p[:, 0], {"margin": -0.1}, OptionError, "margin: .*finite number of at least 0, got -0.1"),
    "infinite margin": (lambda p: p[:, 0], {"margin": float("inf")}, OptionError, "margin: .*got inf"),
    "nan margin": (lambda p: p[:, 0], {"margin": float("nan")}, OptionError, "margin: .*got nan"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD_PREDICTORS)
def test_answers_that_cannot_be_drawn_are_refused(fault: str) -> None:
    predict, options, error, message = BAD_PREDICTORS[fault]
    with pytest.raises(error, match=message):
        plot.decision_regions(predict, np.eye(4)[:, :2], [0, 1, 0, 1], **{"resolution": 5, **options})


@pytest.mark.parametrize("labels", [[-1, 1], [1, 2]])
def test_classes_that_the_scores_do_not_know_are_refused(labels: list[int]) -> None:
    message = f"y: predict tells the classes 0 to 1 apart, but y has classes from {labels[0]} to {labels[1]}"
    with pytest.raises(DataError, match=message):
        plot.decision_regions(lambda points: points[:, 0], np.eye(2), labels, resolution=5)


def test_points_on_one_line_get_a_picture_with_room() -> None:
    axes = plot.decision_regions(lambda points: points[:, 1], [[3.0, -1.0], [3.0, 1.0]], [0, 1], resolution=5)
    assert np.ptp(axes.get_xlim()) > 0
    assert axes.get_xlim()[0] < 3 < axes.get_xlim()[1]


# Where it is drawn, and what else changes


def draw_everything(ax: Any = None) -> list[Any]:
    x, y = np.eye(4)[:, :2] - 0.5, [0, 1, 0, 1]
    return [
        plot.loss_curve([0.5, 0.4], ax, levels={"guessing": 0.6}),
        plot.points(x, y, ax),
        plot.decision_regions(lambda points: points[:, 0], x, y, ax, resolution=5),
        plot.embedding(np.eye(4), y, ax),
        plot.roc_curve([0.5, 0.4, 0.1, 0.8], y, ax),
        plot.magnitudes(pn.nn.Linear(2, 3), ax, of="weights"),
    ]


def test_given_axes_are_drawn_into_and_keep_their_shape() -> None:
    figure = Figure()
    axes = figure.add_subplot()
    axes.set_aspect("equal")
    assert all(returned is axes for returned in draw_everything(axes))
    assert axes.get_aspect() == 1
    assert figure.axes == [axes]


def test_without_axes_each_picture_is_a_figure_of_its_own() -> None:
    assert len({id(axes.figure) for axes in draw_everything()}) == 6


def test_nothing_global_changes(tmp_path: Path) -> None:
    """In a process of its own: neither the screen nor pyplot nor a setting is touched, and the user's choices stay."""
    source = f"""
import sys, numpy as np
import portanet as pn
assert not any(name.split(".")[0] == "matplotlib" for name in sys.modules), "loaded before anything is drawn"

def draw():
    x, y = np.eye(4)[:, :2] - 0.5, [0, 1, 0, 1]
    for picture in (
        pn.plot.loss_curve([0.5, 0.4]), pn.plot.points(x, y), pn.plot.embedding(np.eye(4), y),
        pn.plot.decision_regions(lambda points: points[:, 0], x, y, resolution=5),
        pn.plot.confusion_matrix(np.eye(3)), pn.plot.roc_curve([0.5, 0.4, 0.1, 0.8], y),
        pn.plot.history({{"loss": [0.5, 0.4]}}), pn.plot.images(np.ones((2, 4, 4))),
        pn.plot.filters(np.ones((2, 1, 3, 3))), pn.plot.magnitudes(pn.nn.Linear(2, 3), of="weights"),
    ):
        pn.plot.save(picture, {str(tmp_path / "a.png")!r})

draw()
assert "matplotlib.pyplot" not in sys.modules

import matplotlib
import matplotlib.pyplot as plt
matplotlib.use("svg")
mine = plt.figure()
plt.rcParams["lines.linewidth"] = 7.0
before = dict(matplotlib.rcParams)
draw()
assert dict(matplotlib.rcParams) == before
assert matplotlib.get_backend() == "svg"
assert plt.get_fignums() == [mine.number]
assert plt.gcf() is mine
"""
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    x, y = np.eye(2), [0, 1]
    for draw in (
        lambda: plot.loss_curve([0.5]),
        lambda: plot.points(x, y),
        lambda: plot.decision_regions(lambda points: points[:, 0], x, y),
    ):
        with pytest.raises(ImportError, match=r"matplotlib.*pip install 'portanet\[plot\]'"):
            draw()


def test_save_writes_a_picture_of_what_was_drawn(tmp_path: Path) -> None:
    axes = plot.loss_curve([0.5, 0.4, 0.3])
    path = plot.save(axes, tmp_path / "new" / "folder" / "loss.png", dpi=50)
    pixels = imread(path)
    assert path == tmp_path / "new" / "folder" / "loss.png"
    assert pixels.shape[:2] == (220, 320)
    blue = np.abs(pixels[..., :3] - to_rgb(plot.COLOURS[0])).max(axis=-1) < 0.02
    assert blue.sum() > 30
    assert plot.save(axes.figure, str(tmp_path / "loss.svg")).read_text(encoding="utf-8").startswith("<?xml")


def test_save_refuses_what_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="picture: expected matplotlib Axes or a Figure, got list"):
        plot.save([1.0], tmp_path / "a.png")


@pytest.mark.parametrize("name", ["loss", "loss.pickle", "loss.png.bak"])
def test_save_refuses_a_name_without_a_known_format(name: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"path: expected a name that ends in one of .*\.png.*got '.*loss"):
        plot.save(plot.loss_curve([0.5, 0.4]), tmp_path / "folder" / name)
    assert not list(tmp_path.iterdir())


def test_a_picture_that_cannot_be_written_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    picture = plot.loss_curve([0.5, 0.4])
    folder = tmp_path / "folder.png"
    folder.mkdir()
    with pytest.raises(OSError, match=r"folder\.png'$") as caught:
        plot.save(picture, folder)
    assert ".part" not in str(caught.value), "the file that is renamed in the end is nobody's business"
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match=r"file'$"):
        plot.save(picture, tmp_path / "file" / "loss.png")
    assert {path.name for path in tmp_path.iterdir()} == {"folder.png", "file"}


def test_pictures_are_freed(tmp_path: Path) -> None:
    drawn = []
    for _ in range(3):
        picture = plot.points(np.eye(2), [0, 1])
        plot.save(picture, tmp_path / "a.png", dpi=20)
        drawn.append(weakref.ref(picture.figure))
    del picture
    gc.collect()
    assert all(figure() is None for figure in drawn)


def test_a_picture_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = plot.save(plot.loss_curve([0.5, 0.4]), tmp_path / "loss.png")
    before = path.read_bytes()

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left on device.*loss\.png"):
        plot.save(plot.loss_curve([0.9, 0.1]), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
