"""Rows of a table by their indices: embeddings, sums of them, and one-hot codes."""

from __future__ import annotations

from math import prod
from typing import Any

from portanet.backend import Backend, require_backend_of
from portanet.checks import check_number, whole_number
from portanet.errors import DataError, DTypeError, OptionError, ShapeError
from portanet.functions.elementwise import add, divide, multiply, subtract, where
from portanet.functions.indexing import index_add, take, take_along_axis
from portanet.functions.manipulation import reshape
from portanet.functions.searching import searchsorted
from portanet.nn.functional.normalization import rebind
from portanet.ops.promotion import device_of
from portanet.protocols import Array
from portanet.tensor import Tensor, unwrap, wrap

__all__ = ["check_no_sparse", "check_padding", "embedding", "embedding_bag", "one_hot"]

MODES = ("sum", "mean", "max")


def embedding(
    input: Array,
    weight: Array,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Rows ``weight[input]``; in the gradient those of an index that comes several times add up.

    Parameters
    ----------
    input : Array
        Integers from 0 to ``rows - 1``, any shape.
    weight : Array
        Shape (rows, features).
    padding_idx : int, optional
        A row that gets no gradient here; a negative number counts from the end.
    max_norm : float, optional
        Rows that are asked for and have a larger norm are first scaled down to it, in ``weight`` itself if that is a
        Tensor; of a raw array, in a copy. No gradient flows through the scale.
    norm_type : float, default 2
        The p of that norm.
    scale_grad_by_freq : bool, default False
        Divide the gradient of each row by how often its index comes in ``input``.
    sparse : bool, default False
        True is refused: gradients are arrays.

    Returns
    -------
    Array
        Shape (*input.shape, features).

    Raises
    ------
    DTypeError, ShapeError, OptionError
        If the arguments do not fit together.
    DataError
        If an index is out of range (checked where reading it costs nothing, on the host).

    Examples
    --------
    >>> table = pn.asarray([[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]])
    >>> pn.nn.functional.embedding(pn.asarray([2, 0]), table)
    Tensor([[2. , 2.5],
            [0. , 0.5]])
    """
    check_no_sparse("embedding", sparse)
    rows = _check_table("embedding", weight)
    padding_idx = check_padding("embedding", padding_idx, rows)
    input = _checked_indices("embedding", input, rows)
    shape = tuple(unwrap(input).shape)
    flat = reshape(input, (prod(shape),))
    weight = _renormalized(flat, weight, max_norm, norm_type)
    found = _rows(flat, weight, padding_idx, scale_grad_by_freq)
    return reshape(found, (*shape, unwrap(weight).shape[1]))


def embedding_bag(
    input: Array,
    weight: Array,
    offsets: Array | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Array | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """The sum, mean or maximum of :func:`embedding` over bags of indices; of an empty bag 0.

    Parameters
    ----------
    input : Array
        Integers: shape (bags, n), or (n,) with ``offsets``.
    weight : Array
        Shape (rows, features).
    offsets : Array, optional
        Integers of shape (bags,): where each bag begins in ``input``; the first is 0, and none is below the one before.
    max_norm, norm_type, scale_grad_by_freq, sparse
        As in :func:`embedding`; with ``mode="max"`` gradients cannot be scaled.
    mode : str, default "mean"
        ``"sum"``, ``"mean"`` or ``"max"``.
    per_sample_weights : Array, optional
        A factor for each index, of the shape of ``input`` and the type of ``weight``; with ``mode="sum"`` only.
    include_last_offset : bool, default False
        Whether ``offsets`` has one entry more, where the last bag ends.
    padding_idx : int, optional
        An index that counts as if it were not there.

    Returns
    -------
    Array
        Shape (bags, features).

    Raises
    ------
    DTypeError, ShapeError, OptionError
        If the arguments do not fit together.
    DataError
        If indices or offsets are out of range (checked where reading them costs nothing, on the host).

    Examples
    --------
    >>> table = pn.asarray([[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]])
    >>> pn.nn.functional.embedding_bag(pn.asarray([2, 0, 1]), table, pn.asarray([0, 2]), mode="sum")
    Tensor([[2. , 3. ],
            [1. , 1.5]])
    """
    check_no_sparse("embedding_bag", sparse)
    if mode not in MODES:
        raise OptionError(f"mode: embedding_bag expects 'sum', 'mean' or 'max', got {mode!r}.")
    if mode == "max" and scale_grad_by_freq:
        raise OptionError("scale_grad_by_freq: embedding_bag with mode='max' expects False.")
    rows = _check_table("embedding_bag", weight)
    padding_idx = check_padding("embedding_bag", padding_idx, rows)
    input = _checked_indices("embedding_bag", input, rows)
    indices = unwrap(input)
    _check_sample_weights(per_sample_weights, indices, weight, mode)
    count = prod(indices.shape)
    bag, bags, longest = _bags(indices, offsets, include_last_offset)
    flat = reshape(input, (count,))
    weight = _renormalized(flat, weight, max_norm, norm_type)
    xp = require_backend_of(indices, "input").namespace
    found = _rows(flat, weight, None, scale_grad_by_freq)
    table = unwrap(weight)
    counts = bag < bags  # with include_last_offset there may be indices behind the last bag
    if padding_idx is not None:
        counts = counts & (unwrap(flat) != padding_idx)
    places = xp.where(counts, bag, xp.full_like(bag, bags))  # one bag more takes what does not count
    if mode == "max" and count:
        winners = _winners(xp, unwrap(found), bag, counts, bags, longest)
        best = take_along_axis(found, winners, axis=0)
        return where(_sizes(xp, table, places, bags) == 0, xp.zeros_like(unwrap(best)), best)
    if per_sample_weights is not None:
        found = multiply(found, reshape(per_sample_weights, (count, 1)))
    nothing = xp.zeros((bags + 1, table.shape[1]), dtype=table.dtype, device=device_of(table))
    total = index_add(nothing, places, found)[:bags, :]
    if mode != "mean":
        return total
    sizes = _sizes(xp, table, places, bags)
    return divide(total, xp.where(sizes == 0, xp.ones_like(sizes), sizes))


def one_hot(tensor: Array, num_classes: int = -1) -> Any:
    """1 at the place of each class along a new last axis, 0 elsewhere.

    Parameters
    ----------
    tensor : Array
        Integers from 0 to ``num_classes - 1``, any shape.
    num_classes : int, default -1
        The length of the new axis; -1 makes it just long enough, for which the values must be read from the device.

    Returns
    -------
    Array
        Shape (*tensor.shape, num_classes), int64.

    Raises
    ------
    DTypeError, OptionError
        If ``tensor`` holds no integers, or nothing tells the number of classes.
    DataError
        If a class is out of range (checked where reading it costs nothing, on the host).

    Examples
    --------
    >>> pn.nn.functional.one_hot(pn.asarray([0, 2]), num_classes=3)
    Tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    num_classes = whole_number("num_classes", num_classes, low=-1)
    x = unwrap(tensor)
    backend = require_backend_of(x, "tensor")
    _check_integers("one_hot", "tensor", x, backend)
    xp = backend.namespace
    x = _countable(backend, x)
    if num_classes == -1:
        if 0 in x.shape:
            raise OptionError(
                "num_classes: one_hot of no elements cannot find it; pass the number of classes."
            )
        num_classes = int(xp.max(x)) + 1
    if backend.readable(x):
        _check_range("one_hot", "tensor", xp, x, num_classes, "num_classes")
    classes = xp.arange(num_classes, dtype=x.dtype, device=device_of(x))
    r = xp.astype(xp.expand_dims(x, axis=-1) == classes, xp.int64)
    return wrap(r) if isinstance(tensor, Tensor) else r


# Checks


def check_no_sparse(function: str, sparse: bool) -> None:
    """Raise if sparse gradients are asked for."""
    if sparse:
        raise OptionError(
            f"sparse: {function} expects False: gradients are arrays, there are no sparse ones."
        )


def check_padding(function: str, padding_idx: int | None, rows: int) -> int | None:
    """The row that pads, counted from the front."""
    if padding_idx is None:
        return None
    number = whole_number("padding_idx", padding_idx)
    if not -rows <= number < rows:
        raise OptionError(
            f"padding_idx: {function} expects one of its {rows} rows, {-rows} to {rows - 1}, got {number}."
        )
    return number % rows


def _check_table(function: str, weight: Array) -> int:
    """The number of rows of a table."""
    table = unwrap(weight)
    backend = require_backend_of(table, "weight")
    if len(table.shape) != 2:
        raise ShapeError(f"weight: {function} expects shape (rows, features), got {tuple(table.shape)}.")
    if not backend.dtype_of(table).is_floating:
        raise DTypeError(
            f"weight: {function} expects a floating-point type, got {backend.dtype_of(table).name}."
        )
    return int(table.shape[0])


def _check_integers(function: str, name: str, x: Array, backend: Backend) -> None:
    dtype = backend.dtype_of(x)
    if not dtype.kind.endswith("integer"):
        raise DTypeError(
            f"{name}: {function} expects integers, got {dtype.name}. Convert them with "
            f"portanet.astype({name}, portanet.int64)."
        )


def _countable(backend: Backend, x: Array) -> Array:
    """Integers in a type that can count every row, and below 0."""
    return (
        x
        if backend.dtype_of(x).name in ("int32", "int64")
        else backend.namespace.astype(x, backend.namespace.int64)
    )


def _checked_indices(function: str, input: Array, rows: int) -> Array:
    x = unwrap(input)
    backend = require_backend_of(x, "input")
    _check_integers(function, "input", x, backend)
    x = _countable(backend, x)
    if backend.readable(x):
        _check_range(function, "input", backend.namespace, x, rows, "weight's rows")
    return wrap(x) if isinstance(input, Tensor) else x


def _check_range(function: str, name: str, xp: Any, x: Array, count: int, source: str) -> None:
    if 0 in x.shape:
        return
    lowest, highest = int(xp.min(x)), int(xp.max(x))
    if lowest < 0 or highest >= count:
        raise DataError(
            f"{name}: {function} expects numbers from 0 to {count - 1}, by {source}; got "
            f"{lowest if lowest < 0 else highest}."
        )


def _check_sample_weights(per_sample_weights: Array | None, indices: Array, weight: Array, mode: str) -> None:
    if per_sample_weights is None:
        return
    if mode != "sum":
        raise OptionError(
            f"per_sample_weights: embedding_bag takes them with mode='sum' only, got mode={mode!r}."
        )
    factors = unwrap(per_sample_weights)
    require_backend_of(factors, "per_sample_weights")
    if tuple(factors.shape) != tuple(indices.shape):
        raise ShapeError(
            f"per_sample_weights: embedding_bag expects the input's shape {tuple(indices.shape)}, got "
            f"{tuple(factors.shape)}."
        )
    table = unwrap(weight)
    if type(factors) is type(table) and factors.dtype != table.dtype:
        raise DTypeError(
            f"per_sample_weights: embedding_bag expects the data type of weight, {table.dtype}, got {factors.dtype}. "
            "Convert them with portanet.astype(per_sample_weights, weight.dtype)."
        )


# Rows


def _renormalized(flat: Array, weight: Array, max_norm: float | None, norm_type: float) -> Array:
    """The table with the rows that are asked for no longer than ``max_norm``."""
    if max_norm is None:
        return weight
    check_number("max_norm", max_norm, low=0.0)
    check_number("norm_type", norm_type)
    table, indices = unwrap(weight), unwrap(flat)
    xp = require_backend_of(table, "weight").namespace
    asked = _how_often(xp, table, indices)
    norms = xp.linalg.vector_norm(table, axis=1, ord=norm_type)
    scale = xp.where((asked > 0) & (norms > max_norm), max_norm / (norms + 1e-7), xp.ones_like(norms))
    scaled = table * xp.expand_dims(scale, axis=1)
    if not isinstance(weight, Tensor):
        return scaled
    rebind(weight, scaled)
    return weight


def _how_often(xp: Any, table: Array, indices: Array) -> Array:
    """How often each row is asked for, in the table's type."""
    place = device_of(table)
    nothing = xp.zeros(table.shape[:1], dtype=table.dtype, device=place)
    return index_add(nothing, indices, xp.ones(indices.shape, dtype=table.dtype, device=place))


def _rows(flat: Array, weight: Array, padding_idx: int | None, scale_grad_by_freq: bool) -> Array:
    """The rows of a table, with gradients that do not reach the padding and are shared among equal indices."""
    found = take(weight, flat, axis=0)
    if not isinstance(found, Tensor) or found._node is None:
        return found
    indices = unwrap(flat)
    xp = require_backend_of(indices, "input").namespace
    constant = found.detach()
    if scale_grad_by_freq:
        share = 1 / xp.take(_how_often(xp, unwrap(weight), indices), indices, axis=0)
        # The difference is 0, so that this changes the gradient alone.
        found = add(constant, multiply(subtract(found, constant), xp.expand_dims(share, axis=1)))
    if padding_idx is not None:
        found = where(xp.expand_dims(indices == padding_idx, axis=1), constant, found)
    return found


# Bags


def _bags(indices: Array, offsets: Array | None, include_last_offset: bool) -> tuple[Array, int, int]:
    """The bag of each index, the number of bags, and how many indices the longest may have."""
    backend = require_backend_of(indices, "input")
    xp, shape = backend.namespace, tuple(indices.shape)
    count = prod(shape)
    places = xp.arange(count, dtype=xp.int64, device=device_of(indices))
    if len(shape) == 2:
        if offsets is not None:
            raise OptionError(
                f"offsets: embedding_bag expects None for an input of shape {shape}, in which each line is a bag."
            )
        return places // max(shape[1], 1), shape[0], shape[1]
    if len(shape) != 1:
        raise ShapeError(f"input: embedding_bag expects shape (bags, n) or, with offsets, (n,), got {shape}.")
    if offsets is None:
        raise OptionError(
            "offsets: embedding_bag needs the places where the bags begin for an input with one axis. Or make one bag "
            "of it, reshape(input, (1, -1))."
        )
    starts = unwrap(offsets)
    owner = require_backend_of(starts, "offsets")
    _check_integers("embedding_bag", "offsets", starts, owner)
    if len(starts.shape) != 1 or (include_last_offset and not starts.shape[0]):
        raise ShapeError(f"offsets: embedding_bag expects shape (bags,), got {tuple(starts.shape)}.")
    starts = owner.namespace.astype(starts, owner.namespace.int64)
    if owner.readable(starts):
        _check_offsets(owner.namespace, starts, count)
    bags = starts.shape[0] - bool(include_last_offset)
    bag = searchsorted(starts, places, side="right") - 1
    return xp.astype(bag, xp.int64), bags, count


def _check_offsets(xp: Any, starts: Array, count: int) -> None:
    if not starts.shape[0]:
        if count:
            raise DataError(f"offsets: embedding_bag expects at least one bag for {count} indices, got none.")
        return
    if int(starts[0]) != 0:
        raise DataError(f"offsets: embedding_bag expects the first bag to begin at 0, got {int(starts[0])}.")
    if int(starts[-1]) > count:
        raise DataError(
            f"offsets: embedding_bag expects at most {count}, the length of input, got {int(starts[-1])}."
        )
    if bool(xp.any(starts[1:] < starts[:-1])):
        raise DataError("offsets: embedding_bag expects none to be below the one before.")


def _sizes(xp: Any, table: Array, places: Array, bags: int) -> Array:
    """How many indices count in each bag, as a column of the table's type."""
    where_to_put = device_of(table)
    ones = xp.ones(places.shape, dtype=table.dtype, device=where_to_put)
    nothing = xp.zeros((bags + 1,), dtype=table.dtype, device=where_to_put)
    return xp.expand_dims(index_add(nothing, places, ones)[:bags], axis=1)


def _winners(xp: Any, rows: Array, bag: Array, counts: Array, bags: int, longest: int) -> Array:
    """The place of each bag's first largest value in every column; of an empty bag, any place.

    Each place looks 1, 2, 4, ... places back, so that after a few steps it knows the largest value of its bag so far.
    The number of steps follows from shapes alone, so nothing is read from the device.
    """
    count = rows.shape[0]
    counts = xp.expand_dims(counts, axis=1)
    lowest = xp.full_like(rows, -float("inf"))
    values = xp.where(counts, rows, lowest)
    own = xp.arange(count, dtype=xp.int64, device=device_of(bag))
    winners = xp.broadcast_to(xp.expand_dims(own, axis=1), rows.shape)
    step = 1
    while step < min(longest, count):
        earlier = xp.concat([lowest[:step, :], values[:-step, :]], axis=0)
        their = xp.concat([winners[:step, :], winners[:-step, :]], axis=0)
        same = xp.concat([own[:step] < 0, bag[step:] == bag[:-step]], axis=0)
        better = xp.expand_dims(same, axis=1) & (earlier >= values)
        values, winners = xp.where(better, earlier, values), xp.where(better, their, winners)
        step *= 2
    numbers = xp.arange(bags, dtype=xp.int64, device=device_of(bag))
    ends = searchsorted(bag, numbers, side="right") - 1
    ends = xp.where(ends < 0, xp.zeros_like(ends), ends)
    return xp.take(winners, ends, axis=0)
