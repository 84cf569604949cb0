"""Metrics of an order: whether the right class is among the first, and whether positives stand before negatives."""

from __future__ import annotations

from math import nan
from typing import Any, ClassVar

from portanet.checks import whole_number
from portanet.dtypes import int64
from portanet.errors import DataError, DTypeError, OptionError, ShapeError, StateDictError
from portanet.functions.creation import zeros
from portanet.functions.elementwise import isnan
from portanet.functions.manipulation import concat, stack
from portanet.functions.searching import count_nonzero, searchsorted
from portanet.functions.sorting import sort
from portanet.metrics.metric import Metric
from portanet.metrics.reading import alike, read_batch, widest_float
from portanet.nn.functional import log_softmax
from portanet.ops.promotion import device_of
from portanet.protocols import Array, Namespace, OpResult
from portanet.tensor import Tensor, asarray, lift

__all__ = ["ROCAUC", "TopKAccuracy", "roc_auc", "top_k_accuracy"]


class TopKAccuracy(Metric):
    """Share of the samples whose true class is among the ``k`` with the largest logits.

    Of equal logits the one of the higher class counts as the larger, as in scikit-learn.

    Parameters
    ----------
    k : int, default 5
        How many classes count.
    name : str, optional
        What it is called; default "top5_accuracy" for ``k=5``.

    Examples
    --------
    >>> metric = pn.metrics.TopKAccuracy(2)
    >>> metric.update(pn.asarray([[0.1, 0.5, 0.3], [0.9, 0.5, 0.4]]), pn.asarray([2, 2]))
    >>> metric.compute()
    0.5
    """

    state_names: ClassVar[tuple[str, ...]] = ("hits", "count")

    def __init__(self, k: int = 5, *, name: str | None = None) -> None:
        self.k = whole_number("k", k, low=1)
        self.name = f"top{self.k}_accuracy" if name is None else name
        self.reset()

    def reset(self) -> None:
        self.hits: Tensor | None = None
        self.count = 0

    def update(self, outputs: Array, targets: Array) -> None:
        """Take a batch.

        Parameters
        ----------
        outputs : array
            Logits or probabilities, shape (n, classes, ...).
        targets : array
            Classes, integers of shape (n, ...). One that is none of the classes is never among the first.

        Raises
        ------
        ShapeError, DTypeError, DataError
            If they do not belong together, are of a wrong type, or there are none.
        """
        outputs, targets = read_batch(outputs, targets)
        if outputs.ndim < 2 or outputs.shape[:1] + outputs.shape[2:] != targets.shape:
            raise ShapeError(
                f"outputs: expected shape (n, classes, ...) for targets of shape (n, ...), got {outputs.shape} and "
                f"{targets.shape}."
            )
        if targets.dtype.is_floating:
            raise DTypeError(f"targets: expected classes as integers, got {targets.dtype.name}.")
        if self.hits is None:
            self.hits = zeros((), dtype=int64, device=outputs.device)
        self.hits = _count_first(self.hits, outputs, targets, k=self.k)
        self.count += targets.size

    def compute(self) -> float:
        self._require_batches(self.count)
        assert self.hits is not None
        return int(self.hits.item()) / self.count  # type: ignore[arg-type]


@lift
def _count_first(xp: Namespace, hits: Array, outputs: Array, targets: Array, /, *, k: int) -> OpResult:
    """``hits`` and how many classes are among the ``k`` with the largest outputs."""
    classes = outputs.shape[1]
    actual = xp.expand_dims(xp.astype(targets, xp.int64), axis=1)
    numbers = xp.arange(classes, dtype=xp.int64, device=device_of(targets))
    numbers = xp.reshape(numbers, (-1, *[1] * (targets.ndim - 1)))
    own = xp.take_along_axis(outputs, xp.clip(actual, 0, classes - 1), axis=1)
    ahead = (outputs > own) | ((outputs == own) & (numbers > actual))
    ahead_of_own = xp.sum(xp.astype(ahead, xp.int64), axis=1, keepdims=True)
    known = (actual >= 0) & (actual < classes) & (own == own)  # a logit that is not a number is no answer
    return hits + xp.count_nonzero((ahead_of_own < k) & known), (None, None, None)


class ROCAUC(Metric):
    """Area under the ROC curve: how likely a random positive scores above a random negative; ties count half.

    The value is exact and not that of a binned curve. So scores and classes of every sample must be kept, on
    the device, until :meth:`compute` sorts them: 16 bytes a sample in float64, more with several classes.

    Parameters
    ----------
    average : str or None, default "macro"
        With several classes each is held against the rest: ``"macro"`` is the mean, ``"weighted"`` the mean
        weighted by how often each class is true, None each class's own value.
    probabilities : bool, default False
        Whether the model gives probabilities and not logits, of several classes: they are then compared as they are.
    name : str, default "roc_auc"
        What it is called.

    Examples
    --------
    >>> metric = pn.metrics.ROCAUC()
    >>> metric.update(pn.asarray([0.1, 0.4]), pn.asarray([0, 0]))
    >>> metric.update(pn.asarray([0.35, 0.8]), pn.asarray([1, 1]))
    >>> metric.compute()
    0.75
    """

    state_names: ClassVar[tuple[str, ...]] = ("scores", "targets")

    def __init__(
        self, average: str | None = "macro", *, probabilities: bool = False, name: str = "roc_auc"
    ) -> None:
        self.average = _checked_average(average)
        self.probabilities = probabilities
        self.name = name
        self.reset()

    def reset(self) -> None:
        self._scores: list[Tensor] = []
        self._targets: list[Tensor] = []

    @property
    def scores(self) -> Tensor | None:
        """The scores so far, of shape (samples,) or (samples, classes)."""
        return _joined(self._scores)

    @scores.setter
    def scores(self, value: Tensor) -> None:
        self._scores = [value]

    @property
    def targets(self) -> Tensor | None:
        """The true classes so far, int64, shape (samples,)."""
        return _joined(self._targets)

    @targets.setter
    def targets(self, value: Tensor) -> None:
        self._targets = [value]

    def update(self, outputs: Array, targets: Array) -> None:
        """Take a batch.

        Parameters
        ----------
        outputs : array
            One score for each target, in any unit; or logits of shape (n, classes), of which the softmax is taken.
        targets : array
            Classes from 0 on, shape (n,); beside single scores the outputs' shape, and all are ranked together.

        Raises
        ------
        ShapeError, DTypeError, DataError
            If they do not belong together, are of a wrong type, or there are none.
        """
        outputs, targets = read_batch(outputs, targets)
        outputs, dtype = outputs.detach(), widest_float(outputs)
        single = alike(outputs.shape, targets.shape)
        if single:
            scores = outputs.reshape(-1).astype(dtype)
        elif outputs.ndim == 2 and outputs.shape[:1] == targets.shape:
            scores = outputs.astype(dtype)
            if scores.shape[1] == 2:  # the difference of two logits never saturates, as their softmax does
                scores = scores[:, 1] if self.probabilities else scores[:, 1] - scores[:, 0]
            elif not self.probabilities:
                scores = log_softmax(scores, dim=1)
        else:
            raise ShapeError(
                f"outputs: expected one score for each target or shape (n, classes), got {outputs.shape} for "
                f"targets of shape {targets.shape}."
            )
        if self._scores and self._scores[0].shape[1:] != scores.shape[1:]:
            raise ShapeError(
                f"outputs: expected as many classes as before, scores of shape {('n', *self._scores[0].shape[1:])}, "
                f"got {('n', *scores.shape[1:])}."
            )
        if targets.dtype.is_floating:
            if not single:
                raise DTypeError(f"targets: expected classes as integers, got {targets.dtype.name}.")
            targets = targets > 0.5
        # astype has copied both: a caller may use the arrays of a batch for the next one.
        self._scores.append(scores)
        self._targets.append(targets.reshape(-1).astype(int64))

    def _join(self, other: ROCAUC) -> None:
        shapes = [self._scores[0].shape[1:], other._scores[0].shape[1:]]
        if shapes[0] != shapes[1]:
            raise StateDictError(
                f"state_dict does not fit ROCAUC: it has scores of shape {('n', *shapes[1])}, expected "
                f"{('n', *shapes[0])}. Nothing was changed."
            )
        self._scores += other._scores
        self._targets += other._targets

    def compute(self) -> float | Tensor:
        """The area; NaN where a class has no positives or no negatives. ``average=None``: shape (classes,).

        Raises
        ------
        DataError
            If a score is not a number, or a class is negative or not below the number of classes.
        """
        self._require_batches(self._scores)
        scores, targets = self.scores, self.targets
        assert scores is not None
        assert targets is not None
        return _area(scores, targets, self.average)


def top_k_accuracy(scores: Array, targets: Array, k: int = 5) -> float:
    """Share of the samples whose true class is among the ``k`` with the largest scores; see :class:`TopKAccuracy`.

    Parameters
    ----------
    scores : array
        Shape (n, classes).
    targets : array
        Classes, integers of shape (n,).
    k : int, default 5
        How many classes count.

    Examples
    --------
    >>> pn.metrics.top_k_accuracy(pn.asarray([[0.1, 0.5, 0.3], [0.9, 0.5, 0.4]]), pn.asarray([2, 2]), k=2)
    0.5
    """
    metric = TopKAccuracy(k)
    metric.update(scores, targets)
    return metric.compute()


def roc_auc(scores: Array, targets: Array, average: str | None = "macro") -> float | Tensor:
    """Area under the ROC curve, exact; see :class:`ROCAUC`.

    Parameters
    ----------
    scores : array
        One score for each target, shape (n,), in any unit; or shape (n, classes), such as probabilities.
    targets : array
        Classes from 0 on, shape (n,).
    average : str or None, default "macro"
        As in :class:`ROCAUC`.

    Returns
    -------
    float or Tensor
        A Tensor of shape (classes,) for several classes with ``average=None``.

    Examples
    --------
    >>> pn.metrics.roc_auc(pn.asarray([0.1, 0.4, 0.35, 0.8]), pn.asarray([0, 0, 1, 1]))
    0.75
    """
    metric = ROCAUC(average, probabilities=True)
    metric.update(scores, targets)
    return metric.compute()


def _joined(parts: list[Tensor]) -> Tensor | None:
    """The parts as one, which takes their place in the list, so that asking again costs nothing."""
    if len(parts) > 1:
        parts[:] = [concat(parts)]
    return parts[0] if parts else None


def _checked_average(average: Any) -> str | None:
    if average not in ("macro", "weighted", None):
        raise OptionError(f"average: expected 'macro', 'weighted' or None, got {average!r}.")
    return average  # type: ignore[no-any-return]


def _area(scores: Tensor, targets: Tensor, average: str | None) -> float | Tensor:
    binary = scores.ndim == 1
    columns = (
        [(scores, targets == 1)] if binary else [(scores[:, k], targets == k) for k in range(scores.shape[1])]
    )
    sums = [_doubled_ranks(column, positive) for column, positive in columns]
    bad = count_nonzero(isnan(scores))
    classes = 2 if binary else scores.shape[1]
    outside = count_nonzero((targets < 0) | (targets >= classes))
    *pairs, (bad_count, outside_count) = stack([stack(pair) for pair in [*sums, (bad, outside)]]).tolist()
    if bad_count:
        raise DataError(f"outputs: {bad_count} scores are not a number (NaN), so they have no order.")
    if outside_count:
        raise DataError(
            f"targets: classes must be from 0 to {classes - 1}; {outside_count} of {targets.size} are not."
        )
    areas = [_area_of(doubled, positives, targets.size) for doubled, positives in pairs]
    if binary:
        return areas[0]
    if average is None:
        return asarray(areas, device=scores.device)
    weights = [positives if average == "weighted" else 1 for _, positives in pairs]
    return sum(area * weight for area, weight in zip(areas, weights) if weight) / sum(weights)


def _doubled_ranks(scores: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Twice the sum of the positives' ranks, and how many there are; equal scores share the mean of their ranks."""
    ordered = sort(scores)
    doubled = searchsorted(ordered, scores, side="left") + searchsorted(ordered, scores, side="right") + 1
    chosen = positive.astype(int64)
    return (doubled.astype(int64) * chosen).sum(), chosen.sum()


def _area_of(doubled: int, positives: int, samples: int) -> float:
    """The area in whole numbers up to one division (Mann and Whitney's U by the number of pairs)."""
    negatives = samples - positives
    if not positives or not negatives:
        return nan
    return (doubled - positives * (positives + 1)) / (2 * positives * negatives)
