"""How samples of operands are drawn: what the tables of samples are written with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from portanet.testing.samples import references

__all__ = [
    "PAIRS",
    "SHAPES",
    "Draw",
    "Sample",
    "Table",
    "apart",
    "away_from_zero",
    "between",
    "binary",
    "booleans",
    "complex_normal",
    "each",
    "given",
    "integers",
    "joined",
    "keyed",
    "lost",
    "matrices",
    "moved",
    "normal",
    "probabilities",
    "reduced",
    "replaced",
    "shifted",
    "unary",
    "within",
]

Draw = Callable[[Any], Any]
"""Makes one operand from a random generator: a NumPy array, a Python number or None."""


@dataclass(frozen=True)
class Sample:
    """Operands and options of one call."""

    draws: tuple[Draw, ...]
    options: dict[str, Any] = field(default_factory=dict)
    reference: Callable[..., Any] | None = None
    constant: tuple[int, ...] = ()
    """Floating-point operands that have no gradient by definition."""
    needs: str | None = None
    """A library without which it cannot be tried."""

    def operands(self, rng: Any) -> list[Any]:
        drawn = [draw(rng) for draw in self.draws]
        return [np.asarray(value) if isinstance(value, np.generic) else value for value in drawn]

    def expected(self, operands: list[Any]) -> Any:
        """What NumPy, or a formula written in NumPy, gives."""
        assert self.reference is not None, "this sample has no reference"
        return self.reference(*operands, **self.options)


Table = dict[Callable[..., Any], list[Sample]]
"""Ops or functions, and samples of each."""


def normal(*shape: int) -> Draw:
    return lambda rng: np.asarray(rng.normal(size=shape))


def complex_normal(*shape: int) -> Draw:
    return lambda rng: np.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape))


def between(low: float, high: float, *shape: int) -> Draw:
    return lambda rng: np.asarray(rng.uniform(low, high, size=shape))


def away_from_zero(*shape: int) -> Draw:
    """Between 0.4 and 2, of either sign."""
    return lambda rng: rng.uniform(0.4, 2.0, size=shape) * rng.choice([-1.0, 1.0], size=shape)


def apart(*shape: int, shift: float = 0.0) -> Draw:
    """In random order, none nearer than 0.3 to another nor 0.15 to zero; with ``shift=0.2`` nor to any without it."""

    def draw(rng: Any) -> Any:
        count = int(np.prod(shape))
        places = rng.permutation(count) - count // 2 + 0.5
        return (places * 0.4 + shift + rng.uniform(-0.05, 0.05, size=count)).reshape(shape)

    return draw


def probabilities(*shape: int) -> Draw:
    return between(0.1, 0.9, *shape)


def integers(low: int, high: int, *shape: int, dtype: str = "int64") -> Draw:
    return lambda rng: np.asarray(rng.integers(low, high, size=shape)).astype(dtype)


def booleans(*shape: int) -> Draw:
    return lambda rng: np.asarray(rng.integers(0, 2, size=shape)).astype(bool)


def given(value: Any) -> Draw:
    return lambda rng: value


SHAPES = ((2, 3), (), (0, 2))
PAIRS = (
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((2, 1), (1, 3)),
    ((), (2, 3)),
    ((3, 1), (2, 1, 4)),
    ((3,), (0, 3)),
    ((2, 0), (1, 1)),
    ((1,), ()),
)


def each(reference: Any, *calls: tuple[Draw, dict[str, Any]]) -> list[Sample]:
    return [Sample((draw,), options, reference) for draw, options in calls]


def unary(reference: Any, draw: Callable[..., Draw], *shapes: tuple[int, ...]) -> list[Sample]:
    return [Sample((draw(*shape),), reference=reference) for shape in shapes or SHAPES]


def binary(
    reference: Any, x: Callable[..., Draw], y: Callable[..., Draw], numbers: tuple[float, ...] = (2.5,)
) -> list[Sample]:
    samples = [Sample((x(*left), y(*right)), reference=reference) for left, right in PAIRS]
    samples += [Sample((x(2, 3), given(number)), reference=reference) for number in numbers]
    samples += [Sample((given(number), y(2, 3)), reference=reference) for number in numbers if number > 0]
    return samples


def within(low: float, high: float) -> Callable[..., Draw]:
    return lambda *shape: between(low, high, *shape)


def shifted(*shape: int) -> Draw:
    return apart(*shape, shift=0.2)


def reduced(
    reference: Any, draw: Callable[..., Draw] = normal, empty: bool = True, **options: Any
) -> list[Sample]:
    """A reduction over one, several and all axes. ``empty``: whether it is defined over no elements at all."""
    calls: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((2, 3, 4), {}),
        ((2, 3, 4), {"axis": 1}),
        ((2, 3, 4), {"axis": -1, "keepdims": True}),
        ((2, 3, 4), {"axis": (0, 2)}),
        ((2, 3, 4), {"axis": (-1, 0), "keepdims": True}),
        ((2, 3, 4), {"axis": (2, -2)}),
        ((2, 3), {"keepdims": True}),
        ((2, 1, 3), {"axis": 1}),
        ((), {}),
        ((3, 0), {"axis": 0}),
        ((0, 3, 2), {"axis": (1, -1), "keepdims": True}),
    ]
    if empty:
        calls += [((0, 3), {}), ((0, 3), {"axis": 0}), ((2, 0, 3), {"axis": (1, 2), "keepdims": True})]
    return [
        Sample((draw(*shape),), {**chosen, **options}, reference)
        for shape, chosen in calls
        if len(shape) or not options.get("correction")
    ]


def keyed(shape: tuple[int, ...], *keys: Any) -> list[Sample]:
    return [Sample((normal(*shape),), {"key": key}, references.getitem) for key in keys]


def replaced(shape: tuple[int, ...], key: Any, value: tuple[int, ...]) -> Sample:
    return Sample((normal(*shape), normal(*value)), {"key": key}, references.setitem)


def matrices(
    reference: Any, *shapes: tuple[tuple[int, ...], tuple[int, ...]], **options: Any
) -> list[Sample]:
    return [Sample((normal(*left), normal(*right)), options, reference) for left, right in shapes]


def moved(op: Any, shape: tuple[int, ...], *calls: dict[str, Any]) -> list[Sample]:
    return [Sample((normal(*shape),), options, op) for options in calls]


def joined(reference: Any, *calls: tuple[tuple[tuple[int, ...], ...], int | None]) -> list[Sample]:
    return [
        Sample(tuple(normal(*shape) for shape in shapes), {"axis": axis}, reference) for shapes, axis in calls
    ]


def lost(
    reference: Any, draws: tuple[Draw, ...], constant: tuple[int, ...] = (), **options: Any
) -> list[Sample]:
    """A loss with each reduction."""
    return [
        Sample(draws, {**options, "reduction": reduction}, reference, constant)
        for reduction in ("none", "mean", "sum")
    ]
