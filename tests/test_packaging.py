"""What an installed portanet looks like; the nox session `build` runs this file against the wheel."""

from __future__ import annotations

import tomllib
from importlib import import_module
from importlib.metadata import distribution, entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

PROJECT: dict[str, Any] = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
BACKENDS: dict[str, str] = PROJECT["entry-points"]["portanet.backends"]


def test_installed_backends_are_the_declared_ones() -> None:
    installed = {
        point.name: point.value for point in entry_points(group="portanet.backends") if point.dist is not None
    }
    assert BACKENDS.items() <= installed.items()


@pytest.mark.parametrize("name", BACKENDS)
def test_a_record_loads_without_its_library(name: str) -> None:
    (point,) = entry_points(group="portanet.backends", name=name)
    assert point.load().name == name


def test_hard_dependencies_are_three() -> None:
    required = distribution("portanet").requires or []
    assert sorted(line.split(">")[0] for line in required if "extra ==" not in line) == [
        "array-api-compat",
        "numpy",
        "safetensors",
    ]


def test_types_are_shipped() -> None:
    assert files("portanet").joinpath("py.typed").is_file()
    assert files("portanet_numpy").joinpath("py.typed").is_file()


def test_version_is_told_once() -> None:
    assert import_module("portanet").__version__ == distribution("portanet").version == PROJECT["version"]
