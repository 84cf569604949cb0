"""L-BFGS: a quasi-Newton method for the loss of the whole data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from portanet.backend import Backend, backend_of
from portanet.checks import check_number, whole_number
from portanet.conversion import require_known
from portanet.errors import DTypeError, OptionError, StateDictError
from portanet.graph import enable_grad
from portanet.nn.module import overwrite
from portanet.optim.line_search import Point, strong_wolfe
from portanet.optim.optimizer import Optimizer
from portanet.protocols import Array
from portanet.tensor import Tensor, as_native, wrap

__all__ = ["LBFGS"]


@dataclass
class _Memory:
    """What is kept from step to step, under PyTorch's names; all parameters lie in one vector."""

    func_evals: int = 0
    n_iter: int = 0
    d: Array | None = None
    t: float = 0.0
    old_dirs: list[Array] = field(default_factory=list)
    old_stps: list[Array] = field(default_factory=list)
    ro: list[float] = field(default_factory=list)
    H_diag: float = 1.0
    prev_flat_grad: Array | None = None
    prev_loss: float = 0.0


_ARRAYS = ("d", "prev_flat_grad")
_LISTS_OF_ARRAYS = ("old_dirs", "old_stps")


class LBFGS(Optimizer):
    """L-BFGS, with a line search for the strong Wolfe conditions if wanted.

    It is an algorithm of the host: each iteration reads a few numbers from the device and decides by them. ``step``
    needs a closure, which it calls up to ``max_eval`` times. All parameters are of one group, data type and device, and
    one that has no gradient counts as having one of zeros.

    Parameters
    ----------
    params : iterable of Tensor
        What to optimize.
    lr : float, default 1
        Length of a step along the direction, or of the line search's first trial.
    max_iter : int, default 20
        Iterations in a step.
    max_eval : int, optional
        Evaluations in a step; default: ``max_iter * 5 // 4``.
    tolerance_grad : float, default 1e-7
        Stop once no element of the gradient is larger.
    tolerance_change : float, default 1e-9
        Stop once neither the loss nor any parameter changes by more.
    history_size : int, default 100
        Steps that the model of the curvature is built on.
    line_search_fn : {None, "strong_wolfe"}
        How the length of a step is found.

    Notes
    -----
    The direction is the two-loop recursion of Nocedal, "Updating quasi-Newton matrices with limited storage", 1980.

    Examples
    --------
    >>> x = pn.Tensor([3.0, -1.0], requires_grad=True)
    >>> optimizer = pn.optim.LBFGS([x], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((x - pn.asarray([1.0, 2.0])) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item()
    13.0
    >>> [round(number, 4) for number in x.tolist()]
    [1.0, 2.0]
    """

    needs_closure = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if max_eval is None:
            max_eval = whole_number("max_iter", max_iter, low=1) * 5 // 4
        self._memory = _Memory()
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if an option is outside its domain."""
        super().check_options(options)
        for name in ("max_iter", "max_eval", "history_size"):
            whole_number(name, options[name], low=1)
        for name in ("tolerance_grad", "tolerance_change"):
            check_number(name, options[name], low=0.0)
        if options["line_search_fn"] not in (None, "strong_wolfe"):
            raise OptionError(
                f"line_search_fn: expected None or 'strong_wolfe', got {options['line_search_fn']!r}."
            )

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Set what to optimize: one group, and no more.

        Raises
        ------
        OptionError
            If there is a group already.
        """
        if self.param_groups:
            raise OptionError(
                "params: LBFGS takes one group of parameters, for they are all parts of one direction."
            )
        super().add_param_group(group)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Iterate until a tolerance or a limit is reached.

        Parameters
        ----------
        closure : callable
            Computes the loss and its gradients anew.

        Returns
        -------
        What the closure returned at first.
        """
        if closure is None:
            raise TypeError(
                "closure: LBFGS evaluates the loss several times in a step; pass a function that clears the gradients, "
                "computes the loss, calls backward() and returns the loss."
            )
        options, memory = self.param_groups[0], self._memory
        lr, tolerance_change = float(options["lr"]), options["tolerance_change"]
        line = _Line(options["params"], closure)
        self._bring(line)
        first_loss, loss, gradient = line.evaluate()
        evaluations = 1
        memory.func_evals += 1
        if line.largest(gradient) <= options["tolerance_grad"]:
            return first_loss
        for iteration in range(1, options["max_iter"] + 1):
            memory.n_iter += 1
            direction = self._direction(line, gradient, options["history_size"])
            memory.d, memory.prev_flat_grad, memory.prev_loss = direction, gradient, loss
            memory.t = lr
            if memory.n_iter == 1:
                memory.t *= min(1.0, 1.0 / line.read(line.xp.sum(line.xp.abs(gradient))))
            slope = line.read(gradient @ direction)
            if slope > -tolerance_change:
                break
            used = 0
            last = iteration == options["max_iter"]
            if options["line_search_fn"] is not None:
                point, used = strong_wolfe(
                    line.along(direction),
                    Point(0.0, loss, gradient, slope),
                    memory.t,
                    line.largest(direction),
                    1e-9,
                    options["max_eval"] - evaluations,
                )
                memory.t, loss, gradient = point.t, point.loss, point.gradient
                line.move(memory.t, direction)
            else:
                line.move(memory.t, direction)
                if not last:
                    _, loss, gradient = line.evaluate()
                    used = 1
            evaluations += used
            memory.func_evals += used
            if (
                last
                or evaluations >= options["max_eval"]
                or line.largest(gradient) <= options["tolerance_grad"]
                or line.largest(direction * memory.t) <= tolerance_change
                or abs(loss - memory.prev_loss) < tolerance_change
            ):
                break
        return first_loss

    def _direction(self, line: _Line, gradient: Array, history_size: int) -> Array:
        """Down the gradient, as far as the curvature seen so far suggests."""
        memory = self._memory
        if memory.n_iter == 1:
            memory.old_dirs, memory.old_stps, memory.ro, memory.H_diag = [], [], [], 1.0
            return -gradient
        change, moved = gradient - memory.prev_flat_grad, memory.d * memory.t  # type: ignore[operator]
        curvature = line.read(change @ moved)
        if curvature > 1e-10:
            if len(memory.old_dirs) == history_size:
                for kept in (memory.old_dirs, memory.old_stps, memory.ro):
                    kept.pop(0)
            memory.old_dirs.append(change)
            memory.old_stps.append(moved)
            memory.ro.append(1.0 / curvature)
            memory.H_diag = curvature / line.read(change @ change)
        direction = -gradient
        history = list(zip(memory.old_dirs, memory.old_stps, memory.ro, strict=True))
        shares = []
        for change, moved, inverse in reversed(history):
            shares.append((moved @ direction) * inverse)
            direction = direction - shares[-1] * change
        direction = direction * memory.H_diag
        for (change, moved, inverse), share in zip(history, reversed(shares), strict=True):
            direction = direction + (share - (change @ direction) * inverse) * moved
        return direction

    def _bring(self, line: _Line) -> None:
        """Move the memory to where the parameters are now."""

        def brought(array: Array | None) -> Array | None:
            at_home = type(array) is type(line.start) and line.backend.device_of(array) == line.model.device
            if array is None or (at_home and array.dtype == line.start.dtype):
                return array
            return as_native(wrap(array), line.model.dtype, line.model.device, None)

        for name in _ARRAYS:
            setattr(self._memory, name, brought(getattr(self._memory, name)))
        for name in _LISTS_OF_ARRAYS:
            setattr(self._memory, name, [brought(array) for array in getattr(self._memory, name)])

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on later.

        The layout is PyTorch's: the state is the first parameter's, its arrays are vectors of all parameters, and
        ``old_dirs``, ``old_stps`` and ``ro`` are lists.
        """
        saved = super().state_dict()
        memory = self._memory
        if memory.func_evals:
            names = [one.name for one in fields(memory)]
            if memory.d is None:
                names = ["func_evals", "n_iter"]
            entry = {name: getattr(memory, name) for name in names}
            for name in _ARRAYS:
                if name in entry:
                    entry[name] = wrap(entry[name]).clone()
            for name in (*_LISTS_OF_ARRAYS, "ro"):
                if name in entry:
                    entry[name] = [wrap(x).clone() if name != "ro" else x for x in entry[name]]
            saved["state"] = {0: entry}
        return saved

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave; nothing is changed unless all fits.

        Raises
        ------
        StateDictError
            If it is the state of something else.
        """
        states = state_dict.get("state") if isinstance(state_dict, Mapping) else None
        memory = _Memory()
        if isinstance(states, Mapping) and states:
            memory = self._read_memory(states.get(0, states.get("0")))
            state_dict = {**state_dict, "state": {}}
        super().load_state_dict(state_dict)
        self._memory = memory

    def _read_memory(self, entry: Any) -> _Memory:
        """The memory that a state dict holds."""
        model = self.param_groups[0]["params"][0]
        size = sum(tensor.size for tensor in self.param_groups[0]["params"])

        def vector(name: str, value: Any) -> Array:
            if not isinstance(value, Tensor) and backend_of(value) is None:
                raise StateDictError(f"state_dict: {name}: expected arrays, got {type(value).__name__}.")
            if tuple(value.shape) != (size,):
                raise StateDictError(
                    f"state_dict: {name} has shape {tuple(value.shape)}, expected {(size,)}. It was saved with another "
                    "model."
                )
            return as_native(value, model.dtype, model.device, True)

        wanted = ["func_evals", "n_iter"]
        if isinstance(entry, Mapping) and entry.get("d") is not None:
            wanted = [one.name for one in fields(_Memory)]
        missing = [name for name in wanted if not isinstance(entry, Mapping) or entry.get(name) is None]
        if missing:
            raise StateDictError(
                f"state_dict: parameter 0 has no {', '.join(missing)}; it was saved by another kind of optimizer."
            )
        found: dict[str, Any] = {}
        for name in wanted:
            try:
                if name in _ARRAYS:
                    found[name] = vector(name, entry[name])
                elif name in _LISTS_OF_ARRAYS:
                    found[name] = [vector(name, value) for value in entry[name]]
                elif name == "ro":
                    found[name] = [float(value) for value in entry[name]]
                else:
                    found[name] = int(entry[name]) if name in ("func_evals", "n_iter") else float(entry[name])
            except TypeError as error:
                raise StateDictError(f"state_dict: {name}: {error}.") from None
        if len({len(found.get(name, ())) for name in ("old_dirs", "old_stps", "ro")}) != 1:
            raise StateDictError("state_dict: old_dirs, old_stps and ro differ in length.")
        return _Memory(**found)


class _Line:
    """All parameters as one vector, which can be moved and evaluated."""

    def __init__(self, tensors: list[Tensor], closure: Callable[[], Any]) -> None:
        self.tensors = tensors
        self.closure = closure
        self.model = tensors[0]
        places = {(str(tensor.device), tensor.dtype.name) for tensor in tensors}
        if len(places) > 1:
            raise DTypeError(
                "params: LBFGS makes one vector of all parameters, and these are of several data types or places: "
                f"{', '.join(f'{dtype} on {device}' for device, dtype in sorted(places))}. Convert the model first."
            )
        self.backend: Backend = require_known(self.model._data)
        self.xp = self.backend.namespace
        self.start = self.xp.concat([tensor._data for tensor in tensors], axis=None)

    def read(self, number: Array) -> float:
        """A number of the device on the host."""
        return float(number)

    def largest(self, vector: Array) -> float:
        """The size of the largest element; 0 if there is none."""
        return self.read(self.xp.max(self.xp.abs(vector))) if vector.shape[0] else 0.0

    def evaluate(self) -> tuple[Any, float, Array]:
        """The closure's result where the parameters are now, the same as a number, and the gradient."""
        with enable_grad():
            loss = self.closure()
        xp = self.xp
        gradient = xp.concat(
            [
                xp.zeros_like(tensor._data) if tensor._grad is None else tensor._grad._data
                for tensor in self.tensors
            ],
            axis=None,
        )
        return loss, float(loss), gradient

    def put(self, vector: Array) -> None:
        """Set all parameters."""
        start = 0
        for tensor in self.tensors:
            end = start + tensor.size
            overwrite(tensor, self.xp.reshape(vector[start:end], tensor.shape))
            start = end

    def along(self, direction: Array) -> Callable[[float], Point]:
        """The points at distances along a direction; asking for one leaves the parameters there."""

        def at(t: float) -> Point:
            self.put(self.start + t * direction)
            _, loss, gradient = self.evaluate()
            return Point(t, loss, gradient, self.read(gradient @ direction))

        return at

    def move(self, t: float, direction: Array) -> None:
        """Go along a direction, for good."""
        self.start = self.start + t * direction
        self.put(self.start)
