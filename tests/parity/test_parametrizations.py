"""Weight and spectral normalisation and orthogonal weights against PyTorch's: values, gradients, buffers, training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.nn.utils import parametrizations, parametrize
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")

# Each makes a layer from the two modules that it is given, portanet's or PyTorch's.
CASES: dict[str, tuple[Callable[[Any, Any], Any], tuple[int, ...]]] = {
    "weight-linear": (lambda nn, p: p.weight_norm(nn.Linear(5, 3)), (4, 5)),
    "weight-linear-1": (lambda nn, p: p.weight_norm(nn.Linear(5, 3), dim=1), (4, 5)),
    "weight-linear-all": (lambda nn, p: p.weight_norm(nn.Linear(5, 3), dim=None), (4, 5)),
    "weight-linear-last-is-all": (lambda nn, p: p.weight_norm(nn.Linear(5, 3), dim=-1), (4, 5)),
    "weight-linear-from-end": (lambda nn, p: p.weight_norm(nn.Linear(5, 3), dim=-2), (4, 5)),
    "weight-bias": (lambda nn, p: p.weight_norm(nn.Linear(5, 3), "bias"), (4, 5)),
    "weight-both": (lambda nn, p: p.weight_norm(p.weight_norm(nn.Linear(5, 3)), "bias", dim=None), (4, 5)),
    "weight-conv-1": (lambda nn, p: p.weight_norm(nn.Conv1d(2, 4, 3, groups=2), dim=2), (3, 2, 6)),
    "weight-conv-2": (lambda nn, p: p.weight_norm(nn.Conv2d(2, 3, (2, 3))), (2, 2, 4, 5)),
    "weight-conv-2-in": (lambda nn, p: p.weight_norm(nn.Conv2d(2, 3, (2, 3), bias=False), dim=1), (2, 2, 4, 5)),
    "weight-conv-2-all": (lambda nn, p: p.weight_norm(nn.Conv2d(2, 3, 2, stride=2), dim=None), (2, 2, 4, 6)),
    "weight-transposed": (lambda nn, p: p.weight_norm(nn.ConvTranspose1d(3, 2, 3)), (2, 3, 4)),
    "weight-transposed-out": (lambda nn, p: p.weight_norm(nn.ConvTranspose2d(3, 2, 2), dim=1), (2, 3, 3, 2)),
    "spectral-linear": (lambda nn, p: p.spectral_norm(nn.Linear(5, 3)), (4, 5)),
    "spectral-linear-thrice": (lambda nn, p: p.spectral_norm(nn.Linear(3, 5), n_power_iterations=3), (4, 3)),
    "spectral-linear-dim": (lambda nn, p: p.spectral_norm(nn.Linear(3, 5), dim=-1, eps=1e-6), (4, 3)),
    "spectral-bias": (lambda nn, p: p.spectral_norm(nn.Linear(3, 5), "bias"), (4, 3)),
    "spectral-conv": (lambda nn, p: p.spectral_norm(nn.Conv2d(2, 3, (2, 3))), (2, 2, 4, 5)),
    "spectral-transposed": (lambda nn, p: p.spectral_norm(nn.ConvTranspose1d(3, 2, 3)), (2, 3, 4)),
    "exp-square": (lambda nn, p: p.orthogonal(nn.Linear(4, 4)), (3, 4)),
    "exp-wide": (lambda nn, p: p.orthogonal(nn.Linear(5, 3), orthogonal_map="matrix_exp"), (3, 5)),
    "exp-tall": (lambda nn, p: p.orthogonal(nn.Linear(3, 5), orthogonal_map="matrix_exp"), (3, 3)),
    "exp-batch": (lambda nn, p: p.orthogonal(nn.Conv2d(2, 3, (3, 2)), orthogonal_map="matrix_exp"), (2, 2, 4, 5)),
    "cayley-square": (lambda nn, p: p.orthogonal(nn.Linear(4, 4), orthogonal_map="cayley"), (3, 4)),
    "cayley-wide": (lambda nn, p: p.orthogonal(nn.Linear(5, 3), orthogonal_map="cayley"), (3, 5)),
    "cayley-batch": (lambda nn, p: p.orthogonal(nn.Conv1d(2, 4, 3), orthogonal_map="cayley"), (2, 2, 5)),
    "householder-tall": (lambda nn, p: p.orthogonal(nn.Linear(3, 5)), (4, 3)),
    "householder-wide": (lambda nn, p: p.orthogonal(nn.Linear(5, 3)), (4, 5)),
    "householder-square": (lambda nn, p: p.orthogonal(nn.Linear(4, 4), orthogonal_map="householder"), (3, 4)),
    "householder-bare": (lambda nn, p: p.orthogonal(nn.Linear(3, 5), use_trivialization=False), (4, 3)),
    "householder-batch": (lambda nn, p: p.orthogonal(nn.Conv1d(2, 4, 3), use_trivialization=False), (2, 2, 5)),
}  # fmt: skip
EVERY_CASE = pytest.mark.parametrize("case", CASES)
ORTHOGONAL = [case for case in CASES if case.split("-")[0] in ("exp", "cayley", "householder")]
SPECTRAL = [case for case in CASES if case.startswith("spectral")]


def pair(rng: Any, case: str, dtype: str) -> tuple[Any, Any]:
    """The layer and PyTorch's, in the same state; of orthogonal ones the originals are away from where they begin."""
    make, _ = CASES[case]
    mine = make(pn.nn, parametrizations).to(getattr(pn, dtype))
    its = make(torch.nn, torch.nn.utils.parametrizations).to(getattr(torch, dtype))
    assert repr(mine) == repr(its)
    assert [name for name, _ in mine.named_parameters()] == [name for name, _ in its.named_parameters()]
    assert list(mine.state_dict()) == list(its.state_dict())
    if case in ORTHOGONAL:
        original = its.parametrizations.weight.original.detach()
        moved = 0.5 * rng.normal(size=tuple(original.shape))
        for j in range(min(moved.shape[-2:])):
            moved[..., j, j] = 0.0  # signs stand there
        original += torch.tensor(moved, dtype=original.dtype)
    mine.load_state_dict({name: value.numpy() for name, value in its.state_dict().items()})
    return mine, its


def tensors(rng: Any, shape: tuple[int, ...], dtype: str) -> tuple[Any, Any]:
    values = rng.normal(size=shape).astype(dtype)
    return pn.asarray(values).requires_grad_(), torch.tensor(values, requires_grad=True)


def compare(rng: Any, mine: Any, its: Any, shape: tuple[int, ...], dtype: str) -> None:
    """Output, gradients, and all state after it."""
    x, its_x = tensors(rng, shape, dtype)
    found, expected = mine(x), its(its_x)
    assert_near(found, expected, "output", scale=1.0)
    cotangent = rng.normal(size=tuple(expected.shape)).astype(dtype)
    mine.zero_grad()
    its.zero_grad()
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))
    assert_near(x.grad, its_x.grad, "gradient of the input", scale=1.0)
    size = float(np.abs(cotangent).sum())
    for name, parameter in its.named_parameters():
        assert_near(mine.get_parameter(name).grad, parameter.grad, name, scale=size)
    compare_states(mine, its)


def compare_states(mine: Any, its: Any) -> None:
    state = mine.state_dict()
    for name, value in its.state_dict().items():
        assert_near(state[name], value, name, scale=1.0)


@DTYPES
@EVERY_CASE
def test_values_gradients_and_buffers_in_training_and_evaluation(rng: Any, case: str, dtype: str) -> None:
    mine, its = pair(rng, case, dtype)
    for _ in range(3):
        compare(rng, mine, its, CASES[case][1], dtype)
    mine.eval(), its.eval()
    before = {name: value.numpy().copy() for name, value in mine.state_dict().items()}
    compare(rng, mine, its, CASES[case][1], dtype)
    for name, value in mine.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


@DTYPES
@pytest.mark.parametrize("case", SPECTRAL)
def test_power_iterations_come_to_the_largest_singular_value(rng: Any, case: str, dtype: str) -> None:
    mine, its = pair(rng, case, dtype)
    for _ in range(60):
        weight = mine.weight
        its.weight  # noqa: B018
    compare_states(mine, its)
    if not is_vector(mine):
        matrix = np.moveaxis(weight.detach().numpy(), mine.parametrizations.weight[0].dim, 0)
        matrix = matrix.reshape(len(matrix), -1)
        assert 0.99 < np.linalg.norm(matrix, ord=2) < 1.1


def is_vector(layer: Any) -> bool:
    return not parametrize.is_parametrized(layer, "weight")


@DTYPES
@pytest.mark.parametrize("case", ORTHOGONAL)
def test_orthogonal_weights_are_orthonormal_and_begin_where_pytorchs_do(
    rng: Any, case: str, dtype: str
) -> None:
    mine, _ = pair(rng, case, dtype)
    # What a plain tensor becomes when it is assigned: the orthogonal factor, the same in both libraries.
    make, _ = CASES[case]
    other = make(torch.nn, torch.nn.utils.parametrizations).to(getattr(torch, dtype))
    values = rng.normal(size=tuple(mine.weight.shape)).astype(dtype)
    mine.weight, other.weight = pn.asarray(values), torch.tensor(values)
    assert_near(mine.weight, other.weight, "assigned", scale=1.0)
    if not hasattr(other.parametrizations.weight[0], "base"):
        assert_near(mine.parametrizations.weight.original, other.parametrizations.weight.original, "original")
    # One that is orthogonal already stays as it is.
    orthogonal = other.weight.detach()
    mine.weight = pn.asarray(orthogonal.numpy())
    assert_near(mine.weight, orthogonal, "orthogonal", scale=1.0)
    # And with any other values below the diagonal of the original it is orthogonal, too.
    original = mine.parametrizations.weight.original
    moved = np.tril(rng.normal(size=original.shape), k=-1) + np.triu(rng.normal(size=original.shape), k=1)
    with pn.no_grad():
        original.data = (original + pn.asarray(moved.astype(dtype))).data
    weight = mine.weight.detach().numpy().astype("float64")
    assert np.abs(weight - orthogonal.numpy()).max() > 0.01
    if weight.shape[-2] < weight.shape[-1]:
        weight = np.swapaxes(weight, -1, -2)
    gram = np.swapaxes(weight, -1, -2) @ weight
    bound = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(gram.shape[-1]), gram.shape), rtol=0, atol=bound)


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley"])
def test_unitary_weights(rng: Any, orthogonal_map: str) -> None:
    class Holder:
        def __init__(self, library: Any, values: Any) -> None:
            self.module = library.nn.Module()
            self.module.weight = library.nn.Parameter(library.asarray(values))

    values = rng.normal(size=(4, 3)) + 1j * rng.normal(size=(4, 3))
    mine, its = Holder(pn, values).module, Holder(torch, values).module
    parametrizations.orthogonal(mine, orthogonal_map=orthogonal_map)
    torch.nn.utils.parametrizations.orthogonal(its, orthogonal_map=orthogonal_map)
    moved = rng.normal(size=(4, 3)) + 1j * rng.normal(size=(4, 3))
    its.parametrizations.weight.original.data += torch.tensor(moved)
    mine.load_state_dict({name: value.numpy() for name, value in its.state_dict().items()})
    assert_complex_near(mine.weight, its.weight)
    cotangent = rng.normal(size=(4, 3)) + 1j * rng.normal(size=(4, 3))
    mine.weight.backward(pn.asarray(cotangent))
    its.weight.backward(torch.tensor(cotangent))
    assert_complex_near(mine.parametrizations.weight.original.grad, its.parametrizations.weight.original.grad)


def assert_complex_near(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(
        found.detach().numpy(), expected.detach().resolve_conj().numpy(), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("scale", [0.0, 1e-3, 0.3, 3.0, 40.0, 300.0])
def test_matrix_exponential_of_small_and_large_angles(rng: Any, scale: float) -> None:
    from portanet.nn.utils.orthogonal_maps import matrix_exp, skew

    values = scale * rng.normal(size=(3, 4, 4))
    values[1] *= 0.01
    a = skew(pn.asarray(values))
    expected = torch.matrix_exp(torch.tensor(a.numpy()))
    np.testing.assert_allclose(matrix_exp(a).numpy(), expected.numpy(), rtol=0, atol=1e-11)


@DTYPES
@EVERY_CASE
def test_twenty_steps_of_sgd(rng: Any, case: str, dtype: str) -> None:
    mine, its = pair(rng, case, dtype)
    shape = CASES[case][1]
    my_optimizer = pn.optim.SGD(mine.parameters(), lr=0.02, momentum=0.5)
    its_optimizer = torch.optim.SGD(its.parameters(), lr=0.02, momentum=0.5)
    values = rng.normal(size=shape).astype(dtype)
    target = rng.normal(size=tuple(its(torch.tensor(values)).shape)).astype(dtype)
    mine(pn.asarray(values))  # the same number of looks in both
    losses = []
    for _ in range(20):
        my_loss = ((mine(pn.asarray(values)) - pn.asarray(target)) ** 2).mean()
        its_loss = ((its(torch.tensor(values)) - torch.tensor(target)) ** 2).mean()
        for loss, optimizer in ((my_loss, my_optimizer), (its_loss, its_optimizer)):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert_near(my_loss, its_loss, "loss", scale=1.0)
        losses.append(my_loss.item())
    assert losses[-1] < losses[0]
    compare_states(mine, its)


@EVERY_CASE
def test_state_dicts_go_both_ways(rng: Any, case: str) -> None:
    make, shape = CASES[case]
    mine, its = pair(rng, case, "float32")
    x, its_x = tensors(rng, shape, "float32")
    mine.eval(), its.eval()
    other = make(torch.nn, torch.nn.utils.parametrizations).eval()
    result = other.load_state_dict(
        {name: torch.tensor(value.numpy()) for name, value in mine.state_dict().items()}
    )
    assert not result.missing_keys
    assert not result.unexpected_keys
    assert_near(mine(x), other(its_x), "to PyTorch", scale=1.0)
    another = make(pn.nn, parametrizations).eval()
    another.load_state_dict({name: value.numpy() for name, value in its.state_dict().items()})
    assert_near(another(x), its(its_x), "from PyTorch", scale=1.0)


def test_recurrent_embedding_and_attention_layers(rng: Any) -> None:
    def lstm(nn: Any, p: Any) -> Any:
        return p.weight_norm(p.weight_norm(nn.LSTM(3, 4, 2), "weight_hh_l0"), "weight_ih_l1", dim=1)

    def gru(nn: Any, p: Any) -> Any:
        return p.spectral_norm(nn.GRU(3, 4), "weight_hh_l0")

    def cell(nn: Any, p: Any) -> Any:
        return p.orthogonal(nn.RNNCell(3, 4), "weight_hh")

    for make, shape in ((lstm, (5, 2, 3)), (gru, (5, 2, 3)), (cell, (2, 3))):
        mine, its = make(pn.nn, parametrizations), make(torch.nn, torch.nn.utils.parametrizations)
        assert repr(mine) == repr(its)
        mine.load_state_dict({name: value.numpy() for name, value in its.state_dict().items()})
        # In training PyTorch reads recurrent weights a number of times that is its own, and each reading iterates.
        mine.eval(), its.eval()
        x, its_x = tensors(rng, shape, "float32")
        found, expected = mine(x), its(its_x)
        if isinstance(found, tuple):
            found, expected = found[0], expected[0]
        assert_near(found, expected, "output")
        found.sum().backward()
        expected.sum().backward()
        for name, parameter in its.named_parameters():
            assert_near(mine.get_parameter(name).grad, parameter.grad, name, scale=10.0)

    mine = parametrizations.weight_norm(pn.nn.Embedding(6, 3))
    its = torch.nn.utils.parametrizations.weight_norm(torch.nn.Embedding(6, 3))
    mine.load_state_dict({name: value.numpy() for name, value in its.state_dict().items()})
    indices = rng.integers(0, 6, size=(2, 4))
    assert_near(mine(pn.asarray(indices)), its(torch.tensor(indices)), "embedding")

    mine = parametrizations.weight_norm(pn.nn.MultiheadAttention(4, 2), "in_proj_weight")
    its = torch.nn.utils.parametrizations.weight_norm(torch.nn.MultiheadAttention(4, 2), "in_proj_weight")
    assert list(mine.state_dict()) == list(its.state_dict())
    mine.load_state_dict({name: value.numpy() for name, value in its.state_dict().items()})
    x, its_x = tensors(rng, (5, 3, 4), "float32")
    assert_near(mine(x, x, x)[0], its(its_x, its_x, its_x)[0], "attention", scale=1.0)


def test_removed_parametrizations_leave_what_pytorch_leaves(rng: Any) -> None:
    for case in ("weight-linear", "spectral-conv", "exp-square", "householder-wide"):
        for leave in (True, False) if case != "weight-linear" else (True,):
            mine, its = pair(rng, case, "float64")
            mine.eval(), its.eval()
            parametrize.remove_parametrizations(mine, "weight", leave)
            torch.nn.utils.parametrize.remove_parametrizations(its, "weight", leave)
            assert [name for name, _ in mine.named_parameters()] == [
                name for name, _ in its.named_parameters()
            ]
            assert repr(mine) == repr(its)
            compare_states(mine, its)


# The older names

OLDER: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "weight": (lambda nn: nn.utils.weight_norm(nn.Linear(5, 3)), (4, 5)),
    "weight-all": (lambda nn: nn.utils.weight_norm(nn.Linear(5, 3), dim=None), (4, 5)),
    "weight-transposed": (lambda nn: nn.utils.weight_norm(nn.ConvTranspose1d(3, 2, 3), dim=1), (2, 3, 4)),
    "weight-twice": (lambda nn: nn.utils.weight_norm(nn.utils.weight_norm(nn.Linear(5, 3)), "bias"), (4, 5)),
    "spectral": (lambda nn: nn.utils.spectral_norm(nn.Linear(5, 3)), (4, 5)),
    "spectral-conv": (lambda nn: nn.utils.spectral_norm(nn.Conv2d(2, 3, 2), n_power_iterations=2), (2, 2, 3, 4)),
    "spectral-transposed": (lambda nn: nn.utils.spectral_norm(nn.ConvTranspose2d(2, 3, 2)), (2, 2, 3, 4)),
    "spectral-dim": (lambda nn: nn.utils.spectral_norm(nn.Linear(5, 3), dim=1, eps=1e-6), (4, 5)),
}  # fmt: skip


@DTYPES
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize("case", OLDER)
def test_the_older_names(rng: Any, case: str, dtype: str) -> None:
    make, shape = OLDER[case]
    mine = make(pn.nn).to(getattr(pn, dtype))
    its = make(torch.nn).to(getattr(torch, dtype))
    assert repr(mine) == repr(its)
    assert [name for name, _ in mine.named_parameters()] == [name for name, _ in its.named_parameters()]
    assert list(mine.state_dict()) == list(its.state_dict())
    mine.load_state_dict({name: value.numpy() for name, value in its.state_dict().items()})
    for _ in range(3):
        compare(rng, mine, its, shape, dtype)
    mine.eval(), its.eval()
    compare(rng, mine, its, shape, dtype)
    other = make(torch.nn).to(getattr(torch, dtype)).eval()
    other.load_state_dict({name: torch.tensor(value.numpy()) for name, value in mine.state_dict().items()})
    x, its_x = tensors(rng, shape, dtype)
    assert_near(mine(x), other(its_x), "to PyTorch", scale=1.0)
    remove = "remove_weight_norm" if case.startswith("weight") else "remove_spectral_norm"
    for library, layer in ((pn, mine), (torch, its)):
        getattr(library.nn.utils, remove)(layer)
    assert [name for name, _ in mine.named_parameters()] == [name for name, _ in its.named_parameters()]
    compare_states(mine, its)
