"""Recurrent layers against PyTorch's: outputs, last states, and the gradients of inputs, states and parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import DataError, DTypeError, OptionError, ShapeError
from portanet.nn import recurrent, recurrent_cells
from portanet.nn.functional import recurrent as functional
from portanet.nn.utils import rnn as rnn_utils
from portanet.testing import gradcheck, gradgradcheck
from tests.parity.comparison import DTYPES, assert_near, host

torch = pytest.importorskip("torch", reason="compares with PyTorch")
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

LAYERS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn": ("RNN", {}),
    "rnn-both-ways": ("RNN", {"num_layers": 2, "bidirectional": True}),
    "rnn-relu-without-bias": ("RNN", {"nonlinearity": "relu", "bias": False, "batch_first": True}),
    "lstm": ("LSTM", {}),
    "lstm-deep-both-ways": ("LSTM", {"num_layers": 3, "bidirectional": True, "batch_first": True}),
    "lstm-without-bias": ("LSTM", {"num_layers": 2, "bias": False}),
    "lstm-projected": ("LSTM", {"proj_size": 2, "num_layers": 2, "bidirectional": True}),
    "gru": ("GRU", {}),
    "gru-deep-both-ways": ("GRU", {"num_layers": 3, "bidirectional": True, "batch_first": True}),
    "gru-without-bias": ("GRU", {"num_layers": 2, "bias": False}),
}
CELLS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn": ("RNNCell", {}),
    "rnn-relu": ("RNNCell", {"nonlinearity": "relu"}),
    "rnn-without-bias": ("RNNCell", {"bias": False}),
    "lstm": ("LSTMCell", {}),
    "lstm-without-bias": ("LSTMCell", {"bias": False}),
    "gru": ("GRUCell", {}),
    "gru-without-bias": ("GRUCell", {"bias": False}),
}
FEATURES, HIDDEN, TIME, BATCH = 3, 4, 5, 6
LENGTHS = [5, 4, 4, 2, 1, 1]


def layer_named(name: str) -> Any:
    return getattr(recurrent_cells if name.endswith("Cell") else recurrent, name)


def pair(case: tuple[str, dict[str, Any]], dtype: str) -> tuple[Any, Any]:
    """The layer and PyTorch's, with the same parameters."""
    name, options = case
    reference = getattr(torch.nn, name)(FEATURES, HIDDEN, **options).to(getattr(torch, dtype))
    layer = layer_named(name)(FEATURES, HIDDEN, **options).to(getattr(pn, dtype))
    layer.load_state_dict(reference.state_dict())
    assert list(layer.state_dict()) == list(reference.state_dict())
    return layer, reference


def leaves(rng: Any, dtype: str, *shapes: tuple[int, ...]) -> tuple[list[Any], list[Any]]:
    arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    return (
        [pn.asarray(a).requires_grad_() for a in arrays],
        [torch.tensor(a, requires_grad=True) for a in arrays],
    )


def flat(result: Any) -> list[Any]:
    """The floating-point arrays in nested results."""
    if isinstance(result, (tuple, list)) and not hasattr(result, "data"):
        return [part for each in result for part in flat(each)]
    return [result.data] if hasattr(result, "batch_sizes") else [result]


def compare(rng: Any, found: Any, expected: Any, mine: Any, its: Any, layer: Any, reference: Any) -> None:
    """All results, then the gradients of the leaves and of the parameters."""
    results, others = flat(found), flat(expected)
    assert len(results) == len(others)
    total, its_total = 0.0, 0.0
    for result, other in zip(results, others, strict=True):
        assert_near(result, other, "result", scale=0.1)
        cotangent = rng.normal(size=tuple(other.shape)).astype(other.detach().numpy().dtype)
        total = total + (result * pn.asarray(cotangent)).sum()
        its_total = its_total + (other * torch.tensor(cotangent)).sum()
    total.backward()
    its_total.backward()
    for place, (tensor, other) in enumerate(zip(mine, its, strict=True)):
        assert_near(tensor.grad, other.grad, f"gradient of argument {place}", scale=1.0)
    for name, parameter in reference.named_parameters():
        assert_near(layer.get_parameter(name).grad, parameter.grad, name, scale=1.0)


def state_shapes(layer: Any, batch: tuple[int, ...]) -> list[tuple[int, ...]]:
    lines = layer.num_layers * (2 if layer.bidirectional else 1)
    sizes = [layer.proj_size or HIDDEN] + [HIDDEN] * isinstance(layer, recurrent.LSTM)
    return [(lines, *batch, size) for size in sizes]


@DTYPES
@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("backend_name", ["numpy", "array-api-strict"])
@pytest.mark.parametrize("case", LAYERS)
def test_layers(rng: Any, case: str, backend_name: str, states: bool, dtype: str) -> None:
    if backend_name != "numpy":
        pytest.importorskip("array_api_strict", reason="proves the ops on the bare standard")
    with pn.use_backend(backend_name, strict=True):
        layer, reference = pair(LAYERS[case], dtype)
        shape = (BATCH, TIME, FEATURES) if layer.batch_first else (TIME, BATCH, FEATURES)
        shapes = state_shapes(layer, (BATCH,)) if states else []
        (x, *hx), (its_x, *its_hx) = mine, its = leaves(rng, dtype, shape, *shapes)
        given = (None, None)
        if states:
            given = (tuple(hx), tuple(its_hx)) if len(hx) > 1 else (hx[0], its_hx[0])
        compare(rng, layer(x, given[0]), reference(its_x, given[1]), mine, its, layer, reference)


@DTYPES
@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("case", LAYERS)
def test_one_sequence_without_a_batch(rng: Any, case: str, states: bool, dtype: str) -> None:
    layer, reference = pair(LAYERS[case], dtype)
    shapes = state_shapes(layer, ()) if states else []
    (x, *hx), (its_x, *its_hx) = mine, its = leaves(rng, dtype, (TIME, FEATURES), *shapes)
    given = (None, None)
    if states:
        given = (tuple(hx), tuple(its_hx)) if len(hx) > 1 else (hx[0], its_hx[0])
    compare(rng, layer(x, given[0]), reference(its_x, given[1]), mine, its, layer, reference)


@DTYPES
@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("backend_name", ["numpy", "array-api-strict"])
@pytest.mark.parametrize("case", LAYERS)
def test_packed_sequences(rng: Any, case: str, backend_name: str, states: bool, dtype: str) -> None:
    if backend_name != "numpy":
        pytest.importorskip("array_api_strict", reason="proves the ops on the bare standard")
    with pn.use_backend(backend_name, strict=True):
        layer, reference = pair(LAYERS[case], dtype)
        lengths = [LENGTHS[k] for k in rng.permutation(BATCH)]
        shapes = state_shapes(layer, (BATCH,)) if states else []
        (x, *hx), (its_x, *its_hx) = mine, its = leaves(rng, dtype, (TIME, BATCH, FEATURES), *shapes)
        given = (None, None)
        if states:
            given = (tuple(hx), tuple(its_hx)) if len(hx) > 1 else (hx[0], its_hx[0])
        its_utils = torch.nn.utils.rnn
        packed = rnn_utils.pack_padded_sequence(x, lengths, enforce_sorted=False)
        its_packed = its_utils.pack_padded_sequence(its_x, lengths, enforce_sorted=False)
        output, last = layer(packed, given[0])
        its_output, its_last = reference(its_packed, given[1])
        padded, found_lengths = rnn_utils.pad_packed_sequence(output)
        its_padded, _ = its_utils.pad_packed_sequence(its_output)
        assert found_lengths.tolist() == lengths
        compare(rng, (padded, last), (its_padded, its_last), mine, its, layer, reference)


@DTYPES
@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("case", CELLS)
def test_cells(rng: Any, case: str, states: bool, batched: bool, dtype: str) -> None:
    cell, reference = pair(CELLS[case], dtype)
    leading = (BATCH,) if batched else ()
    count = (2 if "LSTM" in CELLS[case][0] else 1) * states
    (x, *hx), (its_x, *its_hx) = mine, its = leaves(
        rng, dtype, (*leading, FEATURES), *[(*leading, HIDDEN)] * count
    )
    given = (None, None)
    if states:
        given = (tuple(hx), tuple(its_hx)) if len(hx) > 1 else (hx[0], its_hx[0])
    compare(rng, cell(x, given[0]), reference(its_x, given[1]), mine, its, cell, reference)


@pytest.mark.parametrize("case", ["rnn", "rnn-relu-without-bias", "lstm", "gru"])
def test_a_layer_is_its_cell_step_after_step(rng: Any, case: str) -> None:
    name, options = LAYERS[case]
    layer = getattr(recurrent, name)(FEATURES, HIDDEN, **{**options, "batch_first": False})
    options = {key: value for key, value in options.items() if key != "batch_first"}
    cell = getattr(recurrent_cells, name + "Cell")(FEATURES, HIDDEN, **options)
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
    x = pn.asarray(rng.normal(size=(TIME, BATCH, FEATURES)).astype("float32"))
    output, _ = layer(x)
    state: Any = None
    for t in range(TIME):
        state = cell(x[t], state)
        np.testing.assert_allclose(
            host(state[0] if name == "LSTM" else state), host(output[t]), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("layers", [LAYERS, CELLS], ids=["layers", "cells"])
def test_the_printed_form(layers: Any) -> None:
    for name, options in layers.values():
        layer = layer_named(name)(FEATURES, HIDDEN, **options)
        assert repr(layer) == repr(getattr(torch.nn, name)(FEATURES, HIDDEN, **options))
    options = {"num_layers": 2, "dropout": 0.25}
    assert repr(recurrent.GRU(3, 4, **options)) == repr(torch.nn.GRU(3, 4, **options))


def test_initial_weights_have_pytorchs_distribution() -> None:
    for name in ("RNN", "LSTM", "GRU", "LSTMCell"):
        layer, reference = layer_named(name)(40, 60), getattr(torch.nn, name)(40, 60)
        for key, parameter in reference.named_parameters():
            values, its = layer.get_parameter(key).detach().numpy(), parameter.detach().numpy()
            assert abs(values).max() <= 60**-0.5
            assert values.std() == pytest.approx(its.std(), rel=0.3)
        before = [host(parameter) for parameter in layer.parameters()]
        layer.reset_parameters()
        after = [host(parameter) for parameter in layer.parameters()]
        assert all((one != other).any() for one, other in zip(before, after, strict=True))


def test_all_weights_and_a_state_dict_for_pytorch() -> None:
    layer = recurrent.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2)
    reference = torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2)
    shapes = [[tuple(p.shape) for p in group] for group in layer.all_weights]
    assert shapes == [[tuple(p.shape) for p in group] for group in reference.all_weights]
    reference.load_state_dict({key: torch.tensor(value.numpy()) for key, value in layer.state_dict().items()})
    x = np.ones((2, 1, 3), "float32")
    assert_near(layer(pn.asarray(x))[0], reference(torch.tensor(x))[0])


# Dropout between the layers


def test_dropout_acts_between_layers_in_training_only() -> None:
    pn.manual_seed(3)
    layer = recurrent.RNN(3, 400, num_layers=2, dropout=0.4, nonlinearity="relu")
    plain = recurrent.RNN(3, 400, num_layers=2, nonlinearity="relu")
    plain.load_state_dict(layer.state_dict())
    x = pn.random.normal((2, 3, 3))
    assert (host(layer.eval()(x)[0]) == host(plain(x)[0])).all()
    layer.train()
    one, other = layer(x)[0], layer(x)[0]
    assert (host(one) != host(other)).any()
    # With weights that hand the second layer's input through, the elements that are 0 can be counted.
    pn.nn.init.zeros_(layer.weight_hh_l1)
    layer.weight_ih_l1 = pn.nn.Parameter(pn.eye(400))
    for name in ("bias_ih_l0", "bias_ih_l1", "bias_hh_l0", "bias_hh_l1"):
        pn.nn.init.ones_(getattr(layer, name))
    pn.nn.init.zeros_(layer.bias_ih_l1)
    pn.nn.init.zeros_(layer.bias_hh_l1)
    pn.nn.init.zeros_(layer.weight_ih_l0)
    pn.nn.init.zeros_(layer.weight_hh_l0)
    values = host(layer(x)[0])
    assert set(np.unique(values)) == {np.float32(0), values.max()}
    assert values.max() == pytest.approx(2 / 0.6, rel=1e-6)
    assert (values == 0).mean() == pytest.approx(0.4, abs=0.06)


def test_dropout_with_one_layer_warns() -> None:
    with pytest.warns(UserWarning, match="between layers"):
        recurrent.LSTM(3, 4, dropout=0.5)


# Derivatives

COUNTS = [(3, 3, 3), (4, 3, 3, 1), (2,)]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("batch_sizes", COUNTS)
def test_first_and_second_derivatives(rng: Any, batch_sizes: tuple[int, ...], reverse: bool) -> None:
    rows, batch = sum(batch_sizes), batch_sizes[0]

    def drawn(*shape: int) -> Any:
        return pn.asarray(rng.normal(size=shape))

    options: dict[str, Any] = {"batch_sizes": batch_sizes, "reverse": reverse}
    cases = [
        (functional.rnn_states, (drawn(rows, 3), drawn(batch, 3), drawn(3, 3))),
        (
            lambda *arrays, **options: functional.lstm_states(*arrays, None, **options),
            (drawn(rows, 12), drawn(batch, 3), drawn(batch, 3), drawn(12, 3)),
        ),
        (
            functional.lstm_states,
            (drawn(rows, 12), drawn(batch, 2), drawn(batch, 3), drawn(12, 2), drawn(2, 3)),
        ),
        (functional.gru_states, (drawn(rows, 9), drawn(batch, 3), drawn(9, 3), drawn(9))),
        (
            lambda *arrays, **options: functional.gru_states(*arrays, None, **options),
            (drawn(rows, 9), drawn(batch, 3), drawn(9, 3)),
        ),
    ]
    for function, arrays in cases:
        gradcheck(lambda *xs, function=function: function(*xs, **options), arrays)
        gradgradcheck(lambda *xs, function=function: function(*xs, **options), arrays)


def test_derivatives_where_relu_has_no_kink(rng: Any) -> None:
    x = np.abs(rng.normal(size=(6, 3))) + 0.5
    x[:, 1] = -8  # never alive
    weight = 0.1 * rng.uniform(0.1, 1, size=(3, 3))
    arrays = [pn.asarray(a) for a in (x, np.abs(rng.normal(size=(3, 3))), weight)]

    def states(*arrays: Any) -> Any:
        return functional.rnn_states(*arrays, batch_sizes=(3, 2, 1), nonlinearity="relu")

    gradcheck(states, arrays)
    gradgradcheck(states, arrays)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_second_derivatives_of_a_layer(rng: Any, name: str) -> None:
    layer = getattr(recurrent, name)(2, 3, num_layers=2, bidirectional=True).double()
    x = pn.asarray(rng.normal(size=(3, 2, 2)))
    gradgradcheck(lambda x: layer(x)[0], x)


# Other backends


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_on_jax_as_on_numpy(rng: Any, name: str) -> None:
    pytest.importorskip("jax", reason="runs on JAX")
    x = rng.normal(size=(3, 2, FEATURES)).astype("float32")
    cotangent = rng.normal(size=(3, 2, HIDDEN)).astype("float32")
    layer = getattr(recurrent, name)(FEATURES, HIDDEN)
    state, found = layer.state_dict(), []
    for backend_name in ("numpy", "jax"):
        with pn.use_backend(backend_name, strict=True):
            twin = getattr(recurrent, name)(FEATURES, HIDDEN)
            twin.load_state_dict(state)
            output, _ = twin(pn.asarray(x))
            output.backward(pn.asarray(cotangent))
            gradients = [pn.to_host(p.grad) for p in twin.parameters()]
            found.append([pn.to_host(output), *gradients])
    for mine, its in zip(*found, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-5)


def test_raw_arrays_go_through_untouched(rng: Any) -> None:
    """A model is a function of its arrays."""
    layer = recurrent.LSTM(FEATURES, HIDDEN, num_layers=2, bidirectional=True)
    x = rng.normal(size=(TIME, BATCH, FEATURES)).astype("float32")
    arrays = {name: value.numpy() for name, value in layer.state_dict().items()}
    output, (h, c) = pn.functional_call(layer, arrays, x)
    assert {type(part) for part in (output, h, c)} == {np.ndarray}
    expected, _ = layer(pn.asarray(x))
    np.testing.assert_array_equal(output, host(expected))


# Padding and packing


def sequences(rng: Any, lengths: list[int], *rest: int) -> list[Any]:
    return [rng.normal(size=(length, *rest)).astype("float32") for length in lengths]


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("rest", [(), (2,), (2, 3)])
def test_pad_sequence(rng: Any, rest: tuple[int, ...], side: str, batch_first: bool) -> None:
    arrays = sequences(rng, [2, 4, 1], *rest)
    options: dict[str, Any] = {
        "batch_first": batch_first,
        "padding_value": -1.5,
        "padding_side": side,
    }
    found = rnn_utils.pad_sequence([pn.asarray(a) for a in arrays], **options)
    expected = torch.nn.utils.rnn.pad_sequence([torch.tensor(a) for a in arrays], **options)
    assert_near(found, expected)
    if side == "right":
        for line, array in zip(
            rnn_utils.unpad_sequence(found, [2, 4, 1], batch_first=batch_first), arrays, strict=True
        ):
            np.testing.assert_array_equal(host(line), array)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [[5, 4, 2], [2, 5, 3], [1, 1, 1]])
@pytest.mark.parametrize("total_length", [None, 7])
def test_pack_and_pad(rng: Any, lengths: list[int], batch_first: bool, total_length: int | None) -> None:
    shape = (3, 5, 2) if batch_first else (5, 3, 2)
    (x,), (its_x,) = leaves(rng, "float32", shape)
    utils = torch.nn.utils.rnn
    packed = rnn_utils.pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
    expected = utils.pack_padded_sequence(its_x, lengths, batch_first, enforce_sorted=False)
    assert list(packed.batch_sizes) == expected.batch_sizes.tolist()
    assert_near(packed.data, expected.data, "packed")
    assert packed.sorted_indices.tolist() == expected.sorted_indices.tolist()
    assert packed.unsorted_indices.tolist() == expected.unsorted_indices.tolist()
    padded, found = rnn_utils.pad_packed_sequence(packed, batch_first, 0.5, total_length)
    its_padded, its_lengths = utils.pad_packed_sequence(expected, batch_first, 0.5, total_length)
    assert_near(padded, its_padded, "padded")
    assert found.tolist() == its_lengths.tolist() == lengths
    cotangent = rng.normal(size=padded.shape).astype("float32")
    padded.backward(pn.asarray(cotangent))
    its_padded.backward(torch.tensor(cotangent))
    assert_near(x.grad, its_x.grad, "gradient")


def test_pack_sequence(rng: Any) -> None:
    arrays = sequences(rng, [2, 4, 1], 3)
    packed = rnn_utils.pack_sequence([pn.asarray(a) for a in arrays], enforce_sorted=False)
    expected = torch.nn.utils.rnn.pack_sequence([torch.tensor(a) for a in arrays], enforce_sorted=False)
    assert_near(packed.data, expected.data)
    assert list(packed.batch_sizes) == expected.batch_sizes.tolist()
    for line, array in zip(rnn_utils.unpack_sequence(packed), arrays, strict=True):
        np.testing.assert_array_equal(host(line), array)
    in_order = rnn_utils.pack_sequence([pn.asarray(a) for a in sequences(rng, [3, 2])])
    assert in_order.batch_sizes == (2, 2, 1)
    assert in_order.sorted_indices is None
    raw = rnn_utils.pack_sequence(sequences(rng, [3, 2]))
    assert type(raw.data) is np.ndarray


# Messages


def test_bad_input() -> None:
    lstm, gru = recurrent.LSTM(3, 4), recurrent.GRU(3, 4, batch_first=True)
    with pytest.raises(ShapeError, match=r"input: LSTM expects shape \(time, batch, 3\).*got \(5, 2, 7\)"):
        lstm(pn.zeros((5, 2, 7)))
    with pytest.raises(ShapeError, match=r"input: GRU expects shape \(batch, time, 3\)"):
        gru(pn.zeros((3,)))
    with pytest.raises(ShapeError, match="at least one time step"):
        lstm(pn.zeros((0, 2, 3)))
    with pytest.raises(ShapeError, match=r"h_0 of shape \(1, 2, 4\), got \(1, 5, 4\)"):
        lstm(pn.zeros((5, 2, 3)), (pn.zeros((1, 5, 4)), pn.zeros((1, 2, 4))))
    with pytest.raises(DTypeError, match="hx: GRU expects h_0 in the input's data type float32, got float64"):
        gru(pn.zeros((2, 5, 3)), pn.zeros((1, 2, 4), dtype=pn.float64))
    with pytest.raises(DTypeError, match="hx: RNNCell expects h_0 in the input's data type"):
        recurrent_cells.RNNCell(3, 4)(pn.zeros((2, 3)), pn.zeros((2, 4), dtype=pn.float64))
    with pytest.raises(ShapeError, match="expects h_0 and c_0, as a tuple if there are two; got one array"):
        lstm(pn.zeros((5, 2, 3)), pn.zeros((1, 2, 4)))
    with pytest.raises(OptionError, match="proj_size: expected a whole number below hidden_size=4"):
        recurrent.LSTM(3, 4, proj_size=4)
    with pytest.raises(OptionError, match="nonlinearity: expected 'tanh' or 'relu', got 'gelu'"):
        recurrent.RNN(3, 4, nonlinearity="gelu")
    with pytest.raises(OptionError, match="dropout"):
        recurrent.GRU(3, 4, 2, dropout=1.5)
    with pytest.raises(OptionError, match="hidden_size"):
        recurrent.GRU(3, 0)
    with pytest.raises(ShapeError, match=r"input: LSTMCell expects shape \(batch, 3\) or \(3,\)"):
        recurrent_cells.LSTMCell(3, 4)(pn.zeros((2, 5)))
    with pytest.raises(ShapeError, match=r"hx: GRUCell expects states of shape \(2, 4\), got \(2, 3\)"):
        recurrent_cells.GRUCell(3, 4)(pn.zeros((2, 3)), pn.zeros((2, 3)))
    with pytest.raises(ShapeError, match="weight_hh: gru_states expects shape"):
        functional.gru_states(pn.zeros((2, 9)), pn.zeros((2, 3)), pn.zeros((9, 4)), None, batch_sizes=(2,))
    with pytest.raises(ShapeError, match="batch_sizes: rnn_states expects counts that never grow"):
        functional.rnn_states(pn.zeros((3, 3)), pn.zeros((1, 3)), pn.zeros((3, 3)), batch_sizes=(1, 2))


def test_bad_lengths() -> None:
    x = pn.zeros((4, 2, 3))
    with pytest.raises(ShapeError, match="lengths: expected one for each of 2 sequences"):
        rnn_utils.pack_padded_sequence(x, [1, 2, 3])
    with pytest.raises(OptionError, match=r"lengths\[1\]: expected a whole number of at least 1, got 0"):
        rnn_utils.pack_padded_sequence(x, [4, 0])
    with pytest.raises(DataError, match="lengths: expected at most 4"):
        rnn_utils.pack_padded_sequence(x, [5, 1])
    with pytest.raises(OptionError, match="enforce_sorted=False"):
        rnn_utils.pack_padded_sequence(x, [1, 3])
    with pytest.raises(ShapeError, match="agree in all axes but the first"):
        rnn_utils.pad_sequence([pn.zeros((2, 3)), pn.zeros((2, 4))])
    with pytest.raises(TypeError, match="expects a PackedSequence, got Tensor"):
        rnn_utils.pad_packed_sequence(x)
    with pytest.raises(OptionError, match="total_length: expected at least"):
        rnn_utils.pad_packed_sequence(rnn_utils.pack_padded_sequence(x, [4, 2]), total_length=3)
