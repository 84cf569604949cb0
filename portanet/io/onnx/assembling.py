"""From the recordings of two runs to the bytes of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from portanet.errors import ExportError, OptionError
from portanet.io.onnx.graph import IR_VERSION, OPSET, Graph, Pair, UnevenError
from portanet.io.onnx.recording import Operand, Recording, Step, Value
from portanet.io.onnx.rules import may_differ, write

__all__ = ["assembled", "checked_names"]

OPTIONAL = frozenset(["GRU", "LSTM", "MaxPool", "RNN"])
"""Nodes that need not have all of their outputs."""
LARGEST = 2**31 - 1
"""Bytes in one file: what protobuf can hold."""
ONE_SHAPE = "or pass batch_axis=None to export for the example's shape only."


def assembled(
    onnx: Any,
    recordings: Sequence[Recording],
    batches: tuple[int, int],
    axes: Sequence[int | None],
    input_names: Sequence[str],
    output_names: Sequence[str] | None,
) -> bytes:
    """The content of the file, checked by ONNX.

    Parameters
    ----------
    onnx : module
        With its checker and helpers.
    recordings : sequence of Recording
        The same model on two batches.
    batches : tuple of int
        Their lengths.
    axes : sequence of int or None
        Which axis of each input is the batch.
    input_names : sequence of str
        One for each input.
    output_names : sequence of str, optional
        One for each output.

    Raises
    ------
    ExportError
        If the recordings differ in what a graph cannot express, or ONNX refuses what came out.
    OptionError
        If the names do not fit.
    """
    one, other = recordings
    _check_alike(one, other)
    outputs = _output_names(one, input_names, output_names)
    graph = Graph((one, other), batches, axes, input_names)
    wanted = {}
    for operand, name in zip(one.outputs, outputs, strict=True):
        if operand.value is not None and operand.value.step >= 0 and operand.value not in wanted:
            wanted[operand.value] = graph.unique(name)
    needed = _needed(one)
    for place, (step, its) in enumerate(zip(one.steps, other.steps, strict=True)):
        if place in needed:
            _write_step(graph, Pair(graph, step, its), place, wanted)
    results = _results(graph, one, other, outputs)
    nodes, used = _without_dead_ends(graph.nodes, {result.name for result in results})
    inputs = [
        _described(graph, graph.names[Value(-1, place)], operand, its)
        for place, (operand, its) in enumerate(zip(one.inputs, other.inputs, strict=True))
    ]
    arrays = {name: array for name, array in graph.initializers.items() if name in used}
    return _content(onnx, nodes, inputs, results, arrays)


# The two runs


def _check_alike(one: Recording, other: Recording) -> None:
    """Raise unless both runs took the same steps."""
    for step, its in zip(one.steps, other.steps, strict=False):
        if (step.name, step.path) != (its.name, its.path):
            raise _different(step.path)
    if len(one.steps) != len(other.steps):
        longer = one.steps if len(one.steps) > len(other.steps) else other.steps
        raise _different(longer[min(len(one.steps), len(other.steps))].path)
    if [x.value for x in one.outputs] != [x.value for x in other.outputs]:
        raise _different("")


def _different(path: str) -> ExportError:
    place = f"{path!r} of the model" if path else "the model's own forward"
    return ExportError(
        f"{place} does different things for different inputs or lengths of the batch: a graph holds one way only. "
        "Take loops over the batch, and conditions on values, out of forward (portanet.where chooses between values), "
        + ONE_SHAPE
    )


def _operands(step: Step) -> Iterator[Operand]:
    for operand in step.operands:
        if operand is not None:
            yield operand
    for option in step.options.values():
        for part in option if isinstance(option, tuple) else (option,):
            if isinstance(part, Operand):
                yield part


def _needed(recording: Recording) -> set[int]:
    """The steps that the outputs are computed from."""
    needed: set[int] = set()
    sought = [operand.value.step for operand in recording.outputs if operand.value is not None]
    while sought:
        place = sought.pop()
        if place >= 0 and place not in needed:
            needed.add(place)
            sought += [x.value.step for x in _operands(recording.steps[place]) if x.value is not None]
    return needed


# Nodes


def _write_step(graph: Graph, pair: Pair, place: int, wanted: Mapping[Value, str]) -> None:
    """Let the function of a step write its nodes, and give what they compute its names."""
    step = pair.step
    if not may_differ(step) and step.options != pair.other.options:
        raise pair.error(
            f"its options are {step.options} for one batch and {pair.other.options} for another.",
            "Make it independent of the batch, " + ONE_SHAPE,
        )
    begin = len(graph.nodes)
    try:
        found = write(pair)
    except UnevenError as error:
        raise pair.error(f"{error}", "Choose other lengths, " + ONE_SHAPE) from None
    fresh = {name: node for node in graph.nodes[begin:] for name in node.output}
    for result, name in enumerate(found if isinstance(found, list) else [found]):
        value = Value(place, result)
        node = fresh.pop(name, None)
        if node is not None:
            label = graph.recordings[0].labels.get(value)
            better = wanted.get(value) or graph.unique(label or _called(step))
            _rename(graph.nodes[begin:], name, better)
            name = better
        graph.names[value] = name


def _called(step: Step) -> str:
    return f"{step.path}.{step.name}" if step.path else step.name


def _rename(nodes: Sequence[Any], old: str, new: str) -> None:
    for node in nodes:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new


def _without_dead_ends(nodes: Sequence[Any], outputs: set[str]) -> tuple[list[Any], set[str]]:
    """The nodes that something is made of, and the names that are used."""
    used = set(outputs)
    kept = []
    for node in reversed(nodes):
        if not used.intersection(node.output):
            continue
        if node.op_type in OPTIONAL:
            names = [name if name in used else "" for name in node.output]
            while not names[-1]:
                names.pop()
            del node.output[:]
            node.output.extend(names)
        used.update(node.input)
        kept.append(node)
    return kept[::-1], used


# Inputs and outputs


def _output_names(recording: Recording, input_names: Sequence[str], given: Sequence[str] | None) -> list[str]:
    count = len(recording.outputs)
    if not count:
        raise ExportError(
            "the model returns no array, and a graph must have an output. Return a Tensor, or a nest of them."
        )
    if given is None:
        return ["output"] if count == 1 else [f"output_{place}" for place in range(count)]
    names = checked_names("output_names", given, count)
    both = set(names) & set(input_names)
    if both:
        raise OptionError(
            f"output_names: expected names that no input has, got {', '.join(map(repr, sorted(both)))}."
        )
    return names


def checked_names(argument: str, names: Sequence[str], count: int) -> list[str]:
    """The names as a list.

    Raises
    ------
    OptionError
        If they are not as many different strings as are wanted.
    """
    found = [] if isinstance(names, str) else list(names)
    fits = len(found) == count and all(name and isinstance(name, str) for name in found)
    if not fits or len(set(found)) != count:
        raise OptionError(f"{argument}: expected {count} different names, got {names!r}.")
    return found


def _described(graph: Graph, name: str, operand: Operand, its: Operand) -> Any:
    """Name, type and shape of an input or output."""
    try:
        shape = [graph.dimension(size) for size in zip(operand.shape, its.shape, strict=True)]
    except UnevenError as error:
        raise ExportError(
            f"the output {name!r} cannot be exported to ONNX: {error} Leave it out of what the model returns, "
            + ONE_SHAPE
        ) from None
    return graph.onnx.helper.make_tensor_value_info(name, graph.element_type(operand.dtype), shape)


def _results(graph: Graph, one: Recording, other: Recording, outputs: Sequence[str]) -> list[Any]:
    """The outputs, each under its name; what has another one already is renamed, or copied if it must keep it."""
    results = []
    given = {graph.names[Value(-1, place)] for place in range(len(one.inputs))}
    named = given | set(graph.initializers) | {name for node in graph.nodes for name in node.output}
    taken: set[str] = set()
    for name, operand, its in zip(outputs, one.outputs, other.outputs, strict=True):
        if operand.value is None:
            raise ExportError(
                f"the output {name!r} does not depend on the inputs, so a graph cannot compute it. Leave it out of "
                "what the model returns, or use functions of portanet on Tensors."
            )
        source = graph.names[operand.value]
        fixed = source in given or source in taken or source in graph.initializers
        if source != name or fixed:
            final = graph.unique(name) if name in named or name in taken else name
            if fixed:
                node = graph.onnx.helper.make_node("Identity", [source], [final], f"{final}.Identity")
                graph.nodes.append(node)
            else:
                _rename(graph.nodes, source, final)
                graph.names = {value: final if old == source else old for value, old in graph.names.items()}
            name = final
        taken.add(name)
        results.append(_described(graph, name, operand, its))
    return results


# The file


def _content(
    onnx: Any, nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], arrays: Mapping[str, Any]
) -> bytes:
    size = sum(array.nbytes for array in arrays.values())
    if size > LARGEST:
        raise ExportError(
            f"the model's arrays take {size:,} bytes, and an ONNX file holds {LARGEST:,} at most. Convert the model "
            "with model.to(dtype=portanet.float16), or export its parts one by one."
        )
    helper = onnx.helper
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    built = helper.make_model(
        helper.make_graph(nodes, "model", inputs, outputs, tensors),
        producer_name="portanet",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    try:
        onnx.checker.check_model(built, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(
            f"ONNX has no such graph: {error}. Nodes are named after the modules that they come from. If it is the "
            "data type that does not fit, convert the model with model.float(), or what goes in with portanet.astype."
        ) from error
    content: bytes = built.SerializeToString()
    return content
