"""Samples of the Fourier transforms; what NumPy gives is the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from portanet import fft as functions
from portanet.ops import fourier
from portanet.testing.samples.drawing import Draw, Sample, Table, complex_normal, normal

__all__ = ["COMPOSED", "SAMPLES", "WITHOUT_GRADIENT"]

ALONG_ONE_AXIS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((5,), {}),
    ((6,), {"norm": "ortho"}),
    ((2, 4), {"norm": "forward"}),
    ((2, 5), {"axis": 0, "n": 3}),
    ((4, 3), {"axis": -2, "n": 3}),
    ((2, 3, 4), {"axis": 1, "n": 7, "norm": "ortho"}),
    ((2, 3, 4), {"axis": 1, "n": 8, "norm": "forward"}),
    ((2, 3, 4), {"axis": -1, "n": 2}),
    ((3, 2), {"n": 1}),
    ((1, 3), {"axis": 0, "n": 4}),
    ((0, 3), {}),
    ((0, 4), {"n": 6}),
]
"""Shapes and options: odd and even lengths, cut and padded, of a stack without elements."""

OVER_AXES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((3, 4), {}),
    ((4, 5), {"norm": "ortho"}),
    ((5,), {"norm": "forward"}),
    ((2, 3, 4), {"axes": (0, 2)}),
    ((2, 3, 4), {"axes": (-1, 1), "norm": "forward"}),
    ((2, 3, 4), {"axes": (1,)}),
    ((3, 2, 4), {"axes": (2, 0), "s": (5, 2)}),
    ((3, 2, 4), {"axes": (0, 2), "s": (2, 7), "norm": "ortho"}),
    ((3, 2, 4), {"axes": (0, 1, 2), "s": (1, 5, 6)}),
    ((4, 3), {"axes": (-2, -1), "s": (1, 1)}),
    ((0, 3, 4), {"axes": (1, 2)}),
    ((3, 0, 4), {"axes": (0, 2), "s": (2, 5)}),
]


def transforms(
    reference: Any, draw: Callable[..., Draw], calls: list[tuple[tuple[int, ...], dict[str, Any]]]
) -> list[Sample]:
    return [Sample((draw(*shape),), options, reference) for shape, options in calls]


SAMPLES: Table = {
    **{
        op: [
            *transforms(reference, complex_normal, ALONG_ONE_AXIS),
            *transforms(reference, normal, [((4,), {}), ((2, 5), {"axis": 0, "n": 3})]),
        ]
        for op, reference in ((fourier.fft, np.fft.fft), (fourier.ifft, np.fft.ifft))
    },
    **{
        op: transforms(reference, normal, ALONG_ONE_AXIS)
        for op, reference in ((fourier.rfft, np.fft.rfft), (fourier.ihfft, np.fft.ihfft))
    },
    **{
        op: [
            *transforms(reference, complex_normal, ALONG_ONE_AXIS),
            *transforms(reference, normal, [((4,), {}), ((3, 4), {"axis": 0, "n": 5})]),
        ]
        for op, reference in ((fourier.irfft, np.fft.irfft), (fourier.hfft, np.fft.hfft))
    },
    **{
        op: [
            *transforms(reference, complex_normal, OVER_AXES),
            *transforms(reference, normal, [((3, 4), {})]),
        ]
        for op, reference in ((fourier.fftn, np.fft.fftn), (fourier.ifftn, np.fft.ifftn))
    },
    fourier.rfftn: transforms(np.fft.rfftn, normal, OVER_AXES),
    fourier.irfftn: [
        *transforms(np.fft.irfftn, complex_normal, OVER_AXES),
        *transforms(np.fft.irfftn, normal, [((3, 4), {})]),
    ],
}
"""Ops with a gradient."""

WITHOUT_GRADIENT: Table = {}
"""There is none."""

SHIFTS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((5,), {}),
    ((4, 3), {}),
    ((4, 3), {"axes": 0}),
    ((2, 3, 5), {"axes": (0, -1)}),
    ((2, 3, 5), {"axes": [1]}),
    ((0, 3), {}),
    ((2, 0), {"axes": 1}),
]
COMPOSED: Table = {
    function: [
        *transforms(reference, normal, SHIFTS),
        *transforms(reference, complex_normal, SHIFTS[:3]),
    ]
    for function, reference in (
        (functions.fftshift, np.fft.fftshift),
        (functions.ifftshift, np.fft.ifftshift),
    )
}
"""Public functions that are made of others."""
