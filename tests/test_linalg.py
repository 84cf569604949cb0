"""Linear algebra on every backend: values, gradients of every order, data types, singular cases, and what is refused.

Decompositions are not unique, so they are tested by what does not depend on the library's choice.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import linalg
from portanet.backend import backend_named
from portanet.errors import DTypeError, GradientError, MixedBackendError, OptionError, ShapeError
from portanet.tensor import RECORDED_OPS
from portanet.testing import gradcheck, gradgradcheck
from portanet.testing.samples import Sample
from portanet.testing.samples.linear_algebra import (
    COMPOSED,
    NOT_UNIQUE,
    SAMPLES,
    WITHOUT_GRADIENT,
    adjoint,
    hermitian,
    of_eig,
    of_eigh,
    of_qr,
    of_svd,
    regular,
    singular,
    unsymmetric,
)

DECOMPOSED: dict[Callable[..., Any], list[Sample]] = {
    RECORDED_OPS[op]: samples for op, samples in NOT_UNIQUE.items()
}
FIELDS = {
    "eig": ("eigenvalues", "eigenvectors"),
    "eigh": ("eigenvalues", "eigenvectors"),
    "qr": ("Q", "R"),
    "slogdet": ("sign", "logabsdet"),
    "svd": ("U", "S", "Vh"),
}


def by_name(function: Any) -> str:
    return function.__name__


def tried(samples: list[Sample], backend: str, rng: Any) -> Iterator[tuple[Sample, list[Any], str]]:
    for sample in samples[: 1 if backend == "jax" else None]:
        operands = sample.operands(rng)
        note = f"shapes {[np.shape(x) for x in operands]}, options {sample.options}"
        yield sample, operands, note


def parts(found: Any) -> list[Any]:
    return list(found) if isinstance(found, tuple) else [found]


def options_of(sample: Sample) -> dict[str, Any]:
    return {name: getattr(pn, value) if name == "dtype" else value for name, value in sample.options.items()}


def narrow(x: Any) -> Any:
    return x.astype("complex64" if np.iscomplexobj(x) else "float32") if isinstance(x, np.ndarray) else x


def hermitian_conjugate(x: Any) -> Any:
    return pn.conj(pn.matrix_transpose(x))


def check_decomposition(function: Any, x: Any, found: Any, options: dict[str, Any], bound: float) -> None:
    """That the parts are what they should be, as NumPy arrays."""
    close = lambda one, other: np.testing.assert_allclose(one, other, rtol=bound, atol=bound)  # noqa: E731
    *stack, m, n = x.shape
    k = min(m, n)
    if function is linalg.eig:
        w, v = found
        assert w.shape == (*stack, n)
        assert v.shape == x.shape
        assert np.iscomplexobj(w)
        assert np.iscomplexobj(v)
        close(x @ v, v * w[..., None, :])
        close(np.sum(np.abs(v) ** 2, axis=-2), np.ones((*stack, n)))
    elif function is linalg.eigh:
        w, v = found
        assert w.shape == (*stack, n)
        assert not np.iscomplexobj(w)
        close((v * w[..., None, :]) @ adjoint(v), x)
        close(adjoint(v) @ v, np.broadcast_to(np.eye(n), x.shape))
    elif function is linalg.qr:
        q, r = found
        rows = m if options.get("mode") == "complete" else k
        assert q.shape == (*stack, m, rows)
        assert r.shape == (*stack, rows, n)
        close(q @ r, x)
        close(adjoint(q) @ q, np.broadcast_to(np.eye(rows), (*stack, rows, rows)))
        close(np.tril(r, -1), np.zeros_like(r))
        close(np.imag(np.diagonal(r, axis1=-2, axis2=-1)), np.zeros((*stack, k)))
    else:
        u, s, vh = found
        left, right = (m, n) if options.get("full_matrices", True) else (k, k)
        assert u.shape == (*stack, m, left)
        assert s.shape == (*stack, k)
        assert vh.shape == (*stack, right, n)
        close((u[..., :, :k] * s[..., None, :]) @ vh[..., :k, :], x)
        close(adjoint(u) @ u, np.broadcast_to(np.eye(left), (*stack, left, left)))
        close(vh @ adjoint(vh), np.broadcast_to(np.eye(right), (*stack, right, right)))
        assert np.all(s[..., :-1] >= s[..., 1:])


# The face


def test_every_function_of_the_standard_is_there() -> None:
    names = {
        *("cholesky", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv", "matmul"),
        *("matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "outer", "pinv", "qr", "slogdet"),
        *("solve", "svd", "svdvals", "tensordot", "trace", "vecdot", "vector_norm"),
    }
    assert {name for name in linalg.__all__ if not name.endswith("Result")} == names
    for name in ("matmul", "matrix_transpose", "tensordot", "vecdot"):
        assert getattr(linalg, name) is getattr(pn, name)
    tested = {function.__name__ for function in {**SAMPLES, **COMPOSED, **DECOMPOSED, **WITHOUT_GRADIENT}}
    assert tested == names - {"matmul", "matrix_transpose", "tensordot", "vecdot"}
    for name in tested:
        parameters = list(inspect.signature(getattr(linalg, name)).parameters.values())
        operands = 2 if name in ("cross", "matrix_power", "outer", "solve") else 1
        assert all(p.kind == p.POSITIONAL_ONLY for p in parameters[:operands]), name
        assert all(p.kind == p.KEYWORD_ONLY for p in parameters[operands:]), name


@pytest.mark.parametrize("name", FIELDS)
def test_several_results_have_the_names_of_the_standard(name: str, backend: str, rng: Any) -> None:
    x = hermitian(3, 3)(rng)
    for operand in (pn.asarray(x), backend_named(backend).asarray(x, copy=True)):
        found = getattr(linalg, name)(operand)
        assert found._fields == FIELDS[name]
        assert all(isinstance(part, type(operand)) for part in found)


# Values


@pytest.mark.parametrize("function", DECOMPOSED, ids=by_name)
def test_decompositions_are_what_they_should_be(function: Any, backend: str, rng: Any) -> None:
    record = backend_named(backend)
    for sample, (x,), _ in tried(DECOMPOSED[function], backend, rng):
        found = function(pn.asarray(x), **sample.options)
        assert not any(part.requires_grad for part in found)
        check_decomposition(function, x, [part.numpy() for part in found], sample.options, 1e-12)
        raw = function(record.asarray(x, copy=True), **sample.options)
        assert all(isinstance(part, record.array_types()[0]) for part in raw)
        check_decomposition(function, x, [record.to_host(part) for part in raw], sample.options, 1e-12)


@pytest.mark.parametrize("order", ["float32 first", "float64 first"])
def test_solve_takes_the_wider_type(order: str, eager: str, rng: Any) -> None:
    a, b = regular(2, 3, 3)(rng), rng.normal(size=(3, 2))
    a, b = (narrow(a), b) if order == "float32 first" else (a, narrow(b))
    found = linalg.solve(pn.asarray(a), pn.asarray(b))
    assert found.dtype == pn.float64
    np.testing.assert_allclose(found.numpy(), np.linalg.solve(a, b), rtol=1e-12, atol=1e-12)


# Gradients


THIRD: dict[str, Callable[[Any], Any]] = {
    "inv": linalg.inv,
    "pinv": linalg.pinv,
    "det": linalg.det,
    "slogdet": lambda x: linalg.slogdet(x).logabsdet,
    "cholesky": lambda x: linalg.cholesky(x @ hermitian_conjugate(x)),
    "eigh": lambda x: of_eigh(pn, x)[-1],
    "eig": lambda x: of_eig(pn, x)[1],
    "eigvals": lambda x: pn.sum(pn.exp(linalg.eigvals(x)), axis=-1),
    "svd": lambda x: of_svd(pn, x)[3],
    "qr": lambda x: of_qr(pn, x)[0],
    "vector_norm": lambda x: linalg.vector_norm(x, ord=3, axis=0),
}


@pytest.mark.parametrize("name", THIRD)
@pytest.mark.parametrize("draw", [regular(3, 3), regular(2, 2, is_complex=True)], ids=["real", "complex"])
def test_third_derivatives(name: str, draw: Any, rng: Any) -> None:
    x = draw(rng)
    if name in ("eig", "eigvals", "eigh"):
        make = hermitian if name == "eigh" else unsymmetric
        x = make(*x.shape, is_complex=np.iscomplexobj(x))(rng)
    with pn.use_backend("numpy"):
        shape = THIRD[name](pn.asarray(x)).shape
        weights = pn.asarray(rng.normal(size=shape))

        def gradient(x: Any) -> Any:
            total = pn.sum(pn.real(THIRD[name](x) * weights))
            return pn.grad(total, x, create_graph=True)[0]

        assert gradgradcheck(gradient, x, rtol=1e-4, atol=1e-5, projections=1)


def test_the_count_of_numbers_other_than_zero(backend: str) -> None:
    """The norm of order 0."""
    x = pn.Tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]], requires_grad=True)
    for options, expected in (({}, 3), ({"axis": 1}, [2, 1]), ({"axis": ()}, [[1, 0, 1], [0, 0, 1]])):
        found = linalg.vector_norm(x, ord=0, **options)
        assert found.dtype == pn.float32
        assert not found.requires_grad
        np.testing.assert_array_equal(found.numpy(), expected)


# Singular cases


@pytest.mark.parametrize("order", [1, 2, 3, 0.5, 1.5, -1, -2, math.inf, -math.inf])
def test_a_zero_vector_has_the_gradient_zero(order: float, eager: str) -> None:
    """Of first and of second order, beside a vector that is not zero, and for matrices too."""
    values = np.asarray([[0.0, 0.0, 0.0], [1.0, 2.0, 4.0]])
    for kind in ("float64", "complex128"):
        x = pn.Tensor(values.astype(kind), requires_grad=True)
        with np.errstate(divide="ignore"):  # NumPy's own, of a negative power of 0
            (first,) = pn.grad(pn.sum(linalg.vector_norm(x, axis=1, ord=order)), x, create_graph=True)
        np.testing.assert_array_equal(first.detach().numpy()[0], 0)
        assert np.all(np.isfinite(first.detach().numpy()))
        assert np.any(first.detach().numpy()[1] != 0)
        if first.requires_grad:
            (second,) = pn.grad(pn.sum(pn.real(first)), x, allow_unused=True)
            if second is not None:
                np.testing.assert_array_equal(second.numpy()[0], 0)
                assert np.all(np.isfinite(second.numpy()))


@pytest.mark.parametrize("order", ["fro", 1, -1, math.inf, -math.inf])
def test_a_zero_matrix_has_the_gradient_zero(order: Any, eager: str) -> None:
    x = pn.Tensor(np.zeros((2, 3)), requires_grad=True)
    linalg.matrix_norm(x, ord=order).backward()
    np.testing.assert_array_equal(x.grad.numpy(), 0)


def test_elements_that_are_zero_do_not_spoil_the_gradient(eager: str) -> None:
    for order, expected in ((0.5, [0, 2, 2]), (1, [0, 1, 1]), (3, [0, 2 ** (-2 / 3), 2 ** (-2 / 3)])):
        x = pn.Tensor(np.asarray([0.0, 1.0, 1.0]), requires_grad=True)
        linalg.vector_norm(x, ord=order).backward()
        np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12)


def test_those_that_tie_share_the_gradient(eager: str) -> None:
    x = pn.Tensor(np.asarray([3.0, -3.0, 1.0]), requires_grad=True)
    linalg.vector_norm(x, ord=math.inf).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0.5, -0.5, 0])
    y = pn.Tensor(np.eye(2), requires_grad=True)
    linalg.matrix_norm(y, ord=2).backward()
    np.testing.assert_allclose(y.grad.numpy(), np.eye(2) / 2, atol=1e-15)


def polynomial(matrix: Any, direction: Any) -> Any:
    """The coefficients of ``det(matrix + t * direction)`` by powers of t."""
    size = len(matrix)
    places = np.cos(np.pi * (np.arange(size + 1) + 0.5) / (size + 1))
    values = [np.linalg.det(matrix + t * direction) for t in places]
    return np.polynomial.polynomial.polyfit(places, values, size)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6])
def test_derivatives_of_determinants_at_every_rank(size: int, eager: str, rng: Any) -> None:
    """Up to the third, and to the fourth of what has at most three singular values of 0."""
    matrices = [singular(size, size, rank=rank)(rng) for rank in range(1, size)]
    for rank, matrix in enumerate([np.zeros((size, size)), *matrices, np.eye(size)]):
        direction = rng.normal(size=(size, size)) / math.sqrt(size)
        coefficients = polynomial(matrix, direction)
        x = pn.Tensor(matrix, requires_grad=True)
        value = linalg.det(x)
        for order in range(1, 5 if size - rank <= 3 else 4):
            if not value.requires_grad:
                break
            (gradient,) = pn.grad(value, x, create_graph=True)
            value = pn.sum(gradient * pn.asarray(direction))
            expected = math.factorial(order) * coefficients[order] if order <= size else 0
            scale = math.factorial(order) * np.abs(coefficients).max()
            np.testing.assert_allclose(value.item(), expected, rtol=1e-9, atol=1e-10 * scale)


def test_eigenvalues_and_singular_values_may_repeat(eager: str) -> None:
    """Their own first gradient is finite, and right for functions that treat them alike."""
    for function in (linalg.eigvalsh, linalg.svdvals, linalg.eigvals):
        x = pn.Tensor(np.eye(3), requires_grad=True)
        pn.sum(pn.real(function(x)) ** 2).backward()
        np.testing.assert_allclose(x.grad.numpy(), 2 * np.eye(3), atol=1e-12)
    zero = pn.Tensor(np.zeros((2, 3)), requires_grad=True)
    linalg.matrix_norm(zero, ord="nuc").backward()
    assert np.all(np.isfinite(zero.grad.numpy()))


def test_only_the_hermitian_part_counts(backend: str, rng: Any) -> None:
    """The same on every backend, whichever triangle its library reads."""
    x = hermitian(3, 3, is_complex=True, low=0.6, high=1.8)(rng)
    skew = 0.1 * (lambda y: y - adjoint(y))(rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)))
    for function in (
        linalg.cholesky,
        linalg.eigvalsh,
        lambda x: linalg.cholesky(x, upper=True),
        lambda x: of_eigh(pn, x)[-1],
    ):
        np.testing.assert_allclose(
            function(pn.asarray(x + skew)).numpy(), function(pn.asarray(x)).numpy(), rtol=1e-12, atol=1e-12
        )
        leaf = pn.Tensor(x, requires_grad=True)
        result = function(leaf)
        if backend != "jax":
            (gradient,) = pn.grad(result, leaf, pn.asarray(rng.normal(size=result.shape)))
            np.testing.assert_allclose(gradient.numpy(), adjoint(gradient.numpy()), atol=1e-12)


@pytest.mark.parametrize("is_complex", [False, True], ids=["real", "complex"])
def test_pseudo_inverse_of_less_than_full_rank(is_complex: bool, eager: str, rng: Any) -> None:
    """Along changes that keep the rank."""
    factors = [regular(*shape, is_complex=is_complex)(rng) for shape in ((2, 4, 2), (2, 2, 3))]

    def function(left: Any, right: Any) -> Any:
        return linalg.pinv(left @ right)

    product = factors[0] @ factors[1]
    np.testing.assert_allclose(
        function(*map(pn.asarray, factors)).numpy(), np.linalg.pinv(product), atol=1e-12
    )
    assert gradcheck(function, factors, projections=1)
    assert gradgradcheck(function, factors, projections=1)


def test_tolerances_of_singular_values(eager: str) -> None:
    """A number, or one for each matrix, as an array or as a Tensor."""
    x = np.stack([np.diag([4.0, 2.0, 0.2]), np.diag([4.0, 2.0, 0.2])])
    inverse = [np.diag([0.25, 0.5, 5.0]), np.diag([0.25, 0.5, 0.0]), np.diag([0.25, 0.0, 0.0])]
    record = backend_named(eager)
    each = np.asarray([0.1, 0.6])
    for rtol, ranks in ((None, (3, 3)), (0.1, (2, 2)), (0.6, (1, 1)), (each, (2, 1))):
        expected = np.stack([inverse[3 - rank] for rank in ranks])
        choices = [rtol] if rtol is not each else [pn.asarray(rtol), record.asarray(rtol, copy=True)]
        for choice in choices:
            tensor = pn.Tensor(x, requires_grad=True)
            found = linalg.pinv(tensor, rtol=choice)
            np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-12)
            (gradient,) = pn.grad(pn.sum(found), tensor, create_graph=True)
            assert np.all(np.isfinite(gradient.detach().numpy()))
            pn.sum(gradient * gradient).backward()
            rank = linalg.matrix_rank(tensor, rtol=choice)
            assert rank.dtype == pn.int64
            np.testing.assert_array_equal(rank.numpy(), ranks)


# Shapes and numbers


def test_only_an_array_of_one_axis_is_a_vector_to_solve_for(backend: str, rng: Any) -> None:
    a, b = regular(3, 3, 3)(rng), rng.normal(size=(3, 3))
    found = linalg.solve(pn.asarray(a), pn.asarray(b)).numpy()
    np.testing.assert_allclose(a @ found, np.broadcast_to(b, (3, 3, 3)), atol=1e-12)
    found = linalg.solve(pn.asarray(a), pn.asarray(b[0])).numpy()
    np.testing.assert_allclose((a @ found[..., None])[..., 0], np.broadcast_to(b[0], (3, 3)), atol=1e-12)


def test_integers_where_the_standard_takes_them(eager: str) -> None:
    x = pn.asarray([[1, 2, 3], [4, 5, 6]])
    assert linalg.trace(x).item() == 6
    assert linalg.trace(x).dtype == pn.int64
    assert linalg.trace(pn.astype(x, pn.int16)).dtype == pn.int64
    assert linalg.trace(pn.astype(x, pn.float32), dtype=pn.float64).dtype == pn.float64
    np.testing.assert_array_equal(linalg.diagonal(x, offset=1).numpy(), [2, 6])
    np.testing.assert_array_equal(linalg.outer(x[0, ...], x[1, ...]).numpy(), np.outer([1, 2, 3], [4, 5, 6]))
    np.testing.assert_array_equal(linalg.cross(x[0, ...], x[1, ...]).numpy(), [-3, 6, -3])
    assert linalg.cross(x[0, ...], x[1, ...]).dtype == pn.int64


def test_the_power_zero_is_the_identity(backend: str, rng: Any) -> None:
    x = rng.normal(size=(2, 3, 3)).astype("float32")
    record = backend_named(backend)
    found = linalg.matrix_power(pn.Tensor(x, requires_grad=True), 0)
    assert not found.requires_grad
    assert found.dtype == pn.float32
    np.testing.assert_array_equal(found.numpy(), np.broadcast_to(np.eye(3), (2, 3, 3)))
    raw = linalg.matrix_power(record.asarray(x, copy=True), 0)
    assert isinstance(raw, record.array_types()[0])


def test_eigenvalues_are_the_same_with_and_without_a_gradient(eager: str, rng: Any) -> None:
    x = unsymmetric(2, 4, 4)(rng)
    recorded = linalg.eigvals(pn.Tensor(x, requires_grad=True))
    plain = linalg.eigvals(pn.asarray(x))
    assert recorded.requires_grad
    with pn.no_grad():
        assert not linalg.eigvals(pn.Tensor(x, requires_grad=True)).requires_grad
    for one, other in zip(recorded.detach().numpy(), plain.numpy(), strict=True):
        np.testing.assert_allclose(np.sort_complex(np.round(one, 8)), np.sort_complex(np.round(other, 8)))


def test_eigenvalues_are_complex_even_if_they_are_real(backend: str) -> None:
    x = pn.asarray(np.diag([1.0, 2.0, 4.0]), dtype=pn.float32)
    assert linalg.eigvals(x).dtype == pn.complex64
    found = linalg.eig(x)
    assert found.eigenvalues.dtype == found.eigenvectors.dtype == pn.complex64
    np.testing.assert_allclose(np.sort(found.eigenvalues.numpy().real), [1, 2, 4], rtol=1e-6)


def test_the_sign_of_a_real_determinant_has_no_gradient(eager: str, rng: Any) -> None:
    sign, logarithm = linalg.slogdet(pn.Tensor(regular(3, 3)(rng), requires_grad=True))
    assert not sign.requires_grad
    assert logarithm.requires_grad
    with pytest.raises(GradientError):
        sign.backward()


# What is refused

SQUARE_ONLY = [
    *(linalg.cholesky, linalg.det, linalg.eig, linalg.eigh, linalg.eigvals, linalg.eigvalsh, linalg.inv),
    *(linalg.slogdet, lambda x: linalg.matrix_power(x, 2), lambda x: linalg.solve(x, pn.ones((2,)))),
]
MATRICES_ONLY = [
    *(*SQUARE_ONLY, linalg.qr, linalg.svd, linalg.svdvals, linalg.pinv, linalg.matrix_rank),
    *(linalg.matrix_norm, linalg.diagonal, linalg.trace),
]
FLOATS_ONLY = [*MATRICES_ONLY[:-2], linalg.vector_norm, lambda x: linalg.solve(pn.ones((2, 2)), x)]


@pytest.mark.parametrize("function", SQUARE_ONLY)
def test_matrices_must_be_square(function: Any, backend: str) -> None:
    with pytest.raises(ShapeError, match=r"square.*\(2, 3\)"):
        function(pn.ones((2, 3)))


@pytest.mark.parametrize("function", MATRICES_ONLY)
def test_vectors_are_no_matrices(function: Any, backend: str) -> None:
    for shape in ((), (2,)):
        with pytest.raises(ShapeError, match="matrix"):
            function(pn.ones(shape))


@pytest.mark.parametrize("function", FLOATS_ONLY)
def test_integers_are_refused_where_the_standard_refuses_them(function: Any, backend: str) -> None:
    for dtype in (pn.int64, pn.bool):
        with pytest.raises(DTypeError, match="floating-point"):
            function(pn.ones((2, 2), dtype=dtype))


@pytest.mark.parametrize(
    ("a", "b"), [((3, 3), ()), ((3, 3), (2,)), ((3, 3), (2, 3)), ((2, 3, 3), (2, 2, 3)), ((0, 0), (1,))]
)
def test_right_hand_sides_must_fit(a: Any, b: Any, backend: str) -> None:
    with pytest.raises(ShapeError, match="x2: solve expects"):
        linalg.solve(pn.ones(a), pn.ones(b))


@pytest.mark.parametrize(
    "call",
    [
        lambda: linalg.cross(pn.ones((2,)), pn.ones((2,))),
        lambda: linalg.cross(pn.ones((3,)), pn.ones((2, 1))),
        lambda: linalg.cross(pn.ones((3,)), pn.ones((3, 2)), axis=-2),
        lambda: linalg.cross(pn.ones((3, 2)), pn.ones((1, 3, 2)), axis=0),
        lambda: linalg.cross(pn.ones(()), pn.ones(())),
        lambda: linalg.outer(pn.ones((2, 2)), pn.ones((2,))),
        lambda: linalg.outer(pn.ones((2,)), pn.ones(())),
        lambda: linalg.vector_norm(pn.ones((2, 2)), axis=2),
        lambda: linalg.vector_norm(pn.ones((2, 2)), axis=(0, -3)),
        lambda: linalg.matrix_norm(pn.ones((2, 0)), ord=-2),
        lambda: linalg.matrix_norm(pn.ones((0, 2)), ord=-math.inf),
    ],
)
def test_shapes_that_are_refused(call: Any, backend: str) -> None:
    with pytest.raises(ShapeError):
        call()


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda x: linalg.qr(x, mode="raw"), "mode"),
        (lambda x: linalg.matrix_norm(x, ord=3), "ord"),
        (lambda x: linalg.matrix_norm(x, ord="max"), "ord"),
        (lambda x: linalg.vector_norm(x, ord="fro"), "ord"),
        (lambda x: linalg.matrix_power(x, 1.5), "n"),
    ],
)
def test_options_that_are_refused(call: Any, what: str, backend: str) -> None:
    with pytest.raises(OptionError, match=f"^{what}: "):
        call(pn.ones((2, 2)))


def test_what_is_no_array_is_refused() -> None:
    for function, arguments in itertools.chain(
        ((function, ([[1.0]],)) for function in (linalg.inv, linalg.matrix_norm, linalg.eigh, linalg.trace)),
        [
            (linalg.matrix_power, ([[1.0]], 2)),
            (linalg.cross, ([1.0], [1.0])),
            (linalg.outer, ([1.0], pn.ones((1,)))),
        ],
    ):
        with pytest.raises(DTypeError):
            function(*arguments)
    with pytest.raises(DTypeError, match="x2"):
        linalg.solve(pn.ones((2, 2)), 1.0)


def test_a_tolerance_of_another_backend_is_refused() -> None:
    pytest.importorskip("array_api_strict")
    with pn.use_backend("array-api-strict"):
        rtol = pn.asarray([0.1])
    for function in (linalg.pinv, linalg.matrix_rank):
        with pn.use_backend("numpy"), pytest.raises(MixedBackendError):
            function(pn.ones((1, 2, 2)), rtol=rtol)


def test_a_matrix_without_an_inverse_is_the_librarys_error() -> None:
    with pn.use_backend("numpy"), pytest.raises(np.linalg.LinAlgError) as caught:
        linalg.inv(pn.zeros((2, 2)))
    assert any("portanet.inv" in note for note in caught.value.__notes__)
