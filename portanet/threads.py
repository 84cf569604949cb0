"""How many host threads portanet's own kernels use, and the threads themselves.

BLAS has threads of its own and is not affected.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from portanet.errors import OptionError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["get_num_threads", "run_in_threads", "set_num_threads"]

ENVIRONMENT_VARIABLE = "PORTANET_NUM_THREADS"

_lock = threading.Lock()
_threads: int | None = None
_pool: ThreadPoolExecutor | None = None
_pool_size = 0


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def get_num_threads() -> int:
    """How many threads portanet's kernels use on the host.

    Returns
    -------
    int
        What :func:`set_num_threads` set, else the environment variable ``PORTANET_NUM_THREADS``, else the
        number of cores that this process may use.
    """
    global _threads
    if _threads is None:
        wanted = os.environ.get(ENVIRONMENT_VARIABLE, "").strip()
        _threads = int(wanted) if wanted.isdigit() and int(wanted) > 0 else _usable_cores()
    return _threads


def set_num_threads(count: int) -> None:
    """Set how many threads portanet's kernels use on the host.

    Parameters
    ----------
    count : int
        At least 1.
    """
    global _threads
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise OptionError(f"count: expected a whole number of at least 1, got {count!r}.")
    _threads = count


def run_in_threads(work: Callable[[Iterator[Any]], None], pieces: Sequence[Any], threads: int) -> None:
    """Let several threads, this one included, take pieces from one queue until none is left.

    Parameters
    ----------
    work : callable
        ``work(pieces)`` takes pieces from the iterator it is given and works on each. It must release the
        interpreter's lock while it works (NumPy's functions do), or nothing is gained.
    pieces : sequence
        What there is to do.
    threads : int
        How many at most.
    """
    queue = iter(pieces)  # a list's iterator hands each item to one thread only
    helpers = [_executor(threads - 1).submit(work, queue) for _ in range(min(threads, len(pieces)) - 1)]
    work(queue)
    for helper in helpers:
        helper.result()


def _executor(size: int) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor  # only where threads are used: it takes 5 ms to import

    global _pool, _pool_size
    with _lock:
        if _pool is None or _pool_size < size:
            _pool = ThreadPoolExecutor(size, thread_name_prefix="portanet")
            _pool_size = size
        return _pool
