"""Every floating-point op against PyTorch, forward and backward, in single and in double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import portanet as pn
from portanet.ops import elementwise, indexing, layers, linear_algebra, losses, manipulation, reductions
from portanet.protocols import Op
from portanet.tensor import RECORDED_OPS
from portanet.testing.samples import SAMPLES, Sample, ops
from tests.parity.comparison import BOUNDS, assert_near

torch = pytest.importorskip("torch", reason="it is what these tests compare with")

# PyTorch warns of this wherever the variance has no elements at all, right or not.
pytestmark = pytest.mark.filterwarnings("ignore:.*degrees of freedom is <= 0:UserWarning")

F = torch.nn.functional


def clip(x: Any, low: Any, high: Any) -> Any:
    return x + 0.0 if low is None and high is None else torch.clamp(x, low, high)


def as_tensors(function: Callable[..., Any]) -> Callable[..., Any]:
    """For functions of PyTorch that take no Python numbers."""

    def called(x: Any, y: Any) -> Any:
        like = x if isinstance(x, torch.Tensor) else y
        return function(*(torch.as_tensor(part, dtype=like.dtype) for part in (x, y)))

    return called


def setitem(x: Any, value: Any, *, key: Any) -> Any:
    r = x.clone()
    r[key] = value
    return r


def index_add(x: Any, indices: Any, values: Any, *, axis: int = 0) -> Any:
    return torch.index_add(x, axis, (indices % x.shape[axis]).to(torch.int64), values)


def take(x: Any, indices: Any, *, axis: int = 0) -> Any:
    return torch.index_select(x, axis, indices.to(torch.int64))


def take_along_axis(x: Any, indices: Any, *, axis: int = -1) -> Any:
    return torch.take_along_dim(x, (indices % x.shape[axis]).to(torch.int64), dim=axis)


def concat(*arrays: Any, axis: int | None) -> Any:
    return torch.concat([x.reshape(-1) for x in arrays] if axis is None else arrays, dim=axis or 0)


def flip(x: Any, *, axis: Any = None) -> Any:
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    return torch.flip(x, tuple(axes))


def roll(x: Any, *, shift: Any, axis: Any = None) -> Any:
    return torch.roll(x, shift, axis)


def one_axis_after_another(x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    for a in sorted((a % x.ndim for a in axes), reverse=True):
        x = torch.prod(x, dim=a, keepdim=keepdims)
    return x


def reduced(function: Callable[..., Any]) -> Callable[..., Any]:
    def called(x: Any, *, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
        axes = tuple(range(x.ndim)) if axis is None else axis
        return x + 0.0 if axes == () else function(x, dim=axes, keepdim=keepdims, **options)

    return called


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    def called(x: Any, *, axis: Any = None, keepdims: bool = False, correction: float = 0.0) -> Any:
        axes = tuple(range(x.ndim)) if axis is None else axis
        return function(x, dim=axes, keepdim=keepdims, correction=correction)

    return called


def binary_cross_entropy(x: Any, target: Any, weight: Any, *, reduction: str) -> Any:
    return F.binary_cross_entropy(x, target, weight, reduction=reduction)


def bce_with_logits(x: Any, target: Any, weight: Any, pos_weight: Any, *, reduction: str) -> Any:
    return F.binary_cross_entropy_with_logits(x, target, weight, pos_weight=pos_weight, reduction=reduction)


def cross_entropy(x: Any, target: Any, weight: Any, *, axis: int, **options: Any) -> Any:
    integers = target if target.is_floating_point() else target.to(torch.int64)
    return F.cross_entropy(x, integers, weight, **options)


# fmt: off
SAME_NAME = [
    "abs", "acos", "acosh", "add", "asin", "asinh", "atan", "atanh", "conj", "copysign", "cos", "cosh", "divide",
    "exp", "expm1", "log", "log10", "log1p", "log2", "multiply", "negative", "positive", "pow", "real",
    "reciprocal", "sin", "sinh", "sqrt", "square", "subtract", "tan", "tanh", "where",
]
# fmt: on
PEERS: dict[Op, Callable[..., Any]] = {
    **{getattr(elementwise, name): getattr(torch, name) for name in SAME_NAME},
    elementwise.atan2: as_tensors(torch.atan2),
    elementwise.clip: clip,
    elementwise.hypot: as_tensors(torch.hypot),
    elementwise.logaddexp: as_tensors(torch.logaddexp),
    elementwise.maximum: as_tensors(torch.maximum),
    elementwise.minimum: as_tensors(torch.minimum),
    elementwise.remainder: as_tensors(torch.remainder),
    indexing.getitem: lambda x, *, key: x[key],
    indexing.index_add: index_add,
    indexing.setitem: setitem,
    indexing.take: take,
    indexing.take_along_axis: take_along_axis,
    layers.linear: F.linear,
    layers.log_softmax: lambda x, *, axis: F.log_softmax(x, dim=axis),
    layers.relu: F.relu,
    layers.sigmoid: torch.sigmoid,
    layers.softmax: lambda x, *, axis: F.softmax(x, dim=axis),
    layers.softplus: F.softplus,
    linear_algebra.matmul: torch.matmul,
    linear_algebra.tensordot: lambda x, y, *, axes=2: torch.tensordot(x, y, dims=axes),
    linear_algebra.vecdot: lambda x, y, *, axis=-1: torch.linalg.vecdot(x, y, dim=axis),
    losses.binary_cross_entropy: binary_cross_entropy,
    losses.binary_cross_entropy_with_logits: bce_with_logits,
    losses.cross_entropy: cross_entropy,
    losses.mse_loss: F.mse_loss,
    losses.soft_cross_entropy: cross_entropy,
    manipulation.astype: lambda x, *, dtype, copy=True: x.to(getattr(torch, dtype)),
    manipulation.broadcast_to: lambda x, *, shape: torch.broadcast_to(x, shape),
    manipulation.concat: concat,
    manipulation.expand_dims: lambda x, *, axis: torch.unsqueeze(x, axis),
    manipulation.flip: flip,
    manipulation.matrix_transpose: lambda x: x.mT,
    manipulation.moveaxis: lambda x, *, source, destination: torch.moveaxis(x, source, destination),
    manipulation.permute_dims: lambda x, *, axes: torch.permute(x, axes),
    manipulation.reshape: lambda x, *, shape, copy=None: torch.reshape(x, shape),
    manipulation.roll: roll,
    manipulation.squeeze: lambda x, *, axis: torch.squeeze(x, axis),
    manipulation.stack: lambda *arrays, axis: torch.stack(arrays, dim=axis),
    manipulation.tril: lambda x, *, k=0: torch.tril(x, diagonal=k),
    manipulation.triu: lambda x, *, k=0: torch.triu(x, diagonal=k),
    reductions.max: reduced(torch.amax),
    reductions.mean: reduced(torch.mean),
    reductions.min: reduced(torch.amin),
    reductions.prod: one_axis_after_another,
    reductions.std: spread(torch.std),
    reductions.sum: reduced(torch.sum),
    reductions.var: spread(torch.var),
}
SUMS_OF_PRODUCTS = {
    layers.linear,
    linear_algebra.matmul,
    linear_algebra.tensordot,
    linear_algebra.vecdot,
    reductions.mean,
    reductions.sum,
}
"""Their terms may cancel, so the same of the absolute values says how large an error is."""
NO_GRADIENT_IN_TORCH: dict[Op, tuple[int, ...]] = {
    losses.binary_cross_entropy: (2,),
    losses.binary_cross_entropy_with_logits: (2, 3),
    losses.cross_entropy: (2,),
    losses.soft_cross_entropy: (2,),
}
"""Operands, all of them weights, that PyTorch does not differentiate by."""


def test_every_op_with_a_gradient_is_compared() -> None:
    """Here, or in the file of its chapter beside this one."""
    apart = {elementwise.imag}  # which is in tests/parity/test_complex.py
    assert set(PEERS) == set(ops.SAMPLES) - apart


def is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def takes(sample: Sample) -> bool:
    """Whether PyTorch can do it at all: it has no negative steps."""
    key = sample.options.get("key")
    parts = key if isinstance(key, tuple) else (key,)
    return not any(isinstance(part, slice) and (part.step or 1) < 0 for part in parts)


def in_torch(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(in_torch(part) for part in value)
    return torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value


def in_portanet(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(in_portanet(part) for part in value)
    return pn.asarray(value) if isinstance(value, np.ndarray) else value


def call(op: Op, operands: list[Any], options: dict[str, Any]) -> Any:
    if op is indexing.getitem:
        return operands[0][options["key"]]
    if op is indexing.setitem:
        return setitem(operands[0], operands[1], key=options["key"])
    return RECORDED_OPS[op](*operands, **options)


@pytest.mark.parametrize("op", PEERS, ids=lambda op: op.__name__)
def test_value_and_gradient_are_pytorchs(op: Op, backend: str, rng: Any) -> None:
    samples = [
        (number, sample)
        for number, sample in enumerate(SAMPLES[op])
        if takes(sample) and not any(np.iscomplexobj(operand) for operand in sample.operands(rng))
    ]  # for complex numbers there is tests/parity/test_complex.py
    assert samples
    if backend == "jax":  # compiles each op for each shape and type
        compare(op, *samples[0], "float32", rng)
        return
    for dtype in BOUNDS:
        for number, sample in samples:
            compare(op, number, sample, dtype, rng)


def compare(op: Op, number: int, sample: Sample, dtype: str, rng: Any) -> None:
    operands = [o.astype(dtype) if is_float(o) else o for o in sample.operands(rng)]
    options = {name: dtype if name == "dtype" else value for name, value in sample.options.items()}
    note = (
        f"sample {number}: shapes {[np.shape(operand) for operand in operands]}, {dtype}, options {options}"
    )
    constant = (*sample.constant, *NO_GRADIENT_IN_TORCH.get(op, ()))
    wanted = [i for i, operand in enumerate(operands) if is_float(operand) and i not in constant]
    theirs = [in_torch(operand) for operand in operands]
    ours = [in_portanet(operand) for operand in operands]
    for i in wanted:
        theirs[i].requires_grad_()
        ours[i] = pn.Tensor(ours[i], requires_grad=True)
    for_torch = {name: in_torch(value) for name, value in options.items()}
    expected = PEERS[op](*theirs, **for_torch)
    lifted = {name: getattr(pn, dtype) if name == "dtype" else in_portanet(v) for name, v in options.items()}
    found = call(op, ours, lifted)
    size = 0.0
    if op in SUMS_OF_PRODUCTS and expected.numel():
        sizes = [in_torch(np.abs(o)) if is_float(o) else in_torch(o) for o in operands]
        size = float(PEERS[op](*sizes, **for_torch).max())
    assert_near(found, expected, note, scale=size)
    if not expected.requires_grad:
        assert not found.requires_grad
        return
    cotangent = np.asarray(rng.normal(size=found.shape)).astype(dtype)
    gradients = pn.grad(found, [ours[i] for i in wanted], pn.asarray(cotangent))
    truth = torch.autograd.grad(expected, [theirs[i] for i in wanted], torch.from_numpy(cotangent))
    # The gradient of an operand that was broadcast is a sum, too: all of them together are one vector, with one size.
    size = max((float(true.abs().max()) for true in truth if true.numel()), default=0.0)
    for i, gradient, true in zip(wanted, gradients, truth, strict=True):
        assert_near(gradient, true, f"{note}, gradient of operand {i + 1}", scale=size)
