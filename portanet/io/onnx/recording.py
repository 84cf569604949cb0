"""What a model does to its inputs, recorded: a step for each op, and one for each layer that ONNX has as a whole."""

from __future__ import annotations

import inspect
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from portanet.anomaly import observe
from portanet.backend import backend_of
from portanet.errors import ExportError
from portanet.graph import no_grad
from portanet.nn.functional.normalization import rebind
from portanet.nn.module import Module
from portanet.nn.parameter import UninitializedParameter
from portanet.protocols import Array, Op
from portanet.tensor import Tensor, unwrap, wrap
from portanet.trees import flatten

__all__ = ["Operand", "Recording", "Rules", "Step", "Value", "refuse"]


class Value(NamedTuple):
    """Something computed from the inputs: which result of which step; step -1 stands for the inputs themselves."""

    step: int
    place: int


@dataclass(frozen=True)
class Operand:
    """What goes into a step: a value, or an array that does not depend on the inputs, or a Python number.

    ``dtype`` is the name of the data type, empty for a Python number, and ``shape`` its shape.
    """

    value: Value | None = None
    array: Array | None = None
    number: complex | None = None
    shape: tuple[int, ...] = ()
    dtype: str = ""


@dataclass
class Step:
    """One op, or one layer as a whole, in the module at ``path``; operands may also stand in the options."""

    name: str
    path: str
    layer: Module | None
    operands: list[Operand | None]
    options: dict[str, Any]
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    dtypes: list[str] = field(default_factory=list)


class Rules(NamedTuple):
    """What can be written, as a recording asks for it."""

    knows: Callable[[str, Sequence[Any], Mapping[str, Any]], bool]
    """``knows(op name, operands, options)``: whether such a step can be written. Any other op is run again on Tensors
    with portanet as its namespace, so that the standard's functions it is made of are recorded in its place."""
    knows_layer: Callable[[Module, Sequence[Any]], bool]
    """``knows_layer(module, arguments)``: whether the whole layer is to be one step."""
    rewritten: Callable[[Module], Callable[..., Any] | None]
    """``rewritten(module)``: what to call in place of its ``forward``, with the module in front, or None."""
    reason_against: Callable[[Module, Sequence[Any]], str | None]
    """``reason_against(module, arguments)``: why a layer is not to be recorded, or None."""


DTYPES = frozenset(
    [
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64"),
    ]
)

HINTS = {
    "getitem": "Index by integers, slices and one array of integers; choose by a mask with portanet.where.",
    "setitem": "Write to slices without a step; choose by a mask with portanet.where.",
}


def refuse(path: str, what: str, why: str, remedy: str) -> ExportError:
    """The error for a part of the model that cannot be exported."""
    place = f"{path!r} of the model" if path else "the model's own forward"
    return ExportError(f"{what} in {place} cannot be exported to ONNX: {why} {remedy}")


class Recording:
    """A run of a model on given inputs, step by step.

    Parameters
    ----------
    model : Module
        It runs as it is: set evaluation mode before.
    rules : Rules
        What can be written, and how to do without what cannot.
    """

    def __init__(self, model: Module, rules: Rules) -> None:
        self.steps: list[Step] = []
        self.inputs: list[Operand] = []
        self.outputs: list[Operand] = []
        self.labels: dict[Value, str] = {}
        """The paths of the modules whose results values are."""
        self.origins: dict[int, str] = {}
        """Names for arrays that do not depend on the inputs, by their identity."""
        self.shared: set[int] = set()
        """The identities of arrays that several modules hold."""
        self._model, self._rules = model, rules
        self._values: dict[int, Value] = {}
        self._kept: list[Any] = []  # so that no identity is given twice
        self._paths: list[str] = [""]
        self._silent = 0
        self._open: list[str] = []

    def rehearse(self, args: Any) -> None:
        """Call the model without recording: lazy parameters and kept tables are made, refused layers are found."""
        with self._intercepted(), no_grad():
            self._model(*args)

    def run(self, args: Any) -> Any:
        """Call the model with these arguments, a nest of Tensors, and return what it returns."""
        held = Counter(
            id(unwrap(value))
            for module in self._model.modules()
            for value in vars(module).values()
            if isinstance(value, Tensor)
        )
        self.shared = {array for array, times in held.items() if times > 1}
        for name, tensor in (*self._model.named_buffers(), *self._model.named_parameters()):
            self._originate(unwrap(tensor), name)
        for place, leaf in enumerate(flatten(args)[0]):
            self._define(unwrap(leaf), Value(-1, place))
            self.inputs.append(self._operand(leaf))
        with self._intercepted(), no_grad(), observe(self._observed):
            output = self._model(*args)
        self.outputs = [self._operand(leaf) for leaf in flatten(output)[0]]
        return output

    # Modules

    @contextmanager
    def _intercepted(self) -> Iterator[None]:
        """Put a function in place of the ``forward`` of each module that says when it begins and ends.

        At the end the modules have their Tensors of before, with the values of before, whatever was done to them.
        """
        before = []
        try:
            for path, module in self._model.named_modules():
                attributes = vars(module)
                held = [
                    (name, tensor, unwrap(tensor))
                    for name, tensor in attributes.items()
                    if isinstance(tensor, Tensor) and not isinstance(tensor, UninitializedParameter)
                ]
                before.append((attributes, attributes.get("forward"), held))
                attributes["forward"] = self._announcing(path, module, module.forward)
            yield
        finally:
            for attributes, forward, held in before:
                if forward is None:
                    del attributes["forward"]
                else:
                    attributes["forward"] = forward
                for name, tensor, array in held:
                    attributes[name] = tensor
                    if unwrap(tensor) is not array:
                        rebind(tensor, array)

    def _announcing(self, path: str, module: Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        def announced(*args: Any, **options: Any) -> Any:
            if self._silent:
                return forward(*args, **options)
            given = list(args)
            if options:
                bound = inspect.signature(forward).bind(*args, **options)
                bound.apply_defaults()
                given = list(bound.arguments.values())
            why = self._rules.reason_against(module, given)
            if why is not None:
                raise refuse(path, type(module).__name__, why, "Export the part of the model without it.")
            self._paths.append(path)
            begin = len(self.steps)
            try:
                leaves = flatten(given)[0]
                known = any(map(self._is_known, leaves))
                instead = self._rules.rewritten(module) if known else None
                if known and self._rules.knows_layer(module, given):
                    output = self._as_one_step(module, leaves, lambda: forward(*args, **options))
                else:
                    run = forward if instead is None else partial(instead, module)
                    output = run(*args, **options)
            finally:
                self._paths.pop()
            if path:
                self._label(path, output, begin)
            return output

        return announced

    def _as_one_step(self, module: Module, leaves: list[Any], call: Callable[[], Any]) -> Any:
        operands: list[Operand | None] = [self._operand(leaf) for leaf in leaves]
        self._silent += 1
        try:
            output = call()
        finally:
            self._silent -= 1
        results = [unwrap(leaf) for leaf in flatten(output)[0]]
        self._record(Step(type(module).__name__, self._paths[-1], module, operands, {}), results)
        return output

    def _label(self, path: str, output: Any, begin: int) -> None:
        """Name what a module returns after it, if one of its own steps, from ``begin`` on, has made it."""
        leaves = flatten(output)[0]
        for place, leaf in enumerate(leaves):
            value = self._values.get(id(unwrap(leaf)))
            if value is not None and value.step >= begin:
                name = f"{path}.output" + (f"_{place}" if len(leaves) > 1 else "")
                self.labels.setdefault(value, name)

    # Ops

    def _observed(
        self, op: Op, operands: Sequence[Any], options: Mapping[str, Any], results: Sequence[Array]
    ) -> None:
        if self._silent:
            return
        arrays = [x for x in (*operands, *flatten(options)[0]) if backend_of(x) is not None]
        if not any(map(self._is_known, arrays)):
            self._derive(op, arrays, results)
        elif self._rules.knows(op.__name__, operands, options):
            refer = self._refer
            step = Step(op.__name__, self._paths[-1], None, [refer(x) for x in operands], {})
            leaves, rebuild = flatten(dict(options))
            step.options = rebuild([self._operand(leaf) for leaf in leaves])
            self._record(step, results)
        else:
            self._take_apart(op, operands, options, results)

    def _take_apart(
        self, op: Op, operands: Sequence[Any], options: Mapping[str, Any], results: Sequence[Array]
    ) -> None:
        """Run an op again on Tensors: what it calls is observed in its place."""
        name = op.__name__
        if name in self._open:
            raise refuse(
                self._paths[-1],
                f"the function {name}()",
                "there is no rule for it in this form.",
                HINTS.get(
                    name,
                    "Write it with functions that docs/onnx.md lists, or export the part of the model before it.",
                ),
            )
        self._open.append(name)
        try:
            tensors = [wrap(x) if backend_of(x) is not None else x for x in operands]
            leaves, rebuild = flatten(dict(options))
            found = op(sys.modules["portanet"], *tensors, **rebuild([wrap(unwrap(x)) for x in leaves]))[0]
        finally:
            self._open.pop()
        for result, other in zip(results, found if isinstance(found, tuple) else (found,), strict=True):
            value = self._values.get(id(unwrap(other)))
            if value is not None:
                self._define(result, value)

    def _record(self, step: Step, results: Sequence[Array]) -> None:
        for place, result in enumerate(results):
            described = self._describe(result)
            step.shapes.append(described.shape)
            step.dtypes.append(described.dtype)
            if id(result) not in self._values:  # a layer may return what came in
                self._define(result, Value(len(self.steps), place))
        self.steps.append(step)

    def _derive(self, op: Op, operands: Sequence[Array], results: Sequence[Array]) -> None:
        """Name what was made of parameters after them."""
        named = [self.origins[id(x)] for x in operands if id(x) in self.origins]
        if len(named) == 1:
            same = op.__name__ in ("reshape", "expand_dims", "squeeze", "astype")
            for result in results:
                if id(result) not in self.origins:
                    self._originate(result, named[0] if same else f"{named[0]}.{op.__name__}")

    def _originate(self, array: Array, name: str) -> None:
        self.origins[id(array)] = name
        self._kept.append(array)

    def _define(self, array: Array, value: Value) -> None:
        self._values[id(array)] = value
        self._kept.append(array)

    def _is_known(self, x: Any) -> bool:
        return id(unwrap(x)) in self._values

    def _refer(self, x: Any) -> Operand | None:
        if x is None:
            return None
        return Operand(number=x) if backend_of(x) is None else self._operand(x)

    def _operand(self, x: Any) -> Operand:
        array = unwrap(x)
        value = self._values.get(id(array))
        return self._describe(array, value)

    def _describe(self, array: Array, value: Value | None = None) -> Operand:
        backend = backend_of(array)
        assert backend is not None
        dtype = backend.dtype_of(array).name
        if dtype not in DTYPES:
            raise refuse(
                self._paths[-1],
                f"an array of type {dtype}",
                "it is not among the types of this exporter.",
                "Convert the model with model.to(portanet.float32).",
            )
        self._kept.append(array)
        return Operand(value, None if value else array, None, tuple(array.shape), dtype)
