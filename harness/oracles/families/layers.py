"""Convolutions and the largest of a window.

The windows of a convolution are moved by the same functions as in the reference; its sums are products of matrices of
balls or series, so that one function serves both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from flint import arb

from harness.oracles.balls import Undecidable, as_cells, filled, pair
from harness.oracles.families.on_balls import Enclosure, larger
from reference_impl.ops.convolution import columns, uncolumns, weight_factors

__all__ = ["ENCLOSURES", "MOVEMENT", "SERIES", "products_of"]

Sizes = tuple[int, ...]


def products_of(kind: Any, left: Any, right: Any) -> Any:
    """The products of the matrices of cells in the last two dimensions; the leading ones broadcast."""
    lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left, right = np.broadcast_to(left, (*lead, *left.shape[-2:])), np.broadcast_to(right, (*lead, *right.shape[-2:]))
    m, k, n = left.shape[-2], left.shape[-1], right.shape[-1]
    out: Any = np.empty((*lead, m, n), np.object_)
    for at in np.ndindex(lead):
        out[at] = kind.contract(left[at], right[at]) if k else filled((m, n), [kind.constant(arb(0))] * (m * n))
    return out


def _zero(x: Any) -> Any:
    return as_cells(x.constant(arb(0)))  # an array, since NumPy would take a series for a list


def _convolution(x: Any, w: Any, *, stride: Sizes, padding: Any, dilation: Sizes, groups: int) -> Any:
    x, w = pair(x, w)
    n, c = x.shape[:2]
    out, kernel = w.shape[0], w.shape[2:]
    cols = columns(x.cells, kernel, stride, padding, dilation, zero=_zero(x))
    places = cols.shape[2 + len(kernel) :]
    depth = c // groups * math.prod(kernel)
    y = products_of(
        x, w.cells.reshape(1, groups, out // groups, depth), cols.reshape(n, groups, depth, math.prod(places))
    )
    return x.merge(w, y.reshape(n, out, *places))


def _convolution_input(
    t: Any, w: Any, *, space: Sizes, stride: Sizes, padding: Any, dilation: Sizes, groups: int
) -> Any:
    t, w = pair(t, w)
    n, out = t.shape[:2]
    kernel, places = w.shape[2:], t.shape[2:]
    depth = w.shape[1] * math.prod(kernel)
    left = w.cells.reshape(1, groups, out // groups, depth).swapaxes(2, 3)
    cols = products_of(t, left, t.cells.reshape(n, groups, out // groups, math.prod(places)))
    cols = cols.reshape(n, groups * w.shape[1], *kernel, *places)
    return t.merge(w, uncolumns(cols, space, kernel, stride, padding, dilation, zero=_zero(t)))


def _convolution_weight(
    t: Any, x: Any, *, kernel: Sizes, stride: Sizes, padding: Any, dilation: Sizes, groups: int
) -> Any:
    t, x = pair(t, x)
    cols = columns(x.cells, kernel, stride, padding, dilation, zero=_zero(x))
    left, right = weight_factors(t.cells, cols, groups)
    return t.merge(x, products_of(t, left, right).reshape(t.shape[1], x.shape[1] // groups, *kernel))


def _along_the_last(fold: Callable[[list[Any]], Any]) -> Enclosure:
    def enclosure(x: Any) -> Any:
        rows = x.cells.reshape(math.prod(x.shape[:-1]), x.shape[-1]).tolist()
        return x.like(filled(x.shape[:-1], [fold(row) for row in rows]))

    return enclosure


def _first_largest(cells: list[arb]) -> arb:
    result = cells[0]
    for c in cells[1:]:
        result = larger(result, c)
    return result


def _certainly_largest(cells: list[Any]) -> Any:
    """The series that is certainly above every other; one that occurs twice, as in a window at an edge, is no tie."""
    best = cells[0]
    for cell in cells[1:]:
        if cell[0] > best[0]:
            best = cell
    for i, cell in enumerate(cells):
        if cell is not best and not best[0] > cell[0]:
            raise Undecidable("first_largest", (i,), best[0] - cell[0])
    return best


_BILINEAR: dict[str, Enclosure] = {
    "convolution": _convolution,
    "convolution_input": _convolution_input,
    "convolution_weight": _convolution_weight,
}
ENCLOSURES: dict[str, Enclosure] = {**_BILINEAR, "first_largest": _along_the_last(_first_largest)}
SERIES: dict[str, Enclosure] = {**_BILINEAR, "first_largest": _along_the_last(_certainly_largest)}
MOVEMENT = frozenset(["first_largest"])
