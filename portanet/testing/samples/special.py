"""Samples of special functions.

The reference is SciPy, or NumPy where a plain formula does. SciPy also computes the functions of
:data:`COMPUTED_BY_SCIPY` on NumPy and array-api-strict, so their samples need it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from portanet import special as functions
from portanet.ops import bessel, entropies, special
from portanet.testing.samples.drawing import (
    Sample,
    Table,
    away_from_zero,
    between,
    binary,
    given,
    integers,
    normal,
    unary,
    within,
)

__all__ = ["COMPOSED", "COMPUTED_BY_SCIPY", "SAMPLES", "WITHOUT_GRADIENT"]


def scipy(name: str) -> Callable[..., Any]:
    """One of SciPy's functions, which is looked up when it is called."""

    def reference(*operands: Any, **options: Any) -> Any:
        from scipy import special as module

        return getattr(module, name)(*operands, **options)

    return reference


def logsumexp(a: Any, b: Any = None, *, axis: Any = None, keepdims: bool = False) -> Any:
    terms = np.exp(a) if b is None else b * np.exp(a)
    return np.log(np.sum(terms, axis=axis, keepdims=keepdims))


def gammasgn(x: Any) -> Any:
    return np.where((x > 0) | (np.floor(x) % 2 == 0), 1.0, -1.0)


def softmax(x: Any, *, axis: Any = None) -> Any:
    return np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)


def log_softmax(x: Any, *, axis: Any = None) -> Any:
    return x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True))


def incomplete(name: str) -> list[Sample]:
    """There is no gradient by the parameter, so it is a number or an array of integers."""
    return [
        Sample((integers(1, 6, 2, 3), between(0.3, 5, 2, 3)), reference=scipy(name)),
        Sample((integers(1, 6, 3), between(0.3, 5, 2, 1)), reference=scipy(name)),
        Sample((given(2.5), between(0.3, 5, 4)), reference=scipy(name)),
        Sample((given(0.7), between(0.3, 5)), reference=scipy(name)),
        Sample((given(2), between(0.3, 5, 0, 3)), reference=scipy(name)),
    ]


SUMMED: list[tuple[tuple[int, ...], tuple[int, ...] | None, dict[str, Any]]] = [
    ((3, 4), None, {}),
    ((3, 4), None, {"axis": 0}),
    ((2, 3, 4), None, {"axis": (0, -1)}),
    ((2, 3, 4), None, {"axis": -2, "keepdims": True}),
    ((2, 3), None, {"keepdims": True}),
    ((), None, {}),
    ((3, 1), None, {"axis": 1}),
    ((0, 3), None, {"axis": 1}),
    ((3, 4), (3, 4), {}),
    ((3, 4), (4,), {"axis": 1}),
    ((2, 1, 4), (3, 1), {"axis": (0, 1), "keepdims": True}),
    ((4,), (), {"axis": 0}),
]
NORMALIZED: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((3, 4), {}),
    ((3, 4), {"axis": 0}),
    ((2, 3, 4), {"axis": -1}),
    ((2, 3, 4), {"axis": (0, 2)}),
    ((2, 3, 4), {"axis": (-1, 1)}),
    ((4,), {"axis": (0,)}),
    ((), {}),
    ((0, 3), {"axis": 1}),
]
ZERO_AND_MORE = np.asarray([0.0, 0.3, 1.0, 2.5])

SAMPLES: Table = {
    special.beta: binary(scipy("beta"), within(0.4, 3), within(0.4, 3)),
    special.betaln: [
        *binary(scipy("betaln"), within(0.4, 3), within(0.4, 3)),
        Sample((between(0.5, 9, 5), between(10.5, 40, 5)), reference=scipy("betaln")),
        Sample((between(10.5, 40, 2, 3), between(0.5, 60, 3)), reference=scipy("betaln")),
        Sample((between(-0.9, -0.1, 3), between(1.1, 1.9, 3)), reference=scipy("betaln")),
    ],
    special.digamma: [
        *unary(scipy("digamma"), within(0.4, 9)),
        Sample((between(-2.8, -2.2, 4),), reference=scipy("digamma")),
    ],
    entropies.entr: unary(lambda x: -x * np.log(x), within(0.2, 3)),
    special.erf: unary(scipy("erf"), normal),
    special.erfc: unary(scipy("erfc"), normal),
    special.erfcinv: unary(scipy("erfcinv"), within(0.1, 1.9)),
    special.erfcx: [
        *unary(scipy("erfcx"), within(-1.5, 4)),
        Sample((between(31, 60, 4),), reference=scipy("erfcx")),
    ],
    special.erfinv: unary(scipy("erfinv"), within(-0.9, 0.9)),
    entropies.exp10: unary(lambda x: 10.0**x, within(-1, 1)),
    entropies.exp2: unary(np.exp2, normal),
    special.gamma: [
        *unary(scipy("gamma"), within(0.4, 5)),
        Sample((between(-2.8, -2.2, 4),), reference=scipy("gamma")),
    ],
    special.gammainc: incomplete("gammainc"),
    special.gammaincc: incomplete("gammaincc"),
    special.gammaln: [
        *unary(scipy("gammaln"), within(0.4, 9)),
        Sample((between(-2.8, -2.2, 4),), reference=scipy("gammaln")),
    ],
    bessel.i0: unary(np.i0, normal),
    bessel.i0e: unary(scipy("i0e"), away_from_zero),
    bessel.i1: [*unary(scipy("i1"), normal), Sample((between(8, 15, 3),), reference=scipy("i1"))],
    bessel.i1e: [
        *unary(scipy("i1e"), away_from_zero),
        Sample((between(-15, -8, 3),), reference=scipy("i1e")),
    ],
    entropies.kl_div: binary(lambda x, y: x * np.log(x / y) - x + y, within(0.2, 3), within(0.2, 3)),
    special.log_ndtr: [
        *unary(scipy("log_ndtr"), within(-6, 2)),
        Sample((between(-60, -20, 3),), reference=scipy("log_ndtr")),
    ],
    entropies.logit: unary(lambda p: np.log(p) - np.log1p(-p), within(0.05, 0.95)),
    entropies.logsumexp: [
        Sample(
            (normal(*shape), given(None) if weights is None else between(0.3, 2, *weights)),
            options,
            logsumexp,
        )
        for shape, weights, options in SUMMED
    ],
    special.ndtr: unary(scipy("ndtr"), normal),
    special.ndtri: unary(scipy("ndtri"), within(0.05, 0.95)),
    entropies.rel_entr: binary(lambda x, y: x * np.log(x / y), within(0.2, 3), within(0.2, 3)),
    bessel.sinc: [
        *unary(np.sinc, normal),
        Sample((between(1.2, 4, 5),), reference=np.sinc),
        Sample((given(ZERO_AND_MORE),), reference=np.sinc),
    ],
    entropies.xlog1py: binary(lambda x, y: x * np.log1p(y), normal, within(-0.6, 3)),
    entropies.xlogy: binary(lambda x, y: x * np.log(y), normal, within(0.3, 3)),
    special.zeta: [
        Sample((integers(2, 5, 2, 3), between(0.4, 3, 2, 3)), reference=scipy("zeta")),
        Sample((integers(2, 5, 3), between(0.4, 3, 2, 1)), reference=scipy("zeta")),
        Sample((given(2.5), between(0.4, 3, 3)), reference=scipy("zeta")),
        Sample((given(3), between(0.4, 3)), reference=scipy("zeta")),
        Sample((given(3), between(0.4, 3, 0, 2)), reference=scipy("zeta")),
    ],
}
"""Ops with a gradient."""

WITHOUT_GRADIENT: Table = {
    special.gammasgn: [
        *unary(gammasgn, normal),
        Sample((between(-9, 0, 12),), reference=gammasgn),
    ],
}
"""Ops that are constant almost everywhere."""


def polygamma(x: Any, *, n: int) -> Any:
    return functions.polygamma(n, x)


def multigammaln(a: Any, *, d: int) -> Any:
    return functions.multigammaln(a, d)


def riemann(x: Any, *, s: float) -> Any:
    return functions.zeta(s, x)


COMPOSED: Table = {
    functions.log_expit: unary(lambda x: -np.log1p(np.exp(-x)), normal),
    functions.log_softmax: [Sample((normal(*shape),), o, log_softmax) for shape, o in NORMALIZED],
    functions.softmax: [Sample((normal(*shape),), o, softmax) for shape, o in NORMALIZED],
    multigammaln: [
        Sample((between(2.2, 6, *shape),), {"d": d}, scipy("multigammaln"))
        for d in (1, 2, 4)
        for shape in ((2, 3), (), (0, 2))
    ],
    polygamma: [
        Sample((between(0.4, 4, *shape),), {"n": n}, lambda x, n: scipy("polygamma")(n, x))
        for n in (0, 1, 2, 4)
        for shape in ((2, 3), (), (0, 2))
    ],
    riemann: [Sample((between(0.4, 3, 2, 3),), {"s": 2.5}, lambda x, s: scipy("zeta")(s, x))],
}
"""Public functions that are made of others; those that take a number first, with the array first."""

NEEDS_NO_LIBRARY = {
    entropies.entr,
    entropies.exp10,
    entropies.exp2,
    special.gammasgn,
    entropies.kl_div,
    entropies.logit,
    entropies.logsumexp,
    entropies.rel_entr,
    bessel.sinc,
    entropies.xlog1py,
    entropies.xlogy,
    functions.log_expit,
    functions.log_softmax,
    functions.softmax,
}
COMPUTED_BY_SCIPY = {*SAMPLES, *WITHOUT_GRADIENT, *COMPOSED} - NEEDS_NO_LIBRARY
"""Ops and functions whose values on NumPy and array-api-strict come from SciPy."""


for table in (SAMPLES, WITHOUT_GRADIENT, COMPOSED):
    for function in COMPUTED_BY_SCIPY & set(table):
        table[function] = [replace(sample, needs="scipy") for sample in table[function]]
