"""How reading and writing parts of arrays is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portanet.io.onnx.graph import Condition, Pair, Write
from portanet.io.onnx.recording import Operand

__all__ = ["END", "INDEXING", "INDEXING_CONDITIONS", "INDEXING_FOLLOWS_BATCH", "sliced"]

INDEXING_FOLLOWS_BATCH = frozenset(["getitem"])
"""Their options may differ from batch to batch."""


Bound = int | tuple[int, int]
"""A place on an axis: the same for both recordings, or one for each."""
END = 2**63 - 1


def sliced(pair: Pair, name: str, cuts: Sequence[tuple[int, Bound, Bound, int]]) -> Any:
    """Slices ``(axis, start, stop, step)``, all in one node."""
    if not cuts:
        return name
    graph = pair.graph
    axes, starts, stops, steps = zip(*cuts, strict=True)
    ends = [
        graph.sizes([x if isinstance(x, tuple) else (x, x) for x in places]) for places in (starts, stops)
    ]
    given = [name, *ends, graph.numbers(axes)]
    return pair.node("Slice", [*given, graph.numbers(steps)] if set(steps) != {1} else given)


def _index_type(dtype: str) -> str:
    """The type in which ONNX takes indices that came in this one."""
    return dtype if dtype in ("int32", "int64") else "int64"


def _bounds(part: slice, size: tuple[int, int], other: slice) -> tuple[Bound, Bound, int] | None:
    """Start, stop and step in both recordings; None for the whole axis."""
    one, two = part.indices(size[0]), other.indices(size[1])
    if one == (0, size[0], 1) and two == (0, size[1], 1):
        return None
    ends: list[Bound] = []
    for first, second in zip(one[:2], two[:2], strict=True):
        if first == second:
            ends.append(first if first >= 0 else -END)
        elif first - size[0] == second - size[1]:  # counted from the end
            ends.append(first - size[0] if first < size[0] else END)
        else:
            ends.append((first, second))
    return ends[0], ends[1], one[2]


def _parts(key: Any) -> list[Any]:
    return list(key) if isinstance(key, tuple) else [key]


def _knows_key(operands: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """Whether a key is of integers, slices, ``None`` and ``...``, or of integers and arrays of integers."""
    parts = _parts(options["key"])
    plain = [part is None or part is Ellipsis or isinstance(part, (int, slice)) for part in parts]
    if all(plain):
        return not any(isinstance(part, bool) for part in parts)
    return all(type(part) is int or "int" in str(getattr(part, "dtype", "")) for part in parts)


def _gathered(pair: Pair, parts: Sequence[Any], others: Sequence[Any]) -> Any:
    """Elements at places that arrays give, one for each of the leading axes."""
    if len(parts) == 1:
        places = pair.name_of(parts[0], others[0], _index_type(parts[0].dtype))
        return pair.node("Gather", [pair.name(0), places], axis=0)
    sizes = pair.sizes_out()[: len(pair.step.shapes[0]) - len(pair.shape(0)) + len(parts)]
    found = []
    for part, other, length in zip(parts, others, pair.sizes_in(0), strict=False):
        if isinstance(part, Operand):
            name = pair.name_of(part, other, "int64")
            fits = list(zip(part.shape, other.shape, strict=True)) == sizes
        else:
            name, fits = pair.graph.number(_single(part, other, length, pair), "int64"), False
        if not fits:
            name = pair.node("Expand", [name, pair.graph.sizes(sizes)])
        found.append(pair.node("Unsqueeze", [name, pair.graph.numbers([-1])]))
    return pair.node("GatherND", [pair.name(0), pair.node("Concat", found, axis=-1)])


def _getitem(pair: Pair) -> Any:
    parts, others = _parts(pair.step.options["key"]), _parts(pair.other.options["key"])
    if any(isinstance(part, Operand) for part in parts):
        return _gathered(pair, parts, others)
    sizes = pair.sizes_in(0)
    named = sum(part is not None and part is not Ellipsis for part in parts)
    axis = 0
    cuts, removed, added = [], [], []
    place = 0  # among the axes of the result
    for part, other in zip(parts, others, strict=True):
        if part is None:
            added.append(place)
            place += 1
        elif part is Ellipsis:
            axis += len(sizes) - named
            place += len(sizes) - named
        elif isinstance(part, slice):
            found = _bounds(part, sizes[axis], other)
            if found is not None:
                cuts.append((axis, *found))
            axis += 1
            place += 1
        else:
            removed.append((axis, _single(int(part), int(other), sizes[axis], pair)))
            axis += 1
    name = pair.name(0)
    name = sliced(pair, name, cuts)
    for axis, where in reversed(removed):
        name = pair.node("Gather", [name, pair.graph.number(where, "int64")], axis=axis)
    return pair.node("Unsqueeze", [name, pair.graph.numbers(added)]) if added else name


def _single(one: int, two: int, size: tuple[int, int], pair: Pair) -> int:
    if one == two:
        return one
    if one - size[0] == two - size[1]:
        return one - size[0]
    raise pair.error(f"it takes element {one} for one batch and {two} for another.", "Pass batch_axis=None.")


def _knows_setting(operands: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """Whether a part that is written to is made of slices without gaps and of integers."""
    parts = [part for part in _parts(options["key"]) if part is not Ellipsis]
    return all((isinstance(part, slice) and part.step in (None, 1)) or type(part) is int for part in parts)


def _setitem(pair: Pair) -> Any:
    """Put together from the parts before, at and after the key, along one axis after the other."""
    sizes = pair.sizes_in(0)
    parts = _parts(pair.step.options["key"])
    named = sum(part is not Ellipsis for part in parts)
    if Ellipsis not in parts:
        parts = [*parts, Ellipsis]
    at = parts.index(Ellipsis)
    whole = slice(None)
    parts = [*parts[:at], *[whole] * (len(sizes) - named), *parts[at + 1 :]]
    ranges: list[tuple[int, int] | None] = []
    for part, (one, other) in zip(parts, sizes, strict=True):
        start, stop, _ = part.indices(one) if isinstance(part, slice) else (part % one, part % one + 1, 1)
        if (start, stop) == (0, one):
            ranges.append(None)
        elif one != other:
            raise pair.error("it writes to a part of the batch.", "Use portanet.where with a mask.")
        else:
            ranges.append((start, max(start, stop)))
    if any(r is not None and r[0] == r[1] for r in ranges):
        return pair.name(0)
    inner = [size if r is None else (r[1] - r[0],) * 2 for size, r in zip(sizes, ranges, strict=True)]
    value = pair.name(1, pair.step.dtypes[0])
    ints = [axis for axis, part in enumerate(parts) if not isinstance(part, slice)]
    kept = len(sizes) - len(ints)
    missing = kept - len(pair.shape(1))  # axes of the value that broadcasting adds in front
    if missing > 0:
        value = pair.node("Unsqueeze", [value, pair.graph.numbers(range(missing))])
    if missing < 0:
        value = pair.node("Squeeze", [value, pair.graph.numbers(range(-missing))])
    if ints:
        value = pair.node("Unsqueeze", [value, pair.graph.numbers(ints)])
    value = pair.node("Expand", [value, pair.graph.sizes(inner)])
    bounds = {axis: r for axis, r in enumerate(ranges) if r is not None}
    cut = list(bounds)
    for last in reversed(range(len(cut))):
        axis = cut[last]
        base = pair.name(0)
        outer = [(a, *bounds[a], 1) for a in cut[:last]]
        base = sliced(pair, base, outer)
        start, stop = bounds[axis]
        pieces = [value]
        if start:
            pieces.insert(0, sliced(pair, base, [(axis, 0, start, 1)]))
        if stop < sizes[axis][0]:
            pieces.append(sliced(pair, base, [(axis, stop, END, 1)]))
        value = pair.node("Concat", pieces, axis=axis)
    return value


def _take(pair: Pair) -> Any:
    axis = pair.step.options.get("axis")
    return pair.node("Gather", [pair.name(0), pair.name(1, _index_type(pair.dtype(1)))], axis=axis or 0)


def _take_along_axis(pair: Pair) -> Any:
    axis = pair.step.options.get("axis", -1) % len(pair.shape(0))
    names = []
    for place in (0, 1):
        wanted = [
            own if at == axis else full
            for at, (own, full) in enumerate(zip(pair.sizes_in(place), pair.sizes_out(), strict=True))
        ]
        name = pair.name(place, None if place == 0 else _index_type(pair.dtype(place)))
        if wanted != pair.sizes_in(place):
            name = pair.node("Expand", [name, pair.graph.sizes(wanted)])
        names.append(name)
    return pair.node("GatherElements", names, axis=axis)


def _unpool(pair: Pair) -> Any:
    *before, (length, _) = [*pair.sizes_in(0)[:-1], (pair.step.options["length"],) * 2]
    shape = pair.graph.sizes([*before, (length, length)])
    nothing = pair.node("Expand", [pair.graph.number(0, pair.step.dtypes[0]), shape])
    axis = len(before)
    return pair.node("ScatterElements", [nothing, pair.name(1), pair.name(0)], axis=axis)


INDEXING: dict[str, Write] = {
    "getitem": _getitem,
    "setitem": _setitem,
    "take": _take,
    "take_along_axis": _take_along_axis,
    "unpool": _unpool,
}

INDEXING_CONDITIONS: dict[str, Condition] = {
    "getitem": _knows_key,
    "setitem": _knows_setting,
}
"""Whether a function is written, by its operands and options, where it is not always."""
