"""Transformers: layers of attention and of a small network for each position (Vaswani et al., 2017)."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from portanet.dtypes import Device, DType
from portanet.errors import OptionError, ShapeError
from portanet.functions.creation import full
from portanet.functions.manipulation import triu
from portanet.nn import init
from portanet.nn.attention import MultiheadAttention, _xavier_bound
from portanet.nn.containers import ModuleList
from portanet.nn.dropout import Dropout
from portanet.nn.functional.activation import relu
from portanet.nn.functional.gates import gelu
from portanet.nn.linear import Linear
from portanet.nn.module import Module
from portanet.nn.normalization import LayerNorm
from portanet.protocols import Array
from portanet.tensor import Tensor, unwrap

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]

Activation = str | Callable[[Any], Any]


def _activation(activation: Activation) -> Callable[[Any], Any]:
    if callable(activation):
        return activation
    known: dict[str, Callable[[Any], Any]] = {"relu": relu, "gelu": gelu}
    if activation not in known:
        raise OptionError(f"activation: expected 'relu', 'gelu' or a function, got {activation!r}.")
    return known[activation]


class TransformerEncoderLayer(Module):
    """Self-attention, then a small network for each position; each added to its input and normalized.

    ``x = norm1(x + attention(x))``, then ``x = norm2(x + linear2(activation(linear1(x))))``; with ``norm_first``
    ``x = x + attention(norm1(x))`` and so on (Xiong et al., 2020).

    Parameters
    ----------
    d_model : int
        Length of the last axis of input and output.
    nhead : int
        Number of heads.
    dim_feedforward : int, default 2048
        Width of the small network.
    dropout : float, default 0.1
        The probability with which an element becomes 0 in training: of the weights of attention, of what is added, and
        inside the small network.
    activation : str or callable
        ``"relu"``, ``"gelu"`` or a function of an array.
    layer_norm_eps : float, default 1e-5
        What is added to the variance.
    batch_first : bool, default False
        Whether arrays are (batch, positions, d_model) instead of (positions, batch, d_model).
    norm_first : bool, default False
        Whether inputs are normalized instead of sums.
    bias : bool, default True
        Whether there are biases, in the normalization too.
    device, dtype
        Of the parameters.

    Examples
    --------
    >>> layer = pn.nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=16, batch_first=True)
    >>> layer(pn.zeros((3, 5, 8))).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **place)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **place)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **place)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = _activation(activation)

    def forward(
        self,
        src: Array,
        src_mask: Array | None = None,
        src_key_padding_mask: Array | None = None,
        is_causal: bool = False,
    ) -> Any:
        """Map ``src`` of shape (positions, batch, d_model), or (positions, d_model), to the same shape.

        Parameters
        ----------
        src : Array
            The input; (batch, positions, d_model) with ``batch_first``.
        src_mask, src_key_padding_mask, is_causal
            ``attn_mask``, ``key_padding_mask`` and ``is_causal`` of :class:`MultiheadAttention`.
        """
        x: Any = src
        if self.norm_first:
            x = x + self._attend(self.norm1(x), src_mask, src_key_padding_mask, is_causal)
            return x + self._feed(self.norm2(x))
        x = self.norm1(x + self._attend(x, src_mask, src_key_padding_mask, is_causal))
        return self.norm2(x + self._feed(x))

    def _attend(self, x: Any, mask: Any, padding: Any, is_causal: bool) -> Any:
        mixed, _ = self.self_attn(
            x, x, x, key_padding_mask=padding, need_weights=False, attn_mask=mask, is_causal=is_causal
        )
        return self.dropout1(mixed)

    def _feed(self, x: Any) -> Any:
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerDecoderLayer(Module):
    """Self-attention, attention to the encoder's output, then a small network for each position.

    Parameters
    ----------
    d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, device, dtype
        As for :class:`TransformerEncoderLayer`.

    Examples
    --------
    >>> layer = pn.nn.TransformerDecoderLayer(8, nhead=2, dim_feedforward=16, batch_first=True)
    >>> layer(pn.zeros((3, 5, 8)), pn.zeros((3, 7, 8))).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **place)
        self.multihead_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, **place
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, **place)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **place)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.activation = _activation(activation)

    def forward(
        self,
        tgt: Array,
        memory: Array,
        tgt_mask: Array | None = None,
        memory_mask: Array | None = None,
        tgt_key_padding_mask: Array | None = None,
        memory_key_padding_mask: Array | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """Map ``tgt`` of shape (positions, batch, d_model), or (positions, d_model), to the same shape.

        Parameters
        ----------
        tgt : Array
            The input; (batch, positions, d_model) with ``batch_first``.
        memory : Array
            The encoder's output, laid out alike.
        tgt_mask, tgt_key_padding_mask, tgt_is_causal
            Masks of the self-attention, as in :class:`MultiheadAttention`.
        memory_mask, memory_key_padding_mask, memory_is_causal
            Masks of the attention to ``memory``.
        """
        x: Any = tgt

        def attend(y: Any) -> Any:
            mixed, _ = self.self_attn(y, y, y, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)
            return self.dropout1(mixed)

        def look_back(y: Any) -> Any:
            mixed, _ = self.multihead_attn(
                y, memory, memory, memory_key_padding_mask, False, memory_mask, is_causal=memory_is_causal
            )
            return self.dropout2(mixed)

        if self.norm_first:
            x = x + attend(self.norm1(x))
            x = x + look_back(self.norm2(x))
            return x + self._feed(self.norm3(x))
        x = self.norm1(x + attend(x))
        x = self.norm2(x + look_back(x))
        return self.norm3(x + self._feed(x))

    def _feed(self, x: Any) -> Any:
        return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerEncoder(Module):
    """Several encoder layers, one after another.

    Parameters
    ----------
    encoder_layer : Module
        The layer that is copied, its values included; apply an initialization to each if they shall differ.
    num_layers : int
        How many.
    norm : Module, optional
        Applied at the end.
    enable_nested_tensor, mask_check : bool
        For PyTorch's signature; they change nothing here. (In evaluation PyTorch may write zeros at padded positions.)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        self.layers = ModuleList([deepcopy(encoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        src: Array,
        mask: Array | None = None,
        src_key_padding_mask: Array | None = None,
        is_causal: bool | None = None,
    ) -> Any:
        """Call each layer on the output of the one before; arguments as for :class:`TransformerEncoderLayer`."""
        x: Any = src
        for layer in self.layers:
            x = layer(x, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=bool(is_causal))
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(Module):
    """Several decoder layers, one after another.

    Parameters
    ----------
    decoder_layer : Module
        The layer that is copied, its values included.
    num_layers : int
        How many.
    norm : Module, optional
        Applied at the end.
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers = ModuleList([deepcopy(decoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Array,
        memory: Array,
        tgt_mask: Array | None = None,
        memory_mask: Array | None = None,
        tgt_key_padding_mask: Array | None = None,
        memory_key_padding_mask: Array | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """Call each layer on the output of the one before; arguments as for :class:`TransformerDecoderLayer`."""
        x: Any = tgt
        for layer in self.layers:
            x = layer(
                x,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=bool(tgt_is_causal),
                memory_is_causal=memory_is_causal,
            )
        return x if self.norm is None else self.norm(x)


class Transformer(Module):
    """Encoder and decoder, each with a normalization at its end.

    Parameters
    ----------
    d_model, nhead : int
        As for :class:`TransformerEncoderLayer`; default 512 and 8.
    num_encoder_layers, num_decoder_layers : int, default 6
        How many layers.
    dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, device, dtype
        As for :class:`TransformerEncoderLayer`.
    custom_encoder, custom_decoder : Module, optional
        Used instead.

    Examples
    --------
    >>> model = pn.nn.Transformer(8, 2, 1, 1, dim_feedforward=16, batch_first=True)
    >>> mask = pn.nn.Transformer.generate_square_subsequent_mask(4)
    >>> model(pn.zeros((3, 5, 8)), pn.zeros((3, 4, 8)), tgt_mask=mask).shape
    (3, 4, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        options = (dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)
        encoder, decoder = custom_encoder, custom_decoder
        if encoder is None:
            layer: Module = TransformerEncoderLayer(d_model, nhead, *options, **place)
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
            encoder = TransformerEncoder(layer, num_encoder_layers, norm)
        if decoder is None:
            layer = TransformerDecoderLayer(d_model, nhead, *options, **place)
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
            decoder = TransformerDecoder(layer, num_decoder_layers, norm)
        self.encoder = encoder
        self.decoder = decoder
        for parameter in self.parameters():
            if parameter.ndim > 1:
                bound = _xavier_bound(*parameter.shape[:2])
                init.uniform_(parameter, -bound, bound)
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def forward(
        self,
        src: Array,
        tgt: Array,
        src_mask: Array | None = None,
        tgt_mask: Array | None = None,
        memory_mask: Array | None = None,
        src_key_padding_mask: Array | None = None,
        tgt_key_padding_mask: Array | None = None,
        memory_key_padding_mask: Array | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """Encode ``src``, and decode ``tgt`` looking back at it.

        Parameters
        ----------
        src, tgt : Array
            Shapes (source positions, batch, d_model) and (target positions, batch, d_model), with ``batch_first`` the
            first two axes the other way round; or both without the axis of the batch.
        src_mask, tgt_mask, memory_mask, src_key_padding_mask, tgt_key_padding_mask, memory_key_padding_mask
            Masks of the encoder, of the decoder, and of its look back, as in :class:`MultiheadAttention`.
        src_is_causal, tgt_is_causal, memory_is_causal : bool
            Promises about the masks, as in :class:`MultiheadAttention`.

        Returns
        -------
        Array
            Of the shape of ``tgt``.
        """
        shapes = tuple(unwrap(src).shape), tuple(unwrap(tgt).shape)
        for name, shape in zip(("src", "tgt"), shapes, strict=True):
            if len(shape) != len(shapes[0]) or shape[-1:] != (self.d_model,):
                raise ShapeError(
                    f"{name}: Transformer expects src and tgt with as many axes, and {self.d_model} features on the "
                    f"last; got shapes {shapes[0]} and {shapes[1]}."
                )
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            tgt_is_causal,
            memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(
        sz: int, device: Device | str | None = None, dtype: DType | None = None
    ) -> Tensor:
        """The causal mask: minus infinity where a position would look at a later one, else 0; shape (sz, sz).

        Examples
        --------
        >>> pn.nn.Transformer.generate_square_subsequent_mask(2)
        Tensor([[  0., -inf],
                [  0.,   0.]])
        """
        mask: Tensor = triu(full((sz, sz), float("-inf"), device=device, dtype=dtype), k=1)
        return mask
