"""Padding of the last axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portanet.backend import require_backend_of
from portanet.checks import whole_number
from portanet.errors import OptionError
from portanet.ops import padding
from portanet.protocols import Array
from portanet.tensor import lift, unwrap

__all__ = ["pad"]

MODES = ("constant", "reflect", "replicate", "circular")

_pad = lift(padding.pad)


def pad(input: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Put elements before the first and after the last ones of the last axes.

    Parameters
    ----------
    input : Array
        Any shape.
    pad : sequence of int
        How many elements before and after along the last axis, then along the one before it, and so on:
        ``(left, right, top, bottom)``. Negative numbers take elements away.
    mode : str, default "constant"
        What the new elements are: ``"constant"``, all ``value``; ``"reflect"``, the others mirrored at the first and
        last one, fewer than the axis has; ``"replicate"``, the first and last one; ``"circular"``, those of the other
        end.
    value : float, optional
        For ``"constant"``; default 0.

    Raises
    ------
    OptionError, ShapeError
        If the axes are too few or too short.

    Examples
    --------
    >>> x = pn.asarray([[1.0, 2.0, 3.0]])
    >>> pn.nn.functional.pad(x, (2, 1), mode="reflect")
    Tensor([[3., 2., 1., 2., 3., 2.]])
    >>> pn.nn.functional.pad(x, (-1, 2), value=9.0)
    Tensor([[2., 3., 9., 9.]])
    """
    if mode not in MODES:
        raise OptionError(
            f"mode: pad expects 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}."
        )
    if value is not None and mode != "constant":
        raise OptionError(f"value: pad takes one in mode 'constant' only, got {value!r} in mode {mode!r}.")
    array = unwrap(input)
    require_backend_of(array, "input")
    shape = tuple(array.shape)
    try:
        numbers = [whole_number("pad", width) for width in pad]
    except TypeError:
        raise OptionError(
            f"pad: expected a sequence of whole numbers, got {pad!r}. Use pad=(1, 1)."
        ) from None
    if len(numbers) % 2 or len(numbers) > 2 * len(shape):
        raise OptionError(
            f"pad: expected two numbers for each of the last axes, at most {2 * len(shape)} for an input of shape "
            f"{shape}; got {tuple(numbers)}."
        )
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    widths = ((0, 0),) * (len(shape) - len(pairs)) + tuple(reversed(pairs))
    if mode == "constant":
        return _pad(input, widths=widths, mode=mode, value=0 if value is None else value)
    # What is taken away can still be mirrored or repeated, but does not come in at the other end.
    added = tuple((max(before, 0), max(after, 0)) for before, after in widths)
    taken = tuple((min(before, 0), min(after, 0)) for before, after in widths)
    if added == widths:
        return _pad(input, widths=added, mode=mode, value=0)
    if mode == "circular":
        return _pad(_pad(input, widths=taken, mode="constant", value=0), widths=added, mode=mode, value=0)
    return _pad(_pad(input, widths=added, mode=mode, value=0), widths=taken, mode="constant", value=0)
