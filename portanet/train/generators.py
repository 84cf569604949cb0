"""The generators of random numbers that take part in a run, wherever they are."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

from portanet.random import Generator, default_generator
from portanet.tensor import Tensor

__all__ = ["named_generators"]

_SEARCHED, _LONGEST = 10_000, 64
"""Objects that are searched for generators at most, and the longest list among them."""
_PLAIN = (Tensor, type, ModuleType, str, bytes, int, float, complex, type(None))
"""What is not searched."""


def named_generators(**places: Any) -> dict[str, Generator]:
    """Every generator that is an attribute of these or of what they are made of, and the one for all; each once.

    Functions are made of what they were defined beside, or are given beforehand. The nearest come first, so that a
    generator with two names has the same one in the next run.
    """
    found: dict[str, Generator] = {"default": default_generator}
    known = {id(default_generator)}
    waiting = deque(places.items())
    while waiting and len(known) < _SEARCHED:
        place, value = waiting.popleft()
        if id(value) in known or isinstance(value, _PLAIN):
            continue
        known.add(id(value))
        if isinstance(value, Generator):
            found[place] = value
        else:
            waiting.extend((f"{place}{name}", part) for name, part in _parts(value))
    return found


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What an object is made of, each with what is written behind the object to have it."""
    if isinstance(value, (list, tuple, dict)):
        if len(value) <= _LONGEST:
            for key, part in value.items() if isinstance(value, dict) else enumerate(value):
                yield f"[{key!r}]", part
        return
    if isinstance(value, FunctionType):
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            if cell != CellType():  # a variable may have no value yet
                yield f".{name}", cell.cell_contents
    elif isinstance(value, MethodType):
        yield from ((".__self__", value.__self__), (".__func__", value.__func__))
    elif isinstance(value, partial):
        yield from ((".func", value.func), (".args", value.args), (".keywords", value.keywords))
    for name, part in getattr(value, "__dict__", {}).items():
        yield f".{name}", part
