"""Linear algebra against PyTorch: values, gradients, and gradients of gradients, of real and complex matrices."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import linalg
from portanet.ops import inverses
from portanet.tensor import RECORDED_OPS
from portanet.testing.samples.linear_algebra import (
    COMPOSED,
    SAMPLES,
    Sample,
    hermitian,
    leading,
    regular,
    unsymmetric,
)
from tests.parity.comparison import BOUNDS, DTYPES

torch = pytest.importorskip("torch", reason="it is what these tests compare with")

UNIQUE: dict[Callable[..., Any], list[Sample]] = {
    **{RECORDED_OPS[op]: samples for op, samples in SAMPLES.items()},
    **COMPOSED,
}


def reordered(name: str) -> Callable[..., Any]:
    """A norm of PyTorch's, with the standard's names of options."""
    function = getattr(torch.linalg, name)

    def called(x: Any, *, axis: Any = None, keepdims: bool = False, ord: Any = None) -> Any:
        options = {} if name == "matrix_norm" else {"dim": axis}
        default = "fro" if name == "matrix_norm" else 2
        return function(x, ord=default if ord is None else ord, keepdim=keepdims, **options)

    return called


def solve(a: Any, b: Any) -> Any:
    """PyTorch takes some stacks of matrices for stacks of vectors, and nothing of mixed types."""
    kind = torch.result_type(a, b)
    a, b = a.to(kind), b.to(kind)
    return torch.linalg.solve(a, b if b.ndim == 1 else b.reshape((1,) * (a.ndim - b.ndim) + b.shape))


def cholesky(x: Any, *, upper: bool = False) -> Any:
    """PyTorch's gradient is that of one triangle or the other; portanet's is that of the Hermitian part."""
    return torch.linalg.cholesky((x + x.mH) / 2, upper=upper)


def diagonal(x: Any, *, offset: int = 0) -> Any:
    return torch.diagonal(x, offset=offset, dim1=-2, dim2=-1)


def cross(x: Any, y: Any, *, axis: int = -1) -> Any:
    kind = torch.result_type(x, y)
    x, y = torch.broadcast_tensors(x.to(kind), y.to(kind))
    return torch.linalg.cross(x, y, dim=axis)


PEERS: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(torch.linalg, name)
        for name in (
            "det",
            "eigvals",
            "eigvalsh",
            "inv",
            "matrix_power",
            "pinv",
            "slogdet",
            "svdvals",
        )
    },
    "cholesky": cholesky,
    "cross": cross,
    "diagonal": diagonal,
    "matrix_norm": reordered("matrix_norm"),
    "outer": torch.outer,
    "solve": solve,
    "trace": lambda x, *, offset=0, dtype=None: diagonal(x, offset=offset).sum(-1),
    "vector_norm": reordered("vector_norm"),
}


MOST = {"numpy": None, "jax": 1}
"""How many samples are tried on a backend: the rules are the same on all, and tests/test_linalg.py tries them there."""


def parts(found: Any) -> list[Any]:
    return list(found) if isinstance(found, (tuple, list)) else [found]


def values(x: Any) -> Any:
    x = x.detach()
    return np.asarray((x.resolve_conj().resolve_neg() if isinstance(x, torch.Tensor) else x).numpy())


def near(found: Any, expected: Any, bound: float, note: str, terms: float = 0.0) -> None:
    """``terms`` is the size of what was added up, which counts as well: a sum may come out near 0 by chance."""
    mine, its = values(found), values(expected)
    assert (mine.shape, mine.dtype) == (its.shape, its.dtype), note
    if mine.size:
        error = np.abs(mine - its).max() / max(np.abs(its).max(), terms, np.finfo(its.dtype).tiny)
        assert error < bound, f"{note}: relative error {error:.1e}"


def narrow(x: Any) -> Any:
    return x.astype("complex64" if np.iscomplexobj(x) else "float32")


def well_posed(function: Any, sample: Sample, operands: list[Any]) -> bool:
    """What PyTorch can do, too: no norm of no numbers, no gradient of singular matrices, no norm along no axis."""
    x = operands[0]
    if function in (linalg.vector_norm, linalg.matrix_norm):
        return bool(x.size) and sample.options.get("axis") != ()
    if function is linalg.det and x.size:
        return bool(np.all(np.linalg.matrix_rank(x) == x.shape[-1]))
    return True


def compare(
    ours: list[Any], theirs: list[Any], pair: tuple[Any, Any], dtype: str, rng: Any, note: str
) -> None:
    """The results of two functions, and the gradients of both by the same cotangents, of first and second order."""
    bound = BOUNDS[dtype]
    found, expected = parts(pair[0](*ours)), parts(pair[1](*theirs))
    cotangents = []
    for one, other in zip(found, expected, strict=True):
        near(one, other, bound, note, 1.0)
        weights = rng.normal(size=one.shape) + 1j * rng.normal(size=one.shape)
        kind = values(other).dtype
        cotangents.append(weights.astype(kind) if kind.kind == "c" else weights.real.astype(kind))
    wanted = [i for i, part in enumerate(found) if part.requires_grad]
    first = pn.grad(
        [found[i] for i in wanted], ours, [pn.asarray(cotangents[i]) for i in wanted], create_graph=True
    )
    truth = torch.autograd.grad(
        [expected[i] for i in wanted],
        theirs,
        [torch.tensor(cotangents[i]) for i in wanted],
        create_graph=True,
    )
    size = max((np.abs(values(true)).max() for true in truth if true.numel()), default=0.0)
    for mine, its in zip(first, truth, strict=True):
        near(mine, its, 10 * bound, f"{note}, gradient", size)
    if not all(any(g.requires_grad for g in gradients) for gradients in (first, truth)):  # they are constant
        return
    total = sum(pn.sum(pn.real(mine * pn.conj(mine))) for mine in first if mine.requires_grad)
    its_total = sum((its * its.conj()).real.sum() for its in truth if its.requires_grad)
    seconds = pn.grad(total, ours, allow_unused=True)
    its_seconds = torch.autograd.grad(its_total, theirs, allow_unused=True)
    size = max((np.abs(values(t)).max() for t in its_seconds if t is not None and t.numel()), default=0.0)
    for mine, its in zip(seconds, its_seconds, strict=True):
        if mine is not None and its is not None:
            near(mine, its, 20 * bound, f"{note}, second gradient", max(size, 1.0))


def test_every_function_is_compared() -> None:
    assert {function.__name__ for function in UNIQUE} == set(PEERS)


@DTYPES
@pytest.mark.parametrize("function", UNIQUE, ids=lambda function: function.__name__)
def test_value_and_gradients_are_pytorchs(function: Any, dtype: str, backend: str, rng: Any) -> None:
    for sample in UNIQUE[function][: MOST.get(backend, 3)]:
        operands = sample.operands(rng)
        if not well_posed(function, sample, operands):
            continue
        note = f"shapes {[np.shape(x) for x in operands]}, options {sample.options}"
        options = {name: value for name, value in sample.options.items() if name != "dtype"}
        arrays = [x for x in operands if isinstance(x, np.ndarray)]
        numbers = [x for x in operands if not isinstance(x, np.ndarray)]
        if dtype == "float32":
            arrays = [narrow(x) for x in arrays]
        pair = [
            lambda *x, f=f, numbers=numbers, options=options: f(*x, *numbers, **options)
            for f in (function, PEERS[function.__name__])
        ]
        ours = [pn.Tensor(x, requires_grad=True) for x in arrays]
        theirs = [torch.tensor(x, requires_grad=True) for x in arrays]
        compare(ours, theirs, (pair[0], pair[1]), dtype, rng, note)


# Decompositions, by what does not depend on the choice of signs and phases. `m` is either library.


def transposed(m: Any, x: Any) -> Any:
    return x.mT if m is pn else x.mH.conj()


def conjugated(m: Any, x: Any) -> Any:
    return m.conj(transposed(m, x))


def squares(m: Any, x: Any) -> Any:
    return m.real(x * m.conj(x))


def of_eigh(m: Any, x: Any) -> list[Any]:
    w, v = m.linalg.eigh((x + conjugated(m, x)) / 2)
    return [w, squares(m, v), (v * m.exp(w)[..., None, :]) @ conjugated(m, v)]


def of_eig(m: Any, x: Any) -> list[Any]:
    w, v = m.linalg.eig(x)
    projected = (v * (w * w)[..., None, :]) @ m.linalg.inv(v)
    return [m.exp(w).sum(-1) if m is torch else m.sum(m.exp(w), axis=-1), projected]


def of_svd(m: Any, x: Any, full: bool) -> list[Any]:
    u, s, vh = m.linalg.svd(x, full_matrices=full)
    k = s.shape[-1]
    left, right = u[..., :, :k], vh[..., :k, :]
    return [s, squares(m, left), squares(m, right), (left * m.exp(s)[..., None, :]) @ right]


def of_qr(m: Any, x: Any, mode: str) -> list[Any]:
    q, r = m.linalg.qr(x, mode=mode)
    entries = linalg.diagonal(r) if m is pn else torch.diagonal(r, dim1=-2, dim2=-1)
    signs = m.sign(m.real(entries))
    if m is torch:
        signs = signs.detach()
    k = min(x.shape[-2:])
    return [q[..., :, :k] * signs[..., None, :], r[..., :k, :] * signs[..., :, None]]


DECOMPOSED: dict[str, tuple[Callable[..., list[Any]], Any, list[tuple[int, ...]]]] = {
    "eigh": (of_eigh, hermitian, [(3, 3), (2, 2, 2), (0, 3, 3)]),
    "eig": (of_eig, unsymmetric, [(3, 3), (2, 2, 2), (0, 3, 3)]),
    "svd": (lambda m, x: of_svd(m, x, False), regular, [(3, 3), (2, 4, 2), (2, 3), (0, 2, 2)]),
    "svd, full": (lambda m, x: of_svd(m, x, True), regular, [(3, 3), (2, 4, 2), (2, 3)]),
    "qr": (lambda m, x: of_qr(m, x, "reduced"), leading, [(3, 3), (2, 4, 2), (2, 3), (0, 2, 2)]),
    "qr, complete": (lambda m, x: of_qr(m, x, "complete"), leading, [(3, 3), (2, 2, 3)]),
}


@DTYPES
@pytest.mark.parametrize("is_complex", [False, True], ids=["real", "complex"])
@pytest.mark.parametrize("name", DECOMPOSED)
def test_decompositions_are_pytorchs(name: str, is_complex: bool, dtype: str, backend: str, rng: Any) -> None:
    function, draw, shapes = DECOMPOSED[name]
    for shape in shapes[: 1 if backend == "jax" else None]:
        x = draw(*shape, is_complex=is_complex)(rng)
        x = narrow(x) if dtype == "float32" else x
        ours, theirs = pn.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        pair = (lambda y: function(pn, y), lambda y: function(torch, y))
        compare([ours], [theirs], pair, dtype, rng, f"shape {shape}, {x.dtype}")


@pytest.mark.parametrize("order", [1, 2, 3, 0.5, -1, math.inf, -math.inf])
def test_norms_at_zero_are_pytorchs(order: float, backend: str) -> None:
    values_of_x = np.asarray([[0.0, 0.0], [0.0, 2.0], [2.0, -2.0]])
    ours, theirs = pn.Tensor(values_of_x, requires_grad=True), torch.tensor(values_of_x, requires_grad=True)
    with np.errstate(divide="ignore"):
        found = linalg.vector_norm(ours, axis=-1, ord=order)
    torch.linalg.vector_norm(theirs, ord=order, dim=-1).sum().backward()
    pn.sum(found).backward()
    near(ours.grad, theirs.grad, 1e-12, f"order {order}")


def test_ranks_are_pytorchs(backend: str, rng: Any) -> None:
    for sample in [Sample((regular(2, 4, 3),)), Sample((regular(3, 5, is_complex=True),))]:
        (x,) = sample.operands(rng)
        x[..., 0, :] = x[..., 1, :]
        for rtol in (None, 0.5):
            found = linalg.matrix_rank(pn.asarray(x), rtol=rtol)
            expected = torch.linalg.matrix_rank(torch.tensor(x), rtol=rtol)
            np.testing.assert_array_equal(found.numpy(), expected.numpy())
    assert inverses.matrix_rank in RECORDED_OPS
