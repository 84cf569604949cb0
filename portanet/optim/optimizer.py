"""The one loop that all optimizers share.

An optimizer is an update rule, a pure function (``optim/sgd.py``, ``optim/adam.py``), and this loop, which hands the rule its arrays.
Small parameters of one group live side by side in one flat buffer, so that a rule's ten calls are made once and not once for each;
large ones are handed over as they are. A backend may bring a kernel for a rule, which then gets all arrays of a group at once and
may write into them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from portanet.backend import Backend
from portanet.errors import OptionError, ShapeError, StateDictError
from portanet.nn.parameter import UninitializedParameter
from portanet.protocols import Array
from portanet.tensor import Tensor, as_native, require_known, wrap

__all__ = ["Optimizer"]

Rule = Callable[..., tuple[Array, tuple[Array, ...]]]
SMALL = 16_384
"""Parameters of up to this many elements share a flat buffer."""


class _Bucket:
    """Parameters that are updated together: one group's, of one place and type, with the same number of steps behind them."""

    def __init__(self, tensors: list[Tensor], states: list[dict[str, Any]], slots: Sequence[str]) -> None:
        self.tensors = tensors
        self.states = states
        self.slots = slots
        self.step: int = states[0]["step"]
        self.backend: Backend = require_known(tensors[0]._data)
        self.xp = self.backend.namespace
        small = [i for i, tensor in enumerate(tensors) if tensor.size <= SMALL]
        self.packed = small if self.backend.writable and len(small) > 1 else []
        self.alone = [i for i in range(len(tensors)) if i not in set(self.packed)]
        if self.packed:
            self._pack()
        self.arrays = [tensor._data for tensor in tensors]
        self.versions = [tensor._version for tensor in tensors if tensor._version is not None]

    def _pack(self) -> None:
        """Move the small parameters and their state into flat buffers, of which they become views."""
        xp = self.xp
        members = [self.tensors[i] for i in self.packed]
        self.flat = xp.concat([member._data for member in members], axis=None)
        self.flat_state = [
            xp.concat([self.states[i][slot] for i in self.packed], axis=None) for slot in self.slots
        ]
        start = 0
        for i, member in zip(self.packed, members, strict=True):
            end = start + member.size
            shape = member.shape
            member._data = xp.reshape(self.flat[start:end], shape)
            for slot, buffer in zip(self.slots, self.flat_state, strict=True):
                self.states[i][slot] = xp.reshape(buffer[start:end], shape)
            start = end

    def holds(self, tensors: list[Tensor]) -> bool:
        """Whether these are still its parameters, with nobody having given them other arrays."""
        if len(tensors) != len(self.tensors):
            return False
        for tensor, known, array in zip(tensors, self.tensors, self.arrays, strict=True):
            if tensor is not known or tensor._data is not array:
                return False
        return True

    def gradients(self) -> list[Array]:
        """The gradients: the packed ones as one flat array, then the others."""
        found: list[Array] = []
        if self.packed:
            parts = [self.tensors[i]._grad._data for i in self.packed]  # type: ignore[union-attr]
            found.append(self.xp.concat(parts, axis=None))
        found.extend(self.tensors[i]._grad._data for i in self.alone)  # type: ignore[union-attr]
        return found

    def update(self, rule: Rule, many: Callable[..., Any] | None, options: Mapping[str, Any]) -> None:
        """Run the rule once over everything, and let the tensors know that they were written to."""
        self.step += 1
        parameters = [self.flat] if self.packed else []
        states = [tuple(self.flat_state)] if self.packed else []
        parameters += [self.tensors[i]._data for i in self.alone]
        states += [tuple(self.states[i][slot] for slot in self.slots) for i in self.alone]
        gradients = self.gradients()
        if many is not None:
            many(self.xp, parameters, gradients, states, step=self.step, **options)
        else:
            for place, (parameter, gradient, state) in enumerate(zip(parameters, gradients, states, strict=True)):
                new_parameter, new_state = rule(self.xp, parameter, gradient, state, step=self.step, **options)
                self._store(place, new_parameter, new_state)
        for version in self.versions:
            version.count += 1

    def _store(self, place: int, parameter: Array, state: tuple[Array, ...]) -> None:
        if self.packed and place == 0:
            self.flat[...] = parameter
            for buffer, new in zip(self.flat_state, state, strict=True):
                buffer[...] = new
            return
        i = self.alone[place - bool(self.packed)]
        if self.backend.writable:
            self.tensors[i]._data[...] = parameter
            for slot, new in zip(self.slots, state, strict=True):
                self.states[i][slot][...] = new
        else:
            self.tensors[i]._data = self.arrays[i] = parameter
            self.states[i].update(zip(self.slots, state, strict=True))


class Optimizer:
    """Changes parameters by their gradients; the base class of all optimizers.

    A subclass sets :attr:`rule`, says in :meth:`state_slots` which arrays the rule keeps for each parameter, and gives its options to
    ``__init__``.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to optimize; dicts with the key ``"params"`` are groups with options of their own.
    defaults : dict
        Options of groups that do not set them.

    Attributes
    ----------
    param_groups : list of dict
        Each with its ``"params"`` and its options; schedulers change ``"lr"`` here.
    """

    rule: ClassVar[Rule]

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self._states: dict[int, dict[str, Any]] = {}
        self._buckets: dict[int, list[_Bucket]] = {}
        if isinstance(params, Tensor):
            raise TypeError("params: expected an iterable of Tensors, got one Tensor. Pass [tensor].")
        groups = list(params)
        if not groups:
            raise OptionError("params: there is nothing to optimize; pass model.parameters().")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if an option is outside its domain; each optimizer says what its own are."""
        check_number("lr", options["lr"], low=0.0)
        check_number("weight_decay", options.get("weight_decay", 0.0), low=0.0)

    def state_slots(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the arrays that the rule keeps for each parameter, under PyTorch's names."""
        return ()

    def rule_options(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """The rule's keyword arguments for a group."""
        return {name: value for name, value in group.items() if name in self.defaults}

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Optimize further parameters, with options of their own."""
        given = group["params"]
        tensors = [given] if isinstance(given, Tensor) else list(given)
        known = {id(tensor) for other in self.param_groups for tensor in other["params"]}
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                raise TypeError(
                    f"params: expected Tensors, got {type(tensor).__name__}. Pass model.parameters()."
                )
            if isinstance(tensor, UninitializedParameter):
                raise ShapeError(
                    "params: a lazy module's parameter has no shape yet. Run one batch through the model before making the "
                    "optimizer."
                )
            if not tensor.is_leaf:
                raise OptionError(
                    "params: a Tensor that was computed from others cannot be optimized; optimize what it was computed from."
                )
            if id(tensor) in known:
                raise OptionError("params: a Tensor appears twice among the parameters.")
            known.add(id(tensor))
        options = {**self.defaults, **{name: value for name, value in group.items() if name != "params"}}
        unknown = [name for name in options if name not in self.defaults and name not in ("initial_lr", "name")]
        if unknown:
            raise OptionError(
                f"params: {type(self).__name__} has no option {', '.join(unknown)}; it has {', '.join(self.defaults)}."
            )
        self.check_options(options)
        self.param_groups.append({"params": tensors, **options})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters."""
        for group in self.param_groups:
            for tensor in group["params"]:
                if set_to_none or tensor._grad is None:
                    tensor._grad = None
                else:
                    tensor._grad = tensor._grad.detach() * 0

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients anew; called first, and its result is returned.
        """
        loss = None if closure is None else closure()
        for index, group in enumerate(self.param_groups):
            tensors = [tensor for tensor in group["params"] if tensor._grad is not None]
            if not tensors:
                continue
            options = self.rule_options(group)
            for bucket in self._buckets_of(index, group, tensors):
                kernel = bucket.backend.kernels.get(type(self).rule.__name__)
                bucket.update(type(self).rule, kernel and kernel.function, options)
        return loss

    def _buckets_of(self, index: int, group: Mapping[str, Any], tensors: list[Tensor]) -> list[_Bucket]:
        buckets = self._buckets.get(index)
        if buckets is not None:
            if len(buckets) == 1:
                if buckets[0].holds(tensors):
                    return buckets
            else:
                by_bucket = iter(tensors)
                order = [tensor for bucket in buckets for tensor in bucket.tensors]
                if {id(t) for t in order} == {id(t) for t in by_bucket} and all(
                    bucket.holds(bucket.tensors) for bucket in buckets
                ):
                    return buckets
        self._settle(index)
        slots = self.state_slots(group)
        together: dict[Any, list[Tensor]] = {}
        for tensor in tensors:
            state = self._state_of(tensor, slots)
            together.setdefault((tensor.device, tensor.dtype, state["step"]), []).append(tensor)
        self._buckets[index] = [
            _Bucket(members, [self._states[id(member)] for member in members], slots) for members in together.values()
        ]
        return self._buckets[index]

    def _state_of(self, tensor: Tensor, slots: Sequence[str]) -> dict[str, Any]:
        state = self._states.setdefault(id(tensor), {"step": 0})
        data = tensor._data
        backend = require_known(data)
        for slot in slots:
            kept = state.get(slot)
            if kept is None:
                state[slot] = backend.namespace.zeros_like(data)
            elif type(kept) is not type(data) or backend.device_of(kept) != tensor.device or kept.dtype != data.dtype:
                state[slot] = as_native(wrap(kept), tensor.dtype, tensor.device, None)
        return state

    def _settle(self, index: int | None = None) -> None:
        """Write the step counts of the buckets back to the parameters' states, and let the buckets go."""
        for key in [index] if index is not None else list(self._buckets):
            for bucket in self._buckets.pop(key, []):
                for state in bucket.states:
                    state["step"] = bucket.step

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on later: step counts and state arrays by parameter number, and the groups' options.

        The layout is PyTorch's: ``{"state": {0: {"step": ..., ...}}, "param_groups": [{..., "params": [0, 1]}]}``.
        """
        for buckets in self._buckets.values():
            for bucket in buckets:
                for state in bucket.states:
                    state["step"] = bucket.step
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for tensor in group["params"]:
                numbers[id(tensor)] = len(numbers)
            groups.append(
                {**{k: v for k, v in group.items() if k != "params"}, "params": [numbers[id(t)] for t in group["params"]]}
            )
        states = {
            number: {
                name: value if name == "step" else wrap(value).clone() for name, value in self._states[key].items()
            }
            for key, number in numbers.items()
            if key in self._states
        }
        return {"state": states, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave; nothing is changed unless all fits.

        Raises
        ------
        StateDictError
            If the groups, the number of parameters or the shapes differ.
        """
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
            raise StateDictError(
                "state_dict: expected the keys 'state' and 'param_groups', as Optimizer.state_dict() gives them."
            )
        saved_groups = state_dict["param_groups"]
        here = [len(group["params"]) for group in self.param_groups]
        there = [len(group["params"]) for group in saved_groups]
        if here != there:
            raise StateDictError(
                f"state_dict: expected groups of {here} parameters, got groups of {there}. It was saved by an optimizer of "
                "another model."
            )
        loaded: dict[int, dict[str, Any]] = {}
        new_groups = []
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            options = {**{k: v for k, v in saved.items() if k in group and k != "params"}}
            self.check_options({**group, **options})
            slots = self.state_slots({**group, **options})
            new_groups.append(options)
            for tensor, number in zip(group["params"], saved["params"], strict=True):
                entry = state_dict["state"].get(number, state_dict["state"].get(str(number)))
                if entry is None:
                    continue
                missing = [slot for slot in ("step", *slots) if slot not in entry]
                if missing:
                    raise StateDictError(
                        f"state_dict: parameter {number} has no {', '.join(missing)}; it was saved by another kind of optimizer."
                    )
                fresh: dict[str, Any] = {"step": int(entry["step"])}
                for slot in slots:
                    value = entry[slot]
                    if tuple(value.shape) != tensor.shape:
                        raise StateDictError(
                            f"state_dict: {slot} of parameter {number} has shape {tuple(value.shape)}, expected {tensor.shape}. "
                            "It was saved with another model."
                        )
                    fresh[slot] = as_native(value, tensor.dtype, tensor.device, True)
                loaded[id(tensor)] = fresh
        self._buckets.clear()
        self._states = loaded
        for group, options in zip(self.param_groups, new_groups, strict=True):
            group.update(options)

    @property
    def state(self) -> dict[Tensor, dict[str, Any]]:
        """A copy of each parameter's state, for looking at."""
        saved = self.state_dict()["state"]
        tensors = [tensor for group in self.param_groups for tensor in group["params"]]
        return {tensors[number]: entry for number, entry in saved.items()}

    def __repr__(self) -> str:
        lines = []
        for index, group in enumerate(self.param_groups):
            options = "\n".join(f"    {name}: {group[name]}" for name in sorted(group) if name != "params")
            lines.append(f"Parameter Group {index}\n{options}")
        return f"{type(self).__name__} (\n" + "\n\n".join(lines) + "\n)"


def check_number(name: str, value: Any, *, low: float, high: float = math.inf, open_end: bool = False) -> None:
    """Raise unless ``value`` is a number from ``low`` to ``high``, neither NaN nor infinite."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not low <= value <= high or (open_end and value == high):
        upper = "" if high == math.inf else f" and {'below' if open_end else 'at most'} {high:g}"
        raise OptionError(f"{name}: expected a finite number of at least {low:g}{upper}, got {value!r}.")
