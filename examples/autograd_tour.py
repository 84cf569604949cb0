"""A short tour of automatic differentiation, on functions whose derivatives you know by heart.

    python examples/autograd_tour.py
    python examples/autograd_tour.py --backend jax

Nothing is learnt here: the tour shows what ``backward`` and ``grad`` compute, when gradients add up, and how to
differentiate twice. Two pictures go to the output folder: x³ with its derivatives, and a walk down a slope.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import read_options
from matplotlib.figure import Figure
from tqdm import tqdm

import portanet as pn
from portanet import plot


def gradients_add_up() -> list[float]:
    """Differentiate x³ at 5 three times: 75, then 150 because nobody cleared it, then 75 again."""
    x = pn.Tensor(5.0, requires_grad=True)
    y = x**3

    # The derivative of x³ is 3x², so 75 at x = 5. retain_graph keeps what a second pass over the same y needs.
    y.backward(retain_graph=True)
    first = x.grad.item()

    # backward adds to x.grad. That is what a sum of losses needs, and why training calls zero_grad() before it.
    y.backward(retain_graph=True)
    second = x.grad.item()

    x.grad = None
    y.backward()
    third = x.grad.item()

    print(f"x³ at 5: the gradient is {first:g}, after a second pass {second:g}, after clearing it {third:g}")
    return [first, second, third]


def reciprocal() -> float:
    """Differentiate 1/x at 2."""
    x = pn.Tensor(2.0, requires_grad=True)
    (1 / x).backward()
    print(f"1/x at 2: the gradient is {x.grad.item():g}")
    return x.grad.item()


def derivative_of_a_derivative() -> float:
    """Differentiate x³ at 5 twice: 6x, so 30."""
    x = pn.Tensor(5.0, requires_grad=True)
    # grad returns a gradient and leaves x.grad alone; with create_graph it can be differentiated like anything else.
    (slope,) = pn.grad(x**3, x, create_graph=True)
    (curvature,) = pn.grad(slope, x)
    print(f"x³ at 5: the second derivative is {curvature.item():g}")
    return curvature.item()


def walk_downhill(steps: int) -> tuple[list[float], list[float]]:
    """Follow the slope of x + 1/x from x = 3 towards its lowest point, 2 at x = 1."""
    x = pn.Tensor(3.0, requires_grad=True)
    places, heights = [], []
    for _ in tqdm(range(steps), desc="walking downhill", unit="step"):
        height = x + 1 / x
        places.append(x.item())
        heights.append(height.item())
        (slope,) = pn.grad(height, x)
        # The step itself is no part of the function, so it is not recorded.
        with pn.no_grad():
            x -= 0.2 * slope
    print(f"x + 1/x after {steps} steps downhill: lowest at x = {x.item():.4f}")
    return places, heights


def draw_derivatives(folder: Path) -> None:
    """Draw x³ and its first two derivatives, which are computed for all places at once."""
    x = pn.linspace(-6, 6, 121)
    x.requires_grad = True
    cube = x**3
    # Each place depends on its own x alone, so the gradient of the sum holds the derivative at every place.
    (first,) = pn.grad(cube.sum(), x, create_graph=True)
    (second,) = pn.grad(first.sum(), x)

    ax = Figure(figsize=(6.4, 4.4), layout="constrained").add_subplot()
    curves = (
        (cube, "x³", "-"),
        (first, "first derivative, 3x²", "--"),
        (second, "second derivative, 6x", "-."),
    )
    for colour, (values, label, dashes) in zip(plot.COLOURS, curves, strict=False):
        ax.plot(pn.to_host(x), pn.to_host(values), dashes, color=colour, linewidth=2, label=label)
    ax.plot([5, 5, 5], [125, 75, 30], "o", color="black", label="at x = 5: 125, 75, 30")
    ax.set(xlabel="x", ylabel="value", title="x³ and its derivatives, by automatic differentiation")
    ax.grid(alpha=0.25)
    ax.legend(frameon=False)
    print(f"picture: {plot.save(ax, folder / 'derivatives.png')}")


def draw_walk(places: Sequence[float], heights: Sequence[float], folder: Path) -> None:
    """Draw the walk on the curve that it went down."""
    x = pn.linspace(0.4, 3.2, 100)
    ax = Figure(figsize=(6.4, 4.4), layout="constrained").add_subplot()
    ax.plot(pn.to_host(x), pn.to_host(x + 1 / x), color=plot.COLOURS[0], linewidth=2, label="x + 1/x")
    ax.plot(places, heights, "o", color=plot.COLOURS[1], markeredgecolor="black", label="steps downhill")
    ax.plot(1, 2, "*", color="black", markersize=16, zorder=1, label="lowest point, 2 at x = 1")
    ax.set(xlabel="x", ylabel="x + 1/x", title=f"{len(places)} steps of gradient descent")
    ax.grid(alpha=0.25)
    ax.legend(frameon=False)
    print(f"picture: {plot.save(ax, folder / 'walk.png')}")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Take the tour; return every number on the way."""
    options = read_options(
        arguments,
        "A short tour of automatic differentiation.",
        epochs=40,
        epochs_help="steps of the walk downhill",
        output="pictures/autograd_tour",
    )
    cube = gradients_add_up()
    inverse = reciprocal()
    second = derivative_of_a_derivative()
    places, heights = walk_downhill(options.epochs)
    draw_derivatives(options.output)
    draw_walk(places, heights, options.output)
    return {"cube": cube, "reciprocal": inverse, "second derivative": second, "losses": heights}


if __name__ == "__main__":
    main()
