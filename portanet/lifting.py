"""From ops to functions of Tensors, where :func:`portanet.tensor.lift` does not do: sequences, several results."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache, update_wrapper
from typing import Any

from portanet.anomaly import check_results, watch, where_called
from portanet.backend import Implementation
from portanet.errors import ShapeError
from portanet.graph import Node, is_grad_enabled
from portanet.operands import admit_operands, any_vjp, explain
from portanet.protocols import Array, Op, OpResult
from portanet.tensor import RECORDED_OPS, Tensor, lift, unwrap, wrap

__all__ = ["lift_sequence", "lift_several"]


def lift_sequence(op: Callable[..., OpResult]) -> Callable[..., Any]:
    """Like :func:`lift`, for an op over any number of arrays: the function takes them as one sequence."""
    if op in RECORDED_OPS:
        return RECORDED_OPS[op]
    variadic = lift(op)

    def function(arrays: Sequence[Array], /, **options: Any) -> Any:
        arrays = tuple(arrays)
        if not arrays:
            raise ShapeError(f"{op.__name__}: arrays must hold at least one array, got none.")
        return variadic(*arrays, **options)

    update_wrapper(function, op)
    old = list(inspect.signature(op).parameters.values())
    arrays = inspect.Parameter("arrays", inspect.Parameter.POSITIONAL_ONLY)
    function.__signature__ = inspect.Signature([arrays, *old[2:]])  # type: ignore[attr-defined]
    return function


def lift_several(op: Callable[..., Any], pack: Callable[[Any], Any] = tuple) -> Callable[..., Any]:
    """Like :func:`portanet.tensor.lift`, for an op with several results.

    Gradients of several results add up, so each result is recorded as if it came from an op of its own; the work is
    done once.

    Parameters
    ----------
    op : callable
        ``op(xp, *operands, **options)`` returning the results, and for each of them a tuple of one vjp per operand.
    pack : callable, optional
        Makes of the list of results what the function returns, for example the ``_make`` of a named tuple.
    """
    if op in RECORDED_OPS:
        return RECORDED_OPS[op]
    signature = inspect.signature(op)
    parameters = list(signature.parameters.values())[1:]
    names = [p.name for p in parameters if p.kind == p.POSITIONAL_ONLY]
    implementations: dict[Any, Implementation] = {}

    def function(*operands: Any, **options: Any) -> Any:
        if len(operands) != len(names):
            raise TypeError(f"{op.__name__}() takes {len(names)} arrays, got {len(operands)}")
        is_tensor = any(isinstance(operand, Tensor) for operand in operands)
        raw = [unwrap(operand) for operand in operands]
        implementation = admit_operands(op, names, raw, implementations, is_tensor, False)
        run = implementation.choose(raw, options)
        try:
            results, vjps = run(implementation.xp, *raw, **options)
        except Exception as error:
            explain(error, op, names, raw, options)
            raise
        if watch.active:
            check_results(op, raw, options, results)
        if not is_tensor:
            return pack(results)
        tensors = [wrap(result) for result in results]
        parents = [operand._node if isinstance(operand, Tensor) else None for operand in operands]
        if is_grad_enabled():
            versions = [
                (operand._version, operand._version.count)
                for operand in operands
                if isinstance(operand, Tensor) and operand._version is not None
            ]
            for place, (tensor, rules) in enumerate(zip(tensors, vjps, strict=True)):
                if any_vjp(rules, parents):
                    part = _result_of(op, place)
                    tensor._node = Node(part, implementation, raw, parents, options, rules, versions or None)
                    if watch.active:
                        tensor._node.site = where_called()
                elif any(parents):
                    tensor._without = op
        return pack(tensors)

    update_wrapper(function, op)
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    RECORDED_OPS[op] = function
    return function


@lru_cache(maxsize=256)
def _result_of(op: Callable[..., Any], place: int) -> Op:
    """The op that gives one of the results alone, for a higher-order pass to run again."""

    def one(xp: Any, *operands: Array, **options: Any) -> OpResult:
        results, vjps = op(xp, *operands, **options)
        return results[place], vjps[place]

    one.__name__ = op.__name__
    return one
