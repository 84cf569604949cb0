"""How backends are found: by name, through entry points, and by the arrays that belong to them."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

from portanet.backend.record import Backend, first_line
from portanet.errors import BackendUnavailableError, DTypeError, OptionError

__all__ = [
    "backend_named",
    "backend_of",
    "forget_probes",
    "known_backend_names",
    "register_backend",
    "registry_lock",
    "require_backend_of",
]

ENTRY_POINT_GROUP = "portanet.backends"

_loaded: dict[str, Backend] = {}
_by_type: dict[type, Backend] = {}
registry_lock = threading.RLock()
_NEVER_ARRAYS = frozenset((bool, int, float, complex, str, bytes, list, tuple, dict, slice, type(None)))


@cache
def _entry_points() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def forget_probes() -> None:
    """Forget what was found out about this machine and its packages, so that the next question asks again."""
    _entry_points.cache_clear()
    for backend in _loaded.values():
        backend.forget_probes()


def known_backend_names() -> list[str]:
    """Names of all installed backends, whether their library is there or not."""
    return sorted(_entry_points() | _loaded)


def register_backend(backend: Backend) -> Backend:
    """Make a backend known in this process; what an entry point does for an installed package.

    Parameters
    ----------
    backend : Backend
        The record.

    Returns
    -------
    Backend
        The same.

    Raises
    ------
    OptionError
        If another backend has that name.
    """
    with registry_lock:
        taken = _loaded.get(backend.name)
        if taken is not backend and backend.name in known_backend_names():
            raise OptionError(
                f"register_backend: there is a backend called {backend.name!r} already. Give this one another name."
            )
        _loaded[backend.name] = backend
    return backend


def backend_named(name: str) -> Backend:
    """Load a backend's record by name.

    Raises
    ------
    BackendUnavailableError
        If no installed package offers a backend of that name, or the package that does is damaged.
    """
    found = _loaded.get(name)
    if found is not None:
        return found
    with registry_lock:
        if name not in _loaded:
            point = _entry_points().get(name)
            if point is None:
                raise BackendUnavailableError(_unknown_name(name))
            try:
                _loaded[name] = point.load()
            except Exception as error:
                raise BackendUnavailableError(
                    f"Backend {name!r} cannot be loaded from {point.value!r}: {first_line(error)}. "
                    "Repair or uninstall the package that offers it."
                ) from error
        return _loaded[name]


def _unknown_name(name: str) -> str:
    names = known_backend_names()
    import difflib

    close = difflib.get_close_matches(name, [*names, "auto"], n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    if not names:
        hint = " Portanet is not installed as a package: run `pip install -e .` in its folder."
    return f"name: no backend is called {name!r}; known are {', '.join([*names, 'auto'])}.{hint}"


def backend_of(array: Any) -> Backend | None:
    """The backend that an array belongs to, or None if it is no array that any backend knows."""
    kind = type(array)
    found = _by_type.get(kind)
    if found is None and kind not in _NEVER_ARRAYS:
        for name in [*_loaded, *(name for name in known_backend_names() if name not in _loaded)]:
            try:
                backend = backend_named(name)
            except BackendUnavailableError:
                continue  # a stranger's damaged package is no reason why an array of another library is not recognised
            if backend.owns(array):
                _by_type[kind] = backend
                return backend
    return found


def require_backend_of(array: Any, argument: str) -> Backend:
    """The backend that an array belongs to.

    Raises
    ------
    TypeError
        If ``array`` is no array of a known library.
    """
    found = backend_of(array)
    if found is None:
        raise DTypeError(
            f"{argument}: expected a Tensor or an array of a known library, got {type(array).__name__}. "
            "Convert it with portanet.asarray(...)."
        )
    return found
