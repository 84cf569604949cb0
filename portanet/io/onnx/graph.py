"""A graph as it is written: nodes, initialisers, their names, and sizes that follow the batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from portanet.backend import backend_of
from portanet.errors import ExportError
from portanet.io.onnx.recording import Operand, Recording, Step, Value, refuse
from portanet.tensor import unwrap

__all__ = ["Condition", "Fits", "Graph", "Pair", "Sizes", "UnevenError", "Write", "host"]

OPSET = 21
"""The first with GroupNormalization by channels; ONNX Runtime reads it since 1.18 of 2024."""
IR_VERSION = 10
"""That of ONNX 1.16, in which opset 21 came."""

Sizes = list[tuple[int, int]]
"""Lengths in both recordings: two equal numbers, or two that differ as the batches do."""


class UnevenError(Exception):
    """A length that does not follow the batch linearly. Whoever knows where it is makes an ExportError of it."""


def host(array: Any) -> Any:
    """A contiguous copy on the host."""
    import numpy as np

    backend = backend_of(array)
    return np.ascontiguousarray(array if backend is None else backend.to_host(array)).reshape(array.shape)


class Graph:
    """Nodes in the making.

    Parameters
    ----------
    recordings : pair of Recording
        The same steps on two batches of different lengths; twice the same one if nothing may follow the batch.
    batches : pair of int
        Their lengths.
    batch_axes : sequence of int or None
        Which axis of each input is the batch.
    input_names : sequence of str
        One for each input.
    """

    def __init__(
        self,
        recordings: tuple[Recording, Recording],
        batches: tuple[int, int],
        batch_axes: Sequence[int | None],
        input_names: Sequence[str],
    ) -> None:
        import onnx

        self.onnx = onnx
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.names: dict[Value, str] = {}
        self.recordings = recordings
        self.batch_axes, self._batches = batch_axes, batches
        self._taken: Counter[str] = Counter()
        self._known: dict[Any, str] = {}
        self._batch: str | None = None
        for place, name in enumerate(input_names):
            self.names[Value(-1, place)] = self.unique(name)

    def unique(self, name: str) -> str:
        """The name, with a number behind it if it is taken."""
        self._taken[name] += 1
        return name if self._taken[name] == 1 else self.unique(f"{name}_{self._taken[name]}")

    def node(
        self, kind: str, inputs: Sequence[str], path: str = "", outputs: int = 1, **attributes: Any
    ) -> Any:
        """Add a node; the name of its result, or a list of them. Attributes that are None are left out."""
        name = self.unique(f"{path}.{kind}" if path else kind)
        results = [name] if outputs == 1 else [self.unique(f"{name}:{place}") for place in range(outputs)]
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), results, name, **given))
        return results[0] if outputs == 1 else results

    def constant(self, array: Any, name: str = "constant") -> str:
        """The name of an initialiser; equal ones without a name of their own are one."""
        array = host(array)
        key = (name, array.dtype.str, array.shape, sha256(array).digest())
        if key not in self._known:
            self._known[key] = self.unique(name)
            self.initializers[self._known[key]] = array
        return self._known[key]

    def numbers(self, values: Sequence[int]) -> str:
        """An initialiser of int64."""
        import numpy as np

        return self.constant(np.asarray(list(values), dtype=np.int64))

    def number(self, value: complex, dtype: str) -> str:
        """An initialiser that holds one number of this type."""
        import numpy as np

        return self.constant(np.asarray(value, dtype=dtype))

    def cast(self, name: str, source: str, target: str, path: str = "") -> str:
        """A value in another data type."""
        if source == target:
            return name
        return str(self.node("Cast", [name], path, to=self.element_type(target)))

    def element_type(self, dtype: str) -> int:
        """ONNX's number of a data type."""
        import numpy as np

        return int(self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    # What follows the batch

    def batch(self) -> str:
        """The batch's length, of shape (1,), read from the first input that has one."""
        if self._batch is None:
            place, axis = next((i, axis) for i, axis in enumerate(self.batch_axes) if axis is not None)
            source = self.names[Value(-1, place)]
            self._batch = self.unique("batch_size")
            self.nodes.append(
                self.onnx.helper.make_node(
                    "Shape", [source], [self._batch], self._batch, start=axis, end=axis + 1
                )
            )
        return self._batch

    def follows(self, size: tuple[int, int]) -> tuple[int, int]:
        """Factor and summand that make a length of that of the batch."""
        step = self._batches[1] - self._batches[0] or 1
        factor, rest = divmod(size[1] - size[0], step)
        if rest:
            one, other = self._batches
            raise UnevenError(
                f"a length is {size[0]} for {one} examples and {size[1]} for {other}, and a graph can only multiply "
                "the batch's by a number and add another."
            )
        return factor, size[0] - factor * self._batches[0]

    def sizes(self, sizes: Sizes) -> str:
        """An int64 vector of lengths: an initialiser, or computed from the batch."""
        if all(one == other for one, other in sizes):
            return self.numbers([one for one, _ in sizes])
        parts: list[str] = []
        fixed: list[int] = []
        for one, other in sizes:
            if one == other:
                fixed.append(one)
                continue
            if fixed:
                parts.append(self.numbers(fixed))
                fixed = []
            factor, summand = self.follows((one, other))
            name = self.batch()
            if factor != 1:
                name = self.node("Mul", [name, self.numbers([factor])])
            if summand:
                name = self.node("Add", [name, self.numbers([summand])])
            parts.append(name)
        if fixed:
            parts.append(self.numbers(fixed))
        return parts[0] if len(parts) == 1 else str(self.node("Concat", parts, axis=0))

    def dimension(self, size: tuple[int, int]) -> int | str:
        """How a length is written in the type of an input or output."""
        if size[0] == size[1]:
            return size[0]
        factor, summand = self.follows(size)
        text = "batch" if factor == 1 else f"{factor}*batch"
        return text + (f"{summand:+}" if summand else "")


@dataclass
class Pair:
    """A step as both recordings have it, for the functions that write nodes; what the first one has, unless said."""

    graph: Graph
    step: Step
    other: Step

    @property
    def layer(self) -> Any:
        """The module, of a layer."""
        return self.step.layer

    def node(self, kind: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> Any:
        """Add a node in the place of this step."""
        return self.graph.node(kind, inputs, self.step.path, outputs, **attributes)

    def error(self, why: str, remedy: str) -> ExportError:
        """The error that names this step."""
        what = self.step.name if self.layer is not None else f"the function {self.step.name}()"
        return refuse(self.step.path, what, why, remedy)

    def given(self, place: int) -> bool:
        """Whether there is such an operand."""
        return place < len(self.step.operands) and self.step.operands[place] is not None

    def operand(self, place: int) -> Operand:
        """An operand that is there."""
        found = self.step.operands[place]
        assert found is not None
        return found

    def shape(self, place: int) -> tuple[int, ...]:
        """The shape of an operand."""
        return self.operand(place).shape

    def dtype(self, place: int) -> str:
        """The data type of an operand."""
        return self.operand(place).dtype

    def parameter(self, attribute: str) -> str:
        """The name of a parameter or buffer of the layer."""
        array = unwrap(getattr(self.layer, attribute))
        label = self.graph.recordings[0].origins.get(id(array), self.label(attribute))
        return self.graph.constant(array, label)

    def label(self, attribute: str) -> str:
        """A name for an array of the layer."""
        return f"{self.step.path}.{attribute}" if self.step.path else attribute

    def sizes_in(self, place: int) -> Sizes:
        """The shape of an operand in both recordings."""
        other = self.other.operands[place]
        assert other is not None
        return list(zip(self.shape(place), other.shape, strict=True))

    def sizes_out(self, place: int = 0) -> Sizes:
        """The shape of a result in both recordings."""
        return list(zip(self.step.shapes[place], self.other.shapes[place], strict=True))

    def name(self, place: int, dtype: str | None = None, *, broadcasts: bool = False) -> str:
        """The name of an operand, in this data type if one is given.

        ``broadcasts`` says that the node does, so that what only repeats along the batch need not be written out.
        """
        return self.name_of(self.operand(place), self.other.operands[place], dtype, broadcasts=broadcasts)

    def name_of(
        self, operand: Operand, other: Any, dtype: str | None = None, *, broadcasts: bool = False
    ) -> str:
        """The name of an operand or of what stands in an option."""
        if operand.value is not None:
            if other is None or other.value != operand.value:
                raise self.error(
                    "it takes different ways for batches of different lengths.",
                    "Pass batch_axis=None to export for the example's shape only.",
                )
            name = self.graph.names[operand.value]
            return self.graph.cast(name, operand.dtype, dtype or operand.dtype, self.step.path)
        if operand.array is None:
            assert operand.number is not None
            if other is None or (operand.number != other.number and operand.number == operand.number):
                raise self.error(
                    f"a number in it is {operand.number} for one batch and "
                    f"{getattr(other, 'number', None)} for another.",
                    "Compute it with Tensors, or pass batch_axis=None to export for the example's shape only.",
                )
            return self.graph.number(operand.number, dtype or self.step.dtypes[0])
        array = self.constant_of(operand, other)
        label = self.graph.recordings[0].origins.get(id(operand.array), "constant")
        if array is not None:
            return self.graph.constant(array if dtype is None else array.astype(dtype), label)
        return self._repeated(operand, other, dtype or operand.dtype, broadcasts)

    def constant_of(self, operand: Operand, other: Any) -> Any:
        """The host copy of an array that is the same in both recordings; None for one whose shape follows the batch.

        Raises
        ------
        ExportError
            If its values differ, so that they depend on those of the inputs.
        """
        import numpy as np

        one = host(operand.array)
        if other is None or other.array is None:
            raise self.error(
                "it takes different ways for batches of different lengths.",
                "Pass batch_axis=None to export for the example's shape only.",
            )
        if other.array is operand.array:  # as parameters are
            return one
        two = host(other.array)
        if one.shape != two.shape:
            return None
        if not np.array_equal(one, two, equal_nan=one.dtype.kind == "f"):
            raise self.error(
                "an operand differs from run to run: it is drawn at random, or made of the inputs' values by something "
                "else than functions of portanet on Tensors.",
                "Make it with functions of portanet on Tensors.",
            )
        return one

    def constant(self, place: int) -> Any:
        """The host copy of an operand that does not depend on the inputs and not on the batch, else None."""
        operand = self.step.operands[place] if self.given(place) else None
        if operand is None or operand.array is None:
            return None
        return self.constant_of(operand, self.other.operands[place])

    def _repeated(self, operand: Operand, other: Operand, dtype: str, broadcasts: bool) -> str:
        """An array whose shape follows the batch, if it repeats one part of it, or counts from 0 on."""
        import numpy as np

        one, two = host(operand.array), host(other.array)
        if one.ndim == two.ndim:
            sizes = list(zip(one.shape, two.shape, strict=True))
            part = one[tuple(slice(0, None if a == b else 1) for a, b in sizes)]
            if all(np.array_equal(np.broadcast_to(part, x.shape), x) for x in (one, two)):
                name = self.graph.constant(part.astype(dtype))
                if broadcasts and self._others_have(sizes):
                    return name
                return str(self.node("Expand", [name, self.graph.sizes(sizes)]))
            if one.ndim == 1 and one.dtype.kind == "i" and one.size > 1:
                start, step = int(one[0]), int(one[1] - one[0])
                if all(np.array_equal(x, start + step * np.arange(x.size)) for x in (one, two)):
                    return self._counted(start, step, sizes, dtype)
        raise self.error(
            f"an operand that does not come from the inputs has the shape {one.shape} for one batch and {two.shape} "
            "for another, and does not simply repeat.",
            "Make it of an input with functions of portanet, or pass batch_axis=None to export for the example's shape "
            "only.",
        )

    def _others_have(self, sizes: Sizes) -> bool:
        """Whether of each length that follows the batch there is an operand made of the inputs that has it, too."""
        shapes = [
            list(zip(x.shape, y.shape, strict=True))
            for x, y in zip(self.step.operands, self.other.operands, strict=True)
            if x is not None and y is not None and x.value is not None and len(x.shape) == len(y.shape)
        ]
        return all(
            size[0] == size[1] or any(len(shape) >= -axis and shape[axis] == size for shape in shapes)
            for axis, size in enumerate(sizes, start=-len(sizes))
        )

    def _counted(self, start: int, step: int, sizes: Sizes, dtype: str) -> str:
        """As many integers as the batch wants, at equal distances."""
        count = self.node("Squeeze", [self.graph.sizes(sizes)])
        name = self.node("Range", [self.graph.number(0, "int64"), count, self.graph.number(1, "int64")])
        if step != 1:
            name = self.node("Mul", [name, self.graph.number(step, "int64")])
        if start:
            name = self.node("Add", [name, self.graph.number(start, "int64")])
        return self.graph.cast(name, "int64", dtype, self.step.path)


Write = Callable[[Pair], Any]
"""What adds the nodes of a step; it returns the name of the result, or a list of names."""
Condition = Callable[[Sequence[Any], Mapping[str, Any]], bool]
"""Of operands and options: whether a function is written, where it is not always."""
Fits = Callable[[Any, Sequence[Any]], bool]
"""Of a layer and its arguments: whether it is written as a whole."""
