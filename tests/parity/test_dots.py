"""The main job beside PyTorch: the same weights and batches must give the same losses, update by update."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.data import DataLoader, TensorDataset

torch = pytest.importorskip("torch", reason="compares with PyTorch")
pytest.importorskip("tqdm", reason="the example shows its progress with tqdm")


@pytest.fixture
def dots_example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples"))
    return importlib.import_module("dots")


class Recorded:
    """Batches, each kept as host arrays when it is handed out."""

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader
        self.epochs: list[list[tuple[np.ndarray, np.ndarray]]] = []

    def __iter__(self) -> Iterator[Any]:
        self.epochs.append([])
        for points, labels in self.loader:
            self.epochs[-1].append((points.numpy().copy(), labels.numpy().copy()))
            yield points, labels


def torch_net() -> Any:
    """PyTorch's model of the job, under the example's names."""
    net = torch.nn.Module()
    net.layers = torch.nn.Sequential(
        torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)
    )
    return net


def train_torch(net: Any, epochs: list[list[tuple[np.ndarray, np.ndarray]]]) -> list[float]:
    """Train as PyTorch does on the same batches, with the same rule for stopping; at most as many epochs as given."""
    loss_fn = torch.nn.BCEWithLogitsLoss()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.001, weight_decay=0.01)
    losses, previous_mean = [], float("inf")
    for batches in epochs:
        for points, labels in batches:
            loss = loss_fn(net.layers(torch.from_numpy(points)), torch.from_numpy(labels))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        mean = np.average(losses[-len(batches) :], weights=[len(points) for points, _ in batches])
        if abs(mean - previous_mean) < 1e-5:
            break
        previous_mean = mean
    return losses


def counts(predicted: np.ndarray, labels: np.ndarray) -> list[list[int]]:
    return [[int(((labels == truth) & (predicted == guess)).sum()) for guess in (0, 1)] for truth in (0, 1)]


def test_training_agrees_with_pytorch_update_by_update(
    dots_example: ModuleType, backend: str, rng: np.random.Generator
) -> None:
    seed = int(rng.integers(2**31))
    torch.manual_seed(seed)
    pn.manual_seed(seed)
    net, model = torch_net(), dots_example.Net()
    model.load_state_dict({name: pn.asarray(weight.numpy()) for name, weight in net.state_dict().items()})
    dots = dots_example.load_points(dots_example.STORED_POINTS)
    batches = Recorded(DataLoader(TensorDataset(dots.points, dots.labels), batch_size=50, shuffle=True))
    losses = dots_example.train(model, batches)
    with pn.no_grad():
        predicted = (model(pn.asarray(dots.points)) > 0).numpy()
        predicted_test = (model(pn.asarray(dots.test_points)) > 0).numpy()

    every_point = np.concatenate([points for points, _ in batches.epochs[0]])
    np.testing.assert_array_equal(np.unique(every_point, axis=0), np.unique(dots.points, axis=0))
    assert [len(points) for points, _ in batches.epochs[-1]] == [50, 50, 50, 25]
    expected = train_torch(net, batches.epochs)
    assert len(losses) == len(expected) == 800
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-5)

    expected_logits = net.layers(torch.from_numpy(dots.points)).detach().numpy()
    assert counts(predicted, dots.labels) == counts(expected_logits > 0, dots.labels) == [[86, 5], [5, 79]]
    assert counts(predicted_test, dots.test_labels) == [[50, 0], [0, 50]]


def test_initial_weights_of_pytorch_come_through_a_file(
    dots_example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="the example draws pictures")
    from safetensors.torch import save_file

    torch.manual_seed(0)
    net = torch_net()
    save_file(net.state_dict(), tmp_path / "initial.safetensors")
    first_losses = []
    dots_example_train = dots_example.train

    def recorded_train(model: Any, batches: Any, epochs: int) -> list[float]:
        for name, weight in net.state_dict().items():
            np.testing.assert_array_equal(model.state_dict()[name].numpy(), weight.numpy(), err_msg=name)
        first_losses.extend(dots_example_train(model, batches, epochs))
        return first_losses

    dots_example.train = recorded_train
    try:
        weights, pictures = str(tmp_path / "initial.safetensors"), str(tmp_path / "pictures")
        status = dots_example.main(
            ["--epochs", "2", "--backend", "numpy", "--initial-weights", weights, "--output", pictures]
        )
    finally:
        dots_example.train = dots_example_train
    assert status == 0
    assert len(first_losses) == 8
    assert "8 updates" in capsys.readouterr().out
    drawn = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert drawn == {"loss.png", "points.png", "regions.png", "regions-test.png"}
