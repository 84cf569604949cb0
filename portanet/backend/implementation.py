"""How one op runs on one array library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from portanet.backend.record import Backend
from portanet.backend.registry import backend_of
from portanet.dtypes import Device, DType
from portanet.errors import DeviceError, MixedBackendError
from portanet.protocols import NativeDType, Op
from portanet.requirements import check_dtypes, looks_first, operand_names

__all__ = ["Implementation", "check_same_place"]


class Implementation:
    """How one op runs on one array library: the namespace, and the kernel or the op itself."""

    __slots__ = (
        "array_type",
        "backend",
        "conditional",
        "exact",
        "fine",
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
        self.fine: set[tuple[NativeDType, ...]] | None = set() if looks_first(op.__name__) else None
        """Combinations of data types that have been looked at, for ops that do not take all."""
        self.conditional = (
            self.several_devices
            or self.fine is not None
            or self.kernel_accepts is not None
            or self.kernel_dtypes is not None
        )
        """Whether :meth:`choose` has anything to decide."""
        self.exact = kernel is not None and kernel.exact and kernel.dtypes is None and kernel.accepts is None

    def choose(self, operands: Sequence[Any], options: Mapping[str, Any]) -> Callable[..., Any]:
        """The kernel if it accepts these operands, else the op; first check their devices and data types.

        Raises
        ------
        DeviceError, MixedBackendError
            If they are in different places.
        DTypeError
            If the op does not take one of the data types.
        """
        if self.several_devices:
            check_same_place(self.op.__name__, operands)
        if self.fine is not None:
            dtypes = tuple([getattr(operand, "dtype", None) for operand in operands])
            if dtypes not in self.fine:
                found = [self._portable(dtype) for dtype in dtypes]
                check_dtypes(self.op.__name__, operand_names(self.op), found)
                self.fine.add(dtypes)
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

    def _portable(self, dtype: NativeDType | None) -> DType | None:
        """Portanet's data type; None for a Python number's, and for one without a name, as in foreign byte order."""
        if dtype is None:
            return None
        found = self.backend.portable_dtypes.get(dtype)
        if found is None:
            spellings = (known for known, native in self.backend.native_dtypes.items() if native == dtype)
            found = next(spellings, None)
        return found


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
