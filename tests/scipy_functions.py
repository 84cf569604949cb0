"""What the tests of special functions share: skipping where SciPy would have to compute them and is not there."""

from __future__ import annotations

import importlib.util

import pytest

from portanet.testing.samples.special import COMPUTED_BY_SCIPY


def skip_without_scipy(name: str) -> None:
    """Skip a test that calls the special function of that name, if it cannot run here."""
    computed = {"psi", *(function.__name__ for function in COMPUTED_BY_SCIPY)}
    if name in computed and importlib.util.find_spec("scipy") is None:
        pytest.skip("SciPy, the extra `special`, is not installed; it computes this function on NumPy arrays")
