"""The Gaussian mixture model, the objective of ADBench and GradBench: one function, two conventions of its prior.

`gmm(d, k)` is ADBench's objective, ``gmm(d, k, convention="gradbench")`` GradBench's; `read_gmm` reads the published
input files, which both benchmarks use.
"""

from __future__ import annotations

import functools
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from harness.workloads.base import Array, Input, PullBack, Workload, log_sum_exp
from harness.workloads.files import Tokens

__all__ = ["CONVENTIONS", "gmm", "pack_order", "read_gmm", "rows"]

CONVENTIONS = {"adbench": 1.0, "gradbench": -1.0}
"""The sign that each benchmark gives to the logarithm of the Wishart prior."""


def rows(adbench: Path | None) -> list[Workload]:
    """The workloads of this family: those that run by default."""
    return [
        gmm(2, 5, adbench=adbench),
        gmm(10, 25, adbench=adbench),
        gmm(32, 25, adbench=adbench, sizes=(1_000,)),
    ]


def gmm(
    d: int,
    k: int,
    *,
    convention: str = "adbench",
    adbench: Path | None = None,
    sizes: tuple[int, ...] = (1_000, 10_000),
    family: str = "core",
) -> Workload:
    """The log-posterior of a mixture of `k` Gaussians in `d` dimensions with a Wishart prior.

    The precision's square root Q_k is lower triangular with ``exp(q_k)`` on its diagonal. With
    ``beta_ik = alpha_k + sum q_k - |Q_k (x_i - mu_k)|**2 / 2`` the value is
    ``-n (d/2 log 2 pi + lse(alpha)) + sum_i lse(beta_i) + sign prior`` where
    ``prior = sum_k (gamma**2 / 2 |Q_k|_F**2 - m sum q_k) - k C`` and the sign is 1 for ADBench, -1 for GradBench.

    Args:
        convention: "adbench" or "gradbench".
        adbench: folder that holds ADBench's ``gmm/``; None draws inputs.
        sizes: numbers of points.

    Source: Srajer, Kukelova, Fitzgibbon, A benchmark of selected algorithmic differentiation tools on some problems in
    computer vision and machine learning, Optimization Methods and Software 33 (2018).

    Raises:
        ValueError: no convention has that name.
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"convention is {convention!r}; the conventions are {', '.join(CONVENTIONS)}")
    sign = CONVENTIONS[convention]

    def generate(n: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
        alphas, means = rng.standard_normal(k), rng.uniform(0, 1, (k, d))
        icf, x = rng.standard_normal((k, d * (d + 1) // 2)), rng.standard_normal((n, d))
        return _inputs(alphas, means, icf, x, 1.0, 0, dtype)

    def read(n: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
        assert adbench is not None
        thousands, rest = divmod(n, 1_000)
        if rest or not thousands:
            raise ValueError(f"size is {n}: ADBench's mixtures have 1000 or 10000 points")
        path = adbench / "gmm" / f"{thousands}k" / f"gmm_d{d}_K{k}.txt"
        inputs = read_gmm(path, dtype=dtype)
        found = (*np.shape(inputs[1])[::-1], len(np.asarray(inputs[3])))
        if found != (d, k, n):
            raise ValueError(f"{path}: holds d, k, n = {found}, its name says {(d, k, n)}")
        return inputs

    return Workload(
        f"gmm_{convention}_d{d}_K{k}",
        f"log-posterior of a mixture of {k} Gaussians in {d} dimensions, {convention}'s prior", sizes,
        generate if adbench is None else read,
        functools.partial(_gmm, sign), None, functools.partial(_gmm_by_hand, sign), wrt=(0, 1, 2),
        origin="generated" if adbench is None else str(adbench), family=family,
    )  # fmt: skip


def read_gmm(path: str | os.PathLike[str], *, dtype: str = "float64") -> tuple[Input, ...]:
    """Inputs of the GMM objective from one of ADBench's files.

    The file holds, separated by white space: d k n, k alphas, k means of d numbers, k rows of d log-diagonals and the
    strict lower triangle column by column, n points of d numbers, and the prior's gamma and m.

    Returns:
        alphas (k,), means (k, d), icf (k, d (d + 1) / 2), points (n, d), index (d d,), gamma, m. `index` is `pack_order(d)`.

    Raises:
        ValueError: the file cannot be read, holds a token that is not a finite number, or does not hold as many tokens as
            its first line promises.
    """
    tokens = Tokens(path, "a mixture")
    d, k, n = tokens.naturals(3, "d k n")
    packed = d * (d + 1) // 2
    tokens.expect(k + k * d + k * packed + n * d + 2, f"d={d} k={k} n={n}")
    shaped = tokens.numbers(k), tokens.numbers(k, d), tokens.numbers(k, packed), tokens.numbers(n, d)
    gamma, m = tokens.numbers(2).tolist()
    if not (gamma > 0 and m >= 0 and m == int(m)):
        tokens.fail(f"the prior's gamma and m are {gamma} and {m}; gamma is positive, m a natural number")
    return _inputs(*shaped, gamma, int(m), dtype)


def pack_order(d: int) -> Array:
    """Where each element of Q (row by row) lies in its packed form followed by one zero; shape (d * d,), int64.

    >>> pack_order(2).tolist()  # exp(q) is at 0 and 1, the lower element at 2, the zero at 3
    [0, 3, 2, 1]
    """
    order = np.full((d, d), d * (d + 1) // 2, dtype=np.int64)
    order[np.arange(d), np.arange(d)] = np.arange(d)
    columns, rows = np.triu_indices(d, 1)  # the upper triangle row by row is the lower one column by column
    order[rows, columns] = d + np.arange(len(rows))
    return order.reshape(-1)


def _inputs(alphas: Array, means: Array, icf: Array, x: Array, gamma: float, m: int, dtype: str) -> tuple[Input, ...]:
    return (*(a.astype(dtype) for a in (alphas, means, icf, x)), pack_order(means.shape[1]), gamma, m)


def _constant(sign: float, n: int, d: int, k: int, gamma: float, m: int) -> float:
    """The part of the objective that no input changes."""
    freedom = d + m + 1
    log_gamma = 0.25 * d * (d - 1) * math.log(math.pi) + sum(math.lgamma(0.5 * (freedom - j)) for j in range(d))
    prior = freedom * d * (math.log(gamma) - 0.5 * math.log(2)) - log_gamma
    return -0.5 * n * d * math.log(2 * math.pi) - sign * k * prior


def _gmm(sign: float, T: Any, alphas: Any, means: Any, icf: Any, x: Any, index: Any, gamma: float, m: int) -> Any:
    (k, d), n = means.shape, x.shape[0]
    q, lower = icf[:, :d], icf[:, d:]
    diagonal = T.exp(q)
    packed = T.cat([diagonal, lower, T.zeros((k, 1), dtype=icf.dtype)], dim=1)
    root = T.reshape(T.index_select(packed, 1, index), (k, d, d))
    centre = T.sum(root * T.unsqueeze(means, 1), dim=2)
    # Points lie along the last axis throughout, so that every sum over the others runs over whole slabs.
    turned = T.matmul(T.reshape(root, (k * d, d)), T.transpose(x, 0, 1))
    gap = turned - T.reshape(centre, (k * d, 1))
    sum_q = T.sum(q, dim=1)
    beta = T.unsqueeze(alphas + sum_q, 1) - 0.5 * T.sum(T.reshape(T.square(gap), (k, d, n)), dim=1)
    likelihood = T.sum(T.logsumexp(beta, dim=0)) - n * T.logsumexp(alphas, dim=0)
    prior = 0.5 * gamma**2 * (T.sum(T.square(diagonal)) + T.sum(T.square(lower))) - m * T.sum(sum_q)
    return likelihood + sign * prior + _constant(sign, n, d, k, gamma, m)


def _gmm_by_hand(
    sign: float, alphas: Array, means: Array, icf: Array, x: Array, index: Array, gamma: float, m: int
) -> tuple[Array, PullBack]:
    (k, d), n, packed_size = means.shape, x.shape[0], icf.shape[1]
    q, lower = icf[:, :d], icf[:, d:]
    diagonal = np.exp(q)
    packed = np.concatenate([diagonal, lower, np.zeros((k, 1), icf.dtype)], axis=1)
    root = packed[:, index].reshape(k, d, d)
    gap = root.reshape(k * d, d) @ x.T
    gap -= (root * means[:, None]).sum(axis=2).reshape(k * d, 1)
    sum_q = q.sum(axis=1)
    beta = (alphas + sum_q)[:, None] - 0.5 * (gap * gap).reshape(k, d, n).sum(axis=1)
    top = beta.max(axis=0)
    weights = np.exp(beta - top)
    total = weights.sum(axis=0)
    log_sum_alpha, alpha_weights = log_sum_exp(alphas)
    prior = 0.5 * gamma**2 * ((diagonal * diagonal).sum() + (lower * lower).sum()) - m * sum_q.sum()
    likelihood = (np.log(total) + top).sum() - n * log_sum_alpha
    value = likelihood + sign * prior + _constant(sign, n, d, k, gamma, m)

    def pull_back(ct: Array) -> tuple[Array, ...]:
        parts = weights / total
        shares = parts.sum(axis=1)
        ct_gap = (gap.reshape(k, d, n) * (-ct * parts)[:, None]).reshape(k * d, n)
        ct_centre = -ct_gap.sum(axis=1).reshape(k, d, 1)
        ct_root = (ct_gap @ x).reshape(k, d, d) + ct_centre * means[:, None]
        ct_packed = np.zeros((k, packed_size + 1), icf.dtype)
        ct_packed[:, index] = ct_root.reshape(k, d * d)  # the zero's column gets a meaningless sum and is dropped
        ct_prior = sign * ct
        ct_q = (ct_packed[:, :d] + ct_prior * gamma**2 * diagonal) * diagonal + (ct * shares - ct_prior * m)[:, None]
        ct_lower = ct_packed[:, d:packed_size] + ct_prior * gamma**2 * lower
        ct_means = (root * ct_centre).sum(axis=1)
        return (ct * (shares - n * alpha_weights), ct_means, np.concatenate([ct_q, ct_lower], axis=1))

    return value, pull_back
