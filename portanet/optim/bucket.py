"""Parameters that an update rule changes together, and the arrays that hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from portanet.backend import Backend
from portanet.conversion import require_known
from portanet.protocols import Array
from portanet.tensor import Tensor

__all__ = ["Bucket", "Rule"]

Rule = Callable[..., tuple[Array, tuple[Array, ...]]]


class Bucket:
    """Parameters that are updated together.

    They are of one group, place and data type, and have the same number of steps behind them.
    Its arrays are its own: they are copied once, so that writing into them changes nobody else's data.

    Parameters
    ----------
    tensors, states
        The parameters, and what is kept for each.
    slots, numbers
        Names of the arrays among that, and of the numbers on the host.
    group_slots
        The slots of the whole group, of which parameters of some shapes lack a few.
    elementwise
        Whether the rule may be given any part of a parameter, or several together.
    small
        Parameters of up to this many elements share a flat buffer.
    """

    def __init__(
        self,
        tensors: list[Tensor],
        states: list[dict[str, Any]],
        slots: Sequence[str],
        group_slots: Sequence[str],
        numbers: Iterable[str],
        elementwise: bool,
        small: int,
    ) -> None:
        self.tensors = tensors
        self.states = states
        self.slots = slots
        self.group_slots = group_slots
        self.step: int = states[0]["step"]
        self.numbers: dict[str, float] = {name: states[0][name] for name in numbers}
        self.elementwise = elementwise
        self.backend: Backend = require_known(tensors[0]._data)
        self.xp = self.backend.namespace
        packed = [i for i, tensor in enumerate(tensors) if elementwise and tensor.size <= small]
        self.packed = packed if self.backend.writable and len(packed) > 1 else []
        self.alone = [i for i in range(len(tensors)) if i not in set(self.packed)]
        whole: list[Array] = []
        whole_states: list[list[Array]] = [[] for _ in slots]
        if self.packed:
            self._pack(whole, whole_states)
        if self.backend.writable:
            self._take_over()
        for i in self.alone:
            whole.append(tensors[i]._data)
            for slot, kept in zip(slots, whole_states, strict=True):
                kept.append(states[i][slot])
        self.parameters = self._cut(whole)
        columns = [self._cut(kept) for kept in whole_states]
        self.parameter_states = list(zip(*columns, strict=True)) if columns else [()] * len(self.parameters)
        self.arrays = [tensor._data for tensor in tensors]
        self.versions = [tensor._version for tensor in tensors if tensor._version is not None]

    def _cut(self, arrays: list[Array]) -> list[Array]:
        return self.backend.pieces(arrays) if self.elementwise else arrays

    def _pack(self, whole: list[Array], whole_states: list[list[Array]]) -> None:
        """Move the small parameters and their state into flat buffers, of which they become views."""
        xp = self.xp
        members = [self.tensors[i] for i in self.packed]
        flat = xp.concat([member._data for member in members], axis=None)
        flat_state = [
            xp.concat([self.states[i][slot] for i in self.packed], axis=None) for slot in self.slots
        ]
        start = 0
        for i, member in zip(self.packed, members, strict=True):
            end = start + member.size
            shape = member.shape
            member._data = xp.reshape(flat[start:end], shape)
            for slot, buffer in zip(self.slots, flat_state, strict=True):
                self.states[i][slot] = xp.reshape(buffer[start:end], shape)
            start = end
        whole.append(flat)
        for kept, buffer in zip(whole_states, flat_state, strict=True):
            kept.append(buffer)

    def _take_over(self) -> None:
        """Move the large parameters and their state into arrays that are nobody else's."""
        copies = self.backend.own_copies([self.tensors[i]._data for i in self.alone])
        for i, array in zip(self.alone, copies, strict=True):
            self.tensors[i]._data = array
        for slot in self.slots:
            copies = self.backend.own_copies([self.states[i][slot] for i in self.alone])
            for i, array in zip(self.alone, copies, strict=True):
                self.states[i][slot] = array

    def gradients(self) -> list[Array] | None:
        """The gradients, cut as the arrays are; None if a parameter has none, or was given another array."""
        found = []
        for tensor, array in zip(self.tensors, self.arrays, strict=True):
            gradient = tensor._grad
            if gradient is None or tensor._data is not array:
                return None
            found.append(gradient._data)
        if self.packed:
            if not self.alone:
                found = [self.xp.concat(found, axis=None)]
            else:
                together = self.xp.concat([found[i] for i in self.packed], axis=None)
                found = [together, *[found[i] for i in self.alone]]
        return self._cut(found)

    def update(self, rule: Rule, gradients: list[Array], options: Mapping[str, Any]) -> None:
        """Run the rule once over everything, and let the tensors know that they were written to."""
        self.step += 1
        if self.numbers:
            options = {**options, **self.numbers}
        kernel = self.backend.kernels.get(rule.__name__)
        if kernel is not None:
            kernel.function(
                self.xp, self.parameters, gradients, self.parameter_states, step=self.step, **options
            )
        else:
            for place, gradient in enumerate(gradients):
                parameter, state = self.parameters[place], self.parameter_states[place]
                self._store(place, *rule(self.xp, parameter, gradient, state, step=self.step, **options))
        for version in self.versions:
            version.count += 1

    def _store(self, place: int, parameter: Array, state: tuple[Array, ...]) -> None:
        """Keep what a rule returned: in the arrays themselves where the library lets us write."""
        if self.backend.writable:
            self.parameters[place][...] = parameter
            for kept, new in zip(self.parameter_states[place], state, strict=True):
                kept[...] = new
            return
        i = self.alone[place]
        self.tensors[i]._data = self.arrays[i] = self.parameters[place] = parameter
        self.states[i].update(zip(self.slots, state, strict=True))
        self.parameter_states[place] = state
