"""The recorded graph and the walk back through it.

Each result of a recorded op has a :class:`Node`; each Tensor that wants a gradient and was not computed has a
:class:`Leaf`. Both carry an ``order``, a number that grows with time, so every consumer of a result is newer
than the result. The walk takes the newest pending node first: when a node's turn comes, all that flows into
it has arrived. No recursion, no sorting pass.

The cotangent ``c`` of a value ``z`` is what makes ``Re(sum(c * dz))`` the change of the output. So the rule of a
holomorphic function reads as in real numbers, without a conjugate: ``z * w`` gives ``c * w``. The gradient in
PyTorch's convention, which users see, is the conjugate of the cotangent; it is taken where cotangents come in and go
out: of the first ones, of hooks, and of the leaves.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, NoReturn

from portanet.anomaly import check_cotangent, watch
from portanet.errors import GraphFreedError, OverwrittenError
from portanet.protocols import Array, Namespace, Op, Vjp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portanet.backend import Implementation

__all__ = ["HookHandle", "Leaf", "Node", "Version", "enable_grad", "is_grad_enabled", "no_grad"]

next_order = count().__next__
_grad_enabled: ContextVar[bool] = ContextVar("portanet_grad_enabled", default=True)

is_grad_enabled: Callable[[], bool] = _grad_enabled.get


@contextmanager
def _grad_mode(enabled: bool) -> Iterator[None]:
    token = _grad_enabled.set(enabled)
    try:
        yield
    finally:
        _grad_enabled.reset(token)


def no_grad() -> Any:
    """Record nothing inside the ``with`` block (or the decorated function).

    Examples
    --------
    >>> x = pn.Tensor([1.0], requires_grad=True)
    >>> with pn.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """
    return _grad_mode(False)


def enable_grad() -> Any:
    """Record again inside the ``with`` block (or the decorated function), within :func:`no_grad`."""
    return _grad_mode(True)


class Version:
    """Counts the in-place writes to one piece of memory; Tensors that share the memory share the counter."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class SeveralVersions(Version):
    """The versions of several pieces of memory as one."""

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[Version]) -> None:
        self.parts = parts

    @property
    def count(self) -> int:  # type: ignore[override]
        """Grows when any of them is written to."""
        return sum(part.count for part in self.parts)


RETAINED = math.inf
"""The key of the hook that keeps the gradient of a computed Tensor: it runs last."""


class HookHandle:
    """What registering a hook returns; :meth:`remove` takes the hook away again."""

    __slots__ = ("_hooks", "_key")
    _next_key = count().__next__

    def __init__(self, hooks: dict[Any, Any], hook: Any) -> None:
        self._hooks = hooks
        self._key = HookHandle._next_key()
        hooks[self._key] = hook

    def remove(self) -> None:
        """Remove the hook; a second call does nothing."""
        self._hooks.pop(self._key, None)


class Leaf:
    """Where gradients of one Tensor arrive that was not computed from others: an end of the walk."""

    __slots__ = ("hooks", "is_complex", "order", "tensor")
    is_leaf = True

    def __init__(self, tensor: Any) -> None:
        self.tensor = weakref.ref(tensor)
        self.is_complex: bool = tensor.dtype.kind == "complex floating"
        self.order = next_order()
        self.hooks: dict[float, Any] | None = None


class Node:
    """One recorded op: its operands, where they came from, and its vjps (None once freed)."""

    __slots__ = (
        "hooks",
        "implementation",
        "op",
        "operands",
        "options",
        "order",
        "parents",
        "site",  # set in anomaly mode only
        "versions",
        "vjps",
    )
    is_leaf = False

    def __init__(
        self,
        op: Op,
        implementation: Implementation,
        operands: Any,
        parents: Any,
        options: Mapping[str, Any],
        vjps: tuple[Vjp | None, ...],
        versions: list[tuple[Version, int]] | None,
    ) -> None:
        self.op = op
        self.implementation = implementation
        self.operands = operands
        self.parents = parents
        self.options = options
        self.vjps: tuple[Vjp | None, ...] | None = vjps
        self.versions = versions
        self.order = next_order()
        self.hooks: dict[float, Any] | None = None
        self.site: str

    def complain(self) -> NoReturn:
        """Raise because the closures are gone, or hold an array that was overwritten."""
        name = self.op.__name__
        if self.vjps is None:
            raise GraphFreedError(
                f"backward: the graph through {name!r} was freed by an earlier backward pass. Pass "
                "retain_graph=True to the earlier call, or run the forward pass again."
            )
        raise OverwrittenError(
            f"backward: an operand of {name!r} was overwritten after the forward pass (by an optimizer step or "
            "load_state_dict), so its gradient would be wrong. Call backward before the write, or run the "
            "forward pass again."
        )


def unbroadcast(xp: Namespace, cotangent: Array, shape: tuple[int, ...]) -> Array:
    """Sum a cotangent over the axes along which an operand of ``shape`` was repeated."""
    added = cotangent.ndim - len(shape)
    if added < 0:  # an operand may have more axes of length 1 than the part that it was written to
        return xp.reshape(unbroadcast(xp, cotangent, shape[-added:]), shape)
    repeated = tuple(range(added)) + tuple(
        axis + added for axis, size in enumerate(shape) if size == 1 and cotangent.shape[axis + added] != 1
    )
    if repeated:
        cotangent = xp.sum(cotangent, axis=repeated, keepdims=True, dtype=cotangent.dtype)
    return xp.reshape(cotangent, shape)


def in_dtype(xp: Namespace, cotangent: Array, dtype: Any) -> Array:
    """A cotangent in the data type of its operand; of a complex one, a real operand gets the real part."""
    if xp.isdtype(cotangent.dtype, "complex floating") and not xp.isdtype(dtype, "complex floating"):
        cotangent = xp.real(cotangent)
    return xp.astype(cotangent, dtype, copy=False)


def walk_back(
    seeds: Iterable[tuple[Node | Leaf, Array]],
    *,
    keep: bool,
    wrap: Callable[[Array], Any],
    show: Callable[[Array], Any],
    unwrap: Callable[[Any, Array], Array],
    targets: frozenset[int] | None = None,
    stop: bool = False,
    rerun: Callable[[Node], tuple[Namespace, Any, tuple[Vjp | None, ...]]] | None = None,
) -> dict[int, Array]:
    """Carry cotangents from ``seeds`` back through the graph.

    Parameters
    ----------
    seeds
        Where to start, each with its cotangent.
    keep
        Keep closures for a further pass; otherwise each node is freed as it is passed.
    wrap
        From the cotangent of a real leaf to the Tensor, of its own each time, that ``.grad`` gets.
    show
        The same for any cotangent, for hooks and complex leaves: to the gradient, which is its conjugate.
    unwrap
        From what a hook returned, and the cotangent that it replaces, to the new cotangent; raises if they do
        not match.
    targets
        Orders of the nodes whose cotangents are wanted. Nothing older is visited and no ``.grad`` is touched.
        None: every leaf accumulates its cotangent into its Tensor's ``.grad``, once the whole walk has succeeded.
    stop
        Whether the walk ends at each target, before its hooks: for a part of a graph that another walk goes through.
    rerun
        Given for higher-order gradients: runs a node's op again on Tensors and returns their namespace, those
        Tensors and the vjps, so that the walk itself is recorded. Cotangents are Tensors then.

    Returns
    -------
    dict
        The cotangents of the targets by their order.
    """
    cotangents: dict[Node, Array] = {}
    heap: list[tuple[int, Node]] = []  # the orders are negative, so that the newest node is the smallest
    leaves: dict[Leaf, Array] = {}
    wanted: dict[int, Array] = {}
    oldest_wanted = min(targets, default=-1) if targets is not None else -1

    for start, cotangent in seeds:
        if isinstance(start, Leaf):
            leaves[start] = leaves[start] + cotangent if start in leaves else cotangent
        elif start in cotangents:
            cotangents[start] = cotangents[start] + cotangent
        else:
            cotangents[start] = cotangent
            heappush(heap, (-start.order, start))

    while heap:
        node = heappop(heap)[1]
        if node.order < oldest_wanted:
            break
        cotangent = cotangents.pop(node)
        if stop and targets is not None and node.order in targets:
            wanted[node.order] = cotangent
            continue
        if node.hooks:
            cotangent = _run_hooks(node.hooks, cotangent, show, unwrap)
        if targets is not None and node.order in targets:
            wanted[node.order] = cotangent
            if node.order == oldest_wanted:
                break
        vjps = node.vjps
        if vjps is None:
            node.complain()
        if node.versions is not None:
            for version, seen in node.versions:
                if version.count != seen:
                    node.complain()
        if rerun is None:
            xp, operands, exact = node.implementation.xp, node.operands, node.implementation.exact
        else:
            xp, operands, vjps = rerun(node)
            exact = False
        for parent, vjp, operand in zip(node.parents, vjps, operands):
            if parent is None or vjp is None:
                continue
            contribution = vjp(cotangent)
            if watch.active:
                check_cotangent(node, vjps.index(vjp), cotangent, contribution)
            if not exact:
                if contribution.shape != operand.shape:
                    contribution = unbroadcast(xp, contribution, operand.shape)
                if contribution.dtype is not operand.dtype and contribution.dtype != operand.dtype:
                    contribution = in_dtype(xp, contribution, operand.dtype)
            if parent.is_leaf:
                leaves[parent] = leaves[parent] + contribution if parent in leaves else contribution
            elif parent in cotangents:
                cotangents[parent] = cotangents[parent] + contribution
            else:
                cotangents[parent] = contribution
                heappush(heap, (-parent.order, parent))
        if not keep:
            node.vjps = node.operands = node.parents = node.versions = None

    for leaf, cotangent in leaves.items():
        if leaf.hooks and not stop:
            leaves[leaf] = cotangent = _run_hooks(leaf.hooks, cotangent, show, unwrap)
        if targets is not None and leaf.order in targets:
            wanted[leaf.order] = cotangent
    if targets is None:
        for leaf, cotangent in leaves.items():
            tensor = leaf.tensor()
            if tensor is not None:
                gradient = show(cotangent) if leaf.is_complex else wrap(cotangent)
                tensor._grad = gradient if tensor._grad is None else tensor._grad + gradient
    return wanted


def _run_hooks(
    hooks: dict[float, Any],
    cotangent: Array,
    show: Callable[[Array], Any],
    unwrap: Callable[[Any, Array], Array],
) -> Array:
    for key in sorted(hooks):
        hook = hooks.get(key)  # a hook may remove another one
        replaced = None if hook is None else hook(show(cotangent))
        if replaced is not None:
            cotangent = unwrap(replaced, cotangent)
    return cotangent
