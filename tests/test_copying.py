"""Tensors, models and optimizers that are copied, or handed to another process, are whole and on their own."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn, optim
from portanet.errors import GradientError

pytestmark = pytest.mark.usefixtures("backend")


def through_pickle(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@pytest.fixture(params=[copy.deepcopy, through_pickle], ids=["deepcopy", "pickle"])
def twin_of(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return request.param  # type: ignore[no-any-return]


def test_a_tensor_keeps_its_values_gradient_and_kind(
    twin_of: Callable[[Any], Any], rng: np.random.Generator
) -> None:
    values = rng.normal(size=(3, 2)).astype(np.float32)
    for tensor in (
        pn.asarray(values),
        pn.asarray(rng.integers(0, 9, 4)),
        pn.Tensor(values, requires_grad=True),
        nn.Parameter(values),
        nn.Parameter(values, requires_grad=False),
        nn.Buffer(values, persistent=False),
    ):
        if tensor.requires_grad:
            (tensor * tensor).sum().backward()
        twin = twin_of(tensor)
        assert type(twin) is type(tensor)
        assert (twin.dtype, twin.device, twin.requires_grad) == (
            tensor.dtype,
            tensor.device,
            tensor.requires_grad,
        )
        np.testing.assert_array_equal(twin.detach().numpy(), tensor.detach().numpy())
        if tensor.requires_grad:
            np.testing.assert_array_equal(twin.grad.detach().numpy(), tensor.grad.detach().numpy())
            (twin * twin).sum().backward()
            np.testing.assert_allclose(twin.grad.detach().numpy(), 4 * values, rtol=1e-6)
            np.testing.assert_allclose(tensor.grad.detach().numpy(), 2 * values, rtol=1e-6)
        else:
            assert twin.grad is None
        if isinstance(tensor, nn.Buffer):
            assert twin.persistent is False


def test_a_computed_tensor_is_refused_with_the_way_out(twin_of: Callable[[Any], Any]) -> None:
    computed = pn.Tensor([1.0, 2.0], requires_grad=True) * 2
    with pytest.raises(GradientError, match=r"copy: .* use \.detach\(\)"):
        twin_of(computed)
    np.testing.assert_array_equal(twin_of(computed.detach()).detach().numpy(), [2.0, 4.0])


def test_a_shallow_copy_shares_its_array_and_the_count_of_writes() -> None:
    weight = nn.Parameter([1.0, 2.0])
    twin = copy.copy(weight)
    assert twin.data is weight.data
    product = (twin * twin).sum()
    weight.data = pn.asarray([3.0, 4.0])
    with pytest.raises(GradientError):
        product.backward()


def test_tied_parameters_stay_tied(twin_of: Callable[[Any], Any]) -> None:
    first, last = nn.Linear(3, 3), nn.Linear(3, 3)
    last.weight = first.weight
    twin = twin_of(nn.Sequential(first, nn.ReLU(), last))
    assert twin[0].weight is twin[2].weight
    assert twin[0].weight is not first.weight
    assert len(list(twin.parameters())) == 3


def networks() -> list[tuple[nn.Module, tuple[int, ...]]]:
    return [
        (nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2)), (6, 4)),
        (nn.Sequential(nn.Conv2d(1, 3, 3), nn.GELU(), nn.MaxPool2d(2), nn.Flatten()), (2, 1, 8, 8)),
        (nn.LSTM(3, 4, num_layers=2), (5, 2, 3)),
        (nn.TransformerEncoderLayer(8, 2, 16), (5, 2, 8)),
    ]


@pytest.mark.parametrize("number", range(4))
def test_networks_answer_alike_and_train_apart(
    twin_of: Callable[[Any], Any], number: int, rng: np.random.Generator
) -> None:
    network, shape = networks()[number]
    x = pn.asarray(rng.normal(size=shape).astype(np.float32))

    def answer(network: nn.Module) -> np.ndarray:
        result = network.eval()(x)
        return (result[0] if isinstance(result, tuple) else result).detach().numpy()

    twin = twin_of(network)
    before = answer(network)
    np.testing.assert_array_equal(answer(twin), before)
    for parameter in twin.parameters():
        parameter.data = parameter.detach() + 1
    np.testing.assert_array_equal(answer(network), before)
    assert np.abs(answer(twin) - before).max() > 0


def test_a_lazy_layer_is_still_lazy(twin_of: Callable[[Any], Any]) -> None:
    twin = twin_of(nn.LazyLinear(3))
    assert isinstance(twin.weight, nn.UninitializedParameter)
    assert twin(pn.zeros((2, 5))).shape == (2, 3)
    assert twin.weight.shape == (3, 5)


@pytest.mark.parametrize(
    "normalise",
    [
        nn.utils.weight_norm,
        nn.utils.spectral_norm,
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.orthogonal,
    ],
)
def test_a_computed_weight_is_still_computed(
    twin_of: Callable[[Any], Any], normalise: Callable[[nn.Module], nn.Module], rng: np.random.Generator
) -> None:
    layer = normalise(nn.Linear(3, 3)).eval()
    x = pn.asarray(rng.normal(size=(2, 3)).astype(np.float32))
    twin = twin_of(layer)
    np.testing.assert_array_equal(twin(x).detach().numpy(), layer(x).detach().numpy())
    assert twin.state_dict().keys() == layer.state_dict().keys() != nn.Linear(3, 3).state_dict().keys()
    for parameter in twin.parameters():
        parameter.data = parameter.detach() * 2 + 1
    assert np.abs(twin(x).detach().numpy() - layer(x).detach().numpy()).max() > 0
    assert isinstance(twin_of(twin), nn.Linear)


OPTIMIZERS: list[Callable[[Any], optim.Optimizer]] = [
    lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9),
    lambda parameters: optim.AdamW(parameters, lr=0.1),
    lambda parameters: optim.Adafactor(parameters, lr=0.1),
]


@pytest.mark.parametrize("number", range(len(OPTIMIZERS)))
def test_a_model_with_its_optimizer_and_schedule_goes_on_alike(
    twin_of: Callable[[Any], Any], number: int, rng: np.random.Generator
) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = OPTIMIZERS[number](model.parameters())
    schedule = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    x = pn.asarray(rng.normal(size=(5, 3)).astype(np.float32))

    def train(model: Any, optimizer: Any, schedule: Any, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            (model(x) ** 2).sum().backward()
            optimizer.step()
            schedule.step()

    train(model, optimizer, schedule, 3)
    twins = twin_of((model, optimizer, schedule))
    before = [parameter.detach().numpy().copy() for parameter in model.parameters()]
    train(*twins, 3)
    for parameter, old in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.detach().numpy(), old)
    train(model, optimizer, schedule, 3)
    assert twins[1].param_groups[0]["lr"] == optimizer.param_groups[0]["lr"] == 0.0125
    for parameter, twin in zip(model.parameters(), twins[0].parameters(), strict=True):
        np.testing.assert_array_equal(parameter.detach().numpy(), twin.detach().numpy())
