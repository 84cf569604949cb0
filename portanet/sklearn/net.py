"""What both estimators share: parameters, training, pickling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from portanet import nn, optim
from portanet.backend import use_backend
from portanet.checks import check_number, whole_number
from portanet.errors import DataError, OptionError, ShapeError
from portanet.random import default_generator
from portanet.sklearn.training import (
    Recipe,
    Samples,
    StopEarly,
    ask,
    prepare,
    randomness,
    to_host_arrays,
    train,
)
from portanet.tensor import Tensor, asarray

__all__ = ["Net"]


class Net(BaseEstimator):  # type: ignore[misc]
    """What both estimators share; a subclass says what its targets are, and its loss."""

    _several_outputs = False
    _random_state: dict[str, int]
    _recipe: Recipe
    module_: nn.Module

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] | int = (100,),
        activation: str | Callable[[], nn.Module] = "relu",
        *,
        module: Callable[[int, int], nn.Module] | None = None,
        optimizer: str | type[optim.Optimizer] = "AdamW",
        optimizer_options: dict[str, Any] | None = None,
        lr: float = 0.005,
        batch_size: int = 128,
        epochs: int = 100,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        random_state: Any = None,
        dtype: str | None = None,
        backend: str | None = None,
        verbose: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.module = module
        self.optimizer = optimizer
        self.optimizer_options = optimizer_options
        self.lr = lr
        self.batch_size = batch_size
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.dtype = dtype
        self.backend = backend
        self.verbose = verbose

    def _encode(self, y: Any, dtype: Any, *, again: bool, classes: Any) -> tuple[Any, int]:
        """The targets as numbers for the loss, and how many outputs the network needs."""
        raise NotImplementedError(f"{type(self).__name__} must define _encode().")

    def _loss(self, outputs: Any, targets: Any, reduction: str) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define _loss().")

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train the network.

        Parameters
        ----------
        X : array-like
            Shape (n_samples, n_features).
        y : array-like
            Shape (n_samples,); for a regression also (n_samples, n_outputs).
        sample_weight : array-like, optional
            How much each sample counts, shape (n_samples,).

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If data or parameters are not what is expected, or training diverges.
        """
        again = bool(self.warm_start) and hasattr(self, "module_")
        epochs = whole_number("epochs", self.epochs, low=1)
        return self._learn(X, y, sample_weight, again=again, epochs=epochs, stop_early=self.early_stopping)

    def _learn(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        again: bool,
        epochs: int | None,
        stop_early: bool = False,
        classes: Any = None,
    ) -> Any:
        """Train for some epochs or, with None, once more on other samples, when the optimizer goes on, too."""
        batch_size = whole_number("batch_size", self.batch_size, low=1)
        patience = whole_number("patience", self.patience, low=1)
        check_number("tol", self.tol, low=0.0)
        X, y = validate_data(
            self,
            X,
            y,
            dtype=self._recipe.dtype if again else self._admitted_dtypes(),
            reset=not again,
            multi_output=self._several_outputs,
            y_numeric=self._several_outputs,
        )
        targets, outputs = self._encode(y, X.dtype, again=again, classes=classes)
        parts = [X, targets] if sample_weight is None else [X, targets, _checked_weights(sample_weight, X)]
        source = check_random_state(self.random_state)
        first_state = {"seed": int(source.randint(2**31 - 1)), "draws": 0}
        with self._place(again), randomness(self._random_state if again else first_state):
            stop = None
            if stop_early:
                parts, held_out = self._hold_out(parts, source)
                stop = StopEarly(_samples(held_out), patience, self.tol)
            samples = _samples(parts)
            if again:
                recipe, module = self._recipe, self.module_
            else:
                recipe = Recipe(
                    *(self.n_features_in_, outputs, self.hidden_layer_sizes, self.activation, self.module),
                    *(self.optimizer, self.optimizer_options, X.dtype.name),
                )
                module = prepare(recipe.make_module(), samples.inputs, outputs)
            if epochs is not None or not again:
                recipe = recipe._replace(optimizer=self.optimizer, optimizer_options=self.optimizer_options)
                self._optimizer = recipe.make_optimizer(module, self.lr)
            self._recipe, self.module_ = recipe, module
            if not again:
                self.loss_curve_: list[float] = []
                self.validation_loss_curve_: list[float] = []
            try:
                train(
                    self.module_,
                    self._loss,
                    self._optimizer,
                    samples,
                    epochs=epochs or 1,
                    batch_size=batch_size,
                    stop=stop,
                    report=self._report,
                )
            finally:  # after Ctrl-C it can be asked, pickled and trained on
                self._random_state = default_generator.get_state()
                self.n_iter_ = len(self.loss_curve_)
                self.module_.eval()
        return self

    def _admitted_dtypes(self) -> list[str]:
        if self.dtype not in (None, "float32", "float64"):
            raise OptionError(f"dtype: expected 'float32', 'float64' or None, got {self.dtype!r}.")
        return ["float64", "float32"] if self.dtype is None else [self.dtype]

    def _place(self, again: bool = True) -> Any:
        """Use the backend where the network is or, before there is one, the one that the parameter names."""
        if again:
            return use_backend(str(next(self.module_.parameters()).device))
        return nullcontext() if self.backend is None else use_backend(self.backend)

    def _hold_out(self, parts: list[Any], source: Any) -> tuple[list[Any], list[Any]]:
        """What to train on, and a fraction to stop by, in which each class has its share."""
        check_number("validation_fraction", self.validation_fraction, low=0.0, high=1.0, open_end=True)
        split = train_test_split(
            *parts,
            test_size=self.validation_fraction,
            random_state=source,
            stratify=None if self._several_outputs else parts[1],
        )
        return split[::2], split[1::2]

    def _report(self, loss: float, held_out: float | None) -> None:
        self.loss_curve_.append(loss)
        told = f"epoch {len(self.loss_curve_)}: loss {loss:.6f}"
        if held_out is not None:
            self.validation_loss_curve_.append(held_out)
            told += f", held out {held_out:.6f}"
        if self.verbose:
            print(told)  # noqa: T201 - it was asked for

    def _outputs(self, X: Any) -> Any:
        """The network's outputs, a host array of shape (n_samples, outputs)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=self._recipe.dtype, reset=False)
        with self._place():
            return ask(self.module_, X)

    def __getstate__(self) -> dict[str, Any]:
        """With host arrays instead of the network and the optimizer, so that the file holds plain numbers."""
        state = dict(super().__getstate__())
        for name in ("module_", "_optimizer"):
            if name in state:
                state[name] = to_host_arrays(state[name].state_dict())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the network anew, on the backend that the parameter names or the one in use, and fill it."""
        super().__setstate__(state)
        if "module_" not in state:
            return
        del self.module_, self._optimizer
        with self._place(again=False), randomness(state["_random_state"]):
            module = self._recipe.make_module().eval()
            module.load_state_dict(state["module_"])
            optimizer = self._recipe.make_optimizer(module, self.lr)
            optimizer.load_state_dict(state["_optimizer"])
        self.module_, self._optimizer = module, optimizer


def _samples(parts: list[Any]) -> Samples:
    """Host arrays as Tensors of the backend in use."""
    tensors = [asarray(part) for part in parts]
    return Samples(tensors[0], tensors[1], tensors[2] if len(tensors) > 2 else None)


def _checked_weights(sample_weight: Any, X: Any) -> Any:
    """Weights of samples in the data type of the features, with a mean of 1."""
    weights = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
    if weights.shape != (len(X),):
        raise ShapeError(
            f"sample_weight: expected one for each sample, shape ({len(X)},), got {weights.shape}."
        )
    if weights.min() < 0 or not weights.any():
        raise DataError("sample_weight: expected weights of at least 0, not all of them zero.")
    return (weights / weights.mean()).astype(X.dtype)
