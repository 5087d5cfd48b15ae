"""What a tape does besides arithmetic: accumulating, zeroing, detaching, keeping the graph, and graphs that are long or wide.

Scripts (`Workload.script`) work on a tape as a user would; the other workloads are plain functions whose number of nodes
grows with the size, so that time against size shows whether anything on the way is quadratic. `size` counts nodes, uses
or steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.workloads.base import Array, Input, PullBack, Workload

__all__ = ["rows"]

_WIDTH = 8
_JAX = {"jax": 1_000, "jax-jit": 1_000, "torch-compile": 100, "torch-func": 10_000}
"""Unrolled graphs that these would trace or compile for minutes."""


def rows() -> list[Workload]:
    """The workloads of this family."""
    long: dict[str, Any] = {"family": "tape", "counts": True, "limits": _JAX}
    return [
        *(_script(name, doc, script, by_hand) for name, doc, script, by_hand in _SCRIPTS),
        Workload(
            "tape_chain", "a chain of n nodes: y becomes y * x + x again and again, on one number",
            (100, 1_000, 10_000, 100_000), _chain_inputs, _chain, None, _chain_by_hand, **long,
        ),
        Workload(
            "tape_fan_out", "n products with one tensor, added up: n cotangents come together at it",
            (100, 1_000, 10_000, 100_000), _fan_inputs, _fan_out, None, _fan_out_by_hand, **long,
        ),
        Workload(
            "tape_rnn", f"a recurrent network of width {_WIDTH} that reads n tokens, for its weights",
            (10, 100, 1_000, 10_000), _rnn_inputs, _rnn, _rnn_jax, _rnn_by_hand, wrt=(0, 1, 2),
            family="tape", counts=True, limits={"torch-compile": 10},
        ),
    ]  # fmt: skip


# Scripts on a parameter and its loss, of `size` elements


def _script(name: str, doc: str, script: Callable[..., Any], by_hand: Callable[..., tuple[Array, ...]]) -> Workload:
    return Workload(
        name, doc, (4, 1_000, 100_000), _pair, _loss, None, _loss_by_hand, family="tape",
        script=script, more={"script": by_hand}, asks=("script",),
    )  # fmt: skip


def _pair(size: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
    return rng.standard_normal(size).astype(dtype), rng.standard_normal(size).astype(dtype)


def _loss(T: Any, x: Any, c: Any) -> Any:
    return T.sum(T.tanh(x * c))


def _loss_by_hand(x: Array, c: Array) -> tuple[Array, PullBack]:
    t = np.tanh(x * c)
    return t.sum(), lambda ct: (ct * (1 - t * t) * c,)


def _slope(x: Array, c: Array) -> Array:
    t = np.tanh(x * c)
    slope: Array = (1 - t * t) * c
    return slope


def _accumulate(T: Any, x: Any, c: Any) -> Any:
    x.grad = None
    for _ in range(4):
        _loss(T, x, c).backward()
    return (x.grad,)


def _zero_in_place(T: Any, x: Any, c: Any) -> Any:
    x.grad = None
    for _ in range(4):
        if x.grad is not None:
            x.grad.zero_()
        _loss(T, x, c).backward()
    return (x.grad,)


def _zero_by_none(T: Any, x: Any, c: Any) -> Any:
    for _ in range(4):
        x.grad = None
        _loss(T, x, c).backward()
    return (x.grad,)


def _detach(T: Any, x: Any, c: Any) -> Any:
    x.grad = None
    u = T.tanh(x * c)
    T.sum(u.detach() * u).backward()
    return (x.grad,)


def _detach_by_hand(x: Array, c: Array, _: Array) -> tuple[Array, ...]:
    return (np.tanh(x * c) * _slope(x, c),)


def _retain(T: Any, x: Any, c: Any) -> Any:
    x.grad = None
    y = _loss(T, x, c)
    for _ in range(3):
        y.backward(retain_graph=True)
    y.backward()
    return (x.grad,)


def _four_times(x: Array, c: Array, _: Array) -> tuple[Array, ...]:
    return (4 * _slope(x, c),)


def _once(x: Array, c: Array, _: Array) -> tuple[Array, ...]:
    return (_slope(x, c),)


_SCRIPTS: tuple[tuple[str, str, Callable[..., Any], Callable[..., tuple[Array, ...]]], ...] = (
    ("tape_accumulate", "four losses, four backward passes, one sum in .grad", _accumulate, _four_times),
    ("tape_zero_in_place", "four backward passes, .grad.zero_() before each", _zero_in_place, _once),
    ("tape_zero_by_none", "four backward passes, .grad = None before each", _zero_by_none, _once),
    ("tape_detach", "a product with one factor cut off", _detach, _detach_by_hand),
    ("tape_retain_graph", "one forward pass, four backward passes over it", _retain, _four_times),
)


# Long and wide graphs


def _chain_inputs(size: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
    return np.array(rng.uniform(0.4, 0.6), dtype), size // 2


def _chain(T: Any, x: Any, rounds: int) -> Any:
    y = x
    for _ in range(rounds):
        y = y * x + x
    return y


def _chain_by_hand(x: Array, rounds: int) -> tuple[Array, PullBack]:
    values = [x]
    for _ in range(rounds):
        values.append(values[-1] * x + x)

    def pull_back(ct: Array) -> tuple[Array, ...]:
        total = 0 * x
        for y in reversed(values[:-1]):
            total = total + ct * (y + 1)
            ct = ct * x
        return (np.asarray(total + ct),)

    return np.asarray(values[-1]), pull_back


def _fan_inputs(size: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
    return rng.standard_normal(_WIDTH).astype(dtype), np.linspace(0.1, 1, size).astype(dtype)


def _fan_out(T: Any, x: Any, factors: Any) -> Any:
    total = x * factors[0]
    for i in range(1, factors.shape[0]):
        total = total + x * factors[i]
    return T.sum(total)


def _fan_out_by_hand(x: Array, factors: Array) -> tuple[Array, PullBack]:
    return np.outer(factors, x).sum(), lambda ct: (np.full_like(x, ct * factors.sum()),)


def _rnn_inputs(size: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
    shapes = [(_WIDTH, _WIDTH), (_WIDTH, _WIDTH), (_WIDTH,)]
    weights = [(_WIDTH**-0.5 * rng.standard_normal(shape)).astype(dtype) for shape in shapes]
    return (*weights, rng.standard_normal((size, _WIDTH)).astype(dtype), np.zeros(_WIDTH, dtype))


def _rnn(T: Any, w: Any, u: Any, b: Any, tokens: Any, start: Any) -> Any:
    h, total = start, start
    for t in range(tokens.shape[0]):
        h = T.tanh(T.matmul(w, h) + T.matmul(u, tokens[t]) + b)
        total = total + h
    # Every state counts: the cotangent of the last alone would fade to subnormal numbers, which are slow to compute with.
    return T.sum(T.square(total / tokens.shape[0]))


def _rnn_jax(jax: Any, w: Any, u: Any, b: Any, tokens: Any, start: Any) -> Any:
    # A scan: unrolled, the loop would compile for minutes.
    def step(carried: Any, token: Any) -> Any:
        h = jax.numpy.tanh(w @ carried[0] + u @ token + b)
        return (h, carried[1] + h), None

    (_, total), _ = jax.lax.scan(step, (start, start), tokens)
    return jax.numpy.square(total / tokens.shape[0]).sum()


def _rnn_by_hand(w: Array, u: Array, b: Array, tokens: Array, start: Array) -> tuple[Array, PullBack]:
    driven = tokens @ u.T + b
    states = [start]
    for drive in driven:
        states.append(np.tanh(w @ states[-1] + drive))
    mean = (sum(states[1:]) + start) / len(tokens)

    def pull_back(ct: Array) -> tuple[Array, ...]:
        inner = np.empty_like(driven)
        each = 2 * ct * mean / len(tokens)
        ct_h = each
        for t in reversed(range(len(tokens))):
            h = states[t + 1]
            inner[t] = ct_h * (1 - h * h)
            ct_h = inner[t] @ w + each
        return inner.T @ np.array(states[:-1]), inner.T @ tokens, inner.sum(axis=0)

    return (mean * mean).sum(), pull_back
