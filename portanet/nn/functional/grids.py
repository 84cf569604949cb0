"""Values of pictures and volumes at points that are themselves computed: the grids of spatial transformers."""

from __future__ import annotations

from math import prod
from operator import index
from typing import Any

from portanet.backend import check_same_place, require_backend_of
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.functions.elementwise import add, multiply, subtract, where
from portanet.functions.indexing import take
from portanet.functions.linear_algebra import matmul
from portanet.functions.manipulation import expand_dims, matrix_transpose, moveaxis, reshape, stack
from portanet.functions.reductions import sum as sum_of
from portanet.ops.promotion import device_of
from portanet.protocols import Array, Namespace
from portanet.tensor import Tensor, unwrap, wrap

__all__ = ["affine_grid", "grid_sample"]

MODES = ("bilinear", "nearest", "bicubic")
PADDING_MODES = ("zeros", "border", "reflection")

A = -0.75
"""Of the kernel of cubic convolution (Keys, 1981)."""


def affine_grid(theta: Array, size: tuple[int, ...], align_corners: bool | None = None) -> Any:
    """The points of a regular grid after an affine map (Jaderberg et al., "Spatial transformer networks", 2015).

    Parameters
    ----------
    theta : Array
        Shape (batch, 2, 3) for pictures, (batch, 3, 4) for volumes: the matrix of the map, whose last column is what is
        added.
    size : tuple of int
        Shape of the wanted output of :func:`grid_sample`: (batch, channels, height, width), or with depth.
    align_corners : bool, optional
        Whether -1 and 1 are the centres of the first and last elements, True, or their outer edges, False; give
        :func:`grid_sample` the same. Default False.

    Returns
    -------
    Array
        Shape (batch, height, width, 2), or (batch, depth, height, width, 3): x, y and z of each point, x along the
        width.

    Raises
    ------
    ShapeError, DTypeError, OptionError
        If the arguments do not fit together.

    Examples
    --------
    >>> unchanged = pn.asarray([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> pn.nn.functional.affine_grid(unchanged, (1, 1, 1, 2))
    Tensor([[[[-0.5,  0. ],
              [ 0.5,  0. ]]]])
    """
    matrix = unwrap(theta)
    backend = require_backend_of(matrix, "affine_grid: theta")
    lengths = _lengths(size)
    dims = len(lengths)
    batch = int(size[0])
    if tuple(matrix.shape) != (batch, dims, dims + 1):
        raise ShapeError(
            f"theta: affine_grid expects the shape {(batch, dims, dims + 1)} for size {tuple(size)}, got "
            f"{tuple(matrix.shape)}."
        )
    _check_floating("affine_grid", "theta", backend.dtype_of(matrix))
    points = _regular(backend.namespace, matrix, lengths, bool(align_corners))
    mapped = matmul(_like(theta, points), matrix_transpose(theta))  # (points, d + 1) @ (batch, d + 1, d)
    return reshape(mapped, (batch, *lengths, dims))


def grid_sample(
    input: Array,
    grid: Array,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    """Values at given points, interpolated between the elements of pictures or volumes.

    Gradients reach the input and, but in mode ``"nearest"``, the grid.

    Parameters
    ----------
    input : Array
        Shape (batch, channels, height, width), or (batch, channels, depth, height, width).
    grid : Array
        Shape (batch, *out, 2), where ``out`` has two lengths, or (batch, *out, 3), where it has three: x, y and z of
        each point, x along the width, from -1 to 1 where it is inside. A NaN makes a NaN.
    mode : str, default "bilinear"
        ``"bilinear"``, between the 4 elements around a point, of volumes the 8; ``"nearest"``; ``"bicubic"``, of
        pictures only, by cubic convolution of 16 elements (Keys, 1981, with a = -0.75).
    padding_mode : str, default "zeros"
        What is outside: ``"zeros"``; ``"border"``, the element at the border; ``"reflection"``, the elements mirrored
        at the border, as often as need be.
    align_corners : bool, optional
        Whether -1 and 1 are the centres of the first and last elements, True, or their outer edges, False, the
        default.

    Returns
    -------
    Array
        Shape (batch, channels, *out).

    Raises
    ------
    ShapeError, DTypeError, OptionError
        If the arguments do not fit together.

    Examples
    --------
    >>> picture = pn.asarray([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> pn.nn.functional.grid_sample(picture, pn.asarray([[[[0.0, 0.0], [-0.5, 0.5]]]]))
    Tensor([[[[2.5, 3. ]]]])
    """
    _check_modes(mode, padding_mode)
    array, points = unwrap(input), unwrap(grid)
    _check_operands(array, points, mode)
    xp = require_backend_of(array, "input").namespace
    batch, channels, *lengths = array.shape
    dims = len(lengths)
    out = tuple(points.shape[1:-1])
    count = prod(out)
    lines = reshape(grid, (batch, count, dims))
    places: Any = None
    weights: Any = None
    for axis, length in enumerate(lengths):
        coordinate = _coordinate(lines[..., dims - 1 - axis], length, bool(align_corners))
        its_places, its_weights = _taps(xp, coordinate, length, mode, padding_mode, bool(align_corners))
        if places is None:
            places, weights = its_places, its_weights
            continue
        # Each element of the axes before goes with each one of this axis.
        both = (places.shape[0] * its_places.shape[0], batch, count)
        places = xp.reshape(xp.expand_dims(places, axis=1) * length + its_places, both)
        if its_weights is not None:
            weights = reshape(multiply(expand_dims(weights, axis=1), its_weights), both)
    size, around = prod(lengths), places.shape[0]
    starts = xp.arange(batch, dtype=xp.int64, device=device_of(array)) * size
    places = xp.reshape(places + xp.expand_dims(starts, axis=1), (-1,))
    rows = reshape(moveaxis(input, 1, -1), (batch * size, channels))
    found = reshape(take(rows, _like(input, places), axis=0), (around, batch * count, channels))
    if weights is not None:
        found = multiply(found, reshape(weights, (around, batch * count, 1)))
    return moveaxis(reshape(sum_of(found, axis=0), (batch, *out, channels)), -1, 1)


# Checks


def _lengths(size: Any) -> tuple[int, ...]:
    """The spatial lengths of a size."""
    try:
        numbers = tuple(map(index, size))
    except TypeError:
        raise TypeError(f"size: affine_grid expects a shape, such as (1, 3, 24, 24), got {size!r}.") from None
    if len(numbers) not in (4, 5) or min(numbers) < 1:
        raise OptionError(
            "size: affine_grid expects (batch, channels, height, width) or (batch, channels, depth, height, width), "
            f"all at least 1; got {size!r}."
        )
    return numbers[2:]


def _check_floating(function: str, name: str, dtype: Any) -> None:
    if not dtype.is_floating:
        raise DTypeError(
            f"{name}: {function} expects a floating-point type, got {dtype.name}. Convert it with "
            f"portanet.astype({name}, portanet.float32)."
        )


def _check_modes(mode: str, padding_mode: str) -> None:
    if mode not in MODES:
        raise OptionError(f"mode: grid_sample expects one of {', '.join(map(repr, MODES))}, got {mode!r}.")
    if padding_mode not in PADDING_MODES:
        raise OptionError(
            f"padding_mode: grid_sample expects one of {', '.join(map(repr, PADDING_MODES))}, got {padding_mode!r}."
        )


def _check_operands(array: Array, points: Array, mode: str) -> None:
    backend = require_backend_of(array, "grid_sample: input")
    its_backend = require_backend_of(points, "grid_sample: grid")
    check_same_place("grid_sample", (array, points))
    shape, its = tuple(array.shape), tuple(points.shape)
    if len(shape) not in (4, 5) or 0 in shape[2:]:
        raise ShapeError(
            "input: grid_sample expects the shape (batch, channels, height, width) or (batch, channels, depth, height, "
            f"width), with spatial axes that are not empty; got {shape}."
        )
    if len(its) != len(shape) or its[0] != shape[0] or its[-1] != len(shape) - 2:
        out = "height, width" if len(shape) == 4 else "depth, height, width"
        raise ShapeError(
            f"grid: grid_sample expects the shape ({shape[0]}, {out}, {len(shape) - 2}), with the lengths of the "
            f"output, for an input of shape {shape}; got {its}."
        )
    if mode == "bicubic" and len(shape) != 4:
        raise OptionError(
            f"mode: grid_sample takes 'bicubic' for pictures only, got an input of shape {shape}."
        )
    dtype, its_dtype = backend.dtype_of(array), its_backend.dtype_of(points)
    _check_floating("grid_sample", "input", dtype)
    if its_dtype != dtype:
        raise DTypeError(
            f"grid: grid_sample expects the data type of input, {dtype.name}, got {its_dtype.name}. Convert it with "
            f"portanet.astype(grid, portanet.{dtype.name})."
        )


# Points


def _like(x: Any, array: Array) -> Any:
    """A Tensor of ``array`` if ``x`` is one."""
    return wrap(array) if isinstance(x, Tensor) else array


def _regular(xp: Namespace, like: Array, lengths: tuple[int, ...], align_corners: bool) -> Array:
    """The centres of all elements, each with a 1 behind; shape (elements, axes + 1)."""
    device = device_of(like)
    columns = []
    for axis, n in reversed(list(enumerate(lengths))):
        if align_corners:
            line = [2 * i / (n - 1) - 1 if n > 1 else 0.0 for i in range(n)]
        else:
            line = [(2 * i + 1) / n - 1 for i in range(n)]
        shape = tuple(n if other == axis else 1 for other in range(len(lengths)))
        numbers = xp.reshape(xp.asarray(line, dtype=like.dtype, device=device), shape)
        columns.append(xp.reshape(xp.broadcast_to(numbers, lengths), (-1,)))
    return xp.stack([*columns, xp.ones_like(columns[0])], axis=-1)


def _coordinate(x: Any, length: int, align_corners: bool) -> Any:
    """From -1 to 1 to the places of elements, of which the first has its centre at 0."""
    if align_corners:
        return multiply(add(x, 1.0), (length - 1) / 2)
    return subtract(multiply(add(x, 1.0), length / 2), 0.5)


def _taps(
    xp: Namespace, coordinate: Any, length: int, mode: str, padding_mode: str, align_corners: bool
) -> tuple[Array, Any]:
    """Along one axis, the places of the elements around each point, and their weights.

    Parameters
    ----------
    coordinate : Array
        Shape (batch, points).

    Returns
    -------
    tuple of Array
        Shape (elements, batch, points) each; in place of weights that are all 1, None.
    """
    if mode == "bicubic":
        # The curve goes through what the elements are mirrored to, so each of them has its own place.
        first = xp.floor(unwrap(coordinate))
        part = subtract(coordinate, _like(coordinate, first))
        weights = [_far(part + 1.0), _near(part), _near(1.0 - part), _far(2.0 - part)]
        spread = xp.stack([first + offset for offset in (-1.0, 0.0, 1.0, 2.0)], axis=0)
        if padding_mode == "reflection":
            spread = _reflected(xp, spread, length, align_corners)[0]
        return _within(xp, spread, stack(weights, axis=0), length, padding_mode)
    coordinate = _padded(xp, coordinate, length, padding_mode, align_corners)
    if mode == "nearest":
        spread = xp.expand_dims(xp.round(unwrap(coordinate)), axis=0)
        if padding_mode != "zeros":
            return _places(xp, spread, length), None
        return _within(xp, spread, xp.ones_like(spread), length, padding_mode)
    first = xp.floor(unwrap(coordinate))
    part = subtract(coordinate, _like(coordinate, first))
    spread = xp.stack([first, first + 1.0], axis=0)
    return _within(xp, spread, stack([1.0 - part, part], axis=0), length, padding_mode)


def _within(xp: Namespace, spread: Array, weights: Any, length: int, padding_mode: str) -> tuple[Array, Any]:
    """Places that exist, and weights of 0 for those that did not and count as zeros."""
    places = _places(xp, spread, length)
    if padding_mode == "zeros":
        outside = (spread < 0) | (spread > length - 1)
        weights = where(_like(weights, outside), _like(weights, xp.zeros_like(spread)), weights)
    return places, weights


def _places(xp: Namespace, spread: Array, length: int) -> Array:
    """As integers, those beyond an end, and NaN, at an end."""
    nothing = xp.zeros_like(spread)
    inside = xp.where(spread > 0, xp.minimum(spread, nothing + (length - 1)), nothing)
    return xp.astype(inside, xp.int64)


def _near(distance: Any) -> Any:
    """The kernel of cubic convolution at distances up to 1."""
    return ((A + 2) * distance - (A + 3)) * distance * distance + 1.0


def _far(distance: Any) -> Any:
    """The kernel of cubic convolution at distances from 1 to 2."""
    return ((A * distance - 5 * A) * distance + 8 * A) * distance - 4 * A


def _padded(xp: Namespace, coordinate: Any, length: int, padding_mode: str, align_corners: bool) -> Any:
    """Coordinates with those outside moved to where the value is to come from; where they are held, no gradient."""
    x = unwrap(coordinate)
    if padding_mode == "zeros":
        low, high = (
            -3.0,
            length + 2.0,
        )  # beyond which all is 0 anyway; infinities must not come into the weights
    else:
        low, high = 0.0, length - 1.0
    moved = coordinate
    if padding_mode == "reflection":
        reflected, sign = _reflected(xp, x, length, align_corners)
        shift = reflected - sign * x
        moved = add(multiply(coordinate, _like(coordinate, sign)), _like(coordinate, shift))
        x = reflected
    held = xp.where(x > low, xp.where(x < high, x, xp.full_like(x, high)), xp.full_like(x, low))
    held = xp.where(xp.isnan(x), x, held)
    free = (x > low) & (x < high)
    return where(_like(coordinate, free), moved, _like(coordinate, held))


def _reflected(xp: Namespace, x: Array, length: int, align_corners: bool) -> tuple[Array, Array]:
    """Coordinates mirrored at both borders until they are inside, and 1 or -1: whether they still run the same way."""
    low, span = (0.0, length - 1.0) if align_corners else (-0.5, float(length))
    if not span:
        return xp.zeros_like(x), xp.zeros_like(x)
    distance = xp.abs(x - low)
    times = xp.floor(distance / span)
    rest = distance - times * span
    even = times % 2 == 0
    sign = xp.where(even == (x >= low), xp.ones_like(x), -xp.ones_like(x))
    return xp.where(even, rest, span - rest) + low, sign
