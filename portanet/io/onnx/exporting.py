"""From a model and an example to an ONNX file."""

from __future__ import annotations

import inspect
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from portanet.checks import whole_number
from portanet.errors import ExportError, OptionError, PortanetError
from portanet.functions.inspection import to_host
from portanet.io.onnx.arrays import ARRAY_CONDITIONS, ARRAYS, FOLLOWS_BATCH
from portanet.io.onnx.elementwise import ELEMENTWISE
from portanet.io.onnx.graph import IR_VERSION, OPSET, Graph, Pair
from portanet.io.onnx.indexing import INDEXING, INDEXING_CONDITIONS, INDEXING_FOLLOWS_BATCH
from portanet.io.onnx.layers import LAYERS, reason_against
from portanet.io.onnx.network import NETWORK, NETWORK_CONDITIONS
from portanet.io.onnx.recording import Operand, Recording, Step, Value
from portanet.io.onnx.recurrent import RECURRENT
from portanet.nn.module import Module
from portanet.tensor import Tensor, asarray
from portanet.trees import flatten

__all__ = ["export"]

OPS = {**ELEMENTWISE, **ARRAYS, **INDEXING, **NETWORK}
WHOLE = {**LAYERS, **RECURRENT}
CONDITIONS = {**ARRAY_CONDITIONS, **INDEXING_CONDITIONS, **NETWORK_CONDITIONS}
MAY_DIFFER = FOLLOWS_BATCH | INDEXING_FOLLOWS_BATCH
OPTIONAL = frozenset(["GRU", "LSTM", "MaxPool", "RNN"])
"""Nodes that need not have all of their outputs."""
LARGEST = 2**31 - 1
"""Bytes in one file: what protobuf can hold."""


def export(
    model: Module,
    example: Any,
    path: str | os.PathLike[str],
    *,
    batch_axis: int | Sequence[int | None] | None = 0,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> None:
    """Write a model as an ONNX file.

    The model runs in evaluation mode on two batches, of two and of three examples, made of those given; what it does to
    them becomes the graph. Loops and conditions are as they were in these runs. The model is left as it was.

    Parameters
    ----------
    model : Module
        What it returns may be an array, or a nest of tuples, lists and dicts of them.
    example : Tensor, array, or tuple of them
        What it is called with; a tuple stands for several arguments, each of which may be a nest of arrays. Shapes
        and data types count, and values only where they must lie in a range, as indices must.
    path : str or path
        Where to, by custom ending in ``.onnx``. An old file stays as it is until the new one is complete.
    batch_axis : int, None, or sequence of them, default 0
        Which axis of the inputs is the batch, whose length the file leaves open: the same one for all inputs, or one
        for each. None: every length is the example's.
    input_names, output_names : sequence of str, optional
        Default: the parameters of ``forward``; and ``output``, or ``output_0``, ``output_1``, ....

    Raises
    ------
    ExportError
        If a layer or a function has no form in ONNX, or if something depends on the batch or on values in a way that
        a graph cannot express. It names the part and its place in the model.
    OptionError
        If an axis or the number of names does not fit the example.
    ModuleNotFoundError
        If the package ``onnx`` is not installed.
    OSError
        If the file cannot be written.

    Notes
    -----
    The file has opset 21, the first whose GroupNormalization is that of the layer; ONNX Runtime reads it since 1.18
    of 2024. Initialisers have the names of the state dict; nodes those of the modules they come from.

    Examples
    --------
    >>> model = pn.nn.Sequential(pn.nn.Linear(4, 8), pn.nn.ReLU(), pn.nn.Linear(8, 2))
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     pn.io.onnx.export(model, pn.zeros((1, 4)), f"{folder}/model.onnx")
    ...     os.listdir(folder)
    ['model.onnx']
    """
    import numpy as np

    onnx = _required()
    if not isinstance(model, Module):
        raise TypeError(
            f"model: expected a Module, got {type(model).__name__}. Put functions into a Module's forward."
        )
    args = example if isinstance(example, tuple) else (example,)
    leaves, rebuild = flatten(args)
    if not leaves:
        raise TypeError(
            "example: expected an array or a tuple with arrays in it, which the model is called with."
        )
    axes = _batch_axes(batch_axis, leaves)
    device = next((parameter.device for parameter in model.parameters()), None)
    hosts = [to_host(leaf) for leaf in leaves]
    lengths = {leaf.shape[axis] for leaf, axis in zip(hosts, axes, strict=True) if axis is not None}
    if len(lengths) > 1:
        raise OptionError(
            f"batch_axis: the axes {axes} of the example's arrays have the lengths {sorted(lengths)}, and must "
            "have one. Give one axis for each array, or None for those without a batch."
        )
    if 0 in lengths:
        raise OptionError("example: expected at least one example in the batch, got none.")
    batches = (2, 3) if lengths else (0, 0)  # a batch of one would hide what broadcasts

    def arguments(batch: int, again: bool) -> Any:
        batches = [_batch_of(x, axis, batch, again) for x, axis in zip(hosts, axes, strict=True)]
        return rebuild([asarray(x, device=None if device is None else str(device)) for x in batches])

    with _evaluating(model):
        Recording(model, _knows, _knows_layer, reason_against).rehearse(arguments(batches[0], False))
        recordings = [_recorded(model, arguments(batches[0], False))]
        with np.errstate(all="ignore"):  # which the second batch, made up as it is, may not be free of
            try:
                recordings.append(_recorded(model, arguments(batches[1], True)))
            except ExportError:
                raise
            except (PortanetError, IndexError):  # integers such as offsets may have to stand in order
                recordings.append(_recorded(model, arguments(batches[1], False)))
    inputs = _input_names(model, args, len(leaves), input_names)
    content = _written(onnx, recordings, batches, axes, inputs, output_names)
    _put(content, Path(path))


def _required() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise ModuleNotFoundError(
            "portanet.io.onnx needs the package onnx, which is not installed. Run: pip install portanet[onnx]"
        ) from error
    return onnx


# The two runs


def _recorded(model: Module, args: Any) -> Recording:
    recording = Recording(model, _knows, _knows_layer, reason_against)
    recording.run(args)
    return recording


@contextmanager
def _evaluating(model: Module) -> Iterator[None]:
    """Evaluation mode, and each module's own mode again."""
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def _batch_axes(batch_axis: Any, leaves: Sequence[Any]) -> list[int | None]:
    shared = batch_axis is None or isinstance(batch_axis, int)
    given = [batch_axis] * len(leaves) if shared else list(batch_axis)
    if len(given) != len(leaves):
        raise OptionError(
            f"batch_axis: expected one axis for all, or one for each of {len(leaves)} arrays in the example, got "
            f"{len(given)}."
        )
    axes: list[int | None] = []
    for axis, leaf in zip(given, leaves, strict=True):
        ndim = len(leaf.shape)
        if axis is None or (shared and not ndim):
            axes.append(None)
            continue
        if not -ndim <= whole_number("batch_axis", axis) < ndim:
            raise OptionError(
                f"batch_axis: axis {axis} is not among those of an array of shape {tuple(leaf.shape)} in the example. "
                "Pass None for arrays without a batch."
            )
        axes.append(axis % ndim)
    return axes


def _batch_of(host: Any, axis: int | None, batch: int, again: bool) -> Any:
    """As many examples as wanted out of those that are there; another time in reverse, and floats nearer to a half.

    So numbers from 0 to 1, and positive ones, stay what they are.
    """
    import numpy as np

    if again and host.dtype.kind == "f":
        host = host * host.dtype.type(0.875) + host.dtype.type(0.0625)
    if again and host.dtype.kind != "f":
        host = np.flip(host)
    if axis is None:
        return host
    length = host.shape[axis]
    places = np.arange(batch) % max(length, 1)
    return np.take(host, length - 1 - places if again else places, axis=axis)


def _knows(name: str, operands: Sequence[Any], options: Mapping[str, Any]) -> bool:
    condition = CONDITIONS.get(name)
    return name in OPS and (condition is None or condition(operands, options))


def _knows_layer(module: Module, given: Sequence[Any]) -> bool:
    known = _found(module)
    return known is not None and bool(known[0](module, given))


def _found(module: Module) -> Any:
    """The entry of the class whose ``forward`` this is."""
    for ancestor in type(module).__mro__:
        if ancestor in WHOLE:
            return WHOLE[ancestor] if type(module).forward is ancestor.forward else None
    return None


# The graph


def _written(
    onnx: Any,
    recordings: Sequence[Recording],
    batches: tuple[int, int],
    axes: Sequence[int | None],
    input_names: Sequence[str],
    output_names: Sequence[str] | None,
) -> bytes:
    one, other = recordings
    graph = Graph((one, other), batches, axes, input_names)
    outputs = _output_names(one, output_names)
    wanted = {}
    for operand, name in zip(one.outputs, outputs, strict=True):
        if operand.value is not None and operand.value.step >= 0 and operand.value not in wanted:
            wanted[operand.value] = graph.unique(name)
    _check_alike(one, other)
    needed = _needed(one)
    for place, (step, its) in enumerate(zip(one.steps, other.steps, strict=True)):
        if place in needed:
            _write_step(graph, Pair(graph, step, its), place, wanted)
    return _assembled(onnx, graph, one, other, outputs)


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
        "or pass batch_axis=None to export for the example's shape only."
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


def _write_step(graph: Graph, pair: Pair, place: int, wanted: Mapping[Value, str]) -> None:
    """Let the function of a step write its nodes, and give what they compute its names."""
    step = pair.step
    if step.layer is None and step.name not in MAY_DIFFER and step.options != pair.other.options:
        raise pair.error(
            f"its options are {step.options} for one batch and {pair.other.options} for another.",
            "Make it independent of the batch, or pass batch_axis=None to export for the example's shape only.",
        )
    begin = len(graph.nodes)
    write = OPS[step.name] if step.layer is None else _found(step.layer)[1]
    found = write(pair)
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


def _assembled(onnx: Any, graph: Graph, one: Recording, other: Recording, outputs: Sequence[str]) -> bytes:
    helper = onnx.helper

    def described(name: str, operand: Operand, its: Operand) -> Any:
        shape = [graph.dimension(size) for size in zip(operand.shape, its.shape, strict=True)]
        return helper.make_tensor_value_info(name, graph.element_type(operand.dtype), shape)

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
                graph.nodes.append(helper.make_node("Identity", [source], [final], f"{final}.Identity"))
            else:
                _rename(graph.nodes, source, final)
                graph.names = {value: final if old == source else old for value, old in graph.names.items()}
            name = final
        taken.add(name)
        results.append(described(name, operand, its))
    nodes, used = _without_dead_ends(graph.nodes, taken)
    arrays = {name: array for name, array in graph.initializers.items() if name in used}
    size = sum(array.nbytes for array in arrays.values())
    if size > LARGEST:
        raise ExportError(
            f"the model's arrays take {size:,} bytes, and an ONNX file holds {LARGEST:,} at most."
        )
    inputs = [
        described(graph.names[Value(-1, place)], operand, its)
        for place, (operand, its) in enumerate(zip(one.inputs, other.inputs, strict=True))
    ]
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    built = helper.make_model(
        helper.make_graph(nodes, "model", inputs, results, tensors),
        producer_name="portanet",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    onnx.checker.check_model(built, full_check=True)
    content: bytes = built.SerializeToString()
    return content


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


# Names, and the file


def _input_names(model: Module, args: Sequence[Any], count: int, given: Sequence[str] | None) -> list[str]:
    if given is not None:
        return _checked_names("input_names", given, count)
    parameters = list(inspect.signature(model.forward).parameters.values())
    names: list[str] = []
    for place, argument in enumerate(args):
        own = parameters[min(place, len(parameters) - 1)]
        name = own.name if own.kind != own.VAR_POSITIONAL else f"{own.name}_{place}"
        inside = len(flatten(argument)[0])
        plain = (inside == 1 and isinstance(argument, Tensor)) or hasattr(argument, "shape")
        names += [name] if plain else [f"{name}_{part}" for part in range(inside)]
    return names


def _output_names(recording: Recording, given: Sequence[str] | None) -> list[str]:
    count = len(recording.outputs)
    if given is not None:
        return _checked_names("output_names", given, count)
    return ["output"] if count == 1 else [f"output_{place}" for place in range(count)]


def _checked_names(argument: str, names: Sequence[str], count: int) -> list[str]:
    found = list(names)
    if isinstance(names, str) or len(found) != count or len(set(found)) != count or not all(found):
        raise OptionError(f"{argument}: expected {count} different names, got {names!r}.")
    return found


def _put(content: bytes, target: Path) -> None:
    """Write beside the target and rename, so that the target is at every moment the old file or the new one."""
    temporary = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
