"""Attention with several heads as a function, and the steps that it and the layer are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portanet.backend import require_backend_of
from portanet.checks import check_number, whole_number
from portanet.errors import DTypeError, OptionError, ShapeError
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
from portanet.nn.functional.attention import attention_weights, scaled_dot_product_attention
from portanet.nn.functional.beside import full_beside
from portanet.nn.functional.dropout import dropout
from portanet.nn.functional.linear import linear
from portanet.protocols import Array
from portanet.tensor import unwrap

__all__ = ["attended", "check_promise", "check_sequences", "multi_head_attention_forward", "projected"]


def multi_head_attention_forward(
    query: Array,
    key: Array,
    value: Array,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Array | None,
    in_proj_bias: Array | None,
    bias_k: Array | None,
    bias_v: Array | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Array,
    out_proj_bias: Array | None,
    training: bool = True,
    key_padding_mask: Array | None = None,
    need_weights: bool = True,
    attn_mask: Array | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Array | None = None,
    k_proj_weight: Array | None = None,
    v_proj_weight: Array | None = None,
    static_k: Array | None = None,
    static_v: Array | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """Attention with several heads (Vaswani et al., 2017), as :class:`portanet.nn.MultiheadAttention` has it.

    A query that may look at nothing gets ``out_proj_bias``.

    Parameters
    ----------
    query, key, value : Array
        Shapes (queries, batch, embed_dim), (keys, batch, kdim) and (keys, batch, vdim), or all without the axis of the
        batch.
    embed_dim_to_check : int
        The embed_dim that the query must have.
    num_heads : int
        Into how many parts it is cut.
    in_proj_weight : Array or None
        The weights for query, key and value one below the other, shape (3 * embed_dim, embed_dim).
    in_proj_bias : Array or None
        Shape (3 * embed_dim,).
    bias_k, bias_v : Array or None
        One key and value more for each sequence; shape (1, 1, embed_dim).
    add_zero_attn : bool
        Whether each sequence gets one key and value of zeros more.
    dropout_p : float
        The probability with which a weight becomes 0, if ``training``.
    out_proj_weight, out_proj_bias : Array
        Of the map from what the heads gave to the output; shapes (embed_dim, embed_dim) and (embed_dim,).
    training : bool, default True
        Whether there is dropout.
    key_padding_mask : Array, optional
        Shape (batch, keys), or (keys,) without a batch: booleans, True where a key is padding, or numbers that are
        added to the scores.
    need_weights : bool, default True
        Whether the weights are returned.
    attn_mask : Array, optional
        Shape (queries, keys) or (batch * num_heads, queries, keys): booleans, True where a query must *not* look, or
        numbers that are added to the scores.
    use_separate_proj_weight : bool, default False
        Whether the three weights that follow stand in for ``in_proj_weight``.
    q_proj_weight, k_proj_weight, v_proj_weight : Array, optional
        Shapes (embed_dim, embed_dim), (embed_dim, kdim) and (embed_dim, vdim).
    static_k, static_v : Array, optional
        What to take for the projected keys and values, shape (batch * num_heads, keys, embed_dim / num_heads).
    average_attn_weights : bool, default True
        Whether the weights that are returned are their mean over the heads.
    is_causal : bool, default False
        A promise that ``attn_mask``, which must be given, is the causal one: without ``need_weights`` and padding it
        is not looked at then.

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
    name = "multi_head_attention_forward"
    width = whole_number("embed_dim_to_check", embed_dim_to_check, low=1)
    heads = whole_number("num_heads", num_heads, low=1)
    if width % heads:
        raise OptionError(f"num_heads: {name} expects a divisor of embed_dim_to_check={width}, got {heads}.")
    check_number("dropout_p", dropout_p, low=0.0, high=1.0)
    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    if not use_separate_proj_weight:
        _check_weight(name, "in_proj_weight", in_proj_weight, (3 * width, width))
        widths = (width, width, width)
    else:
        found = []
        for argument, weight in zip(
            ("q_proj_weight", "k_proj_weight", "v_proj_weight"), separate, strict=True
        ):
            _check_weight(name, argument, weight, (width, None))
            found.append(unwrap(weight).shape[1])
        widths = (found[0], found[1], found[2])
    if in_proj_bias is not None:
        _check_weight(name, "in_proj_bias", in_proj_bias, (3 * width,))
    if (bias_k is None) != (bias_v is None):
        raise OptionError(
            f"bias_k: {name} takes both bias_k and bias_v or neither, got one. Give the other one, too."
        )
    for argument, bias in (("bias_k", bias_k), ("bias_v", bias_v)):
        if bias is not None:
            _check_weight(name, argument, bias, (1, 1, width))
    if bias_k is not None and (static_k is not None or static_v is not None):
        raise OptionError(
            f"bias_k: {name} adds nothing to static_k and static_v. Put the bias into them, and give bias_k=None."
        )
    batched = check_sequences(name, query, key, value, widths, False)
    check_promise(name, is_causal, attn_mask)
    q, k, v = projected(
        query, key, value, width, None if use_separate_proj_weight else in_proj_weight, separate, in_proj_bias
    )
    return attended(
        name,
        (q, k, v),
        heads,
        lambda rows: linear(rows, out_proj_weight, out_proj_bias),
        batched=batched,
        extra=(bias_k, bias_v, add_zero_attn),
        static=(static_k, static_v),
        dropout_p=dropout_p if training else 0.0,
        masks=(key_padding_mask, attn_mask),
        is_causal=is_causal,
        need_weights=need_weights,
        average_weights=average_attn_weights,
    )


# The steps


def check_promise(name: str, is_causal: bool, attn_mask: Array | None) -> None:
    """Raise if the causal mask is promised but not given."""
    if is_causal and attn_mask is None:
        raise OptionError(
            f"is_causal: {name} takes it as a promise about attn_mask, which was not given. Pass "
            "attn_mask=nn.Transformer.generate_square_subsequent_mask(length)."
        )


def check_sequences(
    name: str, query: Array, key: Array, value: Array, widths: tuple[int, int, int], batch_first: bool
) -> bool:
    """Whether query, key and value, of these widths, have an axis of the batch."""
    shapes = []
    for argument, x in (("query", query), ("key", key), ("value", value)):
        require_backend_of(unwrap(x), argument)
        shapes.append(tuple(unwrap(x).shape))
    axes = "(batch, positions" if batch_first else "(positions, batch"
    for argument, shape, width in zip(("query", "key", "value"), shapes, widths, strict=True):
        if len(shape) not in (2, 3) or len(shape) != len(shapes[0]) or shape[-1] != width:
            raise ShapeError(
                f"{argument}: {name} expects shape {axes}, {width}), or query, key and value without the "
                f"batch; got shapes {shapes[0]}, {shapes[1]} and {shapes[2]}."
            )
    batched = len(shapes[0]) == 3
    axis = 0 if batch_first else 1
    if shapes[1][:-1] != shapes[2][:-1] or (batched and shapes[0][axis] != shapes[1][axis]):
        raise ShapeError(
            f"key: {name} expects as many sequences as query has, and as many positions as value has; "
            f"got shapes {shapes[0]}, {shapes[1]} and {shapes[2]}."
        )
    return batched


def projected(
    query: Array, key: Array, value: Array, width: int, whole_weight: Any, weights: tuple[Any, ...], bias: Any
) -> tuple[Any, Any, Any]:
    """Query, key and value by the parts of one weight, or by three of them where that is None."""
    if whole_weight is not None and query is key and key is value:  # one product instead of three
        whole = linear(query, whole_weight, bias)
        return whole[..., :width], whole[..., width : 2 * width], whole[..., 2 * width :]
    if whole_weight is not None:
        weights = tuple(whole_weight[k * width : (k + 1) * width, ...] for k in range(3))
    biases = [None if bias is None else bias[k * width : (k + 1) * width] for k in range(3)]
    q, k, v = (linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))
    return q, k, v


def attended(
    name: str,
    projections: tuple[Any, Any, Any],
    num_heads: int,
    project_out: Callable[[Any], Any],
    *,
    batched: bool,
    extra: tuple[Any, Any, bool],
    dropout_p: float,
    masks: tuple[Any, Any],
    is_causal: bool,
    need_weights: bool,
    average_weights: bool,
    batch_first: bool = False,
    static: tuple[Any, Any] = (None, None),
    append: Callable[[Any, Any], tuple[Any, Any]] | None = None,
) -> tuple[Any, Any]:
    """Output and weights, from query, key and value after their projections.

    Parameters
    ----------
    extra
        One learned key and value, or None twice, and whether there is one of zeros, too.
    masks
        Of padding, and of attention.
    is_causal
        The promise that the latter is the causal one, which spares a mask that is not needed.
    static
        What to take for the keys and values, if anything.
    append
        Makes of keys and values, of shape (batch, heads, positions, width), those to look at.
    """
    q, k, v = projections
    batch_axis = 0 if batch_first else 1
    if not batched:
        q, k, v = (expand_dims(x, axis=batch_axis) for x in (q, k, v))
    q, k, v = (_in_heads(x, num_heads, batch_first) for x in (q, k, v))
    k = k if static[0] is None else _static(name, "static_k", static[0], k)
    v = v if static[1] is None else _static(name, "static_v", static[1], v)
    if append is not None:
        k, v = append(k, v)
    keys = unwrap(k).shape[-2]
    k, v = _with_extra(k, v, *extra)
    mask = _mask(name, *masks, q, keys, unwrap(k).shape[-2] - keys, batched)
    if not need_weights:
        promised = is_causal and masks[0] is None and unwrap(k).shape[-2] == keys == unwrap(q).shape[-2]
        mixed = scaled_dot_product_attention(
            q, k, v, None if promised else mask, dropout_p, is_causal=promised
        )
    else:
        weights = attention_weights(q, k, mask)
        if dropout_p:
            weights = dropout(weights, dropout_p)
        mixed = matmul(weights, v)  # (batch, heads, queries, keys) @ (batch, heads, keys, width)
    batch, heads, queries, width = unwrap(mixed).shape
    if batch_first:
        rows = reshape(permute_dims(mixed, (0, 2, 1, 3)), (batch, queries, heads * width))
    else:
        rows = reshape(permute_dims(mixed, (2, 0, 1, 3)), (queries, batch, heads * width))
    output = project_out(rows)
    if not batched:
        output = squeeze(output, batch_axis)
    if not need_weights:
        return output, None
    if average_weights:
        weights = mean(weights, axis=1)
    return output, weights if batched else squeeze(weights, 0)


def _in_heads(x: Any, heads: int, batch_first: bool) -> Any:
    """Shape (batch, heads, positions, width)."""
    one, other, width = unwrap(x).shape
    apart = reshape(x, (one, other, heads, width // heads))
    return permute_dims(apart, (0, 2, 1, 3) if batch_first else (1, 2, 0, 3))


def _static(name: str, argument: str, x: Array, like: Any) -> Any:
    """Keys or values that need no projection, in heads."""
    batch, heads, _, width = unwrap(like).shape
    shape = tuple(unwrap(x).shape)
    if len(shape) != 3 or shape[0] != batch * heads or shape[2] != width:
        raise ShapeError(
            f"{argument}: {name} expects shape (batch * num_heads, keys, embed_dim / num_heads), here "
            f"({batch * heads}, keys, {width}), got {shape}."
        )
    return reshape(x, (batch, heads, shape[1], width))


def _with_extra(k: Any, v: Any, bias_k: Any, bias_v: Any, zeros: bool) -> tuple[Any, Any]:
    """Keys and values with the learned ones and the zeros."""
    batch, heads, _, width = unwrap(k).shape
    shape, one = (batch, heads, 1, width), (1, heads, 1, width)
    if bias_k is not None:
        k = concat([k, broadcast_to(reshape(bias_k, one), shape)], axis=-2)
        v = concat([v, broadcast_to(reshape(bias_v, one), shape)], axis=-2)
    if zeros:
        zero = full_beside(k, shape, 0.0)
        k, v = concat([k, zero], axis=-2), concat([v, zero], axis=-2)
    return k, v


def _mask(name: str, padding: Any, mask: Any, q: Any, keys: int, extra: int, batched: bool) -> Any:
    """Both masks as one, in the form of :func:`scaled_dot_product_attention`."""
    batch, heads, queries, _ = unwrap(q).shape
    masks = []
    if padding is not None:
        wanted = (batch, keys) if batched else (keys,)
        _check_mask(name, "key_padding_mask", padding, q, [wanted])
        masks.append(reshape(padding, (batch, 1, 1, keys)))
    if mask is not None:
        _check_mask(name, "attn_mask", mask, q, [(queries, keys), (batch * heads, queries, keys)])
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


def _check_mask(name: str, argument: str, mask: Any, q: Any, shapes: list[tuple[int, ...]]) -> None:
    array, its = unwrap(mask), unwrap(q)
    found = require_backend_of(array, argument).dtype_of(array)
    wanted = require_backend_of(its, "query").dtype_of(its)
    if found.name != "bool" and found != wanted:
        raise DTypeError(
            f"{argument}: {name} expects booleans, True where not to look, or numbers of the query's data type "
            f"{wanted.name}; got {found.name}. Convert it with portanet.astype."
        )
    if tuple(array.shape) not in shapes:
        text = " or ".join(str(shape) for shape in shapes)
        raise ShapeError(f"{argument}: {name} expects shape {text}, got {tuple(array.shape)}.")


def _check_weight(name: str, argument: str, weight: Any, wanted: tuple[int | None, ...]) -> None:
    """Raise unless a parameter has this shape, of which None is any length."""
    text = f"({', '.join('any' if n is None else str(n) for n in wanted)}{',' if len(wanted) == 1 else ''})"
    if weight is None:
        raise OptionError(f"{argument}: {name} expects an array of shape {text} for these options, got None.")
    require_backend_of(unwrap(weight), argument)
    shape = tuple(unwrap(weight).shape)
    if len(shape) != len(wanted) or any(n is not None and n != m for n, m in zip(wanted, shape, strict=True)):
        raise ShapeError(f"{argument}: {name} expects shape {text}, got {shape}.")
