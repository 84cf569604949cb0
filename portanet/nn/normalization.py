"""Normalisation layers without running statistics: of layers, of groups, and of neighbouring channels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from portanet.checks import check_number, whole_number
from portanet.dtypes import Device, DType
from portanet.errors import OptionError
from portanet.functions.creation import ones, zeros
from portanet.nn import init
from portanet.nn.functional.normalization import (
    group_norm,
    layer_norm,
    local_response_norm,
    rms_norm,
    shape_of_layer,
)
from portanet.nn.module import Module
from portanet.nn.parameter import Parameter
from portanet.protocols import Array

__all__ = [
    "GroupNorm",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
]


class LayerNorm(Module):
    """Normalise the last axes of each example, see :func:`portanet.nn.functional.layer_norm`.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        The shape of the last axes; a number means the last one.
    eps : float, default 1e-5
        Added to the variance.
    elementwise_affine : bool, default True
        Whether there are ``weight`` and ``bias``.
    bias : bool, default True
        Whether there is a bias, if ``elementwise_affine``.
    device, dtype
        Of the parameters.

    Attributes
    ----------
    weight, bias : Parameter or None
        Shape ``normalized_shape``, first 1 and 0.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Iterable[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        self.normalized_shape = shape = shape_of_layer(normalized_shape)
        check_number("eps", eps, low=0.0)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        affine = elementwise_affine
        self.weight = Parameter(ones(shape, dtype=dtype, device=device)) if affine else None
        self.bias = Parameter(zeros(shape, dtype=dtype, device=device)) if affine and bias else None

    def reset_parameters(self) -> None:
        """Set weight 1 and bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Array) -> Any:
        """Shape (..., *normalized_shape); the output has the same."""
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The shape and the options."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Divide by the root mean square of the last axes, see :func:`portanet.nn.functional.rms_norm`.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        The shape of the last axes; a number means the last one.
    eps : float, optional
        Default: the spacing of the input's data type at 1.
    elementwise_affine : bool, default True
        Whether there is a ``weight``.
    device, dtype
        Of the parameter.

    Attributes
    ----------
    weight : Parameter or None
        Shape ``normalized_shape``, first 1.
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Iterable[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        self.normalized_shape = shape = shape_of_layer(normalized_shape)
        if eps is not None:
            check_number("eps", eps, low=0.0)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter(ones(shape, dtype=dtype, device=device)) if elementwise_affine else None

    def reset_parameters(self) -> None:
        """Set weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Array) -> Any:
        """Shape (..., *normalized_shape); the output has the same."""
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The shape and the options."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Normalise groups of channels of each example, see :func:`portanet.nn.functional.group_norm`.

    Parameters
    ----------
    num_groups, num_channels : int
        The first divides the second. The input has shape (batch, channels, ...).
    eps : float, default 1e-5
        Added to the variance.
    affine : bool, default True
        Whether there are ``weight`` and ``bias``.
    device, dtype
        Of the parameters.
    bias : bool, default True
        Whether there is a bias, if ``affine``.

    Attributes
    ----------
    weight, bias : Parameter or None
        Shape (num_channels,), first 1 and 0.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        self.num_groups = whole_number("num_groups", num_groups, low=1)
        self.num_channels = whole_number("num_channels", num_channels, low=0)
        if self.num_channels % self.num_groups:
            raise OptionError(
                f"num_channels: GroupNorm expects a number that num_groups={num_groups} divides, got {num_channels}."
            )
        check_number("eps", eps, low=0.0)
        self.eps = eps
        self.affine = affine
        shape = (self.num_channels,)
        self.weight = Parameter(ones(shape, dtype=dtype, device=device)) if affine else None
        self.bias = Parameter(zeros(shape, dtype=dtype, device=device)) if affine and bias else None

    def reset_parameters(self) -> None:
        """Set weight 1 and bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Array) -> Any:
        """Shape (batch, channels, ...); the output has the same."""
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The numbers of groups and channels, and the options."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """Divide by the neighbouring channels, see :func:`portanet.nn.functional.local_response_norm`.

    Parameters
    ----------
    size : int
        How many channels, around each one, flow into the sum.
    alpha, beta, k : float
        As in the formula.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size = whole_number("size", size, low=1)
        for name, value in (("alpha", alpha), ("beta", beta), ("k", k)):
            check_number(name, value)
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, x: Array) -> Any:
        """Shape (batch, channels, ...); the output has the same."""
        return local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The options."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
