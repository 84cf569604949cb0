"""Anomaly mode: find the op, and the line that called it, that first made a NaN or an infinity.

Every result and every cotangent is looked at, which means waiting for the device each time: a mode for debugging.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from os.path import basename, dirname
from typing import Any

from portanet.backend import backend_of
from portanet.errors import AnomalyError
from portanet.protocols import Array, Op

__all__ = ["check_cotangent", "check_results", "detect_anomaly", "observe", "where_called", "watch"]

_HERE = dirname(__file__)
_only_nan: ContextVar[bool | None] = ContextVar("portanet_anomaly", default=None)

Observer = Callable[[Op, Sequence[Any], Mapping[str, Any], Sequence[Array]], None]
_observer: ContextVar[Observer | None] = ContextVar("portanet_observer", default=None)


class _Watch:
    """Whether any thread has the mode on, or observes: the one thing that an op looks at while neither is so."""

    __slots__ = ("active",)

    def __init__(self) -> None:
        self.active = 0


watch = _Watch()


@contextmanager
def detect_anomaly(*, check_inf: bool = True) -> Iterator[None]:
    """Raise as soon as an op makes a NaN or an infinity, in the forward or in the backward pass.

    Parameters
    ----------
    check_inf : bool, default True
        Whether infinities count, or only NaNs: a mask of minus infinities, for example, is no accident.

    Raises
    ------
    AnomalyError
        It names the op and the line that called it, and tells an op that made the value from one that was given it.

    Examples
    --------
    >>> x = pn.zeros((2, 2))
    >>> with pn.detect_anomaly():  # doctest: +IGNORE_EXCEPTION_DETAIL
    ...     y = pn.linalg.slogdet(x)
    Traceback (most recent call last):
    portanet.errors.AnomalyError: slogdet made an infinity of finite numbers, called at ...
    """
    token = _only_nan.set(not check_inf)
    watch.active += 1
    try:
        yield
    finally:
        watch.active -= 1
        _only_nan.reset(token)


@contextmanager
def observe(observer: Observer) -> Iterator[None]:
    """Call ``observer(op, operands, options, results)`` after each op in the block, with raw arrays: for exporters.

    What other threads do is not observed. While one observer runs, what it calls itself is observed as well.
    """
    token = _observer.set(observer)
    watch.active += 1
    try:
        yield
    finally:
        watch.active -= 1
        _observer.reset(token)


def check_results(
    op: Op, operands: Sequence[Any], options: Mapping[str, Any], results: Sequence[Array]
) -> None:
    """Show an op to the observer, if there is one, and raise if one of its results is not finite.

    Raises
    ------
    AnomalyError
        If it is not, in anomaly mode.
    """
    observer = _observer.get()
    if observer is not None:
        observer(op, operands, options, results)
    for result in results:
        _check_result(op, operands, result)


def _check_result(op: Op, operands: Sequence[Any], result: Array) -> None:
    found = _fault(result)
    if found is None:
        return
    for position, operand in enumerate(operands):
        came = _fault(operand)
        if came is not None:
            raise AnomalyError(
                f"operand {position + 1} of {op.__name__} held {came} when it came in, called at {where_called()}. "
                "Look at where it was made: nothing that portanet recorded in this mode made it."
            )
    raise AnomalyError(
        f"{op.__name__} made {found} of finite numbers, called at {where_called()}. Its operands: "
        f"{'; '.join(_described(operand) for operand in operands)}."
    )


def check_cotangent(node: Any, position: int, given: Array, contribution: Array) -> None:
    """Raise if the gradient rule of a node gave what is not finite.

    Raises
    ------
    AnomalyError
        If it did.
    """
    found = _fault(contribution)
    if found is None:
        return
    site = getattr(node, "site", None)
    place = "which was called outside anomaly mode" if site is None else f"called at {site}"
    came = _fault(given)
    if came is not None:
        raise AnomalyError(
            f"backward: the gradient held {came} before it reached {node.op.__name__}, {place}. It came in with the "
            "call of backward, or from a hook."
        )
    raise AnomalyError(
        f"backward: the gradient of {node.op.__name__} by its operand {position + 1} holds {found}, of a finite "
        f"gradient and finite numbers; {place}. Its operands: "
        f"{'; '.join(_described(operand) for operand in node.operands)}."
    )


def where_called() -> str:
    """File, line and text of the innermost call that is not portanet's own."""
    frame: Any = sys._getframe(1)
    while frame.f_back is not None and _is_own(frame.f_code.co_filename):
        frame = frame.f_back
    path, number = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(path, number).strip()
    return f"{path}:{number} in {frame.f_code.co_name}" + (f": {text}" if text else "")


def _is_own(path: str) -> bool:
    return path.startswith(_HERE) or "portanet_" in basename(dirname(path))


def _fault(value: Any) -> str | None:
    """What is wrong with the numbers of an array or a Tensor, or None."""
    only_nan = _only_nan.get()
    if only_nan is None:  # the mode is on in another thread
        return None
    array = getattr(value, "_data", value)
    backend = backend_of(array)
    if backend is None:
        return None
    raw = backend.namespace
    if not raw.isdtype(array.dtype, ("real floating", "complex floating")):
        return None
    if bool(raw.any(raw.isnan(array))):
        return "NaN"
    if not only_nan and not bool(raw.all(raw.isfinite(array))):
        return "an infinity"
    return None


def _described(value: Any) -> str:
    array = getattr(value, "_data", value)
    backend = backend_of(array)
    if backend is None:
        return repr(value)
    raw, shape = backend.namespace, tuple(array.shape)
    if 0 in shape or not raw.isdtype(array.dtype, "real floating"):
        return f"{shape} {array.dtype}"
    return f"{shape} {array.dtype} from {float(raw.min(array)):.6g} to {float(raw.max(array)):.6g}"
