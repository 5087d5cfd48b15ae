"""Named workloads: functions worth timing, each written once for PyTorch and the reference, once for JAX, once by hand.

`workloads()` gives the table that `adjudge bench` times. `Workload.function(T, *inputs)` is PyTorch's spelling over a
namespace `T` (torch itself, or the reference), `function_jax(jax, *inputs)` is JAX's, and `by_hand(*inputs)` returns the
value and a `pull_back` written in NumPy: the known answer, and the speed to aim for. `read_gmm` reads the published input
files of ADBench; without them `gmm` generates inputs of the same sizes.

>>> import numpy as np
>>> dot = workloads()["d2l_dot"]
>>> value, pull_back = dot.by_hand(np.arange(4.0))
>>> float(value), pull_back(np.array(1.0))[0].tolist()
(28.0, [0.0, 4.0, 8.0, 12.0])
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ADBENCH_VARIABLE",
    "Array",
    "ByHand",
    "Input",
    "PullBack",
    "Workload",
    "adbench_folder",
    "gmm",
    "pack_order",
    "read_gmm",
    "select",
    "workloads",
]

ADBENCH_VARIABLE = "ADJUDGE_ADBENCH"

Array = NDArray[Any]
Input = Array | float
PullBack = Callable[[Array], tuple[Array, ...]]
ByHand = Callable[..., tuple[Array, PullBack]]


@dataclass(frozen=True)
class Workload:
    """A function worth timing, with inputs of any of its sizes.

    Attributes:
        name: its name in rows and on the command line.
        doc: what it computes, in one sentence.
        sizes: the arguments of `make_inputs` that are timed unless others are asked for.
        make_inputs: `make_inputs(size, dtype, rng)`: float arrays of `dtype`, int64 arrays, and Python numbers that are
            constants of the function. The exact values that every backend gets.
        function: PyTorch's spelling, `function(T, *inputs)`.
        function_jax: JAX's spelling, `function_jax(jax, *inputs)`; it can be compiled whole.
        by_hand: `by_hand(*inputs)` returns the value and `pull_back(ct)`, which gives one gradient for each of `wrt`.
            It keeps the dtype of its inputs, extended precision included.
        wrt: positions of the inputs that require grad.
        scalar: the value is 0-d, so it has a gradient; otherwise it has a VJP.
        origin: where the inputs come from: "generated", or the file's folder.
    """

    name: str
    doc: str
    sizes: tuple[int, ...]
    make_inputs: Callable[[int, str, np.random.Generator], tuple[Input, ...]]
    function: Callable[..., Any]
    function_jax: Callable[..., Any]
    by_hand: ByHand
    wrt: tuple[int, ...] = (0,)
    scalar: bool = True
    origin: str = "generated"

    @property
    def whats(self) -> tuple[str, ...]:
        """What can be timed of it: the value, and the gradient or the VJP."""
        return ("value", "gradient") if self.scalar else ("value", "vjp")


def workloads(*, adbench: str | os.PathLike[str] | None = None) -> dict[str, Workload]:
    """The table of workloads by name.

    Args:
        adbench: folder of ADBench's input files (the one that holds ``gmm/``); None generates inputs of the same sizes.

    Raises:
        ValueError: the folder does not hold them.
    """
    folder = None if adbench is None else adbench_folder(adbench)
    table = (
        Workload("d2l_dot", "2 * dot(x, x)", (4, 1_000, 100_000), _vector, _dot, _dot_jax, _dot_by_hand),
        Workload("d2l_sum", "sum of x", (4, 1_000, 100_000), _vector, _sum, _sum_jax, _sum_by_hand),
        Workload(
            "d2l_square", "x * x, pulled back along a vector", (4, 1_000, 100_000),
            _vector, _square, _square_jax, _square_by_hand, scalar=False,
        ),
        Workload(
            "d2l_detach", "sum of u * x, where u is x * x cut off", (4, 1_000, 100_000),
            _vector, _detach, _detach_jax, _detach_by_hand,
        ),
        Workload(
            "d2l_control_flow", "double until the norm reaches 1000, then branch on the sign of the sum",
            (1, 1_000, 100_000), _vector, _control_flow, _control_flow_jax, _control_flow_by_hand,
        ),
        Workload(
            "logsumexp", "logsumexp of a vector", (10, 1_000, 100_000),
            _vector, _logsumexp, _logsumexp_jax, _logsumexp_by_hand,
        ),
        Workload(
            "mlp_step", "mean squared error of a tanh and relu network of that width at 64 points, for all its parameters",
            (8, 64, 256), _mlp_inputs, _mlp, _mlp_jax, _mlp_by_hand, wrt=(2, 3, 4, 5, 6, 7),
        ),
        Workload(
            "chain", f"{_CHAIN_OPS} elementwise ops in a row, pulled back along a vector",
            (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000), _unit_vector, _chain, _chain_jax, _chain_by_hand,
            scalar=False,
        ),
        gmm(2, 5, adbench=folder),
        gmm(10, 25, adbench=folder),
        gmm(32, 25, adbench=folder, sizes=(1_000,)),
    )  # fmt: skip
    return {workload.name: workload for workload in table}


def select(names: Iterable[str] | None = None, *, adbench: str | os.PathLike[str] | None = None) -> list[Workload]:
    """Workloads by name, in the order asked for; None gives the whole table.

    A name that ends in ``*`` stands for all that begin so, and ``gmm_d20_K50`` names a mixture of any size.

    Raises:
        ValueError: no workload has that name.
    """
    table = workloads(adbench=adbench)
    if names is None:
        return list(table.values())
    chosen: dict[str, Workload] = {}
    for name in names:
        size = re.fullmatch(r"gmm_d([1-9]\d*)_K([1-9]\d*)", name)
        if name in table:
            found = [table[name]]
        elif name.endswith("*"):
            found = [w for known, w in table.items() if known.startswith(name[:-1])]
        elif size is not None:
            found = [gmm(int(size[1]), int(size[2]), adbench=None if adbench is None else adbench_folder(adbench))]
        else:
            found = []
        if not found:
            raise ValueError(f"workload {name!r} is not known; the workloads are {', '.join(table)}")
        chosen |= {w.name: w for w in found}
    return list(chosen.values())


# Inputs that are one vector


def _vector(size: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
    return (rng.standard_normal(size).astype(dtype),)


def _unit_vector(size: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
    return (rng.uniform(0.1, 0.9, size).astype(dtype),)


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
    value, weights = _log_sum_exp(x)
    return value, lambda ct: (ct * weights,)


def _log_sum_exp(x: Array) -> tuple[Array, Array]:
    """Logsumexp over the last axis, and its derivative, the softmax."""
    top = x.max(axis=-1, keepdims=True)
    e = np.exp(x - top)
    total = e.sum(axis=-1, keepdims=True)
    return (np.log(total) + top)[..., 0], e / total


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


# Gaussian mixture model, the objective of ADBench


def gmm(d: int, k: int, *, adbench: Path | None = None, sizes: tuple[int, ...] = (1_000, 10_000)) -> Workload:
    """The log-posterior of a mixture of `k` Gaussians in `d` dimensions with ADBench's Wishart prior.

    The precision's square root Q_k is lower triangular with ``exp(q_k)`` on its diagonal. With
    ``beta_ik = alpha_k + sum q_k - |Q_k (x_i - mu_k)|**2 / 2`` the value is
    ``-n (d/2 log 2 pi + lse(alpha)) + sum_i lse(beta_i) + prior`` where
    ``prior = sum_k (gamma**2 / 2 |Q_k|_F**2 - m sum q_k) - k C``. GradBench gives the prior the opposite sign: that is
    another objective.

    Args:
        adbench: folder that holds ADBench's ``gmm/``; None draws inputs.
        sizes: numbers of points.

    Source: Srajer, Kukelova, Fitzgibbon, A benchmark of selected algorithmic differentiation tools on some problems in
    computer vision and machine learning, Optimization Methods and Software 33 (2018).
    """

    def generate(n: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
        alphas, means = rng.standard_normal(k), rng.uniform(0, 1, (k, d))
        icf, x = rng.standard_normal((k, d * (d + 1) // 2)), rng.standard_normal((n, d))
        return _gmm_inputs(alphas, means, icf, x, 1.0, 0, dtype)

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
        f"gmm_d{d}_K{k}", f"log-posterior of a mixture of {k} Gaussians in {d} dimensions, ADBench's prior", sizes,
        generate if adbench is None else read, _gmm, _gmm_jax, _gmm_by_hand, wrt=(0, 1, 2),
        origin="generated" if adbench is None else str(adbench),
    )  # fmt: skip


def adbench_folder(path: str | os.PathLike[str]) -> Path:
    """The folder of ADBench's inputs as a path.

    Raises:
        ValueError: it has no folder ``gmm`` in it.
    """
    folder = Path(path)
    if not (folder / "gmm").is_dir():
        raise ValueError(f"adbench is {str(path)!r}: that folder does not hold ADBench's inputs (it has no gmm/ in it)")
    return folder


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
    try:
        tokens = Path(path).read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error
    if len(tokens) < 3:
        raise ValueError(f"{path}: has {len(tokens)} tokens, a mixture begins with three: d k n")
    head = tokens[:3]
    if not all(re.fullmatch(r"[1-9]\d{0,8}", word) for word in head):
        raise ValueError(f"{path}: begins with {' '.join(head)!r}, a mixture begins with three positive integers d k n")
    d, k, n = map(int, head)
    packed = d * (d + 1) // 2
    wanted = 3 + k + k * d + k * packed + n * d + 2
    if len(tokens) != wanted:
        state = "is cut short" if len(tokens) < wanted else "is too long"
        raise ValueError(f"{path}: {state}: it has {len(tokens)} tokens, d={d} k={k} n={n} need {wanted}")
    try:
        numbers = np.array(tokens[3:], dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"{path}: holds a token that is not a number: {error}") from error
    if not np.isfinite(numbers).all():
        place = int(np.flatnonzero(~np.isfinite(numbers))[0]) + 3
        raise ValueError(f"{path}: token {place} is {tokens[place]!r}, not a finite number")
    alphas, means, icf, x, prior = np.split(numbers, np.cumsum([k, k * d, k * packed, n * d]))
    gamma, m = prior.tolist()
    if not (gamma > 0 and m >= 0 and m == int(m)):
        raise ValueError(f"{path}: the prior's gamma and m are {gamma} and {m}; gamma is positive, m a natural number")
    shaped = alphas, means.reshape(k, d), icf.reshape(k, packed), x.reshape(n, d)
    return _gmm_inputs(*shaped, gamma, int(m), dtype)


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


def _gmm_inputs(
    alphas: Array, means: Array, icf: Array, x: Array, gamma: float, m: int, dtype: str
) -> tuple[Input, ...]:
    return (*(a.astype(dtype) for a in (alphas, means, icf, x)), pack_order(means.shape[1]), gamma, m)


def _gmm_constant(n: int, d: int, k: int, gamma: float, m: int) -> float:
    """The part of the objective that no input changes."""
    freedom = d + m + 1
    log_gamma = 0.25 * d * (d - 1) * math.log(math.pi) + sum(math.lgamma(0.5 * (freedom - j)) for j in range(d))
    prior = freedom * d * (math.log(gamma) - 0.5 * math.log(2)) - log_gamma
    return -0.5 * n * d * math.log(2 * math.pi) - k * prior


def _gmm(T: Any, alphas: Any, means: Any, icf: Any, x: Any, index: Any, gamma: float, m: int) -> Any:
    (k, d), n = means.shape, x.shape[0]
    q, lower = icf[:, :d], icf[:, d:]
    diagonal = T.exp(q)
    packed = T.cat([diagonal, lower, T.zeros((k, 1), dtype=icf.dtype)], dim=1).transpose(0, 1)
    root = packed.index_select(0, index).reshape(d, d, k)  # row, column, component: sums over rows run over whole slabs
    centre = (root * means.transpose(0, 1)).sum(dim=1)
    gap = T.matmul(x, root) - centre.unsqueeze(1)
    sum_q = q.sum(dim=1)
    beta = alphas + sum_q - 0.5 * gap.square().sum(dim=0)
    likelihood = T.logsumexp(beta, dim=1).sum() - n * T.logsumexp(alphas, dim=0)
    prior = 0.5 * gamma**2 * (diagonal.square().sum() + lower.square().sum()) - m * sum_q.sum()
    return likelihood + prior + _gmm_constant(n, d, k, gamma, m)


def _gmm_jax(jax: Any, alphas: Any, means: Any, icf: Any, x: Any, index: Any, gamma: float, m: int) -> Any:
    jnp, logsumexp = jax.numpy, jax.nn.logsumexp
    (k, d), n = means.shape, x.shape[0]
    q, lower = icf[:, :d], icf[:, d:]
    diagonal = jnp.exp(q)
    packed = jnp.concatenate([diagonal, lower, jnp.zeros((k, 1), icf.dtype)], axis=1).T
    root = packed[index].reshape(d, d, k)
    centre = (root * means.T).sum(axis=1)
    gap = jnp.matmul(x, root) - centre[:, None]
    sum_q = q.sum(axis=1)
    beta = alphas + sum_q - 0.5 * jnp.square(gap).sum(axis=0)
    likelihood = logsumexp(beta, axis=1).sum() - n * logsumexp(alphas)
    prior = 0.5 * gamma**2 * (jnp.square(diagonal).sum() + jnp.square(lower).sum()) - m * sum_q.sum()
    return likelihood + prior + _gmm_constant(n, d, k, gamma, m)


def _gmm_by_hand(
    alphas: Array, means: Array, icf: Array, x: Array, index: Array, gamma: float, m: int
) -> tuple[Array, PullBack]:
    (k, d), n, packed_size = means.shape, x.shape[0], icf.shape[1]
    q, lower = icf[:, :d], icf[:, d:]
    diagonal = np.exp(q)
    packed = np.concatenate([diagonal, lower, np.zeros((k, 1), icf.dtype)], axis=1).T
    root = np.ascontiguousarray(packed[index]).reshape(d, d, k)
    gap = np.matmul(x, root) - (root * means.T).sum(axis=1)[:, None]
    sum_q = q.sum(axis=1)
    log_sums, weights = _log_sum_exp(alphas + sum_q - 0.5 * (gap * gap).sum(axis=0))
    log_sum_alpha, alpha_weights = _log_sum_exp(alphas)
    prior = 0.5 * gamma**2 * ((diagonal * diagonal).sum() + (lower * lower).sum()) - m * sum_q.sum()
    value = log_sums.sum() - n * log_sum_alpha + prior + _gmm_constant(n, d, k, gamma, m)

    def pull_back(ct: Array) -> tuple[Array, ...]:
        shares = weights.sum(axis=0)
        ct_gap = gap * (-ct * weights)
        ct_centre = -ct_gap.sum(axis=1)
        ct_root = np.matmul(x.T, ct_gap) + ct_centre[:, None] * means.T
        ct_packed = np.zeros((packed_size + 1, k), icf.dtype)
        ct_packed[index] = ct_root.reshape(d * d, k)  # the zero's row gets a meaningless sum and is dropped
        ct_q = (ct_packed[:d].T + ct * gamma**2 * diagonal) * diagonal + (ct * (shares - m))[:, None]
        ct_lower = ct_packed[d:packed_size].T + ct * gamma**2 * lower
        ct_means = (root * ct_centre[:, None]).sum(axis=0).T
        return (ct * (shares - n * alpha_weights), ct_means, np.concatenate([ct_q, ct_lower], axis=1))

    return value, pull_back
