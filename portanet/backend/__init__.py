"""Backends: what one is, how one is found, which one is in use, and how an op runs on it."""

from __future__ import annotations

from portanet.backend.implementation import Implementation, check_same_place
from portanet.backend.record import (
    Backend,
    Kernel,
    LazyKernels,
    MemoryFigures,
    Unavailability,
    first_line,
)
from portanet.backend.registry import (
    backend_named,
    backend_of,
    forget_probes,
    known_backend_names,
    register_backend,
    require_backend_of,
)
from portanet.backend.switch import (
    BackendFallbackWarning,
    BackendReport,
    available_backends,
    default_device,
    find_device,
    get_backend,
    set_backend,
    use_backend,
)

__all__ = [
    "Backend",
    "BackendFallbackWarning",
    "BackendReport",
    "Implementation",
    "Kernel",
    "LazyKernels",
    "MemoryFigures",
    "Unavailability",
    "available_backends",
    "backend_named",
    "backend_of",
    "check_same_place",
    "default_device",
    "find_device",
    "first_line",
    "forget_probes",
    "get_backend",
    "known_backend_names",
    "register_backend",
    "require_backend_of",
    "set_backend",
    "use_backend",
]
