"""How large the weights or the gradients of each layer are."""

from __future__ import annotations

from math import ceil, floor, isfinite, log10
from typing import Any

from portanet.errors import DataError, OptionError
from portanet.nn.module import Module
from portanet.nn.parameter import UninitializedParameter
from portanet.plot.figure import COLOURS, host_numbers, new_axes

__all__ = ["magnitudes"]

_KINDS = ("gradients", "weights", "both")


def magnitudes(model: Module, ax: Any = None, *, of: str = "gradients", title: str | None = None) -> Any:
    """Draw the root mean square of each parameter's gradient, of its values, or both, on a logarithmic scale.

    Gradients that fall by orders of magnitude from the last layer to the first vanish; a layer whose gradient is far
    above all others may need clipping or another initialisation. A parameter without a gradient, or with nothing but
    zeros, has no bar.

    Parameters
    ----------
    model : Module
        After ``backward()``, if gradients are wanted.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: new axes in a figure of their own.
    of : str, default "gradients"
        ``"gradients"``, ``"weights"`` or ``"both"``.
    title : str, optional
        What stands above.

    Returns
    -------
    matplotlib.axes.Axes
        Its ``figure`` is the whole picture; :func:`portanet.plot.save` writes it.

    Raises
    ------
    OptionError
        If ``of`` is something else.
    DataError
        If no parameter has a gradient, or a number is not finite.

    Examples
    --------
    >>> model = pn.nn.Sequential(pn.nn.Linear(3, 4), pn.nn.Tanh(), pn.nn.Linear(4, 1))
    >>> model(pn.ones((2, 3))).sum().backward()
    >>> axes = pn.plot.magnitudes(model)
    >>> [label.get_text() for label in axes.get_yticklabels()]
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """
    if of not in _KINDS:
        raise OptionError(f"of: expected one of {', '.join(_KINDS)}, got {of!r}.")
    kinds = [kind for kind in ("weights", "gradients") if of in (kind, "both")]
    parameters = [
        (name, parameter)
        for name, parameter in model.named_parameters()
        if not isinstance(parameter, UninitializedParameter)
    ]
    sizes = {kind: [_size(name, parameter, kind) for name, parameter in parameters] for kind in kinds}
    if not any(sizes[kinds[-1]]):
        missing = (
            "gradient that is not 0; call backward() first" if of != "weights" else "weight that is not 0"
        )
        raise DataError(f"model: no parameter has a {missing}.")
    if ax is None:
        ax = new_axes((6.4, max(2.2, 0.26 * len(parameters) * len(kinds) ** 0.5 + 1.2)))
    thickness = 0.8 / len(kinds)
    for k, kind in enumerate(kinds):
        middle = (k - (len(kinds) - 1) / 2) * thickness
        places = [place + middle for place in range(len(parameters))]
        colour = COLOURS[("weights", "gradients").index(kind)]
        ax.barh(
            places, sizes[kind], height=thickness, color=colour, edgecolor="black", linewidth=0.5, label=kind
        )
    ax.set_yticks(range(len(parameters)), [name for name, _ in parameters])
    ax.set_ylim(len(parameters) - 0.4, -0.6)  # the first parameter on top
    drawn = [size for kind in kinds for size in sizes[kind] if size]
    # Whole decades, as bars have no length but that from the left edge.
    decades = floor(log10(0.9 * min(drawn))), ceil(log10(1.1 * max(drawn)))
    ax.set(xscale="log", xlim=(10.0 ** decades[0], 10.0 ** decades[1]))
    ax.set(xlabel=f"root mean square of {' and '.join(kinds)}", ylabel="parameter")
    if title:
        ax.set_title(title)
    ax.grid(axis="x", alpha=0.25)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    if len(kinds) > 1:
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def _size(name: str, parameter: Any, kind: str) -> float:
    """The root mean square; 0 where there is nothing."""
    tensor = parameter if kind == "weights" else parameter.grad
    if tensor is None or not tensor.size:
        return 0.0
    values = host_numbers(name, tensor)
    size: float = float((values * values).mean()) ** 0.5
    if not isfinite(size):
        raise DataError(
            f"{name}: its {kind} are not finite. portanet.detect_anomaly() finds out where that began."
        )
    return size
