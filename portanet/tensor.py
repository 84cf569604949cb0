"""Tensor, and :func:`lift`, which makes a Tensor function of an op."""

from __future__ import annotations

import builtins
import inspect
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import update_wrapper
from operator import index
from typing import Any, Concatenate, ParamSpec, TypeVar

from portanet.anomaly import check_results, watch, where_called
from portanet.backend import Implementation, backend_of, check_same_place, find_device, known_backend_names
from portanet.conversion import native_array, native_place, require_known
from portanet.dtypes import Device, DType, float32, int64
from portanet.dtypes import bool as bool_
from portanet.errors import DTypeError, GradientError, ShapeError
from portanet.graph import (
    RETAINED,
    HookHandle,
    Leaf,
    Node,
    SeveralVersions,
    Version,
    enable_grad,
    is_grad_enabled,
    walk_back,
)
from portanet.operands import (
    SCALAR_KINDS,
    admit_operands,
    any_vjp,
    check_kind,
    check_scalar,
    explain,
)
from portanet.ops import elementwise, indexing, linear_algebra, manipulation, reductions
from portanet.protocols import Array, NativeDType, Op, OpResult, Scalar

__all__ = ["RECORDED_OPS", "Tensor", "as_native", "asarray", "lift", "run_backward"]

P = ParamSpec("P")
Self = TypeVar("Self", bound="Tensor")


class RecordedOps(dict[Op, Callable[..., Any]]):
    """The Tensor function of each op; one that nobody has asked for yet is made."""

    def __missing__(self, op: Op) -> Callable[..., Any]:
        return lift(op)


RECORDED_OPS = RecordedOps()
"""Where a higher-order backward pass finds the Tensor functions."""

API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")
"""The revisions of the standard whose functions are here; each contains those before it."""

_OPERAND_ANNOTATIONS = ("Array", "Array | None")
_allocate = object.__new__
_FEW_SLICES = 16


def lift(
    op: Callable[Concatenate[Any, P], OpResult],
    *,
    aliases: bool = False,
    converts: bool = False,
    positional: bool = False,
) -> Callable[P, Any]:
    """Make a Tensor function of an op.

    The function runs the op, or the backend's kernel for it, on the arrays inside its operands; if one of
    them wants a gradient it records a node. Raw arrays go through untouched: they come back as raw arrays and
    nothing is recorded.

    Parameters
    ----------
    op : callable
        ``op(xp, *operands, **options)``. Operands are the parameters annotated as ``Array``.
    aliases : bool
        Whether the result may share memory with the first operand, and so shares its version.
    converts : bool
        Whether the op itself decides what a Python scalar does to the data type.
    positional : bool
        Whether the options before the star are given by position, as the standard has it for a few functions.
    """
    if op in RECORDED_OPS:
        return RECORDED_OPS[op]
    signature = inspect.signature(op)
    parameters = list(signature.parameters.values())[1:]
    operand_names = [
        p.name for p in parameters if p.annotation in _OPERAND_ANNOTATIONS and p.kind != p.KEYWORD_ONLY
    ]
    option_names = [p.name for p in parameters if p.name not in operand_names]
    arity = len(operand_names)
    variadic = any(p.kind == p.VAR_POSITIONAL for p in parameters)
    required = [p.name for p in parameters if p.name in operand_names and p.default is p.empty]
    takes_dtype = "dtype" in option_names
    implementations: dict[Any, Implementation] = {}

    def arrange(args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, ...]:
        """Sort positional options and operands given by keyword into their places."""
        for name, value in zip(option_names, args[arity:], strict=False):
            if name in options:
                raise TypeError(f"{op.__name__}() got two values for argument {name!r}")
            options[name] = value
        if len(args) > arity + len(option_names):
            raise TypeError(
                f"{op.__name__}() takes at most {arity + len(option_names)} arguments, got {len(args)}"
            )
        operands = list(args[:arity])
        for name in operand_names[len(operands) :]:
            if name not in options and name in required:
                raise TypeError(f"{op.__name__}() is missing its argument {name!r}")
            operands.append(options.pop(name, None))
        return tuple(operands)

    def function(*args: Any, **options: Any) -> Any:
        if len(args) != arity and not variadic:
            args = arrange(args, options)
        # This is the path of every operation, so it is written for speed: one loop, no calls, no properties.
        raw = []
        parents = []
        kind = versions = None
        wants_gradient = is_tensor = mixed = False
        for operand in args:
            if isinstance(operand, Tensor):
                is_tensor = True
                array = operand._data
                parent = operand._node
                version = operand._version
                raw.append(array)
                parents.append(parent)
                if parent is not None:
                    wants_gradient = True
                if version is not None:
                    if versions is None:
                        versions = [(version, version.count)]
                    else:
                        versions.append((version, version.count))
                if type(array) is not kind:
                    if kind is None:
                        kind = type(array)
                    else:
                        mixed = True
            else:
                raw.append(operand)
                parents.append(None)
                if operand is not None:
                    mixed = True
        implementation = None if mixed else implementations.get(kind)
        if implementation is None:
            implementation = admit_operands(op, operand_names, raw, implementations, is_tensor, converts)
        if takes_dtype and options.get("dtype") is not None:
            options["dtype"] = implementation.backend.native_dtype(options["dtype"])
        run = implementation.choose(raw, options) if implementation.conditional else implementation.function
        try:
            result, vjps = run(implementation.xp, *raw, **options)
        except Exception as error:
            explain(error, op, operand_names, raw, options)
            raise
        if type(result) is not kind and not isinstance(result, implementation.array_type):
            result = implementation.xp.asarray(result)
        if watch.active:
            check_results(op, raw, options, (result,))
        if not is_tensor:
            return result
        tensor = _allocate(Tensor)
        tensor._data = result
        tensor._grad = None
        tensor._version = args[0]._version if aliases else None
        if not wants_gradient or not is_grad_enabled():
            tensor._node = None
        elif (vjps[0] and parents[0]) or any_vjp(vjps, parents):
            tensor._node = Node(op, implementation, raw, parents, options, vjps, versions)
            if watch.active:
                tensor._node.site = where_called()
        else:
            tensor._node = None
            tensor._without = op
        return tensor

    if positional:
        parameters = [
            p.replace(kind=p.POSITIONAL_ONLY) if p.kind == p.POSITIONAL_OR_KEYWORD else p for p in parameters
        ]
    update_wrapper(function, op)
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    RECORDED_OPS[op] = function
    return function


def as_native(
    value: Any, dtype: DType | NativeDType | None, device: Device | str | None, copy: bool | None
) -> Array:
    """The array of the chosen backend that holds ``value``, which may be a Tensor; Python floats become float32."""
    if isinstance(value, Tensor):
        value = value._data
        if device is None:
            device = require_known(value).device_of(value)
    elif isinstance(value, (list, tuple)) and any(
        isinstance(part, Tensor) for part in _first_elements(value)
    ):
        raise DTypeError(
            "obj: a sequence of Tensors is joined with portanet.stack(...) or portanet.concat(...)."
        )
    return native_array(value, dtype, device, copy)


def _first_elements(value: Any) -> Iterator[Any]:
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
        yield value


def wrap(array: Array) -> Tensor:
    """A Tensor around an array, without a copy and without a history."""
    if array.ndim == 0:  # a library's reductions may return a scalar object
        array = require_known(array).namespace.asarray(array)
    tensor = _allocate(Tensor)
    tensor._data = array
    tensor._node = tensor._grad = tensor._version = None
    return tensor


def unwrap(value: Any) -> Array:
    """The array inside a Tensor; anything else as it is."""
    return value._data if isinstance(value, Tensor) else value


def asarray(
    obj: Any,
    /,
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
    copy: bool | None = None,
) -> Tensor:
    """Make a Tensor of numbers, of nested sequences, or of an array of any known library.

    Parameters
    ----------
    obj
        Python numbers, nested lists of them, an array, a Tensor, or nested lists of Tensors of one shape, which are
        stacked.
    dtype : DType, optional
        Default: the array's own; for Python floats float32, for Python integers int64.
    device : Device or str, optional
        Default: where a Tensor is already; for all else the backend in use.
    copy : bool, optional
        True always copies, False never (and raises where it must), None where needed.

    Returns
    -------
    Tensor
        It shares memory with ``obj`` where the library allows and ``copy`` is not True.

    Examples
    --------
    >>> pn.asarray([1.0, 2.0])
    Tensor([1., 2.])
    """
    if isinstance(obj, Tensor) and not copy and _is_already(obj, dtype, device):
        return obj
    if isinstance(obj, (list, tuple)) and any(isinstance(part, Tensor) for part in _first_elements(obj)):
        if copy is False:
            raise ValueError("copy: a sequence of Tensors cannot become one without a copy; leave copy=None.")
        joined: Tensor = lift(manipulation.stack)(*[asarray(part) for part in obj])
        return joined if dtype is None and device is None else joined.to(device, dtype=dtype)
    if isinstance(obj, Tensor) and obj._node is not None:
        return obj.to(device or obj.device, dtype=dtype, copy=bool(copy))
    tensor = wrap(as_native(obj, dtype, device, copy))
    if isinstance(obj, Tensor) and not copy:
        tensor._version = obj._version
    return tensor


def _is_already(tensor: Tensor, dtype: DType | None, device: Device | str | None) -> bool:
    """Whether a Tensor has this data type and is in this place."""
    return (dtype is None or tensor.dtype == dtype) and (
        device is None or native_place(device)[2] == tensor.device
    )


def run_backward(
    outputs: Sequence[Tensor],
    cotangents: Sequence[Any],
    *,
    retain_graph: bool,
    create_graph: bool,
    targets: frozenset[int] | None = None,
) -> dict[int, Any]:
    """Check the outputs and their cotangents, then walk back from them."""
    seeds = []
    for output, cotangent in zip(outputs, cotangents, strict=True):
        if output._node is None:
            culprit = getattr(output, "_without", None)
            if culprit is not None:
                raise GradientError(
                    f"backward: {culprit.__name__} has no gradient: what it returns does not follow small changes of "
                    "its operands, or is no floating-point number. Leave it out of what is differentiated."
                )
            raise GradientError(
                "backward: this Tensor has no graph: nothing it was computed from requires a gradient, or it was "
                "computed inside no_grad(). Set requires_grad=True on its inputs first."
            )
        if cotangent is None:
            if output._data.ndim and output.size != 1:
                raise GradientError(
                    "backward: gradient may be left out for a single number only, this Tensor has "
                    f"shape {output.shape}. "
                    "Reduce it first, for example with .sum(), or pass gradient=."
                )
            seeds.append((output._node, _unit(output, create_graph)))
            continue
        if not isinstance(cotangent, Tensor):
            # A copy, since a gradient may be this very array, and the caller's buffer may change.
            cotangent = asarray(cotangent, dtype=output.dtype, device=output.device, copy=True)
        if cotangent.shape != output.shape:
            raise ShapeError(f"gradient: expected the output's shape {output.shape}, got {cotangent.shape}.")
        check_same_place("backward", (output._data, cotangent._data))
        if cotangent.dtype != output.dtype:
            cotangent = cotangent.astype(output.dtype)
        cotangent = conjugate(cotangent)
        seeds.append((output._node, cotangent if create_graph else cotangent._data))
    return _walk(seeds, retain_graph, create_graph, targets)


def _walk(
    seeds: Sequence[Any],
    keep: bool,
    create_graph: bool,
    targets: frozenset[int] | None,
    stop: bool = False,
) -> dict[int, Any]:
    """Walk back on arrays; with ``create_graph`` on Tensors, so that the walk itself is recorded."""
    if not create_graph:
        return walk_back(
            seeds, keep=keep, wrap=wrap, show=shown, unwrap=_checked_array, targets=targets, stop=stop
        )
    with enable_grad():
        return walk_back(
            seeds,
            keep=keep,
            wrap=another,
            show=shown,
            unwrap=_checked_gradient,
            targets=targets,
            stop=stop,
            rerun=_run_on_tensors,
        )


def cotangents_at(
    output: Tensor, cotangent: Any, targets: frozenset[int], create_graph: bool
) -> dict[int, Any]:
    """Walk back from an output to where its graph meets an older one, of whose nodes ``targets`` are the orders."""
    return _walk([(output._node, cotangent)], create_graph, create_graph, targets, stop=True)


def _unit(output: Tensor, as_tensor: bool) -> Any:
    """The cotangent 1 of a single number."""
    node = output._node
    backend = node.implementation.backend if isinstance(node, Node) else require_known(output._data)
    place = (backend, output._data.dtype, output._data.shape, backend.device_of(output._data))
    one = _units.get(place)
    if one is None:
        if output.dtype.kind == "complex floating":
            raise GradientError(
                "backward: gradient may be left out for a real number only, this one is complex. "
                "Pass gradient=, or differentiate its real part or its absolute value."
            )
        one = backend.namespace.ones_like(output._data)
        if _frozen(one):
            _units[place] = one
    return wrap(one) if as_tensor else one


_units: dict[Any, Array] = {}
"""Only what cannot be written to: a unit may be the very array of a gradient, which the user may write to."""


def _frozen(array: Array) -> bool:
    """Make an array read-only, where its library can; whether it could."""
    try:
        array.flags.writeable = False
    except AttributeError:
        return False
    return True


def another(tensor: Tensor) -> Tensor:
    """A Tensor of its own with the same data and history, so that changing one in place does not change the other."""
    twin = wrap(tensor._data)
    twin._node, twin._version = tensor._node, tensor._version
    return twin


def conjugate(x: Tensor) -> Tensor:
    """The conjugate of complex numbers; real ones as they are."""
    if x.dtype.kind != "complex floating":
        return x
    return lift(elementwise.conj)(x)  # type: ignore[no-any-return]


def shown(cotangent: Any) -> Tensor:
    """The gradient that belongs to a cotangent, as a Tensor of its own: its conjugate, as in PyTorch."""
    tensor = another(cotangent) if isinstance(cotangent, Tensor) else wrap(cotangent)
    return conjugate(tensor)


def _checked_gradient(replaced: Any, gradient: Any) -> Tensor:
    """The cotangent for what a hook returned, if that can stand for the gradient.

    Raises
    ------
    TypeError, ShapeError, DTypeError, MixedBackendError, DeviceError
        If it cannot.
    """
    if not isinstance(replaced, Tensor):
        raise TypeError(f"hook: expected it to return a Tensor or None, got {type(replaced).__name__}.")
    gradient = gradient if isinstance(gradient, Tensor) else wrap(gradient)
    if replaced.shape != gradient.shape:
        raise ShapeError(
            f"hook: expected a gradient of shape {gradient.shape}, got {replaced.shape}. "
            "Return None to leave the gradient as it is."
        )
    check_same_place("hook", (gradient._data, replaced._data))
    if replaced.dtype != gradient.dtype:
        raise DTypeError(
            f"hook: expected a gradient of type {gradient.dtype.name}, got {replaced.dtype.name}. "
            f"Convert it with portanet.astype(g, portanet.{gradient.dtype.name})."
        )
    return conjugate(replaced)


def _checked_array(replaced: Any, gradient: Array) -> Array:
    return _checked_gradient(replaced, gradient)._data


def _run_on_tensors(node: Node) -> tuple[Any, Any, tuple[Any, ...]]:
    """Run a node's op again on Tensors, so that its vjps record what they do."""
    xp = sys.modules["portanet"]
    version = None
    if node.versions is not None:
        versions = [version for version, _ in node.versions]
        version = versions[0] if len(versions) == 1 else SeveralVersions(versions)
    operands = []
    for array, parent in zip(node.operands, node.parents, strict=True):
        if array is None or type(array) in SCALAR_KINDS:
            operands.append(array)
            continue
        tensor = wrap(array)
        tensor._node = parent
        tensor._version = version
        operands.append(tensor)
    _, vjps = node.op(xp, *operands, **node.options)
    return xp, operands, vjps


def _binary(op: Callable[..., OpResult]) -> tuple[Any, Any, Any]:
    """The three operator methods of a binary op: ``x + y``, ``y + x`` with ``x`` on the right, and ``x += y``."""
    function = lift(op)

    def forward(self: Tensor, other: Any) -> Any:
        return function(self, other) if _is_operand(other) else NotImplemented

    def reflected(self: Tensor, other: Any) -> Any:
        return function(other, self) if _is_operand(other) else NotImplemented

    def in_place(self: Tensor, other: Any) -> Any:
        return self._rebind(function(self, other)) if _is_operand(other) else NotImplemented

    return forward, reflected, in_place


def _is_operand(value: Any) -> bool:
    return isinstance(value, Tensor) or type(value) in SCALAR_KINDS or backend_of(value) is not None


class Tensor:
    """An array of any backend, with a gradient.

    Parameters
    ----------
    data
        Python numbers, nested sequences, an array or a Tensor. It is copied.
    dtype : DType, optional
        Default: the array's own; float32 for Python floats.
    device : Device or str, optional
        Default: where ``data`` is if it is a Tensor, else the backend in use.
    requires_grad : bool, default False
        Whether ``backward`` accumulates a gradient in :attr:`grad`.

    Notes
    -----
    Tensors never share memory that changes: ``x[k] = v`` and ``x += y`` make new data and give it to ``x``.
    Only optimizers and ``load_state_dict`` write in place, and backward raises if such a write came between.

    Examples
    --------
    >>> x = pn.Tensor([[1.0, 2.0]], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    Tensor([[2., 4.]])
    """

    __slots__ = ("__weakref__", "_data", "_grad", "_node", "_version", "_without")
    __array_ufunc__ = None  # NumPy arrays leave operators with a Tensor to the Tensor

    _data: Array
    _node: Node | Leaf | None
    _grad: Tensor | None
    _version: Version | None
    _without: Op  # which has no gradient and made this of what wants one; else not set

    def __init__(
        self,
        data: Any,
        dtype: DType | None = None,
        device: Device | str | None = None,
        requires_grad: bool = False,
    ) -> None:
        self._data = as_native(data, dtype, device, True)
        self._node = self._grad = self._version = None
        if requires_grad:
            self.requires_grad_()

    # What it is

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(self._data.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._data.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        size = 1
        for length in self._data.shape:
            size *= length
        return size

    @property
    def dtype(self) -> DType:
        """The data type."""
        return require_known(self._data).dtype_of(self._data)

    @property
    def device(self) -> Device:
        """Where the data is."""
        return require_known(self._data).device_of(self._data)

    @property
    def data(self) -> Array:
        """The array of the backend's own library. Do not write into it: closures of a recorded graph may hold it."""
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        array = as_native(value, self.dtype, self.device, None)
        if tuple(array.shape) != self.shape:
            raise ShapeError(f"data: expected shape {self.shape}, got {tuple(array.shape)}.")
        self._data = array
        if self._version is not None:
            self._version.count += 1

    @property
    def T(self) -> Tensor:  # noqa: N802
        """Transpose of a matrix."""
        if self.ndim != 2:
            raise ShapeError(f"T: expected 2 axes, got shape {self.shape}. Use .mT or portanet.permute_dims.")
        return self.mT

    @property
    def mT(self) -> Tensor:  # noqa: N802
        """Transpose of the last two axes."""
        return lift(manipulation.matrix_transpose, aliases=True)(self)  # type: ignore[no-any-return]

    # Its gradient

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this Tensor."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Set whether gradients flow to this Tensor; only for one that was not computed from others.

        Raises
        ------
        DTypeError
            For integers and booleans.
        GradientError
            For a computed Tensor.
        """
        if not self.is_leaf:
            if requires_grad:
                return self
            raise GradientError("requires_grad: a computed Tensor cannot be changed; use .detach().")
        if not requires_grad:
            self._node = None
        elif self._node is None:
            if not self.dtype.is_differentiable:
                raise DTypeError(
                    f"requires_grad: only floating-point Tensors have gradients, this one is {self.dtype.name}. "
                    "Convert it first: portanet.astype(x, portanet.float32)."
                )
            self._node = Leaf(self)
            if self._version is None:
                self._version = Version()
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether this Tensor was made, not computed from others that want a gradient."""
        return self._node is None or self._node.is_leaf

    @property
    def grad(self) -> Tensor | None:
        """The accumulated gradient, or None."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"grad: expected a Tensor or None, got {type(value).__name__}.")
            check_same_place("grad", (self._data, value._data))
            if value.shape != self.shape or value.dtype != self.dtype:
                raise ShapeError(
                    f"grad: expected shape {self.shape} and {self.dtype.name}, got {value.shape} and "
                    f"{value.dtype.name}."
                )
        self._grad = value

    def backward(
        self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Accumulate the gradient of this Tensor in the ``grad`` of every leaf that it was computed from.

        Parameters
        ----------
        gradient : Tensor, optional
            The cotangent of this Tensor, of its shape. May be left out for a single number.
        retain_graph : bool, optional
            Keep the graph for another pass; default: the value of ``create_graph``.
        create_graph : bool, default False
            Record the backward pass itself, for gradients of gradients.

        Raises
        ------
        GradientError
            If there is no graph.
        GraphFreedError
            If an earlier pass has freed it.
        OverwrittenError
            If an array that the pass needs was overwritten.
        """
        keep = create_graph if retain_graph is None else retain_graph
        if gradient is None and not create_graph and not self._data.shape and self._node is not None:
            seeds = ((self._node, _unit(self, False)),)
            walk_back(seeds, keep=keep, wrap=wrap, show=shown, unwrap=_checked_array)
            return
        run_backward([self], [gradient], retain_graph=keep, create_graph=create_graph)

    def detach(self) -> Tensor:
        """The same data without a history."""
        tensor = wrap(self._data)
        tensor._version = self._version
        return tensor

    def retain_grad(self) -> None:
        """Keep the gradient of a computed Tensor in its ``grad``, too."""
        if self._node is None:
            raise GradientError("retain_grad: this Tensor does not require a gradient.")
        if self._node.is_leaf:
            return

        if self._node.hooks is None:
            self._node.hooks = {}
        self._node.hooks[RETAINED] = _Keeper(self)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Call ``hook(gradient)`` whenever the gradient of this Tensor is complete; what it returns replaces it.

        Returns
        -------
        HookHandle
            Its ``remove()`` takes the hook away.
        """
        if self._node is None:
            raise GradientError("register_hook: this Tensor does not require a gradient.")
        if self._node.hooks is None:
            self._node.hooks = {}
        return HookHandle(self._node.hooks, hook)

    def _rebind(self: Self, new: Tensor) -> Self:
        """Give this Tensor new data and the new history that goes with it."""
        if new.shape != self.shape:
            raise ShapeError(
                f"in-place operation: the result has shape {new.shape}, this Tensor has {self.shape}."
            )
        if new.dtype != self.dtype:
            check_kind("in-place operation", new.dtype, self.dtype)
            new = new.astype(self.dtype)
        if isinstance(self._node, Leaf):
            if is_grad_enabled():
                raise GradientError(
                    "in-place operation: a leaf Tensor that requires a gradient cannot be changed while operations are "
                    "recorded. Do it inside `with portanet.no_grad():`."
                )
        elif is_grad_enabled():  # otherwise the values change and the history stays, as in PyTorch
            keeper = None
            if self._node is not None and self._node.hooks:
                keeper = self._node.hooks.pop(RETAINED, None)
            self._node = new._node
            if keeper is not None and self._node is not None:
                self.retain_grad()
        self._data = new._data
        if self._version is not None:
            self._version = Version()
        return self

    # Its values elsewhere

    def numpy(self) -> Any:
        """A read-only NumPy array with the same values; it shares memory where the data is on the host.

        Raises
        ------
        GradientError
            If this Tensor requires a gradient: use ``.detach().numpy()``.
        """
        if self._node is not None:
            raise GradientError(
                "numpy: this Tensor requires a gradient, which NumPy would lose. Use .detach().numpy()."
            )
        host = require_known(self._data).to_host(self._data).view()
        host.flags.writeable = False
        return host

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        host = self.numpy()
        if dtype is not None and host.dtype != dtype:
            if copy is False:
                raise ValueError(f"copy: {host.dtype} cannot become {dtype} without a copy; leave copy=None.")
            return host.astype(dtype)
        return host.copy() if copy else host

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[Any, int] | None = None,
        copy: builtins.bool | None = None,
    ) -> Any:
        if self._node is not None:
            raise GradientError("__dlpack__: this Tensor requires a gradient. Use .detach() first.")
        given = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
        return self._data.__dlpack__(**{name: value for name, value in given.items() if value is not None})

    def __dlpack_device__(self) -> Any:
        return self._data.__dlpack_device__()

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        if api_version not in (None, *API_VERSIONS):
            raise ValueError(
                f"api_version: portanet follows revision {API_VERSIONS[-1]} of the standard, got {api_version!r}."
            )
        return sys.modules["portanet"]

    def item(self) -> Scalar:
        """The value of a single number, as a Python number."""
        if self.size != 1:
            raise ShapeError(f"item: expected a single number, this Tensor has shape {self.shape}.")
        return require_known(self._data).to_host(self._data).item()  # type: ignore[no-any-return]

    def tolist(self) -> Any:
        """The values as nested Python lists."""
        return require_known(self._data).to_host(self._data).tolist()

    def to(
        self,
        device: Device | str | DType | None = None,
        *,
        dtype: DType | None = None,
        copy: bool = False,
    ) -> Tensor:
        """Move to another device or backend, or convert to another data type; gradients flow back.

        Parameters
        ----------
        device : Device or str or DType, optional
            ``"cpu"``, ``"torch:cpu"``, a Device; or a data type.
        """
        if isinstance(device, DType):
            device, dtype = None, device
        tensor = self
        if device is not None:
            if isinstance(device, str) and device.partition(":")[0] not in known_backend_names():
                place = find_device(require_known(self._data), device)  # "cpu" is that of the own library
            else:
                _, _, place = native_place(device)
            if place != self.device:
                tensor = _moved(self, place)
        if dtype is not None and dtype != tensor.dtype:
            tensor = tensor.astype(dtype)
        return tensor.clone() if copy and tensor is self else tensor

    def to_device(self, device: Device | str, /, *, stream: Any = None) -> Tensor:
        """Move to another device, by the standard's name."""
        return self.to(device)

    def cpu(self) -> Tensor:
        """Move to the host, to NumPy where the backend has no device on the host."""
        backend = require_known(self._data)
        for device in backend.devices():
            if not device.is_accelerator:
                return self.to(device)
        return self.to(Device("numpy", "cpu"))

    def clone(self) -> Tensor:
        """A copy; gradients flow back to the original."""
        return lift(copied)(self)  # type: ignore[no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        """What copies are made of, and what other processes are handed; hooks stay behind."""
        if not self.is_leaf:
            raise GradientError("copy: only a Tensor that was made can be copied; use .detach() first.")
        gradient = None if self._grad is None else self._grad.detach()
        return {
            "data": self._data,
            "gradient": gradient,
            "version": self._version,
            "requires_grad": self.requires_grad,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._data, self._grad, self._version = state["data"], state["gradient"], state["version"]
        self._node = Leaf(self) if state["requires_grad"] else None

    def __repr__(self) -> str:
        backend, dtype = require_known(self._data), self.dtype
        if backend.is_traced(self._data):
            parts = ["traced", f"shape={self.shape}", f"dtype={dtype.name}"]
        else:
            host = backend.to_host(self._data)
            prefix = f"{type(self).__name__}("
            parts = [host.__array_namespace__().array2string(host, separator=", ", prefix=prefix)]
            if self.size == 0 and self.shape != (0,):
                parts.append(f"shape={self.shape}")
            if (dtype not in (float32, bool_) and dtype.name != "int64") or self.size == 0:
                parts.append(f"dtype={dtype.name}")
        if self.device != Device("numpy", "cpu"):
            parts.append(f"device='{self.device}'")
        if isinstance(self._node, Node):
            parts.append(f"from={self._node.op.__name__}")
        elif self._node is not None and type(self) is Tensor:
            parts.append("requires_grad=True")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __str__(self) -> str:
        return repr(self)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def __bool__(self) -> bool:
        return builtins.bool(self._single("bool"))

    def __int__(self) -> int:
        return int(self._single("int"))

    def __float__(self) -> builtins.float:
        return builtins.float(self._single("float"))

    def __complex__(self) -> complex:
        return complex(self._single("complex"))

    def __index__(self) -> int:
        return self._data.__index__()  # type: ignore[no-any-return]

    def _single(self, wanted: str) -> Any:
        if self.size != 1:
            raise ShapeError(
                f"{wanted}(): expected a single number, this Tensor has shape {self.shape}. "
                "Reduce it first, for example with .any(), .all() or .sum()."
            )
        return self.item()

    def __len__(self) -> int:
        if not self._data.shape:
            raise TypeError("len() of a Tensor without axes")
        return int(self._data.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if not self._data.shape:
            raise TypeError("iteration over a Tensor without axes")
        return slices_along(self, 0)

    # Its parts

    def __getitem__(self, key: Any) -> Tensor:
        return lift(indexing.getitem, aliases=True)(self, native_key(key, self._data))  # type: ignore[no-any-return]

    def __setitem__(self, key: Any, value: Any) -> None:
        if not _is_operand(value):
            check_kind("x[key] = value", asarray(value, device=self.device).dtype, self.dtype)
            value = asarray(value, dtype=self.dtype, device=self.device)
        elif type(value) in SCALAR_KINDS:
            check_scalar("x[key] = value", value, self.dtype)
            value = asarray(value, dtype=self.dtype, device=self.device)
        array = unwrap(value)
        check_kind("x[key] = value", require_known(array).dtype_of(array), self.dtype)
        self._rebind(lift(indexing.setitem)(self, value, native_key(key, self._data)))

    # Its operators

    __add__, __radd__, __iadd__ = _binary(elementwise.add)
    __sub__, __rsub__, __isub__ = _binary(elementwise.subtract)
    __mul__, __rmul__, __imul__ = _binary(elementwise.multiply)
    __pow__, __rpow__, __ipow__ = _binary(elementwise.pow)
    __matmul__, __rmatmul__, __imatmul__ = _binary(linear_algebra.matmul)
    __mod__, __rmod__, __imod__ = _binary(elementwise.remainder)
    __floordiv__, __rfloordiv__, __ifloordiv__ = _binary(elementwise.floor_divide)
    __and__, __rand__, __iand__ = _binary(elementwise.bitwise_and)
    __or__, __ror__, __ior__ = _binary(elementwise.bitwise_or)
    __xor__, __rxor__, __ixor__ = _binary(elementwise.bitwise_xor)
    __lshift__, __rlshift__, __ilshift__ = _binary(elementwise.bitwise_left_shift)
    __rshift__, __rrshift__, __irshift__ = _binary(elementwise.bitwise_right_shift)
    lift(elementwise.divide, converts=True)
    __truediv__, __rtruediv__, __itruediv__ = _binary(elementwise.divide)
    __lt__ = _binary(elementwise.less)[0]
    __le__ = _binary(elementwise.less_equal)[0]
    __gt__ = _binary(elementwise.greater)[0]
    __ge__ = _binary(elementwise.greater_equal)[0]
    __eq__ = _binary(elementwise.equal)[0]
    __ne__ = _binary(elementwise.not_equal)[0]
    __hash__ = object.__hash__
    __neg__ = lift(elementwise.negative)
    __pos__ = lift(elementwise.positive, aliases=True)  # some libraries return the array itself
    __abs__ = lift(elementwise.abs)
    __invert__ = lift(elementwise.bitwise_invert)

    # The everyday methods of PyTorch's Tensor: aliases of the functions, here and nowhere else

    abs = lift(elementwise.abs)
    exp = lift(elementwise.exp)
    log = lift(elementwise.log)
    sqrt = lift(elementwise.sqrt)
    square = lift(elementwise.square)
    sin = lift(elementwise.sin)
    cos = lift(elementwise.cos)
    tanh = lift(elementwise.tanh)
    pow = lift(elementwise.pow)
    clamp = clip = lift(elementwise.clip)
    sum = lift(reductions.sum)
    mean = lift(reductions.mean)
    prod = lift(reductions.prod)
    max = lift(reductions.max)
    min = lift(reductions.min)
    var = lift(reductions.var)
    std = lift(reductions.std)
    any = lift(reductions.any)
    all = lift(reductions.all)
    argmax = lift(reductions.argmax)
    argmin = lift(reductions.argmin)
    mm = matmul = lift(linear_algebra.matmul)
    squeeze = lift(manipulation.squeeze, aliases=True)
    expand_dims = lift(manipulation.expand_dims, aliases=True)
    astype = lift(manipulation.astype, aliases=True, positional=True)

    def reshape(self, *shape: Any) -> Tensor:
        """The same values in another shape, given as numbers or as one tuple."""
        sizes = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        return lift(manipulation.reshape, aliases=True)(self, sizes)  # type: ignore[no-any-return]

    view = reshape

    def permute(self, *axes: Any) -> Tensor:
        """The axes in another order, given as numbers or as one tuple."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        return lift(manipulation.permute_dims, aliases=True)(self, order)  # type: ignore[no-any-return]

    def t(self) -> Tensor:
        """Transpose of a matrix; a vector stays as it is."""
        return self if self.ndim < 2 else self.T

    def numel(self) -> int:
        """The number of elements, as :attr:`size`."""
        return self.size

    def flatten(self) -> Tensor:
        """All values along one axis."""
        return self.reshape(-1)

    def unsqueeze(self, axis: int) -> Tensor:
        """Insert an axis of length 1."""
        return self.expand_dims(axis=axis)  # type: ignore[no-any-return]

    def float(self) -> Tensor:
        """Convert to float32."""
        return self.to(float32)


def native_key(key: Any, x: Array) -> Any:
    """An index as the library of ``x`` takes it: Tensors and lists as arrays, scalar objects as numbers.

    Raises
    ------
    MixedBackendError, DeviceError
        If an array in it is in another place than ``x``.
    """
    if key is None or key is ... or type(key) is int:
        return key
    if isinstance(key, tuple):
        return tuple(native_key(part, x) for part in key)
    if isinstance(key, slice):
        return slice(*(None if part is None else index(part) for part in (key.start, key.stop, key.step)))
    if isinstance(key, list):
        return as_native(key, None if key else int64, require_known(x).device_of(x), None)
    part = unwrap(key)
    backend = backend_of(part)
    if backend is None:
        return part
    if not isinstance(part, backend.array_types()[0]):
        return part.item()
    check_same_place("getitem", (x, part))
    return part


def slices_along(x: Array, axis: int) -> Iterator[Any]:
    """The slices of an array along an axis, without that axis.

    Many slices of what wants a gradient are cut by halves: the gradient of each cut is as large as what was cut, so
    that n slices of the whole would need n times its memory traffic, and these need log2(n) times.
    """
    before, length = (slice(None),) * axis, x.shape[axis]
    cut = lift(indexing.getitem, aliases=True)
    if length > _FEW_SLICES and isinstance(x, Tensor) and x._node is not None and is_grad_enabled():
        middle = length // 2
        for half in (slice(0, middle), slice(middle, length)):
            yield from slices_along(cut(x, (*before, half, ...)), axis)
    else:
        for place in range(length):
            yield cut(x, (*before, place, ...))


def copied(xp: Any, x: Array) -> OpResult:
    """A copy of an array."""
    return xp.asarray(x, copy=True), (lambda g: g,)


class _Keeper:
    """The hook of :meth:`Tensor.retain_grad`."""

    __slots__ = ("_tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = weakref.ref(tensor)

    def __call__(self, gradient: Tensor) -> None:
        tensor = self._tensor()
        if tensor is not None:
            tensor._grad = gradient if tensor._grad is None else tensor._grad + gradient


def _moved(tensor: Tensor, place: Device) -> Tensor:
    """The same values on another device, perhaps of another backend; the cotangent travels back."""
    home = tensor.device
    source = require_known(tensor._data)

    def move(array: Array, there: Device) -> Array:
        return array.to(there) if isinstance(array, Tensor) else as_native(array, None, there, None)

    def to_place(xp: Any, x: Array) -> OpResult:
        return move(x, place), (lambda g: move(g, home),)

    moved = wrap(as_native(tensor._data, None, place, None))
    moved._version = tensor._version  # two libraries may share the memory
    if tensor._node is not None and is_grad_enabled():
        vjps = to_place(None, tensor._data)[1]
        implementation = Implementation(to_place, source)
        moved._node = Node(to_place, implementation, [tensor._data], [tensor._node], {}, vjps, None)
    return moved
