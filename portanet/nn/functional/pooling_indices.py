"""Poolings of the largest value under the names that always return indices, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portanet.nn.functional import fractional_pooling, pooling
from portanet.protocols import Array
from portanet.random import Generator

__all__ = [
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d_with_indices",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d_with_indices",
    "max_pool1d_with_indices",
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
]

Ints = int | tuple[int, ...]


def _named(function: Callable[..., Any], pool: Callable[..., Any]) -> Callable[..., Any]:
    name = pool.__name__
    function.__name__ = function.__qualname__ = f"{name}_with_indices"
    function.__doc__ = f""":func:`{name}` with ``return_indices=True``, whatever that argument says here.

    Returns
    -------
    values, indices : Array
        Where each value stands among the elements of its channel is int64.
    """
    return function


def _max(pool: Callable[..., Any]) -> Callable[..., Any]:
    def function(
        input: Array,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        dilation: Ints = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        return pool(input, kernel_size, stride, padding, dilation, ceil_mode, True)

    return _named(function, pool)


def _adaptive(pool: Callable[..., Any]) -> Callable[..., Any]:
    def function(input: Array, output_size: Any, return_indices: bool = False) -> Any:
        return pool(input, output_size, True)

    return _named(function, pool)


def _fractional(pool: Callable[..., Any]) -> Callable[..., Any]:
    def function(
        input: Array,
        kernel_size: Ints,
        output_size: Ints | None = None,
        output_ratio: float | tuple[float, ...] | None = None,
        return_indices: bool = False,
        _random_samples: Array | None = None,
        *,
        generator: Generator | None = None,
    ) -> Any:
        return pool(input, kernel_size, output_size, output_ratio, True, _random_samples, generator=generator)

    return _named(function, pool)


max_pool1d_with_indices = _max(pooling.max_pool1d)
max_pool2d_with_indices = _max(pooling.max_pool2d)
max_pool3d_with_indices = _max(pooling.max_pool3d)
adaptive_max_pool1d_with_indices = _adaptive(pooling.adaptive_max_pool1d)
adaptive_max_pool2d_with_indices = _adaptive(pooling.adaptive_max_pool2d)
adaptive_max_pool3d_with_indices = _adaptive(pooling.adaptive_max_pool3d)
fractional_max_pool2d_with_indices = _fractional(fractional_pooling.fractional_max_pool2d)
fractional_max_pool3d_with_indices = _fractional(fractional_pooling.fractional_max_pool3d)
