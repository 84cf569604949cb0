"""Convolutions and poolings by XLA's own operations, and their gradients by JAX's rules for these."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
from jax import lax

from portanet.backend import Kernel
from portanet.protocols import Array, Namespace, OpResult

__all__ = ["KERNELS"]

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


@partial(jax.jit, static_argnames=("stride", "padding", "dilation", "groups"))
def _convolve(x: Array, weight: Array, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> Array:
    return lax.conv_general_dilated(
        x,
        weight,
        window_strides=stride,
        padding=padding,
        rhs_dilation=dilation,
        feature_group_count=groups,
        precision=lax.Precision.HIGHEST,
    )


@partial(jax.jit, static_argnames=("shape", "stride", "padding", "dilation", "groups"))
def _by_input(g: Array, weight: Array, *, shape: Ints, **how: Any) -> Array:
    (r,) = jax.linear_transpose(lambda x: _convolve(x, weight, **how), jax.ShapeDtypeStruct(shape, g.dtype))(
        g
    )
    return r


@partial(jax.jit, static_argnames=("shape", "stride", "padding", "dilation", "groups"))
def _by_weight(x: Array, g: Array, *, shape: Ints, **how: Any) -> Array:
    (r,) = jax.linear_transpose(
        lambda weight: _convolve(x, weight, **how), jax.ShapeDtypeStruct(shape, g.dtype)
    )(g)
    return r


def convolution(xp: Namespace, x: Array, weight: Array, bias: Array | None = None, **how: Any) -> OpResult:
    """Cross-correlation."""
    r = _convolve(x, weight, **how)
    if bias is not None:
        r = r + bias.reshape((-1, *(1,) * (x.ndim - 2)))
    axes = (0, *range(2, x.ndim))
    return r, (
        lambda g: _by_input(g, weight, shape=x.shape, **how),
        lambda g: _by_weight(x, g, shape=weight.shape, **how),
        None if bias is None else lambda g: xp.sum(g, axis=axes),
    )


def convolution_input(xp: Namespace, g: Array, weight: Array, *, lengths: Ints, **how: Any) -> OpResult:
    """The gradient of a convolution by its input."""
    shape = (g.shape[0], weight.shape[1] * how["groups"], *lengths)
    return _by_input(g, weight, shape=shape, **how), (
        lambda c: _convolve(c, weight, **how),
        lambda c: _by_weight(c, g, shape=weight.shape, **how),
    )


def convolution_weight(xp: Namespace, x: Array, g: Array, *, kernel: Ints, **how: Any) -> OpResult:
    """The gradient of a convolution by its kernel."""
    shape = (g.shape[1], x.shape[1] // how["groups"], *kernel)
    return _by_weight(x, g, shape=shape, **how), (
        lambda c: _by_input(g, c, shape=x.shape, **how),
        lambda c: _convolve(x, c, **how),
    )


def _has_elements(*operands: Array, **options: Any) -> bool:
    return not any(operand is not None and 0 in operand.shape for operand in operands)


FLOATS = frozenset({"float32", "float64"})
KERNELS: Mapping[str, Kernel] = {
    "convolution": Kernel(convolution, FLOATS, _has_elements),
    "convolution_input": Kernel(convolution_input, FLOATS, _has_elements),
    "convolution_weight": Kernel(convolution_weight, FLOATS, _has_elements),
}
