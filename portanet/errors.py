"""Every error that portanet raises on purpose.

Each is also the builtin that a Python programmer would expect, so ``except ValueError`` keeps working. The
message names the argument, what was expected, what came, and the call that mends it.
"""

from __future__ import annotations

__all__ = [
    "AnomalyError",
    "AxisError",
    "BackendUnavailableError",
    "CheckpointError",
    "ConformanceError",
    "DTypeError",
    "DataError",
    "DeviceError",
    "ExportError",
    "GradcheckError",
    "GradientError",
    "GraphFreedError",
    "LackingFunctionError",
    "MixedBackendError",
    "OptionError",
    "OverwrittenError",
    "PortanetError",
    "ShapeError",
    "StateDictError",
    "WorkerError",
]


class PortanetError(Exception):
    """The common ancestor of portanet's errors."""


class BackendUnavailableError(PortanetError, RuntimeError):
    """The backend that was asked for does not exist or cannot run on this machine."""


class LackingFunctionError(BackendUnavailableError):
    """The backend's library lacks a function, such as a special function."""


class MixedBackendError(PortanetError, TypeError):
    """One operation was given arrays of two array libraries."""


class DeviceError(PortanetError, ValueError):
    """One operation was given arrays on two devices, or a device does not exist."""


class DTypeError(PortanetError, TypeError):
    """An argument has a data type that the operation does not take."""


class ShapeError(PortanetError, ValueError):
    """An argument has a shape that the operation does not take."""


class AxisError(ShapeError, IndexError):
    """An axis is named that the array does not have, or is named twice."""


class OptionError(PortanetError, ValueError):
    """An option has a value outside its domain, such as a negative learning rate."""


class GradientError(PortanetError, RuntimeError):
    """A gradient was asked for where there is none."""


class GraphFreedError(GradientError):
    """A second backward pass reached a part of the graph that the first one has freed."""


class OverwrittenError(GradientError):
    """An array that the backward pass needs was overwritten after the forward pass."""


class AnomalyError(PortanetError, FloatingPointError):
    """An op made a NaN or an infinity in anomaly mode."""


class GradcheckError(PortanetError, AssertionError):
    """A gradient rule disagrees with finite differences."""


class ConformanceError(PortanetError, AssertionError):
    """A backend does not do what every backend must."""


class StateDictError(PortanetError, ValueError):
    """A state dict does not fit the module or the optimizer that it was given to."""


class CheckpointError(PortanetError, ValueError):
    """A weights file is damaged, or is not a weights file."""


class DataError(PortanetError, ValueError):
    """A dataset or a batch is empty, inconsistent or out of range."""


class ExportError(PortanetError, NotImplementedError):
    """A model has a part that the file format cannot hold, or that depends on more than the inputs' values."""


class WorkerError(PortanetError, RuntimeError):
    """A worker of a loader was killed, gave no batch in time, or cannot be started."""
