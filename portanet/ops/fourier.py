"""Discrete Fourier transforms.

The matrix of the transform is symmetric, so the cotangent of an input is the same transform of the cotangent of the
output, cut or padded to the input's length: no conjugate, no inverse. A transform between real numbers and half a
spectrum is one with a matrix of which only the real part counts. Its transpose runs the other way, and every bin of the
half spectrum stands there for itself and its mirror image, but bin 0 and, for an even length, the last one (Nyquist's),
which have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

from portanet.errors import AxisError, DTypeError, OptionError, ShapeError
from portanet.ops.composition import apply
from portanet.ops.promotion import device_of, floating, is_complex
from portanet.protocols import Array, Namespace, Op, OpResult
from portanet.requirements import name_of_dtype, place_of_axis

__all__ = ["fft", "fftn", "hfft", "ifft", "ifftn", "ihfft", "irfft", "irfftn", "rfft", "rfftn"]

NORMS = ("backward", "ortho", "forward")
OF_COMPLEX_NUMBERS = {"rfft": "fft", "rfftn": "fftn", "ihfft": "ifft"}
Sizes = Sequence[int] | None


def fft(
    xp: Namespace, x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward"
) -> OpResult:
    """Discrete Fourier transform ``r[k] = sum(x[j] * exp(-2j * pi * j * k / n))`` along one axis.

    Real numbers are taken as complex ones.

    Parameters
    ----------
    x : Array
        The signal; any shape with at least one axis.
    n : int, optional
        Length of the transform: the signal is cut or padded with zeros at its end. Default: its own length.
    axis : int
        Along which axis.
    norm : {"backward", "ortho", "forward"}
        Where to divide by ``n``: in the inverse transform, by its square root in both, or in this one.

    Returns
    -------
    Array
        Complex numbers of the same precision, ``n`` of them along the axis.

    Examples
    --------
    >>> pn.fft.fft(pn.asarray([1.0, 0.0, 0.0, 0.0]))
    Tensor([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j], dtype=complex64)
    """
    return _transformed(xp, fft, x, n, axis, norm)


def ifft(
    xp: Namespace, x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward"
) -> OpResult:
    """Inverse of :func:`fft`, with the same options."""
    return _transformed(xp, ifft, x, n, axis, norm)


def fftn(
    xp: Namespace, x: Array, /, *, s: Sizes = None, axes: Sizes = None, norm: str = "backward"
) -> OpResult:
    """Discrete Fourier transform along several axes.

    Parameters
    ----------
    x : Array
        The signal; real numbers are taken as complex ones.
    s : sequence of int, optional
        Length of the transform along each of ``axes``, -1 for the signal's own.
    axes : sequence of int, optional
        Along which axes; default: all. Needed beside ``s``.
    norm : {"backward", "ortho", "forward"}
        As for :func:`fft`, where ``n`` is the product of the lengths.

    Returns
    -------
    Array
        Complex numbers of the same precision.
    """
    return _transformed_over_axes(xp, fftn, x, s, axes, norm)


def ifftn(
    xp: Namespace, x: Array, /, *, s: Sizes = None, axes: Sizes = None, norm: str = "backward"
) -> OpResult:
    """Inverse of :func:`fftn`, with the same options."""
    return _transformed_over_axes(xp, ifftn, x, s, axes, norm)


def rfft(
    xp: Namespace, x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward"
) -> OpResult:
    """Half of the spectrum of real numbers: bins ``0`` to ``n // 2`` of :func:`fft`.

    The other half mirrors it, ``r[n - k] = conj(r[k])``. The options are those of :func:`fft`.
    """
    return _real_to_half(xp, rfft, hfft, x, n, axis, norm)


def irfft(
    xp: Namespace, x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward"
) -> OpResult:
    """Inverse of :func:`rfft`: real numbers from half a spectrum.

    Parameters
    ----------
    x : Array
        Bins ``0`` to ``n // 2``, cut or padded with zeros to that length. The imaginary part of bin 0 counts for
        nothing, nor does that of the last one for an even ``n``.
    n : int, optional
        Length of the result. Default: ``2 * (m - 1)`` for ``m`` bins, which is even; an odd length has to be given.
    axis, norm
        As for :func:`fft`.
    """
    return _half_to_real(xp, irfft, ihfft, x, n, axis, norm)


def hfft(
    xp: Namespace, x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward"
) -> OpResult:
    """Spectrum, which is real, of a signal that mirrors itself: ``x[n - j] = conj(x[j])``.

    Parameters
    ----------
    x : Array
        Values ``0`` to ``n // 2`` of the signal, cut or padded with zeros to that length. The imaginary part of value 0
        counts for nothing, nor does that of the last one for an even ``n``.
    n : int, optional
        Length of the result. Default: ``2 * (m - 1)`` for ``m`` values.
    axis, norm
        As for :func:`fft`.
    """
    return _half_to_real(xp, hfft, rfft, x, n, axis, norm)


def ihfft(
    xp: Namespace, x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward"
) -> OpResult:
    """Inverse of :func:`hfft`: values ``0`` to ``n // 2`` of the signal whose spectrum is real."""
    return _real_to_half(xp, ihfft, irfft, x, n, axis, norm)


def rfftn(
    xp: Namespace, x: Array, /, *, s: Sizes = None, axes: Sizes = None, norm: str = "backward"
) -> OpResult:
    """Spectrum of real numbers along several axes, halved along the last of them.

    That is :func:`rfft` along the last of ``axes``, then :func:`fftn` along the others, with its options.
    """
    x = _real(xp, "rfftn", x)
    places, sizes = _places("rfftn", x, s, axes, halved=False)
    _check_norm("rfftn", norm)
    *others, last = places
    n = sizes[-1]

    def vjp(g: Array) -> Array:
        if others:
            g = apply(xp, fftn, g, axes=others, norm=norm)
        g = _fitted(xp, g, others, x.shape)
        g = xp.where(_unpaired(xp, g, last, n), g, g / 2)
        return _fitted(xp, apply(xp, hfft, g, n=n, axis=last, norm=norm), [last], x.shape)

    return _run(xp, "rfftn", x, places, s=sizes, axes=places, norm=norm), (vjp,)


def irfftn(
    xp: Namespace, x: Array, /, *, s: Sizes = None, axes: Sizes = None, norm: str = "backward"
) -> OpResult:
    """Inverse of :func:`rfftn`: :func:`ifftn` along all axes but the last of ``axes``, then :func:`irfft` along that.

    Parameters
    ----------
    x : Array
        A spectrum, halved along the last of ``axes``.
    s : sequence of int, optional
        Length of the result along each of ``axes``. Default: those of ``x``, but ``2 * (m - 1)`` along the last, for
        ``m`` bins; an odd length has to be given.
    axes, norm
        As for :func:`fftn`.
    """
    x = _complex(xp, x)
    places, sizes = _places("irfftn", x, s, axes, halved=True)
    _check_norm("irfftn", norm)
    *others, last = places
    n = sizes[-1]
    # One after the other, since libraries differ in what they make of bins that have to be real and are not.
    inner = apply(xp, ifftn, x, s=sizes[:-1], axes=others, norm=norm) if others else x

    def vjp(g: Array) -> Array:
        g = apply(xp, ihfft, g, n=n, axis=last, norm=norm)
        g = xp.where(_unpaired(xp, g, last, n), g, g * 2)
        g = _fitted(xp, g, [last], x.shape)
        if others:
            g = apply(xp, ifftn, g, axes=others, norm=norm)
        return _fitted(xp, g, others, x.shape)

    return apply(xp, irfft, inner, n=n, axis=last, norm=norm), (vjp,)


def _transformed(xp: Namespace, op: Op, x: Array, n: int | None, axis: int, norm: str) -> OpResult:
    name = op.__name__
    x = _complex(xp, x)
    axis = _place(name, x, axis)
    n = _length(name, "n", x.shape[axis] if n is None else n)
    _check_norm(name, norm)

    def vjp(g: Array) -> Array:
        return _fitted(xp, apply(xp, op, g, axis=axis, norm=norm), [axis], x.shape)

    return _run(xp, name, x, [axis], n=n, axis=axis, norm=norm), (vjp,)


def _transformed_over_axes(xp: Namespace, op: Op, x: Array, s: Sizes, axes: Sizes, norm: str) -> OpResult:
    name = op.__name__
    x = _complex(xp, x)
    places, sizes = _places(name, x, s, axes, halved=None)
    _check_norm(name, norm)
    if not places:
        return +x, (lambda g: g,)

    def vjp(g: Array) -> Array:
        return _fitted(xp, apply(xp, op, g, axes=places, norm=norm), places, x.shape)

    return _run(xp, name, x, places, s=sizes, axes=places, norm=norm), (vjp,)


def _real_to_half(
    xp: Namespace, op: Op, transpose: Op, x: Array, n: int | None, axis: int, norm: str
) -> OpResult:
    """A transform of real numbers to half a spectrum; ``transpose`` is the one that runs back."""
    name = op.__name__
    x = _real(xp, name, x)
    axis = _place(name, x, axis)
    n = _length(name, "n", x.shape[axis] if n is None else n)
    _check_norm(name, norm)

    def vjp(g: Array) -> Array:
        g = xp.where(_unpaired(xp, g, axis, n), g, g / 2)
        return _fitted(xp, apply(xp, transpose, g, n=n, axis=axis, norm=norm), [axis], x.shape)

    return _run(xp, name, x, [axis], n=n, axis=axis, norm=norm), (vjp,)


def _half_to_real(
    xp: Namespace, op: Op, transpose: Op, x: Array, n: int | None, axis: int, norm: str
) -> OpResult:
    """A transform of half a spectrum to real numbers; ``transpose`` is the one that runs back."""
    name = op.__name__
    x = _complex(xp, x)
    axis = _place(name, x, axis)
    n = _length(name, "n", 2 * (x.shape[axis] - 1) if n is None else n)
    _check_norm(name, norm)

    def vjp(g: Array) -> Array:
        g = apply(xp, transpose, g, n=n, axis=axis, norm=norm)
        g = xp.where(_unpaired(xp, g, axis, n), g, g * 2)
        return _fitted(xp, g, [axis], x.shape)

    return _run(xp, name, x, [axis], n=n, axis=axis, norm=norm), (vjp,)


def _run(xp: Namespace, name: str, x: Array, along: Sequence[int], /, **options: Any) -> Array:
    """The library's transform; of no elements too, which not every library has."""
    transform = getattr(xp.fft, name)
    if 0 not in x.shape:
        return transform(x, **options)
    r = transform(xp.zeros(tuple(n or 1 for n in x.shape), dtype=x.dtype, device=device_of(x)), **options)
    return r[tuple(slice(0 if n == 0 and i not in along else None) for i, n in enumerate(x.shape))]


def _unpaired(xp: Namespace, spectrum: Array, axis: int, n: int) -> Array:
    """Which bins of half a spectrum of ``n`` have no mirror image in the other half; broadcasts along the axis."""
    bins = xp.arange(n // 2 + 1, device=device_of(spectrum))
    unpaired = (bins == 0) | (bins * 2 == n)
    return xp.reshape(unpaired, (n // 2 + 1,) + (1,) * (spectrum.ndim - 1 - axis))


def _fitted(xp: Namespace, x: Array, axes: Sequence[int], shape: Sequence[int]) -> Array:
    """Cut along some axes, or padded with zeros at the end, to the lengths that they have in ``shape``."""
    for axis in axes:
        missing = shape[axis] - x.shape[axis]
        if missing < 0:
            x = x[(*(slice(None),) * axis, slice(0, shape[axis]), ...)]
        elif missing > 0:
            zeros = xp.zeros(
                (*x.shape[:axis], missing, *x.shape[axis + 1 :]), dtype=x.dtype, device=device_of(x)
            )
            x = xp.concat([x, zeros], axis=axis)
    return x


def _complex(xp: Namespace, x: Array) -> Array:
    """Real numbers as complex ones of the same precision."""
    x = floating(xp, x)
    if is_complex(xp, x.dtype):
        return x
    return xp.astype(x, xp.complex128 if x.dtype == xp.float64 else xp.complex64)


def _real(xp: Namespace, name: str, x: Array) -> Array:
    if is_complex(xp, x.dtype):
        raise DTypeError(
            f"{name}: x: expected real numbers, got {name_of_dtype(x.dtype)}. Use {OF_COMPLEX_NUMBERS[name]} for "
            "complex ones, or take portanet.real(x) first."
        )
    return floating(xp, x)


def _place(name: str, x: Array, axis: int, argument: str = "axis") -> int:
    """An axis counted from the first."""
    return place_of_axis(name, index(axis), x.ndim, argument, tuple(x.shape))


def _length(name: str, argument: str, n: Any) -> int:
    if index(n) < 1:
        raise ShapeError(
            f"{name}: {argument}: expected a length of at least 1, got {n}. Where it is not given it follows from "
            "the length of the axis."
        )
    return index(n)


def _places(
    name: str, x: Array, s: Sizes, axes: Sizes, *, halved: bool | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of a transform, counted from the first, and its length along each.

    ``halved``: whether ``x`` holds half a spectrum along the last axis; None: nothing is halved on either side.
    """
    if axes is None:
        if s is not None:
            raise OptionError(f"{name}: s gives the lengths along axes, so axes has to be given as well.")
        places = tuple(range(x.ndim))
    else:
        places = tuple(_place(name, x, axis, "axes") for axis in axes)
    if len(set(places)) != len(places):
        raise AxisError(f"{name}: axes: an axis is named twice in {axes}. Name each axis once.")
    if not places and halved is not None:
        raise ShapeError(f"{name}: axes: expected at least one axis, got none.")
    sizes = [x.shape[place] for place in places]
    if halved:
        sizes[-1] = 2 * (sizes[-1] - 1)
    if s is not None:
        if len(s) != len(places):
            raise ShapeError(f"{name}: s: expected one length for each of the axes {axes}, got {s}.")
        sizes = [own if given == -1 else given for own, given in zip(sizes, s, strict=True)]
    return places, tuple(_length(name, "s", size) for size in sizes)


def _check_norm(name: str, norm: str) -> None:
    if norm not in NORMS:
        raise OptionError(f"{name}: norm: expected one of {', '.join(map(repr, NORMS))}, got {norm!r}.")
