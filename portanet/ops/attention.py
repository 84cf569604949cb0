"""Attention as one op: how queries look at keys and take their values."""

from __future__ import annotations

from portanet.ops.composition import apply, once
from portanet.ops.layers import softmax
from portanet.ops.promotion import device_of, promoted
from portanet.protocols import Array, Namespace, OpResult

__all__ = ["adds_no_axes", "attention", "up_to_the_diagonal"]


def attention(
    xp: Namespace,
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None = None,
    *,
    is_causal: bool,
    scale: float,
) -> OpResult:
    """``softmax(query @ key.T * scale + mask) @ value`` (Vaswani et al., 2017).

    Parameters
    ----------
    query : Array
        Shape (..., queries, width).
    key : Array
        Shape (..., keys, width).
    value : Array
        Shape (..., keys, width of the result).
    mask : Array, optional
        Numbers that broadcast to (..., queries, keys); minus infinity hides a key.
    is_causal : bool
        Whether query ``i`` looks at keys up to ``i`` only.
    scale : float
        What the products are multiplied by.

    Returns
    -------
    Array
        Shape (..., queries, width of the result).
    """
    query, key = promoted(xp, query, key)
    scaled = query * scale
    scores = scaled @ xp.matrix_transpose(key)  # (..., queries, width) @ (..., width, keys)
    if mask is not None:
        scores = scores + mask
    if is_causal:
        seen = up_to_the_diagonal(xp, scores)
        scores = xp.where(seen, scores, xp.full_like(scores, float("-inf")))
    weights, value = promoted(xp, apply(xp, softmax, scores, axis=-1), value)

    @once
    def wrt_scores(g: Array) -> Array:
        slope = g @ xp.matrix_transpose(value)  # (..., queries, width) @ (..., width, keys)
        return weights * (slope - xp.sum(slope * weights, axis=-1, keepdims=True))

    return weights @ value, (
        lambda g: (wrt_scores(g) @ key) * scale,  # (..., queries, keys) @ (..., keys, width)
        lambda g: xp.matrix_transpose(wrt_scores(g)) @ scaled,  # (..., keys, queries) @ (..., queries, width)
        lambda g: xp.matrix_transpose(weights) @ g,  # (..., keys, queries) @ (..., queries, width)
        wrt_scores,
    )


def up_to_the_diagonal(xp: Namespace, scores: Array) -> Array:
    """Booleans of shape (queries, keys), true where a key does not come after its query."""
    queries, keys = scores.shape[-2:]
    device = device_of(scores)
    rows, columns = xp.arange(queries, device=device), xp.arange(keys, device=device)
    return xp.expand_dims(rows, axis=1) >= xp.expand_dims(columns, axis=0)


def adds_no_axes(mask: Array, query: Array) -> bool:
    """Whether the result has the query's leading axes, whatever the mask is broadcast to; for kernels."""
    leading = zip(reversed(mask.shape[:-2]), reversed(query.shape[:-2]), strict=False)
    return mask.ndim <= query.ndim and all(length in (1, own) for length, own in leading)
