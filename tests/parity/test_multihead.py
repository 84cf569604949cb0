"""Attention with several heads as a function of its weights, against PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import DTypeError, OptionError, PortanetError, ShapeError
from portanet.nn.functional import multi_head_attention_forward
from portanet.testing import gradcheck, gradgradcheck
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")

WIDTH, HEADS, BATCH, QUERIES, KEYS = 6, 2, 3, 4, 5

# What differs from the plain call: shapes of arrays by argument, and other arguments as they are.
CASES: dict[str, tuple[dict[str, tuple[int, ...]], dict[str, Any]]] = {
    "plain": ({}, {}),
    "without weights": ({}, {"need_weights": False}),
    "weights of each head": ({}, {"average_attn_weights": False}),
    "without biases": ({}, {"in_proj_bias": None, "out_proj_bias": None}),
    "one more key": ({"bias_k": (1, 1, WIDTH), "bias_v": (1, 1, WIDTH)}, {}),
    "one of zeros": ({}, {"add_zero_attn": True}),
    "both": ({"bias_k": (1, 1, WIDTH), "bias_v": (1, 1, WIDTH)}, {"add_zero_attn": True}),
    "three weights": (
        {
            "key": (KEYS, BATCH, 5),
            "value": (KEYS, BATCH, 7),
            "q_proj_weight": (WIDTH, WIDTH),
            "k_proj_weight": (WIDTH, 5),
            "v_proj_weight": (WIDTH, 7),
        },
        {"use_separate_proj_weight": True, "in_proj_weight": None},
    ),
    "static": (
        {
            "static_k": (BATCH * HEADS, 3, WIDTH // HEADS),
            "static_v": (BATCH * HEADS, 3, WIDTH // HEADS),
        },
        {},
    ),
    "without a batch": (
        {"query": (QUERIES, WIDTH), "key": (KEYS, WIDTH), "value": (KEYS, WIDTH)},
        {"average_attn_weights": False},
    ),
    "another width at the end": ({"out_proj_weight": (4, WIDTH), "out_proj_bias": (4,)}, {}),
    "an added mask": ({"attn_mask": (QUERIES, KEYS)}, {}),
    "a mask for each head": ({"attn_mask": (BATCH * HEADS, QUERIES, KEYS)}, {"add_zero_attn": True}),
    "added padding": ({"key_padding_mask": (BATCH, KEYS)}, {}),
}


def arguments(rng: Any, case: str, dtype: str) -> dict[str, Any]:
    shapes, others = CASES[case]
    shapes = {
        "query": (QUERIES, BATCH, WIDTH),
        "key": (KEYS, BATCH, WIDTH),
        "value": (KEYS, BATCH, WIDTH),
        "in_proj_weight": (3 * WIDTH, WIDTH),
        "in_proj_bias": (3 * WIDTH,),
        "out_proj_weight": (WIDTH, WIDTH),
        "out_proj_bias": (WIDTH,),
        **shapes,
    }
    arrays = {name: rng.normal(size=shape).astype(dtype) * 0.7 for name, shape in shapes.items()}
    plain = {
        "embed_dim_to_check": WIDTH,
        "num_heads": HEADS,
        "bias_k": None,
        "bias_v": None,
        "add_zero_attn": False,
        "dropout_p": 0.0,
    }
    return {**plain, **arrays, **others}


def compare(rng: Any, given: dict[str, Any], dtype: str) -> None:
    mine, its = {}, {}
    for name, value in given.items():
        mine[name] = its[name] = value
        if isinstance(value, np.ndarray):
            mine[name], its[name] = pn.asarray(value), torch.tensor(value)
            if value.dtype.kind == "f":
                mine[name].requires_grad_()
                its[name].requires_grad_()
    found, weights = multi_head_attention_forward(**mine)
    expected, its_weights = torch.nn.functional.multi_head_attention_forward(**its)
    assert_near(found, expected, "output", scale=1.0)
    assert (weights is None) == (its_weights is None)
    cotangent = rng.normal(size=tuple(expected.shape)).astype(dtype)
    total, its_total = (found * pn.asarray(cotangent)).sum(), (expected * torch.tensor(cotangent)).sum()
    if weights is not None:
        assert_near(weights, its_weights, "weights")
        slope = rng.normal(size=tuple(its_weights.shape)).astype(dtype)
        total = total + (weights * pn.asarray(slope)).sum()
        its_total = its_total + (its_weights * torch.tensor(slope)).sum()
    total.backward()
    its_total.backward()
    for name, value in mine.items():
        if isinstance(value, pn.Tensor) and value.requires_grad and its[name].grad is not None:
            assert_near(value.grad, its[name].grad, f"gradient of {name}", scale=5.0)


@DTYPES
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(rng: Any, case: str, dtype: str) -> None:
    compare(rng, arguments(rng, case, dtype), dtype)


@pytest.mark.parametrize("training", [True, False])
def test_masks_of_booleans(rng: Any, training: bool) -> None:
    given = arguments(rng, "both", "float64")
    given["attn_mask"] = np.triu(np.ones((QUERIES, KEYS), dtype=bool), 1)
    given["key_padding_mask"] = np.asarray([[False] * 5, [False] * 3 + [True] * 2, [False] * 4 + [True]])
    compare(rng, {**given, "training": training, "is_causal": True}, "float64")


def test_dropout_is_for_training(rng: Any) -> None:
    given = {
        name: pn.asarray(value) if isinstance(value, np.ndarray) else value
        for name, value in arguments(rng, "plain", "float64").items()
    }
    plain = multi_head_attention_forward(**given)[0].numpy()
    given["dropout_p"] = 0.5
    np.testing.assert_array_equal(multi_head_attention_forward(**given, training=False)[0].numpy(), plain)
    _, weights = multi_head_attention_forward(**given, average_attn_weights=False)
    assert 0 < (weights.numpy() == 0).mean() < 1


def test_it_is_the_layer(rng: Any) -> None:
    layer = pn.nn.MultiheadAttention(WIDTH, HEADS, add_bias_kv=True)
    x = pn.asarray(rng.normal(size=(QUERIES, BATCH, WIDTH)), dtype=pn.float32)
    found, weights = multi_head_attention_forward(
        x,
        x,
        x,
        WIDTH,
        HEADS,
        layer.in_proj_weight,
        layer.in_proj_bias,
        layer.bias_k,
        layer.bias_v,
        False,
        0.0,
        layer.out_proj.weight,
        layer.out_proj.bias,
    )
    expected = layer(x, x, x)
    np.testing.assert_array_equal(found.detach().numpy(), expected[0].detach().numpy())
    np.testing.assert_array_equal(weights.detach().numpy(), expected[1].detach().numpy())


def test_on_other_backends(rng: Any, backend: str) -> None:
    given = arguments(rng, "both", "float64")
    with pn.use_backend("numpy"):
        raw, its_weights = multi_head_attention_forward(**given)
    assert type(raw) is np.ndarray
    mine = {
        name: pn.asarray(value) if isinstance(value, np.ndarray) else value for name, value in given.items()
    }
    mine["query"].requires_grad_()
    found, weights = multi_head_attention_forward(**mine)
    np.testing.assert_allclose(pn.to_host(found.detach()), raw, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(pn.to_host(weights.detach()), its_weights, rtol=1e-10, atol=1e-12)
    found.sum().backward()
    assert np.isfinite(pn.to_host(mine["query"].grad)).all()


def test_derivatives(rng: Any) -> None:
    given = arguments(rng, "both", "float64")
    names = [name for name, value in given.items() if isinstance(value, np.ndarray)]
    plain = {name: value for name, value in given.items() if name not in names}

    def function(*values: Any) -> Any:
        return multi_head_attention_forward(**plain, **dict(zip(names, values, strict=True)))[0]

    operands = [pn.asarray(given[name]) for name in names]
    gradcheck(function, operands)
    gradgradcheck(function, operands)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"embed_dim_to_check": 8}, ShapeError, r"in_proj_weight: .* expects shape \(24, 8\), got \(18, 6\)"),
        ({"num_heads": 4}, OptionError, "num_heads: .* a divisor of embed_dim_to_check=6, got 4"),
        ({"in_proj_weight": None}, OptionError, "in_proj_weight: .* got None"),
        ({"use_separate_proj_weight": True}, OptionError, r"q_proj_weight: .* \(6, any\) .* got None"),
        ({"in_proj_bias": np.zeros(3)}, ShapeError, r"in_proj_bias: .* expects shape \(18,\), got \(3,\)"),
        (
            {"bias_k": np.zeros((1, 6)), "bias_v": np.zeros((1, 1, 6))},
            ShapeError,
            r"bias_k: .* expects shape \(1, 1, 6\), got \(1, 6\)",
        ),
        ({"bias_k": np.zeros((1, 1, 6))}, OptionError, "both bias_k and bias_v or neither"),
        (
            {
                "bias_k": np.zeros((1, 1, 6)),
                "bias_v": np.zeros((1, 1, 6)),
                "static_k": np.zeros((6, 3, 3)),
            },
            OptionError,
            "bias_k: .* adds nothing to static_k",
        ),
        ({"static_k": np.zeros((6, 3, 2))}, ShapeError, r"static_k: .* here \(6, keys, 3\), got \(6, 3, 2\)"),
        ({"dropout_p": 2.0}, OptionError, "dropout_p: expected a finite number of at least 0 and at most 1"),
        ({"is_causal": True}, OptionError, "is_causal: multi_head_attention_forward .* was not given"),
        (
            {"query": np.zeros((4, 3, 5))},
            ShapeError,
            r"query: multi_head.* expects shape \(positions, batch, 6",
        ),
        ({"attn_mask": np.zeros((4, 4))}, ShapeError, r"attn_mask: multi_head.* \(4, 5\) or \(6, 4, 5\)"),
        ({"key_padding_mask": np.zeros((3, 5), dtype="int64")}, DTypeError, "key_padding_mask: .* got int64"),
    ],
)
def test_bad_input(rng: Any, changed: dict[str, Any], error: type[PortanetError], message: str) -> None:
    given = {**arguments(rng, "plain", "float64"), **changed}
    mine: dict[str, Any] = {
        name: pn.asarray(value) if isinstance(value, np.ndarray) else value for name, value in given.items()
    }
    call: Callable[..., Any] = multi_head_attention_forward
    with pytest.raises(error, match=message):
        call(**mine)
