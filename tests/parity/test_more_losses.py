"""More losses against PyTorch's on fresh random inputs away from kinks: value, and the gradient of every argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.nn.adaptive_softmax import AdaptiveLogSoftmaxWithLoss
from portanet.nn.classification_losses import CTCLoss, LinearCrossEntropyLoss, NLLLoss
from portanet.nn.functional.losses import mse_loss
from portanet.nn.functional.regression_losses import huber_loss, l1_loss
from portanet.nn.margin_losses import (
    CosineEmbeddingLoss,
    HingeEmbeddingLoss,
    MarginRankingLoss,
    MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss,
    MultiMarginLoss,
    SoftMarginLoss,
    TripletMarginLoss,
    TripletMarginWithDistanceLoss,
)
from portanet.nn.regression_losses import (
    GaussianNLLLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    PoissonNLLLoss,
    SmoothL1Loss,
)
from tests.parity.comparison import DTYPES, assert_near, host

torch = pytest.importorskip("torch", reason="compares with PyTorch")

CLASSES = {
    loss.__name__: loss
    for loss in (
        *(AdaptiveLogSoftmaxWithLoss, CTCLoss, LinearCrossEntropyLoss, NLLLoss),
        *(CosineEmbeddingLoss, HingeEmbeddingLoss, MarginRankingLoss, MultiLabelMarginLoss),
        *(MultiLabelSoftMarginLoss, MultiMarginLoss, SoftMarginLoss, TripletMarginLoss),
        *(TripletMarginWithDistanceLoss, GaussianNLLLoss, HuberLoss, KLDivLoss, L1Loss, PoissonNLLLoss),
        SmoothL1Loss,
    )
}
HINGES = {
    *("HingeEmbeddingLoss", "MarginRankingLoss", "MultiMarginLoss", "MultiLabelMarginLoss"),
    *("CosineEmbeddingLoss", "TripletMarginLoss", "TripletMarginWithDistanceLoss"),
}
REDUCTIONS = pytest.mark.parametrize("reduction", ["none", "mean", "sum"])


@pytest.fixture(autouse=True, params=["numpy", "array-api-strict"])
def backend_name(request: pytest.FixtureRequest) -> Any:
    if request.param != "numpy":
        pytest.importorskip("array_api_strict", reason="proves the ops on the bare standard")
    with pn.use_backend(request.param, strict=True):
        yield request.param


@dataclass
class Case:
    """One loss, some options, and how its arguments are drawn."""

    loss: str
    draw: Callable[[Any], list[Any]]
    options: dict[str, Any] = field(default_factory=dict)
    differentiable: tuple[int, ...] = (0,)
    kinks: Callable[..., Any] | None = None
    """How far the arguments are from where the loss has a kink."""
    scale: float = 0.0
    """What value and gradients are measured by, where both are sums of either sign."""

    @property
    def terms(self) -> float:
        """What the value is measured by: of distances around 1 a hinge leaves a difference, which may be near 0."""
        return 1.0 if self.loss in HINGES else self.scale

    def __str__(self) -> str:
        chosen = ",".join(f"{name}={value}" for name, value in self.options.items() if np.isscalar(value))
        return f"{self.loss}({chosen})"

    def arguments(self, rng: Any, dtype: str) -> list[Any]:
        while True:
            drawn = [np.asarray(value) for value in self.draw(rng)]
            drawn = [value.astype(dtype) if value.dtype == np.float64 else value for value in drawn]
            if self.kinks is None or np.abs(self.kinks(*drawn)).min() > 1e-3:
                return drawn


def normals(count: int, *shape: int) -> Callable[[Any], list[Any]]:
    return lambda rng: [rng.normal(size=shape) for _ in range(count)]


def signs(rng: Any, *shape: int) -> Any:
    return rng.choice([-1.0, 1.0], size=shape)


def labelled(*shape: int) -> Callable[[Any], list[Any]]:
    return lambda rng: [2 * rng.normal(size=shape), signs(rng, *shape)]


def softmax(x: Any) -> Any:
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def several_labels(rng: Any) -> list[Any]:
    """Rows of distinct classes, closed by -1 or full."""
    target = np.stack([rng.permutation(5) for _ in range(6)])
    for row, count in enumerate([0, 1, 2, 3, 4, 5]):
        target[row, count : count + 1] = -1
    return [rng.normal(size=(6, 5)), target]


def gaps_of_labels(x: Any, target: Any) -> Any:
    return np.concatenate([(1 - x[:, None, :] + x[:, :, None]).ravel(), np.ones(1)])


def gaps_of_classes(margin: float) -> Callable[..., Any]:
    def gaps(x: Any, target: Any) -> Any:
        rows, labels = np.atleast_2d(x), np.atleast_1d(target)
        short = margin - np.take_along_axis(rows, labels[:, None], axis=1) + rows
        return np.where(np.arange(rows.shape[1]) == labels[:, None], 1.0, short)

    return gaps


def cosines(one: Any, other: Any) -> Any:
    norms = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return (one * other).sum(axis=-1) / norms


def triplet_gaps(margin: float, p: float = 2.0, swap: bool = False) -> Callable[..., Any]:
    def gaps(anchor: Any, positive: Any, negative: Any) -> Any:
        def distance(one: Any, other: Any) -> Any:
            return np.linalg.norm(one - other + 1e-6, ord=p, axis=-1)

        near, far, between = (
            distance(anchor, positive),
            distance(anchor, negative),
            distance(positive, negative),
        )
        bends = [np.minimum(far, between) - near - margin, far - between] if swap else [far - near - margin]
        differences = [
            (x - y).ravel() for x, y in ((anchor, positive), (anchor, negative), (positive, negative))
        ]
        # Of the largest coordinate two may tie, of all others the sign may turn.
        ties = []
        for x, y in ((anchor, positive), (anchor, negative), (positive, negative)):
            largest = np.sort(np.abs(x - y), axis=-1)
            ties.append((largest[..., -1] - largest[..., -2]).ravel())
        return np.concatenate([part.ravel() for part in bends] + differences + ties)

    return gaps


def weights(*shape: int) -> Callable[[Any], Any]:
    """An option that is drawn with the arguments."""
    return lambda rng: rng.uniform(0.5, 2, shape)


CASES = [
    *(
        Case("L1Loss", normals(2, *shape), {}, (0, 1), lambda x, t: x - t)
        for shape in [(7,), (5, 3), (2, 3, 4)]
    ),
    *(
        Case(
            "SmoothL1Loss",
            normals(2, 5, 6),
            {} if beta is None else {"beta": beta},
            (0, 1),
            lambda x, t, beta=beta: np.minimum(abs(x - t), abs(abs(x - t) - (1 if beta is None else beta))),
        )
        for beta in (None, 0.0, 0.3, 2)
    ),
    *(
        Case(
            "HuberLoss",
            normals(2, 5, 6),
            {} if delta is None else {"delta": delta},
            (0, 1),
            lambda x, t, delta=delta: abs(abs(x - t) - (1 if delta is None else delta)),
        )
        for delta in (None, 0.4, 2.5)
    ),
    *(
        Case(
            "PoissonNLLLoss",
            lambda rng, log_input=log_input: [
                rng.normal(size=(4, 6)) if log_input else rng.uniform(0.1, 5, (4, 6)),
                rng.uniform(0, 0.9, (4, 6)) + rng.integers(0, 4, (4, 6)),
            ],
            {"log_input": log_input, **more},
            (0, 1),
            lambda x, t: t - 1,
            scale=1.0,
        )
        for log_input in (True, False)
        for more in ({}, {"full": True}, {"eps": 1e-2})
    ),
    *(
        Case(
            "GaussianNLLLoss",
            lambda rng, shape=shape: [*rng.normal(size=(2, 5, 3)), rng.uniform(0.2, 2, shape)],
            options,
            (0, 1, 2),
            lambda x, t, var: var - 0.5,
            scale=1.0,
        )
        for shape in [(5, 3), (5,), (5, 1), (1, 3)]
        for options in ({}, {"full": True}, {"eps": 0.5})
    ),
    *(
        Case(
            "KLDivLoss",
            lambda rng, log_target=log_target: [
                np.log(softmax(rng.normal(size=(4, 5)))),
                (np.log if log_target else np.asarray)(softmax(rng.normal(size=(4, 5)))),
            ],
            {"log_target": log_target},
            (0, 1),
            scale=1.0,
        )
        for log_target in (False, True)
    ),
    *(
        Case(
            "NLLLoss",
            lambda rng, shape=shape: [
                np.log(softmax(rng.normal(size=shape))),
                np.asarray(rng.permutation(np.arange(int(np.prod(shape)) // 4) % 4)).reshape(
                    shape[:1] + shape[2:] if len(shape) > 1 else ()
                ),
            ],
            options,
        )
        for shape in [(4,), (8, 4), (2, 4, 3), (2, 4, 3, 2)]
        for options in (
            {},
            {"weight": weights(4)},
            {"ignore_index": 3},
            {"weight": weights(4), "ignore_index": -1},
        )
        if len(shape) > 1 or "ignore_index" not in options
    ),
    *(Case("SoftMarginLoss", labelled(*shape)) for shape in [(7,), (5, 3), (2, 3, 4)]),
    *(
        Case(
            "HingeEmbeddingLoss",
            labelled(5, 6),
            options,
            (0,),
            lambda x, t, options=options: x - options.get("margin", 1.0),
        )
        for options in ({}, {"margin": 0.4}, {"margin": -0.5}, {"margin": 2})
    ),
    *(
        Case(
            "MarginRankingLoss",
            lambda rng: [*rng.normal(size=(2, 5, 6)), signs(rng, 5, 6)],
            options,
            (0, 1),
            lambda x, y, t, options=options: options.get("margin", 0.0) - t * (x - y),
        )
        for options in ({}, {"margin": 0.5}, {"margin": 2})
    ),
    *(
        Case(
            "MultiMarginLoss",
            lambda rng, shape=shape: [rng.normal(size=shape), rng.integers(0, 4, shape[:-1])],
            options,
            (0,),
            gaps_of_classes(options.get("margin", 1.0)),
        )
        for shape in [(4,), (7, 4)]
        for options in ({}, {"p": 2}, {"margin": 0.3, "weight": weights(4)}, {"p": 2, "weight": weights(4)})
    ),
    Case("MultiLabelMarginLoss", several_labels, {}, (0,), gaps_of_labels),
    Case(
        "MultiLabelMarginLoss",
        lambda rng: [rng.normal(size=3), np.asarray([2, -1, 1])],
        {},
        (0,),
        lambda x, t: 1 - x[:, None] + x,
    ),
    Case(  # a class that is named twice counts twice
        "MultiLabelMarginLoss",
        lambda rng: [rng.normal(size=(2, 4)), np.asarray([[2, 2, -1, 0], [0, 3, 0, -1]])],
        {},
        (0,),
        gaps_of_labels,
    ),
    *(
        Case(
            "MultiLabelSoftMarginLoss",
            lambda rng, shape=shape: [3 * rng.normal(size=shape), rng.random(shape)],
            options,
            (0, 1),
        )
        for shape in [(4,), (5, 4), (2, 3, 4)]
        for options in ({}, {"weight": weights(4)})
    ),
    *(
        Case(
            "CosineEmbeddingLoss",
            lambda rng, shape=shape: [*rng.normal(size=(2, *shape)), signs(rng, *shape[:-1])],
            options,
            (0, 1),
            lambda x, y, t, options=options: cosines(x, y) - options.get("margin", 0.0),
        )
        for shape in [(8, 4), (4,)]
        for options in ({}, {"margin": 0.2}, {"margin": -0.4})
    ),
    *(
        Case(
            "TripletMarginLoss",
            lambda rng, shape=shape: list(rng.normal(size=(3, *shape))),
            options,
            (0, 1, 2),
            triplet_gaps(options.get("margin", 1.0), options.get("p", 2.0), options.get("swap", False)),
        )
        for shape in [(6, 5), (5,), (2, 3, 4)]
        for options in (
            {},
            {"p": 1.0, "margin": 0.4},
            {"p": 3.0, "swap": True},
            {"p": float("inf")},
            {"swap": True},
        )
    ),
    *(
        Case(
            "TripletMarginWithDistanceLoss",
            lambda rng: list(rng.normal(size=(3, 6, 5))),
            options,
            (0, 1, 2),
            triplet_gaps(options.get("margin", 1.0), 2.0, options.get("swap", False)),
        )
        for options in (
            {},
            {"margin": 0.3, "swap": True},
            {"distance_function": lambda x, y: ((x - y) ** 2).sum(-1) ** 0.5, "margin": 0.5},
        )
    ),
]


def compare(rng: Any, case: Case, dtype: str, reduction: str) -> None:
    arrays = case.arguments(rng, dtype)
    mine = [pn.asarray(array) for array in arrays]
    its = [torch.tensor(array) for array in arrays]
    for place in case.differentiable:
        mine[place].requires_grad_()
        its[place].requires_grad_()
    factors = {name: value(rng) for name, value in case.options.items() if name == "weight"}
    plain = {name: value for name, value in case.options.items() if name not in factors}
    my_factors = {name: pn.asarray(value.astype(dtype)) for name, value in factors.items()}
    its_factors = {name: torch.tensor(value.astype(dtype)) for name, value in factors.items()}
    found = CLASSES[case.loss](**plain, **my_factors, reduction=reduction)(*mine)
    expected = getattr(torch.nn, case.loss)(**plain, **its_factors, reduction=reduction)(*its)
    assert_near(found, expected, "loss", scale=case.terms)
    cotangent = np.asarray(rng.uniform(0.5, 2, tuple(expected.shape)), dtype)
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))
    for place in case.differentiable:
        assert_near(mine[place].grad, its[place].grad, f"gradient of argument {place}", scale=case.scale)


@DTYPES
@REDUCTIONS
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss by both the batch size")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_value_and_gradients(rng: Any, case: Case, reduction: str, dtype: str) -> None:
    compare(rng, case, dtype, reduction)


@DTYPES
@pytest.mark.parametrize("log_target", [False, True])
@pytest.mark.parametrize("shape", [(4, 5), (3, 2, 4), (6,), ()])
def test_divergence_by_batch(rng: Any, shape: tuple[int, ...], log_target: bool, dtype: str) -> None:
    def draw(rng: Any) -> list[Any]:
        target = rng.uniform(0.1, 0.9, shape)
        return [-rng.uniform(0.1, 2, shape), np.log(target) if log_target else target]

    case = Case("KLDivLoss", draw, {"log_target": log_target}, (0, 1), scale=1.0)
    compare(rng, case, dtype, "batchmean")


@DTYPES
@REDUCTIONS
@pytest.mark.parametrize("loss", [mse_loss, l1_loss, huber_loss])
def test_weights_of_elements(rng: Any, loss: Any, reduction: str, dtype: str) -> None:
    x, t = rng.normal(size=(2, 5, 4))
    t = np.where(abs(abs(x - t) - 1) < 1e-2, t + 0.1, t)
    w = rng.uniform(0.5, 2, (5, 4))
    mine = [pn.asarray(array.astype(dtype)).requires_grad_() for array in (x, t, w)]
    its = [torch.tensor(array.astype(dtype), requires_grad=True) for array in (x, t, w)]
    found = loss(*mine[:2], reduction=reduction, weight=mine[2])
    expected = getattr(torch.nn.functional, loss.__name__)(*its[:2], reduction=reduction, weight=its[2])
    assert_near(found, expected)
    cotangent = np.asarray(rng.uniform(0.5, 2, tuple(expected.shape)), dtype)
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))
    for tensor, other in zip(mine, its, strict=True):
        assert_near(tensor.grad, other.grad)


@pytest.mark.parametrize("name", ["soft_margin_loss", "hinge_embedding_loss", "multilabel_soft_margin_loss"])
def test_integer_labels(rng: Any, name: str) -> None:
    from portanet.nn.functional import margin_losses

    x, t = rng.normal(size=(4, 3)), rng.choice([-1, 1], size=(4, 3))
    found = getattr(margin_losses, name)(pn.asarray(x), pn.asarray(t))
    assert_near(found, getattr(torch.nn.functional, name)(torch.tensor(x), torch.tensor(t)))


def test_at_kinks() -> None:
    """Where a loss bends the gradient is PyTorch's, too."""
    one, zero = np.ones(1), np.zeros(1)
    row = np.asarray([[1.0, 0.0, 0.0]])
    for name, options, arguments in [
        ("L1Loss", {}, [zero, zero]),
        ("SmoothL1Loss", {}, [zero, one]),
        ("HuberLoss", {}, [zero, one]),
        ("MarginRankingLoss", {}, [zero, zero, one]),
        ("HingeEmbeddingLoss", {}, [one, -one]),
        ("MultiMarginLoss", {}, [row, np.asarray([0])]),
        ("MultiMarginLoss", {"p": 2}, [row, np.asarray([0])]),
        ("MultiLabelMarginLoss", {}, [row, np.asarray([[0, -1, 0]])]),
        ("TripletMarginLoss", {"eps": 0.0}, [row, row, row]),
    ]:
        mine, its = pn.asarray(arguments[0]).requires_grad_(), torch.tensor(arguments[0], requires_grad=True)
        CLASSES[name](**options)(mine, *map(pn.asarray, arguments[1:])).backward()
        getattr(torch.nn, name)(**options)(its, *map(torch.tensor, arguments[1:])).backward()
        np.testing.assert_array_equal(host(mine.grad), host(its.grad), err_msg=name)


def test_when_nothing_counts() -> None:
    x, t = np.full((2, 3), -1.0), np.full(2, -100)
    for reduction in ("none", "mean", "sum"):
        found = NLLLoss(reduction=reduction)(pn.asarray(x), pn.asarray(t))
        expected = torch.nn.NLLLoss(reduction=reduction)(torch.tensor(x), torch.tensor(t))
        np.testing.assert_array_equal(host(found), host(expected))
    for name in ("L1Loss", "SmoothL1Loss", "HuberLoss", "SoftMarginLoss", "HingeEmbeddingLoss"):
        for reduction in ("none", "mean", "sum"):
            empty = np.zeros((0, 3))
            found = CLASSES[name](reduction=reduction)(pn.asarray(empty), pn.asarray(empty))
            expected = getattr(torch.nn, name)(reduction=reduction)(torch.tensor(empty), torch.tensor(empty))
            np.testing.assert_array_equal(host(found), host(expected), err_msg=name)


ADAPTIVE = [
    ((12, 10, [4]), {}),
    ((16, 20, [4, 10]), {"head_bias": True}),
    ((20, 30, (5, 6, 20)), {"div_value": 2.0}),
    ((9, 3, [1, 2]), {"div_value": 1.5}),
]


@DTYPES
@pytest.mark.parametrize(("arguments", "options"), ADAPTIVE)
@pytest.mark.parametrize("rows", [None, 1, 11])
def test_adaptive_softmax(
    rng: Any, rows: int | None, arguments: tuple[Any, ...], options: dict[str, Any], dtype: str
) -> None:
    reference = torch.nn.AdaptiveLogSoftmaxWithLoss(*arguments, **options, dtype=getattr(torch, dtype))
    layer = AdaptiveLogSoftmaxWithLoss(*arguments, **options, dtype=getattr(pn, dtype))
    assert list(layer.state_dict()) == list(reference.state_dict())
    layer.load_state_dict(reference.state_dict())
    batch = () if rows is None else (rows,)
    x = rng.normal(size=(*batch, arguments[0])).astype(dtype)
    t = np.asarray(rng.integers(0, arguments[1], batch))
    mine, its = pn.asarray(x).requires_grad_(), torch.tensor(x, requires_grad=True)
    found, expected = layer(mine, pn.asarray(t)), reference(its, torch.tensor(t))
    assert found._fields == expected._fields
    assert_near(found.output, expected.output, "output")
    assert_near(found.loss, expected.loss, "loss")
    cotangent = np.asarray(rng.uniform(0.5, 2, batch), dtype)
    pn.sum(found.output * pn.asarray(cotangent) - found.loss).backward()
    (expected.output * torch.tensor(cotangent) - expected.loss).sum().backward()
    assert_near(mine.grad, its.grad, "gradient of the input")
    for name, parameter in reference.named_parameters():
        gradient = layer.get_parameter(name).grad
        assert (gradient is None) == (parameter.grad is None), name
        if gradient is not None:
            assert_near(gradient, parameter.grad, name)
    if rows:
        assert_near(layer.log_prob(pn.asarray(x)), reference.log_prob(torch.tensor(x)), "log_prob")
        np.testing.assert_array_equal(
            host(layer.predict(pn.asarray(x))), host(reference.predict(torch.tensor(x)))
        )


@DTYPES
@REDUCTIONS
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "indices"),
        ({"bias": True, "label_smoothing": 0.2}, "indices"),
        ({"out_features": (2, 3), "bias": True, "ignore_index": 1}, "indices"),
        ({"out_features": (3,), "label_smoothing": 0.1}, "probabilities"),
        ({"bias": True}, "probabilities"),
        ({"bias": True}, "one"),
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_linear_cross_entropy(
    rng: Any, weighted: bool, options: dict[str, Any], kind: str, reduction: str, dtype: str
) -> None:
    more = options.get("out_features", ())
    batch = () if kind == "one" else (5,)
    x = rng.normal(size=(*batch, 4)).astype(dtype)
    if kind == "probabilities":
        t = rng.random((*batch, 3, *more)).astype(dtype)
    else:
        t = np.asarray(rng.permutation(np.arange(int(np.prod((*batch, *more)))) % 3 * 2 % 3))
        t = t.reshape((*batch, *more))
    w = rng.uniform(0.5, 2, 3).astype(dtype) if weighted else None
    reference = torch.nn.LinearCrossEntropyLoss(
        4,
        3,
        **options,
        reduction=reduction,
        dtype=getattr(torch, dtype),
        weight=None if w is None else torch.tensor(w),
    )
    layer = LinearCrossEntropyLoss(
        4,
        3,
        **options,
        reduction=reduction,
        dtype=getattr(pn, dtype),
        weight=None if w is None else pn.asarray(w),
    )
    assert sorted(layer.state_dict()) == sorted(reference.state_dict())
    assert repr(layer) == repr(reference)
    layer.load_state_dict(reference.state_dict())
    mine, its = pn.asarray(x).requires_grad_(), torch.tensor(x, requires_grad=True)
    found, expected = layer(mine, pn.asarray(t)), reference(its, torch.tensor(t))
    assert_near(found, expected, "loss")
    cotangent = np.asarray(rng.uniform(0.5, 2, tuple(expected.shape)), dtype)
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))
    assert_near(mine.grad, its.grad, "gradient of the input", scale=0.1)
    for name, parameter in reference.named_parameters():
        assert_near(layer.get_parameter(name).grad, parameter.grad, name, scale=0.1)


@pytest.mark.parametrize(
    "name", sorted(set(CLASSES) - {"AdaptiveLogSoftmaxWithLoss", "LinearCrossEntropyLoss"})
)
def test_printed_form_and_state(name: str) -> None:
    assert repr(CLASSES[name]()) == repr(getattr(torch.nn, name)())
    if name in ("NLLLoss", "MultiMarginLoss", "MultiLabelSoftMarginLoss"):
        mine, its = CLASSES[name](weight=pn.ones((3,))), getattr(torch.nn, name)(weight=torch.ones(3))
        assert list(mine.state_dict()) == list(its.state_dict()) == ["weight"]


def test_the_printed_form_of_the_adaptive_softmax() -> None:
    for arguments, options in ADAPTIVE:
        mine = AdaptiveLogSoftmaxWithLoss(*arguments, **options)
        assert repr(mine) == repr(torch.nn.AdaptiveLogSoftmaxWithLoss(*arguments, **options))


def test_every_loss_of_pytorch_is_here() -> None:
    names = {name for name in dir(torch.nn) if name.endswith("Loss")}
    first = {"MSELoss", "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss"}
    assert names - first == set(CLASSES)
