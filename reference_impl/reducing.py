"""Reductions and scans under PyTorch's names and signatures: sums, extremes, order statistics, running values.

Where PyTorch returns several tensors, so do these: `sort`, `topk`, `max` along a dimension and their kin give values and
indices by name. The gradient of a value goes to the element that was chosen; of `max()`, `min()` and `median()` of a
whole tensor, and of `amax` and `amin`, it is shared evenly among equal elements.

>>> import reference_impl as torch
>>> x = torch.tensor([3.0, 1.0, 2.0], requires_grad=True)
>>> torch.sort(x).indices
tensor([1, 2, 0])
>>> torch.median(x).backward()
>>> x.grad
tensor([0., 0., 1.])
"""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from reference_impl import return_types
from reference_impl.checks import axes_of, axis_of, not_empty
from reference_impl.dtypes import DType, scalar_type
from reference_impl.ops import elementwise, indexing, movement, reductions, scans, selection
from reference_impl.primitives import PRIMITIVES, apply
from reference_impl.tensor import Tensor, not_a_view, rename

__all__ = [
    "all",
    "amax",
    "amin",
    "aminmax",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "count_nonzero",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "dist",
    "kthvalue",
    "log_softmax",
    "logcumsumexp",
    "logsumexp",
    "max",
    "mean",
    "median",
    "min",
    "mode",
    "msort",
    "nanmean",
    "nanmedian",
    "nanquantile",
    "nansum",
    "norm",
    "prod",
    "quantile",
    "softmax",
    "sort",
    "std",
    "std_mean",
    "sum",
    "topk",
    "trace",
    "var",
    "var_mean",
    "vector_norm",
]


def _of_type(x: Tensor, dtype: DType | None) -> Tensor:
    if dtype is None or x.array.dtype == dtype.numpy:
        return x
    if dtype.numpy.kind != "f":
        return Tensor(x.array.astype(dtype.numpy))
    out: Tensor = apply(PRIMITIVES["to"], x, dtype=dtype.numpy)
    return out


def _wide(x: Tensor) -> Tensor:
    """Return integers and bools as int64, which their sums and products are."""
    return Tensor(x.array.astype(np.int64)) if x.array.dtype.kind in "bui" and x.array.dtype != np.int64 else x


# -- sums


def sum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """The sum over all elements, or over `dim`."""
    out: Tensor = reductions.sum_(_of_type(input, dtype), dim=axes_of(input, dim), keepdim=keepdim)
    return out


def nansum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """The sum of the elements that are not nan; the gradient of a nan is 0."""
    return sum(_without_nan(_of_type(input, dtype)), dim, keepdim)


def _without_nan(x: Tensor) -> Tensor:
    out: Tensor = x if x.array.dtype.kind != "f" else elementwise.where(selection.isnan(x), 0.0, x)
    return out


def mean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """The mean over all elements, or over `dim`; nan of none.

    Raises:
        RuntimeError: the dtype is not floating point.
    """
    if dtype is not None and not dtype.is_floating_point:
        raise RuntimeError(
            "mean(): could not infer output dtype. Optional dtype must be either a floating point or complex dtype. Got: "
            f"{scalar_type(dtype)}"
        )
    out: Tensor = reductions.mean(_of_type(input, dtype), dim=axes_of(input, dim), keepdim=keepdim)
    return out


def nanmean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """The mean of the elements that are not nan; the gradient of a nan is 0.

    Raises:
        RuntimeError: the dtype is not floating point.
    """
    input = _of_type(input, dtype)
    if input.array.dtype.kind != "f":
        raise RuntimeError(f"nanmean(): expected input to have floating point or complex dtype but got {input.dtype}")
    known = elementwise.logical_not(selection.isnan(input.detach()))
    count = sum(elementwise.where(known, elementwise.zeros_like(input) + 1, 0.0), dim, keepdim)
    out: Tensor = nansum(input, dim, keepdim) / count
    return out


def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """The product over all elements, or over `dim`; its gradient is right at zeros."""
    out: Tensor = reductions.prod(_of_type(input, dtype), dim=axes_of(input, dim), keepdim=keepdim)
    return out


def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """log(sum(exp(input))) over `dim`, without overflow."""
    out: Tensor = reductions.logsumexp(input, dim=axes_of(input, dim), keepdim=keepdim)
    return out


def softmax(input: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """exp(input) / sum(exp(input)) along `dim`."""
    out: Tensor = reductions.softmax(_floats("softmax", input, dtype), dim=axes_of(input, dim))
    return out


def log_softmax(input: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """The logarithm of `softmax`, without cancellation."""
    out: Tensor = reductions.log_softmax(_floats("log_softmax", input, dtype), dim=axes_of(input, dim))
    return out


def _floats(name: str, x: Tensor, dtype: DType | None) -> Tensor:
    x = _of_type(x, dtype)
    if x.array.dtype.kind in "biu":
        raise NotImplementedError(f'"{name}_lastdim_kernel_impl" not implemented for {scalar_type(x.array.dtype)!r}')
    return x


def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many elements are not zero."""
    axes = axes_of(input, dim)
    return Tensor(np.asarray(np.count_nonzero(input.array, axis=axes), dtype=np.int64))


def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix.

    Raises:
        RuntimeError: the input is no matrix.
    """
    if input.array.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.array.ndim}")
    return sum(movement.diagonal(input))


# -- spread and size


def _spread_args(x: Tensor, dim: Any, unbiased: Any, correction: Any, name: str) -> tuple[Any, Any]:
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"{name} only support floating point and complex dtypes")
    if isinstance(dim, builtins.bool):  # x.var(False)
        dim, unbiased = None, dim
    degrees = 1 if correction is None and unbiased is None else correction if unbiased is None else int(unbiased)
    return axes_of(x, dim), degrees


def var(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> Tensor:
    """The variance over all elements, or over `dim`, with n - correction in the denominator (1, or 0 if not unbiased).

    Raises:
        RuntimeError: the dtype is not floating point.
    """
    axes, degrees = _spread_args(input, dim, unbiased, correction, "std and var")
    out: Tensor = reductions.var(input, dim=axes, correction=degrees, keepdim=keepdim)
    return out


def std(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> Tensor:
    """The square root of `var`; its gradient is 0 where that is 0.

    Raises:
        RuntimeError: the dtype is not floating point.
    """
    axes, degrees = _spread_args(input, dim, unbiased, correction, "std and var")
    out: Tensor = reductions.std(input, dim=axes, correction=degrees, keepdim=keepdim)
    return out


def var_mean(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Tensor, Tensor]:
    """The variance and the mean."""
    dim, unbiased = (None, dim) if isinstance(dim, builtins.bool) else (dim, unbiased)
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


def std_mean(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Tensor, Tensor]:
    """The standard deviation and the mean."""
    dim, unbiased = (None, dim) if isinstance(dim, builtins.bool) else (dim, unbiased)
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


def vector_norm(
    x: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None
) -> Tensor:
    """The p-norm of the elements, p = `ord`, over all of them or over `dim`.

    Raises:
        RuntimeError: the dtype is not floating point.
    """
    x = _of_type(x, dtype)
    out: Tensor = reductions.vector_norm(x, ord=float(ord), dim=axes_of(x, dim), keepdim=keepdim)
    return out


def norm(input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: DType | None = None) -> Tensor:
    """The p-norm of the elements, by default the Euclidean one.

    Raises:
        NotImplementedError: p is "nuc", which needs singular values.
    """
    if p == "nuc":
        raise NotImplementedError("norm: the reference has no singular values, so no order 'nuc'")
    return vector_norm(input, 2.0 if p in ("fro", None) else p, dim, keepdim, dtype=dtype)


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of the difference; gradient 0 where it is 0."""
    return vector_norm(elementwise.sub(input, other), p)


# -- truth


def _truth(name: str, x: Tensor, dim: Any, keepdim: bool) -> Tensor:
    found = getattr(np, name)(x.array != 0, axis=axes_of(x, dim), keepdims=keepdim)
    return Tensor(np.asarray(found, dtype=np.uint8 if x.array.dtype == np.uint8 else np.bool_))


def all(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """True where all elements are true."""
    return _truth("all", input, dim, keepdim)


def any(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """True where one element is true."""
    return _truth("any", input, dim, keepdim)


# -- extremes


def amax(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The largest elements over `dim`; ties share the gradient evenly."""
    out: Tensor = reductions.amax(not_empty("amax", input, dim), dim=axes_of(input, dim), keepdim=keepdim)
    return out


def amin(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The smallest elements over `dim`; ties share the gradient evenly."""
    out: Tensor = reductions.amin(not_empty("amin", input, dim), dim=axes_of(input, dim), keepdim=keepdim)
    return out


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> return_types.MinMax:
    """The smallest and the largest elements; ties share the gradients evenly.

    Raises:
        RuntimeError: there is nothing to choose from.
    """
    axes = axes_of(input, dim)
    if input.array.size == 0 and dim is None:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
        )
    if dim is not None and input.array.ndim and input.array.shape[dim] == 0:
        raise IndexError(f"aminmax(): Expected reduction dim {dim} to have non-zero size.")
    return return_types.aminmax(
        reductions.amin(input, dim=axes, keepdim=keepdim), reductions.amax(input, dim=axes, keepdim=keepdim)
    )


def _extreme(name: str, x: Tensor, dim: Any, keepdim: bool) -> Any:
    if isinstance(dim, Tensor):
        return (elementwise.maximum if name == "max" else elementwise.minimum)(x, dim)
    not_empty(name, x, dim)
    if dim is None:
        return (selection.max_ if name == "max" else selection.min_)(x)
    axis = axis_of(dim, x.array.ndim)
    places = (selection.argmax if name == "max" else selection.argmin)(x.detach(), dim=axis, keepdim=True)
    return _chosen(getattr(return_types, name), x, axis, places, keepdim)


Kind = type[return_types.ValuesIndices]


def _chosen(kind: Kind, x: Tensor, axis: int, places: Tensor, keepdim: bool) -> return_types.ValuesIndices:
    """Return the elements at one position a lane, and the positions."""
    values = indexing.gather(x, dim=axis, index=places.array)
    if not keepdim and x.array.ndim:
        values, places = not_a_view(movement.squeeze(values, dim=axis)), Tensor(places.array.squeeze(axis))
    return _named(kind, values, places)


def _named(kind: Kind, values: Tensor, indices: Tensor) -> return_types.ValuesIndices:
    rename(values._node, f"{kind.__name__.capitalize()}Backward0")
    return kind(values, indices)


def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element (ties share the gradient); with `dim`, values and indices (the first of ties takes it all).

    Raises:
        RuntimeError: there are no elements, and no `dim` is given.
        IndexError: the dimension has length 0.
    """
    return _extreme("max", input, dim, keepdim)


def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element (ties share the gradient); with `dim`, values and indices (the first of ties takes it all).

    Raises:
        RuntimeError: there are no elements, and no `dim` is given.
        IndexError: the dimension has length 0.
    """
    return _extreme("min", input, dim, keepdim)


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the largest element, the first of ties; nan counts as largest."""
    axes = axes_of(not_empty("argmax", input, dim, IndexError), dim)
    out: Tensor = selection.argmax(input.detach(), dim=axes, keepdim=keepdim)
    return out


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the smallest element, the first of ties; nan counts as smallest."""
    axes = axes_of(not_empty("argmin", input, dim, IndexError), dim)
    out: Tensor = selection.argmin(input.detach(), dim=axes, keepdim=keepdim)
    return out


# -- order


def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> return_types.ValuesIndices:
    """The elements in rising or falling order along `dim`, and where they were; nan is largest, equals keep their order."""
    axis = axis_of(dim, input.array.ndim)
    order = selection.argsort(
        input.detach(), dim=axis, descending=descending, stable=_keeps_equals(input, axis, stable)
    )
    return _named(return_types.sort, indexing.gather(input, dim=axis, index=order.array), order)


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort the input along `dim`."""
    axis = axis_of(dim, input.array.ndim)
    kept = _keeps_equals(input, axis, stable)
    out: Tensor = selection.argsort(input.detach(), dim=axis, descending=descending, stable=kept)
    return out


def _keeps_equals(input: Tensor, axis: int, stable: bool) -> bool:
    """Whether equals keep their order: PyTorch promises it on request alone, and does it up to 16 elements (measured)."""
    return stable or not input.array.ndim or bool(input.array.shape[axis] <= 16)


def msort(input: Tensor) -> Tensor:
    """The elements in rising order along the first dimension."""
    return sort(input, 0).values


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> return_types.ValuesIndices:
    """The k largest or smallest elements along `dim`, in order; which of equals is taken is not promised.

    Raises:
        RuntimeError: there are fewer than k.
    """
    axis = axis_of(dim, input.array.ndim)
    shape = input.array.shape or (1,)
    if not 0 <= k <= shape[axis]:
        raise RuntimeError("selected index k out of range")
    places = selection.argsort(input.detach(), dim=axis, descending=largest, stable=False, first=k).array
    if not places.ndim:
        return _named(return_types.topk, elementwise.clone(input), Tensor(places))
    return _named(
        return_types.topk, indexing.gather(input, dim=axis, index=places), Tensor(np.ascontiguousarray(places))
    )


def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> return_types.ValuesIndices:
    """The k-th smallest element along `dim`, counted from 1; which of equals it is is not promised.

    Raises:
        RuntimeError: there are fewer than k.
        IndexError: the dimension has length 0.
    """
    axis = axis_of(dim, input.array.ndim)
    not_empty("kthvalue", input, dim)
    n = input.array.shape[axis] if input.array.ndim else 1
    if not 1 <= k <= n:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {axis}")
    return _chosen(
        return_types.kthvalue, input, axis, selection.nth_position(input.detach(), dim=axis, n=k - 1), keepdim
    )


def _median(name: str, x: Tensor, dim: Any, keepdim: bool, *, ignore_nan: bool) -> Any:
    if dim is None:
        return selection.median(x, ignore_nan=ignore_nan)
    axis = axis_of(dim, x.array.ndim)
    not_empty(name, x, dim)
    kind = getattr(return_types, name)
    if not x.array.ndim:
        return _chosen(kind, x, 0, Tensor(np.zeros((), np.int64)), keepdim)
    return _chosen(kind, x, axis, selection.median_position(x.detach(), dim=axis, ignore_nan=ignore_nan), keepdim)


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median (ties share the gradient), nan if an element is; with `dim`, values and indices."""
    return _median("median", input, dim, keepdim, ignore_nan=False)


def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median of the elements that are not nan (ties share the gradient); with `dim`, values and indices."""
    return _median("nanmedian", input, dim, keepdim, ignore_nan=True)


def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> return_types.ValuesIndices:
    """The most frequent element along `dim`, the smallest of several, and where it stands last.

    Raises:
        IndexError: the dimension has length 0.
    """
    axis = axis_of(dim, input.array.ndim)
    not_empty("mode", input, dim)
    if not input.array.ndim:
        return _chosen(return_types.mode, input, 0, Tensor(np.zeros((), np.int64)), keepdim)
    return _chosen(return_types.mode, input, axis, selection.mode_position(input.detach(), dim=axis), keepdim)


def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The q-quantiles of the elements, of all or along `dim`: linear (or as named) between those on either side.

    A vector of several q gives a new first dimension. A nan among the elements gives nan.

    Raises:
        RuntimeError: q leaves [0, 1], the input is empty, or its dtype is not floating point.
        ValueError: an interpolation that there is not.
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, ignore_nan=False)


def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The q-quantiles of the elements that are not nan."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, ignore_nan=True)


_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(
    name: str, x: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, *, ignore_nan: bool
) -> Tensor:
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError(f"{name}() interpolation must be one of {', '.join(_INTERPOLATIONS)}, got {interpolation}")
    if x.array.size == 0:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    wanted = np.asarray(q.array if isinstance(q, Tensor) else q, dtype=x.array.dtype)
    if isinstance(q, Tensor) and q.array.dtype != x.array.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    if wanted.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    outside = wanted[(wanted < 0) | (wanted > 1)]
    if outside.size:
        raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {outside.flat[0]:g}")
    ndim = x.array.ndim
    rows = movement.reshape(x, shape=(-1,)) if dim is None or not ndim else x
    axis = 0 if dim is None else axis_of(dim, ndim)
    ordered = sort(rows, axis).values
    last = movement.permute(ordered, dims=movement.to_the_end(rows.array.ndim, axis))
    numbers: list[Any] = [float(p) for p in wanted.reshape(-1)]
    if isinstance(q, Tensor) and interpolation == "linear":  # the others do not move with q
        vector = movement.reshape(q, shape=(-1,))
        numbers = [indexing.getitem(vector, index=k) for k in range(wanted.size)]
    found = [_between(last, p, interpolation, ignore_nan) for p in numbers]
    kept = (1,) * ndim if dim is None else tuple(1 if d == axis else n for d, n in enumerate(x.array.shape))
    out: Tensor = movement.stack(*found, dim=0)
    if keepdim:
        out = movement.reshape(out, shape=(len(found), *kept))
    return not_a_view(out if wanted.ndim else movement.reshape(out, shape=tuple(out.shape)[1:]))


def _between(ordered: Tensor, q: Any, interpolation: str, ignore_nan: bool) -> Tensor:
    """Return the quantile of ascending elements along the last dimension; a tensor q gets its gradient."""
    n = ordered.array.shape[-1]
    raw = ordered.array
    plain = isinstance(raw, np.ndarray)
    missing = np.isnan(raw).sum(-1) if plain else np.zeros(tuple(ordered.shape)[:-1], np.int64)
    number = raw.dtype.type
    counted = builtins.max(n - 1, 0) - missing if ignore_nan else np.full_like(missing, n - 1)
    steps = np.maximum(counted, 0).astype(raw.dtype)
    ranks = number(q.item() if isinstance(q, Tensor) else q) * steps
    if not ignore_nan:
        ranks = np.where(missing > 0, number(n - 1), ranks)
    if interpolation == "lower":
        ranks = np.floor(ranks)
    elif interpolation == "higher":
        ranks = np.ceil(ranks)
    elif interpolation == "nearest":
        ranks = np.round(ranks)
    below = np.floor(ranks).astype(np.int64)[..., None]
    lower: Tensor = movement.squeeze(indexing.gather(ordered, dim=ordered.ndim - 1, index=below), dim=-1)
    if interpolation in ("lower", "higher", "nearest"):
        return lower
    weight = np.full_like(ranks, 0.5) if interpolation == "midpoint" else ranks - np.floor(ranks)
    above = np.ceil(ranks).astype(np.int64)[..., None]
    upper = movement.squeeze(indexing.gather(ordered, dim=ordered.ndim - 1, index=above), dim=-1)
    apart = elementwise.sub(upper, lower)
    part: Any = Tensor(np.asarray(weight))
    if isinstance(q, Tensor):
        moving = elementwise.sub(elementwise.mul(q, Tensor(np.asarray(steps))), Tensor(np.asarray(np.floor(ranks))))
        part = moving if ignore_nan else elementwise.where(Tensor(np.asarray(missing > 0)), part, moving)
    near = elementwise.add(lower, elementwise.mul(apart, part))
    far = elementwise.sub(upper, elementwise.mul(apart, elementwise.sub(1.0, part)))
    out: Tensor = elementwise.where(Tensor(np.asarray(weight < 0.5)), near, far)
    return out


# -- scans


def cumsum(input: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """Running sums along `dim`."""
    axis_of(dim, input.array.ndim)
    out: Tensor = reductions.cumsum(_wide(_of_type(input, dtype)), dim=dim)
    return out


def cumprod(input: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """Running products along `dim`; the gradient is right at zeros."""
    axis_of(dim, input.array.ndim)
    out: Tensor = scans.cumprod(_wide(_of_type(input, dtype)), dim=dim)
    return out


def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """The logarithms of the running sums of exp(input) along `dim`, without overflow; quadratic in its length."""
    axis = axis_of(dim, input.array.ndim)
    if not input.array.size or not input.array.ndim:
        out: Tensor = elementwise.clone(input)
        return out
    n = input.array.shape[axis]
    rows = movement.permute(input, dims=movement.to_the_end(input.array.ndim, axis))
    shape = tuple(rows.shape)
    wide = movement.expand(movement.unsqueeze(rows, dim=-2), shape=(*shape[:-1], n, n))
    before = elementwise.where(Tensor(np.tril(np.ones((n, n), bool))), wide, -math.inf)
    sums = reductions.logsumexp(before, dim=-1)
    return not_a_view(movement.permute(sums, dims=movement.inverse(movement.to_the_end(input.array.ndim, axis))))


def _running(kind: Kind, positions: Any, x: Tensor, dim: int) -> return_types.ValuesIndices:
    axis = axis_of(dim, x.array.ndim)
    if not x.array.size:
        return kind(elementwise.clone(x), Tensor(np.zeros(x.array.shape, np.int64)))
    places = positions(x.detach(), dim=axis)
    return _named(kind, indexing.gather(x, dim=axis, index=places.array), places)


def cummax(input: Tensor, dim: int) -> return_types.ValuesIndices:
    """The largest elements so far along `dim`, and where they stand: the last of equals."""
    return _running(return_types.cummax, selection.cummax_positions, input, dim)


def cummin(input: Tensor, dim: int) -> return_types.ValuesIndices:
    """The smallest elements so far along `dim`, and where they stand: the last of equals."""
    return _running(return_types.cummin, selection.cummin_positions, input, dim)
