"""Losses that compare numbers with numbers: absolute errors, and likelihoods of distributions."""

from __future__ import annotations

from math import log, pi
from typing import Any

from portanet.backend import require_backend_of
from portanet.checks import check_number
from portanet.errors import DataError, OptionError, ShapeError
from portanet.functions.creation import full_like
from portanet.functions.elementwise import abs as absolute
from portanet.functions.elementwise import exp, where
from portanet.functions.elementwise import log as natural_log
from portanet.functions.manipulation import expand_dims
from portanet.functions.reductions import sum as sum_of
from portanet.nn.functional.loss_arguments import admitted, check_floating, like_input, same_shape
from portanet.nn.functional.reduction import check_reduction, quotient, reduce
from portanet.protocols import Array
from portanet.special import xlogy
from portanet.tensor import Tensor, unwrap

__all__ = [
    "KL_REDUCTIONS",
    "check_positive",
    "gaussian_nll_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
]

KL_REDUCTIONS = ("none", "mean", "sum", "batchmean")


def l1_loss(input: Array, target: Array, reduction: str = "mean", weight: Array | None = None) -> Any:
    """Absolute error ``abs(input - target)``; its gradient at 0 is 0.

    Parameters
    ----------
    input, target : Array
        The same shape and floating-point type.
    reduction : str
        ``"none"``, ``"mean"`` or ``"sum"``.
    weight : Array, optional
        A factor for each element, of the input's shape. The mean is then the weighted one, divided by their sum.

    Examples
    --------
    >>> pn.nn.functional.l1_loss(pn.asarray([1.0, 3.0]), pn.asarray([0.0, 5.0])).item()
    1.5
    """
    check_reduction(reduction)
    input, target, weight = _pair("l1_loss", input, target, weight)
    losses = absolute(input - target)
    if weight is None:
        return reduce(losses, reduction)
    losses = losses * weight
    return quotient(sum_of(losses), sum_of(weight)) if reduction == "mean" else reduce(losses, reduction)


def smooth_l1_loss(input: Array, target: Array, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Squared error ``0.5 * d ** 2 / beta`` of small differences ``abs(d) < beta``, ``abs(d) - 0.5 * beta`` of others.

    Girshick, Fast R-CNN, 2015. It is :func:`huber_loss` divided by ``beta``.

    Parameters
    ----------
    input, target : Array
        The same shape and floating-point type.
    reduction : str
        ``"none"``, ``"mean"`` or ``"sum"``.
    beta : float, default 1
        Where the two parts meet, not negative; 0 makes it :func:`l1_loss`.
    """
    check_number("beta", beta, low=0)
    if beta == 0:
        return l1_loss(input, target, reduction)
    check_reduction(reduction)
    input, target, _ = _pair("smooth_l1_loss", input, target)
    return reduce(_quadratic_then_linear(input - target, beta) / beta, reduction)


def huber_loss(
    input: Array, target: Array, reduction: str = "mean", delta: float = 1.0, weight: Array | None = None
) -> Any:
    """Huber's loss: ``0.5 * d ** 2`` where ``abs(d) <= delta``, ``delta * (abs(d) - 0.5 * delta)`` elsewhere.

    Huber, Robust Estimation of a Location Parameter, 1964.

    Parameters
    ----------
    input, target : Array
        The same shape and floating-point type.
    reduction : str
        ``"none"``, ``"mean"`` or ``"sum"``.
    delta : float, default 1
        Where the two parts meet, positive.
    weight : Array, optional
        A factor for each element, of the input's shape. The mean is over the number of elements, as PyTorch has it for
        this loss, not over the sum of weights.
    """
    check_reduction(reduction)
    check_positive("delta", delta)
    input, target, weight = _pair("huber_loss", input, target, weight)
    losses = _quadratic_then_linear(input - target, delta)
    return reduce(losses if weight is None else losses * weight, reduction)


def poisson_nll_loss(
    input: Array,
    target: Array,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    """Negative log likelihood of counts that have a Poisson distribution.

    ``exp(input) - target * input``, or ``input - target * log(input + eps)`` where the input is the rate itself.

    Parameters
    ----------
    input : Array
        The logarithm of the rate, or the rate.
    target : Array
        Counts: the input's shape, in its data type or as integers.
    log_input : bool, default True
        Whether the input is a logarithm.
    full : bool, default False
        Whether to add Stirling's approximation of ``log(target!)`` for targets above 1.
    eps : float, default 1e-8
        Keeps the logarithm of a rate of 0 finite.
    reduction : str
        ``"none"``, ``"mean"`` or ``"sum"``.
    """
    check_reduction(reduction)
    check_number("eps", eps, low=0)
    input, target, _ = _pair("poisson_nll_loss", input, target, integers=True)
    logs = input if log_input else natural_log(input + eps)
    losses = (exp(input) if log_input else input) - target * logs
    if full:
        large = target > 1
        count = where(large, target, 1.0)
        stirling = count * natural_log(count) - count + 0.5 * natural_log(2 * pi * count)
        losses = losses + where(large, stirling, 0.0)
    return reduce(losses, reduction)


def gaussian_nll_loss(
    input: Array,
    target: Array,
    var: Array | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """Negative log likelihood under a normal distribution, ``0.5 * (log(var) + (input - target) ** 2 / var)``.

    Nix and Weigend, Estimating the Mean and Variance of the Target Probability Distribution, 1994.

    Parameters
    ----------
    input, target : Array
        Means and samples of one shape and floating-point type.
    var : Array or float
        Variances, not negative: one number, the input's shape, that shape with axes of length 1, or without the last
        axis.
    full : bool, default False
        Whether to add the constant ``0.5 * log(2 * pi)``.
    eps : float, default 1e-6
        The least variance. Smaller ones count as this one, but their gradient passes.
    reduction : str
        ``"none"``, ``"mean"`` or ``"sum"``.

    Raises
    ------
    DataError
        If a variance is negative (checked where reading it costs nothing, on the host).
    """
    check_reduction(reduction)
    check_positive("eps", eps)
    input, target, _ = _pair("gaussian_nll_loss", input, target)
    if isinstance(var, (int, float)):
        check_number("var", var, low=0)
        variance = full_like(input, float(var))
    else:
        variance = _variances(input, *admitted("gaussian_nll_loss", input=input, var=var)[1:])
    low = variance < eps
    below = where(low, variance, 0.0)
    variance = where(low, below - _detached(below) + eps, variance)
    difference = input - target
    losses = (natural_log(variance) + difference * difference / variance) * 0.5
    if full:
        losses = losses + 0.5 * log(2 * pi)
    return reduce(losses, reduction)


def kl_div(input: Array, target: Array, reduction: str = "mean", log_target: bool = False) -> Any:
    """Kullback-Leibler divergence of the input from the target, ``target * (log(target) - input)``.

    Parameters
    ----------
    input : Array
        Logarithms of probabilities.
    target : Array
        Probabilities, or their logarithms, of the input's shape and type.
    reduction : str
        ``"batchmean"`` for the sum divided by the length of the first axis, which is the divergence by its definition.
        ``"mean"`` divides by the number of elements. ``"none"`` and ``"sum"`` as everywhere.
    log_target : bool, default False
        Whether the target holds logarithms.

    Examples
    --------
    >>> half = pn.asarray([[0.5, 0.5]])
    >>> pn.nn.functional.kl_div(pn.log(half), half, reduction="batchmean").item()
    0.0
    """
    check_reduction(reduction, KL_REDUCTIONS)
    input, target, _ = _pair("kl_div", input, target)
    losses = exp(target) * (target - input) if log_target else xlogy(target, target) - target * input
    if reduction != "batchmean":
        return reduce(losses, reduction)
    batch = losses.shape[0] if losses.shape else 1
    return sum_of(losses) / batch if batch else reduce(losses, "mean")


def _pair(
    name: str, input: Array, target: Array, weight: Array | None = None, *, integers: bool = False
) -> tuple[Any, Any, Any]:
    """The input, a target of its shape and type, and a weight like it."""
    input, target, weight = admitted(name, input=input, target=target, weight=weight)
    check_floating(name, input)
    same_shape(name, input, target)
    target = like_input(name, input, target, integers=integers)
    if weight is not None:
        same_shape(name, input, weight, "weight")
        like_input(name, input, weight, "weight")
    return input, target, weight


def check_positive(name: str, value: float) -> None:
    """Raise unless an option is a number above 0."""
    check_number(name, value)
    if value <= 0:
        raise OptionError(f"{name}: expected a number above 0, got {value!r}.")


def _quadratic_then_linear(difference: Any, bound: float) -> Any:
    size = absolute(difference)
    near = size <= bound
    inside = where(near, difference, 0.0)  # so that a large difference does not overflow
    return where(near, inside * inside * 0.5, (size - 0.5 * bound) * bound)


def _variances(input: Any, var: Any) -> Any:
    """Variances in a shape that broadcasts to the input's."""
    like_input("gaussian_nll_loss", input, var, "var")
    shape, wanted = tuple(var.shape), tuple(input.shape)
    if shape == wanted[:-1] and wanted:
        var = expand_dims(var, axis=-1)
    elif len(shape) != len(wanted) or any(mine not in (1, its) for mine, its in zip(shape, wanted)):
        raise ShapeError(
            f"var: gaussian_nll_loss expects a number, the shape of input, {wanted}, that shape with axes of length 1, "
            f"or without its last axis; got {shape}."
        )
    array = unwrap(var)
    backend = require_backend_of(array, "var")
    if 0 not in shape and backend.readable(array):
        lowest = float(backend.namespace.min(array))
        if lowest < 0:
            raise DataError(f"var: gaussian_nll_loss expects variances of at least 0, got {lowest}.")
    return var


def _detached(x: Any) -> Any:
    return x.detach() if isinstance(x, Tensor) else x
