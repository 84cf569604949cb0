"""The estimators of portanet.sklearn by scikit-learn's own checks: what they learn, and how."""

from __future__ import annotations

import threading
import warnings
from typing import Any
from unittest import SkipTest

import numpy as np
import pytest

import portanet as pn
from portanet import nn, optim
from portanet.errors import DataError, ShapeError

sklearn = pytest.importorskip("sklearn", minversion="1.6", reason="the extra `sklearn` is not installed")

import joblib  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.datasets import make_classification, make_regression  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.neural_network import MLPRegressor  # noqa: E402
from sklearn.utils.estimator_checks import estimator_checks_generator  # noqa: E402

from portanet.sklearn import NetClassifier, NetRegressor  # noqa: E402
from tests.sklearn_samples import BOTH, made, small_network, targets_of, three_groups  # noqa: E402


def checks_of(kind: Any) -> list[Any]:
    """scikit-learn's checks; its own decorator hands pytest a generator in older releases."""
    return [
        pytest.param(estimator, check, id=f"{kind.__name__}-{check.func.__name__}")
        for estimator, check in estimator_checks_generator(kind())
    ]


@pytest.mark.parametrize(("estimator", "check"), [*checks_of(NetClassifier), *checks_of(NetRegressor)])
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    try:
        check(estimator)
    except SkipTest as skip:
        pytest.fail(f"no check is left out, but this one says: {skip}")


def test_there_are_many_checks() -> None:
    assert min(len(checks_of(kind)) for kind in BOTH) > 45


@pytest.fixture
def data(rng: Any) -> Any:
    return three_groups(rng)


# What it learns


def test_classes(backend: str, data: Any) -> None:
    X, y, _ = data
    classifier = made(NetClassifier, backend=backend).fit(X, y)
    assert classifier.score(X, y) > 0.9
    assert classifier.classes_.tolist() == ["blue", "green", "red"]
    assert (classifier.n_features_in_, classifier.n_iter_, len(classifier.loss_curve_)) == (4, 30, 30)
    assert classifier.loss_curve_[-1] < classifier.loss_curve_[0]
    parameters = list(classifier.module_.parameters())
    assert {parameter.device.backend for parameter in parameters} == {backend}
    assert [parameter.shape for parameter in parameters] == [(16, 4), (16,), (3, 16), (3,)]
    logits, probabilities = classifier.decision_function(X), classifier.predict_proba(X)
    assert logits.shape == probabilities.shape == (120, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-9)
    np.testing.assert_allclose(classifier.predict_log_proba(X), np.log(expected), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(classifier.predict(X), classifier.classes_[expected.argmax(axis=1)])


def test_every_backend_learns_the_same(backend: str, data: Any) -> None:
    X, y, numbers = data
    for kind, targets in ((NetClassifier, y), (NetRegressor, numbers)):
        there = made(kind, backend=backend, epochs=5).fit(X, targets)
        here = made(kind, backend="numpy", epochs=5).fit(X, targets)
        np.testing.assert_allclose(there.loss_curve_, here.loss_curve_, rtol=1e-8)
        np.testing.assert_allclose(there._outputs(X), here._outputs(X), rtol=1e-5, atol=1e-8)


def test_two_classes_have_one_column_of_decisions(data: Any) -> None:
    X, y, _ = data
    classifier = made(NetClassifier).fit(X, y == "red")
    decisions = classifier.decision_function(X)
    assert decisions.shape == (120,)
    np.testing.assert_allclose(classifier.predict_proba(X)[:, 1], 1 / (1 + np.exp(-decisions)), rtol=1e-9)
    np.testing.assert_array_equal(classifier.predict(X), decisions > 0)


def test_numbers_as_well_as_scikit_learn_does(rng: Any) -> None:
    X, y = make_regression(300, 6, noise=5, random_state=int(rng.integers(2**31)))
    y = (y - y.mean()) / y.std()
    X_test, y_test, X, y = X[:60], y[:60], X[60:], y[60:]
    ours = NetRegressor(random_state=0).fit(X, y).score(X_test, y_test)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged
        theirs = MLPRegressor(random_state=0).fit(X, y).score(X_test, y_test)
    assert ours > 0.9
    assert ours > theirs - 0.05


def test_a_classification_with_nothing_but_defaults(rng: Any) -> None:
    X, y = make_classification(200, 8, n_informative=5, random_state=int(rng.integers(2**31)))
    assert NetClassifier(random_state=0).fit(X, y).score(X, y) > 0.85


def test_several_outputs_and_the_data_type_of_the_features(data: Any) -> None:
    X, _, numbers = data
    both = np.stack([numbers, -2 * numbers], axis=1)
    regressor = made(NetRegressor, epochs=60).fit(X, both)
    assert regressor.score(X, both) > 0.9
    assert regressor.predict(X).shape == (120, 2)
    for given, dtype, found in (
        (np.float64, None, np.float64),
        (np.float32, None, np.float32),
        (np.int64, None, np.float64),
        (np.float64, "float32", np.float32),
        (np.float32, "float64", np.float64),
    ):
        regressor = made(NetRegressor, epochs=1, dtype=dtype).fit(X.astype(given), numbers)
        assert regressor.predict(X).dtype == found
        assert {p.dtype.name for p in regressor.module_.parameters()} == {np.dtype(found).name}


@pytest.mark.parametrize("kind", BOTH)
def test_weights_of_samples(kind: Any, data: Any, rng: Any) -> None:
    """In one batch a weight is a repetition; the pull of the heavy samples shows in the loss on them."""
    X, y = data[0], targets_of(kind, data)
    weights = rng.integers(0, 4, 120)
    repeated = np.repeat(np.arange(120), weights)
    weighted = made(kind, batch_size=1000).fit(X, y, sample_weight=weights)
    longer = made(kind, batch_size=1000).fit(X[repeated], y[repeated])
    np.testing.assert_allclose(weighted.loss_curve_, longer.loss_curve_, rtol=1e-7)
    plain = made(kind, batch_size=1000).fit(X, y)
    assert not np.allclose(weighted._outputs(X), plain._outputs(X), rtol=1e-3)
    even = made(kind).fit(X, y, sample_weight=np.full(120, 7.0))
    np.testing.assert_allclose(even.loss_curve_, made(kind).fit(X, y).loss_curve_, rtol=1e-7)
    for wrong in (-weights, 0 * weights):
        with pytest.raises(
            DataError, match="sample_weight: expected weights of at least 0, not all of them zero"
        ):
            made(kind).fit(X, y, sample_weight=wrong)
    for wrong, shape in (([1, 2, 3], r"\(3,\)"), (2.0, r"\(\)"), (np.ones((120, 1)), r"\(120, 1\)")):
        with pytest.raises(ShapeError, match=rf"sample_weight: expected .*shape \(120,\), got {shape}"):
            made(kind).fit(X, y, sample_weight=wrong)
    for extreme in (1e307, 5e-324):
        found = made(kind).fit(X, y, sample_weight=np.full(120, extreme))
        np.testing.assert_allclose(found.loss_curve_, even.loss_curve_, rtol=1e-7)


# How it is trained


def test_a_module_of_ones_own(backend: str, data: Any) -> None:
    X, y, numbers = data
    classifier = made(NetClassifier, module=small_network, backend=backend).fit(X, y)
    assert isinstance(classifier.module_[2], nn.Tanh)
    assert not classifier.module_.training
    assert classifier.score(X, y) > 0.8
    assert made(NetRegressor, module=small_network).fit(X, numbers).predict(X).shape == (120,)


@pytest.mark.parametrize("kind", BOTH)
def test_no_batch_is_a_single_sample(kind: Any, data: Any) -> None:
    """Which batch normalization refuses, and which a fold of a cross-validation may leave over."""
    X, y = data[0], targets_of(kind, data)
    sizes = []

    class Normalized(nn.Module):
        def __init__(self, features: int, outputs: int) -> None:
            self.layers = nn.Sequential(nn.Linear(features, 8), nn.BatchNorm1d(8), nn.Linear(8, outputs))

        def forward(self, x: Any) -> Any:
            if self.training:
                sizes.append(len(x))
            return self.layers(x)

    made(kind, module=Normalized, batch_size=40, epochs=2).fit(X[:81], y[:81])
    assert sizes == [40, 40] * 2
    sizes.clear()
    made(kind, module=Normalized, batch_size=40, epochs=2).fit(X[:82], y[:82])
    assert sizes == [40, 40, 2] * 2
    net = made(kind, module=Normalized, batch_size=1, epochs=1)
    with pytest.raises(ShapeError, match="more than one value"):
        net.fit(X, y)
    with pytest.raises(NotFittedError):  # rather than the answers of fresh weights
        net.predict(X)


def test_activations_and_optimizers(data: Any) -> None:
    X, y, _ = data
    for activation, kind in (("tanh", nn.Tanh), ("identity", nn.Identity), (nn.LeakyReLU, nn.LeakyReLU)):
        classifier = NetClassifier((5, 4), activation, epochs=1).fit(X, y)
        assert [type(layer) for layer in classifier.module_] == [nn.Linear, kind, nn.Linear, kind, nn.Linear]
    assert [type(layer) for layer in NetClassifier((), epochs=1).fit(X, y).module_] == [nn.Linear]
    for chosen in ("SGD", optim.SGD):
        classifier = made(NetClassifier, optimizer=chosen, optimizer_options={"momentum": 0.9}).fit(X, y)
        assert classifier.score(X, y) > 0.8
        assert classifier._optimizer.param_groups[0]["momentum"] == 0.9


@pytest.mark.parametrize("kind", BOTH)
def test_the_seed_decides_and_nothing_else_is_touched(kind: Any, data: Any) -> None:
    X, y = data[0], targets_of(kind, data)
    before = pn.random.default_generator.get_state()
    runs = [
        made(kind, module=small_network, random_state=seed, early_stopping=True).fit(X, y)._outputs(X)
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.allclose(runs[0], runs[2])
    assert pn.random.default_generator.get_state() == before
    seeded = made(kind, random_state=np.random.RandomState(1))
    assert seeded.fit(X, y).loss_curve_ == made(kind, random_state=1).fit(X, y).loss_curve_
    assert seeded.loss_curve_ != seeded.fit(X, y).loss_curve_  # it goes on
    np.random.seed(3)
    first = made(kind, random_state=None).fit(X, y)
    np.random.seed(3)
    second = made(kind, random_state=None).fit(X, y)
    assert first.loss_curve_ == second.loss_curve_
    assert first.fit(X, y).loss_curve_ != second.loss_curve_


def test_threads_train_at_the_same_time(data: Any) -> None:
    """With the bits of one alone; each network waits for the other, so that a lock would show as a broken barrier."""
    X, y, _ = data
    alone = made(NetClassifier, module=small_network).fit(X, y)
    meet = threading.Barrier(2, timeout=60)
    before = pn.random.default_generator.get_state()

    def met(features: int, outputs: int) -> nn.Module:
        meet.wait()
        return small_network(features, outputs)

    estimators = [made(NetClassifier, module=met) for _ in range(2)]
    threads = [threading.Thread(target=estimator.fit, args=(X, y)) for estimator in estimators]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [estimator.loss_curve_ for estimator in estimators] == [alone.loss_curve_] * 2
    assert pn.random.default_generator.get_state() == before


def test_a_search_in_threads_finds_the_same_bits(data: Any) -> None:
    X, y, _ = data
    search = GridSearchCV(
        made(NetClassifier, module=small_network, early_stopping=True),
        {"lr": [0.003, 0.01]},
        cv=2,
        scoring="neg_log_loss",
    )
    alone = clone(search).fit(X, y).cv_results_["mean_test_score"]
    with joblib.parallel_backend("threading", n_jobs=4):
        together = clone(search).fit(X, y).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(together, alone)


class Recomputed(nn.Module):
    """A network that makes its hidden layer again in the backward pass, its dropout mask as well."""

    def __init__(self, features: int, outputs: int) -> None:
        self.hidden = nn.Sequential(nn.Linear(features, 12), nn.Dropout(0.5))
        self.last = nn.Linear(12, outputs)

    def forward(self, x: Any) -> Any:
        return self.last(pn.checkpoint(self.hidden, x) if self.training else self.hidden(x))


def test_what_is_recomputed_draws_the_same_again(data: Any) -> None:
    X, y, _ = data

    def plain(features: int, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(features, 12), nn.Dropout(0.5), nn.Linear(12, outputs))

    expected = made(NetClassifier, module=plain, epochs=5).fit(X, y)
    found = made(NetClassifier, module=Recomputed, epochs=5).fit(X, y)
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", BOTH)
def test_it_stops_early_with_the_best_weights(kind: Any, rng: Any, weighted: bool) -> None:
    X = rng.normal(size=(80, 5))  # nothing to learn, so what is held out soon gets worse
    y = rng.integers(0, 2, 80) if kind is NetClassifier else rng.normal(size=80)
    weights = rng.random(80) if weighted else None
    options = {"early_stopping": True, "validation_fraction": 0.25, "tol": 0.0}
    net = made(kind, epochs=500, patience=3, **options).fit(X, y, sample_weight=weights)
    curve = net.validation_loss_curve_
    best = int(np.argmin(curve)) + 1
    assert len(curve) == len(net.loss_curve_) == net.n_iter_ == best + 3 < 500
    for epochs in (best, best + 2):  # it need not have stopped to give back the best
        other = made(kind, epochs=epochs, patience=500, **options).fit(X, y, sample_weight=weights)
        assert other.n_iter_ == epochs
        np.testing.assert_array_equal(net._outputs(X), other._outputs(X))
    assert made(kind).fit(X, y).validation_loss_curve_ == []


class FallsByATenth(nn.Module):
    """Its squared error on targets of zero is 0.9 after the first epoch, 0.8 after the second, and so on."""

    def __init__(self, features: int, outputs: int) -> None:
        self.layer = nn.Linear(features, outputs)
        self.asked = -1  # the first time when it is made

    def forward(self, x: Any) -> Any:
        if not self.training:
            self.asked += 1
        return 0.0 * self.layer(x) + (1.0 - 0.1 * self.asked) ** 0.5


@pytest.mark.parametrize(("tol", "epochs"), [(0.05, 8), (0.15, 8), (0.25, 3)])
def test_small_gains_count_once_they_are_more_than_tol_together(tol: float, epochs: int, data: Any) -> None:
    options = {"early_stopping": True, "patience": 2, "epochs": 8}
    net = made(NetRegressor, module=FallsByATenth, tol=tol, **options).fit(data[0], np.zeros(120))
    assert net.n_iter_ == epochs
    np.testing.assert_allclose(net.validation_loss_curve_, 1 - 0.1 * np.arange(1, epochs + 1), rtol=1e-6)


@pytest.mark.parametrize("kind", BOTH)
def test_a_warm_start_goes_on(kind: Any, data: Any) -> None:
    X, y = data[0], targets_of(kind, data)
    net = made(kind, warm_start=True, optimizer="SGD", epochs=4).fit(X, y)
    first = net._outputs(X)
    net.fit(X, y)
    assert net.n_iter_ == len(net.loss_curve_) == 8
    assert net.loss_curve_[4] < net.loss_curve_[0]
    # SGD without momentum keeps nothing, so two halves are the same as the whole.
    whole = made(kind, optimizer="SGD", epochs=8).fit(X, y)
    np.testing.assert_array_equal(net._outputs(X), whole._outputs(X))
    cold = net.set_params(warm_start=False).fit(X, y)
    np.testing.assert_array_equal(cold._outputs(X), first)
    with pytest.raises(ValueError, match="X has 3 features, but"):
        net.set_params(warm_start=True).fit(X[:, :3], y)


@pytest.mark.parametrize("kind", BOTH)
def test_a_warm_start_holds_out_the_same_samples(kind: Any, data: Any) -> None:
    X, y = data[0], targets_of(kind, data)
    still = made(kind, optimizer="SGD", lr=0.0, epochs=1, early_stopping=True, warm_start=True)
    first, second = still.fit(X, y).fit(X, y).validation_loss_curve_
    assert first == second


def test_partial_fit_sees_the_classes_one_after_the_other(backend: str, data: Any) -> None:
    X, y, _ = data
    classifier = made(NetClassifier, backend=backend)
    with pytest.raises(DataError, match="classes: expected all classes that will come"):
        classifier.partial_fit(X, y)
    only = y == "red"
    classifier.partial_fit(X[only], y[only], classes=["red", "green", "blue"])
    assert classifier.predict_proba(X).shape == (120, 3)
    for _ in range(30):
        classifier.partial_fit(X, y)
    assert classifier.n_iter_ == 31
    assert classifier.score(X, y) > 0.9
    with pytest.raises(DataError, match=r"y: expected classes .*got also \['pink'\]"):
        classifier.partial_fit(X[:2], ["red", "pink"])
    with pytest.raises(DataError, match="classes: expected those of the first call"):
        classifier.partial_fit(X, y, classes=["red", "pink"])


@pytest.mark.parametrize("kind", BOTH)
def test_parts_of_one_epoch_each_are_a_fit(kind: Any, data: Any) -> None:
    X, y = data[0], targets_of(kind, data)
    options = {"classes": np.unique(y)} if kind is NetClassifier else {}
    parts = made(kind).partial_fit(X, y, **options)
    for _ in range(4):
        parts.partial_fit(X, y)
    whole = made(kind, epochs=5).fit(X, y)
    assert parts.loss_curve_ == whole.loss_curve_
    np.testing.assert_array_equal(parts._outputs(X), whole._outputs(X))


def test_it_says_what_it_does_when_asked(data: Any, capsys: pytest.CaptureFixture[str]) -> None:
    X, y, _ = data
    made(NetClassifier, epochs=2).fit(X, y)
    assert capsys.readouterr().out == ""
    net = made(NetClassifier, epochs=2, verbose=True, early_stopping=True).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"epoch 2: loss {net.loss_curve_[1]:.6f}, held out {net.validation_loss_curve_[1]:.6f}"
