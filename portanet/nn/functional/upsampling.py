"""Pictures, lines and volumes in another size.

Each spatial axis is resampled by itself. Which elements go into each new one, and with which weights, follows from
lengths and factors alone, so the host works it out, once for each pair of lengths.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import floor, pi, sin
from struct import Struct
from typing import Any

from portanet.backend import require_backend_of
from portanet.checks import check_number
from portanet.dtypes import DType
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.nn.functional import pooling
from portanet.nn.functional.spatial import each_axis
from portanet.ops import resampling
from portanet.ops.resampling import Taps
from portanet.protocols import Array
from portanet.tensor import lift, unwrap

__all__ = ["MODES", "interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]

_resample = lift(resampling.resample)

MODES: dict[str, tuple[str, tuple[int, ...]]] = {
    "nearest": ("nearest", (1, 2, 3)),
    "nearest-exact": ("nearest-exact", (1, 2, 3)),
    "linear": ("linear", (1,)),
    "bilinear": ("linear", (2,)),
    "trilinear": ("linear", (3,)),
    "bicubic": ("cubic", (2,)),
    "lanczos": ("lanczos", (2,)),
    "area": ("area", (1, 2, 3)),
}
"""How each mode goes about one axis, and for how many spatial axes it is."""

ALIGNING = ("linear", "bilinear", "bicubic", "trilinear")
SMOOTHING = ("bilinear", "bicubic", "lanczos")

LONG = 2**14
"""Longer axes than this have a small cache of their own."""

Numbers = tuple[int, ...]
Round = Callable[[float], float]


def interpolate(
    input: Array,
    size: int | tuple[int, ...] | None = None,
    scale_factor: float | tuple[float, ...] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Resample the spatial axes to a size, or by a factor.

    An element is a cell. The new element ``i`` has its centre at ``(i + 0.5) * length / new_length - 0.5`` among the
    old ones, and is a weighted sum of those around it: of two, ``"linear"``; of four by the cubic convolution of Keys
    (1981) with a = -0.75, ``"bicubic"``. Elements beyond the ends are those at the ends.

    Parameters
    ----------
    input : Array
        Shape (batch, channels, length), (..., height, width) or (..., depth, height, width).
    size : int or tuple of int, optional
        The new lengths, or one for all.
    scale_factor : float or tuple of float, optional
        The new lengths are the old ones times this, rounded down. Either this or ``size``.
    mode : str, default "nearest"
        ``"nearest"``, the element at ``floor(i * length / new_length)``; ``"nearest-exact"``, the one whose centre is
        nearest; ``"linear"``, ``"bilinear"`` or ``"trilinear"`` for one, two or three axes; ``"bicubic"`` for two;
        ``"area"``, the mean of all elements that a new one touches; ``"lanczos"`` for two, with ``antialias`` only.
    align_corners : bool, optional
        For the linear and cubic modes: True puts the centres of the first and last elements, old and new, in one
        place, so that the new centre is at ``i * (length - 1) / (new_length - 1)``. Default False.
    recompute_scale_factor : bool, optional
        True takes the quotient of the lengths for the coordinates, where otherwise ``scale_factor`` itself serves;
        they differ where a new length was rounded. For ``"area"`` it is always so.
    antialias : bool, default False
        For two axes, modes ``"bilinear"``, ``"bicubic"`` (with a = -0.5) and ``"lanczos"`` (three lobes): when an axis
        becomes shorter, widen the filter accordingly.

    Returns
    -------
    Array
        Shape (batch, channels, *new lengths), of the input's data type.

    Raises
    ------
    OptionError, ShapeError, DTypeError
        If the options do not go together, or not with the input. All modes but the nearest ones need floating-point
        numbers.

    Notes
    -----
    Coordinates are rounded as PyTorch rounds them on a CPU: in float32, for float64 arrays in float64. It decides
    which element is the nearest where two are as near.

    Examples
    --------
    >>> x = pn.asarray([[[1.0, 2.0, 4.0]]])
    >>> pn.nn.functional.interpolate(x, scale_factor=2)
    Tensor([[[1., 1., 2., 2., 4., 4.]]])
    >>> pn.nn.functional.interpolate(x, size=5, mode="linear", align_corners=True)
    Tensor([[[1. , 1.5, 2. , 3. , 4. ]]])
    """
    if mode not in MODES:
        raise OptionError(f"mode: interpolate expects one of {', '.join(map(repr, MODES))}, got {mode!r}.")
    way, axes = MODES[mode]
    array = unwrap(input)
    dtype = require_backend_of(array, "interpolate: input").dtype_of(array)
    shape = tuple(array.shape)
    dims = len(shape) - 2
    _check_input(mode, axes, shape, dtype)
    _check_options(mode, align_corners, antialias)
    lengths = shape[2:]
    out, factors = _new_lengths(size, scale_factor, recompute_scale_factor, lengths)
    if way == "area":
        return getattr(pooling, f"adaptive_avg_pool{dims}d")(input, out)
    double = dtype.name in ("float64", "complex128")
    # There PyTorch has a function of its own for the nearest element, which counts in float32.
    small = dims == 2 and sum(out) <= 128
    r: Any = input
    # What shrinks goes first, as it is less work later.
    for axis in sorted(range(dims), key=lambda a: out[a] / lengths[a]):
        find = _taps_of_long if max(lengths[axis], out[axis]) > LONG else _taps_of_short
        taps = find(
            way,
            lengths[axis],
            out[axis],
            factors[axis],
            bool(align_corners),
            antialias,
            double,
            small,
        )
        if taps is not None:
            r = _resample(r, taps=taps, axis=axis + 2)
    return r


def upsample(
    input: Array,
    size: int | tuple[int, ...] | None = None,
    scale_factor: float | tuple[float, ...] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """Older name of :func:`interpolate`."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(
    input: Array,
    size: int | tuple[int, ...] | None = None,
    scale_factor: float | tuple[float, ...] | None = None,
) -> Any:
    """:func:`interpolate` in mode ``"nearest"``."""
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(
    input: Array,
    size: int | tuple[int, ...] | None = None,
    scale_factor: float | tuple[float, ...] | None = None,
) -> Any:
    """:func:`interpolate` in mode ``"bilinear"`` with ``align_corners=True``."""
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


# Checks


def _check_input(mode: str, axes: Numbers, shape: Numbers, dtype: DType) -> None:
    names = {1: "length", 2: "height, width", 3: "depth, height, width"}
    if len(shape) - 2 not in axes:
        wanted = " or ".join(f"(batch, channels, {names[dims]})" for dims in axes)
        fitting = [other for other, (_, its) in MODES.items() if len(shape) - 2 in its]
        advice = f" Modes for this shape: {', '.join(map(repr, fitting))}." if fitting else ""
        raise ShapeError(
            f"input: interpolate in mode {mode!r} expects the shape {wanted}, got {shape}.{advice}"
        )
    if 0 in shape[2:]:
        raise ShapeError(f"input: interpolate expects spatial axes that are not empty, got shape {shape}.")
    if not dtype.is_differentiable and not mode.startswith("nearest"):
        raise DTypeError(
            f"input: interpolate in mode {mode!r} expects floating-point numbers, got {dtype.name}. Convert it with "
            "portanet.astype(x, portanet.float32), or take mode='nearest'."
        )


def _check_options(mode: str, align_corners: bool | None, antialias: bool) -> None:
    possible = mode in ALIGNING or (mode == "lanczos" and not align_corners)
    if align_corners is not None and not possible:
        raise OptionError(
            f"align_corners: interpolate takes it in the modes {', '.join(map(repr, ALIGNING))} only, got "
            f"{align_corners!r} in mode {mode!r}. Leave it None."
        )
    if antialias and mode not in SMOOTHING:
        raise OptionError(
            f"antialias: interpolate takes it in the modes {', '.join(map(repr, SMOOTHING))} only, got mode {mode!r}."
        )
    if mode == "lanczos" and not antialias:
        raise OptionError("antialias: interpolate in mode 'lanczos' expects True.")


def _new_lengths(
    size: Any, scale_factor: Any, recompute_scale_factor: bool | None, lengths: Numbers
) -> tuple[Numbers, tuple[float | None, ...]]:
    """The new lengths, and the factors that the coordinates are to be worked out with, if not from the lengths."""
    dims = len(lengths)
    if (size is None) == (scale_factor is None):
        came = "neither" if size is None else f"size={size!r} and scale_factor={scale_factor!r}"
        raise OptionError(f"size, scale_factor: interpolate expects one of them, got {came}.")
    if size is not None:
        if recompute_scale_factor:
            raise OptionError(
                "recompute_scale_factor: interpolate takes True together with scale_factor only, got "
                f"size={size!r}."
            )
        return each_axis("interpolate", "size", size, dims, low=1), (None,) * dims
    factors = tuple(scale_factor) if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * dims
    if len(factors) != dims:
        raise OptionError(
            f"scale_factor: interpolate expects one number, or {dims} for an input with {dims} spatial axes; got "
            f"{scale_factor!r}."
        )
    for factor in factors:
        check_number("scale_factor", factor, low=0)
    factors = tuple(map(float, factors))
    out = tuple(int(length * factor) for length, factor in zip(lengths, factors, strict=True))
    if min(out) < 1:
        raise OptionError(
            f"scale_factor: {scale_factor!r} leaves nothing of the lengths {lengths}: they would become {out}. Take a "
            "larger factor, or give size."
        )
    return out, (None,) * dims if recompute_scale_factor else factors


# Places and weights along one axis


_float32 = Struct("f")


def _single(number: float) -> float:
    """Rounded to float32."""
    rounded: float = _float32.unpack(_float32.pack(number))[0]
    return rounded


def _taps(
    way: str,
    length: int,
    out: int,
    factor: float | None,
    align_corners: bool,
    antialias: bool,
    double: bool,
    small: bool,
) -> Taps | None:
    """What goes into each new element; None if each stays as it is."""
    rounded: Round = float if double else _single
    if way.startswith("nearest"):
        places = _nearest(way, length, out, factor, _single if small else rounded, small)
        rows = [{place: 1.0} for place in places]
    else:
        if length == out and (antialias or way == "linear"):
            return None
        if align_corners:
            step = rounded((length - 1) / (out - 1)) if out > 1 else 0.0
        else:
            step = rounded(length / out if factor is None else 1 / factor)
        if antialias:
            rows = [_filtered(FILTERS[way], step, i, length, rounded) for i in range(out)]
        else:
            # One rounding for the product and the difference, as in a fused multiply-add.
            sources = [rounded(step * i if align_corners else step * (i + 0.5) - 0.5) for i in range(out)]
            rows = [_around(way, source, length, rounded) for source in sources]
    if length == out and all(row == {i: 1.0} for i, row in enumerate(rows)):
        return None
    return Taps.of_rows(rows, length)


_taps_of_short = lru_cache(maxsize=512)(_taps)
_taps_of_long = lru_cache(maxsize=4)(_taps)  # of a million elements they take 150 MB


def _nearest(way: str, length: int, out: int, factor: float | None, rounded: Round, small: bool) -> list[int]:
    """The place of the element that each new one is a copy of."""
    if small and way == "nearest" and out in (length, 2 * length):  # whatever the factor
        return [i * length // out for i in range(out)]
    step = rounded(length / out if factor is None else 1 / factor)
    if way == "nearest":
        sources = [rounded(step * i) for i in range(out)]
    elif small:
        sources = [rounded(step * (i + 0.5)) for i in range(out)]
    else:
        sources = [rounded(max(rounded(step * (i + 0.5) - 0.5), 0.0) + 0.5) for i in range(out)]
    return [min(floor(_single(source)), length - 1) for source in sources]


def _around(way: str, source: float, length: int, rounded: Round) -> dict[int, float]:
    """The weights of the two or four elements around a coordinate; those beyond an end go to the one at the end."""
    if way == "linear":
        source = max(source, 0.0)
    first = min(floor(source), length - 1)
    part = min(max(rounded(source - first), 0.0), 1.0)
    if way == "linear":
        weights = {0: 1 - part, 1: part}
    else:
        weights = {offset: _cubic(part - offset, -0.75) for offset in (-1, 0, 1, 2)}
    row: dict[int, float] = {}
    for offset, weight in weights.items():
        place = min(max(first + offset, 0), length - 1)
        row[place] = row.get(place, 0.0) + weight
    return row


def _filtered(
    filter: tuple[float, Callable[[float], float]], step: float, i: int, length: int, rounded: Round
) -> dict[int, float]:
    """The weights of all elements under a filter, which is as wide as a step if that is longer than an element."""
    half, shape = filter
    width = max(step, 1.0)
    centre = rounded(step * (i + 0.5))
    low = max(int(rounded(rounded(centre - half * width) + 0.5)), 0)
    high = min(int(rounded(rounded(centre + half * width) + 0.5)), length)
    weights = [shape((place + 0.5 - centre) / width) for place in range(low, high)]
    total = sum(weights)
    return {place: weight / total for place, weight in zip(range(low, high), weights, strict=True)}


def _triangle(distance: float) -> float:
    return max(1 - abs(distance), 0.0)


def _cubic(distance: float, a: float) -> float:
    """The kernel of cubic convolution (Keys, 1981)."""
    d = abs(distance)
    if d <= 1:
        return ((a + 2) * d - (a + 3)) * d * d + 1
    return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a if d < 2 else 0.0


def _lanczos(distance: float) -> float:
    """``sinc(x) * sinc(x / 3)`` up to 3."""
    x = pi * distance
    if not x:
        return 1.0
    return 3 * sin(x) * sin(x / 3) / x**2 if abs(distance) < 3 else 0.0


FILTERS: dict[str, tuple[float, Callable[[float], float]]] = {
    "linear": (1.0, _triangle),
    "cubic": (2.0, lambda distance: _cubic(distance, -0.5)),
    "lanczos": (3.0, _lanczos),
}
"""Half the width of each filter against aliasing, and its shape."""
