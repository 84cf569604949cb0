"""Parameters and buffers that are computed from others each time they are read; with PyTorch's names.

The originals live in ``module.parametrizations``, a child like any other, so optimizers, state dicts and
``functional_call`` find them there. The module takes on a class of its own, a subclass of the one it had, in which the
name is a property that computes the value. Such a class is never changed, so copies of a module may share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.graph import is_grad_enabled, no_grad
from portanet.nn.containers import ModuleDict, ModuleList
from portanet.nn.module import Module, overwrite
from portanet.nn.parameter import Parameter, UninitializedParameter
from portanet.nn.parameter_containers import ParameterDict, ParameterList
from portanet.tensor import Tensor, as_native, unwrap

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

M = TypeVar("M", bound=Module)

_cache: ContextVar[dict[ParametrizationList, Any] | None] = ContextVar(
    "portanet_parametrizations", default=None
)


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrized tensor once inside the ``with`` block, however often it is read.

    It is computed anew when its originals were replaced or written to, and when recording was switched on or off.

    Examples
    --------
    >>> from portanet.nn.utils import parametrizations, parametrize
    >>> layer = parametrizations.weight_norm(pn.nn.Linear(2, 3))
    >>> with parametrize.cached():
    ...     layer.weight is layer.weight
    True
    """
    if _cache.get() is not None:
        yield
        return
    token = _cache.set({})
    try:
        yield
    finally:
        _cache.reset(token)


class ParametrizationList(ModuleList):
    """The originals of one tensor, and the modules that compute it from them, one after another.

    :func:`register_parametrization` makes it, as ``module.parametrizations.weight`` or whatever the tensor's name is.

    Parameters
    ----------
    modules : iterable of Module
        At least one.
    original : Tensor
        The tensor until now.
    unsafe : bool, default False
        Whether shape and data type of the result may be others.

    Attributes
    ----------
    original : Tensor
        If the first parametrization takes one tensor: the same Parameter or buffer as before, with what the
        ``right_inverse`` methods made of its values.
    original0, original1, ... : Tensor
        If they made a sequence of tensors.
    """

    def __init__(self, modules: Iterable[Module], original: Tensor, unsafe: bool = False) -> None:
        super().__init__(modules)
        if not len(self):
            raise OptionError("modules: ParametrizationList expects at least one parametrization, got none.")
        self.unsafe = unsafe
        with no_grad():
            inverse = self._inverse_of(original, must_have=False)
            parts = self._as_tensors(inverse)
            self.is_tensor = isinstance(inverse, Tensor)
            self.ntensors = len(parts)
            if self.is_tensor and parts[0].dtype != original.dtype:
                raise DTypeError(
                    f"right_inverse: a single tensor must keep the data type {original.dtype.name}, which the "
                    f"optimizer knows, got {parts[0].dtype.name}."
                )
            if not unsafe:
                _check_alike("a parametrization", original, self._computed_from(parts))
        if self.is_tensor:
            if parts[0] is not original:
                overwrite(original, _copied(parts[0], original))
            _own(self, "original", original)
        else:
            for i, part in enumerate(parts):
                trained = isinstance(original, Parameter)
                copy = Parameter(part, original.requires_grad) if trained else part.detach().clone()
                _own(self, f"original{i}", copy)

    def forward(self) -> Any:
        """The value, computed from the originals."""
        return self._computed_from(self._originals())

    def right_inverse(self, value: Tensor) -> None:
        """Give the originals the values from which ``value`` is computed, as far as the ``right_inverse`` methods go.

        Raises
        ------
        RuntimeError
            If a parametrization has no ``right_inverse``.
        DTypeError, ShapeError
            If the originals would get another data type, or, unless ``unsafe``, another shape.
        """
        if not isinstance(value, Tensor):
            raise TypeError(
                f"value: a parametrized tensor takes a Tensor, got {type(value).__name__}. Use portanet.asarray(...)."
            )
        with no_grad():
            parts = self._as_tensors(self._inverse_of(value.detach(), must_have=True))
        originals = self._originals()
        if len(parts) != len(originals):
            raise OptionError(
                f"right_inverse: expected {len(originals)} tensors, as when it was registered, got {len(parts)}."
            )
        for original, part in zip(originals, parts, strict=True):
            if part.dtype != original.dtype:
                raise DTypeError(
                    f"value: its originals are {original.dtype.name}, and of a {value.dtype.name} Tensor they would "
                    f"become {part.dtype.name}. Convert it with value.to(dtype=...)."
                )
            if part.shape != original.shape and not self.unsafe:
                raise ShapeError(
                    f"value: its originals have shape {original.shape}, and of a Tensor of shape {value.shape} they "
                    f"would get {part.shape}."
                )
        for original, part in zip(originals, parts, strict=True):
            overwrite(original, _copied(part, original))

    def _originals(self) -> list[Any]:
        own = vars(self)
        return [own["original"]] if self.is_tensor else [own[f"original{i}"] for i in range(self.ntensors)]

    def _computed_from(self, parts: Sequence[Any]) -> Any:
        for module in self:
            parts = (module(*parts),)
        return parts[0]

    def _inverse_of(self, value: Any, *, must_have: bool) -> Any:
        """What the parametrizations compute ``value`` from; those that cannot tell count as leaving it as it is."""
        for module in reversed(list(self)):
            inverse = getattr(module, "right_inverse", None)
            if inverse is None and must_have:
                raise RuntimeError(
                    f"{type(module).__name__} has no right_inverse(), so nothing can be assigned to what it computes. "
                    "Define it, or change the originals."
                )
            try:
                value = value if inverse is None else inverse(value)
            except NotImplementedError:
                if must_have:
                    raise
        return value

    def _as_tensors(self, inverse: Any) -> list[Tensor]:
        parts = [inverse] if isinstance(inverse, Tensor) else inverse
        if isinstance(parts, Sequence) and all(isinstance(part, Tensor) for part in parts):
            return list(parts)
        found = type(inverse).__name__
        if isinstance(inverse, Sequence):
            found += " of " + ", ".join(sorted({type(part).__name__ for part in inverse}))
        raise TypeError(f"right_inverse: expected a Tensor or a sequence of Tensors, got {found}.")

    def _value(self) -> Any:
        """What ``forward`` returns, remembered inside :func:`cached`."""
        cache = _cache.get()
        if cache is None:
            return self()
        marks = [is_grad_enabled(), *(mark for part in self._originals() for mark in _marks(part))]
        known = cache.get(self)
        if known is None or any(old is not new for old, new in zip(known[0], marks, strict=True)):
            known = cache[self] = (marks, self())
        return known[1]


def _marks(part: Any) -> tuple[Any, ...]:
    """What is another object after the tensor was replaced or written to."""
    version = getattr(part, "_version", None)
    return part, unwrap(part), version, None if version is None else version.count


def _copied(values: Tensor, place: Tensor) -> Any:
    return as_native(values.detach(), place.dtype, place.device, True)


def _own(module: Module, name: str, tensor: Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _check_alike(role: str, before: Tensor, after: Any) -> None:
    if not isinstance(after, Tensor):
        raise TypeError(f"{role} must return a Tensor, got {type(after).__name__}.")
    if after.dtype != before.dtype:
        raise DTypeError(
            f"{role} must keep the data type {before.dtype.name}, got {after.dtype.name}. Pass unsafe=True if it is "
            "meant to change it."
        )
    if after.shape != before.shape:
        raise ShapeError(
            f"{role} must keep the shape {before.shape}, got {after.shape}. Pass unsafe=True if it is meant to "
            "change it."
        )


# The class of a parametrized module


def _computed(tensor_name: str) -> property:
    def read(module: Module) -> Any:
        return _list_of(module, tensor_name)._value()

    def assign(module: Module, value: Any) -> None:
        _list_of(module, tensor_name).right_inverse(value)

    return property(read, assign, doc="Computed from its originals, see ``parametrizations``.")


def _take_class(module: Module, plain: type, names: Iterable[str]) -> None:
    """Give the module the class in which these names are computed; the plain one if there are none."""
    properties = {name: _computed(name) for name in names}
    if not properties:
        module.__class__ = plain
        return

    def reduce(module: Module) -> tuple[Any, ...]:
        return _without_contents, (plain, tuple(properties)), module.__getstate__()

    contents = {"__doc__": plain.__doc__, "__reduce__": reduce, **properties}
    module.__class__ = type(f"Parametrized{plain.__name__}", (plain,), contents)


def _without_contents(plain: type[M], names: Iterable[str]) -> M:
    """What a copy is at first. The class has no name under which another process could find it."""
    module = plain.__new__(plain)
    _take_class(module, plain, names)
    return module


def _lists_of(module: Module) -> ModuleDict | None:
    found = vars(module).get("parametrizations")
    return found if isinstance(found, ModuleDict) and len(found) else None


def _list_of(module: Module, tensor_name: str) -> ParametrizationList:
    lists = _lists_of(module)
    found = None if lists is None else vars(lists).get(tensor_name)
    if not isinstance(found, ParametrizationList):
        raise OptionError(
            f"tensor_name: {type(module).__name__} has no parametrized {tensor_name!r}; parametrized are: "
            f"{', '.join(lists or ()) or 'none'}."
        )
    return found


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether this tensor of the module is parametrized, or any if no name is given."""
    lists = _lists_of(module)
    return lists is not None and (tensor_name is None or tensor_name in lists)


def type_before_parametrizations(module: Module) -> type:
    """The class of the module as it was before anything in it was parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


# The functions


def register_parametrization(
    module: M, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> M:
    """Compute a parameter or buffer of a module by another module, each time it is read.

    Afterwards ``module.weight`` is ``parametrization(original)``, where ``original`` is the Parameter that was there,
    now at ``module.parametrizations.weight.original``; gradients flow to it. A second parametrization of the same
    tensor takes what the first one returned.

    A parametrization may have a method ``right_inverse(value)``, which returns the tensor from which ``value`` is
    computed, or a sequence of tensors, each of which ``forward`` then takes as an argument. It gives the originals
    their values here, and again whenever a Tensor is assigned to the attribute. Without it the original is the tensor
    as it was, and nothing can be assigned.

    Parameters
    ----------
    module : Module
        It is changed: its class becomes a subclass of what it was.
    tensor_name : str
        The name of a parameter or buffer of the module itself, not of its children.
    parametrization : Module
        It is put into the training or evaluation mode of the module.
    unsafe : bool, default False
        Whether shape and data type may change; if so, nothing is checked.

    Returns
    -------
    Module
        The module.

    Raises
    ------
    OptionError, ShapeError, DTypeError
        If there is no such tensor, or the parametrization does not keep its shape and data type. Nothing is changed
        then.

    Examples
    --------
    >>> from portanet.nn.utils.parametrize import register_parametrization
    >>> class Symmetric(pn.nn.Module):
    ...     def forward(self, x):
    ...         return pn.triu(x) + pn.matrix_transpose(pn.triu(x, k=1))
    >>> layer = register_parametrization(pn.nn.Linear(3, 3), "weight", Symmetric())
    >>> bool(pn.all(layer.weight == layer.weight.T)), list(layer.state_dict())
    (True, ['bias', 'parametrizations.weight.original'])
    """
    for argument, value in (("module", module), ("parametrization", parametrization)):
        if not isinstance(value, Module):
            raise TypeError(f"{argument}: expected a Module, got {type(value).__name__}.")
    if isinstance(module, (ParameterList, ParameterDict)):
        raise TypeError(
            f"module: a {type(module).__name__} holds plain parameters. Make the tensor an attribute of a module."
        )
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        parametrizations = _list_of(module, tensor_name)
        if not unsafe:
            _check_addition(getattr(module, tensor_name), parametrization)
        parametrizations.append(parametrization)
        parametrizations.unsafe = parametrizations.unsafe or unsafe
        return module
    original = vars(module).get(tensor_name)
    if not isinstance(original, Parameter) and not (
        isinstance(original, Tensor) and tensor_name in (module._buffer_names or ())
    ):
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        raise OptionError(
            f"tensor_name: {type(module).__name__} has no parameter or buffer named {tensor_name!r} of its own; it has "
            f"{', '.join(name for name, _ in own) or 'none'}."
        )
    if isinstance(original, UninitializedParameter):
        raise ShapeError(
            f"tensor_name: {tensor_name!r} has no shape yet. Run one batch through the lazy module first."
        )
    parametrizations = ParametrizationList([parametrization], original, unsafe)
    plain = type_before_parametrizations(module)
    lists = _lists_of(module)
    if lists is None:
        module.add_module("parametrizations", lists := ModuleDict())
    lists[tensor_name] = parametrizations
    delattr(module, tensor_name)
    _forget_buffer(module, tensor_name)
    _take_class(module, plain, lists)
    return module


def _forget_buffer(module: Module, name: str) -> None:
    if module._buffer_names and name in module._buffer_names:
        module._buffer_names = {key: kept for key, kept in module._buffer_names.items() if key != name}


def _check_addition(value: Tensor, parametrization: Module) -> None:
    with no_grad():
        after = parametrization(value)
        _check_alike("a parametrization", value, after)
        inverse = getattr(parametrization, "right_inverse", None)
        if inverse is not None:
            try:
                before = inverse(after)
            except NotImplementedError:
                return
            _check_alike("right_inverse of any parametrization but the first", value, before)


def remove_parametrizations(module: M, tensor_name: str, leave_parametrized: bool = True) -> M:
    """Make a parametrized tensor a plain parameter or buffer again.

    Parameters
    ----------
    module : Module
        It is changed; it has its plain class again once nothing in it is parametrized.
    tensor_name : str
        Which tensor.
    leave_parametrized : bool, default True
        Keep the value that is computed now; False takes back the original's, where there is one only.

    Returns
    -------
    Module
        The module. The tensor is the Parameter that ``original`` was, so optimizers go on with it; where there
        were several originals it is a new one.

    Raises
    ------
    OptionError
        If it is not parametrized, or if there is no single original to take back.
    """
    parametrizations = _list_of(module, tensor_name)
    originals = parametrizations._originals()
    tensor = originals[0]
    if not parametrizations.is_tensor and not leave_parametrized:
        raise OptionError(
            f"leave_parametrized: {tensor_name!r} is computed from {parametrizations.ntensors} tensors, none of which "
            "is what it was. Pass leave_parametrized=True."
        )
    if leave_parametrized:
        with no_grad():
            value: Tensor = getattr(module, tensor_name)
        if parametrizations.is_tensor:
            overwrite(tensor, value.detach().clone()._data)
        elif any(isinstance(original, Parameter) for original in originals):
            trained = any(original.requires_grad for original in originals)
            tensor = Parameter(value, trained)
        else:
            tensor = value.detach().clone()
    plain = type_before_parametrizations(module)
    lists = _lists_of(module)
    assert lists is not None
    del lists[tensor_name]
    _take_class(module, plain, lists)
    if not len(lists):
        delattr(module, "parametrizations")
    _own(module, tensor_name, tensor)
    return module


def transfer_parametrizations_and_params(
    from_module: Module, to_module: M, tensor_name: str | None = None
) -> M:
    """Let another module share the parametrizations of a module, and their originals.

    Parameters
    ----------
    from_module : Module
        It stays as it is.
    to_module : Module
        What gets them; a tensor that it has not is made.
    tensor_name : str, optional
        Of which tensor; default: of all.

    Returns
    -------
    Module
        ``to_module``.
    """
    lists = _lists_of(from_module)
    names = () if lists is None else list(lists) if tensor_name is None else (tensor_name,)
    for name in names:
        source = _list_of(from_module, name)
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name)))
        for parametrization in source:
            register_parametrization(to_module, name, parametrization)
        target = _list_of(to_module, name)
        for key, part in vars(source).items():
            if key.startswith("original") and isinstance(part, Tensor):
                setattr(target, key, part)
    return to_module
