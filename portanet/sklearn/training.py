"""What the estimators do with portanet: build a network, train it, ask it, and keep random numbers to themselves."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from portanet import dtypes, nn, optim
from portanet.checks import whole_number
from portanet.data import DataLoader, TensorDataset
from portanet.errors import OptionError, ShapeError
from portanet.functions.inspection import to_host
from portanet.functions.manipulation import concat
from portanet.graph import no_grad
from portanet.random import default_generator
from portanet.tensor import Tensor, asarray

__all__ = [
    "Recipe",
    "Samples",
    "StopEarly",
    "ask",
    "default_network",
    "prepare",
    "randomness",
    "to_host_arrays",
    "train",
]

ACTIVATIONS = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
ROWS_AT_ONCE = 4096
"""So that a wide network does not need the activations of all samples in memory when it is asked."""

_one_at_a_time = threading.RLock()


@contextmanager
def randomness(state: dict[str, int]) -> Iterator[None]:
    """Draw weights, shuffles and dropout masks from a state of the default generator, which then is as it was before.

    Layers draw from the generator of the process, so one block runs at a time, in whatever thread.
    """
    with _one_at_a_time:
        before = default_generator.get_state()
        default_generator.set_state(state)
        try:
            yield
        finally:
            default_generator.set_state(before)


class Samples(NamedTuple):
    """Inputs (n, features), targets, and weights (n,) whose mean is 1, or None."""

    inputs: Tensor
    targets: Tensor
    weights: Tensor | None


class StopEarly(NamedTuple):
    """When to stop: once the loss on held-out samples has not fallen by ``tol`` for ``patience`` epochs."""

    held_out: Samples
    patience: int
    tol: float


def default_network(
    in_features: int,
    out_features: int,
    hidden: Sequence[int] | int,
    activation: str | Callable[[], nn.Module],
) -> nn.Module:
    """Linear layers with an activation between them.

    Raises
    ------
    OptionError
        If a size is no whole number of at least 1, or the activation is not known.
    """
    sizes = list(hidden) if isinstance(hidden, Sequence) else [hidden]
    sizes = [whole_number(f"hidden_layer_sizes[{i}]", size, low=1) for i, size in enumerate(sizes)]
    make = ACTIVATIONS.get(activation) if isinstance(activation, str) else activation
    if not callable(make):
        raise OptionError(
            f"activation: expected one of {', '.join(map(repr, ACTIVATIONS))}, or a class such as nn.ReLU, got "
            f"{activation!r}."
        )
    layers: list[nn.Module] = []
    for before, after in zip([in_features, *sizes[:-1]], sizes):
        layers += [nn.Linear(before, after), make()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1] if sizes else in_features, out_features))


class Recipe(NamedTuple):
    """What a network was built from, so that it can be built again whatever the parameters are by then."""

    in_features: int
    out_features: int
    hidden_layer_sizes: Sequence[int] | int
    activation: str | Callable[[], nn.Module]
    module: Callable[[int, int], nn.Module] | None
    optimizer: str | type[optim.Optimizer]
    optimizer_options: dict[str, Any] | None
    dtype: str

    def make_module(self) -> nn.Module:
        """A network with fresh weights."""
        return self._made().to(dtype=getattr(dtypes, self.dtype))

    def _made(self) -> nn.Module:
        if self.module is None:
            return default_network(
                self.in_features, self.out_features, self.hidden_layer_sizes, self.activation
            )
        made = self.module(self.in_features, self.out_features)
        if not isinstance(made, nn.Module):
            raise TypeError(
                f"module: expected a function that returns an nn.Module, it returned a {type(made).__name__}."
            )
        return made

    def make_optimizer(self, module: nn.Module, lr: float) -> optim.Optimizer:
        """The optimizer of a module's parameters.

        Raises
        ------
        OptionError
            If there is no such optimizer, or it cannot be used here.
        """
        chosen = self.optimizer
        kind = getattr(optim, chosen, None) if isinstance(chosen, str) and chosen in optim.__all__ else chosen
        if not isinstance(kind, type) or not issubclass(kind, optim.Optimizer) or kind is optim.Optimizer:
            raise OptionError(
                f"optimizer: expected a class of portanet.optim or its name, such as 'AdamW', got {chosen!r}."
            )
        if kind.__name__ == "LBFGS":
            raise OptionError("optimizer: LBFGS asks for the loss several times a step. Choose 'AdamW'.")
        return kind(module.parameters(), lr=lr, **(self.optimizer_options or {}))  # type: ignore[call-arg]


def train(
    module: nn.Module,
    loss: Callable[..., Tensor],
    optimizer: optim.Optimizer,
    samples: Samples,
    *,
    epochs: int,
    batch_size: int,
    stop: StopEarly | None = None,
    report: Callable[[float, float | None], None] = lambda loss, held_out: None,
) -> None:
    """Train a module in place; with ``stop`` it ends with its weights of the best epoch.

    Parameters
    ----------
    module
        Gives outputs of shape (n, outputs) for inputs of shape (n, features).
    loss
        Of outputs, targets and ``reduction``, as in ``portanet.nn.functional``.
    optimizer
        Of the module's parameters.
    samples
        What to train on, in a new random order each epoch.
    epochs, batch_size
        How often the samples are gone through, and how many make an update.
    stop
        When to stop before.
    report
        Called after each epoch with its mean loss and with the loss on the held-out samples.

    Raises
    ------
    OptionError
        If the loss becomes infinite or not a number.
    """
    loader = DataLoader(
        TensorDataset(*[part for part in samples if part is not None]), batch_size=batch_size, shuffle=True
    )
    best, best_state, waited = math.inf, None, 0
    for epoch in range(1, epochs + 1):
        module.train()
        total: Any = 0.0
        for inputs, targets, *weights in loader:
            value = mean_loss(loss, module(inputs), Samples(inputs, targets, weights[0] if weights else None))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total = total + value.detach() * len(targets)
        mean = float(total.item()) / len(samples.targets)  # values are read once an epoch
        held_out = None if stop is None else held_out_loss(module, loss, stop.held_out)
        if not math.isfinite(mean) or (held_out is not None and not math.isfinite(held_out)):
            raise OptionError(
                f"lr: training diverged, the loss of epoch {epoch} is {mean}. Choose a smaller lr, or scale the "
                "features, for example with sklearn.preprocessing.StandardScaler."
            )
        report(mean, held_out)
        if stop is None or held_out is None:
            continue
        waited = 0 if held_out < best - stop.tol else waited + 1
        if held_out < best:
            best = held_out
            best_state = {name: value.clone() for name, value in module.state_dict().items()}
        if waited >= stop.patience:
            break
    if best_state is not None:
        module.load_state_dict(best_state)


def mean_loss(loss: Callable[..., Tensor], outputs: Tensor, samples: Samples) -> Tensor:
    """The mean of the samples' weighted losses."""
    if samples.weights is None:
        return loss(outputs, samples.targets, reduction="mean")
    each = loss(outputs, samples.targets, reduction="none")
    if len(each.shape) > 1:  # several outputs of a regression
        each = each.mean(axis=1)
    weighted: Tensor = (each * samples.weights).mean()
    return weighted


def held_out_loss(module: nn.Module, loss: Callable[..., Tensor], samples: Samples) -> float:
    """The loss on samples that are not trained on."""
    outputs = concat(answers(module, samples.inputs))
    return float(mean_loss(loss, outputs, samples).item())  # type: ignore[arg-type]


def answers(module: nn.Module, inputs: Any) -> list[Tensor]:
    """What the module says in evaluation mode, some rows after the other."""
    module.eval()
    with no_grad():
        return [
            module(asarray(inputs[start : start + ROWS_AT_ONCE]))
            for start in range(0, len(inputs), ROWS_AT_ONCE)
        ]


def ask(module: nn.Module, inputs: Any) -> Any:
    """The module's outputs for host inputs of shape (n, features), as a host array."""
    return to_host(concat(answers(module, inputs)))


def prepare(module: nn.Module, inputs: Tensor, out_features: int) -> nn.Module:
    """The module, after a trial on a few samples, in which lazy parameters find their shapes.

    Raises
    ------
    ShapeError
        If its outputs have another shape than (n, out_features).
    """
    few = inputs[:2]
    with no_grad():
        outputs = module.eval()(few)
    if outputs.shape != (len(few), out_features):
        raise ShapeError(
            f"module: expected outputs of shape (n, {out_features}) for inputs of shape (n, {inputs.shape[1]}), got "
            f"{outputs.shape} for {few.shape}. The factory is called with the numbers of features and of outputs."
        )
    return module


def to_host_arrays(state: Any) -> Any:
    """A state dict with host copies in place of its Tensors, at any depth."""
    if isinstance(state, Tensor):
        return to_host(state).copy()
    if isinstance(state, dict):
        return {name: to_host_arrays(value) for name, value in state.items()}
    return [to_host_arrays(part) for part in state] if isinstance(state, list) else state
