"""Where in a sequence an element stands: encodings of positions."""

from __future__ import annotations

from math import cos, sin
from typing import Any

from portanet.backend import require_backend_of
from portanet.checks import check_number, whole_number
from portanet.dtypes import Device, DType
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.functions.manipulation import concat, expand_dims, reshape, stack
from portanet.nn.module import Module
from portanet.protocols import Array
from portanet.tensor import Tensor, unwrap

__all__ = ["RotaryEmbedding", "SinusoidalPositions"]


class _Tables(Module):
    """Cosines and sines of ``position * base ** (-2 * i / dim)``, computed once, on the host, in double precision."""

    cosines: Tensor
    sines: Tensor

    def __init__(
        self,
        dim: int,
        max_length: int,
        base: float,
        device: Device | str | None,
        dtype: DType | None,
    ) -> None:
        self.dim = dim = whole_number("dim", dim, low=2)
        if dim % 2:
            raise OptionError(f"dim: {type(self).__name__} expects an even number, got {dim}.")
        self.max_length = max_length = whole_number("max_length", max_length, low=1)
        check_number("base", base, low=1.0)
        self.base = float(base)
        speeds = [self.base ** (-2 * i / dim) for i in range(dim // 2)]
        angles = [[position * speed for speed in speeds] for position in range(max_length)]
        for name, function in (("cosines", cos), ("sines", sin)):
            table = Tensor([[function(a) for a in line] for line in angles], dtype=dtype, device=device)
            self.register_buffer(name, table, persistent=False)

    def _rows(self, x: Array, axis: int, offset: int) -> slice:
        """The positions of an input, checked."""
        array, name = unwrap(x), type(self).__name__
        backend = require_backend_of(array, "input")
        shape = tuple(array.shape)
        if len(shape) < 2 or len(shape) < -axis or shape[-1] != self.dim:
            raise ShapeError(
                f"input: {name} expects positions and, on the last axis, {self.dim} features, got shape {shape}."
            )
        start = whole_number("offset", offset, low=0)
        if start + shape[axis] > self.max_length:
            raise ShapeError(
                f"input: {name} knows {self.max_length} positions, and was asked for those from {start} to "
                f"{start + shape[axis] - 1}. Make it with a greater max_length."
            )
        table = unwrap(self.cosines)
        mine, its = require_backend_of(table, "cosines").dtype_of(table), backend.dtype_of(array)
        if mine != its:
            raise DTypeError(
                f"input: {name} expects the data type of its tables, {mine.name}, got {its.name}. Make it with "
                f"dtype=portanet.{its.name}, or move it with .to(portanet.{its.name})."
            )
        return slice(start, start + shape[axis])


class SinusoidalPositions(_Tables):
    """Add ``sin(p / base ** (2 i / dim))`` to feature ``2 i`` at position ``p``, and the cosine to ``2 i + 1``.

    Vaswani et al., "Attention is all you need", 2017, section 3.5. There are no parameters, and nothing in the state
    dict.

    Parameters
    ----------
    dim : int
        Number of features, even.
    max_length : int, default 5000
        How many positions there are.
    base : float, default 10000
        The slowest wave is about this many times longer than the fastest.
    batch_first : bool, default True
        Whether the input is (..., positions, dim) or (positions, batch, dim).
    device, dtype
        Of the tables.

    Examples
    --------
    >>> pn.nn.SinusoidalPositions(4)(pn.zeros((2, 4)))
    Tensor([[0.        , 1.        , 0.        , 1.        ],
            [0.84147096, 0.5403023 , 0.00999983, 0.99995   ]])
    """

    def __init__(
        self,
        dim: int,
        max_length: int = 5000,
        base: float = 10000.0,
        batch_first: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(dim, max_length, base, device, dtype)
        self.batch_first = batch_first

    def forward(self, x: Array, offset: int = 0) -> Any:
        """Add the encodings of positions from ``offset`` on; any leading axes."""
        rows = self._rows(x, -2 if self.batch_first else -3, offset)
        pairs = stack([self.sines[rows, ...], self.cosines[rows, ...]], axis=-1)  # (positions, dim / 2, 2)
        table = reshape(pairs, (unwrap(pairs).shape[0], self.dim))
        return x + (table if self.batch_first else expand_dims(table, axis=1))

    def extra_repr(self) -> str:
        """Sizes and layout."""
        return f"{self.dim}, max_length={self.max_length}, base={self.base}, batch_first={self.batch_first}"


class RotaryEmbedding(_Tables):
    """Turn each pair of features at position ``p`` by the angle ``p * base ** (-2 i / dim)``, for pair ``i``.

    Applied to queries and keys, so that their products depend on the distance of positions only. Su et al., "RoFormer:
    enhanced transformer with rotary position embedding", 2021, section 3.2. There are no parameters, and nothing in
    the state dict.

    Parameters
    ----------
    dim : int
        Number of features of a head, even.
    max_length : int, default 2048
        How many positions there are.
    base : float, default 10000
        The slowest turn is about this many times slower than the fastest.
    interleaved : bool, default True
        Which features are a pair: ``2 i`` and ``2 i + 1``, as in the paper, or with False ``i`` and ``i + dim / 2``, as
        in GPT-NeoX and Llama.
    device, dtype
        Of the tables.

    Examples
    --------
    >>> rotate = pn.nn.RotaryEmbedding(2)
    >>> rotate(pn.asarray([[1.0, 0.0], [1.0, 0.0]]))
    Tensor([[1.        , 0.        ],
            [0.5403023 , 0.84147096]])
    """

    def __init__(
        self,
        dim: int,
        max_length: int = 2048,
        base: float = 10000.0,
        interleaved: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(dim, max_length, base, device, dtype)
        self.interleaved = interleaved

    def forward(self, x: Array, offset: int = 0) -> Any:
        """Turn ``x`` of shape (..., positions, dim), whose first position is ``offset``."""
        rows = self._rows(x, -2, offset)
        c, s = self.cosines[rows, ...], self.sines[rows, ...]  # (positions, dim / 2)
        shape, half = tuple(unwrap(x).shape), self.dim // 2
        if self.interleaved:
            pairs: Any = reshape(x, (*shape[:-1], half, 2))
            one, other = pairs[..., 0], pairs[..., 1]
        else:
            whole: Any = x
            one, other = whole[..., :half], whole[..., half:]
        turned = [one * c - other * s, one * s + other * c]
        return reshape(stack(turned, axis=-1), shape) if self.interleaved else concat(turned, axis=-1)

    def extra_repr(self) -> str:
        """Sizes and layout."""
        return f"{self.dim}, max_length={self.max_length}, base={self.base}, interleaved={self.interleaved}"
