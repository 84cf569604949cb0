"""Poolings whose windows stand at random distances, so that an axis shrinks by any factor."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from portanet.backend import require_backend_of
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.functions.indexing import take_along_axis
from portanet.functions.manipulation import reshape
from portanet.nn.functional.spatial import batched, check_input, each_axis
from portanet.ops.promotion import device_of
from portanet.protocols import Array, Namespace
from portanet.random import Generator, uniform
from portanet.tensor import Tensor, unwrap, wrap

__all__ = [
    "check_ratios",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "fractional_places",
    "fractional_shape",
]

Ints = int | tuple[int, ...]
Numbers = tuple[int, ...]
Ratios = float | tuple[float, ...]


def check_ratios(name: str, output_ratio: Any, dims: int) -> tuple[float, ...]:
    """One ratio between 0 and 1 for each spatial axis, from a number for all or a sequence."""
    ratios = tuple(output_ratio) if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * dims
    if len(ratios) != dims or any(
        isinstance(r, bool) or not isinstance(r, (int, float)) or not 0 < r < 1 for r in ratios
    ):
        raise OptionError(
            f"{name}: output_ratio: expected a number between 0 and 1, or {dims} of them, got {output_ratio!r}."
        )
    return tuple(map(float, ratios))


def _starts(xp: Namespace, samples: Array, length: int, kernel: int, out: int) -> Array:
    """Where the windows along one axis begin: int64 of shape (N, C, out).

    They are ``trunc((i + sample) * step) - trunc(sample * step)``, in the samples' own data type, in which the
    rounding decides on whole places; the last window ends where the axis ends.
    """
    end = xp.full((*samples.shape, 1), length - kernel, dtype=xp.int64, device=device_of(samples))
    if out == 1:
        return end
    place = {"dtype": samples.dtype, "device": device_of(samples)}
    step = xp.asarray(float(length - kernel), **place) / xp.asarray(float(out - 1), **place)
    samples = xp.expand_dims(samples, axis=-1)
    ahead = xp.trunc((xp.arange(out - 1, **place) + samples) * step)
    return xp.concat([xp.astype(ahead - xp.trunc(samples * step), xp.int64), end], axis=-1)


def fractional_places(xp: Namespace, x: Array, samples: Array, kernel: Numbers, out: Numbers) -> Array:
    """Where each window's largest value stands among the elements of a channel; int64, shape (N, C, prod(out))."""
    lengths = tuple(x.shape[2:])
    dims = len(lengths)
    inside: Any = 0
    for axis, (length, k, n) in enumerate(zip(lengths, kernel, out, strict=True)):
        # PyTorch takes the samples of the two axes of a picture the other way round.
        one = samples[:, :, dims - 1 - axis if dims == 2 else axis]
        starts = _starts(xp, one, length, k, n)
        shape = [1] * (2 * dims)
        shape[axis] = n
        starts = xp.reshape(starts, (*x.shape[:2], *shape))
        shape = [1] * (2 * dims)
        shape[dims + axis] = k
        steps = xp.reshape(xp.arange(k, dtype=xp.int64, device=device_of(x)), (1, 1, *shape))
        inside = inside * length + starts + steps
    inside = xp.reshape(inside, (*x.shape[:2], prod(out), prod(kernel)))
    flat = xp.reshape(inside, (*x.shape[:2], -1))
    values = xp.take_along_axis(xp.reshape(x, (*x.shape[:2], -1)), flat, axis=-1)
    first = xp.argmax(xp.reshape(values, inside.shape), axis=-1, keepdims=True)
    return xp.take_along_axis(inside, first, axis=-1)[..., 0]


def fractional_shape(
    name: str, output_size: Any, output_ratio: Any, lengths: Numbers, kernel: Numbers
) -> Numbers:
    """How many windows there are along each axis."""
    dims = len(lengths)
    if output_size is None and output_ratio is None:
        raise OptionError(f"{name}: expected output_size or output_ratio, got neither.")
    if output_size is None:
        ratios = check_ratios(name, output_ratio, dims)
        out = tuple(int(length * ratio) for length, ratio in zip(lengths, ratios, strict=True))
    else:
        out = each_axis(name, "output_size", output_size, dims, low=1)
    if min(out) < 1 or any(n + k - 1 > length for n, k, length in zip(out, kernel, lengths, strict=True)):
        raise ShapeError(
            f"{name}: input: an output of shape {out} needs lengths of at least the output's plus the window's "
            f"{kernel} minus 1, got {lengths}. Give a smaller output, or a smaller window."
        )
    return out


def _samples(name: str, x: Array, given: Any, dims: int, generator: Generator | None) -> Array:
    """A number from 0 to 1 for each channel and axis; shape (N, C, dims)."""
    backend = require_backend_of(x, f"{name}: input")
    dtype, device = backend.dtype_of(x), backend.device_of(x)
    shape = (*x.shape[:2], dims)
    if given is None:
        return unwrap(uniform(shape, dtype=dtype, device=device, generator=generator))
    samples = unwrap(given)
    owner = require_backend_of(samples, f"{name}: _random_samples")
    if tuple(samples.shape) != shape:
        raise ShapeError(
            f"{name}: _random_samples: expected the shape {shape}, a number for each example, channel and axis, got "
            f"{tuple(samples.shape)}."
        )
    if owner.dtype_of(samples) != dtype:
        raise DTypeError(
            f"{name}: _random_samples: expected the data type of the input, {dtype.name}, got "
            f"{owner.dtype_of(samples).name}. Convert it with portanet.astype."
        )
    return samples


def _of_dims(dims: int) -> Callable[..., Any]:
    name = f"fractional_max_pool{dims}d"

    def function(
        input: Array,
        kernel_size: Ints,
        output_size: Ints | None = None,
        output_ratio: Ratios | None = None,
        return_indices: bool = False,
        _random_samples: Array | None = None,
        *,
        generator: Generator | None = None,
    ) -> Any:
        check_input(name, input, dims)
        kernel = each_axis(name, "kernel_size", kernel_size, dims, low=1)
        out = fractional_shape(name, output_size, output_ratio, tuple(input.shape[-dims:]), kernel)

        def pooled(x: Array) -> Any:
            array = unwrap(x)
            xp = require_backend_of(array, "input").namespace
            samples = _samples(name, array, _random_samples, dims, generator)
            found = fractional_places(xp, array, samples, kernel, out)
            places = wrap(found) if isinstance(x, Tensor) else found
            planes = tuple(array.shape[:2])
            r = take_along_axis(reshape(x, (*planes, -1)), places, axis=-1)
            r = reshape(r, (*planes, *out))
            return (r, reshape(places, (*planes, *out))) if return_indices else r

        return batched(pooled, input, dims)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""The largest value of windows at random distances over {_AXES[dims]} (Graham, 2014).

    Each channel of each example draws where its windows begin, so that their distances differ by at most 1 and have
    the mean that the sizes of input and output ask for.

    Parameters
    ----------
    input : Array
        Shape (N, C, {_LENGTHS[dims]}), or without N.
    kernel_size : int or tuple of int
        The size of a window.
    output_size : int or tuple of int, optional
        How many windows along each axis: at most ``length - kernel_size + 1``.
    output_ratio : float or tuple of float, optional
        Its ratio to the input's, between 0 and 1; counts where ``output_size`` is not given.
    return_indices : bool, default False
        Whether to return as well where each value stands among the elements of its channel, int64.
    _random_samples : Array, optional
        What would be drawn: numbers from 0 to 1 in the input's data type, shape (N, C, {dims}).
    generator : Generator, optional
        Default: the one that :func:`portanet.manual_seed` seeds.

    Raises
    ------
    ShapeError, DTypeError, OptionError
        If the arguments do not fit together.

    References
    ----------
    Graham, "Fractional max-pooling", 2014 (arXiv 1412.6071).
    """
    return function


_AXES = {2: "two axes", 3: "three axes"}
_LENGTHS = {2: "H, W", 3: "D, H, W"}

fractional_max_pool2d, fractional_max_pool3d = map(_of_dims, (2, 3))
