"""Modules that hold modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, overload

from portanet.nn.module import Module

__all__ = ["ModuleDict", "ModuleList", "Sequential"]

L = TypeVar("L", bound="ModuleList")


def _check_module(owner: str, module: Any) -> Module:
    if not isinstance(module, Module):
        hint = " (pass an instance, with parentheses)" if isinstance(module, type) else ""
        raise TypeError(f"{owner}: expected Modules, got {module!r}{hint}.")
    return module


class ModuleList(Module):
    """A list of modules that belong to the model.

    Parameters
    ----------
    modules : iterable of Module, optional
        Its first elements.
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def _name(self, index: int) -> str:
        length = len(self)
        if not -length <= index < length:
            raise IndexError(f"index {index} is out of range for {type(self).__name__} of length {length}")
        return str(index % length)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> ModuleList: ...
    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return vars(self)[self._name(index)]  # type: ignore[no-any-return]

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name(index), _check_module(type(self).__name__, module))

    def __delitem__(self, index: int) -> None:
        rest = list(self)
        del rest[index]
        self._become(rest)

    def __iadd__(self: L, modules: Iterable[Module]) -> L:
        self.extend(modules)
        return self

    def _become(self, modules: list[Module]) -> None:
        for name, _ in list(self.named_children()):
            delattr(self, name)
        self.extend(modules)

    def append(self, module: Module) -> ModuleList:
        """Add a module at the end."""
        setattr(self, str(len(self)), _check_module(type(self).__name__, module))
        return self

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Add several modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Put a module before the one at ``index``."""
        _check_module(type(self).__name__, module)
        modules = list(self)
        modules.insert(index, module)
        self._become(modules)

    def _printed_children(self) -> list[tuple[str, str]]:
        """Like neighbours share a line: ``(0-3): 4 x Linear(...)``."""
        runs: list[list[Any]] = []
        for name, text in super()._printed_children():
            if runs and runs[-1][2] == text:
                runs[-1][1] = name
                runs[-1][3] += 1
            else:
                runs.append([name, name, text, 1])
        return [
            (first, text) if count == 1 else (f"{first}-{last}", f"{count} x {text}")
            for first, last, text, count in runs
        ]


class Sequential(ModuleList):
    """Modules that are called one after another, each with the output of the one before.

    Parameters
    ----------
    *modules : Module
        In order; or one dict of names and modules.

    Examples
    --------
    >>> pn.nn.Sequential(pn.nn.Linear(2, 3), pn.nn.ReLU())
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, *modules: Any) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, _check_module("Sequential", module))
        elif len(modules) == 1 and isinstance(modules[0], (list, tuple)):
            self.extend(modules[0])
        else:
            self.extend(modules)

    def _name(self, index: int) -> str:
        names = [name for name, _ in self.named_children()]
        if not -len(names) <= index < len(names):
            raise IndexError(f"index {index} is out of range for Sequential of length {len(names)}")
        return names[index]

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(dict(list(self.named_children())[index]))
        return super().__getitem__(index)

    def _printed_children(self) -> list[tuple[str, str]]:
        return Module._printed_children(self)

    def forward(self, x: Any) -> Any:
        """Call each module on the output of the one before."""
        for module in self.__dict__.values():
            if isinstance(module, Module):
                # Straight to forward where calling would do no more: each call costs as much as a small layer's sum.
                x = module(x) if module._hooked else module.forward(x)
        return x


class ModuleDict(Module):
    """Modules by name that belong to the model.

    Parameters
    ----------
    modules : mapping of str to Module, or pairs of both, optional
        Its first elements.
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace several modules."""
        for name, module in dict(modules).items():
            self[name] = module

    def __getitem__(self, name: str) -> Module:
        module = vars(self).get(name)
        if not isinstance(module, Module):
            raise KeyError(f"no module named {name!r}; there are {', '.join(self.keys()) or 'none'}")
        return module

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, _check_module("ModuleDict", module))

    def __delitem__(self, name: str) -> None:
        self[name]
        delattr(self, name)

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: str) -> bool:
        return name in self.keys()

    def pop(self, name: str) -> Module:
        """Take a module out and return it."""
        module = self[name]
        del self[name]
        return module

    def keys(self) -> list[str]:
        """The names."""
        return [name for name, _ in self.named_children()]

    def values(self) -> list[Module]:
        """The modules."""
        return list(self.children())

    def items(self) -> list[tuple[str, Module]]:
        """Names and modules."""
        return list(self.named_children())
