"""Give parameters new values, in place.

Random values are the same on every backend: they are drawn on the host, and what has to be computed from them is
computed there too.
"""

from __future__ import annotations

from math import ceil, erf, prod, sqrt

from portanet.backend import use_backend
from portanet.checks import check_number, whole_number
from portanet.dtypes import float64
from portanet.errors import GradientError, OptionError, ShapeError
from portanet.functions.creation import arange, eye, zeros
from portanet.functions.elementwise import clip, less, logical_and, sign, where
from portanet.functions.elementwise import exp as exp_of
from portanet.functions.manipulation import astype, matrix_transpose, reshape
from portanet.functions.searching import nonzero
from portanet.functions.sorting import argsort
from portanet.graph import no_grad
from portanet.linalg import diagonal, qr
from portanet.nn.module import overwrite
from portanet.random import Generator, normal, uniform
from portanet.tensor import Tensor, as_native

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

LINEAR = (
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
)
NONLINEARITIES = (*LINEAR, "tanh", "relu", "leaky_relu", "selu")


def _check(tensor: Tensor) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"tensor: expected a Tensor, got {type(tensor).__name__}.")
    if not tensor.is_leaf:
        raise GradientError(
            "tensor: a Tensor that was computed from others cannot be filled; fill what it was computed from."
        )


def _fill(tensor: Tensor, values: Tensor) -> Tensor:
    """Take over values, from the host or from where the tensor is."""
    overwrite(tensor, as_native(values, tensor.dtype, tensor.device, None))
    return tensor


# Plain distributions and constants


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draw from the uniform distribution on ``[a, b)``."""
    _check(tensor)
    return _fill(
        tensor, uniform(tensor.shape, a, b, dtype=tensor.dtype, device=tensor.device, generator=generator)
    )


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draw from the normal distribution."""
    _check(tensor)
    return _fill(
        tensor, normal(tensor.shape, mean, std, dtype=tensor.dtype, device=tensor.device, generator=generator)
    )


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Set every element to ``val``."""
    _check(tensor)
    with no_grad():
        values = tensor.__array_namespace__().full_like(tensor.detach(), val)
    return _fill(tensor, values)


def zeros_(tensor: Tensor) -> Tensor:
    """Set every element to 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Set every element to 1."""
    return constant_(tensor, 1.0)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Draw from the normal distribution, limited to the range from ``a`` to ``b``.

    Parameters
    ----------
    tensor : Tensor
        Any shape.
    mean, std : float
        Of the normal distribution before it is cut.
    a, b : float
        The range; numbers as they come out, not multiples of ``std``.
    generator : Generator, optional
        Default: the one that :func:`portanet.manual_seed` seeds.

    Notes
    -----
    What falls outside is drawn again. Where that would be most of it, proposals are uniform, and accepted with the
    density's share of its maximum (rejection sampling, von Neumann, 1951).
    """
    _check(tensor)
    check_number("mean", mean)
    check_number("std", std, low=0.0)
    if not a < b:
        raise OptionError(f"b: trunc_normal_ expects more than a={a}, got {b}.")
    with use_backend("numpy"), no_grad():
        count = prod(tensor.shape)
        if std:
            values = _truncated(count, (a - mean) / std, (b - mean) / std, generator) * std + mean
        else:
            values = zeros((count,), dtype=float64) + mean
        values = reshape(astype(values, tensor.dtype), tensor.shape)
        values = clip(values, float(a), float(b))  # rounding could have passed them
    return _fill(tensor, values)


def _truncated(count: int, low: float, high: float, generator: Generator | None) -> Tensor:
    """So many values of the standard normal distribution between two numbers, on the host."""
    share = (erf(high / sqrt(2)) - erf(low / sqrt(2))) / 2
    propose = _normal_proposals if share > 0.25 else _uniform_proposals
    values, accepted = propose(count, low, high, generator)
    while True:
        (missing,) = nonzero(~accepted)
        if not missing.size:
            return values
        more, good = propose(missing.size, low, high, generator)
        values[missing] = more
        accepted[missing] = good


def _normal_proposals(
    count: int, low: float, high: float, generator: Generator | None
) -> tuple[Tensor, Tensor]:
    x = normal((count,), dtype=float64, generator=generator)
    return x, logical_and(x >= low, x <= high)


def _uniform_proposals(
    count: int, low: float, high: float, generator: Generator | None
) -> tuple[Tensor, Tensor]:
    peak = min(max(low, 0.0), high)
    # Beyond this distance the density is less than 1e-17 of what it is at the peak.
    reach = 80.0 / (abs(peak) + sqrt(peak * peak + 80.0))
    x = uniform((count,), max(low, peak - reach), min(high, peak + reach), dtype=float64, generator=generator)
    bar = uniform((count,), dtype=float64, generator=generator)
    return x, less(bar, exp_of((peak - x) * (peak + x) * 0.5))


# Scaled by the number of inputs and outputs


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much a layer's weights are to be larger, so that the nonlinearity after it keeps the variance.

    Parameters
    ----------
    nonlinearity : str
        ``"linear"``, ``"conv1d"`` to ``"conv_transpose3d"`` and ``"sigmoid"``: 1; ``"tanh"``: 5/3; ``"relu"``: the root
        of 2; ``"leaky_relu"``: the root of ``2 / (1 + slope**2)``; ``"selu"``: 3/4.
    param : float, optional
        The slope of ``"leaky_relu"``, default 0.01.

    Examples
    --------
    >>> round(pn.nn.init.calculate_gain("leaky_relu", 0.2), 4)
    1.3868
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        check_number("param", slope)
        return sqrt(2.0 / (1 + slope**2))
    gains = {**dict.fromkeys(LINEAR, 1.0), "tanh": 5.0 / 3, "relu": sqrt(2.0), "selu": 3.0 / 4}
    if nonlinearity not in gains:
        raise OptionError(
            f"nonlinearity: calculate_gain expects one of {', '.join(NONLINEARITIES)}; got {nonlinearity!r}."
        )
    return gains[nonlinearity]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draw from ``±gain * sqrt(6 / (fan_in + fan_out))`` (Glorot and Bengio, 2010).

    The fans are the numbers of inputs and outputs: ``shape[1]`` and ``shape[0]``, times the size of the kernel.
    """
    fan_in, fan_out = _fans("xavier_uniform_", tensor)
    bound = gain * sqrt(6.0 / (fan_in + fan_out)) if fan_in + fan_out else 0.0
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draw with the standard deviation ``gain * sqrt(2 / (fan_in + fan_out))``; see :func:`xavier_uniform_`."""
    fan_in, fan_out = _fans("xavier_normal_", tensor)
    return normal_(tensor, 0.0, gain * sqrt(2.0 / (fan_in + fan_out)) if fan_in + fan_out else 0.0, generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Draw from ``±gain * sqrt(3 / fan)``, which keeps the variance through rectifiers (He et al., 2015).

    Parameters
    ----------
    tensor : Tensor
        At least two axes: (outputs, inputs, *kernel).
    a : float, default 0
        The slope of the rectifier below 0.
    mode : str, default "fan_in"
        ``"fan_in"`` keeps the variance forward, ``"fan_out"`` backward.
    nonlinearity : str, default "leaky_relu"
        As for :func:`calculate_gain`.
    generator : Generator, optional
        Default: the one that :func:`portanet.manual_seed` seeds.
    """
    bound = sqrt(3.0) * _kaiming_deviation("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Draw with the standard deviation ``gain / sqrt(fan)``; arguments as for :func:`kaiming_uniform_`."""
    return normal_(
        tensor, 0.0, _kaiming_deviation("kaiming_normal_", tensor, a, mode, nonlinearity), generator
    )


def _kaiming_deviation(function: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan_in, fan_out = _fans(function, tensor)
    if mode not in ("fan_in", "fan_out"):
        raise OptionError(f"mode: {function} expects 'fan_in' or 'fan_out', got {mode!r}.")
    fan = fan_in if mode == "fan_in" else fan_out
    gain = calculate_gain(nonlinearity, a)
    return gain / sqrt(fan) if fan else 0.0


def _fans(function: str, tensor: Tensor) -> tuple[int, int]:
    """The numbers of inputs and outputs of a layer with these weights."""
    _check(tensor)
    if tensor.ndim < 2:
        raise ShapeError(
            f"tensor: {function} expects weights of shape (outputs, inputs, ...), got {tensor.shape}. "
            "Fill biases with zeros_."
        )
    outputs, inputs, *kernel = tensor.shape
    return inputs * prod(kernel), outputs * prod(kernel)


# Matrices of a certain form


def eye_(tensor: Tensor) -> Tensor:
    """Set a matrix to the identity: 1 on the diagonal, 0 elsewhere."""
    _check(tensor)
    _check_matrix("eye_", tensor)
    with use_backend("numpy"):
        return _fill(tensor, eye(*tensor.shape, dtype=float64))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Set a convolution's weights so that it hands as many channels through as it can.

    Parameters
    ----------
    tensor : Tensor
        Shape (outputs, inputs, *kernel) with one to three kernel axes.
    groups : int, default 1
        A divisor of the outputs; each group hands the inputs through.
    """
    _check(tensor)
    groups = whole_number("groups", groups, low=1)
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(
            f"tensor: dirac_ expects weights of a convolution, shape (outputs, inputs, *kernel) with one to three "
            f"kernel axes, got {tensor.shape}."
        )
    outputs, inputs, *kernel = tensor.shape
    if outputs % groups:
        raise OptionError(
            f"groups: dirac_ expects a divisor of the {outputs} outputs of shape {tensor.shape}, got {groups}."
        )
    with use_backend("numpy"):
        rows = reshape(arange(outputs) % max(outputs // groups, 1), (outputs, 1))
        hits = rows == reshape(arange(inputs), (1, inputs))
        hits = reshape(hits, (outputs, inputs, *(1 for _ in kernel)))
        for axis, length in enumerate(kernel):
            line = [1] * tensor.ndim
            line[2 + axis] = length
            hits = logical_and(hits, reshape(arange(length) == length // 2, tuple(line)))
        return _fill(tensor, astype(hits, tensor.dtype))


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Set to a random orthogonal matrix times ``gain`` (Saxe, McClelland and Ganguli, 2014).

    Parameters
    ----------
    tensor : Tensor
        At least two axes; all but the first count as one. Rows are orthogonal, or columns where there are fewer.
    gain : float, default 1
        A factor.
    generator : Generator, optional
        Default: the one that :func:`portanet.manual_seed` seeds.

    Notes
    -----
    By a QR decomposition on the host, in float64, whose signs are such that all orthogonal matrices are equally likely
    (Mezzadri, "How to generate random matrices from the classical compact groups", 2007).
    """
    _check(tensor)
    check_number("gain", gain)
    if tensor.ndim < 2:
        raise ShapeError(f"tensor: orthogonal_ expects at least two axes, got shape {tensor.shape}.")
    rows, columns = tensor.shape[0], prod(tensor.shape[1:])
    if not rows * columns:
        return tensor
    with use_backend("numpy"), no_grad():
        tall = (max(rows, columns), min(rows, columns))
        q, r = qr(normal(tall, dtype=float64, generator=generator))
        values = q * sign(diagonal(r)) * float(gain)
        values = reshape(matrix_transpose(values) if rows < columns else values, tensor.shape)
    return _fill(tensor, values)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Draw a matrix from the normal distribution and set a share of each column to 0 (Martens, 2010).

    Parameters
    ----------
    tensor : Tensor
        Two axes.
    sparsity : float
        The share of zeros in each column, from 0 to 1; their number is rounded up.
    std : float, default 0.01
        The standard deviation of the others.
    generator : Generator, optional
        Default: the one that :func:`portanet.manual_seed` seeds.
    """
    _check(tensor)
    _check_matrix("sparse_", tensor)
    check_number("sparsity", sparsity, low=0.0, high=1.0)
    with use_backend("numpy"), no_grad():
        values = normal(tensor.shape, 0.0, std, dtype=float64, generator=generator)
        keys = uniform(tensor.shape, dtype=float64, generator=generator)
        ranks = argsort(argsort(keys, axis=0), axis=0)
        values = where(ranks < ceil(sparsity * tensor.shape[0]), values * 0.0, values)
    return _fill(tensor, values)


def _check_matrix(function: str, tensor: Tensor) -> None:
    if tensor.ndim != 2:
        raise ShapeError(f"tensor: {function} expects a matrix, two axes; got shape {tensor.shape}.")
