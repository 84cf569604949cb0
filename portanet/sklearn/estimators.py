"""NetClassifier and NetRegressor, with scikit-learn's manners."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets

from portanet.errors import DataError
from portanet.nn import functional
from portanet.sklearn.inputs import refuse_what_is_no_number
from portanet.sklearn.net import Net
from portanet.tensor import Tensor

__all__ = ["NetClassifier", "NetRegressor"]


class NetClassifier(ClassifierMixin, Net):  # type: ignore[misc]
    """A network that tells classes apart, as an estimator of scikit-learn.

    It works in pipelines, searches and cross-validation, and its columns may be those of a data frame. Features are
    best scaled first, for example with ``sklearn.preprocessing.StandardScaler``.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, default (100,)
        The sizes of the hidden layers of the default network.
    activation : str or callable, default "relu"
        What stands between its layers: ``"relu"``, ``"tanh"``, ``"gelu"``, ``"silu"``, ``"elu"``, ``"sigmoid"``,
        ``"identity"``, or a class such as ``nn.LeakyReLU``.
    module : callable, optional
        ``module(n_features, n_outputs)`` returns the network to use instead, an ``nn.Module`` that takes inputs of
        shape (n, n_features) and gives (n, n_outputs): one logit for each class, or the values of a regression. A
        function or class that can be imported, if the estimator is to be pickled; joblib's processes take any.
    optimizer : str or type, default "AdamW"
        A class of ``portanet.optim``, or its name.
    optimizer_options : dict, optional
        Its options beside ``lr``, such as ``{"weight_decay": 0.1}``.
    lr : float, default 0.005
        Learning rate.
    batch_size : int, default 128
        Samples in an update.
    epochs : int, default 100
        How often the samples are gone through; with early stopping, at most.
    early_stopping : bool, default False
        Hold out a part of the samples, stop once the loss on it falls no further, and keep the weights of the best
        epoch, also where all epochs were gone through. ``partial_fit`` does not look at it.
    validation_fraction : float, default 0.1
        The share that is held out.
    patience : int, default 10
        After how many epochs in a row that are no better than the best it stops.
    tol : float, default 1e-4
        An epoch is better if its loss on the held-out samples is lower than the best by more than this.
    warm_start : bool, default False
        Whether ``fit`` goes on from the weights of the last one; what shapes the network is then not looked at again.
    random_state : int, RandomState or None, default None
        Of the initial weights, the order of the samples, dropout and what is held out.
    dtype : str, optional
        ``"float32"`` or ``"float64"``, of the network and its predictions; default: that of the features, as in
        scikit-learn. float32 is faster, on a GPU many times.
    backend : str, optional
        As in :func:`portanet.set_backend`, for training; default: the one in use.
    verbose : bool, default False
        Whether to print the loss after each epoch.

    Attributes
    ----------
    classes_ : ndarray
        The classes, sorted, shape (n_classes,).
    n_features_in_ : int
        How many features there are.
    feature_names_in_ : ndarray
        Their names, if they came with names.
    module_ : nn.Module
        The trained network.
    loss_curve_ : list of float
        The mean loss (cross entropy in nats, or squared error) of each epoch.
    validation_loss_curve_ : list of float
        The loss on the held-out samples after each epoch; empty without early stopping.
    n_iter_ : int
        How many epochs it was trained.

    Notes
    -----
    A sample's weight multiplies its loss. As long as all samples fit into one batch, this is the same as repeating it.
    Weights that balance classes are ``sklearn.utils.class_weight.compute_sample_weight("balanced", y)``.

    A last batch of one single sample is left out of its epoch, since batch normalization cannot work on it; the next
    epoch leaves out another one.

    Training is :func:`portanet.train.fit`. Ctrl-C lets the step end; what was learnt so far can then be used. Random
    numbers come from a generator of the estimator's own: that of the process is not touched, and estimators may be
    trained in several threads at once.

    Pickle and joblib keep a trained estimator with its optimizer, as host arrays; a twin goes on with the same bits.
    Load only files that you trust, as with every pickle. For the weights alone there is
    ``portanet.save(classifier.module_.state_dict(), path)``, whose files run no code.

    Examples
    --------
    >>> from portanet.sklearn import NetClassifier
    >>> classifier = NetClassifier((8,), epochs=50, random_state=0)
    >>> points = [[-1.0, -1.2], [-0.8, -1.0], [1.0, 0.9], [1.2, 1.0]]
    >>> classifier.fit(points, ["left", "left", "right", "right"]).predict([[-2.0, -2.0], [2.0, 2.0]])
    array(['left', 'right'], dtype='<U5')
    """

    def _loss(self, outputs: Any, targets: Any, reduction: str) -> Tensor:
        loss: Tensor = functional.cross_entropy(outputs, targets, reduction=reduction)
        return loss

    def _encode(self, y: Any, dtype: Any, *, again: bool, classes: Any) -> tuple[Any, int]:
        try:
            check_classification_targets(y)
            if not again:
                self.classes_ = np.unique(y if classes is None else classes)
        except TypeError as error:  # Python cannot put them into an order
            kinds = ", ".join(sorted({type(label).__name__ for label in y}))
            raise DataError(
                f"y: expected labels of one kind, text or numbers, got a mixture of {kinds}."
            ) from error
        if len(self.classes_) < 2:
            raise DataError(f"y: expected at least two classes, got one class, {self.classes_.tolist()}.")
        unknown = np.setdiff1d(y, self.classes_)
        if unknown.size:
            raise DataError(
                f"y: expected classes that were known from the first call on, {self.classes_.tolist()}, got also "
                f"{unknown.tolist()}."
            )
        return np.searchsorted(self.classes_, y).astype(np.int64), len(self.classes_)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
        """Go through some samples once; the optimizer goes on, too.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`fit`.
        classes : array-like, optional
            All classes that will come; needed in the first call.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As :meth:`fit`; or if classes come that were not told of in the first call.
        """
        again = hasattr(self, "module_")
        if not again and classes is None:
            raise DataError("classes: expected all classes that will come, in the first call to partial_fit.")
        if again and classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise DataError(
                f"classes: expected those of the first call, {self.classes_.tolist()}, got {classes!r}."
            )
        return self._learn(X, y, sample_weight, again=again, once=True, classes=classes)

    def decision_function(self, X: Any) -> Any:
        """The logits, shape (n_samples, n_classes); for two classes that of the second less the first, (n_samples,)."""
        logits = self._outputs(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: Any) -> Any:
        """The probability of each class, shape (n_samples, n_classes), in the order of ``classes_``."""
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: Any) -> Any:
        """The logarithm of the probabilities, same shape, finite where they themselves are too small for a number."""
        logits = self._outputs(X)
        logits = logits - logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> Any:
        """The class of each sample, shape (n_samples,)."""
        places = self._outputs(X).argmax(axis=1)
        return self.classes_[places]


class NetRegressor(RegressorMixin, Net):  # type: ignore[misc]
    """A network for numbers, by the mean squared error, as an estimator of scikit-learn.

    Targets may have several columns. They should be of the order of one: wrap the estimator in
    ``sklearn.compose.TransformedTargetRegressor`` if they are not. Parameters, attributes (but
    ``classes_``) and notes are those of :class:`NetClassifier`.

    Examples
    --------
    >>> from portanet.sklearn import NetRegressor
    >>> regressor = NetRegressor((16,), epochs=300, random_state=0)
    >>> regressor.fit([[0.0], [0.5], [1.0]], [0.0, 0.5, 1.0]).predict([[0.25]]).round(1)
    array([0.2])
    """

    _several_outputs = True

    def _loss(self, outputs: Any, targets: Any, reduction: str) -> Tensor:
        loss: Tensor = functional.mse_loss(outputs, targets, reduction=reduction)
        return loss

    def _encode(self, y: Any, dtype: Any, *, again: bool, classes: Any) -> tuple[Any, int]:
        refuse_what_is_no_number("y", y)
        numbers = y.astype(np.float64)
        if np.abs(numbers).max() > np.finfo(dtype).max:
            raise DataError(f"y: some targets are too large for {dtype}. Scale them.")
        targets = numbers.astype(dtype).reshape(len(y), -1)
        if again and targets.shape[1] != self._recipe.out_features:
            raise DataError(
                f"y: expected {self._recipe.out_features} columns as before, got {targets.shape[1]}."
            )
        self._one_dimensional = y.ndim == 1
        return targets, targets.shape[1]

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Go through some samples once; the optimizer goes on, too. Arguments as in :meth:`fit`."""
        return self._learn(X, y, sample_weight, again=hasattr(self, "module_"), once=True)

    def predict(self, X: Any) -> Any:
        """The values, of shape (n_samples,) or (n_samples, n_outputs) as the targets had."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self._one_dimensional else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
