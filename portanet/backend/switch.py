"""Which backend is in use: for the process, or for a block of code. Names no array library but the default."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import NamedTuple

from portanet.backend.record import GPU_FAULTS, Backend, Unavailability
from portanet.backend.registry import backend_named, known_backend_names, registry_lock
from portanet.dtypes import Device
from portanet.errors import BackendUnavailableError, DeviceError, PortanetError

__all__ = [
    "ENVIRONMENT_VARIABLE",
    "BackendFallbackWarning",
    "BackendReport",
    "available_backends",
    "default_device",
    "find_device",
    "get_backend",
    "set_backend",
    "use_backend",
]

DEFAULT_BACKEND = "numpy"
ENVIRONMENT_VARIABLE = "PORTANET_BACKEND"


class BackendFallbackWarning(UserWarning):
    """The backend that was asked for cannot run here, so the default one is used."""


class BackendReport(NamedTuple):
    """One line of :func:`available_backends`."""

    name: str
    version: str | None
    devices: tuple[Device, ...]
    unavailability: Unavailability | None
    for_tests_only: bool
    limitation: Unavailability | None = None

    @property
    def available(self) -> bool:
        """Whether ``set_backend`` would use it."""
        return self.unavailability is None


class _Selection(NamedTuple):
    backend: Backend
    device: Device | None

    def resolved_device(self) -> Device:
        return self.device or self.backend.devices()[0]


_process_selection: _Selection | None = None
_scoped_selection: ContextVar[_Selection | None] = ContextVar("portanet_backend", default=None)


def _selection() -> _Selection:
    global _process_selection
    scoped = _scoped_selection.get()
    if scoped is not None:
        return scoped
    if _process_selection is None:
        with registry_lock:
            if _process_selection is None:
                name = os.environ.get(ENVIRONMENT_VARIABLE, "").strip() or DEFAULT_BACKEND
                try:
                    _process_selection = _select(name, strict=False, stacklevel=4)
                except PortanetError as error:
                    error.add_note(f"The name comes from the environment variable {ENVIRONMENT_VARIABLE}.")
                    raise
    return _process_selection


def _select(name: str, *, strict: bool, stacklevel: int) -> _Selection:
    if not isinstance(name, str):
        raise TypeError(
            f"name: expected a backend's name such as 'numpy' or 'torch:cpu', got {type(name).__name__}."
        )
    backend_name, _, device_name = name.partition(":")
    if backend_name == "auto":
        backend = _first_accelerated(stacklevel + 1) or backend_named(DEFAULT_BACKEND)
        return _Selection(backend, _device_named(backend, device_name))
    backend = backend_named(backend_name)
    problem = backend.unavailability()
    if problem is None:
        device = _device_named(backend, device_name)
        limitation = None if device_name else backend.limitation()
        if limitation is None:
            return _Selection(backend, device)
        fallback = f"{backend_name}:{backend.devices()[0].name}"
        if strict:
            raise BackendUnavailableError(
                f"Backend {backend_name!r} reaches no accelerator here. {limitation} "
                f"Or choose the processor: set_backend({fallback!r})."
            )
        warnings.warn(
            f"Backend {backend_name!r} reaches no accelerator here, so {fallback!r} is used instead. {limitation}",
            BackendFallbackWarning,
            stacklevel=stacklevel,
        )
        return _Selection(backend, None)
    if strict:
        raise BackendUnavailableError(f"Backend {backend_name!r} cannot be used here. {problem}")
    warnings.warn(
        f"Backend {backend_name!r} cannot be used here, so {DEFAULT_BACKEND!r} is used instead. {problem}",
        BackendFallbackWarning,
        stacklevel=stacklevel,
    )
    return _Selection(backend_named(DEFAULT_BACKEND), None)


def _device_named(backend: Backend, device_name: str) -> Device | None:
    if not device_name:
        return None
    return find_device(backend, device_name)


def find_device(backend: Backend, device_name: str) -> Device:
    """One device of a backend by its name; a kind alone (``"cuda"``) means the first of it.

    Raises
    ------
    DeviceError
        If the backend has no such device on this machine.
    """
    devices = backend.devices()
    for device in devices:
        if device.name == device_name or device.name.split(":")[0] == device_name:
            return device
    names = ", ".join(device.name for device in devices)
    limitation = backend.limitation()
    raise DeviceError(
        f"device: backend {backend.name!r} has no device {device_name!r} on this machine; it has {names}."
        + (f" {limitation}" if limitation else "")
    )


def _first_accelerated(stacklevel: int) -> Backend | None:
    """The backend that ``"auto"`` means here; a GPU that is there and does not work is worth a warning."""
    candidates = []
    for name in known_backend_names():
        with suppress(BackendUnavailableError):
            candidates.append(backend_named(name))
    ranked = sorted(
        (backend for backend in candidates if backend.auto_priority is not None),
        key=lambda backend: backend.auto_priority or 0,
    )
    broken = []
    for backend in ranked:
        problem = backend.unavailability()
        if problem is None:
            if backend.devices()[0].is_accelerator:
                return backend
            problem = backend.limitation()
        if problem is not None and problem.cause in GPU_FAULTS:
            broken.append(f"{backend.name!r}: {problem}")
    if broken:
        warnings.warn(
            f"No GPU backend can be used here, so {DEFAULT_BACKEND!r} is used instead. {' '.join(broken)}",
            BackendFallbackWarning,
            stacklevel=stacklevel,
        )
    return None


def set_backend(name: str, strict: bool = False) -> Backend:
    """Choose the array library for the whole process.

    Tensors that exist already stay where they are.

    Parameters
    ----------
    name : str
        ``"numpy"``, ``"cupy"``, ``"torch"``, ``"jax"`` or another installed backend, with a device after a colon if
        wanted (``"torch:cpu"``, ``"cupy:cuda:1"``); or ``"auto"``: a GPU backend if a GPU answers, else NumPy.
    strict : bool, default False
        Raise if the backend cannot run here. Otherwise one warning says why, and the default backend is used.

    Returns
    -------
    Backend
        The backend that is now in use.

    Raises
    ------
    BackendUnavailableError
        If no backend has that name, or with ``strict`` if it cannot run here.
    DeviceError
        If the backend has no such device.

    Examples
    --------
    >>> pn.set_backend("numpy").name
    'numpy'
    """
    global _process_selection
    _process_selection = _select(name, strict=strict, stacklevel=3)
    return _process_selection.backend


@contextmanager
def use_backend(name: str | Backend, strict: bool = False) -> Iterator[Backend]:
    """Choose the array library inside a ``with`` block, for this thread or asyncio task alone.

    Parameters
    ----------
    name : str or Backend
        As in :func:`set_backend`, or a backend's record.
    strict : bool, default False
        As in :func:`set_backend`.

    Examples
    --------
    >>> with pn.use_backend("numpy") as backend:
    ...     pn.zeros((2,)).device.backend
    'numpy'
    """
    selection = (
        _Selection(name, None) if isinstance(name, Backend) else _select(name, strict=strict, stacklevel=4)
    )
    token = _scoped_selection.set(selection)
    try:
        yield selection.backend
    finally:
        _scoped_selection.reset(token)


def get_backend() -> Backend:
    """The backend in use."""
    return _selection().backend


def default_device() -> Device:
    """The device on which new arrays are made."""
    return _selection().resolved_device()


def available_backends() -> list[BackendReport]:
    """Every installed backend, with its devices or the reason why it cannot run here.

    Asking may import the libraries that are installed, which can take seconds.

    Returns
    -------
    list of BackendReport
        Each has ``name``, ``version``, ``devices``, ``unavailability`` and ``available``.

    Examples
    --------
    >>> [report.devices for report in pn.available_backends() if report.name == "numpy"]
    [(Device('numpy', 'cpu'),)]
    """
    reports = []
    for name in known_backend_names():
        try:
            backend = backend_named(name)
        except BackendUnavailableError as error:
            damage = Unavailability("damaged backend", str(error), "repair or uninstall that package.")
            reports.append(BackendReport(name, None, (), damage, False))
            continue
        problem = backend.unavailability()
        reports.append(
            BackendReport(
                name=name,
                version=backend.version(),
                devices=() if problem else backend.devices(),
                unavailability=problem,
                for_tests_only=backend.for_tests_only,
                limitation=None if problem else backend.limitation(),
            )
        )
    return reports
