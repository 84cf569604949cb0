"""Functions of ``torch.nn.functional`` one by one, called as PyTorch's are: results and gradients.

Layers are compared in other files; here each function is called under its own name, with its own arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.nn import functional
from portanet.testing import gradcheck, gradgradcheck
from tests.parity.comparison import DTYPES, assert_near

torch = pytest.importorskip("torch", reason="compares with PyTorch")

Draw = Callable[[Any], Any]


def normal(*shape: int) -> Draw:
    return lambda rng: rng.normal(size=shape)


def between(low: float, high: float, *shape: int) -> Draw:
    return lambda rng: rng.uniform(low, high, size=shape)


def different(*shape: int) -> Draw:
    return lambda rng: rng.permutation(int(np.prod(shape))).reshape(shape) / 16.0 - 2.01


def integers(low: int, high: int, *shape: int) -> Draw:
    return lambda rng: rng.integers(low, high, size=shape)


def signs(*shape: int) -> Draw:
    return lambda rng: rng.choice([-1.0, 1.0], size=shape)


def given(values: Any) -> Draw:
    return lambda rng: np.asarray(values)


A, B, C = (2, 3, 9), (2, 3, 8, 7), (1, 2, 5, 6, 5)
"""Shapes of inputs with one, two and three spatial axes."""

Call = Callable[..., Any]
CASES: dict[str, tuple[list[Draw], list[Call]]] = {
    "avg_pool1d": (
        [normal(*A)],
        [
            lambda F, x: F.avg_pool1d(x, 2),
            lambda F, x: F.avg_pool1d(x, 3, 2, 1),
            lambda F, x: F.avg_pool1d(x, 2, 3, ceil_mode=True, count_include_pad=False),
        ],
    ),
    "avg_pool2d": (
        [normal(*B)],
        [
            lambda F, x: F.avg_pool2d(x, 2),
            lambda F, x: F.avg_pool2d(x, (3, 2), 2, (1, 0), divisor_override=5),
            lambda F, x: F.avg_pool2d(x, 3, padding=1, count_include_pad=False),
        ],
    ),
    "avg_pool3d": (
        [normal(*C)],
        [
            lambda F, x: F.avg_pool3d(x, 2),
            lambda F, x: F.avg_pool3d(x, (3, 2, 1), 2),
            lambda F, x: F.avg_pool3d(x, 3, padding=1, ceil_mode=True),
        ],
    ),
    "adaptive_avg_pool1d": ([normal(*A)], [lambda F, x, n=n: F.adaptive_avg_pool1d(x, n) for n in (1, 4, 9)]),
    "adaptive_avg_pool2d": (
        [normal(*B)],
        [lambda F, x, n=n: F.adaptive_avg_pool2d(x, n) for n in (1, (4, 3), (None, 2))],
    ),
    "adaptive_avg_pool3d": (
        [normal(*C)],
        [lambda F, x, n=n: F.adaptive_avg_pool3d(x, n) for n in (1, (4, 3, 2), (None, 2, None))],
    ),
    "max_pool1d": (
        [different(*A)],
        [
            lambda F, x: F.max_pool1d(x, 2),
            lambda F, x: F.max_pool1d(x, 3, 2, 1),
            lambda F, x: F.max_pool1d(x, 2, dilation=3, ceil_mode=True),
        ],
    ),
    "max_pool2d": (
        [different(*B)],
        [
            lambda F, x: F.max_pool2d(x, 2),
            lambda F, x: F.max_pool2d(x, (3, 2), 2, (1, 0)),
            lambda F, x: F.max_pool2d(x, 2, 3, dilation=2, ceil_mode=True),
        ],
    ),
    "max_pool3d": (
        [different(*C)],
        [
            lambda F, x: F.max_pool3d(x, 2),
            lambda F, x: F.max_pool3d(x, (3, 2, 1), 2),
            lambda F, x: F.max_pool3d(x, 2, 1, dilation=2),
        ],
    ),
    "adaptive_max_pool1d": (
        [different(*A)],
        [lambda F, x, n=n: F.adaptive_max_pool1d(x, n) for n in (1, 4, 9)],
    ),
    "adaptive_max_pool2d": (
        [different(*B)],
        [lambda F, x, n=n: F.adaptive_max_pool2d(x, n) for n in (1, (4, 3), (None, 2))],
    ),
    "adaptive_max_pool3d": (
        [different(*C)],
        [lambda F, x, n=n: F.adaptive_max_pool3d(x, n) for n in (1, (4, 3, 2), (None, 2, None))],
    ),
    "lp_pool1d": (
        [between(0.5, 2.0, *A)],
        [
            lambda F, x: F.lp_pool1d(x, 2, 3),
            lambda F, x: F.lp_pool1d(x, 1.5, 2, 1),
            lambda F, x: F.lp_pool1d(x, 3, 2, 3, ceil_mode=True),
        ],
    ),
    "lp_pool2d": (
        [between(0.5, 2.0, *B)],
        [
            lambda F, x: F.lp_pool2d(x, 2, 3),
            lambda F, x: F.lp_pool2d(x, 1.5, (2, 3), 1),
            lambda F, x: F.lp_pool2d(x, 3, 2, 3, ceil_mode=True),
        ],
    ),
    "lp_pool3d": (
        [between(0.5, 2.0, *C)],
        [
            lambda F, x: F.lp_pool3d(x, 2, 3),
            lambda F, x: F.lp_pool3d(x, 1.5, (2, 3, 1), 1),
            lambda F, x: F.lp_pool3d(x, 3, 2, 2),
        ],
    ),
    "unfold": (
        [normal(*B)],
        [
            lambda F, x: F.unfold(x, 3),
            lambda F, x: F.unfold(x, (2, 3), padding=1, stride=2),
            lambda F, x: F.unfold(x, 2, dilation=(2, 3)),
        ],
    ),
    "fold": (
        [normal(2, 12, 30)],
        [
            lambda F, x: F.fold(x, (6, 7), 2),
            lambda F, x: F.fold(x, (7, 8), 2, dilation=2),
            lambda F, x: F.fold(x, (10, 12), 2, padding=0, stride=2),
        ],
    ),
    "conv1d": (
        [normal(2, 4, 9), normal(6, 4, 3), normal(6)],
        [
            lambda F, x, w, b: F.conv1d(x, w, b),
            lambda F, x, w, b: F.conv1d(x, w, b, 2, 1, 2),
            lambda F, x, w, b: F.conv1d(x[:, :2], w[:, :2], padding="same") + b[:, None],
            lambda F, x, w, b: F.conv1d(x, w[:, :2], b, groups=2),
        ],
    ),
    "conv2d": (
        [normal(2, 4, 6, 5), normal(6, 4, 3, 2), normal(6)],
        [
            lambda F, x, w, b: F.conv2d(x, w, b),
            lambda F, x, w, b: F.conv2d(x, w, b, (2, 1), (1, 0), (2, 1)),
            lambda F, x, w, b: F.conv2d(x, w[:, :2], b, groups=2),
        ],
    ),
    "conv3d": (
        [normal(2, 2, 4, 5, 4), normal(4, 2, 3, 2, 2), normal(4)],
        [
            lambda F, x, w, b: F.conv3d(x, w, b),
            lambda F, x, w, b: F.conv3d(x, w, b, 2, 1),
            lambda F, x, w, b: F.conv3d(x, w[:, :1], b, groups=2),
        ],
    ),
    "conv_transpose1d": (
        [normal(2, 4, 5), normal(4, 3, 3), normal(3)],
        [
            lambda F, x, w, b: F.conv_transpose1d(x, w, b),
            lambda F, x, w, b: F.conv_transpose1d(x, w, b, 2, 1, 1),
            lambda F, x, w, b: F.conv_transpose1d(x[:, :2], w[:2, :], b, dilation=2),
        ],
    ),
    "conv_transpose2d": (
        [normal(2, 4, 3, 4), normal(4, 2, 3, 2), normal(2)],
        [
            lambda F, x, w, b: F.conv_transpose2d(x, w, b),
            lambda F, x, w, b: F.conv_transpose2d(x, w, b, (2, 1), (1, 0), (1, 0)),
            lambda F, x, w, b: F.conv_transpose2d(x, w[:, :1], b, groups=2),
        ],
    ),
    "conv_transpose3d": (
        [normal(2, 2, 3, 2, 3), normal(2, 2, 2, 3, 2), normal(2)],
        [
            lambda F, x, w, b: F.conv_transpose3d(x, w, b),
            lambda F, x, w, b: F.conv_transpose3d(x, w, b, 2, 1, 1),
            lambda F, x, w, b: F.conv_transpose3d(x, w[:, :1], b, groups=2),
        ],
    ),
    "conv_tbc": (
        [normal(9, 2, 4), normal(3, 4, 5), normal(5)],
        [
            lambda F, x, w, b: F.conv_tbc(x, w, b),
            lambda F, x, w, b: F.conv_tbc(x, w, b, 2),
            lambda F, x, w, b: F.conv_tbc(x, w[:1], b, pad=1),
        ],
    ),
    "pdist": (
        [normal(5, 3)],
        [lambda F, x, p=p: F.pdist(x, p) for p in (2.0, 1.0, 3.5, 1.5, float("inf"))],
    ),
    "cosine_embedding_loss": (
        [normal(5, 4), normal(5, 4), signs(5)],
        [
            lambda F, x, y, t: F.cosine_embedding_loss(x, y, t),
            lambda F, x, y, t: F.cosine_embedding_loss(x, y, t, 0.2, reduction="none"),
            lambda F, x, y, t: F.cosine_embedding_loss(x, y, t, -0.5, reduction="sum"),
        ],
    ),
    "ctc_loss": (
        [normal(9, 3, 5), integers(1, 5, 3, 4)],
        [
            lambda F, x, t: F.ctc_loss(F.log_softmax(x, dim=-1), t, (9, 9, 9), (4, 2, 3)),
            lambda F, x, t: F.ctc_loss(F.log_softmax(x, dim=-1), t, (9, 8, 7), (4, 2, 3), reduction="sum"),
            lambda F, x, t: F.ctc_loss(
                F.log_softmax(x, dim=-1), t, (9, 8, 1), (4, 2, 3), reduction="none", zero_infinity=True
            ),
        ],
    ),
    "gaussian_nll_loss": (
        [normal(4, 3), normal(4, 3), between(0.5, 2.0, 4, 3)],
        [
            lambda F, x, t, v: F.gaussian_nll_loss(x, t, v),
            lambda F, x, t, v: F.gaussian_nll_loss(x, t, v, full=True, reduction="sum"),
            lambda F, x, t, v: F.gaussian_nll_loss(x, t, v[:, :1], eps=0.1, reduction="none"),
        ],
    ),
    "kl_div": (
        [normal(4, 3), between(0.1, 1.0, 4, 3)],
        [
            lambda F, x, t: F.kl_div(x, t, reduction="batchmean"),
            lambda F, x, t: F.kl_div(x, t, reduction="sum"),
            lambda F, x, t: F.kl_div(x, t, reduction="none", log_target=True),
        ],
    ),
    "linear_cross_entropy": (
        [normal(5, 3), normal(4, 3), integers(0, 4, 5), normal(4)],
        [
            lambda F, x, w, t, b: F.linear_cross_entropy(x, w, t) + 0.0 * b.sum(),
            lambda F, x, w, t, b: F.linear_cross_entropy(x, w, t, linear_bias=b, reduction="none"),
            lambda F, x, w, t, b: F.linear_cross_entropy(
                x, w, t, linear_bias=b, reduction="sum", ignore_index=1, label_smoothing=0.1
            ),
        ],
    ),
    "margin_ranking_loss": (
        [different(6), different(6), signs(6)],
        [
            lambda F, x, y, t: F.margin_ranking_loss(x, y * 1.03, t),
            lambda F, x, y, t: F.margin_ranking_loss(x, y * 1.03, t, 0.31, reduction="sum"),
            lambda F, x, y, t: F.margin_ranking_loss(x, y * 1.03, t, 1.17, reduction="none"),
        ],
    ),
    "multi_margin_loss": (
        [different(5, 4), integers(0, 4, 5)],
        [
            lambda F, x, t: F.multi_margin_loss(x, t, margin=0.51),
            lambda F, x, t: F.multi_margin_loss(x, t, p=2, reduction="sum"),
            lambda F, x, t: F.multi_margin_loss(x, t, margin=1.53, reduction="none"),
        ],
    ),
    "multilabel_margin_loss": (
        [different(2, 4), given([[3, 0, -1, 1], [1, 2, 3, -1]])],
        [
            lambda F, x, t: F.multilabel_margin_loss(x * 1.03, t),
            lambda F, x, t: F.multilabel_margin_loss(x * 1.03, t, reduction="sum"),
            lambda F, x, t: F.multilabel_margin_loss(x * 1.03, t, reduction="none"),
        ],
    ),
    "nll_loss": (
        [normal(5, 4), integers(0, 4, 5)],
        [
            lambda F, x, t: F.nll_loss(x, t),
            lambda F, x, t: F.nll_loss(x, t, ignore_index=2, reduction="sum"),
            lambda F, x, t: F.nll_loss(x, t, reduction="none"),
        ],
    ),
    "poisson_nll_loss": (
        [between(0.5, 2.0, 4, 3), between(0.1, 5.0, 4, 3)],
        [
            lambda F, x, t: F.poisson_nll_loss(x, t),
            lambda F, x, t: F.poisson_nll_loss(x, t, log_input=False, reduction="sum"),
            lambda F, x, t: F.poisson_nll_loss(x, t * 1.0, eps=1e-3, reduction="none"),
        ],
    ),
    "smooth_l1_loss": (
        [different(4, 3), normal(4, 3)],
        [
            lambda F, x, t: F.smooth_l1_loss(x, t),
            lambda F, x, t: F.smooth_l1_loss(x, t, beta=0.3, reduction="sum"),
            lambda F, x, t: F.smooth_l1_loss(x, t, beta=0.0, reduction="none"),
        ],
    ),
    "triplet_margin_loss": (
        [normal(5, 4), normal(5, 4), normal(5, 4)],
        [
            lambda F, x, y, z: F.triplet_margin_loss(x, y, z),
            lambda F, x, y, z: F.triplet_margin_loss(x, y, z, margin=2.0, p=1.5, reduction="sum"),
            lambda F, x, y, z: F.triplet_margin_loss(x, y, z, swap=True, reduction="none"),
        ],
    ),
    "triplet_margin_with_distance_loss": (
        [normal(5, 4), normal(5, 4), normal(5, 4)],
        [
            lambda F, x, y, z: F.triplet_margin_with_distance_loss(x, y, z),
            lambda F, x, y, z: F.triplet_margin_with_distance_loss(
                x, y, z, distance_function=lambda a, b: 1.0 - F.cosine_similarity(a, b), reduction="sum"
            ),
            lambda F, x, y, z: F.triplet_margin_with_distance_loss(
                x, y, z, margin=2.0, swap=True, reduction="none"
            ),
        ],
    ),
}


@DTYPES
@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, (_, calls) in CASES.items() for number in range(len(calls))]
)
def test_values_and_gradients(rng: Any, name: str, number: int, dtype: str) -> None:
    draws, calls = CASES[name]
    arrays = [np.asarray(draw(rng)) for draw in draws]
    arrays = [x.astype(dtype) if x.dtype.kind == "f" else x for x in arrays]
    wants = [x.dtype.kind == "f" and not set(np.unique(x)) <= {-1.0, 1.0} for x in arrays]
    mine = [pn.asarray(x) for x in arrays]
    its = [torch.tensor(x) for x in arrays]
    for want, x, its_x in zip(wants, mine, its, strict=True):
        if want:
            x.requires_grad_()
            its_x.requires_grad_()
    found, expected = calls[number](pn.nn.functional, *mine), calls[number](torch.nn.functional, *its)
    assert_near(found, expected, "result", scale=1.0)
    cotangent = np.asarray(rng.normal(size=tuple(expected.shape)), dtype=dtype)
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))
    for place, (want, x, its_x) in enumerate(zip(wants, mine, its, strict=True)):
        if want and its_x.grad is not None:
            assert_near(x.grad, its_x.grad, f"gradient {place}", scale=1.0)
        elif want:
            assert x.grad is None


@DTYPES
@pytest.mark.parametrize("p", [0.25, 0.5, 0.9])
@pytest.mark.parametrize(
    ("name", "shape", "axes"),
    [
        ("dropout1d", (6, 8, 5), (2,)),
        ("dropout2d", (6, 8, 5, 4), (2, 3)),
        ("dropout3d", (6, 8, 3, 2, 4), (2, 3, 4)),
        ("alpha_dropout", (40, 50), ()),
        ("feature_alpha_dropout", (20, 30, 5), (2,)),
    ],
)
def test_dropout(rng: Any, name: str, shape: tuple[int, ...], axes: Any, p: float, dtype: str) -> None:
    """Which elements go is chance; what becomes of those that go and of those that stay is not."""
    values = rng.uniform(0.5, 2.0, size=shape).astype(dtype)
    x = pn.asarray(values).requires_grad_()
    found = getattr(pn.nn.functional, name)(x, p, True)
    expected = getattr(torch.nn.functional, name)(torch.tensor(values), p, True).numpy()
    # What is dropped: the most frequent value, which hangs on nothing that came in.
    gone, its_gone = found.detach().numpy() < 0.3, expected < 0.3
    if "alpha" in name:
        ends = [array.min() for array in (found.detach().numpy(), expected)]
        gone, its_gone = (
            array == end for array, end in zip((found.detach().numpy(), expected), ends, strict=True)
        )
        assert abs(ends[0] - ends[1]) < 1e-5
    else:
        assert (found.detach().numpy()[gone] == 0).all()
    for array in (gone, its_gone):  # whole channels go
        assert (array.all(axis=axes) == array.any(axis=axes)).all()
    slopes = []
    for array, dropped in ((found.detach().numpy(), gone), (expected, its_gone)):
        if (~dropped).sum() > 1:
            slopes.append(
                np.polyfit(values[~dropped].astype("float64"), array[~dropped].astype("float64"), 1)
            )
    for slope in slopes[1:]:
        np.testing.assert_allclose(slopes[0], slope, rtol=1e-5, atol=1e-5)
    count = gone.size / max(int(np.prod([shape[axis] for axis in axes])), 1)
    assert abs(gone.mean() - p) < 6 * np.sqrt(p * (1 - p) / count)
    found.sum().backward()
    assert ((x.grad.numpy() == 0) == gone).all()
    assert getattr(pn.nn.functional, name)(x, p, False) is x


def test_native_channel_shuffle(rng: Any) -> None:
    for shape, groups in (((2, 6, 4), 2), ((1, 6, 2, 3), 3), ((2, 4, 2, 3, 2), 4)):
        values = rng.normal(size=shape)
        found = functional.native_channel_shuffle(pn.asarray(values), groups)
        np.testing.assert_array_equal(
            found.numpy(), torch.nn.functional.native_channel_shuffle(torch.tensor(values), groups).numpy()
        )


def test_distances_of_no_pairs_and_of_equal_rows() -> None:
    for shape in ((0, 3), (1, 3), (3, 0)):
        assert_near(functional.pdist(pn.zeros(shape)), torch.nn.functional.pdist(torch.zeros(shape)))
    x, its_x = pn.ones((3, 2)).requires_grad_(), torch.ones((3, 2), requires_grad=True)
    for p in (1.0, 2.0, 3.0):
        x.grad = its_x.grad = None
        functional.pdist(x, p).sum().backward()
        torch.nn.functional.pdist(its_x, p).sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), its_x.grad.numpy())
    y, its_y = pn.asarray([[1.0, 2.0], [1.0, 3.0]]), torch.tensor([[1.0, 2.0], [1.0, 3.0]])
    assert_near(functional.pdist(y, 0), torch.nn.functional.pdist(its_y, 0))


def test_on_other_backends(rng: Any, backend: str) -> None:
    x, w = rng.normal(size=(6, 2, 4)), rng.normal(size=(3, 4, 5))
    rows = pn.asarray(x[0]).requires_grad_()
    expected = torch.nn.functional.pdist(torch.tensor(x[0]), 3.0).numpy()
    found = functional.pdist(rows, 3.0)
    np.testing.assert_allclose(pn.to_host(found.detach()), expected, rtol=1e-10)
    found.sum().backward()
    assert np.isfinite(pn.to_host(rows.grad)).all()
    expected = torch.nn.functional.conv_tbc(
        *map(torch.tensor, (x, w)), torch.zeros(5, dtype=torch.float64), 1
    )
    mine = functional.conv_tbc(pn.asarray(x), pn.asarray(w), pn.zeros((5,), dtype=pn.float64), 1)
    np.testing.assert_allclose(pn.to_host(mine), expected.numpy(), rtol=1e-10, atol=1e-10)
    if backend == "numpy":
        assert type(functional.pdist(x[0])) is np.ndarray
        assert type(functional.conv_tbc(x, w, np.zeros(5))) is np.ndarray


def test_derivatives(rng: Any) -> None:
    x = pn.asarray(rng.normal(size=(4, 3)))
    for p in (2.0, 3.0):
        gradcheck(lambda a, p=p: functional.pdist(a, p), [x])
        gradgradcheck(lambda a, p=p: functional.pdist(a, p), [x])
    operands = [pn.asarray(rng.normal(size=shape)) for shape in ((5, 1, 2), (2, 2, 3), (3,))]
    gradcheck(lambda a, w, b: functional.conv_tbc(a, w, b, 1), operands)
    gradgradcheck(lambda a, w, b: functional.conv_tbc(a, w, b, 1), operands)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x: functional.pdist(x),
            ShapeError,
            r"pdist expects shape \(rows, features\), got \(2, 3, 4\)",
        ),
        (lambda x: functional.pdist(x[0, ...], -1), OptionError, "p: pdist expects a number of at least 0"),
        (lambda x: functional.pdist(x[0, ...], "2"), OptionError, "p: pdist expects"),
        (lambda x: functional.pdist(pn.asarray([[1, 2]])), DTypeError, "floating-point numbers, got int64"),
        (
            lambda x: functional.conv_tbc(x, pn.ones((1, 5, 2)), pn.ones((2,))),
            ShapeError,
            "conv_tbc: input: expected 5 channels on axis 2",
        ),
        (
            lambda x: functional.conv_tbc(x, pn.ones((4, 2)), pn.ones((2,))),
            ShapeError,
            r"conv_tbc: weight: expected shape \(steps of the kernel, in, out channels\)",
        ),
        (lambda x: functional.native_channel_shuffle(x, 2), ShapeError, "2 groups"),
    ],
)
def test_bad_input(call: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(pn.ones((2, 3, 4)))
