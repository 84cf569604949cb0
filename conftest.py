"""What the examples in docstrings may use without importing it."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(autouse=True, scope="session")
def _portanet_in_doctests(doctest_namespace: dict[str, Any]) -> None:
    import portanet

    doctest_namespace["pn"] = portanet
