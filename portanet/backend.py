"""Backends: what one is, how one is found, and which one is in use.

A backend is everything that portanet knows about one array library. This file holds the record that each backend fills
in (:class:`Backend`), the registry that finds them (entry points in the group ``portanet.backends``), and the switch
(:func:`set_backend`, :func:`use_backend`). It names no array library except the default.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, ClassVar, NamedTuple, TypeVar

from portanet.dtypes import ALL_DTYPES, Device, DType
from portanet.errors import (
    BackendUnavailableError,
    DeviceError,
    DTypeError,
    MixedBackendError,
    PortanetError,
)
from portanet.protocols import Array, Namespace, NativeDType, Op

__all__ = [
    "Backend",
    "BackendFallbackWarning",
    "BackendReport",
    "Kernel",
    "LazyKernels",
    "MemoryFigures",
    "Unavailability",
    "available_backends",
    "backend_named",
    "backend_of",
    "default_device",
    "first_line",
    "forget_probes",
    "get_backend",
    "known_backend_names",
    "set_backend",
    "use_backend",
]

DEFAULT_BACKEND = "numpy"
ENVIRONMENT_VARIABLE = "PORTANET_BACKEND"
ENTRY_POINT_GROUP = "portanet.backends"

_Seen = TypeVar("_Seen")


class BackendFallbackWarning(UserWarning):
    """The backend that was asked for cannot run here, so the default one is used."""


GPU_FAULTS = ("driver too old", "broken GPU stack", "GPU memory full")
"""Causes that say: there is a GPU, and it could be used once something is mended."""


class Unavailability(NamedTuple):
    """Why a backend cannot run on this machine, and what mends it."""

    cause: str
    """In a few words: ``"library not installed"``, ``"damaged library"``, ``"no GPU"``, one of :data:`GPU_FAULTS`."""
    detail: str
    """What was seen, in one sentence."""
    remedy: str
    """The command or the step that mends it."""

    def __str__(self) -> str:
        return f"{self.cause}: {self.detail} To mend it: {self.remedy}"


def first_line(error: BaseException) -> str:
    r"""What an error says, in one line: its type, and the first line of its message that is more than decoration.

    Of an error raised from another one the original counts, for libraries frame it in pages of advice.

    Examples
    --------
    >>> from portanet.backend import first_line
    >>> first_line(OSError("libcublas.so.13: cannot open shared object file\nsecond line"))
    'OSError: libcublas.so.13: cannot open shared object file'
    """
    while error.__cause__ is not None:
        error = error.__cause__
    lines = (line.strip() for line in str(error).splitlines())
    said = next((line for line in lines if any(character.isalnum() for character in line)), "")
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


class MemoryFigures(NamedTuple):
    """Memory of one device in bytes; None where the library cannot tell."""

    in_use: int | None
    peak: int | None
    total: int | None


@dataclass(frozen=True, slots=True)
class Kernel:
    """A faster function for one op, with the op's own signature and contract.

    Parameters
    ----------
    function : callable
        ``function(xp, *operands, **options)`` returning the result and one vjp per array operand, as the op does.
    dtypes : frozenset of str, optional
        Names of the data types that every array operand may have; None for all.
    accepts : callable, optional
        ``accepts(*operands, **options) -> bool``: a further condition, such as a layout. Where it is False the op runs.
    exact : bool, default False
        A promise that each gradient has its operand's own shape and data type, so that nobody need look. Holds for
        kernels without conditions only.
    """

    function: Callable[..., Any]
    dtypes: frozenset[str] | None = None
    accepts: Callable[..., bool] | None = None
    exact: bool = False


class LazyKernels(Mapping[str, Kernel]):
    """A kernel table in a module of its own, which imports the array library and so is loaded when first looked into.

    Parameters
    ----------
    module : str
        The module that holds the table under the name ``KERNELS``.
    """

    def __init__(self, module: str) -> None:
        self._module = module

    @cached_property
    def _table(self) -> Mapping[str, Kernel]:
        import importlib

        table: Mapping[str, Kernel] = importlib.import_module(self._module).KERNELS
        return table

    def __getitem__(self, op_name: str) -> Kernel:
        return self._table[op_name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


@dataclass(eq=False)
class Backend:
    """Everything about one array library. A backend package subclasses this and exposes one instance.

    The methods here are written against the standard; a backend overrides those where its library has a better way.
    Creating the record must not import the library: only :attr:`namespace` does.
    """

    name: str
    """The name that ``set_backend`` takes."""
    library: str
    """The module that has to be importable."""
    kernels: Mapping[str, Kernel] = field(default_factory=dict)
    """Faster functions by the name of the op that each replaces."""

    writable: ClassVar[bool] = True
    """Whether optimizers may write into arrays in place."""
    auto_priority: ClassVar[int | None] = None
    """Rank among the backends that ``"auto"`` tries for a GPU, the lowest first; None: not tried."""
    for_tests_only: ClassVar[bool] = False
    """Whether this backend exists to prove conformance, not to be fast."""

    def __repr__(self) -> str:
        return f"<portanet backend {self.name!r}>"

    @cached_property
    def namespace(self) -> Namespace:
        """The library's array API namespace. Importing it is what loads the library."""
        return self.import_namespace()

    def import_namespace(self) -> Namespace:
        """Import the library and return its namespace."""
        import importlib

        return importlib.import_module(self.library)

    def array_types(self) -> tuple[type, ...]:
        """The types whose instances are this library's arrays; called only once the library is loaded."""
        raise NotImplementedError(f"backend {self.name!r} must define array_types()")

    def owns(self, array: Any) -> bool:
        """Whether ``array`` belongs to this library. Must not import it: an array's library is loaded already."""
        return self.library in sys.modules and isinstance(array, self.array_types())

    def unavailability(self) -> Unavailability | None:
        """Why this backend cannot run here, or None if it can."""
        return self.missing_library() or self.damaged_library()

    def limitation(self) -> Unavailability | None:
        """Why an accelerator that the library lists is not among :meth:`devices`, or None.

        The backend still runs, on the devices that do answer.
        """
        return None

    def missing_library(self, install: str | None = None) -> Unavailability | None:
        """The report for a library that is not installed, or None. ``install`` is the command that brings it."""
        import importlib.util

        if self.library in sys.modules:
            found = sys.modules[self.library] is not None
        else:
            found = importlib.util.find_spec(self.library) is not None
        if found:
            return None
        command = install or f"pip install {self.library.replace('_', '-')}"
        return Unavailability(
            "library not installed", f"Python finds no module named {self.library!r}.", command
        )

    def damaged_library(self, repair: str | None = None) -> Unavailability | None:
        """The report for a library that is installed and fails on import, or None. ``repair`` is what mends it."""
        error = self.probe("import", self._import_error)
        if error is None:
            return None
        command = repair or f"pip install --force-reinstall {self.library.replace('_', '-')}"
        return Unavailability("damaged library", f"Importing {self.library!r} failed with {error}.", command)

    def _import_error(self) -> str | None:
        try:
            _ = self.namespace
        except Exception as error:
            return first_line(error)
        return None

    def probe(self, question: str, ask: Callable[[], _Seen]) -> _Seen:
        """The answer to a slow question about this machine, asked once and then remembered.

        Parameters
        ----------
        question : str
            What the answer is remembered under.
        ask : callable
            Finds the answer.
        """
        answers: dict[str, _Seen] = self.__dict__.setdefault("_answers", {})
        if question not in answers:
            answers[question] = ask()
        return answers[question]

    def forget_probes(self) -> None:
        """Ask the machine again next time, for example once a driver has been mended."""
        for remembered in ("_answers", "namespace", "native_dtypes", "portable_dtypes"):
            self.__dict__.pop(remembered, None)

    def version(self) -> str | None:
        """The version of the installed library, or None."""
        if self.missing_library() is not None or self.damaged_library() is not None:
            return None
        import importlib

        return str(importlib.import_module(self.library).__version__)

    def devices(self) -> tuple[Device, ...]:
        """The devices of this machine that the library reaches, the default one first."""
        return (Device(self.name, "cpu"),)

    def native_device(self, device: Device) -> Any:
        """What the library takes for its ``device=`` argument."""
        return device.name

    def device_of(self, array: Array) -> Device:
        """Where an array lives."""
        return Device(self.name, str(array.device))

    def readable(self, array: Array) -> bool:
        """Whether reading values of ``array`` on the host is free: no copy, no wait, no tracing."""
        return True

    @cached_property
    def native_dtypes(self) -> dict[DType, NativeDType]:
        """The library's data type for each of portanet's that it has."""
        xp = self.namespace
        return {dtype: getattr(xp, dtype.name) for dtype in ALL_DTYPES if hasattr(xp, dtype.name)}

    @cached_property
    def portable_dtypes(self) -> dict[NativeDType, DType]:
        """Portanet's data type for each of the library's; grows as spellings of the same type are met."""
        return {native: dtype for dtype, native in self.native_dtypes.items()}

    def native_dtype(self, dtype: DType | NativeDType) -> NativeDType:
        """The library's data type; one that is the library's already passes through."""
        if not isinstance(dtype, DType):
            if isinstance(dtype, (str, type)) and dtype in (bool, int, float, complex, "float", "int"):
                raise DTypeError(
                    f"dtype: expected a portanet data type such as portanet.float32, got {dtype!r}."
                )
            return dtype
        try:
            return self.native_dtypes[dtype]
        except KeyError:
            names = ", ".join(sorted(known.name for known in self.native_dtypes))
            raise DTypeError(
                f"dtype: backend {self.name!r} has no {dtype.name}; it has {names}. "
                "Choose one of these or another backend."
            ) from None

    def dtype_of(self, array: Array) -> DType:
        """Portanet's data type of an array."""
        native = array.dtype
        found = self.portable_dtypes.get(native)
        if found is None:
            for dtype, candidate in self.native_dtypes.items():
                if native == candidate:
                    self.portable_dtypes[native] = dtype
                    return dtype
            raise DTypeError(
                f"An array of backend {self.name!r} has the data type {native!r}, which portanet does not know. "
                "Convert it first, for example to float32."
            )
        return found

    def asarray(
        self, value: Any, *, dtype: NativeDType = None, device: Any = None, copy: bool | None = None
    ) -> Array:
        """Make an array of this library from Python numbers, a NumPy array, or an array of this library."""
        return self.namespace.asarray(value, dtype=dtype, device=device, copy=copy)

    def to_host(self, array: Array) -> Any:
        """A NumPy array with the same values; it may share memory where the array lives on the host already."""
        return self.namespace.asarray(array)

    def synchronize(self, device: Device | None = None) -> None:
        """Wait until all work queued on the device is done. Nothing to wait for on a host library."""

    def memory(self, device: Device | None = None) -> MemoryFigures:
        """Memory of the device in bytes."""
        return MemoryFigures(None, None, None)

    def random_bits(self, seed: int, stream: int, count: int, *, device: Any = None) -> Array:
        """``count`` random 32-bit words of one stream, the same on every backend, as a uint32 array on the device."""
        from portanet.philox import random_words

        return self.asarray(random_words(seed, stream, count), device=device)


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


# --- the registry ---------------------------------------------------------------------------------------------------

_loaded: dict[str, Backend] = {}
_by_type: dict[type, Backend] = {}
_NEVER_ARRAYS = frozenset({type(None), bool, int, float, complex, str, list, tuple, dict})
_registry_lock = threading.RLock()
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
    with _registry_lock:
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


# --- the switch -----------------------------------------------------------------------------------------------------


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
        with _registry_lock:
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


@contextmanager
def place_new_arrays(device: Device) -> Iterator[None]:
    """Make creation functions put their arrays on ``device`` inside a ``with`` block."""
    token = _scoped_selection.set(_Selection(backend_named(device.backend), device))
    try:
        yield
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


# --- what an op needs to know ---------------------------------------------------------------------------------------


class Implementation:
    """How one op runs on one array library: the namespace, and the kernel or the op itself."""

    __slots__ = (
        "array_type",
        "backend",
        "conditional",
        "exact",
        "function",
        "kernel_accepts",
        "kernel_dtypes",
        "op",
        "several_devices",
        "xp",
    )

    def __init__(self, op: Op, backend: Backend) -> None:
        kernel = backend.kernels.get(op.__name__)
        self.op = op
        self.backend = backend
        self.xp = backend.namespace
        self.array_type = backend.array_types()[0]
        self.several_devices = len(backend.devices()) > 1
        self.function: Callable[..., Any] = op if kernel is None else kernel.function
        self.kernel_accepts = None if kernel is None else kernel.accepts
        self.kernel_dtypes: dict[NativeDType, bool] | None = None
        if kernel is not None and kernel.dtypes is not None:
            self.kernel_dtypes = {
                native: dtype.name in kernel.dtypes for dtype, native in backend.native_dtypes.items()
            }
        self.conditional = (
            self.several_devices or self.kernel_accepts is not None or self.kernel_dtypes is not None
        )
        """Whether :meth:`choose` has anything to decide."""
        self.exact = kernel is not None and kernel.exact and kernel.dtypes is None and kernel.accepts is None

    def choose(self, operands: Sequence[Any], options: Mapping[str, Any]) -> Callable[..., Any]:
        """The kernel if it accepts these operands, else the op; first check that they are on one device."""
        if self.several_devices:
            check_same_place(self.op.__name__, operands)
        known = self.kernel_dtypes
        if known is not None:
            for operand in operands:
                if operand is None:
                    continue
                try:
                    good = known[operand.dtype]
                except KeyError:  # another spelling of a type, such as NumPy's dtype("float32") for float32
                    native = operand.dtype
                    good = known[native] = any(native == other and fits for other, fits in known.items())
                except AttributeError:  # a Python number
                    continue
                if not good:
                    return self.op
        if self.kernel_accepts is not None and not self.kernel_accepts(*operands, **options):
            return self.op
        return self.function


def check_same_place(op_name: str, operands: Sequence[Any]) -> None:
    """Raise if arrays of two libraries or of two devices meet in one op.

    Raises
    ------
    MixedBackendError
        For two array libraries.
    DeviceError
        For two devices of one library.
    """
    first: tuple[int, Device] | None = None
    for position, operand in enumerate(operands):
        backend = backend_of(operand)
        if backend is None:
            continue
        place = backend.device_of(operand)
        if first is None:
            first = (position, place)
        elif place != first[1]:
            here, there = first[1], place
            error = MixedBackendError if here.backend != there.backend else DeviceError
            raise error(
                f"{op_name}: operand {first[0] + 1} is on {here} and operand {position + 1} is on {there}. "
                f"Bring them together first, for example with portanet.asarray(x).to({str(here)!r})."
            )
