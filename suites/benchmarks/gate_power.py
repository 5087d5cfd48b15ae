"""How often the paired gate sees a planted slow-down, and how often it calls identical code slower or faster.

Two copies of the sources are compared as `adjudge bench --against` compares revisions: by fresh processes, with all of its
defaults. In the planted runs one copy's backward pass has a loop that takes the given share of the workload's time; in the
identical runs both copies are the same. Runs of both kinds alternate. Run it with::

    python suites/benchmarks/gate_power.py [--runs N] [--slower PERCENT] [--budget SECONDS] [--workloads chain/10000/vjp,...]

It prints both rates with their exact 95 % intervals (Clopper and Pearson): no more is claimed than the number of runs shows.
SIGTERM ends it after the run at hand, with the report of those so far.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from harness.comparison import THRESHOLD, exact_interval
from harness.environment import cores, cpu_name
from harness.paired import PAIRS, Side, compare_sides
from harness.records import ComparisonRow
from harness.workload_adapters import load_engine
from harness.workloads import select

ROOT = Path(__file__).parents[2]
DEFAULT = "chain/10000/vjp,mlp_step/256/gradient,gmm_adbench_d10_K25/1000/gradient"
_ANCHOR = '        with np.errstate(all="ignore"):\n            for node in order:\n'


_stopped: list[int] = []


@dataclass
class Tally:
    """What the runs of one kind have said."""

    verdicts: list[str] = field(default_factory=list)
    logs: list[float] = field(default_factory=list)
    smallest: list[float] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, row: ComparisonRow, seconds: float) -> None:
        self.verdicts.append(row.verdict)
        self.logs.append(math.log(row.ratio))
        self.smallest.append(row.smallest_effect)
        self.seconds.append(seconds)
        self.loads.append(os.getloadavg()[0])


def copy_sources(target: Path, *, loops: int = 0) -> Path:
    """The packages in a folder of their own, with so many empty loops in each backward pass."""
    for package in ("harness", "reference_impl"):
        shutil.copytree(ROOT / package, target / package, ignore=shutil.ignore_patterns("__pycache__"))
    if loops:
        engine = target / "reference_impl" / "engine.py"
        text = engine.read_text()
        if text.count(_ANCHOR) != 1:
            raise SystemExit("the place to plant the loop is no longer in reference_impl/engine.py")
        engine.write_text(text.replace(_ANCHOR, f"        for _ in range({loops}):\n            pass\n{_ANCHOR}"))
    return target


def loops_for(name: str, share: float, folder: Path, plain: Path, budget: float) -> int:
    """How many empty loops take that share of a call: a guess, put right by what a pilot comparison of four times it shows."""
    workload, size, what = name.split("/")
    engine = load_engine("reference")
    (chosen,) = select([workload])
    inputs = chosen.make_inputs(int(size), "float64", np.random.default_rng(0))
    thunk = engine.prepare(chosen, inputs, what, np.ones(np.shape(chosen.by_hand(*inputs)[0])))
    seconds = statistics.median(_seconds(thunk) for _ in range(50))
    pilot = max(1, round(4 * share * seconds / 15e-9))
    ratio = compare(plain, copy_sources(folder, loops=pilot), name, budget).ratio
    print(
        f"{name}: {1e3 * seconds:.2f} ms a call; in a pilot {pilot} loops made it {100 * (ratio - 1):.1f} % slower",
        flush=True,
    )
    return max(1, round(pilot * share / (ratio - 1)))


def compare(before: Path, after: Path, name: str, budget: float) -> ComparisonRow:
    workload, size, what = name.split("/")
    result = compare_sides(
        Side("before", before), Side("after", after), workloads=[workload], sizes=[int(size)], what=[what],
        budget_seconds=budget, command="gate_power",
    )  # fmt: skip
    if not result.comparisons:
        raise SystemExit(f"nothing was compared: {result.left_out}")
    return result.comparisons[0]


def _seconds(thunk: Callable[[], object]) -> float:
    start = time.perf_counter()
    thunk()
    return time.perf_counter() - start


def measure(names: Sequence[str], runs: int, share: float, budget: float) -> None:
    tallies = {kind: Tally() for kind in ("planted", "identical")}
    print(
        f"{cpu_name()}, {cores()} cores; Python {platform.python_version()}, NumPy {np.__version__}; {PAIRS} pairs, "
        f"threshold {100 * THRESHOLD:g} %, --budget {budget:g}s; load at the start {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        plain = copy_sources(Path(folder, "plain0"))
        same = copy_sources(Path(folder, "plain1"))
        slowed = []
        for number, name in enumerate(names):
            loops = loops_for(name, share, Path(folder, f"pilot{number}"), plain, budget)
            slowed.append(copy_sources(Path(folder, f"slow{number}"), loops=loops))
        for run in range(runs):
            if _stopped:
                break
            for kind, tree in (("planted", slowed[run % len(names)]), ("identical", same)):
                start = time.perf_counter()
                row = compare(plain, tree, names[run % len(names)], budget)
                tallies[kind].add(row, time.perf_counter() - start)
            print(
                f"\r{run + 1} of {runs}: {tallies['planted'].verdicts.count('slower')} seen, "
                f"{sum(v in ('slower', 'faster') for v in tallies['identical'].verdicts)} false, "
                f"load {os.getloadavg()[0]:.1f} ",
                end="", file=sys.stderr, flush=True,
            )  # fmt: skip
    print(file=sys.stderr)
    report(tallies)


def report(tallies: dict[str, Tally]) -> None:
    print("\n| runs | n | slower | faster | no change | cannot tell | rate | exact 95 % interval |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    for kind, tally in tallies.items():
        counts = [tally.verdicts.count(v) for v in ("slower", "faster", "no change", "cannot tell")]
        hits = counts[0] if kind == "planted" else counts[0] + counts[1]
        n = len(tally.verdicts)
        low, high = exact_interval(hits, n)
        word = "seen" if kind == "planted" else "false alarms"
        print(
            f"| {kind} | {n} | {' | '.join(map(str, counts))} | {100 * hits / n:.1f} % {word} "
            f"| {100 * low:.1f} to {100 * high:.1f} % |"
        )
    for kind, tally in tallies.items():
        spread = statistics.stdev(tally.logs) if len(tally.logs) > 1 else math.nan
        print(
            f"\n{kind}: mean ratio {math.exp(statistics.mean(tally.logs)):.4f}, spread of a run's ratio {100 * spread:.2f} %, "
            f"median of the smallest effect that a run could have seen {100 * statistics.median(tally.smallest):.1f} %, "
            f"longest run {max(tally.seconds):.1f} s, load {min(tally.loads):.1f} to {max(tally.loads):.1f}"
        )
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


def main() -> None:
    signal.signal(signal.SIGTERM, lambda number, _: _stopped.append(number))  # the runs so far are reported
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100, help="runs of each kind (default 100)")
    parser.add_argument("--slower", type=float, default=5.0, help="planted slow-down in percent (default 5)")
    parser.add_argument("--budget", type=float, default=18.0, help="seconds of one run (default 18)")
    parser.add_argument("--workloads", default=DEFAULT, help=f"workload/size/what, in turn (default {DEFAULT})")
    options = parser.parse_args()
    measure(options.workloads.split(","), options.runs, options.slower / 100, options.budget)


if __name__ == "__main__":
    main()
