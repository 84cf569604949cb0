"""How functions that move, join, sort and reduce elements are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from portanet.io.onnx.graph import Condition, Pair, Write
from portanet.io.onnx.indexing import END, sliced

__all__ = ["ARRAYS", "ARRAY_CONDITIONS", "FOLLOWS_BATCH"]


FOLLOWS_BATCH = frozenset(["broadcast_to", "reshape"])
"""Their options may differ from batch to batch."""


def _axes(axis: Any, ndim: int) -> list[int]:
    """Axes, counted from the front."""
    given: Sequence[int] = range(ndim)
    if axis is not None:
        given = (axis,) if isinstance(axis, int) else axis
    return [one % ndim for one in given]


# The order and number of axes


def _reshape(pair: Pair) -> Any:
    sizes, before = pair.sizes_out(), pair.sizes_in(0)
    if sizes == before:
        return pair.name(0)
    varying = [place for place, (one, other) in enumerate(sizes) if one != other]
    if len(varying) == 1 and all(one for one, _ in sizes):
        target = [-1 if place in varying else one for place, (one, _) in enumerate(sizes)]
        return pair.node("Reshape", [pair.name(0), pair.graph.numbers(target)])
    return pair.node("Reshape", [pair.name(0), pair.graph.sizes(sizes)], allowzero=1)


def _transposed(pair: Pair, order: Sequence[int]) -> Any:
    if list(order) == list(range(len(order))):
        return pair.name(0)
    return pair.node("Transpose", [pair.name(0)], perm=list(order))


def _permute_dims(pair: Pair) -> Any:
    ndim = len(pair.shape(0))
    return _transposed(pair, _axes(tuple(pair.step.options["axes"]), ndim) if ndim else [])


def _matrix_transpose(pair: Pair) -> Any:
    ndim = len(pair.shape(0))
    return _transposed(pair, [*range(ndim - 2), ndim - 1, ndim - 2])


def _moveaxis(pair: Pair) -> Any:
    ndim = len(pair.shape(0))
    source, target = (_axes(pair.step.options[name], ndim) for name in ("source", "destination"))
    order = [axis for axis in range(ndim) if axis not in source]
    for place, axis in sorted(zip(target, source, strict=True)):
        order.insert(place, axis)
    return _transposed(pair, order)


def _expand_dims(pair: Pair) -> Any:
    axes = _axes(pair.step.options.get("axis", 0), len(pair.step.shapes[0]))
    return pair.node("Unsqueeze", [pair.name(0), pair.graph.numbers(axes)])


def _squeeze(pair: Pair) -> Any:
    axes = _axes(pair.step.options["axis"], len(pair.shape(0)))
    return pair.node("Squeeze", [pair.name(0), pair.graph.numbers(axes)]) if axes else pair.name(0)


def _broadcast_to(pair: Pair) -> Any:
    if pair.sizes_out() == pair.sizes_in(0):
        return pair.name(0)
    return pair.node("Expand", [pair.name(0), pair.graph.sizes(pair.sizes_out())])


def _astype(pair: Pair) -> Any:
    return pair.name(0, pair.step.dtypes[0])


def _flip(pair: Pair) -> Any:
    axes = _axes(pair.step.options.get("axis"), len(pair.shape(0)))
    return sliced(pair, pair.name(0), [(axis, -1, -END, -1) for axis in axes])


def _roll(pair: Pair) -> Any:
    shift, axis = pair.step.options["shift"], pair.step.options.get("axis")
    name, sizes = pair.name(0), pair.sizes_in(0)
    if axis is None:
        name = pair.node("Reshape", [name, pair.graph.numbers([-1])])
        sizes = [(prod(one for one, _ in sizes), prod(other for _, other in sizes))]
    shifts = (shift,) if isinstance(shift, int) else shift
    axes = _axes(axis, len(sizes))
    for by, place in zip(shifts * (len(axes) if len(shifts) == 1 else 1), axes, strict=True):
        # The place from which on elements come first, one for each recording.
        one, other = sizes[place]
        cut = (-by % max(one, 1), -by % max(other, 1))
        last = sliced(pair, name, [(place, cut, END, 1)])
        first = sliced(pair, name, [(place, 0, cut, 1)])
        name = pair.node("Concat", [last, first], axis=place)
    if axis is None:
        return pair.node("Reshape", [name, pair.graph.sizes(pair.sizes_out())])
    return name


def _triangle(upper: int) -> Write:
    def write(pair: Pair) -> Any:
        k = pair.step.options.get("k", 0)
        return pair.node("Trilu", [pair.name(0), pair.graph.number(k, "int64")], upper=upper)

    return write


def _joined(pair: Pair, prepare: Callable[[str], str], axis: int) -> Any:
    count = len(pair.step.operands)
    names = [prepare(pair.name(place, pair.step.dtypes[0])) for place in range(count)]
    return pair.node("Concat", names, axis=axis) if count > 1 else names[0]


def _concat(pair: Pair) -> Any:
    axis = pair.step.options.get("axis", 0)
    if axis is None:
        flat = pair.graph.numbers([-1])
        return _joined(pair, lambda name: str(pair.node("Reshape", [name, flat])), 0)
    return _joined(pair, lambda name: name, axis)


def _stack(pair: Pair) -> Any:
    axis = pair.step.options.get("axis", 0) % len(pair.step.shapes[0])
    place = pair.graph.numbers([axis])
    return _joined(pair, lambda name: str(pair.node("Unsqueeze", [name, place])), axis)


def _tile(pair: Pair) -> Any:
    repetitions = pair.step.options["repetitions"]
    times = [repetitions] if isinstance(repetitions, int) else list(repetitions)
    ndim = len(pair.shape(0))
    name = pair.name(0)
    if not ndim and not times:  # ONNX Runtime 1.20 tiles no single number, not even not at all
        return name
    if len(times) > ndim:
        name = pair.node("Unsqueeze", [name, pair.graph.numbers(range(len(times) - ndim))])
    return pair.node("Tile", [name, pair.graph.numbers([1] * (ndim - len(times)) + times)])


# Reductions

UNSIGNED = frozenset(["uint8", "uint16", "uint32", "uint64"])
WITHOUT_REDUCTION = {
    "ReduceSum": UNSIGNED,
    "ReduceProd": UNSIGNED,  # modulo a power of two, which the detour by int64 does not change
    "ReduceMax": frozenset(["int16", "uint16", "uint32"]),
    "ReduceMin": frozenset(["int16", "uint16", "uint32"]),
}
"""Types in which ONNX, or ONNX Runtime, has none."""


def _reduced(kind: str) -> Write:
    def write(pair: Pair) -> Any:
        options, dtype = pair.step.options, pair.step.dtypes[0]
        within = "int64" if dtype in WITHOUT_REDUCTION.get(kind, ()) else dtype
        found = _reduction(pair, kind, pair.name(0, within), options.get("axis"), options)
        return pair.graph.cast(found, within, dtype, pair.step.path)

    return write


def _reduction(pair: Pair, kind: str, name: str, axis: Any, options: Mapping[str, Any]) -> Any:
    axes = _axes(axis, len(pair.shape(0)))
    if not axes:
        return name
    return pair.node(kind, [name, pair.graph.numbers(axes)], keepdims=int(options.get("keepdims", False)))


def _asked(kind: str) -> Write:
    """``any`` and ``all`` by way of the integers 0 and 1; any is their sum, which of nothing is 0."""

    def write(pair: Pair) -> Any:
        name = pair.graph.cast(pair.name(0, "bool"), "bool", "int32", pair.step.path)
        options = pair.step.options
        found = _reduction(pair, kind, name, options.get("axis"), options)
        return pair.graph.cast(found, "int32", "bool", pair.step.path)

    return write


def _sought(kind: str) -> Write:
    def write(pair: Pair) -> Any:
        axis, keep = pair.step.options.get("axis"), pair.step.options.get("keepdims", False)
        name = pair.name(0)
        if pair.dtype(0) == "bool":
            name = pair.graph.cast(name, "bool", "int32", pair.step.path)
        if axis is not None:
            return pair.node(kind, [name], axis=axis, keepdims=int(keep))
        flat = pair.node("Reshape", [name, pair.graph.numbers([-1])])
        found = pair.node(kind, [flat], axis=0, keepdims=0)
        if not keep:
            return found
        return pair.node("Reshape", [found, pair.graph.numbers([1] * len(pair.shape(0)))])

    return write


def _vector_norm(pair: Pair) -> Any:
    """The order 2 or 1 as one node; the largest, the smallest, and other powers."""
    options, dtype = pair.step.options, pair.step.dtypes[0]
    order, axis = options.get("ord", 2), options.get("axis")
    kind = {2: "ReduceL2", 1: "ReduceL1"}.get(order)
    x = pair.name(0, dtype)
    if kind is not None and _axes(axis, len(pair.shape(0))):
        return _reduction(pair, kind, x, axis, options)
    x = pair.node("Abs", [x])
    if order in (float("inf"), -float("inf")):
        return _reduction(pair, "ReduceMax" if order > 0 else "ReduceMin", x, axis, options)
    total = _reduction(
        pair, "ReduceSum", pair.node("Pow", [x, pair.graph.number(order, dtype)]), axis, options
    )
    return pair.node("Pow", [total, pair.graph.number(1 / order, dtype)])


def _knows_norm(operands: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """Whether it is a norm: the order 0 counts."""
    return bool(options.get("ord", 2) != 0)


def _logsumexp(pair: Pair) -> Any:
    options = pair.step.options
    return _reduction(
        pair, "ReduceLogSumExp", pair.name(0, pair.step.dtypes[0]), options.get("axis"), options
    )


def _knows_logsumexp(operands: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """Whether it is without weights."""
    return len(operands) < 2 or operands[1] is None


def _variance(pair: Pair) -> Any:
    options, dtype = pair.step.options, pair.step.dtypes[0]
    axis = options.get("axis")
    axes = _axes(axis, len(pair.shape(0)))
    x = pair.name(0, dtype)
    away = pair.node("Sub", [x, _reduction(pair, "ReduceMean", x, axis, {"keepdims": True})])
    found = _reduction(pair, "ReduceMean", pair.node("Mul", [away, away]), axis, options)
    correction = options.get("correction", 0.0)
    if correction:
        counts = [
            prod(size[side] for place, size in enumerate(pair.sizes_in(0)) if place in axes)
            for side in (0, 1)
        ]
        if counts[0] != counts[1]:
            raise pair.error(
                "with a correction it depends on how many examples there are.",
                "Take the variance of other axes.",
            )
        rest = counts[0] - correction
        factor = counts[0] / rest if rest > 0 else float("inf")  # of which the 0 of one element makes NaN
        found = pair.node("Mul", [found, pair.graph.number(factor, dtype)])
    return pair.node("Sqrt", [found]) if pair.step.name == "std" else found


def _cumulative_sum(pair: Pair) -> Any:
    options, ndim = pair.step.options, len(pair.shape(0))
    axis = options.get("axis")
    place = pair.graph.number(0 if axis is None else axis % ndim, "int64")
    return pair.node("CumSum", [pair.name(0, pair.step.dtypes[0]), place])


def _knows_cumulative(operands: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """Whether it begins with the first element."""
    return not options.get("include_initial")


def _sorted(place: int) -> Write:
    def write(pair: Pair) -> Any:
        options = pair.step.options
        axis = options.get("axis", -1) % len(pair.shape(0))
        size = pair.sizes_in(0)[axis]
        descending = int(bool(options.get("descending")))
        count = pair.graph.sizes([size])
        found = pair.node("TopK", [pair.name(0), count], 2, axis=axis, largest=descending, sorted=1)
        return found[place]

    return write


def _matmul(pair: Pair) -> Any:
    dtype = pair.step.dtypes[0]
    return pair.node("MatMul", [pair.name(0, dtype), pair.name(1, dtype)])


def _vecdot(pair: Pair) -> Any:
    dtype = pair.step.dtypes[0]
    product = pair.node("Mul", [pair.name(0, dtype), pair.name(1, dtype)])
    where = pair.graph.numbers([pair.step.options.get("axis", -1)])
    return pair.node("ReduceSum", [product, where], keepdims=0)


def _tensordot(pair: Pair) -> Any:
    dtype, axes = pair.step.dtypes[0], pair.step.options.get("axes", 2)
    one, other = len(pair.shape(0)), len(pair.shape(1))
    if isinstance(axes, int):
        pairs = [(one - axes + k, k) for k in range(axes)]
    else:
        pairs = list(zip(_axes(tuple(axes[0]), one), _axes(tuple(axes[1]), other), strict=True))
    letters = "abcdefghijklmnopqrstuvwxyz"
    left, right = list(letters[:one]), list(letters[one : one + other])
    for mine, its in pairs:
        right[its] = left[mine]
    free = [c for c in left if c not in right] + [c for c in right if c not in left]
    equation = f"{''.join(left)},{''.join(right)}->{''.join(free)}"
    return pair.node("Einsum", [pair.name(0, dtype), pair.name(1, dtype)], equation=equation)


ARRAYS: dict[str, Write] = {
    "all": _asked("ReduceMin"),
    "any": _asked("ReduceSum"),
    "argmax": _sought("ArgMax"),
    "argmin": _sought("ArgMin"),
    "argsort": _sorted(1),
    "astype": _astype,
    "broadcast_to": _broadcast_to,
    "concat": _concat,
    "cumulative_sum": _cumulative_sum,
    "expand_dims": _expand_dims,
    "flip": _flip,
    "logsumexp": _logsumexp,
    "matmul": _matmul,
    "matrix_transpose": _matrix_transpose,
    "max": _reduced("ReduceMax"),
    "mean": _reduced("ReduceMean"),
    "min": _reduced("ReduceMin"),
    "moveaxis": _moveaxis,
    "permute_dims": _permute_dims,
    "prod": _reduced("ReduceProd"),
    "reshape": _reshape,
    "roll": _roll,
    "sort": _sorted(0),
    "squeeze": _squeeze,
    "stack": _stack,
    "std": _variance,
    "sum": _reduced("ReduceSum"),
    "tensordot": _tensordot,
    "tile": _tile,
    "tril": _triangle(0),
    "triu": _triangle(1),
    "var": _variance,
    "vecdot": _vecdot,
    "vector_norm": _vector_norm,
}

ARRAY_CONDITIONS: dict[str, Condition] = {
    "cumulative_sum": _knows_cumulative,
    "logsumexp": _knows_logsumexp,
    "vector_norm": _knows_norm,
}
"""Whether a function is written, by its operands and options, where it is not always."""
