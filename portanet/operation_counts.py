"""How many operations one call of a layer of ``portanet.nn`` takes in evaluation mode, by a formula for each layer.

A multiply-add is one multiplication and one addition of a matrix product or a convolution; everything else counts
singly: additions, multiplications, divisions, comparisons, and each exponential, logarithm, root, power, tanh and erf.
Moving numbers costs nothing. A layer's formula leaves out its sublayers, which have formulas of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from portanet.nn.module import Module
from portanet.tensor import unwrap

__all__ = ["Count", "Rule", "rule_of"]


@dataclass(frozen=True, slots=True)
class Count:
    """How many multiply-adds, and how many other operations."""

    multiply_adds: int = 0
    others: int = 0

    @property
    def flops(self) -> int:
        """All operations; a multiply-add is two."""
        return 2 * self.multiply_adds + self.others


@dataclass(frozen=True, slots=True)
class Rule:
    """The formula of a layer for a reader, and as a function of the layer, its arguments by name, and its output."""

    formula: str
    count: Callable[[Any, Mapping[str, Any], Any], Count]


def rule_of(module: Module) -> Rule | None:
    """The rule of a layer; None for a module that has none, as one with a ``forward`` of its own."""
    for kind in type(module).__mro__:
        if kind.__module__.startswith("portanet.nn") and kind.__name__ in _RULES:
            return _RULES[kind.__name__]
        if "forward" in vars(kind):
            return None
    return None


def _shape(x: Any) -> tuple[int, ...]:
    """Of an array, or of the elements of a packed sequence."""
    return tuple(unwrap(getattr(x, "data", x) if hasattr(x, "batch_sizes") else x).shape)


def _size(x: Any) -> int:
    return prod(_shape(x[0] if type(x) is tuple else x))  # a pair: values and their indices


def _first(arguments: Mapping[str, Any]) -> Any:
    return next(iter(arguments.values()))


def _each_axis(value: Any, count: int) -> tuple[int, ...]:
    return (value,) * count if isinstance(value, int) else tuple(value)


# Linear maps and convolutions


def _linear(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    outputs = _size(output)
    return Count(outputs * layer.in_features, outputs * (layer.bias is not None))


def _bilinear(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    outputs = _size(output)
    products = outputs * layer.in1_features * layer.in2_features + outputs * layer.in2_features
    return Count(products, outputs * (layer.bias is not None))


def _convolution(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    outputs = _size(output)
    taps = layer.in_channels // layer.groups * prod(layer.kernel_size)
    return Count(outputs * taps, outputs * (layer.bias is not None))


def _transposed(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    taps = layer.out_channels // layer.groups * prod(layer.kernel_size)
    return Count(_size(_first(arguments)) * taps, _size(output) * (layer.bias is not None))


# Recurrences


@dataclass(frozen=True, slots=True)
class _Gates:
    """Of one step of a recurrence: how many gates, and operations for each hidden number beside sums of products."""

    count: int
    operations: int


_GATES = {
    "RNN": _Gates(1, 2),  # the sum of both products, tanh
    # The sums of four gates, three sigmoids (3 each), two tanh, f * c + i * g, o * tanh(c)
    "LSTM": _Gates(4, 4 + 9 + 2 + 3 + 1),
    # The sums of three gates, two sigmoids (3 each), tanh, r * (...), (1 - z) * n + z * h
    "GRU": _Gates(3, 3 + 6 + 1 + 1 + 4),
}


def _steps(kind: str, inputs: int, states: int, hidden: int, projection: int, bias: bool) -> Count:
    """Of one step of one sequence."""
    gates = _GATES[kind]
    products = gates.count * hidden * (inputs + states) + hidden * projection
    return Count(products, hidden * (gates.operations + 2 * gates.count * bias))


def _recurrence(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    directions = 2 if layer.bidirectional else 1
    projection = layer.proj_size
    states = projection or layer.hidden_size
    steps = _size(_first(arguments)) // layer.input_size * directions
    total = Count()
    for k in range(layer.num_layers):
        inputs = layer.input_size if k == 0 else directions * states
        one = _steps(layer.mode.split("_")[0], inputs, states, layer.hidden_size, projection, layer.bias)
        total = Count(total.multiply_adds + steps * one.multiply_adds, total.others + steps * one.others)
    return total


def _cell(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    size = layer.hidden_size
    kind = next(
        kind for kind in _GATES if any(base.__name__ == f"{kind}Cell" for base in type(layer).__mro__)
    )
    one = _steps(kind, layer.input_size, size, size, 0, layer.bias)
    batch = _size(_first(arguments)) // layer.input_size
    return Count(batch * one.multiply_adds, batch * one.others)


# Attention

_SOFTMAX = 5


def _attention(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    query, key = _shape(arguments["query"]), _shape(arguments["key"])
    width, position = layer.embed_dim, -3 if len(query) == 2 else (-2 if layer.batch_first else -3)
    queries, keys = prod(query[:-1]), prod(key[:-1])
    own = key[0] if len(key) == 2 else key[position]  # of one sequence
    cache = arguments.get("cache")
    seen = (own if cache is None else len(cache)) + (layer.bias_k is not None) + layer.add_zero_attn
    projections = width * (queries * width + keys * (layer.kdim + layer.vdim))
    biases = (queries + 2 * keys) * width if layer.in_proj_bias is not None else 0
    scores = queries * seen * layer.num_heads
    return Count(projections + 2 * queries * seen * width, biases + scores * (1 + _SOFTMAX))


# Norms


def _affine(layer: Any) -> int:
    """Operations for each number with a weight and a bias."""
    return (layer.weight is not None) + (getattr(layer, "bias", None) is not None)


def _norm(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    stored = getattr(layer, "track_running_stats", False)
    return Count(0, _size(output) * ((2 if stored else 5) + _affine(layer)))


def _rms_norm(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    return Count(0, _size(output) * (3 + _affine(layer)))


def _local_response(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    return Count(0, _size(output) * (layer.size + 5))


# Pools


def _window(layer: Any, output: Any) -> int:
    """How many numbers a window holds."""
    name = next(kind.__name__ for kind in type(layer).__mro__ if kind.__name__ in _RULES)
    return prod(_each_axis(layer.kernel_size, int(name[-2])))


def _max_pool(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    return Count(0, _size(output) * (_window(layer, output) - 1))


def _average_pool(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    return Count(0, _size(output) * _window(layer, output))


def _power_pool(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    return Count(0, _size(output) * 2 * _window(layer, output))


def _read_by_adaptive(arguments: Mapping[str, Any], output: Any) -> int:
    """How many numbers all windows hold: window i of m over n goes from floor(i n / m) to ceil((i + 1) n / m)."""
    before, after = _shape(_first(arguments)), _shape(output[0] if type(output) is tuple else output)
    total = 1
    for n, m in zip(before, after, strict=True):
        total *= n if n == m else sum(-(-(i + 1) * n // m) - i * n // m for i in range(m))
    return total


def _adaptive_average(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    return Count(0, _read_by_adaptive(arguments, output))


def _adaptive_max(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    return Count(0, _read_by_adaptive(arguments, output) - _size(output))


# The rest


def _upsample(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    taps = {"linear": 2, "bilinear": 4, "trilinear": 8, "bicubic": 16}.get(layer.mode)
    return Count(0, _size(output) * (2 * taps - 1) if taps else 0)


def _bags(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    return Count(0, _size(_first(arguments)) * layer.embedding_dim)


def _fold(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    return Count(0, _size(_first(arguments)))


def _gelu(layer: Any, arguments: Mapping[str, Any], output: Any) -> Count:
    return Count(0, _size(output) * (5 if layer.approximate == "none" else 9))


def _each(operations: int) -> Callable[[Any, Mapping[str, Any], Any], Count]:
    return lambda layer, arguments, output: Count(0, operations * _size(output))


def _rules() -> dict[str, Rule]:
    linear = Rule("outputs * in_features multiply-adds; outputs for the bias", _linear)
    convolution = Rule(
        "outputs * in_channels / groups * kernel size multiply-adds; outputs for the bias", _convolution
    )
    transposed = Rule(
        "inputs * out_channels / groups * kernel size multiply-adds; outputs for the bias", _transposed
    )
    recurrence = Rule(
        "for each step, layer and direction: gates * hidden * (inputs + states) + hidden * projection multiply-adds; "
        "hidden * (2 RNN, 19 LSTM, 15 GRU), and 2 * gates * hidden for biases",
        _recurrence,
    )
    cell = Rule(
        "for each sequence: gates * hidden * (inputs + hidden) multiply-adds; hidden * (2 RNN, 19 LSTM, "
        "15 GRU), and 2 * gates * hidden for biases",
        _cell,
    )
    norm = "outputs * (5 to take mean and variance and apply them, + 1 for a weight, + 1 for a bias)"
    rules = {
        "Linear": linear,
        "Bilinear": Rule("outputs * (in1 * in2 + in2) multiply-adds; outputs for the bias", _bilinear),
        **{f"Conv{d}d": convolution for d in (1, 2, 3)},
        **{f"ConvTranspose{d}d": transposed for d in (1, 2, 3)},
        **dict.fromkeys(("RNN", "LSTM", "GRU"), recurrence),
        **dict.fromkeys(("RNNCell", "LSTMCell", "GRUCell"), cell),
        "MultiheadAttention": Rule(
            "embed * (queries * embed + keys * (kdim + vdim)) + 2 * queries * keys seen * embed multiply-adds; biases, "
            "and 6 for each score (scale, softmax); the output projection has a row of its own",
            _attention,
        ),
        **{
            f"{kind}Norm{d}d": Rule(
                "outputs * (2 with stored statistics, else 5, + 1 for a weight, + 1 for a bias)", _norm
            )
            for kind in ("Batch", "Instance")
            for d in (1, 2, 3)
        },
        **dict.fromkeys(("LayerNorm", "GroupNorm"), Rule(norm, _norm)),
        "RMSNorm": Rule("outputs * (3, + 1 for a weight)", _rms_norm),
        **dict.fromkeys(
            ("LocalResponseNorm", "CrossMapLRN2d"), Rule("outputs * (size + 5)", _local_response)
        ),
        "Upsample": Rule("outputs * (2 * taps - 1): 2, 4, 8 or 16 taps; nearest 0", _upsample),
        "EmbeddingBag": Rule("rows looked up * embedding_dim", _bags),
        "Fold": Rule("inputs", _fold),
        "GELU": Rule("outputs * (5 with erf, 9 with tanh)", _gelu),
        "SinusoidalPositions": Rule("outputs", _each(1)),
        "RotaryEmbedding": Rule("3 * outputs", _each(3)),
    }
    for d in (1, 2, 3):
        rules[f"MaxPool{d}d"] = Rule("outputs * (window - 1)", _max_pool)
        rules[f"AvgPool{d}d"] = Rule("outputs * window", _average_pool)
        rules[f"LPPool{d}d"] = Rule("2 * outputs * window", _power_pool)
        rules[f"AdaptiveAvgPool{d}d"] = Rule("numbers in all windows", _adaptive_average)
        rules[f"AdaptiveMaxPool{d}d"] = Rule("numbers in all windows - outputs", _adaptive_max)
        if d > 1:
            rules[f"FractionalMaxPool{d}d"] = Rule("outputs * (window - 1)", _max_pool)
    for name, operations in _OPERATIONS.items():
        rules[name] = Rule(f"{operations} * outputs" if operations > 1 else "outputs", _each(operations))
    for name in _MOVES:
        rules[name] = Rule("0: it only looks up, moves or hands on numbers", _each(0))
    return rules


_OPERATIONS = {
    **{"ReLU": 1, "Threshold": 1, "Tanh": 1},
    **{"LeakyReLU": 2, "PReLU": 2, "RReLU": 2, "Hardtanh": 2, "ReLU6": 2, "Tanhshrink": 2, "Hardshrink": 2},
    **{"Sigmoid": 3, "LogSigmoid": 3, "Softsign": 3, "Softshrink": 3},
    **{"SiLU": 4, "GLU": 4, "ELU": 4, "Hardsigmoid": 4},
    **{"Softplus": 5, "Mish": 5, "CELU": 5, "SELU": 5, "Hardswish": 5},
    **{"Softmax": _SOFTMAX, "Softmax2d": _SOFTMAX, "LogSoftmax": _SOFTMAX, "Softmin": _SOFTMAX + 1},
}
"""For each number of the output. A sigmoid is an exponential, an addition and a division; a softmax compares (for
the largest), subtracts, takes the exponential, adds and divides."""

_MOVES = (
    *(
        "Identity",
        "Flatten",
        "Unflatten",
        "PixelShuffle",
        "PixelUnshuffle",
        "ChannelShuffle",
        "Embedding",
        "Unfold",
    ),
    *("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"),
    *(
        f"{kind}Pad{d}d"
        for kind in ("Circular", "Constant", "Reflection", "Replication", "Zero")
        for d in (1, 2, 3)
    ),
    *("MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"),
)

_RULES = _rules()
