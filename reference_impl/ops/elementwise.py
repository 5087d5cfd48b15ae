"""Elementwise functions and their derivatives. Arguments broadcast; the engine sums cotangents back to their shapes.

Conventions at kinks are PyTorch's, measured. Numbers in rules are floats: NumPy combines an array with 1.0 faster than with 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_impl.primitives import ELEMENTWISE, primitive

__all__ = [
    "abs_",
    "add",
    "atan",
    "atan2",
    "clamp",
    "clone",
    "cos",
    "cosh",
    "div",
    "eq",
    "exp",
    "expm1",
    "ge",
    "gt",
    "le",
    "log",
    "log1p",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "lt",
    "maximum",
    "minimum",
    "mul",
    "ne",
    "neg",
    "overwrite",
    "pow_",
    "reciprocal",
    "relu",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "sub",
    "tan",
    "tanh",
    "to",
    "where",
    "zeros_like",
]

POSITIVE = "x > 0"


# -- constants and decisions: no derivative


@primitive(ELEMENTWISE)
def zeros_like(x: Any) -> Any:
    """Zeros of x's shape and type; a constant."""
    return np.zeros_like(x)


@primitive(ELEMENTWISE)
def gt(a: Any, b: Any) -> Any:
    """a > b, a bool; never requires grad."""
    return np.greater(a, b)


@primitive(ELEMENTWISE)
def ge(a: Any, b: Any) -> Any:
    """a >= b, a bool."""
    return np.greater_equal(a, b)


@primitive(ELEMENTWISE)
def lt(a: Any, b: Any) -> Any:
    """a < b, a bool."""
    return np.less(a, b)


@primitive(ELEMENTWISE)
def le(a: Any, b: Any) -> Any:
    """a <= b, a bool."""
    return np.less_equal(a, b)


@primitive(ELEMENTWISE)
def eq(a: Any, b: Any) -> Any:
    """a == b, a bool."""
    return np.equal(a, b)


@primitive(ELEMENTWISE)
def ne(a: Any, b: Any) -> Any:
    """a != b, a bool."""
    return np.not_equal(a, b)


@primitive(ELEMENTWISE)
def logical_and(a: Any, b: Any) -> Any:
    """Both a and b, a bool."""
    return np.logical_and(a, b)


@primitive(ELEMENTWISE)
def logical_or(a: Any, b: Any) -> Any:
    """A or b or both, a bool."""
    return np.logical_or(a, b)


@primitive(ELEMENTWISE)
def logical_not(x: Any) -> Any:
    """Not x, a bool."""
    return np.logical_not(x)


# -- choosing


@primitive(
    ELEMENTWISE,
    vjps=[
        lambda ct: ct,
        lambda ct, condition: where(condition, ct, 0.0),
        lambda ct, condition: where(condition, 0.0, ct),
    ],
)
def where(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b. The branch not taken gets gradient 0, which times its own inf is nan."""
    return np.where(condition, a, b)


@primitive(
    ELEMENTWISE,
    vjps=[
        lambda ct, a, b: where(lt(a, b), 0.0, where(eq(a, b), ct / 2.0, ct)),
        lambda ct, a, b: where(gt(a, b), 0.0, where(eq(a, b), ct / 2.0, ct)),
    ],
    kinks="a = b: both get half",
)
def maximum(a: Any, b: Any) -> Any:
    """The larger of two, nan if one is."""
    return np.maximum(a, b)


@primitive(
    ELEMENTWISE,
    vjps=[
        lambda ct, a, b: where(gt(a, b), 0.0, where(eq(a, b), ct / 2.0, ct)),
        lambda ct, a, b: where(lt(a, b), 0.0, where(eq(a, b), ct / 2.0, ct)),
    ],
    kinks="a = b: both get half",
)
def minimum(a: Any, b: Any) -> Any:
    """The smaller of two, nan if one is."""
    return np.minimum(a, b)


def _inside(x: Any, low: float | None, high: float | None) -> Any:
    if low is None:
        return le(x, high)
    return ge(x, low) if high is None else logical_and(ge(x, low), le(x, high))


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct, x, min, max: where(_inside(x, min, max), ct, 0.0)],
    kinks="x = min, x = max: 1",
    node_name="ClampBackward1",
)
def clamp(x: Any, *, min: float | None = None, max: float | None = None) -> Any:
    """x limited to [min, max]; max wins where they cross."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if min is not None:
        x = np.maximum(x, min)
    return x if max is None else np.minimum(x, max)


# Where y <= 0 it is 0: taking it, and not a constant, makes the second derivative zeros, as PyTorch's is, and not None.
@primitive(ELEMENTWISE, vjps=[lambda ct, y: where(le(y, 0.0), y, ct)], kinks="x = 0: 0")
def relu(x: Any) -> Any:
    """max(x, 0)."""
    return np.maximum(x, 0)


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct * sign(x)], kinks="x = 0: 0")
def abs_(x: Any) -> Any:
    """The absolute value."""
    return np.abs(x)


@primitive(ELEMENTWISE, vjps=[lambda ct: zeros_like(ct)], kinks="x = 0: 0")
def sign(x: Any) -> Any:
    """-1, 0 or 1; its derivative is 0 everywhere."""
    return np.sign(x)


# -- arithmetic


@primitive(ELEMENTWISE, vjps=[lambda ct: ct, lambda ct: ct])
def add(a: Any, b: Any) -> Any:
    """a + b."""
    return np.add(a, b)


@primitive(ELEMENTWISE, vjps=[lambda ct: ct, lambda ct: -ct])
def sub(a: Any, b: Any) -> Any:
    """a - b."""
    return np.subtract(a, b)


@primitive(ELEMENTWISE, vjps=[lambda ct, b: ct * b, lambda ct, a: ct * a])
def mul(a: Any, b: Any) -> Any:
    """A times b."""
    return np.multiply(a, b)


@primitive(ELEMENTWISE, vjps=[lambda ct, b: ct / b, lambda ct, a, b: -ct * ((a / b) / b)], domain="b != 0", floats=True)
def div(a: Any, b: Any) -> Any:
    """a / b; of integers, a float."""
    return np.true_divide(a, b)


def _pow_base(ct: Any, a: Any, b: Any) -> Any:
    if isinstance(b, (int, float)):
        return zeros_like(ct) if b == 0 else ct * (b * pow_(a, b - 1))
    return where(eq(b, 0.0), 0.0, ct * (b * pow_(a, b - 1)))


def _pow_exponent(ct: Any, y: Any, a: Any, b: Any) -> Any:
    return where(logical_and(eq(a, 0.0), ge(b, 0.0)), 0.0, ct * (y * log(a)))


@primitive(
    ELEMENTWISE,
    vjps=[_pow_base, _pow_exponent],
    domain="a > 0, or a < 0 with integer b, or a = 0 with b >= 0",
    kinks="b = 0: 0 in a; a = 0 with b >= 0: 0 in b",
)
def pow_(a: Any, b: Any) -> Any:
    """A to the power b."""
    return np.power(a, b)


@primitive(ELEMENTWISE, vjps=[lambda ct: -ct])
def neg(x: Any) -> Any:
    """-x."""
    return np.negative(x)


@primitive(ELEMENTWISE, vjps=[lambda ct, y: -ct * y * y], domain="x != 0", floats=True)
def reciprocal(x: Any) -> Any:
    """1 / x."""
    return np.true_divide(1, x)


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct * (2.0 * x)], node_name="PowBackward0")
def square(x: Any) -> Any:
    """x times x."""
    return np.multiply(x, x)


@primitive(ELEMENTWISE, vjps=[lambda ct: ct])
def clone(x: Any) -> Any:
    """A copy of x, its dimensions in the order of x's memory unless x repeats memory."""
    return np.array(x, order="C" if 0 in x.strides else "K") if type(x) is np.ndarray else np.array(x)


@primitive(ELEMENTWISE, vjps=[lambda ct: zeros_like(ct), lambda ct: ct])
def overwrite(x: Any, value: Any) -> Any:
    """The value in x's shape and type; what copy_, fill_ and zero_ make of x."""
    return np.array(np.broadcast_to(np.asarray(value, dtype=x.dtype), x.shape))


@primitive(ELEMENTWISE, vjps=[lambda ct, x_dtype: to(ct, dtype=x_dtype)], node_name="ToCopyBackward0")
def to(x: Any, *, dtype: Any) -> Any:
    """x converted to another element type; the gradient is converted back."""
    return np.asarray(x).astype(dtype)


# -- exponentials and logarithms


@primitive(ELEMENTWISE, vjps=[lambda ct, y: ct * y], floats=True)
def exp(x: Any) -> Any:
    """e to the x. Source: DLMF 4.2(iii)."""
    return np.exp(x)


@primitive(ELEMENTWISE, vjps=[lambda ct, y: ct * (y + 1.0)], floats=True)
def expm1(x: Any) -> Any:
    """exp(x) - 1 without cancellation near 0."""
    return np.expm1(x)


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct / x], domain=POSITIVE, floats=True)
def log(x: Any) -> Any:
    """Natural logarithm. Source: DLMF 4.7.1."""
    return np.log(x)


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct / (x + 1.0)], domain="x > -1", floats=True)
def log1p(x: Any) -> Any:
    """log(1 + x) without cancellation near 0."""
    return np.log1p(x)


@primitive(
    ELEMENTWISE, vjps=[lambda ct, a, b: ct / (1.0 + exp(b - a)), lambda ct, a, b: ct / (1.0 + exp(a - b))], floats=True
)
def logaddexp(a: Any, b: Any) -> Any:
    """log(exp(a) + exp(b)) without overflow."""
    return np.logaddexp(a, b)


# -- roots


@primitive(ELEMENTWISE, vjps=[lambda ct, y: ct / (2.0 * y)], domain="x >= 0", kinks="x = 0: inf", floats=True)
def sqrt(x: Any) -> Any:
    """The square root."""
    return np.sqrt(x)


@primitive(ELEMENTWISE, vjps=[lambda ct, y: ct * (-0.5 * y * y * y)], domain=POSITIVE, floats=True)
def rsqrt(x: Any) -> Any:
    """1 / sqrt(x)."""
    return np.true_divide(1, np.sqrt(x))


# -- trigonometry and hyperbolic functions. Source: DLMF 4.20, 4.34


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct * cos(x)], floats=True)
def sin(x: Any) -> Any:
    """Sine of x in radians."""
    return np.sin(x)


@primitive(ELEMENTWISE, vjps=[lambda ct, x: -ct * sin(x)], floats=True)
def cos(x: Any) -> Any:
    """Cosine of x in radians."""
    return np.cos(x)


@primitive(ELEMENTWISE, vjps=[lambda ct, y: ct * (1.0 + y * y)], domain="cos(x) != 0", floats=True)
def tan(x: Any) -> Any:
    """Tangent of x in radians."""
    return np.tan(x)


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct / (x * x + 1.0)], floats=True)
def atan(x: Any) -> Any:
    """Inverse tangent, in radians."""
    return np.arctan(x)


def _over_radius(ct: Any, a: Any, b: Any) -> Any:
    r2 = a * a + b * b
    return where(eq(r2, 0.0), 0.0, ct / where(eq(r2, 0.0), 1.0, r2))


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct, a, b: b * _over_radius(ct, a, b), lambda ct, a, b: -a * _over_radius(ct, a, b)],
    domain="(a, b) != (0, 0)",
    kinks="a = b = 0: 0 in both",
    floats=True,
)
def atan2(a: Any, b: Any) -> Any:
    """The angle of the point (b, a), in radians."""
    return np.arctan2(a, b)


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct * cosh(x)], floats=True)
def sinh(x: Any) -> Any:
    """Hyperbolic sine."""
    return np.sinh(x)


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct * sinh(x)], floats=True)
def cosh(x: Any) -> Any:
    """Hyperbolic cosine."""
    return np.cosh(x)


@primitive(ELEMENTWISE, vjps=[lambda ct, y: ct * (1.0 - y * y)], floats=True)
def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return np.tanh(x)


@primitive(ELEMENTWISE, vjps=[lambda ct, y: ct * ((1.0 - y) * y)], floats=True)
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), computed so that neither tail overflows."""
    e = np.exp(-np.abs(x))
    return np.where(np.greater_equal(x, 0), 1, e) / (1 + e)
