"""A small decoder-only Transformer trained by hand in NumPy, as fast as NumPy alone lets it be.

What `handwritten.py` says of buffers and flat parameters holds here too. Further: all products of a layer run over the
rows of the whole batch at once; attention goes from one sequence to the next, so that its weights stay in the cache,
and leaves the division by the weights' sums to the result, which is smaller; the gradient of the embedding is a product
with a matrix of ones and zeros.
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.handwritten import AdamW, CrossEntropy, flat_views, scalar
from benchmarks.workloads import Floats, NetworkProblem

__all__ = ["GPTJob"]

EPS = 1e-5
CUBIC, ROOT = 0.044715, math.sqrt(2 / math.pi)

Pair = tuple[Floats, Floats]
"""A parameter and its gradient."""


class Norm:
    """Layer normalisation of the rows of a matrix (Ba et al., 2016)."""

    def __init__(self, inputs: Floats, weight: Pair, bias: Pair) -> None:
        self.inputs, self.weight, self.bias = inputs, weight, bias
        rows, width = inputs.shape
        self.outputs, self.plain, self.scratch = (np.empty_like(inputs) for _ in range(3))
        self.scale, self.sums = np.empty((rows, 1), np.float32), np.empty((rows, 1), np.float32)
        self.share, self.eps = scalar(1 / width), scalar(EPS)
        self.ones = np.ones(rows, np.float32)
        self.column = np.ones((width, 1), np.float32)

    def forward(self) -> None:
        """Fill `outputs`."""
        plain, scale, sums = self.plain, self.scale, self.sums
        self.inputs.dot(self.column, sums)
        np.multiply(sums, self.share, sums)
        np.subtract(self.inputs, sums, plain)
        np.einsum("ij,ij->i", plain, plain, out=scale[:, 0])
        np.multiply(scale, self.share, scale)
        np.add(scale, self.eps, scale)
        np.sqrt(scale, scale)
        np.reciprocal(scale, scale)
        np.multiply(plain, scale, plain)
        np.multiply(plain, self.weight[0], self.outputs)
        np.add(self.outputs, self.bias[0], self.outputs)

    def backward(self, cotangent: Floats, inputs_cotangent: Floats) -> None:
        """Fill the gradients, and add the inputs' cotangent to `inputs_cotangent`; `cotangent` is used up."""
        plain, scratch, sums = self.plain, self.scratch, self.sums
        np.einsum("ij,ij->j", cotangent, plain, out=self.weight[1])
        self.ones.dot(cotangent, self.bias[1])
        np.multiply(cotangent, self.weight[0], cotangent)
        np.einsum("ij,ij->i", cotangent, plain, out=sums[:, 0])
        np.multiply(sums, self.share, sums)
        np.multiply(plain, sums, scratch)
        cotangent.dot(self.column, sums)
        np.multiply(sums, self.share, sums)
        np.subtract(cotangent, sums, cotangent)
        np.subtract(cotangent, scratch, cotangent)
        np.multiply(cotangent, self.scale, cotangent)
        np.add(inputs_cotangent, cotangent, inputs_cotangent)


class Linear:
    """`inputs @ weight.T + bias` of the rows of a matrix."""

    def __init__(self, inputs: Floats, weight: Pair, bias: Pair) -> None:
        self.inputs, self.weight, self.bias = inputs, weight, bias
        self.outputs = np.empty((len(inputs), len(weight[0])), np.float32)
        self.ones = np.ones(len(inputs), np.float32)

    def forward(self) -> None:
        """Fill `outputs`."""
        self.inputs.dot(self.weight[0].T, self.outputs)
        np.add(self.outputs, self.bias[0], self.outputs)

    def backward(self, cotangent: Floats, inputs_cotangent: Floats) -> None:
        """Fill the gradients, and write the inputs' cotangent."""
        cotangent.T.dot(self.inputs, self.weight[1])
        self.ones.dot(cotangent, self.bias[1])
        cotangent.dot(self.weight[0], inputs_cotangent)


class Attention:
    """Causal attention: queries, keys and values stand side by side in the columns of `inputs`."""

    def __init__(self, inputs: Floats, batch: int, heads: int) -> None:
        rows, width = inputs.shape[0], inputs.shape[1] // 3
        length, self.head_width = rows // batch, width // heads
        self.batch = batch

        def by_head(matrix: Floats, parts: int) -> list[Floats]:
            """Views of shape (batch, heads, length, head width)."""
            whole = matrix.reshape(batch, length, parts, heads, self.head_width)
            return [whole[:, :, part].transpose(0, 2, 1, 3) for part in range(parts)]

        self.query, self.key, self.value = by_head(inputs, 3)
        self.outputs = np.empty((rows, width), np.float32)
        self.result = by_head(self.outputs, 1)[0]
        self.weights = np.empty((batch, heads, length, length), np.float32)
        self.sums = np.empty((batch, heads, length, 1), np.float32)
        self.slope = np.empty((heads, length, length), np.float32)
        self.scaled, self.share = (np.empty((heads, length, self.head_width), np.float32) for _ in range(2))
        self.dots = np.empty((heads, length), np.float32)
        self.scale = scalar(1 / math.sqrt(self.head_width))
        self.hidden = np.triu(np.full((length, length), -np.inf, np.float32), 1)
        self.by_head = by_head

    def forward(self) -> None:
        """Fill `outputs`."""
        for k in range(self.batch):
            weights, sums, result = self.weights[k], self.sums[k], self.result[k]
            np.multiply(self.query[k], self.scale, self.scaled)
            np.matmul(self.scaled, self.key[k].swapaxes(1, 2), out=weights)
            np.add(weights, self.hidden, weights)
            weights.max(axis=-1, keepdims=True, out=sums)
            np.subtract(weights, sums, weights)
            np.exp(weights, weights)
            weights.sum(axis=-1, keepdims=True, out=sums)
            np.matmul(weights, self.value[k], out=self.share)
            np.divide(self.share, sums, result)

    def backward(self, cotangent: Floats, inputs_cotangent: Floats) -> None:
        """Write the inputs' cotangent."""
        arrived = self.by_head(cotangent, 1)[0]
        to_query, to_key, to_value = self.by_head(inputs_cotangent, 3)
        slope, share = self.slope, self.share
        for k in range(self.batch):
            weights = self.weights[k]
            np.divide(arrived[k], self.sums[k], share)
            np.matmul(weights.swapaxes(1, 2), share, out=to_value[k])
            np.matmul(share, self.value[k].swapaxes(1, 2), out=slope)
            np.einsum("hij,hij->hi", share, self.result[k], out=self.dots)
            np.subtract(slope, self.dots[..., None], slope)
            np.multiply(slope, weights, slope)
            np.matmul(slope, self.key[k], out=self.scaled)
            np.multiply(self.scaled, self.scale, to_query[k])
            np.multiply(self.query[k], self.scale, self.scaled)
            np.matmul(slope.swapaxes(1, 2), self.scaled, out=to_key[k])


class GELU:
    """The approximation by a hyperbolic tangent (Hendrycks and Gimpel, 2016)."""

    def __init__(self, inputs: Floats) -> None:
        self.inputs = inputs
        self.outputs, self.gate, self.scratch = (np.empty_like(inputs) for _ in range(3))
        self.cubic, self.root, self.half, self.one = scalar(CUBIC), scalar(ROOT), scalar(0.5), scalar(1)
        self.steeper = scalar(3 * CUBIC)

    def forward(self) -> None:
        """Fill `outputs`."""
        x, gate = self.inputs, self.gate
        np.multiply(x, x, gate)
        np.multiply(gate, self.cubic, gate)
        np.add(gate, self.one, gate)
        np.multiply(gate, x, gate)
        np.multiply(gate, self.root, gate)
        np.tanh(gate, gate)
        np.add(gate, self.one, gate)
        np.multiply(gate, self.half, gate)
        np.multiply(x, gate, self.outputs)

    def backward(self, cotangent: Floats) -> None:
        """Turn `cotangent` into that of the inputs, in place."""
        x, gate, scratch, rest = self.inputs, self.gate, self.scratch, self.outputs
        np.multiply(x, x, scratch)
        np.multiply(scratch, self.steeper, scratch)
        np.add(scratch, self.one, scratch)
        np.multiply(scratch, self.root, scratch)
        np.multiply(scratch, x, scratch)
        np.subtract(self.one, gate, rest)  # the layer after has read the outputs already
        np.multiply(rest, gate, rest)
        np.add(rest, rest, rest)  # 1 - tanh**2 = 4 * gate * (1 - gate), of which a half is in the formula
        np.multiply(scratch, rest, scratch)
        np.add(scratch, gate, scratch)
        np.multiply(cotangent, scratch, cotangent)


class Block:
    """Attention and a network of two layers, each after a normalisation and beside a shortcut."""

    def __init__(self, inputs: Floats, batch: int, heads: int, parts: dict[str, Pair]) -> None:
        def pair(name: str) -> tuple[Pair, Pair]:
            return parts[f"{name}.weight"], parts[f"{name}.bias"]

        self.inputs = inputs
        self.norm1 = Norm(inputs, *pair("norm1"))
        self.qkv = Linear(self.norm1.outputs, *pair("qkv"))
        self.attention = Attention(self.qkv.outputs, batch, heads)
        self.projection = Linear(self.attention.outputs, *pair("projection"))
        self.middle = np.empty_like(inputs)
        self.norm2 = Norm(self.middle, *pair("norm2"))
        self.up = Linear(self.norm2.outputs, *pair("up"))
        self.gelu = GELU(self.up.outputs)
        self.down = Linear(self.gelu.outputs, *pair("down"))
        self.outputs = np.empty_like(inputs)

    def forward(self) -> None:
        """Fill `outputs`."""
        for part in (self.norm1, self.qkv, self.attention, self.projection):
            part.forward()
        np.add(self.inputs, self.projection.outputs, self.middle)
        for part in (self.norm2, self.up, self.gelu, self.down):
            part.forward()
        np.add(self.middle, self.down.outputs, self.outputs)

    def backward(self, cotangent: Floats, narrow: Floats, triple: Floats, wide: Floats) -> None:
        """Turn the outputs' cotangent into the inputs', in place; the other arrays are scratch for all blocks."""
        self.down.backward(cotangent, wide)
        self.gelu.backward(wide)
        self.up.backward(wide, narrow)
        self.norm2.backward(narrow, cotangent)
        self.projection.backward(cotangent, narrow)
        self.attention.backward(narrow, triple)
        self.qkv.backward(triple, narrow)
        self.norm1.backward(narrow, cotangent)


class GPTJob:
    """Embeddings, blocks, a last normalisation, Linear, cross entropy; all gradients; AdamW."""

    def __init__(self, problem: NetworkProblem, layers: int, heads: int, threads: int) -> None:
        self.problem = problem
        shapes = [array.shape for array in problem.parameters.values()]
        flat, self.views = flat_views(shapes)
        flat_gradient, gradients = flat_views(shapes)
        pairs = dict(zip(problem.parameters, zip(self.views, gradients, strict=True), strict=True))
        self.optimizer = AdamW(flat, flat_gradient, threads)

        batch, length = problem.inputs.shape
        self.token, self.position = pairs["token.weight"], pairs["position.weight"]
        vocabulary, width = self.token[0].shape
        rows = batch * length
        self.first = np.empty((rows, width), np.float32)
        self.by_sequence = self.first.reshape(batch, length, width)
        self.blocks: list[Block] = []
        inputs = self.first
        for i in range(layers):
            prefix = f"blocks.{i}."
            parts = {
                name.removeprefix(prefix): pair for name, pair in pairs.items() if name.startswith(prefix)
            }
            self.blocks.append(Block(inputs, batch, heads, parts))
            inputs = self.blocks[-1].outputs
        self.norm = Norm(inputs, pairs["norm.weight"], pairs["norm.bias"])
        self.head = Linear(self.norm.outputs, pairs["head.weight"], pairs["head.bias"])
        self.criterion = CrossEntropy(self.head.outputs, problem.targets.reshape(-1))
        self.logits_cotangent = np.empty_like(self.head.outputs)
        self.cotangent, self.narrow = np.empty_like(self.first), np.empty_like(self.first)
        self.triple, self.wide = (np.empty((rows, times * width), np.float32) for times in (3, 4))
        self.chosen = np.zeros((rows, vocabulary), np.float32)
        self.every_row = np.arange(rows)
        self.restart()

    def restart(self) -> None:
        """Go back to the first weights, with a fresh optimizer."""
        for view, array in zip(self.views, self.problem.parameters.values(), strict=True):
            view[...] = array
        self.optimizer.restart()

    def step(self) -> None:
        """One training step."""
        np.take(self.token[0], self.problem.inputs, axis=0, out=self.by_sequence)
        np.add(self.by_sequence, self.position[0], self.by_sequence)
        for block in self.blocks:
            block.forward()
        self.norm.forward()
        self.head.forward()
        self.criterion.forward_and_backward(self.logits_cotangent)
        self.head.backward(self.logits_cotangent, self.narrow)
        self.cotangent.fill(0)
        self.norm.backward(self.narrow, self.cotangent)
        for block in reversed(self.blocks):
            block.backward(self.cotangent, self.narrow, self.triple, self.wide)
        self.cotangent.reshape(self.by_sequence.shape).sum(axis=0, out=self.position[1])
        self.chosen.fill(0)
        self.chosen[self.every_row, self.problem.inputs.reshape(-1)] = 1
        self.chosen.T.dot(self.cotangent, self.token[1])
        self.optimizer.step()

    def loss(self) -> float:
        """Return the loss of the latest step."""
        return float(self.criterion.value[0])

    def parameters(self) -> list[Floats]:
        """Return the parameters in the order of the state_dict."""
        return self.views
