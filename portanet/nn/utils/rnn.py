"""Sequences of unlike lengths: padded, packed and back.

How many rows there are in a packed sequence depends on the lengths, so these are plain numbers on the host.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from portanet.backend import backend_of, require_backend_of
from portanet.checks import whole_number
from portanet.errors import DataError, OptionError, ShapeError
from portanet.functions.indexing import take
from portanet.functions.inspection import to_host
from portanet.functions.manipulation import concat, moveaxis, reshape, stack
from portanet.nn.functional.beside import full_beside
from portanet.ops.promotion import device_of
from portanet.protocols import Array
from portanet.tensor import Tensor, unwrap, wrap

__all__ = [
    "PackedSequence",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence(NamedTuple):
    """A batch of sequences of unlike lengths, without padding; :func:`pack_padded_sequence` makes it.

    Attributes
    ----------
    data : Array
        The elements of the first time step of all sequences, from the longest sequence on, then those of the second
        step, and so on: shape (sum of the lengths, ...).
    batch_sizes : tuple of int
        How many sequences have each time step. PyTorch holds the same numbers as a tensor.
    sorted_indices : Array or None
        Which sequence of the batch comes first, second, ... by length; None if they came so.
    unsorted_indices : Array or None
        The inverse permutation.
    """

    data: Any
    batch_sizes: tuple[int, ...]
    sorted_indices: Any = None
    unsorted_indices: Any = None


def indices_beside(x: Array, numbers: Sequence[int]) -> Array:
    """Indices as an array of the library and in the place of ``x``; a Tensor of them for a Tensor."""
    array = unwrap(x)
    xp = require_backend_of(array, "input").namespace
    made = xp.asarray(list(numbers), dtype=xp.int64, device=device_of(array))
    return wrap(made) if isinstance(x, Tensor) else made


def whole_numbers(name: str, values: Any, *, low: int) -> list[int]:
    """Whole numbers from a sequence, a Tensor or an array, on the host."""
    known = isinstance(values, Tensor) or backend_of(values) is not None
    listed = to_host(values).tolist() if known else list(values)
    return [whole_number(f"{name}[{i}]", value, low=low) for i, value in enumerate(listed)]


def _starts(batch_sizes: Iterable[int]) -> list[int]:
    return list(accumulate(batch_sizes, initial=0))


def pack_padded_sequence(
    input: Array, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Leave out the padding.

    Parameters
    ----------
    input : Array
        Shape (time, batch, ...), or (batch, time, ...) with ``batch_first``.
    lengths : sequence of int, Tensor or array
        Of each sequence, at least 1.
    batch_first : bool, default False
        Whether the batch comes before the time.
    enforce_sorted : bool, default True
        Whether the longest sequence must come first and the shortest last; else they are sorted here.

    Raises
    ------
    ShapeError, OptionError, DataError
        If there is not one length for each sequence, if one is 0 or longer than the input, or if they are not sorted.

    Examples
    --------
    >>> from portanet.nn.utils.rnn import pack_padded_sequence
    >>> pack_padded_sequence(pn.asarray([[1, 4], [2, 5], [3, 0]]), [3, 2])
    PackedSequence(data=Tensor([1, 4, 2, 5, 3]), batch_sizes=(2, 2, 1), sorted_indices=None, unsorted_indices=None)
    """
    shape = tuple(unwrap(input).shape)
    if len(shape) < 2:
        raise ShapeError(f"input: pack_padded_sequence expects axes of time and batch, got shape {shape}.")
    batch, time = shape[:2] if batch_first else shape[1::-1]
    counts = whole_numbers("lengths", lengths, low=1)
    if len(counts) != batch or not counts:
        raise ShapeError(
            f"lengths: expected one for each of {batch} sequences of an input of shape {shape} with "
            f"batch_first={batch_first}, got {len(counts)}."
        )
    if max(counts) > time:
        raise DataError(f"lengths: expected at most {time}, the length of the input, got {max(counts)}.")
    order = sorted(range(batch), key=lambda b: -counts[b])
    if enforce_sorted and any(counts[b] < counts[b + 1] for b in range(batch - 1)):
        raise OptionError(
            f"lengths: expected the longest sequence first and the shortest last, got {counts}. Pass "
            "enforce_sorted=False to have them sorted."
        )
    batch_sizes = tuple(sum(count > t for count in counts) for t in range(max(counts)))
    far, near = (1, time) if batch_first else (batch, 1)  # how far apart two steps and two sequences lie
    places = [t * far + b * near for t, alive in enumerate(batch_sizes) for b in order[:alive]]
    rows = reshape(input, (batch * time, *shape[2:]))
    data = take(rows, indices_beside(input, places), axis=0)
    if enforce_sorted:
        return PackedSequence(data, batch_sizes)
    return PackedSequence(
        data, batch_sizes, indices_beside(input, order), indices_beside(input, _inverse(order))
    )


def _inverse(order: Sequence[int]) -> list[int]:
    return sorted(range(len(order)), key=order.__getitem__)


def _host_order(sequence: PackedSequence) -> list[int]:
    """For each sequence of the batch, its place by length."""
    if sequence.unsorted_indices is None:
        return list(range(sequence.batch_sizes[0]))
    return whole_numbers("unsorted_indices", sequence.unsorted_indices, low=0)


def _check_packed(function: str, sequence: Any) -> None:
    if not isinstance(sequence, PackedSequence):
        raise TypeError(
            f"sequence: {function} expects a PackedSequence, got {type(sequence).__name__}. "
            "pack_padded_sequence makes one."
        )


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Any, Any]:
    """Put the padding back.

    Parameters
    ----------
    sequence : PackedSequence
        What :func:`pack_padded_sequence` or a recurrent layer returned.
    batch_first : bool, default False
        Whether the batch comes before the time in the result.
    padding_value : float, default 0
        What stands where a sequence has ended.
    total_length : int, optional
        Pad to this length instead of that of the longest sequence.

    Returns
    -------
    padded : Array
        Shape (time, batch, ...), or (batch, time, ...), with the sequences in the order they once came in.
    lengths : Array
        int64, shape (batch,).
    """
    _check_packed("pad_packed_sequence", sequence)
    data, sizes = sequence.data, whole_numbers("batch_sizes", sequence.batch_sizes, low=1)
    time, batch = len(sizes), sizes[0]
    if total_length is not None:
        if whole_number("total_length", total_length, low=0) < time:
            raise OptionError(
                f"total_length: expected at least the length of the longest sequence, {time}, got {total_length}."
            )
        time = total_length
    rest = tuple(unwrap(data).shape[1:])
    starts, rows = _starts(sizes), sum(sizes)
    places = _host_order(sequence)
    sizes += [0] * (time - len(sizes))
    steps = [[starts[t] + p if p < sizes[t] else rows for p in places] for t in range(time)]
    if batch_first:
        steps = [list(line) for line in zip(*steps, strict=True)]
    padding = full_beside(data, (1, *rest), padding_value)
    flat = take(
        concat([data, padding], axis=0), indices_beside(data, [p for line in steps for p in line]), axis=0
    )
    shape = (batch, time) if batch_first else (time, batch)
    lengths = [sum(size > p for size in sizes) for p in places]
    return reshape(flat, (*shape, *rest)), indices_beside(data, lengths)


def pad_sequence(
    sequences: Sequence[Array],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Any:
    """Sequences of unlike lengths as one array, the shorter ones padded.

    Parameters
    ----------
    sequences : sequence of Array
        Each of shape (length, ...).
    batch_first : bool, default False
        Whether the batch comes before the time in the result.
    padding_value : float, default 0
        What stands where a sequence is too short.
    padding_side : str
        ``"right"``, after the end, or ``"left"``, before the beginning.

    Returns
    -------
    Array
        Shape (time, batch, ...), or (batch, time, ...).

    Examples
    --------
    >>> from portanet.nn.utils.rnn import pad_sequence
    >>> pad_sequence([pn.asarray([1.0, 2.0]), pn.asarray([3.0])], batch_first=True)
    Tensor([[1., 2.],
            [3., 0.]])
    """
    if padding_side not in ("left", "right"):
        raise OptionError(f"padding_side: expected 'left' or 'right', got {padding_side!r}.")
    sequences = list(sequences)
    shapes = [tuple(unwrap(sequence).shape) for sequence in sequences]
    if not shapes:
        raise ShapeError("sequences: pad_sequence expects at least one, got none.")
    if any(not shape or shape[1:] != shapes[0][1:] for shape in shapes):
        raise ShapeError(
            f"sequences: pad_sequence expects shapes that agree in all axes but the first, got {shapes}."
        )
    longest = max(shape[0] for shape in shapes)
    padded = []
    for sequence, shape in zip(sequences, shapes, strict=True):
        if shape[0] < longest:
            padding = full_beside(sequence, (longest - shape[0], *shape[1:]), padding_value)
            sequence = concat([sequence, padding] if padding_side == "right" else [padding, sequence], axis=0)
        padded.append(sequence)
    return stack(padded, axis=0 if batch_first else 1)


def unpad_sequence(padded_sequences: Array, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences of a padded batch, each of its own length: shapes (length, ...)."""
    shape = tuple(unwrap(padded_sequences).shape)
    if len(shape) < 2:
        raise ShapeError(f"padded_sequences: expected axes of time and batch, got shape {shape}.")
    batch = shape[0 if batch_first else 1]
    counts = whole_numbers("lengths", lengths, low=0)
    if len(counts) != batch:
        raise ShapeError(f"lengths: expected one for each of {batch} sequences, got {len(counts)}.")
    lines = padded_sequences if batch_first else moveaxis(padded_sequences, 0, 1)
    return [lines[b, :count, ...] for b, count in enumerate(counts)]


def pack_sequence(sequences: Sequence[Array], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences of unlike lengths, each of shape (length, ...); see :func:`pack_padded_sequence`."""
    sequences = list(sequences)
    padded = pad_sequence(sequences)
    lengths = [unwrap(sequence).shape[0] for sequence in sequences]
    return pack_padded_sequence(padded, lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The sequences that were packed, in the order they once came in."""
    _check_packed("unpack_sequence", packed_sequences)
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
