"""Connectionist temporal classification: the likelihood of a sequence of labels, whichever steps of time they fall on.

Graves, Fernández, Gomez and Schmidhuber, Connectionist Temporal Classification, 2006.

Between the ``S`` labels, before the first and after the last, there may be blanks: ``2 * S + 1`` states in a row. From
one step to the next a path stays in its state, moves to the next one, or skips a blank between two different labels.
"""

from __future__ import annotations

from math import inf
from typing import Any

from portanet.ops.composition import apply
from portanet.ops.entropies import logsumexp
from portanet.ops.promotion import device_of
from portanet.ops.real_functions import pick
from portanet.protocols import Array, Namespace, OpResult

__all__ = ["ctc_loss", "label_scores"]


def label_scores(xp: Namespace, log_probs: Array, labels: Array) -> OpResult:
    """What each example's labels score at each step of time.

    Parameters
    ----------
    log_probs : Array
        Shape (steps, batch, classes).
    labels : Array
        Integers of shape (batch, states).

    Returns
    -------
    Array
        Shape (steps, batch, states).
    """
    steps, _, classes = log_probs.shape
    index = xp.broadcast_to(xp.expand_dims(labels, axis=0), (steps, *labels.shape))
    r = xp.take_along_axis(log_probs, index, axis=2)
    return r, (lambda g: _summed_by_class(xp, g, labels, classes), None)


def ctc_loss(
    xp: Namespace,
    log_probs: Array,
    targets: Array,
    input_lengths: Array,
    target_lengths: Array,
    *,
    blank: int,
    zero_infinity: bool,
) -> OpResult:
    """Negative log likelihood of each example's labels, summed over all paths that read as them.

    The gradient is that of the formula: minus the probability of being in a class at a step, given the labels. It is
    found as the walk back through the forward recursion, whose shares are probabilities and so neither overflow nor
    vanish all at once. (PyTorch adds ``exp(log_probs)``, which a ``log_softmax`` before the loss takes away again.)

    Parameters
    ----------
    log_probs : Array
        Logarithms of probabilities, shape (steps, batch, classes).
    targets : Array
        Labels: int64 of shape (batch, labels).
    input_lengths, target_lengths : Array
        How many steps and labels of each example count: int64 of shape (batch,).
    blank : int
        The class that stands for no label.
    zero_infinity : bool
        Whether labels that no path can read cost 0, not infinity. Their gradient is 0 either way.

    Returns
    -------
    Array
        Shape (batch,).
    """
    steps, batch, classes = log_probs.shape
    labels, skips = _states(xp, targets, target_lengths, blank)
    states = labels.shape[1]
    places = xp.arange(states, dtype=target_lengths.dtype, device=device_of(target_lengths))
    scores = apply(xp, label_scores, log_probs, labels)
    never = xp.full((batch, states), -inf, dtype=log_probs.dtype, device=device_of(log_probs))
    last = xp.expand_dims(target_lengths * 2, axis=1)
    ends = (places == last) | (places == last - 1)
    running = [xp.expand_dims(input_lengths > step, axis=1) for step in range(steps)]

    def arrivals(paths: Array) -> Array:
        """Paths that stay, move on, and skip a blank: shape (3, batch, states)."""
        skipping = xp.where(skips, _moved_on(xp, paths, 2, -inf), never)
        return xp.stack([paths, _moved_on(xp, paths, 1, -inf), skipping], axis=0)

    # Before the first step all paths are in the first state, from where they reach the first two.
    paths = xp.where(places == 0, xp.zeros_like(never), never)
    history, totals = [], []
    for step in range(steps):
        total = apply(xp, logsumexp, arrivals(paths), axis=0)
        history.append(paths)
        totals.append(total)
        paths = xp.where(running[step], total + scores[step, ...], paths)
    likelihood = apply(xp, logsumexp, xp.where(ends, paths, never), axis=1)
    impossible = likelihood == -inf
    r = pick(xp, ~impossible, -likelihood, 0.0 if zero_infinity else inf)

    def vjp(g: Array) -> Array:
        sure = xp.expand_dims(pick(xp, ~impossible, likelihood, 0.0), axis=1)
        here = pick(xp, ends, xp.exp(xp.where(ends, paths, never) - sure), 0.0)  # (batch, states)
        occupied: list[Any] = []
        for step in reversed(range(steps)):
            occupied.append(pick(xp, running[step], here, 0.0))
            total = pick(xp, totals[step] != -inf, totals[step], 0.0)
            shares = xp.exp(arrivals(history[step]) - total) * here
            before = shares[0, ...] + _moved_back(xp, shares[1, ...], 1) + _moved_back(xp, shares[2, ...], 2)
            here = xp.where(running[step], before, here)
        if not occupied:
            return xp.zeros_like(log_probs)
        occupancy = xp.stack(occupied[::-1], axis=0)  # (steps, batch, states)
        return _summed_by_class(xp, occupancy * xp.expand_dims(-g, axis=1), labels, classes)

    return r, (vjp, None, None, None)


def _states(xp: Namespace, targets: Array, lengths: Array, blank: int) -> tuple[Array, Array]:
    """The class of each state, and whether a path may come to it from two states before."""
    batch, count = targets.shape
    numbers = xp.arange(count, dtype=lengths.dtype, device=device_of(lengths))
    blanks = xp.full_like(targets, blank)
    inside = xp.where(numbers < xp.expand_dims(lengths, axis=1), targets, blanks)  # whatever pads them
    pairs = xp.reshape(xp.stack([blanks, inside], axis=2), (batch, 2 * count))
    end = xp.full((batch, 1), blank, dtype=targets.dtype, device=device_of(targets))
    labels = xp.concat([pairs, end], axis=1)
    return labels, labels != _moved_on(xp, labels, 2, blank)


def _moved_on(xp: Namespace, x: Array, by: int, filling: Any) -> Array:
    """Each row moved to the right, with a number in the free places."""
    batch, length = x.shape
    by = min(by, length)
    free = xp.full((batch, by), filling, dtype=x.dtype, device=device_of(x))
    return xp.concat([free, x[:, : length - by]], axis=1)


def _moved_back(xp: Namespace, x: Array, by: int) -> Array:
    """Each row moved to the left, with zeros in the free places."""
    batch, length = x.shape
    by = min(by, length)
    free = xp.zeros((batch, by), dtype=x.dtype, device=device_of(x))
    return xp.concat([x[:, by:], free], axis=1)


def _summed_by_class(xp: Namespace, g: Array, labels: Array, classes: int) -> Array:
    """Shape (steps, batch, states) to (steps, batch, classes)."""
    places = xp.arange(classes, dtype=labels.dtype, device=device_of(labels))
    hits = xp.astype(xp.expand_dims(labels, axis=2) == places, g.dtype)
    sums = xp.permute_dims(g, (1, 0, 2)) @ hits  # (batch, steps, states) @ (batch, states, classes)
    return xp.permute_dims(sums, (1, 0, 2))
