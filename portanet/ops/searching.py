"""Searching and sets: what is where, what is in it, and how often. Nothing here has a gradient.

The set functions are made of sorting, so values come in ascending order whatever the library, and even where it
lacks them. As in the standard, NaNs are all different and the two zeros are equal.
"""

from __future__ import annotations

from portanet.errors import OptionError, ShapeError
from portanet.ops.promotion import constant_like, device_of, is_complex, is_integer, promoted
from portanet.protocols import Array, Namespace, OpResult, SeveralResults
from portanet.requirements import places_of_axes

__all__ = [
    "count_nonzero",
    "isin",
    "nonzero",
    "searchsorted",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
]


def nonzero(xp: Namespace, x: Array, /) -> SeveralResults:
    """The places of the elements that are not zero, in the order of rows: one index array of int64 for each axis."""
    if not x.ndim:
        raise ShapeError(
            "nonzero: expected an array with at least one axis, got a single number. Compare it with 0 instead."
        )
    found = tuple(_as_indices(xp, indices) for indices in xp.nonzero(x))
    return found, ((None,),) * len(found)


def count_nonzero(
    xp: Namespace, x: Array, /, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False
) -> OpResult:
    """How many elements are not zero, over the given axes; int64."""
    if axis is not None and not x.ndim:
        places_of_axes("count_nonzero", axis, 0)
    hits = x if xp.isdtype(x.dtype, "bool") else x != 0
    return xp.sum(xp.astype(hits, xp.int64), axis=axis, keepdims=keepdims), (None,)


def searchsorted(
    xp: Namespace, x: Array, values: Array, /, sorter: Array | None = None, *, side: str = "left"
) -> OpResult:
    """Where to insert ``values`` into a sorted array so that it stays sorted; int64, the shape of ``values``.

    Parameters
    ----------
    x : Array
        Shape (n,), in ascending order, or in the order that ``sorter`` makes ascending.
    values : Array
        Any shape; a Python number has the data type of ``x``.
    sorter : Array, optional
        Integers of shape (n,): the indices that sort ``x``.
    side : str
        Among equal elements: before the first, ``"left"``, or after the last, ``"right"``.
    """
    if side not in ("left", "right"):
        raise OptionError(f'side: expected "left" or "right", got {side!r}.')
    if getattr(x, "ndim", 0) != 1:
        shape = tuple(getattr(x, "shape", ()))
        raise ShapeError(f"searchsorted: expected a sorted array of one axis, got shape {shape}.")
    x, values = promoted(xp, x, constant_like(xp, values, x))
    # PyTorch warns of values that are not contiguous; joining copies them.
    values = xp.reshape(xp.concat([xp.reshape(values, (-1,))]), values.shape)
    if sorter is None:
        r = xp.searchsorted(x, values, side=side)
    elif tuple(sorter.shape) == tuple(x.shape):
        r = xp.searchsorted(x, values, side=side, sorter=_as_indices(xp, sorter))
    else:
        raise ShapeError(
            f"sorter: expected one index for each of {x.shape[0]} elements, got shape {tuple(sorter.shape)}."
        )
    return _as_indices(xp, r), (None, None, None)


def isin(xp: Namespace, x: Array, values: Array, /, *, invert: bool = False) -> OpResult:
    """Whether each element of ``x`` is among ``values``, or is not where ``invert``; one of them may be a number.

    The standard, and so some libraries, have this for integers only. Elsewhere real numbers are searched for among the
    sorted values, and each complex number is compared with each value. NaN is nowhere.
    """
    x, values = promoted(xp, constant_like(xp, x, values), constant_like(xp, values, x))
    if xp.isdtype(x.dtype, "bool"):
        x, values = xp.astype(x, xp.uint8), xp.astype(values, xp.uint8)
    candidates = xp.reshape(values, (-1,))
    last = candidates.shape[0] - 1
    if hasattr(xp, "isin") and is_integer(xp, x.dtype):
        found = xp.isin(x, values)  # array-api-strict 2.6 takes `invert` and does nothing with it
    elif is_complex(xp, x.dtype) or last < 0:
        found = xp.any(xp.expand_dims(x, axis=-1) == candidates, axis=-1)
    else:
        ordered = xp.sort(candidates)
        places = searchsorted(xp, ordered, x)[0]
        places = xp.reshape(xp.where(places > last, xp.full_like(places, last), places), (-1,))
        found = xp.reshape(xp.take(ordered, places, axis=0), x.shape) == x
    return xp.logical_not(found) if invert else found, (None, None)


def unique_values(xp: Namespace, x: Array, /) -> OpResult:
    """The distinct elements, in ascending order."""
    ordered = _ordered(xp, x)
    return xp.take(ordered, _first_places(xp, _is_first(xp, ordered)), axis=0), (None,)


def unique_counts(xp: Namespace, x: Array, /) -> SeveralResults:
    """The distinct elements, in ascending order, and how often each occurs."""
    ordered = _ordered(xp, x)
    places = _first_places(xp, _is_first(xp, ordered))
    return (xp.take(ordered, places, axis=0), _counts(xp, places, ordered)), ((None,),) * 2


def unique_inverse(xp: Namespace, x: Array, /) -> SeveralResults:
    """The distinct elements, in ascending order, and for each element of ``x`` the index of its value among them."""
    values, _, inverse, _ = unique_all(xp, x)[0]
    return (values, inverse), ((None,),) * 2


def unique_all(xp: Namespace, x: Array, /) -> SeveralResults:
    """The distinct elements in ascending order; the first place of each in the flattened ``x``; inverse; counts.

    The inverse has the shape of ``x`` and holds the index of each element's value among the distinct ones.
    """
    order = _order(xp, x)
    ordered = xp.take(xp.reshape(x, (-1,)), order, axis=0)
    first = _is_first(xp, ordered)
    places = _first_places(xp, first)
    groups = xp.cumulative_sum(xp.astype(first, xp.int64), axis=0) - 1
    inverse = xp.reshape(xp.take(groups, xp.argsort(order), axis=0), x.shape)
    values = xp.take(ordered, places, axis=0)
    indices = _as_indices(xp, xp.take(order, places, axis=0))
    return (values, indices, inverse, _counts(xp, places, ordered)), ((None,),) * 4


def _as_indices(xp: Namespace, indices: Array) -> Array:
    """Indices as int64, the standard's type of an index in portanet."""
    return xp.astype(indices, xp.int64, copy=False)


def _order(xp: Namespace, x: Array) -> Array:
    """The indices that sort the flattened ``x``; complex numbers by their real parts, then by their imaginary ones."""
    flat = xp.reshape(x, (-1,))
    if is_complex(xp, x.dtype):
        order = xp.argsort(xp.imag(flat), stable=True)
        return xp.take(order, xp.argsort(xp.take(xp.real(flat), order, axis=0), stable=True), axis=0)
    if xp.isdtype(x.dtype, "bool"):
        flat = xp.astype(flat, xp.uint8)
    return xp.argsort(flat, stable=True)


def _ordered(xp: Namespace, x: Array) -> Array:
    """All elements, sorted."""
    flat = xp.reshape(x, (-1,))
    if xp.isdtype(x.dtype, ("bool", "complex floating")):
        return xp.take(flat, _order(xp, x), axis=0)
    return xp.sort(flat, stable=False)


def _is_first(xp: Namespace, ordered: Array) -> Array:
    """Where in a sorted array each distinct value begins."""
    n = ordered.shape[0]
    some = min(n, 1)
    begin = xp.ones((some,), dtype=xp.bool, device=device_of(ordered))
    return xp.concat([begin, ordered[some:] != ordered[: n - some]])


def _first_places(xp: Namespace, first: Array) -> Array:
    return _as_indices(xp, xp.nonzero(first)[0])


def _counts(xp: Namespace, places: Array, ordered: Array) -> Array:
    """How long each run of equal elements is."""
    n = ordered.shape[0]
    some = min(n, 1)
    end = xp.full((some,), n, dtype=places.dtype, device=device_of(places))
    return xp.concat([places[some:], end]) - places
