"""Streaming metrics that count classes on the device: accuracy, precision, recall, F1, the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan, nan
from typing import Any, ClassVar

from portanet.checks import check_number, whole_number
from portanet.dtypes import int64
from portanet.errors import DataError, OptionError, StateDictError
from portanet.functions.creation import ones_like, zeros
from portanet.functions.elementwise import where
from portanet.functions.indexing import index_add
from portanet.functions.manipulation import concat
from portanet.metrics.metric import Metric
from portanet.metrics.reading import class_pairs, count_hits, read_classes
from portanet.protocols import Array
from portanet.tensor import Tensor, asarray

__all__ = ["Accuracy", "ConfusionMatrix", "F1", "Precision", "Recall"]

_BATCHES_AT_ONCE, _SAMPLES_AT_ONCE = 128, 65536
"""So many are kept uncounted at most: they hold memory on the device."""


class Accuracy(Metric):
    """Share of the predictions that are right.

    Parameters
    ----------
    threshold : float, default 0.0
        A single logit above it means class 1; 0.5 for a model that ends in a sigmoid.
    name : str, default "accuracy"
        What it is called.

    Examples
    --------
    >>> metric = pn.metrics.Accuracy()
    >>> metric.update(pn.asarray([0.3, -2.0, 1.0, 4.0]), pn.asarray([1, 0, 0, 1]))
    >>> metric.compute()
    0.75
    """

    state_names: ClassVar[tuple[str, ...]] = ("hits", "count")

    def __init__(self, *, threshold: float = 0.0, name: str = "accuracy") -> None:
        check_number("threshold", threshold)
        self.threshold, self.name = threshold, name
        self.reset()

    def reset(self) -> None:
        self.hits: Tensor | None = None
        self.count = 0

    def update(self, outputs: Array, targets: Array) -> None:
        """Take a batch.

        Parameters
        ----------
        outputs : array
            Logits of shape (n, classes, ...) with targets of shape (n, ...), of which the largest is predicted; or one
            logit for each target; or predicted classes, integers or booleans.
        targets : array
            Classes, integers or booleans; beside single logits floating-point 0 and 1, too. With several labels for a
            sample, shape (n, labels) like the outputs, each label is a decision of its own between two classes.

        Raises
        ------
        ShapeError, DTypeError, DataError
            If they do not belong together, are no classes, or there are none.
        """
        outputs, targets, reading = read_classes(outputs, targets, self.threshold)
        if self.hits is None:
            self.hits = zeros((), dtype=int64, device=outputs.device)
        self.hits = count_hits(self.hits, outputs, targets, reading=reading)
        self.count += targets.size

    def compute(self) -> float:
        self._require_batches(self.count)
        assert self.hits is not None
        return int(self.hits.item()) / self.count  # type: ignore[arg-type]


class _Counting(Metric):
    """Counts pairs of a predicted and a true class; its subclasses say which places of ``counts`` a pair adds to.

    Counting is dear beside a step of a small network, so the pairs of some batches are kept and counted together.
    """

    state_names: ClassVar[tuple[str, ...]] = ("counts", "classes", "total")

    def __init__(self, num_classes: int | None, threshold: float, name: str) -> None:
        check_number("threshold", threshold)
        self.num_classes = None if num_classes is None else whole_number("num_classes", num_classes, low=2)
        self.threshold, self.name = threshold, name
        self.reset()

    def reset(self) -> None:
        self._counts: Tensor | None = None
        self._waiting: list[Tensor] = []
        self._samples_waiting = 0
        self.classes: int | None = None
        self.total = 0

    def update(self, outputs: Array, targets: Array) -> None:
        """Take a batch, as :meth:`Accuracy.update` does.

        Raises
        ------
        OptionError
            If the number of classes is not known from logits and was not given, or changes.
        """
        outputs, targets, reading = read_classes(outputs, targets, self.threshold)
        classes = self._checked_classes(reading.classes)
        self._waiting.append(class_pairs(outputs, targets, reading=reading))
        self.classes = classes
        self._samples_waiting += targets.size
        self.total += targets.size
        if len(self._waiting) == _BATCHES_AT_ONCE or self._samples_waiting >= _SAMPLES_AT_ONCE:
            self._count()

    def _checked_classes(self, seen: int | None) -> int:
        """How many classes there are, from what is known already and what the outputs of a batch show."""
        known = self.num_classes or self.classes
        if known is None and seen is None:
            raise OptionError(
                "num_classes: predictions that are classes do not show how many there are. Give num_classes, or pass "
                "logits."
            )
        if known is not None and seen is not None and known != seen:
            raise OptionError(
                f"num_classes: expected outputs of {known} classes, as given or before, got {seen}."
            )
        return known or seen  # type: ignore[return-value]

    @property
    def counts(self) -> Tensor | None:
        """What was counted so far, int64; where it is not among the classes, a class counts as one more."""
        if self._waiting:
            self._count()
        return self._counts

    @counts.setter
    def counts(self, value: Tensor) -> None:
        self._counts = value

    def _count(self) -> None:
        assert self.classes is not None
        pairs = concat(self._waiting, axis=1)
        inside = where((pairs >= 0) & (pairs < self.classes), pairs, self.classes)
        places = self._places(inside[0], inside[1], self.classes)
        if self._counts is None:
            self._counts = zeros((self._length(self.classes),), dtype=int64, device=places.device)
        self._counts = index_add(self._counts, places, ones_like(places))
        self._waiting, self._samples_waiting = [], 0

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        classes = state_dict.get("classes")
        if None not in (classes, self.num_classes) and classes != self.num_classes:
            raise StateDictError(
                f"state_dict does not fit {type(self).__name__}: it has counted {classes} classes, and num_classes is "
                f"{self.num_classes}. Nothing was changed."
            )
        super().load_state_dict(state_dict)

    def _join(self, other: _Counting) -> None:
        if other.classes != self.classes:
            raise StateDictError(
                f"state_dict does not fit {type(self).__name__}: it has counted {other.classes} classes, expected "
                f"{self.classes}. Nothing was changed."
            )
        assert self.counts is not None
        self.counts = self.counts + other.counts
        self.total += other.total

    def _check_inside(self, inside: int) -> None:
        if inside != self.total:
            raise DataError(
                f"targets: classes must be from 0 to {(self.classes or 0) - 1}; {self.total - inside} of {self.total} "
                "are not."
            )

    def _places(self, predicted: Tensor, actual: Tensor, classes: int) -> Tensor:
        """Where in ``counts`` each pair adds one; ``classes`` itself stands for a class that is none."""
        raise NotImplementedError(f"{type(self).__name__} must define _places().")

    def _length(self, classes: int) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define _length().")


class _PerClass(_Counting):
    """How often each class was predicted, was true, and was both."""

    default_name: ClassVar[str]

    def __init__(
        self,
        average: str | None = "binary",
        *,
        num_classes: int | None = None,
        positive: int = 1,
        zero_division: float = 0.0,
        threshold: float = 0.0,
        name: str | None = None,
    ) -> None:
        if average not in ("binary", "macro", "micro", "weighted", None):
            raise OptionError(
                f"average: expected 'binary', 'macro', 'micro', 'weighted' or None, got {average!r}."
            )
        if not isinstance(zero_division, (int, float)) or not (
            isnan(zero_division) or zero_division in (0, 1)
        ):
            raise OptionError(f"zero_division: expected 0, 1 or nan, got {zero_division!r}.")
        self.average, self.zero_division = average, float(zero_division)
        self.positive = whole_number("positive", positive, low=0)
        if average == "binary" and self.positive > 1:
            raise OptionError(f"positive: with average='binary' expected 0 or 1, got {positive}.")
        super().__init__(num_classes, threshold, self.default_name if name is None else name)

    def _checked_classes(self, seen: int | None) -> int:
        classes = super()._checked_classes(seen)
        if self.average == "binary" and classes != 2:
            raise OptionError(
                f"average: 'binary' is for two classes, these outputs tell {classes} apart. Choose 'macro', "
                "'micro', 'weighted' or None."
            )
        return classes

    def _places(self, predicted: Tensor, actual: Tensor, classes: int) -> Tensor:
        rows = where(predicted == actual, actual, classes), predicted, actual
        places: Tensor = concat([part + row * (classes + 1) for row, part in enumerate(rows)])
        return places

    def _length(self, classes: int) -> int:
        return 3 * (classes + 1)

    def compute(self) -> float | Tensor:
        """The average, a float; or with ``average=None`` each class's value, a Tensor of shape (classes,)."""
        self._require_batches(self.total)
        counts = self.counts
        assert counts is not None
        hits, predicted, actual = (row[:-1] for row in counts.reshape(3, -1).tolist())
        self._check_inside(min(sum(predicted), sum(actual)))
        if self.average == "binary":
            k = self.positive
            return self._score(hits[k], predicted[k], actual[k])
        if self.average == "micro":
            return self._score(sum(hits), self.total, self.total)
        scores = [self._score(*of_class) for of_class in zip(hits, predicted, actual, strict=True)]
        if self.average is None:
            return asarray(scores, device=counts.device)
        # As in scikit-learn: classes that occur nowhere are left out, and so are values that are not a number.
        weights = [n if self.average == "weighted" else int(n + m > 0) for n, m in zip(actual, predicted)]
        pairs = [(score, weight) for score, weight in zip(scores, weights) if not isnan(score)]
        whole = sum(weight for _, weight in pairs)
        if whole == 0:
            occurring = [s for s, n, m in zip(scores, actual, predicted) if n + m and not isnan(s)]
            return sum(occurring) / len(occurring) if occurring else nan
        return sum(score * weight for score, weight in pairs) / whole

    def _score(self, hits: int, predicted: int, actual: int) -> float:
        part, whole = self._fraction(hits, predicted, actual)
        return part / whole if whole else self.zero_division

    def _fraction(self, hits: int, predicted: int, actual: int) -> tuple[int, int]:
        raise NotImplementedError(f"{type(self).__name__} must define _fraction().")


class Precision(_PerClass):
    """Share of the predictions of a class that are right, as scikit-learn averages it.

    Parameters
    ----------
    average : str or None, default "binary"
        ``"binary"``: the value of one of two classes. ``"macro"``: the mean over the classes that occur among the
        targets or the predictions. ``"weighted"``: the same, weighted by how often each class is true. ``"micro"``: of
        all decisions together. None: each class's own value.
    num_classes : int, optional
        Needed when predictions come as classes and not as logits.
    positive : int, default 1
        With ``"binary"`` the class that is looked at.
    zero_division : float, default 0.0
        The value of a class for which there is nothing to divide by: 0, 1 or NaN, which averages leave out.
    threshold : float, default 0.0
        A single logit above it means class 1; 0.5 for a model that ends in a sigmoid.
    name : str, default "precision"
        What it is called.

    Raises
    ------
    DataError
        In ``compute``, if a class was negative or not below the number of classes.

    Examples
    --------
    >>> metric = pn.metrics.Precision("macro", num_classes=3)
    >>> metric.update(pn.asarray([0, 1, 1, 2]), pn.asarray([0, 1, 2, 2]))
    >>> metric.compute()
    0.8333333333333334
    """

    default_name = "precision"

    def _fraction(self, hits: int, predicted: int, actual: int) -> tuple[int, int]:
        return hits, predicted


class Recall(_PerClass):
    """Share of the members of a class that were found; options as in :class:`Precision`.

    Examples
    --------
    >>> metric = pn.metrics.Recall()
    >>> metric.update(pn.asarray([0.3, -2.0, 1.0, -4.0]), pn.asarray([1, 0, 0, 1]))
    >>> metric.compute()
    0.5
    """

    default_name = "recall"

    def _fraction(self, hits: int, predicted: int, actual: int) -> tuple[int, int]:
        return hits, actual


class F1(_PerClass):
    """Harmonic mean of precision and recall; options as in :class:`Precision`.

    Examples
    --------
    >>> metric = pn.metrics.F1(average=None)
    >>> metric.update(pn.asarray([0.3, -2.0, 1.0, -4.0]), pn.asarray([1, 0, 0, 1]))
    >>> metric.compute()
    Tensor([0.5, 0.5])
    """

    default_name = "f1"

    def _fraction(self, hits: int, predicted: int, actual: int) -> tuple[int, int]:
        return 2 * hits, predicted + actual


class ConfusionMatrix(_Counting):
    """How often each class (rows) was predicted as each class (columns), a Tensor of int64.

    Parameters
    ----------
    num_classes : int, optional
        Needed when predictions come as classes and not as logits.
    threshold : float, default 0.0
        A single logit above it means class 1; 0.5 for a model that ends in a sigmoid.
    name : str, default "confusion"
        What it is called.

    Raises
    ------
    DataError
        In ``compute``, if a class was negative or not below the number of classes.

    Examples
    --------
    >>> metric = pn.metrics.ConfusionMatrix()
    >>> metric.update(pn.asarray([[2.0, 0.0], [1.0, 3.0], [0.0, 1.0]]), pn.asarray([0, 1, 0]))
    >>> metric.compute()
    Tensor([[1, 1],
            [0, 1]])
    """

    def __init__(
        self, num_classes: int | None = None, *, threshold: float = 0.0, name: str = "confusion"
    ) -> None:
        super().__init__(num_classes, threshold, name)

    def compute(self) -> Tensor:
        self._require_batches(self.total)
        counts, classes = self.counts, self.classes
        assert counts is not None
        assert classes is not None
        matrix = counts.reshape(classes + 1, classes + 1)[:-1, :-1]
        self._check_inside(int(matrix.sum().item()))
        return asarray(matrix, copy=True)

    def _places(self, predicted: Tensor, actual: Tensor, classes: int) -> Tensor:
        places: Tensor = actual * (classes + 1) + predicted
        return places

    def _length(self, classes: int) -> int:
        return (classes + 1) ** 2
