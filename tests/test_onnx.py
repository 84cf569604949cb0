"""ONNX files of whole models and of single functions: what is in the graph, what comes out, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn
from portanet.errors import ExportError, OptionError, PortanetError
from portanet.testing import functions as trials
from portanet.testing.samples import EVERY_SAMPLE
from tests.onnx_runs import N, assert_equal, draw, exported, integers, randomize, reals, words

pytest.importorskip("onnx", reason="writes files of that format")
pytest.importorskip("onnxruntime", reason="runs what was exported")

functional = nn.functional


class Forward(nn.Module):
    """A module that calls a function."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


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


def test_a_file_for_one_shape_only(rng: Any, tmp_path: Path) -> None:
    model = cnn()
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


# Names


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
    with pytest.raises(OptionError, match="output_names"):
        pn.io.onnx.export(Two(), example, tmp_path / "other.onnx", output_names=["one"])


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


# What is refused


def refusal(tmp_path: Path, forward: Any, *example: Any, **options: Any) -> str:
    class Outer(nn.Module):
        def __init__(self) -> None:
            self.inner = Forward(forward)

        def forward(self, *inputs: Any) -> Any:
            return self.inner(*inputs)

    with pytest.raises(ExportError) as caught:
        pn.io.onnx.export(Outer(), example, tmp_path / "model.onnx", **options)
    assert isinstance(caught.value, PortanetError)
    assert isinstance(caught.value, NotImplementedError)
    assert not list(tmp_path.iterdir())
    return str(caught.value)


X = pn.asarray([[1.0, 2.0], [3.0, 5.0]])


def test_what_has_no_form_in_onnx_is_named_with_its_place(tmp_path: Path) -> None:
    found = refusal(tmp_path, lambda x: pn.linalg.inv(x), X, batch_axis=None)
    assert "the function inv() in 'inner' of the model cannot be exported" in found
    assert "portanet.where" in refusal(tmp_path, lambda x: x[x > 2], X)
    assert "complex64" in refusal(tmp_path, lambda x: pn.real(pn.astype(x, pn.complex64)), X)
    assert "drawn at random" in refusal(
        tmp_path, lambda x: x + pn.random.uniform(x.shape), X, batch_axis=None
    )


def test_what_depends_on_values_or_on_the_batch_is_refused(tmp_path: Path) -> None:
    assert "multiply() in 'inner'" in refusal(tmp_path, lambda x: x * float(x.sum()), X)
    assert "for one batch and" in refusal(tmp_path, lambda x: x / x.shape[0], X)
    seen = refusal(tmp_path, lambda x: x + pn.asarray(np.asarray(pn.to_host(x)) * 2), X)
    assert "does not simply repeat" in seen
    seen = refusal(tmp_path, lambda x: x + pn.asarray(np.asarray(pn.to_host(x)) * 2), X, batch_axis=None)
    assert "made of the inputs' values" in seen
    assert "different things" in refusal(tmp_path, lambda x: pn.stack([row.exp() for row in x]), X)
    assert "different things" in refusal(
        tmp_path, lambda x: x.exp() if float(x[0, 0]) == 1 else x.sin().cos(), X
    )
    for axis in (0, None):
        seen = refusal(
            tmp_path, lambda i: functional.one_hot(i, 5) + i[:, None], pn.asarray([1, 2]), batch_axis=axis
        )
        assert "add() in 'inner'" in seen
    assert "'output' does not depend" in refusal(tmp_path, lambda x: pn.ones((2, 2)), X)


def test_wrong_arguments(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(TypeError, match="model: expected a Module"):
        pn.io.onnx.export(pn.tanh, X, path)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="example: expected an array"):
        pn.io.onnx.export(nn.ReLU(), None, path)
    with pytest.raises(OptionError, match="batch_axis: axis 2"):
        pn.io.onnx.export(nn.ReLU(), X, path, batch_axis=2)
    with pytest.raises(OptionError, match="one for each of 1 arrays"):
        pn.io.onnx.export(nn.ReLU(), X, path, batch_axis=[0, 1])
    with pytest.raises(OptionError, match=r"have the lengths \[2, 3\]"):
        pn.io.onnx.export(nn.Bilinear(2, 2, 1), (X, pn.zeros((3, 2))), path)
    with pytest.raises(OptionError, match="at least one example"):
        pn.io.onnx.export(nn.ReLU(), pn.zeros((0, 2)), path)
    with pytest.raises(FileNotFoundError):
        pn.io.onnx.export(nn.ReLU(), X, tmp_path / "nowhere" / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_the_old_file_and_the_model(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), Forward(lambda x: pn.linalg.inv(x)))
    model[1].eval()
    before = {name: np.array(pn.to_host(value)) for name, value in model.state_dict().items()}
    with pytest.raises(ExportError):
        pn.io.onnx.export(model, X, path, batch_axis=None)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert all("forward" not in vars(module) for module in model.modules())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(pn.to_host(value), before[name])
    pn.io.onnx.export(model[0], X, path)
    assert path.read_bytes() != b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_without_the_package_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install portanet\[onnx\]"):
        pn.io.onnx.export(nn.ReLU(), X, tmp_path / "model.onnx")


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
