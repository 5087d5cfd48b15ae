"""What a user calls: PyTorch's names and signatures over the primitives, and functions composed of them."""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from reference_impl.dtypes import DType, float64, from_numpy_dtype, get_default_dtype, scalar_type
from reference_impl.dtypes import result_dtype as _result_dtype
from reference_impl import cutting, joining, moving, padding, picking, reducing
from reference_impl import devices as places
from reference_impl.keywords import add_keywords
from reference_impl.ops import elementwise, rounding, selection, special
from reference_impl.ops.activations import celu, hardshrink, selu
from reference_impl.ops.rounding import ceil, copysign, floor, fmax, fmin, fmod, remainder, trunc
from reference_impl.ops.special import (
    digamma,
    erf,
    erfc,
    erfinv,
    i0,
    lgamma,
    logit,
    sinc,
    xlogy,
    scaled,
)
from reference_impl.ops.transcendental import acos, acosh, asin, asinh, atanh, exp2, hypot, log2, log10, logaddexp2
from reference_impl.ops.contraction import dot, matmul, outer
from reference_impl.ops.elementwise import (
    atan,
    atan2,
    cos,
    cosh,
    eq,
    exp,
    expm1,
    ge,
    gt,
    le,
    log,
    log1p,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    lt,
    maximum,
    minimum,
    mul,
    ne,
    neg,
    reciprocal,
    relu,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    tan,
    tanh,
)
from reference_impl.ops.movement import tril, triu
from reference_impl.primitives import PRIMITIVES, apply, broadcast_error
from reference_impl.cutting import *
from reference_impl.joining import *
from reference_impl.moving import *
from reference_impl.padding import *
from reference_impl.picking import *
from reference_impl.reducing import *
from reference_impl.tensor import Tensor

__all__ = [
    *picking.__all__,
    *moving.__all__,
    *cutting.__all__,
    *joining.__all__,
    *(name for name in padding.__all__ if name != "pad"),
    *reducing.__all__,
    "abs",
    "absolute",
    "acos",
    "acosh",
    "add",
    "addcdiv",
    "addcmul",
    "allclose",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "celu",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "clone",
    "contiguous",
    "copysign",
    "cos",
    "cosh",
    "deg2rad",
    "detach",
    "digamma",
    "div",
    "divide",
    "dot",
    "eq",
    "equal",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "fix",
    "float_power",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "frac",
    "ge",
    "greater",
    "greater_equal",
    "gt",
    "hardshrink",
    "heaviside",
    "hypot",
    "i0",
    "is_tensor",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "ldexp",
    "le",
    "lerp",
    "less",
    "less_equal",
    "lgamma",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logaddexp2",
    "logical_and",
    "logical_not",
    "logical_or",
    "logit",
    "lt",
    "matmul",
    "maximum",
    "minimum",
    "mm",
    "mul",
    "multiply",
    "mv",
    "nan_to_num",
    "ne",
    "neg",
    "negative",
    "not_equal",
    "numel",
    "outer",
    "polygamma",
    "positive",
    "pow",
    "prelu",
    "rad2deg",
    "reciprocal",
    "relu",
    "remainder",
    "result_type",
    "round",
    "rsqrt",
    "rsub",
    "selu",
    "sgn",
    "sigmoid",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "sqrt",
    "square",
    "sub",
    "subtract",
    "tan",
    "tanh",
    "threshold",
    "to",
    "tril",
    "triu",
    "true_divide",
    "trunc",
    "xlogy",
]

abs = elementwise.abs_
true_divide = elementwise.div
multiply, negative, absolute = mul, neg, abs
greater, less, greater_equal, less_equal, not_equal = gt, lt, ge, le, ne
arctan, arctan2 = atan, atan2
arcsin, arccos, arcsinh, arccosh, arctanh = asin, acos, asinh, acosh, atanh
fix = trunc


# -- elementwise


def add(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """input + alpha * other."""
    return elementwise.add(input, other if alpha == 1 else _times(other, alpha, input))


def sub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """input - alpha * other."""
    return elementwise.sub(input, other if alpha == 1 else _times(other, alpha, input))


def _times(other: Any, alpha: Any, input: Any) -> Any:
    """Return alpha * other.

    Raises:
        RuntimeError: alpha is a float, and nothing else is.
    """
    if isinstance(alpha, float) and result_type(input, other).numpy.kind != "f":
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    return mul(other, alpha)


subtract = sub


def pow(input: Any, exponent: Any) -> Any:
    """Input to the power exponent. A number as the base takes the exponent's dtype; integers round towards 0."""
    if isinstance(exponent, Tensor):
        if not isinstance(input, Tensor):
            input = elementwise.add(elementwise.zeros_like(exponent), input)
        if exponent.array.dtype.kind == "i" and input.array.dtype.kind in "iu" and (exponent.array < 0).any():
            units = elementwise.where(eq(abs(input), 1), elementwise.pow_(input, abs(exponent)), 0)
            return elementwise.where(lt(exponent, 0), units, elementwise.pow_(input, clamp(exponent, min=0)))
    return elementwise.pow_(input, exponent)


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """Input limited to [min, max]. Gradient 1 at numbers as bounds; bounds that are tensors get gradients too.

    Raises:
        RuntimeError: both bounds are None.
    """
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        if min is not None:
            input = elementwise.where(_beyond(lt(input, min), min), min, input)
        return input if max is None else elementwise.where(_beyond(gt(input, max), max), max, input)
    if input.array.dtype.kind != "f" and (type(min) is float or type(max) is float):
        input = to(input, get_default_dtype())
    return elementwise.clamp(input, min=min, max=max)


def _beyond(found: Tensor, bound: Any) -> Tensor:
    """Where the bound takes over: a bound that is nan does everywhere."""
    out: Tensor = logical_or(found, ne(bound, bound)) if isinstance(bound, Tensor) else found
    return out


clip = clamp


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest integer, or the nearest number of that many decimals; the even one of two; gradient 0."""
    if decimals == 0:
        return rounding.round_(input)  # type: ignore[no-any-return]
    scale = 10.0 ** builtins.abs(decimals)
    up, down = (mul, elementwise.div) if decimals > 0 else (elementwise.div, mul)
    out: Tensor = down(rounding.round_(up(input, scale)), scale)
    return out


def frac(input: Tensor) -> Tensor:
    """What `trunc` leaves; gradient 1."""
    out: Tensor = elementwise.sub(input, trunc(input))
    return out


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other; with a rounding mode, "trunc" or "floor", rounded to an integer, with gradient 0.

    Raises:
        RuntimeError: the rounding mode is another one.
    """
    if rounding_mode is None:
        return elementwise.div(input, other)
    if rounding_mode not in ("trunc", "floor"):
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'"
        )
    whole = _integers_only(input, other)
    if whole is not None and not whole[1].all():
        raise RuntimeError("ZeroDivisionError")
    if rounding_mode == "floor" and whole is not None:
        return Tensor(np.asarray(np.floor_divide(*whole)).astype(result_type(input, other).numpy))
    quotient = (trunc if rounding_mode == "trunc" else floor)(elementwise.div(input, other))
    return quotient if whole is None else to(quotient, result_type(input, other))


divide = div


def _integers_only(a: Any, b: Any) -> tuple[Any, Any] | None:
    arrays = tuple(np.asarray(x.array if isinstance(x, Tensor) else x) for x in (a, b))
    return None if builtins.any(x.dtype.kind == "f" for x in arrays) else (arrays[0], arrays[1])


def floor_divide(input: Any, other: Any) -> Any:
    """The floor of input / other; a constant, since PyTorch has no derivative for it."""
    x, y = (v.detach() if isinstance(v, Tensor) else v for v in (input, other))
    return div(x, y, rounding_mode="floor")


def rsub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """other - alpha * input."""
    return sub(other, input, alpha=alpha)


def positive(input: Tensor) -> Tensor:
    """The input itself.

    Raises:
        RuntimeError: it is a bool.
    """
    if input.array.dtype.kind == "b":
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


def sgn(input: Tensor) -> Tensor:
    """The sign, as `sign` gives it: the two differ for complex numbers only."""
    out: Tensor = sign(input)
    return out


def signbit(input: Tensor) -> Tensor:
    """True where the sign is minus, that of -0 included."""
    return Tensor(np.signbit(input.array))


def deg2rad(input: Tensor) -> Tensor:
    """Degrees in radians."""
    out: Tensor = scaled(input, by="pi/180")
    return out


def rad2deg(input: Tensor) -> Tensor:
    """Radians in degrees."""
    out: Tensor = scaled(input, by="180/pi")
    return out


def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """input + weight * (end - input), from the side of `end` where the weight is 1/2 or more, so that 1 gives `end`."""
    step = elementwise.sub(end, input)
    if isinstance(weight, Tensor):
        from_end = elementwise.sub(end, mul(step, elementwise.sub(1.0, weight)))
        out: Tensor = elementwise.where(lt(abs(weight), 0.5), elementwise.add(input, mul(weight, step)), from_end)
        return out
    if builtins.abs(weight) < 0.5:
        out = elementwise.add(input, mul(step, weight))
    else:
        out = elementwise.sub(end, mul(step, 1 - weight))
    return out


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value * tensor1 * tensor2."""
    out: Tensor = elementwise.add(input, mul(tensor1 if value == 1 else mul(tensor1, value), tensor2))
    return out


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value * tensor1 / tensor2."""
    out: Tensor = elementwise.add(input, elementwise.div(tensor1 if value == 1 else mul(tensor1, value), tensor2))
    return out


def polygamma(n: int, input: Tensor) -> Tensor:
    """The derivative of order n of `digamma`.

    Raises:
        RuntimeError: n is negative.
    """
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    out: Tensor = special.polygamma(input, n=n)
    return out


def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """Input times 2 to the other."""
    out: Tensor = mul(input, pow(2.0, other if other.array.dtype.kind == "f" else to(other, get_default_dtype())))
    return out


def float_power(input: Any, exponent: Any) -> Tensor:
    """Input to the power exponent, in float64."""
    base, power = (to(v, float64) if isinstance(v, Tensor) else v for v in (input, exponent))
    out: Tensor = pow(base, power)
    return out


def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 below 0, 1 above, a value at 0; a constant, since PyTorch has no derivative for it.

    Raises:
        RuntimeError: the two have different dtypes.
    """
    if input.array.dtype != values.array.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    return Tensor(np.asarray(np.heaviside(input.array, values.array)).astype(input.array.dtype))


def nan_to_num(input: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """Nan and infinities replaced by numbers, by default 0 and the largest of the dtype; gradient 0 there.

    Args:
        input: the tensor.
        nan: what nan becomes.
        posinf: what inf becomes; by default the largest number of the dtype.
        neginf: what -inf becomes; by default the smallest.
    """
    if input.array.dtype.kind != "f":
        return input
    numbers = np.nan_to_num(input.array, nan=nan, posinf=posinf, neginf=neginf)
    out: Tensor = elementwise.where(isfinite(input), input, Tensor(numbers))
    return out


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """Input, and at least min."""
    out: Tensor = clamp(input, min=min)
    return out


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """Input, and at most max."""
    out: Tensor = clamp(input, max=max)
    return out


def isposinf(input: Tensor) -> Tensor:
    """True where an element is inf."""
    return Tensor(np.asarray(np.equal(input.array, np.inf)))


def isneginf(input: Tensor) -> Tensor:
    """True where an element is -inf."""
    return Tensor(np.asarray(np.equal(input.array, -np.inf)))


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """True where two elements differ by at most atol + rtol * abs(other): PyTorch's function, for its users."""
    for name, least in (("rtol", rtol), ("atol", atol)):
        if least < 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {least}")
    a, b = input.array, other.array
    with np.errstate(invalid="ignore"):
        near = np.less_equal(np.abs(a - b), atol + rtol * np.abs(b)) | (a == b)
    return Tensor(np.asarray(near | (equal_nan & np.isnan(a) & np.isnan(b))))


def isnan(input: Tensor) -> Tensor:
    """True where an element is nan."""
    out: Tensor = selection.isnan(input.detach())
    return out


def isinf(input: Tensor) -> Tensor:
    """True where an element is infinite."""
    return Tensor(np.isinf(input.array))


def isfinite(input: Tensor) -> Tensor:
    """True where an element is neither nan nor infinite."""
    return Tensor(np.isfinite(input.array))


# -- activations that PyTorch has outside of `nn.functional`, too


def threshold(input: Tensor, threshold: float, value: float) -> Tensor:
    """Input above the threshold, else a value; gradient 0 at the threshold."""
    out: Tensor = elementwise.where(le(input, threshold), value, input)
    return out


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Input above 0, weight * input below: one weight, or one for each channel (dimension 1). Gradient at 0: weight.

    Raises:
        RuntimeError: the weight has another number of elements.
    """
    shape = input.array.shape
    channels = shape[1] if len(shape) > 1 else 1
    if not shape and weight.array.size > 1:
        raise RuntimeError(f"Not allow zero-dim input tensor. The weight has {weight.array.size} elements.")
    if weight.array.ndim > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.array.ndim}")
    if weight.array.size not in (1, channels):
        raise RuntimeError(
            f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {weight.array.size} and "
            f"channel size = {channels}."
        )
    if weight.array.size != 1 or weight.array.ndim:
        weight = moving.reshape(weight, (-1, *(1,) * (len(shape) - 2)) if weight.array.size != 1 else ())
    out: Tensor = elementwise.where(gt(input, 0.0), input, weight * input)
    return out


# -- comparison of whole tensors


def equal(input: Tensor, other: Tensor) -> bool:
    """Tell whether two tensors have one shape and equal elements."""
    if not isinstance(other, Tensor):
        raise TypeError(f"equal(): argument 'other' (position 2) must be Tensor, not {type(other).__name__}")
    return input.array.shape == other.array.shape and bool(np.all(input.array == other.array))


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Tell whether all elements differ by at most atol + rtol * abs(other): PyTorch's function, for its users."""
    a, b = input.array, other.array
    if a.dtype != b.dtype:
        raise RuntimeError(f"{scalar_type(a.dtype)} did not match {scalar_type(b.dtype)}")
    if error := broadcast_error(a.shape, b.shape):
        raise error
    with np.errstate(invalid="ignore"):
        near = np.less_equal(np.abs(a - b), atol + rtol * np.abs(b)) | (a == b)
    return bool(np.all(near | (equal_nan & np.isnan(a) & np.isnan(b))))


# -- conversion


def to(
    input: Tensor,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """The tensor in another dtype; itself if it has that already. A cast to an integer type cuts the graph.

    Args:
        args: a device, an element type or a tensor that has it, or the device and then the type; then `non_blocking`, `copy`.
        device: the CPU.
        copy: make a copy in any case.
    """
    if args and isinstance(args[0], str | places.device):
        device, *args = args  # type: ignore[assignment]  # a list serves as well
    if args and not isinstance(args[0], bool):
        dtype, *args = args  # type: ignore[assignment]
    if not isinstance(dtype, DType | Tensor | None):
        raise TypeError(f"to() received an invalid combination of arguments - got ({type(dtype).__name__})")
    places.check_place(device, memory_format=memory_format)
    copy = copy or bool(args[1] if len(args) > 1 else False)  # the first one is `non_blocking`
    target = input.array.dtype if dtype is None else (dtype.dtype if isinstance(dtype, Tensor) else dtype).numpy
    if input.array.dtype == target and not copy:
        return input
    if target.kind != "f":
        return Tensor(input.array.astype(target))
    out: Tensor = apply(PRIMITIVES["to"], input, dtype=target)
    return out


def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy, its dimensions in the order of the input's memory, or in the usual order for `contiguous_format`."""
    out: Tensor = elementwise.clone(input)
    if memory_format is not None:
        places.check_place(memory_format=memory_format)
        if memory_format is places.contiguous_format:
            out.array = np.ascontiguousarray(out.array)
    return out


def contiguous(input: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself if it is contiguous, else a copy."""
    places.check_place(memory_format=memory_format)
    if input.array.flags.c_contiguous:
        return input
    out: Tensor = clone(input)  # in the order of the input's memory
    out.array = np.ascontiguousarray(out.array)
    return out


def result_type(tensor: Any, other: Any) -> DType:
    """Return the dtype that an operation on two tensors or numbers gives."""
    both = [x for x in (tensor, other) if isinstance(x, Tensor)]
    return from_numpy_dtype(
        _result_dtype(
            [x.array.dtype for x in both if x.array.ndim],
            [x.array.dtype for x in both if not x.array.ndim],
            [type(x) for x in (tensor, other) if not isinstance(x, Tensor)],
        )
    )


def numel(input: Tensor) -> int:
    """The number of elements."""
    return input.numel()


def is_tensor(obj: Any) -> bool:
    """Tell whether an object is a tensor."""
    return isinstance(obj, Tensor)


def detach(input: Tensor) -> Tensor:
    """A constant that shares the tensor's memory."""
    return input.detach()


def constant_in(y: Tensor, x: Tensor) -> Tensor:
    """Return y, which does not depend on x, with a gradient of zeros to x if that requires grad."""
    out: Tensor = elementwise.where(Tensor(np.ones(y.array.shape, bool)), y, x) if x.requires_grad else y
    return out


# -- contraction


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices.

    Raises:
        RuntimeError: an operand is not a matrix.
    """
    if input.array.ndim != 2 or mat2.array.ndim != 2:
        raise RuntimeError(f"mm: self and mat2 must be matrices, got {input.array.ndim}-D and {mat2.array.ndim}-D")
    out: Tensor = matmul(input, mat2)
    return out


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix and a vector."""
    if input.array.ndim != 2 or vec.array.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got {input.array.ndim}, {vec.array.ndim}")
    out: Tensor = matmul(input, vec)
    return out


def iterate(x: Tensor) -> Iterator[Tensor]:
    """Yield the slices along the first dimension."""
    if x.array.ndim == 0:
        raise TypeError("iteration over a 0-d tensor")
    return iter(cutting.unbind(x, 0))


add_keywords(__all__, globals())
