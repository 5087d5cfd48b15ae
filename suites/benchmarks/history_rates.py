"""How often `reports.steps` flags series in which nothing changed, and how often it finds a planted step in time.

The nights of one unchanged source commit in GradBench's nightly table are series in which the code did not change. Each is
searched as it is: every step that is no common one is a false alarm. Then a step is planted at a random night of each, and
the search is asked five nights after it: it is found if a step is placed within one night of it. Run it with::

    python suites/benchmarks/history_rates.py nightly.parquet [--step PERCENT] [--seed S]

Rates come with their exact 95 % intervals (Clopper and Pearson), as if series were independent, which neighbours are not.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd

from harness.comparison import exact_interval
from reports.history import read_gradbench
from reports.steps import AFTER, FEWEST_BEFORE, LEAST, NOISE, WANDER, find_steps, steps_of

UNCHANGED = ("0276272d0d", "52086398ff")


def null_series(history: pd.DataFrame, commit: str) -> pd.DataFrame:
    """The points of a commit's nights, of series that have nine nights in ten."""
    part = history.loc[history["revision"] == commit]
    nights = part["moment"].nunique()
    sizes = part.groupby("series")["moment"].transform("nunique")
    return part.loc[sizes >= 0.9 * nights].sort_values(["series", "moment"])


def planted(part: pd.DataFrame, factor: float, seed: int) -> Iterator[tuple[bool, bool]]:
    """For each series whether the planted step was seen at all, and whether within a night of its place."""
    rng = np.random.default_rng(seed)
    for _, one in part.groupby("series"):
        times = one["seconds"].to_numpy(dtype=np.float64)
        at = int(rng.integers(FEWEST_BEFORE + AFTER, len(times) - AFTER + 1))
        cut = times[: at + AFTER].copy()
        cut[at:] *= factor
        new = [step.at for step in find_steps(cut) if step.at >= at - 2]
        yield bool(new), any(abs(k - at) <= 1 for k in new)


def rate(hits: int, n: int) -> str:
    low, high = exact_interval(hits, n)
    return f"{100 * hits / n:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", help="GradBench's nightly table, a Parquet file")
    parser.add_argument("--step", type=float, default=10.0, help="planted step in percent (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the planted places (default 1)")
    options = parser.parse_args()
    start = time.perf_counter()
    history = read_gradbench(options.table)
    loaded = time.perf_counter()
    steps = steps_of(history)
    done = time.perf_counter()
    print(
        f"{len(history):,} points of {history['series'].nunique():,} series: read in {loaded - start:.1f} s, searched in "
        f"{done - loaded:.1f} s; {int((~steps['common']).sum()):,} steps of single series, {int(steps['common'].sum()):,} on "
        f"common nights. Rule: {100 * LEAST:g} %, noise {NOISE:g}, wander {WANDER:g}.\n"
    )
    print(
        f"| commit | what | nights | series | flagged | with common nights "
        f"| +{options.step:g} % seen | placed within a night |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    totals = np.zeros(4, dtype=np.int64)
    for commit in UNCHANGED:
        both = null_series(history, commit)
        for what in ("primal", "derivative"):
            part = both.loc[both["series"].str.endswith(what)]
            n = part["series"].nunique()
            found = steps_of(part)
            own, every = (int(t["series"].nunique()) for t in (found.loc[~found["common"]], found))
            seen = np.array(list(planted(part, math.exp(math.log1p(options.step / 100)), options.seed))).sum(axis=0)
            totals += np.array([n, own, *seen])
            print(
                f"| {commit} | {what} | {part['moment'].nunique()} | {n:,} | {rate(own, n)} | {100 * every / n:.1f} % "
                f"| {rate(int(seen[0]), n)} | {rate(int(seen[1]), n)} |",
                flush=True,
            )
    n, own, seen_all, placed = map(int, totals)
    print(f"| both | both | | {n:,} | {rate(own, n)} | | {rate(seen_all, n)} | {rate(placed, n)} |")


if __name__ == "__main__":
    main()
