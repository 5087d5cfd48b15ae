"""The small objectives of GradBench: least squares, an ODE, k-means, a determinant by minors, logsumexp from its parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.workloads.base import Array, Input, PullBack, Workload, log_sum_exp, vector

__all__ = ["rows"]

_POWERS, _STEPS, _END, _CENTROIDS, _DIM = 8, 10, 2.0, 10, 4


def rows() -> list[Workload]:
    """The workloads of this family. Source of all: the README of each objective at github.com/gradbench/gradbench."""
    made: dict[str, Any] = {"family": "objectives", "counts": True}
    return [
        Workload(
            "llsq", f"least squares of a polynomial of {_POWERS} coefficients and the sign function at n places",
            (16, 1_000, 100_000), _llsq_inputs, _llsq, None, _llsq_by_hand, **made,
        ),
        Workload(
            "ode", f"y0' = x0, yi' = xi y(i-1) until {_END:g} in {_STEPS} steps of Runge-Kutta, pulled back along a vector",
            (8, 1_000, 100_000), _ode_inputs, _ode, None, _ode_by_hand, scalar=False, **made,
        ),
        Workload(
            "kmeans", f"sum of squared distances of n points in {_DIM} dimensions to the nearest of {_CENTROIDS} centroids",
            (100, 1_000, 10_000), _kmeans_inputs, _kmeans, None, _kmeans_by_hand, wrt=(1,),
            more={"diagonal": _kmeans_diagonal}, **made,
        ),
        Workload(
            "det_by_minors", "determinant of a matrix by expansion along rows, n! products of numbers",
            (3, 5, 6), _det_inputs, _det, None, _det_by_hand,
            limits={"jax": 5, "jax-jit": 5, "torch-compile": 3}, **made,
        ),
        Workload(
            "lse", "logsumexp of a vector from a maximum, exponentials, a sum and a logarithm",
            (10, 1_000, 100_000), vector, _lse, None, _lse_by_hand, **made,
        ),
    ]  # fmt: skip


# Least squares


def _llsq_inputs(n: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
    places = np.linspace(-1, 1, n)
    powers = places[:, None] ** np.arange(_POWERS)
    return tuple(a.astype(dtype) for a in (rng.uniform(0, 1, _POWERS), powers, np.sign(places)))


def _llsq(T: Any, x: Any, powers: Any, signs: Any) -> Any:
    return 0.5 * T.sum(T.square(signs - T.matmul(powers, x)))


def _llsq_by_hand(x: Array, powers: Array, signs: Array) -> tuple[Array, PullBack]:
    gap = signs - powers @ x
    return 0.5 * (gap * gap).sum(), lambda ct: (-ct * (gap @ powers),)


# An ODE


def _ode_inputs(n: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
    return (rng.uniform(0, 1, n).astype(dtype),)


def _ode(T: Any, x: Any) -> Any:
    first, rest = x[:1], x[1:]
    h = _END / _STEPS

    def slope(y: Any) -> Any:
        return T.cat([first, rest * y[:-1]])

    y = T.zeros_like(x)
    for _ in range(_STEPS):
        k1 = slope(y)
        k2 = slope(y + h / 2 * k1)
        k3 = slope(y + h / 2 * k2)
        k4 = slope(y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return y


def _ode_by_hand(x: Array) -> tuple[Array, PullBack]:
    h = x.dtype.type(_END) / _STEPS

    def slope(y: Array) -> Array:
        z = np.empty_like(x)
        z[0] = x[0]
        np.multiply(x[1:], y[:-1], out=z[1:])
        return z

    kept = []
    y = np.zeros_like(x)
    for _ in range(_STEPS):
        k1 = slope(y)
        y2 = y + h / 2 * k1
        k2 = slope(y2)
        y3 = y + h / 2 * k2
        k3 = slope(y3)
        y4 = y + h * k3
        kept.append((y, y2, y3, y4))
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(y4))

    def pull_back(ct: Array) -> tuple[Array, ...]:
        ct_x = np.zeros_like(x)

        def slope_back(ct_z: Array, at: Array) -> Array:
            ct_x[0] += ct_z[0]
            ct_x[1:] += ct_z[1:] * at[:-1]
            ct_y = np.zeros_like(x)
            ct_y[:-1] = ct_z[1:] * x[1:]
            return ct_y

        for y1, y2, y3, y4 in reversed(kept):
            ct4 = slope_back(h / 6 * ct, y4)
            ct3 = slope_back(h / 3 * ct + h * ct4, y3)
            ct2 = slope_back(h / 3 * ct + h / 2 * ct3, y2)
            ct1 = slope_back(h / 6 * ct + h / 2 * ct2, y1)
            ct = ct + ct1 + ct2 + ct3 + ct4
        return (ct_x,)

    return y, pull_back


# k-means


def _kmeans_inputs(n: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
    points = rng.standard_normal((n, _DIM))
    # A centroid at a point is the nearest to it, so that every one has a second derivative.
    centroids = points[rng.choice(n, _CENTROIDS, replace=False)] + 1e-3 * rng.standard_normal((_CENTROIDS, _DIM))
    return points.astype(dtype), centroids.astype(dtype)


def _kmeans(T: Any, points: Any, centroids: Any) -> Any:
    # Points lie along the last axis, so that both reductions run over whole slabs.
    gaps = T.unsqueeze(centroids, 2) - T.transpose(points, 0, 1)
    return T.sum(T.amin(T.sum(T.square(gaps), dim=1), dim=0))


def _nearest(points: Array, centroids: Array) -> tuple[Array, Array]:
    gaps = points[:, None] - centroids
    squares = (gaps * gaps).sum(axis=2)
    return squares, squares.argmin(axis=1)


def _kmeans_by_hand(points: Array, centroids: Array) -> tuple[Array, PullBack]:
    squares, nearest = _nearest(points, centroids)

    def pull_back(ct: Array) -> tuple[Array, ...]:
        total = np.zeros_like(centroids)
        np.add.at(total, nearest, centroids[nearest] - points)
        return (2 * ct * total,)

    return squares.min(axis=1).sum(), pull_back


def _kmeans_diagonal(points: Array, centroids: Array, _: Array) -> tuple[Array, ...]:
    _value, pull_back = _kmeans_by_hand(points, centroids)
    counts = np.bincount(_nearest(points, centroids)[1], minlength=len(centroids))
    diagonal = np.empty_like(centroids)
    diagonal[:] = 2 * counts[:, None]
    return (*pull_back(np.ones((), centroids.dtype)), diagonal)


# A determinant


def _det_inputs(n: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
    return (rng.uniform(0, 1, (n, n)).astype(dtype),)


def _expansion(rows: Any, row: int, columns: tuple[int, ...]) -> Any:
    """The determinant of the rows from `row` on and of those columns, along its first row; nothing is shared."""
    if len(columns) == 1:
        return rows[row][columns[0]]
    total = rows[row][columns[0]] * _expansion(rows, row + 1, columns[1:])
    for j in range(1, len(columns)):
        minor = rows[row][columns[j]] * _expansion(rows, row + 1, columns[:j] + columns[j + 1 :])
        total = total - minor if j % 2 else total + minor
    return total


def _det(T: Any, a: Any) -> Any:
    n = a.shape[0]
    return _expansion([[a[i, j] for j in range(n)] for i in range(n)], 0, tuple(range(n)))


def _det_by_hand(a: Array) -> tuple[Array, PullBack]:
    n = len(a)

    def pull_back(ct: Array) -> tuple[Array, ...]:
        cofactors = np.ones_like(a)
        for i in range(n):
            rows = [row for k, row in enumerate(a) if k != i]
            for j in range(n):
                minor = _expansion(rows, 0, tuple(k for k in range(n) if k != j)) if n > 1 else a.dtype.type(1)
                cofactors[i, j] = -minor if (i + j) % 2 else minor
        return (ct * cofactors,)

    return np.asarray(_expansion(list(a), 0, tuple(range(n)))), pull_back


# Logsumexp from its parts


def _lse(T: Any, x: Any) -> Any:
    top = T.amax(x, dim=0)
    return top + T.log(T.sum(T.exp(x - top)))


def _lse_by_hand(x: Array) -> tuple[Array, PullBack]:
    value, weights = log_sum_exp(x)
    return value, lambda ct: (ct * weights,)
