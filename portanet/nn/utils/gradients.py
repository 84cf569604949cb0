"""Gradient clipping, and parameters as one vector; with PyTorch's names of ``torch.nn.utils``.

Everything stays on the device: a gradient that need not be clipped is multiplied by 1 rather than looked at.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from portanet.errors import GradientError, OptionError, ShapeError
from portanet.functions.elementwise import clip, real
from portanet.functions.manipulation import concat, reshape, stack
from portanet.graph import no_grad
from portanet.linalg import vector_norm
from portanet.nn.module import overwrite
from portanet.tensor import Tensor, asarray

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "parameters_to_vector",
    "vector_to_parameters",
]


def get_total_norm(
    tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """The norm of all elements of several Tensors, as if they were one vector.

    Parameters
    ----------
    tensors : Tensor or iterable of Tensor
        Often gradients. They may differ in data type and place; the result is where the first one is.
    norm_type : float or "inf", default 2
        The order of the norm.
    error_if_nonfinite : bool, default False
        Raise if the norm is NaN or infinite. Only this reads the value on the host.

    Returns
    -------
    Tensor
        A single number, without a graph; 0 if there are no Tensors.

    Raises
    ------
    GradientError
        If the norm is not finite and ``error_if_nonfinite``.

    Examples
    --------
    >>> pn.nn.utils.get_total_norm([pn.asarray([3.0]), pn.asarray([[4.0]])])
    Tensor(5.)
    """
    order = float(norm_type)
    parts = [tensor.detach() for tensor in _listed("tensors", tensors)]
    if not parts:
        return asarray(0.0)
    with no_grad():
        norms = [vector_norm(part, ord=order).to(parts[0].device) for part in parts if part.size]
        if not norms:
            return real(parts[0].sum())  # type: ignore[no-any-return]
        if len({norm.dtype for norm in norms}) > 1:
            widest = max(
                (norm.dtype for norm in norms), key=lambda dtype: dtype.name
            )  # float64 of float32 and float64
            norms = [norm.to(dtype=widest) for norm in norms]
        total: Tensor = vector_norm(stack(norms), ord=order)
    if error_if_nonfinite and not math.isfinite(total.item()):  # type: ignore[arg-type]
        raise GradientError(
            f"error_if_nonfinite: the norm of order {order:g} is {total.item()}, so it cannot be clipped to. Look for "
            "what made it with portanet.detect_anomaly(), or pass error_if_nonfinite=False to go on."
        )
    return total


def clip_grads_with_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor) -> None:
    """Scale gradients down by the factor that brings ``total_norm`` to ``max_norm``, if it is larger.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Whose ``grad`` is replaced; ones without are passed over.
    max_norm : float
        The largest norm; infinity clips nothing.
    total_norm : Tensor
        What :func:`get_total_norm` gave. The factor is ``min(1, max_norm / (total_norm + 1e-6))``.
    """
    bound = float(max_norm)
    if not bound >= 0:
        raise OptionError(f"max_norm: expected a number of at least 0, got {max_norm!r}.")
    members = _with_gradient(parameters)
    if not members:
        return
    with no_grad():
        factor = clip(bound / (asarray(total_norm).detach() + 1e-6), max=1.0)
        factors: dict[Any, Tensor] = {}
        for member, gradient in members:
            key = (gradient.device, gradient.dtype)
            if key not in factors:
                of_its_kind = gradient.dtype if gradient.dtype.is_floating else real(gradient).dtype
                factors[key] = factor.to(gradient.device, dtype=of_its_kind)
            member.grad = gradient.detach() * factors[key]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale the gradients of parameters down, so that all together have at most a given norm.

    Call it between ``backward()`` and ``optimizer.step()`` (Pascanu, Mikolov and Bengio, "On the difficulty of training
    recurrent neural networks", ICML 2013).

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Whose ``grad`` is replaced by a scaled one; ones without are passed over.
    max_norm : float
        The largest norm; infinity clips nothing.
    norm_type : float or "inf", default 2
        The order of the norm.
    error_if_nonfinite : bool, default False
        Raise if the norm is NaN or infinite. Only this reads the value on the host.

    Returns
    -------
    Tensor
        The norm before, a single number.

    Examples
    --------
    >>> x = pn.Tensor([3.0, 4.0], requires_grad=True)
    >>> x.grad = pn.asarray([30.0, 40.0])
    >>> pn.nn.utils.clip_grad_norm_([x], max_norm=1.0)
    Tensor(50.)
    >>> [round(number, 4) for number in x.grad.tolist()]
    [0.6, 0.8]
    """
    members = _listed("parameters", parameters)
    if not members and isinstance(parameters, Iterator):
        warnings.warn(
            "parameters: nothing is clipped, for this iterator is empty; it may have been used up. Pass "
            "model.parameters() anew.",
            stacklevel=2,
        )
    gradients = [gradient for _, gradient in _with_gradient(members)]
    total = get_total_norm(gradients, norm_type, error_if_nonfinite)
    clip_grads_with_norm_(members, max_norm, total)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Bring each element of the gradients between ``-clip_value`` and ``clip_value``.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Whose ``grad`` is replaced; ones without are passed over.
    clip_value : float
        The bound.

    Examples
    --------
    >>> x = pn.Tensor([3.0, 4.0], requires_grad=True)
    >>> x.grad = pn.asarray([-5.0, 0.5])
    >>> pn.nn.utils.clip_grad_value_([x], 1.0)
    >>> x.grad
    Tensor([-1. ,  0.5])
    """
    bound = float(clip_value)
    if not bound >= 0:
        raise OptionError(f"clip_value: expected a number of at least 0, got {clip_value!r}.")
    with no_grad():
        for member, gradient in _with_gradient(parameters):
            member.grad = clip(gradient.detach(), -bound, bound)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of parameters in one vector; gradients flow through.

    Parameters
    ----------
    parameters : iterable of Tensor
        Of one data type and place.

    Examples
    --------
    >>> pn.nn.utils.parameters_to_vector([pn.asarray([[1.0, 2.0]]), pn.asarray(3.0)])
    Tensor([1., 2., 3.])
    """
    members = _listed("parameters", parameters)
    if not members:
        raise OptionError("parameters: expected at least one Tensor; pass model.parameters().")
    return concat([reshape(member, (-1,)) for member in members])  # type: ignore[no-any-return]


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Give parameters the values of a vector, in the order of :func:`parameters_to_vector`.

    Parameters
    ----------
    vec : Tensor
        Shape ``(n,)``, with as many elements as all parameters together.
    parameters : iterable of Tensor
        What is overwritten.

    Raises
    ------
    ShapeError
        If the numbers of elements differ; nothing is changed then.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vec: expected a Tensor, got {type(vec).__name__}. Use portanet.asarray(...).")
    members = _listed("parameters", parameters)
    count = sum(member.size for member in members)
    if vec.shape != (count,):
        raise ShapeError(
            f"vec: expected shape ({count},), as many elements as the parameters have, got {vec.shape}."
        )
    start = 0
    for member in members:
        values = vec.detach()[start : start + member.size].to(member.device, dtype=member.dtype)
        overwrite(member, values.reshape(member.shape).data)
        start += member.size


def _listed(name: str, tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """Several Tensors as a list, of one Tensor or an iterable of them."""
    members = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    for member in members:
        if not isinstance(member, Tensor):
            raise TypeError(
                f"{name}: expected Tensors, got {type(member).__name__}. Pass model.parameters()."
            )
    return members


def _with_gradient(parameters: Tensor | Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Those of the parameters that have a gradient, with it."""
    found = [(member, member.grad) for member in _listed("parameters", parameters)]
    return [(member, gradient) for member, gradient in found if gradient is not None]
