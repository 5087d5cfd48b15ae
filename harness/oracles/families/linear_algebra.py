"""Solving, inverting and factorising: FLINT's matrices on balls, coefficient by coefficient on series.

The power series of the solution of A(t) X(t) = B(t) is defined by A0 Xk = Bk - A1 X(k-1) - ...: one matrix for all its
coefficients, and no rule of ours. Determinants and triangular factors are sums, products and quotients of cells, which
series have of themselves.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

import flint
import numpy as np
from flint import arb, arb_mat, arb_series

from harness.oracles.balls import filled, pair
from harness.oracles.families.on_balls import Enclosure
from harness.oracles.families.on_series import SeriesArray, product, quotient

__all__ = ["ENCLOSURES", "SERIES", "by_permutations"]

_ZERO, _ONE, _NAN = arb(0), arb(1), arb("nan")


def _matrices(*arrays: Any) -> tuple[tuple[int, ...], list[Any]]:
    """The batch shape that the arrays broadcast to, and for each array its matrices of cells, one a batch."""
    lead = np.broadcast_shapes(*(a.shape[:-2] for a in arrays))
    count = math.prod(lead)
    wide = [np.broadcast_to(a.cells, (*lead, *a.shape[-2:])).reshape(count, *a.shape[-2:]) for a in arrays]
    return lead, wide


def _batched(function: Callable[..., Any]) -> Enclosure:
    """An array of matrices from a function of matrices of cells."""

    def enclosure(*args: Any, **params: Any) -> Any:
        arrays = pair(*args) if len(args) == 2 else args
        lead, wide = _matrices(*arrays)
        results = [function(*each, **params) for each in zip(*wide, strict=True)]
        shape = (*lead, arrays[0].shape[-1], arrays[-1].shape[-1])
        cells = np.empty(shape, np.object_)
        if results:
            cells.reshape(-1)[:] = np.concatenate([r.reshape(-1) for r in results])
        return arrays[0].merge(arrays[-1], cells)

    return enclosure


def _numbers(function: Callable[[Any], Any]) -> Enclosure:
    """An array of numbers, one a matrix."""

    def enclosure(x: Any) -> Any:
        lead, (matrices,) = _matrices(x)
        return x.like(filled(lead, [function(m) for m in matrices]))

    return enclosure


# -- balls


def _flint(x: Any) -> arb_mat:
    return arb_mat(x.shape[0], x.shape[1], x.ravel().tolist())


def _cells(matrix: arb_mat) -> Any:
    return filled((matrix.nrows(), matrix.ncols()), matrix.entries())


def _unknown(m: int, n: int) -> Any:
    return filled((m, n), [_NAN] * (m * n))


def _solve(a: Any, b: Any) -> Any:
    if not b.size:
        return b
    try:
        return _cells(_flint(a).solve(_flint(b)))
    except ZeroDivisionError:  # a matrix in the ball may be singular
        return _unknown(*b.shape)


def _inverse(a: Any) -> Any:
    return _solve(a, filled(a.shape, [arb(int(i == j)) for i, j in np.ndindex(*a.shape)]))


def _determinant(a: Any) -> arb:
    return _flint(a).det() if a.size else _ONE


def _log_size(c: arb) -> arb:
    return abs(c).log() if not c.contains(0) else _NAN


# -- series


def _coefficient(x: Any, k: int) -> arb_mat:
    return arb_mat(x.shape[0], x.shape[1], [p[k] for p in x.ravel().tolist()])


def _solve_series(a: Any, b: Any) -> Any:
    if not b.size:
        return b
    parts = [_coefficient(a, k) for k in range(flint.ctx.cap)]
    found: list[arb_mat] = []
    try:
        for k in range(flint.ctx.cap):
            right = _coefficient(b, k)
            for i in range(1, k + 1):
                right = right - parts[i] * found[k - i]
            found.append(parts[0].solve(right))
    except ZeroDivisionError:
        return filled(b.shape, [SeriesArray.constant(_NAN)] * b.size)
    columns = zip(*(m.entries() for m in found), strict=True)
    return filled(b.shape, [arb_series(list(c)) for c in columns])


def _inverse_series(a: Any) -> Any:
    return _solve_series(a, filled(a.shape, [arb_series([int(i == j)]) for i, j in np.ndindex(*a.shape)]))


def by_permutations(a: Any, multiply: Callable[[Any, Any], Any], one: Any, *, signed: bool = True) -> Any:
    """The determinant as the sum over all permutations; without signs, the permanent."""
    n = a.shape[0]
    whole = one * 0
    for order in itertools.permutations(range(n)):
        term = one
        for i, j in enumerate(order):
            term = multiply(term, a[i, j])
        swaps = sum(order[i] > order[j] for i in range(n) for j in range(i + 1, n))
        whole = whole - term if signed and swaps % 2 else whole + term
    return whole


_FEW = 4  # up to this size a determinant is summed over permutations, which needs no pivot


def _determinant_series(a: Any) -> Any:
    n = a.shape[0]
    if n <= _FEW:
        return by_permutations(a, product, arb_series([1]))
    rows, result = [list(row) for row in a], arb_series([1])
    for i in range(n):
        pivot = max(range(i, n), key=lambda k: float(abs(rows[k][i][0].mid())))
        if pivot != i:
            rows[i], rows[pivot], result = rows[pivot], rows[i], -result
        result = product(result, rows[i][i])
        for k in range(i + 1, n):
            factor = quotient(rows[k][i], rows[i][i])
            rows[k] = [x - product(factor, y) for x, y in zip(rows[k], rows[i], strict=True)]
    return result


def _log_size_series(p: Any) -> Any:
    positive = p if p[0] > 0 else -p
    return positive.log() if positive[0] > 0 else SeriesArray.constant(_NAN)


# -- what balls and series compute alike: `root`, `multiply` and `divide` are those of their cells


def _cholesky(multiply: Any, divide: Any, root: Any, zero: Callable[[], Any]) -> Callable[[Any], Any]:
    """The factor by rows; only the lower triangle is read."""

    def factor(a: Any) -> Any:
        n = a.shape[0]
        low = filled((n, n), [zero() for _ in range(n * n)])
        for i in range(n):
            for j in range(i + 1):
                rest = a[i, j]
                for k in range(j):
                    rest = rest - multiply(low[i, k], low[j, k])
                low[i, j] = root(rest) if i == j else divide(rest, low[j, j])
        return low

    return factor


def _substitution(multiply: Any, divide: Any) -> Callable[..., Any]:
    def solve(a: Any, b: Any, *, upper: bool) -> Any:
        n, m = b.shape
        x = np.empty((n, m), np.object_)
        for i in range(n - 1, -1, -1) if upper else range(n):
            known = range(i + 1, n) if upper else range(i)
            for c in range(m):
                rest = b[i, c]
                for k in known:
                    rest = rest - multiply(a[i, k], x[k, c])
                x[i, c] = divide(rest, a[i, i])
        return x

    return solve


def _root_of_series(p: Any) -> Any:
    return p.sqrt() if p[0] > 0 else SeriesArray.constant(_NAN)


def _root(c: arb) -> arb:
    return c.sqrt() if c > 0 else _NAN


ENCLOSURES: dict[str, Enclosure] = {
    "matrix_solve": _batched(_solve),
    "matrix_inverse": _batched(_inverse),
    "determinant": _numbers(_determinant),
    "log_abs_determinant": _numbers(lambda a: _log_size(_determinant(a))),
    "cholesky_factor": _batched(_cholesky(operator.mul, operator.truediv, _root, lambda: _ZERO)),
    "triangular_solve": _batched(_substitution(operator.mul, operator.truediv)),
}
SERIES: dict[str, Enclosure] = {
    "matrix_solve": _batched(_solve_series),
    "matrix_inverse": _batched(_inverse_series),
    "determinant": _numbers(_determinant_series),
    "log_abs_determinant": _numbers(lambda a: _log_size_series(_determinant_series(a))),
    "cholesky_factor": _batched(_cholesky(product, quotient, _root_of_series, lambda: arb_series([0]))),
    "triangular_solve": _batched(_substitution(product, quotient)),
}
