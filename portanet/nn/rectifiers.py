"""Rectifiers and other activations that are lines, at least on one side of zero, as modules."""

from __future__ import annotations

from typing import Any

from portanet.checks import check_number, whole_number
from portanet.dtypes import Device, DType
from portanet.errors import OptionError
from portanet.functions.creation import full
from portanet.nn import init
from portanet.nn.functional import rectifiers as functional
from portanet.nn.module import Module
from portanet.nn.parameter import Parameter
from portanet.protocols import Array
from portanet.random import Generator

__all__ = [
    "CELU",
    "ELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "PReLU",
    "RReLU",
    "ReLU6",
    "SELU",
    "Softshrink",
    "Threshold",
]


class _Rectifier(Module):
    """Keeps ``inplace`` for the signature's sake: arrays are never changed in place."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def _options(self) -> list[str]:
        return []

    def extra_repr(self) -> str:
        """The options, and ``inplace`` where it was asked for."""
        return ", ".join(self._options() + ["inplace=True"] * bool(self.inplace))


class Hardtanh(_Rectifier):
    """``x`` limited to the range from ``min_val`` to ``max_val``.

    Parameters
    ----------
    min_val, max_val : float, default -1 and 1
        The ends of the range.
    inplace : bool
        No effect.
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        if not min_val < max_val:
            raise OptionError(
                f"max_val: {type(self).__name__} expects more than min_val={min_val}, got {max_val}."
            )
        self.min_val = min_val
        self.max_val = max_val

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.hardtanh(x, self.min_val, self.max_val)

    def _options(self) -> list[str]:
        return [f"min_val={self.min_val}", f"max_val={self.max_val}"]


class ReLU6(Hardtanh):
    """``min(max(x, 0), 6)``."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def _options(self) -> list[str]:
        return []


class LeakyReLU(_Rectifier):
    """``x`` if positive, else ``negative_slope * x``.

    Parameters
    ----------
    negative_slope : float, default 0.01
        The slope below 0.
    inplace : bool
        No effect.
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        check_number("negative_slope", negative_slope)
        self.negative_slope = negative_slope

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.leaky_relu(x, self.negative_slope)

    def _options(self) -> list[str]:
        return [f"negative_slope={self.negative_slope}"]


class PReLU(Module):
    """``x`` if positive, else ``weight * x``, see :func:`portanet.nn.functional.prelu`.

    Parameters
    ----------
    num_parameters : int, default 1
        1, one slope for all; or the number of channels on axis 1, one slope for each. Weight decay draws slopes to 0.
    init : float, default 0.25
        The slopes' first value.
    device, dtype
        Of the slopes.

    Attributes
    ----------
    weight : Parameter
        Shape (num_parameters,).
    """

    weight: Parameter

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        self.num_parameters = whole_number("num_parameters", num_parameters, low=1)
        check_number("init", init)
        self.init = init
        self.weight = Parameter(full((self.num_parameters,), float(init), dtype=dtype, device=device))

    def reset_parameters(self) -> None:
        """Set the slopes to their first value."""
        init.constant_(self.weight, self.init)

    def forward(self, x: Array) -> Any:
        """Any shape; with several slopes (batch, channels, ...). The output has the same."""
        return functional.prelu(x, self.weight)

    def extra_repr(self) -> str:
        """How many slopes there are."""
        return f"num_parameters={self.num_parameters}"


class RReLU(_Rectifier):
    """Leaky rectifier with random slopes in training, see :func:`portanet.nn.functional.rrelu`.

    Parameters
    ----------
    lower, upper : float, default 1/8 and 1/3
        The range of slopes; in evaluation mode the slope is their mean.
    inplace : bool
        No effect.
    generator : Generator, optional
        Default: the one that :func:`portanet.manual_seed` seeds.
    """

    def __init__(
        self,
        lower: float = 1.0 / 8,
        upper: float = 1.0 / 3,
        inplace: bool = False,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(inplace)
        check_number("lower", lower)
        check_number("upper", upper)
        if lower > upper:
            raise OptionError(f"upper: RReLU expects at least lower={lower}, got {upper}.")
        self.lower = lower
        self.upper = upper
        self.generator = generator

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.rrelu(x, self.lower, self.upper, self.training, generator=self.generator)

    def _options(self) -> list[str]:
        return [f"lower={self.lower}", f"upper={self.upper}"]


class ELU(_Rectifier):
    """Exponential linear unit: ``x`` if positive, else ``alpha * (exp(x) - 1)``.

    Parameters
    ----------
    alpha : float, default 1
        What it tends to for small ``x``, with the opposite sign.
    inplace : bool
        No effect.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        check_number("alpha", alpha)
        self.alpha = alpha

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.elu(x, self.alpha)

    def _options(self) -> list[str]:
        return [f"alpha={self.alpha}"]


class CELU(ELU):
    """``x`` if positive, else ``alpha * (exp(x / alpha) - 1)``, smooth for every ``alpha``.

    Parameters
    ----------
    alpha : float, default 1
        What it tends to for small ``x``, with the opposite sign; not 0.
    inplace : bool
        No effect.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(alpha, inplace)
        if alpha == 0:
            raise OptionError("alpha: CELU divides by it, so it must not be 0. Use ReLU, which is the limit.")

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.celu(x, self.alpha)


class SELU(_Rectifier):
    """:class:`ELU` with the two constants that keep mean and variance from layer to layer (Klambauer et al., 2017)."""

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.selu(x)


class Threshold(_Rectifier):
    """``x`` above the threshold, ``value`` elsewhere.

    Parameters
    ----------
    threshold, value : float
        The bound, and what stands for all that does not pass it.
    inplace : bool
        No effect.
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.threshold = threshold
        self.value = value

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.threshold(x, self.threshold, self.value)

    def _options(self) -> list[str]:
        return [f"threshold={self.threshold}", f"value={self.value}"]


class Hardsigmoid(_Rectifier):
    """``x / 6 + 1 / 2``, limited to the range from 0 to 1."""

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.hardsigmoid(x)

    def extra_repr(self) -> str:
        """Nothing, as in PyTorch."""
        return ""


class Hardswish(_Rectifier):
    """``x`` times :class:`Hardsigmoid` of it."""

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.hardswish(x)

    def extra_repr(self) -> str:
        """Nothing, as in PyTorch."""
        return ""


class Hardshrink(Module):
    """``x``, but 0 from ``-lambd`` to ``lambd``.

    Parameters
    ----------
    lambd : float, default 0.5
        Half the width of what becomes 0.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.hardshrink(x, self.lambd)

    def extra_repr(self) -> str:
        """The bound."""
        return str(self.lambd)


class Softshrink(Hardshrink):
    """``x`` moved towards 0 by ``lambd``, and 0 where that would pass it.

    Parameters
    ----------
    lambd : float, default 0.5
        How far, not negative.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        check_number("lambd", lambd, low=0.0)
        super().__init__(lambd)

    def forward(self, x: Array) -> Any:
        """Any shape; the output has the same."""
        return functional.softshrink(x, self.lambd)
