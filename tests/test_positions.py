"""Encodings of positions against the formulas of their papers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.nn.positions import RotaryEmbedding, SinusoidalPositions
from portanet.testing import gradcheck, gradgradcheck


def sinusoids(length: int, dim: int, base: float) -> Any:
    """PE(p, 2i) = sin(p / base^(2i/dim)), PE(p, 2i+1) = cos(p / base^(2i/dim))."""
    table = np.empty((length, dim))
    for p in range(length):
        for i in range(dim // 2):
            table[p, 2 * i] = np.sin(p / base ** (2 * i / dim))
            table[p, 2 * i + 1] = np.cos(p / base ** (2 * i / dim))
    return table


def rotated(x: Any, base: float, offset: int, interleaved: bool) -> Any:
    """The block-diagonal matrix of rotations, written out, times each vector."""
    length, dim = x.shape[-2:]
    y = np.empty_like(x)
    for row in range(length):
        matrix = np.zeros((dim, dim))
        for i in range(dim // 2):
            angle = (row + offset) * base ** (-2 * i / dim)
            one, other = (2 * i, 2 * i + 1) if interleaved else (i, i + dim // 2)
            matrix[one, one] = matrix[other, other] = np.cos(angle)
            matrix[one, other], matrix[other, one] = -np.sin(angle), np.sin(angle)
        y[..., row, :] = x[..., row, :] @ matrix.T
    return y


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize(("dim", "base", "offset"), [(2, 10000.0, 0), (8, 10000.0, 3), (6, 500.0, 90)])
def test_sinusoids(
    rng: Any, eager: str, dim: int, base: float, offset: int, dtype: str, tolerance: float
) -> None:
    x = rng.normal(size=(2, 7, dim)).astype(dtype)
    expected = x + sinusoids(100, dim, base)[offset : offset + 7]
    layer = SinusoidalPositions(dim, 100, base, dtype=getattr(pn, dtype))
    found = pn.to_host(layer(pn.asarray(x), offset))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    other = SinusoidalPositions(dim, 100, base, batch_first=False, dtype=getattr(pn, dtype))
    found = pn.to_host(other(pn.moveaxis(pn.asarray(x), 0, 1), offset))
    np.testing.assert_allclose(found.swapaxes(0, 1), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize(
    ("shape", "base", "offset"), [((5, 2), 1e4, 0), ((2, 3, 7, 8), 1e4, 3), ((2, 4, 6), 500.0, 90)]
)
def test_rotations(
    rng: Any,
    eager: str,
    shape: tuple[int, ...],
    base: float,
    offset: int,
    interleaved: bool,
    dtype: str,
    tolerance: float,
) -> None:
    x = rng.normal(size=shape).astype(dtype)
    layer = RotaryEmbedding(shape[-1], 100, base, interleaved, dtype=getattr(pn, dtype))
    found = pn.to_host(layer(pn.asarray(x), offset))
    assert found.dtype == dtype
    expected = rotated(x.astype("float64"), base, offset, interleaved)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_on_jax(rng: Any) -> None:
    pytest.importorskip("jax", reason="runs on JAX")
    x = rng.normal(size=(2, 4, 6)).astype("float32")
    with pn.use_backend("jax", strict=True):
        found = pn.to_host(RotaryEmbedding(6, 20)(pn.asarray(x), 2))
        added = pn.to_host(SinusoidalPositions(6, 20)(pn.asarray(x), 2))
    np.testing.assert_allclose(found, rotated(x, 1e4, 2, True), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(added, x + sinusoids(20, 6, 1e4)[2:6], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("interleaved", [False, True])
def test_products_of_rotated_vectors_depend_on_the_distance_only(rng: Any, interleaved: bool) -> None:
    layer = RotaryEmbedding(8, 64, interleaved=interleaved, dtype=pn.float64)
    q, k = pn.asarray(rng.normal(size=(2, 1, 8)))
    products = [(layer(q, position) * layer(k, position + 5)).sum().item() for position in (0, 7, 40)]
    assert products == pytest.approx([products[0]] * 3, rel=1e-10)
    length = (layer(q, 17) ** 2).sum().item()
    assert length == pytest.approx((q**2).sum().item(), rel=1e-12)


def test_derivatives(rng: Any) -> None:
    x = pn.asarray(rng.normal(size=(2, 3, 4)))
    for layer in (
        RotaryEmbedding(4, dtype=pn.float64),
        RotaryEmbedding(4, interleaved=False, dtype=pn.float64),
        SinusoidalPositions(4, dtype=pn.float64),
    ):
        gradcheck(layer, x)
        gradgradcheck(lambda x, layer=layer: layer(x) ** 2, x)


def test_they_have_no_state_and_no_parameters() -> None:
    for layer in (RotaryEmbedding(4), SinusoidalPositions(4, 10)):
        assert layer.state_dict() == {}
        assert list(layer.parameters()) == []
    assert repr(RotaryEmbedding(4)) == "RotaryEmbedding(4, max_length=2048, base=10000.0, interleaved=True)"
    assert "batch_first=True" in repr(SinusoidalPositions(4, 10))


def test_raw_arrays_go_through_as_a_pure_function(rng: Any) -> None:
    layer = RotaryEmbedding(4, 10)
    buffers = {name: value.numpy() for name, value in layer.named_buffers()}
    x = rng.normal(size=(3, 4)).astype("float32")
    found = pn.functional_call(layer, buffers, (x,))
    assert type(found) is np.ndarray
    np.testing.assert_allclose(found, rotated(x, 1e4, 0, True), rtol=1e-5, atol=1e-5)


def test_bad_input() -> None:
    with pytest.raises(OptionError, match="dim: RotaryEmbedding expects an even number, got 3"):
        RotaryEmbedding(3)
    with pytest.raises(OptionError, match="max_length"):
        SinusoidalPositions(4, 0)
    layer = RotaryEmbedding(4, max_length=10)
    with pytest.raises(ShapeError, match=r"input: RotaryEmbedding expects .* 4 features, got shape \(3, 6\)"):
        layer(pn.zeros((3, 6)))
    with pytest.raises(ShapeError, match="knows 10 positions, and was asked for those from 8 to 10"):
        layer(pn.zeros((3, 4)), 8)
    with pytest.raises(OptionError, match="offset: expected a whole number of at least 0, got -1"):
        layer(pn.zeros((3, 4)), -1)
    with pytest.raises(DTypeError, match="float32, got float64"):
        layer(pn.zeros((3, 4), dtype=pn.float64))
    with pytest.raises(ShapeError, match="input: SinusoidalPositions expects"):
        SinusoidalPositions(4, batch_first=False)(pn.zeros((3, 4)))
