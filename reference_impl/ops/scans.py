"""Running products along a dimension."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_impl.ops.elementwise import where
from reference_impl.ops.movement import expand, flip, reshape
from reference_impl.ops.reductions import cumsum, divides, sum_
from reference_impl.primitives import REDUCTION, primitive

__all__ = ["cumprod", "cumprod_vjp", "from_the_end"]


def from_the_end(x: Any, dim: int) -> Any:
    """Running sums along `dim`, backwards."""
    return flip(cumsum(flip(x, dims=(dim,)), dim=dim), dims=(dim,))


def _steps(shape: tuple[int, ...], dim: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the shapes that arrange x as row i, column k along `dim`: of x, of all, and of an n by n mask."""
    n = shape[dim]
    return (
        (*shape[:dim], 1, *shape[dim:]),
        (*shape[:dim], n, *shape[dim:]),
        (n, n, *(1 for _ in shape[dim + 1 :])),
    )


def cumprod_vjp(ct: Any, x: Any, y: Any, dim: int) -> Any:
    """Return sum_j ct_j y_j / x_i over j >= i; at zeros and where products underflow they are products of others."""
    shape = tuple(x.shape)
    if not shape or shape[dim] == 1:
        return ct
    dim %= len(shape)
    if divides(x, y):
        return from_the_end(ct * y, dim) / x
    own, wide, square = _steps(shape, dim)
    n = shape[dim]
    without = where(np.eye(n, dtype=bool).reshape(square), 1.0, expand(reshape(x, shape=own), shape=wide))
    later = np.triu(np.ones((n, n), bool)).reshape(square)
    terms = where(later, cumprod(without, dim=dim + 1) * reshape(ct, shape=own), 0.0)
    return sum_(terms, dim=dim + 1)


@primitive(REDUCTION, vjps=[cumprod_vjp])
def cumprod(x: Any, *, dim: int) -> Any:
    """Running products along `dim`. The gradient is right at zeros, too, by a quadratic formula that only they need."""
    return np.cumprod(x, axis=dim) if x.ndim else np.array(x)
