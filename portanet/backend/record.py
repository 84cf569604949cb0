"""The record that each backend fills in: everything that portanet knows about one array library."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, TypeVar

from portanet.dtypes import ALL_DTYPES, Device, DType
from portanet.dtypes import bool as bool_
from portanet.errors import DTypeError, LackingFunctionError
from portanet.protocols import Array, Namespace, NativeDType

__all__ = [
    "GPU_FAULTS",
    "Backend",
    "Kernel",
    "LazyKernels",
    "MemoryFigures",
    "Unavailability",
    "first_line",
]

_Seen = TypeVar("_Seen")

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

    def is_traced(self, array: Array) -> bool:
        """Whether ``array`` stands for values that come later, as in a function that a compiler looks at."""
        return False

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
        if dtype is bool:
            dtype = bool_  # the one of Python's types that can mean only one thing
        if not isinstance(dtype, DType):
            if isinstance(dtype, str) or (isinstance(dtype, type) and dtype in (bool, int, float, complex)):
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

    def own_copies(self, arrays: Sequence[Array]) -> list[Array]:
        """Copies laid out as this backend's kernels like them best; optimizers keep parameters and state in such."""
        return [self.asarray(array, copy=True) for array in arrays]

    def pieces(self, arrays: Sequence[Array]) -> list[Array]:
        """Views that together hold all elements, cut as update rules like them best; by default the arrays themselves.

        Arrays of the same shapes are cut at the same places. Where the arrays are what :meth:`own_copies` gave,
        writing into the pieces writes into them; pieces of other arrays are only read.
        """
        return list(arrays)

    def to_host(self, array: Array) -> Any:
        """A NumPy array with the same values; it may share memory where the array lives on the host already."""
        return self.namespace.asarray(array)

    def synchronize(self, device: Device | None = None) -> None:
        """Wait until all work queued on the device is done. Nothing to wait for on a host library."""

    def memory(self, device: Device | None = None) -> MemoryFigures:
        """Memory of the device in bytes."""
        return MemoryFigures(None, None, None)

    @cached_property
    def special_functions(self) -> Mapping[str, Callable[..., Array]]:
        """The library's special functions by SciPy's names, with SciPy's order of arguments.

        They take arrays of one real floating-point data type, which their results have as well, and know nothing of
        gradients. :mod:`portanet.ops.special` and :mod:`portanet.ops.bessel` ask for them; finding them may import a
        further library.
        """
        return {}

    def special_function(self, name: str) -> Callable[..., Array]:
        """One of :attr:`special_functions`.

        Raises
        ------
        LackingFunctionError
            If the library has no such function.
        """
        function = self.special_functions.get(name)
        if function is None:
            raise LackingFunctionError(
                f"special.{name}: backend {self.name!r} has no such function. Compute it where there is one, for "
                "example of portanet.asarray(x).to('numpy')."
            )
        return function

    def random_bits(self, seed: int, stream: int, count: int, *, device: Any = None) -> Array:
        """``count`` random 32-bit words of one stream, the same on every backend, as a uint32 array on the device."""
        from portanet.philox import random_words

        return self.asarray(random_words(seed, stream, count), device=device)
