"""Layers that look at the arrays within Tensors: what to record in their place, and when they are refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from portanet import nn
from portanet.dtypes import int64
from portanet.functions.elementwise import maximum, where
from portanet.functions.indexing import take_along_axis
from portanet.functions.manipulation import astype, concat, expand_dims, reshape, squeeze
from portanet.functions.reductions import any as any_of
from portanet.functions.reductions import max as max_of
from portanet.functions.reductions import mean
from portanet.functions.reductions import sum as sum_of
from portanet.linalg import vector_norm
from portanet.nn import functional
from portanet.nn.adaptive_softmax import ASMoutput
from portanet.nn.functional.fractional_pooling import fractional_places, fractional_shape
from portanet.nn.functional.loss_arguments import numbers_beside, widened
from portanet.nn.functional.pooling import adaptive_places, adaptive_shape
from portanet.nn.functional.spatial import batched
from portanet.nn.module import Module
from portanet.nn.utils.rnn import PackedSequence
from portanet.tensor import unwrap

__all__ = ["reason_against", "rewritten"]

Forward = Callable[..., Any]


# Embeddings


def _table(layer: Any) -> Any:
    """The weights as a call would leave them: those of rows that nobody asks for do not matter."""
    if layer.max_norm is None:
        return layer.weight
    norms = vector_norm(layer.weight, axis=1, ord=layer.norm_type, keepdims=True)
    return where(norms > layer.max_norm, layer.weight * (layer.max_norm / (norms + 1e-7)), layer.weight)


def _embedding(layer: Any, input: Any) -> Any:
    return _table(layer)[input]


def _embedding_bag(layer: Any, input: Any, offsets: Any = None, per_sample_weights: Any = None) -> Any:
    """Rows of shape (bags, n, features), or (n, features) and a matrix (bags, n) that says which are in which bag."""
    input = widened(input)
    rows = _table(layer)[input]
    if per_sample_weights is not None:
        rows = rows * expand_dims(per_sample_weights, axis=-1)
    inside = None if offsets is None else _inside(layer, input, offsets)
    if layer.padding_idx is not None:
        kept = input != layer.padding_idx
        inside = kept if inside is None else inside & kept
    if inside is None:
        reduced = {"sum": sum_of, "mean": mean, "max": max_of}[layer.mode]
        return reduced(rows, axis=1)
    if layer.mode == "max":
        best = max_of(where(expand_dims(inside, axis=-1), rows, -float("inf")), axis=1)
        return where(any_of(inside, axis=1, keepdims=True), best, 0.0)
    counts = astype(inside, rows.dtype)
    total = squeeze(expand_dims(counts, axis=1) @ rows, axis=1)
    if layer.mode == "sum":
        return total
    return total / maximum(sum_of(counts, axis=1, keepdims=True), 1.0)


def _inside(layer: Any, input: Any, offsets: Any) -> Any:
    """Which bags have begun at each place, and the next one has not."""
    begun = expand_dims(offsets, axis=1) <= numbers_beside(offsets, input.shape[0])
    if layer.include_last_offset:
        return begun[:-1] & ~begun[1:]
    return begun & ~concat([begun[1:], begun[:1] & False], axis=0)


# Poolings that choose an element


def _adaptive_max_pool(layer: Any, x: Any) -> Any:
    def pooled(x: Any) -> Any:
        lengths = tuple(x.shape[2:])
        out = adaptive_shape(type(layer).__name__, layer.output_size, lengths)
        return _chosen(layer, x, adaptive_places(sys.modules["portanet"], x, lengths, out), out)

    return batched(pooled, x, layer.dims)


def _fractional_max_pool(layer: Any, x: Any) -> Any:
    def pooled(x: Any) -> Any:
        name, kernel = type(layer).__name__, layer.kernel_size
        out = fractional_shape(name, layer.output_size, layer.output_ratio, tuple(x.shape[2:]), kernel)
        places = fractional_places(sys.modules["portanet"], x, layer._random_samples, kernel, out)
        return _chosen(layer, x, places, out)

    return batched(pooled, x, layer.dims)


def _chosen(layer: Any, x: Any, places: Any, out: tuple[int, ...]) -> Any:
    """The elements at places within each channel, and with ``return_indices`` the places."""
    planes = tuple(x.shape[:2])
    flat = take_along_axis(reshape(x, (*planes, -1)), reshape(places, (*planes, -1)), axis=-1)
    found = reshape(flat, (*planes, *out))
    return (found, reshape(places, (*planes, *out))) if layer.return_indices else found


# Losses


def _kl_div(layer: Any, input: Any, target: Any) -> Any:
    """With the length of the batch left to a mean."""
    if layer.reduction != "batchmean" or not input.shape:
        return nn.KLDivLoss.forward(layer, input, target)
    return sum_of(mean(functional.kl_div(input, target, "none", layer.log_target), axis=0))


def _adaptive_softmax(layer: Any, input_: Any, target_: Any) -> Any:
    """With every cluster for every example, as a graph cannot choose examples by their values."""
    logs = layer.log_prob(reshape(input_, (-1, layer.in_features)))
    target = reshape(astype(target_, int64), (-1, 1))
    output = reshape(take_along_axis(logs, target, axis=1), tuple(target_.shape))
    return ASMoutput(output, mean(output) * -1.0)


REWRITTEN: dict[type[Module], Forward] = {
    nn.AdaptiveLogSoftmaxWithLoss: _adaptive_softmax,
    nn.AdaptiveMaxPool1d: _adaptive_max_pool,
    nn.AdaptiveMaxPool2d: _adaptive_max_pool,
    nn.AdaptiveMaxPool3d: _adaptive_max_pool,
    nn.Embedding: _embedding,
    nn.EmbeddingBag: _embedding_bag,
    nn.FractionalMaxPool2d: _fractional_max_pool,
    nn.FractionalMaxPool3d: _fractional_max_pool,
    nn.KLDivLoss: _kl_div,
}


def rewritten(module: Module) -> Forward | None:
    """What to call in place of a module's ``forward``, with the module in front; None for the ``forward`` itself."""
    for ancestor in type(module).__mro__:
        if ancestor in REWRITTEN:
            return REWRITTEN[ancestor] if type(module).forward is ancestor.forward else None
    return None


def reason_against(layer: Module, given: Sequence[Any]) -> str | None:
    """Why a layer, called with these arguments, is not exported; None if it may be."""
    if isinstance(layer, nn.FractionalMaxPool2d | nn.FractionalMaxPool3d) and layer._random_samples is None:
        return "its windows are drawn at random in each call, and it has no _random_samples that fix them."
    if isinstance(layer, nn.RNN | nn.LSTM | nn.GRU) and given and isinstance(given[0], PackedSequence):
        return "it is given a packed sequence, whose lengths a graph cannot follow. Give it the padded ones."
    if isinstance(layer, nn.CTCLoss) and len(given) > 1:
        log_probs, targets = (tuple(unwrap(x).shape) for x in given[:2])
        if len(log_probs) == 3 and len(targets) == 1:
            return "its targets stand one after another, and a graph wants them as (batch, labels), padded."
    return None
