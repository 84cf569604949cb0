"""Averages of a model's weights over the steps of training, with PyTorch's names of ``torch.optim.swa_utils``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

from portanet.checks import check_number
from portanet.dtypes import Device, float32, int64
from portanet.errors import OptionError, ShapeError
from portanet.graph import no_grad
from portanet.nn.batch_normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d
from portanet.nn.module import Module, overwrite
from portanet.tensor import Tensor, asarray

__all__ = [
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

AverageFunction = Callable[[Tensor, Tensor, int], Tensor]
"""The new average of the old one, the current value, and how many the old one is of."""
ListFunction = Callable[[Sequence[Tensor], Sequence[Tensor], int], None]
"""The same for lists; it changes the Tensors of the first list."""


def get_swa_avg_fn() -> AverageFunction:
    """The mean of all models: ``average + (current - average) / (count + 1)``.

    Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI 2018.
    """

    def swa_update(averaged: Tensor, current: Tensor, num_averaged: int) -> Tensor:
        new: Tensor = averaged + (current - averaged) / (num_averaged + 1)
        return new

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> AverageFunction:
    """The running mean: ``decay * average + (1 - decay) * current``.

    Parameters
    ----------
    decay : float, default 0.999
        How much of the average is kept, from 0 to 1.
    """
    check_number("decay", decay, low=0.0, high=1.0)

    def ema_update(averaged: Tensor, current: Tensor, num_averaged: int) -> Tensor:
        new: Tensor = decay * averaged + (1 - decay) * current
        return new

    return ema_update


def get_swa_multi_avg_fn() -> ListFunction:
    """As :func:`get_swa_avg_fn`, for lists of Tensors."""
    return _each(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay: float = 0.999) -> ListFunction:
    """As :func:`get_ema_avg_fn`, for lists of Tensors.

    Parameters
    ----------
    decay : float, default 0.999
        How much of the average is kept, from 0 to 1.
    """
    return _each(get_ema_avg_fn(decay))


def _each(average: AverageFunction) -> ListFunction:
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], num_averaged: int) -> None:
        with no_grad():
            for old, new in zip(averaged, current, strict=True):
                old.data = average(old, new, num_averaged).data

    return update


class AveragedModel(Module):
    """A copy of a model whose parameters are the average of the model's over the calls of :meth:`update_parameters`.

    Parameters
    ----------
    model : Module
        It is copied, and not kept.
    device : Device or str, optional
        Where the average is kept; default: where the model is.
    avg_fn : callable, optional
        ``avg_fn(averaged, current, num_averaged)`` returns the new average of one parameter; default: the mean of all,
        :func:`get_swa_avg_fn`.
    multi_avg_fn : callable, optional
        ``multi_avg_fn(averaged, current, num_averaged)`` changes the Tensors of its first list; in place of ``avg_fn``.
    use_buffers : bool, default False
        Average buffers as well; else they are the model's newest.

    Notes
    -----
    ``num_averaged`` is an ``int``, and the buffer ``n_averaged`` holds it, so that it is saved. It is read from the
    device only once after it was loaded.

    Examples
    --------
    >>> model = pn.nn.Linear(2, 1)
    >>> from portanet.optim.averaging import AveragedModel, get_ema_avg_fn
    >>> average = AveragedModel(model, avg_fn=get_ema_avg_fn(0.9))
    >>> average.update_parameters(model)
    >>> average(pn.ones((3, 2))).shape
    (3, 1)
    >>> sorted(average.state_dict())
    ['module.bias', 'module.weight', 'n_averaged']
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Device | str | None = None,
        avg_fn: AverageFunction | None = None,
        multi_avg_fn: ListFunction | None = None,
        use_buffers: bool = False,
    ) -> None:
        if not isinstance(model, Module):
            raise TypeError(f"model: expected a Module, got {type(model).__name__}.")
        if avg_fn is not None and multi_avg_fn is not None:
            raise OptionError("avg_fn: pass it or multi_avg_fn, not both.")
        copied = deepcopy(model)
        self.module = copied if device is None else copied.to(device)
        first = next(chain(self.module.parameters(), self.module.buffers()), None)
        place = device if first is None else first.device
        self.register_buffer("n_averaged", asarray(0, dtype=int64, device=place))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers
        self._count = 0
        self._counted: Any = self.n_averaged.data

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model returns."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the model as it is now into the average.

        Raises
        ------
        ShapeError
            If its parameters or buffers are others than those of the model that was copied.
        """
        mine: list[Tensor] = [*self.module.parameters()]
        its: list[Tensor] = [*model.parameters()]
        my_buffers, its_buffers = [*self.module.buffers()], [*model.buffers()]
        if [x.shape for x in (*mine, *my_buffers)] != [x.shape for x in (*its, *its_buffers)]:
            raise ShapeError(
                "model: its parameters or buffers are not those of the model that is averaged. Pass that one."
            )
        if self.use_buffers:
            mine, its, my_buffers, its_buffers = [*mine, *my_buffers], [*its, *its_buffers], [], []
        if self.n_averaged.data is not self._counted:
            self._count = int(self.n_averaged.item())  # type: ignore[arg-type]
        with no_grad():
            current = [
                new.detach().to(old.device, dtype=old.dtype) for old, new in zip(mine, its, strict=True)
            ]
            if self._count == 0:
                averages = [new.clone() for new in current]
            else:
                averages = self._averages([old.detach() for old in mine], current)
            for old, new in zip(mine, averages, strict=True):
                overwrite(old, new.data)
            for old, new in zip(my_buffers, its_buffers, strict=True):
                overwrite(old, new.detach().to(old.device, dtype=old.dtype, copy=True).data)
            self._count += 1
            overwrite(self.n_averaged, (self.n_averaged.detach() + 1).data)
        self._counted = self.n_averaged.data

    def _averages(self, old: list[Tensor], current: list[Tensor]) -> list[Tensor]:
        """The new averages; whole numbers, such as counts, are averaged as float32 and cut off."""
        kinds = [tensor.dtype for tensor in old]
        old = [x if x.dtype.is_differentiable else x.to(dtype=float32) for x in old]
        current = [x if x.dtype.is_differentiable else x.to(dtype=float32) for x in current]
        if self.multi_avg_fn is not None:
            together: dict[Any, list[int]] = {}
            for i, tensor in enumerate(old):
                together.setdefault((tensor.device, tensor.dtype), []).append(i)
            for places in together.values():
                self.multi_avg_fn([old[i] for i in places], [current[i] for i in places], self._count)
            new = old
        else:
            average = self.avg_fn or get_swa_avg_fn()
            new = [average(x, y, self._count) for x, y in zip(old, current, strict=True)]
        return [x if x.dtype == kind else x.to(dtype=kind) for x, kind in zip(new, kinds, strict=True)]


def update_bn(loader: Iterable[Any], model: Module, device: Device | str | None = None) -> None:
    """Take the statistics of batch normalisation anew, as the mean over all batches of a loader.

    The statistics of an averaged model belong to none of the models that were averaged, so it needs this once before it
    is used.

    Parameters
    ----------
    loader : iterable
        Of batches; of a tuple or list the first is what the model is called with.
    model : Module
        It is called on each batch in training mode, without a graph. Its mode is restored.
    device : Device or str, optional
        Where batches are moved before.

    Examples
    --------
    >>> from portanet.optim.averaging import update_bn
    >>> model = pn.nn.Sequential(pn.nn.BatchNorm1d(1))
    >>> update_bn([pn.asarray([[1.0], [3.0]]), pn.asarray([[4.0], [6.0]])], model)
    >>> model[0].running_mean, model[0].running_var
    (Tensor([3.5]), Tensor([2.]))
    """
    if not isinstance(model, Module):
        raise TypeError(f"model: expected a Module, got {type(model).__name__}.")
    layers = [part for part in model.modules() if isinstance(part, (BatchNorm1d, BatchNorm2d, BatchNorm3d))]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    modes = [(part, part.training) for part in model.modules()]
    for layer in layers:
        layer.reset_running_stats()
    try:
        model.train()
        for layer in layers:
            layer.momentum = None
        with no_grad():
            for batch in loader:
                x = batch[0] if isinstance(batch, (list, tuple)) else batch
                model(x if device is None else x.to(device))
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for part, mode in modes:
            part.training = mode
