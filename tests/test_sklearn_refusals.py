"""What the estimators of portanet.sklearn refuse, and what is left of them when training fails."""

from __future__ import annotations

import copy
import pickle
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portanet import nn, optim
from portanet.errors import DataError, OptionError, ShapeError

sklearn = pytest.importorskip("sklearn", minversion="1.6", reason="the extra `sklearn` is not installed")

from sklearn.exceptions import NotFittedError  # noqa: E402

from portanet.sklearn import NetClassifier, NetRegressor  # noqa: E402
from tests.sklearn_samples import BOTH, made, targets_of, three_groups  # noqa: E402


@pytest.fixture
def data(rng: Any) -> Any:
    return three_groups(rng)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": -1}, OptionError, "lr: expected a finite number of at least 0, got -1"),
        ({"epochs": 0}, OptionError, "epochs: expected a whole number of at least 1, got 0"),
        ({"batch_size": 2.5}, OptionError, "batch_size: expected a whole number"),
        ({"patience": 0}, OptionError, "patience: expected a whole number"),
        ({"tol": -1}, OptionError, "tol: expected a finite number"),
        ({"early_stopping": True, "validation_fraction": 1.0}, OptionError, "validation_fraction: expected"),
        ({"activation": "rely"}, OptionError, "activation: expected one of 'elu', .*got 'rely'"),
        ({"hidden_layer_sizes": (4, 0)}, OptionError, r"hidden_layer_sizes\[1\]: expected a whole number"),
        ({"optimizer": "adamw"}, OptionError, "optimizer: expected a class of portanet.optim .*got 'adamw'"),
        ({"optimizer": optim.Optimizer}, OptionError, "optimizer: expected a class"),
        ({"optimizer": "LBFGS"}, OptionError, "optimizer: LBFGS asks for the loss several times"),
        ({"dtype": "float16"}, OptionError, "dtype: expected 'float32', 'float64' or None, got 'float16'"),
        ({"module": lambda features, outputs: 3}, TypeError, "module: .* returned a int"),
        ({"module": 3}, TypeError, "module: expected a function or a class .*got 3"),
        ({"module": nn.Linear(4, 3)}, TypeError, r"module: expected a function .*got Linear\(.*a fresh one"),
        (
            {"activation": nn.ReLU()},
            OptionError,
            r"activation: expected .*a class such as nn.ReLU, got ReLU\(\)",
        ),
        ({"optimizer_options": {"lr": 1}}, OptionError, "optimizer_options: expected .*beside lr"),
        ({"optimizer_options": 3}, OptionError, "optimizer_options: expected a dict .*got 3"),
        ({"optimizer_options": {"momentun": 1}}, TypeError, "unexpected keyword argument 'momentun'"),
        ({"early_stopping": True, "validation_fraction": 0.0}, DataError, "validation_fraction: 0.0 of 120"),
        (
            {"module": lambda features, outputs: nn.Linear(features, outputs + 1)},
            ShapeError,
            r"module: expected outputs of shape \(n, [13]\) for inputs of shape \(n, 4\), got \(2, [24]\)",
        ),
        (
            {"module": lambda features, outputs: nn.LSTM(features, outputs)},
            ShapeError,
            r"module: expected outputs of shape \(n, [13]\) .*got a tuple",
        ),
        ({"backend": "abacus"}, RuntimeError, "abacus"),
    ],
)
@pytest.mark.parametrize("kind", BOTH)
def test_wrong_parameters(kind: Any, options: Any, error: Any, message: str, data: Any) -> None:
    net = kind(**options)
    with pytest.raises(error, match=message):
        net.fit(data[0], targets_of(kind, data))
    assert not hasattr(net, "module_")


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_training_that_diverges_says_so(data: Any) -> None:
    X, _, numbers = data
    net = made(NetRegressor, optimizer="SGD").fit(X, numbers).set_params(lr=1e6)
    for options in ({}, {"warm_start": True}, {"early_stopping": True}):
        twin = copy.deepcopy(net).set_params(**options)
        with pytest.raises(OptionError, match=r"lr: training diverged, epoch \d+: loss .*StandardScaler"):
            twin.fit(X, numbers)
        with pytest.raises(NotFittedError):  # rather than NaN, or the first class for all
            twin.predict(X)

    class InfiniteWhenAsked(nn.Linear):
        def forward(self, x: Any) -> Any:
            return super().forward(x) + (0.0 if self.training else float("inf"))

    with pytest.raises(OptionError, match=r"diverged, epoch 1: loss \d+\.\d+, held out inf"):
        made(NetRegressor, module=InfiniteWhenAsked, early_stopping=True).fit(X, numbers)
    with pytest.raises(DataError, match="y: some targets are too large for float32"):
        made(NetRegressor, dtype="float32").fit(X, 1e300 * numbers)
    with pytest.raises(DataError, match="y: expected 1 columns as before, got 2"):
        made(NetRegressor).fit(X, numbers).partial_fit(X, np.stack([numbers, numbers], axis=1))


def test_after_an_interruption_it_goes_on(data: Any) -> None:
    X, _, numbers = data
    calls = 0

    class Interrupted(nn.Module):
        def __init__(self, features: int) -> None:
            self.layer = nn.Linear(features, 1)

        def forward(self, x: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 8:  # one trial, and three batches an epoch
                raise KeyboardInterrupt
            return self.layer(x)

    net = made(NetRegressor, module=lambda features, _: Interrupted(features), batch_size=40)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, numbers)
    assert (net.n_iter_, len(net.loss_curve_), net.module_.training) == (2, 2, False)
    before = net.predict(X)
    np.testing.assert_array_equal(copy.deepcopy(net).predict(X), before)
    assert net.partial_fit(X, numbers).n_iter_ == 3
    assert not np.array_equal(net.predict(X), before)


def test_ctrl_c_finishes_the_step_and_writes_nothing(
    data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, _, numbers = data
    monkeypatch.chdir(tmp_path)
    calls = 0

    class Pressed(nn.Module):
        def __init__(self, features: int) -> None:
            self.layer = nn.Linear(features, 1)

        def forward(self, x: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 6:  # one trial, three batches of the first epoch, the second batch of the next one
                signal.raise_signal(signal.SIGINT)
            return self.layer(x)

    net = made(NetRegressor, module=lambda features, _: Pressed(features), batch_size=40)
    with pytest.raises(KeyboardInterrupt, match="not saved"):
        net.fit(X, numbers)
    assert (calls, net.n_iter_, net.module_.training) == (6, 1, False)
    assert {state["step"] for state in net._optimizer.state_dict()["state"].values()} == {5}
    assert list(tmp_path.iterdir()) == []
    assert net.partial_fit(X, numbers).n_iter_ == 2


@pytest.mark.parametrize("kind", BOTH)
def test_a_refit_that_fails_leaves_no_half_of_the_old_one(kind: Any, data: Any) -> None:
    """Which would be a network for other features or classes than the attributes tell of."""
    X, y = data[0], targets_of(kind, data)
    net = made(kind, epochs=2).fit(X, y)
    fewer = y != "red" if kind is NetClassifier else slice(None)
    with pytest.raises(OptionError, match="optimizer: expected"):
        net.set_params(optimizer="Adamm").fit(X[fewer, :3], y[fewer])
    for one in (net, pickle.loads(pickle.dumps(net))):
        with pytest.raises(NotFittedError):
            one.predict(X)
    assert net.set_params(optimizer="SGD").fit(X, y).n_iter_ == 2


@pytest.mark.parametrize("kind", BOTH)
def test_going_on_keeps_the_network_and_what_it_was_made_from(kind: Any, data: Any) -> None:
    X, y = data[0], targets_of(kind, data)
    net = made(kind, epochs=2).fit(X, y)
    expected = net._outputs(X)
    net.set_params(hidden_layer_sizes=(3,), optimizer="Adamm", lr=-1, warm_start=True)
    with pytest.raises(OptionError, match="optimizer: expected"):
        net.fit(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(net))._outputs(X), expected)
    options = {"classes": net.classes_} if kind is NetClassifier else {}
    net.set_params(optimizer="SGD", lr=0.1).partial_fit(X, y, **options)
    twin = pickle.loads(pickle.dumps(net))
    assert type(twin._optimizer) is type(net._optimizer) is optim.AdamW
    net.fit(X, y)
    assert type(net._optimizer) is optim.SGD
    assert net.n_iter_ == 5


def test_labels_that_make_no_classes(data: Any) -> None:
    X, y, _ = data
    with pytest.raises(DataError, match=r"y: expected at least two classes, got one class, \['red'\]"):
        NetClassifier().fit(X[y == "red"], y[y == "red"])
    with pytest.raises(DataError, match="expected at least two classes"):
        NetClassifier().partial_fit(X[y == "red"], y[y == "red"], classes=["red"])
    for mixed, kinds in ((["red", 1] * 60, "int, str"), (["red", None] * 60, "NoneType, str")):
        with pytest.raises(DataError, match=f"y: expected labels of one kind, .* mixture of {kinds}"):
            NetClassifier().fit(X, np.array(mixed, dtype=object))
    rare = np.where(np.arange(120) == 7, "rare", y)
    with pytest.raises(
        DataError, match="validation_fraction: 0.1 of 120 .*early_stopping: The least populated"
    ):
        NetClassifier(early_stopping=True).fit(X, rare)


@pytest.mark.parametrize("dtype", [float, object])
@pytest.mark.parametrize("kind", BOTH)
def test_no_samples(kind: Any, dtype: Any) -> None:
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        kind().fit(np.empty((0, 4), dtype=dtype), [])


@pytest.mark.parametrize("kind", BOTH)
def test_nothing_is_predicted_before_a_fit(kind: Any) -> None:
    with pytest.raises(NotFittedError):
        kind().predict([[1.0]])
