"""One description of every function: operands to try it on, and what NumPy says the result is.

A table for each chapter of the standard. What has no samples here fails a test. The checks of
:mod:`portanet.testing.functions` run them on a backend; ``tests/parity`` compares the same operands with PyTorch.
"""

from __future__ import annotations

from portanet.testing.samples import (
    activations,
    attention,
    fourier,
    linear_algebra,
    losses,
    normalization,
    ops,
    recurrent,
    resampling,
    sorting,
    special,
    unpooling,
    windows,
)
from portanet.testing.samples.drawing import Sample, Table

__all__ = ["COMPOSED", "DIFFERENTIABLE", "EVERY_SAMPLE", "SAMPLES", "WITHOUT_GRADIENT", "Sample"]

SAMPLES: Table = {
    **ops.SAMPLES,
    **activations.SAMPLES,
    **attention.SAMPLES,
    **normalization.SAMPLES,
    **recurrent.SAMPLES,
    **resampling.SAMPLES,
    **fourier.SAMPLES,
    **linear_algebra.SAMPLES,
    **losses.SAMPLES,
    **sorting.SAMPLES,
    **special.SAMPLES,
    **unpooling.SAMPLES,
    **windows.SAMPLES,
}
"""Ops with a gradient."""

COMPOSED: Table = {
    **fourier.COMPOSED,
    **linear_algebra.COMPOSED,
    **linear_algebra.INVARIANT,
    **sorting.COMPOSED,
    **special.COMPOSED,
}
"""Functions that are put together from ops, with gradients."""

WITHOUT_GRADIENT: Table = {
    **ops.WITHOUT_GRADIENT,
    **fourier.WITHOUT_GRADIENT,
    **linear_algebra.WITHOUT_GRADIENT,
    **sorting.WITHOUT_GRADIENT,
    **special.WITHOUT_GRADIENT,
}
"""Ops that are constant almost everywhere, or whose results are no floating-point numbers."""

DIFFERENTIABLE: Table = {**SAMPLES, **COMPOSED}
EVERY_SAMPLE: Table = {**DIFFERENTIABLE, **WITHOUT_GRADIENT}
