"""How often `reports.steps` flags series in which nothing changed, and how often it finds a planted step in time.

The nights of one unchanged source commit in GradBench's nightly table are series in which the code did not change. Each is
searched as it is: every step that is no common one is a false alarm. Then a step is planted at a random night of each, and
the search is asked five nights after it: it is found if a step is placed within one night of it. Run it with::

    python suites/benchmarks/history_rates.py nightly.parquet [--step PERCENT] [--seed S] [--tune]

Rates come with their exact 95 % intervals (Clopper and Pearson), as if series were independent, which neighbours are not;
the last line has intervals from drawing whole tools with replacement.

The constants of the rule are chosen on the series of one half of the tools (every other name in alphabetical order), and the
rates that count are those of the other half, of which the choice knows nothing. ``--tune`` chooses them anew, on each half for
the other: the rule of `GRID` that places the most planted steps among those that flag at most `MOST_FLAGGED` of null series.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd

from harness.comparison import exact_interval
from reports.history import read_gradbench
from reports.steps import AFTER, FEWEST_BEFORE, RULE, Rule, find_steps, steps_of

UNCHANGED = ("0276272d0d", "52086398ff")
GRID = tuple(
    Rule(least, noise, wander)
    for least in (0.06, 0.07, 0.08)
    for noise in (1.5, 2.0, 2.5)
    for wander in (1.25, 1.5, 1.75, 2.0)
)
MOST_FLAGGED = 0.015


def tool(series: str) -> str:
    """The tool in the name of a series of GradBench's."""
    return series.split("/")[-2]


def halves(history: pd.DataFrame) -> tuple[set[str], set[str]]:
    """Both halves of the tools."""
    names = sorted({tool(series) for series in history["series"].unique()})
    return set(names[::2]), set(names[1::2])


def of_tools(history: pd.DataFrame, tools: set[str]) -> pd.DataFrame:
    """The points of some tools."""
    chosen = [series for series in history["series"].unique() if tool(series) in tools]
    return history.loc[history["series"].isin(chosen)]


def null_series(history: pd.DataFrame, commit: str) -> pd.DataFrame:
    """The points of a commit's nights, of series that have nine nights in ten."""
    part = history.loc[history["revision"] == commit]
    nights = part["moment"].nunique()
    sizes = part.groupby("series")["moment"].transform("nunique")
    return part.loc[sizes >= 0.9 * nights].sort_values(["series", "moment"])


def planted(part: pd.DataFrame, factor: float, seed: int, rule: Rule = RULE) -> Iterator[tuple[bool, bool]]:
    """For each series, in order of names, whether the planted step was seen, and whether within a night of its place."""
    rng = np.random.default_rng(seed)
    for _, one in part.groupby("series"):
        times = one["seconds"].to_numpy(dtype=np.float64)
        at = int(rng.integers(FEWEST_BEFORE + AFTER, len(times) - AFTER + 1))
        cut = times[: at + AFTER].copy()
        cut[at:] *= factor
        new = [step.at for step in find_steps(cut, rule) if step.at >= at - 2]
        yield bool(new), any(abs(k - at) <= 1 for k in new)


def rate(hits: int, n: int) -> str:
    low, high = exact_interval(hits, n)
    return f"{100 * hits / n:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def outcomes(history: pd.DataFrame, factor: float, seed: int, rule: Rule = RULE) -> pd.DataFrame:
    """One line a null series: commit, series, nights, flagged (a step of its own), common, seen and placed (planted)."""
    found = []
    for commit in UNCHANGED:
        part = null_series(history, commit)
        steps = steps_of(part, rule)
        own, common = (set(steps.loc[steps["common"] == flag, "series"]) for flag in (False, True))
        names = part["series"].drop_duplicates().tolist()
        nights = part["moment"].nunique()
        for name, (seen, placed) in zip(names, planted(part, factor, seed, rule), strict=True):
            found.append((commit, name, nights, name in own, name in common, seen, placed))
    return pd.DataFrame(found, columns=["commit", "series", "nights", "flagged", "common", "seen", "placed"])


def tune(history: pd.DataFrame, factor: float, seed: int) -> Rule:
    """The rule of `GRID` that does best on some series: every third of them, which is enough to choose by."""
    names = sorted(history["series"].unique())[::3]
    history = history.loc[history["series"].isin(names)]
    best, most = RULE, -1.0
    for rule in GRID:
        found = outcomes(history, factor, seed, rule)
        flagged, placed = float(found["flagged"].mean()), float(found["placed"].mean())
        print(f"{rule}: {100 * flagged:.2f} % flagged, {100 * placed:.2f} % placed", flush=True)
        if flagged <= MOST_FLAGGED and placed > most:
            best, most = rule, placed
    return best


def by_tools(found: pd.DataFrame, column: str) -> str:
    """The rate with an interval from drawing whole tools."""
    sums = found.groupby(found["series"].map(tool))[column].agg(["sum", "size"]).to_numpy(dtype=np.float64)
    picks = np.random.default_rng(0).integers(0, len(sums), size=(9_999, len(sums)))
    drawn = sums[picks].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return f"{100 * found[column].mean():.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", help="GradBench's nightly table, a Parquet file")
    parser.add_argument("--step", type=float, default=10.0, help="planted step in percent (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the planted places (default 1)")
    parser.add_argument("--tune", action="store_true", help="choose the constants anew (about ten minutes)")
    options = parser.parse_args()
    start = time.perf_counter()
    history = read_gradbench(options.table)
    loaded = time.perf_counter()
    steps = steps_of(history)
    done = time.perf_counter()
    print(
        f"{len(history):,} points of {history['series'].nunique():,} series: read in {loaded - start:.1f} s, searched in "
        f"{done - loaded:.1f} s; {int((~steps['common']).sum()):,} steps of single series, {int(steps['common'].sum()):,} on "
        f"common nights.\n"
    )
    first, second = halves(history)
    parts = {"first": of_tools(history, first), "second": of_tools(history, second)}
    rules = dict.fromkeys(parts, RULE)
    if options.tune:
        rules = {half: tune(part, 1 + options.step / 100, options.seed) for half, part in parts.items()}
    for half, tools in (("first", first), ("second", second)):
        print(
            f"The {half} half: {', '.join(sorted(tools))}." + (f" Chosen on it: {rules[half]}." if options.tune else "")
        )
    print(
        f"\n| scored on | constants | commit | what | nights | series | flagged | with common nights "
        f"| +{options.step:g} % seen | placed within a night |"
    )
    print("|---|---|---|---|---:|---:|---:|---:|---:|---:|")
    whole = []
    for half, other in (("second", "first"), ("first", "second")):
        rule, name = rules[other], f"chosen on the {other}" if options.tune else "of the module"
        # Steps are planted at other places than those that constants were chosen with.
        found = outcomes(parts[half], 1 + options.step / 100, options.seed + 1, rule)
        whole.append(found)
        what = found["series"].str.rsplit("/", n=1).str[-1]
        for (commit, word), part in found.groupby(["commit", what], sort=True):
            print(f"| {half} | {name} | {commit} | {word} | {part['nights'].iloc[0]} {_rates(part)}", flush=True)
        _print_sums(half, name, found)
    _print_sums("both", "chosen on the other" if options.tune else "of the module", pd.concat(whole, ignore_index=True))


def _print_sums(half: str, name: str, found: pd.DataFrame) -> None:
    print(f"| {half} | {name} | both | both | {_rates(found)}", flush=True)
    tools_only = f"{by_tools(found, 'flagged')} | | {by_tools(found, 'seen')} | {by_tools(found, 'placed')}"
    n = found["series"].map(tool).nunique()
    print(f"| {half} | {name} | tools drawn | | | {n} tools | {tools_only} |", flush=True)


def _rates(part: pd.DataFrame) -> str:
    n = len(part)
    every = 100 * float((part["flagged"] | part["common"]).mean())
    own, seen, placed = (rate(int(part[name].sum()), n) for name in ("flagged", "seen", "placed"))
    return f"| {n:,} | {own} | {every:.1f} % | {seen} | {placed} |"


if __name__ == "__main__":
    main()
