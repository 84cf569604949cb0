"""Layers fused with the batch normalisation behind them, and ``update_bn``, against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import OptionError, ShapeError
from portanet.nn.utils import parametrizations
from portanet.nn.utils.fusion import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
)
from portanet.optim.averaging import update_bn
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")

Pair = Callable[[Any], tuple[Any, Any]]
CASES: dict[str, tuple[Pair, tuple[int, ...]]] = {
    "conv-1": (lambda nn: (nn.Conv1d(3, 4, 2), nn.BatchNorm1d(4)), (2, 3, 5)),
    "conv-2": (lambda nn: (nn.Conv2d(3, 4, 2, groups=1), nn.BatchNorm2d(4, eps=0.1)), (2, 3, 4, 5)),
    "conv-2-groups": (lambda nn: (nn.Conv2d(4, 6, 3, padding=1, groups=2), nn.BatchNorm2d(6)), (2, 4, 4, 5)),
    "conv-2-no-bias": (lambda nn: (nn.Conv2d(3, 4, 2, bias=False), nn.BatchNorm2d(4)), (2, 3, 4, 5)),
    "conv-2-bare": (lambda nn: (nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4, affine=False)), (2, 3, 4, 5)),
    "conv-3": (lambda nn: (nn.Conv3d(2, 3, 2), nn.BatchNorm3d(3)), (1, 2, 3, 3, 4)),
    "transposed-1": (lambda nn: (nn.ConvTranspose1d(3, 4, 2), nn.BatchNorm1d(4)), (2, 3, 5)),
    "transposed-2": (lambda nn: (nn.ConvTranspose2d(3, 4, 2, bias=False), nn.BatchNorm2d(4)), (2, 3, 4, 5)),
    "transposed-groups": (lambda nn: (nn.ConvTranspose2d(4, 6, 2, groups=2), nn.BatchNorm2d(6)), (2, 4, 3, 3)),
    "linear": (lambda nn: (nn.Linear(3, 4), nn.BatchNorm1d(4)), (5, 3)),
    "linear-no-bias": (lambda nn: (nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4, eps=0.01)), (5, 3)),
    "linear-bare": (lambda nn: (nn.Linear(3, 4), nn.BatchNorm1d(4, affine=False)), (5, 3)),
    "linear-one-feature": (lambda nn: (nn.Linear(3, 4), nn.BatchNorm1d(1)), (5, 3)),
}  # fmt: skip


def pair(rng: Any, case: str, dtype: str) -> tuple[Any, Any, Any, Any]:
    """Layer and batch normalisation, and PyTorch's, with the same random state."""
    layer, bn = CASES[case][0](pn.nn)
    its_layer, its_bn = CASES[case][0](torch.nn)
    for mine, its in ((layer, its_layer), (bn, its_bn)):
        mine.to(getattr(pn, dtype)).eval()
        its.to(getattr(torch, dtype)).eval()
        for name, value in its.state_dict().items():
            if value.ndim:
                drawn = rng.uniform(0.5, 2.0, size=tuple(value.shape)) * (
                    1 if "var" in name else rng.choice([-1, 1])
                )
                value.copy_(torch.tensor(drawn))
        mine.load_state_dict({name: value.numpy() for name, value in its.state_dict().items()})
    return layer, bn, its_layer, its_bn


@DTYPES
@pytest.mark.parametrize("case", CASES)
def test_fused_layers(rng: Any, case: str, dtype: str) -> None:
    layer, bn, its_layer, its_bn = pair(rng, case, dtype)
    before = {name: value.numpy().copy() for name, value in layer.state_dict().items()}
    if case.startswith("linear"):
        fused = fuse_linear_bn_eval(layer, bn)
        expected = (
            None if bn.weight is None else torch.nn.utils.fusion.fuse_linear_bn_eval(its_layer, its_bn)
        )  # PyTorch's fails where there is no weight
    else:
        transposed = case.startswith("transposed")
        fused = fuse_conv_bn_eval(layer, bn, transpose=transposed)
        expected = (
            None
            if case == "transposed-groups"  # PyTorch's fails there
            else torch.nn.utils.fusion.fuse_conv_bn_eval(its_layer, its_bn, transpose=transposed)
        )
    if expected is not None:
        assert repr(fused) == repr(expected).replace(", bias=False", "")
        assert_near(fused.weight, expected.weight, "weight")
        assert_near(fused.bias, expected.bias, "bias", scale=1.0)
        assert fused.weight.requires_grad == expected.weight.requires_grad
        assert fused.bias.requires_grad == expected.bias.requires_grad
    assert isinstance(fused.weight, pn.nn.Parameter)
    assert isinstance(fused.bias, pn.nn.Parameter)
    if case != "linear-one-feature":
        x = rng.normal(size=CASES[case][1]).astype(dtype)
        assert_near(fused(pn.asarray(x)), its_bn(its_layer(torch.tensor(x))), "output", scale=10.0)
    assert type(fused) is type(layer)
    assert fused is not layer
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


def test_the_functions_of_weights(rng: Any) -> None:
    values = {
        name: rng.uniform(0.5, 2.0, size=size)
        for name, size in {
            "w": (4, 3),
            "k": (4, 3, 2),
            "b": 4,
            "mean": 4,
            "variance": 4,
            "scale": 4,
            "shift": 4,
        }.items()
    }
    mine = {name: pn.asarray(value) for name, value in values.items()}
    its = {name: torch.tensor(value) for name, value in values.items()}
    for bias in ("b", "none"):
        for scale, shift in (("scale", "shift"), ("none", "shift"), ("scale", "none")):
            arguments = [bias, "mean", "variance", 1e-3, scale, shift]
            my_found, its_found = (
                function(k["k"], *(k.get(a) if isinstance(a, str) else a for a in arguments))
                for function, k in (
                    (fuse_conv_bn_weights, mine),
                    (torch.nn.utils.fusion.fuse_conv_bn_weights, its),
                )
            )
            for one, other in zip(my_found, its_found, strict=True):
                assert_near(one, other)
    order = ("w", "b", "mean", "variance")
    my_found = fuse_linear_bn_weights(*(mine[k] for k in order), 1e-3, mine["scale"], mine["shift"])
    its_found = torch.nn.utils.fusion.fuse_linear_bn_weights(
        *(its[k] for k in order), 1e-3, its["scale"], its["shift"]
    )
    for one, other in zip(my_found, its_found, strict=True):
        assert_near(one, other)


def test_fusion_on_every_backend(backend: str, rng: Any) -> None:
    layer, bn = pn.nn.Conv1d(3, 4, 2).eval(), pn.nn.BatchNorm1d(4).eval()
    bn.load_state_dict(
        {
            "weight": rng.uniform(0.5, 2.0, size=4).astype("float32"),
            "bias": rng.normal(size=4).astype("float32"),
            "running_mean": rng.normal(size=4).astype("float32"),
            "running_var": rng.uniform(0.5, 2.0, size=4).astype("float32"),
        },
        strict=False,
    )
    x = pn.asarray(rng.normal(size=(2, 3, 5)).astype("float32"))
    found = fuse_conv_bn_eval(layer, bn)(x)
    np.testing.assert_allclose(found.detach().numpy(), bn(layer(x)).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_misuse_of_fusion() -> None:
    nn = pn.nn
    conv, bn = nn.Conv2d(2, 3, 2).eval(), nn.BatchNorm2d(3).eval()
    with pytest.raises(OptionError, match="conv: fuse_conv_bn_eval expects modules in evaluation mode"):
        fuse_conv_bn_eval(nn.Conv2d(2, 3, 2), bn)
    with pytest.raises(OptionError, match="bn: fuse_conv_bn_eval expects modules in evaluation mode"):
        fuse_conv_bn_eval(conv, nn.BatchNorm2d(3))
    with pytest.raises(OptionError, match="track_running_stats=False"):
        fuse_conv_bn_eval(conv, nn.BatchNorm2d(3, track_running_stats=False).eval())
    with pytest.raises(ShapeError, match="expects num_features=3, the channels that Conv2d returns, got 4"):
        fuse_conv_bn_eval(conv, nn.BatchNorm2d(4).eval())
    with pytest.raises(OptionError, match="transpose: fuse_conv_bn_eval expects True for a ConvTranspose2d"):
        fuse_conv_bn_eval(nn.ConvTranspose2d(2, 3, 2).eval(), bn)
    with pytest.raises(OptionError, match="expects a plain layer, and this one is parametrized"):
        fuse_conv_bn_eval(parametrizations.weight_norm(nn.Conv2d(2, 3, 2)).eval(), bn)
    with pytest.raises(TypeError, match="conv: fuse_conv_bn_eval expects a Conv1d.*got Linear"):
        fuse_conv_bn_eval(nn.Linear(2, 3).eval(), bn)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="bn: fuse_linear_bn_eval expects a BatchNorm1d.*got LayerNorm"):
        fuse_linear_bn_eval(nn.Linear(2, 3).eval(), nn.LayerNorm(3).eval())  # type: ignore[arg-type]
    with pytest.raises(
        ShapeError, match="expects num_features=3, the features that Linear returns, or 1, got 2"
    ):
        fuse_linear_bn_eval(nn.Linear(2, 3).eval(), nn.BatchNorm1d(2).eval())


def test_a_parametrized_batch_norm_is_read_as_it_is() -> None:
    bn = pn.nn.BatchNorm1d(3)
    parametrizations.weight_norm(bn).eval()
    linear = pn.nn.Linear(2, 3).eval()
    x = pn.ones((2, 2))
    fused = fuse_linear_bn_eval(linear, bn)
    np.testing.assert_allclose(
        fused(x).detach().numpy(), bn(linear(x)).detach().numpy(), rtol=1e-4, atol=1e-5
    )


# update_bn


def models(nn: Any) -> Any:
    return nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4, momentum=0.3), nn.Dropout(0.0), nn.Linear(4, 2), nn.BatchNorm1d(2)
    )


@DTYPES
@pytest.mark.parametrize("form", ["arrays", "pairs", "lists"])
def test_update_bn(rng: Any, dtype: str, form: str) -> None:
    mine, its = models(pn.nn).to(getattr(pn, dtype)), models(torch.nn).to(getattr(torch, dtype))
    mine.load_state_dict({name: value.numpy() for name, value in its.state_dict().items()})
    mine[2].eval(), its[2].eval()
    batches = [rng.normal(size=(size, 3)).astype(dtype) for size in (5, 4, 6)]
    mine(pn.asarray(batches[0]))  # is forgotten
    shaped: dict[str, Callable[[Any], Any]] = {
        "arrays": lambda x: x,
        "pairs": lambda x: (x, 0),
        "lists": lambda x: [x],
    }
    update_bn([shaped[form](pn.asarray(x)) for x in batches], mine, "cpu" if form == "pairs" else None)
    torch.optim.swa_utils.update_bn([shaped[form](torch.tensor(x)) for x in batches], its)
    for i in (1, 4):
        assert_near(mine[i].running_mean, its[i].running_mean, "mean", scale=1.0)
        assert_near(mine[i].running_var, its[i].running_var, "variance")
        assert mine[i].num_batches_tracked.item() == its[i].num_batches_tracked.item() == 3
    assert [mine[i].momentum for i in (1, 4)] == [0.3, 0.1]
    assert [part.training for part in mine] == [True, True, False, True, True]
    assert not mine[1].running_mean.requires_grad


def test_update_bn_restores_the_model_when_a_batch_fails_and_leaves_others_alone(rng: Any) -> None:
    model = models(pn.nn).eval()
    with pytest.raises(ShapeError):
        update_bn([pn.ones((2, 7))], model)
    assert not any(part.training for part in model.modules())
    assert model[1].momentum == 0.3
    update_bn(None, pn.nn.Linear(2, 2))  # type: ignore[arg-type]  # nothing to do: the loader is not asked
    with pytest.raises(TypeError, match="model: expected a Module, got int"):
        update_bn([], 3)  # type: ignore[arg-type]


def test_update_bn_of_an_average_on_every_backend(backend: str, rng: Any) -> None:
    model = models(pn.nn)
    average = pn.optim.averaging.AveragedModel(model)
    average.update_parameters(model)
    batches = [pn.asarray(rng.normal(size=(5, 3)).astype("float32")) for _ in range(2)]
    update_bn(batches, average)
    hidden = [average.module[0](x).detach().numpy() for x in batches]
    expected = np.mean([h.mean(axis=0) for h in hidden], axis=0)
    np.testing.assert_allclose(average.module[1].running_mean.numpy(), expected, rtol=1e-4, atol=1e-5)
