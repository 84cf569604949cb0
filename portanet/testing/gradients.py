"""Checks of gradients against finite differences, for portanet's own ops and for yours, on any backend.

A derivative is checked along random projections: a random cotangent of the outputs and a random direction of the
inputs, so that a mistake that is symmetric (a transposed matrix, a gradient that sums to zero) cannot cancel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from portanet.autograd import grad
from portanet.backend import backend_of
from portanet.dtypes import complex128, float64
from portanet.errors import DTypeError, GradcheckError, OptionError
from portanet.functions.creation import zeros_like
from portanet.functions.elementwise import conj, real
from portanet.functions.manipulation import astype
from portanet.functions.reductions import sum as sum_of
from portanet.random import Generator, normal
from portanet.tensor import Tensor, asarray

__all__ = ["gradcheck", "gradgradcheck"]

Function = Callable[..., Any]


def gradcheck(
    function: Function,
    inputs: Any,
    *,
    eps: float = 1e-5,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    projections: int = 2,
    generator: Generator | None = None,
) -> bool:
    """Check the gradient of a function against central finite differences.

    For a random cotangent ``c`` of the outputs and a random direction ``v`` of the inputs, ``<vjp(c), v>`` must equal
    ``<c, function(x + eps * v) - function(x - eps * v)> / (2 * eps)``.

    Parameters
    ----------
    function : callable
        Takes the inputs and returns a Tensor, or a tuple or list of Tensors; the same ones for the same inputs.
    inputs : Tensor, or sequence
        What the function takes. Each floating-point Tensor or array must be float64 or complex128 and is checked;
        anything else is handed through. Keep them away from kinks by much more than ``eps``.
    eps : float
        The step of the finite differences, for inputs of magnitude 1.
    rtol, atol : float
        The two values may differ by ``atol + rtol * max(abs(one), abs(other))``.
    projections : int
        How many pairs of a cotangent and a direction to try.
    generator : Generator, optional
        Draws them; default: a fresh one, whose seed a failure prints.

    Returns
    -------
    bool
        True; a disagreement raises.

    Raises
    ------
    GradcheckError
        If the two values disagree, or no output depends on an input. It prints the inputs, the direction, the cotangent
        and both values.
    DTypeError
        If a floating-point input is neither float64 nor complex128, or there is none.

    Examples
    --------
    >>> from portanet.testing import gradcheck
    >>> x = pn.random.normal((2, 3), dtype=pn.float64)
    >>> gradcheck(pn.tanh, x)
    True
    >>> gradcheck(lambda x: x * x.detach(), x)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    portanet.errors.GradcheckError: the derivative is 1.5 by its rules and 3.0 by finite differences
    """
    generator = generator or Generator()
    values = _admit(inputs)
    _outputs_that_depend("gradcheck", function, values)
    state = generator.get_state()
    check = _Check(
        "gradcheck", _name_of(function), function, function, values, eps, rtol, atol, generator, state
    )
    return check.run(projections)


def gradgradcheck(
    function: Function,
    inputs: Any,
    *,
    eps: float = 1e-5,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    projections: int = 2,
    generator: Generator | None = None,
) -> bool:
    """Check the second derivatives: those of a function's gradient, by the inputs and by the cotangent.

    The gradient that was recorded (``create_graph=True``) is differentiated by the rules, the ordinary gradient by
    finite differences; the two gradients must agree as well. Whether they are right is for :func:`gradcheck` to say.

    Parameters
    ----------
    function, inputs, eps, rtol, atol, projections, generator
        As for :func:`gradcheck`.

    Returns
    -------
    bool
        True; a disagreement raises.

    Raises
    ------
    GradcheckError
        If two values disagree, or no output depends on an input.
    DTypeError
        If a floating-point input is not float64, or there is none.

    Examples
    --------
    >>> from portanet.testing import gradgradcheck
    >>> gradgradcheck(pn.exp, pn.random.normal((3,), dtype=pn.float64))
    True
    """
    generator = generator or Generator()
    values = _admit(inputs)
    state = generator.get_state()
    name = f"the gradient of {_name_of(function)}"
    outputs = _outputs_that_depend("gradgradcheck", function, values)
    cotangents = [_normal_like(output, generator) for output in outputs]
    count = len(values)

    def gradient(arguments: Sequence[Any], create_graph: bool) -> list[Tensor]:
        leaves = [argument for argument in arguments[:count] if _is_floating(argument)]
        outputs = _outputs(function(*arguments[:count]))
        return _gradients(outputs, leaves, arguments[count:], create_graph=create_graph)

    def recorded(*arguments: Any) -> list[Tensor]:
        return gradient(arguments, create_graph=True)

    def plain(*arguments: Any) -> list[Tensor]:
        return gradient(arguments, create_graph=False)

    values = [*values, *cotangents]
    check = _Check("gradgradcheck", name, recorded, plain, values, eps, rtol, atol, generator, state)
    return check.run(projections)


class _Projection(NamedTuple):
    """One cotangent, one direction, and the gradients that the rules gave for the cotangent."""

    points: list[Tensor]
    directions: list[Tensor]
    cotangents: list[Tensor]
    gradients: list[Tensor]


@dataclass
class _Check:
    """One comparison: ``recorded`` is differentiated by its rules; ``plain``, the same function, by differences."""

    check: str
    name: str
    recorded: Function
    plain: Function
    values: list[Any]
    eps: float
    rtol: float
    atol: float
    generator: Generator
    state: dict[str, int]

    def run(self, projections: int) -> bool:
        """Try so many random projections."""
        if projections < 1:
            raise OptionError(f"projections: expected at least 1, got {projections!r}.")
        if not 0 < self.eps < 1:
            raise OptionError(f"eps: expected a small positive number such as 1e-5, got {self.eps!r}.")
        self.places = [place for place, value in enumerate(self.values) if _is_floating(value)]
        for _ in range(projections):
            self.project()
        return True

    def call(self, function: Function, points: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Fresh leaves with the values of ``points``, and the function's outputs for them."""
        arguments = list(self.values)
        leaves = [Tensor(point, requires_grad=True) for point in points]
        for place, leaf in zip(self.places, leaves, strict=True):
            arguments[place] = leaf
        return leaves, _outputs(function(*arguments))

    def project(self) -> None:
        """Compare along one random cotangent and one random direction."""
        points = [self.values[place].detach() for place in self.places]
        leaves, outputs = self.call(self.recorded, points)
        cotangents = [_normal_like(output, self.generator) for output in outputs]
        directions = [_normal_like(point, self.generator) for point in points]
        gradients = _gradients(outputs, leaves, cotangents, create_graph=False)
        projection = _Projection(points, directions, cotangents, gradients)
        here, there = _dot(outputs, cotangents), _dot(self.call(self.plain, points)[1], cotangents)
        if not self.agree(here, there):
            raise GradcheckError(
                f"{self.check}: along one cotangent, {self.name} is {here!r} when it is recorded and {there!r} when it "
                f"is not. {self.replay()}"
            )
        by_rules = _dot(gradients, directions)
        measured = self.difference(projection, directions)
        if not self.agree(by_rules, measured):
            raise GradcheckError(self.describe(projection, by_rules, measured))

    def difference(self, projection: _Projection, directions: Sequence[Tensor]) -> float:
        """The derivative of ``<cotangents, plain>`` along the directions, by central differences."""
        ends = []
        for step in (self.eps, -self.eps):
            moved = [
                point + direction * step
                for point, direction in zip(projection.points, directions, strict=True)
            ]
            ends.append(_dot(self.call(self.plain, moved)[1], projection.cotangents))
        return (ends[0] - ends[1]) / (2 * self.eps)

    def agree(self, one: float, other: float) -> bool:
        """Whether two values are equal to within the tolerance; NaN and infinity never are."""
        allowed = self.atol + self.rtol * max(abs(one), abs(other))
        return math.isfinite(allowed) and abs(one - other) <= allowed

    def describe(self, projection: _Projection, by_rules: float, measured: float) -> str:
        """Which input it is, and all that it takes to see it again."""
        points, directions, cotangents, gradients = projection
        lines = [
            f"{self.check}: the derivative of {self.name} along a random direction is {by_rules!r} by its rules and "
            f"{measured!r} by finite differences (eps={self.eps}, rtol={self.rtol}, atol={self.atol})."
        ]
        for i, place in enumerate(self.places):
            alone = [d if j == i else zeros_like(d) for j, d in enumerate(directions)]
            by_rule = _dot([gradients[i]], [directions[i]])
            measured = self.difference(projection, alone)
            verdict = "agrees" if self.agree(by_rule, measured) else "DISAGREES"
            lines += [
                f"input {place + 1} {verdict}: {by_rule!r} by its rule, {measured!r} by finite differences",
                f"  input:     {points[i]!r}",
                f"  direction: {directions[i]!r}",
            ]
        for number, cotangent in enumerate(cotangents, start=1):
            lines.append(f"cotangent of output {number}: {cotangent!r}")
        lines.append(self.replay())
        return "\n".join(lines)

    def replay(self) -> str:
        """How to draw the same numbers again."""
        if self.state["draws"]:
            return f"To repeat it, pass a generator after generator.set_state({self.state})."
        return f"To repeat it, pass generator=portanet.random.Generator({self.state['seed']})."


def _name_of(function: Function) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _is_floating(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype.is_differentiable


def _admit(inputs: Any) -> list[Any]:
    """The inputs as a check uses them: arrays become Tensors, and what is differentiated must be float64."""
    values = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    for i, value in enumerate(values):
        if not isinstance(value, Tensor) and backend_of(value) is not None:
            values[i] = value = asarray(value)
        if _is_floating(value) and value.dtype not in (float64, complex128):
            wider = "float64" if value.dtype.is_floating else "complex128"
            raise DTypeError(
                f"inputs: number {i + 1} is {value.dtype.name}; finite differences need {wider}. Convert it with "
                f"portanet.astype(x, portanet.{wider})."
            )
    if not any(_is_floating(value) for value in values):
        raise DTypeError(
            "inputs: there is no floating-point Tensor among them, so there is no gradient to check. Convert one with "
            "portanet.astype(x, portanet.float64)."
        )
    return values


def _outputs(result: Any) -> list[Tensor]:
    """The floating-point outputs of a function."""
    outputs = list(result) if isinstance(result, (list, tuple)) else [result]
    for output in outputs:
        if not isinstance(output, Tensor):
            raise TypeError(
                f"function: expected it to return Tensors, got {type(output).__name__}. Write it with portanet's "
                "functions."
            )
    return [output for output in outputs if _is_floating(output)]


def _outputs_that_depend(check: str, function: Function, values: Sequence[Any]) -> list[Tensor]:
    """The outputs, once it is sure that there is something to check."""
    leaves = [Tensor(value, requires_grad=True) if _is_floating(value) else value for value in values]
    outputs = _outputs(function(*leaves))
    if not any(output.requires_grad for output in outputs):
        raise GradcheckError(
            f"{check}: no output of {_name_of(function)} requires a gradient, so there is nothing to check. Every path "
            "from the inputs goes through a function without a gradient, or through detach()."
        )
    return outputs


def _gradients(
    outputs: Sequence[Tensor], leaves: Sequence[Tensor], cotangents: Sequence[Tensor], *, create_graph: bool
) -> list[Tensor]:
    """The vjp, with zeros where nothing flows."""
    pairs = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
    found = grad(
        [o for o, _ in pairs], leaves, [c for _, c in pairs], create_graph=create_graph, allow_unused=True
    )
    return [
        zeros_like(leaf) if gradient is None else gradient
        for gradient, leaf in zip(found, leaves, strict=True)
    ]


def _normal_like(x: Tensor, generator: Generator) -> Tensor:
    if x.dtype.is_floating:
        return normal(x.shape, dtype=x.dtype, device=x.device, generator=generator)
    parts = [normal(x.shape, dtype=float64, device=x.device, generator=generator) for _ in range(2)]
    result: Tensor = astype(parts[0], x.dtype) + astype(parts[1], x.dtype) * 1j
    return result


def _dot(left: Sequence[Tensor], right: Sequence[Tensor]) -> float:
    """The inner product of two lists of Tensors; of complex ones the real part."""
    return math.fsum(_product(one.detach(), other.detach()) for one, other in zip(left, right, strict=True))


def _product(one: Tensor, other: Tensor) -> float:
    return float(sum_of(one * other if one.dtype.is_floating else real(conj(one) * other)))
