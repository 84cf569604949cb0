"""Module: a function with parameters.

A module keeps no registry. Its parameters, buffers and children are the Parameters, named buffers and Modules among its
attributes, found when somebody asks, so there is no second list that could disagree with them.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from portanet.backend import backend_of
from portanet.conversion import native_place
from portanet.dtypes import Device, DType, float32, float64
from portanet.errors import DTypeError, StateDictError
from portanet.graph import HookHandle, Version
from portanet.nn.parameter import Buffer, Parameter, UninitializedParameter
from portanet.protocols import Array
from portanet.tensor import Tensor, as_native, wrap

__all__ = ["Module", "UnmatchedKeys", "overwrite"]

M = TypeVar("M", bound="Module")


class UnmatchedKeys(NamedTuple):
    """What ``load_state_dict`` found not to match: names the module has alone, and names the dict has alone."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """The base class of layers, losses and models: assign parts as attributes and define ``forward``.

    Examples
    --------
    >>> class Net(pn.nn.Module):
    ...     def __init__(self):
    ...         self.hidden = pn.nn.Linear(2, 5)
    ...         self.out = pn.nn.Linear(5, 1)
    ...
    ...     def forward(self, x):
    ...         return self.out(pn.tanh(self.hidden(x)))
    >>> Net()
    Net(
      (hidden): Linear(in_features=2, out_features=5, bias=True)
      (out): Linear(in_features=5, out_features=1, bias=True)
    )
    """

    training: bool = True
    _forward_hooks: dict[int, Any] | None = None
    _forward_pre_hooks: dict[int, Any] | None = None
    _hooked: bool = False  # one look instead of two in every call
    _buffer_names: dict[str, bool] | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__call__" in vars(cls):  # whoever calls such a module must not go past it
            cls._hooked = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every module defines this."""
        raise NotImplementedError(f"{type(self).__name__} must define forward().")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._hooked:
            return self.forward(*args, **kwargs) if kwargs else self.forward(*args)
        if self._forward_pre_hooks:
            for hook in list(self._forward_pre_hooks.values()):
                replaced = hook(self, args)
                if replaced is not None:
                    args = replaced if isinstance(replaced, tuple) else (replaced,)
        output = self.forward(*args, **kwargs)
        if self._forward_hooks:
            for hook in list(self._forward_hooks.values()):
                replaced = hook(self, args, output)
                if replaced is not None:
                    output = replaced
        return output

    def register_forward_hook(self, hook: Callable[[Module, Any, Any], Any]) -> HookHandle:
        """Call ``hook(module, args, output)`` after each forward; what it returns replaces the output."""
        _check_callable(hook)
        self._forward_hooks = self._forward_hooks or {}
        self._hooked = True
        return HookHandle(self._forward_hooks, hook)

    def register_forward_pre_hook(self, hook: Callable[[Module, Any], Any]) -> HookHandle:
        """Call ``hook(module, args)`` before each forward; what it returns replaces the arguments."""
        _check_callable(hook)
        self._forward_pre_hooks = self._forward_pre_hooks or {}
        self._hooked = True
        return HookHandle(self._forward_pre_hooks, hook)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(self.__dict__.get(name), Parameter):
            if value is not None and not isinstance(value, Parameter):
                raise TypeError(
                    f"{type(self).__name__}.{name} is a Parameter; assign nn.Parameter(...) or None, not a "
                    f"{type(value).__name__}, which would not be trained."
                )
        elif isinstance(value, Buffer):
            self.register_buffer(name, value, value.persistent)
            return
        elif self._buffer_names and name in self._buffer_names:
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"{type(self).__name__}.{name} is a buffer; assign a Tensor or None, not a {type(value).__name__}. "
                    "Use portanet.asarray(...)."
                )
            _watch(value)
        elif isinstance(value, (list, tuple, dict)):
            parts = value.values() if isinstance(value, dict) else value
            if any(isinstance(part, (Module, Parameter)) for part in parts):
                better = "Use nn.ModuleDict." if isinstance(value, dict) else "Use nn.ModuleList."
                if any(isinstance(part, Parameter) for part in parts):
                    better = (
                        "Give each parameter an attribute of its own, setattr(self, f'weight{i}', parameter)."
                    )
                warnings.warn(
                    f"{type(self).__name__}.{name} is a plain {type(value).__name__}, so the modules and parameters in "
                    f"it are not part of the model and would not be trained. {better}",
                    stacklevel=2,
                )
        object.__setattr__(self, name, value)

    # Its parts

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Own a Tensor that is saved and moved with the module but not trained; :class:`Buffer` is the short form.

        Parameters
        ----------
        name : str
            The attribute's name.
        tensor : Tensor or None
            Its value.
        persistent : bool, default True
            Whether it belongs to the state dict.
        """
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"tensor: expected a Tensor or None, got {type(tensor).__name__}. Use portanet.asarray(...)."
            )
        self._check_name(name, Tensor, "buffer")
        _watch(tensor)
        self._buffer_names = {**(self._buffer_names or {}), name: persistent}
        object.__setattr__(self, name, tensor)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Own a parameter: the same as assigning it to an attribute, for a name that the program makes."""
        if parameter is not None and not isinstance(parameter, Parameter):
            raise TypeError(
                f"parameter: expected a Parameter or None, got {type(parameter).__name__}. "
                "Use portanet.nn.Parameter(...)."
            )
        self._check_name(name, Parameter, "parameter")
        setattr(self, name, parameter)

    def add_module(self, name: str, module: Module | None) -> None:
        """Own a module: the same as assigning it to an attribute, for a name that the program makes."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(
                f"module: expected a Module, got {type(module).__name__}. Pass an instance, such as nn.ReLU()."
            )
        self._check_name(name, Module, "module")
        setattr(self, name, module)

    def _check_name(self, name: str, kind: type, role: str) -> None:
        if isinstance(name, str) and name and "." not in name and getattr(type(self), name, None) is None:
            taken = vars(self).get(name)
            if taken is None or (
                isinstance(taken, kind) and isinstance(taken, Parameter) == (kind is Parameter)
            ):
                return
        raise KeyError(
            f"name: expected a string without dots that names nothing but a {role} of "
            f"{type(self).__name__}, got {name!r}."
        )

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules among the attributes, by name."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def children(self) -> Iterator[Module]:
        """The modules among the attributes."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, by dotted name; each once."""
        seen: set[int] = set()
        stack = [(prefix, self)]
        while stack:
            name, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield name, module
            stack.extend(reversed([(_join(name, part), child) for part, child in module.named_children()]))

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """All parameters by dotted name; a shared one once."""
        seen: set[int] = set()
        for module_name, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield _join(module_name, name), value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters; a shared one once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """All buffers by dotted name; a shared one once."""
        seen: set[int] = set()
        for module_name, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name in module._buffer_names or ():
                value = vars(module).get(name)
                if value is not None and id(value) not in seen:
                    seen.add(id(value))
                    yield _join(module_name, name), value

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers; a shared one once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted name; the empty name means this one."""
        module = self
        for part in target.split(".") if target else ():
            child = vars(module).get(part)
            if not isinstance(child, Module):
                raise AttributeError(f"{type(module).__name__} has no module named {part!r} (of {target!r}).")
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted name."""
        owner, _, name = target.rpartition(".")
        module = self.get_submodule(owner)
        found = vars(module).get(name)
        if not isinstance(found, Parameter):
            raise AttributeError(f"{type(module).__name__} has no parameter named {name!r} (of {target!r}).")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted name."""
        owner, _, name = target.rpartition(".")
        module = self.get_submodule(owner)
        found = vars(module).get(name) if name in (module._buffer_names or ()) else None
        if not isinstance(found, Tensor):
            raise AttributeError(f"{type(module).__name__} has no buffer named {name!r} (of {target!r}).")
        return found

    def _slots(
        self, prefix: str = "", *, all_buffers: bool = False
    ) -> Iterator[tuple[str, Module, str, Tensor]]:
        """Every place of the state dict: name, owner, attribute, value; a shared Tensor comes at each of its places."""
        own = vars(self)
        for name, value in own.items():
            if isinstance(value, Parameter):
                yield _join(prefix, name), self, name, value
        for name, persistent in (self._buffer_names or {}).items():
            if (persistent or all_buffers) and own.get(name) is not None:
                yield _join(prefix, name), self, name, own[name]
        for name, child in self.named_children():
            yield from child._slots(_join(prefix, name), all_buffers=all_buffers)

    # Its state

    def state_dict(self) -> dict[str, Tensor]:
        """All parameters and persistent buffers by dotted name, detached, with PyTorch's names and layouts.

        The Tensors share memory with the module's: save or clone them before training goes on.
        """
        return {name: value.detach() for name, _, _, value in self._slots()}

    def load_state_dict(self, state_dict: Mapping[str, Array], strict: bool = True) -> UnmatchedKeys:
        """Take over parameters and buffers; nothing is changed unless all fit.

        Parameters
        ----------
        state_dict : mapping of str to Tensor or array
            Arrays of any library; they are converted to each parameter's backend, device and data type.
        strict : bool, default True
            Raise for missing and unexpected names, too; shapes must always fit.

        Returns
        -------
        UnmatchedKeys
            ``missing_keys`` and ``unexpected_keys``, both empty if ``strict``.

        Raises
        ------
        StateDictError
            Naming every missing, unexpected and misshapen key.
        """
        if not isinstance(state_dict, Mapping):
            hint = " Pass portanet.load(path)." if isinstance(state_dict, (str, os.PathLike)) else ""
            raise StateDictError(
                f"state_dict: expected a mapping of names to Tensors, got {type(state_dict).__name__}.{hint}"
            )
        places = {name: value for name, _, _, value in self._slots()}
        missing = [name for name in places if name not in state_dict]
        unexpected = [name for name in state_dict if name not in places]
        misshapen = []
        for name, place in places.items():
            if name in state_dict:
                came = _shape_or_type(state_dict[name])
                if isinstance(place, UninitializedParameter):
                    fits, wanted = place.admits(came), place.known_shape
                else:
                    fits, wanted = came == place.shape, str(place.shape)
                if not fits:
                    misshapen.append(f"{name} (expected {wanted}, got {came})")
        complaints = []
        if strict and missing:
            complaints.append(f"missing: {', '.join(missing)}")
        if strict and unexpected:
            complaints.append(f"unexpected: {', '.join(unexpected)}")
        if misshapen:
            complaints.append(f"wrong shape: {', '.join(misshapen)}")
        if complaints:
            hint = " Pass strict=False to load only what matches." if not misshapen else ""
            raise StateDictError(
                f"state_dict does not fit {type(self).__name__}. {'; '.join(complaints)}.{hint} Nothing was changed."
            )
        incoming = {}
        for name, place in places.items():
            if name in state_dict:
                lazy = isinstance(place, UninitializedParameter)
                dtype, device = place.wanted if lazy else (place.dtype, place.device)  # type: ignore[attr-defined]
                incoming[name] = as_native(state_dict[name], dtype, device, True)
        for name, array in incoming.items():
            place = places[name]
            if isinstance(place, UninitializedParameter):
                place.materialize(wrap(array))
            else:
                overwrite(place, array)
        return UnmatchedKeys(missing, unexpected)

    def train(self: M, mode: bool = True) -> M:
        """Set training mode here and below."""
        if not isinstance(mode, bool):
            raise TypeError(f"mode: expected True or False, got {mode!r}.")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Set evaluation mode here and below."""
        return self.train(False)

    def apply(self: M, function: Callable[[Module], Any]) -> M:
        """Call ``function`` on every module below, children first, and on this one."""
        for child in dict.fromkeys(self.children()):
            child.apply(function)
        function(self)
        return self

    def to(self: M, device: Device | str | DType | None = None, *, dtype: DType | None = None) -> M:
        """Move parameters and buffers to a device, another backend or another floating-point type, in place.

        Parameters
        ----------
        device : Device or str or DType, optional
            ``"cpu"``, ``"cupy:cuda:0"``, ``"torch"``; or a data type.
        dtype : DType, optional
            For floating-point parameters and buffers; others keep theirs.

        Raises
        ------
        DTypeError, DeviceError
            If they cannot be there; nothing is moved then.
        """
        if isinstance(device, DType):
            device, dtype = None, device
        if dtype is not None and not dtype.is_differentiable:
            raise DTypeError(
                f"dtype: a module's parameters are floating-point; got {dtype.name}. Use portanet.float32."
            )
        place = None if device is None else native_place(device)[2]
        moved: list[tuple[Tensor, Array, Tensor | None]] = []
        pending: list[UninitializedParameter] = []
        for tensor in (*self.parameters(), *self.buffers()):
            if isinstance(tensor, UninitializedParameter):
                pending.append(tensor)
                continue
            wanted = dtype if tensor.dtype.is_differentiable else None
            gradient = None if tensor._grad is None else tensor._grad.detach().to(place, dtype=wanted)
            moved.append((tensor, tensor.detach().to(place, dtype=wanted)._data, gradient))
        for tensor, array, gradient in moved:
            if array is not tensor._data:
                overwrite(tensor, array)
                tensor._grad = gradient
        for lazy in pending:
            lazy.want(dtype, place)
        return self

    def cpu(self: M) -> M:
        """Move to the host: ``to("cpu")``."""
        return self.to("cpu")

    def cuda(self: M) -> M:
        """Move to the backend's first CUDA device: ``to("cuda")``."""
        return self.to("cuda")

    def float(self: M) -> M:
        """Convert to float32: ``to(portanet.float32)``."""
        return self.to(float32)

    def double(self: M) -> M:
        """Convert to float64: ``to(portanet.float64)``."""
        return self.to(float64)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Freeze or unfreeze all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            if set_to_none or parameter._grad is None:
                parameter._grad = None
            else:
                parameter._grad = parameter._grad.detach() * 0

    # How it looks

    def extra_repr(self) -> str:
        """The options of this module, for its printed form."""
        return ""

    def _printed_children(self) -> list[tuple[str, str]]:
        return [(name, repr(child)) for name, child in self.named_children()]

    def __repr__(self) -> str:
        children = self._printed_children()
        options = self.extra_repr()
        if not children and "\n" not in options:
            return f"{type(self).__name__}({options})"
        lines = options.split("\n") if options else []
        lines += [f"({name}): {text}".replace("\n", "\n  ") for name, text in children]
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _check_callable(hook: Any) -> None:
    if not callable(hook):
        raise TypeError(f"hook: expected a callable, got {type(hook).__name__}.")


def _shape_or_type(value: Any) -> Any:
    """The shape of an array of a known library, or else the name of the type."""
    known = isinstance(value, Tensor) or backend_of(value) is not None
    return tuple(value.shape) if known else type(value).__name__


def _watch(buffer: Tensor | None) -> None:
    """Count the writes to a buffer, so that backward notices them."""
    if buffer is not None and buffer._version is None:
        buffer._version = Version()


def overwrite(tensor: Tensor, array: Array) -> None:
    """Give a parameter or buffer other values; a graph recorded before must not go backward any more."""
    tensor._data = array
    if tensor._version is not None:
        tensor._version.count += 1
