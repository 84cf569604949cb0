"""Initial weights against PyTorch's: those that are no chance, and what the others have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn

torch = pytest.importorskip("torch", reason="compares with PyTorch")

init, its_init = pn.nn.init, torch.nn.init


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("constant_", (3, 4), {"val": 0.3}),
        ("constant_", (2,), {"val": -2.0}),
        ("constant_", (), {"val": 1.5}),
        ("dirac_", (4, 3, 3), {}),
        ("dirac_", (4, 2, 3, 5), {"groups": 2}),
        ("dirac_", (2, 3, 1, 2, 3), {}),
        ("eye_", (3, 3), {}),
        ("eye_", (2, 5), {}),
        ("eye_", (5, 2), {}),
    ],
)
def test_without_chance(name: str, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    mine, its = pn.nn.Parameter(pn.ones(shape)), torch.nn.Parameter(torch.ones(shape))
    assert getattr(init, name)(mine, **options) is mine
    getattr(its_init, name)(its, **options)
    np.testing.assert_array_equal(mine.detach().numpy(), its.detach().numpy())


def test_calculate_gain() -> None:
    for name, param in (
        *((name, None) for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu")),
        ("leaky_relu", 0.2),
    ):
        assert init.calculate_gain(name, param) == its_init.calculate_gain(name, param)


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("kaiming_normal_", (200, 300), {}),
        ("kaiming_normal_", (100, 20, 5, 5), {"mode": "fan_out", "nonlinearity": "relu"}),
        ("kaiming_normal_", (200, 300), {"a": 0.5}),
        ("kaiming_uniform_", (200, 300), {}),
        ("kaiming_uniform_", (100, 20, 5, 5), {"mode": "fan_out", "nonlinearity": "relu"}),
        ("kaiming_uniform_", (200, 300), {"a": 0.5}),
        ("xavier_normal_", (200, 300), {}),
        ("xavier_normal_", (100, 20, 5, 5), {"gain": 2.0}),
        ("xavier_normal_", (300, 200), {"gain": 0.3}),
        ("xavier_uniform_", (200, 300), {}),
        ("xavier_uniform_", (100, 20, 5, 5), {"gain": 2.0}),
        ("xavier_uniform_", (300, 200), {"gain": 0.3}),
        ("trunc_normal_", (200, 300), {}),
        ("trunc_normal_", (200, 300), {"mean": 1.0, "std": 0.5, "a": 0.5, "b": 1.5}),
        ("trunc_normal_", (200, 300), {"std": 2.0, "a": -1.0}),
    ],
)
def test_distributions(rng: Any, name: str, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    """Fifty thousand numbers of either: the mean, the spread and the quantiles agree within their own chance."""
    pn.manual_seed(int(rng.integers(2**31)))
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    mine = getattr(init, name)(pn.nn.Parameter(pn.ones(shape)), **options).detach().numpy().ravel()
    its = getattr(its_init, name)(torch.nn.Parameter(torch.ones(shape)), **options, generator=generator)
    reference = its.detach().numpy().ravel()
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        limit = np.quantile(reference, share)
        # Six standard deviations of the difference of two counts.
        assert abs((mine < limit).mean() - share) < 6 * np.sqrt(2 * share * (1 - share) / mine.size)
    if "uniform" in name or "trunc" in name:
        assert abs(mine).max() == pytest.approx(abs(reference).max(), rel=0.02 if "uniform" in name else 0.2)


@pytest.mark.parametrize(("shape", "gain"), [((4, 7), 1.0), ((7, 4), 2.0), ((3, 2, 2), 0.5)])
def test_orthogonal(shape: tuple[int, ...], gain: float) -> None:
    mine = init.orthogonal_(pn.nn.Parameter(pn.ones(shape)), gain).detach().numpy()
    its = its_init.orthogonal_(torch.nn.Parameter(torch.ones(shape)), gain).detach().numpy()
    products = []
    for values in (mine, its):
        flat = values.reshape(shape[0], -1)
        products.append(flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat)
    np.testing.assert_allclose(products[0], products[1], atol=1e-5)


@pytest.mark.parametrize(("shape", "sparsity"), [((10, 4), 0.3), ((7, 5), 0.5), ((20, 2), 0.9)])
def test_sparse(shape: tuple[int, int], sparsity: float) -> None:
    mine = init.sparse_(pn.nn.Parameter(pn.ones(shape)), sparsity, 0.5).detach().numpy()
    its = its_init.sparse_(torch.nn.Parameter(torch.ones(shape)), sparsity, 0.5).detach().numpy()
    np.testing.assert_array_equal((mine == 0).sum(axis=0), (its == 0).sum(axis=0))
