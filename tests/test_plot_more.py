"""Pictures of histories, confusion matrices, rankings, images, filters, embeddings and layers hold what was given."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn, plot
from portanet.errors import DataError, DTypeError, OptionError, ShapeError

matplotlib = pytest.importorskip("matplotlib", reason="draws with matplotlib, the extra `plot`")

from matplotlib.collections import PathCollection  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.image import imread  # noqa: E402


def legend(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


# Levels


def test_levels_are_dashed_lines_at_their_heights_beside_the_curves(rng: np.random.Generator) -> None:
    heights = {f"level {k}": float(height) for k, height in enumerate(rng.uniform(size=9))}
    axes = plot.loss_curve({"first": [0.5, 0.4], "second": [0.4, 0.2]}, levels=heights)
    assert legend(axes) == ["first", "second", *heights]
    drawn = axes.lines[2:]
    assert [set(line.get_ydata()) for line in drawn] == [{height} for height in heights.values()]
    assert all(line.get_linestyle() != "-" for line in drawn)
    looks = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
    assert len(looks) == 11


@pytest.mark.parametrize("level", [float("nan"), float("inf"), [1.0, 2.0], np.zeros(2)])
def test_a_level_is_one_finite_number(level: Any) -> None:
    with pytest.raises(DataError, match=r"levels\['x'\]: expected one finite number"):
        plot.loss_curve([0.5], levels={"x": level})


def test_updates_and_epochs_are_whole_numbers_at_the_axis() -> None:
    for losses in ([0.3, 0.2, 0.1], [0.3]):
        for axes in (plot.loss_curve(losses), *plot.history({"loss": losses}).axes):
            axes.figure.canvas.draw()
            low, high = axes.get_xlim()
            ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
            assert ticks
            np.testing.assert_array_equal(ticks, np.round(ticks))


# Histories


def test_a_history_has_a_panel_for_each_quantity_with_validation_beside_training(
    backend: str, rng: np.random.Generator
) -> None:
    numbers = rng.uniform(size=(4, 7))
    columns = dict(
        zip(("loss", "accuracy", "val_loss", "validation_accuracy"), numbers.tolist(), strict=True)
    )
    rows = [{"epoch": k + 1, **{name: row[k] for name, row in columns.items()}} for k in range(7)]

    class Recorded:  # as what fit returns: it can be gone through, and is no list
        def __iter__(self) -> Any:
            return iter(rows)

    forms = (
        columns,
        rows,
        Recorded(),
        {name: pn.asarray(row, dtype=pn.float64) for name, row in columns.items()},
    )
    for form in forms if backend != "jax" else forms[:3]:
        figure = plot.history(form)
        assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
        for k, axes in enumerate(figure.axes):
            assert legend(axes) == ["training", "validation"]
            for line, row in zip(axes.lines, numbers[k::2], strict=True):
                np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 8))
                np.testing.assert_array_equal(line.get_ydata(), row)
            assert axes.lines[0].get_color() != axes.lines[1].get_color()
            assert axes.lines[0].get_marker() != axes.lines[1].get_marker()


def test_a_history_leaves_out_counters_and_what_is_no_number_and_gaps_stay_gaps() -> None:
    rows = [
        {"epoch": 1, "updates": 10, "lr": 0.1, "loss": 0.5, "confusion": [[1, 2], [3, 4]], "val_loss": None},
        {"epoch": 2, "updates": 20, "lr": 0.01, "loss": 0.4, "confusion": [[1, 2], [3, 4]], "val_loss": 0.7},
    ]
    figure = plot.history(rows, title="A run")
    assert [axes.get_ylabel() for axes in figure.axes] == ["learning rate", "loss"]
    np.testing.assert_array_equal(figure.axes[1].lines[1].get_ydata(), [np.nan, 0.7])
    assert figure.get_suptitle() == "A run"


def test_a_validation_now_and_then_is_seen_among_many_epochs() -> None:
    now_and_then = [0.5 if k % 10 == 9 else None for k in range(100)]
    (axes,) = plot.history({"loss": np.linspace(1, 0, 100), "val_loss": now_and_then}).axes
    training, validation = axes.lines
    assert training.get_marker() == "None"
    assert (validation.get_marker(), validation.get_markevery()) == ("^", list(range(9, 100, 10)))


def test_panels_are_chosen_named_and_given_levels() -> None:
    columns = {"loss": [0.5, 0.4], "accuracy": [0.6, 0.7], "error": [0.1, 0.2]}
    figure = plot.history(
        columns,
        ["error", "loss"],
        ylabels={"loss": "cross entropy (nats)"},
        levels={"loss": {"guessing": 0.69}},
    )
    assert [axes.get_ylabel() for axes in figure.axes] == ["error", "cross entropy (nats)"]
    assert legend(figure.axes[1]) == ["guessing"]
    for option in (
        {"quantities": ["f1"]}, {"levels": {"f1": {"x": 1.0}}}, {"ylabels": {"f1": "F1"}}
    ):  # fmt: skip
        with pytest.raises(OptionError, match=r"expected .*loss, accuracy, error, got 'f1'"):
            plot.history(columns, **option)


@pytest.mark.parametrize(
    ("records", "error", "message"),
    [
        ({}, DataError, "records: expected at least one quantity"),
        ([], DataError, "records: expected at least one quantity"),
        (3, DataError, "records: expected a mapping .* got int"),
        ([0.5, 0.4], DataError, "records: expected a mapping .* got list"),
        ({"loss": [0.5], "accuracy": [0.5, 0.6]}, ShapeError, "got lengths .*'loss': 1, 'accuracy': 2"),
        ({"loss": np.zeros((2, 2))}, ShapeError, r"records\['loss'\]: expected one number for each epoch"),
        ({"loss": ["low"]}, DataError, "at least one quantity"),
    ],
)
def test_records_that_are_no_history_are_refused(records: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot.history(records)


# Confusion matrices


def test_cells_hold_the_counts_and_are_as_dark_as_their_share(backend: str, rng: np.random.Generator) -> None:
    counts = rng.integers(0, 50, (6, 6)) * (rng.uniform(size=(6, 6)) > 0.3) + np.eye(6, dtype=int)
    names = [f"class {letter}" for letter in "abcdef"]
    axes = plot.confusion_matrix(pn.asarray(counts), class_names=names, unit="pictures")
    written = {tuple(map(int, text.get_position()))[::-1]: int(text.get_text()) for text in axes.texts}
    assert written == {place: count for place, count in np.ndenumerate(counts) if count}
    (image,) = axes.images
    np.testing.assert_allclose(np.asarray(image.get_array()), counts / counts.sum(axis=1, keepdims=True))
    assert [label.get_text() for label in axes.get_yticklabels()] == names
    assert [label.get_text() for label in axes.get_xticklabels()] == names
    assert axes.figure.axes[1].get_ylabel() == "share of the true class's pictures"
    for text in axes.texts:  # legible: dark on light, or light on dark
        column, row = map(int, text.get_position())
        ground = np.dot(image.cmap(image.norm(image.get_array()[row, column]))[:3], (0.2126, 0.7152, 0.0722))
        ink = np.dot(to_rgb(text.get_color()), (0.2126, 0.7152, 0.0722))
        assert abs(ground - ink) > 0.4


def test_shares_are_percent_of_the_true_class_and_a_class_that_never_came_is_no_error() -> None:
    axes = plot.confusion_matrix([[3, 1, 0], [0, 0, 0], [1, 0, 999]], shares=True)
    assert [text.get_text() for text in axes.texts] == ["75%", "25%", "<1%", "100%"]


def test_numbers_fit_into_the_cells_of_given_axes(rng: np.random.Generator) -> None:
    grid = Figure(figsize=(6, 4)).subplots(2, 2)
    for axes in (
        plot.confusion_matrix(rng.integers(1, 999, (12, 12)), grid[0, 0]),
        plot.confusion_matrix(np.eye(3) * 10**7),
    ):
        axes.figure.canvas.draw()
        cell = axes.get_window_extent().width / len(axes.get_yticklabels())
        assert axes.texts
        assert max(text.get_window_extent().width for text in axes.texts) < cell


def test_large_counts_are_written_in_full() -> None:
    axes = plot.confusion_matrix([[1234567, 0.25], [98765432, 3]])
    assert [text.get_text() for text in axes.texts] == ["1234567", "0.25", "98765432", "3"]


def test_many_classes_have_no_numbers_in_their_cells(rng: np.random.Generator) -> None:
    axes = plot.confusion_matrix(rng.integers(1, 9, (60, 60)))
    assert not axes.texts
    assert len(axes.get_xticklabels()) <= 40


@pytest.mark.parametrize(
    ("counts", "options", "error", "message"),
    [
        (np.ones((2, 3)), {}, ShapeError, r"counts: expected shape \(classes, classes\), got \(2, 3\)"),
        (np.ones((0, 0)), {}, ShapeError, "counts: expected shape"),
        ([[1, -1], [0, 1]], {}, DataError, "counts: expected finite numbers of at least 0"),
        ([[1, np.nan], [0, 1]], {}, DataError, "counts: expected finite numbers"),
        (np.zeros((2, 2)), {}, DataError, "not all of them 0"),
        (
            np.ones((2, 2)),
            {"class_names": ["a"]},
            ShapeError,
            "class_names: expected a name for each of 2 classes",
        ),
        ([["a", "b"], ["c", "d"]], {}, DTypeError, "counts: expected a Tensor"),
    ],
)
def test_what_is_no_confusion_matrix_is_refused(
    counts: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plot.confusion_matrix(counts, **options)


# Receiver operating characteristics


def test_the_area_is_the_probability_of_the_right_order_with_ties_for_half(
    backend: str, rng: np.random.Generator
) -> None:
    targets = np.concatenate([[0, 1], rng.integers(0, 2, 60)])
    scores = np.round(rng.normal(size=62) + targets, 1).astype(np.float32)  # rounded: there are ties
    pairs = scores[targets == 1][:, None] - scores[targets == 0][None]
    area = np.mean((pairs > 0) + 0.5 * (pairs == 0))
    axes = plot.roc_curve(pn.asarray(scores), pn.asarray(targets))
    assert legend(axes) == [f"area {area:.3f}", "guessing (area 0.5)"]
    across, up = (np.asarray(data) for data in axes.lines[0].get_data())
    thresholds = np.unique(scores)[::-1]
    np.testing.assert_allclose(across[1:], [np.mean(scores[targets == 0] >= t) for t in thresholds])
    np.testing.assert_allclose(up[1:], [np.mean(scores[targets == 1] >= t) for t in thresholds])
    assert (across[0], up[0]) == (0, 0)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("false positive rate", "true positive rate")


def test_curves_agree_with_scikit_learn(rng: np.random.Generator) -> None:
    reference = pytest.importorskip("sklearn.metrics")
    targets = np.concatenate([np.arange(3), rng.integers(0, 3, 80)])
    scores = rng.normal(size=(83, 3)) + np.eye(3)[targets]
    axes = plot.roc_curve(scores, targets, class_names=["cat", "dog", "hen"])
    for k, name in enumerate(("cat", "dog", "hen")):
        area = reference.roc_auc_score(targets == k, scores[:, k])
        assert axes.lines[k].get_label() == f"{name} (area {area:.3f})"
        across, up, _ = reference.roc_curve(targets == k, scores[:, k], drop_intermediate=False)
        np.testing.assert_allclose(axes.lines[k].get_data(), (across, up))


def test_several_models_have_a_curve_each(rng: np.random.Generator) -> None:
    targets = np.array([0, 1] * 10)
    axes = plot.roc_curve({"sure": targets, "wrong": -targets, "column": rng.normal(size=(20, 1))}, targets)
    labels = legend(axes)
    assert labels[:2] == ["sure (area 1.000)", "wrong (area 0.000)"]
    assert labels[2].startswith("column (area 0.")


@pytest.mark.parametrize(
    ("scores", "targets", "error", "message"),
    [
        ([0.1, 0.2], [1, 1], DataError, "there is no negative example"),
        ([0.1, 0.2], [0, 0], DataError, "there is no positive example"),
        (np.eye(3), [0, 1, 1], DataError, "no positive example of class 2"),
        ([0.1, 0.2], [0, 2], DataError, "targets: expected whole numbers from 0 to 1, got 2"),
        ([0.1, np.nan], [0, 1], DataError, "scores: a score is NaN"),
        ([0.1, 0.2, 0.3], [0, 1], ShapeError, "targets: expected one for each of the 3 scores, got 2"),
        ([0.1, 0.2], np.eye(2), ShapeError, r"targets: expected shape \(n,\)"),
        ({}, [0, 1], DataError, "scores: expected at least one curve"),
    ],
)
def test_scores_that_have_no_curve_are_refused(
    scores: Any, targets: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plot.roc_curve(scores, targets)


# Images and filters


def test_images_are_drawn_in_order_on_one_scale_with_their_captions(
    backend: str, rng: np.random.Generator
) -> None:
    values = rng.uniform(size=(7, 5, 9)).astype(np.float32)
    captions = [f"picture {k}" for k in range(7)]
    for form in (values, values[:, None], pn.asarray(values)):
        figure = plot.images(form, captions, columns=3, title="Seven")
        assert [axes.get_title() for axes in figure.axes] == captions
        for axes, value in zip(figure.axes, values, strict=True):
            np.testing.assert_array_equal(axes.images[0].get_array(), value)
            assert axes.images[0].get_clim() == (0, 1)
            assert axes.images[0].get_cmap().name == "gray"
        places = [axes.get_position() for axes in figure.axes]
        assert len({round(place.x0, 4) for place in places}) == 3
    (first, *_) = plot.images(values * 300 - 7).axes
    np.testing.assert_allclose(first.images[0].get_clim(), (values * 300 - 7).min() * np.array([1, 0])
                               + (values * 300 - 7).max() * np.array([0, 1]))  # fmt: skip


def test_colour_images_are_scaled_between_the_limits(rng: np.random.Generator) -> None:
    values = rng.uniform(-1, 3, (2, 3, 4, 6))
    figure = plot.images(values, limits=(0, 2))
    for axes, value in zip(figure.axes, values, strict=True):
        expected = np.clip(value.transpose(1, 2, 0) / 2, 0, 1)
        np.testing.assert_allclose(axes.images[0].get_array(), expected)


def test_rows_of_images_carry_their_names(rng: np.random.Generator) -> None:
    (axes,) = plot.images(np.zeros((1, 2, 2)), ink=True).axes
    assert axes.images[0].to_rgba(np.zeros((1, 1)))[0, 0, 0] == 1, "no ink is white"
    rows = {"before": rng.uniform(size=(4, 3, 3)), "after": rng.uniform(size=(4, 3, 3))}
    figure = plot.images(rows, list("abcd"))
    assert [axes.get_ylabel() for axes in figure.axes] == ["before", "", "", "", "after", "", "", ""]
    assert [axes.get_title() for axes in figure.axes] == [*"abcd", "", "", "", ""]
    for axes, value in zip(figure.axes, [*rows["before"], *rows["after"]], strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), value)


def test_long_captions_are_broken_and_run_into_nothing(rng: np.random.Generator) -> None:
    caption = "a caption that is a good deal longer than any picture in the row is wide, and goes on and on"
    figure = plot.images(rng.uniform(size=(4, 8, 80)), [caption] * 4, columns=2)
    figure.canvas.draw()
    texts = [axes.title for axes in figure.axes]
    assert [" ".join(text.get_text().split()) for text in texts] == [caption] * 4
    drawn = [text.get_window_extent() for text in texts]
    for k, box in enumerate(drawn):
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
        assert not any(box.overlaps(other) for other in drawn[k + 1 :])


def test_a_constant_image_and_a_long_title_have_room() -> None:
    figure = plot.images(np.full((1, 4, 4), 7.0), title="A title that is far wider than this picture")
    figure.canvas.draw()
    box = figure.texts[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1


@pytest.mark.parametrize(
    ("pictures", "options", "error", "message"),
    [
        (np.zeros((4, 4)), {}, ShapeError, r"pictures: expected shape \(n, height, width\)"),
        (np.zeros((2, 4, 4, 3)), {}, ShapeError, r"Put the channels first: portanet.moveaxis\(x, -1, 1\)"),
        (np.zeros((0, 4, 4)), {}, DataError, "pictures: expected at least one image"),
        (np.full((1, 2, 2), np.inf), {}, DataError, "pictures: a value is NaN or infinite"),
        (
            np.zeros((3, 2, 2)),
            {"captions": ["a"]},
            ShapeError,
            "captions: expected one for each of 3 images, got 1",
        ),
        (np.zeros((3, 2, 2)), {"columns": 0}, OptionError, "columns"),
        (np.zeros((3, 2, 2)), {"limits": (1, 0)}, OptionError, "limits: expected the lower value first"),
        ({"a": np.zeros((3, 2, 2)), "b": np.zeros((2, 2, 2))}, {}, ShapeError, "as many images in each row"),
        ({}, {}, DataError, "at least one row of images"),
    ],
)
def test_what_is_no_image_is_refused(
    pictures: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plot.images(pictures, **options)


def test_filters_are_drawn_on_one_scale_around_zero(backend: str) -> None:
    for layer, cells in ((nn.Conv2d(1, 6, 3), 6), (nn.Conv2d(4, 3, 5), 12), (nn.Conv1d(2, 5, 7), 5)):
        axes, bar = plot.filters(layer).axes
        weight = layer.weight.detach().numpy()
        expected = weight if weight.ndim == 3 else weight.reshape(-1, *weight.shape[2:])
        shown = drawn_filters(axes, *expected.shape[1:])
        assert len(expected) == cells
        np.testing.assert_array_equal(shown[:cells], expected)
        assert np.isnan(shown[cells:]).all()
        np.testing.assert_allclose(axes.images[0].get_clim(), np.abs(weight).max() * np.array([-1, 1]))
        assert bar.get_ylabel() == "weight"
        several = weight.ndim == 4 and weight.shape[1] > 1
        assert (axes.get_xlabel(), axes.get_ylabel()) == (
            ("channel of the input", "filter") if several else ("", "")
        )
    (axes, _) = plot.filters(nn.Conv2d(1, 100, 3), most=10).axes
    assert len(drawn_filters(axes, 3, 3)) == 10
    values = np.arange(63.0).reshape(7, 1, 3, 3)
    (axes, _) = plot.filters(values, columns=4).axes
    shown = drawn_filters(axes, 3, 3)
    np.testing.assert_array_equal(shown[:7], values[:, 0])
    assert np.isnan(shown[7]).all(), "the eighth place is empty"


def drawn_filters(axes: Any, height: int, width: int) -> np.ndarray:
    """The filters in a picture, without the lines between them, each number read in the middle of its square."""
    (image,) = axes.images
    pixels = np.ma.filled(image.get_array().astype(float), np.nan)
    drawn = np.isfinite(pixels)
    pixels = pixels[drawn.any(axis=1)][:, drawn.any(axis=0)]
    left, right, bottom, top = image.get_extent()
    down, across = round(bottom - top), round(right - left)
    rows, columns = (
        ((np.arange(count) + 0.5) * length / count).astype(int)
        for count, length in zip((down * height, across * width), pixels.shape, strict=True)
    )
    read = pixels[np.ix_(rows, columns)].reshape(down, height, across, width)
    return read.swapaxes(1, 2).reshape(-1, height, width)


def test_thousands_of_filters_are_one_picture(rng: np.random.Generator) -> None:
    """With axes of its own for each they took minutes."""
    weight = rng.normal(size=(64, 64, 3, 3))
    figure = plot.filters(weight)
    assert len(figure.axes) == 2
    np.testing.assert_array_equal(drawn_filters(figure.axes[0], 3, 3), weight.reshape(-1, 3, 3))
    assert max(figure.get_size_inches()) < 16


@pytest.mark.parametrize("weight", [nn.Linear(3, 2), np.zeros((2, 2, 2, 2, 2)), np.zeros(3)])
def test_what_has_no_filters_is_refused(weight: Any) -> None:
    with pytest.raises(ShapeError, match="weight: expected shape .*Linear layers have no filters"):
        plot.filters(weight)


# Embeddings


def offsets(axes: Any) -> dict[str, np.ndarray]:
    drawn = [artist for artist in axes.collections if isinstance(artist, PathCollection)]
    return {artist.get_label(): np.asarray(artist.get_offsets()) for artist in drawn}


def test_two_dimensions_are_drawn_as_they_are_with_names_at_the_medians(
    backend: str, rng: np.random.Generator
) -> None:
    x, y = rng.normal(size=(40, 2)).astype(np.float32), np.arange(40) % 3
    axes = plot.embedding(pn.asarray(x), pn.asarray(y), class_names=["cat", "dog", "hen"])
    for k, (name, places) in enumerate(offsets(axes).items()):
        np.testing.assert_array_equal(places, x[y == k])
        (label,) = (text for text in axes.texts if text.get_text() == name)
        np.testing.assert_allclose(label.get_position(), np.median(x[y == k], axis=0), rtol=1e-6)
    assert not plot.embedding(x, y, labels=False).texts
    alone = plot.embedding([[1.0, 2.0]], [0])
    alone.figure.canvas.draw()
    (name,) = alone.texts
    assert name.get_window_extent().y0 > alone.transData.transform((1.0, 2.0))[1], "the point is to be seen"


def test_more_dimensions_become_the_two_principal_components(rng: np.random.Generator) -> None:
    spread = rng.normal(size=(60, 5)) * (9, 1, 4, 0.5, 0.2) + rng.normal(size=5)
    turn, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    x, y = spread @ turn, np.zeros(60, dtype=int)
    axes = plot.embedding(x, y)
    (places,) = offsets(axes).values()
    values, vectors = np.linalg.eigh(np.cov(x.T))
    expected = (x - x.mean(axis=0)) @ vectors[:, ::-1][:, :2]
    for column, other in zip(places.T, expected.T, strict=True):
        np.testing.assert_allclose(column * np.sign(column @ other), other, atol=1e-8)
    first, second = (values[::-1] / values.sum())[:2]
    assert axes.get_xlabel() == f"first principal component ({first:.0%} of the variance)"
    assert axes.get_ylabel() == f"second principal component ({second:.0%} of the variance)"
    (again,) = offsets(plot.embedding(x[::-1].copy(), y)).values()
    np.testing.assert_allclose(again[::-1], places, atol=1e-8)  # no direction is turned round


def test_one_point_or_equal_points_of_many_dimensions_are_no_error() -> None:
    for x in (np.ones((1, 4)), np.ones((3, 4))):
        (places,) = offsets(plot.embedding(x, [0] * len(x))).values()
        np.testing.assert_allclose(places, 0, atol=1e-12)


def test_ten_classes_differ_in_colour_and_in_the_pair_with_their_marker(rng: np.random.Generator) -> None:
    axes = plot.embedding(rng.normal(size=(50, 3)), np.arange(50) % 10)
    assert legend(axes) == [str(k) for k in range(10)]
    assert len({tuple(artist.get_facecolor()[0]) for artist in axes.collections}) == 10


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (np.zeros((3, 1)), [0, 1, 2], ShapeError, r"x: .*at least two dimensions, got \(3, 1\)"),
        (np.zeros((3, 2, 2)), [0, 1, 2], ShapeError, r"Flatten other axes with x.reshape\(len\(x\), -1\)"),
        (np.zeros((0, 5)), [], DataError, "x: expected at least one point"),
        (np.full((2, 5), np.nan), [0, 1], DataError, "x: a coordinate is NaN or infinite"),
        (np.zeros((3, 5)), [0, 1], ShapeError, "y: expected one class for each of the 3 points of x, got 2"),
    ],
)
def test_what_is_no_embedding_is_refused(x: Any, y: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot.embedding(x, y)


# Layers


def test_bars_are_root_mean_squares_by_parameter(backend: str, rng: np.random.Generator) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1), nn.LazyLinear(2))
    hidden = model[1](model[0](pn.asarray(rng.normal(size=(5, 3)).astype(np.float32))))
    model[2](hidden).sum().backward()
    axes = plot.magnitudes(model, of="both")
    named = {name: p for name, p in model.named_parameters() if not name.startswith("3")}
    assert [label.get_text() for label in axes.get_yticklabels()] == list(named)
    assert legend(axes) == ["weights", "gradients"]
    for bars, values in zip(
        axes.containers, (list(named.values()), [p.grad for p in named.values()]), strict=True
    ):
        expected = [np.sqrt(np.mean(value.detach().numpy().astype(float) ** 2)) for value in values]
        np.testing.assert_allclose([bar.get_width() for bar in bars], expected, rtol=1e-6)
        assert all(bar.get_width() > axes.get_xlim()[0] for bar in bars)


def test_no_gradient_or_no_number_is_an_error() -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(
        DataError, match=r"no parameter has a gradient that is not 0; call backward\(\) first"
    ):
        plot.magnitudes(model)
    with pytest.raises(OptionError, match="of: expected one of gradients, weights, both, got 'grads'"):
        plot.magnitudes(model, of="grads")
    model.weight.grad = pn.full((2, 2), pn.inf)
    with pytest.raises(DataError, match="weight: its gradients are not finite"):
        plot.magnitudes(model)


# A notebook, and files


def test_a_notebook_shows_what_a_cell_ends_with(tmp_path: Path) -> None:
    """IPython asks an object for its ``_repr_png_`` if no formatter is registered for its class."""
    pictures = (
        plot.loss_curve([0.5, 0.4]),
        plot.history({"loss": [0.5, 0.4]}),
        plot.confusion_matrix(np.eye(3)),
        plot.images(np.zeros((2, 4, 4))),
    )
    for picture in pictures:
        pixels = imread(BytesIO(picture._repr_png_()), format="png")
        assert (pixels[..., :3] < 0.9).any()
        assert imread(plot.save(picture, tmp_path / "picture.png")).shape[0] >= 300
