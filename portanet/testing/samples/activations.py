"""Samples of the activations, of the error function behind one of them, and of padding."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from portanet.ops import activations, error_function, padding
from portanet.testing.samples.drawing import (
    Sample,
    Table,
    apart,
    away_from_zero,
    between,
    each,
    normal,
    unary,
)

__all__ = ["SAMPLES"]

erf = np.vectorize(math.erf, otypes=[float])
erfc = np.vectorize(math.erfc, otypes=[float])

PADDING_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""NumPy's names."""


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def leaky_relu(x: Any, *, negative_slope: float) -> Any:
    return np.where(x > 0, x, x * negative_slope)


def prelu(x: Any, weight: Any) -> Any:
    return np.where(x > 0, x, x * weight)


def hardtanh(x: Any, *, min_val: float, max_val: float) -> Any:
    return np.clip(x, min_val, max_val)


def hardsigmoid(x: Any) -> Any:
    return np.clip(x / 6 + 0.5, 0, 1)


def hardshrink(x: Any, *, lambd: float) -> Any:
    return np.where(np.abs(x) > lambd, x, 0.0)


def softshrink(x: Any, *, lambd: float) -> Any:
    return np.sign(x) * np.maximum(np.abs(x) - lambd, 0)


def threshold(x: Any, *, threshold: float, value: float) -> Any:
    return np.where(x > threshold, x, value)


def elu(x: Any, *, alpha: float, scale: float, input_scale: float) -> Any:
    return scale * np.where(x > 0, x, alpha * np.expm1(x * input_scale))


def gelu(x: Any, *, approximate: str) -> Any:
    if approximate == "none":
        return x * (1 + erf(x / np.sqrt(2))) / 2
    return x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2


def glu(x: Any, *, dim: int) -> Any:
    a, b = np.split(x, 2, axis=dim)
    return a * sigmoid(b)


def pad(x: Any, *, widths: Any, mode: str, value: float) -> Any:
    if not widths:  # which NumPy does not take
        return x
    kept = tuple(
        slice(max(-before, 0), length - max(-after, 0))
        for length, (before, after) in zip(x.shape, widths, strict=True)
    )
    added = [(max(before, 0), max(after, 0)) for before, after in widths]
    options = {"constant_values": value} if mode == "constant" else {}
    return np.pad(x[kept], added, mode=PADDING_MODES[mode], **options)  # type: ignore[call-overload]


def padded(shape: tuple[int, ...], widths: Any, mode: str = "constant", value: float = 0.0) -> Sample:
    return Sample((normal(*shape),), {"widths": widths, "mode": mode, "value": value}, pad)


def optioned(reference: Any, draw: Any, *options: dict[str, Any]) -> list[Sample]:
    """Each choice of options on a matrix, and the first on a number and on no elements."""
    return [
        *each(reference, *((draw(2, 5), chosen) for chosen in options)),
        Sample((draw(),), options[0], reference),
        Sample((draw(0, 2),), options[0], reference),
    ]


SAMPLES: Table = {
    activations.elu: optioned(
        elu,
        away_from_zero,
        {"alpha": 1.0, "scale": 1.0, "input_scale": 1.0},
        {"alpha": 1.6, "scale": 1.1, "input_scale": 1.0},
        {"alpha": 0.5, "scale": 1.0, "input_scale": 2.0},
    ),
    activations.gelu: optioned(gelu, normal, {"approximate": "none"}, {"approximate": "tanh"}),
    activations.glu: [
        Sample((normal(*shape),), {"dim": dim}, glu)
        for shape, dim in (((3, 4), -1), ((4, 3), 0), ((2, 6, 3), 1), ((0, 4), 1), ((2,), 0))
    ],
    # The draws lie 0.05 and more from the kinks: multiples of 0.4 beside 0.2, moved by 0.05 at most.
    activations.hardshrink: optioned(hardshrink, apart, {"lambd": 0.4}, {"lambd": 0.8}),
    activations.hardsigmoid: unary(hardsigmoid, away_from_zero),
    activations.hardswish: [
        *unary(lambda x: x * hardsigmoid(x), away_from_zero),
        Sample((between(3.2, 5, 4),), reference=lambda x: x * hardsigmoid(x)),
        Sample((between(-5, -3.2, 4),), reference=lambda x: x * hardsigmoid(x)),
    ],
    activations.hardtanh: optioned(
        hardtanh, apart, {"min_val": -0.8, "max_val": 1.2}, {"min_val": 0.0, "max_val": 0.8}
    ),
    activations.leaky_relu: optioned(
        leaky_relu, away_from_zero, {"negative_slope": 0.01}, {"negative_slope": -0.5}
    ),
    activations.logsigmoid: unary(lambda x: -np.log1p(np.exp(-x)), normal),
    activations.mish: unary(lambda x: x * np.tanh(np.log1p(np.exp(x))), normal),
    activations.prelu: [
        Sample((away_from_zero(*shape), normal(*slopes)), reference=prelu)
        for shape, slopes in (
            ((2, 3, 4), (1, 3, 1)),
            ((2, 3), (1, 1)),
            ((2, 3), (2, 3)),
            ((), ()),
            ((0, 3), (1, 3)),
        )
    ],
    activations.silu: unary(lambda x: x * sigmoid(x), normal),
    activations.softshrink: optioned(softshrink, apart, {"lambd": 0.4}, {"lambd": 0.8}),
    activations.softsign: unary(lambda x: x / (1 + np.abs(x)), away_from_zero),
    activations.threshold: optioned(
        threshold, apart, {"threshold": 0.4, "value": 7.0}, {"threshold": -0.8, "value": 0.0}
    ),
    error_function.erf: [*unary(erf, normal), Sample((between(-4, 4, 9),), reference=erf)],
    error_function.erfc: [*unary(erfc, normal), Sample((between(-4, 4, 9),), reference=erfc)],
    padding.pad: [
        padded((2, 3), ((1, 2), (0, 3))),
        padded((2, 3), ((0, 0), (2, 0)), value=1.5),
        padded((4, 5), ((-1, 2), (1, -3)), value=-2.0),
        padded((3,), ((0, 0),)),
        padded((), ()),
        padded((0, 2), ((1, 0), (1, 1))),
        padded((2, 4), ((0, 0), (3, 2)), "reflect"),
        padded((3, 4), ((2, 1), (0, 3)), "reflect"),
        padded((2, 1), ((1, 2), (0, 5)), "replicate"),
        padded((3, 4), ((0, 0), (2, 0)), "replicate"),
        padded((2, 3), ((2, 1), (3, 0)), "circular"),
        padded((2, 3, 2), ((0, 0), (0, 2), (1, 1)), "circular"),
    ],
}
"""Ops with a gradient."""
