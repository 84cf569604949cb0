"""`portanet.summary`: every number is the hand-worked one, and the model is afterwards what it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn
from portanet.errors import DTypeError, ShapeError
from portanet.model_summary import LayerSummary, Summary
from portanet.nn.utils.rnn import pack_padded_sequence
from portanet.operation_counts import rule_of


def only(model: nn.Module, *inputs: Any) -> LayerSummary:
    """The row of a model that is a single layer."""
    (row,) = pn.summary(model, inputs).rows
    return row


# Shapes, parameters, memory


def test_a_small_network_by_hand() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, kernel_size=3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(8 * 4 * 4, 10),
    )  # fmt: skip
    model[0].requires_grad_(False)
    found = pn.summary(model, pn.zeros((2, 3, 8, 8)))
    assert [(row.name, row.depth, row.kind, row.output_shapes) for row in found.rows] == [
        ("", 0, "Sequential", ((2, 10),)),
        ("0", 1, "Conv2d", ((2, 8, 8, 8),)),
        ("1", 1, "BatchNorm2d", ((2, 8, 8, 8),)),
        ("2", 1, "ReLU", ((2, 8, 8, 8),)),
        ("3", 1, "MaxPool2d", ((2, 8, 4, 4),)),
        ("4", 1, "Flatten", ((2, 128),)),
        ("5", 1, "Linear", ((2, 10),)),
    ]
    assert [row.parameters for row in found.rows] == [0, 8 * 27 + 8, 16, 0, 0, 0, 1290]
    assert (found.parameters, found.trainable) == (1530, 1306)
    assert found.parameter_bytes == 4 * 1530
    assert found.buffer_bytes == 4 * 16 + 8  # mean, variance, and how many batches there were
    maps, pooled = 2 * 8 * 8 * 8, 2 * 8 * 4 * 4
    assert [row.activation_bytes for row in found.rows] == [
        0,
        4 * maps,
        4 * maps,
        4 * maps,
        4 * pooled,
        0,
        80,
    ]
    assert [row.multiply_adds for row in found.rows] == [0, maps * 27, 0, 0, 0, 0, 20 * 128]
    assert [row.flops for row in found.rows] == [
        0, maps * 55, maps * 4, maps, pooled * 3, 0, 20 * 257,
    ]  # fmt: skip
    assert found.uncounted == ()
    for column in (
        "parameters",
        "trainable",
        "parameter_bytes",
        "activation_bytes",
        "multiply_adds",
        "flops",
    ):
        assert sum(getattr(row, column) for row in found.rows) == getattr(found, column)


class Tied(nn.Module):
    """A shared weight, a shared module, a module called twice, and one that is never called."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(20, 8)
        self.output = nn.Linear(8, 20, bias=False)
        self.output.weight = self.embedding.weight
        self.activation = nn.ReLU()
        self.body = nn.Sequential(self.activation, nn.Linear(8, 8))
        self.unused = nn.Linear(2, 3)

    def forward(self, x: Any) -> Any:
        return self.output(self.activation(self.body(self.embedding(x))))


def test_what_is_shared_counts_once_and_calls_add_up() -> None:
    model = Tied()
    found = pn.summary(model, pn.zeros((3, 5), dtype=pn.int64))
    rows = {row.name: row for row in found.rows}
    assert found.parameters == sum(p.size for p in model.parameters()) == 160 + 72 + 9
    assert (rows["output"].parameters, rows["output"].shared) == (0, ("weight is embedding.weight",))
    assert (rows["body.0"].calls, rows["body.0"].shared) == (0, ("the module is activation",))
    assert (rows["activation"].calls, rows["activation"].flops) == (2, 2 * 15 * 8)
    assert rows["activation"].activation_bytes == 2 * 15 * 8 * 4
    assert rows["output"].multiply_adds == 15 * 20 * 8
    assert (rows["unused"].calls, rows["unused"].flops, rows["unused"].output_shapes) == (0, 0, ())
    assert "* counted once: output: weight is embedding.weight; body.0: the module is activation" in str(
        found
    )


def test_several_inputs_keyword_arguments_and_raw_arrays(rng: np.random.Generator) -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            self.mix = nn.Bilinear(3, 4, 5)

        def forward(self, left: Any, right: Any, *, scale: Any = 1.0) -> Any:
            assert isinstance(left, pn.Tensor)
            assert isinstance(scale, pn.Tensor)
            return {"mixed": self.mix(left, right), "scaled": [left * scale]}

    left, right = (rng.normal(size=(2, n)).astype(np.float32) for n in (3, 4))
    found = pn.summary(Pair(), (left, right), kwargs={"scale": np.float32([2.0])})
    assert found.rows[0].output_shapes == ((2, 5), (2, 3))
    assert found.rows[1].multiply_adds == 2 * 5 * (3 * 4 + 4)
    assert found.uncounted == ()


def test_what_has_no_formula_is_named() -> None:
    class Own(nn.Module):
        def forward(self, x: Any) -> Any:
            return x @ x

    class Scaled(nn.Linear):
        def forward(self, x: Any) -> Any:
            return super().forward(x) * 2

    model = nn.Sequential(Own(), Scaled(4, 4), nn.Linear(4, 4))
    found = pn.summary(model, pn.zeros((4, 4)))
    assert found.uncounted == ("Own", "Scaled")
    assert [row.flops for row in found.rows] == [0, 0, 0, 4 * 4 * 9]
    assert "no formula, counted as 0: Own, Scaled" in str(found)


# FLOPs, by hand and beside PyTorch


def test_recurrent_layers_by_hand(rng: np.random.Generator) -> None:
    steps, gates = 7 * 3, 4
    row = only(nn.LSTM(4, 8, num_layers=2, bidirectional=True), pn.zeros((7, 3, 4)))
    assert row.output_shapes == ((7, 3, 16), (4, 3, 8), (4, 3, 8))
    assert row.multiply_adds == 2 * steps * gates * 8 * ((4 + 8) + (16 + 8))
    assert row.flops == 2 * row.multiply_adds + 4 * steps * 8 * (19 + 8)
    row = only(nn.LSTM(4, 8, proj_size=3, bias=False), pn.zeros((7, 3, 4)))
    assert row.multiply_adds == steps * (gates * 8 * (4 + 3) + 8 * 3)
    assert row.flops == 2 * row.multiply_adds + steps * 8 * 19
    row = only(nn.GRU(4, 8, batch_first=True), pn.zeros((3, 7, 4)))
    assert row.multiply_adds == steps * 3 * 8 * 12
    assert row.flops == 2 * row.multiply_adds + steps * 8 * (15 + 6)
    row = only(nn.RNN(4, 8, nonlinearity="relu"), pn.zeros((7, 4)))
    assert (row.multiply_adds, row.flops) == (7 * 8 * 12, 7 * 8 * (24 + 2 + 2))
    row = only(nn.GRUCell(4, 8), pn.zeros((3, 4)))
    assert (row.multiply_adds, row.flops) == (3 * 3 * 8 * 12, 3 * 8 * (3 * 24 + 15 + 6))
    lengths = [7, 5, 2]
    packed = pack_padded_sequence(pn.zeros((7, 3, 4)), lengths)
    row = only(nn.LSTM(4, 8), packed)
    assert row.multiply_adds == sum(lengths) * gates * 8 * 12, "padding costs nothing"
    assert row.output_shapes[0] == (14, 8)


def test_attention_by_hand() -> None:
    batch, queries, keys, width, heads = 2, 5, 7, 12, 3
    layer = nn.MultiheadAttention(width, heads, kdim=6, vdim=4, batch_first=True, add_zero_attn=True)
    inputs = [pn.zeros((batch, n, size)) for n, size in ((queries, width), (keys, 6), (keys, 4))]
    attention, projection = pn.summary(layer, tuple(inputs)).rows
    projections = batch * width * (queries * width + keys * (6 + 4))
    scores = batch * queries * (keys + 1)
    assert attention.multiply_adds == projections + 2 * scores * width
    biases = batch * (queries + 2 * keys) * width
    assert attention.flops == 2 * attention.multiply_adds + biases + scores * heads * 6
    assert projection.multiply_adds == batch * queries * width * width
    for shape, first in (((keys, batch, 8), False), ((keys, 8), False), ((keys, 8), True)):
        x = pn.zeros(shape)
        found = pn.summary(nn.MultiheadAttention(8, 2, batch_first=first), (x, x, x))
        count = keys * (batch if len(shape) == 3 else 1)
        assert found.multiply_adds == count * 4 * 64 + 2 * count * keys * 8


BY_HAND: dict[str, tuple[Any, tuple[int, ...], int]] = {
    "layer norm": (lambda: nn.LayerNorm(6), (4, 6), 24 * 7),
    "layer norm without parameters": (lambda: nn.LayerNorm(6, elementwise_affine=False), (4, 6), 24 * 5),
    "group norm": (lambda: nn.GroupNorm(2, 6), (4, 6, 5), 120 * 7),
    "instance norm": (lambda: nn.InstanceNorm1d(6), (4, 6, 5), 120 * 5),
    "batch norm of the batch": (lambda: nn.BatchNorm1d(6, track_running_stats=False), (4, 6), 24 * 7),
    "rms norm": (lambda: nn.RMSNorm(6), (4, 6), 24 * 4),
    "local response": (lambda: nn.LocalResponseNorm(3), (1, 6, 4), 24 * 8),
    "max pool": (lambda: nn.MaxPool1d(3, stride=2), (2, 3, 9), 2 * 3 * 4 * 2),
    "max pool with indices": (lambda: nn.MaxPool2d((2, 3), return_indices=True), (1, 1, 4, 9), 6 * 5),
    "average pool": (lambda: nn.AvgPool2d(2), (1, 3, 4, 6), 3 * 6 * 4),
    "power pool": (lambda: nn.LPPool1d(2, 4), (1, 3, 8), 3 * 2 * 8),
    # Over 7 places three windows hold 3 (0 to 3), 3 (2 to 5) and 3 (4 to 7).
    "adaptive average": (lambda: nn.AdaptiveAvgPool1d(3), (2, 5, 7), 2 * 5 * 9),
    "adaptive maximum": (lambda: nn.AdaptiveMaxPool2d((1, 3)), (1, 1, 4, 7), 4 * 9 - 3),
    "fractional": (lambda: nn.FractionalMaxPool2d(2, output_size=3), (1, 1, 6, 6), 9 * 3),
    "bilinear": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (1, 1, 2, 2), 16 * 7),
    "nearest": (lambda: nn.Upsample(scale_factor=2), (1, 1, 2, 2), 0),
    "softmax": (lambda: nn.Softmax(dim=1), (4, 6), 24 * 5),
    "gelu": (nn.GELU, (4, 6), 24 * 5),
    "gelu by tanh": (lambda: nn.GELU(approximate="tanh"), (4, 6), 24 * 9),
    "glu": (nn.GLU, (4, 6), 12 * 4),
    "dropout": (nn.Dropout, (4, 6), 0),
    "fold": (lambda: nn.Fold((4, 4), 2, stride=2), (1, 12, 4), 48),
    "positions": (lambda: nn.SinusoidalPositions(6), (5, 2, 6), 60),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_other_layers_by_hand(case: str) -> None:
    make, shape, flops = BY_HAND[case]
    row = only(make(), pn.zeros(shape))
    assert (row.multiply_adds, row.flops) == (0, flops)
    assert row.formula


def test_convolutions_and_linear_maps_agree_with_pytorch(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    counter = pytest.importorskip("torch.utils.flop_counter").FlopCounterMode
    for _ in range(12):
        d = int(rng.integers(1, 4))
        groups = int(rng.integers(1, 3))
        inputs, outputs = (groups * int(rng.integers(1, 4)) for _ in range(2))
        kernel = tuple(int(k) for k in rng.integers(1, 4, d))
        options = {"stride": int(rng.integers(1, 3)), "padding": int(rng.integers(0, 2)), "groups": groups}
        options["bias"] = bool(rng.integers(0, 2))
        shape = (int(rng.integers(1, 4)), inputs, *(int(n) for n in rng.integers(4, 8, d)))
        for name in (f"Conv{d}d", f"ConvTranspose{d}d"):
            row = only(getattr(nn, name)(inputs, outputs, kernel, **options), pn.zeros(shape))
            with counter(display=False) as counted:
                output = getattr(torch.nn, name)(inputs, outputs, kernel, **options)(torch.zeros(shape))
            assert 2 * row.multiply_adds == counted.get_total_flops()
            assert row.flops == 2 * row.multiply_adds + options["bias"] * output.numel()
            assert row.output_shapes == (tuple(output.shape),)
        rows = tuple(int(n) for n in rng.integers(1, 5, d))
        row = only(nn.Linear(inputs, outputs), pn.zeros((*rows, inputs)))
        with counter(display=False) as counted:
            torch.nn.Linear(inputs, outputs)(torch.zeros(*rows, inputs))
        assert 2 * row.multiply_adds == counted.get_total_flops()


def test_a_transformer_agrees_with_pytorch() -> None:
    torch = pytest.importorskip("torch")
    counter = pytest.importorskip("torch.utils.flop_counter").FlopCounterMode
    options = {"d_model": 12, "nhead": 3, "dim_feedforward": 20, "batch_first": True}
    found = pn.summary(nn.TransformerEncoderLayer(**options), pn.zeros((2, 5, 12)))
    layer = torch.nn.TransformerEncoderLayer(**options)
    with (
        counter(display=False) as counted,
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
    ):
        layer(torch.zeros(2, 5, 12))
    assert 2 * found.multiply_adds == counted.get_total_flops()


WITHOUT_FORMULA = {
    *(
        "Module",
        "Sequential",
        "ModuleList",
        "ModuleDict",
        "ParameterList",
        "ParameterDict",
        "RNNBase",
        "RNNCellBase",
    ),
    *("Transformer", "TransformerEncoder", "TransformerDecoder"),
    *("TransformerEncoderLayer", "TransformerDecoderLayer", "AdaptiveLogSoftmaxWithLoss"),
    *("CosineSimilarity", "PairwiseDistance"),
}
"""Containers, what is made of other layers, and distances; losses have none either."""


def test_every_layer_has_a_formula_or_is_named_here() -> None:
    for name in nn.__all__:
        kind = getattr(nn, name)
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)) or name.endswith("Loss"):
            continue
        # A lazy layer is a plain one by the time that it has computed.
        plain = getattr(nn, name.removeprefix("Lazy"))
        assert (rule_of(object.__new__(plain)) is None) == (name in WITHOUT_FORMULA), name


# The model is what it was


class Restless(nn.Module):
    """Changes all that a forward can change."""

    def __init__(self) -> None:
        self.norm = nn.BatchNorm1d(4)
        self.noise = nn.Dropout(0.5)
        self.lazy = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
        self.table = nn.Embedding(5, 3, max_norm=0.1)
        self.pool = nn.FractionalMaxPool2d(2, output_size=2)  # draws random numbers in evaluation mode too
        self.slopes = nn.RReLU()
        self.slopes.generator = pn.random.Generator(3)
        self.register_buffer("count", pn.zeros(()))
        self.noise.eval()

    def forward(self, x: Any) -> Any:
        self.count += 1.0
        with pn.no_grad():
            self.norm.weight[0] = 2.0
            self.norm.bias.data = pn.ones((4,))
        self.latest = x
        self.slopes.generator.next_stream()
        pn.random.uniform((3,))
        self.pool(pn.zeros((1, 1, 6, 6)))
        return self.lazy(self.noise(self.norm(x))) + self.table(pn.asarray([0, 1, 2, 3]))


def state_of(model: nn.Module) -> Any:
    """All that can be seen of a model, with the identity of every object in it."""
    return [
        (name, type(module), list(vars(module)), {key: id(value) for key, value in vars(module).items()})
        for name, module in model.named_modules()
    ]


def tensors_of(model: nn.Module) -> list[pn.Tensor]:
    return [
        value for module in model.modules() for value in vars(module).values() if isinstance(value, pn.Tensor)
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_changes_even_if_forward_fails(backend: str, fails: bool, rng: np.random.Generator) -> None:
    model = Restless()
    seen = []
    model.norm.register_forward_hook(lambda module, args, output: seen.append(module))
    model.table.weight.grad = pn.ones((5, 3))
    before = state_of(model)
    held = [
        (
            value,
            type(value),
            id(vars(pn.Tensor)["_data"].__get__(value)),
            value._version and value._version.count,
        )
        for value in tensors_of(model)
    ]
    gradient = model.table.weight.grad
    drawn, own = pn.random.default_generator.get_state(), model.slopes.generator.get_state()
    x = pn.asarray(rng.normal(size=(4, 4)).astype(np.float32))
    if fails:
        with pytest.raises(ShapeError):
            pn.summary(model, x[:, :3])
    else:
        found = pn.summary(model, x)
        rows = {row.name: row for row in found.rows}
        assert rows["lazy.0"].kind == "LazyLinear"
        assert (rows["lazy.0"].parameters, rows["lazy.0"].flops) == (15, 4 * 3 * 9)
        assert rows["lazy.1"].parameters == 6
        assert seen == [model.norm], "hooks of the user's own run"
    assert state_of(model) == before
    assert held == [
        (
            value,
            type(value),
            id(vars(pn.Tensor)["_data"].__get__(value)),
            value._version and value._version.count,
        )
        for value in tensors_of(model)
    ]
    assert model.table.weight.grad is gradient
    assert model.training
    assert not model.noise.training
    assert pn.random.default_generator.get_state() == drawn
    assert model.slopes.generator.get_state() == own
    assert isinstance(model.lazy[0].weight, nn.UninitializedParameter)
    assert pn.is_grad_enabled()
    assert model(x).shape == (4, 3), "and it works as ever"


def test_an_error_names_the_layer_that_raised_it() -> None:
    inner = nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 2))
    with pytest.raises(ShapeError, match="expects 5 features") as caught:
        pn.summary(nn.Sequential(nn.ReLU(), inner), pn.zeros((2, 3)))
    assert caught.value.__notes__[-1] == "The layer that failed: 1.1 (Linear)."
    with pytest.raises(ShapeError) as caught:
        pn.summary(nn.Linear(5, 2), pn.zeros((2, 3)))
    assert caught.value.__notes__[-1] == "The layer that failed: the model (Linear)."
    assert sum("layer that failed" in note for note in caught.value.__notes__) == 1


def test_evaluation_mode_is_what_is_seen() -> None:
    modes = []

    class Spy(nn.Module):
        def forward(self, x: Any) -> Any:
            modes.append((self.training, pn.is_grad_enabled()))
            return x

    pn.summary(nn.Sequential(Spy(), Spy().eval()).train(), pn.zeros((2,)))
    assert modes == [(False, False)] * 2


def test_a_forward_of_the_instance_and_a_parametrized_layer_are_respected() -> None:
    layer = nn.Linear(3, 2)
    layer.forward = lambda x: x * 2  # type: ignore[method-assign]
    row = only(layer, pn.zeros((4, 3)))
    assert (row.output_shapes, row.formula) == (((4, 3),), None)
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    found = pn.summary(normed, pn.zeros((4, 3)))
    assert found.rows[0].multiply_adds == 4 * 2 * 3
    assert found.parameters == sum(parameter.size for parameter in normed.parameters())


# How it looks, and mistakes


def test_the_table_has_a_line_for_each_row_and_html_escapes_names() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            self.add_module("<b>", nn.Linear(1000, 1000))

        def forward(self, x: Any) -> Any:
            return getattr(self, "<b>")(x)

    found = pn.summary(Named(), pn.zeros((1, 1000)))
    text, html = str(found), found._repr_html_()
    assert repr(found) == text
    lines = text.splitlines()
    assert lines[0].split() == ["layer", "type", "output", "shape", "parameters", "output", "FLOPs"]
    assert lines[3].split() == ["<b>", "Linear", "(1,", "1000)", "1,001,000", "3.906", "KiB", "2,001,000"]
    assert "parameters: 1,001,000, 3.819 MiB" in text
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert html.count("<tr>") == 1 + len(found.rows)
    assert isinstance(found, Summary)


@pytest.mark.parametrize("shape", [(3, 4), 5])
def test_a_shape_is_no_input(shape: Any) -> None:
    with pytest.raises(DTypeError, match="If this is a shape, pass portanet.zeros"):
        pn.summary(nn.Linear(4, 2), shape)


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(TypeError, match="model: expected a Module, got function"):
        pn.summary(lambda x: x, pn.zeros((2,)))  # type: ignore[arg-type]
