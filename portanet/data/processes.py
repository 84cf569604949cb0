"""Worker processes: the end that commands one, and what runs inside.

Each is connected with its commander by a pair of sockets and by nothing else: there is no shared memory, no lock and
no file that could outlive either. When one end dies the other one reads the end of the stream, and ends as well.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import socket
import threading
import traceback
from contextlib import suppress
from multiprocessing import connection
from typing import Any

from portanet.backend import set_backend
from portanet.data.batching import BatchMaker
from portanet.data.messages import pack, receive, send, unpack
from portanet.data.streams import BatchStreams, Epoch
from portanet.errors import OptionError, WorkerError
from portanet.threads import set_num_threads

__all__ = ["RemoteMaker", "packed_maker"]

DYING_SECONDS = 5.0
"""How long a process whose end of the stream is closed may take to die by itself, so that its exit code can be told."""

_multiprocessing_lock = threading.Lock()
"""Starting one process also looks after the dead ones, which two threads must not do at a time."""

if hasattr(os, "register_at_fork"):  # or a process that is forked meanwhile would find the lock held for ever
    os.register_at_fork(
        before=_multiprocessing_lock.acquire,
        after_in_parent=_multiprocessing_lock.release,
        after_in_child=_multiprocessing_lock.release,
    )


def packed_maker(make: BatchMaker) -> list[Any]:
    """A maker of batches in the form that a worker process is sent.

    Raises
    ------
    OptionError
        If it cannot be sent.
    """
    try:
        return pack(make)
    except Exception as error:
        raise OptionError(
            f"workers: the dataset or collate_fn cannot be sent to a process ({type(error).__name__}: {error}). "
            "Define its class and functions at the top of a module, open files in the worker and not before, or use "
            "workers='threads'."
        ) from error


class RemoteMaker:
    """Makes batches in a process of its own, which it starts when the first one is wanted.

    All methods but :meth:`interrupt` belong to one thread.

    Parameters
    ----------
    content : list of buffers
        What :func:`packed_maker` gave.
    worker : int
        The number of this worker.
    """

    def __init__(self, content: list[Any], worker: int) -> None:
        self._content = content
        self._worker = worker
        self._process: Any = None
        self._socket: socket.socket | None = None
        self._interrupted = False

    def __call__(self, indices: Any, number: int, epoch: Epoch | None) -> Any:
        """The batch of these samples, as :class:`BatchMaker` has it."""
        request = pack((indices, number, epoch))
        try:
            if self._socket is None:
                self._start()
            assert self._socket is not None
            send(self._socket, request)
            reply = receive(self._socket)
        except (EOFError, OSError) as error:
            raise self._death(number, error) from None
        failed, value, text = unpack(reply)
        if not failed:
            return value
        if value is None:
            raise WorkerError(f"A worker process failed in the making of batch {number}.\n\n{text}")
        value.add_note(f"Raised in worker process {self._worker}, in the making of batch {number}:\n\n{text}")
        raise value

    def _start(self) -> None:
        if multiprocessing.current_process().daemon:
            raise OptionError(
                "workers: a daemonic process, as a worker process is, cannot have worker processes of its own. Use "
                "workers='threads' in it."
            )
        ours, theirs = socket.socketpair()
        self._socket = ours
        try:
            process = multiprocessing.get_context("spawn").Process(
                target=serve, args=(theirs,), name=f"portanet-loader-{self._worker}", daemon=True
            )
            with _multiprocessing_lock:
                process.start()
            self._process = process
        except BaseException:
            self.end()
            raise
        finally:
            theirs.close()
        if self._interrupted:  # after _socket was set, or interrupt() may have come too early to see it
            raise EOFError
        send(ours, self._content)

    def _death(self, number: int, error: BaseException) -> WorkerError:
        process, code = self._process, None
        if process is not None:
            if not self._interrupted:
                connection.wait([process.sentinel], DYING_SECONDS)
            pid, code = process.pid, self.end()
        else:
            self.end()
            return WorkerError(
                f"A worker process cannot be started: {error}. Use fewer, or workers='threads'."
            )
        if code is not None and code < 0:
            try:
                cause = signal.Signals(-code).name
            except ValueError:  # Python has no name for it
                cause = f"signal {-code}"
            return WorkerError(
                f"Worker process {self._worker} (pid {pid}) was ended by {cause} in the making of batch {number}. "
                "Where nobody did so on purpose, memory may have run out: use fewer workers, a smaller "
                "prefetch_factor or workers='threads'."
            )
        return WorkerError(
            f"Worker process {self._worker} (pid {pid}) ended with exit code {code} in the making of batch "
            f"{number}. What it wrote to stderr says why. A script that uses workers='processes' needs `if __name__ "
            '== "__main__":` around what it does.'
        )

    def interrupt(self) -> None:
        """Make what the thread waits for fail at once; any thread may call this."""
        self._interrupted = True
        ours = self._socket
        if ours is not None:
            with suppress(OSError):  # it was closed, or the other end is dead
                ours.shutdown(socket.SHUT_RDWR)

    def end(self) -> int | None:
        """Kill the process, if it still lives, and let go of all that belongs to it; its exit code."""
        ours, self._socket = self._socket, None
        process, self._process = self._process, None
        if ours is not None:
            ours.close()
        if process is None:
            return None
        with _multiprocessing_lock:
            process.kill()
            process.join()
            code: int | None = process.exitcode
            process.close()
        return code


def serve(ours: socket.socket) -> None:
    """What runs in a worker process: read what to make, answer with it, until the stream ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the commander's business
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    set_backend("numpy")
    set_num_threads(1)
    with suppress(EOFError, ConnectionError):  # the commander is gone, or wants no more
        content = receive(ours)
        make: BatchMaker | None = None
        while True:
            indices, number, epoch = unpack(receive(ours))
            try:
                if make is None:
                    make = _unpacked_maker(content)
                _seed_others(epoch, number)
                reply = pack((False, make(indices, number, epoch), None))
            except BaseException as error:
                reply = _packed_failure(error)
            send(ours, reply)
            del reply


def _unpacked_maker(content: list[Any]) -> BatchMaker:
    try:
        make: BatchMaker = unpack(content)
    except Exception as error:
        raise OptionError(
            f"workers: the dataset or collate_fn cannot be made again in a process ({type(error).__name__}: {error}). "
            "Define its class and functions in a module, which a notebook or the prompt is not, or use "
            "workers='threads'."
        ) from error
    return make


def _leave_with_parent() -> None:
    """End this process when the one that started it does, though a dataset be in the midst of something."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _seed_others(epoch: Epoch | None, number: int) -> None:
    """Seed the global generators of Python and NumPy, which belong to this process alone."""
    if epoch is None:
        return
    import numpy as np

    seed = BatchStreams(epoch, number).seed()
    random.seed(seed)
    np.random.seed([seed & 0xFFFFFFFF, seed >> 32, 1])  # without the 1 both would draw the same numbers


def _packed_failure(error: BaseException) -> list[Any]:
    """An error with the text of its traceback; the text alone if the error cannot be sent."""
    text = "".join(traceback.format_exception(error))
    try:
        content = pack((True, error, text))
        unpack([bytearray(part) for part in content])
    except Exception:
        return pack((True, None, text))
    return content
