"""Random bits from a counter: Philox4x32-10, computed on the host.

A word depends only on (seed, stream, position), so initial weights and shuffles are the same on every
backend, and any part of a stream can be made without what comes before it. NumPy is named here because the bits
are host integers, which every backend is then handed.

Reference: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "philox_block",
    "random_doubles",
    "random_keys",
    "random_normals",
    "random_singles",
    "random_words",
    "within",
]

ROUNDS = 10
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
LOW_WORD = np.uint64(0xFFFFFFFF)
WORD_BITS = np.uint64(32)


def philox_block(counters: tuple[Any, Any, Any, Any], key: tuple[int, int]) -> tuple[Any, Any, Any, Any]:
    """Ten rounds over arrays of counters.

    Parameters
    ----------
    counters : four uint64 arrays
        Each element a 32-bit word; broadcast together.
    key : two int
        32-bit words.

    Returns
    -------
    four uint64 arrays
        Each element a random 32-bit word.
    """
    a, b, c, d = counters
    key_0, key_1 = key
    for _ in range(ROUNDS):
        left = a * MULTIPLIERS[0]
        right = c * MULTIPLIERS[1]
        a, b, c, d = (
            (right >> WORD_BITS) ^ b ^ np.uint64(key_0),
            right & LOW_WORD,
            (left >> WORD_BITS) ^ d ^ np.uint64(key_1),
            left & LOW_WORD,
        )
        key_0 = (key_0 + KEY_STEPS[0]) & 0xFFFFFFFF
        key_1 = (key_1 + KEY_STEPS[1]) & 0xFFFFFFFF
    return a, b, c, d


def random_words(seed: int, stream: int, count: int) -> Any:
    """The first ``count`` 32-bit words of one stream, as a uint32 array."""
    blocks = -(-count // 4)
    index = np.arange(blocks, dtype=np.uint64)
    counters = (
        index & LOW_WORD,
        index >> WORD_BITS,
        np.uint64(stream & 0xFFFFFFFF),
        np.uint64(stream >> 32 & 0xFFFFFFFF),
    )
    words = philox_block(counters, (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF))
    return np.stack(words, axis=-1).reshape(-1)[:count].astype(np.uint32)


def random_keys(seed: int, stream: int, count: int) -> Any:
    """``count`` random 64-bit integers, as a uint64 array."""
    words = random_words(seed, stream, 2 * count).astype(np.uint64)
    return words[0::2] << WORD_BITS | words[1::2]


def random_singles(seed: int, stream: int, count: int) -> Any:
    """``count`` float64 values in [0, 1), multiples of 2**-24, so that each is exact in float32."""
    return (random_words(seed, stream, count) >> np.uint32(8)) * 2.0**-24


def random_doubles(seed: int, stream: int, count: int) -> Any:
    """``count`` float64 values in [0, 1), multiples of 2**-53."""
    return (random_keys(seed, stream, count) >> np.uint64(11)) * 2.0**-53


def within(uniforms: Any, low: float, high: float, dtype_name: str) -> Any:
    """Values in [0, 1) stretched to ``[low, high)`` and rounded to a data type, never up to ``high`` itself."""
    dtype = np.dtype(dtype_name)
    values = (uniforms * (high - low) + low).astype(dtype)
    if high > low:
        np.minimum(values, np.nextafter(dtype.type(high), dtype.type(low)), out=values)
    return values


def random_normals(seed: int, stream: int, count: int) -> Any:
    """``count`` float64 values of the standard normal distribution, by the method of Box and Muller (1958)."""
    pairs = -(-count // 2)
    uniforms = random_doubles(seed, stream, 2 * pairs)
    radius = np.sqrt(-2 * np.log1p(-uniforms[:pairs]))
    angle = 2 * np.pi * uniforms[pairs:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]
