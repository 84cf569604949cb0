"""Weight and spectral normalisation under the older names and keys of ``torch.nn.utils``: ``weight_g``, ``weight_v``.

For models whose weights were saved so. New ones use :mod:`portanet.nn.utils.parametrizations`. The tensors from which
the weight is computed are the module's own; its class becomes a subclass in which the weight is a property.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from portanet.checks import check_number, whole_number
from portanet.errors import AxisError, OptionError
from portanet.functions.elementwise import conj, divide
from portanet.functions.linear_algebra import matmul, vecdot
from portanet.functions.manipulation import matrix_transpose
from portanet.graph import no_grad
from portanet.nn.functional.distances import normalize
from portanet.nn.functional.normalization import rebind
from portanet.nn.module import Module
from portanet.nn.parameter import Parameter, UninitializedParameter
from portanet.nn.utils.parametrizations import (
    _WeightNorm,
    axis_of_outputs,
    drawn_beside,
    matrix_of,
    norm_except,
)
from portanet.nn.utils.parametrize import is_parametrized
from portanet.tensor import Tensor, unwrap

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]

M = TypeVar("M", bound=Module)


class _Rule:
    """How a weight is computed from other tensors of its module."""

    function: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]

    def value(self, module: Module, name: str, *, frozen: bool = False) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define value().")


@dataclass(frozen=True)
class _WeightRule(_Rule):
    dim: int | None
    function = "weight_norm"
    suffixes = ("_g", "_v")

    def value(self, module: Module, name: str, *, frozen: bool = False) -> Any:
        own = vars(module)
        return _WeightNorm(self.dim).forward(own[f"{name}_g"], own[f"{name}_v"])


@dataclass(frozen=True)
class _SpectralRule(_Rule):
    n_power_iterations: int
    eps: float
    dim: int
    function = "spectral_norm"
    suffixes = ("_orig", "_u", "_v")

    def value(self, module: Module, name: str, *, frozen: bool = False) -> Any:
        weight, place_u, place_v = (vars(module)[name + suffix] for suffix in self.suffixes)
        matrix, u, v = matrix_of(weight, self.dim), place_u, place_v
        if module.training and not frozen:
            with no_grad():
                adjoint = conj(matrix_transpose(matrix))
                for _ in range(self.n_power_iterations):
                    v = normalize(matmul(adjoint, u), dim=0, eps=self.eps)
                    u = normalize(matmul(matrix, v), dim=0, eps=self.eps)
            for place, values in ((place_u, u), (place_v, v)):
                if isinstance(place, Tensor):
                    rebind(place, unwrap(values))
        return divide(weight, vecdot(u, matmul(matrix, v)))


def _rules_of(module: Module) -> dict[str, _Rule]:
    return vars(type(module)).get("_normalised", {})  # type: ignore[no-any-return]


def _take_class(module: Module, rules: dict[str, _Rule]) -> None:
    plain = type(module).__bases__[0] if _rules_of(module) else type(module)
    properties = {
        name: property(lambda module, name=name, rule=rule: rule.value(module, name))  # type: ignore[misc]
        for name, rule in rules.items()
    }
    if not rules:
        module.__class__ = plain
        return

    def reduce(module: Module) -> tuple[Any, ...]:
        return _without_contents, (plain, rules), module.__getstate__()

    contents = {"__doc__": plain.__doc__, "__reduce__": reduce, "_normalised": rules, **properties}
    module.__class__ = type(plain.__name__, (plain,), contents)


def _without_contents(plain: type[M], rules: dict[str, _Rule]) -> M:
    """What a copy is at first. The class has no name under which another process could find it."""
    module = plain.__new__(plain)
    _take_class(module, rules)
    return module


def _parameter_of(function: str, module: Module, name: str) -> Parameter:
    if not isinstance(module, Module):
        raise TypeError(f"module: {function} expects a Module, got {type(module).__name__}.")
    if is_parametrized(module):
        raise OptionError(
            f"module: {function} expects one without parametrizations. Use that of "
            "portanet.nn.utils.parametrizations for this one, too."
        )
    if name in _rules_of(module):
        raise OptionError(f"name: {name!r} is normalised already, by {_rules_of(module)[name].function}.")
    weight = vars(module).get(name)
    if not isinstance(weight, Parameter) or isinstance(weight, UninitializedParameter):
        raise OptionError(
            f"name: {type(module).__name__} has no parameter named {name!r} with a shape; it has "
            f"{', '.join(key for key, _ in module.named_parameters(recurse=False)) or 'none'}."
        )
    return weight


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """As :func:`portanet.nn.utils.parametrizations.weight_norm`, with the parameters ``weight_g`` and ``weight_v``.

    Parameters
    ----------
    module : Module
        It is changed.
    name : str, default "weight"
        Of the parameter.
    dim : int or None, default 0
        The axis along which each slice has a length of its own; None, or -1, for one length of the whole.

    Examples
    --------
    >>> list(pn.nn.utils.weight_norm(pn.nn.Linear(3, 2)).state_dict())
    ['bias', 'weight_g', 'weight_v']
    """
    if dim is not None:
        whole_number("dim", dim)
    weight = _parameter_of("weight_norm", module, name)
    with no_grad():
        lengths = norm_except(weight, dim)
    delattr(module, name)
    module.register_parameter(f"{name}_g", Parameter(lengths, weight.requires_grad))
    module.register_parameter(f"{name}_v", Parameter(weight, weight.requires_grad))
    _take_class(module, {**_rules_of(module), name: _WeightRule(dim)})
    return module


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> M:
    """As :func:`portanet.nn.utils.parametrizations.spectral_norm`, with ``weight_orig``, ``weight_u`` and ``weight_v``.

    The singular vectors begin at random.

    Parameters
    ----------
    module : Module
        It is changed.
    name : str, default "weight"
        Of the parameter, which has two axes or more.
    n_power_iterations, eps, dim
        As there.

    Examples
    --------
    >>> list(pn.nn.utils.spectral_norm(pn.nn.Linear(3, 2)).state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    weight = _parameter_of("spectral_norm", module, name)
    whole_number("n_power_iterations", n_power_iterations, low=1)
    check_number("eps", eps, low=0.0)
    axis = axis_of_outputs(module, dim)
    if weight.ndim < 2 or not -weight.ndim <= axis < weight.ndim:
        raise AxisError(
            f"dim: spectral_norm expects a weight with two axes or more and one of them, got {axis} for a weight of "
            f"shape {weight.shape}."
        )
    rule = _SpectralRule(n_power_iterations, eps, axis % weight.ndim)
    shape = matrix_of(weight.detach(), rule.dim).shape
    delattr(module, name)
    module.register_parameter(f"{name}_orig", weight)
    for suffix, length in (("_u", shape[0]), ("_v", shape[1])):
        drawn = normalize(drawn_beside((length,), weight), dim=0, eps=eps)
        module.register_buffer(name + suffix, drawn)
    _take_class(module, {**_rules_of(module), name: rule})
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Make the weight a plain parameter again, with the value that it has."""
    return _removed("weight_norm", module, name)


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Make the weight a plain parameter again, with the value that it has."""
    return _removed("spectral_norm", module, name)


def _removed(function: str, module: M, name: str) -> M:
    rules = _rules_of(module)
    rule = rules.get(name)
    if rule is None or rule.function != function:
        raise OptionError(f"name: there is no {function} of {name!r} in this {type(module).__name__}.")
    with no_grad():
        value = rule.value(module, name, frozen=True)
    trained = any(
        part.requires_grad
        for suffix in rule.suffixes
        if isinstance(part := vars(module)[name + suffix], Parameter)
    )
    _take_class(module, {key: kept for key, kept in rules.items() if key != name})
    for suffix in rule.suffixes:
        delattr(module, name + suffix)
    gone = {name + suffix for suffix in rule.suffixes}
    module._buffer_names = {
        key: kept for key, kept in (module._buffer_names or {}).items() if key not in gone
    }
    module.register_parameter(name, Parameter(value, trained))
    return module
