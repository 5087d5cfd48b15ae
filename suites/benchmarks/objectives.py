"""Every published objective on every tool: what a derivative costs over its value, and where the reference stands.

Run ``python suites/benchmarks/objectives.py [--rounds 15] [--tools ...] [--objectives ...] [--adbench FOLDER]``; it prints
Markdown. All tools run the same function on the same inputs, value and derivative of all of them in turn in one process,
and are timed only where they give the known answer. Figures are medians over rounds; a ratio is the median of the ratios of
one round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from harness.timing import Series, Timed, measure, threads_limited
from harness.workload_adapters import Engine, MissingFramework, Thunk, load_engine
from harness.workload_checks import check, known_answer
from harness.workloads import ADBENCH_VARIABLE, Array, Input, NumpySpelling, Workload, select

TOOLS = ("numpy", "reference", "torch", "torch-func", "jax-jit", "autograd")
SHOWN = {"numpy": "by hand", "torch": "torch eager", "torch-func": "torch.func", "jax-jit": "JAX jit"}
SMALL_AND_LARGE: dict[str, tuple[int, ...]] = {
    "gmm_adbench_d2_K5": (1_000, 10_000),
    "gmm_adbench_d10_K25": (1_000, 10_000),
    "gmm_gradbench_d10_K25": (1_000,),
    "gmm_adbench_d32_K25": (1_000,),
    "lstm_l2": (64, 1_024),
    "lstm_l4": (1_024,),
    "ba": (10, 1_000),
    "hand_simple": (100, 400),
    "hand_complicated": (100, 400),
    "llsq": (16, 10_000),
    "ode": (8, 1_000, 100_000),
    "kmeans": (100, 10_000),
    "det_by_minors": (3, 5),
    "lse": (10, 1_000, 100_000),
    "particle": (1,),
    "saddle": (2,),
}


@dataclass(frozen=True)
class Line:
    """One derivative of one objective at one size on all tools that gave the known answer."""

    objective: str
    size: int
    what: str
    ratios: dict[str, float]
    seconds: dict[str, float]
    refused: dict[str, str]

    @property
    def place(self) -> str:
        """The reference's place among the tools that differentiate: 1 is the fastest."""
        tools = sorted((t for t in self.seconds if t != "numpy"), key=self.seconds.__getitem__)
        return f"{tools.index('reference') + 1} of {len(tools)}" if "reference" in tools else ""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=20.0, help="limit of one comparison, beyond its first rounds")
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--objectives", default=",".join(SMALL_AND_LARGE))
    parser.add_argument("--adbench", default=os.environ.get(ADBENCH_VARIABLE))
    options = parser.parse_args()
    with threads_limited(1):
        tools = load(options.tools.split(","))
        lines = []
        for name in options.objectives.split(","):
            (workload,) = select([name], adbench=options.adbench)
            for size in SMALL_AND_LARGE.get(name, workload.sizes[:1]):
                for what in workload.whats:
                    if what not in ("value", "argmin"):
                        print(f"{name} {size} {what}", file=sys.stderr, flush=True)
                        lines.append(compare(workload, size, what, tools, options.rounds, options.seconds))
    report(lines, [t.name for t in tools], options.rounds)


def load(names: Sequence[str]) -> list[Engine]:
    """The tools that are installed."""
    found = []
    for name in names:
        try:
            found.append(autograd_engine() if name == "autograd" else load_engine(name))
        except (ImportError, MissingFramework) as error:
            print(f"left out: {error}", file=sys.stderr)
    return found


def autograd_engine() -> Engine:
    """The package `autograd` as an engine for workloads."""
    import autograd
    import autograd.builtins  # so that a tuple of leaves can be differentiated
    import autograd.numpy as anp
    from autograd.core import make_vjp

    def value_and_gradient(f: Callable[[Any], Any], x: Any) -> Any:
        return f(x), autograd.grad(f)(x)

    T = NumpySpelling(anp, value_and_gradient)

    def prepare(workload: Workload, inputs: Sequence[Input], what: str, direction: Array) -> Thunk:
        args = [a.copy() if isinstance(a, np.ndarray) else a for a in inputs]
        function = workload.function
        assert function is not None

        def of_leaves(leaves: Any) -> Any:
            moved = list(args)
            for place, i in enumerate(workload.wrt):
                moved[i] = leaves[place]
            return function(T, *moved)

        leaves = tuple(args[i] for i in workload.wrt)
        if what == "value":
            return lambda: (np.asarray(of_leaves(leaves)),)
        if what in ("gradient", "vjp"):

            def both() -> tuple[Any, ...]:
                pull_back, y = make_vjp(of_leaves, leaves)
                return (np.asarray(y), *pull_back(direction))

            return both
        (x,) = leaves
        if what == "diagonal":
            slope = autograd.grad(lambda x: of_leaves((x,)))

            def diagonal() -> tuple[Any, ...]:
                pull_back, g = make_vjp(slope, x)
                return g, pull_back(np.ones_like(x))

            return diagonal
        if workload.seeds is not None and workload.seeds.forward:
            push = autograd.differential_operators.make_jvp_reversemode(lambda x: of_leaves((x,)))

            def columns() -> tuple[Any, ...]:
                along = push(x)
                return (np.stack([along(seed) for seed in direction]),)

            return columns

        def rows() -> tuple[Any, ...]:
            pull_back, _ = make_vjp(lambda x: of_leaves((x,)), x)
            return (np.stack([pull_back(seed) for seed in direction]),)

        return rows

    def to_arrays(results: Sequence[Any]) -> tuple[Array, ...]:
        return tuple(np.array(r) for r in results)

    return Engine("autograd", "autograd", "eager", metadata.version("autograd"), "autograd", prepare, to_arrays)


def compare(
    workload: Workload, size: int, what: str, tools: Sequence[Engine], rounds: int, limit_seconds: float
) -> Line:
    """Time the value and one derivative on all tools in turn."""
    import time

    rng = np.random.default_rng([1, size])
    inputs = workload.make_inputs(size, "float64", rng)
    direction = workload.direction(what, inputs, "float64", rng)
    plain = workload.direction("value", inputs, "float64", rng)
    answers = {
        "value": known_answer(workload, inputs, plain, dtype="float64", rng=rng).value_only(),
        what: known_answer(workload, inputs, direction, dtype="float64", rng=rng, what=what),
    }
    entries: dict[str, Timed] = {}
    refused = {}
    for tool in tools:
        if reason := workload.lacking(tool.name, size, what):
            refused[tool.name] = reason
            continue
        for word, answer in answers.items():
            along = direction if word == what else plain
            entries[f"{tool.name} {word}"] = Timed(
                lambda tool=tool, word=word, along=along: tool.prepare(workload, inputs, word, along),  # type: ignore[misc]
                lambda result, tool=tool, answer=answer: check(answer, tool.to_arrays(result)),  # type: ignore[misc]
            )
    found = measure(entries, rounds=rounds, rng=rng, deadline=time.perf_counter() + limit_seconds)
    refused |= {label.split()[0]: reason for label, reason in found.refused.items()}
    seconds = {t.name: median(found.series[f"{t.name} {what}"]) for t in tools if f"{t.name} {what}" in found.series}
    ratios = {
        tool: paired(found.series[f"{tool} {what}"], found.series[f"{tool} value"])
        for tool in seconds
        if f"{tool} value" in found.series
    }
    return Line(workload.name, size, what, ratios, seconds, refused)


def median(series: Series) -> float:
    """Seconds of one call."""
    return statistics.median(series.samples_seconds)


def paired(top: Series, bottom: Series) -> float:
    """The median over rounds of the ratio of two samples of one round."""
    below = dict(zip(bottom.rounds, bottom.samples_seconds, strict=True))
    return statistics.median(s / below[r] for r, s in zip(top.rounds, top.samples_seconds, strict=True) if r in below)


def report(lines: Sequence[Line], tools: Sequence[str], rounds: int) -> None:
    """Print both tables."""
    heads = [SHOWN.get(t, t) for t in tools]
    print(
        f"Derivative time / value time of the same tool; float64, 1 thread, medians of up to {rounds} interleaved rounds.\n"
    )
    print(f"| objective | size | derivative | {' | '.join(heads)} |")
    print(f"|---|---:|---|{'---:|' * len(heads)}")
    for line in lines:
        cells = [f"{line.ratios[t]:.2f}" if t in line.ratios else "" for t in tools]
        print(f"| {line.objective} | {line.size:,} | {line.what} | {' | '.join(cells)} |")
    print(
        "\nTime of the derivative, value included, in µs; the reference's place among the tools that differentiate.\n"
    )
    print(f"| objective | size | derivative | {' | '.join(heads)} | reference's place | autograd / reference |")
    print(f"|---|---:|---|{'---:|' * (len(heads) + 2)}")
    for line in lines:
        cells = [f"{1e6 * line.seconds[t]:,.0f}" if t in line.seconds else "" for t in tools]
        s = line.seconds
        over = f"{s['autograd'] / s['reference']:.2f}" if {"autograd", "reference"} <= s.keys() else ""
        print(f"| {line.objective} | {line.size:,} | {line.what} | {' | '.join(cells)} | {line.place} | {over} |")
    for line in lines:
        for tool, reason in line.refused.items():
            print(f"\n{line.objective} {line.size} {line.what}, {tool}: {reason.splitlines()[0]}", end="")
    print()


if __name__ == "__main__":
    main()
