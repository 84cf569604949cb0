"""How near a result must come to PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn

BOUNDS = {"float32": 1e-5, "float64": 1e-10}
"""The largest relative error, by data type."""

DTYPES = pytest.mark.parametrize("dtype", list(BOUNDS))


def host(value: Any) -> Any:
    """A NumPy array with the values of a Tensor of portanet or of PyTorch."""
    return np.asarray(value.detach().numpy())


def assert_near(found: pn.Tensor, expected: Any, what: str = "", *, scale: float = 0.0) -> None:
    """Compare a Tensor with one of PyTorch's: shape, data type, and the largest error relative to the largest value.

    Of a few numbers that are sums of either sign, all may come out near 0 by chance; then ``scale`` is what they are
    measured by, the size of what was added.
    """
    mine, its = host(found), host(expected)
    assert mine.shape == its.shape, what
    assert mine.dtype == its.dtype, what
    np.testing.assert_array_equal(np.isfinite(mine), np.isfinite(its), err_msg=what)
    if mine.size:
        error = np.abs(mine - its).max() / max(np.abs(its).max(), scale, np.finfo(its.dtype).tiny)
        assert error < BOUNDS[its.dtype.name], f"{what}: relative error {error:.1e}"
