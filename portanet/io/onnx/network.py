"""How the primitives of networks are written: affine maps, convolutions, poolings, normalisation, attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portanet.io.onnx.graph import Condition, Pair, Write
from portanet.io.onnx.pooling import ends

__all__ = ["NETWORK", "NETWORK_CONDITIONS", "output_padding"]


def _linear(pair: Pair) -> Any:
    ndim = len(pair.shape(0))
    if ndim == 2:
        names = [pair.name(place) for place in range(3) if pair.given(place)]
        return pair.node("Gemm", names, transB=1)
    weight, one = pair.constant(1), pair.graph.recordings[0]
    if weight is None or id(pair.operand(1).array) in one.shared:  # no second copy of it in the file
        turned = pair.node("Transpose", [pair.name(1)], perm=[1, 0])
    else:
        label = one.origins.get(id(pair.operand(1).array), "constant")
        turned = pair.graph.constant(weight.T, f"{label}.transposed")
    product = pair.node("MatMul", [pair.name(0), turned])
    return pair.node("Add", [product, pair.name(2)]) if pair.given(2) else product


def _softmax(kind: str) -> Write:
    def write(pair: Pair) -> Any:
        axis = pair.step.options["axis"]
        return pair.node(kind, [pair.name(0, pair.step.dtypes[0])], axis=axis)

    return write


def _cross_entropy(pair: Pair) -> Any:
    options = pair.step.options
    return pair.node(
        "SoftmaxCrossEntropyLoss",
        [pair.name(place) for place in range(3) if pair.given(place)],
        ignore_index=options["ignore_index"],
        reduction=options["reduction"],
    )


def _convolution(pair: Pair) -> Any:
    options = pair.step.options
    names = [pair.name(place) for place in range(3) if pair.given(place)]
    return pair.node(
        "Conv",
        names,
        kernel_shape=list(pair.shape(1)[2:]),
        strides=list(options["stride"]),
        pads=ends(options["padding"]),
        dilations=list(options["dilation"]),
        group=options["groups"],
    )


def output_padding(
    lengths: Sequence[int],
    out: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
) -> list[int]:
    """How much longer than they must be the results of a transposed convolution are."""
    every = zip(lengths, out, kernel, stride, dilation, padding, strict=True)
    return [length - ((n - 1) * s - 2 * p + d * (k - 1) + 1) for n, length, k, s, d, p in every]


def _extra(lengths: Sequence[int], kernel: Sequence[int], options: Mapping[str, Any]) -> list[int]:
    low = [before for before, _ in options["padding"]]
    return output_padding(lengths, options["lengths"], kernel, options["stride"], options["dilation"], low)


def _convolution_input(pair: Pair) -> Any:
    options, kernel = pair.step.options, pair.shape(1)[2:]
    low = [before for before, _ in options["padding"]]
    return pair.node(
        "ConvTranspose",
        [pair.name(0), pair.name(1)],
        kernel_shape=list(kernel),
        strides=list(options["stride"]),
        pads=low + low,
        output_padding=_extra(pair.shape(0)[2:], kernel, options),
        dilations=list(options["dilation"]),
        group=options["groups"],
    )


def _normalize(pair: Pair) -> Any:
    import numpy as np

    options, dtype, ndim = pair.step.options, pair.step.dtypes[0], len(pair.shape(0))
    axes = sorted(axis % ndim for axis in options["axes"])
    last = pair.shape(0)[axes[0] :]
    fits = all(pair.shape(place) == last for place in (1, 2) if pair.given(place))
    x = pair.name(0, dtype)
    if options.get("centered", True) and axes == list(range(axes[0], ndim)) and fits:
        weight = pair.name(1) if pair.given(1) else pair.graph.constant(np.ones(last, dtype=dtype))
        names = [x, weight, *([pair.name(2)] if pair.given(2) else [])]
        return pair.node("LayerNormalization", names, axis=axes[0] - ndim, epsilon=options["eps"])
    return _normalize_with_statistics(pair)[0]


def _normalize_with_statistics(pair: Pair) -> list[Any]:
    options, dtype = pair.step.options, pair.step.dtypes[0]
    where = pair.graph.numbers(options["axes"])
    x, mean = pair.name(0, dtype), ""
    if options.get("centered", True):
        mean = pair.node("ReduceMean", [x, where], keepdims=1)
        x = pair.node("Sub", [x, mean])
    variance = pair.node("ReduceMean", [pair.node("Mul", [x, x]), where], keepdims=1)
    width = pair.node("Sqrt", [pair.node("Add", [variance, pair.graph.number(options["eps"], dtype)])])
    found = pair.node("Div", [x, width])
    found = pair.node("Mul", [found, pair.name(1, dtype)]) if pair.given(1) else found
    found = pair.node("Add", [found, pair.name(2, dtype)]) if pair.given(2) else found
    return [found, mean, variance]


def _pad(pair: Pair) -> Any:
    options = pair.step.options
    mode = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    names = [pair.name(0), pair.graph.numbers(ends(options["widths"]))]
    if options["mode"] == "constant" and options["value"]:
        names.append(pair.graph.number(options["value"], pair.step.dtypes[0]))
    return pair.node("Pad", names, mode=mode[options["mode"]])


def _attention(pair: Pair) -> Any:
    import numpy as np

    dtype, options = pair.step.dtypes[0], pair.step.options
    ndim = len(pair.shape(1))
    query = pair.node("Mul", [pair.name(0, dtype), pair.graph.number(options["scale"], dtype)])
    order = [*range(ndim - 2), ndim - 1, ndim - 2]
    key = pair.node("Transpose", [pair.name(1, dtype)], perm=order)
    scores = pair.node("MatMul", [query, key])
    if pair.given(3):
        scores = pair.node("Add", [scores, pair.name(3, dtype)])
    if options["is_causal"]:
        sizes = [pair.sizes_in(place)[-2] for place in (0, 1)]
        if all(one == other for one, other in sizes):
            hidden = np.triu(np.full([one for one, _ in sizes], -np.inf, dtype=dtype), 1)
            mask = pair.graph.constant(hidden, "causal_mask")
        else:
            hidden = pair.node("Expand", [pair.graph.number(-np.inf, dtype), pair.graph.sizes(sizes)])
            mask = pair.node("Trilu", [hidden, pair.graph.number(1, "int64")], upper=1)
        scores = pair.node("Add", [scores, mask])
    return pair.node("MatMul", [pair.node("Softmax", [scores], axis=-1), pair.name(2, dtype)])


NETWORK: dict[str, Write] = {
    "attention": _attention,
    "convolution": _convolution,
    "convolution_input": _convolution_input,
    "cross_entropy": _cross_entropy,
    "linear": _linear,
    "log_softmax": _softmax("LogSoftmax"),
    "normalize": _normalize,
    "normalize_with_statistics": _normalize_with_statistics,
    "pad": _pad,
    "softmax": _softmax("Softmax"),
}


def _pads(operands: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """Whether nothing is cut off, for which ONNX has no form within a convolution."""
    return all(min(both) >= 0 for both in options["padding"])


def _extends(operands: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """Whether it is the transpose of a convolution whose padding is the same at both ends."""
    g, weight = operands
    extra = _extra(g.shape[2:], weight.shape[2:], options)
    most = map(max, options["stride"], options["dilation"])
    return _pads(operands, {"padding": [(low, low) for low, _ in options["padding"]]}) and all(
        0 <= length < limit for length, limit in zip(extra, most, strict=True)
    )


def _has_hard_labels(operands: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """Whether there is an axis of the batch, and targets are not smoothed."""
    return bool(options["axis"] == 1 and not options["label_smoothing"])


NETWORK_CONDITIONS: dict[str, Condition] = {
    "convolution": _pads,
    "convolution_input": _extends,
    "cross_entropy": _has_hard_labels,
}
"""As ``ARRAY_CONDITIONS`` of :mod:`portanet.io.onnx.arrays`."""
