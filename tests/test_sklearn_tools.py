"""The estimators of portanet.sklearn in scikit-learn's tools, in files, and on data frames."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet import nn, optim
from portanet.errors import DataError

sklearn = pytest.importorskip("sklearn", minversion="1.6", reason="the extra `sklearn` is not installed")

import joblib  # noqa: E402
import pandas as pd  # noqa: E402
from scipy.sparse import csr_array  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.calibration import CalibratedClassifierCV  # noqa: E402
from sklearn.compose import TransformedTargetRegressor, make_column_transformer  # noqa: E402
from sklearn.ensemble import VotingClassifier  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: E402
from sklearn.utils.class_weight import compute_sample_weight  # noqa: E402

from portanet.sklearn import NetClassifier, NetRegressor  # noqa: E402
from tests.sklearn_samples import BOTH, made, small_network, targets_of, three_groups  # noqa: E402


@pytest.fixture
def data(rng: Any) -> Any:
    return three_groups(rng)


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


@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_joblib_keeps_a_pipeline(data: Any, tmp_path: Path, mmap_mode: Any) -> None:
    X, y, _ = data
    pipeline = make_pipeline(StandardScaler(), made(NetClassifier, module=small_network)).fit(X, y)
    joblib.dump(pipeline, tmp_path / "model.joblib")
    twin = joblib.load(tmp_path / "model.joblib", mmap_mode=mmap_mode)
    np.testing.assert_array_equal(twin.predict_proba(X), pipeline.predict_proba(X))
    scaled = pipeline[0].transform(X)
    first = pipeline[-1].partial_fit(scaled, y).predict_proba(scaled)
    np.testing.assert_array_equal(twin[-1].partial_fit(scaled, y).predict_proba(scaled), first)
    again = joblib.load(tmp_path / "model.joblib")  # what was mapped is not written to
    assert not np.array_equal(again.predict_proba(X), twin.predict_proba(X))


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
    """With a network and an activation that have no name that the other process could import them by."""
    X, y, _ = data

    class Doubled(nn.Module):
        def forward(self, x: Any) -> Any:
            return pn.maximum(x, 2 * x)

    search = GridSearchCV(
        made(NetClassifier, activation=Doubled),
        [
            {"epochs": [1, 30]},
            {"module": [lambda features, outputs: nn.Linear(features, outputs)], "epochs": [1]},
        ],
        cv=2,
        scoring="neg_log_loss",
    )
    alone = clone(search).fit(X, y)
    together = clone(search).set_params(n_jobs=2).fit(X, y)
    assert together.best_params_ == {"epochs": 30}
    np.testing.assert_allclose(
        together.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"], rtol=1e-6
    )


def test_calibration_and_votes(data: Any) -> None:
    X, y, _ = data
    for ensemble in (
        CalibratedClassifierCV(made(NetClassifier), cv=2),
        VotingClassifier([("net", made(NetClassifier)), ("line", LogisticRegression())], voting="soft"),
    ):
        ensemble.fit(X, y)
        assert ensemble.score(X, y) > 0.9
        np.testing.assert_allclose(ensemble.predict_proba(X).sum(axis=1), 1, rtol=1e-12)


def test_weights_of_classes(rng: Any) -> None:
    """Balanced by scikit-learn's weights, a rare class is found as often as the other in the midst of both."""
    X = np.concatenate([rng.normal(-0.5, 1, (950, 1)), rng.normal(0.5, 1, (50, 1))])
    y = np.repeat(["common", "rare"], [950, 50])
    plain = made(NetClassifier, batch_size=200).fit(X, y)
    weights = compute_sample_weight("balanced", y)
    balanced = made(NetClassifier, batch_size=200).fit(X, y, sample_weight=weights)
    assert plain.predict_proba([[0.0]])[0, 1] < 0.2
    assert 0.3 < balanced.predict_proba([[0.0]])[0, 1] < 0.7


def test_clone_and_set_params(data: Any) -> None:
    X, y, _ = data
    net = made(NetClassifier, module=small_network, optimizer=optim.Adam).fit(X, y)
    twin = clone(net).set_params(epochs=2)
    assert not hasattr(twin, "module_")
    assert (twin.module, twin.optimizer, twin.epochs, net.epochs) == (small_network, optim.Adam, 2, 30)
    with pytest.raises(ValueError, match="Invalid parameter 'layers'"):
        twin.set_params(layers=3)
    pipeline = make_pipeline(StandardScaler(), net).set_params(netclassifier__epochs=3)
    assert clone(pipeline).fit(X, y)[-1].n_iter_ == 3


def test_refitting_may_move_to_another_backend(backend: str, data: Any) -> None:
    X, y, _ = data
    net = made(NetClassifier, backend="numpy", epochs=1).fit(X, y)
    net.set_params(backend=backend).fit(X, y)
    assert next(net.module_.parameters()).device.backend == backend
    with pn.use_backend("numpy"):
        assert net.predict(X).shape == (120,)


# Data frames


@pytest.fixture
def frame(data: Any) -> Any:
    return pd.DataFrame(data[0], columns=list("abcd"))


def test_names_of_features_are_kept(data: Any, frame: Any) -> None:
    _, y, numbers = data
    net = made(NetClassifier, epochs=1).fit(frame, pd.Series(y, dtype="category"))
    assert net.feature_names_in_.tolist() == list("abcd")
    assert made(NetClassifier, epochs=1).fit(data[0], y).loss_curve_ == net.loss_curve_
    twin = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(twin.predict(frame), net.predict(frame))
    for wrong in (frame[list("abdc")], frame.rename(columns={"a": "age"}), frame.assign(e="text")):
        with pytest.raises(ValueError, match="The feature names should match"):
            twin.predict(wrong)
    both = pd.DataFrame({"one": numbers, "two": -numbers})
    assert made(NetRegressor, epochs=1).fit(frame, both).predict(frame).shape == (120, 2)


def test_frames_go_through_a_pipeline(data: Any, frame: Any) -> None:
    _, y, _ = data
    frame = frame.assign(colour=y)
    encoder = make_column_transformer(
        (StandardScaler(), list("abcd")), (OneHotEncoder(sparse_output=False), ["colour"])
    )
    pipeline = make_pipeline(encoder, made(NetClassifier)).set_output(transform="pandas").fit(frame, y)
    assert pipeline[-1].feature_names_in_[-1] == "onehotencoder__colour_red"
    assert pipeline.score(frame, y) > 0.9


@pytest.mark.parametrize("kind", BOTH)
def test_a_column_that_is_no_number_is_named(kind: Any, data: Any, frame: Any) -> None:
    y = targets_of(kind, data)
    colours = ["1.5", "red", *["green"] * 118]
    net = made(kind, epochs=1)
    for column, message in (
        (colours, "got 'red' in row 2, column 'colour', .*OneHotEncoder"),
        (pd.Categorical(colours), "got 'red' in row 2, column 'colour'"),
        (pd.Timestamp("2024-02-29"), r"got Timestamp\('2024-02-29 .*\) in row 1, column 'colour'"),
        ([None, *["blue"] * 119], "got 'blue' in row 2, column 'colour'"),
        (pd.Series([pd.NA, *range(119)], dtype=object), "got <NA> in row 1, column 'colour'"),
    ):
        with pytest.raises(DataError, match=f"X: expected numbers, {message}"):
            net.fit(frame.assign(colour=column), y)
    with pytest.raises(DataError, match="X: expected numbers, got 'green' in row 1, column 'b'"):
        net.fit(frame, y).predict(frame.assign(b="green"))
    for table in (frame.assign(b=colours).to_numpy(), frame.assign(b=colours).to_numpy().astype(str)):
        with pytest.raises(
            DataError, match="X: expected numbers, got 'red' in row 2, column 2, counted from 1"
        ):
            net.fit(table, y)


@pytest.mark.parametrize("kind", BOTH)
def test_what_is_missing_is_told_in_scikit_learns_words(kind: Any, data: Any, frame: Any) -> None:
    y = targets_of(kind, data)
    whole = frame.round().astype("Int64")
    for table in (frame.mask(frame > 1), whole.mask(whole > 1), frame.mask(frame > 1).astype(object)):
        with pytest.raises(
            ValueError, match=f"Input X contains NaN.\n{kind.__name__} does not accept missing"
        ):
            made(kind).fit(table, y)
    with pytest.raises(ValueError, match="Input X contains infinity"):
        made(kind).fit(np.where(data[0] > 1, np.inf, data[0]), y)
    with pytest.raises(TypeError, match="Sparse data was passed for X, but dense data is required"):
        made(kind).fit(csr_array(data[0]), y)


def test_numbers_that_are_none(data: Any) -> None:
    X, y, numbers = data
    for wrong in (y, y.tolist(), y.astype(object), pd.Series(y), pd.Series(y, dtype="category")):
        with pytest.raises(DataError, match=f"y: expected numbers, got '{y[0]}' in row 1, .*NetClassifier"):
            NetRegressor().fit(X, wrong)
    as_text = made(NetRegressor, epochs=1).fit(X, numbers.astype(str).astype(object))
    assert as_text.loss_curve_ == made(NetRegressor, epochs=1).fit(X, numbers).loss_curve_


# The package


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
