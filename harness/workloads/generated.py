"""Generated programs of growing size from stored seeds, so that scaling laws rest on more than functions that somebody chose.

`program(seed, n)` is a program of n instructions on two vectors and a matrix; the same seed gives the same program always.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.programs import Instr, Program, Spec
from harness.workloads.base import Array, Input, PullBack, Workload

__all__ = ["SEEDS", "program", "rows"]

SEEDS = (1, 2, 3)
WIDTH = 16

_LIMITS = {"jax": 100, "jax-jit": 100, "torch-compile": 10, "torch-func": 1_000}
"""Programs that these would trace or compile for minutes."""


def rows() -> list[Workload]:
    """One workload a seed; its size is the number of instructions."""
    return [
        Workload(
            f"generated_s{seed}", f"a generated program of n instructions on vectors of {WIDTH}, seed {seed}",
            (10, 100, 1_000, 10_000), _inputs(seed), None, None, _by_hand, wrt=(0, 1, 2), scalar=False,
            family="generated", counts=True, limits=_LIMITS, program=lambda x, y, a, seed, n: program(seed, n),
        )
        for seed in SEEDS
    ]  # fmt: skip


def program(seed: int, n: int) -> Program:
    """A program of n instructions in which every one is used: each takes the result of the one before it.

    Its second argument is an input, or the result of any instruction before. Values stay within a few units, since
    every other instruction is bounded.
    """
    rng = np.random.default_rng([seed, n])
    instrs = []
    for k in range(n):
        last = 2 if k == 0 else 2 + k
        earlier = int(rng.integers(0, 2)) if k == 0 or rng.uniform() < 0.4 else 3 + int(rng.integers(0, k))
        if k == 0:
            instrs.append(Instr("matmul", (2, earlier)))
        elif k % 2:
            instrs.append(Instr(str(rng.choice(_BOUNDED)), (last,)))
        elif rng.uniform() < 0.15:
            instrs.append(Instr("matmul", (2, last)))
        else:
            instrs.append(Instr(str(rng.choice(_BINARY)), (last, earlier)))
    specs = (Spec((WIDTH,)), Spec((WIDTH,)), Spec((WIDTH, WIDTH)))
    return Program(specs, tuple(instrs), (2 + n,))


def _inputs(seed: int) -> Callable[[int, str, np.random.Generator], tuple[Input, ...]]:
    def make(n: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
        arrays = rng.uniform(-1, 1, WIDTH), rng.uniform(-1, 1, WIDTH), rng.standard_normal((WIDTH, WIDTH)) / WIDTH**0.5
        return (*(a.astype(dtype) for a in arrays), seed, n)

    return make


def _sigmoid(x: Array) -> Array:
    return 0.5 * (np.tanh(0.5 * x) + 1)


_Rule = tuple[Callable[..., Any], tuple[Callable[..., Any], ...]]

_RULES: dict[str, _Rule] = {
    "sin": (np.sin, (lambda ct, y, x: ct * np.cos(x),)),
    "cos": (np.cos, (lambda ct, y, x: -ct * np.sin(x),)),
    "tanh": (np.tanh, (lambda ct, y, x: ct * (1 - y * y),)),
    "sigmoid": (_sigmoid, (lambda ct, y, x: ct * y * (1 - y),)),
    "atan": (np.arctan, (lambda ct, y, x: ct / (1 + x * x),)),
    "add": (np.add, (lambda ct, y, a, b: ct, lambda ct, y, a, b: ct)),
    "sub": (np.subtract, (lambda ct, y, a, b: ct, lambda ct, y, a, b: -ct)),
    "mul": (np.multiply, (lambda ct, y, a, b: ct * b, lambda ct, y, a, b: ct * a)),
    "matmul": (np.matmul, (lambda ct, y, a, b: np.outer(ct, b), lambda ct, y, a, b: ct @ a)),
}
"""Each op with its derivatives, written without the reference's rules."""

_BOUNDED = ("sin", "cos", "tanh", "sigmoid", "atan")
_BINARY = ("add", "sub", "mul")


def _by_hand(x: Array, y: Array, a: Array, seed: int, n: int) -> tuple[Array, PullBack]:
    instrs = program(seed, n).instrs
    slots = [x, y, a]
    for instr in instrs:
        slots.append(_RULES[instr.op][0](*(slots[i] for i in instr.slots)))

    def pull_back(ct: Array) -> tuple[Array, ...]:
        cts = [np.zeros_like(slot) for slot in slots]
        cts[-1] = cts[-1] + ct
        for k in range(len(instrs) - 1, -1, -1):
            values = [slots[i] for i in instrs[k].slots]
            for i, rule in zip(instrs[k].slots, _RULES[instrs[k].op][1], strict=True):
                cts[i] = cts[i] + rule(cts[3 + k], slots[3 + k], *values)
        return cts[0], cts[1], cts[2]

    return slots[-1], pull_back
