"""Linear and bilinear maps."""

from __future__ import annotations

from math import prod
from typing import Any

from portanet.backend import require_backend_of
from portanet.errors import DTypeError, ShapeError
from portanet.functions.linear_algebra import matmul
from portanet.functions.manipulation import moveaxis, reshape
from portanet.ops import layers
from portanet.protocols import Array
from portanet.tensor import lift, unwrap

__all__ = ["bilinear", "linear"]

linear = lift(layers.linear)


def bilinear(input1: Array, input2: Array, weight: Array, bias: Array | None = None) -> Any:
    """``input1 @ weight[k] @ input2 + bias[k]`` for each output feature k.

    Parameters
    ----------
    input1 : Array
        Shape (..., in1_features).
    input2 : Array
        Shape (..., in2_features), with the same leading axes.
    weight : Array
        Shape (out_features, in1_features, in2_features).
    bias : Array, optional
        Shape (out_features,).

    Returns
    -------
    Array
        Shape (..., out_features).
    """
    arrays = {"input1": input1, "input2": input2, "weight": weight}
    if bias is not None:
        arrays["bias"] = bias
    _check_bilinear({name: unwrap(array) for name, array in arrays.items()})
    out, in1, in2 = unwrap(weight).shape
    leading = tuple(unwrap(input1).shape[:-1])
    rows = prod(leading)
    by_input = reshape(moveaxis(weight, 1, 0), (in1, out * in2))
    half = matmul(reshape(input1, (rows, in1)), by_input)  # (rows, in1) @ (in1, out * in2)
    r = matmul(
        reshape(half, (rows, out, in2)), reshape(input2, (rows, in2, 1))
    )  # (rows, out, in2) @ (rows, in2, 1)
    r = reshape(r, (*leading, out))
    return r if bias is None else r + bias


def _check_bilinear(arrays: dict[str, Array]) -> None:
    backends = {name: require_backend_of(array, name) for name, array in arrays.items()}
    weight = tuple(arrays["weight"].shape)
    if len(weight) != 3:
        raise ShapeError(
            f"weight: bilinear expects shape (out_features, in1_features, in2_features), got {weight}."
        )
    for name, features in (("input1", weight[1]), ("input2", weight[2])):
        shape = tuple(arrays[name].shape)
        if not shape or shape[-1] != features:
            raise ShapeError(
                f"{name}: bilinear expects {features} features on the last axis, as weight has shape {weight}; got "
                f"shape {shape}."
            )
    one, other = tuple(arrays["input1"].shape[:-1]), tuple(arrays["input2"].shape[:-1])
    if one != other:
        raise ShapeError(f"input2: bilinear expects the leading axes of input1, {one}, got {other}.")
    if "bias" in arrays and tuple(arrays["bias"].shape) != weight[:1]:
        raise ShapeError(
            f"bias: bilinear expects shape {weight[:1]}, one for each output feature, got "
            f"{tuple(arrays['bias'].shape)}."
        )
    dtype = backends["weight"].dtype_of(arrays["weight"])
    for name, backend in backends.items():
        came = backend.dtype_of(arrays[name])
        if came != dtype:
            raise DTypeError(
                f"{name}: bilinear expects the data type of weight, {dtype.name}, got {came.name}. Convert it with "
                f"portanet.astype({name}, portanet.{dtype.name})."
            )
