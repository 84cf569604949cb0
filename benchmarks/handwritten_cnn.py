"""A small convolutional network trained by hand in NumPy, as fast as NumPy alone lets it be.

What makes it fast, beside what `handwritten.py` says of buffers and flat parameters:

1. Everything lies channels first, (channels, images, height, width), so a convolution of the whole batch is one product
   of two matrices, and so is each of its two gradients.
2. Windows are gathered by nine copies of shifted images into one matrix; their gradient is nine additions.
3. ReLU comes after the pooling, which commutes with it and leaves a quarter of the numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from benchmarks.handwritten import CrossEntropy, flat_views, scalar
from benchmarks.workloads import SGD, Floats, NetworkProblem

__all__ = ["CNNJob"]

KERNEL = 3


class Convolution:
    """3 by 3 windows without padding, 2 by 2 max-pooling, ReLU; arrays are (channels, images, height, width)."""

    def __init__(
        self, inputs: Floats, weight: Floats, bias: Floats, weight_gradient: Floats, bias_gradient: Floats
    ) -> None:
        channels, images, height, width = inputs.shape
        filters = len(weight)
        high, wide = height - KERNEL + 1, width - KERNEL + 1
        self.inputs = inputs
        self.shifted = sliding_window_view(inputs, (high, wide), axis=(2, 3)).transpose(0, 2, 3, 1, 4, 5)
        self.weight, self.weight_gradient = (
            array.reshape(filters, channels * KERNEL * KERNEL) for array in (weight, weight_gradient)
        )
        self.bias, self.bias_gradient = bias.reshape(filters, 1), bias_gradient
        self.windows = np.empty(self.shifted.shape, np.float32)
        self.columns = self.windows.reshape(channels * KERNEL * KERNEL, images * high * wide)
        self.raw = np.empty((filters, images * high * wide), np.float32)
        self.raw_cotangent = np.zeros_like(self.raw)
        self.columns_cotangent = np.empty_like(self.columns)
        self.windows_cotangent = self.columns_cotangent.reshape(self.windows.shape)
        low, narrow = high // 2 * 2, wide // 2 * 2

        def corners(matrix: Floats) -> list[Floats]:
            whole = matrix.reshape(filters, images, high, wide)
            return [whole[:, :, i:low:2, j:narrow:2] for i in range(2) for j in range(2)]

        self.corners, self.corner_cotangents = corners(self.raw), corners(self.raw_cotangent)
        self.outputs = np.empty(self.corners[0].shape, np.float32)
        self.largest, self.cotangent = np.empty_like(self.outputs), np.empty_like(self.outputs)
        self.same = np.empty(self.outputs.shape, bool)
        self.ones, self.zero = np.ones(self.raw.shape[1], np.float32), scalar(0)

    def forward(self) -> None:
        """Fill `outputs`."""
        np.copyto(self.windows, self.shifted)
        self.weight.dot(self.columns, self.raw)
        np.add(self.raw, self.bias, self.raw)
        first, second, third, fourth = self.corners
        np.maximum(first, second, out=self.largest)
        np.maximum(self.largest, third, out=self.largest)
        np.maximum(self.largest, fourth, out=self.largest)
        np.maximum(self.largest, self.zero, out=self.outputs)

    def backward(self, inputs_cotangent: Floats | None) -> None:
        """Turn `cotangent`, that of the outputs, into the gradients, and into the layer before's cotangent."""
        np.greater(self.outputs, self.zero, out=self.same)
        np.multiply(self.cotangent, self.same, self.cotangent)
        for corner, cotangent in zip(self.corners, self.corner_cotangents, strict=True):
            np.equal(corner, self.largest, out=self.same)
            np.multiply(self.cotangent, self.same, cotangent)
        self.raw_cotangent.dot(self.columns.T, self.weight_gradient)
        self.raw_cotangent.dot(self.ones, self.bias_gradient)
        if inputs_cotangent is None:
            return
        self.weight.T.dot(self.raw_cotangent, self.columns_cotangent)
        inputs_cotangent.fill(0)
        high, wide = self.windows.shape[-2:]
        for i in range(KERNEL):
            for j in range(KERNEL):
                part = inputs_cotangent[:, :, i : i + high, j : j + wide]
                np.add(part, self.windows_cotangent[:, i, j], part)


class CNNJob:
    """Convolution, pooling, ReLU, twice; Linear; cross entropy; all gradients; SGD with momentum."""

    def __init__(self, problem: NetworkProblem) -> None:
        self.problem = problem
        arrays = list(problem.parameters.values())
        shapes = [array.shape for array in arrays]
        self.flat, self.views = flat_views(shapes)
        self.flat_gradient, gradients = flat_views(shapes)
        self.velocity, self.scratch = np.empty_like(self.flat), np.empty_like(self.flat)
        self.inputs = np.ascontiguousarray(problem.inputs.transpose(1, 0, 2, 3))
        w1, b1, w2, b2, self.weight, self.bias = self.views
        d1, e1, d2, e2, self.weight_gradient, self.bias_gradient = gradients
        self.first = Convolution(self.inputs, w1, b1, d1, e1)
        self.second = Convolution(self.first.outputs, w2, b2, d2, e2)
        images = problem.inputs.shape[0]
        pooled = self.second.outputs
        self.features = np.empty((images, pooled.size // images), np.float32)
        self.features_cotangent = np.empty_like(self.features)
        by_image = (images, pooled.shape[0], *pooled.shape[2:])
        self.as_pooled = self.features.reshape(by_image).swapaxes(0, 1)
        self.cotangent_as_pooled = self.features_cotangent.reshape(by_image).swapaxes(0, 1)
        self.logits = np.empty((images, len(self.bias)), np.float32)
        self.logits_cotangent = np.empty_like(self.logits)
        self.criterion = CrossEntropy(self.logits, problem.targets)
        self.ones = np.ones(images, np.float32)
        self.lr, self.momentum = scalar(SGD.lr), scalar(SGD.momentum)
        self.restart()

    def restart(self) -> None:
        """Go back to the first weights, with a fresh optimizer."""
        for view, array in zip(self.views, self.problem.parameters.values(), strict=True):
            view[...] = array
        self.velocity.fill(0)

    def step(self) -> None:
        """One training step."""
        np.copyto(self.inputs, self.problem.inputs.transpose(1, 0, 2, 3))
        self.first.forward()
        self.second.forward()
        np.copyto(self.as_pooled, self.second.outputs)
        self.features.dot(self.weight.T, self.logits)
        np.add(self.logits, self.bias, self.logits)
        self.criterion.forward_and_backward(self.logits_cotangent)
        self.logits_cotangent.T.dot(self.features, self.weight_gradient)
        self.ones.dot(self.logits_cotangent, self.bias_gradient)
        self.logits_cotangent.dot(self.weight, self.features_cotangent)
        np.copyto(self.second.cotangent, self.cotangent_as_pooled)
        self.second.backward(self.first.cotangent)
        self.first.backward(None)
        np.multiply(self.velocity, self.momentum, self.velocity)
        np.add(self.velocity, self.flat_gradient, self.velocity)
        np.multiply(self.velocity, self.lr, self.scratch)
        np.subtract(self.flat, self.scratch, self.flat)

    def loss(self) -> float:
        """Return the loss of the latest step."""
        return float(self.criterion.value[0])

    def parameters(self) -> list[Floats]:
        """Return the parameters in the order of the state_dict."""
        return self.views
