"""Checks of a backend's record: what it promises of names, devices, the way in and out, copies and random bits."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from portanet.backend import Backend, backend_named, backend_of
from portanet.dtypes import ALL_DTYPES, Device, DType, bfloat16, float16, float32, uint32
from portanet.philox import random_words
from portanet.testing.functions import require

__all__ = ["PROMISES", "Promise"]

Promise = Callable[[Backend, Any], None]
"""Takes the record and a random generator, and raises if the promise is not kept."""


def _equal(found: Any, expected: Any, what: str) -> None:
    np.testing.assert_array_equal(found, expected, err_msg=what)


def numbers(rng: Any, dtype: DType) -> Any:
    """Random values that the data type holds exactly, as a NumPy array."""
    shape = (3, 4)
    values = rng.integers(0, 100, shape)
    if dtype.kind == "bool":
        return values < 50
    if dtype.kind == "complex floating":
        return (values + 1j * rng.integers(0, 100, shape)).astype(dtype.name)
    return values.astype("float32" if dtype is bfloat16 else dtype.name)


def full_devices(record: Backend) -> list[Device]:
    """The devices that take every data type: PyTorch's MPS and two of array-api-strict's do not."""
    return [device for device in record.devices() if not device.name.startswith(("no_", "mps"))]


def is_known_by_its_name(record: Backend, rng: Any) -> None:
    """``backend_named`` finds it, and it can run here."""
    require(backend_named(record.name) is record, f"backend_named({record.name!r}) is another record")
    problem = record.unavailability()
    require(problem is None, f"unavailability() is {problem}")
    version = record.version()
    require(isinstance(version, str) and bool(version), f"version() is {version!r}")


def has_every_data_type(record: Backend, rng: Any) -> None:
    """All of the standard; float16 and bfloat16 may be missing."""
    lacking = [dtype.name for dtype in ALL_DTYPES if dtype not in record.native_dtypes]
    missing = set(lacking) - {float16.name, bfloat16.name}
    require(not missing, f"native_dtypes lacks {', '.join(sorted(missing))}")


def gives_back_what_it_takes(record: Backend, rng: Any) -> None:
    """Values of every data type survive the way in and out, on every device."""
    for dtype, native in record.native_dtypes.items():
        values = numbers(rng, dtype)
        for device in full_devices(record):
            array = record.asarray(values, dtype=native, device=record.native_device(device))
            owner = backend_of(array)
            require(owner is record, f"backend_of says that a {type(array).__name__} belongs to {owner!r}")
            found = record.dtype_of(array)
            require(found is dtype, f"{dtype.name} comes back as {found.name}")
            place = record.device_of(array)
            require(place == device, f"an array made on {device} is on {place}")
            host = record.to_host(array)
            require(type(host) is np.ndarray, f"to_host gives a {type(host).__name__}")
            _equal(host.astype(values.dtype), values, dtype.name)


def takes_every_form_of_numpy_array(record: Backend, rng: Any) -> None:
    """Transposed, reversed, read-only, repeated, big-endian and empty ones, without a warning."""
    values = rng.normal(size=(3, 4))
    frozen = values.copy()
    frozen.flags.writeable = False
    forms = {
        "transposed": np.asfortranarray(values).T,
        "reversed": values[::-1, ::-2],
        "read-only": frozen,
        "repeated": np.broadcast_to(values[:1], (5, 4)),
        "big-endian": values.astype(values.dtype.newbyteorder(">")),
        "empty": values[:0],
    }
    for form, given in forms.items():
        before = given.copy()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            array = record.asarray(given)
            doubled = array + array
        _equal(record.to_host(doubled), 2 * before, form)
        _equal(given, before, f"{form}: it was written to")


def takes_numbers_and_lists(record: Backend, rng: Any) -> None:
    """Python numbers, NumPy scalars, and lists of them, or of NumPy arrays."""
    rows = [rng.normal(size=3), rng.normal(size=3)]
    for value in (3, 2.5, True, 1j, [1, 2], [[0.5], [1.5]], np.float64(2.5), np.asarray(7), rows):
        array = record.asarray(value)
        require(tuple(array.shape) == np.shape(value), f"asarray({value!r}) has the shape {array.shape}")
        _equal(record.to_host(array), np.asarray(value), repr(value))


def copies_when_asked(record: Backend, rng: Any) -> None:
    """``copy=True`` shares no memory; ``copy=False`` raises ValueError where a copy is needed."""
    values = rng.normal(size=1000)
    before = values.copy()
    array = record.asarray(values, copy=True)
    values[:] = 0
    _equal(record.to_host(array), before, "copy=True shares memory with a NumPy array")
    second = record.asarray(array, copy=True)
    if record.writable:
        array[...] = record.asarray(0.0)
    _equal(record.to_host(second), before, "copy=True shares memory with an array")
    same = record.asarray(second, copy=False)
    _equal(record.to_host(same), before, "copy=False changes values")
    converted = record.asarray(second, dtype=record.native_dtype(float32))
    require(record.dtype_of(converted) is float32, "asarray(array, dtype=...) does not convert")
    try:
        record.asarray(second, dtype=record.native_dtype(float32), copy=False)
    except ValueError as error:
        require("copy" in str(error), f"the error of a copy that is forbidden and needed says {error!s}")
    else:
        require(False, "asarray(array, dtype=..., copy=False) copies")


def says_whether_it_can_be_written_to(record: Backend, rng: Any) -> None:
    """``writable`` tells the truth."""
    array = record.asarray(np.zeros(3))
    try:
        array[0] = 1.0
    except TypeError:
        require(not record.writable, "writable is True, and writing into an array raises TypeError")
    else:
        require(record.writable, "writable is False, and arrays can be written to")
        require(record.to_host(array)[0] == 1, "writing into an array changes nothing")


def finds_its_devices_again(record: Backend, rng: Any) -> None:
    """Devices differ from each other, arrays stay on theirs, and waiting for one returns."""
    devices = record.devices()
    require(len(set(devices)) == len(devices) > 0, f"devices() is {devices}")
    for device in devices:
        require(device.backend == record.name, f"{device!r} does not name the backend")
        native = record.native_device(device)
        array = record.asarray([0.0, 1.0], dtype=record.native_dtype(float32), device=native)
        place = record.device_of(array + array)
        require(place == device, f"a sum of arrays on {device} is on {place}")
        record.synchronize(device)
        figures = record.memory(device)
        require(
            all(figure is None or (isinstance(figure, int) and figure >= 0) for figure in figures),
            f"memory({device!r}) is {figures}",
        )
    record.synchronize()


def cuts_parameters_into_pieces(record: Backend, rng: Any) -> None:
    """``pieces`` hold all elements in order, cut by shape alone, and write into ``own_copies``."""
    shapes = [(), (0, 3), (7, 5), (401, 500), (100_003,), (3, 250, 301)]
    values = [rng.normal(size=shape).astype("float32") for shape in shapes]
    own = record.own_copies([record.asarray(value) for value in values])
    pieces = record.pieces(own)
    others = record.pieces([record.asarray(np.asarray(value, order="F")) for value in values])
    cuts = [[tuple(piece.shape) for piece in found] for found in (pieces, others)]
    require(cuts[0] == cuts[1], "arrays of the same shapes are cut at different places")
    for found in (pieces, others):
        line = np.concatenate([np.reshape(record.to_host(piece), -1) for piece in found])
        _equal(line, np.concatenate([value.reshape(-1) for value in values]), "pieces")
    if record.writable:
        for piece in pieces:
            piece[...] = piece + record.asarray(np.float32(1))
        for array, value in zip(own, values, strict=True):
            _equal(record.to_host(array), value + np.float32(1), "pieces of own copies are no views")


def draws_the_same_bits(record: Backend, rng: Any) -> None:
    """``random_bits`` are those of every other backend, so that a seed means the same everywhere."""
    seed, stream = (int(number) for number in rng.integers(0, 2**32, 2))
    for count in (0, 1, 7, 1000):
        drawn = record.random_bits(seed, stream, count, device=record.native_device(record.devices()[0]))
        require(record.dtype_of(drawn) is uint32, f"they are {record.dtype_of(drawn).name}, expected uint32")
        _equal(record.to_host(drawn), random_words(seed, stream, count), f"{count} words")


PROMISES: tuple[Promise, ...] = (
    is_known_by_its_name,
    has_every_data_type,
    gives_back_what_it_takes,
    takes_every_form_of_numpy_array,
    takes_numbers_and_lists,
    copies_when_asked,
    says_whether_it_can_be_written_to,
    finds_its_devices_again,
    cuts_parameters_into_pieces,
    draws_the_same_bits,
)
"""What every backend promises."""
