"""Layers against PyTorch's from the same state dict: output, every gradient, and the printed form."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")

# Each makes a layer from the nn package that it is given, portanet's or PyTorch's.
CASES: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "linear": (lambda nn: nn.Linear(7, 5), (6, 7)),
    "linear-without-bias": (lambda nn: nn.Linear(7, 5, bias=False), (6, 7)),
    "linear-one-row": (lambda nn: nn.Linear(7, 5), (7,)),
    "linear-leading-axes": (lambda nn: nn.Linear(7, 6), (2, 3, 4, 7)),
    "linear-empty-batch": (lambda nn: nn.Linear(7, 5), (0, 7)),
    "linear-wide": (lambda nn: nn.Linear(300, 200), (64, 300)),
    "sigmoid": (lambda nn: nn.Sigmoid(), (5, 4)),
    "tanh": (lambda nn: nn.Tanh(), (2, 5, 4)),
    "relu": (lambda nn: nn.ReLU(), (5, 4)),
    "identity": (lambda nn: nn.Identity(3, unused=True), (5, 4)),
    "softmax-rows": (lambda nn: nn.Softmax(dim=1), (5, 4)),
    "softmax-columns": (lambda nn: nn.Softmax(dim=0), (5, 4)),
    "softmax-last": (lambda nn: nn.Softmax(dim=-1), (2, 3, 6)),
    "flatten": (lambda nn: nn.Flatten(), (2, 3, 4)),
    "flatten-all": (lambda nn: nn.Flatten(0), (2, 3, 4)),
    "flatten-some": (lambda nn: nn.Flatten(1, 2), (2, 3, 4, 5)),
    "mlp": (
        lambda nn: nn.Sequential(
            nn.Flatten(),
            nn.Linear(12, 9),
            nn.ReLU(),
            nn.Linear(9, 8),
            nn.Tanh(),
            nn.Linear(8, 3),
            nn.Softmax(dim=1),
        ),
        (6, 3, 4),
    ),
    "named": (
        lambda nn: nn.Sequential(OrderedDict([("a", nn.Linear(4, 3)), ("b", nn.Sequential(nn.Sigmoid()))])),
        (5, 4),
    ),
}


@DTYPES
@pytest.mark.parametrize("backend_name", ["numpy", "array-api-strict"])
@pytest.mark.parametrize("case", CASES)
def test_output_and_every_gradient(rng: Any, case: str, backend_name: str, dtype: str) -> None:
    if backend_name != "numpy":
        pytest.importorskip("array_api_strict", reason="proves the ops on the bare standard")
    make, shape = CASES[case]
    reference = make(torch.nn).to(getattr(torch, dtype))
    with pn.use_backend(backend_name, strict=True):
        layer = make(pn.nn).to(getattr(pn, dtype))
        layer.load_state_dict(reference.state_dict())
        values = 2 * rng.normal(size=shape)
        x = pn.asarray(values.astype(dtype)).requires_grad_()
        its_x = torch.tensor(values.astype(dtype), requires_grad=True)
        found, expected = layer(x), reference(its_x)
        assert_near(found, expected, "output")
        cotangent = rng.normal(size=tuple(expected.shape)).astype(dtype)
        found.backward(pn.asarray(cotangent))
        expected.backward(torch.tensor(cotangent))
    assert_near(x.grad, its_x.grad, "gradient of the input")
    names = [name for name, _ in layer.named_parameters()]
    assert names == [name for name, _ in reference.named_parameters()]
    for name, parameter in reference.named_parameters():
        assert_near(layer.get_parameter(name).grad, parameter.grad, name)


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_a_lazy_layer_becomes_pytorchs_layer(rng: Any) -> None:
    x = rng.normal(size=(4, 6)).astype("float32")
    reference = torch.nn.LazyLinear(3)
    expected = reference(torch.tensor(x))
    layer = pn.nn.LazyLinear(3)
    layer.load_state_dict(reference.state_dict())
    assert_near(layer(pn.asarray(x)), expected)
    assert repr(layer) == repr(reference)


@pytest.mark.parametrize("case", CASES)
def test_the_printed_form(case: str) -> None:
    make, _ = CASES[case]
    assert repr(make(pn.nn)) == repr(make(torch.nn))


@pytest.mark.parametrize(
    "make",
    [
        lambda nn: nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 3), nn.ReLU(), nn.ReLU()]),
        lambda nn: nn.ModuleList([nn.Sequential(nn.Linear(2, 2), nn.Tanh()) for _ in range(3)]),
        lambda nn: nn.ModuleList(),
        lambda nn: nn.ModuleDict(
            {"body": nn.Sequential(nn.Linear(2, 2, bias=False)), "head": nn.Linear(2, 1)}
        ),
        lambda nn: nn.Sequential(nn.Sequential(), nn.ReLU(inplace=True), nn.Flatten(0, 1)),
        lambda nn: nn.MSELoss(reduction="sum"),
        lambda nn: nn.CrossEntropyLoss(label_smoothing=0.1),
    ],
)
def test_the_printed_form_of_containers_and_losses(make: Callable[[Any], Any]) -> None:
    assert repr(make(pn.nn)) == repr(make(torch.nn))


def test_the_printed_form_of_a_model_of_ones_own() -> None:
    def net(nn: Any) -> Any:
        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.fc1 = nn.Linear(2, 5)
                self.act = nn.Tanh()
                self.rest = nn.Sequential(nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 1))
                self.loss = nn.BCEWithLogitsLoss()

            def extra_repr(self) -> str:
                return "first line\nsecond line"

        class Bare(nn.Module):
            def extra_repr(self) -> str:
                return "first line\nsecond line"

        return nn.Sequential(Net(), Bare())

    assert repr(net(pn.nn)) == repr(net(torch.nn))


def test_initial_weights_have_pytorchs_distribution() -> None:
    """The same bounds, and means and deviations as near as chance allows."""
    pn.manual_seed(1)
    torch.manual_seed(1)
    layer, reference = pn.nn.Linear(50, 2000), torch.nn.Linear(50, 2000)
    for name, parameter in reference.named_parameters():
        mine, its = layer.get_parameter(name).detach().numpy(), parameter.detach().numpy()
        assert abs(mine).max() <= 50**-0.5
        assert abs(its).max() <= 50**-0.5
        assert mine.std() == pytest.approx(its.std(), rel=0.05)
        assert abs(mine.mean() - its.mean()) < 6 * its.std() / np.sqrt(mine.size)
