"""safetensors files with a seal: a checksum over all their bytes, which other readers pass over.

The seal stands first in the file's metadata, at a fixed place: the SHA-256 of the whole file, with zeros for the seal
itself. Arrays go to disk one after the other, so that no second copy of them is made.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import IO, Any

from portanet.atomic import atomic_file
from portanet.errors import CheckpointError

__all__ = [
    "HOST_DTYPES",
    "LARGEST_HEADER",
    "broken_seal",
    "host_array",
    "parse_json",
    "read_sealed",
    "write_sealed",
]

LARGEST_HEADER = 16 * 2**20
"""Bytes of a header that are read at most: names, shapes and metadata, not the arrays."""

MOST_PARTS = 2**19
"""Lists and mappings that JSON may have at most, written or read: some hundred thousand arrays."""

HOST_DTYPES = {
    "BOOL": "bool",
    **{f"I{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"F{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
}
"""What the format calls data types, and what NumPy does; BF16 is read, too."""

_OPENING = b'{"__metadata__":{"sha256":"'
_BLANK = b"0" * 64
_SEAL = slice(8 + len(_OPENING), 8 + len(_OPENING) + len(_BLANK))


def write_sealed(
    path: str | os.PathLike[str], arrays: Mapping[str, Any], metadata: Mapping[str, str] | None = None
) -> None:
    """Write host arrays by name, and texts by name.

    Parameters
    ----------
    path : str or path
        Replaced in one step once the new file is complete and on disk.
    arrays : mapping of str to numpy.ndarray
        In C order and little-endian.
    metadata : mapping of str to str, optional
        What the header shall hold beside the seal.

    Raises
    ------
    CheckpointError
        If the names and the metadata take more than a header may, or an array is called as the metadata are.
    OSError
        If the file cannot be written.
    """
    from hashlib import sha256

    if "__metadata__" in arrays:
        raise CheckpointError(
            "state_dict: '__metadata__' is no name for an array: safetensors files use it themselves."
        )
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))  # so that all lie aligned
    header: dict[str, Any] = {"__metadata__": {"sha256": _BLANK.decode(), **(metadata or {})}}
    end = 0
    for name in order:
        array = arrays[name]
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": _format_name(array.dtype),
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    text += b" " * (-len(text) % 8)
    parts = text.count(b"[") + text.count(b"{")
    if len(text) > LARGEST_HEADER or parts > MOST_PARTS:  # which no reader would take
        raise CheckpointError(
            f"path: {os.fspath(path)}: names and plain values take {len(text):,} bytes and {parts:,} brackets, more "
            f"than {LARGEST_HEADER:,} or {MOST_PARTS:,}. Save long lists as arrays. Nothing was saved."
        )
    seal = sha256()
    content: list[bytes | memoryview] = [len(text).to_bytes(8, "little"), text]
    content += [_bytes_of(arrays[name]) for name in order]
    with atomic_file(path) as file:
        for part in content:
            file.write(part)
            seal.update(part)
        file.seek(_SEAL.start)
        file.write(seal.hexdigest().encode())


def _bytes_of(array: Any) -> memoryview:
    return memoryview(array.reshape(-1).view("uint8")) if array.size else memoryview(b"")


def _format_name(dtype: Any) -> str:
    return "BOOL" if dtype.kind == "b" else f"{dtype.kind.upper()}{8 * dtype.itemsize}"


def broken_seal(content: bytes | bytearray | memoryview) -> str | None:
    """What is wrong with the seal of a file's bytes: None if it fits, a reason if not, or ``"none"`` if it has none."""
    from hashlib import sha256

    view = memoryview(content)
    if view[8 : _SEAL.start] != _OPENING:
        return "none"
    seal = sha256(view[: _SEAL.start])
    seal.update(_BLANK)
    seal.update(view[_SEAL.stop :])
    if seal.hexdigest().encode() != view[_SEAL]:
        return "its checksum does not fit its bytes"
    return None


def read_sealed(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Read what :func:`write_sealed` wrote.

    The seal is looked at before anything else is believed, and no more is allocated than the file is long.

    Returns
    -------
    dict of str to numpy.ndarray, dict of str to str
        The arrays, which share read-only memory, and the metadata.

    Raises
    ------
    CheckpointError
        If the file is damaged, or something else.
    OSError
        If it cannot be read.
    """
    with open(path, "rb") as file:
        try:
            content, length = _read_within_bounds(file)
            reason = broken_seal(content)
            if reason is not None:
                raise _DamagedError("it carries no checksum" if reason == "none" else reason)
            return _parse(memoryview(content), length)
        except (_DamagedError, MemoryError) as error:
            raise CheckpointError(
                f"path: {os.fspath(path)} is damaged or is no checkpoint "
                f"({str(error) or 'it is larger than the memory'}). Nothing was loaded."
            ) from error


class _DamagedError(Exception):
    """Why a file cannot be read."""


def _read_within_bounds(file: IO[bytes]) -> tuple[bytes, int]:
    """The bytes of a file and the length of its header, which the file must be long enough for."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if not _SEAL.stop - 8 <= length <= min(LARGEST_HEADER, size - 8):
        raise _DamagedError(
            f"it has {size:,} bytes, and its header claims to have {length:,}, of {LARGEST_HEADER:,} at most"
        )
    file.seek(0)
    content = file.read(size)
    if len(content) != size:
        raise _DamagedError(f"only {len(content):,} of its {size:,} bytes could be read")
    return content, length


def _parse(content: memoryview, length: int) -> tuple[dict[str, Any], dict[str, str]]:
    data = content[8 + length :]
    try:
        header = parse_json(str(content[8 : 8 + length], "utf-8"))
    except ValueError as error:
        raise _DamagedError(f"its header is no JSON: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__"), dict):
        raise _DamagedError("its header is not a table of arrays")
    metadata = header.pop("__metadata__")
    if not all(isinstance(value, str) for value in metadata.values()):
        raise _DamagedError("its metadata are not texts")
    arrays = {}
    end = 0
    for name, view in _in_order(header):
        start, stop = view["data_offsets"]
        if start != end or stop > len(data):
            raise _DamagedError(f"{name!r} does not lie where it should")
        end = stop
        arrays[name] = host_array({**view, "data": data[start:stop]})
    if end != len(data):
        raise _DamagedError(f"{len(data) - end:,} bytes belong to no array")
    metadata.pop("sha256", None)
    return arrays, metadata


def parse_json(text: str) -> Any:
    """Read JSON from a file that may have been made to do harm.

    Raises
    ------
    ValueError
        If it is none, is nested deeply, or has so many parts that it would take much more memory than the file.
    """
    if text.count("[") + text.count("{") > MOST_PARTS:
        raise ValueError(f"it has more than {MOST_PARTS:,} parts")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _in_order(header: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The entries of a header by their place, each with a known data type and as many bytes as its shape wants."""
    for name, view in header.items():
        if not isinstance(view, dict) or set(view) != {"dtype", "shape", "data_offsets"}:
            raise _DamagedError(f"{name!r} is no entry of an array")
        dtype, shape, offsets = view["dtype"], view["shape"], view["data_offsets"]
        if not isinstance(dtype, str) or dtype not in HOST_DTYPES:
            raise _DamagedError(f"{name!r} has an unknown data type")
        if not _whole_numbers(shape) or not _whole_numbers(offsets) or len(offsets) != 2 or len(shape) > 32:
            raise _DamagedError(f"{name!r} has no sensible shape or place")
        itemsize = 1 if dtype == "BOOL" else int(dtype[1:]) // 8
        if math.prod(shape) * itemsize != offsets[1] - offsets[0]:
            raise _DamagedError(f"{name!r} has not as many bytes as its shape wants")
        if math.prod(length or 1 for length in shape) >= 2**60:  # empty, and yet too large for NumPy
            raise _DamagedError(f"{name!r} has no sensible shape")
    yield from sorted(header.items(), key=lambda item: item[1]["data_offsets"])


def _whole_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def host_array(view: Mapping[str, Any]) -> Any:
    """A host array of an entry: ``dtype``, ``shape``, and its bytes as ``data``; bfloat16 comes as float32."""
    import numpy as np

    if view["dtype"] == "BF16":  # the upper half of a float32
        array = (np.frombuffer(view["data"], "<u2").astype("<u4") << 16).view("<f4")
    else:
        array = np.frombuffer(view["data"], HOST_DTYPES[view["dtype"]])
    return array.astype(array.dtype.newbyteorder("="), copy=False).reshape(view["shape"])
