"""Every layer of portanet.nn as an ONNX file: equal in ONNX Runtime, for other batches, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import portanet as pn
from portanet import nn
from portanet.errors import ExportError
from portanet.nn.utils.rnn import pack_padded_sequence
from tests.onnx_cases import CASES, OWN, factors
from tests.onnx_runs import N, assert_equal, draw, exported, integers, offsets, randomize, reals, units

pytest.importorskip("onnx", reason="writes files of that format")
pytest.importorskip("onnxruntime", reason="runs what was exported")


INSIDE = {
    "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d",  # in PoolAndBack
    "Sequential", "TransformerEncoder", "TransformerDecoder",  # in whole models below and in test_onnx.py
}  # fmt: skip
WITHOUT_FORWARD = {
    "Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "RNNBase", "RNNCellBase"
}  # fmt: skip


def batch_axes(kinds: tuple[Any, ...]) -> list[int | None]:
    return [shape.index(N) if N in shape else None for _, shape, *_ in kinds]


@pytest.mark.parametrize(
    ("name", "args", "options", "kinds"), CASES, ids=[f"{c[0]}-{place}" for place, c in enumerate(CASES)]
)
def test_a_layer_is_the_same_in_onnx_runtime(
    rng: Any, tmp_path: Path, name: str, args: Any, options: Any, kinds: Any
) -> None:
    layer = OWN[name](*args, **options) if name in OWN else getattr(nn, name)(*args, **options)
    example = draw(rng, 2, kinds)
    layer.eval()
    layer(*example)  # a lazy one learns its shapes
    randomize(layer, rng)
    _, session = exported(layer, example, tmp_path, batch_axis=batch_axes(kinds))
    for batch in (2, 5, 1):
        assert_equal(layer, session, draw(rng, batch, kinds))


def test_every_layer_is_tried() -> None:
    classes = {
        name
        for name in nn.__all__
        if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)
    }
    tried = {name for name, *_ in CASES} - set(OWN)
    assert classes == tried | INSIDE | WITHOUT_FORWARD


def test_the_page_names_every_layer() -> None:
    text = (Path(__file__).parent.parent / "docs" / "onnx.md").read_text(encoding="utf-8")
    tried = {name for name, *_ in CASES} - set(OWN) | INSIDE
    assert {name for name in tried if f"`{name}`" not in text} == set()


def test_layers_with_states_and_without_a_batch(rng: Any, tmp_path: Path) -> None:
    for name in ("RNN", "LSTM", "GRU"):
        layer = getattr(nn, name)(3, 4)
        _, session = exported(
            layer, pn.asarray(rng.standard_normal((5, 3)).astype("f4")), tmp_path, batch_axis=None
        )
        assert_equal(layer, session, (pn.asarray(rng.standard_normal((5, 3)).astype("f4")),))
        cell = getattr(nn, f"{name}Cell")(3, 4)
        _, session = exported(
            cell, pn.asarray(rng.standard_normal(3).astype("f4")), tmp_path, batch_axis=None
        )
        assert_equal(cell, session, (pn.asarray(rng.standard_normal(3).astype("f4")),))
    layer = nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True)
    kinds = (reals(N, 5, 3), reals(4, N, 4), reals(4, N, 4))

    def arguments(batch: int) -> tuple[Any, ...]:
        x, h, c = draw(rng, batch, kinds)
        return x, (h, c)

    _, session = exported(layer, arguments(2), tmp_path, batch_axis=[0, 1, 1])
    assert_equal(layer, session, arguments(3))


def test_classes_are_one_node(rng: Any, tmp_path: Path) -> None:
    for loss, kind in (
        (nn.CrossEntropyLoss(), "SoftmaxCrossEntropyLoss"),
        (nn.NLLLoss(factors(), reduction="none"), "NegativeLogLikelihoodLoss"),
    ):
        file, _ = exported(loss, draw(rng, 2, (reals(N, 5), integers(5, N))), tmp_path)
        assert [node.op_type for node in file.graph.node] == [kind]


def test_a_mean_over_nothing_and_labels_that_do_not_fit(rng: Any, tmp_path: Path) -> None:
    x = pn.asarray(rng.standard_normal((3, 5)).astype("f4"))
    for weight in (None, factors()):
        for loss in (nn.CrossEntropyLoss(weight), nn.NLLLoss(weight)):
            _, session = exported(loss, (x, pn.asarray([0, 4, 2])), tmp_path)
            assert_equal(loss, session, (x, pn.asarray([-100, 4, 2])))
        assert_equal(loss, session, (x, pn.asarray([-100, -100, -100])))  # NaN
    scores = pn.asarray(rng.standard_normal((2, 3, 4)).astype("f4"))
    labels, steps = pn.asarray([[1, 1], [1, 2], [2, 2]]), pn.asarray([2, 2, 1])
    for zero in (False, True):
        ctc = nn.CTCLoss(reduction="none", zero_infinity=zero)
        args = (scores, labels, steps, pn.asarray([2, 2, 2]))
        _, session = exported(ctc, args, tmp_path, batch_axis=[1, 0, 0, 0])
        assert_equal(ctc, session, args)
        found = session.run(
            None,
            dict(
                zip(
                    ["log_probs", "targets", "input_lengths", "target_lengths"],
                    map(pn.to_host, args),
                    strict=True,
                )
            ),
        )
        assert list(found[0] == (0.0 if zero else float("inf"))) == [True, False, True]


def test_bags_with_factors_and_with_an_end(rng: Any, tmp_path: Path) -> None:
    kinds: tuple[Any, ...] = (integers(11, N, 6), reals(N, 6))
    for options in ({}, {"padding_idx": 3}, {"max_norm": 0.4}):
        layer = nn.EmbeddingBag(11, 4, mode="sum", **options)

        def arguments(batch: int) -> tuple[Any, ...]:
            places, factors = draw(rng, batch, kinds)
            return places, None, factors

        _, session = exported(layer, arguments(2), tmp_path)
        for batch in (2, 5, 1):
            assert_equal(layer, session, arguments(batch))
    kinds = (integers(11, 9), offsets(9, N), reals(9))
    for mode in ("sum", "mean", "max"):
        layer = nn.EmbeddingBag(11, 4, mode=mode, include_last_offset=True)
        count = 3 if mode == "sum" else 2
        _, session = exported(
            layer, draw(rng, 4, kinds[:count]), tmp_path, batch_axis=[None, 0, None][:count]
        )
        for batch in (4, 7, 2):
            assert_equal(layer, session, draw(rng, batch, kinds[:count]))


def test_narrow_integers_are_indices_too(rng: Any, tmp_path: Path) -> None:
    for dtype in (pn.uint8, pn.int8, pn.uint16, pn.int16, pn.uint32, pn.int32, pn.uint64):

        def arguments(batch: int, dtype: Any = dtype) -> tuple[Any, ...]:
            (places,) = draw(rng, batch, (integers(5, N, 3),))
            return (pn.astype(places, dtype),)

        for layer in (nn.Embedding(5, 4), nn.EmbeddingBag(5, 4, padding_idx=1)):
            _, session = exported(layer, arguments(2), tmp_path)
            assert_equal(layer, session, arguments(4))
        loss = nn.NLLLoss()
        scores, labels = pn.asarray(rng.standard_normal((2, 5)).astype("f4")), pn.asarray([3, 1], dtype=dtype)
        _, session = exported(loss, (scores, labels), tmp_path)
        assert_equal(loss, session, (scores, labels))


def test_poolings_without_a_batch(rng: Any, tmp_path: Path) -> None:
    for layer in (
        nn.AdaptiveMaxPool2d(3, return_indices=True),
        nn.AdaptiveMaxPool2d(2),
        nn.FractionalMaxPool2d(2, 3, _random_samples=pn.asarray(rng.random((1, 4, 2)).astype("f4"))),
    ):
        x = pn.asarray(rng.standard_normal((4, 7, 8)).astype("f4"))
        _, session = exported(layer, x, tmp_path, batch_axis=None)
        assert_equal(layer, session, (pn.asarray(rng.standard_normal((4, 7, 8)).astype("f4")),))


def test_export_leaves_the_weights_that_max_norm_would_change(rng: Any, tmp_path: Path) -> None:
    for layer in (nn.Embedding(9, 4, max_norm=0.1), nn.EmbeddingBag(9, 4, max_norm=0.1)):
        before = pn.to_host(layer.weight).copy()
        exported(layer, pn.asarray([[1, 2], [3, 4]]), tmp_path)
        assert (pn.to_host(layer.weight) == before).all()


class Holding(nn.Module):
    def __init__(self, part: nn.Module) -> None:
        self.part = part

    def forward(self, *inputs: Any) -> Any:
        return self.part(*inputs)


def test_layers_that_look_at_arrays_export_on_every_backend(eager: str, rng: Any, tmp_path: Path) -> None:
    whole: tuple[tuple[nn.Module, tuple[Any, ...]], ...] = (
        (nn.Embedding(5, 3, max_norm=0.5), (integers(5, N, 2),)),
        (nn.EmbeddingBag(5, 3, mode="max", padding_idx=1), (integers(5, N, 4),)),
        (nn.AdaptiveMaxPool1d(3, return_indices=True), (reals(N, 2, 7),)),
        (nn.AdaptiveLogSoftmaxWithLoss(4, 6, [2, 4]), (reals(N, 4), integers(6, N))),
        (nn.KLDivLoss("batchmean"), (reals(N, 3), units(N, 3))),
        (nn.CrossEntropyLoss(label_smoothing=0.1), (reals(N, 5), integers(5, N))),
    )
    for layer, kinds in whole:
        _, session = exported(layer, draw(rng, 2, kinds), tmp_path)
        assert_equal(layer, session, draw(rng, 3, kinds))


class Packing(nn.Module):
    def __init__(self, part: nn.Module) -> None:
        self.part = part

    def forward(self, x: Any) -> Any:
        return self.part(pack_padded_sequence(x, pn.asarray([4, 2])))[0].data


def test_refused_layers_are_named_with_their_place(rng: Any, tmp_path: Path) -> None:
    picture = (pn.zeros((2, 3, 6, 6)),)
    volume = (pn.zeros((2, 3, 6, 6, 6)),)
    labels = pn.asarray([2, 1])
    cases: list[tuple[nn.Module, tuple[Any, ...], str]] = [
        (nn.FractionalMaxPool2d(2, 3), picture, "drawn at random"),
        (nn.FractionalMaxPool3d(2, 3), volume, "drawn at random"),
        (nn.CTCLoss(), (pn.zeros((4, 2, 3)), pn.asarray([1, 1, 2]), labels, labels), r"as \(batch, labels\)"),
        (
            nn.MaxPool2d(2, 4, dilation=4, ceil_mode=True, return_indices=True),
            (pn.zeros((2, 3, 7, 7)),),
            "Pass ceil_mode=False",
        ),
    ]
    for part, example, reason in cases:
        holder = Holding(Holding(part))
        message = f"{type(part).__name__} in 'part.part' of the model cannot be exported to ONNX: .*{reason}"
        with pytest.raises(ExportError, match=message):
            pn.io.onnx.export(holder, example, tmp_path / "model.onnx", batch_axis=None)
    for name in ("RNN", "LSTM", "GRU"):
        model = Packing(getattr(nn, name)(3, 2))
        with pytest.raises(ExportError, match=f"{name} in 'part' of the model .* a packed sequence"):
            pn.io.onnx.export(model, pn.zeros((4, 2, 3)), tmp_path / "model.onnx", batch_axis=None)
        packed = pack_padded_sequence(pn.zeros((4, 2, 3)), pn.asarray([4, 2]))
        with pytest.raises(ExportError, match=f"{name} in 'part' of the model .* a packed sequence"):
            pn.io.onnx.export(Holding(model.part), packed, tmp_path / "model.onnx", batch_axis=None)
    assert not list(tmp_path.iterdir())
