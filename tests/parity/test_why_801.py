"""What docs/why_801.py measures with: the right AdamW against PyTorch, the faulty one against its description."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="compares with PyTorch")


@pytest.fixture(scope="module")
def why() -> ModuleType:
    path = Path(__file__).parents[2] / "docs" / "why_801.py"
    spec = importlib.util.spec_from_file_location("why_801", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_right_rule_is_pytorchs_update_by_update(why: ModuleType, rng: np.random.Generator) -> None:
    seed = int(rng.integers(2**31))
    points, labels = why.training_points()
    losses = why.train(why.RULES["right"], points, labels, runs=2, seed=seed).losses
    generator = np.random.default_rng(seed)
    weights = why.initial_weights(2, generator)
    orders = list(why.batches(2, len(points), True, generator))
    run = 1
    parameters = [torch.tensor(w[run], requires_grad=True) for w in weights]
    optimizer = torch.optim.AdamW(parameters, lr=0.001, weight_decay=0.01)
    x, y = torch.tensor(points), torch.tensor(labels)
    expected = []
    for order in orders:
        chosen = torch.tensor(order[run])
        w1, b1, w2, b2, w3, b3 = parameters
        logits = torch.tanh(torch.tanh(x[chosen] @ w1 + b1) @ w2 + b2) @ w3 + b3
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    assert len(expected) == 800
    np.testing.assert_allclose(losses[:, run], expected, rtol=0, atol=1e-10)


def test_wrong_rule_steps_with_the_gradient_and_the_moments_before_it(
    why: ModuleType, rng: np.random.Generator
) -> None:
    weight = rng.normal(size=(1, 2, 3))
    first, second = rng.normal(size=(2, 1, 2, 3))
    optimizer = why.AdamW([weight.copy()], why.RULES["wrong"])
    optimizer.step([first])
    np.testing.assert_allclose(optimizer.parameters[0], weight - 0.001 * first, rtol=1e-12)
    before = optimizer.parameters[0].copy()
    optimizer.step([second])
    moment, square = 0.1 * first / (1 - 0.9**2), 0.001 * first**2 / (1 - 0.999**2)
    step = 0.001 * moment / (np.sqrt(square) + 1e-8) + 0.001 * second
    np.testing.assert_allclose(optimizer.parameters[0], before - step, rtol=1e-12)


def test_differences_are_of_the_last_two_batches_and_of_the_epochs_means(
    why: ModuleType, rng: np.random.Generator
) -> None:
    losses = rng.uniform(size=(800, 3))
    batches, epochs = why.batch_differences(losses), why.epoch_differences(losses, 175)
    assert batches.shape == (200, 3)
    assert epochs.shape == (199, 3)
    assert batches[141, 2] == abs(losses[567, 2] - losses[566, 2])
    mean = (50 * losses[4:7, 1].sum() + 25 * losses[7, 1]) / 175
    mean_before = (50 * losses[:3, 1].sum() + 25 * losses[3, 1]) / 175
    assert epochs[0, 1] == pytest.approx(abs(mean - mean_before), abs=1e-12)
