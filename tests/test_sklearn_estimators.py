"""The estimators of portanet.sklearn by scikit-learn's own checks, and in its tools."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn, optim
from portanet.errors import DataError, OptionError, ShapeError

sklearn = pytest.importorskip("sklearn", minversion="1.6", reason="the extra `sklearn` is not installed")

from sklearn.base import clone  # noqa: E402
from sklearn.compose import TransformedTargetRegressor  # noqa: E402
from sklearn.datasets import make_blobs, make_classification, make_regression  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.neural_network import MLPRegressor  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import estimator_checks_generator  # noqa: E402

from portanet.sklearn import NetClassifier, NetRegressor  # noqa: E402

BOTH = [NetClassifier, NetRegressor]


def checks_of(kind: Any) -> list[Any]:
    """scikit-learn's checks; its own decorator hands pytest a generator in older releases."""
    return [
        pytest.param(estimator, check, id=f"{kind.__name__}-{check.func.__name__}")
        for estimator, check in estimator_checks_generator(kind())
    ]


@pytest.mark.parametrize(("estimator", "check"), [*checks_of(NetClassifier), *checks_of(NetRegressor)])
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def test_there_are_many_checks() -> None:
    assert min(len(checks_of(kind)) for kind in BOTH) > 45


@pytest.fixture
def data(rng: Any) -> Any:
    """Features, classes called by name, and numbers, 120 of each."""
    centres = 8 * rng.permutation(np.eye(4))[:3] + rng.normal(size=4)  # far enough apart to be told apart
    X, y = make_blobs(120, centers=centres, random_state=int(rng.integers(2**31)))
    X = StandardScaler().fit_transform(X)
    return X, np.array(["red", "green", "blue"])[y], (X @ rng.normal(size=4)).round(3)


def made(kind: Any, **options: Any) -> Any:
    return kind((16,), **{"epochs": 30, "lr": 0.01, "batch_size": 32, "random_state": 0, **options})


def targets_of(kind: Any, data: Any) -> Any:
    return data[1] if kind is NetClassifier else data[2]


def small_network(features: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.LazyLinear(12), nn.Dropout(0.2), nn.Tanh(), nn.Linear(12, outputs))


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
    with pytest.raises(ShapeError, match=r"sample_weight: expected .*shape \(120,\), got \(3,\)"):
        made(kind).fit(X, y, sample_weight=[1, 2, 3])


# How it is trained


def test_a_module_of_ones_own(backend: str, data: Any) -> None:
    X, y, numbers = data
    classifier = made(NetClassifier, module=small_network, backend=backend).fit(X, y)
    assert isinstance(classifier.module_[2], nn.Tanh)
    assert not classifier.module_.training
    assert classifier.score(X, y) > 0.8
    assert made(NetRegressor, module=small_network).fit(X, numbers).predict(X).shape == (120,)


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
    np.random.seed(3)
    first = made(kind, random_state=None).fit(X, y)
    np.random.seed(3)
    second = made(kind, random_state=None).fit(X, y)
    assert first.loss_curve_ == second.loss_curve_
    assert first.fit(X, y).loss_curve_ != second.loss_curve_


def test_threads_do_not_disturb_each_other(data: Any) -> None:
    X, y, _ = data
    alone = made(NetClassifier, module=small_network).fit(X, y)
    estimators = [made(NetClassifier, module=small_network) for _ in range(4)]
    threads = [threading.Thread(target=estimator.fit, args=(X, y)) for estimator in estimators]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(estimator.loss_curve_ == alone.loss_curve_ for estimator in estimators)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", BOTH)
def test_it_stops_early_with_the_best_weights(kind: Any, rng: Any, weighted: bool) -> None:
    X = rng.normal(size=(80, 5))  # nothing to learn, so what is held out soon gets worse
    y = rng.integers(0, 2, 80) if kind is NetClassifier else rng.normal(size=80)
    weights = rng.random(80) if weighted else None
    net = made(kind, epochs=500, early_stopping=True, patience=3, validation_fraction=0.25)
    net.fit(X, y, sample_weight=weights)
    curve = net.validation_loss_curve_
    assert len(curve) == net.n_iter_ < 500
    best = int(np.argmin(curve)) + 1
    assert best < net.n_iter_
    stopped = made(kind, epochs=best, early_stopping=True, patience=500, validation_fraction=0.25)
    stopped.fit(X, y, sample_weight=weights)
    np.testing.assert_array_equal(net._outputs(X), stopped._outputs(X))
    assert made(kind).fit(X, y).validation_loss_curve_ == []


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


def test_partial_fit_sees_the_classes_one_after_the_other(backend: str, data: Any) -> None:
    X, y, _ = data
    classifier = made(NetClassifier, backend=backend)
    with pytest.raises(ValueError, match="classes: expected all classes that will come"):
        classifier.partial_fit(X, y)
    only = y == "red"
    classifier.partial_fit(X[only], y[only], classes=["red", "green", "blue"])
    assert classifier.predict_proba(X).shape == (120, 3)
    for _ in range(30):
        classifier.partial_fit(X, y)
    assert classifier.n_iter_ == 31
    assert classifier.score(X, y) > 0.9
    with pytest.raises(ValueError, match=r"y: expected classes .*got also \['pink'\]"):
        classifier.partial_fit(X[:2], ["red", "pink"])
    with pytest.raises(ValueError, match="classes: expected those of the first call"):
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


# In scikit-learn's tools


@pytest.mark.parametrize("kind", BOTH)
def test_pickles_go_on_where_they_were(backend: str, kind: Any, data: Any) -> None:
    X, y = data[0], targets_of(kind, data)
    net = made(kind, module=small_network, backend=backend, epochs=3).fit(X, y)
    content = pickle.dumps(net)
    before = pn.random.default_generator.get_state()
    twins = [pickle.loads(content), copy.deepcopy(net)]
    for twin in twins:
        assert twin.get_params() == net.get_params()
        assert next(twin.module_.parameters()).device.backend == backend
        np.testing.assert_array_equal(twin._outputs(X), net._outputs(X))
    first = net.partial_fit(X, y)._outputs(X)  # with the optimizer's running means, and dropout
    for twin in twins:
        assert not np.array_equal(twin._outputs(X), first)
        np.testing.assert_array_equal(twin.partial_fit(X, y)._outputs(X), first)
    assert pn.random.default_generator.get_state() == before
    # Parameters may have been set since; the network is what it was.
    net.set_params(module=None, hidden_layer_sizes=(3, 3), optimizer="SGD", backend="numpy")
    moved = pickle.loads(pickle.dumps(net))
    assert next(moved.module_.parameters()).device.backend == "numpy"
    np.testing.assert_allclose(moved._outputs(X), net._outputs(X), rtol=1e-6, atol=1e-7)
    assert pickle.loads(pickle.dumps(made(kind))).get_params() == made(kind).get_params()


def test_a_pickle_holds_no_objects_of_the_network(data: Any) -> None:
    X, y, _ = data
    state = made(NetClassifier, epochs=1).fit(X, y).__getstate__()
    assert {type(value) for value in state["module_"].values()} == {np.ndarray}
    assert b"Tensor" not in pickle.dumps(state)


def test_pipelines_searches_and_cross_validation(data: Any) -> None:
    X, y, numbers = data
    pipeline = make_pipeline(StandardScaler(), made(NetClassifier))
    assert cross_val_score(pipeline, X, y, cv=3).min() > 0.8
    search = GridSearchCV(
        pipeline,
        {"netclassifier__lr": [1e-6, 0.01], "netclassifier__activation": ["relu", nn.Tanh]},
        cv=2,
        scoring="neg_log_loss",
    ).fit(X, y)
    assert search.best_params_["netclassifier__lr"] == 0.01
    assert search.best_estimator_.score(X, y) > 0.9
    scaled = TransformedTargetRegressor(made(NetRegressor, epochs=100), transformer=StandardScaler())
    assert scaled.fit(X, 1e5 + 1e4 * numbers).score(X, 1e5 + 1e4 * numbers) > 0.9


def test_a_search_in_processes(data: Any) -> None:
    X, y, _ = data
    search = GridSearchCV(made(NetClassifier), {"epochs": [1, 30]}, cv=2, n_jobs=2, scoring="neg_log_loss")
    search.fit(X, y)
    assert search.best_params_ == {"epochs": 30}


def test_clone_and_set_params(data: Any) -> None:
    X, y, _ = data
    net = made(NetClassifier, module=small_network, optimizer=optim.Adam).fit(X, y)
    twin = clone(net).set_params(epochs=2)
    assert not hasattr(twin, "module_")
    assert (twin.module, twin.optimizer, twin.epochs, net.epochs) == (small_network, optim.Adam, 2, 30)
    with pytest.raises(ValueError, match="Invalid parameter 'layers'"):
        twin.set_params(layers=3)


def test_refitting_may_move_to_another_backend(backend: str, data: Any) -> None:
    X, y, _ = data
    net = made(NetClassifier, backend="numpy", epochs=1).fit(X, y)
    net.set_params(backend=backend).fit(X, y)
    assert next(net.module_.parameters()).device.backend == backend
    with pn.use_backend("numpy"):
        assert net.predict(X).shape == (120,)


def test_names_of_features_are_kept(data: Any) -> None:
    pandas = pytest.importorskip("pandas", reason="names come with a DataFrame")
    X, y, _ = data
    net = made(NetClassifier, epochs=1).fit(pandas.DataFrame(X, columns=list("abcd")), y)
    assert net.feature_names_in_.tolist() == list("abcd")


# What it refuses


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
        (
            {"module": lambda features, outputs: nn.Linear(features, outputs + 1)},
            ShapeError,
            r"module: expected outputs of shape \(n, [13]\) for inputs of shape \(n, 4\)",
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
    with pytest.raises(
        OptionError, match=r"lr: training diverged, the loss of epoch \d+ is .*StandardScaler"
    ):
        made(NetRegressor, optimizer="SGD", lr=1e6).fit(X, numbers)
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


@pytest.mark.parametrize("kind", BOTH)
def test_a_refit_that_fails_at_once_keeps_the_network(kind: Any, data: Any) -> None:
    X, y = data[0], targets_of(kind, data)
    net = made(kind, epochs=2).fit(X, y)
    expected = net._outputs(X)
    with pytest.raises(OptionError, match="optimizer: expected"):
        net.set_params(hidden_layer_sizes=(3,), optimizer="Adamm").fit(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(net))._outputs(X), expected)
    options = {"classes": net.classes_} if kind is NetClassifier else {}
    net.set_params(optimizer="SGD").partial_fit(X, y, **options)
    twin = pickle.loads(pickle.dumps(net))
    assert type(twin._optimizer) is type(net._optimizer) is optim.AdamW
    net.set_params(warm_start=True).fit(X, y)
    assert type(net._optimizer) is optim.SGD
    assert net.n_iter_ == 5


@pytest.mark.parametrize("kind", BOTH)
def test_nothing_is_predicted_before_a_fit(kind: Any) -> None:
    with pytest.raises(NotFittedError):
        kind().predict([[1.0]])


def test_without_scikit_learn_the_error_says_how_to_get_it() -> None:
    source = """
import sys
sys.modules["sklearn"] = None
import portanet.sklearn
assert "NetClassifier" in dir(portanet.sklearn)
try:
    portanet.sklearn.NetClassifier
except ImportError as error:
    assert "pip install 'portanet[sklearn]'" in str(error), error
else:
    raise AssertionError
"""
    run(source)


def test_the_package_loads_scikit_learn_late() -> None:
    run(
        "import sys, portanet.sklearn; assert 'sklearn' not in sys.modules; "
        "portanet.sklearn.NetClassifier; assert 'sklearn' in sys.modules"
    )


def run(source: str) -> None:
    root = Path(__file__).parents[1]
    finished = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, cwd=root, check=False
    )
    assert finished.returncode == 0, finished.stderr


def test_a_classification_without_portanet_in_sight(rng: Any) -> None:
    X, y = make_classification(200, 8, n_informative=5, random_state=int(rng.integers(2**31)))
    assert NetClassifier(random_state=0).fit(X, y).score(X, y) > 0.85
