"""A softmax over very many classes, cut into a head of frequent classes and clusters of rarer ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from portanet.backend import require_backend_of
from portanet.checks import check_number, whole_number
from portanet.dtypes import Device, DType
from portanet.errors import OptionError, ShapeError
from portanet.functions.elementwise import clip, where
from portanet.functions.indexing import index_add, take, take_along_axis
from portanet.functions.manipulation import concat, expand_dims, reshape, squeeze
from portanet.functions.reductions import argmax, mean
from portanet.nn.containers import ModuleList, Sequential
from portanet.nn.functional.loss_arguments import admitted, class_indices
from portanet.nn.linear import Linear
from portanet.nn.module import Module
from portanet.protocols import Array
from portanet.special import log_softmax
from portanet.tensor import Tensor, unwrap, wrap

__all__ = ["ASMoutput", "AdaptiveLogSoftmaxWithLoss"]


class ASMoutput(NamedTuple):
    """What :class:`AdaptiveLogSoftmaxWithLoss` returns."""

    output: Any
    """The log probability of each example's target."""
    loss: Any
    """Minus their mean."""


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log probabilities of many classes that are numbered by how frequent they are, the most frequent first.

    Grave, Joulin, Cissé, Grangier and Jégou, Efficient softmax approximation for GPUs, 2017. A head gives the
    probabilities of the classes below the first cutoff and of one cluster for each interval between cutoffs. Cluster
    ``i`` (from 0) has its classes' probabilities from a projection to ``in_features / div_value ** (i + 1)`` features.

    Parameters
    ----------
    in_features : int
        Size of each input.
    n_classes : int
        Number of classes.
    cutoffs : sequence of int
        Where the clusters begin: increasing, from 1 to ``n_classes - 1``.
    div_value : float, default 4
        By what the sizes of the projections shrink from cluster to cluster.
    head_bias : bool, default False
        Whether the head has a bias.
    device, dtype
        Where the parameters are, and of which type; default: the backend in use, float32.

    Notes
    -----
    Only the clusters that occur among the targets are computed, for their examples alone, where reading the targets
    costs nothing (on the host). On other devices all clusters are computed for all examples.

    Examples
    --------
    >>> layer = pn.nn.AdaptiveLogSoftmaxWithLoss(64, 1000, cutoffs=[100, 500])
    >>> output, loss = layer(pn.zeros((8, 64)), pn.arange(8))
    >>> output.shape, layer.log_prob(pn.zeros((8, 64))).shape
    ((8,), (8, 1000))
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        self.in_features = whole_number("in_features", in_features, low=1)
        self.n_classes = whole_number("n_classes", n_classes, low=2)
        limits = [whole_number("cutoffs", cutoff) for cutoff in cutoffs]
        if not limits or limits != sorted(set(limits)) or limits[0] < 1 or limits[-1] > self.n_classes - 1:
            raise OptionError(
                f"cutoffs: expected increasing whole numbers from 1 to n_classes - 1, {self.n_classes - 1}, got "
                f"{list(cutoffs)!r}."
            )
        check_number("div_value", div_value)
        if div_value <= 0:
            raise OptionError(f"div_value: expected a number above 0, got {div_value!r}.")
        self.cutoffs = [*limits, self.n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(limits)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(self.in_features, self.head_size, bias=head_bias, device=device, dtype=dtype)
        self.tail = ModuleList()
        for i, (low, high) in enumerate(zip(self.cutoffs, self.cutoffs[1:])):
            features = int(self.in_features // div_value ** (i + 1))
            self.tail.append(
                Sequential(
                    Linear(self.in_features, features, bias=False, device=device, dtype=dtype),
                    Linear(features, high - low, bias=False, device=device, dtype=dtype),
                )
            )

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        for module in self.modules():
            if isinstance(module, Linear):
                module.reset_parameters()

    def forward(self, input_: Array, target_: Array) -> ASMoutput:
        """The log probability of each example's target, and the loss.

        Parameters
        ----------
        input_ : Array
            Shape (batch, in_features) or (in_features,).
        target_ : Array
            Class indices, integers of shape (batch,) or ().

        Returns
        -------
        ASMoutput
            ``output`` of the target's shape, and ``loss``, minus its mean.

        Raises
        ------
        DataError
            If a class index is out of range (checked where reading the target costs nothing, on the host).
        """
        name = "AdaptiveLogSoftmaxWithLoss"
        x, target = admitted(name, input=input_, target=target_)
        shape = tuple(x.shape)
        if len(shape) not in (1, 2) or shape[-1] != self.in_features:
            raise ShapeError(
                f"input: {name} expects shape (batch, {self.in_features}) or ({self.in_features},), got {shape}."
            )
        target = class_indices(name, target, shape[:-1], self.n_classes)
        x, target = reshape(x, (-1, self.in_features)), reshape(target, (-1,))
        places = target
        for i, low in enumerate(self.cutoffs[:-1]):
            inside = (target >= low) & (target < self.cutoffs[i + 1])
            places = where(inside, self.shortlist_size + i, places)
        output = _at(log_softmax(self.head(x), axis=1), places)
        for i, cluster in enumerate(self.tail):
            output = self._with_cluster(output, x, target, cluster, self.cutoffs[i], self.cutoffs[i + 1])
        return ASMoutput(reshape(output, shape[:-1]), mean(output) * -1.0)

    def _with_cluster(self, output: Any, x: Any, target: Any, cluster: Module, low: int, high: int) -> Any:
        """Log probabilities, with those inside a cluster added for the examples that belong to it."""
        inside = (target >= low) & (target < high)
        mask = unwrap(inside)
        backend = require_backend_of(mask, "target")
        if not backend.readable(mask):
            places = clip(target, low, high - 1) - low
            return output + where(inside, _at(log_softmax(cluster(x), axis=1), places), 0.0)
        (found,) = backend.namespace.nonzero(mask)
        if not found.shape[0]:
            return output
        rows = wrap(found) if isinstance(target, Tensor) else found
        logs = log_softmax(cluster(take(x, rows, axis=0)), axis=1)
        return index_add(output, rows, _at(logs, take(target, rows, axis=0) - low))

    def log_prob(self, input: Array) -> Any:
        """Log probabilities of all classes.

        Parameters
        ----------
        input : Array
            Shape (batch, in_features).

        Returns
        -------
        Array
            Shape (batch, n_classes).
        """
        shape = tuple(unwrap(input).shape)
        if len(shape) != 2 or shape[1] != self.in_features:
            raise ShapeError(
                f"input: AdaptiveLogSoftmaxWithLoss.log_prob expects shape (batch, {self.in_features}), got {shape}."
            )
        head = log_softmax(self.head(input), axis=1)
        parts = [head[:, : self.shortlist_size]]
        for i, cluster in enumerate(self.tail):
            place = self.shortlist_size + i
            parts.append(log_softmax(cluster(input), axis=1) + head[:, place : place + 1])
        return concat(parts, axis=1)

    def predict(self, input: Array) -> Any:
        """The most probable class of each example, shape (batch,), for inputs of shape (batch, in_features)."""
        return argmax(self.log_prob(input), axis=1)


def _at(logs: Any, places: Any) -> Any:
    """One number of each row."""
    return squeeze(take_along_axis(logs, expand_dims(places, axis=1), axis=1), axis=1)
