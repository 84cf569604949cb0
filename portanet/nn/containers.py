"""Modules that hold modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

from portanet.nn.module import Module

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


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
                setattr(self, name, _check_module("Sequential", module))
        elif len(modules) == 1 and isinstance(modules[0], (list, tuple)):
            self.extend(modules[0])
        else:
            self.extend(modules)

    def _name(self, index: int) -> str:
        names = [name for name, _ in self.named_children()]
        if not -len(names) <= index < len(names):
            raise IndexError(f"index {index} is out of range for Sequential of length {len(names)}")
        return names[index]

    def forward(self, x: Any) -> Any:
        """Call each module on the output of the one before."""
        for module in self.__dict__.values():
            if isinstance(module, Module):
                x = module(x)
        return x


class ModuleDict(Module):
    """Modules by name that belong to the model.

    Parameters
    ----------
    modules : mapping of str to Module, optional
        Its first elements.
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module]) -> None:
        """Add or replace several modules."""
        for name, module in modules.items():
            self[name] = module

    def __getitem__(self, name: str) -> Module:
        module = vars(self).get(name)
        if not isinstance(module, Module):
            raise KeyError(f"no module named {name!r}; there are {', '.join(self.keys()) or 'none'}")
        return module

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(name, str) or not name or "." in name or hasattr(type(self), name):
            raise KeyError(
                f"name: expected a string without dots that is no method of ModuleDict, got {name!r}"
            )
        setattr(self, name, _check_module("ModuleDict", module))

    def __delitem__(self, name: str) -> None:
        self[name]
        delattr(self, name)

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: str) -> bool:
        return name in self.keys()

    def keys(self) -> list[str]:
        """The names."""
        return [name for name, _ in self.named_children()]

    def values(self) -> list[Module]:
        """The modules."""
        return list(self.children())

    def items(self) -> list[tuple[str, Module]]:
        """Names and modules."""
        return list(self.named_children())
