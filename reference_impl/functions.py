"""What a user calls: PyTorch's names and signatures over the primitives, and functions composed of them."""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from reference_impl.dtypes import DType, float64, from_numpy_dtype, get_default_dtype
from reference_impl.dtypes import result_dtype as _result_dtype
from reference_impl.ops import contraction, elementwise, indexing, movement, reductions, rounding, special
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
    clone,
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
from reference_impl.ops.movement import transpose, tril, triu, unsqueeze
from reference_impl.ops.reductions import Dim
from reference_impl.primitives import PRIMITIVES, apply
from reference_impl.tensor import Tensor

__all__ = [
    "ValuesIndices",
    "abs",
    "absolute",
    "acos",
    "acosh",
    "add",
    "addcdiv",
    "addcmul",
    "all",
    "allclose",
    "amax",
    "amin",
    "any",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "argmax",
    "argmin",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "broadcast_to",
    "cat",
    "ceil",
    "celu",
    "chunk",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "clone",
    "concat",
    "concatenate",
    "contiguous",
    "copysign",
    "cos",
    "cosh",
    "cumsum",
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
    "expand",
    "expand_as",
    "expm1",
    "fix",
    "flatten",
    "flip",
    "float_power",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "frac",
    "gather",
    "ge",
    "getitem",
    "greater",
    "greater_equal",
    "gt",
    "hardshrink",
    "heaviside",
    "hypot",
    "i0",
    "index_select",
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
    "log_softmax",
    "logaddexp",
    "logaddexp2",
    "logical_and",
    "logical_not",
    "logical_or",
    "logit",
    "logsumexp",
    "lt",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mm",
    "mul",
    "multiply",
    "mv",
    "nan_to_num",
    "narrow",
    "ne",
    "neg",
    "negative",
    "norm",
    "not_equal",
    "numel",
    "outer",
    "permute",
    "polygamma",
    "positive",
    "pow",
    "prelu",
    "prod",
    "rad2deg",
    "reciprocal",
    "relu",
    "remainder",
    "reshape",
    "result_type",
    "round",
    "rsqrt",
    "rsub",
    "select",
    "selu",
    "sgn",
    "sigmoid",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "softmax",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "sub",
    "subtract",
    "sum",
    "swapaxes",
    "t",
    "take_along_dim",
    "tan",
    "tanh",
    "threshold",
    "to",
    "transpose",
    "tril",
    "triu",
    "true_divide",
    "trunc",
    "unbind",
    "unsqueeze",
    "var",
    "vector_norm",
    "view",
    "where",
    "xlogy",
]

abs = elementwise.abs_
true_divide = elementwise.div
multiply, negative, absolute = mul, neg, abs
greater, less, greater_equal, less_equal, not_equal = gt, lt, ge, le, ne
arctan, arctan2 = atan, atan2
arcsin, arccos, arcsinh, arccosh, arctanh = asin, acos, asinh, acosh, atanh
fix = trunc
swapaxes = transpose


# -- elementwise


def add(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """input + alpha * other."""
    return elementwise.add(input, other if alpha == 1 else mul(other, alpha))


def sub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """input - alpha * other."""
    return elementwise.sub(input, other if alpha == 1 else mul(other, alpha))


subtract = sub


def pow(input: Any, exponent: Any) -> Any:
    """Input to the power exponent. A number as the base takes the exponent's dtype."""
    if not isinstance(input, Tensor) and isinstance(exponent, Tensor):
        input = elementwise.add(elementwise.zeros_like(exponent), input)
    return elementwise.pow_(input, exponent)


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """Input where the condition holds, else other."""
    if input is None and other is None:
        return tuple(Tensor(i) for i in np.nonzero(condition.array))
    return elementwise.where(condition, input, other)


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """Input limited to [min, max]. Gradient 1 at numbers as bounds; bounds that are tensors get gradients too.

    Raises:
        RuntimeError: both bounds are None.
    """
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        if min is not None:
            input = where(_beyond(lt(input, min), min), min, input)
        return input if max is None else where(_beyond(gt(input, max), max), max, input)
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
    if rounding_mode == "floor" and whole is not None:
        return Tensor(np.floor_divide(*whole))
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
    a, b = input.array, other.array
    with np.errstate(invalid="ignore"):
        near = np.less_equal(np.abs(a - b), atol + rtol * np.abs(b)) | (a == b)
    return Tensor(np.asarray(near | (equal_nan & np.isnan(a) & np.isnan(b))))


def isnan(input: Tensor) -> Tensor:
    """True where an element is nan."""
    return Tensor(np.isnan(input.array))


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
    if weight.array.ndim > 1 or weight.array.size not in (1, channels):
        raise RuntimeError(
            f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {weight.array.size} and "
            f"channel size = {channels}."
        )
    if weight.array.size != 1 or weight.array.ndim:
        weight = reshape(weight, (-1, *(1,) * (len(shape) - 2)) if weight.array.size != 1 else ())
    out: Tensor = elementwise.where(gt(input, 0.0), input, weight * input)
    return out


# -- comparison of whole tensors


def equal(input: Tensor, other: Tensor) -> bool:
    """Tell whether two tensors have one shape and equal elements."""
    return input.array.shape == other.array.shape and bool(np.all(input.array == other.array))


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Tell whether all elements differ by at most atol + rtol * abs(other): PyTorch's function, for its users."""
    a, b = input.array, other.array
    with np.errstate(invalid="ignore"):
        near = np.less_equal(np.abs(a - b), atol + rtol * np.abs(b)) | (a == b)
    return bool(np.all(near | (equal_nan & np.isnan(a) & np.isnan(b))))


# -- reductions


def _dims(x: Tensor, dim: Any) -> Dim:
    """Check the dimensions and return them as PyTorch means them: an empty list is all of them."""
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return None
    low = builtins.max(x.array.ndim, 1)
    for d in (dim,) if isinstance(dim, int) else dim:
        if not -low <= d < low:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-low}, {low - 1}], but got {d})")
    if x.array.ndim == 0:
        return None
    return dim if isinstance(dim, int) else tuple(dim)


def sum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """The sum over all elements, or over `dim`."""
    out: Tensor = reductions.sum_(input if dtype is None else to(input, dtype), dim=_dims(input, dim), keepdim=keepdim)
    return out


def mean(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The mean over all elements, or over `dim`.

    Raises:
        RuntimeError: the dtype is not floating point.
    """
    out: Tensor = reductions.mean(input, dim=_dims(input, dim), keepdim=keepdim)
    return out


def amax(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The largest elements over `dim`; ties share the gradient evenly."""
    out: Tensor = reductions.amax(_not_empty("amax", input, dim), dim=_dims(input, dim), keepdim=keepdim)
    return out


def amin(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The smallest elements over `dim`; ties share the gradient evenly."""
    out: Tensor = reductions.amin(_not_empty("amin", input, dim), dim=_dims(input, dim), keepdim=keepdim)
    return out


def _not_empty(name: str, x: Tensor, dim: Any) -> Tensor:
    if x.array.size == 0 and (dim is None or dim == ()):
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with "
            "the 'dim' argument."
        )
    if x.array.size == 0 and builtins.any(x.array.shape[d] == 0 for d in ((dim,) if isinstance(dim, int) else dim)):
        raise IndexError(f"{name}(): Expected reduction dim {dim} to have non-zero size.")
    return x


class ValuesIndices(NamedTuple):
    """What `max`, `min` and their kin return along a dimension."""

    values: Tensor
    indices: Tensor


def _extreme(name: str, x: Tensor, dim: Any, keepdim: bool) -> Any:
    if isinstance(dim, Tensor):
        return (maximum if name == "max" else minimum)(x, dim)
    _not_empty(name, x, dim)
    if dim is None:
        return (amax if name == "max" else amin)(x)
    places = (argmax if name == "max" else argmin)(x, dim, keepdim=True)
    values = gather(x, dim, places)
    if not keepdim and x.array.ndim:
        values, places = squeeze(values, dim), squeeze(places, dim)
    return ValuesIndices(values, places)


def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element (ties share the gradient); with `dim`, values and indices (the first of ties takes it all)."""
    return _extreme("max", input, dim, keepdim)


def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element (ties share the gradient); with `dim`, values and indices (the first of ties takes it all)."""
    return _extreme("min", input, dim, keepdim)


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the largest element, the first of ties; nan counts as largest."""
    return Tensor(np.asarray(np.argmax(input.array, dim if input.array.ndim else None, keepdims=keepdim)))


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the smallest element, the first of ties."""
    return Tensor(np.asarray(np.argmin(input.array, dim if input.array.ndim else None, keepdims=keepdim)))


def all(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """True where all elements are true."""
    return Tensor(np.asarray(np.all(input.array, dim, keepdims=keepdim)))


def any(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """True where one element is true."""
    return Tensor(np.asarray(np.any(input.array, dim, keepdims=keepdim)))


def prod(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The product over all elements, or over `dim`; its gradient is right at zeros."""
    out: Tensor = reductions.prod(input, dim=_dims(input, dim), keepdim=keepdim)
    return out


def cumsum(input: Tensor, dim: int) -> Tensor:
    """Running sums along `dim`."""
    _dims(input, dim)
    out: Tensor = reductions.cumsum(input, dim=dim)
    return out


def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """log(sum(exp(input))) over `dim`, without overflow."""
    out: Tensor = reductions.logsumexp(input, dim=_dims(input, dim), keepdim=keepdim)
    return out


def softmax(input: Tensor, dim: int) -> Tensor:
    """exp(input) / sum(exp(input)) along `dim`."""
    out: Tensor = reductions.softmax(input, dim=_dims(input, dim))
    return out


def log_softmax(input: Tensor, dim: int) -> Tensor:
    """The logarithm of `softmax`, without cancellation."""
    out: Tensor = reductions.log_softmax(input, dim=_dims(input, dim))
    return out


def var(
    input: Tensor, dim: Any = None, *, correction: int = 1, unbiased: bool | None = None, keepdim: bool = False
) -> Tensor:
    """The variance over all elements, or over `dim`, with n - correction in the denominator."""
    correction = correction if unbiased is None else int(unbiased)
    out: Tensor = reductions.var(input, dim=_dims(input, dim), correction=correction, keepdim=keepdim)
    return out


def std(
    input: Tensor, dim: Any = None, *, correction: int = 1, unbiased: bool | None = None, keepdim: bool = False
) -> Tensor:
    """The square root of `var`."""
    out: Tensor = sqrt(var(input, dim, correction=correction, unbiased=unbiased, keepdim=keepdim))
    return out


def vector_norm(x: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The p-norm of the elements, p = `ord`, over all of them or over `dim`.

    Raises:
        RuntimeError: the dtype is not floating point.
    """
    out: Tensor = reductions.vector_norm(x if ord else x.detach(), ord=float(ord), dim=_dims(x, dim), keepdim=keepdim)
    return out


def norm(input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Tensor:
    """The p-norm of the elements, by default the Euclidean one."""
    return vector_norm(input, 2.0 if p in ("fro", None) else p, dim, keepdim)


# -- movement


def _flat(sizes: tuple[Any, ...], keyword: Any = None) -> tuple[int, ...]:
    if keyword is not None:
        return tuple(keyword)
    if len(sizes) == 1 and not isinstance(sizes[0], int):
        return tuple(sizes[0])
    return sizes


def reshape(input: Tensor, *sizes: Any, shape: Any = None) -> Tensor:
    """The same elements under another shape, one length of which may be -1: a view where strides allow, else a copy.

    Raises:
        RuntimeError: the shape does not hold that many elements.
    """
    wanted = _flat(sizes, shape)
    try:
        out: Tensor = movement.reshape(input, shape=wanted)
    except RuntimeError:
        raise RuntimeError(f"shape '{list(wanted)}' is invalid for input of size {input.array.size}") from None
    return out


def view(input: Tensor, *sizes: Any) -> Tensor:
    """The same memory under another shape.

    Raises:
        RuntimeError: the strides do not allow it.
    """
    if len(sizes) == 1 and isinstance(sizes[0], DType):
        raise RuntimeError(f"view(dtype) is not supported, got {sizes[0]}")
    out = reshape(input, *sizes)
    if out.array.size and not np.may_share_memory(out.array, input.array):
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead."
        )
    return out


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions start_dim to end_dim joined into one."""
    shape = tuple(input.shape) or (1,)
    first, last = start_dim % len(shape), end_dim % len(shape)
    return reshape(input, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


def permute(input: Tensor, *sizes: Any, dims: Any = None) -> Tensor:
    """Dimension i of the result is dimension dims[i] of the input; a view.

    Raises:
        RuntimeError: not one entry a dimension.
    """
    order = _flat(sizes, dims)
    if len(order) != input.array.ndim:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
            f"ordering of dimensions i.e. input.dim() = {input.array.ndim} is not equal to len(dims) = {len(order)}"
        )
    out: Tensor = movement.permute(input, dims=order)
    return out


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; vectors and numbers stay as they are."""
    out: Tensor = input if input.array.ndim < 2 else transpose(input, dim0=0, dim1=1)
    return out


def expand(input: Tensor, *sizes: Any, shape: Any = None) -> Tensor:
    """The tensor repeated along dimensions of length 1 and along new leading ones, without copying; -1 keeps a length."""
    wanted = _flat(sizes, shape)
    extra = len(wanted) - input.array.ndim
    full = tuple(input.array.shape[i - extra] if n == -1 else n for i, n in enumerate(wanted))
    out: Tensor = movement.expand(input, shape=full)
    return out


broadcast_to = expand


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """The tensor expanded to another's shape."""
    return expand(input, tuple(other.shape))


def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """The tensor without dimensions of length 1: all of them, or those named."""
    out: Tensor = movement.squeeze(input, dim=_dims(input, dim))
    return out


def flip(input: Tensor, *sizes: Any, dims: Any = None) -> Tensor:
    """The order of the elements reversed along `dims`; a copy."""
    out: Tensor = movement.flip(input, dims=_flat(sizes, dims))
    return out


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors one after the other along `dim`."""
    out: Tensor = movement.cat(*tensors, dim=dim)
    return out


concat = concatenate = cat


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new dimension."""
    out: Tensor = movement.stack(*tensors, dim=dim)
    return out


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along `dim`, one tensor each; they cannot be written to in place where gradients flow."""
    return _several("Unbind", [select(input, dim, i) for i in range(input.array.shape[dim])])


def _several(op: str, views: list[Tensor]) -> tuple[Tensor, ...]:
    """Mark views as the outputs of one op."""
    for i, x in enumerate(views):
        if x._view is not None and x._view.kind in ("", "custom"):
            x._view.kind = f"Output {i} of {op}"
    return tuple(views)


def split(input: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """The tensor cut along `dim` into pieces of one size, or of the sizes in a list; see `unbind` for writes to them."""
    n = input.array.shape[dim]
    sizes = (
        [builtins.min(split_size, n - i) for i in range(0, n, split_size)]
        if isinstance(split_size, int)
        else split_size
    )
    if builtins.sum(sizes) != n:
        raise RuntimeError(f"split_with_sizes expects split_sizes to sum exactly to {n}, but got split_sizes={sizes}")
    starts = [builtins.sum(sizes[:i]) for i in range(len(sizes))]
    op = "Split" if isinstance(split_size, int) else "SplitWithSizes"
    return _several(op, [narrow(input, dim, s, k) for s, k in zip(starts, sizes, strict=True)])


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """The tensor cut along `dim` into at most that many pieces of equal size."""
    return split(input, -(-input.array.shape[dim] // chunks), dim)


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice at one index along `dim`; a view."""
    return getitem(input, (slice(None),) * (dim % input.array.ndim) + (index,))


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """The part of `length` from `start` along `dim`; a view."""
    return getitem(input, (slice(None),) * (dim % input.array.ndim) + (slice(start, start + length),))


# -- indexing


def getitem(input: Tensor, index: Any) -> Tensor:
    """input[index]: a view for integers, slices, None and Ellipsis, a copy for lists and tensors."""
    out: Tensor = indexing.getitem(input, index=indexing.plain_index(index, input.array.ndim))
    return out


def _index_array(index: Any) -> Any:
    array = np.asarray(index.array if isinstance(index, Tensor) else index)
    if array.dtype.kind not in "iu" and array.size:
        raise RuntimeError(f"index: Expected dtype int32/int64 for index, got {array.dtype}")
    return array.astype(np.int64)


def _in_range(name: str, index: Any, n: int) -> Any:
    if index.size and not (index.min() >= 0 and index.max() < n):
        bad = index.min() if index.min() < 0 else index.max()
        raise IndexError(f"{name}(): index {bad} is out of bounds for dimension with size {n}")
    return index


def index_select(input: Tensor, dim: int, index: Any) -> Tensor:
    """The slices along `dim` at the positions of a 1-d index; repeats allowed.

    Raises:
        IndexError: a position is out of range, or the index is not 1-d.
    """
    places = _index_array(index)
    if places.ndim > 1:
        raise IndexError(f"index_select(): Index is supposed to be a vector, but got dim: {places.ndim}")
    n = input.array.shape[dim] if input.array.ndim else 1
    out: Tensor = indexing.index_select(input, dim=dim, index=_in_range("index_select", places.reshape(-1), n))
    return out


def gather(input: Tensor, dim: int, index: Any) -> Tensor:
    """out[i, j] = input[index[i, j], j] for dim 0, and so on.

    Raises:
        RuntimeError: the index has another rank, or is longer than the input in a dimension other than `dim`.
        IndexError: a position is out of range.
    """
    places = _index_array(index)
    if places.ndim != input.array.ndim:
        raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
    axis = dim % builtins.max(input.array.ndim, 1)
    if builtins.any(k > n for i, (k, n) in enumerate(zip(places.shape, input.array.shape, strict=True)) if i != axis):
        raise RuntimeError(
            f"Size does not match at dimension: expected index {list(places.shape)} to be no larger than self "
            f"{list(input.shape)} apart from dimension {dim}"
        )
    n = input.array.shape[axis] if input.array.ndim else 1
    out: Tensor = indexing.gather(input, dim=axis, index=_in_range("gather", places, n))
    return out


take_along_dim = gather


# -- conversion


def to(input: Tensor, dtype: Any = None, *, copy: bool = False) -> Tensor:
    """The tensor in another dtype; itself if it has that already. A cast to an integer type cuts the graph."""
    if dtype is None or isinstance(dtype, str):
        return input
    target = (dtype.dtype if isinstance(dtype, Tensor) else dtype).numpy
    if input.array.dtype == target and not copy:
        return input
    if target.kind != "f":
        return Tensor(input.array.astype(target))
    out: Tensor = apply(PRIMITIVES["to"], input, dtype=target)
    return out


def contiguous(input: Tensor) -> Tensor:
    """The tensor itself if it is contiguous, else a copy."""
    if input.array.flags.c_contiguous:
        return input
    out: Tensor = clone(input)  # in the order of the input's memory
    out.array = np.ascontiguousarray(out.array)
    return out


def result_type(a: Any, b: Any) -> DType:
    """Return the dtype that an operation on a and b gives."""
    both = [x for x in (a, b) if isinstance(x, Tensor)]
    return from_numpy_dtype(
        _result_dtype(
            [x.array.dtype for x in both if x.array.ndim],
            [x.array.dtype for x in both if not x.array.ndim],
            [type(x) for x in (a, b) if not isinstance(x, Tensor)],
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
    return iter(unbind(x, 0))
