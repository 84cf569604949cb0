"""All that can be written: functions and layers, by name and class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portanet.io.onnx.arrays import ARRAY_CONDITIONS, ARRAYS, FOLLOWS_BATCH
from portanet.io.onnx.elementwise import ELEMENTWISE, ELEMENTWISE_CONDITIONS
from portanet.io.onnx.graph import Pair
from portanet.io.onnx.indexing import INDEXING, INDEXING_CONDITIONS, INDEXING_FOLLOWS_BATCH
from portanet.io.onnx.layers import LAYERS
from portanet.io.onnx.network import NETWORK, NETWORK_CONDITIONS
from portanet.io.onnx.pooling import POOLING, POOLINGS
from portanet.io.onnx.recording import Rules, Step
from portanet.io.onnx.recurrent import RECURRENT
from portanet.io.onnx.rewritten import reason_against, rewritten
from portanet.nn.module import Module

__all__ = ["RULES", "may_differ", "write"]

OPS = {**ELEMENTWISE, **ARRAYS, **INDEXING, **NETWORK, **POOLING}
WHOLE = {**LAYERS, **POOLINGS, **RECURRENT}
CONDITIONS = {**ELEMENTWISE_CONDITIONS, **ARRAY_CONDITIONS, **INDEXING_CONDITIONS, **NETWORK_CONDITIONS}


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


RULES = Rules(_knows, _knows_layer, rewritten, reason_against)


def may_differ(step: Step) -> bool:
    """Whether the options of a step may differ from batch to batch."""
    return step.layer is not None or step.name in FOLLOWS_BATCH | INDEXING_FOLLOWS_BATCH


def write(pair: Pair) -> Any:
    """Add the nodes of a step; the name of its result, or a list of them."""
    step = pair.step
    return (OPS[step.name] if step.layer is None else _found(step.layer)[1])(pair)
