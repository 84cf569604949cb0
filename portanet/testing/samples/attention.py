"""Samples of :mod:`portanet.ops.attention`, with a reference that takes one query after another."""

from __future__ import annotations

from typing import Any

import numpy as np

from portanet.ops import attention as ops
from portanet.testing.samples.drawing import Sample, Table, given, normal

__all__ = ["SAMPLES"]


def attention(query: Any, key: Any, value: Any, mask: Any = None, *, is_causal: bool, scale: float) -> Any:
    mask = np.zeros((1, 1)) if mask is None else mask
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2], mask.shape[:-2])
    mask = np.broadcast_to(mask, (*leading, query.shape[-2], key.shape[-2]))
    query, key, value = (np.broadcast_to(x, leading + x.shape[-2:]) for x in (query, key, value))
    result = np.zeros((*leading, query.shape[-2], value.shape[-1]), query.dtype)
    for place in np.ndindex(*leading, query.shape[-2]):
        seen = slice(0, place[-1] + 1 if is_causal else None)
        weights = np.exp(key[place[:-1]][seen] @ query[place] * scale + mask[place][seen])
        result[place] = weights @ value[place[:-1]][seen] / weights.sum()
    return result


def _sample(
    query: tuple[int, ...],
    key: tuple[int, ...],
    width: int,
    is_causal: bool,
    scale: float = 0.7,
    mask: tuple[int, ...] | None = None,
) -> Sample:
    last = given(None) if mask is None else normal(*mask)
    draws = (normal(*query), normal(*key), normal(*key[:-1], width), last)
    return Sample(draws, {"is_causal": is_causal, "scale": scale}, attention)


SAMPLES: Table = {
    ops.attention: [
        _sample((3, 2), (4, 2), 5, False),
        _sample((3, 2), (3, 2), 2, True),
        _sample((2, 2, 3, 4), (2, 2, 3, 4), 4, True),
        _sample((2, 3, 2, 3), (2, 3, 5, 3), 1, False, 0.3),
        _sample((2, 4, 3), (2, 2, 3), 3, True),
        _sample((2, 2, 3), (2, 4, 3), 3, True, -0.5),
        _sample((3, 1, 2, 3), (2, 3, 3), 2, False),
        _sample((2, 2, 3, 4), (2, 2, 3, 4), 4, False, mask=(3, 3)),
        _sample((2, 2, 3, 4), (2, 2, 5, 4), 3, False, mask=(2, 1, 1, 5)),
        _sample((2, 3, 4), (2, 3, 4), 4, True, mask=(2, 3, 1)),
        _sample((3, 4), (2, 4), 4, False, mask=(2, 3, 2)),
        _sample((0, 2, 3), (0, 3, 3), 2, True),
        _sample((2, 0, 3), (2, 3, 3), 2, False),
    ],
}
"""Ops with a gradient."""
