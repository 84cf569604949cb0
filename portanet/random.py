"""Random numbers that are the same on every backend, bit for bit."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextvars import ContextVar
from math import prod
from typing import Any, Protocol

from portanet.checks import check_number, whole_number
from portanet.dtypes import Device, DType, float32, float64, int64
from portanet.errors import DTypeError, OptionError
from portanet.functions.elementwise import log, log1p, negative
from portanet.functions.manipulation import astype
from portanet.functions.reductions import argmax
from portanet.philox import random_doubles, random_keys, random_normals, random_singles, within
from portanet.tensor import Tensor, as_native, asarray, wrap

__all__ = [
    "Generator",
    "categorical",
    "default_generator",
    "integers",
    "manual_seed",
    "normal",
    "permutation",
    "uniform",
]


class Generator:
    """A seed, and how many draws were made from it. Each draw is a stream of its own.

    Parameters
    ----------
    seed : int, optional
        From 0 to 2**64 - 1; default: fresh from the operating system.

    Examples
    --------
    >>> a, b = pn.random.Generator(7), pn.random.Generator(7)
    >>> pn.random.permutation(4, generator=a).tolist() == pn.random.permutation(4, generator=b).tolist()
    True
    """

    def __init__(self, seed: int | None = None) -> None:
        self._lock = threading.Lock()
        self.manual_seed(int.from_bytes(os.urandom(8)) if seed is None else seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start again from ``seed``."""
        seed = checked_seed(seed)
        with self._lock:
            self._seed, self._draws = seed, 0
        return self

    def next_stream(self) -> tuple[int, int]:
        """The seed and the number of the next stream; safe under threads."""
        with self._lock:
            self._draws += 1
            return self._seed, self._draws - 1

    def get_state(self) -> dict[str, int]:
        """The seed and the number of draws so far."""
        with self._lock:
            return {"seed": self._seed, "draws": self._draws}

    def set_state(self, state: dict[str, int]) -> None:
        """Go on from a state that :meth:`get_state` gave.

        Raises
        ------
        OptionError
            If it is something else; nothing is changed then.
        """
        try:
            seed, draws = checked_seed(state["seed"]), whole_number("draws", state["draws"], low=0)
        except (KeyError, TypeError, OptionError) as error:
            raise OptionError(f"state: expected what get_state() gives, got {state!r}.") from error
        with self._lock:
            self._seed, self._draws = seed, draws

    def __deepcopy__(self, memo: dict[int, Any]) -> Generator:
        twin = Generator(0)
        twin.set_state(self.get_state())
        return twin

    def __reduce__(self) -> Any:
        raise TypeError(
            "A Generator is not pickled: in another process it would draw the same numbers once more. Draw without a "
            "generator= there, or hand on get_state()."
        )


def checked_seed(seed: Any) -> int:
    """A seed as an ``int``, if it is one."""
    number = whole_number("seed", seed, low=0)
    if number >= 2**64:
        raise OptionError(f"seed: expected a whole number from 0 to 2**64 - 1, got {seed!r}.")
    return number


def checked_generator(generator: Any) -> Generator | None:
    """A generator or None, if it is either."""
    if generator is not None and not isinstance(generator, Generator):
        raise TypeError(f"generator: expected a portanet.random.Generator, got {type(generator).__name__}.")
    return generator


class StreamSource(Protocol):
    """What may stand in for the default generator."""

    def next_stream(self) -> tuple[int, int]:
        """The seed and the number of the next stream."""
        ...


stand_in: ContextVar[StreamSource | None] = ContextVar("portanet_streams", default=None)
"""What the default generator's draws come from instead, in this thread or task alone.

A loader sets it while it makes a batch: the numbers that a dataset draws then depend on the batch, and not on which
worker makes it, or on what other threads draw meanwhile. An estimator of :mod:`portanet.sklearn` sets a generator of
its own while it trains.
"""


class DefaultGenerator(Generator):
    """The generator of the process, unless :data:`stand_in` says otherwise."""

    def next_stream(self) -> tuple[int, int]:
        """The seed and the number of the next stream; safe under threads."""
        source = stand_in.get()
        return super().next_stream() if source is None else source.next_stream()

    # Whoever puts a state back, as a recomputation does, means that of the generator which is drawn from.

    def manual_seed(self, seed: int) -> Generator:
        """Start again from ``seed``."""
        source = stand_in.get()
        return source.manual_seed(seed) if isinstance(source, Generator) else super().manual_seed(seed)

    def get_state(self) -> dict[str, int]:
        """The seed and the number of draws so far."""
        source = stand_in.get()
        return source.get_state() if isinstance(source, Generator) else super().get_state()

    def set_state(self, state: dict[str, int]) -> None:
        """Go on from a state that :meth:`get_state` gave."""
        source = stand_in.get()
        if isinstance(source, Generator):
            source.set_state(state)
        else:
            super().set_state(state)


default_generator = DefaultGenerator()


def manual_seed(seed: int) -> Generator:
    """Seed initial weights, shuffles and dropout for the whole process.

    Parameters
    ----------
    seed : int
        From 0 to 2**64 - 1. The same seed gives the same numbers on every backend.
    """
    return default_generator.manual_seed(seed)


def _shape(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    lengths = tuple(shape) if isinstance(shape, Iterable) else (shape,)
    return tuple([whole_number(f"shape[{axis}]", length, low=0) for axis, length in enumerate(lengths)])


def _check_floating(dtype: DType | None) -> None:
    if dtype is not None and not dtype.is_floating:
        raise DTypeError(
            f"dtype: expected a floating-point type, got {dtype.name}. Draw float32 and convert, or use "
            "random.integers."
        )


def uniform(
    shape: int | tuple[int, ...],
    low: float = 0.0,
    high: float = 1.0,
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Draw from the uniform distribution on ``[low, high)``.

    Parameters
    ----------
    shape : int or tuple of int
        The shape of the result.
    low, high : float
        The range.
    dtype : DType, optional
        Default float32.
    device : Device or str, optional
        Default: the backend in use.
    generator : Generator, optional
        Default: the one that :func:`manual_seed` seeds.
    """
    shape = _shape(shape)
    _check_floating(dtype)
    check_number("low", low)
    check_number("high", high)
    if high < low:
        raise OptionError(f"high: expected a finite number of at least low={low}, got {high}.")
    seed, stream = (generator or default_generator).next_stream()
    draw = random_doubles if dtype == float64 else random_singles
    values = within(draw(seed, stream, prod(shape)), low, high, "float64" if dtype == float64 else "float32")
    return wrap(as_native(values.reshape(shape), dtype or float32, device, None))


def normal(
    shape: int | tuple[int, ...],
    mean: float = 0.0,
    std: float = 1.0,
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Draw from the normal distribution; arguments as in :func:`uniform`."""
    shape = _shape(shape)
    _check_floating(dtype)
    check_number("mean", mean)
    check_number("std", std, low=0.0)
    seed, stream = (generator or default_generator).next_stream()
    values = random_normals(seed, stream, prod(shape)) * std + mean
    return wrap(as_native(values.reshape(shape), dtype or float32, device, None))


def integers(
    low: int,
    high: int,
    shape: int | tuple[int, ...],
    *,
    dtype: DType | None = None,
    device: Device | str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Draw whole numbers from ``low`` to ``high - 1``; default data type int64."""
    low, high = whole_number("low", low), whole_number("high", high)
    if not low < high:
        raise OptionError(f"high: expected more than low={low}, got {high}.")
    if high - low > 2**53:
        raise OptionError(f"high: expected at most 2**53 more than low={low}, got {high}.")
    _check_holds(dtype or int64, low, high - 1)
    shape = _shape(shape)
    seed, stream = (generator or default_generator).next_stream()
    values = (random_doubles(seed, stream, prod(shape)) * (high - low)).astype("int64") + low
    return wrap(as_native(values.reshape(shape), dtype or int64, device, None))


def _check_holds(dtype: DType, lowest: int, highest: int) -> None:
    if not dtype.kind.endswith("integer"):
        raise DTypeError(f"dtype: expected an integer type, got {dtype.name}. Draw int64 and convert.")
    signed = dtype.kind == "signed integer"
    least = -(2 ** (dtype.bits - 1)) if signed else 0
    most = 2 ** (dtype.bits - signed) - 1
    if lowest < least or highest > most:
        raise OptionError(f"low, high: {dtype.name} holds {least} to {most}, got {lowest} to {highest + 1}.")


def categorical(logits: Any, *, axis: int = -1, generator: Generator | None = None) -> Tensor:
    """Draw choices with the probabilities ``softmax(logits)``.

    Parameters
    ----------
    logits : array
        Logarithms of probabilities, up to a constant, floating-point; ``-inf`` for what must not be drawn. For other
        probabilities, divide by a temperature first.
    axis : int, default -1
        The axis of the choices.
    generator : Generator, optional
        Default: the one that :func:`manual_seed` seeds.

    Returns
    -------
    Tensor
        Of the shape of the logits without that axis, int64; no gradient.

    Notes
    -----
    It is the largest of ``logits + noise`` where the noise has Gumbel's distribution (Maddison, Tarlow and Minka, "A*
    sampling", 2014), so nothing is normalised, and nothing is read from the device.

    Examples
    --------
    >>> pn.random.categorical(pn.asarray([[0.0, 100.0, 0.0], [-float("inf"), -float("inf"), 3.0]]))
    Tensor([1, 2])
    """
    x = asarray(logits).detach()
    if not x.dtype.is_floating:
        raise DTypeError(
            f"logits: expected real floating-point numbers, got {x.dtype.name}. Of probabilities take the logarithm: "
            "portanet.log(p)."
        )
    # In double precision, as Gumbel's largest numbers come from the smallest of these; from 0 would come infinity.
    drawn = uniform(x.shape, 2.0**-54, dtype=float64, device=x.device, generator=generator)
    noise = negative(log(negative(log1p(negative(drawn)))))
    chosen: Tensor = argmax(x + astype(noise, x.dtype), axis=axis)
    return chosen


def permutation_on_host(count: int, generator: Generator | None = None) -> Any:
    """The numbers from 0 to ``count - 1`` in random order, as a host array; what shuffling uses."""
    count = whole_number("n", count, low=0)
    seed, stream = (generator or default_generator).next_stream()
    return random_keys(seed, stream, count).argsort(kind="stable")


def permutation(n: int, *, device: Device | str | None = None, generator: Generator | None = None) -> Tensor:
    """The numbers from 0 to ``n - 1`` in random order, int64."""
    return wrap(as_native(permutation_on_host(n, generator), int64, device, None))
