"""How elementwise functions, activations among them, are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portanet.io.onnx.graph import Condition, Pair, Write

__all__ = ["ELEMENTWISE", "ELEMENTWISE_CONDITIONS"]


UNARY = {
    "abs": "Abs",
    "acos": "Acos",
    "acosh": "Acosh",
    "asin": "Asin",
    "asinh": "Asinh",
    "atan": "Atan",
    "atanh": "Atanh",
    "bitwise_invert": "BitwiseNot",
    "ceil": "Ceil",
    "cos": "Cos",
    "cosh": "Cosh",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "hardswish": "HardSwish",
    "log": "Log",
    "logical_not": "Not",
    "mish": "Mish",
    "negative": "Neg",
    "reciprocal": "Reciprocal",
    "relu": "Relu",
    "round": "Round",
    "sigmoid": "Sigmoid",
    "sign": "Sign",
    "sin": "Sin",
    "sinh": "Sinh",
    "softplus": "Softplus",
    "softsign": "Softsign",
    "sqrt": "Sqrt",
    "tan": "Tan",
    "tanh": "Tanh",
}
ROUNDING = frozenset(["ceil", "floor", "round", "trunc"])
"""They leave integers as they are."""

ARITHMETIC = {
    "add": "Add",
    "bitwise_and": "BitwiseAnd",
    "bitwise_or": "BitwiseOr",
    "bitwise_xor": "BitwiseXor",
    "divide": "Div",
    "logical_and": "And",
    "logical_or": "Or",
    "logical_xor": "Xor",
    "maximum": "Max",
    "minimum": "Min",
    "multiply": "Mul",
    "pow": "Pow",
    "subtract": "Sub",
}
COMPARISONS = {
    "equal": "Equal",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "less": "Less",
    "less_equal": "LessOrEqual",
}
ON_BOOLEANS = {"bitwise_and": "And", "bitwise_invert": "Not", "bitwise_or": "Or", "bitwise_xor": "Xor"}


def _unary(kind: str) -> Write:
    def write(pair: Pair) -> Any:
        dtype = pair.step.dtypes[0]
        if pair.step.name in ROUNDING and dtype.lstrip("u").startswith("int"):
            return pair.name(0)
        own = ON_BOOLEANS.get(pair.step.name, kind) if dtype == "bool" else kind
        return pair.node(own, [pair.name(0, dtype)])

    return write


def _arithmetic(kind: str) -> Write:
    def write(pair: Pair) -> Any:
        dtype = pair.step.dtypes[0]
        own = ON_BOOLEANS.get(pair.step.name, kind) if dtype == "bool" else kind
        return pair.node(own, _both(pair, dtype))

    return write


def _both(pair: Pair, dtype: str) -> list[str]:
    return [pair.name(place, dtype, broadcasts=True) for place in (0, 1)]


def _common(pair: Pair) -> str:
    """The type in which two operands are compared, which for narrow integers ONNX Runtime does in no other."""
    import numpy as np

    dtypes = [operand.dtype for operand in pair.step.operands if operand is not None and operand.dtype]
    common = np.result_type(*map(np.dtype, dtypes))
    return "int64" if common.kind in "iu" and common.name not in ("int32", "uint64") else common.name


def _comparison(kind: str) -> Write:
    def write(pair: Pair) -> Any:
        return pair.node(kind, _both(pair, _common(pair)))

    return write


def _not_equal(pair: Pair) -> Any:
    return pair.node("Not", [_comparison("Equal")(pair)])


def _square(pair: Pair) -> Any:
    name = pair.name(0)
    return pair.node("Mul", [name, name])


def _expm1(pair: Pair) -> Any:
    dtype = pair.step.dtypes[0]
    return pair.node("Sub", [pair.node("Exp", [pair.name(0, dtype)]), pair.graph.number(1, dtype)])


def _erfc(pair: Pair) -> Any:
    dtype = pair.step.dtypes[0]
    return pair.node("Sub", [pair.graph.number(1, dtype), pair.node("Erf", [pair.name(0, dtype)])])


def _log1p(pair: Pair) -> Any:
    dtype = pair.step.dtypes[0]
    return pair.node("Log", [pair.node("Add", [pair.name(0, dtype), pair.graph.number(1, dtype)])])


def _log_of_base(base: float) -> Write:
    def write(pair: Pair) -> Any:
        from math import log

        dtype = pair.step.dtypes[0]
        return pair.node(
            "Div", [pair.node("Log", [pair.name(0, dtype)]), pair.graph.number(log(base), dtype)]
        )

    return write


def _trunc(pair: Pair) -> Any:
    x = pair.name(0)
    if pair.step.dtypes[0].lstrip("u").startswith("int"):
        return x
    return pair.node("Mul", [pair.node("Sign", [x]), pair.node("Floor", [pair.node("Abs", [x])])])


def _remainder(pair: Pair) -> Any:
    dtype = pair.step.dtypes[0]
    x, y = pair.name(0, dtype), pair.name(1, dtype)
    if not dtype.startswith("float"):
        return pair.node("Mod", [x, y])
    found = pair.node("Mod", [x, y], fmod=1)  # with the sign of x, and that of y is wanted
    zero = pair.graph.number(0, dtype)
    apart = pair.node("Xor", [pair.node("Less", [found, zero]), pair.node("Less", [y, zero])])
    wrong = pair.node("And", [apart, pair.node("Not", [pair.node("Equal", [found, zero])])])
    return pair.node("Where", [wrong, pair.node("Add", [found, y]), found])


def _floor_divide(pair: Pair) -> Any:
    dtype = pair.step.dtypes[0]
    x, y = pair.name(0, dtype), pair.name(1, dtype)
    if dtype.startswith("float"):
        return pair.node("Floor", [pair.node("Div", [x, y])])
    return pair.node("Div", [pair.node("Sub", [x, pair.node("Mod", [x, y])]), y])


def _hypot(pair: Pair) -> Any:
    dtype = pair.step.dtypes[0]
    squares = [pair.node("Mul", [pair.name(i, dtype)] * 2) for i in (0, 1)]
    return pair.node("Sqrt", [pair.node("Add", squares)])


def _logaddexp(pair: Pair) -> Any:
    dtype = pair.step.dtypes[0]
    x, y = pair.name(0, dtype), pair.name(1, dtype)
    same = pair.node("Equal", [x, y])  # whose difference, if both are infinite, is NaN
    apart = pair.node("Where", [same, pair.graph.number(0, dtype), pair.node("Sub", [x, y])])
    apart = pair.node("Neg", [pair.node("Abs", [apart])])
    more = pair.node("Log", [pair.node("Add", [pair.node("Exp", [apart]), pair.graph.number(1, dtype)])])
    return pair.node("Add", [pair.node("Max", [x, y]), more])


def _asks(kind: str) -> Write:
    def write(pair: Pair) -> Any:
        return pair.node(kind, [pair.name(0)])

    return write


def _isfinite(pair: Pair) -> Any:
    x = pair.name(0)
    return pair.node("Not", [pair.node("Or", [pair.node("IsNaN", [x]), pair.node("IsInf", [x])])])


def _clip(pair: Pair) -> Any:
    dtype = pair.step.dtypes[0]
    ends = [pair.name(i, dtype) if pair.given(i) else "" for i in (1, 2)]
    if all(not pair.given(i) or pair.shape(i) == () for i in (1, 2)):
        return pair.node("Clip", [pair.name(0, dtype), *ends])
    x = pair.name(0, dtype)
    x = pair.node("Max", [x, ends[0]]) if ends[0] else x
    return pair.node("Min", [x, ends[1]]) if ends[1] else x


def _where(pair: Pair) -> Any:
    dtype = pair.step.dtypes[0]
    condition = pair.constant(0)
    for place, sought in ((1, True), (2, False)):
        if condition is not None and (condition == sought).all():
            operand = pair.operand(place)
            if operand.value is not None and operand.shape == pair.step.shapes[0]:
                return pair.name(place, dtype)
    chosen = [pair.name(place, dtype, broadcasts=True) for place in (1, 2)]
    return pair.node("Where", [pair.name(0, broadcasts=True), *chosen])


def _same(pair: Pair) -> Any:
    return pair.name(0)


def _attribute(kind: str, **attributes: Any) -> Write:
    """A node whose attributes are options of the op, or fixed numbers."""

    def write(pair: Pair) -> Any:
        options = pair.step.options
        given = {
            name: options[value] if isinstance(value, str) else value for name, value in attributes.items()
        }
        return pair.node(kind, [pair.name(0, pair.step.dtypes[0])], **given)

    return write


def _hardtanh(pair: Pair) -> Any:
    dtype, options = pair.step.dtypes[0], pair.step.options
    ends = [pair.graph.number(options[name], dtype) for name in ("min_val", "max_val")]
    return pair.node("Clip", [pair.name(0, dtype), *ends])


def _softshrink(pair: Pair) -> Any:
    lambd = float(pair.step.options["lambd"])
    return pair.node("Shrink", [pair.name(0, pair.step.dtypes[0])], lambd=lambd, bias=lambd)


def _threshold(pair: Pair) -> Any:
    x, dtype, options = pair.name(0), pair.step.dtypes[0], pair.step.options
    above = pair.node("Greater", [x, pair.graph.number(options["threshold"], dtype)])
    return pair.node("Where", [above, x, pair.graph.number(options["value"], dtype)])


def _elu(pair: Pair) -> Any:
    options = pair.step.options
    alpha, scale, input_scale = (options[name] for name in ("alpha", "scale", "input_scale"))
    x = pair.name(0, pair.step.dtypes[0])
    if input_scale != 1:  # CELU: scale is 1, and input_scale 1 / alpha
        return pair.node("Celu", [x], alpha=alpha)
    if scale != 1:
        return pair.node("Selu", [x], alpha=alpha, gamma=scale)
    return pair.node("Elu", [x], alpha=alpha)


def _gelu(pair: Pair) -> Any:
    return pair.node("Gelu", [pair.name(0)], approximate=pair.step.options["approximate"])


def _prelu(pair: Pair) -> Any:
    return pair.node("PRelu", [pair.name(0), pair.name(1)])


def _glu(pair: Pair) -> Any:
    axis = pair.step.options["dim"]
    value, gate = pair.node("Split", [pair.name(0)], 2, axis=axis, num_outputs=2)
    return pair.node("Mul", [value, pair.node("Sigmoid", [gate])])


def _silu(pair: Pair) -> Any:
    x = pair.name(0)
    return pair.node("Mul", [x, pair.node("Sigmoid", [x])])


ELEMENTWISE: dict[str, Write] = {
    **{name: _unary(kind) for name, kind in UNARY.items()},
    **{name: _arithmetic(kind) for name, kind in ARITHMETIC.items()},
    **{name: _comparison(kind) for name, kind in COMPARISONS.items()},
    "clip": _clip,
    "conj": _same,
    "copied": _same,
    "elu": _elu,
    "erfc": _erfc,
    "expm1": _expm1,
    "floor_divide": _floor_divide,
    "gelu": _gelu,
    "glu": _glu,
    "hardshrink": _attribute("Shrink", lambd="lambd", bias=0.0),
    "hardsigmoid": _attribute("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hardtanh": _hardtanh,
    "hypot": _hypot,
    "isfinite": _isfinite,
    "isinf": _asks("IsInf"),
    "isnan": _asks("IsNaN"),
    "leaky_relu": _attribute("LeakyRelu", alpha="negative_slope"),
    "log10": _log_of_base(10),
    "log1p": _log1p,
    "log2": _log_of_base(2),
    "logaddexp": _logaddexp,
    "not_equal": _not_equal,
    "positive": _same,
    "prelu": _prelu,
    "real": _same,
    "remainder": _remainder,
    "silu": _silu,
    "softshrink": _softshrink,
    "square": _square,
    "threshold": _threshold,
    "trunc": _trunc,
    "where": _where,
}


def _knows_elu(operands: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """Whether it is not CELU in another type than float32, for which ONNX has none."""
    return bool(options["input_scale"] == 1 or "float32" in str(operands[0].dtype))


ELEMENTWISE_CONDITIONS: dict[str, Condition] = {"elu": _knows_elu}
"""As ``ARRAY_CONDITIONS`` of :mod:`portanet.io.onnx.arrays`."""
