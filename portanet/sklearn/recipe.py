"""What a network and its optimizer are built from, so that both can be built again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from portanet import dtypes, nn, optim
from portanet.checks import whole_number
from portanet.errors import OptionError, ShapeError
from portanet.tensor import Tensor
from portanet.train.evaluation import in_evaluation_mode

__all__ = ["Recipe"]

ACTIVATIONS = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class Recipe(NamedTuple):
    """An estimator's parameters as they were when its network was built; later they may be set to something else."""

    in_features: int
    out_features: int
    hidden_layer_sizes: Iterable[int] | int
    activation: str | Callable[[], nn.Module]
    module: Callable[[int, int], nn.Module] | None
    optimizer: str | type[optim.Optimizer]
    optimizer_options: Mapping[str, Any] | None
    lr: float
    dtype: str

    def make_module(self, example: Tensor | None = None) -> nn.Module:
        """A network with fresh weights.

        Parameters
        ----------
        example : Tensor, optional
            Inputs of shape (n, in_features), on which it is tried: lazy parameters find their shapes.

        Raises
        ------
        OptionError, TypeError
            If a parameter is not what it should be.
        ShapeError
            If the outputs for the example have another shape than (n, out_features).
        """
        make = self._default_network if self.module is None else self._own_network
        module = make().to(dtype=getattr(dtypes, self.dtype))
        if example is not None:
            with in_evaluation_mode(module):
                outputs = module(example)
            found = outputs.shape if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
            if found != (len(example), self.out_features):
                raise ShapeError(
                    f"module: expected outputs of shape (n, {self.out_features}) for inputs of shape "
                    f"(n, {self.in_features}), got {found} for {example.shape}. The factory is called with the numbers "
                    "of features and of outputs."
                )
        return module

    def _default_network(self) -> nn.Module:
        """Linear layers with an activation between them."""
        hidden = self.hidden_layer_sizes
        sizes = [
            whole_number(f"hidden_layer_sizes[{place}]", size, low=1)
            for place, size in enumerate(hidden if isinstance(hidden, Iterable) else [hidden])
        ]
        chosen = self.activation
        make = ACTIVATIONS.get(chosen) if isinstance(chosen, str) else chosen
        if not callable(make) or isinstance(make, nn.Module):
            raise OptionError(
                f"activation: expected one of {', '.join(map(repr, ACTIVATIONS))}, or a class such as nn.ReLU, got "
                f"{chosen!r}."
            )
        layers: list[nn.Module] = []
        features = self.in_features
        for size in sizes:
            layers += [nn.Linear(features, size), make()]
            features = size
        return nn.Sequential(*layers, nn.Linear(features, self.out_features))

    def _own_network(self) -> nn.Module:
        make = self.module
        if not callable(make) or isinstance(make, nn.Module):
            raise TypeError(
                "module: expected a function or a class that makes a network, called with the numbers of features and "
                f"of outputs, got {make!r}. Every fit begins with a fresh one."
            )
        made = make(self.in_features, self.out_features)
        if not isinstance(made, nn.Module):
            raise TypeError(
                f"module: expected a function that returns an nn.Module, it returned a {type(made).__name__}."
            )
        return made

    def make_optimizer(self, module: nn.Module) -> optim.Optimizer:
        """The optimizer of a module's parameters.

        Raises
        ------
        OptionError
            If there is no such optimizer, it cannot be used here, or an option is out of its domain.
        """
        chosen, options = self.optimizer, self.optimizer_options or {}
        kind = getattr(optim, chosen, None) if isinstance(chosen, str) and chosen in optim.__all__ else chosen
        if not isinstance(kind, type) or not issubclass(kind, optim.Optimizer) or kind is optim.Optimizer:
            raise OptionError(
                f"optimizer: expected a class of portanet.optim or its name, such as 'AdamW', got {chosen!r}."
            )
        if kind.needs_closure:
            raise OptionError(
                f"optimizer: {kind.__name__} asks for the loss several times a step. Choose 'AdamW'."
            )
        if not isinstance(options, Mapping) or "lr" in options:
            raise OptionError(
                "optimizer_options: expected a dict of options beside lr, which is a parameter of the estimator, got "
                f"{options!r}."
            )
        return kind(module.parameters(), lr=self.lr, **options)  # type: ignore[call-arg]
