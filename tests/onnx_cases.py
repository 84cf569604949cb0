"""Layers that the tests export to ONNX: what they are made with, and the kinds of their inputs."""

from __future__ import annotations

from typing import Any

import portanet as pn
from portanet import nn
from tests.onnx_runs import (
    N,
    booleans,
    integers,
    offsets,
    positive,
    reals,
    signs,
    subsets,
    units,
    words,
)


class PoolAndBack(nn.Module):
    """A pooling with its indices, and the way back."""

    def __init__(self, dims: int, **options: Any) -> None:
        self.pool = getattr(nn, f"MaxPool{dims}d")(**options, return_indices=True)
        self.back = getattr(nn, f"MaxUnpool{dims}d")(**options)

    def forward(self, x: Any) -> Any:
        found, places = self.pool(x)
        return found, self.back(found, places), places


class Attending(nn.Module):
    """Self-attention of several kinds, with a mask of the keys."""

    def __init__(self, **options: Any) -> None:
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **options)

    def forward(self, x: Any, seen: Any) -> Any:
        return self.attention(x, x, x, key_padding_mask=pn.logical_not(seen))


LINE, PICTURE, VOLUME = (N, 4, 9), (N, 4, 8, 6), (N, 2, 6, 4, 4)
SHAPES = {1: LINE, 2: PICTURE, 3: VOLUME}

Case = tuple[str, tuple[Any, ...], dict[str, Any], tuple[Any, ...]]


def case(name: str, *args: Any, on: Any, **options: Any) -> Case:
    """A layer by name, what it is made with, and the kinds of its inputs."""
    return name, args, options, on if isinstance(on[0], tuple) else (on,)


def factors() -> Any:
    """A weight for each of five classes, of which each layer has its own."""
    return pn.ones((5,))


CASES: list[Case] = []
for name in sorted(
    words(
        "CELU ELU GELU Hardshrink Hardsigmoid Hardswish Hardtanh Identity LeakyReLU LogSigmoid Mish PReLU RReLU ReLU "
        "ReLU6 SELU SiLU Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink Dropout AlphaDropout"
    )
):
    CASES += [
        case(name, on=reals(N, 7)),
        case(name, on=reals(N, 3, 5)),
        case(
            name,
            on=reals(
                N,
            ),
        ),
    ]
for name in ("Softmax", "LogSoftmax", "Softmin"):
    CASES += [case(name, axis, on=reals(N, 3, 5)) for axis in (-1, 1, 0)]
CASES += [
    case("CELU", 0.7, on=reals(N, 7)),
    case("ELU", 0.5, on=reals(N, 7)),
    case("GELU", "tanh", on=reals(N, 7)),
    case("GLU", on=reals(N, 6)),
    case("GLU", 1, on=reals(N, 4, 5)),
    case("GLU", dim=0, on=reals(4, N)),
    case("Hardtanh", -0.3, 0.6, on=reals(N, 7)),
    case("PReLU", 4, on=reals(N, 4, 3)),
    case("PReLU", 4, on=reals(N, 4)),
    case("Softmax2d", on=reals(*PICTURE)),
    case("Softmax2d", on=reals(N, 1, 2, 2)),
    case("Softplus", 2.0, 5.0, on=reals(N, 7)),
    case("Threshold", 0.2, -3.0, on=reals(N, 7)),
    case("Threshold", 0.0, 0.0, on=reals(N, 2, 3)),
    case("Hardshrink", 0.1, on=reals(N, 7)),
    case("Softshrink", 0.1, on=reals(N, 7)),
    case("LeakyReLU", 0.3, on=reals(N, 7)),
    case("Linear", 5, 3, on=reals(N, 5)),
    case("Linear", 5, 3, bias=False, on=reals(N, 5)),
    case("Linear", 5, 3, on=reals(N, 4, 5)),
    case("LazyLinear", 3, on=reals(N, 5)),
    case("Bilinear", 4, 5, 3, on=(reals(N, 4), reals(N, 5))),
    case("Bilinear", 4, 5, 3, bias=False, on=(reals(N, 2, 4), reals(N, 2, 5))),
    case("Flatten", on=reals(*PICTURE)),
    case("Flatten", 0, on=reals(N, 3)),
    case("Flatten", 1, 2, on=reals(*VOLUME)),
    case("Unflatten", 1, (2, 3), on=reals(N, 6)),
    case("Unflatten", 2, (-1, 2), on=reals(N, 3, 6)),
    case("PixelShuffle", 2, on=reals(*PICTURE)),
    case("PixelShuffle", 2, on=reals(4, N, 6)),
    case("PixelUnshuffle", 2, on=reals(*PICTURE)),
    case("ChannelShuffle", 2, on=reals(*PICTURE)),
    case("Unfold", 3, on=reals(*PICTURE)),
    case("Unfold", (2, 3), padding=1, stride=2, dilation=(2, 1), on=reals(*PICTURE)),
    case("Fold", (5, 6), (2, 3), on=reals(N, 12, 16)),
    case("Fold", (7, 6), 2, stride=2, padding=1, on=reals(N, 8, 16)),
    case("Embedding", 11, 4, on=integers(11, N, 5)),
    case("Embedding", 11, 4, padding_idx=2, on=integers(11, N)),
    case("Embedding", 11, 4, on=integers(11, N, 2, 3)),
    case("EmbeddingBag", 11, 4, on=integers(11, N, 5)),
    case("EmbeddingBag", 11, 4, mode="sum", on=integers(11, N, 5)),
    case("EmbeddingBag", 11, 4, mode="max", on=integers(11, N, 5)),
    case("EmbeddingBag", 11, 4, padding_idx=2, on=integers(11, N, 5)),
    case("EmbeddingBag", 3, 4, mode="max", padding_idx=2, on=integers(3, N, 2)),
    case("EmbeddingBag", 3, 4, mode="sum", padding_idx=-1, max_norm=0.5, on=integers(3, N, 2)),
    case("Embedding", 11, 4, max_norm=0.5, norm_type=1.0, on=integers(11, N, 5)),
    case("LayerNorm", 6, on=reals(N, 6)),
    case("LayerNorm", (4, 6), bias=False, on=reals(N, 4, 6)),
    case("LayerNorm", 6, elementwise_affine=False, on=reals(N, 4, 6)),
    case("RMSNorm", 6, on=reals(N, 6)),
    case("RMSNorm", (4, 6), eps=0.1, on=reals(N, 4, 6)),
    case("RMSNorm", 6, elementwise_affine=False, on=reals(N, 6)),
    case("GroupNorm", 2, 4, on=reals(*PICTURE)),
    case("GroupNorm", 4, 4, affine=False, on=reals(*LINE)),
    case("GroupNorm", 1, 4, eps=0.1, on=reals(N, 4)),
    case("LocalResponseNorm", 3, 0.5, on=reals(*PICTURE)),
    case("LocalResponseNorm", 2, 0.5, 0.6, 2.0, on=reals(*PICTURE)),
    case("LocalResponseNorm", 3, 0.5, on=reals(*LINE)),
    case("CrossMapLRN2d", 3, 0.5, on=reals(*PICTURE)),
    case("CrossMapLRN2d", 2, 0.5, 0.6, 2.0, on=reals(*PICTURE)),
    case("CosineSimilarity", on=(reals(N, 6), reals(N, 6))),
    case("CosineSimilarity", 2, on=(reals(N, 3, 6), reals(N, 3, 6))),
    case("PairwiseDistance", on=(reals(N, 6), reals(N, 6))),
    case("PairwiseDistance", 1.0, keepdim=True, on=(reals(N, 6), reals(N, 6))),
    case("PairwiseDistance", 3.0, on=(reals(N, 6), reals(N, 6))),
    case("RotaryEmbedding", 8, 16, on=reals(N, 2, 5, 8)),
    case("RotaryEmbedding", 8, 16, interleaved=False, on=reals(N, 5, 8)),
    case("SinusoidalPositions", 8, 16, on=reals(N, 5, 8)),
    case("SinusoidalPositions", 8, 16, batch_first=False, on=reals(5, N, 8)),
    case("Upsample", scale_factor=2, on=reals(*LINE)),
    case("Upsample", scale_factor=2, on=reals(*VOLUME)),
    case("Upsample", size=(5, 9), on=reals(*PICTURE)),
    case("Upsample", scale_factor=1.3, mode="bilinear", on=reals(*PICTURE)),
    case("Upsample", scale_factor=2, mode="linear", on=reals(*LINE)),
    case("Upsample", scale_factor=2, mode="bilinear", on=reals(*PICTURE)),
    case("Upsample", size=(11, 4), mode="bilinear", align_corners=True, on=reals(*PICTURE)),
    case("Upsample", scale_factor=2, mode="trilinear", on=reals(*VOLUME)),
    case("Upsample", scale_factor=2, mode="bicubic", on=reals(*PICTURE)),
    case("Upsample", size=(11, 7), mode="bicubic", align_corners=True, on=reals(*PICTURE)),
    case("Upsample", scale_factor=2, mode="nearest-exact", on=reals(*PICTURE)),
    case("Upsample", size=(5, 3), mode="area", on=reals(*PICTURE)),
    case("UpsamplingNearest2d", scale_factor=3, on=reals(*PICTURE)),
    case("UpsamplingNearest2d", size=(3, 4), on=reals(*PICTURE)),
    case("UpsamplingBilinear2d", scale_factor=2, on=reals(*PICTURE)),
    case("UpsamplingBilinear2d", size=(3, 4), on=reals(*PICTURE)),
    case("MultiheadAttention", 8, 2, on=(reals(5, N, 8), reals(6, N, 8), reals(6, N, 8))),
    case("TransformerEncoderLayer", 8, 2, 16, on=reals(5, N, 8)),
    case(
        "TransformerEncoderLayer",
        8,
        2,
        16,
        activation="gelu",
        norm_first=True,
        batch_first=True,
        on=reals(N, 5, 8),
    ),
    case("TransformerDecoderLayer", 8, 2, 16, batch_first=True, on=(reals(N, 5, 8), reals(N, 3, 8))),
    case("Transformer", 8, 2, 1, 2, 16, batch_first=True, on=(reals(N, 5, 8), reals(N, 3, 8))),
]
for dims, shape in SHAPES.items():
    last = shape[1]
    widths = tuple(1 + place % 2 for place in range(2 * dims))
    for name in ("ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad"):
        CASES += [
            case(f"{name}{dims}d", 1, on=reals(*shape)),
            case(f"{name}{dims}d", widths, on=reals(*shape)),
        ]
        CASES.append(case(f"{name}{dims}d", (0, -1) + (1, 0) * (dims - 1), on=reals(*shape)))
    CASES.append(case(f"ConstantPad{dims}d", widths, 1.5, on=reals(*shape)))
    CASES.append(case(f"ConstantPad{dims}d", (-1, 2) * dims, 1.5, on=reals(*shape)))
    for name in (f"BatchNorm{dims}d", f"InstanceNorm{dims}d"):
        CASES += [
            case(name, last, on=reals(*shape)),
            case(name, last, affine=True, track_running_stats=False, on=reals(*shape)),
            case(name, last, affine=False, track_running_stats=True, eps=0.1, on=reals(*shape)),
        ]
        CASES.append(case(f"Lazy{name}", on=reals(*shape)))
    for name, first in (("Conv", (last,)), ("LazyConv", ())):
        CASES += [
            case(f"{name}{dims}d", *first, 6, 3, on=reals(*shape)),
            case(f"{name}{dims}d", *first, 6, 2, stride=2, padding=1, groups=2, on=reals(*shape)),
            case(f"{name}{dims}d", *first, 3, 3, padding="same", bias=False, on=reals(*shape)),
            case(f"{name}{dims}d", *first, 3, 3, padding=1, padding_mode="circular", on=reals(*shape)),
        ]
    for name, first in (("ConvTranspose", (last,)), ("LazyConvTranspose", ())):
        CASES += [
            case(f"{name}{dims}d", *first, 6, 3, on=reals(*shape)),
            case(
                f"{name}{dims}d",
                *first,
                6,
                3,
                stride=2,
                padding=1,
                output_padding=1,
                groups=2,
                on=reals(*shape),
            ),
            case(f"{name}{dims}d", *first, 3, 2, dilation=2, bias=False, on=reals(*shape)),
        ]
    CASES += [
        case(f"MaxPool{dims}d", 2, on=reals(*shape)),
        case(f"MaxPool{dims}d", 3, 2, 1, ceil_mode=True, on=reals(*shape)),
        case(f"MaxPool{dims}d", 2, 1, 0, 2, on=reals(*shape)),
        case(f"AvgPool{dims}d", 2, on=reals(*shape)),
        case(f"AvgPool{dims}d", 3, 2, 1, count_include_pad=False, on=reals(*shape)),
        case(f"AvgPool{dims}d", 3, 2, 1, ceil_mode=True, on=reals(*shape)),
        case(f"LPPool{dims}d", 2.0, 2, on=reals(*shape)),
        case(f"LPPool{dims}d", 2.0, 3, 2, ceil_mode=True, on=reals(*shape)),
        case(f"LPPool{dims}d", 1.5, 2, on=positive(*shape)),
        case(f"AdaptiveAvgPool{dims}d", 1, on=reals(*shape)),
        case(f"AdaptiveAvgPool{dims}d", 2, on=reals(*shape)),
        case(f"AdaptiveAvgPool{dims}d", 3, on=reals(*shape)),
        case(f"AdaptiveMaxPool{dims}d", 1, on=reals(*shape)),
        case(f"AdaptiveMaxPool{dims}d", 2, on=reals(*shape)),
        case(f"AdaptiveMaxPool{dims}d", 3, on=reals(*shape)),
        case("PoolAndBack", dims, kernel_size=2, on=reals(*shape)),
    ]
    CASES += [case(f"Dropout{dims}d", on=reals(*shape)), case("FeatureAlphaDropout", on=reals(*shape))]
CASES += [
    case("AvgPool2d", 2, divisor_override=3, on=reals(*PICTURE)),
    case("MaxPool2d", 2, 3, ceil_mode=True, on=reals(N, 2, 8, 8)),
    case("BatchNorm1d", 5, on=reals(N, 5)),
    case("Attending", on=(reals(N, 5, 8), booleans(N, 5))),
    case("Attending", bias=False, add_zero_attn=True, add_bias_kv=True, on=(reals(N, 5, 8), booleans(N, 5))),
    case("PoolAndBack", 2, kernel_size=(4, 2), padding=(2, 0), on=reals(*PICTURE)),
]
for name in ("RNN", "LSTM", "GRU"):
    states = (reals(2, N, 4),) * (2 if name == "LSTM" else 1)
    CASES += [
        case(name, 3, 4, on=reals(5, N, 3)),
        case(name, 3, 4, num_layers=2, bidirectional=True, batch_first=True, on=reals(N, 5, 3)),
        case(name, 3, 4, num_layers=2, bias=False, on=reals(5, N, 3)),
        case(f"{name}Cell", 3, 4, on=reals(N, 3)),
        case(f"{name}Cell", 3, 4, bias=False, on=reals(N, 3)),
    ]
CASES += [
    case("RNN", 3, 4, nonlinearity="relu", on=reals(5, N, 3)),
    case("RNN", 3, 4, 2, on=(reals(5, N, 3), reals(2, N, 4))),
    case("GRU", 3, 4, bidirectional=True, on=(reals(5, N, 3), reals(2, N, 4))),
    case("LSTM", 3, 4, proj_size=2, on=reals(5, N, 3)),
    case("RNNCell", 3, 4, nonlinearity="relu", on=(reals(N, 3), reals(N, 4))),
    case("GRUCell", 3, 4, on=(reals(N, 3), reals(N, 4))),
]

for mode in ("sum", "mean", "max"):
    CASES += [
        case("EmbeddingBag", 11, 4, mode=mode, on=(integers(11, 9), offsets(9, N))),
        case("EmbeddingBag", 5, 4, mode=mode, padding_idx=1, on=(integers(5, 9), offsets(9, N))),
    ]
for dims, shape in SHAPES.items():
    CASES += [
        case(f"AdaptiveMaxPool{dims}d", size, return_indices=True, on=reals(*shape)) for size in (1, 2, 3)
    ]
    if dims > 1:
        for options in ({"output_size": 3}, {"output_ratio": 0.6, "return_indices": True}):
            samples = pn.zeros((2, shape[1], dims))
            on = reals(2, *shape[1:])
            CASES.append(case(f"FractionalMaxPool{dims}d", 2, _random_samples=samples, **options, on=on))

# Losses: of scores and classes, of numbers and numbers, of scores and labels 1 and -1

SCORES, CLASSES, MAPS = (N, 5), integers(5, N), (N, 5, 3)
PAIRS = (reals(N, 4), reals(N, 4))
LOSSES: list[Case] = [
    case("AdaptiveLogSoftmaxWithLoss", 6, 12, [3, 7], on=(reals(N, 6), integers(12, N))),
    case("AdaptiveLogSoftmaxWithLoss", 6, 12, [5], head_bias=True, on=(reals(N, 6), integers(12, N))),
    case("KLDivLoss", "batchmean", on=(reals(*SCORES), units(*SCORES))),
    case("KLDivLoss", "batchmean", log_target=True, on=(reals(*SCORES), reals(*SCORES))),
]
for reduction in ("none", "mean", "sum"):
    kind = {"reduction": reduction}
    LOSSES += [
        case("BCELoss", **kind, on=(units(N, 3), units(N, 3))),
        case("BCELoss", factors(), **kind, on=(units(*SCORES), units(*SCORES))),
        case("BCEWithLogitsLoss", **kind, on=(reals(*SCORES), units(*SCORES))),
        case(
            "BCEWithLogitsLoss", factors(), pos_weight=factors(), **kind, on=(reals(*SCORES), units(*SCORES))
        ),
        case("CTCLoss", 4, **kind, on=(reals(7, N, 5), integers(4, N, 3), integers(8, N), integers(4, N))),
        case(
            "CTCLoss",
            4,
            zero_infinity=True,
            **kind,
            on=(reals(6, N, 5), integers(4, N, 3), integers(7, N), integers(4, N)),
        ),
        case("CosineEmbeddingLoss", 0.1, **kind, on=(*PAIRS, signs(N))),
        case("CrossEntropyLoss", **kind, on=(reals(*SCORES), CLASSES)),
        case("CrossEntropyLoss", factors(), ignore_index=2, **kind, on=(reals(*MAPS), integers(5, N, 3))),
        case("CrossEntropyLoss", factors(), label_smoothing=0.2, **kind, on=(reals(*SCORES), CLASSES)),
        case("CrossEntropyLoss", factors(), label_smoothing=0.2, **kind, on=(reals(*SCORES), units(*SCORES))),
        case("GaussianNLLLoss", full=True, **kind, on=(*PAIRS, positive(N, 4))),
        case("GaussianNLLLoss", eps=0.5, **kind, on=(*PAIRS, positive(N))),
        case("HingeEmbeddingLoss", 0.5, **kind, on=(reals(N, 4), signs(N, 4))),
        case("HuberLoss", delta=0.5, **kind, on=PAIRS),
        case("KLDivLoss", **kind, on=(reals(*SCORES), units(*SCORES))),
        case("L1Loss", **kind, on=PAIRS),
        case("LinearCrossEntropyLoss", 4, 5, **kind, on=(reals(N, 4), CLASSES)),
        case("MSELoss", **kind, on=PAIRS),
        case("MarginRankingLoss", 0.3, **kind, on=(reals(N), reals(N), signs(N))),
        case("MultiLabelMarginLoss", **kind, on=(reals(*SCORES), subsets(5, N))),
        case("MultiLabelSoftMarginLoss", factors(), **kind, on=(reals(*SCORES), units(*SCORES))),
        case("MultiMarginLoss", **kind, on=(reals(*SCORES), CLASSES)),
        case("MultiMarginLoss", 2, 0.7, factors(), **kind, on=(reals(*SCORES), CLASSES)),
        case("NLLLoss", **kind, on=(reals(*SCORES), CLASSES)),
        case("NLLLoss", factors(), ignore_index=2, **kind, on=(reals(*MAPS), integers(5, N, 3))),
        case("PoissonNLLLoss", full=True, **kind, on=(reals(N, 4), integers(6, N, 4))),
        case("PoissonNLLLoss", log_input=False, **kind, on=(positive(N, 4), positive(N, 4))),
        case("SmoothL1Loss", beta=0.5, **kind, on=PAIRS),
        case("SoftMarginLoss", **kind, on=(reals(N, 4), signs(N, 4))),
        case("TripletMarginLoss", swap=True, p=3.0, **kind, on=(*PAIRS, reals(N, 4))),
        case("TripletMarginWithDistanceLoss", **kind, on=(*PAIRS, reals(N, 4))),
        case(
            "TripletMarginWithDistanceLoss",
            distance_function=nn.PairwiseDistance(1.0),
            **kind,
            on=(*PAIRS, reals(N, 4)),
        ),
    ]
CASES += LOSSES

OWN = {"PoolAndBack": PoolAndBack, "Attending": Attending}
