"""A module with parts of every kind, and how the values of state dicts are compared."""

from __future__ import annotations

from typing import Any

import numpy as np

import portanet as pn
from portanet import nn


class Affine(nn.Module):
    """Parameters, buffers of both kinds and a child; no call of ``super().__init__()``."""

    def __init__(self) -> None:
        self.scale = nn.Parameter(pn.ones((3,)))
        self.shift = None
        self.register_buffer("mean", pn.zeros((3,)))
        self.register_buffer("count", pn.asarray(0))
        self.register_buffer("scratch", pn.zeros((2,)), persistent=False)
        self.inner = nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        return self.inner((x - self.mean) * self.scale)


def hosts(tensors: Any) -> dict[str, Any]:
    """Host copies of a state dict."""
    return {name: np.array(pn.asarray(value).detach().numpy()) for name, value in tensors.items()}


def assert_same(state: Any, expected: dict[str, Any]) -> None:
    found = hosts(state)
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
