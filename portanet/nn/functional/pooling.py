"""Poolings: the largest value or the mean of each window, over one, two or three axes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import prod
from typing import Any

from portanet.backend import require_backend_of
from portanet.errors import OptionError, ShapeError
from portanet.functions.indexing import take_along_axis
from portanet.functions.manipulation import moveaxis, reshape
from portanet.functions.reductions import mean
from portanet.nn.functional.spatial import batched, check_input, each_axis
from portanet.ops import windows as ops
from portanet.protocols import Array, Namespace
from portanet.tensor import Tensor, lift, unwrap, wrap

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "adaptive_places",
    "adaptive_shape",
    "adaptive_spans",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]

_max_pool, _sum_pool = lift(ops.max_pool), lift(ops.sum_pool)

Ints = int | tuple[int, ...]
Numbers = tuple[int, ...]


def _pairs(
    name: str,
    lengths: Numbers,
    kernel: Numbers,
    stride: Numbers,
    padding: Numbers,
    dilation: Numbers,
    ceil_mode: bool,
) -> tuple[tuple[int, int], ...]:
    """What is put around each axis so that the windows are those of PyTorch.

    With ``ceil_mode`` a last window may reach over the end, unless it begins in the padding there.
    """
    pairs = []
    for length, k, s, p, d in zip(lengths, kernel, stride, padding, dilation, strict=True):
        reach = d * (k - 1) + 1
        room = length + 2 * p - reach
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= length + p:
            count -= 1
        if count < 1:
            raise ShapeError(
                f"{name}: input: a window of shape {kernel} does not fit into the shape {lengths}, padded by "
                f"{padding}. Give a larger input, or a smaller window."
            )
        pairs.append((p, (count - 1) * s + reach - length - p))
    return tuple(pairs)


def _options(
    name: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any, dims: int
) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    kernel = each_axis(name, "kernel_size", kernel_size, dims, low=1)
    step = kernel if stride is None else each_axis(name, "stride", stride, dims, low=1)
    around = each_axis(name, "padding", padding, dims, low=0)
    if any(2 * p > k for p, k in zip(around, kernel, strict=True)):
        raise OptionError(f"{name}: padding: expected at most half of the window {kernel}, got {padding!r}.")
    return kernel, step, around, each_axis(name, "dilation", dilation, dims, low=1)


def _max(
    dims: int,
    input: Array,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    name = f"max_pool{dims}d"
    check_input(name, input, dims)
    kernel, step, around, spread = _options(name, kernel_size, stride, padding, dilation, dims)
    lengths = tuple(input.shape[-dims:])
    how: dict[str, Any] = {
        "kernel": kernel,
        "stride": step,
        "dilation": spread,
        "padding": _pairs(name, lengths, kernel, step, around, spread, ceil_mode),
    }

    def pooled(x: Array) -> Any:
        r = _max_pool(x, **how)
        return (r, _wrapped_like(x, _places(unwrap(x), lengths, **how))) if return_indices else r

    return batched(pooled, input, dims)


def _wrapped_like(x: Any, array: Array) -> Any:
    """A Tensor of ``array`` if ``x`` is one."""
    return wrap(array) if isinstance(x, Tensor) else array


def _places(
    x: Array, lengths: Numbers, *, kernel: Numbers, stride: Numbers, dilation: Numbers, padding: Any
) -> Array:
    """Where each window's largest value stands among the elements of a channel, counted in order; int64."""
    xp = require_backend_of(x, "input").namespace
    columns = ops.windows(
        xp, x, kernel=kernel, stride=stride, dilation=dilation, padding=padding, fill=-float("inf")
    )[0]
    first = xp.astype(xp.argmax(columns, axis=2), xp.int64, copy=False)  # (N, C, *out)
    out = tuple(first.shape[2:])
    total = None
    for axis, length in enumerate(lengths):
        inner = prod(kernel[axis + 1 :])
        step = first // inner % kernel[axis] * dilation[axis]
        start = xp.arange(out[axis], dtype=xp.int64, device=first.device) * stride[axis] - padding[axis][0]
        shape = tuple(out[axis] if other == axis else 1 for other in range(len(out)))
        place = step + xp.reshape(start, shape)
        total = place if total is None else total * length + place
    return total


def _mean_counts(
    xp: Namespace,
    x: Array,
    lengths: Numbers,
    kernel: Numbers,
    stride: Numbers,
    around: Numbers,
    pairs: Any,
    inside: bool,
) -> Array:
    """How many elements each window is the mean of: those of the padding too, or those ``inside`` the array alone."""
    counts = None
    for axis, length in enumerate(lengths):
        low, high = pairs[axis]
        k, s, p = kernel[axis], stride[axis], around[axis]
        windows = (length + low + high - k) // s + 1
        ends = (0, length) if inside else (-p, length + p)
        own = [min(i * s - p + k, ends[1]) - max(i * s - p, ends[0]) for i in range(windows)]
        shape = tuple(windows if other == axis else 1 for other in range(len(lengths)))
        row = xp.reshape(xp.asarray([float(n) for n in own], dtype=x.dtype, device=x.device), shape)
        counts = row if counts is None else counts * row
    return counts


def _avg(
    dims: int,
    input: Array,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
    name: str,
) -> Any:
    check_input(name, input, dims)
    kernel, step, around, spread = _options(name, kernel_size, stride, padding, 1, dims)
    if divisor_override is not None and not divisor_override:
        raise OptionError(
            f"{name}: divisor_override: expected a number other than 0, got {divisor_override!r}."
        )
    lengths = tuple(input.shape[-dims:])
    pairs = _pairs(name, lengths, kernel, step, around, spread, ceil_mode)

    def pooled(x: Array) -> Any:
        total = _sum_pool(x, kernel=kernel, stride=step, dilation=spread, padding=pairs)
        if divisor_override is not None:
            return total / float(divisor_override)
        even = count_include_pad or not any(around)
        if even and all(high <= p for (_, high), p in zip(pairs, around, strict=True)):
            return total / float(prod(kernel))
        array = unwrap(x)
        xp = require_backend_of(array, "input").namespace
        counts = _mean_counts(xp, array, lengths, kernel, step, around, pairs, not count_include_pad)
        return total / _wrapped_like(x, counts)

    return batched(pooled, input, dims)


def _lp(dims: int, input: Array, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool) -> Any:
    power = float(norm_type)
    kernel = each_axis(f"lp_pool{dims}d", "kernel_size", kernel_size, dims, low=1)
    means = _avg(dims, input**power, kernel, stride, 0, ceil_mode, True, None, f"lp_pool{dims}d")
    return (means * float(prod(kernel))) ** (1.0 / power)


# Windows of different sizes


def adaptive_spans(length: int, out: int) -> list[tuple[int, int]]:
    """Where the windows of an adaptive pooling begin and end."""
    return [(i * length // out, -(-(i + 1) * length // out)) for i in range(out)]


def adaptive_shape(name: str, output_size: Any, lengths: Numbers) -> Numbers:
    """How many windows an adaptive pooling has along each axis."""
    dims = len(lengths)
    given = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * dims
    if len(given) != dims:
        raise OptionError(f"{name}: output_size: expected {dims} numbers, got {output_size!r}.")
    filled = tuple(length if size is None else size for size, length in zip(given, lengths, strict=True))
    return each_axis(name, "output_size", filled, dims, low=1)


def _adaptive_avg(dims: int, input: Array, output_size: Any) -> Any:
    name = f"adaptive_avg_pool{dims}d"
    check_input(name, input, dims)
    lengths = tuple(input.shape[-dims:])
    out = adaptive_shape(name, output_size, lengths)
    array = unwrap(input)
    xp = require_backend_of(array, "input").namespace
    r: Any = input
    for axis, (length, size) in enumerate(zip(lengths, out, strict=True)):
        place = axis - dims
        if size == 1:
            r = mean(r, axis=place, keepdims=True)
        elif size != length:
            rows = [
                [1 / (end - start) if start <= i < end else 0.0 for i in range(length)]
                for start, end in adaptive_spans(length, size)
            ]
            weights = _wrapped_like(input, xp.asarray(rows, dtype=array.dtype, device=array.device))
            r = moveaxis(moveaxis(r, place, -1) @ weights.mT, -1, place)
    return r


def _adaptive_max(dims: int, input: Array, output_size: Any, return_indices: bool) -> Any:
    name = f"adaptive_max_pool{dims}d"
    check_input(name, input, dims)
    lengths = tuple(input.shape[-dims:])
    out = adaptive_shape(name, output_size, lengths)

    def pooled(x: Array) -> Any:
        array = unwrap(x)
        xp = require_backend_of(array, "input").namespace
        places = _wrapped_like(x, adaptive_places(xp, array, lengths, out))
        shape = tuple(x.shape[:2])
        r = take_along_axis(reshape(x, (*shape, -1)), reshape(places, (*shape, -1)), axis=-1)
        r = reshape(r, (*shape, *out))
        return (r, places) if return_indices else r

    return batched(pooled, input, dims)


def adaptive_places(xp: Namespace, x: Array, lengths: Numbers, out: Numbers) -> Array:
    """Where each window's largest value stands among the elements of a channel; int64, shape (N, C, *out)."""
    found = []
    for spans in product(*(adaptive_spans(length, size) for length, size in zip(lengths, out, strict=True))):
        part = x[(slice(None), slice(None), *(slice(*span) for span in spans))]
        first = xp.argmax(xp.reshape(part, (*x.shape[:2], -1)), axis=-1)
        total: Any = 0
        for axis, (start, end) in enumerate(spans):
            inner = prod(stop - begin for begin, stop in spans[axis + 1 :])
            total = total * lengths[axis] + first // inner % (end - start) + start
        found.append(total)
    return xp.reshape(xp.astype(xp.stack(found, axis=-1), xp.int64, copy=False), (*x.shape[:2], *out))


# The public functions, one for each number of axes


def _max_of_dims(dims: int) -> Callable[..., Any]:
    def function(
        input: Array,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        dilation: Ints = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        return _max(dims, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)

    return _named(
        function,
        f"max_pool{dims}d",
        f"""The largest value of each window over {_AXES[dims]}; the gradient goes to the first that is as large.

    Parameters
    ----------
    input : Array
        Shape (N, C, {_LENGTHS[dims]}), or without N.
    kernel_size, stride, dilation : int or tuple of int
        The windows; ``stride`` is the size of the window by default.
    padding : int or tuple of int
        What is added on both sides, of no value; at most half of the window.
    ceil_mode : bool, default False
        Whether a last window may reach over the end.
    return_indices : bool, default False
        Whether to return as well where each value stands among the elements of its channel, int64.
    """,
    )


def _avg_of_dims(dims: int) -> Callable[..., Any]:
    name = f"avg_pool{dims}d"

    def function(
        input: Array,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:
        return _avg(
            dims, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, name
        )

    return _named(
        function,
        name,
        f"""The mean of each window over {_AXES[dims]}.

    Parameters
    ----------
    input : Array
        Shape (N, C, {_LENGTHS[dims]}), or without N.
    kernel_size, stride : int or tuple of int
        The windows; ``stride`` is the size of the window by default.
    padding : int or tuple of int
        Zeros on both sides; at most half of the window.
    ceil_mode : bool, default False
        Whether a last window may reach over the end.
    count_include_pad : bool, default True
        Whether the zeros of the padding count in the mean.
    divisor_override : int, optional
        What to divide by, instead of the number of elements.
    """,
    )


def _lp_of_dims(dims: int) -> Callable[..., Any]:
    def function(
        input: Array,
        norm_type: float,
        kernel_size: Ints,
        stride: Ints | None = None,
        ceil_mode: bool = False,
    ) -> Any:
        return _lp(dims, input, norm_type, kernel_size, stride, ceil_mode)

    return _named(
        function,
        f"lp_pool{dims}d",
        f"""``sum(x ** norm_type) ** (1 / norm_type)`` of windows over {_AXES[dims]}; see :func:`avg_pool{dims}d`.""",
    )


def _adaptive_avg_of_dims(dims: int) -> Callable[..., Any]:
    def function(input: Array, output_size: Any) -> Any:
        return _adaptive_avg(dims, input, output_size)

    return _named(
        function,
        f"adaptive_avg_pool{dims}d",
        f"""The mean over {_AXES[dims]} of as many windows as the output is to have places.

    Parameters
    ----------
    input : Array
        Shape (N, C, {_LENGTHS[dims]}), or without N.
    output_size : int, None or tuple of them
        Places along each axis; None keeps the input's. Window ``i`` of ``n`` goes from ``floor(i * length / n)`` to
        ``ceil((i + 1) * length / n)``.
    """,
    )


def _adaptive_max_of_dims(dims: int) -> Callable[..., Any]:
    def function(input: Array, output_size: Any, return_indices: bool = False) -> Any:
        return _adaptive_max(dims, input, output_size, return_indices)

    return _named(
        function,
        f"adaptive_max_pool{dims}d",
        f"""The largest value in windows as those of :func:`adaptive_avg_pool{dims}d`; and their places.""",
    )


def _named(function: Callable[..., Any], name: str, documentation: str) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = documentation
    return function


_AXES = {1: "one axis", 2: "two axes", 3: "three axes"}
_LENGTHS = {1: "L", 2: "H, W", 3: "D, H, W"}

max_pool1d, max_pool2d, max_pool3d = map(_max_of_dims, (1, 2, 3))
avg_pool1d, avg_pool2d, avg_pool3d = map(_avg_of_dims, (1, 2, 3))
lp_pool1d, lp_pool2d, lp_pool3d = map(_lp_of_dims, (1, 2, 3))
adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = map(_adaptive_avg_of_dims, (1, 2, 3))
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = map(_adaptive_max_of_dims, (1, 2, 3))
