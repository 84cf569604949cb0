"""ParameterList and ParameterDict: as PyTorch's, and as parts of a model."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import StateDictError
from portanet.nn import Linear, Module, Parameter
from portanet.nn.parameter_containers import ParameterDict, ParameterList


def numbered(count: int) -> list[pn.Tensor]:
    return [pn.full((2,), float(i)) for i in range(count)]


def first_numbers(parts: Any) -> list[float]:
    return [float(part.detach()[0]) for part in parts]


# Lists


def test_a_list_of_parameters() -> None:
    own = Parameter(pn.full((2,), 7.0))
    parts = ParameterList([*numbered(2), own])
    assert len(parts) == 3
    assert parts[2] is own
    assert parts[-1] is own
    assert all(isinstance(part, Parameter) and part.requires_grad for part in parts)
    assert first_numbers(parts) == [0, 1, 7]
    assert first_numbers(parts.parameters()) == [0, 1, 7]
    assert list(parts.state_dict()) == ["0", "1", "2"]
    part = parts[1:]
    assert isinstance(part, ParameterList)
    assert part[-1] is own
    assert len(ParameterList()) == 0
    parts.train()
    assert len(parts) == 3


def test_append_extend_and_replace() -> None:
    parts = ParameterList()
    assert parts.append(pn.zeros((2,))) is parts
    assert parts.extend(numbered(2)) is parts
    parts += [np.full(2, 9.0, dtype="float32")]
    assert first_numbers(parts) == [0, 0, 1, 9]
    parts[1] = pn.full((2,), 5.0)
    parts[-1] = Parameter(pn.full((2,), 6.0))
    assert first_numbers(parts) == [0, 5, 1, 6]
    assert [name for name, _ in parts.named_parameters()] == ["0", "1", "2", "3"]
    parts.extend(parts)
    assert len(parts) == 8
    assert len(list(parts.parameters())) == 4


def test_a_frozen_parameter_stays_frozen() -> None:
    parts = ParameterList([Parameter(pn.zeros((2,)), requires_grad=False)])
    assert not parts[0].requires_grad


def test_in_a_model_they_are_trained_saved_and_moved(backend: str) -> None:
    class Net(Module):
        def __init__(self) -> None:
            self.weights = ParameterList([pn.ones((3, 2)), pn.ones((2,))])
            self.scales = ParameterDict({"out": pn.ones(())})

        def forward(self, x: Any) -> Any:
            return (x @ self.weights[0] + self.weights[1]) * self.scales["out"]

    net = Net()
    assert list(net.state_dict()) == ["weights.0", "weights.1", "scales.out"]
    net(pn.ones((4, 3))).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    net.to(pn.float64)
    assert net.weights[0].dtype == pn.float64
    twin = copy.deepcopy(net)
    state = {name: value + 1 for name, value in net.state_dict().items()}
    twin.load_state_dict(state)
    assert float(twin.scales["out"].detach()) == 2
    assert float(net.scales["out"].detach()) == 1
    with pytest.raises(StateDictError, match="unexpected: weights.2"):
        net.load_state_dict({**state, "weights.2": pn.zeros(())})


def test_lists_of_lists() -> None:
    parts = ParameterList([pn.zeros((1,)), ParameterList(numbered(2)), ParameterDict({"a": pn.zeros((1,))})])
    assert list(parts.state_dict()) == ["0", "1.0", "1.1", "2.a"]
    assert len(parts) == 3
    assert first_numbers(parts[1]) == [0, 1]


# Dicts


def test_a_dict_of_parameters() -> None:
    own = Parameter(pn.full((2,), 7.0))
    parts = ParameterDict({"z": own, "a": pn.zeros((2,))})
    assert parts["z"] is own
    assert len(parts) == 2
    assert "a" in parts
    assert "b" not in parts
    assert 3 not in parts
    assert list(parts) == list(parts.keys()) == ["a", "z"]
    assert list(reversed(parts)) == ["z", "a"]
    assert first_numbers(parts.values()) == [0, 7]
    assert [name for name, _ in parts.items()] == ["a", "z"]
    assert parts.get("a") is parts["a"]
    assert parts.get("b") is None
    assert parts.get("b", 3) == 3
    parts.eval()
    assert list(parts.keys()) == ["a", "z"]


def test_changes_of_a_dict() -> None:
    parts = ParameterDict({"a": pn.zeros((2,))})
    parts["b"] = np.ones(2, dtype="float32")
    parts["a"] = pn.full((2,), 4.0)
    assert first_numbers(parts.values()) == [4, 1]
    kept = parts.setdefault("a", pn.zeros((2,)))
    assert kept is parts["a"]
    assert first_numbers([kept]) == [4]
    made = parts.setdefault("c", pn.full((2,), 8.0))
    assert isinstance(made, Parameter)
    del parts["b"]
    assert parts.keys() == ["a", "c"]
    assert parts.pop("a") is kept
    assert parts.popitem()[0] == "c"
    assert len(parts) == 0
    parts |= {"x": pn.zeros((1,))}
    joined = parts | {"y": pn.ones((1,))}
    assert joined.keys() == ["x", "y"]
    assert joined["x"] is parts["x"]
    assert parts.keys() == ["x"]
    assert ({"w": pn.ones((1,))} | parts).keys() == ["w", "x"]
    twin = joined.copy()
    assert twin["y"] is joined["y"]
    joined.clear()
    assert joined.keys() == []
    assert list(joined.parameters()) == []
    assert twin.keys() == ["x", "y"]


def test_the_same_default_for_several_names() -> None:
    shared = Parameter(pn.zeros((2,)))
    parts = ParameterDict().fromkeys(["a", "b"], shared)
    assert parts["a"] is parts["b"] is shared
    assert len(list(parts.parameters())) == 1


# Beside PyTorch's


def both() -> list[tuple[Any, Callable[..., Any], tuple[Any, Any]]]:
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    return [
        (pn, lambda *shape: pn.ones(shape), (ParameterList, ParameterDict)),
        (torch, torch.ones, (torch.nn.ParameterList, torch.nn.ParameterDict)),
    ]


def test_lists_do_what_pytorchs_do() -> None:
    told = []
    for library, ones, (make_list, _) in both():
        parts = make_list([ones(2, 3), ones(4)])
        parts.append(ones(1))
        parts.extend([ones(5), ones(6)])
        parts += [ones(2)]
        parts[1] = ones(7)
        parts[-2] = ones(8)
        nested = make_list([make_list([ones(1)]), ones(2)])
        shapes = [tuple(part.shape) for part in parts]
        names = [list(part.state_dict()) for part in (parts, parts[2:], parts[::2], nested)]
        prints = [
            repr(part).replace(library.__name__, "") for part in (parts, parts[:1], make_list(), nested)
        ]
        told.append((shapes, names, len(parts), prints))
    assert told[0] == told[1]


def test_dicts_do_what_pytorchs_do() -> None:
    told = []
    for _, ones, (_, make_dict) in both():
        parts = make_dict({"c": ones(2, 3), "b": ones(4)})
        names = [list(parts)]
        parts.update([("z", ones(1)), ("d", ones(2))])
        names.append(list(parts))
        parts.update(OrderedDict([("y", ones(1)), ("x", ones(2))]))
        names.append(list(parts.state_dict()))
        parts.update({"n": ones(1), "m": ones(2)})
        names.append([name for name, _ in parts.items()])
        parts["b"] = ones(9)
        names.append([name for name, _ in parts.named_parameters()])
        names.append([list(reversed(parts)), parts.popitem()[0], list(parts.copy())])
        names.append([list(parts | {"q": ones(1)}), list({"q": ones(1)} | parts)])
        names.append([list(part.shape) for part in parts.values()])
        names.append([list(make_dict(parts)), list(make_dict().fromkeys(["k", "j"], ones(1)))])
        told.append(names)
    assert told[0] == told[1]


def test_the_printed_form_of_a_dict() -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    mine = ParameterDict({"left": pn.ones((2, 3)), "right": pn.ones((4,), dtype=pn.float64)})
    its = torch.nn.ParameterDict({"left": torch.ones(2, 3), "right": torch.ones(4, dtype=torch.float64)})
    expected = repr(its).replace("torch.FloatTensor", "portanet.float32")
    assert repr(mine) == expected.replace("torch.DoubleTensor", "portanet.float64")
    assert repr(ParameterDict()) == repr(torch.nn.ParameterDict())


# Bad input


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ParameterList([1.0]),
            TypeError,
            "ParameterList: expected Parameters, Tensors or arrays, got float",
        ),
        (lambda: ParameterList([None]), TypeError, "got NoneType. Keep what is not trained in an attribute"),
        (
            lambda: ParameterList(pn.ones((2, 2))),
            TypeError,
            "expected an iterable of Parameters, got Tensor. Put it",
        ),
        (lambda: ParameterList(3), TypeError, "expected an iterable of Parameters, got int"),
        (
            lambda: ParameterList(numbered(2))[2],
            IndexError,
            "index 2 is out of range for ParameterList of length 2",
        ),
        (lambda: ParameterList().__setitem__(0, pn.ones((1,))), IndexError, "index 0 is out of range"),
        (
            lambda: ParameterList(numbered(2))(pn.ones((1,))),
            RuntimeError,
            "ParameterList holds parameters and cannot",
        ),
        (lambda: ParameterDict({"a": "b"}), TypeError, "ParameterDict: expected Parameters, .* got str"),
        (
            lambda: ParameterDict(3),
            TypeError,
            "expected a mapping of names to Parameters, or pairs of both, got int",
        ),
        (lambda: ParameterDict({"a.b": pn.ones((1,))}), KeyError, "expected a string without dots"),
        (lambda: ParameterDict({"keys": pn.ones((1,))}), KeyError, "names nothing but a parameter"),
        (lambda: ParameterDict([(1, pn.ones((1,)))]), TypeError, "ParameterDict: names are strings, got 1"),
        (lambda: ParameterDict({"a": pn.ones((1,))})["b"], KeyError, "no parameter named 'b'; there are a"),
        (lambda: ParameterDict().popitem(), KeyError, "ParameterDict is empty"),
        (lambda: ParameterDict().pop("a"), KeyError, "no parameter named 'a'; there are none"),
        (lambda: ParameterDict()(1), RuntimeError, "ParameterDict holds parameters and cannot be called"),
    ],
)
def test_bad_input(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_layers_may_be_in_them() -> None:
    parts = ParameterDict({"head": Linear(2, 3)})
    assert list(parts.state_dict()) == ["head.weight", "head.bias"]
    parts["head"] = Linear(2, 4)
    assert parts["head"].out_features == 4
