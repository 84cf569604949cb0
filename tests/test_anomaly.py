"""Anomaly mode names the op and the line that first made a NaN or an infinity."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.anomaly import watch
from portanet.errors import AnomalyError

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
HERE = Path(__file__).name


def test_the_op_and_the_line_are_named(backend: str) -> None:
    x = pn.Tensor([4.0, -1.0], requires_grad=True)
    with pn.detect_anomaly():
        fine = x * 2.0
        with pytest.raises(AnomalyError) as failure:
            pn.sum(pn.log(fine))  # this very line
    told = str(failure.value)
    assert "log made NaN of finite numbers" in told
    assert HERE in told
    assert "pn.sum(pn.log(fine))  # this very line" in told
    assert "from -2 to 8" in told


def test_a_line_inside_a_model_is_the_users(backend: str) -> None:
    class Net(pn.nn.Module):
        def forward(self, x: Any) -> Any:
            return x / pn.sum(x)

    with (
        pn.detect_anomaly(),
        pytest.raises(AnomalyError, match=r"divide made .* in forward: return x / pn.sum\(x\)"),
    ):
        Net()(pn.asarray([1.0, -1.0]))


def test_an_infinity_counts_unless_told_otherwise(backend: str) -> None:
    x = pn.asarray([0.0, 1.0])
    with pn.detect_anomaly(), pytest.raises(AnomalyError, match="reciprocal made an infinity"):
        pn.reciprocal(x)
    with pn.detect_anomaly(check_inf=False):
        r = pn.reciprocal(x)
        with pytest.raises(AnomalyError, match="subtract made NaN"):
            r - r


def test_what_came_in_so_is_told_apart(backend: str) -> None:
    x = pn.asarray([float("nan"), 1.0])
    with pn.detect_anomaly(), pytest.raises(AnomalyError, match="operand 2 of add held NaN when it came in"):
        pn.asarray([1.0, 2.0]) + x


def test_the_backward_pass_names_the_line_of_the_forward_pass(backend: str) -> None:
    x = pn.Tensor([0.0, 1.0], requires_grad=True)
    with pn.detect_anomaly():
        root = pn.sqrt(x)  # the root of all evil
        loss = pn.sum(root * 0.0)
        with pytest.raises(AnomalyError) as failure:
            loss.backward()
    told = str(failure.value)
    assert "the gradient of sqrt by its operand 1 holds NaN" in told
    assert "root = pn.sqrt(x)  # the root of all evil" in told
    assert x.grad is None


def test_the_right_one_of_two_equal_operands_is_named() -> None:
    x = pn.Tensor([-1.0], requires_grad=True)
    with (
        pn.detect_anomaly(),
        pytest.raises(AnomalyError, match="the gradient of pow by its operand 2 holds NaN"),
    ):
        pn.sum(x**x).backward()


def test_a_graph_from_before_the_mode_is_checked_as_well(backend: str) -> None:
    x = pn.Tensor([0.0, 1.0], requires_grad=True)
    loss = pn.sum(pn.sqrt(x))
    with pn.detect_anomaly(), pytest.raises(AnomalyError, match="sqrt .* called outside anomaly mode"):
        loss.backward()


def test_a_bad_cotangent_is_not_blamed_on_an_op() -> None:
    x = pn.Tensor([0.0, 1.0], requires_grad=True)
    with pn.detect_anomaly(), pytest.raises(AnomalyError, match="held NaN before it reached multiply"):
        (x * 2.0).backward(pn.asarray([float("nan"), 1.0]))


def test_higher_orders_are_checked(backend: str) -> None:
    x = pn.Tensor([0.0, 2.0], requires_grad=True)
    with pn.detect_anomaly():
        (slope,) = pn.grad(pn.sum(x**1.5), x, create_graph=True)
        with pytest.raises(AnomalyError, match="pow"):
            pn.grad(pn.sum(slope), x)


def test_results_of_several_parts_are_checked() -> None:
    x = pn.asarray(np.zeros((2, 2)))
    with pn.detect_anomaly(), pytest.raises(AnomalyError, match="slogdet made an infinity"):
        pn.linalg.slogdet(x)


def test_integers_and_finite_numbers_pass(backend: str, rng: Any) -> None:
    x = pn.Tensor(rng.normal(size=(3, 3)), requires_grad=True)
    with pn.detect_anomaly():
        y = pn.sum(pn.tanh(x @ x)) + pn.asarray(3)
        y.backward()
        assert bool(pn.any(pn.argmax(x, axis=0) >= 0))
    assert x.grad is not None


def test_the_mode_ends_with_its_block_and_belongs_to_its_thread() -> None:
    bad = pn.asarray([-1.0])
    seen: list[Any] = []
    with pn.detect_anomaly():
        assert watch.active == 1
        thread = threading.Thread(target=lambda: seen.append(pn.log(bad)))
        thread.start()
        thread.join()
        with pytest.raises(AnomalyError):
            pn.log(bad)
    assert watch.active == 0
    assert len(seen) == 1
    assert np.isnan(pn.log(bad).numpy()[0])
