"""Attention with several heads, and the cache of keys and values for generation."""

from __future__ import annotations

from math import sqrt
from typing import Any

from portanet.checks import check_number, whole_number
from portanet.dtypes import Device, DType
from portanet.errors import OptionError, ShapeError
from portanet.functions.creation import zeros
from portanet.functions.manipulation import concat
from portanet.nn import init
from portanet.nn.functional import multihead
from portanet.nn.linear import Linear
from portanet.nn.module import Module
from portanet.nn.parameter import Parameter
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
            A promise that ``attn_mask``, which must be given, is the causal one: without
            ``need_weights`` and padding it is not looked at then.
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
        name = "MultiheadAttention"
        widths = (self.embed_dim, self.kdim, self.vdim)
        multihead.check_promise(name, is_causal, attn_mask)
        batched = multihead.check_sequences(name, query, key, value, widths, self.batch_first)
        weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        q, k, v = multihead.projected(
            query, key, value, self.embed_dim, self.in_proj_weight, weights, self.in_proj_bias
        )
        return multihead.attended(
            name,
            (q, k, v),
            self.num_heads,
            self.out_proj,
            batched=batched,
            batch_first=self.batch_first,
            extra=(self.bias_k, self.bias_v, self.add_zero_attn),
            dropout_p=self.dropout if self.training else 0.0,
            masks=(key_padding_mask, attn_mask),
            is_causal=is_causal,
            need_weights=need_weights,
            average_weights=average_attn_weights,
            append=None if cache is None else cache.append,
        )


def _xavier_bound(rows: int, columns: int) -> float:
    """Of the uniform distribution that keeps variances both ways (Glorot and Bengio, 2010)."""
    return sqrt(6 / (rows + columns))
