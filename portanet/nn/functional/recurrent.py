"""Recurrent networks: states over whole sequences, and single steps.

``weight_ih`` and ``weight_hh`` hold the gates one below the other, in PyTorch's order.
"""

from __future__ import annotations

from typing import Any

from portanet.errors import OptionError
from portanet.functions.elementwise import add
from portanet.nn.functional.linear import linear
from portanet.ops import recurrent
from portanet.protocols import Array
from portanet.tensor import lift, unwrap

__all__ = [
    "gru_cell",
    "gru_states",
    "lstm_cell",
    "lstm_states",
    "rnn_relu_cell",
    "rnn_states",
    "rnn_tanh_cell",
]

_rnn_states = lift(recurrent.rnn_states)
lstm_states = lift(recurrent.lstm_states)
gru_states = lift(recurrent.gru_states)


def rnn_states(
    x: Array,
    h0: Array,
    weight_hh: Array,
    *,
    batch_sizes: tuple[int, ...],
    reverse: bool = False,
    nonlinearity: str = "tanh",
) -> Any:
    """States ``h' = tanh(x + h @ weight_hh.T)`` of all time steps; see :func:`portanet.ops.recurrent.rnn_states`."""
    if nonlinearity not in ("tanh", "relu"):
        raise OptionError(f"nonlinearity: expected 'tanh' or 'relu', got {nonlinearity!r}.")
    return _rnn_states(x, h0, weight_hh, batch_sizes=batch_sizes, reverse=reverse, nonlinearity=nonlinearity)


def _sum_of_biases(one: Array | None, other: Array | None) -> Any:
    if one is None or other is None:
        return other if one is None else one
    return add(one, other)


def _one_step(h: Array) -> tuple[int, ...]:
    return (unwrap(h).shape[0],)


def rnn_tanh_cell(
    input: Array,
    hx: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
) -> Any:
    """One step of an Elman network: ``tanh(input @ w_ih.T + b_ih + hx @ w_hh.T + b_hh)``.

    Parameters
    ----------
    input : Array
        Shape (batch, input_size).
    hx : Array
        Shape (batch, hidden_size), as is the result's.
    w_ih, w_hh, b_ih, b_hh : Array
        Shapes (hidden_size, input_size), (hidden_size, hidden_size) and twice (hidden_size,).
    """
    x = linear(input, w_ih, _sum_of_biases(b_ih, b_hh))
    return rnn_states(x, hx, w_hh, batch_sizes=_one_step(hx))


def rnn_relu_cell(
    input: Array,
    hx: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
) -> Any:
    """Like :func:`rnn_tanh_cell`, with ``max(x, 0)`` instead of ``tanh``."""
    x = linear(input, w_ih, _sum_of_biases(b_ih, b_hh))
    return rnn_states(x, hx, w_hh, batch_sizes=_one_step(hx), nonlinearity="relu")


def lstm_cell(
    input: Array,
    hx: tuple[Array, Array],
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
) -> tuple[Any, Any]:
    """One step of a long short-term memory: the next ``h`` and ``c``; gates in the order input, forget, cell, output.

    Parameters
    ----------
    input : Array
        Shape (batch, input_size).
    hx : tuple of two Array
        ``h`` and ``c``, each of shape (batch, hidden_size).
    w_ih, w_hh, b_ih, b_hh : Array
        Shapes (4 * hidden_size, input_size), (4 * hidden_size, hidden_size) and twice (4 * hidden_size,).
    """
    h, c = hx
    x = linear(input, w_ih, _sum_of_biases(b_ih, b_hh))
    states = lstm_states(x, h, c, w_hh, None, batch_sizes=_one_step(h))
    width = unwrap(h).shape[1]
    return states[:, :width], states[:, width:]


def gru_cell(
    input: Array,
    hx: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
) -> Any:
    """One step of gated recurrent units; gates in the order reset, update, new.

    Parameters
    ----------
    input : Array
        Shape (batch, input_size).
    hx : Array
        Shape (batch, hidden_size), as is the result's.
    w_ih, w_hh, b_ih, b_hh : Array
        Shapes (3 * hidden_size, input_size), (3 * hidden_size, hidden_size) and twice (3 * hidden_size,).
    """
    return gru_states(linear(input, w_ih, b_ih), hx, w_hh, b_hh, batch_sizes=_one_step(hx))
