"""Attention and Transformers against PyTorch's: outputs, weights, and the gradients of inputs and parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.nn import normalization, transformer
from portanet.nn.attention import KeyValueCache, MultiheadAttention
from portanet.nn.functional.attention import attention_weights, scaled_dot_product_attention
from portanet.testing import gradcheck, gradgradcheck
from tests.parity.comparison import DTYPES, assert_near, host

torch = pytest.importorskip("torch", reason="compares with PyTorch")
pytestmark = [
    pytest.mark.filterwarnings("ignore:enable_nested_tensor is True"),
    pytest.mark.filterwarnings("ignore:Support for mismatched"),
]
BACKENDS = pytest.mark.parametrize("backend_name", ["numpy", "array-api-strict"])


def leaves(rng: Any, dtype: str, *shapes: tuple[int, ...]) -> tuple[list[Any], list[Any]]:
    arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    return (
        [pn.asarray(a).requires_grad_() for a in arrays],
        [torch.tensor(a, requires_grad=True) for a in arrays],
    )


def back(rng: Any, found: Any, expected: Any) -> None:
    """Carry the same cotangent back through both."""
    cotangent = rng.normal(size=tuple(expected.shape)).astype(expected.detach().numpy().dtype)
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))


def both(array: Any) -> tuple[Any, Any]:
    return (None, None) if array is None else (pn.asarray(array), torch.tensor(array))


# As a function

MASKS: dict[str, Any] = {
    "none": lambda rng, dtype: None,
    "booleans": lambda rng, dtype: rng.random((2, 3, 4, 5)) < 0.6,
    "booleans-for-all": lambda rng, dtype: rng.random((4, 5)) < 0.7,
    "padding": lambda rng, dtype: rng.random((2, 1, 1, 5)) < 0.7,
    "numbers": lambda rng, dtype: rng.normal(size=(3, 4, 5)).astype(dtype),
    "infinite": lambda rng, dtype: np.where(rng.random((4, 5)) < 0.3, -np.inf, 0.5).astype(dtype),
    "nothing-to-see": lambda rng, dtype: np.arange(20).reshape(4, 5) % 7 < np.array([[0], [3], [5], [0]]),
    "minus-infinity": lambda rng, dtype: (
        np.where([[True], [False], [False], [True]], -np.inf, 0.0).repeat(5, axis=1).astype(dtype)
    ),
}


@DTYPES
@BACKENDS
@pytest.mark.parametrize("mask", MASKS)
def test_masks(rng: Any, mask: str, backend_name: str, dtype: str) -> None:
    if backend_name != "numpy":
        pytest.importorskip("array_api_strict", reason="proves the ops on the bare standard")
    with pn.use_backend(backend_name, strict=True):
        mine, its = leaves(rng, dtype, (2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 7))
        my_mask, its_mask = both(MASKS[mask](rng, dtype))
        found = scaled_dot_product_attention(*mine, my_mask)
        expected = torch.nn.functional.scaled_dot_product_attention(*its, its_mask)
        assert_near(found, expected, "output")
        back(rng, found, expected)
        for place, (x, y) in enumerate(zip(mine, its, strict=True)):
            assert_near(x.grad, y.grad, f"gradient of argument {place}", scale=1.0)


@DTYPES
@pytest.mark.parametrize(
    ("shapes", "options"),
    [
        (((4, 6), (5, 6), (5, 2)), {}),
        (((2, 4, 6), (2, 4, 6), (2, 4, 6)), {"is_causal": True}),
        (((2, 4, 6), (2, 7, 6), (2, 7, 6)), {"is_causal": True, "scale": 0.3}),
        (((2, 7, 6), (2, 4, 6), (2, 4, 3)), {"is_causal": True}),
        (((2, 4, 3, 6), (2, 2, 5, 6), (2, 2, 5, 6)), {"enable_gqa": True}),
        (((2, 6, 3, 4), (2, 1, 3, 4), (2, 1, 3, 4)), {"enable_gqa": True, "is_causal": True}),
        (((2, 4, 6), (1, 5, 6), (2, 5, 6)), {"scale": 2.0}),
    ],
)
def test_options(rng: Any, shapes: Any, options: dict[str, Any], dtype: str) -> None:
    mine, its = leaves(rng, dtype, *shapes)
    found = scaled_dot_product_attention(*mine, **options)
    expected = torch.nn.functional.scaled_dot_product_attention(*its, **options)
    assert_near(found, expected, "output")
    back(rng, found, expected)
    for place, (x, y) in enumerate(zip(mine, its, strict=True)):
        assert_near(x.grad, y.grad, f"gradient of argument {place}", scale=1.0)


@DTYPES
def test_the_gradient_of_a_mask_of_numbers(rng: Any, dtype: str) -> None:
    mine, its = leaves(rng, dtype, (2, 4, 6), (2, 5, 6), (2, 5, 6), (4, 5))
    found = scaled_dot_product_attention(*mine)
    expected = torch.nn.functional.scaled_dot_product_attention(*its)
    back(rng, found, expected)
    assert_near(mine[3].grad, its[3].grad, scale=1.0)


def test_dropout_of_weights() -> None:
    pn.manual_seed(11)
    q, v = pn.zeros((1, 200, 4)), pn.reshape(pn.eye(200), (1, 200, 200))
    weights = host(scaled_dot_product_attention(q, q, v, dropout_p=0.25))
    assert (weights == 0).mean() == pytest.approx(0.25, abs=0.02)
    np.testing.assert_allclose(weights[weights > 0], 1 / 200 / 0.75, rtol=1e-5)
    assert not host(scaled_dot_product_attention(q, q, v, dropout_p=1.0)).any()


def test_derivatives(rng: Any) -> None:
    arrays = [pn.asarray(rng.normal(size=shape)) for shape in ((2, 3, 4), (2, 5, 4), (2, 5, 2))]
    for options in (
        {},
        {"is_causal": True},
        {"attn_mask": pn.asarray(np.arange(15).reshape(3, 5) % 4 > 0)},
        {"attn_mask": pn.asarray(np.array([[True], [False], [True]]))},
    ):

        def function(*xs: Any, options: dict[str, Any] = options) -> Any:
            return scaled_dot_product_attention(*xs, **options)

        gradcheck(function, arrays)
        gradgradcheck(function, arrays)
    gradcheck(attention_weights, [*arrays[:2], pn.asarray(rng.normal(size=(3, 5)))])
    gradgradcheck(attention_weights, [*arrays[:2], pn.asarray(rng.normal(size=(3, 5)))])


def test_bad_arguments() -> None:
    q, k = pn.zeros((2, 3, 4)), pn.zeros((2, 5, 4))
    with pytest.raises(ShapeError, match=r"key: .* expects the query's last axis, 4, got shape \(2, 5, 6\)"):
        scaled_dot_product_attention(q, pn.zeros((2, 5, 6)), k)
    with pytest.raises(ShapeError, match="value: .* expects as many rows as key, 5"):
        scaled_dot_product_attention(q, k, q)
    with pytest.raises(ShapeError, match="query: .* at least two axes"):
        scaled_dot_product_attention(pn.zeros((4,)), k, k)
    with pytest.raises(OptionError, match=r"is_causal: .* got both"):
        scaled_dot_product_attention(q, k, k, pn.ones((3, 5), dtype=pn.bool), is_causal=True)
    with pytest.raises(ShapeError, match=r"attn_mask: expected a shape .* \(2, 3, 5\).* got \(5, 3\)"):
        scaled_dot_product_attention(q, k, k, pn.ones((5, 3), dtype=pn.bool))
    with pytest.raises(DTypeError, match="attn_mask: expected booleans.*got int64"):
        scaled_dot_product_attention(q, k, k, pn.ones((3, 5), dtype=pn.int64))
    with pytest.raises(OptionError, match="dropout_p"):
        scaled_dot_product_attention(q, k, k, dropout_p=1.5)
    heads = pn.zeros((1, 4, 3, 2))
    with pytest.raises(ShapeError, match="key: with enable_gqa"):
        scaled_dot_product_attention(heads, heads[:, :3], heads[:, :3], enable_gqa=True)


# As a layer

LAYERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "without-bias": {"bias": False, "batch_first": True},
    "extra-keys": {"add_bias_kv": True, "add_zero_attn": True},
    "zero-key": {"add_zero_attn": True, "batch_first": True},
    "other-widths": {"kdim": 5, "vdim": 3, "batch_first": True},
    "other-widths-and-keys": {"vdim": 7, "add_bias_kv": True},
}
WIDTH, HEADS, QUERIES, KEYS, BATCH = 6, 2, 4, 5, 3


def attention_pair(options: dict[str, Any], dtype: str) -> tuple[Any, Any]:
    reference = torch.nn.MultiheadAttention(WIDTH, HEADS, **options).to(getattr(torch, dtype))
    for name, parameter in reference.named_parameters():
        if "bias" in name:  # which begin as zeros
            torch.nn.init.normal_(parameter)
    layer = MultiheadAttention(WIDTH, HEADS, **options).to(getattr(pn, dtype))
    layer.load_state_dict(reference.state_dict())
    assert list(layer.state_dict()) == list(reference.state_dict())
    return layer, reference


def compare_parameters(layer: Any, reference: Any) -> None:
    for name, parameter in reference.named_parameters():
        assert_near(layer.get_parameter(name).grad, parameter.grad, name, scale=1.0)


def drawn_masks(rng: Any, kind: str, dtype: str, batched: bool) -> dict[str, Any]:
    """No query without a key to look at: PyTorch gives NaN for it."""
    heads = BATCH * HEADS if batched else HEADS
    padding = rng.random((BATCH, KEYS) if batched else (KEYS,)) < 0.4
    padding[..., 0] = False
    mask = rng.random((QUERIES, KEYS)) < 0.4
    mask[:, 0] = False
    each = rng.random((heads, QUERIES, KEYS)) < 0.4
    each[..., 0] = False
    number = rng.normal(size=mask.shape).astype(dtype)
    return {
        "none": {},
        "padding": {"key_padding_mask": padding},
        "mask": {"attn_mask": mask},
        "each-head": {"attn_mask": each},
        "both": {"attn_mask": mask, "key_padding_mask": padding},
        "numbers": {"attn_mask": number},
        "numbers-and-padding": {
            "attn_mask": number,
            "key_padding_mask": np.where(padding, -np.inf, 0.0).astype(dtype),
        },
    }[kind]


@DTYPES
@pytest.mark.parametrize("need_weights", ["mean", "each", "none"])
@pytest.mark.parametrize(
    "masks", ["none", "padding", "mask", "each-head", "both", "numbers", "numbers-and-padding"]
)
@pytest.mark.parametrize("case", LAYERS)
def test_multihead_attention(rng: Any, case: str, masks: str, need_weights: str, dtype: str) -> None:
    check_multihead(rng, LAYERS[case], masks, need_weights, dtype, True)


@BACKENDS
@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("case", LAYERS)
def test_multihead_attention_with_and_without_a_batch(
    rng: Any, case: str, batched: bool, backend_name: str
) -> None:
    if backend_name != "numpy":
        pytest.importorskip("array_api_strict", reason="proves the ops on the bare standard")
    with pn.use_backend(backend_name, strict=True):
        for masks in ("none", "both", "each-head"):
            check_multihead(rng, LAYERS[case], masks, "each", "float64", batched)


def check_multihead(
    rng: Any, options: dict[str, Any], masks: str, need_weights: str, dtype: str, batched: bool
) -> None:
    layer, reference = attention_pair(options, dtype)
    shapes = [(QUERIES, WIDTH), (KEYS, layer.kdim), (KEYS, layer.vdim)]
    if batched:
        shapes = [(BATCH, *s) if layer.batch_first else (s[0], BATCH, s[1]) for s in shapes]
    mine, its = leaves(rng, dtype, *shapes)
    arguments = {k: both(v) for k, v in drawn_masks(rng, masks, dtype, batched).items()}
    flags = {"need_weights": need_weights != "none", "average_attn_weights": need_weights == "mean"}
    found, weights = layer(*mine, **{k: v[0] for k, v in arguments.items()}, **flags)
    expected, its_weights = reference(*its, **{k: v[1] for k, v in arguments.items()}, **flags)
    assert_near(found, expected, "output")
    if need_weights == "none":
        assert weights is its_weights is None
        back(rng, found, expected)
    else:
        assert_near(weights, its_weights, "weights")
        cotangents = [rng.normal(size=x.shape).astype(dtype) for x in (found, weights)]
        pairs = zip((found, weights), cotangents, strict=True)
        sum(((x * pn.asarray(c)).sum() for x, c in pairs), start=pn.zeros((), dtype=found.dtype)).backward()
        its_pairs = zip((expected, its_weights), cotangents, strict=True)
        sum((x * torch.tensor(c)).sum() for x, c in its_pairs).backward()
    for place, (x, y) in enumerate(zip(mine, its, strict=True)):
        assert_near(x.grad, y.grad, f"gradient of argument {place}", scale=1.0)
    compare_parameters(layer, reference)


@DTYPES
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_self_attention(rng: Any, training: bool, batch_first: bool, dtype: str) -> None:
    """Where query, key and value are one array, and projected in one product."""
    layer, reference = attention_pair({"batch_first": batch_first}, dtype)
    layer.train(training)
    reference.train(training)
    (x,), (y,) = leaves(rng, dtype, (5, 4, WIDTH))
    length = 4 if batch_first else 5
    mask = np.triu(np.ones((length, length), bool), 1)
    my_mask, its_mask = both(mask)
    found, _ = layer(x, x, x, attn_mask=my_mask, is_causal=True)
    expected, _ = reference(y, y, y, attn_mask=its_mask, is_causal=True)
    assert_near(found, expected)
    back(rng, found, expected)
    assert_near(x.grad, y.grad, "gradient", scale=1.0)
    compare_parameters(layer, reference)
    with_two, _ = layer(x.detach(), x.detach() * 1, x.detach() * 1, attn_mask=my_mask)
    np.testing.assert_allclose(host(with_two), host(found), rtol=1e-4, atol=1e-6)


def test_where_there_is_nothing_to_look_at_there_is_the_bias(rng: Any) -> None:
    layer, reference = attention_pair({}, "float64")
    x = rng.normal(size=(2, 1, WIDTH))
    mask = np.array([[True, True], [False, True]])
    found, weights = layer(*[pn.asarray(x)] * 3, attn_mask=pn.asarray(mask))
    expected, _ = reference(*[torch.tensor(x)] * 3, attn_mask=torch.tensor(mask), need_weights=False)
    assert_near(found, expected)
    assert host(weights).tolist() == [[[0.0, 0.0], [1.0, 0.0]]]


def test_dropout_in_training_only() -> None:
    pn.manual_seed(5)
    layer = MultiheadAttention(4, 2, dropout=0.5)
    x = pn.random.normal((60, 1, 4))
    _, weights = layer(x, x, x, average_attn_weights=False)
    assert (host(weights) == 0).mean() == pytest.approx(0.5, abs=0.05)
    _, weights = layer.eval()(x, x, x)
    np.testing.assert_allclose(host(weights).sum(-1), 1.0, rtol=1e-5)


def test_initial_parameters_have_pytorchs_distribution() -> None:
    for options in ({"add_bias_kv": True}, {"kdim": 300}):
        layer = MultiheadAttention(200, 4, **options)
        reference = torch.nn.MultiheadAttention(200, 4, **options)
        for name, parameter in reference.named_parameters():
            mine, its = host(layer.get_parameter(name)), host(parameter)
            assert mine.std() == pytest.approx(its.std(), rel=0.05 if mine.size > 1000 else 0.4), name
            if mine.size > 1000:
                assert abs(mine).max() == pytest.approx(abs(its).max(), rel=0.05), name


def test_second_derivatives(rng: Any) -> None:
    layer = MultiheadAttention(4, 2, add_bias_kv=True).double()
    x = pn.asarray(rng.normal(size=(3, 2, 4)))
    gradgradcheck(lambda x: layer(x, x, x)[0], x)


def test_on_jax_as_on_numpy(rng: Any) -> None:
    pytest.importorskip("jax", reason="runs on JAX")
    x, cotangent = rng.normal(size=(2, 3, 2, WIDTH)).astype("float32")
    mask = np.triu(np.ones((3, 3), bool), 1)
    state, found = MultiheadAttention(WIDTH, HEADS).state_dict(), []
    for backend_name in ("numpy", "jax"):
        with pn.use_backend(backend_name, strict=True):
            layer = MultiheadAttention(WIDTH, HEADS)
            layer.load_state_dict(state)
            xs = pn.asarray(x)
            output, weights = layer(xs, xs, xs, attn_mask=pn.asarray(mask))
            output.backward(pn.asarray(cotangent))
            found.append([pn.to_host(y) for y in (output, weights, *(p.grad for p in layer.parameters()))])
    for mine, its in zip(*found, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-5)


def test_raw_arrays_go_through_untouched(rng: Any) -> None:
    layer = MultiheadAttention(WIDTH, HEADS, add_bias_kv=True, add_zero_attn=True)
    x = rng.normal(size=(3, 2, WIDTH)).astype("float32")
    arrays = {name: value.numpy() for name, value in layer.state_dict().items()}
    output, weights = pn.functional_call(layer, arrays, (x, x, x, np.zeros((2, 3), bool)))
    assert type(output) is type(weights) is np.ndarray


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("chunks", [[1] * 6, [3, 1, 2], [6]])
def test_generation_with_a_cache_is_the_full_pass(rng: Any, chunks: list[int], batch_first: bool) -> None:
    layer = MultiheadAttention(WIDTH, HEADS, batch_first=batch_first).double()
    x = pn.asarray(rng.normal(size=(6, 2, WIDTH)))
    axis = 1 if batch_first else 0
    if batch_first:
        x = pn.moveaxis(x, 0, 1)
    mask = pn.asarray(np.triu(np.ones((6, 6), bool), 1))
    whole, _ = layer(x, x, x, attn_mask=mask)
    cache, start, parts = KeyValueCache(), 0, []
    for length in chunks:
        end = start + length
        new = x[:, start:end, ...] if batch_first else x[start:end, ...]
        part, weights = layer(new, new, new, attn_mask=mask[start:end, :end], cache=cache)
        assert len(cache) == end
        assert weights.shape == (2, length, end)
        parts.append(part)
        start = end
    np.testing.assert_allclose(host(pn.concat(parts, axis=axis)), host(whole), rtol=1e-12, atol=1e-14)
    cache.clear()
    assert len(cache) == 0


def test_bad_input() -> None:
    layer, x = MultiheadAttention(WIDTH, HEADS), pn.zeros((4, 3, WIDTH))
    with pytest.raises(OptionError, match="num_heads: expected a divisor of embed_dim=6, got 4"):
        MultiheadAttention(6, 4)
    with pytest.raises(ShapeError, match=r"query: MultiheadAttention expects shape \(positions, batch, 6\)"):
        layer(pn.zeros((4, 3, 5)), x, x)
    with pytest.raises(ShapeError, match="key: MultiheadAttention expects as many sequences"):
        layer(x, pn.zeros((4, 2, WIDTH)), pn.zeros((4, 2, WIDTH)))
    with pytest.raises(
        ShapeError, match=r"attn_mask: .* expects shape \(4, 4\) or \(6, 4, 4\), got \(4, 5\)"
    ):
        layer(x, x, x, attn_mask=pn.zeros((4, 5), dtype=pn.bool))
    with pytest.raises(ShapeError, match=r"key_padding_mask: .* expects shape \(3, 4\), got \(4, 3\)"):
        layer(x, x, x, pn.zeros((4, 3), dtype=pn.bool))
    with pytest.raises(DTypeError, match="attn_mask: .* expects booleans.*got int64"):
        layer(x, x, x, attn_mask=pn.zeros((4, 4), dtype=pn.int64))
    with pytest.raises(OptionError, match="is_causal: .* attn_mask, which was not given"):
        layer(x, x, x, is_causal=True)
    cache = KeyValueCache()
    layer(x, x, x, cache=cache)
    with pytest.raises(ShapeError, match="keys: the cache holds shape"):
        layer(*[pn.zeros((1, 2, WIDTH))] * 3, cache=cache)


# Transformers

SMALL: dict[str, Any] = {"d_model": WIDTH, "nhead": HEADS, "dim_feedforward": 10, "dropout": 0.0}
TRANSFORMERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "norm-first": {"norm_first": True, "activation": "gelu", "batch_first": True},
    "without-bias": {"bias": False, "layer_norm_eps": 1e-3},
}


def transformer_pair(name: str, options: dict[str, Any], dtype: str) -> tuple[Any, Any]:
    reference = getattr(torch.nn, name)(**{**SMALL, **options}).to(getattr(torch, dtype))
    for parameter in reference.parameters():
        if parameter.ndim == 1:  # biases begin as zeros, factors as ones
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    layer = getattr(transformer, name)(**{**SMALL, **options}).to(getattr(pn, dtype))
    layer.load_state_dict(reference.state_dict())
    assert list(layer.state_dict()) == list(reference.state_dict())
    return layer, reference


def compare_transformers(rng: Any, pairs: Any, inputs: Any, masks: dict[str, Any]) -> None:
    (layer, reference), (mine, its) = pairs, inputs
    arguments = {name: both(mask) for name, mask in masks.items()}
    found = layer(*mine, **{name: mask[0] for name, mask in arguments.items()})
    expected = reference(*its, **{name: mask[1] for name, mask in arguments.items()})
    assert_near(found, expected, "output")
    back(rng, found, expected)
    for place, (x, y) in enumerate(zip(mine, its, strict=True)):
        assert_near(x.grad, y.grad, f"gradient of argument {place}", scale=1.0)
    compare_parameters(layer, reference)


def causal(length: int) -> Any:
    return np.triu(np.ones((length, length), bool), 1)


def padded(batch: int, length: int) -> Any:
    return np.arange(length) >= np.arange(length - batch + 1, length + 1)[:, None]


def in_layout(options: dict[str, Any], batch: int, length: int) -> tuple[int, ...]:
    return (batch, length, WIDTH) if options.get("batch_first") else (length, batch, WIDTH)


@DTYPES
@BACKENDS
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("case", TRANSFORMERS)
def test_encoder_layer(rng: Any, case: str, training: bool, backend_name: str, dtype: str) -> None:
    if backend_name != "numpy":
        pytest.importorskip("array_api_strict", reason="proves the ops on the bare standard")
    with pn.use_backend(backend_name, strict=True):
        options = TRANSFORMERS[case]
        for masks in ({}, {"src_mask": causal(4), "src_key_padding_mask": padded(3, 4)}):
            layer, reference = transformer_pair("TransformerEncoderLayer", options, dtype)
            layer.train(training)
            reference.train(training)
            inputs = leaves(rng, dtype, in_layout(options, 3, 4))
            compare_transformers(rng, (layer, reference), inputs, masks)


@DTYPES
@BACKENDS
@pytest.mark.parametrize("case", TRANSFORMERS)
def test_decoder_layer(rng: Any, case: str, backend_name: str, dtype: str) -> None:
    if backend_name != "numpy":
        pytest.importorskip("array_api_strict", reason="proves the ops on the bare standard")
    with pn.use_backend(backend_name, strict=True):
        options = TRANSFORMERS[case]
        masks = {
            "tgt_mask": causal(4),
            "tgt_key_padding_mask": padded(3, 4),
            "memory_key_padding_mask": padded(3, 5),
            "memory_mask": np.arange(20).reshape(4, 5) % 5 == 1,
        }
        for given in ({}, masks):
            pair = transformer_pair("TransformerDecoderLayer", options, dtype)
            inputs = leaves(rng, dtype, in_layout(options, 3, 4), in_layout(options, 3, 5))
            compare_transformers(rng, pair, inputs, given)


@DTYPES
@pytest.mark.parametrize("case", TRANSFORMERS)
def test_transformer(rng: Any, case: str, dtype: str) -> None:
    options = {**TRANSFORMERS[case], "num_encoder_layers": 2, "num_decoder_layers": 2}
    pair = transformer_pair("Transformer", options, dtype)
    inputs = leaves(rng, dtype, in_layout(options, 3, 5), in_layout(options, 3, 4))
    masks = {
        "src_key_padding_mask": padded(3, 5),
        "tgt_mask": causal(4),
        "memory_key_padding_mask": padded(3, 5),
    }
    compare_transformers(rng, pair, inputs, masks)


@pytest.mark.parametrize("case", TRANSFORMERS)
def test_encoder_and_decoder_in_evaluation_without_a_batch(rng: Any, case: str) -> None:
    options = {**TRANSFORMERS[case], "num_encoder_layers": 1, "num_decoder_layers": 2}
    layer, reference = transformer_pair("Transformer", options, "float64")
    inputs = leaves(rng, "float64", (5, WIDTH), (4, WIDTH))
    compare_transformers(rng, (layer.eval(), reference.eval()), inputs, {"tgt_mask": causal(4)})


def test_copies_of_the_layer_and_a_final_norm(rng: Any) -> None:
    layers = {}
    for nn in (transformer, torch.nn):
        layer = nn.TransformerEncoderLayer(**SMALL)
        norm = normalization.LayerNorm(WIDTH) if nn is transformer else torch.nn.LayerNorm(WIDTH)
        layers[nn] = nn.TransformerEncoder(layer, 3, norm)
    layer, reference = layers[transformer], layers[torch.nn]
    weights = [host(part.linear1.weight.detach()) for part in layer.layers]
    assert len(layer.layers) == layer.num_layers == 3
    assert (weights[0] == weights[1]).all()
    assert len({id(parameter) for parameter in layer.parameters()}) == len(list(reference.parameters()))
    layer.load_state_dict(reference.state_dict())
    compare_transformers(rng, (layer, reference), leaves(rng, "float32", (4, 2, WIDTH)), {"mask": causal(4)})


def test_initial_weights_of_a_transformer() -> None:
    options: dict[str, Any] = {"d_model": 64, "nhead": 2, "num_encoder_layers": 1, "num_decoder_layers": 1}
    layer = transformer.Transformer(**options, dim_feedforward=96)
    reference = torch.nn.Transformer(**options, dim_feedforward=96)
    for name, parameter in reference.named_parameters():
        mine, its = host(layer.get_parameter(name).detach()), host(parameter)
        assert mine.std() == pytest.approx(its.std(), rel=0.05 if mine.ndim > 1 else 0.6, abs=1e-9), name


def test_the_causal_mask() -> None:
    for size in (0, 1, 5):
        found = transformer.Transformer.generate_square_subsequent_mask(size)
        expected = torch.nn.Transformer.generate_square_subsequent_mask(size)
        np.testing.assert_array_equal(host(found), host(expected))
        assert found.dtype == pn.float32
    assert transformer.Transformer.generate_square_subsequent_mask(2, dtype=pn.float64).dtype == pn.float64


def test_an_activation_of_ones_own(rng: Any) -> None:
    layer = transformer.TransformerEncoderLayer(**{**SMALL, "activation": pn.nn.Tanh()})
    reference = torch.nn.TransformerEncoderLayer(**{**SMALL, "activation": torch.nn.Tanh()})
    layer.load_state_dict(reference.state_dict())
    compare_transformers(rng, (layer, reference), leaves(rng, "float32", (4, 2, WIDTH)), {})


def test_dropout_of_transformers_in_training_only(rng: Any) -> None:
    layer = transformer.TransformerEncoderLayer(**{**SMALL, "dropout": 0.5})
    x = pn.asarray(rng.normal(size=(4, 2, WIDTH)).astype("float32"))
    assert (host(layer(x).detach()) != host(layer(x).detach())).any()
    layer.eval()
    assert (host(layer(x).detach()) == host(layer(x).detach())).all()


def test_second_derivatives_of_a_transformer(rng: Any) -> None:
    layer = transformer.TransformerDecoderLayer(4, 2, 5, dropout=0.0, activation="gelu").double()
    x, memory = (pn.asarray(rng.normal(size=(3, 2, 4))) for _ in range(2))
    gradgradcheck(layer, (x, memory))


def test_bad_arguments_of_transformers() -> None:
    with pytest.raises(OptionError, match="activation: expected 'relu', 'gelu' or a function, got 'swish'"):
        transformer.TransformerEncoderLayer(4, 2, activation="swish")
    layer = transformer.Transformer(4, 2, 1, 1, 8)
    with pytest.raises(
        ShapeError, match=r"tgt: Transformer expects .* got shapes \(3, 1, 4\) and \(3, 1, 5\)"
    ):
        layer(pn.zeros((3, 1, 4)), pn.zeros((3, 1, 5)))
    with pytest.raises(OptionError, match="is_causal"):
        layer.encoder(pn.zeros((3, 1, 4)), is_causal=True)
