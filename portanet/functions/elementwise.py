"""The standard's elementwise functions, of Tensors and of raw arrays."""

from __future__ import annotations

from portanet.ops import elementwise as ops
from portanet.tensor import lift

__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "ceil",
    "clip",
    "conj",
    "copysign",
    "cos",
    "cosh",
    "divide",
    "equal",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "greater",
    "greater_equal",
    "hypot",
    "imag",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "nextafter",
    "not_equal",
    "positive",
    "pow",
    "real",
    "reciprocal",
    "remainder",
    "round",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "subtract",
    "tan",
    "tanh",
    "trunc",
    "where",
]

abs = lift(ops.abs)
acos = lift(ops.acos)
acosh = lift(ops.acosh)
add = lift(ops.add)
asin = lift(ops.asin)
asinh = lift(ops.asinh)
atan = lift(ops.atan)
atan2 = lift(ops.atan2)
atanh = lift(ops.atanh)
bitwise_and = lift(ops.bitwise_and)
bitwise_invert = lift(ops.bitwise_invert)
bitwise_left_shift = lift(ops.bitwise_left_shift)
bitwise_or = lift(ops.bitwise_or)
bitwise_right_shift = lift(ops.bitwise_right_shift)
bitwise_xor = lift(ops.bitwise_xor)
ceil = lift(ops.ceil, aliases=True)
clip = lift(ops.clip)
conj = lift(ops.conj, aliases=True)
copysign = lift(ops.copysign)
cos = lift(ops.cos)
cosh = lift(ops.cosh)
divide = lift(ops.divide, converts=True)
equal = lift(ops.equal)
exp = lift(ops.exp)
expm1 = lift(ops.expm1)
floor = lift(ops.floor, aliases=True)
floor_divide = lift(ops.floor_divide)
greater = lift(ops.greater)
greater_equal = lift(ops.greater_equal)
hypot = lift(ops.hypot)
imag = lift(ops.imag, aliases=True)
isfinite = lift(ops.isfinite)
isinf = lift(ops.isinf)
isnan = lift(ops.isnan)
less = lift(ops.less)
less_equal = lift(ops.less_equal)
log = lift(ops.log)
log10 = lift(ops.log10)
log1p = lift(ops.log1p)
log2 = lift(ops.log2)
logaddexp = lift(ops.logaddexp)
logical_and = lift(ops.logical_and)
logical_not = lift(ops.logical_not)
logical_or = lift(ops.logical_or)
logical_xor = lift(ops.logical_xor)
maximum = lift(ops.maximum)
minimum = lift(ops.minimum)
multiply = lift(ops.multiply)
negative = lift(ops.negative)
nextafter = lift(ops.nextafter)
not_equal = lift(ops.not_equal)
positive = lift(ops.positive, aliases=True)
pow = lift(ops.pow)
real = lift(ops.real, aliases=True)
reciprocal = lift(ops.reciprocal)
remainder = lift(ops.remainder)
round = lift(ops.round, aliases=True)
sign = lift(ops.sign)
signbit = lift(ops.signbit)
sin = lift(ops.sin)
sinh = lift(ops.sinh)
sqrt = lift(ops.sqrt)
square = lift(ops.square)
subtract = lift(ops.subtract)
tan = lift(ops.tan)
tanh = lift(ops.tanh)
trunc = lift(ops.trunc, aliases=True)
where = lift(ops.where)
