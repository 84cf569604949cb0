"""PyTorch functions for single ops; each has the signature and the contract of the op that it replaces.

They are here because PyTorch rejects negative steps (``x[::-1]``), reads ``uint8`` indices as a mask, and has a
scatter of its own.
"""

from __future__ import annotations

from typing import Any

import torch

from portanet.ops.scatter import Scatter, scatter_kernels
from portanet.protocols import Array, Namespace, Scalar
from portanet_torch import layers, sorting, windows

__all__ = ["KERNELS"]


def _forward_steps(x: Array, key: Any) -> tuple[Any, list[int]]:
    """The key with every negative step turned round, and the axes of ``x[key]`` that have to be flipped in exchange."""
    parts = key if isinstance(key, tuple) else (key,)
    if not any(isinstance(part, slice) and (part.step or 1) < 0 for part in parts):
        return key, []
    consumed = sum(1 for part in parts if part is not None and part is not Ellipsis)
    axis = result_axis = 0
    turned: list[Any] = []
    flipped = []
    for part in parts:
        if part is Ellipsis:
            skipped = x.ndim - consumed
            axis += skipped
            result_axis += skipped
        elif part is None:
            result_axis += 1
        else:
            if isinstance(part, slice):
                if (part.step or 1) < 0:
                    places = range(*part.indices(x.shape[axis]))[::-1]
                    part = slice(places.start, places.stop, places.step) if places else slice(0, 0)
                    flipped.append(result_axis)
                result_axis += 1
            axis += 1
        turned.append(part)
    return tuple(turned), flipped


_NARROW = (torch.int8, torch.int16, torch.int32, torch.uint8, torch.uint16, torch.uint32, torch.uint64)


def _index(part: Any) -> Any:
    """An index that PyTorch reads as one: integer tensors as int64."""
    if isinstance(part, torch.Tensor) and part.dtype in _NARROW:
        return part.to(torch.int64)
    return part


def _native_key(x: Array, key: Any) -> Any:
    """A key that PyTorch takes: indices as int64; of a mask with an axis of length 0 one that is false everywhere."""
    if isinstance(key, tuple):
        return tuple(_index(part) for part in key)
    if isinstance(key, torch.Tensor) and key.dtype == torch.bool and not key.numel():
        lengths = x.shape[: key.ndim]
        if all(own in (0, length) for own, length in zip(key.shape, lengths, strict=False)):
            return torch.zeros(lengths, dtype=torch.bool, device=x.device)
    return _index(key)


def _read(x: Array, key: Any) -> Array:
    key, flipped = _forward_steps(x, _native_key(x, key))
    part = x[key]
    return torch.flip(part, flipped) if flipped else part


def _add(whole: Array, key: Any, values: Array) -> Array:
    key = _native_key(whole, key)
    parts = key if isinstance(key, tuple) else (key,)
    if (
        len(parts) == 1
        and isinstance(parts[0], torch.Tensor)
        and parts[0].ndim == 1
        and parts[0].dtype != torch.bool
    ):
        length = whole.shape[0]
        return whole.index_add_(0, torch.where(parts[0] < 0, parts[0] + length, parts[0]), values)
    if any(isinstance(part, torch.Tensor) and part.dtype != torch.bool for part in parts):
        device = whole.device
        places = tuple(torch.as_tensor(part, dtype=torch.int64, device=device) for part in parts)
        return whole.index_put_(places, values, accumulate=True)
    key, flipped = _forward_steps(whole, key)
    whole[key] += torch.flip(values, flipped) if flipped else values
    return whole


def _replace(xp: Namespace, x: Array, key: Any, value: Array | Scalar) -> Array:
    key, flipped = _forward_steps(x, _native_key(x, key))
    r = x.clone()
    if flipped and isinstance(value, torch.Tensor):
        value = torch.flip(torch.broadcast_to(value, r[key].shape), flipped)
    r[key] = value
    return r


def _can_compute(x: Array) -> bool:
    """PyTorch stores the wider unsigned integers and can do next to nothing with them."""
    return x.dtype not in (torch.uint16, torch.uint32, torch.uint64)


KERNELS = {
    **scatter_kernels(Scatter(add=_add, replace=_replace, read=_read, index=_index), accepts=_can_compute),
    **layers.KERNELS,
    **sorting.KERNELS,
    **windows.KERNELS,
}
