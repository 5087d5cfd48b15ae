"""Reductions and scans. `dim` is None (all), an int or a tuple of ints; `keepdim` leaves reduced dimensions at length 1."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from reference_impl.dtypes import scalar_type
from reference_impl.ops.elementwise import abs_ as absolute
from reference_impl.ops.elementwise import eq, exp, ne, pow_, sign, where, zeros_like
from reference_impl.ops.movement import expand, flip, reshape
from reference_impl.primitives import REDUCTION, primitive
from reference_impl.tensor import Node

__all__ = [
    "amax",
    "amin",
    "count",
    "cumsum",
    "divides",
    "log_softmax",
    "logsumexp",
    "mean",
    "norm_vjp",
    "ones_like",
    "prod",
    "product_of_others",
    "restore",
    "softmax",
    "std",
    "sum_",
    "var",
    "vector_norm",
]

Dim = int | tuple[int, ...] | None

# What the methods of arrays, such as `x.sum`, call in the end. A warning then tells of this module, and is not shown.
_added: Any = np.add.reduce
_multiplied: Any = np.multiply.reduce
_largest: Any = np.maximum.reduce
_smallest: Any = np.minimum.reduce


def kept_shape(shape: tuple[int, ...], dim: Dim) -> tuple[int, ...]:
    """Return the shape that a reduction with keepdim gives."""
    if dim is None:
        return (1,) * len(shape)
    if type(dim) is int and shape:
        place = dim % len(shape)
        return (*shape[:place], 1, *shape[place + 1 :])
    dims = {d % max(len(shape), 1) for d in ((dim,) if isinstance(dim, int) else dim)}
    return tuple(1 if i in dims else n for i, n in enumerate(shape))


def count(shape: tuple[int, ...], dim: Dim) -> int:
    """Return how many elements one result is made of."""
    if dim is None:
        return math.prod(shape)
    kept = kept_shape(shape, dim)
    return math.prod(n for n, k in zip(shape, kept, strict=True) if k != n or n == 1)


def restore(x: Any, shape: tuple[int, ...], dim: Dim, keepdim: bool) -> Any:
    """Return a reduced array with its reduced dimensions back at length 1, so that it broadcasts against `shape`."""
    return x if keepdim else reshape(x, shape=kept_shape(shape, dim))


def spread(x: Any, shape: tuple[int, ...], dim: Dim, keepdim: bool) -> Any:
    """Return a reduced array repeated to `shape`: the transpose of a sum."""
    if dim is None and not keepdim:
        return expand(x, shape=shape)
    if type(x) is np.ndarray and type(dim) is int and shape and x.flags.c_contiguous:
        # The same view at once, in a quarter of the time. NumPy checks that it stays inside x.
        place, steps = dim % len(shape), x.strides
        return np.ndarray(shape, x.dtype, x, 0, (*steps[:place], 0, *steps[place + keepdim :]))
    return expand(restore(x, shape, dim, keepdim), shape=shape)


def _name(kind: str) -> Callable[[Node], str]:
    """Return what tells PyTorch's name of a sum or mean: over some dimensions it is another than over all."""

    def name(node: Node) -> str:
        assert node.values is not None  # it keeps no values, so it is never freed
        return f"{kind}Backward{int(node.values[0][1] is not None)}"

    return name


@primitive(
    REDUCTION,
    vjps=[lambda ct, x_shape, dim, keepdim: spread(ct, x_shape, dim, keepdim)],
    node_name=_name("Sum"),
)
def sum_(x: Any, *, dim: Dim = None, keepdim: bool = False) -> Any:
    """The sum; of integers and bools an int64."""
    return _added(x, axis=dim, keepdims=keepdim)


@primitive(
    REDUCTION,
    vjps=[lambda ct, x_shape, dim, keepdim: spread(ct / float(max(count(x_shape, dim), 1)), x_shape, dim, keepdim)],
    node_name=_name("Mean"),
)
def mean(x: Any, *, dim: Dim = None, keepdim: bool = False) -> Any:
    """The arithmetic mean; nan of nothing."""
    if x.dtype.kind != "f":
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. "
            f"Got: {scalar_type(x.dtype)}"
        )
    n = count(x.shape, dim)
    total = _added(x, axis=dim, keepdims=keepdim)
    return total / x.dtype.type(n) if n else total * x.dtype.type(math.nan)


def _to_extremes(ct: Any, x: Any, y: Any, dim: Dim, keepdim: bool) -> Any:
    """Share the cotangent evenly among the elements equal to the extreme one."""
    ct, y = restore(ct, x.shape, dim, keepdim), restore(y, x.shape, dim, keepdim)
    ties = where(eq(x, y), ones_like(x), 0.0)
    return ct * (ties / sum_(ties, dim=dim, keepdim=True))


def ones_like(x: Any) -> Any:
    """Return ones of x's shape and type."""
    return zeros_like(x) + 1


@primitive(
    REDUCTION, vjps=[lambda ct, x, y, dim, keepdim: _to_extremes(ct, x, y, dim, keepdim)], kinks="ties: shared evenly"
)
def amax(x: Any, *, dim: Dim = None, keepdim: bool = False) -> Any:
    """The largest element, nan if there is one."""
    return _largest(x, axis=dim, keepdims=keepdim)


@primitive(
    REDUCTION, vjps=[lambda ct, x, y, dim, keepdim: _to_extremes(ct, x, y, dim, keepdim)], kinks="ties: shared evenly"
)
def amin(x: Any, *, dim: Dim = None, keepdim: bool = False) -> Any:
    """The smallest element, nan if there is one."""
    return _smallest(x, axis=dim, keepdims=keepdim)


def product_of_others(x: Any, dim: int | None) -> Any:
    """Return for each element the product of all others along `dim`, right also where some are zero.

    Row i of an n by n arrangement holds x with its element i replaced by 1: quadratic, and used only where x has zeros.
    """
    flat = reshape(x, shape=(-1,)) if dim is None else x
    axis = 0 if dim is None else dim % x.ndim
    n = flat.shape[axis]
    wide = expand(
        reshape(flat, shape=(*flat.shape[:axis], 1, *flat.shape[axis:])),
        shape=(*flat.shape[:axis], n, *flat.shape[axis:]),
    )
    eye = np.eye(n, dtype=bool).reshape((n, n) + (1,) * (flat.ndim - axis - 1))
    return reshape(prod(where(eye, 1.0, wide), dim=axis + 1), shape=tuple(x.shape))


def _prod_vjp(ct: Any, x: Any, y: Any, dim: int | None, keepdim: bool) -> Any:
    ct = restore(ct, tuple(x.shape), dim, keepdim)
    if not x.ndim:
        return ct
    return ct * restore(y, tuple(x.shape), dim, keepdim) / x if divides(x, y) else ct * product_of_others(x, dim)


def divides(x: Any, y: Any) -> bool:
    """Tell whether products y of elements of x, divided by one of them, are the products of the others.

    They are not where a factor is 0, nor where a product underflows and so has lost the digits of the others.
    """
    array = getattr(y, "array", y)
    if isinstance(array, (np.ndarray, np.generic)):
        return bool((np.abs(array) >= np.finfo(array.dtype).tiny).all())
    found = eq(x, 0.0)
    found = getattr(found, "array", found)
    # An interval that may be 0 counts as 0: the product of the others is right in any case.
    return isinstance(found, (np.ndarray, np.generic)) and not np.any(found)


@primitive(REDUCTION, vjps=[_prod_vjp])
def prod(x: Any, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """The product; 1 of nothing. Its gradient is the product of the others, also at zeros."""
    return _multiplied(x, axis=dim, keepdims=keepdim)


@primitive(
    REDUCTION,
    vjps=[lambda ct, x_shape, dim: flip(cumsum(flip(ct, dims=(dim,)), dim=dim), dims=(dim,)) if x_shape else ct],
)
def cumsum(x: Any, *, dim: int) -> Any:
    """Running sums along `dim`."""
    return np.cumsum(x, axis=dim) if x.ndim else np.array(x)


def _shifted(x: Any, dim: Dim) -> Any:
    top = x.max(axis=dim, keepdims=True, initial=-np.inf)
    return top if np.isfinite(top).all() else np.where(np.isinf(top), 0, top).astype(x.dtype)


@primitive(
    REDUCTION,
    vjps=[
        lambda ct, x, y, dim, keepdim: restore(ct, x.shape, dim, keepdim) * exp(x - restore(y, x.shape, dim, keepdim))
    ],
    floats=True,
)
def logsumexp(x: Any, *, dim: Dim, keepdim: bool = False) -> Any:
    """log(sum(exp(x))), shifted by the largest element so that nothing overflows."""
    top = _shifted(x, dim)
    y = np.log(_added(np.exp(x - top), axis=dim, keepdims=True)) + top
    return y if keepdim else y.squeeze(dim if x.ndim else None)


@primitive(REDUCTION, vjps=[lambda ct, y, dim: ct * y - y * sum_(ct * y, dim=dim, keepdim=True)], floats=True)
def softmax(x: Any, *, dim: int) -> Any:
    """exp(x) / sum(exp(x)) along `dim`."""
    e = np.exp(x - _shifted(x, dim))
    return e / _added(e, axis=dim, keepdims=True)


@primitive(REDUCTION, vjps=[lambda ct, y, dim: ct - exp(y) * sum_(ct, dim=dim, keepdim=True)], floats=True)
def log_softmax(x: Any, *, dim: int) -> Any:
    """log(softmax(x)) without cancellation."""
    shifted = x - _shifted(x, dim)
    return shifted - np.log(_added(np.exp(shifted), axis=dim, keepdims=True))


@primitive(
    REDUCTION,
    vjps=[
        lambda ct, x, dim, correction, keepdim: (
            restore(ct, x.shape, dim, keepdim)
            * ((x - mean(x, dim=dim, keepdim=True)) * 2 / max(count(x.shape, dim) - correction, 0))
        )
    ],
)
def var(x: Any, *, dim: Dim = None, correction: int = 1, keepdim: bool = False) -> Any:
    """Mean squared distance from the mean, with n - correction in the denominator; nan where that is 0 of 0."""
    if x.dtype.kind != "f":
        raise RuntimeError(f"std and var only support floating point and complex dtypes, got {x.dtype}")
    n = count(x.shape, dim)
    distance = x - _added(x, axis=dim, keepdims=True) / x.dtype.type(n)
    return (distance * distance).sum(axis=dim, keepdims=keepdim) / x.dtype.type(max(n - correction, 0))


def _std_vjp(ct: Any, x: Any, y: Any, dim: Dim, correction: float, keepdim: bool) -> Any:
    ct, y = restore(ct, x.shape, dim, keepdim), restore(y, x.shape, dim, keepdim)
    slope = where(eq(y, 0.0), 0.0, ct / where(eq(y, 0.0), 1.0, y * 2))
    return slope * ((x - mean(x, dim=dim, keepdim=True)) * 2 / max(count(x.shape, dim) - correction, 0))


@primitive(REDUCTION, vjps=[_std_vjp], kinks="equal elements: 0")
def std(x: Any, *, dim: Dim = None, correction: float = 1, keepdim: bool = False) -> Any:
    """The square root of `var`."""
    n = count(x.shape, dim)
    distance = x - _added(x, axis=dim, keepdims=True) / x.dtype.type(n)
    return np.sqrt((distance * distance).sum(axis=dim, keepdims=keepdim) / x.dtype.type(max(n - correction, 0)))


def norm_vjp(ct: Any, x: Any, y: Any, ord: float, dim: Dim, keepdim: bool) -> Any:
    """Return the gradient of the p-norm, x |x|^(p-2) / y^(p-1), by cases; 0 where the norm is 0."""
    ct, y = restore(ct, x.shape, dim, keepdim), restore(y, x.shape, dim, keepdim)
    if ord == 0:
        return zeros_like(x) * ct
    if ord == 1:
        return ct * sign(x)
    if ord in (math.inf, -math.inf):
        ties = where(eq(absolute(x), y), sign(x), 0.0)
        many = sum_(where(eq(absolute(x), y), ones_like(x), 0.0), dim=dim, keepdim=True)
        return ct * (ties / many)
    safe = where(ne(y, 0.0), y, 1.0)
    if ord == 2:
        return where(ne(y, 0.0), x * (ct / safe), 0.0)
    inner = absolute(x) if ord > 2 else where(ne(x, 0.0), absolute(x), 1.0)
    return where(ne(y, 0.0), sign(x) * pow_(inner / safe, ord - 1) * ct, 0.0)


@primitive(
    REDUCTION,
    vjps=[norm_vjp],
    kinks="norm 0: 0; ord 1: 0 at x = 0; ord inf: ties shared evenly",
    node_name="LinalgVectorNormBackward0",
)
def vector_norm(x: Any, *, ord: float = 2.0, dim: Dim = None, keepdim: bool = False) -> Any:
    """The p-norm of the elements, p = `ord`. Source of the gradient: differentiate y^p = sum |x|^p."""
    if x.dtype.kind != "f":
        raise RuntimeError(f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {x.dtype}")
    if ord == 2:
        wide = x.astype(np.float64)  # the square of a float32 leaves its range early
        return np.sqrt((wide * wide).sum(axis=dim, keepdims=keepdim)).astype(x.dtype)
    size = np.abs(x)
    if ord == 1:
        return _added(size, axis=dim, keepdims=keepdim)
    if ord == 0:
        return (x != 0).sum(axis=dim, keepdims=keepdim).astype(x.dtype)
    if ord == math.inf:
        return size.max(axis=dim, keepdims=keepdim, initial=0)
    if ord == -math.inf:
        return size.min(axis=dim, keepdims=keepdim)
    return np.power(_added(np.power(size, ord), axis=dim, keepdims=keepdim), 1 / ord)
