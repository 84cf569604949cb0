"""Containers of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, overload

from portanet.backend import backend_of
from portanet.nn.module import Module
from portanet.nn.parameter import Parameter
from portanet.tensor import Tensor

__all__ = ["ParameterDict", "ParameterList"]

P = TypeVar("P", bound="ParameterList")
D = TypeVar("D", bound="ParameterDict")

Part = Parameter | Module
"""What a container of parameters holds: parameters, and containers of them."""


def _check_part(owner: str, value: Any) -> Part:
    """A part for a container of parameters: other Tensors and arrays become parameters."""
    if isinstance(value, (Parameter, Module)):
        return value
    if isinstance(value, Tensor) or backend_of(value) is not None:
        return Parameter(value)
    raise TypeError(
        f"{owner}: expected Parameters, Tensors or arrays, got {type(value).__name__}. Keep what is not trained in an "
        "attribute of the model."
    )


def _described(parts: Iterable[tuple[str, Part]]) -> str:
    """One line for each parameter: its data type, its shape, and its place where that is not the host."""
    lines = []
    for name, part in parts:
        if isinstance(part, Parameter):
            size = "x".join(str(length) for length in part.shape)
            place = "" if part.device.name == "cpu" else f" ({part.device})"
            text = f"Parameter containing: [{part.dtype} of size {size}{place}]"
        else:
            text = f"Object of type: {type(part).__name__}"
        lines.append(f"  ({name}): {text}")
    return "\n".join(lines)


class ParameterList(Module):
    """A list of parameters that belong to the model.

    Parameters
    ----------
    values : iterable, optional
        Its first elements: Parameters; Tensors and arrays, which become parameters; or modules such as other lists.

    Examples
    --------
    >>> weights = pn.nn.ParameterList([pn.zeros((2, 3)), pn.zeros((3,))])
    >>> len(weights), list(weights.state_dict())
    (2, ['0', '1'])
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        self.extend(() if values is None else values)

    def _names(self) -> list[str]:
        return [name for name, value in vars(self).items() if name.isdigit() and isinstance(value, Part)]

    def __len__(self) -> int:
        return len(self._names())

    def __iter__(self) -> Iterator[Part]:
        return iter([vars(self)[name] for name in self._names()])

    def _name(self, index: int) -> str:
        length = len(self)
        if not -length <= index < length:
            raise IndexError(f"index {index} is out of range for {type(self).__name__} of length {length}")
        return str(index % length)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self: P, index: slice) -> P: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return vars(self)[self._name(index)]

    def __setitem__(self, index: int, value: Any) -> None:
        name, part = self._name(index), _check_part(type(self).__name__, value)
        object.__setattr__(self, name, part)

    def __iadd__(self: P, values: Iterable[Any]) -> P:
        return self.extend(values)

    def append(self: P, value: Any) -> P:
        """Add a parameter at the end."""
        setattr(self, str(len(self)), _check_part(type(self).__name__, value))
        return self

    def extend(self: P, values: Iterable[Any]) -> P:
        """Add several parameters at the end."""
        if isinstance(values, Tensor) or not isinstance(values, Iterable):
            raise TypeError(
                f"{type(self).__name__}: expected an iterable of Parameters, got {type(values).__name__}. "
                "Put it into a list."
            )
        for part in [_check_part(type(self).__name__, value) for value in values]:
            self.append(part)
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Not for calling."""
        raise RuntimeError(f"{type(self).__name__} holds parameters and cannot be called. Index it.")

    def extra_repr(self) -> str:
        """The parameters."""
        return _described((name, vars(self)[name]) for name in self._names())


class ParameterDict(Module):
    """Parameters by name that belong to the model.

    Parameters
    ----------
    parameters : mapping of str, or pairs, optional
        Its first elements: Parameters; Tensors and arrays, which become parameters; or modules such as lists of
        parameters. A plain dict is taken in the order of its names.

    Examples
    --------
    >>> scales = pn.nn.ParameterDict({"left": pn.zeros((2,)), "right": pn.zeros((3,))})
    >>> scales["right"].shape, list(scales.state_dict())
    ((3,), ['left', 'right'])
    """

    def __init__(self, parameters: Any = None) -> None:
        self.update({} if parameters is None else parameters)

    def update(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] | ParameterDict) -> None:
        """Add or replace several parameters; those of a plain dict in the order of their names."""
        if isinstance(parameters, (ParameterDict, Mapping)):
            pairs = list(parameters.items())
            if type(parameters) is dict:
                pairs.sort(key=lambda pair: pair[0])
        elif isinstance(parameters, Iterable) and not isinstance(parameters, Tensor):
            pairs = [(name, value) for name, value in parameters]
        else:
            raise TypeError(
                f"{type(self).__name__}: expected a mapping of names to Parameters, or pairs of both, got "
                f"{type(parameters).__name__}."
            )
        for name, value in pairs:
            self[name] = value

    def __getitem__(self, name: str) -> Any:
        part = vars(self).get(name)
        if not isinstance(part, Part):
            raise KeyError(f"no parameter named {name!r}; there are {', '.join(self.keys()) or 'none'}")
        return part

    def __setitem__(self, name: str, value: Any) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{type(self).__name__}: names are strings, got {name!r}.")
        part = _check_part(type(self).__name__, value)
        if name not in self.keys():
            if isinstance(part, Parameter):
                self.register_parameter(name, part)
            else:
                self.add_module(name, part)
        object.__setattr__(self, name, part)

    def __delitem__(self, name: str) -> None:
        self[name]
        delattr(self, name)

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __reversed__(self) -> Iterator[str]:
        return reversed(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __or__(self: D, other: Any) -> D:
        joined = self.copy()
        joined.update(other)
        return joined

    def __ror__(self: D, other: Any) -> D:
        joined = type(self)(other)
        joined.update(self)
        return joined

    def __ior__(self: D, other: Any) -> D:
        self.update(other)
        return self

    def keys(self) -> list[str]:
        """The names."""
        return [name for name, value in vars(self).items() if isinstance(value, Part)]

    def values(self) -> list[Any]:
        """The parameters."""
        return [vars(self)[name] for name in self.keys()]

    def items(self) -> list[tuple[str, Any]]:
        """Names and parameters."""
        return [(name, vars(self)[name]) for name in self.keys()]

    def get(self, name: str, default: Any = None) -> Any:
        """The parameter of this name, or ``default``."""
        found = vars(self).get(name)
        return found if isinstance(found, Part) else default

    def setdefault(self, name: str, default: Any) -> Any:
        """The parameter of this name, which is ``default`` from now on if there was none."""
        if name not in self:
            self[name] = default
        return self[name]

    def pop(self, name: str) -> Any:
        """Take a parameter out and return it."""
        part = self[name]
        del self[name]
        return part

    def popitem(self) -> tuple[str, Any]:
        """Take the last name and parameter out and return them."""
        if not self.keys():
            raise KeyError(f"{type(self).__name__} is empty")
        name = self.keys()[-1]
        return name, self.pop(name)

    def clear(self) -> None:
        """Take all parameters out."""
        for name in self.keys():
            delattr(self, name)

    def copy(self: D) -> D:
        """Another dict of the same parameters."""
        return type(self)(self)

    def fromkeys(self, keys: Iterable[str], default: Any) -> ParameterDict:
        """A dict of these names, each with a parameter made of ``default``; of a Parameter all share it."""
        return ParameterDict([(name, default) for name in keys])

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Not for calling."""
        raise RuntimeError(f"{type(self).__name__} holds parameters and cannot be called. Index it.")

    def extra_repr(self) -> str:
        """The parameters."""
        return _described(self.items())
