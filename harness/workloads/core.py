"""The workloads that run by default: the functions of a first lesson on autograd, logsumexp, a small network, a chain.

`rows()` gives them. Dive into Deep Learning, section 2.5, is where those named ``d2l_`` come from.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.workloads.base import Array, Input, PullBack, Workload, log_sum_exp, unit_vector, vector

__all__ = ["rows"]


def rows() -> list[Workload]:
    """The workloads of this family."""
    return [
        Workload("d2l_dot", "2 * dot(x, x)", (4, 1_000, 100_000), vector, _dot, _dot_jax, _dot_by_hand),
        Workload("d2l_sum", "sum of x", (4, 1_000, 100_000), vector, _sum, _sum_jax, _sum_by_hand),
        Workload(
            "d2l_square", "x * x, pulled back along a vector", (4, 1_000, 100_000),
            vector, _square, _square_jax, _square_by_hand, scalar=False,
        ),
        Workload(
            "d2l_detach", "sum of u * x, where u is x * x cut off", (4, 1_000, 100_000),
            vector, _detach, _detach_jax, _detach_by_hand,
        ),
        Workload(
            "d2l_control_flow", "double until the norm reaches 1000, then branch on the sign of the sum",
            (1, 1_000, 100_000), vector, _control_flow, _control_flow_jax, _control_flow_by_hand,
        ),
        Workload(
            "logsumexp", "logsumexp of a vector", (10, 1_000, 100_000),
            vector, _logsumexp, _logsumexp_jax, _logsumexp_by_hand,
        ),
        Workload(
            "mlp_step", "mean squared error of a tanh and relu network of that width at 64 points, for all its parameters",
            (8, 64, 256), _mlp_inputs, _mlp, _mlp_jax, _mlp_by_hand, wrt=(2, 3, 4, 5, 6, 7),
        ),
        Workload(
            "chain", f"{_CHAIN_OPS} elementwise ops in a row, pulled back along a vector",
            (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000), unit_vector, _chain, _chain_jax, _chain_by_hand,
            scalar=False,
        ),
    ]  # fmt: skip


# Dive into Deep Learning, section 2.5


def _dot(T: Any, x: Any) -> Any:
    return 2 * T.dot(x, x)


def _dot_jax(jax: Any, x: Any) -> Any:
    return 2 * jax.numpy.dot(x, x)


def _dot_by_hand(x: Array) -> tuple[Array, PullBack]:
    return 2 * np.dot(x, x), lambda ct: (4 * ct * x,)


def _sum(T: Any, x: Any) -> Any:
    return x.sum()


_sum_jax = _sum


def _sum_by_hand(x: Array) -> tuple[Array, PullBack]:
    return x.sum(), lambda ct: (np.full_like(x, ct),)


def _square(T: Any, x: Any) -> Any:
    return x * x


_square_jax = _square


def _square_by_hand(x: Array) -> tuple[Array, PullBack]:
    return x * x, lambda ct: (2 * ct * x,)


def _detach(T: Any, x: Any) -> Any:
    y = x * x
    u = y.detach()
    return (u * x).sum()


def _detach_jax(jax: Any, x: Any) -> Any:
    return (jax.lax.stop_gradient(x * x) * x).sum()


def _detach_by_hand(x: Array) -> tuple[Array, PullBack]:
    u = x * x
    return (u * x).sum(), lambda ct: (ct * u,)


def _control_flow(T: Any, a: Any) -> Any:
    b = a * 2
    while b.norm() < 1000:
        b = b * 2
    c = b if b.sum() > 0 else 100 * b
    return c.sum()


def _control_flow_jax(jax: Any, a: Any) -> Any:
    # JAX cannot reverse a while loop, so the loop finds the factor on stopped values; the function is the same.
    fixed, norm = jax.lax.stop_gradient(a), jax.numpy.linalg.norm
    factor = jax.lax.while_loop(lambda f: norm(fixed * f) < 1000, lambda f: f * 2, jax.numpy.asarray(2, a.dtype))
    b = a * factor
    return jax.lax.cond(b.sum() > 0, lambda: b, lambda: 100 * b).sum()


def _control_flow_by_hand(a: Array) -> tuple[Array, PullBack]:
    b, factor = a * 2, 2
    while np.sqrt(np.dot(b, b)) < 1000:
        b, factor = b * 2, factor * 2
    if b.sum() <= 0:
        b, factor = 100 * b, 100 * factor
    return b.sum(), lambda ct: (np.full_like(a, ct * factor),)


# logsumexp


def _logsumexp(T: Any, x: Any) -> Any:
    return T.logsumexp(x, dim=0)


def _logsumexp_jax(jax: Any, x: Any) -> Any:
    return jax.nn.logsumexp(x, axis=0)


def _logsumexp_by_hand(x: Array) -> tuple[Array, PullBack]:
    value, weights = log_sum_exp(x)
    return value, lambda ct: (ct * weights,)


# A small network


def _mlp_inputs(size: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
    points, classes = 64, 10
    shapes = [
        (points, size),
        (points, classes),
        (size, size),
        (size,),
        (size, size),
        (size,),
        (size, classes),
        (classes,),
    ]
    scales = [1.0, 1.0, *(3 * [size**-0.5, 0.1])]
    return tuple((s * rng.standard_normal(shape)).astype(dtype) for s, shape in zip(scales, shapes, strict=True))


def _mlp(T: Any, x: Any, target: Any, w1: Any, b1: Any, w2: Any, b2: Any, w3: Any, b3: Any) -> Any:
    h = T.tanh(x @ w1 + b1)
    h = T.relu(h @ w2 + b2)
    return (h @ w3 + b3 - target).square().mean()


def _mlp_jax(jax: Any, x: Any, target: Any, w1: Any, b1: Any, w2: Any, b2: Any, w3: Any, b3: Any) -> Any:
    h = jax.numpy.tanh(x @ w1 + b1)
    h = jax.nn.relu(h @ w2 + b2)
    return jax.numpy.square(h @ w3 + b3 - target).mean()


def _mlp_by_hand(
    x: Array, target: Array, w1: Array, b1: Array, w2: Array, b2: Array, w3: Array, b3: Array
) -> tuple[Array, PullBack]:
    h1 = np.tanh(x @ w1 + b1)
    h2 = np.maximum(h1 @ w2 + b2, 0)
    gap = h2 @ w3 + b3 - target

    def pull_back(ct: Array) -> tuple[Array, ...]:
        ct3 = (2 * ct / gap.size) * gap
        ct2 = (ct3 @ w3.T) * (h2 > 0)
        ct1 = (ct2 @ w2.T) * (1 - h1 * h1)
        return (x.T @ ct1, ct1.sum(axis=0), h1.T @ ct2, ct2.sum(axis=0), h2.T @ ct3, ct3.sum(axis=0))

    return (gap * gap).mean(), pull_back


# A chain of elementwise ops

_CHAIN_ROUNDS = 4
_CHAIN_OPS = 5 * _CHAIN_ROUNDS


def _chain(T: Any, x: Any) -> Any:
    y = x
    for _ in range(_CHAIN_ROUNDS):
        y = T.tanh(T.sin(y * x) + x) * 0.5
    return y


def _chain_jax(jax: Any, x: Any) -> Any:
    return _chain(jax.numpy, x)


def _chain_by_hand(x: Array) -> tuple[Array, PullBack]:
    kept = []
    y = x
    for _ in range(_CHAIN_ROUNDS):
        product = y * x
        t = np.tanh(np.sin(product) + x)
        kept.append((y, product, t))
        y = t * 0.5

    def pull_back(ct: Array) -> tuple[Array, ...]:
        total = np.zeros_like(x)
        for before, product, t in reversed(kept):
            ct_sum = ct * 0.5 * (1 - t * t)
            ct_product = ct_sum * np.cos(product)
            total += ct_sum
            total += ct_product * before
            ct = ct_product * x
        return (total + ct,)

    return y, pull_back
