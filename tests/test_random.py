"""Random numbers: their bits, the same on every backend, their distributions, their generators."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.backend import backend_named
from portanet.errors import DTypeError, OptionError
from portanet.philox import philox_block, random_words
from portanet.random import Generator, stand_in

# Known answers of the Random123 distribution: counter, key and result of Philox4x32-10.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
DRAWS: dict[str, Callable[[Generator], Any]] = {
    "uniform": lambda generator: pn.random.uniform((5, 3), generator=generator),
    "uniform64": lambda generator: pn.random.uniform((5, 3), -2, 3, dtype=pn.float64, generator=generator),
    "normal": lambda generator: pn.random.normal((5, 3), generator=generator),
    "normal64": lambda generator: pn.random.normal(7, 1, 2, dtype=pn.float64, generator=generator),
    "integers": lambda generator: pn.random.integers(-5, 1000, (5, 3), generator=generator),
    "categorical": lambda generator: pn.random.categorical(
        pn.reshape(pn.arange(12, dtype=pn.float32), (4, 3)), generator=generator
    ),
    "permutation": lambda generator: pn.random.permutation(20, generator=generator),
}


def distance(sample: Any, cumulative: Callable[[Any], Any]) -> float:
    """How far the sample's distribution is from the expected one (Kolmogorov and Smirnov), times sqrt(n)."""
    ordered = np.sort(sample)
    expected = cumulative(ordered)
    steps = np.arange(ordered.size + 1) / ordered.size
    return max(np.abs(expected - steps[1:]).max(), np.abs(expected - steps[:-1]).max()) * np.sqrt(
        ordered.size
    )


def of_normal(x: Any) -> Any:
    from math import erf

    return np.array([(1 + erf(value / np.sqrt(2))) / 2 for value in x])


# Bits


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_philox_gives_the_known_answers(counter: Any, key: Any, expected: Any) -> None:
    words = philox_block(tuple(np.array([word], "uint64") for word in counter), key)
    assert tuple(int(word[0]) for word in words) == expected


def test_words_follow_the_counter() -> None:
    """Blocks of four, the position in the low half of the counter, the stream in the high half, the seed as key."""
    seed, stream = 0x299F31D0A4093822, 0x0370734413198A2E
    words = random_words(seed, stream, 11)
    assert words.dtype == np.uint32
    assert words.shape == (11,)
    for position in range(3):
        counter = tuple(np.uint64(word) for word in (position, 0, 0x13198A2E, 0x03707344))
        block = [int(word) for word in philox_block(counter, (0xA4093822, 0x299F31D0))]
        assert words[4 * position : 4 * position + 4].tolist() == block[: 11 - 4 * position]
    assert random_words(seed, stream, 0).shape == (0,)


def test_a_stream_begins_the_same_however_long_it_is() -> None:
    np.testing.assert_array_equal(random_words(5, 6, 1000)[:7], random_words(5, 6, 7))


def test_backends_give_the_same_bits(backend: str) -> None:
    record = backend_named(backend)
    words = record.random_bits(2**40 + 3, 2**33 + 1, 10)
    np.testing.assert_array_equal(record.to_host(words), random_words(2**40 + 3, 2**33 + 1, 10))


@pytest.mark.parametrize("draw", DRAWS)
def test_the_same_numbers_on_every_backend(backend: str, draw: str) -> None:
    here = DRAWS[draw](Generator(2**63 + 5))
    with pn.use_backend("numpy"):
        reference = DRAWS[draw](Generator(2**63 + 5))
    assert here.device.backend == backend
    assert here.dtype == reference.dtype
    assert here.shape == reference.shape
    np.testing.assert_array_equal(here.numpy(), reference.numpy())


def test_the_numbers_of_a_seed_are_pinned() -> None:
    """Results that were published with a seed can be had again, in every later version too."""
    generator = Generator(0)
    assert pn.random.uniform(2, dtype=pn.float64, generator=generator).tolist() == [
        (0x6627E8D5E169C58D >> 11) * 2.0**-53,
        (0xBC57AC4C9B00DBD8 >> 11) * 2.0**-53,
    ]
    words = random_words(0, 1, 4)
    assert pn.random.uniform(4, generator=generator).tolist() == [int(word >> 8) * 2.0**-24 for word in words]
    assert generator.get_state() == {"seed": 0, "draws": 2}


# Distributions, with fixed seeds: a test of chance must not fail by chance


@pytest.mark.parametrize("dtype", [pn.float32, pn.float64], ids=repr)
def test_uniform_numbers_are_uniform(dtype: Any) -> None:
    sample = pn.random.uniform(100_000, -3.0, 5.0, dtype=dtype, generator=Generator(1)).numpy()
    assert sample.dtype.name == dtype.name
    assert -3.0 <= sample.min() < -2.999
    assert 4.999 < sample.max() < 5.0
    assert abs(sample.mean() - 1.0) < 0.03
    assert abs(sample.var() - 64 / 12) < 0.05
    assert distance(sample, lambda x: (x + 3) / 8) < 1.6
    neighbours = np.corrcoef(sample[:-1], sample[1:])[0, 1]
    assert abs(neighbours) < 0.01


@pytest.mark.parametrize("dtype", [pn.float32, pn.float64], ids=repr)
def test_normal_numbers_are_normal(dtype: Any) -> None:
    sample = pn.random.normal(100_001, 2.0, 3.0, dtype=dtype, generator=Generator(2)).numpy()
    assert sample.shape == (100_001,)
    assert sample.dtype.name == dtype.name
    z = (sample - 2) / 3
    assert np.isfinite(z).all()
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.01
    assert abs((z**3).mean()) < 0.03
    assert abs((z**4).mean() - 3) < 0.08
    assert distance(z, of_normal) < 1.6
    assert 3.8 < np.abs(z).max() < 6
    half = z.size // 2
    assert abs(np.corrcoef(z[:half], z[half : 2 * half])[0, 1]) < 0.01


def test_integers_are_even() -> None:
    sample = pn.random.integers(-3, 7, 50_000, generator=Generator(3)).numpy()
    values, counts = np.unique(sample, return_counts=True)
    assert values.tolist() == list(range(-3, 7))
    assert ((counts - 5000) ** 2 / 5000).sum() < 27.9  # chi squared, 9 degrees of freedom, one in a thousand


@pytest.mark.parametrize("dtype", [pn.float32, pn.float64], ids=repr)
def test_uniform_stays_below_its_upper_end(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounded, the largest draw would become the upper end itself."""
    name, largest = (
        ("random_singles", 1 - 2.0**-24) if dtype == pn.float32 else ("random_doubles", 1 - 2.0**-53)
    )
    monkeypatch.setattr(f"portanet.random.{name}", lambda *_: np.array([largest, 0.0]))
    values = pn.random.uniform(2, 1.0, 2.0, dtype=dtype).numpy()
    assert values.tolist() == [np.nextafter(values.dtype.type(2), values.dtype.type(1)), 1.0]


def test_permutations_are_permutations() -> None:
    for n in (0, 1, 2, 7, 1000):
        assert sorted(pn.random.permutation(n, generator=Generator(n)).tolist()) == list(range(n))
    generator = Generator(4)
    orders = [tuple(pn.random.permutation(3, generator=generator).tolist()) for _ in range(6000)]
    values, counts = np.unique(np.array(orders), axis=0, return_counts=True)
    assert len(values) == 6
    assert ((counts - 1000) ** 2 / 1000).sum() < 20.6  # chi squared, 5 degrees of freedom, one in a thousand


def test_streams_are_independent() -> None:
    """Neighbouring streams, and neighbouring seeds, share nothing."""
    rows = [random_words(seed, stream, 4000) / 2.0**32 for seed in (1, 2) for stream in (0, 1, 2**32)]
    correlation = np.corrcoef(np.stack(rows))
    assert np.abs(correlation - np.eye(len(rows))).max() < 0.06
    assert len({word for row in rows for word in row.tolist()}) > 23_990


# Generators


def test_each_draw_is_new_and_a_seed_begins_again() -> None:
    pn.manual_seed(9)
    first = [pn.random.normal(3).tolist() for _ in range(3)]
    assert len({tuple(row) for row in first}) == 3
    pn.manual_seed(9)
    assert [pn.random.normal(3).tolist() for _ in range(3)] == first
    pn.manual_seed(10)
    assert pn.random.normal(3).tolist() != first[0]


def test_a_generator_is_apart_from_the_process_wide_one() -> None:
    pn.manual_seed(9)
    expected = pn.random.uniform(3).tolist()
    pn.manual_seed(9)
    own = Generator(9)
    assert pn.random.uniform(3, generator=own).tolist() == expected
    pn.random.uniform(3, generator=own)
    assert pn.random.uniform(3).tolist() == expected
    assert Generator().get_state()["seed"] != Generator().get_state()["seed"]


def test_a_state_is_taken_and_given_back() -> None:
    generator = Generator(5)
    pn.random.uniform(3, generator=generator)
    state = generator.get_state()
    expected = pn.random.uniform(3, generator=generator).tolist()
    generator.manual_seed(1).set_state(state)
    assert pn.random.uniform(3, generator=generator).tolist() == expected
    twin = copy.deepcopy(generator)
    assert pn.random.uniform(3, generator=twin).tolist() == pn.random.uniform(3, generator=generator).tolist()
    assert generator.manual_seed(5) is generator
    for spoiled in ({"seed": 1}, {"seed": 1, "draws": -1}, {"seed": 2**64, "draws": 0}, [1, 2], None):
        before = generator.get_state()
        with pytest.raises(OptionError, match="state: expected what get_state"):
            generator.set_state(spoiled)  # type: ignore[arg-type]
        assert generator.get_state() == before


def test_a_stand_in_is_what_the_state_is_taken_from_and_given_to() -> None:
    """Or a recomputation, which puts the state back, would rewind one generator and draw from another."""
    default = pn.random.default_generator
    before = default.get_state()
    token = stand_in.set(Generator(5))
    try:
        state = default.get_state()
        assert state == {"seed": 5, "draws": 0}
        first = pn.random.uniform((3,)).tolist()
        default.set_state(state)
        assert pn.random.uniform((3,)).tolist() == first
        pn.manual_seed(6)
        assert default.next_stream() == (6, 0)
    finally:
        stand_in.reset(token)
    assert default.get_state() == before


def test_threads_share_a_generator_without_sharing_a_draw() -> None:
    generator = Generator(6)
    drawn: list[tuple[float, ...]] = []

    def draw() -> None:
        for _ in range(50):
            drawn.append(tuple(pn.random.uniform(4, generator=generator).tolist()))

    threads = [threading.Thread(target=draw) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = Generator(6)
    assert sorted(drawn) == sorted(tuple(pn.random.uniform(4, generator=again).tolist()) for _ in range(400))


# Arguments


def test_shapes_and_types() -> None:
    assert pn.random.uniform(()).shape == ()
    assert pn.random.normal(3).shape == (3,)
    assert pn.random.normal([2, 3]).shape == (2, 3)
    assert pn.random.uniform((0, 4)).shape == (0, 4)
    assert pn.random.integers(0, 5, (np.int64(2),)).dtype == pn.int64
    assert pn.random.integers(0, 5, 2, dtype=pn.uint8).dtype == pn.uint8
    assert pn.random.uniform(2).dtype == pn.random.normal(2).dtype == pn.float32
    assert pn.random.integers(-(2**40), 2**40, 100, generator=Generator(1)).numpy().std() > 2**38
    assert not pn.random.uniform(2).requires_grad
    assert set(pn.random.uniform(5, 1.5, 1.5).tolist()) == {1.5}
    assert set(pn.random.normal(5, 1.5, 0).tolist()) == {1.5}
    assert pn.manual_seed(np.int64(4)).get_state()["seed"] == 4


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, "1", None, True], ids=repr)
def test_seeds_are_whole_numbers_of_64_bits(seed: Any) -> None:
    with pytest.raises(OptionError, match="seed: expected a whole number"):
        pn.manual_seed(seed)
    if seed is not None:
        with pytest.raises(OptionError, match="seed: expected a whole number"):
            Generator(seed)
    assert Generator(2**64 - 1).get_state()["seed"] == 2**64 - 1


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (
            lambda: pn.random.uniform(3, 1.0, 0.0),
            r"high: expected a finite number of at least low=1\.0, got 0\.0",
        ),
        (lambda: pn.random.uniform(3, 0.0, float("inf")), "high: expected a finite number"),
        (lambda: pn.random.uniform(3, float("nan")), "low: expected a finite number, got nan"),
        (lambda: pn.random.normal(3, std=-1.0), r"std: expected a finite number of at least 0, got -1\.0"),
        (lambda: pn.random.normal(3, mean=float("nan")), "mean: expected a finite number, got nan"),
        (lambda: pn.random.integers(3, 3, 2), "high: expected more than low=3, got 3"),
        (lambda: pn.random.integers(0, 2.5, 2), "high: expected a whole number"),  # type: ignore[arg-type]
        (lambda: pn.random.integers(0, 300, 2, dtype=pn.uint8), "low, high: uint8 holds 0 to 255"),
        (lambda: pn.random.integers(-1, 3, 2, dtype=pn.uint8), "low, high: uint8 holds 0 to 255"),
        (lambda: pn.random.integers(0, 2**54, 2), "high: expected at most 2\\*\\*53 more than low"),
        (lambda: pn.random.permutation(-1), "n: expected a whole number of at least 0, got -1"),
        (lambda: pn.random.permutation(2.0), "n: expected a whole number"),  # type: ignore[arg-type]
        (lambda: pn.random.uniform(-1), r"shape\[0\]: expected a whole number of at least 0, got -1"),
        (lambda: pn.random.normal((2, 1.5)), r"shape\[1\]: expected a whole number"),  # type: ignore[arg-type]
    ],
)
def test_arguments_out_of_range(draw: Callable[[], Any], message: str) -> None:
    state = pn.random.default_generator.get_state()
    with pytest.raises(OptionError, match=message):
        draw()
    assert pn.random.default_generator.get_state() == state


def test_data_types_that_cannot_hold_the_numbers() -> None:
    for draw in (pn.random.uniform, pn.random.normal):
        for dtype in (pn.int64, pn.bool, pn.complex64):
            with pytest.raises(DTypeError, match=f"dtype: expected a floating-point type, got {dtype.name}"):
                draw(3, dtype=dtype)
    with pytest.raises(DTypeError, match="dtype: expected an integer type, got float32"):
        pn.random.integers(0, 3, 2, dtype=pn.float32)


@pytest.mark.parametrize("dtype", [pn.float32, pn.float64], ids=lambda dtype: dtype.name)
def test_choices_have_the_probabilities_of_softmax(backend: str, dtype: Any) -> None:
    count, weights = 40_000, np.array([0.5, 0.0, 0.3, 0.15, 0.0499, 0.0001])
    with np.errstate(divide="ignore"):
        logits = pn.broadcast_to(pn.astype(pn.asarray(np.log(weights) + 7), dtype), (count, 6))
    drawn = pn.random.categorical(logits, generator=Generator(5))
    assert (drawn.dtype, drawn.shape) == (pn.int64, (count,))
    found = np.bincount(drawn.numpy(), minlength=6)
    spread = np.sqrt(count * weights * (1 - weights))
    assert found[1] == 0
    assert np.all(np.abs(found - count * weights) <= 5 * spread)
    along_first = pn.random.categorical(logits.T, axis=0, generator=Generator(5))
    assert along_first.shape == (count,)
    assert np.all(np.abs(np.bincount(along_first.numpy(), minlength=6) - count * weights) <= 5 * spread)


def test_choices_take_logits_that_want_a_gradient_and_no_integers() -> None:
    logits = pn.Tensor([0.0, 50.0], requires_grad=True)
    assert pn.random.categorical(logits).item() == 1
    assert pn.random.categorical(np.array([50.0, 0.0])).item() == 0
    with pytest.raises(DTypeError, match="logits: expected real floating-point numbers, got int64"):
        pn.random.categorical([1, 2])


def test_a_generator_is_not_sent_to_other_processes() -> None:
    with pytest.raises(TypeError, match=r"would draw the same numbers once more.*get_state\(\)"):
        pickle.dumps(Generator(3))
