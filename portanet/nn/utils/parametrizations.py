"""Weight normalisation, spectral normalisation and orthogonal weights; with PyTorch's names and state_dict keys."""

from __future__ import annotations

from typing import Any, TypeVar

from portanet.backend import require_backend_of
from portanet.checks import check_number, whole_number
from portanet.dtypes import complex64, complex128, float32, float64
from portanet.errors import AxisError, OptionError, ShapeError
from portanet.functions.creation import eye
from portanet.functions.elementwise import abs as absolute
from portanet.functions.elementwise import conj, divide, multiply, where
from portanet.functions.linear_algebra import matmul, vecdot
from portanet.functions.manipulation import broadcast_to, concat, matrix_transpose, moveaxis, reshape
from portanet.functions.reductions import all as all_of
from portanet.graph import no_grad
from portanet.linalg import vector_norm
from portanet.nn.convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from portanet.nn.functional.distances import normalize
from portanet.nn.functional.normalization import rebind
from portanet.nn.module import Module
from portanet.nn.utils.orthogonal_maps import (
    cayley,
    identity_beside,
    matrix_exp,
    orthonormalized,
    product_of_reflections,
    reflections_of,
    skew,
)
from portanet.nn.utils.parametrize import register_parametrization
from portanet.protocols import Array
from portanet.random import normal
from portanet.tensor import Tensor, unwrap

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]

M = TypeVar("M", bound=Module)


def tensor_of(module: Module, name: str) -> Tensor:
    """The parameter or buffer of this name."""
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise OptionError(f"name: {type(module).__name__} has no parameter or buffer named {name!r}.")
    return weight


# Weight normalisation


def norm_except(v: Array, dim: int | None) -> Any:
    """The norm of each slice along ``dim``, which keeps its length; of everything if ``dim`` is None or -1."""
    ndim = len(unwrap(v).shape)
    if dim is None or dim == -1:
        return vector_norm(v)
    if not -ndim <= dim < ndim:
        raise AxisError(
            f"dim: weight_norm expects an axis of the weight, which has {ndim}, or None, got {dim}."
        )
    axes = tuple(axis for axis in range(ndim) if axis != dim % ndim)
    return vector_norm(v, axis=axes, keepdims=True) if axes else absolute(v)


class _WeightNorm(Module):
    """``g * v / norm(v)``."""

    def __init__(self, dim: int | None = 0) -> None:
        self.dim = dim

    def forward(self, weight_g: Array, weight_v: Array) -> Any:
        return multiply(weight_v, divide(weight_g, norm_except(weight_v, self.dim)))

    def right_inverse(self, weight: Array) -> tuple[Any, Any]:
        return norm_except(weight, self.dim), weight


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Learn the length and the direction of weights apart: ``weight = g * v / norm(v)``.

    Salimans and Kingma, "Weight normalization", NeurIPS 2016.

    Parameters
    ----------
    module : Module
        What has the weight; it is changed, see
        :func:`portanet.nn.utils.parametrize.register_parametrization`.
    name : str, default "weight"
        Of the parameter.
    dim : int or None, default 0
        The axis along which each slice has a length of its own; None, or -1, for one length of the whole.

    Returns
    -------
    Module
        The module, with ``parametrizations.weight.original0``, the lengths ``g``, and ``original1``, which is ``v``:
        two new parameters, for the optimizer to be given.

    Examples
    --------
    >>> from portanet.nn.utils.parametrizations import weight_norm
    >>> layer = weight_norm(pn.nn.Linear(3, 2))
    >>> {key: value.shape for key, value in layer.state_dict().items()}
    {'bias': (2,), 'parametrizations.weight.original0': (2, 1), 'parametrizations.weight.original1': (2, 3)}
    """
    if dim is not None:
        whole_number("dim", dim)
    tensor_of(module, name)
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


# Spectral normalisation


def matrix_of(weight: Array, dim: int) -> Any:
    """The weight as a matrix, of the axis ``dim`` by all others."""
    front = moveaxis(weight, dim, 0)
    return reshape(front, (unwrap(front).shape[0], -1))


def axis_of_outputs(module: Module, dim: int | None) -> int:
    """The axis that spectral normalisation takes unless told otherwise: 0, and 1 for transposed convolutions."""
    if dim is None:
        return int(isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)))
    return dim


class _SpectralNorm(Module):
    """``weight / sigma``, with the largest singular value as the vectors ``_u`` and ``_v`` give it."""

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        ndim = weight.ndim
        if not -ndim <= dim < ndim:
            raise AxisError(f"dim: spectral_norm expects an axis of the weight, which has {ndim}, got {dim}.")
        self.n_power_iterations = whole_number("n_power_iterations", n_power_iterations, low=1)
        check_number("eps", eps, low=0.0)
        self.dim = dim % ndim
        self.eps = eps
        if ndim > 1:
            with no_grad():
                matrix = matrix_of(weight.detach(), self.dim)
                self.register_buffer("_u", self._unit(drawn_beside((matrix.shape[0],), weight)))
                self.register_buffer("_v", self._unit(drawn_beside((matrix.shape[1],), weight)))
                self._iterate(matrix, 15)

    def _unit(self, vector: Any) -> Any:
        return normalize(vector, dim=0, eps=self.eps)

    def _iterate(self, matrix: Any, times: int) -> tuple[Any, Any]:
        """The singular vectors after some more power iterations; buffers take on their values, raw arrays do not."""
        u, v = self._u, self._v
        with no_grad():
            adjoint = conj(matrix_transpose(matrix))
            for _ in range(times):
                u = self._unit(matmul(matrix, v))
                v = self._unit(matmul(adjoint, u))
        for place, values in ((self._u, u), (self._v, v)):
            if isinstance(place, Tensor):
                rebind(place, unwrap(values))
        return u, v

    def forward(self, weight: Array) -> Any:
        if len(unwrap(weight).shape) == 1:
            return self._unit(weight)
        matrix = matrix_of(weight, self.dim)
        u, v = self._iterate(matrix, self.n_power_iterations) if self.training else (self._u, self._v)
        return divide(weight, vecdot(u, matmul(matrix, v)))

    def right_inverse(self, value: Array) -> Any:
        return value


def drawn_beside(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Standard normal values of the data type and in the place of a Tensor."""
    real = {complex64: float32, complex128: float64}.get(like.dtype, like.dtype)
    return normal(shape, dtype=real, device=like.device).to(dtype=like.dtype)


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> M:
    """Divide a weight by its largest singular value, so that the layer is no steeper than 1.

    Miyato et al., "Spectral normalization for generative adversarial networks", ICLR 2018. The singular vectors are
    buffers, ``_u`` and ``_v``. In training mode each look at the weight brings them nearer by some power iterations; in
    evaluation mode they stay. A vector is divided by its norm.

    Parameters
    ----------
    module : Module
        What has the weight; it is changed, see
        :func:`portanet.nn.utils.parametrize.register_parametrization`.
    name : str, default "weight"
        Of the parameter. One with more than two axes counts as a matrix, of ``dim`` by all others.
    n_power_iterations : int, default 1
        How many at each look.
    eps : float, default 1e-12
        What norms of vectors are at least.
    dim : int, optional
        The axis of the outputs; default 0, and 1 for transposed convolutions.

    Returns
    -------
    Module
        The module.

    Examples
    --------
    >>> from portanet.nn.utils.parametrizations import spectral_norm
    >>> layer = spectral_norm(pn.nn.Linear(3, 2))
    >>> for _ in range(50):
    ...     weight = layer.weight
    >>> round(pn.linalg.matrix_norm(weight, ord=2).item(), 3)
    1.0
    """
    weight = tensor_of(module, name)
    axis = axis_of_outputs(module, dim)
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, axis, eps))


# Orthogonal weights

MAPS = ("matrix_exp", "cayley", "householder")


class _Orthogonal(Module):
    """An orthogonal matrix of any matrix, by one of the maps, times ``base`` if there is one."""

    base: Tensor | None

    def __init__(self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool = True) -> None:
        if orthogonal_map == "householder" and weight.dtype.kind == "complex floating":
            raise OptionError(
                "orthogonal_map: 'householder' is for real weights, and this one is complex. Use 'matrix_exp' or "
                "'cayley'."
            )
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        self.use_trivialization = use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Array) -> Any:
        rows, columns = unwrap(x).shape[-2:]
        wide = rows < columns
        tall = matrix_transpose(x) if wide else x
        if self.orthogonal_map == "householder":
            q = product_of_reflections(tall)
        else:
            exponential = matrix_exp if self.orthogonal_map == "matrix_exp" else cayley
            q = exponential(skew(tall))[..., : min(rows, columns)]
        if self.use_trivialization:
            q = matmul(self.base, q)
        return matrix_transpose(q) if wide else q

    def right_inverse(self, q: Tensor) -> Tensor:
        if q.shape != self.shape:
            raise ShapeError(f"value: orthogonal expects shape {self.shape}, got {q.shape}.")
        rows, columns = q.shape[-2:]
        wide = rows < columns
        tall = matrix_transpose(q) if wide else q
        if not self.use_trivialization:
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    f"orthogonal: with use_trivialization=False nothing can be assigned to a weight that is made by "
                    f"{self.orthogonal_map}. Use use_trivialization=True or orthogonal_map='householder'."
                )
            inverse: Tensor = reflections_of(tall)
            return matrix_transpose(inverse) if wide else inverse
        n, k = tall.shape[-2:]
        if n > k:
            rest = drawn_beside((*tall.shape[:-2], n, n - k), tall)
            self.base = orthonormalized(concat([tall, rest], axis=-1))
        else:
            self.base = where(_is_orthogonal(tall), tall, orthonormalized(tall))
        start = eye(rows, columns, dtype=q.dtype, device=q.device) * -1.0
        return broadcast_to(start, q.shape)  # type: ignore[no-any-return]


def _is_orthogonal(q: Tensor) -> Tensor:
    """Whether all matrices are, up to rounding."""
    backend = require_backend_of(q._data, "value")
    tolerance = 10.0 * q.shape[-2] * float(backend.namespace.finfo(q._data.dtype).eps)
    identity = identity_beside(q, q.shape[-1])
    off = absolute(matmul(conj(matrix_transpose(q)), q) - identity)
    return all_of(off <= tolerance + 1e-5 * absolute(identity))  # type: ignore[no-any-return]


def orthogonal(
    module: M, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> M:
    """Keep a weight orthogonal: its columns, or rows if there are fewer of them, are orthonormal.

    With a skew matrix ``A`` of the lower triangle of the original, ``A = X - X.T``, the weight is ``exp(A)``
    (``"matrix_exp"``) or ``(I - A / 2)^-1 (I + A / 2)`` (``"cayley"``); or it is a product of reflections whose normal
    vectors stand below the diagonal of the original (``"householder"``). Lezcano-Casado and Martínez-Rubio, "Cheap
    orthogonal constraints in neural networks", ICML 2019; Lezcano-Casado, "Trivializations for gradient-based
    optimization on manifolds", NeurIPS 2019.

    Parameters
    ----------
    module : Module
        What has the weight; it is changed, see
        :func:`portanet.nn.utils.parametrize.register_parametrization`.
    name : str, default "weight"
        Of the parameter, shape (..., m, n), each matrix by itself.
    orthogonal_map : str, optional
        ``"matrix_exp"``, ``"cayley"`` or ``"householder"``; default ``"matrix_exp"`` for square or complex matrices,
        else ``"householder"``.
    use_trivialization : bool, default True
        Multiply by a constant orthogonal matrix, the buffer ``base``, so that the original can begin where the map
        is simplest; the weight begins as the orthogonal matrix of the QR decomposition of what it was.

    Returns
    -------
    Module
        The module.

    Notes
    -----
    ``"matrix_exp"`` does the same work whatever the values. It is exact to rounding as long as the absolute values in
    each column of ``A`` sum up to 1024 at most.

    Examples
    --------
    >>> from portanet.nn.utils.parametrizations import orthogonal
    >>> layer = orthogonal(pn.nn.Linear(4, 2))
    >>> bool(pn.all(pn.abs(layer.weight @ layer.weight.T - pn.eye(2)) < 1e-5))
    True
    """
    weight = tensor_of(module, name)
    if weight.ndim < 2:
        raise ShapeError(
            f"name: orthogonal expects a matrix or several, got {name!r} of shape {weight.shape}."
        )
    if orthogonal_map is None:
        square = weight.shape[-1] == weight.shape[-2] or weight.dtype.kind == "complex floating"
        orthogonal_map = "matrix_exp" if square else "householder"
    if orthogonal_map not in MAPS:
        raise OptionError(f"orthogonal_map: expected {' or '.join(map(repr, MAPS))}, got {orthogonal_map!r}.")
    map_ = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    return register_parametrization(module, name, map_, unsafe=True)
