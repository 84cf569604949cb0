"""Gradients without touching ``.grad``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portanet.errors import GradientError
from portanet.tensor import Tensor, run_backward, shown

__all__ = ["grad"]


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of ``outputs`` with respect to ``inputs``, without accumulating them anywhere.

    Parameters
    ----------
    outputs : Tensor or sequence of Tensors
        What to differentiate.
    inputs : Tensor or sequence of Tensors
        With respect to what; computed Tensors are allowed.
    grad_outputs : Tensor or sequence of Tensors, optional
        The cotangent of each output; may be left out for single numbers.
    retain_graph : bool, optional
        Keep the graph for another pass; default: the value of ``create_graph``.
    create_graph : bool, default False
        Record this pass, so that its results can be differentiated again.
    allow_unused : bool, default False
        Give None for an input that no output depends on, instead of raising.

    Returns
    -------
    tuple of Tensors
        One for each input.

    Raises
    ------
    GradientError
        If an input requires no gradient, or is not used and ``allow_unused`` is False.

    Examples
    --------
    >>> x = pn.Tensor(3.0, requires_grad=True)
    >>> (slope,) = pn.grad(x**3, x, create_graph=True)
    >>> slope.item(), pn.grad(slope, x)[0].item()
    (27.0, 18.0)
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if grad_outputs is None:
        cotangents: list[Any] = [None] * len(outputs)
    elif isinstance(grad_outputs, (list, tuple)):
        cotangents = list(grad_outputs)
    else:
        cotangents = [grad_outputs]
    if len(cotangents) != len(outputs):
        raise GradientError(
            f"grad_outputs: expected {len(outputs)}, one for each output, got {len(cotangents)}."
        )
    orders = []
    for i, tensor in enumerate(inputs):
        if tensor._node is None:
            raise GradientError(
                f"inputs: number {i + 1} does not require a gradient. Set requires_grad=True before computing with it."
            )
        orders.append(tensor._node.order)
    found = run_backward(
        outputs,
        cotangents,
        retain_graph=create_graph if retain_graph is None else retain_graph,
        create_graph=create_graph,
        targets=frozenset(orders),
    )
    gradients: list[Tensor | None] = []
    for i, order in enumerate(orders):
        gradient = found.get(order)
        if gradient is None and not allow_unused:
            raise GradientError(
                f"inputs: no output depends on number {i + 1}. Pass allow_unused=True to get None for it."
            )
        gradients.append(None if gradient is None else shown(gradient))
    return tuple(gradients)
