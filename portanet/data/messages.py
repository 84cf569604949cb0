"""Values sent between a loader and its worker processes: arrays travel as they lie in memory, beside the rest.

This is the one place of portanet that pickles. What it reads comes from a process that it started itself, and from
nobody else; files are never read this way.
"""

from __future__ import annotations

import io
import pickle
import socket
import struct
from typing import Any

from portanet.functions.inspection import to_host
from portanet.tensor import Tensor, asarray

__all__ = ["pack", "receive", "send", "unpack"]

NUMBER = struct.Struct("!Q")


class _Pickler(pickle.Pickler):
    """Sends a Tensor as its values, which become a Tensor of the backend in use where they arrive."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return asarray, (to_host(value),)
        return NotImplemented


def pack(value: Any) -> list[Any]:
    """A value as buffers: what pickle makes of it, then the arrays."""
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    _Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(value)
    return [stream.getvalue(), *[buffer.raw() for buffer in buffers]]


def unpack(parts: list[Any]) -> Any:
    """The value that :func:`pack` made buffers of."""
    return pickle.loads(parts[0], buffers=parts[1:])


def send(to: socket.socket, parts: list[Any]) -> None:
    """Send buffers, each with its length before it."""
    to.sendall(NUMBER.pack(len(parts)) + b"".join(NUMBER.pack(len(part)) for part in parts))
    for part in parts:
        to.sendall(part)


def receive(origin: socket.socket) -> list[Any]:
    """The buffers that :func:`send` sent, writable.

    Raises
    ------
    EOFError
        If the stream ends.
    """
    (count,) = NUMBER.unpack(_exactly(origin, NUMBER.size))
    lengths = [length for (length,) in NUMBER.iter_unpack(_exactly(origin, NUMBER.size * count))]
    return [_exactly(origin, length) for length in lengths]


def _exactly(origin: socket.socket, length: int) -> bytearray:
    content = bytearray(length)
    rest = memoryview(content)
    while rest:
        received = origin.recv_into(rest)
        if not received:
            raise EOFError("the other end of the stream is closed")
        rest = rest[received:]
    return content
