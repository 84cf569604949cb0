"""Names of a package that are loaded when they are first asked for, which keeps ``import portanet`` short."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

__all__ = ["late_names"]


def late_names(package: str, modules: Sequence[str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the ``__getattr__`` and the ``__dir__`` of a package.

    Parameters
    ----------
    package : str
        Its dotted name. What its ``__all__`` has and the package itself has not is looked for in the modules.
    modules : sequence of str
        Names of modules in the package, which are loaded one after the other until one has the name in its
        ``__all__``: those that are asked for most come first. None may be called as one of the names, or loading it
        would put the module in the name's place.
    """

    def find(name: str) -> Any:
        space = sys.modules[package]
        if name in modules:
            return import_module(f"{package}.{name}")
        if name in space.__all__:
            for module in modules:
                loaded = import_module(f"{package}.{module}")
                if name in loaded.__all__:
                    found = getattr(loaded, name)
                    setattr(space, name, found)
                    return found
        raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=space)

    def names() -> list[str]:
        space = sys.modules[package]
        return sorted({*vars(space), *space.__all__, *modules})

    return find, names
