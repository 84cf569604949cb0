"""Norms, distances and angles against PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import DTypeError, OptionError, PortanetError
from portanet.nn import distances as here
from portanet.nn.functional import distances as functional
from portanet.testing import gradcheck, gradgradcheck
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")

PAIRS = [((5, 4), (5, 4)), ((2, 5, 4), (2, 5, 4)), ((5, 4), (1, 4)), ((2, 1, 4), (3, 1)), ((3, 4), (4,))]

# From the functions or modules of the one package or the other, the layer; then the shapes of its inputs.
CASES: dict[str, tuple[Callable[[Any], Any], tuple[tuple[int, ...], ...]]] = {
    **{
        f"cosine-{number}-{dim}": (lambda nn, dim=dim: nn.CosineSimilarity(dim=dim), shapes)
        for number, shapes in enumerate(PAIRS)
        for dim in (1, -1, 0)
    },
    "cosine-eps": (lambda nn: nn.CosineSimilarity(eps=0.5), ((5, 4), (5, 4))),
    **{
        f"distance-{number}-{p}": (lambda nn, p=p: nn.PairwiseDistance(p), shapes)
        for number, shapes in enumerate(PAIRS)
        for p in (2.0, 1.0, 3.5)
    },
    "distance-inf": (lambda nn: nn.PairwiseDistance(inf), ((5, 4), (5, 4))),
    "distance-keepdim": (lambda nn: nn.PairwiseDistance(keepdim=True), ((5, 4), (5, 4))),
    "distance-eps": (lambda nn: nn.PairwiseDistance(p=1.5, eps=0.3), ((5, 4), (5, 4))),
    "distance-vectors": (lambda nn: nn.PairwiseDistance(), ((4,), (4,))),
}
NORMS = [
    ((5, 4), {}),
    ((5, 4), {"dim": 0}),
    ((2, 5, 4), {"dim": -1, "p": 1.0}),
    ((2, 5, 4), {"dim": (1, 2)}),
    ((5, 4), {"p": 3.5}),
    ((5, 4), {"p": inf}),
    ((5, 4), {"eps": 10.0}),
]


def both(values: list[Any], dtype: str) -> tuple[list[Any], list[Any]]:
    mine = [pn.asarray(v.astype(dtype)).requires_grad_() for v in values]
    return mine, [torch.tensor(v.astype(dtype), requires_grad=True) for v in values]


def off_zero(rng: Any, shape: tuple[int, ...]) -> Any:
    """From 0.6 to 2, of either sign: the gradient of the angle of a short vector is large, and so is its error."""
    return rng.uniform(0.6, 2.0, size=shape) * rng.choice([-1.0, 1.0], size=shape)


@DTYPES
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(rng: Any, case: str, dtype: str) -> None:
    make, shapes = CASES[case]
    mine, its = both([off_zero(rng, shape) for shape in shapes], dtype)
    found, expected = make(here)(*mine), make(torch.nn)(*its)
    assert_near(found, expected, "output", scale=0.1)
    cotangent = rng.normal(size=tuple(expected.shape)).astype(dtype)
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))
    for number, (x, its_x) in enumerate(zip(mine, its, strict=True)):
        assert_near(x.grad, its_x.grad, f"gradient {number}", scale=1.0)
    assert repr(make(here)) == repr(make(torch.nn))


@DTYPES
@pytest.mark.parametrize(("shape", "options"), NORMS)
def test_normalize(rng: Any, shape: tuple[int, ...], options: dict[str, Any], dtype: str) -> None:
    (x,), (its_x,) = both([off_zero(rng, shape)], dtype)
    found = functional.normalize(x, **options)
    expected = torch.nn.functional.normalize(its_x, **options)
    assert_near(found, expected)
    cotangent = rng.normal(size=shape).astype(dtype)
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))
    assert_near(x.grad, its_x.grad, scale=1.0)


def test_the_angle_of_vectors_shorter_than_eps(rng: Any) -> None:
    """The gradient is that of the formula; PyTorch's goes through the norm whose place eps took."""
    (x, y), (its_x, its_y) = both([rng.normal(size=(5, 4)), rng.normal(size=(5, 4))], "float64")
    assert_near(
        functional.cosine_similarity(x, y, eps=10.0),
        torch.cosine_similarity(its_x, its_y, eps=10.0),
        scale=0.01,
    )
    gradcheck(lambda a, b: functional.cosine_similarity(a, b, eps=10.0), [x.detach(), y.detach()])


def test_vectors_of_zeros() -> None:
    (x, y), (its_x, its_y) = both([np.zeros((2, 3)), np.ones((2, 3))], "float64")
    for function, its_function in (
        (lambda a, b: functional.normalize(a), lambda a, b: torch.nn.functional.normalize(a)),
        (functional.cosine_similarity, torch.nn.functional.cosine_similarity),
        (lambda a, b: functional.pairwise_distance(a, a), lambda a, b: torch.pairwise_distance(a, a)),
    ):
        x.grad = its_x.grad = None
        found, expected = function(x, y), its_function(its_x, its_y)
        found.sum().backward()
        expected.sum().backward()
        assert_near(found, expected)
        np.testing.assert_allclose(x.grad.numpy(), its_x.grad.numpy(), rtol=1e-12)


def test_on_other_backends(rng: Any, backend: str) -> None:
    one, other = rng.normal(size=(2, 3, 4))
    expected = torch.cosine_similarity(torch.tensor(one), torch.tensor(other)).numpy()
    x, y = pn.asarray(one).requires_grad_(), pn.asarray(other)
    r = functional.cosine_similarity(x, y)
    np.testing.assert_allclose(r.detach().numpy(), expected, rtol=1e-10)
    r = r + functional.pairwise_distance(x, y)
    r.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()
    if backend == "numpy":
        assert type(functional.cosine_similarity(one, other[:1])) is np.ndarray
        assert type(functional.normalize(one)) is np.ndarray
        assert type(functional.pairwise_distance(one, other)) is np.ndarray


def test_derivatives(rng: Any) -> None:
    x, y = (pn.asarray(off_zero(rng, (3, 4))) for _ in range(2))
    for function in (
        functional.cosine_similarity,
        functional.pairwise_distance,
        lambda a, b: functional.pairwise_distance(a, b, p=3.0),
        lambda a, b: functional.normalize(a * b, dim=0),
    ):
        gradcheck(function, [x, y])
        gradgradcheck(function, [x, y])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: functional.normalize(x, dim=2), PortanetError, "axis"),
        (
            lambda x: functional.normalize(x, eps=-1),
            OptionError,
            "eps: expected a finite number of at least 0",
        ),
        (
            lambda x: functional.cosine_similarity(x, x, dim=2),
            PortanetError,
            "cosine_similarity: dim: 2 is out of",
        ),
        (
            lambda x: functional.cosine_similarity(x, x, eps=None),
            OptionError,
            "eps: expected a finite number",
        ),
        (lambda x: functional.pairwise_distance(x, x, eps="a"), OptionError, "eps: expected a finite number"),
        (
            lambda x: functional.pairwise_distance(x, x, p="2"),
            OptionError,
            "ord: vector_norm expects a number",
        ),
        (
            lambda x: functional.normalize(pn.asarray([[1, 2]])),
            DTypeError,
            "vector_norm expects floating-point numbers, got int64",
        ),
    ],
)
def test_bad_input(call: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(pn.ones((2, 3)))
