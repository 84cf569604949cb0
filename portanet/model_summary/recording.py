"""One call of a model, of which notes are taken, and the model as it was before."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any

from portanet.backend import backend_of
from portanet.errors import DTypeError
from portanet.graph import Version, no_grad
from portanet.model_summary.table import LayerSummary, Shape, Summary
from portanet.nn.module import Module
from portanet.nn.parameter import Parameter
from portanet.random import Generator, default_generator
from portanet.tensor import Tensor, asarray
from portanet.trees import flatten

__all__ = ["summary"]

_SLOTS = {name: vars(Tensor)[name] for name in ("_data", "_grad", "_node", "_version")}
_WHERE = "The layer that failed:"
_VIEWS = ("Flatten", "Unflatten")  # their outputs lie in the memory of their inputs


def summary(model: Module, input: Any, *, kwargs: Mapping[str, Any] | None = None) -> Summary:
    """Run a model once and tell what its layers give, weigh and cost.

    Parameters
    ----------
    model : Module
        It is the same afterwards: parameters (lazy ones stay lazy), buffers, statistics, modes, hooks and random
        state. Not to be called while another thread uses the model.
    input : Tensor or array, or tuple of them
        An example of what the model is called with; a tuple holds several arguments, which may be containers such as
        a ``PackedSequence``.
    kwargs : mapping, optional
        Keyword arguments.

    Returns
    -------
    Summary
        With ``rows`` and totals as fields, and a table as its printed form.

    Raises
    ------
    DTypeError
        If ``input`` is a shape instead of an array.
    TypeError
        If ``model`` is no Module.

    An error that the model raises itself carries a note that names the layer.

    Notes
    -----
    The pass is in evaluation mode and records no graph. Operations are counted by a formula for each layer
    of ``portanet.nn``, which its row has as ``formula``: a matrix product or a convolution in multiply-adds, two FLOPs
    each, with a FLOP for each bias; every other addition, comparison, division, exponential and so on as one FLOP. What
    a model computes between its layers, such as ``x + y``, counts as 0, and so do layers that are named in
    ``uncounted``. Hooks of the user's own run as they do in any call.

    Examples
    --------
    >>> model = pn.nn.Sequential(pn.nn.Linear(64, 32), pn.nn.ReLU(), pn.nn.Linear(32, 10))
    >>> found = pn.summary(model, pn.zeros((8, 64)))
    >>> found.parameters, found.multiply_adds, found.rows[1].output_shapes
    (2410, 18944, ((8, 32),))
    >>> print(found)
    layer    type        output shape  parameters  output   FLOPs
    -------------------------------------------------------------
    (model)  Sequential  (8, 10)
    0        Linear      (8, 32)            2,080   1 KiB  33,024
    1        ReLU        (8, 32)                0   1 KiB     256
    2        Linear      (8, 10)              330   320 B   5,200
    -------------------------------------------------------------
    parameters: 2,410, 9.414 KiB
    buffers: 0 B; outputs of layers: 2.312 KiB
    one forward pass: 38,480 FLOPs, with 18,944 multiply-adds of two FLOPs each
    FLOPs are those of portanet.nn's layers; functions called between them count as 0
    """
    if not isinstance(model, Module):
        raise TypeError(f"model: expected a Module, got {type(model).__name__}.")
    arguments = input if type(input) is tuple else (input,)
    if arguments and all(isinstance(part, int) for part in arguments):
        raise DTypeError(
            f"input: expected an array or a tuple of arrays, got {input!r}. If this is a shape, pass "
            f"portanet.zeros({input!r})."
        )
    arguments = tuple(_as_tensor(argument) for argument in arguments)
    generators = [default_generator, *_generators(model)]
    kinds = {id(module): type(module).__name__ for module in model.modules()}
    with _left_as_it_was(model, generators):
        notes = {id(module): _Notes(name) for name, module in model.named_modules()}
        inside: list[_Notes] = []
        for module in model.modules():
            vars(module)["training"] = False
            vars(module)["forward"] = _noting_forward(module, notes[id(module)], inside)
        with no_grad():
            model(*arguments, **{name: _as_tensor(value) for name, value in (kwargs or {}).items()})
        return _collect(model, notes, kinds)


class _Notes:
    """What was seen of one module's calls."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = 0
        self.output_shapes: tuple[Shape, ...] = ()
        self.activation_bytes = self.multiply_adds = self.flops = 0
        self.formula: str | None = None
        self.called_others = False


def _as_tensor(value: Any) -> Any:
    """Arrays become Tensors; containers and other arguments stay."""
    return asarray(value) if not isinstance(value, Tensor) and backend_of(value) is not None else value


def _generators(model: Module) -> list[Generator]:
    return [
        value for module in model.modules() for value in vars(module).values() if isinstance(value, Generator)
    ]


@contextmanager
def _left_as_it_was(model: Module, generators: list[Generator]) -> Iterator[None]:
    """Put everything back at the end: classes, attributes, what Tensors hold, random states."""
    modules = [(module, type(module), dict(vars(module))) for module in model.modules()]
    tensors = []
    for _, _, attributes in modules:
        for value in attributes.values():
            if isinstance(value, Tensor):
                held = {name: slot.__get__(value) for name, slot in _SLOTS.items()}
                count = getattr(held["_version"], "count", 0)
                tensors.append((value, type(value), held, count))
    states = [generator.get_state() for generator in generators]
    try:
        yield
    finally:
        for module, kind, attributes in modules:
            if type(module) is not kind:  # a lazy module, which has become a plain one
                object.__setattr__(module, "__class__", kind)
            vars(module).clear()
            vars(module).update(attributes)
        for tensor, was, held, count in tensors:
            if type(tensor) is not was:
                tensor.__class__ = was
            for name, slot in _SLOTS.items():
                slot.__set__(tensor, held[name])
            if (
                type(held["_version"]) is Version
            ):  # the values are what they were, so that older graphs still hold
                held["_version"].count = count
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def _noting_forward(module: Module, notes: _Notes, inside: list[_Notes]) -> Callable[..., Any]:
    """The module's forward, which notes what it sees; it looks up a lazy module's at each call, as that changes."""
    from portanet.operation_counts import rule_of

    own = vars(module).get("forward")  # a user may have put one there

    def forward(*args: Any, **kwargs: Any) -> Any:
        outer = inside[-1] if inside else None
        if outer is not None:
            outer.called_others = True
        inside.append(notes)
        try:
            output = own(*args, **kwargs) if own else type(module).forward(module, *args, **kwargs)
        except Exception as error:
            # The innermost layer comes first, and says it all.
            if not any(note.startswith(_WHERE) for note in getattr(error, "__notes__", ())):
                error.add_note(f"{_WHERE} {notes.name or 'the model'} ({type(module).__name__}).")
            raise
        finally:
            inside.pop()
        leaves = [leaf for leaf in flatten(output)[0] if not _is_index(output, leaf)]
        if not notes.calls:
            notes.output_shapes = tuple(tuple(leaf.shape) for leaf in leaves)
        notes.calls += 1
        came = {id(getattr(leaf, "_data", leaf)) for leaf in flatten([args, kwargs])[0]}
        if type(module).__name__ not in _VIEWS:
            new = [leaf for leaf in leaves if id(getattr(leaf, "_data", leaf)) not in came]
            notes.activation_bytes += sum(_bytes(leaf) for leaf in new)
        rule = None if own else rule_of(module)
        if rule is None:
            return output
        notes.formula = rule.formula
        signature = inspect.signature(type(module).forward)
        given = dict(list(signature.bind(module, *args, **kwargs).arguments.items())[1:])
        count = rule.count(module, given, output)
        notes.multiply_adds += count.multiply_adds
        notes.flops += count.flops
        return output

    return forward


def _is_index(output: Any, leaf: Any) -> bool:
    """Whether the leaf is one of the permutations that a packed sequence carries."""
    return hasattr(output, "batch_sizes") and leaf is not output.data


def _collect(model: Module, notes: Mapping[int, _Notes], kinds: Mapping[int, str]) -> Summary:
    """Make the rows, while lazy parameters still have their shapes."""
    rows: list[LayerSummary] = []
    first_places: dict[int, str] = {}
    uncounted: dict[str, None] = {}

    def walk(module: Module, name: str, depth: int) -> None:
        if id(module) in first_places:
            place = first_places[id(module)]
            shapes, shared = notes[id(module)].output_shapes, (f"the module is {place}",)
            rows.append(
                LayerSummary(name, depth, kinds[id(module)], 0, shapes, 0, 0, 0, 0, 0, 0, None, shared)
            )
            return
        first_places[id(module)] = name or "the model"
        seen = notes[id(module)]
        parameters = trainable = size = 0
        repeated = []
        for attribute, value in vars(module).items():
            if not isinstance(value, Parameter):
                continue
            place = f"{name}.{attribute}" if name else attribute
            if id(value) in first_places:
                repeated.append(f"{attribute} is {first_places[id(value)]}")
                continue
            first_places[id(value)] = place
            count = prod(value.shape)
            parameters += count
            trainable += count if value.requires_grad else 0
            size += _bytes(value)
        children = list(module.named_children())
        if seen.calls and seen.formula is None and not seen.called_others:
            uncounted[kinds[id(module)]] = None
        rows.append(
            LayerSummary(
                name,
                depth,
                kinds[id(module)],
                seen.calls,
                seen.output_shapes,
                parameters,
                trainable,
                size,
                0 if seen.called_others else seen.activation_bytes,
                seen.multiply_adds,
                seen.flops,
                seen.formula,
                tuple(repeated),
            )
        )
        for part, child in children:
            walk(child, f"{name}.{part}" if name else part, depth + 1)

    walk(model, "", 0)

    def total(column: str) -> int:
        return sum(getattr(row, column) for row in rows)

    return Summary(
        tuple(rows),
        total("parameters"),
        total("trainable"),
        total("parameter_bytes"),
        sum(_bytes(buffer) for buffer in model.buffers()),
        total("activation_bytes"),
        total("multiply_adds"),
        total("flops"),
        tuple(uncounted),
    )


def _bytes(array: Any) -> int:
    """The memory of the numbers in an array."""
    tensor = array if isinstance(array, Tensor) else asarray(array)
    return int(prod(tensor.shape) * tensor.dtype.bits // 8)
