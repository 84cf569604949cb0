"""Recurrent layers.

Parameters have PyTorch's names: ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``, ``bias_hh_l0``, with a projection
``weight_hr_l0``; of the layer above ``..._l1``; of the direction from the end ``..._l0_reverse``.
"""

from __future__ import annotations

import warnings
from itertools import accumulate
from math import sqrt
from typing import Any

from portanet.backend import require_backend_of
from portanet.checks import check_number, whole_number
from portanet.dtypes import Device, DType
from portanet.errors import OptionError, ShapeError
from portanet.functions.indexing import take
from portanet.functions.manipulation import concat, moveaxis, reshape, squeeze, stack
from portanet.nn import init
from portanet.nn.functional import recurrent as functional
from portanet.nn.functional.beside import full_beside
from portanet.nn.functional.dropout import dropout
from portanet.nn.functional.linear import linear
from portanet.nn.module import Module
from portanet.nn.parameter import Parameter
from portanet.nn.recurrent_cells import check_nonlinearity, check_state
from portanet.nn.utils.rnn import PackedSequence, indices_beside, whole_numbers
from portanet.protocols import Array
from portanet.random import uniform
from portanet.tensor import unwrap

__all__ = ["GRU", "LSTM", "RNN", "RNNBase"]

_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}


class RNNBase(Module):
    """What the recurrent layers share: parameters, layers over layers, both directions, packed sequences.

    It holds parameters and options; :class:`RNN`, :class:`LSTM` and :class:`GRU` add the recurrence itself.

    Parameters
    ----------
    mode : str
        ``"RNN_TANH"``, ``"RNN_RELU"``, ``"GRU"`` or ``"LSTM"``, which decides how many gates the parameters are for.
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype
        As for :class:`LSTM`.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        if mode not in _GATES:
            raise OptionError(f"mode: expected one of {', '.join(map(repr, _GATES))}, got {mode!r}.")
        self.mode = mode
        self.input_size = whole_number("input_size", input_size, low=1)
        self.hidden_size = hidden_size = whole_number("hidden_size", hidden_size, low=1)
        self.num_layers = num_layers = whole_number("num_layers", num_layers, low=1)
        self.bias = bias
        self.batch_first = batch_first
        check_number("dropout", dropout, low=0.0, high=1.0)
        if dropout and num_layers == 1:
            warnings.warn(
                f"{type(self).__name__}: dropout={dropout} acts between layers, and with num_layers=1 there is no "
                "place for it.",
                stacklevel=3,
            )
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size = whole_number("proj_size", proj_size, low=0)
        if proj_size >= hidden_size:
            raise OptionError(
                f"proj_size: expected a whole number below hidden_size={hidden_size}, or 0 for no projection, "
                f"got {proj_size}."
            )
        bound = 1 / sqrt(hidden_size)
        for layer in range(num_layers):
            for suffix in self._suffixes(layer):
                for name, shape in self._shapes(layer).items():
                    drawn = uniform(shape, -bound, bound, dtype=dtype, device=device)
                    setattr(self, name + suffix, Parameter(drawn))

    @property
    def _state_names(self) -> tuple[str, ...]:
        return ("h_0", "c_0") if self.mode == "LSTM" else ("h_0",)

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _out_size(self) -> int:
        return self.proj_size or self.hidden_size

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: self._directions]

    def _shapes(self, layer: int) -> dict[str, tuple[int, ...]]:
        rows = _GATES[self.mode] * self.hidden_size
        fed = self._out_size * self._directions if layer else self.input_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, fed), "weight_hh": (rows, self._out_size)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        return shapes

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of each layer and direction."""
        return [
            [getattr(self, name + suffix) for name in self._shapes(layer)]
            for layer in range(self.num_layers)
            for suffix in self._suffixes(layer)
        ]

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = 1 / sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Do nothing: parameters need no particular place in memory. Here for programs that call it."""

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Run over all time steps.

        Parameters
        ----------
        input : Array or PackedSequence
            Shape (time, batch, input_size); (batch, time, input_size) with ``batch_first``; (time, input_size) for one
            sequence without a batch.
        hx : Array, or tuple of two Array for LSTM, optional
            The initial states, shape (num_layers * directions, batch, size), without a batch (num_layers * directions,
            size); default zeros.

        Returns
        -------
        output : Array or PackedSequence
            The states of the last layer at all time steps, both directions side by side; laid out as the input.
        h_n : Array, or tuple of two Array
            The last states of each layer and direction, in the shape of ``hx``.

        Raises
        ------
        ShapeError
            If input or states do not fit.
        """
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        shape = tuple(unwrap(input).shape)
        require_backend_of(unwrap(input), "input")
        self._check_input(shape, 2 if len(shape) == 2 else 3)
        batched = len(shape) == 3
        if batched and self.batch_first:
            input = moveaxis(input, 0, 1)
            shape = (shape[1], shape[0], shape[2])
        time, batch = shape[0], shape[1] if batched else 1
        if not time:
            raise ShapeError(f"input: {type(self).__name__} expects at least one time step, got none.")
        rows = reshape(input, (time * batch, shape[-1]))
        states = self._initial(rows, hx, batch, batched)
        output, last = self._run(rows, states, (batch,) * time, None)
        if not batched:
            return output, self._shown([squeeze(state, 1) for state in last])
        output = reshape(output, (time, batch, self._directions * self._out_size))
        return moveaxis(output, 0, 1) if self.batch_first else output, self._shown(last)

    def _forward_packed(self, packed: PackedSequence, hx: Any) -> tuple[Any, Any]:
        rows, batch_sizes, order, inverse = packed
        batch_sizes = tuple(whole_numbers("batch_sizes", batch_sizes, low=1))
        shape = tuple(unwrap(rows).shape)
        require_backend_of(unwrap(rows), "input")
        self._check_input(shape, 2)
        states = self._initial(rows, hx, batch_sizes[0], True)
        if order is not None and hx is not None:
            states = [take(state, order, axis=1) for state in states]
        starts = list(accumulate(batch_sizes, initial=0))
        lengths = [sum(size > place for size in batch_sizes) for place in range(batch_sizes[0])]
        ends = indices_beside(rows, [starts[length - 1] + place for place, length in enumerate(lengths)])
        output, last = self._run(rows, states, batch_sizes, ends)
        if inverse is not None:
            last = [take(state, inverse, axis=1) for state in last]
        return PackedSequence(output, batch_sizes, order, inverse), self._shown(last)

    def _shown(self, states: list[Any]) -> Any:
        return states[0] if len(states) == 1 else tuple(states)

    def _check_input(self, shape: tuple[int, ...], ndim: int) -> None:
        if len(shape) != ndim or shape[-1] != self.input_size:
            axes = "(batch, time" if self.batch_first else "(time, batch"
            raise ShapeError(
                f"input: {type(self).__name__} expects shape {axes}, {self.input_size}), or (time, {self.input_size}) "
                f"for one sequence, or what pack_padded_sequence made of such an input; got {shape}."
            )

    def _initial(self, rows: Array, hx: Any, batch: int, batched: bool) -> list[Any]:
        """The initial states, each of shape (layers * directions, batch, size)."""
        sizes = (self._out_size, self.hidden_size)[: len(self._state_names)]
        lines = self.num_layers * self._directions
        shapes = [(lines, batch, size) for size in sizes]
        if hx is None:
            return [full_beside(rows, shape, 0.0) for shape in shapes]
        given = list(hx) if isinstance(hx, (tuple, list)) else [hx]
        if len(given) != len(sizes):
            one = "one array" if len(given) == 1 else f"{len(given)} arrays"
            raise ShapeError(
                f"hx: {type(self).__name__} expects {' and '.join(self._state_names)}, as a tuple if there are two; "
                f"got {one}."
            )
        states = []
        for name, shape, state in zip(self._state_names, shapes, given, strict=True):
            wanted = shape if batched else (shape[0], shape[2])
            if tuple(unwrap(state).shape) != wanted:
                raise ShapeError(
                    f"hx: {type(self).__name__} expects {name} of shape {wanted}, got {tuple(unwrap(state).shape)}."
                )
            check_state(type(self).__name__, name, state, rows)
            states.append(state if batched else reshape(state, shape))
        return states

    def _run(
        self, rows: Any, states: list[Any], batch_sizes: tuple[int, ...], ends: Any
    ) -> tuple[Any, list[Any]]:
        """All layers over flat rows; ``ends`` are the rows of the last steps where lengths differ."""
        total, batch = sum(batch_sizes), batch_sizes[0]
        last: list[list[Any]] = [[] for _ in states]
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                rows = dropout(rows, self.dropout)
            outputs = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                line = layer * self._directions + direction
                initial = [state[line, ...] for state in states]
                found = self._states(rows, initial, suffix, batch_sizes, bool(direction))
                outputs.append(found[0])
                for k, state in enumerate(found):
                    if direction:
                        last[k].append(state[:batch, ...])
                    elif ends is None:
                        last[k].append(state[total - batch :, ...])
                    else:
                        last[k].append(take(state, ends, axis=0))
            rows = outputs[0] if len(outputs) == 1 else concat(outputs, axis=-1)
        return rows, [stack(parts, axis=0) for parts in last]

    def _states(
        self, rows: Any, initial: list[Any], suffix: str, batch_sizes: tuple[int, ...], reverse: bool
    ) -> list[Any]:
        """The states of one layer in one direction after each row."""
        raise NotImplementedError(
            f"{type(self).__name__} must define forward(): RNNBase holds parameters and options, and no recurrence. "
            "Use nn.RNN, nn.LSTM or nn.GRU, or define forward() in your subclass."
        )

    def _affine(self, rows: Any, suffix: str, both_biases: bool) -> Any:
        """What the input of each row adds to the gates."""
        bias = None
        if self.bias:
            bias = getattr(self, "bias_ih" + suffix)
            if both_biases:
                bias = bias + getattr(self, "bias_hh" + suffix)
        return linear(rows, getattr(self, "weight_ih" + suffix), bias)

    def extra_repr(self) -> str:
        """Sizes, and the options that are not the default."""
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size:
            text += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        if not self.bias:
            text += f", bias={self.bias}"
        if self.batch_first:
            text += f", batch_first={self.batch_first}"
        if self.dropout:
            text += f", dropout={self.dropout}"
        if self.bidirectional:
            text += f", bidirectional={self.bidirectional}"
        return text


class RNN(RNNBase):
    """Elman network: ``h' = tanh(x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh)`` (Elman, 1990).

    Parameters
    ----------
    input_size, hidden_size : int
        Length of the last axis of the input, and of a state.
    num_layers : int, default 1
        Each layer's input is the output of the one below.
    nonlinearity : str
        ``"tanh"`` or ``"relu"``.
    bias : bool, default True
        Whether there are biases.
    batch_first : bool, default False
        Whether input and output are (batch, time, ...) instead of (time, batch, ...). States are not concerned.
    dropout : float, default 0
        The probability with which an element between two layers becomes 0 in training.
    bidirectional : bool, default False
        Whether a second set of parameters reads the sequence from its end.
    device, dtype
        Of the parameters.

    Examples
    --------
    >>> layer = pn.nn.RNN(3, 4, num_layers=2)
    >>> output, h_n = layer(pn.zeros((5, 2, 3)))
    >>> output.shape, h_n.shape
    ((5, 2, 4), (2, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        check_nonlinearity(nonlinearity)
        super().__init__(
            "RNN_TANH" if nonlinearity == "tanh" else "RNN_RELU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )
        self.nonlinearity = nonlinearity

    def _states(
        self, rows: Any, initial: list[Any], suffix: str, batch_sizes: tuple[int, ...], reverse: bool
    ) -> list[Any]:
        x = self._affine(rows, suffix, True)
        weight_hh = getattr(self, "weight_hh" + suffix)
        states = functional.rnn_states(
            x,
            initial[0],
            weight_hh,
            batch_sizes=batch_sizes,
            reverse=reverse,
            nonlinearity=self.nonlinearity,
        )
        return [states]


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997; forget gates: Gers et al., 2000).

    With ``i, f, g, o = x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh``:
    ``c' = sigmoid(f) * c + sigmoid(i) * tanh(g)`` and ``h' = sigmoid(o) * tanh(c')``; with a projection
    ``h' = (sigmoid(o) * tanh(c')) @ weight_hr.T`` (Sak et al., 2014). The states are the tuple ``(h, c)``.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype
        As for :class:`RNN`.
    proj_size : int, default 0
        The length of ``h`` if it is projected, less than ``hidden_size``; 0: it is not.

    Examples
    --------
    >>> layer = pn.nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    >>> output, (h_n, c_n) = layer(pn.zeros((2, 5, 3)))
    >>> output.shape, h_n.shape, c_n.shape
    ((2, 5, 8), (2, 2, 4), (2, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )

    def _states(
        self, rows: Any, initial: list[Any], suffix: str, batch_sizes: tuple[int, ...], reverse: bool
    ) -> list[Any]:
        h0, c0 = initial
        states = functional.lstm_states(
            self._affine(rows, suffix, True),
            h0,
            c0,
            getattr(self, "weight_hh" + suffix),
            getattr(self, "weight_hr" + suffix) if self.proj_size else None,
            batch_sizes=batch_sizes,
            reverse=reverse,
        )
        return [states[:, : self._out_size], states[:, self._out_size :]]


class GRU(RNNBase):
    """Gated recurrent units (Cho et al., 2014), with the reset gate behind the product, as in cuDNN and PyTorch.

    With ``r, z, n = x @ weight_ih.T + bias_ih`` and ``r_h, z_h, n_h = h @ weight_hh.T + bias_hh``:
    ``n' = tanh(n + sigmoid(r + r_h) * n_h)`` and ``h' = n' + sigmoid(z + z_h) * (h - n')``.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype
        As for :class:`RNN`.

    Examples
    --------
    >>> layer = pn.nn.GRU(3, 4)
    >>> output, h_n = layer(pn.zeros((5, 3)))  # one sequence, no batch
    >>> output.shape, h_n.shape
    ((5, 4), (1, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )

    def _states(
        self, rows: Any, initial: list[Any], suffix: str, batch_sizes: tuple[int, ...], reverse: bool
    ) -> list[Any]:
        x = self._affine(rows, suffix, False)
        bias_hh = getattr(self, "bias_hh" + suffix) if self.bias else None
        weight_hh = getattr(self, "weight_hh" + suffix)
        states = functional.gru_states(
            x, initial[0], weight_hh, bias_hh, batch_sizes=batch_sizes, reverse=reverse
        )
        return [states]
