"""Attention on NumPy arrays, one batch element after another, so that the weights stay in the cache."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from portanet.backend import Kernel
from portanet.ops import attention as ops
from portanet.ops.composition import once
from portanet.protocols import Array, Namespace, OpResult

__all__ = ["KERNELS"]


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
    """The weights are kept without their division by their sums: that of the result is the smaller work.

    With ``e = exp(scores - max)`` and ``s`` the sums of its rows, ``r = (e @ value) / s``. Of the cotangent's share
    ``h = g / s``, the scores get ``e * (h @ value.T - sum(h * r))``, where the sum is one number for each query.
    """
    leading, width, dtype = query.shape[:-2], query.shape[-1], query.dtype
    queries, keys = query.shape[-2], key.shape[-2]
    factor = dtype.type(scale)
    weights = np.empty((*leading, queries, keys), dtype)
    sums = np.empty((*leading, queries, 1), dtype)
    r = _like(query, value.shape[-1])
    hidden = _hidden(queries, keys, dtype) if is_causal else None
    added = None if mask is None else np.broadcast_to(mask, weights.shape)
    places = list(np.ndindex(leading[:-1]))
    for place in places:
        e = weights[place]
        np.matmul(query[place] * factor, key[place].swapaxes(-1, -2), out=e)  # (q, width) @ (width, k)
        if added is not None:
            e += added[place]
        if hidden is not None:
            e += hidden
        e -= e.max(axis=-1, keepdims=True)
        np.exp(e, e)
        sums[place] = s = e.sum(axis=-1, keepdims=True)
        part = np.matmul(e, value[place])  # (q, k) @ (k, width)
        np.divide(part, s, out=r[place])

    @once
    def gradients(g: Array) -> tuple[Array, Array, Array]:
        found = _like(query, width), _like(key, width), _like(value, value.shape[-1])
        of_query, of_key, of_value = found
        for place in places:
            e = weights[place]
            share = g[place] / sums[place]
            np.matmul(e.swapaxes(-1, -2), share, out=of_value[place])  # (k, q) @ (q, width)
            slope = np.matmul(share, value[place].swapaxes(-1, -2))  # (q, width) @ (width, k)
            slope -= np.einsum("...i,...i->...", share, r[place])[..., None]
            slope *= e
            np.multiply(np.matmul(slope, key[place]), factor, out=of_query[place])  # (q, k) @ (k, width)
            scaled = query[place] * factor
            np.matmul(slope.swapaxes(-1, -2), scaled, out=of_key[place])  # (k, q) @ (q, width)
        return found

    def wrt_mask(g: Array) -> Array:
        _, vjps = ops.attention(xp, query, key, value, mask, is_causal=is_causal, scale=scale)
        return vjps[3](g)  # type: ignore[misc]

    return r, (*[lambda g, k=k: gradients(g)[k] for k in range(3)], wrt_mask)


def _like(x: Array, width: int) -> Array:
    """An array without values, its axes in memory in the order of those of ``x``: heads join again without a copy."""
    return np.empty_like(x, shape=(*x.shape[:-1], width))


@lru_cache(maxsize=16)
def _hidden(queries: int, keys: int, dtype: np.dtype[Any]) -> Array:
    """Minus infinity above the diagonal, else 0. Never written to."""
    hidden = np.triu(np.full((queries, keys), -np.inf, dtype), 1)
    hidden.flags.writeable = False
    return hidden


def _accepts(query: Array, key: Array, value: Array, mask: Array | None = None, **options: Any) -> bool:
    """Heads of one data type that go together element by element, none of them empty."""
    return bool(
        query.ndim >= 3
        and query.dtype == key.dtype == value.dtype
        and query.shape[:-2] == key.shape[:-2] == value.shape[:-2]
        and min(query.size, key.size, value.size) > 0
        and (mask is None or (mask.dtype == query.dtype and ops.adds_no_axes(mask, query)))
    )


KERNELS: Mapping[str, Kernel] = {"attention": Kernel(attention, frozenset({"float32", "float64"}), _accepts)}
