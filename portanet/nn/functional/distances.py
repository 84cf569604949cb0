"""Lengths of vectors, and distances and angles between them."""

from __future__ import annotations

from typing import Any

from portanet.checks import check_number
from portanet.functions.elementwise import maximum
from portanet.functions.manipulation import broadcast_arrays
from portanet.functions.reductions import sum as sum_of
from portanet.linalg import vector_norm
from portanet.protocols import Array
from portanet.requirements import place_of_axis
from portanet.tensor import unwrap

__all__ = ["cosine_similarity", "normalize", "pairwise_distance"]


def normalize(input: Array, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12) -> Any:
    """``x / max(norm(x), eps)`` along an axis.

    Parameters
    ----------
    input : Array
        Floating-point, any shape that has the axis.
    p : float, default 2
        The order of the norm.
    dim : int or tuple of int, default 1
        The axis, or several that make one vector.
    eps : float
        What the norm is at least.

    Examples
    --------
    >>> pn.nn.functional.normalize(pn.asarray([[3.0, 4.0], [0.0, 0.0]]))
    Tensor([[0.6, 0.8],
            [0. , 0. ]])
    """
    check_number("eps", eps, low=0.0)
    axis = dim if isinstance(dim, int) else tuple(dim)
    return input / maximum(vector_norm(input, axis=axis, keepdims=True, ord=p), float(eps))


def cosine_similarity(x1: Array, x2: Array, dim: int = 1, eps: float = 1e-8) -> Any:
    """``sum(x1 * x2) / (max(norm(x1), eps) * max(norm(x2), eps))`` along an axis.

    Parameters
    ----------
    x1, x2 : Array
        Floating-point; shapes that broadcast, and then have the axis.
    dim : int, default 1
        The axis of the vectors, which the output lacks.
    eps : float
        What each norm is at least.

    Examples
    --------
    >>> r = pn.nn.functional.cosine_similarity(pn.asarray([[3.0, 4.0]]), pn.asarray([[4.0, 3.0]]))
    >>> round(r.item(), 4)
    0.96
    """
    check_number("eps", eps, low=0.0)
    if tuple(unwrap(x1).shape) != tuple(unwrap(x2).shape):
        x1, x2 = broadcast_arrays(x1, x2)
    axis = place_of_axis("cosine_similarity", dim, len(unwrap(x1).shape), "dim")
    return sum_of(normalize(x1, dim=axis, eps=eps) * normalize(x2, dim=axis, eps=eps), axis=axis)


def pairwise_distance(x1: Array, x2: Array, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """Norm of ``x1 - x2 + eps`` along the last axis.

    Parameters
    ----------
    x1, x2 : Array
        Floating-point; shapes (..., features) that broadcast.
    p : float, default 2
        The order of the norm; ``inf`` for the largest difference.
    eps : float
        Added to each difference, so that the gradient of a distance of 0 is finite.
    keepdim : bool, default False
        Whether the last axis stays, with length 1.

    Examples
    --------
    >>> pn.nn.functional.pairwise_distance(pn.asarray([[0.0, 0.0]]), pn.asarray([[3.0, 4.0]]), eps=0)
    Tensor([5.])
    """
    check_number("eps", eps)
    return vector_norm(x1 - x2 + float(eps), axis=-1, keepdims=keepdim, ord=p)
