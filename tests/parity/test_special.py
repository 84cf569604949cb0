"""Special functions against PyTorch: values, gradients, and gradients of gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import special
from portanet.testing.samples.drawing import Draw, away_from_zero, between, normal
from tests.parity.comparison import DTYPES, assert_near, host
from tests.scipy_functions import skip_without_scipy

torch = pytest.importorskip("torch", reason="it is what these tests compare with")

S = torch.special


@dataclass(frozen=True)
class Case:
    """The same function here and in PyTorch, of arrays that both differentiate by."""

    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    draws: tuple[Draw, ...]


def same(name: str, *draws: Draw) -> Case:
    return Case(getattr(special, name), getattr(S, name), draws)


SHAPE = (3, 4)
positive = between(0.4, 5, *SHAPE)
CASES: dict[str, Case] = {
    **{name: same(name, positive) for name in ("digamma", "entr", "gammaln", "psi")},
    **{
        name: same(name, normal(*SHAPE))
        for name in ("erf", "erfc", "erfcx", "exp2", "expit", "i0", "log_ndtr", "ndtr")
    },
    **{name: same(name, away_from_zero(*SHAPE)) for name in ("i0e", "i1", "i1e", "sinc")},
    **{name: same(name, between(0.1, 0.9, *SHAPE)) for name in ("logit", "ndtri")},
    "erfinv": same("erfinv", between(-0.9, 0.9, *SHAPE)),
    "xlogy": same("xlogy", normal(3, 1), positive),
    "xlog1py": same("xlog1py", normal(4), between(-0.6, 3, *SHAPE)),
    "erfcinv": Case(special.erfcinv, lambda x: torch.erfinv(1 - x), (between(0.2, 1.8, *SHAPE),)),
    "gamma": Case(special.gamma, lambda x: torch.exp(torch.lgamma(x)), (positive,)),
    "betaln": Case(
        special.betaln,
        lambda x, y: torch.lgamma(x) + torch.lgamma(y) - torch.lgamma(x + y),
        (positive, between(0.4, 5, 4)),
    ),
    "log_expit": Case(special.log_expit, torch.nn.functional.logsigmoid, (normal(*SHAPE),)),
    "rel_entr": Case(
        special.rel_entr, lambda x, y: S.xlogy(x, x) - S.xlogy(x, y), (positive, between(0.4, 5, 4))
    ),
    "multigammaln": Case(
        lambda x: special.multigammaln(x, 3),
        lambda x: S.multigammaln(x, 3),
        (between(1.5, 6, *SHAPE),),
    ),
    **{
        f"polygamma {n}": Case(
            lambda x, n=n: special.polygamma(n, x), lambda x, n=n: S.polygamma(n, x), (positive,)
        )
        for n in (1, 2, 3)
    },
    "zeta": Case(lambda x: special.zeta(2.5, x), lambda x: S.zeta(torch.full_like(x, 2.5), x), (positive,)),
    "gammainc": Case(
        lambda x: special.gammainc(2.5, x), lambda x: S.gammainc(torch.full_like(x, 2.5), x), (positive,)
    ),
    "gammaincc": Case(
        lambda x: special.gammaincc(2.5, x), lambda x: S.gammaincc(torch.full_like(x, 2.5), x), (positive,)
    ),
    "logsumexp": Case(
        lambda x: special.logsumexp(x, axis=(0, 2)),
        lambda x: torch.logsumexp(x, dim=(0, 2)),
        (normal(2, 3, 4),),
    ),
    "softmax": Case(lambda x: special.softmax(x, axis=0), lambda x: S.softmax(x, dim=0), (normal(*SHAPE),)),
    "log_softmax": Case(
        lambda x: special.log_softmax(x, axis=-1),
        lambda x: S.log_softmax(x, dim=-1),
        (normal(*SHAPE),),
    ),
}


TRIGAMMA = {"betaln", "digamma", "gamma", "gammaln", "multigammaln", "polygamma 1", "psi"}
"""Which PyTorch computes to nine digits, and differences of which have fewer."""


def scale_of(name: str, expected: Any, least: float) -> float:
    return (100.0 if name in TRIGAMMA else 1.0) * max(least, float(np.abs(host(expected)).max()))


@DTYPES
@pytest.mark.parametrize("name", CASES)
def test_value_and_gradients_are_pytorchs(name: str, dtype: str, backend: str, rng: Any) -> None:
    case = CASES[name]
    skip_without_scipy(name.split()[0])
    values = [np.asarray(draw(rng)).astype(dtype) for draw in case.draws]
    ours = [pn.Tensor(value, requires_grad=True) for value in values]
    theirs = [torch.tensor(value, requires_grad=True) for value in values]
    found, expected = case.ours(*ours), case.theirs(*theirs)
    assert_near(found, expected, name, scale=scale_of(name, expected, 1.0))
    weights = rng.normal(size=found.shape).astype(dtype)
    first = pn.grad(found, ours, pn.asarray(weights), create_graph=True)
    its_first = torch.autograd.grad(expected, theirs, torch.tensor(weights), create_graph=True)
    for mine, its in zip(first, its_first, strict=True):
        assert_near(mine, its, f"{name}, gradient", scale=scale_of(name, its, 3.0))
    if dtype == "float32":
        return
    second = pn.grad(sum(((g * g).sum() for g in first), start=pn.asarray(0.0, dtype=pn.float64)), ours)
    its_second = torch.autograd.grad(sum((g * g).sum() for g in its_first), theirs)
    for mine, its in zip(second, its_second, strict=True):
        assert_near(mine, its, f"{name}, second gradient", scale=scale_of(name, its, 3.0))
