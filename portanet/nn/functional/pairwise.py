"""Distances between all pairs of vectors."""

from __future__ import annotations

from typing import Any

from portanet.backend import require_backend_of
from portanet.errors import OptionError, ShapeError
from portanet.functions.indexing import take
from portanet.linalg import vector_norm
from portanet.protocols import Array
from portanet.tensor import Tensor, unwrap, wrap

__all__ = ["pdist"]


def pdist(input: Array, p: float = 2.0) -> Any:
    """Norm of ``x[i] - x[j]`` for each pair of rows ``i < j``, in the order (0, 1), (0, 2), ..., (1, 2), ...

    Parameters
    ----------
    input : Array
        Floating-point, shape (rows, features).
    p : float, default 2
        The order of the norm, 0 or more; ``inf`` for the largest difference, 0 for the count of features that differ,
        which has no gradient.

    Returns
    -------
    Array
        Shape (rows * (rows - 1) / 2,).

    Examples
    --------
    >>> pn.nn.functional.pdist(pn.asarray([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    Tensor([5.       , 1.       , 4.2426405])
    """
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not p >= 0:
        raise OptionError(f"p: pdist expects a number of at least 0, or inf, got {p!r}.")
    array = unwrap(input)
    xp = require_backend_of(array, "input").namespace
    if len(array.shape) != 2:
        raise ShapeError(f"input: pdist expects shape (rows, features), got {tuple(array.shape)}.")
    rows = xp.arange(array.shape[0], dtype=xp.int64, device=array.device)
    above = xp.expand_dims(rows, axis=1) < xp.expand_dims(rows, axis=0)
    first, second = (wrap(x) if isinstance(input, Tensor) else x for x in xp.nonzero(above))
    return vector_norm(take(input, first, axis=0) - take(input, second, axis=0), axis=-1, ord=p)
