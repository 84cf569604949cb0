"""Hand-written NumPy as most people would write it: preallocated buffers, `out=` everywhere, and no other trick.

A second yardstick beside `handwritten.py`, for small models only, where what a call costs is all that counts. Here
scalars are Python floats, products go through `np.dot`, column sums through `np.add.reduce`, and the formulas are the
usual ones. AdamW already runs over one flat buffer. What lies between the two files is what knowing NumPy's calls buys.
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.handwritten import flat_views
from benchmarks.workloads import ADAMW, Floats, Problem

__all__ = ["MLPJob"]


class MLPJob:
    """Linear, tanh, Linear, tanh, ..., Linear, binary cross entropy with logits, all gradients and AdamW."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        shapes = [array.shape for pair in zip(problem.weights, problem.biases, strict=True) for array in pair]
        self.flat, self.views = flat_views(shapes)
        self.flat_gradient, gradients = flat_views(shapes)
        self.weights, self.biases = self.views[0::2], self.views[1::2]
        self.weight_gradients, self.bias_gradients = gradients[0::2], gradients[1::2]
        self.outputs = [np.empty((len(problem.inputs), len(bias)), np.float32) for bias in self.biases]
        self.cotangents = [np.empty_like(output) for output in self.outputs]
        self.slopes = [np.empty_like(output) for output in self.outputs]
        self.terms = np.empty_like(problem.targets)
        self.average, self.squares, self.scratch = (np.empty_like(self.flat) for _ in range(3))
        self.restart()

    def restart(self) -> None:
        """Go back to the first weights, with a fresh optimizer."""
        for mine, first in zip(
            self.weights + self.biases, self.problem.weights + self.problem.biases, strict=True
        ):
            mine[...] = first
        self.average[...] = 0
        self.squares[...] = 0
        self.steps = 0

    def step(self) -> None:
        """One training step."""
        last = len(self.weights) - 1
        inputs = [self.problem.inputs, *self.outputs[:-1]]
        for i, output in enumerate(self.outputs):
            np.dot(inputs[i], self.weights[i].T, out=output)
            np.add(output, self.biases[i], out=output)
            if i < last:
                np.tanh(output, out=output)
        self.loss_and_its_gradient(self.outputs[last], self.cotangents[last])
        for i in range(last, -1, -1):
            cotangent = self.cotangents[i]
            if i < last:
                slope = self.slopes[i]
                np.multiply(self.outputs[i], self.outputs[i], out=slope)
                np.subtract(1, slope, out=slope)
                np.multiply(cotangent, slope, out=cotangent)
            np.dot(cotangent.T, inputs[i], out=self.weight_gradients[i])
            np.add.reduce(cotangent, axis=0, out=self.bias_gradients[i])
            if i > 0:
                np.dot(cotangent, self.weights[i], out=self.cotangents[i - 1])
        self.adamw()

    def loss_and_its_gradient(self, logits: Floats, gradient: Floats) -> None:
        """Compute mean(max(z, 0) - z * target + log1p(exp(-|z|))), and (sigmoid(z) - target) / batch."""
        terms, targets = self.terms, self.problem.targets
        np.abs(logits, out=terms)
        np.negative(terms, out=terms)
        np.exp(terms, out=terms)
        np.log1p(terms, out=terms)
        np.maximum(logits, 0, out=gradient)
        np.add(terms, gradient, out=terms)
        np.multiply(logits, targets, out=gradient)
        np.subtract(terms, gradient, out=terms)
        self.latest = np.add.reduce(terms, axis=None) / len(terms)
        np.multiply(logits, 0.5, out=gradient)
        np.tanh(gradient, out=gradient)  # sigmoid(z) = (tanh(z / 2) + 1) / 2 cannot overflow
        np.add(gradient, 1, out=gradient)
        np.multiply(gradient, 0.5, out=gradient)
        np.subtract(gradient, targets, out=gradient)
        np.divide(gradient, len(terms), out=gradient)

    def adamw(self) -> None:
        """Update the flat buffer of all parameters."""
        self.steps += 1
        beta1, beta2 = ADAMW.betas
        root = math.sqrt(1 - beta2**self.steps)
        average, squares, scratch = self.average, self.squares, self.scratch
        np.multiply(average, beta1, out=average)
        np.multiply(self.flat_gradient, 1 - beta1, out=scratch)
        np.add(average, scratch, out=average)
        np.multiply(squares, beta2, out=squares)
        np.multiply(self.flat_gradient, self.flat_gradient, out=scratch)
        np.multiply(scratch, 1 - beta2, out=scratch)
        np.add(squares, scratch, out=squares)
        np.sqrt(squares, out=scratch)
        np.add(scratch, ADAMW.eps * root, out=scratch)
        np.divide(average, scratch, out=scratch)
        np.multiply(scratch, ADAMW.lr * root / (1 - beta1**self.steps), out=scratch)
        np.multiply(self.flat, 1 - ADAMW.lr * ADAMW.weight_decay, out=self.flat)
        np.subtract(self.flat, scratch, out=self.flat)

    def loss(self) -> float:
        """Return the loss of the latest step."""
        return float(self.latest)

    def parameters(self) -> list[Floats]:
        """Return the parameters: weight, bias, weight, bias, ..."""
        return self.views
