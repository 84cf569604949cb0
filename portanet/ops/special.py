"""Special functions of real numbers, by SciPy's names and with its order of arguments.

What the standard's functions can express stably stands here in full and runs on every array library. The values of the
others come from the library's own special functions, which its backend knows by the same names; the gradients are
here, closed under differentiation, so that every order of them is exact.

Where a function has a value by definition, such as -inf for ``entr`` of a negative number, no library warns of it.
"""

from __future__ import annotations

from math import factorial, inf, log, nan, pi, prod, sqrt
from typing import Any, NoReturn

from portanet.backend import require_backend_of
from portanet.errors import DTypeError, GradientError
from portanet.ops.composition import apply, recorded
from portanet.ops.promotion import constant_like, device_of, floating, is_complex, promoted
from portanet.protocols import Array, Namespace, Op, OpResult

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
    "log_ndtr",
    "logit",
    "logsumexp",
    "ndtr",
    "ndtri",
    "rel_entr",
    "sinc",
    "xlog1py",
    "xlogy",
    "zeta",
]

TWO_OVER_ROOT_PI = 2 / sqrt(pi)
ROOT_HALF = sqrt(0.5)
ROOT_TWO_PI = sqrt(2 * pi)


# How operands come in, and values out of the library


def _real(xp: Namespace, op: Op, x: Array) -> Array:
    """Real numbers, integers among them in single precision."""
    if is_complex(xp, x.dtype):
        raise DTypeError(f"{op.__name__}: expected real numbers, got {x.dtype}. Take portanet.real(x) first.")
    return floating(xp, x)


def _pair(xp: Namespace, op: Op, x: Any, y: Any) -> tuple[Array, Array]:
    """Two arrays of real numbers in one data type; a Python number becomes an array."""
    if not hasattr(x, "dtype"):
        y = _real(xp, op, y)
        return constant_like(xp, x, y), y
    if not hasattr(y, "dtype"):
        x = _real(xp, op, x)
        return x, constant_like(xp, y, x)
    x, y = promoted(xp, x, y)
    return _real(xp, op, x), _real(xp, op, y)


def _of_library(xp: Namespace, op: Op, *operands: Array) -> Array:
    """What the array library's own function gives; on Tensors (a higher-order pass) the op's, which is recorded."""
    function = recorded(xp, op)
    if function is None:
        function = require_backend_of(operands[0], op.__name__).special_function(op.__name__)
    return function(*operands)


def _pick(xp: Namespace, condition: Array, x: Array, otherwise: float) -> Array:
    """``x`` where the condition holds, a number elsewhere."""
    return xp.where(condition, x, constant_like(xp, otherwise, x))


def _log(xp: Namespace, x: Array) -> Array:
    """Natural logarithm, -inf at 0 and NaN below, of which no library warns."""
    positive = x > 0
    outside = _pick(xp, x == 0, xp.full_like(x, -inf), nan)
    return xp.where(positive, xp.log(_pick(xp, positive, x, 1.0)), outside)


def _log1p(xp: Namespace, x: Array) -> Array:
    """``log(1 + x)``, -inf at -1 and NaN below, of which no library warns."""
    inside = x > -1
    outside = _pick(xp, x == -1, xp.full_like(x, -inf), nan)
    return xp.where(inside, xp.log1p(_pick(xp, inside, x, 0.0)), outside)


# The error function and the normal distribution


def erf(xp: Namespace, x: Array, /) -> OpResult:
    """Error function, ``2 / sqrt(pi)`` times the integral of ``exp(-t**2)`` from 0 to ``x``.

    Examples
    --------
    >>> pn.special.erf(pn.asarray([0.0, 0.5, 10.0]))
    Tensor([0.       , 0.5204999, 1.       ])
    """
    x = _real(xp, erf, x)
    return _of_library(xp, erf, x), (lambda g: g * (xp.exp(-x * x) * TWO_OVER_ROOT_PI),)


def erfc(xp: Namespace, x: Array, /) -> OpResult:
    """``1 - erf(x)``, exact where that is small."""
    x = _real(xp, erfc, x)
    return _of_library(xp, erfc, x), (lambda g: g * (xp.exp(-x * x) * -TWO_OVER_ROOT_PI),)


def erfcx(xp: Namespace, x: Array, /) -> OpResult:
    """``exp(x**2) * erfc(x)``, which neither overflows nor vanishes for large ``x``."""
    x = _real(xp, erfcx, x)
    r = _of_library(xp, erfcx, x)

    def vjp(g: Array) -> Array:
        # Beyond 30 the two terms of the derivative nearly cancel; there it is their asymptotic series
        # (Abramowitz and Stegun, 7.1.23).
        far = x > 30
        beyond = 1 / _pick(xp, far, x, 30.0)
        u = beyond * beyond * 0.5
        series = 1 - 3 * u * (1 - 5 * u * (1 - 7 * u * (1 - 9 * u * (1 - 11 * u))))
        within = _pick(xp, ~far, x, 0.0) * _pick(xp, ~far, r, 0.0) * 2 - TWO_OVER_ROOT_PI
        return g * xp.where(far, series * u * -TWO_OVER_ROOT_PI, within)

    return r, (vjp,)


def erfinv(xp: Namespace, x: Array, /) -> OpResult:
    """Inverse of :func:`erf`: infinite at -1 and 1, NaN outside."""
    x = _real(xp, erfinv, x)
    r = _of_library(xp, erfinv, x)
    return r, (lambda g: g * (xp.exp(r * r) / TWO_OVER_ROOT_PI),)


def erfcinv(xp: Namespace, x: Array, /) -> OpResult:
    """Inverse of :func:`erfc`: infinite at 0 and 2, NaN outside."""
    x = _real(xp, erfcinv, x)
    r = apply(xp, ndtri, x * 0.5) * -ROOT_HALF
    return r, (lambda g: g * (xp.exp(r * r) / -TWO_OVER_ROOT_PI),)


def ndtr(xp: Namespace, x: Array, /) -> OpResult:
    """Probability that a standard normal variable is at most ``x``."""
    x = _real(xp, ndtr, x)
    r = apply(xp, erfc, x * -ROOT_HALF) * 0.5
    return r, (lambda g: g * (xp.exp(x * x * -0.5) / ROOT_TWO_PI),)


def ndtri(xp: Namespace, x: Array, /) -> OpResult:
    """Inverse of :func:`ndtr`, the quantile of the standard normal distribution; NaN outside of [0, 1]."""
    x = _real(xp, ndtri, x)
    r = _of_library(xp, ndtri, x)
    return r, (lambda g: g * (xp.exp(r * r * 0.5) * ROOT_TWO_PI),)


def log_ndtr(xp: Namespace, x: Array, /) -> OpResult:
    """Logarithm of :func:`ndtr`, exact where that vanishes."""
    x = _real(xp, log_ndtr, x)
    r = _of_library(xp, log_ndtr, x)
    return r, (lambda g: g * (sqrt(2 / pi) / apply(xp, erfcx, x * -ROOT_HALF)),)


# The gamma function and its kin


def gammaln(xp: Namespace, x: Array, /) -> OpResult:
    """Logarithm of the absolute value of the gamma function.

    Examples
    --------
    >>> pn.special.gammaln(pn.asarray([1.0, 5.0]))
    Tensor([0.       , 3.1780539])
    """
    x = _real(xp, gammaln, x)
    return _of_library(xp, gammaln, x), (lambda g: g * apply(xp, digamma, x),)


def gamma(xp: Namespace, x: Array, /) -> OpResult:
    """Gamma function, the factorial of ``x - 1``; infinite or NaN at 0 and at negative integers."""
    x = _real(xp, gamma, x)
    r = _of_library(xp, gamma, x)
    return r, (lambda g: g * (r * apply(xp, digamma, x)),)


def gammasgn(xp: Namespace, x: Array, /) -> OpResult:
    """Sign of the gamma function: 1 or -1, NaN at negative integers; no gradient."""
    x = _real(xp, gammasgn, x)
    below = xp.floor(x)
    pole = ((x < 0) & (below == x)) | xp.isnan(x)
    odd = _pick(xp, (x < 0) & ~pole, below, 0.0) % 2.0 != 0
    r = _pick(xp, ~(odd | ((x == 0) & xp.signbit(x))), xp.ones_like(x), -1.0)
    return _pick(xp, ~pole, r, nan), (None,)


def digamma(xp: Namespace, x: Array, /) -> OpResult:
    """Derivative of :func:`gammaln`; its own are :func:`portanet.special.polygamma`."""
    x = _real(xp, digamma, x)
    return _of_library(xp, digamma, x), (lambda g: g * apply(xp, zeta, 2.0, x),)


def zeta(xp: Namespace, x: Array, q: Array, /) -> OpResult:
    """Hurwitz's zeta function, the sum of ``(k + q)**-x`` for ``k`` from 0; a gradient with respect to ``q`` only."""
    x, q = _pair(xp, zeta, x, q)

    def wrt_x(g: Array) -> NoReturn:
        raise GradientError("zeta: there is no gradient with respect to x. Detach it: x.detach().")

    return _of_library(xp, zeta, x, q), (wrt_x, lambda g: g * (-x * apply(xp, zeta, x + 1, q)))


def beta(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """Beta function ``gamma(x) * gamma(y) / gamma(x + y)``."""
    x, y = _pair(xp, beta, x, y)
    function = recorded(xp, beta)
    if function is not None:
        r = function(x, y)
    else:
        r = xp.exp(apply(xp, betaln, x, y))
        for z in (x, y, x + y):
            sign = apply(xp, gammasgn, z)
            r = r * _pick(xp, ~xp.isnan(sign), sign, 1.0)

    def slope(z: Array) -> Array:
        return r * (apply(xp, digamma, z) - apply(xp, digamma, x + y))

    return r, (lambda g: g * slope(x), lambda g: g * slope(y))


def betaln(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """Logarithm of the absolute value of the beta function, ``gamma(x) * gamma(y) / gamma(x + y)``.

    Large logarithms of the gamma function are not subtracted: from 10 on Stirling's formula takes their place, whose
    main terms are subtracted by hand. The gradient, a difference of two digammas, has no such care.
    """
    x, y = _pair(xp, betaln, x, y)
    a, b = xp.minimum(x, y), xp.maximum(x, y)
    direct = (a <= 0) | (b < 10)
    endless = b == inf
    # Each form gets numbers that it can take wherever its result is not wanted, or it would warn of them.
    u, v = _pick(xp, direct, a, 1.0), _pick(xp, direct, b, 1.0)
    short = apply(xp, gammaln, u) + apply(xp, gammaln, v) - apply(xp, gammaln, u + v)
    u, v = _pick(xp, ~direct, a, 1.0), _pick(xp, ~(direct | endless), b, 10.0)
    large = u >= 10
    one, two = _pick(xp, ~large, u, 1.0), _pick(xp, large, u, 10.0)
    of_one = apply(xp, gammaln, one) + one - one * xp.log(one + v)
    of_two = (two - 0.5) * xp.log(two / (two + v)) - 0.5 * xp.log(two + v) + 0.5 * log(2 * pi)
    far = xp.where(large, of_two + _stirling_rest(xp, two), of_one)
    u = _pick(xp, ~endless, u, 1.0)
    far = far - (v - 0.5) * xp.log1p(u / v) + _stirling_rest(xp, v) - _stirling_rest(xp, u + v)
    r = xp.where(direct, short, _pick(xp, ~endless, far, -inf))

    def slope(z: Array) -> Array:
        return apply(xp, digamma, z) - apply(xp, digamma, x + y)

    return r, (lambda g: g * slope(x), lambda g: g * slope(y))


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
    x, y = _pair(xp, op, x, y)

    def wrt_x(g: Array) -> NoReturn:
        raise GradientError(
            f"{op.__name__}: there is no gradient with respect to its first argument. Detach it: x.detach()."
        )

    def wrt_y(g: Array) -> Array:
        return g * (sign * xp.exp(apply(xp, xlogy, x - 1, y) - y - apply(xp, gammaln, x)))

    return _of_library(xp, op, x, y), (wrt_x, wrt_y)


# Modified Bessel functions of the first kind


def i0(xp: Namespace, x: Array, /) -> OpResult:
    """Modified Bessel function of order 0."""
    x = _real(xp, i0, x)
    return _of_library(xp, i0, x), (lambda g: g * apply(xp, i1, x),)


def i0e(xp: Namespace, x: Array, /) -> OpResult:
    """``exp(-abs(x)) * i0(x)``, which does not overflow; the gradient at 0 is 0."""
    x = _real(xp, i0e, x)
    r = _of_library(xp, i0e, x)
    return r, (lambda g: g * (apply(xp, i1e, x) - xp.sign(x) * r),)


def i1(xp: Namespace, x: Array, /) -> OpResult:
    """Modified Bessel function of order 1."""
    x = _real(xp, i1, x)
    r = _of_library(xp, i1, x)
    return r, (lambda g: g * (apply(xp, i0, x) - apply(xp, bessel_over_power, x, order=1, scaled=False)),)


def i1e(xp: Namespace, x: Array, /) -> OpResult:
    """``exp(-abs(x)) * i1(x)``, which does not overflow."""
    x = _real(xp, i1e, x)
    r = _of_library(xp, i1e, x)

    def vjp(g: Array) -> Array:
        return g * (
            apply(xp, i0e, x) - apply(xp, bessel_over_power, x, order=1, scaled=True) - xp.sign(x) * r
        )

    return r, (vjp,)


def bessel_over_power(xp: Namespace, x: Array, *, order: int, scaled: bool) -> OpResult:
    """``I_n(x) / x**n`` for the modified Bessel function of order ``n >= 1``; scaled: times ``exp(-abs(x))``.

    Its derivative is ``x`` times that of the next order (Abramowitz and Stegun, 9.6.28), so derivatives of all orders
    are right at 0. Near 0 it is the power series, elsewhere the recurrence from orders 0 and 1.
    """
    size = xp.abs(x)
    function = recorded(xp, bessel_over_power)
    if function is not None:
        r = function(x, order=order, scaled=scaled)
    elif order == 1:
        zero = x == 0
        r = apply(xp, i1e if scaled else i1, x) / _pick(xp, ~zero, x, 1.0)
        r = _pick(xp, ~zero, r, 0.5)
    else:
        until = 2.0 * order + 4.0
        near = size < until
        quarter = _pick(xp, near, x, 0.0)
        quarter = quarter * quarter * 0.25
        series = xp.ones_like(x)
        for k in range(20 + 4 * order, 0, -1):
            series = series * quarter / (k * (k + order)) + 1
        series = series * (0.5**order / factorial(order))
        if scaled:
            series = series * xp.exp(-size)
        far = _pick(xp, ~near, size, until)
        last, r = apply(xp, i0e if scaled else i0, far), apply(xp, i1e if scaled else i1, far) / far
        for n in range(1, order):
            last, r = r, (last - 2 * n * r) / far / far
        r = xp.where(near, series, r)

    def vjp(g: Array) -> Array:
        slope = x * apply(xp, bessel_over_power, x, order=order + 1, scaled=scaled)
        return g * (slope - xp.sign(x) * r if scaled else slope)

    return r, (vjp,)


# Entropies, logarithms and powers, in the standard's functions alone


def xlogy(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x * log(y)``, and 0 where ``x`` is 0 and ``y`` is a number; the gradient by ``x`` is 0 where both are 0.

    Examples
    --------
    >>> pn.special.xlogy(pn.asarray([0.0, 2.0]), pn.asarray([0.0, 1.0]))
    Tensor([0., 0.])
    """
    x, y = _pair(xp, xlogy, x, y)
    zero = (x == 0) & ~xp.isnan(y)
    r = x * _log(xp, _pick(xp, ~zero, y, 1.0))
    kept = (x != 0) | (y > 0) | xp.isnan(y)

    def wrt_x(g: Array) -> Array:
        return g * _log(xp, _pick(xp, kept, y, 1.0))

    return r, (wrt_x, lambda g: g * (x / _pick(xp, kept, y, 1.0)))


def xlog1py(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x * log1p(y)``, and 0 where ``x`` is 0 and ``y`` is a number; the gradient by ``x`` is 0 where ``y`` is -1."""
    x, y = _pair(xp, xlog1py, x, y)
    zero = (x == 0) & ~xp.isnan(y)
    r = x * _log1p(xp, _pick(xp, ~zero, y, 0.0))
    kept = (x != 0) | (y > -1) | xp.isnan(y)

    def wrt_x(g: Array) -> Array:
        return g * _log1p(xp, _pick(xp, kept, y, 0.0))

    return r, (wrt_x, lambda g: g * (x / (1 + _pick(xp, kept, y, 0.0))))


def entr(xp: Namespace, x: Array, /) -> OpResult:
    """``-x * log(x)``, 0 at 0 and -inf below; the gradient at 0 is inf."""
    x = _real(xp, entr, x)
    positive = x > 0
    inside = _pick(xp, positive, x, 1.0)
    outside = _pick(xp, ~(x < 0), x, -inf)
    return xp.where(positive, -inside * xp.log(inside), outside), (lambda g: g * (-1 - _log(xp, x)),)


def rel_entr(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x * log(x / y)`` of positive numbers, 0 where ``x`` is 0 and ``y`` is not negative, else inf.

    The gradient is 0 where the value is infinite and where both are 0; by ``x`` alone it is -inf at 0.
    """
    x, y = _pair(xp, rel_entr, x, y)
    both = (x > 0) & (y > 0)
    u, ratio = _pick(xp, both, x, 1.0), _log_ratio(xp, both, x, y)
    return xp.where(both, u * ratio, _entropy_outside(xp, x, y, xp.zeros_like(ratio))), (
        lambda g: g * xp.where(both, ratio + 1, _entropy_edge(xp, x, y)),
        lambda g: g * -_quotient(xp, x, y),
    )


def kl_div(xp: Namespace, x: Array, y: Array, /) -> OpResult:
    """``x * log(x / y) - x + y`` of positive numbers, ``y`` where ``x`` is 0 and ``y`` is not negative, else inf.

    The gradient is 0 where the value is infinite and where both are 0; by ``x`` alone it is -inf at 0.
    """
    x, y = _pair(xp, kl_div, x, y)
    both = (x > 0) & (y > 0)
    u, v, ratio = _pick(xp, both, x, 1.0), _pick(xp, both, y, 1.0), _log_ratio(xp, both, x, y)
    some = xp.astype((x >= 0) & (y > 0), x.dtype)
    return xp.where(both, u * ratio - u + v, _entropy_outside(xp, x, y, y)), (
        lambda g: g * xp.where(both, ratio, _entropy_edge(xp, x, y)),
        lambda g: g * (some - _quotient(xp, x, y)),
    )


def _log_ratio(xp: Namespace, both: Array, x: Array, y: Array) -> Array:
    """``log(x / y)`` where both are positive, without overflow, and exact where they are nearly equal."""
    u, v = _pick(xp, both, x, 1.0), _pick(xp, both, y, 1.0)
    near = (u * 0.5 < v) & (v * 0.5 < u)
    base = _pick(xp, near, v, 1.0)
    close = xp.log1p((_pick(xp, near, u, 1.0) - base) / base)
    return xp.where(near, close, xp.log(u) - xp.log(v))


def _entropy_outside(xp: Namespace, x: Array, y: Array, at_zero: Array) -> Array:
    """The value where not both are positive: ``at_zero`` where ``x`` is 0, else infinite; NaN of a NaN."""
    value = _pick(xp, (x == 0) & (y >= 0), at_zero, inf)
    return _pick(xp, ~(xp.isnan(x) | xp.isnan(y)), value, nan)


def _entropy_edge(xp: Namespace, x: Array, y: Array) -> Array:
    """The gradient by ``x`` where not both are positive."""
    return _pick(xp, ~((x == 0) & (y > 0)), xp.zeros_like(x), -inf)


def _quotient(xp: Namespace, x: Array, y: Array) -> Array:
    """``x / y`` where that is defined and not negative, else 0."""
    inside = (x >= 0) & (y > 0)
    return _pick(xp, inside, x, 0.0) / _pick(xp, inside, y, 1.0)


def logit(xp: Namespace, x: Array, /) -> OpResult:
    """``log(x / (1 - x))``, the inverse of the logistic function: infinite at 0 and 1, NaN outside."""
    x = _real(xp, logit, x)
    inside = (x > 0) & (x < 1)
    p = _pick(xp, inside, x, 0.5)
    middle = (p > 0.25) & (p < 0.75)
    s = _pick(xp, middle, p, 0.5) * 2 - 1
    r = xp.where(middle, xp.log1p(s) - xp.log1p(-s), xp.log(p) - xp.log1p(-p))
    outside = _pick(xp, x == 0, xp.full_like(x, -inf), nan)
    outside = _pick(xp, x != 1, outside, inf)
    return xp.where(inside, r, outside), (lambda g: g / (x * (1 - x)),)


def exp2(xp: Namespace, x: Array, /) -> OpResult:
    """Power of 2."""
    x = _real(xp, exp2, x)
    r = 2.0**x
    return r, (lambda g: g * (r * log(2)),)


def exp10(xp: Namespace, x: Array, /) -> OpResult:
    """Power of 10."""
    x = _real(xp, exp10, x)
    r = 10.0**x
    return r, (lambda g: g * (r * log(10)),)


def logsumexp(
    xp: Namespace,
    x: Array,
    b: Array | None = None,
    *,
    axis: int | tuple[int, ...] | None = None,
    keepdims: bool = False,
) -> OpResult:
    """``log(sum(b * exp(x)))`` over the given axes, without overflow; NaN where the sum is negative.

    Parameters
    ----------
    x : Array
        Any shape; of no elements the result is -inf.
    b : Array, optional
        Weights, which broadcast with ``x``; default 1. What has the weight 0 does not count, infinite or not.
    """
    if b is None:
        x = masked = _real(xp, logsumexp, x)
    else:
        x, b = _pair(xp, logsumexp, x, b)
        masked = _pick(xp, b != 0, x, -inf)
    axes = range(masked.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    reduced = {a % masked.ndim for a in axes}
    function = recorded(xp, logsumexp)
    if function is not None:
        r = function(x, b, axis=axis, keepdims=True)
    elif 0 in (masked.shape[a] for a in reduced):
        shape = tuple(1 if a in reduced else n for a, n in enumerate(masked.shape))
        r = xp.full(shape, -inf, dtype=x.dtype, device=device_of(x))
    else:
        top = xp.max(masked, axis=axis, keepdims=True)
        below = masked != top  # an infinite top must not be taken from itself
        weights = xp.exp(_pick(xp, below, masked, 0.0) - _pick(xp, below, top, 0.0))
        weights = weights if b is None else weights * b
        r = _log(xp, xp.sum(weights, axis=axis, keepdims=True, dtype=x.dtype)) + top
    shape = r.shape if keepdims else tuple(n for a, n in enumerate(masked.shape) if a not in reduced)

    def shares(g: Array, x: Array) -> Array:
        return xp.reshape(g, r.shape) * xp.exp(x - _pick(xp, r != -inf, r, 0.0))

    def wrt_x(g: Array) -> Array:
        return shares(g, masked) if b is None else shares(g, masked) * b

    def wrt_b(g: Array) -> Array:
        return shares(g, xp.broadcast_to(x, masked.shape))

    return xp.reshape(r, shape), (wrt_x, wrt_b)


def sinc(xp: Namespace, x: Array, /) -> OpResult:
    """``sin(pi * x) / (pi * x)``, 1 at 0."""
    x = _real(xp, sinc, x)
    t = x * pi
    zero = t == 0
    r = _pick(xp, ~zero, xp.sin(t) / _pick(xp, ~zero, t, 1.0), 1.0)
    return r, (lambda g: g * (-pi * t * apply(xp, spherical_bessel_over_power, t, order=1)),)


def spherical_bessel_over_power(xp: Namespace, x: Array, *, order: int) -> OpResult:
    """``j_n(x) / x**n`` for the spherical Bessel function of order ``n >= 1``.

    Its derivative is ``-x`` times that of the next order (Abramowitz and Stegun, 10.1.24), so derivatives of all orders
    are right at 0. Near 0 it is the power series, elsewhere the recurrence from ``cos(x)`` and ``sin(x) / x``.
    """
    near = xp.abs(x) < order
    half = _pick(xp, near, x, 0.0)
    half = half * half * 0.5
    series = xp.ones_like(x)
    for k in range(9 + 3 * order, 0, -1):
        series = 1 - series * half / (k * (2 * order + 2 * k + 1))
    series = series / prod(range(1, 2 * order + 2, 2))
    far = _pick(xp, ~near, x, 1.0)
    last, r = xp.cos(far), xp.sin(far) / far
    for n in range(order):
        last, r = r, ((2 * n + 1) * r - last) / far / far

    def vjp(g: Array) -> Array:
        return g * (-x * apply(xp, spherical_bessel_over_power, x, order=order + 1))

    return xp.where(near, series, r), (vjp,)
