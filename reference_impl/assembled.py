"""Functions that put others together: differences, trapezoids, covariances, and copies with a piece replaced.

>>> import reference_impl as torch
>>> torch.diff(torch.tensor([1.0, 4.0, 9.0]))
tensor([3., 5.])
>>> torch.select_scatter(torch.zeros(2, 2), torch.ones(2), 0, 1)
tensor([[0., 0.],
        [1., 1.]])
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from reference_impl import functions as F
from reference_impl.checks import axis_of
from reference_impl.dtypes import get_default_dtype, scalar_type
from reference_impl.modes import enable_grad
from reference_impl.primitives import PRIMITIVES, apply
from reference_impl.tensor import Tensor

__all__ = [
    "combinations",
    "corrcoef",
    "cov",
    "cumulative_trapezoid",
    "diagonal_scatter",
    "diff",
    "fill",
    "ger",
    "gradient",
    "mvlgamma",
    "narrow_copy",
    "nextafter",
    "real",
    "renorm",
    "select_scatter",
    "slice_scatter",
    "sum_to_size",
    "trapezoid",
    "trapz",
    "vander",
]


def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """The differences of neighbours along `dim`, `n` times over.

    Raises:
        RuntimeError: the input has no dimension, or `n` is negative.
    """
    if not input.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    if not n:
        return F.clone(input)
    axis = axis_of(dim, input.ndim)
    parts = [x for x in (prepend, input, append) if x is not None]
    x = F.cat(parts, axis) if len(parts) > 1 else input
    for _ in range(min(n, x.shape[axis])):
        size = x.shape[axis]
        after, before = F.narrow(x, axis, 1, size - 1), F.narrow(x, axis, 0, size - 1)
        x = F.ne(after, before) if x.array.dtype.kind == "b" else F.sub(after, before)
    return x


def _panels(name: str, y: Tensor, x: Tensor | None, dx: Any, dim: int) -> tuple[Tensor, int]:
    """Return the areas between neighbours along the dimension, and the dimension."""
    if not y.ndim:
        raise IndexError(f"{name}: Dimension specified as {dim} but tensor has no dimensions")
    axis = axis_of(dim, y.ndim)
    size = y.shape[axis]
    if x is not None:
        if x.ndim == 1 and y.ndim > 1:
            if x.shape[0] != size:
                raise RuntimeError(f"{name}(): There must be one `x` value for each sample point")
            x = F.reshape(x, tuple(size if k == axis else 1 for k in range(y.ndim)))
        dx = diff(x, dim=axis - y.ndim)
    if size < 2:
        return F.mul(F.narrow(y, axis, 0, 0), 0.5), axis
    pairs = F.add(F.narrow(y, axis, 1, size - 1), F.narrow(y, axis, 0, size - 1))
    return F.mul(F.mul(pairs, dx), 0.5), axis


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = 1, dim: int = -1) -> Tensor:
    """The integral along `dim` by the trapezoid rule, of samples at `x`, or `dx` apart."""
    areas, axis = _panels("trapezoid", y, x, dx, dim)
    return F.sum(areas, axis)


trapz = trapezoid


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = 1, dim: int = -1) -> Tensor:
    """The integrals up to each sample but the first along `dim`, by the trapezoid rule."""
    areas, axis = _panels("cumulative_trapezoid", y, x, dx, dim)
    return F.cumsum(areas, axis)


def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """The covariances of the rows: each is a variable, each column an observation.

    Args:
        input: of at most two dimensions.
        correction: what is subtracted from the number of observations.
        fweights: how often each observation was made; integers.
        aweights: how much each observation counts.

    Raises:
        RuntimeError: more than two dimensions, or weights of another shape, negative or not integers.
    """
    if input.ndim > 2:
        raise RuntimeError(f"cov(): expected input to have two or fewer dimensions but got an input with {input.ndim}")
    x = F.reshape(input, (1, -1)) if input.ndim < 2 else input
    if x.array.dtype.kind != "f":
        x = F.mul(x, 1.0)
    weights: Tensor | None = None
    for name, given in (("fweights", fweights), ("aweights", aweights)):
        if given is None:
            continue
        if given.ndim > 1:
            raise RuntimeError(
                f"cov(): expected {name} to have one or fewer dimensions but got {name} with {given.ndim}"
            )
        kinds = ("iu", "integral") if name == "fweights" else ("f", "floating point")
        if given.array.dtype.kind not in kinds[0]:
            raise RuntimeError(
                f"cov(): expected {name} to have {kinds[1]} dtype but got {name} with {given.dtype} dtype"
            )
        if given.numel() != x.shape[1]:
            raise RuntimeError(
                f"cov(): expected {name} to have the same numel as there are observations in the input but got "
                f"{given.numel()} != {x.shape[1]}"
            )
        if given.numel() and given.array.min() < 0:
            raise RuntimeError(f"cov(): {name} cannot be negative")
        weights = given if weights is None else F.mul(weights, given)
    if weights is None:
        total: Any = x.shape[1]
        mean = F.mean(x, 1, True)
    else:
        total = F.sum(weights)
        mean = F.div(F.sum(F.mul(x, weights), 1, True), total)
    if correction == 0 or weights is None:
        norm = total - correction
    elif aweights is None:
        norm = F.sub(total, correction)
    else:
        norm = F.sub(total, F.mul(F.div(F.sum(F.mul(weights, aweights)), total), correction))
    if not isinstance(norm, Tensor):
        norm = max(norm, 0)
    centred = F.sub(x, mean)
    product = F.matmul(centred, F.transpose(centred if weights is None else F.mul(centred, weights), 0, 1))
    found = F.div(product, norm)
    return F.squeeze(found)


def corrcoef(input: Tensor) -> Tensor:
    """The correlations of the rows: the covariances over the products of the deviations.

    Raises:
        RuntimeError: more than two dimensions.
    """
    if input.ndim > 2:
        raise RuntimeError(
            f"corrcoef(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions"
        )
    c = cov(input)
    if not c.ndim:
        one: Tensor = F.div(c, c)
        return one
    deviations = F.sqrt(F.diagonal(c))
    found: Tensor = F.clamp(F.div(F.div(c, F.unsqueeze(deviations, 1)), F.unsqueeze(deviations, 0)), -1, 1)
    return found


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of the elements of a vector, a row each; falling ones unless `increasing`.

    Raises:
        RuntimeError: x is no vector, or N is negative.
    """
    if x.ndim != 1:
        raise RuntimeError(f"x must be a one-dimensional tensor, got {x.ndim} dimensions")
    count = x.shape[0] if N is None else N
    if count < 0:
        raise RuntimeError(f"N must be non-negative, got {count}")
    columns = powers_of(x, count)
    return F.stack(columns if increasing else columns[::-1], 1) if columns else _nothing(x, (x.shape[0], 0))


def powers_of(x: Tensor, count: int) -> list[Tensor]:
    """Return the powers of x with the exponents 0, 1, ..., so many."""
    powers = [Tensor(np.ones_like(x.array))]
    while len(powers) < count:
        powers.append(F.mul(powers[-1], x))
    return powers[:count]


def _nothing(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return Tensor(np.zeros_like(x.array, shape=shape))


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """The combinations of `r` elements of a vector, a row each, in the order of their places.

    Raises:
        RuntimeError: the input is no vector, or `r` is negative.
    """
    if input.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    pick = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = np.array([*pick(range(input.shape[0]), r)], dtype=np.int64).reshape(-1, r)
    if not r:
        return _nothing(input, (0,))
    return F.reshape(F.index_select(input, 0, Tensor(places.reshape(-1))), places.shape)


def ger(input: Tensor, vec2: Tensor) -> Tensor:
    """The old name of `outer`."""
    out: Tensor = F.outer(input, vec2)
    return out


def narrow_copy(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """What `narrow` gives, in memory of its own."""
    if 0 < input.ndim <= dim:
        raise RuntimeError(
            "Expected dim < static_cast<int64_t>(self_sizes.size()) to be true, but got false. "
            f"(dim {dim} of {input.ndim} dimensions)"
        )
    if length < 0 and input.ndim:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({input.shape[dim]}).")
    out: Tensor = F.clone(F.narrow(input, dim, start, length))
    return out


def nextafter(input: Tensor, other: Tensor) -> Tensor:
    """The next number of the dtype from `input` towards `other`; gradient 1 to the input where the two differ, else 0.

    Raises:
        NotImplementedError: the dtype is not floating point.
    """
    a, b = F.broadcast_tensors(input, other)
    dtype = F.result_type(input, other)
    if not dtype.is_floating_point:
        raise NotImplementedError(f'"nextafter_cpu" not implemented for {scalar_type(dtype)!r}')
    a, b = F.to(a, dtype), F.to(b, dtype)
    moved = F.clone(a)
    moved.array = np.asarray(np.nextafter(a.array, b.array))
    return F.constant_in(F.where(F.eq(a, b), moved.detach(), moved), b)


def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """Sum over the dimensions along which a tensor of that size would have been broadcast to the input's.

    Raises:
        RuntimeError: the size cannot be broadcast to the input's.
    """
    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    extra = input.ndim - len(shape)
    if extra < 0 or any(n not in (1, m) for n, m in zip(shape, input.shape[max(extra, 0) :], strict=True)):
        raise RuntimeError(
            f"size {{{list(shape)}}} is not expandable to size {{{list(input.shape)}}}, so that nothing sums to it"
        )
    dims = [*range(extra), *(extra + k for k, n in enumerate(shape) if n == 1 and input.shape[extra + k] != 1)]
    return F.reshape(F.sum(input, dims, True), shape) if dims else F.view(input, shape)


def _replaced(input: Tensor, src: Tensor, cut: Callable[[Tensor], Tensor]) -> Tensor:
    """Return a copy of the input with `src` in the place of the view that `cut` takes."""
    with enable_grad():
        view = cut(Tensor(input.array))
    if view.shape != src.shape:
        raise RuntimeError(
            "expected src to have a size equal to the slice of self. "
            f"src size = {list(src.shape)}, slice size = {list(view.shape)}"
        )
    assert view._view is not None  # it is a view
    out: Tensor = apply(PRIMITIVES["view_scatter"], input, F.to(src, input.dtype), path=view._view.path)
    return out


def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of the input with `src` at one index of a dimension.

    Raises:
        RuntimeError: `src` has not the shape of that piece.
    """
    return _replaced(input, src, lambda x: F.select(x, dim, index))


def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """A copy of the input with `src` in a slice of a dimension.

    Raises:
        RuntimeError: `src` has not the shape of that piece.
    """
    axis = axis_of(dim, input.ndim)
    return _replaced(input, src, lambda x: F.getitem(x, (slice(None),) * axis + (slice(start, end, step),)))


def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A copy of the input with `src` on a diagonal.

    Raises:
        RuntimeError: `src` has not the shape of the diagonal.
    """
    return _replaced(input, src, lambda x: F.diagonal(x, offset, dim1, dim2))


def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor of the input's shape and type with one value everywhere, a number or a tensor of no dimensions.

    Raises:
        RuntimeError: the value has dimensions.
    """
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(f"fill only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")
    out: Tensor = F.clone(input).fill_(value)
    return out


def real(input: Tensor) -> Tensor:
    """The tensor itself: there are no complex numbers."""
    return input


def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """The input with every slice along `dim` whose p-norm exceeds `maxnorm` scaled down to it.

    Raises:
        RuntimeError: the input has less than two dimensions, p is not positive, or `maxnorm` is negative.
    """
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if input.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    axis = axis_of(dim, input.ndim)
    norms = F.vector_norm(input, p, [k for k in range(input.ndim) if k != axis], keepdim=True)
    out: Tensor = F.mul(input, F.where(F.gt(norms, maxnorm), F.div(float(maxnorm), F.add(norms, 1e-7)), 1.0))
    return out


def mvlgamma(input: Tensor, p: int) -> Tensor:
    """The logarithm of the gamma function of p dimensions, p (p - 1) / 4 log(pi) + sum over i < p of lgamma(x - i / 2).

    Raises:
        RuntimeError: p is below 1.
    """
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    x = input if input.array.dtype.kind == "f" else input.to(get_default_dtype())
    total = F.lgamma(x)
    for k in range(1, p):
        total = F.add(total, F.lgamma(F.sub(x, 0.5 * k)))
    out: Tensor = F.add(total, p * (p - 1) / 4 * math.log(math.pi))
    return out


def gradient(input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """Estimates of the derivatives of a function of which the samples are given, by differences of the second order.

    Args:
        input: the samples, on a grid.
        spacing: the distance of neighbours, one for all dimensions or one for each; or the coordinates along each.
        dim: along which dimensions; all by default.
        edge_order: 1 or 2, the order of the differences at the edges.

    Returns:
        One tensor a dimension.

    Raises:
        RuntimeError: too few samples, or something about the spacing or the order does not fit.
    """
    axes = [
        axis_of(d, input.ndim) for d in ((dim,) if isinstance(dim, int) else range(input.ndim) if dim is None else dim)
    ]
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    for axis in axes:
        if axes.count(axis) > 1:
            raise RuntimeError(f"dim {axis} appears multiple times in the list of dims")
    spacing = 1 if spacing is None else spacing
    many = isinstance(spacing, list | tuple)
    steps = list(spacing) if many else [spacing] * len(axes)
    if len(steps) != len(axes):
        raise RuntimeError(
            f"torch.gradient expected spacing to be unspecified, a scalar or it's spacing and dim arguments to have the same "
            f"length, but got a spacing argument of length {len(steps)} and a dim argument of length {len(axes)}."
        )
    if any(input.shape[axis] < edge_order + 1 for axis in axes):
        raise RuntimeError("torch.gradient expected each dimension size to be at least edge_order+1")
    return tuple(_slopes(input, axis, step, edge_order) for axis, step in zip(axes, steps, strict=True))


def _slopes(x: Tensor, axis: int, step: Any, edge_order: int) -> Tensor:
    """The weights of three neighbours are those of the parabola through them: N. J. Higham, section 1.18, or any textbook."""
    n = x.shape[axis]

    def at(start: int, length: int) -> Tensor:
        return F.narrow(x, axis, start, length)

    if isinstance(step, Tensor):
        if tuple(step.shape) != (n,):
            raise RuntimeError(f"torch.gradient expected coordinates of shape [{n}], got {list(step.shape)}")
        gaps = np.diff(step.array.astype(x.array.dtype))
    else:
        gaps = np.full(n - 1, step, x.array.dtype)
    before, after = gaps[:-1], gaps[1:]

    def weighted(start: int, length: int, weights: tuple[Any, Any, Any]) -> Tensor:
        shape = [-1 if k == axis else 1 for k in range(x.ndim)]
        parts = [F.mul(at(start + k, length), Tensor(np.asarray(w).reshape(shape))) for k, w in enumerate(weights)]
        out: Tensor = F.add(F.add(parts[0], parts[1]), parts[2])
        return out

    if isinstance(step, Tensor):
        weights = (
            -after / (before * (before + after)),
            (after - before) / (before * after),
            before / (after * (before + after)),
        )
        inner = weighted(0, n - 2, weights) if n > 2 else None
    else:
        inner = F.div(F.sub(at(2, n - 2), at(0, n - 2)), 2.0 * step) if n > 2 else None
    if edge_order == 1:
        first, last = (
            F.div(F.sub(at(1, 1), at(0, 1)), gaps[:1].item()),
            F.div(F.sub(at(n - 1, 1), at(n - 2, 1)), gaps[-1:].item()),
        )
    else:
        a, b = before[:1], after[:1]
        first = weighted(0, 1, (-(2 * a + b) / (a * (a + b)), (a + b) / (a * b), -a / (b * (a + b))))
        a, b = before[-1:], after[-1:]
        last = weighted(n - 3, 1, (b / (a * (a + b)), -(a + b) / (a * b), (2 * b + a) / (b * (a + b))))
    return F.cat([first, *([] if inner is None else [inner]), last], axis)
