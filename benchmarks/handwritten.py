"""The same training steps written out by hand in NumPy, as fast as NumPy alone lets them be.

This is what portanet is measured against, so it must be good. What makes it fast, most important first:

1. No array is created in a step. Every intermediate has a buffer, made once, and every call writes into one: the
   argument after the operands is `out`, given by position because a keyword costs 40 ns more.
2. Bias and activation work in place on the product's buffer, and few passes are made over anything.
3. All parameters are views of one flat buffer, all gradients of another. AdamW is then thirteen calls for a whole
   small model rather than thirteen for each tensor.
4. A large flat buffer is updated piece by piece. A piece stays in the cache through all thirteen passes, so each array
   crosses the memory bus once. Ufuncs release the interpreter's lock, so Python threads can share the pieces.
5. Column sums are BLAS calls like the products: a row of ones times the matrix. `a.dot(b, out)` is the cheapest way
   to call BLAS: `np.dot` costs half as much again, `np.matmul` twice as much.
6. Scalars are arrays without dimensions. A Python float is converted, and its type looked up, in every call, which
   doubles what the call costs.
7. Views (transposes, pieces) are made once.

Only large models profit from 4, only small models from 5 to 7. Nothing changes what is computed: losses agree with
PyTorch's, and AdamW keeps the same two moments as PyTorch between steps. (Moments kept without their factors 1 - beta
would save two passes of thirteen, about a tenth, but they would not be PyTorch's moments any more.)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.workloads import ADAMW, Floats, Problem, UpdateProblem

__all__ = ["AdamW", "MLPJob", "UpdateJob"]

PIECE = 65_536
"""Elements in a piece: 256 KiB in each of the five arrays that a piece touches."""

SHARED_FROM = 16
"""Pieces from which on waking a second thread pays."""


def scalar(value: float) -> Floats:
    """Return `value` as a float32 array without dimensions, the cheapest operand next to an array."""
    return np.array(value, np.float32)


class AdamW:
    """AdamW as in PyTorch (Loshchilov and Hutter, 2019), in place over one flat buffer.

    Parameters
    ----------
    parameters, gradients
        float32 arrays of shape (n,). The parameters are updated; the gradients are only read.
    threads
        How many Python threads share the pieces of a large buffer, the calling one included.
    """

    def __init__(self, parameters: Floats, gradients: Floats, threads: int) -> None:
        self.gradient_average = np.zeros_like(parameters)
        self.square_average = np.zeros_like(parameters)
        self.pieces: list[tuple[Floats, ...]] = []
        for start in range(0, parameters.size, PIECE):
            piece = slice(start, start + PIECE)
            self.pieces.append(
                (
                    parameters[piece],
                    gradients[piece],
                    self.gradient_average[piece],
                    self.square_average[piece],
                )
            )
        threads = threads if len(self.pieces) >= SHARED_FROM else 1
        self.scratch = [np.empty(min(PIECE, parameters.size), np.float32) for _ in range(threads)]
        self.pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None

        beta1, beta2 = ADAMW.betas
        self.beta1, self.one_minus_beta1 = scalar(beta1), scalar(1 - beta1)
        self.beta2, self.one_minus_beta2 = scalar(beta2), scalar(1 - beta2)
        self.decay = scalar(1 - ADAMW.lr * ADAMW.weight_decay)
        self.scale, self.eps = scalar(0), scalar(0)
        self.steps = 0

    def restart(self) -> None:
        """Forget all earlier steps."""
        self.gradient_average[...] = 0
        self.square_average[...] = 0
        self.steps = 0

    def step(self) -> None:
        """Update the parameters once."""
        self.steps += 1
        beta1, beta2 = ADAMW.betas
        # lr * (m / bias1) / (sqrt(v / bias2) + eps) = scale * m / (sqrt(v) + eps * root), so that the two bias
        # corrections cost no pass over the arrays.
        root = math.sqrt(1 - beta2**self.steps)
        self.scale.fill(ADAMW.lr * root / (1 - beta1**self.steps))
        self.eps.fill(ADAMW.eps * root)
        if self.pool is None:
            self.update(self.pieces, self.scratch[0])
            return
        # One iterator for all threads: whoever is free takes the next piece. Taking one is atomic under the lock.
        pieces = iter(self.pieces)
        helpers = [self.pool.submit(self.update, pieces, scratch) for scratch in self.scratch[1:]]
        self.update(pieces, self.scratch[0])
        for helper in helpers:
            helper.result()

    def update(
        self, pieces: Sequence[tuple[Floats, ...]] | Iterator[tuple[Floats, ...]], scratch: Floats
    ) -> None:
        """Thirteen passes over each piece: three for the average, four for the squares, six for the parameters."""
        add, subtract, multiply, divide, sqrt = np.add, np.subtract, np.multiply, np.divide, np.sqrt
        beta1, one_minus_beta1, beta2, one_minus_beta2 = (
            self.beta1, self.one_minus_beta1, self.beta2, self.one_minus_beta2,
        )  # fmt: skip
        for parameter, gradient, average, squares in pieces:
            t = scratch if parameter.size == scratch.size else scratch[: parameter.size]
            multiply(average, beta1, average)
            multiply(gradient, one_minus_beta1, t)
            add(average, t, average)
            multiply(squares, beta2, squares)
            multiply(gradient, gradient, t)
            multiply(t, one_minus_beta2, t)
            add(squares, t, squares)
            sqrt(squares, t)
            add(t, self.eps, t)
            divide(average, t, t)
            multiply(t, self.scale, t)
            multiply(parameter, self.decay, parameter)
            subtract(parameter, t, parameter)


def flat_views(shapes: Sequence[tuple[int, ...]]) -> tuple[Floats, list[Floats]]:
    """Make one flat buffer, and a view of it for each shape."""
    sizes = [math.prod(shape) for shape in shapes]
    flat = np.zeros(sum(sizes), np.float32)
    ends = list(itertools.accumulate(sizes))
    views = [
        flat[end - size : end].reshape(shape) for end, size, shape in zip(ends, sizes, shapes, strict=True)
    ]
    return flat, views


class BCEWithLogits:
    """The mean of softplus(z) - z * target over logits `z` of shape (batch, 1), and its gradient."""

    def __init__(self, logits: Floats, targets: NDArray[Any]) -> None:
        self.logits, self.targets = logits, targets
        self.softplus, self.terms = np.empty_like(logits), np.empty_like(logits)
        self.mean_weights = np.full(len(logits), 1 / len(logits), np.float32)
        self.zero, self.one_over_batch = scalar(0), scalar(1 / len(logits))
        self.value = np.zeros(1, np.float32)

    def forward_and_backward(self, gradient: Floats) -> None:
        """Fill `value`, of shape (1,), and write the gradient of the logits into `gradient`."""
        logits, targets, softplus, terms = self.logits, self.targets, self.softplus, self.terms
        np.logaddexp(self.zero, logits, softplus)
        np.multiply(logits, targets, terms)
        np.subtract(softplus, terms, terms)
        self.mean_weights.dot(terms, self.value)
        # sigmoid(z) = exp(z - softplus(z)): it cannot overflow, because softplus(z) > z.
        np.subtract(logits, softplus, gradient)
        np.exp(gradient, gradient)
        np.subtract(gradient, targets, gradient)
        np.multiply(gradient, self.one_over_batch, gradient)


class CrossEntropy:
    """The mean of logsumexp(z) - z[target] over logits `z` of shape (batch, classes), and its gradient."""

    def __init__(self, logits: Floats, targets: NDArray[Any]) -> None:
        batch, classes = logits.shape
        self.logits = logits
        self.places = np.arange(batch) * classes + targets
        self.largest, self.sums = np.empty((batch, 1), np.float32), np.empty((batch, 1), np.float32)
        self.chosen, self.logs = np.empty(batch, np.float32), np.empty((batch, 1), np.float32)
        self.ones = np.ones((classes, 1), np.float32)
        self.mean_weights = np.full(batch, 1 / batch, np.float32)
        self.batch, self.one_over_batch = scalar(batch), scalar(1 / batch)
        self.value = np.zeros(1, np.float32)

    def forward_and_backward(self, gradient: Floats) -> None:
        """Fill `value`, of shape (1,), and write the gradient of the logits into `gradient`."""
        logits, sums = self.logits, self.sums
        np.maximum.reduce(logits, axis=1, out=self.largest, keepdims=True)
        np.subtract(logits, self.largest, logits)
        logits.take(self.places, None, self.chosen, "clip")
        np.exp(logits, gradient)
        gradient.dot(self.ones, sums)
        np.log(sums, self.logs)
        self.mean_weights.dot(self.logs, self.value)
        np.subtract(self.value, self.mean_weights.dot(self.chosen), self.value)
        # softmax(z) / batch, then 1 / batch less where the target is.
        np.multiply(sums, self.batch, sums)
        np.divide(gradient, sums, gradient)
        flat = gradient.reshape(-1)
        flat[self.places] -= self.one_over_batch


class Layer:
    """`activation(inputs @ weight.T + bias)` and its gradients, for arrays of shape (batch, features).

    Parameters
    ----------
    inputs
        Where the layer reads, shape (batch, in_features): the batch itself, or the outputs of the layer before.
    weight, bias, weight_gradient, bias_gradient
        Views of the flat buffers, shapes (out_features, in_features) and (out_features,).
    activation
        "tanh", "relu", or "" for none.
    """

    def __init__(
        self, inputs: Floats, weight: Floats, bias: Floats, weight_gradient: Floats, bias_gradient: Floats,
        activation: str,
    ) -> None:  # fmt: skip
        self.inputs, self.weight, self.bias, self.activation = inputs, weight, bias, activation
        self.weight_gradient, self.bias_gradient = weight_gradient, bias_gradient
        self.outputs = np.empty((len(inputs), len(bias)), np.float32)
        self.cotangent = np.empty_like(self.outputs)
        self.weight_transposed, self.cotangent_transposed = weight.T, self.cotangent.T
        self.ones, self.zero = np.ones(len(inputs), np.float32), scalar(0)

    def forward(self) -> None:
        """Fill `outputs`."""
        outputs = self.outputs
        self.inputs.dot(self.weight_transposed, outputs)
        np.add(outputs, self.bias, outputs)
        if self.activation == "tanh":
            np.tanh(outputs, outputs)
        elif self.activation == "relu":
            np.maximum(outputs, self.zero, out=outputs)

    def backward(self, inputs_cotangent: Floats | None) -> None:
        """Turn `cotangent`, that of the outputs, into the gradients, and into the layer before's cotangent."""
        outputs, cotangent = self.outputs, self.cotangent
        # The layer after has read the outputs already, so they may be overwritten.
        if self.activation == "tanh":
            np.multiply(outputs, outputs, outputs)
            np.multiply(outputs, cotangent, outputs)
            np.subtract(cotangent, outputs, cotangent)  # cotangent * (1 - tanh**2)
        elif self.activation == "relu":
            np.sign(outputs, outputs)  # 0 or 1, without a mask of another dtype
            np.multiply(cotangent, outputs, cotangent)
        self.cotangent_transposed.dot(self.inputs, self.weight_gradient)
        self.ones.dot(cotangent, self.bias_gradient)
        if inputs_cotangent is not None:
            cotangent.dot(self.weight, inputs_cotangent)


class MLPJob:
    """Linear, activation, Linear, ..., Linear, loss, all gradients and AdamW, in buffers that are made once."""

    def __init__(self, problem: Problem, activation: str, threads: int) -> None:
        self.problem = problem
        shapes = [array.shape for pair in zip(problem.weights, problem.biases, strict=True) for array in pair]
        self.flat_parameters, self.views = flat_views(shapes)
        flat_gradients, gradients = flat_views(shapes)
        self.optimizer = AdamW(self.flat_parameters, flat_gradients, threads)

        self.layers: list[Layer] = []
        inputs = problem.inputs
        count = len(problem.weights)
        for i in range(count):
            weight, bias = self.views[2 * i : 2 * i + 2]
            weight_gradient, bias_gradient = gradients[2 * i : 2 * i + 2]
            layer = Layer(
                inputs, weight, bias, weight_gradient, bias_gradient, activation if i < count - 1 else ""
            )
            self.layers.append(layer)
            inputs = layer.outputs
        before = [None, *(layer.cotangent for layer in self.layers[:-1])]
        self.backward_order = list(zip(self.layers, before, strict=True))[::-1]

        if problem.targets.dtype == np.float32:
            self.criterion: BCEWithLogits | CrossEntropy = BCEWithLogits(inputs, problem.targets)
        else:
            self.criterion = CrossEntropy(inputs, problem.targets)
        self.restart()

    def restart(self) -> None:
        """Go back to the first weights, with a fresh optimizer."""
        first = [
            array for pair in zip(self.problem.weights, self.problem.biases, strict=True) for array in pair
        ]
        for view, array in zip(self.views, first, strict=True):
            view[...] = array
        self.optimizer.restart()

    def step(self) -> None:
        """One training step."""
        for layer in self.layers:
            layer.forward()
        self.criterion.forward_and_backward(self.layers[-1].cotangent)
        for layer, cotangent_before in self.backward_order:
            layer.backward(cotangent_before)
        self.optimizer.step()

    def loss(self) -> float:
        """Return the loss of the latest step."""
        return float(self.criterion.value[0])

    def parameters(self) -> list[Floats]:
        """Return the parameters: weight, bias, weight, bias, ..."""
        return self.views


class UpdateJob:
    """AdamW alone, over one flat buffer."""

    def __init__(self, problem: UpdateProblem, threads: int) -> None:
        self.problem = problem
        shapes = [array.shape for array in problem.parameters]
        flat_parameters, self.views = flat_views(shapes)
        flat_gradients, self.gradients = flat_views(shapes)
        self.optimizer = AdamW(flat_parameters, flat_gradients, threads)
        self.restart()

    def restart(self) -> None:
        """Go back to the first parameters and gradients, with a fresh optimizer."""
        for view, array in zip(self.views, self.problem.parameters, strict=True):
            view[...] = array
        self.scale_gradients(1.0)
        self.optimizer.restart()

    def scale_gradients(self, factor: float) -> None:
        """Set the gradients to `factor` times the given ones."""
        for view, array in zip(self.gradients, self.problem.gradients, strict=True):
            np.multiply(array, np.float32(factor), view)

    def step(self) -> None:
        """One update."""
        self.optimizer.step()

    def parameters(self) -> list[Floats]:
        """Return the parameters."""
        return self.views
