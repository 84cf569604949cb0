"""Special functions, of Tensors and of raw arrays, by SciPy's names and with its order of arguments.

SciPy itself finds them here: with the environment variable ``SCIPY_ARRAY_API=1`` its functions take Tensors, and
gradients go through. Every function can be differentiated to any order with respect to its floating-point arguments,
but where it says otherwise.

Values come from the array library of the operands. NumPy has no special functions, so there SciPy computes those that
the standard's functions cannot express; it is imported when the first of them is called: ``pip install
'portanet[special]'``.

Examples
--------
>>> pn.special.expit(pn.asarray([0.0, 100.0]))
Tensor([0.5, 1. ])
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, inf, log, nan, pi
from operator import index
from typing import Any

from portanet.errors import OptionError
from portanet.functions.creation import full_like
from portanet.functions.elementwise import divide, expm1, log1p, multiply, negative, where
from portanet.functions.manipulation import moveaxis, reshape, together
from portanet.ops import bessel, entropies, layers
from portanet.ops import special as ops
from portanet.protocols import Array
from portanet.requirements import places_of_axes
from portanet.tensor import lift

__all__ = [
    "beta",
    "betaln",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcinv",
    "erfcx",
    "erfinv",
    "exp10",
    "exp2",
    "expit",
    "expm1",
    "gamma",
    "gammainc",
    "gammaincc",
    "gammaln",
    "gammasgn",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "kl_div",
    "log1p",
    "log_expit",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "rel_entr",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
    "zeta",
]

beta = lift(ops.beta)
betaln = lift(ops.betaln)
digamma = lift(ops.digamma)
entr = lift(entropies.entr)
erf = lift(ops.erf)
erfc = lift(ops.erfc)
erfcinv = lift(ops.erfcinv)
erfcx = lift(ops.erfcx)
erfinv = lift(ops.erfinv)
exp10 = lift(entropies.exp10)
exp2 = lift(entropies.exp2)
expit = lift(layers.sigmoid)
gamma = lift(ops.gamma)
gammainc = lift(ops.gammainc)
gammaincc = lift(ops.gammaincc)
gammaln = lift(ops.gammaln)
gammasgn = lift(ops.gammasgn)
i0 = lift(bessel.i0)
i0e = lift(bessel.i0e)
i1 = lift(bessel.i1)
i1e = lift(bessel.i1e)
kl_div = lift(entropies.kl_div)
log_ndtr = lift(ops.log_ndtr)
logit = lift(entropies.logit)
ndtr = lift(ops.ndtr)
ndtri = lift(ops.ndtri)
psi = digamma
rel_entr = lift(entropies.rel_entr)
sinc = lift(bessel.sinc)
xlog1py = lift(entropies.xlog1py)
xlogy = lift(entropies.xlogy)

_hurwitz_zeta = lift(ops.zeta)
_log_softmax = lift(layers.log_softmax)
_logsumexp = lift(entropies.logsumexp)
_softmax = lift(layers.softmax)
_softplus = lift(layers.softplus)

# Derivatives of others only, which a higher-order pass looks up.
lift(bessel.bessel_over_power)
lift(bessel.spherical_bessel_over_power)


def zeta(x: Array, q: Array | None = None, /) -> Array:
    """Hurwitz's zeta function, the sum of ``(k + q)**-x`` for ``k`` from 0; without ``q``, which is then 1, Riemann's.

    There is a gradient with respect to ``q`` only.
    """
    return _hurwitz_zeta(x, 1.0 if q is None else q)


def polygamma(n: int, x: Array, /) -> Array:
    """Derivative number ``n`` of :func:`digamma`.

    Parameters
    ----------
    n : int
        Not negative; 0 is :func:`digamma` itself.
    x : Array
        Positive; negative numbers as far as the array library's zeta function takes them.

    Examples
    --------
    >>> pn.special.polygamma(1, pn.asarray([1.0]))
    Tensor([1.644934])
    """
    n = _whole("polygamma", "n", n, least=0)
    if n == 0:
        return digamma(x)
    size = float(factorial(n)) if n <= 170 else inf
    return multiply(_hurwitz_zeta(n + 1.0, x), -size if n % 2 == 0 else size)


def multigammaln(a: Array, d: int, /) -> Array:
    """Logarithm of the multivariate gamma function of dimension ``d``; NaN where ``a`` is ``(d - 1) / 2`` or less."""
    d = _whole("multigammaln", "d", d, least=1)
    r = gammaln(a) + d * (d - 1) / 4 * log(pi)
    for j in range(1, d):
        r = r + gammaln(a - j / 2)
    return where(a > (d - 1) / 2, r, full_like(r, nan))


def log_expit(x: Array, /) -> Array:
    """Logarithm of the logistic function, exact where that vanishes."""
    return negative(_softplus(divide(x, -1.0)))


def logsumexp(
    a: Array, axis: int | tuple[int, ...] | None = None, b: Array | None = None, keepdims: bool = False
) -> Array:
    """``log(sum(b * exp(a)))`` over one axis, several, or all, without overflow.

    Parameters
    ----------
    a : Array
        Any shape; of no elements the result is -inf.
    axis : int or tuple of int, optional
        Default: all axes.
    b : Array, optional
        Weights, which broadcast with ``a``; default 1. What has the weight 0 does not count, infinite or not.
    keepdims : bool
        Whether the axes stay, with length 1.

    Returns
    -------
    Array
        NaN where the sum is negative.
    """
    return _logsumexp(a, b, axis=axis, keepdims=keepdims)


def softmax(x: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """``exp(x) / sum(exp(x))`` over one axis, several, or all, without overflow."""
    return _along("softmax", _softmax, x, axis)


def log_softmax(x: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """Logarithm of :func:`softmax`, exact where a probability underflows."""
    return _along("log_softmax", _log_softmax, x, axis)


def _along(name: str, function: Callable[..., Any], x: Array, axis: int | tuple[int, ...] | None) -> Array:
    """A function along one axis along several at once."""
    if isinstance(axis, int):
        return function(x, axis=axis)
    if axis is None:
        return reshape(function(reshape(x, (-1,)), axis=0), x.shape)
    (x,) = together(name, (x,))
    places = places_of_axes(name, axis, x.ndim)
    last = tuple(range(-len(places), 0))
    moved = moveaxis(x, places, last)
    rows = reshape(moved, (*moved.shape[: -len(places)], -1))
    return moveaxis(reshape(function(rows, axis=-1), moved.shape), last, places)


def _whole(name: str, argument: str, number: Any, *, least: int) -> int:
    whole = index(number)
    if whole < least:
        raise OptionError(f"{name}: {argument}: expected an integer of at least {least}, got {whole}.")
    return whole
