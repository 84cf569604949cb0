"""Recompute instead of keep: a part of a computation whose intermediate results are made again in the backward pass.

Training deep networks with sublinear memory cost: Chen, Xu, Zhang and Guestrin, 2016 (arXiv 1604.06174).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from portanet.backend import Implementation
from portanet.errors import GradientError
from portanet.graph import Leaf, Node, Version, enable_grad, is_grad_enabled, next_order
from portanet.protocols import Array, OpResult, Vjp
from portanet.random import default_generator
from portanet.tensor import Tensor, another, cotangents_at, wrap
from portanet.trees import flatten

__all__ = ["checkpoint"]


def checkpoint(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function and keep nothing of what it computes but the result; the backward pass calls it once more.

    Parameters
    ----------
    function : callable
        Returns one Tensor. It must do the same in both calls: portanet's default random generator is set back for the
        second, other side effects happen twice.
    *args, **kwargs
        What it takes. It may use other Tensors, such as a model's parameters, too.

    Returns
    -------
    Tensor
        The result, with the gradients that it would have without ``checkpoint``, of any order.

    Raises
    ------
    TypeError
        If the function does not return one Tensor.
    GradientError
        In the backward pass, if the second call uses other Tensors than the first.

    Examples
    --------
    >>> x = pn.Tensor([1.0, 2.0], requires_grad=True)
    >>> pn.checkpoint(lambda x: pn.sum(x * x * x), x).backward()
    >>> x.grad
    Tensor([ 3., 12.])
    """
    leaves, rebuild = flatten([args, kwargs])
    kept = [another(leaf) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    state = default_generator.get_state()
    before = next_order()
    args, kwargs = rebuild(kept)
    result = function(*args, **kwargs)
    if not isinstance(result, Tensor):
        raise TypeError(
            f"function: expected it to return one Tensor, got {type(result).__name__}. Checkpoint each result apart."
        )
    root = result._node
    if not is_grad_enabled() or not isinstance(root, Node) or root.order <= before:
        return result
    run = _Run(function, args, kwargs, state, before, root)
    implementation = Implementation(run.op, root.implementation.backend)
    tensor = wrap(result._data)
    tensor._node = Node(
        run.op, implementation, run.operands, run.parents, {}, run.vjps(False), run.versions or None
    )
    return tensor


class _Run:
    """One checkpointed call: where its graph began, and how to make that graph again."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        state: dict[str, int],
        before: int,
        root: Node,
    ) -> None:
        self.function, self.args, self.kwargs, self.state = function, args, kwargs, state
        self.parents: list[Node | Leaf] = []
        self.operands: list[Array] = []
        self.versions: list[tuple[Version, int]] = []
        seen: set[Node | Leaf] = {root}
        waiting = [root]
        while waiting:
            node = waiting.pop()
            self.versions += node.versions or ()
            for parent, operand in zip(node.parents, node.operands, strict=True):
                if parent is None or parent in seen:
                    continue
                seen.add(parent)
                if parent.order <= before:
                    self.parents.append(parent)
                    self.operands.append(operand)
                elif isinstance(parent, Node):
                    waiting.append(parent)
        self.joint: tuple[Any, list[Any]] | None = None

        def op(xp: Any, *operands: Array) -> OpResult:
            return None, self.vjps(True)

        op.__name__ = "checkpoint"
        self.op = op

    def vjps(self, create_graph: bool) -> tuple[Vjp, ...]:
        """One vjp for each Tensor that the call began from; the first of them runs the call again for all."""
        return tuple(lambda g, i=i: self.cotangents(g, create_graph)[i] for i in range(len(self.parents)))

    def cotangents(self, g: Any, create_graph: bool) -> list[Any]:
        """The cotangents of all Tensors that the call began from."""
        if self.joint is None or self.joint[0] is not g:
            self.joint = (g, self.replay(g, create_graph))
        return self.joint[1]

    def replay(self, g: Any, create_graph: bool) -> list[Any]:
        """Call the function again, and go back through what it recorded."""
        state = default_generator.get_state()
        default_generator.set_state(self.state)
        try:
            with enable_grad():
                result = self.function(*self.args, **self.kwargs)
        finally:
            default_generator.set_state(state)
        orders = [parent.order for parent in self.parents]
        found: dict[int, Any] = {}
        if isinstance(result, Tensor) and result._node is not None and result.shape == tuple(g.shape):
            found = cotangents_at(result, g, frozenset(orders), create_graph)
        if len(found) != len(orders):
            raise GradientError(
                "checkpoint: the second call of the function did not compute what the first one did. It must not "
                "depend on anything that changes between the forward and the backward pass."
            )
        return [found[order] for order in orders]
