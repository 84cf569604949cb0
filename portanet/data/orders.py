"""Orders of samples as host arrays: how numbers of samples are read, and how they are drawn.

Samplers and splits say what is wanted and reckon with what comes from here; they name no array library themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portanet.backend import backend_of
from portanet.errors import OptionError
from portanet.functions.inspection import to_host
from portanet.philox import random_doubles, random_keys
from portanet.random import Generator, permutation_on_host
from portanet.tensor import unwrap

__all__ = [
    "classes_and_counts",
    "host_array",
    "in_range",
    "plain_numbers",
    "shuffled",
    "spread_by_class",
    "stepped",
    "weighted",
    "whole_numbers",
]

LARGEST = 2**63 - 1


def host_array(name: str, values: Any) -> Any:
    """The values of an array or of anything that can be iterated over, as a host array.

    Raises
    ------
    OptionError
        If they are none, or do not make one array.
    """
    if backend_of(unwrap(values)) is not None:
        return to_host(values)
    try:
        return np.asarray(values if isinstance(values, (list, tuple)) else list(values))
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"{name}: expected values in one row, got {type(values).__name__} ({error})."
        ) from None


def whole_numbers(name: str, values: Any) -> Any:
    """Numbers of samples as a host array of its own, int64.

    Raises
    ------
    OptionError
        If they are no whole numbers in one row.
    """
    host = host_array(name, values)
    if host.ndim != 1 or (host.size and host.dtype.kind not in "iu"):
        raise OptionError(
            f"{name}: expected whole numbers in one row, got an array of shape {host.shape} and type "
            f"{host.dtype.name}."
        )
    if host.dtype.kind == "u" and host.size and host.max() > LARGEST:
        raise OptionError(f"{name}: expected numbers of samples, got {host.max()}.")
    return host.astype("int64")


def in_range(numbers: Any, count: int, error: type[Exception] = IndexError) -> Any:
    """The same numbers of samples, of which negative ones are counted from the end of ``count`` samples.

    Raises
    ------
    IndexError, or the given error
        If there is no sample of such a number.
    """
    wrong = np.flatnonzero((numbers < -count) | (numbers >= count))
    if wrong.size:
        raise error(
            f"indices[{wrong[0]}]: expected the number of one of {count} samples, got {numbers[wrong[0]]}."
        )
    return numbers % max(count, 1)


def stepped(numbers: range) -> Any:
    """A range as a host array."""
    return np.arange(numbers.start, numbers.stop, numbers.step)


def plain_numbers(batch: Any) -> Any:
    """A batch of numbers of samples as Python's own integers, which any dataset takes; or as it is."""
    if isinstance(batch, slice):
        return list(range(batch.start, batch.stop))
    return batch.tolist() if hasattr(batch, "tolist") else batch


def shuffled(count: int, wanted: int, generator: Generator | None) -> Any:
    """So many of the numbers from 0 to ``count - 1``: one random order after another."""
    orders = [permutation_on_host(count, generator) for _ in range(-(-wanted // count))]
    return np.concatenate(orders)[:wanted]


def weighted(weights: Any, wanted: int, replacement: bool, seed: int, stream: int) -> Any:
    """Numbers drawn with probabilities in proportion to weights, of which ``wanted`` at least are above zero."""
    if replacement:
        sums = np.cumsum(weights / weights.max())
        places = random_doubles(seed, stream, wanted) * sums[-1]
        last = np.flatnonzero(weights)[-1]  # where rounding would lead past the end
        return np.minimum(np.searchsorted(sums, places, side="right"), last)
    possible = np.flatnonzero(weights)
    uniforms = random_doubles(seed, stream, len(weights))[possible]
    with np.errstate(divide="ignore"):  # log(0), whose sample comes first
        # The logarithm of a waiting time, for a time as long as 1 / 1e-320 is infinite.
        waits = np.log(-np.log1p(-uniforms)) - np.log(weights[possible])
    return possible[waits.argsort(kind="stable")[:wanted]]


def classes_and_counts(labels: Any) -> tuple[Any, Any]:
    """The class of each sample as a number from 0, and how many samples each class has."""
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return classes, counts


def spread_by_class(classes: Any, counts: Any, seed: int, stream: int) -> Any:
    """Every number once, in a random order that spreads each class evenly.

    Parameters
    ----------
    classes : host array, shape (N,)
        The class of each sample, from 0.
    counts : host array
        How many samples each class has, at least one.
    """
    count = len(classes)
    keys = random_keys(seed, stream, count + len(counts))
    by_class = np.lexsort((keys[:count], classes))
    ranks = np.arange(count) - np.repeat(np.cumsum(counts) - counts, counts)
    offsets = (keys[count:] >> np.uint64(11)) * 2.0**-53
    places = (ranks + np.repeat(offsets, counts)) / np.repeat(counts, counts)
    return by_class[places.argsort(kind="stable")]
