"""How poolings are written, as primitives and as layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from portanet import nn
from portanet.io.onnx.graph import Fits, Pair, Write
from portanet.io.onnx.indexing import sliced
from portanet.nn.functional.pooling import adaptive_shape, adaptive_spans
from portanet.nn.functional.spatial import each_axis
from portanet.nn.module import Module
from portanet.tensor import unwrap

__all__ = ["POOLING", "POOLINGS", "ends", "has_batch", "shape_of"]

Pairs = Sequence[tuple[int, int]]
Window = tuple[Sequence[int], Sequence[int], Sequence[int]]
"""The kernel, the stride and the dilation along each axis."""


def ends(pairs: Pairs) -> list[int]:
    """Widths before and after each axis, as ONNX has them: all the first ones, then all the second ones."""
    return [low for low, _ in pairs] + [high for _, high in pairs]


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of a Tensor or of an array."""
    return tuple(unwrap(x).shape)


def has_batch(layer: Any, given: Sequence[Any]) -> bool:
    """Whether the input has the axis of the batch."""
    return bool(len(shape_of(given[0])) == layer.dims + 2)


def _pooled(
    pair: Pair,
    kind: str,
    fill: float,
    window: Window,
    padding: Pairs,
    outputs: int = 1,
    **attributes: Any,
) -> Any:
    """A pooling over windows, given by kernel, stride and dilation.

    Padding that its node does not take is put around the input before.
    """
    kernel, stride, dilation = window
    # Less than nothing at the end only says that the last windows do not reach it, which ONNX finds by itself.
    padding = [(low, max(high, 0)) for low, high in padding]
    name = pair.name(0)
    if any(max(both) >= k for both, k in zip(padding, kernel, strict=True)):
        around = [(0, 0), (0, 0), *padding]
        value = pair.graph.number(fill, pair.step.dtypes[0])
        name = pair.node("Pad", [name, pair.graph.numbers(ends(around)), value], mode="constant")
        padding = [(0, 0)] * len(kernel)
    if kind == "MaxPool":
        _keep_zeros(pair, name)
    return pair.node(
        kind,
        [name],
        outputs,
        kernel_shape=list(kernel),
        strides=list(stride),
        pads=ends(padding),
        dilations=list(dilation) if any(d != 1 for d in dilation) else None,
        **attributes,
    )


def _keep_zeros(pair: Pair, name: str) -> None:
    """Pad with the smallest number above 0 instead of 0 what a MaxPool takes.

    The optimizer of ONNX Runtime (1.31) makes of a Pad of zeros and a MaxPool one MaxPool, for which the padding has no
    value, so that it loses against negative numbers.
    """
    import numpy as np

    node = next((node for node in reversed(pair.graph.nodes) if name in node.output), None)
    if node is not None and node.op_type == "Pad" and len(node.input) == 2:
        dtype = pair.step.dtypes[0]
        node.input.append(pair.graph.number(float(np.finfo(dtype).tiny), dtype))


def _given(options: Mapping[str, Any]) -> Window:
    return options["kernel"], options["stride"], options["dilation"]


def _max_pool(pair: Pair) -> Any:
    options = pair.step.options
    return _pooled(pair, "MaxPool", -float("inf"), _given(options), options["padding"])


def _sum_pool(pair: Pair) -> Any:
    options = pair.step.options
    mean = _pooled(pair, "AveragePool", 0.0, _given(options), options["padding"], count_include_pad=1)
    count = pair.graph.number(prod(options["kernel"]), pair.step.dtypes[0])
    return pair.node("Mul", [mean, count])


# Layers


def _window(pair: Pair) -> Window:
    layer = pair.layer
    dims = layer.dims
    kernel = each_axis("kernel", "kernel_size", layer.kernel_size, dims, low=1)
    stride = kernel if layer.stride is None else each_axis("kernel", "stride", layer.stride, dims, low=1)
    return kernel, stride, each_axis("kernel", "dilation", getattr(layer, "dilation", 1), dims, low=1)


def _padding(pair: Pair, window: Window) -> list[tuple[int, int]]:
    """What is put around each axis so that there are as many windows as portanet took."""
    low = each_axis("padding", "padding", getattr(pair.layer, "padding", 0), pair.layer.dims, low=0)
    pairs = []
    for p, length, out, k, s, d in zip(low, pair.shape(0)[2:], pair.step.shapes[0][2:], *window, strict=True):
        pairs.append((p, (out - 1) * s + d * (k - 1) + 1 - length - p))
    return pairs


def _max_pool_layer(pair: Pair) -> Any:
    window = _window(pair)
    padding = _padding(pair, window)
    if not pair.layer.return_indices:
        return _pooled(pair, "MaxPool", -float("inf"), window, padding)
    if any(max(both) >= k for both, k in zip(padding, window[0], strict=True)):
        raise pair.error(
            "its last windows reach so far over the end that ONNX has no indices for them.",
            "Pass ceil_mode=False.",
        )
    return _with_places(pair, window, padding)


def _with_places(pair: Pair, window: Window, padding: Pairs) -> list[str]:
    found, places = _pooled(pair, "MaxPool", -float("inf"), window, padding, 2)
    inside = prod(pair.shape(0)[2:])  # ONNX counts through all examples and channels
    return [found, pair.node("Mod", [places, pair.graph.number(inside, "int64")])]


def _fits_average(layer: Any, given: Sequence[Any]) -> bool:
    return has_batch(layer, given) and layer.divisor_override is None and not layer.ceil_mode


def _average_pool(pair: Pair) -> Any:
    window = _window(pair)
    padding = each_axis("padding", "padding", pair.layer.padding, pair.layer.dims, low=0)
    counted = int(pair.layer.count_include_pad)
    around = [(p, p) for p in padding]
    return _pooled(pair, "AveragePool", 0.0, window, around, count_include_pad=counted)


def _fits_power(layer: Any, given: Sequence[Any]) -> bool:
    """ONNX takes powers of absolute values."""
    norm = float(layer.norm_type)
    return has_batch(layer, given) and not layer.ceil_mode and norm > 0 and norm % 2 == 0


def _power_pool(pair: Pair) -> Any:
    padding = [(0, 0)] * pair.layer.dims
    return _pooled(pair, "LpPool", 0.0, _window(pair), padding, p=int(pair.layer.norm_type))


def _divides(layer: Any, given: Sequence[Any]) -> bool:
    """Whether the windows of an adaptive pooling have one size."""
    if not has_batch(layer, given):
        return False
    lengths = shape_of(given[0])[2:]
    out = adaptive_shape(type(layer).__name__, layer.output_size, lengths)
    return all(length % size == 0 for length, size in zip(lengths, out, strict=True))


def _one_size(pair: Pair) -> Window:
    lengths, out = pair.shape(0)[2:], pair.step.shapes[0][2:]
    kernel = [length // size for length, size in zip(lengths, out, strict=True)]
    return kernel, kernel, [1] * len(kernel)


def _adaptive_average(pair: Pair) -> Any:
    if set(pair.step.shapes[0][2:]) == {1}:
        return pair.node("GlobalAveragePool", [pair.name(0)])
    return _pooled(pair, "AveragePool", 0.0, _one_size(pair), [(0, 0)] * pair.layer.dims)


def _fits_adaptive_max(layer: Any, given: Sequence[Any]) -> bool:
    return has_batch(layer, given) and (not layer.return_indices or _divides(layer, given))


def _adaptive_max(pair: Pair) -> Any:
    lengths, out = pair.shape(0)[2:], pair.step.shapes[0][2:]
    around = [(0, 0)] * len(out)
    if pair.layer.return_indices:
        return _with_places(pair, _one_size(pair), around)
    if set(out) == {1}:
        return pair.node("GlobalMaxPool", [pair.name(0)])
    if all(length % size == 0 for length, size in zip(lengths, out, strict=True)):
        return _pooled(pair, "MaxPool", -float("inf"), _one_size(pair), around)
    name = pair.name(0)
    for axis, (length, size) in enumerate(zip(lengths, out, strict=True), start=2):
        place = pair.graph.numbers([axis])
        parts = []
        for start, stop in adaptive_spans(length, size):
            part = sliced(pair, name, [(axis, start, stop, 1)])
            parts.append(pair.node("ReduceMax", [part, place], keepdims=1))
        name = pair.node("Concat", parts, axis=axis)
    return name


POOLING: dict[str, Write] = {"max_pool": _max_pool, "sum_pool": _sum_pool}
"""Primitives, by name."""

_LAYERS: dict[str, tuple[Fits, Write]] = {
    "AdaptiveAvgPool": (_divides, _adaptive_average),
    "AdaptiveMaxPool": (_fits_adaptive_max, _adaptive_max),
    "AvgPool": (_fits_average, _average_pool),
    "LPPool": (_fits_power, _power_pool),
    "MaxPool": (has_batch, _max_pool_layer),
}
POOLINGS: dict[type[Module], tuple[Fits, Write]] = {
    getattr(nn, f"{name}{dims}d"): rules for name, rules in _LAYERS.items() for dims in (1, 2, 3)
}
"""As ``LAYERS`` of :mod:`portanet.io.onnx.layers`."""
