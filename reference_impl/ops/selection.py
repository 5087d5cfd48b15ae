"""Which element is the largest, the third, the middle one: positions, and reductions that return one of their elements.

Positions have no derivative. `max` along a dimension, `sort`, `topk` and their kin gather the elements at them, so that
the gradient goes to what was chosen.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_impl.ops.elementwise import eq, logical_and, logical_or, ne, where
from reference_impl.ops.reductions import ones_like, sum_
from reference_impl.primitives import ELEMENTWISE, REDUCTION, primitive

__all__ = [
    "argmax",
    "argmin",
    "argsort",
    "cummax_positions",
    "cummin_positions",
    "isnan",
    "max_",
    "median",
    "median_position",
    "min_",
    "mode_position",
    "nth_position",
]


@primitive(ELEMENTWISE)
def isnan(x: Any) -> Any:
    """True where an element is nan."""
    return np.isnan(x)


# -- positions


@primitive(REDUCTION, kinks="ties: the first")
def argmax(x: Any, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """The position of the largest element, the first of equals; nan counts as largest."""
    return np.asarray(x.argmax(dim if x.ndim else None, keepdims=keepdim))


@primitive(REDUCTION, kinks="ties: the first")
def argmin(x: Any, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """The position of the smallest element, the first of equals; nan counts as smallest."""
    return np.asarray(x.argmin(dim if x.ndim else None, keepdims=keepdim))


@primitive(REDUCTION, kinks="ties: in the order given, if stable; else PyTorch leaves it open")
def argsort(x: Any, *, dim: int, descending: bool = False, stable: bool = True, first: int | None = None) -> Any:
    """The positions of the elements in rising or falling order, of the first so many if not of all.

    nan counts as largest, equals keep their order.
    """
    if not x.ndim:
        return np.zeros((), np.int64)
    if descending:
        # falling order that keeps the order of equals: the rising one, read backwards, of the elements read backwards
        order = np.flip(x.shape[dim] - 1 - np.argsort(np.flip(x, dim), axis=dim, kind="stable"), dim)
    else:
        order = np.argsort(x, axis=dim, kind="stable")
    return order if first is None else order[(slice(None),) * (dim % x.ndim) + (slice(first),)]


def _running_positions(x: Any, dim: int, best: Any) -> Any:
    if not x.ndim:
        return np.zeros((), np.int64)
    steps = np.arange(x.shape[dim]).reshape([-1 if d == dim % x.ndim else 1 for d in range(x.ndim)])
    hit = (x == best.accumulate(x, dim)) | (x != x)
    return np.maximum.accumulate(np.where(hit, steps, 0), dim)


@primitive(REDUCTION, kinks="ties: the last so far")
def cummax_positions(x: Any, *, dim: int) -> Any:
    """Where the largest element so far along `dim` stands: the last of equals, the last nan once there is one."""
    return _running_positions(x, dim, np.maximum)


@primitive(REDUCTION, kinks="ties: the last so far")
def cummin_positions(x: Any, *, dim: int) -> Any:
    """Where the smallest element so far along `dim` stands: the last of equals, the last nan once there is one."""
    return _running_positions(x, dim, np.minimum)


@primitive(REDUCTION, kinks="ties: PyTorch leaves open which of equal elements it is")
def median_position(x: Any, *, dim: int, ignore_nan: bool = False) -> Any:
    """The position of the lower median along `dim`, kept at length 1; of a nan, unless all count that are not nan."""
    order = np.argsort(x, axis=dim, kind="stable")
    missing = np.isnan(x).sum(dim, keepdims=True) if x.dtype.kind == "f" else np.zeros((), np.int64)
    n = x.shape[dim]
    known = n - missing
    rank = np.where(known > 0, (known - 1) // 2, 0) if ignore_nan else np.where(missing > 0, known, (n - 1) // 2)
    return np.take_along_axis(
        order, np.broadcast_to(rank, [1 if d == dim % x.ndim else m for d, m in enumerate(x.shape)]), dim
    )


@primitive(REDUCTION, kinks="ties: PyTorch leaves open which of equal elements it is")
def nth_position(x: Any, *, dim: int, n: int) -> Any:
    """The position of the element that n others precede in rising order along `dim`, kept at length 1; nan is largest."""
    if not x.ndim:
        return np.zeros((), np.int64)
    order = np.argsort(x, axis=dim, kind="stable")
    return order[(slice(None),) * (dim % x.ndim) + (slice(n, n + 1),)]


@primitive(REDUCTION, kinks="elements that are equal: the last of them")
def mode_position(x: Any, *, dim: int) -> Any:
    """The position of the most frequent element along `dim`, kept at length 1: the smallest of several, its last place."""
    rows = np.moveaxis(x, dim, -1)
    found = np.zeros(rows.shape[:-1], np.int64)
    for place in np.ndindex(found.shape):
        row = rows[place]
        values, counts = np.unique(row, return_counts=True)
        found[place] = np.flatnonzero(row == values[counts.argmax()])[-1]
    return np.expand_dims(found, dim)


# -- one element of all, whose gradient is shared among those that equal it


def _to_equals(ct: Any, x: Any, y: Any) -> Any:
    """Share the cotangent evenly among the elements that equal the chosen one; those that are nan, if it is."""
    equal = eq(x, y)
    raw = getattr(y, "array", y)
    if isinstance(raw, np.ndarray | np.generic) and np.isnan(raw):
        equal = logical_or(equal, logical_and(ne(x, x), ne(y, y)))
    ties = where(equal, ones_like(x), 0.0)
    return ct * (ties / sum_(ties, dim=None))


@primitive(
    REDUCTION,
    vjps=[_to_equals],
    kinks="ties: shared evenly; so among nan, if there is one",
    node_name="MaxBackward1",
)
def max_(x: Any) -> Any:
    """The largest element of all, nan if there is one."""
    return np.asarray(x.max())


@primitive(
    REDUCTION,
    vjps=[_to_equals],
    kinks="ties: shared evenly; so among nan, if there is one",
    node_name="MinBackward1",
)
def min_(x: Any) -> Any:
    """The smallest element of all, nan if there is one."""
    return np.asarray(x.min())


@primitive(REDUCTION, vjps=[_to_equals], kinks="ties: shared evenly")
def median(x: Any, *, ignore_nan: bool = False) -> Any:
    """The lower median of all elements; nan if there is one, unless those do not count, and of none."""
    flat = np.sort(x.reshape(-1))
    missing = int(np.isnan(flat).sum()) if x.dtype.kind == "f" else 0
    known = flat.size - missing
    if not known or (missing and not ignore_nan):
        return np.asarray(np.nan, x.dtype)
    return np.asarray(flat[(known - 1) // 2])
