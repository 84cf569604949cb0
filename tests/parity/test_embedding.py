"""Embeddings against PyTorch's: values, gradients, renormalised tables, bags of every kind, one-hot codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import DataError, DTypeError, OptionError, ShapeError
from portanet.nn.embedding import Embedding, EmbeddingBag
from portanet.nn.functional.embedding import embedding, embedding_bag, one_hot
from portanet.testing import gradcheck, gradgradcheck
from tests.parity.comparison import assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")

BACKENDS = pytest.mark.parametrize("backend_name", ["numpy", "array-api-strict"])
PLACES = pytest.mark.parametrize(
    ("backend_name", "dtype"), [("numpy", "float32"), ("numpy", "float64"), ("array-api-strict", "float64")]
)
ROWS, FEATURES = 7, 3
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "padding": {"padding_idx": 2},
    "padding-from-the-end": {"padding_idx": -3},
    "norm": {"max_norm": 1.0},
    "norm-of-type-1": {"max_norm": 1.5, "norm_type": 1.0},
    "norm-of-type-3": {"max_norm": 1.5, "norm_type": 3.0, "padding_idx": 4},
    "frequency": {"scale_grad_by_freq": True},
    "all": {"scale_grad_by_freq": True, "padding_idx": 1, "max_norm": 1.2},
}
BAGS: dict[str, dict[str, Any]] = {
    **{f"{mode}-{name}": {"mode": mode, **options} for mode in ("sum", "mean", "max") for name, options in {
        "plain": {},
        "padding": {"padding_idx": 2},
        "end": {"include_last_offset": True},
        "both": {"include_last_offset": True, "padding_idx": -1},
        "norm": {"max_norm": 1.0, "norm_type": 2.0},
    }.items()},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _backend(request: pytest.FixtureRequest) -> Any:
    name = (
        request.node.callspec.params.get("backend_name", "numpy")
        if hasattr(request.node, "callspec")
        else "numpy"
    )
    if name != "numpy":
        pytest.importorskip("array_api_strict", reason="proves the ops on the bare standard")
    with pn.use_backend(name, strict=True):
        yield


def table(rng: Any, dtype: str) -> Any:
    """No two values of a column are near each other, so that the largest one is plain, and no norm is near 1.5."""
    columns = [rng.permutation(ROWS) for _ in range(FEATURES)]
    return (0.37 * (np.stack(columns, axis=1) - 3) + rng.uniform(-0.05, 0.05, (ROWS, FEATURES))).astype(dtype)


def compare(
    rng: Any, mine: Any, its: Any, arguments: list[Any], keywords: dict[str, Any], dtype: str
) -> None:
    """Output, gradients of the table and of the keywords that want one, and the table afterwards."""
    mine.load_state_dict({name: np.asarray(value.detach()) for name, value in its.state_dict().items()})
    my_keywords = {name: pn.asarray(value).requires_grad_() for name, value in keywords.items()}
    its_keywords = {name: torch.tensor(value, requires_grad=True) for name, value in keywords.items()}
    found = mine(*map(pn.asarray, arguments), **my_keywords)
    expected = its(*map(torch.tensor, arguments), **its_keywords)
    assert_near(found, expected, "output", scale=1.0)
    cotangent = rng.normal(size=tuple(expected.shape)).astype(dtype)
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))
    assert_near(mine.weight.grad, its.weight.grad, "gradient of the table", scale=1.0)
    assert_near(mine.weight, its.weight, "the table afterwards")
    for name, value in its_keywords.items():
        assert_near(my_keywords[name].grad, value.grad, name, scale=1.0)


def pair(rng: Any, name: str, options: dict[str, Any], dtype: str) -> tuple[Any, Any]:
    make = {"Embedding": Embedding, "EmbeddingBag": EmbeddingBag}[name]
    its = getattr(torch.nn, name)(ROWS, FEATURES, **options, dtype=getattr(torch, dtype))
    its.weight.data = torch.tensor(table(rng, dtype))
    return make(ROWS, FEATURES, **options, dtype=getattr(pn, dtype)), its


@PLACES
@pytest.mark.parametrize("shape", [(12,), (3, 4), (2, 3, 2), (), (0, 2)])
@pytest.mark.parametrize("options", OPTIONS)
def test_embedding(rng: Any, options: str, shape: tuple[int, ...], backend_name: str, dtype: str) -> None:
    """Seven rows for twelve indices: some come several times."""
    mine, its = pair(rng, "Embedding", OPTIONS[options], dtype)
    indices = np.asarray(rng.integers(0, ROWS, shape))
    if indices.size > 3:
        indices.ravel()[:4] = [2, 4, 1, 2]
    compare(rng, mine, its, [indices], {}, dtype)


@PLACES
@pytest.mark.parametrize("shape", [(5, 4), (3, 1), (0, 2)])
@pytest.mark.parametrize("options", BAGS)
def test_bags_of_one_length(
    rng: Any, options: str, shape: tuple[int, ...], backend_name: str, dtype: str
) -> None:
    if 0 in shape and "norm" in options:
        return
    mine, its = pair(rng, "EmbeddingBag", BAGS[options], dtype)
    indices = rng.integers(0, ROWS, shape)
    if indices.size > 4:
        indices[1] = [2, 2, 6, 2]
        indices[2] = 2 if BAGS[options].get("padding_idx") != -1 else 6
    compare(rng, mine, its, [indices], {}, dtype)


@PLACES
@pytest.mark.parametrize("offsets", [(0, 2, 2, 5, 10), (0,), (0, 1, 2, 3, 4), (0, 10, 10), (0, 0, 0, 7, 10)])
@pytest.mark.parametrize("options", BAGS)
def test_bags_with_offsets(
    rng: Any, options: str, offsets: tuple[int, ...], backend_name: str, dtype: str
) -> None:
    """Empty ones, too, at either end and between."""
    mine, its = pair(rng, "EmbeddingBag", BAGS[options], dtype)
    starts = np.asarray(offsets)
    indices = rng.integers(0, ROWS, 10)
    if BAGS[options].get("include_last_offset"):
        starts = np.append(starts, 10) if len(offsets) == 1 else starts
        indices = indices[: starts[-1]]
    indices[-1:] = 2
    compare(rng, mine, its, [indices, starts], {}, dtype)


@PLACES
@pytest.mark.parametrize(
    "options", [{}, {"padding_idx": 2}, {"include_last_offset": True}, {"max_norm": 1.0}]
)
def test_a_factor_for_each_index(rng: Any, options: dict[str, Any], backend_name: str, dtype: str) -> None:
    for arguments in ([rng.integers(0, ROWS, (4, 3))], [rng.integers(0, ROWS, 9), np.asarray([0, 2, 2, 9])]):
        mine, its = pair(rng, "EmbeddingBag", {"mode": "sum", **options}, dtype)
        arguments[0].ravel()[:2] = 2
        if len(arguments) == 2 and not options.get("include_last_offset"):
            arguments[1][-1] = 8
        factors = rng.normal(size=arguments[0].shape).astype(dtype)
        compare(rng, mine, its, arguments, {"per_sample_weights": factors}, dtype)


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_gradients_of_bags_by_frequency(rng: Any, mode: str) -> None:
    """As documented: PyTorch 2.13 divides the gradients of bags by the counts of other rows."""
    mine, its = pair(rng, "EmbeddingBag", {"mode": mode}, "float64")
    mine.scale_grad_by_freq = True
    mine.load_state_dict({"weight": its.weight.detach().numpy()})
    indices, starts = rng.integers(0, ROWS, 12), np.asarray([0, 4, 4])
    mine(pn.asarray(indices), pn.asarray(starts)).sum().backward()
    its(torch.tensor(indices), torch.tensor(starts)).sum().backward()
    counts = np.maximum(np.bincount(indices, minlength=ROWS), 1)
    assert_near(mine.weight.grad, its.weight.grad / torch.tensor(counts)[:, None])


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@BACKENDS
def test_bags_of_no_indices(mode: str, backend_name: str) -> None:
    weight = pn.ones((4, 2)).requires_grad_()
    nothing = pn.zeros((0,), dtype=pn.int64)
    for found in (
        embedding_bag(pn.zeros((3, 0), dtype=pn.int64), weight, mode=mode),
        embedding_bag(nothing, weight, pn.asarray([0, 0, 0]), mode=mode),
    ):
        assert found.tolist() == [[0.0, 0.0]] * 3
        (gradient,) = pn.grad(found.sum(), [weight])
        assert not gradient.numpy().any()
    assert embedding_bag(nothing, weight, nothing, mode=mode).shape == (0, 2)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_every_other_backend_agrees_with_numpy(mode: str, backend: str, rng: Any) -> None:
    values = table(rng, "float32")
    indices, starts = rng.integers(0, ROWS, 11), np.asarray([0, 3, 3, 5])
    results = []
    for name in ("numpy", backend):
        with pn.use_backend(name, strict=True):
            weight = pn.asarray(values).requires_grad_()
            bags = embedding_bag(
                pn.asarray(indices), weight, pn.asarray(starts), mode=mode, padding_idx=3, max_norm=1.5
            )
            rows = embedding(pn.asarray(indices), weight, padding_idx=1, scale_grad_by_freq=True)
            (pn.sum(bags * bags) + pn.sum(rows * rows)).backward()
            codes = one_hot(pn.asarray(indices), ROWS)
            results.append([part.detach().numpy() for part in (bags, rows, weight.grad, weight, codes)])
    for one, other in zip(*results, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"padding_idx": 1}])
def test_gradients_of_both_orders(rng: Any, options: dict[str, Any]) -> None:
    indices = pn.asarray(np.asarray([0, 3, 3, 5, 6, 2, 0]))
    starts = pn.asarray(np.asarray([0, 2, 2, 5]))
    weight = pn.asarray(table(rng, "float64"))

    def squares(function: Any) -> Any:
        return lambda weight, *rest: function(weight, *rest) ** 2

    cases = [
        squares(lambda weight: embedding(indices, weight, **options)),
        *(
            squares(lambda weight, mode=mode: embedding_bag(indices, weight, starts, mode=mode, **options))
            for mode in ("sum", "mean", "max")
        ),
    ]
    for function in cases:
        gradcheck(function, [weight])
        gradgradcheck(function, [weight])
    factors = pn.asarray(rng.normal(size=7))
    weighted = squares(
        lambda weight, factors: embedding_bag(
            indices, weight, starts, mode="sum", per_sample_weights=factors, **options
        )
    )
    gradcheck(weighted, [weight, factors])
    gradgradcheck(weighted, [weight, factors])


def test_indices_of_narrow_types(rng: Any) -> None:
    weight = pn.asarray(rng.normal(size=(200, 3)))
    for dtype in ("uint8", "int16", "int32", "uint16", "int64"):
        found = embedding(pn.asarray(np.asarray([199 if dtype != "int8" else 3, 0]).astype(dtype)), weight)
        np.testing.assert_array_equal(found.numpy(), weight.numpy()[[199, 0]])


def test_renormalizing_spoils_no_earlier_graph(rng: Any) -> None:
    """Two looks at one table before the backward pass."""
    layer = Embedding(ROWS, FEATURES, max_norm=0.1)
    first, second = pn.asarray([0, 1]), pn.asarray([2, 3])
    held = layer.weight
    (pn.sum(layer(first)) + pn.sum(layer(second))).backward()
    assert layer.weight is held
    np.testing.assert_array_equal(held.grad.numpy(), [[1.0] * 3] * 4 + [[0.0] * 3] * 3)
    norms = np.linalg.norm(held.detach().numpy(), axis=1)
    assert (norms[:4] < 0.1 + 1e-6).all()
    assert (norms[4:] > 0.1).any()


def test_renormalized_tables_are_trained_on(rng: Any) -> None:
    """The optimizer goes on from the scaled rows, as PyTorch's does."""
    mine, its = pair(rng, "Embedding", {"max_norm": 0.8, "padding_idx": 0}, "float64")
    mine.load_state_dict({"weight": its.weight.detach().numpy().copy()})
    my_steps = pn.optim.SGD(mine.parameters(), lr=0.1, momentum=0.9)
    its_steps = torch.optim.SGD(its.parameters(), lr=0.1, momentum=0.9)
    for _ in range(5):
        indices = rng.integers(0, ROWS, 6)
        for layer, steps, make in ((mine, my_steps, pn.asarray), (its, its_steps, torch.tensor)):
            steps.zero_grad()
            (layer(make(indices)) ** 2).sum().backward()
            steps.step()
        assert_near(mine.weight, its.weight)


def test_raw_arrays_stay_raw_and_unchanged(rng: Any) -> None:
    weight = 5 * table(rng, "float64") + 1
    before = weight.copy()
    found = embedding(np.asarray([[0, 1]]), weight, padding_idx=0, max_norm=1.0, scale_grad_by_freq=True)
    assert type(found) is np.ndarray
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(weight, before)
    assert type(embedding_bag(np.asarray([[0, 1]]), weight, mode="max")) is np.ndarray
    assert type(one_hot(np.asarray([0, 1]))) is np.ndarray


def test_a_table_in_a_compiled_step() -> None:
    """JAX traces the mode that needs most without reading indices or offsets."""
    jax = pytest.importorskip("jax", reason="traces a step")
    with pn.use_backend("jax", strict=True):
        weight = jax.numpy.arange(12.0).reshape(4, 3)
        indices, starts = jax.numpy.asarray([3, 1, 2]), jax.numpy.asarray([0, 2])
        options = {"mode": "max", "padding_idx": 1}
        found = jax.jit(lambda *arrays: embedding_bag(*arrays, **options))(indices, weight, starts)
        np.testing.assert_allclose(found, [[9, 10, 11], [6, 7, 8]])


# One-hot codes


@BACKENDS
@pytest.mark.parametrize("shape", [(5,), (2, 3), ()])
@pytest.mark.parametrize("num_classes", [-1, 4, 9])
def test_one_hot(rng: Any, num_classes: int, shape: tuple[int, ...], backend_name: str) -> None:
    classes = np.asarray(rng.integers(0, 4, shape))
    expected = torch.nn.functional.one_hot(torch.tensor(classes), num_classes)
    found = one_hot(pn.asarray(classes), num_classes)
    assert found.dtype == pn.int64
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_one_hot_of_nothing() -> None:
    assert one_hot(pn.zeros((0, 2), dtype=pn.int64), 3).shape == (0, 2, 3)
    with pytest.raises(OptionError, match="num_classes: one_hot of no elements"):
        one_hot(pn.zeros((0,), dtype=pn.int64))


# Layers as such


def test_initial_tables() -> None:
    pn.manual_seed(2)
    layer = Embedding(2000, 20, padding_idx=3)
    values = np.delete(layer.weight.detach().numpy(), 3, axis=0)
    assert not layer.weight.detach().numpy()[3].any()
    assert abs(values.mean()) < 5 / np.sqrt(values.size)
    assert abs(values.std() - 1) < 5 / np.sqrt(2 * values.size)
    held = layer.weight
    layer.reset_parameters()
    assert layer.weight is held
    assert held.requires_grad
    assert not held.detach().numpy()[3].any()
    assert not np.array_equal(np.delete(held.detach().numpy(), 3, axis=0), values)


def test_pretrained_tables(rng: Any) -> None:
    values = pn.asarray(table(rng, "float32"))
    layer = Embedding.from_pretrained(values, padding_idx=1)
    assert not layer.weight.requires_grad
    assert repr(layer) == f"Embedding({ROWS}, {FEATURES}, padding_idx=1)"
    np.testing.assert_array_equal(layer.weight.detach().numpy(), values.numpy())
    assert Embedding.from_pretrained(values, freeze=False).weight.requires_grad
    bag = EmbeddingBag.from_pretrained(values, mode="max")
    assert not bag.weight.requires_grad
    assert bag.mode == "max"
    assert EmbeddingBag.from_pretrained(values, freeze=False).weight.requires_grad


@pytest.mark.parametrize(
    "make",
    [
        lambda nn: nn.Embedding(4, 3),
        lambda nn: nn.Embedding(4, 3, padding_idx=-1, max_norm=1, norm_type=3.0, scale_grad_by_freq=True),
        lambda nn: nn.Embedding(4, 3, max_norm=2.5),
        lambda nn: nn.EmbeddingBag(4, 3),
        lambda nn: nn.EmbeddingBag(4, 3, mode="sum", padding_idx=1, include_last_offset=True),
        lambda nn: nn.EmbeddingBag(4, 3, max_norm=1.0, norm_type=1.0, scale_grad_by_freq=True, mode="max"),
    ],
)
def test_the_printed_form(make: Callable[[Any], Any]) -> None:
    class Names:
        Embedding = Embedding
        EmbeddingBag = EmbeddingBag

    assert repr(make(Names)) == repr(make(torch.nn))


# Bad input

TABLE = np.ones((4, 3), "float32")


def bag(indices: Any, offsets: Any = None, **options: Any) -> Any:
    starts = None if offsets is None else pn.asarray(offsets)
    return embedding_bag(pn.asarray(indices), pn.asarray(TABLE), starts, **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Embedding(4, 3)(pn.asarray([4])), DataError, "input: embedding expects numbers from 0 to 3.*got 4"),
        (lambda: Embedding(4, 3)(pn.asarray([-1])), DataError, "input: embedding expects numbers from 0 to 3.*got -1"),
        (lambda: Embedding(4, 3)(pn.asarray([1.0])), DTypeError, "input: embedding expects integers, got float32"),
        (lambda: Embedding(4, 3, padding_idx=4), OptionError, "padding_idx: Embedding expects one of its 4 rows"),
        (lambda: Embedding(4, 3, sparse=True), OptionError, "sparse: Embedding expects False.*no sparse ones"),
        (lambda: EmbeddingBag(4, 3, sparse=True), OptionError, "sparse: EmbeddingBag expects False"),
        (lambda: Embedding(4, -3), OptionError, "embedding_dim: expected a whole number of at least 0"),
        (lambda: Embedding(4, 3, max_norm=-1.0), OptionError, "max_norm: expected a finite number of at least 0"),
        (lambda: Embedding(4, 3, _weight=pn.ones((3, 4))), ShapeError, r"_weight: Embedding expects.*\(4, 3\)"),
        (lambda: Embedding.from_pretrained(pn.ones((3,))), ShapeError, "embeddings: from_pretrained expects shape"),
        (lambda: embedding(pn.asarray([0]), pn.ones((3,))), ShapeError, "weight: embedding expects shape"),
        (
            lambda: embedding(pn.asarray([0]), pn.zeros((3, 2), dtype=pn.int64)),
            DTypeError,
            "weight: embedding expects a floating-point type, got int64",
        ),
        (lambda: EmbeddingBag(4, 3, mode="min"), OptionError, "mode: EmbeddingBag expects 'sum', 'mean' or 'max'"),
        (lambda: bag([1, 2]), OptionError, "offsets: embedding_bag needs the places"),
        (lambda: bag([[1, 2]], [0]), OptionError, "offsets: embedding_bag expects None for an input"),
        (lambda: bag([[[1]]]), ShapeError, r"input: embedding_bag expects shape \(bags, n\)"),
        (lambda: bag([1, 2], [1]), DataError, "expects the first bag to begin at 0, got 1"),
        (lambda: bag([1, 2], [0, 3]), DataError, "offsets: embedding_bag expects at most 2.*got 3"),
        (lambda: bag([1, 2], [0, 2, 1]), DataError, "none to be below the one before"),
        (lambda: bag([1, 2], [0.0]), DTypeError, "offsets: embedding_bag expects integers"),
        (lambda: bag([1, 2], [[0]]), ShapeError, r"offsets: embedding_bag expects shape \(bags,\)"),
        (lambda: bag([[1, 2]], mode="max", scale_grad_by_freq=True), OptionError, "scale_grad_by_freq: embedding_bag"),
        (
            lambda: bag([[1, 2]], per_sample_weights=pn.ones((1, 2))),
            OptionError,
            "per_sample_weights: embedding_bag takes them with mode='sum' only, got mode='mean'",
        ),
        (
            lambda: bag([[1, 2]], mode="sum", per_sample_weights=pn.ones((2,))),
            ShapeError,
            r"per_sample_weights: embedding_bag expects the input's shape \(1, 2\), got \(2,\)",
        ),
        (
            lambda: bag([[1, 2]], mode="sum", per_sample_weights=pn.ones((1, 2), dtype=pn.float64)),
            DTypeError,
            "per_sample_weights: embedding_bag expects the data type of weight",
        ),
        (lambda: one_hot(pn.asarray([1.0])), DTypeError, "tensor: one_hot expects integers"),
        (lambda: one_hot(pn.asarray([3]), 3), DataError, "tensor: one_hot expects numbers from 0 to 2.*got 3"),
        (lambda: one_hot(pn.asarray([-1])), DataError, "tensor: one_hot expects numbers from 0"),
        (lambda: one_hot(pn.asarray([1]), -2), OptionError, "num_classes: expected a whole number of at least -1"),
    ],
)  # fmt: skip
def test_bad_input(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
