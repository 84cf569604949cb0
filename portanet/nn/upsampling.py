"""Upsampling as modules."""

from __future__ import annotations

from typing import Any

from portanet.errors import OptionError
from portanet.nn.functional.upsampling import MODES, interpolate
from portanet.nn.module import Module
from portanet.protocols import Array

__all__ = ["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"]


class Upsample(Module):
    """Pictures, lines or volumes in another size, see :func:`portanet.nn.functional.interpolate`.

    Parameters
    ----------
    size : int or tuple of int, optional
        The new lengths.
    scale_factor : float or tuple of float, optional
        What the lengths are multiplied by; either this or ``size``.
    mode : str, default "nearest"
        ``"nearest"``, ``"linear"``, ``"bilinear"``, ``"bicubic"``, ``"trilinear"``, and the others of ``interpolate``.
    align_corners : bool, optional
        Whether the first and last elements keep their values; for the linear and cubic modes.
    recompute_scale_factor : bool, optional
        Whether coordinates follow from the lengths and not from ``scale_factor``.

    Examples
    --------
    >>> pn.nn.Upsample(scale_factor=2, mode="bilinear")(pn.reshape(pn.arange(4.0), (1, 1, 2, 2)))
    Tensor([[[[0.  , 0.25, 0.75, 1.  ],
              [0.5 , 0.75, 1.25, 1.5 ],
              [1.5 , 1.75, 2.25, 2.5 ],
              [2.  , 2.25, 2.75, 3.  ]]]])
    """

    def __init__(
        self,
        size: int | tuple[int, ...] | None = None,
        scale_factor: float | tuple[float, ...] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        name = type(self).__name__
        if mode not in MODES:
            raise OptionError(f"{name}: mode: expected one of {', '.join(map(repr, MODES))}, got {mode!r}.")
        self.size = size
        self.scale_factor = _numbers(name, scale_factor)
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, x: Array) -> Any:
        """Shape (batch, channels, *lengths); the output has other lengths."""
        return interpolate(
            x, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        """The size or the factor, and the mode."""
        if self.scale_factor is not None:
            return f"scale_factor={self.scale_factor}, mode={self.mode!r}"
        return f"size={self.size}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """:class:`Upsample` of pictures in mode ``"nearest"``.

    Parameters
    ----------
    size : int or pair of int, optional
        The new height and width.
    scale_factor : float or pair of float, optional
        What they are multiplied by; either this or ``size``.
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        scale_factor: float | tuple[float, float] | None = None,
    ) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """:class:`Upsample` of pictures in mode ``"bilinear"`` with ``align_corners=True``.

    Parameters
    ----------
    size : int or pair of int, optional
        The new height and width.
    scale_factor : float or pair of float, optional
        What they are multiplied by; either this or ``size``.
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        scale_factor: float | tuple[float, float] | None = None,
    ) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)


def _numbers(name: str, factor: Any) -> Any:
    """One factor, or one for each axis, as Python numbers."""
    try:
        if factor is None or not isinstance(factor, (tuple, list)):
            return factor and float(factor)
        return tuple(map(float, factor))
    except (TypeError, ValueError):
        raise OptionError(
            f"{name}: scale_factor: expected a number, or one for each axis, got {factor!r}."
        ) from None
