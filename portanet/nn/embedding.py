"""Embeddings: tables whose rows are looked up by their indices."""

from __future__ import annotations

from typing import Any, TypeVar

from portanet.checks import check_number, whole_number
from portanet.dtypes import Device, DType
from portanet.errors import OptionError, ShapeError
from portanet.nn.functional.embedding import MODES, check_no_sparse, check_padding, embedding, embedding_bag
from portanet.nn.functional.normalization import rebind
from portanet.nn.module import Module
from portanet.nn.parameter import Parameter
from portanet.protocols import Array
from portanet.random import normal
from portanet.tensor import Tensor

__all__ = ["Embedding", "EmbeddingBag"]

E = TypeVar("E", bound="Embedding")
B = TypeVar("B", bound="EmbeddingBag")


class _Table(Module):
    """What both embeddings share: the table and its options."""

    weight: Parameter
    padding_idx: int | None

    def _set_up(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        scale_grad_by_freq: bool,
        sparse: bool,
        weight: Tensor | None,
        freeze: bool,
        device: Device | str | None,
        dtype: DType | None,
    ) -> None:
        name = type(self).__name__
        self.num_embeddings = whole_number("num_embeddings", num_embeddings, low=0)
        self.embedding_dim = whole_number("embedding_dim", embedding_dim, low=0)
        check_no_sparse(name, sparse)
        self.padding_idx = check_padding(name, padding_idx, self.num_embeddings)
        if max_norm is not None:
            check_number("max_norm", max_norm, low=0.0)
        check_number("norm_type", norm_type)
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        shape = (self.num_embeddings, self.embedding_dim)
        if weight is None:
            self.weight = Parameter(_drawn(shape, self.padding_idx, dtype, device), requires_grad=not freeze)
        elif tuple(weight.shape) != shape:
            raise ShapeError(
                f"_weight: {name} expects shape (num_embeddings, embedding_dim) = {shape}, got {tuple(weight.shape)}."
            )
        else:
            self.weight = Parameter(weight, requires_grad=not freeze)

    def reset_parameters(self) -> None:
        """Draw the table anew; the row that pads is 0."""
        weight = self.weight
        shape = (self.num_embeddings, self.embedding_dim)
        rebind(weight, _drawn(shape, self.padding_idx, weight.dtype, weight.device)._data)

    def _printed_sizes(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"

    def _printed_padding(self) -> str:
        return "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"

    def _printed_options(self) -> str:
        text = ""
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        return text


def _drawn(
    shape: tuple[int, int], padding_idx: int | None, dtype: DType | None, device: Device | str | None
) -> Tensor:
    table = normal(shape, dtype=dtype, device=device)
    if padding_idx is not None:
        table[padding_idx] = 0.0
    return table


def _table_of(embeddings: Any) -> tuple[int, int]:
    shape = tuple(embeddings.shape)
    if len(shape) != 2:
        raise ShapeError(f"embeddings: from_pretrained expects shape (rows, features), got {shape}.")
    return shape[0], shape[1]


class Embedding(_Table):
    """A table of vectors, looked up by their indices, see :func:`portanet.nn.functional.embedding`.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        The numbers of rows and of features.
    padding_idx : int, optional
        A row that gets no gradient and begins as 0; a negative number counts from the end.
    max_norm : float, optional
        Rows that are asked for are scaled down, in place, to a norm of at most this.
    norm_type : float, default 2
        The p of that norm.
    scale_grad_by_freq : bool, default False
        Divide the gradient of each row by how often its index comes in a batch.
    sparse : bool, default False
        True is refused: gradients are arrays.
    device, dtype
        Of the table.

    Attributes
    ----------
    weight : Parameter
        Shape (num_embeddings, embedding_dim), from the standard normal distribution.

    Examples
    --------
    >>> layer = pn.nn.Embedding(10, 3, padding_idx=0)
    >>> layer(pn.asarray([[1, 2], [4, 0]])).shape, layer.weight.detach()[0, ...]
    ((2, 2, 3), Tensor([0., 0., 0.]))
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        self._set_up(
            num_embeddings,
            embedding_dim,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight,
            _freeze,
            device,
            dtype,
        )

    @classmethod
    def from_pretrained(
        cls: type[E],
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> E:
        """A layer with a copy of this table, shape (rows, features); frozen unless ``freeze`` is False."""
        return cls(
            *_table_of(embeddings),
            padding_idx=padding_idx,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            sparse=sparse,
            _weight=embeddings,
            _freeze=freeze,
        )

    def forward(self, input: Array) -> Any:
        """Indices of any shape; the output has an axis of features behind theirs."""
        return embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq
        )

    def extra_repr(self) -> str:
        """The sizes and the options that differ from the defaults."""
        return self._printed_sizes() + self._printed_padding() + self._printed_options()


class EmbeddingBag(_Table):
    """Sums, means or maxima of embeddings over bags, see :func:`portanet.nn.functional.embedding_bag`.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        The numbers of rows and of features.
    max_norm, norm_type, scale_grad_by_freq, sparse
        As in :class:`Embedding`.
    mode : str, default "mean"
        ``"sum"``, ``"mean"`` or ``"max"``.
    include_last_offset : bool, default False
        Whether the offsets have one entry more, where the last bag ends.
    padding_idx : int, optional
        An index that counts as if it were not there; its row begins as 0.
    device, dtype
        Of the table.

    Attributes
    ----------
    weight : Parameter
        Shape (num_embeddings, embedding_dim), from the standard normal distribution.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        if mode not in MODES:
            raise OptionError(f"mode: EmbeddingBag expects 'sum', 'mean' or 'max', got {mode!r}.")
        self.mode = mode
        self.include_last_offset = include_last_offset
        self._set_up(
            num_embeddings,
            embedding_dim,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight,
            False,
            device,
            dtype,
        )

    @classmethod
    def from_pretrained(
        cls: type[B],
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> B:
        """A layer with a copy of this table, shape (rows, features); frozen unless ``freeze`` is False."""
        layer = cls(
            *_table_of(embeddings),
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            mode=mode,
            sparse=sparse,
            _weight=embeddings,
            include_last_offset=include_last_offset,
            padding_idx=padding_idx,
        )
        layer.weight.requires_grad_(not freeze)
        return layer

    def forward(
        self, input: Array, offsets: Array | None = None, per_sample_weights: Array | None = None
    ) -> Any:
        """Indices of shape (bags, n), or (n,) with offsets; the output has shape (bags, embedding_dim)."""
        return embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            False,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        """The sizes and the options that differ from the defaults."""
        return (
            f"{self._printed_sizes()}{self._printed_options()}, mode={self.mode!r}{self._printed_padding()}"
        )
