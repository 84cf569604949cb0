"""Poolings whose windows stand at random distances, as modules."""

from __future__ import annotations

from typing import Any, ClassVar

from portanet.errors import OptionError
from portanet.nn.functional import fractional_pooling as functional
from portanet.nn.functional.spatial import each_axis
from portanet.nn.module import Module
from portanet.protocols import Array
from portanet.tensor import Tensor

__all__ = ["FractionalMaxPool2d", "FractionalMaxPool3d"]

Ints = int | tuple[int, ...]
Ratios = float | tuple[float, ...]


class _FractionalMaxPool(Module):
    dims: ClassVar[int]

    _random_samples: Tensor | None

    def __init__(
        self,
        kernel_size: Ints,
        output_size: Ints | None = None,
        output_ratio: Ratios | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        name = type(self).__name__
        if (output_size is None) == (output_ratio is None):
            raise OptionError(
                f"{name}: expected either output_size or output_ratio, got "
                f"{'neither' if output_size is None else 'both'}."
            )
        self.kernel_size = each_axis(name, "kernel_size", kernel_size, self.dims, low=1)
        self.output_size: Any = None
        self.output_ratio: Any = None
        if output_ratio is None:
            self.output_size = each_axis(name, "output_size", output_size, self.dims, low=1)
        else:
            self.output_ratio = functional.check_ratios(name, output_ratio, self.dims)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)

    def forward(self, x: Array) -> Any:
        """Shape (N, C, *lengths), or without N; with ``return_indices`` a pair."""
        pool = getattr(functional, f"fractional_max_pool{self.dims}d")
        return pool(
            x,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            self._random_samples,
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    """The largest values of windows at random, see :func:`portanet.nn.functional.fractional_max_pool2d`.

    The windows are drawn anew in each call, in evaluation mode too.

    Examples
    --------
    >>> pool = pn.nn.FractionalMaxPool2d(2, output_ratio=0.7)
    >>> pool(pn.zeros((2, 3, 10, 20))).shape
    (2, 3, 7, 14)
    """

    dims = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """The largest values of windows at random, see :func:`portanet.nn.functional.fractional_max_pool3d`."""

    dims = 3
