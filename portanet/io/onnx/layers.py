"""How layers are written that ONNX has as a whole, though portanet makes them of several functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portanet import nn
from portanet.io.onnx.graph import Fits, Pair, Write
from portanet.io.onnx.network import output_padding
from portanet.io.onnx.pooling import has_batch, shape_of
from portanet.nn.functional.spatial import each_axis
from portanet.nn.module import Module

__all__ = ["LAYERS"]


def _always(layer: Any, given: Sequence[Any]) -> bool:
    return True


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
    return len(shape_of(given[0])) == max(layer.ndims) and (
        layer.running_mean is None or _has_statistics(layer, given)
    )


def _instance_norm(pair: Pair) -> Any:
    if pair.layer.running_mean is not None:
        return _batch_norm(pair)
    names = [pair.name(0), _filled(pair, "weight", 1.0), _filled(pair, "bias", 0.0)]
    return pair.node("InstanceNormalization", names, epsilon=pair.layer.eps)


def _fits_group_norm(layer: Any, given: Sequence[Any]) -> bool:
    return len(shape_of(given[0])) > 2


def _group_norm(pair: Pair) -> Any:
    names = [pair.name(0), _filled(pair, "weight", 1.0), _filled(pair, "bias", 0.0)]
    layer = pair.layer
    within = pair.graph.element_type("float64") if pair.step.dtypes[0] == "float64" else None  # not float32
    return pair.node(
        "GroupNormalization", names, num_groups=layer.num_groups, epsilon=layer.eps, stash_type=within
    )


def _fits_local_response(layer: Any, given: Sequence[Any]) -> bool:
    """ONNX looks further forward than back where the size is even, portanet and PyTorch the other way round."""
    return layer.size % 2 == 1 and len(shape_of(given[0])) == 4


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


# Convolution


def _conv_transpose(pair: Pair) -> Any:
    layer = pair.layer
    lengths, out = pair.shape(0)[2:], pair.step.shapes[0][2:]
    names = [pair.name(0), pair.parameter("weight")]
    return pair.node(
        "ConvTranspose",
        names if layer.bias is None else [*names, pair.parameter("bias")],
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.stride),
        pads=list(layer.padding) * 2,
        output_padding=output_padding(
            lengths, out, layer.kernel_size, layer.stride, layer.dilation, layer.padding
        ),
        dilations=list(layer.dilation),
        group=layer.groups,
    )


# Shapes and pictures


def _fits_flatten(layer: Any, given: Sequence[Any]) -> bool:
    ndim = len(shape_of(given[0]))
    return ndim > 1 and layer.start_dim % ndim == 1 and layer.end_dim % ndim == ndim - 1


def _flatten(pair: Pair) -> Any:
    return pair.node("Flatten", [pair.name(0)], axis=1)


def _fits_pixels(layer: Any, given: Sequence[Any]) -> bool:
    return len(shape_of(given[0])) == 4


def _pixel_shuffle(pair: Pair) -> Any:
    return pair.node("DepthToSpace", [pair.name(0)], blocksize=pair.layer.upscale_factor, mode="CRD")


def _fits_fold(layer: Any, given: Sequence[Any]) -> bool:
    return len(shape_of(given[0])) == 3


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
    lengths = shape_of(given[0])[2:]
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


# Activations, losses


def _fits_softplus(layer: Any, given: Sequence[Any]) -> bool:
    """Beyond a threshold of 20 the difference is below 3e-9."""
    return bool(layer.beta == 1 and layer.threshold >= 20)


def _softplus(pair: Pair) -> Any:
    return pair.node("Softplus", [pair.name(0)])


def _fits_negative_log_likelihood(layer: Any, given: Sequence[Any]) -> bool:
    return len(shape_of(given[0])) > 1


def _negative_log_likelihood(pair: Pair) -> Any:
    target = pair.name(1, pair.dtype(1) if pair.dtype(1) in ("int32", "int64") else "int64")
    names = [pair.name(0), target] + ([] if pair.layer.weight is None else [pair.parameter("weight")])
    return pair.node(
        "NegativeLogLikelihoodLoss",
        names,
        ignore_index=pair.layer.ignore_index,
        reduction=pair.layer.reduction,
    )


def _over_axes(name: str, fits: Fits, write: Write) -> dict[type[Module], tuple[Fits, Write]]:
    return {getattr(nn, f"{name}{dims}d"): (fits, write) for dims in (1, 2, 3)}


LAYERS: dict[type[Module], tuple[Fits, Write]] = {
    **_over_axes("BatchNorm", _has_statistics, _batch_norm),
    **_over_axes("ConvTranspose", has_batch, _conv_transpose),
    **_over_axes("InstanceNorm", _fits_instance_norm, _instance_norm),
    nn.Flatten: (_fits_flatten, _flatten),
    nn.Fold: (_fits_fold, _fold),
    nn.GroupNorm: (_fits_group_norm, _group_norm),
    nn.LocalResponseNorm: (_fits_local_response, _local_response),
    nn.NLLLoss: (_fits_negative_log_likelihood, _negative_log_likelihood),
    nn.PixelShuffle: (_fits_pixels, _pixel_shuffle),
    nn.Softplus: (_fits_softplus, _softplus),
    nn.Upsample: (_fits_resize, _resize),
    nn.UpsamplingBilinear2d: (_fits_resize, _resize),
    nn.UpsamplingNearest2d: (_fits_resize, _resize),
}
"""For each class whether a layer with these arguments is one node or a few of them, and how it is written."""
