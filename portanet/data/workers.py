"""Workers that make batches ahead: threads, each of which may have a process of its own to do the work."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, NamedTuple

from portanet.data.batching import BatchMaker
from portanet.data.streams import Epoch
from portanet.errors import WorkerError

__all__ = ["PERSISTENT", "Pool", "Prefetch", "prefetched"]

PERSISTENT = threading.Lock()
"""Held while a loader takes or makes the workers that it keeps."""


class Prefetch(NamedTuple):
    """How far to work ahead, how long to wait for a batch (0: for ever), and whether the workers end with the epoch."""

    ahead: int
    timeout: float
    one_epoch: bool


class Failure(NamedTuple):
    """What a worker answers instead of a batch."""

    error: BaseException


class Cancellation:
    """Whether anybody still wants the batches of an epoch."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = False


class Task(NamedTuple):
    """One batch to be made, and where to put it.

    The context is that of the loop, so that a worker makes Tensors of the backend that is in use there.
    """

    number: int
    indices: Any
    epoch: Epoch | None
    context: Context
    answers: SimpleQueue[tuple[int, Any]]
    cancellation: Cancellation


class Pool:
    """Threads that make batches, and the processes that they command.

    No lock is held while Python code runs, so the garbage collector may stop a pool at any point of any thread.

    Parameters
    ----------
    make : BatchMaker
        Makes a batch.
    count : int
        How many workers.
    kind : str
        ``"threads"`` or ``"processes"``.
    """

    def __init__(self, make: BatchMaker, count: int, kind: str) -> None:
        self.stopped = False
        self.owner = os.getpid()
        self.tasks: SimpleQueue[Task | None] = SimpleQueue()
        makers: list[Any] = [make] * count
        if kind == "processes":
            from portanet.data.processes import RemoteMaker, packed_maker

            content = packed_maker(make)
            makers = [RemoteMaker(content, worker) for worker in range(count)]
        self._makers = makers
        self._threads = [
            threading.Thread(target=_serve, args=(self, maker), name=f"portanet-loader-{worker}", daemon=True)
            for worker, maker in enumerate(makers)
        ]
        self.kind = kind

    def start(self) -> None:
        """Start the workers, once. Whoever is interrupted in the midst of it holds a pool that can be stopped."""
        # Registered later than multiprocessing's own exit, and so run before it: processes can still be ended in order.
        atexit.register(self._stop_at_exit)
        for thread in self._threads:
            thread.start()

    @property
    def usable(self) -> bool:
        """Whether the workers still work; in a process that was forked from theirs there are none."""
        return not self.stopped and self.owner == os.getpid()

    def _stop_at_exit(self) -> None:
        self.stop(hung=True)

    def stop(self, *, wait: bool = True, hung: bool = False) -> None:
        """End all workers.

        Parameters
        ----------
        wait : bool, default True
            Return when they have ended. A worker that calls this itself never waits, nor does a dying interpreter,
            whose threads stand still.
        hung : bool, default False
            Do not wait for workers that cannot be interrupted.
        """
        self.stopped = True
        atexit.unregister(self._stop_at_exit)
        if self.owner != os.getpid():
            return  # a copy in a forked process, whose sockets are the same: the workers are not its own to stop
        for _ in self._threads:
            self.tasks.put(None)
        if self.kind == "processes":
            for maker in self._makers:
                maker.interrupt()
        elif hung:
            return
        if wait and threading.current_thread() not in self._threads and not sys.is_finalizing():
            for thread in self._threads:
                if thread.ident is not None:
                    thread.join()


def _serve(pool: Pool, make: Any) -> None:
    """What a worker thread does until it is told to stop."""
    if pool.kind == "processes" and hasattr(signal, "pthread_sigmask"):
        # Inherited by the process that is started from here: Ctrl-C is for the loop alone.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        while (task := pool.tasks.get()) is not None:
            if not (pool.stopped or task.cancellation.done):
                task.answers.put((task.number, _answer(make, task)))
            del task  # or an idle worker would keep its last batch
    finally:
        if not isinstance(make, BatchMaker):
            make.end()


def _answer(make: Callable[..., Any], task: Task) -> Any:
    try:
        return task.context.run(make, task.indices, task.number, task.epoch)
    except BaseException as error:  # whatever it is, the loop gets it
        if isinstance(make, BatchMaker):
            error.add_note(f"Raised in a worker thread, in the making of batch {task.number}.")
        return Failure(error)


def prefetched(
    workers: Callable[[], Pool],
    batches: Iterator[tuple[int, Any]],
    epoch: Epoch | None,
    settings: Prefetch,
) -> Iterator[Any]:
    """Batches made by workers, in order.

    The workers are asked for at the first batch, and are stopped when the iterator ends, is closed or is collected.

    Parameters
    ----------
    workers : callable
        Gives the pool: a new one for one epoch, which is started and stopped here, or one that has been started.
    batches : iterator of (int, indices)
        What to make.
    epoch : Epoch or None
        Where the batches' random numbers come from.
    settings : Prefetch
        Bounds, and whether to stop the pool.

    Raises
    ------
    WorkerError
        If a worker was killed, no batch came in time, or the iterator goes on in a forked process.
    """
    answers: SimpleQueue[tuple[int, Any]] = SimpleQueue()
    arrived: dict[int, Any] = {}
    wanted: deque[int] = deque()  # the numbers that were asked for, in order
    cancellation = Cancellation()
    owner = threading.current_thread()
    hung = False
    last = -1

    def ask(pool: Pool) -> bool:
        """Hand out one more batch; whether there was one. An error of the sampler waits for its turn like a batch."""
        nonlocal last
        try:
            number, indices = next(batches)
        except StopIteration:
            return False
        except Exception as error:
            last += 1
            wanted.append(last)
            arrived[last] = Failure(error)
            return False
        last = number
        wanted.append(number)
        pool.tasks.put(Task(number, indices, epoch, copy_context(), answers, cancellation))
        return True

    more = True
    pool = workers()
    try:
        if settings.one_epoch:
            pool.start()
        while True:
            if pool.owner != os.getpid():
                raise WorkerError(
                    "The workers of this epoch belong to the process that this one was forked from. Iterate over the "
                    "loader anew here."
                )
            while more and len(wanted) < settings.ahead:
                more = ask(pool)
            if not wanted:
                return
            number = wanted.popleft()
            deadline = monotonic() + settings.timeout
            while number not in arrived:
                try:
                    other, answer = answers.get(
                        timeout=max(deadline - monotonic(), 0) if settings.timeout else None
                    )
                except Empty:
                    hung = True
                    raise WorkerError(
                        f"timeout: batch {number} did not come within {settings.timeout:g} seconds. Is a sample "
                        "waiting for something? Raise timeout, or pass num_workers=0 to see where."
                    ) from None
                arrived[other] = answer
                del answer
            batch = arrived.pop(number)
            if isinstance(batch, Failure):
                try:
                    raise batch.error
                finally:
                    del batch  # the error's traceback holds this frame: a cycle otherwise
            if more:
                more = ask(pool)
            yield batch
            del batch
    finally:
        cancellation.done = True
        if settings.one_epoch or hung:
            # The garbage collector may run this in any thread, in the midst of anything, and must not wait for
            # others.
            pool.stop(wait=threading.current_thread() is owner, hung=hung)
