"""Exporting a model and running it in ONNX Runtime beside portanet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import portanet as pn
from portanet import nn
from portanet.trees import flatten

N = -1
"""Stands for the length of the batch in a shape."""


class Forward(nn.Module):
    """A module that calls a function."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


def words(text: str) -> frozenset[str]:
    """The names in a text."""
    return frozenset(text.split())


def reals(*shape: int) -> tuple[Any, ...]:
    """What an input is: numbers of a normal distribution."""
    return ("reals", shape)


def positive(*shape: int) -> tuple[Any, ...]:
    """Numbers above 0.1."""
    return ("positive", shape)


def integers(high: int, *shape: int) -> tuple[Any, ...]:
    """Integers from 0 on, below ``high``."""
    return ("integers", shape, high)


def booleans(*shape: int) -> tuple[Any, ...]:
    """True at the first place of each line, and at some others."""
    return ("booleans", shape)


def units(*shape: int) -> tuple[Any, ...]:
    """Numbers between 0 and 1."""
    return ("units", shape)


def signs(*shape: int) -> tuple[Any, ...]:
    """1 and -1, as integers."""
    return ("signs", shape)


def subsets(classes: int, *shape: int) -> tuple[Any, ...]:
    """Lines of some of the classes, each once, and -1 behind them."""
    return ("subsets", (*shape, classes))


def offsets(total: int, *shape: int) -> tuple[Any, ...]:
    """0, and places up to ``total`` in order behind it."""
    return ("offsets", shape, total)


def draw(rng: Any, batch: int, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    """Fresh random inputs of the given kinds."""
    arrays = []
    for kind, shape, *rest in kinds:
        shape = tuple(batch if length == N else length for length in shape)
        if kind == "integers":
            array = rng.integers(0, rest[0], shape)
        elif kind == "units":
            array = rng.uniform(0.02, 0.98, shape).astype("float32")
        elif kind == "signs":
            array = rng.choice([-1, 1], shape)
        elif kind == "subsets":
            array = rng.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1)
            array[np.arange(shape[-1]) >= rng.integers(0, shape[-1] + 1, (*shape[:-1], 1))] = -1
        elif kind == "offsets":
            array = np.sort(rng.integers(0, rest[0] + 1, shape))
            array[:1] = 0
        elif kind == "booleans":
            array = rng.random(shape) < 0.5
            array[..., 0] = True
        else:
            array = rng.standard_normal(shape).astype("float32")
            array = np.abs(array) + np.float32(0.1) if kind == "positive" else array
        arrays.append(pn.asarray(array))
    return tuple(arrays)


def randomize(model: nn.Module, rng: Any) -> None:
    """Other numbers in all parameters and buffers, so that zeros and ones hide nothing.

    Variances, weights of classes and random samples stay above 0.
    """
    buffers = dict(model.named_buffers())
    for name, tensor in (*model.named_parameters(), *buffers.items()):
        if tensor.dtype == pn.float32 and "uninitialized" not in type(tensor).__name__.lower():
            values = rng.uniform(-0.6, 0.6, tensor.shape).astype("float32")
            above = name in buffers and any(word in name for word in ("var", "weight", "samples"))
            tensor.data = pn.asarray(np.abs(values) + np.float32(0.3) if above else values).data


def exported(model: nn.Module, example: Any, folder: Path, **options: Any) -> tuple[Any, Any]:
    """The file, checked by ONNX, and a session that runs it."""
    import onnx
    import onnxruntime

    path = folder / "model.onnx"
    pn.io.onnx.export(model, example, path, **options)
    file = onnx.load(path)
    onnx.checker.check_model(file)
    return file, onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def run_both(model: nn.Module, session: Any, args: tuple[Any, ...]) -> list[tuple[Any, Any]]:
    """The outputs of ONNX Runtime beside those of the model in evaluation mode."""
    hosts = [np.asarray(pn.to_host(leaf)) for leaf in flatten(args)[0]]
    feeds = {given.name: array for given, array in zip(session.get_inputs(), hosts, strict=True)}
    found = session.run(None, feeds)
    model.eval()
    with pn.no_grad():
        expected = [np.asarray(pn.to_host(leaf)) for leaf in flatten(model(*args))[0]]
    return list(zip(found, expected, strict=True))


def assert_equal(model: nn.Module, session: Any, args: tuple[Any, ...], tolerance: float = 1e-5) -> None:
    """Raise unless all outputs are equal, up to the tolerance and relative to 1 or to the largest number."""
    for found, expected in run_both(model, session, args):
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(found[~finite], expected[~finite])
        one, other = found[finite].astype("f8"), expected[finite].astype("f8")
        scale = max(1.0, float(np.abs(other).max(initial=0.0))) if expected.dtype.kind == "f" else 1.0
        assert np.abs(one - other).max(initial=0.0) <= tolerance * scale
