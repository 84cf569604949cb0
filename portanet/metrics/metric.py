"""What every streaming metric is."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar

from portanet.errors import DataError, StateDictError
from portanet.protocols import Array
from portanet.tensor import Tensor

__all__ = ["Metric"]


class Metric:
    """The base class of streaming metrics: define ``reset``, ``update`` and ``compute``.

    Attributes
    ----------
    name : str
        What the metric is called in a history or a table.
    state_names : tuple of str
        The attributes that :meth:`state_dict` takes; a subclass that names its own can be saved in the middle of an
        epoch.
    """

    name: str
    state_names: ClassVar[tuple[str, ...]] = ()

    def reset(self) -> None:
        """Forget every batch: put new values in the place of the old ones, and change none of those."""
        raise NotImplementedError(f"{type(self).__name__} must define reset().")

    def update(self, outputs: Array, targets: Array) -> None:
        """Take a batch: what the model gave, and the true values."""
        raise NotImplementedError(f"{type(self).__name__} must define update(outputs, targets).")

    def compute(self) -> float | Tensor:
        """The value over all batches since :meth:`reset`."""
        raise NotImplementedError(f"{type(self).__name__} must define compute().")

    def state_dict(self) -> dict[str, Any]:
        """What was counted so far, as Tensors and numbers."""
        return {name: value for name in self.state_names if (value := getattr(self, name)) is not None}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave.

        Raises
        ------
        StateDictError
            If it has names that this metric has not; nothing is changed then.
        """
        unknown = sorted(set(state_dict) - set(self.state_names))
        if unknown:
            raise StateDictError(
                f"state_dict does not fit {type(self).__name__}: it has {', '.join(unknown)}, expected "
                f"{', '.join(self.state_names) or 'nothing'}. Nothing was changed."
            )
        self.reset()
        for name, value in state_dict.items():
            setattr(self, name, value)

    def merge(self, state_dict: Mapping[str, Any]) -> None:
        """Add what another metric of this kind has seen, on another part of the data or on another rank.

        Parameters
        ----------
        state_dict : mapping
            What its :meth:`state_dict` gave.

        Raises
        ------
        StateDictError
            If it does not fit; nothing is changed then.

        Examples
        --------
        >>> first, second = pn.metrics.Accuracy(), pn.metrics.Accuracy()
        >>> first.update(pn.asarray([1, 0]), pn.asarray([1, 1]))
        >>> second.update(pn.asarray([1, 0]), pn.asarray([1, 0]))
        >>> first.merge(second.state_dict())
        >>> first.compute()
        0.75
        """
        if not self.state_names:
            raise NotImplementedError(f"{type(self).__name__} must name what is to be merged in state_names.")
        other = copy(self)
        other.load_state_dict(state_dict)  # which makes lists of its own, after a reset
        if any(getattr(other, name) is None for name in self.state_names):
            return
        if any(getattr(self, name) is None for name in self.state_names):
            self.load_state_dict(state_dict)
        else:
            self._join(other)

    def _join(self, other: Any) -> None:
        """Take in another one; both have seen batches. Here sums are added, one for each name of the state."""
        for name in self.state_names:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"

    def _require_batches(self, seen: Any) -> None:
        if not seen:
            raise DataError(f"{type(self).__name__}: there is nothing to compute, call update() first.")
