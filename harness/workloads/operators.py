"""Differential operators side by side: value, gradient, VJP, JVP, HVP, Jacobian and Hessian of three small functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.workloads.base import Array, Input, PullBack, Workload, unit_vector

__all__ = ["rows"]


def rows() -> list[Workload]:
    """The workloads of this family. All are dense where the operator is: no seed is saved."""
    return [
        Workload(
            "op_rosenbrock", "Rosenbrock's function: a scalar of many numbers with a banded Hessian", (10, 100, 1_000),
            unit_vector, _rosenbrock, None, _rosenbrock_by_hand, family="operators",
            more={"hvp": _rosenbrock_hvp, "hessian": _rosenbrock_hessian}, limits=_HESSIAN,
        ),
        Workload(
            "op_softplus", "sum of log(1 + exp(a x)) for a square matrix a: a scalar with a full Hessian", (10, 100, 300),
            _matrix_inputs, _softplus, None, _softplus_by_hand, family="operators",
            more={"hvp": _softplus_hvp, "hessian": _softplus_hessian},
        ),
        Workload(
            "op_layer", "tanh(a x) for a square matrix a: as many outputs as inputs", (10, 100, 300),
            _matrix_inputs, _layer, None, _layer_by_hand, scalar=False, family="operators",
            more={"jvp": _layer_jvp, "jacobian": _layer_jacobian},
        ),
    ]  # fmt: skip


_HESSIAN = {f"{engine} hessian": 100 for engine in ("reference", "torch", "jax")}
"""A row of a Hessian is a backward pass: beyond that size the others are timed."""


def _matrix_inputs(size: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
    return rng.standard_normal(size).astype(dtype), (size**-0.5 * rng.standard_normal((size, size))).astype(dtype)


# Rosenbrock


def _rosenbrock(T: Any, x: Any) -> Any:
    head, tail = x[:-1], x[1:]
    return T.sum(100 * T.square(tail - T.square(head)) + T.square(1 - head))


def _rosenbrock_by_hand(x: Array) -> tuple[Array, PullBack]:
    head, gap = x[:-1], x[1:] - x[:-1] * x[:-1]

    def pull_back(ct: Array) -> tuple[Array, ...]:
        g = np.zeros_like(x)
        g[:-1] = -400 * head * gap - 2 * (1 - head)
        g[1:] += 200 * gap
        return (ct * g,)

    return (100 * gap * gap + (1 - head) ** 2).sum(), pull_back


def _rosenbrock_bands(x: Array) -> tuple[Array, Array]:
    """The diagonal of the Hessian and the one beside it."""
    diagonal = np.zeros_like(x)
    diagonal[:-1] = 1200 * x[:-1] * x[:-1] - 400 * x[1:] + 2
    diagonal[1:] += 200
    return diagonal, -400 * x[:-1]


def _rosenbrock_hvp(x: Array, way: Array) -> tuple[Array, ...]:
    diagonal, beside = _rosenbrock_bands(x)
    product = diagonal * way
    product[:-1] += beside * way[1:]
    product[1:] += beside * way[:-1]
    return (product,)


def _rosenbrock_hessian(x: Array, _: Array) -> tuple[Array, ...]:
    diagonal, beside = _rosenbrock_bands(x)
    full = np.zeros((x.size, x.size), x.dtype)
    places = np.arange(x.size)
    full[places, places] = diagonal
    full[places[:-1], places[1:]] = full[places[1:], places[:-1]] = beside
    return (full,)


# Softplus of a linear map


def _softplus(T: Any, x: Any, a: Any) -> Any:
    return T.sum(T.log1p(T.exp(T.matmul(a, x))))


def _logistic(z: Array) -> Array:
    return 0.5 * (np.tanh(0.5 * z) + 1)


def _softplus_by_hand(x: Array, a: Array) -> tuple[Array, PullBack]:
    z = a @ x
    return np.log1p(np.exp(z)).sum(), lambda ct: (ct * (_logistic(z) @ a),)


def _softplus_hvp(x: Array, a: Array, way: Array) -> tuple[Array, ...]:
    s = _logistic(a @ x)
    return ((s * (1 - s) * (a @ way)) @ a,)


def _softplus_hessian(x: Array, a: Array, _: Array) -> tuple[Array, ...]:
    s = _logistic(a @ x)
    return (a.T @ ((s * (1 - s))[:, None] * a),)


# A layer


def _layer(T: Any, x: Any, a: Any) -> Any:
    return T.tanh(T.matmul(a, x))


def _layer_by_hand(x: Array, a: Array) -> tuple[Array, PullBack]:
    y = np.tanh(a @ x)
    return y, lambda ct: ((ct * (1 - y * y)) @ a,)


def _layer_jvp(x: Array, a: Array, tangent: Array) -> tuple[Array, ...]:
    y = np.tanh(a @ x)
    return y, (1 - y * y) * (a @ tangent)


def _layer_jacobian(x: Array, a: Array, _: Array) -> tuple[Array, ...]:
    y = np.tanh(a @ x)
    return ((1 - y * y)[:, None] * a,)
