"""Samples of what undoes a pooling; the reference writes one element after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from portanet.ops import unpooling as ops
from portanet.testing.samples.drawing import Draw, Sample, Table, integers, normal

__all__ = ["SAMPLES"]


def unpool(x: Any, places: Any, *, length: int) -> Any:
    r = np.zeros((*x.shape[:-1], length), dtype=x.dtype)
    for at in np.ndindex(*x.shape):
        r[(*at[:-1], int(places[at]))] = x[at]
    return r


def different(below: int, *shape: int) -> Draw:
    """Places that differ along the last axis: the rule is a derivative where no two are the same."""

    def draw(rng: Any) -> Any:
        lines = [rng.permutation(below)[: shape[-1]] for _ in range(int(np.prod(shape[:-1])))]
        return np.asarray(lines, dtype="int64").reshape(shape)

    return draw


SAMPLES: Table = {
    ops.unpool: [
        Sample((normal(3, 4), different(9, 3, 4)), {"length": 9}, unpool),
        Sample((normal(2, 3, 5), different(5, 2, 3, 5)), {"length": 5}, unpool),
        Sample((normal(4), different(6, 4)), {"length": 6}, unpool),
        Sample((normal(2, 0), integers(0, 3, 2, 0)), {"length": 3}, unpool),
        Sample((normal(0, 3), integers(0, 4, 0, 3)), {"length": 4}, unpool),
    ],
}
"""Ops with a gradient."""
