"""ONNX files of whole models and of single functions: what is in the graph, and what comes out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import portanet as pn
from portanet import nn
from portanet.errors import ExportError, OptionError
from portanet.testing import functions as trials
from portanet.testing.samples import EVERY_SAMPLE
from tests.onnx_runs import Forward, N, assert_equal, draw, exported, integers, randomize, reals, words

pytest.importorskip("onnx", reason="writes files of that format")
pytest.importorskip("onnxruntime", reason="runs what was exported")

functional = nn.functional
X = pn.asarray([[1.0, 2.0], [3.0, 5.0]])


class SentenceClassifier(nn.Module):
    def __init__(self) -> None:
        self.embedding = nn.Embedding(17, 6)
        self.lstm = nn.LSTM(6, 5, num_layers=2, batch_first=True, bidirectional=True, dropout=0.3)
        self.head = nn.Linear(10, 3)

    def forward(self, words: Any) -> Any:
        output, _ = self.lstm(self.embedding(words))
        return self.head(output[:, -1, :])


class Encoder(nn.Module):
    def __init__(self) -> None:
        self.embedding = nn.Embedding(17, 8)
        self.positions = nn.SinusoidalPositions(8, 16)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
        self.head = nn.Linear(8, 3)

    def forward(self, words: Any) -> Any:
        return self.head(pn.mean(self.encoder(self.positions(self.embedding(words))), axis=1))


class LanguageModel(nn.Module):
    """One block that looks back only; the embedding's weights are those of the output, too."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(13, 8)
        self.norm = nn.LayerNorm(8)
        self.together = nn.Linear(8, 24)
        self.output = nn.Linear(8, 13, bias=False)
        self.output.weight = self.embedding.weight

    def forward(self, words: Any) -> Any:
        x = self.embedding(words)
        all_three = self.together(self.norm(x))
        q, k, v = (
            pn.permute_dims(pn.reshape(part, (*part.shape[:2], 2, 4)), (0, 2, 1, 3))
            for part in (all_three[..., 8 * i : 8 * i + 8] for i in range(3))
        )
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.output(x + pn.reshape(pn.permute_dims(seen, (0, 2, 1, 3)), x.shape))


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 2)
    )


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 5),
        nn.ReLU(),
        nn.Linear(5, 3),
    )


MODELS = {
    "mlp": (mlp, (reals(N, 4),)),
    "cnn": (cnn, (reals(N, 1, 8, 8),)),
    "lstm": (SentenceClassifier, (integers(17, N, 7),)),
    "encoder": (Encoder, (integers(17, N, 7),)),
    "language": (LanguageModel, (integers(13, N, 6),)),
}


def kinds_of(file: Any) -> list[str]:
    return [node.op_type for node in file.graph.node]


# Whole models


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_the_same_and_its_graph_is_clean(eager: str, rng: Any, tmp_path: Path, name: str) -> None:
    make, kinds = MODELS[name]
    model = make()
    randomize(model, rng)
    file, session = exported(model, draw(rng, 1, kinds), tmp_path)
    for batch in (1, 2, 7):
        assert_equal(model, session, draw(rng, batch, kinds))
    graph = file.graph
    made = [output for node in graph.node for output in node.output if output]
    used = {given for node in graph.node for given in node.input} | {output.name for output in graph.output}
    assert "Identity" not in kinds_of(file)
    assert all(used & set(node.output) for node in graph.node)
    assert {array.name for array in graph.initializer} <= used
    assert len({node.name for node in graph.node}) == len(graph.node)
    assert len(set(made)) == len(made)


def test_every_backend_exports(backend: str, rng: Any, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    _, session = exported(model, draw(rng, 1, (reals(N, 4),)), tmp_path)
    assert_equal(model, session, draw(rng, 5, (reals(N, 4),)))


def test_the_cnn_has_one_node_for_each_layer(rng: Any, tmp_path: Path) -> None:
    from onnx import numpy_helper

    model = cnn()
    randomize(model, rng)
    file, _ = exported(model, draw(rng, 1, (reals(N, 1, 8, 8),)), tmp_path)
    assert kinds_of(file) == [
        *("Conv", "BatchNormalization", "Relu", "MaxPool", "Conv", "BatchNormalization", "Relu"),
        *("GlobalAveragePool", "Flatten", "Gemm", "Relu", "Gemm"),
    ]
    layers = [type(module).__name__ for module in model.modules()]
    assert kinds_of(file).count("Conv") == layers.count("Conv2d") == 2
    assert kinds_of(file).count("Gemm") == layers.count("Linear") == 2
    assert [node.name.rpartition(".")[0] for node in file.graph.node] == [str(place) for place in range(12)]
    state = {name: value for name, value in model.state_dict().items() if "num_batches" not in name}
    arrays = {array.name: numpy_helper.to_array(array) for array in file.graph.initializer}
    assert set(arrays) == set(state)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, pn.to_host(state[name]))
    assert [d.dim_param or d.dim_value for d in file.graph.input[0].type.tensor_type.shape.dim] == [
        "batch",
        1,
        8,
        8,
    ]
    assert [d.dim_param or d.dim_value for d in file.graph.output[0].type.tensor_type.shape.dim] == [
        "batch",
        3,
    ]
    assert (file.producer_name, file.opset_import[0].version, file.ir_version) == ("portanet", 21, 10)


def test_shared_weights_are_one_initializer(tmp_path: Path) -> None:
    file, _ = exported(LanguageModel(), pn.asarray([[1, 2, 3]]), tmp_path)
    assert sum(array.dims == [13, 8] or array.dims == [8, 13] for array in file.graph.initializer) == 1
    layer = nn.Linear(4, 4)
    file, _ = exported(nn.Sequential(layer, nn.ReLU(), layer), pn.zeros((1, 4)), tmp_path)
    assert sorted(array.name for array in file.graph.initializer) == ["0.bias", "0.weight"]


def test_the_same_model_gives_the_same_file(tmp_path: Path) -> None:
    model = cnn()
    for name in ("one", "two"):
        pn.io.onnx.export(model, pn.zeros((1, 1, 8, 8)), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_double_precision_stays(rng: Any, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)).double()
    x = pn.asarray(rng.standard_normal((3, 4)))
    _, session = exported(model, x, tmp_path)
    assert_equal(model, session, (x,), tolerance=1e-12)
    y = pn.asarray(rng.standard_normal((3, 4)))
    # CELU ONNX has for float32 only, and GroupNormalization goes by way of float32 unless it is told otherwise.
    for layer in (nn.CELU(0.7), nn.Sequential(nn.Unflatten(1, (4, 1)), nn.GroupNorm(1, 4).double())):
        _, session = exported(layer, y, tmp_path)
        assert_equal(layer, session, (y,), tolerance=1e-9)


def test_half_precision_stays(rng: Any, tmp_path: Path) -> None:
    model = cnn().to(dtype=pn.float16)
    x = pn.astype(draw(rng, 3, (reals(N, 1, 8, 8),))[0], pn.float16)
    file, session = exported(model, x, tmp_path)
    assert {array.data_type for array in file.graph.initializer} == {10}
    assert_equal(model, session, (x,), tolerance=5e-3)


def test_a_file_for_one_shape_only(rng: Any, tmp_path: Path) -> None:
    model = cnn()
    exported(model, pn.zeros((3, 1, 8, 8)), tmp_path, batch_axis=np.int64(0))
    file, session = exported(model, pn.zeros((3, 1, 8, 8)), tmp_path, batch_axis=None)
    assert [d.dim_value for d in file.graph.input[0].type.tensor_type.shape.dim] == [3, 1, 8, 8]
    assert_equal(model, session, draw(rng, 3, (reals(N, 1, 8, 8),)))


# What a user's forward does

FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "arithmetic": (
        lambda x, y: (x + y * 2 - 1) / (3 + abs(y)) ** 2 + 1 / (1 + x * x),
        (reals(N, 4), reals(N, 4)),
    ),
    "integers": (lambda i: (i // 3, i % 3, i / 2, i * 2 - 5, -i % 4), (integers(20, N, 4),)),
    "comparisons": (lambda x, y: pn.where((x > y) & ~(x > 1) | (y <= -1), x, -y), (reals(N, 4), reals(N, 4))),
    "types": (lambda x: (x > 0).astype(pn.float32) * x + pn.astype(x, pn.int64), (reals(N, 4),)),
    "slices": (
        lambda x: (x[:, 1:3], x[:, -1], x[..., None, ::2], x[:, ::-1, 0], x[1:], x[:-1]),
        (reals(N, 5, 4),),
    ),
    "writes": (lambda x: written(x), (reals(N, 5, 4),)),
    "shapes": (
        lambda x: (
            x.reshape(x.shape[0], -1),
            x.reshape(-1, 4),
            pn.permute_dims(x, (2, 0, 1)),
            x.mT,
            pn.squeeze(x[:, :1], axis=1),
            pn.broadcast_to(x[:, :1, :], x.shape),
            pn.flip(x, axis=1),
            pn.roll(x, 2, axis=1),
            pn.roll(x, 1, axis=0),
        ),
        (reals(N, 5, 4),),
    ),
    "joins": (
        lambda x, y: (pn.concat([x, y], axis=1), pn.stack([x, y]), pn.concat([x, y])),
        (reals(N, 4), reals(N, 4)),
    ),
    "reductions": (
        lambda x: (
            x.sum(axis=1),
            x.mean(axis=0),
            x.max(),
            pn.var(x, axis=-1),
            pn.std(x, axis=1, keepdims=True),
        ),
        (reals(N, 5, 4),),
    ),
    "choices": (
        lambda x: (pn.argmax(x, axis=1), pn.sort(x, axis=1), pn.argsort(x, axis=1, descending=True)),
        (reals(N, 5),),
    ),
    "lookups": (
        lambda x, i: (pn.take(x, i, axis=1), pn.take_along_axis(x, i[None, :], axis=1)),
        (reals(N, 6), integers(6, 3)),
    ),
    "gathered": (lambda x, i: x[pn.arange(x.shape[0]), i], (reals(N, 6), integers(6, N))),
    "products": (
        lambda x, y: (x @ y.mT, pn.vecdot(x, y), pn.tensordot(x, y, axes=((1, 2), (1, 2)))),
        (reals(N, 3, 4), reals(N, 3, 4)),
    ),
    "functional": (
        lambda x: functional.softmax(
            functional.max_pool2d(functional.pad(x, (1, 1)), 2).mean(axis=(2, 3)), 1
        ),
        (reals(N, 3, 6, 6),),
    ),
    "averages": (lambda x: functional.avg_pool2d(x, 3, 2, 1), (reals(N, 3, 6, 6),)),
    "zeros of the batch": (
        lambda x: pn.concat([pn.zeros((x.shape[0], 2)), x, pn.ones((x.shape[0], 1))], axis=1),
        (reals(N, 4),),
    ),
    "rows by the batch": (lambda x: x.reshape(x.shape[0] * 2, 2) + 1.0, (reals(N, 4),)),
    "half of them": (lambda x: pn.concat([x, x])[: x.shape[0]], (reals(N, 4),)),
    "the last of each": (
        lambda x, i: (x[i, x.shape[1] - 1], x[i, -1], x[i, pn.zeros_like(i)]),
        (reals(5, N), integers(5, 3)),
    ),
    "edges": (
        lambda x: (
            pn.flip(x.sum()) * x,
            pn.var(x, axis=()),
            pn.logaddexp(x - np.inf, x - np.inf),
            pn.logaddexp(x * np.inf, x),
            pn.remainder(x, np.inf),
            pn.remainder(x, -0.3),
            pn.tile(x.sum(), ()),
        ),
        (reals(N, 4),),
    ),
    "several outputs": (lambda x: {"first": x + 1, "rest": (x * 2, [x * 3])}, (reals(N, 4),)),
    "normalized": (lambda x: functional.normalize(x) * functional.rms_norm(x, 4), (reals(N, 4),)),
}


def written(x: Any) -> Any:
    y = x * 1.0
    y[:, 1:3, 0] = 7.0
    y[:, 0] = y[:, 4] * 2
    y[..., 1:] += 1.0
    return y


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_forward_of_functions(rng: Any, tmp_path: Path, name: str) -> None:
    function, kinds = FUNCTIONS[name]
    model = Forward(function)
    axes = [shape.index(N) if N in shape else None for _, shape, *_ in kinds]
    _, session = exported(model, draw(rng, 3, kinds), tmp_path, batch_axis=axes)
    for batch in (3, 6, 2):
        assert_equal(model, session, draw(rng, batch, kinds))


WITHOUT_RULE = words(
    "atan2 bitwise_left_shift bitwise_right_shift cholesky convolution_weight copysign cumulative_prod det diagonal "
    "eigvals eigvalsh fft fftn gammasgn hfft ifft ifftn ihfft inv irfft irfftn isin matrix_rank nextafter nonzero "
    "of_eig of_eigh of_qr of_svd pinv rfft rfftn searchsorted signbit slogdet solve svdvals trace unique_all "
    "unique_counts unique_inverse unique_values"
)
SOMETIMES = words(
    "convolution convolution_input cumulative_sum getitem logsumexp matrix_norm matrix_power repeat setitem "
    "vector_norm"
)


def names_of(functions: Any) -> set[str]:
    return {function.__name__ for function in functions}


@pytest.mark.parametrize("function", EVERY_SAMPLE, ids=lambda function: function.__name__)
def test_every_function_is_the_same_or_refused(
    rng: Any, tmp_path: Path, function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)  # hundreds of files, and most of the time
    outcomes = set()
    for sample in EVERY_SAMPLE[function]:
        operands = sample.operands(rng)
        arrays = [x for x in operands if isinstance(x, np.ndarray)]
        if sample.needs or not arrays or any(x.dtype.kind == "c" or not x.size for x in arrays):
            continue  # ONNX has no complex numbers
        inputs = tuple(pn.asarray(x.astype("f4") if x.dtype == np.float64 else x) for x in arrays)
        places = [place for place, x in enumerate(operands) if isinstance(x, np.ndarray)]

        def forward(*given: Any, operands: Any = operands, places: Any = places, sample: Any = sample) -> Any:
            changed = list(operands)
            for place, tensor in zip(places, given, strict=True):
                changed[place] = tensor
            return trials.call(function, changed, trials.options_of(sample))

        model = Forward(forward)
        if any(0 in part.shape for part in trials.parts(model(*inputs))):
            continue
        try:
            _, session = exported(model, inputs, tmp_path, batch_axis=None)
        except ExportError:
            outcomes.add("refused")
            continue
        outcomes.add("same")
        assert_equal(model, session, inputs, tolerance=2e-5)
    name = function.__name__
    if name in WITHOUT_RULE:
        assert outcomes <= {"refused"}
    elif name in SOMETIMES:
        assert "same" in outcomes
    else:
        assert outcomes <= {"same"}


def test_the_lists_of_functions_name_functions() -> None:
    assert names_of(EVERY_SAMPLE) >= WITHOUT_RULE | SOMETIMES


def test_integers_of_every_width(rng: Any, tmp_path: Path) -> None:
    for dtype in (pn.uint8, pn.int8, pn.uint16, pn.int16, pn.uint32, pn.int32, pn.int64):

        def forward(x: Any, i: Any, dtype: Any = dtype) -> Any:
            places = pn.astype(i, dtype)
            lines = pn.broadcast_to(places, (x.shape[0], 3))
            largest = (pn.max(lines, axis=1), pn.min(lines, axis=0), pn.max(places))
            return (
                x[places],
                x[places, places],
                pn.take(x, places, axis=1),
                pn.take_along_axis(x, lines, axis=1),
                pn.sum(lines, axis=1),
                pn.prod(places),
                largest,
            )

        model = Forward(forward)
        kinds = (reals(N, 4), integers(2, 3))
        _, session = exported(model, draw(rng, 2, kinds), tmp_path, batch_axis=[0, None])
        for batch in (2, 6):
            assert_equal(model, session, draw(rng, batch, kinds))


@pytest.mark.filterwarnings("ignore:Degrees of freedom:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_a_spread_of_too_few(rng: Any, tmp_path: Path) -> None:
    model = Forward(
        lambda x: (pn.std(x[:, :1], axis=1, correction=1), pn.var(x[:, :2], axis=1, correction=3))
    )
    _, session = exported(model, draw(rng, 2, (reals(N, 4),)), tmp_path)
    assert_equal(model, session, draw(rng, 4, (reals(N, 4),)))  # NaN, and infinity


def test_a_sequence_of_open_length_that_looks_back_only(rng: Any, tmp_path: Path) -> None:
    model = Forward(lambda q: functional.scaled_dot_product_attention(q, q, q, is_causal=True))
    kinds = (reals(2, 3, N, 4),)
    _, session = exported(model, draw(rng, 3, kinds), tmp_path, batch_axis=2)
    for length in (1, 4, 9):
        assert_equal(model, session, draw(rng, length, kinds))


def test_what_repeats_along_the_batch_is_not_written_out(tmp_path: Path) -> None:
    x = pn.asarray([[0.2, 0.7]])
    file, _ = exported(nn.BCELoss(), (x, x), tmp_path)
    assert not {"Expand", "Shape"} & set(kinds_of(file))
    file, _ = exported(Forward(lambda x: pn.zeros((x.shape[0], 2)) + x[0]), x, tmp_path)
    assert kinds_of(file).count("Expand") == 1  # nothing else has that length


# Names, and the model


def test_inputs_and_outputs_have_the_names_that_were_asked_for(tmp_path: Path) -> None:
    class Two(nn.Module):
        def forward(self, left: Any, pair: Any) -> Any:
            return left + pair[0], pair[1] * 2

    example = (pn.zeros((2, 3)), (pn.ones((2, 3)), pn.ones((2, 3))))
    file, _ = exported(Two(), example, tmp_path)
    assert [given.name for given in file.graph.input] == ["left", "pair_0", "pair_1"]
    assert [given.name for given in file.graph.output] == ["output_0", "output_1"]
    names = {"input_names": ["a", "b", "c"], "output_names": ["total", "double"]}
    file, _ = exported(Two(), example, tmp_path, **names)
    assert [given.name for given in file.graph.input] == ["a", "b", "c"]
    assert [given.name for given in file.graph.output] == ["total", "double"]
    for wrong in (["a", "b"], ["a", "a", "b"], "abc"):
        with pytest.raises(OptionError, match="input_names: expected 3 different names"):
            pn.io.onnx.export(Two(), example, tmp_path / "other.onnx", input_names=wrong)
    with pytest.raises(OptionError, match="input_names"):
        pn.io.onnx.export(nn.ReLU(), X, tmp_path / "other.onnx", input_names=[3])  # type: ignore[list-item]
    with pytest.raises(OptionError, match="output_names: expected names that no input has, got 'x'"):
        pn.io.onnx.export(nn.ReLU(), X, tmp_path / "other.onnx", output_names=["x"])
    file, _ = exported(nn.ReLU(), X, tmp_path, input_names=["é a/b:c"], output_names=["[0]"])
    assert (file.graph.input[0].name, file.graph.output[0].name) == ("é a/b:c", "[0]")
    with pytest.raises(OptionError, match="output_names"):
        pn.io.onnx.export(Two(), example, tmp_path / "other.onnx", output_names=["one"])


def test_several_inputs_are_numbered(tmp_path: Path) -> None:
    class Sum(nn.Module):
        def forward(self, first: Any, *others: Any, scale: float = 1.0) -> Any:
            return sum(others, first) * scale

    file, _ = exported(Sum(), (X, X, X), tmp_path)
    assert [given.name for given in file.graph.input] == ["first", "others_1", "others_2"]


def test_a_named_tuple_is_one_argument(rng: Any, tmp_path: Path) -> None:
    class Batch(NamedTuple):
        left: Any
        right: Any

    model = Forward(lambda batch: batch.left + batch.right)
    _, session = exported(model, Batch(X, X * 2), tmp_path)
    assert_equal(model, session, (Batch(*draw(rng, 4, (reals(N, 2), reals(N, 2)))),))


def test_one_array_may_stand_for_two_inputs(rng: Any, tmp_path: Path) -> None:
    for x in (X, pn.asarray([[1, 2], [3, 4]])):
        model = Forward(lambda a, b: a * 2 + b)
        _, session = exported(model, (x, x), tmp_path, batch_axis=None)
        assert_equal(model, session, (x, x + x))


def test_what_goes_straight_through_or_comes_out_twice(rng: Any, tmp_path: Path) -> None:
    def forward(x: Any) -> Any:
        y = x * 2
        return x, y, y, functional.dropout(x, training=False)

    model = Forward(forward)
    file, session = exported(model, pn.zeros((2, 3)), tmp_path)
    assert kinds_of(file) == ["Mul", "Identity", "Identity", "Identity"]
    assert_equal(model, session, draw(rng, 4, (reals(N, 3),)))


def test_names_never_clash(rng: Any, tmp_path: Path) -> None:
    class Clash(nn.Module):
        def __init__(self) -> None:
            self.output = nn.Linear(3, 3)
            self.x = nn.Parameter(pn.ones((3,)))

        def forward(self, x: Any) -> Any:
            return self.output(x * self.x), x + self.x

    model = Clash()
    _, session = exported(model, pn.zeros((2, 3)), tmp_path)
    assert_equal(model, session, draw(rng, 4, (reals(N, 3),)))


def test_a_model_that_changes_as_it_runs_is_left_as_it_was(rng: Any, tmp_path: Path) -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            self.register_buffer("calls", pn.zeros(()))
            self.register_buffer("written", pn.zeros((2,)))

        def forward(self, x: Any) -> Any:
            self.calls = self.calls + 1
            self.written += 1
            return x * 2

    model = Counting()
    before = dict(model.named_buffers())
    exported(model, X, tmp_path)
    assert all(tensor is before[name] for name, tensor in model.named_buffers())
    assert model.calls.item() == 0
    assert pn.to_host(model.written).tolist() == [0.0, 0.0]


def test_lazy_layers_that_have_seen_nothing(rng: Any, tmp_path: Path) -> None:
    model = nn.Sequential(nn.LazyConv2d(3, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
    kinds = (reals(N, 2, 5, 5),)
    _, session = exported(model, draw(rng, 1, kinds), tmp_path)
    assert_equal(model, session, draw(rng, 4, kinds))


def test_importing_portanet_loads_nothing_of_it() -> None:
    program = "import sys, portanet; sys.exit(any('onnx' in name for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# The observer


def test_an_observer_sees_each_op_and_its_options() -> None:
    from portanet.anomaly import observe

    seen: list[Any] = []
    with observe(
        lambda op, operands, options, results: seen.append((op.__name__, dict(options), len(results)))
    ):
        pn.tanh(X).sum(axis=0)
        pn.linalg.eigh(X)
    pn.exp(X)
    assert [name for name, *_ in seen] == ["tanh", "sum", "eigh"]
    assert seen[1][1]["axis"] == 0
    assert seen[2][2] == 2
