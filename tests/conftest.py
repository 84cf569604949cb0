"""What all tests share: the backends that are here, and fresh random inputs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import portanet as pn

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # which SciPy reads when it is imported


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        action="append",
        default=None,
        help="run the tests that take every backend on this one only; may be repeated; default: all that are available",
    )
    parser.addoption("--seed", type=int, default=None, help="the seed of the random inputs; default: fresh")


def _backend_names(config: pytest.Config) -> list[str]:
    chosen = config.getoption("--backend")
    if chosen:
        return list(chosen)
    return [report.name for report in pn.available_backends() if report.available]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", _backend_names(metafunc.config), indirect=True)
    if "eager" in metafunc.fixturenames:
        names = [name for name in _backend_names(metafunc.config) if name != "jax"]
        metafunc.parametrize("eager", names, indirect=True)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of one backend, in use during the test."""
    with pn.use_backend(request.param, strict=True):
        yield request.param


@pytest.fixture
def eager(request: pytest.FixtureRequest) -> Iterator[str]:
    """Like ``backend``, without JAX, which would compile for minutes what the tests that take this one try."""
    with pn.use_backend(request.param, strict=True):
        yield request.param


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> Any:
    """Fresh random inputs; the seed is shown when a test fails and can be given again with ``--seed``."""
    seed = request.config.getoption("--seed")
    if seed is None:
        seed = int(np.random.SeedSequence().entropy % 2**32)
    request.node.user_properties.append(("seed", seed))
    request.node.add_report_section("setup", "seed", f"--seed {seed}")
    return np.random.default_rng(seed)
