"""From a model and an example to an ONNX file."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from portanet.atomic import atomic_file
from portanet.checks import whole_number
from portanet.errors import ExportError, OptionError, PortanetError
from portanet.functions.inspection import to_host
from portanet.io.onnx.assembling import assembled, checked_names
from portanet.io.onnx.recording import Recording
from portanet.io.onnx.rules import RULES
from portanet.nn.module import Module
from portanet.nn.parameter import UninitializedParameter
from portanet.tensor import Tensor, asarray
from portanet.trees import flatten

__all__ = ["export"]

BATCHES = (2, 5)
"""How many examples the two runs have. One alone would hide what broadcasts; and of two numbers that differ by 1 half,
rounded down, may be the same, as if it did not follow the batch."""


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

    The model runs in evaluation mode on two batches, of two and of five examples, made of those given; what it does to
    them becomes the graph. Loops and conditions are as they were in these runs. The model is left as it was; only lazy
    layers learn their shapes.

    Parameters
    ----------
    model : Module
        What it returns may be an array, or a nest of tuples, lists and dicts of them; what else is in there is left
        out.
    example : Tensor, array, or tuple of them
        What it is called with; a tuple, unless it is a named one, stands for several arguments, each of which may be a
        nest of arrays. Shapes and data types count, and values only where they must lie in a range, as indices must.
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
        a graph cannot express. It names the part and its place in the model. Or if the arrays exceed the 2 GB that
        fit into one file.
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
    several = isinstance(example, tuple) and not hasattr(example, "_fields")
    args = example if several else (example,)
    leaves, rebuild = flatten(args)
    if not leaves:
        raise TypeError(
            "example: expected an array or a tuple with arrays in it, which the model is called with."
        )
    axes = _batch_axes(batch_axis, leaves)
    placed = (x.device for x in model.parameters() if not isinstance(x, UninitializedParameter))
    device = next(placed, None)
    hosts = [to_host(leaf) for leaf in leaves]
    lengths = {leaf.shape[axis] for leaf, axis in zip(hosts, axes, strict=True) if axis is not None}
    if len(lengths) > 1:
        raise OptionError(
            f"batch_axis: the axes {axes} of the example's arrays have the lengths {sorted(lengths)}, and must "
            "have one. Give one axis for each array, or None for those without a batch."
        )
    if 0 in lengths:
        raise OptionError("example: expected at least one example in the batch, got none.")
    batches = BATCHES if lengths else (0, 0)

    def arguments(batch: int, again: bool) -> Any:
        batches = [_batch_of(x, axis, batch, again) for x, axis in zip(hosts, axes, strict=True)]
        return rebuild([asarray(x, device=None if device is None else str(device)) for x in batches])

    with _evaluating(model), _explained(batches):
        Recording(model, RULES).rehearse(arguments(batches[0], False))
        recordings = [_recorded(model, arguments(batches[0], False))]
        with np.errstate(all="ignore"):  # which the second batch, made up as it is, may not be free of
            try:
                recordings.append(_recorded(model, arguments(batches[1], True)))
            except ExportError:
                raise
            except (PortanetError, IndexError):  # integers such as offsets may have to stand in order
                recordings.append(_recorded(model, arguments(batches[1], False)))
    inputs = _input_names(model, args, len(leaves), input_names)
    content = assembled(onnx, recordings, batches, axes, inputs, output_names)
    with atomic_file(path) as file:
        file.write(content)


def _required() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
        import onnx.shape_inference
    except ImportError as error:
        raise ModuleNotFoundError(
            "portanet.io.onnx needs the package onnx, which is not installed. Run: pip install portanet[onnx]"
        ) from error
    return onnx


# The two runs


def _recorded(model: Module, args: Any) -> Recording:
    recording = Recording(model, RULES)
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


@contextmanager
def _explained(batches: tuple[int, int]) -> Iterator[None]:
    """Say in an error that the model itself raises with what it was called."""
    try:
        yield
    except ExportError:
        raise
    except Exception as error:
        if batches[0]:
            error.add_note(
                "portanet.io.onnx.export called the model with batches of {} and {} examples, made of those given. If "
                "it takes only the example's own length, pass batch_axis=None.".format(*batches)
            )
        raise


def _batch_axes(batch_axis: Any, leaves: Sequence[Any]) -> list[int | None]:
    shared = isinstance(batch_axis, str) or not isinstance(batch_axis, Sequence)
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

    So numbers from 0 to 1, and positive ones, stay what they are; and those in order stay so at the end.
    """
    import numpy as np

    if again and host.dtype.kind == "f":
        host = host * host.dtype.type(0.875) + host.dtype.type(0.0625)
    if again and host.dtype.kind != "f":
        host = np.flip(host)
    if axis is None:
        return np.array(host)  # not the same array for two inputs, which are told apart by their arrays
    length = host.shape[axis]
    places = np.minimum(np.arange(batch), length - 1)
    return np.take(host, length - 1 - places if again else places, axis=axis)


# Names


def _input_names(model: Module, args: Sequence[Any], count: int, given: Sequence[str] | None) -> list[str]:
    if given is not None:
        return checked_names("input_names", given, count)
    parameters = list(inspect.signature(model.forward).parameters.values())
    names: list[str] = []
    for place, argument in enumerate(args):
        own = next(
            parameter
            for at, parameter in enumerate(parameters)
            if at == place or parameter.kind == parameter.VAR_POSITIONAL
        )
        name = own.name if own.kind != own.VAR_POSITIONAL else f"{own.name}_{place}"
        inside = len(flatten(argument)[0])
        plain = (inside == 1 and isinstance(argument, Tensor)) or hasattr(argument, "shape")
        names += [name] if plain else [f"{name}_{part}" for part in range(inside)]
    return names
