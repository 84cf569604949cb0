"""Functions that make derivatives of functions.

They take a function of Tensors and differentiate it with respect to its arguments, which need not require a gradient
and whose ``.grad`` is left alone. Inside one another they nest: ``jacobian(jacobian(f))`` is what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

from portanet.autograd import grad
from portanet.errors import DTypeError, GradientError, ShapeError
from portanet.functions.creation import arange, zeros, zeros_like
from portanet.functions.elementwise import positive
from portanet.functions.manipulation import astype, reshape, stack
from portanet.graph import enable_grad
from portanet.tensor import Tensor, asarray
from portanet.trees import flatten

__all__ = ["hessian", "hvp", "jacobian", "jvp", "value_and_grad"]

Function = Callable[..., Any]
_inside: ContextVar[bool] = ContextVar("portanet_inside_transform", default=False)


def value_and_grad(
    function: Function,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    create_graph: bool | None = None,
) -> Function:
    """A function that returns the value of ``function`` and its gradient.

    Parameters
    ----------
    function : callable
        Returns one real number as a Tensor; with ``has_aux`` a pair of it and anything else.
    argnums : int or sequence of int, default 0
        The positional arguments to differentiate by: Tensors, arrays, or dicts, lists and tuples of them.
    has_aux : bool, default False
        Whether ``function`` returns something beside the number, which is handed through.
    create_graph : bool, optional
        Record the derivative, so that it can be differentiated again. Default: only inside another transform.

    Returns
    -------
    callable
        Takes what ``function`` takes and returns ``(value, gradient)``, or ``((value, aux), gradient)``. The gradient
        is shaped like the argument, or is a tuple for several arguments; it is 0 where nothing depends on it.

    Raises
    ------
    ShapeError
        If the value is not one number.
    GradientError
        If no argument has an influence on the value.

    Examples
    --------
    >>> value, slope = pn.value_and_grad(lambda x: x**3)(pn.asarray(2.0))
    >>> value.item(), slope.item()
    (8.0, 12.0)
    """

    @wraps(function)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        point = _Point(args, argnums, create_graph)
        result = point.call(function, kwargs)
        value, aux = result if has_aux else (result, None)
        _require_number(value)
        gradients = point.rebuild(point.gradients([value]))
        value = value if point.record else value.detach()
        return ((value, aux) if has_aux else value), gradients

    return transformed


def jacobian(
    function: Function, argnums: int | Sequence[int] = 0, create_graph: bool | None = None
) -> Function:
    """A function that returns all first derivatives of ``function``, one backward pass for each number it returns.

    Parameters
    ----------
    function : callable
        Returns a real Tensor.
    argnums : int or sequence of int, default 0
        The positional arguments to differentiate by, each a Tensor or an array.
    create_graph : bool, optional
        As for :func:`value_and_grad`.

    Returns
    -------
    callable
        Takes what ``function`` takes and returns a Tensor of the shape of the result followed by that of the argument;
        a tuple of them for several arguments.

    Examples
    --------
    >>> pn.jacobian(lambda x: x * x)(pn.asarray([1.0, 2.0]))
    Tensor([[2., 0.],
            [0., 4.]])
    """

    @wraps(function)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        point = _Point(args, argnums, create_graph)
        output = point.call(function, kwargs)
        if not isinstance(output, Tensor):
            raise TypeError(f"function: expected it to return a Tensor, got {type(output).__name__}.")
        _require_real(output)
        places = arange(output.size, device=output.device)
        columns: list[list[Tensor]] = [[] for _ in point.fresh]
        for i in range(output.size):
            unit = reshape(astype(places == i, output.dtype), output.shape)
            for column, row in zip(columns, point.gradients([output], [unit], keep=True), strict=True):
                column.append(row)
        whole = []
        for column, leaf in zip(columns, point.fresh, strict=True):
            shape = output.shape + leaf.shape
            whole.append(
                reshape(stack(column), shape)
                if column
                else zeros(shape, dtype=leaf.dtype, device=leaf.device)
            )
        return point.rebuild(whole)

    return transformed


def hessian(
    function: Function, argnums: int | Sequence[int] = 0, create_graph: bool | None = None
) -> Function:
    """A function that returns all second derivatives of a function that returns one real number.

    Parameters
    ----------
    function, argnums, create_graph
        As for :func:`jacobian`.

    Returns
    -------
    callable
        Takes what ``function`` takes and returns a Tensor of the shape of the argument twice; for several arguments a
        tuple of tuples of them.

    Examples
    --------
    >>> pn.hessian(lambda x: pn.sum(x**3))(pn.asarray([1.0, 2.0]))
    Tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    slope = value_and_grad(function, argnums)
    if isinstance(argnums, int):
        return jacobian(_second(slope), argnums, create_graph)
    parts = [jacobian(_second(slope, part), argnums, create_graph) for part in range(len(tuple(argnums)))]

    @wraps(function)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        return tuple(part(*args, **kwargs) for part in parts)

    return transformed


def _second(slope: Function, part: int | None = None) -> Function:
    def gradient(*args: Any, **kwargs: Any) -> Any:
        found = slope(*args, **kwargs)[1]
        return found if part is None else found[part]

    return gradient


def jvp(function: Function, primals: Any, tangents: Any, create_graph: bool | None = None) -> tuple[Any, Any]:
    """The value of ``function`` and its derivative along a direction, without a Jacobian.

    It takes two backward passes: the vjp is linear in its cotangent, and the derivative of that is the jvp.

    Parameters
    ----------
    function : callable
        Returns a Tensor, or a dict, list or tuple of them.
    primals : Tensor, or tuple
        The arguments, each a Tensor, an array, or a dict, list or tuple of them.
    tangents : Tensor, or tuple
        The direction, with the shapes of ``primals``.
    create_graph : bool, optional
        As for :func:`value_and_grad`.

    Returns
    -------
    tuple
        The value, and its change for a small step along the tangents, divided by the step.

    Examples
    --------
    >>> value, change = pn.jvp(pn.sin, pn.asarray(0.0), pn.asarray(2.0))
    >>> value.item(), change.item()
    (0.0, 2.0)
    """
    point = _Point.of("jvp", primals, create_graph)
    directions = point.directions(tangents)
    result = point.call(function, {})
    outputs, rebuild = flatten(result)
    cotangents = []
    for output in outputs:
        zeros = zeros_like(output)
        zeros.requires_grad_()
        cotangents.append(zeros)
    reached = [i for i, output in enumerate(outputs) if output.requires_grad]
    changes = [zeros_like(output) for output in outputs]
    if reached:
        carried = point.gradients(
            [outputs[i] for i in reached], [cotangents[i] for i in reached], record=True
        )
        pairs = [(c, d) for c, d in zip(carried, directions, strict=True) if c.requires_grad]
        if pairs:
            found = grad(
                [c for c, _ in pairs],
                [cotangents[i] for i in reached],
                [d for _, d in pairs],
                create_graph=point.record,
                allow_unused=True,
            )
            for i, change in zip(reached, found, strict=True):
                if change is not None:
                    changes[i] = change
    values = outputs if point.record else [output.detach() for output in outputs]
    return rebuild(values), rebuild(changes)


def hvp(
    function: Function, primals: Any, tangents: Any, create_graph: bool | None = None
) -> tuple[Tensor, Any]:
    """The value of a function that returns one real number, and its Hessian times a direction, without the Hessian.

    Parameters
    ----------
    function : callable
        Returns one real number as a Tensor.
    primals, tangents, create_graph
        As for :func:`jvp`.

    Returns
    -------
    tuple
        The value, and the product, shaped like ``primals``.

    Examples
    --------
    >>> x = pn.asarray([1.0, 2.0])
    >>> pn.hvp(lambda x: pn.sum(x**3), x, pn.asarray([1.0, 1.0]))[1]
    Tensor([ 6., 12.])
    """
    point = _Point.of("hvp", primals, create_graph)
    directions = point.directions(tangents)
    value = point.call(function, {})
    _require_number(value)
    slopes = point.gradients([value], record=True)
    pairs = [(s, d) for s, d in zip(slopes, directions, strict=True) if s.requires_grad]
    if pairs:
        products = point.gradients([s for s, _ in pairs], [d for _, d in pairs])
    else:  # a linear function
        products = [zeros_like(leaf) for leaf in point.fresh]
    return value if point.record else value.detach(), point.rebuild(products)


class _Point:
    """Arguments of a function, those among them that are differentiated by, and fresh Tensors in their places."""

    def __init__(self, args: Sequence[Any], argnums: int | Sequence[int], create_graph: bool | None) -> None:
        self.args = list(args)
        self.single = isinstance(argnums, int)
        self.chosen = [argnums] if isinstance(argnums, int) else list(argnums)
        for number in self.chosen:
            if not -len(args) <= number < len(args):
                raise IndexError(
                    f"argnums: {number} is out of range, the function was called with {len(args)} positional arguments."
                )
        self.record = _inside.get() if create_graph is None else create_graph
        leaves, self._rebuild = flatten([self.args[number] for number in self.chosen])
        if not leaves:
            raise GradientError(
                "argnums: there is no Tensor or array in the arguments to differentiate by. Pass a Tensor; a Python "
                "number becomes one with portanet.asarray(...)."
            )
        self.fresh = [self._fresh(leaf) for leaf in leaves]

    @classmethod
    def of(cls, name: str, primals: Any, create_graph: bool | None) -> _Point:
        """The point of a function that is called with ``primals``, a tuple of arguments or the only one."""
        args = tuple(primals) if isinstance(primals, (tuple, list)) else (primals,)
        point = cls(args, range(len(args)), create_graph)
        point.single = not isinstance(primals, (tuple, list))
        return point

    def _fresh(self, leaf: Any) -> Tensor:
        tensor = asarray(leaf)
        if not tensor.dtype.is_differentiable:
            raise DTypeError(
                f"argnums: an argument to differentiate by is {tensor.dtype.name}, which has no gradient. Convert it "
                "with portanet.astype(x, portanet.float32)."
            )
        if self.record and tensor.requires_grad:
            with enable_grad():
                return positive(tensor)  # type: ignore[no-any-return]
        return tensor.detach().requires_grad_()

    def call(self, function: Function, kwargs: dict[str, Any]) -> Any:
        """Call the function with the fresh Tensors in the places of the arguments."""
        args = list(self.args)
        for number, value in zip(self.chosen, self._rebuild(self.fresh), strict=True):
            args[number] = value
        with _nested(), enable_grad():
            return function(*args, **kwargs)

    def directions(self, tangents: Any) -> list[Tensor]:
        """The tangents, one for each fresh Tensor."""
        tangents = [tangents] if self.single else tangents
        found = [asarray(tangent) for tangent in flatten(list(tangents))[0]]
        if [tangent.shape for tangent in found] != [leaf.shape for leaf in self.fresh]:
            raise ShapeError(
                f"tangents: expected the shapes of primals, {[leaf.shape for leaf in self.fresh]}, got "
                f"{[tangent.shape for tangent in found]}."
            )
        return found

    def gradients(
        self,
        outputs: Sequence[Tensor],
        cotangents: Sequence[Tensor] | None = None,
        *,
        keep: bool = False,
        record: bool | None = None,
    ) -> list[Tensor]:
        """The gradients of the outputs by the fresh Tensors, 0 where nothing depends on them."""
        record = self.record if record is None else record
        reached = [i for i, output in enumerate(outputs) if output.requires_grad]
        if not reached:
            return [zeros_like(leaf) for leaf in self.fresh]
        found = grad(
            [outputs[i] for i in reached],
            self.fresh,
            None if cotangents is None else [cotangents[i] for i in reached],
            retain_graph=keep or record,
            create_graph=record,
            allow_unused=True,
        )
        return [
            zeros_like(leaf) if gradient is None else gradient
            for gradient, leaf in zip(found, self.fresh, strict=True)
        ]

    def rebuild(self, values: Sequence[Any]) -> Any:
        """Values in the places of the fresh Tensors, in the shape of the chosen arguments."""
        parts = self._rebuild(values)
        return parts[0] if self.single else tuple(parts)


@contextmanager
def _nested() -> Iterator[None]:
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)


def _require_number(value: Any) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(
            f"function: expected it to return one number as a Tensor, got {type(value).__name__}. If it returns more, "
            "pass has_aux=True."
        )
    if value.size != 1:
        raise ShapeError(
            f"function: expected it to return one number, got shape {value.shape}. Reduce it, for example with "
            "portanet.sum, or use portanet.jacobian."
        )
    _require_real(value)


def _require_real(value: Tensor) -> None:
    if not value.dtype.is_floating:
        raise DTypeError(
            f"function: expected it to return real floating-point numbers, got {value.dtype.name}. Of complex numbers "
            "take the real and the imaginary part apart."
        )
