"""How layers are written that ONNX has as a whole, though portanet makes them of several functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from portanet import nn
from portanet.io.onnx.graph import Pair
from portanet.io.onnx.network import pooled
from portanet.nn.functional.spatial import each_axis
from portanet.nn.module import Module
from portanet.tensor import unwrap

__all__ = ["LAYERS", "REFUSED", "reason_against"]

Write = Callable[[Pair], Any]
Fits = Callable[[Any, Sequence[Any]], bool]


def _shape(x: Any) -> tuple[int, ...]:
    return tuple(unwrap(x).shape)


def _always(layer: Any, given: Sequence[Any]) -> bool:
    return True


def _batched(layer: Any, given: Sequence[Any]) -> bool:
    """Whether the input has the axis of the batch."""
    return bool(len(_shape(given[0])) == layer.dims + 2)


# Normalisation


def _filled(pair: Pair, attribute: str, value: float) -> str:
    """A parameter of the channels, or numbers that have no effect in its place."""
    import numpy as np

    if getattr(pair.layer, attribute) is not None:
        return pair.parameter(attribute)
    count = pair.shape(0)[1]
    return pair.graph.constant(np.full((count,), value, dtype=pair.step.dtypes[0]), pair.label(attribute))


def _has_statistics(layer: Any, given: Sequence[Any]) -> bool:
    return bool(not layer.training and layer.running_mean is not None and layer.running_var is not None)


def _batch_norm(pair: Pair) -> Any:
    names = [pair.name(0), _filled(pair, "weight", 1.0), _filled(pair, "bias", 0.0)]
    names += [pair.parameter("running_mean"), pair.parameter("running_var")]
    return pair.node("BatchNormalization", names, epsilon=pair.layer.eps)


def _fits_instance_norm(layer: Any, given: Sequence[Any]) -> bool:
    return len(_shape(given[0])) == max(layer.ndims) and (
        layer.running_mean is None or _has_statistics(layer, given)
    )


def _instance_norm(pair: Pair) -> Any:
    if pair.layer.running_mean is not None:
        return _batch_norm(pair)
    names = [pair.name(0), _filled(pair, "weight", 1.0), _filled(pair, "bias", 0.0)]
    return pair.node("InstanceNormalization", names, epsilon=pair.layer.eps)


def _fits_group_norm(layer: Any, given: Sequence[Any]) -> bool:
    return len(_shape(given[0])) > 2


def _group_norm(pair: Pair) -> Any:
    names = [pair.name(0), _filled(pair, "weight", 1.0), _filled(pair, "bias", 0.0)]
    layer = pair.layer
    return pair.node("GroupNormalization", names, num_groups=layer.num_groups, epsilon=layer.eps)


def _fits_local_response(layer: Any, given: Sequence[Any]) -> bool:
    """ONNX looks further forward than back where the size is even, portanet and PyTorch the other way round."""
    return layer.size % 2 == 1 and len(_shape(given[0])) == 4


def _local_response(pair: Pair) -> Any:
    layer = pair.layer
    return pair.node(
        "LRN",
        [pair.name(0)],
        alpha=float(layer.alpha),
        beta=float(layer.beta),
        bias=float(layer.k),
        size=layer.size,
    )


# Convolution and pooling


def _conv_transpose(pair: Pair) -> Any:
    layer = pair.layer
    lengths, out = pair.shape(0)[2:], pair.step.shapes[0][2:]
    reach = [d * (k - 1) + 1 for k, d in zip(layer.kernel_size, layer.dilation, strict=True)]
    extra = [
        o - ((n - 1) * s - 2 * p + r)
        for o, n, s, p, r in zip(out, lengths, layer.stride, layer.padding, reach, strict=True)
    ]
    names = [pair.name(0), pair.parameter("weight")]
    return pair.node(
        "ConvTranspose",
        names if layer.bias is None else [*names, pair.parameter("bias")],
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.stride),
        pads=list(layer.padding) * 2,
        output_padding=extra,
        dilations=list(layer.dilation),
        group=layer.groups,
    )


def _window(pair: Pair) -> tuple[Any, Any, Any]:
    layer = pair.layer
    dims = layer.dims
    kernel = each_axis("kernel", "kernel_size", layer.kernel_size, dims, low=1)
    stride = kernel if layer.stride is None else each_axis("kernel", "stride", layer.stride, dims, low=1)
    return kernel, stride, each_axis("kernel", "dilation", getattr(layer, "dilation", 1), dims, low=1)


def _padding(pair: Pair, window: tuple[Any, Any, Any]) -> list[tuple[int, int]]:
    """What is put around each axis so that there are as many windows as portanet took."""
    low = each_axis("padding", "padding", getattr(pair.layer, "padding", 0), pair.layer.dims, low=0)
    pairs = []
    for p, length, out, k, s, d in zip(low, pair.shape(0)[2:], pair.step.shapes[0][2:], *window, strict=True):
        pairs.append((p, (out - 1) * s + d * (k - 1) + 1 - length - p))
    return pairs


def _max_pool(pair: Pair) -> Any:
    import numpy as np

    window = _window(pair)
    padding = _padding(pair, window)
    if not pair.layer.return_indices:
        return pooled(pair, "MaxPool", -float("inf"), window, padding)
    if any(max(ends) >= k for ends, k in zip(padding, window[0], strict=True)):
        raise pair.error(
            "its last windows reach so far over the end that ONNX has no indices for them.",
            "Pass ceil_mode=False.",
        )
    found, places = pooled(pair, "MaxPool", -float("inf"), window, padding, 2)
    inside = int(np.prod(pair.shape(0)[2:]))  # ONNX counts through all examples and channels
    return [found, pair.node("Mod", [places, pair.graph.number(inside, "int64")])]


def _fits_average(layer: Any, given: Sequence[Any]) -> bool:
    return _batched(layer, given) and layer.divisor_override is None and not layer.ceil_mode


def _average_pool(pair: Pair) -> Any:
    window = _window(pair)
    padding = each_axis("padding", "padding", pair.layer.padding, pair.layer.dims, low=0)
    counted = int(pair.layer.count_include_pad)
    around = [(p, p) for p in padding]
    return pooled(pair, "AveragePool", 0.0, window, around, count_include_pad=counted)


def _fits_power(layer: Any, given: Sequence[Any]) -> bool:
    """ONNX takes powers of absolute values."""
    norm = float(layer.norm_type)
    return _batched(layer, given) and not layer.ceil_mode and norm > 0 and norm % 2 == 0


def _power_pool(pair: Pair) -> Any:
    padding = [(0, 0)] * pair.layer.dims
    return pooled(pair, "LpPool", 0.0, _window(pair), padding, p=int(pair.layer.norm_type))


def _spans(length: int, out: int) -> list[tuple[int, int]]:
    return [(i * length // out, -(-(i + 1) * length // out)) for i in range(out)]


def _fits_adaptive_average(layer: Any, given: Sequence[Any]) -> bool:
    if not _batched(layer, given):
        return False
    lengths = _shape(given[0])[2:]
    size = layer.output_size
    wanted = size if isinstance(size, (tuple, list)) else (size,) * len(lengths)
    return all(out is None or length % out == 0 for length, out in zip(lengths, wanted, strict=True))


def _adaptive(pair: Pair, whole: str, windows: str, fill: float) -> Any:
    lengths, out = pair.shape(0)[2:], pair.step.shapes[0][2:]
    if set(out) == {1}:
        return pair.node(whole, [pair.name(0)])
    kernel = [length // size for length, size in zip(lengths, out, strict=True)]
    ones = [1] * len(kernel)
    return pooled(pair, windows, fill, (kernel, kernel, ones), [(0, 0)] * len(kernel))


def _adaptive_average(pair: Pair) -> Any:
    return _adaptive(pair, "GlobalAveragePool", "AveragePool", 0.0)


def _fits_adaptive_max(layer: Any, given: Sequence[Any]) -> bool:
    return _batched(layer, given) and not layer.return_indices


def _adaptive_max(pair: Pair) -> Any:
    lengths, out = pair.shape(0)[2:], pair.step.shapes[0][2:]
    if all(length % size == 0 for length, size in zip(lengths, out, strict=True)):
        return _adaptive(pair, "GlobalMaxPool", "MaxPool", -float("inf"))
    name = pair.name(0)
    for axis, (length, size) in enumerate(zip(lengths, out, strict=True), start=2):
        place = pair.graph.numbers([axis])
        parts = []
        for start, stop in _spans(length, size):
            ends = [pair.graph.numbers([start]), pair.graph.numbers([stop])]
            part = pair.node("Slice", [name, *ends, place])
            parts.append(pair.node("ReduceMax", [part, place], keepdims=1))
        name = pair.node("Concat", parts, axis=axis)
    return name


# Shapes and pictures


def _fits_flatten(layer: Any, given: Sequence[Any]) -> bool:
    ndim = len(_shape(given[0]))
    return ndim > 1 and layer.start_dim % ndim == 1 and layer.end_dim % ndim == ndim - 1


def _flatten(pair: Pair) -> Any:
    return pair.node("Flatten", [pair.name(0)], axis=1)


def _fits_pixels(layer: Any, given: Sequence[Any]) -> bool:
    return len(_shape(given[0])) == 4


def _pixel_shuffle(pair: Pair) -> Any:
    return pair.node("DepthToSpace", [pair.name(0)], blocksize=pair.layer.upscale_factor, mode="CRD")


def _fits_fold(layer: Any, given: Sequence[Any]) -> bool:
    return len(_shape(given[0])) == 3


def _fold(pair: Pair) -> Any:
    layer, graph = pair.layer, pair.graph
    options = {
        name: each_axis("Fold", name, getattr(layer, name), 2, low=0)
        for name in ("output_size", "kernel_size", "dilation", "padding", "stride")
    }
    return pair.node(
        "Col2Im",
        [pair.name(0), graph.numbers(options["output_size"]), graph.numbers(options["kernel_size"])],
        dilations=list(options["dilation"]),
        pads=list(options["padding"]) * 2,
        strides=list(options["stride"]),
    )


RESIZES = {
    "nearest": "nearest",
    "nearest-exact": "nearest",
    "linear": "linear",
    "bilinear": "linear",
    "trilinear": "linear",
    "bicubic": "cubic",
}


def _fits_resize(layer: Any, given: Sequence[Any]) -> bool:
    """Whether coordinates follow from the lengths, and no rounding of them decides which element is the nearest."""
    lengths = _shape(given[0])[2:]
    if layer.mode not in RESIZES or not lengths:
        return False
    if layer.size is not None:
        out = each_axis("Upsample", "size", layer.size, len(lengths), low=1)
    else:
        scale = layer.scale_factor
        factors = scale if isinstance(scale, (tuple, list)) else (scale,) * len(lengths)
        exact = [length * float(factor) for length, factor in zip(lengths, factors, strict=True)]
        if any(size != int(size) for size in exact):
            return False
        out = tuple(map(int, exact))
    whole = all(o % n == 0 for o, n in zip(out, lengths, strict=True))
    return whole or RESIZES[layer.mode] != "nearest"


def _resize(pair: Pair) -> Any:
    mode, out = pair.layer.mode, pair.step.shapes[0][2:]
    kind = RESIZES[mode]
    coordinates = "half_pixel"
    if pair.layer.align_corners:
        coordinates = "align_corners"
    elif mode == "nearest":
        coordinates = "asymmetric"
    rounding = {"nearest": "floor", "nearest-exact": "round_prefer_ceil"}.get(mode)
    return pair.node(
        "Resize",
        [pair.name(0), "", "", pair.graph.numbers(out)],
        axes=list(range(2, 2 + len(out))),
        mode=kind,
        coordinate_transformation_mode=coordinates,
        nearest_mode=rounding,
        cubic_coeff_a=-0.75 if kind == "cubic" else None,
    )


# Tables, activations


def _fits_embedding(layer: Any, given: Sequence[Any]) -> bool:
    return layer.max_norm is None


def _embedding(pair: Pair) -> Any:
    return pair.node("Gather", [pair.parameter("weight"), pair.name(0)], axis=0)


def _fits_bag(layer: Any, given: Sequence[Any]) -> bool:
    alone = all(one is None for one in given[1:])
    return layer.max_norm is None and layer.padding_idx is None and alone and len(_shape(given[0])) == 2


def _bag(pair: Pair) -> Any:
    rows = pair.node("Gather", [pair.parameter("weight"), pair.name(0)], axis=0)
    kind = {"sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax"}[pair.layer.mode]
    return pair.node(kind, [rows, pair.graph.numbers([1])], keepdims=0)


def _fits_softplus(layer: Any, given: Sequence[Any]) -> bool:
    """Beyond a threshold of 20 the difference is below 3e-9."""
    return bool(layer.beta == 1 and layer.threshold >= 20)


def _softplus(pair: Pair) -> Any:
    return pair.node("Softplus", [pair.name(0)])


def _each(classes: str, fits: Fits, write: Write) -> dict[type[Module], tuple[Fits, Write]]:
    return {getattr(nn, name): (fits, write) for name in classes.split()}


def _over_axes(name: str, fits: Fits, write: Write) -> dict[type[Module], tuple[Fits, Write]]:
    return _each(" ".join(f"{name}{dims}d" for dims in (1, 2, 3)), fits, write)


LAYERS: dict[type[Module], tuple[Fits, Write]] = {
    **_over_axes("AdaptiveAvgPool", _fits_adaptive_average, _adaptive_average),
    **_over_axes("AdaptiveMaxPool", _fits_adaptive_max, _adaptive_max),
    **_over_axes("AvgPool", _fits_average, _average_pool),
    **_over_axes("BatchNorm", _has_statistics, _batch_norm),
    **_over_axes("ConvTranspose", _batched, _conv_transpose),
    **_over_axes("InstanceNorm", _fits_instance_norm, _instance_norm),
    **_over_axes("LPPool", _fits_power, _power_pool),
    **_over_axes("MaxPool", _batched, _max_pool),
    **_each("Embedding", _fits_embedding, _embedding),
    **_each("EmbeddingBag", _fits_bag, _bag),
    **_each("Flatten", _fits_flatten, _flatten),
    **_each("Fold", _fits_fold, _fold),
    **_each("GroupNorm", _fits_group_norm, _group_norm),
    **_each("LocalResponseNorm", _fits_local_response, _local_response),
    **_each("PixelShuffle", _fits_pixels, _pixel_shuffle),
    **_each("Softplus", _fits_softplus, _softplus),
    **_each("Upsample UpsamplingNearest2d UpsamplingBilinear2d", _fits_resize, _resize),
}
"""For each class whether a layer with these arguments is one node or a few of them, and how it is written."""

_LOSSES = (
    "AdaptiveLogSoftmaxWithLoss BCELoss BCEWithLogitsLoss CTCLoss CosineEmbeddingLoss CrossEntropyLoss GaussianNLLLoss "
    "HingeEmbeddingLoss HuberLoss KLDivLoss L1Loss LinearCrossEntropyLoss MSELoss MarginRankingLoss "
    "MultiLabelMarginLoss MultiLabelSoftMarginLoss MultiMarginLoss NLLLoss PoissonNLLLoss SmoothL1Loss SoftMarginLoss "
    "TripletMarginLoss TripletMarginWithDistanceLoss"
)

REFUSED: dict[type[Module], str] = {
    **{getattr(nn, name): "it is a loss, and a loss is for training." for name in _LOSSES.split()},
    **{
        getattr(nn, name): "its windows are drawn at random, in evaluation mode, too."
        for name in ("FractionalMaxPool2d", "FractionalMaxPool3d")
    },
}
"""Layers that are not exported, and why."""


_ADAPTIVE_MAX = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)


def reason_against(layer: Module, given: Sequence[Any]) -> str | None:
    """Why a layer, called with these arguments, is not exported; None if it may be."""
    for cls in type(layer).__mro__:
        if cls in REFUSED and type(layer).forward is cls.forward:
            return REFUSED[cls]
    if isinstance(layer, nn.Embedding | nn.EmbeddingBag) and layer.max_norm is not None:
        return "max_norm changes the weights as it goes, which a graph cannot."
    if isinstance(layer, nn.EmbeddingBag) and not _fits_bag(layer, given):
        return "it takes bags of one length, shape (bags, n), without offsets, per_sample_weights and padding_idx."
    if isinstance(layer, _ADAPTIVE_MAX) and getattr(layer, "return_indices", False):
        return "return_indices=True asks for places that ONNX has not."
    return None
