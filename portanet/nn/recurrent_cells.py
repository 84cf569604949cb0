"""Single steps of recurrent layers."""

from __future__ import annotations

from math import sqrt
from typing import Any, cast

from portanet.backend import require_backend_of
from portanet.checks import whole_number
from portanet.dtypes import Device, DType
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.functions.manipulation import reshape, squeeze
from portanet.nn import init
from portanet.nn.functional import recurrent as functional
from portanet.nn.functional.beside import full_beside
from portanet.nn.module import Module
from portanet.nn.parameter import Parameter
from portanet.protocols import Array
from portanet.random import uniform
from portanet.tensor import unwrap

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase", "check_nonlinearity", "check_state"]


def check_nonlinearity(nonlinearity: str) -> None:
    """Raise unless it is one of those that there are."""
    if nonlinearity not in ("tanh", "relu"):
        raise OptionError(f"nonlinearity: expected 'tanh' or 'relu', got {nonlinearity!r}.")


def check_state(layer: str, name: str, state: Array, input: Array) -> None:
    """Raise unless a state has the data type of the input."""
    array, its = unwrap(state), unwrap(input)
    found, wanted = (require_backend_of(x, "hx").dtype_of(x) for x in (array, its))
    if found != wanted:
        raise DTypeError(
            f"hx: {layer} expects {name} in the input's data type {wanted.name}, got {found.name}. Convert it with "
            f"portanet.astype({name}, portanet.{wanted.name})."
        )


class RNNCellBase(Module):
    """What the single steps share: two weights, two biases, and their sizes. A subclass defines ``forward``.

    Parameters
    ----------
    input_size, hidden_size : int
        Length of the last axis of the input, and of the state.
    bias : bool
        Whether there are biases.
    num_chunks : int
        How many gates, or other parts, the rows of the parameters are for.
    device, dtype
        Of the parameters.

    Attributes
    ----------
    weight_ih, weight_hh : Parameter
        Shapes (num_chunks * hidden_size, input_size) and (num_chunks * hidden_size, hidden_size).
    bias_ih, bias_hh : Parameter or None
        Shape (num_chunks * hidden_size,).
    """

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        self.input_size = whole_number("input_size", input_size, low=1)
        self.hidden_size = hidden_size = whole_number("hidden_size", hidden_size, low=1)
        self.bias = bias
        bound = 1 / sqrt(hidden_size)
        rows = whole_number("num_chunks", num_chunks, low=1) * hidden_size

        def drawn(*shape: int) -> Parameter:
            return Parameter(uniform(shape, -bound, bound, dtype=dtype, device=device))

        self.weight_ih = drawn(rows, input_size)
        self.weight_hh = drawn(rows, hidden_size)
        self.bias_ih = drawn(rows) if bias else None
        self.bias_hh = drawn(rows) if bias else None

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = 1 / sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _admit(self, input: Any, hx: Any, count: int = 1) -> tuple[Any, list[Any], bool]:
        """Input and states, so many of them, with an axis of the batch, and whether they had it."""
        shape = tuple(unwrap(input).shape)
        require_backend_of(unwrap(input), "input")
        name = type(self).__name__
        if len(shape) not in (1, 2) or shape[-1] != self.input_size:
            raise ShapeError(
                f"input: {name} expects shape (batch, {self.input_size}) or ({self.input_size},), got {shape}."
            )
        batched = len(shape) == 2
        rows = input if batched else reshape(input, (1, self.input_size))
        wanted = (*shape[:-1], self.hidden_size)
        if hx is None:
            given = [full_beside(input, wanted, 0.0) for _ in range(count)]
        else:
            given = [hx] if count == 1 else list(hx)
        if len(given) != count:
            raise ShapeError(f"hx: {name} expects h_0 and c_0, got {len(given)} arrays.")
        for state in given:
            if tuple(unwrap(state).shape) != wanted:
                raise ShapeError(
                    f"hx: {name} expects states of shape {wanted}, got {tuple(unwrap(state).shape)}."
                )
            check_state(name, "h_0" if state is given[0] else "c_0", state, input)
        return rows, [s if batched else reshape(s, (1, self.hidden_size)) for s in given], batched

    def extra_repr(self) -> str:
        """Sizes, and whether a bias is missing."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else f", bias={self.bias}")


class RNNCell(RNNCellBase):
    """One step of :class:`RNN`.

    Parameters
    ----------
    input_size, hidden_size : int
        Length of the last axis of the input, and of the state.
    bias : bool, default True
        Whether there are biases.
    nonlinearity : str
        ``"tanh"`` or ``"relu"``.
    device, dtype
        Of the parameters.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        check_nonlinearity(nonlinearity)
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Array, hx: Array | None = None) -> Any:
        """The next state of shape (batch, hidden_size), or (hidden_size,) for an input without a batch."""
        rows, (h,), batched = self._admit(input, hx)
        cell = functional.rnn_tanh_cell if self.nonlinearity == "tanh" else functional.rnn_relu_cell
        h = cell(rows, h, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return h if batched else squeeze(h, 0)

    def extra_repr(self) -> str:
        """Sizes, and the options that are not the default."""
        other = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + other


class LSTMCell(RNNCellBase):
    """One step of :class:`LSTM`.

    Parameters
    ----------
    input_size, hidden_size, bias, device, dtype
        As for :class:`RNNCell`.

    Examples
    --------
    >>> cell = pn.nn.LSTMCell(3, 4)
    >>> h, c = cell(pn.zeros((2, 3)))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Array, hx: tuple[Array, Array] | None = None) -> tuple[Any, Any]:
        """The next ``h`` and ``c`` of shape (batch, hidden_size), or (hidden_size,) for an input without a batch."""
        rows, states, batched = self._admit(input, hx, 2)
        pair = cast("tuple[Array, Array]", tuple(states))
        h, c = functional.lstm_cell(rows, pair, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return (h, c) if batched else (squeeze(h, 0), squeeze(c, 0))


class GRUCell(RNNCellBase):
    """One step of :class:`GRU`.

    Parameters
    ----------
    input_size, hidden_size, bias, device, dtype
        As for :class:`RNNCell`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Array, hx: Array | None = None) -> Any:
        """The next state of shape (batch, hidden_size), or (hidden_size,) for an input without a batch."""
        rows, (h,), batched = self._admit(input, hx)
        h = functional.gru_cell(rows, h, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return h if batched else squeeze(h, 0)
