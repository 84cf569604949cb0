"""Attention as functions."""

from __future__ import annotations

from math import sqrt
from typing import Any

from portanet.backend import require_backend_of
from portanet.checks import check_number
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.functions.data_types import broadcast_shapes
from portanet.functions.elementwise import add, equal, logical_not, logical_or, multiply, where
from portanet.functions.linear_algebra import matmul
from portanet.functions.manipulation import matrix_transpose, repeat
from portanet.functions.reductions import all as all_of
from portanet.functions.reductions import any as any_of
from portanet.nn.functional.activation import softmax
from portanet.nn.functional.beside import full_beside
from portanet.nn.functional.dropout import dropout
from portanet.ops import attention as ops
from portanet.ops.attention import up_to_the_diagonal
from portanet.protocols import Array
from portanet.tensor import Tensor, lift, unwrap, wrap

__all__ = ["attention_weights", "scaled_dot_product_attention"]

attention = lift(ops.attention)


def scaled_dot_product_attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """``softmax(query @ key.T * scale + mask) @ value`` (Vaswani et al., 2017).

    A query that may look at nothing at all gets zeros.

    Parameters
    ----------
    query : Array
        Shape (..., queries, width).
    key : Array
        Shape (..., keys, width); leading axes are broadcast.
    value : Array
        Shape (..., keys, width of the result).
    attn_mask : Array, optional
        Broadcast to (..., queries, keys): booleans, True where a query may look, or numbers that are added to the
        scores.
    dropout_p : float, default 0
        The probability with which a weight becomes 0, in evaluation too: pass 0 there.
    is_causal : bool, default False
        Whether query ``i`` may look at keys up to ``i`` only; not together with ``attn_mask``.
    scale : float, optional
        Default ``1 / sqrt(width)``.
    enable_gqa : bool, default False
        Whether the axis before the last two, the heads, may be shorter in key and value, each of whose heads is then
        used by several of the query's (Ainslie et al., 2023).

    Returns
    -------
    Array
        Shape (..., queries, width of the result).

    Raises
    ------
    ShapeError, DTypeError, OptionError
        If the arguments do not go together.

    Examples
    --------
    >>> q = pn.zeros((1, 2, 4))
    >>> v = pn.asarray([[[1.0], [3.0]]])
    >>> pn.nn.functional.scaled_dot_product_attention(q, q, v, is_causal=True)
    Tensor([[[1.],
             [2.]]])
    """
    check_number("dropout_p", dropout_p, low=0.0, high=1.0)
    name = "scaled_dot_product_attention"
    shapes = [tuple(unwrap(x).shape) for x in (query, key, value)]
    for argument, x, shape in zip(("query", "key", "value"), (query, key, value), shapes, strict=True):
        require_backend_of(unwrap(x), argument)
        if len(shape) < 2:
            raise ShapeError(f"{argument}: {name} expects at least two axes, got shape {shape}.")
    if shapes[0][-1] != shapes[1][-1]:
        raise ShapeError(
            f"key: {name} expects the query's last axis, {shapes[0][-1]}, got shape {shapes[1]}."
        )
    if shapes[1][-2] != shapes[2][-2]:
        raise ShapeError(
            f"value: {name} expects as many rows as key, {shapes[1][-2]}, got shape {shapes[2]}."
        )
    if is_causal and attn_mask is not None:
        raise OptionError(
            f"is_causal: {name} takes either is_causal=True or attn_mask, got both. Put the causal mask into "
            "attn_mask."
        )
    if enable_gqa:
        key, value = _one_for_each_head(query, key, "key"), _one_for_each_head(query, value, "value")
    if scale is None:
        scale = 1 / sqrt(shapes[0][-1])
    if dropout_p:
        weights = dropout(
            attention_weights(query, key, attn_mask, is_causal=is_causal, scale=scale), dropout_p
        )
        return matmul(weights, value)  # (..., queries, keys) @ (..., keys, width)
    if attn_mask is None:
        return attention(query, key, value, is_causal=is_causal, scale=scale)
    mask, blind = _as_numbers(attn_mask, query, key)
    return where(blind, 0.0, attention(query, key, value, mask, is_causal=False, scale=scale))


def attention_weights(
    query: Array,
    key: Array,
    attn_mask: Array | None = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
) -> Any:
    """How much each query looks at each key: ``softmax(query @ key.T * scale + mask)``.

    Parameters
    ----------
    query, key, attn_mask, is_causal, scale
        As for :func:`scaled_dot_product_attention`.

    Returns
    -------
    Array
        Shape (..., queries, keys); each row sums to 1, or is 0 where its query may look at nothing.
    """
    if scale is None:
        scale = 1 / sqrt(unwrap(query).shape[-1])
    scores = matmul(
        multiply(query, scale), matrix_transpose(key)
    )  # (..., queries, width) @ (..., width, keys)
    if is_causal:
        attn_mask = _causal_mask(scores)
    if attn_mask is None:
        return softmax(scores, -1)
    mask, blind = _as_numbers(attn_mask, query, key)
    weights = softmax(add(scores, mask), -1)
    return weights if is_causal else where(blind, 0.0, weights)  # every query may look at the first key then


def _as_numbers(attn_mask: Array, query: Array, key: Array) -> tuple[Any, Any]:
    """What is added to the scores, and which queries may look at nothing; to theirs nothing is added."""
    mask = unwrap(attn_mask)
    backend = require_backend_of(mask, "attn_mask")
    its, others = tuple(unwrap(query).shape), tuple(unwrap(key).shape)
    shape = (*broadcast_shapes(its[:-2], others[:-2]), its[-2], others[-2])
    if not _broadcasts(tuple(mask.shape), shape):
        raise ShapeError(
            f"attn_mask: expected a shape that can be broadcast to {shape}, (..., queries, keys), "
            f"got {tuple(mask.shape)}."
        )
    dtype, wanted = backend.dtype_of(mask), _dtype_of(query)
    minus_infinity = float("-inf")
    if dtype.name == "bool":
        blind = logical_not(any_of(attn_mask, axis=-1, keepdims=True))  # such a row's softmax would be 0 / 0
        zero = full_beside(query, (1,), 0.0)
        return where(logical_or(attn_mask, blind), zero, minus_infinity), blind
    if dtype != wanted:
        raise DTypeError(
            f"attn_mask: expected booleans, True where a query may look, or numbers of the query's data type "
            f"{wanted.name} to add to the scores; got {dtype.name}. Convert it with portanet.astype."
        )
    blind = all_of(equal(attn_mask, minus_infinity), axis=-1, keepdims=True)
    return where(blind, 0.0, attn_mask), blind


def _dtype_of(x: Array) -> Any:
    array = unwrap(x)
    return require_backend_of(array, "query").dtype_of(array)


def _broadcasts(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    try:
        return broadcast_shapes(shape, wanted) == wanted
    except ValueError:
        return False


def _causal_mask(scores: Array) -> Any:
    """Booleans of shape (queries, keys), True up to the diagonal."""
    array = unwrap(scores)
    mask = up_to_the_diagonal(require_backend_of(array, "query").namespace, array)
    return wrap(mask) if isinstance(scores, Tensor) else mask


def _one_for_each_head(query: Array, x: Array, argument: str) -> Any:
    """Key or value with each head as often as heads of the query use it."""
    shape, its = tuple(unwrap(query).shape), tuple(unwrap(x).shape)
    if len(shape) < 3 or len(its) < 3 or not its[-3] or shape[-3] % its[-3]:
        raise ShapeError(
            f"{argument}: with enable_gqa the query's number of heads, on the axis before the last two, must be a "
            f"multiple of its own; got shape {its} for a query of shape {shape}."
        )
    times = shape[-3] // its[-3]
    return x if times == 1 else repeat(x, times, axis=-3)
