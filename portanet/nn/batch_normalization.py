"""Normalisation of channels over the batch or within each instance, with running statistics."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

from portanet.backend import require_backend_of
from portanet.checks import check_number, whole_number
from portanet.dtypes import Device, DType, int64
from portanet.errors import ShapeError
from portanet.functions.creation import ones, zeros
from portanet.functions.manipulation import reshape
from portanet.nn import init
from portanet.nn.functional.normalization import (
    batch_norm,
    instance_norm,
    rebind,
)
from portanet.nn.module import Module
from portanet.nn.parameter import Parameter, UninitializedParameter
from portanet.protocols import Array
from portanet.tensor import Tensor, unwrap

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]


class _ChannelNorm(Module):
    """What the layers with running statistics of channels share."""

    ndims: ClassVar[tuple[int, ...]]
    """How many axes the input may have."""

    num_features: int
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def _set_options(
        self, eps: float, momentum: float | None, affine: bool, track_running_stats: bool
    ) -> None:
        check_number("eps", eps, low=0.0)
        if momentum is not None:
            check_number("momentum", momentum)
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats

    def _set_arrays(
        self,
        weight: Parameter | None,
        bias: Parameter | None,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        device: Device | str | None,
    ) -> None:
        self.weight = weight
        self.bias = bias
        self.register_buffer("running_mean", running_mean)
        self.register_buffer("running_var", running_var)
        count = zeros((), dtype=int64, device=device) if self.track_running_stats else None
        self.register_buffer("num_batches_tracked", count)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        self.num_features = whole_number("num_features", num_features, low=0)
        self._set_options(eps, momentum, affine, track_running_stats)
        shape = (self.num_features,)
        self._set_arrays(
            Parameter(ones(shape, dtype=dtype, device=device)) if affine else None,
            Parameter(zeros(shape, dtype=dtype, device=device)) if affine and bias else None,
            zeros(shape, dtype=dtype, device=device) if track_running_stats else None,
            ones(shape, dtype=dtype, device=device) if track_running_stats else None,
            device,
        )

    def reset_running_stats(self) -> None:
        """Forget all batches: running mean 0, running variance 1."""
        if self.running_mean is not None and self.running_var is not None:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked = zeros((), dtype=int64, device=self.num_batches_tracked.device)

    def reset_parameters(self) -> None:
        """Forget all batches, and set weight 1 and bias 0."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_axes(self, x: Array) -> tuple[int, ...]:
        shape = tuple(unwrap(x).shape)
        if len(shape) not in self.ndims:
            wanted = " or ".join(str(ndim) for ndim in self.ndims)
            raise ShapeError(
                f"input: {type(self).__name__} expects {wanted} axes, got an input of shape {shape}."
            )
        return shape

    def _channels_fault(self, shape: tuple[int, ...], axis: int) -> str | None:
        """What is wrong with the number of channels of an input, or None."""
        if shape[axis] == self.num_features:
            return None
        return (
            f"input: {type(self).__name__} expects num_features={self.num_features} channels on axis {axis}, got an "
            f"input of shape {shape}."
        )

    def extra_repr(self) -> str:
        """The number of channels and the options."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_ChannelNorm):
    def forward(self, x: Array) -> Any:
        """Shape (batch, channels, ...); the output has the same."""
        complaint = self._channels_fault(self._check_axes(x), 1)
        if complaint is not None:
            raise ShapeError(complaint)
        tracks = self.training and self.track_running_stats
        momentum: Any = self.momentum
        if tracks and self.num_batches_tracked is not None:
            momentum = self._count_batch()
        has_statistics = self.running_mean is not None or self.running_var is not None
        keeps = tracks or not self.training
        return batch_norm(
            x,
            self.running_mean if keeps else None,
            self.running_var if keeps else None,
            self.weight,
            self.bias,
            self.training or not has_statistics,
            0.0 if momentum is None else momentum,
            self.eps,
        )

    def _count_batch(self) -> Any:
        """Count one batch more; the share that it has in the running statistics."""
        counter: Array = self.num_batches_tracked
        xp = require_backend_of(unwrap(counter), "num_batches_tracked").namespace
        count = xp.asarray(unwrap(counter) + 1)
        if isinstance(counter, Tensor):
            rebind(counter, count)
        if self.momentum is not None or self.running_mean is None:
            return self.momentum
        return 1 / xp.astype(count, unwrap(self.running_mean).dtype)


class BatchNorm1d(_BatchNorm):
    """Normalise each channel by the batch, see :func:`portanet.nn.functional.batch_norm`.

    In training the statistics are the batch's, and the running ones follow them; in evaluation mode, the running ones.

    Parameters
    ----------
    num_features : int
        The number of channels. The input has shape (batch, channels) or (batch, channels, length).
    eps : float, default 1e-5
        Added to the variance.
    momentum : float or None, default 0.1
        How far the running statistics move towards those of a batch; None makes them the mean over all batches.
    affine : bool, default True
        Whether there are ``weight`` and ``bias``.
    track_running_stats : bool, default True
        False keeps no running statistics, and uses the batch's in evaluation mode, too.
    device, dtype
        Of the parameters and buffers.
    bias : bool, default True
        Whether there is a bias, if ``affine``.

    Attributes
    ----------
    weight, bias : Parameter or None
        Shape (num_features,), first 1 and 0.
    running_mean, running_var : Tensor or None
        Buffers of shape (num_features,), first 0 and 1.
    num_batches_tracked : Tensor or None
        A buffer, int64: how many batches there were.

    Examples
    --------
    >>> layer = pn.nn.BatchNorm1d(1)
    >>> layer(pn.asarray([[1.0], [3.0]])).shape, layer.running_mean, layer.running_var
    ((2, 1), Tensor([0.2]), Tensor([1.1]))
    """

    ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """:class:`BatchNorm1d` for inputs of shape (batch, channels, height, width)."""

    ndims = (4,)


class BatchNorm3d(_BatchNorm):
    """:class:`BatchNorm1d` for inputs of shape (batch, channels, depth, height, width)."""

    ndims = (5,)


class _InstanceNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Device | str | None = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, x: Array) -> Any:
        """Shape (batch, channels, ...) or (channels, ...); the output has the same."""
        shape = self._check_axes(x)
        single = len(shape) == self.ndims[0]
        complaint = self._channels_fault(shape, 0 if single else 1)
        if complaint is not None:
            if self.affine or self.track_running_stats:
                raise ShapeError(complaint)
            warnings.warn(f"{complaint} It goes on, for without parameters any number will do.", stacklevel=3)
        r = instance_norm(
            reshape(x, (1, *shape)) if single else x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return reshape(r, shape) if single else r


class InstanceNorm1d(_InstanceNorm):
    """Normalise each channel of each example, see :func:`portanet.nn.functional.instance_norm`.

    Parameters
    ----------
    num_features : int
        The number of channels. The input has shape (batch, channels, length) or (channels, length).
    eps : float, default 1e-5
        Added to the variance.
    momentum : float or None, default 0.1
        How far the running statistics move; None means 0, so that they stay.
    affine : bool, default False
        Whether there are ``weight`` and ``bias``.
    track_running_stats : bool, default False
        Whether there are running statistics, for use in evaluation mode.
    device, dtype
        Of the parameters and buffers.
    bias : bool, default True
        Whether there is a bias, if ``affine``.

    Attributes
    ----------
    weight, bias, running_mean, running_var, num_batches_tracked
        As in :class:`BatchNorm1d`; as in PyTorch the batches are not counted.
    """

    ndims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """:class:`InstanceNorm1d` for inputs of shape (batch, channels, height, width) or (channels, height, width)."""

    ndims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """:class:`InstanceNorm1d` for inputs with depth, height and width behind the channels."""

    ndims = (4, 5)


class _UninitializedBuffer(UninitializedParameter):
    """A buffer whose shape is not known yet: it becomes a Tensor, where a parameter would become a Parameter."""

    __slots__ = ()

    def materialize(self, data: Tensor) -> None:
        """Take on values, and with them a shape."""
        self.__class__ = Tensor  # type: ignore[assignment]
        self._data = data.detach().clone()._data


class _LazyNorm(_ChannelNorm):
    """What the layers share that learn the number of channels from their first input."""

    becomes: ClassVar[type[_ChannelNorm]]

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        self.num_features = 0
        self._set_options(eps, momentum, affine, track_running_stats)
        self._set_arrays(
            UninitializedParameter(dtype, device, (None,)) if affine else None,
            UninitializedParameter(dtype, device, (None,)) if affine and bias else None,
            _pending_buffer(dtype, device) if track_running_stats else None,
            _pending_buffer(dtype, device) if track_running_stats else None,
            device,
        )

    def forward(self, x: Array) -> Any:
        """Take on the number of channels if it is the first input, then normalise."""
        shape = self._check_axes(x)
        plain = self.becomes
        # functional_call puts other arrays in their place, and nothing is decided
        if not self.affine or isinstance(self.weight, Parameter):
            single = issubclass(plain, _InstanceNorm) and len(shape) == self.ndims[0]
            self.materialize(shape[0] if single else shape[1])
        return plain.forward(self, x)

    def _channels_fault(self, shape: tuple[int, ...], axis: int) -> str | None:
        return None

    def materialize(self, num_features: int) -> None:
        """Make parameters and buffers for so many channels; those that a state dict has brought already stay."""
        places = (self.weight, self.bias, self.running_mean, self.running_var)
        for place in places:
            if place is not None and not isinstance(place, UninitializedParameter):
                num_features = place.shape[0]
        for place, value in zip(places, (1.0, 0.0, 0.0, 1.0), strict=True):
            if isinstance(place, UninitializedParameter):
                dtype, device = place.wanted
                make = ones if value else zeros
                place.materialize(make((num_features,), dtype=dtype, device=device))
        self.num_features = num_features
        self.__class__ = self.becomes  # type: ignore[assignment]


def _pending_buffer(dtype: DType | None, device: Device | str | None) -> _UninitializedBuffer:
    buffer = _UninitializedBuffer(dtype, device, (None,))
    buffer.requires_grad_(False)
    return buffer


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """A :class:`BatchNorm1d` that learns ``num_features`` from its first input, and is a plain one from then on.

    Examples
    --------
    >>> layer = pn.nn.LazyBatchNorm1d()
    >>> layer(pn.zeros((4, 3))).shape, type(layer).__name__, layer.num_features
    ((4, 3), 'BatchNorm1d', 3)
    """

    becomes = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """A :class:`BatchNorm2d` that learns ``num_features`` from its first input."""

    becomes = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """A :class:`BatchNorm3d` that learns ``num_features`` from its first input."""

    becomes = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """An :class:`InstanceNorm1d` that learns ``num_features`` from its first input.

    As in PyTorch, ``affine`` and ``track_running_stats`` are True here by default.
    """

    becomes = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """An :class:`InstanceNorm2d` that learns ``num_features`` from its first input."""

    becomes = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """An :class:`InstanceNorm3d` that learns ``num_features`` from its first input."""

    becomes = InstanceNorm3d
