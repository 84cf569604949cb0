"""Module: its parts, its hooks, its modes, how it is moved and how it looks."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn
from portanet.errors import DeviceError, DTypeError, OverwrittenError, ShapeError
from tests.affine import Affine, assert_same, hosts

# What it is made of


def test_named_parts_are_found_by_their_attributes() -> None:
    model = nn.Sequential(Affine(), nn.ReLU())
    assert [name for name, _ in model.named_parameters()] == ["0.scale", "0.inner.weight", "0.inner.bias"]
    assert [name for name, _ in model.named_buffers()] == ["0.mean", "0.count", "0.scratch"]
    assert [name for name, _ in model.named_modules()] == ["", "0", "0.inner", "1"]
    assert [name for name, _ in model.named_children()] == ["0", "1"]
    assert next(name for name, _ in model.named_parameters(prefix="net")) == "net.0.scale"
    assert [name for name, _ in model[0].named_parameters(recurse=False)] == ["scale"]
    assert [name for name, _ in model[0].named_buffers(recurse=False)] == ["mean", "count", "scratch"]
    for (_, one), other in zip(model.named_parameters(), model.parameters(), strict=True):
        assert one is other
    for (_, one), other in zip(model.named_buffers(), model.buffers(), strict=True):
        assert one is other
    for (_, one), other in zip(model.named_modules(), model.modules(), strict=True):
        assert one is other


def test_a_part_is_found_by_its_dotted_name() -> None:
    model = nn.Sequential(Affine(), nn.ReLU())
    assert model.get_submodule("0.inner") is model[0].inner
    assert model.get_submodule("") is model
    assert model.get_parameter("0.inner.weight") is model[0].inner.weight
    assert model.get_buffer("0.mean") is model[0].mean
    with pytest.raises(AttributeError, match=r"no module named 'outer'.*0\.outer"):
        model.get_submodule("0.outer")
    with pytest.raises(AttributeError, match="no parameter named 'mean'"):
        model.get_parameter("0.mean")
    with pytest.raises(AttributeError, match="no buffer named 'scale'"):
        model.get_buffer("0.scale")


def test_parts_can_be_registered_by_name() -> None:
    model = nn.Module()
    model.add_module("first", nn.Linear(2, 2))
    model.register_parameter("scale", nn.Parameter(pn.ones((2,))))
    model.register_parameter("shift", None)
    assert [name for name, _ in model.named_parameters()] == ["scale", "first.weight", "first.bias"]
    assert model.shift is None
    with pytest.raises(
        TypeError, match=r"parameter: expected a Parameter or None, got Tensor.*nn\.Parameter"
    ):
        model.register_parameter("other", pn.ones((2,)))
    with pytest.raises(TypeError, match="module: expected a Module, got type"):
        model.add_module("second", nn.ReLU)
    assert not hasattr(model, "other")
    assert not hasattr(model, "second")


@pytest.mark.parametrize("name", ["", "a.b", "forward", "training", "weight", 3])
def test_a_part_needs_a_name_of_its_own(name: Any) -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(KeyError, match="name:"):
        layer.register_buffer(name, pn.zeros((2,)))
    if name != "weight":
        with pytest.raises(KeyError, match="name:"):
            layer.register_parameter(name, nn.Parameter(pn.zeros((2,))))
        with pytest.raises(KeyError, match="name:"):
            layer.add_module(name, nn.ReLU())
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_shared_parts_are_listed_once_and_saved_at_each_place() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert list(model.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    x = pn.random.normal((5, 3))
    model(x).sum().backward()
    separate = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    separate.load_state_dict(model.state_dict())
    separate(x).sum().backward()
    assert separate[0].weight is not separate[1].weight
    np.testing.assert_allclose(
        model[0].weight.grad.numpy(),
        (separate[0].weight.grad + separate[1].weight.grad).numpy(),
        rtol=1e-6,
        atol=1e-6,
    )


def test_a_shared_module_is_trained_once_and_called_twice() -> None:
    shared = nn.Linear(2, 2)
    model = nn.Sequential(shared, nn.Tanh(), shared)
    assert len(model) == 3
    assert [name for name, _ in model.named_modules()] == ["", "0", "1"]
    assert len(list(model.parameters())) == 2
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    calls = []
    model.apply(calls.append)
    assert sum(1 for module in calls if module is shared) == 1


def test_assignment_replaces_and_deletes_parts() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    fresh = nn.Parameter(pn.zeros((2, 2)))
    model[0].weight = fresh
    assert next(model.parameters()) is fresh
    model[0].bias = None
    assert list(model.state_dict()) == ["0.weight"]
    del model[0].weight
    assert not list(model.parameters())


@pytest.mark.parametrize(
    "value", [pn.zeros((2, 2)), np.zeros((2, 2), "float32"), 1.0, [[1.0, 2.0], [3.0, 4.0]]], ids=type
)
def test_a_parameter_is_not_replaced_by_something_untrained(value: Any) -> None:
    layer = nn.Linear(2, 2)
    before = layer.weight
    with pytest.raises(TypeError, match=r"Linear\.weight is a Parameter.*nn\.Parameter"):
        layer.weight = value
    assert layer.weight is before


def test_a_parameter_survives_in_place_arithmetic() -> None:
    layer = nn.Linear(2, 2)
    before = layer.weight.detach().numpy().copy()
    with pn.no_grad():
        layer.weight -= 0.5
        layer.weight[0, 0] = 7.0
    assert isinstance(layer.weight, nn.Parameter)
    assert layer.weight.requires_grad
    before -= 0.5
    before[0, 0] = 7.0
    np.testing.assert_array_equal(layer.weight.detach().numpy(), before)


@pytest.mark.parametrize(
    ("parts", "better"),
    [
        (lambda: [nn.Linear(2, 2)], r"plain list.*nn\.ModuleList"),
        (lambda: (nn.ReLU(), nn.Linear(2, 2)), r"plain tuple.*nn\.ModuleList"),
        (lambda: {"a": nn.Linear(2, 2)}, r"plain dict.*nn\.ModuleDict"),
        (lambda: [nn.Parameter(pn.zeros((2,)))], "plain list.*attribute of its own"),
    ],
)
def test_a_plain_collection_of_parts_warns(parts: Any, better: str) -> None:
    model = nn.Module()
    with pytest.warns(UserWarning, match=better) as caught:
        model.layers = parts()
    assert caught[0].filename == __file__
    assert not list(model.parameters())


def test_a_plain_collection_of_other_things_does_not_warn() -> None:
    model = nn.Module()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.sizes = [1, 2]
        model.names = {"a": "b"}
        model.nothing = ()


# Buffers


def test_a_buffer_is_saved_and_moved_but_not_trained() -> None:
    model = Affine()
    assert "mean" in model.state_dict()
    assert "scratch" not in model.state_dict()
    assert not any(parameter is model.mean for parameter in model.parameters())
    model.mean = pn.ones((3,))
    assert model.state_dict()["mean"].tolist() == [1.0, 1.0, 1.0]
    model.mean = None
    assert "mean" not in model.state_dict()
    model.mean = pn.ones((3,))
    assert "mean" in model.state_dict()
    del model.mean
    assert list(model.state_dict()) == ["scale", "count", "inner.weight", "inner.bias"]
    assert [name for name, _ in model.named_buffers()] == ["count", "scratch"]


@pytest.mark.parametrize("value", [3.0, [1.0], np.zeros(3)], ids=type)
def test_a_buffer_is_a_tensor(value: Any) -> None:
    model = Affine()
    with pytest.raises(TypeError, match=r"tensor: expected a Tensor or None, got \w+.*portanet\.asarray"):
        model.register_buffer("other", value)
    assert not hasattr(model, "other")
    with pytest.raises(TypeError, match=r"Affine\.mean is a buffer.*portanet\.asarray"):
        model.mean = value
    assert model.mean.tolist() == [0.0, 0.0, 0.0]


def test_a_buffer_assigned_later_is_watched_too() -> None:
    model = Affine()
    model.mean = pn.ones((3,))
    loss = (model.scale * model.mean).sum()
    model.load_state_dict(model.state_dict())
    with pytest.raises(OverwrittenError):
        loss.backward()


# Hooks


def test_hooks_see_and_replace_arguments_and_output() -> None:
    layer = nn.Linear(2, 2)
    seen: list[Any] = []
    x = pn.ones((1, 2))
    plain = layer(x).detach().numpy()
    doubled = layer.register_forward_pre_hook(
        lambda module, args: (seen.append((module, args)), args[0] * 2)[1]
    )
    negated = layer.register_forward_hook(lambda module, args, output: (seen.append(output), -output)[1])
    with_hooks = layer(x)
    assert seen[0] == (layer, (x,))
    np.testing.assert_array_equal(seen[1].detach().numpy(), -with_hooks.detach().numpy())
    bias = layer.bias.detach().numpy()
    np.testing.assert_allclose(with_hooks.detach().numpy(), -(2 * plain - bias), rtol=1e-6, atol=1e-6)
    doubled.remove()
    np.testing.assert_array_equal(layer(x).detach().numpy(), -plain)
    negated.remove()
    negated.remove()
    np.testing.assert_array_equal(layer(x).detach().numpy(), plain)


def test_hooks_run_in_order_and_only_for_their_module() -> None:
    first, second = nn.Identity(), nn.Identity()
    order: list[str] = []
    first.register_forward_pre_hook(lambda module, args: order.append("before"))
    first.register_forward_hook(lambda module, args, output: order.append("after"))
    first.register_forward_hook(lambda module, args, output: order.append("after that"))
    x = pn.ones((2,))
    assert first(x) is x
    assert second(x) is x
    assert order == ["before", "after", "after that"]


def test_a_hook_may_remove_itself_and_may_return_several_arguments() -> None:
    class Both(nn.Module):
        def forward(self, x: Any, y: Any, *, scale: float = 1.0) -> Any:
            return (x + y) * scale

    model = Both()

    def swap_in(module: Any, args: Any) -> Any:
        handle.remove()
        return args[0], args[0]

    handle = model.register_forward_pre_hook(swap_in)
    assert model(pn.asarray(1.0), pn.asarray(5.0), scale=3.0).item() == 6.0
    assert model(pn.asarray(1.0), pn.asarray(5.0), scale=3.0).item() == 18.0


def test_a_hook_can_be_called() -> None:
    layer = nn.Identity()
    for register in (layer.register_forward_hook, layer.register_forward_pre_hook):
        with pytest.raises(TypeError, match="hook: expected a callable, got str"):
            register("print")  # type: ignore[arg-type]


def test_a_copy_has_hooks_of_its_own() -> None:
    layer = nn.Identity()
    calls: list[Any] = []
    handle = layer.register_forward_hook(lambda module, args, output: calls.append(module))
    twin = copy.deepcopy(layer)
    handle.remove()
    layer(1)
    twin(1)
    assert calls == [twin]


# Modes


def test_train_and_eval_reach_everything_below() -> None:
    model = nn.Sequential(Affine(), nn.ReLU())
    assert all(module.training for module in model.modules())
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    model[0].train()
    assert [module.training for module in model.modules()] == [False, True, True, False]
    model.train(False)
    assert not any(module.training for module in model.modules())
    assert nn.ReLU().training
    for mode in ("eval", None, 1):
        with pytest.raises(TypeError, match="mode: expected True or False, got"):
            model.train(mode)  # type: ignore[arg-type]


def test_apply_goes_children_first() -> None:
    model = nn.Sequential(Affine(), nn.ReLU())
    visited: list[Any] = []
    assert model.apply(visited.append) is model
    assert visited == [model[0].inner, model[0], model[1], model]


def test_apply_with_init_sets_every_parameter() -> None:
    def fill(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.constant_(module.weight, 0.5)
            nn.init.zeros_(module.bias)

    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)).apply(fill)
    assert model(pn.ones((1, 2))).tolist() == [[1.5]]
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in model.parameters())


def test_requires_grad_freezes_and_unfreezes() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    assert model[0].requires_grad_(False) is model[0]
    model(pn.ones((1, 2))).sum().backward()
    assert [p.grad is None for p in model.parameters()] == [True, True, False, False]
    model.requires_grad_()
    model(pn.ones((1, 2))).sum().backward()
    assert not any(p.grad is None for p in model.parameters())


def test_zero_grad_forgets_or_fills_with_zeros() -> None:
    layer = nn.Linear(2, 2)
    layer(pn.ones((1, 2))).sum().backward()
    kept = layer.weight.grad
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert kept.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    layer.zero_grad()
    assert layer.weight.grad is None


def test_forward_must_be_defined() -> None:
    class Nothing(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing must define forward"):
        Nothing()(1)


# Moving


def test_to_a_data_type_leaves_integers_alone(backend: str) -> None:
    model = Affine()
    model(pn.ones((1, 3))).sum().backward()
    weight = model.inner.weight
    for move in (lambda: model.to(pn.float64), lambda: model.to(dtype=pn.float32), model.double):
        assert move() is model
    assert model.inner.weight is weight
    assert weight.dtype == weight.grad.dtype == model.mean.dtype == pn.float64
    assert model.count.dtype == pn.int64
    assert model(pn.ones((1, 3), dtype=pn.float64)).dtype == pn.float64
    assert model.float().scale.dtype == pn.float32


def test_to_another_backend_moves_everything_and_the_model_trains_on(backend: str) -> None:
    with pn.use_backend("numpy"):
        model = Affine()
        expected = hosts(model.state_dict())
        model(pn.ones((1, 3))).sum().backward()
    model.to(backend)
    assert {t.device.backend for t in (*model.parameters(), *model.buffers())} == {backend}
    assert model.scale.grad.device.backend == backend
    assert_same(model.state_dict(), expected)
    model.zero_grad()
    optimizer = pn.optim.SGD(model.parameters(), lr=0.1)
    model(pn.ones((1, 3))).sum().backward()
    optimizer.step()
    assert not np.array_equal(hosts(model.state_dict())["inner.weight"], expected["inner.weight"])
    model.to("numpy:cpu")
    assert {t.device.backend for t in (*model.parameters(), *model.buffers())} == {"numpy"}


def test_to_where_it_is_already_changes_nothing() -> None:
    layer = nn.Linear(2, 2)
    loss = (layer(pn.ones((1, 2))) ** 2).sum()
    layer.to("cpu").to(pn.float32).float().cpu()
    loss.backward()
    assert layer.weight.grad is not None


def test_to_a_place_that_cannot_hold_it_changes_nothing() -> None:
    if not any(report.name == "array-api-strict" and report.available for report in pn.available_backends()):
        pytest.skip("array-api-strict, whose device 'no_float64' lacks a data type, is not installed")
    with pn.use_backend("array-api-strict"):
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double())
        with pytest.raises(Exception, match="float64"):
            model.to("no_float64")
        assert {p.device.name for p in model.parameters()} == {"cpu"}


def test_to_refuses_what_parameters_cannot_be() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(DTypeError, match="dtype: .*floating-point; got int64"):
        layer.to(pn.int64)
    with pytest.raises(DeviceError, match="no device 'cuda'"):
        layer.cuda()
    with pytest.raises(TypeError, match=r"device: expected a portanet\.Device"):
        layer.to(np.float64)
    assert layer.weight.dtype == pn.float32


# Parameters


def test_parameter_copies_and_requires_a_gradient(backend: str) -> None:
    values = np.ones((2, 2), "float32")
    parameter = nn.Parameter(values)
    values[:] = 5
    assert parameter.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert parameter.requires_grad
    assert parameter.is_leaf
    assert repr(parameter).startswith("Parameter([[1., 1.],")
    assert not nn.Parameter(pn.zeros((1,)), requires_grad=False).requires_grad
    assert nn.Parameter(parameter * 2).is_leaf
    assert type(parameter * 2) is pn.Tensor
    assert nn.Parameter([1.0, 2.0]).dtype == pn.float32
    assert nn.Parameter(np.array([1, 2], ">f8")).dtype == pn.float64
    with pytest.raises(DTypeError, match=r"requires_grad: only floating-point Tensors.*portanet\.astype"):
        nn.Parameter(pn.arange(3))


def test_an_uninitialized_parameter_says_what_to_do() -> None:
    layer = nn.LazyLinear(3)
    for use in (
        lambda: layer.weight.shape,
        lambda: layer.weight.dtype,
        lambda: layer.weight.device,
        lambda: layer.weight + 1,
        lambda: layer.weight.sum(),
        lambda: layer.weight.numpy(),
        lambda: layer.weight.detach(),
        layer.state_dict,
        lambda: pn.optim.SGD(layer.parameters()),
    ):
        with pytest.raises(ShapeError, match=r"no shape yet.*Run one batch through the model"):
            use()
    assert repr(layer.weight) == "UninitializedParameter()"


# How it looks


def test_repr_shows_options_and_children_indented() -> None:
    class Scaled(nn.Sequential):
        def extra_repr(self) -> str:
            return "scale=2"

    model = Scaled(nn.Linear(2, 3), nn.Sequential(nn.ReLU()))
    assert repr(model) == (
        "Scaled(\n"
        "  scale=2\n"
        "  (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "  )\n"
        ")"
    )
    assert repr(nn.Module()) == "Module()"
