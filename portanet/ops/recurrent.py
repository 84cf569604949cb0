"""Recurrent layers as ops over a whole sequence: one node for all time steps, however many there are.

The rows of all time steps lie one after another, ``batch_sizes[t]`` of them for step ``t``, and the counts never grow:
sequences that have ended drop out at the end of the batch. A full batch is the case of equal counts. The product of
the inputs and their weights is made before, for all steps at once. The gradient of the recurrent weights is one
product over all steps as well; what needs a step after another are the states and their cotangents alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portanet.errors import ShapeError
from portanet.ops.composition import apply, once
from portanet.ops.layers import sigmoid
from portanet.ops.promotion import device_of
from portanet.protocols import Array, Namespace, OpResult

__all__ = ["gru_states", "lstm_states", "rnn_states"]

States = tuple[Array, ...]


def rnn_states(
    xp: Namespace,
    x: Array,
    h0: Array,
    weight_hh: Array,
    *,
    batch_sizes: tuple[int, ...],
    reverse: bool = False,
    nonlinearity: str = "tanh",
) -> OpResult:
    """States ``h' = tanh(x + h @ weight_hh.T)`` of an Elman network, or with ``relu`` instead of ``tanh``.

    Parameters
    ----------
    x : Array
        What each row's input adds, biases included: shape (rows, hidden).
    h0 : Array
        Shape (batch, hidden).
    weight_hh : Array
        Shape (hidden, hidden).
    batch_sizes : tuple of int
        How many rows each time step has.
    reverse : bool
        Whether to begin with the last time step.
    nonlinearity : str
        ``"tanh"`` or ``"relu"``.

    Returns
    -------
    Array
        The state after each row: shape (rows, hidden).
    """
    _check("rnn_states", x, weight_hh, 1, (h0,), batch_sizes)
    weight_t = xp.matrix_transpose(weight_hh)

    def step(x_t: Array, h: Array) -> tuple[States, States]:
        z = x_t + h @ weight_t  # (n, hidden)
        y = xp.tanh(z) if nonlinearity == "tanh" else xp.maximum(z, xp.zeros_like(z))
        return (y,), (y,)

    def step_back(saved: States, g: Array) -> tuple[States, States]:
        (y,) = saved
        dz = g * (1 - y * y) if nonlinearity == "tanh" else xp.where(y > 0, g, xp.zeros_like(g))
        return (dz @ weight_hh,), (dz,)

    scan = _Scan(xp, x, (h0,), batch_sizes, reverse, step, step_back)
    return scan.result, (
        lambda g: scan.back(g)[1][0],
        lambda g: scan.back(g)[0][0],
        lambda g: xp.matrix_transpose(scan.back(g)[1][0]) @ scan.before(0),  # (hidden, rows) @ (rows, hidden)
    )


def lstm_states(
    xp: Namespace,
    x: Array,
    h0: Array,
    c0: Array,
    weight_hh: Array,
    weight_hr: Array | None = None,
    *,
    batch_sizes: tuple[int, ...],
    reverse: bool = False,
) -> OpResult:
    """Hidden and cell states of a long short-term memory (Hochreiter and Schmidhuber, 1997; Gers et al., 2000).

    With ``i, f, o = sigmoid(...)`` and ``g = tanh(...)`` of the four parts of ``x + h @ weight_hh.T``, in the order
    ``i, f, g, o``: ``c' = f * c + i * g`` and ``h' = o * tanh(c')``, projected by ``weight_hr`` if there is one.

    Parameters
    ----------
    x : Array
        What each row's input adds, biases included: shape (rows, 4 * hidden).
    h0 : Array
        Shape (batch, out), where ``out`` is ``hidden`` without a projection.
    c0 : Array
        Shape (batch, hidden).
    weight_hh : Array
        Shape (4 * hidden, out).
    weight_hr : Array, optional
        Shape (out, hidden).
    batch_sizes, reverse
        As for :func:`rnn_states`.

    Returns
    -------
    Array
        ``h'`` and beside it ``c'`` after each row: shape (rows, out + hidden).
    """
    _check("lstm_states", x, weight_hh, 4, (h0, c0), batch_sizes)
    hidden = c0.shape[1]
    weight_t = xp.matrix_transpose(weight_hh)
    projection_t = None if weight_hr is None else xp.matrix_transpose(weight_hr)

    def step(x_t: Array, h: Array, c: Array) -> tuple[States, States]:
        z = x_t + h @ weight_t  # (n, 4 * hidden)
        opened = apply(xp, sigmoid, z[:, : 2 * hidden])
        i, f = opened[:, :hidden], opened[:, hidden:]
        o = apply(xp, sigmoid, z[:, 3 * hidden :])
        candidate = xp.tanh(z[:, 2 * hidden : 3 * hidden])
        cell = f * c + i * candidate
        shown = xp.tanh(cell)
        y = o * shown
        out = y if projection_t is None else y @ projection_t  # (n, hidden) @ (hidden, out)
        return (out, cell), (i, f, candidate, o, shown, c, y)

    def step_back(saved: States, g_h: Array, g_c: Array) -> tuple[States, States]:
        i, f, candidate, o, shown, c, _ = saved
        g_y = g_h if weight_hr is None else g_h @ weight_hr  # (n, out) @ (out, hidden)
        through = g_y * o
        g_cell = g_c + through * (1 - shown * shown)
        to_i = g_cell * candidate
        to_candidate = g_cell * i
        to_f = g_cell * c
        dz = xp.concat(
            [
                to_i * (i * (1 - i)),
                to_f * (f * (1 - f)),
                to_candidate * (1 - candidate * candidate),
                through * (shown * (1 - o)),
            ],
            axis=1,
        )
        return (dz @ weight_hh, g_cell * f), (dz, g_h)

    scan = _Scan(xp, x, (h0, c0), batch_sizes, reverse, step, step_back)

    def wrt_projection(g: Array) -> Array:
        return xp.matrix_transpose(scan.back(g)[1][1]) @ scan.saved(6)  # (out, rows) @ (rows, hidden)

    return scan.result, (
        lambda g: scan.back(g)[1][0],
        lambda g: scan.back(g)[0][0],
        lambda g: scan.back(g)[0][1],
        lambda g: xp.matrix_transpose(scan.back(g)[1][0]) @ scan.before(0),  # (4 hidden, rows) @ (rows, out)
        None if weight_hr is None else wrt_projection,
    )


def gru_states(
    xp: Namespace,
    x: Array,
    h0: Array,
    weight_hh: Array,
    bias_hh: Array | None = None,
    *,
    batch_sizes: tuple[int, ...],
    reverse: bool = False,
) -> OpResult:
    """States of gated recurrent units (Cho et al., 2014), with the reset gate behind the product.

    With the three parts of ``x`` and of ``u = h @ weight_hh.T + bias_hh``, in the order ``r, z, n``:
    ``r, z = sigmoid(x + u)``, ``n = tanh(x_n + r * u_n)`` and ``h' = n + z * (h - n)``.

    Parameters
    ----------
    x : Array
        What each row's input adds: shape (rows, 3 * hidden).
    h0 : Array
        Shape (batch, hidden).
    weight_hh : Array
        Shape (3 * hidden, hidden).
    bias_hh : Array, optional
        Shape (3 * hidden,).
    batch_sizes, reverse
        As for :func:`rnn_states`.

    Returns
    -------
    Array
        The state after each row: shape (rows, hidden).
    """
    _check("gru_states", x, weight_hh, 3, (h0,), batch_sizes)
    hidden = h0.shape[1]
    weight_t = xp.matrix_transpose(weight_hh)

    def step(x_t: Array, h: Array) -> tuple[States, States]:
        u = h @ weight_t  # (n, 3 * hidden)
        if bias_hh is not None:
            u = u + bias_hh
        gates = apply(xp, sigmoid, x_t[:, : 2 * hidden] + u[:, : 2 * hidden])
        r, z = gates[:, :hidden], gates[:, hidden:]
        u_n = u[:, 2 * hidden :]
        n = xp.tanh(x_t[:, 2 * hidden :] + r * u_n)
        return (n + z * (h - n),), (r, z, n, u_n, h)

    def step_back(saved: States, g: Array) -> tuple[States, States]:
        r, z, n, u_n, h = saved
        to_n = (g * (1 - z)) * (1 - n * n)
        to_r = to_n * u_n * (r * (1 - r))
        to_z = g * (h - n) * (z * (1 - z))
        from_x = xp.concat([to_r, to_z, to_n], axis=1)
        from_u = xp.concat([to_r, to_z, to_n * r], axis=1)
        return (from_u @ weight_hh + g * z,), (from_x, from_u)

    scan = _Scan(xp, x, (h0,), batch_sizes, reverse, step, step_back)
    return scan.result, (
        lambda g: scan.back(g)[1][0],
        lambda g: scan.back(g)[0][0],
        lambda g: (
            xp.matrix_transpose(scan.back(g)[1][1]) @ scan.before(0)
        ),  # (3 hidden, rows) @ (rows, hidden)
        None if bias_hh is None else lambda g: xp.sum(scan.back(g)[1][1], axis=0),
    )


class _Scan:
    """One step after another, and back.

    ``step`` takes a step's rows of ``x`` and the states before it to the states after it and what ``step_back`` needs;
    ``step_back`` takes that and the cotangents of the states after it to those of the states before it, and to
    rows of its own that are put together over all steps.
    """

    def __init__(
        self,
        xp: Namespace,
        x: Array,
        initial: States,
        batch_sizes: tuple[int, ...],
        reverse: bool,
        step: Callable[..., tuple[States, States]],
        step_back: Callable[..., tuple[States, States]],
    ) -> None:
        self._xp, self._initial, self._reverse, self._step_back = xp, initial, reverse, step_back
        starts = [0]
        for count in batch_sizes[:-1]:
            starts.append(starts[-1] + count)
        self._places = list(zip(starts, batch_sizes, strict=True))
        if reverse:
            self._places.reverse()
        self._records: list[tuple[States, States]] = []
        self.back = once(self._walk)
        """The cotangents of the initial states, and the rows that the steps back gave."""
        outputs = []
        states = tuple([_first(state, self._places[0][1]) for state in initial])
        for start, count in self._places:
            states = tuple([_grown(xp, s, first, count) for s, first in zip(states, initial, strict=True)])
            before = states
            states, saved = step(x[start : start + count, ...], *before)
            self._records.append((before, saved))
            outputs.append(states)
        columns = [self._joined([output[k] for output in outputs]) for k in range(len(initial))]
        self.result = columns[0] if len(columns) == 1 else xp.concat(columns, axis=1)

    def _joined(self, parts: list[Array]) -> Array:
        """What each step had, in the order of time."""
        if len(parts) == 1:
            return parts[0]
        return self._xp.concat(parts[::-1] if self._reverse else parts, axis=0)

    def before(self, k: int) -> Array:
        """One of the states before each row."""
        return self._joined([before[k] for before, _ in self._records])

    def saved(self, k: int) -> Array:
        """One of the things that each step kept."""
        return self._joined([saved[k] for _, saved in self._records])

    def _walk(self, g: Array) -> tuple[list[Array], list[Array]]:
        xp = self._xp
        widths = [state.shape[1] for state in self._initial]
        ends = [sum(widths[: k + 1]) for k in range(len(widths))]
        columns = [g[:, end - width : end] for width, end in zip(widths, ends, strict=True)]
        carried: list[Array] | None = None
        shed: list[list[Array]] = [[] for _ in widths]
        rows = []
        for (start, count), (_, saved) in zip(reversed(self._places), reversed(self._records), strict=True):
            arrived = [column[start : start + count, ...] for column in columns]
            if carried is not None:
                for k, part in enumerate(carried):
                    if part.shape[0] > count:  # rows that began after this step, in a walk from the end
                        shed[k].append(part[count:, ...])
                        part = _first(part, count)
                    arrived[k] = arrived[k] + _padded(xp, part, count)
            before, own = self._step_back(saved, *arrived)
            carried = list(before)
            rows.append(own)
        assert carried is not None
        initial = [
            xp.concat([part, *reversed(more)], axis=0) if more else part
            for part, more in zip(carried, shed, strict=True)
        ]
        return initial, [self._joined([own[k] for own in reversed(rows)]) for k in range(len(rows[0]))]


def _first(x: Array, count: int) -> Array:
    return x if x.shape[0] == count else x[:count, ...]


def _grown(xp: Namespace, state: Array, initial: Array, count: int) -> Array:
    """The states of the rows that a step has: some have ended, or some begin here with their initial state."""
    length = state.shape[0]
    return xp.concat([state, initial[length:count, ...]], axis=0) if length < count else _first(state, count)


def _padded(xp: Namespace, x: Array, count: int) -> Array:
    """Zeros for the rows that had ended: nothing that came later depends on them."""
    missing = count - x.shape[0]
    if not missing:
        return x
    zeros = xp.zeros((missing, x.shape[1]), dtype=x.dtype, device=device_of(x))
    return xp.concat([x, zeros], axis=0)


def _check(
    name: str, x: Array, weight_hh: Array, gates: int, initial: States, batch_sizes: tuple[int, ...]
) -> None:
    """Raise unless the shapes and the counts go together."""
    hidden, out = initial[-1].shape[-1], initial[0].shape[-1]
    if (
        not batch_sizes
        or sum(batch_sizes) != x.shape[0]
        or sorted(batch_sizes, reverse=True) != list(batch_sizes)
    ):
        raise ShapeError(
            f"batch_sizes: {name} expects counts that never grow and add up to {x.shape[0]}, the rows of x; "
            f"got {batch_sizes!r}. nn.utils.rnn.pack_padded_sequence makes them."
        )
    wanted: Any = ((x, "x", (x.shape[0], gates * hidden)), (weight_hh, "weight_hh", (gates * hidden, out)))
    for array, argument, shape in wanted:
        if tuple(array.shape) != shape:
            raise ShapeError(f"{argument}: {name} expects shape {shape}, got {tuple(array.shape)}.")
    for state, argument in zip(initial, ("h0", "c0"), strict=False):
        if state.ndim != 2 or state.shape[0] != batch_sizes[0]:
            raise ShapeError(
                f"{argument}: {name} expects one row for each of {batch_sizes[0]} sequences, got shape "
                f"{tuple(state.shape)}."
            )
