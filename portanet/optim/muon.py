"""Muon: momentum whose matrices are made orthogonal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import sqrt
from typing import Any

from portanet.checks import check_number, whole_number
from portanet.errors import OptionError, ShapeError
from portanet.optim.optimizer import Optimizer
from portanet.protocols import Array, Namespace

__all__ = ["Muon", "muon"]


def _orthogonal(
    xp: Namespace, x: Array, coefficients: tuple[float, float, float], eps: float, steps: int
) -> Array:
    """Near to ``U @ Vh`` of the singular value decomposition of ``x``, by matrix products alone.

    Each of the Newton-Schulz steps applies the polynomial ``a * s + b * s ** 3 + c * s ** 5`` to every singular value;
    its coefficients drive what is between 0 and 1 to about 1.
    """
    a, b, c = coefficients
    wide = x.shape[0] <= x.shape[1]
    y = x if wide else xp.matrix_transpose(x)
    y = y / xp.clip(xp.sqrt(xp.sum(y * y)), min=eps)
    for _ in range(steps):
        gram = xp.matmul(y, xp.matrix_transpose(y))  # (shorter, shorter)
        y = a * y + xp.matmul(b * gram + c * xp.matmul(gram, gram), y)
    return y if wide else xp.matrix_transpose(y)


def _scale(adjust_lr_fn: str | None, shape: tuple[int, ...]) -> float:
    """By how much the shape of a matrix changes the learning rate."""
    rows, columns = shape
    if adjust_lr_fn == "match_rms_adamw":
        return 0.2 * sqrt(max(rows, columns))
    return sqrt(max(1.0, rows / columns)) if columns else 1.0


def muon(
    xp: Namespace,
    parameter: Array,
    gradient: Array,
    state: tuple[Array, ...],
    *,
    step: int,
    lr: float,
    weight_decay: float,
    momentum: float,
    nesterov: bool,
    ns_coefficients: tuple[float, float, float],
    eps: float,
    ns_steps: int,
    adjust_lr_fn: str | None,
) -> tuple[Array, tuple[Array, ...]]:
    """One step of Muon for a matrix: the new parameter and the new state ``(momentum_buffer,)``.

    The running mean of the gradient is replaced by the nearest orthogonal matrix, or nearly so (Jordan et al., "Muon:
    an optimizer for hidden layers in neural networks", 2024). The step is scaled to the size of the matrix as there,
    or as in Liu et al., "Muon is scalable for LLM training", 2025.
    """
    velocity = momentum * state[0] + (1 - momentum) * gradient
    update = (1 - momentum) * gradient + momentum * velocity if nesterov else velocity
    update = _orthogonal(xp, update, ns_coefficients, eps, int(ns_steps))
    parameter = parameter * (1 - lr * weight_decay)
    return parameter - (lr * _scale(adjust_lr_fn, parameter.shape)) * update, (velocity,)


class Muon(Optimizer):
    """Muon, for the matrices of hidden layers; give biases, embeddings and the like to another optimizer.

    PyTorch orthogonalizes in bfloat16. Here it is done in the parameter's own data type, so a step differs from
    PyTorch's by the rounding of bfloat16, about one part in a hundred.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to optimize: matrices.
    lr : float, default 1e-3
        Learning rate.
    weight_decay : float, default 0.1
        Share by which parameters shrink, times the learning rate.
    momentum : float, default 0.95
        How much of the running mean of the gradient is kept.
    nesterov : bool, default True
        Look ahead.
    ns_coefficients : three floats, default (3.4445, -4.775, 2.0315)
        Coefficients of the Newton-Schulz polynomial.
    eps : float, default 1e-7
        Lower bound of the norm that a matrix is divided by.
    ns_steps : int, default 5
        Newton-Schulz steps, below 100.
    adjust_lr_fn : {None, "original", "match_rms_adamw"}
        Times what the learning rate is taken for a matrix of shape ``(a, b)``: ``sqrt(max(1, a / b))``, also for None,
        or ``0.2 * sqrt(max(a, b))``, which makes steps as large as AdamW's.

    Examples
    --------
    >>> model = pn.nn.Linear(3, 2, bias=False)
    >>> optimizer = pn.optim.Muon(model.parameters(), lr=0.02)
    >>> model(pn.ones((4, 3))).sum().backward()
    >>> optimizer.step()
    """

    rule = staticmethod(muon)
    elementwise = False
    # PyTorch's Muon counts no steps, and the rule asks for none.
    step_if_not_saved = 1

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_coefficients": ns_coefficients,
                "eps": eps,
                "ns_steps": ns_steps,
                "adjust_lr_fn": adjust_lr_fn,
            },
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if an option is outside its domain."""
        super().check_options(options)
        for name in ("momentum", "eps"):
            check_number(name, options[name], low=0.0)
        coefficients = options["ns_coefficients"]
        if not isinstance(coefficients, (tuple, list)) or len(coefficients) != 3:
            raise OptionError(f"ns_coefficients: expected three numbers, got {coefficients!r}.")
        for i, coefficient in enumerate(coefficients):
            check_number(f"ns_coefficients[{i}]", coefficient)
        if whole_number("ns_steps", options["ns_steps"], low=0) >= 100:
            raise OptionError(
                f"ns_steps: expected fewer than 100, got {options['ns_steps']}. Five are usual."
            )
        if options["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise OptionError(
                "adjust_lr_fn: expected None, 'original' or 'match_rms_adamw', got "
                f"{options['adjust_lr_fn']!r}."
            )

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Optimize further matrices, with options of their own."""
        known = len(self.param_groups)
        super().add_param_group(group)
        for tensor in self.param_groups[-1]["params"]:
            if tensor.ndim != 2:
                del self.param_groups[known:]
                raise ShapeError(
                    f"params: Muon optimizes matrices, this Tensor has shape {tensor.shape}. Give it to another "
                    "optimizer, such as AdamW."
                )

    def state_slots(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The running mean of the gradient."""
        return ("momentum_buffer",)
