"""Optimizers against PyTorch's: fifty steps on the same gradients, with all that can happen on the way.

Tensors below and above the size up to which they share a flat buffer, groups with options of their own, steps in
which some parameters or all have no gradient, a learning rate that changes, and a state dict that goes to a new
optimizer half way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.optim.optimizer import SMALL
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")

STEPS = 50
SHAPES = [(), (5,), (17, 3), (130, 128), (3,), (300, 250)]
SETTINGS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    # optimizer, options, what the second group has of its own
    "sgd": ("SGD", {"lr": 0.05}, {"lr": 0.2}),
    "sgd-decay": ("SGD", {"lr": 0.05, "weight_decay": 0.1}, {"maximize": True}),
    "sgd-momentum": ("SGD", {"lr": 0.05, "momentum": 0.9}, {"momentum": 0.3, "weight_decay": 0.01}),
    "sgd-dampening": (
        "SGD",
        {"lr": 0.1, "momentum": 0.8, "dampening": 0.4, "weight_decay": 0.01},
        {"dampening": 0.0},
    ),
    "sgd-nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}, {"nesterov": False}),
    "sgd-maximize": ("SGD", {"lr": 0.05, "momentum": 0.5, "maximize": True}, {"lr": 0.01, "momentum": 0.0}),
    "adam": ("Adam", {"lr": 0.01}, {"lr": 0.1}),
    "adam-decay": ("Adam", {"lr": 0.01, "weight_decay": 0.1, "betas": (0.8, 0.95)}, {"betas": (0.5, 0.9)}),
    "adam-amsgrad": ("Adam", {"lr": 0.01, "amsgrad": True, "maximize": True}, {"amsgrad": False}),
    "adam-decoupled": (
        "Adam",
        {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True},
        {"decoupled_weight_decay": False},
    ),
    "adamw": ("AdamW", {"lr": 0.01}, {"weight_decay": 0.5}),
    "adamw-amsgrad": (
        "AdamW",
        {"lr": 0.01, "amsgrad": True, "eps": 1e-4},
        {"eps": 1e-8, "weight_decay": 0.0},
    ),
    "adamw-maximize": ("AdamW", {"lr": 0.01, "maximize": True, "betas": (0.7, 0.8)}, {"maximize": False}),
}


def groups_of(tensors: list[Any], own: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"params": tensors[0::2]}, {"params": tensors[1::2], **own}]


def to_torch(state: dict[str, Any]) -> dict[str, Any]:
    """The same state dict with PyTorch's tensors."""
    states = {
        number: {k: torch.tensor(v.numpy()) if isinstance(v, pn.Tensor) else v for k, v in entry.items()}
        for number, entry in state["state"].items()
    }
    return {**state, "state": states}


def start(rng: Any, dtype: str) -> tuple[list[Any], list[Any]]:
    values = [np.asarray(rng.normal(size=shape)).astype(dtype) for shape in SHAPES]
    return [pn.Tensor(v, requires_grad=True) for v in values], [
        torch.tensor(v, requires_grad=True) for v in values
    ]


def set_gradients(rng: Any, mine: list[Any], its: list[Any], step: int) -> None:
    for place, (tensor, other) in enumerate(zip(mine, its, strict=True)):
        absent = step % 10 == 9 or (step > 3 and place != 2 and rng.random() < 0.15)
        gradient = np.asarray(rng.normal(size=tensor.shape)).astype(tensor.dtype.name)
        tensor.grad = None if absent else pn.asarray(gradient)
        other.grad = None if absent else torch.tensor(gradient)


def scale_of(value: Any) -> float:
    """Start values and gradients are of size 1; of a few numbers all may end up near 0."""
    return 1.0 if value.numel() < 10 else 0.0


def compare_all(mine: list[Any], its: list[Any], optimizer: Any, reference: Any) -> None:
    for place, (tensor, other) in enumerate(zip(mine, its, strict=True)):
        assert_near(tensor, other, f"parameter {place}", scale=scale_of(other))
    saved, expected = optimizer.state_dict()["state"], reference.state_dict()["state"]
    for number, entry in expected.items():
        for name, value in entry.items():
            if name == "step":  # PyTorch's SGD counts none, and hands one that it was given on as it was
                assert "exp_avg" not in entry or saved[number]["step"] == int(value)
            elif value is not None:
                assert_near(
                    saved[number][name], value, f"{name} of parameter {number}", scale=scale_of(value)
                )


@pytest.fixture(params=["numpy", "array-api-strict"])
def backend_name(request: pytest.FixtureRequest) -> Any:
    """The kernels of NumPy, and the rules on the bare standard."""
    if request.param != "numpy":
        pytest.importorskip("array_api_strict", reason="proves the rules on the bare standard")
    with pn.use_backend(request.param, strict=True):
        yield request.param


def test_the_shapes_lie_on_both_sides_of_the_bound() -> None:
    sizes = [int(np.prod(shape)) for shape in SHAPES]
    assert sum(size <= SMALL for size in sizes) >= 3
    assert sum(size > SMALL for size in sizes) >= 2
    assert {place % 2 for place, size in enumerate(sizes) if size > SMALL} == {1}
    assert max(sizes) > 65_536


@DTYPES
@pytest.mark.parametrize("setting", SETTINGS)
def test_fifty_steps(rng: Any, backend_name: str, setting: str, dtype: str) -> None:
    name, options, own = SETTINGS[setting]
    mine, its = start(rng, dtype)
    optimizer = getattr(pn.optim, name)(groups_of(mine, own), **options)
    reference = getattr(torch.optim, name)(groups_of(its, own), **options)
    for step in range(STEPS):
        if step == 20:
            for group in (*optimizer.param_groups, *reference.param_groups):
                group["lr"] *= 0.5
        if step == 30:
            saved = optimizer.state_dict()
            optimizer = getattr(pn.optim, name)(groups_of(mine, {}))
            optimizer.load_state_dict(saved)
        set_gradients(rng, mine, its, step)
        optimizer.step()
        reference.step()
    compare_all(mine, its, optimizer, reference)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_large_tensors_on_several_threads(rng: Any, name: str) -> None:
    values, slopes = rng.normal(size=(2, 1200, 1000)).astype("float32")
    # Adam divides the gradient by its own size. Where weight decay all but cancels it, only rounding would be compared.
    slopes += np.copysign(np.float32(0.7), slopes)
    threads = pn.get_num_threads()
    pn.set_num_threads(2)
    try:
        mine, its = pn.Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
        optimizer = getattr(pn.optim, name)([mine], lr=0.01, weight_decay=0.1)
        reference = getattr(torch.optim, name)([its], lr=0.01, weight_decay=0.1)
        for step in range(3):
            mine.grad, its.grad = pn.asarray(slopes * (1 + step)), torch.tensor(slopes * (1 + step))
            optimizer.step()
            reference.step()
    finally:
        pn.set_num_threads(threads)
    compare_all([mine], [its], optimizer, reference)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_state_dict_goes_to_pytorch_and_comes_back(rng: Any, setting: str) -> None:
    name, options, own = SETTINGS[setting]
    mine, its = start(rng, "float64")
    optimizer = getattr(pn.optim, name)(groups_of(mine, own), **options)
    reference = getattr(torch.optim, name)(groups_of(its, own), **options)

    def train(steps: range) -> None:
        for step in steps:
            set_gradients(rng, mine, its, step)
            optimizer.step()
            reference.step()

    train(range(6))
    # Ours goes on in PyTorch ...
    handed_over = to_torch(optimizer.state_dict())
    reference = getattr(torch.optim, name)(groups_of(its, {}))
    reference.load_state_dict(handed_over)
    train(range(6, 12))
    compare_all(mine, its, optimizer, reference)
    # ... and PyTorch's goes on here.
    handed_back = reference.state_dict()
    optimizer = getattr(pn.optim, name)(groups_of(mine, {}))
    optimizer.load_state_dict(handed_back)
    assert [group["lr"] for group in optimizer.param_groups] == [
        group["lr"] for group in reference.param_groups
    ]
    train(range(12, 18))
    for place, (tensor, other) in enumerate(zip(mine, its, strict=True)):
        assert_near(tensor, other, f"parameter {place}", scale=scale_of(other))


def test_options_of_a_fresh_optimizer_are_pytorchs() -> None:
    for name in ("SGD", "Adam", "AdamW"):
        mine = getattr(pn.optim, name)([pn.Tensor([1.0], requires_grad=True)])
        its = getattr(torch.optim, name)([torch.tensor([1.0], requires_grad=True)])
        for option, value in mine.defaults.items():
            assert its.defaults[option] == value, f"{option} of {name}"
