"""The tape against PyTorch eager, the `autograd` package and hand-written NumPy: forward and backward of small chains.

Run it: ``python suites/benchmarks/compare_tape.py [--sizes 1,100] [--chains elementwise,indexing] [--rounds 40]``. Each
chain ends in a sum, each call computes its value and its gradient, every gradient is checked against the hand-written one
before and while it is timed, and all contestants take turns in one process with one thread. A figure is the median over the
rounds with its interquartile range, in microseconds per op of the chain (the sum included); a ratio is the median of the
ratios within rounds.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.environment import cores, cpu_name, installed, versions
from harness.timing import Measured, Series, Timed, measure, threads_limited
from harness.workload_adapters import MissingFramework, load_engine
from harness.workload_checks import KnownAnswer, check, known_answer
from harness.workloads import Array, Input, PullBack, Workload

SIZES = (1, 10, 100, 1_000, 100_000, 1_000_000)
REPEATS = 10
LARGEST_MATRIX = 100_000


@dataclass(frozen=True)
class Chain:
    """One chain: PyTorch's spelling, the `autograd` package's, and the gradient by hand; `ops` counts the sum too."""

    name: str
    doc: str
    ops: int
    function: Callable[..., Any]
    function_autograd: Callable[..., Any]
    by_hand: Callable[[Array], tuple[Array, PullBack]]
    make_input: Callable[[int, np.random.Generator], NDArray[np.float64]]

    def workload(self) -> Workload:
        """The chain as a workload, so that it is checked as every other one."""

        def make_inputs(size: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
            return (self.make_input(size, rng).astype(dtype),)

        return Workload(
            self.name, self.doc, SIZES, make_inputs, self.function, _not_for_jax, self.by_hand
        )  # fmt: skip


def _not_for_jax(jax: Any, *inputs: Any) -> Any:
    raise NotImplementedError("the chains are not run on JAX: it compiles them away")


# The elementwise chain: y <- tanh(sin(y * x) + x) * 0.5


def elementwise(T: Any, x: Any) -> Any:
    y = x
    for _ in range(REPEATS):
        y = T.tanh(T.sin(y * x) + x) * 0.5
    return y.sum()


def elementwise_autograd(np_: Any, x: Any) -> Any:
    y = x
    for _ in range(REPEATS):
        y = np_.tanh(np_.sin(y * x) + x) * 0.5
    return np_.sum(y)


def elementwise_by_hand(x: Array) -> tuple[Array, PullBack]:
    kept = []
    y = x
    for _ in range(REPEATS):
        product = y * x
        t = np.tanh(np.sin(product) + x)
        kept.append((y, product, t))
        y = t * 0.5

    def pull_back(ct: Array) -> tuple[Array, ...]:
        total = np.zeros_like(x)
        ct = np.full_like(x, ct)
        for before, product, t in reversed(kept):
            ct = ct * 0.5 * (1 - t * t)
            total += ct
            ct *= np.cos(product)
            total += ct * before
            ct *= x
        total += ct
        return (total,)

    return y.sum(), pull_back


# The reduction chain: y <- (y - mean(y)) * x + x


def reduction(T: Any, x: Any) -> Any:
    y = x
    for _ in range(REPEATS):
        y = (y - y.mean()) * x + x
    return y.sum()


def reduction_autograd(np_: Any, x: Any) -> Any:
    y = x
    for _ in range(REPEATS):
        y = (y - np_.mean(y)) * x + x
    return np_.sum(y)


def reduction_by_hand(x: Array) -> tuple[Array, PullBack]:
    kept = []
    y = x
    for _ in range(REPEATS):
        centred = y - y.mean()
        kept.append(centred)
        y = centred * x + x

    def pull_back(ct: Array) -> tuple[Array, ...]:
        total = np.zeros_like(x)
        ct = np.full_like(x, ct)
        for centred in reversed(kept):
            total += ct * (centred + 1)
            ct = ct * x
            ct -= ct.mean()
        total += ct
        return (total,)

    return y.sum(), pull_back


# The contraction chain: y <- 0.5 * (y @ x), square matrices


def contraction(T: Any, x: Any) -> Any:
    y = x
    for _ in range(REPEATS):
        y = 0.5 * (y @ x)
    return y.sum()


def contraction_autograd(np_: Any, x: Any) -> Any:
    y = x
    for _ in range(REPEATS):
        y = 0.5 * (y @ x)
    return np_.sum(y)


def contraction_by_hand(x: Array) -> tuple[Array, PullBack]:
    kept = []
    y = x
    for _ in range(REPEATS):
        kept.append(y)
        y = 0.5 * (y @ x)

    def pull_back(ct: Array) -> tuple[Array, ...]:
        total = np.zeros_like(x)
        ct = np.full_like(x, ct)
        for before in reversed(kept):
            ct = 0.5 * ct
            total += before.T @ ct
            ct = ct @ x.T
        total += ct
        return (total,)

    return y.sum(), pull_back


# The indexing chain: swap the halves of y, then y <- y * x


def indexing(T: Any, x: Any) -> Any:
    half = x.shape[0] // 2
    y = x
    for _ in range(REPEATS):
        y = T.cat([y[half:], y[:half]]) * x
    return y.sum()


def indexing_autograd(np_: Any, x: Any) -> Any:
    half = x.shape[0] // 2
    y = x
    for _ in range(REPEATS):
        y = np_.concatenate([y[half:], y[:half]]) * x
    return np_.sum(y)


def indexing_by_hand(x: Array) -> tuple[Array, PullBack]:
    half = x.shape[0] // 2
    kept = []
    y = x
    for _ in range(REPEATS):
        swapped = np.concatenate([y[half:], y[:half]])
        kept.append(swapped)
        y = swapped * x

    def pull_back(ct: Array) -> tuple[Array, ...]:
        total = np.zeros_like(x)
        ct = np.full_like(x, ct)
        back = len(x) - half
        for swapped in reversed(kept):
            total += ct * swapped
            ct = ct * x
            ct = np.concatenate([ct[back:], ct[:back]])
        total += ct
        return (total,)

    return y.sum(), pull_back


def _vector(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.uniform(0.1, 0.9, size)


def _square_matrix(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    side = max(1, math.isqrt(size))
    return rng.uniform(0.1, 0.9, (side, side)) * (2 / side)


CHAINS = {
    chain.name: chain
    for chain in (
        Chain(
            "elementwise", "y <- tanh(sin(y * x) + x) * 0.5", 5 * REPEATS + 1,
            elementwise, elementwise_autograd, elementwise_by_hand, _vector,
        ),
        Chain(
            "reduction", "y <- (y - mean(y)) * x + x", 4 * REPEATS + 1,
            reduction, reduction_autograd, reduction_by_hand, _vector,
        ),
        Chain(
            "contraction", "y <- 0.5 * (y @ x)", 2 * REPEATS + 1,
            contraction, contraction_autograd, contraction_by_hand, _square_matrix,
        ),
        Chain(
            "indexing", "y <- cat(y[half:], y[:half]) * x", 4 * REPEATS + 1,
            indexing, indexing_autograd, indexing_by_hand, _vector,
        ),
    )
}  # fmt: skip


def contestants(chain: Chain, x: Array, answer: KnownAnswer) -> tuple[dict[str, Timed], list[str]]:
    """What is timed, by label, and a line for each contestant that is not there."""
    entries = {"numpy": _timed(functools.partial(_by_hand, chain, x), answer)}
    missing = []
    for name in ("reference", "torch"):
        try:
            load_engine(name)
        except MissingFramework as error:
            missing.append(str(error))
            continue
        module = importlib.import_module({"reference": "reference_impl"}.get(name, name))
        entries[name] = _timed(functools.partial(_tape, module, chain, x), answer)
    try:
        entries["autograd"] = _autograd(chain, x, answer)
    except ImportError as error:
        missing.append(f"autograd cannot be imported: {error}")
    return entries, missing


def _timed(prepare: Callable[[], Callable[[], Any]], answer: KnownAnswer) -> Timed:
    return Timed(prepare, lambda result: check(answer, [np.asarray(part) for part in result]))


def _by_hand(chain: Chain, x: Array) -> Callable[[], tuple[Any, ...]]:
    one = np.ones(())

    def run() -> tuple[Any, ...]:
        value, pull_back = chain.by_hand(x)
        return (value, *pull_back(one))

    return run


def _tape(T: Any, chain: Chain, x: Array) -> Callable[[], tuple[Any, ...]]:
    leaf = T.tensor(x, requires_grad=True)

    def run() -> tuple[Any, ...]:
        leaf.grad = None
        y = chain.function(T, leaf)
        y.backward()
        return y.detach(), leaf.grad

    return run


def _autograd(chain: Chain, x: Array, answer: KnownAnswer) -> Timed:
    import autograd  # type: ignore[import-untyped]
    import autograd.numpy  # type: ignore[import-untyped]

    run = autograd.value_and_grad(lambda x: chain.function_autograd(autograd.numpy, x))
    return _timed(lambda: lambda: run(x), answer)


def compare(chain: Chain, size: int, *, rounds: int, seconds: float) -> tuple[Measured, list[str]]:
    """Time one chain at one size on all contestants."""
    rng = np.random.default_rng([11, size])
    (x,) = chain.workload().make_inputs(size, "float64", rng)
    answer = known_answer(chain.workload(), (x,), np.ones(()), dtype="float64", rng=rng)
    entries, missing = contestants(chain, np.asarray(x), answer)
    found = measure(entries, rounds=rounds, rng=rng, deadline=time.perf_counter() + seconds, min_sample_seconds=2e-3)
    return found, missing


def spread(series: Series, ops: int) -> str:
    """Median and interquartile range in microseconds per op."""
    micros = [1e6 * s / ops for s in series.samples_seconds]
    low, middle, high = statistics.quantiles(micros, n=4) if len(micros) > 1 else micros * 3
    return f"{middle:.3g} [{low:.3g}, {high:.3g}]"


def ratio(a: Series, b: Series) -> str:
    """Median over the rounds of a / b."""
    ratios = [
        x / y for x, y in zip(a.samples_seconds, b.samples_seconds, strict=False)
    ]  # Ctrl-C may leave one without a pair
    return f"{statistics.median(ratios):.2f}"


def print_chain(chain: Chain, sizes: Sequence[int], *, rounds: int, seconds: float) -> bool:
    """Print one table; whether every contestant was right."""
    print(f"\n{chain.name}: {chain.doc}, {REPEATS} times, then sum ({chain.ops} ops); us per op, median [quartiles]")
    labels = ("numpy", "reference", "torch", "autograd")
    print(
        f"{'size':>8} {'n':>3} " + " ".join(f"{label:>22}" for label in labels) + "  ref/torch ref/numpy autograd/ref"
    )
    right = True
    for size in sizes:
        if chain.name == "contraction" and size > LARGEST_MATRIX:
            continue
        found, missing = compare(chain, size, rounds=rounds, seconds=seconds)
        series = found.series
        n = max((len(s.rounds) for s in series.values()), default=0)
        cells = " ".join(f"{spread(series[w], chain.ops) if w in series else '-':>22}" for w in labels)
        ratios = [
            ratio(series[a], series[b]) if a in series and b in series else "-"
            for a, b in (("reference", "torch"), ("reference", "numpy"), ("autograd", "reference"))
        ]
        print(f"{size:>8} {n:>3} {cells}  {ratios[0]:>9} {ratios[1]:>9} {ratios[2]:>12}", flush=True)
        for line in (*missing, *(f"{label}: {why}" for label, why in found.refused.items())):
            print(f"         left out: {line}")
        right = right and not found.refused
        if found.interrupted:
            raise KeyboardInterrupt
    return right


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; 0 if every contestant that is there was right, 1 if not, 130 on Ctrl-C."""
    parser = argparse.ArgumentParser(description="Forward and backward of chains: the tape and its peers, one thread.")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="elements of x, separated by commas")
    parser.add_argument("--chains", default=",".join(CHAINS), help=f"out of {', '.join(CHAINS)}")
    parser.add_argument("--rounds", type=int, default=40, help="most samples of each contestant")
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="time for one line of a table, first five rounds apart"
    )
    options = parser.parse_args(arguments)
    names = options.chains.split(",")
    for name in names:
        if name not in CHAINS:
            parser.error(f"--chains: {name!r} is not known; the chains are {', '.join(CHAINS)}")
    try:
        sizes = [int(word) for word in options.sizes.split(",")]
    except ValueError:
        parser.error(f"--sizes: {options.sizes!r} is not a list of numbers")
    if min(sizes) < 1 or options.rounds < 1:
        parser.error("sizes and rounds must be positive")
    known = versions() | {"autograd": installed("autograd") or "missing"}
    print(f"{cpu_name()}, {cores()} cores, 1 thread; " + ", ".join(
        f"{name} {known[name]}" for name in ("python", "numpy", "torch", "autograd") if name in known
    ))  # fmt: skip
    right = True
    try:
        with threads_limited(1):
            load_frameworks()
        with threads_limited(1):
            for name in names:
                right = print_chain(CHAINS[name], sizes, rounds=options.rounds, seconds=options.seconds) and right
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0 if right else 1


def load_frameworks() -> None:
    """Import what is there, so that its thread pools exist before they are limited."""
    for name in ("reference", "torch"):
        try:
            load_engine(name)
        except MissingFramework:
            continue


if __name__ == "__main__":
    sys.exit(main())
