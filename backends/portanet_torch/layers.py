"""Layers and activations by PyTorch's own functions, and their gradients by PyTorch's own backward functions."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch.nn import functional

from portanet.backend import Kernel
from portanet.ops import attention as ops
from portanet.ops.composition import once
from portanet.ops.layers import check_linear
from portanet.protocols import Array, Namespace, OpResult

__all__ = ["KERNELS"]

aten = torch.ops.aten


def linear(xp: Namespace, input: Array, weight: Array, bias: Array | None = None) -> OpResult:
    """Affine map, the bias added by the product itself."""
    check_linear(input, weight, bias)
    out_features, in_features = weight.shape

    def rows(g: Array) -> Array:
        return g.reshape(prod(g.shape[:-1]), out_features)

    return (
        functional.linear(input, weight, bias),
        (
            lambda g: g @ weight,  # (..., out) @ (out, in)
            lambda g: (
                rows(g).T @ input.reshape(prod(input.shape[:-1]), in_features)
            ),  # (out, rows) @ (rows, in)
            lambda g: rows(g).sum(0),
        ),
    )


def attention(
    xp: Namespace,
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None = None,
    *,
    is_causal: bool,
    scale: float,
) -> OpResult:
    """PyTorch's attention, which keeps no weights; its own graph knows the way back, so it is recorded here."""
    query, key, value = inputs = [x.detach().requires_grad_() for x in (query, key, value)]
    with torch.enable_grad():
        r = functional.scaled_dot_product_attention(query, key, value, mask, is_causal=is_causal, scale=scale)

    @once
    def gradients(g: Array) -> tuple[Array, ...]:
        found: tuple[Array, ...] = torch.autograd.grad(r, inputs, g, retain_graph=True)
        return found

    def wrt_mask(g: Array) -> Array:
        _, vjps = ops.attention(xp, query, key, value, mask, is_causal=is_causal, scale=scale)
        return vjps[3](g)  # type: ignore[misc]

    return r.detach(), (*[lambda g, k=k: gradients(g)[k] for k in range(3)], wrt_mask)


def _alike(
    query: Array, key: Array, value: Array, mask: Array | None = None, *, is_causal: bool, scale: float
) -> bool:
    """One data type, the same leading axes, one mask at most, and something to look at."""
    leading = query.shape[:-2]
    return bool(
        query.dtype == key.dtype == value.dtype
        and leading == key.shape[:-2] == value.shape[:-2]
        and query.numel() > 0
        and value.numel() > 0
        and (mask is None or (not is_causal and mask.dtype == query.dtype and ops.adds_no_axes(mask, query)))
    )


def normalize(
    xp: Namespace,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    axes: tuple[int, ...],
    eps: float,
    centered: bool = True,
) -> OpResult:
    """Over the last axes: PyTorch's layer normalisation."""
    shape = x.shape[-len(axes) :]
    r, mean, scale = aten.native_layer_norm(x, shape, weight, bias, eps)

    @once
    def gradients(g: Array) -> tuple[Array | None, ...]:
        wanted = [True, weight is not None, bias is not None]
        found: tuple[Array | None, ...] = aten.native_layer_norm_backward(
            g.contiguous(), x, shape, mean, scale, weight, bias, wanted
        )
        return found

    return r, tuple([lambda g, k=k: gradients(g)[k] for k in range(3)])


def _over_last_axes(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    axes: tuple[int, ...],
    eps: float,
    centered: bool = True,
) -> bool:
    ndim = x.ndim
    last = sorted([axis % ndim for axis in axes]) == list(range(ndim - len(axes), ndim))
    whole = all(part is None or part.shape == x.shape[-len(axes) :] for part in (weight, bias))
    alike = all(part is None or part.dtype == x.dtype for part in (weight, bias))
    return centered and last and whole and alike and x.numel() > 0


def relu(xp: Namespace, x: Array) -> OpResult:
    """``max(x, 0)``."""
    r = torch.relu(x)
    return r, (lambda g: aten.threshold_backward(g, r, 0),)


def tanh(xp: Namespace, x: Array) -> OpResult:
    """Hyperbolic tangent."""
    r = torch.tanh(x)
    return r, (lambda g: aten.tanh_backward(g, r),)


def sigmoid(xp: Namespace, input: Array) -> OpResult:
    """Logistic function."""
    r = torch.sigmoid(input)
    return r, (lambda g: aten.sigmoid_backward(g, r),)


def silu(xp: Namespace, x: Array) -> OpResult:
    """``x * sigmoid(x)``."""
    return functional.silu(x), (lambda g: aten.silu_backward(g, x),)


def mish(xp: Namespace, x: Array) -> OpResult:
    """``x * tanh(softplus(x))``."""
    return functional.mish(x), (lambda g: aten.mish_backward(g, x),)


def gelu(xp: Namespace, x: Array, *, approximate: str) -> OpResult:
    """``x`` times the normal distribution's function, or the approximation of it by a hyperbolic tangent."""
    return functional.gelu(x, approximate=approximate), (
        lambda g: aten.gelu_backward(g, x, approximate=approximate),
    )


def softmax(xp: Namespace, x: Array, *, axis: int) -> OpResult:
    """``exp(x) / sum(exp(x))`` along one axis."""
    r = torch.softmax(x, axis)
    return r, (lambda g: aten._softmax_backward_data(g, r, axis, x.dtype),)


def log_softmax(xp: Namespace, x: Array, *, axis: int) -> OpResult:
    """Logarithm of :func:`softmax`."""
    r = torch.log_softmax(x, axis)
    return r, (lambda g: aten._log_softmax_backward_data(g, r, axis, x.dtype),)


def _has_axes(x: Array, *, axis: int) -> bool:
    """Where the axis is; of others, and of none, the op says what is wrong."""
    return bool(-x.ndim <= axis < x.ndim)


FLOATS = frozenset({"float32", "float64"})
KERNELS: Mapping[str, Kernel] = {
    "attention": Kernel(attention, FLOATS, _alike),
    "gelu": Kernel(gelu, FLOATS),
    "linear": Kernel(linear, FLOATS),
    "log_softmax": Kernel(log_softmax, FLOATS, _has_axes),
    "mish": Kernel(mish, FLOATS),
    "normalize": Kernel(normalize, FLOATS, _over_last_axes),
    "relu": Kernel(relu, FLOATS),
    "sigmoid": Kernel(sigmoid, FLOATS),
    "silu": Kernel(silu, FLOATS),
    "softmax": Kernel(softmax, FLOATS, _has_axes),
    "tanh": Kernel(tanh, FLOATS),
}
