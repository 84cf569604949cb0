"""Dropout layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from portanet.checks import check_number
from portanet.nn.functional.dropout import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
)
from portanet.nn.module import Module
from portanet.protocols import Array

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _Dropout(Module):
    function: ClassVar[Callable[..., Any]]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        check_number("p", p, low=0.0, high=1.0)
        self.p = p
        self.inplace = inplace  # kept for the signature's sake: arrays are never changed in place

    def forward(self, x: Array) -> Any:
        """The output has the input's shape; in evaluation mode it is the input."""
        return type(self).function(x, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        """The options."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Set elements to 0 at random, see :func:`portanet.nn.functional.dropout`.

    Parameters
    ----------
    p : float, default 0.5
        The probability of each element.
    inplace : bool, default False
        For the signature's sake: arrays are never changed in place.

    Examples
    --------
    >>> layer = pn.nn.Dropout(0.75)
    >>> sorted({*layer(pn.ones((1000,))).tolist()}), layer.eval()(pn.ones((2,)))
    ([0.0, 4.0], Tensor([1., 1.]))
    """

    function = staticmethod(dropout)


class Dropout1d(_Dropout):
    """:class:`Dropout` of whole channels; the input has shape (batch, channels, length) or (channels, length)."""

    function = staticmethod(dropout1d)


class Dropout2d(_Dropout):
    """:class:`Dropout` of whole channels; the input has shape (batch, channels, height, width)."""

    function = staticmethod(dropout2d)


class Dropout3d(_Dropout):
    """:class:`Dropout` of whole channels; the input has depth, height and width, and may have a batch axis."""

    function = staticmethod(dropout3d)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean and variance, see :func:`portanet.nn.functional.alpha_dropout`.

    Parameters
    ----------
    p : float, default 0.5
        The probability of each element.
    inplace : bool, default False
        For the signature's sake: arrays are never changed in place.
    """

    function = staticmethod(alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """:class:`AlphaDropout` of whole channels; the input has shape (batch, channels, ...)."""

    function = staticmethod(feature_alpha_dropout)
