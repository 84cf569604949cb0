"""Attention with several heads, and the cache of keys and values for generation."""

from __future__ import annotations

from math import sqrt
from typing import Any

from portanet.backend import require_backend_of
from portanet.checks import check_number, whole_number
from portanet.dtypes import Device, DType
from portanet.errors import DTypeError, OptionError, ShapeError
from portanet.functions.creation import zeros
from portanet.functions.elementwise import add, logical_not, logical_or, where
from portanet.functions.linear_algebra import matmul
from portanet.functions.manipulation import (
    broadcast_to,
    concat,
    expand_dims,
    permute_dims,
    reshape,
    squeeze,
)
from portanet.functions.reductions import mean
from portanet.nn import init
from portanet.nn.functional.attention import attention_weights
from portanet.nn.functional.dropout import dropout
from portanet.nn.functional.linear import linear
from portanet.nn.linear import Linear
from portanet.nn.module import Module
from portanet.nn.parameter import Parameter
from portanet.nn.utils.rnn import full_beside
from portanet.protocols import Array
from portanet.random import normal, uniform
from portanet.tensor import unwrap

__all__ = ["KeyValueCache", "MultiheadAttention"]


class KeyValueCache:
    """Keys and values of the positions that a model has seen, so that each is projected once in a generation.

    Attributes
    ----------
    keys, values : Array or None
        Shape (batch, heads, positions, width); None before the first call.

    Examples
    --------
    >>> attention = pn.nn.MultiheadAttention(4, 2, batch_first=True)
    >>> cache = pn.nn.KeyValueCache()
    >>> for _ in range(3):
    ...     token = pn.random.normal((1, 1, 4))
    ...     output, _ = attention(token, token, token, cache=cache)
    >>> len(cache), output.shape
    (3, (1, 1, 4))
    """

    def __init__(self) -> None:
        self.keys: Any = None
        self.values: Any = None

    def __len__(self) -> int:
        return 0 if self.keys is None else int(unwrap(self.keys).shape[-2])

    def append(self, keys: Array, values: Array) -> tuple[Any, Any]:
        """Add positions at the end.

        Parameters
        ----------
        keys, values : Array
            Shape (batch, heads, new positions, width).

        Returns
        -------
        keys, values : Array
            Those of all positions.
        """
        if self.keys is not None:
            for name, old, new in (("keys", self.keys, keys), ("values", self.values, values)):
                before, shape = tuple(unwrap(old).shape), tuple(unwrap(new).shape)
                if before[:2] != shape[:2] or before[-1] != shape[-1]:
                    raise ShapeError(
                        f"{name}: the cache holds shape {before} and was given {shape}, which differs in more than "
                        "the number of positions. Use a cache of its own for each layer and each generation."
                    )
            keys = concat([self.keys, keys], axis=-2)
            values = concat([self.values, values], axis=-2)
        self.keys, self.values = keys, values
        return keys, values

    def clear(self) -> None:
        """Forget all positions."""
        self.keys = self.values = None


class MultiheadAttention(Module):
    """Attention with several heads (Vaswani et al., 2017).

    Query, key and value are projected and cut into ``num_heads`` parts; what each part's attention gives is put side by
    side and projected again. A query that may look at nothing gets the bias of that projection (PyTorch gives NaN with
    ``need_weights`` and this without).

    Parameters
    ----------
    embed_dim : int
        Length of the last axis of query and output; a multiple of ``num_heads``.
    num_heads : int
        How many parts.
    dropout : float, default 0
        The probability with which a weight becomes 0 in training.
    bias : bool, default True
        Whether the projections have biases.
    add_bias_kv : bool, default False
        Whether each sequence gets one learned key and value more.
    add_zero_attn : bool, default False
        Whether each sequence gets one key and value of zeros more.
    kdim, vdim : int, optional
        Length of the last axis of key and value; default ``embed_dim``.
    batch_first : bool, default False
        Whether arrays are (batch, positions, ...) instead of (positions, batch, ...).
    device, dtype
        Of the parameters.

    Attributes
    ----------
    in_proj_weight : Parameter or None
        The weights for query, key and value one below the other: shape (3 * embed_dim, embed_dim).
    q_proj_weight, k_proj_weight, v_proj_weight : Parameter or None
        The three of them where ``kdim`` or ``vdim`` differs.
    in_proj_bias : Parameter or None
        Shape (3 * embed_dim,).
    bias_k, bias_v : Parameter or None
        Shape (1, 1, embed_dim).
    out_proj : Linear
        The projection of the result.

    Examples
    --------
    >>> layer = pn.nn.MultiheadAttention(8, num_heads=2, batch_first=True)
    >>> x = pn.zeros((3, 5, 8))
    >>> output, weights = layer(x, x, x)
    >>> output.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        self.embed_dim = embed_dim = whole_number("embed_dim", embed_dim, low=1)
        self.num_heads = num_heads = whole_number("num_heads", num_heads, low=1)
        if embed_dim % num_heads:
            raise OptionError(
                f"num_heads: expected a divisor of embed_dim={embed_dim}, got {num_heads}: each head takes "
                "an equal part."
            )
        check_number("dropout", dropout, low=0.0, high=1.0)
        self.kdim = embed_dim if kdim is None else whole_number("kdim", kdim, low=1)
        self.vdim = embed_dim if vdim is None else whole_number("vdim", vdim, low=1)
        self.dropout = float(dropout)
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        self.add_zero_attn = add_zero_attn
        place: dict[str, Any] = {"device": device, "dtype": dtype}

        def weight(rows: int, columns: int) -> Parameter:
            bound = _xavier_bound(rows, columns)
            return Parameter(uniform((rows, columns), -bound, bound, **place))

        self.in_proj_weight: Any = None
        self.q_proj_weight: Any = None
        self.k_proj_weight: Any = None
        self.v_proj_weight: Any = None
        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = weight(3 * embed_dim, embed_dim)
        else:
            self.q_proj_weight = weight(embed_dim, embed_dim)
            self.k_proj_weight = weight(embed_dim, self.kdim)
            self.v_proj_weight = weight(embed_dim, self.vdim)
        self.in_proj_bias: Any = Parameter(zeros((3 * embed_dim,), **place)) if bias else None
        std = sqrt(1 / embed_dim)
        self.bias_k: Any = None
        self.bias_v: Any = None
        if add_bias_kv:
            self.bias_k = Parameter(normal((1, 1, embed_dim), std=std, **place))
            self.bias_v = Parameter(normal((1, 1, embed_dim), std=std, **place))
        self.out_proj = Linear(embed_dim, embed_dim, bias, **place)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Array,
        key: Array,
        value: Array,
        key_padding_mask: Array | None = None,
        need_weights: bool = True,
        attn_mask: Array | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
        *,
        cache: KeyValueCache | None = None,
    ) -> tuple[Any, Any]:
        """Look from each query at the keys, and take what their values hold.

        Parameters
        ----------
        query, key, value : Array
            Shapes (queries, batch, embed_dim), (keys, batch, kdim) and (keys, batch, vdim), with ``batch_first`` the
            first two axes the other way round; or all without the axis of the batch.
        key_padding_mask : Array, optional
            Shape (batch, keys), or (keys,) without a batch: booleans, True where a key is padding, or numbers that are
            added to the scores.
        need_weights : bool, default True
            Whether the weights are returned.
        attn_mask : Array, optional
            Shape (queries, keys) or (batch * num_heads, queries, keys): booleans, True where a query must *not* look,
            or numbers that are added to the scores.
        average_attn_weights : bool, default True
            Whether the weights that are returned are their mean over the heads.
        is_causal : bool, default False
            A promise that ``attn_mask``, which must be given, is the causal one. Nothing depends on it.
        cache : KeyValueCache, optional
            Key and value are appended to what it holds, and the queries look at all of it; masks then count
            all keys.

        Returns
        -------
        output : Array
            Of the query's shape.
        weights : Array or None
            Shape (batch, queries, keys), with each head's own (batch, num_heads, queries, keys).

        Raises
        ------
        ShapeError, DTypeError, OptionError
            If the arguments do not go together.
        """
        if is_causal and attn_mask is None:
            raise OptionError(
                "is_causal: MultiheadAttention takes it as a promise about attn_mask, which was not given. Pass "
                "attn_mask=nn.Transformer.generate_square_subsequent_mask(length)."
            )
        batched = self._check_input(query, key, value)
        batch_axis = 0 if self.batch_first else 1
        q, k, v = self._projected(query, key, value)
        if not batched:
            q, k, v = (expand_dims(x, axis=batch_axis) for x in (q, k, v))
        q, k, v = self._in_heads(q), self._in_heads(k), self._in_heads(v)
        if cache is not None:
            k, v = cache.append(k, v)
        keys = unwrap(k).shape[-2]
        k, v = self._with_extra(k, v)
        mask = self._mask(key_padding_mask, attn_mask, q, keys, unwrap(k).shape[-2] - keys, batched)
        weights = attention_weights(q, k, mask)
        if self.dropout and self.training:
            weights = dropout(weights, self.dropout)
        mixed = matmul(weights, v)  # (batch, heads, queries, keys) @ (batch, heads, keys, width)
        batch, _, queries, _ = unwrap(mixed).shape
        if self.batch_first:
            rows = reshape(permute_dims(mixed, (0, 2, 1, 3)), (batch, queries, self.embed_dim))
        else:
            rows = reshape(permute_dims(mixed, (2, 0, 1, 3)), (queries, batch, self.embed_dim))
        output = self.out_proj(rows)
        if not batched:
            output = squeeze(output, batch_axis)
        if not need_weights:
            return output, None
        if average_attn_weights:
            weights = mean(weights, axis=1)
        return output, weights if batched else squeeze(weights, 0)

    def _check_input(self, query: Array, key: Array, value: Array) -> bool:
        """Whether there is an axis of the batch."""
        shapes = []
        for name, x in (("query", query), ("key", key), ("value", value)):
            require_backend_of(unwrap(x), name)
            shapes.append(tuple(unwrap(x).shape))
        axes = "(batch, positions" if self.batch_first else "(positions, batch"
        widths = (self.embed_dim, self.kdim, self.vdim)
        for name, shape, width in zip(("query", "key", "value"), shapes, widths, strict=True):
            if len(shape) not in (2, 3) or len(shape) != len(shapes[0]) or shape[-1] != width:
                raise ShapeError(
                    f"{name}: MultiheadAttention expects shape {axes}, {width}), or query, key and value without the "
                    f"batch; got shapes {shapes[0]}, {shapes[1]} and {shapes[2]}."
                )
        batched = len(shapes[0]) == 3
        axis = 0 if self.batch_first else 1
        if shapes[1][:-1] != shapes[2][:-1] or (batched and shapes[0][axis] != shapes[1][axis]):
            raise ShapeError(
                f"key: MultiheadAttention expects as many sequences as query has, and as many positions as value has; "
                f"got shapes {shapes[0]}, {shapes[1]} and {shapes[2]}."
            )
        return batched

    def _projected(self, query: Array, key: Array, value: Array) -> tuple[Any, Any, Any]:
        width, weight, bias = self.embed_dim, self.in_proj_weight, self.in_proj_bias
        if weight is not None and query is key and key is value:  # one product instead of three
            whole = linear(query, weight, bias)
            return whole[..., :width], whole[..., width : 2 * width], whole[..., 2 * width :]
        if weight is not None:
            weights = [weight[k * width : (k + 1) * width, ...] for k in range(3)]
        else:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        biases = [None if bias is None else bias[k * width : (k + 1) * width] for k in range(3)]
        q, k, v = (linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))
        return q, k, v

    def _in_heads(self, x: Any) -> Any:
        """Shape (batch, heads, positions, width)."""
        one, other, _ = unwrap(x).shape
        apart = reshape(x, (one, other, self.num_heads, self.head_dim))
        return permute_dims(apart, (0, 2, 1, 3) if self.batch_first else (1, 2, 0, 3))

    def _with_extra(self, k: Any, v: Any) -> tuple[Any, Any]:
        """Keys and values with the learned ones and the zeros."""
        shape = (unwrap(k).shape[0], self.num_heads, 1, self.head_dim)
        if self.bias_k is not None:
            one = (1, self.num_heads, 1, self.head_dim)
            k = concat([k, broadcast_to(reshape(self.bias_k, one), shape)], axis=-2)
            v = concat([v, broadcast_to(reshape(self.bias_v, one), shape)], axis=-2)
        if self.add_zero_attn:
            zero = full_beside(k, shape, 0.0)
            k, v = concat([k, zero], axis=-2), concat([v, zero], axis=-2)
        return k, v

    def _mask(self, padding: Any, mask: Any, q: Any, keys: int, extra: int, batched: bool) -> Any:
        """Both masks as one, in the form of :func:`scaled_dot_product_attention`."""
        batch, heads, queries, _ = unwrap(q).shape
        masks = []
        if padding is not None:
            wanted = (batch, keys) if batched else (keys,)
            _check_mask("key_padding_mask", padding, q, [wanted])
            masks.append(reshape(padding, (batch, 1, 1, keys)))
        if mask is not None:
            _check_mask("attn_mask", mask, q, [(queries, keys), (batch * heads, queries, keys)])
            flat = len(unwrap(mask).shape) == 2
            masks.append(reshape(mask, (1, 1, queries, keys) if flat else (batch, heads, queries, keys)))
        if not masks:
            return None
        if not all(_is_boolean(mask) for mask in masks):
            masks = [_as_numbers(mask, q) if _is_boolean(mask) else mask for mask in masks]
            whole = masks[0] if len(masks) == 1 else add(*masks)
            return _widened(whole, extra)
        whole = masks[0] if len(masks) == 1 else logical_or(*masks)
        return logical_not(_widened(whole, extra))


def _xavier_bound(rows: int, columns: int) -> float:
    """Of the uniform distribution that keeps variances both ways (Glorot and Bengio, 2010)."""
    return sqrt(6 / (rows + columns))


def _is_boolean(mask: Any) -> bool:
    array = unwrap(mask)
    return require_backend_of(array, "mask").dtype_of(array).name == "bool"


def _as_numbers(mask: Any, q: Any) -> Any:
    """Minus infinity where a mask is True, else 0."""
    zero = full_beside(q, (1, 1, 1, 1), 0.0)
    return where(mask, float("-inf"), zero)


def _widened(mask: Any, extra: int) -> Any:
    """A mask that lets every query look at keys that have come in addition."""
    if not extra:
        return mask
    padding = full_beside(mask, (*unwrap(mask).shape[:-1], extra), False if _is_boolean(mask) else 0.0)
    return concat([mask, padding], axis=-1)


def _check_mask(name: str, mask: Any, q: Any, shapes: list[tuple[int, ...]]) -> None:
    array, its = unwrap(mask), unwrap(q)
    found = require_backend_of(array, name).dtype_of(array)
    wanted = require_backend_of(its, "query").dtype_of(its)
    if found.name != "bool" and found != wanted:
        raise DTypeError(
            f"{name}: MultiheadAttention expects booleans, True where not to look, or numbers of the query's data type "
            f"{wanted.name}; got {found.name}. Convert it with portanet.astype."
        )
    if tuple(array.shape) not in shapes:
        text = " or ".join(str(shape) for shape in shapes)
        raise ShapeError(f"{name}: MultiheadAttention expects shape {text}, got {tuple(array.shape)}.")
