"""Special functions of real numbers: the error function, the gamma function, and their kin.

Names and orders of arguments are SciPy's. What the standard's functions can express stably stands here in full and
runs on every array library. The values of the others come from the library's own special functions, which its backend
knows by the same names; the gradients are here, closed under differentiation, so that every order of them is exact.
"""

from __future__ import annotations

from math import inf, log, nan, pi, sqrt
from typing import NoReturn

from portanet.errors import GradientError
from portanet.ops.composition import apply, recorded
from portanet.ops.entropies import xlogy
from portanet.ops.promotion import floating
from portanet.ops.real_functions import of_library, pick, real_pair
from portanet.protocols import Array, Namespace, Op, OpResult

__all__ = [
    "beta",
    "betaln",
    "digamma",
    "erf",
    "erfc",
    "erfcinv",
    "erfcx",
    "erfinv",
    "gamma",
    "gammainc",
    "gammaincc",
    "gammaln",
    "gammasgn",
    "log_ndtr",
    "ndtr",
    "ndtri",
    "zeta",
]

TWO_OVER_ROOT_PI = 2 / sqrt(pi)
ROOT_HALF = sqrt(0.5)
ROOT_TWO_PI = sqrt(2 * pi)


# The error function and the normal distribution


def erf(xp: Namespace, x: Array, /) -> OpResult:
    """Error function, ``2 / sqrt(pi)`` times the integral of ``exp(-t**2)`` from 0 to ``x``.

    Examples
    --------
    >>> pn.special.erf(pn.asarray([0.0, 0.5, 10.0]))
    Tensor([0.       , 0.5204999, 1.       ])
    """
    x = floating(xp, x)
    return of_library(xp, erf, x), (lambda g: g * (xp.exp(-x * x) * TWO_OVER_ROOT_PI),)


def erfc(xp: Namespace, x: Array, /) -> OpResult:
    """``1 - erf(x)``, exact where that is small."""
    x = floating(xp, x)
    return of_library(xp, erfc, x), (lambda g: g * (xp.exp(-x * x) * -TWO_OVER_ROOT_PI),)


def erfcx(xp: Namespace, x: Array, /) -> OpResult:
    """``exp(x**2) * erfc(x)``, which neither overflows nor vanishes for large ``x``."""
    x = floating(xp, x)
    r = of_library(xp, erfcx, x)

    def vjp(g: Array) -> Array:
        # Beyond 30 the two terms of the derivative nearly cancel; there it is their asymptotic series
        # (Abramowitz and Stegun, 7.1.23).
        far = x > 30
        beyond = 1 / pick(xp, far, x, 30.0)
        u = beyond * beyond * 0.5
        series = 1 - 3 * u * (1 - 5 * u * (1 - 7 * u * (1 - 9 * u * (1 - 11 * u))))
        within = pick(xp, ~far, x, 0.0) * pick(xp, ~far, r, 0.0) * 2 - TWO_OVER_ROOT_PI
        return g * xp.where(far, series * u * -TWO_OVER_ROOT_PI, within)

    return r, (vjp,)


def erfinv(xp: Namespace, x: Array, /) -> OpResult:
    """Inverse of :func:`erf`: infinite at -1 and 1, NaN outside."""
    x = floating(xp, x)
    r = of_library(xp, erfinv, x)
    return r, (lambda g: g * (xp.exp(r * r) / TWO_OVER_ROOT_PI),)


def erfcinv(xp: Namespace, x: Array, /) -> OpResult:
    """Inverse of :func:`erfc`: infinite at 0 and 2, NaN outside."""
    x = floating(xp, x)
    r = apply(xp, ndtri, x * 0.5) * -ROOT_HALF
    return r, (lambda g: g * (xp.exp(r * r) / -TWO_OVER_ROOT_PI),)


def ndtr(xp: Namespace, x: Array, /) -> OpResult:
    """Probability that a standard normal variable is at most ``x``."""
    x = floating(xp, x)
    r = apply(xp, erfc, x * -ROOT_HALF) * 0.5
    return r, (lambda g: g * (xp.exp(x * x * -0.5) / ROOT_TWO_PI),)


def ndtri(xp: Namespace, x: Array, /) -> OpResult:
    """Inverse of :func:`ndtr`, the quantile of the standard normal distribution; NaN outside of [0, 1]."""
    x = floating(xp, x)
    r = of_library(xp, ndtri, x)
    return r, (lambda g: g * (xp.exp(r * r * 0.5) * ROOT_TWO_PI),)


def log_ndtr(xp: Namespace, x: Array, /) -> OpResult:
    """Logarithm of :func:`ndtr`, exact where that vanishes."""
    x = floating(xp, x)
    r = of_library(xp, log_ndtr, x)
    return r, (lambda g: g * (sqrt(2 / pi) / apply(xp, erfcx, x * -ROOT_HALF)),)


# The gamma function and its kin


def gammaln(xp: Namespace, x: Array, /) -> OpResult:
    """Logarithm of the absolute value of the gamma function.

    Examples
    --------
    >>> pn.special.gammaln(pn.asarray([1.0, 5.0]))
    Tensor([0.       , 3.1780539])
    """
    x = floating(xp, x)
    return of_library(xp, gammaln, x), (lambda g: g * apply(xp, digamma, x),)


def gamma(xp: Namespace, x: Array, /) -> OpResult:
    """Gamma function, the factorial of ``x - 1``; infinite or NaN at 0 and at negative integers."""
    x = floating(xp, x)
    r = of_library(xp, gamma, x)
    return r, (lambda g: g * (r * apply(xp, digamma, x)),)


def gammasgn(xp: Namespace, x: Array, /) -> OpResult:
    """Sign of the gamma function: 1 or -1, NaN at negative integers; no gradient."""
    x = floating(xp, x)
    below = xp.floor(x)
    pole = ((x < 0) & (below == x)) | xp.isnan(x)
    odd = pick(xp, (x < 0) & ~pole, below, 0.0) % 2.0 != 0
    r = pick(xp, ~(odd | ((x == 0) & xp.signbit(x))), xp.ones_like(x), -1.0)
    return pick(xp, ~pole, r, nan), (None,)


def digamma(xp: Namespace, x: Array, /) -> OpResult:
    """Derivative of :func:`gammaln`; its own are :func:`portanet.special.polygamma`."""
    x = floating(xp, x)
    return of_library(xp, digamma, x), (lambda g: g * apply(xp, zeta, 2.0, x),)


def zeta(xp: Namespace, x: Array, q: Array, /) -> OpResult:
    """Hurwitz's zeta function, the sum of ``(k + q)**-x`` for ``k`` from 0; a gradient with respect to ``q`` only."""
    x, q = real_pair(xp, x, q)

    def wrt_x(g: Array) -> NoReturn:
        raise GradientError("zeta: there is no gradient with respect to x. Detach it: x.detach().")

    return of_library(xp, zeta, x, q), (wrt_x, lambda g: g * (-x * apply(xp, zeta, x + 1, q)))


def beta(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """Beta function ``gamma(x) * gamma(y) / gamma(x + y)``."""
    x, y = real_pair(xp, x, y)
    function = recorded(xp, beta)
    if function is not None:
        r = function(x, y)
    else:
        r = xp.exp(apply(xp, betaln, x, y))
        for z in (x, y, x + y):
            sign = apply(xp, gammasgn, z)
            r = r * pick(xp, ~xp.isnan(sign), sign, 1.0)

    def slope(z: Array) -> Array:
        return r * (apply(xp, digamma, z) - apply(xp, digamma, x + y))

    return r, (lambda g: g * slope(x), lambda g: g * slope(y))


def betaln(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """Logarithm of the absolute value of the beta function, ``gamma(x) * gamma(y) / gamma(x + y)``.

    Large logarithms of the gamma function are not subtracted: from 10 on Stirling's formula takes their place, whose
    main terms are subtracted by hand. The gradient, a difference of two digammas, has no such care.
    """
    x, y = real_pair(xp, x, y)
    function = recorded(xp, betaln)
    r = _log_of_beta(xp, x, y) if function is None else function(x, y)

    def slope(z: Array) -> Array:
        return apply(xp, digamma, z) - apply(xp, digamma, x + y)

    return r, (lambda g: g * slope(x), lambda g: g * slope(y))


def _log_of_beta(xp: Namespace, x: Array, y: Array) -> Array:
    a, b = xp.minimum(x, y), xp.maximum(x, y)
    direct = (a <= 0) | (b < 10)
    endless = b == inf
    # Each form gets numbers that it can take wherever its result is not wanted, or it would warn of them.
    u, v = pick(xp, direct, a, 1.0), pick(xp, direct, b, 1.0)
    short = apply(xp, gammaln, u) + apply(xp, gammaln, v) - apply(xp, gammaln, u + v)
    u, v = pick(xp, ~direct, a, 1.0), pick(xp, ~(direct | endless), b, 10.0)
    large = u >= 10
    one, two = pick(xp, ~large, u, 1.0), pick(xp, large, u, 10.0)
    of_one = apply(xp, gammaln, one) + one - one * xp.log(one + v)
    of_two = (two - 0.5) * xp.log(two / (two + v)) - 0.5 * xp.log(two + v) + 0.5 * log(2 * pi)
    far = xp.where(large, of_two + _stirling_rest(xp, two), of_one)
    u = pick(xp, ~endless, u, 1.0)
    far = far - (v - 0.5) * xp.log1p(u / v) + _stirling_rest(xp, v) - _stirling_rest(xp, u + v)
    return xp.where(direct, short, pick(xp, ~endless, far, -inf))


def _stirling_rest(xp: Namespace, x: Array) -> Array:
    """What Stirling's formula for ``gammaln`` leaves out, for ``x`` from 10 on (Abramowitz and Stegun, 6.1.41)."""
    v = 1 / x
    w = v * v
    series = 1 / 1260 - w * (1 / 1680 - w * (1 / 1188 - w * (691 / 360360 - w / 156)))
    return v * (1 / 12 - w * (1 / 360 - w * series))


def gammainc(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """Share of ``gamma(x)`` that its integral has reached at ``y``; a gradient with respect to ``y`` only.

    Parameters
    ----------
    x : Array
        The parameter of the gamma distribution, positive. PyTorch and JAX lose digits where it is large.
    y : Array
        The upper limit, not negative.
    """
    return _incomplete(xp, gammainc, x, y, 1.0)


def gammaincc(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``1 - gammainc(x, y)``, exact where that is small."""
    return _incomplete(xp, gammaincc, x, y, -1.0)


def _incomplete(xp: Namespace, op: Op, x: Array, y: Array, sign: float) -> OpResult:
    x, y = real_pair(xp, x, y)

    def wrt_x(g: Array) -> NoReturn:
        raise GradientError(
            f"{op.__name__}: there is no gradient with respect to its first argument. Detach it: x.detach()."
        )

    def wrt_y(g: Array) -> Array:
        return g * (sign * xp.exp(apply(xp, xlogy, x - 1, y) - y - apply(xp, gammaln, x)))

    return of_library(xp, op, x, y), (wrt_x, wrt_y)
