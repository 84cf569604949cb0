"""Normalisation by neighbouring channels, as models that came from Torch 7 have it."""

from __future__ import annotations

from typing import Any

from portanet.backend import require_backend_of
from portanet.checks import check_number, whole_number
from portanet.errors import DTypeError, ShapeError
from portanet.functions.elementwise import add, divide, multiply
from portanet.functions.elementwise import pow as power
from portanet.functions.linear_algebra import matmul
from portanet.functions.manipulation import reshape
from portanet.nn.module import Module
from portanet.ops.promotion import device_of
from portanet.protocols import Array
from portanet.tensor import Tensor, unwrap, wrap

__all__ = ["CrossMapLRN2d"]


class CrossMapLRN2d(Module):
    """``input / (k + alpha / size * sum) ** beta``, with the sum of the squares of neighbouring channels.

    The neighbours of channel ``c`` are those less than ``(size + 1) // 2`` away, and channel 0: in PyTorch's layer
    the first channel never leaves the running sum. The outputs are the same as there, and the gradient is that of these
    outputs, which PyTorch's is not. For new models there is :class:`LocalResponseNorm`.

    Parameters
    ----------
    size : int
        How many channels flow into a sum.
    alpha, beta, k : float
        As in the formula.

    Examples
    --------
    >>> pn.nn.CrossMapLRN2d(3)(pn.zeros((2, 5, 4, 4))).shape
    (2, 5, 4, 4)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        self.size = whole_number("size", size, low=1)
        for name, value in (("alpha", alpha), ("beta", beta), ("k", k)):
            check_number(name, value)
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, x: Array) -> Any:
        """Shape (batch, channels, height, width); the output has the same."""
        array = unwrap(x)
        backend = require_backend_of(array, "input")
        shape = tuple(array.shape)
        if len(shape) != 4:
            raise ShapeError(
                f"input: CrossMapLRN2d expects shape (batch, channels, height, width), got {shape}."
            )
        if not backend.dtype_of(array).is_floating:
            raise DTypeError(
                f"input: CrossMapLRN2d expects floating-point numbers, got {backend.dtype_of(array).name}. Convert it "
                "with portanet.astype(x, portanet.float32)."
            )
        if 0 in shape:
            return x
        channels, reach = range(shape[1]), (self.size + 1) // 2
        rows = [[float(abs(c - other) < reach or not other) for other in channels] for c in channels]
        near = backend.namespace.asarray(rows, dtype=array.dtype, device=device_of(array))
        squares = reshape(multiply(x, x), (shape[0], shape[1], -1))
        total = matmul(wrap(near) if isinstance(x, Tensor) else near, squares)  # (C, C) @ (N, C, H * W)
        scale = add(multiply(reshape(total, shape), self.alpha / self.size), float(self.k))
        return divide(x, power(scale, float(self.beta)))

    def extra_repr(self) -> str:
        """The options."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
