"""Connectionist temporal classification against PyTorch's: value, and the gradient through ``log_softmax``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.nn.classification_losses import CTCLoss
from tests.parity.comparison import DTYPES, assert_near, host

torch = pytest.importorskip("torch", reason="compares with PyTorch")

REDUCTIONS = pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
OPTIONS = pytest.mark.parametrize(
    "options", [{}, {"blank": 3}, {"blank": 1, "zero_infinity": True}], ids=lambda options: str(options)
)


@pytest.fixture(autouse=True, params=["numpy", "array-api-strict"])
def backend_name(request: pytest.FixtureRequest) -> Any:
    if request.param != "numpy":
        pytest.importorskip("array_api_strict", reason="proves the ops on the bare standard")
    with pn.use_backend(request.param, strict=True):
        yield request.param


def drawn_labels(rng: Any, batch: int, longest: int, classes: int, blank: int) -> Any:
    """Labels other than the blank, of so few classes that many are repeated."""
    return np.asarray([label for label in range(classes) if label != blank])[
        rng.integers(0, classes - 1, (batch, longest))
    ]


def steps_needed(labels: Any) -> int:
    return len(labels) + int((labels[1:] == labels[:-1]).sum())


def compare(
    rng: Any, logits: Any, targets: Any, steps: Any, labels: Any, options: dict[str, Any], reduction: str
) -> None:
    """``targets`` and lengths may be arrays or, the lengths, tuples."""
    mine, its = pn.asarray(logits).requires_grad_(), torch.tensor(logits, requires_grad=True)

    def given(value: Any, convert: Any) -> Any:
        return convert(value) if isinstance(value, np.ndarray) else value

    found = CTCLoss(**options, reduction=reduction)(
        pn.nn.functional.log_softmax(mine, dim=-1),
        *(given(value, pn.asarray) for value in (targets, steps, labels)),
    )
    expected = torch.nn.CTCLoss(**options, reduction=reduction)(
        its.log_softmax(-1), *(given(value, torch.tensor) for value in (targets, steps, labels))
    )
    assert_near(found, expected, "loss")
    cotangent = np.asarray(rng.uniform(0.5, 2, tuple(expected.shape)), logits.dtype)
    found.backward(pn.asarray(cotangent))
    expected.backward(torch.tensor(cotangent))
    # Each element is a difference of two probabilities.
    assert_near(mine.grad, its.grad, "gradient", scale=1.0)


@DTYPES
@REDUCTIONS
@OPTIONS
@pytest.mark.parametrize("lengths", ["tuples", "arrays"])
@pytest.mark.parametrize("form", ["padded", "concatenated"])
def test_batches(
    rng: Any, form: str, lengths: str, options: dict[str, Any], reduction: str, dtype: str
) -> None:
    """Examples of every length, one without labels, one whose labels just fit."""
    targets = drawn_labels(rng, 5, 4, 4, options.get("blank", 0))
    labels = np.asarray([4, 0, 2, 3, 1])
    steps = np.asarray([9, 5, 6, steps_needed(targets[3, :3]), 1])
    if form == "concatenated":
        targets = np.concatenate([row[:count] for row, count in zip(targets, labels, strict=True)])
    if lengths == "tuples":
        steps, labels = tuple(steps.tolist()), tuple(labels.tolist())
    logits = 2 * rng.normal(size=(9, 5, 4)).astype(dtype)
    compare(rng, logits, targets, steps, labels, options, reduction)


@DTYPES
@REDUCTIONS
@OPTIONS
def test_one_example(rng: Any, options: dict[str, Any], reduction: str, dtype: str) -> None:
    targets = drawn_labels(rng, 1, 3, 4, options.get("blank", 0))[0]
    logits = rng.normal(size=(7, 4)).astype(dtype)
    compare(rng, logits, targets, (7,), (3,), options, reduction)
    compare(rng, logits, targets, np.asarray(6), np.asarray(3), options, reduction)


@DTYPES
@REDUCTIONS
def test_labels_that_do_not_fit(rng: Any, reduction: str, dtype: str) -> None:
    """Two equal labels need a blank between them; the third example has no step at all."""
    targets = np.asarray([[1, 1, 2], [1, 2, 1], [2, 1, 1], [1, 1, 1]])
    steps, labels = (3, 3, 0, 5), (3, 3, 1, 3)
    logits = rng.normal(size=(5, 4, 3)).astype(dtype)
    compare(rng, logits, targets, steps, labels, {"zero_infinity": True}, reduction)
    # Without zero_infinity the loss is infinite; PyTorch's gradient is NaN there, ours 0.
    mine = pn.asarray(logits).requires_grad_()
    found = CTCLoss(reduction=reduction)(
        pn.nn.functional.log_softmax(mine, dim=2), pn.asarray(targets), steps, labels
    )
    expected = torch.nn.CTCLoss(reduction=reduction)(
        torch.tensor(logits).log_softmax(2), torch.tensor(targets), steps, labels
    )
    np.testing.assert_allclose(host(found), host(expected), rtol=1e-5)
    assert np.isinf(host(found)).sum() == (2 if reduction == "none" else 1)
    found.backward(pn.ones_like(found))
    gradient = host(mine.grad)
    assert np.isfinite(gradient).all()
    assert not gradient[:, [0, 2]].any()
    assert gradient[:3, 1].all()


@REDUCTIONS
def test_no_labels_and_no_steps(rng: Any, reduction: str) -> None:
    logits = rng.normal(size=(4, 2, 3))
    for targets in (np.zeros((2, 0), np.int64), np.zeros(0, np.int64), np.asarray([[1, 2], [2, 2]])):
        if targets.size:
            compare(rng, logits, targets, (0, 4), (0, 0), {}, reduction)
        else:
            compare(rng, logits, targets, (3, 4), (0, 0), {}, reduction)


def test_classes_that_are_impossible(rng: Any) -> None:
    """Log probabilities of minus infinity, where PyTorch's gradient is NaN; nearly so it is like ours."""
    logits = rng.normal(size=(4, 2, 3))
    logits[:, 0, 0] = -np.inf  # no blank
    logits[1:, 1, 1] = -np.inf
    targets, steps, labels = np.asarray([[1, 2], [1, 2]]), (4, 4), (2, 2)
    mine = pn.asarray(logits).requires_grad_()
    its = torch.tensor(np.maximum(logits, -500), requires_grad=True)
    found = CTCLoss(reduction="sum")(
        pn.nn.functional.log_softmax(mine, dim=2), pn.asarray(targets), steps, labels
    )
    expected = torch.nn.CTCLoss(reduction="sum")(its.log_softmax(2), torch.tensor(targets), steps, labels)
    assert_near(found, expected)
    found.backward()
    expected.backward()
    assert_near(mine.grad, its.grad)


def test_a_long_sequence(rng: Any) -> None:
    """Likelihoods far below the smallest number."""
    targets = rng.integers(1, 12, (3, 60))
    logits = 5 * rng.normal(size=(300, 3, 12))
    compare(rng, logits, targets, (300, 250, 299), (60, 7, 31), {}, "mean")
