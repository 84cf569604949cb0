"""The loss of connectionist temporal classification: sequences of labels without their places in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portanet.backend import require_backend_of
from portanet.checks import whole_number
from portanet.dtypes import int64
from portanet.errors import DataError, DTypeError, OptionError, ShapeError
from portanet.functions.cumulative import cumulative_sum
from portanet.functions.elementwise import clip
from portanet.functions.indexing import take
from portanet.functions.manipulation import astype, expand_dims, reshape
from portanet.functions.reductions import mean
from portanet.functions.reductions import sum as sum_of
from portanet.nn.functional.loss_arguments import admitted, check_floating, dtype_of, numbers_beside
from portanet.nn.functional.reduction import check_reduction
from portanet.ops import ctc
from portanet.ops.promotion import device_of
from portanet.protocols import Array
from portanet.tensor import Tensor, lift, unwrap, wrap

__all__ = ["ctc_loss"]

Lengths = Array | Sequence[int]

_ctc_loss = lift(ctc.ctc_loss)
lift(ctc.label_scores)  # which a higher-order pass looks up


def ctc_loss(
    log_probs: Array,
    targets: Array,
    input_lengths: Lengths,
    target_lengths: Lengths,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """Negative log likelihood of labels, summed over every way to place them in time.

    Graves, Fernández, Gomez and Schmidhuber, Connectionist Temporal Classification, 2006.

    Parameters
    ----------
    log_probs : Array
        Logarithms of probabilities, as ``log_softmax`` gives them: shape (steps, batch, classes) or (steps, classes).
    targets : Array
        Labels as integers: shape (batch, labels), padded with whatever; or those of all examples one after another,
        shape (sum of target_lengths,). For a single example shape (labels,).
    input_lengths, target_lengths : Array or sequence of int
        How many steps and labels of each example count, shape (batch,); one number each for a single example.
    blank : int, default 0
        The class that stands for no label.
    reduction : str
        ``"none"``; ``"mean"``, of each loss divided by its number of labels; or ``"sum"``.
    zero_infinity : bool, default False
        Whether an example costs 0, not infinity, if its labels do not fit into its steps.

    Returns
    -------
    Array
        A single number, or shape (batch,) for ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, OptionError
        If the arguments do not fit together.
    DataError
        If a length or a label is out of range, or a label is the blank (checked where reading them costs nothing, on
        the host).

    Notes
    -----
    The gradient with respect to ``log_probs`` is that of the formula; of an example that costs infinity it is 0.

    Examples
    --------
    >>> log_probs = pn.log(pn.asarray([[[0.5, 0.5]], [[0.5, 0.5]]]))
    >>> loss = pn.nn.functional.ctc_loss(log_probs, pn.asarray([[1]]), (2,), (1,))  # 3 of 4 paths
    >>> round(pn.exp(-loss).item(), 4)
    0.75
    """
    check_reduction(reduction)
    log_probs, targets = admitted("ctc_loss", log_probs=log_probs, targets=targets)
    check_floating("ctc_loss", log_probs, "log_probs")
    shape = tuple(log_probs.shape)
    if len(shape) not in (2, 3):
        raise ShapeError(
            f"log_probs: ctc_loss expects shape (steps, batch, classes) or (steps, classes), got {shape}."
        )
    single = len(shape) == 2
    if single:
        log_probs = expand_dims(log_probs, axis=1)
    steps, batch, classes = log_probs.shape
    blank = whole_number("blank", blank, low=0)
    if blank >= classes:
        raise OptionError(f"blank: ctc_loss expects one of the {classes} classes of log_probs, got {blank}.")
    if not dtype_of(targets, "targets").kind.endswith("integer"):
        raise DTypeError(
            f"targets: ctc_loss expects labels as integers, got {dtype_of(targets, 'targets').name}. "
            "Convert them with portanet.astype(targets, portanet.int64)."
        )
    if len(targets.shape) not in (1, 2):
        raise ShapeError(
            "targets: ctc_loss expects shape (batch, labels), or (sum of target_lengths,) with the labels of all "
            f"examples one after another, got {tuple(targets.shape)}."
        )
    steps_of, known_steps = _lengths("input_lengths", input_lengths, batch, single, log_probs)
    labels_of, known_labels = _lengths("target_lengths", target_lengths, batch, single, log_probs)
    _check_lengths("input_lengths", known_steps, steps, f"log_probs has {steps} steps")
    labels = _padded(astype(targets, int64), labels_of, known_labels, batch)
    _check_labels(labels, known_labels, classes, blank)
    losses = _ctc_loss(log_probs, labels, steps_of, labels_of, blank=blank, zero_infinity=bool(zero_infinity))
    if reduction == "mean":
        return mean(losses / astype(clip(labels_of, 1), dtype_of(log_probs)))
    if reduction == "sum":
        return sum_of(losses)
    return reshape(losses, ()) if single else losses


def _lengths(
    argument: str, lengths: Any, batch: int, single: bool, beside: Array
) -> tuple[Any, list[int] | None]:
    """Lengths as an array of int64 beside another one, and as Python numbers where they are at hand."""
    if isinstance(lengths, (list, tuple)):
        known = [whole_number(argument, length) for length in lengths]
        shape: tuple[int, ...] = (len(known),)
        like = unwrap(beside)
        backend = require_backend_of(like, "log_probs")
        raw = backend.asarray(known, dtype=backend.native_dtype(int64), device=device_of(like))
        array = wrap(raw) if isinstance(beside, Tensor) else raw
    else:
        if isinstance(lengths, int):
            return _lengths(argument, [lengths], batch, single, beside)
        array = admitted("ctc_loss", log_probs=beside, **{argument: lengths})[1]
        if not dtype_of(array, argument).kind.endswith("integer"):
            raise DTypeError(
                f"{argument}: ctc_loss expects integers, got {dtype_of(array, argument).name}. "
                f"Convert them with portanet.astype({argument}, portanet.int64)."
            )
        array, shape = astype(array, int64), tuple(array.shape)
        if single and shape == ():
            array, shape = reshape(array, (1,)), (1,)
        known = None
        if shape == (batch,) and require_backend_of(unwrap(array), argument).readable(unwrap(array)):
            known = [int(unwrap(array)[place]) for place in range(batch)]
    if shape != (batch,):
        raise ShapeError(
            f"{argument}: ctc_loss expects one length for each of the {batch} examples of log_probs, shape ({batch},); "
            f"got {shape}."
        )
    return array, known


def _check_lengths(argument: str, known: list[int] | None, most: int, reason: str) -> None:
    if known is not None and any(not 0 <= length <= most for length in known):
        wrong = next(length for length in known if not 0 <= length <= most)
        raise DataError(f"{argument}: ctc_loss expects lengths from 0 to {most}, as {reason}; got {wrong}.")


def _padded(targets: Any, lengths: Any, known: list[int] | None, batch: int) -> Any:
    """Labels of shape (batch, labels)."""
    total = targets.shape[-1]
    if len(targets.shape) == 2:
        if targets.shape[0] != batch:
            raise ShapeError(
                f"targets: ctc_loss expects one row for each of the {batch} examples of log_probs, got shape "
                f"{tuple(targets.shape)}."
            )
        _check_lengths("target_lengths", known, total, f"targets has shape {tuple(targets.shape)}")
        return targets
    _check_lengths("target_lengths", known, total, f"targets has {total} labels")
    if known is not None and sum(known) != total:
        raise ShapeError(
            f"targets: ctc_loss expects the labels of all examples one after another, {sum(known)} by target_lengths, "
            f"got {total}. Or give them as (batch, labels), padded."
        )
    longest = (
        total if known is None else max(known, default=0)
    )  # a bound, where reading the lengths would wait
    starts = expand_dims(cumulative_sum(lengths, axis=0) - lengths, axis=1)
    places = clip(starts + numbers_beside(targets, longest), None, total - 1)
    if not total:
        return reshape(targets, (batch, 0))
    return reshape(take(targets, reshape(places, (-1,)), axis=0), (batch, longest))


def _check_labels(labels: Any, known: list[int] | None, classes: int, blank: int) -> None:
    array = unwrap(labels)
    backend = require_backend_of(array, "targets")
    if known is None or 0 in array.shape or not backend.readable(array):
        return
    xp = backend.namespace
    counts = backend.asarray(known, dtype=array.dtype, device=device_of(array))
    places = xp.arange(array.shape[1], dtype=array.dtype, device=device_of(array))
    inside = places < xp.expand_dims(counts, axis=1)
    wrong = inside & ((array < 0) | (array >= classes) | (array == blank))
    if bool(xp.any(wrong)):
        found = array[wrong]
        raise DataError(
            f"targets: ctc_loss expects labels from 0 to {classes - 1} that are not the blank, {blank}; got "
            f"{int(found[0])} ({int(found.shape[0])} wrong)."
        )
