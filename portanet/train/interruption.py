"""Ctrl-C that waits until a step is complete."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Interruption", "InterruptionError", "deferred_interrupts"]


class Interruption:
    """Whether somebody pressed Ctrl-C."""

    requested = False


class InterruptionError(Exception):
    """The loop has stopped where it can go on later."""


@contextmanager
def deferred_interrupts() -> Iterator[Interruption]:
    """Note the first Ctrl-C in the block; the second one interrupts at once, as ever.

    A first one that comes too late for the block to act on it interrupts when the block has ended.

    Outside the main thread, or where the program handles Ctrl-C itself, nothing is changed.
    """
    asked = Interruption()
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield asked
        return

    def note(number: int, frame: Any) -> None:
        if asked.requested:
            raise KeyboardInterrupt
        asked.requested = True

    signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if asked.requested:
        raise KeyboardInterrupt
