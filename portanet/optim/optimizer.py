"""The one loop that all optimizers share.

An optimizer is an update rule, a pure function (``optim/sgd.py``, ``optim/adam.py``), and this loop, which
hands the rule its arrays. Small parameters of one group live side by side in one flat buffer, so that a
rule's ten calls are made once and not once for each; large ones are handed over as they are. A backend may
bring a kernel for a rule, which then gets all arrays of a group at once and may write into them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, ClassVar

from portanet.backend import backend_of
from portanet.checks import check_number
from portanet.conversion import require_known
from portanet.errors import DTypeError, OptionError, ShapeError, StateDictError
from portanet.graph import enable_grad
from portanet.nn.parameter import UninitializedParameter
from portanet.optim.bucket import Bucket, Rule
from portanet.tensor import Tensor, as_native, wrap

__all__ = ["Optimizer"]

SMALL = 16_384
"""Parameters of up to this many elements share a flat buffer."""


class Optimizer:
    """Changes parameters by their gradients; the base class of all optimizers.

    A subclass sets :attr:`rule`, says in :meth:`state_slots` which arrays the rule keeps for each parameter,
    and gives its options to ``__init__``. A rule that keeps numbers on the host as well, or whose arrays have
    other shapes than their parameter or do not begin as zeros, says so in the methods beside that one.

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
    elementwise: ClassVar[bool] = True
    """Whether the rule may be handed any part of a parameter, or many at once; if not, it sees each one whole."""
    takes_complex: ClassVar[bool] = False
    """Whether the rule is right for complex parameters: one that squares gradients is not."""
    step_if_not_saved: ClassVar[int | None] = None
    """The step count of a state dict that has none."""
    needs_closure: ClassVar[bool] = False
    """Whether :meth:`step` asks for the loss several times, and so cannot do without a closure."""

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self._states: dict[int, dict[str, Any]] = {}
        self._buckets: dict[int, list[Bucket]] = {}
        self._members: dict[int, list[int]] = {}  # the parameters of each group when its buckets were made
        self._options: dict[int, tuple[Any, ...]] = {}
        if isinstance(params, Tensor):
            raise TypeError("params: expected an iterable of Tensors, got one Tensor. Pass [tensor].")
        if not isinstance(params, Iterable):
            raise TypeError(
                f"params: expected an iterable of Tensors, got {type(params).__name__}. Pass model.parameters()."
            )
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

    def state_shape(self, slot: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """The shape of a state array of a parameter of this shape; None if such a parameter has none."""
        return shape

    def first_value(self, slot: str, options: Mapping[str, Any]) -> float:
        """What a state array is filled with before the first step."""
        return 0.0

    def state_numbers(self, options: Mapping[str, Any]) -> dict[str, float]:
        """Numbers on the host that the rule keeps for each parameter beside the step count, as they are at first."""
        return {}

    def next_numbers(
        self, step: int, numbers: Mapping[str, float], options: Mapping[str, Any]
    ) -> dict[str, float]:
        """The numbers of :meth:`state_numbers` after a step; the rule of that step gets the ones before it."""
        return dict(numbers)

    def rule_options(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """The rule's keyword arguments for a group."""
        return {
            name: value if type(value := group[name]) in _PLAIN_TYPES else _plain(value)
            for name in self.defaults
        }

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Optimize further parameters, with options of their own."""
        if not isinstance(group, Mapping) or "params" not in group:
            raise OptionError(
                "params: a group needs the key 'params', as in {'params': model.parameters(), 'lr': 0.1}."
            )
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
                    "params: a lazy module's parameter has no shape yet. Run one batch through the "
                    "model before making the "
                    "optimizer."
                )
            if not tensor.dtype.is_floating and not (self.takes_complex and tensor.dtype.is_differentiable):
                raise DTypeError(
                    f"params: {type(self).__name__} optimizes real floating-point Tensors, this one is "
                    f"{tensor.dtype.name}. Make a complex parameter of two real ones."
                )
            if not tensor.is_leaf:
                raise OptionError(
                    "params: a Tensor that was computed from others cannot be optimized; optimize "
                    "what it was computed from."
                )
            if id(tensor) in known:
                raise OptionError("params: a Tensor appears twice among the parameters.")
            known.add(id(tensor))
        options = {**self.defaults, **{name: value for name, value in group.items() if name != "params"}}
        unknown = [name for name in options if name not in self.defaults and name not in _NOT_FOR_THE_RULE]
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
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        rule = type(self).rule
        for index, group in enumerate(self.param_groups):
            options, slots = self._options_of(index, group)
            buckets = self._buckets.get(index, ())
            gradients = [bucket.gradients() if bucket.group_slots == slots else None for bucket in buckets]
            covered = sum([len(bucket.tensors) for bucket in buckets])
            if (
                None in gradients
                or self._members.get(index) != [*map(id, group["params"])]
                or (covered != len(group["params"]) and covered != _with_gradient(group))
            ):
                buckets = self._gather(index, group, slots)
                gradients = [bucket.gradients() for bucket in buckets]
            for bucket, found in zip(buckets, gradients, strict=True):
                bucket.update(rule, found, options)  # type: ignore[arg-type]
                if bucket.numbers:
                    bucket.numbers = self.next_numbers(bucket.step, bucket.numbers, options)
        return loss

    def _options_of(self, index: int, group: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The rule's options and its state for a group, worked out anew only when an option was changed."""
        identities = [*map(id, group.values())]
        known = self._options.get(index)
        if known is None or known[0] != identities:
            values = list(group.values())  # kept, so that no identity can pass to another object
            known = (identities, values, self.rule_options(group), self.state_slots(group))
            self._options[index] = known
        return known[2], known[3]

    def _gather(self, index: int, group: Mapping[str, Any], slots: tuple[str, ...]) -> list[Bucket]:
        """Make the buckets of a group anew, from the parameters that have a gradient."""
        self._write_back_steps(self._buckets.pop(index, []))
        self._members[index] = [*map(id, group["params"])]
        current = {id(tensor) for other in self.param_groups for tensor in other["params"]}
        self._states = {key: state for key, state in self._states.items() if key in current}
        numbers = self.state_numbers(group)
        together: dict[Any, list[Tensor]] = {}
        for tensor in group["params"]:
            if tensor._grad is not None:
                state = self._state_of(tensor, group)
                counts = [state[name] for name in ("step", *numbers)]
                own_slots = self._slots_of(tensor, slots)
                together.setdefault((tensor.device, tensor.dtype, own_slots, *counts), []).append(tensor)
        self._buckets[index] = [
            Bucket(
                members,
                [self._states[id(member)] for member in members],
                key[2],
                slots,
                numbers,
                self.elementwise,
                SMALL,
            )
            for key, members in together.items()
        ]
        return self._buckets[index]

    def _slots_of(self, tensor: Tensor, slots: Sequence[str]) -> tuple[str, ...]:
        """Those of a group's slots that this parameter has."""
        return tuple(slot for slot in slots if self.state_shape(slot, tensor.shape) is not None)

    def _state_of(self, tensor: Tensor, group: Mapping[str, Any]) -> dict[str, Any]:
        state = self._states.setdefault(id(tensor), {"step": 0})
        for name, value in self.state_numbers(group).items():
            state.setdefault(name, value)
        data = tensor._data
        backend = require_known(data)
        for slot in self._slots_of(tensor, self.state_slots(group)):
            kept = state.get(slot)
            if kept is None:
                state[slot] = backend.namespace.full(
                    self.state_shape(slot, tensor.shape),
                    float(self.first_value(slot, group)),
                    dtype=data.dtype,
                    device=backend.native_device(tensor.device),
                )
            elif (
                type(kept) is not type(data)
                or backend.device_of(kept) != tensor.device
                or kept.dtype != data.dtype
            ):
                state[slot] = as_native(wrap(kept), tensor.dtype, tensor.device, None)
        return state

    def _write_back_steps(self, buckets: Iterable[Bucket]) -> None:
        """Give the parameters' states the step counts and numbers, which buckets keep once for all of theirs."""
        for bucket in buckets:
            for state in bucket.states:
                state.update(bucket.numbers, step=bucket.step)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on later: step counts and state arrays by parameter number, and the groups' options.

        The layout is PyTorch's: ``{"state": {0: {"step": ..., ...}}, "param_groups": [{..., "params": [0, 1]}]}``.
        """
        for buckets in self._buckets.values():
            self._write_back_steps(buckets)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for tensor in group["params"]:
                numbers[id(tensor)] = len(numbers)
            groups.append(
                {
                    **{k: v for k, v in group.items() if k != "params"},
                    "params": [numbers[id(t)] for t in group["params"]],
                }
            )
        states = {
            number: {
                name: value if type(value) in _PLAIN_TYPES else wrap(value).clone()
                for name, value in self._states[key].items()
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
        saved_groups, saved_states = state_dict["param_groups"], state_dict["state"]
        if not isinstance(saved_states, Mapping):
            raise StateDictError(
                f"state_dict['state']: expected a mapping of numbers to states, got {type(saved_states).__name__}."
            )
        if not isinstance(saved_groups, (list, tuple)) or not all(
            isinstance(group, Mapping) and isinstance(group.get("params"), (list, tuple))
            for group in saved_groups
        ):
            raise StateDictError(
                "state_dict['param_groups']: expected a list of dicts, each with its 'params' as a list of numbers."
            )
        here = [len(group["params"]) for group in self.param_groups]
        there = [len(group["params"]) for group in saved_groups]
        if here != there:
            raise StateDictError(
                f"state_dict: expected groups of {here} parameters, got groups of {there}. It was "
                "saved by an optimizer of "
                "another model."
            )
        loaded: dict[int, dict[str, Any]] = {}
        new_groups = []
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            options = {k: v for k, v in saved.items() if k in self.defaults or k in _NOT_FOR_THE_RULE}
            self.check_options({**group, **options})
            slots = self.state_slots({**group, **options})
            numbers = self.state_numbers({**group, **options})
            new_groups.append(options)
            for tensor, number in zip(group["params"], saved["params"], strict=True):
                entry = saved_states.get(number, saved_states.get(str(number)))
                if entry is not None:
                    loaded[id(tensor)] = self._read_state(tensor, number, entry, slots, numbers)
        self._buckets.clear()
        self._states = loaded
        for group, options in zip(self.param_groups, new_groups, strict=True):
            group.update(options)

    def _read_state(
        self, tensor: Tensor, number: int, entry: Any, slots: Sequence[str], numbers: Iterable[str]
    ) -> dict[str, Any]:
        """The state of one parameter, from a state dict.

        Raises
        ------
        StateDictError
            If something is missing, or not what it should be.
        """
        kept = {name: value for name, value in dict(entry).items() if value is not None}
        if self.step_if_not_saved is not None:
            kept.setdefault("step", self.step_if_not_saved)
        slots = self._slots_of(tensor, slots)
        missing = [slot for slot in ("step", *numbers, *slots) if slot not in kept]
        if missing:
            raise StateDictError(
                f"state_dict: parameter {number} has no {', '.join(missing)}; it was saved by another kind of "
                "optimizer."
            )
        try:
            state: dict[str, Any] = {"step": int(kept["step"])}
        except (TypeError, ValueError):
            raise StateDictError(
                f"state_dict: step of parameter {number}: expected a whole number, got {kept['step']!r}."
            ) from None
        for name in numbers:
            try:
                state[name] = float(kept[name])
            except (TypeError, ValueError):
                raise StateDictError(
                    f"state_dict: {name} of parameter {number}: expected a number, got {kept[name]!r}."
                ) from None
        for slot in slots:
            value, shape = kept[slot], self.state_shape(slot, tensor.shape)
            if not isinstance(value, Tensor) and backend_of(value) is None:
                raise StateDictError(
                    f"state_dict: {slot} of parameter {number}: expected an array, got {type(value).__name__}."
                )
            if tuple(value.shape) != shape:
                raise StateDictError(
                    f"state_dict: {slot} of parameter {number} has shape {tuple(value.shape)}, expected "
                    f"{shape}. It was saved with another model."
                )
            state[slot] = as_native(value, tensor.dtype, tensor.device, True)
        return state

    def __getstate__(self) -> dict[str, Any]:
        """Without the arrays that the parameters share with the buckets, which a copy makes for itself."""
        made_anew = ("_states", "_buckets", "_members", "_options")
        kept = {name: value for name, value in vars(self).items() if name not in made_anew}
        return {**kept, "state_dict": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        saved = state.pop("state_dict")
        vars(self).update(state, _states={}, _buckets={}, _members={}, _options={})
        self.load_state_dict(saved)

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


_NOT_FOR_THE_RULE = ("initial_lr", "max_lr", "min_lr", "swa_lr", "base_momentum", "max_momentum", "name")
"""What schedules keep in a group, and what a user may call it."""
_PLAIN_TYPES = frozenset((float, int, bool))


def _plain(value: Any) -> Any:
    """A Python number for a number of an array library, which would change the data type of the arrays beside it."""
    if isinstance(value, (tuple, list)):
        return tuple(_plain(part) for part in value)
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else value


def _with_gradient(group: Mapping[str, Any]) -> int:
    """How many of a group's parameters have a gradient."""
    return sum(tensor._grad is not None for tensor in group["params"])
