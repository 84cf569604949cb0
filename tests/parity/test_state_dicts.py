"""Weights that go to PyTorch and come back: names, layouts, and safetensors files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portanet as pn
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")
safetensors_torch = pytest.importorskip(
    "safetensors.torch", reason="reads and writes files as PyTorch's users do"
)


def net(nn: Any) -> Any:
    """One model with everything that a state dict can hold, in the nn package that is given."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4, bias=False))
            self.heads = nn.ModuleDict({"a": nn.Linear(4, 2), "b": nn.ModuleList([nn.Linear(4, 1)])})
            tensor = torch.zeros if nn is torch.nn else pn.zeros
            self.register_buffer("mean", tensor((3,)))
            self.register_buffer("scratch", tensor((2,)), persistent=False)
            self.register_buffer("nothing", None)
            self.scale = nn.Parameter(tensor((1, 3)))
            self.loss = nn.BCEWithLogitsLoss(pos_weight=tensor((2,)) + 1)
            self.tied = nn.Linear(4, 2)
            self.tied.weight = self.heads["a"].weight

        def forward(self, x: Any) -> Any:
            hidden = self.body((x - self.mean) * (self.scale + 1))
            return self.heads["a"](hidden) + self.heads["b"][0](hidden) + self.tied(hidden)

    return Net()


def randomized(model: Any, rng: Any) -> Any:
    state = {
        name: np.asarray(rng.normal(size=tuple(value.shape))).astype("float32")
        for name, value in model.state_dict().items()
    }
    state["tied.weight"] = state["heads.a.weight"]
    if isinstance(model, torch.nn.Module):
        model.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    else:
        model.load_state_dict(state)
    return model


def test_names_order_and_shapes() -> None:
    mine, its = net(pn.nn).state_dict(), net(torch.nn).state_dict()
    assert {name: value.shape for name, value in mine.items()} == {
        name: tuple(value.shape) for name, value in its.items()
    }
    assert list(mine) == list(its)
    for listing in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        names = [[name for name, _ in getattr(model, listing)()] for model in (net(pn.nn), net(torch.nn))]
        assert names[0] == names[1], listing


@DTYPES
def test_a_state_dict_goes_over_and_back(rng: Any, dtype: str) -> None:
    reference = randomized(net(torch.nn), rng).to(getattr(torch, dtype))
    model = net(pn.nn).to(getattr(pn, dtype))
    assert model.load_state_dict(reference.state_dict()) == ([], [])
    x = rng.normal(size=(5, 3)).astype(dtype)
    assert_near(model(pn.asarray(x)), reference(torch.tensor(x)))
    for parameter in model.parameters():
        with pn.no_grad():
            parameter *= 2
    returned = {name: torch.tensor(value.numpy()) for name, value in model.state_dict().items()}
    assert str(reference.load_state_dict(returned)) == "<All keys matched successfully>"
    assert_near(model(pn.asarray(x)), reference(torch.tensor(x)))


def test_a_file_of_ours_is_read_by_pytorchs_loader(backend: str, rng: Any, tmp_path: Path) -> None:
    path = tmp_path / "ours.safetensors"
    model = randomized(net(pn.nn), rng)
    pn.save(model.state_dict(), path)
    reference = net(torch.nn)
    assert (
        str(reference.load_state_dict(safetensors_torch.load_file(path))) == "<All keys matched successfully>"
    )
    x = rng.normal(size=(5, 3)).astype("float32")
    assert_near(model(pn.asarray(x)), reference(torch.tensor(x)))


def test_a_file_of_pytorchs_is_read_by_ours(backend: str, rng: Any, tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    reference = randomized(net(torch.nn), rng)
    state = {name: value.clone().contiguous() for name, value in reference.state_dict().items()}
    safetensors_torch.save_file(state, path, metadata={"format": "pt"})
    model = net(pn.nn)
    assert model.load_state_dict(pn.load(path)) == ([], [])
    x = rng.normal(size=(5, 3)).astype("float32")
    assert_near(model(pn.asarray(x)), reference(torch.tensor(x)))


def mlp(nn: Any) -> Any:
    return nn.Sequential(nn.Linear(6, 5), nn.GELU(), nn.Dropout(0.1), nn.Linear(5, 3))


def convolutional(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, groups=2),
        nn.BatchNorm2d(4, momentum=None),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


def lstm(nn: Any) -> Any:
    return nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True, dropout=0.1)


def transformer(nn: Any) -> Any:
    return nn.Transformer(8, 2, 2, 1, dim_feedforward=12, batch_first=True)


SHAPES: dict[Any, list[tuple[int, ...]]] = {
    mlp: [(4, 6)],
    convolutional: [(5, 2, 6, 6)],
    lstm: [(2, 5, 3)],
    transformer: [(2, 5, 8), (2, 3, 8)],
}


def outputs(model: Any, arrays: list[Any]) -> list[Any]:
    """All results as NumPy arrays."""
    make = torch.tensor if isinstance(model, torch.nn.Module) else pn.asarray
    found = model(*(make(array) for array in arrays))
    flat = [found[0], *found[1]] if isinstance(found, tuple) else [found]
    return [part.detach().numpy() for part in flat]


def trained(model: Any, arrays: list[Any]) -> Any:
    """The model after some steps, in evaluation mode: no weight, statistic or bias is what it was in the beginning."""
    library = torch if isinstance(model, torch.nn.Module) else pn
    optimizer = library.optim.SGD(model.parameters(), lr=0.1)
    tensor = torch.tensor if library is torch else pn.asarray
    for _ in range(3):
        found = model.train()(*(tensor(array) for array in arrays))
        loss = ((found[0] if isinstance(found, tuple) else found) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("make", SHAPES)
@pytest.mark.parametrize("from_pytorch", [True, False])
def test_a_trained_model_crosses_in_a_file(
    backend: str, rng: Any, tmp_path: Path, make: Any, from_pytorch: bool
) -> None:
    """Its outputs on the other side are the same, and all of the file is used."""
    arrays = [rng.normal(size=shape).astype("float32") for shape in SHAPES[make]]
    path = tmp_path / "model.safetensors"
    if from_pytorch:
        source, target = trained(make(torch.nn), arrays), make(pn.nn)
        safetensors_torch.save_model(source, str(path))
        assert target.load_state_dict(pn.load(path)) == ([], [])
    else:
        source, target = trained(make(pn.nn), arrays), make(torch.nn)
        pn.save(source.state_dict(), path)
        said = target.load_state_dict(safetensors_torch.load_file(path))
        assert str(said) == "<All keys matched successfully>"
    arrays = [rng.normal(size=shape).astype("float32") for shape in SHAPES[make]]
    for mine, its in zip(outputs(source, arrays), outputs(target.eval(), arrays), strict=True):
        assert np.abs(mine - its).max() < 1e-5 * max(1.0, np.abs(its).max())
    untrained = outputs(make(torch.nn).eval(), arrays)
    assert (
        np.abs(untrained[0] - outputs(source, arrays)[0]).max() > 1e-3
    )  # or equal outputs would say nothing


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
)
def test_every_data_type_crosses_in_a_file(rng: Any, tmp_path: Path, dtype: str) -> None:
    values = rng.integers(0, 2, (3, 4)).astype(dtype)
    pn.save({"x": pn.asarray(values).T, "number": pn.asarray(values[0, 0])}, tmp_path / "ours")
    read = safetensors_torch.load_file(tmp_path / "ours")
    assert read["x"].dtype == getattr(torch, dtype)
    np.testing.assert_array_equal(read["x"].numpy(), values.T)
    assert read["number"].shape == ()
    safetensors_torch.save_file({"x": torch.tensor(values)}, tmp_path / "theirs")
    loaded = pn.load(tmp_path / "theirs")["x"]
    assert loaded.dtype == getattr(pn, dtype)
    np.testing.assert_array_equal(loaded.numpy(), values)


def test_both_refuse_the_same_state_dicts() -> None:
    mine, its = net(pn.nn), net(torch.nn)
    good = {name: torch.tensor(value.numpy()) for name, value in mine.state_dict().items()}
    without = {name: value for name, value in good.items() if name != "scale"}
    for spoiled in ({**good, "more": torch.zeros(1)}, without, {**good, "mean": torch.zeros(4)}):
        for model, error in ((its, RuntimeError), (mine, ValueError)):
            with pytest.raises(error, match="more|scale|mean"):
                model.load_state_dict(spoiled)
    for model in (mine, its):
        report = model.load_state_dict({**without, "more": torch.zeros(1)}, strict=False)
        assert (list(report.missing_keys), list(report.unexpected_keys)) == (["scale"], ["more"])
