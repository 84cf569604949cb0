"""Affine and bilinear layers, and the layer that does nothing."""

from __future__ import annotations

from math import sqrt
from typing import Any

from portanet.backend import require_backend_of
from portanet.checks import whole_number
from portanet.dtypes import Device, DType
from portanet.errors import ShapeError
from portanet.nn import init
from portanet.nn.functional.linear import bilinear, linear
from portanet.nn.module import Module
from portanet.nn.parameter import Parameter, UninitializedParameter
from portanet.protocols import Array
from portanet.random import uniform
from portanet.tensor import unwrap

__all__ = ["Bilinear", "Identity", "LazyLinear", "Linear"]


class Linear(Module):
    """Affine map ``x @ weight.T + bias``.

    Parameters
    ----------
    in_features, out_features : int
        Length of the last axis of the input and of the output.
    bias : bool, default True
        Whether there is a bias.
    device, dtype
        Of the parameters.

    Attributes
    ----------
    weight : Parameter
        Shape (out_features, in_features), from the uniform distribution on ``±1 / sqrt(in_features)``.
    bias : Parameter or None
        Shape (out_features,), from the same distribution.

    Examples
    --------
    >>> layer = pn.nn.Linear(3, 2)
    >>> layer(pn.zeros((4, 5, 3))).shape
    (4, 5, 2)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        self.in_features = in_features = whole_number("in_features", in_features, low=0)
        self.out_features = out_features = whole_number("out_features", out_features, low=0)
        bound = 1 / sqrt(in_features) if in_features else 0.0
        self.weight = Parameter(
            uniform((out_features, in_features), -bound, bound, dtype=dtype, device=device)
        )
        self.bias = (
            Parameter(uniform((out_features,), -bound, bound, dtype=dtype, device=device)) if bias else None
        )

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = 1 / sqrt(self.in_features) if self.in_features else 0.0
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Array) -> Any:
        """Map the last axis from ``in_features`` to ``out_features``; any leading axes."""
        return linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes and whether there is a bias."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )


class LazyLinear(Linear):
    """A :class:`Linear` that learns ``in_features`` from its first input, and is a plain Linear from then on.

    Examples
    --------
    >>> layer = pn.nn.LazyLinear(2)
    >>> layer(pn.zeros((4, 3))).shape, layer
    ((4, 2), Linear(in_features=3, out_features=2, bias=True))
    """

    def __init__(
        self,
        out_features: int,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        self.in_features = 0
        self.out_features = out_features = whole_number("out_features", out_features, low=0)
        self.weight = UninitializedParameter(dtype, device, (out_features, None))
        self.bias = UninitializedParameter(dtype, device, (out_features,)) if bias else None

    def forward(self, x: Array) -> Any:
        """Take on ``in_features`` if it is the first input, then map the last axis."""
        if isinstance(
            self.weight, Parameter
        ):  # functional_call puts other arrays in its place, and nothing is decided
            require_backend_of(unwrap(x), "input")
            if not x.shape:
                raise ShapeError("input: LazyLinear expects an axis of features, got a single number.")
            self.materialize(x.shape[-1])
        return linear(x, self.weight, self.bias)

    def materialize(self, in_features: int) -> None:
        """Make the parameters for inputs of this many features; those that a state dict has brought already stay."""
        weight, bias = self.weight, self.bias
        if not isinstance(weight, UninitializedParameter):
            in_features = weight.shape[-1]
        bound = 1 / sqrt(in_features) if in_features else 0.0
        for parameter, shape in ((weight, (self.out_features, in_features)), (bias, (self.out_features,))):
            if isinstance(parameter, UninitializedParameter):
                dtype, device = parameter.wanted
                parameter.materialize(uniform(shape, -bound, bound, dtype=dtype, device=device))
        self.in_features = in_features
        self.__class__ = Linear  # type: ignore[assignment]

    def extra_repr(self) -> str:
        """Sizes and whether there is a bias."""
        return f"in_features=?, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """Bilinear map ``x1 @ weight[k] @ x2 + bias[k]`` of two inputs, for each output feature k.

    Parameters
    ----------
    in1_features, in2_features, out_features : int
        Length of the last axis of each input and of the output.
    bias : bool, default True
        Whether there is a bias.
    device, dtype
        Of the parameters.

    Attributes
    ----------
    weight : Parameter
        Shape (out_features, in1_features, in2_features), from the uniform distribution on ``±1 / sqrt(in1_features)``.
    bias : Parameter or None
        Shape (out_features,), from the same distribution.

    Examples
    --------
    >>> layer = pn.nn.Bilinear(3, 4, 2)
    >>> layer(pn.zeros((5, 3)), pn.zeros((5, 4))).shape
    (5, 2)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        self.in1_features = in1 = whole_number("in1_features", in1_features, low=1)
        self.in2_features = in2 = whole_number("in2_features", in2_features, low=0)
        self.out_features = out = whole_number("out_features", out_features, low=0)
        bound = 1 / sqrt(in1)
        self.weight = Parameter(uniform((out, in1, in2), -bound, bound, dtype=dtype, device=device))
        self.bias = Parameter(uniform((out,), -bound, bound, dtype=dtype, device=device)) if bias else None

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = 1 / sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x1: Array, x2: Array) -> Any:
        """Shapes (..., in1_features) and (..., in2_features) with the same leading axes, which the output has too."""
        return bilinear(x1, x2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes and whether there is a bias."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Identity(Module):
    """Returns its input; takes and ignores any options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, x: Array) -> Any:
        """Return the input."""
        return x
