"""Sequential, ModuleList and ModuleDict: lists and dicts whose modules belong to the model."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn


def linears(count: int) -> list[nn.Linear]:
    return [nn.Linear(2, 2) for _ in range(count)]


def names(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_parameters()]


def test_sequential_calls_one_after_another(backend: str) -> None:
    first, second = linears(2)
    model = nn.Sequential(first, nn.Tanh(), second)
    x = pn.random.normal((3, 2))
    np.testing.assert_array_equal(model(x).detach().numpy(), second(pn.tanh(first(x))).detach().numpy())
    assert names(model) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert nn.Sequential()(x) is x
    assert nn.Sequential(nn.Sequential(first), second)[0][0] is first


def test_sequential_takes_names_from_a_dict() -> None:
    first, second = linears(2)
    model = nn.Sequential(OrderedDict([("hidden", first), ("act", nn.ReLU()), ("out", second)]))
    assert model.hidden is first
    assert model[0] is first
    assert model[-1] is second
    assert names(model) == ["hidden.weight", "hidden.bias", "out.weight", "out.bias"]
    model[1] = nn.Tanh()
    assert list(dict(model.named_children())) == ["hidden", "act", "out"]
    assert isinstance(model.act, nn.Tanh)
    assert list(dict(model[1:].named_children())) == ["act", "out"]


@pytest.mark.parametrize("make", [nn.Sequential, lambda *modules: nn.ModuleList(modules)])
def test_lists_are_read_like_lists(make: Any) -> None:
    parts = linears(4)
    modules = make(*parts)
    assert len(modules) == 4
    assert list(modules) == parts
    assert modules[0] is parts[0]
    assert modules[-1] is parts[3]
    assert modules[np.int64(2)] is parts[2]
    assert parts[1] in modules
    assert nn.ReLU() not in modules
    for part in (slice(1, 3), slice(None, None, -1), slice(0, 0)):
        assert type(modules[part]) is type(modules)
        assert sorted(map(id, modules[part])) == sorted(map(id, parts[part]))
    for index in (4, -5):
        with pytest.raises(IndexError, match=f"index {index} is out of range for .* of length 4"):
            modules[index]


@pytest.mark.parametrize("make", [nn.Sequential, lambda *modules: nn.ModuleList(modules)])
def test_lists_are_changed_like_lists(make: Any) -> None:
    parts = linears(6)
    modules = make(*parts[:2])
    assert modules.append(parts[2]) is modules
    assert modules.extend([parts[3]]) is modules
    modules.insert(1, parts[4])
    expected = [parts[0], parts[4], parts[1], parts[2], parts[3]]
    assert list(modules) == expected
    modules[-1] = parts[5]
    del modules[0]
    del modules[-2]
    assert list(modules) == [parts[4], parts[1], parts[5]]
    assert list(dict(modules.named_children())) == ["0", "1", "2"]
    modules += [parts[0]]
    assert len(modules) == 4
    assert modules[3] is parts[0]
    with pytest.raises(IndexError):
        modules[4] = parts[0]
    with pytest.raises(IndexError):
        del modules[4]
    assert len(modules) == 4


def test_module_dict_is_used_like_a_dict() -> None:
    first, second, third = linears(3)
    modules = nn.ModuleDict({"a": first})
    modules["b"] = second
    modules.update({"c": third, "a": second})
    assert modules["a"] is second
    assert list(modules) == modules.keys() == ["a", "b", "c"]
    assert modules.values() == [second, second, third]
    assert modules.items() == [("a", second), ("b", second), ("c", third)]
    assert "b" in modules
    assert "d" not in modules
    assert len(modules) == 3
    assert names(modules) == ["a.weight", "a.bias", "c.weight", "c.bias"]
    del modules["a"]
    assert modules.pop("b") is second
    assert modules.keys() == ["c"]
    assert nn.ModuleDict([("x", first), ("y", second)]).keys() == ["x", "y"]
    assert len(nn.ModuleDict()) == 0


@pytest.mark.parametrize("name", ["", "a.b", "items", "training", "forward", 1, None])
def test_module_dict_and_sequential_refuse_names_that_could_not_be_told_apart(name: Any) -> None:
    modules = nn.ModuleDict({"fine": nn.ReLU()})
    with pytest.raises(KeyError, match="name: expected a string without dots"):
        modules[name] = nn.ReLU()
    with pytest.raises(KeyError, match="name: expected a string without dots"):
        modules.update({name: nn.ReLU()})
    assert modules.keys() == ["fine"]
    if name != "items":
        with pytest.raises(KeyError, match="name: expected a string without dots"):
            nn.Sequential({name: nn.ReLU()})


def test_a_name_that_is_not_there_is_told_with_those_that_are() -> None:
    modules = nn.ModuleDict({"hidden": nn.ReLU(), "out": nn.ReLU()})
    for use in (lambda: modules["hiden"], lambda: modules.pop("hiden"), lambda: modules.__delitem__("hiden")):
        with pytest.raises(KeyError, match="no module named 'hiden'; there are hidden, out"):
            use()
    with pytest.raises(KeyError, match="there are none"):
        nn.ModuleDict()["x"]


@pytest.mark.parametrize(
    ("make", "container"),
    [
        (lambda part: nn.Sequential(nn.ReLU(), part), "Sequential"),
        (lambda part: nn.Sequential({"a": part}), "Sequential"),
        (lambda part: nn.ModuleList([part]), "ModuleList"),
        (lambda part: nn.ModuleList().append(part), "ModuleList"),
        (lambda part: nn.ModuleList([nn.ReLU()]).__setitem__(0, part), "ModuleList"),
        (lambda part: nn.ModuleList().insert(0, part), "ModuleList"),
        (lambda part: nn.ModuleDict({"a": part}), "ModuleDict"),
    ],
)
def test_containers_hold_modules_only(make: Any, container: str) -> None:
    for part, hint in (
        (nn.ReLU, "with parentheses"),
        (pn.tanh, "function"),
        (None, "None"),
        (nn.Parameter([1.0]), ""),
    ):
        with pytest.raises(TypeError, match=f"{container}: expected Modules, got .*{hint}"):
            make(part)


@pytest.mark.parametrize("container", [nn.ModuleList(), nn.ModuleDict()])
def test_a_list_or_dict_cannot_be_called(container: nn.Module) -> None:
    with pytest.raises(NotImplementedError, match=rf"{type(container).__name__} must define forward\(\)"):
        container(1)


def test_containers_train_what_they_hold(backend: str) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.steps = nn.ModuleList(linears(2))
            self.heads = nn.ModuleDict({"a": nn.Linear(2, 1), "b": nn.Linear(2, 1)})

        def forward(self, x: Any, head: str) -> Any:
            for step in self.steps:
                x = pn.tanh(step(x))
            return self.heads[head](x)

    model = Net()
    model(pn.ones((3, 2)), "a").sum().backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert without == ["heads.b.weight", "heads.b.bias"]


def test_a_subclass_may_build_itself() -> None:
    class Block(nn.Sequential):
        def __init__(self, width: int) -> None:
            super().__init__(nn.Linear(width, width), nn.ReLU())

    model = nn.Sequential(Block(2), Block(2))
    assert names(model) == ["0.0.weight", "0.0.bias", "1.0.weight", "1.0.bias"]
    assert model(pn.ones((1, 2))).shape == (1, 2)


def test_repr_of_containers() -> None:
    assert repr(nn.Sequential()) == "Sequential()"
    assert repr(nn.ModuleDict({"a": nn.ReLU()})) == "ModuleDict(\n  (a): ReLU()\n)"
    several = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.ReLU())])
    assert repr(several) == (
        "ModuleList(\n"
        "  (0-1): 2 x Linear(in_features=2, out_features=2, bias=True)\n"
        "  (2): ReLU()\n"
        "  (3): Sequential(\n"
        "    (0): ReLU()\n"
        "  )\n"
        ")"
    )


def test_sequential_goes_through_a_call_of_its_modules_own() -> None:
    class Doubled(nn.Identity):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return super().__call__(*args, **kwargs) * 2

    hooked = nn.Identity()
    hooked.register_forward_hook(lambda module, args, output: output + 1)
    x = pn.asarray([3.0])
    assert nn.Sequential(Doubled(), hooked)(x).tolist() == [7.0]
