"""What both estimators share: parameters, training by ``portanet.train.fit``, pickling."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from portanet import nn, optim
from portanet.backend import use_backend
from portanet.checks import check_number, whole_number
from portanet.data import DataLoader, TensorDataset
from portanet.errors import DataError, OptionError
from portanet.functions.inspection import to_host
from portanet.random import Generator, stand_in
from portanet.sklearn.inputs import checked_weights, refuse_what_is_no_number
from portanet.sklearn.recipe import Recipe
from portanet.tensor import Tensor, asarray
from portanet.train.callbacks import Callback, EarlyStopping
from portanet.train.evaluation import predict
from portanet.train.loop import fit
from portanet.train.run import Run
from portanet.trees import flatten

__all__ = ["Net"]

ROWS_AT_ONCE = 4096
"""So that a wide network does not need the activations of all samples in memory when it is asked."""


class Net(BaseEstimator):  # type: ignore[misc]
    """What both estimators share; a subclass says what its targets are, and its loss."""

    _several_outputs = False
    _random_state: dict[str, int]
    _recipe: Recipe
    _optimizer: optim.Optimizer
    module_: nn.Module

    def __init__(
        self,
        hidden_layer_sizes: Iterable[int] | int = (100,),
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
            If data or parameters are not what is expected, or training diverges. A network from an earlier call, which
            this one was to replace or has spoilt, is then gone.
        """
        again = bool(self.warm_start) and hasattr(self, "module_")
        return self._learn(X, y, sample_weight, again=again, once=False)

    def _learn(
        self, X: Any, y: Any, sample_weight: Any, *, again: bool, once: bool, classes: Any = None
    ) -> Any:
        """Train a new network, or the one that is there ``again``: for all epochs or, with its optimizer, ``once``."""
        epochs = 1 if once else whole_number("epochs", self.epochs, low=1)
        batch_size = whole_number("batch_size", self.batch_size, low=1)
        stopping, stop_early = self._stopping(), self.early_stopping and not once
        if not again:
            self._forget()
        X, y = self._validated(
            X,
            y,
            dtype=self._recipe.dtype if again else self._admitted_dtypes(),
            reset=not again,
            multi_output=self._several_outputs,
            y_numeric=self._several_outputs,
        )
        targets, outputs = self._encode(y, X.dtype, again=again, classes=classes)
        parts = [X, targets] if sample_weight is None else [X, targets, checked_weights(sample_weight, X)]
        source = check_random_state(self.random_state)
        # Also drawn to go on, so that the same samples are held out again.
        first_state = {"seed": int(source.randint(2**31 - 1)), "draws": 0}
        if stop_early:
            parts, held_out = self._hold_out(parts, source)
        with self._place(again), _drawing(self._random_state if again else first_state) as generator:
            if not (again and once):
                self._build(X, outputs, again=again)
            samples = _Samples(*map(asarray, parts))
            rest = len(samples) % batch_size if len(samples) > batch_size else 0
            validation = None
            if stop_early:
                validation = DataLoader(_Samples(*map(asarray, held_out)), batch_size=ROWS_AT_ONCE)
            module = self.module_
            try:
                fit(
                    module,
                    self._mean_loss,
                    self._optimizer,
                    DataLoader(samples, batch_size=batch_size, shuffle=True, drop_last=rest == 1),
                    epochs=epochs,
                    validation=validation,
                    callbacks=[_Curves(self), *([stopping] if stop_early else [])],
                    save_interrupted=False,
                )
            except Exception:
                self._forget()
                raise
            finally:  # after Ctrl-C it can be asked, pickled and trained on
                self._random_state = generator.get_state()
                self.n_iter_ = len(self.loss_curve_)
                module.eval()
        return self

    def _build(self, X: Any, outputs: int, *, again: bool) -> None:
        """Make a network, unless it is to go on ``again``, and its optimizer."""
        if again:
            recipe, module = self._recipe, self.module_
        else:
            recipe = Recipe(
                *(self.n_features_in_, outputs, self.hidden_layer_sizes, self.activation, self.module),
                *(self.optimizer, self.optimizer_options, self.lr, X.dtype.name),
            )
            module = recipe.make_module(example=asarray(X[:2]))
            self.loss_curve_: list[float] = []
            self.validation_loss_curve_: list[float] = []
        recipe = recipe._replace(
            optimizer=self.optimizer, optimizer_options=self.optimizer_options, lr=self.lr
        )
        self._optimizer = recipe.make_optimizer(module)
        self._recipe, self.module_ = recipe, module

    def _forget(self) -> None:
        """Be as before the first fit, so that no network is asked about data that it was not trained on."""
        for name in {"module_", "_optimizer"} & set(vars(self)):
            delattr(self, name)

    def _validated(self, *arrays: Any, **options: Any) -> Any:
        """What scikit-learn makes of X, and of y; its errors say of no column that it holds something else."""
        try:
            return validate_data(self, *arrays, **options)
        except (TypeError, ValueError) as error:
            columns = getattr(arrays[0], "columns", None)
            if columns is None:
                about_values = isinstance(error, ValueError)
            else:  # or about their names
                about_values = list(getattr(self, "feature_names_in_", columns)) == list(columns)
            if about_values:
                for name, array in zip("Xy" if self._several_outputs else "X", arrays):
                    refuse_what_is_no_number(name, array, error)
            raise

    def _admitted_dtypes(self) -> list[str]:
        if self.dtype not in (None, "float32", "float64"):
            raise OptionError(f"dtype: expected 'float32', 'float64' or None, got {self.dtype!r}.")
        return ["float64", "float32"] if self.dtype is None else [self.dtype]

    def _place(self, again: bool = True) -> Any:
        """Use the backend where the network is or, before there is one, the one that the parameter names."""
        if again:
            return use_backend(str(next(self.module_.parameters()).device))
        return nullcontext() if self.backend is None else use_backend(self.backend)

    def _mean_loss(self, outputs: Tensor, target: tuple[Tensor, ...]) -> Tensor:
        """The mean of the losses of a batch, each times the weight of its sample."""
        targets, *weights = target
        if not weights:
            return self._loss(outputs, targets, reduction="mean")
        each = self._loss(outputs, targets, reduction="none")
        if len(each.shape) > 1:  # several outputs of a regression
            each = each.mean(axis=1)
        weighted: Tensor = (each * weights[0]).mean()
        return weighted

    def _stopping(self) -> EarlyStopping:
        patience = whole_number("patience", self.patience, low=1)
        check_number("tol", self.tol, low=0.0)
        check_number("validation_fraction", self.validation_fraction, low=0.0, high=1.0, open_end=True)
        return EarlyStopping("validation_loss", patience=patience - 1, min_delta=self.tol, restore_best=True)

    def _hold_out(self, parts: list[Any], source: Any) -> tuple[list[Any], list[Any]]:
        """What to train on, and a fraction to stop by, in which each class has its share."""
        try:
            split = train_test_split(
                *parts,
                test_size=self.validation_fraction,
                random_state=source,
                stratify=None if self._several_outputs else parts[1],
            )
        except ValueError as error:
            raise DataError(
                f"validation_fraction: {self.validation_fraction} of {len(parts[0])} samples cannot be held out for "
                f"early_stopping: {error}"
            ) from error
        return split[::2], split[1::2]

    def _outputs(self, X: Any) -> Any:
        """The network's outputs, a host array of shape (n_samples, outputs)."""
        check_is_fitted(self)
        X = self._validated(X, dtype=self._recipe.dtype, reset=False)
        with self._place():
            return to_host(predict(self.module_, X, batch_size=ROWS_AT_ONCE))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "module_")

    def __getstate__(self) -> dict[str, Any]:
        """With host arrays instead of the network and the optimizer, so that the file holds plain numbers."""
        state = dict(super().__getstate__())
        for name in ("module_", "_optimizer"):
            if name in state:
                state[name] = _on_the_host(state[name].state_dict())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the network anew, on the backend that the parameter names or the one in use, and fill it."""
        super().__setstate__(state)
        if "module_" not in state:
            return
        self._forget()
        with self._place(again=False), _drawing(state["_random_state"]):
            module = self._recipe.make_module().eval()
            module.load_state_dict(state["module_"])
            optimizer = self._recipe.make_optimizer(module)
            optimizer.load_state_dict(state["_optimizer"])
        self.module_, self._optimizer = module, optimizer


class _Curves(Callback):
    """Keeps an estimator's curves, and prints them if it is asked to."""

    def __init__(self, net: Net) -> None:
        self.net = net

    def on_epoch_end(self, run: Run) -> None:
        net, row = self.net, run.history.rows[-1]
        losses = {"loss": row["loss"]}
        if "validation_loss" in row:
            losses["held out"] = row["validation_loss"]
        told = ", ".join(f"{name} {value:.6f}" for name, value in losses.items())
        told = f"epoch {len(net.loss_curve_) + 1}: {told}"
        if not all(map(math.isfinite, losses.values())):
            raise OptionError(
                f"lr: training diverged, {told}. Choose a smaller lr, or scale the features, for example with "
                "sklearn.preprocessing.StandardScaler."
            )
        for curve, value in zip((net.loss_curve_, net.validation_loss_curve_), losses.values()):
            curve.append(value)
        if net.verbose:
            print(told)  # noqa: T201 - it was asked for


class _Samples(TensorDataset):
    """Inputs, targets and perhaps weights; the last two go to the loss together."""

    draws = False

    def batch(self, indices: Any) -> Any:
        inputs, *target = super().batch(indices)
        return inputs, tuple(target)


@contextmanager
def _drawing(state: dict[str, int]) -> Iterator[Generator]:
    """Draw weights, shuffles and dropout masks from a generator of one's own, in this thread alone."""
    generator = Generator(0)
    generator.set_state(state)
    token = stand_in.set(generator)
    try:
        yield generator
    finally:
        stand_in.reset(token)


def _on_the_host(state: Any) -> Any:
    """A state dict with host copies in place of its Tensors."""
    leaves, rebuild = flatten(state)
    return rebuild([to_host(leaf).copy() for leaf in leaves])
