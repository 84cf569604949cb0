"""How recurrent layers are written: LSTM, GRU and RNN, each of them one node for each of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portanet import nn
from portanet.io.onnx.graph import Fits, Pair, Write, host
from portanet.nn.module import Module
from portanet.tensor import unwrap

__all__ = ["RECURRENT"]

ORDERS = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
"""ONNX's gates, by their places in PyTorch's weights, which portanet has."""


def _reordered(array: Any, kind: str) -> Any:
    import numpy as np

    order = ORDERS[kind]
    parts = np.split(host(unwrap(array)), len(order), axis=0)
    return np.concatenate([parts[place] for place in order], axis=0)


def _weights(pair: Pair, kind: str, suffixes: Sequence[str], ending: str) -> list[str]:
    """W, R and B of one node, a direction after the other."""
    import numpy as np

    layer = pair.layer

    def stacked(attribute: str) -> Any:
        return np.stack([_reordered(getattr(layer, attribute + suffix), kind) for suffix in suffixes])

    names = [
        pair.graph.constant(stacked(attribute), pair.label(attribute + ending))
        for attribute in ("weight_ih", "weight_hh")
    ]
    if not layer.bias:
        return [*names, ""]
    both = np.concatenate([stacked("bias_ih"), stacked("bias_hh")], axis=1)
    return [*names, pair.graph.constant(both, pair.label("bias" + ending))]


def _run(pair: Pair, kind: str, x: str, weights: list[str], states: list[str], reverse: bool) -> list[str]:
    """One node; Y, Y_h and, of an LSTM, Y_c."""
    layer = pair.layer
    directions = 2 if reverse else 1
    activations = None
    if kind == "RNN":
        activations = ["Relu" if layer.nonlinearity == "relu" else "Tanh"] * directions
    inputs = [x, *weights, "", *states]
    while not inputs[-1]:
        inputs.pop()
    found: list[str] = pair.node(
        kind,
        inputs,
        3 if kind == "LSTM" else 2,
        hidden_size=layer.hidden_size,
        direction="bidirectional" if reverse else "forward",
        activations=activations,
        linear_before_reset=1 if kind == "GRU" else None,
    )
    return found


def _fits(layer: Any, given: Sequence[Any]) -> bool:
    """Whether there is no projection, which ONNX has not."""
    return not layer.proj_size


def _layer(kind: str) -> Write:
    def write(pair: Pair) -> Any:
        layer, graph = pair.layer, pair.graph
        batched = len(pair.shape(0)) == 3
        middle = graph.numbers([1])
        x = pair.name(0)
        if not batched:
            x = pair.node("Unsqueeze", [x, middle])
        elif layer.batch_first:
            x = pair.node("Transpose", [x], perm=[1, 0, 2])
        given = [pair.name(place) for place in range(1, len(pair.step.operands))]
        if not batched:
            given = [pair.node("Unsqueeze", [state, middle]) for state in given]
        directions = 2 if layer.bidirectional else 1
        last: list[list[str]] = [[], []]
        for line in range(layer.num_layers):
            suffixes = [f"_l{line}", f"_l{line}_reverse"][:directions]
            states = given
            if given and layer.num_layers > 1:
                ends = [graph.numbers([(line + k) * directions]) for k in (0, 1)]
                states = [pair.node("Slice", [state, *ends, graph.numbers([0])]) for state in given]
            weights = _weights(pair, kind, suffixes, f"_l{line}")
            y, *rest = _run(pair, kind, x, weights, states, layer.bidirectional)
            for place, state in enumerate(rest):
                last[place].append(state)
            if directions == 1:
                x = pair.node("Squeeze", [y, middle])
            else:
                y = pair.node("Transpose", [y], perm=[0, 2, 1, 3])
                x = pair.node("Reshape", [y, graph.numbers([0, 0, -1])])
        ended = [
            pair.node("Concat", parts, axis=0) if len(parts) > 1 else parts[0] for parts in last if parts
        ]
        if not batched:
            return [pair.node("Squeeze", [name, middle]) for name in (x, *ended)]
        if layer.batch_first:
            x = pair.node("Transpose", [x], perm=[1, 0, 2])
        return [x, *ended]

    return write


def _always(layer: Any, given: Sequence[Any]) -> bool:
    return True


def _cell(kind: str) -> Write:
    """A single step is a sequence of one."""

    def write(pair: Pair) -> Any:
        added = pair.graph.numbers([0] if len(pair.shape(0)) == 2 else [0, 1])
        count = len(pair.step.operands)
        x, *states = [pair.node("Unsqueeze", [pair.name(place), added]) for place in range(count)]
        found = _run(pair, kind, x, _weights(pair, kind, [""], ""), states, False)
        return [pair.node("Squeeze", [name, added]) for name in found[1:]]

    return write


RECURRENT: dict[type[Module], tuple[Fits, Write]] = {
    **{getattr(nn, kind): (_fits, _layer(kind)) for kind in ORDERS},
    **{getattr(nn, f"{kind}Cell"): (_always, _cell(kind)) for kind in ORDERS},
}
"""As ``LAYERS``."""
