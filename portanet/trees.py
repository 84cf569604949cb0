"""Nested containers of Tensors, such as the parameters of a model by name, taken apart and put together again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from portanet.backend import backend_of
from portanet.tensor import Tensor

__all__ = ["flatten"]

Rebuild = Callable[[Sequence[Any]], Any]


def flatten(tree: Any) -> tuple[list[Any], Rebuild]:
    """The Tensors and arrays in a tree of dicts, lists and tuples, and the function that puts others in their places.

    Anything else in the tree, numbers and strings for example, stays where it is.
    """
    leaves: list[Any] = []
    build = _take_apart(tree, leaves)

    def rebuild(values: Sequence[Any]) -> Any:
        if len(values) != len(leaves):
            raise ValueError(f"values: expected {len(leaves)}, got {len(values)}.")
        return build(values)

    return leaves, rebuild


def _take_apart(tree: Any, leaves: list[Any]) -> Rebuild:
    if isinstance(tree, Tensor) or backend_of(tree) is not None:
        place = len(leaves)
        leaves.append(tree)
        return lambda values: values[place]
    if isinstance(tree, dict):
        parts = {key: _take_apart(value, leaves) for key, value in tree.items()}
        return lambda values: type(tree)((key, build(values)) for key, build in parts.items())
    if isinstance(tree, (list, tuple)):
        builds = [_take_apart(value, leaves) for value in tree]
        make = getattr(type(tree), "_make", type(tree))  # of a named tuple
        return lambda values: make([build(values) for build in builds])
    return lambda values: tree
