"""Discrete Fourier transforms, the standard's extension ``fft``: of Tensors and of raw arrays.

Every transform can be differentiated to any order. Single precision stays single precision: float32 goes to complex64
and back.

Examples
--------
>>> x = pn.asarray([1.0, 2.0, 3.0, 4.0])
>>> pn.fft.irfft(pn.fft.rfft(x))
Tensor([1., 2., 3., 4.])
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

from portanet.dtypes import Device, DType
from portanet.errors import DTypeError, OptionError
from portanet.functions.creation import arange
from portanet.functions.manipulation import concat, roll, together
from portanet.ops import fourier as ops
from portanet.protocols import Array
from portanet.requirements import places_of_axes
from portanet.tensor import Tensor, lift

__all__ = [
    "fft",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfftn",
    "rfft",
    "rfftfreq",
    "rfftn",
]

fft = lift(ops.fft)
fftn = lift(ops.fftn)
hfft = lift(ops.hfft)
ifft = lift(ops.ifft)
ifftn = lift(ops.ifftn)
ihfft = lift(ops.ihfft)
irfft = lift(ops.irfft)
irfftn = lift(ops.irfftn)
rfft = lift(ops.rfft)
rfftn = lift(ops.rfftn)


def fftfreq(
    n: int, /, *, d: float = 1.0, dtype: DType | None = None, device: Device | str | None = None
) -> Tensor:
    """Frequency of each bin of :func:`fft`, in cycles per unit of the sample spacing.

    Parameters
    ----------
    n : int
        Length of the transform.
    d : float
        The sample spacing.
    dtype : DType, optional
        A real floating-point type; default float32.
    device : Device or str, optional
        Default: the backend in use.

    Returns
    -------
    Tensor
        Shape (n,): ``0, 1, ...``, then the negative ones up to ``-1``, each divided by ``n * d``.

    Examples
    --------
    >>> pn.fft.fftfreq(4)
    Tensor([ 0.  ,  0.25, -0.5 , -0.25])
    """
    n = _window("fftfreq", n, dtype)
    options: dict[str, Any] = {"dtype": dtype, "device": device}
    bins = [arange(0.0, (n + 1) // 2, **options), arange(float(-(n // 2)), 0, **options)]
    return concat(bins) / (n * d)  # type: ignore[no-any-return]


def rfftfreq(
    n: int, /, *, d: float = 1.0, dtype: DType | None = None, device: Device | str | None = None
) -> Tensor:
    """Frequency of each bin of :func:`rfft`; parameters as for :func:`fftfreq`.

    Examples
    --------
    >>> pn.fft.rfftfreq(4)
    Tensor([0.  , 0.25, 0.5 ])
    """
    n = _window("rfftfreq", n, dtype)
    return arange(0.0, n // 2 + 1, dtype=dtype, device=device) / (n * d)  # type: ignore[no-any-return]


def _window(name: str, n: int, dtype: DType | None) -> int:
    if index(n) < 1:
        raise OptionError(f"{name}: n: expected a length of at least 1, got {n}.")
    if dtype is not None and not dtype.is_floating:
        raise DTypeError(f"{name}: dtype: expected a real floating-point type, got {dtype.name}.")
    return index(n)


def fftshift(x: Array, /, *, axes: int | Sequence[int] | None = None) -> Array:
    """Move the bin of frequency 0 to the middle, along all axes or the given ones.

    Examples
    --------
    >>> pn.fft.fftshift(pn.fft.fftfreq(4))
    Tensor([-0.5 , -0.25,  0.  ,  0.25])
    """
    return _shifted("fftshift", x, axes, lambda length: length // 2)


def ifftshift(x: Array, /, *, axes: int | Sequence[int] | None = None) -> Array:
    """Inverse of :func:`fftshift`; the two differ where a length is odd."""
    return _shifted("ifftshift", x, axes, lambda length: -(length // 2))


def _shifted(name: str, x: Array, axes: int | Sequence[int] | None, shift: Any) -> Array:
    (x,) = together(name, (x,))
    places = places_of_axes(name, axes, x.ndim, "axes")
    return roll(x, tuple(shift(x.shape[place]) for place in places), axis=places)
