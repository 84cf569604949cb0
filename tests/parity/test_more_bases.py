"""What layers and schedules are built on: base classes, parameters and buffers, as PyTorch has them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import OptionError
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")

MODES = ("RNN_TANH", "RNN_RELU", "GRU", "LSTM")


def shapes(module: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_layers": 2, "bidirectional": True},
        {"bias": False, "batch_first": True},
        {"num_layers": 3, "dropout": 0.5, "proj_size": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("mode", MODES)
def test_rnn_base(mode: str, options: dict[str, Any]) -> None:
    mine, its = pn.nn.RNNBase(mode, 3, 4, **options), torch.nn.RNNBase(mode, 3, 4, **options)
    assert mine.mode == its.mode
    assert shapes(mine) == shapes(its)
    assert list(mine.state_dict()) == list(its.state_dict())
    assert repr(mine) == repr(its)
    assert [len(part) for part in mine.all_weights] == [len(part) for part in its.all_weights]
    assert max(np.abs(value.detach().numpy()).max() for value in mine.parameters()) <= 0.5  # 1 / sqrt(4)
    with pytest.raises(NotImplementedError, match=r"RNNBase must define forward\(\).*define forward\(\) in"):
        mine(pn.zeros((2, 3)))


def test_the_modes_of_recurrent_layers() -> None:
    for make in (
        lambda nn: nn.RNN(3, 4),
        lambda nn: nn.RNN(3, 4, nonlinearity="relu"),
        lambda nn: nn.GRU(3, 4),
        lambda nn: nn.LSTM(3, 4, proj_size=2),
    ):
        mine, its = make(pn.nn), make(torch.nn)
        assert mine.mode == its.mode
        assert isinstance(mine, pn.nn.RNNBase)
        assert isinstance(its, torch.nn.RNNBase)
    with pytest.raises(OptionError, match="mode: expected one of 'RNN_TANH', .*got 'SRU'"):
        pn.nn.RNNBase("SRU", 3, 4)


def highway_cell(nn: Any) -> Any:
    """A cell of a user's own, written once for both packages."""

    class HighwayCell(nn.RNNCellBase):  # type: ignore[misc]
        def __init__(self, input_size: int, hidden_size: int, bias: bool) -> None:
            super().__init__(input_size, hidden_size, bias, num_chunks=2)

        def forward(self, x: Any, h: Any) -> Any:
            linear = nn.functional.linear
            both = linear(x, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh, self.bias_hh)
            gate, new = nn.functional.sigmoid(both[:, :4]), nn.functional.tanh(both[:, 4:])
            return gate * new + (1 - gate) * h

    return HighwayCell


@DTYPES
@pytest.mark.parametrize("bias", [True, False])
def test_rnn_cell_base(rng: Any, bias: bool, dtype: str) -> None:
    mine, its = highway_cell(pn.nn)(3, 4, bias), highway_cell(torch.nn)(3, 4, bias)
    assert shapes(mine) == shapes(its)
    assert repr(mine) == repr(its)
    its.to(getattr(torch, dtype))
    mine.to(getattr(pn, dtype)).load_state_dict({k: v.numpy() for k, v in its.state_dict().items()})
    x, h = rng.normal(size=(2, 3)).astype(dtype), rng.normal(size=(2, 4)).astype(dtype)
    found, expected = mine(pn.asarray(x), pn.asarray(h)), its(torch.tensor(x), torch.tensor(h))
    assert_near(found, expected, scale=1.0)
    found.sum().backward()
    expected.sum().backward()
    for (name, parameter), (_, reference) in zip(
        mine.named_parameters(), its.named_parameters(), strict=True
    ):
        assert_near(parameter.grad, reference.grad, name, scale=1.0)
    for chunks in (1, 3):
        ours, theirs = pn.nn.RNNCellBase(3, 4, bias, chunks), torch.nn.RNNCellBase(3, 4, bias, chunks)
        assert shapes(ours) == shapes(theirs)
        assert repr(ours) == repr(theirs)
    assert isinstance(pn.nn.LSTMCell(2, 3), pn.nn.RNNCellBase)
    with pytest.raises(NotImplementedError, match=r"RNNCellBase must define forward\(\)"):
        pn.nn.RNNCellBase(3, 4, bias, 2)(pn.zeros((2, 3)))


def with_buffers(nn: Any, values: Any) -> Any:
    """A module that is given buffers by assignment, and then others in their place."""
    module = nn.Module()
    module.mean = nn.Buffer(values([1.0, 2.0]))
    module.seen = nn.Buffer(values([3.0]), persistent=False)
    module.replaced = nn.Buffer(values([4.0]))
    module.replaced = values([5.0, 6.0])
    module.hidden = nn.Buffer(values([7.0]))
    module.hidden = nn.Buffer(values([8.0]), persistent=False)
    module.shown = nn.Buffer(values([9.0]), persistent=False)
    module.shown = values([10.0])
    module.empty = nn.Buffer()
    return module


def test_buffers(rng: Any) -> None:
    mine, its = with_buffers(pn.nn, pn.asarray), with_buffers(torch.nn, torch.tensor)
    for found, expected in (
        (dict(mine.named_buffers()), dict(its.named_buffers())),
        (mine.state_dict(), its.state_dict()),
    ):
        assert list(found) == list(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name].numpy(), value.numpy())
    assert list(mine.parameters()) == []
    assert isinstance(mine.mean, pn.nn.Buffer)
    assert not mine.mean.requires_grad
    assert mine.mean.persistent
    assert not mine.seen.persistent
    for module, nn in ((mine, pn.nn), (its, torch.nn)):  # names that are something else already
        module.weight = nn.Parameter(module.mean)
        with pytest.raises(TypeError):
            module.weight = nn.Buffer(module.mean)
        module.plain = 3
        with pytest.raises(KeyError):
            module.plain = nn.Buffer(module.mean)


def test_buffers_are_copied_loaded_and_moved() -> None:
    module = pn.nn.Module()
    values = pn.asarray([1.0, 2.0])
    module.mean = pn.nn.Buffer(values)
    module.seen = pn.nn.Buffer([3.0], persistent=False)
    twin = copy.deepcopy(module)
    assert isinstance(twin.mean, pn.nn.Buffer)
    assert not twin.seen.persistent
    module.load_state_dict({"mean": pn.asarray([5.0, 6.0])})
    assert (module.mean.tolist(), twin.mean.tolist(), values.tolist()) == ([5.0, 6.0], [1.0, 2.0], [1.0, 2.0])
    module.double()
    assert module.mean.dtype == module.seen.dtype == pn.float64
    assert pn.functional_call(Scaled(), {"scale": pn.asarray([3.0])}, pn.asarray([2.0])).item() == 6.0
    with pn.use_backend("numpy"):
        assert repr(pn.nn.Buffer([1.0])) == "Buffer([1.])"


class Scaled(pn.nn.Module):
    """A module whose only state is a buffer."""

    def __init__(self) -> None:
        self.scale = pn.nn.Buffer([1.0])

    def forward(self, x: Any) -> Any:
        return x * self.scale


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_parameters_without_a_shape() -> None:
    mine, its = pn.nn.LazyLinear(3), torch.nn.LazyLinear(3)
    assert isinstance(mine.weight, pn.nn.UninitializedParameter)
    assert isinstance(its.weight, torch.nn.UninitializedParameter)
    mine(pn.zeros((2, 5)))
    its(torch.zeros((2, 5)))
    assert shapes(mine) == shapes(its)
    assert type(mine.weight) is pn.nn.Parameter
    assert type(its.weight) is torch.nn.Parameter


def test_containers_of_parameters() -> None:
    for made in (
        lambda nn, a: nn.ParameterList([a((2, 3)), a((4,))]),
        lambda nn, a: nn.ParameterList([nn.Parameter(a((2,)))]).extend([nn.Parameter(a((1,)))]),
        lambda nn, a: nn.ParameterDict({"b": a((2, 3)), "a": nn.Parameter(a(()))}),
        lambda nn, a: nn.ParameterDict([("x", nn.Parameter(a((1,)))), ("y", nn.Parameter(a((2,))))]),
    ):
        mine, its = made(pn.nn, pn.ones), made(torch.nn, torch.ones)
        assert shapes(mine) == shapes(its)
        assert len(mine) == len(its)
        assert [name for name, _ in mine.named_parameters()] == [name for name, _ in its.named_parameters()]


def zigzag(package: Any, optim: Any) -> Any:
    """A schedule of a user's own, written once for both packages."""

    class Zigzag(optim.lr_scheduler.LRScheduler):  # type: ignore[misc]
        def __init__(self, optimizer: Any, period: int) -> None:
            self.period = period
            super().__init__(optimizer)

        def get_lr(self) -> list[float]:
            return [lr * (1 + abs(self.last_epoch % self.period - 2)) for lr in self.base_lrs]

    return Zigzag


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("period", [3, 5, 8])
def test_a_schedule_of_ones_own(period: int) -> None:
    mine = zigzag(pn, pn.optim)(pn.optim.SGD([pn.nn.Parameter(pn.ones((2,)))], lr=0.1), period)
    its = zigzag(torch, torch.optim)(torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1), period)
    for _ in range(100):
        assert mine.get_last_lr() == its.get_last_lr()
        mine.step()
        its.step()
    with pytest.raises(NotImplementedError, match=r"LRScheduler must define get_lr\(\)"):
        pn.optim.lr_scheduler.LRScheduler(pn.optim.SGD([pn.nn.Parameter(pn.ones((2,)))], lr=0.1))
